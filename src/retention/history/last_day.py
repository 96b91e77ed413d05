"""The last day observed, and where the records begin: what the settings and the data say, and what
has to be asked (METHODS 0).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import pandas as pd

from retention.data import last_whole_month
from retention.errors import ConfigError
from retention.settings import Settings
from retention.words import say

# (ours) a date this far beyond nearly all others is a typing error until somebody says otherwise
YEARS_AHEAD = 2
RECORDED = ("recorded_date", "recorded_at")  # columns that say when a row was written down


def last_day(
    settings: Settings, frames: Mapping[str, pd.DataFrame]
) -> tuple[dt.date | None, list[str]]:
    """The last day observed (None where it is not known), and what has to be asked about it."""
    taken = settings.table("clients").snapshot_date
    snapshot = last_whole_month(taken) if taken else None
    if snapshot and settings.cutoff not in (None, snapshot, taken):
        ask = say("study.refused.snapshot_cutoff", snapshot=snapshot, cutoff=settings.cutoff)
        return snapshot, [ask]
    cutoff = snapshot or settings.cutoff or _newest_recorded(frames)
    return cutoff, [] if cutoff else [say("study.refused.no_cutoff")]


def _newest_recorded(frames: Mapping[str, pd.DataFrame]) -> dt.date | None:
    """The newest recorded date: never an end, term, due or scheduled date, which may lie ahead.

    None where nothing is recorded; ConfigError where it lies years beyond nearly all others.
    """
    recorded = [
        frame[name].dropna() for frame in frames.values() for name in RECORDED if name in frame
    ]
    if not sum(map(len, recorded)):
        return None
    starts = frames["clients"]["start_date"].dropna()
    days = pd.concat([*recorded, starts])
    newest = pd.concat(recorded).max()
    bulk = days.quantile(0.95, interpolation="lower")
    years = pd.Timedelta(days=YEARS_AHEAD * 366)
    if newest - bulk > years:
        day = newest.date()
        usual = bulk.date()
        raise ConfigError(say("study.refused.newest", newest=day, bulk=usual))
    return newest.date()


def newest_date(spells: pd.DataFrame, cutoff: dt.date) -> pd.Timestamp:
    """The newest day, up to the cut-off, on which anything happened to a client."""
    dates = spells[["start_date", "end_date", "decision_date", "recorded_date"]]
    by_then = dates.where(dates <= pd.Timestamp(cutoff))
    return by_then.max().max()
