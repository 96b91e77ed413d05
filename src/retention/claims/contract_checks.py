"""Second opinions on the contract term (A1): other estimators, cycles apart, people and clients
left out.

Each is weaker than the verdict's own estimator in one way and stronger in another. Source: METHODS
2.
"""

import math
from collections.abc import Mapping
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
    compared,
    contract_hazard_ratio,
    contract_sensitivities,
)
from retention.history import opportunities
from retention.history.follow_up import follow_up
from retention.history.held import known_size, offered, size
from retention.history.in_charge import rep_in
from retention.history.opportunities import Adjusted, exit_rows, levels, renewals_known, spreads
from retention.history.spells import CLIENT, KINDS, UNKNOWN, ends_near_due, month_of_end, row_terms
from retention.results import NO_SPREAD, Contrast, Estimates, Finding, quantity
from retention.settings import Extra, study_plan
from retention.stats.curves import after, kaplan_meier
from retention.stats.hazards import Fit, NotFittedError, band_exposure, fit_hazard

YEAR = 12  # months in a grouped cycle, which terms of 1, 6 and 12 months divide
LARGEST = 0.90  # quantile of size above which clients are left out to see what the largest carry
SEEN_AT_SIGNING = ("source", "industry", "seller_id")
NEAR_DAYS = 10  # (ours) days by which an end may miss the day it is meant for
MANY_NEAR, LEAST_NEAR = (
    0.10,
    5,
)  # (ours) share and number of ends just after a renewal from which it is said
WEAK_PENALTY = 100.0  # logistic regression: enough to stay finite where a group is all of one kind


def all_sensitivities(
    spells: pd.DataFrame,
    contracts: pd.DataFrame | None = None,
    extra: Mapping[str, Extra] | None = None,
) -> list[Contrast]:
    """The pre-listed other ways to compute A1's contrast (plan.toml), those of this module
    included.
    """
    found = contract_sensitivities(spells, contracts, extra)
    ratio = partial(contract_hazard_ratio, contracts=contracts, extra=extra)
    if renewals_known(spells):
        found += [overlap_weighted(spells, contracts, extra), grouped_cycles(spells, extra=extra)]
        known = known_size(spells)
        smaller = spells[~(known > known.quantile(LARGEST))]
        found.append(ratio(smaller, name="without the largest tenth"))
        name = f"ends within {NEAR_DAYS} days of a renewal count as at it"
        found.append(ratio(on_time(spells), name=name))
    return found


def on_time(spells: pd.DataFrame) -> pd.DataFrame:
    """The engagements with ends up to ten days after a renewal counted as at it, as those up to ten
    days before are.

    A month-to-month client has a renewal each month; a fixed term is the one signed first.
    """
    month = month_of_end(spells["start_date"], spells["end_date"], NEAR_DAYS)
    at_renewal = spells["ended"] & (month % spells["contract_term_months"].astype(int) == 0)
    stop = month.where(at_renewal, spells["stop_months"]).astype(int)
    return spells.assign(stop_months=stop, ended=spells["ended"] & (stop > spells["entry_months"]))


def near_renewals(spells: pd.DataFrame) -> Finding:
    """How many ends of fixed terms lie just after a renewal, in a sentence; empty where few do, or
    dates are unknown.

    Such an end counts in the next term: if it was meant for the renewal, fixed terms look better
    than they are.
    """
    early, at, late = (
        ends_near_due(spells, within=NEAR_DAYS) if renewals_known(spells) else (0, 0, 0)
    )
    if late < max(LEAST_NEAR, MANY_NEAR * (early + at + late)):
        return Finding("A1", "")
    return Finding(
        "A1",
        f"Of {early + at + late:,} ends of fixed terms within {NEAR_DAYS} days of a renewal, "
        f"{late:,} lie after it and "
        "count in the next term. If they were written down late, the ratio is too high; the line "
        "'ends within "
        f"{NEAR_DAYS} days of a renewal count as at it' below shows it without that.",
    )


def unrecorded_terms(spells: pd.DataFrame, contracts: pd.DataFrame | None = None) -> Finding:
    """How far the ratio may be off where changes of term are not on record, in a sentence; empty
    where they are.

    The numbers come from simulated agencies in which the ratio is 2 (plan.toml;
    tests/simulate_held.py).
    """
    if contracts is not None or row_terms(spells) is not None or not renewals_known(spells):
        return Finding("A1", "")
    read = study_plan()["unrecorded_terms"]["ratio_read"]
    shares = [f"{share}%" for share in read]
    ratios = [f"{ratio:.2f}" for ratio in read.values()]
    return Finding(
        "A1",
        "The data do not tell which clients changed their term. In simulated agencies with a "
        "ratio of 2 it would read "
        f"{', '.join(ratios[:-1])} or {ratios[-1]} if {', '.join(shares[:-1])} or {shares[-1]} of "
        "month-to-month "
        "clients went over to a year each month. A table of contracts mends this.",
    )


def what_was_held(
    spells: pd.DataFrame,
    contracts: pd.DataFrame | None = None,
    extra: Mapping[str, Extra] | None = None,
) -> Finding:
    """What the verdict's comparison holds fixed, and what was offered and is not, with why, in
    sentences.
    """
    return opportunities.in_words("A1", adjusted(spells, contracts, extra))


def overlap_weights(
    spells: pd.DataFrame, extra: Mapping[str, Extra] | None = None
) -> tuple[np.ndarray, pd.DataFrame]:
    """A weight for each engagement, shape (n,), and the balance that the weights bring.

    The weight is the chance of the term *not* taken, by what was known at signing: it favours
    clients who could have signed either. The table: `About, Before, After`, standardised
    differences of means; below .1 is balanced.
    """
    monthly = (spells["contract_term_months"] == 1).to_numpy()
    told = spells.assign(left=spells["ended"].astype(int))
    told = told.assign(from_month=spells["entry_months"], to_month=spells["stop_months"])
    parts = [size(told).add_prefix("size ")]
    parts += [
        levels(told, told[name]).add_prefix(f"{name} ") for name in SEEN_AT_SIGNING if name in told
    ]
    parts += [block.add_prefix(f"{name} ") for name, block in offered(told, extra or {})[0].items()]
    quarter = told["start_date"].dt.year * 4 + told["start_date"].dt.quarter
    if renewals_known(spells):  # a start that was counted back says how long the client stayed
        parts.append(((quarter - quarter.mean()) / 4).rename("year of signing").to_frame())
    X = pd.concat(parts, axis=1).astype(float)
    X = X if X.shape[1] else X.assign(**{"all alike": 0.0})
    X = (X - X.mean()) / X.std().replace(0, 1)
    chance = (
        LogisticRegression(C=WEAK_PENALTY, max_iter=1000).fit(X, monthly).predict_proba(X)[:, 1]
    )
    weights = np.where(monthly, 1 - chance, chance)
    gap = [_difference(X, monthly, w) for w in (np.ones(len(X)), weights)]
    return weights, pd.DataFrame({"About": X.columns, "Before": gap[0], "After": gap[1]})


def balance(spells: pd.DataFrame, extra: Mapping[str, Extra] | None = None) -> pd.DataFrame:
    """The table of `overlap_weights`; empty where there is only one kind of term."""
    return (
        overlap_weights(spells, extra)[1]
        if (spells["contract_term_months"] == 1).nunique() > 1
        else pd.DataFrame()
    )


def _difference(X: pd.DataFrame, first: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Differences of weighted means of standardised covariates, first group less second."""
    return np.average(X[first], axis=0, weights=weights[first]) - np.average(
        X[~first], axis=0, weights=weights[~first]
    )


def overlap_weighted(
    spells: pd.DataFrame,
    contracts: pd.DataFrame | None = None,
    extra: Mapping[str, Extra] | None = None,
    name: str = "overlap weights",
) -> Contrast:
    """The verdict's contrast with weights in place of covariates, by client; the weights are taken
    as known.
    """
    rows = exit_rows(spells, contracts)
    first = (rows["contract_term_months"] == 1).astype(float)
    if rows.loc[first == 1, "left"].sum() in (0, rows["left"].sum()):
        return _fitted(name, rows, first, np.ones((len(rows), 1)), np.ones(len(rows)), ())
    keys = ["client_id", "engagement"]
    weights = rows.merge(
        spells[keys].assign(weight=overlap_weights(spells, extra)[0]), on=keys, how="left"
    )["weight"]
    exposure = band_exposure(rows["from_month"], rows["to_month"], rows["left"])
    return _fitted(name, rows, first, exposure, weights.to_numpy(), ("weighted to clients alike",))


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
        f"{arm} clients": int(y[first == flag].sum()) for arm, flag in ((MONTHLY, 1), (FIXED, 0))
    }
    try:
        fit = fit_hazard(y, first.rename("first").to_frame(), exposure, rows["client_id"], weights)
    except NotFittedError as error:
        return Contrast(
            name, math.nan, math.nan, clients, events, (f"No ratio could be computed: {error}.",)
        )
    spread, by_rep = spreads(fit, {"first": 1.0}, rows.get("rep"), tuple(events.values()))
    theta = fit.coefficient("first")
    return Contrast(name, theta, spread.se, clients, events, (), said, None, spread.df, by_rep)


def grouped_cycles(
    spells: pd.DataFrame,
    extra: Mapping[str, Extra] | None = None,
    name: str = "whole years, weighted",
) -> Contrast:
    """The contrast on whole years of service: who left by choice within one, weighted for those
    whom other ends took.

    A year counts where it began and was to end under observation. Who left otherwise is dropped,
    and the others of its group stand in: weights are the inverse of the chance of no other end
    until then, by group, times those that make the groups alike at signing. METHODS 2.
    """
    kinds = (
        spells["end_kind"]
        .replace(UNKNOWN, CLIENT)
        .map(KINDS)
        .where(spells["ended"])
        .fillna(0)
        .to_numpy(int)
    )
    other = follow_up(spells).only([kind for kind in KINDS.values() if kind != KINDS[CLIENT]])
    stop = spells["stop_months"].to_numpy()
    parts = []
    alike = (
        overlap_weights(spells, extra)[0]
        if (spells["contract_term_months"] == 1).nunique() > 1
        else np.ones(len(spells))
    )
    for arm, mask in arms(spells, YEAR).items():
        arm_other = other.where(mask)
        for start in range(0, int(spells["observed_months"].max()) - YEAR + 1, YEAR):
            seen = mask & (spells["entry_months"] <= start) & (stop > start)
            seen = (seen & (spells["observed_months"] >= start + YEAR)).to_numpy(bool)
            inside = (kinds > 0) & (stop <= start + YEAR)
            chosen = np.flatnonzero(seen & ~(inside & (kinds != KINDS[CLIENT])))
            until = np.minimum(stop[chosen], start + YEAR)
            months, at = np.unique(until, return_inverse=True)
            # From its own start: an early risk set of one may send the curve of all months to 0.
            curve = kaplan_meier(arm_other.since(start))
            free = np.array([after(curve, month)["survival"] for month in months])[at]
            frame = pd.DataFrame(
                {"client_id": spells["client_id"].to_numpy()[chosen], "year": start // YEAR}
            )
            left = inside[chosen].astype(int)
            weight = alike[chosen] / free
            if "reps" in spells:
                frame["rep"] = rep_in(spells["reps"].iloc[chosen], pd.Series(until))
            parts.append(frame.assign(first=float(arm == MONTHLY), left=left, weight=weight))
    if not sum(len(part) for part in parts):
        empty = {f"{arm} clients": 0 for arm in (MONTHLY, FIXED)}
        return Contrast(name, math.nan, math.nan, 0, empty, ("No year of service was seen whole.",))
    rows = pd.concat(parts, ignore_index=True)
    count = rows.groupby("year")["left"].agg(["sum", "size"])
    told = (count["sum"] >= 2) & (count["size"] - count["sum"] >= 2)
    last = (
        count.index[told].max() if told.any() else 0
    )  # later years, of a handful of clients, share a rate with it
    years = pd.get_dummies(rows["year"].clip(upper=last)).to_numpy(float)
    return _fitted(
        name, rows, rows["first"], years, rows["weight"].to_numpy(), ("weighted to clients alike",)
    )


def adjusted(
    spells: pd.DataFrame,
    contracts: pd.DataFrame | None = None,
    extra: Mapping[str, Extra] | None = None,
) -> Adjusted:
    """The verdict's comparison with the regression behind it; without one where renewals are not
    known.
    """
    if not renewals_known(spells):
        return Adjusted(contract_hazard_ratio(spells), None, spells.head(0))
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
        return Estimates((), "Too few clients have left to compare ways to count the uncertainty")
    about = "ratio of leaving over a cycle"
    contrast = found.contrast
    told = [replace(contrast, by_rep=NO_SPREAD).estimate("A1", about, "by client")]
    if contrast.by_rep.se:
        reps = found.rows["rep"].replace("", None).nunique()
        by_rep = replace(contrast, se=0.0, df=math.inf)
        told.append(by_rep.estimate("A1", about, f"by rep ({reps} of them)"))
    return Estimates(tuple(told), "Who is taken to rise and fall together")


def by_year_of_service(spells: pd.DataFrame, contracts: pd.DataFrame | None = None) -> Estimates:
    """The ratio in the first year of service and after it, and whether the two differ
    (likelihood-ratio test).
    """
    caption = "Does the ratio change with the years of service?"
    if not renewals_known(spells):
        return Estimates((), f"{caption} Without renewal dates it cannot be told")
    rows = exit_rows(spells, contracts)
    first = (rows["contract_term_months"] == 1).astype(float)
    X = pd.DataFrame({"first": first, "later": first * (rows["from_month"] >= YEAR)})
    exposure = band_exposure(rows["from_month"], rows["to_month"], rows["left"])
    try:
        both, one = (_plain(rows, X[names], exposure) for names in (["first", "later"], ["first"]))
    except NotFittedError:
        return Estimates((), caption)
    p = stats.chi2.sf(2 * (both.log_likelihood - one.log_likelihood), 1)
    told = []
    for group, parts in (
        ("first year", {"first": 1.0}),
        ("later years", {"first": 1.0, "later": 1.0}),
    ):
        inside = rows[(rows["from_month"] < YEAR) == (group == "first year")]
        left = {group: int(inside["left"].sum())}
        found = Contrast(group, *both.combined(parts), inside["client_id"].nunique(), left)
        told.append(found.estimate("A1", "ratio of leaving over a cycle, not adjusted", group))
    return Estimates(tuple(told), f"{caption} (test of no change: p = {p:.2f})")


def _plain(rows: pd.DataFrame, X: pd.DataFrame, exposure: np.ndarray) -> Fit:
    return fit_hazard(rows["left"].to_numpy(), X, exposure, rows["client_id"])


def without_each_rep(
    spells: pd.DataFrame,
    contracts: pd.DataFrame | None = None,
    extra: Mapping[str, Extra] | None = None,
) -> Finding:
    """The range of the ratio as the clients of one rep after the other are left out, in a sentence.

    Which two reps matter most is told by one step from the estimate; without them it is fitted
    anew.
    """
    found = adjusted(spells, contracts, extra)
    few = Finding("A1", "Too few reps or ends to see what leaving out one rep would do.")
    if found.contrast.gate or found.fit is None or "rep_id" not in found.rows:
        return few
    codes, reps = pd.factorize(found.rows["rep_id"], sort=True)
    if len(reps) < 2:
        return few
    theta = found.fit.without_each(codes)[:, found.fit.names.index("first")]
    ends = [reps[int(pick(theta))] for pick in (np.nanargmin, np.nanargmax)]
    again = {
        rep: adjusted(spells[~(spells["rep_id"] == rep).fillna(False)], contracts, extra).contrast
        for rep in dict.fromkeys(ends)
    }
    told = [
        f"{math.exp(again[rep].theta):.2f} (without {rep})" for rep in ends if not again[rep].gate
    ]
    if len(told) < 2:
        return few
    return Finding(
        "A1",
        f"Leaving out one rep's clients at a time, the ratio lies between {' and '.join(told)}.",
    )


def e_value(contrast: Contrast) -> Finding:
    """How strong something unrecorded would have to be to explain the ratio away, in a sentence
    (E-value).

    The hazard ratio is turned into a risk ratio first, as for common ends. VanderWeele and Ding
    2017.
    """
    if contrast.gate:
        return Finding("A1", "Without an estimate there is nothing to explain away.")
    low, high = contrast.interval()
    nearest = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
    point, limit = (
        quantity(_e_value(math.exp(value)), "ratio") for value in (abs(contrast.theta), nearest)
    )
    text = (
        "Something that the data do not tell, say how committed a client was, would have to go "
        "with both the term and "
        f"leaving by a ratio of {point} each to explain the whole estimate, and of {limit} each "
        "to bring the 95% "
        "interval to no difference."
    )
    return Finding("A1", text)


def _e_value(ratio: float) -> float:
    risk = (1 - 0.5 ** math.sqrt(ratio)) / (1 - 0.5 ** math.sqrt(1 / ratio))
    return risk + math.sqrt(risk * (risk - 1))
