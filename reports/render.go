package reports

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/tw"
)

// Marks behind a value.
const (
	markAbove = "*" // the interval lies above chance
	markBelow = "↓" // the interval lies below chance
	markNone  = "~" // the difference is not significant
)

const missing = "–"

// superscripts are the digits of a footnote's mark.
var superscripts = []rune("⁰¹²³⁴⁵⁶⁷⁸⁹")

// numbers gives the notes that cells refer to their numbers, from 1 in the order
// in which they stand. The other notes are about the whole table.
func (t *Table) numbers() map[int]int {
	referred := map[int]bool{}
	for _, row := range slices.Concat(t.Measured, t.Differences, t.Published) {
		for _, notes := range row.Notes {
			for _, note := range notes {
				referred[note] = true
			}
		}
	}
	numbers := map[int]int{}
	for i, note := range slices.Sorted(maps.Keys(referred)) {
		numbers[note] = i + 1
	}
	return numbers
}

// footnote is the mark of notes: their numbers, raised.
func (t *Table) footnote(notes []int) string {
	numbers, mark := t.numbers(), ""
	for i, note := range notes {
		if i > 0 {
			mark += "˒"
		}
		for _, digit := range strconv.Itoa(numbers[note]) {
			mark += string(superscripts[digit-'0'])
		}
	}
	return mark
}

// notes are the table's, each that a cell refers to behind its mark.
func (t *Table) notes() []string {
	numbers := t.numbers()
	var notes []string
	for i, note := range t.Notes {
		if numbers[i] > 0 {
			note = t.footnote([]int{i}) + " " + note
		}
		notes = append(notes, note)
	}
	return notes
}

// legend explains the marks that the table bears; bold is how the format shows
// the best of a column, empty where it cannot.
func (t *Table) legend(bold string) string {
	parts := []string{fmt.Sprintf("± longer arm of the %.0f %% interval", 100*t.Confidence)}
	if len(t.chance()) > 0 {
		parts = append(parts, markAbove+" above chance")
	}
	below := func(c *Cell) bool { return c != nil && c.Against == Below }
	if slices.ContainsFunc(t.Measured, func(r Row) bool { return slices.ContainsFunc(r.Cells, below) }) {
		parts = append(parts, markBelow+" below chance")
	}
	if len(t.Differences) > 0 {
		parts = append(parts, markNone+" difference not significant")
	}
	best := func(c *Cell) bool { return c != nil && c.Best }
	if bold != "" && slices.ContainsFunc(t.Measured, func(r Row) bool { return slices.ContainsFunc(r.Cells, best) }) {
		parts = append(parts, bold+" ahead of all others measured")
	}
	return strings.Join(parts, ", ")
}

// text is a cell as value, mark and, where it was measured, the reach of its
// interval.
func (c *Cell) text() (value, mark, reach string) {
	if c == nil {
		return missing, "", ""
	}
	value = fmt.Sprintf("%.1f", c.Value)
	if c.Source != nil && !c.Recomputed {
		value = printed(c.Value)
	}
	if c.Test != nil {
		value = fmt.Sprintf("%+.1f", c.Value)
		if !c.Test.Significant {
			mark = markNone
		}
	}
	switch c.Against {
	case Above:
		mark = markAbove
	case Below:
		mark = markBelow
	}
	if c.Interval != nil {
		reach = fmt.Sprintf("±%.1f", max(c.Interval.Hi-c.Value, c.Value-c.Interval.Lo))
	}
	return value, mark, reach
}

// printed writes a published value with the decimals it was printed with.
func printed(v float64) string {
	text := strconv.FormatFloat(v, 'f', -1, 64)
	_, decimals, _ := strings.Cut(text, ".")
	if n := len(decimals); n == 0 {
		return fmt.Sprintf("%.1f", v)
	}
	return text
}

// taskColumn is the metrics of one task, which share a column as in the paper.
type taskColumn struct {
	task, metrics string
	from, to      int // of Table.Columns
}

func (t *Table) taskColumns() []taskColumn {
	var grouped []taskColumn
	for i, c := range t.Columns {
		if last := len(grouped) - 1; last >= 0 && t.Columns[i-1].Task == c.Task {
			grouped[last].metrics += "/" + c.Metric
			grouped[last].to = i + 1
			continue
		}
		name := c.Task
		if c.Split != "" {
			name += " (" + c.Split + ")"
		}
		grouped = append(grouped, taskColumn{name, c.Metric, i, i + 1})
	}
	return grouped
}

// style says how join writes.
type style struct {
	pad    bool                           // a blank where there is no mark, so that numbers stay in line
	dress  func(c *Cell, v string) string // colours or weighs a value with its mark; nil: as it is
	footer func(mark string) string       // writes a footnote's mark; nil: as it is
}

// join writes the values of a row's cells of one task, and the reaches of their
// intervals.
func (t *Table) join(row Row, c taskColumn, s style) (values, reaches string) {
	var v, r []string
	blank := ""
	if s.pad {
		blank = " "
	}
	absent := true
	for i := c.from; i < c.to; i++ {
		cell := row.Cells[i]
		value, mark, reach := cell.text()
		value += mark
		if s.dress != nil {
			value = s.dress(cell, value)
		}
		switch notes := row.Notes[i]; {
		case len(notes) > 0 && (i == c.from || cell != nil):
			footnote := t.footnote(notes)
			if s.footer != nil {
				footnote = s.footer(footnote)
			}
			value += footnote
		case mark == "":
			value += blank
		}
		v = append(v, value)
		if reach != "" {
			r = append(r, reach+blank)
		}
		absent = absent && cell == nil
	}
	if absent {
		return v[0], ""
	}
	return strings.Join(v, "/"), strings.Join(r, "/")
}

// paint colours what a reader should find first (a difference that is there),
// and dims what was not measured.
func paint(c *Cell, text string) string {
	switch {
	case c == nil:
		return text
	case c.Test != nil && c.Test.Significant && c.Value > 0:
		return green + text + reset
	case c.Test != nil && c.Test.Significant:
		return red + text + reset
	case c.Best:
		return bold + text + reset
	case c.Interval == nil && c.Test == nil && c.Seeds == 0:
		return dim + text + reset
	}
	return text
}

// verbatim keeps tablewriter from changing what it is given.
func verbatim() []tablewriter.Option {
	return []tablewriter.Option{
		tablewriter.WithHeaderAutoFormat(tw.Off),
		tablewriter.WithHeaderAutoWrap(tw.WrapNone),
		tablewriter.WithRowAutoWrap(tw.WrapNone),
		tablewriter.WithTrimSpace(tw.Off),
	}
}

// alignment is names to the left, numbers to the right.
func alignment(columns int) tw.Alignment {
	a := tw.Alignment{tw.AlignLeft}
	for range columns {
		a = append(a, tw.AlignRight)
	}
	return a
}
