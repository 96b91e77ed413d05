"""Exports that give an age and a flag in place of dates: what they mean, and what they must hold.

METHODS 0: the age counts back from the first of a month (days divided by 30.4 would shift the
curve), so only whole months before the month of the snapshot are observed, whatever day the
snapshot was taken on.

Of who left, the age counts the months begun (1: left in the first month) or the months completed
(0: left in the first month). A leaver with an age of 0 shows that completed months are counted, for
nobody leaves before the first month.
"""

import datetime as dt
from collections.abc import Iterable

import numpy as np
import pandas as pd

from retention.data.cells import as_text, texts
from retention.data.parse import Evidence, parse
from retention.data.schema import Column
from retention.data.shape import MONTHS
from retention.data.words import fault, faults_in, sentence
from retention.errors import SHOWN, Fault
from retention.settings import TableSettings

LONGEST_TENURE = 1200  # months
ROUNDED = 0.07  # (ours) months by which years with two decimals fall short of a whole month


EXACT = 0.001  # (ours) months that decimals of weeks and days may lack


def last_whole_month(snapshot: dt.date) -> dt.date:
    """The last day of the last month that was complete at the snapshot: the cut-off of such an
    export.

    >>> last_whole_month(dt.date(2020, 1, 15)), last_whole_month(dt.date(2020, 1, 31))
    (datetime.date(2019, 12, 31), datetime.date(2020, 1, 31))
    """
    day_after = snapshot + dt.timedelta(days=1)
    first_of_month = day_after.replace(day=1)
    return first_of_month - dt.timedelta(days=1)


class Tenure:
    """The ages and the flag of one table, and what the day of the snapshot makes of them."""

    def __init__(self, table: str, how: TableSettings) -> None:
        assert how.ended is not None and how.snapshot_date is not None  # see `given`
        self.table = table
        self.ages = how.tenure_months
        self.flag = how.ended.column
        given = how.ended.true if isinstance(how.ended.true, list) else [how.ended.true]
        self.true = ", ".join(map(as_text, given))
        self.yes = {as_text(word).strip().casefold() for word in given}
        self.no = {word.strip().casefold() for word in how.ended.false}
        last_day = last_whole_month(how.snapshot_date)
        self.last = pd.Timestamp(last_day)
        self.heard: set[str] = set()
        self.counts = how.tenure_counts
        self.unit = how.tenure_unit
        self.parts = False  # whether ages are more than whole months
        self.left_at_once = self.just_started = 0

    @staticmethod
    def given(how: TableSettings, headings: Iterable[str]) -> bool:
        """Whether the settings say all that is needed, and the file has it."""
        return bool(
            how.snapshot_date
            and how.ended
            and {how.tenure_months, how.ended.column} <= set(headings)
        )

    def words(self, raw: pd.DataFrame) -> pd.Series:
        """The flag's cells, capitals left aside."""
        words = texts(raw[self.flag])
        return words.str.casefold()

    def look(self, raw: pd.DataFrame) -> None:
        """Take in the words of the flag, and who has an age of 0."""
        words = self.words(raw)
        ages = self.read_ages(raw)
        new = ages == 0
        self.parts |= bool(ages.mod(1).gt(0).any())
        self.heard |= set(words)
        gone_new = new & words.isin(self.yes)
        self.left_at_once += int(gone_new.sum())
        stays_new = new & ~words.isin(self.yes)
        self.just_started += int(stays_new.sum())

    def read_ages(self, raw: pd.DataFrame) -> pd.Series:
        """The ages as months, NaN where a cell is no number (no whole one, if no unit is said)."""
        column = Column("tenure_months", "number", "", "")
        evidence = Evidence()
        evidence.look(raw[self.ages], column)
        form = evidence.forms().get(column.name, "")
        values = parse(raw[self.ages], column, form).values
        ages = values.astype(float)
        if self.unit is None:
            return ages.where(ages % 1 == 0)
        return ages * MONTHS[self.unit]

    @property
    def completed(self) -> bool:
        """Whether the ages count completed months: as the settings say, else as the data show."""
        if self.counts:
            return self.counts == "completed"
        return self.parts or self.left_at_once > 0

    def notes(self) -> list[str]:
        """What an age of 0, and a flag that says yes of nobody, were taken to mean; empty where
        there is neither.
        """
        notes = []
        if not self.yes & self.heard:
            said = {
                "theirs": self.flag,
                "yes": self.true,
                "only": ", ".join(sorted(self.heard - {""})),
            }
            notes.append(sentence("nobody left", **said))
        if self.parts and self.counts is None:
            notes.append(sentence("tenure parts", theirs=self.ages, unit=self.unit))
        elif self.left_at_once and self.counts is None:
            text = sentence("tenure 0 left", theirs=self.ages, count=self.left_at_once)
            notes.append(text)
        if self.just_started:
            text_stays = sentence("tenure 0 stays", theirs=self.ages, count=self.just_started)
            notes.append(text_stays)
        return notes

    def flag_faults(self) -> list[Fault]:
        """A fault where the words `heard` in the whole table are neither those that mean yes, nor
        those that mean no (where none is named: one other).
        """
        others = sorted(self.heard - self.yes - self.no - {""})
        if len(others) <= (not self.no):
            return []
        return [
            fault(
                self.table,
                "ended",
                "words",
                seen=map(repr, others[:SHOWN]),
                yes=self.true,
                theirs=self.flag,
            )
        ]

    def dated(self, raw: pd.DataFrame, ids: pd.Series) -> tuple[pd.DataFrame, list[Fault]]:
        """The rows with start_date and end_date counted back; and faults for ages that are no whole
        months, which get no dates, and for blank flags.

        Who stays and has an age of 0 started on the last day, and is not yet followed for a month.
        Who left with an age of t left in month t of service, or in month t + 1 where the ages count
        completed months.
        """
        ages = self.read_ages(raw)
        words = self.words(raw)
        left = words.isin(self.yes).astype(bool)
        fits = ages.between(0, LONGEST_TENURE)
        given_months = ages.where(fits, 0)
        short = ROUNDED if self.unit == "years" else EXACT
        whole = np.floor(given_months + short)
        months = whole + (left & self.completed)
        at_least = months.clip(lower=left.astype(int))
        months = at_least.astype(int)
        next_day = self.last + pd.Timedelta(days=1)
        first = next_day.to_period("M").ordinal - months
        first_days = pd.PeriodIndex.from_ordinals(first, freq="M")
        start = pd.Series(first_days.to_timestamp(), raw.index)
        start = start.clip(upper=self.last)
        last_day = pd.Series(self.last, raw.index)
        end = last_day.where(left)
        odd_ages = texts(raw.loc[~fits, self.ages])
        odd = map(repr, odd_ages.unique()[:SHOWN])
        said = {"theirs": self.ages, "longest": LONGEST_TENURE}
        faults = faults_in(self.table, "tenure_months", "age", ~fits, ids, odd, **said)
        faults += faults_in(self.table, "ended", "blank", words == "", ids, theirs=self.flag)
        start_known = start.where(fits)
        return raw.assign(start_date=start_known, end_date=end), faults
