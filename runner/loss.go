//go:build cgo

package runner

import (
	"github.com/glmkit/glmkit/runner/internal/torch"
	"github.com/glmkit/glmkit/tasks"
)

// absentChoice is added to the score of choices that pad an example to the
// largest number of choices in its batch.
const absentChoice = -10000

// tokenLoss is the summed cross-entropy, in nats, of a batch's targets. Only
// their positions reach the vocabulary projection.
func tokenLoss(s *torch.Scope, m *model, b *batch) torch.Tensor {
	logits, targets := targetLogits(s, m, b)
	return s.CrossEntropySum(logits, targets)
}

// targetLogits returns the logits [N, V] at a batch's target positions and the
// targets [N].
func targetLogits(s *torch.Scope, m *model, b *batch) (logits, targets torch.Tensor) {
	x := b.to(s, m.device)
	h := s.Reshape(m.hidden(s, x), -1, int64(m.config.Hidden))
	rows := s.Rows(h, index(s, b.rows, m.device))
	return m.vocabulary(s, rows, torch.Tensor{}), index(s, b.targets, m.device)
}

// exampleBatch is a group of task examples ready for the model; all have the
// same scoring.
type exampleBatch struct {
	*batch
	scoring     tasks.Scoring
	examples    int
	choices     int       // per example, padded
	labels      []int64   // one per example
	slot        []int64   // where a sequence's score goes in [examples × choices]
	padding     []float32 // absentChoice where a choice does not exist, else 0
	verbalizers []int64
}

// newExampleBatch lays out encoded examples of one task.
func newExampleBatch(examples []tasks.Encoded) *exampleBatch {
	e := &exampleBatch{scoring: examples[0].Scoring, examples: len(examples)}
	sequences := 0
	for i := range examples {
		sequences += len(examples[i].Sequences)
		e.choices = max(e.choices, len(examples[i].Sequences))
	}
	switch e.scoring {
	case tasks.SingleToken:
		e.choices = len(examples[0].Verbalizers)
		for _, id := range examples[0].Verbalizers {
			e.verbalizers = append(e.verbalizers, int64(id))
		}
	case tasks.ClassHead:
		e.choices = len(examples[0].Choices)
	}
	blocks := blocksOf(examples, sequences)
	e.batch = newBatch(blocks)
	e.padding = make([]float32, e.examples*e.choices)
	for i := range examples {
		e.labels = append(e.labels, int64(max(0, examples[i].Label)))
		for c := range examples[i].Sequences {
			e.slot = append(e.slot, int64(i*e.choices+c))
		}
		if e.scoring == tasks.MultiToken || e.scoring == tasks.ChoiceHead {
			for c := len(examples[i].Sequences); c < e.choices; c++ {
				e.padding[i*e.choices+c] = absentChoice
			}
		}
	}
	if e.scoring == tasks.SingleToken {
		// The answer is read where the sequence ends, at the sop token.
		e.rows, e.targets = nil, nil
		for i := range blocks {
			e.rows = append(e.rows, int64(i*e.length+len(blocks[i].Input)-1))
		}
	}
	return e
}

// choiceLogits returns one logit per choice [examples, choices], and adds
// whatever the task's form says of absent choices.
func choiceLogits(s *torch.Scope, m *model, e *exampleBatch) torch.Tensor {
	n, c := int64(e.examples), int64(e.choices)
	switch e.scoring {
	case tasks.SingleToken:
		x := e.to(s, m.device)
		h := s.Reshape(m.hidden(s, x), -1, int64(m.config.Hidden))
		rows := s.Rows(h, index(s, e.rows, m.device))
		return s.Cast(m.vocabulary(s, rows, index(s, e.verbalizers, m.device)), torch.Float32)
	case tasks.ClassHead, tasks.ChoiceHead:
		x := e.to(s, m.device)
		head := m.affine("classifier")
		logits := s.Linear(m.pooled(s, m.hidden(s, x)), head.w, head.b)
		if e.scoring == tasks.ClassHead {
			return logits
		}
		return e.spread(s, m, s.Reshape(logits, -1), n, c)
	default:
		logits, targets := targetLogits(s, m, e.batch)
		logp := s.Gather(s.LogSoftmax(logits, 1), 1, s.Reshape(targets, -1, 1))
		perSequence := s.ScatterAdd(s.Zeros(torch.Float32, m.device, int64(e.size)), 0,
			index(s, e.owner, m.device), s.Reshape(logp, -1))
		return e.spread(s, m, perSequence, n, c)
	}
}

// spread puts one score per sequence into [examples, choices].
func (e *exampleBatch) spread(s *torch.Scope, m *model, scores torch.Tensor, n, c int64) torch.Tensor {
	base := s.Float32s(e.padding, m.device, n*c)
	return s.Reshape(s.ScatterAdd(base, 0, index(s, e.slot, m.device), scores), n, c)
}

// exampleLoss is the summed loss of a batch of examples: cross-entropy over
// the choices, or over the gold tokens where the model writes them.
func exampleLoss(s *torch.Scope, m *model, e *exampleBatch) torch.Tensor {
	if e.scoring == tasks.Generative || e.scoring == tasks.Written {
		// Per-token mean within the batch, times its examples: one long answer
		// must not outweigh the others (GLM repository, WSC's LM loss).
		return s.Scale(tokenLoss(s, m, e.batch), float64(e.examples)/float64(len(e.rows)))
	}
	return s.CrossEntropySum(choiceLogits(s, m, e), index(s, e.labels, m.device))
}

// A batch of windows counts its target tokens, one of examples its examples.
func (b *batch) loss(s *torch.Scope, m *model) torch.Tensor { return tokenLoss(s, m, b) }
func (b *batch) weight() float64                            { return float64(len(b.rows)) }
func (b *batch) tokens() int                                { return b.attended }

func (e *exampleBatch) loss(s *torch.Scope, m *model) torch.Tensor { return exampleLoss(s, m, e) }
func (e *exampleBatch) weight() float64                            { return float64(e.examples) }
func (e *exampleBatch) tokens() int                                { return e.attended }
