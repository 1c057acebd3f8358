package configs

import (
	"reflect"
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
	inherit(&r.LabelSmoothing, t.LabelSmoothing)
	inherit(&r.Decoding.Beams, t.Decoding.Beams)
	inherit(&r.Decoding.LengthPenalty, t.Decoding.LengthPenalty)
	inherit(&r.Decoding.MinLength, t.Decoding.MinLength)
	inherit(&r.Decoding.MaxLength, t.Decoding.MaxLength)
	inherit(&r.Decoding.NoRepeat, t.Decoding.NoRepeat)
	inherit(&r.Decoding.Sample, t.Decoding.Sample)
	inherit(&r.Decoding.Temperature, t.Decoding.Temperature)
	inherit(&r.Decoding.TopK, t.Decoding.TopK)
	inherit(&r.Decoding.TopP, t.Decoding.TopP)
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

// DecodingKeys lists the keys of [Decoding].
func DecodingKeys() []string { return keysOf(reflect.ValueOf(Decoding{})) }

// DecodingOf returns how the answers of a task, named as for [Finetune.For], are
// searched for, with settings "key=value" over it whose keys are those of
// [Decoding]. A setting that cannot be is an *Error.
func (c *Config) DecodingOf(task string, settings []string) (Decoding, error) {
	out := *c
	out.Finetune.Recipe = c.Finetune.For(task)
	out.Finetune.Tasks = nil
	m := merger{config: &out, origin: map[string]origin{}}
	for _, s := range settings {
		m.layer = "--decoding " + s
		key, value, ok := strings.Cut(s, "=")
		if !ok {
			return Decoding{}, &Error{Field: m.layer, Msg: "not of the form key=value", Hint: "--decoding beams=1"}
		}
		if err := m.assign("finetune.decoding."+strings.TrimSpace(key), value); err != nil {
			return Decoding{}, err
		}
	}
	var v validation
	v.decoding("finetune.decoding", out.Finetune.Decoding)
	return out.Finetune.Decoding, m.locate(v.err())
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
