package tasks

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/corpus"
)

// sound is a task file that the tests below damage, line by line.
const sound = `task: Mine
recipe: RTE
files: {train: train.jsonl, val: dev.tsv}
id: idx
fields:
  premise: premise
  claim: {from: hypothesis, unpunctuated: true}
text: ["premise: {premise}"]
label: label
labels: ["no", "yes"]
patterns:
  - parts: ["✂{claim}", "?"]
    then: ["▢", ",", "✂ {premise}"]
    words: [" No", " Yes"]
pair: {first: ["✂{premise}"], second: ["✂{claim}"]}
metrics: [accuracy, macro_f1]
`

func TestDeclarationErrors(t *testing.T) {
	if _, err := declare("my.yaml", []byte(sound), registry); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, old, new, want string }{
		{"not YAML", "labels: [", "labels: [[", "my.yaml:"},
		{"empty", sound, "# nothing\n", "my.yaml: declares nothing"},
		{"not a mapping", sound, "- task\n", "my.yaml:1: want keys and values, got a list"},
		{"unknown key", "patterns:", "patern:", "my.yaml:11: unknown key patern; did you mean patterns?"},
		{"unknown key inside", "words:", "word:", "my.yaml:14: unknown key word; did you mean words?"},
		{"no name", "task: Mine\n", "", "my.yaml:1: the key task is missing"},
		{"name of no folder", "task: Mine", "task: my/task", `my.yaml:1: task: "my/task" cannot be the name of a folder everywhere`},
		{"name taken", "task: Mine", "task: boolq", "my.yaml:1: task: boolq is a built-in task"},
		{"unknown recipe", "recipe: RTE", "recipe: RTF", `my.yaml:2: recipe: there is no recipe "RTF"; did you mean RTE?`},
		{"unknown split", "val: dev.tsv", "dev: dev.tsv", "my.yaml:3: there is no split dev; did you mean"},
		{"unknown format", "dev.tsv", "dev.csv", `my.yaml:3: files.val: "dev.csv" is neither .jsonl nor .tsv`},
		{"file elsewhere", "dev.tsv", "../dev.tsv", `my.yaml:3: files.val: "../dev.tsv" is not the name of a file`},
		{"columns of JSON", "train: train.jsonl", "train: {name: train.jsonl, columns: [a]}", `my.yaml:3: files.train.name: "train.jsonl" has no columns to name`},
		{"no fields", "fields:\n  premise: premise\n  claim: {from: hypothesis, unpunctuated: true}\n", "", "my.yaml:1: no fields are declared"},
		{"flag", "unpunctuated: true", "unpunctuated: 1", `my.yaml:7: fields.claim.unpunctuated: want true or false, got "1"`},
		{"reserved field", "  premise: premise", "  answer: premise", "my.yaml:6: {answer} is the candidate in a pair"},
		{"field of a text", `"premise: {premise}"`, `"premise: {premisse}"`, "my.yaml:8: text[0]: there is no field {premisse}; did you mean {premise}?"},
		{"no label", "label: label\n", "", "my.yaml:1: the key label is missing"},
		{"no labels", "labels: [\"no\", \"yes\"]\n", "", "my.yaml:1: the key labels is missing"},
		{"one label", `["no", "yes"]`, `["no"]`, "my.yaml:10: labels: 1 labels cannot be told apart"},
		{"label twice", `["no", "yes"]`, `["no", "No"]`, `my.yaml:10: labels[1]: "No" is there twice`},
		{"no patterns", "patterns:\n  - parts: [\"✂{claim}\", \"?\"]\n    then: [\"▢\", \",\", \"✂ {premise}\"]\n    words: [\" No\", \" Yes\"]\n", "", "my.yaml:1: no patterns are declared"},
		{"patterns of no task", "patterns:\n  - parts: [\"✂{claim}\", \"?\"]\n    then: [\"▢\", \",\", \"✂ {premise}\"]\n    words: [\" No\", \" Yes\"]\n", "patterns: RTF\n", `my.yaml:11: patterns: there is no task "RTF"; did you mean RTE?`},
		{"no blank", `"▢", ","`, `","`, "my.yaml:12: patterns[0].parts: the pattern has 0 blanks"},
		{"two blanks", `"▢", ","`, `"▢", "▢"`, "my.yaml:12: patterns[0].parts: the pattern has 2 blanks"},
		{"blank not alone", `"▢", ","`, `"▢,"`, "my.yaml:13: patterns[0].then[0]: the blank is a part of its own"},
		{"scissors inside", `"✂ {premise}"`, `" ✂{premise}"`, `my.yaml:13: patterns[0].then[2]: " ✂{premise}" has ✂ inside`},
		{"unknown field", `"✂{claim}"`, `"✂{clam}"`, "my.yaml:12: patterns[0].parts[0]: there is no field {clam}; did you mean {claim}?"},
		{"open field", `"✂{claim}"`, `"✂{claim"`, `my.yaml:12: patterns[0].parts[0]: "{claim" opens a field and does not close it`},
		{"empty part", `", "?"]`, `", ""]`, "my.yaml:12: patterns[0].parts[1]: is an empty part"},
		{"a word too few", `[" No", " Yes"]`, `[" No"]`, "my.yaml:14: patterns[0].words: 1 words for 2 labels"},
		{"a word for two", `[" No", " Yes"]`, `[" No", " No"]`, `my.yaml:14: patterns[0].words: " No" stands for two labels`},
		{"no words", `    words: [" No", " Yes"]` + "\n", "", "my.yaml:12: patterns[0]: 0 words for 2 labels"},
		{"blank in a pair", `second: ["✂{claim}"]`, `second: ["▢"]`, "my.yaml:15: pair: a pair has no blank"},
		{"unknown metric", "macro_f1", "macrof1", `my.yaml:16: metrics[1]: there is no metric "macrof1"; did you mean macro_f1?`},
		{"an empty word too many", `[" No", " Yes"]`, `[" No", " Yes", ""]`, "my.yaml:14: patterns[0].words: 3 words for 2 labels"},
		{"metric of groups", "macro_f1", "exact_match", "my.yaml:16: metrics[1]: exact_match is counted by question, and no group is declared"},
		{"metric of answers", "macro_f1", "answer_f1", "my.yaml:16: metrics[1]: answer_f1 compares with several right answers"},
		{"no metrics", "metrics: [accuracy, macro_f1]\n", "", "my.yaml:1: no metrics are declared"},
		{"choice by no metric", "metrics: [accuracy, macro_f1]", "metrics: [accuracy, macro_f1]\nchoose_by: f1", `my.yaml:17: choose_by: "f1" is not among the metrics`},
		{"a list wanted", `["no", "yes"]`, `yes`, `my.yaml:10: labels: want a list, got "yes"`},
		{"an alias", "task: Mine", "task: &name Mine", "my.yaml:1: task: want a text, got an anchor, alias or tag, which are not read"},
		{"unknown lines", "id: idx", "lines: RECORD", `my.yaml:4: lines: no lines are read like "RECORD"; did you mean ReCoRD?`},
		{"fields beside lines", "id: idx", "lines: ReCoRD", "has no use here: lines: ReCoRD says it"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			text := strings.Replace(sound, test.old, test.new, 1)
			if text == sound {
				t.Fatal("nothing was changed")
			}
			_, err := declare("my.yaml", []byte(text), registry)
			var config *configs.Error
			if !errors.As(err, &config) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
	var data *corpus.DataError
	if _, err := Open(filepath.Join(t.TempDir(), "none.yaml")); !errors.As(err, &data) {
		t.Errorf("got %v for a missing file, want a DataError", err)
	}
}

// FuzzDeclare: whatever a task file says, it is a task or a configs.Error.
func FuzzDeclare(f *testing.F) {
	f.Add(sound)
	for _, name := range shown {
		text, err := declarations.ReadFile("declarations/" + name + ".yaml")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		task, err := declare("my.yaml", []byte(text), nil)
		var config *configs.Error
		if (task == nil) == (err == nil) || err != nil && !errors.As(err, &config) {
			t.Errorf("task %v, error %v", task, err)
		}
	})
}

// declared makes a task of a text.
func declared(t *testing.T, text string) *Task {
	t.Helper()
	path := filepath.Join(t.TempDir(), "my.yaml")
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	task, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return task
}

// TestDeclaredChoices: candidates from fields, from a list, with labels of
// their own or counted.
func TestDeclaredChoices(t *testing.T) {
	const rest = `
fields: {question: q.text}
label: right
patterns: [{parts: ["✂{question}", "▢"]}]
pair: {first: ["✂{question}"], second: ["{answer}"]}
metrics: [accuracy]
`
	tests := []struct{ name, head, line, want string }{
		{"fields", "task: A\nchoices: [a, b]", `{"q": {"text": "who"}, "a": "Ann", "b": "Bo’s", "right": 1}`, `1 [Ann Bo's]`},
		{"letters", "task: A\nlabels: [A, B]\nchoices: [a, b]", `{"q": {"text": "who"}, "a": "Ann", "b": "Bo", "right": "b"}`, `1 [Ann Bo]`},
		{"a list", "task: A\nchoices: c", `{"q": {"text": "who"}, "c": ["Ann", "Bo", "Cy"], "right": 2}`, `2 [Ann Bo Cy]`},
		{"unlabelled", "task: A\nchoices: c", `{"q": {"text": "who"}, "c": ["Ann"]}`, `-1 [Ann]`},
		{"past the end", "task: A\nchoices: c", `{"q": {"text": "who"}, "c": ["Ann"], "right": 1}`, `some.jsonl:1: dev-0: right: "1" is not the place of one of 1 choices, from 0`},
		{"letter past the end", "task: A\nlabels: [A, B, C]\nchoices: c", `{"q": {"text": "who"}, "c": ["Ann", "Bo"], "right": "C"}`, `some.jsonl:1: dev-0: right: the right one of 2 choices is "C"`},
		{"none", "task: A\nchoices: c", `{"q": {"text": "who"}, "c": [], "right": 0}`, `some.jsonl:1: dev-0: c: there are no choices`},
		{"nested field missing", "task: A\nchoices: c", `{"q": {}, "c": ["Ann"], "right": 0}`, `some.jsonl:1: dev-0: the field "q.text" is missing`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			task := declared(t, test.head+rest)
			examples, err := readText(task, test.line, "val", Cloze)
			got := fmt.Sprint(err)
			if err == nil {
				got = fmt.Sprint(examples[0].Label, examples[0].Choices)
				for form, pattern := range forms(task) {
					encoded, _, err := newEncoder(t, task, form, pattern, 64).Encode(examples[0])
					if err != nil || len(encoded.Sequences) != len(examples[0].Choices) {
						t.Errorf("%s: %d sequences, %v", form, len(encoded.Sequences), err)
					}
				}
			}
			if got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// TestPreparedDeclaration: a user's task goes into the folder with its file,
// and is found there; another file is another task.
func TestPreparedDeclaration(t *testing.T) {
	ctx := context.Background()
	source, out := t.TempDir(), t.TempDir()
	table := "\ufeffidx\tlabel\tpremise\thypothesis\r\n7\tyes\tAnn \"ran.\tAnn ran.\r\n\n8\tno\tBo sat.\tBo ran.\n"
	if err := os.WriteFile(filepath.Join(source, "dev.tsv"), []byte(table), 0o666); err != nil {
		t.Fatal(err)
	}
	task := declared(t, sound)
	manifest, done, err := newEncoder(t, task, Cloze, 0, 64).Prepare(ctx, source, out, nil)
	if err != nil || done {
		t.Fatal(done, err)
	}
	if h := manifest.Config; h.Recipe != "RTE" || h.FinetuneRecipe() != "RTE" || h.FinetunedOn() != "Mine" || h.Declaration == "" {
		t.Errorf("header %+v", h)
	}
	split, err := OpenSplit(filepath.Join(out, "Mine", "val.arrow"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range split.Examples {
		got = append(got, fmt.Sprint(e.ID, e.Label, e.Text))
	}
	if want := []string{`dev-71premise: Ann "ran.`, `dev-80premise: Bo sat.`}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	found, err := Prepared(filepath.Join(out, "Mine"))
	if err != nil || found.Name != "Mine" || found.Patterns() != 1 {
		t.Fatal(found, err)
	}
	if _, _, err := newEncoder(t, declared(t, sound+"# other\n"), Cloze, 0, 64).Prepare(ctx, source, out, nil); err == nil || !strings.Contains(err.Error(), "was prepared otherwise: task file") {
		t.Errorf("got %v for another task file", err)
	}
	if err := os.WriteFile(filepath.Join(out, "Mine", taskFileName), []byte(sound+"# other\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	var data *corpus.DataError
	if _, err := Prepared(filepath.Join(out, "Mine")); !errors.As(err, &data) {
		t.Errorf("got %v for a changed task file, want a DataError", err)
	}
	if _, _, err := newEncoder(t, cb, Cloze, 0, 64).Prepare(ctx, taskFolder(t, cb), out, nil); err != nil {
		t.Fatal(err)
	}
	if found, err := Prepared(filepath.Join(out, "CB")); err != nil || found != cb {
		t.Errorf("got %v, %v for CB", found, err)
	}
	bad := "idx\tlabel\tpremise\thypothesis\n1\tyes\tAnn ran.\n"
	if err := os.WriteFile(filepath.Join(source, "dev.tsv"), []byte(bad), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, _, err := newEncoder(t, task, Cloze, 0, 64).Prepare(ctx, source, t.TempDir(), nil); !errors.As(err, &data) || !strings.Contains(err.Error(), "dev.tsv:2: the row has 3 columns where the table has 4") {
		t.Errorf("got %v for a short row", err)
	}
}

// TestGLUE reads rows laid out as GLUE's official files through the task files
// in docs/tasks, in every pattern and form.
func TestGLUE(t *testing.T) {
	row := func(cells ...string) string { return strings.Join(cells, "\t") + "\n" }
	mnli := row("index", "promptID", "pairID", "genre", "sentence1_binary_parse", "sentence2_binary_parse", "sentence1_parse", "sentence2_parse", "sentence1", "sentence2", "label1", "gold_label") +
		row("4", "1", "1e", "fiction", "( a )", "( b )", "(ROOT a)", "(ROOT b)", "Ann ran.", "Ann moved.", "entailment", "entailment")
	qnli := row("index", "question", "sentence", "label") + row("3", "Who ran?", "Ann ran.", "entailment")
	tests := []struct {
		task, split, text string
		want              string // ID, label, text
	}{
		{"SST-2", "train", row("sentence", "label") + row("a charming film ", "1"), "train-0 1 sentence: a charming film "},
		{"SST-2", "test", row("index", "sentence") + row("0", "a film"), "test-0 -1 sentence: a film"},
		{"CoLA", "val", row("gj04", "0", "*", "Ann ran \"ran."), "dev-0 0 sentence: Ann ran \"ran."},
		{"CoLA", "test", row("index", "sentence") + row("0", "Ann ran."), "test-0 -1 sentence: Ann ran."},
		{"MRPC", "train", "\ufeff" + row("Quality", "#1 ID", "#2 ID", "#1 String", "#2 String") + row("1", "7", "8", "Ann ran.", "Ann did run."), "train-0 1 first: Ann ran.\nsecond: Ann did run."},
		{"QQP", "val", row("id", "qid1", "qid2", "question1", "question2", "is_duplicate") + row("9", "1", "2", "Who ran?", "Who sat?", "0"), "dev-9 0 first: Who ran?\nsecond: Who sat?"},
		{"MNLI", "train", mnli, "train-4 1 premise: Ann ran.\nhypothesis: Ann moved."},
		{"MNLI-mm", "val", mnli, "dev-4 1 premise: Ann ran.\nhypothesis: Ann moved."},
		{"QNLI", "val", qnli, "dev-3 0 question: Who ran?\nsentence: Ann ran."},
		{"WNLI", "train", row("index", "sentence1", "sentence2", "label") + row("5", "Ann saw Bo as she ran.", "Ann ran.", "1"), "train-5 0 premise: Ann saw Bo as she ran.\nhypothesis: Ann ran."},
	}
	files, err := filepath.Glob("../docs/tasks/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	tried := map[string]bool{}
	for _, test := range tests {
		t.Run(test.task+" "+test.split, func(t *testing.T) {
			tried[test.task] = true
			task, err := Open("../docs/tasks/" + test.task + ".yaml")
			if err != nil {
				t.Fatal(err)
			}
			var examples []Example
			for example, err := range task.readFrom(strings.NewReader(test.text), task.File(test.split), test.split, Cloze) {
				if err != nil {
					t.Fatal(err)
				}
				examples = append(examples, example)
			}
			e := examples[0]
			if diff := cmp.Diff(test.want, fmt.Sprint(e.ID, " ", e.Label, " ", e.Text)); diff != "" || len(examples) != 1 {
				t.Errorf("%d examples\n%s", len(examples), diff)
			}
			tokenizer := bertTokenizer(t)
			for pattern := -1; pattern < task.Patterns(); pattern++ {
				form := Cloze
				if pattern < 0 {
					form = Classification
				}
				encoder, err := task.NewEncoder(form, pattern, 64, tokenizer)
				if err != nil {
					t.Fatal(err)
				}
				encoded, _, err := encoder.Encode(e)
				if err != nil {
					t.Fatal(err)
				}
				if err := encoder.Header().check(encoded); err != nil {
					t.Error(err)
				}
			}
		})
	}
	if len(tried) != len(files) {
		t.Errorf("%d of the %d files in docs/tasks are tried", len(tried), len(files))
	}
}
