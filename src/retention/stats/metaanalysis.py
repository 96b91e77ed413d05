"""Results of several studies as one: a random-effects model of estimates with standard errors.

The spread between studies is fitted by restricted maximum likelihood (REML), the mean has the
interval of Hartung and Knapp. What the next study may find, and what one study's own truth is, are
averaged over all spreads that the estimates allow (`Field`), for a spread from few studies is
known badly (METHODS 13).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import optimize, special, stats

Floats = npt.NDArray[np.float64]
Limits = tuple[float, float]
GRID = 200  # spreads tried before the best is refined
HALVINGS = 80  # of the interval in which a spread is looked for
LEVELS = 100  # spreads that a field is averaged over, each as likely as the others
NARROW = 1e-10  # no quantile is looked for more closely
WIDEST = 1e4  # times the largest variance: no spread beyond is looked for


@dataclass(frozen=True)
class Studies:
    """Estimates of one quantity with their standard errors, both of shape (studies,).

    ValueError where they are not of one shape, not finite, or a standard error is not above 0.
    """

    y: Floats
    se: Floats

    @classmethod
    def of(cls, estimates: Sequence[float], errors: Sequence[float]) -> Studies:
        """The studies with these estimates and standard errors."""
        return cls(np.asarray(estimates, dtype=float), np.asarray(errors, dtype=float))

    def __post_init__(self) -> None:
        if self.y.ndim != 1 or self.y.shape != self.se.shape:
            raise ValueError("as many standard errors as estimates are needed")
        known = np.isfinite(self.y) & np.isfinite(self.se) & (self.se > 0)
        if not known.all():
            raise ValueError("estimates must be finite, their standard errors above 0")

    @property
    def k(self) -> int:
        """How many there are."""
        return len(self.y)

    @property
    def v(self) -> Floats:
        """The variances of the estimates."""
        return self.se**2

    def without(self, place: int) -> Studies:
        """All but the one at this place."""
        return Studies(np.delete(self.y, place), np.delete(self.se, place))

    def means(self, tau2: Floats) -> tuple[Floats, Floats]:
        """The mean where the variance between studies is each of `tau2`, and its variance if it
        is; both of the shape of `tau2`.
        """
        weights = 1 / (self.v + tau2[:, None])
        total = weights.sum(axis=1)
        return weights @ self.y / total, 1 / total

    def mean(self, tau2: float) -> tuple[float, float]:
        """The mean where the variance between studies is `tau2`, and its variance if it is."""
        mean, variance = self.means(np.array([tau2]))
        return float(mean[0]), float(variance[0])

    def sums(self, tau2: Floats) -> Floats:
        """The weighted sum of squares about the mean at each of `tau2`; it falls as they grow."""
        mean, _ = self.means(tau2)
        weights = 1 / (self.v + tau2[:, None])
        return np.asarray((weights * (self.y - mean[:, None]) ** 2).sum(axis=1))

    def q(self, tau2: float = 0.0) -> float:
        """The weighted sum of squares about the mean; Cochran's Q at 0."""
        return float(self.sums(np.array([tau2]))[0])

    def tau2_at(self, sums: Floats) -> Floats:
        """The variance between studies at which the sum of squares is each of `sums`; 0 where it is
        below that everywhere.
        """
        low = np.zeros(len(sums))
        high = np.full(len(sums), self._widest)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            above = self.sums(middle) > sums
            low = np.where(above, middle, low)
            high = np.where(above, high, middle)
        return np.where(self.q() <= sums, 0.0, (low + high) / 2)

    @property
    def _widest(self) -> float:
        spread = float(np.ptp(self.y)) ** 2
        return WIDEST * max(float(self.v.max()), spread)


def restricted_likelihood(studies: Studies, tau2: Floats) -> Floats:
    """The restricted log-likelihood of each variance between studies, without its constant."""
    total = studies.v + tau2[:, None]
    logs = np.log(total).sum(axis=1)
    inside = np.log((1 / total).sum(axis=1))
    return np.asarray(-(logs + inside + studies.sums(tau2)) / 2)


def reml(studies: Studies) -> float:
    """The variance between studies by restricted maximum likelihood: 0 or above.

    Source: Viechtbauer (2005), whose R package metafor has the same.
    """
    highest = 2 * float(np.var(studies.y, ddof=1)) + float(studies.v.max())
    tried = np.concatenate([[0.0], np.geomspace(1e-8, 1.0, GRID) * highest])
    found = restricted_likelihood(studies, tried)
    best = int(np.argmax(found))
    low = tried[max(best - 1, 0)]
    high = tried[min(best + 1, len(tried) - 1)]
    slopes = [_slope(studies, tau2) for tau2 in (low, high)]
    if slopes[0] <= 0:
        return float(low)
    if slopes[1] >= 0:
        return float(high)
    return float(optimize.brentq(lambda tau2: _slope(studies, tau2), low, high, xtol=1e-15))


def _slope(studies: Studies, tau2: float) -> float:
    """How the restricted log-likelihood grows with the variance between studies."""
    weights = 1 / (studies.v + tau2)
    mean, variance = studies.mean(tau2)
    squares = float(weights**2 @ (studies.y - mean) ** 2)
    lost = float(weights.sum()) - variance * float((weights**2).sum())
    return (squares - lost) / 2


@dataclass(frozen=True)
class Pooled:
    """The studies taken together: their mean with Hartung and Knapp's standard error, and the
    variance `tau2` between them.
    """

    studies: Studies
    tau2: float
    mean: float
    se: float

    @property
    def df(self) -> int:
        """Degrees of freedom of the mean's interval."""
        return self.studies.k - 1

    @property
    def tau(self) -> float:
        """The standard deviation between studies, on the scale of the estimates."""
        return math.sqrt(self.tau2)

    def interval(self, level: float = 0.95) -> Limits:
        """The interval of the mean, with Student's t."""
        reach = float(stats.t.ppf((1 + level) / 2, self.df)) * self.se
        return self.mean - reach, self.mean + reach

    def tau_interval(self, level: float = 0.95) -> Limits:
        """The interval of `tau`: the Q-profile (Viechtbauer, 2007)."""
        tails = stats.chi2.ppf([(1 + level) / 2, (1 - level) / 2], self.df)
        low, high = np.sqrt(self.studies.tau2_at(tails))
        return float(low), float(high)

    @property
    def i2(self) -> float:
        """The share of the variance of estimates that is between studies (Higgins' I squared)."""
        weights = 1 / self.studies.v
        total = float(weights.sum())
        squares = float((weights**2).sum())
        typical = self.df / (total - squares / total)
        return self.tau2 / (self.tau2 + typical)

    @property
    def weights(self) -> Floats:
        """The share of each study in the mean."""
        weights = 1 / (self.studies.v + self.tau2)
        return np.asarray(weights / weights.sum())

    @cached_property
    def field(self) -> Field:
        """What is known of the distribution that the studies come from."""
        return field_of(self.studies)


def pool(studies: Studies) -> Pooled:
    """The studies taken together; ValueError where they are fewer than two."""
    if studies.k < 2:
        raise ValueError("at least two studies are needed")
    tau2 = reml(studies)
    mean, variance = studies.mean(tau2)
    times = studies.q(tau2) / (studies.k - 1)
    return Pooled(studies, tau2, mean, math.sqrt(times * variance))


@dataclass(frozen=True)
class Field:
    """The distribution that studies come from, as far as they tell: pairs of a variance between
    studies and the mean that goes with it, each as likely as the others.

    `tau2`, `mean` and `variance` (of the mean) have the shape (levels,). A quantity is averaged
    over them: generalised fiducial inference (Iyer, Wang and Mathew, 2004).
    """

    tau2: Floats
    mean: Floats
    variance: Floats

    def next_one(self, level: float = 0.95) -> Limits:
        """The interval in which the truth of a further study lies (the prediction interval)."""
        return self._limits(self.mean, self.tau2 + self.variance, level)

    def of_mean(self, level: float = 0.95) -> Limits:
        """The interval of the mean."""
        return self._limits(self.mean, self.variance, level)

    def own(self, y: float, se: float, level: float = 0.95) -> tuple[float, float, float]:
        """The truth of one study that found `y` with standard error `se`, drawn towards the field:
        estimate and interval (empirical Bayes). It is taken to be none of the field's.

        The less is known of it, the nearer to the field's mean it comes.
        """
        spread = self.tau2 + self.variance
        share = spread / (spread + se**2)
        means = share * y + (1 - share) * self.mean
        low, high = self._limits(means, share * se**2, level)
        return float(means.mean()), low, high

    def _limits(self, means: Floats, variances: Floats, level: float) -> Limits:
        sds = np.sqrt(variances)
        low, high = (_quantile(means, sds, (1 + side * level) / 2) for side in (-1, 1))
        return low, high


def field_of(studies: Studies) -> Field:
    """What the studies tell of the distribution that they come from.

    The sum of squares about the mean has a known distribution at the true variance between studies
    (chi squared), so that each of its quantiles belongs to one such variance.
    """
    levels = (np.arange(LEVELS) + 0.5) / LEVELS
    sums = stats.chi2.ppf(levels, studies.k - 1)
    tau2 = studies.tau2_at(sums)
    means, variances = studies.means(tau2)
    return Field(tau2, means, variances)


def _quantile(means: Floats, sds: Floats, chance: float) -> float:
    """The quantile of a mixture of normal distributions, each as likely as the others."""
    each = means + sds * special.ndtri(chance)
    low, high = float(each.min()), float(each.max())
    if high - low < NARROW:
        return low

    def too_high(x: float) -> float:
        return float(special.ndtr((x - means) / sds).mean()) - chance

    return float(optimize.brentq(too_high, low, high, xtol=NARROW))
