"""How long clients stay: survival curves, shares gone by whose choice, and mean months of service,
by whatever an analyst names.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from retention.analyst.asked import EVERY, Asked, asked
from retention.analyst.groups import QUARTERS
from retention.analyst.result import Result
from retention.history.spells import CLIENT, KINDS
from retention.results import ALL, Estimate, Estimates
from retention.show.cut import plot_incidence as draw_incidence
from retention.show.ranked import percent, plot_ranked
from retention.show.survival import plot_survival as draw_survival
from retention.stats import curves
from retention.stats.curves import MIN_AT_RISK
from retention.stats.outcomes import Outcome
from retention.words import Said, say

MONTHS = (6, 12, 24)  # of service, that the table shows
STEP = 6  # months between the counts under a chart
MOST_LINES = 5  # curves in one chart
MOST = 60  # months of service that a chart shows
OWN = "own"  # the id of estimates that are nobody's claim


def survival(
    study: Any,
    *,
    by: Any = None,
    where: Any = None,
    ends: str = CLIENT,
    month: int = 12,
    cuts: Sequence[float] = QUARTERS,
) -> Result:
    """Share of clients who have not left, by month of service (Kaplan-Meier).

    Parameters
    ----------
    study : Study or frame
        A study, or clients in any frame (pandas, Polars, DuckDB, Spark).
    by : column, expression, Series or frame, optional
        What makes the groups; numbers are cut at the quantiles `cuts`.
    where : the same, optional
        Which clients; it must give true or false.
    ends : str
        Whose choice counts as leaving: "client", "agency", "neutral" or "every".
    month : int
        The month of service that the sentence is about.

    Returns
    -------
    Result
        `.frame` has `group, month, at_risk, ended, survival, se, low, high, followed`. Intervals:
        95 %, by client or by rep, the wider. A curve may be read up to `followed`. The chart has
        the curves; of more than five groups the shares after `month`.

    Examples
    --------
    >>> found = retention.survival(study, by="contract_term_months")
    >>> found.frame["group"].unique().tolist()
    ['1', '6', '12']
    """
    of = asked(study, where, ends)
    parts = dict(of.parts(by, cuts))
    frame = _stacked(parts)
    rows = [row for name, part in parts.items() for row in _at_months(name, part.outcome)]
    rows += [_median(name, part.outcome) for name, part in parts.items() if part.outcome.seen]
    shown = Estimates(tuple(rows), say("analyst.survival.caption"))
    sentence = _survival_words(parts, month, ends)
    return Result(frame, sentence, shown, partial(_draw_survival, frame, parts, month))


def _stacked(parts: dict[str, Asked]) -> pd.DataFrame:
    """The curve of each group, one below the other, whole: `followed` says how far it may be
    read.
    """
    found = []
    for name, part in parts.items():
        outcome = part.outcome
        if not outcome.seen:
            continue
        curve = curves.kaplan_meier(outcome)
        followed = _followed(outcome)
        found.append(curve.assign(group=name, followed=followed))
    columns = ["group", *curves.CURVE, "followed"]
    return pd.concat(found, ignore_index=True)[columns] if found else pd.DataFrame(columns=columns)


def _followed(outcome: Outcome) -> float:
    """The last month up to which the curve may be read."""
    last = outcome.stop.max(initial=0)
    return float(min(curves.known_through(outcome, MIN_AT_RISK), last))


def _known(outcome: Outcome) -> float:
    """The last month of which anything can be said; inf once everybody has left."""
    return curves.known_through(outcome, MIN_AT_RISK)


def _at_months(name: str, outcome: Outcome) -> list[Estimate]:
    """The share of a group left after each of the table's months, as far as it may be read."""
    known = _known(outcome)
    return [_share_after(name, outcome, month) for month in MONTHS if month <= known]


def _share_after(name: str, outcome: Outcome, month: int) -> Estimate:
    curve = curves.kaplan_meier(outcome)
    values = curves.after(curve, month)[["survival", "low", "high"]]
    about = say("analyst.survival.after", month=month)
    counts = (outcome.seen, outcome.within(month).ended)
    return Estimate.of(OWN, about, name, values, "share", counts)


def _median(name: str, outcome: Outcome) -> Estimate:
    """The month by which half of a group have left; inf where they have not by the last that may be
    read.
    """
    known = _known(outcome)
    found = curves.median(curves.kaplan_meier(outcome))
    values = [value if value <= known else math.inf for value in found]
    counts = (outcome.seen, outcome.ended)
    about = say("analyst.survival.median")
    return Estimate.of(OWN, about, name, values, "months", counts)


def _survival_words(parts: dict[str, Asked], month: int, ends: str) -> Said:
    """The shares after a month in a sentence: of all, or the least and the most of the groups."""
    known = {name: part for name, part in parts.items() if _known(part.outcome) >= month}
    rows = [_share_after(name, part.outcome, month) for name, part in known.items()]
    left = say(f"analyst.left.{ends}")
    return in_words("survival", rows, {"month": month, "left": left})


def in_words(about: str, rows: Sequence[Estimate], fields: dict[str, Any]) -> Said:
    """Estimates in a sentence: the one of all, or the lowest and the highest of the groups; the
    texts are those `about` it.
    """
    if not rows:
        return say(f"analyst.said.{about}.none", **fields)
    if len(rows) == 1:
        only = rows[0]
        group = say("analyst.group.all") if only.group == ALL else only.group
        return say(f"analyst.said.{about}.one", **fields, group=group, value=only.words)
    ordered = sorted(rows, key=lambda row: row.estimate)
    least = ordered[0]
    most = ordered[-1]
    return say(
        f"analyst.said.{about}.several",
        **fields,
        least=least.group,
        low=least.words,
        most=most.group,
        high=most.words,
    )


def _draw_survival(
    frame: pd.DataFrame, parts: dict[str, Asked], month: int, ax: Axes | None = None
) -> Axes:
    groups = frame["group"].nunique()
    if groups > MOST_LINES:
        return _draw_shares(parts, month, ax)
    read = frame[(frame["month"] <= frame["followed"]) & (frame["followed"] > 0)]
    last = int(min(read["followed"].max() if len(read) else STEP, MOST))
    months = list(range(0, last + 1, STEP))
    after = np.asarray(months) + 1
    counts = {name: parts[name].outcome.at_risk(after) for name in read["group"].unique()}
    at_risk = pd.DataFrame.from_dict(counts, orient="index", columns=months)
    return draw_survival(read, at_risk, month, ax=ax)


def _draw_shares(parts: dict[str, Asked], month: int, ax: Axes | None) -> Axes:
    """The share of each group left after a month: more curves than a few cannot be told apart."""
    known = {name: part for name, part in parts.items() if _known(part.outcome) >= month}
    rows = [_share_after(name, part.outcome, month) for name, part in known.items()]
    cells = [(row.group, row.estimate, row.low, row.high) for row in rows]
    table = pd.DataFrame(cells, columns=["name", "estimate", "low", "high"])
    axis = say("analyst.survival.axis", month=month)
    return plot_ranked(table, form=percent, x=axis, ax=ax)


def incidence(
    study: Any,
    *,
    by: Any = None,
    where: Any = None,
    ends: str = EVERY,
    month: int = 12,
    cuts: Sequence[float] = QUARTERS,
) -> Result:
    """Share of clients gone by month of service and whose choice (Aalen-Johansen).

    Other ends compete: who was let go can no longer leave by choice.

    Parameters
    ----------
    study, by, where, cuts
        As of `survival`. `ends`: the kinds to show; "every" is all.
    month : int
        The month of service that the sentence is about.

    Returns
    -------
    Result
        `.frame` has `group, kind, month, share, se, low, high`. Intervals: 95 %, by client or by
        rep, the wider.

    Examples
    --------
    >>> found = retention.incidence(study, by="source")
    >>> sorted(found.frame["kind"].unique())
    ['agency', 'client', 'neutral']
    """
    of = asked(study, where, EVERY)
    parts = dict(of.parts(by, cuts))
    tables = [_gone(name, part.outcome) for name, part in parts.items() if part.outcome.seen]
    columns = ["group", "kind", "month", "share", "se", "low", "high"]
    nothing = pd.DataFrame(columns=columns)
    every = pd.concat(tables, ignore_index=True)[columns] if tables else nothing
    frame = every if ends == EVERY else every[every["kind"] == ends].reset_index(drop=True)
    counts = {name: part.outcome for name, part in parts.items()}
    rows = [_gone_by(row, counts[row.group]) for row in frame.itertuples() if row.month in MONTHS]
    shown = Estimates(tuple(rows), say("analyst.incidence.caption"))
    now = frame[(frame["month"] == month) & (frame["kind"] == (CLIENT if ends == EVERY else ends))]
    said = [_gone_by(row, counts[row.group]) for row in now.itertuples()]
    kind = say(f"analyst.left.{CLIENT if ends == EVERY else ends}")
    sentence = in_words("incidence", said, {"month": month, "left": kind})
    return Result(frame, sentence, shown, partial(_draw_incidence, frame))


def _gone(name: str, outcome: Outcome) -> pd.DataFrame:
    """The shares of a group gone by each month up to the last that may be read."""
    last = int(_followed(outcome))
    kinds = {number: kind for kind, number in KINDS.items()}
    table = curves.cumulative_incidence(outcome, range(1, last + 1))
    words = table["kind"].map(kinds)
    return table.assign(group=name, kind=words)


def _gone_by(row: Any, outcome: Outcome) -> Estimate:
    of_kind = outcome.within(row.month).only([KINDS[row.kind]])
    about = say(f"analyst.gone.{row.kind}", month=int(row.month))
    values = (row.share, row.low, row.high)
    return Estimate.of(OWN, about, row.group, values, "share", (outcome.seen, of_kind.ended))


def _draw_incidence(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    return draw_incidence(frame[frame["month"] <= MOST], ax=ax)


def restricted_mean(
    study: Any,
    *,
    by: Any = None,
    where: Any = None,
    ends: str = EVERY,
    within: int = 24,
    cuts: Sequence[float] = QUARTERS,
) -> Result:
    """Mean months of service within the first so many months (RMST).

    Parameters
    ----------
    study, by, where, cuts
        As of `survival`. `ends`: what ends service; "every" is all.
    within : int
        Months of service that are looked at. A group not followed so long is left out.

    Returns
    -------
    Result
        `.frame` has `group, within, mean, low, high, clients, ends`. Intervals: 95 %, by client or
        by rep, the wider; none under ten ends.

    Examples
    --------
    >>> found = retention.restricted_mean(study, by="contract_term_months == 1", within=12)
    >>> found.frame["group"].tolist()
    ['no', 'yes']
    """
    of = asked(study, where, ends)
    rows = []
    for name, part in of.parts(by, cuts):
        if _known(part.outcome) >= within:
            rows.append(_mean(name, part.outcome, within))
    columns = ["group", "within", "mean", "low", "high", "clients", "ends"]
    cells = [
        (row.group, within, row.estimate, row.low, row.high, row.n_clients, row.n_events)
        for row in rows
    ]
    frame = pd.DataFrame(cells, columns=columns)
    shown = Estimates(tuple(rows), say("analyst.mean.caption", months=within))
    sentence = in_words("mean", rows, {"months": within})
    return Result(frame, sentence, shown, partial(_draw_means, frame, within))


def _mean(name: str, outcome: Outcome, within: int) -> Estimate:
    values = curves.mean_within(outcome, within)
    counts = (outcome.seen, outcome.within(within).ended)
    about = say("analyst.mean.about", months=within)
    return Estimate.of(OWN, about, name, values, "months", counts)


def _draw_means(frame: pd.DataFrame, within: int, ax: Axes | None = None) -> Axes:
    rows = frame.rename(columns={"group": "name", "mean": "estimate"})
    axis = say("analyst.mean.axis", months=within)
    return plot_ranked(rows, x=axis, ax=ax)
