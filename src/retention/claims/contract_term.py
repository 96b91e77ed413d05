"""The contract-term study (A1): who signed month-to-month against who signed a fixed term.

Comparisons run over whole contract cycles and on end dates. A fixed-term client cannot leave
between renewals, so a monthly rate ratio, or any follow-up shorter than a cycle, compares freedom
to leave and not the wish to (METHODS 2).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd

from retention.contrast import Contrast
from retention.history.follow_up import follow_up
from retention.history.opportunities import UNADJUSTED, Adjusted, compare, exit_rows, renewals_known
from retention.history.spells import AGENCY, CLIENT, KINDS, NEUTRAL, row_terms
from retention.results import Estimates
from retention.settings import Extra
from retention.stats import curves, outcomes
from retention.stats.curves import MIN_AT_RISK
from retention.stats.intervals import welch
from retention.words import say

MONTHLY, FIXED = "monthly", "fixed"  # the two groups of the verdict
ARMS = {MONTHLY: say("contract_term.group.monthly"), FIXED: say("contract_term.group.fixed")}
AS_PLANNED = say("claims.way.as_planned")
CHANGES_UNKNOWN = say("claims.caveat.changes_unknown")


def clients_of(arm: str) -> str:
    """What the clients of one of the two groups are called."""
    return say("held.group.clients", group=ARMS[arm])


def arms(spells: pd.DataFrame, horizon: int) -> dict[str, np.ndarray]:
    """Masks of shape (len(spells),) of the two groups that a comparison at `horizon` months may
    hold side by side.

    Only fixed terms that come due exactly at the horizon or divide it belong: a 24-month client has
    had no chance to leave by month 12, whatever it wishes (METHODS 2).
    """
    months = spells["contract_term_months"].astype(int)
    terms = months.to_numpy()
    divides = horizon % np.maximum(terms, 1) == 0
    return {MONTHLY: terms == 1, FIXED: (terms > 1) & divides}


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
    every_end = follow_up(spells, unknown=unknown, by=by)
    wanted = [KINDS[kind] for kind in kinds]
    outcome = every_end.only(wanted)
    groups = {arm: outcome.where(mask) for arm, mask in arms(spells, horizon).items()}
    parts = {arm: _log_cumulative_hazard(part, horizon) for arm, part in groups.items()}
    lacking = tuple(
        reason for arm, part in groups.items() for reason in _lacking(arm, part, horizon)
    )
    # Only ends and clients that the curves up to the horizon rest on count for the gate.
    early = {arm: part.within(horizon) for arm, part in groups.items()}
    events = {clients_of(arm): part.ended for arm, part in early.items()}
    n_clients = sum(part.seen for part in early.values())
    monthly_log = parts[MONTHLY][0]
    theta = monthly_log - parts[FIXED][0]
    monthly_se = parts[MONTHLY][1]
    se = math.hypot(monthly_se, parts[FIXED][1])
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
    curve = curves.kaplan_meier(outcome)
    row = curves.after(curve, horizon)
    if not 0 < row["survival"] < 1:
        return math.nan, math.nan
    log_survival = math.log(row["survival"])
    relative = row["se"] / row["survival"] / log_survival
    return math.log(-log_survival), abs(relative)


def _lacking(arm: str, outcome: outcomes.Outcome, horizon: int) -> list[str]:
    """Why this arm cannot be read at the horizon; empty where it can."""
    group = ARMS[arm]
    if not outcome.seen:
        text = say("contract_term.lacking.no_arm", group=group, month=horizon)
        return [text]
    known = curves.known_through(outcome, MIN_AT_RISK)
    if known < horizon:
        return [_not_seen(group, known, horizon)]
    curve = curves.kaplan_meier(outcome)
    survival = curves.after(curve, horizon)["survival"]
    if survival == 0:
        all_left = say("contract_term.lacking.all_left", month=horizon, group=group)
        return [all_left]
    if survival == 1:
        none_left = say("contract_term.lacking.none_left", month=horizon, group=group)
        return [none_left]
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
    with_neutral = ratio(spells, kinds=(CLIENT, NEUTRAL), name=neutral)
    chosen = [
        curve_hazard_ratio(spells),
        curve_hazard_ratio(spells, horizon=24),
        with_neutral,
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
        never_changed = spells.assign(later_terms="")
        as_signed = exit_rows(never_changed, more=extra or ())
        name = say("contract_term.way.as_signed")
        signed_ways = compared(as_signed, extra, name=name)
        chosen.append(signed_ways.contrast)
    if "discount_pct" in spells:
        discount = spells["discount_pct"].fillna(0)
        full = spells[discount == 0]
        no_discount = ratio(full, name=say("contract_term.way.no_discount"))
        chosen.append(no_discount)
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
        own_pair = terms.isin([1, term])
        contrast = curve_hazard_ratio(spells[own_pair], horizon=horizon)
        if not contrast.gate:
            name = say("contract_term.estimate.ratio_by_month", month=horizon)
            group = say("contract_term.group.monthly_over", months=term)
            estimate = contrast.estimate("A1", name, group)
            rows.append(estimate)
    return Estimates(tuple(rows), say("contract_term.caption.ratio_by_term"))
