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
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from retention.results import NO_SPREAD, Estimate, Spread
from retention.stats.intervals import FEWEST_REPS, leaving_out

Floats = np.ndarray[Any, np.dtype[np.float64]]
MIN_AT_RISK = 10  # METHODS 6: a curve starts where at least ten clients are at risk
CURVE = ["month", "at_risk", "ended", "survival", "se", "low", "high"]


# a table of all (entry, stop, kind) that could be is counted into while it is no larger than this
CELLS = 4_000_000


@dataclass(frozen=True)
class Outcome:
    """Follow-up of n engagements: `stop` and `entry` in months, `kind` of end (0: censored); each
    of shape (n,).

    A row stands for `count` engagements alike (shape (n,); None: one each). Everything is computed
    from the counted table, in which no two rows are alike: exact, and as fast for a million clients
    as for a few thousand. `reps` (n,) say who was in charge from which month on
    (`in_charge.spans`), for intervals by rep; None where nobody knows.
    """

    stop: Floats
    kind: np.ndarray[Any, np.dtype[np.int64]]
    entry: Floats
    count: Floats | None = None
    reps: np.ndarray[Any, np.dtype[np.object_]] | None = None

    @classmethod
    def of(cls, stop: Any, kind: Any, entry: Any = None, reps: Any = None) -> Outcome:
        """Validated follow-up; who is never at risk (`stop <= entry`) never counts. ValueError
        lists what is wrong.
        """
        stop = np.asarray(stop, dtype=float)
        kind = np.asarray(kind).astype(np.int64)
        entry = np.full_like(stop, -np.inf) if entry is None else np.asarray(entry, dtype=float)
        shapes = {"kind": kind.shape, "entry": entry.shape}
        wrong = [
            f"{name} has shape {s}, stop has {stop.shape}"
            for name, s in shapes.items()
            if s != stop.shape
        ]
        wrong += [
            f"{name} has missing values"
            for name, a in (("stop", stop), ("entry", entry))
            if np.isnan(a).any()
        ]
        wrong += ["kind is negative"] if (kind < 0).any() else []
        if wrong:
            raise ValueError("; ".join(wrong))
        return cls(stop, np.where(stop > entry, kind, 0), np.minimum(entry, stop), None, reps)

    def where(self, chosen: Any) -> Outcome:
        """The follow-up of the chosen engagements (a boolean mask of shape (n,))."""
        count = None if self.count is None else self.count[chosen]
        reps = None if self.reps is None else self.reps[chosen]
        return Outcome(self.stop[chosen], self.kind[chosen], self.entry[chosen], count, reps)

    def only(self, kinds: Sequence[int]) -> Outcome:
        """The same follow-up with every other kind of end counted as censored."""
        kind = np.where(np.isin(self.kind, kinds), self.kind, 0)
        return Outcome(self.stop, kind, self.entry, self.count, self.reps)

    def within(self, month: float) -> Outcome:
        """The follow-up up to `month` alone: who leaves later is censored there."""
        cut = Outcome.of(
            np.minimum(self.stop, month), np.where(self.stop <= month, self.kind, 0), self.entry
        )
        return replace(cut, count=self.count, reps=self.reps)

    def since(self, month: float) -> Outcome:
        """The follow-up after `month` of those still there then."""
        late = self.where(self.stop > month)
        return replace(late, entry=np.maximum(late.entry, month))

    @property
    def times(self) -> Floats:
        """How many engagements each row stands for, shape (n,)."""
        return np.ones(len(self.stop)) if self.count is None else self.count

    @cached_property
    def counted(self) -> Outcome:
        """The same follow-up with a row for each (entry, stop, kind) that occurs, and how often it
        does.
        """
        if self.count is not None:
            return self
        entry = np.maximum(self.entry, -1.0)  # before month 0 is before all of it
        sizes = [int(a.max(initial=0)) + 2 for a in (entry, self.stop, self.kind)]
        whole = np.prod(sizes, dtype=float) <= CELLS and (self.stop >= 0).all()
        first = entry.astype(np.int64)
        last = self.stop.astype(np.int64) if whole else self.kind
        if whole and (first == entry).all() and (last == self.stop).all():
            found = np.bincount(((first + 1) * sizes[1] + last) * sizes[2] + self.kind)
            cells = np.flatnonzero(found)
            rest, kind = np.divmod(cells, sizes[2])
            first, last = np.divmod(rest, sizes[1])
            return _cells(last, kind, first - 1, found[cells])
        rows = np.column_stack([self.entry, self.stop, self.kind])
        cells, found = np.unique(rows, axis=0, return_counts=True)
        return _cells(cells[:, 1], cells[:, 2], cells[:, 0], found)

    @cached_property
    def by_rep(self) -> ByRep:
        """Client-months and ends by rep and month, from which those of one rep after the other are
        left out.
        """
        return _by_rep(self)

    @property
    def seen(self) -> int:
        """How many engagements are at risk at some time."""
        return int(self.times[self.stop > self.entry].sum())

    @property
    def ended(self) -> int:
        """How many ends are counted, of whatever kind."""
        return int(self.times[self.kind > 0].sum())

    @property
    def months(self) -> float:
        """Client-months under observation."""
        return float(self.times @ (self.stop - self.entry))

    def at_risk(self, times: Any) -> np.ndarray[Any, np.dtype[np.int64]]:
        """How many engagements are at risk at each of `times`: those with entry < t <= stop."""
        told = self.counted

        def before(moments: Floats) -> Floats:
            order = np.argsort(moments, kind="stable")
            sums = np.append(0.0, np.cumsum(told.times[order]))
            return sums[np.searchsorted(moments[order], times, side="left")]

        return np.asarray(before(told.entry) - before(told.stop)).astype(np.int64)


@dataclass(frozen=True)
class Counts:
    """Clients at risk in months 1, 2, ... of service, (m, months), and ends by kind 1, 2, ..., (m,
    kinds, months).
    """

    at_risk: Floats
    ended: Floats

    @property
    def stay(self) -> Floats:
        """Share still there after 0, 1, 2, ... months, every kind of end counted; shape (m, months
        + 1).
        """
        left = self.ended.sum(axis=1)
        pace = np.divide(left, self.at_risk, out=np.zeros_like(left), where=self.at_risk > 0)
        return np.hstack([np.ones((len(pace), 1)), np.cumprod(1 - pace, axis=1)])

    def after(self, month: int) -> Floats:
        """Share still there just after a month, shape (m,)."""
        stay = self.stay
        return np.asarray(stay[:, min(month, stay.shape[1] - 1)])

    def mean(self, horizon: int) -> Floats:
        """Mean months of service within `horizon`, shape (m,)."""
        stay = self.stay
        more = np.repeat(stay[:, -1:], max(horizon - stay.shape[1], 0), axis=1)
        return np.asarray(np.hstack([stay, more])[:, :horizon].sum(axis=1))

    def incidence(self, kind: int) -> Floats:
        """Share gone for this kind of end after 1, 2, ... months, shape (m, months)."""
        chosen = self.ended[:, kind - 1]
        pace = np.divide(chosen, self.at_risk, out=np.zeros_like(chosen), where=self.at_risk > 0)
        return np.cumsum(self.stay[:, :-1] * pace, axis=1)


@dataclass(frozen=True)
class ByRep:
    """Counts of all clients (first) and of each rep's own, by name."""

    names: tuple[str, ...]
    counts: Counts

    def without_each(self, names: Sequence[str], months: int) -> Counts:
        """The counts as the client-months of each of the named reps are left out, over so many
        months.
        """
        place = {name: k for k, name in enumerate(self.names, start=1)}
        at = [place.get(name, 0) for name in names]
        own = np.array([k > 0 for k in at], dtype=float)
        short = months - self.counts.at_risk.shape[1]
        at_risk = np.pad(self.counts.at_risk, ((0, 0), (0, short)))
        ended = np.pad(self.counts.ended, ((0, 0), (0, 0), (0, short)))
        return Counts(
            at_risk[0] - at_risk[at] * own[:, None], ended[0] - ended[at] * own[:, None, None]
        )


def _by_rep(outcome: Outcome) -> ByRep:
    """Each engagement's follow-up in pieces, one a rep, counted by rep, month and kind."""
    assert outcome.reps is not None
    codes, kinds = pd.factorize(outcome.reps)
    names = sorted({name for spans in kinds for _, name in spans} - {""})
    place = {"": 0} | {name: k for k, name in enumerate(names, start=1)}
    starts = [np.array([begin for begin, _ in spans], dtype=float) for spans in kinds]
    pieces = np.array([len(spans) for spans in kinds], dtype=int)
    first = np.append(0, np.cumsum(pieces))[:-1]
    row = np.repeat(np.arange(len(codes)), pieces[codes])
    number = np.arange(len(row)) - np.repeat(
        np.cumsum(pieces[codes]) - pieces[codes], pieces[codes]
    )
    spot = first[codes[row]] + number
    begins = np.concatenate(starts)
    ends = np.concatenate([np.append(begin[1:], np.inf) for begin in starts])
    who = np.array([place[name] for spans in kinds for _, name in spans])
    entry = np.maximum(outcome.entry[row], begins[spot])
    stop = np.minimum(outcome.stop[row], ends[spot])
    kind = np.where(outcome.stop[row] <= ends[spot], outcome.kind[row], 0)
    seen = stop > entry
    return ByRep(
        tuple(names), _counted(entry[seen], stop[seen], kind[seen], who[spot][seen], len(names) + 1)
    )


def _counted(entry: Floats, stop: Floats, kind: Any, who: Any, groups: int) -> Counts:
    """Counts by group; those of all of them in place of the first."""
    months = int(stop.max(initial=0))
    kinds = int(kind.max(initial=0)) or 1
    change = np.zeros((groups, months + 2))
    np.add.at(change, (who, entry.astype(int) + 1), 1.0)
    np.add.at(change, (who, stop.astype(int) + 1), -1.0)
    at_risk = np.cumsum(change, axis=1)[:, 1 : months + 1]
    ended = np.zeros((groups, kinds, months))
    left = kind > 0
    np.add.at(ended, (who[left], kind[left] - 1, stop[left].astype(int) - 1), 1.0)
    at_risk[0] = at_risk.sum(axis=0)
    ended[0] = ended.sum(axis=0)
    return Counts(at_risk, ended)


def spread_by_rep(outcomes: Sequence[Outcome], of: Callable[..., Floats]) -> Spread:
    """The spread by rep of a quantity that `of` makes from one Counts for each outcome, shape (m,
    ...).

    A rep is left out of all outcomes at once, so that what their clients share cancels in a
    difference. NO_SPREAD where nobody knows the reps, or they are too few.
    """
    if any(outcome.reps is None or not len(outcome.stop) for outcome in outcomes):
        return NO_SPREAD
    parts = [outcome.by_rep for outcome in outcomes]
    names = sorted({name for part in parts for name in part.names})
    if len(names) < FEWEST_REPS:
        return NO_SPREAD
    months = max(part.counts.at_risk.shape[1] for part in parts)
    without = [part.without_each(names, months) for part in parts]
    whole = sum(part.counts.at_risk[0].sum() for part in parts)
    sizes = whole - sum(counts.at_risk.sum(axis=1) for counts in without)
    return leaving_out(of(*without), sizes)


def _cells(stop: Any, kind: Any, entry: Any, count: Any) -> Outcome:
    return Outcome(
        stop.astype(float), kind.astype(np.int64), entry.astype(float), count.astype(float)
    )


def event_table(outcome: Outcome) -> pd.DataFrame:
    """One row per month in which somebody left: `month`, `at_risk`, `ended`, and `ended_<kind>` for
    each kind.

    >>> event_table(Outcome.of([2, 3, 3, 5], [1, 1, 0, 2], [0, 0, 2, 0]))
       month  at_risk  ended  ended_1  ended_2
    0    2.0        3      1        1        0
    1    3.0        3      1        1        0
    2    5.0        1      1        0        1
    """
    told = outcome.counted
    ended = told.kind > 0
    months, where = np.unique(told.stop[ended], return_inverse=True)

    def each(chosen: Any) -> Any:
        return np.bincount(where[chosen], told.times[ended][chosen], minlength=len(months)).astype(
            np.int64
        )

    columns = {f"ended_{k}": each(told.kind[ended] == k) for k in np.unique(told.kind[ended])}
    every = each(np.ones(len(where), dtype=bool))
    return pd.DataFrame(
        {"month": months, "at_risk": told.at_risk(months), "ended": every, **columns}
    )


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
    codes, labels = pd.factorize(np.asarray(group), sort=True)
    if len(labels) < 2:
        raise ValueError("a log-rank test compares at least two groups; only one was given")
    strata = np.zeros(len(codes)) if strata is None else np.asarray(strata)
    parts = [
        _logrank_stratum(outcome.where(strata == s), codes[strata == s], len(labels))
        for s in np.unique(strata)
    ]
    excess, variance = (sum(column) for column in zip(*parts, strict=True))
    # A group that was never at risk when somebody left says nothing and costs no degree of freedom.
    seen = np.flatnonzero(np.diag(variance) > 0)[:-1]
    excess = excess[seen]
    variance = variance[np.ix_(seen, seen)]
    chi2 = float(excess @ np.linalg.lstsq(variance, excess, rcond=None)[0])
    df = len(seen)
    return LogRank(chi2, df, float(stats.chi2.sf(chi2, df)) if df else math.nan)


def _logrank_stratum(outcome: Outcome, codes: Any, groups: int) -> tuple[Floats, Floats]:
    """Ends in excess of those expected (groups,) and their covariance (groups, groups)."""
    table = event_table(outcome)
    times, n, d = (table[c].to_numpy(float) for c in ("month", "at_risk", "ended"))
    each = [outcome.where(codes == g) for g in range(groups)]
    share = np.stack([part.at_risk(times) for part in each]) / n
    observed = np.array([part.ended for part in each], dtype=float)
    spread = d * np.divide(n - d, n - 1, out=np.zeros_like(n), where=n > 1)
    return observed - share @ d, np.diag(share @ spread) - (share * spread) @ share.T


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
    test = stats.binomtest(ended[0], sum(ended), ratio / (1 + ratio))
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
        return np.asarray(np.log(rates[0]) - np.log(rates[1]))


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
    counts = (first.seen + second.seen, first.ended + second.ended)
    return Estimate.of(row_id, "ends per client-month, ratio", group, numbers, "ratio", counts)
