"""Files to tables: find each table's file, read it as text, rename, translate values, parse; collect every fault."""

from __future__ import annotations

import csv
import difflib
import hashlib
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from retention.config import Settings, TableSettings
from retention.errors import ConfigError, DataError, Fault
from retention.sources.check import check
from retention.sources.parse import Parsed, clean, date_order, parse
from retention.sources.tenure import from_tenure, tenure_faults
from retention.tables import SIGNING, TABLES, Column, Table

FILE_KINDS = (".csv", ".tsv", ".txt")
LONGEST_CELL = 10_000_000


@dataclass(frozen=True)
class Tables:
    """The checked tables by name, sha256 of each file they came from, and notes on what was left unread."""

    frames: dict[str, pd.DataFrame]
    hashes: dict[str, str]
    notes: tuple[str, ...] = field(default=())

    def get(self, name: str) -> pd.DataFrame | None:
        """The named table, or None where the source has none."""
        return self.frames.get(name)


@dataclass(frozen=True)
class _Read:
    """One table after reading: its typed frame (None where it is not a table at all) and the cells left unread."""

    faults: list[Fault]
    frame: pd.DataFrame | None = None
    unread: pd.DataFrame = field(default_factory=pd.DataFrame)
    notes: list[str] = field(default_factory=list)


def read(settings: Settings) -> Tables:
    """Every declared table that the source holds, typed and checked.

    DataError lists all faults of all tables at once; ConfigError where a setting names what is not there.
    """
    paths = _paths(settings)
    found = {name: path.read_bytes() for name, path in paths.items()}
    tables = {name: _table(TABLES[name], settings.table(name), data, paths[name].name) for name, data in found.items()}
    frames = {name: table.frame for name, table in tables.items() if table.frame is not None}
    faults = [fault for table in tables.values() for fault in table.faults]
    faults += check(frames, {name: table.unread for name, table in tables.items()})
    if faults:
        raise DataError(faults)
    notes = tuple(note for table in tables.values() for note in table.notes)
    return Tables(frames, {name: hashlib.sha256(data).hexdigest() for name, data in found.items()}, notes)


def _paths(settings: Settings) -> dict[str, Path]:
    if unknown := [name for name in settings.tables if name not in TABLES]:
        raise ConfigError(f"[tables] names unknown tables: {', '.join(unknown)}. Known: {', '.join(TABLES)}.")
    folder = settings.base / settings.source.folder
    named = {name: folder / table.file for name, table in settings.tables.items() if table.file}
    if settings.source.file:
        named["clients"] = settings.base / settings.source.file
    else:
        found = {name: folder / f"{name}.csv" for name in TABLES if (folder / f"{name}.csv").is_file()}
        named = found | named
    if "clients" not in named:
        raise ConfigError(
            f"There is no clients.csv in {folder}. It is the one table that is needed: one row an engagement, with "
            f"{', '.join(TABLES['clients'].required)}. A file of another name is set in retention.toml, [source] file."
        )
    if absent := [str(path) for path in named.values() if not path.is_file()]:
        raise ConfigError(f"These files do not exist: {', '.join(absent)}.")
    if other := [path.name for path in named.values() if path.suffix.lower() not in FILE_KINDS]:
        raise ConfigError(f"Only delimited text is read so far (.csv, .tsv, .txt), not {', '.join(other)}.")
    return {name: named[name] for name in TABLES if name in named}


def _table(table: Table, how: TableSettings, data: bytes, file: str) -> _Read:
    raw, faults = _rows(table.name, how, data, file)
    if raw is None:
        return _Read(faults)
    raw = _our_spelling(table, how, raw)
    if faults := _mapping_faults(table, how, raw):
        return _Read(faults)
    faults = tenure_faults(table, how, raw)
    raw, used = _rename(how, raw)
    extra = [Column(name, x.kind, x.known, "your own") for name, x in how.extra.items()]
    columns = [column for column in (*table.columns, *extra) if column.name in raw]
    order = date_order(raw[c.name] for c in columns if c.kind in ("date", "month") and c.name not in how.formats)
    forms = {c.name: order for c in columns if c.kind in ("date", "month")} | how.formats
    parsed = {c.name: parse(_declared_spelling(c, raw[c.name]), c.kind, forms.get(c.name, "")) for c in columns}
    frame = pd.DataFrame({name: p.values for name, p in parsed.items()})
    unread = pd.DataFrame({name: clean(raw[name]).notna() & p.values.isna() for name, p in parsed.items()})
    if how.tenure_months:
        unread["start_date"] = frame["start_date"].isna()  # told as faults of the tenure
    unused = [name for name in raw.columns if name not in frame and name not in used]
    note = [f"{file}: columns not used: {', '.join(unused)}"] if unused else []
    return _Read([*faults, *_parse_faults(table, raw, parsed)], frame, unread, note)


class _NotATableError(Exception):
    """Why a file is no table: what is wrong, the way out, and the lines it is wrong on."""

    def __init__(self, problem: str, remedy: str, lines: Iterable[str] = ()) -> None:
        self.problem, self.remedy, self.lines = problem, remedy, tuple(lines)
        super().__init__(problem)


def _rows(table: str, how: TableSettings, data: bytes, file: str) -> tuple[pd.DataFrame | None, list[Fault]]:
    """The file as text, one string column for each heading; a fault for what is not a table."""
    try:
        head, lines = _cells(_text(data, table, how.encoding))
    except _NotATableError as no:
        return None, [Fault(table, "", f"{file} {no.problem}", len(no.lines), no.lines[:5], no.remedy)]
    return pd.DataFrame(lines, columns=head, dtype="string"), []


def _text(data: bytes, table: str, encoding: str) -> str:
    try:
        text = data.decode(encoding or ("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"))
    except (UnicodeError, LookupError, ValueError) as error:
        remedy = f'Save it as UTF-8, or set [tables.{table}] encoding = "cp1252".'
        raise _NotATableError(f"cannot be read as text ({error})", remedy) from None
    if "\0" in text:
        raise _NotATableError("is not a text file (it holds zero bytes)", "Export it again as CSV.")
    return text


def _cells(text: str) -> tuple[list[str], list[list[str]]]:
    """The headings, and the cells of each row; every row has as many as there are headings."""
    try:
        lines, numbers = _split(text)
    except csv.Error as error:
        remedy = 'Double each quote inside a value: 24 inch is 24"".'
        raise _NotATableError(f"has a stray or unclosed quote ({error})", remedy) from None
    if len(lines) < 2:
        raise _NotATableError("holds no rows", "Export it again with a heading line and at least one row.")
    head = [name.strip() for name in lines[0]]
    while head and not head[-1] and not any(line[len(head) - 1].strip() for line in lines if len(line) >= len(head)):
        head, lines = head[:-1], [line[: len(head) - 1] for line in lines]  # the empty columns of a trailing separator
    if twice := sorted({name for name in head if head.count(name) > 1 or not name}):
        named = ", ".join(name or "(no name)" for name in twice)
        raise _NotATableError(f"has columns without a name of their own: {named}", "Give each column one name.")
    placed = list(zip(lines, numbers, strict=True))
    if ragged := [f"line {n} has {len(line)}" for line, n in placed if len(line) != len(head)]:
        remedy = "Quote values that hold the separator, and start the file with its heading line."
        raise _NotATableError(f"has rows without {len(head)} values", remedy, ragged)
    if swallowed := [f"line {n}" for line, n in placed if any(_holds_rows(value, len(head)) for value in line)]:
        remedy = "A quote is missing or stray; mend it."
        raise _NotATableError("has a quoted value that holds whole rows", remedy, swallowed)
    return head, lines[1:]


def _split(text: str) -> tuple[list[list[str]], list[int]]:
    """The cells of each line that is not empty, and the line of the file it begins on; csv.Error for stray quotes."""
    told = re.match(r"sep=(.)\r?\n", text)
    first = text.split("\n", 2)[1 if told else 0]
    separator = told[1] if told else max(",;\t|", key=first.count)
    csv.field_size_limit(LONGEST_CELL)
    reader = csv.reader(io.StringIO(text[told.end() :] if told else text, newline=""), delimiter=separator, strict=True)
    lines, numbers, before = [], [], int(bool(told))
    for line in reader:
        if any(line):
            lines.append(line)
            numbers.append(before + 1)
        before = reader.line_num + bool(told)
    return lines, numbers


def _holds_rows(value: str, columns: int) -> bool:
    return "\n" in value and any(
        max(line.count(mark) for mark in ",;\t|") >= columns - 1 > 0 for line in value.split("\n")
    )


def _our_spelling(table: Table, how: TableSettings, raw: pd.DataFrame) -> pd.DataFrame:
    """Headings that are ours but for capitals and spaces ("Client ID") under our own spelling."""
    ours = {column.name for column in table.columns} - set(raw.columns) - set(how.columns)
    named = {name: re.sub(r"[\s-]+", "_", name.casefold()) for name in raw.columns if name not in how.columns.values()}
    taken = list(named.values())
    return raw.rename(columns={name: own for name, own in named.items() if own in ours and taken.count(own) == 1})


def _declared_spelling(column: Column, text: pd.Series) -> pd.Series:
    """Values of a closed vocabulary in its own spelling, whatever their capitals."""
    if not column.choices:
        return text
    spoken = text.str.strip().str.casefold()
    return spoken.where(spoken.isin(column.choices), text)


def _mapping_faults(table: Table, how: TableSettings, raw: pd.DataFrame) -> list[Fault]:
    """What the settings or the file lack: columns named but absent or unknown, required columns nobody supplies."""
    here = ", ".join(raw.columns)
    named = {**how.columns, **{name: name for name in how.extra}}
    named |= {"tenure_months": how.tenure_months} if how.tenure_months else {}
    named |= {"ended": how.ended.column} if how.ended else {}
    faults = [
        Fault(table.name, ours, f"is mapped to {theirs!r}, which the file does not have", 0, (), f"It has: {here}.")
        for ours, theirs in named.items()
        if theirs not in raw.columns
    ]
    known = {column.name for column in table.columns}
    remedy = f"Known columns: {', '.join(sorted(known | set(how.extra)))}."
    unknown = [*how.columns, *(name for name in (*how.values, *how.formats) if name not in how.extra)]
    faults += [
        Fault(table.name, name, "is not a column of this table (retention.toml)", 0, (), remedy)
        for name in dict.fromkeys(unknown)
        if name not in known
    ]
    faults += _extra_faults(table, how)
    given = {"start_date", "end_date"} if how.tenure_months else set()
    if how.tenure_months and not (how.ended and how.snapshot_date):
        needs = "Give [tables.clients] ended = {column = ..., true = ...} and snapshot_date as well."
        faults.append(Fault(table.name, "tenure_months", "needs to know who has left, and as of when", 0, (), needs))
    supplied = set(raw.columns) | set(how.columns) | given
    return faults + [_absent(table, name, raw) for name in table.required if name not in supplied]


def _extra_faults(table: Table, how: TableSettings) -> list[Fault]:
    dates = {column.name for column in table.columns if column.kind == "date"}
    dates |= {name for name, extra in how.extra.items() if extra.kind == "date"}
    taken = {column.name for column in table.columns} & set(how.extra)
    when = [name for name, extra in how.extra.items() if extra.known not in {SIGNING, *dates}]
    remedy = f'Say known = "signing", or the date column from which it may be used: {", ".join(sorted(dates))}.'
    again = "It is declared already; leave it out of extra, or give it another name."
    return [Fault(table.name, name, "is a column of this table", 0, (), again) for name in sorted(taken)] + [
        Fault(table.name, name, f"is known from {how.extra[name].known!r}, which is no date", 0, (), remedy)
        for name in when
    ]


def _absent(table: Table, name: str, raw: pd.DataFrame) -> Fault:
    near = difflib.get_close_matches(name, raw.columns, 1, 0.5)
    guess = f' Perhaps {name} = "{near[0]}"?' if near else ""
    remedy = f"Name the column that holds it under [tables.{table.name}.columns].{guess} The file has: "
    return Fault(table.name, name, "is required and missing", 0, (), remedy + ", ".join(raw.columns) + ".")


def _rename(how: TableSettings, raw: pd.DataFrame) -> tuple[pd.DataFrame, set[str]]:
    """The raw table under our names, values translated, with dates counted back where only a tenure is given."""
    frame = raw.assign(**{ours: raw[theirs] for ours, theirs in how.columns.items()})
    for column, values in how.values.items():
        if column in frame:
            spoken = {key.strip().casefold(): str(value) for key, value in values.items()}
            folded = frame[column].str.strip().str.casefold()
            frame[column] = folded.map(spoken).astype("string").fillna(frame[column])
    used = set(how.columns.values())
    if not how.tenure_months or how.ended is None:
        return frame, used
    return from_tenure(frame, how), used | {how.tenure_months, how.ended.column}


def _parse_faults(table: Table, raw: pd.DataFrame, parsed: Mapping[str, Parsed]) -> list[Fault]:
    """One fault for each column with text that could not be read, in the house style."""
    ids = raw[table.columns[0].name].str.strip().replace("", "(no id)").fillna("(no id)")
    return [
        Fault(
            table.name, name, p.problem, int(p.bad.sum()), tuple(ids[p.bad.to_numpy()][:5]),
            p.remedy.replace("<table>", table.name).replace("<column>", name),
        )
        for name, p in parsed.items()
        if p.bad.any()
    ]  # fmt: skip
