//go:build cgo

package torch

// #include "decode.h"
import "C"

import (
	"fmt"
	"unsafe"
)

// CachedRow is one new token: the text that it belongs to and how many tokens
// that has, the slot that it is put into, and how many tokens its row wrote before.
type CachedRow struct{ Text, Sep, Slot, Length int64 }

// Places are the slots in which the tokens of rows lie, Width for each row: those
// written before, and last the row's own for the new one.
type Places struct {
	Slots []int32
	Width int
}

func rowsPointer(rows []CachedRow) *C.gk_cached_row {
	return (*C.gk_cached_row)(unsafe.Pointer(unsafe.SliceData(rows)))
}

func (p Places) pointer() *C.int32_t { return (*C.int32_t)(unsafe.SliceData(p.Slots)) }

// CachedAttention is Attention of one new token a row, qkv [rows, 3·hidden],
// each over its text and what its row wrote; the result is [rows, hidden]. context
// is the qkv of the texts, [texts, tokens, 3·hidden]; the new keys and values are
// put into written, [capacity, slots, 2·hidden]. Rows have slots of their own.
// Float32.
func (s *Scope) CachedAttention(qkv, context, written Tensor, rows []CachedRow, places Places, heads int) Tensor {
	return s.shim("cached attention", func(out *C.gk_tensor) *C.char {
		return C.gk_cached_attention(out, qkv.ptr(), context.ptr(), written.ptr(), rowsPointer(rows), places.pointer(), C.int64_t(places.Width), C.int64_t(heads))
	})
}

// Decoder is a GLM on the CPU as Write needs it.
type Decoder struct {
	// Weights are the word, position and block position embeddings, then of each
	// layer weight and bias of the first LayerNorm, the projection to queries, keys
	// and values, the one behind attention, the second LayerNorm, the wide and the
	// narrow projection; then those of the last LayerNorm.
	Weights       []Tensor
	Layers, Heads int
}

// Write computes one token for each row through all layers. tokens, positions and
// blocks say which; context and written are those of CachedAttention, a tensor for
// each layer. The logits are put into work, [≥ rows · (vocabulary + 6·hidden)], a row
// behind the other. What it says of a row does not depend on the others.
func (s *Scope) Write(d Decoder, work Tensor, context, written []Tensor, tokens, positions, blocks []int64, rows []CachedRow, places Places) {
	if s.err != nil {
		return
	}
	if len(d.Weights) != 5+12*d.Layers || len(context) != d.Layers || len(written) != d.Layers {
		s.fail("write", fmt.Errorf("%d weights for %d layers", len(d.Weights), d.Layers))
		return
	}
	pointers := func(tensors []Tensor) *C.gk_tensor {
		p := make([]C.gk_tensor, len(tensors))
		for i, t := range tensors {
			p[i] = t.ptr()
		}
		return unsafe.SliceData(p)
	}
	ids := append(append(append(make([]int64, 0, 3*len(rows)), tokens...), positions...), blocks...)
	s.fail("write", shimError(C.gk_write(work.ptr(), pointers(d.Weights), C.int64_t(d.Layers), C.int64_t(d.Heads), pointers(context), pointers(written),
		(*C.int64_t)(unsafe.SliceData(ids)), rowsPointer(rows), places.pointer(), C.int64_t(places.Width), C.int64_t(len(rows)))))
}

// Likely are the likeliest tokens that may follow, with their log-probabilities
// among all. NaN says that the logits were not finite.
type Likely struct {
	IDs  []int64
	LogP []float32
	NaN  bool
}

// Likeliest finds the k likeliest tokens of each row of logits, the first n·vocab
// elements of a tensor on the CPU, which it overwrites. Tokens from size on may not
// follow, but for end, nor those banned of a row.
func (s *Scope) Likeliest(logits Tensor, vocab, size int, end int32, banned [][]int32, k int) []Likely {
	if s.err != nil {
		return nil
	}
	n := len(banned)
	var flat []int32
	to := make([]int64, n)
	for i, tokens := range banned {
		flat = append(flat, tokens...)
		to[i] = int64(len(flat))
	}
	ids, logp, found := make([]int64, n*k), make([]float32, n*k), make([]int64, n)
	s.fail("likeliest", shimError(C.gk_likeliest(logits.ptr(), C.int64_t(n), C.int64_t(vocab), C.int64_t(size), C.int64_t(end),
		(*C.int32_t)(unsafe.SliceData(flat)), (*C.int64_t)(unsafe.SliceData(to)), C.int64_t(k),
		(*C.int64_t)(unsafe.SliceData(ids)), (*C.float)(unsafe.SliceData(logp)), (*C.int64_t)(unsafe.SliceData(found)))))
	out := make([]Likely, n)
	for i := range out {
		if found[i] < 0 {
			out[i].NaN = true
			continue
		}
		out[i].IDs, out[i].LogP = ids[i*k:i*k+int(found[i])], logp[i*k:i*k+int(found[i])]
	}
	return out
}
