"""The fee table by term, when a lower fee pays (A2), and life without monthly terms (A3)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from math import nan

import numpy as np
import pandas as pd

from retention.claims.contract_checks import adjusted
from retention.claims.contract_term import BY_CHOICE
from retention.history.clients_now import client_names
from retention.history.follow_up import follow_up
from retention.history.spells import CLIENT, KINDS
from retention.history.status import staying
from retention.results import Z95, Estimate, Estimates, Finding
from retention.settings import study_plan
from retention.stats.curves import MIN_AT_RISK, kaplan_meier, known_through
from retention.stats.intervals import with_limits
from retention.stats.outcomes import Outcome

PUBLISHED_FEES = {
    int(term): float(fee) for term, fee in study_plan()["A2"]["published_fee_pct"].items()
}
FEE_DEPARTURE_POINTS = float(
    study_plan()["thresholds"]["fee_departure_points"]["value"]
)  # STUDY A2
DISCOUNT = 0.10  # a year: METHODS 5
DRAWS = 1000
SEED = 1
HORIZONS = (
    60,
    48,
    36,
    24,
    12,
)  # months over which revenue is counted, as far as clients could be watched: METHODS 2
MIN_FOR_THIRDS = 90  # (ours) clients from which thirds of the fee are told apart
STILL_SIGN = (
    1.0,
    0.75,
    0.5,
    0.25,
)  # shares of today's monthly clients who would sign a fixed term: a what-if (A3)
MIN_FEES = 5  # (ours) under five clients on a term have no usual fee to depart from


def fee_table(spells: pd.DataFrame) -> pd.DataFrame:
    """The agency's own fee table: the usual fee of each term at signing beside the published one
    (A2).

    Columns: `term_months, clients, usual_fee, published_fee, departures` (fees in percent of ad
    spend; the usual fee is the median). Empty without `fee_pct`.
    """
    rows = _with_usual_fee(spells)
    table = rows.groupby("term_months").agg(
        clients=("fee_pct", "size"), usual_fee=("fee_pct", "median"), departures=("departs", "sum")
    )
    table.insert(2, "published_fee", table.index.map(PUBLISHED_FEES))
    return table.reset_index()


def fee_estimates(spells: pd.DataFrame) -> Estimates | Finding:
    """The fee table as estimates (no interval: these are all the clients there are), or what is
    missing for it.
    """
    table = fee_table(spells)
    if table.empty:
        return Finding(
            "A2",
            "Fees are not in the data. With a column fee_pct (percent of ad spend) this would "
            "show them.",
        )
    off = f"clients more than {FEE_DEPARTURE_POINTS:g} points off it"
    rows = []
    for row in table.itertuples():
        group = f"{row.term_months}-month term"
        rest = (nan, nan, 0.95)
        rows.append(
            Estimate("A2", "usual fee", group, row.usual_fee, *rest, "% of spend", row.clients, 0)
        )
        rows.append(
            Estimate("A2", off, group, row.departures / row.clients, *rest, "share", row.clients, 0)
        )
    published = ", ".join(
        f"{fee:g}% for {term} month{'s' if term > 1 else ''}"
        for term, fee in PUBLISHED_FEES.items()
    )
    return Estimates(
        tuple(rows), f"Usual (median) fee by term at signing; the study's table: {published}"
    )


def fee_departures(spells: pd.DataFrame, currency: str = "") -> pd.DataFrame:
    """Present clients whose fee departs from the agency's own table, largest monthly difference
    first (A2).

    Columns: `client, term_months, fee, %, usual_fee, %, monthly_difference` (in `currency`;
    negative: less than usual).
    """
    rows = _with_usual_fee(spells)
    rows = rows[rows["departs"] & staying(rows)]
    rows = rows.assign(
        monthly_difference=(rows["fee_pct"] - rows["usual_fee"]) / 100 * rows["monthly_ad_spend"]
    )
    rows = rows.sort_values("monthly_difference", key=lambda gap: -gap.abs(), kind="stable")
    rows = rows[
        ["client", "term_months", "fee_pct", "usual_fee", "monthly_difference"]
    ].reset_index(drop=True)
    money = f"monthly_difference, {currency}" if currency else "monthly_difference"
    return rows.rename(
        columns={"fee_pct": "fee, %", "usual_fee": "usual_fee, %", "monthly_difference": money}
    )


def _with_usual_fee(spells: pd.DataFrame) -> pd.DataFrame:
    if "fee_pct" not in spells:
        spells = spells.assign(fee_pct=float("nan"))
    rows = spells[spells["fee_pct"].notna()]
    rows = rows.assign(
        term_months=rows["contract_term_months"].astype(int), client=client_names(rows)
    )
    rows["usual_fee"] = rows.groupby("term_months")["fee_pct"].transform("median")
    known = rows.groupby("term_months")["fee_pct"].transform("size") >= MIN_FEES
    rows["departs"] = known & ((rows["fee_pct"] - rows["usual_fee"]).abs() > FEE_DEPARTURE_POINTS)
    return rows


def break_even_ratio(
    monthly_fee: float, fixed_fee: float, chance: np.ndarray, other: float
) -> np.ndarray:
    """The ratio of leaving above which the lower fee of a fixed term pays (METHODS 2, price
    companion).

    `chance` is that of leaving by choice in a month on the fixed term, `other` that of any other
    end. Where both terms are worth the same, fee / (1 - s) is the same, s being the chance of one
    more month, discounted.

    >>> break_even_ratio(10, 6, np.array([0.02, 0.04, 0.06]), 0.009).round(2).tolist()
    [2.24, 1.95, 1.86]
    """
    keep = (1 - other) / (1 + DISCOUNT) ** (1 / 12)
    needed = 1 - (1 - monthly_fee / fixed_fee * (1 - keep * (1 - chance))) / keep
    return np.asarray(needed / chance)


def break_even(spells: pd.DataFrame) -> Estimates:
    """For each fixed term: the ratio at which its lower fee pays, the ratio found, and the chance
    that it is passed.

    Fees are the usual ones of the data, else the published; ratio and rate come from the same
    bootstrap draws, and from the same fits as each rep is left out. A term without a fee has none,
    and the caption says so.
    """
    terms = spells["contract_term_months"].astype(int)
    usual = fee_table(spells)
    fees = PUBLISHED_FEES | dict(zip(usual["term_months"], usual["usual_fee"], strict=True))
    rows = []
    known = sorted(t for t in terms.unique() if t > 1 and t in fees)
    free = [term for term in known if min(fees[term], fees[1]) <= 0]
    for term in (term for term in known if term not in free):
        part = spells[terms.isin([1, term])]
        found = adjusted(part)
        if found.fit is None or found.contrast.gate:
            continue
        fixed = (found.rows["contract_term_months"] > 1).to_numpy()
        outcome = follow_up(part).where((terms[part.index] == term).to_numpy())
        months = float(np.sum(outcome.stop - outcome.entry))
        other = float(np.sum(outcome.kind > KINDS[CLIENT])) / months
        reps = (
            found.rows["rep"].to_numpy(object)
            if "rep" in found.rows
            else np.full(len(found.rows), "")
        )
        without, sizes = found.fit.without_reps(reps)
        theta = np.vstack([found.fit.theta, found.fit.draws(DRAWS, SEED), without])
        watched = float((found.rows["to_month"] - found.rows["from_month"])[fixed].sum())
        chance = -np.expm1(-found.fit.totals(fixed, theta) / watched)
        most = np.minimum(
            chance * break_even_ratio(fees[1], fees[term], chance, other), 1
        )  # 1: it always pays
        with np.errstate(divide="ignore"):
            needed = np.log1p(-most) / np.log1p(-chance)
        ratio = np.exp(theta[:, found.fit.names.index("first")])
        group = f"{term}-month term"
        counts = (found.contrast.n_clients, found.contrast.n_events)
        for name, values in (("ratio at which the lower fee pays", needed), ("ratio found", ratio)):
            rows.append(
                Estimate.of("A2", name, group, with_limits(values, sizes, "ratio"), "ratio", counts)
            )
        often = _chance_above_nothing(ratio - needed, sizes)
        rows.append(Estimate.of("A2", "chance that it pays", group, (often,), "share", counts))
    caption = "When a longer term's lower fee pays, at ten percent interest a year"
    return Estimates(tuple(rows), caption + _without_fee(free, fees))


def _chance_above_nothing(values: np.ndarray, sizes: np.ndarray) -> float:
    """The chance that the first value is above 0, by draws stretched to the width of the wider
    interval.
    """
    drawn = values[1 : len(values) - len(sizes)]
    alone = with_limits(values[: 1 + len(drawn)])
    wider = with_limits(values, sizes)
    if not np.isfinite(wider).all() or alone == wider or alone[1] == alone[2]:
        return float(np.mean(drawn > 0))
    stretch = (wider[2] - wider[1]) / (alone[2] - alone[1])
    return float(np.mean(values[0] + stretch * (drawn - values[0]) > 0))


def _without_fee(free: list[int], fees: dict[int, float]) -> str:
    """Which fixed terms have no break-even, for a usual fee of 0, in words; empty where all have
    one.
    """
    if not free:
        return ""
    if fees[1] <= 0:
        return "; there is none, for the usual fee month-to-month is 0"
    terms = ", ".join(f"{term}-month" for term in free)
    return f"; there is none for {terms} terms, where the usual fee is 0"


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


def _streams(spells: pd.DataFrame) -> Streams | None:
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
    recorded = (spells["observed_months"] - spells["entry_months"]).max()
    signed = (
        spells["entry_months"] == 0
    ).to_numpy()  # survivors from before the records are larger than who signs
    signings = {arm: float(np.sum((fixed == arm) & signed)) for arm in (False, True)}
    if contrast.gate or not horizon or fees.isna().any() or not all(signings.values()):
        return None
    rates = {
        arm: count / recorded for arm, count in signings.items()
    }  # months were recorded, for some signed in them
    rng = np.random.default_rng(SEED)
    spend = spells["monthly_ad_spend"].astype(float)
    spread = contrast.reach() / Z95  # by client or by rep, the wider
    ratios = np.exp(np.append(contrast.theta, contrast.theta + spread * rng.normal(size=DRAWS)))
    rate = (fees / spend)[fixed & (spend > 0)]
    once = np.ones(1)
    moved_fees = spend * (rate.median() if len(rate) else 0.0)
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


def without_monthly(spells: pd.DataFrame) -> tuple[Estimates, Finding]:
    """Were month-to-month no longer sold (A3): sign-ups, value, level and swings of revenue, by how
    many still sign.

    Groups are shares that still sign. Revenue counts clients signed within as many months as
    clients of both kinds could be watched for; the usual change from month to month is a share of
    it. Those who sign are taken to leave at the pace that the verdict's ratio gives them, to pay
    the fixed terms' usual fee, and to arrive at random as today's do. The finding: which share must
    still sign for revenue to stay as it is.
    """
    found = _streams(spells)
    if found is None:
        why = (
            "For this what-if too little is known of fees above 0, of who left, or of clients "
            "watched for a year."
        )
        return Estimates((), "A what-if"), Finding("A3", why)
    rows = _outlook("as today", 1.0, found.monthly, found.kept, found.horizon)
    rows += [
        row
        for share in STILL_SIGN
        for row in _outlook(f"{share:.0%}", share, found.moved, found.kept, found.horizon)
    ]
    needed = found.monthly.worth / found.moved.worth
    low, high = np.quantile(needed, [0.025, 0.975])
    all_sign = "Even if all of them signed, revenue would be lower. " if low > 1 else ""
    text = (
        f"{all_sign}After {found.horizon} months revenue is what it is today if a fixed term is "
        "signed by "
        f"{needed[0]:.0%} of as many clients as now sign month-to-month (95% interval {low:.0%} "
        f"to {high:.0%}, from "
        "the uncertainty of the ratio alone)."
    )
    caption = f"After {found.horizon} months, by the share of monthly clients who would still sign"
    return Estimates(tuple(rows), caption), Finding("A3", text)


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
    found = _streams(spells)
    if found is None:
        return None
    (level, swing), today = (
        _level(share, found.moved, found.kept),
        _level(1.0, found.monthly, found.kept)[0],
    )
    months = found.monthly.rate * (share * found.moved.months - found.monthly.months)
    return Stopped(level / today - 1, months, swing, found.horizon)


def _level(share: float, stream: Stream, kept: Stream) -> tuple[np.ndarray, float]:
    """Revenue of a share of a stream beside that of fixed terms (draws), and its usual change from
    month to month.
    """
    level = share * stream.rate * stream.worth + kept.rate * kept.worth
    return level, math.sqrt(share * stream.moves + kept.moves) / float(level[0])


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

    How many there are of each third, and what they pay, is told by those `signed` within the
    records; how long they stay, by all.
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
        stay = _stay(outcome.where(arm & (thirds == third)), horizon, slower)
        share = len(paid) / new.sum()
        worth += share * paid.mean() * stay.sum(axis=1)
        months += share * stay.sum(axis=1)
        moves += rate * share * float((paid**2).mean()) * (2 - stay[0, -1])
    return Stream(rate, worth, months, moves)


def _outlook(
    group: str, share: float, stream: Stream, kept: Stream, horizon: int
) -> list[Estimate]:
    """One way of the what-if: a share of a stream beside that of today's fixed terms."""
    level, swing = _level(share, stream, kept)
    interval = np.quantile(level, [0.025, 0.975]) if len(level) > 1 else ()
    told = {
        "sign-ups a month, all terms": ((share * stream.rate + kept.rate,), "number"),
        f"months stayed in the first {horizon}, now monthly": ((stream.months[0],), "months"),
        "worth of a sign-up, now monthly": ((stream.worth[0],), "money"),
        "revenue a month, all terms": ((level[0], *interval), "money"),
        "usual change from month to month": ((swing,), "share"),
    }
    return [Estimate.of("A3", name, group, values, unit) for name, (values, unit) in told.items()]


def _monthly_fees(spells: pd.DataFrame) -> pd.Series:
    """What each client pays a month as planned at signing: its fee, else the published one, of its
    planned spend.
    """
    published = spells["contract_term_months"].astype(int).map(PUBLISHED_FEES)
    rate = spells["fee_pct"].fillna(published) if "fee_pct" in spells else published
    return rate / 100 * spells["monthly_ad_spend"].astype(float)


def _stay(outcome: Outcome, horizon: int, slower: np.ndarray) -> np.ndarray:
    """Share still there as each month begins, were leaving by choice slower by these ratios; shape
    (m, horizon).
    """
    other = [kind for kind in KINDS.values() if kind not in BY_CHOICE]
    read = []
    for curve in (kaplan_meier(outcome.only(BY_CHOICE)), kaplan_meier(outcome.only(other))):
        at = np.searchsorted(curve["month"], np.arange(horizon), side="right") - 1
        read.append(curve["survival"].to_numpy()[at])
    return np.asarray(read[0] ** (1 / slower[:, None]) * read[1])
