"""Trials: the draw, its seal, who waits, what is counted, the interval, the verdict, and the track
record.
"""

import itertools
import json
from datetime import date
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import clients_of
from retention.data.seals import broken_seals, seal_of, with_states
from retention.errors import ConfigError
from retention.history.spells import build_spells
from retention.history.trials import ACT, WAIT, drawn, running, waiting
from retention.lists import actions, decision, registry
from retention.lists.desk import Desk, desk_of
from retention.portfolio.book import Book
from retention.results import DOES_NOT, HOLDS, NOT_ENOUGH
from retention.sample import WORLDS, write_sample
from retention.settings import Settings
from retention.stats.rerandomised import effect
from retention.study import open_study
from retention.trials import front, ledger, track
from retention.trials.draw import TRIABLE, Asked, arms, draw, strata
from retention.trials.draw import pool as pool_of
from retention.trials.judged import Trial, table, trials, word
from retention.trials.outcomes import changed, outcomes
from retention.trials.pictures import kept_title
from retention.trials.planning import planned
from retention.trials.size import needed, over, power

DAY = pd.Timestamp("2025-01-31")
CUTOFF = pd.Timestamp("2025-12-31")


def pool(n: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "client_id": [f"c{k:03d}" for k in range(n)],
            "predicted": rng.uniform(0.05, 0.6, n).round(4),
            "margin": rng.lognormal(6, 1, n),
        }
    )


def asked(n: int, name: str = "calls") -> Asked:
    return Asked(name, "save", 7, 6, 0.2, n)


# The draw


@settings(max_examples=40, deadline=None)
@given(n=st.integers(4, 90), seed=st.integers(0, 10_000))
def test_the_same_seed_draws_the_same_and_half_of_each_stratum_acts(n, seed):
    rows = pool(n, seed)
    of = strata(rows)
    drawn_arms = arms(of, "calls", seed)
    assert drawn_arms.equals(arms(of, "calls", seed))
    for stratum in of.unique():
        acting = (drawn_arms[of == stratum] == ACT).sum()
        assert abs(2 * acting - (of == stratum).sum()) <= 1


def test_another_name_or_seed_draws_others():
    of = strata(pool(60))
    assert not arms(of, "calls", 7).equals(arms(of, "visits", 7))
    assert not arms(of, "calls", 7).equals(arms(of, "calls", 8))


def test_a_draw_that_was_changed_added_to_or_cut_is_noticed(tmp_path):
    path = tmp_path / "trials.csv"
    ledger.add(path, draw(pool(12), asked(12), DAY))
    ledger.add(path, draw(pool(8, 5), asked(8, "visits"), DAY))
    whole = ledger.read(path)
    assert len(whole) == 20
    changed = [
        whole.assign(arm=whole["arm"].replace({ACT: WAIT})),
        whole.drop(index=3),
        whole.drop(index=range(12)),
        pd.concat([whole, whole.head(1).assign(client_id="new")], ignore_index=True),
        whole.assign(predicted=whole["predicted"] + 0.1),
        whole.assign(planned=whole["planned"] - 4),
        whole.assign(horizon_months=whole["horizon_months"] - 3),
        whole.assign(smallest=0.5),
    ]
    for rows in changed:
        rows.to_csv(path, index=False)
        with pytest.raises(ConfigError, match="not as they were made"):
            ledger.read(path)
    assert not broken_seals(whole)[0].any()


def test_a_trial_is_drawn_once_a_day_and_the_file_stays_whole(tmp_path):
    path = tmp_path / "trials.csv"
    first = ledger.add(path, draw(pool(8), asked(8), DAY))
    with pytest.raises(ConfigError, match="already"):
        ledger.add(path, draw(pool(12).tail(4), asked(4), DAY))
    assert len(ledger.read(path)) == len(first)
    ledger.add(path, draw(pool(12).tail(4), asked(4), DAY + pd.Timedelta(days=31)))
    assert len(ledger.read(path)) == len(first) + 4


def test_a_seal_is_that_of_the_rows_in_any_order():
    rows = draw(pool(9), asked(9), DAY)
    assert seal_of(rows, 1) == seal_of(rows.sample(frac=1, random_state=1), 1)
    assert seal_of(rows, 1) != seal_of(rows, 2)


# Who waits


def table_of(*rows: tuple) -> pd.DataFrame:
    names = ("trial", "client_id", "list", "arm", "drawn_on", "horizon_months")
    frame = pd.DataFrame(rows, columns=names)
    return frame.assign(drawn_on=pd.to_datetime(frame["drawn_on"]), stratum="all")


def test_who_waits_is_on_no_list_until_the_trial_is_over():
    rows = table_of(
        ("calls", "A", "save", WAIT, "2025-10-31", 6),
        ("calls", "B", "save", ACT, "2025-10-31", 6),
        ("old", "C", "save", WAIT, "2025-01-31", 6),
    )
    known = {"trials": rows}
    assert list(waiting(known, 6, CUTOFF).index) == ["A"]
    assert set(running(drawn(known, 6), CUTOFF)["client_id"]) == {"A", "B"}
    clients = clients_of([(name, "2022-01-01", None, 1) for name in "ABC"])
    spells = build_spells(clients, cutoff=CUTOFF.date(), records_begin=None)
    scores = pd.DataFrame(
        {"client_id": list("ABC"), "risk": 0.5, "margin_a_month": 900.0, "contact": "yes"}
    )
    scores = scores.assign(
        act_by=CUTOFF, reasons="", low=0.4, high=0.6, months_to_renewal=1, at_stake=1.0
    )
    tables = {"clients": clients, "trials": rows}
    desk = Desk(Book(spells, tables, Settings(), CUTOFF), scores)
    lists = registry.made(desk)
    listed = actions.actions(decision.decide(desk.book.rows, lists), lists, desk)
    do = dict(zip(listed["client_id"], listed["do"], strict=True))
    assert do["A"] == "wait" and do["B"] == do["C"] != "wait"
    assert "A" not in set(lists["save"]["client_id"])


def test_all_lists_that_can_be_tried_are_words_of_the_tables():
    from retention.data.schema import TABLES

    assert set(TABLES["trials"].column("list").choices) == set(TRIABLE)
    done = set(TABLES["actions"].column("action").choices)
    assert done == {*registry.IDS, "other"} - {"wait"}


# By hand, on eight clients


def eight() -> Trial:
    """Two strata of four; of those to act one leaves, of those to wait three."""
    rows = pd.DataFrame(
        {
            "trial": "calls",
            "client_id": list("abcdefgh"),
            "list": "save",
            "arm": [ACT, ACT, WAIT, WAIT] * 2,
            "drawn_on": DAY,
            "stratum": ["s"] * 4 + ["t"] * 4,
            "predicted": 0.3,
            "horizon_months": 6,
            "planned": 8,
            "smallest": 0.2,
            "churned": [0.0, 0, 1, 0, 1, 0, 1, 1],
            "known": True,
            "over": True,
            "done": [True, True, False, False, True, False, True, False],
        }
    )
    return Trial("calls", rows)


def test_by_hand_on_eight_clients():
    made = eight()
    # s: 0 of 2 against 1 of 2; t: 1 of 2 against 2 of 2; the mean of the strata: - 1/2
    assert made.fewer_left.theta == pytest.approx(-0.5)
    assert made.left(ACT) == (1, 4) and made.left(WAIT) == (3, 4)
    row = table((made,)).iloc[0]
    assert (row["acted_on"], row["waiting_acted_on"]) == (0.75, 0.25)


def test_the_p_value_is_that_of_all_36_draws_counted_out():
    made = eight()
    rows = made.rows
    y = rows["churned"].to_numpy()
    y = y - np.repeat([y[:4].mean(), y[4:].mean()], 4)

    def far(z: np.ndarray) -> float:
        arm = z - 0.5
        theta = arm @ y / (arm @ arm)
        left = y - theta * arm
        return abs(theta) / max(np.sqrt((arm**2 * left**2).sum()) / (arm @ arm), 1e-12)

    halves = list(itertools.combinations(range(4), 2))
    every = []
    for one, two in itertools.product(halves, halves):
        z = np.zeros(8)
        z[[*one, *(4 + k for k in two)]] = 1
        every.append(far(z))
    seen = far((rows["arm"] == ACT).to_numpy(float))
    exact = np.mean(np.array(every) >= seen * (1 - 1e-9))
    assert made.fewer_left.p_value(0.0) == pytest.approx(exact, abs=0.03)


def study_of_eight(seal: bool = True) -> SimpleNamespace:
    """Eight clients drawn for calls on 31 Jan 2025; each leaves 100 a month but h, at a loss."""
    ends = {"b": "2025-05-02", "c": "2025-02-28", "d": "2025-04-30", "e": "2025-09-30"}
    rows = [(name, "2023-01-01", ends.get(name), 1, "client") for name in "abcdefgh"]
    clients = clients_of(rows, ("end_initiator",))
    whose = clients["end_initiator"].where(clients["end_date"].notna())
    whose = whose.mask(clients["client_id"] == "d", "agency")
    clients = clients.assign(end_initiator=whose)
    drawn_rows = draw(pool(8).assign(client_id=list("abcdefgh")), asked(8), DAY)
    drawn_rows = drawn_rows.assign(arm=[ACT, ACT, WAIT, WAIT] * 2, stratum=["s"] * 4 + ["t"] * 4)
    drawn_rows = drawn_rows.assign(seal=seal_of(drawn_rows, 1))
    if not seal:
        drawn_rows = drawn_rows.assign(planned=4)
    done = pd.to_datetime(["2025-02-10", "2025-03-01", "2025-02-10", "2025-08-30"])
    acted = pd.DataFrame({"client_id": list("aagf"), "done_on": done})
    acted = acted.assign(action=["save", "collect", "save", "save"], cost=[50.0, 70.0, 20.0, 50.0])
    months = pd.DataFrame({"client_id": list("abcdefgh"), "month": 2025 * 12 - 1, "fee": 200.0})
    months = months.assign(margin=[100.0] * 7 + [-50.0])
    drawn = months.assign(month=2025 * 12, margin=999.0)  # the month of the draw does not count
    tables = with_states({"trials": drawn_rows, "actions": acted})
    return SimpleNamespace(
        settings=Settings(),
        cutoff=CUTOFF.date(),
        spells=build_spells(clients, cutoff=CUTOFF.date(), records_begin=None),
        money=pd.concat([months, drawn], ignore_index=True),
        known=tables.get,
    )


def test_every_number_of_eight_clients_by_hand():
    rows = outcomes(study_of_eight()).set_index("client_id")
    assert rows["over"].all() and rows["known"].all()  # 31 Jul has passed
    # b left on 2 May and c on 28 Feb; d was let go, e left after the six months
    assert rows.index[rows["churned"] == 1].tolist() == ["b", "c"]
    days = {"a": 181, "b": 91, "c": 28, "d": 89, "e": 181, "f": 181, "g": 181, "h": 181}
    assert rows["months"].to_dict() == pytest.approx({k: 12 * v / 365.25 for k, v in days.items()})
    # a was called and asked for its debt, g was called though it waits, f after the six months
    assert rows.index[rows["done"]].tolist() == ["a", "g"]
    assert rows["cost"].tolist() == [50, 0, 0, 0, 0, 0, 20, 0]
    assert rows.loc["a", "money"] == pytest.approx(100 * 12 * 181 / 365.25 - 50)
    assert rows.loc["h", "money"] == pytest.approx(-50 * 12 * 181 / 365.25)
    made = trials(rows.reset_index())
    row = table(made).iloc[0]
    assert (row["drawn"], row["planned"], row["through"]) == (8, 8, 8)
    assert (row["left_of_acted"], row["left_of_waiting"]) == ("1 of 4", "1 of 4")
    assert (row["acted_on"], row["waiting_acted_on"]) == (0.25, 0.25)
    assert word(made[0]) == "unclear"
    answer = front.answer(made, front.decisions(made))
    assert answer.title == "Nobody can tell yet whether acting on clients at risk keeps clients."
    assert "within 6 months 1 of 4 acted on left, 1 of 4 who waited" in answer.evidence
    assert answer.do.startswith("Try acting on clients at risk again, with more clients.")
    assert [found.estimate for found in front.estimates(made).rows][1:] == pytest.approx(
        [made[0].effect("months").theta, made[0].effect("money").theta]
    )


def test_a_draw_that_was_changed_counts_no_more_and_is_told_while_its_clients_still_wait():
    study = study_of_eight(seal=False)
    assert outcomes(study).empty and changed(study) == ["calls"]
    told = front.warnings((), changed(study)).items[0]
    assert told.kind == "warning" and "“calls” were changed after the draw" in told.text
    held = waiting({"trials": study.known("trials")}, 6, DAY)
    assert sorted(held.index) == list("cdgh")
    assert changed(study_of_eight()) == []


# The verdict


def simulated(kept: float, n: int = 400, seed: int = 1, planned_for: float = 0.15) -> Trial:
    rng = np.random.default_rng([seed, 5])
    rows = draw(pool(n, seed), Asked("calls", "save", seed, 6, planned_for, n), DAY)
    acting = rows["arm"] == ACT
    risk = rows["predicted"] * np.where(acting, 1 - kept, 1)
    left = (rng.random(n) < risk).astype(float)
    return Trial("calls", rows.assign(churned=left, known=True, over=True, done=acting))


def test_a_planted_effect_holds_and_harm_is_told_and_nothing_is_not():
    assert word(simulated(0.8)) == "helps"
    assert simulated(0.8).verdict.verdict == HOLDS
    assert word(simulated(-1.0)) == "harms"
    assert simulated(0.0, 1200).verdict.verdict == DOES_NOT
    assert simulated(0.0, 30).verdict.verdict == NOT_ENOUGH


def test_no_verdict_before_the_planned_number_and_none_is_changed_by_later_draws():
    made = simulated(0.8)
    half = Trial("calls", made.rows.assign(over=np.arange(400) < 200))
    assert word(half) == "running" and not half.complete
    later = simulated(-0.5, seed=9).rows.assign(drawn_on=DAY + pd.Timedelta(days=90))
    more = Trial("calls", pd.concat([made.rows, later], ignore_index=True))
    assert len(more.counted) == 400
    assert more.fewer_left.theta == made.fewer_left.theta


def test_the_interval_is_where_the_draws_do_not_refute():
    found = simulated(0.5).fewer_left
    low, high = found.interval()
    assert low < found.theta < high
    assert found.p_value(low + 1e-3) > 0.05 >= found.p_value(low - 1e-2)
    assert found.p_value(high - 1e-3) > 0.05 >= found.p_value(high + 1e-2)


def test_the_level_is_kept_at_thirty_clients():
    refused = 0
    for seed in range(400):
        rows = simulated(0.0, 30, seed).counted
        acting = rows["arm"] == ACT
        found = effect(rows["churned"], acting, rows["stratum"], rows["predicted"], 199, seed + 9)
        refused += found.p_value(0.0) <= 0.05
    assert refused / 400 == pytest.approx(0.05, abs=0.033)  # three Monte-Carlo errors


def test_strata_of_one_arm_and_outcomes_of_one_kind_are_no_numbers():
    nobody = effect([0, 0, 0, 0], [1, 1, 0, 0], ["s"] * 4, [0.1] * 4)
    assert nobody.theta == 0 and np.isnan(nobody.interval()).all()
    alone = effect([0, 1], [1, 0], ["s", "t"], [0.1, 0.2])
    assert alone.n == 0 and np.isnan(alone.theta)


# How large


def test_the_planned_number_has_the_power_it_is_planned_for():
    risks = pool(500)["predicted"].to_numpy()
    count = needed(risks, 0.15)
    assert power(risks, 0.15, count) >= 0.8 > power(risks, 0.15, count - 4)
    assert needed(risks, 0.9) is None and needed(risks[:0], 0.1) is None
    assert over(np.array([0.2]), 4, 8)[0] == pytest.approx(1 - 0.8**2)


# On a made-up agency


@pytest.fixture(scope="module")
def agency(tmp_path_factory):
    path = tmp_path_factory.mktemp("agency")
    write_sample(path, WORLDS["trial"], clients=150, months=48, seed=3)
    return path


@pytest.fixture(scope="module")
def study(agency):
    return open_study(str(agency))


def test_outcomes_are_those_of_the_clients_table(study, agency):
    rows = outcomes(study)
    clients = pd.read_csv(agency / "clients.csv", parse_dates=["end_date"])
    ends = clients.drop_duplicates("client_id", keep="last").set_index("client_id")
    for row in rows[rows["over"]].itertuples():
        end, whose = ends.loc[row.client_id, ["end_date", "end_initiator"]]
        in_time = end <= row.until
        assert row.churned == float(in_time and whose not in ("agency", "neutral"))
    settled = trials(rows)[0]
    assert settled.rows["over"].all() and not trials(rows)[1].complete


def test_plans_and_lists_of_a_study(study):
    made = planned(study, "save", 0.1, 6)
    assert made.now >= 0 and made.a_month >= 0
    with pytest.raises(ConfigError, match="No trial can be made"):
        planned(study, "let_go", 0.1, 6)
    rows = front.decisions(trials(outcomes(study)))
    assert list(rows["list"]) == list(TRIABLE)
    assert set(rows["to_do"]) <= {*front.TO_DO.values(), "too_dear", front.NO_TRIAL}
    desk = desk_of(study)
    lists = registry.made(desk)
    waits = set(desk.book.waiting.index) & set(desk.book.rows["client_id"])
    busy = set(running(drawn(study.tables.frames, 6), pd.Timestamp(study.cutoff))["client_id"])
    assert all(busy.isdisjoint(pool_of(study, name, 6).rows["client_id"]) for name in TRIABLE)
    contact = study.risk[2].set_index("client_id")["contact"]
    assert set(contact.index[contact == "wait"]) == waits & set(contact.index)
    listed = actions.actions(decision.decide(desk.book.rows, lists), lists, desk)
    do = dict(zip(listed["client_id"], listed["do"], strict=True))
    assert waits and all(do[client] in ("wait", *registry.PARTED) for client in waits)
    held = listed[listed["do"] == "wait"]
    owing = held["client_id"].isin(lists["collect"]["client_id"])
    assert set(held.loc[~owing, "due_this_week"]) == {"no"} and set(held.loc[~owing, "due"]) == {""}


def test_without_trials_and_actions_one_sentence_says_so():
    clients = clients_of([(name, "2022-01-01", None, 1) for name in "ABC"])
    spells = build_spells(clients, cutoff=CUTOFF.date(), records_begin=None)

    class Bare:
        settings = Settings()
        cutoff = date(2025, 12, 31)
        money = pd.DataFrame(columns=["client_id", "month", "fee", "margin"])

        def known(self, table):
            return None

    bare = Bare()
    bare.spells = spells
    made = trials(outcomes(bare))
    answer = front.answer(made, front.decisions(made))
    assert made == () and "no trial is on record" in answer.title


# The track record


def publish(out, name: str, cutoff: str, scores: pd.DataFrame, whose: str = "") -> None:
    from retention.report.publish import seal

    folder = out / name
    folder.mkdir(parents=True)
    scores.to_csv(folder / "scores.csv", index=False)
    plain = Settings().model_dump(mode="json", exclude={"base", "source"})
    seal(folder, {"run_id": name, "cutoff": cutoff, "whose": whose, "settings": plain, "code": "0"})


def test_the_track_record_counts_what_was_published_and_came_true(study, tmp_path):
    rows = study.month_ends
    months = sorted(rows.loc[rows["outcome"].isin(["left", "stayed"]), "month"].unique())[-13::3]
    expected = {}
    for month in months:
        then = rows[rows["month"] == month].drop_duplicates("client_id")
        day = pd.Period(year=month // 12, month=month % 12 + 1, freq="M").end_time.date()
        risk = np.linspace(0.4, 0.01, len(then)).round(4)
        scores = pd.DataFrame({"client_id": then["client_id"], "risk": risk, "contact": "no"})
        scores.loc[scores.index[:10], "contact"] = "yes"
        name = f"{day}-0000000{len(expected)}"
        publish(tmp_path, name, str(day), scores, study.whose)
        settled = then["outcome"].isin(["left", "stayed"]).to_numpy()
        left = (then["outcome"] == "left").to_numpy()
        top = left[settled][:10].mean() / left[settled].mean() if left[settled].any() else np.nan
        expected[name] = (settled.sum(), risk[settled].sum(), left[settled].sum(), top)
    found = track.record(study, tmp_path)
    assert [run.name for run in found.runs] == list(expected) and len(expected) == 5
    for run in found.runs:
        scored, predicted, left, lift = expected[run.name]
        assert (len(run.rows), run.left) == (scored, left)
        assert run.expected == pytest.approx(predicted)
        assert run.lift == pytest.approx(lift, nan_ok=True)
    changed = tmp_path / found.runs[0].name / "scores.csv"
    changed.write_text(changed.read_text().replace("yes", "no"))
    again = track.record(study, tmp_path)
    assert again.left_out == {"changed": [found.runs[0].name]} and len(again.runs) == 4
    assert "changed after publishing" in track.words(again).text


def test_the_exact_interval_of_left_over_predicted():
    rows = pd.DataFrame({"client_id": list("abcd"), "risk": 0.5, "left": [1, 0, 1, 0]})
    run = track.Run("r", DAY, rows.assign(named=False), 2, "")
    ratio, low, high = run.calibration
    assert ratio == 1 and low == pytest.approx(0.1211, abs=1e-4)  # Garwood: 0.2422 to 7.2247
    assert high == pytest.approx(3.6123, abs=1e-4)


def test_a_run_says_which_earlier_runs_it_checks(tmp_path):
    from retention.runs import earlier

    publish(tmp_path, "2025-01-31-00000000", "2025-01-31", pd.DataFrame({"client_id": ["a"]}))
    assert len(earlier(tmp_path, "", pd.Timestamp("2025-05-31"), 4)) == 1
    assert not earlier(tmp_path, "", pd.Timestamp("2025-05-30"), 4)
    assert not earlier(tmp_path, "Others", pd.Timestamp("2025-12-31"), 4)
    about = json.loads((tmp_path / "2025-01-31-00000000" / "run.json").read_text())
    assert set(about["files"]) == {"scores.csv"}


@pytest.mark.parametrize(
    ("low", "high", "said"), [(-27, 15, "title_open"), (-30, -4, "title_lost"), (7, 26, "title")]
)
def test_a_title_has_a_direction_only_where_the_interval_has_one(low, high, said):
    middle = (low + high) / 2
    points = pd.DataFrame({"name": ["calls"], "estimate": [middle], "low": [low], "high": [high]})
    assert kept_title(points).key.startswith(f"what_helped.chart.{said}:")
