"""Months of service in bands, and curves of a covariate: what a hazard is fitted on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

BANDS = (3, 6, 12, 18, 24)  # months of service at which a tenure band ends: METHODS 2
MIN_BAND_EVENTS = 2


def band_exposure(from_month: np.ndarray, to_month: np.ndarray, left: np.ndarray) -> np.ndarray:
    """Months of each row in each tenure band, shape (n, bands).

    Bands with fewer than two ends join their neighbour, and so do bands that every row visits in
    the same proportion (the first two, where all rows are whole terms): their rates could not be
    distinguished.
    """
    edges = [0, *BANDS, np.inf]
    start, stop, gone = (np.asarray(values, float) for values in (from_month, to_month, left))
    while len(edges) > 2:
        months = _overlap(start, stop, edges)
        share = gone[:, None] * months / (stop - start)[:, None]
        ends = share.sum(axis=0)
        length = np.linalg.norm(months, axis=0)
        overlap = (months[:, 1:] * months[:, :-1]).sum(axis=0)
        alike = overlap > (1 - 1e-9) * length[1:] * length[:-1]
        same = np.append(False, alike)
        few = np.flatnonzero((ends < MIN_BAND_EVENTS) | same)
        if not len(few):
            break
        edges.pop(
            int(few[0]) if few[0] else 1
        )  # its lower edge goes; of the first band, the upper one
    return _overlap(start, stop, edges)


def _overlap(start: np.ndarray, stop: np.ndarray, edges: Sequence[float]) -> np.ndarray:
    begins = edges[:-1]
    bands = zip(begins, edges[1:], strict=True)
    return np.column_stack(
        [np.clip(np.minimum(stop, high) - np.maximum(start, low), 0, None) for low, high in bands]
    )


def natural_spline(values: pd.Series, knots: int = 3) -> pd.DataFrame:
    """A restricted cubic spline: `linear`, and knots - 2 further columns, straight beyond the outer
    knots.

    Knots at the 10th, 50th and 90th percentiles for three (Harrell); fewer columns where values
    tie.
    """
    places = np.linspace(0.1, 0.9, knots)
    at = np.unique(np.quantile(values, places))
    columns = {"linear": values - values.mean()}
    x = values.to_numpy(float)
    whole = at[-1] - at[0]
    width = max(whole, 1e-12)
    for j in range(len(at) - 2):
        last = at[-1]
        before = at[-2]
        reach_ = before - at[j]
        cubic = np.clip(x - at[j], 0, None) ** 3 - (
            np.clip(x - before, 0, None) ** 3 * (last - at[j])
            - np.clip(x - last, 0, None) ** 3 * reach_
        ) / (last - before)
        scaled = cubic / width**2
        columns[f"curve {j + 1}"] = pd.Series(scaled, values.index)
    return pd.DataFrame(columns)
