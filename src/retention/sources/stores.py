"""Typed sources: Parquet files and folders, Excel workbooks, SQL databases; cells come as the values they hold."""

from __future__ import annotations

import os
import re
import sqlite3
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree as ET

import pandas as pd

from retention.errors import ConfigError
from retention.sources.delimited import PIECE_ROWS, NotATableError

DAYS_1900, DAYS_1904 = "1899-12-30", "1904-01-01"  # day 0 of a workbook's day numbers, by its date system
_SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_NAMED = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"


def parquet(path: Path) -> Iterator[pd.DataFrame]:
    """The rows of a Parquet file, or of a folder of them (also partitioned as `column=value`), a piece at a time.

    NotATableError where the parts of a folder differ in their columns: what one part lacks must not read as blank.
    """
    import pyarrow as pa
    from pyarrow import dataset

    some = False
    try:
        source = dataset.dataset(path, format="parquet")
        if path.is_dir():
            kind = dataset.HivePartitioning.discover(infer_dictionary=False)
            source = dataset.dataset(path, format="parquet", partitioning=kind, partition_base_dir=str(path))
            source = source.replace_schema(_one_schema(source))
        for batch in source.to_batches(batch_size=PIECE_ROWS):
            if batch.num_rows:
                some = True
                yield _values(pa.Table.from_batches([batch]))
    except (pa.ArrowException, OSError) as error:
        raise NotATableError(f"cannot be read as Parquet ({_first_line(error)})", "Write it again.") from None
    if not some:
        raise NotATableError("holds no rows", "Export it again with at least one row.")


def _one_schema(source: Any) -> Any:
    """The schema that all parts of a folder share, with the partition columns; NotATableError where there is none."""
    import pyarrow as pa

    schemas = [part.physical_schema for part in source.get_fragments()]
    shared = set.intersection(*(set(schema.names) for schema in schemas))
    if odd := sorted(set().union(*(schema.names for schema in schemas)) - shared):
        raise NotATableError(f"has parts without the column {', '.join(odd)}", "Write all parts with the same columns.")
    partitions = [
        field for field in source.schema if field.name not in source.get_fragments().__next__().physical_schema.names
    ]
    return pa.unify_schemas([*schemas, pa.schema(partitions)], promote_options="permissive")


def _values(table: Any) -> pd.DataFrame:
    """A piece of Parquet as a frame of plain values: nothing coded, nothing nested."""
    import pyarrow as pa

    frame = table.to_pandas(integer_object_nulls=True, ignore_metadata=True)
    for field in table.schema:
        if pa.types.is_dictionary(field.type):
            frame[field.name] = frame[field.name].astype(object)
        if pa.types.is_nested(field.type):
            frame[field.name] = frame[field.name].map(str, na_action="ignore")
    return _headed(frame)


def sheets(path: Path) -> list[str]:
    """The names of a workbook's sheets."""
    return list(_book(path).sheetnames)


def first_day(path: Path) -> str:
    """The day that a workbook counts its day numbers from."""
    return DAYS_1904 if _book(path).epoch.year == 1904 else DAYS_1900


def excel(path: Path, sheet: str) -> Iterator[pd.DataFrame]:
    """The rows of one sheet; its first row with anything in it is the heading. Percentages come as text: "8%".

    NotATableError for what would read as a blank and is none: error values, formulas never worked out, merged cells.
    """
    page = _book(path)[sheet]
    rows = list(page.iter_rows())
    errors = [cell.coordinate for row in rows for cell in row if cell.data_type == "e"]
    if wrong := errors + _not_worked_out(path, sheet):
        problem = "has cells that hold an error or a formula never worked out"
        raise NotATableError(problem, "Mend them, or open the workbook, save it, and try again.", wrong, len(wrong))
    frame = pd.DataFrame([[_cell(cell) for cell in row] for row in rows], dtype=object)
    frame = frame.dropna(how="all").dropna(how="all", axis="columns")
    if len(frame) < 2:
        raise NotATableError("holds no rows", "It needs a row of headings and at least one row below.")
    if merged := [str(area) for area in page.merged_cells.ranges if area.max_row > frame.index[0] + 1]:
        raise NotATableError("has merged cells", "Unmerge them, and fill in each cell.", merged, len(merged))
    head = ["" if pd.isna(name) else str(name) for name in frame.iloc[0]]
    yield _headed(frame.iloc[1:].set_axis(head, axis="columns").reset_index(drop=True))


def _cell(cell: Any) -> Any:
    value = cell.value
    if isinstance(value, bool):
        return str(value)  # else it would be one with the number 1 or 0
    if isinstance(value, int | float) and "%" in cell.number_format:
        return f"{value * 100:.12g}%"
    return None if isinstance(value, str) and not value.strip() else value


def _not_worked_out(path: Path, sheet: str) -> list[str]:
    """Cells with a formula whose value was never stored; one that gives an empty text is stored as such."""
    with zipfile.ZipFile(path) as book:
        rels = {rel.get("Id"): rel.get("Target", "") for rel in ET.fromstring(book.read("xl/_rels/workbook.xml.rels"))}
        pages = {
            page.get("name"): rels[page.get(_NAMED)]
            for page in ET.fromstring(book.read("xl/workbook.xml")).iter(f"{_SHEET}sheet")
        }
        target = pages[sheet].lstrip("/")
        root = ET.fromstring(book.read(target if target.startswith("xl/") else f"xl/{target}"))
    return [
        cell.get("r", "")
        for cell in root.iter(f"{_SHEET}c")
        if cell.find(f"{_SHEET}f") is not None and not cell.findtext(f"{_SHEET}v") and cell.get("t") != "str"
    ]


def _headed(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with its headings trimmed; NotATableError where two are the same or one is blank."""
    head = [str(name).strip() for name in frame.columns]
    if twice := sorted({name or "(no name)" for name in head if head.count(name) > 1 or not name}):
        problem = f"has columns without a name of their own: {', '.join(twice)}"
        raise NotATableError(problem, "Give each column one name, in the first row.")
    return frame.set_axis(head, axis="columns")


@lru_cache(maxsize=2)  # a workbook is read once for all its sheets
def _loaded(path: Path, changed: int) -> Any:
    import openpyxl

    with warnings.catch_warnings():  # openpyxl's remarks on styles and extensions, which nothing here uses
        warnings.simplefilter("ignore", UserWarning)
        return openpyxl.load_workbook(path, data_only=True, keep_links=False)


def _book(path: Path) -> Any:
    try:
        return _loaded(path, path.stat().st_mtime_ns)
    except (zipfile.BadZipFile, KeyError, ValueError, OSError, EOFError, zlib.error, ET.ParseError) as error:
        problem = f"{path.name} cannot be read as a workbook ({_first_line(error)})."
        raise ConfigError(f"{problem} Save it as .xlsx, without a password, or export its sheets as CSV.") from None


class Database:
    """A SQL database named by an environment variable; read in one transaction, so that all tables are of one moment.

    Nothing is ever written to it. Its URL is in no message, log or file.
    """

    def __init__(self, variable: str) -> None:
        self.variable = variable
        self.url = os.environ.get(variable, "")
        if not self.url:
            raise ConfigError(f"The environment variable {variable}, named by [source] database, is not set.")

    @contextmanager
    def connected(self, doing: str) -> Iterator[Any]:
        """A read-only connection; ConfigError, without the address, for whatever goes wrong while `doing`."""
        import sqlalchemy as sa

        engine = self._engine()
        try:
            with engine.connect() as connection, connection.begin() as whole:
                if engine.dialect.name == "postgresql":
                    connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
                yield connection
                whole.rollback()
        except sa.exc.SQLAlchemyError as error:
            told = self._without_secrets(_first_line(getattr(error, "orig", None) or error))
            raise ConfigError(
                f"The database failed while {doing}: {told}. "
                f"Check the server, and the address in {self.variable}; then run again."
            ) from None

    def _engine(self) -> Any:
        import sqlalchemy as sa

        try:
            url = sa.make_url(self.url)
            if url.drivername == "postgresql":
                url = url.set(drivername="postgresql+psycopg")
            if url.get_backend_name() != "sqlite":
                return sa.create_engine(url, poolclass=sa.NullPool, hide_parameters=True)
        except (sa.exc.ArgumentError, ImportError, ValueError):  # their texts repeat parts of the address
            raise ConfigError(
                f"The address in {self.variable} cannot be used. It should read like "
                "postgresql://name:password@host/database, with signs such as @ or / in a password written as %40, "
                "%2F, and the driver for its database must be installed."
            ) from None
        path = Path((url.database or "").removeprefix("file:")).absolute()
        if not path.is_file():
            raise ConfigError(f"There is no SQLite file where {self.variable} says.")
        return sa.create_engine("sqlite://", poolclass=sa.NullPool, creator=lambda: _read_only(path))

    def _without_secrets(self, text: str) -> str:
        """The text without any part of the address: a password with a stray @ would show as a host."""
        for part in {self.url, *re.split(r"[/:@?&=]+", self.url)} - {"postgresql", "localhost", ""}:
            text = text.replace(part, "***") if len(part) > 2 else text
        return text

    def rows(self, connection: Any, query: str) -> pd.DataFrame:
        """What the query gives, as the values the database holds."""
        import sqlalchemy as sa

        result = connection.execute(sa.text(query))
        head, rows = list(result.keys()), [[_plain(value) for value in row] for row in result]
        if not rows:
            raise NotATableError("holds no rows", "Check the query.")
        return _headed(pd.DataFrame(rows, columns=head, dtype=object))

    def names(self, connection: Any) -> list[str]:
        """The tables and views that the database shows."""
        import sqlalchemy as sa

        seen = sa.inspect(connection)
        return [*seen.get_table_names(), *seen.get_view_names()]


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, bool) else value  # else it would be one with the number 1 or 0


def _read_only(path: Path) -> sqlite3.Connection:
    """A connection that can neither write to the file nor make another."""
    connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)
    connection.set_authorizer(lambda action, *_: sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_ATTACH else 0)
    return connection


def _first_line(error: object) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200].rstrip(".")
