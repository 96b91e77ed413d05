"""Tables made by a SQL query over the files of the source, run by DuckDB in a private folder.

Each file is a view of text columns under its name (`Time Entries.csv` is time_entries) or under the
alias that `[source.files]` gives it. Once the views are there the database can read those files and
nothing else, write nothing, and change no setting of its own. Queries may call the macros of
macros.sql, `answer('key')` for what [source.answers] says, and `known_client(text)` for the id of
the client of that id, name or mail address.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd

from retention.data.delimited import PIECE_ROWS, NotATableError
from retention.data.layout import Sheet, layout_of
from retention.data.views import count_doubles, literal, quoted, select
from retention.data.words import fault, sentence
from retention.errors import ConfigError, without_paths
from retention.settings import FileSettings

MEMORY = "500MB"  # (ours) what a query may hold at once; the rest goes to the private folder
SECONDS = 600  # (ours) after which a query is taken to run forever
SAFE: dict[str, str | bool | int | float | list[str]] = {
    "memory_limit": MEMORY,
    "threads": "2",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
}
KNOWN_CLIENT = "known_client"
OUR_CLIENTS = "our_clients_file"  # the alias of the clients' own file, where no query makes them
OUR_NAMES = """
CREATE TABLE our_names AS
WITH c AS (SELECT CAST(client_id AS VARCHAR) AS id, CAST(name AS VARCHAR) AS n FROM ({clients})),
words AS (
  SELECT -1 AS how, CAST(word AS VARCHAR) AS word, CAST(id AS VARCHAR) AS id
  FROM (VALUES {confirmed}) AS crosswalk(word, id) UNION
  SELECT 0 AS how, id AS word, id FROM c UNION SELECT 1, plain_name(id), id FROM c
  UNION SELECT 1, plain_name(n), id FROM c UNION SELECT 2, core_name(n), id FROM c
  UNION SELECT 3, replace(plain_name(n), ' ', ''), id FROM c
  UNION SELECT 3, replace(core_name(n), ' ', ''), id FROM c)
SELECT how, word, min(id) AS id FROM words WHERE word <> '' GROUP BY how, word
HAVING count(DISTINCT id) = 1
"""
# Words that name one client alone: -1 those of the crosswalk, 0 ids, 1 and 2 names, 3 names run
# together as in addresses.
_KNOWN = """
CREATE MACRO known_client(t) AS coalesce(
  (SELECT id FROM our_names WHERE how = -1 AND word = trim(CAST(t AS VARCHAR))),
  (SELECT id FROM our_names WHERE how = 0 AND word = trim(CAST(t AS VARCHAR))),
  (SELECT id FROM our_names WHERE how = 1 AND word = plain_name(t)),
  (SELECT id FROM our_names WHERE how = 2 AND word = core_name(t)),
  (SELECT id FROM our_names WHERE how = 3
     AND word = regexp_extract(lower(CAST(t AS VARCHAR)), '@([^.@]+)[.]', 1)))
"""


@dataclass
class Files:
    """The files that queries may read, by alias, and the database over them, opened when needed.

    `stack` closes the database and removes its folder. `clients` says where ids and names of
    clients are: a query, or which columns of OUR_CLIENTS hold them. `confirmed`: the client of
    a name, as a person has said.
    """

    named: dict[str, tuple[Path, FileSettings]]
    stack: ExitStack
    answers: dict[str, Any] = field(default_factory=dict)
    clients: str | dict[str, str] = ""
    confirmed: Mapping[str, str] = field(default_factory=dict)
    views: dict[str, Sheet] = field(default_factory=dict)
    more: dict[str, list[Sheet]] = field(default_factory=dict)  # by alias, further files of a kind
    unreadable: dict[str, str] = field(default_factory=dict)

    @cached_property
    def folder(self) -> Path:
        """A private folder (mode 0700) for what does not fit in memory; it goes with the run."""
        folder = Path(tempfile.mkdtemp(prefix="retention-"))
        self.stack.callback(shutil.rmtree, folder, ignore_errors=True)
        return folder

    def used_by(self, query: str) -> list[str]:
        """The aliases that a query names."""
        written = re.findall(r"\w+", query)
        words = {word.casefold() for word in written}
        if KNOWN_CLIENT in words:
            more = self.clients if isinstance(self.clients, str) else OUR_CLIENTS
            words_more = re.findall(r"\w+", more)
            words |= {word.casefold() for word in words_more}
        return [alias for alias in self.named if alias.casefold() in words]

    def digest(self, query: str) -> str:
        """A sha256 over the bytes of every file that the query names."""
        whole = hashlib.sha256()
        for path in self._paths(query):
            with path.open("rb") as stream:
                whole.update(hashlib.file_digest(stream, "sha256").digest())
        return whole.hexdigest()

    def size(self, query: str) -> int:
        """The bytes of the files that the query names."""
        return sum(path.stat().st_size for path in self._paths(query))

    def _paths(self, query: str) -> list[Path]:
        """The files that the query names, with the further ones of their kind."""
        paths = []
        for alias in self.used_by(query):
            path, how = self.named[alias]
            paths += [path, *(path.with_name(name) for name in how.also)]
        return paths

    def sheets(self, alias: str) -> list[Sheet]:
        """The files of an alias that was read."""
        return [self.views[alias], *self.more.get(alias, [])]

    def doubles(self, alias: str) -> int:
        """How many rows stand in more than one file of an alias."""
        if not self._is_read(alias) or len(self.sheets(alias)) < 2:
            return 0
        with self._opened(alias) as database:
            counted = database.execute(count_doubles(self.sheets(alias))).fetchone()
        return int(counted[0])

    def pieces(self, table: str, query: str) -> Iterator[pd.DataFrame]:
        """What the query gives, at most PIECE_ROWS rows at once.

        ConfigError where it is no single SELECT, fails, reads what is not a file of the source, or
        runs for more than SECONDS; NotATableError where it gives nothing.
        """
        import duckdb  # here: it starts threads, after which no kernel can be forked

        with ExitStack() as closing:
            database = closing.enter_context(self._opened(query))
            stop = threading.Timer(SECONDS, database.interrupt)
            closing.callback(stop.cancel)
            stop.start()
            try:
                yield from _rows(database, table, query)
            except duckdb.InterruptException:
                raise ConfigError(
                    sentence("query too long", table=table, minutes=SECONDS // 60)
                ) from None
            except duckdb.Error as error:
                raise ConfigError(self._refusal(table, error)) from None

    def _opened(self, query: str) -> Any:
        """A database with the views that the query names, which can reach nothing else."""
        import duckdb

        used = [alias for alias in self.used_by(query) if self._is_read(alias)]
        spill = str(self.folder / "spill")
        config = SAFE | {"temp_directory": spill}
        database = duckdb.connect(":memory:", config=config)
        database.execute("SET enable_progress_bar = false")  # no bar of its own on the terminal
        for alias in used:
            asks_line = "line" in query.casefold()
            once = self.named[alias][1].doubles == "once"
            rows = select(self.sheets(alias), asks_line, once)
            database.execute(f"CREATE VIEW {quoted(alias)} AS {rows}")
            self._ask_doubles(alias, database)
        database.execute(_macros())
        said = "".join(f"WHEN {literal(k)} THEN {literal(v)} " for k, v in self.answers.items())
        database.execute(f"CREATE MACRO answer(k) AS CASE k {said or 'WHEN NULL THEN NULL '}END")
        paths = [sheet.path for alias in used for sheet in self.sheets(alias)]
        allowed = ", ".join(map(literal, paths))
        database.execute(f"SET allowed_paths = [{allowed}]")
        if KNOWN_CLIENT in query.casefold():
            pairs = [f"({literal(k)}, {literal(v)})" for k, v in self.confirmed.items()]
            named = ", ".join(pairs) or "(NULL, NULL)"
            names = OUR_NAMES.format(clients=self._clients(), confirmed=named)
            database.execute(f"{names};{_KNOWN}")
        database.execute("SET enable_external_access = false")
        database.execute("SET lock_configuration = true")
        return database

    def clients_query(self) -> str:
        """The SELECT of the clients' ids and names, as the files spell them."""
        self._is_read(OUR_CLIENTS)
        return self._clients()

    def _clients(self) -> str:
        """The SELECT of the clients' ids and names."""
        if isinstance(self.clients, str):
            return self.clients or "SELECT NULL AS client_id, NULL AS name LIMIT 0"
        headings = self.views[OUR_CLIENTS].headings if OUR_CLIENTS in self.views else ()
        ours = {name.casefold().replace(" ", "_"): name for name in headings}
        taken = {name: self.clients.get(name) or ours.get(name) for name in ("client_id", "name")}
        columns = [f"{quoted(k) if k else 'NULL'} AS {name}" for name, k in taken.items()]
        return f"SELECT {', '.join(columns)} FROM {OUR_CLIENTS}"

    def _is_read(self, alias: str) -> bool:
        """Whether the file of this alias can be read; its layout is kept, or why there is none.

        A word of the query may only look like an alias, so a file that cannot be read is told of
        where the query then fails.
        """
        if alias not in self.views and alias not in self.unreadable:
            path, how = self.named[alias]
            try:
                self.views[alias] = layout_of(path, how, self.folder)
                others = [path.with_name(name) for name in how.also]
                self.more[alias] = [layout_of(other, how, self.folder) for other in others]
                self._refuse_other_headings(alias)
            except NotATableError as no:
                about = fault("clients", "", no.kind, **no.said)
                problem = about.problem
                self.unreadable[alias] = f"{path.name} {problem}"
        return alias in self.views

    def _refuse_other_headings(self, alias: str) -> None:
        """ConfigError where the files of an alias have other columns: a lack is no blank."""
        first = self.views[alias]
        path, how = self.named[alias]
        for name, sheet in zip(how.also, self.more[alias], strict=True):
            odd = set(first.headings) ^ set(sheet.headings)
            if odd:
                names = ", ".join(sorted(odd))
                raise ConfigError(
                    sentence("query headings", first=path.name, other=name, names=names)
                )

    def _ask_doubles(self, alias: str, database: Any) -> None:
        """ConfigError where files of one kind share rows and nobody has said what that means."""
        path, how = self.named[alias]
        if not how.also or how.doubles:
            return
        counted = database.execute(count_doubles(self.sheets(alias))).fetchone()
        if counted[0]:
            names = ", ".join([path.name, *how.also])
            count = f"{counted[0]:,}"
            raise ConfigError(sentence("query doubles", names=names, count=count, alias=alias))

    def _refusal(self, table: str, error: Exception) -> str:
        """Our words for what DuckDB says, with the files and columns that there are."""
        if self.unreadable and type(error).__name__ == "CatalogException":
            alias, why = next(iter(self.unreadable.items()))
            return sentence("query file", alias=alias, error=why)
        first = str(error).strip()
        text = without_paths(first.splitlines()[0])
        views = "; ".join(
            f"{alias} ({', '.join(sheet.headings)})" for alias, sheet in self.views.items()
        )
        return sentence(
            "query failed", table=table, error=text, files=", ".join(self.named), views=views
        )


def _rows(database: Any, table: str, query: str) -> Iterator[pd.DataFrame]:
    statements = database.extract_statements(query)
    if len(statements) != 1 or statements[0].type.name != "SELECT":
        raise ConfigError(sentence("query no select", table=table))
    reader = database.sql(query).to_arrow_reader(PIECE_ROWS)
    some = False
    for batch in reader:
        if batch.num_rows:
            some = True
            frame = batch.to_pandas(integer_object_nulls=True, ignore_metadata=True)
            yield frame.set_axis([str(name).strip() for name in frame.columns], axis="columns")
    if not some:
        raise NotATableError("no answer")


@cache
def _macros() -> str:
    return files("retention.data").joinpath("macros.sql").read_text("utf-8")
