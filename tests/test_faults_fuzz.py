"""Nothing ordinary stops a report: what outsiders found to do so (B1, B2, B4, B5), and what the
fuzz found.

The inputs stand in `tests/cases`; `fuzz.py` runs all notebooks on many more.
"""

import math
import warnings

import numpy as np
import pandas as pd
import pytest

from conftest import ROOT, clients_of
from retention import open_study
from retention.claims import contract_checks, term_fees
from retention.claims.contract_term import contract_hazard_ratio
from retention.claims.judge import CLAIMS, judge
from retention.contrast import Contrast
from retention.data.schema import columns_of
from retention.history import clients_now, expected, money
from retention.history.grids import build_panel
from retention.history.spells import build_spells
from retention.lists import cases, reasons, registry
from retention.lists.desk import Desk
from retention.money import bonuses, courses
from retention.portfolio import effects, evidence, margins
from retention.portfolio.book import Book
from retention.sample import WORLDS, write_sample
from retention.service import nps, reps
from retention.settings import ResultsSettings
from retention.show import picture, survival
from retention.stats import bands, hazards
from retention.stats.curves import kaplan_meier
from retention.stats.intervals import over
from retention.stats.outcomes import Outcome
from retention.words import key_of, say

CASES = ROOT / "tests" / "cases"
NOBODY = pd.Series(dtype=object)


def study_of(case: str):
    return open_study(str(CASES / case))


def book_of(case: str) -> Book:
    study = study_of(case)
    return Book(study.spells, study.tables.frames, study.settings, pd.Timestamp(study.cutoff))


def review_of(study) -> pd.DataFrame:
    last = pd.Timestamp(study.cutoff)
    waves = nps.waves(study.known("surveys"), study.settings.scales.nps)
    clients = clients_now.present(study.panel, last)
    return reps.review(study.panel, clients, waves, last)


# B1: nobody who serves clients now can be compared.


def test_B1_all_reps_replaced_this_month_leaves_a_review_that_says_so():
    study = study_of("case-01")
    table = review_of(study)
    assert table.empty
    assert reps.help_words(table, NOBODY).text.key == "service.help.not_comparable"
    assert reps.review_list(table, NOBODY).empty


def test_B1_every_end_still_to_come_leaves_a_review_that_says_so(tmp_path):
    for path in (CASES / "case-01").iterdir():
        (tmp_path / path.name).write_text(path.read_text())
    clients = pd.read_csv(tmp_path / "clients.csv")
    clients.assign(end_date="2026-12-31").to_csv(tmp_path / "clients.csv", index=False)
    with (tmp_path / "retention.toml").open("a") as file:
        file.write('[dates]\nends_ahead = "notice"\n')
    table = review_of(open_study(str(tmp_path)))
    assert table.empty
    assert reps.help_words(table, NOBODY).text.key == "service.help.not_comparable"


# B2: a client that pays nothing.


def test_B2_a_client_that_pays_nothing_has_its_row(tmp_path):
    for path in (CASES / "case-02").iterdir():
        (tmp_path / path.name).write_text(path.read_text())
    months = pd.read_csv(tmp_path / "account_months.csv")
    months["fee"] = months["fee"].mask(
        months["client_id"] == "c00", 0.0
    )  # pro bono: its one payment is gone too
    months.to_csv(tmp_path / "account_months.csv", index=False)
    study = open_study(str(tmp_path))
    book = Book(study.spells, study.tables.frames, study.settings, pd.Timestamp(study.cutoff))
    lists = registry.made(Desk(book))
    told = " ".join(str(text) for rows in lists.values() for text in rows["reason"])
    assert say("lists.reason.offer_price", cost="430") in told
    assert "inf" not in told and "nan" not in told


def test_B2_a_fee_of_0_is_no_base_for_a_share():
    short = pd.DataFrame({"shortfall": [400.0, 100.0, 50.0], "fee": [0.0, 1000.0, 0.0]})
    own = short.assign(people=[0.0, 0.0, 50.0], changes=0.0, discount=0.0)
    assert cases.raise_needed(own).tolist() == [math.inf, 0.1, 0.0]


@pytest.mark.parametrize("usual", [0.0, -50.0, math.nan])
def test_B2_a_debt_is_counted_in_invoices_only_where_they_are_above_0(usual):
    assert reasons.owes_words(500.0, usual).key == "lists.reason.owes:500"
    assert reasons.owes_words(500.0, 250.0).key == "lists.reason.owes_invoices:500,2.0"


def test_B2_no_price_is_infinite_where_the_others_cost_nothing():
    rows = pd.DataFrame({"fee": [100.0, 100.0], "cost": [0.0, 300.0], "margin": [100.0, -200.0]})
    assert margins.worth_staying(rows)["usual_margin"].isna().all()


# B4: nobody says who the rep is.


def test_B4_fees_hours_and_costs_without_any_rep():
    book = book_of("case-04")
    assert book.team.empty
    assert len(registry.made(Desk(book))) > 0


def test_B4_clients_without_a_rep_beside_those_with_one():
    count = 40
    ids = [f"c{k}" for k in range(count)]
    rows = pd.DataFrame({"client_id": ids, "rep_id": ["r1"] * 15 + ["r2"] * 15 + [None] * 10})
    fee = np.arange(100.0, 100.0 + count)
    money = pd.DataFrame({"fee": fee, "cost": fee / 2}, pd.Index(ids, name="client_id"))
    heavy = evidence._heavy(rows, {}, money, pd.Timestamp("2025-12-31"), margins.LIMITS)
    assert sorted(heavy.index) == ["r1", "r2"]


# B5: a fee, or spend, of 0.


def test_B5_a_fixed_term_without_a_fee_has_no_break_even_and_it_is_said():
    spells = study_of("case-07").spells
    free = sorted(spells.loc[spells["fee_pct"] == 0, "contract_term_months"].unique())
    table = term_fees.break_even(spells)
    groups = {key_of(row.group) for row in table.rows}
    assert not {f"contract_term.group.term:{term}" for term in free} & groups
    assert key_of(table.caption).startswith("contract_term.caption.break_even_some:")
    assert say("contract_term.fees.free_term", months=free[0]) in table.caption


def test_B5_a_monthly_fee_of_0_is_said():
    spells = study_of("case-07").spells
    spells = spells.assign(fee_pct=spells["fee_pct"].where(spells["contract_term_months"] > 1, 0.0))
    table = term_fees.break_even(spells)
    assert table.rows == ()
    assert key_of(table.caption).startswith("contract_term.caption.break_even_no_monthly:")


@pytest.mark.parametrize("column", ["fee_pct", "monthly_ad_spend"])
def test_B5_fees_or_spend_of_0_throughout_leave_no_what_if(sample_study, column):
    spells = sample_study.spells.assign(**{column: 0.0})
    table, finding = term_fees.without_monthly(spells)
    assert table.rows == ()
    assert key_of(finding.text) == "contract_term.without_monthly.unknown"
    assert term_fees.monthly_stopped(spells, 0.75) is None


def test_B5_fees_of_0_on_fixed_terms_alone_leave_no_what_if(sample_study):
    spells = sample_study.spells
    monthly = spells["contract_term_months"] == 1
    spells = spells.assign(fee_pct=spells["fee_pct"].where(monthly, 0.0))
    assert term_fees.without_monthly(spells)[0].rows == ()


# What the fuzz found.


def test_surveys_that_nobody_was_sent_twice_are_not_taken_together():
    spells = build_spells(
        clients_of([("a", "2024-01-01", None, 1)]), cutoff=pd.Timestamp("2024-12-31").date()
    )
    asked = pd.DataFrame({"client_id": ["a"], "invited_on": [pd.Timestamp("2024-05-01")]})
    surveys = asked.assign(answered_on=pd.NaT, rep_liking=np.nan)
    assert build_panel(spells, surveys, None, ResultsSettings()).window == 1


def test_a_ratio_too_large_for_a_number_is_infinite():
    row = Contrast("name", 1.0, 1000.0, 5, {"all": 5}).estimate("A4", "ratio", "pooled")
    assert (row.low, row.high) == (0.0, math.inf)


def test_a_follow_up_from_a_later_month_is_the_rest_of_its_curve():
    outcome = Outcome.of([2, 3, 5, 6, 8, 9], [1, 0, 1, 0, 1, 0], [0, 0, 0, 4, 0, 7])
    whole, rest = kaplan_meier(outcome), kaplan_meier(outcome.since(3))
    at = whole.set_index("month")["survival"]
    rest = rest[rest["month"] > 0].set_index("month")["survival"]
    assert rest.to_dict() == pytest.approx({5.0: at[5.0] / at[2.0], 8.0: at[8.0] / at[2.0]})


def test_whole_years_need_no_curve_that_an_early_risk_set_of_one_sends_to_0():
    """The one client seen early is let go, which sends the curve of that kind of end to 0 from then
    on.
    """
    early = [("first", "2020-01-01", "2020-03-31", 1)]
    late = [(f"c{k}", "2019-06-01", None, 1) for k in range(12)]
    fixed = [(f"f{k}", "2020-01-01", None, 12) for k in range(6)]
    frame = clients_of([*early, *late, *fixed]).assign(end_initiator="agency")
    frame["end_initiator"] = frame["end_initiator"].where(frame["end_date"].notna())
    spells = build_spells(frame, cutoff=pd.Timestamp("2022-12-31").date())
    late_seen = spells["client_id"].str.startswith("c")
    spells = spells.assign(entry_months=spells["entry_months"].where(~late_seen, 7))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = contract_checks.grouped_cycles(spells)
    assert found.n_clients == 18


def test_one_bar_is_drawn_without_a_warning():
    frame = pd.DataFrame(
        {"group": ["x"], "month": [1], "hazard": [0.1], "low": [0.0], "high": [0.2]}
    )
    axes = survival.plot_hazard(frame, [])
    picture.plt.close(axes.figure)


def test_a_seller_who_has_just_begun_is_no_seller_at_work_yet():
    begun = pd.DataFrame(
        {"staff_id": ["s"], "role": ["seller"], "started_on": [pd.Timestamp("2025-12-31")]}
    )
    assert bonuses.sellers_now(begun, pd.Timestamp("2025-12-31").date(), 24) is None


def test_a_share_of_nothing_is_not_known():
    shares = over(np.array([1.0, 0.0, 3.0]), np.array([2.0, 0.0, -1.0]))
    assert shares[0] == 0.5 and np.isnan(shares[1:]).all()
    assert courses.with_limits(np.array([0.5, np.nan, np.nan]))[0] == 0.5


def test_columns_of_a_table_that_is_not_there_can_be_merged_on():
    rows = columns_of({}, "flags", "client_id", "noted_on", "severity")
    ids = pd.DataFrame({"client_id": pd.Series(["a"], dtype="string")})
    assert ids.merge(rows, on="client_id", how="left")["noted_on"].isna().all()


def test_spend_that_is_the_same_for_all_sets_nobody_apart():
    """Equal numbers have a standard deviation of 1e-15, which is no spread to scale by."""
    months = np.arange(1, 41)
    rows = pd.DataFrame(
        {"client_id": [f"c{k}" for k in months], "left": (months % 4 == 0).astype(int)}
    )
    rows = rows.assign(contract_term_months=1, from_month=0, to_month=1, seller_id=["a", "b"] * 20)
    plain = expected.ends_over_expected(
        rows.assign(monthly_ad_spend=1000.0), "seller_id", size=False
    )
    alike = expected.ends_over_expected(rows.assign(monthly_ad_spend=1000.0), "seller_id")
    pd.testing.assert_frame_equal(alike, plain)
    assert plain["expected"].notna().all()
    exposure = bands.band_exposure(rows["from_month"], rows["to_month"], rows["left"])
    size = pd.DataFrame({"size": np.log(np.full(40, 1000.0))})
    with pytest.raises(hazards.NotFittedError, match="size is the same for all"):
        hazards.fit_hazard(rows["left"].to_numpy(), size, exposure, rows["client_id"])


def test_what_is_held_fixed_and_alike_for_all_costs_no_comparison(sample_study):
    """With monthly clients alone no row is of a fixed term: what follows an event is compared all
    the same.
    """
    spells = sample_study.spells
    monthly = spells[spells["contract_term_months"] == 1].reset_index(drop=True)
    days = monthly.loc[::2, ["client_id"]].assign(day=monthly["start_date"])
    table = effects.after_events(monthly, {"anything": days}, notice=1)
    assert effects.LEFT.key in {key_of(row.group) for row in table.rows}


def test_hours_of_people_whose_cost_is_not_known_leave_no_margin():
    frame = clients_of([("a", "2024-01-01", None, 1)])
    spells = build_spells(frame, cutoff=pd.Timestamp("2024-12-31").date())
    month = pd.Timestamp("2024-03-01")
    fees_paid = pd.DataFrame({"client_id": ["a"], "month": [month], "fee": [500.0]})
    hours = pd.DataFrame({"client_id": ["a"], "staff_id": ["r9"], "month": [month], "hours": [3.0]})
    staff = pd.DataFrame({"staff_id": ["s1"], "hourly_cost": [40.0]})
    tables = {"account_months": fees_paid, "hours": hours, "staff": staff}
    made = money.monthly_money(spells, tables)
    assert made["fee"].tolist() == [500.0]
    assert made[["cost", "margin"]].isna().all(axis=None)


def test_R14_salaries_that_are_all_blank_warn_of_nothing():
    staff = pd.DataFrame(
        {"staff_id": ["a"], "role": ["rep"], "monthly_salary": pd.array([None], dtype="Float64")}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(bonuses.rep_salary(staff))


# Leaves of one rep alone: without that rep nobody has left, and the log of a hazard of 0 is
# infinite.


@pytest.mark.slow
def test_without_the_rep_whose_clients_alone_left_a_ratio_stays_finite(tmp_path):
    write_sample(tmp_path, WORLDS["small"], clients=250, seed=5)
    study = open_study(str(tmp_path))
    ways = contract_checks.all_sensitivities(study.spells, study.contracts, study.at_signing)
    assert all(math.isfinite(way.reach()) for way in ways if not way.gate)
    primary = contract_hazard_ratio(study.spells, contracts=study.contracts, extra=study.at_signing)
    assert judge(CLAIMS["A1"], primary, ways).verdict == "not enough data"


# No rep is named at signing, and people of the records left.


@pytest.mark.slow
def test_reps_are_those_of_the_assignments_where_none_is_named_at_signing(tmp_path):
    write_sample(tmp_path, WORLDS["study"], clients=60, seed=2)
    clients = pd.read_csv(tmp_path / "clients.csv").assign(rep_id=None)
    clients.to_csv(tmp_path / "clients.csv", index=False)
    staff = pd.read_csv(tmp_path / "staff.csv")
    staff.loc[staff["role"].eq("rep").idxmax(), "ended_on"] = "2024-06-30"
    staff.to_csv(tmp_path / "staff.csv", index=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reps_of_months = open_study(str(tmp_path)).spells["reps"]
    named = {name for row in reps_of_months for _, name in row}
    assert len(named - {""}) > 3
