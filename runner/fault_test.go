//go:build cgo && linux

package runner

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/corpus"
	"github.com/glmkit/glmkit/spans"
)

// A corpus that is cut short while a run reads it ends the run with a checkpoint
// of its last step; with the corpus whole again it goes on to the same end.
func TestCorpusCutWhileTraining(t *testing.T) {
	f := prepare(t)
	shards, err := filepath.Glob(filepath.Join(f.corpus, "*.arrow"))
	if err != nil || len(shards) != 1 {
		t.Fatalf("shards %v, %v", shards, err)
	}
	content, err := os.ReadFile(shards[0])
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	train := func(out string, observe func(StepInfo)) (State, error) {
		c := config(t, "glm")
		c.Train.Steps, c.Train.SaveEvery, c.Train.ValidEvery = 12, 0, 0
		return Pretrain(context.Background(), c, f.corpus, "", Options{Out: filepath.Join(dir, out), Device: "cpu", Threads: 1, Observe: observe})
	}
	if _, err := train("whole", nil); err != nil {
		t.Fatal(err)
	}
	st, err := train("cut", func(i StepInfo) {
		if i.Step == 2 {
			if err := os.Truncate(shards[0], 100); err != nil {
				t.Error(err)
			}
		}
	})
	var data *corpus.DataError
	if !errors.As(err, &data) || data.Path != shards[0] || data.Hint == "" {
		t.Fatalf("error %v", err)
	}
	if st.Step < 2 || st.Step == 12 {
		t.Fatalf("ended after step %d", st.Step)
	}
	if latest, ok, err := latestCheckpoint(filepath.Join(dir, "cut")); !ok || err != nil || filepath.Base(latest) != checkpointName(st.Step) {
		t.Errorf("after step %d the newest checkpoint is %q, %v", st.Step, latest, err)
	}
	if _, err := train("cut", nil); !errors.As(err, &data) {
		t.Errorf("started again without the corpus: %v", err)
	}
	if err := os.WriteFile(shards[0], content, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := train("cut", nil); err != nil {
		t.Fatal(err)
	}
	want, got := finalFiles(t, filepath.Join(dir, "whole")), finalFiles(t, filepath.Join(dir, "cut"))
	for file, content := range want {
		if got[file] != content {
			t.Errorf("gone on with: %s differs from the undisturbed run's", file)
		}
	}
}

// A signal during a validation lets it end: the checkpoint knows what it found.
func TestSignalDuringValidation(t *testing.T) {
	dir := t.TempDir()
	onThread(t, func() error {
		m := drawn(t, tiny("glm"), 2)
		defer m.close()
		c := configs.Train{ValidEvery: 1, KeepBest: true, Optimizer: configs.Optimizer{LR: 1e-3, Beta1: 0.9, Beta2: 0.98, Eps: 1e-6}, Schedule: configs.Schedule{Kind: "constant"}}
		o, err := newOptimizer(c.Optimizer, m.params, nil)
		if err != nil {
			return err
		}
		defer o.close()
		ctx, signal := context.WithCancel(context.Background())
		r := &session{dir: dir, config: c, model: m, optimizer: o, state: State{TotalSteps: 20}, source: same{newBatch([]spans.Block{exampleBlock(t)})}}
		r.hooks = []hook{r.validating(func() (validation, error) {
			if r.state.Step == 3 {
				signal()
			}
			return validation{loss: 5 - float64(r.state.Step)}, nil
		}), r.saving()}
		err = r.train(ctx)
		var interrupted *Interrupted
		if !errors.As(err, &interrupted) || interrupted.Step != 3 {
			t.Errorf("error %v", err)
		}
		return nil
	})
	st, err := stateOf(t, dir)
	if err != nil || st.Step != 3 || st.Best == nil || *st.Best != (Best{Step: 3, Loss: 2}) {
		t.Errorf("saved %+v, best %+v, %v", st.Step, st.Best, err)
	}
}

// stateOf is the state of a run's newest checkpoint.
func stateOf(t *testing.T, run string) (State, error) {
	t.Helper()
	dir, err := findCheckpoint(run)
	if err != nil {
		return State{}, err
	}
	st, _, err := readState(dir)
	return st, err
}

// A run that another process trains is left alone.
func TestRunInTwoProcesses(t *testing.T) {
	f := prepare(t)
	run := filepath.Join(t.TempDir(), "run")
	train := func() error {
		c := config(t, "glm")
		c.Train.Steps = 1
		_, err := Pretrain(context.Background(), c, f.corpus, "", Options{Out: run, Device: "cpu", Threads: 1})
		return err
	}
	if err := train(); err != nil {
		t.Fatal(err)
	}
	release, err := corpus.TryLock(filepath.Join(run, lockFile))
	if err != nil || release == nil {
		t.Fatalf("a finished run is locked: %v", err)
	}
	var config *configs.Error
	if err := train(); !errors.As(err, &config) || !strings.Contains(err.Error(), "another process trains") {
		t.Errorf("while another process has it: %v", err)
	}
	release()
	if err := train(); err != nil {
		t.Errorf("when the other has ended: %v", err)
	}
}

// A directory that cannot be written is refused before training, with its name.
func TestOutCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // for all to enter
		t.Fatal(err)
	}
	readOnly := filepath.Join(dir, "run")
	if err := os.Mkdir(readOnly, 0o555); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	refused := func(out string) {
		t.Helper()
		err := claim(out)
		var config *configs.Error
		if !errors.As(err, &config) || config.Field != "--out" || !strings.Contains(err.Error(), out) {
			t.Errorf("%s: %v", out, err)
		}
	}
	refused(file)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if os.Geteuid() == 0 {
			// Permissions do not bind root: this thread, which ends with its
			// goroutine, takes on files as a user without rights.
			runtime.LockOSThread()
			const nobody = 65534
			syscall.RawSyscall(syscall.SYS_SETFSUID, nobody, 0, 0)
		}
		refused(readOnly)
		refused(filepath.Join(readOnly, "below"))
	}()
	<-ended
	if entries, err := os.ReadDir(readOnly); err != nil || len(entries) > 0 {
		t.Errorf("it holds %v, %v", entries, err)
	}
}
