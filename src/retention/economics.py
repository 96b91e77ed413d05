"""The agency's money: the fee table by term, when a lower fee pays (A2), and life without monthly terms (A3)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from math import nan

import numpy as np
import pandas as pd

from retention.config import study_plan
from retention.contract_checks import adjusted
from retention.contract_term import BY_CHOICE
from retention.curves import Outcome, follow_up, kaplan_meier
from retention.results import Estimate, Estimates, Finding
from retention.spells import CLIENT, KINDS

PUBLISHED_FEES = {int(term): float(fee) for term, fee in study_plan()["A2"]["published_fee_pct"].items()}
FEE_DEPARTURE_POINTS = float(study_plan()["thresholds"]["fee_departure_points"]["value"])  # study row A2
DISCOUNT = 0.10  # a year: METHODS 5
DRAWS, SEED = 1000, 1
HORIZON = 24  # months over which value and revenue are counted: METHODS 2
ARMS = ((False, "monthly"), (True, "fixed"))
STILL_SIGN = (1.0, 0.75, 0.5, 0.25)  # shares of today's monthly clients who would sign a fixed term: a what-if (A3)
MIN_FEES = 5  # (ours) under five clients on a term have no usual fee to depart from


def fee_table(spells: pd.DataFrame) -> pd.DataFrame:
    """The agency's own fee table: the usual fee of each term at signing beside the published one (A2).

    Columns: `term_months, clients, usual_fee, published_fee, departures` (fees in percent of ad spend; the usual fee
    is the median). Empty without `fee_pct`.
    """
    rows = _with_usual_fee(spells)
    table = rows.groupby("term_months").agg(
        clients=("fee_pct", "size"), usual_fee=("fee_pct", "median"), departures=("departs", "sum")
    )
    table.insert(2, "published_fee", table.index.map(PUBLISHED_FEES))
    return table.reset_index()


def fee_estimates(spells: pd.DataFrame) -> Estimates | Finding:
    """The fee table as estimates (no interval: these are all the clients there are), or what is missing for it."""
    table = fee_table(spells)
    if table.empty:
        return Finding(
            "A2", "Fees are not in the data. With a column fee_pct (percent of ad spend) this would show them."
        )
    off = f"clients more than {FEE_DEPARTURE_POINTS:g} points off it"
    rows = []
    for row in table.itertuples():
        group, rest = f"{row.term_months}-month term", (nan, nan, 0.95)
        rows.append(Estimate("A2", "usual fee", group, row.usual_fee, *rest, "% of spend", row.clients, 0))
        rows.append(Estimate("A2", off, group, row.departures / row.clients, *rest, "share", row.clients, 0))
    published = ", ".join(f"{fee:g}% for {term} month{'s' if term > 1 else ''}" for term, fee in PUBLISHED_FEES.items())
    return Estimates(tuple(rows), f"Usual (median) fee by term at signing; the study's table: {published}")


def fee_departures(spells: pd.DataFrame, currency: str = "") -> pd.DataFrame:
    """Present clients whose fee departs from the agency's own table, largest monthly difference first (A2).

    Columns: `client, term_months, fee, %, usual_fee, %, monthly_difference` (in `currency`; negative: less than usual).
    """
    rows = _with_usual_fee(spells)
    rows = rows[rows["departs"] & rows["end_date"].isna()]
    rows = rows.assign(monthly_difference=(rows["fee_pct"] - rows["usual_fee"]) / 100 * rows["monthly_ad_spend"])
    rows = rows.sort_values("monthly_difference", key=lambda gap: -gap.abs(), kind="stable")
    rows = rows[["client", "term_months", "fee_pct", "usual_fee", "monthly_difference"]].reset_index(drop=True)
    money = f"monthly_difference, {currency}" if currency else "monthly_difference"
    return rows.rename(columns={"fee_pct": "fee, %", "usual_fee": "usual_fee, %", "monthly_difference": money})


def _with_usual_fee(spells: pd.DataFrame) -> pd.DataFrame:
    if "fee_pct" not in spells:
        spells = spells.assign(fee_pct=float("nan"))
    rows = spells[spells["fee_pct"].notna()]
    rows = rows.assign(term_months=rows["contract_term_months"].astype(int), client=client_names(rows))
    rows["usual_fee"] = rows.groupby("term_months")["fee_pct"].transform("median")
    known = rows.groupby("term_months")["fee_pct"].transform("size") >= MIN_FEES
    rows["departs"] = known & ((rows["fee_pct"] - rows["usual_fee"]).abs() > FEE_DEPARTURE_POINTS)
    return rows


def client_names(rows: pd.DataFrame) -> pd.Series:
    """What a client is called on lists: its name where one is known, else its id."""
    return rows["name"].fillna(rows["client_id"]) if "name" in rows else rows["client_id"]


def break_even_ratio(monthly_fee: float, fixed_fee: float, hazard: np.ndarray, other: float) -> np.ndarray:
    """The ratio of leaving above which the lower fee of a fixed term pays, to first order (METHODS 2, price companion).

    `hazard` is the fixed term's own rate of leaving by choice a month, `other` that of all other ends.

    >>> break_even_ratio(10, 6, np.array([0.02, 0.04, 0.06]), 0.009).round(2).tolist()
    [2.24, 1.96, 1.86]
    """
    more = monthly_fee / fixed_fee
    return np.asarray(more + (more - 1) * (other + DISCOUNT / 12) / hazard)


def break_even(spells: pd.DataFrame) -> Estimates:
    """For each fixed term: the ratio at which its lower fee pays, the ratio found, and the chance that it is passed.

    Fees are the usual ones of the data, else the published; ratio and rate come from the same bootstrap draws.
    """
    terms = spells["contract_term_months"].astype(int)
    usual = fee_table(spells)
    fees = PUBLISHED_FEES | dict(zip(usual["term_months"], usual["usual_fee"], strict=True))
    rows = []
    for term in sorted(t for t in terms.unique() if t > 1 and t in fees and 1 in fees):
        part = spells[terms.isin([1, term])]
        found = adjusted(part)
        if found.fit is None or found.contrast.gate:
            continue
        fixed = found.first == 0
        outcome = follow_up(part).where((terms[part.index] == term).to_numpy())
        months = float(np.sum(outcome.stop - outcome.entry))
        other = float(np.sum(outcome.kind > KINDS[CLIENT])) / months
        theta = np.vstack([found.fit.theta, found.fit.draws(DRAWS, SEED)])
        hazard = found.fit.totals(fixed, theta) / found.months[fixed].sum()
        needed = break_even_ratio(fees[1], fees[term], hazard, other)
        ratio = np.exp(theta[:, found.fit.names.index("first")])
        group, counts = f"{term}-month term", (found.contrast.n_clients, found.contrast.n_events)
        for name, values in (("ratio at which the lower fee pays", needed), ("ratio found", ratio)):
            limits = (values[0], *np.quantile(values[1:], [0.025, 0.975]))
            rows.append(Estimate.of("A2", name, group, limits, "ratio", counts))
        chance = float(np.mean(ratio[1:] > needed[1:]))
        rows.append(Estimate.of("A2", "chance that it pays", group, (chance,), "share", counts))
    return Estimates(tuple(rows), "When a longer term's lower fee pays, at ten percent interest a year")


def without_monthly(spells: pd.DataFrame) -> tuple[Estimates, Finding]:
    """Were month-to-month no longer sold (A3): sign-ups, value, level and swings of revenue, by how many still sign.

    Groups are shares that still sign; revenue counts clients signed within 24 months and has an interval, the usual
    change from month to month is a share of it. Those who sign are taken to leave at the pace that the verdict's ratio
    gives them, to pay the fixed terms' usual fee, and to arrive at random as today's do. The finding: which share must
    still sign for revenue to stay as it is.
    """
    contrast, fees, outcome = adjusted(spells).contrast, _monthly_fees(spells), follow_up(spells)
    fixed = (spells["contract_term_months"] > 1).to_numpy()
    months = (spells["observed_months"] - spells["entry_months"]).max()
    signed = {mask[1]: float(np.sum((fixed == mask[0]) & (spells["entry_months"] == 0))) / months for mask in ARMS}
    if contrast.gate or fees.isna().all() or not all(signed.values()):
        return Estimates((), "A what-if"), Finding(
            "A3", "Too little is known of fees, or of who left, for this what-if."
        )
    rng = np.random.default_rng(SEED)
    ratios = np.exp(np.append(contrast.theta, contrast.theta + contrast.se * rng.normal(size=DRAWS)))
    stay = {name: _stay(outcome.where(fixed == flag)) for flag, name in ARMS}
    moved, spend = _stay(outcome.where(~fixed), ratios), spells["monthly_ad_spend"].astype(float)
    fee = {name: fees[fixed == flag] for flag, name in ARMS}
    moved_fee = spend[~fixed] * (fees / spend)[fixed].median()
    ways = [("as today", signed["monthly"], fee["monthly"], stay["monthly"])]
    ways += [(f"{share:.0%}", share * signed["monthly"], moved_fee, moved) for share in STILL_SIGN]
    kept = (signed["fixed"], fee["fixed"], stay["fixed"])
    needed = fee["monthly"].mean() * stay["monthly"].sum() / (moved_fee.mean() * moved.sum(axis=1))
    low, high = np.quantile(needed, [0.025, 0.975])
    all_sign = "Even if all of them signed, revenue would be lower. " if needed[0] > 1 else ""
    text = (
        f"{all_sign}Revenue stays as it is if a fixed term is signed by {needed[0]:.0%} of as many clients as now sign "
        f"month-to-month (95% interval {low:.0%} to {high:.0%}, from the uncertainty of the ratio alone)."
    )
    rows = [row for way in ways for row in _outlook(*way, *kept)]
    return Estimates(tuple(rows), "Two years on, by the share of monthly clients who would still sign"), Finding(
        "A3", text
    )


def _outlook(
    group: str,
    rate: float,
    fee: pd.Series,
    stay: np.ndarray,
    fixed_rate: float,
    fixed_fee: pd.Series,
    fixed_stay: np.ndarray,
) -> list[Estimate]:
    """One way of the what-if: a stream of sign-ups (`stay`: draws by months) beside that of today's fixed terms."""
    level = rate * fee.mean() * stay.sum(axis=1) + fixed_rate * fixed_fee.mean() * fixed_stay.sum()
    # Arrivals at random leave at random too: a month's change is all who came and all who went by the horizon.
    moves = rate * (fee**2).mean() * (2 - stay[0, -1]) + fixed_rate * (fixed_fee**2).mean() * (2 - fixed_stay[0, -1])
    interval = np.quantile(level, [0.025, 0.975]) if len(level) > 1 else ()
    told = {
        "sign-ups a month, all terms": ((rate + fixed_rate,), "number"),
        f"months stayed in the first {HORIZON}, now monthly": ((stay[0].sum(),), "months"),
        "worth of a sign-up, now monthly": ((fee.mean() * stay[0].sum(),), "money"),
        "revenue a month, all terms": ((level[0], *interval), "money"),
        "usual change from month to month": ((math.sqrt(moves) / level[0],), "share"),
    }
    return [Estimate.of("A3", name, group, values, unit) for name, (values, unit) in told.items()]


def _monthly_fees(spells: pd.DataFrame) -> pd.Series:
    """What each client pays a month as planned at signing: its fee, else the published one, of its planned spend."""
    published = spells["contract_term_months"].astype(int).map(PUBLISHED_FEES)
    rate = spells["fee_pct"].fillna(published) if "fee_pct" in spells else published
    return rate / 100 * spells["monthly_ad_spend"].astype(float)


def _stay(outcome: Outcome, slower: Sequence[float] | np.ndarray = (1.0,)) -> np.ndarray:
    """Share still there at the start of months 1 to 24 were leaving by choice slower by these ratios; shape (m, 24)."""
    other, read = [kind for kind in KINDS.values() if kind not in BY_CHOICE], []
    for curve in (kaplan_meier(outcome.only(BY_CHOICE)), kaplan_meier(outcome.only(other))):
        at = np.searchsorted(curve["month"], np.arange(HORIZON), side="right") - 1
        read.append(curve["survival"].to_numpy()[at])
    return np.asarray(read[0] ** (1 / np.asarray(slower)[:, None]) * read[1])
