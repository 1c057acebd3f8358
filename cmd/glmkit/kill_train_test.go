//go:build cgo && unix

package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// glmkitCommand is this test binary run as the command.
func glmkitCommand(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return &exec.Cmd{Path: exe, Args: append([]string{"glmkit"}, args...), Env: os.Environ()}
}

func mustRun(t *testing.T, args ...string) {
	t.Helper()
	if out, err := glmkitCommand(t, args...).CombinedOutput(); err != nil {
		t.Fatalf("glmkit %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// smallCorpus writes and prepares a corpus and returns its folder.
func smallCorpus(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	words := strings.Fields("the cat dog bird sat ran flew on over under mat tree house red old big was and then")
	vocab := append([]string{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "."}, words...)
	rng := rand.New(rand.NewPCG(3, 4))
	var text strings.Builder
	for range 50 {
		for range 4 + rng.IntN(30) {
			text.WriteString(words[rng.IntN(len(words))] + " ")
		}
		text.WriteString(".\n")
	}
	for name, content := range map[string]string{"vocab.txt": strings.Join(vocab, "\n") + "\n", "documents.txt": text.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	out := filepath.Join(dir, "corpus")
	mustRun(t, "prepare", "corpus", filepath.Join(dir, "documents.txt"), "--tokenizer", filepath.Join(dir, "vocab.txt"), "--out", out,
		"--config", "glm-demo", "--set", "data.seq_length=32", "--set", "data.samples=64")
	return out
}

// lastCheckpoint reads all files of a run's newest checkpoint.
func lastCheckpoint(t *testing.T, run string) string {
	t.Helper()
	latest, err := os.ReadFile(filepath.Join(run, "latest"))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(run, "checkpoints", strings.TrimSpace(string(latest)))
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&all, "%s %d\n%s\n", e.Name(), len(data), data)
	}
	return all.String()
}

// TestTrainSurvivesKills kills training with SIGKILL at random moments and
// starts it again until it ends: the checkpoint must be that of an undisturbed
// run, byte for byte. A quick test kills a few times, since TestTrainFromEveryState
// knows every state, and make soak often.
func TestTrainSurvivesKills(t *testing.T) {
	t.Parallel()
	wanted := 6
	if os.Getenv("GLMKIT_SOAK") != "" {
		wanted = 60
	}
	corpus := smallCorpus(t)
	args := func(out string) []string {
		return []string{"train", "pretrain", "--data", corpus, "--out", out, "--config", "glm-demo", "--device", "cpu", "--threads", "1",
			"--set", "model.layers=2", "--set", "model.hidden=32", "--set", "model.dropout=0.1", "--set", "train.steps=40",
			"--set", "train.batch_size=4", "--set", "train.save_every=3", "--set", "train.valid_every=0"}
	}
	dir := t.TempDir()
	whole := filepath.Join(dir, "whole")
	start := time.Now()
	mustRun(t, args(whole)...)
	length := time.Since(start)
	want := lastCheckpoint(t, whole)

	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	kills, runs := 0, 0
	var reached []int
	for kills < wanted {
		runs++
		run := filepath.Join(dir, fmt.Sprint("killed-", runs))
		for {
			cmd := glmkitCommand(t, args(run)...)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			timer := time.AfterFunc(time.Duration(2*rng.Float64()*float64(length)), func() { cmd.Process.Kill() })
			err := cmd.Wait()
			timer.Stop()
			if err == nil {
				break
			}
			if cmd.ProcessState.ExitCode() != -1 {
				t.Fatalf("after %d kills: %v", kills, err)
			}
			kills++
			if latest, err := os.ReadFile(filepath.Join(run, "latest")); err == nil {
				var step int
				fmt.Sscanf(string(latest), "step-%d", &step)
				reached = append(reached, step)
			}
			if kills > 20*wanted {
				t.Fatalf("%d kills and the run does not end", kills)
			}
		}
		if got := lastCheckpoint(t, run); got != want {
			t.Fatalf("after %d kills the checkpoint differs from the undisturbed run's", kills)
		}
		leftovers, err := filepath.Glob(filepath.Join(run, "checkpoints", ".*"))
		if err != nil || len(leftovers) > 0 {
			t.Errorf("left behind: %v %v", leftovers, err)
		}
	}
	slices.Sort(reached)
	t.Logf("%d kills in %d runs; newest checkpoint after a kill, by step: %v", kills, runs, reached)
}

// TestSecondSignal interrupts training in the middle of a long step: the first
// signal, be it told twice, waits for its end, another ends the process at once.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	corpus := smallCorpus(t)
	run := filepath.Join(t.TempDir(), "run")
	cmd := glmkitCommand(t, "train", "pretrain", "--data", corpus, "--out", run, "--config", "glm-demo", "--device", "cpu", "--threads", "1",
		"--set", "model.layers=8", "--set", "model.hidden=512", "--set", "train.batch_size=4096", "--set", "train.micro_batch=2", "--set", "compute.peak_tflops=1")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	ended := make(chan struct{})
	go func() {
		cmd.Wait()
		close(ended)
	}()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(run, "env.jsonl")); err == nil {
			break // the model is made, the first step about to begin
		}
		if time.Now().After(deadline) {
			t.Fatal("training does not begin")
		}
	}
	time.Sleep(2 * time.Second) // into the first step, which takes minutes
	cmd.Process.Signal(syscall.SIGTERM)
	time.Sleep(100 * time.Millisecond)
	cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-ended:
		t.Fatalf("the first signal ended it in the middle of a step: %v", cmd.ProcessState)
	case <-time.After(3 * sameSignal / 2):
	}
	cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-ended:
		if status := cmd.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGTERM {
			t.Errorf("ended with %v, want by the signal", cmd.ProcessState)
		}
	case <-time.After(time.Minute): // it takes no time, but other processes may
		t.Error("the second signal does not end it")
	}
}
