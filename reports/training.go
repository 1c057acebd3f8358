package reports

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/glmkit/glmkit/corpus"
)

// The files of a run that glmkit train writes.
const (
	logFile        = "metrics.jsonl"
	checkpointsDir = "checkpoints"
	manifestName   = "manifest.json"
	stateName      = "state.json"
	weightsName    = "model.safetensors"
)

// TrainingRun is what glmkit train logged of one run.
type TrainingRun struct {
	Path   string // the run's folder
	Points []TrainingPoint
	// Task and Seed are those of a finetuning; Task is empty of a pretraining, and
	// where no checkpoint says what the run was.
	Task string
	Seed uint64
	// Models names the models of the results that Attach found to come from the
	// run, in order; none where no result does.
	Models []string
	// SHA256 is of the log, Written when it was written last.
	SHA256  string
	Written time.Time

	weights    []string // sha256 of the weights of its checkpoints
	pretrained string   // sha256 of the weights that it began from
}

// TrainingPoint is one line of metrics.jsonl. Loss and TokensPerS are means since
// the line before, the others counts from the start of the run.
type TrainingPoint struct {
	Step       int64    `json:"step"`
	Tokens     int64    `json:"tokens"`
	Seconds    float64  `json:"seconds"`
	Loss       float64  `json:"loss"`
	LR         float64  `json:"lr"`
	TokensPerS float64  `json:"tokens_per_s"`
	Valid      *float64 `json:"valid_loss"`
}

// ReadTrainingRuns reads the runs in the folders named and below them, ordered by
// their paths. A folder without any, and a log that is damaged, are a
// corpus.DataError. A last line without its end, which a killed run may leave, is
// passed over.
func ReadTrainingRuns(paths []string) ([]*TrainingRun, error) {
	var runs []*TrainingRun
	seen := map[string]bool{}
	for _, path := range paths {
		before := len(seen)
		err := filepath.WalkDir(path, func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || entry.Name() != logFile {
				return err
			}
			dir := filepath.Dir(name)
			if seen[dir] {
				return nil
			}
			seen[dir] = true
			run, err := readTrainingRun(dir)
			if err == nil {
				runs = append(runs, run)
			}
			return err
		})
		var data *corpus.DataError
		switch {
		case errors.As(err, &data):
			return nil, err
		case err != nil:
			return nil, &corpus.DataError{Path: path, Err: reason(err), Hint: "a folder that glmkit train wrote as --out"}
		case len(seen) == before && !slices.ContainsFunc(runs, func(r *TrainingRun) bool { return below(path, r.Path) }):
			return nil, &corpus.DataError{Path: path, Err: errors.New("holds no run (no " + logFile + ")"), Hint: "a folder that glmkit train wrote as --out"}
		}
	}
	slices.SortFunc(runs, func(a, b *TrainingRun) int { return cmp.Compare(a.Path, b.Path) })
	return runs, nil
}

// below tells whether path is dir or inside it.
func below(dir, path string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

func readTrainingRun(dir string) (*TrainingRun, error) {
	run := &TrainingRun{Path: dir}
	path := filepath.Join(dir, logFile)
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, &corpus.DataError{Path: path, Err: reason(err), Hint: "check that the file is readable"}
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, &corpus.DataError{Path: path, Err: reason(err), Hint: "check that the file is readable"}
	}
	hash := sha256.Sum256(text)
	run.SHA256, run.Written = hex.EncodeToString(hash[:]), info.ModTime()
	number := 0
	for _, line := range bytes.SplitAfter(text, []byte("\n")) {
		number++
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var p TrainingPoint
		if err := json.Unmarshal(line, &p); err != nil {
			if line[len(line)-1] != '\n' {
				break
			}
			return nil, &corpus.DataError{Path: path, Line: number, Err: fmt.Errorf("is not a line of a training log: %w", err), Hint: "the file as glmkit train wrote it"}
		}
		run.Points = append(run.Points, p)
	}
	return run, run.identify()
}

// identify reads what the run's checkpoints say of it.
func (r *TrainingRun) identify() error {
	manifests, err := filepath.Glob(filepath.Join(globLiteral(r.Path), checkpointsDir, "*", manifestName))
	if err != nil {
		return fmt.Errorf("looking for the checkpoints of %s: %w", r.Path, err)
	}
	for _, path := range manifests {
		var manifest struct {
			Files map[string]string `json:"files"`
		}
		var state struct {
			Task       string `json:"task"`
			Seed       uint64 `json:"seed"`
			Pretrained string `json:"pretrained"`
		}
		if err := readJSON(path, &manifest); err != nil {
			return err
		}
		if err := readJSON(filepath.Join(filepath.Dir(path), stateName), &state); err != nil {
			return err
		}
		r.weights = append(r.weights, manifest.Files[weightsName])
		r.Task, r.Seed, r.pretrained = state.Task, state.Seed, state.Pretrained
	}
	return nil
}

// globLiteral keeps the letters of a path from being read as a pattern.
func globLiteral(path string) string {
	return strings.NewReplacer("*", `\*`, "?", `\?`, "[", `\[`, `\`, `\\`).Replace(path)
}

func readJSON(path string, v any) error {
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, v)
	}
	if err != nil {
		return &corpus.DataError{Path: path, Err: reason(err), Hint: "the checkpoint as glmkit train wrote it"}
	}
	return nil
}

// Attach finds the models that came from each run, by the hashes of the weights:
// a result names those that answered, a finetuned run those that it began from.
func Attach(runs []*TrainingRun, results []*Result) {
	models := map[string][]string{} // by the hash of weights
	add := func(weights, model string) {
		if weights != "" && !slices.Contains(models[weights], model) {
			models[weights] = append(models[weights], model)
		}
	}
	take := func(r *TrainingRun) {
		for _, weights := range r.weights {
			for _, model := range models[weights] {
				if !slices.Contains(r.Models, model) {
					r.Models = append(r.Models, model)
				}
			}
		}
		slices.Sort(r.Models)
	}
	for _, r := range results {
		add(r.CheckpointSHA256, r.Model.Name)
	}
	for _, r := range runs {
		if take(r); r.Task != "" {
			for _, model := range r.Models {
				add(r.pretrained, model)
			}
		}
	}
	for _, r := range runs {
		if r.Task == "" {
			take(r)
		}
	}
}
