package reports

import (
	"cmp"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// JSON writes the whole table, every number unrounded.
func (t *Table) JSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(t); err != nil {
		return fmt.Errorf("writing the table as JSON: %w", err)
	}
	return nil
}

// lineHeader names the fields of CSV and TSV.
var lineHeader = []string{"section", "model", "base", "task", "metric", "split", "value", "lo", "hi", "best", "runs", "seed", "examples", "units", "against_chance",
	"test", "p", "p_holm", "significant", "detectable", "source", "tag", "note"}

// sectionMade is the section of the last line, whose note is how the table was
// made.
const sectionMade = "made"

// sectionRun is the section of the lines of single runs, behind that of their mean.
const sectionRun = "run"

// TSV writes one line for each value and each run's, with a header and tabs between fields: for
// scripts. Fields that a value has not are empty. A cell without a value has a
// line too where its note says what is missing.
func (t *Table) TSV(w io.Writer) error { return t.lines(w, '\t') }

// CSV is TSV with commas and quotes: for spreadsheets.
func (t *Table) CSV(w io.Writer) error { return t.lines(w, ',') }

func (t *Table) lines(w io.Writer, comma rune) error {
	out := csv.NewWriter(w)
	out.Comma = comma
	if err := out.Write(lineHeader); err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}
	for _, section := range []struct {
		name string
		rows []Row
	}{{"chance", t.chance()}, {"measured", t.Measured}, {"difference", t.Differences}, {"published", t.Published}} {
		for _, row := range section.rows {
			for i, cell := range row.Cells {
				if cell == nil && len(row.Notes[i]) == 0 {
					continue
				}
				for _, line := range append([][]string{t.line(section.name, row, i)}, t.runLines(row, i)...) {
					if err := out.Write(line); err != nil {
						return fmt.Errorf("writing the table: %w", err)
					}
				}
			}
		}
	}
	settings, err := t.Made.settings()
	if err != nil {
		return err
	}
	if err := out.Write(inOrder(map[string]string{"section": sectionMade, "note": settings})); err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}
	out.Flush()
	return out.Error()
}

// shortest writes a number to six digits.
func shortest(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }

// runLines are the fields of the runs that a cell is the mean of.
func (t *Table) runLines(row Row, i int) (lines [][]string) {
	if row.Cells[i] == nil {
		return nil
	}
	column := t.Columns[i]
	for _, run := range row.Cells[i].Runs {
		lines = append(lines, inOrder(map[string]string{
			"section": sectionRun, "model": row.Name, "task": column.Task, "metric": column.Metric, "split": cmp.Or(column.Split, t.Split),
			"value": shortest(run.Value), "seed": strconv.FormatUint(run.Seed, 10),
		}))
	}
	return lines
}

// inOrder are fields by name in the order of the header.
func inOrder(f map[string]string) []string {
	fields := make([]string, len(lineHeader))
	for k, name := range lineHeader {
		fields[k] = f[name]
	}
	return fields
}

// line is the fields of one cell.
func (t *Table) line(section string, row Row, i int) []string {
	positive := func(n int) string {
		if n == 0 {
			return ""
		}
		return strconv.Itoa(n)
	}
	name := row.Name
	column, cell := t.Columns[i], row.Cells[i]
	if row.Base != "" || section == "published" {
		name = row.Model
	}
	f := map[string]string{"section": section, "model": name, "base": row.Base, "task": column.Task, "metric": column.Metric, "split": cmp.Or(column.Split, t.Split)}
	if cell != nil {
		f["value"], f["against_chance"] = shortest(cell.Value), string(cell.Against)
		f["runs"], f["examples"], f["units"] = positive(cell.Seeds), positive(cell.Examples), positive(cell.Units)
		if cell.Best {
			f["best"] = "true"
		}
		if cell.Interval != nil {
			f["lo"], f["hi"] = shortest(cell.Interval.Lo), shortest(cell.Interval.Hi)
		}
		if test := cell.Test; test != nil {
			f["test"], f["p"], f["p_holm"] = test.Method, shortest(test.P), shortest(test.Holm)
			f["significant"], f["detectable"] = strconv.FormatBool(test.Significant), shortest(test.Detectable)
		}
		if cell.Source != nil {
			f["source"], f["tag"] = cell.Source.Paper+"; "+cell.Source.Table, cell.Source.Tag
			f["split"] = cell.Source.Split
		}
	}
	var notes []string
	for _, note := range row.Notes[i] {
		notes = append(notes, t.Notes[note])
	}
	f["note"] = strings.Join(notes, " ")
	return inOrder(f)
}
