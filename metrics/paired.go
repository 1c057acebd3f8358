package metrics

import (
	"math"
	"math/rand/v2"
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

// Methods of Paired.
const (
	MethodMcNemar  = "McNemar"
	MethodExchange = "randomisation"
)

// Paired is the p-value of whether two models' answers to the same units, in
// one run each, are equally good, and the test that gave it: McNemar's exact
// one where each unit is right or wrong, as in an accuracy of independent
// examples; else Exchange.
func Paired(a, b *Sums, key uint64) (p float64, method string) {
	rightA, shareA := a.outcomes()
	rightB, shareB := b.outcomes()
	if !shareA || !shareB || len(rightA) != len(rightB) {
		return Exchange(a, b, key), MethodExchange
	}
	onlyA, onlyB := 0, 0
	for u := range rightA {
		switch {
		case rightA[u] && !rightB[u]:
			onlyA++
		case rightB[u] && !rightA[u]:
			onlyB++
		}
	}
	return McNemar(onlyA, onlyB), MethodMcNemar
}

// outcomes tells of each unit whether it is right, where the metric is a share
// of units.
func (s *Sums) outcomes() (right []bool, ok bool) {
	if !s.share {
		return nil, false
	}
	for u := range len(s.perUnit) / s.width {
		row := s.of(u)
		if row[1] != 1 || row[0] != 0 && row[0] != 100 {
			return nil, false
		}
		right = append(right, row[0] == 100)
	}
	return right, len(right) > 0
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

// DefaultExchanges is how many random exchanges a test draws: the least p-value
// is then one in ten thousand.
const DefaultExchanges = 9999

// exhaustive is the number of exchangeable units up to which all exchanges are
// tried: 2^13 are fewer than DefaultExchanges.
const exhaustive = 13

// Exchange is the two-sided p-value of the approximate randomisation test
// (Noreen 1989; for F1 scores, Yeh 2000): were two models equal, each unit's
// answers could as well have come from the other, so the difference found is
// compared with those after exchanging the answers of units at random. Of few
// units all exchanges are tried, and the p-value is exact; units whose sums are
// equal change nothing and are left alone. a and b are the same metric over the
// same units; NaN where it is not a number.
func Exchange(a, b *Sums, key uint64) float64 {
	var units []int
	for u := range len(a.perUnit) / a.width {
		if !slices.Equal(a.of(u), b.of(u)) {
			units = append(units, u)
		}
	}
	totalA, totalB := make([]float64, a.width), make([]float64, b.width)
	difference := func(exchanged func(i int) bool) float64 {
		clear(totalA)
		clear(totalB)
		i := 0
		for u := range len(a.perUnit) / a.width {
			first, second := a.of(u), b.of(u)
			if i < len(units) && units[i] == u {
				if exchanged(i) {
					first, second = second, first
				}
				i++
			}
			for k := range first {
				totalA[k] += first[k]
				totalB[k] += second[k]
			}
		}
		return math.Abs(a.value(totalA) - b.value(totalB))
	}
	found := difference(func(int) bool { return false })
	if math.IsNaN(found) {
		return math.NaN()
	}
	// Sums in another order differ in their last bits.
	reach := found - 1e-9
	if len(units) <= exhaustive {
		all, as := 1<<len(units), 0
		for which := range all {
			if difference(func(i int) bool { return which>>i&1 == 1 }) >= reach {
				as++
			}
		}
		return float64(as) / float64(all)
	}
	rng := rand.New(rand.NewPCG(key, 0))
	as := 1 // the answers as they are
	for range DefaultExchanges {
		var bits uint64
		if difference(func(i int) bool {
			if i%64 == 0 {
				bits = rng.Uint64()
			}
			return bits>>(i%64)&1 == 1
		}) >= reach {
			as++
		}
	}
	return float64(as) / (DefaultExchanges + 1)
}
