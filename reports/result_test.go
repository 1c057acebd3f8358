package reports

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/corpus"
	"github.com/glmkit/glmkit/tasks"
)

// one is a single run of a task in a new folder.
func one(t *testing.T, task string) (dir string, r *Result, preds []tasks.Prediction) {
	t.Helper()
	e := twoModels()
	preds = e.answered("GLM", task, 1)
	r = e.result(t, glmTiny, task, 1, preds)
	dir = t.TempDir()
	if err := WriteResult(dir, r, preds); err != nil {
		t.Fatal(err)
	}
	return dir, r, preds
}

func TestResultRoundTrip(t *testing.T) {
	for _, task := range tasks.Names() {
		dir, want, preds := one(t, task)
		results, err := ReadResults([]string{dir, want.Path()}) // a file named twice counts once
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]*Result{want}, results, cmpopts.IgnoreUnexported(Result{})); diff != "" {
			t.Errorf("%s: written (-) and read (+) differ:\n%s", task, diff)
		}
		got, err := results[0].ReadPredictions()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(preds, got); diff != "" {
			t.Errorf("%s: predictions written (-) and read (+) differ:\n%s", task, diff)
		}
	}
}

func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestWriteResultAgain(t *testing.T) {
	dir, r, preds := one(t, "CB")
	before := files(t, dir)
	if len(before) != 2 {
		t.Fatalf("files %q, want a result and its predictions", before)
	}
	if err := WriteResult(dir, r, preds); err != nil {
		t.Fatalf("the same result again: %v", err)
	}
	if diff := cmp.Diff(before, files(t, dir)); diff != "" {
		t.Errorf("files changed:\n%s", diff)
	}

	preds[0].Text = "another text"
	if err := WriteResult(dir, r, preds); err != nil {
		t.Fatalf("other predictions of the same model: %v", err)
	}
	if names := files(t, dir); len(names) != 2 || cmp.Equal(names, before) {
		t.Errorf("files %q: the old predictions should be gone", names)
	}

	other := *r
	other.CheckpointSHA256 = "another"
	err := WriteResult(dir, &other, preds)
	var usage *configs.Error
	if !errors.As(err, &usage) || !strings.Contains(err.Error(), "another checkpoint") {
		t.Errorf("another checkpoint's result: got %v, want a configs.Error", err)
	}
	if results, err := ReadResults([]string{dir}); err != nil || results[0].CheckpointSHA256 != r.CheckpointSHA256 {
		t.Errorf("the first result is gone: %v", err)
	}
}

func TestWriteResultRefuses(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Result, []tasks.Prediction)
		want   string
	}{
		{"score not a number", func(_ *Result, p []tasks.Prediction) { p[3].Scores[0] = math.NaN() }, "diverged"},
		{"metric not a number", func(r *Result, _ []tasks.Prediction) { r.Metrics[0].Value = math.NaN() }, "not between 0 and 100"},
		{"share instead of percent is within, more is not", func(r *Result, _ []tasks.Prediction) { r.Metrics[0].Value = 101 }, "not between 0 and 100"},
		{"task that is a path", func(r *Result, _ []tasks.Prediction) { r.Task = "../CB" }, "no name of a task"},
		{"correlation below -100", func(r *Result, _ []tasks.Prediction) { r.Metrics[0] = tasks.Metric{Name: "matthews", Value: -101} }, "not between -100 and 100"},
		{"other spelling", func(r *Result, _ []tasks.Prediction) { r.Task = "cb" }, "spelled CB"},
		{"no model", func(r *Result, _ []tasks.Prediction) { r.Model.Name = "" }, "name of its model"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e := twoModels()
			preds := e.answered("GLM", "CB", 1)
			r := e.result(t, glmTiny, "CB", 1, preds)
			test.change(r, preds)
			dir := t.TempDir()
			err := WriteResult(dir, r, preds)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want %q", err, test.want)
			}
			if names := files(t, dir); len(names) > 0 {
				t.Errorf("left %q behind", names)
			}
		})
	}
}

func TestFileNamesKeepModelsApart(t *testing.T) {
	seen := map[string]string{}
	for _, model := range []string{"GLM", "GLM base", "GLM-base", "GLM/base", "../GLM", "ГЛМ", "ГЛН"} {
		name := fileName(&Result{Task: "CB", Split: "val", Model: Model{Name: model}})
		if filepath.Base(name) != name {
			t.Errorf("%q makes the name %q, which is a path", model, name)
		}
		if other, dup := seen[name]; dup {
			t.Errorf("%q and %q share the name %q", model, other, name)
		}
		seen[name] = model
	}
}

// edit changes one key of a JSON file.
func edit(t *testing.T, path, key string, value any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]any
	if err := json.Unmarshal(text, &object); err != nil {
		t.Fatal(err)
	}
	object[key] = value
	if text, err = json.Marshal(object); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestBadFiles(t *testing.T) {
	overwrite := func(text string) func(*testing.T, string, *Result) {
		return func(t *testing.T, path string, _ *Result) {
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	predictions := func(change func(string) string) func(*testing.T, string, *Result) {
		return func(t *testing.T, path string, r *Result) {
			name := filepath.Join(filepath.Dir(path), r.Predictions.Name)
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, []byte(change(string(text))), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	tests := []struct {
		name   string
		damage func(t *testing.T, path string, r *Result)
		want   string
	}{
		{"empty", overwrite(""), "is not a result"},
		{"cut short", overwrite(`{"format": "glmkit re`), "is not a result"},
		{"other JSON", overwrite(`{"step": 3}`), "is not a result of glmkit eval"},
		{"other version", func(t *testing.T, path string, _ *Result) { edit(t, path, "version", 9) }, "format version 9"},
		{"value that is no number", overwrite(`{"format": "glmkit result", "metrics": [{"name": "f1", "value": NaN}]}`), "is not a number"},
		{"another scale", func(t *testing.T, path string, r *Result) {
			edit(t, path, "metrics", []tasks.Metric{{Name: r.Metrics[0].Name, Value: r.Metrics[0].Value / 100}, r.Metrics[1]})
		}, "a share of 1; its predictions give"},
		{"score that is no number", func(t *testing.T, path string, r *Result) {
			name := filepath.Join(filepath.Dir(path), r.Predictions.Name)
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			text = bytes.Replace(text, []byte(`"scores":[0`), []byte(`"scores":[NaN`), 1)
			if err := os.WriteFile(name, text, 0o644); err != nil {
				t.Fatal(err)
			}
			edit(t, path, "predictions", PredictionFile{Name: r.Predictions.Name, SHA256: fmt.Sprintf("%x", sha256.Sum256(text))})
		}, "has a score that is not a number"},
		{"metric off the scale", func(t *testing.T, path string, _ *Result) {
			edit(t, path, "metrics", []tasks.Metric{{Name: "f1", Value: -1}})
		}, "not between 0 and 100"},
		{"metric that the predictions do not give", func(t *testing.T, path string, _ *Result) {
			edit(t, path, "metrics", []tasks.Metric{{Name: "f1", Value: 99}, {Name: "accuracy", Value: 99}})
		}, "not what the result says"},
		{"predictions elsewhere", func(t *testing.T, path string, _ *Result) {
			edit(t, path, "predictions", PredictionFile{Name: "../x.jsonl"})
		}, "not a file beside the result"},
		{"predictions missing", func(t *testing.T, path string, _ *Result) {
			edit(t, path, "predictions", PredictionFile{Name: "x.jsonl"})
		}, "no such file"},
		{"predictions changed", predictions(func(s string) string { return strings.Replace(s, `"label":0`, `"label":1`, 1) }), "sha256 differs"},
		{"predictions cut", predictions(func(s string) string { return s[:len(s)/2] }), "sha256 differs"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, r, _ := one(t, "CB")
			test.damage(t, r.Path(), r)
			results, err := ReadResults([]string{r.Path()})
			if err == nil {
				_, err = Build(results, Options{})
			}
			var data *corpus.DataError
			if !errors.As(err, &data) || !strings.Contains(err.Error(), test.want) || data.Hint == "" {
				t.Errorf("got %v, want a DataError with %q and a hint", err, test.want)
			}
		})
	}
}

func TestReadResultsOfNothing(t *testing.T) {
	for _, path := range []string{t.TempDir(), filepath.Join(t.TempDir(), "missing")} {
		_, err := ReadResults([]string{path})
		var data *corpus.DataError
		if !errors.As(err, &data) || data.Hint == "" {
			t.Errorf("%s: got %v, want a DataError with a hint", path, err)
		}
	}
}

// Predictions without right answers are a result for a submission, and none for a
// table.
func TestUnlabelledResult(t *testing.T) {
	dir, labelled, preds := one(t, "CB")
	r := *labelled
	r.Split, r.Unlabelled, r.Metrics = "test", true, []tasks.Metric{}
	for i := range preds {
		preds[i].Label, preds[i].Gold = -1, nil
	}
	if err := WriteResult(dir, &r, preds); err != nil {
		t.Fatal(err)
	}
	results, err := ReadResults([]string{dir})
	if err != nil || len(results) != 1 || results[0].Split != labelled.Split {
		t.Errorf("%d results for a table, %v", len(results), err)
	}
	var data *corpus.DataError
	if _, err := ReadResults([]string{r.Path()}); !errors.As(err, &data) || !strings.Contains(err.Error(), "without right answers") {
		t.Errorf("got %v", err)
	}
	if _, err := ReadTestResults([]string{labelled.Path()}); !errors.As(err, &data) || !strings.Contains(err.Error(), "split test") {
		t.Errorf("got %v", err)
	}
	tests, err := ReadTestResults([]string{dir})
	if err != nil || len(tests) != 1 {
		t.Fatal(len(tests), err)
	}
	got, err := tests[0].ReadPredictions()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(preds, got); diff != "" {
		t.Error(diff)
	}
	r.Metrics = labelled.Metrics
	if err := WriteResult(dir, &r, preds); err == nil {
		t.Error("metrics without right answers were written")
	}
	preds[0].Label = 0
	r.Metrics = nil
	if err := WriteResult(dir, &r, preds); err != nil {
		t.Fatal(err)
	}
	if tests, err = ReadTestResults([]string{dir}); err != nil {
		t.Fatal(err)
	}
	if _, err := tests[0].ReadPredictions(); err == nil {
		t.Error("a right answer in a split without any was read")
	}
}

func TestDuplicates(t *testing.T) {
	first, r, preds := one(t, "CB")
	second := t.TempDir()
	if err := WriteResult(second, r, preds); err != nil {
		t.Fatal(err)
	}
	_, err := ReadResults([]string{first, second})
	var data *corpus.DataError
	if !errors.As(err, &data) || !strings.Contains(err.Error(), first) || !strings.Contains(err.Error(), second) {
		t.Errorf("got %v, want a DataError that names both files", err)
	}
}

// Whatever a file of predictions holds, the columns of its task can be computed
// or it is refused.
func FuzzPredictions(f *testing.F) {
	f.Add(`{"id":"dev-1","passage":"p","question":"q","label":1,"predicted":0,"choices":["no","yes"],"gold":["no"]}`, 0)
	f.Add(`{"label":-1,"predicted":0,"choices":["a"],"gold":["a"]}`, 1)
	f.Add(`{"label":0,"predicted":2,"choices":["a"]}`, 2)
	f.Add("{\"label\":0,\"predicted\":0,\"choices\":[\"a\"]}\n{\"label\":1,\"predicted\":2,\"choices\":[\"a\",\"b\",\"c\"]}", 3)
	f.Add("null\n[]", 0)
	f.Fuzz(func(t *testing.T, text string, which int) {
		task := knownTasks()[uint(which)%uint(len(knownTasks()))]
		preds, err := (&Result{Task: task}).parsePredictions([]byte(text))
		if err != nil || len(preds) == 0 {
			return
		}
		g := groupExamples(task, preds)
		all := make([]int, g.units)
		for i := range all {
			all[i] = i
		}
		for _, c := range metricsOf(task) {
			if v := c.sums(preds, predictedOf(preds), g).Over(all); !(v >= 0 && v <= 100) {
				t.Errorf("%s %s: %v", task, c.metric, v)
			}
			if v := chance(c, preds, g, 1); !(v >= 0 && v <= 100+1e-9) {
				t.Errorf("%s %s: chance %v", task, c.metric, v)
			}
		}
	})
}
