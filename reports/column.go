package reports

import (
	"math"
	"slices"

	"github.com/glmkit/glmkit/metrics"
	"github.com/glmkit/glmkit/tasks"
)

const (
	accuracyName = "Acc"
	parityName   = "Parity" // which is not better when higher
)

// column is a metric of a task.
type column struct {
	task, metric string
	// sums prepares a run whose answer to example i is predicted[i], an index
	// into its choices; nil where the metric cannot be resampled.
	sums   func(preds []tasks.Prediction, predicted []int, g grouping) *metrics.Sums
	chance chanceKind
	lowest float64 // of its scale
}

// grouping says which examples depend on each other: they are one unit of
// resampling.
type grouping struct {
	unit  []int // of each example
	units int
}

// byQuestion are the tasks whose questions count as independent: MultiRC's are
// what its exact match counts, and AX-g's are pairs of sentences. Elsewhere all
// examples of a passage are one unit.
var byQuestion = []string{"MultiRC", "AX-g"}

// groupExamples finds the units of a task's examples.
func groupExamples(task string, preds []tasks.Prediction) grouping {
	g := grouping{unit: make([]int, len(preds))}
	index := map[string]int{}
	for i, p := range preds {
		key := p.Passage
		if key == "" {
			key = p.ID
		}
		if slices.Contains(byQuestion, task) {
			key = p.Question
		}
		u, seen := index[key]
		if !seen {
			u = len(index)
			index[key] = u
		}
		g.unit[i] = u
	}
	g.units = len(index)
	return g
}

// columns is every metric column of the paper's SuperGLUE table in its order,
// and then those of the diagnostics. tasks.Task.Score computes the same figures
// of a whole file; these add up over units, which makes thousands of resamples
// cheap.
var columns = []column{
	{"ReCoRD", "F1", answerSums(metrics.TokenF1), ownChoices, 0},
	{"ReCoRD", accuracyName, answerSums(metrics.ExactMatch), ownChoices, 0},
	{"COPA", accuracyName, accuracySums, ownChoices, 0},
	{"WSC", accuracyName, accuracySums, majority, 0},
	{"RTE", accuracyName, accuracySums, majority, 0},
	{"BoolQ", accuracyName, accuracySums, majority, 0},
	{"WiC", accuracyName, accuracySums, majority, 0},
	{"CB", "F1", classSums(metrics.MacroF1Sums), guessing, 0},
	{"CB", accuracyName, accuracySums, majority, 0},
	{"MultiRC", "F1a", labelSums(metrics.BinaryF1Sums), guessing, 0},
	{"MultiRC", "EM", exactMatchSums, guessing, 0},
	{"AX-b", "MCC", classSums(metrics.MatthewsSums), nothing, -100},
	{"AX-g", parityName, paritySums, meaningless, 0},
	{"AX-g", accuracyName, accuracySums, majority, 0},
}

// figures are the columns that a metric of a user's task may be, by the name in
// its results: one name can stand for different figures, of which the one that
// gives the values written is taken.
var figures = map[string][]column{
	"accuracy": {{"", accuracyName, accuracySums, majority, 0}},
	"f1": {{"", "F1", classSums(metrics.MacroF1Sums), guessing, 0}, {"", "F1", labelSums(metrics.BinaryF1Sums), guessing, 0},
		{"", "F1", answerSums(metrics.SQuADF1), unguessed, 0}, {"", "F1", answerSums(metrics.TokenF1), ownChoices, 0}},
	"f1a":      {{"", "F1a", labelSums(metrics.BinaryF1Sums), guessing, 0}},
	"em":       {{"", "EM", exactMatchSums, guessing, 0}, {"", "EM", answerSums(metrics.SQuADExactMatch), unguessed, 0}, {"", "EM", answerSums(metrics.ExactMatch), ownChoices, 0}},
	"matthews": {{"", "MCC", classSums(metrics.MatthewsSums), nothing, -100}},
	"parity":   {{"", parityName, paritySums, meaningless, 0}},

	"rouge1":     {{"", "RG-1", rougeSums(func(r metrics.Rouge) metrics.Overlap { return r.One }), unguessed, 0}},
	"rouge2":     {{"", "RG-2", rougeSums(func(r metrics.Rouge) metrics.Overlap { return r.Two }), unguessed, 0}},
	"rougeL":     {{"", "RG-L", rougeSums(func(r metrics.Rouge) metrics.Overlap { return r.L }), unguessed, 0}},
	"rougeLsum":  {{"", "RG-Lsum", rougeSums(func(r metrics.Rouge) metrics.Overlap { return r.LSum }), unguessed, 0}},
	"bleu":       {{"", "BLEU", bleuSums(metrics.SacreBLEU), unguessed, 0}},
	"multi_bleu": {{"", "multi-BLEU", bleuSums(metrics.MultiBLEU), unguessed, 0}},
}

// paperTasks lists the tasks of the paper's table in its order.
func paperTasks() []string { return knownTasks()[:len(tasks.Names())] }

// knownTasks lists the tasks of columns, each once.
func knownTasks() []string {
	var names []string
	for _, c := range columns {
		if len(names) == 0 || names[len(names)-1] != c.task {
			names = append(names, c.task)
		}
	}
	return names
}

// metricsOf lists the columns of a known task.
func metricsOf(task string) []column {
	var of []column
	for _, c := range columns {
		if c.task == task {
			of = append(of, c)
		}
	}
	return of
}

// over is the figure over all examples of a run.
func (c column) over(preds []tasks.Prediction, g grouping) float64 {
	all := make([]int, g.units)
	for i := range all {
		all[i] = i
	}
	return c.sums(preds, predictedOf(preds), g).Over(all)
}

// columnsFor finds the columns of a user's task among figures: those that give
// what all results of the task say. A metric that none gives has no sums.
func columnsFor(task string, of []*runs) []column {
	var found []column
	for i, m := range of[0].results[0].Metrics {
		fits := column{task: task, metric: m.Name}
		for _, c := range figures[m.Name] {
			if gives(c, i, m.Name, of) {
				fits = c
				fits.task = task
				if c.chance == majority && choicesDiffer(of[0].preds[0]) {
					fits.chance = ownChoices
				}
				break
			}
		}
		found = append(found, fits)
	}
	return found
}

// gives tells whether c gives metric i of every result.
func gives(c column, i int, name string, of []*runs) bool {
	for _, runs := range of {
		for seed, preds := range runs.preds {
			written := runs.results[seed].Metrics
			if i >= len(written) || written[i].Name != name || !c.computable(preds) || math.Abs(c.over(preds, runs.group)-written[i].Value) > 1e-6 {
				return false
			}
		}
	}
	return true
}

// choicesDiffer tells whether examples bring their own candidates.
func choicesDiffer(preds []tasks.Prediction) bool {
	return slices.ContainsFunc(preds, func(p tasks.Prediction) bool { return !slices.Equal(p.Choices, preds[0].Choices) })
}

// computable tells whether the examples have what the figure needs: answers in
// words, or a label among the choices.
func (c column) computable(preds []tasks.Prediction) bool {
	return !slices.ContainsFunc(preds, func(p tasks.Prediction) bool {
		switch c.chance {
		case ownChoices:
			return len(p.Gold) == 0
		case unguessed:
			return len(p.Gold) == 0 || len(p.Choices) != 1
		}
		return p.Label < 0 || p.Label >= len(p.Choices)
	})
}

func accuracySums(preds []tasks.Prediction, predicted []int, g grouping) *metrics.Sums {
	right := make([]float64, len(preds))
	for i, p := range preds {
		if predicted[i] == p.Label {
			right[i] = 100
		}
	}
	return metrics.MeanSums(right, g.unit, g.units)
}

func answerSums(score func(string, []string) float64) func([]tasks.Prediction, []int, grouping) *metrics.Sums {
	return func(preds []tasks.Prediction, predicted []int, g grouping) *metrics.Sums {
		values := make([]float64, len(preds))
		for i, p := range preds {
			values[i] = score(p.Choices[predicted[i]], p.Gold)
		}
		return metrics.MeanSums(values, g.unit, g.units)
	}
}

func rougeSums(which func(metrics.Rouge) metrics.Overlap) func([]tasks.Prediction, []int, grouping) *metrics.Sums {
	return answerSums(func(text string, golds []string) float64 { return which(tasks.ROUGE(text, golds[0])).F1 })
}

func bleuSums(style metrics.BLEUStyle) func([]tasks.Prediction, []int, grouping) *metrics.Sums {
	return func(preds []tasks.Prediction, predicted []int, g grouping) *metrics.Sums {
		texts, golds := make([]string, len(preds)), make([][]string, len(preds))
		for i, p := range preds {
			texts[i], golds[i] = p.Choices[predicted[i]], p.Gold
		}
		return metrics.BLEUSums(texts, golds, style, g.unit, g.units)
	}
}

func labelSums(sums func(pred, gold, unit []int, units int) *metrics.Sums) func([]tasks.Prediction, []int, grouping) *metrics.Sums {
	return func(preds []tasks.Prediction, predicted []int, g grouping) *metrics.Sums {
		return sums(predicted, goldOf(preds), g.unit, g.units)
	}
}

// classSums is labelSums of a metric that needs the number of labels.
func classSums(sums func(pred, gold []int, classes int, unit []int, units int) *metrics.Sums) func([]tasks.Prediction, []int, grouping) *metrics.Sums {
	return func(preds []tasks.Prediction, predicted []int, g grouping) *metrics.Sums {
		classes := 0
		for _, p := range preds {
			classes = max(classes, len(p.Choices))
		}
		return sums(predicted, goldOf(preds), classes, g.unit, g.units)
	}
}

func exactMatchSums(preds []tasks.Prediction, predicted []int, g grouping) *metrics.Sums {
	questions := make([]string, len(preds))
	for i, p := range preds {
		questions[i] = p.Question
	}
	return metrics.GroupedExactMatchSums(predicted, goldOf(preds), questions, g.unit, g.units)
}

func paritySums(preds []tasks.Prediction, predicted []int, g grouping) *metrics.Sums {
	pairs := make([]string, len(preds))
	for i, p := range preds {
		pairs[i] = p.Question
	}
	return metrics.GenderParitySums(predicted, pairs, g.unit, g.units)
}

func goldOf(preds []tasks.Prediction) []int {
	gold := make([]int, len(preds))
	for i, p := range preds {
		gold[i] = p.Label
	}
	return gold
}

func predictedOf(preds []tasks.Prediction) []int {
	predicted := make([]int, len(preds))
	for i, p := range preds {
		predicted[i] = p.Predicted
	}
	return predicted
}
