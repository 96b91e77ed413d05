"""Second opinions on A1, the price of a term, and who leaves early: by hand, by formula, and on
planted agencies.
"""

import datetime as dt
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from conftest import clients_of
from retention.claims import (
    contract_balance,
    contract_checks,
    contract_robustness,
    profile,
    term_fees,
)
from retention.claims.contract_term import (
    FIXED,
    MONTHLY,
    contract_hazard_ratio,
    contract_sensitivities,
)
from retention.claims.contract_term import clients_of as clients_of_arm
from retention.claims.judge import CLAIMS
from retention.claims.term_fees import STILL_SIGN
from retention.contrast import Contrast
from retention.history.spells import build_spells
from retention.sample import PLAIN, WORLDS, World, simulate
from retention.settings import LIMITS, Extra
from retention.words import key_of

CUTOFF, BEGIN = dt.date(2025, 12, 31), dt.date(2021, 1, 1)
PAYS = "contract_term.estimate.chance_it_pays"
REVENUE = "contract_term.estimate.revenue"
AS_TODAY = "contract_term.group.as_today"
ALIKE = {"rep_sd": 0.0, "rep_liking_sd": 0.0, "liking": 0.0, "results": 0.0, **PLAIN}


def simulated(world: World, clients: int, seed: int = 1) -> pd.DataFrame:
    frame = simulate(world, clients=clients, seed=seed, tables=("clients",))["clients"]
    return build_spells(frame, cutoff=CUTOFF, records_begin=BEGIN)


@pytest.fixture(scope="module")
def confounded() -> pd.DataFrame:
    """Size drives both the term and leaving; the term itself does nothing."""
    return simulated(replace(WORLDS["confounded"], **ALIKE), 6000)


@pytest.mark.slow
def test_weights_undo_what_size_does(confounded):
    weights, balance = contract_balance.overlap_weights(confounded)
    assert balance["before"].abs().max() > 0.4 and balance["after"].abs().max() < 0.02
    assert ((weights > 0) & (weights < 1)).all() and len(weights) == len(confounded)
    found = contract_checks.overlap_weighted(confounded)
    assert abs(found.theta) < 2.6 * found.se and found.se < 0.1
    ways = {key_of(other.name): other for other in contract_sensitivities(confounded)}
    raw = ways["contract_term.way.not_adjusted"]
    assert raw.theta > 2.6 * raw.se  # without weights the bent ratio is seen


@pytest.mark.slow
def test_whole_years_find_what_is_planted():
    spells = simulated(World(spend=0.0, **ALIKE), 8000)
    found = contract_checks.grouped_cycles(spells)
    assert found.theta == pytest.approx(math.log(2), abs=2.6 * found.se) and found.se < 0.06
    # Where the agency lets small clients go, who are monthly more often, the weights stand in for
    # those it took.
    fired = simulated(replace(WORLDS["fired"], spend=0.0, **ALIKE), 8000)
    found = contract_checks.grouped_cycles(fired)
    assert found.theta == pytest.approx(math.log(2), abs=2.6 * found.se)


def test_whole_years_by_hand():
    """Three a group in one year: who left otherwise is dropped, and those who stand in for it weigh
    more.
    """
    rows = [
        ("a", "2023-01-01", "2023-04-30", 1, "client"),
        ("b", "2023-01-01", None, 1, None),
        ("c", "2023-01-01", "2023-02-28", 1, "agency"),
        ("d", "2023-01-01", "2023-12-31", 12, "client"),
        ("e", "2023-01-01", None, 12, None),
        ("f", "2023-01-01", None, 12, None),
    ]
    spells = build_spells(clients_of(rows, ("end_initiator",)), cutoff=dt.date(2024, 1, 31))
    found = contract_checks.grouped_cycles(spells)
    assert found.events == {clients_of_arm(MONTHLY): 1, clients_of_arm(FIXED): 1}
    assert found.n_clients == 5
    # Both remaining monthly clients weigh 3/2, so half of them left; a third of the others.
    assert found.theta == pytest.approx(math.log(math.log(1 / 2) / math.log(2 / 3)), abs=1e-6)


def test_the_pre_listed_checks_are_those_that_run(sample_study):
    found = contract_checks.all_sensitivities(sample_study.spells, sample_study.contracts)
    assert sorted(key_of(c.name) for c in found) == sorted(CLAIMS["A1"].sensitivities)


def test_a_ratio_that_changes_with_the_years_is_found():
    spells = simulated(World(spend=0.0, **ALIKE), 3000)
    same = contract_robustness.by_year_of_service(spells)
    first, later = same.rows
    assert first.low < 2 < first.high * 1.05 and "p = 0.00" not in same.caption
    monthly = (spells["contract_term_months"] == 1) & (spells["entry_months"] == 0)
    gone = (
        spells["ended"]
        & (spells["stop_months"] <= 12)
        & monthly
        & (np.arange(len(spells)) % 2 == 0)
    )
    changed = contract_robustness.by_year_of_service(
        spells[~gone]
    )  # half of the early leavers taken away
    assert changed.rows[0].estimate < 0.8 * first.estimate and "p = 0.00" in changed.caption
    assert changed.rows[1].estimate == pytest.approx(later.estimate, rel=0.1)


def test_e_value_by_formula():
    """VanderWeele and Ding: hazard ratio 2 is a risk ratio of 1.61 for common ends, and an E-value
    of 2.60.
    """
    contrast = Contrast("x", math.log(2), 0.01, 100, {"a": 50, "b": 50})
    risk = (1 - 0.5 ** math.sqrt(2)) / (1 - 0.5 ** math.sqrt(0.5))
    point, limit = contract_robustness.e_values(contrast)
    assert point == pytest.approx(risk + math.sqrt(risk * (risk - 1))) and limit < point
    text = contract_robustness.e_value(contrast).text
    assert key_of(text) == f"contract_term.e_value.some:{point:.2f},{limit:.2f}"
    crossing = Contrast("x", 0.1, 0.1, 100, {"a": 50, "b": 50})
    assert contract_robustness.e_values(crossing)[1] == 1
    assert key_of(contract_robustness.e_value(crossing).text).endswith(",1.00")


def test_people_left_out_and_clustered(sample_study):
    (lowest, low), (highest, high) = contract_robustness.ratios_without_a_rep(sample_study.spells)
    assert low < math.exp(contract_hazard_ratio(sample_study.spells).theta) < high
    text = contract_robustness.without_each_rep(sample_study.spells).text
    said = f"contract_term.without_reps.range:{low},{lowest},{high},{highest}"
    assert key_of(text) == said and f"{low:.2f}" in text and f"{high:.2f}" in text
    rows = contract_robustness.ways_of_clustering(sample_study.spells).rows
    in_charge = contract_checks.adjusted(sample_study.spells).rows["rep"]
    reps = in_charge[in_charge != ""].nunique()
    assert [key_of(row.group) for row in rows] == [
        "contract_term.group.by_client",
        f"contract_term.group.by_rep:{reps}",
    ]
    assert rows[0].estimate == pytest.approx(rows[1].estimate) and rows[0].low != rows[1].low


def test_break_even_golden_numbers():
    """METHODS 2, price companion: 10 % a year, other ends .009 a month; undiscounted 10/6 and
    10/8.
    """
    hazards = np.array([0.02, 0.04, 0.06])
    assert term_fees.break_even_ratio(10, 6, hazards, 0.009).round(2).tolist() == [2.24, 1.95, 1.86]
    assert term_fees.break_even_ratio(10, 8, hazards, 0.009).round(2).tolist() == [1.46, 1.36, 1.32]
    nothing_else = term_fees.break_even_ratio(
        10, 6, np.array([0.04]), 1 - (1 + LIMITS["discount_a_year"]) ** (1 / 12)
    )
    assert nothing_else[0] == pytest.approx(10 / 6)


@pytest.mark.slow
def test_the_chance_that_a_lower_fee_pays():
    rows = term_fees.break_even(
        simulated(World(spend=0.0, contract=math.log(3), **ALIKE), 6000)
    ).rows
    found = {row.key[1:]: row.estimate for row in rows}
    year = "contract_term.group.term:12"
    assert found[PAYS, year] > 0.95
    assert 1.6 < found["contract_term.estimate.ratio_needed", year] < 2.5
    rows = term_fees.break_even(simulated(World(spend=0.0, contract=0.0, **ALIKE), 6000)).rows
    chances = [row.estimate for row in rows if key_of(row.name) == PAYS]
    assert chances and max(chances) < 0.05


@pytest.mark.slow
def test_without_monthly_terms_by_formula():
    """Where all leave at the same rate and pay the same share, as many sign-ups keep revenue where
    it is.
    """
    spells = simulated(World(contract=0.0, spend=0.0, **ALIKE), 8000).assign(fee_pct=10.0)
    table, needed = term_fees.without_monthly(spells)
    share = term_fees.share_needed(term_fees.streams(spells))[0]
    assert share == pytest.approx(1, abs=0.06) and f"{share:.0%}" in needed.text
    rows = {row.key[1:]: row.estimate for row in table.rows}
    groups = [key_of(row.group) for row in table.rows if key_of(row.name) == REVENUE]
    assert groups == [AS_TODAY, *(f"contract_term.group.still_sign:{s}" for s in STILL_SIGN)]
    revenue, swing = (
        [rows[name, g] for g in groups] for name in (REVENUE, "contract_term.estimate.swing")
    )
    assert (
        revenue[1] == pytest.approx(revenue[0], rel=0.05)
        and sorted(revenue[1:], reverse=True) == revenue[1:]
    )
    assert sorted(swing[1:]) == swing[1:]  # fewer clients, larger swings


@pytest.mark.slow
def test_revenue_as_today_is_what_the_books_count():
    """Planned fees of those there on the last day, all of whom signed within the what-if's months
    and the records.

    Of a large agency: who happens to be there on one day moves the sum by two in a hundred.
    """
    spells = simulated(WORLDS["study"], 20_000)
    table = term_fees.without_monthly(spells)[0]
    last, months = pd.Timestamp(CUTOFF), term_fees.streams(spells).horizon
    assert key_of(table.caption) == f"contract_term.caption.what_if:{months}"
    fee = spells["fee_pct"] / 100 * spells["monthly_ad_spend"]
    signed = spells["start_date"] > last - pd.DateOffset(months=months)
    counted = fee[signed & ~(spells["end_date"] < last)].sum()
    rows = {row.key[1:]: row.estimate for row in table.rows}
    assert months == 60
    assert rows[REVENUE, AS_TODAY] == pytest.approx(counted, rel=0.06)


@pytest.mark.slow
def test_early_and_late_count_the_living(sample_study):
    rows = {row.key[1:]: row for row in profile.early_and_late(sample_study.spells, {}).rows}
    month = rows[f"data.signed.level:{profile.TERM},1", f"data.stay.early:{profile.EARLY}"]
    year = rows[f"data.signed.level:{profile.TERM},12", f"data.stay.late:{profile.SWEET_SPOT}"]
    assert 0.4 < month.estimate < 0.6 and month.low < month.estimate < month.high
    assert 0.4 < year.estimate < 0.6
    tests = profile.p_values(sample_study.spells, {})
    named = profile.beyond_chance(tests)
    assert profile.TERM in named
    names = ", ".join(profile.thing_name(about) for about in named)
    text = profile.what_tells(sample_study.spells, {}).text
    assert key_of(text) == f"data.tells.some:{len(tests)},{names}"


@pytest.mark.long
@pytest.mark.slow
def test_false_discoveries_stay_few():
    """Twenty things that mean nothing: named in at most about a tenth of looks."""
    spells = simulated(World(contract=0.0, spend=0.0, **ALIKE), 400)[
        [
            "client_id",
            "engagement",
            "start_date",
            "end_date",
            "end_kind",
            "ended",
            "entry_months",
            "stop_months",
            "observed_months",
            "contract_term_months",
            "monthly_ad_spend",
        ]
    ]
    named, rng = 0, np.random.default_rng(3)
    flags = [
        "written_brief",
        "budget_set",
        "deposit_paid",
        "prepaid",
        "purchase_order",
        "rush",
        "one_off",
        "champion",
    ]
    for _ in range(60):
        noise = {name: rng.random(len(spells)) < 0.5 for name in flags}
        alike = spells.assign(contract_term_months=1, monthly_ad_spend=1.0, **noise)
        tests = profile.p_values(alike, {})
        assert set(tests) <= set(flags) and tests
        named += bool(profile.beyond_chance(tests))
    assert named <= 13  # 10 % of 60, and three standard errors


def test_what_was_known_later_is_no_thing_of_signing(sample_study):
    spells = sample_study.spells.assign(
        saved=sample_study.spells["ended"].map({True: "yes", False: "no"})
    )
    later, then = (Extra(kind="category", known=known) for known in ("recorded_date", "signing"))
    assert "saved" not in profile.p_values(spells, {"saved": later})
    assert "saved" in profile.beyond_chance(profile.p_values(spells, {"saved": then}))


def test_a_what_if_reads_no_further_than_clients_were_watched():
    spells = simulated(World(spend=0.0, **ALIKE), 3000)
    short = build_spells(
        simulate(World(spend=0.0, **ALIKE), clients=3000, seed=1, tables=("clients",))["clients"],
        cutoff=dt.date(2022, 6, 30), records_begin=BEGIN,
    )  # fmt: skip
    caption = term_fees.without_monthly(spells)[0].caption
    assert key_of(caption) == "contract_term.caption.what_if:60" and "60 months" in caption
    fresh = short[short["entry_months"] == 0]
    caption = term_fees.without_monthly(fresh)[0].caption
    assert key_of(caption) == "contract_term.caption.what_if:12" and "12 months" in caption
