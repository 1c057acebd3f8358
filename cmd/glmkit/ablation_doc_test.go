//go:build cgo && unix

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestAblationDocument runs the lines by which docs/training.md makes the paper's
// ablation table, as a shell expands them, with very small models, two steps and a
// made-up world.
func TestAblationDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/training.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Ablations\n")
	section, _, _ = strings.Cut(section, "\n## ")
	script := codeOf(section)
	commands := shellCommands(t, script)
	if len(commands) < 20 {
		t.Fatalf("only %d commands found: is the search for them broken?", len(commands))
	}

	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	mustDo(t, "prepare", "microworld", "--out", in("world"), "--documents", "40", "--held", "8", "--train-size", "8", "--val-size", "6")
	mustDo(t, "prepare", "vocab", in("world/corpus.jsonl"), "--size", "700", "--out", in("vocab.txt"))
	given := map[string]string{"wikibooks.jsonl": "world/corpus.jsonl", "bert-base-uncased": "vocab.txt", "SuperGLUE": "world/tasks"}
	small := []string{"--set", "model.layers=1", "--set", "model.hidden=16", "--set", "model.heads=2", "--set", "data.seq_length=64", "--set", "data.samples=8",
		"--set", "train.steps=2", "--set", "train.batch_size=4", "--set", "train.micro_batch=0", "--set", "finetune.max_steps=2", "--set", "compute.peak_tflops=1"}
	trained := 0
	var printed string
	for _, command := range commands {
		args := slices.Clone(command)
		for i, arg := range args {
			top, _, below := strings.Cut(arg, "/")
			switch {
			case given[arg] != "":
				args[i] = in(given[arg])
			case below && slices.Contains([]string{"corpus", "runs", "tasks", "finetuned"}, top), arg == "results":
				args[i] = in(arg)
			case arg == "all":
				args[i] = "RTE"
			case arg == "1,2,3":
				args[i] = "1"
			}
		}
		if args[0] == "train" || args[0] == "prepare" {
			args = append(args, small...)
		}
		if args[0] == "train" || args[0] == "eval" {
			args = append(args, "--device", "cpu", "--threads", "1")
		}
		printed = mustDo(t, args...)
		if args[0] == "train" {
			trained++
			run := args[slices.Index(args, "--out")+1]
			if args[1] == "finetune" {
				run = filepath.Join(run, "RTE", "seed-1")
			}
			if latest, err := os.ReadFile(filepath.Join(run, "latest")); err != nil || string(latest) != "step-000000002\n" {
				t.Errorf("%s: the latest checkpoint is %q, %v", run, latest, err)
			}
		}
	}
	if trained != 12 {
		t.Errorf("%d models were trained, want 5, and 7 finetuned", trained)
	}
	for _, row := range []string{"BERT, cloze", "GLM - cloze", "GLM - shuffling", "GLM + sentinels", "GLM - block positions"} {
		if !strings.Contains(printed, row) {
			t.Errorf("the table has no row %s:\n%s", row, printed)
		}
	}
}
