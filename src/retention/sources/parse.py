"""Cells to typed values, a column at a time, never guessing: what has two readings is a fault that names both."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from retention.errors import Fault
from retention.sources.terms import spelled_months
from retention.tables import Column

BLANK = {"", "na", "n/a", "nan", "nat", "null", "none", "#n/a"}
TRUE, FALSE = {"true", "yes", "y", "t", "1"}, {"false", "no", "n", "f", "0"}
DAY_FIRST, MONTH_FIRST = "day first", "month first"
EXCEL_DAYS, AS_WRITTEN = "excel days", "as written"
_ORDERS = {DAY_FIRST: ("%d/%m/%Y", "%d-%m-%Y"), MONTH_FIRST: ("%m/%d/%Y", "%m-%d-%Y")}
_CERTAIN = (
    *("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%d %b %Y", "%d-%b-%Y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y"),
    "%Y%m%d",
)
_ZONE = r"(?:Z|UTC|[+-]\d{2}(?::?\d{2})?)$"  # after a time of day
_MIDNIGHT = r"[T ]0?0:00(?::00(?:\.0+)?)?(?: ?(?:Z|UTC|[+-]\d{2}(?::?\d{2})?))?$"
_TIME = r"[T ](?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d+)?)?(?: ?[AP]M)?(?: ?(?:Z|UTC|[+-]\d{2}(?::?\d{2})?))?$"
FIRST_DAY, LAST_DAY = pd.Timestamp("1900-01-01"), pd.Timestamp("2100-12-31")
EXCEL_FIRST_DAY = "1899-12-30"  # day 0 of Excel's day numbers, from March 1900 on
FIRST_DAY_NUMBER = 18264  # 1950: smaller numbers in a date column are something else
LARGEST_WHOLE = 10**9
TEXT = "string[pyarrow]"  # its methods run over the whole column at once
SEEN = 8  # values named in a message


@dataclass(frozen=True)
class Parsed:
    """Typed values of one column; which cells hold something, and which of those could not be read, why, the way out.

    `repairs` counts the cells that were changed without asking, by what was done.
    """

    values: pd.Series
    bad: pd.Series
    problem: str = ""
    remedy: str = ""
    seen: tuple[str, ...] = ()
    filled: pd.Series = field(default_factory=lambda: pd.Series(dtype=bool))
    repairs: dict[str, int] = field(default_factory=dict)


def parse(cells: pd.Series, column: Column, form: str = "", first_day: str = "") -> Parsed:
    """The cells (text, or the values a typed source holds) as the column's kind; blank ones missing. Shape: as given.

    `form` is a date format (`%d/%m/%Y`), an order ("day first"), "excel days", "as written" (the day as it stands,
    whatever its time zone) or a number style ("1.234,5"). `first_day` is day 0 of a workbook's day numbers. Each
    different value is read once.
    """
    codes, unique = pd.factorize(cells)
    written = pd.Series(unique, dtype=object)
    numeric = pd.Series([_is_number(value) for value in written], dtype=bool)
    text, told = _cleaned(pd.Series([as_text(value) for value in written], dtype=TEXT))
    if column.kind in ("date", "month"):
        text, told = _day_numbers(text, told, numeric, form, first_day)
    if column.kind == "term" or column.choices:
        text, told = _spelled(text, told, column)
    reader: dict[str, Callable[[], Parsed]] = {
        "date": lambda: _dates(text, form),
        "month": lambda: _months(text, form),
        "number": lambda: _numbers(text, form, numeric, _around(column)),
        "integer": lambda: _whole(text, form, numeric),
        "term": lambda: _whole(text, form, numeric),
        "flag": lambda: _flags(text),
    }
    none = pd.Series(False, text.index)
    once = reader[column.kind]() if column.kind in reader else Parsed(text.astype("string"), none)
    once = replace(once, seen=once.seen or tuple(repr(str(value)) for value in text[once.bad][:SEEN]))
    counts = np.bincount(codes[codes >= 0], minlength=len(unique))
    repairs = pd.Series(counts).groupby(told.to_numpy(), sort=False).sum().drop("", errors="ignore").to_dict()
    return replace(
        once,
        values=pd.Series(once.values.array.take(codes, allow_fill=True), cells.index, name=cells.name),
        bad=_spread(once.bad, codes, cells.index),
        filled=_spread(text.notna(), codes, cells.index),
        repairs=repairs,
    )


def _spread(mask: pd.Series, codes: np.ndarray, index: pd.Index) -> pd.Series:
    """A mask over different values as one over the cells; blank cells are False."""
    return pd.Series(np.append(mask.to_numpy(dtype=bool), False)[codes], index)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal | np.number) and not isinstance(value, bool)


def as_text(value: Any) -> str:
    """A cell's value as it would be written in a text file; whole numbers without a decimal point."""
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
    return cells.map(as_text, na_action="ignore").astype(TEXT).str.strip().fillna("")


def _cleaned(text: pd.Series) -> tuple[pd.Series, pd.Series]:
    """The text trimmed, the words for nothing (NA, null, ...) missing; and what was done to each value, in words."""
    plain = text.str.strip()
    told = pd.Series("", text.index, dtype=object).mask(plain != text, "spaces around the value left off")
    marked = plain.str.match(r"'+[=+\-@\t\r]").astype(bool)  # as spreadsheets mark text
    told = told.mask(marked, "leading ' left off")
    plain = plain.where(~marked, plain.str[1:])
    nothing = plain.str.lower().isin(BLANK)
    told = told.mask(nothing & (plain != ""), "'" + plain.astype(object) + "' read as blank")
    return plain.mask(nothing), told.mask(plain == "", "")


def _day_numbers(
    text: pd.Series, told: pd.Series, numeric: pd.Series, form: str, first_day: str
) -> tuple[pd.Series, pd.Series]:
    """Day numbers of a workbook, or of a column said to hold them, as dates in words."""
    numbers = pd.to_numeric(text.where(numeric | (form == EXCEL_DAYS)), errors="coerce")
    numbers = numbers.astype(float) // 1
    fits = numbers.between(FIRST_DAY_NUMBER, 80_000) & bool(first_day or form == EXCEL_DAYS)
    whole = numbers.where(fits, 0).to_numpy().astype("timedelta64[D]")
    written = pd.Series(np.datetime_as_string(np.datetime64(first_day or EXCEL_FIRST_DAY, "D") + whole), dtype=TEXT)
    return text.where(~fits, written), told.mask(fits, "day numbers read as dates")


def _spelled(text: pd.Series, told: pd.Series, column: Column) -> tuple[pd.Series, pd.Series]:
    """Terms in words as months ("annual" is 12), and values of a closed vocabulary in its own spelling."""
    if column.kind == "term":
        meant = text.map(spelled_months, na_action="ignore").astype(TEXT)
    else:
        meant = text.str.casefold().where(text.str.casefold().isin(column.choices))
    changed = (meant.notna() & (meant != text)).fillna(False).astype(bool)
    return text.where(~changed, meant), told.mask(
        changed, "'" + text.astype(object) + "' read as " + meant.astype(object)
    )


class Evidence:
    """What a whole table tells about how its dates and numbers are written, gathered a piece at a time.

    Dates of one file share an order. Currencies and time zones may not be mixed within a column.
    """

    def __init__(self) -> None:
        self.orders: set[str] | None = None
        self.styles: dict[str, set[str]] = {}
        self.mixed: dict[str, set[str]] = {}
        self.kinds: dict[str, str] = {}

    def look(self, cells: pd.Series, column: Column) -> None:
        """Take in one piece of one column; values that are not text tell nothing."""
        if cells.dtype != object or column.kind not in ("date", "month", "number", "integer", "term"):
            return
        text, _ = _cleaned(pd.Series([v for v in pd.unique(cells) if isinstance(v, str)], dtype=TEXT))
        text, self.kinds[column.name] = text.dropna(), column.kind
        if column.kind in ("date", "month"):
            timed = text[text.str.contains(":", regex=False)]
            late = ~timed.str.contains(_MIDNIGHT, regex=True)
            zones = _marks(timed, _ZONE) | (
                {"no zone"} if (late & ~timed.str.contains(_ZONE, regex=True)).any() else set()
            )
            # A column of midnights holds days: each stands as written, whatever the zone (or summer time) beside it.
            found = {"Z" if zone in ("UTC", "+00:00", "+0000", "+00") else zone for zone in zones if late.any()}
            self._orders(text.str.replace(_TIME, "", regex=True))
        else:
            shares = text.str.contains(_PERCENT, regex=True)
            found = _marks(text, _MARK) | ({"with %", "without %"} if shares.any() and not shares.all() else set())
            plain = text.str.replace(_around(column), "", regex=True)
            self.styles[column.name] = self.styles.get(column.name, set()) | _styles(plain)
        self.mixed[column.name] = self.mixed.get(column.name, set()) | found

    def _orders(self, text: pd.Series) -> None:
        text = text[text.str.fullmatch(r"\d{1,2}[/-]\d{1,2}[/-]\d{4}").astype(bool)]
        if len(text):
            fits = {order for order, forms in _ORDERS.items() if _first_that_reads(text, forms).notna().all()}
            self.orders = fits if self.orders is None else self.orders & fits

    def forms(self) -> dict[str, str]:
        """By column, the order of its dates or the style of its numbers, where the table settles it."""
        order = next(iter(self.orders)) if self.orders and len(self.orders) == 1 else ""
        dates = {name: order for name, kind in self.kinds.items() if kind in ("date", "month")}
        return dates | {name: sorted(styles)[0] for name, styles in self.styles.items() if styles}

    def faults(self, table: str) -> list[Fault]:
        """Columns that mix currencies, shares or time zones; the dates of one file must all be of one zone."""
        dates = {name: found for name, found in self.mixed.items() if self.kinds[name] in ("date", "month") and found}
        zones = set().union(*dates.values())
        told = [
            (name, found, "mixes currencies, or numbers with and without %", "Convert all values to one.")
            for name, found in self.mixed.items()
            if name not in dates and len(found) > 1
        ]
        if len(zones) > 1:
            as_is = 'or take each day as it stands: {} = "as written" under [tables.<table>.formats].'
            told += [
                (
                    name,
                    zones,
                    "mixes time zones, within itself or with other columns",
                    f"Convert them to one, {as_is.format(name)}",
                )
                for name in dates
            ]
        return [
            Fault(table, name, problem, 0, (), remedy.replace("<table>", table), tuple(sorted(found)[:SEEN]))
            for name, found, problem, remedy in told
        ]


def _marks(text: pd.Series, pattern: str) -> set[str]:
    """What the pattern finds, where it finds something (few cells have a currency or a time zone)."""
    return set(text[text.str.contains(pattern, regex=True)].str.extract(f"({pattern})", expand=False))


def _leftover(text: pd.Series, values: pd.Series) -> pd.Series:
    return (text.notna() & values.isna()).astype(bool)


def _dates(text: pd.Series, form: str) -> Parsed:
    plain = text.str.replace(_TIME, "", regex=True)
    form = "" if form in (EXCEL_DAYS, AS_WRITTEN) else form
    if form and form not in _ORDERS:
        values = _first_that_reads(text, (form,)).dt.normalize()
        values = values.fillna(_first_that_reads(plain, (form, "%Y-%m-%d")))
        return Parsed(
            values, _leftover(text, values), f"is not a date written as {form}", "Mend the dates or the format."
        )
    values = _first_that_reads(plain, _CERTAIN)
    rest = plain.where(values.isna())
    read = {order: _first_that_reads(rest, forms) for order, forms in _ORDERS.items()}
    both = read[DAY_FIRST].notna() & read[MONTH_FIRST].notna()
    if not form and (split := (read[DAY_FIRST] != read[MONTH_FIRST]) & both).any():
        return _two_readings(text, values, read, split)
    values = values.fillna(read[form] if form else read[DAY_FIRST].fillna(read[MONTH_FIRST]))
    bad = _leftover(text, values)
    other = read[MONTH_FIRST if form == DAY_FIRST else DAY_FIRST]
    ordered = f", read {form}" if form and other[bad].notna().any() else ""
    remedy = "Write dates as YYYY-MM-DD, between 1900 and 2100, in one order throughout."
    if text[bad].str.fullmatch(r"[2-7]\d{4}(\.\d+)?").any():
        remedy = 'If these are day numbers of Excel, say <column> = "excel days" under [tables.<table>.formats].'
    return Parsed(values, bad, f"is not a date{ordered}", remedy)


def _two_readings(text: pd.Series, values: pd.Series, read: dict[str, pd.Series], split: pd.Series) -> Parsed:
    first = split.idxmax()
    one, other = read[DAY_FIRST][first], read[MONTH_FIRST][first]
    seen = f"{text[first]}, which is {one:%d %B %Y} (day first) or {other:%d %B %Y} (month first)"
    remedy = 'Say which under [tables.<table>.formats], for example <column> = "day first", or write YYYY-MM-DD.'
    return Parsed(values, split.astype(bool), "has two readings", remedy, (seen,))


def _first_that_reads(text: pd.Series, forms: tuple[str, ...]) -> pd.Series:
    values = pd.Series(pd.NaT, text.index, dtype="datetime64[ns]")
    for form in forms:
        rest = text.where(values.isna())
        # Without separators every digit must be there: 202311 is no day.
        rest = rest.where(rest.str.fullmatch(r"\d{8}").fillna(False)) if form == "%Y%m%d" else rest
        if rest.notna().any():
            values = values.fillna(pd.to_datetime(rest, format=form, errors="coerce"))
    return values.where(values.between(FIRST_DAY, LAST_DAY))


def _months(text: pd.Series, form: str) -> Parsed:
    whole = text.str.replace(r"^(\d{4})-(\d{2})$", r"\1-\2-01", regex=True)
    parsed = _dates(whole, form)
    first = parsed.values.dt.to_period("M").dt.to_timestamp()
    return replace(parsed, values=first, remedy=parsed.remedy if parsed.seen else "Write months as YYYY-MM.")


# What may stand around a number: currency signs and codes. Not letters such as k or MIO, which multiply.
_CODES = (
    "USD|EUR|GBP|CHF|CAD|AUD|NZD|JPY|CNY|INR|SEK|NOK|DKK|PLN|CZK|HUF|RON|BGN|TRY|ZAR|BRL|MXN|SGD|HKD|KRW|ILS|AED|SAR|"
    "THB|MYR|IDR|PHP|VND|ARS|CLP|COP|PEN|EGP|NGN|KES|MAD|UAH|ISK"
)
_MARK = f"(?:[$\u20ac\u00a3\u00a5]|{_CODES})"
_AROUND = rf"^{_MARK}\s*|\s*{_MARK}$"
_PERCENT = r"\s*%$"
PLAIN_NUMBERS = "1,234.5"
_STYLES = {PLAIN_NUMBERS: (",", r"\."), "1.234,5": (r"\.", ",")}  # (mark between thousands, mark before decimals)
NUMBER_STYLES = tuple(_STYLES)
_COMMAS = 'Say which under [tables.<table>.formats]: "1,234.5" (comma for thousands) or "1.234,5" (comma for decimals).'


def _around(column: Column) -> str:
    """What may stand around the column's numbers: a per cent sign where it holds per cents, else a currency."""
    return _PERCENT if column.unit.startswith("percent") else _AROUND if column.kind == "number" else "^$"


def _numbers(text: pd.Series, form: str, numeric: pd.Series, around: str = "^$") -> Parsed:
    exact = pd.to_numeric(text.where(numeric), errors="coerce").astype(float)
    plain = text.mask(numeric).str.replace(around, "", regex=True)
    looks = plain.str.fullmatch(r"[+-]?[\d.,]*\d([eE][+-]?\d+)?").fillna(False).astype(bool)
    style = form or next(iter(sorted(_styles(plain))), "")
    marked = looks & plain.str.contains(r"[.,]", regex=True).fillna(False).astype(bool)
    if not style and marked.any():
        seen = tuple(f"{value!r}, thousands or decimals?" for value in plain[marked][:1])
        return Parsed(exact * np.nan, marked, "has two readings", _COMMAS, seen)
    group, point = _STYLES[style or PLAIN_NUMBERS]
    fits = plain.str.fullmatch(rf"[+-]?(\d{{1,3}}({group}\d{{3}})+|\d*)({point}\d+)?([eE][+-]?\d+)?").fillna(False)
    cleaned = plain.where(fits & looks).str.replace(group, "", regex=True).str.replace(point, ".", regex=True)
    values = exact.fillna(pd.to_numeric(cleaned, errors="coerce").astype(float))
    values = values.where(np.isfinite(values))
    return Parsed(values, _leftover(text, values), "is not a number", "Write plain numbers, such as 1234.5.")


def _styles(plain: pd.Series) -> set[str]:
    """The number styles that some value can only have."""
    return {style for style, marks in _STYLES.items() if plain.str.fullmatch(_only(*marks)).any()}


def _only(group: str, point: str) -> str:
    """A pattern for numbers that can be read in one style alone: both marks, repeated groups, or odd decimals."""
    both, groups = rf"\d{{1,3}}({group}\d{{3}})+{point}\d+", rf"\d{{1,3}}({group}\d{{3}}){{2,}}"
    decimals = rf"\d*{point}(\d{{1,2}}|\d{{4,}})|(0|\d{{4,}})?{point}\d{{3}}"
    return rf"[+-]?({both}|{groups}|{decimals})"


def _whole(text: pd.Series, form: str, numeric: pd.Series) -> Parsed:
    parsed = _numbers(text, form, numeric)
    odd = parsed.values.notna() & ((parsed.values % 1 != 0) | (parsed.values.abs() > LARGEST_WHOLE))
    values = parsed.values.mask(odd).astype("Int64")
    remedy = 'Map such values under [tables.<table>.values.<column>], for example "Month-to-month" = 1.'
    return Parsed(values, parsed.bad | odd, "is not a whole number", remedy)


def _flags(text: pd.Series) -> Parsed:
    words = {**dict.fromkeys(TRUE, True), **dict.fromkeys(FALSE, False)}
    values = text.str.casefold().map(words).astype("boolean")
    bad = _leftover(text, values)
    return Parsed(values, bad, "is neither yes nor no", "Write yes or no, or map the values used.")
