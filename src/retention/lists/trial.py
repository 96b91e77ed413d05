"""Who waits in a trial: a list of clients to be left alone until a day."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from retention.lists.shape import day_words, listed
from retention.words import say

if TYPE_CHECKING:
    from retention.lists.desk import Desk


def waiting(desk: Desk) -> pd.DataFrame:
    """Clients drawn to wait, until the last day of their trial (METHODS 12): whoever acts on one of
    them spoils what the trial would show.
    """
    waits = desk.book.waiting
    rows = pd.DataFrame(
        {
            "client_id": waits.index.astype(object),
            "reason": [
                say("lists.reason.waits", trial=trial, day=day_words(until))
                for trial, until in zip(waits["trial"], waits["until"], strict=True)
            ],
            "evidence": [say("lists.evidence.drawn", list=_list(name)) for name in waits["list"]],
            "act_by": pd.NaT,  # nothing is due, not even on the day on which the trial ends
        }
    )
    return listed(desk.book, rows)


def _list(name: str) -> str:
    return say(f"lists.action.{name}")
