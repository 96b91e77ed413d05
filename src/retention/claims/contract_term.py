"""The contract-term study (A1): who signed month-to-month against who signed a fixed term.

Comparisons run over whole contract cycles and on end dates. A fixed-term client cannot leave
between renewals, so a monthly rate ratio, or any follow-up shorter than a cycle, compares freedom
to leave and not the wish to (METHODS 2).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

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

MONTHLY = "month-to-month"
FIXED = "fixed term"
EXCESS = "fixed term, in excess"
LANDMARKS = (6, 12, 24)  # months: METHODS 2
PLOT_MONTHS = (0, 6, 12, 18, 24, 30, 36)
BY_CHOICE = (KINDS[CLIENT],)
CHANGES_UNKNOWN = say("claims.caveat.changes_unknown")


def term_group(spells: pd.DataFrame) -> pd.Series:
    """The term at signing in words, ordered by length: "month-to-month", "6 months", "12 months",
    ...
    """
    terms = spells["contract_term_months"].astype(int)
    names = {term: MONTHLY if term == 1 else f"{term} months" for term in sorted(terms.unique())}
    return pd.Series(
        pd.Categorical(terms.map(names), categories=list(names.values()), ordered=True),
        spells.index,
    )


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
    name: str = "as planned",
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
    found = compared(rows, extra, adjust, name).contrast
    on_record = contracts is not None or row_terms(spells) is not None
    return found if on_record else replace(found, caveats=(*found.caveats, CHANGES_UNKNOWN))


def compared(
    rows: pd.DataFrame,
    extra: Mapping[str, Extra] | None = None,
    adjust: bool = True,
    name: str = "as planned",
) -> Adjusted:
    """The comparison of clients who signed month-to-month with all others, on these opportunities
    to leave.
    """
    first = rows["contract_term_months"] == 1
    return compare(rows, first, (MONTHLY, FIXED), name=name, adjust=adjust, extra=extra)


def curve_hazard_ratio(
    spells: pd.DataFrame,
    *,
    horizon: int = 12,
    kinds: Sequence[str] = (CLIENT,),
    unknown: str = CLIENT,
    by: str = "end",
    name: str = "curves at month 12, not adjusted",
) -> Contrast:
    """Log ratio of the cumulative rate of leaving by month `horizon`, month-to-month over fixed
    term at signing.

    log(-log S1) - log(-log S2) from two Kaplan-Meier curves read just after the horizon,
    delta-method standard error; ends of other kinds are censored. Without covariates: METHODS 2,
    estimator 2. `lacking` says what stops a verdict.
    """
    outcome = follow_up(spells, unknown=unknown, by=by).only([KINDS[kind] for kind in kinds])
    groups = {arm: outcome.where(mask) for arm, mask in arms(spells, horizon).items()}
    parts = {arm: _log_cumulative_hazard(part, horizon) for arm, part in groups.items()}
    lacking = tuple(
        reason for arm, part in groups.items() for reason in _lacking(arm, part, horizon)
    )
    # Only ends and clients that the curves up to the horizon rest on count for the gate.
    early = {arm: part.within(horizon) for arm, part in groups.items()}
    events = {f"{arm} clients": part.ended for arm, part in early.items()}
    n_clients = sum(part.seen for part in early.values())
    theta = parts[MONTHLY][0] - parts[FIXED][0]
    se = math.hypot(parts[MONTHLY][1], parts[FIXED][1])
    by_rep = outcomes.spread_by_rep(
        [early[MONTHLY], early[FIXED]], partial(_log_ratio, horizon=horizon)
    )
    df = welch(*events.values())
    return Contrast(name, theta, se, n_clients, events, lacking, (UNADJUSTED,), None, df, by_rep)


def _log_ratio(monthly: outcomes.Counts, fixed: outcomes.Counts, horizon: int) -> np.ndarray:
    """The log ratio of the cumulative hazards at the horizon, a value for each rep left out.

    NaN without a rep whose clients alone have left: there is then no ratio.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        first, second = (np.log(-np.log(part.after(horizon))) for part in (monthly, fixed))
        ratios = np.asarray(first - second)
    return np.where(np.isfinite(ratios), ratios, np.nan)


def _log_cumulative_hazard(outcome: outcomes.Outcome, horizon: float) -> tuple[float, float]:
    """log(-log S(horizon)) and its standard error; NaN where nobody or everybody has left."""
    row = curves.after(curves.kaplan_meier(outcome), horizon)
    if not 0 < row["survival"] < 1:
        return math.nan, math.nan
    log_survival = math.log(row["survival"])
    return math.log(-log_survival), abs(row["se"] / row["survival"] / log_survival)


def _lacking(arm: str, outcome: outcomes.Outcome, horizon: int) -> list[str]:
    """Why this arm cannot be read at the horizon; empty where it can."""
    if not outcome.seen:
        return [f"There are no {arm} clients whose term comes due by month {horizon}."]
    known = curves.known_through(outcome, MIN_AT_RISK)
    if known < horizon:
        fewer = f"fewer than {MIN_AT_RISK} {arm} clients" if known == 0 else f"no {arm} client"
        return [
            f"In month {known + 1:g} of service {fewer} could be seen; a whole cycle of {horizon} "
            "is needed."
        ]
    survival = curves.after(curves.kaplan_meier(outcome), horizon)["survival"]
    if survival in (0, 1):
        return [
            f"By month {horizon} {'every' if survival == 0 else 'no'} {arm} client had left by "
            "choice."
        ]
    return []


def contract_sensitivities(
    spells: pd.DataFrame,
    contracts: pd.DataFrame | None = None,
    extra: Mapping[str, Extra] | None = None,
) -> list[Contrast]:
    """The pre-listed other ways to compute the contrast (plan.toml, A1), each named, where their
    input is there.
    """
    ratio = partial(contract_hazard_ratio, contracts=contracts, extra=extra)
    chosen = [
        curve_hazard_ratio(spells),
        curve_hazard_ratio(spells, horizon=24, name="curves at month 24, not adjusted"),
        ratio(spells, kinds=(CLIENT, NEUTRAL), name="neutral ends count too"),
        ratio(spells, kinds=tuple(KINDS), name="every end counts"),
        ratio(spells, unknown=AGENCY, name="unknown choice counts as the agency's"),
    ]
    if not renewals_known(spells):
        return chosen
    rows = exit_rows(spells, contracts, more=extra or ())
    chosen.append(
        compared(rows[rows["seen_whole"]], extra, name="terms seen from their start only").contrast
    )
    chosen.append(compared(rows, adjust=False, name="cycles, not adjusted").contrast)
    if contracts is not None:
        as_signed = exit_rows(spells.assign(later_terms=""), more=extra or ())
        chosen.append(
            compared(as_signed, extra, name="the term signed first, taken to be renewed").contrast
        )
    if "discount_pct" in spells:
        full = spells[spells["discount_pct"].fillna(0) == 0]
        chosen.append(ratio(full, name="no discount at signing"))
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
        found = curve_hazard_ratio(spells[terms.isin([1, term])], horizon=horizon)
        if not found.gate:
            about = f"ratio of cumulative leaving by month {horizon}"
            group = f"month-to-month over {term} months"
            rows.append(found.estimate("A1", about, group))
    return Estimates(tuple(rows), "The same ratio for each term on its own")


def survival_by_term(spells: pd.DataFrame, groups: pd.Series | None = None) -> pd.DataFrame:
    """Kaplan-Meier curves of leaving by choice, stacked: `group`, `followed` and the columns of
    `kaplan_meier`.

    By the term at signing, or by other `groups` (categorical, one for each spell).

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
            parts.append(curve[curve["month"] <= followed].assign(group=group, followed=followed))
    columns = ["group", *curves.CURVE, "followed"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def _each(outcome: outcomes.Outcome, groups: pd.Series) -> list[tuple[str, outcomes.Outcome]]:
    return [
        (str(group), outcome.where((groups == group).to_numpy())) for group in groups.cat.categories
    ]


def at_risk_by_term(
    spells: pd.DataFrame, months: Sequence[int], groups: pd.Series | None = None
) -> pd.DataFrame:
    """Clients at risk just after each of `months`: one row a term (or group), one column a
    month.
    """
    groups = term_group(spells) if groups is None else groups
    counts = {
        group: part.at_risk(np.asarray(months) + 1)
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
    rows = _shares_and_medians(
        outcome, groups, "had not left by choice", "median months to leaving by choice"
    )
    if len(groups.cat.categories) > 1:
        test = rates.logrank(outcome, groups)
        name = f"log-rank chi-squared on {test.df} df"
        counts = (outcome.seen, outcome.ended)
        rows.append(Estimate.of("A1", name, "all terms", (test.chi2,), "chi2", counts))
    return Estimates(
        tuple(rows), "Share who had not left by choice, other ends set aside, by term at signing"
    )


def service_estimates(spells: pd.DataFrame) -> Estimates:
    """Share still a client after months 6, 12, 24, every kind of end counted, and median months of
    service, by term.
    """
    outcome = follow_up(spells)
    groups = term_group(spells)
    rows = _shares_and_medians(outcome, groups, "still a client", "median months of service")
    return Estimates(
        tuple(rows), "Share still a client, every kind of end counted, by term at signing"
    )


def _shares_and_medians(
    outcome: outcomes.Outcome, groups: pd.Series, share: str, middle: str
) -> list[Estimate]:
    parts = _each(outcome, groups)
    rows = [row for group, part in parts for row in _survival_rows(share, group, part)]
    return rows + [row for group, part in parts for row in _median_row(middle, group, part)]


def _survival_rows(what: str, group: str, part: outcomes.Outcome) -> list[Estimate]:
    curve = curves.kaplan_meier(part)
    known = curves.known_through(part, MIN_AT_RISK)
    rows = []
    for month in (m for m in LANDMARKS if m <= known):
        values = curves.after(curve, month)[["survival", "low", "high"]]
        counts = (part.seen, part.within(month).ended)
        rows.append(
            Estimate.of("A1", f"{what} after month {month}", group, values, "share", counts)
        )
    return rows


def _median_row(name: str, group: str, part: outcomes.Outcome) -> list[Estimate]:
    """The median, where the curve may be read that far (inf: half have not left yet); nothing where
    it may not.
    """
    known = curves.known_through(part, MIN_AT_RISK)
    middle, low, high = (
        value if value <= known else math.inf for value in curves.median(curves.kaplan_meier(part))
    )
    if not part.seen or not known:
        return []
    return [Estimate.of("A1", name, group, (middle, low, high), "months", (part.seen, part.ended))]


def restricted_mean_estimates(spells: pd.DataFrame) -> Estimates:
    """Mean months of service within each horizon, whatever ends it, for both arms and their
    difference (METHODS 2).
    """
    outcome = follow_up(spells)
    rows = []
    for horizon in (12, 24):
        parts = {arm: outcome.where(mask) for arm, mask in arms(spells, horizon).items()}
        if any(curves.known_through(part, MIN_AT_RISK) < horizon for part in parts.values()):
            continue
        means = {arm: curves.restricted_mean(part, horizon) for arm, part in parts.items()}
        name = f"mean months of service in the first {horizon}"
        parts = {arm: part.within(horizon) for arm, part in parts.items()}
        of_arm = partial(_mean, horizon=horizon)
        of_both = partial(_gain, horizon=horizon)
        rows += [
            _normal(name, arm, mean, se, [parts[arm]], of_arm) for arm, (mean, se) in means.items()
        ]
        gain = means[FIXED][0] - means[MONTHLY][0]
        spread = math.hypot(means[FIXED][1], means[MONTHLY][1])
        rows.append(_normal(name, EXCESS, gain, spread, [parts[MONTHLY], parts[FIXED]], of_both))
    return Estimates(tuple(rows), "Mean months of service within a horizon, whatever ends it")


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

    Columns: `group, month, at_risk, ended, hazard, low, high`; months with fewer than ten at risk
    are left out.
    """
    outcome = follow_up(spells).only(BY_CHOICE)
    monthly = (spells["contract_term_months"] == 1).to_numpy()
    rows = []
    for arm, part in ((MONTHLY, outcome.where(monthly)), (FIXED, outcome.where(~monthly))):
        for month, n in enumerate(part.at_risk(np.arange(1, last + 1)), start=1):
            ended = int(np.sum((part.kind > 0) & (part.stop == month)))
            if n >= MIN_AT_RISK:
                rows.append((arm, month, int(n), ended, ended / n, *wilson(ended, int(n))))
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
        name = f"leave by choice per {term} months"
        rows.append(_share(name, part, left[part.index]))
        if months:
            values = [1 - (1 - p) ** term for p in (gone / months, *limits)]
            counts = (own.loc[monthly, "client_id"].nunique(), gone)
            rows.append(Estimate.of("A1", name, MONTHLY, values, "share", counts))
    caption = (
        "Leaving by choice when a term comes due, beside month-to-month clients over as many months"
    )
    return Estimates(tuple(rows), caption)


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
    group = f"{cycles['term_months'].iloc[0]}-month terms"
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
    parts = [part for _, part in fixed.groupby("term_months")]
    rows = [
        _share("term broken by the client", part, part["outcome"] == "left early") for part in parts
    ]
    return Estimates(tuple(rows), "Fixed terms that the client broke before they were over")


def incidence_estimates(spells: pd.DataFrame) -> Estimates:
    """Share gone by each month for each kind of end and term, competing ends accounted for
    (Aalen-Johansen).
    """
    outcome = follow_up(spells)
    groups = term_group(spells)
    words = {1: "left by choice", 2: "ended by the agency", 3: "ended for neutral reasons"}
    rows = []
    for group, part in _each(outcome, groups):
        known = curves.known_through(part, MIN_AT_RISK)
        for row in curves.cumulative_incidence(
            part, [m for m in LANDMARKS if m <= known]
        ).itertuples():
            counts = (part.seen, part.within(row.month).only([row.kind]).ended)
            values = (row.share, row.low, row.high)
            name = f"{words[row.kind]} by month {row.month}"
            rows.append(Estimate.of("A1", name, group, values, "share", counts))
    return Estimates(tuple(rows), "Share gone for each kind of reason, by term at signing")


def raw_rate_ratio(spells: pd.DataFrame) -> Estimates:
    """The article's own number: ends by choice per client-month, month-to-month over fixed, exact
    interval.

    Descriptive only: it compares months in which one group could not leave (METHODS 2). NaN with an
    empty arm.
    """
    outcome = follow_up(spells).only(BY_CHOICE)
    monthly = (spells["contract_term_months"] == 1).to_numpy()
    row = rates.raw_ratio(
        "A1", "month-to-month over fixed term", outcome.where(monthly), outcome.where(~monthly)
    )
    return Estimates(
        (row,), "Descriptive only: ends by choice per client-month, first group over second"
    )


def headlines(spells: pd.DataFrame) -> Findings:
    """The lead sentences about the contract term, made from the estimates: the medians, and the
    months gained.

    Only groups of which ten clients are gone have a say; a lead sentence must be able to stand
    alone.
    """
    medians = [row for row in service_estimates(spells).rows if row.unit == "months"]
    enough = [row for row in medians if row.n_events >= MIN_EVENTS_GROUP]
    told = ", ".join(f"{_months_or_not_yet(m.estimate)} ({_signed_for(m.group)})" for m in enough)
    gains = [
        row
        for row in restricted_mean_estimates(spells).rows
        if row.group == EXCESS and math.isfinite(row.low)
    ]
    texts = [f"Half of the clients are gone, for whatever reason, after: {told}."] if told else []
    if gains:
        last = gains[-1]
        horizon = last.name.rsplit(" ", 1)[-1]
        texts.append(_gain_words(last, horizon))
    return Findings(
        tuple(Finding("A1", text, "headline") for text in texts),
        "Too few clients have left for a lead sentence.",
    )


def _gain_words(gain: Estimate, horizon: str) -> str:
    """The months that a fixed term gains, in a sentence; without a direction where the interval
    includes none.
    """
    start = f"Within their first {horizon} months, "
    interval = f"(95% confidence interval {between(gain.low, gain.high, 'months')})"
    if gain.low <= 0 <= gain.high:
        difference = quantity(gain.estimate, "months")
        return (
            f"{start}no clear difference in months of service between the terms is seen: "
            f"{difference} {interval}."
        )
    word = "longer" if gain.estimate > 0 else "shorter"
    months = f"{quantity(abs(gain.estimate), 'months')} {word}"
    told = f"{start}clients on a fixed term stay {months} than month-to-month clients {interval}."
    return f"{told} Part of any gain is delay: who may leave only at a renewal stays until it."


def _months_or_not_yet(months: float) -> str:
    return "not yet" if math.isinf(months) else f"{months:g} months"


def _signed_for(group: str) -> str:
    return group if group == MONTHLY else f"signed for {group}"


def renewal_months(spells: pd.DataFrame, last: int = 36) -> list[int]:
    """Months of service, up to `last`, in which a fixed term that somebody signed comes due."""
    terms = [int(term) for term in spells["contract_term_months"].unique() if term > 1]
    return sorted({month for term in terms for month in range(term, last + 1, term)})


def hazard_words(hazard: pd.DataFrame) -> str:
    """The chart of leaving by month in words: the month in which most of each group leave."""
    tops = (
        hazard.loc[hazard.groupby("group", sort=False)["hazard"].idxmax()]
        if len(hazard)
        else hazard
    )
    peaks = [f"{row.group} {row.hazard:.1%} in month {row.month}" for row in tops.itertuples()]
    return (
        "Share leaving by month of service. Highest: "
        f"{', '.join(peaks) or 'too few clients to say'}."
    )


def survival_words(table: Estimates) -> str:
    """The survival chart in words: the share still with us after a year, by term."""
    shares = table.says(f"had not left by choice after month {LANDMARKS[1]}")
    return (
        "Curves of the share who had not left by choice. After a year: "
        f"{shares or 'too few clients to say'}."
    )
