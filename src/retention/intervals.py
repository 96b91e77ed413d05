"""How far an estimate may be off: by client, by rep, and the wider of both.

Clients of one rep rise and fall together, so intervals that take clients to be independent are too narrow where reps
differ. Leaving one rep out after the other, with Student's t, covers what it says from six reps on; a bootstrap of ten
reps does not (docs/calibration-intervals.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special, stats

Floats = np.ndarray[Any, np.dtype[np.float64]]

FEWEST_REPS = 6  # fewer reps do not tell how far reps differ: METHODS 10
FEWEST_EFFECTIVE = 4.0  # (ours) nor do six of whom one has nearly all clients


@dataclass(frozen=True)
class Spread:
    """A standard error, of the shape of its estimate, and the degrees of freedom with which it is known."""

    se: Any = 0.0
    df: float = math.inf

    def reach(self, tail: float) -> Any:
        """How far an interval goes to either side of the estimate; `tail` is .975 for a 95 % interval."""
        return stats.t.ppf(tail, self.df) * self.se


NO_SPREAD = Spread()  # where too few reps are on record: clients are taken to be independent


def effective_number(sizes: Floats) -> float:
    """How many groups of one size would say as much as groups of these sizes.

    >>> effective_number(np.array([10.0, 10, 10])), round(effective_number(np.array([28.0, 1, 1])), 2)
    (3.0, 1.15)
    """
    return float(sizes.sum() ** 2 / (sizes**2).sum()) if sizes.any() else 0.0


def leaving_out(without: Floats, sizes: Floats) -> Spread:
    """The spread of an estimate from its values as each group is left out, shape (groups, ...), by the jackknife.

    `sizes` (groups,) are client-months or ends; a group of size 0 is none. NO_SPREAD where there are too few groups to
    tell. The degrees of freedom are one less than the effective number of groups. Source: METHODS 10.

    >>> leaving_out(np.array([1.0, 2, 3, 4, 5, 6]), np.ones(6)).se.round(4)  # sqrt(5 / 6 * 17.5)
    np.float64(3.8188)
    """
    there = sizes > 0
    effective = effective_number(sizes[there])
    if there.sum() < FEWEST_REPS or effective < FEWEST_EFFECTIVE:
        return NO_SPREAD
    return Spread(jackknife(without[there]), effective - 1)


def jackknife(without: Floats) -> Floats:
    """The standard error from estimates as each of the groups is left out, shape (groups, ...) to (...).

    A group without which there is no estimate is passed over.
    """
    groups = np.isfinite(without).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        middle = np.nansum(without, axis=0) / groups
        squares = np.nansum((without - middle) ** 2, axis=0)
        return np.asarray(np.sqrt(squares * (groups - 1) / groups))


def wilson(count: int, total: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's interval for a share (R `prop.test(correct = FALSE)`)."""
    interval = stats.binomtest(count, total).proportion_ci(level, method="wilson")
    return float(interval.low), float(interval.high)


def share_limits(counted: Any, reps: Any = None, level: float = 0.95) -> tuple[float, float]:
    """The interval of the share of rows that are `counted` (n,): Wilson's, or by rep on the logit scale, the wider.

    `reps` (n,) names who was in charge, "" for nobody; None where nobody knows.
    """
    counted = np.asarray(counted, dtype=float)
    low, high = wilson(int(counted.sum()), len(counted), level)
    share = counted.mean()
    if reps is None or not 0 < share < 1:
        return low, high
    spread = ratio_by_rep(counted, np.ones(len(counted)), reps)
    half = spread.reach((1 + level) / 2) / (share * (1 - share))
    ends = special.expit(special.logit(share) + np.array([-half, half]))
    return min(low, float(ends[0])), max(high, float(ends[1]))


def ratio_by_rep(part: Floats, whole: Floats, reps: Any) -> Spread:
    """The spread by rep of the sum of `part` over that of `whole`, both (n,), as each rep's rows are left out."""
    names, codes = np.unique(np.asarray(reps, dtype=object).astype(str), return_inverse=True)
    parts, wholes = (np.bincount(codes, values, len(names)) for values in (part, whole))
    named = names != ""
    rest = wholes.sum() - wholes[named]
    without = np.divide(part.sum() - parts[named], rest, out=np.full(len(rest), np.nan), where=rest > 0)
    return leaving_out(without, np.bincount(codes, minlength=len(names))[named].astype(float))


def welch(*events: float) -> float:
    """Degrees of freedom of a difference of logs of counts, by Welch's formula with a count's ends as observations.

    >>> round(welch(10, 10)), round(welch(10, 1000))
    (18, 9)
    """
    parts = [1 / count for count in events if count > 1]
    if len(parts) < len(events) or not parts:
        return 1.0
    return float(sum(parts) ** 2 / sum(part**2 / (1 / part - 1) for part in parts))
