package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/experiments"
)

type runOptions struct {
	experiment     string
	dryRun, status bool
	emit, step     string
	wait           bool
	jobs           int
}

func newRun(s streams) *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:   "run EXPERIMENT",
		Short: "Run a comparison of models that one file declares",
		Long: `Run an experiment: a YAML file, or one of ` + strings.Join(configs.Experiments(), ", ") + `. It declares corpora, models,
tasks, seeds and the report; docs/experiments.md lists the keys. Each step is a
glmkit command of its own. Only steps that are missing are run: the same command
again goes on after anything. A step that was made by other settings stays as it
is, and is named.

The folder .steps below the experiment's keeps a record and a log of every step.`,
		Example: `  glmkit run demo --dry-run
  glmkit run experiment.yaml
  glmkit run experiment.yaml --status
  glmkit run experiment.yaml --emit slurm | bash`,
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "only say what would be run, and what it costs")
	cmd.Flags().BoolVar(&o.status, "status", false, "only say where the experiment stands")
	cmd.Flags().StringVar(&o.emit, "emit", "", "write the steps for `slurm or k8s` instead of running them")
	cmd.Flags().StringVar(&o.step, "step", "", "run one `step` only, by its name in --status")
	cmd.Flags().BoolVar(&o.wait, "wait", false, "with --step, wait for the steps that it needs")
	cmd.Flags().IntVar(&o.jobs, "jobs", 1, "steps that run side by side")
	cmd.MarkFlagsMutuallyExclusive("dry-run", "status", "emit", "step")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o.experiment = args[0]
		return runExperiment(cmd.Context(), s, o)
	}
	return cmd
}

func runExperiment(ctx context.Context, s streams, o runOptions) error {
	e, err := configs.LoadExperiment(o.experiment)
	if err != nil {
		return err
	}
	plan, err := experiments.NewPlan(e)
	if err != nil {
		return err
	}
	switch {
	case o.jobs < 1:
		return &configs.Error{Field: "--jobs", Msg: fmt.Sprintf("%d is no number of steps", o.jobs), Hint: "--jobs 2"}
	case o.wait && o.step == "":
		return &configs.Error{Field: "--wait", Msg: "is for one step", Hint: "--step STEP --wait"}
	case o.emit == "slurm":
		return plan.Slurm(s.out, o.experiment)
	case o.emit == "k8s":
		return plan.Kubernetes(s.out, o.experiment)
	case o.emit != "":
		return &configs.Error{Field: "--emit", Msg: fmt.Sprintf("%q is none", o.emit), Hint: "slurm or k8s"}
	case o.dryRun || o.status:
		return showPlan(s.out, plan, o.dryRun)
	}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding glmkit itself: %w", err)
	}
	err = plan.Run(ctx, experiments.Options{
		Jobs: o.jobs, Only: o.step, Wait: o.wait, Version: versionString(),
		Exec: func(ctx context.Context, step *experiments.Step, log string, lock *os.File) (int, error) {
			say := io.Discard
			if o.jobs == 1 {
				say = s.err
			}
			return runStep(ctx, program, step, log, lock, say)
		},
		Report: func(e experiments.Event) { reportStep(s.out, e) },
	})
	var failed *experiments.StepError
	if errors.As(err, &failed) && o.jobs > 1 {
		io.WriteString(s.err, lastLines(failed.Log, 12))
	}
	return err
}

// stopWithin is how long a step may take to save its state once it is asked to stop.
const stopWithin = 5 * time.Minute

// runStep runs a step as a process, whose words go to its log and to say.
func runStep(ctx context.Context, program string, step *experiments.Step, log string, lock *os.File, say io.Writer) (exit int, err error) {
	// What an earlier attempt said stays.
	file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return 0, fmt.Errorf("opening the log: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	cmd := exec.CommandContext(ctx, program, step.Args...)
	cmd.Stdout = file
	cmd.Stderr = io.MultiWriter(file, say)
	// In a group of its own the step does not get the terminal's Ctrl-C besides the
	// signal sent here: the second would end it at once.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.ExtraFiles = []*os.File{lock}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopWithin
	err = cmd.Run()
	var ended *exec.ExitError
	if errors.As(err, &ended) && ended.Exited() {
		return ended.ExitCode(), nil
	}
	return 0, err
}

// reportStep says that a step begins or has ended.
func reportStep(w io.Writer, e experiments.Event) {
	switch {
	case !e.Ended:
		fmt.Fprintf(w, "== %s\n", e.Step.ID)
	case e.Exit == 0:
		fmt.Fprintf(w, "== %s done in %s, %d of %d steps left\n", e.Step.ID, e.Took.Round(100*time.Millisecond), e.Left, e.All)
	}
}

// showPlan writes a line a step: its state, its time or its cost, and with
// commands what it runs.
func showPlan(w io.Writer, plan *experiments.Plan, commands bool) error {
	estimates, err := plan.Estimates()
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "step\tstate\ttime\tneeds\tcost")
	counts := map[experiments.State]int{}
	var left time.Duration
	unknown := 0
	for _, e := range estimates {
		counts[e.State]++
		spent := ""
		switch {
		case e.State == experiments.Done:
			spent = e.Took.Round(100 * time.Millisecond).String()
		case e.Known:
			spent = "about " + e.Took.Round(time.Second).String()
			left += e.Took
		default:
			unknown++
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", e.Step.ID, e.State, spent, needsInWords(e.Step.Needs), e.Step.Cost)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if commands {
		fmt.Fprintln(w)
		for _, e := range estimates {
			if e.State != experiments.Done {
				fmt.Fprintf(w, "glmkit %s\n", strings.Join(e.Step.Args, " "))
			}
		}
	}
	fmt.Fprintf(w, "\n%d of %d steps done", counts[experiments.Done], len(estimates))
	for _, state := range []experiments.State{experiments.Running, experiments.Interrupted, experiments.Failed, experiments.Changed} {
		if counts[state] > 0 {
			fmt.Fprintf(w, ", %d %s", counts[state], state)
		}
	}
	switch {
	case left > 0 && unknown == 0:
		fmt.Fprintf(w, "; the rest takes about %s one after the other, as long as steps of their kind took", left.Round(time.Second))
	case left > 0:
		fmt.Fprintf(w, "; the rest takes about %s and %d steps of a kind that none has been run of", left.Round(time.Second), unknown)
	}
	fmt.Fprintln(w, ".")
	return nil
}

// needsInWords lists a few ids, and counts many.
func needsInWords(ids []string) string {
	if len(ids) > 4 {
		return fmt.Sprintf("%d steps", len(ids))
	}
	return strings.Join(ids, " ")
}

// lastLines are the last of a file, for an error.
func lastLines(path string, n int) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	lines := bytes.SplitAfter(bytes.TrimRight(text, "\n"), []byte("\n"))
	return filepath.Base(path) + ":\n" + string(bytes.Join(lines[max(0, len(lines)-n):], nil)) + "\n"
}
