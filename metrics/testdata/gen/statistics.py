"""Writes statistics.json beside this folder: what scipy and statsmodels make of
the cases that paired_test.go, power_test.go and bootstrap_test.go compute.

    python3 metrics/testdata/gen/statistics.py > metrics/testdata/statistics.json

Written with scipy 1.10.1 and statsmodels 0.13.5 (Debian 12).
"""
import json
import sys

import numpy as np
import scipy
import scipy.stats
import statsmodels
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import NormalIndPower

rng = np.random.default_rng(2021)
out = {"made_with": f"scipy {scipy.__version__}, statsmodels {statsmodels.__version__}"}

out["mcnemar"] = [
    {"only_a": b, "only_b": c, "p": float(mcnemar([[50, b], [c, 50]], exact=True).pvalue)}
    for b, c in [(0, 1), (1, 0), (3, 12), (12, 3), (25, 25), (40, 61), (150, 100), (700, 800), (0, 30)]
]

out["holm"] = []
for n in (1, 2, 5, 12, 30):
    p = np.round(rng.beta(0.4, 2, n), 6)
    out["holm"].append({"p": p.tolist(), "adjusted": multipletests(p, method="holm")[1].tolist()})


def power_of_t(difference, se, df, alpha):
    """Both tails of the noncentral t distribution."""
    t = scipy.stats.t.ppf(1 - alpha / 2, df)
    d = difference / se
    return float(scipy.stats.nct.sf(t, df, d) + scipy.stats.nct.cdf(-t, df, d))


out["power"] = []
for df in (2.0, 4.0, 9.5, 30.0, 276.0):
    for difference in (0.0, 1.0, 3.0, 6.0):
        for alpha in (0.05, 0.01):
            out["power"].append({"difference": difference, "se": 1.3, "df": df, "alpha": alpha,
                                 "power": power_of_t(difference, 1.3, df, alpha)})

# The normal limit: a difference of d standard deviations with n in each of two
# groups has the standard error sqrt(2/n).
out["detectable"] = []
for n in (20, 56, 277, 3270):
    d = NormalIndPower().solve_power(effect_size=None, nobs1=n, alpha=0.05, power=0.8, ratio=1)
    out["detectable"].append({"se": float(np.sqrt(2 / n)), "alpha": 0.05, "power": 0.8, "difference": float(d)})


def difference_of_means(x, y, axis):
    return np.mean(x, axis=axis) - np.mean(y, axis=axis)


out["exchange"] = []
for n in (6, 10, 13, 60):
    a, b = (100.0 * (rng.random(n) < q) for q in (0.8, 0.45))
    r = scipy.stats.permutation_test((a, b), difference_of_means, permutation_type="samples",
                                     n_resamples=200000 if n > 20 else np.inf, random_state=3, vectorized=True)
    out["exchange"].append({"a": a.tolist(), "b": b.tolist(), "p": float(r.pvalue), "exact": n <= 13})

out["bootstrap"] = []
for n in (56, 104, 277):
    x = np.round(100 * rng.beta(2, 1, n), 3)
    r = scipy.stats.bootstrap((x,), np.mean, n_resamples=100000, method="percentile", random_state=5, batch=2000)
    out["bootstrap"].append({"x": x.tolist(), "se": float(r.standard_error),
                             "lo": float(r.confidence_interval.low), "hi": float(r.confidence_interval.high)})

# Whole clusters drawn: the figure is a ratio of sums, as when whole passages are.
sizes = rng.integers(1, 9, 40)
easy = rng.normal(0, 1, 40)
clusters = [(100.0 * (rng.normal(e, 1, s) > 0)).tolist() for e, s in zip(easy, sizes)]
sums = np.array([sum(c) for c in clusters])
r = scipy.stats.bootstrap((sums, sizes.astype(float)), lambda s, n, axis: s.sum(axis) / n.sum(axis), paired=True,
                          vectorized=True, n_resamples=100000, method="percentile", random_state=5, batch=2000)
out["clustered"] = {"clusters": clusters, "se": float(r.standard_error),
                    "lo": float(r.confidence_interval.low), "hi": float(r.confidence_interval.high)}

json.dump(out, sys.stdout, indent=1)
print()
