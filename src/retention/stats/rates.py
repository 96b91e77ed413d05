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


def rate_limits(outcome: Outcome, level: float = 0.95) -> tuple[float, float]:
    """The interval of ends per client-month: exact (Poisson), or by rep on the log scale, the
    wider; NaN where nobody was there.

    >>> low, high = rate_limits(Outcome.of(np.full(20, 5.0), np.arange(20) < 5, np.zeros(20)))
    >>> round(low, 4), round(high, 4)
    (0.0162, 0.1167)
    """
    if not outcome.months:
        return math.nan, math.nan
    ended = outcome.ended
    tail = (1 + level) / 2
    twice = 2 * ended
    low = stats.chi2.ppf(1 - tail, twice) / 2 if ended else 0.0
    high = stats.chi2.ppf(tail, twice + 2) / 2
    spread = spread_by_rep([outcome], _log_rate)
    factor = math.exp(spread.reach(tail)) if ended else 1.0
    lower = min(low, ended / factor)
    upper = max(high, ended * factor)
    return float(lower / outcome.months), float(upper / outcome.months)


def _log_rate(counts: Counts) -> Floats:
    """The log of a rate, a value for each rep left out."""
    months = np.maximum(counts.at_risk.sum(axis=1), 1)
    ended = counts.ended.sum(axis=(1, 2))
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(ended / months))


def _log_rates(first: Counts, second: Counts) -> Floats:
    """The log ratio of two rates, a value for each rep left out."""
    return np.asarray(_log_rate(first) - _log_rate(second))


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
