"""Liking against results: rows by hand, planted effects found in the right order, and what must
never enter them.
"""

import datetime as dt
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from conftest import clients_of
from retention import open_study
from retention.claims import detractors, importance, liking_checks, liking_views, rep_liking
from retention.claims.judge import CLAIMS, judge, sensitivity_table
from retention.contrast import Contrast
from retention.errors import ConfigError
from retention.history.grids import against_target, build_panel
from retention.history.lagged import design, lagged_contrast
from retention.history.panel import Panel, lagged_rows
from retention.history.spells import build_spells
from retention.results import HOLDS, NOT_ENOUGH, NOT_RUN
from retention.sample import PLAIN, WORLDS, simulate, write_sample
from retention.settings import ResultsSettings
from retention.words import key_of, say

CUTOFF, BEGIN = dt.date(2025, 12, 31), dt.date(2021, 1, 1)
COST = ResultsSettings(primary="cpa", better="lower")


def surveyed(rows: list[tuple[str, str, float]]) -> pd.DataFrame:
    """Surveys answered on the day they were sent: (client, day, liking); NPS alike."""
    frame = pd.DataFrame(rows, columns=["client_id", "invited_on", "rep_liking"])
    days = pd.to_datetime(frame["invited_on"])
    return frame.assign(invited_on=days, answered_on=days, nps=frame["rep_liking"])


def measured(rows: list[tuple[str, str, float]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["client_id", "month", "value"])
    return frame.assign(month=pd.to_datetime(frame["month"]), metric="cpa", target=100.0)


def hand_made() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """A monthly client who gives notice in its seventh month, a half-year client who leaves after
    its second term.
    """
    clients = clients_of(
        [
            ("a", "2023-01-01", "2023-08-31", 1, "2023-07-20"),
            ("b", "2023-01-01", "2023-12-31", 6, "2023-11-10"),
        ],
        ("decision_date",),
    )
    spells = build_spells(clients, cutoff=dt.date(2024, 6, 30))
    days = ["2023-02-10", "2023-04-10", "2023-05-12", "2023-06-10", "2023-07-10", "2023-10-10"]
    surveys = surveyed(
        [("a", day, float(k)) for k, day in enumerate(days[:5])] + [("b", day, 9.0) for day in days]
    )
    months = [f"2023-{month:02d}" for month in range(1, 13)]
    results = measured([("a", m, 100 * math.exp(-0.1 * k)) for k, m in enumerate(months[:8])])
    return spells, surveys, results


def test_rows_by_hand():
    spells, surveys, results = hand_made()
    rows = lagged_rows(build_panel(spells, surveys, results, COST))
    free = rows[rows["free"]].set_index("to_month")
    # Notice in month 7: that is the last row, and the only one with an end; there is no month
    # before the lag.
    assert free.index.tolist() == [3, 4, 5, 6, 7] and free["left"].tolist() == [0, 0, 0, 0, 1]
    # Two months before month 7 is month 5 (rated 2); month 3 had no answer, so month 2's is carried
    # for a month.
    assert free["liking"].tolist()[1:] == [0.0, 0.0, 1.0, 2.0] and free["silent"].tolist()[1:] == [
        0.0,
        1.0,
        0.0,
        0.0,
    ]
    assert math.isnan(free.loc[3, "liking"])
    # The cost falls by a tenth (on the log scale) each month, and lower is better; outer hundredths
    # drawn in.
    index = build_panel(spells, surveys, results, COST).results[0]
    assert free.loc[7, "results"] == pytest.approx(np.mean(index[2:5])) and index[
        3
    ] == pytest.approx(0.3)
    terms = rows[~rows["free"]]
    assert terms["left"].tolist() == [0, 1] and terms["given"].tolist() == [1, 5]
    # The second term is told by what was said before notice could be given for the first: months 3
    # to 5.
    assert (
        math.isnan(terms["liking"].iloc[0])
        and terms["liking"].iloc[1] == 9.0
        and terms["silent"].iloc[1] == 0
    )


def test_what_comes_after_the_lag_changes_nothing():
    spells, surveys, results = hand_made()
    before = lagged_rows(build_panel(spells, surveys, results, COST))
    late = pd.concat(
        [
            surveys,
            surveyed(
                [("a", "2023-06-20", 0.0), ("a", "2023-08-01", 0.0), ("b", "2023-06-25", 0.0)]
            ),
        ]
    )
    after = lagged_rows(build_panel(spells, late, results, COST))
    known = ["client_id", "to_month", "left", "liking", "silent"]
    pd.testing.assert_frame_equal(before[known], after[known])


def test_a_client_just_freed_is_told_by_nothing_said_while_locked():
    """Ratings of a locked client may hold a wish that it could not act on: they never tell of its
    free months.
    """
    clients = clients_of([("a", "2023-01-01", None, 6)])
    spells = build_spells(clients, cutoff=dt.date(2023, 12, 31))
    day = pd.Timestamp("2023-01-01")
    contracts = pd.DataFrame(
        {"client_id": ["a"], "signed_on": day, "term_start": day, "term_months": [6]}
    )
    contracts["auto_renew"] = pd.array([False], dtype="boolean")
    surveys = surveyed([("a", f"2023-{month:02d}-10", float(month)) for month in range(1, 13)])
    rows = lagged_rows(build_panel(spells, surveys, None, COST, contracts=contracts))
    free = rows[rows["free"]].set_index("to_month")["liking"]
    assert free.index.tolist() == [7, 8, 9, 10, 11, 12]
    assert free.isna().tolist() == [True, True, False, False, False, False] and free[9] == 7.0


def test_results_without_targets_are_held_against_the_first_months():
    rows = measured(
        [("a", f"2023-{m:02d}", v) for m, v in ((1, 10.0), (2, 10.0), (3, 10.0), (4, 20.0))]
    )
    more = against_target(
        rows.drop(columns="target"), ResultsSettings(primary="leads", better="higher")
    )
    assert more.iloc[3] == pytest.approx(math.log(2))
    assert (
        more.iloc[:3].isna().all()
    )  # held against their own mean, each would know the months after it


def test_in_one_model_by_statsmodels():
    """The difference of effects against an independent fit: one kind of rows, tenure bands as
    dummies.
    """
    import statsmodels.api as sm

    panel = simulated(WORLDS["study"], 300, seed=4)
    rows = panel.rows
    made = design(rows[rows["free"]], rep_liking.BOTH)
    bands = np.flatnonzero(made.exposure.sum(axis=0))
    X = np.column_stack([made.covariates, made.exposure[:, bands]])
    model = sm.GLM(made.rows["left"], X, sm.families.Binomial(sm.families.links.CLogLog())).fit(
        tol=1e-12
    )
    fit = made.fit()
    assert fit.theta == pytest.approx(model.params.to_numpy(), abs=1e-6)
    found = lagged_contrast(rows[rows["free"]], rep_liking.BOTH, rep_liking.DIFFERENCE, "free")
    assert found.theta == pytest.approx(model.params.iloc[1] - model.params.iloc[0], abs=1e-6)


def simulated(world, clients: int, seed: int) -> Panel:
    names = ("clients", "surveys", "results", "assignments", "contracts")
    tables = simulate(replace(world, **PLAIN), clients=clients, seed=seed, tables=names)
    spells = build_spells(tables["clients"], cutoff=CUTOFF, records_begin=BEGIN)
    results = tables["results"].assign(month=lambda frame: pd.to_datetime(frame["month"]))
    contracts = tables["contracts"][tables["contracts"]["signed_on"] <= pd.Timestamp(CUTOFF)]
    return build_panel(
        spells,
        tables["surveys"],
        results,
        COST,
        assignments=tables["assignments"],
        contracts=contracts,
    )


@pytest.fixture(scope="module")
def large() -> dict[str, Panel]:
    return {name: simulated(WORLDS[name], 6000, seed=2) for name in ("study", "null", "reversed")}


@pytest.mark.long
@pytest.mark.slow
def test_the_order_of_liking_and_results_is_found(large):
    """Planted: liking -.60 and results -.25; both -.40; liking -.25 and results -.60. About a tenth
    of bias is left.
    """
    found = {name: rep_liking.liking_difference(panel) for name, panel in large.items()}
    assert 0.12 < found["study"].theta < 0.35 and found["study"].theta > 3 * found["study"].se
    assert abs(found["null"].theta) < 0.10
    assert -0.35 < found["reversed"].theta < -0.12
    assert judge(CLAIMS["A6"], found["study"]).verdict == HOLDS
    qualifiers = judge(CLAIMS["A6"], found["reversed"]).qualifiers
    assert "claims.qualifier.reversed" in map(key_of, qualifiers)


def test_ratings_of_the_deciding_month_would_double_what_liking_does(large):
    """Why the lag: those who have decided rate lower (METHODS 10, test h)."""
    panel = large["null"]
    lagged = lagged_contrast(panel.rows, ("liking",), {"liking": 1.0}, "")
    rows = panel.rows
    free = rows[rows["free"]]
    same = panel.liking[free["row"], free["to_month"].astype(int) - 1]
    found = lagged_contrast(free.assign(liking=same), ("liking",), {"liking": 1.0}, "")
    assert found.theta < 1.5 * lagged.theta < 0


@pytest.mark.long
@pytest.mark.slow
def test_views_of_importance_agree_where_the_truth_is_plain(large):
    panel = large["study"]
    share = importance.dominance(replace(panel, spells=panel.spells)).rows[0]
    assert share.low > 0.5
    shuffled = {key_of(row.group): row for row in importance.held_out_importance(panel).rows}
    assert shuffled["rep_liking.shuffled.liking"].low > 0
    assert shuffled["rep_liking.shuffled.gap"].estimate > 0
    within = {row.group: row.estimate for row in liking_checks.within_and_between(panel).rows}
    assert len(within) == 4 and all(ratio < 1 for ratio in within.values())


def test_a_month_owes_to_the_month_before_what_was_planted(large):
    """Liking and results keep .85 of themselves; ratings are noisy, which takes some of it away."""
    rows = {row.key[1:]: row.estimate for row in liking_views.carried_over(large["null"]).rows}
    now, before = "rep_liking.carried.now_", "rep_liking.carried.before_"
    assert 0.75 < rows[now + "results", before + "results"] < 0.87
    assert 0.6 < rows[now + "liking", before + "liking"] < 0.86
    assert abs(rows[now + "liking", before + "results"]) < 0.05


@pytest.mark.long
@pytest.mark.slow
def test_liking_with_the_wrong_sign_never_holds():
    """Even where results do still more harm, a client must not be told that liking protects."""
    panel = simulated(replace(WORLDS["study"], liking=0.5, results=1.2), 3000, seed=5)
    found = rep_liking.liking_difference(panel)
    rows = panel.rows
    assert lagged_contrast(rows, rep_liking.BOTH, rep_liking.DIFFERENCE, "").theta > 0.2
    verdict = judge(CLAIMS["A6"], found, rep_liking.liking_sensitivities(panel))
    assert found.theta < 0 and verdict.verdict != HOLDS and not verdict.fragile
    claim = CLAIMS["A6"]
    assert "claims.caveat.liking_harms" in map(key_of, verdict.qualifiers)
    assert claim.words["liking_harms"].partition("{")[0] in verdict.sentence
    assert verdict.advice == claim.advice["liking_harms"]


def test_too_few_answers_are_no_data(sample_study):
    panel = replace(sample_study.panel, asked=sample_study.panel.asked * 2)
    found = rep_liking.liking_difference(panel)
    verdict = judge(CLAIMS["A6"], found)
    few = say("rep_liking.lacking.response", share=panel.response, least=rep_liking.MIN_RESPONSE)
    assert verdict.verdict == NOT_ENOUGH and verdict.why == few
    assert key_of(found.gate[0]) == few.key and panel.response == pytest.approx(0.36, abs=0.005)


@pytest.mark.slow
def test_the_sample_has_every_view(sample_study):
    panel, claim = sample_study.panel, CLAIMS["A6"]
    others = rep_liking.liking_sensitivities(panel)
    assert [key_of(other.name) for other in others] == list(claim.sensitivities)
    others = detractors.detractor_sensitivities(panel)
    assert [key_of(other.name) for other in others] == list(CLAIMS["A10"].sensitivities)
    assert detractors.detractor_ratio(panel).theta > 0.5
    curve = liking_checks.specification_curve(panel, sample_study.tables.get("results"), COST)
    assert len(curve) == 6 and sorted(c.theta for c in curve) == [c.theta for c in curve]
    thirds = liking_views.liking_by_results(panel)
    assert thirds["left"].sum() == rep_liking.liking_difference(panel).n_events
    table = liking_views.thirds_table(panel)
    assert table.shape == (3, 4)
    for liking, row in zip(liking_views.THIRDS, table.itertuples(index=False), strict=True):
        for results in liking_views.THIRDS:
            cell = thirds.loc[(liking, results)]
            said = say("rep_liking.thirds.cell", ratio=cell["ratio"], left=cell["left"])
            assert getattr(row, f"{results}_results") == said
    assert (
        len(liking_checks.tipping(panel)) == 5
        and importance.months_to_decision(panel)["clients"].min() >= 10
    )
    assert len(importance.naive_correlations(panel).rows) == 3


def test_the_curve_of_measures_holds_the_verdict(sample_study):
    """The primary measure over three months is the verdict's own number, also where months have no
    result.
    """
    some = sample_study.tables.get("results").sample(frac=0.7, random_state=1)
    panel = build_panel(
        sample_study.spells,
        sample_study.tables.get("surveys"),
        some,
        COST,
        contracts=sample_study.contracts,
    )
    curve = {key_of(c.name): c.theta for c in liking_checks.specification_curve(panel, some, COST)}
    planned = rep_liking.liking_difference(panel).theta
    assert curve["rep_liking.curve.choice:cpa,3"] == pytest.approx(planned)


def test_scores_asked_apart_from_ratings_are_used(sample_study):
    """Liking asked in one survey and the score in the next: each claim uses its own answers."""
    surveys = sample_study.tables.get("surveys").copy()
    odd = np.arange(len(surveys)) % 2 == 1
    surveys.loc[odd, "nps"], surveys.loc[~odd, "rep_liking"] = pd.NA, np.nan
    panel = build_panel(sample_study.spells, surveys, sample_study.tables.get("results"), COST)
    assert (
        not detractors.detractor_ratio(panel).lacking
        and rep_liking.liking_difference(panel).n_events > 50
    )
    assert panel.response == pytest.approx(0.36, abs=0.03)  # half of the answers hold no rating
    nobody = replace(panel, nps=np.where((panel.nps == 7) | (panel.nps == 8), 9, panel.nps))
    assert math.isfinite(detractors.detractor_ratio(nobody).theta)  # no passives at all


def test_the_table_expects_as_many_as_left(sample_study):
    rows = lagged_rows(sample_study.panel).dropna(subset=list(rep_liking.BOTH))
    fit = design(rows, ()).fit()
    assert -np.expm1(-fit.expected).sum() == pytest.approx(rows["left"].sum(), rel=1e-3)


def test_notice_while_locked_and_notice_before_the_records():
    day = pd.Timestamp("2023-01-01")
    monthly_first = clients_of(
        [("a", "2023-01-01", "2024-01-31", 1, "2023-12-20")], ("decision_date",)
    )
    spells = build_spells(monthly_first, cutoff=dt.date(2024, 6, 30))
    contracts = pd.DataFrame(
        {"client_id": "a", "signed_on": day, "term_start": [day, day + pd.DateOffset(months=6)]}
    )
    contracts = contracts.assign(
        term_months=[1, 6], auto_renew=pd.array([True, False], dtype="boolean")
    )
    rows = lagged_rows(build_panel(spells, None, None, COST, contracts=contracts))
    assert rows["left"].sum() == 1 and rows.loc[rows["left"] == 1, "to_month"].tolist() == [13]
    early = clients_of([("a", "2022-01-01", "2023-02-28", 1, "2022-12-20")], ("decision_date",))
    spells = build_spells(early, cutoff=dt.date(2024, 6, 30), records_begin=dt.date(2023, 1, 1))
    assert lagged_rows(build_panel(spells, None, None, COST))["left"].sum() == 0


@pytest.mark.slow
def test_nothing_recorded_after_the_cutoff_is_used(sample_study):
    back = open_study(cutoff="2023-12-31")
    known = sample_study.tables.get("results")
    assert back.panel.asked < sample_study.panel.asked
    late = known["recorded_at"] > pd.Timestamp("2023-12-31")
    assert (~np.isnan(back.panel.results)).sum() <= ((known["metric"] == "cpa") & ~late).sum()


def test_zero_is_a_bad_month_and_clients_without_targets_have_their_own():
    more = ResultsSettings(primary="cpa", better="higher")
    zero = against_target(
        measured([("a", f"2023-{m:02d}", v) for m, v in ((1, 100.0), (2, 50.0), (3, 0.0))]), more
    )
    assert zero.iloc[2] < zero.iloc[1] < zero.iloc[0] and zero.notna().all()
    both = measured(
        [("a", "2023-01", 50.0), *(("b", f"2023-{m:02d}", 20.0 * m) for m in range(1, 6))]
    )
    both.loc[both["client_id"] == "b", "target"] = np.nan
    assert against_target(both, more).notna().tolist() == [True, False, False, False, True, True]


def test_ways_to_the_interval_agree(sample_study):
    found = liking_views.ways_of_interval(sample_study.panel).rows
    rows = {key_of(row.group).rpartition(".")[2]: row for row in found}
    assert list(rows) == [
        f"{who}_{way}" for who in ("by_client", "by_rep") for way in ("formula", "resampled")
    ]
    widths = {group: row.high - row.low for group, row in rows.items()}
    assert widths["by_client_resampled"] == pytest.approx(widths["by_client_formula"], rel=0.1)
    planned = liking_views.effects(sample_study.panel).rows[2]
    assert planned.key[1:] == ("rep_liking.effects.difference", "claims.way.as_planned")
    assert rows["by_client_formula"].estimate == pytest.approx(planned.estimate)
    widest = max(widths["by_client_formula"], widths["by_rep_formula"])
    assert planned.high - planned.low >= widest * 0.999


def test_without_surveys_it_says_what_is_lacking(sample_study):
    panel = build_panel(sample_study.spells, None, None, ResultsSettings())
    lacking = rep_liking.missing(panel)
    assert list(map(key_of, lacking)) == ["rep_liking.needs.liking", "rep_liking.needs.results"]
    verdict = judge(
        CLAIMS["A6"],
        rep_liking.liking_difference(panel),
        rep_liking.liking_sensitivities(panel),
        (),
        lacking,
    )
    assert verdict.verdict == NOT_RUN and lacking[0] in verdict.why
    for view in (
        liking_views.effects,
        liking_views.carried_over,
        importance.dominance,
        importance.naive_correlations,
    ):
        assert view(panel).rows == ()
    assert liking_views.thirds_table(panel).empty and importance.months_to_decision(panel).empty
    assert sensitivity_table(CLAIMS["A6"], []).empty


@pytest.mark.slow
def test_a_metric_that_there_is_not_is_said(tmp_path):
    write_sample(tmp_path / "agency", clients=60, seed=8)
    settings = tmp_path / "agency" / "retention.toml"
    settings.write_text(settings.read_text().replace('primary = "cpa"', 'primary = "CPA"'))
    with pytest.raises(ConfigError, match=r"primary is 'CPA'.*There are: cpa, leads"):
        open_study(str(tmp_path / "agency"))
    settings.write_text(settings.read_text().replace('better = "lower"', 'better = "down"'))
    with pytest.raises(ConfigError, match=r"results.better.*'lower' or 'higher'.*got 'down'"):
        open_study(str(tmp_path / "agency"))


def test_ratings_that_are_all_alike_are_said_to_be(sample_study):
    panel = replace(
        sample_study.panel, liking=np.where(np.isnan(sample_study.panel.liking), np.nan, 8.0)
    )
    found = rep_liking.liking_difference(panel)
    alike = say("rep_liking.lacking.no_variation", measures="liking")
    assert found.n_events > 100
    assert found.gate == (say("rep_liking.lacking.no_estimate", why=alike),)
    assert judge(CLAIMS["A6"], found).would_change == ""


def test_those_compared_are_those_counted(sample_study):
    found = detractors.detractor_ratio(sample_study.panel)
    rows = lagged_rows(sample_study.panel, rating="nps").dropna(subset=["nps"])
    compared = rows[(rows["nps"] <= 6) | (rows["nps"] >= 9)]
    assert found.n_clients == compared["client_id"].nunique()
    assert found.n_events == compared["left"].sum()


def test_a_sign_that_chance_could_give_is_not_said():
    """Better results go with leaving here only where the interval is clear of none; so for
    liking.
    """
    like, result = (Contrast("", theta, 0.1, 300, {"all": 100}) for theta in (-0.5, 0.05))
    assert rep_liking._signed(like, result, replace(like, theta=0.55)).caveats == ()
    clear = replace(result, theta=0.4)
    assert rep_liking._signed(like, clear, replace(like, theta=0.9)).caveats == (
        rep_liking.RESULTS_HARM,
    )
    assert rep_liking._signed(result, like, replace(like, theta=-0.5)).caveats == (
        rep_liking.LIKING_UNCLEAR,
    )
    assert rep_liking._signed(clear, like, replace(like, theta=-0.9)).caveats == (
        rep_liking.LIKING_HARMS,
    )
