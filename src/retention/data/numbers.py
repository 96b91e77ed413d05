"""Numbers, in the one style that all values of a column can be read in."""

import numpy as np
import pandas as pd

from retention.data.cells import Parsed, matches
from retention.data.schema import Column
from retention.data.words import WORDS

MARKS = WORDS["numbers"]
LARGEST_WHOLE = 10**9
_AROUND = rf"^{MARKS['currency']}\s*|\s*{MARKS['currency']}$"
PERCENT = r"\s*%$"
PLAIN_NUMBERS, *_ = NUMBER_STYLES = tuple(MARKS["styles"])


def around(column: Column) -> str:
    """What may stand around the column's numbers: a per cent sign where it holds per cents, else a
    currency.
    """
    if column.unit.startswith("percent"):
        return PERCENT
    return _AROUND if column.kind == "number" else "^$"


def as_numbers(text: pd.Series, form: str, numeric: pd.Series, around: str = "^$") -> Parsed:
    """Numbers in the style that was said, or in the one that the column's values can only have."""
    given = text.where(numeric)
    numbers = pd.to_numeric(given, errors="coerce")
    exact = numbers.astype(float)
    plain = text.mask(numeric).str.replace(around, "", regex=True)
    looks = matches(plain, r"[+-]?[\d.,]*\d([eE][+-]?\d+)?")
    style = form or min(styles(plain), default="")
    signs = plain.str.contains(r"[.,]", regex=True)
    marks = signs.fillna(False).astype(bool)
    marked = looks & marks
    if not style and marked.any():
        first = plain[marked][:1]
        seen = tuple(f"{value!r}, thousands or decimals?" for value in first)
        nothing = exact * np.nan
        return Parsed(nothing, "two numbers", seen=seen, bad=marked)
    group, point = MARKS["styles"][style or PLAIN_NUMBERS]
    fits = matches(plain, rf"[+-]?(\d{{1,3}}({group}\d{{3}})+|\d*)({point}\d+)?([eE][+-]?\d+)?")
    cleaned = plain.where(fits & looks)
    cleaned = cleaned.str.replace(group, "", regex=True)
    cleaned = cleaned.str.replace(point, ".", regex=True)
    read_numbers = pd.to_numeric(cleaned, errors="coerce")
    read = read_numbers.astype(float)
    values = exact.fillna(read)
    finite = np.isfinite(values)
    return Parsed(values.where(finite), "number")


def styles(plain: pd.Series) -> set[str]:
    """The number styles that some value can only have."""
    found = set()
    for style, marks in MARKS["styles"].items():
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


def as_whole(text: pd.Series, form: str, numeric: pd.Series) -> Parsed:
    """Whole numbers, not too large to be meant; others are missing."""
    parsed = as_numbers(text, form, numeric)
    values = parsed.values
    large = values.abs() > LARGEST_WHOLE
    odd = (values % 1 != 0) | large
    whole = values.mask(odd).astype("Int64")
    return Parsed(whole, "whole", bad=parsed.bad)
