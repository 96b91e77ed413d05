"""Whether groups leave at one pace, at equal opportunity: a score test, by client and by rep.

It needs no fit with the groups in it, and is the log-rank test of opportunities to leave.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from retention.stats.hazards import Fit, NotFittedError, fit_hazard
from retention.stats.intervals import effective_number, tells

Floats = np.ndarray[Any, np.dtype[np.float64]]


def score_test(
    left: Floats,
    exposure: Floats,
    clients: Sequence[object] | pd.Series,
    parts: Floats,
    reps: Any = None,
) -> float:
    """The p value of `parts` (n, k) telling leavers from stayers among rows of like months of
    service; NaN where all left or none.

    With `reps` (n,), who was in charge of each row ("" for nobody), the larger of the p values by
    client and by rep: clients of one rep rise and fall together, and a part that follows the rep
    would be found by that alone. By rep the statistic is scaled by its variance between reps and
    held against F (Rao and Scott 1984), where reps are enough to tell.
    """
    try:
        nothing = pd.DataFrame(index=range(len(left)))
        fit = fit_hazard(left, nothing, exposure, clients)
    except NotFittedError:
        return math.nan
    odds = 1 / np.expm1(fit.expected)
    spread = fit.expected * np.sqrt(odds)
    slopes = parts * spread[:, None]
    squares = slopes.T @ slopes
    across = slopes.T @ fit.slopes
    shared = across @ fit.bread
    information = squares - shared @ across.T
    residual = np.where(left > 0, odds, -1.0)
    pull = residual * fit.expected
    own = parts * pull[:, None]
    scores = own - fit.scores @ shared.T
    total = scores.sum(axis=0)
    solved = np.linalg.lstsq(information, total, rcond=None)
    gain = float(total @ solved[0])
    number = parts.shape[1]
    by_client = float(stats.chi2.sf(gain, number))
    if reps is None:
        return by_client
    return max(by_client, _by_rep(gain, information, scores, reps, fit))


def _by_rep(gain: float, information: Floats, scores: Floats, reps: Any, fit: Fit) -> float:
    """The p value of the statistic `gain` where what varies is the reps; 0 where they do not
    tell, so that the one by client stands.
    """
    names = np.asarray(reps, dtype=object)
    labels = pd.Series(names).replace("", None)
    codes = pd.factorize(labels)[0]
    named = codes >= 0
    sizes = np.bincount(codes[named], fit.expected[named]).astype(float)
    if not tells(sizes):
        return 0.0
    columns = [np.bincount(codes[named], each) for each in scores[named].T]
    sums = np.stack(columns, axis=1)
    apart = sums - sums.mean(axis=0)
    few = len(sums) / (len(sums) - 1)
    between = few * apart.T @ apart
    solved = np.linalg.lstsq(information, between, rcond=None)
    values = np.linalg.eigvals(solved[0])
    over = values.real.clip(min=0)
    mean = over.mean()
    if not mean > 0:
        return 0.0
    degrees = over.sum() ** 2 / (over**2).sum()
    of_reps = effective_number(sizes) - 1
    scaled = gain / (mean * len(over))
    return float(stats.f.sf(scaled, degrees, degrees * of_reps))
