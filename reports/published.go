package reports

import (
	"fmt"
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
		if !slices.Contains(sources, source) {
			sources = append(sources, source)
		}
		row := Row{Name: baseline.Model, Model: baseline.Model}
		for _, c := range b.table.Columns {
			row.Cells = append(row.Cells, b.publishedCell(published, baseline, c, source))
		}
		b.table.Published = append(b.table.Published, row)
		if baseline.Note != "" && b.complete() {
			b.note("%s: %s.", baseline.Model, baseline.Note)
		}
	}
	for _, source := range sources {
		b.method("Published: %s; %s; read %s. Single values as printed, without intervals.", source.Paper, source.Table, source.Read)
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
		cell.Value = baseline.Average
	case c.average():
		sum := 0.0
		for _, task := range b.common {
			if len(baseline.Values[task]) == 0 {
				return nil
			}
			sum += mean(baseline.Values[task])
		}
		cell.Value = sum / float64(len(b.common))
	default:
		i := slices.Index(published.Metrics[c.Task], c.Metric)
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
		here, there := len(b.any(task).preds[0]), published.Examples[task]
		if there != 0 && here != there {
			other = append(other, fmt.Sprintf("%s %d (%d)", task, here, there))
		}
	}
	if len(other) > 0 {
		b.note("The published rows are about other data: they are SuperGLUE's development sets, these are not. Examples here (there): %s.", strings.Join(other, ", "))
	}
}
