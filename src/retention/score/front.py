"""What stands in front of the churn risk page: whom to contact first, and the figures for the
index.
"""

import pandas as pd

from retention.answers import Answer, Tile, Tiles
from retention.numbers import quantity
from retention.score.validation import Judgement
from retention.words import Said, say

FIRST = 10  # (ours) clients that are named first


def first(table: pd.DataFrame) -> pd.DataFrame:
    """The clients to contact first: those with most at stake; `table` as from `scores.scores`."""
    if table.empty:
        return table
    return table[table["at_stake"] > 0].head(FIRST)


def answer(found: Judgement, table: pd.DataFrame, months: int, currency: str = "") -> Answer:
    """How many clients to contact first and what is at stake with them in so many months; where
    nothing can be scored, why.
    """
    said = found.answer().text
    top = first(table)
    if top.empty:
        return Answer("risk", Said(said, getattr(said, "key", "")))
    money = f"{quantity(float(top['at_stake'].sum()), 'money')} {currency}".strip()
    title = say("churn_risk.front.title", n=len(top), money=money, months=months)
    return Answer("risk", title, said, say("churn_risk.front.do"))


def tiles(table: pd.DataFrame, months: int, currency: str = "", margins: bool = True) -> Tiles:
    """What is at stake with the clients to contact first, in the margin of so many months (in fees
    where no `margins` are known), and how many of all are predicted to leave; nothing without
    scores.
    """
    if table.empty:
        return Tiles(())
    leaving = Tile("leaving", float(table["risk"].sum()), "count", "", good=-1)
    top = first(table)
    if top.empty:
        return Tiles((leaving,))
    of = {"months": months, "n": len(top)}
    about = say("tiles.about.worth", **of)
    if currency:
        about = say("tiles.about.worth_in", currency=currency, **of)
    name = "margin_at_risk" if margins else "fees_at_risk"
    stake = Tile(name, float(top["at_stake"].sum()), "money", about, good=-1)
    return Tiles((stake, leaving))
