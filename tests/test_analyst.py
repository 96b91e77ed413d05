"""The analyst's verbs: the numbers of the pages and of lifelines, cut by whatever one names, and no
leak in models of one's own.
"""

import datetime as dt
import doctest
import inspect
import math
import re
import shutil
import subprocess
import sys

import duckdb
import lifelines
import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_validate
from sklearn.pipeline import make_pipeline

import retention
from conftest import ROOT
from retention.analyst import groups
from retention.claims import remaining, term_curves
from retention.errors import ConfigError
from retention.frames import NAMES
from retention.history.follow_up import follow_up
from retention.history.snapshots import month_of

VERBS = sorted(retention.__all__)


def from_the_start(study) -> pd.DataFrame:
    """The clients seen from their start, so that no entry is late; without reps."""
    clients = study.clients
    return clients[clients["entry"] == 0].drop(columns="rep_id").reset_index(drop=True)


def test_survival_by_industry_is_that_of_lifelines(sample_study):
    clients = from_the_start(sample_study)
    frame = retention.survival(clients, by="industry").frame
    assert frame["group"].nunique() > 5
    for industry, own in frame.groupby("group"):
        rows = clients[clients["industry"] == industry]
        fitted = lifelines.KaplanMeierFitter().fit(rows["duration"], rows["event_observed"])
        theirs = fitted.survival_function_["KM_estimate"].loc[own["month"]]
        np.testing.assert_allclose(own["survival"], theirs, rtol=0, atol=1e-10)
        limits = fitted.confidence_interval_.loc[own["month"]]
        known = own["low"].notna().to_numpy() & (own["survival"] > 0).to_numpy()
        np.testing.assert_allclose(own[["low", "high"]][known], limits[known], atol=1e-10)


def test_survival_is_that_of_lifelines_with_late_entries_too(sample_study):
    clients = sample_study.clients
    seen = clients[clients["duration"] > clients["entry"]]
    assert (seen["entry"] > 0).sum() > 100
    fitter = lifelines.KaplanMeierFitter()
    fitter.fit(seen["duration"], seen["event_observed"], entry=seen["entry"])
    own = retention.survival(sample_study).frame
    theirs = fitter.survival_function_["KM_estimate"].loc[own["month"]]
    np.testing.assert_allclose(own["survival"], theirs, rtol=0, atol=1e-10)


@pytest.mark.slow
def test_the_verbs_give_the_numbers_of_the_pages(sample_study):
    spells = sample_study.spells
    page = term_curves.survival_by_term(spells)
    own = retention.survival(sample_study, by="contract_term_months").frame
    read = own[own["month"] <= own["followed"]]
    columns = ["month", "at_risk", "ended", "survival", "low", "high"]
    pd.testing.assert_frame_equal(
        read[columns].reset_index(drop=True), page[columns], check_dtype=False
    )
    a1 = sample_study.judge("A1")
    ratio = retention.ratio(sample_study, of="contract_term_months == 1").frame.iloc[0]
    assert math.isclose(ratio["ratio"], math.exp(a1.primary.theta))
    assert [ratio["low"], ratio["high"]] == pytest.approx(a1.verdict.interval_95)
    means = retention.restricted_mean(
        sample_study, by="contract_term_months == 1", where="contract_term_months.isin([1, 6, 12])"
    ).frame.set_index("group")
    estimates = term_curves.restricted_mean_estimates(spells).rows
    monthly = next(row for row in estimates if row.key[1].endswith(":24"))
    assert means.loc["yes", ["mean", "low", "high"]].to_list() == pytest.approx(
        [monthly.estimate, monthly.low, monthly.high]
    )
    gone = retention.incidence(sample_study, ends="client").frame
    counted = follow_up(spells)
    assert gone["month"].max() <= counted.stop.max() and gone["share"].is_monotonic_increasing
    triangle = remaining.cohorts(spells, pd.Timestamp(sample_study.cutoff))
    assert retention.cohorts(sample_study).frame["share"].tolist() == triangle["value"].tolist()


def test_intervals_are_the_wider_of_client_and_rep(sample_study):
    with_reps = retention.survival(sample_study).frame
    without = retention.survival(sample_study.clients.drop(columns="rep_id")).frame
    np.testing.assert_allclose(with_reps["survival"], without["survival"])
    known = with_reps["low"].notna()
    width = (with_reps["high"] - with_reps["low"])[known]
    narrow = (without["high"] - without["low"])[known]
    assert (width >= narrow - 1e-12).all() and (width > narrow + 0.01).any()


def ways_to_name(clients: pd.DataFrame) -> dict:
    by_client = clients[["client_id"]].drop_duplicates()
    flags = by_client.assign(fast=by_client["client_id"].str[-1].isin(list("02468")))
    named = clients["client_id"].str[-1].isin(list("02468"))
    return {
        "a column": ("fast", clients.assign(fast=named)),
        "text": ("client_id.str[-1].isin(['0', '2', '4', '6', '8'])", clients),
        "a function": (lambda rows: rows["client_id"].str[-1].isin(list("02468")), clients),
        "Narwhals": (nw.col("client_id").str.slice(-1).is_in(list("02468")), clients),
        "Polars": (pl.col("client_id").str.slice(-1).is_in(list("02468")), clients),
        "a Series": (named, clients),
        "a Polars Series": (pl.Series(named.to_numpy()), clients),
        "an array": (named.to_numpy(), clients),
        "a frame": (flags, clients),
        "a Polars frame": (pl.from_pandas(flags), clients),
        "DuckDB": (duckdb.from_df(flags), clients),
        "by client": (flags.set_index("client_id")["fast"], clients),
    }


def test_groups_may_be_named_in_every_way(sample_study):
    clients = sample_study.clients
    found = {
        way: retention.survival(rows, by=by, ends="client").frame
        for way, (by, rows) in ways_to_name(clients).items()
    }
    first = found["a column"]
    assert first["group"].unique().tolist() == ["no", "yes"]
    for way, frame in found.items():
        pd.testing.assert_frame_equal(frame, first, obj=way)
    for way, (where, rows) in ways_to_name(clients).items():
        assert retention.survival(rows, where=where).frame["at_risk"].max() < len(clients) / 1.5, (
            way
        )


def test_what_is_as_long_as_the_clients_fits_whoever_is_asked_about(sample_study):
    clients = sample_study.clients
    where = "source == 'referral'"
    expected = retention.survival(sample_study, by="prepaid", where=where).frame
    shuffled = clients.sample(frac=1, random_state=1)
    twice = pd.concat([clients, clients])
    for by in (clients["prepaid"], clients["prepaid"].to_numpy(), pl.Series(clients["prepaid"])):
        found = retention.survival(sample_study, by=by, where=where).frame
        pd.testing.assert_frame_equal(found, expected)
    found = retention.survival(shuffled, by=shuffled["prepaid"], where=where).frame
    np.testing.assert_allclose(found["survival"], expected["survival"])
    doubled = retention.survival(twice, by=twice["prepaid"], where=where).frame
    np.testing.assert_allclose(doubled["survival"], expected["survival"])
    marks = clients["prepaid"].to_numpy(bool)
    found = [
        retention.ratio(sample_study, of=of, where=where, by="contract_term_months").frame
        for of in ("prepaid", marks)
    ]
    pd.testing.assert_frame_equal(*found)


def test_numbers_are_cut_at_the_quantiles_that_are_stated():
    rows = pd.DataFrame({"n": [1.0, 2, 3, 4, 5, 6, 7, 8, np.nan]})
    cut = groups.grouped(rows, "n", (0.5,))
    assert cut.cat.categories.tolist() == ["up to 4.5", "over 4.5", "not known"]
    assert cut.value_counts().tolist() == [4, 4, 1]
    few = groups.grouped(rows.assign(n=rows["n"] % 2), "n")
    assert few.cat.categories.tolist() == ["0", "1", "not known"]
    everybody = groups.grouped(rows, None)
    assert everybody.cat.categories.tolist() == ["all"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"by": "industri"}, "neither a column nor an expression.*industry"),
        ({"by": [1, 2]}, "2 values for"),
        ({"by": 3}, "makes no groups"),
        ({"by": pd.DataFrame({"a": [1]})}, "must have client_id"),
        ({"where": "industry"}, "true or false"),
        ({"where": "@pd"}, "makes no groups"),
        ({"by": "monthly_ad_spend", "cuts": 3}, "shares of clients to cut at"),
        ({"by": "monthly_ad_spend", "cuts": "a"}, "shares of clients to cut at"),
        ({"by": "monthly_ad_spend", "cuts": [100, 5000]}, "shares of clients to cut at"),
        ({"by": "monthly_ad_spend", "cuts": []}, "shares of clients to cut at"),
        ({"ends": "clients"}, "there are client, agency"),
    ],
)
def test_what_cannot_be_asked_is_said(sample_study, asked, said):
    with pytest.raises(ValueError, match=said):
        retention.survival(sample_study, **asked)


def test_what_cannot_be_compared_is_said(sample_study):
    with pytest.raises(ConfigError, match="which cannot be held fixed.*industry"):
        retention.ratio(sample_study, of="prepaid", adjusted_for=["industri"])
    with pytest.raises(ConfigError, match="known only after signing"):
        retention.ratio(sample_study, of="prepaid", adjusted_for=["end_initiator"])
    with pytest.raises(ValueError, match="no claim 'A99'"):
        retention.judge(sample_study, "A99")
    with pytest.raises(ValueError, match="smallest"):
        retention.Claim("?", of="prepaid", smallest=1)
    with pytest.raises(ConfigError, match="open_study"):
        retention.ratio(sample_study.clients[["duration", "event_observed"]], of="duration > 3")
    nobody = retention.ratio(sample_study, of="fee_pct > 1000")
    assert nobody.frame["why"].iloc[0] and "cannot be compared" in nobody.sentence


def test_a_claim_of_ones_own_is_judged_by_the_rule(sample_study):
    of = "contract_term_months == 1"
    own = retention.judge(sample_study, retention.Claim("Do they?", of=of, smallest=1.25))
    ratio = retention.ratio(sample_study, of=of).frame.iloc[0]
    assert own.verdict.estimate == pytest.approx(ratio["ratio"])
    assert own.verdict.verdict == "holds" and own.frame.shape[0] == 3
    other_way = retention.judge(sample_study, retention.Claim("Not?", of=of, smallest=0.8))
    assert other_way.verdict.verdict == "does not hold"


@pytest.mark.slow
def test_frames_of_every_library_are_clients(tmp_path):
    clients = pd.read_csv(ROOT / "data" / "sample" / "clients.csv")
    about = {"cutoff": "2025-12-31", "records_begin": "2021-01-01"}
    first = retention.survival(retention.open_study(clients, **about), by="source").frame
    others = {
        "Polars": pl.from_pandas(clients),
        "lazy": pl.from_pandas(clients).lazy(),
        "DuckDB": duckdb.from_df(clients),
        "a table": {"clients": pl.from_pandas(clients)},
    }
    for name, frame in others.items():
        found = retention.survival(retention.open_study(frame, **about), by="source").frame
        pd.testing.assert_frame_equal(found, first, obj=name)
    with pytest.raises(ConfigError, match="records_begin"):
        retention.survival(pl.from_pandas(clients))
    with pytest.raises(ConfigError, match="retention.toml"):
        retention.open_study(str(tmp_path), records_begin="2021-01-01")


def test_every_column_of_every_frame_is_explained(sample_study):
    for name in NAMES:
        rows = getattr(sample_study, name)
        about = sample_study.describe(name)
        assert about["column"].tolist() == rows.columns.tolist()
        assert about["meaning"].str.len().min() > 0 and about["known"].str.len().min() > 0, name
        own = about["meaning"] == "a column of your own"
        assert not own.any(), about[own]
        plain = [kind for kind in rows.dtypes if not pd.api.types.is_object_dtype(kind)]
        assert len(plain) > 2
        pl.from_pandas(rows)
    assert pd.api.types.is_datetime64_any_dtype(sample_study.months["month"])
    assert sample_study.snapshots["month"].dt.is_month_end.all()
    with pytest.raises(ValueError, match="There are: clients"):
        sample_study.describe("client")


def test_the_frames_say_what_the_tables_behind_them_do(sample_study):
    rows = sample_study.month_ends
    snapshots = sample_study.snapshots
    assert month_of(snapshots["month"]).tolist() == rows["month"].tolist()
    assert snapshots["left"].sum() == (rows["outcome"] == "left").sum()
    assert snapshots["left"].isna().sum() == (~rows["outcome"].isin(["left", "stayed"])).sum()
    clients = sample_study.clients
    outcome = follow_up(sample_study.spells).only([1])
    assert clients["event_observed"].sum() == outcome.ended
    assert sample_study.opportunities["left"].sum() == sample_study.judge("A1").primary.n_events


def test_a_study_shows_itself_in_few_lines(sample_study):
    assert repr(sample_study).count("\n") == 0
    assert str(dt.date(2025, 12, 31)) in repr(sample_study)
    shown = sample_study._repr_html_()
    assert "account_months" in shown and "study.describe" in shown and len(shown) < 8000


def own_model():
    return make_pipeline(retention.Prepared(), LogisticRegression(C=0.01, max_iter=300))


@pytest.mark.parametrize("by_client", [False, True])
def test_the_splits_cannot_leak(sample_study, by_client):
    X, y = sample_study.examples()
    months = month_of(pd.Series(X.index.get_level_values("month"))).to_numpy()
    clients = X.index.get_level_values("client_id")
    ahead = sample_study.window.ahead
    splits = sample_study.splits(by_client)
    folds = list(splits.split(X, y))
    assert len(folds) == splits.get_n_splits(X, y) > 5
    for train, test in folds:
        assert months[train].max() + ahead <= months[test].min()
        assert not {*train} & {*test}
        assert not by_client or not {*clients[train]} & {*clients[test]}
    sizes = [len(train) for train, _ in folds]
    assert by_client or sizes == sorted(sizes)


def test_rows_that_do_not_tell_whose_they_are_are_refused(sample_study):
    X, y = sample_study.examples()
    splits = sample_study.splits()
    with pytest.raises(ValueError, match="do not tell whose"):
        next(splits.split(X.to_numpy(), y))
    with pytest.raises(ValueError, match="Give y"):
        next(splits.split(X))
    with pytest.raises(ValueError, match="cannot be split"):
        next(retention.TemporalSplit(min_events=10**6).split(X, y))
    groups_given = X.index.to_frame(index=False)
    again = splits.split(X.to_numpy(), y, groups_given)
    assert np.array_equal(next(again)[0], next(splits.split(X, y))[0])


@pytest.mark.slow
def test_a_planted_future_column_gains_nothing(sample_study):
    """What was written down as a client left is not known before, so it helps no model."""
    X, y = sample_study.examples()
    clients = sample_study.clients
    left = clients[clients["event_observed"]]
    planted = pd.DataFrame(
        {"client_id": left["client_id"], "written_on": left["end_date"], "exit_talk": 1.0}
    )
    added = retention.AsOf(planted, day="written_on")
    splits = sample_study.splits()
    scores = {
        name: cross_validate(model, X, y, cv=splits, scoring="neg_log_loss")["test_score"]
        for name, model in {
            "plain": own_model(),
            "planted": make_pipeline(added, *[step for _, step in own_model().steps]),
        }.items()
    }
    np.testing.assert_allclose(scores["planted"].mean(), scores["plain"].mean(), atol=0.003)
    told = planted.set_index("client_id")["exit_talk"].reindex(
        X.index.get_level_values("client_id")
    )
    cheating = X.assign(exit_talk=told.fillna(0.0).to_numpy())
    with_leak = cross_validate(own_model(), cheating, y, cv=splits, scoring="neg_log_loss")
    assert with_leak["test_score"].mean() > scores["plain"].mean() + 0.01


def test_what_is_recorded_later_changes_no_row(sample_study):
    X, _ = sample_study.examples()
    rng = np.random.default_rng(1)
    names = X.index.get_level_values("client_id").unique()
    days = pd.to_datetime("2021-01-01") + pd.to_timedelta(rng.integers(0, 1800, 3000), unit="D")
    table = pd.DataFrame({"client_id": rng.choice(names, 3000), "on": days})
    table = table.assign(value=rng.normal(size=3000))
    whole = retention.AsOf(table, day="on").fit_transform(X)
    for day in pd.to_datetime(["2022-06-30", "2024-01-31"]):
        early = X.index.get_level_values("month") <= day
        later = table["on"] > day
        changed = table.assign(value=table["value"].where(~later, 99.0))
        for other in (table[~later], changed, pd.concat([table, changed[later]])):
            again = retention.AsOf(other, day="on").fit_transform(X)
            pd.testing.assert_frame_equal(again[early], whole[early])


@pytest.mark.slow
def test_the_baselines_are_those_of_the_page(sample_study):
    found = retention.judge_model(sample_study, retention.baselines(sample_study)["calendar"])
    wide = found.frame.pivot(index="way", columns="figure", values="value")
    assert wide.loc["own"].tolist() == pytest.approx(wide.loc["calendar"].tolist())
    assert "not clearly better" in found.sentence or "more than" in found.sentence
    own = retention.predict(sample_study, own_model(), by="source")
    theirs = retention.predict(sample_study)
    assert set(own.frame["client_id"]) == set(theirs.frame["client_id"])
    with pytest.raises(ValueError, match="predict_proba"):
        retention.judge_model(sample_study, object())


@pytest.mark.slow
def test_boosting_of_ones_own_is_judged(sample_study):
    model = make_pipeline(retention.Prepared(), HistGradientBoostingClassifier(max_iter=20))
    found = retention.judge_model(sample_study, model)
    assert {"own", "model", "calendar"} <= set(found.frame["way"])
    assert found.plot().has_data() and "<table" in found._repr_html_()


@pytest.mark.slow
def test_every_result_shows_itself(sample_study):
    results = [
        retention.survival(sample_study, by="industry"),
        retention.incidence(sample_study),
        retention.restricted_mean(sample_study, by="fee_pct"),
        retention.ratio(sample_study, of="prepaid"),
        retention.cohorts(sample_study, by="source"),
        retention.judge(sample_study, "A4"),
        retention.predict(sample_study),
    ]
    for result in results:
        assert len(result.frame) and result.sentence and result.plot().has_data()
        shown = result._repr_html_()
        assert result.frame.shape[1] > 4 and "<table" in shown and str(result.sentence)[:20]


def test_names_are_data_and_never_markup(sample_study):
    hostile = "<script>alert(1)</script>"
    clients = sample_study.clients.assign(industry=hostile)
    found = retention.survival(clients, by="industry")
    assert hostile not in found._repr_html_() and found.plot().has_data()


def test_dir_is_the_verbs():
    assert dir(retention) == VERBS
    with pytest.raises(AttributeError):
        _ = retention.import_module_


@pytest.mark.parametrize("name", VERBS)
def test_every_public_name_is_documented(name):
    thing = getattr(retention, name)
    text = inspect.getdoc(thing)
    examples = doctest.DocTestParser().get_examples(text)
    assert examples and (name == "Prepared" or "Parameters\n---" in text)
    if inspect.isfunction(thing):
        assert "Returns\n---" in text
        parameters = [p for p in inspect.signature(thing).parameters if p not in ("asked", "study")]
        assert [p for p in parameters if p not in text] == []


def test_help_fits_on_a_screen():
    lines = inspect.getdoc(retention.survival).count("\n")
    assert lines < 40


def test_the_command_waits_for_no_pandas():
    code = "import sys, retention; retention.__all__; print('pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.slow
def test_what_the_document_shows_runs(sample_study, monkeypatch):
    monkeypatch.chdir(ROOT)
    tables = {name: sample_study.tables.frames[name] for name in ("clients", "surveys")}
    names = {"study": sample_study, "retention": retention, "frame": tables["clients"], **tables}
    text = (ROOT / "docs" / "analyst.md").read_text("utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.S)
    assert len(blocks) > 6
    for block in blocks:
        source = block.replace('"my/data"', '"data/sample"')
        source = source.replace('"retention.toml"', '"data/sample/retention.toml"')
        exec(compile(source, "docs/analyst.md", "exec"), names)
    assert len(names["change"].drop("left").abs().nlargest(10)) == 10


@pytest.mark.slow
def test_spark_frames_are_clients(sample_study):
    spark_sql = pytest.importorskip("pyspark.sql", reason="install pyspark and Java 17")
    if not shutil.which("java"):
        pytest.skip("install Java 17")
    local = {"spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1"}
    local |= {"spark.driver.bindAddress": "127.0.0.1", "spark.sql.shuffle.partitions": "1"}
    spark = spark_sql.SparkSession.builder.master("local[1]").config(map=local).getOrCreate()
    try:
        spark.sparkContext.setLogLevel("ERROR")
        columns = ["client_id", "duration", "event_observed", "entry", "source", "rep_id"]
        rows = sample_study.clients[columns]
        found = retention.survival(spark.createDataFrame(rows), by="source").frame
    finally:
        spark.stop()
    pd.testing.assert_frame_equal(found, retention.survival(rows, by="source").frame)


@pytest.mark.parametrize(
    "by", ["end_date", "end_reason == 'price'", pl.col("duration") > 12, "gone and prepaid"]
)
def test_groups_are_never_made_of_what_came_of_the_clients(sample_study, by):
    with pytest.raises(ValueError, match="known only once a client has left"):
        retention.survival(sample_study, by=by)
    with pytest.raises(ValueError, match="known only once a client has left"):
        retention.restricted_mean(sample_study, where=by)
