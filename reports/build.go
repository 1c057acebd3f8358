package reports

import (
	"cmp"
	"errors"
	"fmt"
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
	Published  string  // base, large, all or none; empty: none
	Confidence float64 // of intervals, and of tests one less it; 0: 0.95
	Resamples  int     // 0: metrics.DefaultResamples
	Key        uint64  // of the bootstrap's draws
}

// PublishedGroups lists the values of Options.Published.
var PublishedGroups = []string{"base", "large", "all", "none"}

// Build makes the table of results on SuperGLUE's eight tasks, all of one split.
// Those on other tasks are told in the notes. Results that do not belong into one
// row are a corpus.DataError, options that name nothing a configs.Error.
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
	results, others := columned(results)
	if len(results) == 0 {
		return nil, &corpus.DataError{
			Path: others[0].path,
			Err:  fmt.Errorf("is of %s, and no result is of one of the table's tasks", others[0].Task),
			Hint: "the table compares models on " + strings.Join(taskOrder(), ", ") + "; glmkit eval prints the metrics of other tasks",
		}
	}
	b := &builder{options: o, cells: map[string]map[string]*runs{}, others: others}
	// The order of seeds decides which of them a resample draws.
	results = slices.SortedStableFunc(slices.Values(results), func(r, s *Result) int { return cmp.Compare(r.Seed, s.Seed) })
	for _, r := range results {
		if first := results[0]; r.Split != first.Split {
			return nil, &corpus.DataError{
				Path: r.path,
				Err:  fmt.Errorf("is of split %s, but %s is of %s", r.Split, first.path, first.Split),
				Hint: "report the splits apart",
			}
		}
		if err := b.add(r); err != nil {
			return nil, err
		}
	}
	b.table.Split = results[0].Split
	b.table.Confidence = o.Confidence
	if err := b.arrange(); err != nil {
		return nil, err
	}
	b.measure()
	b.compare()
	b.conclude()
	b.warn()
	b.explain()
	if err := b.publish(); err != nil {
		return nil, err
	}
	return &b.table, nil
}

// builder holds what the parts of a table are computed from.
type builder struct {
	options Options
	others  []*Result // on tasks without a column
	table   Table
	cells   map[string]map[string]*runs // by model, by task
	models  []string                    // the baseline first
	tasks   []string                    // measured for any model, in the paper's order
	common  []string                    // measured for every model
}

// runs are one model's results on one task: the same examples, other seeds.
type runs struct {
	results []*Result
	preds   [][]tasks.Prediction // of each result, in one order
	group   grouping
	chance  []float64 // of each metric of the task
}

// columned parts the results on tasks of the table from the others.
func columned(all []*Result) (results, others []*Result) {
	for _, r := range all {
		if slices.Contains(taskOrder(), r.Task) {
			results = append(results, r)
		} else {
			others = append(others, r)
		}
	}
	return results, others
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
	case !sameExamples(c.preds[0], preds):
		return refuse("the examples they answered")
	}
	c.results = append(c.results, r)
	c.preds = append(c.preds, preds)
	return nil
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
	baseline, err := b.findBaseline()
	if err != nil {
		return err
	}
	if baseline != "" {
		b.models = slices.DeleteFunc(b.models, func(m string) bool { return m == baseline })
		b.models = slices.Insert(b.models, 0, baseline)
	}
	b.table.Baseline = baseline

	for _, task := range taskOrder() {
		have := 0
		for _, model := range b.models {
			if b.cells[model][task] != nil {
				have++
			}
		}
		if have == 0 {
			continue
		}
		b.tasks = append(b.tasks, task)
		if have == len(b.models) {
			b.common = append(b.common, task)
		}
		for _, c := range metricsOf(task) {
			b.table.Columns = append(b.table.Columns, Column{task, c.metric})
		}
	}
	if b.averaged() {
		name := "Avg"
		if !b.complete() {
			name = fmt.Sprintf("Avg of %d", len(b.common))
		}
		b.table.Columns = append(b.table.Columns, Column{Task: name})
	}
	return nil
}

// averaged tells whether the table has an average: over one task it is none.
func (b *builder) averaged() bool { return len(b.common) > 1 }

// complete tells whether the average is the paper's, over all tasks.
func (b *builder) complete() bool { return len(b.common) == len(taskOrder()) }

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
func (b *builder) resampling(task string, c *runs) metrics.Resampling {
	return metrics.Resampling{
		Units:     c.group.units,
		Resamples: b.options.Resamples,
		Key:       b.options.Key + uint64(slices.Index(taskOrder(), task)) + 1,
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
				for _, column := range metricsOf(task) {
					c.chance = append(c.chance, chance(column, c.preds[0], c.group, b.options.Key))
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
	for _, task := range b.tasks {
		for _, model := range b.models {
			if c := b.cells[model][task]; c != nil {
				for _, value := range c.chance {
					row.Cells = append(row.Cells, &Cell{Value: value})
				}
				break
			}
		}
	}
	if b.averaged() {
		row.Cells = append(row.Cells, &Cell{Value: b.averageChance(b.models[0])})
	}
	return row
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
	var headlines []*metrics.Distribution
	for _, task := range b.tasks {
		c := b.cells[model][task]
		for i, column := range metricsOf(task) {
			if c == nil {
				row.Cells = append(row.Cells, nil)
				continue
			}
			cell := b.newCell(b.resampling(task, c).Bootstrap(c.bootstrapped(column)))
			cell.Seeds, cell.Examples, cell.Units = len(c.results), len(c.preds[0]), c.group.units
			cell.Against = against(cell.Interval, c.chance[i])
			row.Cells = append(row.Cells, cell)
		}
		if slices.Contains(b.common, task) {
			headlines = append(headlines, b.resampling(task, c).Bootstrap(c.bootstrapped(metricsOf(task)...)))
		}
	}
	if b.averaged() {
		cell := b.newCell(metrics.Mean(headlines))
		cell.Against = against(cell.Interval, b.averageChance(model))
		row.Cells = append(row.Cells, cell)
	}
	return row
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
