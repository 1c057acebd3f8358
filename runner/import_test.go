//go:build cgo

package runner

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/corpus"
	"github.com/glmkit/glmkit/runner/internal/tensorfile"
	"github.com/glmkit/glmkit/runner/internal/tensorfile/tensortest"
	"github.com/glmkit/glmkit/runner/internal/torch"
	"github.com/glmkit/glmkit/tasks"
)

// importWeights fills a model with the weights at a path.
func importWeights(path string, m *model) error {
	o, err := openOrigin(path)
	if err != nil {
		return err
	}
	defer o.close()
	return o.start(m, 1, nil)
}

// contents are all weights of a checkpoint, by this package's names, in their
// own element type.
func contents(t *testing.T, path string) map[string]tensortest.Tensor {
	t.Helper()
	o, err := openOrigin(path)
	if err != nil {
		t.Fatal(err)
	}
	defer o.close()
	out := map[string]tensortest.Tensor{}
	for name, w := range o.ready {
		var r weightReader
		data, err := r.bytes(w)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = tensortest.Tensor{DType: w.parts[0].DType, Shape: w.shape, Data: data}
	}
	return out
}

// saveTorch writes tensors as torch.save does, under "module" if module is set.
func saveTorch(t *testing.T, path string, weights map[string]tensortest.Tensor, module bool, more map[string]any) {
	t.Helper()
	values := map[string]any{}
	maps.Copy(values, more)
	into := values
	if module {
		into = map[string]any{}
		values["module"] = into
	}
	for name, w := range weights {
		into[name] = w
	}
	var file bytes.Buffer
	if err := tensortest.Save(&file, values); err != nil {
		t.Fatal(err)
	}
	write(t, path, file.Bytes())
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o666); err != nil {
		t.Fatal(err)
	}
}

// divided is the part of a rank, as change_mp.py of the GLM repository divides a
// model, tensor by tensor and by the names' words.
func divided(name string, w tensortest.Tensor, rank, ranks int64) tensortest.Tensor {
	size := w.DType.Size()
	rows := func(from, to int64) []byte { // of dimension 0
		row := int64(len(w.Data)) / w.Shape[0]
		return w.Data[from*row : to*row]
	}
	out := tensortest.Tensor{DType: w.DType, Shape: slices.Clone(w.Shape)}
	matrix := len(w.Shape) == 2 && !strings.Contains(name, "position")
	switch {
	case matrix && strings.Contains(name, "query"), !matrix && strings.Contains(name, "query_key_value"):
		part := w.Shape[0] / ranks / 3
		for third := range int64(3) {
			out.Data = append(out.Data, rows((rank+third*ranks)*part, (rank+third*ranks+1)*part)...)
		}
		out.Shape[0] = 3 * part
	case matrix && (strings.Contains(name, "word") || strings.Contains(name, "h_to_4h")), !matrix && strings.Contains(name, "dense_h_to_4h"):
		part := w.Shape[0] / ranks
		out.Data = rows(rank*part, (rank+1)*part)
		out.Shape[0] = part
	case matrix:
		part := w.Shape[1] / ranks
		for row := range w.Shape[0] {
			from := (row*w.Shape[1] + rank*part) * size
			out.Data = append(out.Data, w.Data[from:from+part*size]...)
		}
		out.Shape[1] = part
	default:
		out.Data = w.Data
	}
	return out
}

// saveParts writes a checkpoint of the GLM repository in so many parts.
func saveParts(t *testing.T, dir string, weights map[string]tensortest.Tensor, ranks int64) {
	t.Helper()
	for rank := range ranks {
		part := map[string]tensortest.Tensor{}
		for name, w := range weights {
			part[name] = divided(name, w, rank, ranks)
		}
		saveTorch(t, filepath.Join(dir, "1000", fmt.Sprintf("mp_rank_%02d_model_states.pt", rank)), part, true, map[string]any{"iteration": 1000, "mp_world_size": int(ranks)})
	}
	write(t, filepath.Join(dir, megatronLatest), []byte("1000\n"))
}

// The checkpoint of the test vectors, divided among two and four ranks, has the
// same weights to the bit, and so the same logits.
func TestModelParallelParts(t *testing.T) {
	whole := filepath.Join(oracle(t), "blocklm-tiny")
	want := contents(t, whole)
	for _, ranks := range []int64{1, 2, 4} {
		dir := t.TempDir()
		saveParts(t, dir, want, ranks)
		for _, path := range []string{dir, filepath.Join(dir, "1000"), filepath.Join(dir, "1000", "mp_rank_00_model_states.pt")} {
			sameWeights(t, contents(t, path), want)
		}
		o, err := openOrigin(dir)
		if err != nil {
			t.Fatal(err)
		}
		if o.state.Step != 1000 || o.shape.Layers != 3 || o.shape.Hidden != 48 || o.shape.Vocab != 256 || o.shape.MaxPositions != 64 {
			t.Errorf("in %d parts: step %d, shape %+v", ranks, o.state.Step, o.shape)
		}
		o.close()
	}
}

func sameWeights(t *testing.T, got, want map[string]tensortest.Tensor) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d weights, want %d", len(got), len(want))
	}
	for name, w := range want {
		g := got[name]
		if g.DType != w.DType || !slices.Equal(g.Shape, w.Shape) || !bytes.Equal(g.Data, w.Data) {
			t.Errorf("%s: %s %v and %d bytes, want %s %v", name, g.DType, g.Shape, len(g.Data), w.DType, w.Shape)
		}
	}
}

// readAll opens weights and reads each.
func readAll(path string) error {
	o, err := openOrigin(path)
	if err != nil {
		return err
	}
	defer o.close()
	var r weightReader
	for _, w := range o.ready {
		if _, err := r.bytes(w); err != nil {
			return err
		}
	}
	return nil
}

// Parts that are not of one checkpoint are refused.
func TestBadParts(t *testing.T) {
	whole := contents(t, filepath.Join(oracle(t), "blocklm-tiny"))
	part := func(rank int64, change func(map[string]tensortest.Tensor)) map[string]tensortest.Tensor {
		out := map[string]tensortest.Tensor{}
		for name, w := range whole {
			out[name] = divided(name, w, rank, 2)
		}
		change(out)
		return out
	}
	const norm = "transformer.layers.1.input_layernorm.weight"
	for name, test := range map[string]struct {
		change func(map[string]tensortest.Tensor)
		more   map[string]any
		want   string
	}{
		"missing tensor":  {func(m map[string]tensortest.Tensor) { delete(m, norm) }, nil, "the parts before it have"},
		"more tensors":    {func(m map[string]tensortest.Tensor) { m["more"] = m[norm] }, nil, `tensor "module.more", which another part lacks`},
		"another shape":   {func(m map[string]tensortest.Tensor) { m[norm] = m["word_embeddings.weight"] }, nil, "in the part of rank 0"},
		"another size":    {func(map[string]tensortest.Tensor) {}, map[string]any{"mp_world_size": 8}, "one of 8 parts, here are 2"},
		"another content": {func(m map[string]tensortest.Tensor) { m[norm] = m["transformer.layers.0.attention.dense.bias"] }, nil, "away from that of rank 0"},
		"no weights":      {func(m map[string]tensortest.Tensor) { clear(m) }, map[string]any{"w": whole[norm]}, `no weights under "module"`},
	} {
		dir := t.TempDir()
		saveTorch(t, filepath.Join(dir, "mp_rank_00_model_states.pt"), part(0, func(map[string]tensortest.Tensor) {}), true, nil)
		saveTorch(t, filepath.Join(dir, "mp_rank_01_model_states.pt"), part(1, test.change), true, test.more)
		err := readAll(dir)
		var data *corpus.DataError
		if !errors.As(err, &data) || !strings.Contains(err.Error(), test.want) || data.Hint == "" {
			t.Errorf("%s: error %v, want one about %s", name, err, test.want)
		}
	}
	dir := t.TempDir()
	saveTorch(t, filepath.Join(dir, "mp_rank_01_model_states.pt"), part(1, func(map[string]tensortest.Tensor) {}), true, nil)
	if _, err := openOrigin(dir); err == nil || !strings.Contains(err.Error(), "none of rank 0") {
		t.Errorf("without rank 0: %v", err)
	}
	for _, iteration := range []string{"", "../x", "a/b", "7"} {
		write(t, filepath.Join(dir, megatronLatest), []byte(iteration))
		if _, err := openOrigin(dir); !strings.Contains(fmt.Sprint(err), "iteration") {
			t.Errorf("iteration %q: %v", iteration, err)
		}
	}
}

// bertLike are weights of a small BERT under Hugging Face's names, drawn.
func bertLike(t *testing.T, c configs.Model) (weights map[string]tensortest.Tensor, m *model) {
	t.Helper()
	m = drawn(t, c, 11)
	s := torch.NewScope()
	defer s.Close()
	weights = map[string]tensortest.Tensor{}
	for i, w := range m.params.weights {
		v := view{namedTensor{name: w.name, shape: w.shape, tensor: m.params.tensors[i]}, new(error)}
		weights[w.name] = tensortest.Tensor{DType: tensorfile.F32, Shape: w.shape, Data: v.Data()}
	}
	return weights, m
}

// A BERT opens under all names that were in use, with and without its heads, in
// one file or several.
func TestHuggingFaceBERT(t *testing.T) {
	c := tiny("bert")
	config := `{"model_type":"bert","num_attention_heads":4,"hidden_act":"gelu","layer_norm_eps":1e-12,"position_embedding_type":"absolute","initializer_range":0.02}`
	onThread(t, func() error {
		weights, m := bertLike(t, c)
		defer m.close()
		renamed := func(rename func(string) string) map[string]tensortest.Tensor {
			out := map[string]tensortest.Tensor{}
			for name, w := range weights {
				if name = rename(name); name != "" {
					out[name] = w
				}
			}
			return out
		}
		old := renamed(func(name string) string {
			name = strings.Replace(name, "LayerNorm.weight", "LayerNorm.gamma", 1)
			return strings.Replace(name, "LayerNorm.bias", "LayerNorm.beta", 1)
		})
		old["cls.predictions.decoder.weight"] = weights["bert.embeddings.word_embeddings.weight"]
		old["cls.seq_relationship.bias"] = tensortest.Tensor{DType: tensorfile.F32, Shape: []int64{2}, Data: make([]byte, 8)}
		old["bert.embeddings.position_ids"] = tensortest.Tensor{DType: "I64", Shape: []int64{1, 1}, Data: make([]byte, 8)}
		bare := renamed(func(name string) string {
			inside, ok := strings.CutPrefix(name, "bert.")
			if !ok || strings.HasPrefix(inside, "pooler") {
				return ""
			}
			return inside
		})
		wrapped := renamed(func(name string) string { return "module." + name })

		dir := t.TempDir()
		paths := map[string]int{} // to the weights that are drawn anew
		for name, w := range map[string]map[string]tensortest.Tensor{"old": old, "bare": bare, "wrapped": wrapped} {
			saveTorch(t, filepath.Join(dir, name, "pytorch_model.bin"), w, false, nil)
			write(t, filepath.Join(dir, name, "config.json"), []byte(config))
			paths[filepath.Join(dir, name)] = len(weights) - min(len(weights), len(w))
		}
		// In two files with an index.
		index := struct {
			WeightMap map[string]string `json:"weight_map"`
		}{map[string]string{}}
		halves := [2]map[string]tensortest.Tensor{{}, {}}
		for i, name := range slices.Sorted(maps.Keys(weights)) {
			halves[i%2][name] = weights[name]
			index.WeightMap[name] = fmt.Sprintf("pytorch_model-%d.bin", i%2)
		}
		for i, half := range halves {
			saveTorch(t, filepath.Join(dir, "parts", fmt.Sprintf("pytorch_model-%d.bin", i)), half, false, nil)
		}
		text, err := json.Marshal(index)
		if err != nil {
			return err
		}
		write(t, filepath.Join(dir, "parts", "pytorch_model.bin.index.json"), text)
		write(t, filepath.Join(dir, "parts", "config.json"), []byte(config))
		paths[filepath.Join(dir, "parts")] = 0
		paths[filepath.Join(dir, "old", "pytorch_model.bin")] = 0

		for path, missing := range paths {
			o, err := openOrigin(path)
			if err != nil {
				t.Errorf("%s: %v", path, err)
				continue
			}
			shape, err := o.model(configs.Model{Architecture: "glm", Layers: 9, Hidden: 99, Heads: 9, MaxPositions: 999, Vocab: 999})
			if err != nil || shape != (configs.Model{Architecture: "bert", Layers: c.Layers, Hidden: c.Hidden, Heads: 4, MaxPositions: c.MaxPositions, Vocab: c.Vocab, InitStd: 0.02}) {
				t.Errorf("%s: shape %+v, %v", path, shape, err)
			}
			again, err := newModel(shape, torch.CPU)
			if err != nil {
				return err
			}
			if err := o.start(again, 5, nil); err != nil {
				t.Errorf("%s: %v", path, err)
			}
			differ := 0
			s := torch.NewScope()
			for i := range m.params.weights {
				if !slices.Equal(s.Floats(m.params.tensors[i]), s.Floats(again.params.tensors[i])) {
					differ++
				}
			}
			// Biases drawn anew are zeros, as those they should be.
			if differ > missing || missing > 0 && differ == 0 {
				t.Errorf("%s: %d weights differ, %d are not in the file", path, differ, missing)
			}
			s.Close()
			again.close()
			o.close()
		}
		return nil
	})
}

// What is no model of this package is refused, with what is wrong.
func TestOtherModels(t *testing.T) {
	onThread(t, func() error {
		weights, m := bertLike(t, tiny("bert"))
		defer m.close()
		with := func(name string, w tensortest.Tensor) map[string]tensortest.Tensor {
			out := maps.Clone(weights)
			out[name] = w
			return out
		}
		without := func(name string) map[string]tensortest.Tensor {
			out := maps.Clone(weights)
			delete(out, name)
			return out
		}
		const query = "bert.encoder.layer.1.attention.self.query.weight"
		bias := weights["bert.embeddings.LayerNorm.bias"]
		small := tensortest.Tensor{DType: tensorfile.F32, Shape: []int64{32, 16}, Data: make([]byte, 32*16*4)}
		ids := tensortest.Tensor{DType: "I64", Shape: []int64{32, 32}, Data: make([]byte, 32*32*8)}
		words := weights["bert.embeddings.word_embeddings.weight"]
		words.Data = append(slices.Clone(words.Data[4:]), 1, 2, 3, 4)
		for name, test := range map[string]struct {
			weights map[string]tensortest.Tensor
			config  string
			want    string
		}{
			"RoBERTa":            {weights, `{"model_type":"roberta"}`, `is of a "roberta"`},
			"another activation": {weights, `{"model_type":"bert","hidden_act":"gelu_new"}`, "hidden_act is gelu_new"},
			"another epsilon":    {weights, `{"model_type":"bert","layer_norm_eps":1e-5}`, "layer_norm_eps is 1e-05"},
			"another object":     {weights, `{"model_type":"bert","hidden_act":{"a":1}}`, "hidden_act is map"},
			"no JSON":            {weights, `{`, "config.json"},
			"lacks a weight":     {without(query), `{}`, `has no tensor "` + query + `"`},
			"a smaller one":      {with(query, small), `{}`, `"` + query + `" is [32 16], that of a bert of hidden size 32 is [32 32]`},
			"of integers":        {with(query, ids), `{}`, "is of type I64"},
			"has an adapter":     {with("bert.adapter.bias", bias), `{}`, `"bert.adapter.bias"`},
			"untied":             {with("cls.predictions.decoder.weight", words), `{}`, "tied here"},
			"no model":           {map[string]tensortest.Tensor{"x": bias}, `{}`, "neither a GLM nor a BERT"},
			"two models":         {with("b.embeddings.word_embeddings.weight", bias), `{}`, ""},
		} {
			if name == "two models" {
				test.weights["b.embeddings.position_embeddings.weight"] = bias
				test.want = "several models"
			}
			dir := t.TempDir()
			saveTorch(t, filepath.Join(dir, "pytorch_model.bin"), test.weights, false, nil)
			write(t, filepath.Join(dir, "config.json"), []byte(test.config))
			_, err := openOrigin(dir)
			var data *corpus.DataError
			if !errors.As(err, &data) || !strings.Contains(err.Error(), test.want) || data.Hint == "" {
				t.Errorf("%s: error %v, want one about %s", name, err, test.want)
			}
		}
		for name, files := range map[string]map[string]string{
			"outside its folder":    {"model.safetensors.index.json": `{"weight_map":{"a":"../b.safetensors"}}`},
			"names no tensors":      {"model.safetensors.index.json": `{}`},
			"no weights":            {"config.json": `{}`},
			"no such file":          {"model.safetensors.index.json": `{"weight_map":{"a":"b.safetensors"}}`},
			"is cut short or damag": {"pytorch_model.bin": "PK\x03\x04"},
		} {
			dir := t.TempDir()
			for file, content := range files {
				write(t, filepath.Join(dir, file), []byte(content))
			}
			_, err := openOrigin(dir)
			var data *corpus.DataError
			if !errors.As(err, &data) || !strings.Contains(err.Error(), name) {
				t.Errorf("%v: error %v, want one about %q", files, err, name)
			}
		}
		return nil
	})
	if _, err := openOrigin(filepath.Join(t.TempDir(), "none")); err == nil || !strings.Contains(err.Error(), "no such checkpoint") {
		t.Errorf("nothing there: %v", err)
	}
}

// Tables grow by drawn rows; every other difference of shape names tensor,
// shapes and remedy.
func TestShapesAskedFor(t *testing.T) {
	path := filepath.Join(oracle(t), "blocklm-tiny")
	want := contents(t, path)
	base := configs.Model{Architecture: "glm", Layers: 3, Hidden: 48, Heads: 4, Vocab: 256, MaxPositions: 64, InitStd: 0.02}
	onThread(t, func() error {
		longer := base
		longer.MaxPositions, longer.Vocab = 100, 384
		o, err := openOrigin(path)
		if err != nil {
			return err
		}
		defer o.close()
		if shape, err := o.model(longer); err != nil || shape != longer {
			t.Errorf("grown shape %+v, %v", shape, err)
		}
		var notes []string
		grown, err := newModel(longer, torch.CPU)
		if err != nil {
			return err
		}
		defer grown.close()
		if err := o.start(grown, 7, func(s string) { notes = append(notes, s) }); err != nil {
			return err
		}
		if said := strings.Join(notes, "\n"); !strings.Contains(said, "from 65 to 101 rows") || !strings.Contains(said, "from 256 to 384 rows") || !strings.Contains(said, "GLM (GLM repository), 3 layers") {
			t.Errorf("said:\n%s", said)
		}
		fresh := drawn(t, longer, 7)
		defer fresh.close()
		s := torch.NewScope()
		defer s.Close()
		for i, w := range grown.params.weights {
			got, start := s.Floats(grown.params.tensors[i]), s.Floats(fresh.params.tensors[i])
			old := make([]float32, len(want[w.name].Data)/2)
			tensorfile.Float32s(old, want[w.name].Data, tensorfile.F16)
			if !slices.Equal(got[:len(old)], old) {
				t.Errorf("%s: the old rows changed", w.name)
			}
			if !slices.Equal(got[len(old):], start[len(old):]) {
				t.Errorf("%s: the new rows are not those of a new model", w.name)
			}
		}
		return s.Err()
	})

	o, err := openOrigin(path)
	if err != nil {
		t.Fatal(err)
	}
	defer o.close()
	for name, test := range map[string]struct {
		change func(*configs.Model)
		want   string
	}{
		"deeper":     {func(m *configs.Model) { m.Layers = 4 }, `has no tensor "transformer.layers.3.input_layernorm.weight" of shape [48]`},
		"shallower":  {func(m *configs.Model) { m.Layers = 2 }, "has 3 layers, the configured model 2"},
		"wider":      {func(m *configs.Model) { m.Hidden = 64 }, `tensor "module.word_embeddings.weight" is [256 48], that of the configured model is [256 64]`},
		"shorter":    {func(m *configs.Model) { m.MaxPositions = 32 }, `position_embeddings.weight" is [65 48], that of the configured model is [33 48]`},
		"fewer":      {func(m *configs.Model) { m.Vocab = 128 }, `is [256 48], that of the configured model is [128 48]`},
		"other kind": {func(m *configs.Model) { m.Architecture = "bert" }, "holds a GLM, the configuration says BERT"},
	} {
		c := base
		test.change(&c)
		_, err := o.check(c)
		var wrong *configs.Error
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), test.want) || !strings.Contains(wrong.Hint, "model.layers=3, model.hidden=48, model.max_positions at least 64") {
			t.Errorf("%s: error %v, want one about %s", name, err, test.want)
		}
	}
	// 48 is not a multiple of 64: somebody must say the heads.
	_, err = o.model(configs.Model{Architecture: "glm", Layers: 24, Hidden: 1024, Heads: 16})
	var wrong *configs.Error
	if !errors.As(err, &wrong) || !strings.Contains(wrong.Hint, "--set model.hidden=48") {
		t.Errorf("heads unsaid: %v", err)
	}
}

// A converted checkpoint is read again to the bit, whatever it was.
func TestConvert(t *testing.T) {
	dir := t.TempDir()
	ours := filepath.Join(dir, "ours")
	onThread(t, func() error {
		weights, m := bertLike(t, tiny("bert"))
		defer m.close()
		weights["classifier.weight"] = tensortest.Tensor{DType: tensorfile.F32, Shape: []int64{3, 32}, Data: make([]byte, 3*32*4)}
		weights["classifier.bias"] = tensortest.Tensor{DType: tensorfile.F32, Shape: []int64{3}, Data: make([]byte, 12)}
		saveTorch(t, filepath.Join(ours, "pytorch_model.bin"), weights, false, nil)
		write(t, filepath.Join(ours, "vocab.txt"), []byte("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n"))
		write(t, filepath.Join(ours, "config.json"), []byte(`{"model_type":"bert","num_attention_heads":4}`))
		return nil
	})
	authors := filepath.Join(oracle(t), "blocklm-tiny")
	parts := filepath.Join(dir, "parts")
	saveParts(t, parts, contents(t, authors), 2)
	for path, want := range map[string][]string{
		ours:    {`"model_type": "bert"`, `"BertForSequenceClassification"`, `"LABEL_2"`, `"num_attention_heads": 4`, `"num_hidden_layers": 2`, `"torch_dtype": "float32"`},
		authors: {`"model_type": "glm"`, `"num_layers": 3`, `"max_sequence_length": 64`, `"vocab_size": 256`, `"torch_dtype": "float16"`},
		parts:   {`"model_type": "glm"`, `"num_attention_heads": 4`},
	} {
		out := filepath.Join(dir, "converted", filepath.Base(path))
		c := &configs.Config{Model: configs.Model{Architecture: "glm", Layers: 3, Hidden: 48, Heads: 4, Vocab: 999, MaxPositions: 999}}
		done, err := Convert(context.Background(), path, c, 0, out)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		var n int64
		for _, w := range contents(t, path) {
			n += int64(len(w.Data)) / w.DType.Size()
		}
		if done.Parameters != n || !strings.HasPrefix(done.From, path) {
			t.Errorf("%s: %+v, want %d parameters", path, done, n)
		}
		sameWeights(t, contents(t, out), contents(t, path))
		config, err := os.ReadFile(filepath.Join(out, "config.json"))
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range want {
			if !strings.Contains(string(config), line) {
				t.Errorf("%s: config.json lacks %s:\n%s", path, line, config)
			}
		}
		again, err := openOrigin(out)
		if err != nil {
			t.Fatal(err)
		}
		if again.shape.Heads != 4 {
			t.Errorf("%s: %d heads", out, again.shape.Heads)
		}
		again.close()
	}
	if a, b := contents(t, parts), contents(t, authors); true {
		sameWeights(t, a, b)
	}
	if _, err := os.Stat(filepath.Join(dir, "converted", "ours", "vocab.txt")); err != nil {
		t.Errorf("the vocabulary did not come along: %v", err)
	}
	var wrong *configs.Error
	if _, err := Convert(context.Background(), authors, &configs.Config{}, 0, ours); !errors.As(err, &wrong) {
		t.Errorf("into a folder with something in it: %v", err)
	}
	if entries, err := filepath.Glob(filepath.Join(dir, "converted", ".*")); err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v %v", entries, err)
	}
}

// Tables grown by a conversion have the rows that training draws with the same
// seed, in the element type of the weights.
func TestConvertPositions(t *testing.T) {
	authors := filepath.Join(oracle(t), "blocklm-tiny")
	c := &configs.Config{Model: configs.Model{Architecture: "glm", Layers: 3, Hidden: 48, Heads: 4, InitStd: 0.02}, Train: configs.Train{Seed: 7}}
	out := filepath.Join(t.TempDir(), "longer")
	done, err := Convert(context.Background(), authors, c, 100, out)
	if err != nil {
		t.Fatal(err)
	}
	if said := strings.Join(done.Notes, "\n"); strings.Count(said, "from 65 to 101 rows") != 2 {
		t.Errorf("said:\n%s", said)
	}
	longer := c.Model
	longer.MaxPositions, longer.Vocab = 100, 256
	onThread(t, func() error {
		var loaded [2][]float32
		for i, path := range []string{authors, out} {
			o, err := openOrigin(path)
			if err != nil {
				return err
			}
			defer o.close()
			m, err := newModel(longer, torch.CPU)
			if err != nil {
				return err
			}
			defer m.close()
			if err := o.start(m, 7, nil); err != nil {
				return err
			}
			s := torch.NewScope()
			defer s.Close()
			for j, w := range m.params.weights {
				values := s.Floats(m.params.tensors[j])
				// What was drawn in float32 lies in the file as float16.
				raw := tensorfile.Append(nil, values, tensorfile.F16)
				tensorfile.Float32s(values, raw, tensorfile.F16)
				loaded[i] = append(loaded[i], values...)
				if strings.Contains(w.name, "position_embeddings") && values[len(values)-1] == 0 {
					t.Errorf("%s: a new row is zero", w.name)
				}
			}
			if err := s.Err(); err != nil {
				return err
			}
		}
		if !slices.Equal(loaded[0], loaded[1]) {
			t.Error("the converted weights are not those that training grows")
		}
		return nil
	})
	var wrong *configs.Error
	if _, err := Convert(context.Background(), authors, c, 32, out+"-shorter"); !errors.As(err, &wrong) || !strings.Contains(err.Error(), "64 positions") {
		t.Errorf("fewer positions: %v", err)
	}
}

// Finetuning from a converted run is finetuning from the run, to the bit, and so is
// what it answers without.
func TestFinetuneFromConverted(t *testing.T) {
	f := prepare(t)
	dir := t.TempDir()
	for architecture, prepared := range map[string]string{"glm": f.cloze, "bert": f.classification} {
		c := config(t, architecture)
		run := filepath.Join(dir, architecture)
		if _, err := Pretrain(context.Background(), c, f.corpus, "", Options{Out: run, Device: "cpu", Threads: 1}); err != nil {
			t.Fatal(err)
		}
		converted := run + "-converted"
		if _, err := Convert(context.Background(), run, c, 0, converted); err != nil {
			t.Fatal(err)
		}
		var weights []string
		for _, from := range []string{run, converted} {
			c := config(t, architecture)
			out := from + "-finetuned"
			st, err := Finetune(context.Background(), c, from, filepath.Join(prepared, "CB", "train.arrow"), 3, Options{Out: out, Device: "cpu", Threads: 1})
			if err != nil {
				t.Fatal(err)
			}
			if st.Tokenizer == "" || st.Pretrained == "" {
				t.Errorf("%s: state %+v", from, st)
			}
			weights = append(weights, finalFiles(t, out)[modelFile])
		}
		if weights[0] != weights[1] {
			t.Errorf("%s: other weights from the converted run", architecture)
		}
		if architecture == "bert" {
			continue // its pretrained model answers no pairs
		}
		// Answered as it is, one or the other.
		val := filepath.Join(prepared, "CB", "val.arrow")
		var answers [][]tasks.Prediction
		for _, from := range []string{run, converted} {
			e, err := Evaluate(context.Background(), from, val, Answering{Device: "cpu", Threads: 1, Shots: Shots{Count: 2, Seed: 5, File: filepath.Join(prepared, "CB", "train.arrow")}})
			if err != nil {
				t.Fatal(err)
			}
			answers = append(answers, e.Predictions)
		}
		if diff := cmp.Diff(answers[0], answers[1]); diff != "" {
			t.Errorf("the converted run answers otherwise:\n%s", diff)
		}
	}
}

// FuzzOrigin reads any folder at all: weights, config.json and vocabulary. It is
// refused, or is a whole model.
func FuzzOrigin(f *testing.F) {
	for _, architecture := range []string{"glm", "bert"} {
		ws, err := declare(configs.Model{Architecture: architecture, Layers: 1, Hidden: 2, Heads: 1, MaxPositions: 2, Vocab: 3})
		if err != nil {
			f.Fatal(err)
		}
		values := map[string]any{}
		for _, w := range ws {
			values[w.name] = tensortest.Tensor{DType: tensorfile.F16, Shape: w.shape, Data: make([]byte, 2*w.size())}
		}
		var file bytes.Buffer
		if err := tensortest.Save(&file, values); err != nil {
			f.Fatal(err)
		}
		f.Add(file.Bytes(), fmt.Sprintf(`{"model_type":%q,"num_attention_heads":1}`, architecture), "[UNK]\n[MASK]\n")
	}
	f.Add([]byte("\x3b\x00\x00\x00\x00\x00\x00\x00"+`{"word_embeddings.weight":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]}}`+"\x00\x00\x00\x00"), `{"model_type":"glm"}`, "")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, weights []byte, config, vocabulary string) {
		for name, content := range map[string]string{"pytorch_model.bin": string(weights), "config.json": config, "vocab.txt": vocabulary} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		o, err := openOrigin(dir)
		if err != nil {
			var data *corpus.DataError
			if !errors.As(err, &data) {
				t.Fatalf("error of type %T: %v", err, err)
			}
			return
		}
		defer o.close()
		shape, err := o.model(configs.Model{Architecture: "glm", Layers: 1, Hidden: 2, Heads: 1})
		if err != nil {
			return
		}
		if _, err := o.check(shape); err != nil {
			t.Fatalf("does not fit its own shape: %v", err)
		}
		readAll(dir)
	})
}
