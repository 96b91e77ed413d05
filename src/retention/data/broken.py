"""Which rows break a rule: a function a kind of rule (rules.toml)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from retention.data.alike import look_alike, nearest
from retention.data.seals import broken_seals
from retention.data.words import read_words
from retention.errors import SHOWN

FAULT = "fault"
WARNING = "warning"
OLD = pd.Timestamp("1950-01-01")
FEW = 3  # (ours) a median of fewer values is that of the whole column
MANY_ANSWERS = 10  # (ours) in a quarter, before its scale is doubted
COPIES = 5  # (ours) fewer repeated rows are no table given twice
NEVER = pd.Timestamp("2200-01-01")
MEANT = "+#<>%"
DECLARED = read_words("rules.toml")
WORDS: Mapping[str, tuple[str, str]] = DECLARED["kinds"]
Frames = Mapping[str, pd.DataFrame]


@dataclass(frozen=True)
class Rule:
    """One thing that must hold of a column; what each kind needs stands at the head of
    rules.toml.
    """

    table: str
    column: str
    kind: str
    grade: str = WARNING
    words: str = ""
    remedy: str = ""
    other: str = ""
    to: str = ""
    months: str = ""
    day: str = ""
    by: tuple[str, ...] = ()
    where: Mapping[str, str] = field(default_factory=dict)
    slack: int = 0
    before: int = 0
    after: int = 0
    low: float = 0.0
    most: float = 0.0
    times: float = 0.0
    nested: bool = False

    @property
    def needs(self) -> set[str]:
        """The columns of its own table that the rule is about."""
        own = {self.column, self.other, self.months, self.day, *self.where, *self.by}
        return (own if "." in self.to else own | {self.to}) - {""}

    @property
    def there(self) -> tuple[str, str]:
        """The other table and its column; empty where the rule is about one table."""
        table, _, column = self.to.rpartition(".")
        return table, column if table else ""


@dataclass(frozen=True)
class Broken:
    """The rows that break a rule, and what to say of them."""

    rows: pd.Series
    said: Mapping[str, Any] = field(default_factory=dict)


def _shown(values: Any) -> str:
    """The first of some values in words."""
    words = [f"{value:,.10g}" if isinstance(value, float) else str(value) for value in list(values)]
    return ", ".join(words[:SHOWN]) + (", ..." if len(words) > SHOWN else "")


def broken_in_row(rule: Rule, rows: pd.DataFrame) -> pd.Series:
    """Which rows break a rule that needs no other row."""
    value = rows[rule.column]
    slack = pd.Timedelta(days=rule.slack)
    if rule.kind == "not_before":
        broken = value < rows[rule.other] - slack
    elif rule.kind == "not_after":
        broken = value > rows[rule.other] + slack
    elif rule.kind == "given_with":
        lacks = rows[rule.other].isna()
        broken = value.notna() & lacks
    elif rule.kind == "above":
        broken = value <= rule.low
    elif rule.kind == "below_zero":
        broken = value < 0
    else:
        broken = value == rows[rule.other]
    return broken.fillna(False).astype(bool)


def _in_row(rule: Rule, rows: pd.DataFrame, frames: Frames, last: pd.Timestamp) -> Broken:
    return Broken(broken_in_row(rule, rows))


def _overlap(rule: Rule, rows: pd.DataFrame, frames: Frames, last: pd.Timestamp) -> Broken:
    part = rows
    for name, value in rule.where.items():
        usual = part[name].fillna(value).eq(value)
        part = part[usual.astype(bool)]  # a blank stands for the usual one
    by = list(rule.by)
    end = (
        _months_later(part[rule.column], part[rule.months])
        if rule.months
        else part[rule.to].fillna(NEVER)
    )
    start = part[rule.column]
    dated = part[by].assign(start=start, end=end)
    part = dated.dropna(subset=["start"])
    order = [*by, "start"]
    part = part.sort_values(order, kind="stable")
    ends_by = part.groupby(by)
    before = ends_by["end"].shift()
    inside = rule.nested & (part["end"] < before)  # a stand-in
    overlapping = (part["start"] < before) & ~inside
    early = part.index[overlapping.to_numpy()]
    chosen = rows.index.isin(early)
    return Broken(pd.Series(chosen, rows.index))


def _months_later(start: pd.Series, months: pd.Series) -> pd.Series:
    """About the day on which so many months from a start are over, at most three days early."""
    months_before = start.dt.year * 12 + start.dt.month
    number = months_before - 1 + months.astype(float)
    years = (number // 12).fillna(2000)
    year = years.astype(int)
    months_left = (number % 12).fillna(0)
    month = months_left.astype(int) + 1
    parts = {"year": year, "month": month, "day": 1}
    first = pd.to_datetime(parts)
    day_of_month = start.dt.day.fillna(1)
    days_in = day_of_month.clip(upper=28)
    day = first + pd.to_timedelta(days_in - 1, unit="D")
    return day.where(number.notna())


def _sum(rule: Rule, rows: pd.DataFrame, frames: Frames, last: pd.Timestamp) -> Broken:
    groups = rows.groupby(list(rule.by))
    total = groups[rule.column].transform("sum")
    broken = total > rule.most
    columns = rows.loc[broken, list(rule.by)]
    totals = columns.assign(total=total[broken])
    heads = totals.drop_duplicates()
    seen = [
        ", ".join(_cell(value) for value in row)
        for row in heads.head(SHOWN).itertuples(index=False)
    ]
    examples = "; ".join(seen)
    return Broken(broken, {"seen": examples})


def _cell(value: Any) -> str:
    if isinstance(value, pd.Timestamp):
        return f"{value:%Y-%m}"
    return f"{value:,.0f}" if isinstance(value, float) else str(value)


def _spelling(rule: Rule, rows: pd.DataFrame, frames: Frames, last: pd.Timestamp) -> Broken:
    counts = rows[rule.column].value_counts()
    spelt = counts.index.astype(str)
    columns = {"word": spelt, "count": counts.to_numpy()}
    words = pd.DataFrame(columns)
    words["plain"] = words["word"].map(_plain_word)
    spelled = words[words["plain"] != ""]
    words = spelled.sort_values("count", ascending=False, kind="stable")
    alike = words["plain"].duplicated(keep=False)
    several = words[alike]
    rarer = several[several["plain"].duplicated()]
    in_order = several.sort_values("plain", kind="stable")
    seen = in_order["word"]
    return Broken(
        rows[rule.column].astype("string").isin(set(rarer["word"])), {"seen": _shown(seen)}
    )


def _plain_word(word: str) -> str:
    """A word without capitals, the s of a plural, and signs but those that make it another word
    (C++, >5).
    """
    plain = "".join(sign for sign in word.casefold() if sign.isalnum() or sign in MEANT)
    return plain.removesuffix("s") if len(plain) > 3 else plain


def _outlier(rule: Rule, rows: pd.DataFrame, frames: Frames, last: pd.Timestamp) -> Broken:
    given = rows[rule.column]
    value = given.astype(float).abs()
    value = value.where(value > 0)
    middle = value.median() if value.count() >= FEW else np.nan
    usual = pd.Series(middle, rows.index)
    if rule.by:
        keys = [rows[name] for name in rule.by]
        groups = value.groupby(keys)
        enough = groups.transform("count") >= FEW
        own = groups.transform("median").where(enough)
        usual = own.fillna(usual)
    ratio = value / usual
    small = ratio <= 1 / rule.times
    broken = (ratio >= rule.times) | small
    odd = rows.loc[broken, rule.column].astype(float)
    shown = _shown(odd.unique())
    return Broken(broken, {"seen": shown})


def _mixed_scale(rule: Rule, rows: pd.DataFrame, frames: Frames, last: pd.Timestamp) -> Broken:
    value = rows[rule.column].astype(float)
    quarter = rows[rule.day].dt.to_period("Q")
    half = value.max() / 2
    groups = value.groupby(quarter)
    all_low = groups.transform("max") <= half
    low = all_low & (groups.transform("count") >= MANY_ANSWERS)
    usual = (value > half).sum() >= MANY_ANSWERS
    broken = low & value.notna() & usual
    quarters = sorted(quarter[broken].unique())
    return Broken(broken, {"seen": _shown(quarters)})


def _alike(rule: Rule, rows: pd.DataFrame, frames: Frames, last: pd.Timestamp) -> Broken:
    broken = look_alike(rows[rule.column])
    odd = rows.loc[broken, rule.column].unique()
    examples = _shown(map(ascii, odd))
    return Broken(broken, {"seen": examples})


def _twice(rule: Rule, rows: pd.DataFrame, frames: Frames, last: pd.Timestamp) -> Broken:
    copies = rows.duplicated()
    many = copies.sum() >= COPIES and copies.sum() * 2 >= len(rows)
    return Broken(copies & many)


def _sealed(rule: Rule, rows: pd.DataFrame, frames: Frames, last: pd.Timestamp) -> Broken:
    broken, named = broken_seals(rows)
    return Broken(broken, {"seen": _shown(named)})


def _known(rule: Rule, rows: pd.DataFrame, frames: Frames, last: pd.Timestamp) -> Broken:
    table, column = rule.there
    given = frames[table][column]
    known = given.dropna().unique()
    value = rows[rule.column]
    strange = ~value.isin(known)
    broken = value.notna() & strange
    kinds = (
        [kind for kind in nearest(value[broken].unique(), known) if kind] if broken.any() else []
    )
    near = DECLARED["near"][kinds[0]] if kinds else ""
    return Broken(broken, {"near": near})


def _more_often(rule: Rule, rows: pd.DataFrame, frames: Frames, last: pd.Timestamp) -> Broken:
    table, column = rule.there
    here, there = (values.value_counts() for values in (rows[rule.column], frames[table][column]))
    most = there.reindex(here.index)
    too_often = here.index[here > most]
    return Broken(rows[rule.column].isin(too_often))


def _inside(rule: Rule, rows: pd.DataFrame, frames: Frames, last: pd.Timestamp) -> Broken:
    clients = frames["clients"]
    ends = clients["end_date"].fillna(NEVER)
    starts = clients[["client_id", "start_date"]]
    times = starts.assign(end=ends).groupby("client_id")
    starts_first = times["start_date"].min()
    begun = rows["client_id"].map(starts_first)
    first = begun - pd.Timedelta(days=rule.before)
    last_ends = times["end"].max()
    ended = rows["client_id"].map(last_ends)
    final = ended + pd.Timedelta(days=rule.after)
    day = rows[rule.column]
    broken = (day < first) | (day > final)
    recent = broken & (day >= OLD)
    return Broken(recent & ~(day > last))  # those are other rules


def _joined(rule: Rule, rows: pd.DataFrame, frames: Frames) -> pd.Series:
    table, column = rule.there
    by = rule.by[0]
    keyed = frames[table].dropna(subset=[by])
    there = keyed.drop_duplicates(by).set_index(by)[column]
    return rows[by].map(there)


def _joined_date(rule: Rule, rows: pd.DataFrame, frames: Frames, last: pd.Timestamp) -> Broken:
    joined = _joined(rule, rows, frames)
    other = pd.to_datetime(joined)
    slack = pd.Timedelta(days=rule.slack)
    if rule.kind == "joined_not_before":
        return Broken(rows[rule.column] < other - slack)
    return Broken(rows[rule.column] > other + slack)


def _joined_scale(rule: Rule, rows: pd.DataFrame, frames: Frames, last: pd.Timestamp) -> Broken:
    joined = _joined(rule, rows, frames)
    amount = joined.astype(float)
    groups = rows.groupby(list(rule.by))
    total = groups[rule.column].transform("sum")
    amount = amount.where(amount != 0)
    ratio = total / amount
    small = ratio <= 1 / rule.times
    return Broken((ratio >= rule.times) | small)


def _ahead(rule: Rule, rows: pd.DataFrame, frames: Frames, last: pd.Timestamp) -> Broken:
    latest = last + pd.Timedelta(days=rule.slack)
    return Broken(rows[rule.column] > latest)


def _old(rule: Rule, rows: pd.DataFrame, frames: Frames, last: pd.Timestamp) -> Broken:
    return Broken(rows[rule.column] < OLD)


_WITHIN = ("not_before", "not_after", "given_with", "above", "below_zero", "itself")
KINDS: dict[str, Callable[[Rule, pd.DataFrame, Frames, pd.Timestamp], Broken]] = {
    **dict.fromkeys(_WITHIN, _in_row),
    "overlap": _overlap,
    "sum": _sum,
    "spelling": _spelling,
    "outlier": _outlier,
    "mixed_scale": _mixed_scale,
    "alike": _alike,
    "twice": _twice,
    "sealed": _sealed,
    "known": _known,
    "more_often": _more_often,
    "inside": _inside,
    "joined_not_before": _joined_date,
    "joined_not_after": _joined_date,
    "joined_scale": _joined_scale,
    "ahead": _ahead,
    "old": _old,
}
