"""Sources to tables, a piece at a time: rename, translate values, parse, check; every fault and
repair is gathered.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

import pandas as pd

from retention.data import scales
from retention.data.crosswalk import Crosswalk, crosswalk_of
from retention.data.crosswalk import unmatched as both_sides
from retention.data.find import LARGE_BYTES, Place, find
from retention.data.one_table import OneTable
from retention.data.rules import currency_warnings
from retention.data.schema import TABLES
from retention.errors import ConfigError, DataError, Fault, merged
from retention.settings import Settings


@dataclass(frozen=True)
class Tables:
    """The checked tables by name, each in the order of its key; sha256 of each source; what was
    left and repaired.

    `rows` counts the rows by table; one without rows has no frame. `partial` says that a large
    source was only checked: its frames hold the different days of some columns and nothing else.
    `warnings` are what reading alone can tell; `rules.warnings_of` finds the rest.
    """

    frames: Mapping[str, pd.DataFrame]
    rows: dict[str, int]
    hashes: dict[str, str]
    notes: tuple[str, ...] = ()
    repairs: tuple[str, ...] = ()
    partial: bool = False
    warnings: tuple[Fault, ...] = ()

    def get(self, name: str) -> pd.DataFrame | None:
        """The named table, or None where the source has none."""
        return self.frames.get(name)


def read(
    settings: Settings, tell: Callable[[str], None] = lambda text: None, only_check: bool = False
) -> Tables:
    """Every declared table that the source holds, typed and checked; `tell` hears how far it is.

    With `only_check`, large sources are not kept in memory. DataError lists all faults of all
    tables at once; ConfigError where a setting names what is not there, or the database fails.
    """
    scales.check_settings(settings.scales)
    with ExitStack() as stack:
        places = find(settings, stack)
        partial = only_check and sum(place.size for place in places.values()) > LARGE_BYTES
        crosswalk = crosswalk_of(settings)
        readers = _gathered(settings, places, partial, tell, crosswalk)
        if "clients" in readers:
            crosswalk.refuse_unknown(readers["clients"].all_ids)
            for table in readers.values():
                table.faults += table.stranger_faults(readers["clients"].all_ids)
        frames = {name: table.whole(partial) for name, table in readers.items() if table.rows}
        repairs = tuple(text for table in readers.values() for text in table.said_repairs())
        if faults := merged(fault for table in readers.values() for fault in table.faults):
            raise DataError(faults, repairs)
        asks: list[str] = []
        waiting: dict[str, None] = {}
        for table in readers.values():
            asks += table.doubts.questions()
            waiting |= dict.fromkeys(table.unconfirmed())
        if waiting:
            asks.append(crosswalk.question(list(waiting)))
        if asks:
            raise ConfigError("\n".join(asks))
        hashes = {name: place.digest() for name, place in places.items()}
        rows = {name: table.rows for name, table in readers.items()}
    notes = tuple(note for table in readers.values() for note in table.notes())
    marks = {place: mark for table in readers.values() for place, mark in table.currencies.items()}
    told = [warning for table in readers.values() for warning in table.warnings]
    warnings = (*told, *currency_warnings(marks, settings.currency))
    return Tables(frames, rows, hashes, notes, repairs, partial, warnings)


def _gathered(
    settings: Settings,
    places: dict[str, Place],
    partial: bool,
    tell: Callable[[str], None],
    crosswalk: Crosswalk,
) -> dict[str, OneTable]:
    """Every table read once, the clients first, whatever is wrong with it."""
    readers = {
        name: OneTable(TABLES[name], settings, place, tell, crosswalk)
        for name, place in places.items()
    }
    clients = None
    for table in readers.values():
        clients = table.read(clients, partial)
    return readers


def unmatched(settings: Settings, tell: Callable[[str], None]) -> pd.DataFrame:
    """Names that are no client's and clients without rows, as a crosswalk; ConfigError where a
    setting names what is not there.
    """
    with ExitStack() as stack:
        places = find(settings, stack)
        crosswalk = crosswalk_of(settings)
        readers = _gathered(settings, places, False, tell, crosswalk)
        clients = readers.pop("clients")
        readers.pop("leads", None)  # leads may be anybody's
        counts = {name: table.clients_in() for name, table in readers.items()}
        joined = {name: rows for name, rows in counts.items() if rows}
        return both_sides(pd.concat(clients.pieces, ignore_index=True), joined)


def fingerprints(settings: Settings) -> dict[str, str]:
    """The sha256 of each source by table, as `read` gives them, without reading a row of what is in
    files.
    """
    with ExitStack() as stack:
        return {name: place.digest() for name, place in find(settings, stack).items()}
