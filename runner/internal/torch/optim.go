//go:build cgo

package torch

// #include "shim.h"
import "C"

import "unsafe"

// handles lays tensors out as C wants a list of them.
func handles(ts []Tensor) *C.gk_tensor {
	if len(ts) == 0 {
		return nil
	}
	// A Tensor is exactly its handle, so the slice already has C's layout.
	return (*C.gk_tensor)(unsafe.Pointer(&ts[0]))
}

// ZeroGrad sets the gradients of params to zero.
func (s *Scope) ZeroGrad(params []Tensor) {
	if s.err == nil {
		s.fail("zero_grad", shimError(C.gk_zero_grad(handles(params), C.int(len(params)))))
	}
}

// GradNorm is the Euclidean norm of all gradients of params together.
func (s *Scope) GradNorm(params []Tensor) float64 {
	if s.err != nil {
		return 0
	}
	var norm C.double
	s.fail("grad norm", shimError(C.gk_grad_norm(handles(params), C.int(len(params)), &norm)))
	return float64(norm)
}

// AdamW is one step of Adam with decoupled weight decay (Loshchilov and
// Hutter, 2019; the order of operations is PyTorch's). decay has one entry per
// parameter; step counts from 1; gradients are multiplied by gradScale first,
// which is how clipping reaches them. Parameters without a gradient stay.
func (s *Scope) AdamW(params, m, v []Tensor, decay []float64, lr, beta1, beta2, eps float64, step int64, gradScale float64) {
	if s.err != nil || len(params) == 0 {
		return
	}
	s.fail("adamw", shimError(C.gk_adamw(handles(params), handles(m), handles(v), (*C.double)(&decay[0]),
		C.int(len(params)), C.double(lr), C.double(beta1), C.double(beta2), C.double(eps), C.int64_t(step), C.double(gradScale))))
}
