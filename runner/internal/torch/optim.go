//go:build cgo

package torch

// #include "device.h"
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

// DropGrad forgets the gradients of params, with their memory: the next backward
// pass gives new ones, instead of adding to zeros.
func (s *Scope) DropGrad(params []Tensor) {
	if s.err == nil {
		s.fail("drop_grad", shimError(C.gk_drop_grad(handles(params), C.int(len(params)))))
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

// Book is what a device counts of its own optimizer steps, float32: the updates,
// the factor that the loss is multiplied by, and the steps since that overflowed
// or grew.
type Book struct{ Updates, Scale, Clean float64 }

// Book puts a book on a device.
func (s *Scope) Book(b Book, device Device) Tensor {
	return s.Float32s([]float32{C.GK_UPDATES: float32(b.Updates), C.GK_SCALE: float32(b.Scale), C.GK_CLEAN: float32(b.Clean)}, device, C.GK_BOOK)
}

// BookedScale is a book's factor, [1].
func (s *Scope) BookedScale(book Tensor) Tensor { return s.Narrow(book, 0, C.GK_SCALE, 1) }

// DeviceStep is AdamW whose decisions are taken on the parameters' device:
// gradients are divided by the book's scale and clipped to a norm (0: are not), a
// norm that is not finite changes nothing but the book, and gradients are dropped.
// Under a window above 0 the scale doubles after so many clean steps and halves
// after an overflow, down to 1, as PyTorch's GradScaler does. loss is handed
// through to the figures, which are read later.
func (s *Scope) DeviceStep(loss Tensor, params, m, v []Tensor, decay []float64, book Tensor, lr, beta1, beta2, eps, clip float64, window int) *Reading {
	if s.err != nil {
		return nil
	}
	r := &Reading{}
	s.fail("device step", shimError(C.gk_device_step(&r.c, loss.ptr(), handles(params), handles(m), handles(v), (*C.double)(unsafe.SliceData(decay)),
		C.int(len(params)), book.ptr(), C.double(lr), C.double(beta1), C.double(beta2), C.double(eps), C.double(clip), C.int64_t(window))))
	return r
}

// Reading is the figures of a device's step on their way to the host.
type Reading struct{ c C.gk_reading }

// Figures are those of a step: the norm of its gradient before clipping, whether
// it was finite, the scale that the loss had, and the book behind it.
type Figures struct {
	Loss, Norm float64
	Finite     bool
	Scale      float64
	Book       Book
}

// Wait returns the figures when the device has come to them, and ends the reading.
func (r *Reading) Wait() (Figures, error) {
	var x [C.GK_FIGURES]float32
	err := shimError(C.gk_read(r.c, (*C.float)(&x[0]), C.size_t(len(x))))
	r.c = nil
	book := x[C.GK_BOOK_AFTER:]
	return Figures{
		Loss: float64(x[C.GK_LOSS]), Norm: float64(x[C.GK_NORM]), Finite: x[C.GK_FINITE] > 0, Scale: float64(x[C.GK_SCALE_BEFORE]),
		Book: Book{float64(book[C.GK_UPDATES]), float64(book[C.GK_SCALE]), float64(book[C.GK_CLEAN])},
	}, err
}

// Drop ends a reading that nobody waits for any more; nil and one that has ended
// are left alone.
func (r *Reading) Drop() {
	if r != nil && r.c != nil {
		shimError(C.gk_read(r.c, nil, 0))
		r.c = nil
	}
}
