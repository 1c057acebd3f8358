//go:build cgo

package runner

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"

	"github.com/nlpodyssey/safetensors"

	"github.com/glmkit/glmkit/corpus"
	"github.com/glmkit/glmkit/runner/internal/tensorfile"
	"github.com/glmkit/glmkit/runner/internal/torch"
)

// namedTensor pairs a tensor with its name in a file.
type namedTensor struct {
	name   string
	shape  []int64
	tensor torch.Tensor
	// Where this process has only some of the elements, in a flat tensor: which
	// ones, and how to get all.
	part  *slice
	whole func(*torch.Scope) (torch.Tensor, error)
}

// named lists tensors laid out as a model's parameters, with a prefix.
func named(p *parameters, prefix string, ts []torch.Tensor) []namedTensor {
	out := make([]namedTensor, len(ts))
	for i, t := range ts {
		out[i] = namedTensor{name: prefix + p.weights[i].name, shape: p.weights[i].shape, tensor: t}
	}
	return out
}

// view presents a tensor to the safetensors writer as little-endian float32,
// copied out of libtorch only when its turn comes. The writer knows no errors
// of a view, so they wait in failed.
type view struct {
	namedTensor
	failed *error
}

func (v view) DType() safetensors.DType { return safetensors.F32 }

func (v view) Shape() []uint64 { return unsigned(v.shape) }

func (v view) DataLen() uint64 {
	n := uint64(4)
	for _, d := range v.shape {
		n *= uint64(d)
	}
	return n
}

func (v view) Data() []byte {
	s := torch.NewScope()
	defer s.Close()
	if *v.failed != nil {
		return nil // the file is lost, and other ranks may be gone
	}
	tensor, err := v.tensor, error(nil)
	if v.whole != nil {
		tensor, err = v.whole(s)
	}
	var values []float32
	if err == nil {
		values, err = s.Floats(tensor), s.Err()
	}
	if err != nil {
		*v.failed = fmt.Errorf("reading %s: %w", v.name, err)
		return nil
	}
	data := make([]byte, 0, 4*len(values))
	for _, x := range values {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(x))
	}
	return data
}

func unsigned(shape []int64) []uint64 {
	out := make([]uint64, len(shape))
	for i, d := range shape {
		out[i] = uint64(d)
	}
	return out
}

// writeTensors writes a safetensors file and syncs it.
func writeTensors(path string, ts []namedTensor) error {
	var failed error
	views := make(map[string]view, len(ts))
	for _, t := range ts {
		views[t.name] = view{t, &failed}
	}
	return writeViews(path, views, &failed)
}

// writeViews writes tensors one after another and syncs the file. failed is where
// views put errors.
func writeViews[V safetensors.View](path string, views map[string]V, failed *error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	// The format key is what Hugging Face's loader asks for.
	if err := safetensors.SerializeToWriter(views, map[string]string{"format": "pt"}, w); err != nil {
		return err
	}
	if err := errors.Join(*failed, w.Flush()); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return f.Close()
}

// readTensors fills tensors from a safetensors file that writeTensors wrote, one
// after another. Names and shapes must be exactly those asked for.
func readTensors(path string, ts []namedTensor) error {
	const hint = "the configuration that the checkpoint was trained with"
	bad := func(format string, args ...any) error {
		return &corpus.DataError{Path: path, Err: fmt.Errorf(format, args...), Hint: hint}
	}
	file, err := tensorfile.Open(path)
	if err != nil {
		var data *corpus.DataError
		if errors.As(err, &data) {
			data.Hint = "an earlier checkpoint of the same run"
		}
		return err
	}
	defer file.Close()
	wanted := make(map[string]bool, len(ts))
	for _, t := range ts {
		wanted[t.name] = true
		got, ok := file.Tensors[t.name]
		if !ok {
			return bad("has no tensor %q", t.name)
		}
		if !slices.Equal(got.Shape, t.shape) {
			return bad("tensor %q is %v, the model's is %v", t.name, got.Shape, t.shape)
		}
		if got.DType != tensorfile.F32 {
			return bad("tensor %q is of type %s, not F32", t.name, got.DType)
		}
	}
	for name := range file.Tensors {
		if !wanted[name] {
			return bad("has a tensor %q that the model lacks", name)
		}
	}
	s := torch.NewScope()
	defer s.Close()
	var reader weightReader
	for _, t := range ts {
		values, err := reader.float32s(stored{parts: []*tensorfile.Tensor{file.Tensors[t.name]}})
		if err != nil {
			return err
		}
		if t.part != nil {
			if values = values[t.part.from:t.part.to]; len(values) == 0 {
				continue
			}
		}
		s.SetFloats(t.tensor, values)
	}
	return s.Err()
}
