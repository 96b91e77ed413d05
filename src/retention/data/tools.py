"""A draft from exports of known tools: which file is which, and the queries over all of them.

Every query is run once while drafting, so that the draft can ask about what it gives: rows of
clients that nobody knows, words that are not understood.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from retention.data import stores
from retention.data.cells import texts
from retention.data.crosswalk import STRANGER, unmatched
from retention.data.delimited import NotATableError
from retention.data.drawn import Drawn
from retention.data.find import BOOKS, PARQUET, TEXT
from retention.data.layout import Sheet, layout_of
from retention.data.parse import parse
from retention.data.query import Files
from retention.data.recipes import KINDS, Export, Recipe, exports
from retention.data.schema import TABLES
from retention.errors import ConfigError
from retention.settings import FileSettings

NAMED = 12  # (ours) strangers that a draft names
LOOKED_AT = 10  # (ours) pieces of a table that a draft looks at


@dataclass
class Found:
    """A file (or sheet) that is an export of a known tool."""

    export: Export
    path: Path
    how: FileSettings
    headings: tuple[str, ...]
    alias: str = ""
    doubles: int = 0  # rows that stand in several files of this kind

    @property
    def settings(self) -> dict[str, object]:
        """What `[source.files]` has to say of it."""
        return self.how.model_dump(exclude_defaults=True, exclude={"doubles"})


@dataclass
class Made:
    """A table that recipes make: its query, what was taken for what, and what is to be asked."""

    name: str
    query: str
    sources: list[Found]
    conventions: list[str] = field(default_factory=list)
    assumes: list[str] = field(default_factory=list)
    questions: dict[str, str] = field(default_factory=dict)
    words: dict[str, list[str]] = field(default_factory=dict)
    strangers: list[str] = field(default_factory=list)
    refused: str = ""
    rows: int = 0


class Plan:
    """What a file or folder holds of known tools, and the tables that their recipes make of it."""

    def __init__(self, export: Path, stack: ExitStack) -> None:
        self.files = Files({}, stack)
        self.found: list[Found] = []
        self.again: list[Path] = []  # a second export of a kind
        for path in _files(export):
            for one in self._recognised(path):
                one.alias = one.export.key
                if one.alias in self.files.named:
                    self._add(one)
                    continue
                self.found.append(one)
                self.files.named[one.alias] = path, one.how
        self.frames: dict[str, pd.DataFrame] = {}
        self.made: dict[str, Made] = {}
        self.clients_in: dict[str, dict[str, int]] = {}

    @property
    def paths(self) -> set[Path]:
        """The files that are recognised."""
        known = {one.path.with_name(name) for one in self.found for name in one.how.also}
        return {*(one.path for one in self.found), *self.again, *known}

    def _add(self, other: Found) -> None:
        """A further export of a kind: read as one with the first, where the headings are the
        same.
        """
        first = next(one for one in self.found if one.alias == other.alias)
        if other.how.sheet or first.how.sheet or set(other.headings) != set(first.headings):
            self.again.append(other.path)
            return
        names = [*first.how.also, other.path.name]
        first.how = first.how.model_copy(update={"also": names, "doubles": "keep"})
        self.files.named[first.alias] = first.path, first.how
        first.doubles = self.files.doubles(first.alias)

    def make(self, clients: tuple[Path, FileSettings, dict[str, str]] | None = None) -> None:
        """Draw and try the query of every table; `clients` is the file that holds them, with the
        headings of ids and names, where no recipe makes them.
        """
        if clients:
            self.files.named["our_clients_file"] = clients[:2]
            self.files.clients = clients[2]
        for name in TABLES:
            if name == "clients" and clients:
                self._try_clients_file()
            elif sources := self._sources(name):
                self.made[name] = self._drawn(name, sources)
                if name == "clients":
                    self.files.clients = self.made[name].query
                self._try(self.made[name])

    def reads(self, one: Found) -> bool:
        """Whether a table is made of that file."""
        return any(f'"{one.alias}"' in made.query for made in self.made.values())

    def can_give(self, table: str) -> bool:
        """Whether a recipe makes that table of what is here."""
        return bool(self._sources(table))

    def _sources(self, table: str) -> list[Found]:
        """The exports that a table is made of: the best, with those that add other columns."""
        able = [
            one
            for one in self.found
            if table in one.export.tables and not one.export.lacking(table, one.headings)
        ]
        able.sort(key=lambda one: KINDS.index(one.export.kind))
        if table == "clients" or len(able) < 2:
            return able[:1]
        added = set(TABLES[table].add_up)
        chosen: list[Found] = []
        for one in able:
            gives = {c for c in added if f"AS {c}" in one.export.tables[table].query}
            if not chosen or (gives and gives <= added):
                chosen.append(one)
                added -= gives
        return chosen

    def _drawn(self, name: str, sources: list[Found]) -> Made:
        """The query of a table, with its conventions and questions."""
        made = Made(name, "", sources)
        queries = []
        for one in sources:
            recipe = one.export.tables[name]
            drawn = self.drawn(one)
            queries.append(drawn.text(recipe.query))
            made.conventions += [
                text for words in recipe.conventions if (text := drawn.text(words))
            ]
            made.assumes += [drawn.text(words) for words in recipe.assumes]
            asked = self._asked(recipe, drawn)
            made.questions |= dict(asked)
            made.questions |= drawn.asks
        made.query = queries[0] if len(queries) == 1 else _joined(name, queries)
        return made

    def _asked(self, recipe: Recipe, drawn: Drawn) -> Iterator[tuple[str, str]]:
        """The questions of a recipe that these rows raise; of those with a `count`, where it is
        not 0.
        """
        for question in recipe.questions:
            if not drawn.text(question.get("when", "yes")):
                continue
            counted = self._count(drawn, question["count"]) if "count" in question else "1"
            if counted != "0":
                ask = drawn.text(question["ask"])
                yield question["key"], ask.replace("COUNT", counted)

    def _count(self, drawn: Drawn, template: str) -> str:
        """What a query counts; "some" where it cannot be run before something is answered."""
        counted = drawn.text(template)
        try:
            rows = next(self.files.pieces("clients", counted))
        except ConfigError:
            return "some"
        return f"{int(rows.iloc[0, 0]):,}"

    def drawn(self, one: Found) -> Drawn:
        """The templates of one file, with those of the same tool's other exports."""

        def other(key: str) -> Drawn | None:
            stem = one.export.key.split("_")[0]
            beside = [o for o in self.found if o.alias == f"{stem}_{key}"]
            if not beside:
                return None
            found = self.drawn(beside[0])
            found.asks = drawn.asks  # its cells raise questions of the same query
            return found

        first = self._first_rows(one.alias)
        drawn = Drawn(one.export, one.alias, first, other)
        return drawn

    def _first_rows(self, alias: str) -> pd.DataFrame:
        headings = next(one.headings for one in self.found if one.alias == alias)
        with suppress(NotATableError):
            return next(self.files.pieces("clients", f'SELECT * FROM "{alias}"'))
        return pd.DataFrame(columns=list(headings), dtype=object)

    def _try_clients_file(self) -> None:
        with suppress(NotATableError, ConfigError):
            named = self.files.pieces("clients", self.files.clients_query())
            self.frames["clients"] = pd.concat(named, ignore_index=True)

    def _try(self, made: Made) -> None:
        """Run the query, and see what must be asked of what it gives."""
        try:
            pieces = self.files.pieces(made.name, made.query)
            looked_at = None if made.name == "clients" else LOOKED_AT
            first_pieces = itertools.islice(pieces, looked_at)
            rows = pd.concat(first_pieces, ignore_index=True)
        except NotATableError:
            return
        except ConfigError as no:
            made.refused = str(no)
            return
        self.frames[made.name] = rows
        made.rows = len(rows)
        for column in TABLES[made.name].columns:
            if column.name in rows and (column.choices or column.kind == "term"):
                cells = rows[column.name]
                parsed = parse(cells, column)
                words = texts(cells)
                odd = (
                    parsed.bad
                    if column.kind == "term"
                    else ~parsed.values.fillna("").isin(["", *column.choices])
                )
                made.words |= {column.name: sorted(set(words[odd]))} if odd.any() else {}
        if "client_id" in rows and made.name not in ("clients", "leads"):
            ids = texts(rows["client_id"])
            self.clients_in[made.name] = ids[ids != ""].value_counts().to_dict()
            made.strangers = list(self._strangers(made.name))

    def crosswalk(self) -> pd.DataFrame:
        """Both sides of what does not join, over all tables that name clients."""
        nobody = pd.DataFrame({"client_id": []}, dtype=object)
        return unmatched(self.frames.get("clients", nobody), self.clients_in)

    def _strangers(self, table: str) -> Iterator[str]:
        """The clients of a table that the clients table does not have, in words."""
        nobody = pd.DataFrame({"client_id": []}, dtype=object)
        clients = self.frames.get("clients", nobody)
        rows = unmatched(clients, {table: self.clients_in[table]})
        strange = rows[rows["what"] == STRANGER]
        for row in strange.itertuples(index=False):
            like = f", nearly {row.client!r}" if row.client else ""
            many = "" if row.rows == "1" else "s"
            yield f"{row.name!r}, {int(str(row.rows)):,} row{many}{like}"

    def _recognised(self, path: Path) -> Iterator[Found]:
        """What a file is, by each sheet of a workbook."""
        book = path.name.lower().endswith(BOOKS)
        names = [""]
        with suppress(ConfigError):
            names = stores.sheets(path) if book else names
        for sheet in names:
            if found := self._best(path, sheet):
                yield found

    def _best(self, path: Path, sheet: str) -> Found | None:
        scored: list[tuple[int, Found]] = []
        layouts = {str(export.layout): export.layout for export in exports()}
        for layout in layouts.values():
            how = FileSettings(file=path.name, sheet=sheet, **layout)
            for encoding in ("", "cp1252"):
                with suppress(NotATableError, ConfigError):
                    how = how.model_copy(update={"encoding": encoding})
                    sheet_ = layout_of(path, how, self.files.folder)
                    by_hand = _by_hand(sheet_)
                    scored += [
                        (score, Found(export, path, how, sheet_.headings))
                        for export in exports()
                        if export.layout == layout
                        and export.by_hand <= by_hand
                        and (score := export.score(sheet_.headings))
                    ]
                    break
        return max(scored, key=lambda pair: pair[0])[1] if scored else None


def _by_hand(sheet: Sheet) -> bool:
    """Whether a person keeps the file: titles stand above its headings, headings of groups among
    its rows, or totals below them.
    """
    if sheet.skip > 1:
        return True
    with sheet.path.open(encoding="utf-8-sig", newline="") as stream:
        rows = [[cell.strip(' "') for cell in line.strip().split(sheet.mark)] for line in stream]
    firsts = {row[0].casefold() for row in rows}
    alone = any(row[0] and len(row) > 2 and not any(row[1:]) for row in rows)
    return alone or bool(firsts & {"total", "totals", "grand total", "subtotal"})


def _joined(name: str, queries: list[str]) -> str:
    """The rows of several queries, with what is added up in one row a key."""
    table = TABLES[name]
    added = ", ".join(f"sum({column}) AS {column}" for column in table.add_up)
    keys = ", ".join(table.key)
    parts = "\nUNION ALL BY NAME\n".join(f"({query})" for query in queries)
    return f"SELECT {keys}, {added}\nFROM (\n{parts})\nGROUP BY ALL"


def _files(export: Path) -> list[Path]:
    """The files that may be exports."""
    kinds = (*TEXT, *PARQUET, *BOOKS)
    inside = [export] if export.is_file() else sorted(export.iterdir())
    return [path for path in inside if path.is_file() and path.name.lower().endswith(kinds)]


def known_tools() -> list[str]:
    """A line for each export that is known: the tool, the export, and the tables that it gives."""
    return [
        f"{tool}: " + "; ".join(f"{e.name} ({', '.join(e.tables) or 'no table'})" for e in group)
        for tool, group in itertools.groupby(exports(), key=lambda export: export.tool)
    ]
