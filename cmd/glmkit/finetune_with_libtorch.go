//go:build cgo

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/glmkit/glmkit/reports"
	"github.com/glmkit/glmkit/runner"
)

func finetune(ctx context.Context, s streams, o finetuneOptions) error {
	jobs, err := o.jobs()
	if err != nil {
		return err
	}
	if o.dryRun {
		return planFinetune(ctx, s, o, jobs)
	}
	ranks, err := o.join(ctx, s, o.device)
	if err != nil {
		return exitForm(err)
	}
	defer ranks.Close()
	metrics, stop, err := o.serveMetrics(ranks)
	if err != nil {
		return err
	}
	defer stop()
	note := noteTo(s)
	var grids []*reports.Grid
	for i, job := range jobs {
		what := fmt.Sprintf("finetune %d/%d %s", i+1, len(jobs), job.task)
		if cell := job.cell.Name(); cell != "" {
			what += " " + cell
		}
		observe, done := watch(s, fmt.Sprintf("%s seed %d", what, job.seed), job.out, metrics)
		st, err := runner.Finetune(ctx, job.config, o.from, job.train, job.seed,
			runner.Options{Out: job.out, Device: o.device, Threads: o.threads, Observe: observe, TensorBoard: o.tensorboard, Version: versionString(), Command: os.Args, Note: note, Dev: job.dev, Ranks: ranks})
		done()
		if err != nil {
			return exitForm(err)
		}
		if !ranks.Leads() {
			continue
		}
		if job.dev == "" {
			fmt.Fprintf(s.out, "%s: %d steps\n", job.out, st.Step)
			continue
		}
		choice, err := runner.ReadChoice(job.out)
		if err != nil {
			return err
		}
		if i == 0 || jobs[i-1].task != job.task {
			grids = append(grids, &reports.Grid{Task: job.task, Split: choice.Split, Metric: choice.Metric})
		}
		g := grids[len(grids)-1]
		if n := len(g.Cells); n == 0 || g.Cells[n-1].Folder != job.cell.Name() {
			g.Cells = append(g.Cells, reports.GridCell{Folder: job.cell.Name(), Settings: job.cell.Settings()})
		}
		runs := &g.Cells[len(g.Cells)-1].Runs
		*runs = append(*runs, reports.GridRun{Seed: job.seed, Epoch: choice.Best.Epoch, Step: choice.Best.Step, Value: choice.Best.Value})
		if g.Choose(); len(o.grid) > 0 && (i == len(jobs)-1 || jobs[i+1].task != job.task) {
			if err := reports.WriteGrid(filepath.Join(o.out, job.task), g); err != nil {
				return err
			}
		}
	}
	if !ranks.Leads() {
		return nil
	}
	return printRows(s.out, reports.GridRows(grids))
}
