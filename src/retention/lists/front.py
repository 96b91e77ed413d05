"""What stands in front of the portfolio page: who costs money, and what to do about it."""

import pandas as pd

from retention.answers import Answer
from retention.lists.registry import action_words
from retention.lists.shape import day_words
from retention.lists.views import COSTLY
from retention.numbers import quantity
from retention.portfolio.book import Book
from retention.words import say


def answer(table: pd.DataFrame, book: Book, currency: str = "") -> Answer:
    """How many active clients cost more than they pay, what that costs, and the actions for them
    (D3); `table` as from `decision.decide`.
    """
    active = len(book.rows)
    if book.monthly.empty:
        title = say("lists.front.unknown", active=active)
        return Answer("D3", title, say("lists.front.needs"), _do(table))
    under = book.monthly[book.monthly["margin"] < 0]
    title = say("lists.front.title", active=active, costly=len(under))
    money = f"{quantity(-float(under['margin'].sum()), 'money')} {currency}".strip()
    evidence = say("lists.front.evidence", money=money, known=len(book.monthly))
    return Answer("D3", title, evidence, _do(table))


def _do(table: pd.DataFrame) -> str:
    """The actions for clients that cost money, with how many there are and the first day."""
    counts = table["action"].value_counts()
    named = [name for name in COSTLY if name in counts]
    if not named:
        return ""
    acts = [
        say("lists.owner.action", action=action_words(name), count=int(counts[name]))
        for name in named
    ]
    first = pd.to_datetime(table.loc[table["action"].isin(COSTLY), "act_by"]).min()
    return say("lists.front.do", actions=", ".join(acts), day=day_words(first))
