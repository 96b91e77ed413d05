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
from retention.money.courses import SEED, Course, paces, paid_there, stay_by, worth
from retention.money.on_the_books import AHEAD
from retention.money.plateau import Outlook
from retention.numbers import interval_words
from retention.results import ALL, Estimate, Estimates, Finding
from retention.settings import WhatIfSettings
from retention.stats.funnel import MIN_EXPECTED, funnel
from retention.words import Said, say, together

HALF_YEAR = 6  # months: STUDY B5
YEAR = 12
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
    where it has none, or no month is on record.
    """
    if staff is None or "role" not in staff or months < 1:
        return None
    sellers = staff[staff["role"] == "seller"]
    there = _months_there(sellers, cutoff, months)
    total = float(there.sum())
    number = round(total / months, 2)
    if number <= 0:
        return None
    there_now = there.index[there > 0]
    present = staff.loc[there_now]
    columns = ["monthly_salary", "commission_pct", "quota"]
    terms = present.reindex(columns=columns)
    mean = terms.astype(float).mean()
    percent = float(mean["commission_pct"])
    commission = percent / 100 if math.isfinite(percent) else 0.0
    salary = float(mean["monthly_salary"])
    return Sellers(number, salary, commission, float(mean["quota"]))


def _months_there(people: pd.DataFrame, cutoff: dt.date, months: int) -> pd.Series:
    """Months that each of these people was there, of the last `months` before the cut-off; no dates
    mean all along.
    """
    last = pd.Timestamp(cutoff) + DAY
    first = last - pd.DateOffset(months=months)
    columns = [*people, *{"started_on", "ended_on"} - set(people)]
    dated = people.reindex(columns=columns)
    started = pd.to_datetime(dated["started_on"])
    begin = started.clip(lower=first).fillna(first)
    after_end = pd.to_datetime(dated["ended_on"]) + DAY
    end = after_end.fillna(last).clip(upper=last)
    days = (end - begin).dt.days
    return days.clip(lower=0) / 30.4375


def seller_rule(
    ahead: Outlook | None, worth_ahead: Outlook | None, who: Sellers | None
) -> tuple[Estimates, Finding]:
    """Whether another seller pays (B4): what one brings at the pace of today's, beside what one
    costs.

    A seller's clients sign at today's rate a seller, stay and pay as clients do. `ahead` in fees,
    of which commission is taken; `worth_ahead` after hours where those are known. Intervals are of
    the average seller.
    """
    empty = Estimates((), say("economics.seller.empty"))
    if ahead is None:
        return empty, Finding("B4", say("economics.seller.lacking_fees"))
    if worth_ahead is None or who is None or not math.isfinite(who.salary):
        return empty, Finding("B4", say("economics.seller.lacking_staff"))
    margin = worth_ahead.new - who.commission * ahead.new
    kept = margin / who.number
    so_far = np.cumsum(kept, axis=1)[:, 1:]
    paid_back = so_far >= who.salary * np.arange(1, AHEAD + 1)
    month = paid_back.argmax(axis=1) + 1.0
    months = np.where(paid_back.any(axis=1), month, np.inf)
    values = [
        (say("economics.seller.signs"), ahead.signed / who.number, "number"),
        (say("economics.seller.fee"), ahead.fee, "money"),
        (say("economics.seller.after_a_year"), kept[:, YEAR], "money"),
        (say("economics.seller.after_five_years"), kept[:, 5 * YEAR], "money"),
        (say("economics.seller.cost"), np.full(1, who.salary), "money"),
        (say("economics.seller.payback"), months, "months"),
    ]
    table = []
    for name, drawn, unit in values:
        several = len(drawn) > 1
        limits = ahead.limits(drawn, unit) if several else [float(drawn[0])]
        estimate = Estimate.of("B4", name, ALL, limits, unit, ahead.clients)
        table.append(estimate)
    caption = say("economics.seller.caption", counts=worth_ahead.counts)
    estimates = Estimates(tuple(table), caption)
    return estimates, _rule_words(who, ahead, months)


def _rule_words(who: Sellers, ahead: Outlook, months: Floats) -> Finding:
    """The study's rule in words, and when the average seller has paid for itself (`months`, by
    draw).
    """
    cheap = who.salary < ahead.fee[0]
    rule = say("economics.seller.less" if cheap else "economics.seller.more")
    signed = ahead.signed[0]
    rate = float(signed / who.number)
    known = math.isfinite(who.quota)
    quota = say("economics.seller.quota", rate=rate, quota=who.quota) if known else ""
    when = say("economics.seller.does_not_pay")
    if math.isfinite(months[0]):
        low, high = ahead.limits(months, "months")[1:]
        limits = interval_words(low, high, "months")
        when = say("economics.seller.pays", months=months[0], limits=limits)
    single = together(rule, quota, when, say("economics.seller.single"))
    return Finding("B4", single)


def longevity_bonus(followed: Course, margins: Course, asked: WhatIfSettings) -> Estimates:
    """What a bonus to the seller for each half year that a client stays would cost, and what it
    must bring (B5).

    The bonus is of fees (`followed`); what a longer stay brings is after hours where those are
    known (`margins`). Both are discounted.
    """
    if not followed.has_money or followed.known < HALF_YEAR:
        return Estimates((), say("economics.longevity.empty"))
    gone = int(followed.left.sum())
    counts = (len(followed.spells), gone)
    table = [
        Estimate.of("B5", name, ALL, followed.limits(drawn, unit), unit, counts)
        for name, drawn, unit in _longevity(followed, margins, asked.longevity_bonus)
    ]
    caption = say(
        "economics.longevity.caption",
        bonus=asked.longevity_bonus,
        months=followed.known,
        counts=margins.counts,
    )
    return Estimates((*table, *_luck_of_sellers(followed.spells)), caption)


def _longevity(followed: Course, margins: Course, bonus: float) -> list[tuple[Said, Floats, str]]:
    """What the bonus costs for each client, what a client is worth, and by what share leaving must
    fall for it to pay: name, values by draw, and unit.
    """
    weights = followed.weights()
    chose, other = paces(followed, weights)
    fee = paid_there(followed, weights)
    brought = paid_there(margins, weights)
    last = followed.known + 1
    due = np.arange(HALF_YEAR, last, HALF_YEAR)
    discount = (1 + margins.discount) ** (due / YEAR)

    def cost(stay: Floats) -> Floats:
        paid = stay[:, due] * fee[:, due - 1]
        return bonus * (paid / discount).sum(axis=1)

    stay = stay_by(chose, other)
    value = worth(stay, brought, followed.known, margins.discount)

    def gain(slower: Floats) -> Floats:
        slow = slower[:, None]
        later = stay_by(chose, other, slow)
        later_worth = worth(later, brought, followed.known, margins.discount)
        return later_worth - cost(later) - value

    needed = 1 - _root(gain, len(value))
    return [
        (say("economics.longevity.cost"), cost(stay), "money"),
        (say("economics.longevity.worth"), value, "money"),
        (say("economics.longevity.needed"), np.where(needed < 1, needed, np.nan), "share"),
    ]


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
    """How much of the difference between sellers' bonuses luck makes: clients are dealt out to the
    sellers at random.
    """
    if "seller_id" not in spells:
        return []
    from_start = spells["entry_months"] == 0
    seen = from_start & (spells["observed_months"] >= HALF_YEAR)
    known_seller = spells["seller_id"].notna()
    rows = spells[known_seller & seen]
    by_seller = rows.groupby("seller_id")["seller_id"]
    rows = rows[by_seller.transform("size") >= MIN_EACH]
    if rows["seller_id"].nunique() < 2:
        return []
    # Half years reached, of those that could have been by now: clients signed lately are not held
    # to be lost.
    half_years = rows["stop_months"] // HALF_YEAR
    could = rows["observed_months"] // HALF_YEAR
    usual = half_years.groupby(could).transform("mean")
    reached = (half_years - usual).to_numpy(float)
    who = pd.factorize(rows["seller_id"])[0]
    rng = np.random.default_rng(SEED)
    size = np.bincount(who)

    def spread(labels: Floats) -> float:
        means = np.bincount(labels, reached) / size
        return float(np.average(means**2, weights=size))

    by_chance = [spread(rng.permutation(who)) for _ in range(SHUFFLES)]
    real = spread(who)
    mean = float(np.mean(by_chance))
    limits = [mean, *np.quantile(by_chance, [0.025, 0.975])]
    shares = [min(1.0, value / real) if real > 0 else 1.0 for value in limits]
    gone = int(rows["ended"].sum())
    counts = (len(rows), gone)
    estimate = Estimate.of("B5", say("economics.longevity.luck"), ALL, shares, "share", counts)
    return [estimate]


def recent_ends(rows: pd.DataFrame) -> pd.DataFrame:
    """Ends by choice of each rep's clients, observed and expected from other reps' clients; index
    the reps.

    `rows` as from `reps.rep_rows`, those of the last year: a rep answers for the months after its
    own.
    """
    ends = ends_over_expected(rows, "rep")
    return ends[["observed", "expected"]].astype(float)


def rep_salary(staff: pd.DataFrame | None) -> float:
    """The median salary of the reps, a month; NaN where it is not on record."""
    if staff is None or not {"role", "monthly_salary"} <= set(staff):
        return math.nan
    of_reps = staff.loc[staff["role"] == "rep", "monthly_salary"]
    salaries = of_reps.astype(float)
    return float(salaries.quantile())  # the median, without its warning where all are blank


def rep_bonus(
    ends: pd.DataFrame, salary: float, asked: WhatIfSettings
) -> tuple[Estimates, Finding]:
    """What a bonus on retention would pay the reps in a year, and how much of it would be luck
    (B6).

    `ends` as of `recent_ends`; reps with under five expected get none. All of the bonus at
    `bonus_full_at` times the expected ends, none at `bonus_none_at` times as many (`asked`); by the
    ends as they are, and drawn towards the mean as far as luck explains them. Luck: what it would
    pay if all reps were equal.
    """
    ends = ends[ends["expected"] >= MIN_EXPECTED]
    if ends.empty or not math.isfinite(salary):
        empty = Estimates((), say("economics.rep_bonus.empty"))
        text = say("economics.rep_bonus.lacking", least=MIN_EXPECTED)
        return empty, Finding("B6", text)
    most = asked.rep_bonus * salary * YEAR
    due = ends["expected"]
    rng = np.random.default_rng(SEED)
    equal = [_pay(pd.Series(rng.poisson(due), due.index), due, asked) for _ in range(LUCK_DRAWS)]
    paid = _pay(ends["observed"], due, asked)
    rows = []
    lucky = []
    for k, way in enumerate(("economics.rep_bonus.as_is", "economics.rep_bonus.shrunk")):
        alike = [draw[k] for draw in equal]
        mean = float(np.mean(alike))
        luck = [mean, *np.quantile(alike, [0.025, 0.975])]
        share = [min(1.0, value / paid[k]) for value in luck] if paid[k] > 0 else [math.nan]
        lucky.append(share)
        values = [
            (say("economics.rep_bonus.paid"), [most * paid[k]], "money"),
            (say("economics.rep_bonus.equal"), [most * x for x in luck], "money"),
            (say("economics.rep_bonus.luck"), share, "share"),
        ]
        rows += [Estimate.of("B6", name, say(way), limits, unit) for name, limits, unit in values]
    caption = say("economics.rep_bonus.caption", bonus=asked.rep_bonus)
    finding = _luck_words(lucky[0], len(ends))
    return Estimates(tuple(rows), caption), finding


def _luck_words(share: list[float], reps: int) -> Finding:
    """How much of a bonus by the ends as they are is luck: `share` with its limits, NaN where
    nothing would have been paid.
    """
    if not math.isfinite(share[0]):
        return Finding("B6", say("economics.rep_bonus.nothing"))
    if share[-1] >= 1:
        return Finding("B6", say("economics.rep_bonus.all_luck", n=reps))
    limits = interval_words(share[1], share[2], "share")
    return Finding(
        "B6", say("economics.rep_bonus.part_luck", share=share[0], n=reps, limits=limits)
    )


def _pay(observed: pd.Series, expected: pd.Series, asked: WhatIfSettings) -> list[float]:
    """Sum over reps of the share of the full bonus that they earn: by ratios as they are, and
    shrunken.
    """
    counts = observed.astype(float)
    table = funnel(counts, expected.astype(float))
    below = asked.bonus_none_at - table[["ratio", "shrunk"]]
    earned = below / (asked.bonus_none_at - asked.bonus_full_at)
    shares = earned.clip(0, 1).sum()
    return [float(part) for part in shares]
