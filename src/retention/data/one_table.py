"""One table being read: rename, translate values, parse and check, a piece at a time."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain

import numpy as np
import pandas as pd

from retention.data import scales
from retention.data.cells import Parsed, texts
from retention.data.check import Across, check_rows, stranger_faults, strangers
from retention.data.crosswalk import Crosswalk, with_names
from retention.data.delimited import NotATableError
from retention.data.find import Place
from retention.data.left_out import LeftOut
from retention.data.mapping import kept_words, mapped, mapping_faults, our_spelling, suits
from retention.data.numbers import PLAIN_NUMBERS
from retention.data.parse import Evidence, parse
from retention.data.repeats import ordered, settled
from retention.data.schema import Column, Table
from retention.data.shape import TURNED, Shape, grouped, last_paid_days
from retention.data.tenure import Tenure
from retention.data.words import fault, faults_in
from retention.errors import SHOWN, Fault, merged
from retention.settings import Settings, TableSettings

EMPTY = {"no lines", "no parts", "no cells", "no answer"}  # kinds of refusal: a source without rows
STRANGERS_KEPT = 100_000  # different ids looked at for what they nearly are
NEEDED = {
    "start_date",
    "end_date",
    "recorded_date",
    "recorded_at",
}  # to know the cut-off and when records begin


Typed = tuple[pd.DataFrame, pd.DataFrame]  # values, and which cells could not be read


@dataclass
class OneTable:
    """One table being read: where it is and how, and what has been gathered so far."""

    table: Table
    settings: Settings
    place: Place
    tell: Callable[[str], None]
    crosswalk: Crosswalk = field(default_factory=Crosswalk)
    headings: list[str] = field(default_factory=list)  # as the source has them
    spelt: dict[str, str] = field(
        default_factory=dict
    )  # those that are ours but for their spelling
    columns: list[Column] = field(default_factory=list)
    tenure: Tenure | None = None
    forms: dict[str, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    pieces: list[pd.DataFrame] = field(default_factory=list)
    unsure: list[pd.Series] = field(
        default_factory=list
    )  # by piece, rows with cells that could not be read
    repairs: Counter[str] = field(default_factory=Counter)
    strangers: Counter[str] = field(
        default_factory=Counter
    )  # rows by an id that the clients table has not
    warnings: list[Fault] = field(default_factory=list)
    currencies: dict[tuple[str, str], str] = field(
        default_factory=dict
    )  # the sign beside amounts, by table and column
    empty: bool = False
    repeats: bool = False
    rows: int = 0

    def __post_init__(self) -> None:
        chosen = self.settings.scales
        self.table = scales.on_scale(self.table, chosen)
        self.doubts = scales.Doubts(self.settings.scales)
        self.left_out = LeftOut(self.table, self.how)
        self.shape = Shape(self.table, self.how)

    @cached_property
    def how(self) -> TableSettings:
        """What the settings say of this table, and the crosswalk of its clients' names."""
        how = self.settings.table(self.table.name)
        return how if self.table.name == "clients" else with_names(how, self.crosswalk.clients)

    def read(self, clients: np.ndarray | None, partial: bool) -> np.ndarray | None:
        """Gather everything; for the clients, the hashes of their ids come back, for the other
        tables to be given.

        Two passes where there is more than one piece: what the whole tells of its dates and
        numbers, then the cells.
        """
        self.left_out.knows(clients)
        raw = self._raw()
        first = next(raw, None)
        if first is None or self.table.columns[0].name not in first:
            return clients  # without ids no other fault could be told
        again = self._raw if self._look(chain([first], raw)) else lambda: iter([first])
        across = self._gather(again(), clients, partial)
        if not self.faults or {column.name for column in self.columns} >= set(self.table.required):
            self.faults += across.faults(lambda at: self._named(again(), at))
            self.repeats = across.repeats
        self._note()
        return across.clients if self.table.name == "clients" else clients

    def _raw(self) -> Iterator[pd.DataFrame]:
        """The cells under our names, a piece at a time, up to where the source is no table any
        more: that is told as well as what is wrong with the rows before it.
        """
        self.left_out.begin()
        self.shape.begin()
        try:
            for raw in self.place.pieces():
                if not self.headings:
                    self._understand(raw)
                ours = self.shape.in_months(raw.rename(columns=self.spelt))
                shaped = self.shape.rows(mapped(self.how, ours))
                yield self.left_out.kept(shaped)
            self.left_out.done()
            self.shape.done()
        except NotATableError as no:
            if no.kind in EMPTY and self.table.name != "clients":
                self.empty = True
                return
            name = self.table.name
            told = fault(name, "", no.kind, no.count, no.places, **no.said)
            told = replace(told, problem=f"{self.place.name} {told.problem}")
            self.faults += [told] if told not in self.faults else []

    def _understand(self, raw: pd.DataFrame) -> None:
        """See which columns there are, and what the settings or the headings lack."""
        self.headings, self.spelt = (
            list(raw.columns),
            our_spelling(self.table, self.how, list(raw.columns)),
        )
        here = [self.spelt.get(name, name) for name in self.headings]
        self.faults = mapping_faults(self.table, self.how, here)
        self.tenure = Tenure(self.table.name, self.how) if Tenure.given(self.how, here) else None
        given = {*here, *(ours for ours, theirs in self.how.columns.items() if theirs in here)}
        given |= {"start_date", "end_date"} if self.tenure else set()
        given |= set(self.how.constant)
        extra = [Column(name, x.kind, x.known, "your own") for name, x in self.how.extra.items()]
        self.columns = [column for column in (*self.table.columns, *extra) if column.name in given]

    def _look(self, pieces: Iterable[pd.DataFrame]) -> bool:
        """Learn how dates and numbers are written, by column; whether there is more than one piece
        comes back.
        """
        evidence = Evidence()
        count = 0
        formats = self.how.formats
        for count, raw in enumerate(pieces, 1):
            for column in self.columns:
                if column.name in raw and column.name not in formats:
                    evidence.look(raw[column.name], column)
            if self.tenure:
                self.tenure.look(raw)
            if count > 1:
                self.tell(f"{self.place.name}: first look, {count * len(raw):,} rows")
        found = self.table.name
        self.faults += evidence.faults(found)
        if self.tenure:
            self.faults += self.tenure.flag_faults()
        self.faults += self.shape.unheard()
        kinds = {column.name: column.kind for column in self.columns}
        amounts = {column.name for column in self.columns if column.unit.startswith("currency")}
        for name in amounts & {
            column for column, marks in evidence.marks.items() if len(marks) == 1
        }:
            self.currencies[self.table.name, name] = min(evidence.marks[name])
        self.forms = evidence.forms()
        self.forms |= {
            name: form
            for name, form in formats.items()
            if name in kinds and suits(form, kinds[name]) and form not in TURNED
        }
        return count > 1

    def _gather(
        self, pieces: Iterable[pd.DataFrame], clients: np.ndarray | None, partial: bool
    ) -> Across:
        """Type and check every piece, and keep it (of a large source that is only checked, the
        different days).
        """
        repeated = self.how.repeated
        across = Across(self.table, partial, repeated)
        typed = (self._typed(raw) for raw in pieces)
        for frame, unread in self._made_one(typed) if self.shape.how.group else typed:
            faults = [*self.faults, *check_rows(self.table, frame, unread)]
            self.faults = merged(faults)
            needed = set(self.table.required)
            if set(frame) >= needed:
                across.add(frame, unread)
            if clients is not None and "client_id" in frame and self.table.name != "leads":
                self._note_strangers(frame.loc[strangers(frame, clients), "client_id"])
            frame = self._on_our_scales(frame)
            self.rows += len(frame)
            if partial:
                days = {name: frame[name].dropna().unique() for name in frame if name in NEEDED}
                frame = pd.DataFrame(
                    {name: pd.Series(different) for name, different in days.items()}
                )
            else:
                any_unread = unread.any(axis=1)
                self.unsure.append(any_unread)
            self.pieces.append(frame)
            self.tell(f"{self.place.name}: {self.rows:,} rows read")
        return across

    def _made_one(self, typed: Iterator[Typed]) -> Iterator[Typed]:
        """All rows at once, those of one key made one."""
        frames, unread = zip(*typed, strict=True)
        frame = pd.concat(frames, ignore_index=True)
        marks = pd.concat(unread, ignore_index=True)
        made, faults = grouped(self.table, frame, self.shape.how)
        self.faults += faults
        if not faults:
            marks = pd.DataFrame(False, made.index, marks.columns)
        yield made, marks

    def _typed(self, raw: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
        """One piece as typed values, and which of its cells could not be read."""
        ids = self._ids(raw)
        if self.tenure:
            raw, faults = self.tenure.dated(raw, ids)
            self.faults += faults
        parsed = {column.name: self._parsed(raw[column.name], column) for column in self.columns}
        for name, p in parsed.items():
            self.repairs.update({f"{name}: {what}": count for what, count in p.repairs.items()})
            said = {key: text.replace("{table}", self.table.name) for key, text in p.said.items()}
            self.faults += faults_in(self.table.name, name, p.kind, p.bad, ids, p.seen, **said)
        values = {name: p.values for name, p in parsed.items()}
        frame = pd.DataFrame(values)
        for name in frame:
            frame[name] = self._from_fractions(name, frame[name], raw[name])
            frame[name] = self.shape.amounts(name, frame[name], raw)
        self.faults += self.shape.period_faults(raw, ids)
        unread_cells = {name: p.filled & frame[name].isna() for name, p in parsed.items()}
        unread = pd.DataFrame(unread_cells)
        if self.tenure:
            unread["start_date"] = frame["start_date"].isna()  # told as faults of the tenure
        frame = last_paid_days(frame) if self.settings.first_day_without_service else frame
        return self._dated(frame), unread

    def _parsed(self, cells: pd.Series, column: Column) -> Parsed:
        form = self.forms.get(column.name, "")
        keep = kept_words(self.how, column.name)
        day_zero = self.place.first_day
        return parse(cells, column, form, day_zero, keep)

    def _from_fractions(self, name: str, values: pd.Series, cells: pd.Series) -> pd.Series:
        """The column in per cents, where it holds fractions of them; cells with a per cent sign
        have no doubt.
        """
        if f"{self.table.name}.{name}" not in scales.PERCENT_COLUMNS:
            return values
        if any(isinstance(cell, str) and cell.rstrip().endswith("%") for cell in cells.unique()):
            return values
        self.doubts.look(self.table.name, name, values)
        if scales.how_percent(self.table.name, name, self.settings.scales) != scales.FRACTION:
            return values
        count = values.notna().sum()
        self.repairs[f"{name}: fractions taken times 100"] += int(count)
        return (values * 100).round(10)

    def _on_our_scales(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The answers of surveys in points from 0 to 10."""
        if self.table.name != "surveys" or "nps" not in frame:
            return frame
        scale = self.settings.scales.nps
        self.doubts.look("surveys", "nps", frame["nps"])
        points = scales.to_points(frame["nps"], scale)
        if none := int((frame["nps"].notna() & points.isna()).sum()):
            self.repairs["nps: 0 taken as no answer, being below the scale"] += none
        if scale not in (None, scales.USUAL, "1-10"):
            self.repairs[f"nps: answers on {scale} taken as points from 0 to 10"] += int(
                points.notna().sum()
            )
        return frame.assign(nps=points)

    def _dated(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The rows with the days that the settings give to values that have none
        ([tables.X.dated_by]).
        """
        for day, other in self.how.dated_by.items():
            if not {day, other} <= set(frame):
                continue
            values = [c.name for c in self.columns if c.known == day and c.name != day]
            has_value = frame[values].notna().any(axis=1)
            bare = has_value & frame[day].isna() & frame[other].notna()
            dated = frame[day].where(~bare, frame[other])
            frame = frame.assign(**{day: dated})
            if bare.any():
                self.repairs[f"{day}: taken from {other} where a value has no day"] += int(
                    bare.sum()
                )
        return frame

    def _note_strangers(self, ids: pd.Series) -> None:
        counts = ids.value_counts()
        room = STRANGERS_KEPT - len(self.strangers)
        new = [name not in self.strangers for name in counts.index]
        self.strangers.update(counts[~np.array(new, bool)].to_dict())
        self.strangers.update(counts[np.array(new, bool)].head(max(room, 0)).to_dict())

    def stranger_faults(self, clients: Callable[[], Iterable[str]]) -> list[Fault]:
        """Faults for ids that the clients table has not, with what they nearly are; those that the
        crosswalk asks about are left to it.
        """
        waiting = self.unconfirmed()
        rows = {name: n for name, n in self.strangers.items() if name not in waiting}
        return stranger_faults(self.table.name, rows, clients()) if rows else []

    def unconfirmed(self) -> list[str]:
        """The strangers of whom the crosswalk has to be answered first."""
        waits = self.crosswalk.open
        return [name for name in (*self.strangers, *self.left_out.rows) if name in waits]

    def clients_in(self) -> Counter[str]:
        """The rows by client as the source names them, those of strangers too."""
        found = Counter(self.left_out.rows)
        for piece in self.pieces:
            if "client_id" in piece:
                counts = piece["client_id"].value_counts()
                found.update(counts.to_dict())
        return found

    def all_ids(self) -> list[str]:
        """Every different id of the table's first column, read again from the source."""
        first = self.table.columns[0]
        seen = dict[str, None]()
        for raw in self._raw():
            words = kept_words(self.how, first.name)
            cells = raw[first.name]
            values = parse(cells, first, keep=words).values
            different = values.dropna().unique()
            seen |= dict.fromkeys(different)
        return list(seen)

    def whole(self, partial: bool) -> pd.DataFrame:
        """The pieces as one frame, several rows of a key made one where they can be, in the order
        of its key (of all its columns, where it has none).
        """
        frame = (
            self.pieces[0] if len(self.pieces) == 1 else pd.concat(self.pieces, ignore_index=True)
        )
        if partial or not len(frame.columns):
            return frame
        frame = frame.reset_index(drop=True)
        if self.repeats:
            unsure = pd.concat(self.unsure, ignore_index=True)
            done = settled(self.table, frame, self.how, unsure)
            self.faults += done.faults
            self.warnings += done.warnings
            self.repairs.update({f"{done.repair}": 0} if done.repair else {})
            frame = done.frame
        return ordered(self.table, frame)

    def _ids(self, raw: pd.DataFrame) -> pd.Series:
        first = raw[self.table.columns[0].name]
        return texts(first).replace("", "(no id)")

    def _named(self, pieces: Iterable[pd.DataFrame], at: np.ndarray) -> list[str]:
        """The ids of the first rows among the positions `at`, read again from the source rather
        than kept for all.
        """
        if self.shape.how.group and self.pieces:
            ids = self.pieces[0].iloc[at, 0]
            return list(ids.astype(str))
        named = list[str]()
        done = 0
        for raw in pieces:
            before_end = at < done + len(raw)
            inside = at[(at >= done) & before_end]
            named += list(self._ids(raw).iloc[inside - done])
            done += len(raw)
            if len(set(named)) >= SHOWN:
                break
        return named

    def said_repairs(self) -> list[str]:
        """What was mended without asking, with the number of cells and how to undo it where that
        can be.
        """
        lines = []
        for what, count in self.repairs.items():
            cells = f" ({count:,} cell{'' if count == 1 else 's'})" if count else ""
            lines.append(f"{self.table.name}.{what}{cells}{self._how_to_keep(what)}")
        return lines

    def _how_to_keep(self, what: str) -> str:
        """How a word that was read as blank is kept, in a column of words."""
        name, _, done = what.partition(": ")
        kinds = {column.name: column.kind for column in self.columns}
        if not done.endswith(" read as blank") or kinds.get(name) not in ("id", "text", "category"):
            return ""
        word = done.split("'")[1]
        return (
            f'; if it is a word here, keep it: "{word}" = "{word}" under '
            f"[tables.{self.table.name}.values.{name}]"
        )

    def notes(self) -> list[str]:
        """Which columns were not used, whether there are rows, and what an age of 0 was taken
        for.
        """
        if self.empty and not self.rows:
            return [f"{self.place.name} holds no rows: taken as an empty table"]
        used = {
            *self.how.columns.values(),
            *(column.name for column in self.columns),
            self.how.tenure_months,
        }
        if self.how.ended:
            used.add(self.how.ended.column)
        unused = [name for name in self.headings if self.spelt.get(name, name) not in used]
        notes = [f"{self.place.name}: columns not used: {', '.join(unused)}"] if unused else []
        notes += self.shape.notes()
        notes += self.left_out.notes()
        return notes + (self.tenure.notes() if self.tenure else [])

    def _note(self) -> None:
        """Say what was understood without asking about the file as a whole."""
        for name, form in self.forms.items():
            if form and name not in self.how.formats and form != PLAIN_NUMBERS:
                self.repairs[f"{name}: written as {form}"] = 0
        for theirs, ours in self.spelt.items():
            if theirs != ours:
                self.repairs[f"{ours}: the heading {theirs!r} was taken as this column"] = 0
