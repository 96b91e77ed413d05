"""The lists that follow from the book of clients (D2 to D11), and from the scores where there are
any: a function a list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from retention.lists import cases
from retention.lists.reasons import (
    costly_evidence,
    decided_words,
    leaving_reason,
    likely_words,
    owes_words,
    price_reason,
    price_short,
)
from retention.lists.shape import FORTNIGHT, WEEK, joined, listed
from retention.portfolio.debts import arrears, usual_invoice
from retention.words import say

if TYPE_CHECKING:
    from retention.lists.desk import Desk

INVOICES = say("lists.evidence.invoices")
CONTRACTS = say("lists.evidence.contracts")


def leaving(desk: Desk) -> pd.DataFrame:
    """Clients whose end is on record and still to come: the team is to be moved, the work handed
    over.
    """
    ends = desk.book.rows
    rows = pd.DataFrame(
        {
            "client_id": ends["client_id"],
            "reason": [leaving_reason(kind) for kind in ends["end_kind"]],
            "evidence": [decided_words(day) for day in ends["decision_date"]],
            "act_by": ends["end_date"],
        }
    )
    return listed(desk.book, rows, noticed=True)


def at_once(desk: Desk) -> pd.DataFrame:
    """Severe abuse and debts that grow, which the team's own work does not explain (D5)."""
    return desk.cases.at_once


def our_part_first(desk: Desk) -> pd.DataFrame:
    """Clients noted as a problem whose case our own work may explain (D9)."""
    return desk.cases.ours_noted


def let_go(desk: Desk) -> pd.DataFrame:
    """Clients beyond mending, and those who do not fit and do not surely pay (D3, D8, D11)."""
    unfit = desk.cases.unfit
    return joined(desk.cases.costly, unfit[~_pays(desk, unfit)])


def agree_on_terms(desk: Desk) -> pd.DataFrame:
    """Clients who do not fit and surely pay: what to agree on (D8, D11)."""
    unfit = desk.cases.unfit
    return cases.on_terms(unfit[_pays(desk, unfit)], desk.book)


def _pays(desk: Desk, rows: pd.DataFrame) -> pd.Series:
    monthly = desk.book.monthly
    return rows["client_id"].isin(monthly.index[monthly["low"] > 0])


def re_price(desk: Desk) -> pd.DataFrame:
    """Clients who cost more than they pay, with the remedies that fit and the fee to ask for (D4).

    A price is asked for by the day of notice; what the contract leaves to us is done within a
    fortnight. Who costs too much is asked for another price whatever the team's part in it.
    """
    own = cases.unprofitable(desk.book)
    own = own.assign(
        short=cases.still_short(own),
        needed=cases.raise_needed(own),
        soon=desk.book.cutoff + pd.Timedelta(days=FORTNIGHT),
    )
    reasons = [price_reason(row) for row in own.to_dict("records")]
    ours = np.array([by_us for _, by_us in reasons], bool)
    first = desk.cases.ours_costly.set_index("client_id")["evidence"]
    evidence = []
    for row in own.itertuples():
        costs = costly_evidence(row)
        if row.Index in first.index:
            key = "lists.evidence.our_part_first"
            costs = say(key, evidence=costs, ours=first[row.Index])
        evidence.append(costs)
    rows = pd.DataFrame(
        {
            "client_id": own.index,
            "reason": [reason for reason, _ in reasons],
            "short": [price_short(row) for row in own.to_dict("records")],
            "evidence": evidence,
            "act_by": own["notice_by"].where(~ours, own[["notice_by", "soon"]].min(axis=1)),
        }
    )
    return listed(desk.book, rows.reset_index(drop=True))


def at_risk(desk: Desk) -> pd.DataFrame:
    """The clients of the scores whom the team has time for."""
    risks = desk.risks
    if risks is None or risks.empty:
        risks = pd.DataFrame(columns=["client_id", "contact", "reasons", "act_by"])
    chosen = risks[risks["contact"] == "yes"]
    rows = chosen[["client_id", "act_by"]].assign(
        reason=[likely_words(row) for row in chosen.itertuples()], evidence=chosen["reasons"]
    )
    rows = rows.assign(short="")  # what raises the risk says it
    return listed(desk.book, rows.reset_index(drop=True))


def debts(desk: Desk) -> pd.DataFrame:
    """Clients who owe more than so many invoices overdue (D5, D8)."""
    book = desk.book
    owed = arrears(book.known, [book.cutoff]).sum(axis=1)
    usual = usual_invoice(book.known).reindex(owed.index)
    due = owed[(owed > 0) & (owed >= book.limits["debtor_fees"] * usual)]
    rows = pd.DataFrame(
        {
            "client_id": due.index,
            "reason": [owes_words(money, usual[client]) for client, money in due.items()],
            "evidence": INVOICES,
            "act_by": book.cutoff + pd.Timedelta(days=WEEK),
        }
    )
    return listed(book, rows)


def standing_fees(desk: Desk) -> pd.DataFrame:
    """Clients whose fee has stood for a year or more, by the day to have agreed on a new one
    (D4).
    """
    book = desk.book
    known = "fee_pct" in book.known.get("contracts", {})
    months = book.unraised[(book.unraised >= book.limits["raise_months"]) & known]
    rows = pd.DataFrame(
        {
            "client_id": months.index,
            "reason": [say("lists.reason.stands", months=count) for count in months],
            "evidence": CONTRACTS,
            "act_by": book.ends["notice_by"].reindex(months.index).to_numpy(),
        }
    )
    return listed(book, rows)
