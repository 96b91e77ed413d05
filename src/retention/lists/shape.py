"""The one shape of all lists, and how its days and money are written."""

from __future__ import annotations

import pandas as pd

from retention.numbers import day_words as day_words
from retention.numbers import quantity
from retention.portfolio.book import Book
from retention.portfolio.evidence import people
from retention.words import Said, say

COLUMNS = ["client_id", "reason", "evidence", "owner", "act_by"]
SHORT = "short"  # the reason in a few words; a list without has its reason
WEEK, FORTNIGHT, MONTH = 7, 14, 30  # (ours) days in which a list asks somebody to act


def money_words(value: float) -> str:
    """An amount of money as readers see it, without its currency."""
    return quantity(value, "money")


def in_currency(caption: Said, currency: str) -> Said:
    """A caption that says in which currency the money of its table is, where that is known."""
    if not currency:
        return caption
    return Said(say("lists.table.in_currency", caption=caption, currency=currency), caption.key)


def listed(book: Book, rows: pd.DataFrame, noticed: bool = False) -> pd.DataFrame:
    """A list of active clients, those under notice only if `noticed`, with their reps as owners.

    `rows`: `client_id`, `reason`, `evidence`, `act_by`, and whatever a list needs beside them.
    """
    owner = rows["client_id"].map(book.owner_words).fillna("")
    here = book.rows.loc[book.rows["noticed"].eq(noticed), "client_id"]
    kept = rows.assign(owner=owner)[rows["client_id"].isin(here).to_numpy()]
    return kept.reset_index(drop=True)


def with_owner_names(rows: pd.DataFrame, book: Book) -> pd.DataFrame:
    """A list whose owners are ids, with their names; where nobody is, what the book says of it."""
    owner = people(rows["owner"], book.known)
    words = rows["client_id"].map(book.owner_words).fillna("")
    return rows.assign(owner=owner.mask(owner == "", words))


def joined(*lists: pd.DataFrame) -> pd.DataFrame:
    """The lists one under the other; an empty one has no types to bring in."""
    return pd.concat([rows for rows in lists if len(rows)] or lists[:1], ignore_index=True)
