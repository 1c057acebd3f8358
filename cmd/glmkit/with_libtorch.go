//go:build cgo

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
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
	note := fmt.Sprintf("loss %.3f%s, %s tok/s", i.Loss, byObjective(i.LossBy), thousands(i.TokensPerS))
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
	return fmt.Sprintf(", valid %.3f", i.Valid) + byObjective(i.ValidBy)
}

// byObjective is the losses of several objectives.
func byObjective(losses map[string]float64) string {
	if len(losses) < 2 {
		return ""
	}
	var by []string
	for _, objective := range runner.Objectives {
		if loss, ok := losses[objective]; ok {
			by = append(by, fmt.Sprintf("%s %.3f", objective, loss))
		}
	}
	return " (" + strings.Join(by, " ") + ")"
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
	if o.dryRun {
		return planPretrain(ctx, s, o)
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
	done, err := runner.Convert(ctx, o.from, o.config, o.positions, o.out)
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
