"""Several rows of one key: parts that are added up, versions of which the newest holds, or a fault
that says which.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from retention.data.rules import given_twice
from retention.data.schema import Table
from retention.data.words import fault
from retention.errors import Fault
from retention.settings import TableSettings

ADD_UP = "add up"
KEEP_NEWEST = "keep newest"
UNREAD = "cells that could not be read"


@dataclass(frozen=True)
class Settled:
    """A table with one row a key, as far as that is known; what stands in the way, and what was
    done unasked.
    """

    frame: pd.DataFrame
    faults: tuple[Fault, ...] = ()
    repair: str = ""
    warnings: tuple[Fault, ...] = ()


def settings_faults(table: Table, how: TableSettings) -> list[Fault]:
    """A fault where the settings ask for what this table's rows cannot do."""
    can = []
    if table.add_up:
        can.append(ADD_UP)
    if table.newest_by:
        can.append(KEEP_NEWEST)
    if how.repeated is None or how.repeated in can:
        return []
    quoted = [f'"{name}"' for name in can]
    choices = " or ".join(quoted) or "no setting"
    text = fault(table.name, "", "no repeats", asked=how.repeated, choices=choices)
    return [text]


def settled(table: Table, frame: pd.DataFrame, how: TableSettings, unsure: pd.Series) -> Settled:
    """The table with several rows of a key made one, or the faults that say why they were not.

    `unsure` marks rows with cells that could not be read: they may only look alike.
    """
    key = [name for name in table.key if name in frame]
    if table.name == "clients" or table.apart or not key:
        return Settled(frame)
    needed = [name for name in key if table.column(name).required]
    values = frame[needed].notna()
    whole = values.all(axis=1)
    twice = frame.duplicated(key, keep=False) & whole
    if not twice.any():
        return Settled(frame)
    if how.repeated == KEEP_NEWEST and table.newest_by in frame:
        return _newest(table, frame, key, twice)
    rows = frame[twice]
    if not table.add_up:
        found = _again(table, rows, key, unsure[twice])
        return Settled(frame, tuple(found))
    faults = _disagree(table, rows, key)
    if how.repeated != ADD_UP:
        faults += _doubts(table, rows, key)
    if faults:
        return Settled(frame, tuple(faults))
    return _summed(table, frame, key, twice)


def _newest(table: Table, frame: pd.DataFrame, key: Sequence[str], twice: pd.Series) -> Settled:
    rows = frame[twice].sort_values(table.newest_by, kind="stable", na_position="first")
    kept = rows.drop_duplicates(key, keep="last")
    gone = len(rows) - len(kept)
    together = pd.concat([frame[~twice], kept])
    whole = together.sort_index().reset_index(drop=True)
    keys = ", ".join(key)
    done = f"{gone:,} rows left out, for which the same {keys} has one of later {table.newest_by}"
    return Settled(whole, repair=done)


def _summed(table: Table, frame: pd.DataFrame, key: Sequence[str], twice: pd.Series) -> Settled:
    rows = frame[twice]
    others = [name for name in frame if name not in key]
    how = dict.fromkeys(others, "first")
    sums = [name for name in table.add_up if name in frame]
    days = [name for name in others if rows[name].dtype.kind == "M"]
    # what is put together of parts is known when the last of them is
    how |= dict.fromkeys(days, "max")
    groups = rows.groupby(list(key), sort=False, dropna=False)
    made = groups.agg(how) if how else groups.first()
    made[sums] = groups[sums].sum(min_count=1)
    columns = list(frame.columns)
    back = made.reset_index()[columns]
    types = frame.dtypes.to_dict()
    made = back.astype(types)
    warning = given_twice(table.name, frame)
    both = [frame[~twice], made]
    whole = pd.concat(both, ignore_index=True)
    names = " and ".join(sums)
    keys = ", ".join(key)
    done = f"{names} of {len(rows):,} rows added up into {len(made):,}, one for each {keys}"
    warnings = (warning,) if warning else ()
    return Settled(whole, repair=done, warnings=warnings)


def _again(table: Table, rows: pd.DataFrame, key: Sequence[str], unsure: pd.Series) -> list[Fault]:
    """Rows that repeat a key: those that are the same throughout, and those that differ, with the
    columns.
    """
    copies = rows.duplicated(keep="first") & ~unsure
    kept = rows[~copies]
    copied = kept.duplicated(key, keep=False)
    differ = kept[copied]
    faults = []
    if copies.any():
        faults.append(_told(table, rows[copies], "copy"))
    if len(differ):
        others = [name for name in rows if name not in key]
        names = _differing(differ, key, others) or UNREAD
        again = differ.duplicated(key)
        said = {"key": ", ".join(key), "names": names, "way": table.again}
        faults.append(_told(table, differ[again], "again", **said))
    return faults


def _disagree(table: Table, rows: pd.DataFrame, key: Sequence[str]) -> list[Fault]:
    """Parts of one thing that contradict each other in what they share."""
    shared = [name for name in table.must_agree if name in rows]
    by_key = rows.groupby(list(key), dropna=False)
    counts = by_key[shared].transform("nunique", dropna=False)
    several = counts.gt(1)
    odd = several.any(axis=1)
    if not odd.any():
        return []
    contradicted = [name for name in shared if several[name].any()]
    said = {"key": ", ".join(key), "names": ", ".join(contradicted), "shared": ", ".join(shared)}
    differing = _told(table, rows[odd], "parts differ", **said)
    return [differing]


def _doubts(table: Table, rows: pd.DataFrame, key: Sequence[str]) -> list[Fault]:
    """Rows of one key that may be versions or copies of each other rather than parts."""
    faults = []
    keys = ", ".join(key)
    groups = rows.groupby(list(key), dropna=False)
    if table.newest_by in rows:
        newest = groups[table.newest_by]
        days = newest.transform("nunique", dropna=False)
        several = days.gt(1)
        if several.any():
            said = {"key": keys, "day": table.newest_by}
            faults.append(_told(table, rows[several], "versions", **said))
    if table.alike_is_doubtful:
        alike = _alike(table, rows, key)
        either = alike.any(axis=1)
        if either.any():
            columns = [name for name in alike if alike[name].any()]
            names = " and ".join(columns)
            faults.append(_told(table, rows[either], "alike", key=keys, names=names))
    return faults


def _alike(table: Table, rows: pd.DataFrame, key: Sequence[str]) -> pd.DataFrame:
    """Of each amount that adds up, whether another row of the key has the same."""
    alike = {}
    for name in table.add_up:
        if name in rows:
            same = rows.duplicated([*key, name], keep=False)
            alike[name] = same & rows[name].notna()
    return pd.DataFrame(alike, rows.index)


def _differing(rows: pd.DataFrame, key: Sequence[str], names: Sequence[str]) -> str:
    """The columns in which rows of one key differ, in words."""
    by_key = rows.groupby(list(key), dropna=False)
    counts = by_key[list(names)].nunique(dropna=False)
    differing = [name for name in names if counts[name].gt(1).any()]
    return ", ".join(differing)


def _told(table: Table, rows: pd.DataFrame, kind: str, **said: str) -> Fault:
    first = rows.iloc[:, 0].astype("string")
    ids = first.fillna("(no id)").drop_duplicates()
    return fault(table.name, "", kind, len(rows), ids, **said)


def ordered(table: Table, frame: pd.DataFrame) -> pd.DataFrame:
    """The table in the order of its key, or of all its columns; of one key the lowest of
    `worst_last` comes last.
    """
    by = [name for name in table.key if name in frame]
    if not by:
        columns = list(frame.columns)
        return frame.sort_values(columns, kind="stable", ignore_index=True)
    worst = [name for name in table.worst_last if name in frame]
    if worst:
        frame = frame.sort_values(worst, ascending=False, kind="stable", na_position="first")
    return frame.sort_values(by, kind="stable", ignore_index=True)
