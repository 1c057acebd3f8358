//go:build cgo

package runner

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/corpus"
	"github.com/glmkit/glmkit/corpus/tokenizer"
	"github.com/glmkit/glmkit/runner/internal/tensorfile"
)

// originHint says what weights are read from.
const originHint = "give a run or a checkpoint of glmkit train, a checkpoint of the GLM repository (the folder with latest_checkpointed_iteration.txt), or a folder of Hugging Face's (config.json beside model.safetensors or pytorch_model.bin)"

// origin is where weights come from: a checkpoint of ours, of the GLM
// repository or of Hugging Face's tools. Opening one reads names and shapes;
// the weights stay in their files until they are asked for.
type origin struct {
	path  string
	form  string                          // whose it is, for messages
	files []*tensorfile.File              // in the order of their names
	raw   map[string][]*tensorfile.Tensor // by the file's names, a part for each rank of model parallelism
	ready map[string]stored               // by the names of this package
	// shape is that of the weights; Heads and InitStd are 0 where nothing says them.
	shape configs.Model
	state State // of a checkpoint of ours, else what is known of one
	sum   string
	// tokenizer is the hash of the vocabulary that came along, vocabulary its
	// files, vocabularyAt their folder; all empty where none did.
	tokenizer    string
	vocabulary   map[string][]byte
	vocabularyAt string
	notes        []string // what a person should know
}

// stored is a weight as its files hold it.
type stored struct {
	name  string
	parts []*tensorfile.Tensor
	cut   cut
	shape []int64 // of the whole
}

// openOrigin finds out what lies at a path and what its weights are. Close it.
func openOrigin(path string) (*origin, error) {
	o := &origin{path: path, raw: map[string][]*tensorfile.Tensor{}, ready: map[string]stored{}}
	err := o.find()
	if err == nil {
		err = o.recognize()
	}
	if err != nil {
		o.close()
		return nil, err
	}
	return o, nil
}

func (o *origin) close() {
	for _, f := range o.files {
		f.Close()
	}
}

func (o *origin) bad(hint, format string, args ...any) error {
	return &corpus.DataError{Path: o.path, Err: fmt.Errorf(format, args...), Hint: hint}
}

// find opens the files of whatever form lies at the path.
func (o *origin) find() error {
	info, err := os.Stat(o.path)
	if errors.Is(err, fs.ErrNotExist) {
		return o.bad(originHint, "no such checkpoint or run")
	}
	if err != nil {
		return &corpus.DataError{Path: o.path, Err: err, Hint: originHint}
	}
	folder := o.path
	if !info.IsDir() {
		folder = filepath.Dir(o.path)
		if !isRank(filepath.Base(o.path)) {
			return o.findHuggingFace(folder, o.path)
		}
	}
	ranks, iteration, err := megatronRanks(folder)
	if err != nil {
		return err
	}
	if len(ranks) > 0 {
		return o.findMegatron(iteration, ranks)
	}
	if isCheckpoint(folder) || isRunDir(folder) {
		return o.findOurs(folder)
	}
	return o.findHuggingFace(folder, "")
}

// isRunDir tells whether a directory is laid out as a run's.
func isRunDir(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, checkpointsDir))
	return err == nil
}

// isCheckpoint tells whether a directory is a checkpoint of ours.
func isCheckpoint(dir string) bool {
	for _, name := range []string{manifestFile, modelFile, stateFile} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return false
		}
	}
	return true
}

// findOurs opens a checkpoint of ours, or the newest of a run, and verifies it.
func (o *origin) findOurs(path string) error {
	dir, err := findCheckpoint(path)
	if err != nil {
		return err
	}
	o.form = "glmkit"
	if o.state, o.sum, err = readState(dir); err != nil {
		return err
	}
	if o.vocabulary, err = readVocabulary(dir); err != nil {
		return &corpus.DataError{Path: dir, Err: err}
	}
	o.tokenizer, o.vocabularyAt = o.state.Tokenizer, dir
	o.shape.Heads, o.shape.InitStd = o.state.Model.Heads, o.state.Model.InitStd
	return o.addFile(filepath.Join(dir, modelFile))
}

// addFile opens a file whose tensors are whole.
func (o *origin) addFile(path string) error {
	f, err := tensorfile.Open(path)
	if err != nil {
		return err
	}
	o.files = append(o.files, f)
	for name, t := range f.Tensors {
		if o.raw[name] != nil {
			return o.bad("one of the two files is too many", "tensor %q is in %s and in another file", name, filepath.Base(path))
		}
		o.raw[name] = []*tensorfile.Tensor{t}
	}
	return nil
}

// readBeside takes the vocabulary of a folder, if one that can be read is there.
func (o *origin) readBeside(folder string) {
	vocabulary, err := tokenizer.Open(folder)
	if err != nil {
		var data *corpus.DataError
		if errors.As(err, &data) && data.Path != folder { // there is one
			o.note("the vocabulary beside the weights is not used: %v", err)
		}
		return
	}
	o.tokenizer, o.vocabulary, o.vocabularyAt = vocabulary.Hash(), vocabulary.Files(), folder
}

func (o *origin) note(format string, args ...any) {
	o.notes = append(o.notes, fmt.Sprintf(format, args...))
}

// hash is the sha256 of the weights' file, or of those of its files. It reads
// them whole.
func (o *origin) hash() (string, error) {
	if o.sum != "" {
		return o.sum, nil
	}
	h := sha256.New()
	for _, f := range o.files {
		sum, err := hashFile(f.Path())
		if err != nil {
			return "", &corpus.DataError{Path: f.Path(), Err: err}
		}
		if len(o.files) == 1 {
			o.sum = sum
			return sum, nil
		}
		fmt.Fprintln(h, sum)
	}
	o.sum = hex.EncodeToString(h.Sum(nil))
	return o.sum, nil
}

const (
	wordSuffix    = "word_embeddings.weight"
	glmPositions  = "transformer.position_embeddings.weight"
	bertPositions = "position_embeddings.weight"
)

// recognize finds the model in the files' tensors: its architecture, where its
// names begin, its shape. After it, ready is a whole model of that shape.
func (o *origin) recognize() error {
	architecture, prefix, err := o.architecture()
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(o.raw)) {
		ours, ok := ourName(name, architecture, prefix)
		if !ok {
			continue
		}
		w := stored{name: name, parts: o.raw[name]}
		if len(w.parts) > 1 {
			w.cut = cutOf(ours)
		}
		if w.shape, err = w.whole(); err != nil {
			return o.bad("all files of one iteration of one run", "%w", err)
		}
		if twice, is := o.ready[ours]; is {
			return o.bad("the weights of one model alone", "tensors %q and %q are both %s", twice.name, name, ours)
		}
		o.ready[ours] = w
	}
	if err := o.measure(architecture); err != nil {
		return err
	}
	ws, err := declare(o.shape)
	if err != nil {
		return err
	}
	if err := o.complete(ws); err != nil {
		return err
	}
	return o.nothingElse(ws)
}

// architecture tells GLM from BERT by where the word embeddings are, and what
// stands before the names.
func (o *origin) architecture() (name, prefix string, err error) {
	var found []string
	for tensor := range o.raw {
		before, ok := strings.CutSuffix(tensor, wordSuffix)
		if !ok {
			continue
		}
		if o.raw[before+glmPositions] != nil {
			name, prefix = "glm", before
			found = append(found, tensor)
		} else if before, ok := strings.CutSuffix(before, "embeddings."); ok && o.raw[before+"embeddings."+bertPositions] != nil {
			name, prefix = "bert", before
			found = append(found, tensor)
		}
	}
	if len(found) == 1 {
		return name, prefix, nil
	}
	if len(found) > 1 {
		slices.Sort(found)
		return "", "", o.bad("the weights of one model alone", "holds several models: %s", strings.Join(found, ", "))
	}
	names := slices.Sorted(maps.Keys(o.raw))
	if len(names) > 3 {
		names = append(names[:3:3], "…")
	}
	return "", "", o.bad(originHint, "holds neither a GLM nor a BERT: no word and position embeddings among %s", strings.Join(names, ", "))
}

// ourName is the name of a tensor in this package, given where the model's names
// begin; ok is false for what is outside of it.
func ourName(name, architecture, prefix string) (ours string, ok bool) {
	if architecture == "glm" {
		return strings.CutPrefix(name, prefix)
	}
	// BERT's heads stand beside it: "bert.encoder…" and "cls…", or, of BertModel
	// alone, "encoder…".
	if rest, inside := strings.CutPrefix(name, prefix); inside && !strings.HasPrefix(rest, "cls.") && !strings.HasPrefix(rest, "classifier.") {
		ours = "bert." + rest
	} else if ours, ok = strings.CutPrefix(name, strings.TrimSuffix(prefix, "bert.")); !ok {
		return "", false
	}
	// The names of 2018, before PyTorch's own LayerNorm.
	if before, is := strings.CutSuffix(ours, "LayerNorm.gamma"); is {
		ours = before + "LayerNorm.weight"
	}
	if before, is := strings.CutSuffix(ours, "LayerNorm.beta"); is {
		ours = before + "LayerNorm.bias"
	}
	return ours, true
}

// measure reads the model's sizes off its tables.
func (o *origin) measure(architecture string) error {
	words, positions, layer, extra := wordSuffix, glmPositions, "transformer.layers.%d.input_layernorm.weight", int64(1)
	if architecture == "bert" {
		words, positions, layer, extra = "bert.embeddings."+wordSuffix, "bert.embeddings."+bertPositions, "bert.encoder.layer.%d.output.LayerNorm.weight", 0
	}
	w, p := o.ready[words].shape, o.ready[positions].shape
	const most = 1 << 31 // no table has more
	if len(w) != 2 || len(p) != 2 || w[1] != p[1] || min(w[0], w[1], p[0]-extra) < 1 || max(w[0], w[1], p[0]) > most {
		return o.bad(originHint, "its word embeddings are %v, its position embeddings %v", w, p)
	}
	o.shape.Architecture = architecture
	o.shape.Vocab, o.shape.Hidden, o.shape.MaxPositions = int(w[0]), int(w[1]), int(p[0]-extra)
	for o.shape.Layers = 0; ; o.shape.Layers++ {
		if _, ok := o.ready[fmt.Sprintf(layer, o.shape.Layers)]; !ok {
			return nil
		}
	}
}

// heads are weights that finetuning makes anew, so that a checkpoint may lack
// or have them: BERT's heads of Hugging Face's names; those of the GLM
// repository's classifiers and, dense and out_proj, of the Hub's GLM-2B.
var heads = []string{"classifier.", "cls.seq_relationship.", "pool_layer.", "multichoice_head.", "class_head.", "dense.", "out_proj.", "qa_outputs."}

// tied are second names of a weight.
var tied = map[string]string{
	"cls.predictions.decoder.weight": "bert.embeddings." + wordSuffix,
	"cls.predictions.decoder.bias":   "cls.predictions.bias",
	"lm_head.weight":                 wordSuffix,
}

// optional weights are drawn anew where a checkpoint lacks them: a BERT is
// published with its masked-language-model head, its pooler, both or neither.
func optional(name string) bool {
	return strings.HasPrefix(name, "cls.predictions.") || strings.HasPrefix(name, "bert.pooler.")
}

// complete checks that every weight of a model is there, of its shape.
func (o *origin) complete(ws []weight) error {
	for _, w := range ws {
		got, ok := o.ready[w.name]
		if !ok {
			if optional(w.name) {
				continue
			}
			return o.bad(originHint, "has no tensor %q, which a %s of %d layers has", w.name, o.shape.Architecture, o.shape.Layers)
		}
		if !slices.Equal(got.shape, w.shape) {
			return o.bad(originHint, "tensor %q is %v, that of a %s of hidden size %d is %v", got.name, got.shape, o.shape.Architecture, o.shape.Hidden, w.shape)
		}
		if dtype := got.parts[0].DType; !dtype.Float() {
			return o.bad("weights of float16, bfloat16, float32 or float64", "tensor %q is of type %s", got.name, dtype)
		}
	}
	return nil
}

// nothingElse refuses weights that the model has no place for: without them it
// would be another one.
func (o *origin) nothingElse(ws []weight) error {
	known := make(map[string]bool, len(ws))
	for _, w := range ws {
		known[w.name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(o.ready)) {
		w := o.ready[name]
		switch {
		case known[name]:
		case !w.parts[0].DType.Float(): // position_ids and other constants
		case slices.ContainsFunc(heads, func(h string) bool { return strings.HasPrefix(strings.TrimPrefix(name, "bert."), h) }):
		case tied[name] != "":
			if err := o.equal(w, o.ready[tied[name]]); err != nil {
				return err
			}
		default:
			return o.bad(originHint, "has a tensor %q of shape %v, for which glmkit's %s has no place", w.name, w.shape, o.shape.Architecture)
		}
	}
	return nil
}

// equal refuses a second name of a weight that has values of its own.
func (o *origin) equal(second, first stored) error {
	if len(first.parts) == 0 || len(second.parts) == len(first.parts) && second.parts[0].Same(first.parts[0]) {
		return nil
	}
	if slices.Equal(first.shape, second.shape) {
		var one, two weightReader
		a, err := one.bytes(first)
		if err != nil {
			return err
		}
		b, err := two.bytes(second)
		if err != nil || bytes.Equal(a, b) {
			return err
		}
	}
	return o.bad("a model whose output layer is its word embeddings", "tensor %q is not the same as %q, to which it is tied here", second.name, first.name)
}

// model is the shape that a run started from these weights has, asked for by c:
// the weights' own, with c's dropout. Where c is of the same layers and hidden
// size it may add positions, words and, if nothing else says them, heads.
func (o *origin) model(c configs.Model) (configs.Model, error) {
	m := c
	m.Architecture, m.Layers, m.Hidden = o.shape.Architecture, o.shape.Layers, o.shape.Hidden
	m.Heads, m.MaxPositions, m.Vocab = o.shape.Heads, o.shape.MaxPositions, o.shape.Vocab
	if o.shape.InitStd > 0 {
		m.InitStd = o.shape.InitStd
	}
	same := c.Architecture == m.Architecture && c.Layers == m.Layers && c.Hidden == m.Hidden
	if same {
		m.MaxPositions, m.Vocab = max(m.MaxPositions, c.MaxPositions), max(m.Vocab, c.Vocab)
	}
	// All released GLMs, and BERT's published sizes, have heads of 64.
	const usual = 64
	switch {
	case m.Heads > 0:
	case same:
		m.Heads = c.Heads
	case m.Hidden%usual == 0:
		m.Heads = m.Hidden / usual
	}
	if m.Heads < 1 || m.Hidden%m.Heads != 0 {
		return m, &configs.Error{Field: "model.heads", Msg: fmt.Sprintf("%s does not say how many attention heads of its hidden size %d it has", o.path, m.Hidden),
			Hint: fmt.Sprintf("--config with a preset of its shape, or --set model.layers=%d --set model.hidden=%d --set model.heads=N", m.Layers, m.Hidden)}
	}
	return m, nil
}

// describe is one line about the weights, as a model of the given shape.
func (o *origin) describe(m configs.Model) string {
	form := o.form
	if n := len(o.raw[o.ready[o.words()].name]); n > 1 {
		form += fmt.Sprintf(" in %d parts", n)
	}
	return fmt.Sprintf("%s: %s (%s), %d layers, hidden size %d, %d heads, %d words, %d positions, %s", o.path, strings.ToUpper(o.shape.Architecture), form,
		o.shape.Layers, o.shape.Hidden, m.Heads, o.shape.Vocab, o.shape.MaxPositions, o.ready[o.words()].parts[0].DType)
}

// words is the name of the word embeddings.
func (o *origin) words() string {
	if o.shape.Architecture == "bert" {
		return "bert.embeddings." + wordSuffix
	}
	return wordSuffix
}
