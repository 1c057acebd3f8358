//go:build cgo

package runner

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/nlpodyssey/safetensors"

	"github.com/glmkit/glmkit/configs"
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
// and the vocabulary where one came along. c names what the weights do not say,
// their heads. The weights pass through memory one by one. out must not exist
// or be empty.
func Convert(ctx context.Context, from string, c configs.Model, out string) (Converted, error) {
	var done Converted
	if entries, err := os.ReadDir(out); err == nil && len(entries) > 0 || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return done, &configs.Error{Field: out, Msg: "is not an empty folder", Hint: "the name of a new one"}
	}
	o, err := openOrigin(from)
	if err != nil {
		return done, err
	}
	defer o.close()
	m, err := o.model(c)
	if err != nil {
		return done, err
	}
	m.Vocab, m.MaxPositions = o.shape.Vocab, o.shape.MaxPositions // as they are
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
	for _, w := range ws {
		if from, ok := o.ready[w.name]; ok {
			views[w.name] = storedView{ctx: ctx, stored: from, reader: &reader, failed: &failed}
			done.Parameters += w.size()
		}
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
// read when its turn comes.
type storedView struct {
	stored
	ctx    context.Context
	reader *weightReader
	failed *error
}

func (v storedView) DType() safetensors.DType {
	dtype, err := safetensors.ParseDType(string(v.parts[0].DType))
	v.fail(err)
	return dtype
}

func (v storedView) Shape() []uint64 { return unsigned(v.shape) }

func (v storedView) DataLen() uint64 {
	n := uint64(v.parts[0].DType.Size())
	for _, d := range v.shape {
		n *= uint64(d)
	}
	return n
}

func (v storedView) Data() []byte {
	if *v.failed != nil {
		return nil
	}
	if err := v.ctx.Err(); err != nil {
		v.fail(err)
		return nil
	}
	data, err := v.reader.bytes(v.stored)
	v.fail(err)
	return data
}

func (v storedView) fail(err error) {
	if *v.failed == nil {
		*v.failed = err
	}
}
