"""Hazard regressions: by hand on a few clients, against statsmodels, by planted truth; what has no
answer is told.
"""

import numpy as np
import pandas as pd
import pytest

from retention.stats.bands import band_exposure, natural_spline
from retention.stats.hazards import BOOTSTRAP_FROM, NotFittedError, bunched, fit_hazard


def one_band(months) -> np.ndarray:
    return np.asarray(months, float)[:, None]


def test_by_hand_one_rate_and_two_groups():
    """Without covariates the share leaving a month is the rate's own: 2 of 8 rows of a month
    each.
    """
    left = np.array([1, 0, 0, 0, 1, 0, 0, 0])
    fit = fit_hazard(left, pd.DataFrame(index=range(8)), one_band(np.ones(8)), range(8))
    assert -np.expm1(-np.exp(fit.theta[0])) == pytest.approx(2 / 8)
    group = pd.DataFrame({"b": [1, 1, 0, 0, 0, 0, 0, 0]})  # 1 of 2 left against 1 of 6
    fit = fit_hazard(left, group, one_band(np.ones(8)), range(8))
    assert fit.coefficient("b") == pytest.approx(np.log(np.log(1 - 1 / 2) / np.log(1 - 1 / 6)))
    assert fit.log_likelihood == pytest.approx(
        2 * np.log(1 / 2) + np.log(1 / 6) + 5 * np.log(5 / 6)
    )


def test_a_row_a_term_gives_the_ratio_of_cumulative_hazards():
    """Half of 12-month terms end at renewal; monthly clients who leave at the same pace have ratio
    1.
    """
    month = -np.expm1(np.log(0.5) / 12)
    n = 200_000
    rng = np.random.default_rng(1)
    left = np.append(rng.random(n) < month, rng.random(n) < 0.5)
    fit = fit_hazard(
        left,
        pd.DataFrame({"monthly": np.repeat([1, 0], n)}),
        one_band(np.repeat([1, 12], n)),
        range(2 * n),
    )
    assert abs(fit.coefficient("monthly")) < 3 * fit.se("monthly") < 0.05


def simulated(n: int, seed: int, effect: float = 0.5) -> tuple:
    rng = np.random.default_rng(seed)
    x, months = rng.normal(size=n), rng.choice([1.0, 6.0, 12.0], n)
    left = rng.random(n) < -np.expm1(-0.03 * months * np.exp(effect * x))
    return left, pd.DataFrame({"x": x}), months


def test_with_one_band_it_is_the_binomial_model_with_an_offset():
    sm = pytest.importorskip("statsmodels.api")
    left, x, months = simulated(400, 2)
    fit = fit_hazard(left, x, one_band(months), range(400))
    link = sm.families.Binomial(sm.families.links.CLogLog())
    other = sm.GLM(left.astype(float), sm.add_constant(x), link, offset=np.log(months)).fit(
        tol=1e-14
    )
    assert fit.coefficient("x") == pytest.approx(other.params["x"], abs=1e-9)
    assert fit.theta[1] == pytest.approx(other.params["const"], abs=1e-9)
    assert fit.log_likelihood == pytest.approx(other.llf)


def test_planted_effects_are_covered_and_rows_of_a_client_belong_together():
    inside = []
    for seed in range(300):
        left, x, months = simulated(400, seed)
        fit = fit_hazard(left, x, one_band(months), range(400))
        inside.append(abs(fit.coefficient("x") - 0.5) < 1.96 * fit.se("x"))
    assert np.mean(inside) == pytest.approx(0.95, abs=3 * np.sqrt(0.95 * 0.05 / 300))
    left, x, months = simulated(400, 1)
    twice = fit_hazard(
        np.tile(left, 2),
        pd.concat([x, x]),
        one_band(np.tile(months, 2)),
        np.tile(np.arange(400), 2),
    )
    once = fit_hazard(left, x, one_band(months), range(400))
    assert twice.se("x") == pytest.approx(once.se("x"))  # a client told twice is no second client


@pytest.mark.parametrize("n", [BOOTSTRAP_FROM, 800])
def test_the_one_step_bootstrap_spreads_as_full_refits_do(n):
    left, x, months = simulated(n, 5)
    fit = fit_hazard(left, x, one_band(months), range(n))
    rng, refits = np.random.default_rng(3), []
    for _ in range(400):
        at = rng.integers(0, n, n)
        refits.append(
            fit_hazard(
                left[at], x.iloc[at].reset_index(drop=True), one_band(months[at]), range(n)
            ).theta[0]
        )
    ratio = fit.draws(2000, seed=4)[:, 0].std() / np.std(refits)
    assert ratio == pytest.approx(1, abs=0.12)  # 400 refits: their spread is known to 3.5 %


@pytest.mark.parametrize(
    ("left", "x", "told"),
    [
        ([0, 0, 0, 0], [1, 2, 3, 4], "nobody left"),
        ([1, 1, 1, 1], [1, 2, 3, 4], "everybody left"),
        ([0, 0, 1, 1], [0, 0, 1, 1], "x separates those who left"),
        ([0, 1, 0, 1], [1, 1, 1, 1], "the same"),
    ],
)
def test_what_has_no_finite_answer_is_told(left, x, told):
    with pytest.raises(NotFittedError, match=told):
        fit_hazard(np.array(left), pd.DataFrame({"x": x}), one_band(np.ones(4)), range(4))


@pytest.mark.parametrize(
    ("weights", "told"), [([1, 1, 0, 0], "nobody left"), ([0, 0, 1, 1], "everybody left")]
)
def test_a_resample_of_one_outcome_has_no_finite_answer(weights, told):
    left = np.array([0, 0, 1, 1])
    x = pd.DataFrame({"x": [1.0, 2, 3, 4]})
    with pytest.raises(NotFittedError, match=told):
        fit_hazard(left, x, one_band(np.ones(4)), range(4), np.array(weights, float))


def test_the_order_of_rows_does_not_matter():
    left, x, months = simulated(300, 8)
    at = np.random.default_rng(1).permutation(300)
    one = fit_hazard(left, x, one_band(months), np.arange(300) // 3)
    other = fit_hazard(left[at], x.iloc[at], one_band(months[at]), (np.arange(300) // 3)[at])
    assert one.coefficient("x") == pytest.approx(other.coefficient("x"), abs=1e-10)
    assert one.se("x") == pytest.approx(other.se("x"), rel=1e-9)


def test_months_in_bands_add_up_and_thin_bands_are_joined():
    start, stop = np.array([0, 0, 12, 24]), np.array([12, 1, 24, 36])
    exposure = band_exposure(np.tile(start, 20), np.tile(stop, 20), np.ones(80))[:4]
    assert (exposure.sum(axis=1) == stop - start).all() and exposure.shape[1] > 1
    assert band_exposure(start, stop, np.array([1, 0, 0, 0])).shape == (4, 1)
    many = band_exposure(np.arange(60) % 30, np.arange(60) % 30 + 1, np.ones(60))
    assert many.shape == (60, 6) and (many.sum(axis=1) == 1).all()


def test_a_spline_is_straight_beyond_its_knots():
    values = pd.Series(np.linspace(0, 10, 101))
    spline = natural_spline(values, 4)
    assert list(spline) == ["linear", "curve 1", "curve 2"]
    bends = spline["curve 1"].diff().diff().dropna()
    assert (
        bends[values > 9.2].abs().max() < 1e-12
        and bends[(values > 2) & (values < 8)].abs().max() > 1e-6
    )
    assert list(natural_spline(pd.Series([1.0, 1.0, 1.0]))) == ["linear"]


def test_a_resample_without_information_is_no_number():
    """One client holds all there is of a covariate: resamples without it have no answer, and say
    so.
    """
    rng = np.random.default_rng(1)
    left = (rng.random(60) < 0.4).astype(float)
    rare = np.zeros(60)
    rare[:4] = 1
    left[:4] = [1, 0, 1, 0]
    who = np.r_[np.zeros(4), np.arange(1, 57)]
    fit = fit_hazard(left, pd.DataFrame({"rare": rare}), np.ones((60, 1)), who)
    draws = fit.draws(400, 1)
    lost = np.isnan(draws).any(axis=1).mean()
    assert 0.25 < lost < 0.50  # (1 - 1/57) ** 57 = 0.36
    assert np.isfinite(np.nanquantile(draws[:, 0], [0.025, 0.975])).all()


def test_bunches_vary_as_single_clients_do():
    x = np.random.default_rng(1).normal(size=12_000)
    codes = bunched(np.arange(12_000))
    sizes, sums = np.bincount(codes), np.bincount(codes, x)
    assert len(sizes) == 5000 and sizes.min() == 2 and sizes.max() == 3
    assert sums.var() * 5000 == pytest.approx(x.var() * 12_000, rel=0.06)
    assert (bunched(np.arange(5000)) == np.arange(5000)).all()


def test_likelihoods_of_resamples_are_those_of_refits():
    left, x, months = simulated(4000, 1)
    fit, rng = fit_hazard(left, x, one_band(months), range(4000)), np.random.default_rng(3)
    refits = [
        fit_hazard(left, x, one_band(months), range(4000), times.astype(float)).log_likelihood
        for times in rng.multinomial(4000, np.full(4000, 1 / 4000), size=20)
    ]
    assert np.std(refits) > 20 and fit.reached(left, 20, 3) == pytest.approx(refits, abs=0.3)
