package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/reports"
)

// reportFormats lists the values of --format.
var reportFormats = []string{"terminal", "markdown", "latex", "csv", "tsv", "json"}

type reportOptions struct {
	paths               []string
	format, out         string
	baseline, published string
	plan                int
}

func newReport(s streams) *cobra.Command {
	var o reportOptions
	cmd := &cobra.Command{
		Use:   "report PATH...",
		Short: "Compare evaluated models in a table with intervals and tests",
		Long: `Compare the results that "glmkit eval" wrote: files, or folders with results
below them. Rows are models, columns tasks. A measured value is the mean over
the seeds found, with a 95 % interval; models are compared with BERT on the same
examples; a difference that is not significant after correction for the number
of tests bears a ~. Published values stand apart, with their source.

The default is a table for reading on a terminal and Markdown elsewhere; with
--out the file's ending (.md, .tex, .csv, .tsv, .json, .txt) decides.
docs/reports.md explains how to read the table.`,
		Example: `  glmkit report results
  glmkit report results --published large --out report.md
  glmkit report results/a results/b --baseline GLM --format tsv | column -ts $'\t'`,
		Args: cobra.MinimumNArgs(1),
	}
	cmd.Flags().StringVar(&o.format, "format", "", "one of "+strings.Join(reportFormats, ", "))
	cmd.Flags().StringVar(&o.baseline, "baseline", "bert", "`model` that the others are compared with")
	cmd.Flags().StringVar(&o.published, "published", "base", "published rows: one of "+strings.Join(reports.PublishedGroups, ", "))
	cmd.Flags().IntVar(&o.plan, "plan", 0, "tell which differences `N` runs of each model would show")
	cmd.Flags().StringVar(&o.out, "out", "", "write to this `file` instead of the standard output")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		o.paths = args
		return report(s, o)
	}
	cmd.AddCommand(newReportCompare(s), newReportPublished(s))
	return cmd
}

func report(s streams, o reportOptions) error {
	if err := o.chooseFormat(s); err != nil {
		return err
	}
	results, err := reports.ReadResults(o.paths)
	if err != nil {
		return err
	}
	table, err := reports.Build(results, reports.Options{Baseline: o.baseline, Published: o.published, Plan: o.plan})
	if err != nil {
		return err
	}
	return o.write(s, table)
}

// chooseFormat takes the usual format where none is asked for.
func (o *reportOptions) chooseFormat(s streams) error {
	if o.format == "" {
		o.format = defaultReportFormat(s, o.out)
	}
	if !slices.Contains(reportFormats, o.format) {
		return &configs.Error{Field: "--format", Msg: fmt.Sprintf("there is no format %q", o.format), Hint: "one of " + strings.Join(reportFormats, ", ")}
	}
	return nil
}

// write writes the table to --out or the standard output.
func (o *reportOptions) write(s streams, table *reports.Table) error {
	if o.out == "" {
		return writeReport(s.out, table, o.format)
	}
	var text bytes.Buffer
	if err := writeReport(&text, table, o.format); err != nil {
		return err
	}
	if err := renameio.WriteFile(o.out, text.Bytes(), 0o644); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

func defaultReportFormat(s streams, out string) string {
	switch filepath.Ext(out) {
	case ".csv", ".tsv", ".json":
		return filepath.Ext(out)[1:]
	case ".tex":
		return "latex"
	case ".txt":
		return "terminal"
	case "":
		if out == "" && isTerminal(s.out) {
			return "terminal"
		}
	}
	return "markdown"
}

func writeReport(w io.Writer, table *reports.Table, format string) error {
	switch format {
	case "terminal":
		width, colour := 0, false
		if isTerminal(w) {
			if columns, _, err := term.GetSize(int(w.(*os.File).Fd())); err == nil {
				width = columns
			}
			colour = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
		}
		return table.Terminal(w, width, colour)
	case "latex":
		return table.LaTeX(w)
	case "csv":
		return table.CSV(w)
	case "tsv":
		return table.TSV(w)
	case "json":
		return table.JSON(w)
	}
	return table.Markdown(w)
}
