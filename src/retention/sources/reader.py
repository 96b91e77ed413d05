"""Sources to tables, a piece at a time: rename, translate values, parse, check; every fault and repair is gathered."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np
import pandas as pd

from retention.config import Settings, TableSettings
from retention.errors import SHOWN, DataError, Fault, merged
from retention.sources.check import Across, check_rows
from retention.sources.delimited import NotATableError
from retention.sources.find import LARGE_BYTES, Place, find
from retention.sources.mapping import mapped, mapping_faults, our_spelling, suits
from retention.sources.parse import PLAIN_NUMBERS, Evidence, parse, texts
from retention.sources.tenure import Tenure
from retention.sources.words import fault, faults_in
from retention.tables import TABLES, Column, Table

NEEDED = {"start_date", "end_date", "recorded_date", "recorded_at"}  # to know the cut-off and when records begin


@dataclass(frozen=True)
class Tables:
    """The checked tables by name, each in the order of its key; sha256 of each source; what was left and repaired.

    `rows` counts the rows by table. `partial` says that a large source was only checked: its frames hold the different
    days of some columns and nothing else.
    """

    frames: Mapping[str, pd.DataFrame]
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
        late = settings.first_day_without_service
        found = {name: _Reader(TABLES[name], settings.table(name), place, tell, late) for name, place in places.items()}
        clients = None
        for table in found.values():
            clients = table.read(clients, partial)
        done = [(f"{name}.{what}", n) for name, table in found.items() for what, n in table.repairs.items()]
        repairs = tuple(what + (f" ({n:,} cell{'' if n == 1 else 's'})" if n else "") for what, n in done)
        if faults := merged(fault for table in found.values() for fault in table.faults):
            raise DataError(faults, repairs)
        hashes = {name: place.digest() for name, place in places.items()}
        rows = {name: table.rows for name, table in found.items()}
    frames = {name: _whole(TABLES[name], table.pieces, partial) for name, table in found.items()}
    notes = tuple(note for table in found.values() for note in table.notes())
    return Tables(frames, rows, hashes, notes, repairs, partial)


def fingerprints(settings: Settings) -> dict[str, str]:
    """The sha256 of each source by table, as `read` gives them, without reading a row of what is in files."""
    with ExitStack() as stack:
        return {name: place.digest() for name, place in find(settings, stack).items()}


def _whole(table: Table, pieces: list[pd.DataFrame], partial: bool) -> pd.DataFrame:
    """The pieces as one frame in the order of its key (of all its columns, where it has none)."""
    frame = pieces[0] if len(pieces) == 1 else pd.concat(pieces, ignore_index=True)
    if partial or not len(frame.columns):
        return frame
    by = [name for name in table.key if name in frame] or list(frame.columns)
    return frame.sort_values(by, kind="stable", ignore_index=True)


def _last_paid_days(frame: pd.DataFrame) -> pd.DataFrame:
    """Clients whose end_date was the first day without service, with the last paid day in its place."""
    if not {"start_date", "end_date"} <= set(frame):
        return frame
    end = frame["end_date"]
    return frame.assign(end_date=end.where(end <= frame["start_date"], end - pd.Timedelta(days=1)))


@dataclass
class _Reader:
    """One table being read: where it is and how, and what has been gathered so far."""

    table: Table
    how: TableSettings
    place: Place
    tell: Callable[[str], None]
    late: bool = False  # whether an end_date is the day after the last paid one
    headings: list[str] = field(default_factory=list)  # as the source has them
    spelt: dict[str, str] = field(default_factory=dict)  # those that are ours but for their spelling
    columns: list[Column] = field(default_factory=list)
    tenure: Tenure | None = None
    forms: dict[str, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    pieces: list[pd.DataFrame] = field(default_factory=list)
    repairs: Counter[str] = field(default_factory=Counter)
    rows: int = 0

    def read(self, clients: np.ndarray | None, partial: bool) -> np.ndarray | None:
        """Gather everything; for the clients, the hashes of their ids come back, for the other tables to be given.

        Two passes where there is more than one piece: what the whole tells of its dates and numbers, then the cells.
        """
        raw = self._raw()
        first = next(raw, None)
        if first is None or self.table.columns[0].name not in first:
            return clients  # without ids no other fault could be told
        again = self._raw if self._look(chain([first], raw)) else lambda: iter([first])
        across = self._gather(again(), clients, partial)
        if not self.faults or {column.name for column in self.columns} >= set(self.table.required):
            self.faults += across.faults(lambda at: self._named(again(), at))
        self._note()
        return across.clients if self.table.name == "clients" else clients

    def _raw(self) -> Iterator[pd.DataFrame]:
        """The cells under our names, a piece at a time, up to where the source is no table any more: that is told as
        well as what is wrong with the rows before it.
        """
        try:
            for raw in self.place.pieces():
                if not self.headings:
                    self._understand(raw)
                yield mapped(self.how, raw.rename(columns=self.spelt))
        except NotATableError as no:
            told = fault(self.table.name, "", no.kind, no.count, no.places, **no.said)
            told = replace(told, problem=f"{self.place.name} {told.problem}")
            self.faults += [told] if told not in self.faults else []

    def _understand(self, raw: pd.DataFrame) -> None:
        """See which columns there are, and what the settings or the headings lack."""
        self.headings, self.spelt = list(raw.columns), our_spelling(self.table, self.how, list(raw.columns))
        here = [self.spelt.get(name, name) for name in self.headings]
        self.faults = mapping_faults(self.table, self.how, here)
        self.tenure = Tenure(self.table.name, self.how) if Tenure.given(self.how, here) else None
        given = {*here, *(ours for ours, theirs in self.how.columns.items() if theirs in here)}
        given |= {"start_date", "end_date"} if self.tenure else set()
        extra = [Column(name, x.kind, x.known, "your own") for name, x in self.how.extra.items()]
        self.columns = [column for column in (*self.table.columns, *extra) if column.name in given]

    def _look(self, pieces: Iterable[pd.DataFrame]) -> bool:
        """Learn how dates and numbers are written, by column; whether there is more than one piece comes back."""
        evidence, count, formats = Evidence(), 0, self.how.formats
        for count, raw in enumerate(pieces, 1):
            for column in self.columns:
                if column.name in raw and column.name not in formats:
                    evidence.look(raw[column.name], column)
            if self.tenure:
                self.tenure.look(raw)
            if count > 1:
                self.tell(f"{self.place.name}: first look, {count * len(raw):,} rows")
        self.faults += evidence.faults(self.table.name) + (self.tenure.flag_faults() if self.tenure else [])
        kinds = {column.name: column.kind for column in self.columns}
        self.forms = evidence.forms()
        self.forms |= {name: form for name, form in formats.items() if name in kinds and suits(form, kinds[name])}
        return count > 1

    def _gather(self, pieces: Iterable[pd.DataFrame], clients: np.ndarray | None, partial: bool) -> Across:
        """Type and check every piece, and keep it (of a large source that is only checked, the different days)."""
        across = Across(self.table)
        for raw in pieces:
            frame, unread = self._typed(raw)
            self.faults = merged([*self.faults, *check_rows(self.table, frame, unread, clients)])
            if set(frame) >= set(self.table.required):
                across.add(frame)
            if partial:
                days = {name: frame[name].dropna().unique() for name in frame if name in NEEDED}
                frame = pd.DataFrame({name: pd.Series(different) for name, different in days.items()})
            self.pieces.append(frame)
            self.rows += len(raw)
            self.tell(f"{self.place.name}: {self.rows:,} rows read")
        return across

    def _typed(self, raw: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
        """One piece as typed values, and which of its cells could not be read."""
        ids = self._ids(raw)
        if self.tenure:
            raw, faults = self.tenure.dated(raw, ids)
            self.faults += faults
        parsed = {c.name: parse(raw[c.name], c, self.forms.get(c.name, ""), self.place.first_day) for c in self.columns}
        for name, p in parsed.items():
            self.repairs.update({f"{name}: {what}": count for what, count in p.repairs.items()})
            self.faults += faults_in(self.table.name, name, p.kind, p.bad, ids, p.seen, **p.said)
        frame = pd.DataFrame({name: p.values for name, p in parsed.items()})
        unread = pd.DataFrame({name: p.filled & p.values.isna() for name, p in parsed.items()})
        if self.tenure:
            unread["start_date"] = frame["start_date"].isna()  # told as faults of the tenure
        return _last_paid_days(frame) if self.late else frame, unread

    def _ids(self, raw: pd.DataFrame) -> pd.Series:
        return texts(raw[self.table.columns[0].name]).replace("", "(no id)")

    def _named(self, pieces: Iterable[pd.DataFrame], at: np.ndarray) -> list[str]:
        """The ids of the first rows among the positions `at`, read again from the source rather than kept for all."""
        named, done = list[str](), 0
        for raw in pieces:
            named += list(self._ids(raw).iloc[at[(at >= done) & (at < done + len(raw))] - done])
            done += len(raw)
            if len(set(named)) >= SHOWN:
                break
        return named

    def notes(self) -> list[str]:
        """Which columns were not used, and what an age of 0 months was taken to mean."""
        used = {*self.how.columns.values(), *(column.name for column in self.columns), self.how.tenure_months}
        used |= {self.how.ended.column} if self.how.ended else set()
        unused = [name for name in self.headings if self.spelt.get(name, name) not in used]
        notes = [f"{self.place.name}: columns not used: {', '.join(unused)}"] if unused else []
        return notes + (self.tenure.notes() if self.tenure else [])

    def _note(self) -> None:
        """Say what was understood without asking about the file as a whole."""
        for name, form in self.forms.items():
            if form and name not in self.how.formats and form != PLAIN_NUMBERS:
                self.repairs[f"{name}: written as {form}"] = 0
        for theirs, ours in self.spelt.items():
            if theirs != ours:
                self.repairs[f"{ours}: the heading {theirs!r} was taken as this column"] = 0
