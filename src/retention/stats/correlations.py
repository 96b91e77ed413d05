"""Two correlations with one outcome, compared: what most would compute first to hold liking against
results.

Both correlations rest on the same clients, so neither is news to the other (dependent,
overlapping). METHODS 4.
"""

from __future__ import annotations

import math
from statistics import NormalDist


def steiger(first: float, second: float, between: float, n: int) -> float:
    """Steiger's z (1980) for r(y, a) = `first` against r(y, b) = `second`, with r(a, b) =
    `between`, of n clients.

    >>> round(steiger(-0.42, -0.25, 0.35, 120), 4)
    -1.7552
    """
    mean = ((first + second) / 2) ** 2
    rest = 1 - 2 * mean - between**2
    shared = between * (1 - 2 * mean) - mean / 2 * rest
    return (math.atanh(first) - math.atanh(second)) * math.sqrt(
        (n - 3) / (2 - 2 * shared / (1 - mean) ** 2)
    )


def zou(
    first: float, second: float, between: float, n: int, level: float = 0.95
) -> tuple[float, float]:
    """Zou's interval (2007) for `first` minus `second`.

    >>> [round(limit, 4) for limit in zou(-0.42, -0.25, 0.35, 120)]
    [-0.3577, 0.0194]
    """
    quantile = NormalDist().inv_cdf((1 + level) / 2)
    half = quantile / math.sqrt(n - 3)
    low, high = (
        [math.tanh(math.atanh(r) + side * half) for r in (first, second)] for side in (-1, 1)
    )
    unexplained = 1 - first**2 - second**2
    free = unexplained - between**2
    shared = ((between - first * second / 2) * free + between**3) / (
        (1 - first**2) * (1 - second**2)
    )
    below = first - low[0]
    down = (below, high[1] - second)
    above = high[0] - first
    up = (above, second - low[1])
    gap = first - second
    reach = [math.sqrt(a**2 + b**2 - 2 * shared * a * b) for a, b in (down, up)]
    return gap - reach[0], gap + reach[1]
