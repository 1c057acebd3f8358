package reports

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/corpus"
	"github.com/glmkit/glmkit/metrics"
	"github.com/glmkit/glmkit/tasks"
)

// Options say what Build compares. The zero value is the usual report without
// published rows.
type Options struct {
	// Baseline names the model that the others are compared with, in any case.
	// Empty or "bert" also finds the only model of architecture bert.
	Baseline   string
	Published  string  // one of PublishedGroups; empty: none
	Confidence float64 // of intervals, and of tests one less it; 0: 0.95
	Resamples  int     // 0: metrics.DefaultResamples
	Key        uint64  // of the bootstrap's draws
	// Plan is a number of runs of each model that somebody thinks of: the table
	// says which differences they would show. 0: none.
	Plan int

	pairs []pair   // to compare, instead of every model with the baseline: of Compare
	sets  []string // the names of Compare's sets
}

// pair is two models to compare.
type pair struct{ model, base string }

// PublishedGroups lists the values of Options.Published.
var PublishedGroups = append(slices.Clone(configs.BaselineGroups), "all", "none")

// Build makes the table of results: SuperGLUE's eight tasks and their average,
// then the diagnostics and a user's own tasks. All are of one split, but for the
// diagnostics. Results that do not belong together are a corpus.DataError,
// options that name nothing a configs.Error.
func Build(results []*Result, o Options) (*Table, error) {
	if o.Confidence == 0 {
		o.Confidence = 0.95
	}
	if o.Resamples == 0 {
		o.Resamples = metrics.DefaultResamples
	}
	if len(results) == 0 {
		return nil, errors.New("building a table: no results")
	}
	if o.Plan < 0 || o.Plan == 1 {
		return nil, &configs.Error{Field: "plan", Msg: fmt.Sprintf("%d runs cannot be planned", o.Plan), Hint: "2 or more runs of each model"}
	}
	b := &builder{options: o, cells: map[string]map[string]*runs{}, columns: map[string][]column{}}
	// The order of seeds decides which of them a resample draws.
	results = slices.SortedStableFunc(slices.Values(results), func(r, s *Result) int { return cmp.Compare(r.Seed, s.Seed) })
	if err := b.findSplit(results); err != nil {
		return nil, err
	}
	for _, r := range results {
		if err := b.add(r); err != nil {
			return nil, err
		}
	}
	b.table.Confidence = o.Confidence
	b.table.Made = made(results, o)
	if err := b.arrange(); err != nil {
		return nil, err
	}
	b.measure()
	b.compare()
	b.findBest()
	b.conclude()
	b.warn()
	b.explain()
	if err := b.publish(); err != nil {
		return nil, err
	}
	b.explainMade()
	return &b.table, nil
}

// findSplit makes sure that the results are of one split. A diagnostic has a
// split of its own, the same for all models.
func (b *builder) findSplit(results []*Result) error {
	first := map[string]*Result{} // by diagnostic; "" for all other tasks
	for _, r := range results {
		of := ""
		if slices.Contains(tasks.Diagnostics(), r.Task) {
			of = r.Task
		}
		if first[of] == nil {
			first[of] = r
		}
		if other := first[of]; r.Split != other.Split {
			return &corpus.DataError{
				Path: r.path,
				Err:  fmt.Errorf("is of split %s, but %s is of %s", r.Split, other.path, other.Split),
				Hint: "report the splits apart",
			}
		}
	}
	b.table.Split = results[0].Split
	if main := first[""]; main != nil {
		b.table.Split = main.Split
	}
	return nil
}

// made identifies results by what they say: the same ones in another folder are
// the same.
func made(results []*Result, o Options) Made {
	var lines []string
	for _, r := range results {
		lines = append(lines, fmt.Sprintf("%s %s %q %d %s\n", r.Task, r.Split, r.Model.Name, r.Seed, r.Predictions.SHA256))
	}
	slices.Sort(lines)
	hash := sha256.New()
	for _, line := range lines {
		io.WriteString(hash, line)
	}
	return Made{Baseline: cmp.Or(o.Baseline, "bert"), Published: cmp.Or(o.Published, "none"), Plan: o.Plan, Sets: o.sets, Results: len(results), SHA256: hex.EncodeToString(hash.Sum(nil))}
}

// builder holds what the parts of a table are computed from.
type builder struct {
	options Options
	table   Table
	cells   map[string]map[string]*runs // by model, by task
	columns map[string][]column         // by task
	models  []string                    // the baseline first
	tasks   []string                    // measured for any model, in the order of the columns
	common  []string                    // of the paper's, measured for every model
}

// runs are one model's results on one task: the same examples, other seeds.
type runs struct {
	results []*Result
	preds   [][]tasks.Prediction // of each result, in one order
	group   grouping
	chance  []float64 // of each metric of the task
}

// add puts r and its predictions in their place.
func (b *builder) add(r *Result) error {
	preds, err := r.ReadPredictions()
	if err != nil {
		return err
	}
	for i := range preds {
		preds[i].Text, preds[i].Scores = "", nil // not needed, and most of the memory
	}
	slices.SortStableFunc(preds, func(p, q tasks.Prediction) int { return p.Number - q.Number })

	model, task := r.Model.Name, r.Task
	if b.cells[model] == nil {
		b.cells[model] = map[string]*runs{}
	}
	c := b.cells[model][task]
	if c == nil {
		b.cells[model][task] = &runs{results: []*Result{r}, preds: [][]tasks.Prediction{preds}, group: groupExamples(task, preds)}
		return nil
	}
	first := c.results[0]
	refuse := func(what string) error {
		return &corpus.DataError{
			Path: r.path,
			Err:  fmt.Errorf("and %s are both %s on %s but differ in %s", first.path, model, task, what),
			Hint: "give the models different names, or evaluate both alike",
		}
	}
	switch {
	case r.Model != first.Model:
		return refuse("architecture, size, form or pattern")
	case !sameDecoding(r, first):
		return refuse("how answers were written")
	case cmp.Or(r.Precision, usualPrecision) != cmp.Or(first.Precision, usualPrecision):
		return refuse("the precision of their matrix products")
	case !sameExamples(c.preds[0], preds):
		return refuse("the examples they answered")
	}
	c.results = append(c.results, r)
	c.preds = append(c.preds, preds)
	return nil
}

// usualPrecision is that of answers where nothing else is said.
const usualPrecision = "float32"

func sameDecoding(a, b *Result) bool {
	return a.Decoding == nil && b.Decoding == nil || a.Decoding != nil && b.Decoding != nil && *a.Decoding == *b.Decoding
}

// sameExamples tells whether two runs answered the same questions, so that
// they can be compared example by example.
func sameExamples(a, b []tasks.Prediction) bool {
	return slices.EqualFunc(a, b, func(p, q tasks.Prediction) bool {
		return p.ID == q.ID && p.Number == q.Number && p.Label == q.Label &&
			p.Question == q.Question && p.Passage == q.Passage && slices.Equal(p.Gold, q.Gold)
	})
}

// arrange finds rows, columns and the baseline.
func (b *builder) arrange() error {
	for model := range b.cells {
		b.models = append(b.models, model)
	}
	slices.Sort(b.models)
	if b.options.pairs != nil {
		b.models = nil
		for _, p := range b.options.pairs {
			b.models = append(b.models, p.base, p.model)
		}
		b.arrangeTasks()
		return nil
	}
	baseline, err := b.findBaseline()
	if err != nil {
		return err
	}
	if baseline != "" {
		b.models = slices.DeleteFunc(b.models, func(m string) bool { return m == baseline })
		b.models = slices.Insert(b.models, 0, baseline)
	}
	b.table.Baseline = baseline

	b.pairs()
	b.arrangeTasks()
	return nil
}

// pairs finds what is compared with what: everything with the baseline.
func (b *builder) pairs() {
	if b.table.Baseline == "" {
		return
	}
	for _, model := range b.models[1:] {
		b.options.pairs = append(b.options.pairs, pair{model, b.table.Baseline})
	}
}

// arrangeTasks orders the columns: the paper's tasks, their average, the
// diagnostics, a user's tasks by name.
func (b *builder) arrangeTasks() {
	measured := map[string][]*runs{}
	for _, model := range b.models {
		for task, c := range b.cells[model] {
			measured[task] = append(measured[task], c)
		}
	}
	order := knownTasks()
	for _, task := range slices.Sorted(maps.Keys(measured)) {
		if !slices.Contains(order, task) {
			order = append(order, task)
		}
	}
	for i, task := range order {
		if i == len(paperTasks()) {
			b.addAverage()
		}
		of := measured[task]
		if len(of) == 0 {
			continue
		}
		b.tasks = append(b.tasks, task)
		if i < len(paperTasks()) && len(of) == len(b.models) {
			b.common = append(b.common, task)
		}
		b.columns[task] = metricsOf(task)
		if b.columns[task] == nil {
			b.columns[task] = columnsFor(task, of)
		}
		split := of[0].results[0].Split
		if split == b.table.Split {
			split = ""
		}
		for _, c := range b.columns[task] {
			b.table.Columns = append(b.table.Columns, Column{Task: task, Metric: c.metric, Split: split, Alone: len(b.columns[task]) == 1})
		}
	}
}

func (b *builder) addAverage() {
	if !b.averaged() {
		return
	}
	name := "Avg"
	if !b.complete() {
		name = fmt.Sprintf("Avg of %d", len(b.common))
	}
	b.table.Columns = append(b.table.Columns, Column{Task: name})
}

// averaged tells whether the table has an average: over one task it is none.
func (b *builder) averaged() bool { return len(b.common) > 1 }

// complete tells whether the average is the paper's, over all tasks.
func (b *builder) complete() bool { return len(b.common) == len(paperTasks()) }

// findBaseline is the model that the others are compared with; empty where
// none was asked for by name and there is no BERT.
func (b *builder) findBaseline() (string, error) {
	wanted := b.options.Baseline
	var berts []string
	for _, model := range b.models {
		if wanted != "" && strings.EqualFold(model, wanted) {
			return model, nil
		}
		for _, c := range b.cells[model] {
			if c.results[0].Model.Architecture == "bert" {
				berts = append(berts, model)
				break
			}
		}
	}
	switch {
	case wanted != "" && !strings.EqualFold(wanted, "bert"):
		return "", &configs.Error{
			Field: "baseline",
			Msg:   fmt.Sprintf("there is no result of a model %q", wanted),
			Hint:  "one of " + strings.Join(b.models, ", "),
		}
	case len(berts) > 1:
		return "", &configs.Error{
			Field: "baseline",
			Msg:   "there are several BERT models to compare with: " + strings.Join(berts, ", "),
			Hint:  "name one with --baseline",
		}
	case len(berts) == 1:
		return berts[0], nil
	}
	return "", nil
}

// resampling is how the units of a task are drawn: each task on its own, all
// metrics and models of one task alike.
func (b *builder) resampling(c *runs, of column) metrics.Resampling {
	key := slices.Index(knownTasks(), of.task)
	if key < 0 {
		key = len(knownTasks()) + slices.Index(b.tasks, of.task)
	}
	return metrics.Resampling{
		Units:     c.group.units,
		Resamples: b.options.Resamples,
		Key:       b.options.Key + uint64(key) + 1,
		Lowest:    of.lowest,
	}
}

// bootstrapped is the mean over columns of what c reaches, as a bootstrap takes it.
func (c *runs) bootstrapped(columns ...column) metrics.Runs {
	var sums [][]*metrics.Sums // by column, by seed
	for _, column := range columns {
		sums = append(sums, c.sums(column))
	}
	return metrics.Runs{Seeds: len(c.preds), Stat: func(seed int, units []int) float64 {
		total := 0.0
		for _, s := range sums {
			total += s[seed].Over(units)
		}
		return total / float64(len(columns))
	}}
}

// sums are those of each run in a column.
func (c *runs) sums(column column) (of []*metrics.Sums) {
	for _, preds := range c.preds {
		of = append(of, column.sums(preds, predictedOf(preds), c.group))
	}
	return of
}

// measure fills the rows of the models and of chance.
func (b *builder) measure() {
	for _, task := range b.tasks {
		var guessed *runs // whose chance is known
		for _, model := range b.models {
			c := b.cells[model][task]
			switch {
			case c == nil:
			case guessed != nil && sameExamples(guessed.preds[0], c.preds[0]):
				c.chance = guessed.chance
			default:
				for _, column := range b.columns[task] {
					value := math.NaN()
					if column.sums != nil {
						value = chance(column, c.preds[0], c.group, b.options.Key)
					}
					c.chance = append(c.chance, value)
				}
				guessed = c
			}
		}
	}
	b.table.Chance = b.chanceRow()
	for _, model := range b.models {
		b.table.Measured = append(b.table.Measured, b.modelRow(model))
	}
}

// chanceRow is chance on the examples of the first model that has them.
func (b *builder) chanceRow() Row {
	row := Row{Name: "chance"}
	for _, column := range b.table.Columns {
		var cell *Cell
		if column.average() {
			cell = &Cell{Value: b.averageChance(b.models[0])}
		} else if value := b.any(column.Task).chance[b.metric(column)]; !math.IsNaN(value) {
			cell = &Cell{Value: value}
		}
		row.Cells = append(row.Cells, cell)
	}
	return row
}

// metric is the index of a table's column among those of its task.
func (b *builder) metric(c Column) int {
	return slices.IndexFunc(b.columns[c.Task], func(of column) bool { return of.metric == c.Metric })
}

// averageChance is the average of chance over the tasks that all models have.
func (b *builder) averageChance(model string) float64 {
	sum := 0.0
	for _, task := range b.common {
		sum += mean(b.cells[model][task].chance)
	}
	return sum / float64(len(b.common))
}

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

func (b *builder) modelRow(model string) Row {
	row := Row{Name: model, Model: model}
	for _, column := range b.table.Columns {
		var cell *Cell
		if column.average() {
			cell = b.averageCell(model)
		} else if c := b.cells[model][column.Task]; c != nil {
			cell = b.measuredCell(c, b.metric(column))
		}
		row.Cells = append(row.Cells, cell)
	}
	return row
}

// measuredCell is the mean over runs of metric i of their task.
func (b *builder) measuredCell(c *runs, i int) *Cell {
	of := b.columns[c.results[0].Task][i]
	cell := &Cell{}
	if of.sums != nil {
		cell = b.newCell(b.resampling(c, of).Bootstrap(c.bootstrapped(of)))
		cell.Against = against(cell.Interval, c.chance[i])
	} else {
		for _, r := range c.results {
			cell.Value += r.Metrics[i].Value / float64(len(c.results))
		}
	}
	for k, r := range c.results {
		value := r.Metrics[min(i, len(r.Metrics)-1)].Value
		if of.sums != nil {
			value = of.over(c.preds[k], c.group)
		}
		cell.Runs = append(cell.Runs, RunValue{r.Seed, value})
	}
	cell.Seeds, cell.Examples, cell.Units = len(c.results), len(c.preds[0]), c.group.units
	return cell
}

func (b *builder) averageCell(model string) *Cell {
	var headlines []*metrics.Distribution
	for _, task := range b.common {
		c, of := b.cells[model][task], b.columns[task]
		headlines = append(headlines, b.resampling(c, of[0]).Bootstrap(c.bootstrapped(of...)))
	}
	cell := b.newCell(metrics.Mean(headlines))
	cell.Against = against(cell.Interval, b.averageChance(model))
	return cell
}

func (b *builder) newCell(d *metrics.Distribution) *Cell {
	cell := &Cell{Value: d.Estimate}
	if i := d.Interval(b.options.Confidence); !math.IsNaN(i.Lo) {
		cell.Interval = &i
	}
	return cell
}

// against compares a whole interval with chance.
func against(i *metrics.Interval, chance float64) Against {
	switch {
	case i != nil && i.Lo > chance:
		return Above
	case i != nil && i.Hi < chance:
		return Below
	}
	return ""
}
