"""The size study (A4, A5): do clients who spend more stay longer, and is it their size or what comes with it?

Size is what was planned at signing. The total effect is not adjusted for the contract, which follows from size; the
direct effect is. Where the answer turns round once the contract or a product is held fixed, that is told first
(Simpson's paradox). Source: METHODS 3.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from retention.config import Extra
from retention.curves import follow_up, raw_ratio
from retention.exits import compare, exit_rows, levels, month_rows, renewals_known, spreads
from retention.hazards import NotFittedError, band_exposure, fit_hazard
from retention.results import Contrast, Estimate, Estimates, Finding, Findings, between
from retention.spells import AGENCY, CLIENT, KINDS, NEUTRAL
from retention.tables import SIGNING

SPEND = "monthly_ad_spend"
QUARTERS = ("smallest quarter", "second quarter", "third quarter", "largest quarter")
COMPARED = (QUARTERS[3], QUARTERS[0])
TERM = "contract_term_months"
TURNS = "turning round once other things are held fixed"
MIN_CATEGORIES, MAX_CATEGORIES = 2, 20


def quarters(spells: pd.DataFrame, column: str = SPEND) -> pd.Series:
    """The quarter of each client by size at signing, ordered; missing where size is, or where sizes tie too much."""
    values = spells[column].where(spells[column] > 0)
    edges = np.unique(values.quantile([0, 0.25, 0.5, 0.75, 1]).dropna())
    if len(edges) < len(QUARTERS) + 1:
        return pd.Series(pd.Categorical([None] * len(spells), categories=QUARTERS, ordered=True), spells.index)
    return pd.cut(values, edges, labels=list(QUARTERS), include_lowest=True)


def cut_points(spells: pd.DataFrame, column: str = SPEND) -> Finding:
    """The sizes at which the quarters part, in a sentence."""
    groups = quarters(spells, column)
    if groups.isna().all():
        return Finding("A4", "The sizes are too much alike to be parted into quarters.")
    edges = spells.groupby(groups, observed=True)[column].max().iloc[:-1]
    missing = int(groups.isna().sum())
    told = f" {missing:,} clients without a size are left out." if missing else ""
    return Finding("A4", f"The quarters part at {', '.join(f'{edge:,.0f}' for edge in edges)} a month.{told}")


def size_hazard_ratio(
    spells: pd.DataFrame,
    column: str = SPEND,
    *,
    hold_term: bool = False,
    by_month: bool = False,
    kinds: Sequence[str] = (CLIENT,),
    unknown: str = CLIENT,
    adjust: bool = True,
    name: str = "as planned",
) -> Contrast:
    """Log ratio of cumulative rates of leaving, largest over smallest quarter by size at signing.

    On opportunities to leave, or `by_month`. `hold_term` holds the contract fixed (direct effect). METHODS 3.
    """
    rows = _rows(spells.assign(quarter=quarters(spells, column)), by_month, kinds, unknown)
    rows = rows[rows["quarter"].notna()].reset_index(drop=True)
    if rows.empty:
        alike = ("The sizes are too much alike to be parted into quarters.",)
        return Contrast(name, math.nan, math.nan, 0, {}, alike)
    between_them = {q: (rows["quarter"] == q).astype(float) for q in QUARTERS[1:3]}
    terms = levels(rows, rows[TERM].astype(str)).add_prefix("term ") if hold_term else pd.DataFrame(index=rows.index)
    held = {"others": pd.concat([pd.DataFrame(between_them), terms], axis=1), "leave_out": ("size",), "adjust": adjust}
    first, second = (rows["quarter"] == quarter for quarter in COMPARED)
    return compare(rows, first, COMPARED, second=second, name=name, **held).contrast


def _rows(spells: pd.DataFrame, by_month: bool, kinds: Sequence[str], unknown: str) -> pd.DataFrame:
    if by_month or not renewals_known(spells):
        return month_rows(spells, kinds=kinds, unknown=unknown)
    rows = exit_rows(spells, kinds=kinds, unknown=unknown)
    more = [name for name in spells if name not in rows]
    return rows.merge(spells[["client_id", "engagement", *more]], on=["client_id", "engagement"], how="left")


def size_sensitivities(spells: pd.DataFrame, column: str = SPEND) -> list[Contrast]:
    """The pre-listed other ways to compute the contrast (plan.toml, A4), each named."""
    level = spells[column] / spells.groupby(spells["start_date"].dt.year)[column].transform("median")
    found = [
        size_hazard_ratio(spells, column, by_month=True, name="month by month"),
        size_hazard_ratio(spells, column, kinds=(CLIENT, NEUTRAL), name="neutral ends count too"),
        size_hazard_ratio(spells, column, kinds=tuple(KINDS), name="every end counts"),
        size_hazard_ratio(spells, column, unknown=AGENCY, name="unknown choice counts as the agency's"),
        size_hazard_ratio(spells, column, adjust=False, name="not adjusted for source, industry and time"),
    ]
    if renewals_known(spells):  # a start that was counted back says how long the client stayed
        found.append(
            size_hazard_ratio(spells.assign(**{column: level}), column, name="size against others of its year")
        )
    return found


def per_doubling(spells: pd.DataFrame, extra: Mapping[str, Extra], column: str = SPEND) -> Estimates:
    """The ratio of leaving for twice the size: pooled, with the contract, each category, and all of them held fixed.

    Groups `pooled`, `contract held fixed`, `<category> held fixed`, and all together; 95 % intervals, by client or
    by rep, the wider.
    """
    rows = _rows(spells[spells[column] > 0], False, (CLIENT,), CLIENT)
    blocks = {"contract": levels(rows, rows[TERM].astype(str)).add_prefix("contract ")}
    for name in ("industry", "source", *_at_signing(extra, "category", "flag")):
        if name in rows and MIN_CATEGORIES <= rows[name].nunique() <= MAX_CATEGORIES:
            blocks[name] = levels(rows, rows[name]).add_prefix(f"{name} ")
    blocks = {name: block for name, block in blocks.items() if block.shape[1]}
    held = {"pooled": [], **{f"{name} held fixed": [block] for name, block in blocks.items()}}
    if len(blocks) > 1:
        held[f"{', '.join(list(blocks)[:-1])} and {list(blocks)[-1]} held fixed"] = list(blocks.values())
    found = [row for name, block in held.items() if (row := _doubling(rows, column, name, block))]
    return Estimates(tuple(found), "Ratio of leaving for twice the size, with what is held fixed")


def other_sizes(spells: pd.DataFrame, extra: Mapping[str, Extra]) -> Estimates:
    """The ratio of leaving for twice each further number known at signing (A5): site size, traffic, revenue, ...

    Pooled, and with the contract held fixed. Exploratory: 95 % intervals, no verdict.
    """
    found = []
    for column in [name for name in _at_signing(extra, "number", "integer") if name in spells]:
        rows = _rows(spells[spells[column] > 0], False, (CLIENT,), CLIENT).reset_index(drop=True)
        contract = levels(rows, rows[TERM].astype(str)).add_prefix("contract ")
        for group, held in (("pooled", []), ("contract held fixed", [contract])):
            found.append(_doubling(rows, column, group, held, "A5", f"ratio of leaving for twice the {column}"))
    return Estimates(tuple(row for row in found if row), "Other measures of size")


def _at_signing(extra: Mapping[str, Extra], *kinds: str) -> list[str]:
    """The user's own columns of these kinds that are known at signing."""
    return [name for name, column in extra.items() if column.kind in kinds and column.known == SIGNING]


def _doubling(
    rows: pd.DataFrame,
    column: str,
    group: str,
    held: list[pd.DataFrame],
    row_id: str = "A4",
    name: str = "ratio of leaving for twice the size",
) -> Estimate | None:
    covariates = pd.concat([np.log2(rows[column].astype(float)).rename("doubling"), *held], axis=1)
    exposure = band_exposure(rows["from_month"], rows["to_month"], rows["left"])
    try:
        fit = fit_hazard(rows["left"].to_numpy(), covariates, exposure, rows["client_id"])
    except NotFittedError:
        return None
    left = {group: int(rows["left"].sum())}
    by_client, by_rep = spreads(fit, {"doubling": 1.0}, rows, tuple(left.values()))
    theta, clients = fit.coefficient("doubling"), rows["client_id"].nunique()
    contrast = Contrast(name, theta, by_client.se, clients, left, df=by_client.df, by_rep=by_rep)
    return contrast.estimate(row_id, name, group)


def turns_round(table: Estimates) -> Findings:
    """What must be said first: where the pooled answer and an answer with something held fixed point opposite ways."""
    if not table.rows or table.rows[0].group != "pooled":
        return Findings((), "The sizes are too much alike, or too few clients have left, to hold anything fixed.")
    pooled = table.rows[0]
    turned = [row for row in table.rows[1:] if pooled.low > 1 > row.high or pooled.high < 1 < row.low]
    texts = [
        f"The answer turns round. Over all clients, twice the size goes with {_pace(pooled)}; with {row.group}, with "
        f"{_pace(row)}. Size stands for something else here: do not act on the pooled answer."
        for row in turned[-1:]
    ]
    return Findings(tuple(Finding("A4", text, "warning") for text in texts), "")


def caveats(table: Estimates) -> tuple[str, ...]:
    """What must be said with the verdict where the answer turns round."""
    return (TURNS,) if turns_round(table).items else ()


def size_effects(spells: pd.DataFrame, column: str = SPEND) -> Estimates:
    """Total and direct effect: largest over smallest quarter, with the contract left free and held fixed. METHODS 3."""
    rows = []
    for name, hold in (("total: contract left free", False), ("direct: contract held fixed", True)):
        found = size_hazard_ratio(spells, column, hold_term=hold)
        if not found.gate:
            rows.append(found.estimate("A4", "ratio, largest over smallest quarter", name))
    return Estimates(tuple(rows), "Largest against smallest quarter, with and without the contract's share")


def survival_words(curves: pd.DataFrame, month: int = 12) -> str:
    """The curves in words: the share who had not left by choice after a year, by quarter."""
    read = curves[(curves["month"] <= month) & (curves["followed"] >= month)]
    shares = read.groupby("group", sort=False)["survival"].last()
    told = ", ".join(f"{group} {share:.1%}" for group, share in shares.items())
    return f"Curves of the share who had not left by choice. After a year: {told or 'too few clients to say'}."


def _pace(row: Estimate) -> str:
    word = "leaving sooner" if row.estimate > 1 else "leaving later"
    return f"{word} ({row.estimate:.2f} times as fast, 95% interval {between(row.low, row.high, 'ratio')})"


def rates_by_quarter(spells: pd.DataFrame, column: str = SPEND) -> pd.DataFrame:
    """Clients, client-months and ends by quarter: by choice, by the agency, neutral; ends by choice a month."""
    groups, outcome, rows = quarters(spells, column), follow_up(spells), []
    for quarter in QUARTERS:
        part = outcome.where((groups == quarter).to_numpy())
        ends = [part.only([kind]).ended for kind in KINDS.values()]
        rows.append((quarter, part.seen, part.months, *ends, ends[0] / part.months if part.months else math.nan))
    names = ["Quarter by size", "Clients", "Client-months", "Left by choice", "Let go", "Neutral", "Left a month"]
    return pd.DataFrame(rows, columns=names)


def raw_rate_ratio(spells: pd.DataFrame, column: str = SPEND) -> Estimates:
    """The article's own number: ends by choice per client-month, largest over smallest quarter, exact interval."""
    groups, outcome = quarters(spells, column), follow_up(spells).only([KINDS[CLIENT]])
    largest, smallest = (outcome.where((groups == quarter).to_numpy()) for quarter in COMPARED)
    row = raw_ratio("A4", "largest over smallest quarter", largest, smallest)
    if math.isnan(row.estimate):
        return Estimates((), "Too few clients for the raw ratio")
    return Estimates((row,), "Descriptive only: ends by choice per client-month")
