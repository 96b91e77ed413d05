"""What would move revenue (A3, B3 to B6): each change by itself, with what it assumes and what it leaves uncertain.

All are measured on one scale: what the clients signed within `horizon` months pay a month, once as many sign as lately.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from retention.config import WhatIfSettings
from retention.economics.bonuses import Sellers
from retention.economics.fees import monthly_stopped
from retention.economics.lifetimes import Course, horizon_of, paces, paid_there, stay_by, with_limits
from retention.economics.plateau import signups
from retention.results import Estimate, Estimates, Finding, between, quantity

Floats = np.ndarray


@dataclass(frozen=True)
class Lever:
    """One change: what revenue a month gains (draws, shape (m,)), how much it then swings, and what is assumed."""

    name: str
    gain: Floats
    swing: float
    assumes: str


@dataclass(frozen=True)
class Levers:
    """The revenue of today (draws, shape (m,)) with its swing, and the levers that could be tried."""

    today: Floats
    swing: float
    horizon: int
    tried: tuple[Lever, ...]
    counts: str
    clients: tuple[int, int]


def levers(found: Course, who: Sellers | None, told: WhatIfSettings, cutoff: dt.date) -> Levers | None:
    """The changes of `[what_if]`, each by itself; None where fees or a year of service are not known."""
    horizon = min(horizon_of(found), 24)
    if not found.has_money or not horizon:
        return None
    weights = found.weights()
    signed = signups(found, weights, cutoff)
    chose, other = paces(found, weights)
    paid = paid_there(found, weights)

    def level(slower: float = 1.0) -> Floats:
        stay = stay_by(chose, other, slower)
        return np.asarray(signed * (stay[:, :horizon] * paid[:, :horizon]).sum(axis=1))

    today = level()
    swing = _swing(found, signed[0], float(stay_by(chose, other)[0, horizon - 1]), today[0])
    tried = []
    if who is not None:
        more, salary = told.sellers_added / who.number, told.sellers_added * np.nan_to_num(who.salary)
        cost = "Salary and commission are taken off." if salary else "Their salary is not known and not taken off."
        text = f"They sign as many each as today's {who.number} do, and find as good clients. {cost}"
        gain = more * today * (1 - who.commission) - salary
        name = f"{told.sellers_added:g} seller{'s' * (told.sellers_added != 1)} more"
        tried.append(Lever(name, gain, swing / math.sqrt(1 + more), text))
    slower = 1 - told.leaving_lowered
    calm = _swing(found, signed[0], float(stay_by(chose, other, slower)[0, horizon - 1]), level(slower)[0])
    text = "Every client who chooses to leave does so that much more slowly; how to bring it about is left open."
    tried.append(Lever(f"leaving lowered by {told.leaving_lowered:.0%}", level(slower) - today, calm, text))
    eaten = _eaten(level, today[0], told.rates_raised)
    text = f"Nobody leaves for it. The gain is eaten up if leaving by choice rises by {eaten:.0%}."
    tried.append(Lever(f"rates raised by {told.rates_raised:.0%}", told.rates_raised * today, swing, text))
    size = found.spells["monthly_ad_spend"].to_numpy(float)
    least = float(np.nanquantile(size, told.smallest_declined))
    if (size > least).any():
        tried.append(_up_market(found, weights, told, cutoff, horizon, today, least))
    if (stopped := monthly_stopped(found.spells, told.still_sign)) is not None:
        change, swings = stopped
        text = (
            f"{told.still_sign:.0%} of today's monthly clients sign a fixed term instead, and stay as the verdict says."
        )
        # Its uncertainty is the ratio's and that of today's level, drawn apart.
        draws = min(len(change), len(today))
        tried.append(Lever("month-to-month stopped", change[:draws] * today[:draws], swings, text))
    counts = (len(found.spells), int(found.left.sum()))
    return Levers(today, swing, horizon, tuple(tried), found.counts, counts)


def _swing(found: Course, signed: float, there: float, level: float) -> float:
    """The usual change of revenue from month to month, as a share of it, if clients come and go at random."""
    fees = pd.DataFrame(found.paid).mean(axis=1)
    new = fees[(found.spells["entry_months"] == 0).to_numpy()]
    return math.sqrt(signed * float((new**2).mean()) * (2 - there)) / level if level > 0 else math.nan


def _eaten(level: Callable[[float], Floats], today: float, raised: float) -> float:
    """By what share leaving must rise for a raise to gain nothing."""
    low, high = 0.0, 10.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if (1 + raised) * level(1 + middle)[0] > today else (low, middle)
    return low


def _up_market(
    found: Course, weights: Floats, told: WhatIfSettings, cutoff: dt.date, horizon: int, today: Floats, least: float
) -> Lever:
    """The smallest clients declined, and part of them replaced by clients like the rest."""
    rest = found.spells["monthly_ad_spend"].to_numpy(float) > least
    part = found.where(rest)
    chose, other = paces(part, weights[:, rest])
    brings = stay_by(chose, other)[:, :horizon] * paid_there(part, weights[:, rest])[:, :horizon]
    every, kept = signups(found, weights, cutoff), signups(part, weights[:, rest], cutoff)
    moved = (kept + told.replaced * (every - kept)) * brings.sum(axis=1)
    there = float(stay_by(chose, other)[0, horizon - 1])
    swing = _swing(part, float(kept[0] + told.replaced * (every[0] - kept[0])), there, moved[0])
    text = (
        f"Clients that plan to spend no more than {least:,.0f} a month are not "
        f"signed; for {told.replaced:.0%} of them another like the rest is found. Hours that it frees are not counted."
    )
    return Lever(f"the smallest {told.smallest_declined:.0%} no longer signed", moved - today, swing, text)


def lever_table(found: Levers | None) -> Estimates:
    """What each change gains a month, as money and share of today's, and how revenue then swings (A3, B3)."""
    if found is None:
        return Estimates((), "What would move revenue")
    rows = [
        Estimate.of("B3", "revenue a month", "as today", with_limits(found.today), "money", found.clients),
        Estimate.of("B3", "usual change from month to month", "as today", (found.swing,), "share"),
    ]
    for lever in sorted(found.tried, key=lambda lever: -lever.gain[0]):
        rows.append(Estimate.of("B3", "gained a month", lever.name, with_limits(lever.gain), "money", found.clients))
        share = lever.gain / found.today[: len(lever.gain)]
        rows.append(Estimate.of("B3", "as a share of today's", lever.name, with_limits(share), "share", found.clients))
        rows.append(Estimate.of("B3", "usual change from month to month", lever.name, (lever.swing,), "share"))
    caption = f"What would move revenue: from clients signed within {found.horizon} months ({found.counts})"
    return Estimates(tuple(rows), caption)


def assumptions(found: Levers | None) -> pd.DataFrame:
    """What each change takes for granted: `Change, What it takes for granted`."""
    tried = found.tried if found else ()
    return pd.DataFrame({"Change": [x.name for x in tried], "What it takes for granted": [x.assumes for x in tried]})


def lever_words(found: Levers | None, currency: str = "") -> Finding:
    """The one change that moves revenue most, with its uncertainty."""
    if found is None or not found.tried:
        return Finding("B3", "What would move revenue most cannot be told without what clients pay.")
    best = max(found.tried, key=lambda lever: lever.gain[0])
    value, low, high = with_limits(best.gain)
    money = f"{quantity(value, 'money')} {currency}".strip()
    return Finding(
        "B3",
        f"Of the changes tried, {best.name} moves revenue most: {money} a month after {found.horizon} months (95% "
        f"interval {between(low, high, 'money')}; {value / found.today[0]:+.0%}). {best.assumes}",
    )
