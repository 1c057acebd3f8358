package configs

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// Every embedded experiment can be read.
func TestExperiments(t *testing.T) {
	if len(Experiments()) == 0 {
		t.Fatal("no experiment is embedded")
	}
	for _, name := range Experiments() {
		e, err := LoadExperiment(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if len(e.Models) == 0 || e.Out == "" {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

func TestExperimentErrors(t *testing.T) {
	text, err := os.ReadFile("experiments/demo.yaml")
	if err != nil {
		t.Fatal(err)
	}
	demo := string(text)
	if _, err := LoadExperiment(write(t, demo)); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, from, to, want string }{
		{"unknown key", "seeds: [1, 2, 3]", "sedes: [1, 2, 3]", "sedes"},
		{"wrong kind", "seeds: [1, 2, 3]", "seeds: many", "run.yaml:"},
		{"no folder", "out: demo", "out: ''", "names no folder"},
		{"no seeds", "seeds: [1, 2, 3]", "seeds: []", "needs tasks and seeds"},
		{"vocabulary that is not there", "train: {input: [\"{out}/world/corpus.jsonl\"], vocabulary: words", "train: {input: [x], vocabulary: letters", `there is no vocabulary "letters" among words`},
		{"corpus that is not there", "corpus: train, valid: valid, tasks: pairs", "corpus: text, tasks: pairs", `there is no corpus "text" among train, valid`},
		{"tasks that are not there", "tasks: pairs", "tasks: pears", `there are no tasks "pears" among cloze, pairs`},
		{"name that is a path", "name: BERT", "name: ../BERT", "is no name"},
		{"two of a name", "name: BERT", "name: GLM", "two models are called GLM"},
		{"nothing to begin from", "config: bert-demo, corpus: train, valid: valid, tasks: pairs", "config: bert-demo, tasks: pairs", "needs a corpus to be pretrained on"},
		{"begins from a later one", "config: bert-demo, corpus: train", "config: bert-demo, from: GLM, corpus: train", "GLM stands behind it"},
		{"begins from itself", "config: bert-demo, corpus: train", "config: bert-demo, from: BERT, corpus: train", "is the model itself"},
		{"no such preset", "config: bert-demo, corpus", "config: bert-dema, corpus", "did you mean bert-demo"},
		{"no such setting", "config: bert-demo, corpus", "config: bert-demo, set: [train.stebs=3], corpus", "did you mean"},
		{"vocabulary from nothing", "words: {input: [\"{out}/world/corpus.jsonl\"], size: 1024}", "words: {size: 1024}", "needs either a path or input"},
		{"grid without dev", "seeds: [1, 2, 3]", "seeds: [1]\n  grid: [lr=1e-4]", "finetune.dev names none"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			changed := strings.Replace(demo, test.from, test.to, 1)
			if changed == demo {
				t.Fatalf("%q is not in the demo", test.from)
			}
			_, err := LoadExperiment(write(t, changed))
			var bad *Error
			if !errors.As(err, &bad) || !strings.Contains(err.Error(), test.want) || bad.Hint == "" {
				t.Errorf("got %v, want an Error with %q and a hint", err, test.want)
			}
		})
	}
	if _, err := LoadExperiment("nowhere.yaml"); err == nil || !strings.Contains(err.Error(), "no experiment and no readable file") {
		t.Errorf("a file that is not there: %v", err)
	}
}
