package reports

import (
	"slices"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/metrics"
)

// Table is a comparison of models, ready to be written in any format. Rows are
// models, columns are metrics in the order of the paper's SuperGLUE table.
type Table struct {
	Title      string   `json:"title,omitempty"` // of published tables alone
	Split      string   `json:"split"`
	Confidence float64  `json:"confidence"` // of the intervals
	Columns    []Column `json:"columns"`
	// Chance is what answers that ignore the question reach.
	Chance   Row   `json:"chance"`
	Measured []Row `json:"measured"` // the baseline first
	// Baseline names the row that Differences compare the others with; empty
	// where there is nothing to compare.
	Baseline    string `json:"baseline,omitempty"`
	Differences []Row  `json:"differences"` // in the order of Measured
	Published   []Row  `json:"published"`
	// Conclusions say in words where a model is ahead of the baseline, where the
	// baseline is, and where no difference was shown.
	Conclusions []string `json:"conclusions"`
	// Notes are warnings about this table's numbers, Method how they were made.
	Notes  []string `json:"notes"`
	Method []string `json:"method"`
	Made   Made     `json:"made"`
}

// chance is the row of Chance; none where no column has it.
func (t *Table) chance() []Row {
	if !slices.ContainsFunc(t.Chance.Cells, func(c *Cell) bool { return c != nil }) {
		return nil
	}
	return []Row{t.Chance}
}

// Made says how a table came about, so that it can be made again.
type Made struct {
	Baseline  string `json:"baseline"`  // Options.Baseline
	Published string `json:"published"` // Options.Published
	Plan      int    `json:"plan,omitempty"`
	// Sets names the two sets of a table of Compare.
	Sets    []string `json:"sets,omitempty"`
	Results int      `json:"results"` // how many
	// SHA256 is of what the results say, wherever their files are.
	SHA256 string `json:"sha256"`
}

// Column is one metric of a task. Behind the paper's tasks a table may have
// their average, whose Metric is empty; behind it stand tasks that are no part
// of the average, diagnostics and a user's own.
type Column struct {
	Task   string `json:"task"`
	Metric string `json:"metric,omitempty"`
	Split  string `json:"split,omitempty"` // where it is not the table's
	Alone  bool   `json:"only_metric,omitempty"`
}

func (c Column) average() bool { return c.Metric == "" }

// String names the column in a sentence, with the metric only where the task
// has another.
func (c Column) String() string {
	if c.average() || c.Alone && c.Metric == accuracyName {
		return c.Task
	}
	return c.Task + " " + c.Metric
}

// Row is one model, or the difference of one from another.
type Row struct {
	Name  string  `json:"name"`
	Model string  `json:"model,omitempty"`
	Base  string  `json:"base,omitempty"` // of a difference: what Model is compared with
	Cells []*Cell `json:"cells"`          // parallel to Table.Columns; nil: no such value
	// Notes lists the indices of the Table.Notes about a cell, by its column: for
	// one without a value, why.
	Notes map[int][]int `json:"notes,omitempty"`
}

// Against says on which side of chance a whole interval lies; empty where it
// holds chance.
type Against string

const (
	Above Against = "above" // Above chance
	Below Against = "below" // Below chance
)

// Cell is one value of a table, 0–100. A measured value is the mean over seeds.
type Cell struct {
	Value    float64           `json:"value"`
	Interval *metrics.Interval `json:"interval,omitempty"` // nil: none can be given
	Seeds    int               `json:"seeds,omitempty"`    // runs; of a difference, the fewer
	Runs     []RunValue        `json:"runs,omitempty"`     // of a measured value of a task, by seed
	Examples int               `json:"examples,omitempty"`
	Units    int               `json:"units,omitempty"` // what was resampled: examples, or what they share
	Against  Against           `json:"against_chance,omitempty"`
	Test     *Test             `json:"test,omitempty"`   // of a difference
	Source   *configs.Source   `json:"source,omitempty"` // of a published value
	// Recomputed says that a published average is over other cells than the printed.
	Recomputed bool `json:"recomputed,omitempty"`
	// Best says that the value is the highest measured in its column, and that
	// its difference from each of the others is significant.
	Best bool `json:"best,omitempty"`
}

// RunValue is what one run reached.
type RunValue struct {
	Seed  uint64  `json:"seed"`
	Value float64 `json:"value"`
}

// Test says whether a difference is more than noise.
type Test struct {
	Method string  `json:"method"` // bootstrap, McNemar or randomisation
	P      float64 `json:"p"`
	Holm   float64 `json:"p_holm"` // adjusted for the number of tests in the table
	// Significant is Holm below one less the table's confidence.
	Significant bool `json:"significant"`
	// Detectable is the least true difference that would be found with 80 %
	// power at this level, before Holm's correction. Planned is the same with as
	// many runs of each model as Options.Plan says, and AtBest with any number of
	// them on the same examples; both are 0 where single runs do not tell.
	Detectable float64 `json:"detectable"`
	Planned    float64 `json:"detectable_planned,omitempty"`
	AtBest     float64 `json:"detectable_at_best,omitempty"`
}
