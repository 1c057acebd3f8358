package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/glmkit/glmkit/corpus"
	"github.com/glmkit/glmkit/tasks"
)

func newInspectSubmission(s streams) *cobra.Command {
	return &cobra.Command{
		Use:   "submission FILE",
		Short: "Check an archive for SuperGLUE's site, and show what it answers",
		Long: `Check a zip archive as SuperGLUE's site wants it: a file for each of the ten
tasks, with a line for each example of the official test file in its order, and
labels of its form. A table tells the lines of each file and how often each label
is answered. Of every file the first fault is named with its line; if there is
one, the exit code is 3.`,
		Example: `  glmkit inspect submission glm.zip`,
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return inspectSubmission(s, args[0])
		},
	}
}

func inspectSubmission(s streams, path string) error {
	files, err := tasks.CheckSubmission(path)
	if err != nil {
		return err
	}
	rows := [][]string{{"task", "file", "lines", "answers"}}
	faults := 0
	for _, f := range files {
		if f.Fault != nil {
			faults++
			fmt.Fprintln(s.err, f.Fault)
		}
		if f.Name != "" && f.Task != "" {
			rows = append(rows, []string{f.Task, f.Name, strconv.Itoa(f.Lines), answered(f.Labels)})
		}
	}
	if err := printRows(s.out, rows); err != nil {
		return err
	}
	if faults > 0 {
		return &corpus.DataError{Path: path, Err: fmt.Errorf("SuperGLUE's site would not take it: %d faults", faults), Hint: "glmkit report submission, of results on the whole test files of all ten tasks"}
	}
	return nil
}

// answered is how often each label is answered.
func answered(labels map[string]int) string {
	var counts []string
	for _, label := range slices.Sorted(maps.Keys(labels)) {
		counts = append(counts, strings.TrimSpace(label+" "+strconv.Itoa(labels[label])))
	}
	return strings.Join(counts, ", ")
}
