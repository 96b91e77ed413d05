"""Exports that give an age and a flag in place of dates: what they mean, and what they must hold.

METHODS 0: the age counts back from the first of a month (days divided by 30.4 would shift the curve), so only whole
months before the month of the snapshot are observed, whatever day the snapshot was taken on.
"""

from __future__ import annotations

import datetime as dt

import pandas as pd

from retention.config import TableSettings
from retention.errors import SHOWN, Fault
from retention.sources.parse import as_text, parse, texts
from retention.tables import Column, Table

LONGEST_TENURE = 1200  # months


def last_whole_month(snapshot: dt.date) -> dt.date:
    """The last day of the last month that was complete at the snapshot: the cut-off of such an export.

    >>> last_whole_month(dt.date(2020, 1, 15)), last_whole_month(dt.date(2020, 1, 31))
    (datetime.date(2019, 12, 31), datetime.date(2020, 1, 31))
    """
    return (snapshot + dt.timedelta(days=1)).replace(day=1) - dt.timedelta(days=1)


def from_tenure(frame: pd.DataFrame, how: TableSettings) -> pd.DataFrame:
    """The table with start_date and end_date counted back; bad ages give blanks, which `tenure_faults` has told.

    Who has an age of 0 started on the last day, and is not yet followed for a month.
    """
    assert how.ended is not None and how.snapshot_date is not None  # the mapping was checked before
    last = pd.Timestamp(last_whole_month(how.snapshot_date))
    months, wrong = _months(frame, how)
    first = (last + pd.Timedelta(days=1)).to_period("M").ordinal - months
    start = pd.Series(pd.PeriodIndex.from_ordinals(first, freq="M").to_timestamp(), frame.index).clip(upper=last)
    end = pd.Series(last, frame.index).where(_words(frame, how) == _yes(how))
    dates = {"start_date": start.mask(wrong), "end_date": end}
    return frame.assign(**{name: date.dt.strftime("%Y-%m-%d").astype("string") for name, date in dates.items()})


def tenure_faults(table: Table, how: TableSettings, raw: pd.DataFrame) -> list[Fault]:
    """Ages that are not whole months, and flags that are blank."""
    if how.ended is None or how.tenure_months not in raw or how.ended.column not in raw:
        return []
    _, wrong = _months(raw, how)
    problem = f"is not a whole number of months from 0 to {LONGEST_TENURE} in the column {how.tenure_months!r}"
    ids = texts(raw[how.columns.get(table.columns[0].name, table.columns[0].name)])
    seen = tuple(repr(word) for word in texts(raw.loc[wrong, how.tenure_months]).unique()[:SHOWN])
    ages = _fault(table, ids, "tenure_months", wrong, problem, "Give each client's age in whole months.", seen)
    blank = _words(raw, how) == ""
    problem = f"is empty in the column {how.ended.column!r}"
    return ages + _fault(table, ids, "ended", blank, problem, "Say for each client whether it has left.")


def flag_faults(table: Table, how: TableSettings, words: set[str]) -> list[Fault]:
    """A fault where the flag's words, of the whole table, are not the one that means yes and one other."""
    assert how.ended is not None
    others = sorted(words - {_yes(how), ""})
    if len(others) <= 1 and _yes(how) in words:
        return []
    yes = how.ended.true
    problem = f"should hold {yes!r} and one other word in the column {how.ended.column!r}"
    seen = tuple(repr(word) for word in others[:SHOWN])
    return [Fault(table.name, "ended", problem, 0, (), "Correct the words, or the setting ended.true.", seen)]


def _months(raw: pd.DataFrame, how: TableSettings) -> tuple[pd.Series, pd.Series]:
    """Whole months of age (0 where they cannot be read), and a mask of those that cannot."""
    values = parse(raw[how.tenure_months], Column("tenure_months", "integer", "", "")).values
    wrong = (values.isna() | (values < 0) | (values > LONGEST_TENURE)).fillna(True).astype(bool)
    return values.mask(wrong, 0).astype(int), wrong


def _words(raw: pd.DataFrame, how: TableSettings) -> pd.Series:
    assert how.ended is not None
    return texts(raw[how.ended.column]).str.casefold()


def _yes(how: TableSettings) -> str:
    assert how.ended is not None
    return as_text(how.ended.true).strip().casefold()


def _fault(
    table: Table, ids: pd.Series, column: str, bad: pd.Series, problem: str, remedy: str, seen: tuple[str, ...] = ()
) -> list[Fault]:
    return [Fault(table.name, column, problem, int(bad.sum()), tuple(ids[bad][:SHOWN]), remedy, seen)] * bool(bad.any())
