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
    can = [ADD_UP] if table.add_up else []
    can += [KEEP_NEWEST] if table.newest_by else []
    if how.repeated is None or how.repeated in can:
        return []
    choices = " or ".join(f'"{name}"' for name in can) or "no setting"
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
    if not table.add_up:
        found = _again(table, frame[twice], key, unsure[twice])
        return Settled(frame, tuple(found))
    asked = [] if how.repeated == ADD_UP else _doubts(table, frame[twice], key)
    if faults := [*_disagree(table, frame[twice], key), *asked]:
        return Settled(frame, tuple(faults))
    return _summed(table, frame, key, twice)


def _newest(table: Table, frame: pd.DataFrame, key: Sequence[str], twice: pd.Series) -> Settled:
    rows = frame[twice].sort_values(table.newest_by, kind="stable", na_position="first")
    kept = rows.drop_duplicates(key, keep="last")
    gone = len(rows) - len(kept)
    together = pd.concat([frame[~twice], kept])
    whole = together.sort_index().reset_index(drop=True)
    done = (
        f"{gone:,} rows left out, for which the same {', '.join(key)} has one of later "
        f"{table.newest_by}"
    )
    return Settled(whole, repair=done)


def _summed(table: Table, frame: pd.DataFrame, key: Sequence[str], twice: pd.Series) -> Settled:
    rows = frame[twice]
    others = [name for name in frame if name not in key]
    how = dict.fromkeys(others, "first")
    sums = [name for name in table.add_up if name in frame]
    days = [name for name in frame if name not in key and rows[name].dtype.kind == "M"]
    how |= dict.fromkeys(
        days, "max"
    )  # what is put together of parts is known when the last of them is
    groups = rows.groupby(list(key), sort=False, dropna=False)
    made = groups.agg(how) if how else groups.first()
    made[sums] = groups[sums].sum(min_count=1)
    back = made.reset_index()[list(frame.columns)]
    made = back.astype(frame.dtypes.to_dict())
    warning = given_twice(table.name, frame)
    both = [frame[~twice], made]
    whole = pd.concat(both, ignore_index=True)
    names = " and ".join(sums)
    done = (
        f"{names} of {len(rows):,} rows added up into {len(made):,}, one for each {', '.join(key)}"
    )
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
    faults = [_told(table, rows[copies], "copy")] if copies.any() else []
    if len(differ):
        others = [name for name in rows if name not in key]
        names = _differing(differ, key, others) or UNREAD
        more = differ[differ.duplicated(key)]
        keys = ", ".join(key)
        faults.append(_told(table, more, "again", key=keys, names=names, way=table.again))
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
    names = ", ".join(name for name in shared if counts[name].gt(1).any())
    keys = ", ".join(key)
    shared_names = ", ".join(shared)
    said = {"key": keys, "names": names, "shared": shared_names}
    differing = _told(table, rows[odd], "parts differ", **said)
    return [differing]


def _doubts(table: Table, rows: pd.DataFrame, key: Sequence[str]) -> list[Fault]:
    """Rows of one key that may be versions or copies of each other rather than parts."""
    faults = []
    groups = rows.groupby(list(key), dropna=False)
    if table.newest_by in rows:
        newest = groups[table.newest_by]
        days = newest.transform("nunique", dropna=False)
        if days.gt(1).any():
            keys = ", ".join(key)
            said = {"key": keys, "day": table.newest_by}
            differing = rows[days.gt(1)]
            faults.append(_told(table, differing, "versions", **said))
    if table.alike_is_doubtful:
        sums = [name for name in table.add_up if name in rows]
        alike = {
            name: rows.duplicated([*key, name], keep=False) & rows[name].notna() for name in sums
        }
        columns = pd.DataFrame(alike, rows.index)
        either = columns.any(axis=1)
        if either.any():
            names = " and ".join(name for name in sums if alike[name].any())
            faults.append(_told(table, rows[either], "alike", key=", ".join(key), names=names))
    return faults


def _differing(rows: pd.DataFrame, key: Sequence[str], names: Sequence[str]) -> str:
    """The columns in which rows of one key differ, in words."""
    by_key = rows.groupby(list(key), dropna=False)
    counts = by_key[list(names)].nunique(dropna=False)
    return ", ".join(name for name in names if counts[name].gt(1).any())


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
