"""What stands in front of the churn risk page: what is at stake with whom, and the figures for the
index.
"""

from dataclasses import dataclass

import pandas as pd

from retention.answers import Answer, Tile, Tiles
from retention.numbers import quantity
from retention.score.validation import Judgement
from retention.words import Said, say

FIRST = 10  # (ours) clients with most at stake that are counted


@dataclass(frozen=True)
class Stake:
    """How what is at stake is counted: the chance of leaving in `months`, times the margin (or the
    fees) of `worth_months`, in a currency.
    """

    months: int
    worth_months: int
    currency: str = ""
    margins: bool = True

    @property
    def worth(self) -> Said:
        """What the chance is multiplied by, in words."""
        return say(f"tiles.worth.{'margin' if self.margins else 'fees'}", months=self.worth_months)

    def money(self, top: pd.DataFrame) -> str:
        """What is at stake with these clients, in words."""
        total = float(top["at_stake"].sum())
        amount = quantity(total, "money")
        return f"{amount} {self.currency}".strip()


def most(table: pd.DataFrame) -> pd.DataFrame:
    """The clients with most at stake; `table` as from `scores.scores`."""
    if table.empty:
        return table
    any_ = table["at_stake"] > 0
    positive = table[any_]
    return positive.head(FIRST)


def answer(found: Judgement, table: pd.DataFrame, stake: Stake) -> Answer:
    """What is at stake with how many clients; where nothing can be scored, why."""
    said = found.answer().text
    top = most(table)
    if top.empty:
        key = getattr(said, "key", "")
        title = Said(said, key)
        return Answer("risk", title)
    of = {"money": stake.money(top), "worth": stake.worth, "months": stake.months}
    title = say("churn_risk.front.title", n=len(top), **of)
    return Answer("risk", title, said, say("churn_risk.front.do"))


def tiles(table: pd.DataFrame, stake: Stake) -> Tiles:
    """What is at stake with the clients who have most, and how many of all are predicted to leave;
    nothing without scores.
    """
    if table.empty:
        return Tiles(())
    leaving = Tile("leaving", float(table["risk"].sum()), "count", "", good=-1)
    top = most(table)
    if top.empty:
        return Tiles((leaving,))
    about = say("tiles.about.stake", n=len(top), months=stake.months, worth=stake.worth)
    if stake.currency:
        about = say("tiles.about.in", currency=stake.currency, about=about)
    name = "margin_at_risk" if stake.margins else "fees_at_risk"
    at_stake = Tile(name, float(top["at_stake"].sum()), "money", about, good=-1)
    return Tiles((at_stake, leaving))


def caption(stake: Stake) -> str:
    """The caption of `scores.monday`, with the currency where it is known."""
    words = say("churn_risk.list.caption", months=stake.months, worth=stake.worth)
    if stake.currency:
        return say("churn_risk.list.caption_in", caption=words, currency=stake.currency)
    return words
