"""Cells to typed values, a column at a time, never guessing: what has two readings is a fault that
names both.
"""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from retention.data.cells import CELLS, SEEN, TEXT, Parsed, as_text, cleaned, unread
from retention.data.dates import (
    DATES,
    about_no_day,
    as_dates,
    as_months,
    day_numbers,
    in_mid_month,
    reads,
    without_placeholders,
    zones_of,
)
from retention.data.numbers import MARKS, PERCENT, around, as_numbers, as_whole, styles
from retention.data.schema import Column
from retention.data.terms import spelled_months
from retention.data.words import fault
from retention.errors import Fault


def parse(
    cells: pd.Series,
    column: Column,
    form: str = "",
    first_day: str = "",
    keep: Collection[str] = (),
) -> Parsed:
    """The cells (text, or the values a typed source holds) as the column's kind; blank ones
    missing. Shape: as given.

    `form` is a date format (`%d/%m/%Y`), an order ("day first"), "excel days", "as written" (the
    day as it stands, whatever its time zone) or a number style ("1.234,5"). `first_day` is day 0 of
    a workbook's day numbers. `keep` are words for nothing ("None") that are words here. Each
    different value is read once.
    """
    codes, unique = pd.factorize(cells)
    written = pd.Series(unique, dtype=object)
    numeric = written.map(_is_number).astype(bool)
    words = map(as_text, written)
    as_texts = pd.Series(words, dtype=TEXT)
    text, told = cleaned(as_texts, keep)
    if column.kind == "term" or column.choices:
        text, told = _spelled(text, told, column)
    if column.kind == "date" and column.may_be_blank:
        text, told = without_placeholders(text, told)
    if column.kind in ("date", "month"):
        text, told = day_numbers(text, told, numeric, form, first_day)
    once = _read_once(text, numeric, column, form)
    told = told.mask(in_mid_month(once), "a day in mid-month read as its month")
    bad = unread(text, once.values) if once.bad is None else once.bad
    unreadable = text[bad][:SEEN]
    seen = tuple(repr(str(value)) for value in unreadable)
    array = once.values.array
    values = array.take(codes, allow_fill=True)
    typed = pd.Series(values, cells.index, name=cells.name)
    filled = text.notna()
    return replace(
        once,
        values=typed,
        seen=once.seen or seen,
        bad=_spread(bad, codes, cells.index),
        filled=_spread(filled, codes, cells.index),
        repairs=_repairs(told, codes),
    )


def _is_number(value: Any) -> bool:
    """Whether a source gave this value as a number."""
    numbers = int | float | Decimal | np.number
    return isinstance(value, numbers) and not isinstance(value, bool)


def _read_once(text: pd.Series, numeric: pd.Series, column: Column, form: str) -> Parsed:
    """The different values of a column as its kind."""
    if column.kind in ("date", "month"):
        once = as_dates(text, form) if column.kind == "date" else as_months(text, form)
        return about_no_day(once, text, column)
    if column.kind == "number":
        return as_numbers(text, form, numeric, around(column))
    if column.kind in ("integer", "term"):
        once = as_whole(text, form, numeric)
        return replace(once, kind="whole answer") if column.name == "nps" else once
    if column.kind == "flag":
        return _flags(text)
    return Parsed(text.astype("string"))


def _repairs(told: pd.Series, codes: np.ndarray) -> dict[str, int]:
    """How many cells were changed, by what was done; `told` is of each different value."""
    filled = codes[codes >= 0]
    counts = np.bincount(filled, minlength=len(told))
    by_value = pd.Series(counts)
    grouped = by_value.groupby(told.to_numpy(), sort=False)
    by_words = grouped.sum()
    without_none = by_words.drop("", errors="ignore")
    return without_none.to_dict()


def _spread(mask: pd.Series, codes: np.ndarray, index: pd.Index) -> pd.Series:
    """A mask over different values as one over the cells; blank cells are False."""
    spread = np.append(mask.to_numpy(dtype=bool), False)
    return pd.Series(spread[codes], index)


def _spelled(text: pd.Series, told: pd.Series, column: Column) -> tuple[pd.Series, pd.Series]:
    """Terms in words as months ("annual" is 12), and values of a closed vocabulary in its own
    spelling.
    """
    if column.kind == "term":
        months = text.map(spelled_months, na_action="ignore")
        meant = months.astype(TEXT)
    else:
        known = text.str.casefold().isin(column.choices)
        meant = text.str.casefold().where(known)
    differs = meant.notna() & (meant != text)
    changed = differs.fillna(False).astype(bool)
    before = "'" + text.astype(object) + "' read as "
    said_text = before + meant.astype(object)
    told = told.mask(changed, said_text)
    return text.where(~changed, meant), told


class Evidence:
    """What a whole table tells about how its dates and numbers are written, gathered a piece at a
    time.

    Dates of one file share an order. Currencies and time zones may not be mixed within a column.
    """

    def __init__(self) -> None:
        self.orders = set(DATES["orders"])
        # by column of dates
        self.zones: dict[str, set[str]] = defaultdict(set)
        # by column of numbers: currencies, per cents
        self.marks: dict[str, set[str]] = defaultdict(set)
        self.styles: dict[str, set[str]] = defaultdict(set)

    def look(self, cells: pd.Series, column: Column) -> None:
        """Take in one piece of one column; values that are not text tell nothing."""
        if cells.dtype != object:
            return
        if column.kind in ("date", "month"):
            self._look_at_dates(_texts_of(cells), column.name)
        if column.kind in ("number", "integer", "term"):
            self._look_at_numbers(_texts_of(cells), column)

    def _look_at_dates(self, text: pd.Series, name: str) -> None:
        """Which time zones these dates name, and which orders they can be read in."""
        with_time = text.str.contains(":", regex=False)
        timed = text[with_time]
        self.zones[name] |= zones_of(timed)
        plain = text.str.replace(DATES["time"], "", regex=True)
        slashed = plain.str.fullmatch(r"\d{1,2}[/-]\d{1,2}[/-]\d{4}")
        read = plain[slashed.astype(bool)]
        for order, forms in DATES["orders"].items():
            if reads(read, forms).isna().any():
                self.orders.discard(order)

    def _look_at_numbers(self, text: pd.Series, column: Column) -> None:
        """Which currencies and per cents stand beside these numbers, and how they are written."""
        marks = self.marks[column.name]
        shares = text.str.contains(PERCENT, regex=True)
        has_currency = text.str.contains(MARKS["currency"], regex=True)
        marked = text[has_currency]  # few are
        signs = marked.str.extract(f"({MARKS['currency']})", expand=False)
        marks |= set(signs)
        if shares.any() and not shares.all():
            marks |= {"with %", "without %"}
        plain = text.str.replace(around(column), "", regex=True)
        self.styles[column.name] |= styles(plain)

    def forms(self) -> dict[str, str]:
        """By column, the order of its dates or the style of its numbers, where the table settles
        it.
        """
        settled = len(self.orders) == 1
        dates = dict.fromkeys(self.zones, min(self.orders)) if settled else {}
        numbers = {name: min(styles) for name, styles in self.styles.items() if styles}
        return dates | numbers

    def faults(self, table: str) -> list[Fault]:
        """Columns that mix currencies, shares or time zones; the dates of one file must all be of
        one zone.
        """
        mixed = []
        for name, marks in self.marks.items():
            if len(marks) > 1:
                mixed.append((name, "currencies", marks))
        zones = set().union(*self.zones.values())
        for name, found in self.zones.items():
            if found and len(zones) > 1:
                mixed.append((name, "zones", zones))
        return [fault(table, name, kind, seen=sorted(seen)[:SEEN]) for name, kind, seen in mixed]


def _texts_of(cells: pd.Series) -> pd.Series:
    """The different texts among these cells, cleaned, without blank ones."""
    values = pd.unique(cells)
    different = [value for value in values if isinstance(value, str)]
    plain = pd.Series(different, dtype=TEXT)
    text, _ = cleaned(plain)
    return text.dropna()


def _flags(text: pd.Series) -> Parsed:
    yes = dict.fromkeys(CELLS["true"], True)
    words = yes | dict.fromkeys(CELLS["false"], False)
    read = text.str.casefold().map(words)
    return Parsed(read.astype("boolean"), "flag")
