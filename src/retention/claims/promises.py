"""What was promised at signing, beside what was delivered (A8)."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from retention.claims.registry import Studied, Ways, claim
from retention.claims.rep_liking import NEEDS
from retention.contrast import Contrast
from retention.history.expected import EARLY
from retention.history.lagged import lagged_contrast
from retention.history.panel import Panel, lagged_rows
from retention.history.spells import AGENCY, CLIENT
from retention.numbers import Shown
from retention.results import Finding, Findings
from retention.stats.intervals import difference_by_rep
from retention.words import say, together

PROMISED = "promised_above_delivered"
SELLER = "seller_id"
CHANCE = 0.05  # that any seller stands out where all are alike
NOBODY: Mapping[str, str] = {}
MIN_GAPS = 5  # (ours) clients from which a mean gap is shown
AS_PLANNED = say("claims.way.as_planned")
EARLIER = say("sellers.way.earlier")
RESULTS_FIXED = say("sellers.way.results_fixed")
UNKNOWN_IS_AGENCY = say("sellers.way.unknown_is_agency")


@claim("A8")
def broken_promises(study: Studied) -> Ways:
    """Leaving by what was promised beyond what was delivered (A8)."""
    panel = study.panel
    return Ways(gap_ratio(panel), gap_sensitivities(panel), missing=missing_promises(panel))


def missing_promises(panel: Panel) -> list[str]:
    """What the comparison of promises and results lacks."""
    lacking = bool(np.isnan(panel.gap).all())
    return [say("sellers.needs.promised"), NEEDS["results"]] if lacking else []


def gap_ratio(
    panel: Panel, *, lag: int = 0, unknown: str = CLIENT, held: bool = False, name: str = AS_PLANNED
) -> Contrast:
    """Log ratio of leaving per standard deviation more promised than delivered, lagged like liking
    (A8).

    `held` holds the results themselves fixed: then only the promise differs.
    """
    rows = lagged_rows(panel, lag=lag, unknown=unknown)
    rows = rows.drop(columns="silent")  # whoever was asked, and answered or not
    columns = ("gap", "delivered") if held else ("gap",)
    return lagged_contrast(rows, columns, {"gap": 1.0}, name)


def gap_sensitivities(panel: Panel) -> list[Contrast]:
    """The pre-listed other ways to compute the effect of the gap (plan.toml, A8)."""
    later = panel.lag + 1
    return [
        gap_ratio(panel, lag=later, name=EARLIER),
        gap_ratio(panel, held=True, name=RESULTS_FIXED),
        gap_ratio(panel, unknown=AGENCY, name=UNKNOWN_IS_AGENCY),
    ]


def promised_and_delivered(
    panel: Panel, by: str, names: Mapping[str, str] | pd.Series = NOBODY
) -> pd.DataFrame:
    """Mean result promised over the one delivered in the first six months of service, by seller_id
    or rep_id; `names` stand for ids where they are known.

    A client counts once, with the mean of its months. In percent: 10 means that a tenth more was
    promised. With the interval of a mean (t); people with fewer than five such clients are left
    out.
    """
    gaps = _gaps(panel, by, names)
    if gaps is None:
        return pd.DataFrame()
    rows = []
    for who, values in gaps.items():
        middle, low, high = _in_percent(values)
        interval = say("sellers.promises.interval", low=round(low), high=round(high))
        rows.append((who, len(values), round(middle) + 0.0, Shown(interval, middle)))
    table = pd.DataFrame(rows, columns=["who", "clients", PROMISED, "interval"])
    return table.sort_values(PROMISED, ascending=False, ignore_index=True)


def gaps_with_limits(panel: Panel, by: str) -> pd.DataFrame:
    """The same as numbers for a picture, in per cent: `name, estimate, low, high, clients`."""
    rows = [
        (who, *_in_percent(values), len(values)) for who, values in (_gaps(panel, by) or {}).items()
    ]
    table = pd.DataFrame(rows, columns=["name", "estimate", "low", "high", "clients"])
    return table.sort_values("estimate", ascending=False, ignore_index=True)


def _gaps(
    panel: Panel, by: str, names: Mapping[str, str] | pd.Series = NOBODY
) -> dict[Any, pd.Series] | None:
    """The mean gap (log scale) of each client in the first six months of service, by person; only
    people with enough such clients. None where nothing was promised or nobody is named.
    """
    spells = panel.spells
    if by not in spells or np.isnan(panel.gap[:, :EARLY]).all():
        return None
    mean = _early_gap(panel)
    known = {names.get(who, who): part.dropna() for who, part in mean.groupby(spells[by])}
    return {who: values for who, values in known.items() if len(values) >= MIN_GAPS}


def _early_gap(panel: Panel) -> pd.Series:
    """The mean gap (log scale) of each engagement in its first six months of service."""
    grid = panel.gap[:, :EARLY]
    return pd.DataFrame(grid).mean(axis=1)


def _chance(values: pd.Series, rest: pd.Series, reps: pd.Series) -> float:
    """How often chance alone puts the mean of `values` so far above that of `rest` (one-sided): by
    client (Welch's t) or by the rep who serves them, `reps` of all engagements, the larger.
    """
    test = stats.ttest_ind(values, rest, equal_var=False, alternative="greater")
    both = pd.concat([values, rest])
    places = np.arange(len(both))
    marks = places < len(values)
    served = reps.loc[both.index]
    in_charge = served.to_numpy(object)
    gaps = both.to_numpy(float)
    spread = difference_by_rep(gaps, marks, in_charge)
    if not spread.se > 0:
        return float(test.pvalue)
    gap = values.mean() - rest.mean()
    by_rep = stats.t.sf(gap / spread.se, spread.df)
    return max(float(test.pvalue), float(by_rep))


def beyond_luck(
    panel: Panel, table: pd.DataFrame, names: Mapping[str, str] | pd.Series = NOBODY
) -> Findings:
    """The sellers who promise more above what is delivered than the others do, beyond luck, with
    their early ends over those expected; `table` as from `sellers.sellers`, by name where `names`
    are given.

    Each seller's mean is compared with that of the others' clients (`_chance`), at a chance of 5 %
    for all sellers together (Bonferroni).
    """
    gaps = _gaps(panel, SELLER, names) or {}
    reps = pd.Series(panel.rep[:, 0])
    found = []
    for who, values in gaps.items():
        others = [part for name, part in gaps.items() if name != who]
        if not others or values.nunique() < 2:
            continue
        rest = pd.concat(others)
        if _chance(values, rest, reps) < CHANCE / len(gaps):
            found.append(_beyond_words(who, values, rest, table))
    return Findings(tuple(found), "")


def _beyond_words(who: Any, values: pd.Series, rest: pd.Series, table: pd.DataFrame) -> Finding:
    """What a seller promises above delivery beside the others, and how many of its clients left
    early.
    """
    more, usual = (round(_in_percent(each)[0]) for each in (values, rest))
    text = say("sellers.promises.stands_out", who=who, more=more, usual=usual, n=len(values))
    if who not in table.index or table.loc[who, "few"]:
        return Finding("A8", text, "headline")
    row = table.loc[who]
    early = say("sellers.promises.early", ends=row["observed"], expected=row["expected"])
    return Finding("A8", together(text, early), "headline")


def _in_percent(values: pd.Series) -> tuple[float, float, float]:
    """The mean of gaps (log scale) with its 95 % limits, in per cent promised above delivered."""
    quantile = stats.t.ppf(0.975, len(values) - 1)
    half = quantile * values.std() / math.sqrt(len(values))
    middle = values.mean()
    return (
        100 * math.expm1(middle),
        100 * math.expm1(middle - half),
        100 * math.expm1(middle + half),
    )
