package configs

import (
	"strings"

	"github.com/glmkit/glmkit/spans"
)

// For returns the recipe of a task, whose name is matched without regard to
// case: the common recipe with what the task changes. Zero and nil fields
// inherit, those of the optimizer and the schedule one by one.
func (f *Finetune) For(task string) Recipe {
	r := f.Recipe
	t := f.Tasks[strings.ToLower(task)]
	if t.Pattern != nil {
		r.Pattern = t.Pattern
	}
	inherit(&r.SeqLength, t.SeqLength)
	inherit(&r.TargetLength, t.TargetLength)
	inherit(&r.Epochs, t.Epochs)
	inherit(&r.MaxSteps, t.MaxSteps)
	inherit(&r.BatchSize, t.BatchSize)
	inherit(&r.MicroBatch, t.MicroBatch)
	inherit(&r.Loss, t.Loss)
	inherit(&r.LengthPenalty, t.LengthPenalty)
	inherit(&r.Optimizer.LR, t.Optimizer.LR)
	inherit(&r.Optimizer.Beta1, t.Optimizer.Beta1)
	inherit(&r.Optimizer.Beta2, t.Optimizer.Beta2)
	inherit(&r.Optimizer.Eps, t.Optimizer.Eps)
	inherit(&r.Optimizer.WeightDecay, t.Optimizer.WeightDecay)
	inherit(&r.Optimizer.ClipNorm, t.Optimizer.ClipNorm)
	inherit(&r.Schedule.Kind, t.Schedule.Kind)
	inherit(&r.Schedule.Warmup, t.Schedule.Warmup)
	inherit(&r.Schedule.DecaySteps, t.Schedule.DecaySteps)
	inherit(&r.Schedule.FinalRatio, t.Schedule.FinalRatio)
	return r
}

// inherit puts the task's value over the common one unless it is zero.
func inherit[T comparable](common *T, task T) {
	var zero T
	if task != zero {
		*common = task
	}
}

// Spans returns the objective as package spans takes it. MaxPositions, which is
// the model's, is left to the caller that builds blocks.
func (o Objective) Spans() spans.Objective {
	return spans.Objective{
		Token: o.Token, Sentence: o.Sentence, Document: o.Document,
		MaskRatio: o.MaskRatio, MeanSpan: o.MeanSpan, MaxSpan: o.MaxSpan,
		SentenceRatio: o.SentenceRatio, DocumentMinRatio: o.DocumentMinRatio,
		DocumentPrefix: o.DocumentPrefix, TaskMask: o.TaskMask, Shuffle: o.Shuffle,
		SingleSpan: o.SingleSpan, BlockMask: o.BlockMask, ContextMask: o.ContextMask,
		Sentinel: o.Sentinel, BlockPositions: o.BlockPositions, RandomPosition: o.RandomPosition,
	}
}
