"""Month-end features of any number of clients, written as Parquet: part by part on one machine, or
on Spark.

The feature code is that of the report (`features.month_features`); here is only where the rows come
from and go to. On Polars and DuckDB the clients are taken part by part in the order of their ids,
so that memory depends on the size of a part and not on their number; a table sorted by client is
then read once, otherwise once a part.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import narwhals as nw
import pandas as pd
import polars as pl
from polars import selectors

from retention.data.folders import private, readable
from retention.data.schema import TABLES
from retention.errors import ConfigError
from retention.history.features import BEFORE, month_features, rep_loads
from retention.history.snapshots import last_month, month_of
from retention.history.window import Window
from retention.settings import ResultsSettings
from retention.words import say

ENGINES = ("polars", "duckdb", "spark")
PART_MONTHS = 1_000_000  # client-months that are held at once
SPILL = ".spill"  # what does not fit into memory, or is handed to an engine, beside what is written
NEEDS = {"duckdb": "pip install duckdb", "spark": "pip install pyspark, and Java 17"}
# the type in which a column of each kind must be written; text is the rest
TYPES = dict.fromkeys(("date", "month"), "dates")
TYPES |= dict.fromkeys(("number", "integer", "term"), "numbers") | {"flag": "flags"}
FITS: dict[str, Callable[[pl.DataType], bool]] = {
    "dates": lambda kind: kind.is_temporal(),
    "numbers": lambda kind: kind.is_numeric(),
    "flags": lambda kind: kind == pl.Boolean,
    "text": lambda kind: kind in (pl.String, pl.Categorical, pl.Enum),
}
Tell = Callable[[str], None]
Make = Callable[[Mapping[str, Any]], Any]


def write_features(
    folder: Path,
    spells: pd.DataFrame,
    out: Path,
    *,
    window: Window,
    results: ResultsSettings,
    begin: pd.Timestamp,
    cutoff: pd.Timestamp,
    engine: str = "polars",
    part_months: int = PART_MONTHS,
    tell: Tell = print,
) -> Path:
    """The folder `out` with the features of every month's end, in Parquet files.

    `folder` holds a Parquet file, or a folder of them, for each table; `spells` as `build_spells`
    makes them. An `out` that exists is replaced once all is written. ConfigError where the engine
    is not known or not installed, and with every column that is missing or of another type than
    declared. Source: METHODS 7.
    """
    if engine not in ENGINES:
        known = ", ".join(ENGINES)
        text = say("study.features.no_engine", engine=engine, known=known)
        raise ConfigError(text)
    tables = _tables(folder)
    last = last_month(cutoff)
    started = month_of(spells["start_date"])
    first = int(started.min()) - BEFORE
    months = begin.year * 12 + begin.month
    since = int(months - 1)

    def make(frames: Mapping[str, Any]) -> Any:
        return month_features(frames, window, results, since)

    every_month = range(first, last + 1)
    task = _Task(
        tables=tables,
        spells=spells.assign(spell=range(len(spells))),
        months=pd.DataFrame({"month": every_month}),
        last=last,
        part_months=part_months,
        make=make,
        tell=tell,
    )
    beside = out.with_name(f".{out.name}.new")
    fresh = _written(task, engine, beside)
    readable(fresh)
    shutil.rmtree(out, ignore_errors=True)
    fresh.rename(out)
    return out


@dataclass(frozen=True)
class _Task:
    """What is to be made: of which tables and engagements, for which months, and how."""

    tables: Mapping[str, Path]
    spells: pd.DataFrame
    months: pd.DataFrame
    last: int
    part_months: int
    make: Make
    tell: Tell


def _written(task: _Task, engine: str, fresh: Path) -> Path:
    """The new folder with all features; nothing of it is left where that fails."""
    # what a command that was killed left behind, its spilled rows too
    shutil.rmtree(fresh, ignore_errors=True)
    spill = private(private(fresh) / SPILL)
    try:
        if engine == "spark":
            _on_spark(task, fresh, spill)
        elif engine == "polars":
            _part_by_part(_Polars(task.tables), task, fresh)
        else:
            _part_by_part(_DuckDB(task.tables, spill), task, fresh)
    except ImportError as missing:
        shutil.rmtree(fresh)
        needs = NEEDS[engine]
        text = say("study.features.not_installed", engine=engine, needs=needs)
        raise ConfigError(text) from missing
    except BaseException:  # stopped by hand as well: clients' data do not stay behind
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    shutil.rmtree(spill, ignore_errors=True)
    return fresh


def _tables(folder: Path) -> dict[str, Path]:
    """The file or folder of each table; ConfigError with every column that cannot be used."""
    found = [*folder.glob("*.parquet")]
    found += [path for path in folder.iterdir() if any(path.glob("*.parquet"))]
    tables = {path.stem: path for path in sorted(found) if path.stem in {*TABLES} - {"clients"}}
    wrong = []
    for name, path in tables.items():
        scan = pl.scan_parquet(_files(path))
        wrong += faults(name, scan.collect_schema())
    if wrong:
        head = say("study.features.faults", faults=len(wrong))
        raise ConfigError("\n".join([head, *wrong]))
    return tables


def _files(path: Path) -> str:
    """A table's file, or all files of its folder."""
    return str(path / "*.parquet") if path.is_dir() else str(path)


def faults(name: str, schema: Mapping[str, pl.DataType]) -> list[str]:
    """Columns of a table that are missing, or of another type than declared, in sentences."""
    wrong: list[str] = []
    for column in TABLES[name].columns:
        kind = TYPES.get(column.kind, "text")
        found = schema.get(column.name)
        about = {"table": name, "column": column.name}
        if found is None and column.required:
            wrong.append("  " + say("study.features.missing", **about))
        elif found is not None and not FITS[kind](found):
            needed = say(f"study.features.{kind}")
            text = say("study.features.type", **about, found=found, needed=needed)
            wrong.append("  " + text)
    return wrong


def _parts(spells: pd.DataFrame, last: int, part_months: int) -> list[pd.DataFrame]:
    """The engagements in the order of the clients' ids, cut where so many months have come
    together.
    """
    key = ["client_id", "engagement"]
    ordered = spells.sort_values(key, kind="stable")
    clients = ordered["client_id"]
    start = month_of(ordered["start_date"])
    until = month_of(ordered["end_date"]).fillna(last)
    end = until.clip(upper=last)
    span = end - start + 1
    there = span.clip(lower=1)
    by_client = there.groupby(clients)
    so_far = by_client.sum().cumsum()
    number = (so_far - 1) // part_months
    return [part for _, part in ordered.groupby(clients.map(number))]


class _Polars:
    """Tables scanned lazily; of each only the clients of a part are read."""

    def __init__(self, tables: Mapping[str, Path]) -> None:
        self.tables = {name: pl.scan_parquet(_files(path)) for name, path in tables.items()}

    def frame(self, rows: pd.DataFrame) -> Any:
        texts = {name: "string" for name in rows if rows[name].dtype == object}
        typed = rows.astype(texts)
        return pl.from_pandas(typed).lazy()

    def between(self, first: str, last: str) -> dict[str, Any]:
        client = pl.col("client_id")
        inside = client.is_between(pl.lit(first), pl.lit(last))
        return {
            n: t.filter(inside) if "client_id" in t.collect_schema() else t
            for n, t in self.tables.items()
        }

    def pandas(self, found: Any) -> pd.DataFrame:
        return found.collect().to_pandas()

    def write(self, found: Any, path: Path) -> None:
        found.sink_parquet(
            path, compression="snappy"
        )  # as the other engines do; half the time of the default


class _DuckDB:
    """The same on DuckDB relations."""

    def __init__(self, tables: Mapping[str, Path], spill: Path) -> None:
        import duckdb

        self.base = duckdb.connect(config={"temp_directory": str(spill)})
        self.tables = {name: self.base.read_parquet(_files(path)) for name, path in tables.items()}

    def frame(self, rows: pd.DataFrame) -> Any:
        import pyarrow as pa

        texts = {name: "string" for name in rows if rows[name].dtype == object}
        table = pa.Table.from_pandas(rows.astype(texts), preserve_index=False)
        return self.base.from_arrow(table)

    def between(self, first: str, last: str) -> dict[str, Any]:
        low, high = (text.replace("'", "''") for text in (first, last))
        inside = f"client_id BETWEEN '{low}' AND '{high}'"
        return {
            n: t.filter(inside) if "client_id" in t.columns else t for n, t in self.tables.items()
        }

    def pandas(self, found: Any) -> pd.DataFrame:
        return found.df()

    def write(self, found: Any, path: Path) -> None:
        found.write_parquet(str(path))


def _part_by_part(engine: _Polars | _DuckDB, task: _Task, out: Path) -> None:
    """Each part's features; how many clients a rep has is counted over all parts first."""
    parts = _parts(task.spells, task.last, task.part_months)
    about = {"months": engine.frame(task.months)}
    given = []
    for part in parts:
        newest = str(part["client_id"].iloc[-1])
        first, last = str(part["client_id"].iloc[0]), newest
        tables = engine.between(first, last)
        rows = engine.frame(part)
        given.append({**tables, "engagements": rows, **about})
    if len(parts) > 1:
        task.tell(say("study.features.counting"))
        loads = engine.frame(_all_loads(engine, given))
        given = [{**frames, "loads": loads} for frames in given]
    for number, frames in enumerate(given, 1):
        path = out / f"part-{number:04d}.parquet"
        engine.write(task.make(frames), path)
        task.tell(say("study.features.part", number=number, parts=len(parts)))


def _all_loads(engine: _Polars | _DuckDB, parts: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """How many clients each rep had by month, over all parts: `rep, month, rep_load`."""
    by_part = [_loads(engine, frames) for frames in parts]
    loads = pd.concat(by_part)
    sums = loads.groupby(["rep", "month"], as_index=False)
    every = sums["rep_load"].sum()
    types = {"rep": object, "month": "int64", "rep_load": float}
    return every.astype(types)


def _loads(engine: _Polars | _DuckDB, tables: Mapping[str, Any]) -> pd.DataFrame:
    """The clients of each rep by month among these; none where nobody's rep is known."""
    named = {"assignments", "staff", "engagements", "months"}
    known = (
        "assignments" in tables
        or "rep_id" in nw.from_native(tables["engagements"]).lazy().collect_schema()
    )
    if not known:
        return pd.DataFrame({"rep": [], "month": [], "rep_load": []})
    return engine.pandas(
        rep_loads({name: table for name, table in tables.items() if name in named})
    )


def _on_spark(task: _Task, out: Path, spill: Path) -> None:
    """All of it in one plan; the session is the one there is, else a local one."""
    from pyspark.sql import SparkSession

    spark = SparkSession.builder.getOrCreate()
    spells = task.spells
    texts = {name: "string" for name in spells if spells[name].dtype == object}
    frames: dict[str, Any] = {}
    for name, path in task.tables.items():
        frames[name] = spark.read.parquet(str(path))
    with tempfile.TemporaryDirectory(dir=spill) as folder:
        for name, rows in (("engagements", spells.astype(texts)), ("months", task.months)):
            path = Path(folder) / f"{name}.parquet"
            days = selectors.datetime().dt.cast_time_unit("us")  # Spark reads no finer
            pl.from_pandas(rows).with_columns(days).write_parquet(path)
            frames[name] = spark.read.parquet(str(path))
        task.make(frames).write.parquet(str(out / "part"))
