"""How far an estimate may be off: by client, by rep, and the wider of both.

Clients of one rep rise and fall together, so intervals that take clients to be independent are too
narrow where reps differ. Leaving one rep out after the other, with Student's t, covers what it says
from six reps on; a bootstrap of ten reps does not (docs/calibration-spread.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy import special, stats

from retention.contrast import NO_SPREAD, Spread

Floats = np.ndarray[Any, np.dtype[np.float64]]
Codes = np.ndarray[Any, np.dtype[np.int64]]

FEWEST_REPS = 6  # fewer reps do not tell how far reps differ: METHODS 6
FEWEST_EFFECTIVE = 4.0  # (ours) nor do six of whom one has nearly all clients


def effective_number(sizes: Floats) -> float:
    """How many groups of one size would say as much as groups of these sizes.

    >>> effective_number(np.array([10.0, 10, 10]))
    3.0
    >>> round(effective_number(np.array([28.0, 1, 1])), 2)
    1.15
    """
    if not sizes.any():
        return 0.0
    squares = (sizes**2).sum()
    return float(sizes.sum() ** 2 / squares)


def tells(sizes: Floats) -> bool:
    """Whether reps of these sizes (client-months or ends) are enough to tell how far reps differ.

    >>> tells(np.ones(6)), tells(np.ones(5)), tells(np.array([100.0, 1, 1, 1, 1, 1]))
    (True, False, False)
    """
    there = (sizes > 0).sum()
    enough = there >= FEWEST_REPS
    return bool(enough and effective_number(sizes) >= FEWEST_EFFECTIVE)


def leaving_out(without: Floats, sizes: Floats) -> Spread:
    """The spread of an estimate from its values as each group is left out, shape (groups, ...), by
    the jackknife.

    `sizes` (groups,) are client-months or ends; a group of size 0 is none. NO_SPREAD where there
    are too few groups to tell. The degrees of freedom are one less than the effective number of
    groups. Source: METHODS 6.

    >>> leaving_out(np.array([1.0, 2, 3, 4, 5, 6]), np.ones(6)).se.round(4)  # sqrt(5 / 6 * 17.5)
    np.float64(3.8188)
    """
    if not tells(sizes):
        return NO_SPREAD
    there = sizes > 0
    real = jackknife(without[there])
    freedom = effective_number(sizes) - 1
    return Spread(real, freedom)


def jackknife(without: Floats) -> Floats:
    """The standard error from estimates as each of the groups is left out, shape (groups, ...) to
    (...).

    A group without which there is no estimate is passed over. One without which it is infinite (a
    payback that never comes) makes the error infinite.

    >>> jackknife(np.array([1.0, 2, 3, np.nan])) == jackknife(np.array([1.0, 2, 3]))
    np.True_
    >>> jackknife(np.array([1, 2, np.inf]))
    array(inf)
    """
    finite = np.isfinite(without)
    groups = finite.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        middle = np.nansum(without, axis=0) / groups
        deviations = (without - middle) ** 2
        squares = np.nansum(deviations, axis=0)
        variance = squares * (groups - 1) / groups
        return np.asarray(np.sqrt(variance))


def wilson(count: int, total: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's interval for a share (R `prop.test(correct = FALSE)`)."""
    test = stats.binomtest(count, total)
    interval = test.proportion_ci(level, method="wilson")
    return float(interval.low), float(interval.high)


def share_limits(counted: Any, reps: Any = None, level: float = 0.95) -> tuple[float, float]:
    """The interval of the share of rows that are `counted` (n,): Wilson's, or by rep on the logit
    scale, the wider.

    `reps` (n,) names who was in charge, "" for nobody; None where nobody knows.
    """
    counted = np.asarray(counted, dtype=float)
    number = int(counted.sum())
    low, high = wilson(number, len(counted), level)
    share = counted.mean()
    if reps is None or not 0 < share < 1:
        return low, high
    once = np.ones(len(counted))
    spread = ratio_by_rep(counted, once, reps)
    tail = (1 + level) / 2
    half = spread.reach(tail) / (share * (1 - share))
    logit = special.logit(share)
    lower = float(special.expit(logit - half))
    upper = float(special.expit(logit + half))
    return min(low, lower), max(high, upper)


def ratio_by_rep(part: Floats, whole: Floats, reps: Any) -> Spread:
    """The spread by rep of the sum of `part` over that of `whole`, both (n,), as each rep's rows
    are left out.
    """
    labels = np.asarray(reps, dtype=object).astype(str)
    names, codes = np.unique(labels, return_inverse=True)
    number = len(names)
    parts = np.bincount(codes, part, number)
    wholes = np.bincount(codes, whole, number)
    counts = np.bincount(codes, minlength=number).astype(float)
    named = names != ""
    rest = wholes.sum() - wholes[named]
    unknown = np.full(len(rest), np.nan)
    sums = part.sum() - parts[named]
    without = np.divide(sums, rest, out=unknown, where=rest > 0)
    return leaving_out(without, counts[named])


def difference_by_rep(values: Floats, marks: Any, reps: Any) -> Spread:
    """The spread of the difference of the means of marked values and others, (n,) each, as each
    rep's are left out; NO_SPREAD where `reps` is None or does not tell.
    """
    if reps is None:
        return NO_SPREAD
    chosen = np.asarray(marks, dtype=bool)
    once = np.ones((1, len(values)))
    weights = Weights.of_rows(once, reps)
    marked = weights[:, chosen].mean(values[chosen])
    others = weights[:, ~chosen].mean(values[~chosen])
    gap = marked - others
    return leaving_out(gap[1:], weights.sizes)


NO_REPS: Floats = np.zeros(0)
ON_LOG_SCALE = (
    "money",
    "number",
    "ratio",
)  # units whose estimates are near normal there: METHODS 6


@dataclass(frozen=True)
class Weights:
    """How often each of n rows counts: once, then in resamples of the clients, then as each rep is
    left out.

    It stands for a matrix of shape (1 + draws + reps, n). `times` are its first 1 + draws rows.
    `codes` (n,) say whose row each is, from 0, -1 for nobody's. With `monthly` codes (n, months),
    columns of values are months of service, and a rep's own client-months are left out. `first`
    (n,) are the codes at signing. `sizes` (reps,) are client-months, or rows, of each rep. Source:
    METHODS 6.

    >>> weights = Weights(np.ones((1, 3)), np.array([0, 1, -1]), np.ones(2))
    >>> (weights @ np.array([5.0, 7.0, 1.0])).tolist(), len(weights)
    ([13.0, 8.0, 6.0], 3)
    """

    times: Floats
    codes: Codes
    sizes: Floats = field(default_factory=lambda: NO_REPS)
    monthly: Codes | None = None
    first: Codes | None = None

    @classmethod
    def of_rows(cls, times: Floats, reps: Any = None) -> Weights:
        """Weights of rows that belong to one rep each; `reps` (n,) are names, "" for nobody, None
        if not on record.
        """
        if reps is None:
            clients = times.shape[1]
            return cls(times, np.full(clients, -1))
        labels = np.asarray(reps, dtype=object).astype(str)
        names, codes = np.unique(labels, return_inverse=True)
        codes = codes - int("" in names)  # "" sorts first
        counts = np.bincount(codes[codes >= 0])
        return cls(times, codes, counts.astype(float))

    @property
    def at_signing(self) -> Weights:
        """The same, with each row the one of the rep at signing."""
        if self.first is None:
            return self
        return replace(self, codes=self.first, monthly=None)

    def __matmul__(self, values: Floats) -> Floats:
        drawn = np.asarray(self.times @ values)
        if not len(self.sizes):
            return drawn
        without = drawn[:1] - self._own(values)
        return np.concatenate([drawn, without])

    def _own(self, values: Floats) -> Floats:
        """Sums of the values of each rep's own, shape (reps, ...)."""
        table = values[:, None] if values.ndim == 1 else values
        months = table.shape[1]
        codes = self.codes[:, None]
        if self.monthly is not None and values.ndim > 1:
            codes = self.monthly[:, :months]
        codes = np.broadcast_to(codes, table.shape)
        columns = np.arange(months)
        cells = codes * months + columns
        known = codes >= 0
        reps = len(self.sizes)
        sums = np.bincount(cells[known], table[known], reps * months)
        array = np.asarray(sums, dtype=float)
        return array.reshape(reps, *values.shape[1:])

    def __getitem__(self, key: Any) -> Weights:
        """`weights[:1]`: the estimate alone; `weights[:, chosen]`: the weights of the chosen
        rows.
        """
        if not isinstance(key, tuple):
            return Weights(self.times[key], self.codes)
        chosen = key[1]
        monthly = None if self.monthly is None else self.monthly[chosen]
        first = None if self.first is None else self.first[chosen]
        times = self.times[:, chosen]
        codes = self.codes[chosen]
        return Weights(times, codes, self.sizes, monthly, first)

    def __len__(self) -> int:
        return len(self.times) + len(self.sizes)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Floats:
        places = np.arange(len(self.sizes))
        others = self.codes != places[:, None]
        stacked = np.vstack([self.times, others])
        return stacked.astype(dtype or float)

    def sum(self, axis: int = 1) -> Floats:
        """How many rows count, shape (1 + draws + reps,); along axis 1 alone."""
        assert axis == 1
        clients = self.times.shape[1]
        return self @ np.ones(clients)

    def mean(self, values: Floats) -> Floats:
        """The mean of the values (n,), shape (1 + draws + reps,); NaN where no row counts."""
        sums = self @ values
        return over(sums, self.sum())

    def medians(self, values: Floats) -> Floats:
        """The value (n,) that half of all lie under, shape (1 + draws + reps,); of those that are
        finite.
        """
        order = np.argsort(values)
        finite = np.isfinite(values[order])
        order = order[finite]
        codes = self.codes[order]
        ordered = values[order]

        def middle(weights: Any) -> Any:
            mass = np.cumsum(weights)
            half = mass >= mass[-1] / 2
            return ordered[np.argmax(half)]

        drawn = [middle(row[order]) for row in self.times]
        without = [middle(codes != rep) for rep in range(len(self.sizes))]
        return np.array(drawn + without)

    def apart_from_reps(self, drawn: Floats) -> Floats:
        """Values by draw of what does not depend on reps, shape (1 + draws,): the first once more
        for each rep.
        """
        same = np.full(len(self.sizes), drawn[0])
        return np.concatenate([drawn, same])

    def limits(self, values: Floats, unit: str = "") -> list[float]:
        """The first value and its 95 % limits: `with_limits`."""
        return with_limits(values, self.sizes, unit)


def over(part: Any, whole: Any) -> Floats:
    """The part as a share of the whole; NaN where the whole is not above 0 (nobody signed, nothing
    paid).
    """
    part = np.asarray(part, dtype=float)
    whole = np.asarray(whole, dtype=float)
    unknown = np.full(part.shape, math.nan)
    return np.divide(part, whole, out=unknown, where=whole > 0)


def with_limits(values: Floats, sizes: Floats = NO_REPS, unit: str = "") -> list[float]:
    """The first value with its 95 % limits, by resampled clients or by rep, the wider on each side.

    `values` has shape (1 + draws + reps,), the last ones as each rep of these `sizes` is left out.
    The limits by rep are those of Student on the scale on which the unit is near normal (METHODS
    6): logit for shares, log for money and ratios above 0. They stay within 0 (and, for shares, 1)
    where all values do. Limits that are not finite stay so.
    """
    value = float(values[0])
    if math.isnan(value):
        return [math.nan] * 3
    number = len(values) - len(sizes)
    drawn = values[1:number]
    drawn = drawn[~np.isnan(drawn)]
    if not drawn.size:
        return [value, math.nan, math.nan]
    tails = [0.025, 0.975]
    low, high = np.quantile(drawn, tails, method="nearest")
    low_by_rep, high_by_rep = _limits_by_rep(value, values[number:], sizes, unit)
    lower = min(float(low), low_by_rep)
    upper = max(float(high), high_by_rep)
    return [value, lower, upper]


def _limits_by_rep(value: float, without: Floats, sizes: Floats, unit: str) -> tuple[float, float]:
    """The limits from values as each rep is left out; the value itself where reps do not tell."""
    there = sizes > 0
    kept = without[there]
    every = np.append(kept, value)
    to, back = _scale(every, unit)
    spread = leaving_out(to(kept), sizes[there])
    half = spread.reach(0.975)
    if not half > 0:  # too few reps, or all values alike
        return value, value
    middle = to(value)
    low = float(back(middle - half))
    high = float(back(middle + half))
    least = 0.0 if (every >= 0).all() else -math.inf
    most = 1.0 if unit == "share" and (every <= 1).all() else math.inf
    return max(low, least), min(high, most)


def _scale(every: Floats, unit: str) -> tuple[Any, Any]:
    """What takes these values to the scale on which the unit is near normal, and what back."""
    positive = (every > 0).all()
    if unit == "share" and positive and (every < 1).all():
        return special.logit, special.expit
    if unit in ON_LOG_SCALE and positive and np.isfinite(every).all():
        return np.log, np.exp
    return np.positive, np.positive


def welch(*events: float) -> float:
    """Degrees of freedom of a difference of logs of counts, by Welch's formula with a count's ends
    as observations.

    >>> round(welch(10, 10)), round(welch(10, 1000))
    (18, 9)
    """
    parts = [1 / count for count in events if count > 1]
    if len(parts) < len(events) or not parts:
        return 1.0
    squares = sum(part**2 / (1 / part - 1) for part in parts)
    return float(sum(parts) ** 2 / squares)
