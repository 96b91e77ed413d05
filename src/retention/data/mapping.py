"""Their columns and words as ours: what retention.toml says of a table, and what it or the file
lacks.
"""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from retention.data.cells import BLANK_WORDS, as_text
from retention.data.find import plain
from retention.data.numbers import NUMBER_STYLES
from retention.data.repeats import settings_faults
from retention.data.schema import SIGNING, Table
from retention.data.shape import H_MM, shape_faults
from retention.data.words import fault
from retention.errors import Fault
from retention.settings import TableSettings, where_it_belongs

NUMBER_FORMS = (*NUMBER_STYLES, H_MM)


def our_spelling(table: Table, how: TableSettings, here: list[str]) -> dict[str, str]:
    """Headings that are ours but for capitals and spaces ("Client ID"), with our own spelling."""
    ours = {column.name for column in table.columns} - set(here) - set(how.columns)
    theirs = how.columns.values()
    named = {name: plain(name) for name in here if name not in theirs}
    taken = list(named.values())
    found = {}
    for name, own in named.items():
        if own in ours and taken.count(own) == 1:
            found[name] = own
    return found


def mapped(how: TableSettings, raw: pd.DataFrame) -> pd.DataFrame:
    """The raw table under our names, with values translated: a number in the settings is that
    number.
    """
    renamed = {}
    for ours, theirs in how.columns.items():
        if theirs in raw:
            renamed[ours] = raw[theirs]
    frame = raw.assign(**renamed)
    for column, values in how.values.items():
        if column in frame:
            spoken = _spoken(values)
            frame[column] = _translated(frame[column], spoken)
    return frame


def _spoken(values: Mapping[str, Any]) -> dict[str, Any]:
    """What each word of the settings means, the words in small letters; words for nothing mean what
    the empty word does.
    """
    spoken: dict[str, Any] = {}
    for word, meant in values.items():
        plain_word = word.strip().casefold()
        spoken[plain_word] = as_text(meant) if isinstance(meant, bool) else meant
    if "" in spoken:
        blank = dict.fromkeys(BLANK_WORDS, spoken[""])
        spoken = blank | spoken
    return spoken


def _translated(cells: pd.Series, spoken: Mapping[str, Any]) -> pd.Series:
    """The cells with each word that is spoken of as what it means."""
    meant = {}
    for value in cells.dropna().unique():
        word = as_text(value).strip().casefold()
        meant[value] = spoken.get(word, value)
    own = cells.astype(object)
    translated = own.map(meant)
    # A cell that a typed source has left empty is as blank as an empty text.
    filled = cells.notna()
    other = spoken.get("", translated)
    return translated.where(filled, other)


def kept_words(how: TableSettings, column: str) -> list[str]:
    """Words for nothing ("None") that the settings map to themselves: in this column they are
    words.
    """
    values = how.values.get(column, {})
    kept = []
    for key, word in values.items():
        text = str(word)
        if key.strip().casefold() == text.casefold():
            kept.append(text)
    return kept


def suits(form: str, kind: str) -> bool:
    """Whether a format can be that of a column of this kind: dates have orders, numbers have
    styles.
    """
    is_date = kind in ("date", "month")
    is_number_form = form in NUMBER_FORMS
    return is_date != is_number_form


def mapping_faults(table: Table, how: TableSettings, here: list[str]) -> list[Fault]:
    """What the settings or the file lack: columns named but absent or unknown, required columns
    nobody supplies.
    """
    return [
        *_misnamed(table, how, here),
        *_misfits(table, how),
        *_missing(table, how, here),
        *_undated(table, how),
        *settings_faults(table, how),
        *shape_faults(table, how, here),
    ]


def _misnamed(table: Table, how: TableSettings, here: list[str]) -> Iterator[Fault]:
    """Columns that the settings name and the file or the table has not."""
    own_names = {name: name for name in how.extra}
    named = how.columns | own_names
    if how.tenure_months:
        named["tenure_months"] = how.tenure_months
    if how.ended:
        named["ended"] = how.ended.column
    headings = ", ".join(here)
    for ours, theirs in named.items():
        if theirs not in here:
            yield fault(table.name, ours, "not here", theirs=theirs, here=headings)
    known = {column.name for column in table.columns}
    every = ", ".join(sorted(known | set(how.extra)))
    translated = [name for name in (*how.values, *how.formats) if name not in how.extra]
    said = dict.fromkeys([*how.columns, *translated])
    for name in said:
        if name not in known:
            place = where_it_belongs(name)
            hint = f" {place}" if place else ""
            yield fault(table.name, name, "no column", known=every, hint=hint)


def _undated(table: Table, how: TableSettings) -> Iterator[Fault]:
    """Columns that are said to give each other's day and are no date columns of this table."""
    days = {column.name for column in table.columns if column.kind == "date"}
    dates = ", ".join(sorted(days))
    named = dict.fromkeys([*how.dated_by, *how.dated_by.values()])
    for name in named:
        if name not in days:
            yield fault(table.name, name, "no day column", dates=dates)


def _misfits(table: Table, how: TableSettings) -> Iterator[Fault]:
    """Columns of the user's own that are ours, or known from no date; formats of dates for numbers
    or the reverse.
    """
    kinds = {column.name: column.kind for column in table.columns}
    for name in sorted(kinds.keys() & how.extra.keys()):
        yield fault(table.name, name, "not extra")
    kinds |= {name: extra.kind for name, extra in how.extra.items()}
    dates = sorted(name for name, kind in kinds.items() if kind == "date")
    listed = ", ".join(dates)
    for name, extra in how.extra.items():
        if extra.known not in (SIGNING, *dates):
            yield fault(table.name, name, "no date", known=extra.known, dates=listed)
    styles = " or ".join(NUMBER_FORMS)
    for name, form in how.formats.items():
        if name not in kinds:
            continue
        kind = kinds[name]
        if not suits(form, kind):
            yield fault(table.name, name, "no format", meant=kind, form=form, styles=styles)


def _missing(table: Table, how: TableSettings, here: list[str]) -> Iterator[Fault]:
    """What is required and given by nobody, with the heading that is most like it."""
    if how.tenure_months and not (how.ended and how.snapshot_date):
        yield fault(table.name, "tenure_months", "no flag")
    dates = ("start_date", "end_date") if how.tenure_months else ()
    given = (*here, *how.columns, *how.constant, *dates)
    headings = ", ".join(here)
    for name in table.required:
        if name in given:
            continue
        hints = ""
        near = difflib.get_close_matches(name, here, 1, 0.5)
        if near:
            hints += f' Perhaps {name} = "{near[0]}"?'
        if table.name != "clients":
            hints += f" Or say [tables.{table.name}] use = false."
        yield fault(table.name, name, "missing", hints=hints, here=headings)
