"""What a trial shows, from the design alone: who was to act and who was to wait was drawn at
random within strata, so the same draw is made again many times (Fisher 1935; Rosenbaum 2002, ch. 2;
METHODS 12).

The estimate is the difference between the arms adjusted for the stratum and one number known before
the draw. Its interval holds every difference that the draws do not refute: for each, the outcomes
without it are compared anew under other draws, each by its own robust standard error, which keeps
the level also where the arms differ in spread (Wu and Ding 2021).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

DRAWS, SEED = 1999, 20250
STEPS = 40  # halvings of the search for a limit
SMALLEST = 1e-12  # a residual sum under which nothing is left to compare


@dataclass(frozen=True)
class Effect:
    """The mean outcome of those to act less that of those to wait: `theta`, standard error `se`,
    and `n` clients.

    `interval` gives the limits at a level; both are NaN where the outcomes do not differ at all.
    """

    theta: float
    se: float
    n: int
    _test: _Test | None = None

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """The differences that the draws do not refute at this level."""
        if self._test is None or not math.isfinite(self.se):
            return math.nan, math.nan
        return self._test.limit(-1, level), self._test.limit(1, level)

    def p_value(self, theta: float = 0.0) -> float:
        """The share of draws whose difference lies as far from `theta` as the one seen, or farther;
        NaN where nothing can be compared.
        """
        return math.nan if self._test is None else self._test.p_value(theta)


def effect(
    outcome: Sequence[float] | np.ndarray,
    acted: Sequence[bool] | np.ndarray,
    stratum: Sequence[object] | np.ndarray,
    before: Sequence[float] | np.ndarray,
    draws: int = DRAWS,
    seed: int = SEED,
) -> Effect:
    """The effect of being drawn to act, by intention to treat.

    All of shape (n,): `outcome`; `acted`, whether drawn to act; `stratum`, within which was drawn;
    `before`, a number known before (the predicted risk). Strata that hold one arm alone tell
    nothing and are left out.
    """
    y = np.asarray(outcome, float)
    z = np.asarray(acted, bool)
    codes = np.unique(np.asarray(stratum, str), return_inverse=True)[1]
    x = np.asarray(before, float)
    told = _both_arms(z, codes)
    y, z, codes, x = y[told], z[told], codes[told], x[told]
    if not len(y):
        return Effect(math.nan, math.nan, 0)
    held = _held(codes, x)
    rest = _without(held, y)
    if float(rest @ rest) < SMALLEST:
        return Effect(0.0, math.nan, len(y))
    arms = np.vstack([z, _drawn_again(z, codes, draws, seed)]).astype(float)
    arms = arms - (arms @ held) @ held.T
    test = _Test(rest, arms)
    theta, se = test.observed()
    return Effect(theta, se, len(y), test)


def _both_arms(z: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Whether each client's stratum holds both arms, shape (n,)."""
    size = np.bincount(codes)
    acting = np.bincount(codes, weights=z)
    both = (acting > 0) & (acting < size)
    return np.asarray(both[codes])


def _held(codes: np.ndarray, x: np.ndarray) -> np.ndarray:
    """An orthonormal basis of what is held fixed, shape (n, k): the strata, and `x` where it says
    more.
    """
    strata = np.eye(codes.max() + 1)[codes]
    known = np.where(np.isfinite(x), x, np.nanmean(x) if np.isfinite(x).any() else 0.0)
    columns = np.column_stack([strata, known])
    u, size, _ = np.linalg.svd(columns, full_matrices=False)
    return np.asarray(u[:, size > SMALLEST * size.max()])


def _without(held: np.ndarray, values: np.ndarray) -> np.ndarray:
    """What is left of values, shape (n,), when what is held fixed is taken out."""
    return np.asarray(values - held @ (held.T @ values))


def _drawn_again(z: np.ndarray, codes: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """The draw made again: as many to act in each stratum, shape (draws, n)."""
    rng = np.random.default_rng(seed)
    again = np.zeros((draws, len(z)), dtype=bool)
    for code in np.unique(codes):
        at = np.flatnonzero(codes == code)
        order = rng.random((draws, len(at))).argsort(axis=1)
        again[:, at] = order < z[at].sum()
    return again


@dataclass(frozen=True)
class _Test:
    """The arms as drawn (first row) and as drawn again, shape (1 + draws, n), and the outcome; of
    all, what is held fixed is taken out.
    """

    rest: np.ndarray
    arms: np.ndarray

    def observed(self) -> tuple[float, float]:
        """The difference as drawn, with its robust standard error."""
        theta, se = self._compare(self.rest, self.arms[:1])
        return float(theta[0]), float(se[0])

    def _compare(self, rest: np.ndarray, arms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Difference and standard error under each row of arms."""
        weight = np.maximum((arms**2).sum(axis=1), SMALLEST)
        theta = arms @ rest / weight
        left = rest - theta[:, None] * arms
        spread = np.sqrt((arms**2 * left**2).sum(axis=1))
        return theta, spread / weight

    def _far(self, theta: float) -> np.ndarray:
        """How far from `theta` the difference lies under each draw, in standard errors."""
        without = self.rest - theta * self.arms[0]
        found, se = self._compare(without, self.arms)
        return np.asarray(np.abs(found) / np.maximum(se, SMALLEST))

    def p_value(self, theta: float) -> float:
        """The share of draws, the one made among them, that lie as far or farther."""
        far = self._far(theta)
        return float((far >= far[0] * (1 - 1e-9)).mean())

    def limit(self, side: int, level: float) -> float:
        """The last difference to one side that is not refuted, by halving."""
        theta, se = self.observed()
        near, step = theta, max(se, 1e-6)
        far = theta + side * step
        while self.p_value(far) > 1 - level:
            near, step = far, 2 * step
            far = theta + side * step
            if step > 1e9:
                return side * math.inf
        for _ in range(STEPS):
            middle = (near + far) / 2
            inside = self.p_value(middle) > 1 - level
            near, far = (middle, far) if inside else (near, middle)
            if abs(far - near) < 1e-4 * se:
                break
        return near
