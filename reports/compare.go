package reports

import (
	"math"
	"slices"

	"github.com/glmkit/glmkit/metrics"
)

// power is that with which a minimum detectable difference would be found.
const power = 0.8

// compare fills the rows of differences from the baseline, and corrects their
// tests for being many.
func (b *builder) compare() {
	if b.table.Baseline == "" {
		return
	}
	for _, model := range b.models[1:] {
		b.table.Differences = append(b.table.Differences, b.differenceRow(model))
	}
	var tests []*Test
	var p []float64
	for _, row := range b.table.Differences {
		for _, cell := range row.Cells {
			if cell != nil && cell.Test != nil {
				tests, p = append(tests, cell.Test), append(p, cell.Test.P)
			}
		}
	}
	for i, adjusted := range metrics.Holm(p) {
		tests[i].Holm = adjusted
		tests[i].Significant = adjusted < b.alpha()
	}
}

// alpha is the level of the tests.
func (b *builder) alpha() float64 { return 1 - b.options.Confidence }

// differenceRow compares model with the baseline, example by example.
func (b *builder) differenceRow(model string) Row {
	row := Row{Name: model + " - " + b.table.Baseline, Model: model}
	var headlines []*metrics.Distribution
	for _, task := range b.tasks {
		c, base := b.cells[model][task], b.cells[b.table.Baseline][task]
		paired := c != nil && base != nil && sameExamples(c.preds[0], base.preds[0])
		for _, column := range metricsOf(task) {
			if !paired {
				row.Cells = append(row.Cells, nil)
				continue
			}
			d := b.resampling(task, c).Difference(c.bootstrapped(column), base.bootstrapped(column))
			cell := b.newDifference(d)
			if cell.Test != nil && len(c.preds) == 1 && len(base.preds) == 1 {
				cell.Test.P, cell.Test.Method = metrics.Paired(c.sums(column)[0], base.sums(column)[0], b.options.Key)
			}
			cell.Seeds, cell.Examples, cell.Units = min(len(c.results), len(base.results)), len(c.preds[0]), c.group.units
			row.Cells = append(row.Cells, cell)
		}
		if paired && slices.Contains(b.common, task) {
			of := metricsOf(task)
			headlines = append(headlines, b.resampling(task, c).Difference(c.bootstrapped(of...), base.bootstrapped(of...)))
		}
	}
	if b.averaged() {
		var cell *Cell
		if len(headlines) == len(b.common) {
			cell = b.newDifference(metrics.Mean(headlines))
		}
		row.Cells = append(row.Cells, cell)
	}
	return row
}

func (b *builder) newDifference(d *metrics.Distribution) *Cell {
	cell := b.newCell(d)
	if p := d.P(); !math.IsNaN(p) {
		cell.Test = &Test{Method: "bootstrap", P: p, Detectable: metrics.MinimumDetectable(d.SE(), d.DF, b.alpha(), power)}
	}
	return cell
}
