package reports

import (
	"math"

	"github.com/glmkit/glmkit/metrics"
)

// power is that with which a minimum detectable difference would be found.
const power = 0.8

// compare fills the rows of differences, and corrects their tests for being
// many.
func (b *builder) compare() {
	for _, pair := range b.options.pairs {
		b.table.Differences = append(b.table.Differences, b.differenceRow(pair))
	}
	var p []float64
	var tests []*Test
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

// differenceRow compares two models, example by example.
func (b *builder) differenceRow(p pair) Row {
	row := Row{Name: p.model + " - " + p.base, Model: p.model, Base: p.base}
	for _, column := range b.table.Columns {
		var cell *Cell
		if column.average() {
			cell = b.averageDifference(p)
		} else if c, base := b.paired(p, column.Task); c != nil {
			cell = b.difference(c, base, b.columns[column.Task][b.metric(column)])
		}
		row.Cells = append(row.Cells, cell)
	}
	return row
}

// paired are the runs of two models on a task where they answered the same
// examples; nil where they did not.
func (b *builder) paired(p pair, task string) (c, base *runs) {
	c, base = b.cells[p.model][task], b.cells[p.base][task]
	if c == nil || base == nil || !sameExamples(c.preds[0], base.preds[0]) {
		return nil, nil
	}
	return c, base
}

func (b *builder) difference(c, base *runs, of column) *Cell {
	if of.sums == nil {
		return nil
	}
	cell := b.newDifference(b.resampling(c, of).Difference(c.bootstrapped(of), base.bootstrapped(of)))
	if cell.Test != nil && len(c.preds) == 1 && len(base.preds) == 1 {
		cell.Test.P, cell.Test.Method = metrics.Paired(c.sums(of)[0], base.sums(of)[0], b.options.Key)
	}
	cell.Seeds, cell.Examples, cell.Units = min(len(c.results), len(base.results)), len(c.preds[0]), c.group.units
	return cell
}

func (b *builder) averageDifference(p pair) *Cell {
	var headlines []*metrics.Distribution
	for _, task := range b.common {
		c, base := b.paired(p, task)
		if c == nil {
			return nil
		}
		of := b.columns[task]
		headlines = append(headlines, b.resampling(c, of[0]).Difference(c.bootstrapped(of...), base.bootstrapped(of...)))
	}
	return b.newDifference(metrics.Mean(headlines))
}

// findBest marks the highest value of a column where it is significantly
// higher than each of the others. Which model leads is seen only in the results,
// so Holm's correction is over all pairs of models, more than the table shows.
func (b *builder) findBest() {
	type place struct{ column, i, j int }
	var places []place
	var p []float64
	for i := range b.models {
		for j := range i {
			for column, cell := range b.pairRow(i, j).Cells {
				if cell != nil && cell.Test != nil {
					places, p = append(places, place{column, i, j}), append(p, cell.Test.P)
				}
			}
		}
	}
	apart := map[place]bool{}
	for k, adjusted := range metrics.Holm(p) {
		if adjusted < b.alpha() {
			at := places[k]
			apart[at], apart[place{at.column, at.j, at.i}] = true, true
		}
	}
	for column := range b.table.Columns {
		best, others, beaten := -1, 0, 0
		for i, row := range b.table.Measured {
			if cell := row.Cells[column]; cell != nil && (best < 0 || cell.Value > b.table.Measured[best].Cells[column].Value) {
				best = i
			}
		}
		for i, row := range b.table.Measured {
			if i != best && row.Cells[column] != nil {
				others++
				if apart[place{column, best, i}] {
					beaten++
				}
			}
		}
		if others > 0 && beaten == others && !b.meaningless(column) {
			b.table.Measured[best].Cells[column].Best = true
		}
	}
}

// meaningless tells whether a column is not better when higher.
func (b *builder) meaningless(column int) bool {
	c := b.table.Columns[column]
	return !c.average() && b.columns[c.Task][b.metric(c)].chance == meaningless
}

// pairRow is the difference of two models by their index, from the table where
// it has it.
func (b *builder) pairRow(i, j int) Row {
	first, second := b.models[i], b.models[j]
	for _, row := range b.table.Differences {
		if row.Model == first && row.Base == second || row.Model == second && row.Base == first {
			return row
		}
	}
	return b.differenceRow(pair{first, second})
}

func (b *builder) newDifference(d *metrics.Distribution) *Cell {
	cell := b.newCell(d)
	p := d.P()
	if math.IsNaN(p) {
		return cell
	}
	least := func(se, df float64) float64 {
		if v := metrics.MinimumDetectable(se, df, b.alpha(), power); !math.IsNaN(v) {
			return v
		}
		return 0
	}
	planned := func(seeds int) float64 { return least(d.Planned(seeds)) }
	cell.Test = &Test{Method: "bootstrap", P: p, Detectable: least(d.SE(), d.DF), AtBest: planned(math.MaxInt32)}
	if b.options.Plan > 0 {
		cell.Test.Planned = planned(b.options.Plan)
	}
	return cell
}
