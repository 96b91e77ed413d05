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
from retention.money.lifetimes import Course, horizon_of, paces, paid_there, stay_by
from retention.money.plateau import signups
from retention.results import Estimate, Estimates, Finding, between, quantity
from retention.settings import WhatIfSettings
from retention.stats.intervals import NO_REPS, Weights, over, with_limits

Floats = np.ndarray
MOST_MORE = 10.0  # times as much leaving as is tried to see what a raise can bear


@dataclass(frozen=True)
class Lever:
    """One change: what a month gains (by the rows of `Weights`, shape (m,)), how revenue swings,
    what is assumed.
    """

    name: str
    gain: Floats
    swing: float
    assumes: str


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
        stay = stay_by(*self.paces, slower)[:, : self.horizon]
        return np.asarray(self.signed * (stay * self.paid[fees][:, : self.horizon]).sum(axis=1))

    def swing(self, slower: float = 1.0, rate: float = 1.0) -> float:
        """The usual change of revenue from month to month, as a share of it, if clients come and go
        at random.
        """
        there = float(stay_by(*self.paces, slower)[0, self.horizon - 1])
        paid = pd.DataFrame(self.fees.paid).mean(axis=1)[
            (self.fees.spells["entry_months"] == 0).to_numpy()
        ]
        moves = rate * self.signed[0] * float((paid**2).mean()) * (2 - there)
        revenue = float(rate * self.level(slower, fees=True)[0])
        return math.sqrt(moves) / revenue if revenue > 0 else math.nan

    def estimate(self) -> _Base:
        """The same without its draws, for what is tried many times."""
        return replace(self, weights=self.weights[:1], signed=self.signed[:1])

    def where(self, chosen: Floats, cutoff: dt.date) -> _Base:
        """The same of some of the clients."""
        fees = self.fees.where(chosen)
        weights = self.weights[:, chosen]
        return _Base(
            fees, self.margins.where(chosen), weights, signups(fees, weights, cutoff), self.horizon
        )


def levers(
    found: Course, margins: Course, who: Sellers | None, told: WhatIfSettings, cutoff: dt.date
) -> Levers | None:
    """The changes of `[what_if]`, each by itself; None where fees, dates or a year of service are
    not known.

    `found` counts fees, `margins` what is left of them where hours are known.
    """
    horizon = horizon_of(found)
    if not found.has_money or not horizon or found.few or not renewals_known(found.spells):
        return None
    weights = found.weights()
    base = _Base(found, margins, weights, signups(found, weights, cutoff), horizon)
    today = base.level()
    revenue = base.level(fees=True)
    if revenue[0] <= 0:
        return None
    tried = [] if who is None else [_more_sellers(base, who, told, today, revenue)]
    lowered = base.level(1 - told.leaving_lowered) - today
    text = (
        "Every client who chooses to leave does so that much more slowly; how to bring it "
        "about is left open."
    )
    swing = base.swing(1 - told.leaving_lowered)
    tried.append(Lever(f"leaving lowered by {told.leaving_lowered:.0%}", lowered, swing, text))
    eaten = _eaten(base.estimate(), told.rates_raised)
    bound = (
        f"if leaving by choice rises by {eaten:.0%}"
        if eaten < MOST_MORE
        else "by no rise of leaving tried"
    )
    text = f"Nobody leaves for it. The gain is eaten up {bound}."
    tried.append(
        Lever(
            f"rates raised by {told.rates_raised:.0%}",
            told.rates_raised * revenue,
            base.swing(),
            text,
        )
    )
    size = found.spells["monthly_ad_spend"].to_numpy(float)
    least = float(np.nanquantile(size, told.smallest_declined))
    if (size > least).any():
        tried.append(_up_market(base, base.where(size > least, cutoff), told, today, least))
    if (moved := _without_monthly(base, told, today, revenue)) is not None:
        tried.append(moved)
    counts = (len(found.spells), int(found.left.sum()))
    return Levers(today, base.swing(), horizon, tuple(tried), margins.counts, counts, weights.sizes)


def _more_sellers(
    base: _Base, who: Sellers, told: WhatIfSettings, today: Floats, revenue: Floats
) -> Lever:
    more = told.sellers_added / who.number
    salary = told.sellers_added * float(np.nan_to_num(who.salary))
    cost = (
        "Salary and commission are taken off."
        if salary
        else "Their salary is not known and not taken off."
    )
    text = f"They sign as many each as today's {who.number:g} do, and find as good clients. {cost}"
    gain = more * (today - who.commission * revenue) - salary
    name = f"{told.sellers_added:g} seller{'s' * (told.sellers_added != 1)} more"
    return Lever(name, gain, base.swing(rate=1 + more), text)


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
    base: _Base, rest: _Base, told: WhatIfSettings, today: Floats, least: float
) -> Lever:
    """The smallest clients declined, and part of them replaced by clients like the rest."""
    signed = rest.signed + told.replaced * (base.signed - rest.signed)
    each = np.divide(rest.level(), rest.signed, out=np.zeros_like(today), where=rest.signed > 0)
    rate = float(signed[0] / rest.signed[0]) if rest.signed[0] else 1.0
    text = (
        f"Clients that plan to spend no more than {least:,.0f} a month are not signed; for "
        f"{told.replaced:.0%} of them "
        "another like the rest is found."
    )
    name = f"the smallest {told.smallest_declined:.0%} no longer signed"
    return Lever(name, signed * each - today, rest.swing(rate=rate), text)


def _without_monthly(
    base: _Base, told: WhatIfSettings, today: Floats, revenue: Floats
) -> Lever | None:
    """Month-to-month stopped; the months that clients stay longer take as many hours as monthly
    clients' do.
    """
    stopped = monthly_stopped(base.fees.spells, told.still_sign)
    if stopped is None or stopped.horizon != base.horizon:
        return None
    monthly = (base.fees.spells["contract_term_months"] == 1).to_numpy()
    costs = base.fees.paid[monthly] - base.margins.paid[monthly]
    hours = float(np.nanmean(costs)) if np.isfinite(costs).any() else 0.0
    # Its uncertainty is the ratio's, by client or by rep, and that of today's level, drawn apart.
    draws = len(base.weights.times)
    gained, months = (
        base.weights.apart_from_reps(values[:draws]) for values in (stopped.gained, stopped.months)
    )
    gain = gained * revenue - hours * months
    text = (
        f"{told.still_sign:.0%} of today's monthly clients sign a fixed term instead, and stay "
        "as the verdict says."
    )
    return Lever("month-to-month stopped", gain, stopped.swing, text)


def lever_table(found: Levers | None) -> Estimates:
    """What each change gains a month, as money and share of today's, and how revenue then swings
    (A3, B3).
    """
    if found is None:
        return Estimates((), "What would move it")
    rows = [
        Estimate.of(
            "B3", "brought a month", "as today", found.limits(found.today), "money", found.clients
        ),
        Estimate.of(
            "B3", "usual change of revenue from month to month", "as today", (found.swing,), "share"
        ),
    ]
    for lever in sorted(found.tried, key=lambda lever: -lever.gain[0]):
        gained = found.limits(lever.gain)
        share = found.limits(over(lever.gain, found.today), "share")
        rows.append(Estimate.of("B3", "gained a month", lever.name, gained, "money", found.clients))
        rows.append(
            Estimate.of("B3", "as a share of today's", lever.name, share, "share", found.clients)
        )
        rows.append(
            Estimate.of(
                "B3",
                "usual change of revenue from month to month",
                lever.name,
                (lever.swing,),
                "share",
            )
        )
    caption = (
        f"What would move it: brought a month by clients signed within {found.horizon} "
        f"months ({found.counts})"
    )
    return Estimates(tuple(rows), caption)


def assumptions(found: Levers | None) -> pd.DataFrame:
    """What each change takes for granted: `Change, What it takes for granted`."""
    tried = found.tried if found else ()
    return pd.DataFrame(
        {"Change": [x.name for x in tried], "What it takes for granted": [x.assumes for x in tried]}
    )


def lever_words(found: Levers | None, currency: str = "") -> Finding:
    """The one change that moves most, with its uncertainty and, where they cannot be told apart,
    the next.
    """
    if found is None:
        return Finding(
            "B3", "What would move revenue most cannot be told without what clients pay."
        )
    best, *others = sorted(found.tried, key=lambda lever: -lever.gain[0])
    value, low, high = found.limits(best.gain)
    if value <= 0:
        return Finding("B3", "None of the changes tried would bring more than today.")
    money = f"{quantity(value, 'money')} {currency}".strip()
    limits = f"95% interval {between(low, high, 'money')}"
    text = (
        f"Of the changes tried, {best.name} moves most: {money} a month more after "
        f"{found.horizon} months ({limits}; "
        f"{value / found.today[0]:+.0%} of {found.counts}). {best.assumes}"
    )
    close = [other.name for other in others if found.limits(best.gain - other.gain)[1] <= 0]
    text += f" It cannot be told apart from: {', '.join(close)}." if close else ""
    return Finding("B3", text)
