"""Text to typed values, a column at a time, never guessing: what has two readings is a fault that names both."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

BLANK = {"", "na", "n/a", "nan", "nat", "null", "none", "#n/a"}
TRUE, FALSE = {"true", "yes", "y", "t", "1"}, {"false", "no", "n", "f", "0"}
_DAY_FIRST, _MONTH_FIRST = ("%d/%m/%Y", "%d-%m-%Y"), ("%m/%d/%Y", "%m-%d-%Y")
_CERTAIN = (
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%Y%m%d",
    "%d.%m.%Y",
    "%d %b %Y",
    "%d-%b-%Y",
    "%b %d, %Y",
    "%d %B %Y",
    "%B %d, %Y",
)
_TIME = re.compile(r"[T ]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?$")


@dataclass(frozen=True)
class Parsed:
    """Typed values of one column, and the rows (a mask) that could not be read with the reason and the way out."""

    values: pd.Series
    bad: pd.Series
    problem: str = ""
    remedy: str = ""


def parse(text: pd.Series, kind: str, form: str = "") -> Parsed:
    """The column's text as values of `kind` (see tables.Column); blank text is missing. Shape: as the input."""
    text = text.astype("string").str.strip()
    text = text.mask(text.str.casefold().isin(BLANK))
    reader: dict[str, Callable[..., Parsed]] = {"date": _dates, "month": _months, "integer": _whole, "flag": _flags}
    if kind in reader:
        return reader[kind](text, form)
    return _numbers(text, form) if kind == "number" else Parsed(text, pd.Series(False, text.index))


def _leftover(text: pd.Series, values: pd.Series) -> pd.Series:
    return (text.notna() & values.isna()).astype(bool)


def _dates(text: pd.Series, form: str) -> Parsed:
    plain = text.str.replace(_TIME, "", regex=True)
    if form:
        values = pd.to_datetime(plain, format=form, errors="coerce")
        return Parsed(
            values, _leftover(text, values), f"is not a date written as {form}", "Mend the dates or the format."
        )
    values = _first_that_reads(plain, _CERTAIN)
    open_rows = plain.where(values.isna())
    day, month = _first_that_reads(open_rows, _DAY_FIRST), _first_that_reads(open_rows, _MONTH_FIRST)
    slashed = open_rows.notna() & (day.notna() | month.notna())
    fits_day, fits_month = day[slashed].notna().all(), month[slashed].notna().all()
    if fits_day and fits_month and not day.equals(month):
        return _two_readings(open_rows, day, month)
    values = values.fillna(day if fits_day else month)
    return Parsed(values, _leftover(text, values), "is not a date", "Write dates as YYYY-MM-DD.")


def _two_readings(text: pd.Series, day: pd.Series, month: pd.Series) -> Parsed:
    split = (day != month) & day.notna()
    first = split.idxmax()
    readings = f"{day[first]:%d %B %Y} (day first) or {month[first]:%d %B %Y} (month first)"
    remedy = 'Say which under [tables.<table>.formats], for example start_date = "%d/%m/%Y", or write YYYY-MM-DD.'
    return Parsed(day.mask(split), split.astype(bool), f"has two readings: {text[first]} is {readings}", remedy)


def _first_that_reads(text: pd.Series, forms: tuple[str, ...]) -> pd.Series:
    values = pd.Series(pd.NaT, text.index, dtype="datetime64[ns]")
    for form in forms:
        if (rest := text.notna() & values.isna()).any():
            values = values.fillna(pd.to_datetime(text.where(rest), format=form, errors="coerce"))
    return values


def _months(text: pd.Series, form: str) -> Parsed:
    whole = text.str.replace(r"^(\d{4})-(\d{2})$", r"\1-\2-01", regex=True)
    parsed = _dates(whole, form)
    first = parsed.values.dt.to_period("M").dt.to_timestamp()
    return Parsed(first, parsed.bad, parsed.problem, "Write months as YYYY-MM.")


# What may stand around a number: currency signs and codes, per cent. Not letters such as k or m, which multiply.
_AROUND = re.compile(r"^(?:[$\u20ac\u00a3\u00a5]|[A-Z]{3})\s*|\s*(?:[$\u20ac\u00a3\u00a5%]|[A-Z]{3})$")
_STYLES = {"1,234.5": (",", r"\."), "1.234,5": (r"\.", ",")}  # (mark between thousands, mark before decimals)
_COMMAS = 'Say which under [tables.<table>.formats]: "1,234.5" (comma for thousands) or "1.234,5" (comma for decimals).'


def _numbers(text: pd.Series, form: str) -> Parsed:
    plain = text.str.replace(_AROUND, "", regex=True).str.replace(_AROUND, "", regex=True)
    style = form or _style(plain)
    if style not in _STYLES:
        marked = plain.str.contains(r"[.,]", regex=True).fillna(False).astype(bool)
        example = plain[marked].iloc[0] if marked.any() else ""
        problem = (
            f"has two readings: {example!r} can mean thousands or decimals" if not form else f"unknown format {form!r}"
        )
        return Parsed(pd.Series(float("nan"), text.index), marked | bool(form), problem, _COMMAS)
    group, point = _STYLES[style]
    fits = plain.str.fullmatch(rf"[+-]?(\d{{1,3}}({group}\d{{3}})+|\d*)({point}\d+)?([eE][+-]?\d+)?").fillna(False)
    cleaned = plain.where(fits).str.replace(group, "", regex=True).str.replace(point, ".", regex=True)
    values = pd.to_numeric(cleaned, errors="coerce").astype(float)
    return Parsed(values, _leftover(text, values), "is not a number", "Write plain numbers, such as 1234.5.")


def _style(plain: pd.Series) -> str:
    """The number style that some value of the column can only have; "" where the marks could mean either."""
    certain = [style for style, marks in _STYLES.items() if plain.str.fullmatch(_only(*marks)).any()]
    if certain:
        return certain[0]
    return "" if plain.str.contains(r"[.,]", regex=True).any() else "1,234.5"


def _only(group: str, point: str) -> str:
    """A pattern for numbers that can be read in one style alone: both marks, repeated groups, or odd decimals."""
    both, groups = rf"\d{{1,3}}({group}\d{{3}})+{point}\d+", rf"\d{{1,3}}({group}\d{{3}}){{2,}}"
    decimals = rf"\d*{point}(\d{{1,2}}|\d{{4,}})|(0|\d{{4,}})?{point}\d{{3}}"
    return rf"[+-]?({both}|{groups}|{decimals})"


def _whole(text: pd.Series, form: str) -> Parsed:
    parsed = _numbers(text, form)
    fraction = parsed.values.notna() & (parsed.values % 1 != 0)
    values = parsed.values.mask(fraction).astype("Int64")
    seen = ", ".join(repr(v) for v in text[parsed.bad | fraction].unique()[:5])
    return Parsed(values, parsed.bad | fraction, f"is not a whole number (seen: {seen})", _MAP)


_MAP = 'Map such values under [tables.<table>.values.<column>], for example "Month-to-month" = 1.'


def _flags(text: pd.Series, form: str) -> Parsed:
    folded = text.str.casefold()
    values: Any = folded.map({**dict.fromkeys(TRUE, True), **dict.fromkeys(FALSE, False)}).astype("boolean")
    return Parsed(values, _leftover(text, values), "is neither yes nor no", "Write yes or no, or map the values used.")
