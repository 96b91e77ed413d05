"""The lists of a run as one Excel workbook: a sheet a list, the list of all actions first."""

from __future__ import annotations

import datetime as dt
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
from openpyxl import Workbook
from openpyxl.cell.cell import Cell
from openpyxl.styles import Alignment, Font
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.datavalidation import DataValidation
from openpyxl.worksheet.worksheet import Worksheet

from retention.data.schema import read_list
from retention.lists import registry
from retention.words import heading

FILE = "lists.xlsx"
NUMBERS = ("risk", "margin_a_month", "low", "high", "at_stake", "months_to_renewal")
FORMATS = {
    "risk": "0.0%",
    "low": "0.0%",
    "high": "0.0%",
    "margin_a_month": "#,##0.00",
    "at_stake": "#,##0",
}
DAYS = ("due", "act_by")
DAY_FORMAT = "yyyy-mm-dd"
ACTION = ("do", "action")  # columns that hold the id of a list
OWNER = "owner"
OWNERS = "owners"  # the hidden sheet that the owner's drop-down offers
NARROWEST, WIDEST = 8, 60  # characters
LONGEST_NAME = 31  # of a sheet, as Excel allows
PROPERTIES = "docProps/core.xml"
MODIFIED = re.compile(rb"(<dcterms:modified[^>]*>)[^<]*(</dcterms:modified>)")
FORBIDDEN = str.maketrans(dict.fromkeys(r"[]:*?/\\", " "))
FIRST_DAY = (
    1980,
    1,
    1,
    0,
    0,
    0,
)  # of every part of the file, so that the same lists give the same bytes


def write_workbook(folder: Path, cutoff: dt.date) -> Path | None:
    """Write lists.xlsx from the lists of a run; None, and no file, where the run has none.

    Text is always text, so no cell is a formula; days are dates, margins money, chances per cents.
    """
    files = {path.stem: path for path in (folder / "lists").glob("*.csv")}
    if not files:
        return None
    book = Workbook()
    book.remove(book.active)
    for name in _in_order(files):
        rows = read_list(files[name], NUMBERS)
        _fill(book.create_sheet(_sheet_name(name)), rows)
    _offer_owners(book)
    book.properties.created = dt.datetime.combine(cutoff, dt.time())
    path = folder / FILE
    book.save(path)
    _without_clock(path, cutoff)
    return path


def _in_order(files: Iterable[str]) -> list[str]:
    """The list of all actions, then the others in the order of the decision."""
    first = [registry.ACTIONS, registry.DECISION]
    names = set(files)
    return [name for name in first if name in names] + registry.in_order(names - set(first))


def _sheet_name(file: str) -> str:
    """What the sheet of a list is called: the list's short name."""
    known = {entry.file: entry.id for entry in registry.LISTS}
    if file in known:
        name = str(registry.action_words(known[file]))
    else:
        name = str(registry.caption_of(file)).split(":")[0]
    return name.translate(FORBIDDEN)[:LONGEST_NAME].capitalize()


def _fill(sheet: Worksheet, rows: pd.DataFrame) -> None:
    """Write a list into its sheet: a heading that stays in sight, filters, and typed cells."""
    for place, column in enumerate(rows, start=1):
        cells = [_value(column, value) for value in rows[column]]
        title = str(heading(str(column)))
        _write_column(sheet, place, str(column), title, cells)
    sheet.freeze_panes = "C2"  # the client stays in sight as well
    sheet.auto_filter.ref = sheet.dimensions


def _write_column(
    sheet: Worksheet, place: int, column: str, title: str, cells: list[object]
) -> None:
    head = sheet.cell(1, place)
    _as_text(head, title)
    head.font = Font(bold=True)
    head.alignment = Alignment(wrap_text=True, vertical="top")
    for at, value in enumerate(cells, start=2):
        cell = sheet.cell(at, place)
        if isinstance(value, str):
            _as_text(cell, value)
            cell.alignment = Alignment(wrap_text=True, vertical="top")
            continue
        cell.value = value
        cell.alignment = Alignment(vertical="top")
        cell.number_format = DAY_FORMAT if column in DAYS else FORMATS.get(column, "General")
    longest = max((len(str(value)) for value in (title, *cells) if value is not None), default=0)
    width = min(max(longest + 2, NARROWEST), WIDEST)
    sheet.column_dimensions[get_column_letter(place)].width = width


def _as_text(cell: Cell, text: str) -> None:
    """Text as it stands: a cell that begins with = is no formula."""
    cell.value = text
    cell.data_type = "s"
    cell.quotePrefix = text.startswith("=")


def _value(column: str, value: object) -> object:
    """What a cell holds: a date, an action in words, a number, or text; None where blank."""
    if value is None or value == "" or pd.isna(value):
        return None
    if column in DAYS:
        return dt.date.fromisoformat(str(value))
    if column in ACTION:
        return str(registry.action_words(str(value)))
    return float(value) if isinstance(value, float) else str(value)


def _offer_owners(book: Workbook) -> None:
    """Let the owner of each row be chosen from all owners; their names stand in a hidden sheet."""
    sheets = [sheet for sheet in book if _place_of_owner(sheet)]
    names = sorted({name for sheet in sheets for name in _owners(sheet)})
    if not names:
        return
    hidden = book.create_sheet(OWNERS)
    hidden.sheet_state = "hidden"
    for at, name in enumerate(names, start=1):
        _as_text(hidden.cell(at, 1), name)
    for sheet in sheets:
        offered = DataValidation(
            type="list",
            formula1=f"{OWNERS}!$A$1:$A${len(names)}",
            allow_blank=True,
            showErrorMessage=False,  # a new colleague may be typed in
        )
        letter = get_column_letter(_place_of_owner(sheet))
        offered.add(f"{letter}2:{letter}{max(sheet.max_row, 2)}")
        sheet.add_data_validation(offered)


def _place_of_owner(sheet: Worksheet) -> int:
    """The number of the column of owners; 0 where the sheet has none."""
    title = str(heading(OWNER))
    heads = [cell.value for cell in sheet[1]]
    return heads.index(title) + 1 if title in heads else 0


def _owners(sheet: Worksheet) -> list[str]:
    column = sheet.iter_cols(_place_of_owner(sheet), _place_of_owner(sheet), 2, values_only=True)
    return [str(value) for values in column for value in values if value]


def _without_clock(path: Path, cutoff: dt.date) -> None:
    """Write the file again as if it had been saved at the cut-off."""
    with zipfile.ZipFile(path) as made:
        parts = {name: made.read(name) for name in made.namelist()}
    saved = rf"\g<1>{cutoff.isoformat()}T00:00:00Z\g<2>".encode()
    parts[PROPERTIES] = MODIFIED.sub(saved, parts[PROPERTIES])
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as again:
        for name, content in parts.items():
            again.writestr(zipfile.ZipInfo(name, FIRST_DAY), content, zipfile.ZIP_DEFLATED)
