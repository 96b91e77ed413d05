"""The curves of leaving by the term at signing (A1), and what is read off them.

Shares, medians, means and the months in which most leave; the verdict is in `contract_term`.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from retention.claims.contract_term import ARMS, FIXED, MONTHLY, arms
from retention.contrast import MIN_EVENTS_GROUP
from retention.history.follow_up import follow_up
from retention.history.spells import CLIENT, KINDS
from retention.numbers import between, quantity
from retention.results import Estimate, Estimates, Finding, Findings
from retention.stats import curves, outcomes, rates
from retention.stats.curves import MIN_AT_RISK
from retention.words import say

DIFFERENCE = say("contract_term.group.difference")
MONTHLY_OVER_FIXED = say("contract_term.group.monthly_over_fixed")
LANDMARKS = (6, 12, 24)  # months: METHODS 2
PLOT_MONTHS = (0, 6, 12, 18, 24, 30, 36)
BY_CHOICE = (KINDS[CLIENT],)
HORIZONS = (12, 24)  # months within which mean service is compared


def term_group(spells: pd.DataFrame) -> pd.Series:
    """The term at signing in months, as a categorical ordered by length."""
    terms = spells["contract_term_months"].astype(int)
    months = terms.unique()
    ordered = pd.Categorical(terms, categories=sorted(months), ordered=True)
    return pd.Series(ordered, spells.index)


def term_name(months: int) -> str:
    """What a term at signing is called: "month-to-month", "6 months", "12 months", ..."""
    if months == 1:
        return ARMS[MONTHLY]
    return say("contract_term.group.months", months=months)


def survival_by_term(
    spells: pd.DataFrame, groups: pd.Series | None = None, called: Callable[..., str] = term_name
) -> pd.DataFrame:
    """Kaplan-Meier curves of leaving by choice, stacked: `group`, `followed` and the columns of
    `kaplan_meier`.

    By the term at signing, or by other `groups` (categorical, one for each spell); `group` is in
    words, for a chart: what each category is `called`.

    Each curve stops at the last month (`followed`) up to which it may be read; one that may never
    be read is left out.
    """
    outcome = follow_up(spells).only(BY_CHOICE)
    groups = term_group(spells) if groups is None else groups
    parts = []
    for group, part in _each(outcome, groups):
        last = part.stop.max(initial=0)
        followed = min(curves.known_through(part, MIN_AT_RISK), last)
        curve = curves.kaplan_meier(part)
        if followed > 0:
            curve = curve[curve["month"] <= followed]
            shown = curve.assign(group=called(group), followed=followed)
            parts.append(shown)
    columns = ["group", *curves.CURVE, "followed"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def _each(outcome: outcomes.Outcome, groups: pd.Series) -> list[tuple[Any, outcomes.Outcome]]:
    """The part of the outcome that belongs to each category, by category."""
    return [(group, outcome.where((groups == group).to_numpy())) for group in groups.cat.categories]


def at_risk_by_term(
    spells: pd.DataFrame,
    months: Sequence[int],
    groups: pd.Series | None = None,
    called: Callable[..., str] = term_name,
) -> pd.DataFrame:
    """Clients at risk just after each of `months`: one row a term (or group, as it is `called`),
    one column a month.
    """
    groups = term_group(spells) if groups is None else groups
    counts = {
        called(group): part.at_risk(np.asarray(months) + 1)
        for group, part in _each(follow_up(spells), groups)
    }
    return pd.DataFrame.from_dict(counts, orient="index", columns=list(months))


def survival_estimates(spells: pd.DataFrame) -> Estimates:
    """Share who had not left by choice after months 6, 12, 24, by term, and the log-rank statistic
    over all terms.

    Other ends are set aside (censored), so this compares the wish to leave; it is not the share
    still with us.
    """
    outcome = follow_up(spells).only(BY_CHOICE)
    groups = term_group(spells)
    rows = _shares(outcome, groups, "contract_term.estimate.not_left")
    rows += _medians(outcome, groups, say("contract_term.estimate.median_choice")).values()
    if len(groups.cat.categories) > 1:
        test = rates.logrank(outcome, groups)
        name = say("contract_term.estimate.logrank", df=test.df)
        group = say("contract_term.group.all_terms")
        counts = (outcome.seen, outcome.ended)
        estimate = Estimate.of("A1", name, group, (test.chi2,), "chi2", counts)
        rows.append(estimate)
    return Estimates(tuple(rows), say("contract_term.caption.survival"))


def service_estimates(spells: pd.DataFrame) -> Estimates:
    """Share still a client after months 6, 12, 24, every kind of end counted, and median months of
    service, by term.
    """
    outcome = follow_up(spells)
    groups = term_group(spells)
    rows = _shares(outcome, groups, "contract_term.estimate.still_client")
    rows += _service_medians(spells).values()
    return Estimates(tuple(rows), say("contract_term.caption.service"))


def _service_medians(spells: pd.DataFrame) -> dict[int, Estimate]:
    """Median months of service by term at signing, whatever ends it."""
    name = say("contract_term.estimate.median_service")
    return _medians(follow_up(spells), term_group(spells), name)


def _shares(outcome: outcomes.Outcome, groups: pd.Series, name: str) -> list[Estimate]:
    """The share of each term that is left after each landmark, as far as its curve may be read;
    `name` is the id of what such a share is called.
    """
    rows = []
    for term, part in _each(outcome, groups):
        curve = curves.kaplan_meier(part)
        known = curves.known_through(part, MIN_AT_RISK)
        for month in (m for m in LANDMARKS if m <= known):
            row = curves.after(curve, month)
            values = row[["survival", "low", "high"]]
            ended = part.within(month).ended
            counts = (part.seen, ended)
            about = say(name, month=month)
            estimate = Estimate.of("A1", about, term_name(term), values, "share", counts)
            rows.append(estimate)
    return rows


def _medians(outcome: outcomes.Outcome, groups: pd.Series, name: str) -> dict[int, Estimate]:
    """The median of each term whose curve may be read at all; inf where half have not left by the
    last month that may be read.
    """
    rows = {}
    for term, part in _each(outcome, groups):
        known = curves.known_through(part, MIN_AT_RISK)
        if not part.seen or not known:
            continue
        median = curves.median(curves.kaplan_meier(part))
        values = [value if value <= known else math.inf for value in median]
        counts = (part.seen, part.ended)
        rows[int(term)] = Estimate.of("A1", name, term_name(term), values, "months", counts)
    return rows


def restricted_mean_estimates(spells: pd.DataFrame) -> Estimates:
    """Mean months of service within each horizon, whatever ends it, for both arms and their
    difference (METHODS 2).
    """
    rows = [row for horizon in HORIZONS for row in _means_within(spells, horizon)]
    return Estimates(tuple(rows), say("contract_term.caption.mean_service"))


def _means_within(spells: pd.DataFrame, horizon: int) -> list[Estimate]:
    """Mean months of service within a horizon: month-to-month, fixed, and the difference; empty
    where an arm was not followed that long.
    """
    outcome = follow_up(spells)
    parts = {arm: outcome.where(mask) for arm, mask in arms(spells, horizon).items()}
    if any(curves.known_through(part, MIN_AT_RISK) < horizon for part in parts.values()):
        return []
    means = {arm: curves.restricted_mean(part, horizon) for arm, part in parts.items()}
    parts = {arm: part.within(horizon) for arm, part in parts.items()}
    name = say("contract_term.estimate.mean_service", months=horizon)
    of_arm = partial(_mean, horizon=horizon)
    of_both = partial(_gain, horizon=horizon)
    rows = [
        _normal(name, ARMS[arm], mean, se, [parts[arm]], of_arm)
        for arm, (mean, se) in means.items()
    ]
    fixed_mean = means[FIXED][0]
    gain = fixed_mean - means[MONTHLY][0]
    fixed_se = means[FIXED][1]
    se = math.hypot(fixed_se, means[MONTHLY][1])
    both = [parts[MONTHLY], parts[FIXED]]
    difference = _normal(name, DIFFERENCE, gain, se, both, of_both)
    return [*rows, difference]


def _mean(counts: outcomes.Counts, horizon: int) -> np.ndarray:
    return counts.mean(horizon)


def _gain(monthly: outcomes.Counts, fixed: outcomes.Counts, horizon: int) -> np.ndarray:
    of_fixed = fixed.mean(horizon)
    return np.asarray(of_fixed - monthly.mean(horizon))


def _normal(
    name: str,
    group: str,
    value: float,
    se: float,
    parts: list[outcomes.Outcome],
    of: Callable[..., np.ndarray],
) -> Estimate:
    """A mean with its interval by client or by rep, the wider; none where a part has fewer than ten
    ends.
    """
    values = curves.wider_limits(value, se, parts, of)
    counts = (sum(part.seen for part in parts), sum(part.ended for part in parts))
    return Estimate.of("A1", name, group, values, "months", counts)


def hazard_by_month(spells: pd.DataFrame, last: int = 36) -> pd.DataFrame:
    """Share of those at risk who leave by choice in each month of service, by arm, with its
    interval (`curves.hazards`).

    Columns: `group` (in words, for a chart), `month, at_risk, ended, hazard, low, high`; months
    with fewer than ten at risk are left out.
    """
    outcome = follow_up(spells).only(BY_CHOICE)
    monthly = (spells["contract_term_months"] == 1).to_numpy()
    rows = []
    fixed_term = outcome.where(~monthly)
    for arm, part in ((MONTHLY, outcome.where(monthly)), (FIXED, fixed_term)):
        table = curves.hazards(part, last)
        enough = table[table["at_risk"] >= MIN_AT_RISK]
        rows.append(enough.assign(group=ARMS[arm]))
    columns = ["group", "month", "at_risk", "ended", "hazard", "low", "high"]
    return pd.concat(rows, ignore_index=True)[columns]


def incidence_estimates(spells: pd.DataFrame) -> Estimates:
    """Share gone by each month for each kind of end and term, competing ends accounted for
    (Aalen-Johansen).
    """
    outcome = follow_up(spells)
    kinds = {number: kind for kind, number in KINDS.items()}
    rows = []
    terms = _each(outcome, term_group(spells))
    for term, part in terms:
        known = curves.known_through(part, MIN_AT_RISK)
        months = [m for m in LANDMARKS if m <= known]
        shares = curves.cumulative_incidence(part, months)
        for row in shares.itertuples():
            in_time = part.within(row.month)
            gone = in_time.only([row.kind])
            counts = (part.seen, gone.ended)
            values = (row.share, row.low, row.high)
            name = say(f"contract_term.gone.{kinds[row.kind]}", month=int(row.month))
            estimate = Estimate.of("A1", name, term_name(term), values, "share", counts)
            rows.append(estimate)
    return Estimates(tuple(rows), say("contract_term.caption.gone"))


def raw_rate_ratio(spells: pd.DataFrame) -> Estimates:
    """The article's own number: ends by choice per client-month, month-to-month over fixed, exact
    interval.

    Descriptive only: it compares months in which one group could not leave (METHODS 2). NaN with an
    empty arm.
    """
    outcome = follow_up(spells).only(BY_CHOICE)
    monthly = (spells["contract_term_months"] == 1).to_numpy()
    fixed = outcome.where(~monthly)
    monthly_part = outcome.where(monthly)
    row = rates.raw_ratio("A1", MONTHLY_OVER_FIXED, monthly_part, fixed)
    return Estimates((row,), say("contract_term.caption.raw_ratio"))


def headlines(spells: pd.DataFrame) -> Findings:
    """The lead sentences about the contract term, made from the estimates: the medians, and the
    months gained.

    Only groups of which ten clients are gone have a say; a lead sentence must be able to stand
    alone.
    """
    medians = {
        term: row
        for term, row in _service_medians(spells).items()
        if row.n_events >= MIN_EVENTS_GROUP
    }
    texts = [_median_words(medians)] if medians else []
    gain, horizon = _longest_gain(spells)
    if gain is not None:
        texts.append(_gain_words(gain, horizon))
    return Findings(
        tuple(Finding("A1", text, "headline") for text in texts), say("contract_term.headline.none")
    )


def _longest_gain(spells: pd.DataFrame) -> tuple[Estimate | None, int]:
    """The months gained on a fixed term within the longest horizon that gives an interval, and
    that horizon; None where none does.
    """
    for horizon in reversed(HORIZONS):
        rows = _means_within(spells, horizon)
        if rows and math.isfinite(rows[-1].low):
            return rows[-1], horizon
    return None, 0


def _median_words(medians: Mapping[int, Estimate]) -> str:
    """The median months of service by term, in a sentence."""
    parts = []
    for term, row in medians.items():
        if term == 1 and math.isinf(row.estimate):
            parts.append(say("contract_term.median.monthly_not_yet"))
        elif term == 1:
            text = say("contract_term.median.monthly", months=row.estimate)
            parts.append(text)
        elif math.isinf(row.estimate):
            parts.append(say("contract_term.median.fixed_not_yet", term=term))
        else:
            parts.append(say("contract_term.median.fixed", months=row.estimate, term=term))
    return say("contract_term.headline.medians", medians=", ".join(parts))


def _gain_words(gain: Estimate, horizon: int) -> str:
    """The months that a fixed term gains, in a sentence; without a direction where the interval
    includes none.
    """
    interval = between(gain.low, gain.high, "months")
    if gain.low <= 0 <= gain.high:
        months = quantity(gain.estimate, "months")
        return say(
            "contract_term.headline.unclear", months=months, horizon=horizon, interval=interval
        )
    key = "contract_term.headline.longer" if gain.estimate > 0 else "contract_term.headline.shorter"
    months = quantity(abs(gain.estimate), "months")
    return say(key, months=months, horizon=horizon, interval=interval)


def hazard_words(hazard: pd.DataFrame) -> str:
    """The chart of leaving by month in words: the month in which most of each group leave."""
    if hazard.empty:
        return say("contract_term.alt.hazard_none")
    by_group = hazard.groupby("group", sort=False)["hazard"]
    highest = hazard.loc[by_group.idxmax()]
    peaks = [
        say("contract_term.alt.hazard_peak", group=row.group, share=row.hazard, month=row.month)
        for row in highest.itertuples()
    ]
    return say("contract_term.alt.hazard", peaks=", ".join(peaks))


def survival_words(table: Estimates) -> str:
    """The survival chart in words: the share who had not left by choice after a year, by term."""
    name = say("contract_term.estimate.not_left", month=LANDMARKS[1])
    shares = table.says(name)
    return curves_words([shares] if shares else [])


def curves_words(shares: Iterable[str]) -> str:
    """What survival curves show after a year, in words, from each group's share in words."""
    told = ", ".join(shares)
    if not told:
        return say("contract_term.alt.survival_none")
    return say("contract_term.alt.survival", shares=told)
