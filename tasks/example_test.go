package tasks

import (
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

// readText reads a file's text as a split of a task.
func readText(task *Task, text, split string, form Form) (examples []Example, err error) {
	for example, err := range task.readFrom(strings.NewReader(text), "some.jsonl", split, form) {
		if err != nil {
			return examples, err
		}
		examples = append(examples, example)
	}
	return examples, nil
}

func mustGet(t testing.TB, name string) *Task {
	t.Helper()
	task, err := Get(name)
	if err != nil {
		t.Fatal(err)
	}
	return task
}

func TestGet(t *testing.T) {
	if task := mustGet(t, "record"); task.Name != "ReCoRD" {
		t.Errorf("got %s for record", task.Name)
	}
	_, err := Get("MultiRX")
	var config *configs.Error
	if !errors.As(err, &config) || !strings.Contains(config.Msg, "did you mean MultiRC?") {
		t.Errorf("got %v, want a configs.Error that offers MultiRC", err)
	}
}

func TestBadLines(t *testing.T) {
	wsc := func(text, pronoun string, index int) string {
		return fmt.Sprintf(`{"text": %q, "target": {"span1_text": "Eva", "span1_index": 0, "span2_text": %q, "span2_index": %d}, "idx": 0, "label": true}`, text, pronoun, index)
	}
	record := func(entities, query string) string {
		return `{"idx": 1, "passage": {"text": "Ann saw Bo.", "entities": ` + entities + `}, "qas": [{"idx": 2, "query": "` + query + `", "answers": [{"text": "Bo"}]}]}`
	}
	const bo = `[{"start": 8, "end": 9}]`
	tests := []struct {
		name, task, line, want string
	}{
		{"malformed", "CB", `{"premise": "a", `, "not JSON: unexpected end of JSON input"},
		{"two objects", "CB", `{} {}`, "not JSON: invalid character '{' after top-level value"},
		{"not an object", "RTE", `["premise"]`, `want a JSON object, got an array`},
		{"not UTF-8", "RTE", "{\"premise\": \"\xff\"}", "the line is not UTF-8"},
		{"no idx", "BoolQ", `{"passage": "a", "question": "b", "label": true}`, `the field "idx" is missing`},
		{"no passage", "BoolQ", `{"question": "b", "label": true, "idx": 0}`, `train-0: the field "passage" is missing`},
		{"passage null", "BoolQ", `{"passage": null, "question": "b", "label": true, "idx": 0}`, `train-0: the field "passage" is missing`},
		{"passage a number", "BoolQ", `{"passage": 7, "question": "b", "label": true, "idx": 0}`, `train-0: passage: want a string, got 7`},
		{"no label to train on", "BoolQ", `{"passage": "a", "question": "b", "idx": 0}`, `train-0: the field "label" is missing`},
		{"label of BoolQ", "BoolQ", `{"passage": "a", "question": "b", "label": "maybe", "idx": 0}`, `train-0: label: "maybe" is not one of false, true`},
		{"label of CB", "CB", `{"premise": "a", "hypothesis": "b", "label": "not_entailment", "idx": 0}`, `train-0: label: "not_entailment" is not one of entailment, contradiction, neutral`},
		{"label of RTE", "RTE", `{"premise": "a", "hypothesis": "b", "label": "neutral", "idx": 0}`, `train-0: label: "neutral" is not one of entailment, not_entailment`},
		{"label an object", "RTE", `{"premise": "a", "hypothesis": "b", "label": {}, "idx": 0}`, `train-0: label: want a string or a number, got an object`},
		{"label of COPA", "COPA", `{"premise": "a", "choice1": "b", "choice2": "c", "question": "cause", "label": 2, "idx": 0}`, `train-0: label: "2" is not one of 0, 1`},
		{"question of COPA", "COPA", `{"premise": "a", "choice1": "b", "choice2": "c", "question": "reason", "label": 1, "idx": 0}`, `train-0: question: "reason" is not one of cause, effect`},
		{"no choice of COPA", "COPA", `{"premise": "a", "choice1": "b", "question": "cause", "label": 1, "idx": 0}`, `train-0: the field "choice2" is missing`},
		{"label of WiC", "WiC", `{"word": "a", "sentence1": "b", "sentence2": "c", "label": 3, "idx": 0}`, `train-0: label: "3" is not one of false, true`},
		{"no word of WiC", "WiC", `{"sentence1": "b", "sentence2": "c", "label": true, "idx": 0}`, `train-0: the field "word" is missing`},
		{"answers of MultiRC", "MultiRC", `{"idx": 0, "passage": {"text": "a", "questions": [{"question": "q", "idx": 0, "answers": {}}]}}`, `train-p0-q0: passage.questions[0].answers: want an array, got an object`},
		{"answer of MultiRC", "MultiRC", `{"idx": 0, "passage": {"text": "a", "questions": [{"question": "q", "idx": 0, "answers": [{"text": "b", "idx": 0, "label": 1}, {"idx": 1, "label": 1}]}]}}`, `train-p0-q0-a1: passage.questions[0].answers[1]: the field "text" is missing`},
		{"label of MultiRC", "MultiRC", `{"idx": 0, "passage": {"text": "a", "questions": [{"question": "q", "idx": 0, "answers": [{"text": "b", "idx": 0, "label": 2}]}]}}`, `train-p0-q0-a0: passage.questions[0].answers[0].label: "2" is not one of 0, 1`},
		{"no placeholder", "ReCoRD", record(bo, "Ann saw him"), `train-p1-q2: qas[0].query: want exactly one @placeholder in "Ann saw him"`},
		{"two placeholders", "ReCoRD", record(bo, "@placeholder saw @placeholder"), `train-p1-q2: qas[0].query: want exactly one @placeholder in "@placeholder saw @placeholder"`},
		{"entity past the text", "ReCoRD", record(`[{"start": 8, "end": 11}]`, "Ann saw @placeholder"), `train-p1: passage.entities[0]: characters 8 to 11 are not in the passage of 11`},
		{"entity backwards", "ReCoRD", record(`[{"start": 9, "end": 8}]`, "Ann saw @placeholder"), `train-p1: passage.entities[0]: characters 9 to 8 are not in the passage of 11`},
		{"entity offset negative", "ReCoRD", record(`[{"start": -1, "end": 8}]`, "Ann saw @placeholder"), `train-p1: passage.entities[0].start: want an index, got -1`},
		{"entity offset a fraction", "ReCoRD", record(`[{"start": 0.5, "end": 8}]`, "Ann saw @placeholder"), `train-p1: passage.entities[0].start: want an index, got 0.5`},
		{"no answers to train on", "ReCoRD", `{"idx": 1, "passage": {"text": "Bo", "entities": []}, "qas": [{"idx": 2, "query": "@placeholder"}]}`, `train-p1-q2: qas[0]: the field "answers" is missing`},
		{"pronoun elsewhere", "WSC", wsc("Ida met Eva and she left", "she", 1), `train-0: target: the pronoun "she" is not at word 1 of the text, nor beside it`},
		{"pronoun past the end", "WSC", wsc("Ida met Eva", "she", 99), `train-0: target: the pronoun "she" is not at word 99 of the text, nor beside it`},
		{"pronoun empty", "WSC", wsc("Ida met Eva", "", 1), `train-0: target: the pronoun "" is not at word 1 of the text, nor beside it`},
		{"no span", "WSC", `{"text": "Ida", "target": {"span1_text": "Ida", "span2_index": 0}, "idx": 0, "label": true}`, `train-0: target: the field "span2_text" is missing`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			task := mustGet(t, test.task)
			good, err := os.ReadFile(filepath.Join("testdata", "records", task.Name, "train.jsonl"))
			if err != nil {
				t.Fatal(err)
			}
			// A blank line is no example, but counts as a line.
			text := string(good) + "\n" + test.line + "\n"
			_, err = readText(task, text, "train", Cloze)
			var data *corpus.DataError
			if !errors.As(err, &data) {
				t.Fatalf("got %v, want a DataError", err)
			}
			if got := data.Err.Error(); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			if want := strings.Count(string(good), "\n") + 2; data.Path != "some.jsonl" || data.Line != want || data.Hint == "" {
				t.Errorf("got %s:%d, hint %q; want some.jsonl:%d and a hint", data.Path, data.Line, data.Hint, want)
			}
		})
	}
}

func TestBadFiles(t *testing.T) {
	task := mustGet(t, "CB")
	_, err := readText(task, "\n\n", "val", Cloze)
	if want := "some.jsonl: none of its 2 lines makes an example of the form cloze"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	_, err = readText(task, "{}", "dev", Cloze)
	var config *configs.Error
	if !errors.As(err, &config) {
		t.Errorf("got %v for the split dev, want a configs.Error", err)
	}
	for _, path := range []string{filepath.Join(t.TempDir(), "none.jsonl"), t.TempDir()} {
		for _, err := range task.Read(path, "val", Cloze) {
			var data *corpus.DataError
			if !errors.As(err, &data) || data.Path != path {
				t.Errorf("got %v, want a DataError of %s", err, path)
			}
		}
	}
	long := `{"premise": "` + strings.Repeat("a", maxLine) + `"}`
	_, err = readText(task, long, "val", Cloze)
	if want := "some.jsonl:1: the file cannot be read further: the line is longer than 64 MiB"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestUnlabelled(t *testing.T) {
	for name, line := range map[string]string{
		"BoolQ":   `{"passage": "a", "question": "b", "idx": 4}`,
		"WiC":     `{"word": "a", "sentence1": "b", "sentence2": "c", "label": null, "idx": 4}`,
		"COPA":    `{"premise": "a", "choice1": "b", "choice2": "c", "question": "cause", "idx": 4}`,
		"MultiRC": `{"idx": 4, "passage": {"text": "a", "questions": [{"question": "q", "idx": 0, "answers": [{"text": "b", "idx": 0}]}]}}`,
		"ReCoRD":  `{"idx": 4, "passage": {"text": "Bo", "entities": [{"start": 0, "end": 1}]}, "qas": [{"query": "@placeholder", "idx": 0}]}`,
	} {
		examples, err := readText(mustGet(t, name), line, "test", Cloze)
		if err != nil {
			t.Fatal(err)
		}
		if e := examples[0]; e.Label != -1 || !strings.HasPrefix(e.ID, "test-") || e.Gold != nil {
			t.Errorf("%s: label %d, gold %q, ID %s; want -1, none, test-…", name, e.Label, e.Gold, e.ID)
		}
	}
}

func TestStraight(t *testing.T) {
	const curly = `{"premise": "“a” ‘b’ – c", "hypothesis": "d", "choice1": "e’", "choice2": "f", "question": "cause", "idx": 0}`
	for _, test := range []struct {
		task, field string
		form        Form
		want        string
	}{
		{"RTE", "premise", Cloze, `"a" 'b' - c`},
		{"COPA", "premise", Cloze, "“a” ‘b’ – c"}, // left as it is, as the authors do
		{"COPA", "premise", Classification, `"a" 'b' - c`},
	} {
		examples, err := readText(mustGet(t, test.task), curly, "val", test.form)
		if err != nil {
			t.Fatal(err)
		}
		if got := examples[0].Fields[test.field]; got != test.want {
			t.Errorf("%s %s: got %q, want %q", test.task, test.form, got, test.want)
		}
	}
}

func TestStarPronoun(t *testing.T) {
	tests := []struct {
		name, text, pronoun string
		index               int
		want                string // "" where it cannot be repaired
	}{
		{"right", "Ida said she left", "she", 2, "Ida said *she* left"},
		{"spaces", " Ida  said\tshe left ", "she", 2, "Ida said *she* left"},
		{"one to the left", "Ida said she left", "she", 3, "Ida said *she* left"},
		{"one to the right", "Ida said she left", "she", 1, "Ida said *she* left"},
		{"left before right", "she he she", "she", 1, "*she* he she"},
		{"last word", "Ida said she", "she", 3, "Ida said *she*"},
		{"punctuation behind", `"I saw him," Bo said`, "him", 2, `"I saw *him* ," Bo said`},
		{"a longer word", "Ida saw hers there", "her", 2, "Ida saw *her* s there"},
		{"another case", "She left", "she", 0, ""},
		{"two away", "she and Bo left", "she", 2, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, ok := starPronoun(test.text, test.pronoun, test.index)
			if ok != (test.want != "") || got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestReCoRD(t *testing.T) {
	task := mustGet(t, "ReCoRD")
	evaluation := records(t, task, "val", Cloze)
	if want := []string{"Jon", "Mara", "Port Ness"}; !slices.Equal(evaluation[0].Choices, want) {
		t.Errorf("entities %q, want %q: distinct and sorted", evaluation[0].Choices, want)
	}
	if got := evaluation[1]; got.Label != 0 || !slices.Equal(got.Gold, []string{"Jon", "Mara"}) {
		t.Errorf("label %d, gold %q", got.Label, got.Gold)
	}
	training := records(t, task, "train", Cloze)
	for i, e := range training {
		if e.Number != i || e.Label != 0 || e.Choices[0] != e.Gold[0] {
			t.Errorf("example %d: number %d, label %d, choices %q, gold %q", i, e.Number, e.Label, e.Choices, e.Gold)
		}
		if slices.Contains(e.Choices[1:], e.Gold[0]) || len(e.Choices) > 1+maxWrong {
			t.Errorf("example %d: choices %q", i, e.Choices)
		}
	}
	if got := training[2].Choices; !slices.Equal(got, []string{"Mara", "Port Ness"}) {
		t.Errorf("choices %q; the other right answer is not a wrong one", got)
	}
	last := training[len(training)-1]
	if len(last.Choices) != 1+maxWrong {
		t.Errorf("%d choices, want %d drawn from 12 entities", len(last.Choices), 1+maxWrong)
	}
	if diff := cmp.Diff(training, records(t, task, "train", Cloze)); diff != "" {
		t.Errorf("a second reading draws otherwise:\n%s", diff)
	}
}

func TestMultiRCGroups(t *testing.T) {
	examples := records(t, mustGet(t, "MultiRC"), "val", Cloze)
	var got []string
	for _, e := range examples {
		got = append(got, e.ID+" "+e.Question+" "+e.Passage)
	}
	want := []string{
		"dev-p3-q7-a20 dev-p3-q7 dev-p3",
		"dev-p3-q7-a21 dev-p3-q7 dev-p3",
		"dev-p3-q8-a22 dev-p3-q8 dev-p3",
		"dev-p4-q9-a23 dev-p4-q9 dev-p4",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestMirroredCOPA(t *testing.T) {
	for _, form := range []Form{Cloze, Classification} {
		examples := records(t, mustGet(t, "COPA"), "train", form)
		n := len(examples) / 2
		for i := range n {
			a, b := examples[i], examples[n+i]
			if b.ID != a.ID+"m" || b.Passage != a.Passage || b.Number != n+i || b.Label != 1-a.Label {
				t.Errorf("%s: %+v is not the mirror of %+v", form, b, a)
			}
			if a.Choices[0] != b.Choices[1] || a.Choices[1] != b.Choices[0] || a.Answers[0] != b.Answers[1] || a.Fields["choice1"] != b.Fields["choice2"] {
				t.Errorf("%s: choices %q and %q", form, a.Choices, b.Choices)
			}
		}
	}
	if n := len(records(t, mustGet(t, "COPA"), "val", Cloze)); n != 2 {
		t.Errorf("%d examples to evaluate on, want 2", n)
	}
}

func TestWSCTrainsOnTrueExamples(t *testing.T) {
	task := mustGet(t, "WSC")
	for _, test := range []struct {
		split string
		form  Form
		want  []int // labels
	}{
		{"train", Cloze, []int{1, 1}},
		{"val", Cloze, []int{1, 0, 1}},
		{"train", Classification, []int{1, 0, 1}},
	} {
		var got []int
		for i, e := range records(t, task, test.split, test.form) {
			if e.Number != i {
				t.Errorf("%s %s: number %d of example %d", test.split, test.form, e.Number, i)
			}
			got = append(got, e.Label)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s %s: labels %v, want %v", test.split, test.form, got, test.want)
		}
	}
}

// FuzzRead feeds lines to every reader: an error is a DataError with the line,
// and what is read encodes or is refused the same way.
func FuzzRead(f *testing.F) {
	tasks := builtIns[:len(shown)+len(variant)]
	for i, task := range tasks {
		text, err := os.ReadFile(filepath.Join("testdata", "records", task.Name, "train.jsonl"))
		if err != nil {
			f.Fatal(err)
		}
		line, _, _ := strings.Cut(string(text), "\n")
		f.Add(uint8(i), true, line)
		f.Add(uint8(i), false, `{"idx": 0, "label": null, "target": [], "passage": {}}`)
	}
	tokenizer := letters(f)
	f.Fuzz(func(t *testing.T, which uint8, training bool, line string) {
		task := tasks[int(which)%len(tasks)]
		split := "val"
		if training {
			split = "train"
		}
		for _, form := range []Form{Cloze, Classification} {
			pattern := 0
			if form == Classification {
				pattern = -1
			}
			encoder, err := task.NewEncoder(form, pattern, 64, tokenizer)
			if err != nil {
				t.Fatal(err)
			}
			examples, err := readText(task, line, split, form)
			var data *corpus.DataError
			if err != nil && (!errors.As(err, &data) || data.Path != "some.jsonl") {
				t.Fatalf("got %v, want a DataError", err)
			}
			for _, example := range examples {
				encoded, _, err := encoder.Encode(example)
				if err != nil && (!errors.As(err, &data) || data.Line != example.Line) {
					t.Fatalf("got %v, want a DataError with its line", err)
				}
				if err == nil {
					if err := encoder.Header().check(encoded); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	})
}

// TestWSCNegative: the named phrase stands first, its rivals are distinct and
// others than it; training has them nine at a time, the last ones filled up.
func TestWSCNegative(t *testing.T) {
	negative := mustGet(t, "WSC-negative")
	line := func(label string, candidates ...string) string {
		var list []string
		for _, c := range candidates {
			list = append(list, `{"text": "`+c+`"}`)
		}
		return `{"text": "Ida thanked Eva because she had helped.", "target": {"span1_text": "Eva", "span1_index": 2, "span2_text": "she", "span2_index": 4}, "idx": 7, "label": ` + label + `, "candidates": [` + strings.Join(list, ", ") + `]}`
	}
	read := func(text, split string, form Form) (answers [][]string, ids []string, err error) {
		path := filepath.Join(t.TempDir(), "x.jsonl")
		if err := os.WriteFile(path, []byte(text+"\n"), 0o666); err != nil {
			t.Fatal(err)
		}
		for e, err := range negative.Read(path, split, form) {
			if err != nil {
				return nil, nil, err
			}
			answers, ids = append(answers, e.Answers), append(ids, e.ID)
		}
		return answers, ids, nil
	}
	eleven := strings.Split("abcdefghijk", "")
	tests := []struct {
		name, line, split string
		form              Form
		answers           [][]string
		ids               []string
	}{
		{"evaluation", line("false", "Ida", "Eva", "Ida", "Tom"), "val", Cloze, [][]string{{"Eva", "Ida", "Tom"}}, []string{"dev-7"}},
		{"evaluation has all", line("true", eleven...), "val", Cloze, [][]string{append([]string{"Eva"}, eleven...)}, []string{"dev-7"}},
		{"training", line("true", "Ida"), "train", Cloze, [][]string{{"Eva", "Ida"}}, []string{"train-7"}},
		{"training, in nines", line("true", eleven...), "train", Cloze, [][]string{
			{"Eva", "a", "b", "c", "d", "e", "f", "g", "h", "i"}, {"Eva", "j", "k", "a", "b", "c", "d", "e", "f", "g"},
		}, []string{"train-7-c0", "train-7-c1"}},
		{"a pair", line("false", "Ida"), "train", Classification, [][]string{nil}, []string{"train-7"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			answers, ids, err := read(test.line, test.split, test.form)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.answers, answers); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(test.ids, ids); diff != "" {
				t.Error(diff)
			}
		})
	}
	for want, text := range map[string]string{
		"no candidate differs from":   line("true", "Eva"),
		`"candidates" is missing`:     strings.Replace(line("true"), `"candidates": []`, `"x": 1`, 1),
		"is true, and the form cloze": line("false", "Ida"),
	} {
		if _, _, err := read(text, "train", Cloze); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}

	// The prediction is the label: whether the first is the likeliest.
	for scores, want := range map[[3]float64]int{{-1, -2, -3}: 1, {-2, -1, -3}: 0, {-2, -3, -1}: 0} {
		p := Predict(Encoded{Scoring: Ranked, Choices: negative.Labels, Label: 1}, scores[:])
		if p.Predicted != want || len(p.Scores) != 2 || p.Answer != negative.Labels[want] {
			t.Errorf("%v: %+v", scores, p)
		}
	}
}
