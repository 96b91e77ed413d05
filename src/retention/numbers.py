"""Numbers and days as readers see them, wherever they stand: the one place that formats them.

A text made from a number keeps it (`Shown.value`), so that tables sort by it. Source: HOUSE,
numbers for eyes.
"""

from __future__ import annotations

import datetime as dt
import math
from typing import Any, Self

import numpy as np
import pandas as pd

from retention.words import Said, key_of, no_minus_zero, say

DASH = "–"  # what is not known
DATED = "%d\u00a0%b\u00a0%Y"  # a day, on one line
DIGITS = 4  # (ours) significant digits of a number in a table that says no format
MOST_DECIMALS = 6
_UNITS = {
    "share": "{:.1%}",
    "ratio": "{:,.2f}",
    "months": "{:,.1f} months",
    "number": "{:,.1f}",
    "% of spend": "{:.1f}%",
}
_UNITS |= dict.fromkeys(("count", "money"), "{:,.0f}")


class Shown(Said):
    """A text that knows the number it is made from (`value`); NaN where nothing is known."""

    value: float

    def __new__(cls, text: str, value: float) -> Self:
        """The text, with its number."""
        made = super().__new__(cls, text, key_of(text))
        made.value = value
        return made


def number(value: float, spec: str = "") -> str:
    """A number by this format, or with up to four significant digits: thousands apart, never as a
    power of ten, no minus before zero.

    >>> number(14520.31), number(0.20), number(-0.001, ",.2f"), number(1200, ",.4g")
    ('14,520', '0.2', '0.00', '1,200')
    """
    if math.isinf(value):
        return say("shown.number.unlimited")
    if spec.endswith("g") or not spec:
        return _plain(value)
    return no_minus_zero(format(value, spec))


def _plain(value: float) -> str:
    size = math.floor(math.log10(abs(value))) if value else 0
    decimals = min(max(DIGITS - 1 - size, 0), MOST_DECIMALS)
    text = f"{value:,.{decimals}f}"
    return no_minus_zero(text.rstrip("0").rstrip(".") if "." in text else text)


def quantity(value: float, unit: str) -> str:
    """A number as readers see it, with its unit.

    >>> quantity(0.7031, "share"), quantity(35, "months"), quantity(float("inf"), "months")
    ('70.3%', '35.0 months', 'not reached')
    """
    if value is None or math.isnan(value):
        return DASH
    if math.isinf(value):
        return "not reached"
    return no_minus_zero(_UNITS.get(unit, "{:,.2f}").format(value))


def between(low: float, high: float, unit: str) -> str:
    """An interval as readers see it, or a dash where there is none.

    >>> between(6, 10.5, "months"), between(6, float("inf"), "months")
    ('6.0 to 10.5 months', '6.0 months or more')
    """
    if low is None or math.isnan(low):
        return DASH
    if math.isinf(high):
        return f"{quantity(low, unit)} or more"
    return f"{quantity(low, unit).removesuffix(' months')} to {quantity(high, unit)}"


def interval_words(low: float, high: float, unit: str) -> Said:
    """The 95 % confidence interval in words, or that there is none.

    >>> interval_words(6, 10.5, "months")
    '95% confidence interval 6.0 to 10.5 months'
    """
    if low is None or math.isnan(low):
        return say("shown.interval.none")
    return say("shown.interval.known", interval=between(low, high, unit))


def with_interval(value: float, low: float, high: float, unit: str) -> Shown:
    """An estimate with its interval behind it in brackets, where there is one.

    >>> with_interval(0.5, 0.4, 0.6, "share")
    '50.0% (40.0% to 60.0%)'
    """
    text = quantity(value, unit)
    if math.isinf(value):
        least = f" (at least {quantity(low, unit)})" if math.isfinite(low) else ""
        return Shown(text + least, value)
    interval = between(low, high, unit)
    return Shown(text if interval == DASH else f"{text} ({interval})", value)


def day_words(day: Any) -> str:
    """A day as readers see it; empty where there is none.

    >>> day_words("2025-12-31")
    '31\\xa0Dec\\xa02025'
    """
    return "" if pd.isna(day) else str(pd.Timestamp(day).strftime(DATED))


def sort_key(value: Any) -> float | str | None:
    """What a cell sorts by: its number, its day as ISO, else its text; None where it is blank.

    >>> sort_key(Shown("12%", 0.12)), sort_key(pd.Timestamp("2025-12-31")), sort_key("–")
    (0.12, '2025-12-31', None)
    """
    if isinstance(value, Shown):
        return None if math.isnan(value.value) else value.value
    if pd.isna(value) or value in ("", DASH):
        return None
    if isinstance(value, dt.date):
        return pd.Timestamp(value).date().isoformat()
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return float(value) if is_number else str(value)


def key_text(key: float | str | None) -> str:
    """A `sort_key` as an attribute of a page: numbers without a power of ten, blanks empty.

    >>> key_text(1e-7), key_text(float("inf")), key_text(None)
    ('0.0000001', 'Infinity', '')
    """
    if key is None or isinstance(key, str):
        return key or ""
    if math.isinf(key):
        return "Infinity" if key > 0 else "-Infinity"
    return np.format_float_positional(key, trim="-")
