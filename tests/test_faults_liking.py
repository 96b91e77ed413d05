"""What was wrong about liking, reps and the score: noise that let liking win, directions and names
that luck gave.
"""

import datetime as dt
import json
import math
import re
from dataclasses import replace

import jsonschema
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from retention.claims import (
    importance,
    liking_views,
    measurement,
    reliability,
    rep_liking,
    results_shape,
)
from retention.claims.judge import CLAIMS, judge
from retention.claims.term_curves import _gain_words
from retention.contrast import NO_SPREAD, Contrast
from retention.history.grids import build_panel, result_grid
from retention.history.lagged import design
from retention.history.panel import Panel
from retention.history.spells import build_spells
from retention.results import (
    DIRECTION,
    HOLDS,
    NOT_ENOUGH,
    Estimate,
    Estimates,
    Findings,
    collect,
    finite,
    schema,
)
from retention.sample import WORLDS, simulate
from retention.service import nps, reps
from retention.settings import ResultsSettings
from retention.stats.funnel import funnel
from retention.words import key_of, say, texts

CUTOFF, BEGIN = dt.date(2025, 12, 31), dt.date(2021, 1, 1)
COST = ResultsSettings(primary="cpa", better="lower")
TWICE = (
    1.64  # a month's error of results, in SD, whose mean of three has twice the error of a rating
)


@pytest.fixture(scope="module")
def alike() -> tuple[Panel, pd.DataFrame]:
    """An agency of 2,000 clients in which liking and results matter alike, and its results."""
    names = ("clients", "surveys", "results", "assignments", "contracts")
    tables = simulate(WORLDS["null"], clients=2000, seed=11, tables=names)
    results = tables["results"][tables["results"]["metric"] == "cpa"]
    results = results.assign(month=pd.to_datetime(results["month"]))
    spells = build_spells(tables["clients"], cutoff=CUTOFF, records_begin=BEGIN)
    known = tables["contracts"][tables["contracts"]["signed_on"] <= pd.Timestamp(CUTOFF)]
    more = {"assignments": tables["assignments"], "contracts": known}
    return build_panel(spells, tables["surveys"], results, COST, **more), results


@pytest.fixture(scope="module")
def noisy(alike) -> Panel:
    """The same with results that have twice the error of ratings."""
    panel, results = alike
    noise = np.random.default_rng(5).normal(size=len(results))
    worse = results.assign(value=results["value"] * np.exp(0.25 * TWICE * noise))
    return replace(
        panel, results=result_grid(np.full_like(panel.liking, np.nan), panel.spells, worse, COST)
    )


def sentences(said: Findings) -> list[str]:
    """The ids of the sentences, without what fills them in."""
    return [key_of(item.text).partition(":")[0] for item in said.items]


# S5, error of measurement


def test_S5_the_share_that_repeats_by_hand():
    """Of true change that fades by a tenth a month and an error of a fifth of the variance, four
    fifths repeat.
    """
    lags = np.array([1, 3, 6])
    pairs = np.full((1, 3), 400)
    assert measurement.repeated(lags, 0.8 * 0.9 ** lags[None], pairs) == pytest.approx([0.8])
    assert measurement.repeated(lags, np.full((1, 3), 0.6), pairs) == pytest.approx(
        [0.6]
    )  # a trait never fades
    assert measurement.repeated(lags, np.full((1, 3), -0.1), pairs) == [measurement.LEAST_RELIABLE]


def test_S5_errors_of_the_planted_size_are_found(noisy):
    """A rating is 7.2 + 1.6 L + .7 e, rounded; a month's result has an error of .25 * 1.64 on the
    log scale.
    """
    place = np.full(noisy.liking.shape, -1)
    for name, planted in (("liking", 0.7**2 + 1 / 12), ("results", (0.25 * TWICE) ** 2 + 0.05**2)):
        grid = measurement._before_any_wish(noisy, getattr(noisy, name))
        error, _ = measurement._error(grid, place, 1)
        assert error[0] == pytest.approx(planted, rel=0.15)


def test_S5_noise_in_results_lets_liking_win_and_the_correction_does_not(alike, noisy):
    plain, clean = rep_liking.liking_difference(noisy), rep_liking.liking_difference(alike[0])
    true, without = rep_liking.without_error(noisy), rep_liking.without_error(alike[0])
    assert judge(CLAIMS["A6"], plain).verdict in (HOLDS, DIRECTION)
    verdict = judge(CLAIMS["A6"], plain, [true])
    assert verdict.fragile and "rep_liking.way.without_error" in map(key_of, verdict.flips)
    assert (
        abs(true.theta) < 2 * true.se and true.se > plain.se
    )  # what is not known of the errors counts
    assert plain.theta - clean.theta > 2 * abs(true.theta - without.theta)
    made = design(noisy.rows, rep_liking.BOTH)
    found = measurement.corrected(noisy, made, made.fit())
    assert found.reliable[1] < 0.55 < 0.7 < found.reliable[0]
    assert sentences(reliability.measured_words(noisy)) == [
        "rep_liking.measured.verdict",
        "rep_liking.measured.repeats",
        "rep_liking.measured.favours",
        "rep_liking.measured.corrected",
    ]


def test_S5_leaving_out_a_client_is_a_fit_without_it(alike):
    """The jackknife's values without one client against everything computed anew without its rows
    and months.
    """
    panel = alike[0]
    made = design(panel.rows, rep_liking.BOTH)
    fit, clients = made.fit(), made.rows["client_id"]
    left = measurement._left_out(panel, made, fit, clients, panel.spells["client_id"])
    who = clients.unique()[3]
    away = (panel.spells["client_id"] == who).to_numpy()[:, None]
    grids = {name: np.where(away, np.nan, getattr(panel, name)) for name in rep_liking.BOTH}
    fewer = replace(panel, **grids)
    fewer.__dict__["rows"] = panel.rows[panel.rows["client_id"] != who].reset_index(drop=True)
    again = design(fewer.rows, rep_liking.BOTH)
    anew = measurement._left_out(
        fewer, again, again.fit(), again.rows["client_id"], fewer.spells["client_id"]
    )
    moved, expected = left[4] - left[0], anew[0] - left[0]
    assert moved == pytest.approx(expected, abs=0.003)


def test_S5_results_that_are_noise_alone_never_give_a_verdict_without_a_warning(alike):
    panel = alike[0]
    noise = np.random.default_rng(3).normal(size=panel.results.shape)
    blind = replace(panel, results=np.where(np.isnan(panel.results), np.nan, noise))
    plain = rep_liking.liking_difference(blind)
    assert judge(CLAIMS["A6"], plain).verdict == HOLDS
    assert judge(CLAIMS["A6"], rep_liking.without_error(blind)).verdict == NOT_ENOUGH
    assert judge(CLAIMS["A6"], plain, [rep_liking.without_error(blind)]).fragile


def test_S5_too_few_repeats_are_said(alike):
    panel = alike[0]
    once = np.full_like(panel.results, np.nan)
    once[:, ::13] = panel.results[:, ::13]
    rare = replace(panel, results=once)
    assert measurement.distances(once).size == 0
    assert list(map(key_of, rep_liking.without_error(rare).gate)) == ["rep_liking.measured.too_few"]
    said = sentences(reliability.measured_words(rare))
    assert said == ["rep_liking.measured.too_few", "rep_liking.measured.favours"]
    assert reliability.reliabilities(rare).rows == ()


# S10, the badge and the counts


def contrast(theta: float, se: float, name: str = "as planned") -> Contrast:
    return Contrast(name, theta, se, 300, {"clients": 150})


def test_S10_the_badge_says_fragile_and_each_kind_is_counted_once():
    claim = CLAIMS["A6"]
    planned = [contrast(0.4, 0.05, "a"), contrast(0.05, 0.1, "b"), contrast(0.3, 0.05, "c")]
    kinds = {"measures": [contrast(0.0, 0.1, "m")], "assumptions": [contrast(0.4, 0.04, "s")]}
    found = judge(claim, contrast(0.4, 0.06), planned, opposed=("parts",), others=kinds)
    assert found.words.startswith("holds, fragile") and found.flips == ("b", "parts")
    counts = [(check.kind, check.disagree, check.of) for check in found.checks]
    assert counts == [("planned checks", 2, 4), ("measures", 1, 1), ("assumptions", 0, 1)]
    assert found.sentence.endswith("; fragile: 2 of 4 planned checks disagree).")
    page = found._repr_mimebundle_()["text/html"]
    assert "Holds, fragile" in page and page.count("2 of 4 planned checks disagree") == 2
    assert page.count("1 of 1 measures disagree") == 1 and 'class="words part"' in page
    told = collect(
        [finite(found._repr_mimebundle_()["application/vnd.retention+json"])],
        "2025-12-31-abc",
        "2025-12-31",
    )
    jsonschema.validate(json.loads(json.dumps(told)), schema())
    assert told["claims"][0]["checks"][0]["disagree"] == 2


def test_S10_most_of_another_kind_make_a_verdict_fragile():
    agreeing = [contrast(0.4, 0.05, "same"), contrast(0.4, 0.04, "alike")]
    against = [contrast(0.0, 0.1, "other"), contrast(0.0, 0.11, "another")]

    def fragile(*rows: Contrast) -> bool | None:
        kinds = {"measures": rows}
        return judge(CLAIMS["A6"], contrast(0.4, 0.06), [contrast(0.4, 0.03)], others=kinds).fragile

    assert fragile(agreeing[0], *against) and not fragile(*agreeing, against[0])
    found = judge(
        CLAIMS["A6"], contrast(0.4, 0.06), against[:1], others={"measures": [against[0], *agreeing]}
    )
    assert [(check.disagree, check.of) for check in found.checks] == [
        (1, 1),
        (0, 2),
    ]  # each check counts once
    assert judge(CLAIMS["A6"], contrast(0.4, 0.06), agreeing).words == "holds"


# S9, no direction where the interval includes none

DIRECTIONS = r"\b(sooner|later|faster|slower|slowly|longer|shorter|less|more often|more than)\b"
SPREADS = (0.02, 0.05, 0.1, 0.3)


def told_direction(text: str) -> bool:
    """Whether a sentence names a direction; the names of groups ('spend most') do not count."""
    return bool(re.search(DIRECTIONS, text))


@pytest.mark.parametrize("name", list(CLAIMS))
def test_S9_no_claim_names_a_direction_where_its_interval_includes_none(name):
    claim, shown = CLAIMS[name], 0
    for se in SPREADS:
        for share in (-0.95, -0.3, 0.0, 0.3, 0.95):
            z = stats.norm.ppf((1 + claim.level) / 2)
            found = judge(claim, contrast(share * z * se, se))
            if found.verdict != NOT_ENOUGH:
                shown += 1
                assert (
                    not told_direction(found.sentence) and "No clear difference" in found.sentence
                )
                assert "% confidence interval" in found.sentence
    assert shown


@pytest.mark.parametrize("name", list(CLAIMS))
def test_S9_an_interval_that_excludes_none_names_it(name):
    claim = CLAIMS[name]
    for theta in (-0.8, 0.8):
        if name == "A7" and theta < 0:
            continue  # a spread of sellers is never below none
        found = judge(claim, contrast(theta, 0.1))
        assert "No clear" not in found.sentence and found.sentence


def test_S9_other_sentences_of_the_pages(alike):
    gain = Estimate.of("A1", "months gained in 24", "gain", (0.4, -0.6, 1.4), "months")
    unclear = _gain_words(gain, 24)
    assert not told_direction(unclear)
    assert key_of(unclear).startswith("contract_term.headline.unclear:0.4 months,24,")
    assert "1.4 months longer" in _gain_words(replace(gain, estimate=1.4, low=0.4, high=2.4), 24)
    assert "1.4 months shorter" in _gain_words(
        replace(gain, estimate=-1.4, low=-2.4, high=-0.4), 24
    )
    panel = alike[0]
    words = liking_views.total_words(panel).text
    _, low, high = liking_views.total_effect(panel)
    assert told_direction(words) != (low <= 0 <= high)
    unclear = {"rep_liking.through.unclear", "rep_liking.agreement.unclear"}
    assert (key_of(words).partition(":")[0] in unclear) == (low <= 0 <= high)
    for key in unclear:
        assert "no clear difference" in texts()[key].lower() and not told_direction(texts()[key])


def agreed(theta: float, **other: float) -> str:
    """The id of what is said of four views: a difference, and three that favour liking unless
    `other`.
    """
    seen = {"liking_share": 0.7, "lost_liking": 9.0, "lost_results": 3.0, "gap": 1.0} | other
    shares = [
        Estimate.of("A6", say(f"rep_liking.importance.{name}"), "", (seen[name],), "")
        for name in ("liking_share", "lost_liking", "lost_results")
    ]
    shuffled = [
        Estimate.of("A6", "", say(f"rep_liking.shuffled.{name}"), (seen.get(name, 1.0),), "")
        for name in ("liking", "results", "gap")
    ]
    views = (Estimates(tuple(shares), ""), Estimates(tuple(shuffled), ""))
    return key_of(importance.agreement(contrast(theta, 0.1), *views).text).partition(":")[0]


def test_S9_four_views_that_agree_name_a_direction_only_where_it_is_clear():
    assert agreed(0.1) == "rep_liking.agreement.unclear"
    assert agreed(0.3) == "rep_liking.agreement.liking"
    against = {"liking_share": 0.3, "lost_liking": 3.0, "lost_results": 9.0, "gap": -1.0}
    assert agreed(-0.3, **against) == "rep_liking.agreement.results"
    assert agreed(-0.3) == agreed(0.3, gap=-1.0) == "rep_liking.agreement.apart"
    none = Estimates((), "")
    lacking = importance.agreement(contrast(0.3, 0.1), none, none)
    assert key_of(lacking.text) == "rep_liking.agreement.lacking"


# S13, the shape of results


def with_shape(panel: Panel, bend: float, slope: float, seed: int) -> Panel:
    """The panel with who left drawn anew: the log hazard has this slope and bend of results."""
    rows = panel.rows.dropna(subset=list(rep_liking.BOTH)).reset_index(drop=True)
    z = (rows["results"] - rows["results"].mean()) / rows["results"].std()
    months = (rows["to_month"] - rows["from_month"]).to_numpy(float)
    chance = -np.expm1(-0.02 * months * np.exp(slope * z + bend * (z**2 - 1)))
    made = replace(panel)
    made.__dict__["rows"] = rows.assign(
        left=(np.random.default_rng(seed).random(len(rows)) < chance).astype(int)
    )
    return made


def test_S13_leavers_at_both_ends_are_found_and_said(alike):
    bent = with_shape(alike[0], 0.4, 0.0, 1)
    caveats = results_shape.shape_caveats(bent)
    assert list(map(key_of, caveats)) == ["claims.caveat.both_ends"]
    said = key_of(results_shape.shape_words(bent).text)
    assert said.startswith("rep_liking.shape.both_ends:")
    verdict = judge(CLAIMS["A6"], rep_liking.liking_difference(bent), (), caveats)
    assert caveats[0] in verdict.words


@pytest.mark.slow
def test_S13_a_straight_line_is_seldom_called_bent(alike):
    panel = alike[0]
    found = [results_shape.shape_caveats(with_shape(panel, 0.0, -0.4, seed)) for seed in range(12)]
    assert sum(map(bool, found)) <= stats.binom.ppf(0.995, 12, 0.05)
    said = key_of(results_shape.shape_words(with_shape(panel, 0.0, -0.4, 0)).text)
    assert said.startswith("rep_liking.shape.straight:")


# S16, names on the first page


def drawn(count: int, rng: np.random.Generator, pull: np.ndarray | float = 0.0) -> pd.DataFrame:
    served = rng.gamma(4.0, size=count)
    ends = rng.poisson(33 * served / 4 * np.exp(pull))
    due = (ends.sum() - ends) * served / (served.sum() - served)
    return reps.named(funnel(pd.Series(ends), pd.Series(due)))


def test_S16_equal_reps_are_seldom_named_and_one_who_differs_is():
    rng = np.random.default_rng(8)
    for count in (10, 25):
        named = [bool(drawn(count, rng)["named"].any()) for _ in range(60)]
        assert sum(named) <= stats.binom.ppf(0.995, 60, 0.05)
    worse = np.append(np.log(2.5), np.zeros(24))
    assert np.mean([drawn(25, rng, worse)["named"].get(0) for _ in range(12)]) > 0.5


def test_S16_by_hand():
    """One rep with 30 ends of 90 where 15 are expected; the others share the rest: named, and
    nobody else.
    """
    ends = pd.Series({"a": 30.0, "b": 14, "c": 16, "d": 15, "e": 15})
    due = (ends.sum() - ends) / 4
    table = reps.named(funnel(ends, due))
    assert table["named"].to_dict() == {"a": True, "b": False, "c": False, "d": False, "e": False}
    shown = table.assign(clients=5, results=np.nan)
    said = reps.help_words(shown, pd.Series(dtype=object)).text
    assert said.key == "service.help.lead:1,5"
    assert say("service.help.ends", rep="a", left=30.0, expected=15.0) in said
    assert say("service.help.luck", chance=0.05) in said
    calm = reps.help_words(shown.assign(named=False), pd.Series(dtype=object)).text
    assert calm.key == "service.help.nobody:5" and "a" not in calm.split()


# S17, the band of the score


def asked(scores: dict[str, list[int]]) -> pd.DataFrame:
    day = pd.Timestamp(CUTOFF)
    rows = [
        (f"{rep}{k}", rep, float(value))
        for rep, values in scores.items()
        for k, value in enumerate(values)
    ]
    frame = pd.DataFrame(rows, columns=["client_id", "rep", "nps"])
    return frame.assign(invited_on=day, answered_on=day, wave=day.to_period("M"))


def test_S17_the_jackknife_by_hand():
    """Six reps of two answers each; without each the score is that of the ten others."""
    rows = asked({"a": [10, 10], "b": [10, 5], "c": [5, 5], "d": [7, 7], "e": [9, 7], "f": [9, 9]})
    points = np.array([200, 0, -200, 0, 100, 200])
    without = (points.sum() - points) / 10
    by_hand = math.sqrt(5 / 6 * ((without - without.mean()) ** 2).sum())
    spread = nps.by_reps(rows)
    assert spread.se == pytest.approx(by_hand) and spread.df == pytest.approx(5)
    assert nps.by_reps(rows[rows["rep"] != "f"]) is NO_SPREAD
    unknown = pd.concat([rows, asked({"": [10]})])
    assert nps.by_reps(unknown).df == pytest.approx(5)  # who has no rep belongs to none, and counts


def test_S17_the_band_is_as_sure_as_reps_let_it():
    spread = asked({f"r{k}": [10] * 12 if k % 2 else [7, 6] * 6 for k in range(10)})
    same = spread.drop(columns="rep")
    wide, narrow = (nps.today(rows, pd.Timestamp(CUTOFF)).iloc[0] for rows in (spread, same))
    assert wide["by_rep"] and not narrow["by_rep"]
    assert wide["high"] - wide["low"] > 1.5 * (narrow["high"] - narrow["low"])
    assert nps.band_chances(wide).sum() == pytest.approx(1)
    assert nps.band_chances(wide).max() < nps.band_chances(narrow).max()
    assert nps.INDEPENDENT in nps.words(same, pd.Timestamp(CUTOFF)).text
    assert nps.INDEPENDENT not in nps.words(spread, pd.Timestamp(CUTOFF)).text


def test_S17_every_wave_is_kept_with_its_rep(sample_study):
    waves = nps.waves(sample_study.known("surveys"), sample_study.settings.scales.nps)
    told = reps.with_rep(waves, sample_study.panel)
    assert len(told) == len(waves) and told["nps"].equals(waves["nps"])
    assert (told["rep"] != "").mean() > 0.9
