package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"time"
)

// measureStart is how long "glmkit train pretrain" takes before its first step
// begins.
func measureStart(ctx context.Context, b *bench) ([]*row, error) {
	start := &row{Name: "Start of training until its first step, glm-small, two threads", Unit: "s", Goal: "≤ 2 s"}
	rows := []*row{start}
	vocab, err := b.vocabulary("bert-base-uncased")
	if err != nil {
		return rows, err
	}
	texts, err := b.texts()
	if err != nil {
		return rows, err
	}
	progress("preparing a corpus for glm-small")
	corpus, run := filepath.Join(b.work, "corpus-small"), filepath.Join(b.work, "run-small")
	if _, _, err := b.prepare(ctx, corpus, vocab, texts[0], "--config", "glm-small"); err != nil {
		return rows, err
	}
	var steps []float64
	for i := range b.rounds {
		progress("start of training, round %d of %d", i+1, b.rounds)
		if err := os.RemoveAll(run); err != nil {
			return rows, err
		}
		began := time.Now()
		_, err := command(ctx, 2, nil, b.glmkit, "train", "pretrain", "--config", "glm-small", "--data", corpus, "--out", run,
			"--device", "cpu", "--threads", "2", "--set", "train.steps=1", "--set", "train.log_every=1")
		if exitCode(err) == 4 {
			return rows, missing("this glmkit has no libtorch (make build)")
		}
		if err != nil {
			return rows, err
		}
		// The only line of metrics.jsonl is written as the step ends, and says how
		// long ago training began.
		path := filepath.Join(run, "metrics.jsonl")
		info, err := os.Stat(path)
		if err != nil {
			return rows, err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return rows, err
		}
		var line struct{ Seconds float64 }
		if err := json.Unmarshal(text, &line); err != nil {
			return rows, err
		}
		start.Ours = append(start.Ours, info.ModTime().Sub(began).Seconds()-line.Seconds)
		steps = append(steps, line.Seconds)
	}
	start.note("the first step itself took %.2f s more.", median(steps))
	return rows, nil
}
