"""Who is still a client, every kind of end counted: by term, and in the two arms after a year."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from retention.claims.contract_term import arms
from retention.claims.term_curves import term_group, term_name
from retention.history.follow_up import follow_up
from retention.stats import curves
from retention.stats.curves import MIN_AT_RISK
from retention.stats.intervals import share_limits
from retention.stats.outcomes import Outcome
from retention.words import Said, say

MONTH = 12
AGES = (3, 6, 12, 18, 24, 36)  # months of service at which cohorts are counted
COHORTS = ["row", "column", "month", "clients", "value", "low", "high", "text"]
COLUMNS = ["group", "month", "survival", "low", "high", "followed"]


def remaining_by_term(
    spells: pd.DataFrame, called: Callable[[int], str] = term_name
) -> pd.DataFrame:
    """Share still a client by month of service and term at signing: `group, month, survival, low,
    high, followed`.

    Every kind of end counts. A curve stops at the month (`followed`) up to which it may be read.
    """
    outcome = follow_up(spells)
    groups = term_group(spells)
    parts = []
    for term in groups.cat.categories:
        part = outcome.where((groups == term).to_numpy())
        followed = _followed(part)
        curve = curves.kaplan_meier(part)
        curve = curve[curve["month"] <= followed]
        parts.append(curve.assign(group=called(term), followed=followed))
    kept = [part for part in parts if len(part) and part["followed"].iloc[0] > 0]
    return pd.concat(kept, ignore_index=True)[COLUMNS] if kept else pd.DataFrame(columns=COLUMNS)


def _followed(part: Outcome) -> float:
    return float(min(curves.known_through(part, MIN_AT_RISK), part.stop.max(initial=0)))


def remaining_shares(spells: pd.DataFrame, month: int = MONTH) -> pd.DataFrame:
    """Share still a client after `month` months, of month-to-month and of fixed terms that divide
    it: `share, low, high`, index the arm; an arm not followed so far is left out.
    """
    outcome = follow_up(spells)
    rows = {}
    for arm, chosen in arms(spells, month).items():
        part = outcome.where(np.asarray(chosen))
        if curves.known_through(part, MIN_AT_RISK) >= month:
            after = curves.after(curves.kaplan_meier(part), month)
            rows[arm] = [float(after[name]) for name in ("survival", "low", "high")]
    return pd.DataFrame.from_dict(rows, orient="index", columns=["share", "low", "high"])


def remaining_words(shares: pd.DataFrame) -> Said:
    """The chart in words: what is left of each arm after a year."""
    if shares.empty:
        return say("contract_term.alt.survival_none")
    each = [
        say(f"contract_term.alt.remaining_{arm}", share=row.share, low=row.low, high=row.high)
        for arm, row in shares.iterrows()
    ]
    return say("contract_term.alt.remaining", shares=", ".join(each))


def cohorts(spells: pd.DataFrame, cutoff: pd.Timestamp) -> pd.DataFrame:
    """Of the clients signed in each half-year, the share still there after so many months: `row,
    column` (in words), `month, clients, value, low, high, text`, the oldest first.

    Intervals: 95 %, Wilson's or by the rep at signing, the wider. A share stands where every client
    of the cohort could have been there so long. Clients who were there when the records began are
    in none.
    """
    signed = spells[spells["entry_months"] == 0]
    half = signed["start_date"].dt.year * 2 + (signed["start_date"].dt.month > 6)
    rows = []
    for number, part in signed.groupby(half):
        if len(part) < MIN_AT_RISK:
            continue
        name = say("contract_term.cohort.name", year=number // 2, half=number % 2 + 1)
        for month in AGES:
            if (part["start_date"] + pd.DateOffset(months=month) > cutoff).any():
                break
            ends = part["end_date"].fillna(pd.Timestamp.max)
            there = ends > part["start_date"] + pd.DateOffset(months=month)
            share = float(there.mean())
            limits = share_limits(there, _first_rep(part))
            column = say("contract_term.cohort.month", month=month)
            rows.append([name, column, month, len(part), share, *limits, f"{share:.0%}"])
    return pd.DataFrame(rows, columns=COHORTS)


def _first_rep(spells: pd.DataFrame) -> np.ndarray | None:
    """Who was in charge as each engagement began, (n,); None where nobody knows."""
    if "reps" not in spells:
        return None
    names = [spans[0][1] if spans else "" for spans in spells["reps"]]
    return np.array(names, dtype=object)


def cohort_words(frame: pd.DataFrame) -> Said:
    """The picture in words: what was left of each cohort after a year."""
    year = frame[frame["month"] == MONTH]
    if year.empty:
        return say("contract_term.cohort.nothing")
    points = [
        say("contract_term.cohort.point", name=row.row, share=row.value)
        for row in year.itertuples()
    ]
    return say("contract_term.cohort.alt", points="; ".join(points))
