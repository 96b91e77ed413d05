"""Thresholds: all stand in plan.toml, any can be set in retention.toml, and each decides where it says."""

import datetime as dt
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from retention.claims import term_fees
from retention.errors import ConfigError
from retention.lists import service
from retention.money import courses, plateau
from retention.score import at_stake, early_warning, leads
from retention.service import contact, loyalty
from retention.settings import LIMITS, Settings, resolve, study_plan
from retention.words import key_of, say

ROOT = Path(__file__).parents[1]
LAST = pd.Timestamp("2025-12-31")


def with_(**changed: float) -> dict[str, float]:
    return {**LIMITS, **changed}


@pytest.mark.parametrize("section", ["thresholds", "portfolio"])
def test_every_threshold_has_a_row_of_the_study_or_is_ours(section):
    for name, about in study_plan()[section].items():
        assert about["why"], name
        assert about["study"] or about["why"].endswith("(ours)"), name


def test_those_of_a_user_are_in_force():
    told = Settings(thresholds={"at_risk": 0.4}, portfolio={"raise_months": 18})
    assert told.limits == with_(at_risk=0.4, raise_months=18)
    assert Settings().limits == LIMITS


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[thresholds]\nat_rsk = 0.3", "'at_rsk' is no threshold; did you mean 'at_risk'"),
        ("[thresholds]\nmost_raise = 0.3", r"most_raise belongs under \[portfolio\]"),
        ("[portfolio]\nat_risk = 0.3", r"at_risk belongs under \[thresholds\]"),
        ("[thresholds]\nat_risk = 0", "at_risk must be above 0"),
    ],
)
def test_an_unknown_threshold_is_refused(tmp_path, text, said):
    (tmp_path / "retention.toml").write_text(text)
    with pytest.raises(ConfigError, match=said):
        resolve(str(tmp_path))


def test_the_docs_show_each_with_its_value():
    text = (ROOT / "docs" / "own-data.md").read_text("utf-8")
    shown = text[text.index("[thresholds]") :].split("```")[0]
    told = {name: float(value) for name, value in re.findall(r"^(\w+) = ([\d.]+)", shown, re.M)}
    assert told == {name: about["value"] for name, about in study_plan()["thresholds"].items()}


def test_at_risk():
    scores = pd.DataFrame({"risk": [0.25, 0.35], "act_by": pd.to_datetime(["2026-01-20"] * 2)})
    for limit, clients in ((0.20, 2), (0.30, 1), (0.40, 0)):
        frame = at_stake.last_days(scores, LAST.date(), with_(at_risk=limit))
        assert frame["at_risk"].sum() == clients


def test_open_lead_days():
    rows = pd.DataFrame(
        {"lead_id": ["a", "b"], "created_on": LAST - pd.to_timedelta([90, 200], "D")}
    )
    open_ = [len(leads._open(rows, LAST.date(), days)) for days in (60, 180, 365)]
    assert open_ == [0, 1, 2]


def test_close_days():
    rows = pd.DataFrame({"source": ["cold"] * 2, "created_on": pd.Timestamp("2025-01-01")})
    rows["signed_on"] = rows["created_on"] + pd.to_timedelta([30, 100], "D")
    for days, signed in ((20, 0), (90, 1), (120, 2)):
        assert loyalty.close_rates(rows, LAST, with_(close_days=days))["signed"].tolist() == [
            signed
        ]


def test_discount():
    stay, paid = np.ones((1, 13)), np.ones((1, 13))
    assert courses.worth(stay, paid, 13, 0.25)[0] == pytest.approx(
        sum(1.25 ** (-t / 12) for t in range(13))
    )
    start = pd.Timestamp("2020-01-01")
    row = {"client_id": "a", "engagement": 1, "start_date": start, "ended": False}
    months = {"entry_months": 0, "stop_months": 12, "end_kind": None}
    spells = pd.DataFrame([row | months | {"monthly_ad_spend": 1000.0, "fee_pct": 10.0}])
    nothing = pd.DataFrame({"fee": []})
    assert courses.course(spells, nothing, with_(discount_a_year=0.25)).discount == 0.25
    chance = np.array([0.04])
    cheap, dear = (term_fees.break_even_ratio(10, 6, chance, 0.0, rate) for rate in (0.0, 0.5))
    assert cheap == pytest.approx(10 / 6) and dear > cheap


def test_fee_departure_points():
    fees = [10.0, 10.0, 10.0, 10.0, 10.0, 10.8]
    spells = pd.DataFrame({"client_id": list("abcdef"), "fee_pct": fees, "contract_term_months": 1})
    for points, off in ((0.5, 1), (1.0, 0)):
        table = term_fees.fee_table(spells, with_(fee_departure_points=points))
        assert table["departures"].tolist() == [off]


def test_the_warning_of_lately():
    calm = early_warning.Watch(pd.DataFrame(), 3, 9, 4.0, 0.10)
    assert not calm.risen
    assert early_warning.Watch(pd.DataFrame(), 3, 9, 4.0, 0.10, alarm=0.2).risen
    counts, expected, parts = np.array([[4.0]]), np.array([2.0]), np.ones((2, 1))
    assert early_warning._evidence(counts, expected, parts, 2.0)[0] == pytest.approx(
        4 * np.log(2) - 2 + np.log(list(early_warning.PRIOR.values()))
    )
    assert early_warning._evidence(counts, expected, parts, 3.0)[0] == pytest.approx(
        4 * np.log(3) - 4 + np.log(list(early_warning.PRIOR.values()))
    )


def test_the_plateau():
    path = np.full((4, 121), 100.0)
    level = np.array([120.0, 110.0, 120.0, 125.0])
    clients, day = (90, 60), dt.date(2025, 12, 31)
    ones = np.ones(4)
    ahead = plateau.Outlook(
        day, 48, path, path * 0, ones, ones, level * 0.8, level, {}, "", clients, 0.1
    )
    said = {
        re.split("[:+ ]", key_of(plateau.plateau_words(ahead, "", with_(**given)).text))[0]
        for given in ({}, {"plateau_unwatched": 0.1})
    }
    assert said == {"economics.revenue.grows", "economics.revenue.no_plateau"}


def test_what_to_do_about_a_detractor():
    assert service._next_step(100, 2, LIMITS) == service.AGREE
    assert service._next_step(100, 2, with_(another_rep_answers=2)) == service.OTHER_REP
    assert service._next_step(100, 2, with_(old_answer_days=90)) == service.ASK_AGAIN


def test_what_is_overdue():
    clients = pd.DataFrame(
        {"client_id": ["a"], "client": ["A"], "owner": "x", "start_date": LAST, "remote": True}
    ).assign(start_date=pd.Timestamp("2024-01-01"))
    kinds = ["call", "report", "visit"]
    meetings = pd.DataFrame(
        {"client_id": "a", "kind": kinds, "held_on": LAST - 50 * pd.Timedelta(days=1)}
    ).assign(recap_sent=pd.array([True] * 3, "boolean"))
    never = with_(call_days=99, report_days=99, recap_days=99, visit_weeks=99)
    assert service.overdue_list(clients, meetings, LAST, never).empty
    for name in ("call_days", "report_days", "recap_days"):
        late = service.overdue_list(clients, meetings, LAST, never | {name: 40})
        waits = say(f"lists.waits.{name.removesuffix('_days')}")
        assert late["reason"].tolist() == [waits]
    late = service.overdue_list(clients, meetings, LAST, never | {"visit_weeks": 6})
    assert late["reason"].tolist() == [say("lists.waits.visit")]


def test_how_many_clients_an_analyst_serves():
    clients = pd.DataFrame({"client_id": ["a", "b"]})
    served = clients.assign(staff_id="x", role=pd.Series(["analyst"] * 2, dtype="string"))
    nobody = pd.Series(dtype=object)
    for most, key in ((1, "lists.alone.over"), (2, "lists.alone.within")):
        rows = service.loads(clients, served, nobody, with_(clients_an_analyst=most))
        assert key_of(rows["limit"][0]).startswith(key)


def test_silence_and_visits_as_factors():
    at = pd.DataFrame(
        {"client_id": ["a"], "start_date": pd.Timestamp("2024-01-01"), "day": LAST, "remote": True}
    )
    meetings = pd.DataFrame(
        {"client_id": "a", "kind": "visit", "held_on": [LAST - 300 * pd.Timedelta(days=1)]}
    )
    last = pd.DataFrame(
        {"client_id": "a", "kind": "visit", "held_on": [LAST - 40 * pd.Timedelta(days=1)]}
    )
    tables = {"meetings": pd.concat([meetings, last], ignore_index=True)}
    usual = contact.factors(at, tables)
    longer = contact.factors(at, tables, with_(call_days=60, visit_weeks=5))
    assert usual["C7", "silence"] == [1] and usual["C8", "not_met"] == [0]
    assert longer["C7", "silence"] == [0] and longer["C8", "not_met"] == [1]
