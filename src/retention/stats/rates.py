"""Comparisons of rates of ending: the log-rank test and the ratio of two rates."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from retention.results import Estimate
from retention.stats.outcomes import Counts, Floats, Outcome, event_table, spread_by_rep


@dataclass(frozen=True)
class LogRank:
    """A log-rank test: chi-squared statistic, degrees of freedom, p value."""

    chi2: float
    df: int
    p: float


def logrank(outcome: Outcome, group: Any, strata: Any = None) -> LogRank:
    """Log-rank test that all groups leave at the same rate, with late entry, within strata where
    given.

    `group` and `strata` have shape (n,). Source: METHODS 8 (R `survdiff`); ValueError with fewer
    than two groups.
    """
    values = np.asarray(group)
    codes, labels = pd.factorize(values, sort=True)
    if len(labels) < 2:
        raise ValueError("a log-rank test compares at least two groups; only one was given")
    strata = np.zeros(len(codes)) if strata is None else np.asarray(strata)
    parts = [
        _logrank_stratum(outcome.where(strata == s), codes[strata == s], len(labels))
        for s in np.unique(strata)
    ]
    excess, variance = (sum(column) for column in zip(*parts, strict=True))
    # A group that was never at risk when somebody left says nothing and costs no degree of freedom.
    informative = np.diag(variance) > 0
    seen = np.flatnonzero(informative)[:-1]
    excess = excess[seen]
    variance = variance[np.ix_(seen, seen)]
    solved = np.linalg.lstsq(variance, excess, rcond=None)
    chi2 = float(excess @ solved[0])
    df = len(seen)
    p = float(stats.chi2.sf(chi2, df)) if df else math.nan
    return LogRank(chi2, df, p)


def _logrank_stratum(outcome: Outcome, codes: Any, groups: int) -> tuple[Floats, Floats]:
    """Ends in excess of those expected (groups,) and their covariance (groups, groups)."""
    table = event_table(outcome)
    times, n, d = (table[c].to_numpy(float) for c in ("month", "at_risk", "ended"))
    each = [outcome.where(codes == g) for g in range(groups)]
    numbers = [part.at_risk(times) for part in each]
    share = np.stack(numbers) / n
    counts = [part.ended for part in each]
    observed = np.array(counts, dtype=float)
    nothing = np.zeros_like(n)
    spread = d * np.divide(n - d, n - 1, out=nothing, where=n > 1)
    joint = (share * spread) @ share.T
    return observed - share @ d, np.diag(share @ spread) - joint


@dataclass(frozen=True)
class RateRatio:
    """Ratio of two rates with its exact interval and two-sided p value."""

    ratio: float
    low: float
    high: float
    p: float


def rate_ratio(
    ended: tuple[int, int], months: tuple[float, float], level: float = 0.95
) -> RateRatio:
    """First rate over second, from ends and client-months, by the exact conditional method (R
    `poisson.test`).

    >>> rate_ratio((24, 12), (300, 310)).ratio.__round__(4)
    2.0667
    """
    ratio = months[0] / months[1]
    expected = ratio / (1 + ratio)
    test = stats.binomtest(ended[0], sum(ended), expected)
    ends = test.proportion_ci(level)
    low, high = (p / (1 - p) / ratio if p < 1 else np.inf for p in (ends.low, ends.high))
    first = ended[0] / months[0]
    second = ended[1] / months[1]
    return RateRatio(
        first / second if second else np.inf, float(low), float(high), float(test.pvalue)
    )


def _log_rates(first: Counts, second: Counts) -> Floats:
    """The log ratio of two rates, a value for each rep left out."""
    rates = [
        part.ended.sum(axis=(1, 2)) / np.maximum(part.at_risk.sum(axis=1), 1)
        for part in (first, second)
    ]
    with np.errstate(divide="ignore"):
        first_log = np.log(rates[0])
        return np.asarray(first_log - np.log(rates[1]))


def raw_ratio(row_id: str, group: str, first: Outcome, second: Outcome) -> Estimate:
    """The article's own number: ends per client-month, first group over second, exact interval; NaN
    where one is empty.

    Descriptive only: it compares months in which one group could not leave (METHODS 2). The exact
    interval, or that by rep on the log scale, the wider.
    """
    ended = (first.ended, second.ended)
    months = (first.months, second.months)
    found = rate_ratio(ended, months) if all(months) and any(ended) else None
    numbers = (math.nan,) * 3
    if found:
        factor = (
            math.exp(spread_by_rep([first, second], _log_rates).reach(0.975)) if all(ended) else 1.0
        )
        numbers = (
            found.ratio,
            min(found.low, found.ratio / factor),
            max(found.high, found.ratio * factor),
        )
    clients = first.seen + second.seen
    counts = (clients, first.ended + second.ended)
    return Estimate.of(row_id, "ends per client-month, ratio", group, numbers, "ratio", counts)
