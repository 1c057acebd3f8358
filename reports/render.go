package reports

import (
	"fmt"
	"slices"
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

// legend explains the marks that the table bears.
func (t *Table) legend() string {
	parts := []string{fmt.Sprintf("± longer arm of the %.0f %% interval", 100*t.Confidence), markAbove + " above chance"}
	below := func(c *Cell) bool { return c != nil && c.Against == Below }
	if slices.ContainsFunc(t.Measured, func(r Row) bool { return slices.ContainsFunc(r.Cells, below) }) {
		parts = append(parts, markBelow+" below chance")
	}
	if len(t.Differences) > 0 {
		parts = append(parts, markNone+" difference not significant")
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

// taskColumn is the metrics of one task, which share a column as in the paper.
type taskColumn struct {
	task, metrics string
	from, to      int // of Table.Columns
}

func (t *Table) taskColumns() []taskColumn {
	var grouped []taskColumn
	for i, c := range t.Columns {
		if last := len(grouped) - 1; last >= 0 && grouped[last].task == c.Task {
			grouped[last].metrics += "/" + c.Metric
			grouped[last].to = i + 1
			continue
		}
		grouped = append(grouped, taskColumn{c.Task, c.Metric, i, i + 1})
	}
	return grouped
}

// style says how join writes.
type style int

const (
	noPad style = 0
	pad   style = 1 << iota // a blank where there is no mark, so that numbers stay in line
	paint                   // colours
)

// join writes the values of a task's cells, and the reaches of their intervals.
func join(cells []*Cell, s style) (values, reaches string) {
	var v, r []string
	blank := ""
	if s&pad != 0 {
		blank = " "
	}
	absent := true
	for _, c := range cells {
		value, mark, reach := c.text()
		value += mark
		if s&paint != 0 {
			value = c.paint(value)
		}
		if mark == "" {
			value += blank
		}
		v = append(v, value)
		if reach != "" {
			r = append(r, reach+blank)
		}
		absent = absent && c == nil
	}
	if absent {
		return missing + blank, ""
	}
	return strings.Join(v, "/"), strings.Join(r, "/")
}

// paint colours what a reader should find first (a difference that is there)
// and dims what was not measured.
func (c *Cell) paint(text string) string {
	switch {
	case c == nil:
		return text
	case c.Test != nil && c.Test.Significant && c.Value > 0:
		return green + text + reset
	case c.Test != nil && c.Test.Significant:
		return red + text + reset
	case c.Interval == nil && c.Test == nil:
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
