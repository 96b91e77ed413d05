"""Second opinions on the contract term (A1): other estimators, cycles apart, people and clients
left out.

Each is weaker than the verdict's own estimator in one way and stronger in another. Source: METHODS
2.
"""

import math
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd

from retention.claims.contract_balance import overlap_weights
from retention.claims.contract_term import (
    FIXED,
    MONTHLY,
    arms,
    clients_of,
    compared,
    contract_hazard_ratio,
    contract_sensitivities,
)
from retention.claims.registry import Studied, Ways, claim
from retention.contrast import Contrast
from retention.history import opportunities
from retention.history.follow_up import follow_up
from retention.history.held import known_size
from retention.history.in_charge import rep_in
from retention.history.opportunities import Adjusted, exit_rows, renewals_known, spreads
from retention.history.spells import CLIENT, KINDS, UNKNOWN, ends_near_due, month_of_end, row_terms
from retention.results import Finding
from retention.settings import Extra, study_plan
from retention.stats.bands import band_exposure
from retention.stats.curves import after, kaplan_meier
from retention.stats.hazards import NotFittedError, fit_hazard
from retention.stats.outcomes import Outcome
from retention.words import say

YEAR = 12  # months in a grouped cycle, which terms of 1, 6 and 12 months divide
LARGEST = 0.90  # quantile of size above which clients are left out to see what the largest carry
NEAR_DAYS = 10  # (ours) days by which an end may miss the day it is meant for
# (ours) share and number of ends just after a renewal from which it is said
MANY_NEAR, LEAST_NEAR = 0.10, 5
OVERLAP = say("contract_term.way.overlap_weights")
WHOLE_YEARS = say("contract_term.way.whole_years")
WEIGHTED = say("contract_term.caveat.weighted")
PLANTED = 2  # the ratio of the simulated agencies in which changes of term are not on record


@claim("A1")
def month_to_month(study: Studied) -> Ways:
    """Month-to-month clients against clients on a fixed term (A1)."""
    about = study.contracts, study.at_signing
    primary = contract_hazard_ratio(study.spells, contracts=about[0], extra=about[1])
    planned = all_sensitivities(study.spells, *about)
    return Ways(primary, planned)


def all_sensitivities(
    spells: pd.DataFrame,
    contracts: pd.DataFrame | None = None,
    extra: Mapping[str, Extra] | None = None,
) -> list[Contrast]:
    """The pre-listed other ways to compute A1's contrast (plan.toml), those of this module
    included.
    """
    ways = contract_sensitivities(spells, contracts, extra)
    if not renewals_known(spells):
        return ways
    ratio = partial(contract_hazard_ratio, contracts=contracts, extra=extra)
    known = known_size(spells)
    largest = known > known.quantile(LARGEST)
    smaller = spells[~largest]
    on_time_name = say("contract_term.way.on_time", days=NEAR_DAYS)
    return [
        *ways,
        overlap_weighted(spells, contracts, extra),
        grouped_cycles(spells, extra=extra),
        ratio(smaller, name=say("contract_term.way.without_largest")),
        ratio(on_time(spells), name=on_time_name),
    ]


def on_time(spells: pd.DataFrame) -> pd.DataFrame:
    """The engagements with ends up to ten days after a renewal counted as at it, as those up to ten
    days before are.

    A month-to-month client has a renewal each month; a fixed term is the one signed first.
    """
    month = month_of_end(spells["start_date"], spells["end_date"], NEAR_DAYS)
    into_term = month % spells["contract_term_months"].astype(int)
    at_renewal = spells["ended"] & (into_term == 0)
    at_month = month.where(at_renewal, spells["stop_months"])
    stop = at_month.astype(int)
    counted = spells["ended"] & (stop > spells["entry_months"])
    return spells.assign(stop_months=stop, ended=counted)


def near_renewals(spells: pd.DataFrame) -> Finding:
    """How many ends of fixed terms lie just after a renewal, in a sentence; empty where few do, or
    dates are unknown.

    Such an end counts in the next term: if it was meant for the renewal, fixed terms look better
    than they are.
    """
    early, at, late = (
        ends_near_due(spells, within=NEAR_DAYS) if renewals_known(spells) else (0, 0, 0)
    )
    many = MANY_NEAR * (early + at + late)
    if late < max(LEAST_NEAR, many):
        return Finding("A1", "")
    way = say("contract_term.way.on_time", days=NEAR_DAYS)
    ends = early + at + late
    text = say("contract_term.near_renewals.some", late=late, ends=ends, days=NEAR_DAYS, way=way)
    return Finding("A1", text)


def unrecorded_terms(spells: pd.DataFrame, contracts: pd.DataFrame | None = None) -> Finding:
    """How far the ratio may be off where changes of term are not on record, in a sentence; empty
    where they are.

    The numbers come from simulated agencies in which the ratio is 2 (plan.toml;
    tests/simulate_held.py).
    """
    if contracts is not None or row_terms(spells) is not None or not renewals_known(spells):
        return Finding("A1", "")
    read = study_plan()["unrecorded_terms"]["ratio_read"]
    read_ratios = [f"{ratio:.2f}" for ratio in read.values()]
    text = say(
        "contract_term.unrecorded_terms.some",
        truth=PLANTED,
        ratios=_either(read_ratios),
        shares=_either([f"{share}%" for share in read]),
    )
    return Finding("A1", text)


def _either(values: Sequence[str]) -> str:
    """Several values in a row: "1%, 2% or 5%"."""
    if len(values) < 2:
        return "".join(values)
    all_but_last = ", ".join(values[:-1])
    last_one = values[-1]
    return say("contract_term.list.or", first=all_but_last, last=last_one)


def what_was_held(
    spells: pd.DataFrame,
    contracts: pd.DataFrame | None = None,
    extra: Mapping[str, Extra] | None = None,
) -> Finding:
    """What the verdict's comparison holds fixed, and what was offered and is not, with why, in
    sentences.
    """
    comparison = adjusted(spells, contracts, extra)
    return opportunities.in_words("A1", comparison)


def overlap_weighted(
    spells: pd.DataFrame,
    contracts: pd.DataFrame | None = None,
    extra: Mapping[str, Extra] | None = None,
    name: str = OVERLAP,
) -> Contrast:
    """The verdict's contrast with weights in place of covariates, by client; the weights are taken
    as known.
    """
    rows = exit_rows(spells, contracts)
    monthly = rows["contract_term_months"] == 1
    first = monthly.astype(float)
    gone_of_first = rows.loc[first == 1, "left"].sum()
    if gone_of_first in (0, rows["left"].sum()):
        no_time = np.ones((len(rows), 1))
        equal = np.ones(len(rows))
        return _fitted(name, rows, first, no_time, equal, ())
    keys = ["client_id", "engagement"]
    weighted = rows.merge(
        spells[keys].assign(weight=overlap_weights(spells, extra)[0]), on=keys, how="left"
    )
    weights = weighted["weight"]
    exposure = band_exposure(rows["from_month"], rows["to_month"], rows["left"])
    weight = weights.to_numpy()
    return _fitted(name, rows, first, exposure, weight, (WEIGHTED,))


def _fitted(
    name: str,
    rows: pd.DataFrame,
    first: pd.Series,
    exposure: np.ndarray,
    weights: np.ndarray,
    said: tuple[str, ...],
) -> Contrast:
    """The contrast of the rows marked `first` (0 or 1) with all others, from a weighted fit without
    covariates.
    """
    clients = rows["client_id"].nunique()
    y = rows["left"].to_numpy()
    events = {
        clients_of(arm): int(y[first == flag].sum()) for arm, flag in ((MONTHLY, 1), (FIXED, 0))
    }
    try:
        marked = first.rename("first").to_frame()
        fit = fit_hazard(y, marked, exposure, rows["client_id"], weights)
    except NotFittedError as error:
        lacking = (say("held.lacking.no_ratio", error=error),)
        return Contrast(name, math.nan, math.nan, clients, events, lacking)
    counts = tuple(events.values())
    reps = rows.get("rep")
    spread, by_rep = spreads(fit, {"first": 1.0}, reps, counts)
    theta = fit.coefficient("first")
    return Contrast(name, theta, spread.se, clients, events, (), said, None, spread.df, by_rep)


def grouped_cycles(
    spells: pd.DataFrame, extra: Mapping[str, Extra] | None = None, name: str = WHOLE_YEARS
) -> Contrast:
    """The contrast on whole years of service: who left by choice within one, weighted for those
    whom other ends took.

    A year counts where it began and was to end under observation. Who left otherwise is dropped,
    and the others of its group stand in: weights are the inverse of the chance of no other end
    until then, by group, times those that make the groups alike at signing. METHODS 2.
    """
    monthly = spells["contract_term_months"] == 1
    both = monthly.nunique() > 1
    alike = overlap_weights(spells, extra)[0] if both else np.ones(len(spells))
    kinds = [kind for kind in KINDS.values() if kind != KINDS[CLIENT]]
    other = follow_up(spells).only(kinds)
    longest = spells["observed_months"].max()
    last_start = int(longest) - YEAR
    parts = []
    for arm, mask in arms(spells, YEAR).items():
        for start in range(0, last_start + 1, YEAR):
            year = _whole_year(spells, other, mask, start, alike)
            is_monthly = float(arm == MONTHLY)
            parts.append(year.assign(first=is_monthly))
    if not sum(len(part) for part in parts):
        empty = {clients_of(arm): 0 for arm in (MONTHLY, FIXED)}
        lacking = (say("contract_term.lacking.no_year"),)
        return Contrast(name, math.nan, math.nan, 0, empty, lacking)
    rows = pd.concat(parts, ignore_index=True)
    by_year = rows.groupby("year")["left"]
    count = by_year.agg(["sum", "size"])
    stayed = count["size"] - count["sum"] >= 2
    enough = (count["sum"] >= 2) & stayed
    # Later years, of a handful of clients, share a rate with the last one that has enough.
    last = count.index[enough].max() if enough.any() else 0
    capped = rows["year"].clip(upper=last)
    years = pd.get_dummies(capped).to_numpy(float)
    weight = rows["weight"].to_numpy()
    return _fitted(name, rows, rows["first"], years, weight, (WEIGHTED,))


def _whole_year(
    spells: pd.DataFrame, other: Outcome, arm: np.ndarray, start: int, alike: np.ndarray
) -> pd.DataFrame:
    """Engagements of an arm in the year of service from month `start` on: `client_id, year, left,
    weight`, and `rep` where it is known; without those whom ends of `other` kinds took.
    """
    kind = spells["end_kind"].replace(UNKNOWN, CLIENT)
    known = kind.map(KINDS)
    counted = known.where(spells["ended"])
    kinds = counted.fillna(0).to_numpy(int)
    stop = spells["stop_months"].to_numpy()
    entered = spells["entry_months"] <= start
    seen = arm & entered & (stop > start)
    long_enough = spells["observed_months"] >= start + YEAR
    seen = (seen & long_enough).to_numpy(bool)
    in_year = stop <= start + YEAR
    inside = (kinds > 0) & in_year
    other_end = inside & (kinds != KINDS[CLIENT])
    chosen = np.flatnonzero(seen & ~other_end)
    until = np.minimum(stop[chosen], start + YEAR)
    months, at = np.unique(until, return_inverse=True)
    # From its own start: an early risk set of one may send the curve of all months to 0.
    others_of_arm = other.where(arm)
    curve = kaplan_meier(others_of_arm.since(start))
    shares = [after(curve, month)["survival"] for month in months]
    free = np.array(shares)[at]
    whose = spells["client_id"].to_numpy()[chosen]
    frame = pd.DataFrame({"client_id": whose})
    gone_in_year = inside[chosen].astype(int)
    frame = frame.assign(year=start // YEAR, left=gone_in_year)
    if "reps" in spells:
        reps_then = spells["reps"].iloc[chosen]
        frame["rep"] = rep_in(reps_then, pd.Series(until))
    return frame.assign(weight=alike[chosen] / free)


def adjusted(
    spells: pd.DataFrame,
    contracts: pd.DataFrame | None = None,
    extra: Mapping[str, Extra] | None = None,
) -> Adjusted:
    """The verdict's comparison with the regression behind it; without one where renewals are not
    known.
    """
    if not renewals_known(spells):
        nobody = spells.head(0)
        return Adjusted(contract_hazard_ratio(spells), None, nobody)
    return compared(exit_rows(spells, contracts, more=extra or ()), extra)
