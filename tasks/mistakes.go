package tasks

import (
	"cmp"
	"math"
	"slices"

	"github.com/glmkit/glmkit/metrics"
)

// wrong tells whether a prediction is wrong: not the label or, where answers are
// compared as texts, none of the right ones. One without a right answer is not.
func (t *Task) wrong(p Prediction) bool {
	if t.reader.name == "ReCoRD" {
		return metrics.ExactMatch(p.Answer, p.Gold) == 0
	}
	return p.Label >= 0 && p.Predicted != p.Label
}

// Probability is what the model gave a choice; NaN where it only said whether it
// would write the answer.
func (p Prediction) Probability(choice int) float64 {
	if len(p.Scores) != len(p.Choices) || choice < 0 || choice >= len(p.Scores) {
		return math.NaN()
	}
	return math.Exp(p.Scores[choice])
}

// Mistakes are the wrong predictions, the most confident first, those of equal
// probability in their order.
func (t *Task) Mistakes(preds []Prediction) []Prediction {
	wrong := slices.DeleteFunc(slices.Clone(preds), func(p Prediction) bool { return !t.wrong(p) })
	slices.SortStableFunc(wrong, func(a, b Prediction) int {
		return cmp.Compare(b.Probability(b.Predicted), a.Probability(a.Predicted))
	})
	return wrong
}
