"""Intervals by client and by rep, the wider: by hand, against refits, and that few reps change
nothing (S1, S2).
"""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from conftest import clients_of
from retention.claims.contract_term import contract_hazard_ratio
from retention.claims.term_curves import restricted_mean_estimates
from retention.contrast import NO_SPREAD, Contrast
from retention.history.follow_up import follow_up
from retention.history.in_charge import rep_in, reps_by_month, spans
from retention.history.opportunities import compare, exit_rows
from retention.stats.curves import cumulative_incidence, kaplan_meier
from retention.stats.hazards import fit_hazard
from retention.stats.intervals import effective_number, jackknife, leaving_out, share_limits, wilson
from retention.stats.outcomes import Outcome, spread_by_rep

DAY = pd.Timedelta(days=1)


def of_reps(stop: list, kind: list, reps: list) -> Outcome:
    """Follow-up from month 0 on; each rep in charge throughout, or given as spans."""
    told = np.empty(len(reps), dtype=object)
    told[:] = [((0, rep),) if isinstance(rep, str) else rep for rep in reps]
    return Outcome.of(stop, kind, np.zeros(len(stop)), told)


def plain_survival(stop: np.ndarray, left: np.ndarray, month: int) -> float:
    """The share still there after a month, one month after the other."""
    share = 1.0
    for t in range(1, month + 1):
        at_risk = (stop >= t).sum()
        share *= 1 - (left & (stop == t)).sum() / at_risk if at_risk else 1
    return share


SIX = [f"r{k}" for k in range(6)]
STOP = np.array([2, 9, 3, 9, 4, 9, 5, 9, 6, 9, 1, 2, 3, 8])
LEFT = np.array([1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0], dtype=bool)
REPS = np.array([*np.repeat(SIX[:5], 2), *["r5"] * 4])


def test_S1_a_curve_by_rep_by_hand():
    outcome = of_reps(list(STOP), list(LEFT.astype(int)), list(REPS))
    without = np.array([plain_survival(STOP[r != REPS], LEFT[r != REPS], 5) for r in SIX])
    se = math.sqrt(5 / 6 * ((without - without.mean()) ** 2).sum())
    months = np.array([STOP[r == REPS].sum() for r in SIX])
    df = months.sum() ** 2 / (months**2).sum() - 1
    row = kaplan_meier(outcome).set_index("month").loc[5]
    share = plain_survival(STOP, LEFT, 5)
    half = stats.t.ppf(0.975, df) * se / share / abs(math.log(share))
    assert row["survival"] == pytest.approx(share)
    alone = kaplan_meier(replace(outcome, reps=None)).set_index("month").loc[5]
    assert row["low"] == pytest.approx(min(share ** math.exp(half), alone["low"]))
    assert row["high"] == pytest.approx(max(share ** math.exp(-half), alone["high"]))
    assert row["high"] - row["low"] > alone["high"] - alone["low"]
    found = spread_by_rep([outcome], lambda counts: counts.mean(6))
    means = [
        sum(plain_survival(STOP[r != REPS], LEFT[r != REPS], t) for t in range(6)) for r in SIX
    ]
    assert found.se == pytest.approx(jackknife(np.array(means))) and found.df == pytest.approx(df)


def test_S1_a_client_belongs_to_the_rep_of_the_month():
    """A client of a for three months and then of b, gone in month 5: its end is b's, its first
    months are a's.
    """
    outcome = of_reps([5, 4], [1, 0], [((0, "a"), (3, "b")), "c"])
    by_rep = outcome.by_rep
    assert by_rep.names == ("a", "b", "c")
    at_risk, ended = by_rep.counts.at_risk, by_rep.counts.ended[:, 0]
    assert at_risk.tolist() == [[2, 2, 2, 2, 1], [1, 1, 1, 0, 0], [0, 0, 0, 1, 1], [1, 1, 1, 1, 0]]
    assert ended.tolist() == [[0, 0, 0, 0, 1], [0] * 5, [0, 0, 0, 0, 1], [0] * 5]
    without = by_rep.without_each(["b"], 5)
    assert without.at_risk.tolist() == [[2, 2, 2, 1, 0]] and without.ended.sum() == 0


def test_S1_months_of_nobody_are_never_left_out_and_late_entry_counts():
    outcome = Outcome.of(
        [6, 6], [1, 1], [2, 0], np.array([((0, ""), (4, "a")), ((0, "b"),)], dtype=object)
    )
    assert outcome.by_rep.counts.at_risk.tolist() == [
        [1, 1, 2, 2, 2, 2],
        [0, 0, 0, 0, 1, 1],
        [1] * 6,
    ]


def test_S1_fewer_than_six_reps_or_one_of_nearly_all_change_nothing():
    five = [name if name != "r5" else "r4" for name in REPS]
    one = ["r0"] * 9 + SIX[1:]
    for reps in (five, one):
        outcome = of_reps(list(STOP), list(LEFT.astype(int)), reps)
        pd.testing.assert_frame_equal(
            kaplan_meier(outcome), kaplan_meier(replace(outcome, reps=None))
        )
    assert leaving_out(np.arange(5.0), np.ones(5)) is NO_SPREAD
    assert effective_number(np.array([100.0, 1, 1, 1, 1, 1, 1])) < 2


def test_S1_what_reps_share_cancels_in_a_difference():
    outcome = of_reps(list(STOP), list(LEFT.astype(int)), list(REPS))
    apart = spread_by_rep([outcome], lambda counts: counts.mean(6))
    found = spread_by_rep([outcome, outcome], lambda one, other: one.mean(6) - other.mean(6))
    assert apart.se > 0.1 and found.se == pytest.approx(0)


def test_S1_incidence_adds_up_to_what_is_gone():
    kind = np.where(LEFT, np.tile([1, 2], 7), 0)
    outcome = of_reps(list(STOP), list(kind), list(REPS))
    counts = outcome.by_rep.counts
    gone = counts.incidence(1) + counts.incidence(2)
    np.testing.assert_allclose(gone, 1 - counts.stay[:, 1:])
    wide, alone = (cumulative_incidence(one, [5]) for one in (outcome, replace(outcome, reps=None)))
    np.testing.assert_allclose(counts.incidence(1)[0, 4], wide.loc[wide["kind"] == 1, "share"])
    assert ((wide["high"] - wide["low"]) >= (alone["high"] - alone["low"]) - 1e-12).all()


day_of = st.integers(-100, 500)
a_stint = st.tuples(
    st.sampled_from("ab"), st.sampled_from("pqr"), day_of, st.one_of(st.none(), day_of)
)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.lists(a_stint, max_size=6), st.dictionaries(st.sampled_from("pqr"), day_of, max_size=2))
def test_S1_spans_are_the_reps_of_the_months(rows, gone):
    start = pd.Timestamp("2023-01-31")
    table = pd.DataFrame(rows, columns=["client_id", "staff_id", "from_date", "to_date"]).assign(
        role="rep"
    )
    for name in ("from_date", "to_date"):
        table[name] = start + pd.to_timedelta(table[name].astype(float), unit="D")
    staff = pd.DataFrame(
        {
            "staff_id": list("pqr"),
            "ended_on": [start + gone[p] * DAY if p in gone else pd.NaT for p in "pqr"],
        }
    )
    staff["ended_on"] = pd.to_datetime(staff["ended_on"])
    spells = pd.DataFrame({"client_id": ["a", "b"], "start_date": start, "rep_id": ["p", "q"]})
    spells["end_date"] = pd.to_datetime(["2024-05-14", None])
    told = spans(spells, table, staff)
    months = reps_by_month(spells, 15, table, staff)
    for k in range(15):
        assert rep_in(told, pd.Series([k + 1, k + 1])).tolist() == months[:, k].tolist()


def agency(seed: int, clients: int = 150, reps: int = 8) -> pd.DataFrame:
    """Spells of an agency whose reps differ, with `reps`."""
    rng = np.random.default_rng(seed)
    rep = rng.integers(0, reps, clients)
    pace = 0.04 * np.exp(rng.normal(0, 0.5, reps))[rep]
    stop = np.minimum(rng.geometric(pace), 40)
    start = pd.Timestamp("2019-01-01") + pd.to_timedelta(rng.integers(0, 500, clients), unit="D")
    end = start + pd.to_timedelta(stop * 30.44, unit="D")
    rows = [
        (
            f"c{n}",
            start[n],
            end[n] if stop[n] < 40 else None,
            int(rng.choice([1, 6, 12])),
            f"r{rep[n]}",
        )
        for n in range(clients)
    ]
    from retention.history.spells import build_spells

    spells = build_spells(clients_of(rows, ("rep_id",)), cutoff=pd.Timestamp("2023-12-31").date())
    return spells.assign(reps=spans(spells, None, None))


def test_S2_a_ratio_by_rep_is_that_of_refits():
    """One step from the estimate and a fit without each rep's rows give the same spread, to a few
    per cent.
    """
    rows = exit_rows(agency(3))
    first = rows["contract_term_months"] == 1
    found = compare(rows, first, ("one", "other"), name="x", adjust=False)
    refitted = []
    for rep in rows["rep"].unique():
        kept = (rows["rep"] != rep).to_numpy()
        X = first[kept].astype(float).rename("first").to_frame()
        exposure = (
            np.ones((kept.sum(), 1))
            * (rows["to_month"] - rows["from_month"])[kept].to_numpy()[:, None]
        )
        fit = fit_hazard(rows["left"].to_numpy()[kept], X, exposure, rows["client_id"][kept])
        refitted.append(fit.coefficient("first"))
    assert found.contrast.by_rep.se == pytest.approx(jackknife(np.array(refitted)), rel=0.15)
    assert 4 < found.contrast.by_rep.df <= 7
    assert found.contrast.se > found.fit.se("first") * 0.99, (
        "leaving clients out is no narrower than the sandwich"
    )


def test_S2_the_wider_of_both_is_judged():
    plain = Contrast("x", 0.5, 0.1, 100, {"a": 50, "b": 50})
    by_rep = replace(
        plain, by_rep=leaving_out(np.array([0.3, 0.4, 0.5, 0.6, 0.7, 0.5]), np.ones(6))
    )
    assert plain.interval()[0] == pytest.approx(0.5 - 0.196, abs=1e-3)
    assert by_rep.interval()[0] == pytest.approx(0.5 - stats.t.ppf(0.975, 5) * by_rep.by_rep.se)
    assert replace(plain, df=10.0).reach() == pytest.approx(0.1 * stats.t.ppf(0.975, 10))


def test_S1_months_gained_and_shares_are_no_narrower_with_reps():
    spells = agency(5, clients=400)
    for what in (restricted_mean_estimates,):
        wide, alone = what(spells).rows, what(spells.drop(columns="reps")).rows
        pairs = list(zip(wide, alone, strict=True))
        assert pairs and all(
            one.high - one.low >= other.high - other.low - 1e-12 for one, other in pairs
        )
        assert any(one.high - one.low > other.high - other.low for one, other in pairs)
    assert contract_hazard_ratio(spells).by_rep.se > 0
    assert contract_hazard_ratio(spells.drop(columns="reps")).by_rep is NO_SPREAD
    assert follow_up(spells).reps is not None


def test_S1_a_share_by_rep():
    counted = np.repeat([1, 0], [30, 70])
    alike = np.tile([f"r{k}" for k in range(10)], 10)
    assert share_limits(counted, alike)[0] <= wilson(30, 100)[0]
    together = np.repeat([f"r{k}" for k in range(10)], 10)
    low, high = share_limits(counted, together)
    assert low < wilson(30, 100)[0] - 0.1 and high > wilson(30, 100)[1] + 0.1
    assert share_limits(counted) == wilson(30, 100)
