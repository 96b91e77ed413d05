"""Features: counted by hand, the same on every engine, and blind to whatever was recorded later
(METHODS 7).
"""

import math

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from retention.data.schema import TABLES
from retention.history import measures
from retention.history.calendar import day_number
from retention.history.features import KEY, month_features, signing_features
from retention.history.measures import FEATURES, MEASURES
from retention.history.snapshots import last_month, month_of
from retention.history.window import Window
from retention.settings import Extra, ResultsSettings

COST = ResultsSettings(primary="cpa", better="lower")
CUT = pd.Timestamp("2024-06-30")


def arrow(frame: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(
        frame.astype({c: "string" for c in frame if frame[c].dtype == object}), preserve_index=False
    )


def polars(frame: pd.DataFrame) -> pl.LazyFrame:
    return pl.from_arrow(arrow(frame)).lazy()


def inputs(study, clients: int) -> dict[str, pd.DataFrame]:
    """The tables of the first clients, with their engagements and the months of the records."""
    own = study.spells["client_id"].unique()[:clients]
    frames = {name: rows for name, rows in study.tables.frames.items() if name != "clients"}
    frames = {
        n: f[f["client_id"].isin(own)] if "client_id" in f and n != "leads" else f
        for n, f in frames.items()
    }
    months = pd.DataFrame({"month": range(2018 * 12, 2026 * 12)})
    return frames | {
        "engagements": study.spells[study.spells["client_id"].isin(own)],
        "months": months,
    }


def made(frames: dict[str, pd.DataFrame], to=polars) -> pd.DataFrame:
    found = month_features(
        {name: to(frame) for name, frame in frames.items()}, Window(), COST, 2021 * 12
    )
    found = found.collect().to_pandas() if isinstance(found, pl.LazyFrame) else found
    return comparable(found)


def comparable(found: pd.DataFrame) -> pd.DataFrame:
    numbers = {name: float for name in found if name != "client_id"}
    found = found.astype(numbers | {"client_id": "string"})
    return found.sort_values([*KEY, "month"], ignore_index=True).sort_index(axis=1)


@pytest.fixture(scope="module")
def some(sample_study):
    return inputs(sample_study, 40)


def test_every_declared_feature_is_made(some):
    assert set(FEATURES) <= set(made(some))
    for name, about in FEATURES.items():
        assert about["theme"] in measures.THEMES, name
        assert about.get("measure", "liking") in MEASURES, name
    for name, about in MEASURES.items():  # what a measure waits for is declared in the tables
        known = {column.known for column in TABLES[about["table"]].columns}
        assert set(about["known"]) & (known | {"started_on", "issued_on"}), name


@pytest.mark.slow
def test_the_same_from_pandas_and_duckdb(some):
    reference = made(some)
    pd.testing.assert_frame_equal(made(some, lambda frame: frame), reference, atol=1e-9)
    base = duckdb.connect()
    found = month_features(
        {n: base.from_arrow(arrow(f)) for n, f in some.items()}, Window(), COST, 2021 * 12
    )
    pd.testing.assert_frame_equal(comparable(found.df()), reference, atol=1e-9)
    signed = [signing_features(to(some["engagements"])) for to in (polars, lambda f: f)]
    pd.testing.assert_frame_equal(
        comparable_signing(signed[0].collect().to_pandas()), comparable_signing(signed[1])
    )
    found = signing_features(base.from_arrow(arrow(some["engagements"]))).df()
    pd.testing.assert_frame_equal(comparable_signing(found), comparable_signing(signed[1]))


def comparable_signing(frame: pd.DataFrame) -> pd.DataFrame:
    texts = {name for name in frame if not pd.api.types.is_numeric_dtype(frame[name])}
    return frame.astype({n: "string" if n in texts else float for n in frame}).sort_values(
        KEY, ignore_index=True
    )


# What a row must have passed to count, by table: the columns that say when it was recorded.
RECORDED = {
    "contracts": ["signed_on"],  # as declared: a renewal signed ahead is known
    "account_months": ["month", "recorded_at"],
    "results": ["month", "recorded_at"],
    "assignments": ["from_date", "recorded_at"],
    "hours": ["month", "recorded_at"],
    "invoices": ["issued_on"],
    "payments": ["paid_on"],
    "requests": ["requested_on"],
    "meetings": ["held_on"],
    "flags": ["noted_on"],
}


def later(table: str, rows: pd.DataFrame) -> pd.Series:
    return rows[RECORDED[table]].max(axis=1) > CUT


def scrambled(rows: pd.DataFrame, keep: list[str]) -> pd.DataFrame:
    """Every value changed but keys and the days that say when it was recorded."""
    changed = rows.copy()
    for name in rows.columns.difference([*keep, "client_id", "invoice_id", "staff_id"]):
        kind = rows[name].dtype
        if pd.api.types.is_bool_dtype(kind):
            changed[name] = ~rows[name]
        elif pd.api.types.is_numeric_dtype(kind):
            changed[name] = rows[name].astype(float) * 3 + 7
        elif pd.api.types.is_datetime64_any_dtype(kind):
            changed[name] = rows[name] + pd.Timedelta(days=45)
    return changed


def tampered(some: dict[str, pd.DataFrame], how: str) -> dict[str, pd.DataFrame]:
    """The tables with whatever was recorded after the cut deleted, changed or doubled."""
    frames = dict(some)
    for name, known in RECORDED.items():
        rows, after = frames[name], later(name, frames[name])
        parts = {
            "delete": [],
            "change": [scrambled(rows[after], known)],
            "add": [rows[after], scrambled(rows[after], known)],
        }
        frames[name] = pd.concat([rows[~after], *parts[how]], ignore_index=True)
    surveys = frames["surveys"]
    asked, answered = surveys["invited_on"] > CUT, surveys["answered_on"] > CUT
    blank = surveys.assign(
        answered_on=surveys["answered_on"].mask(answered), nps=surveys["nps"].mask(answered)
    )
    blank["rep_liking"] = surveys["rep_liking"].mask(answered)
    parts = {
        "delete": blank[~asked],
        "change": scrambled(surveys, ["invited_on", "answered_on"]).where(
            answered | asked, surveys
        ),
    }
    parts["add"] = pd.concat(
        [surveys, scrambled(surveys[asked], ["invited_on", "answered_on"])], ignore_index=True
    )
    frames["surveys"] = parts[how].astype(surveys.dtypes)
    late = frames["requests"]["answered_on"] > CUT  # asked before, answered later
    frames["requests"] = frames["requests"].assign(
        answered_on=frames["requests"]["answered_on"].mask(late)
    )
    people = frames["engagements"]
    ended = people["recorded_date"].fillna(people["end_date"]) > CUT
    ending = [
        "end_date",
        "decision_date",
        "recorded_date",
        "end_initiator",
        "end_reason",
        "end_kind",
    ]
    people = people.assign(**{name: people[name].mask(ended) for name in ending})
    frames["engagements"] = people[people["start_date"] <= CUT]
    return frames


def departures(before: dict[str, pd.DataFrame], how: str) -> set[str]:
    """Features of months up to the cut that change when what was recorded after it does."""
    last = last_month(CUT)
    old, new = (
        found[found["month"] <= last].reset_index(drop=True)
        for found in (made(before), made(tampered(before, how)))
    )
    assert len(old) == len(new) > 100
    assert (old[[*KEY, "month"]] == new[[*KEY, "month"]]).all().all()
    same = np.isclose(
        old.drop(columns="client_id"), new.drop(columns="client_id"), atol=1e-9, equal_nan=True
    )
    return set(old.drop(columns="client_id").columns[~same.all(axis=0)])


@pytest.mark.slow
@pytest.mark.parametrize("how", ["delete", "change", "add"])
def test_nothing_recorded_later_changes_any_feature(some, how):
    assert departures(some, how) == set()


@pytest.mark.slow
def test_a_planted_leak_is_caught(some, monkeypatch):
    """A measure that counts by the month it is about, not the day it was recorded; and one made
    from the end.
    """
    monkeypatch.setitem(measures.MEASURES, "index", {**MEASURES["index"], "known": ["month"]})
    assert "index_now" in departures(some, "change")
    monkeypatch.undo()
    people = some["engagements"]
    told = people.assign(monthly_ad_spend=people["end_date"].notna() * 1000.0 + 1)
    leaky = dict(some, engagements=told)
    assert (
        departures(leaky, "delete") == set()
    )  # its values are the same on both sides: what was typed in at signing
    after = tampered(leaky, "delete")
    after["engagements"] = after["engagements"].assign(
        monthly_ad_spend=after["engagements"]["end_date"].notna() * 1000.0 + 1
    )
    old, new = made(leaky), made(after)
    both = old.merge(new, on=[*KEY, "month"], suffixes=("", "_new"))
    assert (both["log_size"] != both["log_size_new"]).any()


def few() -> dict[str, pd.DataFrame]:
    """Three clients: a month-to-month one, one on six months from the 1st, one on twelve months
    from mid-month.
    """
    day = pd.to_datetime
    people = pd.DataFrame(
        {
            "client_id": ["a", "b", "c"], "engagement": 1, "contract_term_months": [1, 6, 12],
            "start_date": day(["2024-01-01", "2024-01-01", "2023-02-15"]), "monthly_ad_spend": [math.e, 100.0, 1.0],
            "end_date": day(["2024-05-31", None, None]), "recorded_date": day(["2024-06-03", None, None]),
            "rep_id": ["r1", "r1", "r2"], "promised_result": [50.0, math.nan, math.nan],
        }
    )  # fmt: skip
    surveys = pd.DataFrame(
        {
            "client_id": ["a", "a", "a", "b"], "nps": [9, 6, None, 3], "rep_liking": [8.0, 4.0, None, 2.0],
            "invited_on": day(["2024-01-10", "2024-02-10", "2024-03-10", "2024-02-28"]),
            "answered_on": day(["2024-01-12", "2024-02-12", None, "2024-03-02"]),
        }
    )  # fmt: skip
    results = pd.DataFrame(
        {
            "client_id": "a", "metric": ["cpa", "cpa", "leads"],
            "month": day(["2024-01-01", "2024-02-01", "2024-01-01"]),
            "value": [100.0, 50.0, 3.0], "target": [50.0, 50.0, math.nan],
            "recorded_at": day(["2024-02-08", "2024-03-08", "2024-02-08"]),
        }
    )  # fmt: skip
    months = pd.DataFrame(
        {"client_id": "a", "month": day(["2024-01-01", "2024-02-01"]), "fee": [100.0, 300.0]}
    )
    months["recorded_at"], months["ad_spend"] = day(["2024-01-31", "2024-02-29"]), [1000.0, 1000.0]
    hours = pd.DataFrame(
        {"client_id": "a", "staff_id": "r1", "month": day(["2024-01-01"]), "hours": [2.0]}
    )
    staff = pd.DataFrame(
        {
            "staff_id": ["r1"],
            "role": ["rep"],
            "hourly_cost": [50.0],
            "started_on": day(["2020-01-01"]),
        }
    )
    invoices = pd.DataFrame(
        {
            "invoice_id": ["i1"],
            "client_id": ["a"],
            "issued_on": day(["2024-01-05"]),
            "due_on": day(["2024-02-05"]),
            "amount": 400.0,
        }
    )
    payments = pd.DataFrame(
        {"invoice_id": "i1", "paid_on": day(["2024-02-15", "2024-03-05"]), "amount": [100.0, 300.0]}
    )
    return {
        "engagements": people, "surveys": surveys, "results": results, "account_months": months, "hours": hours,
        "staff": staff, "invoices": invoices, "payments": payments,
        "months": pd.DataFrame({"month": range(2023 * 12, 2025 * 12)}),
    }  # fmt: skip


def test_features_by_hand():
    found = made(few()).set_index(["client_id", "month"])
    at = {
        name: found.loc[(name[0], 2024 * 12 + int(name[1]) - 1)]
        for name in ("a1", "a2", "a3", "a4", "b1", "b2", "b3", "c1")
    }
    assert [at[m]["liking_now"] for m in ("a1", "a2", "a3")] == [8, 4, 4] and at["a3"][
        "liking_6"
    ] == 6
    assert (
        at["a2"]["detractor_now"] == 1
        and at["a1"]["detractor_now"] == 0
        and at["a3"]["liking_age"] == 1
    )
    assert [at[m]["silent_3"] for m in ("a1", "a3", "b2", "b3")] == [0, pytest.approx(1 / 3), 1, 0]
    assert (
        math.isnan(at["b2"]["liking_now"]) and at["b3"]["liking_now"] == 2
    )  # asked in February, answered in March
    assert math.isnan(at["a1"]["index_now"]) and at["a2"]["index_now"] == pytest.approx(
        -math.log(2)
    )
    assert at["a3"]["index_now"] == 0 and at["a3"]["index_3"] == pytest.approx(-math.log(2) / 2)
    assert at["a3"]["gap_3"] == pytest.approx((math.log(100) + math.log(50)) / 2 - math.log(50))
    assert (
        at["a1"]["margin_3"] == 0
        and at["a2"]["margin_3"] == 0.75
        and at["a2"]["margin_a_month"] == 150
    )
    assert (
        at["a2"]["arrears"] == pytest.approx(300 / 200)
        and at["a3"]["arrears"] == 0
        and at["a1"]["arrears"] == 0
    )
    assert at["a2"]["late_now"] == 10 and at["a3"]["late_3"] == pytest.approx((10 + 29) / 2)
    assert at["a1"]["rep_load"] == 2 and at["c1"]["rep_load"] == 1 and at["a1"]["log_size"] == 1
    assert ("a", 2024 * 12 + 4) in found.index and (
        "a",
        2024 * 12 + 5,
    ) not in found.index  # May's end was unknown in May


def test_the_calendar_by_hand():
    """Renewals: b each 1 January and July, c each 15 February; notice a month before; the window
    two to four ahead.
    """
    found = made(few()).set_index(["client_id", "month"])
    b = [found.loc[("b", 2024 * 12 + m - 1)] for m in range(1, 7)]
    assert [row["tenure_months"] for row in b] == [1, 2, 3, 4, 5, 6]
    assert [row["months_to_renewal"] for row in b] == [5, 4, 3, 2, 1, 6]
    assert [row["renewal_due"] for row in b] == [0, 0, 1, 1, 1, 0]
    assert [row["exit_possible"] for row in b] == [
        1,
        1,
        1,
        0,
        0,
        0,
    ]  # notice by the end of May: four to two ahead
    c = {m: found.loc[("c", 2024 * 12 + m - 1)] for m in (1, 2, 3)}
    assert [c[m]["months_to_renewal"] for m in (1, 2, 3)] == [1, 12, 11] and c[1][
        "tenure_months"
    ] == 11
    c = [
        found.loc[("c", 2024 * 12 + m - 1)] for m in range(7, 13)
    ]  # notice by 15 January: in December or then
    assert [row["exit_possible"] for row in c] == [0, 1, 1, 1, 1, 0]
    assert all(found.loc[("a", 2024 * 12 + m)]["exit_possible"] == 1 for m in range(4))


def test_the_term_that_holds_is_the_last_signed():
    """b renews its half year for a year from 16 July on, signed on 20 May; then for a half year
    that ends by itself.
    """
    frames = few()
    frames["contracts"] = pd.DataFrame(
        {
            "client_id": "b",
            "signed_on": pd.to_datetime(["2024-01-01", "2024-05-20"]),
            "term_start": pd.to_datetime(["2024-01-01", "2024-07-16"]),
            "term_months": [6, 12],
            "notice_days": [62, 10],
            "auto_renew": [True, False],
        }
    )
    found = made(frames).set_index(["client_id", "month"])
    april, may, later = (found.loc[("b", 2024 * 12 + m)] for m in (3, 4, 6))
    assert (
        april["term_months"] == 6 and april["months_to_renewal"] == 2 and april["notice_days"] == 62
    )
    # Notice two months before the end of June has passed in April: nobody can leave in July, August
    # or September.
    assert april["exit_possible"] == 0 and found.loc[("b", 2024 * 12)]["exit_possible"] == 1
    assert may["term_months"] == 12 and may["months_to_renewal"] == 14 and may["turn_day"] == 16
    assert (
        may["notice_days"] == 0 and later["months_to_renewal"] == 12
    )  # what ends by itself takes no notice
    frames["contracts"] = frames["contracts"].assign(term_months=[6, 1])
    found = made(frames).set_index(["client_id", "month"])
    assert (
        found.loc[("b", 2024 * 12 + 4)]["monthly"] == 0
        and found.loc[("b", 2024 * 12 + 7)]["monthly"] == 1
    )


def test_an_earlier_assignment_written_down_late_takes_nothing_over():
    """Both clients are r2's from March; in May somebody notes that r1 had had one of them in
    January.
    """
    day = pd.to_datetime
    people = (
        few()["engagements"]
        .head(2)
        .assign(client_id=["a", "b"], start_date=day("2024-01-01"), rep_id="r0")
    )
    told = pd.DataFrame(
        {
            "client_id": ["a", "b", "a"], "staff_id": ["r2", "r2", "r1"], "role": "rep", "to_date": pd.NaT,
            "from_date": day(["2024-03-01", "2024-03-01", "2024-01-01"]),
            "recorded_at": day(["2024-03-02", "2024-03-02", "2024-05-02"]),
        }
    )  # fmt: skip
    people["end_date"] = people["recorded_date"] = pd.NaT
    frames = {"engagements": people, "months": few()["months"], "assignments": told}
    for to in (polars, lambda frame: frame):
        found = made(frames, to).set_index(["client_id", "month"])["rep_load"]
        assert [found["a", 2024 * 12 + m] for m in (2, 3, 4, 5)] == [2, 2, 2, 2]


def test_rows_in_any_order_give_the_same(some):
    shuffled = {name: frame.sample(frac=1, random_state=1) for name, frame in some.items()}
    pd.testing.assert_frame_equal(made(shuffled), made(some), atol=1e-12)


def test_columns_that_are_not_there_are_blank():
    frames = few()
    for table, column in (
        ("surveys", "nps"),
        ("results", "target"),
        ("staff", "hourly_cost"),
        ("engagements", "rep_id"),
    ):
        frames[table] = frames[table].drop(columns=column)
    found = made(frames)
    assert found[["nps_now", "index_now", "margin_3", "rep_load"]].isna().all().all()
    assert found["liking_now"].notna().any() and found["result_now"].notna().any()


def test_signing_features_take_what_was_known_at_signing_alone():
    people = few()["engagements"].assign(
        source="cold", end_reason="price", rush=True, mrr=5.0, score=1.0
    )
    extra = {"mrr": Extra(kind="number"), "score": Extra(kind="number", known="recorded_date")}
    found = pd.DataFrame(signing_features(people.assign(rush=people["engagement"] == 1), extra))
    assert (
        set(found) == {*KEY, "source", "rush", "promised_result", "mrr"}
        and found["rush"].tolist() == [1.0] * 3
    )


def test_months_are_counted_alike():
    days = pd.Series(pd.to_datetime(["2024-01-31", "2023-12-01"]))
    assert (
        month_of(days).tolist() == [24288, 24287]
        and last_month(pd.Timestamp("2024-01-31")) == 24288
    )
    assert last_month(pd.Timestamp("2024-01-30")) == 24287
    frame = pl.DataFrame(
        {
            "day": [
                pd.Timestamp("2000-03-01"),
                pd.Timestamp("2024-02-29"),
                pd.Timestamp("1999-12-31"),
            ]
        }
    )
    import narwhals as nw

    found = nw.from_native(frame).select(n=day_number(nw.col("day")))["n"].to_list()
    true = [pd.Timestamp(day).toordinal() for day in frame["day"]]
    assert np.diff(found).tolist() == np.diff(true).tolist()
