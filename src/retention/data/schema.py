"""The input tables, declared once in schema.toml: what each column holds, its unit, when it is
known, what it unlocks.

Everything that reads, checks, documents or joins the data asks this module and nothing else.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd

BEGINS = ("month", "from_date")  # the day from which a row holds, in the tables that have one
SIGNING = "signing"
OPEN_ENDS = {"end_date", "answered_on", "to_date"}  # required, but blank has a meaning there
TEXTS = ("id", "text", "category")  # kinds of column that hold text


@dataclass(frozen=True)
class Column:
    """One column: its name, kind (id, text, category, date, month, integer, term, number, flag),
    and what it means; `also` are other headings that exports give it.

    `known` is "signing", or the date column of the same row from which the value may be used. `low`
    and `high` are inclusive bounds in `unit`; `choices` is a closed vocabulary.
    """

    name: str
    kind: str
    known: str
    unlocks: str
    unit: str = ""
    required: bool = False
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    also: tuple[str, ...] = ()

    @property
    def may_be_blank(self) -> bool:
        """Whether a row without a value here can be used."""
        return not self.required or self.name in OPEN_ENDS


@dataclass(frozen=True)
class Table:
    """One table: what a row is, the columns that make a row unique, and what having the table
    answers.

    Several rows of one key are a fault (`again` says the way out), unless they are kept `apart`, or
    the columns of `add_up` are summed: then `must_agree` may not differ, and where `newest_by`
    differs or `alike_is_doubtful` holds it is asked whether they are parts or versions.
    `worst_last`: of one key the lowest of these comes last.
    """

    name: str
    row: str
    key: tuple[str, ...]
    unlocks: str
    columns: tuple[Column, ...]
    apart: bool = False
    add_up: tuple[str, ...] = ()
    must_agree: tuple[str, ...] = ()
    newest_by: str = ""
    alike_is_doubtful: bool = False
    worst_last: tuple[str, ...] = ()
    again: str = ""

    def column(self, name: str) -> Column:
        """The declaration of one column; KeyError where the table has none of that name.

        >>> TABLES["clients"].column("end_date").known
        'recorded_date'
        """
        by_name = {column.name: column for column in self.columns}
        return by_name[name]

    @property
    def required(self) -> tuple[str, ...]:
        """Names of the columns without which the table cannot be read."""
        return tuple(column.name for column in self.columns if column.required)


def _table(name: str, about: dict[str, Any]) -> Table:
    lists = ("choices", "also")
    columns = tuple(
        Column(**{**column, **{k: tuple(column.get(k, ())) for k in lists}})
        for column in about["columns"]
    )
    plain: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in about.items()
    }
    plain["columns"] = columns
    return Table(name, **plain)


_DECLARED = tomllib.loads(files("retention.data").joinpath("schema.toml").read_text("utf-8"))
TABLES = {name: _table(name, about) for name, about in _DECLARED.items()}


def as_of(name: str, rows: pd.DataFrame, last: pd.Timestamp) -> pd.DataFrame:
    """The rows of a table that were on record on this day, with blanks where a value became known
    later: the one rule by which a table is read as it stood.

    A row by what is declared of its first column (with no date of record it was there), a value by
    its own: one whose day is blank has not become known. What begins later (`BEGINS`) was no row
    yet, whenever it was written down.
    """
    table = TABLES[name]
    days = {
        column.name: column.known
        for column in table.columns
        if {column.name, column.known} <= {*rows.columns}
    }
    first = table.columns[0].known
    for day in (first, *BEGINS):
        if day in rows:
            begins = pd.to_datetime(rows[day])  # months of the sample are texts
            rows = rows[~(begins > last)]
    later = {column: day for column, day in days.items() if day != first}
    return rows.assign(
        **{column: rows[column].where(rows[day] <= last) for column, day in later.items()}
    )


def columns_of(frames: Mapping[str, pd.DataFrame], name: str, *columns: str) -> pd.DataFrame:
    """These columns of a table, blank where it has none, days as days; no rows where there is no
    such table.
    """
    have = frames.get(name, pd.DataFrame())
    rows = have.reindex(columns=list(columns))
    blank = [
        column
        for column in columns
        if column not in have and TABLES[name].column(column).kind in TEXTS
    ]
    as_text = dict.fromkeys(blank, "string")
    rows = rows.astype(as_text)  # text stays text where there is none: it is merged on
    days = [
        column.name
        for column in TABLES[name].columns
        if column.kind in ("date", "month") and column.name in rows
    ]
    dates = {day: pd.to_datetime(rows[day]) for day in days}
    return rows.assign(**dates)


def dictionary(tables: tuple[str, ...] = tuple(TABLES)) -> str:
    """The data dictionary of the named tables as Markdown, one section a table."""
    return "\n".join(_section(TABLES[name]) for name in tables)


def _section(table: Table) -> str:
    head = [f"## {table.name}", "", f"A row is {table.row}. Unlocks {table.unlocks}.", ""]
    rows = ["| column | kind | unit or values | known from | unlocks |", "|---|---|---|---|---|"]
    for column in table.columns:
        star = "*" if column.required else ""
        values = column.unit or ", ".join(column.choices)
        rows.append(
            f"| {column.name}{star} | {column.kind} | {values} | {column.known} | "
            f"{column.unlocks} |"
        )
    lines = [*head, *rows, ""]
    return "\n".join(lines)


FORMULA = r"(?s)^('*[=+\-@\t\r\uff0b\uff0d\uff1d\uff20])"  # in either width


def read_list(path: Path, numbers: Sequence[str] = ()) -> pd.DataFrame:
    """A table as `write_csv` wrote it, all text but for the columns of `numbers`, without its
    marks.
    """
    rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    rows = rows.apply(without_mark)
    as_numbers = {name: pd.to_numeric(rows[name]) for name in numbers if name in rows}
    return rows.assign(**as_numbers)


def without_mark(cells: pd.Series) -> pd.Series:
    """Texts without the leading ' that `as_csv` gives to what begins like a formula."""
    formula = FORMULA.removeprefix("(?s)^")
    plain = cells.astype(object)  # whose expressions know (?=
    return plain.str.replace(f"^'(?={formula})", "", regex=True)


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write a table to a file, as `as_csv` has it."""
    path.write_text(as_csv(frame), "utf-8", newline="\n")


def as_csv(frame: pd.DataFrame) -> str:
    """The table as CSV in which no cell is a formula to a spreadsheet: text that begins like one
    gets a leading '.

    `read_list` takes the mark off again.
    """
    words = {
        c: frame[c].astype("string")
        for c in frame
        if any(isinstance(cell, str) for cell in frame[c])
    }
    marked = {
        c: text.str.replace(FORMULA, r"'\1", regex=True).where(text.notna(), frame[c])
        for c, text in words.items()
    }
    made = frame.assign(**marked)
    written = made.to_csv(index=False, date_format="%Y-%m-%d", lineterminator="\n")
    return str(written)
