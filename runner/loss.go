//go:build cgo

package runner

import (
	"math"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/runner/internal/torch"
	"github.com/glmkit/glmkit/tasks"
)

// absentChoice is added to the score of choices that pad an example to the
// largest number of choices in its batch.
const absentChoice = -10000

// choosing is how scores of choices are taken and trained, and written answers
// learnt.
type choosing struct {
	lengthPenalty float64
	loss          string  // configs.Recipe.Loss
	smoothing     float64 // of answers that are written
}

// tokenLoss is the summed cross-entropy, in nats, of a batch's targets. Only
// their positions reach the vocabulary projection.
func tokenLoss(s *torch.Scope, m *model, b *batch) torch.Tensor {
	return s.CrossEntropySum(rowLogits(s, m, b, torch.Tensor{}), index(s, b.targets, m.device), m.choosing.smoothing)
}

// rowLogits returns the logits [N, V] at a batch's rows; with only token ids of
// interest, [N, len(only)].
func rowLogits(s *torch.Scope, m *model, b *batch, only torch.Tensor) torch.Tensor {
	return m.vocabulary(s, m.states(s, m.read(s, b), b.rows), only)
}

// exampleBatch is a group of task examples ready for the model; all have the
// same scoring. Choices that share a context share a sequence of it.
type exampleBatch struct {
	*batch
	scoring     tasks.Scoring
	examples    int
	perToken    float64   // examples for each target token of the whole batch (Generative)
	choices     int       // per example, padded
	labels      []int64   // one per example
	padding     []float32 // per choice: absentChoice where it does not exist, else 0
	verbalizers []int64
	// slot is which of examples × choices a head's sequence, or a token, belongs
	// to. row is where in the batch's rows the token is predicted, target the token.
	slot, row, target []int64
	length            []float32 // tokens of each choice, at least 1
}

// newExampleBatch lays out encoded examples of one task.
func newExampleBatch(examples []tasks.Encoded) *exampleBatch {
	first := &examples[0]
	e := &exampleBatch{scoring: first.Scoring, examples: len(examples)}
	sequences := 0
	for i := range examples {
		sequences += len(examples[i].Sequences)
		e.choices = max(e.choices, len(examples[i].Sequences))
	}
	switch e.scoring {
	case tasks.SingleToken:
		e.choices = len(first.Verbalizers)
		for _, id := range first.Verbalizers {
			e.verbalizers = append(e.verbalizers, int64(id))
		}
	case tasks.ClassHead:
		e.choices = len(first.Choices)
	}
	e.padding = make([]float32, e.examples*e.choices)
	for i := range examples {
		label := int64(max(0, examples[i].Label))
		if e.scoring == tasks.Ranked {
			label = 0 // it trains on true examples, whose answer stands first
		}
		e.labels = append(e.labels, label)
		if e.scoring.PerChoice() {
			for c := len(examples[i].Sequences); c < e.choices; c++ {
				e.padding[i*e.choices+c] = absentChoice
			}
		}
	}
	if e.scoring.Head() {
		whole := make([]sequence, 0, sequences)
		for i := range examples {
			for c := range examples[i].Sequences {
				whole = append(whole, plain(&examples[i].Sequences[c]))
				e.slot = append(e.slot, int64(i*e.choices+c))
			}
		}
		e.batch = pad(whole)
		return e
	}
	e.layOut(examples)
	e.perToken = float64(e.examples) / float64(max(1, len(e.targets)))
	return e
}

// layOut makes the sequences of cloze questions and finds their tokens in them.
func (e *exampleBatch) layOut(examples []tasks.Encoded) {
	var sequences []sequence
	var reads []read
	for i := range examples {
		x := share(examples[i].Sequences)
		for _, r := range x.reads {
			r.sequence += len(sequences)
			r.choice += i * e.choices
			reads = append(reads, r)
		}
		sequences = append(sequences, x.sequences...)
	}
	e.batch = pad(sequences)
	e.length = make([]float32, e.examples*e.choices)
	known := make(map[int64]int64, len(reads)) // by flat index: the place in rows
	for _, r := range reads {
		flat := int64(r.sequence*e.batch.length + r.position)
		at, ok := known[flat]
		if !ok {
			at = int64(len(e.rows))
			known[flat] = at
			e.rows = append(e.rows, flat)
		}
		e.row, e.target, e.slot = append(e.row, at), append(e.target, int64(r.target)), append(e.slot, int64(r.choice))
		e.length[r.choice]++
	}
	for i := range e.length {
		e.length[i] = max(1, e.length[i])
	}
	e.targets = e.target // in a generative batch, whose rows have one token each
}

// choiceLogits returns one logit per choice [examples, choices]: log-probabilities
// of tokens of several, which are less than -10,000 where a choice is absent.
func choiceLogits(s *torch.Scope, m *model, e *exampleBatch) torch.Tensor {
	n, c := int64(e.examples), int64(e.choices)
	var scores torch.Tensor
	switch e.scoring {
	case tasks.SingleToken:
		return s.Cast(rowLogits(s, m, e.batch, index(s, e.verbalizers, m.device)), torch.Float32)
	case tasks.ClassHead, tasks.ChoiceHead:
		x := m.read(s, e.batch)
		if m.config.Architecture == "glm" { // it has no token types
			x.block = s.Zeros(torch.Int64, m.device, s.Shape(x.block)...)
		}
		head := m.affine("classifier")
		logits := s.Linear(m.pooled(s, m.states(s, x, e.first())), head.w, head.b)
		if e.scoring == tasks.ClassHead {
			return logits
		}
		scores = s.ScatterAdd(s.Zeros(torch.Float32, m.device, n*c), 0, index(s, e.slot, m.device), s.Reshape(logits, -1))
	default:
		logp := s.Reshape(s.LogSoftmax(rowLogits(s, m, e.batch, torch.Tensor{}), 1), -1)
		at := make([]int64, len(e.row))
		for i := range at {
			at[i] = e.row[i]*int64(m.config.Vocab) + e.target[i]
		}
		tokens := s.Rows(logp, index(s, at, m.device))
		scores = s.ScatterAdd(s.Zeros(torch.Float32, m.device, n*c), 0, index(s, e.slot, m.device), tokens)
		if penalty := m.choosing.lengthPenalty; penalty > 0 {
			by := make([]float32, len(e.length))
			for i, tokens := range e.length {
				by[i] = float32(math.Pow(float64(tokens), -penalty))
			}
			scores = s.Mul(scores, s.Float32s(by, m.device, n*c))
		}
	}
	return s.Reshape(s.Add(scores, s.Float32s(e.padding, m.device, n*c)), n, c)
}

// exampleLoss is the summed loss of a batch of examples: over the choices, or
// over the gold tokens where the model writes them.
func exampleLoss(s *torch.Scope, m *model, e *exampleBatch) torch.Tensor {
	if e.scoring == tasks.Generative || e.scoring == tasks.Written {
		// Per-token mean within the batch, times its examples: one long answer
		// must not outweigh the others (GLM repository, WSC's LM loss).
		return s.Scale(tokenLoss(s, m, e.batch), e.perToken)
	}
	logits, labels := choiceLogits(s, m, e), index(s, e.labels, m.device)
	right := func() torch.Tensor { return s.Gather(logits, 1, s.Reshape(labels, -1, 1)) }
	switch m.choosing.loss { // GLM repository, finetune_forward_step
	case configs.HingeLoss:
		// 1 + score - that of the right choice, where positive; the right one's own
		// 1 is taken off again.
		above := s.ReLU(s.Add(s.Add(logits, s.Scale(right(), -1)), s.Ones(torch.Float32, m.device, 1)))
		return s.Add(s.Sum(above), s.Scale(s.Ones(torch.Float32, m.device, 1), -float64(e.examples)))
	case configs.GenerativeLoss:
		return s.Scale(s.Sum(right()), -1)
	case configs.MixLoss:
		return s.Add(s.CrossEntropySum(logits, labels, 0), s.Scale(s.Sum(right()), -1))
	}
	return s.CrossEntropySum(logits, labels, 0)
}

// A batch of windows counts its target tokens, one of examples its examples.
func (b *batch) loss(s *torch.Scope, m *model) (sum torch.Tensor, of objectiveSums) {
	if b.modes == nil || m.mode.training && m.mode.onDevice { // which reads no loss but one
		return tokenLoss(s, m, b), nil
	}
	return objectiveLosses(s, m, b)
}
func (b *batch) weight() float64 { return float64(len(b.rows)) }
func (b *batch) tokens() int     { return b.attended }

func (e *exampleBatch) loss(s *torch.Scope, m *model) (torch.Tensor, objectiveSums) {
	return exampleLoss(s, m, e), nil
}
func (e *exampleBatch) weight() float64 { return float64(e.examples) }
func (e *exampleBatch) tokens() int     { return e.attended }
