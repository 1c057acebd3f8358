package reports

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/glmkit/glmkit/configs"
)

// publish adds the published rows asked for, in the columns of the table.
func (b *builder) publish() error {
	group := b.options.Published
	if group == "" || group == "none" {
		return nil
	}
	if !slices.Contains(PublishedGroups, group) {
		return &configs.Error{
			Field: "published",
			Msg:   fmt.Sprintf("there is no group %q of published results", group),
			Hint:  "one of " + strings.Join(PublishedGroups, ", "),
		}
	}
	published, err := configs.PublishedBaselines()
	if err != nil {
		return err
	}
	var sources []configs.Source
	for _, baseline := range published.Rows {
		if group != "all" && group != baseline.Group {
			continue
		}
		source := published.Sources[baseline.SourceID]
		row := Row{Name: baseline.Model + " [" + source.Tag + "]", Model: baseline.Model}
		any := false
		for _, c := range b.table.Columns {
			cell := b.publishedCell(published, baseline, c, source)
			any = any || cell != nil
			row.Cells = append(row.Cells, cell)
		}
		if !any {
			continue
		}
		if !slices.Contains(sources, source) {
			sources = append(sources, source)
		}
		b.table.Published = append(b.table.Published, row)
		if baseline.Note != "" && b.complete() {
			note := b.note("%s: %s.", baseline.Model, baseline.Note)
			b.mark(b.table.Published, baseline.Model, "Avg", note)
		}
	}
	for _, source := range sources {
		b.method("Published [%s]: %s; %s; read %s. Single values as printed, without intervals.", source.Tag, source.Paper, source.Table, source.Read)
	}
	if !b.complete() && b.averaged() {
		b.method("Averages of published rows are recomputed from their cells over the same tasks.")
	}
	b.compareData(published)
	return nil
}

func (b *builder) publishedCell(published *configs.Baselines, baseline configs.Baseline, c Column, source configs.Source) *Cell {
	cell := &Cell{Source: &source}
	switch {
	case c.average() && b.complete():
		if baseline.Average == 0 {
			return nil
		}
		cell.Value = baseline.Average
	case c.average():
		sum := 0.0
		for _, task := range b.common {
			if len(baseline.Values[task]) == 0 {
				return nil
			}
			sum += mean(baseline.Values[task])
		}
		cell.Value, cell.Recomputed = sum/float64(len(b.common)), true
	default:
		i := slices.Index(published.Task(c.Task).Metrics, c.Metric)
		if i < 0 || i >= len(baseline.Values[c.Task]) {
			return nil
		}
		cell.Value = baseline.Values[c.Task][i]
	}
	return cell
}

// compareData says where the examples measured are not those that the
// published rows are about, as far as counting tells.
func (b *builder) compareData(published *configs.Baselines) {
	var other []string
	for _, task := range b.tasks {
		here, there := len(b.any(task).preds[0]), published.Task(task).Examples
		if there != 0 && here != there {
			other = append(other, fmt.Sprintf("%s %d (%d)", task, here, there))
		}
	}
	if len(other) > 0 {
		b.note("The published rows are about other data: they are SuperGLUE's development sets, these are not. Examples here (there): %s.", strings.Join(other, ", "))
	}
}

// PublishedTables are all published results that glmkit knows, a table of each
// kind, with sources and nothing measured.
func PublishedTables() ([]*Table, error) {
	all, err := configs.AllBaselines()
	if err != nil {
		return nil, err
	}
	var tables []*Table
	for _, published := range all {
		t := &Table{Title: published.Table}
		averaged := slices.ContainsFunc(published.Rows, func(b configs.Baseline) bool { return b.Average > 0 })
		for _, task := range published.Tasks {
			for _, metric := range task.Metrics {
				t.Columns = append(t.Columns, Column{Task: task.Name, Metric: metric})
			}
		}
		if averaged {
			t.Columns = append(t.Columns, Column{Task: "Avg"})
		}
		var sources []string
		for _, baseline := range published.Rows {
			source := published.Sources[baseline.SourceID]
			row := Row{Name: baseline.Model + " [" + source.Tag + "]", Model: baseline.Model}
			for _, task := range published.Tasks {
				for i := range task.Metrics {
					var cell *Cell
					if values := baseline.Values[task.Name]; values != nil {
						cell = &Cell{Value: values[i], Source: &source}
					}
					row.Cells = append(row.Cells, cell)
				}
			}
			if averaged {
				var cell *Cell
				if baseline.Average > 0 {
					cell = &Cell{Value: baseline.Average, Source: &source}
				}
				row.Cells = append(row.Cells, cell)
			}
			if baseline.Note != "" {
				row.Notes = map[int][]int{len(row.Cells) - 1: {len(t.Notes)}}
				t.Notes = append(t.Notes, baseline.Model+": "+baseline.Note+".")
			}
			t.Published = append(t.Published, row)
			line := fmt.Sprintf("[%s] %s; %s; split: %s; read %s.", source.Tag, source.Paper, source.Table, source.Split, source.Read)
			if !slices.Contains(sources, line) {
				sources = append(sources, line)
			}
		}
		t.Method = sources
		tables = append(tables, t)
	}
	return tables, nil
}

// MarkdownPublished writes a table of PublishedTables.
func (t *Table) MarkdownPublished(w io.Writer) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "**%s**, published\n\n", t.Title)
	if err := t.markdownTable(out, t.Published); err != nil {
		return err
	}
	bullets(out, "", append(t.notes(), t.Method...))
	return out.Flush()
}
