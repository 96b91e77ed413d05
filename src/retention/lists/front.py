"""What stands in front of the portfolio page: who costs money, and what to do about it."""

import pandas as pd

from retention.answers import Answer
from retention.lists.views import for_costly
from retention.numbers import quantity
from retention.portfolio.book import Book
from retention.words import say


def answer(table: pd.DataFrame, book: Book, currency: str = "") -> Answer:
    """How many clients cost more than they pay, of how many whose margin is known, what that costs,
    and the actions for them (D3); `table` as from `decision.decide`.
    """
    active, known = len(book.rows), len(book.monthly)
    if not known:
        title = say("lists.front.unknown", active=active)
        return Answer("D3", title, say("lists.front.needs"), _do(table, book))
    under = book.monthly[book.monthly["margin"] < 0]
    title = say("lists.front.title", known=known, costly=len(under))
    lost = -float(under["margin"].sum())
    amount = quantity(lost, "money")
    money = f"{amount} {currency}".strip()
    about = {"money": money, "active": active}
    evidence = say("lists.front.evidence_all", **about)
    if known < active:
        evidence = say("lists.front.evidence", unknown=active - known, **about)
    return Answer("D3", title, evidence, _do(table, book))


def _do(table: pd.DataFrame, book: Book) -> str:
    acts, day = for_costly(table, book)
    return say("lists.front.do", actions=", ".join(acts), day=day) if acts else ""
