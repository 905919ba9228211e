"""Makes golden.json: what SciPy says of two samples. Not part of the build.

python3 -m venv V && V/bin/pip install scipy==1.17.1 && V/bin/python golden.py > golden.json
"""

import json

import numpy as np
from scipy import stats

rng = np.random.default_rng(20261121)


def shift(x, y, axis=-1):
    """Hodges-Lehmann: the median of all differences y - x."""
    pairs = np.expand_dims(y, -2) - np.expand_dims(x, -1)
    return np.median(pairs.reshape(*pairs.shape[:-2], -1), axis=-1)


def case(name, first, second):
    first, second = np.asarray(first, float), np.asarray(second, float)
    tied = len(np.unique(np.concatenate([first, second]))) < len(first) + len(second)
    exact = not tied and max(len(first), len(second)) <= 20
    method = "exact" if exact else "asymptotic"
    test = stats.mannwhitneyu(first, second, alternative="two-sided", method=method, use_continuity=True)
    boot = stats.bootstrap(
        (first, second), shift, n_resamples=10_000, method="percentile", vectorized=True, batch=500, rng=rng
    )
    return {
        "name": name,
        "first": first.tolist(),
        "second": second.tolist(),
        "u": float(test.statistic),
        "p": float(test.pvalue),
        "exact": exact,
        "shift": float(shift(first, second)),
        "interval": [float(boot.confidence_interval.low), float(boot.confidence_interval.high)],
        "deviation": float(boot.standard_error),
    }


def latency(n, scale=1.0):
    """Skewed to the right, as response times are."""
    return (rng.lognormal(-2.5, 0.4, n) * scale).round(6)


cases = [
    case("eight and eight", latency(8), latency(8)),
    case("eight and twenty", latency(8), latency(20, 1.5)),
    case("twenty and twenty", latency(20), latency(20, 1.2)),
    case("all apart", [1, 2, 3, 4, 5, 6, 7, 8], [11, 12, 13, 14, 15, 16, 17, 18, 19]),
    case("below zero", -latency(12), latency(15)),
    case("large", latency(12, 1e9), latency(12, 2e9)),
    case("twenty-one and nine", latency(21), latency(9)),
    case("many", latency(120), latency(60, 1.1)),
    case("counts", rng.poisson(3, 24), rng.poisson(5, 18)),
    case("up and down", [1] * 20, [1] * 12 + [0] * 8),
    case("mostly the same", [0] * 30, [0] * 25 + [1] * 5),
    case("status", [200] * 10 + [503] * 2, [200] * 5 + [503] * 7),
]
print(json.dumps(cases, indent=1))
