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
	"github.com/glmkit/glmkit/runner/internal/torch"
)

// namedTensor pairs a tensor with its name in a file.
type namedTensor struct {
	name   string
	shape  []int64
	tensor torch.Tensor
}

// named lists tensors laid out as a model's parameters, with a prefix.
func named(p *parameters, prefix string, ts []torch.Tensor) []namedTensor {
	out := make([]namedTensor, len(ts))
	for i, t := range ts {
		out[i] = namedTensor{prefix + p.weights[i].name, p.weights[i].shape, t}
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
	values := s.Floats(v.tensor)
	if err := s.Err(); err != nil && *v.failed == nil {
		*v.failed = fmt.Errorf("reading %s: %w", v.name, err)
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
	if err := errors.Join(failed, w.Flush()); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return f.Close()
}

// readTensors fills tensors from a safetensors file. Names and shapes must be
// exactly those asked for.
func readTensors(path string, ts []namedTensor) error {
	bad := func(err error, hint string) error { return &corpus.DataError{Path: path, Err: err, Hint: hint} }
	data, err := os.ReadFile(path)
	if err != nil {
		return bad(err, "")
	}
	file, err := safetensors.Deserialize(data)
	if err != nil {
		return bad(fmt.Errorf("not a whole safetensors file: %w", err), "an earlier checkpoint of the same run")
	}
	const hint = "the configuration that the checkpoint was trained with"
	wanted := make(map[string]bool, len(ts))
	s := torch.NewScope()
	defer s.Close()
	for _, t := range ts {
		wanted[t.name] = true
		v, ok := file.Tensor(t.name)
		if !ok {
			return bad(fmt.Errorf("has no tensor %q", t.name), hint)
		}
		if !slices.Equal(v.Shape(), unsigned(t.shape)) {
			return bad(fmt.Errorf("tensor %q is %v, the model's is %v", t.name, v.Shape(), t.shape), hint)
		}
		if v.DType() != safetensors.F32 {
			return bad(fmt.Errorf("tensor %q is of type %s, not F32", t.name, v.DType()), "")
		}
		s.SetFloats(t.tensor, floats(v.Data()))
	}
	for _, name := range file.Names() {
		if !wanted[name] {
			return bad(fmt.Errorf("has a tensor %q that the model lacks", name), hint)
		}
	}
	if err := s.Err(); err != nil {
		return bad(err, "")
	}
	if len(ts) == 0 {
		return bad(errors.New("nothing to read"), "")
	}
	return nil
}

func floats(data []byte) []float32 {
	out := make([]float32, len(data)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}
	return out
}
