package metrics

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestMinimumDetectable(t *testing.T) {
	// Many degrees of freedom: z(0.975) + z(0.8) = 1.959964 + 0.841621.
	within(t, "normal limit", MinimumDetectable(2, 1e7, 0.05, 0.8), 5.60317, 0.01)
	for _, df := range []float64{2, 4, 20, 200} {
		found := MinimumDetectable(3, df, 0.05, 0.8)
		within(t, "its power", Power(found, 3, df, 0.05), 0.8, 1e-3)
	}
	if few, many := MinimumDetectable(1, 2, 0.05, 0.8), MinimumDetectable(1, 200, 0.05, 0.8); few < 1.5*many {
		t.Errorf("%v with 2 degrees of freedom, %v with 200", few, many)
	}
	within(t, "without noise", MinimumDetectable(0, 5, 0.05, 0.8), 0, 0)
	for _, bad := range [][2]float64{{math.NaN(), 5}, {1, 0}, {1, math.NaN()}, {-1, 5}} {
		if got := MinimumDetectable(bad[0], bad[1], 0.05, 0.8); !math.IsNaN(got) {
			t.Errorf("SE %v, %v degrees of freedom: %v, want NaN", bad[0], bad[1], got)
		}
	}
}

// Without a difference power is the level of the test.
func TestPowerOfNothing(t *testing.T) {
	within(t, "power", Power(0, 1, 7, 0.05), 0.05, 1e-3)
}

func TestPlanned(t *testing.T) {
	flat := func(v float64) []float64 { return slices.Repeat([]float64{v}, 100) }
	seedsOnly := Resampling{Units: 100, Resamples: 20000}.Difference(means(flat(60), flat(62), flat(67)), means(flat(50), flat(54), flat(58)))
	// Variances 13 and 16, no noise from examples: SE² = 29/n.
	for _, n := range []int{3, 12} {
		se, df := seedsOnly.Planned(n)
		within(t, "SE of seeds", se, math.Sqrt(29/float64(n)), 0.15)
		if want := 2 * float64(n-1); df < 0.9*float64(n-1) || df > 1.2*want {
			t.Errorf("%d runs: %v degrees of freedom", n, df)
		}
	}
	// Seeds that agree: more of them help nothing.
	same := answers(70, 100)
	examplesOnly := Resampling{Units: 100, Resamples: 4000}.Bootstrap(means(same, same, same))
	few, _ := examplesOnly.Planned(3)
	many, _ := examplesOnly.Planned(100)
	within(t, "SE of examples", few, 100*math.Sqrt(.7*.3/100), 0.2)
	within(t, "SE with more runs", many, few, 1e-9)

	single := Resampling{Units: 100, Resamples: 100}.Difference(means(same), means(answers(60, 100)))
	if se, _ := single.Planned(5); !math.IsNaN(se) {
		t.Errorf("planned SE %v from single runs, want NaN", se)
	}
	mean, _ := Mean([]*Distribution{examplesOnly, examplesOnly}).Planned(3)
	within(t, "SE of a mean", mean, few/math.Sqrt2, 1e-9)
}

// What Planned says of n runs is what n runs then show, on average.
func TestPlannedComesTrue(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	model := func(seeds, units int) Runs {
		values := make([][]float64, seeds)
		for s := range values {
			drift := 8 * rng.NormFloat64()
			for u := range units {
				values[s] = append(values[s], 60+drift+25*math.Sin(float64(u))+5*rng.NormFloat64())
			}
		}
		return means(values...)
	}
	planned, found := 0.0, 0.0
	r := Resampling{Units: 80, Resamples: 200}
	for range 60 {
		se, _ := r.Bootstrap(model(4, 80)).Planned(16)
		planned += se * se
		d := r.Bootstrap(model(16, 80))
		found += d.SE() * d.SE()
	}
	within(t, "planned over found variance", planned/found, 1, 0.25)
}
