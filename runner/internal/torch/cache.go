//go:build cgo

package torch

// #include "cache.h"
import "C"
import "unsafe"

// CachedRow is one new token: the text that it belongs to and how many tokens
// that has, the slot of what was written before it and how many tokens that is.
type CachedRow struct{ Text, Sep, Slot, Length int64 }

// CachedAttention is Attention of one new token a row, qkv [rows, 3·hidden],
// each over its text and its slot; the result is [rows, hidden]. context is the
// qkv of the texts, [texts, tokens, 3·hidden]; the new keys and values are put
// into written, [slots, capacity, 2·hidden], behind those that a slot has.
// Rows have slots of their own. Float32.
func (s *Scope) CachedAttention(qkv, context, written Tensor, rows []CachedRow, heads int) Tensor {
	return s.shim("cached attention", func(out *C.gk_tensor) *C.char {
		return C.gk_cached_attention(out, qkv.ptr(), context.ptr(), written.ptr(), (*C.gk_cached_row)(unsafe.Pointer(unsafe.SliceData(rows))), C.int64_t(heads))
	})
}

// CopySlots gives slots the first length tokens of other slots, all at once: a
// slot may be copied to another and be overwritten itself.
func (s *Scope) CopySlots(written Tensor, to, from []int64, length int) {
	if s.err != nil {
		return
	}
	msg := C.gk_copy_slots(written.ptr(), (*C.int64_t)(unsafe.SliceData(to)), (*C.int64_t)(unsafe.SliceData(from)), C.int64_t(len(to)), C.int64_t(length))
	s.fail("copy slots", shimError(msg))
}
