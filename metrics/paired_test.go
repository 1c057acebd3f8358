package metrics

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestMcNemar(t *testing.T) {
	tests := []struct {
		name         string
		onlyA, onlyB int
		want         float64
	}{
		{"no disagreement", 0, 0, 1},
		{"even", 5, 5, 1},
		{"one", 1, 0, 1},
		// By hand: 2 (1 + 10) / 2^10.
		{"9 to 1", 9, 1, 22. / 1024},
		{"order does not matter", 1, 9, 22. / 1024},
		{"6 to 0", 6, 0, 2. / 64},
		// Twice the sum of C(n, k)/2^n for k up to the smaller count.
		{"12 to 4", 12, 4, 0.076812744140625},
		{"larger", 60, 40, 0.05688793364098},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := McNemar(test.onlyA, test.onlyB); math.Abs(got-test.want) > 1e-9 {
				t.Errorf("got %.12f, want %.12f", got, test.want)
			}
		})
	}
}

func TestHolm(t *testing.T) {
	nan := math.NaN()
	tests := []struct {
		name    string
		p, want []float64
	}{
		// Sorted .005 .01 .03 .04 times 4 3 2 1, made monotone.
		{"four", []float64{.01, .04, .03, .005}, []float64{.03, .06, .06, .02}},
		{"capped at 1", []float64{.6, .9}, []float64{1, 1}},
		{"one test is left alone", []float64{.04}, []float64{.04}},
		{"missing tests do not count", []float64{nan, .02, nan, .03}, []float64{nan, .04, nan, .04}},
		{"ties", []float64{.02, .02}, []float64{.04, .04}},
		{"none", nil, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := Holm(test.p)
			if len(got) != len(test.want) {
				t.Fatalf("%d values, want %d", len(got), len(test.want))
			}
			for i := range got {
				if !near(got[i], test.want[i]) {
					t.Errorf("value %d: got %v, want %v", i, got[i], test.want[i])
				}
			}
		})
	}
}

func TestExchange(t *testing.T) {
	units := func(n int) (u []int) {
		for i := range n {
			u = append(u, i)
		}
		return u
	}
	mean := func(values []float64) *Sums { return MeanSums(values, units(len(values)), len(values)) }
	// Five units, all won by a: of 2^5 exchanges two are as far apart.
	within(t, "five wins", Exchange(mean(answers(5, 5)), mean(answers(0, 5)), 1), 2./32, 1e-12)
	within(t, "a model and itself", Exchange(mean(answers(30, 60)), mean(answers(30, 60)), 1), 1, 1e-12)
	// For accuracies it is McNemar's test.
	a, b := answers(60, 100), answers(40, 100)
	within(t, "McNemar", Exchange(mean(a), mean(b), 1), McNemar(20, 0), 2e-4)
	if got := Exchange(mean(nil), mean(nil), 1); !math.IsNaN(got) {
		t.Errorf("of nothing: %v, want NaN", got)
	}
	first := Exchange(mean(answers(50, 100)), MeanSums(append(answers(0, 60), answers(40, 40)...), units(100), 100), 7)
	if again := Exchange(mean(answers(50, 100)), MeanSums(append(answers(0, 60), answers(40, 40)...), units(100), 100), 7); first != again {
		t.Errorf("the same key gave %v and %v", first, again)
	}
}

func TestPairedChoosesTheTest(t *testing.T) {
	unit := []int{0, 1, 2, 3}
	gold, right, wrong := []int{1, 0, 1, 0}, []int{1, 0, 1, 0}, []int{1, 1, 0, 1}
	for _, test := range []struct {
		name   string
		a, b   *Sums
		method string
		p      float64
	}{
		{"accuracy", MeanSums([]float64{100, 100, 100, 100}, unit, 4), MeanSums([]float64{100, 0, 0, 0}, unit, 4), MethodMcNemar, 2. / 8},
		{"answers half right", MeanSums([]float64{100, 100, 100, 50}, unit, 4), MeanSums([]float64{100, 0, 0, 0}, unit, 4), MethodExchange, 2. / 8},
		{"examples of one passage", MeanSums([]float64{100, 100, 100, 100}, []int{0, 0, 1, 1}, 2), MeanSums([]float64{0, 0, 0, 0}, []int{0, 0, 1, 1}, 2), MethodExchange, 2. / 4},
		{"questions of MultiRC", GroupedExactMatchSums(right, gold, []string{"q", "q", "r", "r"}, []int{0, 0, 1, 1}, 2), GroupedExactMatchSums(wrong, gold, []string{"q", "q", "r", "r"}, []int{0, 0, 1, 1}, 2), MethodMcNemar, 2. / 4},
		{"F1", BinaryF1Sums(right, gold, unit, 4), BinaryF1Sums(wrong, gold, unit, 4), MethodExchange, 2. / 8},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, method := Paired(test.a, test.b, 1)
			if method != test.method || !near(p, test.p) {
				t.Errorf("%s with p %v, want %s with %v", method, p, test.method, test.p)
			}
		})
	}
}

// Two equal models are told apart in about one of twenty cases, as promised.
func TestExchangeKeepsItsLevel(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 9))
	const trials, n = 150, 30
	units := make([]int, n)
	for i := range units {
		units[i] = i
	}
	told := 0
	for trial := range trials {
		gold, a, b := make([]int, n), make([]int, n), make([]int, n)
		for i := range gold {
			gold[i], a[i], b[i] = rng.IntN(2), rng.IntN(2), rng.IntN(2)
		}
		if Exchange(BinaryF1Sums(a, gold, units, n), BinaryF1Sums(b, gold, units, n), uint64(trial)) < 0.05 {
			told++
		}
	}
	if told > trials/10 {
		t.Errorf("equal models told apart in %d of %d trials", told, trials)
	}
}
