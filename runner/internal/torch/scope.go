//go:build cgo

package torch

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
	"unsafe"

	lib "github.com/sugarme/gotch/libtch"
)

// Tensor is a handle to a libtorch tensor. The zero Tensor is undefined: as an
// optional argument it means none.
type Tensor struct{ c lib.Ctensor }

// Defined tells whether t refers to a tensor.
func (t Tensor) Defined() bool { return t.c != nil }

func (t Tensor) ptr() C.gk_tensor { return C.gk_tensor(unsafe.Pointer(t.c)) }

// live counts the handles not yet freed; the tensor thread alone touches it.
var live int

// Live returns the number of tensor handles not yet freed. Call it inside Do.
func Live() int { return live }

// Scope owns tensors and remembers the first error. Its methods are the
// operations; each result belongs to the scope. Use it on the tensor thread
// alone.
type Scope struct {
	owned []lib.Ctensor
	err   error
}

// NewScope returns an empty scope. Close it.
func NewScope() *Scope { return &Scope{} }

// Close frees every tensor of the scope.
func (s *Scope) Close() {
	for _, c := range s.owned {
		lib.AtFree(c)
	}
	live -= len(s.owned)
	s.owned = s.owned[:0]
}

// Err returns the first error of the scope's operations.
func (s *Scope) Err() error { return s.err }

// Move hands t over from s to another scope, which frees it from then on.
func (s *Scope) Move(to *Scope, t Tensor) Tensor {
	for i := len(s.owned) - 1; i >= 0; i-- {
		if s.owned[i] == t.c {
			s.owned = append(s.owned[:i], s.owned[i+1:]...)
			to.owned = append(to.owned, t.c)
			break
		}
	}
	return t
}

// fail records the first error.
func (s *Scope) fail(op string, err error) {
	if s.err == nil && err != nil {
		s.err = fmt.Errorf("%s: %w", op, err)
	}
}

// tch runs one call of libtch that yields one tensor.
func (s *Scope) tch(op string, call func(out *lib.Ctensor)) Tensor {
	if s.err != nil {
		return Tensor{}
	}
	var out [1]lib.Ctensor
	call(&out[0])
	if msg := lib.GetAndResetLastErr(); msg != nil {
		text := C.GoString((*C.char)(unsafe.Pointer(msg)))
		C.free(unsafe.Pointer(msg))
		s.fail(op, errors.New(firstLine(text)))
		return Tensor{}
	}
	return s.own(out[0])
}

// shim runs one call of our own C++ that yields one tensor.
func (s *Scope) shim(op string, call func(out *C.gk_tensor) *C.char) Tensor {
	if s.err != nil {
		return Tensor{}
	}
	var out C.gk_tensor
	if err := shimError(call(&out)); err != nil {
		s.fail(op, err)
		return Tensor{}
	}
	return s.own(lib.Ctensor(unsafe.Pointer(out)))
}

func (s *Scope) own(c lib.Ctensor) Tensor {
	if c == nil {
		s.fail("tensor", errors.New("libtorch returned none"))
		return Tensor{}
	}
	s.owned = append(s.owned, c)
	live++
	return Tensor{c}
}

// shimError turns a message of the C++ file into an error and frees it.
func shimError(msg *C.char) error {
	if msg == nil {
		return nil
	}
	defer C.free(unsafe.Pointer(msg))
	return errors.New(firstLine(C.GoString(msg)))
}

// firstLine drops the C++ backtrace that libtorch appends.
func firstLine(text string) string {
	for i := range len(text) {
		if text[i] == '\n' {
			return text[:i]
		}
	}
	return text
}
