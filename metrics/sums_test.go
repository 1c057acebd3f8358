package metrics

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// Over every multiset of units a Sums must equal the plain metric of the
// examples of those units, groups of a repeated unit kept apart.
func TestSumsEqualTheMetrics(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 300 {
		units, classes := 1+rng.IntN(8), 2+rng.IntN(3)
		var pred, gold, unit []int
		var group []string
		var right []float64
		for u := range units {
			for range 1 + rng.IntN(5) {
				pred, gold, unit = append(pred, rng.IntN(classes)), append(gold, rng.IntN(classes)), append(unit, u)
				group = append(group, fmt.Sprintf("%d/%d", u, rng.IntN(2)))
				last := len(pred) - 1
				right = append(right, Accuracy(pred[last:], gold[last:]))
			}
		}
		drawn := make([]int, rng.IntN(10))
		for i := range drawn {
			drawn[i] = rng.IntN(units)
		}
		var p, g []int
		var gr []string
		for copy, u := range drawn {
			for i := range pred {
				if unit[i] == u {
					p, g = append(p, pred[i]), append(g, gold[i])
					gr = append(gr, fmt.Sprintf("%s#%d", group[i], copy))
				}
			}
		}
		for _, check := range []struct {
			name string
			sums *Sums
			want float64
		}{
			{"accuracy", MeanSums(right, unit, units), Accuracy(p, g)},
			{"macro F1", MacroF1Sums(pred, gold, classes, unit, units), MacroF1(p, g)},
			{"binary F1", BinaryF1Sums(pred, gold, unit, units), BinaryF1(p, g)},
			{"grouped exact match", GroupedExactMatchSums(pred, gold, group, unit, units), GroupedExactMatch(p, g, gr)},
			{"Matthews", MatthewsSums(pred, gold, classes, unit, units), Matthews(p, g)},
			{"gender parity", GenderParitySums(pred, group, unit, units), GenderParity(p, gr)},
		} {
			if got := check.sums.Over(drawn); !near(got, check.want) {
				t.Fatalf("%s over units %v: got %v, want %v", check.name, drawn, got, check.want)
			}
		}
	}
}
