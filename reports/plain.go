package reports

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
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

// TSV writes one line for each value, with a header: for spreadsheets and
// scripts. Fields that a value has not are empty.
func (t *Table) TSV(w io.Writer) error {
	out := bufio.NewWriter(w)
	fmt.Fprintln(out, "section\tmodel\ttask\tmetric\tvalue\tlo\thi\truns\texamples\tunits\tagainst_chance\ttest\tp\tp_holm\tsignificant\tdetectable\tsource")
	for _, section := range []struct {
		name string
		rows []Row
	}{{"chance", []Row{t.Chance}}, {"measured", t.Measured}, {"difference", t.Differences}, {"published", t.Published}} {
		for _, row := range section.rows {
			for i, cell := range row.Cells {
				if cell != nil {
					t.tsvLine(out, section.name, row, t.Columns[i], cell)
				}
			}
		}
	}
	return out.Flush()
}

func (t *Table) tsvLine(w io.Writer, section string, row Row, c Column, cell *Cell) {
	number := func(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }
	positive := func(n int) string {
		if n == 0 {
			return ""
		}
		return strconv.Itoa(n)
	}
	var lo, hi, test, p, holm, significant, detectable, source string
	if cell.Interval != nil {
		lo, hi = number(cell.Interval.Lo), number(cell.Interval.Hi)
	}
	if cell.Test != nil {
		test, p, holm = cell.Test.Method, number(cell.Test.P), number(cell.Test.Holm)
		significant, detectable = strconv.FormatBool(cell.Test.Significant), number(cell.Test.Detectable)
	}
	if cell.Source != nil {
		source = cell.Source.Paper + "; " + cell.Source.Table
	}
	fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n",
		section, row.Name, c.Task, c.Metric, number(cell.Value), lo, hi,
		positive(cell.Seeds), positive(cell.Examples), positive(cell.Units),
		cell.Against, test, p, holm, significant, detectable, source)
}
