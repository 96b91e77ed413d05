"""The contract-term study (A1): who signed month-to-month against who signed a fixed term.

Comparisons run over whole contract cycles and on end dates. A fixed-term client cannot leave
between renewals, so a monthly rate ratio, or any follow-up shorter than a cycle, compares freedom
to leave and not the wish to (METHODS 2).
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from retention.history.follow_up import follow_up
from retention.history.in_charge import rep_in
from retention.history.opportunities import UNADJUSTED, Adjusted, compare, exit_rows, renewals_known
from retention.history.spells import AGENCY, CLIENT, KINDS, NEUTRAL, row_terms
from retention.results import (
    MIN_EVENTS_GROUP,
    Z95,
    Contrast,
    Estimate,
    Estimates,
    Finding,
    Findings,
    between,
    quantity,
)
from retention.settings import Extra
from retention.stats import curves, outcomes, rates
from retention.stats.curves import MIN_AT_RISK
from retention.stats.intervals import share_limits, welch, wilson
from retention.words import say

MONTHLY, FIXED = "monthly", "fixed"  # the two groups of the verdict
ARMS = {MONTHLY: say("contract_term.group.monthly"), FIXED: say("contract_term.group.fixed")}
DIFFERENCE = say("contract_term.group.difference")
MONTHLY_OVER_FIXED = say("contract_term.group.monthly_over_fixed")
AS_PLANNED = say("claims.way.as_planned")
LANDMARKS = (6, 12, 24)  # months: METHODS 2
PLOT_MONTHS = (0, 6, 12, 18, 24, 30, 36)
BY_CHOICE = (KINDS[CLIENT],)
HORIZONS = (12, 24)  # months within which mean service is compared
CHANGES_UNKNOWN = say("claims.caveat.changes_unknown")


def term_group(spells: pd.DataFrame) -> pd.Series:
    """The term at signing in months, as a categorical ordered by length."""
    terms = spells["contract_term_months"].astype(int)
    return pd.Series(
        pd.Categorical(terms, categories=sorted(terms.unique()), ordered=True), spells.index
    )


def term_name(months: int) -> str:
    """What a term at signing is called: "month-to-month", "6 months", "12 months", ..."""
    if months == 1:
        return ARMS[MONTHLY]
    return say("contract_term.group.months", months=months)


def clients_of(arm: str) -> str:
    """What the clients of one of the two groups are called."""
    return say("held.group.clients", group=ARMS[arm])


def arms(spells: pd.DataFrame, horizon: int) -> dict[str, np.ndarray]:
    """Masks of shape (len(spells),) of the two groups that a comparison at `horizon` months may
    hold side by side.

    Only fixed terms that come due exactly at the horizon or divide it belong: a 24-month client has
    had no chance to leave by month 12, whatever it wishes (METHODS 2).
    """
    terms = spells["contract_term_months"].astype(int).to_numpy()
    return {MONTHLY: terms == 1, FIXED: (terms > 1) & (horizon % np.maximum(terms, 1) == 0)}


def contract_hazard_ratio(
    spells: pd.DataFrame,
    *,
    kinds: Sequence[str] = (CLIENT,),
    unknown: str = CLIENT,
    contracts: pd.DataFrame | None = None,
    extra: Mapping[str, Extra] | None = None,
    adjust: bool = True,
    name: str = AS_PLANNED,
) -> Contrast:
    """Log ratio of cumulative rates of leaving over a contract cycle, month-to-month over fixed,
    among clients alike.

    Interval proportional hazards on opportunities to leave (METHODS 2, estimator 1): a month of a
    month-to-month client, a whole term of a fixed one. Clients are grouped by the term at signing;
    with `contracts` a row is a term in force, without them the term signed first is taken to be
    renewed (METHODS 2). `extra` are columns of the user's own to hold fixed. A snapshot has no
    renewal dates, so there the curves at month 12 are compared. `lacking` says what stops a
    verdict.
    """
    if not renewals_known(spells):
        return curve_hazard_ratio(spells, kinds=kinds, unknown=unknown, name=name)
    rows = exit_rows(spells, contracts, kinds=kinds, unknown=unknown, more=extra or ())
    contrast = compared(rows, extra, adjust, name).contrast
    if contracts is not None or row_terms(spells) is not None:
        return contrast
    return replace(contrast, caveats=(*contrast.caveats, CHANGES_UNKNOWN))


def compared(
    rows: pd.DataFrame,
    extra: Mapping[str, Extra] | None = None,
    adjust: bool = True,
    name: str = AS_PLANNED,
) -> Adjusted:
    """The comparison of clients who signed month-to-month with all others, on these opportunities
    to leave.
    """
    first = rows["contract_term_months"] == 1
    return compare(rows, first, (ARMS[MONTHLY], ARMS[FIXED]), name=name, adjust=adjust, extra=extra)


def curve_hazard_ratio(
    spells: pd.DataFrame,
    *,
    horizon: int = 12,
    kinds: Sequence[str] = (CLIENT,),
    unknown: str = CLIENT,
    by: str = "end",
    name: str | None = None,
) -> Contrast:
    """Log ratio of the cumulative rate of leaving by month `horizon`, month-to-month over fixed
    term at signing.

    log(-log S1) - log(-log S2) from two Kaplan-Meier curves read just after the horizon,
    delta-method standard error; ends of other kinds are censored. Without covariates: METHODS 2,
    estimator 2. `lacking` says what stops a verdict. It is called after its horizon unless by
    another `name`.
    """
    name = name or say("contract_term.way.curves", month=horizon)
    outcome = follow_up(spells, unknown=unknown, by=by).only([KINDS[kind] for kind in kinds])
    groups = {arm: outcome.where(mask) for arm, mask in arms(spells, horizon).items()}
    parts = {arm: _log_cumulative_hazard(part, horizon) for arm, part in groups.items()}
    lacking = tuple(
        reason for arm, part in groups.items() for reason in _lacking(arm, part, horizon)
    )
    # Only ends and clients that the curves up to the horizon rest on count for the gate.
    early = {arm: part.within(horizon) for arm, part in groups.items()}
    events = {clients_of(arm): part.ended for arm, part in early.items()}
    n_clients = sum(part.seen for part in early.values())
    theta = parts[MONTHLY][0] - parts[FIXED][0]
    se = math.hypot(parts[MONTHLY][1], parts[FIXED][1])
    by_rep = outcomes.spread_by_rep(
        [early[MONTHLY], early[FIXED]], partial(_log_ratio, horizon=horizon)
    )
    df = welch(*events.values())
    return Contrast(name, theta, se, n_clients, events, lacking, (UNADJUSTED,), None, df, by_rep)


def _log_ratio(monthly: outcomes.Counts, fixed: outcomes.Counts, horizon: int) -> np.ndarray:
    """The log ratio of the cumulative hazards at the horizon, a value for each rep left out;
    infinite without a rep whose clients alone have left.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        first, second = (np.log(-np.log(part.after(horizon))) for part in (monthly, fixed))
        return np.asarray(first - second)


def _log_cumulative_hazard(outcome: outcomes.Outcome, horizon: float) -> tuple[float, float]:
    """log(-log S(horizon)) and its standard error; NaN where nobody or everybody has left."""
    row = curves.after(curves.kaplan_meier(outcome), horizon)
    if not 0 < row["survival"] < 1:
        return math.nan, math.nan
    log_survival = math.log(row["survival"])
    return math.log(-log_survival), abs(row["se"] / row["survival"] / log_survival)


def _lacking(arm: str, outcome: outcomes.Outcome, horizon: int) -> list[str]:
    """Why this arm cannot be read at the horizon; empty where it can."""
    group = ARMS[arm]
    if not outcome.seen:
        return [say("contract_term.lacking.no_arm", group=group, month=horizon)]
    known = curves.known_through(outcome, MIN_AT_RISK)
    if known < horizon:
        return [_not_seen(group, known, horizon)]
    survival = curves.after(curves.kaplan_meier(outcome), horizon)["survival"]
    if survival == 0:
        return [say("contract_term.lacking.all_left", month=horizon, group=group)]
    if survival == 1:
        return [say("contract_term.lacking.none_left", month=horizon, group=group)]
    return []


def _not_seen(group: str, known: float, horizon: int) -> str:
    """That a curve which may be read up to month `known` stops short of the horizon."""
    month = f"{known + 1:g}"
    if known:
        return say("contract_term.lacking.none_seen", month=month, group=group, horizon=horizon)
    return say(
        "contract_term.lacking.few_seen",
        month=month,
        least=MIN_AT_RISK,
        group=group,
        horizon=horizon,
    )


def contract_sensitivities(
    spells: pd.DataFrame,
    contracts: pd.DataFrame | None = None,
    extra: Mapping[str, Extra] | None = None,
) -> list[Contrast]:
    """The pre-listed other ways to compute the contrast (plan.toml, A1), each named, where their
    input is there.
    """
    ratio = partial(contract_hazard_ratio, contracts=contracts, extra=extra)
    neutral = say("contract_term.way.neutral_ends")
    chosen = [
        curve_hazard_ratio(spells),
        curve_hazard_ratio(spells, horizon=24),
        ratio(spells, kinds=(CLIENT, NEUTRAL), name=neutral),
        ratio(spells, kinds=tuple(KINDS), name=say("contract_term.way.every_end")),
        ratio(spells, unknown=AGENCY, name=say("contract_term.way.unknown_is_agency")),
    ]
    if not renewals_known(spells):
        return chosen
    rows = exit_rows(spells, contracts, more=extra or ())
    whole = rows[rows["seen_whole"]]
    from_start = compared(whole, extra, name=say("contract_term.way.from_start"))
    plain = compared(rows, adjust=False, name=say("contract_term.way.not_adjusted"))
    chosen += [from_start.contrast, plain.contrast]
    if contracts is not None:
        as_signed = exit_rows(spells.assign(later_terms=""), more=extra or ())
        name = say("contract_term.way.as_signed")
        chosen.append(compared(as_signed, extra, name=name).contrast)
    if "discount_pct" in spells:
        full = spells[spells["discount_pct"].fillna(0) == 0]
        chosen.append(ratio(full, name=say("contract_term.way.no_discount")))
    return chosen


def ratio_by_term(spells: pd.DataFrame) -> Estimates:
    """The verdict's ratio for each fixed term on its own against month-to-month, at the first whole
    cycle of a year.

    A term that does not divide twelve months is compared where it first comes due. 95 % intervals.
    """
    terms = spells["contract_term_months"].astype(int)
    rows = []
    for term in sorted(t for t in terms.unique() if t > 1):
        horizon = 12 if 12 % term == 0 else int(term)
        contrast = curve_hazard_ratio(spells[terms.isin([1, term])], horizon=horizon)
        if not contrast.gate:
            name = say("contract_term.estimate.ratio_by_month", month=horizon)
            group = say("contract_term.group.monthly_over", months=term)
            rows.append(contrast.estimate("A1", name, group))
    return Estimates(tuple(rows), say("contract_term.caption.ratio_by_term"))


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
        followed = min(curves.known_through(part, MIN_AT_RISK), part.stop.max(initial=0))
        curve = curves.kaplan_meier(part)
        if followed > 0:
            curve = curve[curve["month"] <= followed]
            parts.append(curve.assign(group=called(group), followed=followed))
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
        rows.append(Estimate.of("A1", name, group, (test.chi2,), "chi2", counts))
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
            values = curves.after(curve, month)[["survival", "low", "high"]]
            counts = (part.seen, part.within(month).ended)
            about = say(name, month=month)
            rows.append(Estimate.of("A1", about, term_name(term), values, "share", counts))
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
    gain = means[FIXED][0] - means[MONTHLY][0]
    se = math.hypot(means[FIXED][1], means[MONTHLY][1])
    both = [parts[MONTHLY], parts[FIXED]]
    return [*rows, _normal(name, DIFFERENCE, gain, se, both, of_both)]


def _mean(counts: outcomes.Counts, horizon: int) -> np.ndarray:
    return counts.mean(horizon)


def _gain(monthly: outcomes.Counts, fixed: outcomes.Counts, horizon: int) -> np.ndarray:
    return np.asarray(fixed.mean(horizon) - monthly.mean(horizon))


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
    enough = min(part.ended for part in parts) >= MIN_EVENTS_GROUP
    half = max(Z95 * se, outcomes.spread_by_rep(parts, of).reach(0.975)) if enough else math.nan
    counts = (sum(part.seen for part in parts), sum(part.ended for part in parts))
    return Estimate.of("A1", name, group, (value, value - half, value + half), "months", counts)


def hazard_by_month(spells: pd.DataFrame, last: int = 36) -> pd.DataFrame:
    """Share of those at risk who leave by choice in each month of service, with Wilson's interval,
    by arm.

    Columns: `group` (in words, for a chart), `month, at_risk, ended, hazard, low, high`; months
    with fewer than ten at risk are left out.
    """
    outcome = follow_up(spells).only(BY_CHOICE)
    monthly = (spells["contract_term_months"] == 1).to_numpy()
    rows = []
    for arm, part in ((MONTHLY, outcome.where(monthly)), (FIXED, outcome.where(~monthly))):
        for month, n in enumerate(part.at_risk(np.arange(1, last + 1)), start=1):
            ended = int(np.sum((part.kind > 0) & (part.stop == month)))
            if n >= MIN_AT_RISK:
                shares = (ended / n, *wilson(ended, int(n)))
                rows.append((ARMS[arm], month, int(n), ended, *shares))
    return pd.DataFrame(
        rows, columns=["group", "month", "at_risk", "ended", "hazard", "low", "high"]
    )


def renewal_estimates(spells: pd.DataFrame, cycles: pd.DataFrame) -> Estimates:
    """Share who leave by choice within a term that came due, beside month-to-month clients over as
    many months.

    Wilson's interval, or by rep, the wider. Terms in which the agency or circumstances ended the
    relation are left out; a client who breaks a term counts in that term. Source: METHODS 2.
    """
    own = cycles[cycles["outcome"].isin(["stayed", "left at renewal", "left early"])]
    own = _with_rep(own, spells)
    left = own["outcome"] != "stayed"
    monthly = own["term_months"] == 1
    rows = []
    months = int(monthly.sum())
    gone = int((left & monthly).sum())
    limits = share_limits(left[monthly], own.loc[monthly, "rep"]) if months else ()
    for term in sorted(own.loc[~monthly, "term_months"].unique()):
        part = own[own["term_months"] == term]
        name = say("contract_term.estimate.left_within_term", months=int(term))
        rows.append(_share(name, part, left[part.index]))
        if months:
            values = [1 - (1 - p) ** term for p in (gone / months, *limits)]
            counts = (own.loc[monthly, "client_id"].nunique(), gone)
            rows.append(Estimate.of("A1", name, ARMS[MONTHLY], values, "share", counts))
    return Estimates(tuple(rows), say("contract_term.caption.renewals"))


def _with_rep(cycles: pd.DataFrame, spells: pd.DataFrame) -> pd.DataFrame:
    """The cycles with `rep`, who was in charge as each came due; "" for nobody, or where nobody
    knows.
    """
    if "reps" not in spells:
        return cycles.assign(rep="")
    about = spells[["client_id", "engagement", "reps"]]
    rows = cycles.merge(about, on=["client_id", "engagement"], how="left")
    return rows.assign(rep=rep_in(rows["reps"], rows["to_month"])).set_axis(cycles.index)


def _share(name: str, cycles: pd.DataFrame, counted: pd.Series) -> Estimate:
    """The share of the cycles of one term that is `counted`, with its interval, by rep where `rep`
    is known.
    """
    count = int(counted.sum())
    group = say("contract_term.group.terms", months=int(cycles["term_months"].iloc[0]))
    limits = share_limits(counted, cycles.get("rep"))
    values = (count / len(cycles), *limits)
    counts = (cycles["client_id"].nunique(), count)
    return Estimate.of("A1", name, group, values, "share", counts)


def early_exit_estimates(cycles: pd.DataFrame) -> Estimates:
    """Share of fixed terms, begun under observation and come due, that the client broke before
    their end, by term.

    Terms already running when the records begin are left out: had they been broken before, nobody
    would know of them.
    """
    fixed = cycles[(cycles["term_months"] > 1) & cycles["seen_whole"]]
    name = say("contract_term.estimate.broken")
    rows = [
        _share(name, part, part["outcome"] == "left early")
        for _, part in fixed.groupby("term_months")
    ]
    return Estimates(tuple(rows), say("contract_term.caption.broken"))


def incidence_estimates(spells: pd.DataFrame) -> Estimates:
    """Share gone by each month for each kind of end and term, competing ends accounted for
    (Aalen-Johansen).
    """
    outcome = follow_up(spells)
    kinds = {number: kind for kind, number in KINDS.items()}
    rows = []
    for term, part in _each(outcome, term_group(spells)):
        known = curves.known_through(part, MIN_AT_RISK)
        months = [m for m in LANDMARKS if m <= known]
        for row in curves.cumulative_incidence(part, months).itertuples():
            counts = (part.seen, part.within(row.month).only([row.kind]).ended)
            values = (row.share, row.low, row.high)
            name = say(f"contract_term.gone.{kinds[row.kind]}", month=int(row.month))
            rows.append(Estimate.of("A1", name, term_name(term), values, "share", counts))
    return Estimates(tuple(rows), say("contract_term.caption.gone"))


def raw_rate_ratio(spells: pd.DataFrame) -> Estimates:
    """The article's own number: ends by choice per client-month, month-to-month over fixed, exact
    interval.

    Descriptive only: it compares months in which one group could not leave (METHODS 2). NaN with an
    empty arm.
    """
    outcome = follow_up(spells).only(BY_CHOICE)
    monthly = (spells["contract_term_months"] == 1).to_numpy()
    row = rates.raw_ratio("A1", MONTHLY_OVER_FIXED, outcome.where(monthly), outcome.where(~monthly))
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
            parts.append(say("contract_term.median.monthly", months=row.estimate))
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


def renewal_months(spells: pd.DataFrame, last: int = 36) -> list[int]:
    """Months of service, up to `last`, in which a fixed term that somebody signed comes due."""
    terms = [int(term) for term in spells["contract_term_months"].unique() if term > 1]
    return sorted({month for term in terms for month in range(term, last + 1, term)})


def hazard_words(hazard: pd.DataFrame) -> str:
    """The chart of leaving by month in words: the month in which most of each group leave."""
    if hazard.empty:
        return say("contract_term.alt.hazard_none")
    highest = hazard.loc[hazard.groupby("group", sort=False)["hazard"].idxmax()]
    peaks = [
        say("contract_term.alt.hazard_peak", group=row.group, share=row.hazard, month=row.month)
        for row in highest.itertuples()
    ]
    return say("contract_term.alt.hazard", peaks=", ".join(peaks))


def survival_words(table: Estimates) -> str:
    """The survival chart in words: the share who had not left by choice after a year, by term."""
    shares = table.says(say("contract_term.estimate.not_left", month=LANDMARKS[1]))
    return curves_words([shares] if shares else [])


def curves_words(shares: Iterable[str]) -> str:
    """What survival curves show after a year, in words, from each group's share in words."""
    told = ", ".join(shares)
    if not told:
        return say("contract_term.alt.survival_none")
    return say("contract_term.alt.survival", shares=told)
