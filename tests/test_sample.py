"""The made-up agency: the same bytes from the same seed, plausible, consistent, and with what was
planted in it.
"""

import datetime as dt
import filecmp
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from conftest import ROOT
from retention import open_study
from retention.cli import cli
from retention.data.schema import TABLES
from retention.errors import ConfigError
from retention.history.spells import build_spells
from retention.sample import PLAIN, WORLDS, World, simulate, write_sample
from retention.sample.life import live
from retention.sample.world import BURN_IN_MONTHS, found

LAST = pd.Timestamp("2025-12-31")
BEGIN = dt.date(2021, 1, 1)


@pytest.fixture(scope="module")
def tables():
    return simulate(seed=1)


@pytest.fixture(
    scope="module",
    params=[("study", 2), ("fired", 3), ("team_fault", 4), ("small", 5), ("mnar", 6)],
)
def agency(request):
    """Every table of several worlds, under the names that the checks below use."""
    world, seed = request.param
    return simulate(WORLDS[world], clients=400, seed=seed)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_and_data_sample_is_current(tmp_path):
    write_sample(tmp_path)
    names = [*(f"{table}.csv" for table in TABLES), "retention.toml", "README.md", "truth.json"]
    same, different, absent = filecmp.cmpfiles(
        tmp_path, ROOT / "data" / "sample", names, shallow=False
    )
    assert (sorted(same), different, absent) == (sorted(names), [], [])
    assert sum((tmp_path / name).stat().st_size for name in names) < 10_000_000
    assert not simulate(seed=2)["clients"].equals(simulate(seed=1)["clients"])


def test_one_table_alone_is_the_same_as_among_others(tables):
    alone = simulate(seed=1, tables=("payments",))["payments"]
    pd.testing.assert_frame_equal(alone, tables["payments"])


def test_about_six_hundred_engagements_over_sixty_months(tables):
    clients = tables["clients"]
    assert 500 < len(clients) < 700
    assert clients["start_date"].max() < np.datetime64("2026-01-01")
    assert not (clients["end_date"] < "2021-01-01").any()
    assert simulate(clients=1200, seed=1, tables=("clients",))["clients"].shape[0] == pytest.approx(
        1200, rel=0.15
    )


# The tables agree with each other.


def test_every_table_is_as_declared(agency):
    assert list(agency) == list(TABLES)
    for name, frame in agency.items():
        declared = {column.name for column in TABLES[name].columns}
        assert set(frame.columns) <= declared and set(TABLES[name].required) <= set(
            frame.columns
        ), name
        assert declared - set(frame.columns) <= {"referred_by", "known_from"}, name
        if TABLES[name].key:
            assert not frame.duplicated(list(TABLES[name].key)).any(), name


def test_nothing_is_dated_after_the_last_day_or_after_an_end_it_cannot_know(agency):
    ends = agency["clients"].set_index("client_id")["end_date"].astype("datetime64[ns]")
    starts = agency["clients"].set_index("client_id")["start_date"].astype("datetime64[ns]")
    ahead = {
        ("clients", "end_date"),
        ("contracts", "term_start"),
        ("invoices", "due_on"),
        ("assignments", "to_date"),
    }
    for name, frame in agency.items():
        for column in TABLES[name].columns:
            if column.kind != "date" or column.name not in frame:
                continue
            days = frame[column.name].astype("datetime64[ns]")
            assert (name, column.name) in ahead or not (days > LAST).any(), (name, column.name)
            if "client_id" in frame and name not in ("clients", "invoices", "contracts", "leads"):
                about = column.name != "recorded_at"
                assert not about or not (days > frame["client_id"].map(ends)).any(), (
                    name,
                    column.name,
                )
                assert not (days < frame["client_id"].map(starts)).any(), (name, column.name)


def test_recorded_dates_are_never_before_what_they_record(agency):
    for name in ("account_months", "results", "hours"):
        month = pd.PeriodIndex(agency[name]["month"], freq="M")
        assert (agency[name]["recorded_at"].astype("datetime64[ns]") > month.end_time).all(), name
    clients = agency["clients"]
    assert not (clients["recorded_date"] < clients["decision_date"]).any()
    assert not (clients["decision_date"] < clients["start_date"]).any()
    assert not (clients["decision_date"] > clients["end_date"]).any()
    assert clients["end_date"].isna().eq(clients["decision_date"].isna()).all()
    for name, (first, then) in {
        "surveys": ("invited_on", "answered_on"), "requests": ("requested_on", "answered_on"),
        "leads": ("created_on", "quoted_on"), "assignments": ("from_date", "to_date"),
    }.items():  # fmt: skip
        assert not (agency[name][then] < agency[name][first]).any(), name


def test_payments_never_exceed_invoices_and_belong_to_them(agency):
    invoices = agency["invoices"].set_index("invoice_id")
    paid = agency["payments"].groupby("invoice_id")["amount"].sum()
    assert paid.index.isin(invoices.index).all()
    assert (paid <= invoices.loc[paid.index, "amount"] + 0.005).all()
    assert (agency["payments"]["amount"] > 0).all()
    first = agency["payments"].groupby("invoice_id")["paid_on"].min().astype("datetime64[ns]")
    assert (first >= invoices.loc[first.index, "issued_on"].astype("datetime64[ns]")).all()


def test_hours_only_from_assigned_staff(agency):
    hours, assigned = agency["hours"], agency["assignments"]
    joined = hours.merge(assigned, on=["client_id", "staff_id"], how="left", suffixes=("", "_of"))
    month = pd.PeriodIndex(joined["month"], freq="M")
    since, to = (joined[name].astype("datetime64[ns]") for name in ("from_date", "to_date"))
    covered = (since <= month.end_time) & ~(to < month.start_time)
    assert covered.groupby([joined["client_id"], joined["staff_id"], joined["month"]]).any().all()
    assert hours["staff_id"].isin(agency["staff"]["staff_id"]).all()


def test_people_work_while_they_are_there(agency):
    staff = agency["staff"].set_index("staff_id")
    reps = agency["assignments"].query("role == 'rep'")
    came = reps["staff_id"].map(staff["started_on"]).astype("datetime64[ns]")
    left = reps["staff_id"].map(staff["ended_on"]).astype("datetime64[ns]")
    assert (reps["from_date"].astype("datetime64[ns]") >= came).all()
    assert not (reps["to_date"].astype("datetime64[ns]") > left).any()
    assert not (agency["staff"]["trained_on"] > agency["staff"]["ended_on"].fillna(LAST)).any()
    first = reps.groupby("client_id")["staff_id"].first()
    signing = agency["clients"].set_index("client_id")["rep_id"]
    assert (first.loc[signing.index] == signing).all()


def test_one_answer_an_invitation_and_blanks_without_one(agency):
    surveys = agency["surveys"]
    silent = surveys["answered_on"].isna()
    assert (
        surveys.loc[silent, ["nps", "rep_liking", "reason", "respondent_role"]]
        .isna()
        .all(axis=None)
    )
    assert surveys.loc[~silent, ["nps", "rep_liking"]].notna().all(axis=None)
    assert 0.4 < (~silent).mean() < 0.9


def test_contracts_follow_the_client(agency):
    clients, contracts = agency["clients"].set_index("client_id"), agency["contracts"]
    assert set(contracts["client_id"]) == set(clients.index)
    first = contracts.groupby("client_id").first().loc[clients.index]
    assert (first["term_start"] == clients["start_date"]).all()
    assert (first["term_months"] == clients["contract_term_months"]).all()
    assert not (contracts["term_start"] > contracts["client_id"].map(clients["end_date"])).any()


def test_fees_follow_the_contract_in_force(agency):
    """The fee a month is the spend times the per cent of the newest contract begun by that month of
    service.
    """
    clients = agency["clients"].set_index("client_id")
    months = agency["account_months"]
    months = months[months["client_id"].map(clients["discount_pct"]) == 0]
    day = months["client_id"].map(clients["start_date"].astype("datetime64[ns]").dt.day)
    opens = pd.to_datetime(months["month"]) + pd.to_timedelta(day - 1, unit="D")
    terms = agency["contracts"].assign(
        term_start=agency["contracts"]["term_start"].astype("datetime64[ns]")
    )
    both = pd.merge_asof(
        months.assign(opens=opens).sort_values("opens"),
        terms.sort_values("term_start")[["client_id", "term_start", "fee_pct"]],
        left_on="opens", right_on="term_start", by="client_id",
    )  # fmt: skip
    assert (both["fee"] - both["ad_spend"] * both["fee_pct"] / 100).abs().max() < 0.011
    assert both["fee_pct"].max() > 10


def test_hours_are_those_of_people(tables):
    by_person = tables["hours"].groupby(["staff_id", "month"])["hours"].sum()
    assert by_person.quantile(0.999) < 260 and by_person.max() < 330


def test_no_survey_in_quiet_months(agency):
    assert not agency["surveys"]["invited_on"].astype("datetime64[ns]").dt.month.isin([8, 12]).any()


def test_the_number_of_clients_is_about_what_was_asked_for():
    for months in (12, 24, 120):
        clients = simulate(clients=600, months=months, seed=3, tables=("clients",))["clients"]
        assert len(clients) == pytest.approx(600, rel=0.2), months


@pytest.mark.slow
def test_an_agency_never_mixes_with_what_is_in_its_folder(tmp_path):
    write_sample(tmp_path, clients=60, form="parquet")
    write_sample(tmp_path, clients=60)
    assert (
        open_study(str(tmp_path)).tables.rows["clients"] > 30
        and not (tmp_path / "clients").exists()
    )
    (tmp_path / "truth.json").unlink()
    with pytest.raises(ConfigError, match="no made-up agency's"):
        write_sample(tmp_path, clients=60)


def test_leads_that_signed_are_the_clients_they_became(agency):
    won = agency["leads"].dropna(subset="client_id").set_index("client_id")
    clients = agency["clients"].set_index("client_id").loc[won.index]
    assert won.index.is_unique and (won["signed_on"] == clients["start_date"]).all()
    shared = [name for name in won if name in clients]
    assert len(shared) > 14
    for name in shared:
        assert (won[name] == clients[name]).all(), name


# What is planted is in them.


def spells_of(world: World, clients: int, seed: int) -> pd.DataFrame:
    frame = simulate(world, clients=clients, seed=seed, tables=("clients",))["clients"]
    return build_spells(frame, cutoff=LAST.date(), records_begin=BEGIN)


@pytest.mark.slow
def test_it_reads_without_a_fault_and_every_kind_of_end_is_there(sample_study):
    assert set(sample_study.spells["end_kind"].dropna()) == {
        "client",
        "agency",
        "neutral",
        "unknown",
    }
    assert sample_study.tables.repairs == () and sample_study.tables.notes == ()
    study = open_study(str(ROOT / "data" / "sample"), cutoff="2023-06-30")
    assert study.spells["start_date"].max() <= np.datetime64("2023-06-30")


def test_lock_in_gives_spikes_and_its_absence_none():
    shares = {}
    for lock_in in (True, False):
        spells = spells_of(World(lock_in=lock_in, breach=0.0), 6000, 7)
        gone = spells[
            spells["ended"]
            & (spells["end_kind"] == "client")
            & (spells["contract_term_months"] == 12)
        ]
        shares[lock_in] = (gone["stop_months"] % 12 == 0).mean()
    assert shares[True] == 1.0
    assert shares[False] < 0.2


ALIKE = {
    **PLAIN,
    "spend": 0.0,
    "liking": 0.0,
    "results": 0.0,
    "rep_sd": 0.0,
}  # clients differ in their term alone


def test_without_lock_in_the_hazards_are_proportional():
    spells = spells_of(World(lock_in=False, **ALIKE), 12_000, 11)
    monthly = spells["contract_term_months"] == 1
    chose = spells["ended"] & spells["end_kind"].isin(["client", "unknown"])
    for first, last in ((1, 6), (6, 12), (12, 24), (24, 60)):
        rates = []
        for arm in (monthly, ~monthly):
            at_risk = (
                spells["stop_months"].clip(upper=last) - spells["entry_months"].clip(lower=first)
            ).clip(lower=0)
            ends = (chose & arm & spells["stop_months"].between(first + 1, last)).sum()
            rates.append((ends, at_risk[arm].sum()))
        ratio = rates[0][0] / rates[0][1] / (rates[1][0] / rates[1][1])
        error = np.sqrt(1 / rates[0][0] + 1 / rates[1][0])
        assert abs(np.log(ratio / 2)) < 3 * error + 0.02, (first, last, ratio)  # .02: monthly steps


def test_the_left_truncated_share_is_what_the_burn_in_leaves():
    world = World(
        contract=0.0, early=0.0, late=0.0, agency=0.0, notice_months=0, lock_in=False, **ALIKE
    )
    clients = simulate(world, clients=20_000, seed=13, tables=("clients",))["clients"]
    stays = np.exp(-0.040) * (1 - 0.003)
    before = sum(stays**month for month in range(1, BURN_IN_MONTHS + 1))
    expected = before / (before + 60)
    share = (clients["start_date"] < "2021-01-01").mean()
    assert share == pytest.approx(
        expected, abs=3 * np.sqrt(expected * (1 - expected) / len(clients)) + 0.005
    )


def test_under_a_longer_term_the_same_client_never_wishes_to_leave_sooner():
    agency = found(WORLDS["study"], 3000, 60, 4)
    lives = {term: live(agency, 40, (4, 1, 0), term).people for term in (1, 12)}
    assert (lives[1]["month"] == lives[12]["month"]).all()
    wish = {term: people["wish"].replace(0, 999) for term, people in lives.items()}
    both_served = (lives[1]["kind"] <= 1) & (lives[12]["kind"] <= 1)
    assert (wish[1] <= wish[12])[both_served].all() and (wish[1] < wish[12]).any()


@pytest.mark.slow
@pytest.mark.parametrize("world", WORLDS)
def test_each_world_plants_what_its_name_says(world):
    tables = simulate(
        WORLDS[world], clients=3000, seed=21, tables=("clients", "surveys", "flags", "requests")
    )
    clients = tables["clients"]
    agency_share = (clients["end_initiator"] == "agency").mean()
    small = clients["monthly_ad_spend"] < clients["monthly_ad_spend"].median()
    fired_small = (clients["end_initiator"] == "agency")[small].mean() / max(
        (clients["end_initiator"] == "agency")[~small].mean(), 0.01
    )
    assert (fired_small > 3) == (world == "fired"), (fired_small, agency_share)
    assert (len(clients) < 900) == (world == "small")
    liking = tables["surveys"].dropna(subset="rep_liking")
    by_rep = liking.groupby("rep_id")["rep_liking"].agg(["mean", "size"])
    between = by_rep.loc[by_rep["size"] > 100, "mean"].astype(float).std()
    assert (between < 0.35) == (world == "equal_reps"), between


def test_truth_stands_beside_and_no_analysis_reads_it():
    truth = json.loads((ROOT / "data" / "sample" / "truth.json").read_text())
    clients = pd.read_csv(ROOT / "data" / "sample" / "clients.csv")
    assert truth["world"]["liking"] == -0.60 and truth["sellers"]["s01"]["early_leaving"] == 0.5
    assert [state["client_id"] for state in truth["states"]] == clients["client_id"].tolist()
    assert set(clients["rep_id"]) <= set(truth["reps"])
    for path in [*(ROOT / "src").rglob("*.py"), *(ROOT / "notebooks").glob("*.ipynb")]:
        assert "sample" in path.parts or "truth.json" not in path.read_text(), path


@pytest.mark.slow
def test_a_large_agency_is_written_batch_by_batch(tmp_path, monkeypatch):
    monkeypatch.setattr("retention.sample.write.BATCH", 100)
    whole = simulate(clients=250, seed=5)
    assert (
        whole["clients"]["client_id"].is_unique
        and len(whole["staff"]) == whole["staff"]["staff_id"].nunique()
    )
    monkeypatch.undo()
    done = CliRunner().invoke(
        cli, ["sample", "--out", str(tmp_path / "a"), "--clients", "60", "--format", "parquet"]
    )
    assert done.exit_code == 0
    assert len(open_study(str(tmp_path / "a")).spells) > 30
    done = CliRunner().invoke(cli, ["sample", "--out", str(tmp_path / "b"), "--world", "nowhere"])
    assert done.exit_code == 2 and "team_fault" in done.output
    done = CliRunner().invoke(cli, ["sample", "--out", str(tmp_path / "c"), "--clients", "20000"])
    assert (
        done.exit_code == 2 and "--format parquet" in done.output and not (tmp_path / "c").exists()
    )


def test_notice_is_kept(tables):
    clients = tables["clients"]
    chosen = clients[
        clients["end_initiator"].isin(["client", "agency"]) & clients["end_date"].notna()
    ]
    days = (chosen["end_date"] - chosen["decision_date"]).dt.days
    assert days.min() >= 28 and days.max() <= 62


def test_a_world_without_extras_is_the_method_as_it_stands():
    assert replace(WORLDS["study"], **PLAIN).promise == 0.0


def test_a_field_of_agencies_that_differ(tmp_path):
    done = CliRunner().invoke(
        cli,
        ["sample", "--agencies", "3", "--clients", "60", "--months", "12", "--out", str(tmp_path)],
    )
    assert done.exit_code == 0, done.output
    folders = sorted(tmp_path.iterdir())
    assert [folder.name for folder in folders] == ["agency-01", "agency-02", "agency-03"]
    truths = [json.loads((folder / "truth.json").read_text()) for folder in folders]
    effects = {truth["world"]["contract"] for truth in truths}
    assert len(effects) == 3
    assert all((folder / "retention.toml").is_file() for folder in folders)
