"""The size study (A4, A5): do clients who spend more stay longer, and is it their size or what
comes with it?

Size is what was planned at signing. The total effect is not adjusted for the contract, which
follows from size; the direct effect is. Where the answer turns round once it is adjusted for the
contract or a product, that is said first (Simpson's paradox). Source: METHODS 3.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd

from retention.claims.registry import Studied, Ways, claim
from retention.claims.size_groups import ALIKE, NATURAL, SPEND, ends_of, group_name, quarters
from retention.contrast import Contrast
from retention.history.held import Model, at_signing, category, known_size, offered, things
from retention.history.opportunities import (
    Adjusted,
    compare,
    exit_rows,
    in_words,
    levels,
    month_rows,
    renewals_known,
    spreads,
    with_why,
)
from retention.history.spells import AGENCY, CLIENT, KINDS, NEUTRAL
from retention.numbers import between
from retention.results import Estimate, Estimates, Finding, Findings
from retention.settings import Extra
from retention.stats.bands import band_exposure
from retention.stats.hazards import NotFittedError
from retention.words import key_of, say

TERM = "contract_term_months"
TURNS = say("claims.caveat.turns")
IN_STEPS = say("claims.caveat.in_steps")
ONE_SIZE = say("claims.caveat.one_size")
AS_PLANNED = say("claims.way.as_planned")
POOLED = say("ad_spend.group.pooled")
TWICE_THE_SIZE = say("ad_spend.estimate.twice_the_size")
# (ours) a missing size goes with leaving where chance would show as much once in a hundred
BLANK_P = 0.01


def missing_sizes(spells: pd.DataFrame, contracts: pd.DataFrame | None = None) -> str:
    """A warning where clients whose size is blank or 0 leave at another pace than the others; else
    empty. Engagements are counted.
    """
    ratio = pace_without_size(spells, contracts)
    if ratio is None:
        return ""
    missing = known_size(spells, SPEND).isna()
    gone_without = spells["gone"] & missing
    return say(
        "ad_spend.missing_sizes.warning",
        missing=int(missing.sum()),
        engagements=len(spells),
        ended=int(gone_without.sum()),
        ratio=ratio,
    )


def pace_without_size(spells: pd.DataFrame, contracts: pd.DataFrame | None = None) -> float | None:
    """How many times as fast clients leave whose size is blank or 0; None where chance alone may
    explain that they leave at another pace (two-sided, at 1 %).

    At equal months of service, term and time of signing, on the same opportunities to leave, so
    that it is not the age of a record.
    """
    missing = known_size(spells, SPEND).isna()
    if missing.all() or not missing.any():
        return None
    marked = spells.assign(missing=missing)
    rows = _rows(marked, False, (CLIENT,), CLIENT, contracts)
    term = rows[TERM].astype(str)
    terms = levels(rows, term).add_prefix("term ")
    groups = (say("ad_spend.group.without_size"), say("ad_spend.group.with_size"))
    compared = compare(
        rows, rows["missing"], groups, name="size", others=terms, leave_out=("size",)
    )
    contrast = compared.contrast
    if contrast.gate or contrast.chance >= BLANK_P:
        return None
    return math.exp(contrast.theta)


@claim("A4")
def larger_clients(study: Studied) -> Ways:
    """Clients of the top quarter by planned spend against the bottom quarter (A4)."""
    spells = study.spells
    contracts = study.contracts
    extra = study.at_signing
    primary = size_hazard_ratio(spells, contracts=contracts, extra=extra)
    planned = size_sensitivities(spells, contracts=contracts, extra=extra)
    held = per_doubling(spells, extra, contracts=contracts)
    return Ways(primary, planned, caveats(held))


def size_hazard_ratio(
    spells: pd.DataFrame,
    column: str = SPEND,
    *,
    hold_term: bool = False,
    by_month: bool = False,
    kinds: Sequence[str] = (CLIENT,),
    unknown: str = CLIENT,
    adjust: bool = True,
    contracts: pd.DataFrame | None = None,
    extra: Mapping[str, Extra] | None = None,
    name: str = AS_PLANNED,
) -> Contrast:
    """Log ratio of cumulative rates of leaving, largest over smallest quarter by size at signing.

    On opportunities to leave (with `contracts`, of the term in force), or `by_month`. `hold_term`
    holds the contract fixed (direct effect), `extra` are columns of the user's own to hold fixed.
    METHODS 3.
    """
    quarter = quarters(spells, column)
    spells = spells.assign(quarter=quarter)
    rows = _rows(spells, by_month, kinds, unknown, contracts)
    held_too = _without(extra, column)
    contrast = _compared(rows, hold_term, adjust, held_too, name).contrast
    names = spells["quarter"].cat.categories
    natural = list(names) == list(NATURAL)
    known_any = natural and spells["quarter"].notna().any()
    if known_any:
        return replace(contrast, caveats=(IN_STEPS, *contrast.caveats))
    return contrast


def _compared(
    rows: pd.DataFrame,
    hold_term: bool,
    adjust: bool,
    extra: Mapping[str, Extra],
    name: str = AS_PLANNED,
) -> Adjusted:
    """The comparison of the largest with the smallest group (column `quarter`) on these
    opportunities to leave.
    """
    sized = rows[rows["quarter"].notna()]
    rows = sized.reset_index(drop=True)
    if rows.empty:
        nothing = Contrast(name, math.nan, math.nan, 0, {}, (ALIKE,), (ONE_SIZE,))
        return Adjusted(nothing, None, rows)
    between_them = {
        q: (rows["quarter"] == q).astype(float) for q in rows["quarter"].cat.categories[1:-1]
    }
    terms = pd.DataFrame(index=rows.index)
    if hold_term:
        term = rows[TERM].astype(str)
        terms = levels(rows, term).add_prefix("term ")
    middle = pd.DataFrame(between_them, index=rows.index)
    others = pd.concat([middle, terms], axis=1)
    largest, smallest = ends_of(rows["quarter"])
    return compare(
        rows,
        rows["quarter"] == largest,
        (group_name(largest), group_name(smallest)),
        name=name,
        second=rows["quarter"] == smallest,
        others=others,
        leave_out=("size",),
        adjust=adjust,
        extra=extra,
    )


def what_was_held(
    spells: pd.DataFrame,
    column: str = SPEND,
    *,
    contracts: pd.DataFrame | None = None,
    extra: Mapping[str, Extra] | None = None,
) -> Finding:
    """What the verdict's comparison holds fixed, and what was offered and is not, with why, in
    sentences.
    """
    rows = _rows(
        spells.assign(quarter=quarters(spells, column)), False, (CLIENT,), CLIENT, contracts
    )
    held_too = _without(extra, column)
    return in_words("A4", _compared(rows, False, True, held_too))


def _without(extra: Mapping[str, Extra] | None, column: str) -> dict[str, Extra]:
    """The user's own columns but for the one that is the size itself."""
    return {name: about for name, about in (extra or {}).items() if name != column}


def _rows(
    spells: pd.DataFrame,
    by_month: bool,
    kinds: Sequence[str],
    unknown: str,
    contracts: pd.DataFrame | None = None,
) -> pd.DataFrame:
    if by_month or not renewals_known(spells):
        return month_rows(spells, kinds=kinds, unknown=unknown)
    return exit_rows(spells, contracts, kinds=kinds, unknown=unknown, more=spells.columns)


def size_sensitivities(
    spells: pd.DataFrame,
    column: str = SPEND,
    *,
    contracts: pd.DataFrame | None = None,
    extra: Mapping[str, Extra] | None = None,
) -> list[Contrast]:
    """The pre-listed other ways to compute the contrast (plan.toml, A4), each named."""
    ratio = partial(size_hazard_ratio, column=column, contracts=contracts, extra=extra)
    neutral = say("ad_spend.way.neutral_ends")
    with_neutral = ratio(spells, kinds=(CLIENT, NEUTRAL), name=neutral)
    ways = [
        ratio(spells, by_month=True, name=say("ad_spend.way.by_month")),
        with_neutral,
        ratio(spells, kinds=tuple(KINDS), name=say("ad_spend.way.every_end")),
        ratio(spells, unknown=AGENCY, name=say("ad_spend.way.unknown_is_agency")),
        ratio(spells, adjust=False, name=say("ad_spend.way.not_adjusted")),
    ]
    if renewals_known(spells):  # a start that was counted back says how long the client stayed
        known = known_size(spells, column)
        by_year = known.groupby(spells["start_date"].dt.year)
        level = known / by_year.transform("median")
        own = spells.assign(**{column: level})
        of_its_year = ratio(own, name=say("ad_spend.way.of_its_year"))
        ways.append(of_its_year)
    return ways


def adjusted_for(blocks: Sequence[str]) -> str:
    """What an estimate that is adjusted for these blocks is called."""
    return say("ad_spend.group.adjusted", things=things(blocks))


def per_doubling(
    spells: pd.DataFrame,
    extra: Mapping[str, Extra],
    column: str = SPEND,
    contracts: pd.DataFrame | None = None,
) -> Estimates:
    """The ratio of leaving for twice the size: pooled, adjusted for each thing known at signing,
    and for all.

    Groups: pooled, adjusted for each block alone, and for as many together as there are ends for
    (`held.Model.hold`); the caption names what is not among them. 95 % intervals, by client or by
    rep, the wider.
    """
    known = known_size(spells, column)
    sized = spells[known.notna()]
    opportunities = _rows(sized, False, (CLIENT,), CLIENT, contracts)
    rows = opportunities.reset_index(drop=True)
    term = rows[TERM].astype(str)
    own = {"contract": levels(rows, term)}
    own |= {name: category(rows, name) for name in ("industry", "source") if name in rows}
    own = {name: block for name, block in own.items() if block.shape[1]}
    held_too = _without(extra, column)
    mine, refused = offered(rows, held_too)
    every = own | mine
    model = _doubling(rows, column)
    found = [_estimate(model, POOLED, {})]
    found += [_estimate(model, adjusted_for([name]), {name: b}) for name, b in every.items()]
    try:
        held = model.hold(own, mine)
    except NotFittedError:
        return Estimates(tuple(row for row in found if row), say("ad_spend.caption.doubling"))
    if len(held.blocks) > 1:
        chosen = {name: every[name] for name in held.blocks}
        group = adjusted_for(held.blocks)
        found.append(_estimate(model, group, chosen))
    caption = _doubling_caption({**held.refused, **refused})
    return Estimates(tuple(row for row in found if row), caption)


def _doubling_caption(refused: Mapping[str, str]) -> str:
    """The caption of `per_doubling`, with what has no place beside the others, and why."""
    if not refused:
        return say("ad_spend.caption.doubling")
    return say("ad_spend.caption.doubling_but", things=with_why(refused))


def other_sizes(spells: pd.DataFrame, extra: Mapping[str, Extra]) -> Estimates:
    """The ratio of leaving for twice each further number known at signing (A5): site size, traffic,
    revenue, ...

    Pooled, and adjusted for the contract. Exploratory: 95 % intervals, no verdict.
    """
    found = []
    for column in [name for name in at_signing(extra, "number", "integer") if name in spells]:
        sized = spells[spells[column] > 0]
        opportunities = _rows(sized, False, (CLIENT,), CLIENT)
        rows = opportunities.reset_index(drop=True)
        model = _doubling(rows, column)
        name = say("ad_spend.estimate.twice_the", column=column)
        term = rows[TERM].astype(str)
        contract = {"contract": levels(rows, term)}
        pooled = _estimate(model, POOLED, {}, "A5", name)
        found.append(pooled)
        group = adjusted_for(["contract"])
        found.append(_estimate(model, group, contract, "A5", name))
    return Estimates(tuple(row for row in found if row), say("ad_spend.caption.other_sizes"))


def _doubling(rows: pd.DataFrame, column: str) -> Model:
    """The regression of leaving on the logarithm of a size to the base of two."""
    doublings = np.log2(rows[column].astype(float))
    size = doublings.rename("doubling").to_frame()
    exposure = band_exposure(rows["from_month"], rows["to_month"], rows["left"])
    return Model(
        "doubling", rows["left"].to_numpy(), size, exposure, rows["client_id"], rows.get("rep")
    )


def _estimate(
    model: Model,
    group: str,
    held: Mapping[str, pd.DataFrame],
    row_id: str = "A4",
    name: str = TWICE_THE_SIZE,
) -> Estimate | None:
    """The ratio with these blocks held fixed; None where it cannot be computed, or the ends are too
    few for them.
    """
    if sum(block.shape[1] for block in held.values()) > max(model.room, 1):
        return None
    try:
        fit = model.fit(held)
    except NotFittedError:
        return None
    ended = model.left.sum()
    events = {group: int(ended)}
    counts = tuple(events.values())
    spread, by_rep = spreads(fit, {model.target: 1.0}, model.reps, counts)
    theta = fit.coefficient(model.target)
    clients = model.clients.nunique()
    contrast = Contrast(name, theta, spread.se, clients, events, df=spread.df, by_rep=by_rep)
    return contrast.estimate(row_id, name, group)


def turned(table: Estimates) -> tuple[Estimate, Estimate] | None:
    """The pooled estimate and the one that is adjusted for most of those that point the other way;
    None where none does.
    """
    pooled = table.rows[0]
    others = [
        row for row in table.rows[1:] if pooled.low > 1 > row.high or pooled.high < 1 < row.low
    ]
    return (pooled, others[-1]) if others else None


def _has_pooled(table: Estimates) -> bool:
    """Whether there is a pooled estimate for others to be compared with."""
    return bool(table.rows) and key_of(table.rows[0].group) == key_of(POOLED)


def turns_round(table: Estimates) -> Findings:
    """What must be said first: where the pooled answer and an adjusted answer point opposite
    ways.
    """
    if not _has_pooled(table):
        return Findings((), say("ad_spend.turns_round.unknown"))
    rows = turned(table)
    if rows is None:
        return Findings((), "")
    finding = Finding("A4", _turned_words(*rows), "warning")
    return Findings((finding,), "")


def _turned_words(pooled: Estimate, adjusted: Estimate) -> str:
    """That the answer turns round, in sentences."""
    key = "ad_spend.turns_round.later" if pooled.estimate > 1 else "ad_spend.turns_round.sooner"
    capital = adjusted.group[:1].upper()
    group = capital + adjusted.group[1:]
    return say(key, pooled=_pace(pooled), group=group, adjusted=_pace(adjusted))


def _pace(row: Estimate) -> str:
    """A ratio with its interval, in words."""
    interval = between(row.low, row.high, "ratio")
    return say("ad_spend.turns_round.pace", ratio=row.estimate, interval=interval)


def caveats(table: Estimates) -> tuple[str, ...]:
    """What must be said with the verdict where the answer turns round."""
    return (TURNS,) if turns_round(table).items else ()


def size_effects(
    spells: pd.DataFrame,
    column: str = SPEND,
    *,
    contracts: pd.DataFrame | None = None,
    extra: Mapping[str, Extra] | None = None,
) -> Estimates:
    """Total and direct effect: largest over smallest quarter, not adjusted and adjusted for the
    contract. METHODS 3.
    """
    name = say("ad_spend.estimate.ratio_of_quarters")
    groups = {False: say("ad_spend.group.total"), True: say("ad_spend.group.direct")}
    rows = []
    for hold, group in groups.items():
        ratio = size_hazard_ratio(spells, column, hold_term=hold, contracts=contracts, extra=extra)
        if not ratio.gate:
            estimate = ratio.estimate("A4", name, group)
            rows.append(estimate)
    return Estimates(tuple(rows), say("ad_spend.caption.effects"))
