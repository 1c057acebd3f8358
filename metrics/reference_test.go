package metrics

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// reference is what scipy and statsmodels found: testdata/gen/statistics.py
// wrote it.
func reference(t *testing.T) (r struct {
	McNemar []struct {
		OnlyA int     `json:"only_a"`
		OnlyB int     `json:"only_b"`
		P     float64 `json:"p"`
	} `json:"mcnemar"`
	Holm []struct {
		P        []float64 `json:"p"`
		Adjusted []float64 `json:"adjusted"`
	} `json:"holm"`
	Power []struct {
		Difference, SE, DF, Alpha, Power float64
	} `json:"power"`
	Detectable []struct {
		SE, Alpha, Power, Difference float64
	} `json:"detectable"`
	Exchange []struct {
		A, B  []float64
		P     float64
		Exact bool
	} `json:"exchange"`
	Bootstrap []struct {
		X          []float64
		SE, Lo, Hi float64
	} `json:"bootstrap"`
	Clustered struct {
		Clusters   [][]float64
		SE, Lo, Hi float64
	} `json:"clustered"`
}) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "statistics.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.McNemar) == 0 || len(r.Holm) == 0 || len(r.Power) == 0 || len(r.Detectable) == 0 || len(r.Exchange) == 0 || len(r.Bootstrap) == 0 || len(r.Clustered.Clusters) == 0 {
		t.Fatal("testdata/statistics.json lacks cases")
	}
	return r
}

func TestAgainstScipy(t *testing.T) {
	r := reference(t)
	for _, c := range r.McNemar {
		within(t, "McNemar", McNemar(c.OnlyA, c.OnlyB), c.P, 1e-9)
	}
	for _, c := range r.Holm {
		for i, got := range Holm(c.P) {
			within(t, "Holm", got, c.Adjusted[i], 1e-9)
		}
	}
	for _, c := range r.Power {
		within(t, "power", Power(c.Difference, c.SE, c.DF, c.Alpha), c.Power, 2e-3)
	}
	for _, c := range r.Detectable {
		within(t, "detectable", MinimumDetectable(c.SE, 1e6, c.Alpha, c.Power), c.Difference, 2e-3*c.Difference)
	}
	for _, c := range r.Exchange {
		unit := make([]int, len(c.A))
		for i := range unit {
			unit[i] = i
		}
		tolerance := 1e-12
		if !c.Exact {
			tolerance = 4 * math.Sqrt(c.P/DefaultExchanges)
		}
		within(t, "exchange", Exchange(MeanSums(c.A, unit, len(unit)), MeanSums(c.B, unit, len(unit)), 1), c.P, tolerance)
	}
}

// The percentiles that scipy finds lie inside the interval, which Student's t
// stretches by less than a fortieth here.
func TestBootstrapAgainstScipy(t *testing.T) {
	r := reference(t)
	check := func(what string, d *Distribution, se, lo, hi float64) {
		within(t, what+": SE", d.SE(), se, 0.03*se)
		i := d.Interval(0.95)
		within(t, what+": lower end", i.Lo, lo, 0.1*(hi-lo))
		within(t, what+": upper end", i.Hi, hi, 0.1*(hi-lo))
	}
	for _, c := range r.Bootstrap {
		check("mean", Resampling{Units: len(c.X), Resamples: 10000}.Bootstrap(means(c.X)), c.SE, c.Lo, c.Hi)
	}
	var values []float64
	var unit []int
	for u, cluster := range r.Clustered.Clusters {
		for _, v := range cluster {
			values, unit = append(values, v), append(unit, u)
		}
	}
	sums := MeanSums(values, unit, len(r.Clustered.Clusters))
	d := Resampling{Units: len(r.Clustered.Clusters), Resamples: 10000}.Bootstrap(Runs{1, func(_ int, units []int) float64 { return sums.Over(units) }})
	check("clusters", d, r.Clustered.SE, r.Clustered.Lo, r.Clustered.Hi)
	// Single examples would promise more than clusters can.
	if single := (Resampling{Units: len(values), Resamples: 10000}).Bootstrap(means(values)); single.SE() > 0.9*d.SE() {
		t.Errorf("SE %v of single examples, %v of clusters", single.SE(), d.SE())
	}
}
