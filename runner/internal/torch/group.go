//go:build cgo

package torch

// #include <stdlib.h>
// #include "group.h"
import "C"

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	lib "github.com/sugarme/gotch/libtch"
)

// HasGloo tells whether this libtorch was built with collectives for CPUs and
// their headers were there when glmkit was.
func HasGloo() bool { return C.gk_has_gloo() != 0 }

// HasNCCL tells the same of collectives between CUDA devices.
func HasNCCL() bool { return C.gk_has_nccl() != 0 }

// GroupError says that processes could not reach each other: one of them ended,
// or the network between them failed.
type GroupError struct{ Err error }

func (e *GroupError) Error() string { return e.Err.Error() }

// Unwrap returns what libtorch said.
func (e *GroupError) Unwrap() error { return e.Err }

// groupError turns a message of the C++ file into a GroupError.
func groupError(what string, msg *C.char) error {
	if err := shimError(msg); err != nil {
		return &GroupError{fmt.Errorf("%s: %w", what, err)}
	}
	return nil
}

// Store is a table of texts that all processes of a group see (c10d's TCPStore).
// It may be used by one goroutine at a time, on any thread.
type Store struct{ c C.gk_store }

// OpenStore connects to the store at host and port, or serves it there too.
// timeout bounds every wait for an answer.
func OpenStore(host string, port int, serve bool, timeout time.Duration) (*Store, error) {
	name := C.CString(host)
	defer C.free(unsafe.Pointer(name))
	s := &Store{}
	return s, groupError("store", C.gk_store_open(&s.c, name, C.int(port), cInt(serve), C.double(timeout.Seconds())))
}

// Close ends the connection, and the store itself where it is served.
func (s *Store) Close() { C.gk_store_close(s.c) }

// Set puts a text under a key.
func (s *Store) Set(key, value string) error {
	k, v := C.CString(key), C.CString(value)
	defer C.free(unsafe.Pointer(k))
	defer C.free(unsafe.Pointer(v))
	return groupError("store", C.gk_store_set(s.c, k, v))
}

// Get returns the text under a key; ok is false where there is none.
func (s *Store) Get(key string) (value string, ok bool, err error) {
	k := C.CString(key)
	defer C.free(unsafe.Pointer(k))
	var v *C.char
	if err := groupError("store", C.gk_store_get(s.c, k, &v)); err != nil || v == nil {
		return "", false, err
	}
	defer C.free(unsafe.Pointer(v))
	return C.GoString(v), true, nil
}

// Group is processes that compute together: every method is called by all of
// them, in the same order, on their tensor threads.
type Group struct{ c C.gk_group }

// OpenGroup joins a group of size processes as number rank, which find each other
// through the store at host: over NCCL where device is a CUDA device and this
// libtorch has it, else over Gloo. An operation that waits for longer than timeout
// fails.
func OpenGroup(s *Store, host string, rank, size int, device Device, timeout time.Duration) (*Group, error) {
	if !HasGloo() && (device == CPU || !HasNCCL()) {
		return nil, errors.New("this libtorch has no collectives for " + device.String())
	}
	name := C.CString(host)
	defer C.free(unsafe.Pointer(name))
	g := &Group{}
	return g, groupError("joining", C.gk_group_open(&g.c, s.c, name, C.int(rank), C.int(size), C.int(device), C.double(timeout.Seconds())))
}

// Close leaves the group.
func (g *Group) Close() { C.gk_group_close(g.c) }

// Sum adds up each value over all processes.
func (g *Group) Sum(values []float64) error {
	if len(values) == 0 {
		return nil
	}
	return groupError("summing numbers", C.gk_group_sum(g.c, (*C.double)(&values[0]), C.size_t(len(values))))
}

// SumTensor adds up x over all processes, in place.
func (g *Group) SumTensor(s *Scope, x Tensor) {
	if s.err == nil {
		s.fail("all-reduce", groupError("summing a tensor", C.gk_group_sum_tensor(g.c, x.ptr())))
	}
}

// Buckets hold parameters and their gradients in flat tensors, so that gradients
// travel in large pieces while backward still runs, and every process updates a
// stretch of the parameters' row. The parameters move into the buckets and stay
// there when they are closed.
type Buckets struct{ c C.gk_buckets }

// NewBuckets lays parameters of one device and element type into buckets of at
// most so many elements, or of one parameter.
func (g *Group) NewBuckets(params []Tensor, elements int64) (*Buckets, error) {
	b := &Buckets{}
	return b, shimError(C.gk_buckets_open(&b.c, g.c, handles(params), C.int(len(params)), C.int64_t(elements)))
}

// Close stops watching the parameters' gradients.
func (b *Buckets) Close() { C.gk_buckets_close(b.c) }

// Owned returns which elements of a parameter this process updates.
func (b *Buckets) Owned(param int) (from, to int64) {
	C.gk_buckets_owned(b.c, C.int(param), (*C.int64_t)(&from), (*C.int64_t)(&to))
	return from, to
}

// Arm says that the next Backward is the last before Reduce: a bucket is sent as
// soon as its gradients are there.
func (b *Buckets) Arm() { C.gk_buckets_arm(b.c) }

// Reduce waits until every gradient is the sum of all processes' gradients. A
// process may have computed none. Parameters that had no gradient anywhere, in
// any step so far, have none still.
func (b *Buckets) Reduce() error {
	return groupError("summing gradients", C.gk_buckets_reduce(b.c))
}

// Share sends the parameters' elements that this process owns to all others and
// receives theirs.
func (b *Buckets) Share() error {
	return groupError("sharing weights", C.gk_buckets_share(b.c))
}

// Spread sends process 0's parameters to all.
func (b *Buckets) Spread() error {
	return groupError("spreading weights", C.gk_buckets_spread(b.c))
}

// Slice is a flat view of elements [from, to) of a parameter, without a gradient.
func (s *Scope) Slice(x Tensor, from, to int64) Tensor {
	return s.shim("slice", func(out *C.gk_tensor) *C.char {
		return C.gk_slice(out, x.ptr(), C.int64_t(from), C.int64_t(to))
	})
}

// SliceGrad gives a Slice of x the same elements of x's gradient, if it has one.
func (s *Scope) SliceGrad(slice, x Tensor, from, to int64) {
	if s.err == nil {
		s.fail("slice of a gradient", shimError(C.gk_slice_grad(slice.ptr(), x.ptr(), C.int64_t(from), C.int64_t(to))))
	}
}

// Copy overwrites x with the elements of another tensor of its shape.
func (s *Scope) Copy(x, from Tensor) {
	if s.err == nil {
		s.tchVoid("copy", func() { lib.AtCopy_(x.c, from.c) })
	}
}
