"""A cell's value as text, cleaned; and what a column's cells came to."""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from retention.data.words import WORDS

CELLS = WORDS["cells"]
BLANK_WORDS = frozenset(CELLS["blank"])
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
    as_texts = cells.map(as_text, na_action="ignore")
    written = as_texts.astype(TEXT)
    return written.str.strip().fillna("")


def cleaned(text: pd.Series, keep: Collection[str] = ()) -> tuple[pd.Series, pd.Series]:
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


def unread(text: pd.Series, values: pd.Series) -> pd.Series:
    """Which texts hold something that could not be read."""
    nothing_read = text.notna() & values.isna()
    return nothing_read.astype(bool)


def matches(text: pd.Series, pattern: str) -> pd.Series:
    """Which texts are wholly of this pattern; a blank one is not."""
    fits = text.str.fullmatch(pattern)
    return fits.fillna(False).astype(bool)
