package metrics

import "math"

// Sums is one run's metric in the form that a bootstrap needs: every official
// metric is a function of sums over the examples, so the examples of a unit
// are added up once, and the metric over any draw of units costs one addition
// per unit drawn. Grouped metrics count a group as often as its unit is drawn.
//
// The examples of a run come with unit, the index of each example's unit, from
// 0 to units-1. A Sums is not safe for concurrent use.
type Sums struct {
	width   int
	perUnit []float64 // width values for each unit
	total   []float64 // of one call of Over
	value   func(total []float64) float64
	share   bool // each row is a sum of values and their number
}

func newSums(width, units int, value func([]float64) float64) *Sums {
	return &Sums{width: width, perUnit: make([]float64, width*units), total: make([]float64, width), value: value}
}

// newShare is newSums of a mean over examples.
func newShare(units int) *Sums {
	s := newSums(2, units, func(total []float64) float64 {
		if total[1] == 0 {
			return math.NaN()
		}
		return total[0] / total[1]
	})
	s.share = true
	return s
}

// of is the row of sums of a unit.
func (s *Sums) of(unit int) []float64 { return s.perUnit[unit*s.width : (unit+1)*s.width] }

// Over is the metric over units, 0–100; NaN over none.
func (s *Sums) Over(units []int) float64 {
	clear(s.total)
	for _, u := range units {
		for i, v := range s.of(u) {
			s.total[i] += v
		}
	}
	return s.value(s.total)
}

// MeanSums is the mean of a value that each example has, 0–100: ReCoRD's EM
// and F1, or accuracy where right is 100 and wrong 0.
func MeanSums(values []float64, unit []int, units int) *Sums {
	s := newShare(units)
	for i, v := range values {
		row := s.of(unit[i])
		row[0] += v
		row[1]++
	}
	return s
}

// MacroF1Sums is MacroF1 over the units drawn. Classes are numbered from 0 to
// classes-1.
func MacroF1Sums(pred, gold []int, classes int, unit []int, units int) *Sums {
	// Per class: predicted, gold, both.
	s := newSums(3*classes, units, func(total []float64) float64 {
		sum, present := 0.0, 0.0
		for c := 0; c < len(total); c += 3 {
			if total[c]+total[c+1] > 0 {
				present++
				sum += f1(total[c+2], total[c], total[c+1])
			}
		}
		if present == 0 {
			return math.NaN()
		}
		return 100 * sum / present
	})
	for i := range pred {
		row := s.of(unit[i])
		row[3*pred[i]]++
		row[3*gold[i]+1]++
		if pred[i] == gold[i] {
			row[3*pred[i]+2]++
		}
	}
	return s
}

// BinaryF1Sums is BinaryF1 over the units drawn.
func BinaryF1Sums(pred, gold []int, unit []int, units int) *Sums {
	s := newSums(4, units, func(total []float64) float64 {
		if total[3] == 0 {
			return math.NaN()
		}
		return 100 * f1(total[2], total[0], total[1])
	})
	for i := range pred {
		row := s.of(unit[i])
		if pred[i] == 1 {
			row[0]++
		}
		if gold[i] == 1 {
			row[1]++
		}
		if pred[i] == 1 && gold[i] == 1 {
			row[2]++
		}
		row[3]++
	}
	return s
}

// GroupedExactMatchSums is GroupedExactMatch over the units drawn. All
// examples of a group belong to one unit.
func GroupedExactMatchSums(pred, gold []int, group []string, unit []int, units int) *Sums {
	wrong := map[string]bool{}
	for i, g := range group {
		wrong[g] = wrong[g] || pred[i] != gold[i]
	}
	s := newShare(units)
	seen := map[string]bool{}
	for i, g := range group {
		if seen[g] {
			continue
		}
		seen[g] = true
		row := s.of(unit[i])
		row[1]++
		if !wrong[g] {
			row[0] += 100
		}
	}
	return s
}

// MatthewsSums is Matthews over the units drawn. Classes are numbered from 0 to
// classes-1.
func MatthewsSums(pred, gold []int, classes int, unit []int, units int) *Sums {
	// Per class: predicted, gold; then right ones, and all.
	s := newSums(2*classes+2, units, func(total []float64) float64 {
		right, n := total[len(total)-2], total[len(total)-1]
		if n == 0 {
			return math.NaN()
		}
		var both, predicted, actual float64
		for c := 0; c < len(total)-2; c += 2 {
			both += total[c] * total[c+1]
			predicted += total[c] * total[c]
			actual += total[c+1] * total[c+1]
		}
		spread := math.Sqrt(n*n-predicted) * math.Sqrt(n*n-actual)
		if spread == 0 {
			return 0
		}
		return 100 * (n*right - both) / spread
	})
	for i := range pred {
		row := s.of(unit[i])
		row[2*pred[i]]++
		row[2*gold[i]+1]++
		if pred[i] == gold[i] {
			row[2*classes]++
		}
		row[2*classes+1]++
	}
	return s
}

// GenderParitySums is GenderParity over the units drawn. Both examples of a
// pair belong to one unit.
func GenderParitySums(pred []int, pair []string, unit []int, units int) *Sums {
	s := newShare(units)
	first := map[string]int{}
	for i, p := range pair {
		j, ok := first[p]
		if !ok {
			first[p] = i
			continue
		}
		row := s.of(unit[i])
		row[1]++
		if pred[i] == pred[j] {
			row[0] += 100
		}
		delete(first, p)
	}
	return s
}
