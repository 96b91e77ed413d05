"""Features of many clients, part by part: the same as of all at once, on every engine."""

import shutil

import pandas as pd
import polars as pl
import pytest
from polars import selectors

from retention.errors import ConfigError
from retention.history.features import KEY, signing_features
from retention.history.snapshots import _polars
from retention.history.window import Window
from retention.score.engines import write_features
from retention.settings import ResultsSettings

pytestmark = pytest.mark.long

COST = ResultsSettings(primary="cpa", better="lower")
BEGIN, CUTOFF = pd.Timestamp("2021-01-01"), pd.Timestamp("2025-12-31")


@pytest.fixture(scope="module")
def stored(sample_study, tmp_path_factory):
    """The tables of forty clients as Parquet, and their engagements."""
    folder = tmp_path_factory.mktemp("tables")
    own = sample_study.spells["client_id"].unique()[:40]
    for name, rows in sample_study.tables.frames.items():
        rows = (
            rows[rows["client_id"].isin(own)] if "client_id" in rows and name != "leads" else rows
        )
        rows = _polars(rows).with_columns(selectors.datetime().dt.cast_time_unit("us"))
        rows.collect().write_parquet(folder / f"{name}.parquet")
    return folder, sample_study.spells[sample_study.spells["client_id"].isin(own)]


def made(stored, out, **how):
    folder, spells = stored
    told = {
        "window": Window(),
        "results": COST,
        "begin": BEGIN,
        "cutoff": CUTOFF,
        "tell": lambda _: None,
    }
    write_features(folder, spells, out, **{**told, **how})
    rows = pl.read_parquet(sorted(out.rglob("*.parquet"))).to_pandas()
    rows = rows.astype({name: float for name in rows if name != "client_id"})
    return rows.sort_values([*KEY, "month"], ignore_index=True).sort_index(axis=1)


def test_parts_are_the_whole(stored, tmp_path):
    """Cut into many parts, the clients of a rep lie in several: the load is still that of all."""
    whole = made(stored, tmp_path / "whole")
    parts = made(stored, tmp_path / "parts", part_months=200)
    assert len(list((tmp_path / "parts").iterdir())) > 4 and whole["rep_load"].max() > 1
    pd.testing.assert_frame_equal(parts, whole, atol=1e-9)


def test_duckdb_writes_the_same(stored, tmp_path):
    pd.testing.assert_frame_equal(
        made(stored, tmp_path / "duck", engine="duckdb", part_months=500),
        made(stored, tmp_path / "polars"),
        atol=1e-9,
    )


@pytest.mark.skipif(
    not shutil.which("java"), reason="Spark needs Java 17: apt-get install openjdk-17-jre-headless"
)
def test_spark_writes_the_same(stored, tmp_path):
    from pyspark.sql import SparkSession

    local = {
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
    }
    local |= {"spark.sql.shuffle.partitions": "1", "spark.sql.session.timeZone": "UTC"}
    local |= {
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    }
    local |= {"spark.sql.adaptive.enabled": "false"}
    spark = SparkSession.builder.master("local[1]").config(map=local).getOrCreate()
    try:
        spark.sparkContext.setLogLevel("ERROR")
        found = made(stored, tmp_path / "spark", engine="spark")
        own = _polars(stored[1]).collect().to_arrow()
        signed = signing_features(spark.createDataFrame(own)).toPandas()
    finally:
        spark.stop()
    pd.testing.assert_frame_equal(found, made(stored, tmp_path / "polars"), atol=1e-9)
    ours = signing_features(_polars(stored[1])).collect().to_pandas()
    pd.testing.assert_frame_equal(
        *(rows.sort_values(KEY, ignore_index=True) for rows in (signed, ours)), check_dtype=False
    )


def test_an_unknown_engine_is_refused_and_a_run_that_fails_leaves_the_old(stored, tmp_path):
    with pytest.raises(ConfigError, match="no engine 'pandas'; it is one of polars, duckdb, spark"):
        made(stored, tmp_path / "out", engine="pandas")
    before = made(stored, tmp_path / "out")
    folder, spells = stored
    with pytest.raises(Exception, match="start_date"):
        made(
            (
                folder,
                spells.drop(columns="contract_term_months").rename(columns={"start_date": "x"}),
            ),
            tmp_path / "out",
        )
    again = pl.read_parquet(sorted((tmp_path / "out").glob("*.parquet")))
    assert len(again) == len(before)


def test_every_fault_of_the_files_is_told_at_once(stored, tmp_path):
    folder, spells = stored
    unfit = tmp_path / "unfit"
    shutil.copytree(folder, unfit)
    meetings = pl.read_parquet(folder / "meetings.parquet").with_columns(
        pl.col("held_on").cast(pl.String)
    )
    meetings.write_parquet(unfit / "meetings.parquet")
    pl.read_parquet(folder / "hours.parquet").drop("client_id").write_parquet(
        unfit / "hours.parquet"
    )
    with pytest.raises(ConfigError, match="2 fault") as told:
        made((unfit, spells), tmp_path / "out")
    assert "meetings: the column held_on holds String; write it as dates" in str(told.value)
    assert (
        "hours: the column client_id is missing" in str(told.value)
        and not (tmp_path / "out").exists()
    )
