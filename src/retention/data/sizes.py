"""Amounts of an unknown export that look like a size at signing and are none: today's, in cents, or
not by the month.
"""

import re

import pandas as pd

from retention.data.cells import texts
from retention.data.guesses import Draft, Sheet, spaced, typed
from retention.data.leavers import FEW_WORDS, has_left
from retention.data.words import WORDS, sentence

CENTS = 20_000  # (ours) whole hundreds of which half are above this may be cents
MOST = 0.8  # (ours) share of those who left that has nothing, where an amount is today's
FEW = 3  # (ours) fewer clients tell nothing
_WORDS = WORDS["exports"]


def refuse_size(sheet: Sheet, out: Draft) -> None:
    """Take no amount for the size at signing that is today's (0 of those who left), may be in
    cents, or is of another period than a month.
    """
    heading = sheet.taken("monthly_ad_spend")
    if not heading:
        return
    if why := _no_size(sheet, heading):
        sheet.drop("monthly_ad_spend", why)
        out.refused.append(sheet.refused[-1])


def _no_size(sheet: Sheet, heading: str) -> str:
    amounts = typed(sheet.rows, heading, "monthly_ad_spend")
    left = has_left(sheet)
    if left is not None and (zero := _todays(amounts, left)):
        return sentence("todays amount", zero=zero, left=int(left.sum()))
    paid = amounts[amounts > 0]
    hundreds = len(paid) >= FEW and paid.mod(100).eq(0).all()
    if "cent" in spaced(heading) or (hundreds and paid.median() >= CENTS):
        return sentence("cents", median=f"{paid.median():,.0f}")
    return _periods(sheet)


def _todays(amounts: pd.Series, left: pd.Series) -> int:
    """How many who left have nothing, where that is most of them and few of the others."""
    nothing = amounts.eq(0)
    gone = nothing[left]
    if len(gone) < FEW or gone.mean() < MOST or nothing[~left].mean() > 1 - MOST:
        return 0
    return int(gone.sum())


def _periods(sheet: Sheet) -> str:
    """That a column beside the amounts says that they are for different periods."""
    for heading in sheet.rows:
        words = set(texts(sheet.rows[heading]).str.casefold()) - {""}
        if 1 < len(words) <= FEW_WORDS and re.search(_WORDS["period"], spaced(heading)):
            return sentence("two periods", theirs=heading, words=", ".join(sorted(words)))
    return ""
