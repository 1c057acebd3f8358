package reports

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/glmkit/glmkit/metrics"
)

const (
	// fewSeeds is the number of runs below which their spread is hardly known.
	fewSeeds = 3
	// fewUnits is the number of units below which a bootstrap is not to be trusted.
	fewUnits = 20
	// unequal is the ratio of parameters from which on two models are not of a size.
	unequal = 1.05
)

func (b *builder) note(format string, args ...any) {
	b.table.Notes = append(b.table.Notes, fmt.Sprintf(format, args...))
}

func (b *builder) method(format string, args ...any) {
	b.table.Method = append(b.table.Method, fmt.Sprintf(format, args...))
}

// any is the first model's runs on a task that is measured.
func (b *builder) any(task string) *runs {
	for _, model := range b.models {
		if c := b.cells[model][task]; c != nil {
			return c
		}
	}
	return nil
}

// conclude says in words what is above chance, and who is ahead where.
func (b *builder) conclude() {
	for _, row := range b.table.Measured {
		b.concludeChance(row)
	}
	for _, row := range b.table.Differences {
		var ahead, behind, neither []string
		for i, cell := range row.Cells {
			switch {
			case cell == nil || cell.Test == nil:
			case !cell.Test.Significant:
				neither = append(neither, b.table.Columns[i].String())
			case cell.Value > 0:
				ahead = append(ahead, b.table.Columns[i].String())
			default:
				behind = append(behind, b.table.Columns[i].String())
			}
		}
		b.conclusion(ahead, "%s is ahead of %s on", row.Model, b.table.Baseline)
		b.conclusion(behind, "%s is ahead of %s on", b.table.Baseline, row.Model)
		b.conclusion(neither, "No difference shown between %s and %s on", row.Model, b.table.Baseline)
	}
}

func (b *builder) conclusion(where []string, format string, args ...any) {
	if len(where) > 0 {
		b.table.Conclusions = append(b.table.Conclusions, fmt.Sprintf(format, args...)+" "+strings.Join(where, ", ")+".")
	}
}

// concludeChance counts a task as above chance only when all its metrics are.
func (b *builder) concludeChance(row Row) {
	measured, above := 0, []string{}
	for _, c := range b.table.taskColumns() {
		cells := row.Cells[c.from:c.to]
		if b.table.Columns[c.from].average() || cells[0] == nil {
			continue
		}
		measured++
		if !slices.ContainsFunc(cells, func(cell *Cell) bool { return cell.Against != Above }) {
			above = append(above, c.task)
		}
	}
	if len(above) == 0 {
		b.table.Conclusions = append(b.table.Conclusions, fmt.Sprintf("%s is above chance on 0 of %d tasks.", row.Name, measured))
		return
	}
	b.conclusion(above, "%s is above chance on %d of %d tasks:", row.Name, len(above), measured)
}

// warn notes what a reader must know before believing the table.
func (b *builder) warn() {
	b.warnMissing()
	b.tellOthers()
	b.warnSeeds()
	b.warnUnpaired()
	b.warnUnits()
	b.warnSize()
	b.warnDetectable()
}

// tellOthers gives the results on tasks that the table has no column for.
func (b *builder) tellOthers() {
	for _, r := range b.others {
		var values []string
		for _, m := range r.Metrics {
			values = append(values, fmt.Sprintf("%s %.1f", m.Name, m.Value))
		}
		b.note("%s, seed %d, on %s (%s, %d examples): %s.", r.Model.Name, r.Seed, r.Task, r.Split, r.Examples, strings.Join(values, ", "))
	}
}

func (b *builder) warnMissing() {
	var missing []string
	for _, model := range b.models {
		for _, task := range b.tasks {
			if b.cells[model][task] == nil {
				missing = append(missing, model+" on "+task)
			}
		}
	}
	if len(missing) > 0 {
		b.note("No run of %s.", strings.Join(missing, ", "))
	}
	var unmeasured []string
	for _, task := range taskOrder() {
		if !slices.Contains(b.tasks, task) {
			unmeasured = append(unmeasured, task)
		}
	}
	if len(unmeasured) > 0 {
		b.note("Not measured at all: %s.", strings.Join(unmeasured, ", "))
	}
	switch {
	case b.averaged() && !b.complete():
		b.note("The average is over the %d tasks that every measured model has: %s. It is not the average of the paper.", len(b.common), strings.Join(b.common, ", "))
	case len(b.models) > 1 && !b.averaged():
		b.note("No average: fewer than two tasks are measured for every model.")
	}
	if b.table.Baseline == "" {
		b.note("There is no BERT among the results, so nothing is compared. --baseline names another model.")
	}
}

// warnSeeds says how many runs the means are over, and where that is few.
func (b *builder) warnSeeds() {
	by := map[int][]string{} // number of runs: where
	for _, model := range b.models {
		for _, task := range b.tasks {
			if c := b.cells[model][task]; c != nil {
				by[len(c.results)] = append(by[len(c.results)], model+" on "+task)
			}
		}
	}
	list := func(n int) string {
		if len(by) == 1 {
			return "every cell"
		}
		return strings.Join(by[n], ", ")
	}
	if by[1] != nil {
		b.note("One run only: %s. The interval is about other examples, and says nothing of another training run.", list(1))
	}
	for n := 2; n < fewSeeds; n++ {
		if by[n] != nil {
			b.note("%d runs only: %s. The spread between training runs is hardly known from so few.", n, list(n))
		}
	}
	switch {
	case len(by) == 1 && by[1] != nil:
		b.method("Every value is of one run.")
		return
	case len(by) == 1:
		for n := range by {
			b.method("Every value is a mean over runs with different seeds: %d of each model and task.", n)
		}
		return
	}
	var counts []string
	for _, model := range b.models {
		var of []string
		for _, task := range b.tasks {
			if c := b.cells[model][task]; c != nil {
				of = append(of, fmt.Sprintf("%s %d", task, len(c.results)))
			}
		}
		counts = append(counts, model+": "+strings.Join(of, ", "))
	}
	b.method("Every value is a mean over runs with different seeds. Runs of %s.", strings.Join(counts, "; "))
}

func (b *builder) warnUnpaired() {
	if b.table.Baseline == "" {
		return
	}
	for _, model := range b.models[1:] {
		var tasks []string
		for _, task := range b.tasks {
			c, base := b.cells[model][task], b.cells[b.table.Baseline][task]
			if c != nil && base != nil && !sameExamples(c.preds[0], base.preds[0]) {
				tasks = append(tasks, task)
			}
		}
		if len(tasks) > 0 {
			b.note("%s and %s answered different examples of %s: no paired test is possible, and none is made.", model, b.table.Baseline, strings.Join(tasks, ", "))
		}
	}
}

func (b *builder) warnUnits() {
	var few []string
	for _, task := range b.tasks {
		if n := b.any(task).group.units; n < fewUnits {
			few = append(few, fmt.Sprintf("%s %d", task, n))
		}
	}
	if len(few) > 0 {
		b.note("Too few independent examples for an interval to be trusted: %s.", strings.Join(few, ", "))
	}
}

// warnSize says what each model is, and where models are not of a size.
func (b *builder) warnSize() {
	var all []string
	least, most := int64(math.MaxInt64), int64(0)
	for _, model := range b.models {
		var parameters, steps, tokens span
		var form string
		for _, task := range b.tasks {
			if c := b.cells[model][task]; c != nil {
				m := c.results[0].Model
				parameters.add(m.Parameters)
				form = m.Architecture + ", " + string(m.Form)
				for _, r := range c.results {
					steps.add(r.Steps)
					tokens.add(r.Tokens)
				}
			}
		}
		least, most = min(least, parameters.hi), max(most, parameters.hi)
		all = append(all, fmt.Sprintf("%s (%s): %s parameters, %s steps, %s tokens", model, form, parameters, steps, tokens))
	}
	if least > 0 && float64(most) > unequal*float64(least) {
		b.note("The models are not of a size: see their parameters below.")
	}
	b.method("%s.", strings.Join(all, "; "))
}

// span is the range of a count over runs.
type span struct {
	lo, hi int64
	any    bool
}

func (s *span) add(v int64) {
	if !s.any {
		*s = span{v, v, true}
	}
	s.lo, s.hi = min(s.lo, v), max(s.hi, v)
}

func (s span) String() string {
	lo, hi := count(s.lo), count(s.hi)
	if lo == hi {
		return lo
	}
	return lo + " to " + hi
}

// count writes a number to three digits with k, M or B.
func count(n int64) string {
	for _, unit := range []struct {
		size int64
		sign string
	}{{1e9, "B"}, {1e6, "M"}, {1e3, "k"}} {
		if n >= 10*unit.size || n >= unit.size && unit.size > 1e3 {
			return fmt.Sprintf("%.3g%s", float64(n)/float64(unit.size), unit.sign)
		}
	}
	return fmt.Sprint(n)
}

// warnDetectable says which differences these examples and runs could not show.
func (b *builder) warnDetectable() {
	for _, row := range b.table.Differences {
		var of []string
		for i, cell := range row.Cells {
			if cell != nil && cell.Test != nil && cell.Test.Detectable > 0 {
				of = append(of, fmt.Sprintf("%s %.1f", b.table.Columns[i], cell.Test.Detectable))
			}
		}
		if len(of) > 0 {
			b.method("Least true difference %s that one test would find with %.0f %% power on these examples and runs: %s. Smaller ones may be there unseen.", row.Name, 100*power, strings.Join(of, ", "))
		}
	}
}

// unitName is what the examples of a task share.
func unitName(task string) string {
	switch task {
	case "MultiRC":
		return "questions"
	case "AX-g":
		return "pairs"
	}
	return "passages"
}

// explain says how the numbers were made.
func (b *builder) explain() {
	var n []string
	for _, task := range b.tasks {
		c := b.any(task)
		entry := fmt.Sprintf("%s %d", task, len(c.preds[0]))
		if c.group.units < len(c.preds[0]) {
			entry += fmt.Sprintf(" in %d %s", c.group.units, unitName(task))
		}
		n = append(n, entry)
	}
	b.method("Examples of the %s split: %s.", b.table.Split, strings.Join(n, ", "))
	b.method("Intervals: %.0f %%, from %d resamples of examples (whole questions of MultiRC, whole passages elsewhere) and of runs, widened by Student's t for few runs.", 100*b.options.Confidence, b.options.Resamples)
	b.method("Chance: the best of the majority label and of guessing; a choice at random for ReCoRD and COPA. Marks against it are not corrected for their number.")
	if tests, methods := b.tests(); tests > 0 {
		b.method("Differences: paired on the same examples, %s, Holm's correction over all tests of this table (%d) at level %.2g.", strings.Join(methods, " or "), tests, b.alpha())
	}
}

// tests counts the tests of the table and names their kinds.
func (b *builder) tests() (n int, methods []string) {
	names := map[string]string{"bootstrap": "t test with the bootstrap's standard error", metrics.MethodMcNemar: "McNemar's exact test for accuracies of single runs",
		metrics.MethodExchange: "approximate randomisation for other metrics of single runs"}
	for _, row := range b.table.Differences {
		for _, cell := range row.Cells {
			if cell != nil && cell.Test != nil {
				n++
				if name := names[cell.Test.Method]; !slices.Contains(methods, name) {
					methods = append(methods, name)
				}
			}
		}
	}
	slices.Sort(methods)
	return n, methods
}
