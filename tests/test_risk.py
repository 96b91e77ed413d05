"""The classifier: labels and splits by hand, honest judgement, scores, leaks and the threshold of
spend (METHODS 7).
"""

import inspect
import math

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss

from retention.cli import cli
from retention.data.schema import write_csv
from retention.history import snapshots
from retention.history.snapshots import LEFT, NOT_YET, OTHER_END, STAYED, TOO_LATE, known, splits
from retention.history.spells import build_spells
from retention.history.window import Window
from retention.parameters import SEAL
from retention.score import accuracy, guards, leads, net_benefit, resampling, scores, validation
from retention.score import model as risk
from retention.settings import Extra, Settings
from retention.stats.hazards import NotFittedError
from retention.study import Study, open_study, prepare
from retention.words import key_of, say


@pytest.fixture(scope="module")
def found(sample_study):
    return validation.judged(sample_study.month_ends, sample_study.window)


@pytest.fixture(scope="module")
def scored(sample_study, found):
    s = sample_study
    return scores.scores(
        s.month_ends, s.spells, scores.scorer(s.month_ends, found, s.window), s.settings, s.standing
    )


def test_outcomes_by_hand():
    """Two to four months ahead; decided in May of one year, predicted from December to May; cut-off
    in June.
    """
    start = 2024 * 12
    rows = pd.DataFrame(
        {"month": range(start - 1, start + 5), "decided": start + 4.0, "kind": "client"}
    )
    last = start + 5
    outcome = snapshots._outcome(rows, Window(), last)
    assert outcome.tolist() == [STAYED, LEFT, LEFT, NOT_YET, NOT_YET, NOT_YET]
    assert snapshots._outcome(rows, Window(), last + 9).tolist() == [
        STAYED,
        LEFT,
        LEFT,
        LEFT,
        TOO_LATE,
        TOO_LATE,
    ]
    other = snapshots._outcome(rows.assign(kind="agency"), Window(), last + 9)
    assert other.tolist() == [STAYED, OTHER_END, OTHER_END, OTHER_END, OTHER_END, OTHER_END]
    assert snapshots._outcome(rows.assign(decided=math.nan), Window(), last).tolist()[:3] == [
        STAYED,
        STAYED,
        STAYED,
    ]


def test_under_notice_is_no_snapshot_and_outcomes_add_up(sample_study):
    rows, spells = sample_study.month_ends, sample_study.spells
    ends = spells.set_index("client_id")
    told = ends["recorded_date"].fillna(ends["decision_date"])
    at = rows.join(ends[["decision_date"]], on="client_id").join(
        told.rename("told"), on="client_id"
    )
    day = pd.to_datetime(
        {"year": at["month"] // 12, "month": at["month"] % 12 + 1, "day": 1}
    ) + pd.offsets.MonthEnd(0)
    assert not ((at["decision_date"] <= day) & (at["told"] <= day)).any()
    left = rows[rows["outcome"] == LEFT].join(ends[["decision_date", "end_kind"]], on="client_id")
    ahead = snapshots.month_of(left["decision_date"]) - left["month"]
    assert ahead.between(2, 4).all() and left["end_kind"].isin(["client", "unknown"]).all()
    assert (
        rows.loc[
            rows["month"] > snapshots.last_month(pd.Timestamp(sample_study.cutoff)) - 4, "outcome"
        ]
        == NOT_YET
    ).all()


@settings(max_examples=25, deadline=None)
@given(
    gap=st.integers(0, 3),
    horizon=st.integers(1, 6),
    block=st.integers(1, 7),
    unseen=st.booleans(),
    seed=st.integers(0, 99),
)
def test_training_lies_before_the_test_by_as_much_as_an_outcome_takes(
    gap, horizon, block, unseen, seed
):
    rng, window = np.random.default_rng(seed), Window(gap, horizon)
    rows = pd.DataFrame(
        {"client_id": rng.integers(0, 40, 900).astype(str), "month": rng.integers(0, 40, 900)}
    )
    rows["left"] = (rng.random(900) < 0.1).astype(int)
    for train, test in splits(rows, window, 5, unseen=unseen, block=block):
        assert not (train & test).any() and test.any()
        assert rows.loc[train, "month"].max() + window.ahead <= rows.loc[test, "month"].min()
        if unseen:
            assert not set(rows.loc[train, "client_id"]) & set(rows.loc[test, "client_id"])


def test_no_public_function_splits_at_random():
    """Whoever judges gets splits from `snapshots.splits` alone, and it has no way to shuffle or to
    drop the embargo.
    """
    assert set(inspect.signature(splits).parameters) == {
        "rows",
        "window",
        "min_events",
        "unseen",
        "block",
        "blocks",
    }
    for module in (validation, risk, scores, leads):
        source = inspect.getsource(module)
        assert (
            "train_test_split" not in source and "KFold" not in source and "cross_val" not in source
        )
    with pytest.raises(ValueError, match="at least one month"):
        Window(gap=1, horizon=0)


def test_everything_is_fitted_on_the_training_alone(sample_study):
    rows = known(sample_study.month_ends)
    train, test = next(splits(rows, Window(), risk.MIN_EVENTS))
    model = risk.RiskModel(Window()).fit(rows[train])
    changed = rows.copy()
    changed.loc[~train, [name for name in model.features_ if risk.is_number(rows[name])]] = 1e6
    again = risk.RiskModel(Window()).fit(changed[train])
    assert np.allclose(model.predict_proba(rows[test]), again.predict_proba(rows[test]))
    assert model.n_events_ == rows[train & (rows["left"] == 1)]["client_id"].nunique()
    assert len(model.features_) <= model.n_events_ / risk.EVENTS_A_FEATURE
    rule = risk.Rule(("exit_possible",)).fit(rows[train])
    free = rows[train & (rows["exit_possible"] == 1)]
    pulled = (free["left"].sum() + risk.SHRINK * rows[train]["left"].mean()) / (
        len(free) + risk.SHRINK
    )
    assert rule.predict_proba(free.head(1))[0, 1] == pytest.approx(pulled)


def test_too_few_ends_are_refused(sample_study):
    rows = known(sample_study.month_ends)
    few = rows[rows["client_id"].isin(rows.loc[rows["left"] == 1, "client_id"].unique()[:30])]
    with pytest.raises(NotFittedError, match="30 clients left by choice .* 40 are needed"):
        risk.RiskModel(Window()).fit(few)
    judged = validation.judged(
        sample_study.month_ends[sample_study.month_ends["client_id"].isin(few["client_id"])],
        Window(),
    )
    lacking = say("churn_risk.lacking.leavers", needed=risk.MIN_EVENTS, few=30)
    assert key_of(judged.why) == key_of(lacking) and not judged.beats
    assert key_of(judged.answer().text) == f"churn_risk.answer.none:{key_of(lacking)}"
    assert scores.scorer(few, judged, Window()) is None and scores.weights(None).empty
    assert scores.scores(few, sample_study.spells, None, Settings(), sample_study.standing).empty
    assert validation.views(few, Window(), judged) == {} and not accuracy.skills(judged).rows
    for table in (net_benefit.net_benefit, accuracy.observed_over_expected, accuracy.reliability):
        assert table(judged.predictions).empty
    assert net_benefit.profit(judged.predictions, 12, 10, 0).empty


@pytest.mark.slow
def test_the_sample_s_model_beats_every_rule(found):
    """The made-up agency has liking and results planted, which no rule knows together."""
    assert found.beats and found.best_rule == risk.CALENDAR
    assert said(found.answer()) == "churn_risk.answer.model"
    for name, (saved, low, high) in found.skills.items():
        losses = [_loss(found.predictions, way) for way in (resampling.MODEL, name)]
        assert saved == pytest.approx(1 - losses[0] / losses[1]) and low < saved < high
    assert found.skills["everybody"][0] > found.skills[risk.CALENDAR][0]


def said(finding) -> str:
    """The id of what a finding says, without the values of its fields."""
    return key_of(finding.text).partition(":")[0]


def _loss(predictions: pd.DataFrame, way: str) -> float:
    return float(log_loss(predictions["left"], predictions[way]))


def test_a_model_that_knows_nothing_is_not_recommended(found):
    """The same chances given to other rows: no skill, and the page recommends the calendar."""
    rng, shuffled = np.random.default_rng(1), found.predictions.copy()
    shuffled[resampling.MODEL] = rng.permutation(shuffled[resampling.MODEL])
    skills = {name: validation.skill(shuffled, name) for name in validation.ways(shuffled)[1:]}
    idle = validation.Judgement(shuffled, skills)
    assert not idle.beats and idle.fallback == risk.CALENDAR
    assert said(idle.answer()) == "churn_risk.answer.rule"
    assert idle.answer().text.startswith("Use the renewal calendar:")


def test_figures_against_the_library(found):
    predictions = found.predictions
    table = accuracy.table({"all": predictions}, 10)
    rows = {key_of(row.name).removeprefix("churn_risk."): row for row in table.rows}
    left, p = predictions["left"], predictions[resampling.MODEL]
    precision = rows["figure.average_precision"].estimate
    assert precision == pytest.approx(average_precision_score(left, p))
    assert rows["figure.brier"].estimate == pytest.approx(brier_score_loss(left, p))
    assert rows["figure.log_loss"].estimate == pytest.approx(log_loss(left, p))
    ranked = predictions.sort_values(resampling.MODEL, ascending=False)
    top = ranked.groupby("month").head(10)
    reached = top["left"].sum() / left.sum()
    assert rows["figure_of_top.reached:10"].estimate == pytest.approx(reached)
    lift = top["left"].mean() / left.mean()
    assert rows["figure_of_top.lift:10"].estimate == pytest.approx(lift)
    assert all(row.low < row.estimate < row.high for row in rows.values())
    assert 0.7 < rows["figure.slope"].estimate < 1.3
    assert accuracy.reliability(predictions)["rows"].sum() == len(predictions)


def test_net_benefit_and_profit_by_hand():
    predictions = pd.DataFrame(
        {"left": [1, 1, 0, 0, 0], "month": 1, resampling.MODEL: [0.9, 0.04, 0.3, 0.01, 0.01]}
    )
    predictions["worth_a_month"] = [100, 1000, 100, 100, np.nan]
    row = net_benefit.net_benefit(predictions).set_index("act_from").loc[0.2]
    assert row["net_benefit_model"] == pytest.approx(100 * (1 / 5 - 1 / 5 * 0.25))
    assert row["net_benefit_everybody"] == pytest.approx(100 * (2 / 5 - 3 / 5 * 0.25))
    earned = net_benefit.profit(predictions, months=10, cost=40, incentive=200)
    earned = earned.set_index("share_kept")
    assert earned.loc[0, "earned_a_month"] == 0 and earned.loc[0, "contacts_a_month"] == 0
    # Worth 1,000: from 40 / (.2 x 800) = 25 % on, the first and the third. Worth 10,000: from 2 %
    # on, the second.
    assert earned.loc[0.2, "contacts_a_month"] == 3 and earned.loc[0.2, "least_risk"] == 0.04
    assert earned.loc[0.2, "earned_a_month"] == pytest.approx(0.2 * (800 + 9800) - 3 * 40)


def test_drift_alarm_needs_two_quarters_running():
    quarters = pd.DataFrame(
        {
            "clients_left": [9, 9, 30.0],
            "clients_predicted": 10.0,
            "ratio": [0.9, 0.9, 3],
            "low": [0.4, 0.4, 2.0],
            "high": [1.6, 1.6, 4],
        }
    )
    assert accuracy.drifted(quarters).kind == "text"
    assert said(accuracy.drifted(quarters)) == "churn_risk.quarters.last"
    quarters.loc[1, ["low", "high"]] = [1.2, 3]
    assert accuracy.drifted(quarters).kind == "warning"
    assert said(accuracy.drifted(quarters)) == "churn_risk.quarters.off"


def test_scores_hold_every_active_client_once(sample_study, scored):
    spells, rows = sample_study.spells, sample_study.month_ends
    now = rows[(rows["month"] == rows["month"].max())]
    assert (
        sorted(scored["client_id"]) == sorted(now["client_id"])
        and not scored["client_id"].duplicated().any()
    )
    there = spells[spells["client_id"].isin(scored["client_id"])]
    assert there.groupby("client_id")["end_date"].last().isna().all()
    assert ((scored["low"] <= scored["risk"]) & (scored["risk"] <= scored["high"])).all()
    assert scored["at_stake"].is_monotonic_decreasing
    assert (scored["contact"] == "yes").sum() == sample_study.settings.risk.capacity
    assert scored["at_stake"].tolist() == pytest.approx(
        (scored["risk"] * scored["margin_a_month"] * 12).tolist(), abs=5
    )
    assert scored["reasons"].str.match(r"(up|down): |nothing").all()


@pytest.mark.slow
def test_scores_are_the_same_to_the_byte(sample_study, tmp_path):
    one, two = tmp_path / "one.csv", tmp_path / "two.csv"
    write_csv(sample_study.risk[2], one)
    ran = CliRunner().invoke(cli, ["score", "--out", str(two)])
    assert ran.exit_code == 0 and "Use the model" in ran.stderr
    assert one.read_bytes() == two.read_bytes()
    ran = CliRunner().invoke(cli, ["score", "--out", str(tmp_path / "none" / "x.csv")])
    assert ran.exit_code == 2 and "There is no folder" in ran.stderr


def test_a_snapshot_cannot_be_scored(tmp_path):
    (tmp_path / "clients.csv").write_text(
        "id,tenure,left,term,spend\n"
        + "".join(f"c{i},{i % 30},{'yes' if i % 3 else 'no'},1,{100 + i}\n" for i in range(90))
    )
    (tmp_path / "retention.toml").write_text(
        'records_begin = "all history"\n[tables.clients]\ntenure_months = "tenure"\nsnapshot_date '
        "= 2024-06-30\n"
        'ended = {column = "left", true = "yes"}\n[tables.clients.columns]\nclient_id = "id"\n'
        'contract_term_months = "term"\nmonthly_ad_spend = "spend"\n'
    )
    ran = CliRunner().invoke(
        cli, ["score", "--data", str(tmp_path), "--out", str(tmp_path / "s.csv")]
    )
    assert (
        ran.exit_code == 2
        and "No client can be scored: No client can be followed" in ran.stderr
        and not (tmp_path / "s.csv").exists()
    )


def test_leaks_are_named(sample_study):
    """What a bill of the whole stay, a score given at the end, and a column made from the end date
    have in common.
    """
    rng, spells = np.random.default_rng(1), sample_study.spells
    stay, size = spells["stop_months"], spells["monthly_ad_spend"]
    planted = spells.assign(
        total=stay * size, score=np.where(spells["ended"], 1, rng.integers(3, 6, len(spells))),
        closing=spells["end_date"].dt.month.astype("Int64"), honest=rng.random(len(spells)),
        mood=rng.integers(1, 6, len(spells)),
    )  # fmt: skip
    extra = {name: Extra(kind="number") for name in ("total", "score", "closing", "honest", "mood")}
    assert set(guards.leaky(planted, extra)) == {"total", "score", "closing"}
    assert guards.leaks(guards.leaky(spells, {})).items == ()
    spent = spells.assign(
        monthly_ad_spend=stay * 10.0 + rng.random(len(spells))
    )  # a sum over the stay taken for size
    assert set(guards.leaky(spent, {})) == {"monthly_ad_spend"}
    extra["total"] = Extra(kind="number", known="recorded_date")
    assert "total" not in guards.leaky(planted, extra)


def test_drift_sees_a_shift_and_no_other(sample_study):
    rows = sample_study.month_ends
    calm = guards.drift(rows).set_index("feature")["reading"]
    assert (calm == "little").mean() > 0.7
    moved = rows.assign(
        liking_now=rows["liking_now"] - 3.0 * (rows["month"] > rows["month"].max() - 3)
    )
    first = guards.drift(moved).iloc[0]
    assert (first["feature"], first["reading"]) == ("liking_now", "much")
    assert guards.drift_words(guards.drift(moved)).iloc[0]["feature"] == "last rating of the rep"


def clients_worth(n: int, crossing: float) -> leads.Worth:
    rng = np.random.default_rng(1)
    spend = np.exp(rng.normal(9, 1, n))
    worth = (spend - crossing) + rng.normal(0, crossing / 2, n)
    start = pd.Timestamp("2022-01-01") + pd.to_timedelta(np.arange(n), unit="D")
    rows = pd.DataFrame(
        {
            "client_id": [f"c{i}" for i in range(n)],
            "engagement": 1,
            "monthly_ad_spend": spend,
            "start_date": start,
        }
    )
    return leads.Worth(rows.assign(worth=worth, good=worth > 0), "fees")


@pytest.mark.slow
def test_the_threshold_of_spend_is_found():
    found = clients_worth(600, crossing=6000)
    row = leads.threshold(found).rows[0]
    assert row.low < 6000 < row.high and row.high - row.low < 4000 and 4500 < row.estimate < 7500
    assert said(leads.threshold_words(found, "USD")) == "churn_risk.signing.answer"
    assert f"{row.estimate:,.0f} USD a month" in leads.threshold_words(found, "USD").text
    assert leads.by_spend(found)["clients"].sum() == 600
    all_pay = leads.Worth(found.clients.assign(worth=1.0, good=True), "fees")
    assert said(leads.threshold_words(all_pay)) == "churn_risk.signing.every_size"
    none_pay = leads.Worth(found.clients.assign(worth=-1.0, good=False), "fees")
    assert said(leads.threshold_words(none_pay)) == "churn_risk.signing.no_size"
    lacking = leads.Worth(found.clients, "", "It needs fees.")
    assert said(leads.threshold_words(lacking)) == "churn_risk.signing.unknown"


def test_worth_by_hand_and_only_of_whole_first_years(sample_study):
    found = leads.first_year(sample_study.spells, sample_study.tables.frames, sample_study.cutoff)
    after = pd.Timestamp(sample_study.cutoff) + pd.Timedelta(days=1)
    assert (found.clients["start_date"] + pd.DateOffset(years=1) <= after).all()
    assert (found.clients["entry_months"] == 0).all()
    one, frames = found.clients.iloc[7], sample_study.tables.frames
    begin = one["start_date"].to_period("M")

    def own(table: str) -> pd.DataFrame:
        rows = frames[table][frames[table]["client_id"] == one["client_id"]]
        return rows[rows["month"].dt.to_period("M").between(begin, begin + 11)]

    pay = frames["staff"].set_index("staff_id")["hourly_cost"]
    cost = (own("hours")["hours"] * own("hours")["staff_id"].map(pay)).sum()
    assert one["worth"] == pytest.approx(
        own("account_months")["fee"].sum() - cost - one["acquisition_cost"]
    )


def test_open_leads_are_nurtured_under_the_threshold(sample_study):
    found = leads.first_year(sample_study.spells, sample_study.tables.frames, sample_study.cutoff)
    table = leads.nurture(found, sample_study.tables.get("leads"), sample_study.cutoff)
    limits = leads.threshold(found).rows[0]
    todo = np.select(
        [table["planned_spend"] < limits.low, table["planned_spend"] >= limits.high],
        [leads.NURTURE, leads.PURSUE],
        leads.LOOK_CLOSER,
    )
    assert (table["to_do"] == todo).all()
    assert set(table["to_do"]) == {leads.NURTURE, leads.PURSUE, leads.LOOK_CLOSER}
    words = {key_of(text) for text in leads.nurture_words(table)["to_do"]}
    assert words == {f"churn_risk.lead.{to_do}" for to_do in set(table["to_do"])}
    every = sample_study.tables.get("leads").set_index("lead_id")
    assert every.loc[table["lead"], "signed_on"].isna().all()
    assert table["pays_probability"].between(0, 1).all()
    assert leads.nurture(found, None, sample_study.cutoff).empty


def test_tables_without_their_optional_columns(sample_study, tmp_path):
    """Hours without staff, staff without costs, leads with an id and a day alone: a list all the
    same.
    """
    frames = dict(sample_study.tables.frames)
    dates = {
        "cutoff": pd.Timestamp(sample_study.cutoff),
        "begin": pd.Timestamp(sample_study.records_begin),
    }
    frames.pop("staff")
    rows = snapshots.build_snapshots(
        sample_study.spells, frames, Window(), sample_study.settings.results, **dates
    )
    assert rows["margin_3"].isna().all() and rows["hours_3"].notna().any()
    frames["staff"] = sample_study.tables.get("staff").drop(columns="hourly_cost")
    found = leads.first_year(sample_study.spells, frames, sample_study.cutoff)
    assert found.counts == "fees_less_cost" and not found.why
    bare = sample_study.tables.get("leads")[["lead_id", "created_on"]]
    assert set(leads.nurture(found, bare, sample_study.cutoff)["to_do"]) == {leads.ASK}
    alike = clients_worth(100, crossing=6000).clients.assign(monthly_ad_spend=500.0, worth=1.0)
    assert (
        leads.break_even_spend(alike["monthly_ad_spend"].to_numpy(), alike["worth"].to_numpy()) == 0
    )


def test_who_gave_notice_in_the_month_that_the_cutoff_cuts_is_not_listed(sample_study):
    study = sample_study
    cut = pd.Timestamp("2025-12-15")
    rows = snapshots.build_snapshots(
        study.spells,
        study.tables.frames,
        Window(),
        study.settings.results,
        cutoff=cut,
        begin=pd.Timestamp("2025-01-01"),
    )
    now = rows[rows["month"] == rows["month"].max()]
    ends = study.spells.set_index("client_id").loc[now["client_id"]]
    assert not (
        (ends["decision_date"] <= cut)
        & (ends["recorded_date"].fillna(ends["decision_date"]) <= cut)
    ).any()


def test_reasons_go_the_way_that_their_feature_goes(sample_study, scored):
    """Month-to-month clients leave sooner, here and in general: nobody is told that it keeps
    them.
    """
    reasons = scored["reasons"].str.split("; ").explode()
    assert "up: month-to-month" in set(reasons) and "down: month-to-month" not in set(reasons)
    assert not reasons.str.match(
        r"down: (detractor|red flags noted so far [1-9]|in the first six months)"
    ).any()


def test_the_calendar_is_no_refuge_where_all_are_alike(found):
    alike = found.predictions.assign(**{validation.CALENDAR: 0.2})
    skills = {name: [-0.1 * k, -0.2, -0.01] for k, name in enumerate(found.skills)}
    idle = validation.Judgement(alike, skills)
    assert idle.fallback == idle.best_rule != validation.CALENDAR
    assert f"Use the {say(f'churn_risk.rule.{idle.best_rule}')}" in idle.answer().text


def test_who_is_away_for_a_pause_is_no_row_and_nobody_is_there_twice(sample_study):
    """A gap of 60 days is no end (METHODS 0), but while it lasts nobody knows; and an end may be
    written down late.
    """
    day = pd.to_datetime
    back = pd.DataFrame(
        {
            "client_id": ["za", "za", "zb", "zb"],
            "start_date": day(["2022-01-01", "2024-04-01", "2022-01-01", "2024-06-01"]),
            "end_date": day(["2024-02-29", None, "2024-02-29", None]),
            "decision_date": day(["2024-01-05", None, "2024-01-20", None]),
            "recorded_date": day(["2024-01-08", None, "2024-08-10", None]),
            "contract_term_months": 1, "monthly_ad_spend": 900.0, "end_initiator": ["client", None, "client", None],
        }
    )  # fmt: skip
    clients = pd.concat([sample_study.tables.get("clients"), back], ignore_index=True)
    cut = pd.Timestamp("2025-06-30")
    spells = build_spells(clients, cutoff=cut.date(), records_begin=sample_study.records_begin)
    frames = {**sample_study.tables.frames, "clients": clients}
    begin = pd.Timestamp("2023-12-01")
    rows = snapshots.build_snapshots(
        spells, frames, Window(), sample_study.settings.results, cutoff=cut, begin=begin
    )
    assert not rows.duplicated(["client_id", "month"]).any()
    months = {
        who: (rows.loc[rows["client_id"] == who, "month"] - 2024 * 12 + 1).tolist()
        for who in ("za", "zb")
    }
    assert months["za"] == [
        0,
        *range(4, 19),
    ]  # gone from the notice in January until the return in April
    assert months["zb"] == [0, 1, 2, 3, 4, 5, *range(6, 19)]


def test_of_very_many_rows_those_of_whole_clients_are_learned_from(sample_study):
    rows = known(sample_study.month_ends)
    few = risk.sampled(rows, 1, most=2000)
    assert (
        1800 < len(few) <= 2000
        and few.equals(risk.sampled(rows, 1, most=2000))
        and risk.sampled(rows, 1) is rows
    )
    assert len(few) == rows["client_id"].isin(few["client_id"]).sum()


def test_where_very_many_left_the_last_of_them_are_predicted():
    """Fifty leave in each of thirty months: a thousand in the last twenty; where all left in one, a
    year is tried.
    """
    rows = pd.DataFrame({"client_id": range(1500), "left": 1, "month": np.arange(1500) // 50})
    assert validation._blocks(rows, 3) == 7 and validation._blocks(rows.assign(month=29), 3) == 4
    assert validation._blocks(rows.head(999), 3) == 0


@pytest.mark.slow
def test_a_run_s_notebooks_make_the_scores_once(sample_study, tmp_path, monkeypatch):
    monkeypatch.setenv(SEAL, prepare(sample_study, tmp_path / "prepared"))
    first = open_study(str(tmp_path / "prepared"))
    assert first.risk[2].equals(sample_study.risk[2])
    monkeypatch.setattr(Study, "_month_ends", lambda self: pytest.fail("made twice"))
    second = open_study(str(tmp_path / "prepared"))
    assert second.risk[2].equals(first.risk[2])
    pd.testing.assert_frame_equal(second.month_ends, sample_study.month_ends)
