//go:build cgo

package main

import (
	"context"
	"fmt"
	"os"

	"github.com/glmkit/glmkit/runner"
)

func finetune(ctx context.Context, s streams, o finetuneOptions) error {
	names, err := preparedTasks(o.prepared, "train", o.tasks)
	if err != nil {
		return err
	}
	metrics, stop, err := o.serveMetrics()
	if err != nil {
		return err
	}
	defer stop()
	cells, number := len(names)*len(o.seeds), 0
	for _, name := range names {
		for _, seed := range o.seeds {
			number++
			out := o.runDir(name, seed)
			observe, done := watch(s, fmt.Sprintf("finetune %d/%d %s seed %d", number, cells, name, seed), out, metrics)
			st, err := runner.Finetune(ctx, o.config, o.from, splitFile(o.prepared, name, "train"), seed,
				runner.Options{Out: out, Device: o.device, Threads: o.threads, Observe: observe, TensorBoard: o.tensorboard, Version: versionString(), Command: os.Args, Note: noteTo(s)})
			done()
			if err != nil {
				return exitForm(err)
			}
			fmt.Fprintf(s.out, "%s: %d steps\n", out, st.Step)
		}
	}
	return nil
}
