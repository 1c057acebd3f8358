package reports

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/corpus"
)

// documents are a table in every format that can be checked.
func documents(t *testing.T, dir string, table *Table, page *Page) (paths []string) {
	t.Helper()
	for name, write := range map[string]func(io.Writer) error{
		"report.md": table.Markdown, "report.tex": table.LaTeX, "report.csv": table.CSV, "report.tsv": table.TSV, "report.json": table.JSON, "report.html": page.HTML,
	} {
		var text bytes.Buffer
		if err := write(&text); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return paths
}

// twoTasks are few results: every check makes the table again.
func twoTasks(t *testing.T) (dir string, results []*Result) {
	t.Helper()
	e := twoModels()
	e.tasks, e.seeds = []string{"CB", "COPA"}, []uint64{1, 2}
	dir = t.TempDir()
	return dir, e.writeTo(t, dir)
}

func TestCheckEveryFormat(t *testing.T) {
	dir, results := twoTasks(t)
	table, err := Build(results, Options{Published: "base", Plan: 5, Baseline: "glm"})
	if err != nil {
		t.Fatal(err)
	}
	examples, err := ReadExamples(results)
	if err != nil {
		t.Fatal(err)
	}
	value := table.Measured[1].Cells[0].Value // of BERT on COPA, or CB
	for _, path := range documents(t, t.TempDir(), table, &Page{Table: table, Examples: examples}) {
		t.Run(filepath.Ext(path), func(t *testing.T) {
			checked, err := Check(path, []string{dir}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if len(checked.Faults) > 0 || checked.Changed || checked.Missing > 0 || checked.Outside > 0 || checked.Numbers < 40 || checked.Tables != 1 {
				t.Fatalf("of its own results: %+v", checked)
			}

			// One digit of one number.
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(string(text), "\n")
			line := slices.IndexFunc(lines, func(line string) bool {
				return slices.ContainsFunc(numbersIn(line), func(n string) bool { return isValue(n, value) })
			})
			if line < 0 {
				t.Fatalf("%v is not in the document", value)
			}
			number := numbersIn(lines[line])[slices.IndexFunc(numbersIn(lines[line]), func(n string) bool { return isValue(n, value) })]
			changed := strings.Replace(number, ".", "9.", 1)
			if !strings.Contains(number, ".") {
				changed = number + "9"
			}
			lines[line] = strings.Replace(lines[line], number, changed, 1)
			if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
				t.Fatal(err)
			}
			checked, err = Check(path, []string{dir}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if len(checked.Faults) != 1 || checked.Faults[0].Line != line+1 || !strings.Contains(checked.Faults[0].Msg, changed) || !strings.Contains(checked.Faults[0].Msg, number) {
				t.Errorf("line %d, %s for %s: got %+v", line+1, changed, number, checked.Faults)
			}
		})
	}
}

// isValue tells whether a printed number is the value, as tables round it or not.
func isValue(number string, value float64) bool {
	printed, err := strconv.ParseFloat(number, 64)
	return err == nil && (number == fmt.Sprintf("%.1f", value) || math.Abs(printed-value) < 1e-4)
}

func TestCheckInsideAText(t *testing.T) {
	dir, results := twoTasks(t)
	table, err := Build(results, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := table.Markdown(&text); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "paper.md")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	check := func() *Checked {
		t.Helper()
		checked, err := Check(path, []string{dir}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return checked
	}
	whole := "# A paper of 12 pages\n\nIt was 99.9 before.\n\n" + text.String() + "\nAnd again:\n\n" + text.String()
	write(whole)
	if c := check(); len(c.Faults) > 0 || c.Tables != 2 || c.Outside != 2 {
		t.Errorf("two tables in a text: %+v", c)
	}
	// Rows in other places, other widths and added words are no numbers that are wrong.
	write(strings.ReplaceAll(strings.Replace(whole, "\nMethod:\n", "\nSome words.\n\nMethod:\n", 1), "| chance ", "|  chance  "))
	if c := check(); len(c.Faults) > 0 {
		t.Errorf("another layout: %+v", c.Faults)
	}
	bullet := "- Intervals:"
	cut := whole[:strings.Index(whole, bullet)] + whole[strings.Index(whole, bullet)+strings.Index(whole[strings.Index(whole, bullet):], "\n")+1:]
	write(cut)
	if c := check(); len(c.Faults) > 0 || c.Missing != 1 {
		t.Errorf("a line left out: %+v", c)
	}
	write(strings.Replace(whole, "Method:", "GLM has 88.8 on CB.\n\nMethod:", 1))
	if c := check(); len(c.Faults) != 1 || !strings.Contains(c.Faults[0].Msg, "88.8: nothing in the results") {
		t.Errorf("an added number: %+v", c.Faults)
	}
	write(strings.Replace(whole, "No difference shown between", "A difference shown between", 1))
	if c := check(); len(c.Faults) != 1 || !strings.Contains(c.Faults[0].Msg, "other words") {
		t.Errorf("other words: %+v", c.Faults)
	}

	for name, text := range map[string]string{
		"holds no table":  "# Nothing\n\n| GLM | 3.4 |\n",
		"cannot be read":  strings.Replace(whole, `{"baseline"`, `{"baseline`, 1),
		"end is not mark": strings.ReplaceAll(whole, "<!-- "+endMark+" -->", ""),
		"not whole JSON":  "{\"made\": ",
		"no line of sect": strings.Join(lineHeader, ",") + "\n",
	} {
		write(text)
		_, err := Check(path, []string{dir}, nil)
		var data *corpus.DataError
		if !errors.As(err, &data) || !strings.Contains(err.Error(), name) || data.Hint == "" {
			t.Errorf("got %v, want a DataError with %q", err, name)
		}
	}
	if _, err := Check("missing.md", []string{dir}, nil); err == nil {
		t.Error("a document that is not there was checked")
	}
}

func TestCheckOtherResults(t *testing.T) {
	dir, results := twoTasks(t)
	table, err := Build(results, Options{})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "report.md")
	var text bytes.Buffer
	if err := table.Markdown(&text); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, name := range files(t, dir) {
		if strings.Contains(name, "seed2") && strings.HasSuffix(name, resultEnds) {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	checked, err := Check(path, []string{dir}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !checked.Changed || len(checked.Faults) == 0 {
		t.Errorf("of other results: %+v", checked)
	}
}

func TestCheckComparison(t *testing.T) {
	before, results := twoTasks(t)
	after, others := twoTasks(t)
	table, err := Compare(ResultSet{"main", results}, ResultSet{"branch", others}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "compare.tex")
	var text bytes.Buffer
	if err := table.LaTeX(&text); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	checked, err := Check(path, []string{before, after}, nil)
	if err != nil || len(checked.Faults) > 0 || checked.Changed {
		t.Errorf("got %+v, %v", checked, err)
	}
	_, err = Check(path, []string{before}, nil)
	var usage *configs.Error
	if !errors.As(err, &usage) {
		t.Errorf("one set of two: got %v, want a configs.Error", err)
	}
}

// A page's curves are compared where their runs are named.
func TestCheckCurves(t *testing.T) {
	dir, results := twoTasks(t)
	folder := t.TempDir()
	writeRun(t, filepath.Join(folder, "glm"), "{\"step\":1,\"loss\":3}\n{\"step\":2,\"loss\":2}\n", `{"kind":"pretrain"}`, "a")
	table, err := Build(results, Options{})
	if err != nil {
		t.Fatal(err)
	}
	runs, err := ReadTrainingRuns([]string{folder})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "page.html")
	if err := os.WriteFile(path, []byte(pageOf(t, &Page{Table: table, Runs: runs})), 0o644); err != nil {
		t.Fatal(err)
	}
	with, err := Check(path, []string{dir}, []string{folder})
	if err != nil || len(with.Faults) > 0 || len(with.Untouched) > 0 {
		t.Errorf("with the runs: %+v, %v", with, err)
	}
	without, err := Check(path, []string{dir}, nil)
	if err != nil || len(without.Faults) > 0 || len(without.Untouched) != 1 || without.Numbers >= with.Numbers {
		t.Errorf("without the runs: %+v, %v", without, err)
	}
	writeRun(t, filepath.Join(folder, "glm"), "{\"step\":1,\"loss\":3}\n{\"step\":2,\"loss\":1}\n", `{"kind":"pretrain"}`, "a")
	if other, err := Check(path, []string{dir}, []string{folder}); err != nil || len(other.Faults) == 0 {
		t.Errorf("of other runs: %+v, %v", other, err)
	}
}

func TestNumbersIn(t *testing.T) {
	for line, want := range map[string][]string{
		"GLM 3.5~ -4.25 +6.0, 1e-05 (n = 56)":    {"3.5", "-4.25", "+6.0", "1e-05", "56"},
		"sha256 37a9db67 v15.0.2 x_3 BERT2 1.9M": nil,
		"63.7*/64.1* ±7.3 at 95 %.":              {"63.7", "64.1", "7.3", "95"},
		"2103.10360v2; 2020-2021":                {"2020", "-2021"},
		"[0,1,-1.25e+03]":                        {"0", "1", "-1.25e+03"},
	} {
		got := numbersIn(line)
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
	}
	if sameNumber("71.3", "71.4") || sameNumber("-3.0", "3.0") || !sameNumber("71.33333333333331", "71.33333333333333") || sameNumber("71.33333333333331", "71.33333433333333") {
		t.Error("sameNumber is too loose or too strict")
	}
}
