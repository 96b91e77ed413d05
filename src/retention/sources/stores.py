"""Typed sources: Parquet files and folders, Excel workbooks, SQL databases; cells come as the values they hold."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from retention.errors import ConfigError
from retention.sources.delimited import PIECE_ROWS, NotATableError

DAYS_1900, DAYS_1904 = "1899-12-30", "1904-01-01"  # day 0 of a workbook's day numbers, by its date system
EXCEL_ERRORS = {"#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NUM!", "#NULL!", "#SPILL!", "#CALC!"}  # N/A reads as blank


def parquet(path: Path) -> Iterator[pd.DataFrame]:
    """The rows of a Parquet file, or of a folder of them (also partitioned as `column=value`), a piece at a time."""
    import pyarrow as pa
    from pyarrow import dataset

    try:
        source = dataset.dataset(path, format="parquet", partitioning="hive")
        some = False
        for batch in source.to_batches(batch_size=PIECE_ROWS):
            if batch.num_rows:
                some = True
                yield _headed(pa.Table.from_batches([batch]).to_pandas(integer_object_nulls=True, ignore_metadata=True))
    except (pa.ArrowException, OSError) as error:
        raise NotATableError(f"cannot be read as Parquet ({_first_line(error)})", "Write it again.") from None
    if not some:
        raise NotATableError("holds no rows", "Export it again with at least one row.")


def sheets(path: Path) -> list[str]:
    """The names of a workbook's sheets."""
    with _book(path) as book:
        return list(book.sheetnames)


def first_day(path: Path) -> str:
    """The day that a workbook counts its day numbers from."""
    with _book(path) as book:
        return DAYS_1904 if book.epoch.year == 1904 else DAYS_1900


def excel(path: Path, sheet: str) -> Iterator[pd.DataFrame]:
    """The rows of one sheet; its first row with anything in it is the heading.

    NotATableError for cells with an error value, and for formulas whose value was never stored.
    """
    with _book(path) as book:
        rows = list(book[sheet].iter_rows())
    wrong = [cell.coordinate for row in rows for cell in row if cell.value in EXCEL_ERRORS]
    if _has_formulas(path):
        worked_out = {cell.coordinate for row in rows for cell in row if cell.value is not None}
        with _book(path, data_only=False) as book:
            entered = [cell for row in book[sheet].iter_rows() for cell in row if cell.data_type == "f"]
        wrong += [cell.coordinate for cell in entered if cell.coordinate not in worked_out]
    if wrong:
        problem = "has cells that hold an error or a formula never worked out"
        raise NotATableError(problem, "Mend them, or open the workbook, save it, and try again.", wrong, len(wrong))
    cells = [[cell.value for cell in row] for row in rows]
    frame = pd.DataFrame(cells, dtype=object).dropna(how="all").dropna(how="all", axis="columns")
    if len(frame) < 2:
        raise NotATableError("holds no rows", "It needs a row of headings and at least one row below.")
    head = ["" if pd.isna(name) else str(name) for name in frame.iloc[0]]
    yield _headed(frame.iloc[1:].set_axis(head, axis="columns").reset_index(drop=True))


def _headed(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with its headings trimmed; NotATableError where two are the same or one is blank."""
    head = [str(name).strip() for name in frame.columns]
    if twice := sorted({name or "(no name)" for name in head if head.count(name) > 1 or not name}):
        problem = f"has columns without a name of their own: {', '.join(twice)}"
        raise NotATableError(problem, "Give each column one name, in the first row.")
    return frame.set_axis(head, axis="columns")


@contextmanager
def _book(path: Path, data_only: bool = True) -> Iterator[Any]:
    import openpyxl

    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=data_only, keep_links=False)
    except (zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
        problem = f"{path.name} cannot be read as a workbook ({_first_line(error)})."
        raise ConfigError(f"{problem} Save it as .xlsx, without a password, or export its sheets as CSV.") from None
    try:
        yield book
    finally:
        book.close()


def _has_formulas(path: Path) -> bool:
    with zipfile.ZipFile(path) as book:
        names = [name for name in book.namelist() if name.startswith("xl/worksheets/")]
        return any(re.search(rb"<f[ >/]", book.read(name)) for name in names)


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

        try:
            url = sa.make_url(self.url)
            if url.get_backend_name() == "postgresql" and url.drivername == "postgresql":
                url = url.set(drivername="postgresql+psycopg")
            if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
                raise ConfigError(f"There is no SQLite file where {self.variable} says.")
            engine = sa.create_engine(url, poolclass=sa.NullPool, hide_parameters=True)
            with engine.connect() as connection, connection.begin() as whole:
                if url.get_backend_name() == "postgresql":
                    connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
                if url.get_backend_name() == "sqlite":
                    connection.exec_driver_sql("PRAGMA query_only = ON")
                yield connection
                whole.rollback()
        except (sa.exc.SQLAlchemyError, ImportError) as error:
            told = self._without_secrets(_first_line(getattr(error, "orig", None) or error))
            raise ConfigError(
                f"The database failed while {doing}: {told}. "
                f"Check the server, and the address in {self.variable}; then run again."
            ) from None

    def _without_secrets(self, text: str) -> str:
        import sqlalchemy as sa

        try:
            password = sa.make_url(self.url).password
        except sa.exc.ArgumentError:
            password = None
        for secret in (self.url, password):
            text = text.replace(str(secret), "***") if secret else text
        return text

    def rows(self, connection: Any, query: str) -> pd.DataFrame:
        """What the query gives, as the values the database holds."""
        import sqlalchemy as sa

        result = connection.execute(sa.text(query))
        head, rows = list(result.keys()), [tuple(row) for row in result]
        if not rows:
            raise NotATableError("holds no rows", "Check the query.")
        return _headed(pd.DataFrame(rows, columns=head, dtype=object))

    def names(self, connection: Any) -> list[str]:
        """The tables and views that the database shows."""
        import sqlalchemy as sa

        seen = sa.inspect(connection)
        return [*seen.get_table_names(), *seen.get_view_names()]


def _first_line(error: object) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200].rstrip(".")
