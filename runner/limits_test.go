//go:build cgo

package runner

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/runner/internal/torch"
	"github.com/glmkit/glmkit/spans"
)

func TestRamp(t *testing.T) {
	c := configs.Train{BatchSize: 10, Ramp: configs.Ramp{From: 2, Steps: 4}}
	w := &windowSource{config: &configs.Config{Train: c}, starts: rampStarts(c)}
	var sizes []int64
	next := int64(0)
	for step := 1; step <= 7; step++ {
		first, end := w.batch(step)
		if first != next {
			t.Errorf("step %d begins with window %d, the one before ended at %d", step, first, next)
		}
		sizes, next = append(sizes, end-first), end
	}
	if want := []int64{2, 4, 6, 8, 10, 10, 10}; !slices.Equal(sizes, want) {
		t.Errorf("batches of %d windows, want %d", sizes, want)
	}
}

// lines reads a run's metrics.
func lines(t *testing.T, run string) (out []metricsLine) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(run, metricsFile))
	if err != nil {
		t.Fatal(err)
	}
	for d := json.NewDecoder(bytes.NewReader(text)); d.More(); {
		var l metricsLine
		if err := d.Decode(&l); err != nil {
			t.Fatal(err)
		}
		out = append(out, l)
	}
	return out
}

// A run ends at its limit of tokens or of time, whole, and stays ended.
func TestLimits(t *testing.T) {
	f := prepare(t)
	for name, limit := range map[string]func(*configs.Train){
		"tokens": func(c *configs.Train) { c.MaxTokens = 300 },
		"time":   func(c *configs.Train) { c.MaxHours = 1e-4 },
	} {
		c := config(t, "glm")
		limit(&c.Train)
		c.Train.Steps = 1000000
		run := filepath.Join(t.TempDir(), "run")
		o := Options{Out: run, Device: "cpu", Threads: 1}
		st, err := Pretrain(context.Background(), c, f.corpus, "", o)
		if err != nil {
			t.Fatal(err)
		}
		if name == "tokens" && (st.Tokens < 300 || st.Tokens > 300+6*64) || st.Step < 1 || st.Step == c.Train.Steps {
			t.Errorf("%s: ended at step %d with %d tokens", name, st.Step, st.Tokens)
		}
		checkpoint, err := findCheckpoint(run)
		if err != nil || filepath.Base(checkpoint) != checkpointName(st.Step) {
			t.Errorf("%s: %s is the last checkpoint after step %d (%v)", name, checkpoint, st.Step, err)
		}
		if again, err := Pretrain(context.Background(), c, f.corpus, "", o); err != nil || again.Step != st.Step {
			t.Errorf("%s: again: step %d after %d (%v)", name, again.Step, st.Step, err)
		}
		// Another rate changes nothing any more, nor what the run says of itself.
		before, err := os.ReadFile(filepath.Join(run, configFile))
		if err != nil {
			t.Fatal(err)
		}
		var notes []string
		o.Note = func(text string) { notes = append(notes, text) }
		c.Train.Optimizer.LR /= 2
		if _, err := Pretrain(context.Background(), c, f.corpus, "", o); err != nil || len(notes) != 1 || !strings.Contains(notes[0], "is finished, at step") {
			t.Errorf("%s: another rate: notes %q (%v)", name, notes, err)
		}
		if after, err := os.ReadFile(filepath.Join(run, configFile)); err != nil || !bytes.Equal(before, after) {
			t.Errorf("%s: a finished run's configuration was written anew (%v)", name, err)
		}
	}
}

// The validation loss is that of all objectives together, and its best
// checkpoint is kept and named.
func TestValidation(t *testing.T) {
	f := prepare(t)
	c := config(t, "glm")
	c.Train.Steps, c.Train.KeepLast, c.Train.ValidEvery, c.Train.SaveEvery = 9, 1, 2, 0
	c.Train.Optimizer.LR = 3e-2 // the loss goes up and down
	run := filepath.Join(t.TempDir(), "run")
	st, err := Pretrain(context.Background(), c, f.corpus, f.corpus, Options{Out: run, Device: "cpu", Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	best := Best{Loss: math.Inf(1)}
	between := func(what string, loss float64, by map[string]float64) {
		low, high := math.Inf(1), math.Inf(-1)
		for _, x := range by {
			low, high = min(low, x), max(high, x)
		}
		if len(by) > 0 && (loss < low-1e-5 || loss > high+1e-5) {
			t.Errorf("%s: the loss %v is not between those of the objectives %v", what, loss, by)
		}
	}
	mixed := false
	for _, l := range lines(t, run) {
		between(fmt.Sprintf("training, step %d", l.Step), l.Loss, l.LossBy)
		mixed = mixed || len(l.LossBy) > 1
		if l.Valid == nil {
			continue
		}
		if *l.Valid < best.Loss {
			best = Best{Step: l.Step, Loss: *l.Valid}
		}
		if len(l.ValidBy) != len(Objectives) {
			t.Fatalf("step %d lacks the validation loss of an objective: %v", l.Step, l.ValidBy)
		}
		between(fmt.Sprintf("validation, step %d", l.Step), *l.Valid, l.ValidBy)
	}
	if !mixed {
		t.Error("no step has a loss of several objectives")
	}
	if st.Best == nil || *st.Best != best {
		t.Errorf("best is %+v, metrics say %+v", st.Best, best)
	}
	kept, err := findCheckpoint(filepath.Join(run, bestFile))
	if err != nil || filepath.Base(kept) != checkpointName(best.Step) {
		t.Fatalf("best names %s, want step %d (%v)", kept, best.Step, err)
	}
	if saved, _, err := readState(kept); err != nil || saved.Step != best.Step {
		t.Errorf("the best checkpoint is of step %d, want %d (%v)", saved.Step, best.Step, err)
	}
}

// A run is not continued in other batches.
func TestResumeRefusesOtherBatches(t *testing.T) {
	f := prepare(t)
	o := Options{Out: filepath.Join(t.TempDir(), "run"), Device: "cpu", Threads: 1}
	if _, err := Pretrain(context.Background(), config(t, "glm"), f.corpus, "", o); err != nil {
		t.Fatal(err)
	}
	for _, change := range []func(*configs.Train){
		func(c *configs.Train) { c.BatchSize = 9 },
		func(c *configs.Train) { c.Ramp.Steps = 0 },
	} {
		c := config(t, "glm")
		change(&c.Train)
		_, err := Pretrain(context.Background(), c, f.corpus, "", o)
		var wrong *configs.Error
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), "cannot be continued: its train.") {
			t.Errorf("error %v", err)
		}
	}
}

// The split of a batch into micro-batches changes its gradient by rounding only.
func TestGradientIsOneOfTheWholeBatch(t *testing.T) {
	windows := make([]Drawn, 4)
	for i := range windows {
		// Different lengths, so that a mean of means would be wrong.
		tokens := []int32{1}
		for j := range 12 + 6*i {
			tokens = append(tokens, int32(20+(7*i+3*j)%60))
		}
		var err error
		if windows[i].Block, err = spans.BuildBlock(tokens, []spans.Span{{Start: 2, End: 4 + 2*i}}, 3, 100, 101); err != nil {
			t.Fatal(err)
		}
	}
	onThread(t, func() error {
		m := drawn(t, tiny("glm"), 5)
		defer m.close()
		m.mode.training = true
		r := &session{model: m, optimizer: &optimizer{}}
		gradient := func(micro int) (norm, loss float64, err error) {
			batches := (&windowSource{config: &configs.Config{Train: configs.Train{MicroBatch: micro}}}).split(slices.Clone(windows))
			total := 0.0
			for _, b := range batches {
				total += b.weight()
			}
			s := torch.NewScope()
			defer s.Close()
			for _, b := range batches {
				l, _ := r.backward(s, b, total, 1)
				loss += s.Item(l)
			}
			norm = s.GradNorm(m.params.tensors)
			s.ZeroGrad(m.params.tensors)
			return norm, loss, s.Err()
		}
		want, wantLoss, err := gradient(4)
		if err != nil {
			return err
		}
		for _, micro := range []int{1, 2} {
			got, loss, err := gradient(micro)
			if err != nil {
				return err
			}
			if relative(got, want) > 1e-6 || relative(loss, wantLoss) > 1e-6 {
				t.Errorf("micro-batches of %d: norm %v, loss %v, want %v and %v", micro, got, loss, want, wantLoss)
			}
		}
		return nil
	})
}

// huge is a batch that asks for more memory than any machine has.
type huge struct{ *batch }

func (h huge) loss(s *torch.Scope, m *model) (torch.Tensor, objectiveSums) {
	return s.Zeros(torch.Float32, torch.CPU, 1<<45), nil
}

func TestOutOfMemory(t *testing.T) {
	b := newBatch([]spans.Block{exampleBlock(t), exampleBlock(t), exampleBlock(t), exampleBlock(t)})
	onThread(t, func() error {
		m := drawn(t, tiny("glm"), 5)
		defer m.close()
		o, err := newOptimizer(configs.Optimizer{LR: 1e-3}, m.params, nil)
		if err != nil {
			return err
		}
		defer o.close()
		for kind, want := range map[string][]string{
			"pretrain": {"4 sequences of", "140737488355328 bytes", "train.micro_batch"},
			"finetune": {"4 sequences of", "140737488355328 bytes", "finetune.micro_batch"},
		} {
			r := &session{model: m, optimizer: o, config: configs.Train{BatchSize: 12}, state: State{Kind: kind, TotalSteps: 1}}
			_, err := r.update(1, []microBatch{huge{b}})
			var advice *configs.Error
			if !errors.As(err, &advice) {
				t.Fatalf("%s: error %v", kind, err)
			}
			for _, words := range want {
				if !strings.Contains(err.Error(), words) {
					t.Errorf("%s: %q does not say %q", kind, err, words)
				}
			}
			if kind == "pretrain" && !strings.Contains(advice.Hint, "train.micro_batch=2") {
				t.Errorf("advice %q", advice.Hint)
			}
		}
		return nil
	})
	f := prepare(t)
	c := config(t, "glm")
	c.Model.Vocab = 1 << 40
	_, err := Pretrain(context.Background(), c, f.corpus, "", Options{Out: filepath.Join(t.TempDir(), "run"), Device: "cpu"})
	var advice *configs.Error
	if !errors.As(err, &advice) || advice.Field != "model" || !strings.Contains(err.Error(), "GiB to train") {
		t.Errorf("a model too large: %v", err)
	}
}
