//go:build cgo

package torch

// #include "shim.h"
import "C"

import lib "github.com/sugarme/gotch/libtch"

// Version returns libtorch's version, e.g. 1.13.1.
func Version() string { return C.GoString(C.gk_version()) }

// FusedAttention tells whether this libtorch has a fused attention kernel.
func FusedAttention() bool { return C.gk_has_fused_attention() != 0 }

// BFloat16Products tells whether the processor has instructions for products of
// bfloat16 numbers.
func BFloat16Products() bool { return C.gk_has_bfloat16() != 0 }

// CUDADevices returns the number of CUDA devices that libtorch can use.
func CUDADevices() int {
	if !lib.AtcCudaIsAvailable() {
		return 0
	}
	return int(lib.AtcCudaDeviceCount())
}

// SetThreads sets how many threads libtorch's CPU operations use; left alone
// it may be one.
func SetThreads(n int) { C.gk_set_threads(C.int(n)) }

// Threads returns how many threads libtorch's CPU operations use.
func Threads() int { return int(C.gk_threads()) }

// SetGrad switches the recording of gradients on this thread.
func SetGrad(on bool) { C.gk_set_grad(cInt(on)) }

// Seed seeds libtorch's generators on every device.
func Seed(seed uint64) error { return shimError(C.gk_manual_seed(C.uint64_t(seed))) }

// Seed is Seed, whose error is the scope's.
func (s *Scope) Seed(seed uint64) {
	if s.err == nil {
		s.fail("seeding", Seed(seed))
	}
}
