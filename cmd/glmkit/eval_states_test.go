//go:build cgo && linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestEvalFromEveryState goes on with evaluations, of answers that are chosen and of
// answers that are written, from every state in which SIGKILL or Ctrl-C can leave the
// results: the same command must end with the files of an undisturbed one.
func TestEvalFromEveryState(t *testing.T) {
	w := newTinyWorld(t)
	words := filepath.Join(memoryDir(t), "words.yaml")
	if err := os.WriteFile(words, []byte(`
task: Words
recipe: Yahoo
files: {val: valid.jsonl}
fields: {text: text}
infill: [0.15]
metrics: [bleu]
`), 0o666); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(w.config)
	mustDo(t, "prepare", "task", "--task-file", words, "--data", filepath.Join(dir, "world"), "--config", w.config, "--tokenizer", filepath.Join(dir, "vocab.txt"), "--max-length", "96", "--out", w.tasks)
	for _, kind := range []struct {
		task   string
		groups int // of examples that are answered together
		more   []string
	}{{"RTE", 6, nil}, {"Words", 4, []string{"--decoding", "beams=32,max_length=4,no_repeat=0"}}} {
		t.Run(kind.task, func(t *testing.T) {
			command := append([]string{"eval", w.whole, "--tasks", w.tasks, "--task", kind.task, "--device", "cpu", "--threads", "1"}, kind.more...)
			command = append(command, "--out")
			whole := filepath.Join(memoryDir(t), "results")
			mustDo(t, append(slices.Clip(command), whole)...)
			want := resultFiles(t, whole)
			states := statesOf(t, command, filepath.Join(memoryDir(t), "results"))
			if least := 2 * kind.groups; len(states) < least {
				t.Errorf("only %d states, want %d or more: answers are not kept as they are found", len(states), least)
			}
			states = append(states, diskState{interrupted(t, command), "by Ctrl-C"})
			continued := false
			for _, state := range states {
				before := kept(t, state.dir)
				var stderr bytes.Buffer
				asked := &patience{context.Background(), 1 << 30}
				if code := run(asked, append(slices.Clip(command), state.dir), streams{nil, io.Discard, &stderr}); code != exitOK {
					t.Fatalf("stopped %s: exit code %d\n%s", state.at, code, stderr.Bytes())
				}
				continued = continued || before > 0
				for name, content := range resultFiles(t, state.dir) {
					if want[name] != content {
						t.Errorf("stopped %s: %s differs", state.at, name)
					}
				}
				if n := len(resultFiles(t, state.dir)); n != len(want) {
					t.Errorf("stopped %s: %d files, want %d", state.at, n, len(want))
				}
			}
			if !continued {
				t.Error("no evaluation continued: no state has an answer")
			}
			t.Logf("%d states", len(states))
		})
	}
}

// TestScoringFromEveryState goes on with measuring perplexity and last words from
// every state in which SIGKILL or Ctrl-C can leave the scores: the same command must
// print the figures of an undisturbed one, to the last digit, without scoring again
// what was scored, and leave nothing behind.
func TestScoringFromEveryState(t *testing.T) {
	w := newTinyWorld(t)
	world := filepath.Join(filepath.Dir(w.config), "world")
	content, err := os.ReadFile(filepath.Join(world, "valid.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	passages := filepath.Join(memoryDir(t), "passages.jsonl")
	if err := os.WriteFile(passages, bytes.Repeat(content, 3), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []struct {
		name    string
		command []string
	}{
		{"perplexity", []string{"--text", filepath.Join(world, "valid.jsonl"), "--format", "jsonl", "--length", "16", "--stride", "6"}},
		{"lambada", []string{"--data", passages, "--length", "64"}},
	} {
		t.Run(kind.name, func(t *testing.T) {
			command := append([]string{"eval", kind.name, w.whole}, kind.command...)
			command = append(command, "--json", "--device", "cpu", "--threads", "1", "--keep")
			printed := func(dir string) (figures string, asked int) {
				var stdout, stderr bytes.Buffer
				counting := &patience{context.Background(), 1 << 30}
				if code := run(counting, append(slices.Clip(command), dir), streams{nil, &stdout, &stderr}); code != exitOK {
					t.Fatalf("exit code %d\n%s", code, stderr.Bytes())
				}
				if left := lasting(t, dir); len(left) > 0 {
					t.Errorf("%d files are left", len(left))
				}
				return stdout.String(), 1<<30 - counting.left
			}
			want, groups := printed(filepath.Join(memoryDir(t), "keep"))
			states := statesOf(t, command, filepath.Join(memoryDir(t), "keep"))
			if least := 2 * groups; groups < 6 || len(states) < least {
				t.Errorf("only %d states of %d groups, want %d or more: scores are not kept as they are found", len(states), groups, least)
			}
			states = append(states, diskState{interrupted(t, command), "by Ctrl-C"})
			for _, state := range states {
				before := kept(t, state.dir)
				got, asked := printed(state.dir)
				if got != want {
					t.Errorf("stopped %s: %s, want %s", state.at, got, want)
				}
				if asked > groups-before/8 { // eight are scored at once
					t.Errorf("stopped %s with %d scores: %d of %d groups are scored", state.at, before, asked, groups)
				}
			}
			t.Logf("%d states, %d groups", len(states), groups)
		})
	}
}

// kept is the number of answers that an unfinished evaluation has.
func kept(t *testing.T, dir string) (n int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.answers.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		n += max(0, bytes.Count(content, []byte("\n"))-1)
	}
	return n
}

// resultFiles reads the files of results, without what they say of time, nor the
// hidden files that a kill in the middle of writing one leaves.
func resultFiles(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := lasting(t, dir)
	for name, content := range files {
		if strings.HasPrefix(name, ".") {
			delete(files, name)
			continue
		}
		if !strings.HasSuffix(name, ".result.json") {
			continue
		}
		var result map[string]any
		if err := json.Unmarshal([]byte(content), &result); err != nil {
			t.Fatal(err)
		}
		delete(result, "wall_seconds")
		delete(result, "date")
		text, err := json.Marshal(result)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = string(text)
	}
	return files
}
