package reports

import (
	"math"
	"math/rand/v2"

	"github.com/glmkit/glmkit/metrics"
	"github.com/glmkit/glmkit/tasks"
)

// guesses is how often guessing is repeated. On a hundred examples the mean is
// then steady to a quarter of a point.
const guesses = 400

// chanceKind says what answers that ignore the question are.
type chanceKind int

const (
	guessing    chanceKind = iota // always one label, or labels at random
	majority                      // always one label: nothing beats it in an accuracy
	ownChoices                    // each example has candidates of its own: one at random
	nothing                       // a correlation: answers without a question have none
	meaningless                   // not a figure that is better when higher
	unguessed                     // answers are written: nobody guesses them
)

// chance is what answers that ignore the question reach in a column, from the
// gold labels of the examples that the models answered. Where each example has
// its own candidates it is the expectation of one at random. Where all have
// the same labels it is the best of: always one label; a label at random; a
// label at random at the rate of the gold labels. Accuracy is always highest
// for the majority label, but guessing beats it in a macro F1. NaN where it
// means nothing.
func chance(c column, preds []tasks.Prediction, g grouping, key uint64) float64 {
	all := make([]int, g.units)
	for i := range all {
		all[i] = i
	}
	switch c.chance {
	case meaningless, unguessed:
		return math.NaN()
	case nothing:
		return 0
	case ownChoices:
		return uniformChoice(c, preds, g, all)
	}
	predicted := make([]int, len(preds))
	score := func(answer func(i int) int) float64 {
		for i := range predicted {
			predicted[i] = answer(i)
		}
		return c.sums(preds, predicted, g).Over(all)
	}
	best := 0.0
	for label := range len(preds[0].Choices) {
		best = max(best, score(func(int) int { return label }))
	}
	if c.chance == majority {
		return best
	}
	rng := rand.New(rand.NewPCG(key, 0))
	uniform, atRate := 0.0, 0.0
	for range guesses {
		uniform += score(func(i int) int { return rng.IntN(len(preds[i].Choices)) }) / guesses
		atRate += score(func(int) int { return preds[rng.IntN(len(preds))].Label }) / guesses
	}
	return max(best, uniform, atRate)
}

// uniformChoice is the expectation of a choice at random where the metric is a
// mean over examples.
func uniformChoice(c column, preds []tasks.Prediction, g grouping, all []int) float64 {
	expected := make([]float64, len(preds))
	one := grouping{unit: []int{0}, units: 1}
	for i, p := range preds {
		for choice := range p.Choices {
			expected[i] += c.sums(preds[i:i+1], []int{choice}, one).Over([]int{0}) / float64(len(p.Choices))
		}
	}
	return metrics.MeanSums(expected, g.unit, g.units).Over(all)
}
