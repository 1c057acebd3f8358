package reports

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/olekukonko/tablewriter/pkg/twwidth"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/metrics"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

// golden compares what write writes with a file in testdata.
func golden(t *testing.T, name string, write func(io.Writer) error) string {
	t.Helper()
	var got bytes.Buffer
	if err := write(&got); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got.String(), "\n")); diff != "" {
		t.Errorf("%s differs; -update rewrites it:\n%s", path, diff)
	}
	return got.String()
}

func TestFormats(t *testing.T) {
	results := usual(t)
	table, err := Build(results, Options{Published: "base"})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "table.md", table.Markdown)
	golden(t, "table.tsv", table.TSV)
	golden(t, "table.tex", table.LaTeX)
	golden(t, "table.txt", func(w io.Writer) error { return table.Terminal(w, 0, false) })
	for _, width := range []int{80, 120} {
		name := map[int]string{80: "table-80.txt", 120: "table-120.txt"}[width]
		text := golden(t, name, func(w io.Writer) error { return table.Terminal(w, width, false) })
		for _, line := range strings.Split(text, "\n") {
			if n := twwidth.Width(line); n > width {
				t.Errorf("%s: a line of %d columns: %q", name, n, line)
			}
		}
	}
}

// Colours change nothing but colours.
func TestColour(t *testing.T) {
	results := usual(t)
	table, err := Build(results, quick)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range table.Measured {
		for _, cell := range row.Cells {
			cell.Best = false // told in the legend where it can be seen
		}
	}
	var plain, coloured bytes.Buffer
	if err := table.Terminal(&plain, 100, false); err != nil {
		t.Fatal(err)
	}
	if err := table.Terminal(&coloured, 100, true); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(plain.String(), "\x1b") {
		t.Error("a table without colour has escape codes")
	}
	if !strings.Contains(coloured.String(), green) || !strings.Contains(coloured.String(), dim) {
		t.Error("a table in colour has none")
	}
	stripped := regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(coloured.String(), "")
	if diff := cmp.Diff(plain.String(), stripped); diff != "" {
		t.Errorf("plain (-) and coloured (+) differ:\n%s", diff)
	}
}

// small is a table with one of everything.
func small() *Table {
	interval := func(lo, hi float64) *metrics.Interval { return &metrics.Interval{Lo: lo, Hi: hi, Confidence: 0.95} }
	return &Table{
		Split: "val", Confidence: 0.95, Baseline: "BERT|base",
		Columns: []Column{{Task: "CB", Metric: "F1"}, {Task: "CB", Metric: "Acc"}, {Task: "Avg of 2"}},
		Chance:  Row{Name: "chance", Cells: []*Cell{{Value: 33.3}, {Value: 50}, {Value: 45}}},
		Measured: []Row{
			{Name: "BERT|base", Model: "BERT|base", Cells: []*Cell{
				{Value: 20, Interval: interval(11, 28), Seeds: 3, Examples: 56, Units: 56, Against: Below},
				{Value: 60, Interval: interval(52, 69), Runs: []RunValue{{1, 55.5}, {2, 60}, {3, 64.5}}, Seeds: 3, Examples: 56, Units: 56, Against: Above}, nil}},
			{Name: "GLM", Model: "GLM", Cells: []*Cell{nil, nil, {Value: 70, Best: true, Against: Above}}, Notes: map[int][]int{0: {1}, 1: {1}}},
		},
		Differences: []Row{{Name: "GLM - BERT|base", Model: "GLM", Base: "BERT|base", Cells: []*Cell{
			{Value: 4, Interval: interval(-2, 9), Test: &Test{Method: "bootstrap", P: 0.2, Holm: 0.4}}, nil,
			{Value: -10, Interval: interval(-12, -7), Test: &Test{Method: "bootstrap", P: 0.001, Holm: 0.002, Significant: true, Detectable: 4}}}}},
		Published:   []Row{{Name: "T5", Model: "T5", Cells: []*Cell{{Value: 90, Source: &configs.Source{Paper: "a paper", Table: "table 1", Split: "dev", Tag: "I", Read: "off it"}}, nil, nil}}},
		Conclusions: []string{"A conclusion."},
		Notes:       []string{"A note.", "No run of GLM on CB: 100 % & more_of #it."},
		Method:      []string{"A method."},
		Made:        Made{Baseline: "bert", Published: "base", Results: 4, SHA256: "0123456789abcdef0123"},
	}
}

func TestSmallTable(t *testing.T) {
	text := golden(t, "small.json", small().JSON)
	var back Table
	if err := json.Unmarshal([]byte(text), &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(small(), &back); diff != "" {
		t.Errorf("JSON lost something:\n%s", diff)
	}
	golden(t, "small.tsv", small().TSV)
	golden(t, "small.csv", small().CSV)
	golden(t, "small.tex", small().LaTeX)
	golden(t, "small.md", small().Markdown)
	golden(t, "small.txt", func(w io.Writer) error { return small().Terminal(w, 80, false) })
}

// The manual shows the table as it is.
func TestManualShowsTheTable(t *testing.T) {
	manual, err := os.ReadFile(filepath.Join("..", "docs", "reports.md"))
	if err != nil {
		t.Fatal(err)
	}
	table, err := os.ReadFile(filepath.Join("testdata", "table-120.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(manual, append([]byte("```\n"), append(table, "```\n"...)...)) {
		t.Error("docs/reports.md does not show testdata/table-120.txt")
	}
}

// LaTeX takes what is written, with booktabs alone.
func TestLaTeXCompiles(t *testing.T) {
	pdflatex, err := exec.LookPath("pdflatex")
	if err != nil {
		t.Skip("no pdflatex on this machine: only the text of the LaTeX table is compared")
	}
	dir := t.TempDir()
	document := "\\documentclass{article}\n\\usepackage{booktabs}\n\\begin{document}\n"
	for _, name := range []string{"table.tex", "small.tex"} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
		document += "\\input{" + name + "}\n"
	}
	if err := os.WriteFile(filepath.Join(dir, "paper.tex"), []byte(document+"\\end{document}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(pdflatex, "-interaction=nonstopmode", "-halt-on-error", "paper.tex")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		if bytes.Contains(out, []byte("booktabs.sty' not found")) {
			t.Skip("this LaTeX has no booktabs")
		}
		t.Errorf("%v:\n%s", err, out)
	}
}
