// Package metrics holds the official figures of the tasks, those of generated
// text among them, and the statistics that tell a difference from noise:
// bootstrap intervals over seeds and clusters of examples, paired tests, Holm's
// correction. Everything is a pure function; random draws are keyed by the
// caller.
//
// Every metric is on the scale 0–100, Matthews' correlation from -100. A metric
// of nothing is NaN: no examples, or arguments of unequal length.
package metrics

import (
	"maps"
	"math"
	"slices"
)

// Accuracy is the share of examples whose prediction equals gold, 0–100.
func Accuracy(pred, gold []int) float64 {
	if len(pred) == 0 || len(pred) != len(gold) {
		return math.NaN()
	}
	right := 0
	for i := range pred {
		if pred[i] == gold[i] {
			right++
		}
	}
	return 100 * float64(right) / float64(len(pred))
}

// MacroF1 is the unweighted mean of the F1 of each class that occurs in gold
// or pred, 0–100: the default of scikit-learn's f1_score(average="macro"),
// which SuperGLUE's CB is scored with.
func MacroF1(pred, gold []int) float64 {
	if len(pred) == 0 || len(pred) != len(gold) {
		return math.NaN()
	}
	// Per class: how often predicted, how often gold, how often both.
	type counts struct{ pred, gold, both int }
	classes := map[int]counts{}
	for i := range pred {
		c := classes[pred[i]]
		c.pred++
		if pred[i] == gold[i] {
			c.both++
		}
		classes[pred[i]] = c
		c = classes[gold[i]]
		c.gold++
		classes[gold[i]] = c
	}
	// Few classes: summed in order of their number, for the same bits each time.
	sum := 0.0
	for _, class := range slices.Sorted(maps.Keys(classes)) {
		c := classes[class]
		sum += f1(float64(c.both), float64(c.pred), float64(c.gold))
	}
	return 100 * sum / float64(len(classes))
}

// BinaryF1 is the F1 of class 1, 0–100 (MultiRC's F1a). Where class 1 occurs
// in neither pred nor gold it is 0, as in scikit-learn.
func BinaryF1(pred, gold []int) float64 {
	if len(pred) == 0 || len(pred) != len(gold) {
		return math.NaN()
	}
	var p, g, both float64
	for i := range pred {
		if pred[i] == 1 {
			p++
		}
		if gold[i] == 1 {
			g++
		}
		if pred[i] == 1 && gold[i] == 1 {
			both++
		}
	}
	return 100 * f1(both, p, g)
}

// f1 is the harmonic mean of precision both/pred and recall both/gold.
func f1(both, pred, gold float64) float64 {
	if both == 0 {
		return 0
	}
	return 2 * both / (pred + gold)
}

// GroupedExactMatch is the share of groups all of whose examples are right,
// 0–100 (MultiRC's EM, grouped by question).
func GroupedExactMatch(pred, gold []int, group []string) float64 {
	if len(pred) == 0 || len(pred) != len(gold) || len(pred) != len(group) {
		return math.NaN()
	}
	right := map[string]bool{}
	for i, g := range group {
		soFar, seen := right[g]
		right[g] = (soFar || !seen) && pred[i] == gold[i]
	}
	n := 0
	for _, r := range right {
		if r {
			n++
		}
	}
	return 100 * float64(n) / float64(len(right))
}
