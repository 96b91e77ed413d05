"""The contract-term study: lock-in, notice, horizons, small agencies, a stranger's export."""

import datetime as dt
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from conftest import clients_of
from retention import open_study
from retention.claims import came_due, contract_term, term_curves
from retention.claims.contract_term import (
    CHANGES_UNKNOWN,
    FIXED,
    MONTHLY,
    contract_hazard_ratio,
    curve_hazard_ratio,
)
from retention.claims.judge import CLAIMS, judge
from retention.history.conventions import questions
from retention.history.follow_up import follow_up
from retention.history.held import things
from retention.history.spells import KINDS, add_months, build_spells, contract_cycles
from retention.numbers import quantity
from retention.results import NOT_ENOUGH
from retention.sample import PLAIN, WORLDS, World, simulate
from retention.settings import Settings
from retention.stats.curves import after, kaplan_meier
from retention.words import key_of, say

CUTOFF, BEGIN = dt.date(2025, 12, 31), dt.date(2021, 1, 1)
MONTHLY_CLIENTS, FIXED_CLIENTS = map(contract_term.clients_of, (MONTHLY, FIXED))
MONTHLY_GROUP = "contract_term.group.monthly"
NOT_LEFT = "contract_term.estimate.not_left"
STILL = "contract_term.estimate.still_client"


def simulated(world: World, clients: int, seed: int) -> pd.DataFrame:
    return build_spells(
        simulate(world, clients=clients, seed=seed, tables=("clients",))["clients"],
        cutoff=CUTOFF,
        records_begin=BEGIN,
    )


def asked(clients: pd.DataFrame) -> list[str]:
    """What is asked about the meaning of the last days."""
    return [text for text in questions(clients, Settings(), CUTOFF) if "end_grace_days" in text]


def by_hand(contrast) -> float:
    return math.exp(contrast.theta)


def few_rows() -> list[tuple]:
    """Ten month-to-month clients, five of whom leave after a quarter; ten on a year, two of whom do
    not renew.
    """
    rows = [(f"m{i}", "2023-01-01", "2023-03-31", 1) for i in range(5)]
    rows += [(f"n{i}", "2023-01-01", None, 1) for i in range(5)]
    rows += [(f"f{i}", "2023-01-01", "2023-12-31", 12) for i in range(2)]
    return rows + [(f"g{i}", "2023-01-01", None, 12) for i in range(8)]


def test_the_ratio_by_hand():
    rows = few_rows()
    spells = build_spells(clients_of(rows), cutoff=dt.date(2024, 6, 30))
    found = curve_hazard_ratio(spells)
    assert by_hand(found) == pytest.approx(math.log(0.5) / math.log(0.8))
    parts = [(5 / (10 * 5)) / math.log(0.5) ** 2, (2 / (10 * 8)) / math.log(0.8) ** 2]
    assert found.se == pytest.approx(math.sqrt(sum(parts)))
    assert found.events == {MONTHLY_CLIENTS: 5, FIXED_CLIENTS: 2}


def test_the_ratio_over_opportunities_by_hand():
    """Month-to-month: 5 of 105 months (5 x 3 and 5 x 18) end in leaving; fixed: 2 of 10 terms of
    twelve months.
    """
    rows = few_rows()
    spells = build_spells(clients_of(rows), cutoff=dt.date(2024, 6, 30))
    found = contract_hazard_ratio(spells)
    assert by_hand(found) == pytest.approx(12 * math.log(100 / 105) / math.log(0.8))
    assert found.events == {MONTHLY_CLIENTS: 5, FIXED_CLIENTS: 2} and found.n_clients == 20
    rows += [("fired", "2023-01-01", "2023-06-30", 12), ("not due", "2023-12-01", None, 12)]
    fired = clients_of(rows).assign(end_initiator="client")
    fired.loc[fired["client_id"] == "fired", "end_initiator"] = "agency"
    fired.loc[fired["end_date"].isna(), "end_initiator"] = None
    spells = build_spells(fired, cutoff=dt.date(2024, 6, 30))
    again = contract_hazard_ratio(
        spells
    )  # neither the one let go nor the one whose term is not over counts
    assert again.theta == pytest.approx(found.theta) and again.n_clients == 20
    assert contract_hazard_ratio(spells, kinds=("client", "agency")).events[FIXED_CLIENTS] == 3
    snapshot = contract_hazard_ratio(spells.assign(renewals_known=False))
    assert (
        by_hand(snapshot) != pytest.approx(by_hand(found))
        and snapshot.theta == curve_hazard_ratio(spells).theta
    )


@pytest.mark.slow
def test_who_chooses_which_term_is_taken_out():
    """Nothing planted in the term, but large clients stay and sign for longer: like for like there
    is no difference.
    """
    spells = simulated(WORLDS["confounded"], 12_000, seed=4)
    raw, found = contract_hazard_ratio(spells, adjust=False), contract_hazard_ratio(spells)
    assert raw.theta > 3 * raw.se and abs(found.theta) < 3.3 * found.se
    blocks = things(["size", "source", "industry", "calendar_time", "half_year"])
    assert key_of(found.caveats[0]) == f"claims.caveat.alike_in:{key_of(blocks)}"
    assert found.caveats[1:] == (CHANGES_UNKNOWN,)


@pytest.mark.slow
def test_a_planted_term_is_found_among_clients_who_differ_in_nothing_else():
    alike = {"liking": 0.0, "results": 0.0, "rep_sd": 0.0, "rep_liking_sd": 0.0, **PLAIN}
    found = contract_hazard_ratio(simulated(World(**alike), 12_000, seed=5))
    assert abs(found.theta - math.log(2)) < 3.3 * found.se and found.se < 0.04


def test_few_clients_are_adjusted_for_little():
    small = contract_hazard_ratio(simulated(World(), 80, seed=3))
    blocks = things(["size", "source"])
    assert key_of(small.caveats[0]) == f"claims.caveat.alike_in:{key_of(blocks)}" and small.se > 0.2
    assert small.caveats[1:] == (CHANGES_UNKNOWN,)


def test_groups_of_quite_different_sizes_are_not_compared():
    rows = [(f"m{i}", "2023-01-01", "2023-03-31" if i % 2 else None, 1) for i in range(40)]
    rows += [(f"f{i}", "2023-01-01", "2023-12-31" if i % 2 else None, 12) for i in range(40)]
    clients = clients_of(rows).assign(
        monthly_ad_spend=[10.0 + i for i in range(40)] + [9000.0 + i for i in range(40)]
    )
    found = contract_hazard_ratio(build_spells(clients, cutoff=dt.date(2024, 6, 30)))
    assert key_of(found.gate[0]).startswith("held.lacking.sizes_apart:")


def constant_wish(term: int, notice: int, n: int, seed: int) -> pd.DataFrame:
    """Clients whose wish to leave arises at 4 % a month, released as METHODS 10 says, on the first
    of a month.
    """
    rng = np.random.default_rng(seed)
    wish = rng.geometric(0.04, n)
    decided = wish if term == 1 else np.ceil((wish + notice) / term).astype(int) * term - notice
    start = pd.Series(pd.Timestamp("2020-01-01"), index=range(n))
    frame = pd.DataFrame({"client_id": [f"{term}-{i}" for i in range(n)], "start_date": start})
    frame["end_date"] = add_months(start, pd.Series(decided + notice)) - pd.Timedelta(days=1)
    frame["decision_date"] = add_months(start, pd.Series(decided - 1))
    return frame.assign(contract_term_months=term, monthly_ad_spend=1.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("term", "notice", "biased"),
    [(12, 1, 12 / 11), (12, 2, 12 / 10), (6, 1, 6 / 5), (6, 2, 6 / 4), (12, 0, 1.0)],
)
def test_counting_decisions_instead_of_ends_is_biased_and_the_study_does_not(term, notice, biased):
    """METHODS 0: with nothing planted, decisions give 1.09, 1.20, 1.20, 1.50 at the first renewal;
    ends give 1.
    """
    n = 60_000
    clients = pd.concat([constant_wish(1, notice, n, 1), constant_wish(term, notice, n, 2)])
    spells = build_spells(clients, cutoff=dt.date(2024, 12, 31))
    on_ends = curve_hazard_ratio(spells, horizon=term)
    on_decisions = curve_hazard_ratio(spells, horizon=term, by="decision")
    assert abs(on_ends.theta) < 3.3 * on_ends.se
    assert abs(on_decisions.theta - math.log(biased)) < 3.3 * on_decisions.se
    assert on_ends.se < 0.02


@pytest.mark.long
@pytest.mark.slow
def test_lock_in_misleads_the_raw_ratio_and_not_the_study():
    """Nothing planted, lock-in and terms chosen at random: cycles give 1 where client-months do
    not.
    """
    spells = simulated(World(contract=0.0, spend=0.0), 12_000, seed=4)
    found = contract_hazard_ratio(spells)
    assert abs(found.theta) < 3.3 * found.se
    assert term_curves.raw_rate_ratio(spells).rows[0].low > 1.1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("convention", "grace"), [("first day without service", 1), ("end of calendar month", 30)]
)
def test_another_meaning_of_end_date_is_asked_about_and_the_answer_cures_it(convention, grace):
    """Nothing planted: read as the last paid day these ends would make fixed terms look far better
    than they are.
    """
    clients = simulate(World(contract=0.0, spend=0.0), clients=2400, seed=9, tables=("clients",))[
        "clients"
    ]
    day, month = (
        clients["end_date"] + pd.Timedelta(days=1),
        clients["end_date"] + pd.offsets.MonthEnd(0),
    )
    clients["end_date"] = month if grace == 30 else day
    as_read = build_spells(clients, cutoff=CUTOFF, records_begin=BEGIN)
    assert (
        any("end_grace_days" in text for text in asked(clients))
        and by_hand(contract_hazard_ratio(as_read)) > 1.25
    )
    answered = build_spells(clients, cutoff=CUTOFF, records_begin=BEGIN, end_grace_days=grace)
    found = contract_hazard_ratio(answered)
    assert abs(found.theta) < 3.3 * found.se


def test_ends_on_any_day_raise_no_question():
    clients = simulate(World(lock_in=False), clients=600, seed=9, tables=("clients",))["clients"]
    earlier = pd.to_timedelta(np.random.default_rng(9).integers(0, 30, len(clients)), unit="D")
    clients["end_date"] = np.maximum(clients["end_date"] - earlier, clients["start_date"])
    assert asked(clients) == []


def test_without_lock_in_both_agree():
    spells = simulated(
        World(contract=math.log(2), spend=0.0, lock_in=False, breach=0.0), 8_000, seed=5
    )
    raw, found = (
        term_curves.raw_rate_ratio(spells).rows[0].estimate,
        by_hand(contract_hazard_ratio(spells)),
    )
    assert found == pytest.approx(raw, rel=0.12)


def test_dropping_entry_makes_retention_look_too_good():
    spells = simulated(World(), 8_000, seed=6)
    outcome = follow_up(spells).only([KINDS["client"]])
    without = follow_up(spells.assign(entry_months=0)).only([KINDS["client"]])
    assert (
        after(kaplan_meier(without), 12)["survival"]
        > after(kaplan_meier(outcome), 12)["survival"] + 0.02
    )


def test_curves_leave_out_terms_that_cannot_come_due_by_the_horizon():
    rows = [(f"m{i}", "2023-01-01", "2023-03-31", 1) for i in range(5)] + [
        ("n", "2023-01-01", None, 1)
    ]
    rows += [
        ("f", "2023-01-01", "2023-12-31", 12),
        ("g", "2023-01-01", None, 12),
        ("two", "2023-01-01", None, 24),
    ]
    spells = build_spells(clients_of(rows), cutoff=dt.date(2024, 6, 30))
    masks = contract_term.arms(spells, 12)
    assert (masks[MONTHLY].sum(), masks[FIXED].sum()) == (6, 2)
    assert curve_hazard_ratio(spells).n_clients == 8
    only = contract_hazard_ratio(spells[spells["contract_term_months"] != 12])
    assert judge(CLAIMS["A1"], only).verdict == NOT_ENOUGH


@pytest.mark.parametrize(
    "rows",
    [
        [("a", "2023-01-01", None, 1)],
        [("a", "2023-01-01", "2023-01-31", 1), ("b", "2023-01-01", "2023-01-31", 12)],
        [
            ("a", "2023-01-01", None, 12),
            ("b", "2023-02-01", None, 12),
            ("c", "2023-02-01", "2024-01-31", 12),
        ],
        [(f"m{i}", "2024-05-01", None, 1 + 11 * (i % 2)) for i in range(20)],
    ],
)
def test_tiny_agencies_get_an_answer_and_no_error(rows):
    spells = build_spells(clients_of(rows), cutoff=dt.date(2024, 6, 30))
    found = judge(
        CLAIMS["A1"], contract_hazard_ratio(spells), contract_term.contract_sensitivities(spells)
    )
    assert found.verdict == NOT_ENOUGH and found.why
    cycles = contract_cycles(spells)
    for result in (
        term_curves.survival_estimates(spells),
        term_curves.service_estimates(spells),
        term_curves.restricted_mean_estimates(spells),
        came_due.renewal_estimates(spells, cycles),
        came_due.early_exit_estimates(cycles),
        term_curves.incidence_estimates(spells),
        term_curves.raw_rate_ratio(spells),
        contract_term.ratio_by_term(spells),
        term_curves.headlines(spells),
    ):
        assert result._repr_mimebundle_()["text/html"]


def test_per_renewal_shares_by_hand():
    rows = [("a", "2023-01-01", "2023-06-30", 6, "client"), ("b", "2023-01-01", None, 6, None)]
    rows += [
        ("c", "2023-01-01", "2023-03-31", 6, "agency"),
        ("d", "2023-01-01", "2023-02-28", 1, "client"),
    ]
    spells = build_spells(clients_of(rows, ("end_initiator",)), cutoff=dt.date(2023, 12, 31))
    found = {
        key_of(row.group): row
        for row in came_due.renewal_estimates(spells, contract_cycles(spells)).rows
    }
    # a left, b stayed twice; c was let go
    assert found["contract_term.group.terms:6"].estimate == pytest.approx(1 / 3)
    assert found[MONTHLY_GROUP].estimate == pytest.approx(1 - (1 - 1 / 2) ** 6)


def test_shares_of_all_kinds_and_staying_make_a_whole(sample_study):
    rows = term_curves.incidence_estimates(sample_study.spells).rows
    service = term_curves.service_estimates(sample_study.spells).rows
    still = {row.key[2]: row.estimate for row in service if row.key[1] == f"{STILL}:12"}
    terms = term_curves.term_group(sample_study.spells)
    assert len(still) == len(terms.cat.categories) == 3
    year = [f"contract_term.gone.{kind}:12" for kind in KINDS]
    for term in terms.cat.categories:
        group = key_of(term_curves.term_name(term))
        shares = [row.estimate for row in rows if row.key[2] == group and row.key[1] in year]
        survival = after(kaplan_meier(follow_up(sample_study.spells[terms == term])), 12)
        assert len(shares) == 3
        assert sum(shares) == pytest.approx(1 - survival["survival"])
        assert still[group] + sum(shares) == pytest.approx(1)


def test_only_ends_the_estimate_rests_on_pass_the_gate():
    """Twenty-nine ends at month 24 say nothing about month 12: one end there is not enough."""
    rows = [(f"m{i}", "2022-01-01", "2022-11-30", 1) for i in range(50)]
    rows += [(f"n{i}", "2022-01-01", None, 1) for i in range(10)]
    rows += [("f", "2022-01-01", "2022-12-31", 12)] + [
        (f"g{i}", "2022-01-01", "2023-12-31", 12) for i in range(29)
    ]
    rows += [(f"h{i}", "2022-01-01", None, 12) for i in range(30)]
    spells = build_spells(clients_of(rows), cutoff=dt.date(2024, 12, 31))
    found = curve_hazard_ratio(spells)
    assert found.events == {MONTHLY_CLIENTS: 50, FIXED_CLIENTS: 1}
    assert judge(CLAIMS["A1"], found).verdict == NOT_ENOUGH
    assert contract_term.ratio_by_term(spells).rows == ()


def test_nothing_is_read_where_nobody_was_at_risk():
    """Six months of records: new clients are seen to month 6, old ones from month 25 on; between is
    nobody.
    """
    rows = [
        (f"new{term}{i}", "2024-01-01", "2024-03-31" if i < 3 else None, term)
        for term in (1, 12)
        for i in range(15)
    ]
    rows += [(f"old{term}{i}", "2021-12-01", None, term) for term in (1, 12) for i in range(15)]
    spells = build_spells(
        clients_of(rows), cutoff=dt.date(2024, 6, 30), records_begin=dt.date(2024, 1, 1)
    )
    rows = term_curves.service_estimates(spells).rows
    assert {row.key[1] for row in rows if row.unit == "share"} == {f"{STILL}:6"}
    assert term_curves.restricted_mean_estimates(spells).rows == ()
    assert term_curves.survival_by_term(spells)["followed"].max() == 6
    assert (
        "In month 7 of service no month-to-month client could be seen"
        in judge(CLAIMS["A1"], curve_hazard_ratio(spells)).why
    )
    assert (
        "No term of fixed term clients came due"
        in judge(CLAIMS["A1"], contract_hazard_ratio(spells)).why
    )


def test_a_group_in_which_all_left_is_shown_and_told_as_such():
    rows = [(f"m{i}", "2023-01-01", "2023-01-31", 1) for i in range(20)]
    rows += [(f"f{i}", "2023-01-01", None, 12) for i in range(20)]
    spells = build_spells(clients_of(rows), cutoff=dt.date(2024, 6, 30))
    found = judge(CLAIMS["A1"], curve_hazard_ratio(spells))
    group = contract_term.ARMS[MONTHLY]
    assert say("contract_term.lacking.all_left", month=12, group=group) in found.why
    table = {row.key[1:]: row for row in term_curves.survival_estimates(spells).rows}
    gone = table[f"{NOT_LEFT}:12", MONTHLY_GROUP]
    assert gone.estimate == 0 and math.isnan(gone.low)


def test_a_fixed_term_that_serves_shorter_is_told_as_such():
    rows = [(f"m{i}", "2022-01-01", "2022-11-30" if i < 12 else None, 1) for i in range(40)]
    rows += [(f"f{i}", "2022-01-01", "2022-06-30" if i < 20 else None, 6) for i in range(40)]
    spells = build_spells(clients_of(rows), cutoff=dt.date(2024, 6, 30))
    text = term_curves.headlines(spells).items[1].text
    gain = term_curves.restricted_mean_estimates(spells).rows[-1]
    assert gain.high < 0
    shorter = quantity(-gain.estimate, "months")
    assert key_of(text).startswith(f"contract_term.headline.shorter:{shorter},24,")
    assert f" {shorter} shorter" in text


def test_lead_sentences_need_ten_ends():
    rows = [
        ("a", "2023-01-01", "2024-02-29", 1),
        ("b", "2023-01-01", None, 1),
        ("c", "2023-01-01", None, 12),
    ]
    assert (
        term_curves.headlines(build_spells(clients_of(rows), cutoff=dt.date(2024, 6, 30))).items
        == ()
    )


def test_terms_broken_before_the_records_began_are_not_asked_about():
    """Of clients on 12-month terms half break them at once; whatever the window, the share shown
    stays a half.
    """
    rng = np.random.default_rng(2)
    start = pd.Timestamp("2018-01-01") + pd.to_timedelta(rng.integers(0, 60, 4000) * 30.5, unit="D")
    start = pd.Series(start).dt.to_period("M").dt.to_timestamp()
    broken = add_months(start, pd.Series(rng.integers(1, 12, 4000))) - pd.Timedelta(days=1)
    clients = pd.DataFrame(
        {"client_id": np.arange(4000).astype(str), "start_date": start, "contract_term_months": 12}
    )
    clients["end_date"] = broken.where(rng.random(4000) < 0.5)
    clients["monthly_ad_spend"] = 1.0
    spells = build_spells(clients, cutoff=dt.date(2022, 12, 31), records_begin=dt.date(2021, 7, 1))
    first = contract_cycles(spells).query("from_month == 0")
    found = came_due.early_exit_estimates(first).rows[0]
    assert found.low < 0.5 < found.high


TELCO = Path(__file__).parents[2] / "shared" / "data" / "telco" / "Telco-Customer-Churn.csv"
README = Path(__file__).parents[1] / "README.md"


def readme_example() -> str:
    """The retention.toml that the README shows for a tenure-and-flag export."""
    return README.read_text().split("```toml\n")[1].split("```")[0]


def test_the_readme_example_is_at_most_fifteen_lines():
    assert len(readme_example().strip().splitlines()) <= 15


@pytest.mark.skipif(
    not TELCO.is_file(), reason="the Telco export is third-party data, kept outside this project"
)
def test_a_strangers_export_gives_the_known_numbers(tmp_path):
    text = readme_example().replace("Telco-Customer-Churn.csv", str(TELCO))
    (tmp_path / "retention.toml").write_text(text)
    study = open_study(config=str(tmp_path / "retention.toml"))
    table = term_curves.survival_estimates(study.spells)
    found = {row.key[1:]: row for row in table.rows}
    year = found[f"{NOT_LEFT}:12", MONTHLY_GROUP]
    assert [round(value, 4) for value in (year.estimate, year.low, year.high)] == [
        0.7031,
        0.6873,
        0.7183,
    ]
    assert round(found[f"{NOT_LEFT}:24", MONTHLY_GROUP].estimate, 4) == 0.5859
    assert found["contract_term.estimate.median_choice", MONTHLY_GROUP].estimate == 35
    test = found["contract_term.estimate.logrank:2", "contract_term.group.all_terms"]
    assert round(test.estimate, 2) == 2352.87
    assert len(study.spells) == 7043 and study.spells["ended"].sum() == 1869
    assert any("snapshot, not a cohort" in warning.text for warning in study.warnings().items)
    assert study.cycles.empty
    assert not any(row.low == row.high for row in table.rows if row.unit == "share")
    verdict = judge(CLAIMS["A1"], contract_hazard_ratio(study.spells), (), study.caveats)
    assert "claims.caveat.snapshot" in map(key_of, verdict.qualifiers)
