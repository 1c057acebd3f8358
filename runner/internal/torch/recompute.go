//go:build cgo

package torch

// #include "device.h"
import "C"

import lib "github.com/sugarme/gotch/libtch"

// Within runs f in a scope of its own and takes over its result and its error;
// what else f made is freed.
func (s *Scope) Within(f func(*Scope) Tensor) Tensor {
	if s.err != nil {
		return Tensor{}
	}
	inner := NewScope()
	defer inner.Close()
	t := f(inner)
	if s.err = inner.err; s.err != nil {
		return Tensor{}
	}
	return inner.Move(s, t)
}

// Leaf is x, sharing its memory, with a gradient of its own.
func (s *Scope) Leaf(x Tensor) Tensor {
	return s.RequireGrad(s.tch("detach", func(out *lib.Ctensor) { lib.AtgDetach(out, x.c) }))
}

// Gradient is what Backward has added for a leaf; a tensor of nothing, where it
// has not come by, which BackwardFrom leaves out.
func (s *Scope) Gradient(x Tensor) Tensor {
	return s.tch("grad", func(out *lib.Ctensor) { lib.AtgGrad(out, x.c) })
}

// BackwardFrom is Backward from tensors whose gradients are known, all in one
// pass: a leaf that several depend on, or that is one of them, is reached once.
func (s *Scope) BackwardFrom(ys, gradients []Tensor) {
	if s.err == nil {
		s.fail("backward", shimError(C.gk_backward_from(handles(ys), handles(gradients), C.int(len(ys)))))
	}
}

// GeneratorState is the state of a device's random generator.
func (s *Scope) GeneratorState(device Device) Tensor {
	return s.shim("generator", func(out *C.gk_tensor) *C.char { return C.gk_generator_state(out, C.int(device)) })
}

// SetGeneratorState makes a device's generator draw as it did after state.
func (s *Scope) SetGeneratorState(state Tensor, device Device) {
	if s.err == nil {
		s.fail("generator", shimError(C.gk_set_generator_state(state.ptr(), C.int(device))))
	}
}
