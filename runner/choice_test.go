//go:build cgo

package runner

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/corpus"
	"github.com/glmkit/glmkit/tasks"
)

// Of equal epochs the earliest is the best.
func TestChoiceOfEqualEpochs(t *testing.T) {
	var c chooser
	for i, value := range []float64{40, 60, 60, 50} {
		c.add(Epoch{Step: i + 1, Value: value})
	}
	if c.record.Best.Step != 2 || len(c.record.Epochs) != 4 {
		t.Errorf("chosen %+v of %d epochs, want step 2 of 4", c.record.Best, len(c.record.Epochs))
	}
}

// patience is a context that is canceled after its error was asked for so many
// times: it interrupts what lies between two steps, too.
type patience struct {
	context.Context
	left int
}

func (p *patience) Err() error {
	if p.left--; p.left < 0 {
		return context.Canceled
	}
	return nil
}

// A finetuning with a dev split keeps the epoch that is best by the task's
// metric and says what every epoch had, also when it is interrupted while an
// epoch is measured.
func TestFinetuneChoosesItsEpoch(t *testing.T) {
	f := prepare(t)
	dir := t.TempDir()
	base := filepath.Join(dir, "base")
	if _, err := Pretrain(context.Background(), config(t, "glm"), f.corpus, "", Options{Out: base, Device: "cpu", Threads: 1}); err != nil {
		t.Fatal(err)
	}
	train, dev := filepath.Join(f.cloze, "CB", "train.arrow"), filepath.Join(f.cloze, "CB", "val.arrow")
	c := config(t, "glm")
	g, err := configs.ParseGrid([]string{"lr=0.05", "epochs=4", "max_steps=11"})
	if err != nil {
		t.Fatal(err)
	}
	if c, err = c.With("CB", g.Cells()[0]); err != nil {
		t.Fatal(err)
	}
	finetune := func(ctx context.Context, c *configs.Config, run, dev string) (State, error) {
		return Finetune(ctx, c, base, train, 3, Options{Out: run, Device: "cpu", Threads: 1, Dev: dev})
	}
	run := filepath.Join(dir, "run")
	st, err := finetune(context.Background(), c, run, dev)
	if err != nil {
		t.Fatal(err)
	}
	choice, err := ReadChoice(run)
	if err != nil {
		t.Fatal(err)
	}
	var steps []int
	for _, e := range choice.Epochs {
		steps = append(steps, e.Step)
		if e.Value > choice.Best.Value || e.Value == choice.Best.Value && e.Step < choice.Best.Step {
			t.Errorf("step %d has %v, chosen was %+v", e.Step, e.Value, choice.Best)
		}
	}
	// 20 examples in batches of 8 are three steps.
	if diff := cmp.Diff([]int{3, 6, 9, 11}, steps); diff != "" {
		t.Errorf("measured at (-want +got):\n%s", diff)
	}
	if choice.Metric != "accuracy" || choice.Split != "val" || st.Best == nil || st.Best.Step != choice.Best.Step {
		t.Errorf("choice %+v, state %+v", choice, st.Best)
	}
	e, err := Evaluate(context.Background(), filepath.Join(run, "best"), dev, Answering{Device: "cpu", Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	task, err := tasks.Get("CB")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(choice.Best.Metrics, task.Score(e.Predictions)); diff != "" {
		t.Errorf("the best checkpoint has (-recorded +evaluated):\n%s", diff)
	}
	if *e.State.Pattern != 3 {
		t.Errorf("the state's pattern is %d, want 3", *e.State.Pattern)
	}

	want := finalFiles(t, run)
	again, interrupted := filepath.Join(dir, "again"), 0
	for left := 4; ; left += 3 {
		_, err := finetune(&patience{Context: context.Background(), left: left}, c, again, dev)
		if err == nil {
			break
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		interrupted++
	}
	if interrupted < 2 {
		t.Errorf("the run was interrupted %d times, want several", interrupted)
	}
	for file, content := range finalFiles(t, again) {
		if content != want[file] {
			t.Errorf("interrupted %d times: %s differs from the undisturbed run's", interrupted, file)
		}
	}

	// A finished run is that of its recipe and of its dev split.
	for name, other := range map[string]struct{ set, dev, want string }{
		"another rate":  {"finetune.tasks.cb.optimizer.lr=1e-4", dev, "its optimizer.lr is 0.05, asked for 0.0001"},
		"another batch": {"finetune.tasks.cb.batch_size=5", dev, "cannot be continued"},
		"no dev split":  {"train.log_every=1", "", "chooses its epoch by another dev split"},
	} {
		c, err := configs.Load(filepath.Join(run, "config.yaml"), []string{other.set})
		if err != nil {
			t.Fatal(err)
		}
		_, err = finetune(context.Background(), c, run, other.dev)
		var wrong *configs.Error
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), other.want) {
			t.Errorf("%s: error %v, want one about %q", name, err, other.want)
		}
	}

	// What cannot be a dev split.
	empty := filepath.Join(dir, "nothing", "val.arrow")
	var data *corpus.DataError
	if _, err := finetune(context.Background(), c, filepath.Join(dir, "x"), empty); !errors.As(err, &data) {
		t.Errorf("a dev split that is not there: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "x")); err == nil {
		t.Error("a run was begun without its dev split")
	}
	var wrong *configs.Error
	if _, err := finetune(context.Background(), c, filepath.Join(dir, "x"), filepath.Join(f.classification, "CB", "val.arrow")); !errors.As(err, &wrong) {
		t.Errorf("a dev split of another form: %v", err)
	}
}
