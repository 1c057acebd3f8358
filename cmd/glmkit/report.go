package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/reports"
)

// reportFormats lists the values of --format.
var reportFormats = []string{"terminal", "markdown", "latex", "csv", "tsv", "json", "html"}

type reportOptions struct {
	paths               []string
	format, out         string
	baseline, published string
	plan                int
	runs                []string
	examples            bool
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
--out the file's ending (.md, .tex, .csv, .tsv, .json, .html, .txt) decides.
docs/reports.md explains how to read the table.

HTML is one page that needs no other file and no network: the table, figures, and
every example with the models' answers, to filter and to read. --runs adds the
curves of the training runs below the folders named.`,
		Example: `  glmkit report results
  glmkit report results --published large --out report.md
  glmkit report results --runs runs --runs finetuned --out page.html
  glmkit report results/a results/b --baseline GLM --format tsv | column -ts $'\t'`,
		Args: cobra.MinimumNArgs(1),
	}
	o.add(cmd)
	cmd.Flags().StringVar(&o.baseline, "baseline", "bert", "`model` that the others are compared with")
	cmd.Flags().StringVar(&o.published, "published", "base", "published rows: one of "+strings.Join(reports.PublishedGroups, ", "))
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		o.paths = args
		return report(s, o)
	}
	cmd.AddCommand(newReportCompare(s), newReportPublished(s), newReportSubmission(s), newReportCheck(s), newReportMLflow(s))
	return cmd
}

// add adds the flags that every table has.
func (o *reportOptions) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.format, "format", "", "one of "+strings.Join(reportFormats, ", "))
	cmd.Flags().IntVar(&o.plan, "plan", 0, "tell which differences `N` runs of each model would show")
	cmd.Flags().StringVar(&o.out, "out", "", "write to this `file` instead of the standard output")
	cmd.Flags().StringArrayVar(&o.runs, "runs", nil, "`folder` of training runs whose curves the HTML page shows (may be repeated)")
	cmd.Flags().BoolVar(&o.examples, "examples", true, "keep every example and its answers in the HTML page")
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
	return o.write(s, table, results)
}

// reportEndings are the endings of files by which --out chooses a format.
var reportEndings = map[string]string{".md": "markdown", ".markdown": "markdown", ".tex": "latex", ".csv": "csv", ".tsv": "tsv", ".json": "json",
	".html": "html", ".htm": "html", ".txt": "terminal", "": "markdown"}

// chooseFormat takes the usual format where none is asked for.
func (o *reportOptions) chooseFormat(s streams) error {
	if o.out != "" {
		if err := checkOutput("--out", o.out, "report.md"); err != nil {
			return err
		}
	}
	switch ending := filepath.Ext(o.out); {
	case o.format != "":
	case o.out == "" && isTerminal(s.out):
		o.format = "terminal"
	case reportEndings[ending] == "":
		return &configs.Error{Field: "--out " + o.out, Msg: "no format has files that end in " + ending, Hint: "another ending, such as .md, .tex or .html; or --format"}
	default:
		o.format = reportEndings[ending]
	}
	if !slices.Contains(reportFormats, o.format) {
		return &configs.Error{Field: "--format", Msg: fmt.Sprintf("there is no format %q", o.format), Hint: "one of " + strings.Join(reportFormats, ", ")}
	}
	if len(o.runs) > 0 && o.format != "html" {
		return &configs.Error{Field: "--runs", Msg: "curves are shown by the HTML page alone", Hint: "--format html, or --out with a name that ends in .html"}
	}
	return nil
}

// write writes the table of results to --out or the standard output.
func (o *reportOptions) write(s streams, table *reports.Table, results []*reports.Result) error {
	write := func(w io.Writer) error { return writeReport(w, table, o.format) }
	if o.format == "html" {
		page, err := o.page(table, results)
		if err != nil {
			return err
		}
		write = page.HTML
	}
	if o.out == "" {
		return write(s.out)
	}
	var text bytes.Buffer
	if err := write(&text); err != nil {
		return err
	}
	return writeOutput("report", o.out, text.Bytes())
}

// page reads what the HTML page has beside the table.
func (o *reportOptions) page(table *reports.Table, results []*reports.Result) (*reports.Page, error) {
	page := &reports.Page{Table: table}
	var err error
	if len(o.runs) > 0 {
		if page.Runs, err = reports.ReadTrainingRuns(o.runs); err != nil {
			return nil, err
		}
		reports.Attach(page.Runs, results)
	}
	if o.examples {
		page.Examples, err = reports.ReadExamples(results)
	}
	return page, err
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
