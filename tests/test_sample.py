"""The made-up agency: the same bytes from the same seed, plausible, consistent, and with what was planted in it."""

import datetime as dt
import filecmp

import numpy as np
import pytest

from conftest import ROOT
from retention import open_study
from retention.sample import World, simulate, write_sample
from retention.spells import build_spells


@pytest.fixture(scope="module")
def tables():
    return simulate(seed=1)


def test_the_same_seed_gives_the_same_bytes_and_data_sample_is_current(tmp_path):
    write_sample(tmp_path, simulate(seed=1))
    names = ["clients.csv", "contracts.csv", "retention.toml", "README.md"]
    same, different, absent = filecmp.cmpfiles(tmp_path, ROOT / "data" / "sample", names, shallow=False)
    assert (sorted(same), different, absent) == (sorted(names), [], [])
    assert not simulate(seed=2)["clients"].equals(simulate(seed=1)["clients"])


def test_about_six_hundred_engagements_over_sixty_months(tables):
    clients = tables["clients"]
    assert 500 < len(clients) < 700
    assert clients["start_date"].max() < np.datetime64("2026-01-01")
    assert 0.1 < (clients["start_date"] < "2021-01-01").mean() < 0.3  # left truncation from the burn-in
    assert not (clients["end_date"] < "2021-01-01").any()
    assert simulate(clients=1200, seed=1)["clients"].shape[0] == pytest.approx(1200, rel=0.15)


def test_tables_agree_with_each_other(tables):
    clients, contracts = tables["clients"], tables["contracts"]
    assert clients["client_id"].is_unique and clients["name"].is_unique
    assert (clients["recorded_date"].dropna() <= "2025-12-31").all()
    assert not (clients["decision_date"] > clients["end_date"]).any()
    assert not (clients["recorded_date"] < clients["decision_date"]).any()
    assert not (clients["decision_date"] < clients["start_date"]).any()
    assert set(contracts["client_id"]) == set(clients["client_id"])
    first = contracts.groupby("client_id").first()
    joined = clients.set_index("client_id").join(first, rsuffix="_contract")
    assert (joined["term_start"] == joined["start_date"]).all()
    assert (joined["term_months"] == joined["contract_term_months"]).all()
    ended = contracts.merge(clients[["client_id", "end_date"]], on="client_id")
    assert not (ended["term_start"] > ended["end_date"]).any()


def test_it_reads_without_a_fault_and_every_kind_of_end_is_there(sample_study):
    assert set(sample_study.spells["end_kind"].dropna()) == {"client", "agency", "neutral", "unknown"}
    study = open_study(str(ROOT / "data" / "sample"), cutoff="2023-06-30")
    assert study.spells["start_date"].max() <= np.datetime64("2023-06-30")


def test_lock_in_gives_spikes_and_its_absence_proportional_hazards():
    shares = {}
    for lock_in in (True, False):
        clients = simulate(World(lock_in=lock_in, breach=0.0), clients=6000, seed=7)["clients"]
        spells = build_spells(clients, cutoff=dt.date(2025, 12, 31), records_begin=dt.date(2021, 1, 1))
        gone = spells[spells["ended"] & (spells["end_kind"] == "client") & (spells["contract_term_months"] == 12)]
        shares[lock_in] = (gone["stop_months"] % 12 == 0).mean()
    assert shares[True] == 1.0
    assert shares[False] < 0.2


def test_notice_is_kept(tables):
    clients = tables["clients"]
    chosen = clients[clients["end_initiator"].isin(["client", "agency"]) & clients["end_date"].notna()]
    days = (chosen["end_date"] - chosen["decision_date"]).dt.days
    assert days.min() >= 28 and days.max() <= 62
