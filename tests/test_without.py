"""What was done without a trial: who counts and from when, the weights and their error, E-values,
the control, and what is said.
"""

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from conftest import clients_of
from retention.history.spells import build_spells
from retention.settings import Settings
from retention.trials import balanced, followed
from retention.trials import without as w
from retention.words import key_of

CUTOFF = pd.Timestamp("2025-12-31")
ANSWERED = "2025-01-10"  # so that thirty days later is 9 Feb, and the horizon ends on 9 Aug


def study_of(clients, **tables):
    """A study of which nothing is known but clients and these tables."""
    spells = build_spells(clients, cutoff=CUTOFF.date(), records_begin=None)
    return SimpleNamespace(
        settings=Settings(),
        cutoff=CUTOFF.date(),
        spells=spells,
        month_ends=pd.DataFrame(),
        contracts=tables.get("contracts"),
        cycles=None,
        known=tables.get,
    )


def eight(**more):
    """Eight detractors: a to d are called, e to h are not."""
    ends = {
        "a": "2025-03-31",  # called, left
        "b": None,  # called, stayed
        "c": "2025-01-31",  # called, and gone within the thirty days
        "d": "2025-09-30",  # called, left after the horizon
        "e": "2025-02-28",  # not called, had decided within the thirty days
        "f": "2025-06-30",  # not called, left
        "g": "2025-08-09",  # called on the 31st day, left on the horizon's last day
        "h": "2025-05-31",  # not called, let go
    }
    rows = [(name, "2023-01-01", end, 1, "", end) for name, end in ends.items()]
    clients = clients_of(rows, ("end_initiator", "decision_date"))
    kinds = pd.Series("client", clients.index).mask(clients["client_id"] == "h", "agency")
    clients = clients.assign(end_initiator=kinds.where(clients["end_date"].notna()))
    clients.loc[clients["client_id"] == "e", "decision_date"] = pd.Timestamp("2025-01-20")
    answered = pd.Timestamp(ANSWERED)
    surveys = pd.DataFrame({"client_id": list(ends), "nps": 3})
    surveys = surveys.assign(invited_on=answered, answered_on=answered)
    called = pd.to_datetime([ANSWERED, "2025-02-09", "2025-01-12", "2025-01-11", "2025-02-10"])
    actions = pd.DataFrame({"client_id": list("abcdg"), "action": "care", "done_on": called})
    return study_of(clients, **{"surveys": surveys, "actions": actions} | more)


def care_of(study):
    return followed.done(study)[0]


def test_eight_clients_counted_by_hand():
    one = care_of(eight())
    rows = one.rows.set_index("client_id")
    assert sorted(rows.index) == list("abdfgh")  # c had gone, e had given notice
    assert rows.index[rows["done"]].tolist() == list("abd")
    assert rows.index[rows["left"] == 1].tolist() == list("afg")
    assert [one.clients(True), one.ends(True), one.clients(False), one.ends(False)] == [3, 1, 3, 2]
    # Nothing can be held of so few, so the weights are equal: 1 of 3 against 2 of 3.
    assert one.shares.tolist() == pytest.approx([1 / 3, 2 / 3])
    assert one.difference.theta == pytest.approx(-1 / 3)
    # Each client's part is (y - mean) / 3; the sum of squares is 2 * (4 + 1 + 1) / 81; of six.
    assert one.difference.se == pytest.approx(math.sqrt(12 / 81 * 6 / 5))
    assert one.ratio.theta == pytest.approx(math.log(0.5))


def test_few_are_counted_and_nothing_else():
    one = care_of(eight())
    assert one.verdict == balanced.FEW and one.few
    table = w.estimates((one,))
    assert [row.estimate for row in table.rows] == [3, 3, 1, 2]
    assert all(row.id == "E3" and math.isnan(row.low) for row in table.rows)
    assert w.finding(one).text == (
        "Of 3 detractors called, 1 left within 6 months; of 3 not called, 2. "
        "Too few to compare: that takes 10 in each group."
    )
    assert w.frame((one,)).empty


def test_an_answer_before_actions_are_written_down_or_too_late_is_not_counted():
    study = eight()
    surveys = study.known("surveys")
    early = surveys.assign(invited_on=pd.Timestamp("2024-12-05"), answered_on="2024-12-05")
    late = surveys.assign(invited_on=pd.Timestamp("2025-06-05"), answered_on="2025-06-05")
    both = pd.concat([early, surveys, late], ignore_index=True)
    both["answered_on"] = pd.to_datetime(both["answered_on"])
    again = care_of(eight(surveys=both))
    assert set(again.rows["day"]) == {pd.Timestamp(ANSWERED)}


def test_who_was_cared_for_in_the_ninety_days_before_is_not_counted_again():
    study = eight()
    more = pd.DataFrame(
        {"client_id": ["b"], "action": "care", "done_on": [pd.Timestamp("2025-01-09")]}
    )
    actions = pd.concat([study.known("actions"), more], ignore_index=True)
    assert sorted(care_of(eight(actions=actions)).rows["client_id"]) == list("adfgh")


def test_who_is_in_a_trial_of_the_same_list_is_not_counted():
    def drawn(name):
        row = {"trial": "t", "client_id": ["a"], "list": name, "arm": "act", "horizon_months": 6}
        trial = pd.DataFrame({**row, "drawn_on": pd.Timestamp("2024-12-31")})
        return sorted(care_of(eight(trials=trial)).rows["client_id"])

    assert drawn("care") == list("bdfgh")
    assert drawn("save") == list("abdfgh")


def test_what_is_lacking_is_said_in_one_sentence_each():
    clients = clients_of([("a", "2024-01-01", None, 1)])
    made = followed.done(study_of(clients))
    assert [one.verdict for one in made] == ["", "", ""]
    keys = [key_of(finding.text) for finding in w.findings(made).items]
    assert keys == [f"what_helped.without.lacking.{name}" for name in followed.DONE]
    assert all(finding.text.count(". ") == 0 for finding in w.findings(made).items)
    assert w.estimates(made).rows == () and w.frame(made).empty
    without_answers = care_of(eight(surveys=None))
    assert key_of(w.finding(without_answers).text) == "what_helped.without.lacking.index"


def test_e_values_are_those_published():
    """VanderWeele and Ding (2017): formula feeding and deaths by respiratory infection, 3.9 (1.8 to
    8.7).
    """
    assert balanced.e_value(3.9) == pytest.approx(7.26, abs=0.005)
    assert balanced.e_value_of_limit(1.8, 8.7) == pytest.approx(3.0, abs=0.005)
    assert balanced.e_value(1 / 3.9) == pytest.approx(balanced.e_value(3.9))
    assert balanced.e_value_of_limit(1 / 8.7, 1 / 1.8) == pytest.approx(3.0, abs=0.005)
    assert balanced.e_value_of_limit(0.8, 1.1) == balanced.e_value(1) == 1
    assert math.isinf(balanced.e_value(0))


def made_up(seed, clients=250, effect=0.0, hidden=0.0):
    """Clients of whom those at risk are acted on more often, and leave more often; `hidden` is what
    nobody records but an earlier answer shows.
    """
    rng = np.random.default_rng(seed)
    client = np.repeat(np.arange(clients), 4)
    trait = rng.normal(size=clients)[client]
    unseen = rng.normal(size=clients)[client]
    risk = trait + 0.5 * rng.normal(size=len(client))
    chance = 1 / (1 + np.exp(0.6 - 0.7 * risk - hidden * unseen))
    done = rng.random(len(client)) < chance
    leaves = 1 / (1 + np.exp(1.6 - 0.8 * risk - hidden * unseen))
    left = rng.random(len(client)) < leaves * (1 - effect * done)
    earlier = 7 - 0.8 * risk - unseen + rng.normal(size=len(client))
    rows = pd.DataFrame({"client_id": client, "done": done, "left": left.astype(float)})
    rows = rows.assign(rep=client % 12, risk=risk, nps_earlier=earlier)
    gone = rows.groupby("client_id")["left"].cumsum() - rows["left"]
    rows = rows[gone == 0].reset_index(drop=True).reindex(columns=balanced.COLUMNS)
    return balanced.Done("care", 6, rows)


def test_the_weights_make_the_groups_alike():
    rows = made_up(1).rows
    raw = rows.groupby("done")["risk"].mean()
    means = balanced.weighted(rows, "risk").means
    assert raw[True] - raw[False] > 0.5
    assert means[0] == pytest.approx(means[1], abs=0.001)


def test_what_is_unknown_is_held_as_such_and_only_as_many_as_rows_allow():
    rows = made_up(1).rows
    assert balanced.covariates(rows).shape[1] == 2  # all ones, and the risk
    gaps = rows.assign(risk=rows["risk"].where(rows.index % 3 > 0))
    assert balanced.covariates(gaps).shape[1] == 3
    few = pd.concat([rows[rows["done"]].head(15), rows[~rows["done"]]])
    assert balanced.covariates(few).shape[1] == 2
    assert balanced.covariates(few.iloc[6:]).shape[1] == 1  # nine rows in which it was done


def test_the_error_is_that_of_leaving_out_each_client():
    """Against the jackknife by clients with the weights fitted anew each time."""
    rows = made_up(2, clients=80).rows
    found = balanced.contrast(rows, "left", {"done": 20, "others": 20})
    each = []
    for client in rows["client_id"].unique():
        means = balanced.weighted(rows[rows["client_id"] != client], "left").means
        each.append(means[0] - means[1])
    n = len(each)
    jackknife = math.sqrt((n - 1) / n * ((each - np.mean(each)) ** 2).sum())
    assert found.se == pytest.approx(jackknife, rel=0.06)
    assert found.n_clients == n


def test_clients_of_one_rep_belong_together():
    rows = made_up(3).rows
    alone = balanced.contrast(rows.assign(rep=None), "left", {"done": 60, "others": 60})
    apart = rows["rep"].astype(int) % 2 == 0
    differ = rows.assign(left=rows["left"].where(~(apart & rows["done"]), 1.0))
    by_rep = balanced.contrast(differ, "left", {"done": 60, "others": 60})
    assert alone.by_rep.se == 0
    assert by_rep.reach() > balanced.contrast(differ.assign(rep=""), "left", by_rep.events).reach()


def test_none_is_covered_where_who_is_at_risk_is_acted_on_more():
    """Of 150 agencies: at a true 5 %, more than 14 miss none in fewer than one run in a hundred."""
    made = [made_up(seed) for seed in range(150)]
    missed = sum(balanced.beyond_zero(one.difference) for one in made)
    raw = [one.rows.groupby("done")["left"].mean() for one in made]
    assert np.mean([shares[True] - shares[False] for shares in raw]) > 0.08  # what is adjusted for
    assert abs(np.mean([one.difference.theta for one in made])) < 0.008
    assert missed <= 14
    assert sum(one.verdict in (balanced.FEWER, balanced.MORE) for one in made) <= 14


def test_what_is_planted_is_found_and_what_is_hidden_is_noticed():
    helped = [made_up(seed, effect=0.5) for seed in range(40)]
    assert sum(one.verdict == balanced.FEWER for one in helped) >= 32
    hidden = [made_up(seed, hidden=0.7) for seed in range(40)]
    assert sum(one.verdict == balanced.APART for one in hidden) >= 38


def test_what_is_said():
    helped, hidden = made_up(4, effect=0.5), made_up(4, hidden=0.7)
    text = w.finding(helped).text
    share_done, share_others = helped.shares
    assert text.startswith(f"Of detractors called, {share_done:.0%} left within 6 months")
    assert f"{share_others:.0%}" in text and "only a trial can tell" in text
    ratio = helped.ratio_limits
    assert f"tied {balanced.e_value(ratio[0]):.1f} times" in text
    assert "Do not rely on it" in w.finding(hidden).text
    unchecked = balanced.Done("care", 6, helped.rows.assign(nps_earlier=np.nan))
    assert "Nothing on record from before" in w.finding(unchecked).text
    assert unchecked.control is None and len(w.estimates((unchecked,)).rows) == 8
    frame = w.frame((helped, hidden))
    assert frame["trusted"].tolist() == [True, False]
    assert frame["difference"].tolist() == pytest.approx(
        [100 * one.difference.theta for one in (helped, hidden)]
    )


def test_a_raise_is_compared_at_a_new_term_and_a_new_rep_at_any_month_end():
    days = pd.to_datetime(["2025-01-31", "2025-02-28", "2025-03-31"])
    at = pd.DataFrame({"client_id": "a", "day": days})
    due = pd.DataFrame({"client_id": ["a", "b"], "day": pd.to_datetime(["2025-03-01"] * 2)})
    assert followed.near(at, due, 1, followed.DAYS).tolist() == [True, True, False]
    assert followed.near(at, due.head(0), 1, followed.DAYS).tolist() == [False] * 3
