"""Observed over expected ends for people or groups, held against chance: funnel limits,
over-dispersion, shrinkage.

Nothing is ranked by its raw rate, and nobody with fewer than five expected ends is ranked at all.
Source: METHODS 5; Spiegelhalter 2005.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy import optimize, special, stats

from retention.contrast import Z95, Profile

MIN_EXPECTED = 5.0  # METHODS 5: below it, too few to say
MIN_PEOPLE = 10  # (ours) from which the spread of the ratios is more than one who differs
WINSORISE = 0.10  # share of z scores drawn in before over-dispersion is measured
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(41)
MEDIAN_STEP = math.sqrt(2) * float(stats.norm.ppf(0.75))  # of two draws, the median log ratio in SD
LARGEST = 3.0  # SD of the log rate beyond which the likelihood is not searched


def funnel(observed: pd.Series, expected: pd.Series) -> pd.DataFrame:
    """A row a person: `observed, expected, ratio, low, high, shrunk, few, beyond, unusual`, worst
    shrunken ratio first.

    `low` and `high` are exact 95 % limits (Poisson); `shrunk` draws each ratio towards that of all
    as far as luck explains the spread (gamma-Poisson); `few` marks under five expected, who come
    last; `beyond` and `unusual` those outside the 99.8 % and 95 % limits of luck, inflated where
    the ratios spread more than luck would let them.
    """
    ends = observed.to_numpy(float)
    due = expected.to_numpy(float)
    exact = stats.chi2.ppf(0.025, 2 * ends) / 2
    low = np.where(ends > 0, exact, 0) / due
    upper = stats.chi2.ppf(0.975, 2 * ends + 2)
    high = upper / 2 / due
    ratio = ends / due
    table = {"observed": ends, "expected": due, "ratio": ratio, "low": low, "high": high}
    frame = pd.DataFrame(table, observed.index)
    frame["shrunk"] = _shrunk(ends, due)
    frame["few"] = due < MIN_EXPECTED
    phi = over_dispersion(ends, due)
    limits = luck(due, phi).set_index(observed.index)
    for name, level in (("beyond", "998"), ("unusual", "95")):
        under = frame["ratio"] < limits[f"low_{level}"]
        over = frame["ratio"] > limits[f"high_{level}"]
        outside = under | over
        frame[name] = outside & ~frame["few"]
    order = ["few", "shrunk"]
    return frame.sort_values(order, ascending=[True, False], kind="stable")


def in_order(table: pd.DataFrame) -> pd.DataFrame:
    """The people of a funnel (its index) by their ratio, highest first, with its interval: `name,
    estimate, low, high, expected, sense` (bad or good where chance alone would rarely do it, else
    blank). Those with too few expected are left out.
    """
    columns = ["name", "estimate", "low", "high", "expected", "sense"]
    if table.empty:
        return pd.DataFrame(columns=columns)
    few = table["few"].astype(bool)
    ranked = table[~few].sort_values("ratio", ascending=False, kind="stable")
    named = ranked.rename_axis("name").reset_index()
    named = named.rename(columns={"ratio": "estimate"})
    way = np.where(named["estimate"] > 1, "bad", "good")
    sense = np.where(named["beyond"], way, "")
    return named.assign(sense=sense)[columns]


def luck(expected: np.ndarray, phi: float = 1.0) -> pd.DataFrame:
    """Limits of observed over expected that luck alone crosses in 5 % and .2 % of cases, inflated
    by root `phi`.

    Columns `expected, low_95, high_95, low_998, high_998`.
    """
    due = np.asarray(expected, float)
    wider = math.sqrt(phi)
    frame = {"expected": due}
    for name, tail in (("95", 0.025), ("998", 0.001)):
        low = special.pdtrik(tail, due)
        high = special.pdtrik(1 - tail, due)
        fewest = np.nan_to_num(low)
        most = np.nan_to_num(high) + 1  # where the exact interval ends to hold 1
        frame[f"low_{name}"] = 1 + (fewest / due - 1) * wider
        frame[f"high_{name}"] = 1 + (most / due - 1) * wider
    return pd.DataFrame(frame).clip(lower=0)


def over_dispersion(observed: np.ndarray, expected: np.ndarray) -> float:
    """How much more the ratios spread than luck lets them: 1 unless clearly more (Spiegelhalter's
    phi).

    Of a handful of people the one who differs would widen the limits for itself: there it is 1.
    """
    root = np.sqrt(observed)
    z = 2 * (root - np.sqrt(expected))
    people = len(z)
    if people < MIN_PEOPLE:
        return 1.0
    low, high = np.quantile(z, [WINSORISE, 1 - WINSORISE])
    drawn_in = np.clip(z, low, high)
    phi = float(np.mean(drawn_in**2))
    most_by_luck = 1 + 2 * math.sqrt(2 / people)
    return phi if phi > most_by_luck else 1.0


def _shrunk(observed: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Ratios drawn towards that of all: posterior means under a gamma prior whose strength the data
    choose.
    """
    if not observed.sum():
        return np.zeros_like(expected)
    mean = observed.sum() / expected.sum()
    usual = mean * expected

    def against(log_strength: float) -> float:
        a = math.exp(log_strength)
        share = a / (a + usual)
        logs = stats.nbinom.logpmf(observed, a, share)
        return -float(np.sum(logs))

    best = optimize.minimize_scalar(against, bounds=(-3, 9), method="bounded")
    a = math.exp(best.x)
    return mean * (observed + a) / (usual + a)


def _depth(ends: np.ndarray, due: np.ndarray) -> Callable[[float], float]:
    """The log-likelihood of a spread of the log ratios, the common level at its best.

    Nodes lie around each one's own peak, which is narrow where many ends are expected (adaptive
    quadrature).
    """
    weights_sum = len(ends) * np.log(WEIGHTS.sum())
    constant = float(special.gammaln(ends + 1).sum() + weights_sum)

    def at(sigma: float, level: float) -> float:
        mean_ends = due * math.exp(level)
        peak, width = _peaks(ends, mean_ends, sigma)
        steps = width[:, None] * NODES
        z = peak[:, None] + steps
        rates = mean_ends[:, None] * np.exp(sigma * z)
        powers = special.xlogy(ends[:, None], rates)
        logs = powers - rates - z**2 / 2
        top = logs.max(axis=1)
        terms = logs - top[:, None] + NODES**2 / 2
        heights = np.exp(terms) * WEIGHTS
        total = heights.sum(axis=1)
        sums = np.log(total * width) + top
        return float(sums.sum() - constant)

    def depth(sigma: float) -> float:
        def against(level: float) -> float:
            return -at(sigma, level)

        best = optimize.minimize_scalar(against, bounds=(-4, 4), method="bounded")
        return -float(best.fun)

    return depth


def median_rate_ratio(observed: np.ndarray, expected: np.ndarray) -> tuple[float, float, Profile]:
    """Log of the ratio that a client would typically meet on moving from the better to the worse of
    two people.

    The logs of the true ratios are taken to be normal; returned with a standard error and the
    interval as a function of z, from the profile likelihood, which ends at 0 where luck may explain
    all. Source: METHODS 1 (A7).
    """
    ends = np.asarray(observed, float)
    due = np.asarray(expected, float)
    depth = _depth(ends, due)
    found = optimize.minimize_scalar(lambda s: -depth(s), bounds=(0, LARGEST), method="bounded")
    none_is_best = depth(0.0) >= depth(found.x) - 1e-6
    best = 0.0 if none_is_best else float(found.x)
    top = depth(best)

    def interval(z: float) -> tuple[float, float]:
        """Spreads whose log-likelihood lies less than z squared over two below the best."""

        def fall(sigma: float) -> float:
            return top - depth(sigma) - z**2 / 2

        low = 0.0
        if fall(0.0) > 0:
            low = optimize.brentq(fall, 0, best)
        high = LARGEST
        if fall(LARGEST) > 0:
            high = optimize.brentq(fall, best, LARGEST)
        return MEDIAN_STEP * low, MEDIAN_STEP * high

    value = MEDIAN_STEP * best
    _, highest = interval(Z95)
    return value, (highest - value) / Z95, interval


def _peaks(ends: np.ndarray, due: np.ndarray, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Where each one's likelihood times the normal curve is highest in z, and how wide it is there
    (Newton's steps).
    """
    z = np.zeros_like(due)
    for _ in range(50):
        power = np.clip(sigma * z, -30, 30)
        rate = due * np.exp(power)
        slope = sigma * (ends - rate) - z
        step = slope / (sigma**2 * rate + 1)
        bounded = np.clip(step, -1, 1)
        z = z + bounded
        if np.abs(step).max() < 1e-8:
            break
    factor = np.exp(np.clip(sigma * z, -30, 30))
    return z, 1 / np.sqrt(sigma**2 * due * factor + 1)
