"""Who leaves early and who stays, by what was known at signing (A9): gone within 6 months, there
after 18.

Clients who could not be watched that long count for as long as they were (Kaplan-Meier); with the
share among ended clients alone, everybody would seem to leave early. Exploratory: no verdicts, and
corrected for how much was looked at.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests

from retention.claims.size_groups import group_name, quarters
from retention.claims.term_curves import term_group, term_name
from retention.data.schema import SIGNING, TABLES
from retention.history.follow_up import follow_up
from retention.history.held import p_of
from retention.history.opportunities import exit_rows, month_rows, renewals_known
from retention.history.spells import KINDS
from retention.results import FALSE_DISCOVERIES, Estimate, Estimates, Finding
from retention.settings import Extra
from retention.stats.curves import MIN_AT_RISK, after, kaplan_meier, known_through
from retention.stats.outcomes import Outcome
from retention.words import Said, say

EARLY, SWEET_SPOT = 6, 18  # months: STUDY A9
MIN_CLIENTS = 20
MOST_LEVELS = 12
KINDS_OF_COLUMN = ("category", "flag")
PART = "part by"  # before the names of columns that hold groups
TERM, SIZE = "our term", "our size"  # ids of what is no column of the clients table
THIRDS = ("lowest", "middle", "highest")
NUMBERS = ("number", "integer")
NOT_AT_SIGNING = ("end_initiator", "end_reason")


def known_at_signing(spells: pd.DataFrame, extra: Mapping[str, Extra]) -> pd.DataFrame:
    """What was known at signing in groups: a column each for term, size, every number (in thirds),
    and every category and yes-or-no column, by their ids.
    """
    groups: dict[str, pd.Series] = {TERM: term_group(spells), SIZE: quarters(spells)}
    numeric = _columns(extra, NUMBERS)
    numbers = [name for name in numeric if name != "monthly_ad_spend"]
    for name in (name for name in numbers if name in spells):
        rank = spells[name].astype(float).rank(pct=True)  # values that tie stay together
        edges = [0, 1 / 3, 2 / 3, 1]
        thirds = pd.cut(rank, edges, labels=list(THIRDS))
        if thirds.nunique() > 1:
            groups[name] = thirds
    for name in _columns(extra, KINDS_OF_COLUMN, "seller_id"):
        if name not in spells or name in NOT_AT_SIGNING:
            continue
        words = spells[name].astype("string")
        values = words.replace({"True": "yes", "False": "no"})
        if 1 < values.nunique() <= MOST_LEVELS:
            groups[name] = values
    return pd.DataFrame(groups, index=spells.index)


def _columns(extra: Mapping[str, Extra], kinds: tuple[str, ...], *more: str) -> list[str]:
    """The columns of these kinds that are known at signing: the study's, `more`, the user's own."""
    ours = [c.name for c in TABLES["clients"].columns if c.known == SIGNING and c.kind in kinds]
    theirs = [name for name, c in extra.items() if c.known == SIGNING and c.kind in kinds]
    return [*ours, *more, *theirs]


def thing_name(about: str) -> str:
    """What a column of `known_at_signing` is called."""
    if about == TERM:
        return say("data.signed.term")
    if about == SIZE:
        return say("data.signed.size")
    return about.removesuffix("_id").replace("_", " ")


def _level_name(about: str, values: pd.Series, level: Any) -> str:
    """What a group of a column of `known_at_signing` is called."""
    if about == TERM:
        return term_name(level)
    if about == SIZE:
        return group_name(level)
    if isinstance(values.dtype, pd.CategoricalDtype):
        return say(f"data.third.{level}")
    return str(level)


def _named(about: str, values: pd.Series, level: Any) -> Said:
    """What an estimate about a group is called; its id is that of column and group."""
    name = _level_name(about, values, level)
    text = say("data.signed.level", about=thing_name(about), level=name)
    return Said(text, f"data.signed.level:{about},{level}")


def early_and_late(spells: pd.DataFrame, extra: Mapping[str, Extra]) -> Estimates:
    """Share gone within 6 months and share that stays beyond 18, whatever ends it, by what was
    known at signing.

    Groups of fewer than twenty clients are left out, and a share that cannot be read so far.
    """
    outcome = follow_up(spells)
    groups = known_at_signing(spells, extra)
    rows = []
    for about in groups:
        values = groups[about]
        for level in sorted(values.dropna().unique(), key=_order(values)):
            of_level = (values == level).fillna(False)
            part = outcome.where(of_level.to_numpy(bool))
            group = _named(about, values, level)
            rows += _shares(group, part)
    return Estimates(tuple(rows), say("data.caption.early_and_late"))


def _order(values: pd.Series) -> Callable[[Any], Any]:
    """The key by which the groups of a column are sorted: as they are ordered, else by name."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        return list(values.cat.categories).index
    return str


def _shares(name: str, part: Outcome) -> list[Estimate]:
    """The two shares of one group, with log-log intervals."""
    known = known_through(part, MIN_AT_RISK)
    curve = kaplan_meier(part)
    rows = []
    if part.seen < MIN_CLIENTS:
        return []
    early = say("data.stay.early", months=EARLY)
    late = say("data.stay.late", months=SWEET_SPOT)
    for month, group in ((EARLY, early), (SWEET_SPOT, late)):
        row = after(curve, month)
        ended = np.sum(part.within(month).kind > 0)
        counts = (part.seen, int(ended))
        columns = ["survival", "low", "high"]
        shares = row[columns].to_numpy(float)
        if month == EARLY:
            shares = 1 - shares[[0, 2, 1]]
        if known >= month:
            estimate = Estimate.of("A9", name, group, list(shares), "share", counts)
            rows.append(estimate)
    return rows


def what_tells(
    spells: pd.DataFrame, extra: Mapping[str, Extra], contracts: pd.DataFrame | None = None
) -> Finding:
    """Which of the things known at signing go with how long clients stay, in a sentence."""
    tests = p_values(spells, extra, contracts)
    if not tests:
        return Finding("A9", say("data.tells.nothing"))
    names = beyond_chance(tests)
    if not names:
        text = say("data.tells.none", things=len(tests))
        return Finding("A9", text)
    named = ", ".join(thing_name(about) for about in names)
    return Finding("A9", say("data.tells.some", things=len(tests), names=named))


def beyond_chance(tests: Mapping[str, float]) -> list[str]:
    """The ids whose p values stand out beyond what so many looks would find by chance
    (Benjamini-Hochberg at a tenth of false discoveries).
    """
    if not tests:
        return []
    chances = list(tests.values())
    kept = multipletests(chances, alpha=FALSE_DISCOVERIES, method="fdr_bh")[0]
    return [about for about, keep in zip(tests, kept, strict=True) if keep]


def p_values(
    spells: pd.DataFrame, extra: Mapping[str, Extra], contracts: pd.DataFrame | None = None
) -> dict[str, float]:
    """The p value of each thing known at signing that can be tested, by its id.

    Compared at equal opportunity to leave, on months and whole terms (`opportunities.exit_rows`),
    whatever ends them: who cannot leave within a term is not said to stay for it. A score test for
    each, which is the log-rank test of such rows, by client or by rep, the larger. METHODS 5.
    """
    return _tests(spells, known_at_signing(spells, extra), contracts)


def _tests(
    spells: pd.DataFrame, groups: pd.DataFrame, contracts: pd.DataFrame | None
) -> dict[str, float]:
    """The p value of each column of `groups` that can be tested; on months where renewals are not
    known.
    """
    marked = spells.assign(**{f"{PART} {name}": groups[name] for name in groups})
    if renewals_known(spells):
        rows = exit_rows(marked, contracts, kinds=tuple(KINDS), more=marked.columns)
    else:
        rows = month_rows(marked, kinds=tuple(KINDS))
    found = {name: _p(rows[rows[f"{PART} {name}"].notna()], f"{PART} {name}") for name in groups}
    return {name: p for name, p in found.items() if not math.isnan(p)}


def _p(rows: pd.DataFrame, column: str) -> float:
    """The score test that all levels of a column leave at one pace; NaN where there are no two of
    enough clients.

    Levels of fewer clients than twenty join the commonest one.
    """
    rows = rows.reset_index(drop=True)
    values = rows[column].astype("string")
    by_value = rows["client_id"].groupby(values)
    clients = by_value.nunique()
    large = clients[clients >= MIN_CLIENTS]
    enough = large.sort_values(ascending=False, kind="stable")
    names = enough.index[1:]
    if not len(names):
        return math.nan
    parts = np.column_stack([values == name for name in names])
    return p_of(rows, parts.astype(float), rows.get("rep"))
