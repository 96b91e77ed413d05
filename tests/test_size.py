"""The size study: quarters by hand, planted effects found, nothing found where nothing is, answers
that turn round.
"""

import datetime as dt
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from conftest import clients_of
from retention import open_study
from retention.claims import ad_spend, size_groups
from retention.claims.judge import CLAIMS, judge
from retention.history import held
from retention.history.opportunities import month_rows
from retention.history.spells import build_spells
from retention.results import NOT_ENOUGH
from retention.sample import PLAIN, WORLDS, World, simulate
from retention.settings import Extra
from retention.words import key_of

CUTOFF, BEGIN = dt.date(2025, 12, 31), dt.date(2021, 1, 1)
ALIKE = {"liking": 0.0, "results": 0.0, "rep_sd": 0.0, "rep_liking_sd": 0.0, **PLAIN}


def simulated(world: World, clients: int, seed: int) -> pd.DataFrame:
    frame = simulate(world, clients=clients, seed=seed, tables=("clients",))["clients"]
    return build_spells(frame, cutoff=CUTOFF, records_begin=BEGIN)


def sized(values: list[float], ends: list[str | None]) -> pd.DataFrame:
    rows = [(f"c{i}", "2023-01-01", end, 1) for i, end in enumerate(ends)]
    return build_spells(
        clients_of(rows).assign(monthly_ad_spend=values), cutoff=dt.date(2024, 6, 30)
    )


def test_quarters_and_rates_by_hand():
    spells = sized(
        [10.0, 20, 30, 40, 50, 60, 70, 80],
        ["2023-02-28", None, None, None, None, None, "2023-03-31", None],
    )
    groups = size_groups.quarters(spells)
    assert groups.value_counts().to_dict() == dict.fromkeys(size_groups.QUARTERS, 2)
    assert groups.iloc[0] == "smallest_quarter" and groups.iloc[-1] == "largest_quarter"
    table = size_groups.rates_by_quarter(spells)
    first = table.loc["smallest_quarter", ["clients", "client_months", "left_by_choice"]]
    assert first.tolist() == [2, 20, 1]
    assert table.loc["largest_quarter", "left_a_month"] == pytest.approx(1 / 21)
    assert [key_of(name) for name in table["size_group"]] == [
        f"ad_spend.group.{quarter}" for quarter in size_groups.QUARTERS
    ]
    text = size_groups.cut_points(spells).text
    assert key_of(text) == "ad_spend.cuts.quarters:20, 40, 60" and "20, 40, 60 a month" in text
    rows = month_rows(spells)
    assert rows["left"].sum() == 2 and len(rows) == 20 + 36 + 36 + 21
    assert size_groups.raw_rate_ratio(spells).rows[0].estimate == pytest.approx(20 / 21)


def test_sizes_that_tie_are_not_parted():
    spells = sized([5.0] * 40, ["2023-02-28" if i % 2 else None for i in range(40)])
    assert size_groups.quarters(spells).isna().all()
    assert size_groups.cut_points(spells).text == size_groups.ALIKE
    verdict = judge(CLAIMS["A4"], ad_spend.size_hazard_ratio(spells))
    assert verdict.verdict == NOT_ENOUGH and size_groups.ALIKE in verdict.why
    assert ad_spend.size_effects(spells).rows == ()


@pytest.mark.slow
def test_a_planted_effect_of_size_is_found_and_none_where_there_is_none():
    """Twice the size changes the log hazard by ln 2 times the coefficient on log size."""
    spells = simulated(World(contract=0.0, spend=-0.20, **ALIKE), 12_000, seed=3)
    pooled = ad_spend.per_doubling(spells, {}).rows[0]
    assert pooled.low < math.exp(-0.20 * math.log(2)) < pooled.high
    spells = simulated(World(contract=0.0, spend=0.0, **ALIKE), 6_000, seed=4)
    found = ad_spend.size_hazard_ratio(spells)
    assert abs(found.theta) < 3.3 * found.se
    assert (
        abs(ad_spend.size_hazard_ratio(spells, by_month=True).theta) < 0.35
    )  # lock-in alone makes months mislead
    assert ad_spend.turns_round(ad_spend.per_doubling(spells, {})).items == ()


@pytest.mark.slow
def test_part_of_the_total_effect_goes_through_the_contract():
    spells = simulated(WORLDS["study"], 6_000, seed=5)
    total, direct = ad_spend.size_effects(spells).rows
    assert total.estimate < direct.estimate < 1


@pytest.mark.slow
def test_an_answer_that_turns_round_is_told_first():
    """Within each product the larger client stays longer; the product of the large is the one that
    is left.
    """
    rng = np.random.default_rng(1)
    n = 4000
    fibre = rng.random(n) < 0.5
    spend = np.where(fibre, 80.0, 20.0) * np.exp(0.3 * rng.normal(size=n))
    pace = 0.03 * np.where(fibre, 4.0, 1.0) * (spend / np.where(fibre, 80, 20)) ** -1.0
    months = rng.geometric(-np.expm1(-pace))
    start = pd.Timestamp("2022-01-01")
    end = [
        start + pd.DateOffset(months=int(m)) - pd.Timedelta(days=1) if m <= 24 else pd.NaT
        for m in months
    ]
    clients = pd.DataFrame(
        {"client_id": [f"c{i}" for i in range(n)], "start_date": start, "end_date": end}
    )
    clients = clients.assign(
        contract_term_months=1, monthly_ad_spend=spend, product=np.where(fibre, "fibre", "dsl")
    )
    spells = build_spells(clients, cutoff=dt.date(2023, 12, 31))
    table = ad_spend.per_doubling(spells, {"product": Extra(kind="category")})
    groups = ["ad_spend.group.pooled", "ad_spend.group.adjusted:product"]
    assert [key_of(row.group) for row in table.rows] == groups
    finding = ad_spend.turns_round(table).items[0]
    assert finding.kind == "warning"
    assert key_of(finding.text).startswith("ad_spend.turns_round.later:")
    pooled, adjusted = ad_spend.turned(table)
    assert (pooled, adjusted) == table.rows and pooled.low > 1 > adjusted.high
    assert all(f"{row.estimate:.2f} times" in finding.text for row in table.rows)
    verdict = judge(CLAIMS["A4"], ad_spend.size_hazard_ratio(spells), (), ad_spend.caveats(table))
    assert ad_spend.TURNS in verdict.words and verdict.advice == CLAIMS["A4"].advice["turns"]
    assert ad_spend.turns_round(ad_spend.per_doubling(spells, {})).items == ()


def test_the_sensitivities_are_those_of_the_plan(sample_study):
    found = ad_spend.size_sensitivities(sample_study.spells)
    names = [key_of(contrast.name) for contrast in found]
    assert names == list(CLAIMS["A4"].sensitivities)


TELCO = Path(__file__).parents[2] / "shared" / "data" / "telco" / "Telco-Customer-Churn.csv"


@pytest.mark.slow
@pytest.mark.skipif(
    not TELCO.is_file(), reason="the Telco export is third-party data, kept outside this project"
)
def test_a_stranger_s_export_is_told_to_turn_round(tmp_path):
    text = (
        (Path(__file__).parents[1] / "README.md").read_text().split("```toml\n")[1].split("```")[0]
    )
    (tmp_path / "retention.toml").write_text(text.replace("Telco-Customer-Churn.csv", str(TELCO)))
    study = open_study(config=str(tmp_path / "retention.toml"))
    table = ad_spend.per_doubling(study.spells, study.settings.table("clients").extra)
    assert table.rows[0].low > 1 > table.rows[-1].high
    things = held.things(["contract", "InternetService"])
    assert key_of(table.rows[-1].group) == f"ad_spend.group.adjusted:{key_of(things)}"
    text = ad_spend.turns_round(table).items[0].text
    assert key_of(text).startswith("ad_spend.turns_round.later:") and things in text


def test_other_measures_of_size_stand_by_themselves(sample_study):
    """A further number known at signing: its own ratio; one known later, and one not in the data,
    have none.
    """
    spells = sample_study.spells.assign(traffic=lambda f: f["monthly_ad_spend"] ** 2, later=1.0)
    number = Extra(kind="number", known="signing")
    extra = {
        "traffic": number,
        "later": Extra(kind="number", known="recorded_date"),
        "absent": number,
    }
    found = ad_spend.other_sizes(spells, extra)
    assert [row.key for row in found.rows] == [
        ("A5", "ad_spend.estimate.twice_the:traffic", f"ad_spend.group.{group}")
        for group in ("pooled", "adjusted:held.thing.contract")
    ]
    # Twice the traffic is the root of twice the spend.
    pooled = ad_spend.per_doubling(spells, {}).rows[0]
    assert found.rows[0].estimate == pytest.approx(math.sqrt(pooled.estimate))
    assert ad_spend.other_sizes(spells, {}).rows == ()


def test_a_snapshot_is_not_adjusted_for_how_long_a_client_stayed():
    """Starts counted back from the stay: their half-year is the stay itself, and holding it fixed
    would hide the ratio.

    Planted: the hazard of the larger clients is twice that of the smaller, everybody watched up to
    one day.
    """
    rng, n = np.random.default_rng(1), 4000
    spend = np.exp(rng.normal(8, 1, n))
    stay = np.ceil(rng.exponential(20 / np.where(spend > np.median(spend), 2.0, 1.0)))
    watched = rng.integers(1, 48, n)
    cut = pd.Timestamp("2025-12-31")
    months = np.minimum(stay, watched).astype(int)
    start = pd.to_datetime(
        [cut + pd.Timedelta(days=1) - pd.DateOffset(months=int(m)) for m in months]
    )
    rows = pd.DataFrame(
        {"client_id": [f"c{i}" for i in range(n)], "start_date": start, "contract_term_months": 1}
    )
    rows = rows.assign(
        end_date=pd.Series([cut] * n).where(stay <= watched), monthly_ad_spend=spend, source="x"
    )
    spells = build_spells(rows, cutoff=cut.date(), notice_days=0).assign(renewals_known=False)
    found = ad_spend.size_hazard_ratio(spells)
    assert math.exp(found.theta) == pytest.approx(2.0, rel=0.12)
    assert all(held.thing("half_year") not in said for said in found.caveats)
    ways = {key_of(other.name) for other in ad_spend.size_sensitivities(spells)}
    assert ways and "ad_spend.way.of_its_year" not in ways
