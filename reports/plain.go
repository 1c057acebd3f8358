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
var lineHeader = []string{"section", "model", "base", "task", "metric", "split", "value", "lo", "hi", "best", "runs", "examples", "units", "against_chance",
	"test", "p", "p_holm", "significant", "detectable", "source", "tag", "note"}

// sectionMade is the section of the last line, whose note is how the table was
// made.
const sectionMade = "made"

// TSV writes one line for each value, with a header and tabs between fields: for
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
				if err := out.Write(t.line(section.name, row, i)); err != nil {
					return fmt.Errorf("writing the table: %w", err)
				}
			}
		}
	}
	settings, err := t.Made.settings()
	if err != nil {
		return err
	}
	last := make([]string, len(lineHeader))
	last[0], last[len(last)-1] = sectionMade, settings
	if err := out.Write(last); err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}
	out.Flush()
	return out.Error()
}

// line is the fields of one cell.
func (t *Table) line(section string, row Row, i int) []string {
	number := func(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }
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
		f["value"], f["against_chance"] = number(cell.Value), string(cell.Against)
		f["runs"], f["examples"], f["units"] = positive(cell.Seeds), positive(cell.Examples), positive(cell.Units)
		if cell.Best {
			f["best"] = "true"
		}
		if cell.Interval != nil {
			f["lo"], f["hi"] = number(cell.Interval.Lo), number(cell.Interval.Hi)
		}
		if test := cell.Test; test != nil {
			f["test"], f["p"], f["p_holm"] = test.Method, number(test.P), number(test.Holm)
			f["significant"], f["detectable"] = strconv.FormatBool(test.Significant), number(test.Detectable)
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
	fields := make([]string, len(lineHeader))
	for k, name := range lineHeader {
		fields[k] = f[name]
	}
	return fields
}
