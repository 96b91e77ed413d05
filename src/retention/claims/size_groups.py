"""Clients by size at signing (A4): the quarters, and how many of each left."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from retention.claims.term_curves import at_risk_by_term, curves_words, survival_by_term
from retention.history.follow_up import follow_up
from retention.history.held import known_size
from retention.history.spells import CLIENT, KINDS
from retention.results import Estimates, Finding
from retention.stats.rates import rate_limits, raw_ratio
from retention.words import say

SPEND = "monthly_ad_spend"
QUARTERS = ("smallest_quarter", "second_quarter", "third_quarter", "largest_quarter")
NATURAL = ("smallest_sizes", "middle_sizes", "largest_sizes")
LEAST_GROUP = 0.10  # METHODS 3: the groups compared hold at least a tenth of the clients each
ALIKE = say("ad_spend.lacking.one_size")


def quarters(spells: pd.DataFrame, column: str = SPEND) -> pd.Series:
    """The quarter of each client by size at signing, an ordered categorical of ids; where sizes
    tie, three natural groups (METHODS 3).

    Missing where size is not known, and for all where nearly all are of one size.
    """
    values = known_size(spells, column)
    fifths = [0, 0.25, 0.5, 0.75, 1]
    values_known = values.quantile(fifths).dropna()
    edges = np.unique(values_known)
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
    unknown = values.isna()
    conditions = [unknown, values <= low, values >= high]
    numbers = [-1, 0, 2]
    codes = np.select(conditions, numbers, 1)
    groups = pd.Categorical.from_codes(codes, NATURAL, ordered=True)
    return pd.Series(groups, values.index)


def _nearest_quarter(shares: pd.Series) -> float:
    """The size up to (or from) which the share of clients is nearest to a quarter, and a tenth at
    least.
    """
    enough = shares[shares >= LEAST_GROUP]
    return float((enough - 0.25).abs().idxmin()) if len(enough) else math.nan


def group_name(group: str) -> str:
    """What a group of `quarters` is called."""
    return say(f"ad_spend.group.{group}")


def ends_of(groups: pd.Series) -> tuple[str, str]:
    """The ids of the group of the largest clients and of that of the smallest."""
    names = groups.cat.categories
    return str(names[-1]), str(names[0])


def cut_points(spells: pd.DataFrame, column: str = SPEND) -> Finding:
    """The sizes at which the quarters, or the natural groups, part, in a sentence."""
    groups = quarters(spells, column)
    if groups.isna().all():
        return Finding("A4", ALIKE)
    missing = int(groups.isna().sum())
    sizes = spells[column].groupby(groups, observed=True)
    names = list(groups.cat.categories)
    if names == list(NATURAL):
        share = groups.value_counts(normalize=True)
        steps = {
            "low": sizes.max().iloc[0],
            "smallest": share[NATURAL[0]],
            "high": sizes.min().iloc[-1],
            "largest": share[NATURAL[2]],
        }
        if missing:
            text = say("ad_spend.cuts.steps_but", missing=missing, **steps)
            return Finding("A4", text)
        return Finding("A4", say("ad_spend.cuts.steps", **steps))
    edges = ", ".join(f"{edge:,.0f}" for edge in sizes.max().iloc[:-1])
    if missing:
        return Finding("A4", say("ad_spend.cuts.quarters_but", edges=edges, missing=missing))
    return Finding("A4", say("ad_spend.cuts.quarters", edges=edges))


def survival_by_quarter(spells: pd.DataFrame, column: str = SPEND) -> pd.DataFrame:
    """The curves of `term_curves.survival_by_term`, by quarter of size."""
    return survival_by_term(spells, quarters(spells, column), group_name)


def at_risk_by_quarter(
    spells: pd.DataFrame, months: Sequence[int], column: str = SPEND
) -> pd.DataFrame:
    """Clients at risk just after each of `months`: a row a quarter of size, a column a month."""
    groups = quarters(spells, column)
    return at_risk_by_term(spells, months, groups, group_name)


def survival_words(curves: pd.DataFrame, month: int = 12) -> str:
    """The curves in words: the share who had not left by choice after a year, by quarter."""
    early = curves["month"] <= month
    read = curves[early & (curves["followed"] >= month)]
    by_group = read.groupby("group", sort=False)
    shares = by_group["survival"].last()
    return curves_words(
        say("ad_spend.alt.share", group=group, share=share) for group, share in shares.items()
    )


def rates_by_quarter(spells: pd.DataFrame, column: str = SPEND) -> pd.DataFrame:
    """Clients, client-months and ends by quarter of size, a row each: by choice, by the agency,
    neutral; ends by choice a month.

    Indexed by the ids of the quarters; `size_group` is what they are called.
    """
    groups = quarters(spells, column)
    outcome = follow_up(spells)
    rows = {}
    for quarter in groups.cat.categories:
        inside = (groups == quarter).to_numpy()
        part = outcome.where(inside)
        by_choice, let_go, neutral = (part.only([kind]).ended for kind in KINDS.values())
        a_month = by_choice / part.months if part.months else math.nan
        rows[quarter] = {
            "size_group": group_name(quarter),
            "clients": part.seen,
            "client_months": part.months,
            "left_by_choice": by_choice,
            "let_go": let_go,
            "neutral": neutral,
            "left_a_month": a_month,
        }
    records = list(rows.values())
    return pd.DataFrame.from_records(records, index=list(rows))


def rates_with_limits(spells: pd.DataFrame, column: str = SPEND) -> pd.DataFrame:
    """Ends by choice a month by quarter of size with 95 % intervals (`rates.rate_limits`): `name,
    estimate, low, high, left_by_choice`; indexed by the ids of the quarters.
    """
    groups = quarters(spells, column)
    by_choice = follow_up(spells).only([KINDS[CLIENT]])
    rows = {}
    for quarter in groups.cat.categories:
        inside = (groups == quarter).to_numpy()
        part = by_choice.where(inside)
        a_month = part.ended / part.months if part.months else math.nan
        rows[quarter] = (group_name(quarter), a_month, *rate_limits(part), part.ended)
    columns = ["name", "estimate", "low", "high", "left_by_choice"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def raw_rate_ratio(spells: pd.DataFrame, column: str = SPEND) -> Estimates:
    """The article's own number: ends by choice per client-month, largest over smallest quarter,
    exact interval.
    """
    groups = quarters(spells, column)
    outcome = follow_up(spells).only([KINDS[CLIENT]])
    largest, smallest = (
        outcome.where((groups == quarter).to_numpy()) for quarter in ends_of(groups)
    )
    row = raw_ratio("A4", say("ad_spend.group.largest_over_smallest"), largest, smallest)
    if math.isnan(row.estimate):
        return Estimates((), say("ad_spend.caption.raw_ratio_none"))
    return Estimates((row,), say("ad_spend.caption.raw_ratio"))
