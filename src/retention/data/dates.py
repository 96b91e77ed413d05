"""Dates and months, in the one order that all dates of a column can be read in."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pandas as pd

from retention.data.cells import SEEN, TEXT, Parsed, unread
from retention.data.schema import Column
from retention.data.words import WORDS, sentence

DATES = WORDS["dates"]
DAY_FIRST, MONTH_FIRST = DATES["orders"]
EXCEL_DAYS = "excel days"
AS_WRITTEN = "as written"
FIRST_DAY = pd.Timestamp("1900-01-01")
LAST_DAY = pd.Timestamp("2100-12-31")
EXCEL_FIRST_DAY = "1899-12-30"  # day 0 of Excel's day numbers, from March 1900 on
FIRST_DAY_NUMBER = 18264  # 1950: smaller numbers in a date column are something else
LAST_DAY_NUMBER = 80_000  # 2119


def without_placeholders(text: pd.Series, told: pd.Series) -> tuple[pd.Series, pd.Series]:
    """The text without days that stand for none, such as 9999-12-31 or 1900-01-01; and what was
    done, in words.
    """
    pattern = "|".join(DATES["never"])
    found = text.str.contains(pattern, regex=True)
    never = found.fillna(False).astype(bool)
    why = "'" + text.astype(object) + "' read as blank: it stands for no date"
    said = told.mask(never, why)
    return text.mask(never), said


def day_numbers(
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


def zones_of(timed: pd.Series) -> set[str]:
    """The time zones beside these times of day; none where all are midnights.

    A column of midnights holds days: each stands as written, whatever the zone (or summer time)
    beside it.
    """
    midnight = timed.str.contains(DATES["midnight"], regex=True)
    late = ~midnight
    if not late.any():
        return set()
    zones = timed.str.extract(f"({DATES['zone']})", expand=False)
    utc = zones.isin(DATES["utc"])
    zones = zones.mask(utc, "Z")
    told = zones[late | zones.notna()]
    return set(told.fillna("no zone"))


def as_dates(text: pd.Series, form: str) -> Parsed:
    """Dates as their column is said to be written, or in the one order that all can be read in."""
    plain = text.str.replace(DATES["time"], "", regex=True)
    form = "" if form in (EXCEL_DAYS, AS_WRITTEN) else form
    if form and form not in DATES["orders"]:
        iso = reads(plain, (form, "%Y-%m-%d"))
        read_as_said = reads(text, (form,))
        values = read_as_said.dt.normalize().fillna(iso)
        return Parsed(values, "date as said", {"how": f" written as {form}"})
    values = reads(plain, DATES["certain"])
    rest = plain.where(values.isna())
    read = {order: reads(rest, forms) for order, forms in DATES["orders"].items()}
    day_first, month_first = read[DAY_FIRST], read[MONTH_FIRST]
    differ = (day_first != month_first) & day_first.notna()
    split = differ & month_first.notna()
    if not form and split.any():
        return _two_dates(text, values, read, split)
    other = month_first if form == DAY_FIRST else day_first
    chosen = read[form] if form else day_first.fillna(month_first)
    values = values.fillna(chosen)
    bad = unread(text, values)
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


def in_mid_month(once: Parsed) -> pd.Series:
    """Which of the different values are months given as a later day than their first."""
    return pd.Series(False, once.values.index) if once.mid_month is None else once.mid_month


def about_no_day(once: Parsed, text: pd.Series, column: Column) -> Parsed:
    """The same, with what to do about values that stand for no day at all (0000-00-00,
    "ongoing").
    """
    bad = unread(text, once.values) if once.bad is None else once.bad
    days = text.str.replace(DATES["time"], "", regex=True)
    plain = days.str.casefold()
    empty = bad & plain.isin(DATES["no_day"])
    if once.kind == "two dates" or not empty.any():
        unsaid = {"how": "", "no_day": "", **once.said}
        return replace(once, said=unsaid)
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


def reads(text: pd.Series, forms: Iterable[str]) -> pd.Series:
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


def as_months(text: pd.Series, form: str) -> Parsed:
    """Months, each as its first day; a later day is read as its month."""
    whole = text.str.replace(r"^(\d{4})-(\d{2})$", r"\1-\2-01", regex=True)
    parsed = as_dates(whole, form)
    months = parsed.values.dt.to_period("M")
    first = months.dt.to_timestamp()
    kind = "two dates" if parsed.kind == "two dates" else "month"
    other_day = parsed.values != first
    later = other_day & first.notna()
    return replace(parsed, values=first, kind=kind, mid_month=later)
