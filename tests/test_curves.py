"""Curves counted by hand on three to five clients, against lifelines and statsmodels, and their
properties.
"""

import math
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retention.stats.curves import (
    after,
    cumulative_incidence,
    kaplan_meier,
    known_through,
    median,
    restricted_mean,
)
from retention.stats.outcomes import Outcome, event_table
from retention.stats.rates import logrank, rate_ratio

# Five clients: gone in months 1, 2, 2; two stay, followed for 3 and 4 months.
FIVE = Outcome.of([1, 2, 2, 3, 4], [1, 1, 2, 0, 0])


def test_kaplan_meier_by_hand():
    curve = kaplan_meier(FIVE)
    assert curve["survival"].tolist() == pytest.approx([1, 4 / 5, 4 / 5 * 2 / 4])
    assert curve["at_risk"].tolist() == [5, 5, 4]
    assert after(curve, 1.9)["survival"] == pytest.approx(0.8)
    variance = 0.4**2 * (1 / (5 * 4) + 2 / (4 * 2))
    assert after(curve, 12)["se"] == pytest.approx(math.sqrt(variance))


def test_late_entry_by_hand():
    # The second client is first seen at tenure 2, so it is not at risk when the first leaves in
    # month 2.
    late = Outcome.of([2, 3, 5], [1, 1, 0], [0, 2, 0])
    assert event_table(late)["at_risk"].tolist() == [2, 2]
    assert kaplan_meier(late)["survival"].tolist() == pytest.approx([1, 1 / 2, 1 / 4])


def test_who_is_never_at_risk_never_counts():
    with_ghost = Outcome.of([2, 3, 5, 4], [1, 1, 0, 1], [0, 0, 0, 4])
    without = Outcome.of([2, 3, 5], [1, 1, 0])
    pd.testing.assert_frame_equal(kaplan_meier(with_ghost), kaplan_meier(without))


def test_competing_ends_by_hand():
    table = cumulative_incidence(FIVE, [1, 2, 12])
    shares = {(row.kind, row.month): row.share for row in table.itertuples()}
    assert shares[1, 1] == pytest.approx(1 / 5)
    assert shares[1, 12] == pytest.approx(1 / 5 + 4 / 5 * 1 / 4)
    assert shares[2, 12] == pytest.approx(4 / 5 * 1 / 4)


def test_one_minus_kaplan_meier_overstates_the_chance_of_leaving_by_choice():
    three = Outcome.of(
        [1, 2, 3], [2, 1, 0]
    )  # the first is let go: 1 in 3 leaves by choice, not 1 in 2
    table = cumulative_incidence(three, [3])
    assert table.loc[table["kind"] == 1, "share"].item() == pytest.approx(1 / 3)
    assert 1 - after(kaplan_meier(three.only([1])), 3)["survival"] == pytest.approx(1 / 2)


def test_restricted_mean_by_hand():
    mean, se = restricted_mean(FIVE, 4)
    assert mean == pytest.approx(1 + 0.8 + 0.4 * 2)
    variance = (0.8 + 0.8) ** 2 * 1 / (5 * 4) + 0.8**2 * 2 / (4 * 2)
    assert se == pytest.approx(math.sqrt(variance))


def test_known_through():
    assert known_through(Outcome.of([5, 3], [0, 1]), 10) == 5
    assert known_through(Outcome.of([2, 2], [1, 1]), 10) == math.inf  # all gone: 0 for ever after
    late = Outcome.of([6] * 12 + [30] * 12, [0] * 24, [0] * 12 + [24] * 12)
    assert known_through(late, 10) == 6
    assert known_through(Outcome.of([6] * 9 + [30], [0] * 10, [0] * 9 + [24]), 10) == 0
    thinning = Outcome.of([*range(1, 13), 30], [1] * 12 + [0], [0] * 12 + [20])
    assert known_through(thinning, 10) == 12  # ten are needed where a curve starts, not for ever


def test_shares_of_none_and_all_have_no_interval():
    table = cumulative_incidence(Outcome.of([1, 1, 1, 2], [1, 1, 1, 2]), [1, 2])
    assert (
        table.loc[(table["kind"] == 2) & (table["month"] == 1), ["low", "high"]]
        .isna()
        .all(axis=None)
    )
    everybody = cumulative_incidence(Outcome.of([1, 1], [1, 1]), [1])
    assert everybody["share"].item() == 1 and everybody[["low", "high"]].isna().all(axis=None)


def test_a_group_never_at_risk_costs_no_degree_of_freedom():
    whole = Outcome.of([1, 2, 3, 4, 5], [1, 1, 1, 1, 0], [0, 0, 0, 0, 4])
    assert logrank(whole, list("aabbc")).df == 1


def test_median_edges():
    assert (
        median(kaplan_meier(Outcome.of([1, 2, 3, 4], [1, 1, 1, 1])))[0] == 2.5
    )  # rests on one half from 2 to 3
    assert median(kaplan_meier(Outcome.of([5, 5, 5], [0, 0, 0])))[0] == math.inf
    assert median(kaplan_meier(Outcome.of([1, 2, 3], [1, 1, 1])))[0] == 2


def test_nobody_left_gives_a_flat_curve():
    curve = kaplan_meier(Outcome.of([3, 4], [0, 0]))
    assert curve["survival"].tolist() == [1.0] and curve[["low", "high"]].isna().all(axis=None)
    assert restricted_mean(Outcome.of([13, 14], [0, 0]), 12) == (12.0, 0.0)


def test_bad_outcomes_are_refused_with_every_reason():
    with pytest.raises(ValueError, match="kind has shape .* stop has missing values"):
        Outcome.of([1.0, math.nan], [1])
    with pytest.raises(ValueError, match="kind is negative"):
        Outcome.of([1.0], [-1])
    with pytest.raises(ValueError, match="at least two groups"):
        logrank(FIVE, ["a"] * 5)


def test_against_lifelines_and_statsmodels_with_ties_and_strata():
    from lifelines import KaplanMeierFitter
    from lifelines.statistics import multivariate_logrank_test
    from statsmodels.duration.survfunc import survdiff

    rng = np.random.default_rng(3)
    stop, ended = rng.integers(1, 13, 400), rng.integers(0, 2, 400)
    group, strata = rng.integers(0, 3, 400), rng.integers(0, 2, 400)
    whole = Outcome.of(stop, ended)
    other = KaplanMeierFitter().fit(stop, ended).survival_function_["KM_estimate"]
    ours = kaplan_meier(whole)
    assert np.allclose(ours["survival"], other.loc[ours["month"]], rtol=1e-12)
    assert logrank(whole, group).chi2 == pytest.approx(
        multivariate_logrank_test(stop, group, ended).test_statistic, rel=1e-10
    )
    two = group < 2
    chi2, _ = survdiff(stop[two], ended[two], group[two], strata=strata[two])
    assert logrank(whole.where(two), group[two], strata[two]).chi2 == pytest.approx(chi2, rel=1e-10)


def test_what_of_lifelines_is_not_used_and_why():
    """Where these fail after an update of lifelines, curves.py and docs/methods.md (METHODS 8) need
    other words.
    """
    from lifelines import AalenJohansenFitter, KaplanMeierFitter
    from lifelines.utils import restricted_mean_survival_time

    # The second client enters as the first leaves, so one of two leaves; their table says three.
    late = KaplanMeierFitter().fit([2, 3, 5], [1, 1, 0], entry=[0, 2, 0])
    assert late.event_table.loc[2, "at_risk"] == 3
    rng = np.random.default_rng(3)
    stop, kind = rng.integers(1, 13, 200), rng.integers(0, 3, 200)
    ended = (kind > 0).astype(int)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of ties, and of the integral
        fitters = [
            AalenJohansenFitter(seed=seed).fit(stop, kind, event_of_interest=1) for seed in (1, 2)
        ]
        curve = KaplanMeierFitter().fit(stop, ended)
        mean, variance = restricted_mean_survival_time(curve, t=10, return_variance=True)
    first, second = (fitter.cumulative_density_.iloc[-1, 0] for fitter in fitters)
    share = cumulative_incidence(Outcome.of(stop, kind), [12])["share"].iloc[0]
    assert first != second and min(first, second) > share + 0.02
    ours, se = restricted_mean(Outcome.of(stop, ended), 10)
    assert mean == pytest.approx(ours) and math.sqrt(variance) > 10 * se


def test_rate_ratio_edges():
    assert rate_ratio((5, 0), (50, 50)).ratio == math.inf
    assert rate_ratio((0, 5), (50, 50)).low == 0
    whole, swapped = rate_ratio((24, 12), (300, 310)), rate_ratio((12, 24), (310, 300))
    assert whole.low == pytest.approx(1 / swapped.high)


follow_ups = st.lists(
    st.tuples(st.integers(0, 6), st.integers(1, 12), st.integers(0, 3)).map(
        lambda t: (t[0], t[0] + t[1], t[2])
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(follow_ups, st.randoms(use_true_random=False))
def test_row_order_does_not_matter_and_parts_sum_to_the_whole(rows, random):
    shuffled = random.sample(rows, len(rows))
    first, second = (
        Outcome.of(*([row[k] for row in part] for k in (1, 2, 0))) for part in (rows, shuffled)
    )
    pd.testing.assert_frame_equal(kaplan_meier(first), kaplan_meier(second))
    gone = cumulative_incidence(first, [30])["share"].sum()
    assert gone == pytest.approx(1 - kaplan_meier(first)["survival"].iloc[-1])
    table = event_table(first)
    assert (table["at_risk"] >= table["ended"]).all()


@settings(max_examples=40, deadline=None)
@given(follow_ups)
def test_the_standard_error_is_that_of_leaving_each_engagement_out(rows):
    """The infinitesimal jackknife is close to the ordinary jackknife in large copies of any small
    data set.
    """
    stop, kind, entry = (np.tile([row[k] for row in rows], 30) for k in (1, 2, 0))
    if (kind == 1).sum() < 60 or len(rows) < 6:
        return
    whole = Outcome.of(stop, kind, entry)
    table = cumulative_incidence(whole, [12])
    found = table[table["kind"] == 1].iloc[0]
    left_out = []
    for i in range(
        len(rows)
    ):  # the copies are alike, so leaving out one of each kind of row tells all
        keep = np.arange(len(stop)) != i
        part = cumulative_incidence(whole.where(keep), [12])
        left_out.append(part.loc[part["kind"] == 1, "share"].item())
    jackknife = math.sqrt(30 * sum((value - found["share"]) ** 2 for value in left_out))
    assert found["se"] == pytest.approx(jackknife, rel=0.1, abs=1e-3)


@pytest.mark.parametrize("months", [True, False], ids=["whole months", "any time"])
def test_counting_first_changes_no_number(months):
    """Rows and the counted table tell the same; so does a table of half the rows, each counted
    twice.
    """
    rng = np.random.default_rng(3)
    stop, entry = rng.integers(1, 30, 400) * 1.0, rng.integers(0, 12, 400) * 1.0
    if not months:
        stop, entry = stop + rng.random(400).round(2), entry + rng.random(400).round(2)
    rows = Outcome.of(stop, rng.integers(0, 3, 400), entry)
    counted = rows.counted
    assert counted.times.sum() == 400 and len(counted.stop) < 400 + months
    assert (counted.seen, counted.ended) == (
        rows.seen,
        rows.ended,
    ) and counted.months == pytest.approx(rows.months)
    pd.testing.assert_frame_equal(kaplan_meier(counted), kaplan_meier(rows))
    pd.testing.assert_frame_equal(
        cumulative_incidence(counted, [6, 12]), cumulative_incidence(rows, [6, 12])
    )
    twice = Outcome.of(*(np.repeat(a, 2) for a in (rows.stop, rows.kind, rows.entry)))
    doubled = Outcome(rows.stop, rows.kind, rows.entry, np.full(400, 2.0))
    pd.testing.assert_frame_equal(kaplan_meier(twice), kaplan_meier(doubled))
    assert doubled.within(12).ended == 2 * rows.within(12).ended
    assert doubled.where(rows.kind == 1).ended == 2 * rows.where(rows.kind == 1).ended
