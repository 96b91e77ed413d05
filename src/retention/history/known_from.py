"""Clients whose ends were not on record before some day."""

import datetime as dt
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from retention.errors import ConfigError
from retention.words import say

DAYS_A_MONTH = 365.25 / 12
MANY_STARTS, START_SHARE = 20, 0.25  # (ours) clients, and their share, that start on one day
EXPECTED_ENDS = 7  # (ours) to see none of so many is rarer than one in a thousand


def with_known_from(
    clients: pd.DataFrame, groups: Mapping[str, Mapping[str, dt.date]], cutoff: dt.date
) -> pd.DataFrame:
    """The clients with the day from which on each is on record, where `[known_from]` gives one for
    a group.

    ConfigError where a column or a value of `[known_from]` is not in the clients table, or a day is
    after the cut-off.
    """
    _check_known_from(clients, groups, cutoff)
    if not groups:
        return clients
    own = pd.Series(pd.NaT, clients.index)
    if "known_from" in clients:
        own = pd.to_datetime(clients["known_from"])
    for column, days in groups.items():
        values = clients[column].astype("string").astype(object)
        absent = [value for value in days if not values.eq(value).any()]
        if absent:
            names = ", ".join(absent)
            raise ConfigError(f"[known_from.{column}] names values that no client has: {names}.")
        days_given = pd.to_datetime(values.map(days))
        own = own.fillna(days_given)
    return clients.assign(known_from=own)


def _check_known_from(
    clients: pd.DataFrame, groups: Mapping[str, Mapping[str, dt.date]], cutoff: dt.date
) -> None:
    """ConfigError where a day of `[known_from]` is after the cut-off, or a column is not there."""
    late = []
    for days in groups.values():
        late += [f"{value} ({day})" for value, day in days.items() if day > cutoff]
    if late:
        raise ConfigError(f"[known_from] gives days after the cut-off {cutoff}: {', '.join(late)}.")
    unknown = ", ".join(name for name in groups if name not in clients)
    if unknown:
        raise ConfigError(
            f"[known_from] names columns that the clients table does not have: {unknown}."
        )


def late_groups(spells: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """Groups of which no client is on record as gone before some day, though many would be expected
    to be.

    Such clients were often brought in together, and those who left before were never recorded.
    Expected ends: the days for which the group's clients are followed before its first end, at the
    rate of all other clients.
    """
    followed = _followed(spells)
    texts: list[str] = []
    for column in columns:
        values = spells[column].astype(object)
        for value, rows in spells.groupby(values).groups.items():
            other = ~spells.index.isin(rows)
            first_end = followed.loc[rows, "end"].min()
            if len(rows) < MANY_STARTS or not other.any() or pd.isna(first_end):
                continue
            expected = _expected_before(followed, rows, other, first_end)
            if expected >= EXPECTED_ENDS:
                about = {"count": len(rows), "expected": expected, "day": first_end.date()}
                text = say("data.warning.late_group", column=column, value=value, **about)
                texts.append(text)
    return texts


def _followed(spells: pd.DataFrame) -> pd.DataFrame:
    """From when until when each spell is followed, as days, and its end: `since, until, end`."""
    start = spells["start_date"]
    before_entry = pd.to_timedelta(spells["entry_months"] * DAYS_A_MONTH, unit="D")
    observed = pd.to_timedelta(spells["observed_months"] * DAYS_A_MONTH, unit="D")
    end = spells["end_date"].where(spells["gone"])
    until = end.fillna(start + observed)
    return pd.DataFrame({"since": start + before_entry, "until": until, "end": end})


def _expected_before(
    followed: pd.DataFrame, rows: pd.Index, other: np.ndarray, first_end: pd.Timestamp
) -> float:
    """The ends expected of these rows before their first one, at the rate of the other rows."""
    own = followed.loc[rows]
    until = own["until"].clip(upper=first_end)
    before = (until - own["since"]).dt.days.clip(lower=0).sum()
    days = (followed["until"] - followed["since"]).dt.days.clip(lower=0)
    at_risk = before * followed["end"][other].notna().sum()
    return at_risk / max(days[other].sum(), 1)
