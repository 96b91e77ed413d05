"""How far ratings and results repeat, and what A6 would be if both were measured without error.

Error in one of two measures makes the other win: noisy results favour liking. How large the errors
are is read from values of one client some months apart. True change is slow and fades with time;
an error is there once. Source: METHODS 4, Heise 1969, and for the correction
Carroll, Ruppert, Stefanski and Crainiceanu 2006, ch. 4.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from retention.history.lagged import Design
from retention.history.panel import Panel
from retention.stats.hazards import Fit
from retention.stats.intervals import jackknife, leaving_out, tells
from retention.words import say

BOTH = ("liking", "results")
REPEATS = 4  # (ours) distances in months, the shortest first, that agreement is read from
LEAST_REPEATS = 2  # distances that a line needs
FARTHEST = 12  # (ours) months beyond which no two values are compared
LEAST_PAIRS = 200  # (ours) pairs of values under which a distance is not used
LEAST_RELIABLE = 0.1  # (ours) share of the variance below which reliability is not taken to fall
TOO_FEW = say("rep_liking.measured.too_few")


@dataclass(frozen=True)
class Corrected:
    """Effects as if both were measured without error, per standard deviation of the true values.

    `theta` and `se` (3,): liking, results, and results less liking, on the log hazard.
    `reliable` and `reliable_se` (2,): the share of the variance of liking and of results, as the
    regression uses them, that is no error. `known` is False where the errors leave nothing of the
    two measures to tell them apart; no effect can be read then.
    """

    theta: np.ndarray
    se: np.ndarray
    reliable: np.ndarray
    reliable_se: np.ndarray
    known: bool


def corrected(panel: Panel, made: Design, fit: Fit, level: float = 0.95) -> Corrected:
    """The effects of liking and results in `fit` (of `made`) as if both were measured without
    error.

    Standard errors are by jackknife, the larger of client by client and, from six reps on, rep by
    rep, widened to Student's t at `level`. The errors' sizes are estimated anew without each
    client or rep, so their uncertainty counts. ValueError where too few repeats are on record.
    """
    client = made.rows["client_id"]
    of_panel = panel.spells["client_id"]
    clients = _left_out(panel, made, fit, client, of_panel)
    found = clients[0]
    se = jackknife(clients[1:])
    rep = made.rows["rep"].replace("", None)
    codes = pd.factorize(rep)[0]
    named = codes >= 0
    ends = np.bincount(codes[named], fit.expected[named]).astype(float)
    if tells(ends):
        reps = _left_out(panel, made, fit, rep, panel.rep)
        by_rep = leaving_out(reps[1:], ends)
        tail = (1 + level) / 2
        widened = by_rep.reach(tail) / stats.norm.ppf(tail)
        se = np.fmax(se, widened)
    finite = np.isfinite([*found, *se])
    known = bool(finite.all())
    values = found[:3]
    return Corrected(values, se[:3], found[3:], se[3:], known)


def distances(grid: np.ndarray) -> np.ndarray:
    """The shortest distances in months at which enough pairs of values are known, shape (k,)."""
    known = ~np.isnan(grid)
    last = grid.shape[1] - 1
    farthest = min(FARTHEST, last)
    lags = range(1, farthest + 1)
    pairs = [(known[:, lag:] & known[:, :-lag]).sum() for lag in lags]
    enough = np.array(pairs) >= LEAST_PAIRS
    return 1 + np.flatnonzero(enough)[:REPEATS]


def repeated(lags: np.ndarray, agree: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """The share of the variance that is no error, shape (groups,): at most 1, at least a tenth.

    `agree` (groups, k) are correlations of values `lags` (k,) months apart, over `pairs`
    (groups, k) of values. Their logs lie about on a line where true change fades by the same share
    each month; the line is read off at no distance.

    >>> lags = np.array([1, 2, 3])
    >>> repeated(lags, 0.8 * 0.9 ** lags[None], np.full((1, 3), 500)).round(6)
    array([0.8])
    """
    positive = np.clip(agree, 0, None)
    weight = pairs * positive**2  # one over the variance of the log
    weights = weight.sum(axis=1)
    total = np.maximum(weights, 1e-300)
    clipped = np.clip(agree, 1e-12, None)
    log = np.log(clipped)
    mean_lag = weight @ lags / total
    weighted = (weight * log).sum(axis=1)
    mean_log = weighted / total
    apart = lags - mean_lag[:, None]
    slope = (weight * apart * log).sum(axis=1)
    slope /= np.maximum((weight * apart**2).sum(axis=1), 1e-300)
    at_zero = np.exp(mean_log - slope * mean_lag)
    known_any = weight.any(axis=1)
    share = np.where(known_any, at_zero, 0.0)
    return np.clip(share, LEAST_RELIABLE, 1.0)


def _left_out(
    panel: Panel, made: Design, fit: Fit, rows: pd.Series, cells: pd.Series | np.ndarray
) -> np.ndarray:
    """Effects and reliabilities on all data, then without each group: shape (1 + groups, 5).

    `rows` (n,) names the group of each opportunity to leave (None for nobody's, never left out),
    `cells` that of each engagement, or of each of its months. Effects are NaN where what is left of
    both measures cannot be separated.
    """
    names = pd.Index(rows.dropna().unique())
    group = names.get_indexer(rows)
    places = names.get_indexer(np.ravel(cells))
    place = places.reshape(len(panel.spells), -1)
    place = np.broadcast_to(place, panel.liking.shape)
    both_ways = [fit.theta, fit.without_each(group)]
    theta = np.vstack(both_ways)
    left_slopes = fit.slopes[:, :, None]
    outer = left_slopes * fit.slopes[:, None, :]
    seen = _totals(outer, group, len(names))
    true, reliable, scale = _without_error(panel, made, fit, seen, group, place)
    blocks = true[:, :2, :2]
    apart = np.linalg.det(blocks) > 0
    width = true.shape[1]
    true[~apart] = np.eye(width)
    # In a regression weighted as the fit is, what is estimated is inv(seen) @ true @ (true
    # effects).
    wanted = seen @ theta[..., None]
    solved = np.linalg.solve(true, wanted)
    effects = solved[:, :2, 0] * scale
    effects[~apart] = np.nan
    gap = effects[:, 1] - effects[:, 0]
    return np.column_stack([effects, gap, reliable])


def _without_error(
    panel: Panel, made: Design, fit: Fit, seen: np.ndarray, group: np.ndarray, place: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Products of covariates as seen with true ones, reliabilities, and true standard deviations.

    Shapes (1 + groups, p, p), (1 + groups, 2) and (1 + groups, 2). `seen` holds the products of
    covariates as seen. Errors are taken to be independent of each other and of the true values. The
    mean of several months' results also differs from the true results of the rating's month, which
    the rating is compared with (`_smoothing`).
    """
    groups = int(group.max()) + 1
    in_bands = fit.slopes[:, made.covariates.shape[1] :]
    weight = in_bands.sum(axis=1) ** 2
    precision = 1 / _months_of_results(panel, made.rows)
    once = np.ones(len(weight))
    parts = {"liking": once, "results": precision}
    true = seen.copy()
    reliable, scale = np.empty((2, 1 + groups, 2))
    for k, name in enumerate(BOTH):
        unit = made.rows[name].var()
        error, lasting = _error(_before_any_wish(panel, getattr(panel, name)), place, groups)
        shift, extra = _smoothing(lasting / unit, panel.window if name == "results" else 1)
        error = error / unit
        weighted = _totals(weight * parts[name], group, groups)
        true[:, k, k] -= error * weighted
        weights = _totals(weight, group, groups)
        true[:, k, k] += shift * weights
        share = 1 - error * parts[name].mean()
        reliable[:, k] = np.clip(share, LEAST_RELIABLE, 1)
        total = reliable[:, k] + extra
        reach = np.clip(total, LEAST_RELIABLE, None)
        scale[:, k] = np.sqrt(reach)
    return true, reliable, scale


def _before_any_wish(panel: Panel, grid: np.ndarray) -> np.ndarray:
    """The grid up to each engagement's last month that a row uses; NaN after it.

    Who wishes to leave and may not yet rates lower: that is neither error nor slow change.
    """
    latest = panel.rows.groupby("row")
    last = latest["given"].max()
    until = np.zeros(len(grid))
    until[last.index] = last
    month = np.arange(grid.shape[1])
    before = month < until[:, None]
    return np.where(before, grid, np.nan)


def _error(grid: np.ndarray, place: np.ndarray, groups: int) -> tuple[np.ndarray, np.ndarray]:
    """The variance of one value's error (1 + groups,), and true covariances (1 + groups, 1 + k).

    The covariances are those of values 0, 1, ... months apart, as far as each is known.
    """
    lags = distances(grid)
    if len(lags) < LEAST_REPEATS:
        raise ValueError(TOO_FEW)
    found = [_correlation(grid, lag, place, groups) for lag in lags]
    agree, pairs = (np.stack(each, axis=1) for each in zip(*found, strict=True))
    share = repeated(lags, agree, pairs)
    variance = np.nanvar(grid)
    first_lags = np.arange(1, len(lags) + 1)
    running = agree[:, lags == first_lags]
    covariances = np.column_stack([share, running])
    return (1 - share) * variance, covariances * variance


def _correlation(
    grid: np.ndarray, lag: int, place: np.ndarray, groups: int
) -> tuple[np.ndarray, np.ndarray]:
    """The correlation of values so many months apart and their number, shapes (1 + groups,).

    Both of a pair are held against the mean and spread of their own side of the pairs, because
    those who stay to give the later one differ from those who leave before.
    """
    x = grid[:, lag:]
    earlier = grid.shape[1] - lag
    y = grid[:, :earlier]
    known = ~np.isnan(x + y)
    x = x[known]
    y = y[known]
    one = np.ones(len(x))
    terms = [one, x, y, x * x, y * y, x * y]
    products = np.stack(terms, axis=1)
    places = place[:, lag:][known]
    n, *sums = _totals(products, places, groups).T
    with np.errstate(divide="ignore", invalid="ignore"):
        mean_x, mean_y, xx, yy, xy = (each / n for each in sums)
        variance_x = xx - mean_x**2
        spreads = variance_x * (yy - mean_y**2)
        covariance = xy - mean_x * mean_y
        return covariance / np.sqrt(spreads), n


def _smoothing(lasting: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """What the true mean of `window` months does, shapes (1 + groups,).

    First its covariance with the last month's value less its own variance, then the variance of one
    month's value less its own. `lasting` (1 + groups, 1 + k): true covariances.
    """
    if window > lasting.shape[1]:
        none = np.zeros(len(lasting))
        return none, np.zeros(len(lasting))
    months = np.arange(window)
    own = lasting[:, np.abs(months[:, None] - months)].mean(axis=(1, 2))
    recent = lasting[:, :window].mean(axis=1)
    return recent - own, lasting[:, 0] - own


def _months_of_results(panel: Panel, rows: pd.DataFrame) -> np.ndarray:
    """How many months' results each row's mean is made of, shape (n,)."""
    known = ~np.isnan(panel.results)
    given = rows["given"].to_numpy(int)[:, None]
    columns = given - 1 - np.arange(panel.window)
    at = rows["row"].to_numpy(int)[:, None]
    place = np.clip(columns, 0, None)
    there = known[at, place] & (columns >= 0)
    number = there.sum(axis=1)
    return np.maximum(number, 1)


def _totals(values: np.ndarray, codes: np.ndarray, groups: int) -> np.ndarray:
    """Sums of `values` (n, ...) over all rows, then without each group: shape (1 + groups, ...).

    `codes` (n,) from 0; a row under 0 belongs to no group and is always there.
    """
    flat = values.reshape(len(values), -1)
    known = codes >= 0
    columns = [np.bincount(codes[known], each[known], minlength=groups) for each in flat.T]
    every = flat.sum(axis=0)
    others = every - np.stack(columns, axis=1)
    sums = np.vstack([every, others])
    return sums.reshape(1 + groups, *values.shape[1:])
