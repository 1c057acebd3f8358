package metrics

import (
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// DefaultResamples is how many samples a bootstrap draws: the 2.5 % points of
// an interval stand on 50 of them.
const DefaultResamples = 2000

// Interval is a confidence interval.
type Interval struct {
	Lo         float64 `json:"lo"`
	Hi         float64 `json:"hi"`
	Confidence float64 `json:"confidence"` // nominal, e.g. 0.95
}

// Contains tells whether v lies in the interval, ends included.
func (i Interval) Contains(v float64) bool { return i.Lo <= v && v <= i.Hi }

// Runs are the runs of one model over the same examples with different seeds.
type Runs struct {
	Seeds int
	// Stat is the metric of one run, 0–100, over the units drawn: indices from 0 to
	// Resampling.Units, repeated as often as drawn. It must not keep the slice.
	Stat func(seed int, units []int) float64
}

// Resampling says what a bootstrap draws. A unit is what is independent of the
// others: an example, or the cluster of all examples of one passage.
type Resampling struct {
	Units     int
	Resamples int    // 0: DefaultResamples
	Key       uint64 // of the random draws: the same key, the same units
	// Lowest is the least value that the metric can have: 0, or -100 for a
	// correlation. Differences begin at -100, those of correlations at -200.
	Lowest float64
}

// Bootstrap is the distribution of the mean of a metric over seeds: units and
// seeds are both drawn with replacement, and every seed of a resample sees the
// same units, because the runs answered the same examples (Owen 2007, "The
// pigeonhole bootstrap"; drawing units anew for each seed would divide the
// examples' share of the variance by the number of seeds). Of n seeds n-1 are
// drawn, which makes the variance of so small a sample's mean unbiased (Rao
// and Wu 1988).
func (r Resampling) Bootstrap(a Runs) *Distribution {
	return r.resample(a, Runs{}, r.Lowest, 100)
}

// Difference is the distribution of the mean of a less the mean of b where
// both models see the same units in each resample, so that what makes a unit
// easy or hard for both cancels. Seeds of a and b are drawn apart.
func (r Resampling) Difference(a, b Runs) *Distribution {
	return r.resample(a, b, r.Lowest-100, 100-r.Lowest)
}

// Share is the distribution of the share of examples that are right, 0–100, each
// example a unit of its own.
func Share(right []bool) *Distribution {
	values, unit := make([]float64, len(right)), make([]int, len(right))
	for i, yes := range right {
		if unit[i] = i; yes {
			values[i] = 100
		}
	}
	sums := MeanSums(values, unit, len(unit))
	return Resampling{Units: len(unit)}.Bootstrap(Runs{Seeds: 1, Stat: func(_ int, units []int) float64 { return sums.Over(units) }})
}

// resample draws for a, or for a less b where b has runs; lowest and highest
// are the ends of the figure's scale.
func (r Resampling) resample(a, b Runs, lowest, highest float64) *Distribution {
	n := r.Resamples
	if n == 0 {
		n = DefaultResamples
	}
	d := &Distribution{Estimate: math.NaN(), DF: math.NaN(), units: r.Units, lowest: lowest, highest: highest}
	if r.Units == 0 || a.Seeds == 0 {
		return d
	}
	units := make([]int, r.Units)
	for i := range units {
		units[i] = i
	}
	d.Estimate = a.mean(units)
	if b.Seeds > 0 {
		d.Estimate -= b.mean(units)
	}
	d.seeds = []spread{a.spread(units), b.spread(units)}

	source := rand.NewPCG(0, 0)
	rng := rand.New(source)
	d.Replicates = make([]float64, n)
	for i := range d.Replicates {
		source.Seed(r.Key, uint64(i))
		for u := range units {
			units[u] = rng.IntN(r.Units)
		}
		d.Replicates[i] = a.draw(rng, units)
		if b.Seeds > 0 {
			d.Replicates[i] -= b.draw(rng, units)
		}
	}
	variance := d.SE() * d.SE()
	d.examples = component{variance, float64(r.Units - 1)}
	var parts []component
	for _, s := range d.seeds {
		of := s.ofMean(s.seeds)
		parts = append(parts, of)
		d.examples.variance -= of.variance
	}
	d.DF = satterthwaite(variance, append(parts, d.examples))
	return d
}

// mean is the figure over units, averaged over all seeds.
func (a Runs) mean(units []int) float64 {
	sum := 0.0
	for s := range a.Seeds {
		sum += a.Stat(s, units)
	}
	return sum / float64(a.Seeds)
}

// draw is the figure over units, averaged over seeds drawn with replacement.
func (a Runs) draw(rng *rand.Rand, units []int) float64 {
	if a.Seeds == 1 {
		return a.Stat(0, units)
	}
	sum := 0.0
	for range a.Seeds - 1 {
		sum += a.Stat(rng.IntN(a.Seeds), units)
	}
	return sum / float64(a.Seeds-1)
}

// spread is how far single runs of a model lie apart.
type spread struct {
	variance float64 // between runs; 0 where there is only one
	seeds    int     // runs it was estimated from
}

// spread is the variance between the figures of all seeds over units.
func (a Runs) spread(units []int) spread {
	s := spread{seeds: a.Seeds}
	if a.Seeds < 2 {
		return s
	}
	mean := a.mean(units)
	for seed := range a.Seeds {
		d := a.Stat(seed, units) - mean
		s.variance += d * d / float64(a.Seeds-1)
	}
	return s
}

// ofMean is what the spread adds to the variance of the mean of so many runs.
func (s spread) ofMean(seeds int) component {
	if s.variance == 0 {
		return component{0, float64(seeds - 1)}
	}
	return component{s.variance / float64(seeds), float64(seeds - 1)}
}

// Distribution is what a bootstrap found.
type Distribution struct {
	Estimate   float64   // on the examples as they are
	Replicates []float64 // one per resample, in the order drawn
	// DF is how many degrees of freedom the standard error has: near the number
	// of units where the examples make the noise, near the number of seeds less
	// one where the seeds do (Welch-Satterthwaite).
	DF float64

	units           int
	lowest, highest float64 // ends of the scale
	examples        component
	seeds           []spread        // of each model
	of              []*Distribution // of a mean, what it is the mean of
}

// Mean is the distribution of the mean of independent figures, such as a
// model's average over tasks. All must have been drawn with different keys and
// equally many resamples.
func Mean(of []*Distribution) *Distribution {
	d := &Distribution{Estimate: math.NaN(), DF: math.NaN()}
	if len(of) == 0 {
		return d
	}
	n := float64(len(of))
	d.Estimate, d.lowest, d.highest, d.of = 0, of[0].lowest, of[0].highest, of
	d.Replicates = make([]float64, len(of[0].Replicates))
	var parts []component
	for _, o := range of {
		d.Estimate += o.Estimate / n
		d.units += o.units
		for i := range min(len(d.Replicates), len(o.Replicates)) {
			d.Replicates[i] += o.Replicates[i] / n
		}
		parts = append(parts, component{o.SE() * o.SE() / (n * n), o.DF})
	}
	d.DF = satterthwaite(d.SE()*d.SE(), parts)
	return d
}

// component is a part of a variance and the degrees of freedom it was estimated with.
type component struct{ variance, df float64 }

// satterthwaite is the degrees of freedom of a variance made of parts; those
// of the last part where there is no variance at all.
func satterthwaite(total float64, parts []component) float64 {
	sum := 0.0
	for _, p := range parts {
		if p.variance > 0 {
			sum += p.variance * p.variance / p.df
		}
	}
	if sum == 0 {
		return parts[len(parts)-1].df
	}
	return total * total / sum
}

// SE is the standard error of the estimate.
func (d *Distribution) SE() float64 {
	if len(d.Replicates) < 2 {
		return math.NaN()
	}
	return stat.StdDev(d.Replicates, nil)
}

// Interval is the percentile interval, its arms stretched by the ratio of
// Student's to the normal quantile at DF degrees of freedom: percentiles alone
// promise too much when a few seeds make most of the noise. It is cut at the
// ends of the scale.
//
// Where every resample gave the same value (all answers right, say) there is
// no spread to see, and the arms are the exact binomial bound for an event
// seen in none of the units.
func (d *Distribution) Interval(confidence float64) Interval {
	if len(d.Replicates) == 0 || !(d.DF > 0) {
		return Interval{math.NaN(), math.NaN(), confidence}
	}
	tail := (1 - confidence) / 2
	sorted := slices.Sorted(slices.Values(d.Replicates))
	k := int(tail * float64(len(sorted)+1)) // the k-th resample from each end
	k = min(max(k, 1), len(sorted))
	below, above := d.Estimate-sorted[k-1], sorted[len(sorted)-k]-d.Estimate
	if d.SE() == 0 {
		below = 100 * (1 - math.Pow(tail, 1/float64(d.units)))
		above = below
	} else {
		stretch := d.student().Quantile(1-tail) / distuv.UnitNormal.Quantile(1-tail)
		below, above = stretch*max(below, 0), stretch*max(above, 0)
	}
	return Interval{
		Lo:         max(d.Estimate-below, d.lowest),
		Hi:         min(d.Estimate+above, d.highest),
		Confidence: confidence,
	}
}

// P is the two-sided p-value of the hypothesis that the true value is zero:
// Student's t of the estimate over its standard error, but never below the
// least that a sign test on as many units can give.
func (d *Distribution) P() float64 {
	if math.IsNaN(d.Estimate) || !(d.DF > 0) {
		return math.NaN()
	}
	least := math.Pow(2, 1-float64(d.units))
	if d.SE() == 0 {
		if d.Estimate == 0 {
			return 1
		}
		return least
	}
	p := 2 * d.student().Survival(math.Abs(d.Estimate)/d.SE())
	return min(max(p, least), 1)
}

func (d *Distribution) student() distuv.StudentsT {
	return distuv.StudentsT{Sigma: 1, Nu: d.DF}
}
