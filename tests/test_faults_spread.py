"""S1: clients of one rep rise and fall together, and intervals allow for it, from six reps on."""

import datetime as dt
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from conftest import clients_of
from retention.curves import follow_up, spread_by_rep
from retention.economics import lifetimes, plateau
from retention.intervals import with_limits
from retention.spells import build_spells

CUTOFF = dt.date(2024, 12, 31)
NOTHING = pd.DataFrame(columns=["client_id", "engagement", "month", "fee", "margin"])
REPS = 10


def served(n: int, sd: float, seed: int, reps: int = REPS, churn: float = 1 / 12) -> pd.DataFrame:
    """Engagements signed evenly over ten years, each with one rep; reps differ in the log of the rate of leaving."""
    rng = np.random.default_rng(seed)
    rep = rng.integers(0, reps, n)
    chance = -np.expm1(-churn * np.exp(sd * rng.normal(size=reps)))[rep]
    months = np.datetime64("2015-01") + np.arange(n) * 120 // n
    end = pd.to_datetime((months + rng.geometric(chance)).astype("datetime64[D]")) - pd.Timedelta(days=1)
    frame = pd.DataFrame({"client_id": np.arange(n).astype(str), "end_date": end})
    frame["start_date"] = pd.to_datetime(months.astype("datetime64[D]"))
    frame["end_date"] = frame["end_date"].where(frame["end_date"] <= pd.Timestamp(CUTOFF))
    frame = frame.assign(contract_term_months=1, monthly_ad_spend=1000.0, fee_pct=10.0)
    frame["end_initiator"] = np.where(frame["end_date"].notna(), "client", None)
    spells = build_spells(frame, cutoff=CUTOFF)
    return spells.assign(reps=[((0, f"r{k}"),) for k in rep[spells["client_id"].astype(int)]])


def without(spells: pd.DataFrame, rep: str) -> lifetimes.Course:
    """The course of the clients of all other reps."""
    kept = np.array([spans[0][1] != rep for spans in spells["reps"]])
    return lifetimes.course(spells, NOTHING).where(kept)


def test_S1_weights_leave_out_a_rep_s_own_client_months():
    """Three clients of four months; the second goes from a to b after two of them, the third has nobody."""
    rows = [("x", "2024-01-01", None, 1), ("y", "2024-01-01", None, 1), ("z", "2024-01-01", None, 1)]
    spells = build_spells(clients_of(rows), cutoff=dt.date(2024, 4, 30))
    spells = spells.assign(reps=[((0, "a"),), ((0, "a"), (2, "b")), ((0, ""),)])
    found = lifetimes.course(spells, NOTHING)
    weights = found.weights(0)
    assert (weights @ found.at_risk).tolist() == [[3, 3, 3, 3], [1, 1, 2, 2], [3, 3, 2, 2]]
    assert (weights @ np.array([1.0, 10.0, 100.0])).tolist() == [111, 110, 101]  # of the last month's rep
    assert (weights.at_signing @ np.array([1.0, 10.0, 100.0])).tolist() == [111, 100, 111]
    assert np.asarray(weights).tolist() == [[1, 1, 1], [0, 1, 1], [1, 0, 1]]
    assert weights.sizes.tolist() == [6, 2]
    assert (weights[:, [1, 2]] @ found.at_risk[1:]).tolist() == [[2, 2, 2, 2], [1, 1, 2, 2], [2, 2, 1, 1]]
    assert len(weights[:1]) == 1 and (weights[:1] @ found.at_risk).tolist() == [[3, 3, 3, 3]]


def test_S1_limits_are_the_wider_of_client_and_rep():
    """Leave-outs 1 to 6 about 3.5 have a jackknife error of 3.8188; Student's t with five degrees of freedom."""
    values = np.array([3.5, 3.4, 3.5, 3.6, 1, 2, 3, 4, 5, 6])
    half = stats.t.ppf(0.975, 5) * math.sqrt(5 / 6 * 17.5)
    assert with_limits(values, np.ones(6)) == pytest.approx([3.5, 3.5 - half, 3.5 + half])
    logs = np.log(values[4:])
    half = stats.t.ppf(0.975, 5) * math.sqrt(5 / 6 * ((logs - logs.mean()) ** 2).sum())
    by_rep = [3.5, 3.5 * math.exp(-half), 3.5 * math.exp(half)]
    assert with_limits(values, np.ones(6), "money") == pytest.approx(by_rep)
    assert with_limits(values[:-1], np.ones(5)) == [3.5, 3.4, 3.6]  # five reps do not tell
    assert with_limits(values, np.array([100, 1, 1, 1, 1, 1])) == [3.5, 3.4, 3.6]  # nor six of whom one has nearly all
    share = with_limits(values / 7, np.ones(6), "share")
    assert 0 < share[1] < 0.1 and 0.9 < share[2] < 1


def test_S1_the_curve_without_a_rep_is_that_of_the_others():
    spells = served(240, 0.6, 1)
    found = lifetimes.course(spells, NOTHING)
    stay = lifetimes.survival(found, found.weights(3))
    assert stay.shape[0] == 1 + 3 + REPS
    for k in range(REPS):
        part = without(spells, f"r{k}")
        other = lifetimes.survival(part, part.weights(0))[0]
        assert stay[4 + k] == pytest.approx(other)
    spread = spread_by_rep([follow_up(spells)], lambda counts: counts.mean(24))
    months = stay[:, :24].sum(axis=1)
    value, low, high = with_limits(months, found.reps[1])
    assert [value - low, high - value] == pytest.approx([spread.reach(0.975)] * 2)


def test_S1_money_covers_what_is_planted_where_reps_differ():
    """Thirty agencies of 300 clients: months, worth and plateau. By client alone far fewer of the first two cover."""
    truth = lifetimes.course(served(60_000, 0.6, 1, reps=6_000).drop(columns="reps"), NOTHING)
    planted = quantities(truth, per=300 / 60_000)
    inside = np.zeros((2, len(planted)))
    for seed in range(30):
        spells = served(300, 0.6, 100 + seed)
        for way, rows in enumerate((spells.drop(columns="reps"), spells)):
            limits = quantities(lifetimes.course(rows, NOTHING))
            inside[way] += [low < true[0] < high for true, (_, low, high) in zip(planted, limits, strict=True)]
    assert (inside[1] >= stats.binom.ppf(0.001, 30, 0.95)).all(), inside
    assert (inside[0, :2] < 23).all(), inside


def quantities(found: lifetimes.Course, per: float = 1.0) -> list[list[float]]:
    """Mean months of 24, worth of 24 months, and what today's sign-ups come to, with limits."""
    weights = found.weights(200 if per == 1 else 0)
    stay, paid = lifetimes.survival(found, weights), lifetimes.paid_there(found, weights)
    level = per * plateau.signups(found, weights, CUTOFF) * stay[:, :60].sum(axis=1)
    values = {"months": stay[:, :24].sum(axis=1), "money": lifetimes.worth(stay, paid, 24), "number": level}
    return [found.limits(value, unit) for unit, value in values.items()]
