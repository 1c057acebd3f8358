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
// The backward pass does each product twice. Pairs are those that GLM's mask
// lets through, not T². Padding, activations that are computed again, and what
// is no matrix product are not counted: they take time and yield nothing.

// backwardAndForward times the work of a forward pass is that of a step.
const backwardAndForward = 3

// encoderFLOPs is the work of the layers of a forward pass over tokens, of
// which pairs see each other.
func encoderFLOPs(c configs.Model, tokens, pairs int64) float64 {
	l, h := float64(c.Layers), float64(c.Hidden)
	return 24*l*h*h*float64(tokens) + 4*l*h*float64(pairs)
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

// encoding is the work of the layers for a batch, forward.
func (b *batch) encoding(c configs.Model) float64 {
	pairs := int64(0)
	for i, used := range b.used {
		sep := b.sep[i]
		if c.Architecture == "bert" {
			sep = used
		}
		pairs += visiblePairs(sep, used)
		if b.starts == nil {
			continue
		}
		for _, start := range b.starts[i*b.length+int(sep) : i*b.length+int(used)] {
			pairs -= max(0, start-sep-1) // of other branches
		}
	}
	return encoderFLOPs(c, int64(b.attended), pairs)
}

func (b *batch) flops(c configs.Model) float64 {
	return backwardAndForward * (b.encoding(c) + headFLOPs(c, len(b.rows), c.Vocab))
}

// The heads of classifiers, a row an example, are left out.
func (e *exampleBatch) flops(c configs.Model) float64 {
	work := e.encoding(c)
	if rows, words := e.outputs(c); words > 0 {
		work += headFLOPs(c, rows, words)
	}
	return backwardAndForward * work
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
