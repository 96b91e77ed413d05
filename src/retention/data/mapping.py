"""Their columns and words as ours: what retention.toml says of a table, and what it or the file
lacks.
"""

import difflib
from collections.abc import Iterator

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
    named = {name: plain(name) for name in here if name not in how.columns.values()}
    taken = list(named.values())
    return {name: own for name, own in named.items() if own in ours and taken.count(own) == 1}


def mapped(how: TableSettings, raw: pd.DataFrame) -> pd.DataFrame:
    """The raw table under our names, with values translated: a number in the settings is that
    number.
    """
    frame = raw.assign(
        **{ours: raw[theirs] for ours, theirs in how.columns.items() if theirs in raw}
    )
    for column, values in how.values.items():
        if column in frame:
            spoken = {
                key.strip().casefold(): as_text(v) if isinstance(v, bool) else v
                for key, v in values.items()
            }
            spoken = {word: spoken[""] for word in BLANK_WORDS if "" in spoken} | spoken
            meant = {
                v: spoken.get(as_text(v).strip().casefold(), v)
                for v in frame[column].dropna().unique()
            }
            own = frame[column].astype(object)
            cells = own.map(meant)
            # A cell that a typed source has left empty is as blank as an empty text.
            filled = frame[column].notna()
            other = spoken.get("", cells)
            frame[column] = cells.where(filled, other)
    return frame


def kept_words(how: TableSettings, column: str) -> list[str]:
    """Words for nothing ("None") that the settings map to themselves: in this column they are
    words.
    """
    values = how.values.get(column, {})
    return [
        str(word) for key, word in values.items() if key.strip().casefold() == str(word).casefold()
    ]


def suits(form: str, kind: str) -> bool:
    """Whether a format can be that of a column of this kind: dates have orders, numbers have
    styles.
    """
    return (kind in ("date", "month")) != (form in NUMBER_FORMS)


def mapping_faults(table: Table, how: TableSettings, here: list[str]) -> list[Fault]:
    """What the settings or the file lack: columns named but absent or unknown, required columns
    nobody supplies.
    """
    named = [*_misnamed(table, how, here), *_misfits(table, how), *_missing(table, how, here)]
    shapes = shape_faults(table, how, here)
    return [*named, *_undated(table, how), *settings_faults(table, how), *shapes]


def _misnamed(table: Table, how: TableSettings, here: list[str]) -> Iterator[Fault]:
    """Columns that the settings name and the file or the table has not."""
    own_names = {name: name for name in how.extra}
    named = how.columns | own_names
    named |= {"tenure_months": how.tenure_months} if how.tenure_months else {}
    named |= {"ended": how.ended.column} if how.ended else {}
    for ours, theirs in named.items():
        if theirs not in here:
            yield fault(table.name, ours, "not here", theirs=theirs, here=", ".join(here))
    known = {column.name for column in table.columns}
    said = [*how.columns, *(name for name in (*how.values, *how.formats) if name not in how.extra)]
    for name in dict.fromkeys(said):
        if name not in known:
            place = where_it_belongs(name)
            hint = f" {place}" if place else ""
            yield fault(
                table.name,
                name,
                "no column",
                known=", ".join(sorted(known | set(how.extra))),
                hint=hint,
            )


def _undated(table: Table, how: TableSettings) -> Iterator[Fault]:
    """Columns that are said to give each other's day and are no date columns of this table."""
    days = {column.name for column in table.columns if column.kind == "date"}
    for name in dict.fromkeys([*how.dated_by, *how.dated_by.values()]):
        if name not in days:
            yield fault(table.name, name, "no day column", dates=", ".join(sorted(days)))


def _misfits(table: Table, how: TableSettings) -> Iterator[Fault]:
    """Columns of the user's own that are ours, or known from no date; formats of dates for numbers
    or the reverse.
    """
    kinds = {column.name: column.kind for column in table.columns}
    for name in sorted(kinds.keys() & how.extra.keys()):
        yield fault(table.name, name, "not extra")
    kinds |= {name: extra.kind for name, extra in how.extra.items()}
    dates = sorted(name for name, kind in kinds.items() if kind == "date")
    for name, extra in how.extra.items():
        if extra.known not in (SIGNING, *dates):
            yield fault(table.name, name, "no date", known=extra.known, dates=", ".join(dates))
    for name, form in how.formats.items():
        if name in kinds and not suits(form, kinds[name]):
            yield fault(
                table.name,
                name,
                "no format",
                meant=kinds[name],
                form=form,
                styles=" or ".join(NUMBER_FORMS),
            )


def _missing(table: Table, how: TableSettings, here: list[str]) -> Iterator[Fault]:
    """What is required and given by nobody, with the heading that is most like it."""
    if how.tenure_months and not (how.ended and how.snapshot_date):
        yield fault(table.name, "tenure_months", "no flag")
    dates = ("start_date", "end_date") if how.tenure_months else ()
    for name in table.required:
        if name not in (*here, *how.columns, *how.constant, *dates):
            near = difflib.get_close_matches(name, here, 1, 0.5)
            guess = f' Perhaps {name} = "{near[0]}"?' if near else ""
            skip = f" Or say [tables.{table.name}] use = false." if table.name != "clients" else ""
            yield fault(table.name, name, "missing", hints=guess + skip, here=", ".join(here))
