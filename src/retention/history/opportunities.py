"""Like for like: who left at an opportunity to leave, among clients of the same size, source,
industry and time.

A row is an opportunity: a month of a month-to-month client, a whole term of a fixed one. Which rows
there are is decided by the calendar alone (METHODS 2).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from retention.contrast import NO_SPREAD, Contrast, Spread
from retention.history.held import (
    EVENTS_A_PARAMETER,
    Held,
    Model,
    category,
    known_size,
    levels,
    listed,
    offered,
    size,
    things,
)
from retention.history.in_charge import rep_in
from retention.history.spells import CLIENT, UNKNOWN, contract_cycles
from retention.results import Finding
from retention.settings import Extra
from retention.stats.bands import band_exposure
from retention.stats.hazards import Fit, NotFittedError, varying
from retention.words import Said, key_of, say

__all__ = [
    "EVENTS_A_PARAMETER",
    "Adjusted",
    "compare",
    "exit_rows",
    "levels",
    "month_rows",
    "renewals_known",
]

BY_CHOICE = ("left at renewal", "left early")
MIN_OVERLAP = 0.10  # share of a group that is of a size found in the other
UNADJUSTED = say("claims.caveat.not_adjusted")


@dataclass(frozen=True)
class Adjusted:
    """A fitted comparison: the contrast to be judged, and the regression behind it (None where
    there is none).

    `rows` are the opportunities to leave, as in the fit. `held` are the ids of what was held fixed,
    `refused` those of what was offered and was not, with why.
    """

    contrast: Contrast
    fit: Fit | None
    rows: pd.DataFrame
    held: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)


def exit_rows(
    spells: pd.DataFrame,
    contracts: pd.DataFrame | None = None,
    *,
    kinds: Sequence[str] = (CLIENT,),
    unknown: str = CLIENT,
    more: Iterable[str] = (),
) -> pd.DataFrame:
    """A row an opportunity to leave, with `left` (0 or 1), `from_month`, `to_month` and the columns
    of its spell.

    Ends of `kinds` count; rows in which another kind of end fell are left out. Without `contracts`
    the term signed first is taken to be renewed: what the client chose. With them the term is the
    one in force. `more` names further columns of the spells to carry, where there are such.
    """
    known = spells["end_kind"] != UNKNOWN
    kind = spells["end_kind"].where(known, unknown)
    with_kinds = spells.assign(end_kind=kind)
    rows = contract_cycles(with_kinds, contracts)
    outcome = rows["outcome"]
    by_choice = outcome.isin(BY_CHOICE) & (CLIENT in kinds)
    left = by_choice | outcome.isin(kinds)
    marked = rows.assign(left=left.astype(int))
    rows = marked[left | (outcome == "stayed")]
    about = ["client_id", "engagement", "start_date", "contract_term_months", "monthly_ad_spend"]
    taken = {*about, *rows}
    columns = ["industry", "source", "rep_id", "renewals_known", "reps", *more]
    others = dict.fromkeys(columns)
    about += [name for name in others if name in spells and name not in taken]
    key = ["client_id", "engagement"]
    whole = rows.merge(spells[about], on=key, how="left")
    return _with_rep(whole)


def _with_rep(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with `rep`, who was in charge in the last month of each; no such column where nobody
    knows.
    """
    return rows.assign(rep=rep_in(rows["reps"], rows["to_month"])) if "reps" in rows else rows


def renewals_known(spells: pd.DataFrame) -> bool:
    """Whether the days on which terms come due are known; of a snapshot they are not."""
    return "renewals_known" not in spells or bool(spells["renewals_known"].all())


def month_rows(
    spells: pd.DataFrame, *, kinds: Sequence[str] = (CLIENT,), unknown: str = CLIENT
) -> pd.DataFrame:
    """A row a month of service under observation, with the columns of `exit_rows`; other ends stop
    the clock.
    """
    known = spells["end_kind"] != UNKNOWN
    kind = spells["end_kind"].where(known, unknown)
    months = spells["stop_months"] - spells["entry_months"]
    positive = months.clip(lower=0)
    times = positive.astype(int)
    counted = spells["ended"] & kind.isin(kinds)
    rows = spells.assign(counted=counted)
    repeated = rows.index.repeat(times)
    rows = rows.loc[repeated]
    by_spell = rows.groupby(level=0)
    start = rows["entry_months"] + by_spell.cumcount()
    end = start + 1
    at_end = end == rows["stop_months"]
    left = rows["counted"] & at_end
    left_then = left.astype(int)
    rows = rows.assign(from_month=start, to_month=end, left=left_then)
    return _with_rep(rows.reset_index(drop=True))


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
    extra: Mapping[str, Extra] | None = None,
) -> Adjusted:
    """The log ratio of cumulative rates of leaving, rows marked `first` over those marked `second`,
    clients alike.

    `second` is all other rows unless told; `others` are further columns that are always held fixed.
    `leave_out` names blocks not to adjust for; `extra` are columns of the user's own that are held
    too (`held.Model.hold`). Blocks are taken in while there are ten ends a parameter; the caveat
    says what was adjusted for, and what was offered and has no place.
    """
    marks = first.to_numpy(bool)
    against = ~marks if second is None else second.to_numpy(bool)
    events = _events(rows, groups, (marks, against))
    compared = rows[marks | against]
    by_size = "size" not in leave_out and adjust
    lacking = _lacking(rows, (marks, against), groups, by_size)
    if lacking or not all(events.values()):
        # Of nobody no number of ends is too small.
        events = events if marks.any() and against.any() else {}
        unknown = _contrast(name, None, compared, rows, events, lacking)
        return Adjusted(unknown, None, rows)
    model = _model(rows, first, others)
    own = _blocks(rows, leave_out) if adjust else {}
    mine, refused = offered(rows, extra or {}) if adjust else ({}, {})
    try:
        held = model.hold(own, mine)
    except NotFittedError as error:
        lacking = [say("held.lacking.no_ratio", error=error)]
        return Adjusted(_contrast(name, None, compared, rows, events, lacking), None, rows)
    all_refused = {**held.refused, **refused}
    held = replace(held, refused=all_refused)
    contrast = _contrast(name, held, compared, rows, events, ())
    return Adjusted(contrast, held.fit, rows, held.blocks, held.refused)


def _events(
    rows: pd.DataFrame, groups: tuple[str, str], masks: tuple[np.ndarray, np.ndarray]
) -> dict[str, int]:
    """The ends by choice of each group, by what its clients are called."""
    ends = rows["left"].to_numpy()
    events: dict[str, int] = {}
    for group, mask in zip(groups, masks, strict=True):
        clients = say("held.group.clients", group=group)
        gone = ends[mask].sum()
        events[clients] = int(gone)
    return events


def _model(rows: pd.DataFrame, first: pd.Series, others: pd.DataFrame | None) -> Model:
    """The regression of leaving on being in the first group, with what is always held fixed."""
    fixed = pd.DataFrame(index=rows.index) if others is None else varying(others)
    marked = first.astype(float).rename("first")
    columns = [marked, fixed]
    covariates = pd.concat(columns, axis=1)
    exposure = band_exposure(rows["from_month"], rows["to_month"], rows["left"])
    ends = rows["left"].to_numpy()
    reps = rows.get("rep")
    return Model("first", ends, covariates, exposure, rows["client_id"], reps)


def _contrast(
    name: str,
    held: Held | None,
    rows: pd.DataFrame,
    all_rows: pd.DataFrame,
    events: Mapping[str, int],
    lacking: Sequence[str],
) -> Contrast:
    """The contrast of the first group with the second; NaN where the model could not be fitted."""
    clients = rows["client_id"].nunique()
    why = tuple(lacking)
    if held is None:
        unadjusted = _said((), {})
        return Contrast(name, math.nan, math.nan, clients, events, why, unadjusted)
    said = _said(held.blocks, held.refused)
    theta = held.fit.coefficient("first")
    counts = tuple(events.values())
    reps = all_rows.get("rep")
    spread, by_rep = spreads(held.fit, {"first": 1.0}, reps, counts)
    return Contrast(name, theta, spread.se, clients, events, why, said, None, spread.df, by_rep)


def spreads(
    fit: Fit, parts: Mapping[str, float], reps: pd.Series | None, events: Sequence[int]
) -> tuple[Spread, Spread]:
    """The spread of a weighted sum of coefficients by client and by rep; `reps` (n,) of the fit's
    rows, if known.
    """
    by_rep = NO_SPREAD if reps is None else fit.by_rep(parts, reps.to_numpy(object))
    return fit.by_client(parts, events), by_rep


def _said(blocks: Sequence[str], refused: Mapping[str, str]) -> tuple[str, ...]:
    """What was adjusted for, and what was offered and was not, with why, as said with a verdict."""
    alike = UNADJUSTED
    if blocks:
        alike = say("claims.caveat.alike_in", columns=things(blocks))
    if not refused:
        return (alike,)
    return alike, say("held.caveat.left_out", things=with_why(refused))


def with_why(refused: Mapping[str, str]) -> str:
    """The names refused, those of one reason together: "staff and traffic (too few clients have
    left for one more)".
    """
    by_reason: dict[str, list[str]] = {}
    reasons = {key_of(why): why for why in refused.values()}
    for name, why in refused.items():
        by_reason.setdefault(key_of(why), []).append(name)
    parts = [
        say("held.list.with_why", names=listed(names), why=reasons[key])
        for key, names in by_reason.items()
    ]
    keys = "+".join(map(key_of, parts))
    return Said(", ".join(parts), keys)


def in_words(row_id: str, found: Adjusted) -> Finding:
    """What a comparison is adjusted for, and what was offered and is not, with why, in sentences;
    empty without a comparison.
    """
    if found.fit is None:
        return Finding(row_id, "")
    held = things(found.held)
    others = with_why(found.refused)
    if held and others:
        text = say("held.adjusted.things_but", things=held, others=others)
        return Finding(row_id, text)
    if held:
        return Finding(row_id, say("held.adjusted.things", things=held))
    if others:
        return Finding(row_id, say("held.adjusted.nothing_but", others=others))
    return Finding(row_id, say("held.adjusted.nothing"))


def _lacking(
    rows: pd.DataFrame, marks: tuple[np.ndarray, np.ndarray], groups: tuple[str, str], by_size: bool
) -> list[str]:
    """Why the two groups cannot be held side by side; empty where they can."""
    pairs = zip(groups, marks, strict=True)
    empty = [group for group, mask in pairs if not mask.any()]
    if empty:
        return [say("held.lacking.none_due", group=group) for group in empty]
    if not by_size:
        return []
    sizes = known_size(rows)
    first = sizes[marks[0]].dropna()
    second = sizes[marks[1]].dropna()
    if _apart(first, second) or _apart(second, first):
        text = say("held.lacking.sizes_apart", first=groups[0], second=groups[1])
        return [text]
    return []


def _apart(own: pd.Series, theirs: pd.Series) -> bool:
    """Whether hardly any of the one group are of a size that is found in the other."""
    if own.empty or theirs.empty:
        return False
    low, high = theirs.quantile([0.05, 0.95])
    within = own.between(low, high)
    return bool(within.mean() < MIN_OVERLAP)


def _blocks(rows: pd.DataFrame, leave_out: Sequence[str]) -> dict[str, pd.DataFrame]:
    """The study's own covariates by what they adjust for, in the order of their weight."""
    blocks = {"size": size(rows)}
    for name in ("source", "industry"):
        if name in rows:
            blocks[name] = category(rows, name)
    # Of a snapshot the start is counted back from the stay: it would be held fixed too.
    if renewals_known(rows):
        start = rows["start_date"]
        early = start.dt.month <= 6
        half = np.where(early, " first", " second")
        halves = start.dt.year.astype(str) + half
        blocks["calendar_time"] = calendar(rows)
        blocks["half_year"] = levels(rows, halves)
    return {name: block for name, block in blocks.items() if name not in leave_out}


def calendar(rows: pd.DataFrame) -> pd.DataFrame:
    """The calendar time of the middle of each row in years, as one column: a trend in leaving
    (METHODS 2).
    """
    start = rows["start_date"]
    part = start.dt.dayofyear / 365.25
    began = start.dt.year + part
    months = rows["from_month"] + rows["to_month"]
    served = months / 24
    middle = began + served
    from_mean = middle - middle.mean()
    return from_mean.rename("year").to_frame()
