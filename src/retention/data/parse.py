"""Cells to typed values, a column at a time, never guessing: what has two readings is a fault that
names both.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from retention.data.schema import Column
from retention.data.terms import spelled_months
from retention.data.words import WORDS, fault, sentence
from retention.errors import Fault

_CELLS = WORDS["cells"]
_DATES = WORDS["dates"]
_NUMBERS = WORDS["numbers"]
BLANK_WORDS = frozenset(_CELLS["blank"])
DAY_FIRST, MONTH_FIRST = _DATES["orders"]
EXCEL_DAYS = "excel days"
AS_WRITTEN = "as written"
FIRST_DAY = pd.Timestamp("1900-01-01")
LAST_DAY = pd.Timestamp("2100-12-31")
EXCEL_FIRST_DAY = "1899-12-30"  # day 0 of Excel's day numbers, from March 1900 on
FIRST_DAY_NUMBER = 18264  # 1950: smaller numbers in a date column are something else
LAST_DAY_NUMBER = 80_000  # 2119
LARGEST_WHOLE = 10**9
TEXT = "string[pyarrow]"  # its methods run over the whole column at once
SEEN = 8  # values named in a message


@dataclass(frozen=True)
class Parsed:
    """Typed values of one column; which cells hold something, which of those could not be read, and
    the kind of fault.

    `repairs` counts the cells that were changed without asking, by what was done.
    """

    values: pd.Series
    kind: str = ""
    said: dict[str, str] = field(default_factory=dict)
    seen: tuple[str, ...] = ()
    bad: pd.Series = None  # unless a reader says otherwise, what is filled and has no value
    mid_month: pd.Series = None  # of months: which were given as a later day
    filled: pd.Series = None
    repairs: dict[str, int] = field(default_factory=dict)


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
    as_texts = pd.Series(map(as_text, written), dtype=TEXT)
    text, told = _cleaned(as_texts, keep)
    if column.kind == "term" or column.choices:
        text, told = _spelled(text, told, column)
    if column.kind == "date" and column.may_be_blank:
        text, told = _without_placeholders(text, told)
    if column.kind in ("date", "month"):
        text, told = _day_numbers(text, told, numeric, form, first_day)
    once = _read_once(text, numeric, column, form)
    told = told.mask(_in_mid_month(once), "a day in mid-month read as its month")
    bad = _unread(text, once.values) if once.bad is None else once.bad
    unread = text[bad][:SEEN]
    seen = tuple(repr(str(value)) for value in unread)
    array = once.values.array
    values = array.take(codes, allow_fill=True)
    typed = pd.Series(values, cells.index, name=cells.name)
    return replace(
        once,
        values=typed,
        seen=once.seen or seen,
        bad=_spread(bad, codes, cells.index),
        filled=_spread(text.notna(), codes, cells.index),
        repairs=_repairs(told, codes),
    )


def _is_number(value: Any) -> bool:
    """Whether a source gave this value as a number."""
    numbers = int | float | Decimal | np.number
    return isinstance(value, numbers) and not isinstance(value, bool)


def _read_once(text: pd.Series, numeric: pd.Series, column: Column, form: str) -> Parsed:
    """The different values of a column as its kind."""
    if column.kind in ("date", "month"):
        once = _dates(text, form) if column.kind == "date" else _months(text, form)
        return _about_no_day(once, text, column)
    if column.kind == "number":
        return _numbers(text, form, numeric, _around(column))
    if column.kind in ("integer", "term"):
        once = _whole(text, form, numeric)
        return replace(once, kind="whole answer") if column.name == "nps" else once
    if column.kind == "flag":
        return _flags(text)
    return Parsed(text.astype("string"))


def _repairs(told: pd.Series, codes: np.ndarray) -> dict[str, int]:
    """How many cells were changed, by what was done; `told` is of each different value."""
    filled = codes[codes >= 0]
    counts = np.bincount(filled, minlength=len(told))
    by_value = pd.Series(counts)
    by_words = by_value.groupby(told.to_numpy(), sort=False).sum()
    without_none = by_words.drop("", errors="ignore")
    return without_none.to_dict()


def _spread(mask: pd.Series, codes: np.ndarray, index: pd.Index) -> pd.Series:
    """A mask over different values as one over the cells; blank cells are False."""
    spread = np.append(mask.to_numpy(dtype=bool), False)
    return pd.Series(spread[codes], index)


TURNED = "[\u202a-\u202e\u2066-\u2069]"  # would turn round what stands after it, on any page
# a terminal or a spreadsheet acts on them, and no page shows them
CONTROLS = "[\x00-\x08\x0b-\x1f\x7f-\x9f]"


def as_text(value: Any) -> str:
    """A cell's value as it would be written in a text file; whole numbers without a decimal
    point.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 10**15:
        return str(int(value))
    if isinstance(value, dt.datetime):
        return value.isoformat(" ") if value.time() != dt.time() else value.date().isoformat()
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def texts(cells: pd.Series) -> pd.Series:
    """The cells as trimmed text, blank ones as empty text."""
    written = cells.map(as_text, na_action="ignore").astype(TEXT)
    return written.str.strip().fillna("")


def _cleaned(text: pd.Series, keep: Collection[str] = ()) -> tuple[pd.Series, pd.Series]:
    """The text trimmed, the words for nothing (NA, null, ...) missing but for those to `keep`; and
    what was done to each value, in words.
    """
    plain = text.str.strip()
    told = pd.Series("", text.index, dtype=object)
    told = told.mask(plain != text, "spaces around the value left off")
    unseen = {TURNED: "marks that turn the direction of writing", CONTROLS: "control characters"}
    for signs, what in unseen.items():
        found = plain.str.contains(signs)
        there = found.astype(bool)
        told = told.mask(there, f"{what} left off")
        cleaned = plain.str.replace(signs, "", regex=True)
        without = cleaned.str.strip()
        plain = plain.where(~there, without)
    quoted = plain.str.match(r"'+[=+\-@\t\r]")
    marked = quoted.astype(bool)  # as spreadsheets mark text
    told = told.mask(marked, "leading ' left off")
    rest = plain.str[1:]
    plain = plain.where(~marked, rest)
    kept = plain.isin(list(keep))
    lower = plain.str.lower()
    nothing = lower.isin(BLANK_WORDS) & ~kept
    read_as_blank = "'" + plain.astype(object) + "' read as blank"
    blank = nothing & (plain != "")
    told = told.mask(blank, read_as_blank)
    kept_words = told.mask(plain == "", "")
    return plain.mask(nothing), kept_words


def _without_placeholders(text: pd.Series, told: pd.Series) -> tuple[pd.Series, pd.Series]:
    """The text without days that stand for none, such as 9999-12-31 or 1900-01-01; and what was
    done, in words.
    """
    pattern = "|".join(_DATES["never"])
    found = text.str.contains(pattern, regex=True)
    never = found.fillna(False).astype(bool)
    why = "'" + text.astype(object) + "' read as blank: it stands for no date"
    said = told.mask(never, why)
    return text.mask(never), said


def _day_numbers(
    text: pd.Series, told: pd.Series, numeric: pd.Series, form: str, first_day: str
) -> tuple[pd.Series, pd.Series]:
    """Day numbers of a workbook, or of a column said to hold them, as dates in words."""
    said_so = form == EXCEL_DAYS
    possible = text.where(numeric | said_so)
    read = pd.to_numeric(possible, errors="coerce")
    numbers = read.astype(float) // 1
    in_range = numbers.between(FIRST_DAY_NUMBER, LAST_DAY_NUMBER)
    fits = in_range & bool(first_day or said_so)
    fitting = numbers.where(fits, 0)
    days = fitting.to_numpy().astype("timedelta64[D]")
    day_zero = np.datetime64(first_day or EXCEL_FIRST_DAY, "D")
    words = np.datetime_as_string(day_zero + days)
    written = pd.Series(words, dtype=TEXT)
    kept_text = text.where(~fits, written)
    return kept_text, told.mask(fits, "day numbers read as dates")


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
    told = told.mask(changed, before + meant.astype(object))
    return text.where(~changed, meant), told


class Evidence:
    """What a whole table tells about how its dates and numbers are written, gathered a piece at a
    time.

    Dates of one file share an order. Currencies and time zones may not be mixed within a column.
    """

    def __init__(self) -> None:
        self.orders = set(_DATES["orders"])
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
        self.zones[name] |= _zones(timed)
        plain = text.str.replace(_DATES["time"], "", regex=True)
        slashed = plain.str.fullmatch(r"\d{1,2}[/-]\d{1,2}[/-]\d{4}")
        read = plain[slashed.astype(bool)]
        for order, forms in _DATES["orders"].items():
            if _reads(read, forms).isna().any():
                self.orders.discard(order)

    def _look_at_numbers(self, text: pd.Series, column: Column) -> None:
        """Which currencies and per cents stand beside these numbers, and how they are written."""
        marks = self.marks[column.name]
        shares = text.str.contains(_PERCENT, regex=True)
        has_currency = text.str.contains(_NUMBERS["currency"], regex=True)
        marked = text[has_currency]  # few are
        signs = marked.str.extract(f"({_NUMBERS['currency']})", expand=False)
        marks |= set(signs)
        if shares.any() and not shares.all():
            marks |= {"with %", "without %"}
        plain = text.str.replace(_around(column), "", regex=True)
        self.styles[column.name] |= _styles(plain)

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
    text, _ = _cleaned(plain)
    return text.dropna()


def _zones(timed: pd.Series) -> set[str]:
    """The time zones beside these times of day; none where all are midnights.

    A column of midnights holds days: each stands as written, whatever the zone (or summer time)
    beside it.
    """
    midnight = timed.str.contains(_DATES["midnight"], regex=True)
    late = ~midnight
    if not late.any():
        return set()
    zones = timed.str.extract(f"({_DATES['zone']})", expand=False)
    utc = zones.isin(_DATES["utc"])
    zones = zones.mask(utc, "Z")
    told = zones[late | zones.notna()]
    return set(told.fillna("no zone"))


def _unread(text: pd.Series, values: pd.Series) -> pd.Series:
    unread = text.notna() & values.isna()
    return unread.astype(bool)


def _dates(text: pd.Series, form: str) -> Parsed:
    """Dates as their column is said to be written, or in the one order that all can be read in."""
    plain = text.str.replace(_DATES["time"], "", regex=True)
    form = "" if form in (EXCEL_DAYS, AS_WRITTEN) else form
    if form and form not in _DATES["orders"]:
        iso = _reads(plain, (form, "%Y-%m-%d"))
        read_as_said = _reads(text, (form,))
        values = read_as_said.dt.normalize().fillna(iso)
        return Parsed(values, "date as said", {"how": f" written as {form}"})
    values = _reads(plain, _DATES["certain"])
    rest = plain.where(values.isna())
    read = {order: _reads(rest, forms) for order, forms in _DATES["orders"].items()}
    day_first, month_first = read[DAY_FIRST], read[MONTH_FIRST]
    differ = (day_first != month_first) & day_first.notna()
    split = differ & month_first.notna()
    if not form and split.any():
        return _two_dates(text, values, read, split)
    other = month_first if form == DAY_FIRST else day_first
    chosen = read[form] if form else day_first.fillna(month_first)
    values = values.fillna(chosen)
    bad = _unread(text, values)
    how = f", read {form}" if form and other[bad].notna().any() else ""
    looks = text[bad].str.fullmatch(r"[2-7]\d{4}(\.\d+)?")
    day_numbers = looks.any()
    kind = "day number" if day_numbers else "date"
    return Parsed(values, kind, {"how": how})


def _two_dates(
    text: pd.Series, values: pd.Series, read: dict[str, pd.Series], split: pd.Series
) -> Parsed:
    """That some dates can be read in both orders, with the first of them in words."""
    first = split.idxmax()
    one = f"{read[DAY_FIRST][first]:%d %B %Y} (day first)"
    other = f"{read[MONTH_FIRST][first]:%d %B %Y} (month first)"
    seen = f"{text[first]}, which is {one} or {other}"
    both_ways = split.astype(bool)
    return Parsed(values, "two dates", seen=(seen,), bad=both_ways)


def _in_mid_month(once: Parsed) -> pd.Series:
    """Which of the different values are months given as a later day than their first."""
    return pd.Series(False, once.values.index) if once.mid_month is None else once.mid_month


def _about_no_day(once: Parsed, text: pd.Series, column: Column) -> Parsed:
    """The same, with what to do about values that stand for no day at all (0000-00-00,
    "ongoing").
    """
    bad = _unread(text, once.values) if once.bad is None else once.bad
    days = text.str.replace(_DATES["time"], "", regex=True)
    plain = days.str.casefold()
    empty = bad & plain.isin(_DATES["no_day"])
    if once.kind == "two dates" or not empty.any():
        return replace(once, said={"how": "", "no_day": "", **once.said})
    first = text[empty][:SEEN]
    pairs = ", ".join(f'"{value}" = ""' for value in first)
    kind = "no day known" if column.may_be_blank else "no day needed"
    words = ", ".join(first)
    about = {"pairs": pairs, "words": words, "table": "{table}"}
    way = sentence(kind, column=column.name, **about)
    alone = bool((bad == empty).all())
    told = way if alone else f" {way}"
    said = {"how": "", **once.said, "no_day": told}
    return replace(once, kind="no day" if alone else once.kind, said=said)


def _reads(text: pd.Series, forms: Iterable[str]) -> pd.Series:
    """The dates that the first of these formats reads which can; others are missing."""
    values = pd.Series(pd.NaT, text.index, dtype="datetime64[ns]")
    for form in forms:
        rest = text.where(values.isna())
        if form == "%Y%m%d":
            # Without separators every digit must be there: 202311 is no day.
            digits = rest.str.fullmatch(r"\d{8}")
            whole = digits.fillna(False)
            rest = rest.where(whole)
        if rest.notna().any():
            read = pd.to_datetime(rest, format=form, errors="coerce")
            values = values.fillna(read)
    possible = values.between(FIRST_DAY, LAST_DAY)
    return values.where(possible)


def _months(text: pd.Series, form: str) -> Parsed:
    """Months, each as its first day; a later day is read as its month."""
    whole = text.str.replace(r"^(\d{4})-(\d{2})$", r"\1-\2-01", regex=True)
    parsed = _dates(whole, form)
    months = parsed.values.dt.to_period("M")
    first = months.dt.to_timestamp()
    kind = "two dates" if parsed.kind == "two dates" else "month"
    other_day = parsed.values != first
    later = other_day & first.notna()
    return replace(parsed, values=first, kind=kind, mid_month=later)


_AROUND = rf"^{_NUMBERS['currency']}\s*|\s*{_NUMBERS['currency']}$"
_PERCENT = r"\s*%$"
PLAIN_NUMBERS, *_ = NUMBER_STYLES = tuple(_NUMBERS["styles"])


def _around(column: Column) -> str:
    """What may stand around the column's numbers: a per cent sign where it holds per cents, else a
    currency.
    """
    if column.unit.startswith("percent"):
        return _PERCENT
    return _AROUND if column.kind == "number" else "^$"


def _numbers(text: pd.Series, form: str, numeric: pd.Series, around: str = "^$") -> Parsed:
    """Numbers in the style that was said, or in the one that the column's values can only have."""
    numbers = pd.to_numeric(text.where(numeric), errors="coerce")
    exact = numbers.astype(float)
    plain = text.mask(numeric).str.replace(around, "", regex=True)
    looks = _matches(plain, r"[+-]?[\d.,]*\d([eE][+-]?\d+)?")
    style = form or min(_styles(plain), default="")
    signs = plain.str.contains(r"[.,]", regex=True)
    marks = signs.fillna(False).astype(bool)
    marked = looks & marks
    if not style and marked.any():
        first = plain[marked][:1]
        seen = tuple(f"{value!r}, thousands or decimals?" for value in first)
        nothing = exact * np.nan
        return Parsed(nothing, "two numbers", seen=seen, bad=marked)
    group, point = _NUMBERS["styles"][style or PLAIN_NUMBERS]
    fits = _matches(plain, rf"[+-]?(\d{{1,3}}({group}\d{{3}})+|\d*)({point}\d+)?([eE][+-]?\d+)?")
    cleaned = plain.where(fits & looks)
    cleaned = cleaned.str.replace(group, "", regex=True)
    cleaned = cleaned.str.replace(point, ".", regex=True)
    read = pd.to_numeric(cleaned, errors="coerce").astype(float)
    values = exact.fillna(read)
    finite = np.isfinite(values)
    return Parsed(values.where(finite), "number")


def _matches(text: pd.Series, pattern: str) -> pd.Series:
    """Which texts are wholly of this pattern; a blank one is not."""
    fits = text.str.fullmatch(pattern)
    return fits.fillna(False).astype(bool)


def _styles(plain: pd.Series) -> set[str]:
    """The number styles that some value can only have."""
    found = set()
    for style, marks in _NUMBERS["styles"].items():
        if plain.str.fullmatch(_only(*marks)).any():
            found.add(style)
    return found


def _only(group: str, point: str) -> str:
    """A pattern for numbers that can be read in one style alone: both marks, repeated groups, or
    odd decimals.
    """
    both = rf"\d{{1,3}}({group}\d{{3}})+{point}\d+"
    groups = rf"\d{{1,3}}({group}\d{{3}}){{2,}}"
    decimals = rf"\d*{point}(\d{{1,2}}|\d{{4,}})|(0|\d{{4,}})?{point}\d{{3}}"
    return rf"[+-]?({both}|{groups}|{decimals})"


def _whole(text: pd.Series, form: str, numeric: pd.Series) -> Parsed:
    """Whole numbers, not too large to be meant; others are missing."""
    parsed = _numbers(text, form, numeric)
    values = parsed.values
    large = values.abs() > LARGEST_WHOLE
    odd = (values % 1 != 0) | large
    whole = values.mask(odd).astype("Int64")
    return Parsed(whole, "whole", bad=parsed.bad)


def _flags(text: pd.Series) -> Parsed:
    yes = dict.fromkeys(_CELLS["true"], True)
    words = yes | dict.fromkeys(_CELLS["false"], False)
    read = text.str.casefold().map(words)
    return Parsed(read.astype("boolean"), "flag")
