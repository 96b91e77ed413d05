"""The fee table by term, when a lower fee pays (A2), and life without monthly terms (A3)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan

import numpy as np
import pandas as pd

from retention.claims.contract_checks import adjusted
from retention.claims.term_curves import BY_CHOICE
from retention.contrast import Z95, Contrast
from retention.history.clients_now import client_names
from retention.history.follow_up import follow_up
from retention.history.spells import CLIENT, KINDS
from retention.history.status import staying
from retention.results import Estimate, Estimates, Finding
from retention.settings import LIMITS, Limits, study_plan
from retention.stats.curves import MIN_AT_RISK, kaplan_meier, known_through
from retention.stats.hazards import Fit
from retention.stats.intervals import with_limits
from retention.stats.outcomes import Outcome
from retention.words import say

PUBLISHED_FEES = {
    int(term): float(fee) for term, fee in study_plan()["A2"]["published_fee_pct"].items()
}
DRAWS = 1000
SEED = 1
# months over which revenue is counted, as far as clients could be watched: METHODS 2
HORIZONS = (60, 48, 36, 24, 12)
MIN_FOR_THIRDS = 90  # (ours) clients from which thirds of the fee are kept apart
# shares of today's monthly clients who would sign a fixed term: a what-if (A3)
STILL_SIGN = (1.0, 0.75, 0.5, 0.25)
MIN_FEES = 5  # (ours) under five clients on a term have no usual fee to depart from


def fee_table(spells: pd.DataFrame, limits: Limits = LIMITS) -> pd.DataFrame:
    """The agency's own fee table: the usual fee of each term at signing beside the published one
    (A2).

    Columns: `term_months, clients, usual_fee, published_fee, departures` (fees in percent of ad
    spend; the usual fee is the median). Empty without `fee_pct`.
    """
    rows = _with_usual_fee(spells, limits["fee_departure_points"])
    by_term = rows.groupby("term_months")
    table = by_term.agg(
        clients=("fee_pct", "size"), usual_fee=("fee_pct", "median"), departures=("departs", "sum")
    )
    table.insert(2, "published_fee", table.index.map(PUBLISHED_FEES))
    return table.reset_index()


def fee_estimates(spells: pd.DataFrame, limits: Limits = LIMITS) -> Estimates | Finding:
    """The fee table as estimates (no interval: these are all the clients there are), or what is
    missing for it.
    """
    table = fee_table(spells, limits)
    if table.empty:
        return Finding("A2", say("contract_term.fees.none"))
    usual = say("contract_term.estimate.usual_fee")
    off = say("contract_term.estimate.off_fee", points=limits["fee_departure_points"])
    rest = (nan, nan, 0.95)
    rows = []
    for row in table.itertuples():
        group = say("contract_term.group.term", months=row.term_months)
        share = row.departures / row.clients
        departures = Estimate("A2", off, group, share, *rest, "share", row.clients, 0)
        rows += [
            Estimate("A2", usual, group, row.usual_fee, *rest, "% of spend", row.clients, 0),
            departures,
        ]
    caption = say("contract_term.caption.fees", published=_published())
    return Estimates(tuple(rows), caption)


def _published() -> str:
    """The study's fee table in words."""
    return ", ".join(
        say("contract_term.fees.published", fee=fee, months=term)
        for term, fee in PUBLISHED_FEES.items()
    )


def fee_departures(spells: pd.DataFrame, limits: Limits = LIMITS) -> pd.DataFrame:
    """Present clients whose fee departs from the agency's own table, largest monthly difference
    first (A2).

    Columns: `client, term_months, fee_pct, usual_fee, monthly_difference` (fees in percent of ad
    spend; the difference in money, negative: less than usual).
    """
    rows = _with_usual_fee(spells, limits["fee_departure_points"])
    rows = rows[rows["departs"] & staying(rows)]
    rows = rows.assign(
        monthly_difference=(rows["fee_pct"] - rows["usual_fee"]) / 100 * rows["monthly_ad_spend"]
    )
    rows = rows.sort_values("monthly_difference", key=lambda gap: -gap.abs(), kind="stable")
    columns = ["client", "term_months", "fee_pct", "usual_fee", "monthly_difference"]
    return rows[columns].reset_index(drop=True)


def _with_usual_fee(spells: pd.DataFrame, points: float) -> pd.DataFrame:
    """Engagements whose fee is known, with that of their term, and whether they depart from it by
    more than so many points.
    """
    if "fee_pct" not in spells:
        spells = spells.assign(fee_pct=float("nan"))
    rows = spells[spells["fee_pct"].notna()]
    rows = rows.assign(
        term_months=rows["contract_term_months"].astype(int), client=client_names(rows)
    )
    fees = rows.groupby("term_months")["fee_pct"]
    rows["usual_fee"] = fees.transform("median")
    by_term = rows.groupby("term_months")["fee_pct"]
    known = by_term.transform("size") >= MIN_FEES
    gap = rows["fee_pct"] - rows["usual_fee"]
    rows["departs"] = known & (gap.abs() > points)
    return rows


def break_even_ratio(
    monthly_fee: float,
    fixed_fee: float,
    chance: np.ndarray,
    other: float,
    discount: float = LIMITS["discount_a_year"],
) -> np.ndarray:
    """The ratio of leaving above which the lower fee of a fixed term pays (METHODS 2, price
    companion).

    `chance` is that of leaving by choice in a month on the fixed term, `other` that of any other
    end, `discount` by what share money is worth less a year later. Where both terms are worth the
    same, fee / (1 - s) is the same, s being the chance of one more month, discounted.

    >>> break_even_ratio(10, 6, np.array([0.02, 0.04, 0.06]), 0.009).round(2).tolist()
    [2.24, 1.95, 1.86]
    """
    interest = (1 + discount) ** (1 / 12)
    keep = (1 - other) / interest
    kept = 1 - keep * (1 - chance)
    needed = 1 - (1 - monthly_fee / fixed_fee * kept) / keep
    return np.asarray(needed / chance)


def break_even(spells: pd.DataFrame, limits: Limits = LIMITS) -> Estimates:
    """For each fixed term: the ratio at which its lower fee pays, the ratio found, and the chance
    that it is passed.

    Fees are the usual ones of the data, else the published; ratio and rate come from the same
    bootstrap draws, and from the same fits as each rep is left out. A term without a fee has none,
    and the caption says so.
    """
    terms = spells["contract_term_months"].astype(int)
    discount = limits["discount_a_year"]
    usual = fee_table(spells)
    typical = zip(usual["term_months"], usual["usual_fee"], strict=True)
    fees = PUBLISHED_FEES | dict(typical)
    known = sorted(t for t in terms.unique() if t > 1 and t in fees)
    free = [term for term in known if min(fees[term], fees[1]) <= 0]
    rows = []
    for term in (term for term in known if term not in free):
        rows += _break_even_of(spells, terms, term, fees, discount)
    caption = _break_even_caption(free, fees, discount)
    return Estimates(tuple(rows), caption)


def _break_even_of(
    spells: pd.DataFrame, terms: pd.Series, term: int, fees: Mapping[int, float], discount: float
) -> list[Estimate]:
    """The three estimates of `break_even` for one term; empty where there is no ratio."""
    part = spells[terms.isin([1, term])]
    found = adjusted(part)
    if found.fit is None or found.contrast.gate:
        return []
    theta, sizes = _drawn(found.fit, found.rows)
    fixed = (found.rows["contract_term_months"] > 1).to_numpy()
    spans = found.rows["to_month"] - found.rows["from_month"]
    watched = float(spans[fixed].sum())
    totals = found.fit.totals(fixed, theta)
    chance = -np.expm1(-totals / watched)
    other = _other_ends(part, terms[part.index] == term)
    most = chance * break_even_ratio(fees[1], fees[term], chance, other, discount)
    with np.errstate(divide="ignore"):
        hazard = np.log1p(-np.minimum(most, 1))
        needed = hazard / np.log1p(-chance)  # 1: it always pays
    place = found.fit.names.index("first")
    ratio = np.exp(theta[:, place])
    group = say("contract_term.group.term", months=int(term))
    counts = (found.contrast.n_clients, found.contrast.n_events)
    often = _chance_above_nothing(ratio - needed, sizes)
    needed_name = say("contract_term.estimate.ratio_needed")
    found_name = say("contract_term.estimate.ratio_found")
    rows = []
    for name, drawn in ((needed_name, needed), (found_name, ratio)):
        limits = with_limits(drawn, sizes, "ratio")
        rows.append(Estimate.of("A2", name, group, limits, "ratio", counts))
    pays = say("contract_term.estimate.chance_it_pays")
    return [*rows, Estimate.of("A2", pays, group, (often,), "share", counts)]


def _drawn(fit: Fit, rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """The coefficients as fitted, in draws, and as each rep is left out; and the reps' sizes."""
    nobody = np.full(len(rows), "")
    known = "rep" in rows
    reps = rows["rep"].to_numpy(object) if known else nobody
    without, sizes = fit.without_reps(reps)
    draws = fit.draws(DRAWS, SEED)
    return np.vstack([fit.theta, draws, without]), sizes


def _other_ends(spells: pd.DataFrame, chosen: pd.Series) -> float:
    """Ends that the client did not choose, by client-month of the chosen spells."""
    outcome = follow_up(spells).where(chosen.to_numpy())
    months = float(np.sum(outcome.stop - outcome.entry))
    gone = outcome.kind > KINDS[CLIENT]
    return float(np.sum(gone)) / months


def _chance_above_nothing(values: np.ndarray, sizes: np.ndarray) -> float:
    """The chance that the first value is above 0, by draws stretched to the width of the wider
    interval.
    """
    drawn = values[1 : len(values) - len(sizes)]
    number = 1 + len(drawn)
    alone = with_limits(values[:number])
    wider = with_limits(values, sizes)
    if not np.isfinite(wider).all() or alone == wider or alone[1] == alone[2]:
        return float(np.mean(drawn > 0))
    reach = wider[2] - wider[1]
    stretch = reach / (alone[2] - alone[1])
    distance = drawn - values[0]
    drawn_wider = values[0] + stretch * distance
    return float(np.mean(drawn_wider > 0))


def _break_even_caption(free: Sequence[int], fees: Mapping[int, float], discount: float) -> str:
    """The caption, with the fixed terms that have no break-even because their usual fee is 0."""
    if not free:
        return say("contract_term.caption.break_even", interest=discount)
    if fees[1] <= 0:
        return say("contract_term.caption.break_even_no_monthly", interest=discount)
    terms = ", ".join(say("contract_term.fees.free_term", months=term) for term in free)
    return say("contract_term.caption.break_even_some", interest=discount, terms=terms)


@dataclass(frozen=True)
class Stream:
    """Clients who sign at a steady rate: what one is worth and how long it stays (draws, shape
    (m,)), and their swings.

    `moves` is the variance of a month's change of revenue: who arrives at random leaves at random
    too.
    """

    rate: float
    worth: np.ndarray
    months: np.ndarray
    moves: float


@dataclass(frozen=True)
class Streams:
    """Month-to-month clients as today and as they would be on fixed terms (draws), beside those now
    on fixed terms.
    """

    monthly: Stream
    kept: Stream
    moved: Stream
    horizon: int


def streams(spells: pd.DataFrame) -> Streams | None:
    """What A3 compares; None where too little is known of fees, of who left, or of clients watched
    for a year.

    And where clients of either kind pay nothing: there is then no revenue to compare.
    """
    contrast = adjusted(spells).contrast
    fees = _monthly_fees(spells)
    outcome = follow_up(spells)
    fixed = (spells["contract_term_months"] > 1).to_numpy()
    known = min(known_through(outcome.where(arm), MIN_AT_RISK) for arm in (fixed, ~fixed))
    horizon = next((months for months in HORIZONS if months <= known), 0)
    followed = spells["observed_months"] - spells["entry_months"]
    recorded = followed.max()
    # Survivors from before the records are larger than who signs.
    signed = (spells["entry_months"] == 0).to_numpy()
    signings = {arm: float(np.sum((fixed == arm) & signed)) for arm in (False, True)}
    if contrast.gate or not horizon or fees.isna().any() or not all(signings.values()):
        return None
    # Months were recorded, for some signed in them.
    rates = {arm: count / recorded for arm, count in signings.items()}
    ratios = _drawn_ratios(contrast)
    once = np.ones(1)
    moved_fees = _fees_on_fixed_terms(spells, fees, fixed)
    if not all(paid[signed & ~fixed].sum() > 0 for paid in (fees, moved_fees)):
        return None
    monthly, kept = (
        _stream(outcome, fees, fixed == arm, signed, rates[arm], horizon, once)
        for arm in (False, True)
    )
    return Streams(
        monthly,
        kept,
        _stream(outcome, moved_fees, ~fixed, signed, rates[False], horizon, ratios),
        horizon,
    )


def _drawn_ratios(contrast: Contrast) -> np.ndarray:
    """The ratio of leaving as found, then in draws, shape (1 + DRAWS,)."""
    rng = np.random.default_rng(SEED)
    spread = contrast.reach() / Z95  # by client or by rep, the wider
    drawn = contrast.theta + spread * rng.normal(size=DRAWS)
    return np.asarray(np.exp(np.append(contrast.theta, drawn)))


def _fees_on_fixed_terms(spells: pd.DataFrame, fees: pd.Series, fixed: np.ndarray) -> pd.Series:
    """What each client would pay at the median rate of those on fixed terms, if there are any."""
    spend = spells["monthly_ad_spend"].astype(float)
    rate = (fees / spend)[fixed & (spend > 0)]
    usual = rate.median() if len(rate) else 0.0
    return spend * usual


def without_monthly(spells: pd.DataFrame) -> tuple[Estimates, Finding]:
    """Were month-to-month no longer sold (A3): sign-ups, value, level and swings of revenue, by how
    many still sign.

    Groups are shares that still sign. Revenue counts clients signed within as many months as
    clients of both kinds could be watched for; the usual change from month to month is a share of
    it. Those who sign are taken to leave at the pace that the verdict's ratio gives them, to pay
    the fixed terms' usual fee, and to arrive at random as today's do. The finding: which share must
    still sign for revenue to stay as it is.
    """
    compared = streams(spells)
    if compared is None:
        unknown = say("contract_term.without_monthly.unknown")
        nothing = Estimates((), say("contract_term.caption.what_if_none"))
        return nothing, Finding("A3", unknown)
    months = compared.horizon
    today = say("contract_term.group.as_today")
    rows = _outlook(today, 1.0, compared.monthly, compared.kept, months)
    for share in STILL_SIGN:
        group = say("contract_term.group.still_sign", share=share)
        rows += _outlook(group, share, compared.moved, compared.kept, months)
    text = _needed_words(share_needed(compared), months)
    caption = say("contract_term.caption.what_if", months=months)
    table = Estimates(tuple(rows), caption)
    return table, Finding("A3", text)


def share_needed(compared: Streams) -> tuple[float, float, float]:
    """The share of today's monthly sign-ups who must take a fixed term for revenue to stay as it
    is, with its 95 % interval.
    """
    needed = compared.monthly.worth / compared.moved.worth
    limits = [0.025, 0.975]
    low, high = np.quantile(needed, limits)
    mean = float(needed[0])
    return mean, float(low), float(high)


def _needed_words(needed: tuple[float, float, float], months: int) -> str:
    """The share that must still sign, in a sentence."""
    share, low, high = needed
    key = "contract_term.without_monthly.needed"
    if low > 1:
        key = "contract_term.without_monthly.never"
    return say(key, months=months, share=share, low=low, high=high)


@dataclass(frozen=True)
class Stopped:
    """Month-to-month no longer sold: revenue gained as a share of today's and client-months added a
    month (draws).

    `swing` is the usual change of revenue from month to month; all from clients signed within
    `horizon` months.
    """

    gained: np.ndarray
    months: np.ndarray
    swing: float
    horizon: int


def monthly_stopped(spells: pd.DataFrame, share: float) -> Stopped | None:
    """What stopping month-to-month does if that share still signs; None where `without_monthly`
    says nothing.
    """
    compared = streams(spells)
    if compared is None:
        return None
    level, swing = _level(share, compared.moved, compared.kept)
    today, _ = _level(1.0, compared.monthly, compared.kept)
    longer = share * compared.moved.months - compared.monthly.months
    months = compared.monthly.rate * longer
    change = level / today - 1
    return Stopped(change, months, swing, compared.horizon)


def _level(share: float, stream: Stream, kept: Stream) -> tuple[np.ndarray, float]:
    """Revenue of a share of a stream beside that of fixed terms (draws), and its usual change from
    month to month.
    """
    moved = share * stream.rate * stream.worth
    level = moved + kept.rate * kept.worth
    spread = math.sqrt(share * stream.moves + kept.moves)
    return level, spread / float(level[0])


def _stream(
    outcome: Outcome,
    fees: pd.Series,
    arm: np.ndarray,
    signed: np.ndarray,
    rate: float,
    horizon: int,
    slower: np.ndarray,
) -> Stream:
    """The clients of one arm as a stream, by thirds of the fee where there are enough: who pays
    more stays longer.

    How many there are of each third, and what they pay, comes from those `signed` within the
    records; how long they stay, from all.
    """
    fee = fees.to_numpy(float)
    new = arm & signed
    edges = np.quantile(fee[new], [1 / 3, 2 / 3]) if new.sum() >= MIN_FOR_THIRDS else []
    thirds = np.searchsorted(edges, fee)
    worth = np.zeros(len(slower))
    months = np.zeros(len(slower))
    moves = 0.0
    for third in np.unique(thirds[new]):
        paid = fee[new & (thirds == third)]
        in_third = outcome.where(arm & (thirds == third))
        stay = _stay(in_third, horizon, slower)
        share = len(paid) / new.sum()
        worth += share * paid.mean() * stay.sum(axis=1)
        months += share * stay.sum(axis=1)
        variance = rate * share * float((paid**2).mean())
        moves += variance * (2 - stay[0, -1])
    return Stream(rate, worth, months, moves)


def _outlook(
    group: str, share: float, stream: Stream, kept: Stream, horizon: int
) -> list[Estimate]:
    """One way of the what-if: a share of a stream beside that of today's fixed terms."""
    level, swing = _level(share, stream, kept)
    several = len(level) > 1
    interval = np.quantile(level, [0.025, 0.975]) if several else ()
    values = [
        (say("contract_term.estimate.sign_ups"), (share * stream.rate + kept.rate,), "number"),
        (
            say("contract_term.estimate.months_stayed", months=horizon),
            (stream.months[0],),
            "months",
        ),
        (say("contract_term.estimate.worth"), (stream.worth[0],), "money"),
        (say("contract_term.estimate.revenue"), (level[0], *interval), "money"),
        (say("contract_term.estimate.swing"), (swing,), "share"),
    ]
    return [Estimate.of("A3", name, group, value, unit) for name, value, unit in values]


def _monthly_fees(spells: pd.DataFrame) -> pd.Series:
    """What each client pays a month as planned at signing: its fee, else the published one, of its
    planned spend.
    """
    terms = spells["contract_term_months"].astype(int)
    published = terms.map(PUBLISHED_FEES)
    rate = spells["fee_pct"].fillna(published) if "fee_pct" in spells else published
    return rate / 100 * spells["monthly_ad_spend"].astype(float)


def _stay(outcome: Outcome, horizon: int, slower: np.ndarray) -> np.ndarray:
    """Share still there as each month begins, were leaving by choice slower by these ratios; shape
    (m, horizon).
    """
    other = [kind for kind in KINDS.values() if kind not in BY_CHOICE]
    read = []
    by_choice = kaplan_meier(outcome.only(BY_CHOICE))
    for curve in (by_choice, kaplan_meier(outcome.only(other))):
        months = np.arange(horizon)
        steps = np.searchsorted(curve["month"], months, side="right")
        at = steps - 1
        survival = curve["survival"].to_numpy()
        read.append(survival[at])
    power = 1 / slower[:, None]
    return np.asarray(read[0] ** power * read[1])
