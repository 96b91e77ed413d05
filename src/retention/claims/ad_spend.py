"""The size study (A4, A5): do clients who spend more stay longer, and is it their size or what
comes with it?

Size is what was planned at signing. The total effect is not adjusted for the contract, which
follows from size; the direct effect is. Where the answer turns round once the contract or a product
is held fixed, that is told first (Simpson's paradox). Source: METHODS 3.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
from scipy import stats

from retention.history.follow_up import follow_up
from retention.history.held import Model, at_signing, category, known_size, listed, offered
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
from retention.results import Contrast, Estimate, Estimates, Finding, Findings, between
from retention.settings import Extra
from retention.stats.hazards import NotFittedError, band_exposure
from retention.stats.rates import raw_ratio
from retention.words import say

SPEND = "monthly_ad_spend"
QUARTERS = ("smallest quarter", "second quarter", "third quarter", "largest quarter")
NATURAL = ("smallest sizes", "sizes between", "largest sizes")
LEAST_GROUP = 0.10  # METHODS 3: the groups compared hold at least a tenth of the clients each
TERM = "contract_term_months"
TURNS = say("claims.caveat.turns")
IN_STEPS = say("claims.caveat.in_steps")
ONE_SIZE = say("claims.caveat.one_size")
ALIKE = (
    "Nearly all clients are of one size: there are no large and small ones to compare, and "
    "more time gives none."
)
# (ours) a missing size goes with leaving where chance would show as much once in a hundred
BLANK_P = 0.01


def quarters(spells: pd.DataFrame, column: str = SPEND) -> pd.Series:
    """The quarter of each client by size at signing, ordered; where sizes tie, three natural groups
    (METHODS 3).

    Missing where size is not known, and for all where nearly all are of one size.
    """
    values = known_size(spells, column)
    edges = np.unique(values.quantile([0, 0.25, 0.5, 0.75, 1]).dropna())
    if len(edges) < len(QUARTERS) + 1:
        return _natural(values)
    return pd.cut(values, edges, labels=list(QUARTERS), include_lowest=True)


def _natural(values: pd.Series) -> pd.Series:
    """Groups cut where sizes step: the lowest and the highest are as near to a quarter of the
    clients as may be.
    """
    shares = values.value_counts(normalize=True).sort_index()
    low, high = (_nearest_quarter(part) for part in (shares.cumsum(), shares[::-1].cumsum()))
    if not low < high:
        return pd.Series(
            pd.Categorical([None] * len(values), categories=NATURAL, ordered=True), values.index
        )
    codes = np.select([values.isna(), values <= low, values >= high], [-1, 0, 2], 1)
    return pd.Series(pd.Categorical.from_codes(codes, NATURAL, ordered=True), values.index)


def _nearest_quarter(shares: pd.Series) -> float:
    """The size up to (or from) which the share of clients is nearest to a quarter, and a tenth at
    least.
    """
    enough = shares[shares >= LEAST_GROUP]
    return float((enough - 0.25).abs().idxmin()) if len(enough) else math.nan


def compared(groups: pd.Series) -> tuple[str, str]:
    """The names of the largest and the smallest group."""
    names = groups.cat.categories
    return str(names[-1]), str(names[0])


def cut_points(spells: pd.DataFrame, column: str = SPEND) -> Finding:
    """The sizes at which the quarters, or the natural groups, part, in a sentence."""
    groups = quarters(spells, column)
    if groups.isna().all():
        return Finding("A4", ALIKE)
    missing = int(groups.isna().sum())
    left_out = f" {missing:,} clients whose size is blank or 0 are left out." if missing else ""
    sizes = spells[column].groupby(groups, observed=True)
    if list(groups.cat.categories) == list(NATURAL):
        low = sizes.max().iloc[0]
        high = sizes.min().iloc[-1]
        share = groups.value_counts(normalize=True)
        parts = (
            f"up to {low:,.0f} a month ({share[NATURAL[0]]:.0%} of clients) with {high:,.0f} "
            "or more"
        )
        text = f"Sizes come in steps. Compared are the sizes {parts} ({share[NATURAL[2]]:.0%})."
        return Finding("A4", text + left_out)
    edges = ", ".join(f"{edge:,.0f}" for edge in sizes.max().iloc[:-1])
    return Finding("A4", f"The quarters part at {edges} a month.{left_out}")


def missing_sizes(spells: pd.DataFrame, contracts: pd.DataFrame | None = None) -> str:
    """A warning where clients whose size is blank or 0 leave at another pace than the others; else
    empty.

    At equal months of service, term and time of signing, on the same opportunities to leave, so
    that it is not the age of a record (two-sided, at 1 %). Counted are engagements.
    """
    missing = known_size(spells, SPEND).isna()
    if missing.all() or not missing.any():
        return ""
    rows = _rows(spells.assign(missing=missing), False, (CLIENT,), CLIENT, contracts)
    terms = levels(rows, rows[TERM].astype(str)).add_prefix("term ")
    groups = ("without a size", "with a size")
    found = compare(
        rows, rows["missing"], groups, name="size", others=terms, leave_out=("size",)
    ).contrast
    if found.gate or 2 * stats.norm.sf(abs(found.theta) / found.se) >= BLANK_P:
        return ""
    left = int((spells["gone"] & missing).sum())
    return (
        f"Planned spend is blank or 0 for {missing.sum():,} of {len(spells):,} engagements, and "
        f"{left:,} of those are "
        "over. At equal months of service and term their clients leave "
        f"{math.exp(found.theta):.2f} times as fast as "
        "those with a size. Sizes that were erased, or never written down, because a client left "
        "bend what is said of "
        "size. Fill in what was planned at signing."
    )


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
    name: str = "as planned",
) -> Contrast:
    """Log ratio of cumulative rates of leaving, largest over smallest quarter by size at signing.

    On opportunities to leave (with `contracts`, of the term in force), or `by_month`. `hold_term`
    holds the contract fixed (direct effect), `extra` are columns of the user's own to hold fixed.
    METHODS 3.
    """
    spells = spells.assign(quarter=quarters(spells, column))
    rows = _rows(spells, by_month, kinds, unknown, contracts)
    found = _compared(rows, hold_term, adjust, _without(extra, column), name).contrast
    in_steps = (
        list(spells["quarter"].cat.categories) == list(NATURAL) and spells["quarter"].notna().any()
    )
    return replace(found, caveats=(IN_STEPS, *found.caveats)) if in_steps else found


def _compared(
    rows: pd.DataFrame,
    hold_term: bool,
    adjust: bool,
    extra: Mapping[str, Extra],
    name: str = "as planned",
) -> Adjusted:
    """The comparison of the largest with the smallest group (column `quarter`) on these
    opportunities to leave.
    """
    rows = rows[rows["quarter"].notna()].reset_index(drop=True)
    if rows.empty:
        return Adjusted(
            Contrast(name, math.nan, math.nan, 0, {}, (ALIKE,), (ONE_SIZE,)), None, rows
        )
    groups = compared(rows["quarter"])
    between_them = {
        q: (rows["quarter"] == q).astype(float) for q in rows["quarter"].cat.categories[1:-1]
    }
    terms = (
        levels(rows, rows[TERM].astype(str)).add_prefix("term ")
        if hold_term
        else pd.DataFrame(index=rows.index)
    )
    others = pd.concat([pd.DataFrame(between_them, index=rows.index), terms], axis=1)
    first, second = (rows["quarter"] == group for group in groups)
    held = partial(compare, others=others, leave_out=("size",), adjust=adjust, extra=extra)
    return held(rows, first, groups, second=second, name=name)


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
    return in_words("A4", _compared(rows, False, True, _without(extra, column)))


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
    found = [
        ratio(spells, by_month=True, name="month by month"),
        ratio(spells, kinds=(CLIENT, NEUTRAL), name="neutral ends count too"),
        ratio(spells, kinds=tuple(KINDS), name="every end counts"),
        ratio(spells, unknown=AGENCY, name="unknown choice counts as the agency's"),
        ratio(spells, adjust=False, name="not adjusted"),
    ]
    if renewals_known(spells):  # a start that was counted back says how long the client stayed
        known = known_size(spells, column)
        level = known / known.groupby(spells["start_date"].dt.year).transform("median")
        own = spells.assign(**{column: level})
        found.append(ratio(own, name="size against others of its year"))
    return found


def per_doubling(
    spells: pd.DataFrame,
    extra: Mapping[str, Extra],
    column: str = SPEND,
    contracts: pd.DataFrame | None = None,
) -> Estimates:
    """The ratio of leaving for twice the size: pooled, with each thing known at signing held fixed,
    and with all.

    Groups `pooled`, `contract held fixed`, `<column> held fixed`, and as many together as there are
    ends for (`held.Model.hold`); the caption names what is not among them. 95 % intervals, by
    client or by rep, the wider.
    """
    rows = _rows(
        spells[known_size(spells, column).notna()], False, (CLIENT,), CLIENT, contracts
    ).reset_index(drop=True)
    own = {"contract": levels(rows, rows[TERM].astype(str))}
    own |= {name: category(rows, name) for name in ("industry", "source") if name in rows}
    own = {name: block for name, block in own.items() if block.shape[1]}
    mine, refused = offered(rows, _without(extra, column))
    model = _doubling(rows, column)
    found = [_estimate(model, "pooled", {})]
    found += [
        _estimate(model, f"{name} held fixed", {name: block})
        for name, block in (own | mine).items()
    ]
    caption = "Ratio of leaving for twice the size, with what is held fixed"
    try:
        held = model.hold(own, mine)
    except NotFittedError:
        return Estimates(tuple(row for row in found if row), caption)
    if len(held.blocks) > 1:
        chosen = {name: (own | mine)[name] for name in held.blocks}
        found.append(_estimate(model, f"{listed(held.blocks)} held fixed", chosen))
    told = with_why({**held.refused, **refused})
    caption += f"; not held fixed with the others: {told}" if told else ""
    return Estimates(tuple(row for row in found if row), caption)


def other_sizes(spells: pd.DataFrame, extra: Mapping[str, Extra]) -> Estimates:
    """The ratio of leaving for twice each further number known at signing (A5): site size, traffic,
    revenue, ...

    Pooled, and with the contract held fixed. Exploratory: 95 % intervals, no verdict.
    """
    found = []
    for column in [name for name in at_signing(extra, "number", "integer") if name in spells]:
        rows = _rows(spells[spells[column] > 0], False, (CLIENT,), CLIENT).reset_index(drop=True)
        model = _doubling(rows, column)
        name = f"ratio of leaving for twice the {column}"
        contract = {"contract": levels(rows, rows[TERM].astype(str))}
        for group, held in (("pooled", {}), ("contract held fixed", contract)):
            found.append(_estimate(model, group, held, "A5", name))
    return Estimates(tuple(row for row in found if row), "Other measures of size")


def _doubling(rows: pd.DataFrame, column: str) -> Model:
    """The regression of leaving on the logarithm of a size to the base of two."""
    size = np.log2(rows[column].astype(float)).rename("doubling").to_frame()
    exposure = band_exposure(rows["from_month"], rows["to_month"], rows["left"])
    return Model(
        "doubling", rows["left"].to_numpy(), size, exposure, rows["client_id"], rows.get("rep")
    )


def _estimate(
    model: Model,
    group: str,
    held: Mapping[str, pd.DataFrame],
    row_id: str = "A4",
    name: str = "ratio of leaving for twice the size",
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
    events = {group: int(model.left.sum())}
    spread, by_rep = spreads(fit, {model.target: 1.0}, model.reps, tuple(events.values()))
    theta = fit.coefficient(model.target)
    clients = model.clients.nunique()
    found = Contrast(name, theta, spread.se, clients, events, df=spread.df, by_rep=by_rep)
    return found.estimate(row_id, name, group)


def turns_round(table: Estimates) -> Findings:
    """What must be said first: where the pooled answer and an answer with something held fixed
    point opposite ways.
    """
    if not table.rows or table.rows[0].group != "pooled":
        return Findings(
            (),
            "The sizes are too much alike, or too few clients have left, to hold anything fixed.",
        )
    pooled = table.rows[0]
    turned = [
        row for row in table.rows[1:] if pooled.low > 1 > row.high or pooled.high < 1 < row.low
    ]
    texts = [
        f"The answer turns round. Over all clients, twice the size goes with {_pace(pooled)}; "
        f"with {row.group}, with "
        f"{_pace(row)}. Size stands for something else here: do not act on the pooled answer."
        for row in turned[-1:]
    ]
    return Findings(tuple(Finding("A4", text, "warning") for text in texts), "")


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
    """Total and direct effect: largest over smallest quarter, with the contract left free and held
    fixed. METHODS 3.
    """
    rows = []
    for name, hold in (("total: contract left free", False), ("direct: contract held fixed", True)):
        found = size_hazard_ratio(spells, column, hold_term=hold, contracts=contracts, extra=extra)
        if not found.gate:
            rows.append(found.estimate("A4", "ratio, largest over smallest quarter", name))
    return Estimates(
        tuple(rows), "Largest against smallest quarter, with and without the contract's share"
    )


def survival_words(curves: pd.DataFrame, month: int = 12) -> str:
    """The curves in words: the share who had not left by choice after a year, by quarter."""
    read = curves[(curves["month"] <= month) & (curves["followed"] >= month)]
    shares = read.groupby("group", sort=False)["survival"].last()
    told = ", ".join(f"{group} {share:.1%}" for group, share in shares.items())
    return (
        "Curves of the share who had not left by choice. After a year: "
        f"{told or 'too few clients to say'}."
    )


def _pace(row: Estimate) -> str:
    word = "leaving sooner" if row.estimate > 1 else "leaving later"
    return (
        f"{word} ({row.estimate:.2f} times as fast, 95% interval "
        f"{between(row.low, row.high, 'ratio')})"
    )


def rates_by_quarter(spells: pd.DataFrame, column: str = SPEND) -> pd.DataFrame:
    """Clients, client-months and ends by quarter: by choice, by the agency, neutral; ends by choice
    a month.
    """
    groups = quarters(spells, column)
    outcome = follow_up(spells)
    rows = []
    for quarter in groups.cat.categories:
        part = outcome.where((groups == quarter).to_numpy())
        ends = [part.only([kind]).ended for kind in KINDS.values()]
        rows.append(
            (
                quarter,
                part.seen,
                part.months,
                *ends,
                ends[0] / part.months if part.months else math.nan,
            )
        )
    names = [
        "Quarter by size",
        "Clients",
        "Client-months",
        "Left by choice",
        "Let go",
        "Neutral",
        "Left a month",
    ]
    return pd.DataFrame(rows, columns=names)


def raw_rate_ratio(spells: pd.DataFrame, column: str = SPEND) -> Estimates:
    """The article's own number: ends by choice per client-month, largest over smallest quarter,
    exact interval.
    """
    groups = quarters(spells, column)
    outcome = follow_up(spells).only([KINDS[CLIENT]])
    largest, smallest = (
        outcome.where((groups == quarter).to_numpy()) for quarter in compared(groups)
    )
    row = raw_ratio("A4", "largest over smallest quarter", largest, smallest)
    if math.isnan(row.estimate):
        return Estimates((), "Too few clients for the raw ratio")
    return Estimates((row,), "Descriptive only: ends by choice per client-month")
