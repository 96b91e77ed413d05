"""Text to typed values, a column at a time, never guessing: what has two readings is a fault that names both."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pandas as pd

BLANK = {"", "na", "n/a", "nan", "nat", "null", "none", "#n/a"}
TRUE, FALSE = {"true", "yes", "y", "t", "1"}, {"false", "no", "n", "f", "0"}
DAY_FIRST, MONTH_FIRST = "day first", "month first"
_ORDERS = {DAY_FIRST: ("%d/%m/%Y", "%d-%m-%Y"), MONTH_FIRST: ("%m/%d/%Y", "%m-%d-%Y")}
_CERTAIN = (
    *("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%d %b %Y", "%d-%b-%Y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y"),
    "%Y%m%d",
)
_TIME = re.compile(r"[T ]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?[AP]M)?(Z|[+-]\d{2}:?\d{2})?$")
FIRST_DAY, LAST_DAY = pd.Timestamp("1900-01-01"), pd.Timestamp("2100-12-31")
LARGEST_WHOLE = 10**9


@dataclass(frozen=True)
class Parsed:
    """Typed values of one column; the rows (a mask) that could not be read, why, and the way out."""

    values: pd.Series
    bad: pd.Series
    problem: str = ""
    remedy: str = ""


def parse(text: pd.Series, kind: str, form: str = "") -> Parsed:
    """The column's text as values of `kind` (see tables.Column); blank text is missing. Shape: as the input.

    `form` is a date format (`%d/%m/%Y`), an order ("day first"), or a number style ("1.234,5").
    """
    text = clean(text)
    reader: dict[str, Callable[[pd.Series, str], Parsed]] = {
        "date": _dates,
        "month": _months,
        "number": _numbers,
        "integer": _whole,
        "flag": _flags,
    }
    return reader[kind](text, form) if kind in reader else Parsed(text, pd.Series(False, text.index))


def clean(text: pd.Series) -> pd.Series:
    """The text trimmed, with the words for nothing (NA, null, ...) made missing."""
    text = text.astype("string").str.strip()
    return text.mask(text.str.casefold().isin(BLANK))


def _leftover(text: pd.Series, values: pd.Series) -> pd.Series:
    return (text.notna() & values.isna()).astype(bool)


def _seen(text: pd.Series, bad: pd.Series) -> str:
    shown = ", ".join(repr(str(value)) for value in text[bad].unique()[:5])
    return f" (seen: {shown})" if shown else ""


def date_order(columns: Iterable[pd.Series]) -> str:
    """How the dates of one file that are written with slashes are ordered, where some of them settle it; else ""."""
    texts = [clean(column).str.replace(_TIME, "", regex=True) for column in columns]
    text = pd.concat(texts, ignore_index=True) if texts else pd.Series(dtype="string")
    text = text[text.str.fullmatch(r"\d{1,2}[/-]\d{1,2}[/-]\d{4}").fillna(False)]
    fits = [order for order, forms in _ORDERS.items() if _first_that_reads(text, forms).notna().all()]
    return fits[0] if len(text) and len(fits) == 1 else ""


def _dates(text: pd.Series, form: str) -> Parsed:
    plain = text.str.replace(_TIME, "", regex=True)
    if form and form not in _ORDERS:
        values = _first_that_reads(plain, (form,))
        bad = _leftover(text, values)
        return Parsed(
            values, bad, f"is not a date written as {form}{_seen(text, bad)}", "Mend the dates or the format."
        )
    form = form or date_order([text])
    values = _first_that_reads(plain, _CERTAIN)
    rest = plain.where(values.isna())
    read = {order: _first_that_reads(rest, forms) for order, forms in _ORDERS.items()}
    if (
        not form
        and (
            split := (read[DAY_FIRST] != read[MONTH_FIRST]) & read[DAY_FIRST].notna() & read[MONTH_FIRST].notna()
        ).any()
    ):
        return _two_readings(text, values, read, split)
    values = values.fillna(read[form] if form else read[DAY_FIRST].fillna(read[MONTH_FIRST]))
    bad = _leftover(text, values)
    ordered = (
        f", read {form}" if form and read[MONTH_FIRST if form == DAY_FIRST else DAY_FIRST][bad].notna().any() else ""
    )
    remedy = "Write dates as YYYY-MM-DD, between 1900 and 2100, in one order throughout."
    return Parsed(values, bad, f"is not a date{ordered}{_seen(text, bad)}", remedy)


def _two_readings(text: pd.Series, values: pd.Series, read: dict[str, pd.Series], split: pd.Series) -> Parsed:
    first = split.idxmax()
    one, other = read[DAY_FIRST][first], read[MONTH_FIRST][first]
    readings = f"{one:%d %B %Y} (day first) or {other:%d %B %Y} (month first)"
    remedy = 'Say which under [tables.<table>.formats], for example <column> = "day first", or write YYYY-MM-DD.'
    return Parsed(values, split.astype(bool), f"has two readings: {text[first]} is {readings}", remedy)


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
    return Parsed(first, parsed.bad, parsed.problem, "Write months as YYYY-MM.")


# What may stand around a number: currency signs and codes, per cent. Not letters such as k or m, which multiply.
_MARK = r"(?:[$\u20ac\u00a3\u00a5]|[A-Z]{3})"
_AROUND = re.compile(rf"^{_MARK}\s*|\s*(?:{_MARK}|%)$")
_STYLES = {"1,234.5": (",", r"\."), "1.234,5": (r"\.", ",")}  # (mark between thousands, mark before decimals)
_COMMAS = 'Say which under [tables.<table>.formats]: "1,234.5" (comma for thousands) or "1.234,5" (comma for decimals).'


def _numbers(text: pd.Series, form: str) -> Parsed:
    plain = text.str.replace(_AROUND, "", regex=True)
    marks = text.str.extract(rf"({_MARK})", expand=False).dropna()
    if marks.nunique() > 1:
        marked = text.index.isin(marks.index)
        problem = f"mixes currencies (seen: {', '.join(marks.unique()[:5])})"
        return Parsed(_nothing(text), pd.Series(marked, text.index), problem, "Convert all amounts to one currency.")
    looks = plain.str.fullmatch(r"[+-]?[\d.,]*\d([eE][+-]?\d+)?").fillna(False).astype(bool)
    style = form or _style(plain[looks])
    if not style:
        marked = looks & plain.str.contains(r"[.,]", regex=True).fillna(False).astype(bool)
        problem = f"has two readings: {plain[marked].iloc[0]!r} can mean thousands or decimals"
        return Parsed(_nothing(text), marked, problem, _COMMAS)
    group, point = _STYLES[style]
    fits = plain.str.fullmatch(rf"[+-]?(\d{{1,3}}({group}\d{{3}})+|\d*)({point}\d+)?([eE][+-]?\d+)?").fillna(False)
    cleaned = plain.where(fits & looks).str.replace(group, "", regex=True).str.replace(point, ".", regex=True)
    values = pd.to_numeric(cleaned, errors="coerce").astype(float)
    bad = _leftover(text, values)
    return Parsed(values, bad, f"is not a number{_seen(text, bad)}", "Write plain numbers, such as 1234.5.")


def _nothing(text: pd.Series) -> pd.Series:
    return pd.Series(float("nan"), text.index)


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
    odd = parsed.values.notna() & ((parsed.values % 1 != 0) | (parsed.values.abs() > LARGEST_WHOLE))
    values = parsed.values.mask(odd).astype("Int64")
    bad = parsed.bad | odd
    remedy = 'Map such values under [tables.<table>.values.<column>], for example "Month-to-month" = 1.'
    return Parsed(values, bad, f"is not a whole number{_seen(text, bad)}", remedy)


def _flags(text: pd.Series, form: str) -> Parsed:
    words = {**dict.fromkeys(TRUE, True), **dict.fromkeys(FALSE, False)}
    values = text.str.casefold().map(words).astype("boolean")
    bad = _leftover(text, values)
    return Parsed(values, bad, f"is neither yes nor no{_seen(text, bad)}", "Write yes or no, or map the values used.")
