"""A difference to be judged, with its interval by client or by rep, and whether there is enough to
judge it by (METHODS 1, the gate).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from scipy import stats

from retention.results import Estimate
from retention.words import Said, say


@dataclass(frozen=True)
class Spread:
    """A standard error, of the shape of its estimate, and the degrees of freedom with which it is
    known.
    """

    se: Any = 0.0
    df: float = math.inf

    def reach(self, tail: float) -> Any:
        """How far an interval goes to either side of the estimate; `tail` is .975 for a 95 %
        interval.
        """
        return stats.t.ppf(tail, self.df) * self.se


NO_SPREAD = Spread()  # where too few reps are on record: clients are taken to be independent


Profile = Callable[[float], tuple[float, float]]  # an interval as a function of z


Z95 = NormalDist().inv_cdf(0.975)


MIN_EVENTS_GROUP, MIN_EVENTS = 10, 20  # METHODS 1, the gate: fewer ends are described, not compared


@dataclass(frozen=True)
class Contrast:
    """A difference to be judged: `theta` with standard error `se` on the log (ratio) or plain
    (difference) scale.

    `events` counts the ends per compared group that the estimate rests on. `lacking` lists reasons
    why there is too little to judge by (METHODS 1, the gate); `theta` may then be NaN. `caveats`
    are said with the verdict. `se` is by client, with `df` degrees of freedom; `by_rep` is the
    spread by rep. The interval is the wider of the two.
    """

    name: str
    theta: float
    se: float
    n_clients: int
    events: Mapping[str, int]
    lacking: tuple[str, ...] = ()
    caveats: tuple[str, ...] = ()
    profile: Profile | None = None
    df: float = math.inf
    by_rep: Spread = NO_SPREAD

    def interval(self, z: float = Z95) -> tuple[float, float]:
        """The interval of the level of z; with a `profile`, as far as the likelihood falls by z
        squared over two.
        """
        if self.profile:
            return self.profile(z)
        return self.theta - self.reach(z), self.theta + self.reach(z)

    def reach(self, z: float = Z95) -> float:
        """How far the interval of the level of z goes to either side, by client or by rep, the
        wider.
        """
        tail = NormalDist().cdf(z)
        return float(max(Spread(self.se, self.df).reach(tail), self.by_rep.reach(tail)))

    @property
    def chance(self) -> float:
        """How often chance alone makes as large a difference (two-sided), by client or by rep, the
        larger; 1 where no spread is known.

        >>> round(Contrast("", 2.0, 1.0, 50, {}).chance, 4)  # of a normal value
        0.0455
        >>> round(Contrast("", 2.0, 1.0, 50, {}, by_rep=Spread(1.0, 5)).chance, 4)  # of Student's
        0.1019
        """
        both = (Spread(self.se, self.df), self.by_rep)
        known = [spread for spread in both if spread.se > 0]
        chances = [2 * stats.t.sf(abs(self.theta) / spread.se, spread.df) for spread in known]
        return float(max(chances, default=1.0))

    def estimate(self, row_id: str, about: str, group: str) -> Estimate:
        """The contrast as a ratio with its 95 % interval."""
        ratios = [as_ratio(value) for value in (self.theta, *self.interval())]
        return Estimate.of(row_id, about, group, ratios, "ratio", (self.n_clients, self.n_events))

    @property
    def n_events(self) -> int:
        """Ends counted in all compared groups together."""
        return sum(self.events.values())

    @property
    def gate(self) -> tuple[str, ...]:
        """Why this is too little to judge by, in sentences; empty where the gate is passed (METHODS
        1).
        """
        if self.lacking and not self.events:
            return self.lacking
        thin = {group: n for group, n in self.events.items() if n < MIN_EVENTS_GROUP}
        if thin:
            return (*self.lacking, _too_few(thin))
        if self.n_events < MIN_EVENTS:
            few = say("shown.gate.too_few", n=self.n_events, least=MIN_EVENTS)
            return (*self.lacking, few)
        known = (self.theta, self.se, float(self.by_rep.se))
        computed = all(map(math.isfinite, known)) and self.se > 0
        if computed or self.lacking:
            return self.lacking
        return (say("shown.gate.not_computed"),)

    @property
    def short_of(self) -> int:
        """How many further ends the gate asks for."""
        in_groups = sum(max(0, MIN_EVENTS_GROUP - count) for count in self.events.values())
        return max(in_groups, MIN_EVENTS - self.n_events)


def _too_few(thin: Mapping[str, int]) -> Said:
    """That too few left in these groups, given how many did."""
    counts = [say("shown.gate.in_group", n=n, group=group) for group, n in thin.items()]
    return say("shown.gate.too_few_in_group", counts=", ".join(counts), least=MIN_EVENTS_GROUP)


def as_ratio(log: float) -> float:
    """The ratio with this logarithm; infinite where no number is large enough (a handful of
    ends).
    """
    try:
        return math.exp(log)
    except OverflowError:
        return math.inf
