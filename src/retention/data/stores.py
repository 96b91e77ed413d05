"""Typed sources: Parquet files and folders, Excel workbooks, SQL databases; cells come as the
values they hold.
"""

import datetime as dt
import os
import re
import sqlite3
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree as ET

import pandas as pd
import pyarrow as pa
from pyarrow import dataset

from retention.data.delimited import PIECE_ROWS, NotATableError, must_differ
from retention.data.words import sentence
from retention.errors import ConfigError

_SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def parquet(path: Path) -> Iterator[pd.DataFrame]:
    """The rows of a Parquet file, or of a folder of them (also partitioned as `column=value`), a
    piece at a time.

    NotATableError where the parts of a folder differ in their columns: what one part lacks must not
    read as blank.
    """
    some = False
    try:
        partitioning = path.is_dir()
        source = dataset.dataset(
            path, format="parquet", partitioning="hive" if partitioning else None
        )
        if path.is_dir():
            source = source.replace_schema(_one_schema(source))
        for batch in source.to_batches(batch_size=PIECE_ROWS):
            if batch.num_rows:
                some = True
                yield _values(batch)
    except (pa.ArrowException, OSError) as error:
        raise NotATableError("parquet", error=_first_line(error)) from None
    if not some:
        raise NotATableError("no parts")


def _one_schema(source: Any) -> Any:
    """The schema that all parts of a folder share, with the partition columns; NotATableError where
    there is none.
    """
    fragments = source.get_fragments()
    schemas = [part.physical_schema for part in fragments]
    parts = Counter(name for schema in schemas for name in set(schema.names))
    if odd := sorted(name for name, count in parts.items() if count < len(schemas)):
        raise NotATableError("parts", names=", ".join(odd))
    partitions = [field for field in source.schema if field.name not in parts]
    parts_of = [*schemas, pa.schema(partitions)]
    return pa.unify_schemas(parts_of, promote_options="permissive")


def _values(batch: pa.RecordBatch) -> pd.DataFrame:
    """A piece of Parquet as a frame of plain values: nothing coded, nothing nested."""
    frame = batch.to_pandas(integer_object_nulls=True, ignore_metadata=True)
    for field in batch.schema:
        if pa.types.is_dictionary(field.type):
            frame[field.name] = frame[field.name].astype(object)
        if pa.types.is_nested(field.type):
            frame[field.name] = frame[field.name].map(str, na_action="ignore")
    return _headed(frame)


def sheets(path: Path) -> list[str]:
    """The names of a workbook's sheets."""
    return list(_book(path).wb.sheetnames)


def first_day(path: Path) -> str:
    """The day that a workbook counts its day numbers from, in 1899 or 1904."""
    return f"{_book(path).wb.epoch:%Y-%m-%d}"


def excel(path: Path, sheet: str) -> Iterator[pd.DataFrame]:
    """The rows of one sheet; its first row with anything in it is the heading. Percentages come as
    text: "8%".

    NotATableError for what would read as a blank and is none: error values, formulas never worked
    out, merged cells.
    """
    page = _book(path).wb[sheet]
    rows = list(page.iter_rows())
    errors = [cell.coordinate for row in rows for cell in row if cell.data_type == "e"]
    if wrong := errors + _not_worked_out(path, sheet):
        raise NotATableError("formulas", wrong)
    frame = pd.DataFrame([[_cell(cell) for cell in row] for row in rows], dtype=object)
    filled = frame.dropna(how="all")
    frame = filled.dropna(how="all", axis="columns")
    if len(frame) < 2:
        raise NotATableError("no cells")
    if merged := [
        str(area) for area in page.merged_cells.ranges if area.max_row > frame.index[0] + 1
    ]:
        raise NotATableError("merged", merged)
    first_row = frame.iloc[0]
    head = ["" if pd.isna(name) else str(name) for name in first_row]
    yield _headed(frame.iloc[1:].set_axis(head, axis="columns").reset_index(drop=True))


def cells(path: Path, sheet: str) -> Iterator[list[str]]:
    """The cells of every row of a sheet as text, whatever they are: for a query, which says what
    is a heading and what is data.

    NotATableError for error values and formulas never worked out.
    """
    page = _book(path).wb[sheet]
    rows = list(page.iter_rows())
    errors = [cell.coordinate for row in rows for cell in row if cell.data_type == "e"]
    if wrong := errors + _not_worked_out(path, sheet):
        raise NotATableError("formulas", wrong)
    for row in rows:
        yield ["" if cell.value is None else _as_text(_cell(cell)) for cell in row]


def _as_text(value: Any) -> str:
    """A cell's value in a text file: days as 2025-12-31, whole numbers without a decimal point."""
    if isinstance(value, dt.datetime) and value.time() == dt.time():
        return f"{value:%Y-%m-%d}"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)


def _cell(cell: Any) -> Any:
    value = cell.value
    if isinstance(value, bool):
        return str(value)  # else it would be one with the number 1 or 0
    if isinstance(value, int | float) and "%" in cell.number_format:
        return f"{value * 100:.12g}%"
    return None if isinstance(value, str) and not value.strip() else value


def _not_worked_out(path: Path, sheet: str) -> list[str]:
    """Cells with a formula whose value was never stored; one that gives an empty text is stored as
    such.
    """
    pages_found = _book(path).parser.find_sheets()
    parts = {page.name: relation.target for page, relation in pages_found}
    with zipfile.ZipFile(path) as book:
        page_xml = book.read(parts[sheet])
        root = ET.fromstring(page_xml)
    cells_in = root.iter(f"{_SHEET}c")
    formulas = [cell for cell in cells_in if cell.find(f"{_SHEET}f") is not None]
    empty = [
        cell for cell in formulas if not cell.findtext(f"{_SHEET}v") and cell.get("t") != "str"
    ]
    return [cell.get("r", "") for cell in empty]


def _headed(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with its headings trimmed; NotATableError where two are the same or one is
    blank.
    """
    head = [str(name).strip() for name in frame.columns]
    must_differ(head, "row")
    return frame.set_axis(head, axis="columns")


@lru_cache(maxsize=2)  # a workbook is read once for all its sheets
def _loaded(path: Path, changed: int) -> Any:
    from openpyxl.reader.excel import ExcelReader

    with (
        warnings.catch_warnings()
    ):  # openpyxl's remarks on styles and extensions, which nothing here uses
        warnings.simplefilter("ignore", UserWarning)
        reader = ExcelReader(path, data_only=True, keep_links=False)
        reader.read()
    return reader


def _book(path: Path) -> Any:
    try:
        return _loaded(path, path.stat().st_mtime_ns)
    except (
        zipfile.BadZipFile,
        KeyError,
        ValueError,
        OSError,
        EOFError,
        zlib.error,
        ET.ParseError,
    ) as error:
        text = sentence("workbook", name=path.name, error=_first_line(error))
        raise ConfigError(text) from None


class Database:
    """A SQL database named by an environment variable; read in one transaction, so that all tables
    are of one moment.

    Nothing is ever written to it. Its URL is in no message, log or file.
    """

    def __init__(self, variable: str) -> None:
        self.variable = variable
        self.url = os.environ.get(variable, "")
        if not self.url:
            raise ConfigError(sentence("variable", variable=variable))

    @contextmanager
    def connected(self) -> Iterator[Any]:
        """A read-only connection; ConfigError, without the address, for whatever goes wrong with
        it.
        """
        import sqlalchemy as sa

        engine = self._engine()
        try:
            with engine.connect() as connection, connection.begin() as whole:
                if engine.dialect.name == "postgresql":
                    connection.exec_driver_sql(
                        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"
                    )
                yield connection
                whole.rollback()
        except sa.exc.SQLAlchemyError as error:
            original = getattr(error, "orig", None) or error
            told = self._without_secrets(_first_line(original))
            text = sentence("database", error=told, variable=self.variable)
            raise ConfigError(text) from None

    def _engine(self) -> Any:
        import sqlalchemy as sa

        try:
            url = sa.make_url(self.url)
            if url.drivername == "postgresql":
                url = url.set(drivername="postgresql+psycopg")
            if url.get_backend_name() != "sqlite":
                return sa.create_engine(url, poolclass=sa.NullPool, hide_parameters=True)
        except (
            sa.exc.ArgumentError,
            ImportError,
            ValueError,
        ):  # their texts repeat parts of the address
            text = sentence("address", variable=self.variable)
            raise ConfigError(text) from None
        place = (url.database or "").removeprefix("file:")
        path = Path(place).absolute()
        if not path.is_file():
            raise ConfigError(sentence("sqlite", variable=self.variable))
        return sa.create_engine(
            "sqlite://", poolclass=sa.NullPool, creator=lambda: _read_only(path)
        )

    def _without_secrets(self, text: str) -> str:
        """The text without any part of the address: a password with a stray @ would show as a
        host.
        """
        for part in {self.url, *re.split(r"[/:@?&=]+", self.url)} - {"postgresql", "localhost", ""}:
            text = text.replace(part, "***") if len(part) > 2 else text
        return text

    def rows(self, connection: Any, query: str) -> pd.DataFrame:
        """What the query gives, as the values the database holds; a frame without rows where it
        gives none.
        """
        import sqlalchemy as sa

        result = connection.execute(sa.text(query))
        # A truth value is text here, else it would be one with the number 1 or 0.
        rows = [
            [str(value) if isinstance(value, bool) else value for value in row] for row in result
        ]
        headings = list(result.keys())
        frame = pd.DataFrame(rows, columns=headings, dtype=object)
        return _headed(frame)

    def names(self, connection: Any) -> list[str]:
        """The tables and views that the database shows."""
        import sqlalchemy as sa

        seen = sa.inspect(connection)
        return [*seen.get_table_names(), *seen.get_view_names()]


def _read_only(path: Path) -> sqlite3.Connection:
    """A connection that can neither write to the file nor make another."""
    connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)
    connection.set_authorizer(
        lambda action, *_: sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_ATTACH else 0
    )
    return connection


def _first_line(error: object) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200].rstrip(".")
