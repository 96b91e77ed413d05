"""Cohorts: who is still a client after so many months, by when (and what) they signed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from retention.analyst.asked import asked
from retention.analyst.groups import QUARTERS
from retention.analyst.result import Result
from retention.claims import remaining
from retention.numbers import quantity, with_interval
from retention.results import ALL, Listing
from retention.show.grid import plot_grid
from retention.words import Said, say

COLUMNS = ["group", "cohort", "month", "clients", "share", "low", "high"]


def cohorts(
    study: Any,
    *,
    by: Any = None,
    where: Any = None,
    month: int = 12,
    cuts: Sequence[float] = QUARTERS,
) -> Result:
    """Share still a client after so many months, by the half-year of signing: a cohort triangle.

    Every end counts. A share stands where every client of the cohort could have been there so long;
    clients who were there before the records began are in no cohort, and cohorts of under ten
    clients are left out.

    Parameters
    ----------
    study, by, where, cuts
        As of `survival`; a triangle for each group of `by`.
    month : int
        The month of service that the sentence is about.

    Returns
    -------
    Result
        `.frame` has `group, cohort, month, clients, share, low, high`. Intervals: 95 %, by client
        (Wilson) or by the rep at signing, the wider.

    Examples
    --------
    >>> found = retention.cohorts(study, by="source")
    >>> bool((found.frame["share"] <= 1).all())
    True
    """
    of = asked(study, where)
    opened = of.opened
    last = pd.Timestamp(opened.cutoff)
    tables = [pd.DataFrame(columns=[*remaining.COHORTS, "group"])]
    for name, part in of.parts(by, cuts):
        # of a snapshot the starts are counted back: they are no cohorts
        signed = part.spells.head(0) if opened.is_snapshot else part.spells
        table = remaining.cohorts(signed, last)
        tables.append(table.assign(group=name))
    whole = pd.concat(tables[1:] or tables, ignore_index=True)
    named = whole.rename(columns={"row": "cohort", "value": "share"})
    frame = named[COLUMNS]
    wide = _triangle(frame)
    listing = Listing(wide, say("analyst.cohorts.caption"))
    sentence = _words(frame[frame["month"] == month], month)
    return Result(frame, sentence, listing, partial(_draw, frame))


def _triangle(frame: pd.DataFrame) -> pd.DataFrame:
    """A row a cohort (of each group) and a column a month, shares in words."""
    cells = [quantity(share, "share") for share in frame["share"]]
    words = frame.assign(words=cells)
    column = [say("contract_term.cohort.month", month=month) for month in words["month"]]
    index = ["group", "cohort", "clients"]
    wide = words.assign(column=column).pivot(index=index, columns="column", values="words")
    ordered = wide[list(dict.fromkeys(column))].reset_index()
    ordered.columns.name = None
    filled = ordered.fillna("")
    return filled.drop(columns="group") if frame["group"].eq(ALL).all() else filled


def _words(rows: pd.DataFrame, month: int) -> Said:
    """The cohorts after this month in a sentence: the lowest and the highest."""
    if rows.empty:
        return say("analyst.cohorts.none")
    ordered = rows.sort_values("share", kind="stable")
    values = [with_interval(row.share, row.low, row.high, "share") for row in ordered.itertuples()]
    names = [_name(row) for row in ordered.itertuples()]
    if len(rows) == 1:
        return say("analyst.cohorts.one", cohort=names[0], value=values[0], month=month)
    return say(
        "analyst.cohorts.several",
        n=len(rows),
        month=month,
        low=values[0],
        least=names[0],
        high=values[-1],
        most=names[-1],
    )


def _name(row: Any) -> str:
    if row.group == ALL:
        return str(row.cohort)
    return say("analyst.cohorts.row", group=row.group, cohort=row.cohort)


def _draw(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    names = [_name(row) for row in frame.itertuples()]
    cells = frame.assign(
        row=names,
        column=[say("contract_term.cohort.month", month=month) for month in frame["month"]],
        value=-frame["share"],
        text=[f"{share:.0%}" for share in frame["share"]],
    )
    return plot_grid(cells, y=say("analyst.cohorts.axis"), ax=ax)
