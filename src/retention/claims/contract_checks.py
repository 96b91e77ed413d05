"""Second opinions on the contract term (A1): other estimators, cycles apart, people and clients
left out.

Each is weaker than the verdict's own estimator in one way and stronger in another. Source: METHODS
2.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.linear_model import LogisticRegression

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
from retention.history import opportunities
from retention.history.follow_up import follow_up
from retention.history.held import NOT_KNOWN, known_size, offered, size, thing
from retention.history.in_charge import rep_in
from retention.history.opportunities import Adjusted, exit_rows, levels, renewals_known, spreads
from retention.history.spells import CLIENT, KINDS, UNKNOWN, ends_near_due, month_of_end, row_terms
from retention.results import NO_SPREAD, Contrast, Estimate, Estimates, Finding, quantity
from retention.settings import Extra, study_plan
from retention.stats.curves import after, kaplan_meier
from retention.stats.hazards import Fit, NotFittedError, band_exposure, fit_hazard
from retention.stats.outcomes import Outcome
from retention.words import say

YEAR = 12  # months in a grouped cycle, which terms of 1, 6 and 12 months divide
LARGEST = 0.90  # quantile of size above which clients are left out to see what the largest carry
SEEN_AT_SIGNING = ("source", "industry", "seller_id")
NEAR_DAYS = 10  # (ours) days by which an end may miss the day it is meant for
# (ours) share and number of ends just after a renewal from which it is said
MANY_NEAR, LEAST_NEAR = 0.10, 5
OVERLAP = say("contract_term.way.overlap_weights")
WHOLE_YEARS = say("contract_term.way.whole_years")
WEIGHTED = say("contract_term.caveat.weighted")
# Ids of blocks of what was known at signing, beside those named after a column.
OWN, YEAR_SIGNED, ALL_ALIKE = "own ", "year signed", "all alike"
PLANTED = 2  # the ratio of the simulated agencies in which changes of term are not on record
WEAK_PENALTY = 100.0  # logistic regression: enough to stay finite where a group is all of one kind


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
    return say("contract_term.list.or", first=all_but_last, last=values[-1])


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


def overlap_weights(
    spells: pd.DataFrame, extra: Mapping[str, Extra] | None = None
) -> tuple[np.ndarray, pd.DataFrame]:
    """A weight for each engagement, shape (n,), and the balance that the weights bring.

    The weight is the chance of the term *not* taken, by what was known at signing: it favours
    clients who could have signed either. The table: `about, before, after`, standardised
    differences of means; below .1 is balanced.
    """
    monthly = (spells["contract_term_months"] == 1).to_numpy()
    X = _at_signing(spells, extra or {})
    spread = X.std().replace(0, 1)
    X = (X - X.mean()) / spread
    model = LogisticRegression(C=WEAK_PENALTY, max_iter=1000)
    fitted = model.fit(X.to_numpy(), monthly)
    chance = fitted.predict_proba(X.to_numpy())[:, 1]
    weights = np.where(monthly, 1 - chance, chance)
    alike = np.ones(len(X))
    before, after_it = (_difference(X, monthly, w) for w in (alike, weights))
    about = [_covariate(block, column) for block, column in X.columns]
    differences = {"about": about, "before": before, "after": after_it}
    return weights, pd.DataFrame(differences)


def _at_signing(spells: pd.DataFrame, extra: Mapping[str, Extra]) -> pd.DataFrame:
    """What was known at signing as numbers, a row an engagement; columns by the ids of block and
    column.
    """
    rows = spells.assign(
        left=spells["ended"].astype(int),
        from_month=spells["entry_months"],
        to_month=spells["stop_months"],
    )
    blocks = {"size": size(rows)}
    blocks |= {name: levels(rows, rows[name]) for name in SEEN_AT_SIGNING if name in rows}
    own_columns = offered(rows, extra)[0]
    blocks |= {f"{OWN}{name}": block for name, block in own_columns.items()}
    if renewals_known(spells):  # a start that was counted back says how long the client stayed
        quarters = rows["start_date"].dt.year * 4
        quarter = quarters + rows["start_date"].dt.quarter
        years = (quarter - quarter.mean()) / 4
        blocks[YEAR_SIGNED] = years.rename("linear").to_frame()
    blocks = {name: block for name, block in blocks.items() if block.shape[1]}
    if not blocks:
        blocks[ALL_ALIKE] = pd.DataFrame({"linear": 0.0}, index=rows.index)
    columns = pd.concat(blocks, axis=1)
    return columns.astype(float)


def _covariate(block: str, column: str) -> str:
    """What a column of `_at_signing` is called."""
    if block == YEAR_SIGNED:
        return say("contract_term.balance.year")
    if block == ALL_ALIKE:
        return say("contract_term.balance.all_alike")
    name = thing(block.removeprefix(OWN))
    return say("contract_term.balance.category", thing=name, part=_part(column))


def _part(column: str) -> str:
    """What a column of a block is called: a part of a curve, blanks, or a category of the data."""
    if column == NOT_KNOWN:
        return say("contract_term.balance.not_known")
    return column


def balance(spells: pd.DataFrame, extra: Mapping[str, Extra] | None = None) -> pd.DataFrame:
    """The table of `overlap_weights`; empty where there is only one kind of term."""
    return (
        overlap_weights(spells, extra)[1]
        if (spells["contract_term_months"] == 1).nunique() > 1
        else pd.DataFrame()
    )


def _difference(X: pd.DataFrame, first: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Differences of weighted means of standardised covariates, first group less second."""
    others = X[~first]
    return np.average(X[first], axis=0, weights=weights[first]) - np.average(
        others, axis=0, weights=weights[~first]
    )


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
        return _fitted(name, rows, first, no_time, np.ones(len(rows)), ())
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
    spread, by_rep = spreads(fit, {"first": 1.0}, rows.get("rep"), counts)
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
            parts.append(year.assign(first=float(arm == MONTHLY)))
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
    years = pd.get_dummies(rows["year"].clip(upper=last)).to_numpy(float)
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
    found = (
        _in_years(both, {"first": 1.0}, rows[early], first_year),
        _in_years(both, later_parts, rows[~early], later_years),
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
