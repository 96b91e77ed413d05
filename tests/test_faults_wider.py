"""S1 and its brothers: figures and finds that took clients to be independent, where reps differ."""

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

from retention.claims import promises
from retention.claims.size_groups import rates_with_limits
from retention.claims.term_curves import hazard_by_month
from retention.contrast import Contrast, Spread
from retention.history.lagged import lagged_contrast
from retention.portfolio import effects
from retention.score import leads
from retention.service import contact
from retention.stats.curves import hazards
from retention.stats.intervals import difference_by_rep, jackknife, wilson
from retention.stats.rates import rate_limits
from retention.stats.score_test import score_test
from simulate_spread import World, agency
from test_intervals import LEFT, REPS, SIX, STOP, of_reps
from test_people import promised
from test_risk import clients_worth


def lagged(n: int, reps: int, seed: int) -> pd.DataFrame:
    """Rows of a regression in which a rep's own trait means nothing and rates differ by rep."""
    rng = np.random.default_rng(seed)
    rep = rng.integers(0, reps, n)
    trait, pull = rng.normal(size=(2, reps))
    left = (rng.random(n) < -np.expm1(-0.3 * np.exp(0.6 * pull[rep]))).astype(int)
    names = np.arange(n).astype(str)
    rows = pd.DataFrame({"client_id": names, "rep": [f"r{k}" for k in rep], "left": left})
    about = {"term_months": 1, "monthly_ad_spend": 1000.0, "from_month": 3, "to_month": 4}
    return rows.assign(**about, factor=trait[rep], weight=1.0)


def factors(seed: int) -> list[Contrast]:
    """Six factors that are the reps' own and mean nothing."""
    rows = lagged(600, 10, seed)
    found = []
    for k in range(6):
        trait = np.random.default_rng([seed, k]).normal(size=10)
        own = trait[rows["rep"].str[1:].astype(int)]
        found.append(
            lagged_contrast(rows.assign(factor=own), (), {"factor": 1.0}, "", plain=("factor",))
        )
    return found


def test_S1_an_interval_of_any_level_has_student_s_tails():
    """Six reps: at 99 % an interval that was made wide enough for 95 % alone is too narrow."""
    found = lagged_contrast(lagged(600, 6, 3), (), {"factor": 1.0}, "", plain=("factor",))
    z = float(stats.norm.ppf(0.995))
    assert found.by_rep.df < 5 and found.by_rep.reach(0.975) > 1.2 * found.se
    assert found.reach(z) == pytest.approx(stats.t.ppf(0.995, found.by_rep.df) * found.by_rep.se)
    inflated = found.reach() / stats.norm.ppf(0.975) * z
    assert found.reach(z) > 1.1 * inflated


def test_S1_what_stands_out_in_service_allows_for_reps():
    """Forty agencies of ten reps, six factors each: by client alone most find something."""
    wider, alone = 0, 0
    for seed in range(40):
        rows = factors(seed)
        wider += contact._stands_out(rows).any()
        by_client = [Contrast("", row.theta, row.se, 600, {}, df=row.df) for row in rows]
        alone += contact._stands_out(by_client).any()
    assert wider <= stats.binom.ppf(0.999, 40, contact.FALSE_SHARE) and alone > 20, (wider, alone)


def test_S1_how_often_chance_makes_a_difference_is_the_larger_of_client_and_rep():
    both = Contrast("", 2.0, 1.0, 50, {}, df=30, by_rep=Spread(0.5, 5))
    assert both.chance == pytest.approx(2 * stats.t.sf(2, 30))
    assert Contrast("", 2.0, 1.0, 50, {}, by_rep=Spread(0.9, 5)).chance == pytest.approx(
        2 * stats.t.sf(2 / 0.9, 5)
    )
    assert Contrast("", 2.0, 0.0, 50, {}).chance == 1


def test_S1_what_follows_the_rep_does_not_set_clients_apart():
    """A9's test: each rep has sources of its own, and reps differ in how fast clients leave."""
    found = np.zeros(2)
    for seed in range(150):
        rng = np.random.default_rng(seed)
        rep, pull = rng.integers(0, 10, 600), 0.6 * rng.normal(size=10)
        usual, kept = rng.integers(0, 3, 10), rng.random(600) < 0.7
        source = np.where(kept, usual[rep], rng.integers(0, 3, 600))
        left = (rng.random(600) < -np.expm1(-0.3 * np.exp(pull[rep]))).astype(int)
        parts = np.column_stack([source == k for k in (1, 2)]).astype(float)
        names = np.array([f"r{k}" for k in rep], dtype=object)
        for way, reps in enumerate((None, names)):
            found[way] += score_test(left, np.ones((600, 1)), np.arange(600), parts, reps) < 0.05
    assert found[1] <= stats.binom.ppf(0.999, 150, 0.05) and found[0] > 40, found


def test_S1_a_test_of_one_part_by_rep_is_student_s():
    """With one part the F test is the square of a t test of the reps' own sums."""
    rng = np.random.default_rng(4)
    rep, part = np.repeat(np.arange(8), 50), rng.random(400) < 0.5
    left = (rng.random(400) < 0.2).astype(int)
    names = np.array([f"r{k}" for k in rep], dtype=object)
    told = part[:, None].astype(float), names
    found = score_test(left, np.ones((400, 1)), np.arange(400), *told)
    excess = (left - left.mean()) * (part - part.mean())
    sums = np.bincount(rep, excess)
    t = sums.sum() / math.sqrt(8 * sums.var(ddof=1))
    by_rep = 2 * stats.t.sf(abs(t), 7)
    alone = score_test(left, np.ones((400, 1)), np.arange(400), told[0])
    assert found == pytest.approx(max(by_rep, alone), rel=0.02)
    five = np.array([f"r{k % 5}" for k in rep], dtype=object)  # five reps do not tell
    assert score_test(left, np.ones((400, 1)), np.arange(400), told[0], five) == alone


def test_S1_rates_and_shares_by_month_are_by_rep_by_hand():
    outcome = of_reps(list(STOP), list(LEFT.astype(int)), list(REPS))
    without = np.array([LEFT[r != REPS].sum() / STOP[r != REPS].sum() for r in SIX])
    months = np.array([STOP[r == REPS].sum() for r in SIX])
    df = months.sum() ** 2 / (months**2).sum() - 1
    factor = math.exp(stats.t.ppf(0.975, df) * float(jackknife(np.log(without))))
    rate = LEFT.sum() / STOP.sum()
    low, high = rate_limits(outcome)
    assert low == pytest.approx(
        min(stats.chi2.ppf(0.025, 2 * LEFT.sum()) / 2 / STOP.sum(), rate / factor)
    )
    assert high == pytest.approx(
        max(stats.chi2.ppf(0.975, 2 * LEFT.sum() + 2) / 2 / STOP.sum(), rate * factor)
    )
    third = hazards(outcome, 4).set_index("month").loc[3]
    there, gone = STOP >= 3, LEFT & (STOP == 3)
    paces = np.array([gone[r != REPS].sum() / there[r != REPS].sum() for r in SIX])
    share = gone.sum() / there.sum()
    half = stats.t.ppf(0.975, df) * float(jackknife(paces)) / share / (1 - share)
    ends = special.expit(special.logit(share) + np.array([-half, half]))
    exact = wilson(int(gone.sum()), int(there.sum()))
    assert [third["low"], third["high"]] == pytest.approx(
        [min(exact[0], ends[0]), max(exact[1], ends[1])]
    )


def test_S1_charts_of_rates_are_no_surer_with_reps_than_without():
    spells = agency(World(sd=0.6), 3)
    alone = spells.drop(columns="reps")
    for of in (rates_with_limits, hazard_by_month):
        both, one = of(spells), of(alone)
        assert (both["low"] <= one["low"] + 1e-12).all() and (
            both["high"] >= one["high"] - 1e-12
        ).all()
        wider = (both["high"] - both["low"]) / (one["high"] - one["low"])
        assert wider.max() > 1.2


def test_S1_the_least_spend_of_a_lead_is_by_rep_too():
    """What a client leaves in its first year depends on its rep: the threshold is no surer than ten
    reps allow.
    """
    found = clients_worth(600, crossing=6000)
    rng = np.random.default_rng(2)
    rep = rng.integers(0, 10, 600)
    worth = found.clients["worth"] + 6000 * rng.normal(size=10)[rep]
    clients = found.clients.assign(worth=worth, good=worth > 0)
    alone = leads.tested(leads.Worth(clients, "fees")).spend
    spans = [((0, f"r{k}"),) for k in rep]
    both = leads.tested(leads.Worth(clients.assign(reps=spans), "fees")).spend
    assert both[0] == alone[0] and both[1] <= alone[1] and both[2] >= alone[2]
    assert both[2] - both[1] > 1.3 * (alone[2] - alone[1])
    few = clients.assign(reps=[((0, f"r{k % 5}"),) for k in rep])
    assert leads.tested(leads.Worth(few, "fees")).spend == alone


def test_S1_an_effect_of_a_sign_has_the_chance_of_its_own_interval():
    """Welch's t with few clients, and Student's t by rep; BH over effects counts these chances."""
    rng = np.random.default_rng(6)
    names = [f"c{k:02}" for k in range(24)]
    values = pd.Series(rng.normal(size=24) * np.where(np.arange(24) < 12, 1, 3), names)
    marks = pd.Series(np.arange(24) < 12, names)
    of = (effects.MARGIN, values, marks, "money")
    sign = next(iter(effects.SIGNS))
    nobody = SimpleNamespace(last_rep=lambda clients: None)
    (row,) = effects._difference(sign, *of, nobody)
    test = stats.ttest_ind(values[marks], values[~marks], equal_var=False)
    assert row.chance == pytest.approx(test.pvalue)
    assert [row.low, row.high] == pytest.approx(list(test.confidence_interval()))
    assert "chance" not in row.payload()
    reps = np.array([f"r{k % 6}" for k in range(24)], dtype=object)
    served = SimpleNamespace(last_rep=lambda clients: reps)
    (by_rep,) = effects._difference(sign, *of, served)
    spread = difference_by_rep(values.to_numpy(), marks, reps)
    t = 2 * stats.t.sf(abs(row.estimate) / spread.se, spread.df)
    assert by_rep.chance == pytest.approx(max(test.pvalue, t))


def test_S1_a_difference_by_rep_by_hand():
    rng = np.random.default_rng(8)
    values, marks, reps = rng.normal(size=60), np.arange(60) % 3 == 0, np.repeat(SIX, 10)
    kept = [reps != name for name in SIX]
    gaps = np.array([values[k & marks].mean() - values[k & ~marks].mean() for k in kept])
    found = difference_by_rep(values, marks, reps)
    assert found.se == pytest.approx(float(jackknife(gaps))) and found.df == pytest.approx(5)
    assert difference_by_rep(values, marks, None).se == 0


def test_S1_a_seller_whose_clients_one_rep_serves_badly_is_not_named():
    """Seller b's clients are served by two of eight reps, who deliver less: the seller's promise is
    no larger than the others'.
    """
    rng = np.random.default_rng(3)
    low = {"r0": 0.35, "r1": 0.15}
    names = [f"r{k}" for k in range(8)]
    gaps, reps = {}, []
    for who in "abcd":
        mine = ["r0", "r1"] * 12 if who == "b" else list(rng.choice(names[1:], 24))
        gaps[who] = [low.get(rep, 0.0) + 0.1 * rng.normal() for rep in mine]
        reps += mine
    panel = promised(gaps)
    nobody = pd.DataFrame({"few": []})
    assert promises.beyond_luck(panel, nobody).items
    panel.rep = np.array(reps, dtype=object)[:, None]
    assert not promises.beyond_luck(panel, nobody).items
