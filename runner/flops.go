//go:build cgo

package runner

import (
	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/tasks"
)

// The work of a model, in floating-point operations, counts its matrix products
// alone, a multiplication and an addition each, as PaLM's model FLOPs do
// (Chowdhery et al. 2022, appendix B), but exactly for this architecture. Of
// tokens before padding, for hidden size h, L layers and V words, forward:
//
//	layers      24·L·h²  a token: query, key, value (6h²), output (2h²), two of 4h (16h²)
//	attention    4·L·h   a pair of tokens of which one sees the other: q·k and p·v
//	vocabulary   2·V·h   a position whose target counts
//
// In the last layer, behind query, key and value, only such positions count, and
// the pairs in which they see. The backward pass does each product twice. Pairs are those that GLM's mask
// lets through, not T². Padding, activations that are computed again, and what
// is no matrix product are not counted: they take time and yield nothing.

// backwardAndForward times the work of a forward pass is that of a step.
const backwardAndForward = 3

// encoderFLOPs is the work of the layers of a forward pass over tokens, of which
// pairs see each other. Of the last layer rows are wanted, which see so many tokens.
func encoderFLOPs(c configs.Model, tokens, pairs, rows, seen int64) float64 {
	l, h := float64(c.Layers), float64(c.Hidden)
	return h*h*(24*(l-1)*float64(tokens)+6*float64(tokens)+18*float64(rows)) + 4*h*((l-1)*float64(pairs)+float64(seen))
}

// headFLOPs is the work of a forward pass from hidden states at a number of
// positions to words of the vocabulary.
func headFLOPs(c configs.Model, positions, words int) float64 {
	h := float64(c.Hidden)
	each := 2 * h * float64(words)
	if c.Architecture == "bert" {
		each += 2 * h * h // the transform before the projection
	}
	return each * float64(positions)
}

// visiblePairs counts the pairs of a sequence of used tokens, sep of them Part
// A, of which the first sees the second: Part A sees all of itself, a token of
// Part B all of Part A and Part B up to itself.
func visiblePairs(sep, used int64) int64 {
	return sep*sep + (used*(used+1)-sep*(sep+1))/2
}

// sees counts the tokens that a row sees: those of its sequence, in Part B up to
// itself and without other branches.
func (b *batch) sees(c configs.Model, row int64) int64 {
	i, j := row/int64(b.length), row%int64(b.length)
	sep := b.sep[i]
	switch {
	case c.Architecture == "bert":
		return b.used[i]
	case j < sep:
		return sep
	case b.starts != nil:
		return j + 1 - max(0, b.starts[row]-sep-1)
	}
	return j + 1
}

// encoding is the work of the layers for a batch of which rows are wanted, forward.
func (b *batch) encoding(c configs.Model, rows []int64) float64 {
	pairs, seen := int64(0), int64(0)
	for i, used := range b.used {
		for j := range used {
			pairs += b.sees(c, int64(i*b.length)+j)
		}
	}
	for _, row := range rows {
		seen += b.sees(c, row)
	}
	return encoderFLOPs(c, int64(b.attended), pairs, int64(len(rows)), seen)
}

func (b *batch) flops(c configs.Model) float64 {
	return backwardAndForward * (b.encoding(c, b.rows) + headFLOPs(c, len(b.rows), c.Vocab))
}

// The heads of classifiers, a row an example, are left out.
func (e *exampleBatch) flops(c configs.Model) float64 {
	rows, words := e.outputs(c)
	if words == 0 {
		return backwardAndForward * e.encoding(c, e.first())
	}
	return backwardAndForward * (e.encoding(c, e.rows) + headFLOPs(c, rows, words))
}

func (b *batch) outputs(c configs.Model) (rows, words int) { return len(b.rows), c.Vocab }

func (e *exampleBatch) outputs(c configs.Model) (rows, words int) {
	switch e.scoring {
	case tasks.SingleToken:
		return len(e.rows), len(e.verbalizers)
	case tasks.MultiToken, tasks.Generative, tasks.Written:
		return len(e.rows), c.Vocab
	}
	return 0, 0
}
