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
        if entry is None:
            entry = np.full_like(stop, -np.inf)
        entry = np.asarray(entry, dtype=float)
        wrong = _wrong(stop, kind, entry)
        if wrong:
            raise ValueError("; ".join(wrong))
        at_risk = stop > entry
        counted = np.where(at_risk, kind, 0)
        begin = np.minimum(entry, stop)
        return cls(stop, counted, begin, None, reps)

    def where(self, chosen: Any) -> Outcome:
        """The follow-up of the chosen engagements (a boolean mask of shape (n,))."""
        count = None if self.count is None else self.count[chosen]
        reps = None if self.reps is None else self.reps[chosen]
        stop = self.stop[chosen]
        kind = self.kind[chosen]
        entry = self.entry[chosen]
        return Outcome(stop, kind, entry, count, reps)

    def only(self, kinds: Sequence[int]) -> Outcome:
        """The same follow-up with every other kind of end counted as censored."""
        chosen = np.isin(self.kind, kinds)
        kind = np.where(chosen, self.kind, 0)
        return Outcome(self.stop, kind, self.entry, self.count, self.reps)

    def within(self, month: float) -> Outcome:
        """The follow-up up to `month` alone: who leaves later is censored there."""
        early = self.stop <= month
        stop = np.minimum(self.stop, month)
        kind = np.where(early, self.kind, 0)
        cut = Outcome.of(stop, kind, self.entry)
        return replace(cut, count=self.count, reps=self.reps)

    def since(self, month: float) -> Outcome:
        """The follow-up after `month` of those still there then."""
        late = self.where(self.stop > month)
        later = np.maximum(late.entry, month)
        return replace(late, entry=later)

    @property
    def times(self) -> Floats:
        """How many engagements each row stands for, shape (n,)."""
        if self.count is None:
            return np.ones(len(self.stop))
        return self.count

    @cached_property
    def counted(self) -> Outcome:
        """The same follow-up with a row for each (entry, stop, kind) that occurs, and how often it
        does.
        """
        if self.count is not None:
            return self
        entry = np.maximum(self.entry, -1.0)  # before month 0 is before all of it
        sizes = [int(a.max(initial=0)) + 2 for a in (entry, self.stop, self.kind)]
        small = np.prod(sizes, dtype=float) <= CELLS
        if small and (self.stop >= 0).all():
            first = entry.astype(np.int64)
            last = self.stop.astype(np.int64)
            whole = (first == entry).all() and (last == self.stop).all()
            if whole:
                return _counted_whole(first, last, self.kind, sizes)
        columns = [self.entry, self.stop, self.kind]
        rows = np.column_stack(columns)
        cells, found = np.unique(rows, axis=0, return_counts=True)
        entries, stops, kinds = cells.T
        return _cells(stops, kinds, entries, found)

    @cached_property
    def by_rep(self) -> ByRep:
        """Client-months and ends by rep and month, from which those of one rep after the other are
        left out.
        """
        return _by_rep(self)

    @property
    def seen(self) -> int:
        """How many engagements are at risk at some time."""
        at_risk = self.stop > self.entry
        engagements = self.times[at_risk].sum()
        return int(engagements)

    @property
    def ended(self) -> int:
        """How many ends are counted, of whatever kind."""
        ended = self.kind > 0
        ends = self.times[ended].sum()
        return int(ends)

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
            ordered = moments[order]
            place = np.searchsorted(ordered, times, side="left")
            return sums[place]

        entered = before(told.entry)
        stopped = before(told.stop)
        there = np.asarray(entered - stopped)
        return there.astype(np.int64)


def _wrong(stop: Floats, kind: Any, entry: Floats) -> list[str]:
    """What is wrong with a follow-up, in words."""
    wrong = []
    if kind.shape != stop.shape:
        wrong.append(f"kind has shape {kind.shape}, stop has {stop.shape}")
    if entry.shape != stop.shape:
        wrong.append(f"entry has shape {entry.shape}, stop has {stop.shape}")
    if np.isnan(stop).any():
        wrong.append("stop has missing values")
    if np.isnan(entry).any():
        wrong.append("entry has missing values")
    if (kind < 0).any():
        wrong.append("kind is negative")
    return wrong


def _counted_whole(first: Any, last: Any, kind: Any, sizes: Sequence[int]) -> Outcome:
    """The counted table of months that are whole numbers, each less than its size; `first` from -1
    on.
    """
    _, stops, kinds = sizes
    pairs = (first + 1) * stops + last
    cell_of_each = pairs * kinds + kind
    found = np.bincount(cell_of_each)
    cells = np.flatnonzero(found)
    rest, kind = np.divmod(cells, kinds)
    first, last = np.divmod(rest, stops)
    return _cells(last, kind, first - 1, found[cells])


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
        there = self.at_risk > 0
        pace = np.divide(left, self.at_risk, out=nothing, where=there)
        start = np.ones((len(pace), 1))
        later = np.cumprod(1 - pace, axis=1)
        return np.hstack([start, later])

    def pace(self, last: int) -> Floats:
        """Share of those at risk who leave in months 1 to `last`, every kind of end counted; shape
        (m, last), NaN where nobody is at risk.
        """
        left = self.ended.sum(axis=1)
        unknown = np.full_like(left, np.nan)
        there = self.at_risk > 0
        pace = np.divide(left, self.at_risk, out=unknown, where=there)
        short = max(last - pace.shape[1], 0)
        after = ((0, 0), (0, short))
        longer = np.pad(pace, after, constant_values=np.nan)
        return longer[:, :last]

    def after(self, month: int) -> Floats:
        """Share still there just after a month, shape (m,)."""
        stay = self.stay
        months = stay.shape[1]
        last = min(month, months - 1)
        return np.asarray(stay[:, last])

    def mean(self, horizon: int) -> Floats:
        """Mean months of service within `horizon`, shape (m,)."""
        stay = self.stay
        short = max(horizon - stay.shape[1], 0)
        last = stay[:, -1:]
        more = np.repeat(last, short, axis=1)
        longer = np.hstack([stay, more])
        within = longer[:, :horizon]
        return np.asarray(within.sum(axis=1))

    def incidence(self, kind: int) -> Floats:
        """Share gone for this kind of end after 1, 2, ... months, shape (m, months)."""
        chosen = self.ended[:, kind - 1]
        nothing = np.zeros_like(chosen)
        at_risk = self.at_risk > 0
        pace = np.divide(chosen, self.at_risk, out=nothing, where=at_risk)
        there = self.stay[:, :-1]
        gone = there * pace
        return np.cumsum(gone, axis=1)


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
        at = np.array([place.get(name, 0) for name in names], dtype=int)
        own = (at > 0).astype(float)
        known = self.counts.at_risk
        short = months - known.shape[1]
        no_more = (0, 0)
        longer = (0, short)
        at_risk = np.pad(known, (no_more, longer))
        ended = np.pad(self.counts.ended, (no_more, no_more, longer))
        mine = at_risk[at] * own[:, None]
        my_ends = ended[at] * own[:, None, None]
        return Counts(at_risk[0] - mine, ended[0] - my_ends)


def _by_rep(outcome: Outcome) -> ByRep:
    """Each engagement's follow-up in pieces, one a rep, counted by rep, month and kind."""
    assert outcome.reps is not None
    codes, kinds = pd.factorize(outcome.reps)
    pieces = np.array([len(spans) for spans in kinds], dtype=int)
    begins, ends, named = _pieces(kinds)
    names = sorted(set(named) - {""})
    place = {name: k for k, name in enumerate(names, start=1)}
    who = np.array([place.get(name, 0) for name in named])
    own = pieces[codes]
    engagements = np.arange(len(codes))
    row = np.repeat(engagements, own)
    first_piece = np.cumsum(pieces) - pieces
    first_row = np.cumsum(own) - own
    number = np.arange(len(row)) - np.repeat(first_row, own)
    spot = first_piece[codes[row]] + number
    begun = outcome.entry[row]
    over = outcome.stop[row]
    piece_end = ends[spot]
    entry = np.maximum(begun, begins[spot])
    stop = np.minimum(over, piece_end)
    in_piece = over <= piece_end
    kind = np.where(in_piece, outcome.kind[row], 0)
    seen = stop > entry
    rep = who[spot][seen]
    groups = len(names) + 1
    counts = _counted(entry[seen], stop[seen], kind[seen], rep, groups)
    return ByRep(tuple(names), counts)


def _pieces(kinds: Any) -> tuple[Floats, Floats, list[str]]:
    """When each piece begins and ends, and its rep, piece after piece; `kinds` are sequences of
    (month, rep), each of which lasts until the next.
    """
    begins = []
    ends = []
    named = []
    for spans in kinds:
        months = np.array([month for month, _ in spans], dtype=float)
        begins.append(months)
        until = np.append(months[1:], np.inf)
        ends.append(until)
        named += [name for _, name in spans]
    return np.concatenate(begins), np.concatenate(ends), named


def _counted(entry: Floats, stop: Floats, kind: Any, who: Any, groups: int) -> Counts:
    """Counts by group; those of all of them in place of the first."""
    months = int(stop.max(initial=0))
    highest = kind.max(initial=0)
    kinds = int(highest) or 1
    first_month = entry.astype(int) + 1
    month_after = stop.astype(int) + 1
    change = np.zeros((groups, months + 2))
    np.add.at(change, (who, first_month), 1.0)
    np.add.at(change, (who, month_after), -1.0)
    sums = np.cumsum(change, axis=1)
    at_risk = sums[:, 1 : months + 1]
    ended = np.zeros((groups, kinds, months))
    left = kind > 0
    last_month = stop[left].astype(int) - 1
    which = kind[left] - 1
    cells = (who[left], which, last_month)
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
    for outcome in outcomes:
        if outcome.reps is None or not len(outcome.stop):
            return NO_SPREAD
    parts = [outcome.by_rep for outcome in outcomes]
    every: set[str] = set()
    for part in parts:
        every.update(part.names)
    names = sorted(every)
    if len(names) < FEWEST_REPS:
        return NO_SPREAD
    tables = [part.counts.at_risk for part in parts]
    months = max(table.shape[1] for table in tables)
    whole = sum(table[0].sum() for table in tables)
    without = [part.without_each(names, months) for part in parts]
    others = sum(counts.at_risk.sum(axis=1) for counts in without)
    sizes = whole - others
    value = of(*without)
    return leaving_out(value, sizes)


def _cells(stop: Any, kind: Any, entry: Any, count: Any) -> Outcome:
    stops = stop.astype(float)
    kinds = kind.astype(np.int64)
    entries = entry.astype(float)
    counts = count.astype(float)
    return Outcome(stops, kinds, entries, counts)


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
    kinds = told.kind[ended]
    weights = told.times[ended]
    months, where = np.unique(stops, return_inverse=True)

    def each(chosen: Any) -> Any:
        counts = np.bincount(where[chosen], weights[chosen], minlength=len(months))
        return counts.astype(np.int64)

    everybody = np.ones(len(where), dtype=bool)
    columns = {"month": months, "at_risk": told.at_risk(months), "ended": each(everybody)}
    for kind in np.unique(kinds):
        columns[f"ended_{kind}"] = each(kinds == kind)
    return pd.DataFrame(columns)
