package reports

import (
	"slices"

	"github.com/glmkit/glmkit/metrics"
	"github.com/glmkit/glmkit/tasks"
)

const accuracyName = "Acc"

// column is a metric that can be resampled.
type column struct {
	task, metric string
	// sums prepares a run whose answer to example i is predicted[i], an index
	// into its choices.
	sums func(preds []tasks.Prediction, predicted []int, g grouping) *metrics.Sums
	// ownChoices is true where each example brings its own, so that guessing
	// one label all the time means nothing.
	ownChoices bool
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

// columns is every metric column in the order of the paper's SuperGLUE table.
// tasks.Task.Score computes the same figures of a whole file; these add up over
// units, which makes thousands of resamples cheap.
var columns = []column{
	{"ReCoRD", "F1", answerSums(metrics.TokenF1), true},
	{"ReCoRD", accuracyName, answerSums(metrics.ExactMatch), true},
	{"COPA", accuracyName, accuracySums, true},
	{"WSC", accuracyName, accuracySums, false},
	{"RTE", accuracyName, accuracySums, false},
	{"BoolQ", accuracyName, accuracySums, false},
	{"WiC", accuracyName, accuracySums, false},
	{"CB", "F1", classSums(metrics.MacroF1Sums), false},
	{"CB", accuracyName, accuracySums, false},
	{"MultiRC", "F1a", labelSums(metrics.BinaryF1Sums), false},
	{"MultiRC", "EM", exactMatchSums, false},
}

// taskOrder lists the tasks of columns, each once.
func taskOrder() []string {
	var names []string
	for _, c := range columns {
		if len(names) == 0 || names[len(names)-1] != c.task {
			names = append(names, c.task)
		}
	}
	return names
}

// metricsOf lists the columns of a task.
func metricsOf(task string) []column {
	var of []column
	for _, c := range columns {
		if c.task == task {
			of = append(of, c)
		}
	}
	return of
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
