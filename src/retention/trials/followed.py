"""What was done without a trial, and who is followed after it (METHODS 12).

A row is an index day of a client: its answer as a detractor, or a month's end. Something counts as
done within the thirty days after it, and leaving only after those thirty days, so that nobody
counts as treated because it stayed for long enough (a landmark: Anderson, Cain and Gelber 1983).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from retention.data.schema import columns_of
from retention.history.features import KEY
from retention.history.in_charge import new_reps, reps_on
from retention.history.measures import DETRACTOR
from retention.history.snapshots import month_of
from retention.history.spells import CLIENT, UNKNOWN, add_months
from retention.history.trials import drawn
from retention.portfolio.margins import raises
from retention.score.resampling import MODEL
from retention.service.nps import waves
from retention.trials.balanced import BEFORE, COLUMNS, Done
from retention.words import say

CARE, NEW_REP, RAISE = DONE = ("care", "new_rep", "raise")
TRIED_AS = {CARE: "care", RAISE: "raise_rate"}  # the list of a trial of the same thing
DAYS = 30  # (ours) after the index day, within which something is done
CLEAR_DAYS = 90  # (ours) before the index day, within which it was not
EARLIER = 3  # (ours) months before the index day by which the control was known


def done(study: Any) -> tuple[Done, ...]:
    """The three things done without a trial: a detractor called, a new rep, a fee raised."""
    months = study.settings.trial.horizon_months
    before = known_before(study)
    return tuple(_one(study, name, before, months) for name in DONE)


def known_before(study: Any) -> pd.DataFrame:
    """A row a client and month's end: `client_id, month`, `BEFORE` and `CONTROLS`; no rows where
    there are no dates.
    """
    snapshots = study.month_ends
    columns = ["client_id", "month", *BEFORE, "late_3"]
    if snapshots.empty:
        return pd.DataFrame(columns=[*columns, "nps_earlier"])
    key = ["client_id", "month"]
    predicted = study.risk.judgement.predictions
    risk = predicted.reindex(columns=[*key, MODEL]).rename(columns={MODEL: "risk"})
    risk = risk.astype({"client_id": snapshots["client_id"].dtype, "month": "int64"})
    rows = snapshots.merge(risk.drop_duplicates(key), on=key, how="left")
    rows = rows.reindex(columns=columns)
    earlier = rows[[*key, "nps_now"]].rename(columns={"nps_now": "nps_earlier"})
    earlier = earlier.assign(month=earlier["month"] + EARLIER)
    return rows.merge(earlier, on=key, how="left")


def _one(study: Any, name: str, before: pd.DataFrame, months: int) -> Done:
    events = _events(study, name)
    if events.empty:
        return Done(name, months, lacking=say(f"what_helped.without.lacking.{name}"))
    at = _index_days(study, name, before, events)
    if at.empty:
        return Done(name, months, lacking=say("what_helped.without.lacking.index"))
    at = _outside_trials(at, study, TRIED_AS.get(name, ""), months)
    at = _followed(at, study.spells, pd.Timestamp(study.cutoff), months)
    at = _marked(at, events, 0 if name == CARE else 1)
    named = at.drop(columns="rep_id", errors="ignore")
    reps = reps_on(named, "day", study.known("assignments"), study.known("staff"))
    rows = at.assign(rep=reps)
    return Done(name, months, rows[[*COLUMNS, "day"]].reset_index(drop=True))


def _events(study: Any, name: str) -> pd.DataFrame:
    """When it was done, and for whom: `client_id, day`."""
    if name == CARE:
        actions = study.known("actions")
        frames = {} if actions is None else {"actions": actions}
        rows = columns_of(frames, "actions", "client_id", "action", "done_on")
        rows = rows[(rows["action"] == CARE).fillna(False)]
        return rows.rename(columns={"done_on": "day"})[["client_id", "day"]].dropna()
    if name == NEW_REP:
        spells = study.spells
        return new_reps(spells, study.known("assignments"), study.known("staff"))
    contracts = study.contracts
    return raises({} if contracts is None else {"contracts": contracts})


def _answers(study: Any, before: pd.DataFrame, events: pd.DataFrame) -> pd.DataFrame:
    """Every answer of a detractor since actions are written down, with what was known at the
    month's end before it, and what it says itself.
    """
    asked = waves(study.known("surveys"), study.settings.scales.nps)
    last = pd.Timestamp(study.cutoff)
    low = (asked["nps"] <= DETRACTOR) & asked["answered_on"].between(events["day"].min(), last)
    rows = asked[low].rename(columns={"answered_on": "day"})
    rows = rows.reindex(columns=["client_id", "day", "nps", "rep_liking"])
    rows = rows.assign(month=month_of(rows["day"]) - 1)
    known = before.astype({"client_id": rows["client_id"].dtype, "month": rows["month"].dtype})
    joined = rows.merge(known, on=["client_id", "month"], how="left")
    liking = joined["rep_liking"].astype(float).fillna(joined["liking_now"].astype(float))
    return joined.assign(nps_now=joined["nps"], liking_now=liking)


def _month_ends(before: pd.DataFrame) -> pd.DataFrame:
    """Every month's end of a client."""
    month = before["month"].astype(int)
    first = pd.to_datetime({"year": month // 12, "month": month % 12 + 1, "day": 1})
    return before.assign(day=first + pd.offsets.MonthEnd(0))


def _due(study: Any) -> pd.DataFrame:
    """The days on which each client's next term begins, or would: `client_id, day`."""
    starts = study.spells[[*KEY, "start_date"]]
    cycles = study.cycles.merge(starts, on=KEY)
    days = add_months(cycles["start_date"], cycles["to_month"])
    return cycles[["client_id"]].assign(day=days)


def _index_days(study: Any, name: str, before: pd.DataFrame, events: pd.DataFrame) -> pd.DataFrame:
    """The rows from which clients are followed, with their `day`.

    Of raises those before a new term: a fee rises with one, and who has none may only be locked in.
    """
    if name == CARE:
        return _answers(study, before, events)
    at = _month_ends(before)
    return at[near(at, _due(study), 1, DAYS)] if name == RAISE else at


def _outside_trials(at: pd.DataFrame, study: Any, name: str, months: int) -> pd.DataFrame:
    """The rows of clients who were not drawn for a running trial of the same thing."""
    table = study.known("trials")
    draws = drawn({} if table is None else {"trials": table}, months)
    mine = draws.loc[(draws["list"] == name).fillna(False), ["client_id", "drawn_on", "until"]]
    numbered = at[["client_id", "day"]].assign(row=np.arange(len(at)))
    pairs = numbered.astype({"client_id": "string"}).merge(
        mine.astype({"client_id": "string"}), on="client_id"
    )
    begun = pairs["drawn_on"] <= pairs["day"] + pd.Timedelta(days=DAYS)
    inside = pairs.loc[begun & (pairs["until"] >= pairs["day"]), "row"]
    return at[~np.isin(np.arange(len(at)), inside)].reset_index(drop=True)


def _followed(
    at: pd.DataFrame, spells: pd.DataFrame, cutoff: pd.Timestamp, months: int
) -> pd.DataFrame:
    """The rows of clients who were there and not under notice thirty days after the index day, and
    whose horizon has passed, with `left`: by choice, within it.
    """
    columns = ["client_id", "start_date", "end_date", "decision_date", "end_kind"]
    named = spells.reindex(columns=[*columns, "rep_id"])
    known = at.astype({"client_id": named["client_id"].dtype})
    rows = known.reset_index(names="row").merge(named, on="client_id")
    landmark = rows["day"] + pd.Timedelta(days=DAYS)
    until = landmark + pd.DateOffset(months=months)
    there = (rows["start_date"] <= rows["day"]) & (until <= cutoff)
    there &= ~(rows["end_date"] <= landmark) & ~(rows["decision_date"] <= landmark)
    by_choice = rows["end_kind"].isin([CLIENT, UNKNOWN])
    left = by_choice & (rows["end_date"] <= until)
    rows = rows.assign(left=left.astype(float))[there]
    return rows.drop_duplicates("row", keep="last").drop(columns="row").reset_index(drop=True)


def near(at: pd.DataFrame, events: pd.DataFrame, first: int, last: int) -> np.ndarray:
    """Whether one of the client's `events` lies `first` to `last` days after each row's day, shape
    (n,).
    """
    numbered = at[["client_id", "day"]].assign(row=np.arange(len(at)))
    dated = events[["client_id", "day"]].rename(columns={"day": "event"})
    text = {"client_id": "string"}
    pairs = numbered.astype(text).merge(dated.astype(text), on="client_id")
    days = (pd.to_datetime(pairs["event"]) - pairs["day"]).dt.days
    hit = pairs.loc[days.between(first, last), "row"]
    return np.isin(np.arange(len(at)), hit)


def _marked(at: pd.DataFrame, events: pd.DataFrame, first: int) -> pd.DataFrame:
    """The rows with `done`, from the day `first` on; without those for whom it was done in the
    ninety days before.
    """
    marked = at.assign(done=near(at, events, first, DAYS))
    lately = near(at, events, -CLEAR_DAYS, first - 1)
    return marked[~lately].reset_index(drop=True)
