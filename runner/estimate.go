//go:build cgo

package runner

import (
	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/runner/internal/torch"
)

// Memory is what training takes at its peak, estimated, in bytes.
type Memory struct {
	// Program is the process before it has a model: on a CPU its resident set,
	// most of it libtorch's; 0 on a GPU.
	Program   int64
	Weights   int64 // float32
	Gradients int64
	Moments   int64 // AdamW's two, this process' share of them
	// Activations are all results of the forward pass over the largest
	// micro-batch, which stay until its backward pass is over, and the gradients
	// under way there.
	Activations int64
	// Saving is the largest weight twice more, as it is read and as it is written
	// into a checkpoint.
	Saving int64
	// Slack is what is free but in pieces that the allocator cannot use again: an
	// eighth of the above, by what was measured.
	Slack int64
}

// Total is the sum.
func (m Memory) Total() int64 {
	return m.Program + m.Weights + m.Gradients + m.Moments + m.Activations + m.Saving + m.Slack
}

// activations is the memory of a forward and backward pass over a micro-batch.
// For hidden size h, V words, p bytes for a number of matrix products (2 in
// bfloat16), at its peak it is the sum of
//
//	layers      L·h·(16p + 8) bytes a token, padding included: the inputs and
//	            outputs of four products and of GELU in p, the residual stream
//	            twice in float32; BERT, which normalises behind it and in
//	            float32, L·h·(14p + 16), and 2p where p is not float32
//	            behind the last layer's attention (without h·5p, BERT's h·4p) only
//	            of positions whose target counts
//	embeddings  24·h a token: three, their two sums, the last LayerNorm; 4·h with dropout
//	scores      attention with a T × T mask: for each layer 1 byte a pair for the
//	            mask, and for plain attention for each head p for probabilities
//	            and p/2 for what of the scores' place stays free (by what was
//	            measured), with dropout 3p for what it draws, too, and its product;
//	            and 3·h·p a token for queries, keys and values in the order in
//	            which they are multiplied
//	vocabulary  V·p for each position whose target counts, and h·(4 + p)
//	copies      of the weights in bfloat16: (12·L·h² + V·h)·p
//
// where of layers computed again in the backward pass only one counts, and 4·L·h a
// token of what they read,
//
// and of the gradients under way, the largest of: those of the scores and of
// the output layer's weight; of a layer, with the latter, or of its probabilities in
// plain attention, which leaves room for five more where layers are computed again (by
// what was measured: nothing as large fits between); of the word table's two uses.
func activations(c configs.Model, how computing, b microBatch) int64 {
	h, layers, p := int64(c.Hidden), int64(c.Layers), int64(4)
	if how.half != 0 {
		p = 2
	}
	sequences, length := b.shape()
	tokens, pairs := int64(sequences*length), int64(sequences*length*length)
	layer, behind, embedding := h*(16*p+8), h*(11*p+8), 24*h
	if c.Architecture == "bert" {
		layer, behind = h*(14*p+16), h*(10*p+16)
		if how.half != 0 {
			layer += h * 2 * p
		}
	}
	if c.Dropout > 0 {
		embedding += 4 * h
	}
	n, v := b.outputs(c)
	rows, table, scores := int64(n), int64(c.Vocab)*h, int64(n)*int64(v)*p
	kept := tokens * (layers*layer + embedding)
	if how.recompute {
		kept -= tokens * (layers*layer - layer - layers*4*h)
		layers = 1
	} else {
		kept -= (tokens - rows) * behind
	}
	attending := int64(0) // gradients of a layer's attention
	switch how.attention {
	case torch.LibtorchAttention:
		kept += layers * pairs
	case torch.PlainAttention:
		attending = int64(c.Heads) * pairs * p
		each := attending + attending/2
		if c.AttentionDropout > 0 {
			each = 3 * attending
		}
		kept += layers * (pairs + each + 3*tokens*h*p)
		if how.recompute {
			attending *= 6
		}
	}
	kept += scores + rows*h*(4+p)
	if how.half != 0 {
		kept += p * (12*layers*h*h + int64(v)*h)
	}
	// The output layer's gradient waits in float32 for that of the embedding.
	output := 4 * table
	if v == 0 {
		output = 0
	}
	first := scores + output
	if how.half != 0 {
		first += p * int64(v) * h
	}
	return kept + max(first, output+max(tokens*h*(8*p+8), attending), output+4*table)
}
