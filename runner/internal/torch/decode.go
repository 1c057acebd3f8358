//go:build cgo

package torch

// #include "decode.h"
import "C"

import (
	"fmt"
	"unsafe"

	lib "github.com/sugarme/gotch/libtch"
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

// Lookup is where the rows of a step read and write, on the device of the tensors.
type Lookup struct{ of [C.GK_LOOKUP]Tensor }

// Lookup uploads rows and their places, once for CachedAttention in every layer, whose
// context and written have the shapes of these.
func (s *Scope) Lookup(context, written Tensor, rows []CachedRow, places Places) Lookup {
	var l Lookup
	if s.err != nil {
		return l
	}
	var out [C.GK_LOOKUP]C.gk_tensor
	if s.fail("lookup", shimError(C.gk_cached_lookup(&out[0], context.ptr(), written.ptr(), rowsPointer(rows), places.pointer(), C.int64_t(places.Width), C.int64_t(len(rows))))); s.err != nil {
		return l
	}
	for i := range out {
		l.of[i] = s.own(lib.Ctensor(unsafe.Pointer(out[i])))
	}
	return l
}

// CachedAttention is Attention of one new token a row, qkv [rows, 3·hidden],
// each over its text and what its row wrote; the result is [rows, hidden]. context
// is the qkv of the texts, [texts, tokens, 3·hidden]; the new keys and values are
// put into written, [capacity, slots, 2·hidden]. Rows have slots of their own. All are
// of one element type.
func (s *Scope) CachedAttention(qkv, context, written Tensor, at Lookup, heads int) Tensor {
	return s.shim("cached attention", func(out *C.gk_tensor) *C.char {
		return C.gk_cached_attention(out, qkv.ptr(), context.ptr(), written.ptr(), handles(at.of[:]), C.int64_t(heads))
	})
}

// Writer is a GLM that writes on a CPU: its weights once more, as products of few
// rows read them. Free it.
type Writer struct{ w *C.gk_writer }

// NewWriter makes a writer whose products read Float32 or BFloat16, numbers of both
// sides rounded to it; sums and all else are float32. weights are the word, position
// and block position embeddings, then of each layer weight and bias of the first
// LayerNorm, the projection to queries, keys and values, the one behind attention, the
// second LayerNorm, the wide and the narrow projection; then those of the last
// LayerNorm: float32 on the CPU. They must stay, and the matrices must not change.
func NewWriter(weights []Tensor, layers, heads int, products DType) (*Writer, error) {
	if len(weights) != 5+12*layers || products != Float32 && products != BFloat16 {
		return nil, fmt.Errorf("torch: %d weights for a writer of %d layers, its products of type %d", len(weights), layers, products)
	}
	pointers, bfloat16 := make([]C.gk_tensor, len(weights)), C.int(0)
	for i, t := range weights {
		pointers[i] = t.ptr()
	}
	if products == BFloat16 {
		bfloat16 = 1
	}
	w := &Writer{}
	if err := shimError(C.gk_writer_new(&w.w, unsafe.SliceData(pointers), C.int64_t(layers), C.int64_t(heads), bfloat16)); err != nil {
		return nil, err
	}
	return w, nil
}

// Free frees the writer, behind its pages.
func (w *Writer) Free() { C.gk_writer_free(w.w) }

// Pages are the keys and values of texts and of what is written into slots. Free them.
type Pages struct{ p *C.gk_pages }

// Pages makes pages, with nothing in them.
func (w *Writer) Pages(texts, slots int) (*Pages, error) {
	p := &Pages{}
	if err := shimError(C.gk_pages_new(&p.p, w.w, C.int64_t(texts), C.int64_t(slots))); err != nil {
		return nil, err
	}
	return p, nil
}

// Free frees the pages.
func (p *Pages) Free() { C.gk_pages_free(p.p) }

// ReadingSlot is the slot of a row that is a token of its text, not a written one;
// its Length is its place. Tokens of a text read each other and nothing else, so a
// pass has all of them, and no written ones.
const ReadingSlot = -1

// Pass computes one token for each row through all layers. tokens, positions and
// blocks say which. The logits are put into logits, [≥ rows · vocabulary], a row behind
// the other, unless it is undefined. What comes of a row does not depend on the others.
func (p *Pages) Pass(logits Tensor, tokens, positions, blocks []int64, rows []CachedRow, places Places) error {
	ids := append(append(append(make([]int64, 0, 3*len(rows)), tokens...), positions...), blocks...)
	return shimError(C.gk_pass(p.p, (*C.int64_t)(unsafe.SliceData(ids)), rowsPointer(rows), places.pointer(), C.int64_t(places.Width), C.int64_t(len(rows)), logits.ptr()))
}

// LimitInstructions lets writers use none but the first instruction sets of plain
// loops, AVX2, AVX-512 and AVX-512 with products of bfloat16, up to number atMost from
// 0 on, and returns the number of the best that there is then. It is for tests.
func LimitInstructions(atMost int) int { return int(C.gk_instructions(C.int(atMost))) }

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
