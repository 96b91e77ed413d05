"""What sellers and reps cost and bring, and what their bonuses would pay for (B4 to B6)."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from retention.history.expected import ends_over_expected
from retention.history.spells import DAY
from retention.money.lifetimes import DISCOUNT, SEED, Course, paces, paid_there, stay_by, worth
from retention.money.plateau import AHEAD, Outlook
from retention.results import Estimate, Estimates, Finding, between, quantity
from retention.settings import WhatIfSettings
from retention.stats.funnel import MIN_EXPECTED, funnel

HALF_YEAR = 6  # months: STUDY B5
YEAR = 12
FULL_AT, NONE_AT = (
    0.5,
    1.0,
)  # (ours) ends over expected at which a rep earns all of the bonus, and none; between, in part
SHUFFLES = 400
LUCK_DRAWS = 200
MIN_EACH = 5  # (ours) clients from which a seller's bonuses are looked at
Floats = np.ndarray


@dataclass(frozen=True)
class Sellers:
    """Sellers at work while today's sign-ups came: how many in the mean, what one costs; NaN where
    not on record.
    """

    number: float
    salary: float
    commission: float  # share of the fees of their clients
    quota: float  # deals a month


def sellers_now(staff: pd.DataFrame | None, cutoff: dt.date, months: int) -> Sellers | None:
    """The sellers of the staff table over the last months, each by how long it was there; None
    where it has none.
    """
    if staff is None or "role" not in staff:
        return None
    last = pd.Timestamp(cutoff) + DAY
    rows = staff[staff["role"] == "seller"].reindex(
        columns=[*staff, *{"started_on", "ended_on"} - set(staff)]
    )
    begin = pd.to_datetime(rows["started_on"]).clip(lower=last - pd.DateOffset(months=months))
    end = (pd.to_datetime(rows["ended_on"]) + DAY).fillna(last).clip(upper=last)
    there = (end - begin.fillna(last - pd.DateOffset(months=months))).dt.days.clip(
        lower=0
    ) / 30.4375
    if there.sum() <= 0:
        return None
    told = (
        rows[there > 0]
        .reindex(columns=["monthly_salary", "commission_pct", "quota"])
        .astype(float)
        .mean()
    )
    commission = told["commission_pct"] / 100 if math.isfinite(told["commission_pct"]) else 0.0
    number = round(float(there.sum()) / months, 2)
    if number <= 0:
        return None
    return Sellers(number, float(told["monthly_salary"]), float(commission), float(told["quota"]))


def seller_rule(
    ahead: Outlook | None, worth_ahead: Outlook | None, who: Sellers | None
) -> tuple[Estimates, Finding]:
    """Whether another seller pays (B4): what one brings at the pace of today's, beside what one
    costs.

    A seller's clients sign at today's rate a seller, stay and pay as clients do. `ahead` in fees,
    of which commission is taken; `worth_ahead` after hours where those are known. Intervals are of
    the mean seller.
    """
    empty = Estimates((), "What another seller brings")
    if ahead is None or worth_ahead is None or who is None or not math.isfinite(who.salary):
        need = (
            "the staff table with role seller and monthly_salary"
            if ahead is not None
            else "what clients pay"
        )
        return empty, Finding("B4", f"Whether another seller pays cannot be told: it takes {need}.")
    kept = (worth_ahead.new - who.commission * ahead.new) / who.number
    paid_back = np.cumsum(kept, axis=1)[:, 1:] >= who.salary * np.arange(1, AHEAD + 1)
    months = np.where(paid_back.any(axis=1), paid_back.argmax(axis=1) + 1.0, np.inf)
    rows = {
        "clients that one seller signs a month": (ahead.signed / who.number, "number"),
        "what a client pays a month, in the mean": (ahead.fee, "money"),
        "what one seller's clients bring a month after a year": (kept[:, YEAR], "money"),
        "what one seller's clients bring a month after five years": (kept[:, 5 * YEAR], "money"),
        "what a seller costs a month": (np.full(1, who.salary), "money"),
        "months until what a seller brought covers what it cost": (months, "months"),
    }
    table = []
    for name, (values, unit) in rows.items():
        told = ahead.limits(values, unit) if len(values) > 1 else [float(values[0])]
        table.append(Estimate.of("B4", name, "all", told, unit, ahead.clients))
    caption = f"Another seller ({worth_ahead.counts}, after commission)"
    return Estimates(tuple(table), caption), _rule_words(who, ahead, months)


def _rule_words(who: Sellers, ahead: Outlook, months: Floats) -> Finding:
    rate = ahead.signed / who.number
    fee = ahead.fee
    rule = "less" if who.salary < fee[0] else "more"
    quota = ""
    if math.isfinite(who.quota):
        quota = (
            f" Today's sign {rate[0]:.1f} clients a month each, against a quota of {who.quota:g}."
        )
    low, high = ahead.limits(months, "months")[1:]
    when = "has not paid for itself in ten years"
    if math.isfinite(months[0]):
        when = (
            f"has paid for itself after {months[0]:.0f} months (95% interval "
            f"{between(low, high, 'months')})"
        )
    text = (
        f"By the study's rule: a seller costs {rule} a month than a client pays.{quota} At "
        "that pace the mean seller"
    )
    return Finding("B4", f"{text} {when}; a single one may do much better or worse.")


def longevity_bonus(found: Course, margins: Course, told: WhatIfSettings) -> Estimates:
    """What a bonus to the seller for each half year that a client stays would cost, and what it
    must bring (B5).

    The bonus is of fees (`found`); what a longer stay brings is after hours where those are known
    (`margins`). Both are discounted.
    """
    if not found.has_money or found.known < HALF_YEAR:
        return Estimates((), "A bonus for sellers whose clients stay")
    weights = found.weights()
    chose, other = paces(found, weights)
    fee = paid_there(found, weights)
    brought = paid_there(margins, weights)
    due = np.arange(HALF_YEAR, found.known + 1, HALF_YEAR)

    def cost(stay: Floats) -> Floats:
        return told.longevity_bonus * (
            stay[:, due] * fee[:, due - 1] / (1 + DISCOUNT) ** (due / YEAR)
        ).sum(axis=1)

    stay = stay_by(chose, other)
    value = worth(stay, brought, found.known)

    def gain(slower: Floats) -> Floats:
        later = stay_by(chose, other, slower[:, None])
        return worth(later, brought, found.known) - cost(later) - value

    counts = (len(found.spells), int(found.left.sum()))
    needed = 1 - _root(gain, len(value))
    rows = {
        "cost of the bonus for each client signed": (cost(stay), "money"),
        "what a client is worth": (value, "money"),
        "leaving by choice must fall by, for it to pay": (
            np.where(needed < 1, needed, np.nan),
            "share",
        ),
    }
    table = [
        Estimate.of("B5", name, "all", found.limits(v, unit), unit, counts)
        for name, (v, unit) in rows.items()
    ]
    table += _luck_of_sellers(found.spells)
    words = (
        f"{told.longevity_bonus:g} of a month's fee for each half year that a client stays, "
        f"over {found.known} months"
    )
    return Estimates(tuple(table), f"A bonus for sellers: {words} ({margins.counts})")


def _root(gain: Callable[[Floats], Floats], size: int) -> Floats:
    """The factor on leaving, from 0 to 1, at which nothing is gained or lost, shape (size,); 0
    where none suffices.
    """
    low = np.zeros(size)
    high = np.ones(size)
    for _ in range(30):
        middle = (low + high) / 2
        enough = gain(middle) > 0
        low = np.where(enough, middle, low)
        high = np.where(enough, high, middle)
    return low


def _luck_of_sellers(spells: pd.DataFrame) -> list[Estimate]:
    """How much of the difference between sellers' bonuses luck makes: clients dealt out to the
    sellers by lot.
    """
    if "seller_id" not in spells:
        return []
    rows = spells[
        spells["seller_id"].notna()
        & (spells["entry_months"] == 0)
        & (spells["observed_months"] >= HALF_YEAR)
    ]
    rows = rows[rows.groupby("seller_id")["seller_id"].transform("size") >= MIN_EACH]
    if rows["seller_id"].nunique() < 2:
        return []
    # Half years reached, of those that could have been by now: clients signed lately are not held
    # to be lost.
    half_years = rows["stop_months"] // HALF_YEAR
    could = rows["observed_months"] // HALF_YEAR
    reached = (half_years - half_years.groupby(could).transform("mean")).to_numpy(float)
    who = pd.factorize(rows["seller_id"])[0]
    rng = np.random.default_rng(SEED)
    size = np.bincount(who)

    def spread(labels: Floats) -> float:
        return float(np.average((np.bincount(labels, reached) / size) ** 2, weights=size))

    lot = [spread(rng.permutation(who)) for _ in range(SHUFFLES)]
    found = spread(who)
    limits = [float(np.mean(lot)), *np.quantile(lot, [0.025, 0.975])]
    shares = [min(1.0, value / found) if found > 0 else 1.0 for value in limits]
    name = "of the differences between sellers' bonuses, luck alone makes"
    return [Estimate.of("B5", name, "all", shares, "share", (len(rows), int(rows["ended"].sum())))]


def recent_ends(rows: pd.DataFrame) -> pd.DataFrame:
    """Ends by choice of each rep's clients, observed and expected from other reps' clients; index
    the reps.

    `rows` as from `reps.rep_rows`, those of the last year: a rep answers for the months after its
    own.
    """
    return ends_over_expected(rows, "rep")[["observed", "expected"]].astype(float)


def rep_salary(staff: pd.DataFrame | None) -> float:
    """What the middling rep earns a month; NaN where it is not on record."""
    if staff is None or not {"role", "monthly_salary"} <= set(staff):
        return math.nan
    salaries = staff.loc[staff["role"] == "rep", "monthly_salary"].astype(float)
    return float(salaries.quantile())  # the median, without its warning where all are blank


def rep_bonus(ends: pd.DataFrame, salary: float, told: WhatIfSettings) -> tuple[Estimates, Finding]:
    """What a bonus on retention would pay the reps in a year, and how much of it would be luck
    (B6).

    `ends` as of `recent_ends`; reps with under five expected get none. All of the bonus at half the
    expected ends, none at as many as expected; by the ends as they are, and drawn towards the mean
    as far as luck explains them. Luck: what it would pay if all reps were equal.
    """
    ends = ends[ends["expected"] >= MIN_EXPECTED]
    if ends.empty or not math.isfinite(salary):
        why = (
            f"It takes reps with {MIN_EXPECTED:g} expected ends in the last year, and their "
            "salaries (staff)."
        )
        return Estimates((), "A bonus for reps whose clients stay"), Finding(
            "B6", f"No bonus can be tried out. {why}"
        )
    most = told.rep_bonus * salary * YEAR
    due = ends["expected"]
    rng = np.random.default_rng(SEED)
    equal = [_pay(pd.Series(rng.poisson(due), due.index), due) for _ in range(LUCK_DRAWS)]
    paid = _pay(ends["observed"], due)
    rows = []
    for k, way in enumerate(("by the ends as they are", "allowing for luck")):
        alike = [draw[k] for draw in equal]
        luck = [float(np.mean(alike)), *np.quantile(alike, [0.025, 0.975])]
        share = [min(1.0, value / paid[k]) for value in luck] if paid[k] > 0 else [math.nan]
        rows += [
            Estimate.of("B6", "paid out in a year", way, (most * paid[k],), "money"),
            Estimate.of(
                "B6",
                "paid out in a year if all reps were equal",
                way,
                [most * x for x in luck],
                "money",
            ),
            Estimate.of("B6", "share of the pay-out that is luck", way, share, "share"),
        ]
    caption = (
        f"A bonus for reps of up to {told.rep_bonus:.0%} of their salary, by the ends of "
        "the last year"
    )
    raw = next(row for row in rows if row.name.startswith("share"))
    text = "A bonus on retention by the ends as they are would have paid nothing."
    if raw.high >= 1:
        text = (
            f"A bonus by the ends as they are pays what it might pay if all {len(ends)} reps "
            "were equal: for luck."
        )
    elif math.isfinite(raw.estimate):
        part = (
            f"{quantity(raw.estimate, 'share')} ({between(raw.low, raw.high, 'share')}) of a "
            "bonus by the ends as they"
        )
        text = f"{part} are is luck: so much would be paid if all {len(ends)} reps were equal."
    return Estimates(tuple(rows), caption), Finding("B6", text)


def _pay(observed: pd.Series, expected: pd.Series) -> list[float]:
    """Sum over reps of the share of the full bonus that they earn: by ratios as they are, and
    shrunken.
    """
    table = funnel(observed.astype(float), expected.astype(float))
    earned = (NONE_AT - table[["ratio", "shrunk"]]) / (NONE_AT - FULL_AT)
    return [float(part) for part in earned.clip(0, 1).sum()]
