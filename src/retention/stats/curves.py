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
    at_risk = table["at_risk"].to_numpy(float)
    ended = table["ended"].to_numpy(float)
    survival = np.cumprod(1 - ended / at_risk)
    tail = (1 + level) / 2
    quantile = stats.norm.ppf(tail)
    with np.errstate(divide="ignore", invalid="ignore"):
        stayed = at_risk - ended
        terms = ended / (at_risk * stayed)
        relative = np.sqrt(np.cumsum(terms))
        by_client = quantile * relative
        by_rep = _reach_by_rep(outcome, table["month"], tail) / survival
        reach = np.maximum(by_client, by_rep)
        logs = np.log(survival)
        half = reach / np.abs(logs)
        low = survival ** np.exp(half)
        high = survival ** np.exp(-half)
        se = survival * relative
    whole = table.assign(survival=survival, se=se, low=low, high=high)
    rows = whole[CURVE]
    start = _start(outcome)
    if rows.empty:
        return start
    return pd.concat([start, rows], ignore_index=True)


def _start(outcome: Outcome) -> pd.DataFrame:
    """The row of a curve for month 0, columns `CURVE`."""
    counted = outcome.counted
    from_start = (counted.entry <= 0) & (counted.stop > 0)
    at_start = int(counted.times[from_start].sum())
    row = (0.0, at_start, 0, 1.0, 0.0, math.nan, math.nan)
    return pd.DataFrame([row], columns=CURVE)


def _reach_by_rep(outcome: Outcome, months: pd.Series, tail: float) -> Any:
    """How far the interval of the share still there goes in these months, by rep."""
    if outcome.reps is None or months.empty:
        return 0.0
    spread = spread_by_rep([outcome], lambda counts: counts.stay)
    reach = spread.reach(tail)
    if np.isscalar(reach):
        return reach
    known = np.nan_to_num(reach)
    return known[months.to_numpy(int)]


def after(curve: pd.DataFrame, month: float) -> pd.Series:
    """The row of a curve that holds just after `month` (ends in that month are counted)."""
    until = curve["month"] <= month
    return curve.loc[until].iloc[-1]


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
    end = curve.iloc[-1]
    gone = end["survival"] == 0 and outcome.stop.max() == end["month"]
    length = int(end["month"]) if gone else len(months)
    at_risk = outcome.at_risk(months)[:length]
    enters_late = (outcome.entry > 0).any()
    thin = (months == 1) & enters_late
    needed = np.where(thin, least, 1)[: len(at_risk)]
    short = np.flatnonzero(at_risk < needed)
    return float(short[0]) if short.size else math.inf


def median(curve: pd.DataFrame) -> tuple[float, float, float]:
    """Month by which half have left, with its interval; inf where the curve (or its limit) stays
    above one half.

    A curve that rests exactly on one half gives the middle of that stretch, as R does.
    """
    months = curve["month"].to_numpy()
    middle, low, high = (
        _crossing(months, curve[name].to_numpy()) for name in ("survival", "low", "high")
    )
    return middle, low, high


def _crossing(months: Floats, values: Floats) -> float:
    below = np.flatnonzero(values <= 0.5 + 1e-12)
    if not below.size:
        return np.inf
    first = below[0]
    month = months[first]
    exact = abs(values[first] - 0.5) < 1e-12
    if exact and first + 1 < len(months):
        month = (month + months[first + 1]) / 2
    return float(month)


def restricted_mean(outcome: Outcome, horizon: float) -> tuple[float, float]:
    """Mean months of service within `horizon` months, and its standard error (Greenwood; R
    `survfit(rmean=)`).

    Source: METHODS 9; Klein and Moeschberger.
    """
    curve = kaplan_meier(outcome)
    curve = curve[curve["month"] < horizon]
    edges = np.append(curve["month"], horizon)
    widths = np.diff(edges)
    areas = curve["survival"].to_numpy() * widths
    at_risk = curve["at_risk"].to_numpy(float)
    ended = curve["ended"].to_numpy(float)
    sums = np.cumsum(areas[::-1])
    left = sums[::-1]
    inside = (ended > 0) & (at_risk > ended)
    n = at_risk[inside]
    d = ended[inside]
    risk = n * (n - d)
    terms = left[inside] ** 2 * d / risk
    variance = np.sum(terms)
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
    low, high = _wilson_limits(ended, at_risk)
    spread = spread_by_rep([outcome], lambda counts: counts.pace(last))
    reach = spread.reach(0.975)
    inner = (hazard > 0) & (hazard < 1)
    inside = hazard.where(inner).to_numpy(float)
    slope = inside * (1 - inside)
    half = reach / slope
    logit = special.logit(inside)
    lower = special.expit(logit - half)
    upper = special.expit(logit + half)
    low = np.fmin(low, lower)
    high = np.fmax(high, upper)
    return frame.assign(hazard=hazard, low=low, high=high)


def _wilson_limits(ended: Sequence[int], at_risk: Any) -> Any:
    """Wilson's limits of each month's share, shape (2, months); NaN where nobody is at risk."""
    limits = []
    for left, there in zip(ended, at_risk, strict=True):
        if there:
            limits.append(wilson(left, int(there)))
        else:
            limits.append((math.nan, math.nan))
    return np.array(limits).T


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
    se = frame["se"].to_numpy(float)
    by_client = stats.norm.ppf(tail) * se
    by_rep = _incidence_by_rep(outcome, frame, tail)
    reach = np.maximum(by_client, by_rep)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = share * np.log(share)
        half = reach / np.abs(slope)
        between = (share > 0) & (share < 1)
        half = np.where(between, half, np.nan)
        no_limit = np.isnan(half)
        inside = np.where(no_limit, np.nan, share)
        lower = inside ** np.exp(half)
        upper = inside ** np.exp(-half)
        return frame.assign(low=lower, high=upper)


def _incidence_by_rep(outcome: Outcome, rows: pd.DataFrame, tail: float) -> Floats:
    """How far the interval of each row's share goes, by rep; `rows` with `kind` and `month`."""
    reach = np.zeros(len(rows))
    if outcome.reps is None:
        return reach
    for kind in rows["kind"].unique():
        spread = spread_by_rep([outcome], lambda counts, kind=kind: counts.incidence(kind))
        if spread is NO_SPREAD:
            return reach
        reaches = np.nan_to_num(spread.reach(tail))
        by_month = np.append(0.0, reaches)
        last = len(by_month) - 1
        own = (rows["kind"] == kind).to_numpy()
        months = rows["month"].to_numpy(int)[own]
        reach[own] = by_month[months.clip(max=last)]
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
    at_risk = table["at_risk"].to_numpy(float)
    ended = table["ended"].to_numpy() / at_risk
    chosen = table[f"ended_{kind}"].to_numpy() / at_risk
    share, own, other, drift = _influence_by_time(at_risk, ended, chosen)
    last = np.searchsorted(times, outcome.stop, side="left")
    in_time = (outcome.kind > 0) & (outcome.stop <= month)
    at_end = np.where(outcome.kind == kind, own[last], other[last])
    gain = np.where(in_time, at_end, 0.0)
    stopped = np.searchsorted(times, outcome.stop, side="right")
    entered = np.searchsorted(times, outcome.entry, side="right")
    drifted = drift[stopped] - drift[entered]
    influence = gain - drifted
    squares = outcome.times @ influence**2
    return month, kind, share, float(np.sqrt(squares))


def _influence_by_time(
    at_risk: Floats, ended: Floats, chosen: Floats
) -> tuple[float, Floats, Floats, Floats]:
    """The share who left for one kind, and what one more end at each time would do to it: an end of
    this kind, one of another, and, summed up to each time, one more client at risk.

    `ended` and `chosen` are the shares of those `at_risk` who leave, and who leave for this kind.
    """
    stays = np.append(1.0, 1 - ended)
    before = np.cumprod(stays)[:-1]
    steps = before * chosen
    reached = np.cumsum(steps)
    share = reached[-1] if len(reached) else 0.0
    # Through this kind directly, through all kinds by leaving fewer clients for later.
    nothing = np.zeros_like(ended)
    later = np.divide(share - reached, 1 - ended, out=nothing, where=ended < 1)
    moves = (steps - later * ended) / at_risk
    drift = np.append(0.0, np.cumsum(moves))
    clients = np.append(at_risk, 1.0)
    own = np.append(before - later, 0.0) / clients
    other = np.append(-later, 0.0) / clients
    return float(share), own, other, drift
