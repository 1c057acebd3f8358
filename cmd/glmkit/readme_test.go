//go:build cgo && unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// shellCommands are the arguments of the glmkit calls in a script, as a shell expands
// them, which writes each down in place of running it.
func shellCommands(t *testing.T, script string) (commands [][]string) {
	t.Helper()
	shell := exec.Command("sh", "-e")
	shell.Stdin = strings.NewReader("glmkit() { printf '%s\\n' \"$@\"; echo; }\n" + script)
	expanded, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, expanded)
	}
	for _, command := range strings.Split(strings.TrimSuffix(string(expanded), "\n\n"), "\n\n") {
		commands = append(commands, strings.Split(command, "\n"))
	}
	return commands
}

// TestQuickStart runs the way of README.md from text to a table: with the preset's
// lengths, but a very small model, two steps and a made-up world.
func TestQuickStart(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\nWith your own text")
	section, _, _ = strings.Cut(section, "\nThe whole comparison")
	commands := shellCommands(t, strings.ReplaceAll(codeOf(section), "./glmkit", "glmkit"))
	if len(commands) != 6 {
		t.Fatalf("%d commands found, want 6: is the search for them broken?", len(commands))
	}
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	mustDo(t, "prepare", "microworld", "--out", in("world"), "--documents", "40", "--held", "8", "--train-size", "8", "--val-size", "6")
	mustDo(t, "prepare", "vocab", in("world/corpus.jsonl"), "--size", "700", "--out", in("vocab.txt"))
	given := map[string]string{"texts/*.jsonl": "world/corpus.jsonl", "vocab.txt": "vocab.txt", "SuperGLUE": "world/tasks", "data/corpus": "corpus",
		"data/cloze": "cloze", "runs/glm": "glm", "finetuned/glm": "finetuned", "results": "results"}
	var printed string
	for _, args := range commands {
		for i, arg := range args {
			if given[arg] != "" {
				args[i] = in(given[arg])
			} else if arg == "1,2,3" {
				args[i] = "1"
			}
		}
		if args[0] == "train" {
			args = append(args, "--set", "model.layers=1", "--set", "model.hidden=16", "--set", "model.heads=2", "--set", "train.steps=2", "--set", "train.batch_size=4",
				"--set", "train.micro_batch=0", "--set", "finetune.max_steps=1", "--set", "compute.peak_tflops=1")
		}
		if args[0] == "train" || args[0] == "eval" {
			args = append(args, "--device", "cpu", "--threads", "1")
		}
		printed = mustDo(t, args...)
	}
	if !strings.Contains(printed, "| GLM ") || !strings.Contains(printed, "MultiRC") {
		t.Errorf("it ends with\n%s", printed)
	}
}
