"""Simple shaping that needs no SQL: which rows count, constants, units, periods, rows made one.

What retention.toml says under [tables.X]: `where`, `constant`, `scale`, `per`, `unit`, `group`, and
the formats that turn one kind of text into another.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from retention.data.cells import texts
from retention.data.schema import Column, Table
from retention.data.words import WORDS, fault, sentence
from retention.errors import SHOWN, Fault
from retention.settings import PerColumn, TableSettings

EPOCH = "epoch seconds"
H_MM = "h:mm"
TURNED = (EPOCH, H_MM)  # formats whose text is turned into that of days and hours
THOUSANDTHS = 1e11  # from here on a number of seconds is one of thousandths
CLOSE = 0.2  # (ours) how near to whole months a term in other units must be
MONTHS = {"days": 12 / 365.2425, "weeks": 12 * 7 / 365.2425, "months": 1.0, "years": 12.0}
_PERIODS = WORDS["periods"]
_MONTHS_IN = {word: int(months) for months, words in _PERIODS.items() for word in words}


@dataclass
class Shape:
    """How the rows of one table are shaped, and what was left out by `where` over the last whole
    reading.
    """

    table: Table
    how: TableSettings
    left: int = 0
    now: int = 0
    seen: dict[str, Counter[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        fitting = {way: _fitting(self.table, self.how, way) for way in ("scale", "per", "group")}
        self.how = self.how.model_copy(update=fitting)

    def begin(self) -> None:
        """The table is read from its first row on."""
        self.now = 0
        self.seen = {name: Counter() for name in self.how.where}

    def done(self) -> None:
        """The table was read to its last row."""
        self.left = self.now

    def in_months(self, raw: pd.DataFrame) -> pd.DataFrame:
        """The rows with terms in months, before words are mapped to them."""
        for name, unit in self.how.unit.items():
            theirs = self.how.columns.get(name, name)
            if theirs in raw:
                months = _months(raw[theirs], unit)
                raw = raw.assign(**{theirs: months})
        return raw

    def rows(self, raw: pd.DataFrame) -> pd.DataFrame:
        """The rows that count, with what is the same in all of them, in our formats."""
        for name, wanted in self.how.where.items():
            if name in raw:
                raw = self._where(raw, name, wanted)
        for name, value in self.how.constant.items():
            if name not in raw:
                cell = _as_cell(value)
                raw = raw.assign(**{name: cell})
        for name, form in self.how.formats.items():
            if name in raw and form in TURNED:
                turn = _days if form == EPOCH else _hours
                raw = raw.assign(**{name: turn(raw[name])})
        return raw

    def _where(self, raw: pd.DataFrame, name: str, wanted: str | list[str]) -> pd.DataFrame:
        words = texts(raw[name])
        cells = words.str.casefold()
        counts = cells.value_counts()
        self.seen[name].update(counts.to_dict())
        keep = cells.isin(_words(wanted))
        away = ~keep
        self.now += int(away.sum())
        return raw[keep].reset_index(drop=True)

    def unheard(self) -> list[Fault]:
        """Words of `where` that no row has: misspelt, they would leave out what is wanted."""
        faults = []
        for name, wanted in self.how.where.items():
            seen = self.seen.get(name, Counter())
            lost = [word for word in _words(wanted) if word not in seen]
            if not seen or not lost:
                continue
            common = [word for word, _ in seen.most_common(SHOWN)]
            there = ", ".join(map(repr, common))
            words = ", ".join(map(repr, lost))
            told = fault(self.table.name, name, "where", words=words, there=there)
            faults.append(told)
        return faults

    def amounts(self, name: str, values: pd.Series, raw: pd.DataFrame) -> pd.Series:
        """A column's numbers in our unit, a month's; where the period is none that is known,
        missing.
        """
        if name in self.how.scale:
            scaled = values * self.how.scale[name]
            values = scaled.round(10)
        if name in self.how.per and self._tells(name, raw):
            months = self.periods(name, raw)
            monthly = values / months
            values = monthly.round(10)
        return values

    def _tells(self, name: str, raw: pd.DataFrame) -> bool:
        """Whether the period of a column is said, or its column is there."""
        per = self.how.per[name]
        return isinstance(per, str) or per.column in raw

    def periods(self, name: str, raw: pd.DataFrame) -> pd.Series:
        """How many months each row's amount is for; missing where nobody can know."""
        per = self.how.per[name]
        if isinstance(per, str):
            return pd.Series(float(_MONTHS_IN[per]), raw.index)
        words = texts(raw[per.column])
        months = words.str.casefold().map(_MONTHS_IN)
        return months.astype(float)

    def period_faults(self, raw: pd.DataFrame, ids: pd.Series) -> Iterator[Fault]:
        """Faults for rows whose period is none that is known."""
        for name, per in self.how.per.items():
            if isinstance(per, str) or not {name, per.column} <= set(raw):
                continue
            bad = self.periods(name, raw).isna()
            count = int(bad.sum())
            if not count:
                continue
            words = texts(raw.loc[bad, per.column])
            seen = [repr(word) for word in words.unique()[:SHOWN]]
            own = ids[bad]
            yield fault(self.table.name, name, "period", count, own, seen, theirs=per.column)

    def notes(self) -> list[str]:
        """What was taken for granted in making the table, and what was left out, in sentences."""
        notes = [f"{self.table.name}: {text}" for text in self.how.assumes]
        if self.left:
            columns = ", ".join(self.how.where)
            left = sentence("where left", table=self.table.name, count=self.left, columns=columns)
            notes.append(left)
        return notes


def _words(wanted: str | list[str]) -> list[str]:
    words = [wanted] if isinstance(wanted, str) else wanted
    return [word.strip().casefold() for word in words]


def _as_cell(value: object) -> object:
    if isinstance(value, dt.date):
        return value.isoformat()
    return value


def _numbers(cells: pd.Series) -> pd.Series:
    words = texts(cells)
    plain = words.str.replace(",", ".", regex=False)
    numbers = pd.to_numeric(plain, errors="coerce")
    return numbers.astype(float)


def _months(cells: pd.Series, unit: str) -> pd.Series:
    """Numbers of days, weeks or years as whole months where they are nearly that; all else as it
    stands.
    """
    numbers = _numbers(cells)
    months = numbers * MONTHS[unit]
    whole = months.round()
    off = months - whole
    nearly = off.abs() <= CLOSE
    exact = whole.where(nearly, months.round(2))
    written = exact.map("{:g}".format, na_action="ignore")
    return written.where(months.notna(), cells.astype(object))


def _days(cells: pd.Series) -> pd.Series:
    """Seconds (or thousandths) since 1970 as days in UTC; all else as it stands."""
    plain = texts(cells)
    matches = plain.str.fullmatch(r"\d{8,13}(\.\d+)?")
    fits = matches.astype(bool)
    numbers = pd.to_numeric(plain.where(fits), errors="coerce")
    seconds = numbers.astype(float)
    seconds = seconds.where(seconds < THOUSANDTHS, seconds / 1000)
    moments = pd.to_datetime(seconds, unit="s")
    days = moments.dt.strftime("%Y-%m-%d")
    given = cells.astype(object)
    return given.where(~fits, days)


def _hours(cells: pd.Series) -> pd.Series:
    """Hours and minutes (1:30, 1:30:00) as hours; all else as it stands."""
    plain = texts(cells)
    parts = plain.str.extract(r"^(-?)(\d+):(\d{2})(?::(\d{2}))?$")
    numbers = parts[[1, 2, 3]].apply(pd.to_numeric).astype(float)
    seconds = numbers[3].fillna(0)
    hours = numbers[1] + numbers[2] / 60 + seconds / 3600
    signed = hours.where(parts[0] != "-", -hours)
    exact = signed.round(10)
    written = exact.map("{:.10g}".format, na_action="ignore")
    given = cells.astype(object)
    return given.where(hours.isna(), written)


def grouped(
    table: Table, frame: pd.DataFrame, how: TableSettings
) -> tuple[pd.DataFrame, list[Fault]]:
    """The typed rows with those of one key made one; faults where they differ in a column of which
    nothing is said.
    """
    named = [name for name in how.group if name in frame]
    key = [name for name in table.key if name in frame and name not in named]
    rest = [name for name in frame if name not in (*key, *named)]
    groups = frame.groupby(key, sort=False, dropna=False)
    differ = _differing(groups, rest)
    if differ:
        counts = groups[differ].transform("nunique", dropna=False)
        more = counts.gt(1)
        several = more.any(axis=1)
        of_rows = frame.loc[several, key[0]]
        ids = of_rows.drop_duplicates().astype(str)
        said = {"key": ", ".join(key), "names": ", ".join(differ)}
        count = int(several.sum())
        return frame, [fault(table.name, "", "group differs", count, ids, **said)]
    sizes = groups.size()
    made = groups[rest].first() if rest else sizes.to_frame("size")
    for name in named:
        column = table.column(name)
        made[name] = _one(column, groups[name], how.group[name])
    columns = list(frame)
    whole = made.reset_index()[columns]
    types = frame.dtypes.to_dict()
    return whole.astype(types), []


def _differing(groups: pd.api.typing.DataFrameGroupBy, names: list[str]) -> list[str]:
    """Which of these columns differ within a group."""
    if not names:
        return []
    different = groups[names].nunique(dropna=False).max()
    return [name for name in names if different[name] > 1]


def _one(column: Column, values: pd.api.typing.SeriesGroupBy, way: str) -> pd.Series:
    """One value a group: the sum, or the first or last (of days the earliest or latest; an open end
    is later than any).
    """
    if way == "sum":
        return values.sum(min_count=1)
    if column.kind not in ("date", "month"):
        return values.first() if way == "first" else values.last()
    if way == "first":
        return values.min()
    latest = values.max()
    filled = values.count() == values.size()
    if column.name != "end_date":
        return latest
    return latest.where(filled)


def last_paid_days(frame: pd.DataFrame) -> pd.DataFrame:
    """Clients whose end_date was the first day without service, with the last paid day in its
    place.
    """
    if not {"start_date", "end_date"} <= set(frame):
        return frame
    end = frame["end_date"]
    day_before = end - pd.Timedelta(days=1)
    last_paid = end.where(end <= frame["start_date"], day_before)
    return frame.assign(end_date=last_paid)


def shape_faults(table: Table, how: TableSettings, here: Sequence[str]) -> Iterator[Fault]:
    """Settings of shape that name what is not there, or do not fit the column's kind."""
    known = {column.name: column for column in table.columns}
    there = ", ".join(here)
    for name in how.where:
        if name not in (*here, *how.columns):
            yield fault(table.name, name, "where not here", here=there)
    for name in how.constant:
        if name in here or name in how.columns:
            yield fault(table.name, name, "constant twice")
    for way in ("constant", "scale", "per", "unit", "group"):
        said = getattr(how, way)
        for name, value in said.items():
            column = known.get(name)
            if column is None:
                names = ", ".join(known)
                yield fault(table.name, name, "shape column", way=way, known=names)
            elif not _fits(way, column, value):
                takes = SHAPES[way]
                yield fault(table.name, name, "shape kind", way=way, meant=column.kind, takes=takes)
    for name, per in how.per.items():
        if isinstance(per, PerColumn) and per.column not in here:
            yield fault(table.name, name, "not here", theirs=per.column, here=there)
    if how.group and not table.key:
        yield fault(table.name, "", "no group")


SHAPES = {
    "constant": "any column",
    "scale": "columns of amounts and numbers",
    "per": "columns of amounts and numbers",
    "unit": "terms",
    "group": "sum for columns of numbers, first and last for all",
}


def _fitting(table: Table, how: TableSettings, way: str) -> dict[str, Any]:
    """What is said of the columns that this shaping suits; the others are told as faults."""
    said = getattr(how, way)
    if way == "group" and not table.key:
        return {}
    kinds = {column.name: column for column in table.columns}
    fitting = {}
    for name, value in said.items():
        column = kinds.get(name)
        if column is not None and _fits(way, column, value):
            fitting[name] = value
    return fitting


def _fits(way: str, column: Column, value: object) -> bool:
    """Whether this shaping makes sense for a column of that kind."""
    if way in ("scale", "per"):
        return column.kind == "number"
    if way == "unit":
        return column.kind == "term"
    if way == "group":
        return value != "sum" or column.kind in ("number", "integer")
    return True
