"""What would move revenue (A3, B3 to B6): each change by itself, with what it assumes and what it
leaves uncertain.

All are measured on one scale: what the clients signed within `horizon` months bring a month, as
many signing as lately; after their hours where those are known, so that a change which takes work
is not held against one which does not.
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd
from scipy import optimize

from retention.claims.term_fees import monthly_stopped
from retention.history.opportunities import renewals_known
from retention.money.bonuses import Sellers
from retention.money.courses import Course, horizon_of, paces, paid_there, stay_by
from retention.money.plateau import signups
from retention.numbers import interval_words, quantity
from retention.results import Estimate, Estimates, Finding
from retention.settings import WhatIfSettings
from retention.stats.intervals import NO_REPS, Weights, over, with_limits
from retention.words import Said, say, together

Floats = np.ndarray
MOST_MORE = 10.0  # times as much leaving as is tried to see what a raise can bear


@dataclass(frozen=True)
class Lever:
    """One change: what a month gains (by the rows of `Weights`, shape (m,)), how revenue swings,
    what is assumed.
    """

    name: Said
    gain: Floats
    swing: float
    assumes: Said


@dataclass(frozen=True)
class Levers:
    """What today's sign-ups bring a month (shape (m,)), the swing of revenue, the levers tried; the
    reps' sizes.
    """

    today: Floats
    swing: float
    horizon: int
    tried: tuple[Lever, ...]
    counts: str
    clients: tuple[int, int]
    sizes: Floats = field(default_factory=lambda: NO_REPS)

    def limits(self, values: Floats, unit: str = "money") -> list[float]:
        """The first value with its 95 % limits, by client or by rep: `intervals.with_limits`."""
        return with_limits(values, self.sizes, unit)


@dataclass(frozen=True)
class _Base:
    """What the levers start from: the clients by fee and by worth, resampled, and their paces of
    leaving.
    """

    fees: Course
    margins: Course
    weights: Weights
    signed: Floats
    horizon: int

    @cached_property
    def paces(self) -> tuple[Floats, Floats]:
        """Share leaving by choice, and otherwise, in each month of service."""
        return paces(self.fees, self.weights)

    @cached_property
    def paid(self) -> dict[bool, Floats]:
        """What is paid (True), and what is left of it, by those there in each month of service."""
        return {
            True: paid_there(self.fees, self.weights),
            False: paid_there(self.margins, self.weights),
        }

    def level(self, slower: float = 1.0, fees: bool = False) -> Floats:
        """What they bring a month, shape (m,), were leaving by choice slower; or the fees that they
        pay.
        """
        there = stay_by(*self.paces, slower)
        stay = there[:, : self.horizon]
        brought = stay * self.paid[fees][:, : self.horizon]
        return np.asarray(self.signed * brought.sum(axis=1))

    def swing(self, slower: float = 1.0, rate: float = 1.0) -> float:
        """The usual change of revenue from month to month, as a share of it, if clients come and go
        at random.
        """
        stay = stay_by(*self.paces, slower)
        there = float(stay[0, self.horizon - 1])
        each = self.fees.paid
        paid = pd.DataFrame(each).mean(axis=1)[(self.fees.spells["entry_months"] == 0).to_numpy()]
        squares = float((paid**2).mean())
        moves = rate * self.signed[0] * squares * (2 - there)
        fees = self.level(slower, fees=True)
        revenue = float(rate * fees[0])
        return math.sqrt(moves) / revenue if revenue > 0 else math.nan

    def estimate(self) -> _Base:
        """The same without its draws, for what is tried many times."""
        first = self.weights[:1]
        return replace(self, weights=first, signed=self.signed[:1])

    def where(self, chosen: Floats, cutoff: dt.date) -> _Base:
        """The same of some of the clients."""
        fees = self.fees.where(chosen)
        weights = self.weights[:, chosen]
        return _Base(
            fees, self.margins.where(chosen), weights, signups(fees, weights, cutoff), self.horizon
        )


def levers(
    followed: Course, margins: Course, who: Sellers | None, asked: WhatIfSettings, cutoff: dt.date
) -> Levers | None:
    """The changes of `[what_if]`, each by itself; None where fees, dates or a year of service are
    not known.

    `followed` counts fees, `margins` what is left of them where hours are known.
    """
    horizon = horizon_of(followed)
    described_only = followed.few or not renewals_known(followed.spells)
    if not followed.has_money or not horizon or described_only:
        return None
    weights = followed.weights()
    signed = signups(followed, weights, cutoff)
    base = _Base(followed, margins, weights, signed, horizon)
    if base.level(fees=True)[0] <= 0:
        return None
    tried = _tried(base, who, asked, cutoff)
    gone = int(followed.left.sum())
    counts = (len(followed.spells), gone)
    today_level = base.level()
    return Levers(
        today_level, base.swing(), horizon, tuple(tried), margins.counts, counts, weights.sizes
    )


def _tried(base: _Base, who: Sellers | None, asked: WhatIfSettings, cutoff: dt.date) -> list[Lever]:
    """Every change that can be tried on these clients."""
    today = base.level()
    revenue = base.level(fees=True)
    tried = [] if who is None else [_more_sellers(base, who, asked, today, revenue)]
    tried.append(_leave_less(base, asked, today))
    tried.append(_raise_rates(base, asked, revenue))
    spends = base.fees.spells["monthly_ad_spend"]
    size = spends.to_numpy(float)
    smallest = np.nanquantile(size, asked.smallest_declined)
    least = float(smallest)
    if (size > least).any():
        larger = base.where(size > least, cutoff)
        tried.append(_up_market(base, larger, asked, today, least))
    stopped = _without_monthly(base, asked, revenue)
    return tried if stopped is None else [*tried, stopped]


def _more_sellers(
    base: _Base, who: Sellers, asked: WhatIfSettings, today: Floats, revenue: Floats
) -> Lever:
    more = asked.sellers_added / who.number
    monthly = np.nan_to_num(who.salary)
    salary = asked.sellers_added * float(monthly)
    net = today - who.commission * revenue
    gain = more * net - salary
    name = say("economics.change.sellers", n=asked.sellers_added)
    paid = "economics.assumes.sellers_paid" if salary else "economics.assumes.sellers_unpaid"
    sellers = say("economics.assumes.sellers", n=who.number)
    assumes = together(sellers, say(paid))
    swing = base.swing(rate=1 + more)
    return Lever(name, gain, swing, assumes)


def _leave_less(base: _Base, asked: WhatIfSettings, today: Floats) -> Lever:
    slower = 1 - asked.leaving_lowered
    name = say("economics.change.leaving", share=asked.leaving_lowered)
    assumes = say("economics.assumes.leaving")
    more = base.level(slower) - today
    return Lever(name, more, base.swing(slower), assumes)


def _raise_rates(base: _Base, asked: WhatIfSettings, revenue: Floats) -> Lever:
    eaten = _eaten(base.estimate(), asked.rates_raised)
    bound = (
        say("economics.assumes.rates_bound", share=eaten)
        if eaten < MOST_MORE
        else say("economics.assumes.rates_unbound")
    )
    name = say("economics.change.rates", share=asked.rates_raised)
    assumes = together(say("economics.assumes.rates"), bound)
    raised = asked.rates_raised * revenue
    return Lever(name, raised, base.swing(), assumes)


def _eaten(base: _Base, raised: float) -> float:
    """By what share leaving must rise for a raise to gain nothing; `MOST_MORE` where no such rise
    does.
    """

    def gain(more: float) -> float:
        return float(
            base.level(1 + more)[0] + raised * base.level(1 + more, fees=True)[0] - base.level()[0]
        )

    return float(optimize.brentq(gain, 0, MOST_MORE)) if gain(MOST_MORE) < 0 else MOST_MORE


def _up_market(
    base: _Base, rest: _Base, asked: WhatIfSettings, today: Floats, least: float
) -> Lever:
    """The smallest clients declined, and part of them replaced by clients like the rest."""
    lost = base.signed - rest.signed
    signed = rest.signed + asked.replaced * lost
    nothing = np.zeros_like(today)
    each = np.divide(rest.level(), rest.signed, out=nothing, where=rest.signed > 0)
    before = rest.signed[0]
    rate = float(signed[0] / rest.signed[0]) if before else 1.0
    name = say("economics.change.smallest", share=asked.smallest_declined)
    assumes = say("economics.assumes.smallest", least=least, share=asked.replaced)
    swing = rest.swing(rate=rate)
    return Lever(name, signed * each - today, swing, assumes)


def _without_monthly(base: _Base, asked: WhatIfSettings, revenue: Floats) -> Lever | None:
    """Month-to-month stopped; the months that clients stay longer take as many hours as monthly
    clients' do.
    """
    stopped = monthly_stopped(base.fees.spells, asked.still_sign)
    if stopped is None or stopped.horizon != base.horizon:
        return None
    terms = base.fees.spells["contract_term_months"]
    monthly = (terms == 1).to_numpy()
    fees = base.fees.paid[monthly]
    costs = fees - base.margins.paid[monthly]
    known = np.isfinite(costs).any()
    hours = float(np.nanmean(costs)) if known else 0.0
    # Its uncertainty is the ratio's, by client or by rep, and that of today's level, drawn apart.
    draws = len(base.weights.times)
    gained, months = (
        base.weights.apart_from_reps(values[:draws]) for values in (stopped.gained, stopped.months)
    )
    gain = gained * revenue - hours * months
    assumes = say("economics.assumes.monthly", share=asked.still_sign)
    return Lever(say("economics.change.monthly"), gain, stopped.swing, assumes)


def lever_table(effects: Levers | None) -> Estimates:
    """What each change gains a month, as money and share of today's, and how revenue then swings
    (A3, B3).
    """
    if effects is None:
        return Estimates((), say("economics.levers.empty"))
    today = say("economics.levers.today")
    swing = say("economics.levers.swing")
    level = effects.limits(effects.today)
    swing_row = Estimate.of("B3", swing, today, (effects.swing,), "share")
    rows = [
        Estimate.of("B3", say("economics.levers.brought"), today, level, "money", effects.clients),
        swing_row,
    ]
    for lever in _by_gain(effects):
        rows += _rows_of(effects, lever)
    caption = say("economics.levers.caption", months=effects.horizon, counts=effects.counts)
    return Estimates(tuple(rows), caption)


def gains(effects: Levers | None) -> pd.DataFrame:
    """What each change gains a month, for a picture, most first: `name, estimate, low, high, sense`
    (good or bad where the whole interval is a gain or a loss).
    """
    columns = ["estimate", "low", "high"]
    if effects is None:
        return pd.DataFrame(columns=["name", *columns, "sense"])
    tried = _by_gain(effects)
    limits = [effects.limits(lever.gain) for lever in tried]
    frame = pd.DataFrame(limits, columns=columns)
    frame.insert(0, "name", [lever.name for lever in tried])
    sense = np.select([frame["low"] > 0, frame["high"] < 0], ["good", "bad"], "")
    return frame.assign(sense=sense)


def _rows_of(effects: Levers, lever: Lever) -> list[Estimate]:
    gained = effects.limits(lever.gain)
    of_today = over(lever.gain, effects.today)
    share = effects.limits(of_today, "share")
    counts = effects.clients
    return [
        Estimate.of("B3", say("economics.levers.gained"), lever.name, gained, "money", counts),
        Estimate.of("B3", say("economics.levers.share"), lever.name, share, "share", counts),
        Estimate.of("B3", say("economics.levers.swing"), lever.name, (lever.swing,), "share"),
    ]


def _by_gain(effects: Levers) -> list[Lever]:
    return sorted(effects.tried, key=lambda lever: -lever.gain[0])


def assumptions(effects: Levers | None) -> pd.DataFrame:
    """What each change takes for granted: `change, assumes`."""
    tried = effects.tried if effects else ()
    names = [x.name for x in tried]
    return pd.DataFrame({"change": names, "assumes": [x.assumes for x in tried]})


def best(effects: Levers | None) -> Lever | None:
    """The change that brings most; None where none would bring more than today."""
    if effects is None:
        return None
    first, *_ = _by_gain(effects)
    return first if effects.limits(first.gain)[0] > 0 else None


def lever_words(effects: Levers | None, currency: str = "") -> Finding:
    """The one change that moves most, with its uncertainty and, where the data cannot tell them
    apart, the next.
    """
    if effects is None:
        return Finding("B3", say("economics.levers.lacking"))
    best, *others = _by_gain(effects)
    value, low, high = effects.limits(best.gain)
    if value <= 0:
        return Finding("B3", say("economics.levers.none"))
    lead = say(
        "economics.levers.best",
        change=best.name,
        money=f"{quantity(value, 'money')} {currency}".strip(),
        months=effects.horizon,
        limits=interval_words(low, high, "money"),
    )
    share = value / effects.today[0]
    of_today = say("economics.levers.of_today", share=share, counts=effects.counts)
    close = [x.name for x in others if effects.limits(best.gain - x.gain)[1] <= 0]
    apart = say("economics.levers.close", others=", ".join(close)) if close else ""
    text = together(lead, of_today, best.assumes, apart)
    return Finding("B3", text)
