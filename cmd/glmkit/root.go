package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/corpus"
	"github.com/glmkit/glmkit/experiments"
)

// streams are the three files of a command, replaced in tests.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// Exit codes, one meaning each.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2   // usage or configuration
	exitData        = 3   // bad input data
	exitDevice      = 4   // no device or libtorch
	exitRegression  = 5   // report compare --fail-on regression found one
	exitInterrupted = 130 // stopped by a signal, state saved where the command keeps one
)

// deviceError says that what the command needs of libtorch or of a device is
// not there.
type deviceError struct{ msg, hint string }

func (e *deviceError) Error() string { return e.msg }

// interruptedError says that a command stopped with its state saved because of a
// signal, to this process or to another of its group.
type interruptedError struct{ error }

// stoppedError says that a signal ended a command that keeps no state to continue
// from.
type stoppedError struct{ msg string }

func (e *stoppedError) Error() string { return e.msg }

// run executes one command line and returns its exit code.
func run(ctx context.Context, args []string, s streams) int {
	root := newRoot(s)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	code, hint := classify(ctx, cmd, err)
	text := err.Error()
	if code == exitInterrupted {
		text = strings.ReplaceAll(text, context.Canceled.Error(), "stopped by a signal")
	}
	fmt.Fprintf(s.err, "glmkit: %s\n", text)
	if hint != "" {
		fmt.Fprintf(s.err, "try: %s\n", hint)
	}
	return code
}

// classify maps an error of a command to its exit code and the advice printed with
// it.
func classify(ctx context.Context, cmd *cobra.Command, err error) (code int, hint string) {
	var data *corpus.DataError
	var config *configs.Error
	var device *deviceError
	var regression *regressionError
	var interrupted *interruptedError
	var step *experiments.StepError
	var stopped *stoppedError
	switch {
	case errors.As(err, &data):
		return exitData, data.Hint
	case errors.As(err, &config):
		return exitUsage, config.Hint
	case errors.As(err, &device):
		return exitDevice, device.hint
	case errors.As(err, &step):
		return step.Exit, "what it said is in " + step.Log
	case errors.As(err, &regression):
		return exitRegression, ""
	case errors.As(err, &stopped):
		return exitInterrupted, ""
	case errors.As(err, &interrupted), ctx.Err() != nil && errors.Is(err, context.Canceled):
		return exitInterrupted, "the same command again: it continues where it stopped"
	case isUsage(err):
		return exitUsage, helpOf(cmd)
	}
	return exitFailure, ""
}

// isUsage tells cobra's own complaints, which carry no type, from the rest.
func isUsage(err error) bool {
	for _, start := range []string{"unknown command", "unknown flag", "unknown shorthand", "required flag", "accepts ", "requires at least", "invalid argument", "flag needs an argument", "if any flags in the group"} {
		if strings.HasPrefix(err.Error(), start) {
			return true
		}
	}
	return false
}

// helpOf is the command line that explains a command.
func helpOf(cmd *cobra.Command) string { return cmd.CommandPath() + " --help" }

// flagNames finds the names in a list of flags as cobra prints it.
var flagNames = regexp.MustCompile(`(?m)^ +(?:-\w, )?--([\w-]+)`)

// flagError names the flag that may have been meant.
func flagError(cmd *cobra.Command, err error) error {
	name, unknown := strings.CutPrefix(err.Error(), "unknown flag: --")
	if !unknown {
		return err
	}
	var known []string
	for _, m := range flagNames.FindAllStringSubmatch(cmd.Flags().FlagUsages(), -1) {
		known = append(known, m[1])
	}
	return &configs.Error{Msg: fmt.Sprintf("%v; did you mean --%s?", err, configs.Nearest(name, known)), Hint: helpOf(cmd)}
}

// noArguments is cobra.NoArgs, which would speak of an unknown command.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return &configs.Error{Msg: fmt.Sprintf("%s takes flags alone, not %q", cmd.CommandPath(), args[0]), Hint: helpOf(cmd)}
}

func newRoot(s streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "glmkit",
		Short: "GLM: autoregressive blank infilling, from text to tables",
		Long: `glmkit prepares text corpora and SuperGLUE tasks, pretrains and finetunes GLM
and an equal-sized BERT, evaluates them, and reports the comparison.

Exit codes: 0 done, 1 failure, 2 usage or configuration, 3 bad data,
4 no device or libtorch, 5 regression found (report compare --fail-on),
130 interrupted, with the state saved where the command keeps one.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(newPrepare(s), newInspect(s), newTrain(s), newConvert(s), newEval(s), newFill(s), newDoctor(s), newReport(s), newRun(s), newVersion(s))
	for _, group := range root.Commands() {
		if group.HasSubCommands() && !group.Runnable() {
			// By itself cobra answers an unknown subcommand with help and success.
			group.Args = cobra.NoArgs
			group.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
	}
	return root
}
