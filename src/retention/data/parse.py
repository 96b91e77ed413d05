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
    numbers = int | float | Decimal | np.number
    numeric = pd.Series(
        [isinstance(v, numbers) and not isinstance(v, bool) for v in written], dtype=bool
    )
    text, told = _cleaned(pd.Series([as_text(value) for value in written], dtype=TEXT), keep)
    if column.kind == "term" or column.choices:
        text, told = _spelled(text, told, column)
    if column.kind == "date" and column.may_be_blank:
        text, told = _without_placeholders(text, told)
    if column.kind in ("date", "month"):
        text, told = _day_numbers(text, told, numeric, form, first_day)
        once = _dates(text, form) if column.kind == "date" else _months(text, form)
        once = _about_no_day(once, text, column)
        told = told.mask(_in_mid_month(once), "a day in mid-month read as its month")
    elif column.kind == "number":
        once = _numbers(text, form, numeric, _around(column))
    elif column.kind in ("integer", "term"):
        once = _whole(text, form, numeric)
        once = replace(once, kind="whole answer") if column.name == "nps" else once
    else:
        once = _flags(text) if column.kind == "flag" else Parsed(text.astype("string"))
    bad = _unread(text, once.values) if once.bad is None else once.bad
    counts = np.bincount(codes[codes >= 0], minlength=len(unique))
    return replace(
        once,
        values=pd.Series(
            once.values.array.take(codes, allow_fill=True), cells.index, name=cells.name
        ),
        seen=once.seen or tuple(repr(str(value)) for value in text[bad][:SEEN]),
        bad=_spread(bad, codes, cells.index),
        filled=_spread(text.notna(), codes, cells.index),
        repairs=pd.Series(counts)
        .groupby(told.to_numpy(), sort=False)
        .sum()
        .drop("", errors="ignore")
        .to_dict(),
    )


def _spread(mask: pd.Series, codes: np.ndarray, index: pd.Index) -> pd.Series:
    """A mask over different values as one over the cells; blank cells are False."""
    return pd.Series(np.append(mask.to_numpy(dtype=bool), False)[codes], index)


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
    return cells.map(as_text, na_action="ignore").astype(TEXT).str.strip().fillna("")


def _cleaned(text: pd.Series, keep: Collection[str] = ()) -> tuple[pd.Series, pd.Series]:
    """The text trimmed, the words for nothing (NA, null, ...) missing but for those to `keep`; and
    what was done to each value, in words.
    """
    plain = text.str.strip()
    told = pd.Series("", text.index, dtype=object).mask(
        plain != text, "spaces around the value left off"
    )
    for signs, what in (
        (TURNED, "marks that turn the direction of writing"),
        (CONTROLS, "control characters"),
    ):
        there = plain.str.contains(signs).astype(bool)
        told = told.mask(there, f"{what} left off")
        plain = plain.where(~there, plain.str.replace(signs, "", regex=True).str.strip())
    marked = plain.str.match(r"'+[=+\-@\t\r]").astype(bool)  # as spreadsheets mark text
    told = told.mask(marked, "leading ' left off")
    plain = plain.where(~marked, plain.str[1:])
    nothing = plain.str.lower().isin(BLANK_WORDS) & ~plain.isin(list(keep))
    told = told.mask(nothing & (plain != ""), "'" + plain.astype(object) + "' read as blank")
    return plain.mask(nothing), told.mask(plain == "", "")


def _without_placeholders(text: pd.Series, told: pd.Series) -> tuple[pd.Series, pd.Series]:
    """The text without days that stand for none, such as 9999-12-31 or 1900-01-01; and what was
    done, in words.
    """
    never = text.str.contains("|".join(_DATES["never"]), regex=True).fillna(False).astype(bool)
    return text.mask(never), told.mask(
        never, "'" + text.astype(object) + "' read as blank: it stands for no date"
    )


def _day_numbers(
    text: pd.Series, told: pd.Series, numeric: pd.Series, form: str, first_day: str
) -> tuple[pd.Series, pd.Series]:
    """Day numbers of a workbook, or of a column said to hold them, as dates in words."""
    numbers = (
        pd.to_numeric(text.where(numeric | (form == EXCEL_DAYS)), errors="coerce").astype(float)
        // 1
    )
    fits = numbers.between(FIRST_DAY_NUMBER, 80_000) & bool(first_day or form == EXCEL_DAYS)
    whole = numbers.where(fits, 0).to_numpy().astype("timedelta64[D]")
    written = pd.Series(
        np.datetime_as_string(np.datetime64(first_day or EXCEL_FIRST_DAY, "D") + whole), dtype=TEXT
    )
    return text.where(~fits, written), told.mask(fits, "day numbers read as dates")


def _spelled(text: pd.Series, told: pd.Series, column: Column) -> tuple[pd.Series, pd.Series]:
    """Terms in words as months ("annual" is 12), and values of a closed vocabulary in its own
    spelling.
    """
    if column.kind == "term":
        meant = text.map(spelled_months, na_action="ignore").astype(TEXT)
    else:
        meant = text.str.casefold().where(text.str.casefold().isin(column.choices))
    changed = (meant.notna() & (meant != text)).fillna(False).astype(bool)
    told = told.mask(changed, "'" + text.astype(object) + "' read as " + meant.astype(object))
    return text.where(~changed, meant), told


class Evidence:
    """What a whole table tells about how its dates and numbers are written, gathered a piece at a
    time.

    Dates of one file share an order. Currencies and time zones may not be mixed within a column.
    """

    def __init__(self) -> None:
        self.orders = set(_DATES["orders"])
        self.zones: dict[str, set[str]] = defaultdict(set)  # by column of dates
        self.marks: dict[str, set[str]] = defaultdict(
            set
        )  # by column of numbers: currencies, per cents
        self.styles: dict[str, set[str]] = defaultdict(set)

    def look(self, cells: pd.Series, column: Column) -> None:
        """Take in one piece of one column; values that are not text tell nothing."""
        if cells.dtype != object or column.kind not in (
            "date",
            "month",
            "number",
            "integer",
            "term",
        ):
            return
        text, _ = _cleaned(
            pd.Series([v for v in pd.unique(cells) if isinstance(v, str)], dtype=TEXT)
        )
        text = text.dropna()
        if column.kind in ("date", "month"):
            self.zones[column.name] |= _zones(text[text.str.contains(":", regex=False)])
            plain = text.str.replace(_DATES["time"], "", regex=True)
            slashed = plain[plain.str.fullmatch(r"\d{1,2}[/-]\d{1,2}[/-]\d{4}").astype(bool)]
            self.orders &= {
                name
                for name, forms in _DATES["orders"].items()
                if _reads(slashed, forms).notna().all()
            }
        else:
            shares = text.str.contains(_PERCENT, regex=True)
            marked = text[text.str.contains(_NUMBERS["currency"], regex=True)]  # few are
            self.marks[column.name] |= set(
                marked.str.extract(f"({_NUMBERS['currency']})", expand=False)
            )
            self.marks[column.name] |= (
                {"with %", "without %"} if shares.any() and not shares.all() else set()
            )
            self.styles[column.name] |= _styles(text.str.replace(_around(column), "", regex=True))

    def forms(self) -> dict[str, str]:
        """By column, the order of its dates or the style of its numbers, where the table settles
        it.
        """
        dates = dict.fromkeys(self.zones, min(self.orders)) if len(self.orders) == 1 else {}
        return dates | {name: min(styles) for name, styles in self.styles.items() if styles}

    def faults(self, table: str) -> list[Fault]:
        """Columns that mix currencies, shares or time zones; the dates of one file must all be of
        one zone.
        """
        zones = set().union(*self.zones.values())
        mixed = [
            (name, "currencies", marks) for name, marks in self.marks.items() if len(marks) > 1
        ]
        mixed += [
            (name, "zones", zones) for name, found in self.zones.items() if found and len(zones) > 1
        ]
        return [fault(table, name, kind, seen=sorted(seen)[:SEEN]) for name, kind, seen in mixed]


def _zones(timed: pd.Series) -> set[str]:
    """The time zones beside these times of day; none where all are midnights.

    A column of midnights holds days: each stands as written, whatever the zone (or summer time)
    beside it.
    """
    late = ~timed.str.contains(_DATES["midnight"], regex=True)
    zones = timed.str.extract(f"({_DATES['zone']})", expand=False).mask(
        lambda zone: zone.isin(_DATES["utc"]), "Z"
    )
    return set(zones[late | zones.notna()].fillna("no zone")) if late.any() else set()


def _unread(text: pd.Series, values: pd.Series) -> pd.Series:
    return (text.notna() & values.isna()).astype(bool)


def _dates(text: pd.Series, form: str) -> Parsed:
    plain = text.str.replace(_DATES["time"], "", regex=True)
    form = "" if form in (EXCEL_DAYS, AS_WRITTEN) else form
    if form and form not in _DATES["orders"]:
        values = _reads(text, (form,)).dt.normalize().fillna(_reads(plain, (form, "%Y-%m-%d")))
        return Parsed(values, "date as said", {"how": f" written as {form}"})
    values = _reads(plain, _DATES["certain"])
    rest = plain.where(values.isna())
    read = {order: _reads(rest, forms) for order, forms in _DATES["orders"].items()}
    both = read[DAY_FIRST].notna() & read[MONTH_FIRST].notna()
    if not form and (split := (read[DAY_FIRST] != read[MONTH_FIRST]) & both).any():
        one, other = (read[order][split.idxmax()] for order in (DAY_FIRST, MONTH_FIRST))
        seen = (
            f"{text[split.idxmax()]}, which is {one:%d %B %Y} (day first) or {other:%d %B %Y} "
            "(month first)"
        )
        return Parsed(values, "two dates", seen=(seen,), bad=split.astype(bool))
    values = values.fillna(read[form] if form else read[DAY_FIRST].fillna(read[MONTH_FIRST]))
    bad = _unread(text, values)
    other = read[MONTH_FIRST if form == DAY_FIRST else DAY_FIRST]
    how = f", read {form}" if form and other[bad].notna().any() else ""
    day_numbers = text[bad].str.fullmatch(r"[2-7]\d{4}(\.\d+)?").any()
    return Parsed(values, "day number" if day_numbers else "date", {"how": how})


def _in_mid_month(once: Parsed) -> pd.Series:
    """Which of the different values are months given as a later day than their first."""
    return pd.Series(False, once.values.index) if once.mid_month is None else once.mid_month


def _about_no_day(once: Parsed, text: pd.Series, column: Column) -> Parsed:
    """The same, with what to do about values that stand for no day at all (0000-00-00,
    "ongoing").
    """
    bad = _unread(text, once.values) if once.bad is None else once.bad
    plain = text.str.replace(_DATES["time"], "", regex=True).str.casefold()
    empty = bad & plain.isin(_DATES["no_day"])
    if once.kind == "two dates" or not empty.any():
        return replace(once, said={"how": "", "no_day": "", **once.said})
    pairs = ", ".join(f'"{value}" = ""' for value in text[empty][:SEEN])
    words = ", ".join(text[empty][:SEEN])
    kind = "no day known" if column.may_be_blank else "no day needed"
    way = sentence(kind, pairs=pairs, words=words, table="{table}", column=column.name)
    alone = bool((bad == empty).all())
    said = {"how": "", **once.said, "no_day": way if alone else f" {way}"}
    return replace(once, kind="no day" if alone else once.kind, said=said)


def _reads(text: pd.Series, forms: Iterable[str]) -> pd.Series:
    """The dates that the first of these formats reads which can; others are missing."""
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
    kind = "two dates" if parsed.kind == "two dates" else "month"
    return replace(
        parsed, values=first, kind=kind, mid_month=(parsed.values != first) & first.notna()
    )


_AROUND = rf"^{_NUMBERS['currency']}\s*|\s*{_NUMBERS['currency']}$"
_PERCENT = r"\s*%$"
PLAIN_NUMBERS, *_ = NUMBER_STYLES = tuple(_NUMBERS["styles"])


def _around(column: Column) -> str:
    """What may stand around the column's numbers: a per cent sign where it holds per cents, else a
    currency.
    """
    return (
        _PERCENT
        if column.unit.startswith("percent")
        else _AROUND
        if column.kind == "number"
        else "^$"
    )


def _numbers(text: pd.Series, form: str, numeric: pd.Series, around: str = "^$") -> Parsed:
    exact = pd.to_numeric(text.where(numeric), errors="coerce").astype(float)
    plain = text.mask(numeric).str.replace(around, "", regex=True)
    looks = plain.str.fullmatch(r"[+-]?[\d.,]*\d([eE][+-]?\d+)?").fillna(False).astype(bool)
    style = form or next(iter(sorted(_styles(plain))), "")
    marked = looks & plain.str.contains(r"[.,]", regex=True).fillna(False).astype(bool)
    if not style and marked.any():
        seen = tuple(f"{value!r}, thousands or decimals?" for value in plain[marked][:1])
        return Parsed(exact * np.nan, "two numbers", seen=seen, bad=marked)
    group, point = _NUMBERS["styles"][style or PLAIN_NUMBERS]
    fits = plain.str.fullmatch(
        rf"[+-]?(\d{{1,3}}({group}\d{{3}})+|\d*)({point}\d+)?([eE][+-]?\d+)?"
    ).fillna(False)
    cleaned = (
        plain.where(fits & looks)
        .str.replace(group, "", regex=True)
        .str.replace(point, ".", regex=True)
    )
    values = exact.fillna(pd.to_numeric(cleaned, errors="coerce").astype(float))
    return Parsed(values.where(np.isfinite(values)), "number")


def _styles(plain: pd.Series) -> set[str]:
    """The number styles that some value can only have."""
    return {
        style
        for style, marks in _NUMBERS["styles"].items()
        if plain.str.fullmatch(_only(*marks)).any()
    }


def _only(group: str, point: str) -> str:
    """A pattern for numbers that can be read in one style alone: both marks, repeated groups, or
    odd decimals.
    """
    both = rf"\d{{1,3}}({group}\d{{3}})+{point}\d+"
    groups = rf"\d{{1,3}}({group}\d{{3}}){{2,}}"
    decimals = rf"\d*{point}(\d{{1,2}}|\d{{4,}})|(0|\d{{4,}})?{point}\d{{3}}"
    return rf"[+-]?({both}|{groups}|{decimals})"


def _whole(text: pd.Series, form: str, numeric: pd.Series) -> Parsed:
    parsed = _numbers(text, form, numeric)
    odd = (parsed.values % 1 != 0) | (parsed.values.abs() > LARGEST_WHOLE)
    return Parsed(parsed.values.mask(odd).astype("Int64"), "whole", bad=parsed.bad)


def _flags(text: pd.Series) -> Parsed:
    words = dict.fromkeys(_CELLS["true"], True) | dict.fromkeys(_CELLS["false"], False)
    return Parsed(text.str.casefold().map(words).astype("boolean"), "flag")
