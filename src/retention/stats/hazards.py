"""Regressions on the hazard of leaving, for rows that each cover some months: one month, or a whole
contract term.

A row says whether its client left in it by choice. The chance is 1 - exp(-mu), with mu = exp(x'b)
times the months that the row spends in each tenure band, weighted by the band's own rate. A row a
month gives the complementary log-log regression; a row a term gives interval proportional hazards:
exp(b) is the ratio of cumulative hazards over a term, whatever the shape within it (METHODS 2,
estimator 1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from retention.contrast import NO_SPREAD, Spread
from retention.stats.intervals import FEWEST_REPS, NO_REPS, jackknife, leaving_out, welch
from retention.stats.likelihood import bend, likelihood, row_parts, summed

STEPS = 100
TOLERANCE = 1e-10
# steps of Fisher scoring, which finds the way from afar; then Newton's, where bands share their
# rows
SCORING = 15
SEPARATED = 12.0  # a coefficient this large on a scaled covariate has no finite optimum
ROUNDING = 1e-12  # the standard deviation of equal numbers, over their size, is less
BUNCHES = 5000  # (ours) clusters that are resampled each by itself; more are resampled in bunches
MANY_CLUSTERS = 2000  # (ours) from so many on leaving out each says what the sandwich says
BOOTSTRAP_FROM = (
    200  # clients from which the one-step bootstrap is as good as full refits: METHODS 2
)


class NotFittedError(Exception):
    """A regression without a finite answer: nobody left, everybody left, or a covariate that
    separates them.
    """


@dataclass(frozen=True)
class Fit:
    """A fitted hazard regression: `theta` of shape (p,), covariates first (`names`), then the logs
    of the band rates.

    `scores` and `slopes` (dmu/dtheta, scaled by the root of its weight) have a row for each row of
    the data; `cluster` numbers the clients; `expected` is the cumulative hazard of each row;
    `bands` are the first columns of the exposure whose rates are distinguished.
    """

    names: tuple[str, ...]
    theta: np.ndarray
    scores: np.ndarray
    slopes: np.ndarray
    cluster: np.ndarray
    log_likelihood: float
    expected: np.ndarray
    bands: np.ndarray

    @property
    def n_clusters(self) -> int:
        """Clients (or other clusters) in the data."""
        return int(self.cluster.max()) + 1

    @property
    def bread(self) -> np.ndarray:
        """The inverse of the expected information: the covariance if rows were independent. Shape
        (p, p).
        """
        squares = self.slopes.T @ self.slopes
        return np.linalg.inv(squares)

    def sandwich(self, cluster: np.ndarray | None = None) -> np.ndarray:
        """The covariance of theta that is right whatever goes on within clusters (default:
        clients). Shape (p, p).

        No small-sample factor, as R's `crossprod(rowsum(...))`; scaled by G / (G - 1) for fewer
        than 50 clusters.
        """
        codes = self.cluster
        if cluster is not None:
            codes = pd.factorize(cluster)[0]
        sums = _sums(self.scores, codes)
        groups = len(sums)
        few = 1.0
        if 1 < groups < 50:
            few = groups / (groups - 1)
        outer = sums.T @ sums
        return self.bread @ outer @ self.bread * few

    def coefficient(self, name: str) -> float:
        """The estimate for one covariate, on the log-hazard scale."""
        place = self.names.index(name)
        return float(self.theta[place])

    def se(self, name: str, cluster: np.ndarray | None = None) -> float:
        """Its standard error, clustered by client or as told."""
        _, se = self.combined({name: 1.0}, cluster)
        return se

    def combined(
        self, parts: Mapping[str, float], cluster: np.ndarray | None = None
    ) -> tuple[float, float]:
        """A weighted sum of coefficients, and its standard error, clustered by client or as
        told.
        """
        weights = self._weights(parts)
        value = weights @ self.theta
        variance = weights @ self.sandwich(cluster) @ weights
        se = np.sqrt(variance)
        return float(value), float(se)

    def by_client(self, parts: Mapping[str, float], events: Sequence[float]) -> Spread:
        """The spread of a weighted sum of coefficients as clients are left out; t by the `events`
        in each group.

        Of very many clients the sandwich says the same.
        """
        freedom = welch(*events)
        if self.n_clusters > MANY_CLUSTERS:
            _, se = self.combined(parts)
            return Spread(se, freedom)
        weights = self._weights(parts)
        without = self.without_each(self.cluster)
        values = without @ weights
        return Spread(float(jackknife(values)), freedom)

    def by_rep(self, parts: Mapping[str, float], reps: np.ndarray) -> Spread:
        """The spread as the rows of each rep are left out: `without_reps`."""
        without, sizes = self.without_reps(reps)
        if not len(sizes):
            return NO_SPREAD
        weights = self._weights(parts)
        return leaving_out(without @ weights, sizes)

    def without_reps(self, reps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Theta as the rows of each rep are left out, (reps, p), and the ends expected of each,
        (reps,).

        `reps` (n,) are names, "" for nobody, who is never left out. Empty where there are too few
        reps to tell.
        """
        named = pd.Series(reps).replace("", None)
        codes = pd.factorize(named)[0]
        known = codes >= 0
        ends = self.expected[known]
        sizes = np.bincount(codes[known], ends).astype(float)
        if len(sizes) < FEWEST_REPS:
            width = len(self.theta)
            return np.zeros((0, width)), NO_REPS
        return self.without_each(codes), sizes

    def _weights(self, parts: Mapping[str, float]) -> np.ndarray:
        weights = np.zeros(len(self.theta))
        for name, weight in parts.items():
            place = self.names.index(name)
            weights[place] = weight
        return weights

    def expected_for(
        self, covariates: np.ndarray, exposure: np.ndarray, theta: np.ndarray | None = None
    ) -> np.ndarray:
        """The cumulative hazard expected of other rows, shape (n,); the chance of leaving is 1 -
        exp(-it).

        With `theta` (n, p), or (1, p) for all, by other coefficients than the estimate.
        """
        k = covariates.shape[1]
        months = np.add.reduceat(exposure, self.bands, axis=1)
        at = self.theta[None, :] if theta is None else theta
        own = at[:, :k]
        rates = np.exp(at[:, k:])
        linear = (covariates * own).sum(axis=1)
        base = (months * rates).sum(axis=1)
        total: np.ndarray = np.exp(linear) * base
        return total

    def totals(self, chosen: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """The cumulative hazard expected of the chosen rows together, at other `theta` (m, p);
        shape (m,).

        To first order on the log scale, which is as far as one-step draws are good for.
        """
        mu = self.expected[chosen]
        scale = np.exp(-mu) / -np.expm1(-mu)
        root = np.sqrt(scale)
        pace = self.slopes[chosen] / root[:, None]
        whole = mu.sum()
        slope = pace.sum(axis=0) / whole
        moved = (theta - self.theta) @ slope
        total: np.ndarray = whole * np.exp(moved)
        return total

    def draws(self, count: int, seed: int) -> np.ndarray:
        """Bootstrap draws of theta, shape (count, p): clients resampled, one Newton step each from
        the estimate.

        Scores and information are summed by client (of very many: by `bunched` clients) and
        reweighted (METHODS 2); no refit is made. NaN where a resample holds too little to tell.
        """
        nothing = np.zeros(len(self.scores))
        _, pull, bend = self._resampled(count, seed, nothing)
        step = _solved(bend, pull)
        return np.asarray(self.theta + step)

    def reached(self, left: np.ndarray, count: int, seed: int) -> np.ndarray:
        """Log-likelihoods that refits to the resamples of `draws` would reach, shape (count,), to
        second order.

        `left` (n,) as in the fit. Every fit to the same rows is given the same resamples.
        """
        chance = np.maximum(-np.expm1(-self.expected), 1e-300)
        own = np.where(left > 0, np.log(chance), -self.expected)
        here, pull, bend = self._resampled(count, seed, own)
        step = _solved(bend, pull)
        gain = (pull * step).sum(axis=1)
        return np.asarray(here + gain / 2)

    def _resampled(
        self, count: int, seed: int, values: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sums of `values` (n,), scores and information over resampled clients: (count,), (count,
        p), (count, p, p).
        """
        codes = bunched(self.cluster)
        p = len(self.theta)
        columns = np.column_stack([values, self.scores])
        sums = _sums(columns, codes)
        groups = len(sums)
        alike = np.full(groups, 1 / groups)
        rng = np.random.default_rng(seed)
        weights = rng.multinomial(groups, alike, size=count).astype(float)
        drawn = weights @ sums
        information = weights @ self._information(codes)
        blocks = information.reshape(-1, p, p)
        return drawn[:, 0], drawn[:, 1:], blocks

    def without_each(self, group: np.ndarray) -> np.ndarray:
        """Theta as each group's rows are left out, shape (groups, p): one Newton step each, no
        refit.

        `group` (n,) are codes from 0, -1 for rows that belong to none.
        """
        known = group >= 0
        p = len(self.theta)
        known_scores = self.scores[known]
        scores = _sums(known_scores, group[known])
        information = self._information(group)
        outer = self.slopes.T @ self.slopes
        rest = outer.ravel() - information
        blocks = rest.reshape(-1, p, p)
        pull = self.scores.sum(axis=0) - scores
        step = _solved(blocks, pull)
        return np.asarray(self.theta + step)

    def _information(self, codes: np.ndarray) -> np.ndarray:
        """The expected information of each code's rows, shape (codes, p * p); of those under 0
        none.
        """
        known = codes >= 0
        columns = self.slopes[known]
        own = codes[known]
        parts = []
        for k in range(columns.shape[1]):
            products = columns * columns[:, [k]]
            parts.append(_sums(products, own))
        return np.concatenate(parts, axis=1)


def varying(covariates: pd.DataFrame) -> pd.DataFrame:
    """The covariates that are not the same for all rows: what is alike for all need not be held
    fixed.
    """
    differs = covariates.nunique() > 1
    return covariates.loc[:, differs]


def fit_hazard(
    left: np.ndarray,
    covariates: pd.DataFrame,
    exposure: np.ndarray,
    cluster: Sequence[object] | pd.Series,
    weights: np.ndarray | None = None,
    bands: np.ndarray | None = None,
) -> Fit:
    """The fit of the hazard of leaving, by Fisher scoring.

    `left` (n,) 0 or 1; `covariates` (n, k); `exposure` (n, bands) months in each band. `weights`
    (n,) say how often each row counts (default: once); the sandwich takes them as known. A tenure
    band whose rate goes to zero joins the one before it, because it has no rate of its own
    (`bands`: those still apart).

    NotFittedError where the optimum is not finite; its text says which covariate separates leavers
    from stayers.
    """
    bands = np.arange(exposure.shape[1]) if bands is None else bands
    y = np.asarray(left, float)
    X = covariates.to_numpy(float)
    E = np.add.reduceat(exposure, bands, axis=1)
    w = np.ones(len(y)) if weights is None else np.asarray(weights, float)
    names = list(covariates.columns)
    _refuse_one_outcome(y, w)
    middle, scale = _centre_and_scale(X, names)
    scaled = (X - middle) / scale
    theta, empty = _optimum(y, scaled, E, w, names)
    if empty is not None:
        fewer = np.delete(bands, empty)
        return fit_hazard(left, covariates, exposure, cluster, weights, fewer)
    theta = _unscaled(theta, middle, scale)
    score, slopes = _by_row(theta, y, X, E, w)
    reached = likelihood(theta, y, X, E, w)
    codes = pd.factorize(pd.Series(cluster))[0]
    expected = _expected(theta, X, E)
    return Fit(tuple(names), theta, score, slopes, codes, reached, expected, bands)


def _unscaled(theta: np.ndarray, middle: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Theta of the covariates as they are, from that of the scaled ones."""
    k = len(scale)
    own = theta[:k] / scale
    shifted = theta[k:] - middle @ own
    return np.append(own, shifted)


def _expected(theta: np.ndarray, X: np.ndarray, E: np.ndarray) -> np.ndarray:
    """The cumulative hazard expected of each row, shape (n,)."""
    k = X.shape[1]
    rates = np.exp(theta[k:])
    time = E @ rates
    linear = X @ theta[:k]
    return np.asarray(np.exp(linear) * time)


def _by_row(
    theta: np.ndarray, y: np.ndarray, X: np.ndarray, E: np.ndarray, w: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Scores and slopes of each row, as `Fit` holds them."""
    ratio, base, mu, pull, weight = row_parts(theta, y, X, E, w)
    by_covariate = mu[:, None] * X
    by_band = ratio[:, None] * base
    slopes = np.column_stack([by_covariate, by_band])
    score = pull[:, None] * slopes
    root = np.sqrt(weight)
    slopes *= root[:, None]
    return score, slopes


def _refuse_one_outcome(y: np.ndarray, w: np.ndarray) -> None:
    """NotFittedError where the rows that count, as resampled, all left or all stayed."""
    counted = y[w > 0]
    if not counted.any():
        raise NotFittedError("nobody left")
    if counted.all():
        raise NotFittedError("everybody left")


def _centre_and_scale(X: np.ndarray, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each covariate; NotFittedError where one is the same for
    all.
    """
    middle = X.mean(axis=0)
    scale = X.std(axis=0)
    size = 1 + np.abs(middle)
    alike = scale <= ROUNDING * size
    if alike.any():
        name = names[int(alike.argmax())]
        raise NotFittedError(f"{name} is the same for all")
    return middle, scale


def _optimum(
    y: np.ndarray, Z: np.ndarray, E: np.ndarray, w: np.ndarray, names: Sequence[str]
) -> tuple[np.ndarray, int | None]:
    """Theta of the largest likelihood for scaled covariates Z, or the band that must join another.

    NotFittedError where a coefficient has no finite optimum.
    """
    k = Z.shape[1]
    bands = E.shape[1]
    months = (w @ E).sum()
    rate = w @ y / months
    start = float(np.log(rate))
    rates = np.full(bands, start)
    theta = np.append(np.zeros(k), rates)
    reached = likelihood(theta, y, Z, E, w)
    for number in range(STEPS):
        step = _step(theta, y, Z, E, w, scoring=number < SCORING)
        step, reached = _halved(theta, step, reached, y, Z, E, w)
        theta = theta + step
        rates = theta[k:]
        if bands > 1 and rates.min() < start - SEPARATED:
            lowest = int(rates.argmin())
            return theta, max(lowest, 1)
        sizes = np.abs(theta[:k])
        if sizes.max(initial=0) > SEPARATED:
            name = names[int(sizes.argmax())]
            raise NotFittedError(f"{name} separates those who left from those who stayed")
        moved = np.abs(step)
        if moved.max() < TOLERANCE:
            return theta, None
    raise NotFittedError("no optimum was found")


def _step(
    theta: np.ndarray, y: np.ndarray, Z: np.ndarray, E: np.ndarray, w: np.ndarray, scoring: bool
) -> np.ndarray:
    """The step towards the optimum: Fisher's, from afar, or Newton's."""
    score, information = summed(theta, y, Z, E, w)
    try:
        curvature = information if scoring else bend(theta, y, Z, E, w)
        return np.linalg.solve(curvature, score)
    except np.linalg.LinAlgError:
        raise NotFittedError("some covariates say the same") from None


def _halved(
    theta: np.ndarray,
    step: np.ndarray,
    before: float,
    y: np.ndarray,
    Z: np.ndarray,
    E: np.ndarray,
    w: np.ndarray,
) -> tuple[np.ndarray, float]:
    """The step, halved until the likelihood no longer falls, and the likelihood there."""
    least = before - abs(before) * 1e-14
    for _ in range(20):
        reached = likelihood(theta + step, y, Z, E, w)
        if reached >= least:
            break
        step = step / 2
    return step, reached


def bunched(codes: np.ndarray, most: int = BUNCHES) -> np.ndarray:
    """The clusters to be resampled: codes from 0, or, of very many, bunches of as many of them
    each, made at random.

    Resampled bunches have the variance of resampled clusters, known to 100 * sqrt(2 / most) %.
    """
    last = codes.max(initial=-1)
    count = int(last) + 1
    if count <= most:
        return codes
    rng = np.random.default_rng(0)
    bunches = rng.permutation(count) % most
    return np.asarray(bunches[codes])


def _solved(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solutions of several systems, shapes (m, p, p) and (m, p); NaN for those without one."""
    try:
        return _each_solved(left, right)
    except np.linalg.LinAlgError:
        rank = np.linalg.matrix_rank(left)
        whole = rank == left.shape[-1]
        found = np.full_like(right, np.nan)
        found[whole] = _each_solved(left[whole], right[whole])
        return found


def _each_solved(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solutions of several systems, as of `_solved`; LinAlgError where one has none."""
    columns = right[..., None]
    solved = np.linalg.solve(left, columns)
    return np.asarray(solved[..., 0])


def _sums(values: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Rows of `values` added up within each code."""
    order = np.argsort(codes, kind="stable")
    changes = np.diff(codes[order], prepend=-1)
    starts = np.flatnonzero(changes)
    return np.add.reduceat(values[order], starts, axis=0)
