"""What is held fixed, told, and compared at equal opportunity: faults found from outside, each in
its own world.

How far each mend reaches over many made-up agencies: docs/calibration-held.md
(tests/simulate_held.py).
"""

import datetime as dt
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from conftest import ROOT, clients_of
from retention import open_study
from retention.claims import ad_spend, contract_checks, profile, size_groups
from retention.claims.contract_term import (
    CHANGES_UNKNOWN,
    contract_hazard_ratio,
    contract_sensitivities,
)
from retention.claims.judge import CLAIMS, judge
from retention.data.schema import write_csv
from retention.history import held
from retention.history.opportunities import compare, exit_rows, with_why
from retention.history.spells import build_spells
from retention.notices import PAST_ONLY
from retention.results import NOT_ENOUGH
from retention.settings import Extra, study_plan
from retention.words import key_of, say
from simulate_held import CUTOFF, NULL, TWICE, Planted, agency, followed

NUMBER, CATEGORY = Extra(kind="number"), Extra(kind="category")
# advice to look again when there are more data
NO_DATA = [text for key, text in CLAIMS["A4"].advice.items() if key.startswith(NOT_ENOUGH)]


@pytest.fixture(scope="module")
def hidden() -> tuple[pd.DataFrame, pd.DataFrame]:
    """A number drives spend and leaving; spend itself does nothing."""
    clients, contracts = agency(Planted(hidden=-0.35, numbers=3), 1500, 3)
    return followed(clients), contracts


def test_S4_a_number_of_the_users_own_is_held_fixed(hidden):
    spells, contracts = hidden
    without = ad_spend.size_hazard_ratio(spells, contracts=contracts)
    found = ad_spend.size_hazard_ratio(spells, contracts=contracts, extra={"number_1": NUMBER})
    assert math.exp(without.theta) < 0.65 and without.theta < -2.6 * without.se
    assert abs(found.theta) < 2.6 * found.se and abs(found.theta) < 0.3
    blocks = held.things(["calendar_time", "half_year", "number_1"])
    assert [key_of(said) for said in found.caveats] == [f"claims.caveat.alike_in:{key_of(blocks)}"]
    assert "number_1" in judge(CLAIMS["A4"], found).words


def test_S4_the_reversal_table_holds_numbers_too(hidden):
    spells, contracts = hidden
    table = ad_spend.per_doubling(spells, {"number_1": NUMBER}, contracts=contracts)
    rows = {key_of(row.group): row for row in table.rows}
    alone = rows["ad_spend.group.adjusted:number_1"]
    both = held.things(["contract", "number_1"])
    assert rows["ad_spend.group.pooled"].high < 0.9
    assert alone.low < 1 < alone.high
    assert rows[f"ad_spend.group.adjusted:{key_of(both)}"].low < 1


def test_S4_where_room_is_short_what_moves_the_ratio_comes_first_either_way():
    """Of three numbers one matters; with some 60 ends it is the one held, whether it lifts or
    lowers the ratio.
    """
    extra = {f"number_{k}": NUMBER for k in (3, 2, 1)}
    for drives in (-0.6, 0.6):
        clients, contracts = agency(Planted(hidden=drives, numbers=3), 100, 5)
        found = ad_spend.size_hazard_ratio(followed(clients), contracts=contracts, extra=extra)
        alike, left_out = found.caveats
        assert key_of(alike).startswith("claims.caveat.alike_in:") and "number_1" in alike
        assert key_of(left_out).startswith("held.caveat.left_out:") and "number_" in left_out
        assert str(held.NO_ROOM) in left_out and "number_1" not in left_out


def test_S4_what_has_no_place_is_named_with_the_reason():
    clients, _ = agency(NULL, 300, 1)
    half = np.arange(300) % 3 > 0
    clients = clients.assign(budget=np.where(half, np.nan, 1.0 * np.arange(300)), one=7, alike="a")
    clients.loc[:4, "alike"] = "b"
    extra = {
        "budget": NUMBER,
        "one": Extra(kind="integer"),
        "alike": CATEGORY,
        "later": NUMBER,
        "rush": Extra(kind="flag"),
    }
    clients = clients.assign(rush=np.arange(300) % 2 == 0, later=1.0)
    extra["later"] = Extra(kind="number", known="recorded_date")
    found = contract_checks.adjusted(followed(clients), None, extra)
    assert found.held[:2] == ("size", "calendar_time") and found.held[-1] == "rush"
    assert {name: key_of(why) for name, why in found.refused.items()} == {
        "budget": "held.why.blank:0.67",
        "one": "held.why.all_the_same",
        "alike": "held.why.one_category",
    }
    text = contract_checks.what_was_held(followed(clients), None, extra).text
    others = with_why(found.refused)
    assert key_of(text).startswith("held.adjusted.things_but:held.thing.size") and others in text
    assert all(name in others for name in ("budget", "67%", "one", "alike"))
    assert "later" not in text
    said = contract_hazard_ratio(followed(clients), extra=extra).caveats
    assert key_of(said[1]) == f"held.caveat.left_out:{key_of(others)}"


def test_S4_blanks_of_a_number_stand_at_the_median_with_a_column_of_their_own():
    """By hand: thirty rows of as many clients, ten of them blank; two of these left."""
    values = [float(v) for v in range(1, 21)] + [math.nan] * 10
    rows = pd.DataFrame(
        {"client_id": [f"c{i}" for i in range(30)], "left": [1, 0] * 15, "staff": values}
    )
    rows = rows.assign(from_month=0, to_month=1)
    block = held.number(rows, "staff")
    assert list(block) == ["linear", held.NOT_KNOWN]
    assert block[held.NOT_KNOWN].tolist() == [0.0] * 20 + [1.0] * 10
    assert block["linear"][20:].nunique() == 1
    assert block["linear"][9] < block["linear"][20] < block["linear"][10]
    gone = rows.assign(
        left=rows["staff"].isna().astype(int)
    )  # all blank ones left: the blank knows the outcome
    assert list(held.number(gone, "staff")) == ["linear"]
    few = rows.assign(staff=rows["staff"].fillna(5).mask(rows.index > 27))
    assert list(held.number(few, "staff")) == ["linear"]  # two blanks make no column


def test_S4_a_column_that_knows_too_much_is_not_held_and_named(tmp_path):
    clients, _ = agency(NULL, 200, 2)
    ended = clients["end_date"].notna()
    clients = clients.assign(
        bill=np.where(ended, 1.0, 100.0) + np.arange(200) / 1e3, staff=np.arange(200) % 17
    )
    write_csv(
        clients[
            [
                "client_id",
                "start_date",
                "end_date",
                "contract_term_months",
                "monthly_ad_spend",
                "bill",
                "staff",
            ]
        ],
        tmp_path / "clients.csv",
    )
    extra = "[tables.clients.extra]\n" + "".join(
        f'{name} = {{ kind = "number" }}\n' for name in ("bill", "staff")
    )
    (tmp_path / "retention.toml").write_text(
        f'cutoff = {CUTOFF}\nrecords_begin = "all history"\n{extra}'
    )
    study = open_study(str(tmp_path))
    assert list(study.at_signing) == ["staff"]
    verdict = judge(
        CLAIMS["A1"], contract_hazard_ratio(study.spells, extra=study.at_signing), (), study.caveats
    )
    assert "claims.caveat.not_at_signing:bill" in map(key_of, verdict.qualifiers)
    assert "staff" in verdict.words


def test_S4_claims_stay_computable_with_few_ends():
    clients, contracts = agency(Planted(hidden=-0.35, numbers=3, zeros=1.0), 40, 1)
    extra, spells = {f"number_{k}": NUMBER for k in (1, 2, 3)}, followed(clients)
    others = contract_checks.all_sensitivities(spells, contracts, extra)
    others += ad_spend.size_sensitivities(spells, contracts=contracts, extra=extra)
    assert sum(math.isfinite(other.theta) for other in others) >= 12
    assert judge(
        CLAIMS["A1"], contract_hazard_ratio(spells, contracts=contracts, extra=extra), others
    ).verdict


def test_S14_a_size_of_zero_is_not_known():
    """As if blank: neither the smallest quarter, nor a size of one."""
    clients, _ = agency(replace(TWICE, zeros=1.0), 400, 1)
    spells, gone = followed(clients), clients["monthly_ad_spend"] == 0
    blank = followed(clients.assign(monthly_ad_spend=clients["monthly_ad_spend"].mask(gone)))
    assert (
        size_groups.quarters(spells)[gone].isna().all()
        and size_groups.quarters(spells)[~gone].notna().all()
    )
    assert contract_hazard_ratio(spells).theta == pytest.approx(contract_hazard_ratio(blank).theta)
    said = key_of(size_groups.cut_points(spells).text)
    assert said.startswith("ad_spend.cuts.quarters_but:") and said.endswith(f",{gone.sum()}")
    assert held.NOT_KNOWN not in held.size(
        exit_rows(spells)
    )  # it goes with leaving: it would hold the outcome fixed
    nobody = spells.assign(monthly_ad_spend=0.0)
    assert held.size(exit_rows(nobody)).empty
    assert math.isfinite(contract_hazard_ratio(nobody).theta)


def test_S14_zeros_of_early_leavers_no_longer_bend_the_ratio():
    clients, contracts = agency(Planted(term=math.log(2), spend=-0.3, zeros=1.0), 8000, 1)
    found = contract_hazard_ratio(followed(clients), contracts=contracts)
    as_one = clients.assign(monthly_ad_spend=clients["monthly_ad_spend"].clip(lower=1))
    before = contract_hazard_ratio(followed(as_one), contracts=contracts)
    assert before.theta < math.log(2) - 0.1
    assert abs(found.theta - math.log(2)) < 0.08


def test_S14_every_other_way_is_computed_with_sizes_of_zero():
    clients, contracts = agency(replace(TWICE, zeros=0.5), 300, 1)
    others = contract_checks.all_sensitivities(followed(clients), contracts)
    assert all(math.isfinite(other.theta) for other in others)


def test_S14_blanks_that_go_with_leaving_are_warned_of_and_others_are_not():
    clients, contracts = agency(replace(TWICE, zeros=0.5), 600, 1)
    text = ad_spend.missing_sizes(followed(clients), contracts)
    gone = (clients["monthly_ad_spend"] == 0).sum()
    ratio = ad_spend.pace_without_size(followed(clients), contracts)
    assert key_of(text) == f"ad_spend.missing_sizes.warning:{gone},600,{gone},{ratio}"
    assert ratio > 1 and f"{gone:,} of 600 " in text and f"{ratio:.2f} times" in text
    whole, contracts = agency(TWICE, 600, 1)
    old = whole["start_date"] < "2022-01-01"  # blank because the record is old, whoever left
    assert (
        ad_spend.missing_sizes(
            followed(whole.assign(monthly_ad_spend=whole["monthly_ad_spend"].mask(old))), contracts
        )
        == ""
    )
    assert ad_spend.missing_sizes(followed(whole), contracts) == ""


def test_S15_being_locked_in_sets_nobody_apart():
    """Everybody wishes to leave alike: the term and the fee that follows it are not named; a
    planted one is.
    """
    clients, contracts = agency(NULL, 3000, 1)
    spells = followed(clients)
    for known in (contracts, None):
        tests = profile.p_values(spells, {}, known)
        assert tests and profile.beyond_chance(tests) == []
        text = profile.what_tells(spells, {}, known).text
        assert key_of(text) == f"data.tells.none:{len(tests)}"
    clients, contracts = agency(replace(TWICE, spend=-0.25), 800, 1)
    named = profile.beyond_chance(profile.p_values(followed(clients), {}, contracts))
    assert {profile.TERM, profile.SIZE, "fee_pct"} <= set(named)
    text = profile.what_tells(followed(clients), {}, contracts).text
    assert key_of(text).startswith("data.tells.some:")
    assert ", ".join(profile.thing_name(name) for name in named) in text


@pytest.mark.slow
def test_S15_false_finds_in_at_most_a_tenth_of_agencies():
    named = 0
    for seed in range(25):
        clients, contracts = agency(NULL, 150, seed)
        named += bool(profile.beyond_chance(profile.p_values(followed(clients), {}, contracts)))
    assert named <= 25 * (0.1 + 3 * math.sqrt(0.1 * 0.9 / 25))


def test_S15_a_level_that_nobody_leaves_is_found():
    clients, contracts = agency(NULL, 400, 1)
    stayed = clients["end_date"].isna()
    spells = followed(clients.assign(source=np.where(stayed, "friend", "cold")))
    assert "source" in profile.beyond_chance(profile.p_values(spells, {}, contracts))


def test_S17_sizes_in_steps_make_natural_groups():
    """By hand: of ten clients five are at 100, three at 200, two at 300."""
    rows = [(f"c{i}", "2023-01-01", None, 1) for i in range(10)]
    spells = build_spells(clients_of(rows), cutoff=dt.date(2024, 6, 30))
    spells = spells.assign(monthly_ad_spend=[100.0] * 5 + [200.0] * 3 + [300.0] * 2)
    assert size_groups.quarters(spells).value_counts().to_dict() == {
        "smallest_sizes": 5, "middle_sizes": 3, "largest_sizes": 2
    }  # fmt: skip
    text = size_groups.cut_points(spells).text
    assert key_of(text) == "ad_spend.cuts.steps:100.0,0.5,300.0,0.2"
    assert all(number in text for number in (" 100 ", "(50%)", " 300 ", "(20%)"))


@pytest.mark.parametrize("sizes", ["packages", "minimum"])
def test_S17_packages_and_a_minimum_fee_are_compared(sizes):
    clients, contracts = agency(replace(NULL, spend=-0.5, sizes=sizes), 600, 1)
    found = ad_spend.size_hazard_ratio(followed(clients), contracts=contracts)
    verdict = judge(CLAIMS["A4"], found)
    assert verdict.high < 1 and ad_spend.IN_STEPS in verdict.qualifiers
    assert verdict.sentence.startswith(CLAIMS["A4"].words["in_steps"].partition("{")[0])
    assert verdict.advice not in NO_DATA


def test_S17_one_size_for_nearly_all_is_never_told_to_look_again():
    clients, contracts = agency(NULL, 300, 1)
    spend = np.where(np.arange(300) < 285, 1000.0, 5000.0)
    verdict = judge(
        CLAIMS["A4"], ad_spend.size_hazard_ratio(followed(clients.assign(monthly_ad_spend=spend)))
    )
    assert verdict.verdict == NOT_ENOUGH and size_groups.ALIKE in verdict.why
    assert verdict.advice == CLAIMS["A4"].advice[f"{NOT_ENOUGH} + one_size"]
    assert verdict.would_change == ""


def test_S17_past_clients_alone_are_said_in_verdict_and_advice(tmp_path):
    clients, _ = agency(TWICE, 400, 1)
    past = clients[clients["end_date"].notna()]
    columns = ["client_id", "start_date", "end_date", "contract_term_months", "monthly_ad_spend"]
    write_csv(past[columns], tmp_path / "clients.csv")
    (tmp_path / "retention.toml").write_text(f'cutoff = {CUTOFF}\nrecords_begin = "all history"\n')
    study = open_study(str(tmp_path))
    for claim, ratio in (("A1", contract_hazard_ratio), ("A4", ad_spend.size_hazard_ratio)):
        verdict = judge(CLAIMS[claim], ratio(study.spells), (), study.caveats)
        assert PAST_ONLY in verdict.qualifiers
        advice = CLAIMS[claim].advice
        assert verdict.advice in (advice["past_only"], advice[f"{NOT_ENOUGH} + past_only"])


def test_S17_a_trend_in_leaving_is_held_fixed_where_half_years_cannot_be():
    clients, contracts = agency(replace(TWICE, trend=-0.4), 12_000, 1)
    rows = exit_rows(followed(clients), contracts)
    first, names = rows["contract_term_months"] == 1, ("month-to-month", "fixed term")
    blocks = ("calendar_time", "half_year")
    none, line = (
        compare(rows, first, names, name="x", leave_out=out).contrast
        for out in (blocks, blocks[1:])
    )
    assert none.theta < math.log(2) - 0.05
    assert abs(line.theta - math.log(2)) < abs(none.theta - math.log(2)) / 2


def test_S17_dates_off_by_days_are_a_sensitivity_and_told():
    clients, contracts = agency(replace(TWICE, days=10), 4000, 1)
    spells = followed(clients)
    as_told = contract_hazard_ratio(spells, contracts=contracts)
    mended = contract_hazard_ratio(contract_checks.on_time(spells), contracts=contracts)
    assert as_told.theta > math.log(2) + 0.1
    assert abs(mended.theta - math.log(2)) < abs(as_told.theta - math.log(2)) / 2
    text = contract_checks.near_renewals(spells).text
    assert key_of(text).startswith("contract_term.near_renewals.some:")
    assert say("contract_term.way.on_time", days=contract_checks.NEAR_DAYS) in text
    assert contract_checks.near_renewals(followed(agency(TWICE, 600, 1)[0])).text == ""


def test_S17_ends_near_a_renewal_by_hand():
    """A year that ended six days late, one eleven days late, one in time, one broken in month
    five.
    """
    ends = ["2024-01-06", "2024-01-11", "2023-12-31", "2023-05-10"]
    spells = build_spells(
        clients_of([(f"c{i}", "2023-01-01", end, 12) for i, end in enumerate(ends)]),
        cutoff=dt.date(2025, 12, 31),
    )
    assert spells["stop_months"].tolist() == [13, 13, 12, 5]
    assert contract_checks.on_time(spells)["stop_months"].tolist() == [12, 13, 12, 5]


@pytest.mark.slow
@pytest.mark.parametrize("ratio", [1.0, 2.0])
def test_S3_rows_by_the_term_in_force_and_groups_by_the_term_signed(ratio):
    clients, contracts = agency(replace(TWICE, term=math.log(ratio), upgrades=0.05), 3000, 1)
    spells = followed(clients)
    found = contract_hazard_ratio(spells, contracts=contracts)
    as_signed = contract_hazard_ratio(spells)
    assert abs(found.theta - math.log(ratio)) < 2 * found.se
    assert as_signed.theta < math.log(ratio) - 0.1
    others = {key_of(other.name): other for other in contract_sensitivities(spells, contracts)}
    assert others["contract_term.way.as_signed"].theta == pytest.approx(as_signed.theta)


def test_S3_without_contracts_it_is_said_how_far_the_ratio_may_be_off():
    clients, contracts = agency(TWICE, 300, 1)
    spells = followed(clients)
    read = study_plan()["unrecorded_terms"]["ratio_read"]
    text = contract_checks.unrecorded_terms(spells).text
    assert key_of(text).startswith("contract_term.unrecorded_terms.some:")
    assert all(f"{value:.2f}" in text for value in read.values())
    assert all(f"{share}%" in text for share in read)
    assert CHANGES_UNKNOWN in judge(CLAIMS["A1"], contract_hazard_ratio(spells)).qualifiers
    assert contract_checks.unrecorded_terms(spells, contracts).text == ""
    assert (
        CHANGES_UNKNOWN
        not in judge(CLAIMS["A1"], contract_hazard_ratio(spells, contracts=contracts)).qualifiers
    )


def test_S3_the_numbers_said_are_those_that_the_simulation_found():
    """The ratio read is 2, less what the estimates of the same agencies lose without their
    contracts.
    """
    note = (ROOT / "docs" / "calibration-held.md").read_text("utf-8")
    off = {
        tuple(part.strip() for part in line.split("|")[1:4:2]): line.split("|")[5]
        for line in note.splitlines()
        if line.count("|") == 7
    }
    for share, ratio in study_plan()["unrecorded_terms"]["ratio_read"].items():
        world = f"{share}% go over to a year each month, ratio 2"
        known, without = (
            float(off[world, way].split("(")[0])
            for way in ("A1, contracts on record", "A1, the term signed first")
        )
        assert ratio == pytest.approx(2 * math.exp(without - known), abs=0.006)
