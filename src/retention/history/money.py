"""What each client paid and cost, month by month, as far as the records tell."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from retention.history.features import KEY
from retention.history.prepaid import by_term
from retention.history.snapshots import WORTH, month_of
from retention.words import say

WORTH_MONTHS = 3  # as the features of a month's end have it
FEES: str = say("economics.counts.fees")
MARGINS: str = say("economics.counts.margins")
USUAL_MONTHS, MOST = (
    6,
    0.8,
)  # (ours) months that say how many clients' hours are usual; share that must be in
NEEDS = say("economics.counts.needs")


def monthly_money(spells: pd.DataFrame, tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """A row an engagement and calendar month with a fee on record: `client_id, engagement, month,
    fee, cost, margin`.

    `month` counts from the year 0. A fee counts in the months it is for (`prepaid.by_term`). Cost
    is hours at what they cost (of people whose cost is not known, the usual). A month without hours
    cost nothing if hours were kept then, and for this client at some time; else cost and margin are
    NaN, as they are where the source holds no hours with their cost, and in the newest months while
    hours are still coming in. Empty without fees by month.
    """
    columns = [*KEY, "month", "fee", "cost", "margin"]
    fees = tables.get("account_months")
    if fees is None or "fee" not in fees:
        return pd.DataFrame(columns=columns)
    fees = by_term(spells, fees, tables.get("contracts")).table
    charged = fees.assign(fee=fees["fee"].astype(float))
    rows = _summed(spells, charged, "fee")
    spent = _spent(tables.get("hours"), tables.get("staff"))
    if spent is None:
        without = rows.assign(cost=np.nan, margin=np.nan)
        return without[columns]
    cost = _summed(spells, spent, "cost")
    key = [*KEY, "month"]
    rows = rows.merge(cost, on=key, how="left")
    rows["cost"] = _with_idle_months(rows, cost)
    margin = rows["fee"] - rows["cost"]
    return rows.assign(margin=margin)[columns]


def _spent(hours: pd.DataFrame | None, staff: pd.DataFrame | None) -> pd.DataFrame | None:
    """The hours with what they cost; None where what those cost who did the work is not on
    record.
    """
    if hours is None or staff is None or "hourly_cost" not in staff:
        return None
    pay = staff[["staff_id", "hourly_cost"]]
    spent = hours.merge(pay, on="staff_id", how="left")
    hourly = spent["hourly_cost"].astype(float)
    if hourly.isna().all():
        return None
    usual = hourly.fillna(hourly.median())
    return spent.assign(cost=spent["hours"].astype(float) * usual)


def _with_idle_months(rows: pd.DataFrame, cost: pd.DataFrame) -> pd.Series:
    """The cost of each row: nothing in a month without hours where hours were kept, unknown in
    months whose hours are still coming in.
    """
    last = _written_down(cost)
    in_time = rows["month"].between(cost["month"].min(), last)
    of_client = rows["client_id"].isin(cost["client_id"])
    idle = rows["cost"].isna() & in_time & of_client
    worked = rows["cost"].mask(idle, 0.0)
    return worked.mask(rows["month"] > last)


def _written_down(cost: pd.DataFrame) -> float:
    """The last month of which hours are in for about as many clients as usual; later ones are still
    coming in.
    """
    by_month = cost.groupby("month")
    clients = by_month["client_id"].nunique()
    middle = clients.rolling(USUAL_MONTHS, min_periods=1)
    usual = middle.median().shift()
    return float(clients.index[~(clients < MOST * usual)].max()) if len(clients) else float("nan")


def _summed(spells: pd.DataFrame, dated: pd.DataFrame, column: str) -> pd.DataFrame:
    """Sums of a column by engagement and calendar month, of rows that fall within an engagement."""
    columns = dated[["client_id", "month", column]]
    rows = columns.assign(month=month_of(dated["month"]))
    about = spells[[*KEY, "start_date", "end_date"]]
    rows = rows.merge(about, on="client_id")
    inside = (rows["month"] >= month_of(rows["start_date"])) & ~(
        rows["month"] > month_of(rows["end_date"])
    )
    key = [*KEY, "month"]
    by_engagement = rows[inside].groupby(key, as_index=False)
    return by_engagement[column].sum(min_count=1)


def margins_known(money: pd.DataFrame) -> bool:
    """Whether any margin is on record, fees less hours at their cost; `money` as from
    `monthly_money`.
    """
    return bool(money["margin"].notna().any())


def worth_by_month(money: pd.DataFrame) -> pd.DataFrame:
    """What each client leaves a month, mean of three months: `client_id, engagement, month,
    worth_a_month`.

    The margin, where hours are known; else the fee. `money` as from `monthly_money`.
    """
    order = [*KEY, "month"]
    in_order = money.sort_values(order, kind="stable")
    rows = in_order.reset_index(drop=True)
    by_engagement = rows.groupby(KEY)[["margin", "fee"]]
    means = by_engagement.rolling(WORTH_MONTHS, min_periods=1).mean()
    means = means.reset_index(drop=True)
    worth = means["margin"].fillna(means["fee"])
    columns = rows[[*KEY, "month"]]
    return columns.assign(**{WORTH: worth})


def planned_fees(spells: pd.DataFrame) -> pd.Series:
    """What each engagement was to pay a month as signed (percent of planned spend), shape (n,); NaN
    where not known.
    """
    if "fee_pct" not in spells:
        return pd.Series(np.nan, spells.index)
    share = spells["fee_pct"].astype(float) / 100
    return share * spells["monthly_ad_spend"].astype(float)
