//go:build cgo

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/glmkit/glmkit/runner"
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
	if i.Exchange > 0 {
		note += fmt.Sprintf(", exchange %.0f%%", 100*i.Exchange)
	}
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
