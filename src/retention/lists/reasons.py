"""The words of the lists of the portfolio: why a client is on one, and on what evidence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from retention.history.spells import AGENCY, CLIENT, NEUTRAL
from retention.lists.shape import day_words, money_words
from retention.portfolio.evidence import NOTED_BY
from retention.portfolio.margins import RAISE, REMEDIES, cause_words, remedy_words
from retention.words import Said, say

WHOSE = {
    CLIENT: say("lists.reason.its_choice"),
    AGENCY: say("lists.reason.your_choice"),
    NEUTRAL: say("lists.reason.nobodys_choice"),
}
UNKNOWN_CHOICE = say("lists.reason.unknown_choice")
QUIET = say("lists.when.none")
LEAST = 0.5  # of money a month: a remedy that brings less is not named


def leaving_reason(kind: str) -> Said:
    """Why a client is handed over, by the kind of its end."""
    return say("lists.reason.leaves", whose=WHOSE.get(kind, UNKNOWN_CHOICE))


def decided_words(day: pd.Timestamp) -> Said:
    """When an end was decided, as far as that is on record."""
    if pd.isna(day):
        return say("lists.evidence.undated")
    return say("lists.evidence.decided", day=day_words(day))


def evidence_words(row: Any) -> Said:
    """One piece of evidence with its day; `row` of `evidence.evidence`."""
    day = day_words(row.noted_on)
    if row.source == NOTED_BY:
        return say("lists.evidence.noted", what=row.what, day=day)
    return say("lists.evidence.shown", evidence=row.evidence, day=day)


def unfit_reason(charge: str, day: pd.Timestamp) -> Said:
    """Why a client of a kind to avoid is let go, and on which last day."""
    last = say("lists.reason.last_day", day=day_words(day))
    return say("lists.reason.and_then", reason=charge, then=last)


def terms_reason(agreements: Sequence[str]) -> Said:
    """What to agree on with a client, by the ids of plan.toml."""
    terms = [say(f"portfolio.agree.{name}") for name in agreements]
    return say("lists.reason.on_terms", terms="; ".join(terms))


def costly_evidence(row: Any) -> Said:
    """What a client pays and takes, and why that is; `row` of `Book.monthly`."""
    return say(
        "lists.evidence.costly",
        fee=money_words(row.fee),
        cost=money_words(row.cost),
        months=row.months,
        cause=cause_words(row.cause),
    )


def costly_reason(row: Any) -> tuple[str, Said]:
    """Why a client is let go for its costs, with what to offer first; and the charge alone.

    `row` of `cases.unprofitable`.
    """
    charge = say(
        "lists.reason.costs_beyond",
        short=money_words(row.shortfall),
        recovered=money_words(row.recovered),
    )
    part = say("lists.reason.else_part", day=day_words(row.ends_on))
    return "; ".join([charge, offer_words(row.fee, row.cost), part]), charge


def offer_words(fee: float, cost: float) -> Said:
    """What to offer a client before parting: fewer hours, or a fee that pays for them."""
    if fee <= 0:  # of nothing, no multiple
        return say("lists.reason.offer_price", cost=money_words(cost))
    return say(
        "lists.reason.offer_scope", share=fee / cost, cost=money_words(cost), times=cost / fee
    )


def price_reason(row: Mapping[str, Any]) -> tuple[Said, bool]:
    """Why a client is re-priced, with the remedies that fit and the price to ask; and whether any
    remedy is ours to do.

    `row` of `cases.unprofitable` with `short` (money a month) and `needed` (a share of the fee).
    """
    fits = [name for name in REMEDIES if name != RAISE and row[name] >= LEAST]
    steps = [
        say("lists.reason.remedy", remedy=remedy_words(name), money=money_words(row[name]))
        for name in fits
    ]
    if row["needed"] > 0:
        price = _price(row)
        day = day_words(row["notice_by"])
        steps.append(say("lists.reason.ask_by", price=price, day=day) if fits else price)
    costs = say("lists.reason.costs", short=money_words(row["shortfall"]))
    return say("lists.reason.and_then", reason=costs, then=", ".join(steps)), bool(fits)


def price_short(row: Mapping[str, Any]) -> Said:
    """The same in a few words: what the client costs, the remedies that fit, and the price to ask
    beside them.
    """
    costs = say("lists.reason.costs", short=money_words(row["shortfall"]))
    fits = [name for name in REMEDIES if name != RAISE and row[name] >= LEAST]
    steps = [str(remedy_words(name)) for name in fits]
    if row["needed"] > 0:
        steps.append(str(_price(row)))
    if not steps:
        return costs
    return say("lists.reason.costs_step", costs=costs, step=", ".join(steps))


def _price(row: Mapping[str, Any]) -> Said:
    price = money_words(row["fee"] + row["short"])
    if math.isfinite(row["needed"]):
        return say("lists.reason.ask_more", price=price, more=row["needed"])
    return say("lists.reason.ask", price=price)


def likely_words(row: Any) -> Said:
    """How likely a client is to leave; `row` of the scores."""
    return say("lists.reason.likely", risk=row.risk, low=row.low, high=row.high)


def owes_words(owed: float, usual: float) -> Said:
    """What is owed, in money and in invoices of the usual amount where that is more than 0."""
    if usual > 0:
        return say("lists.reason.owes_invoices", owed=money_words(owed), invoices=owed / usual)
    return say("lists.reason.owes", owed=money_words(owed))


def quiet_words(margin: float) -> Said:
    """Why nothing is done about a client that leaves this margin a month; NaN: not known."""
    if math.isnan(margin):
        return say("lists.reason.unknown_cost", quiet=QUIET)
    return say("lists.reason.earns", margin=money_words(margin), quiet=QUIET)


def waiting_words(risk: float, capacity: int) -> Said:
    """Why a client at high risk is on no list: so many others, whom the team has time for, have
    more at stake.
    """
    return say("lists.reason.waiting", risk=risk, n=capacity)
