package reports

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/pkg/twwidth"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"
)

// textWidth is that of the notes where the terminal is wider.
const textWidth = 100

// ANSI colours of a terminal.
const (
	bold  = "\x1b[1m"
	dim   = "\x1b[2m"
	green = "\x1b[32m"
	red   = "\x1b[31m"
	reset = "\x1b[0m"
)

// Terminal writes the table for a terminal of so many columns (0: any), in
// colour or not. A table that is too wide is broken into parts with some of
// the tasks each.
func (t *Table) Terminal(w io.Writer, width int, colour bool) error {
	out := &bytes.Buffer{}
	text := textWidth
	if width > 0 && width < text {
		text = width
	}
	all := append(append(t.chance(), t.Measured...), t.Differences...)
	names, widths := t.widths(append(all, t.Published...))
	tables := func(sections ...[]Row) error {
		for _, part := range breakInto(width, names, widths) {
			fmt.Fprintln(out)
			if err := t.terminalTable(out, part, names, widths, sections, colour); err != nil {
				return err
			}
		}
		return nil
	}

	fmt.Fprintf(out, "Measured on the %s split\n", t.Split)
	best := ""
	if colour {
		best = "bold:"
	}
	wrap(out, text, "", t.legend(best))
	if err := tables(t.chance(), t.Measured, t.Differences); err != nil {
		return err
	}
	fmt.Fprintln(out)
	for _, line := range t.Conclusions {
		wrap(out, text, "", line)
	}
	if len(t.Published) > 0 {
		fmt.Fprint(out, "\nPublished, not measured here\n")
		if err := tables(t.Published); err != nil {
			return err
		}
	}
	list(out, text, "Warnings", t.notes())
	list(out, text, "Method", t.Method)
	_, err := w.Write(trailing.ReplaceAll(out.Bytes(), nil))
	return err
}

// trailing is the blanks that tablewriter leaves at the end of a line.
var trailing = regexp.MustCompile(`(?m) +$`)

// list writes titled lines, wrapped.
func list(w io.Writer, width int, title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n", title)
	for _, line := range lines {
		wrap(w, width, "  - ", line)
	}
}

// widths are those of the names and of each task column.
func (t *Table) widths(rows []Row) (names int, columns []int) {
	for _, row := range rows {
		names = max(names, twwidth.Width(row.Name))
	}
	for _, c := range t.taskColumns() {
		width := max(twwidth.Width(c.task), twwidth.Width(c.metrics)) + 1 // the place of a mark
		for _, row := range rows {
			values, reaches := t.join(row, c, style{pad: true})
			width = max(width, twwidth.Width(values), twwidth.Width(reaches))
		}
		columns = append(columns, width)
	}
	return names, columns
}

// gap is the blank on both sides of a column.
const gap = 2

// breakInto cuts the columns into runs that fit the width beside the names.
func breakInto(width, names int, columns []int) (parts [][]int) {
	used := 0
	for i, w := range columns {
		if len(parts) == 0 || width > 0 && used+w+gap > width {
			parts = append(parts, nil)
			used = names + gap
		}
		last := len(parts) - 1
		parts[last] = append(parts[last], i)
		used += w + gap
	}
	return parts
}

// terminalTable writes the columns of part; sections stand apart by a line.
func (t *Table) terminalTable(w io.Writer, part []int, names int, widths []int, sections [][]Row, colour bool) error {
	columns := t.taskColumns()
	mapped := tw.NewMapper[int, int]()
	mapped.Set(0, names+gap)
	for i, c := range part {
		mapped.Set(i+1, widths[c]+gap)
	}
	first := true
	for _, rows := range sections {
		if len(rows) == 0 {
			continue
		}
		table := tablewriter.NewTable(w, append(verbatim(),
			tablewriter.WithRenderer(renderer.NewBlueprint(tw.Rendition{
				Borders:  tw.BorderNone,
				Symbols:  tw.NewSymbols(tw.StyleLight),
				Settings: tw.Settings{Separators: tw.Separators{BetweenColumns: tw.Off, BetweenRows: tw.Off}},
			})),
			tablewriter.WithColumnWidths(mapped),
			tablewriter.WithAlignment(alignment(len(part))))...)
		if first {
			header := []string{""}
			for _, c := range part {
				header = append(header, columns[c].task+" \n"+columns[c].metrics+" ")
			}
			table.Header(header)
		}
		first = false
		for _, row := range rows {
			line := []string{row.Name}
			for _, c := range part {
				s := style{pad: true}
				if colour {
					s.dress = paint
				}
				values, reaches := t.join(row, columns[c], s)
				if reaches != "" {
					values += "\n" + reaches
				}
				line = append(line, values)
			}
			if err := table.Append(line); err != nil {
				return fmt.Errorf("writing the table: %w", err)
			}
		}
		if err := table.Render(); err != nil {
			return fmt.Errorf("writing the table: %w", err)
		}
	}
	return nil
}

// wrap writes text in lines of at most width, the first behind lead and the
// others indented as far.
func wrap(w io.Writer, width int, lead, text string) {
	indent := strings.Repeat(" ", len(lead))
	line := lead
	empty := true
	for _, word := range strings.Fields(text) {
		if !empty && twwidth.Width(line)+1+twwidth.Width(word) > width {
			fmt.Fprintln(w, line)
			line, empty = indent, true
		}
		if !empty {
			line += " "
		}
		line += word
		empty = false
	}
	fmt.Fprintln(w, line)
}
