"""Like for like: who left at an opportunity to leave, among clients of the same size, source, industry and time.

A row is an opportunity: a month of a month-to-month client, a whole term of a fixed one. Which rows there are is
decided by the calendar alone (METHODS 2, estimator 1).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from retention.hazards import Fit, NotFittedError, band_exposure, fit_hazard, natural_spline, varying
from retention.in_charge import rep_in
from retention.intervals import NO_SPREAD, Spread
from retention.results import Contrast
from retention.spells import CLIENT, UNKNOWN, contract_cycles

BY_CHOICE = ("left at renewal", "left early")
EVENTS_A_PARAMETER = 10  # METHODS 1: at most a tenth as many parameters as ends
SPLINE_FROM = 100  # ends from which size may bend
MIN_LEVEL_CLIENTS, MIN_LEVEL_EVENTS = 10, 2  # smaller categories join the rest
MIN_OVERLAP = 0.10  # share of a group that is of a size found in the other
UNADJUSTED = "not adjusted for how else clients differ"


@dataclass(frozen=True)
class Adjusted:
    """A fitted comparison: the contrast to be judged, and the regression behind it (None where there is none).

    `rows` are the opportunities to leave, as in the fit.
    """

    contrast: Contrast
    fit: Fit | None
    rows: pd.DataFrame


def exit_rows(
    spells: pd.DataFrame,
    contracts: pd.DataFrame | None = None,
    *,
    kinds: Sequence[str] = (CLIENT,),
    unknown: str = CLIENT,
) -> pd.DataFrame:
    """A row an opportunity to leave, with `left` (0 or 1), `from_month`, `to_month` and the columns of its spell.

    Ends of `kinds` count; rows in which another kind of end fell are left out. Without `contracts` the term signed
    first is taken to be renewed: what the client chose. With them the term is the one in force.
    """
    told = spells.assign(end_kind=spells["end_kind"].where(spells["end_kind"] != UNKNOWN, unknown))
    rows = contract_cycles(told, contracts)
    left = (rows["outcome"].isin(BY_CHOICE) & (CLIENT in kinds)) | rows["outcome"].isin(kinds)
    rows = rows.assign(left=left.astype(int))[left | (rows["outcome"] == "stayed")]
    about = ["client_id", "engagement", "start_date", "contract_term_months", "monthly_ad_spend"]
    about += [name for name in ("industry", "source", "rep_id", "renewals_known", "reps") if name in spells]
    return _with_rep(rows.merge(spells[about], on=["client_id", "engagement"], how="left"))


def _with_rep(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with `rep`, who was in charge in the last month of each; no such column where nobody knows."""
    return rows.assign(rep=rep_in(rows["reps"], rows["to_month"])) if "reps" in rows else rows


def renewals_known(spells: pd.DataFrame) -> bool:
    """Whether the days on which terms come due are known; of a snapshot they are not."""
    return "renewals_known" not in spells or bool(spells["renewals_known"].all())


def month_rows(spells: pd.DataFrame, *, kinds: Sequence[str] = (CLIENT,), unknown: str = CLIENT) -> pd.DataFrame:
    """A row a month of service under observation, with the columns of `exit_rows`; other ends stop the clock."""
    kind = spells["end_kind"].where(spells["end_kind"] != UNKNOWN, unknown)
    months = (spells["stop_months"] - spells["entry_months"]).clip(lower=0).astype(int)
    rows = spells.assign(counted=spells["ended"] & kind.isin(kinds))
    rows = rows.loc[rows.index.repeat(months)]
    start = rows["entry_months"] + rows.groupby(level=0).cumcount()
    left = (rows["counted"] & (start + 1 == rows["stop_months"])).astype(int)
    return _with_rep(rows.assign(from_month=start, to_month=start + 1, left=left).reset_index(drop=True))


def compare(
    rows: pd.DataFrame,
    first: pd.Series,
    groups: tuple[str, str],
    *,
    name: str,
    second: pd.Series | None = None,
    others: pd.DataFrame | None = None,
    leave_out: Sequence[str] = (),
    adjust: bool = True,
) -> Adjusted:
    """The log ratio of cumulative rates of leaving, rows marked `first` over those marked `second`, clients alike.

    `second` is all other rows unless told; `others` are further columns that are always held fixed. `leave_out` names
    blocks not to adjust for. Blocks are taken in while there are ten ends a parameter; one that cannot be fitted is
    dropped, last first, and the caveat says what was adjusted for.
    """
    marks = first.to_numpy(bool)
    against = ~marks if second is None else second.to_numpy(bool)
    ends = rows["left"].to_numpy()
    events = {f"{group} clients": int(ends[mask].sum()) for group, mask in zip(groups, (marks, against), strict=True)}
    compared = rows[marks | against]
    lacking = _lacking(rows, (marks, against), groups, "size" not in leave_out and adjust)
    if lacking or not all(events.values()):
        events = events if marks.any() and against.any() else {}  # of nobody no number of ends is too small
        return Adjusted(_contrast(name, None, compared, rows, events, lacking, ()), None, rows)
    exposure = band_exposure(rows["from_month"], rows["to_month"], rows["left"])
    fixed = pd.DataFrame(index=rows.index) if others is None else varying(others)
    budget = max(ends.sum() / EVENTS_A_PARAMETER - 1 - fixed.shape[1], 1)  # the band rates are no covariates
    blocks = _blocks(rows, budget, leave_out) if adjust else {}
    why = ""
    for count in range(len(blocks), -1, -1):
        chosen = dict(list(blocks.items())[:count])
        covariates = pd.concat([first.astype(float).rename("first"), fixed, *chosen.values()], axis=1)
        try:
            fit = fit_hazard(ends, covariates, exposure, rows["client_id"])
        except NotFittedError as error:
            why = str(error)
            continue
        return Adjusted(_contrast(name, fit, compared, rows, events, (), tuple(chosen)), fit, rows)
    return Adjusted(
        _contrast(name, None, compared, rows, events, (f"No ratio could be computed: {why}.",), ()), None, rows
    )


def _contrast(
    name: str,
    fit: Fit | None,
    rows: pd.DataFrame,
    all_rows: pd.DataFrame,
    events: Mapping[str, int],
    lacking: Sequence[str],
    blocks: Sequence[str],
) -> Contrast:
    named = " and ".join(filter(None, [", ".join(blocks[:-1]), *blocks[-1:]]))
    said = f"among clients alike in {named}" if blocks else UNADJUSTED
    clients = rows["client_id"].nunique()
    if fit is None:
        return Contrast(name, math.nan, math.nan, clients, events, tuple(lacking), (said,))
    spread, by_rep = spreads(fit, {"first": 1.0}, all_rows, tuple(events.values()))
    theta = fit.coefficient("first")
    return Contrast(name, theta, spread.se, clients, events, tuple(lacking), (said,), None, spread.df, by_rep)


def spreads(fit: Fit, parts: Mapping[str, float], rows: pd.DataFrame, events: Sequence[int]) -> tuple[Spread, Spread]:
    """The spread of a weighted sum of coefficients by client and by rep; `rows` as in the fit, with `rep` if known."""
    by_rep = fit.by_rep(parts, rows["rep"].to_numpy(object)) if "rep" in rows else NO_SPREAD
    return fit.by_client(parts, events), by_rep


def _lacking(
    rows: pd.DataFrame, marks: tuple[np.ndarray, np.ndarray], groups: tuple[str, str], by_size: bool
) -> list[str]:
    """Why the two groups cannot be held side by side; empty where they can."""
    empty = [group for group, mask in zip(groups, marks, strict=True) if not mask.any()]
    if empty:
        return [f"No term of {group} clients came due while they could be seen." for group in empty]
    size = np.log(rows["monthly_ad_spend"].clip(lower=1).to_numpy(float))
    for mask, other in (marks, marks[::-1]):
        low, high = np.nanquantile(size[other], [0.05, 0.95])
        if by_size and np.mean((size[mask] >= low) & (size[mask] <= high)) < MIN_OVERLAP:
            return [f"Hardly any {groups[0]} client is of a size at which {groups[1]} clients are found too."]
    return []


def _blocks(rows: pd.DataFrame, budget: float, leave_out: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Covariates by what they adjust for, in the order of their weight, as many as `budget` parameters allow."""
    size = np.log(rows["monthly_ad_spend"].clip(lower=1))
    spread = natural_spline(size, 3 if rows["left"].sum() >= SPLINE_FROM else 2) if size.nunique() > 1 else None
    halves = rows["start_date"].dt.year.astype(str) + np.where(rows["start_date"].dt.month <= 6, " first", " second")
    offered = {"size": spread}
    offered |= {name: levels(rows, rows[name]) for name in ("source", "industry") if name in rows}
    if renewals_known(rows):  # of a snapshot the start is counted back from the stay: it would be held fixed too
        offered["half-year of signing"] = levels(rows, halves)
    blocks = {}
    for name, columns in offered.items():
        if columns is None or columns.empty or name in leave_out or columns.shape[1] > budget:
            continue
        blocks[name] = columns.add_prefix(f"{name}: ")
        budget -= columns.shape[1]
    return blocks


def levels(rows: pd.DataFrame, values: pd.Series) -> pd.DataFrame:
    """A column for each category with enough clients and ends, but for the commonest; the small ones join that one."""
    values = values.astype("string").fillna("not known")
    told = rows.assign(level=values).groupby("level").agg(clients=("client_id", "nunique"), left=("left", "sum"))
    large = told[(told["clients"] >= MIN_LEVEL_CLIENTS) & (told["left"] >= MIN_LEVEL_EVENTS)]
    names = large.sort_values("clients", ascending=False, kind="stable").index[1:]
    return pd.DataFrame({level: (values == level).astype(float) for level in names}, index=rows.index)
