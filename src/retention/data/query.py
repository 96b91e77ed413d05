"""Tables made by a SQL query over the files of the source, run by DuckDB in a private folder.

Each file is a view of text columns under its name (`Time Entries.csv` is time_entries) or under the
alias that `[source.files]` gives it. Once the views are there the database can read those files and
nothing else, write nothing, and change no setting of its own.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from retention.data.delimited import PIECE_ROWS, NotATableError
from retention.data.layout import Sheet, layout_of
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


@dataclass
class Files:
    """The files that queries may read, by alias, and the database over them, opened when needed.

    `stack` closes the database and removes its folder.
    """

    named: dict[str, tuple[Path, FileSettings]]
    stack: ExitStack
    views: dict[str, Sheet] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)

    @cached_property
    def folder(self) -> Path:
        """A private folder (mode 0700) for what does not fit in memory; it goes with the run."""
        folder = Path(tempfile.mkdtemp(prefix="retention-"))
        self.stack.callback(shutil.rmtree, folder, ignore_errors=True)
        return folder

    def used_by(self, query: str) -> list[str]:
        """The aliases that a query names."""
        words = {word.casefold() for word in re.findall(r"\w+", query)}
        return [alias for alias in self.named if alias.casefold() in words]

    def digest(self, query: str) -> str:
        """A sha256 over the bytes of every file that the query names."""
        whole = hashlib.sha256()
        for alias in self.used_by(query):
            with self.named[alias][0].open("rb") as stream:
                whole.update(hashlib.file_digest(stream, "sha256").digest())
        return whole.hexdigest()

    def size(self, query: str) -> int:
        """The bytes of the files that the query names."""
        return sum(self.named[alias][0].stat().st_size for alias in self.used_by(query))

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
        database = duckdb.connect(":memory:", config=SAFE | {"temp_directory": spill})
        for alias in used:
            database.execute(f"CREATE VIEW {_quoted(alias)} AS {_select(self.views[alias])}")
        allowed = ", ".join(_literal(self.views[alias].path) for alias in used)
        database.execute(f"SET allowed_paths = [{allowed}]")
        database.execute("SET enable_external_access = false")
        database.execute("SET lock_configuration = true")
        return database

    def _is_read(self, alias: str) -> bool:
        """Whether the file of this alias can be read; its layout is kept, or why there is none.

        A word of the query may only look like an alias, so a file that cannot be read is told of
        where the query then fails.
        """
        if alias not in self.views and alias not in self.unreadable:
            path, how = self.named[alias]
            try:
                self.views[alias] = layout_of(path, how, self.folder)
            except NotATableError as no:
                problem = fault("clients", "", no.kind, **no.said).problem
                self.unreadable[alias] = f"{path.name} {problem}"
        return alias in self.views

    def _refusal(self, table: str, error: Exception) -> str:
        """Our words for what DuckDB says, with the files and columns that there are."""
        if self.unreadable and type(error).__name__ == "CatalogException":
            alias, why = next(iter(self.unreadable.items()))
            return sentence("query file", alias=alias, error=why)
        text = without_paths(str(error).strip().splitlines()[0])
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


def _select(sheet: Sheet) -> str:
    """The SELECT that reads a sheet's file as text, without the rows that are no data."""
    columns = ", ".join(f"{_literal(name)}: 'VARCHAR'" for name in sheet.headings)
    read = (
        f"read_csv({_literal(sheet.path)}, auto_detect = false, header = false, "
        f"columns = {{{columns}}}, skip = {sheet.skip}, delim = {_literal(sheet.mark)}, "
        "quote = '\"', escape = '\"', null_padding = true, strict_mode = false, parallel = false)"
    )
    first = _quoted(sheet.headings[0])
    kept = [f"NOT starts_with(lower(coalesce({first}, '')), {_literal(w)})" for w in sheet.stop_at]
    filled = " OR ".join(f"{_quoted(name)} IS NOT NULL" for name in sheet.headings)
    return f"SELECT * FROM {read} WHERE {' AND '.join([f'({filled})', *kept])}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: Any) -> str:
    return "'" + str(text).replace("'", "''") + "'"
