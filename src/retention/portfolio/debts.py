"""What clients owe: invoices less what was paid of them, credits set off, by client and the oldest
invoice first.

A payment counts for the invoice that it names. What is left over counts as a credit of the client:
a credit note (an invoice under zero) that was not paid out, and what was paid beyond an invoice.
Credits settle the client's open invoices, the one due first before the others, whether due already
or not. Features of a month's end (`arrears` in features.toml) follow the same rule by month.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

CENT = 0.005  # what is left under it is rounding
OPEN = ["invoice_id", "client_id", "issued_on", "due_on", "amount", "open", "settled_on"]


def invoices_on(known: Mapping[str, pd.DataFrame], day: pd.Timestamp) -> pd.DataFrame:
    """A row an invoice above zero issued by this day, with what is still `open` of it, in money.

    `settled_on` is the day on which nothing was open any more; missing while something is. Rows are
    in the order in which credits settle them. Empty without the tables invoices and payments.
    """
    if not {"invoices", "payments"} <= set(known):
        return pd.DataFrame(columns=OPEN)
    issued = known["invoices"]["issued_on"] <= day
    bills = known["invoices"][issued]
    in_time = known["payments"]["paid_on"] <= day
    paid = known["payments"][in_time].groupby("invoice_id")
    sums = paid.agg(sum=("amount", "sum"), last=("paid_on", "max"))
    paid = sums.reindex(bills["invoice_id"])
    amounts = paid["sum"].fillna(0.0).to_numpy(float)
    bills = bills.assign(paid=amounts, last=paid["last"].to_numpy())
    due = bills[bills["amount"] > 0].sort_values(
        ["client_id", "due_on", "issued_on", "invoice_id"], kind="stable"
    )
    open_amount = due["amount"] - due["paid"]
    need = open_amount.clip(lower=0).round(2)
    credits = _credits(bills)
    by_client = credits.groupby("client_id")["amount"].sum()
    granted = due["client_id"].map(by_client).fillna(0.0)
    by_client_need = need.groupby(due["client_id"])
    through = by_client_need.cumsum()
    left = (through - granted).clip(lower=0)
    due = due.assign(
        open=left.where(left < need, need).round(2), through=through.where(need > CENT)
    )
    settled = due.assign(settled_on=_settled(due, credits))
    return settled[OPEN].reset_index(drop=True)


def _credits(bills: pd.DataFrame) -> pd.DataFrame:
    """Credit notes that were not paid out, and payments beyond an invoice: `client_id, day, amount`
    above zero.
    """
    note = bills["amount"] < 0
    # A credit note is paid out by a payment of either sign: books differ in how they write a
    # refund.
    unused = -bills["amount"] - bills["paid"].abs()
    kept = unused.where(note, bills["paid"] - bills["amount"])
    days = bills["issued_on"].where(note, bills["last"])
    columns = {"client_id": bills["client_id"], "day": days, "amount": kept.round(2)}
    rows = pd.DataFrame(columns)
    return (
        rows[rows["amount"] > CENT]
        .sort_values(["client_id", "day"], kind="stable")
        .reset_index(drop=True)
    )


def _settled(due: pd.DataFrame, credits: pd.DataFrame) -> pd.Series:
    """The day on which each invoice was settled, by its own last payment or by the credit that
    covered the rest.
    """
    by_client = credits.groupby("client_id")["amount"]
    granted = credits.assign(sum=by_client.cumsum())
    sides = (
        due[["client_id", "through"]]
        .assign(row=due.index)
        .dropna(subset=["through"])
        .merge(granted, on="client_id")
    )
    covering = (
        sides[sides["sum"] > sides["through"] - CENT].groupby("row")["day"].min().reindex(due.index)
    )
    later = ~(covering < due["last"])
    by_credit = covering.where(later, due["last"])
    in_order = by_credit >= due["issued_on"]
    by_credit = by_credit.where(in_order, due["issued_on"])
    uncovered = due["through"].isna()
    day = due["last"].where(uncovered, by_credit)
    return day.where(due["open"] < CENT)


def arrears(known: Mapping[str, pd.DataFrame], days: list[pd.Timestamp]) -> pd.DataFrame:
    """What each client owes overdue on each of these days, in money: a column a day, a row a
    client.
    """
    owed = {}
    for day in days:
        rows = invoices_on(known, day)
        overdue = rows[rows["due_on"] < day]
        by_client = overdue.groupby("client_id")["open"]
        owed[day] = by_client.sum()
    if not any(len(column) for column in owed.values()):
        return pd.DataFrame(columns=days)
    return pd.DataFrame(owed).fillna(0.0)


def usual_invoice(
    known: Mapping[str, pd.DataFrame], since: pd.Timestamp | None = None
) -> pd.Series:
    """What one invoice of each client comes to: the mean of those `since` a day, or the last one;
    credits left out.
    """
    none = pd.DataFrame(columns=["client_id", "issued_on", "amount"])
    bills = known.get("invoices", none)
    real = bills[bills["amount"] > 0]
    bills = real.sort_values("issued_on", kind="stable")
    if since is None:
        return bills.groupby("client_id")["amount"].last()
    lately = bills[bills["issued_on"] > since]
    return lately.groupby("client_id")["amount"].mean()
