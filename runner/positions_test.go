//go:build cgo

package runner

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/corpus"
	"github.com/glmkit/glmkit/corpus/wordpiece"
	"github.com/glmkit/glmkit/tasks"
)

// Every ablation of pretraining (paper section 3.3; GLM repository, the options
// of the same names) trains, and questions are put to its model with Part B
// numbered as it learnt.
func TestAblations(t *testing.T) {
	f := prepare(t)
	vocabulary, err := wordpiece.New(append([]string{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", ",", "?", "\"", ":"}, words...))
	if err != nil {
		t.Fatal(err)
	}
	documents := filepath.Join(t.TempDir(), "documents.jsonl")
	if err := os.WriteFile(documents, []byte(strings.Repeat(`{"text":"the cat sat on the mat under the old red house."}`+"\n", 30)), 0o666); err != nil {
		t.Fatal(err)
	}
	for name, ablation := range map[string]struct {
		change func(*configs.Objective)
		want   func(c *configs.Config) PartB
	}{
		"without shuffling": {func(o *configs.Objective) { o.Shuffle = false }, func(*configs.Config) PartB { return PartB{} }},
		"with sentinels":    {func(o *configs.Objective) { o.Sentinel = true }, func(c *configs.Config) PartB { return PartB{PartBPosition: c.Model.MaxPositions} }},
		"one position":      {func(o *configs.Objective) { o.BlockPositions = false }, func(*configs.Config) PartB { return PartB{OneBlockPosition: true} }},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			c := config(t, "glm")
			ablation.change(&c.Objective)
			c.Data.Samples, c.Train.Steps = 12, 3
			if _, err := corpus.Prepare(context.Background(), corpus.PrepareOptions{Sources: []corpus.SourceInput{{Paths: []string{documents}}}, Tokenizer: vocabulary, TokenizerName: "test", Config: c, Out: filepath.Join(dir, "corpus"), Jobs: 1}); err != nil {
				t.Fatal(err)
			}
			st, err := Pretrain(context.Background(), c, filepath.Join(dir, "corpus"), "", Options{Out: filepath.Join(dir, "run"), Device: "cpu", Threads: 1})
			if err != nil {
				t.Fatal(err)
			}
			want := ablation.want(c)
			if st.PartB != want {
				t.Fatalf("the state says %+v, want %+v", st.PartB, want)
			}
			st, err = Finetune(context.Background(), config(t, "glm"), filepath.Join(dir, "run"), filepath.Join(f.cloze, "CB", "train.arrow"), 1, Options{Out: filepath.Join(dir, "cb"), Device: "cpu", Threads: 1})
			if err != nil {
				t.Fatal(err)
			}
			if st.PartB != want {
				t.Errorf("finetuned, the state says %+v, want %+v", st.PartB, want)
			}
			split, err := tasks.OpenSplit(filepath.Join(f.cloze, "CB", "val.arrow"))
			if err != nil {
				t.Fatal(err)
			}
			plain := split.Examples[0].Sequences[0]
			b := st.numbered(split.Examples)[0].Sequences[0]
			for i := range b.Input {
				position, block := plain.Position[i], plain.BlockPosition[i]
				if i >= b.Sep && want.PartBPosition > 0 {
					position = int32(want.PartBPosition)
				}
				if i >= b.Sep && want.OneBlockPosition {
					block = 1
				}
				if b.Position[i] != position || b.BlockPosition[i] != block {
					t.Fatalf("token %d of %d in Part A: positions %d and %d, want %d and %d", i, b.Sep, b.Position[i], b.BlockPosition[i], position, block)
				}
			}
			if _, err := Evaluate(context.Background(), filepath.Join(dir, "cb"), filepath.Join(f.cloze, "CB", "val.arrow"), Answering{Device: "cpu", Threads: 1}); err != nil {
				t.Errorf("evaluating: %v", err)
			}
		})
	}
}

// A sitting of a run leaves a line on where and how it was computed, and nothing
// of the process' environment.
func TestEnvironment(t *testing.T) {
	t.Setenv("SOME_TOKEN", "secret-of-the-environment")
	f := prepare(t)
	run := filepath.Join(t.TempDir(), "run")
	c := config(t, "glm")
	c.Train.MaxTokens = 1 // a single step
	for range 2 {         // the second has nothing to do
		if _, err := Pretrain(context.Background(), c, f.corpus, "", Options{Out: run, Device: "cpu", Threads: 1, Version: "v0", Command: []string{"glmkit", "train"}}); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(filepath.Join(run, environmentFile))
	if err != nil {
		t.Fatal(err)
	}
	var e environment
	if err := json.Unmarshal(text, &e); err != nil { // of one line
		t.Fatalf("%v in %s", err, text)
	}
	if e.Threads != 1 || e.Device != "cpu" || e.Precision != "float32" || e.Glmkit != "v0" || len(e.Command) != 2 || len(e.Data) != 64 || len(e.Tokenizer) != 64 || e.PeakFLOPS <= 0 {
		t.Errorf("it says %s", text)
	}
	if strings.Contains(string(text), "secret") {
		t.Errorf("it holds the environment: %s", text)
	}
}
