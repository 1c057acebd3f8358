//go:build cgo

package runner

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/nlpodyssey/safetensors"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/runner/internal/tensorfile"
	"github.com/glmkit/glmkit/runner/internal/torch"
)

// Converted says what Convert wrote.
type Converted struct {
	From       string // one line about the weights, as they were
	Parameters int64
	Notes      []string // what a person should know of them
}

// Convert writes the weights at a path, in any form that --from takes, as a
// folder in Hugging Face's layout: model.safetensors with the names of the
// released checkpoints in the element types that the weights have, config.json,
// and the vocabulary where one came along. c.Model names what the weights do not
// say, their heads. The weights pass through memory one by one. out must not exist
// or be empty.
//
// positions, where it is more than the weights have, lengthens the position tables;
// the new rows are those that a training begun with c.Train.Seed draws.
func Convert(ctx context.Context, from string, c *configs.Config, positions int, out string) (Converted, error) {
	var done Converted
	if entries, err := os.ReadDir(out); err == nil && len(entries) > 0 || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return done, &configs.Error{Field: out, Msg: "is not an empty folder", Hint: "the name of a new one"}
	}
	o, err := openOrigin(from)
	if err != nil {
		return done, err
	}
	defer o.close()
	m, err := o.model(c.Model)
	if err != nil {
		return done, err
	}
	m.Vocab, m.MaxPositions = o.shape.Vocab, o.shape.MaxPositions // as they are
	if positions > 0 {
		if positions < m.MaxPositions {
			return done, &configs.Error{Field: "--positions", Msg: fmt.Sprintf("%s has %d positions already, which cannot become %d", from, m.MaxPositions, positions), Hint: "a larger number"}
		}
		m.MaxPositions = positions
	}
	out = filepath.Clean(out)
	if err := os.MkdirAll(filepath.Dir(out), 0o777); err != nil {
		return done, err
	}
	temporary, err := os.MkdirTemp(filepath.Dir(out), ".unfinished-")
	if err != nil {
		return done, err
	}
	defer os.RemoveAll(temporary)
	if err := os.Chmod(temporary, 0o755); err != nil {
		return done, err
	}
	ws, err := declare(m)
	if err != nil {
		return done, err
	}
	var classifier int
	if head, ok := o.ready["classifier.bias"]; ok && len(head.shape) == 1 {
		// The head of a finetuned model is a part of what is converted.
		classifier = int(head.shape[0])
		ws = append(ws, classifierWeights(m, classifier)...)
	}
	var failed error
	var reader weightReader
	views := map[string]storedView{}
	for i, w := range ws {
		from, ok := o.ready[w.name]
		if !ok {
			continue
		}
		if from.shape[0] < w.shape[0] {
			o.note("%s", grown(w, from))
		}
		views[w.name] = storedView{ctx: ctx, stored: from, weight: w, index: i, seed: c.Train.Seed, reader: &reader, failed: &failed}
		done.Parameters += w.size()
	}
	if err := writeViews(filepath.Join(temporary, modelFile), views, &failed); err != nil {
		return done, err
	}
	config, err := hubConfig(m, classifier, hubDTypes[string(o.ready[o.words()].parts[0].DType)])
	if err != nil {
		return done, err
	}
	files := map[string][]byte{hubConfigFile: config}
	for name, content := range o.vocabulary {
		files[name] = content
	}
	for name, content := range files {
		if err := writeSynced(filepath.Join(temporary, name), content); err != nil {
			return done, err
		}
	}
	if err := os.Remove(out); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return done, err
	}
	if err := os.Rename(temporary, out); err != nil {
		return done, err
	}
	done.From, done.Notes = o.describe(m), o.notes
	return done, syncDir(filepath.Dir(out))
}

// storedView presents a weight to the safetensors writer as its files hold it,
// read when its turn comes, and after the stored rows those that it has besides.
type storedView struct {
	stored
	weight weight
	index  int // among those of the model
	seed   uint64
	ctx    context.Context
	reader *weightReader
	failed *error
}

func (v storedView) DType() safetensors.DType {
	dtype, err := safetensors.ParseDType(string(v.parts[0].DType))
	v.fail(err)
	return dtype
}

func (v storedView) Shape() []uint64 { return unsigned(v.weight.shape) }

func (v storedView) DataLen() uint64 { return uint64(v.weight.size() * v.parts[0].DType.Size()) }

func (v storedView) Data() []byte {
	if *v.failed != nil {
		return nil
	}
	if err := v.ctx.Err(); err != nil {
		v.fail(err)
		return nil
	}
	data, err := v.reader.bytes(v.stored)
	if err == nil && v.shape[0] < v.weight.shape[0] {
		var rows []float32
		rows, err = v.newRows()
		data = tensorfile.Append(data, rows, v.parts[0].DType)
	}
	v.fail(err)
	return data
}

// newRows are those that the weight has and its files have not.
func (v storedView) newRows() (rows []float32, err error) {
	err = torch.Do(func() error {
		s := torch.NewScope()
		defer s.Close()
		x := s.Zeros(torch.Float32, torch.CPU, v.weight.shape...)
		if err := v.weight.draw(s, x, v.index, v.seed); err != nil {
			return err
		}
		rows = s.Floats(s.Narrow(x, 0, v.shape[0], v.weight.shape[0]-v.shape[0]))
		return s.Err()
	})
	return rows, err
}

func (v storedView) fail(err error) {
	if *v.failed == nil {
		*v.failed = err
	}
}
