package reports

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/glmkit/glmkit/configs"
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

// note adds a warning and returns its index.
func (b *builder) note(format string, args ...any) int {
	b.table.Notes = append(b.table.Notes, fmt.Sprintf(format, args...))
	return len(b.table.Notes) - 1
}

// mark ties a note to the cells of a model's row in the columns of a task.
func (b *builder) mark(rows []Row, model, task string, note int) {
	for i := range rows {
		if rows[i].Model != model && rows[i].Base != model {
			continue
		}
		for column, c := range b.table.Columns {
			if c.Task != task || slices.Contains(rows[i].Notes[column], note) {
				continue
			}
			if rows[i].Notes == nil {
				rows[i].Notes = map[int][]int{}
			}
			rows[i].Notes[column] = append(rows[i].Notes[column], note)
		}
	}
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
			case cell == nil || cell.Test == nil || b.meaningless(i):
			case !cell.Test.Significant:
				neither = append(neither, b.table.Columns[i].String())
			case cell.Value > 0:
				ahead = append(ahead, b.table.Columns[i].String())
			default:
				behind = append(behind, b.table.Columns[i].String())
			}
		}
		b.conclusion(ahead, "%s is ahead of %s on", row.Model, row.Base)
		b.conclusion(behind, "%s is ahead of %s on", row.Base, row.Model)
		b.conclusion(neither, "No difference shown between %s and %s on", row.Model, row.Base)
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
		if b.table.Columns[c.from].average() || row.Cells[c.from] == nil {
			continue
		}
		all, guessed := true, false
		for i := c.from; i < c.to; i++ {
			guessed = guessed || b.table.Chance.Cells[i] != nil
			all = all && (row.Cells[i].Against == Above || b.table.Chance.Cells[i] == nil)
		}
		if !guessed {
			continue
		}
		if measured++; all {
			above = append(above, c.task)
		}
	}
	if len(above) == 0 && measured > 0 {
		b.table.Conclusions = append(b.table.Conclusions, fmt.Sprintf("%s is above chance on 0 of %d tasks.", row.Name, measured))
		return
	}
	b.conclusion(above, "%s is above chance on %d of %d tasks:", row.Name, len(above), measured)
}

// warn notes what a reader must know before believing the table.
func (b *builder) warn() {
	b.warnMissing()
	b.warnUnpaired()
	b.warnUnresampled()
	b.warnScales()
	b.warnSeeds()
	b.warnOtherSeeds()
	b.warnUnits()
	b.warnSize()
	b.warnDetectable()
}

func (b *builder) warnMissing() {
	for _, model := range b.models {
		var missing []string
		for _, task := range b.tasks {
			if b.cells[model][task] == nil {
				missing = append(missing, task)
			}
		}
		if len(missing) == 0 {
			continue
		}
		note := b.note("No run of %s on %s.", model, strings.Join(missing, ", "))
		for _, task := range missing {
			b.mark(b.table.Measured, model, task, note)
			b.mark(b.table.Differences, model, task, note)
		}
	}
	var unmeasured []string
	for _, task := range paperTasks() {
		if !slices.Contains(b.tasks, task) {
			unmeasured = append(unmeasured, task)
		}
	}
	if len(unmeasured) > 0 && len(unmeasured) < len(paperTasks()) {
		b.note("Not measured at all: %s.", strings.Join(unmeasured, ", "))
	}
	switch {
	case b.averaged() && !b.complete():
		b.note("The average is over the %d tasks that every measured model has: %s. It is not the average of the paper.", len(b.common), strings.Join(b.common, ", "))
	case len(b.models) > 1 && !b.averaged() && len(unmeasured) < len(paperTasks()):
		b.note("No average: fewer than two tasks are measured for every model.")
	}
	if len(b.options.pairs) == 0 {
		b.note("There is no BERT among the results, so nothing is compared. --baseline names another model.")
	}
}

// warnUnresampled names metrics that only their values are known of.
func (b *builder) warnUnresampled() {
	for _, task := range b.tasks {
		for _, c := range b.columns[task] {
			if c.sums != nil {
				continue
			}
			note := b.note("No interval and no test for %s %s: its predictions do not give the value written, or glmkit does not know the metric.", task, c.metric)
			for _, model := range b.models {
				b.mark(b.table.Measured, model, task, note)
			}
		}
	}
}

// warnScales names metrics that no predictions check and whose values look as if
// some were shares of 1 and others percent.
func (b *builder) warnScales() {
	for _, task := range b.tasks {
		for i, c := range b.columns[task] {
			if c.sums != nil {
				continue
			}
			var shares, percents []string
			for _, model := range b.models {
				if runs := b.cells[model][task]; runs != nil {
					for _, r := range runs.results {
						where := fmt.Sprintf("%s seed %d %g", model, r.Seed, r.Metrics[i].Value)
						switch v := r.Metrics[i].Value; {
						case v > 1:
							percents = append(percents, where)
						case v > 0:
							shares = append(shares, where)
						}
					}
				}
			}
			if len(shares) == 0 || len(percents) == 0 {
				continue
			}
			note := b.note("The values of %s %s look like two scales: shares of 1 (%s) and percent (%s). Nothing was converted.",
				task, c.metric, strings.Join(shares, ", "), strings.Join(percents, ", "))
			for _, model := range b.models {
				b.mark(b.table.Measured, model, task, note)
			}
		}
	}
}

// warnSeeds says how many runs the means are over, and where that is few.
func (b *builder) warnSeeds() {
	type place struct{ model, task string }
	by := map[int][]place{} // number of runs: where
	for _, model := range b.models {
		for _, task := range b.tasks {
			if c := b.cells[model][task]; c != nil {
				by[len(c.results)] = append(by[len(c.results)], place{model, task})
			}
		}
	}
	warn := func(n int, format string, args ...any) {
		if len(by) == 1 {
			b.note(format, append(args, "every cell")...)
			return
		}
		var where []string
		for _, at := range by[n] {
			where = append(where, at.model+" on "+at.task)
		}
		note := b.note(format, append(args, strings.Join(where, ", "))...)
		for _, at := range by[n] {
			b.mark(b.table.Measured, at.model, at.task, note)
		}
	}
	if by[1] != nil {
		warn(1, "One run only: %s. The interval is about other examples, and says nothing of another training run.")
	}
	for n := 2; n < fewSeeds; n++ {
		if by[n] != nil {
			warn(n, "%d runs only: %s. The spread between training runs is hardly known from so few.", n)
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

// warnOtherSeeds names seeds that some models have on a task and others lack:
// runs that failed, or were forgotten.
func (b *builder) warnOtherSeeds() {
	var lacks []string
	for _, task := range b.tasks {
		seeds := map[uint64]bool{}
		for _, model := range b.models {
			if c := b.cells[model][task]; c != nil {
				for _, r := range c.results {
					seeds[r.Seed] = true
				}
			}
		}
		for _, model := range b.models {
			c := b.cells[model][task]
			if c == nil {
				continue
			}
			var missing []string
			for _, seed := range slices.Sorted(maps.Keys(seeds)) {
				if !slices.ContainsFunc(c.results, func(r *Result) bool { return r.Seed == seed }) {
					missing = append(missing, fmt.Sprint(seed))
				}
			}
			if len(missing) > 0 {
				lacks = append(lacks, fmt.Sprintf("%s on %s lacks %s", model, task, strings.Join(missing, ", ")))
			}
		}
	}
	if len(lacks) > 0 {
		b.note("Seeds that one model has and another lacks: %s. Seeds are not paired, so the tests hold.", strings.Join(lacks, "; "))
	}
}

func (b *builder) warnUnpaired() {
	for _, p := range b.options.pairs {
		var differ []string
		for _, task := range b.tasks {
			c, base := b.cells[p.model][task], b.cells[p.base][task]
			if c != nil && base != nil && !sameExamples(c.preds[0], base.preds[0]) {
				differ = append(differ, task)
			}
		}
		if len(differ) == 0 {
			continue
		}
		note := b.note("%s and %s answered different examples of %s: no paired test is possible, and none is made.", p.model, p.base, strings.Join(differ, ", "))
		for _, task := range differ {
			b.mark(b.table.Differences, p.model, task, note)
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

// warnDetectable says which differences these examples and runs could not show,
// and what more runs would bring.
func (b *builder) warnDetectable() {
	list := func(row Row, least func(*Test) float64, counted bool) string {
		var of []string
		for i, cell := range row.Cells {
			few := cell != nil && cell.Units > 0 && cell.Units < fewUnits // warnUnits says so
			if cell == nil || few || cell.Test == nil || least(cell.Test) == 0 {
				continue
			}
			entry := b.table.Columns[i].String()
			if counted && cell.Units > 0 {
				entry += fmt.Sprintf(" (n = %d)", cell.Units)
			}
			of = append(of, fmt.Sprintf("%s %.1f", entry, least(cell.Test)))
		}
		return strings.Join(of, ", ")
	}
	for _, row := range b.table.Differences {
		if of := list(row, func(t *Test) float64 { return t.Detectable }, true); of != "" {
			b.method("True differences %s below these are likely to go unseen on these examples and runs (one test finds them with less than %.0f %% power): %s.", row.Name, 100*power, of)
		}
		if of := list(row, func(t *Test) float64 { return t.Planned }, false); of != "" {
			b.method("With %d runs of each model: %s.", b.options.Plan, of)
		}
		if of := list(row, func(t *Test) float64 { return t.AtBest }, false); of != "" {
			b.method("With any number of runs on the same examples: %s.", of)
		}
	}
}

// explainWriting says how written answers were searched for.
func (b *builder) explainWriting() {
	var how []string
	for _, model := range b.models {
		for _, task := range b.tasks {
			if c := b.cells[model][task]; c != nil && c.results[0].Decoding != nil {
				how = append(how, fmt.Sprintf("%s on %s %s", model, task, decodingWords(*c.results[0].Decoding)))
			}
		}
	}
	if len(how) > 0 {
		b.method("Answers were written: %s. References are spelled as the model's vocabulary spells them.", strings.Join(how, "; "))
	}
}

// explainPrecision says which answers were computed in less than float32.
func (b *builder) explainPrecision() {
	var less []string
	for _, model := range b.models {
		tasks := map[string][]string{}
		for _, task := range b.tasks {
			if c := b.cells[model][task]; c != nil && cmp.Or(c.results[0].Precision, usualPrecision) != usualPrecision {
				in := c.results[0].Precision
				tasks[in] = append(tasks[in], task)
			}
		}
		for _, in := range slices.Sorted(maps.Keys(tasks)) {
			less = append(less, fmt.Sprintf("%s on %s in %s", model, strings.Join(tasks[in], ", "), in))
		}
	}
	if len(less) > 0 {
		b.method("Answers were computed in float32, but %s.", strings.Join(less, "; "))
	}
}

// decodingWords are a decoding in words.
func decodingWords(d configs.Decoding) string {
	words := "the likeliest token each time"
	switch {
	case d.Sample:
		words = fmt.Sprintf("drawn, temperature %g, top k %d, top p %g", d.Temperature, d.TopK, d.TopP)
	case d.Beams > 1:
		words = fmt.Sprintf("%d beams, length penalty %g", d.Beams, d.LengthPenalty)
	}
	words += fmt.Sprintf(", %d to %d tokens", d.MinLength, d.MaxLength)
	if d.NoRepeat > 0 {
		words += fmt.Sprintf(", no %d twice", d.NoRepeat)
	}
	return words
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
		if split := c.results[0].Split; split != b.table.Split {
			entry += " (" + split + ")"
		}
		if c.group.units < len(c.preds[0]) {
			entry += fmt.Sprintf(" in %d %s", c.group.units, unitName(task))
		}
		n = append(n, entry)
	}
	b.method("Examples of the %s split: %s.", b.table.Split, strings.Join(n, ", "))
	b.explainWriting()
	b.explainPrecision()
	if slices.ContainsFunc(b.table.Measured, func(r Row) bool {
		return slices.ContainsFunc(r.Cells, func(c *Cell) bool { return c != nil && c.Best })
	}) {
		b.method("Best of a column: ahead of every other measured model in a paired test, Holm's correction over all pairs of models and columns.")
	}
	b.method("Intervals: %.0f %%, from %d resamples of examples (whole questions of MultiRC, whole passages elsewhere) and of runs, widened by Student's t for few runs.", 100*b.options.Confidence, b.options.Resamples)
	if len(b.table.chance()) > 0 {
		b.method("Chance: the best of the majority label and of guessing; a choice at random for ReCoRD and COPA. Marks against it are not corrected for their number.")
	}
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

// explainMade says how to make the table again.
func (b *builder) explainMade() {
	if b.table.Baseline == "" && len(b.options.pairs) > 0 {
		b.method("Made by: glmkit report compare, from %d results with sha256 %.16s.", b.table.Made.Results, b.table.Made.SHA256)
		return
	}
	b.method("Made by: %s", b.table.Made)
}

// String is the command that makes the table, and what it read.
func (m Made) String() string {
	plan := ""
	if m.Plan > 0 {
		plan = fmt.Sprintf(" --plan %d", m.Plan)
	}
	return fmt.Sprintf("glmkit report --baseline %s --published %s%s, from %d results with sha256 %.16s.", strconv.Quote(m.Baseline), m.Published, plan, m.Results, m.SHA256)
}
