package metrics

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"
)

// means are runs whose metric is the mean of one value per unit.
func means(values ...[]float64) Runs {
	return Runs{len(values), func(seed int, units []int) float64 {
		sum := 0.0
		for _, u := range units {
			sum += values[seed][u]
		}
		return sum / float64(len(units))
	}}
}

// answers is n zeros and hundreds, right of them hundreds.
func answers(right, n int) []float64 {
	a := make([]float64, n)
	for i := range right {
		a[i] = 100
	}
	return a
}

func within(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance) {
		t.Errorf("%s: got %v, want %v ± %v", what, got, want, tolerance)
	}
}

// The standard error of a share of one run has a formula: sqrt(p(1-p)/n).
func TestStandardErrorOfAShare(t *testing.T) {
	for _, test := range []struct{ right, n int }{{50, 100}, {80, 100}, {45, 56}, {1000, 3000}} {
		p := float64(test.right) / float64(test.n)
		want := 100 * math.Sqrt(p*(1-p)/float64(test.n))
		d := Resampling{Units: test.n, Resamples: 4000}.Bootstrap(means(answers(test.right, test.n)))
		within(t, fmt.Sprintf("%d of %d: SE", test.right, test.n), d.SE(), want, 0.05*want)
		within(t, "estimate", d.Estimate, 100*p, 1e-9)
		within(t, "degrees of freedom", d.DF, float64(test.n-1), 1e-6)
		i := d.Interval(0.95)
		within(t, "lower end", i.Lo, 100*p-1.96*want, 0.25*want)
		within(t, "upper end", i.Hi, 100*p+1.96*want, 0.25*want)

		right := make([]bool, test.n)
		for k := range test.right {
			right[k] = true
		}
		share := Share(right)
		within(t, "share", share.Estimate, 100*p, 1e-9)
		within(t, "SE of the share", share.SE(), want, 0.1*want)
	}
}

// The standard error of the mean of a few seeds is s/sqrt(n), and with no
// noise from examples there are n-1 degrees of freedom.
func TestStandardErrorOfSeeds(t *testing.T) {
	flat := func(v float64) []float64 { return slices.Repeat([]float64{v}, 200) }
	d := Resampling{Units: 200, Resamples: 20000}.Bootstrap(means(flat(60), flat(62), flat(67)))
	// Mean 63, s² = (9+1+16)/2 = 13, SE² = 13/3.
	within(t, "SE", d.SE(), math.Sqrt(13./3), 0.03)
	within(t, "degrees of freedom", d.DF, 2, 0.1)
	i := d.Interval(0.95)
	// Arms are multiples of t(0.975, 2)/z(0.975) = 4.303/1.960 of the reach of
	// the resamples, which here go from the least seed (60) to the largest (67).
	within(t, "lower end", i.Lo, 63-3*4.3027/1.95996, 0.2)
	within(t, "upper end", i.Hi, 63+4*4.3027/1.95996, 0.2)
}

// Both models are right on the same examples but for a few: the standard error
// of the difference stands on those few, not on all.
func TestDifferenceIsPaired(t *testing.T) {
	a, b := answers(300, 400), answers(300, 400)
	for i := 300; i < 320; i++ {
		a[i] = 100
	}
	r := Resampling{Units: 400, Resamples: 4000}
	d := r.Difference(means(a), means(b))
	// Of n paired differences 20 are 1, the rest 0: SE = sqrt(p(1-p)/n), p = 0.05.
	within(t, "estimate", d.Estimate, 5, 1e-9)
	within(t, "SE", d.SE(), 100*math.Sqrt(.05*.95/400), 0.05)
	if p := d.P(); p > 1e-4 {
		t.Errorf("p = %v for 20 examples won and none lost", p)
	}
	if i := d.Interval(0.95); i.Contains(0) {
		t.Errorf("interval %v holds 0", i)
	}
}

func TestBootstrapIsDeterministic(t *testing.T) {
	r := Resampling{Units: 60, Resamples: 300, Key: 7}
	a, b := means(answers(40, 60), answers(30, 60)), means(answers(20, 60))
	first := r.Difference(a, b)
	if second := r.Difference(a, b); !slices.Equal(first.Replicates, second.Replicates) {
		t.Error("the same key gave other resamples")
	}
	if r.Key = 8; slices.Equal(first.Replicates, r.Difference(a, b).Replicates) {
		t.Error("another key gave the same resamples")
	}
}

func TestIntervalProperties(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for trial := range 200 {
		units, seeds := 2+rng.IntN(60), 1+rng.IntN(4)
		values := make([][]float64, seeds)
		for s := range values {
			values[s] = answers(rng.IntN(units+1), units)
			rng.Shuffle(units, func(i, j int) { values[s][i], values[s][j] = values[s][j], values[s][i] })
		}
		d := Resampling{Units: units, Resamples: 200, Key: uint64(trial)}.Bootstrap(means(values...))
		narrow, wide := d.Interval(0.8), d.Interval(0.99)
		if !wide.Contains(d.Estimate) || !narrow.Contains(d.Estimate) {
			t.Fatalf("%d units, %d seeds: estimate %v outside %v", units, seeds, d.Estimate, wide)
		}
		if wide.Lo > narrow.Lo || wide.Hi < narrow.Hi {
			t.Fatalf("99 %% interval %v does not hold the 80 %% one %v", wide, narrow)
		}
		if wide.Lo < 0 || wide.Hi > 100 {
			t.Fatalf("interval %v leaves the scale", wide)
		}
		if wide.Lo == wide.Hi {
			t.Fatalf("interval %v of %d units without width", wide, units)
		}
	}
}

// All of n right: the exact binomial lower bound is 0.025^(1/n), 96.38 of 100
// (Clopper and Pearson 1934).
func TestIntervalWithoutSpread(t *testing.T) {
	r := Resampling{Units: 100}
	i := r.Bootstrap(means(answers(100, 100))).Interval(0.95)
	within(t, "lower end", i.Lo, 96.38, 0.005)
	within(t, "upper end", i.Hi, 100, 0)
	if p := r.Difference(means(answers(100, 100)), means(answers(100, 100))).P(); p != 1 {
		t.Errorf("p = %v of no difference at all", p)
	}
	// Five units, all won: the sign test's least p is 2/2^5.
	d := Resampling{Units: 5}.Difference(means(answers(5, 5)), means(answers(0, 5)))
	within(t, "p of five wins", d.P(), 2./32, 1e-12)
}

func TestNothingToResample(t *testing.T) {
	for name, d := range map[string]*Distribution{
		"no units": Resampling{}.Bootstrap(means(nil)),
		"no seeds": Resampling{Units: 3}.Bootstrap(Runs{}),
		"one unit": Resampling{Units: 1}.Bootstrap(means([]float64{100})),
		"no tasks": Mean(nil),
	} {
		if i := d.Interval(0.95); !math.IsNaN(i.Lo) || !math.IsNaN(d.P()) {
			t.Errorf("%s: interval %v, p %v, want NaN", name, i, d.P())
		}
	}
}

func TestMeanOfIndependentFigures(t *testing.T) {
	var tasks []*Distribution
	for task := range 4 {
		tasks = append(tasks, Resampling{Units: 100, Key: uint64(task)}.Bootstrap(means(answers(50+10*task, 100))))
	}
	d := Mean(tasks)
	within(t, "estimate", d.Estimate, 65, 1e-9)
	variance := 0.0
	for _, task := range tasks {
		variance += task.SE() * task.SE()
	}
	want := math.Sqrt(variance) / 4
	within(t, "SE", d.SE(), want, 0.05*want)
	if !(d.DF > 300 && d.DF < 500) {
		t.Errorf("degrees of freedom %v, want nearly 4 × 99", d.DF)
	}
}

// A 95 % interval must hold the truth in 95 % of repetitions, and two equal
// models must be told apart in 5 %: simulated where the examples make the
// noise, where the seeds do, and where both do. Examples differ in difficulty,
// which all seeds share (a probit model). Drawing examples and seeds at once
// counts what a seed does to single examples more than once, so coverage may
// be higher than nominal.
func TestCoverage(t *testing.T) {
	tests := []struct {
		seeds, units         int
		seedSpread, hardness float64
		atLeast, atMost      float64
	}{
		{1, 60, 0, 1, .92, .98},
		{1, 300, 0, 1, .92, .98},
		{3, 100, 0.1, 1, .94, 1},
		{3, 300, 0.4, 0.3, .90, .98},
		{5, 200, 0.2, 1, .92, 1},
	}
	const repetitions = 300
	for _, test := range tests {
		t.Run(fmt.Sprintf("%d seeds, %d units, spread %v", test.seeds, test.units, test.seedSpread), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(2, 3))
			const ability = 0.5
			truth := 100 * distuv.UnitNormal.CDF(ability/math.Sqrt(1+test.seedSpread*test.seedSpread+test.hardness*test.hardness))
			draw := func(hardness []float64) Runs {
				values := make([][]float64, test.seeds)
				for s := range values {
					values[s] = make([]float64, test.units)
					skill := ability + test.seedSpread*rng.NormFloat64()
					for i, h := range hardness {
						if skill+h+rng.NormFloat64() > 0 {
							values[s][i] = 100
						}
					}
				}
				return means(values...)
			}
			covered, told := 0, 0
			for repetition := range repetitions {
				hardness := make([]float64, test.units)
				for i := range hardness {
					hardness[i] = test.hardness * rng.NormFloat64()
				}
				a, b := draw(hardness), draw(hardness)
				r := Resampling{Units: test.units, Resamples: 200, Key: uint64(repetition)}
				if r.Bootstrap(a).Interval(0.95).Contains(truth) {
					covered++
				}
				if r.Difference(a, b).P() < 0.05 {
					told++
				}
			}
			if share := float64(covered) / repetitions; share < test.atLeast || share > test.atMost {
				t.Errorf("intervals hold the truth in %.3f of repetitions, want %v to %v", share, test.atLeast, test.atMost)
			}
			if share := float64(told) / repetitions; share > 0.08 {
				t.Errorf("equal models told apart in %.3f of repetitions, want about 0.05 at most", share)
			}
		})
	}
}

func BenchmarkBootstrap(b *testing.B) {
	r := Resampling{Units: 3000}
	for range b.N {
		r.Bootstrap(means(answers(2000, 3000), answers(2100, 3000), answers(2050, 3000)))
	}
}
