package metrics

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// powerSteps is the number of points at which Power takes the chance over the
// standard errors that could be estimated.
const powerSteps = 400

// Power is the chance that a two-sided t test at level alpha finds a true
// difference, measured with standard error se that was estimated with df degrees
// of freedom: the tails of the noncentral t distribution (Cohen 1988). With few
// seeds df is small, and power less than a normal approximation promises.
func Power(difference, se, df, alpha float64) float64 {
	if !(se > 0) || !(df > 0) {
		return math.NaN()
	}
	return powerOf(math.Abs(difference)/se, criticals(df, alpha))
}

// criticals are equally likely values that a difference must reach to be found,
// in true standard errors: Student's quantile times the ratio of the estimated
// standard error to the true one.
func criticals(df, alpha float64) []float64 {
	t := distuv.StudentsT{Sigma: 1, Nu: df}.Quantile(1 - alpha/2)
	spread := distuv.ChiSquared{K: df}
	values := make([]float64, powerSteps)
	for i := range values {
		values[i] = t * math.Sqrt(spread.Quantile((float64(i)+0.5)/powerSteps)/df)
	}
	return values
}

// powerOf is the chance that a difference of so many standard errors is found.
func powerOf(shift float64, criticals []float64) float64 {
	sum := 0.0
	for _, c := range criticals {
		sum += distuv.UnitNormal.CDF(shift-c) + distuv.UnitNormal.CDF(-shift-c)
	}
	return sum / float64(len(criticals))
}

// MinimumDetectable is the least true difference that a two-sided t test at
// level alpha finds with the given power, when the difference is measured with
// standard error se of df degrees of freedom (Cohen 1988; for NLP, Card et al.
// 2020). Smaller differences cannot be counted on to be seen. 0 without noise.
func MinimumDetectable(se, df, alpha, power float64) float64 {
	if se == 0 {
		return 0
	}
	if !(se > 0) || !(df > 0) {
		return math.NaN()
	}
	c := criticals(df, alpha)
	lo, hi := 0.0, 1.0
	for powerOf(hi, c) < power {
		lo, hi = hi, 2*hi
	}
	for hi-lo > 1e-3 {
		if mid := (lo + hi) / 2; powerOf(mid, c) < power {
			lo = mid
		} else {
			hi = mid
		}
	}
	return se * (lo + hi) / 2
}

// Planned is the standard error, and its degrees of freedom, that the figure
// would have with so many runs of each model instead of those found. More runs
// divide what the spread between runs adds; what the examples add stays, so
// that math.MaxInt32 runs show what these examples can tell at best. NaN where
// a model has one run only: nothing is then known of the spread.
func (d *Distribution) Planned(seeds int) (se, df float64) {
	if len(d.of) > 0 {
		n := float64(len(d.of))
		var parts []component
		total := 0.0
		for _, o := range d.of {
			se, df := o.Planned(seeds)
			parts = append(parts, component{se * se / (n * n), df})
			total += se * se / (n * n)
		}
		return math.Sqrt(total), satterthwaite(total, parts)
	}
	parts := []component{{max(d.examples.variance, 0), d.examples.df}}
	total := parts[0].variance
	for _, s := range d.seeds {
		if s.seeds == 1 {
			return math.NaN(), math.NaN()
		}
		if s.seeds > 1 {
			parts = append(parts, s.ofMean(seeds))
			total += parts[len(parts)-1].variance
		}
	}
	return math.Sqrt(total), satterthwaite(total, append(parts[1:], parts[0]))
}
