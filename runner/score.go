//go:build cgo

package runner

import (
	"context"
	"slices"

	"github.com/glmkit/glmkit/runner/internal/torch"
	"github.com/glmkit/glmkit/tasks"
)

// evalSequences bounds the choices, or sequences of one, of a micro-batch of
// examples.
const evalSequences = 64

// longest is the length of an example's longest sequence.
func longest(e *tasks.Encoded) int {
	n := 0
	for i := range e.Sequences {
		n = max(n, len(e.Sequences[i].Input))
	}
	return n
}

// answering puts a model into the state in which it answers, until the function
// that is returned is called. It runs on the tensor thread.
func (m *model) answering() (ended func()) {
	wasTraining := m.mode.training
	m.mode.training = false
	torch.SetGrad(false)
	return func() {
		torch.SetGrad(true)
		m.mode.training = wasTraining
	}
}

// scoredTogether groups examples, which it returns the places of.
//
// On a CPU every example is computed by itself: how a matrix product is rounded
// depends on its number of rows, and so a score would depend on what else is in a
// batch. A GPU answers batches, examples of similar length together.
func scoredTogether(m *model, examples []tasks.Encoded) (groups [][]int) {
	order := make([]int, len(examples))
	for i := range order {
		order[i] = i
	}
	most := 1
	if m.device != torch.CPU {
		most = evalSequences
		slices.SortStableFunc(order, func(a, b int) int { return longest(&examples[a]) - longest(&examples[b]) })
	}
	for from := 0; from < len(order); {
		to, sequences := from, 0
		for ; to < len(order); to++ {
			n := len(examples[order[to]].Sequences)
			if to > from && sequences+n > most {
				break
			}
			sequences += n
		}
		groups = append(groups, order[from:to])
		from = to
	}
	return groups
}

// score answers examples in their order: a score per choice, log-probabilities
// over the choices except in the generative form, where the only score is 1
// when the greedy output equals the candidate. It runs on the tensor thread.
func score(ctx context.Context, m *model, examples []tasks.Encoded) ([][]float64, error) {
	defer m.answering()()
	scores := make([][]float64, len(examples))
	for _, group := range scoredTogether(m, examples) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		got, err := scoreBatch(m, picked(examples, group))
		if err != nil {
			return nil, err
		}
		for k, i := range group {
			scores[i] = got[k]
		}
	}
	return scores, nil
}

// scoreBatch answers a group of examples as score does.
func scoreBatch(m *model, group []tasks.Encoded) ([][]float64, error) {
	s := torch.NewScope()
	defer s.Close()
	e := newExampleBatch(group)
	out := make([][]float64, len(group))
	if e.scoring == tasks.Generative {
		greedy := s.Ints(s.Argmax(rowLogits(s, m, e.batch, torch.Tensor{}), 1))
		if err := s.Err(); err != nil {
			return nil, err
		}
		for i := range out {
			out[i] = []float64{1}
		}
		for i, target := range e.targets {
			if greedy[i] != target {
				out[e.slot[i]][0] = 0
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
		if e.scoring.PerChoice() {
			n = len(group[i].Sequences)
		}
		for _, v := range values[i*e.choices : i*e.choices+n] {
			out[i] = append(out[i], float64(v))
		}
	}
	return out, nil
}
