"""Who leaves early and who stays, by what was known at signing (A9): gone within 6 months, there
after 18.

Clients who could not be watched that long count for as long as they were (Kaplan-Meier); with the
share among ended clients alone, everybody would seem to leave early. Exploratory: no verdicts, and
corrected for how much was looked at.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests

from retention.claims.ad_spend import quarters
from retention.claims.contract_term import term_group
from retention.data.schema import TABLES
from retention.history.follow_up import follow_up
from retention.history.held import p_of
from retention.history.opportunities import exit_rows, month_rows, renewals_known
from retention.history.spells import KINDS
from retention.results import FALSE_DISCOVERIES, Estimate, Estimates, Finding
from retention.settings import Extra
from retention.stats.curves import MIN_AT_RISK, after, kaplan_meier, known_through
from retention.stats.outcomes import Outcome

EARLY, SWEET_SPOT = 6, 18  # months: STUDY A9
MIN_CLIENTS = 20
MOST_LEVELS = 12
KINDS_OF_COLUMN = ("category", "flag")
NOTHING_TELLS = "none goes with how long a client stays, as far as these data can show"
PART = "part by"  # before the names of columns that hold groups
NOT_AT_SIGNING = ("end_initiator", "end_reason")


def known_at_signing(spells: pd.DataFrame, extra: Mapping[str, Extra]) -> pd.DataFrame:
    """What was known at signing in groups: a column each for term, size, and every category and
    yes-or-no column.
    """
    groups = {"term": term_group(spells).astype(str), "size": quarters(spells).astype("string")}
    told = [
        c.name
        for c in TABLES["clients"].columns
        if c.known == "signing" and c.kind in KINDS_OF_COLUMN
    ]
    mine = [
        name
        for name, column in extra.items()
        if column.kind in KINDS_OF_COLUMN and column.known == "signing"
    ]
    told += ["seller_id", *mine]
    numbers = [
        c.name
        for c in TABLES["clients"].columns
        if c.known == "signing" and c.kind in ("number", "integer")
    ]
    numbers += [
        name
        for name, column in extra.items()
        if column.kind in ("number", "integer") and column.known == "signing"
    ]
    for name in (name for name in numbers if name in spells and name != "monthly_ad_spend"):
        rank = spells[name].astype(float).rank(pct=True)  # values that tie stay together
        thirds = pd.cut(
            rank, [0, 1 / 3, 2 / 3, 1], labels=["lowest third", "middle third", "highest third"]
        )
        if thirds.nunique() > 1:
            groups[name.replace("_", " ")] = thirds.astype("string")
    for name in (name for name in told if name in spells and name not in NOT_AT_SIGNING):
        values = spells[name].astype("string").replace({"True": "yes", "False": "no"})
        if 1 < values.nunique() <= MOST_LEVELS:
            groups[name.removesuffix("_id").replace("_", " ")] = values
    return pd.DataFrame(groups, index=spells.index)


def early_and_late(spells: pd.DataFrame, extra: Mapping[str, Extra]) -> Estimates:
    """Share gone within 6 months and share that stays beyond 18, whatever ends it, by what was
    known at signing.

    Groups of fewer than twenty clients are left out, and a share that cannot be read so far.
    """
    outcome = follow_up(spells)
    groups = known_at_signing(spells, extra)
    rows = []
    for about in groups:
        for level in sorted(groups[about].dropna().unique()):
            rows += _shares(
                f"{about}: {level}",
                outcome.where((groups[about] == level).fillna(False).to_numpy(bool)),
            )
    return Estimates(
        tuple(rows),
        "Gone early, and there to stay, by what was known at signing (every kind of end)",
    )


def _shares(name: str, part: Outcome) -> list[Estimate]:
    """The two shares of one group, with log-log intervals."""
    known = known_through(part, MIN_AT_RISK)
    curve = kaplan_meier(part)
    rows = []
    if part.seen < MIN_CLIENTS:
        return []
    for month, group in (
        (EARLY, f"gone within {EARLY} months"),
        (SWEET_SPOT, f"stays beyond {SWEET_SPOT} months"),
    ):
        row = after(curve, month)
        counts = (part.seen, int(np.sum(part.within(month).kind > 0)))
        shares = row[["survival", "low", "high"]].to_numpy(float)
        if month == EARLY:
            shares = 1 - shares[[0, 2, 1]]
        if known >= month:
            rows.append(Estimate.of("A9", name, group, list(shares), "share", counts))
    return rows


def what_tells(
    spells: pd.DataFrame, extra: Mapping[str, Extra], contracts: pd.DataFrame | None = None
) -> Finding:
    """Which of the things known at signing tell how long clients stay, beyond what so many looks
    would find by luck.

    Compared at equal opportunity to leave, on months and whole terms (`opportunities.exit_rows`),
    whatever ends them: who cannot leave within a term is not said to stay for it. A score test for
    each, which is the log-rank test of such rows; Benjamini-Hochberg at a tenth of false
    discoveries. Source: METHODS 5.
    """
    groups = known_at_signing(spells, extra)
    tests = _tests(spells, groups, contracts)
    if not tests:
        return Finding("A9", "Nothing that was known at signing can be told apart in these data.")
    kept = multipletests(list(tests.values()), alpha=FALSE_DISCOVERIES, method="fdr_bh")[0]
    names = [about for about, keep in zip(tests, kept, strict=True) if keep]
    luck = "at most one in ten of those named is expected to be luck; not adjusted for each other"
    told = (
        f"these go with how long a client stays: {', '.join(names)} ({luck})"
        if names
        else NOTHING_TELLS
    )
    return Finding(
        "A9", f"Of {len(tests)} things known at signing, at equal opportunity to leave, {told}."
    )


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
    clients = rows["client_id"].groupby(values).nunique()
    names = clients[clients >= MIN_CLIENTS].sort_values(ascending=False, kind="stable").index[1:]
    return (
        p_of(rows, np.column_stack([values == name for name in names]).astype(float))
        if len(names)
        else math.nan
    )
