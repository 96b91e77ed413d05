"""Files to tables: find each table's file, read it as text, rename, translate values, parse; collect every fault."""

from __future__ import annotations

import csv
import difflib
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from retention.config import Settings, TableSettings
from retention.errors import ConfigError, DataError, Fault
from retention.sources.check import check
from retention.sources.parse import BLANK, Parsed, parse
from retention.tables import TABLES, Column, Table

FILE_KINDS = (".csv", ".tsv", ".txt")


@dataclass(frozen=True)
class Tables:
    """The checked tables by name, sha256 of each file they came from, and notes on what was left unread."""

    frames: dict[str, pd.DataFrame]
    hashes: dict[str, str]
    notes: tuple[str, ...] = field(default=())

    def get(self, name: str) -> pd.DataFrame | None:
        """The named table, or None where the source has none."""
        return self.frames.get(name)


def read(settings: Settings) -> Tables:
    """Every declared table that the source holds, typed and checked.

    DataError lists all faults of all tables at once; ConfigError where a setting names what is not there.
    """
    paths = _paths(settings)
    frames, unreadable, faults, notes, hashes = {}, {}, [], [], {}
    for name, path in paths.items():
        data = path.read_bytes()
        hashes[name] = hashlib.sha256(data).hexdigest()
        found = _table(TABLES[name], settings.table(name), data, path.name)
        faults += found.faults
        notes += found.notes
        if found.frame is not None:
            frames[name], unreadable[name] = found.frame, found.unread
    faults += check(frames, unreadable)
    if faults:
        raise DataError(faults)
    return Tables(frames, hashes, tuple(notes))


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


@dataclass(frozen=True)
class _Read:
    """One table after reading: its typed frame (None where it is not a table at all) and the cells left unread."""

    faults: list[Fault]
    frame: pd.DataFrame | None = None
    unread: pd.DataFrame = field(default_factory=pd.DataFrame)
    notes: list[str] = field(default_factory=list)


def _table(table: Table, how: TableSettings, data: bytes, file: str) -> _Read:
    raw, faults = _rows(table.name, how, data, file)
    if raw is None or faults:
        return _Read(faults)
    if faults := _mapping_faults(table, how, raw):
        return _Read(faults)
    raw, used = _rename(table, how, raw)
    columns = [*table.columns, *(Column(name, x.kind, x.known, "your own") for name, x in how.extra.items())]
    parsed = {c.name: parse(raw[c.name], c.kind, how.formats.get(c.name, "")) for c in columns if c.name in raw}
    frame = pd.DataFrame({name: p.values for name, p in parsed.items()})
    unread = pd.DataFrame({name: p.bad for name, p in parsed.items()})
    unused = [name for name in raw.columns if name not in frame and name not in used]
    note = [f"{file}: columns not used: {', '.join(unused)}"] if unused else []
    faults = [*_flag_faults(table, how, raw), *_parse_faults(table, raw, parsed)]
    return _Read(faults, frame, unread, note)


def _rows(table: str, how: TableSettings, data: bytes, file: str) -> tuple[pd.DataFrame | None, list[Fault]]:
    """The file as text, one string column for each heading; faults for what is not a table."""

    def fault(problem: str, remedy: str, lines: tuple[str, ...] = ()) -> tuple[None, list[Fault]]:
        return None, [Fault(table, "", f"{file} {problem}", len(lines), lines[:5], remedy)]

    try:
        text = data.decode(how.encoding or ("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"))
    except (UnicodeDecodeError, LookupError):
        return fault(
            "is not in the expected encoding", f'Save it as UTF-8, or set [tables.{table}] encoding = "cp1252".'
        )
    if "\0" in text:
        return fault("is not a text file (it holds zero bytes)", "Export it again as CSV.")
    first = text.split("\n", 1)[0]
    separator = max(",;\t|", key=first.count)
    lines = [line for line in csv.reader(text.splitlines(keepends=True), delimiter=separator) if any(line)]
    if len(lines) < 2:
        return fault("holds no rows", "Export it again with a heading line and at least one row.")
    head = [name.strip() for name in lines[0]]
    if twice := sorted({name for name in head if head.count(name) > 1}):
        return fault(f"has two columns of the same name: {', '.join(twice)}", "Rename or remove one of them.")
    ragged = tuple(f"row {i}" for i, line in enumerate(lines[1:], 2) if len(line) != len(head))
    if ragged:
        return fault(f"has rows without {len(head)} values", "Quote values that hold the separator.", ragged)
    return pd.DataFrame(lines[1:], columns=head, dtype="string"), []


def _mapping_faults(table: Table, how: TableSettings, raw: pd.DataFrame) -> list[Fault]:
    """What the mapping or the file lacks: columns named but absent, and required columns nobody supplies."""
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
    faults += [
        Fault(table.name, ours, "is not a column of this table", 0, (), f"Known columns: {', '.join(sorted(known))}.")
        for ours in how.columns
        if ours not in known
    ]
    given = {"start_date", "end_date"} if how.tenure_months else set()
    if how.tenure_months and not (how.ended and how.snapshot_date):
        remedy = "Give [tables.clients] ended = {column = ..., true = ...} and snapshot_date as well."
        faults.append(Fault(table.name, "tenure_months", "needs to know who has left, and as of when", 0, (), remedy))
    supplied = set(raw.columns) | set(how.columns) | given
    return faults + [_absent(table, name, raw) for name in table.required if name not in supplied]


def _absent(table: Table, name: str, raw: pd.DataFrame) -> Fault:
    near = difflib.get_close_matches(name, raw.columns, 1, 0.5)
    guess = f' Perhaps {name} = "{near[0]}"?' if near else ""
    remedy = f"Name the column that holds it under [tables.{table.name}.columns].{guess} The file has: "
    return Fault(table.name, name, "is required and missing", 0, (), remedy + ", ".join(raw.columns) + ".")


def _rename(table: Table, how: TableSettings, raw: pd.DataFrame) -> tuple[pd.DataFrame, set[str]]:
    """The raw table under our names, values translated, with dates counted back where only a tenure is given."""
    frame = raw.assign(**{ours: raw[theirs] for ours, theirs in how.columns.items()})
    for column, values in how.values.items():
        if column in frame:
            spoken = {key.strip().casefold(): str(value) for key, value in values.items()}
            folded = frame[column].str.strip().str.casefold()
            frame[column] = folded.map(spoken).astype("string").fillna(frame[column])
    used = {theirs for ours, theirs in how.columns.items()}
    if not how.tenure_months:
        return frame, used
    return _from_tenure(frame, how), used | {how.tenure_months, how.ended.column if how.ended else ""}


def _from_tenure(frame: pd.DataFrame, how: TableSettings) -> pd.DataFrame:
    """Start and end dates from whole months of tenure and a flag, counted back from the first of a month.

    METHODS 0: days divided by 30.4 would shift the curve. A tenure of 0 starts on the snapshot day itself.
    """
    assert how.ended is not None and how.snapshot_date is not None  # _mapping_faults has asked for both
    snapshot = pd.Timestamp(how.snapshot_date)
    anchor = (snapshot + pd.Timedelta(days=1)).replace(day=1)
    tenure = parse(frame[how.tenure_months], "integer")
    wrong = tenure.bad | tenure.values.isna() | (tenure.values < 0).fillna(False)
    months = anchor.to_period("M") - tenure.values.mask(wrong).fillna(0).astype(int).to_numpy()
    start = pd.Series(pd.PeriodIndex(months).to_timestamp(), frame.index).clip(upper=snapshot)
    left = frame[how.ended.column].str.strip().str.casefold() == str(how.ended.true).strip().casefold()
    end = (
        pd.Series(max(anchor - pd.Timedelta(days=1), snapshot.replace(day=1)), frame.index)
        .where(left)
        .clip(lower=start)
    )
    iso = start.dt.strftime("%Y-%m-%d").astype("string")
    return frame.assign(
        start_date=iso.mask(wrong, "tenure " + frame[how.tenure_months].fillna("")),
        end_date=end.dt.strftime("%Y-%m-%d").astype("string"),
    )


def _parse_faults(table: Table, raw: pd.DataFrame, parsed: Mapping[str, Parsed]) -> list[Fault]:
    """One fault for each column with text that could not be read, in the house style."""
    return [
        Fault(
            table.name, name, p.problem, int(p.bad.sum()), _ids(table, raw, p.bad),
            p.remedy.replace("<table>", table.name).replace("<column>", name),
        )
        for name, p in parsed.items()
        if p.bad.any()
    ]  # fmt: skip


def _ids(table: Table, raw: pd.DataFrame, bad: pd.Series) -> tuple[str, ...]:
    ids = raw.loc[bad, table.columns[0].name].str.strip()
    return tuple(ids.replace("", "(no id)").fillna("(no id)")[:5])


def _flag_faults(table: Table, how: TableSettings, raw: pd.DataFrame) -> list[Fault]:
    """Whether the flag that says who has left holds two words and no blanks; anything else could be misread."""
    if how.ended is None:
        return []
    words = raw[how.ended.column].str.strip().str.casefold()
    yes, blank = str(how.ended.true).strip().casefold(), words.isin(BLANK)
    others = sorted(words[~blank & (words != yes)].unique())
    faults = []
    if blank.any():
        problem, remedy = f"is empty in the column {how.ended.column!r}", "Say for each client whether it has left."
        faults.append(Fault(table.name, "ended", problem, int(blank.sum()), _ids(table, raw, blank), remedy))
    if len(others) > 1 or not (words == yes).any():
        seen = ", ".join(repr(word) for word in others[:6])
        problem = f"should hold {how.ended.true!r} and one other word in the column {how.ended.column!r} (seen: {seen})"
        faults.append(Fault(table.name, "ended", problem, 0, (), "Correct the words, or the setting ended.true."))
    return faults
