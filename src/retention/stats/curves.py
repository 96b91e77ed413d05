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
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from retention.results import NO_SPREAD
from retention.stats.outcomes import Floats, Outcome, event_table, spread_by_rep

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
        relative = np.sqrt(np.cumsum(d / (n * (n - d))))
        by_rep = _reach_by_rep(outcome, table["month"], (1 + level) / 2) / survival
        reach = np.maximum(stats.norm.ppf((1 + level) / 2) * relative, by_rep)
        half = reach / np.abs(np.log(survival))
        low = survival ** np.exp(half)
        high = survival ** np.exp(-half)
        se = survival * relative
    rows = table.assign(survival=survival, se=se, low=low, high=high)[CURVE]
    told = outcome.counted
    at_start = int(told.times[(told.entry <= 0) & (told.stop > 0)].sum())
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
    months = np.arange(1, int(outcome.stop.max()) + 2)
    curve = kaplan_meier(outcome)
    gone = curve["survival"].iloc[-1] == 0 and outcome.stop.max() == curve["month"].iloc[-1]
    at_risk = outcome.at_risk(months)[: int(curve["month"].iloc[-1]) if gone else len(months)]
    needed = np.where((months == 1) & (outcome.entry > 0).any(), least, 1)[: len(at_risk)]
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
    areas = curve["survival"].to_numpy() * np.diff(np.append(curve["month"], horizon))
    n = curve["at_risk"].to_numpy(float)
    d = curve["ended"].to_numpy(float)
    left = np.cumsum(areas[::-1])[::-1]
    inside = (d > 0) & (n > d)
    variance = np.sum(left[inside] ** 2 * d[inside] / (n[inside] * (n[inside] - d[inside])))
    return float(areas.sum()), float(np.sqrt(variance))


def cumulative_incidence(
    outcome: Outcome, months: Sequence[float], level: float = 0.95
) -> pd.DataFrame:
    """Share who have left for each kind of reason by each month: `month, kind, share, se, low,
    high`.

    Aalen-Johansen with late entry. The standard error is the infinitesimal jackknife (what R's
    `survfit` gives), by client; the interval is log-log, by client or by rep, the wider. With
    competing ends this, not 1 - Kaplan-Meier, is the probability of leaving (METHODS 6).
    """
    kinds = [int(k) for k in np.unique(outcome.counted.kind) if k > 0]
    tail = (1 + level) / 2
    table = event_table(outcome)
    rows = [_incidence(outcome, table, kind, month) for kind in kinds for month in months]
    frame = pd.DataFrame(rows, columns=["month", "kind", "share", "se"])
    share = frame["share"].to_numpy(float)
    reach = np.maximum(
        stats.norm.ppf(tail) * frame["se"].to_numpy(float), _incidence_by_rep(outcome, frame, tail)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        half = reach / np.abs(share * np.log(share))
        half = np.where((share > 0) & (share < 1), half, np.nan)
        inside = np.where(np.isnan(half), np.nan, share)
        return frame.assign(low=inside ** np.exp(half), high=inside ** np.exp(-half))


def _incidence_by_rep(outcome: Outcome, rows: pd.DataFrame, tail: float) -> Floats:
    """How far the interval of each row's share goes, by rep; `rows` with `kind` and `month`."""
    reach = np.zeros(len(rows))
    for kind in rows["kind"].unique() if outcome.reps is not None else ():
        spread = spread_by_rep([outcome], lambda counts, kind=kind: counts.incidence(kind))
        if spread is NO_SPREAD:
            return reach
        by_month = np.append(0.0, np.nan_to_num(spread.reach(tail)))
        own = (rows["kind"] == kind).to_numpy()
        reach[own] = by_month[rows["month"].to_numpy(int)[own].clip(max=len(by_month) - 1)]
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
    before = np.cumprod(np.append(1.0, 1 - ended))[:-1]
    reached = np.cumsum(before * chosen)
    share = reached[-1] if len(reached) else 0.0
    # What one more end at each time would do to the share: through this kind directly, through all
    # kinds by leaving fewer clients for later.
    later = np.divide(share - reached, 1 - ended, out=np.zeros_like(ended), where=ended < 1)
    drift = np.append(0.0, np.cumsum((before * chosen - later * ended) / n))
    own = np.append(before - later, 0.0) / np.append(n, 1.0)
    other = np.append(-later, 0.0) / np.append(n, 1.0)
    last = np.searchsorted(times, outcome.stop, side="left")
    in_time = (outcome.kind > 0) & (outcome.stop <= month)
    gain = np.where(in_time, np.where(outcome.kind == kind, own[last], other[last]), 0.0)
    upto = drift[np.searchsorted(times, outcome.stop, side="right")]
    since = drift[np.searchsorted(times, outcome.entry, side="right")]
    return month, kind, float(share), float(np.sqrt(outcome.times @ (gain - (upto - since)) ** 2))
