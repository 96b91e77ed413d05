"""How far the ratio (A1) rests on single reps, on years of service and on what was not seen."""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy import stats

from retention.claims.contract_checks import YEAR, adjusted
from retention.contrast import NO_SPREAD, Contrast
from retention.history.opportunities import exit_rows, renewals_known
from retention.numbers import quantity
from retention.results import Estimate, Estimates, Finding
from retention.settings import Extra
from retention.stats.bands import band_exposure
from retention.stats.hazards import Fit, NotFittedError, fit_hazard
from retention.words import say


def ways_of_clustering(
    spells: pd.DataFrame,
    contracts: pd.DataFrame | None = None,
    extra: Mapping[str, Extra] | None = None,
) -> Estimates:
    """The verdict's ratio with its interval by client, and by rep where six are known; the wider is
    judged.
    """
    found = adjusted(spells, contracts, extra)
    if found.contrast.gate or found.fit is None:
        return Estimates((), say("contract_term.caption.clustering_none"))
    name = say("contract_term.estimate.ratio_over_cycle")
    contrast = found.contrast
    by_client = say("contract_term.group.by_client")
    alone = replace(contrast, by_rep=NO_SPREAD)
    rows = [alone.estimate("A1", name, by_client)]
    if contrast.by_rep.se:
        in_charge = found.rows["rep"]
        reps = in_charge.replace("", None).nunique()
        by_rep = say("contract_term.group.by_rep", reps=reps)
        apart = replace(contrast, se=0.0, df=math.inf)
        rows.append(apart.estimate("A1", name, by_rep))
    return Estimates(tuple(rows), say("contract_term.caption.clustering"))


def by_year_of_service(spells: pd.DataFrame, contracts: pd.DataFrame | None = None) -> Estimates:
    """The ratio in the first year of service and after it, and whether the two differ
    (likelihood-ratio test).
    """
    if not renewals_known(spells):
        return Estimates((), say("contract_term.caption.years_unknown"))
    rows = exit_rows(spells, contracts)
    monthly = rows["contract_term_months"] == 1
    first = monthly.astype(float)
    later = first * (rows["from_month"] >= YEAR)
    X = pd.DataFrame({"first": first, "later": later})
    exposure = band_exposure(rows["from_month"], rows["to_month"], rows["left"])
    try:
        both, one = (_plain(rows, X[names], exposure) for names in (["first", "later"], ["first"]))
    except NotFittedError:
        return Estimates((), say("contract_term.caption.years_none"))
    difference = 2 * (both.log_likelihood - one.log_likelihood)
    p = stats.chi2.sf(difference, 1)
    early = rows["from_month"] < YEAR
    first_year = say("contract_term.group.first_year")
    later_years = say("contract_term.group.later_years")
    later_parts = {"first": 1.0, "later": 1.0}
    later_rows = rows[~early]
    found = (
        _in_years(both, {"first": 1.0}, rows[early], first_year),
        _in_years(both, later_parts, later_rows, later_years),
    )
    return Estimates(found, say("contract_term.caption.years", p=p))


def _in_years(fit: Fit, parts: Mapping[str, float], rows: pd.DataFrame, group: str) -> Estimate:
    """The ratio that these coefficients add up to, with the clients and ends of these rows."""
    gone = rows["left"].sum()
    ends = {group: int(gone)}
    clients = rows["client_id"].nunique()
    contrast = Contrast(group, *fit.combined(parts), clients, ends)
    return contrast.estimate("A1", say("contract_term.estimate.ratio_not_adjusted"), group)


def _plain(rows: pd.DataFrame, X: pd.DataFrame, exposure: np.ndarray) -> Fit:
    left = rows["left"].to_numpy()
    return fit_hazard(left, X, exposure, rows["client_id"])


def ratios_without_a_rep(
    spells: pd.DataFrame,
    contracts: pd.DataFrame | None = None,
    extra: Mapping[str, Extra] | None = None,
) -> list[tuple[str, float]]:
    """The lowest and the highest ratio as the clients of one rep after the other are left out, each
    with the rep; empty where there are too few reps or ends.

    Which two reps matter most is told by one step from the estimate; without them it is fitted
    anew.
    """
    found = adjusted(spells, contracts, extra)
    if found.contrast.gate or found.fit is None or "rep_id" not in found.rows:
        return []
    rep_ids = found.rows["rep_id"]
    codes, reps = pd.factorize(rep_ids, sort=True)
    if len(reps) < 2:
        return []
    place = found.fit.names.index("first")
    theta = found.fit.without_each(codes)[:, place]
    ends = [reps[int(pick(theta))] for pick in (np.nanargmin, np.nanargmax)]
    again = {}
    for rep in dict.fromkeys(ends):
        of_rep = spells["rep_id"] == rep
        others = spells[~of_rep.fillna(False)]
        comparison = adjusted(others, contracts, extra)
        again[rep] = comparison.contrast
    if any(contrast.gate for contrast in again.values()):
        return []
    return [(rep, math.exp(again[rep].theta)) for rep in ends]


def without_each_rep(
    spells: pd.DataFrame,
    contracts: pd.DataFrame | None = None,
    extra: Mapping[str, Extra] | None = None,
) -> Finding:
    """The range of the ratio as the clients of one rep after the other are left out, in a
    sentence.
    """
    ends = ratios_without_a_rep(spells, contracts, extra)
    if not ends:
        return Finding("A1", say("contract_term.without_reps.few"))
    (lowest, low), (highest, high) = ends
    text = say(
        "contract_term.without_reps.range", low=low, lowest=lowest, high=high, highest=highest
    )
    return Finding("A1", text)


def e_values(contrast: Contrast) -> tuple[float, float]:
    """The E-values of a ratio and of the end of its 95 % interval that is nearer to no difference.

    The hazard ratio is turned into a risk ratio first, as for common ends. VanderWeele and Ding
    2017.
    """
    low, high = contrast.interval()
    nearest = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
    ratio_found = math.exp(abs(contrast.theta))
    return _e_value(ratio_found), _e_value(math.exp(nearest))


def _e_value(ratio: float) -> float:
    shorter = 1 - 0.5 ** math.sqrt(1 / ratio)
    risk = (1 - 0.5 ** math.sqrt(ratio)) / shorter
    more = risk * (risk - 1)
    return risk + math.sqrt(more)


def e_value(contrast: Contrast) -> Finding:
    """How strong something unrecorded would have to be to explain the ratio away, in a sentence."""
    if contrast.gate:
        return Finding("A1", say("contract_term.e_value.none"))
    point, limit = (quantity(value, "ratio") for value in e_values(contrast))
    text = say("contract_term.e_value.some", point=point, limit=limit)
    return Finding("A1", text)
