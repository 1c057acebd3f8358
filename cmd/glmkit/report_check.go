package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/glmkit/glmkit/corpus"
	"github.com/glmkit/glmkit/reports"
)

func newReportCheck(s streams) *cobra.Command {
	var runs []string
	cmd := &cobra.Command{
		Use:   "check DOCUMENT RESULTS...",
		Short: "Verify that a document's numbers follow from the results",
		Long: `Make the tables of a document again from the results (files, or folders with
results below them), and compare every number and every word. DOCUMENT is what
"glmkit report" or "glmkit report compare" wrote as Markdown, LaTeX, CSV, TSV,
JSON or HTML, or a longer text of Markdown or LaTeX that holds such tables: their
settings stand in a comment in front of them. For a table of "report compare"
RESULTS are its two sets, in their order.

Every number that the results do not give is named with its line, and the exit
code is 3. Numbers outside the tables are counted, not checked.`,
		Example: `  glmkit report check report.md results
  glmkit report check page.html results --runs runs --runs finetuned
  glmkit report check compare.md results/main results/branch`,
		Args: cobra.MinimumNArgs(2),
	}
	cmd.Flags().StringArrayVar(&runs, "runs", nil, "`folder` of the training runs whose curves a page shows (may be repeated)")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		return checkReport(s, args[0], args[1:], runs)
	}
	return cmd
}

func checkReport(s streams, document string, paths, runs []string) error {
	checked, err := reports.Check(document, paths, runs)
	if err != nil {
		return err
	}
	for _, fault := range checked.Faults {
		fmt.Fprintf(s.out, "%s:%d: %s\n", document, fault.Line, fault.Msg)
	}
	fmt.Fprintf(s.out, "%s: %d numbers in %d of its tables compared with %s, made again by this glmkit.\n", document, checked.Numbers, checked.Tables, strings.Join(paths, ", "))
	for _, part := range checked.Untouched {
		fmt.Fprintf(s.out, "Not compared: %s.\n", part)
	}
	if checked.Outside > 0 {
		fmt.Fprintf(s.out, "Not compared: %d numbers outside the tables.\n", checked.Outside)
	}
	if checked.Missing > 0 {
		fmt.Fprintf(s.out, "The document lacks %d lines with numbers that the report has.\n", checked.Missing)
	}
	if checked.Changed {
		fmt.Fprintln(s.out, "The results are not those that the document was made from.")
	}
	if len(checked.Faults) > 0 {
		return &corpus.DataError{
			Path: document, Line: checked.Faults[0].Line,
			Err:  errors.New("says what the results do not give, from here on"),
			Hint: "glmkit report once more, or the results that the document was made from",
		}
	}
	return nil
}
