"""Survival curves, competing ends, restricted means and rates, all counted from one event table.

Convention everywhere: time is tenure, whole months for an agency's clients, and a client is at risk
of leaving in month t when `entry < t <= stop` (strict on the left, so a client first seen at tenure
7 is at risk from month 8 on). Kind 0 is censored; 1, 2, 3, ... are kinds of end.

Why not lifelines throughout: no library's log-rank takes late entry; on monthly data, all ties,
lifelines' table counts a client who enters at t as at risk at t, and its Aalen-Johansen adds random
noise; its variance of the restricted mean is that of another quantity (METHODS 8). The tests hold
every function here to R, and to lifelines and statsmodels where those are right.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import special, stats

from retention.contrast import MIN_EVENTS_GROUP, NO_SPREAD, Z95
from retention.stats.intervals import wilson
from retention.stats.outcomes import Counts, Floats, Outcome, event_table, spread_by_rep

MIN_AT_RISK = 10  # METHODS 6: a curve starts where at least ten clients are at risk
CURVE = ["month", "at_risk", "ended", "survival", "se", "low", "high"]


def kaplan_meier(outcome: Outcome, level: float = 0.95) -> pd.DataFrame:
    """Share still with us after each month: `month, at_risk, ended, survival, se, low, high`, from
    month 0 on.

    Every end counts; censor other kinds first with `outcome.only(...)`. Greenwood's variance `se`,
    by client, and the log-log interval (R: `conf.type = "log-log"`), by client or by rep, the
    wider. Where nobody or everybody has left the interval is not defined: NaN. Source: METHODS 8;
    Klein and Moeschberger.
    """
    table = event_table(outcome)
    n = table["at_risk"].to_numpy(float)
    d = table["ended"].to_numpy(float)
    survival = np.cumprod(1 - d / n)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = d / (n * (n - d))
        relative = np.sqrt(np.cumsum(terms))
        tail = (1 + level) / 2
        by_rep = _reach_by_rep(outcome, table["month"], tail) / survival
        quantile = stats.norm.ppf((1 + level) / 2)
        reach = np.maximum(quantile * relative, by_rep)
        logs = np.log(survival)
        half = reach / np.abs(logs)
        low = survival ** np.exp(half)
        high = survival ** np.exp(-half)
        se = survival * relative
    whole = table.assign(survival=survival, se=se, low=low, high=high)
    rows = whole[CURVE]
    told = outcome.counted
    from_start = (told.entry <= 0) & (told.stop > 0)
    at_start = int(told.times[from_start].sum())
    start = pd.DataFrame([(0.0, at_start, 0, 1.0, 0.0, math.nan, math.nan)], columns=CURVE)
    return start if rows.empty else pd.concat([start, rows], ignore_index=True)


def _reach_by_rep(outcome: Outcome, months: pd.Series, tail: float) -> Any:
    """How far the interval of the share still there goes in these months, by rep."""
    if outcome.reps is None or months.empty:
        return 0.0
    reach = spread_by_rep([outcome], lambda counts: counts.stay).reach(tail)
    return reach if np.isscalar(reach) else np.nan_to_num(reach)[months.to_numpy(int)]


def after(curve: pd.DataFrame, month: float) -> pd.Series:
    """The row of a curve that holds just after `month` (ends in that month are counted)."""
    return curve.loc[curve["month"] <= month].iloc[-1]


def known_through(outcome: Outcome, least: int) -> float:
    """The last month up to which a curve may be read: in every month up to it somebody was at risk.

    With late entry at least `least` must be at risk in the first month, for a first risk set of one
    or two could send the curve to 0 (METHODS 6); later a thin risk set shows in the interval. Inf
    once everybody has left; 0 where not even the first month can be read.
    """
    if not outcome.seen:
        return 0.0
    last = int(outcome.stop.max())
    months = np.arange(1, last + 2)
    curve = kaplan_meier(outcome)
    gone = curve["survival"].iloc[-1] == 0 and outcome.stop.max() == curve["month"].iloc[-1]
    length = int(curve["month"].iloc[-1]) if gone else len(months)
    at_risk = outcome.at_risk(months)[:length]
    late = (months == 1) & (outcome.entry > 0).any()
    needed = np.where(late, least, 1)[: len(at_risk)]
    short = np.flatnonzero(at_risk < needed)
    return float(short[0]) if short.size else math.inf


def median(curve: pd.DataFrame) -> tuple[float, float, float]:
    """Month by which half have left, with its interval; inf where the curve (or its limit) stays
    above one half.

    A curve that rests exactly on one half gives the middle of that stretch, as R does.
    """
    return tuple(
        _crossing(curve["month"].to_numpy(), curve[c].to_numpy())
        for c in ("survival", "low", "high")
    )  # type: ignore[return-value]


def _crossing(months: Floats, values: Floats) -> float:
    below = np.flatnonzero(values <= 0.5 + 1e-12)
    if not below.size:
        return np.inf
    first = below[0]
    flat = abs(values[first] - 0.5) < 1e-12 and first + 1 < len(months)
    return float((months[first] + months[first + 1]) / 2 if flat else months[first])


def restricted_mean(outcome: Outcome, horizon: float) -> tuple[float, float]:
    """Mean months of service within `horizon` months, and its standard error (Greenwood; R
    `survfit(rmean=)`).

    Source: METHODS 9; Klein and Moeschberger.
    """
    curve = kaplan_meier(outcome)
    curve = curve[curve["month"] < horizon]
    edges = np.append(curve["month"], horizon)
    areas = curve["survival"].to_numpy() * np.diff(edges)
    n = curve["at_risk"].to_numpy(float)
    d = curve["ended"].to_numpy(float)
    sums = np.cumsum(areas[::-1])
    left = sums[::-1]
    inside = (d > 0) & (n > d)
    risk = n[inside] * (n[inside] - d[inside])
    variance = np.sum(left[inside] ** 2 * d[inside] / risk)
    se = float(np.sqrt(variance))
    return float(areas.sum()), se


def mean_within(outcome: Outcome, horizon: int) -> list[float]:
    """Mean months of service within `horizon` with its 95 % interval, by client or by rep, the
    wider; no limits where fewer than ten ends are counted.
    """
    mean, se = restricted_mean(outcome, horizon)
    early = outcome.within(horizon)

    def of(counts: Counts) -> Floats:
        return counts.mean(horizon)

    return wider_limits(mean, se, [early], of)


def wider_limits(
    value: float, se: float, parts: Sequence[Outcome], of: Callable[..., Floats]
) -> list[float]:
    """A value with its 95 % limits, from its standard error by client or by leaving out reps, the
    wider.

    `of` makes it from the counts of each of the `parts`; NaN for limits where a part has fewer than
    ten ends.
    """
    half = math.nan
    if min(part.ended for part in parts) >= MIN_EVENTS_GROUP:
        reach = spread_by_rep(parts, of).reach(0.975)
        half = max(Z95 * se, float(reach))
    return [value, value - half, value + half]


def hazards(outcome: Outcome, last: int) -> pd.DataFrame:
    """The share of those at risk who leave in each month of service up to `last`: `month, at_risk,
    ended, hazard, low, high`.

    Wilson's 95 % interval, or that by rep on the logit scale, the wider. NaN where nobody is at
    risk.
    """
    months = np.arange(1, last + 1)
    at_risk = outcome.at_risk(months)
    told = outcome.counted
    gone = told.kind > 0
    stops = told.stop[gone]
    times = told.times[gone]
    ended = [int(times[stops == month].sum()) for month in months]
    frame = pd.DataFrame({"month": months, "at_risk": at_risk, "ended": ended})
    there = frame["at_risk"].where(at_risk > 0)
    hazard = frame["ended"] / there
    spread = spread_by_rep([outcome], lambda counts: counts.pace(last))
    reach = spread.reach(0.975)
    inner = (hazard > 0) & (hazard < 1)
    inside = hazard.where(inner).to_numpy(float)
    half = reach / (inside * (1 - inside))
    unknown = (math.nan, math.nan)
    pairs = zip(ended, at_risk, strict=True)
    limits = [wilson(e, int(n)) if n else unknown for e, n in pairs]
    low, high = np.array(limits).T
    logit = special.logit(inside)
    lower = special.expit(logit - half)
    upper = special.expit(logit + half)
    low = np.fmin(low, lower)
    high = np.fmax(high, upper)
    return frame.assign(hazard=hazard, low=low, high=high)


def cumulative_incidence(
    outcome: Outcome, months: Sequence[float], level: float = 0.95
) -> pd.DataFrame:
    """Share who have left for each kind of reason by each month: `month, kind, share, se, low,
    high`.

    Aalen-Johansen with late entry. The standard error is the infinitesimal jackknife (what R's
    `survfit` gives), by client; the interval is log-log, by client or by rep, the wider. With
    competing ends this, not 1 - Kaplan-Meier, is the probability of leaving (METHODS 6).
    """
    kinds_seen = np.unique(outcome.counted.kind)
    kinds = [int(k) for k in kinds_seen if k > 0]
    tail = (1 + level) / 2
    table = event_table(outcome)
    rows = [_incidence(outcome, table, kind, month) for kind in kinds for month in months]
    columns = ["month", "kind", "share", "se"]
    frame = pd.DataFrame(rows, columns=columns)
    share = frame["share"].to_numpy(float)
    quantile = stats.norm.ppf(tail)
    reach = np.maximum(
        quantile * frame["se"].to_numpy(float), _incidence_by_rep(outcome, frame, tail)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = share * np.log(share)
        half = reach / np.abs(slope)
        between = (share > 0) & (share < 1)
        half = np.where(between, half, np.nan)
        no_limit = np.isnan(half)
        inside = np.where(no_limit, np.nan, share)
        upper = inside ** np.exp(-half)
        return frame.assign(low=inside ** np.exp(half), high=upper)


def _incidence_by_rep(outcome: Outcome, rows: pd.DataFrame, tail: float) -> Floats:
    """How far the interval of each row's share goes, by rep; `rows` with `kind` and `month`."""
    reach = np.zeros(len(rows))
    for kind in rows["kind"].unique() if outcome.reps is not None else ():
        spread = spread_by_rep([outcome], lambda counts, kind=kind: counts.incidence(kind))
        if spread is NO_SPREAD:
            return reach
        reaches = np.nan_to_num(spread.reach(tail))
        by_month = np.append(0.0, reaches)
        own = (rows["kind"] == kind).to_numpy()
        months = rows["month"].to_numpy(int)[own]
        reach[own] = by_month[months.clip(max=len(by_month) - 1)]
    return reach


def _incidence(
    outcome: Outcome, table: pd.DataFrame, kind: int, month: float
) -> tuple[float, int, float, float]:
    """The share who left for `kind` by `month`, and the root of the summed squared influence of
    each engagement.
    """
    table = table[table["month"] <= month]
    outcome = outcome.counted
    times = table["month"].to_numpy()
    n = table["at_risk"].to_numpy(float)
    ended = table["ended"].to_numpy() / n
    chosen = table[f"ended_{kind}"].to_numpy() / n
    stays = np.append(1.0, 1 - ended)
    before = np.cumprod(stays)[:-1]
    reached = np.cumsum(before * chosen)
    share = reached[-1] if len(reached) else 0.0
    # What one more end at each time would do to the share: through this kind directly, through all
    # kinds by leaving fewer clients for later.
    nothing = np.zeros_like(ended)
    later = np.divide(share - reached, 1 - ended, out=nothing, where=ended < 1)
    steps = (before * chosen - later * ended) / n
    drift = np.append(0.0, np.cumsum(steps))
    after_own = np.append(before - later, 0.0)
    own = after_own / np.append(n, 1.0)
    after_other = np.append(-later, 0.0)
    other = after_other / np.append(n, 1.0)
    last = np.searchsorted(times, outcome.stop, side="left")
    has_ended = outcome.kind > 0
    in_time = has_ended & (outcome.stop <= month)
    at_end = np.where(outcome.kind == kind, own[last], other[last])
    gain = np.where(in_time, at_end, 0.0)
    stopped = np.searchsorted(times, outcome.stop, side="right")
    upto = drift[stopped]
    entered = np.searchsorted(times, outcome.entry, side="right")
    since = drift[entered]
    squares = outcome.times @ (gain - (upto - since)) ** 2
    return month, kind, float(share), float(np.sqrt(squares))
