"""How long clients stay: survival curves, shares gone by whose choice, and mean months of service,
by whatever an analyst names.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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
Outcomes = Mapping[str, Outcome]  # the follow-up of each group by its name
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
    outcomes = _outcomes(of, by, cuts)
    frame = _stacked(outcomes)
    shares = [_at_months(name, outcome) for name, outcome in outcomes.items()]
    rows = [row for of_group in shares for row in of_group]
    rows += [_median(name, outcome) for name, outcome in outcomes.items()]
    caption = say("analyst.survival.caption")
    shown = Estimates(tuple(rows), caption)
    sentence = _survival_words(outcomes, month, ends)
    draw = partial(_draw_survival, frame, outcomes, month)
    return Result(frame, sentence, shown, draw)


def _outcomes(of: Asked, by: Any, cuts: Sequence[float]) -> Outcomes:
    """The follow-up of each group of which anybody was ever at risk."""
    found = {}
    for name, part in of.parts(by, cuts):
        if part.outcome.seen:
            found[name] = part.outcome
    return found


def _stacked(outcomes: Outcomes) -> pd.DataFrame:
    """The curve of each group, one below the other, whole: `followed` says how far it may be
    read.
    """
    found = []
    for name, outcome in outcomes.items():
        curve = curves.kaplan_meier(outcome)
        followed = _followed(outcome)
        whole = curve.assign(group=name, followed=followed)
        found.append(whole)
    columns = ["group", *curves.CURVE, "followed"]
    return _together(found, columns)


def _together(tables: list[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    """The tables one below the other, with these columns; no rows where there are none."""
    if not tables:
        return pd.DataFrame(columns=columns)
    whole = pd.concat(tables, ignore_index=True)
    return whole[columns]


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
    row = curves.after(curve, month)
    values = row[["survival", "low", "high"]]
    about = say("analyst.survival.after", month=month)
    early = outcome.within(month)
    counts = (outcome.seen, early.ended)
    return Estimate.of(OWN, about, name, values, "share", counts)


def _shares_after(outcomes: Outcomes, month: int) -> list[Estimate]:
    """The share of each group left after a month, of those that may be read so far."""
    rows = []
    for name, outcome in outcomes.items():
        if _known(outcome) >= month:
            row = _share_after(name, outcome, month)
            rows.append(row)
    return rows


def _median(name: str, outcome: Outcome) -> Estimate:
    """The month by which half of a group have left; inf where they have not by the last that may be
    read.
    """
    known = _known(outcome)
    curve = curves.kaplan_meier(outcome)
    found = curves.median(curve)
    values = [value if value <= known else math.inf for value in found]
    counts = (outcome.seen, outcome.ended)
    about = say("analyst.survival.median")
    return Estimate.of(OWN, about, name, values, "months", counts)


def _survival_words(outcomes: Outcomes, month: int, ends: str) -> Said:
    """The shares after a month in a sentence: of all, or the least and the most of the groups."""
    rows = _shares_after(outcomes, month)
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
    frame: pd.DataFrame, outcomes: Outcomes, month: int, ax: Axes | None = None
) -> Axes:
    groups = frame["group"].nunique()
    if groups > MOST_LINES:
        return _draw_shares(outcomes, month, ax)
    followed = frame["followed"] > 0
    read = frame[followed & (frame["month"] <= frame["followed"])]
    longest = read["followed"].max() if len(read) else STEP
    last = int(min(longest, MOST))
    months = list(range(0, last + 1, STEP))
    after = np.asarray(months) + 1
    names = read["group"].unique()
    counts = {name: outcomes[name].at_risk(after) for name in names}
    at_risk = pd.DataFrame.from_dict(counts, orient="index", columns=months)
    return draw_survival(read, at_risk, month, ax=ax)


def _draw_shares(outcomes: Outcomes, month: int, ax: Axes | None) -> Axes:
    """The share of each group left after a month: more curves than a few cannot be
    distinguished.
    """
    rows = _shares_after(outcomes, month)
    table = _ranked(rows)
    axis = say("analyst.survival.axis", month=month)
    return plot_ranked(table, form=percent, x=axis, ax=ax)


def _ranked(rows: Sequence[Estimate]) -> pd.DataFrame:
    """Estimates of groups as rows of a chart."""
    cells = [(row.group, row.estimate, row.low, row.high) for row in rows]
    return pd.DataFrame(cells, columns=["name", "estimate", "low", "high"])


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
    outcomes = _outcomes(of, by, cuts)
    tables = [_gone(name, outcome) for name, outcome in outcomes.items()]
    columns = ["group", "kind", "month", "share", "se", "low", "high"]
    every = _together(tables, columns)
    chosen = every["kind"] == ends
    frame = every if ends == EVERY else every[chosen].reset_index(drop=True)
    rows = _gone_rows(frame[frame["month"].isin(MONTHS)], outcomes)
    caption = say("analyst.incidence.caption")
    shown = Estimates(tuple(rows), caption)
    kind = CLIENT if ends == EVERY else ends
    now = frame[frame["kind"] == kind]
    said = _gone_rows(now[now["month"] == month], outcomes)
    left = say(f"analyst.left.{kind}")
    sentence = in_words("incidence", said, {"month": month, "left": left})
    draw = partial(_draw_incidence, frame)
    return Result(frame, sentence, shown, draw)


def _gone_rows(rows: pd.DataFrame, outcomes: Outcomes) -> list[Estimate]:
    """Rows of shares gone as estimates, with the clients and ends behind each."""
    return [_gone_by(row, outcomes[row.group]) for row in rows.itertuples()]


def _gone(name: str, outcome: Outcome) -> pd.DataFrame:
    """The shares of a group gone by each month up to the last that may be read."""
    last = int(_followed(outcome))
    kinds = {number: kind for kind, number in KINDS.items()}
    table = curves.cumulative_incidence(outcome, range(1, last + 1))
    words = table["kind"].map(kinds)
    return table.assign(group=name, kind=words)


def _gone_by(row: Any, outcome: Outcome) -> Estimate:
    early = outcome.within(row.month)
    of_kind = early.only([KINDS[row.kind]])
    month = int(row.month)
    about = say(f"analyst.gone.{row.kind}", month=month)
    values = (row.share, row.low, row.high)
    counts = (outcome.seen, of_kind.ended)
    return Estimate.of(OWN, about, row.group, values, "share", counts)


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
    for name, outcome in _outcomes(of, by, cuts).items():
        if _known(outcome) >= within:
            row = _mean(name, outcome, within)
            rows.append(row)
    columns = ["group", "within", "mean", "low", "high", "clients", "ends"]
    cells = [
        (row.group, within, row.estimate, row.low, row.high, row.n_clients, row.n_events)
        for row in rows
    ]
    frame = pd.DataFrame(cells, columns=columns)
    caption = say("analyst.mean.caption", months=within)
    shown = Estimates(tuple(rows), caption)
    sentence = in_words("mean", rows, {"months": within})
    draw = partial(_draw_means, frame, within)
    return Result(frame, sentence, shown, draw)


def _mean(name: str, outcome: Outcome, within: int) -> Estimate:
    values = curves.mean_within(outcome, within)
    early = outcome.within(within)
    counts = (outcome.seen, early.ended)
    about = say("analyst.mean.about", months=within)
    return Estimate.of(OWN, about, name, values, "months", counts)


def _draw_means(frame: pd.DataFrame, within: int, ax: Axes | None = None) -> Axes:
    rows = frame.rename(columns={"group": "name", "mean": "estimate"})
    axis = say("analyst.mean.axis", months=within)
    return plot_ranked(rows, x=axis, ax=ax)
