package metrics

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// McNemar is the exact two-sided p-value of McNemar's test: whether two models
// that answered the same examples are equally often right. onlyA counts the
// examples that only the first has right, onlyB those that only the second
// has. It is a binomial test of the examples on which they disagree; 1 where
// there are none.
func McNemar(onlyA, onlyB int) float64 {
	n := onlyA + onlyB
	if n == 0 {
		return 1
	}
	tail := distuv.Binomial{N: float64(n), P: 0.5}.CDF(float64(min(onlyA, onlyB)))
	return min(2*tail, 1)
}

// Holm adjusts p-values for their number (Holm 1979): comparing each with the
// level keeps the chance of any false finding among all of them below that
// level. NaN stays NaN and does not count.
func Holm(p []float64) []float64 {
	var order []int
	adjusted := make([]float64, len(p))
	for i, v := range p {
		adjusted[i] = v
		if !math.IsNaN(v) {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(i, j int) int {
		switch {
		case p[i] < p[j]:
			return -1
		case p[i] > p[j]:
			return 1
		}
		return 0
	})
	largest := 0.0
	for rank, i := range order {
		largest = max(largest, min(float64(len(order)-rank)*p[i], 1))
		adjusted[i] = largest
	}
	return adjusted
}

// MinimumDetectable is the least true difference that a two-sided test at
// level alpha finds with the given power, when the difference is measured with
// standard error se: (z(1-alpha/2) + z(power)) se (Cohen 1988; for NLP, Card
// et al. 2020).
func MinimumDetectable(se, alpha, power float64) float64 {
	return (distuv.UnitNormal.Quantile(1-alpha/2) + distuv.UnitNormal.Quantile(power)) * se
}
