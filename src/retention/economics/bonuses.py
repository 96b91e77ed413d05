"""What sellers and reps cost and bring, and what their bonuses would pay for (B4 to B6)."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from retention.config import WhatIfSettings
from retention.economics.lifetimes import SEED, Course, paces, paid_there, stay_by, with_limits, worth
from retention.economics.plateau import AHEAD, Outlook
from retention.funnel import MIN_EXPECTED, funnel
from retention.people import expected_ends
from retention.results import Estimate, Estimates, Finding, between, quantity

HALF_YEAR = 6  # months: study row B5
YEAR = 12
FULL_AT, NONE_AT = (
    0.5,
    1.0,
)  # (ours) ends over expected at which a rep earns all of the bonus, and none; between, in part
SHUFFLES, LUCK_DRAWS = 400, 200
MIN_EACH = 5  # (ours) clients from which a seller's bonuses are looked at
Floats = np.ndarray


@dataclass(frozen=True)
class Sellers:
    """Sellers at work at the cut-off: how many, and what the middling one costs a month; NaN where not on record."""

    number: int
    salary: float
    commission: float  # share of the fees of their clients
    quota: float  # deals a month


def sellers_now(staff: pd.DataFrame | None, cutoff: dt.date) -> Sellers | None:
    """The sellers of the staff table; None where it has none."""
    last = pd.Timestamp(cutoff)
    if staff is None or not {"role"} <= set(staff):
        return None
    rows = staff[staff["role"] == "seller"].reindex(columns=[*staff, *{"started_on", "ended_on"} - set(staff)])
    here = rows[~(rows["started_on"] > last) & ~(rows["ended_on"] <= last)]
    if here.empty:
        return None
    told = here.reindex(columns=["monthly_salary", "commission_pct", "quota"]).astype(float).median()
    commission = told["commission_pct"] / 100 if math.isfinite(told["commission_pct"]) else 0.0
    return Sellers(len(here), float(told["monthly_salary"]), commission, float(told["quota"]))


def seller_rule(ahead: Outlook | None, who: Sellers | None) -> tuple[Estimates, Finding]:
    """Whether another seller pays (B4): what one brings at the pace of today's, beside what one costs.

    A seller's clients sign at today's rate a seller, stay and pay as clients do; commission is taken of their fees.
    """
    empty = Estimates((), "What another seller brings")
    if ahead is None or who is None or not math.isfinite(who.salary):
        need = "the staff table with role seller and monthly_salary" if ahead is not None else "what clients pay"
        return empty, Finding("B4", f"Whether another seller pays cannot be told: it takes {need}.")
    rate = ahead.signed / who.number
    brings = np.divide(ahead.new, ahead.signed[:, None], out=np.zeros_like(ahead.new), where=ahead.signed[:, None] > 0)
    kept = rate[:, None] * brings * (1 - who.commission)
    paid_back = np.cumsum(kept, axis=1)[:, 1:] >= who.salary * np.arange(1, AHEAD + 1)
    months = np.where(paid_back.any(axis=1), paid_back.argmax(axis=1) + 1.0, np.inf)
    fee = brings[:, 1]
    rows = {
        "clients that one seller signs a month": (rate, "number"),
        "what a new client pays in its first month": (fee, "money"),
        "what one seller's clients bring a month after a year": (kept[:, YEAR], "money"),
        "what one seller's clients bring a month after five years": (kept[:, 5 * YEAR], "money"),
        "what a seller costs a month": (np.full(len(fee), who.salary), "money"),
        "months until what a seller brought covers what it cost": (months, "months"),
    }
    table = [Estimate.of("B4", name, "all", with_limits(v), unit, ahead.clients) for name, (v, unit) in rows.items()]
    return Estimates(tuple(table), f"Another seller ({ahead.counts}, after commission)"), _rule_words(
        who, rate, fee, months
    )


def _rule_words(who: Sellers, rate: Floats, fee: Floats, months: Floats) -> Finding:
    under = who.salary < fee[0]
    rule = "costs less a month than one new client pays" if under else "costs more a month than one new client pays"
    quota = ""
    if math.isfinite(who.quota):
        quota = f" Today's sign {rate[0]:.1f} clients a month each, against a quota of {who.quota:g}."
    low, high = with_limits(months)[1:]
    when = "would not have paid for itself in ten years"
    if math.isfinite(months[0]):
        when = f"has paid for itself after {months[0]:.0f} months (95% interval {between(low, high, 'months')})"
    return Finding("B4", f"By the study's rule: a seller {rule}.{quota} At that pace another seller {when}.")


def longevity_bonus(found: Course, told: WhatIfSettings) -> Estimates:
    """What a bonus to the seller for each half year that a client stays would cost, and what it must bring (B5)."""
    if not found.has_money or found.known < HALF_YEAR:
        return Estimates((), "A bonus for sellers whose clients stay")
    weights = found.weights()
    chose, other = paces(found, weights)
    paid = paid_there(found, weights)
    stay, due = stay_by(chose, other), np.arange(HALF_YEAR, found.known + 1, HALF_YEAR)

    def cost(stay: Floats) -> Floats:
        return told.longevity_bonus * (stay[:, due] * paid[:, due - 1]).sum(axis=1)

    value = worth(stay, paid, found.known)

    def gain(slower: Floats) -> Floats:
        later = stay_by(chose, other, slower[:, None])
        return worth(later, paid, found.known) - cost(later) - value

    share = cost(stay) / value
    counts = (len(found.spells), int(found.left.sum()))
    rows = {
        "cost of the bonus for each client signed": (cost(stay), "money"),
        "share of what a client is worth": (share, "share"),
        "leaving by choice must fall by, for it to pay": (1 - _root(gain, len(share)), "share"),
    }
    table = [Estimate.of("B5", name, "all", with_limits(v), unit, counts) for name, (v, unit) in rows.items()]
    table += _luck_of_sellers(found.spells)
    words = (
        f"{told.longevity_bonus:g} of a month's fee for each half year that a client stays, over {found.known} months"
    )
    return Estimates(tuple(table), f"A bonus for sellers: {words}")


def _root(gain: Callable[[Floats], Floats], size: int) -> Floats:
    """The factor on leaving, from 0 to 1, at which nothing is gained or lost, shape (size,); 0 where none suffices."""
    low, high = np.zeros(size), np.ones(size)
    for _ in range(30):
        middle = (low + high) / 2
        enough = gain(middle) > 0
        low, high = np.where(enough, middle, low), np.where(enough, high, middle)
    return low


def _luck_of_sellers(spells: pd.DataFrame) -> list[Estimate]:
    """How much of the difference between sellers' bonuses luck makes: clients dealt out to the sellers by lot."""
    if "seller_id" not in spells:
        return []
    rows = spells[
        spells["seller_id"].notna() & (spells["entry_months"] == 0) & (spells["observed_months"] >= HALF_YEAR)
    ]
    rows = rows[rows.groupby("seller_id")["seller_id"].transform("size") >= MIN_EACH]
    if rows["seller_id"].nunique() < 2:
        return []
    # Half years reached, of those that could have been by now: clients signed lately are not held to be lost.
    half_years, could = rows["stop_months"] // HALF_YEAR, rows["observed_months"] // HALF_YEAR
    reached = (half_years - half_years.groupby(could).transform("mean")).to_numpy(float)
    who, rng = pd.factorize(rows["seller_id"])[0], np.random.default_rng(SEED)
    size = np.bincount(who)

    def spread(labels: Floats) -> float:
        return float(np.average((np.bincount(labels, reached) / size) ** 2, weights=size))

    lot = float(np.mean([spread(rng.permutation(who)) for _ in range(SHUFFLES)]))
    share = min(1.0, lot / spread(who)) if spread(who) > 0 else 1.0
    name = "of the differences between sellers' bonuses, luck alone makes"
    return [Estimate.of("B5", name, "all", (share,), "share", (len(rows), int(rows["ended"].sum())))]


def recent_ends(spells: pd.DataFrame, months: int = YEAR) -> pd.DataFrame:
    """Ends by choice of each rep's clients in the last months, observed and expected from other reps' clients."""
    later = (spells["observed_months"] - months).clip(lower=0)
    rows = spells.assign(entry_months=np.maximum(spells["entry_months"], later))
    rows = rows[rows["stop_months"] > rows["entry_months"]]
    parts = [expected_ends(rows, "rep_id", early=early)[["observed", "expected"]] for early in (True, False)]
    return parts[0].astype(float).add(parts[1].astype(float), fill_value=0.0)


def rep_salary(staff: pd.DataFrame | None) -> float:
    """What the middling rep earns a month; NaN where it is not on record."""
    if staff is None or not {"role", "monthly_salary"} <= set(staff):
        return math.nan
    return float(staff.loc[staff["role"] == "rep", "monthly_salary"].astype(float).median())


def rep_bonus(ends: pd.DataFrame, salary: float, told: WhatIfSettings) -> tuple[Estimates, Finding]:
    """What a bonus on retention would pay the reps in a year, and how much of it would be luck (B6).

    `ends` as of `recent_ends`; reps with under five expected get none. All of the bonus at half the expected ends, none
    at as many as expected; by the ends as they are, and drawn towards the mean as far as luck explains them. Luck: what
    it would pay if all reps were equal.
    """
    ends = ends[ends["expected"] >= MIN_EXPECTED]
    if ends.empty or not math.isfinite(salary):
        why = (
            f"It takes reps with {MIN_EXPECTED:g} expected ends in the last year (rep_id), and their salaries (staff)."
        )
        return Estimates((), "A bonus for reps whose clients stay"), Finding("B6", f"No bonus can be tried out. {why}")
    most, due = told.rep_bonus * salary * YEAR, ends["expected"]
    rng = np.random.default_rng(SEED)
    equal = [_pay(pd.Series(rng.poisson(due), due.index), due) for _ in range(LUCK_DRAWS)]
    paid, rows = _pay(ends["observed"], due), []
    for k, way in enumerate(("by the ends as they are", "allowing for luck")):
        luck = float(np.mean([draw[k] for draw in equal]))
        share = min(1.0, luck / paid[k]) if paid[k] > 0 else math.nan
        rows += [
            Estimate.of("B6", "paid out in a year", way, (most * paid[k],), "money"),
            Estimate.of("B6", "paid out in a year if all reps were equal", way, (most * luck,), "money"),
            Estimate.of("B6", "share of the pay-out that is luck", way, (share,), "share"),
        ]
    caption = f"A bonus for reps of up to {told.rep_bonus:.0%} of their salary, by the ends of the last year"
    raw = next(row for row in rows if row.name.startswith("share"))
    text = "A bonus on retention by the ends as they are would have paid nothing."
    if raw.estimate >= 1:
        text = f"A bonus by the ends as they are pays no more than if all {len(ends)} reps were equal: it rewards luck."
    elif math.isfinite(raw.estimate):
        part = f"{quantity(raw.estimate, 'share')} of a bonus by the ends as they are is luck"
        text = f"{part}: so much would be paid if all {len(ends)} reps were equal."
    return Estimates(tuple(rows), caption), Finding("B6", text)


def _pay(observed: pd.Series, expected: pd.Series) -> list[float]:
    """Sum over reps of the share of the full bonus that they earn: by ratios as they are, and shrunken."""
    table = funnel(observed.astype(float), expected.astype(float))
    earned = (NONE_AT - table[["ratio", "shrunk"]]) / (NONE_AT - FULL_AT)
    return [float(part) for part in earned.clip(0, 1).sum()]
