// Package reports keeps the results of evaluations as files and makes tables
// of them: models against the BERT baseline, with an interval on every
// measured value, paired tests, and published values apart from measured ones.
//
//	results, err := reports.ReadResults([]string{"runs"})
//	table, err := reports.Build(results, reports.Options{})
//	err = table.Markdown(os.Stdout)
package reports

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/renameio/v2"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/corpus"
	"github.com/glmkit/glmkit/tasks"
)

const (
	// FormatVersion is that of the result files; another version is refused.
	FormatVersion = 1

	formatName  = "glmkit result"
	resultEnds  = ".result.json"       // every result file, and nothing else, is named so
	predictions = ".predictions.jsonl" // one tasks.Prediction a line
	maxLine     = 64 << 20             // bytes of a line of predictions
)

// Result is one evaluation of one model on one task: one file.
type Result struct {
	Format  string `json:"format"` // set by WriteResult
	Version int    `json:"version"`

	Task     string         `json:"task"`
	Split    string         `json:"split"`
	Metrics  []tasks.Metric `json:"metrics"` // official, 0–100
	Examples int            `json:"examples"`
	Model    Model          `json:"model"`
	Seed     uint64         `json:"seed"` // of the finetuning, or of the draw of the shots
	// Shots is how many examples with answers stood before each question.
	Shots int `json:"shots,omitempty"`
	// Unlabelled says that the split has no right answers: there are no metrics.
	Unlabelled bool `json:"unlabelled,omitempty"`

	CheckpointSHA256 string `json:"checkpoint_sha256"` // of the checkpoint's manifest
	DataSHA256       string `json:"data_sha256"`       // of the task file
	TokenizerHash    string `json:"tokenizer_hash"`

	// Decoding is how written answers were searched for; nil where they were chosen.
	Decoding *configs.Decoding `json:"decoding,omitempty"`

	// Steps and Tokens are those of pretraining and finetuning together.
	Steps       int64     `json:"steps"`
	Tokens      int64     `json:"tokens"`
	WallSeconds float64   `json:"wall_seconds"` // of the evaluation
	Date        time.Time `json:"date"`
	Glmkit      string    `json:"glmkit"` // version
	Device      string    `json:"device"`
	Precision   string    `json:"precision,omitempty"` // of matrix products; empty, of old files: float32
	Libtorch    string    `json:"libtorch"`            // version

	Predictions PredictionFile `json:"predictions"` // set by WriteResult

	path string // where it was read from
}

// Model says what was evaluated. Name is the row of a table: runs of one name
// must differ in the seed only.
type Model struct {
	Name         string     `json:"name"`
	Architecture string     `json:"architecture"` // glm or bert
	Parameters   int64      `json:"parameters"`
	Form         tasks.Form `json:"form"`
	Pattern      int        `json:"pattern"`
}

// PredictionFile names the predictions beside a result.
type PredictionFile struct {
	Name   string `json:"name"` // in the same folder
	SHA256 string `json:"sha256"`
}

// notNumber finds what some programs write for a number that is none, and JSON
// does not know.
var notNumber = regexp.MustCompile(`[:\[,]\s*-?(NaN|Infinity|inf|nan)\b`)

// Path is the file that ReadResults read the result from.
func (r *Result) Path() string { return r.path }

// WriteResult writes r and its predictions into dir, which it makes where it
// is missing. The result appears last and whole, naming its predictions by
// hash: a run killed half-way leaves the earlier result, or none. A result of
// the same model, task, split and seed is replaced when it came from the same
// checkpoint and data, and is otherwise left alone: a configs.Error says so.
func WriteResult(dir string, r *Result, preds []tasks.Prediction) error {
	var lines bytes.Buffer
	encoder := json.NewEncoder(&lines)
	encoder.SetEscapeHTML(false)
	for _, p := range preds {
		if err := p.Check(); err != nil {
			return err
		}
		if err := encoder.Encode(p); err != nil {
			return fmt.Errorf("writing the prediction for example %s: %w", p.ID, err)
		}
	}
	hash := sha256.Sum256(lines.Bytes())
	name := fileName(r)
	path := filepath.Join(dir, name+resultEnds)
	out := *r
	out.Format, out.Version, out.path = formatName, FormatVersion, path
	out.Predictions = PredictionFile{
		Name:   fmt.Sprintf("%s.%x%s", name, hash[:4], predictions),
		SHA256: hex.EncodeToString(hash[:]),
	}
	if err := out.check(); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	text, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}

	old, err := readResult(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case old.CheckpointSHA256 != r.CheckpointSHA256 || old.DataSHA256 != r.DataSHA256:
		return &configs.Error{
			Field: path,
			Msg:   fmt.Sprintf("holds the result of %s on %s, seed %d, from another checkpoint or other data", r.Model.Name, r.Task, r.Seed),
			Hint:  "another output folder, another name for the model, or remove the file",
		}
	}

	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making the folder of the results: %w", err)
	}
	if err := renameio.WriteFile(filepath.Join(dir, out.Predictions.Name), lines.Bytes(), 0o644); err != nil {
		return fmt.Errorf("writing the predictions: %w", err)
	}
	if err := renameio.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("writing the result: %w", err)
	}
	if err := syncDir(dir); err != nil {
		return err
	}
	if old != nil && old.Predictions.Name != out.Predictions.Name {
		// The old predictions have no result any more. Left behind they do no harm.
		os.Remove(filepath.Join(dir, old.Predictions.Name))
	}
	*r = out
	return nil
}

// syncDir makes the names in dir last through a loss of power.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("syncing %s: %w", dir, err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("syncing %s: %w", dir, err)
	}
	return nil
}

// AnswersFile is where the answers of an evaluation stand until r can be written.
func AnswersFile(dir string, r *Result) string {
	return filepath.Join(dir, fileName(r)+".answers.jsonl")
}

// fileName is the start of both files' names: one name for each model, task,
// split and seed.
func fileName(r *Result) string {
	clean := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' {
			return c
		}
		return '-'
	}, r.Model.Name)
	if clean != r.Model.Name {
		// Two names must not share a file because they differ in a cleaned letter.
		hash := sha256.Sum256([]byte(r.Model.Name))
		clean += fmt.Sprintf("-%x", hash[:3])
	}
	return fmt.Sprintf("%s-%s-%s-seed%d", r.Task, r.Split, clean, r.Seed)
}

// check says what is wrong with a result.
func (r *Result) check() error {
	// A task of a user's own is none of the known ones.
	if task, err := tasks.Get(r.Task); err == nil && r.Task != task.Name {
		return fmt.Errorf("task %s is spelled %s", r.Task, task.Name)
	}
	if r.Task == "" || strings.ContainsAny(r.Task, `/\`) {
		return fmt.Errorf("%q is no name of a task", r.Task)
	}
	if r.Model.Name == "" || r.Split == "" {
		return errors.New("a result needs the name of its model and its split")
	}
	if (len(r.Metrics) == 0) != r.Unlabelled || r.Examples < 1 {
		return errors.New("a result needs examples and, of a labelled split, metrics")
	}
	for _, m := range r.Metrics {
		lowest := 0.0
		if m.Name == "matthews" { // a correlation
			lowest = -100
		}
		if !(m.Value >= lowest && m.Value <= 100) {
			return fmt.Errorf("metric %s is %v, not between %g and 100", m.Name, m.Value, lowest)
		}
	}
	if r.Predictions.Name == "" || filepath.Base(r.Predictions.Name) != r.Predictions.Name {
		return fmt.Errorf("predictions %q are not a file beside the result", r.Predictions.Name)
	}
	return nil
}

// ReadResults reads result files: those named, and all below the folders named
// whose names end in .result.json. Predictions on splits without right answers
// are left out. A file that is no sound result of this version, none at all, or
// two results of one model, task, split and seed are a corpus.DataError.
func ReadResults(paths []string) ([]*Result, error) {
	return readResults(paths, func(r *Result) bool { return !r.Unlabelled },
		"only predictions on splits without right answers are here", "glmkit report submission, or glmkit eval --split val")
}

// ReadTestResults is ReadResults for the split test alone, labelled or not.
func ReadTestResults(paths []string) ([]*Result, error) {
	return readResults(paths, func(r *Result) bool { return r.Split == "test" },
		"there are no results on the split test here", "glmkit eval --split test")
}

// readResults reads those that are wanted; if there are others only, none is the
// error.
func readResults(paths []string, wanted func(*Result) bool, none, hint string) ([]*Result, error) {
	var files []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, &corpus.DataError{Path: path, Err: reason(err), Hint: "a result file that glmkit eval wrote, or a folder of them"}
		}
		if !info.IsDir() {
			files = append(files, path)
			continue
		}
		err = filepath.WalkDir(path, func(name string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() && strings.HasSuffix(name, resultEnds) {
				files = append(files, name)
			}
			return err
		})
		if err != nil {
			return nil, &corpus.DataError{Path: path, Err: reason(err), Hint: "check that the folder is readable"}
		}
	}
	if len(files) == 0 {
		return nil, &corpus.DataError{
			Path: strings.Join(paths, ", "),
			Err:  errors.New("there are no results here (files that end in " + resultEnds + ")"),
			Hint: "glmkit eval first; it writes one result a run",
		}
	}
	// A folder and a file inside it may both be named.
	for i := range files {
		files[i] = filepath.Clean(files[i])
	}
	slices.Sort(files)
	files = slices.Compact(files)

	type run struct {
		model, task, split string
		seed               uint64
	}
	seen := map[run]string{}
	var results []*Result
	for _, file := range files {
		r, err := readResult(file)
		if errors.Is(err, fs.ErrNotExist) {
			err = &corpus.DataError{Path: file, Err: errors.New("there is no such file"), Hint: "the file was there a moment ago: try again"}
		}
		if err != nil {
			return nil, err
		}
		if !wanted(r) {
			continue
		}
		key := run{r.Model.Name, r.Task, r.Split, r.Seed}
		if other, dup := seen[key]; dup {
			return nil, &corpus.DataError{
				Path: file,
				Err:  fmt.Errorf("is a second result of %s on %s %s, seed %d, beside %s", r.Model.Name, r.Task, r.Split, r.Seed, other),
				Hint: "report one of them, or give the models different names",
			}
		}
		seen[key] = file
		results = append(results, r)
	}
	if len(results) == 0 {
		return nil, &corpus.DataError{Path: strings.Join(paths, ", "), Err: errors.New(none), Hint: hint}
	}
	return results, nil
}

// readResult reads one result file. A missing file is fs.ErrNotExist.
func readResult(path string) (*Result, error) {
	bad := func(err error, hint string) (*Result, error) {
		return nil, &corpus.DataError{Path: path, Err: err, Hint: hint}
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err != nil {
		return bad(reason(err), "check that the file is readable")
	}
	r := &Result{path: path}
	if err := json.Unmarshal(text, r); err != nil {
		if notNumber.Match(text) {
			return bad(errors.New("holds a value that is not a number (NaN or infinite)"), "finetune again with a lower learning rate: the model has diverged")
		}
		return bad(fmt.Errorf("is not a result: %w", err), "the file as glmkit eval wrote it")
	}
	if r.Format != formatName {
		return bad(errors.New("is not a result of glmkit eval"), "a file that ends in "+resultEnds)
	}
	if r.Version != FormatVersion {
		return bad(fmt.Errorf("is a result of format version %d; this glmkit reads version %d", r.Version, FormatVersion),
			"evaluate again, or use the glmkit that wrote it ("+r.Glmkit+")")
	}
	if err := r.check(); err != nil {
		return bad(err, "the file as glmkit eval wrote it")
	}
	return r, nil
}

// ReadPredictions reads the predictions beside a result that ReadResults read,
// in the order in which they were made. Predictions that are not those the
// result was computed from are a corpus.DataError.
func (r *Result) ReadPredictions() ([]tasks.Prediction, error) {
	path := filepath.Join(filepath.Dir(r.path), r.Predictions.Name)
	bad := func(line int, err error) ([]tasks.Prediction, error) {
		return nil, &corpus.DataError{Path: path, Line: line, Err: err, Hint: "evaluate again, into an empty folder; " + r.path + " needs this file as it was written"}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return bad(0, reason(err))
	}
	if hash := sha256.Sum256(text); hex.EncodeToString(hash[:]) != r.Predictions.SHA256 {
		return bad(0, errors.New("is not as it was written: its sha256 differs from the result's"))
	}
	preds, err := r.parsePredictions(text)
	if err != nil {
		return bad(len(preds)+1, err)
	}
	if len(preds) != r.Examples {
		return bad(0, fmt.Errorf("holds %d predictions, the result says %d", len(preds), r.Examples))
	}
	task, err := tasks.Get(r.Task)
	if err != nil || r.Unlabelled {
		return preds, nil // of a user's own task Build compares the columns with the result
	}
	for _, m := range task.Score(preds) {
		i := slices.IndexFunc(r.Metrics, func(written tasks.Metric) bool { return written.Name == m.Name })
		if i >= 0 && r.Metrics[i].Value != m.Value && math.Abs(100*r.Metrics[i].Value-m.Value) <= 1e-4 {
			return nil, &corpus.DataError{Path: r.path, Err: fmt.Errorf("gives %s as %g, a share of 1; its predictions give %.4f of 100", m.Name, r.Metrics[i].Value, m.Value), Hint: "values on the scale from 0 to 100, as glmkit eval writes them"}
		}
		if i < 0 || math.Abs(r.Metrics[i].Value-m.Value) > 1e-6 {
			return bad(0, fmt.Errorf("gives %s %.4f, which is not what the result says", m.Name, m.Value))
		}
	}
	return preds, nil
}

// parsePredictions reads the predictions, a line each, all with a right answer
// unless the result says otherwise. On an error it returns those before the line
// at fault.
func (r *Result) parsePredictions(text []byte) (preds []tasks.Prediction, err error) {
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var p tasks.Prediction
		if err := json.Unmarshal(lines.Bytes(), &p); err != nil {
			if notNumber.Match(lines.Bytes()) {
				return preds, errors.New("has a score that is not a number (NaN or infinite): the model has diverged")
			}
			return preds, fmt.Errorf("is not a prediction: %w", err)
		}
		if p.Predicted < 0 || p.Predicted >= len(p.Choices) {
			return preds, fmt.Errorf("predicts choice %d of %d", p.Predicted, len(p.Choices))
		}
		// ReCoRD is scored by the texts of its answers, as a user's task may be; the
		// label of such an example may be -1.
		if r.Unlabelled {
			if p.Label >= 0 {
				return preds, fmt.Errorf("has the gold label %d in a split without any", p.Label)
			}
		} else if r.Task == "ReCoRD" || len(p.Gold) > 0 && !slices.Contains(knownTasks(), r.Task) {
			if len(p.Gold) == 0 {
				return preds, errors.New("has no gold answer")
			}
		} else if p.Label < 0 || p.Label >= len(p.Choices) {
			return preds, fmt.Errorf("has the gold label %d of %d choices", p.Label, len(p.Choices))
		}
		preds = append(preds, p)
	}
	return preds, lines.Err()
}

// reason is an error of the file system without the path, which a DataError
// carries itself.
func reason(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("there is no such file or folder")
	}
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		return pathError.Err
	}
	return err
}
