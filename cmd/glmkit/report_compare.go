package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/reports"
)

// regressionError says that --fail-on regression found one.
type regressionError struct{ worse []string }

func (e *regressionError) Error() string { return "worse than before: " + strings.Join(e.worse, "; ") }

func newReportCompare(s streams) *cobra.Command {
	var o reportOptions
	var failOn string
	cmd := &cobra.Command{
		Use:   "compare BEFORE AFTER",
		Short: "Compare two sets of results, such as before and after a change",
		Long: `Compare two sets of results: files, or folders with results below them. Every
model of AFTER is compared with the model of the same name in BEFORE, on the same
examples; where each set has one model only, their names do not matter. The table
is that of "glmkit report".

--fail-on regression ends with exit code 5 where a difference for the worse is
significant after correction for the number of tests. Too few examples or runs
show no regression: the table says which differences would go unseen.`,
		Example: `  glmkit report compare results/main results/branch
  glmkit report compare results/main results/branch --fail-on regression --out compare.md`,
		Args: cobra.ExactArgs(2),
	}
	o.add(cmd)
	cmd.Flags().StringVar(&failOn, "fail-on", "", "end with exit code 5 on: regression")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		if failOn != "" && failOn != "regression" {
			return &configs.Error{Field: "--fail-on", Msg: fmt.Sprintf("%q is nothing to fail on", failOn), Hint: "--fail-on regression"}
		}
		o.paths = args
		return compareReports(s, o, failOn != "")
	}
	return cmd
}

func compareReports(s streams, o reportOptions, fail bool) error {
	if err := o.chooseFormat(s); err != nil {
		return err
	}
	var sets [2]reports.ResultSet
	for i, path := range o.paths {
		results, err := reports.ReadResults([]string{path})
		if err != nil {
			return err
		}
		sets[i] = reports.ResultSet{Name: filepath.ToSlash(filepath.Clean(path)), Results: results}
	}
	table, err := reports.Compare(sets[0], sets[1], reports.Options{Plan: o.plan})
	if err != nil {
		return err
	}
	if err := o.write(s, table, slices.Concat(sets[0].Labelled(), sets[1].Labelled())); err != nil {
		return err
	}
	if worse := table.Regressions(); fail && len(worse) > 0 {
		return &regressionError{worse}
	}
	return nil
}
