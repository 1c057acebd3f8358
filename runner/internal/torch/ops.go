//go:build cgo

package torch

// #include "device.h"
import "C"

import (
	"fmt"
	"unsafe"

	lib "github.com/sugarme/gotch/libtch"
)

// DType is an element type, numbered as in libtorch (c10::ScalarType).
type DType int32

// The element types that GLM needs: ids and positions are Int64, what is learned
// Float32, what matrix products read and write Float32, BFloat16 or Float16.
const (
	Int32    DType = 3
	Int64    DType = 4
	Float16  DType = 5
	Float32  DType = 6
	BFloat16 DType = 15
)

// String is the name of a type as PyTorch has it.
func (t DType) String() string {
	switch t {
	case Int32:
		return "int32"
	case Int64:
		return "int64"
	case Float16:
		return "float16"
	case Float32:
		return "float32"
	case BFloat16:
		return "bfloat16"
	}
	return fmt.Sprintf("type %d", int32(t))
}

// Device is -1 for the CPU, or the index of a CUDA device.
type Device int32

// CPU is the device that is always there.
const CPU Device = -1

func (d Device) String() string {
	if d < 0 {
		return "cpu"
	}
	return fmt.Sprintf("cuda:%d", int32(d))
}

// Int64s returns a tensor of the given shape on a device.
func (s *Scope) Int64s(data []int64, device Device, shape ...int64) Tensor {
	return s.upload("int64s", unsafe.Pointer(unsafe.SliceData(data)), len(data), Int64, device, shape)
}

// Int32s returns a tensor of the given shape on a device.
func (s *Scope) Int32s(data []int32, device Device, shape ...int64) Tensor {
	return s.upload("int32s", unsafe.Pointer(unsafe.SliceData(data)), len(data), Int32, device, shape)
}

// Float32s returns a tensor of the given shape on a device.
func (s *Scope) Float32s(data []float32, device Device, shape ...int64) Tensor {
	return s.upload("float32s", unsafe.Pointer(unsafe.SliceData(data)), len(data), Float32, device, shape)
}

// upload copies data to a device. A GPU gets it from pinned memory while the
// caller goes on.
func (s *Scope) upload(op string, data unsafe.Pointer, n int, dtype DType, device Device, shape []int64) Tensor {
	want := int64(1)
	for _, d := range shape {
		want *= d
	}
	if want != int64(n) || n == 0 {
		s.fail(op, fmt.Errorf("%d values for shape %v", n, shape))
		return Tensor{}
	}
	return s.shim(op, func(out *C.gk_tensor) *C.char {
		return C.gk_upload(out, data, (*C.int64_t)(unsafe.SliceData(shape)), C.int(len(shape)), C.int(dtype), C.int(device))
	})
}

// Zeros returns a tensor of zeros.
func (s *Scope) Zeros(dtype DType, device Device, shape ...int64) Tensor {
	return s.tch("zeros", func(out *lib.Ctensor) {
		lib.AtgZeros(out, shape, len(shape), int32(dtype), int32(device))
	})
}

// Ones returns a tensor of ones.
func (s *Scope) Ones(dtype DType, device Device, shape ...int64) Tensor {
	return s.tch("ones", func(out *lib.Ctensor) {
		lib.AtgOnes(out, shape, len(shape), int32(dtype), int32(device))
	})
}

// FillNormal draws every element of x from N(0, std) in place.
func (s *Scope) FillNormal(x Tensor, std float64) {
	s.tch("normal_", func(out *lib.Ctensor) { lib.AtgNormal_(out, x.c, 0, std) })
}

// To copies x to a device and element type where it is not there already.
func (s *Scope) To(x Tensor, device Device, dtype DType) Tensor {
	return s.shim("to", func(out *C.gk_tensor) *C.char {
		return C.gk_to(out, x.ptr(), C.int(device), C.int(dtype))
	})
}

// Cast converts x to an element type where it has another.
func (s *Scope) Cast(x Tensor, dtype DType) Tensor {
	return s.shim("cast", func(out *C.gk_tensor) *C.char { return C.gk_cast(out, x.ptr(), C.int(dtype)) })
}

// Embedding gathers rows of weight [V, H] by indices of any shape.
func (s *Scope) Embedding(weight, indices Tensor) Tensor {
	return s.tch("embedding", func(out *lib.Ctensor) {
		lib.AtgEmbedding(out, weight.c, indices.c, -1, 0, 0)
	})
}

// Linear returns x·wᵀ + b; b may be undefined.
func (s *Scope) Linear(x, w, b Tensor) Tensor {
	return s.tch("linear", func(out *lib.Ctensor) { lib.AtgLinear(out, x.c, w.c, b.c) })
}

// LayerNorm normalises the last dimension of x; the result has the given type.
func (s *Scope) LayerNorm(x, w, b Tensor, eps float64, dtype DType) Tensor {
	return s.shim("layer norm", func(out *C.gk_tensor) *C.char {
		return C.gk_norm(out, x.ptr(), w.ptr(), b.ptr(), C.double(eps), C.int(dtype))
	})
}

// GELU is the Gaussian error linear unit: by its tanh approximation, as GLM
// has it, or exact, as BERT.
func (s *Scope) GELU(x Tensor, approximate bool) Tensor {
	return s.shim("gelu", func(out *C.gk_tensor) *C.char {
		return C.gk_gelu(out, x.ptr(), cInt(approximate))
	})
}

// Tanh is the hyperbolic tangent.
func (s *Scope) Tanh(x Tensor) Tensor {
	return s.tch("tanh", func(out *lib.Ctensor) { lib.AtgTanh(out, x.c) })
}

// ReLU is max(x, 0).
func (s *Scope) ReLU(x Tensor) Tensor {
	return s.tch("relu", func(out *lib.Ctensor) { lib.AtgRelu(out, x.c) })
}

// Dropout zeroes elements with probability p and scales the rest; p 0 returns x.
func (s *Scope) Dropout(x Tensor, p float64) Tensor {
	if p == 0 {
		return x
	}
	return s.AddDropped(Tensor{}, x, p)
}

// AddDropped returns base + dropout(x), in base's type; without a base,
// dropout(x). What is dropped depends on Seed and the calls since alone.
func (s *Scope) AddDropped(base, x Tensor, p float64) Tensor {
	return s.shim("dropout", func(out *C.gk_tensor) *C.char {
		return C.gk_add_dropped(out, base.ptr(), x.ptr(), C.double(p))
	})
}

// Add returns a + b with broadcasting.
func (s *Scope) Add(a, b Tensor) Tensor {
	return s.tch("add", func(out *lib.Ctensor) { lib.AtgAdd(out, a.c, b.c) })
}

// Mul returns a · b element by element with broadcasting.
func (s *Scope) Mul(a, b Tensor) Tensor {
	return s.tch("mul", func(out *lib.Ctensor) { lib.AtgMul(out, a.c, b.c) })
}

// Scale returns x times a number.
func (s *Scope) Scale(x Tensor, by float64) Tensor {
	if s.err != nil {
		return Tensor{}
	}
	factor := lib.AtsFloat(by)
	defer lib.AtsFree(factor)
	return s.tch("mul", func(out *lib.Ctensor) { lib.AtgMulScalar(out, x.c, factor) })
}

// Reshape returns x in another shape; -1 is inferred.
func (s *Scope) Reshape(x Tensor, shape ...int64) Tensor {
	return s.tch("reshape", func(out *lib.Ctensor) { lib.AtgReshape(out, x.c, shape, len(shape)) })
}

// Transpose swaps two dimensions.
func (s *Scope) Transpose(x Tensor, a, b int64) Tensor {
	return s.tch("transpose", func(out *lib.Ctensor) { lib.AtgTranspose(out, x.c, a, b) })
}

// Narrow returns the part [start, start+length) of a dimension.
func (s *Scope) Narrow(x Tensor, dim, start, length int64) Tensor {
	return s.tch("narrow", func(out *lib.Ctensor) { lib.AtgNarrow(out, x.c, dim, start, length) })
}

// Rows selects rows of dimension 0 by an int64 index.
func (s *Scope) Rows(x, index Tensor) Tensor {
	return s.tch("index_select", func(out *lib.Ctensor) { lib.AtgIndexSelect(out, x.c, 0, index.c) })
}

// Gather picks along a dimension by an int64 index of x's rank.
func (s *Scope) Gather(x Tensor, dim int64, index Tensor) Tensor {
	return s.tch("gather", func(out *lib.Ctensor) { lib.AtgGather(out, x.c, dim, index.c, 0) })
}

// ScatterAdd returns x with values added at index along a dimension.
func (s *Scope) ScatterAdd(x Tensor, dim int64, index, values Tensor) Tensor {
	return s.tch("scatter_add", func(out *lib.Ctensor) { lib.AtgScatterAdd(out, x.c, dim, index.c, values.c) })
}

// LogSoftmax is taken over a dimension.
func (s *Scope) LogSoftmax(x Tensor, dim int64) Tensor {
	return s.tch("log_softmax", func(out *lib.Ctensor) { lib.AtgLogSoftmax(out, x.c, dim, int32(Float32)) })
}

// CrossEntropySum is the summed negative log-likelihood of int64 targets [N]
// under logits [N, C], in nats, as float32. smoothing is the share of a target's
// probability that is spread evenly over all classes.
func (s *Scope) CrossEntropySum(logits, targets Tensor, smoothing float64) Tensor {
	return s.shim("cross entropy", func(out *C.gk_tensor) *C.char {
		return C.gk_cross_entropy(out, logits.ptr(), targets.ptr(), C.double(smoothing))
	})
}

// Argmax returns the int64 index of the largest element along a dimension.
func (s *Scope) Argmax(x Tensor, dim int64) Tensor {
	return s.tch("argmax", func(out *lib.Ctensor) { lib.AtgArgmax(out, x.c, dim, 0, 0) })
}

// Sum adds all elements.
func (s *Scope) Sum(x Tensor) Tensor {
	return s.tch("sum", func(out *lib.Ctensor) { lib.AtgSum(out, x.c, int32(Float32)) })
}

// AttentionForm is a way to compute attention.
type AttentionForm int

// OwnAttention is the CPU kernel of this package: no mask, no padding, scores of
// one head and some rows at a time. LibtorchAttention is libtorch's fused kernel
// over a mask (FusedAttention tells whether there is one), PlainAttention its
// single operations. PackedForm is PackedAttention, which wants its tokens in
// another order; Attention does not take it.
const (
	OwnAttention      AttentionForm = C.GK_OWN_ATTENTION
	LibtorchAttention AttentionForm = C.GK_LIBTORCH_ATTENTION
	PlainAttention    AttentionForm = C.GK_PLAIN_ATTENTION
	PackedForm        AttentionForm = -1
)

// Attention is softmax(q·kᵀ/√d)·v for each head. qkv is [B, T, 3·hidden], queries
// before keys before values, heads side by side; the result [B, T, hidden]. Token
// i of sequence b sees token j where j < sep[b] or j ≤ i (sep, used: int64 [B]).
// What tokens from used[b] on get is not defined. starts, if defined (int64
// [B, T]), makes Part B a root, its first token, and branches: token i behind the
// root then sees of Part B the root and j with starts[b, i] ≤ j ≤ i. wanted, if
// defined (int64 [B]), says that what tokens before wanted[b] get is not read: it
// need not be computed.
func (s *Scope) Attention(qkv, sep, used, starts, wanted Tensor, heads int, dropout float64, form AttentionForm) Tensor {
	return s.shim("attention", func(out *C.gk_tensor) *C.char {
		return C.gk_attention(out, qkv.ptr(), sep.ptr(), used.ptr(), starts.ptr(), wanted.ptr(), C.int64_t(heads), C.double(dropout), C.int(form))
	})
}

// Cat joins tensors along dimension 0.
func (s *Scope) Cat(parts ...Tensor) Tensor {
	tensors := make([]lib.Ctensor, len(parts))
	for i, p := range parts {
		tensors[i] = p.c
	}
	return s.tch("cat", func(out *lib.Ctensor) { lib.AtgCat(out, tensors, len(tensors), 0) })
}

// Backward adds the gradient of a scalar loss to the parameters it depends on.
func (s *Scope) Backward(loss Tensor) {
	if s.err != nil {
		return
	}
	s.tchVoid("backward", func() { lib.AtBackward(loss.c, 0, 0) })
}

// RequireGrad makes x a leaf whose gradient Backward computes.
func (s *Scope) RequireGrad(x Tensor) Tensor {
	if s.err == nil {
		s.fail("requires_grad", shimError(C.gk_requires_grad(x.ptr())))
	}
	return x
}

func (s *Scope) tchVoid(op string, call func()) {
	call()
	if msg := lib.GetAndResetLastErr(); msg != nil {
		s.fail(op, shimError((*C.char)(unsafe.Pointer(msg))))
	}
}

// Shape returns the sizes of x.
func (s *Scope) Shape(x Tensor) []int64 {
	if s.err != nil {
		return nil
	}
	var dims [8]int64
	var n C.int
	s.fail("shape", shimError(C.gk_shape(x.ptr(), (*C.int64_t)(&dims[0]), C.int(len(dims)), &n)))
	return append([]int64(nil), dims[:n]...)
}

func (s *Scope) numel(x Tensor) int {
	var n C.int64_t
	s.fail("numel", shimError(C.gk_numel(x.ptr(), &n)))
	return int(n)
}

// Floats copies x to Go memory, whatever its device and element type; it
// waits for the device.
func (s *Scope) Floats(x Tensor) []float32 {
	if s.err != nil {
		return nil
	}
	out := make([]float32, s.numel(x))
	if len(out) > 0 && s.err == nil {
		s.fail("reading", shimError(C.gk_data_float(x.ptr(), (*C.float)(&out[0]), C.size_t(len(out)))))
	}
	return out
}

// Ints copies an integer tensor to Go memory; it waits for the device.
func (s *Scope) Ints(x Tensor) []int64 {
	if s.err != nil {
		return nil
	}
	out := make([]int64, s.numel(x))
	if len(out) > 0 && s.err == nil {
		s.fail("reading", shimError(C.gk_data_int64(x.ptr(), (*C.int64_t)(&out[0]), C.size_t(len(out)))))
	}
	return out
}

// Item returns the only element of x.
func (s *Scope) Item(x Tensor) float64 {
	if v := s.Floats(x); len(v) == 1 {
		return float64(v[0])
	}
	s.fail("item", fmt.Errorf("a tensor of more or less than one element"))
	return 0
}

// SetFloats overwrites x with values, whatever its device.
func (s *Scope) SetFloats(x Tensor, values []float32) {
	if s.err != nil {
		return
	}
	if len(values) == 0 {
		s.fail("filling", fmt.Errorf("no values"))
		return
	}
	s.fail("filling", shimError(C.gk_copy_float(x.ptr(), (*C.float)(&values[0]), C.size_t(len(values)))))
}

func cInt(b bool) C.int {
	if b {
		return 1
	}
	return 0
}
