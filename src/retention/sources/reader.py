"""Sources to tables, a piece at a time: rename, translate values, parse, check; every fault and repair is gathered."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
import pandas as pd

from retention.config import Settings, TableSettings
from retention.errors import SHOWN, DataError, Fault, merged
from retention.sources.check import Across, check_rows
from retention.sources.delimited import NotATableError
from retention.sources.find import LARGE_BYTES, Place, find, plain
from retention.sources.parse import NUMBER_STYLES, PLAIN_NUMBERS, Evidence, as_text, parse, texts
from retention.sources.tenure import flag_faults, from_tenure, tenure_faults
from retention.tables import SIGNING, TABLES, Column, Table

NEEDED = {"start_date", "end_date", "recorded_date", "recorded_at"}  # to know the cut-off and when records begin


@dataclass(frozen=True)
class Tables:
    """The checked tables by name, each in the order of its key; sha256 of each source; what was left and repaired.

    `rows` counts the rows by table. `partial` says that a large source was only checked: its frames hold the different
    days of some columns and nothing else.
    """

    frames: dict[str, pd.DataFrame]
    rows: dict[str, int]
    hashes: dict[str, str]
    notes: tuple[str, ...] = ()
    repairs: tuple[str, ...] = ()
    partial: bool = False

    def get(self, name: str) -> pd.DataFrame | None:
        """The named table, or None where the source has none."""
        return self.frames.get(name)


def read(settings: Settings, tell: Callable[[str], None] = lambda text: None, only_check: bool = False) -> Tables:
    """Every declared table that the source holds, typed and checked; `tell` hears how far it is.

    With `only_check`, large sources are not kept in memory. DataError lists all faults of all tables at once;
    ConfigError where a setting names what is not there, or the database fails.
    """
    with ExitStack() as stack:
        places = find(settings, stack)
        partial = only_check and sum(place.size for place in places.values()) > LARGE_BYTES
        found = {name: _Reader(TABLES[name], settings.table(name), place, tell) for name, place in places.items()}
        clients = None
        for table in found.values():
            clients = table.read(clients, partial)
        if faults := merged(fault for table in found.values() for fault in table.faults):
            raise DataError(faults, tuple(_repairs(found)))
        hashes = {name: place.digest() for name, place in places.items()}
        rows = {name: table.rows for name, table in found.items()}
    frames = {name: _whole(TABLES[name], table.pieces, partial) for name, table in found.items()}
    notes = tuple(note for table in found.values() for note in table.notes)
    return Tables(frames, rows, hashes, notes, tuple(_repairs(found)), partial)


def _repairs(found: dict[str, _Reader]) -> Iterator[str]:
    for name, table in found.items():
        for what, count in table.repairs.items():
            yield f"{name}.{what}" + (f" ({count:,} cell{'' if count == 1 else 's'})" if count else "")


def _whole(table: Table, pieces: list[pd.DataFrame], partial: bool) -> pd.DataFrame:
    """The pieces as one frame in the order of its key (of all its columns, where it has none)."""
    frame = pieces[0] if len(pieces) == 1 else pd.concat(pieces, ignore_index=True)
    if partial or not len(frame.columns):
        return frame
    by = [name for name in table.key if name in frame] or list(frame.columns)
    return frame.sort_values(by, kind="stable", ignore_index=True)


@dataclass
class _Reader:
    """One table being read: where it is and how, and what has been gathered so far."""

    table: Table
    how: TableSettings
    place: Place
    tell: Callable[[str], None]
    spelt: dict[str, str] = field(default_factory=dict)
    columns: list[Column] = field(default_factory=list)
    forms: dict[str, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    pieces: list[pd.DataFrame] = field(default_factory=list)
    repairs: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    rows: int = 0

    def read(self, clients: np.ndarray | None, partial: bool) -> np.ndarray | None:
        """Gather everything; for the clients, the hashes of their ids come back, for the other tables to be given.

        Two passes where there is more than one piece: what the whole tells of its dates and numbers, then the cells.
        """
        try:
            opening = self.place.pieces()
            first = next(opening)
        except NotATableError as no:
            self._refuse(no)
            return clients
        self.spelt = _our_spelling(self.table, self.how, first)
        self.faults = _mapping_faults(self.table, self.how, first.rename(columns=self.spelt))
        self.columns = _columns(self.table, self.how, first.rename(columns=self.spelt))
        if self.table.columns[0].name not in {column.name for column in self.columns}:
            return clients  # without ids no other fault could be told
        many = self._look(chain([first], self._whole(opening)))
        across = self._gather(self._whole(self.place.pieces()) if many else [first], clients, partial)
        if not self.faults or {column.name for column in self.columns} >= set(self.table.required):
            self.faults += across.faults(
                lambda at: self._ids(self._whole(self.place.pieces()) if many else [first], at)
            )
        self._note(first)
        return across.clients if self.table.name == "clients" else clients

    def _refuse(self, no: NotATableError) -> None:
        problem, remedy = f"{self.place.name} {no.problem}", no.remedy.replace("<table>", self.table.name)
        fault = Fault(self.table.name, "", problem, no.count, no.places, remedy)
        self.faults += [fault] if fault not in self.faults else []

    def _whole(self, pieces: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        """The pieces up to where the source is no table any more, so that what is wrong with them is told as well."""
        try:
            yield from pieces
        except NotATableError as no:
            self._refuse(no)

    def _look(self, pieces: Iterable[pd.DataFrame]) -> bool:
        """Learn how dates and numbers are written, by column; whether there is more than one piece comes back."""
        evidence, count, flags, how = Evidence(), 0, set[str](), self.how
        for count, raw in enumerate(pieces, 1):
            raw = _mapped(how, raw.rename(columns=self.spelt))
            for column in self.columns:
                if column.name in raw and column.name not in how.formats:
                    evidence.look(raw[column.name], column)
            if how.ended:
                flags |= set(texts(raw[how.ended.column]).str.casefold().unique())
            if count > 1:
                self.tell(f"{self.place.name}: first look, {count * len(raw):,} rows")
        self.faults += evidence.faults(self.table.name) + (flag_faults(self.table, how, flags) if how.ended else [])
        refused = {fault.column for fault in _format_faults(self.table, how)}
        self.forms = evidence.forms() | {name: form for name, form in how.formats.items() if name not in refused}
        return count > 1

    def _gather(self, pieces: Iterable[pd.DataFrame], clients: np.ndarray | None, partial: bool) -> Across:
        """Type and check every piece, and keep it (of a large source that is only checked, the dates)."""
        across, done = Across(self.table), 0
        for raw in pieces:
            raw = raw.rename(columns=self.spelt).set_axis(range(done, done + len(raw)))
            frame, unread = self._typed(raw)
            self.faults = merged([*self.faults, *check_rows(self.table, frame, unread, clients)])
            if set(frame) >= set(self.table.required):
                across.add(frame)
            self.pieces.append(_days(frame) if partial else frame)
            done += len(raw)
            self.tell(f"{self.place.name}: {done:,} rows read")
        self.rows = done
        return across

    def _typed(self, raw: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
        """One piece as typed values, and which of its cells could not be read."""
        self.faults += tenure_faults(self.table, self.how, raw)
        raw = _mapped(self.how, raw)
        raw = from_tenure(raw, self.how) if self.how.tenure_months and self.how.ended else raw
        parsed = {c.name: parse(raw[c.name], c, self.forms.get(c.name, ""), self.place.first_day) for c in self.columns}
        ids = texts(raw[self.table.columns[0].name]).replace("", "(no id)")
        for name, p in parsed.items():
            self.repairs.update({f"{name}: {what}": count for what, count in p.repairs.items()})
            if p.bad.any():
                remedy = p.remedy.replace("<table>", self.table.name).replace("<column>", name)
                named = tuple(ids[p.bad][:SHOWN])
                self.faults.append(Fault(self.table.name, name, p.problem, int(p.bad.sum()), named, remedy, p.seen))
        frame = pd.DataFrame({name: p.values for name, p in parsed.items()})
        unread = pd.DataFrame({name: p.filled & p.values.isna() for name, p in parsed.items()})
        if self.how.tenure_months:
            unread["start_date"] = frame["start_date"].isna()  # told as faults of the tenure
        return frame, unread

    def _ids(self, pieces: Iterable[pd.DataFrame], at: np.ndarray) -> list[str]:
        """The ids of the first rows among the positions `at`, read again from the source rather than kept for all."""
        named: list[str] = []
        done = 0
        column = self.table.columns[0].name
        for raw in pieces:
            here = at[(at >= done) & (at < done + len(raw))] - done
            cells = raw.rename(columns=self.spelt)[self.how.columns.get(column, column)]
            named += list(texts(cells.iloc[here]).replace("", "(no id)"))
            done += len(raw)
            if len(set(named)) >= SHOWN:
                break
        return named

    def _note(self, first: pd.DataFrame) -> None:
        """Say which columns were not used, and what was understood without asking about the file as a whole."""
        how = self.how
        used = {*how.columns.values(), *(column.name for column in self.columns), how.tenure_months}
        used |= {how.ended.column} if how.ended else set()
        if unused := [name for name in first.columns if self.spelt.get(name, name) not in used]:
            self.notes.append(f"{self.place.name}: columns not used: {', '.join(unused)}")
        for name, form in self.forms.items():
            if form and name not in how.formats and form != PLAIN_NUMBERS:
                self.repairs[f"{name}: written as {form}"] = 0
        for theirs, ours in self.spelt.items():
            if theirs != ours:
                self.repairs[f"{ours}: the heading {theirs!r} was taken as this column"] = 0


def _days(frame: pd.DataFrame) -> pd.DataFrame:
    """The different days of the columns that tell the cut-off and when records begin."""
    return pd.DataFrame({name: pd.Series(frame[name].dropna().unique()) for name in frame if name in NEEDED})


def _columns(table: Table, how: TableSettings, raw: pd.DataFrame) -> list[Column]:
    """The declared columns that the file gives, and the user's own."""
    given = {"start_date", "end_date"} if how.tenure_months in raw and how.ended and how.ended.column in raw else set()
    given |= set(raw.columns) | {ours for ours, theirs in how.columns.items() if theirs in raw}
    extra = [Column(name, x.kind, x.known, "your own") for name, x in how.extra.items()]
    return [column for column in (*table.columns, *extra) if column.name in given]


def _our_spelling(table: Table, how: TableSettings, raw: pd.DataFrame) -> dict[str, str]:
    """Headings that are ours but for capitals and spaces ("Client ID"), with our own spelling."""
    ours = {column.name for column in table.columns} - set(raw.columns) - set(how.columns)
    named = {name: plain(name) for name in raw.columns if name not in how.columns.values()}
    taken = list(named.values())
    return {name: own for name, own in named.items() if own in ours and taken.count(own) == 1}


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
    faults += [*_extra_faults(table, how), *_format_faults(table, how)]
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


def _format_faults(table: Table, how: TableSettings) -> list[Fault]:
    """Formats of dates given to numbers, and the other way round."""
    kinds = {c.name: c.kind for c in table.columns} | {name: extra.kind for name, extra in how.extra.items()}
    wrong = {
        name: form
        for name, form in how.formats.items()
        if name in kinds and (kinds[name] in ("date", "month")) == (form in NUMBER_STYLES)
    }
    remedy = f"A date takes an order or a format such as %d/%m/%Y, a number {' or '.join(NUMBER_STYLES)}."
    return [
        Fault(table.name, name, f"is a {kinds[name]}, and {form!r} is no format for it", 0, (), remedy)
        for name, form in wrong.items()
    ]


def _absent(table: Table, name: str, raw: pd.DataFrame) -> Fault:
    near = difflib.get_close_matches(name, raw.columns, 1, 0.5)
    guess = f' Perhaps {name} = "{near[0]}"?' if near else ""
    skip = f" Or say [tables.{table.name}] use = false." if table.name != "clients" else ""
    remedy = f"Name the column that holds it under [tables.{table.name}.columns].{guess}{skip} The file has: "
    return Fault(table.name, name, "is required and missing", 0, (), remedy + ", ".join(raw.columns) + ".")


def _mapped(how: TableSettings, raw: pd.DataFrame) -> pd.DataFrame:
    """The raw table under our names, with values translated: a number in the settings is that number."""
    frame = raw.assign(**{ours: raw[theirs] for ours, theirs in how.columns.items() if theirs in raw})
    for column, values in how.values.items():
        if column in frame:
            spoken = {key.strip().casefold(): as_text(v) if isinstance(v, bool) else v for key, v in values.items()}
            meant = {v: spoken.get(as_text(v).strip().casefold(), v) for v in frame[column].dropna().unique()}
            frame[column] = frame[column].astype(object).map(meant)
    return frame
