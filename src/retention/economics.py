"""The agency's money: the fee table by contract term (A2)."""

from __future__ import annotations

from math import nan

import pandas as pd

from retention.config import study_plan
from retention.results import Estimate, Estimates, Finding

PUBLISHED_FEES = {int(term): float(fee) for term, fee in study_plan()["A2"]["published_fee_pct"].items()}
FEE_DEPARTURE_POINTS = float(study_plan()["thresholds"]["fee_departure_points"]["value"])  # study row A2
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
