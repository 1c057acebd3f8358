package metrics

import (
	"math"
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

// z(0.975) + z(0.8) = 1.959964 + 0.841621 = 2.801585.
func TestMinimumDetectable(t *testing.T) {
	if got := MinimumDetectable(2, 0.05, 0.8); math.Abs(got-5.60317) > 1e-4 {
		t.Errorf("got %v, want 5.60317", got)
	}
}
