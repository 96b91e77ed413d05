"""Where each table is: a file of its own, a sheet of a workbook, or a query; how to read it and
tell it from others.
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd

from retention.data import stores
from retention.data.crosswalk import Crosswalk, crosswalk_of, digest_with
from retention.data.delimited import NotATableError, delimited
from retention.data.query import OUR_CLIENTS, Files
from retention.data.schema import TABLES
from retention.data.words import sentence
from retention.errors import ConfigError
from retention.settings import FileSettings, Settings, TableSettings

TEXT = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
PARQUET = (".parquet", ".pq")
BOOKS = (".xlsx", ".xlsm")
LARGE_BYTES = 200_000_000


@dataclass(frozen=True)
class Place:
    """One table's source: what messages call it, its rows a piece at a time, its sha256, and its
    bytes if in files.
    """

    name: str
    pieces: Callable[[], Iterator[pd.DataFrame]]
    digest: Callable[[], str]
    size: int = 0
    first_day: str = ""


def find(settings: Settings, stack: ExitStack) -> dict[str, Place]:
    """The place of each table that the source holds; a database stays connected until `stack` is
    closed.

    ConfigError where a setting names what is not there, where clients are not found, or two files
    claim one table.
    """
    if unknown := [name for name in settings.tables if name not in TABLES]:
        names = ", ".join(unknown)
        known = ", ".join(TABLES)
        raise ConfigError(sentence("unknown", names=names, known=known))
    if settings.source.database:
        found = _in_database(settings, stack)
    else:
        found = _in_files(settings, stack)
    if lost := [name for name, how in settings.tables.items() if name not in found and how.use]:
        names_lost = ", ".join(lost)
        raise ConfigError(sentence("lost", names=names_lost, table=lost[0]))
    crosswalk = crosswalk_of(settings)
    return {name: _joined(found[name], name, crosswalk) for name in TABLES if name in found}


def _joined(place: Place, table: str, crosswalk: Crosswalk) -> Place:
    """The place with a fingerprint that counts the names confirmed for it."""
    if table == "clients":
        return place
    return replace(place, digest=lambda: digest_with(place.digest(), crosswalk))


def _in_files(settings: Settings, stack: ExitStack) -> dict[str, Place]:
    folder = settings.base / settings.source.folder
    queries = {name: how.query for name, how in settings.tables.items() if how.query and how.use}
    made = _by_query(settings, queries, stack) if queries else {}
    if settings.source.file:
        clients_path = settings.base / settings.source.file
        named = {"clients": clients_path}
    else:
        if not folder.is_dir():
            raise ConfigError(sentence("folder", folder=folder))
        named = {
            name: path
            for name in TABLES
            if settings.table(name).use and (path := _named(folder, name))
        }
    named |= {name: folder / table.file for name, table in settings.tables.items() if table.file}
    if (
        not named
        and len(books := [path for path in folder.iterdir() if path.suffix.lower() in BOOKS]) == 1
    ):
        named["clients"] = books[0]
    named = {name: path for name, path in named.items() if name not in made}
    if not {"clients"} & {*named, *made}:
        columns = ", ".join(TABLES["clients"].required)
        text = sentence("clients", folder=folder, columns=columns)
        raise ConfigError(text)
    if absent := [str(path) for path in named.values() if not path.exists()]:
        absent_names = ", ".join(absent)
        raise ConfigError(sentence("absent", names=absent_names))
    places = {name: place_of(path, settings.table(name), name) for name, path in named.items()}
    others = _other_sheets(named["clients"], settings) if "clients" in named else {}
    return others | places | made


def _by_query(settings: Settings, queries: dict[str, str], stack: ExitStack) -> dict[str, Place]:
    """The place of each table that a query makes of the files."""
    words = {word for query in queries.values() for word in re.findall(r"\w+", query.casefold())}
    files = files_of(settings, words, stack)
    return {
        name: Place(
            f"the query for {name}",
            partial(files.pieces, name, query),
            partial(files.digest, query),
            files.size(query),
        )
        for name, query in queries.items()
    }


def files_of(settings: Settings, words: set[str], stack: ExitStack) -> Files:
    """The files that queries may read, with what the settings answer, and where clients' names
    are.
    """
    named = _aliases(settings, words)
    how = settings.table("clients")
    clients: str | dict[str, str] = how.query
    if not how.query and (path := _clients_file(settings)):
        named[OUR_CLIENTS] = (
            path,
            FileSettings(file=path.name, sheet=how.sheet, encoding=how.encoding),
        )
        clients = how.columns
    cutoff = {"cutoff": settings.cutoff.isoformat()} if settings.cutoff else {}
    answers = cutoff | settings.source.answers
    confirmed = crosswalk_of(settings).clients
    return Files(named, stack, answers, clients, confirmed)


def _clients_file(settings: Settings) -> Path | None:
    """The file that holds the clients, where that is one."""
    folder = settings.base / settings.source.folder
    if settings.source.file:
        path = settings.base / settings.source.file
    else:
        own = settings.table("clients").file
        path = folder / own if own else _named(folder, "clients") or folder
    return path if path.is_file() else None


def _aliases(settings: Settings, words: set[str]) -> dict[str, tuple[Path, FileSettings]]:
    """The files that queries may read, by alias: those of `[source.files]`, and all of the folder
    by their names.

    ConfigError where one is not there, or two have a name that is one of the queries' `words`.
    """
    folder = settings.base / settings.source.folder
    if settings.source.file:
        place = settings.base / settings.source.file
        folder = place.parent
    found: dict[str, tuple[Path, FileSettings]] = {}
    for alias, how in settings.source.files.items():
        path = folder / how.file
        for name in (how.file, *how.also):
            if not (folder / name).is_file():
                raise ConfigError(sentence("query names", alias=alias, name=name))
        found[alias] = path, how
    named = {
        path.with_name(name) for path, how in found.values() for name in (path.name, *how.also)
    }
    ends = (*TEXT, *PARQUET, *BOOKS)
    paths = [p for p in sorted(folder.glob("*")) if p.name.lower().endswith(ends) and p.is_file()]
    for path in paths:
        stem = path.name.split(".")
        alias = plain(stem[0])
        if path in named:
            continue
        if alias in found and alias in words:
            names = f"{found[alias][0].name} and {path.name}"
            raise ConfigError(sentence("query twice", names=names))
        found[alias] = path, FileSettings(file=path.name)
    return found


def _named(folder: Path, table: str) -> Path | None:
    """The file or folder of that table's name, in whatever format; ConfigError where there
    are two.
    """
    found = [
        path for end in (*TEXT, *PARQUET, *BOOKS) if (path := folder / f"{table}{end}").exists()
    ]
    found += [path] if (path := folder / table).is_dir() else []
    if len(found) > 1:
        names = " and ".join(path.name for path in found)
        text = sentence("which", folder=folder, names=names, table=table)
        raise ConfigError(text)
    return found[0] if found else None


def _other_sheets(path: Path, settings: Settings) -> dict[str, Place]:
    """The tables that are further sheets, by name, of the clients' workbook."""
    if path.suffix.lower() not in BOOKS:
        return {}
    named = {name for name, how in settings.tables.items() if how.sheet and not how.file}
    named |= {plain(sheet) for sheet in stores.sheets(path)}
    tables = {name: settings.table(name) for name in TABLES if name in named and name != "clients"}
    return {name: place_of(path, how, name) for name, how in tables.items() if how.use}


def plain(name: str) -> str:
    """A name as our tables and columns are spelt: "Account Months" is account_months."""
    words = name.casefold().replace("-", " ")
    apart = words.replace("_", " ")
    return "_".join(apart.split())


def place_of(path: Path, how: TableSettings, table: str) -> Place:
    """The place of a table in this file or folder; ConfigError for a kind of file that is not
    read.
    """
    low = path.name.lower()
    name = path.name
    first_day = ""
    if low.endswith(BOOKS):
        sheet = _sheet(path, how.sheet, table)
        name = f"{path.name}, sheet {sheet}"
        first_day = stores.first_day(path)
        pieces = partial(stores.excel, path, sheet)
    elif path.is_dir() or low.endswith(PARQUET):
        pieces = partial(stores.parquet, path)
    elif low.endswith(TEXT):
        pieces = partial(delimited, path, how.encoding)
    else:
        raise ConfigError(
            sentence("kind", name=path.name, kinds=", ".join((*TEXT, *PARQUET, *BOOKS)))
        )
    return Place(
        name,
        pieces,
        lambda: digest(path),
        sum(file.stat().st_size for file in _files(path)),
        first_day,
    )


def _sheet(path: Path, wanted: str, table: str) -> str:
    names = stores.sheets(path)
    fits = [name for name in names if name == wanted or (not wanted and plain(name) == table)]
    fits = fits or (names if len(names) == 1 and not wanted else [])
    if not fits:
        sheets = ", ".join(names)
        text = sentence("sheet", name=path.name, table=table, sheets=sheets)
        raise ConfigError(text)
    return fits[0]


def _files(path: Path) -> list[Path]:
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


def digest(path: Path) -> str:
    """The sha256 of a file's bytes, or of all files of a folder with their names."""
    whole = hashlib.sha256()
    for file in _files(path):
        whole.update(str(file.relative_to(path)).encode() if path.is_dir() else b"")
        with file.open("rb") as stream:
            hashlib.file_digest(stream, lambda: whole)
    return whole.hexdigest()


def _in_database(settings: Settings, stack: ExitStack) -> dict[str, Place]:
    database = stores.Database(settings.source.database)
    connection = stack.enter_context(database.connected())
    here = [
        name for name in database.names(connection) if name in TABLES and settings.table(name).use
    ]
    queries = {name: f'SELECT * FROM "{name}"' for name in here}
    queries |= {name: how.query for name, how in settings.tables.items() if how.query}
    if "clients" not in queries:
        raise ConfigError(sentence("clients query"))
    return {name: _query(database, connection, name, query) for name, query in queries.items()}


def _query(database: stores.Database, connection: object, name: str, query: str) -> Place:
    """A query's rows, fetched once and kept, with a digest that does not depend on their order."""
    rows = cache(lambda: database.rows(connection, query))

    def fingerprint() -> str:
        texts = rows().astype("string")
        hashes = pd.util.hash_pandas_object(texts, index=False)
        in_order = np.sort(hashes.to_numpy())
        return hashlib.sha256(in_order.tobytes()).hexdigest()

    def pieces() -> Iterator[pd.DataFrame]:
        if rows().empty:
            raise NotATableError("no answer")
        yield rows()

    return Place(f"the query for {name}", pieces, fingerprint)
