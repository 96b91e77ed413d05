"""What was promised at signing, beside what was delivered (A8)."""

import math

import numpy as np
import pandas as pd
from scipy import stats

from retention.claims.rep_liking import NEEDS
from retention.history.expected import EARLY
from retention.history.panel import Panel, lagged_contrast, lagged_rows
from retention.history.spells import AGENCY, CLIENT
from retention.results import Contrast

MIN_GAPS = 5  # (ours) clients from which a mean gap is shown


def missing_promises(panel: Panel) -> list[str]:
    """What the comparison of promises and results lacks."""
    promised = "what was promised at signing, in the unit of the result (column promised_result)"
    return [promised, NEEDS["results"]] if np.isnan(panel.gap).all() else []


def gap_ratio(
    panel: Panel,
    *,
    lag: int = 0,
    unknown: str = CLIENT,
    held: bool = False,
    name: str = "as planned",
) -> Contrast:
    """Log ratio of leaving per standard deviation more promised than delivered, lagged like liking
    (A8).

    `held` holds the results themselves fixed: then only the promise differs.
    """
    rows = lagged_rows(panel, lag=lag, unknown=unknown).drop(
        columns="silent"
    )  # whoever was asked, and answered or not
    return lagged_contrast(rows, ("gap", "delivered") if held else ("gap",), {"gap": 1.0}, name)


def gap_sensitivities(panel: Panel) -> list[Contrast]:
    """The pre-listed other ways to compute the effect of the gap (plan.toml, A8)."""
    return [
        gap_ratio(panel, lag=panel.lag + 1, name="a month earlier"),
        gap_ratio(panel, held=True, name="results held fixed"),
        gap_ratio(panel, unknown=AGENCY, name="unknown choice counts as the agency's"),
    ]


def promised_and_delivered(panel: Panel, by: str) -> pd.DataFrame:
    """Mean result promised over the one delivered in the first six months of service, by seller_id
    or rep_id.

    A client counts once, with the mean of its months. In percent: 10 means that a tenth more was
    promised. With the interval of a mean (t); people with fewer than five such clients are left
    out.
    """
    spells = panel.spells
    grid = panel.gap[:, :EARLY]
    if by not in spells or np.isnan(grid).all():
        return pd.DataFrame()
    mean = pd.DataFrame(grid).mean(axis=1)
    rows = []
    for who, part in mean.groupby(spells[by]):
        values = part.dropna()
        if len(values) >= MIN_GAPS:
            half = stats.t.ppf(0.975, len(values) - 1) * values.std() / math.sqrt(len(values))
            low, middle, high = (100 * math.expm1(values.mean() + k * half) for k in (-1, 0, 1))
            rows.append(
                (who, len(values), round(middle) + 0.0, f"{low + 0:.0f}% to {high + 0:.0f}%")
            )
    table = pd.DataFrame(
        rows, columns=["Who", "Clients", "Promised above delivered, %", "Interval"]
    )
    return table.sort_values("Promised above delivered, %", ascending=False, ignore_index=True)
