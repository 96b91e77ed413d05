"""S1: clients of one rep rise and fall together, and intervals allow for it, from six reps on."""

import datetime as dt
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from conftest import clients_of
from retention.claims import term_fees
from retention.claims.ad_spend import per_doubling
from retention.history.follow_up import follow_up
from retention.history.in_charge import last_rep, rep_by
from retention.history.lagged import wider
from retention.history.money import monthly_money
from retention.history.spells import build_spells
from retention.money import bonuses, courses, levers, lifetimes, plateau, retained
from retention.portfolio.healthy import churn, healthy, joiners_and_leavers
from retention.portfolio.margins import mended
from retention.portfolio.tiers import days_to_pay
from retention.service.loyalty import mean_of, share_of
from retention.settings import WhatIfSettings
from retention.stats.hazards import fit_hazard
from retention.stats.intervals import jackknife, with_limits
from retention.stats.outcomes import spread_by_rep
from retention.words import key_of
from simulate_spread import World, agency

CUTOFF = dt.date(2024, 12, 31)
NOTHING = pd.DataFrame(columns=["client_id", "engagement", "month", "fee", "margin"])
REPS = 10


def served(n: int, sd: float, seed: int, reps: int = REPS, churn: float = 1 / 12) -> pd.DataFrame:
    """Engagements signed evenly over ten years, each with one rep; reps differ in the log of the
    rate of leaving.
    """
    rng = np.random.default_rng(seed)
    rep = rng.integers(0, reps, n)
    chance = -np.expm1(-churn * np.exp(sd * rng.normal(size=reps)))[rep]
    months = np.datetime64("2015-01") + np.arange(n) * 120 // n
    end = pd.to_datetime((months + rng.geometric(chance)).astype("datetime64[D]")) - pd.Timedelta(
        days=1
    )
    frame = pd.DataFrame({"client_id": np.arange(n).astype(str), "end_date": end})
    frame["start_date"] = pd.to_datetime(months.astype("datetime64[D]"))
    frame["end_date"] = frame["end_date"].where(frame["end_date"] <= pd.Timestamp(CUTOFF))
    frame = frame.assign(contract_term_months=1, monthly_ad_spend=1000.0, fee_pct=10.0)
    frame["end_initiator"] = np.where(frame["end_date"].notna(), "client", None)
    spells = build_spells(frame, cutoff=CUTOFF)
    return spells.assign(reps=[((0, f"r{k}"),) for k in rep[spells["client_id"].astype(int)]])


def without(spells: pd.DataFrame, rep: str) -> courses.Course:
    """The course of the clients of all other reps."""
    kept = np.array([spans[0][1] != rep for spans in spells["reps"]])
    return courses.course(spells, NOTHING).where(kept)


def test_S1_weights_leave_out_a_rep_s_own_client_months():
    """Three clients of four months; the second goes from a to b after two of them, the third has
    nobody.
    """
    rows = [
        ("x", "2024-01-01", None, 1),
        ("y", "2024-01-01", None, 1),
        ("z", "2024-01-01", None, 1),
    ]
    spells = build_spells(clients_of(rows), cutoff=dt.date(2024, 4, 30))
    spells = spells.assign(reps=[((0, "a"),), ((0, "a"), (2, "b")), ((0, ""),)])
    found = courses.course(spells, NOTHING)
    weights = found.weights(0)
    assert (weights @ found.at_risk).tolist() == [[3, 3, 3, 3], [1, 1, 2, 2], [3, 3, 2, 2]]
    assert (weights @ np.array([1.0, 10.0, 100.0])).tolist() == [
        111,
        110,
        101,
    ]  # of the last month's rep
    assert (weights.at_signing @ np.array([1.0, 10.0, 100.0])).tolist() == [111, 100, 111]
    assert np.asarray(weights).tolist() == [[1, 1, 1], [0, 1, 1], [1, 0, 1]]
    assert weights.sizes.tolist() == [6, 2]
    assert (weights[:, [1, 2]] @ found.at_risk[1:]).tolist() == [
        [2, 2, 2, 2],
        [1, 1, 2, 2],
        [2, 2, 1, 1],
    ]
    assert weights.medians(np.array([3.0, 1.0, 2.0])).tolist() == [2, 1, 2]
    nobody = weights[:, np.zeros(3, dtype=bool)]
    assert (nobody @ np.zeros(0)).tolist() == [0, 0, 0]
    assert len(weights[:1]) == 1 and (weights[:1] @ found.at_risk).tolist() == [[3, 3, 3, 3]]


def test_S1_limits_are_the_wider_of_client_and_rep():
    """Leave-outs 1 to 6 about 3.5 have a jackknife error of 3.8188; Student's t with five degrees
    of freedom.
    """
    values = np.array([3.5, 3.4, 3.5, 3.6, 1, 2, 3, 4, 5, 6])
    half = stats.t.ppf(0.975, 5) * math.sqrt(5 / 6 * 17.5)
    assert with_limits(values, np.ones(6)) == pytest.approx([3.5, 0, 3.5 + half])
    below = with_limits(values - 10, np.ones(6))
    assert below == pytest.approx([-6.5, -6.5 - half, -6.5 + half])
    logs = np.log(values[4:])
    half = stats.t.ppf(0.975, 5) * math.sqrt(5 / 6 * ((logs - logs.mean()) ** 2).sum())
    by_rep = [3.5, 3.5 * math.exp(-half), 3.5 * math.exp(half)]
    assert with_limits(values, np.ones(6), "money") == pytest.approx(by_rep)
    assert with_limits(values[:-1], np.ones(5)) == [3.5, 3.4, 3.6]  # five reps do not tell
    assert with_limits(values, np.array([100, 1, 1, 1, 1, 1])) == [
        3.5,
        3.4,
        3.6,
    ]  # nor six of whom one has nearly all
    assert with_limits(values, np.ones(6), "months")[1] == 0  # no months below none
    zero = np.append(values[:-1] / 7, 0.0)  # one leave-out of nothing: no logit
    assert with_limits(zero, np.ones(6), "share")[1:] == [0, 1]
    share = with_limits(values / 7, np.ones(6), "share")
    assert 0 < share[1] < 0.1 and 0.9 < share[2] < 1


def test_S1_the_curve_without_a_rep_is_that_of_the_others():
    spells = served(240, 0.6, 1)
    found = courses.course(spells, NOTHING)
    stay = courses.survival(found, found.weights(3))
    assert stay.shape[0] == 1 + 3 + REPS
    for k in range(REPS):
        part = without(spells, f"r{k}")
        other = courses.survival(part, part.weights(0))[0]
        assert stay[4 + k] == pytest.approx(other)
    spread = spread_by_rep([follow_up(spells)], lambda counts: counts.mean(24))
    months = stay[:, :24].sum(axis=1)
    value, low, high = with_limits(months, found.reps[1])
    assert [value - low, high - value] == pytest.approx([spread.reach(0.975)] * 2)


@pytest.mark.slow
def test_S1_money_covers_what_is_planted_where_reps_differ():
    """Thirty agencies of 300 clients: months, worth and plateau. By client alone far fewer of the
    first two cover.
    """
    truth = courses.course(served(60_000, 0.6, 1, reps=6_000).drop(columns="reps"), NOTHING)
    planted = quantities(truth, per=300 / 60_000)
    inside = np.zeros((2, len(planted)))
    for seed in range(30):
        spells = served(300, 0.6, 100 + seed)
        for way, rows in enumerate((spells.drop(columns="reps"), spells)):
            limits = quantities(courses.course(rows, NOTHING))
            inside[way] += [
                low < true[0] < high for true, (_, low, high) in zip(planted, limits, strict=True)
            ]
    assert (inside[1] >= stats.binom.ppf(0.001, 30, 0.95)).all(), inside
    assert (inside[0, :2] < 23).all(), inside


def quantities(found: courses.Course, per: float = 1.0) -> list[list[float]]:
    """Mean months of 24, worth of 24 months, and what today's sign-ups come to, with limits."""
    weights = found.weights(200 if per == 1 else 0)
    stay, paid = courses.survival(found, weights), courses.paid_there(found, weights)
    level = per * plateau.signups(found, weights, CUTOFF) * stay[:, :60].sum(axis=1)
    values = {
        "months": stay[:, :24].sum(axis=1),
        "money": courses.worth(stay, paid, 24),
        "number": level,
    }
    return [found.limits(value, unit) for unit, value in values.items()]


def logit_limits(share: float, without: np.ndarray) -> list[float]:
    """A share with Student's limits on the logit scale, by hand."""
    logits = np.log(without / (1 - without))
    half = stats.t.ppf(0.975, len(without) - 1) * float(jackknife(logits))
    ends = math.log(share / (1 - share)) + np.array([-half, half])
    return [share, *(1 / (1 + np.exp(-ends)))]


def test_S1_what_is_retained_is_by_the_rep_in_charge():
    """Six reps of four clients; of two reps' clients all but one left within the year, of the
    others' nobody.
    """
    rows = [
        (f"c{k:02}", "2022-01-01", "2024-06-30" if k in (0, 1, 2, 4, 5, 6) else None, 1)
        for k in range(24)
    ]
    spells = build_spells(clients_of(rows), cutoff=CUTOFF)
    spells = spells.assign(reps=[((0, "first"), (24, f"r{k // 4}")) for k in range(24)])
    assert rep_by(spells, pd.Timestamp("2023-12-31")).tolist() == ["first"] * 24
    assert rep_by(spells).tolist() == [f"r{k // 4}" for k in range(24)]
    assert last_rep(spells, pd.Index(["c05", "nobody"])).tolist() == ["r1", ""]
    row = retained.retained(spells, monthly_money(spells, {}), CUTOFF).rows[0]
    by_hand = logit_limits(18 / 24, np.array([17, 17, 14, 14, 14, 14]) / 20)
    assert [row.estimate, row.low, row.high] == pytest.approx(by_hand)


@pytest.mark.slow
def test_S1_levers_and_plateau_are_no_surer_with_reps_than_without():
    spells = agency(World(sd=0.6), 1)
    told, who, cutoff = WhatIfSettings(), bonuses.Sellers(5, 40.0, 0.1, 4.0), dt.date(2025, 12, 31)
    tables = []
    for rows in (spells, spells.drop(columns="reps")):
        found = courses.course(rows, NOTHING)
        ahead, moved = (
            plateau.outlook(found, cutoff, 100),
            levers.levers(found, found, who, told, cutoff),
        )
        parts = (
            plateau.plateau_table(ahead),
            levers.lever_table(moved),
            lifetimes.value_by_segment(found),
        )
        parts += (
            bonuses.seller_rule(ahead, ahead, who)[0],
            bonuses.longevity_bonus(found, found, told),
        )
        parts += (lifetimes.bands(found), lifetimes.shortcut(found)[0], per_doubling(rows, {}))
        tables.append([row for part in parts for row in part.rows])
    assert len(tables[0]) == len(tables[1]) > 40
    more = 0
    for row, alone in zip(*tables, strict=True):
        assert row.estimate == pytest.approx(alone.estimate, nan_ok=True)
        if math.isfinite(alone.high):
            slack = 1e-9 * abs(alone.high)
            assert row.low <= alone.low + slack and row.high >= alone.high - slack, row.name
            more += row.high - row.low > 1.05 * (alone.high - alone.low)
    assert more > 15


def test_S1_how_many_sign_is_no_luck_of_the_reps():
    """One rep has half of all clients, and all reps are alike: the plateau is as sure as by
    client.
    """
    spells = served(400, 0.0, 3)
    half = [((0, "r0"),) if k % 2 else spans for k, spans in enumerate(spells["reps"])]
    found = courses.course(spells.assign(reps=half), NOTHING)
    ahead = plateau.outlook(found, CUTOFF, 100)
    assert np.ptp(ahead.signed[-REPS:]) == 0 and ahead.book[-REPS:, 0] == pytest.approx(
        ahead.book[0, 0]
    )


def test_S1_the_break_even_of_a_lower_fee_is_by_rep_too():
    spells = agency(World(sd=0.6), 2)
    both, alone = (
        term_fees.break_even(spells).rows,
        term_fees.break_even(spells.drop(columns="reps")).rows,
    )
    widths = [[row.high - row.low for row in rows if row.unit == "ratio"] for rows in (both, alone)]
    assert (
        all(w >= a - 1e-9 for w, a in zip(*widths, strict=True)) and max(np.divide(*widths)) > 1.2
    )
    for row, other in zip(both, alone, strict=True):
        if row.unit == "share":  # less sure of it, on the same side
            assert abs(row.estimate - 0.5) <= abs(other.estimate - 0.5) + 1e-9


def year_of(margins: np.ndarray, reps: np.ndarray) -> pd.DataFrame:
    """Engagements that ended within the year, by the client's choice."""
    about = {
        "client_id": np.arange(len(reps)).astype(str),
        "rep": reps,
        "kind": "client",
        "at_start": True,
    }
    return pd.DataFrame(about).assign(
        margin=margins, fee=1.0, fee_then=1.0, margin_then=margins, content=np.nan
    )


def test_S1_healthy_churn_by_hand():
    """Six reps with ten ends each, of which 1, 9, 1, 9, 1 and 9 cost more than they paid."""
    reps = np.repeat([f"r{k}" for k in range(6)], 10)
    under = np.concatenate([np.arange(10) < k for k in (1, 9, 1, 9, 1, 9)])
    year = year_of(np.where(under, -1.0, 1.0), reps)
    row = healthy(year).rows[0]
    assert [row.estimate, row.low, row.high] == pytest.approx(
        logit_limits(0.5, (30 - np.array([1, 9, 1, 9, 1, 9])) / 50)
    )
    alone = healthy(year.drop(columns="rep")).rows[0]
    assert row.low < alone.low < alone.high < row.high
    assert churn(year).rows[0].estimate == 1
    both = joiners_and_leavers(pd.concat([year, year.assign(at_start=False, kind=None)])).rows
    assert [r.estimate for r in both if r.name == "margin"] == pytest.approx([0, 0, 0])


@pytest.mark.long
@pytest.mark.slow
def test_S1_healthy_churn_covers_where_reps_differ():
    """Two hundred years of a hundred ends; the share that is healthy differs by rep."""
    inside = np.zeros(2)
    for seed in range(200):
        rng = np.random.default_rng(seed)
        rep = rng.integers(0, REPS, 100)
        chance = 1 / (1 + np.exp(-rng.normal(size=REPS)))  # half of all, in the mean
        margins = np.where(rng.random(100) < chance[rep], -1.0, 1.0)
        for way, reps in enumerate((None, [f"r{k}" for k in rep])):
            year = (
                year_of(margins, np.array(reps))
                if reps
                else year_of(margins, rep.astype(str)).drop(columns="rep")
            )
            row = healthy(year).rows[0]
            inside[way] += row.low < 0.5 < row.high
    assert inside[1] >= stats.binom.ppf(0.001, 200, 0.95) and inside[0] < 165, inside


def test_S1_an_effect_that_is_the_reps_own_is_not_found_by_client_alone():
    """A rep's own trait means nothing; rates differ by rep. Two hundred data sets of eight reps."""
    found = np.zeros(2)
    z = stats.norm.ppf(0.975)
    for seed in range(200):
        rng = np.random.default_rng(seed)
        rep = rng.integers(0, 8, 400)
        trait, pull = rng.normal(size=(2, 8))
        left = (rng.random(400) < -np.expm1(-0.3 * np.exp(0.5 * pull[rep]))).astype(int)
        rows = pd.DataFrame({"left": left, "rep": [f"r{k}" for k in rep]})
        fit = fit_hazard(left, pd.DataFrame({"x": trait[rep]}), np.ones((400, 1)), np.arange(400))
        for way, used in enumerate((rows.assign(rep=""), rows)):
            theta, se = wider(fit, {"x": 1.0}, used)
            found[way] += abs(theta) > z * se
    assert found[1] <= stats.binom.ppf(0.999, 200, 0.05) and found[0] > 40, found


def test_S1_the_error_of_a_lagged_effect_is_the_wider_and_needs_six_reps():
    rng = np.random.default_rng(5)
    rep, x = rng.integers(0, 6, 300), rng.normal(size=300)
    left = (rng.random(300) < 0.3).astype(int)
    fit = fit_hazard(left, pd.DataFrame({"x": x}), np.ones((300, 1)), np.arange(300) // 2)
    rows = pd.DataFrame({"left": left, "rep": [f"r{k}" for k in rep]})
    z, by_client = stats.norm.ppf(0.975), fit.by_client({"x": 1.0}, [left.sum()]).reach(0.975)
    by_rep = fit.by_rep({"x": 1.0}, rows["rep"].to_numpy(object)).reach(0.975)
    assert wider(fit, {"x": 1.0}, rows) == pytest.approx(
        (fit.coefficient("x"), max(by_client, by_rep) / z)
    )
    five = rows.assign(rep=rows["rep"].replace("r5", "r4"))
    assert wider(fit, {"x": 1.0}, five)[1] == pytest.approx(by_client / z)


def test_S1_shares_and_means_of_the_service_page_are_by_rep_too():
    reps = np.repeat([f"r{k}" for k in range(6)], 10)
    counted = np.concatenate([np.arange(10) < k for k in (1, 9, 1, 9, 1, 9)])
    row = share_of("C4", "recovered", "all", counted, reps)
    by_hand = logit_limits(0.5, (30 - np.array([1, 9, 1, 9, 1, 9])) / 50)
    assert [row.estimate, row.low, row.high] == pytest.approx(
        by_hand, rel=0.03
    )  # by the delta method
    mean = mean_of("C9", "margin", "all", pd.Series(counted.astype(float)), "share", reps)
    half = stats.t.ppf(0.975, 5) * float(jackknife((30 - np.array([1, 9, 1, 9, 1, 9])) / 50))
    assert [mean.low, mean.high] == pytest.approx([0.5 - half, 0.5 + half])


def test_S1_remedies_and_invoices_are_by_rep_too():
    reps = np.repeat([f"r{k}" for k in range(6)], 10)
    mends = np.concatenate([np.arange(10) < k for k in (1, 9, 1, 9, 1, 9)])
    names = dict.fromkeys(("yearly_raise", "people", "changes", "discount"), 0.0)
    found = pd.DataFrame({**names, "shortfall": 1.0, "recovered": mends.astype(float), "rep": reps})
    rows = {
        key_of(row.group): row
        for row in mended(found).rows
        if key_of(row.name) == "portfolio.remedy.all"
    }
    by_hand = logit_limits(0.5, (30 - np.array([1, 9, 1, 9, 1, 9])) / 50)
    told = rows["portfolio.recovered.mended"]
    assert [told.estimate, told.low, told.high] == pytest.approx(by_hand)
    clients = [f"c{k:02}" for k in range(60)]
    spells = build_spells(clients_of([(c, "2024-01-01", None, 1) for c in clients]), cutoff=CUTOFF)
    spells = spells.assign(reps=[((0, rep),) for rep in reps])
    about = {
        "client_id": clients,
        "issued_on": pd.Timestamp("2024-06-01"),
        "amount": 1.0,
        "open": 0.0,
    }
    bills = pd.DataFrame(about).assign(days=np.where(mends, 10, 80), paid=True)
    told = days_to_pay(bills, pd.Series(dtype=str), pd.Timestamp(CUTOFF), spells).rows[0]
    assert [told.estimate, told.low, told.high] == pytest.approx(by_hand)


def test_S1_page_00_says_whether_intervals_allow_for_reps(sample_study):
    reps = len(sample_study.reps_known)
    assert (
        sample_study.about_intervals().text == f"Intervals allow for reps who differ ({reps} reps)."
    )
    spells = sample_study.spells
    few = {
        "who serves which client is not on record": spells.drop(columns="reps"),
        "1 rep is on record, at least 6 are needed": spells.assign(
            reps=[((0, "ann"),)] * len(spells)
        ),
        "most clients of the 6 reps on record are those of a few": spells.assign(
            reps=[((0, f"r{min(k, 5)}"),) for k in range(len(spells))]
        ),
    }
    for why, rows in few.items():
        study = replace(sample_study)
        study.__dict__["spells"] = rows
        assert study.about_intervals().text.startswith(
            f"Intervals take clients to be independent: {why}."
        )
