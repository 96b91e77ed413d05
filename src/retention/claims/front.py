"""What stands in front of the data page: how many clients, and the figures for the index."""

import datetime as dt
import math
from collections.abc import Callable

import pandas as pd

from retention.answers import Answer, Tile, Tiles
from retention.history import status
from retention.history.follow_up import follow_up
from retention.history.opportunities import renewals_known
from retention.history.spells import UNKNOWN
from retention.words import say

MONTHS = 24  # (ours) months of a tile's course
YEAR = 12
Count = Callable[[pd.Timestamp], float]


def answer(spells: pd.DataFrame, cutoff: dt.date) -> Answer:
    """How many clients came in, are active and ended; of how many ends the choice is unknown."""
    gone = spells["gone"]
    unknown = int((gone & spells["end_kind"].eq(UNKNOWN)).sum())
    title = say(
        "data.front.title",
        clients=spells["client_id"].nunique(),
        active=int(status.active(spells).sum()),
        ended=int(gone.sum()),
    )
    evidence = say(
        "data.front.evidence",
        months=int(follow_up(spells).months),
        cutoff=f"{cutoff:%d %B %Y}",
        unknown=unknown,
        ended=int(gone.sum()),
    )
    return Answer("data", title, evidence, say("data.front.do") if unknown else "")


def tiles(spells: pd.DataFrame, cutoff: dt.date, records_begin: dt.date | None) -> Tiles:
    """Clients active on the cut-off, and signed and lost in the year before it, with the course of
    each by month as far as the records go. Of a snapshot, which has no course, the active alone.
    """
    today = pd.Timestamp(cutoff)
    active = Tile("active", float(status.active(spells).sum()), "count", "")
    if spells.empty or not renewals_known(spells):
        return Tiles((active,))
    begin = pd.Timestamp(records_begin) if records_begin else spells["start_date"].min()
    gone = spells.loc[spells["gone"], "end_date"]
    new = spells.loc[spells["entry_months"] == 0, "start_date"]
    course = {
        "active": (lambda day: float(status.active_on(spells, day).sum()), 0),
        "signed": (lambda day: _in_year(new, day), YEAR),
        "ended": (lambda day: _in_year(gone, day), YEAR),
    }
    return Tiles(
        tuple(
            _tile(name, count, _days(today, begin, needs))
            for name, (count, needs) in course.items()
        )
    )


def _days(today: pd.Timestamp, begin: pd.Timestamp, needs: int) -> list[pd.Timestamp]:
    """The days of a course, a month apart, the last one today; each has `needs` months on record
    behind it.
    """
    first = begin + pd.DateOffset(months=needs)
    days = [today - pd.DateOffset(months=back) for back in range(MONTHS, -1, -1)]
    return [day for day in days if day >= first]


def _in_year(days: pd.Series, last: pd.Timestamp) -> float:
    """How many of these days lie in the year to the last."""
    return float(((days > last - pd.DateOffset(years=1)) & (days <= last)).sum())


def _tile(name: str, count: Count, days: list[pd.Timestamp]) -> Tile:
    """A count with its course; NaN, so that it is not shown, where no year is on record. Neither
    more nor less of it is called better: chance alone moves counts.
    """
    series = tuple(count(day) for day in days)
    value = series[-1] if series else math.nan
    before = series[-1 - YEAR] if len(series) > YEAR else math.nan
    return Tile(name, value, "count", "", before=before, series=series, good=0)
