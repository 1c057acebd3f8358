//go:build cgo

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/reports"
	"github.com/glmkit/glmkit/runner"
	"github.com/glmkit/glmkit/tasks"
)

// join finds the processes that train together with this one, where torchrun's
// environment or Slurm says that there are any.
func (g groupFlags) join(ctx context.Context, s streams, device string) (*runner.Ranks, error) {
	place, err := runner.PlaceFromEnv(os.Getenv)
	if err != nil {
		return nil, err
	}
	ranks, err := runner.Join(ctx, place, device, g.joinTimeout)
	if err == nil && ranks != nil && ranks.Leads() {
		fmt.Fprintf(s.err, "%d processes train together\n", place.Size)
	}
	return ranks, err
}

// exitForm gives an error of the runner the type that classify knows.
func exitForm(err error) error {
	var stopped *runner.Interrupted
	if errors.As(err, &stopped) {
		return &interruptedError{err}
	}
	var device *runner.DeviceError
	if errors.As(err, &device) {
		return &deviceError{msg: device.Msg, hint: device.Hint}
	}
	return err
}

// serveMetrics starts the server that --metrics-addr asks for, where this process
// leads; else observe does nothing.
func (w watchFlags) serveMetrics(ranks *runner.Ranks) (observe func(run string, i runner.StepInfo), stop func(), err error) {
	if w.metricsAddr == "" || !ranks.Leads() {
		return func(string, runner.StepInfo) {}, func() {}, nil
	}
	m, err := runner.ServeMetrics(w.metricsAddr)
	if err != nil {
		return nil, nil, err
	}
	return m.Observe, func() { m.Close() }, nil
}

// watch shows a run's steps as progress, and tells also of them.
func watch(s streams, what, run string, also func(run string, i runner.StepInfo)) (observe func(runner.StepInfo), done func()) {
	p := newProgress(s.err, what, "steps")
	valid := ""
	return func(i runner.StepInfo) {
		also(run, i)
		if i.HasValid {
			valid = validNote(i)
		}
		if len(i.Dev) > 0 {
			valid = devNote(i)
		}
		p.report(int64(i.Step), int64(i.Total), stepNote(i)+valid)
	}, p.done
}

// stepNote is what progress says of a step, the most telling first.
func stepNote(i runner.StepInfo) string {
	note := fmt.Sprintf("loss %.3f, %s tok/s", i.Loss, thousands(i.TokensPerS))
	if i.MFU > 0 {
		note += fmt.Sprintf(", MFU %.0f%%", 100*i.MFU)
	}
	note += fmt.Sprintf(", lr %.2g, grad %.2f, wait %.0f%%", i.LR, i.GradNorm, 100*i.DataWait)
	if i.Memory > 0 {
		note += fmt.Sprintf(", %.2f GB", float64(i.Memory)/1e9)
	}
	return note
}

// validNote is the validation loss, for each objective if there are several.
func validNote(i runner.StepInfo) string {
	note := fmt.Sprintf(", valid %.3f", i.Valid)
	if len(i.ValidBy) < 2 {
		return note
	}
	var by []string
	for _, objective := range runner.Objectives {
		if loss, ok := i.ValidBy[objective]; ok {
			by = append(by, fmt.Sprintf("%s %.3f", objective, loss))
		}
	}
	return note + " (" + strings.Join(by, " ") + ")"
}

// devNote is the task's metrics on the dev split.
func devNote(i runner.StepInfo) (note string) {
	for _, m := range i.Dev {
		note += fmt.Sprintf(", dev %s %.1f", m.Name, m.Value)
	}
	return note
}

// noteTo tells a person what is worth knowing of weights that are read, once.
func noteTo(s streams) func(string) {
	told := map[string]bool{}
	return func(text string) {
		if !told[text] {
			told[text] = true
			fmt.Fprintln(s.err, text)
		}
	}
}

func thousands(x float64) string {
	if x >= 1000 {
		return fmt.Sprintf("%.1fk", x/1000)
	}
	return fmt.Sprintf("%.0f", x)
}

func pretrain(ctx context.Context, s streams, o pretrainOptions) error {
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
	observe, done := watch(s, "pretrain "+o.config.Model.Architecture, o.out, metrics)
	start := time.Now()
	st, err := runner.Pretrain(ctx, o.config, o.data, o.valid, runner.Options{Out: o.out, Device: o.device, Threads: o.threads, Observe: observe, TensorBoard: o.tensorboard, Version: versionString(), Command: os.Args, From: o.from, Note: noteTo(s), Ranks: ranks})
	done()
	if err != nil || !ranks.Leads() {
		return exitForm(err)
	}
	parameters, err := runner.CountParameters(st.Model)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "%s: %s of %.2f M parameters, %d steps, %.2f M tokens, %s\n", o.out,
		strings.ToUpper(st.Model.Architecture), float64(parameters)/1e6, st.Step, float64(st.Tokens)/1e6, time.Since(start).Round(time.Second))
	return err
}

func convert(ctx context.Context, s streams, o convertOptions) error {
	done, err := runner.Convert(ctx, o.from, o.config.Model, o.out)
	if err != nil {
		return exitForm(err)
	}
	note := noteTo(s)
	note(done.From)
	for _, text := range done.Notes {
		note(text)
	}
	_, err = fmt.Fprintf(s.out, "%s: %.2f M parameters\n", o.out, float64(done.Parameters)/1e6)
	return err
}

func evaluate(ctx context.Context, s streams, o evalOptions) error {
	runs, err := findRuns(o.runs)
	if err != nil {
		return err
	}
	cells, err := answers(runs, o.prepared, o.task)
	if err != nil {
		return err
	}
	for _, c := range cells { // before the first model answers: a mistake shows at once
		if err := tasks.CheckScorable(splitFile(c.prepared, c.task, o.split)); err != nil {
			return err
		}
	}
	for n, c := range cells {
		p := newProgress(s.err, fmt.Sprintf("eval %d/%d %s", n+1, len(cells), c.run), "examples")
		e, err := runner.Evaluate(ctx, o.checkpointOf(c.run), splitFile(c.prepared, c.task, o.split), runner.Answering{
			Device: o.device, Threads: o.threads, Decoding: o.decoding,
			Progress: func(done, total int) { p.report(int64(done), int64(total), "") },
		})
		p.done()
		if errors.Is(err, context.Canceled) {
			return &stoppedError{fmt.Sprintf("stopped by a signal; the results of %d of %d runs are written", n, len(cells))}
		}
		if err != nil {
			return exitForm(err)
		}
		r, err := result(e, c.prepared, o)
		if err != nil {
			return err
		}
		if err := reports.WriteResult(o.out, r, e.Predictions); err != nil {
			return err
		}
		fmt.Fprintf(s.out, "%s seed %d %s:", r.Model.Name, r.Seed, r.Task)
		for _, m := range r.Metrics {
			fmt.Fprintf(s.out, " %s %.1f", m.Name, m.Value)
		}
		fmt.Fprintln(s.out)
	}
	return nil
}

// result is the file that an evaluation becomes.
func result(e *runner.Evaluation, prepared string, o evalOptions) (*reports.Result, error) {
	task, err := preparedTask(prepared, e.Header.Task)
	if err != nil {
		return nil, err
	}
	name := o.name
	if name == "" {
		name = strings.ToUpper(e.State.Model.Architecture)
	}
	return &reports.Result{
		Task: e.Header.Task, Split: o.split, Metrics: task.Score(e.Predictions), Examples: len(e.Predictions),
		Model: reports.Model{Name: name, Architecture: e.State.Model.Architecture, Parameters: e.Parameters, Form: e.Header.Form, Pattern: e.Header.Pattern},
		Seed:  e.State.Seed, CheckpointSHA256: e.Weights, DataSHA256: e.Data, TokenizerHash: e.State.Tokenizer,
		Steps: int64(e.State.Step + e.State.PretrainedSteps), Tokens: e.State.Tokens + e.State.PretrainedTokens,
		Decoding: e.Decoding, WallSeconds: e.Seconds, Date: time.Now().UTC().Truncate(time.Second), Glmkit: versionString(),
		Device: e.Device, Libtorch: e.Libtorch,
	}, nil
}

// answer is a run, the task that it is to answer, and the folder of the
// prepared task: that of the run's pattern, where there are several.
type answer struct{ run, task, prepared string }

// answers gives every run its own task or, where one is named, that one to the
// runs whose models answer it.
func answers(runs []string, prepared, name string) (cells []answer, err error) {
	trainedOn := ""
	type model struct {
		task string
		seed uint64
	}
	seen := map[model]string{}
	for _, run := range runs {
		st, err := runner.Finetuned(run)
		if err != nil {
			return nil, err
		}
		c := answer{run, st.Task, prepared}
		asked := name
		if asked == "" {
			asked = st.Task
		}
		if st.Pattern != nil && !fileExists(filepath.Join(prepared, asked)) {
			if folder := patternFolder(prepared, strconv.Itoa(*st.Pattern)); fileExists(folder) {
				c.prepared = folder
			}
		}
		if name != "" {
			task, err := preparedTask(c.prepared, name)
			if err != nil {
				return nil, err
			}
			if c.task, trainedOn = task.Name, task.TrainedOn(); trainedOn != st.Task {
				continue
			}
		}
		if other, twice := seen[model{c.task, st.Seed}]; twice {
			return nil, &configs.Error{Field: run, Msg: fmt.Sprintf("is a second run of %s with seed %d, beside %s", st.Task, st.Seed, other), Hint: "name one of them; a finished grid chooses by itself"}
		}
		seen[model{c.task, st.Seed}] = run
		cells = append(cells, c)
	}
	if len(cells) == 0 {
		return nil, &configs.Error{
			Field: "--task",
			Msg:   fmt.Sprintf("%s is put to models finetuned on %s, and none of these %d runs is one", name, trainedOn, len(runs)),
			Hint:  "glmkit train finetune --task " + trainedOn,
		}
	}
	return cells, nil
}

// findRuns lists the runs at or below the given directories; of a grid, those
// of the cell that it chose.
func findRuns(paths []string) ([]string, error) {
	var runs []string
	for _, path := range paths {
		before := len(runs)
		chosen := map[string]string{} // the cell of a grid's folder
		err := filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return err
			}
			if runner.IsRun(p) {
				runs = append(runs, p)
				return fs.SkipDir
			}
			if cell, ok := chosen[filepath.Dir(p)]; ok && d.Name() != cell {
				return fs.SkipDir
			}
			grid, err := reports.ReadGrid(p)
			if grid != nil {
				chosen[p] = grid.Chosen
			}
			return err
		})
		if err != nil || len(runs) == before {
			return nil, noRuns(path, err)
		}
	}
	slices.Sort(runs)
	return slices.Compact(runs), nil
}

// slowGFLOPS is below what any BLAS with vector kernels reaches on one core of
// the last decade; Debian's reference BLAS was at 4 where it was measured.
const slowGFLOPS = 20

func doctor(s streams) error {
	d, err := runner.Diagnose()
	if err != nil {
		return exitForm(err)
	}
	fmt.Fprintf(s.out, "glmkit     %s, %s\n", versionString(), runtime.Version())
	fmt.Fprintf(s.out, "libtorch   %s\n", d.Libtorch)
	fmt.Fprintf(s.out, "cpu        %d cores, %d threads\n", runtime.NumCPU(), d.Threads)
	fmt.Fprintf(s.out, "cuda       %d devices\n", d.CUDADevices)
	fmt.Fprintf(s.out, "training   %s matrix products, %s attention (compute.precision, compute.attention)\n", d.Precision, d.Attention)
	if !d.FusedAttention {
		fmt.Fprintln(s.out, "           libtorch's own fused attention: from 2.0 on")
	}
	fmt.Fprintf(s.out, "matmul     %.0f GFLOPS in float32, %.0f in bfloat16\n", d.GFLOPS, d.HalfGFLOPS)
	if d.GFLOPS < slowGFLOPS {
		fmt.Fprintln(s.out, "warning: this libtorch multiplies with an unoptimised BLAS; on Debian, `apt-get install libopenblas0-openmp` makes training many times faster")
	}
	return nil
}
