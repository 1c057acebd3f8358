//go:build cgo

package torch

// #include "packed.h"
import "C"

import "unsafe"

// Packing is how the sequences of a batch lie for PackedAttention: every Part A,
// one after the other, then every Part B, without padding.
type Packing struct {
	a, b         []int64 // tokens of each sequence's parts
	sumsA, sumsB Tensor  // where each part begins, and the end; int32, on the device
}

// Packing lays out sequences with a[i] tokens of Part A and b[i] of Part B. Where
// b[i] is not 0, a[i] must not be.
func (s *Scope) Packing(a, b []int64, device Device) *Packing {
	sums := func(lengths []int64) Tensor {
		ends := make([]int32, 1, len(lengths)+1)
		for i, n := range lengths {
			ends = append(ends, ends[i]+int32(n))
		}
		return s.Int32s(ends, device, int64(len(ends)))
	}
	return &Packing{a: a, b: b, sumsA: sums(a), sumsB: sums(b)}
}

// PackedAttention is Attention over packed sequences: qkv is [1, tokens, 3·hidden],
// the result [1, tokens, hidden]. No mask exists, nor a padded token. PackedProblem
// tells where it cannot be had.
func (s *Scope) PackedAttention(qkv Tensor, p *Packing, heads int, dropout float64) Tensor {
	return s.shim("packed attention", func(out *C.gk_tensor) *C.char {
		return C.gk_packed_attention(out, qkv.ptr(), p.sumsA.ptr(), p.sumsB.ptr(),
			(*C.int64_t)(unsafe.SliceData(p.a)), (*C.int64_t)(unsafe.SliceData(p.b)), C.int64_t(len(p.a)), C.int64_t(heads), C.double(dropout))
	})
}

// PackedProblem says why there is no PackedAttention for a device, an element
// type, heads of a size and a dropout; nil: there is. It runs it on a few tokens.
func PackedProblem(device Device, dtype DType, headSize int, dropout float64) error {
	return shimError(C.gk_packed_problem(C.int(device), C.int(dtype), C.int64_t(headSize), C.double(dropout)))
}
