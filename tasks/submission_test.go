package tasks

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/glmkit/glmkit/corpus"
)

// officialAnswers are predictions on test files of the official sizes.
func officialAnswers(t *testing.T) map[string][]Prediction {
	t.Helper()
	answers := map[string][]Prediction{}
	for _, set := range testSets {
		task := mustGet(t, set.task)
		add := func(format string, ids ...any) {
			choices := task.Labels
			if set.task == "ReCoRD" {
				choices = []string{"Mara", "Port Ness"}
			}
			n := len(answers[set.task])
			p := n % len(choices)
			answers[set.task] = append(answers[set.task], Prediction{
				ID: fmt.Sprintf(format, ids...), Number: n, Label: -1,
				Choices: choices, Predicted: p, Answer: choices[p],
			})
		}
		switch set.task {
		case "MultiRC":
			a := 0
			for q := range set.questions {
				for range set.answers/set.questions + min(1, max(0, set.answers%set.questions-q)) {
					add("test-p%d-q%d-a%d", q*set.lines/set.questions, q, a)
					a++
				}
			}
		case "ReCoRD":
			for i := range set.lines {
				add("test-p%d-q%d", i/2, i)
			}
		default:
			for i := range set.lines {
				add("test-%d", i)
			}
		}
	}
	return answers
}

// archived writes a submission and returns the path.
func archived(t *testing.T, answers map[string][]Prediction) string {
	t.Helper()
	var archive bytes.Buffer
	if err := WriteSubmission(&archive, answers); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "s.zip")
	if err := os.WriteFile(path, archive.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// content reads a file of an archive.
func content(t *testing.T, path, name string) string {
	t.Helper()
	archive, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	f, err := archive.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestSubmission: a whole one is accepted, and its lines are those that jiant
// writes.
func TestSubmission(t *testing.T) {
	answers := officialAnswers(t)
	path := archived(t, answers)
	files, err := CheckSubmission(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 10 {
		t.Errorf("%d files", len(files))
	}
	for _, f := range files {
		if f.Fault != nil {
			t.Error(f.Fault)
		}
	}
	if diff := cmp.Diff(map[string]int{"0": 4847, "1": 4846}, files[3].Labels); diff != "" {
		t.Error(diff)
	}
	for name, want := range map[string]string{
		"BoolQ": `{"idx":1,"label":"true"}`, "CB": `{"idx":1,"label":"contradiction"}`, "COPA": `{"idx":1,"label":1}`,
		"MultiRC": `{"idx":0,"passage":{"questions":[{"idx":0,"answers":[{"idx":0,"label":0},{"idx":1,"label":1},{"idx":2,"label":0},{"idx":3,"label":1},{"idx":4,"label":0},{"idx":5,"label":1}]},{"idx":1,"answers":[{"idx":6,"label":0}`,
		"ReCoRD":  `{"idx":1,"label":"Port Ness"}`, "RTE": `{"idx":1,"label":"not_entailment"}`, "WiC": `{"idx":1,"label":"true"}`,
		"WSC": `{"idx":1,"label":"True"}`, "AX-b": `{"idx":1,"label":"not_entailment"}`, "AX-g": `{"idx":1,"label":"not_entailment"}`,
	} {
		if text := content(t, path, name+".jsonl"); !strings.Contains(text, want) {
			t.Errorf("%s: no %s in\n%.300s", name, want, text)
		}
	}

	var once, again bytes.Buffer
	for _, w := range []*bytes.Buffer{&once, &again} {
		if err := WriteSubmission(w, answers); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(once.Bytes(), again.Bytes()) {
		t.Error("the same predictions make other bytes")
	}
}

// TestSubmissionFaults: what the site would not take is named with its line.
func TestSubmissionFaults(t *testing.T) {
	whole := archived(t, officialAnswers(t))
	read := map[string]string{}
	for _, set := range testSets {
		read[set.task+".jsonl"] = content(t, whole, set.task+".jsonl")
	}
	tests := []struct {
		name, file string
		change     func(string) string // of the file; nil: it is left out
		want       string
	}{
		{"missing task", "CB.jsonl", nil, "s.zip: CB.jsonl is missing"},
		{"a line too few", "WSC.jsonl", func(s string) string { return s[:strings.LastIndex(s[:len(s)-1], "\n")+1] }, "WSC.jsonl: it has 145 lines, the test file 146"},
		{"a line too many", "WSC.jsonl", func(s string) string { return s + `{"idx":146,"label":"True"}` + "\n" }, "WSC.jsonl: it has 147 lines"},
		{"idx left out", "RTE.jsonl", func(s string) string { return strings.Replace(s, `{"idx":4,`, `{"idx":5,`, 1) }, "RTE.jsonl:5: idx 5 where 4 is due"},
		{"idx a text", "RTE.jsonl", func(s string) string { return strings.Replace(s, `{"idx":4,`, `{"idx":"4",`, 1) }, "RTE.jsonl:5: not a line of this task"},
		{"a boolean", "BoolQ.jsonl", func(s string) string { return strings.Replace(s, `"true"`, `true`, 1) }, `BoolQ.jsonl:2: the label true is not one of "false", "true"`},
		{"a capital", "WiC.jsonl", func(s string) string { return strings.Replace(s, `"true"`, `"True"`, 1) }, `WiC.jsonl:2: the label "True" is not one of "false", "true"`},
		{"no capital", "WSC.jsonl", func(s string) string { return strings.Replace(s, `"True"`, `"true"`, 1) }, `WSC.jsonl:2: the label "true" is not one of "False", "True"`},
		{"a number as text", "COPA.jsonl", func(s string) string { return strings.Replace(s, `1}`, `"1"}`, 1) }, `COPA.jsonl:2: the label "1" is not one of 0, 1`},
		{"another task's label", "AX-b.jsonl", func(s string) string { return strings.Replace(s, `"entailment"`, `"neutral"`, 1) }, `AX-b.jsonl:1: the label "neutral" is not one of "entailment", "not_entailment"`},
		{"no label", "CB.jsonl", func(s string) string { return strings.Replace(s, `,"label":"neutral"`, ``, 1) }, "CB.jsonl:3: the label is missing"},
		{"another field", "CB.jsonl", func(s string) string { return strings.Replace(s, `"label"`, `"answer"`, 1) }, "CB.jsonl:1: not a line of this task"},
		{"not JSON", "CB.jsonl", func(s string) string { return "idx\n" + s }, "CB.jsonl:1: not a line of this task"},
		{"an index for an entity", "ReCoRD.jsonl", func(s string) string { return strings.Replace(s, `"Mara"`, `3`, 1) }, "ReCoRD.jsonl:1: the label 3 is not the text of an entity"},
		{"a question left out", "MultiRC.jsonl", func(s string) string { return strings.Replace(s, `{"idx":1,"answers"`, `{"idx":2,"answers"`, 1) }, "MultiRC.jsonl:1: question idx 2 where 1 is due"},
		{"an answer twice", "MultiRC.jsonl", func(s string) string {
			return strings.Replace(s, `{"idx":7,"label":1}`, `{"idx":6,"label":0}`, 1)
		}, "MultiRC.jsonl:1: question 1: answer idx 6 where 7 is due"},
		{"a flat MultiRC", "MultiRC.jsonl", func(string) string { return `{"idx":0,"label":1}` + "\n" }, "MultiRC.jsonl:1: not a line of this task"},
		{"answers left out", "MultiRC.jsonl", func(s string) string { return strings.Replace(s, `,{"idx":9692,"label":0}`, ``, 1) }, "MultiRC.jsonl: it has 1820 questions and 9692 answers, the test file 1820 and 9693"},
		{"another file", "notes.txt", func(string) string { return "by hand" }, "notes.txt: is no task's file"},
		{"a nested archive", "CB.zip", func(string) string { return "PK" }, "CB.zip: is no task's file"},
		{"a file twice", "old/CB.jsonl", func(string) string { return "" }, "old/CB.jsonl: is there twice"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var archive bytes.Buffer
			w := zip.NewWriter(&archive)
			files := map[string]string{test.file: ""}
			for name, text := range read {
				files[name] = text
			}
			for _, name := range sortedKeys(files) {
				text := files[name]
				if name == test.file {
					if test.change == nil {
						continue
					}
					text = test.change(text)
				}
				// Stored: compressing is not what is tested.
				f, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := io.WriteString(f, text); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "s.zip")
			if err := os.WriteFile(path, archive.Bytes(), 0o666); err != nil {
				t.Fatal(err)
			}
			found, err := CheckSubmission(path)
			if err != nil {
				t.Fatal(err)
			}
			var faults []string
			for _, f := range found {
				if f.Fault != nil {
					faults = append(faults, f.Fault.Error())
				}
			}
			if len(faults) != 1 || !strings.Contains(faults[0], test.want) {
				t.Errorf("found %q, want %q alone", faults, test.want)
			}
		})
	}
}

func TestSubmissionOfWhat(t *testing.T) {
	for name, predictions := range map[string]map[string][]Prediction{
		"a user's task": {"Mine": {{ID: "test-0"}}},
		"another split": {"CB": {{ID: "dev-0", Choices: []string{"neutral"}, Answer: "neutral"}}},
		"two ways":      {"WSC": {{ID: "test-0", Answer: "True"}}, "WSC-negative": {{ID: "test-0", Answer: "True"}}},
	} {
		if err := WriteSubmission(io.Discard, predictions); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	path := archived(t, map[string][]Prediction{"WSC-negative": {{ID: "test-0", Answer: "True"}}})
	if got, want := content(t, path, "WSC.jsonl"), `{"idx":0,"label":"True"}`+"\n"; got != want {
		t.Errorf("WSC in its mixed form: %s, want %s", got, want)
	}
	for _, path := range []string{filepath.Join(t.TempDir(), "none.zip"), "submission_test.go"} {
		_, err := CheckSubmission(path)
		if _, ok := err.(*corpus.DataError); !ok {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestSubmissionOfOfficialFiles: the test files that are there make files that
// the check accepts, so its sizes and numbers are theirs.
func TestSubmissionOfOfficialFiles(t *testing.T) {
	data := os.Getenv("GLMKIT_DATA")
	if data == "" {
		data = filepath.Join("..", "..", "shared", "data")
	}
	predictions, there := map[string][]Prediction{}, 0
	for _, name := range SubmissionTasks() {
		path := filepath.Join(data, "SuperGLUE", name, "test.jsonl")
		if _, err := os.Stat(path); err != nil {
			continue
		}
		there++
		task := mustGet(t, name)
		for e, err := range task.Read(path, "test", Cloze) {
			if err != nil {
				t.Fatal(err)
			}
			choices := e.Choices
			if choices == nil {
				choices = task.Labels
			}
			predictions[name] = append(predictions[name], Prediction{ID: e.ID, Number: e.Number, Label: e.Label, Choices: choices, Answer: choices[0]})
		}
	}
	if there == 0 {
		t.Skip("set GLMKIT_DATA to run this test")
	}
	files, err := CheckSubmission(archived(t, predictions))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Name != "" && f.Fault != nil {
			t.Error(f.Fault)
		}
	}
}
