//go:build cgo

package runner

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/corpus"
	"github.com/glmkit/glmkit/corpus/tokenizer"
	"github.com/glmkit/glmkit/corpus/wordpiece"
	"github.com/glmkit/glmkit/tasks"
)

// words make the small language of the tests.
var words = strings.Fields("the cat dog bird sat ran flew on over under mat tree house red old big was and then yes no maybe true false question answer because so a b c")

// fixture is a prepared corpus and prepared tasks: CB in two forms, and COPA in a
// third.
type fixture struct{ corpus, cloze, classification, masked string }

func prepare(t *testing.T) fixture {
	t.Helper()
	dir := t.TempDir()
	vocab := append([]string{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", ",", "?", "\"", ":"}, words...)
	vocabulary, err := wordpiece.New(vocab)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	sentence := func() string {
		var s []string
		for range 4 + rng.IntN(8) {
			s = append(s, words[rng.IntN(len(words))])
		}
		return strings.Join(s, " ") + "."
	}
	var text, cb, copa strings.Builder
	for range 60 {
		fmt.Fprintf(&text, "{\"text\":\"%s %s %s\"}\n", sentence(), sentence(), sentence())
	}
	labels := []string{"entailment", "contradiction", "neutral"}
	for i := range 20 {
		fmt.Fprintf(&cb, "{\"premise\":\"%s\",\"hypothesis\":\"%s\",\"label\":\"%s\",\"idx\":%d}\n", sentence(), sentence(), labels[rng.IntN(3)], i)
	}
	for i := range 8 {
		fmt.Fprintf(&copa, "{\"premise\":\"%s\",\"choice1\":\"%s\",\"choice2\":\"%s\",\"question\":\"cause\",\"label\":%d,\"idx\":%d}\n", sentence(), sentence(), sentence(), rng.IntN(2), i)
	}
	source := filepath.Join(dir, "source")
	write := func(path, content string) {
		if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	documents := filepath.Join(dir, "corpus.jsonl")
	write(documents, text.String())
	for task, lines := range map[string]string{"CB": cb.String(), "COPA": copa.String()} {
		if err := os.MkdirAll(filepath.Join(source, task), 0o777); err != nil {
			t.Fatal(err)
		}
		for _, split := range []string{"train", "val"} {
			write(filepath.Join(source, task, split+".jsonl"), lines)
		}
	}
	f := fixture{corpus: filepath.Join(dir, "corpus"), cloze: filepath.Join(dir, "cloze"), masked: filepath.Join(dir, "masked"), classification: filepath.Join(dir, "classification")}
	c := config(t, "glm")
	if _, err := corpus.Prepare(context.Background(), corpus.PrepareOptions{Sources: []corpus.SourceInput{{Paths: []string{documents}}}, Tokenizer: vocabulary, TokenizerName: "test", Config: c, Out: f.corpus, Jobs: 1}); err != nil {
		t.Fatal(err)
	}
	for _, p := range []struct {
		task    string
		form    tasks.Form
		pattern int
		out     string
	}{{"CB", tasks.Cloze, 3, f.cloze}, {"CB", tasks.Classification, -1, f.classification}, {"COPA", tasks.Masked, 0, f.masked}} {
		task, err := tasks.Get(p.task)
		if err != nil {
			t.Fatal(err)
		}
		e, err := task.NewEncoder(p.form, p.pattern, 48, vocabulary)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := e.Prepare(context.Background(), filepath.Join(source, p.task), p.out, nil); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// config is a run of a few steps with everything random switched on.
func config(t *testing.T, architecture string) *configs.Config {
	t.Helper()
	c, err := configs.Load("glm-demo", []string{
		"model.architecture=" + architecture, "model.layers=2", "model.hidden=32", "model.heads=4",
		"model.dropout=0.1", "model.attention_dropout=0.1",
		"data.seq_length=32", "data.samples=40", "objective.token=0.5", "objective.sentence=0.2", "objective.document=0.3",
		"train.steps=7", "train.batch_size=6", "train.micro_batch=3", "train.save_every=4", "train.keep_last=2", "train.log_every=1",
		"train.valid_every=3", "train.valid_batches=1", "train.keep_best=true", "train.ramp={from: 2, steps: 3}", "finetune.tasks.cb.epochs=2", "finetune.batch_size=8",
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// finalFiles reads what must not depend on interruptions.
func finalFiles(t *testing.T, run string) map[string]string {
	t.Helper()
	dir, err := findCheckpoint(run)
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]string)
	for _, name := range []string{modelFile, optimizerFile, stateFile, configFile, "vocab.txt", manifestFile} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		out[name] = string(data)
	}
	for _, name := range []string{choiceFile, bestFile} {
		if data, err := os.ReadFile(filepath.Join(run, name)); err == nil {
			out[name] = string(data)
		}
	}
	if best, err := findCheckpoint(filepath.Join(run, bestFile)); err == nil {
		data, err := os.ReadFile(filepath.Join(best, manifestFile)) // of which all files' hashes are
		if err != nil {
			t.Fatal(err)
		}
		out["best checkpoint"] = string(data)
	}
	return out
}

// A run stopped after any step and started again ends with the same bytes as
// one that was never stopped.
func TestResumeIsExact(t *testing.T) {
	f := prepare(t)
	pretrain := func(architecture string) func(context.Context, Options) (State, error) {
		return func(ctx context.Context, o Options) (State, error) {
			return Pretrain(ctx, config(t, architecture), f.corpus, f.corpus, o)
		}
	}
	base := filepath.Join(t.TempDir(), "base")
	for _, architecture := range []string{"glm", "bert"} {
		if _, err := pretrain(architecture)(context.Background(), Options{Out: base + architecture, Device: "cpu", Threads: 1}); err != nil {
			t.Fatal(err)
		}
	}
	finetune := func(architecture, prepared, task string) func(context.Context, Options) (State, error) {
		return func(ctx context.Context, o Options) (State, error) {
			o.Dev = filepath.Join(prepared, task, "val.arrow")
			return Finetune(ctx, config(t, architecture), base+architecture, filepath.Join(prepared, task, "train.arrow"), 3, o)
		}
	}
	// Two limits, a growing batch, three objectives, the best checkpoint and charts.
	everything := func(ctx context.Context, o Options) (State, error) {
		c := config(t, "glm")
		c.Train.Steps, c.Train.MaxTokens, c.Train.MaxHours, c.Train.ValidEvery, c.Train.SaveEvery = 12, 700, 10, 1, 2
		c.Train.Optimizer.LR = 3e-2 // the validation loss goes up and down
		o.TensorBoard = true
		st, err := Pretrain(ctx, c, f.corpus, f.corpus, o)
		if err == nil && (st.Step >= c.Train.Steps || st.Step <= c.Train.Ramp.Steps) {
			t.Errorf("the run ended after step %d, not by its limit of tokens", st.Step)
		}
		return st, err
	}
	for name, train := range map[string]func(context.Context, Options) (State, error){
		"pretrain glm with everything on": everything,
		"pretrain glm":                    pretrain("glm"), "pretrain bert": pretrain("bert"),
		"finetune glm": finetune("glm", f.cloze, "CB"), "finetune bert": finetune("bert", f.classification, "CB"),
		"finetune glm over [CLS]": finetune("glm", f.classification, "CB"), "finetune bert at [MASK]": finetune("bert", f.masked, "COPA"),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			whole := filepath.Join(dir, "whole")
			st, err := train(context.Background(), Options{Out: whole, Device: "cpu", Threads: 1})
			if err != nil {
				t.Fatal(err)
			}
			want := finalFiles(t, whole)
			checkpoint, err := findCheckpoint(whole)
			if err != nil {
				t.Fatal(err)
			}
			kept, err := tokenizer.Open(checkpoint)
			if err != nil {
				t.Fatal(err)
			}
			if kept.Hash() != st.Tokenizer {
				t.Errorf("the checkpoint keeps the vocabulary %s, the model reads %s", kept.Hash(), st.Tokenizer)
			}
			for k := 0; k < st.Step; k++ { // 0: before the first step
				run := filepath.Join(dir, fmt.Sprint(k))
				ctx, cancel := context.WithCancel(context.Background())
				if k == 0 {
					cancel()
				}
				_, err := train(ctx, Options{Out: run, Device: "cpu", Threads: 1, Observe: func(i StepInfo) {
					if i.Step == k {
						cancel()
					}
				}})
				cancel()
				var interrupted *Interrupted
				if !errors.As(err, &interrupted) || interrupted.Step != k {
					t.Fatalf("stopping after step %d: %v", k, err)
				}
				if _, saved, err := latestCheckpoint(run); saved != (k > 0) || err != nil {
					t.Errorf("stopped after step %d: a checkpoint %v, %v", k, saved, err)
				}
				if _, err := train(context.Background(), Options{Out: run, Device: "cpu", Threads: 1}); err != nil {
					t.Fatal(err)
				}
				got := finalFiles(t, run)
				for file, content := range want {
					if content != got[file] {
						t.Errorf("stopped after step %d: %s differs from the undisturbed run's", k, file)
					}
				}
			}
		})
	}
}

// A run is not continued under other conditions.
func TestResumeRefusesAnotherRun(t *testing.T) {
	f := prepare(t)
	run := filepath.Join(t.TempDir(), "run")
	if _, err := Pretrain(context.Background(), config(t, "glm"), f.corpus, "", Options{Out: run, Device: "cpu", Threads: 1}); err != nil {
		t.Fatal(err)
	}
	before := finalFiles(t, run)
	change := map[string]func(*configs.Config){
		"seed":         func(c *configs.Config) { c.Train.Seed++ },
		"model":        func(c *configs.Config) { c.Model.Layers++ },
		"steps":        func(c *configs.Config) { c.Train.Steps++ },
		"architecture": func(c *configs.Config) { c.Model.Architecture = "bert" },
	}
	for name, f2 := range change {
		c := config(t, "glm")
		f2(c)
		_, err := Pretrain(context.Background(), c, f.corpus, "", Options{Out: run, Device: "cpu", Threads: 1})
		var config *configs.Error
		if !errors.As(err, &config) {
			t.Errorf("%s changed: error %v", name, err)
		}
	}
	for file, content := range finalFiles(t, run) {
		if content != before[file] {
			t.Errorf("a refused run changed %s", file)
		}
	}
}

// How choices are scored and learnt stays with a run, and a task without choices
// of several tokens takes no loss of them.
func TestChoosingStaysWithTheRun(t *testing.T) {
	choices := tasks.Header{Task: "COPA", Scoring: tasks.MultiToken}
	var plain, st State
	if err := plain.choose(configs.Recipe{Loss: configs.CrossEntropyLoss}, choices); err != nil || plain != (State{}) {
		t.Errorf("the default changes the state to %+v (%v): checkpoints of before would not be continued", plain, err)
	}
	if err := st.choose(configs.Recipe{Loss: configs.MixLoss, LengthPenalty: 0.5}, choices); err != nil {
		t.Fatal(err)
	}
	if got, want := st.choosing(), (choosing{lengthPenalty: 0.5, loss: configs.MixLoss}); got != want {
		t.Errorf("a model chooses by %+v, want %+v", got, want)
	}
	if err := sameRun("run", st, st); err != nil {
		t.Error(err)
	}
	for want, asked := range map[string]State{
		"finetune.loss is mix, asked for cross_entropy": {LengthPenalty: 0.5},
		"finetune.length_penalty is 0.5, asked for 0":   {Loss: configs.MixLoss},
	} {
		if err := sameRun("run", st, asked); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
	for _, scoring := range []tasks.Scoring{tasks.SingleToken, tasks.Generative, tasks.Written, tasks.ClassHead, tasks.ChoiceHead} {
		var st State
		err := st.choose(configs.Recipe{Loss: configs.HingeLoss, LengthPenalty: 1}, tasks.Header{Scoring: scoring})
		var config *configs.Error
		if !errors.As(err, &config) || config.Field != "finetune.loss" {
			t.Errorf("%s with hinge: %v", scoring, err)
		}
		if err := st.choose(configs.Recipe{Loss: configs.CrossEntropyLoss, LengthPenalty: 1}, tasks.Header{Scoring: scoring}); err != nil || st != (State{}) {
			t.Errorf("%s keeps a length penalty that it does not have: %+v (%v)", scoring, st, err)
		}
	}
}

// A damaged checkpoint is named, not loaded.
func TestDamagedCheckpoint(t *testing.T) {
	f := prepare(t)
	run := filepath.Join(t.TempDir(), "run")
	if _, err := Pretrain(context.Background(), config(t, "glm"), f.corpus, "", Options{Out: run, Device: "cpu", Threads: 1}); err != nil {
		t.Fatal(err)
	}
	dir, err := findCheckpoint(run)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{modelFile, optimizerFile, stateFile, manifestFile} {
		path := filepath.Join(dir, name)
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, whole[:len(whole)/2], 0o666); err != nil {
			t.Fatal(err)
		}
		_, _, err = readState(dir)
		var data *corpus.DataError
		if !errors.As(err, &data) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s cut in half: error %v", name, err)
		}
		if err := os.WriteFile(path, whole, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := readState(dir); err != nil {
		t.Errorf("whole again: %v", err)
	}

	// The advice of the error leads on, to the same end.
	want := finalFiles(t, run)
	if err := os.Truncate(filepath.Join(dir, modelFile), 100); err != nil {
		t.Fatal(err)
	}
	again := func() error {
		_, err := Pretrain(context.Background(), config(t, "glm"), f.corpus, "", Options{Out: run, Device: "cpu", Threads: 1})
		return err
	}
	err = again()
	var data *corpus.DataError
	if !errors.As(err, &data) {
		t.Fatalf("a run whose newest checkpoint is damaged: %v", err)
	}
	_, command, _ := strings.Cut(data.Hint, "echo ")
	name, file, _ := strings.Cut(command, " > ")
	if name != checkpointName(4) || file != filepath.Join(run, latestFile) {
		t.Fatalf("advice %q", data.Hint)
	}
	if err := os.WriteFile(file, []byte(name+"\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := again(); err != nil {
		t.Fatal(err)
	}
	for file, content := range finalFiles(t, run) {
		if content != want[file] {
			t.Errorf("trained again after the damage: %s differs", file)
		}
	}
}
