"""Follow-up as counts: who was at risk and who ended, by month of service, and by rep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from retention.contrast import NO_SPREAD, Spread
from retention.stats.intervals import FEWEST_REPS, leaving_out

Floats = np.ndarray[Any, np.dtype[np.float64]]
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
        kinds = np.asarray(kind)
        kind = kinds.astype(np.int64)
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
        counted = np.where(stop > entry, kind, 0)
        return cls(stop, counted, np.minimum(entry, stop), None, reps)

    def where(self, chosen: Any) -> Outcome:
        """The follow-up of the chosen engagements (a boolean mask of shape (n,))."""
        count = None if self.count is None else self.count[chosen]
        reps = None if self.reps is None else self.reps[chosen]
        stop = self.stop[chosen]
        return Outcome(stop, self.kind[chosen], self.entry[chosen], count, reps)

    def only(self, kinds: Sequence[int]) -> Outcome:
        """The same follow-up with every other kind of end counted as censored."""
        chosen = np.isin(self.kind, kinds)
        kind = np.where(chosen, self.kind, 0)
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
        later = np.maximum(late.entry, month)
        return replace(late, entry=later)

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
            pairs = (first + 1) * sizes[1] + last
            found = np.bincount(pairs * sizes[2] + self.kind)
            cells = np.flatnonzero(found)
            rest, kind = np.divmod(cells, sizes[2])
            first, last = np.divmod(rest, sizes[1])
            return _cells(last, kind, first - 1, found[cells])
        columns = [self.entry, self.stop, self.kind]
        rows = np.column_stack(columns)
        cells, found = np.unique(rows, axis=0, return_counts=True)
        entries = cells[:, 1]
        return _cells(entries, cells[:, 2], cells[:, 0], found)

    @cached_property
    def by_rep(self) -> ByRep:
        """Client-months and ends by rep and month, from which those of one rep after the other are
        left out.
        """
        return _by_rep(self)

    @property
    def seen(self) -> int:
        """How many engagements are at risk at some time."""
        seen_times = self.times[self.stop > self.entry]
        return int(seen_times.sum())

    @property
    def ended(self) -> int:
        """How many ends are counted, of whatever kind."""
        ended_times = self.times[self.kind > 0]
        return int(ended_times.sum())

    @property
    def months(self) -> float:
        """Client-months under observation."""
        months = self.stop - self.entry
        return float(self.times @ months)

    def at_risk(self, times: Any) -> np.ndarray[Any, np.dtype[np.int64]]:
        """How many engagements are at risk at each of `times`: those with entry < t <= stop."""
        told = self.counted

        def before(moments: Floats) -> Floats:
            order = np.argsort(moments, kind="stable")
            counts = np.cumsum(told.times[order])
            sums = np.append(0.0, counts)
            place = np.searchsorted(moments[order], times, side="left")
            return sums[place]

        there = before(told.entry) - before(told.stop)
        return np.asarray(there).astype(np.int64)


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
        nothing = np.zeros_like(left)
        pace = np.divide(left, self.at_risk, out=nothing, where=self.at_risk > 0)
        start = np.ones((len(pace), 1))
        return np.hstack([start, np.cumprod(1 - pace, axis=1)])

    def pace(self, last: int) -> Floats:
        """Share of those at risk who leave in months 1 to `last`, every kind of end counted; shape
        (m, last), NaN where nobody is at risk.
        """
        left = self.ended.sum(axis=1)
        unknown = np.full_like(left, np.nan)
        pace = np.divide(left, self.at_risk, out=unknown, where=self.at_risk > 0)
        short = max(last - pace.shape[1], 0)
        longer = np.pad(pace, ((0, 0), (0, short)), constant_values=np.nan)
        return longer[:, :last]

    def after(self, month: int) -> Floats:
        """Share still there just after a month, shape (m,)."""
        stay = self.stay
        last = min(month, stay.shape[1] - 1)
        return np.asarray(stay[:, last])

    def mean(self, horizon: int) -> Floats:
        """Mean months of service within `horizon`, shape (m,)."""
        stay = self.stay
        short = max(horizon - stay.shape[1], 0)
        more = np.repeat(stay[:, -1:], short, axis=1)
        whole = np.hstack([stay, more])[:, :horizon]
        return np.asarray(whole.sum(axis=1))

    def incidence(self, kind: int) -> Floats:
        """Share gone for this kind of end after 1, 2, ... months, shape (m, months)."""
        chosen = self.ended[:, kind - 1]
        nothing = np.zeros_like(chosen)
        pace = np.divide(chosen, self.at_risk, out=nothing, where=self.at_risk > 0)
        there = self.stay[:, :-1]
        return np.cumsum(there * pace, axis=1)


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
        at_risk_now = self.counts.at_risk
        at_risk = np.pad(at_risk_now, ((0, 0), (0, short)))
        ended_now = self.counts.ended
        ended = np.pad(ended_now, ((0, 0), (0, 0), (0, short)))
        mine = at_risk[at] * own[:, None]
        my_ends = ended[at] * own[:, None, None]
        return Counts(at_risk[0] - mine, ended[0] - my_ends)


def _by_rep(outcome: Outcome) -> ByRep:
    """Each engagement's follow-up in pieces, one a rep, counted by rep, month and kind."""
    assert outcome.reps is not None
    codes, kinds = pd.factorize(outcome.reps)
    every_name = {name for spans in kinds for _, name in spans}
    names = sorted(every_name - {""})
    place = {"": 0} | {name: k for k, name in enumerate(names, start=1)}
    starts = [np.array([begin for begin, _ in spans], dtype=float) for spans in kinds]
    pieces = np.array([len(spans) for spans in kinds], dtype=int)
    so_far = np.append(0, np.cumsum(pieces))
    first = so_far[:-1]
    numbers = np.arange(len(codes))
    row = np.repeat(numbers, pieces[codes])
    number = np.arange(len(row)) - np.repeat(
        np.cumsum(pieces[codes]) - pieces[codes], pieces[codes]
    )
    spot = first[codes[row]] + number
    begins = np.concatenate(starts)
    pieces_end = [np.append(begin[1:], np.inf) for begin in starts]
    ends = np.concatenate(pieces_end)
    who = np.array([place[name] for spans in kinds for _, name in spans])
    begun = outcome.entry[row]
    entry = np.maximum(begun, begins[spot])
    over = outcome.stop[row]
    stop = np.minimum(over, ends[spot])
    in_piece = outcome.stop[row] <= ends[spot]
    kind = np.where(in_piece, outcome.kind[row], 0)
    seen = stop > entry
    rep = who[spot][seen]
    groups = len(names) + 1
    counts = _counted(entry[seen], stop[seen], kind[seen], rep, groups)
    return ByRep(tuple(names), counts)


def _counted(entry: Floats, stop: Floats, kind: Any, who: Any, groups: int) -> Counts:
    """Counts by group; those of all of them in place of the first."""
    months = int(stop.max(initial=0))
    highest = kind.max(initial=0)
    kinds = int(highest) or 1
    change = np.zeros((groups, months + 2))
    np.add.at(change, (who, entry.astype(int) + 1), 1.0)
    np.add.at(change, (who, stop.astype(int) + 1), -1.0)
    sums = np.cumsum(change, axis=1)
    at_risk = sums[:, 1 : months + 1]
    ended = np.zeros((groups, kinds, months))
    left = kind > 0
    months_left = stop[left].astype(int) - 1
    cells = (who[left], kind[left] - 1, months_left)
    np.add.at(ended, cells, 1.0)
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
    every = {name for part in parts for name in part.names}
    names = sorted(every)
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
    stops = told.stop[ended]
    months, where = np.unique(stops, return_inverse=True)

    def each(chosen: Any) -> Any:
        weights = told.times[ended]
        return np.bincount(where[chosen], weights[chosen], minlength=len(months)).astype(np.int64)

    columns = {f"ended_{k}": each(told.kind[ended] == k) for k in np.unique(told.kind[ended])}
    everybody = np.ones(len(where), dtype=bool)
    every = each(everybody)
    return pd.DataFrame(
        {"month": months, "at_risk": told.at_risk(months), "ended": every, **columns}
    )
