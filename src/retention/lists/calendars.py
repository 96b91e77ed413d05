"""The days to act by as calendars: all of them in one file, and those of each owner in another."""

from __future__ import annotations

import datetime as dt
import hashlib
from pathlib import Path

import pandas as pd
from icalendar import Calendar, Event

from retention.data.schema import read_list
from retention.deliver.owners import file_names
from retention.lists import registry
from retention.words import say

FILE = "act_by.ics"
FOLDER = "calendars"
PRODUCT = "-//retention//act by//EN"
UID_DIGITS = 24


def write_calendars(folder: Path, cutoff: dt.date, before: Path | None = None) -> list[Path]:
    """Write act_by.ics, and a file for each owner into calendars/, from lists/actions.csv of a run.

    An event is a client's action and keeps its UID from run to run, so that a calendar that takes
    the new file moves the event and does not double it. What was to be done in the run before
    (`before`, its folder) and is no longer is cancelled. The paths written; none where the run has
    no such list.
    """
    rows = _due(folder)
    if rows is None:
        return []
    gone = _gone(rows, before)
    whole = folder / FILE
    whole.write_bytes(_calendar(rows, gone, cutoff))
    paths = [whole]
    everybody = [*rows["owner"], *gone["owner"]]
    for owner, name in file_names(everybody).items():
        path = folder / FOLDER / f"{name}.ics"
        path.parent.mkdir(exist_ok=True)
        own, own_gone = rows[rows["owner"] == owner], gone[gone["owner"] == owner]
        path.write_bytes(_calendar(own, own_gone, cutoff))
        paths.append(path)
    return paths


def _due(folder: Path) -> pd.DataFrame | None:
    """The clients of a run about whom something is to be done by a day; None without the list."""
    path = folder / "lists" / f"{registry.ACTIONS}.csv"
    if not path.is_file():
        return None
    rows = read_list(path)
    return rows[(rows["due"] != "") & (rows["do"] != registry.NONE)]


def _gone(rows: pd.DataFrame, before: Path | None) -> pd.DataFrame:
    """What was to be done in the run before and is no longer, owner by owner: an action that passed
    to another owner is gone from the first one's calendar.
    """
    old = _due(before) if before else None
    if old is None:
        return rows.iloc[:0]
    key = ["client_id", "do", "owner"]
    still = old.merge(rows[key], on=key, how="left", indicator=True)
    return old[(still["_merge"] == "left_only").to_numpy()]


def _calendar(rows: pd.DataFrame, gone: pd.DataFrame, cutoff: dt.date) -> bytes:
    calendar = Calendar()
    calendar.add("prodid", PRODUCT)
    calendar.add("version", "2.0")
    calendar.add("method", "PUBLISH")
    calendar.add("x-wr-calname", say("deliver.calendar.name"))
    for row in rows.to_dict("records"):
        calendar.add_component(_event(row, cutoff, "CONFIRMED"))
    ids = {_uid(row) for row in rows.to_dict("records")}
    for row in gone.to_dict("records"):
        if _uid(row) not in ids:
            calendar.add_component(_event(row, cutoff, "CANCELLED"))
    return bytes(calendar.to_ical())


def _event(row: dict[str, str], cutoff: dt.date, status: str) -> Event:
    """A whole day that keeps nobody busy."""
    day = dt.date.fromisoformat(row["due"])
    event = Event()
    event.add("uid", _uid(row))
    event.add("dtstamp", dt.datetime.combine(cutoff, dt.time(), dt.UTC))
    event.add("sequence", cutoff.toordinal())  # a later run replaces an earlier one
    event.add("status", status)
    event.add("dtstart", day)
    event.add("dtend", day + dt.timedelta(days=1))
    event.add("transp", "TRANSPARENT")
    action = registry.action_words(row["do"])
    event.add("summary", say("deliver.calendar.event", action=action, client=row["client"]))
    event.add("description", row["why"])
    if row["owner"]:
        event.add("categories", [row["owner"]])
    return event


def _uid(row: dict[str, str]) -> str:
    """The same for the same client and action in every run; nothing of the client can be read
    from it.
    """
    digest = hashlib.sha256(f"{row['client_id']}\0{row['do']}".encode()).hexdigest()
    return f"{digest[:UID_DIGITS]}@retention"
