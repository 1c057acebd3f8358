//go:build cgo

package runner

import (
	"context"
	"slices"

	"github.com/glmkit/glmkit/runner/internal/torch"
	"github.com/glmkit/glmkit/spans"
	"github.com/glmkit/glmkit/tasks"
)

// evalSequences bounds the sequences of one forward pass without gradients.
const evalSequences = 64

func blocksOf(examples []tasks.Encoded, sequences int) []spans.Block {
	blocks := make([]spans.Block, 0, sequences)
	for i := range examples {
		blocks = append(blocks, examples[i].Sequences...)
	}
	return blocks
}

// longest is the length of an example's longest sequence.
func longest(e *tasks.Encoded) int {
	n := 0
	for i := range e.Sequences {
		n = max(n, len(e.Sequences[i].Input))
	}
	return n
}

// score answers examples in their order: a score per choice, log-probabilities
// over the choices except in the generative form, where the only score is 1
// when the greedy output equals the candidate. progress, if any, is told the
// examples done. It runs on the tensor thread.
func score(ctx context.Context, m *model, examples []tasks.Encoded, progress func(done int)) ([][]float64, error) {
	wasTraining := m.mode.training
	m.mode.training = false
	torch.SetGrad(false)
	defer func() {
		torch.SetGrad(true)
		m.mode.training = wasTraining
	}()
	// Similar lengths together: padding is work.
	order := make([]int, len(examples))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return longest(&examples[a]) - longest(&examples[b]) })
	scores := make([][]float64, len(examples))
	for from := 0; from < len(order); {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		to, sequences := from, 0
		for to < len(order) && (to == from || sequences+len(examples[order[to]].Sequences) <= evalSequences) {
			sequences += len(examples[order[to]].Sequences)
			to++
		}
		group := make([]tasks.Encoded, 0, to-from)
		for _, i := range order[from:to] {
			group = append(group, examples[i])
		}
		got, err := scoreBatch(m, group)
		if err != nil {
			return nil, err
		}
		for j, i := range order[from:to] {
			scores[i] = got[j]
		}
		from = to
		if progress != nil {
			progress(from)
		}
	}
	return scores, nil
}

func scoreBatch(m *model, group []tasks.Encoded) ([][]float64, error) {
	s := torch.NewScope()
	defer s.Close()
	e := newExampleBatch(group)
	out := make([][]float64, len(group))
	if e.scoring == tasks.Generative {
		logits, _ := targetLogits(s, m, e.batch)
		greedy := s.Ints(s.Argmax(logits, 1))
		if err := s.Err(); err != nil {
			return nil, err
		}
		for i := range out {
			out[i] = []float64{1}
		}
		for i, target := range e.targets {
			if greedy[i] != target {
				out[e.owner[i]][0] = 0
			}
		}
		return out, nil
	}
	values := s.Floats(s.LogSoftmax(choiceLogits(s, m, e), 1))
	if err := s.Err(); err != nil {
		return nil, err
	}
	for i := range out {
		n := e.choices
		if e.scoring == tasks.MultiToken || e.scoring == tasks.ChoiceHead {
			n = len(group[i].Sequences)
		}
		for _, v := range values[i*e.choices : i*e.choices+n] {
			out[i] = append(out[i], float64(v))
		}
	}
	return out, nil
}
