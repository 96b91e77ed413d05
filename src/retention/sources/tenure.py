"""Exports that give an age and a flag in place of dates: what they mean, and what they must hold.

METHODS 0: the age counts back from the first of a month (days divided by 30.4 would shift the curve), so only whole
months before the month of the snapshot are observed, whatever day the snapshot was taken on.
"""

import datetime as dt
from collections.abc import Iterable

import pandas as pd

from retention.config import TableSettings
from retention.errors import SHOWN, Fault
from retention.sources.parse import as_text, parse, texts
from retention.sources.words import fault, faults_in
from retention.tables import Column

LONGEST_TENURE = 1200  # months


def last_whole_month(snapshot: dt.date) -> dt.date:
    """The last day of the last month that was complete at the snapshot: the cut-off of such an export.

    >>> last_whole_month(dt.date(2020, 1, 15)), last_whole_month(dt.date(2020, 1, 31))
    (datetime.date(2019, 12, 31), datetime.date(2020, 1, 31))
    """
    return (snapshot + dt.timedelta(days=1)).replace(day=1) - dt.timedelta(days=1)


class Tenure:
    """The ages and the flag of one table, and what the day of the snapshot makes of them."""

    def __init__(self, table: str, how: TableSettings) -> None:
        assert how.ended is not None and how.snapshot_date is not None  # see `given`
        self.table, self.ages, self.flag = table, how.tenure_months, how.ended.column
        self.true, self.yes = how.ended.true, as_text(how.ended.true).strip().casefold()
        self.last = pd.Timestamp(last_whole_month(how.snapshot_date))
        self.heard: set[str] = set()

    @staticmethod
    def given(how: TableSettings, headings: Iterable[str]) -> bool:
        """Whether the settings say all that is needed, and the file has it."""
        return bool(how.snapshot_date and how.ended and {how.tenure_months, how.ended.column} <= set(headings))

    def words(self, raw: pd.DataFrame) -> pd.Series:
        """The flag's cells, capitals left aside."""
        return texts(raw[self.flag]).str.casefold()

    def flag_faults(self) -> list[Fault]:
        """A fault where the words `heard` in the whole table are not the one that means yes and one other."""
        others = sorted(self.heard - {self.yes, ""})
        if len(others) <= 1 and self.yes in self.heard:
            return []
        return [fault(self.table, "ended", "words", seen=map(repr, others[:SHOWN]), yes=self.true, theirs=self.flag)]

    def dated(self, raw: pd.DataFrame, ids: pd.Series) -> tuple[pd.DataFrame, list[Fault]]:
        """The rows with start_date and end_date counted back; and faults for ages that are no whole months, which get
        no dates, and for blank flags.

        Who has an age of 0 started on the last day, and is not yet followed for a month.
        """
        ages, words = parse(raw[self.ages], Column("tenure_months", "integer", "", "")).values, self.words(raw)
        fits = ages.between(0, LONGEST_TENURE).fillna(False).astype(bool)
        first = (self.last + pd.Timedelta(days=1)).to_period("M").ordinal - ages.where(fits, 0).astype(int)
        start = pd.Series(pd.PeriodIndex.from_ordinals(first, freq="M").to_timestamp(), raw.index).clip(upper=self.last)
        end = pd.Series(self.last, raw.index).where(words == self.yes)
        odd = map(repr, texts(raw.loc[~fits, self.ages]).unique()[:SHOWN])
        told = {"theirs": self.ages, "longest": LONGEST_TENURE}
        faults = faults_in(self.table, "tenure_months", "age", ~fits, ids, odd, **told)
        faults += faults_in(self.table, "ended", "blank", words == "", ids, theirs=self.flag)
        return raw.assign(start_date=start.where(fits), end_date=end), faults
