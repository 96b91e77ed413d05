"""What must hold between the columns of a row, the rows of a table, the tables and time:
rules.toml, and who breaks it.

Rules of the grade "fault" are checked while reading (check.py). The rest are warnings on whole,
checked tables: the rows can be used, and a reader must know. Nothing loops over rows.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from retention.data.alike import look_alike, nearest
from retention.data.words import read_words
from retention.errors import SHOWN, Fault

FAULT = "fault"
WARNING = "warning"
OLD = pd.Timestamp("1950-01-01")
FEW = 3  # (ours) a median of fewer values is that of the whole column
MANY_ANSWERS = 10  # (ours) in a quarter, before its scale is doubted
COPIES = 5  # (ours) fewer repeated rows are no table given twice
GOES_ON, SEEN_DATES = (
    0.02,
    20,
)  # (ours) so many dates beyond the cut-off: it is an earlier one than the data's
NEVER = pd.Timestamp("2200-01-01")
MEANT = "+#<>%"
_DECLARED = read_words("rules.toml")
_WORDS: Mapping[str, tuple[str, str]] = _DECLARED["kinds"]
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


def _declared() -> Iterator[Rule]:
    for group in _DECLARED["rules"]:
        for about in group["rules"]:
            by = tuple(about.get("by", ()))
            yield Rule(
                **{**about, "by": by}, table=group["table"], grade=group.get("grade", WARNING)
            )


RULES = tuple(_declared())


def rules_of(table: str, grade: str) -> tuple[Rule, ...]:
    """The rules of a table that are of this grade."""
    return tuple(rule for rule in RULES if (rule.table, rule.grade) == (table, grade))


def warnings_of(frames: Frames, cutoff: dt.date) -> tuple[Fault, ...]:
    """What the tables leave in doubt without being unusable: a warning a broken rule, in the order
    of rules.toml.

    A rule is passed over where a table or column that it needs is not there.
    """
    last = _end_of_the_data(frames, pd.Timestamp(cutoff))
    found = (
        _warning(rule, frames, last)
        for rule in RULES
        if rule.grade == WARNING and _applies(rule, frames)
    )
    return tuple(warning for warning in found if warning)


def in_words(warning: Fault) -> str:
    """A warning as two sentences for a page."""
    rows = f"{warning.count:,} row{'' if warning.count == 1 else 's'}"
    more = ", ..." if warning.count > len(warning.ids) else ""
    ids = f" ({', '.join(warning.ids)}{more})" if warning.ids else ""
    where = f" In {rows}{ids}." if warning.count else ""
    return f"Table {warning.table}: {warning.column} {warning.problem}.{where} {warning.remedy}"


def _applies(rule: Rule, frames: Frames) -> bool:
    if rule.table not in frames or not rule.needs <= set(frames[rule.table]):
        return False
    table, column = rule.there
    if rule.kind == "inside":
        return "clients" in frames and "client_id" in frames[rule.table]
    return not table or column in frames.get(table, ())


def _warning(rule: Rule, frames: Frames, last: pd.Timestamp) -> Fault | None:
    rows = frames[rule.table]
    broken = _KINDS[rule.kind](rule, rows, frames, last)
    mask = broken.rows.fillna(False).astype(bool)
    if not mask.any():
        return None
    problem, remedy = _WORDS[rule.kind]
    said = {**_said(rule), **broken.said}
    ids = rows.loc[mask, rows.columns[0]].astype("string").fillna("(no id)").drop_duplicates()
    problem = problem.format(**said)
    remedy = rule.remedy or remedy.format(**said)
    return Fault(rule.table, rule.column, problem, int(mask.sum()), tuple(ids[:SHOWN]), remedy)


def _said(rule: Rule) -> dict[str, Any]:
    table, column = rule.there
    return {
        "other": rule.other or column,
        "there": table,
        "by": " and ".join(rule.by),
        "more": f" by more than {rule.slack} days" if rule.slack else "",
        "times": rule.times,
        "most": rule.most,
        "low": rule.low,
    }


def _shown(values: Any) -> str:
    """The first of some values in words."""
    words = [f"{value:,.10g}" if isinstance(value, float) else str(value) for value in list(values)]
    return ", ".join(words[:SHOWN]) + (", ..." if len(words) > SHOWN else "")


# Within a row.


def broken_in_row(rule: Rule, rows: pd.DataFrame) -> pd.Series:
    """Which rows break a rule that needs no other row."""
    value = rows[rule.column]
    slack = pd.Timedelta(days=rule.slack)
    if rule.kind == "not_before":
        broken = value < rows[rule.other] - slack
    elif rule.kind == "not_after":
        broken = value > rows[rule.other] + slack
    elif rule.kind == "given_with":
        broken = value.notna() & rows[rule.other].isna()
    elif rule.kind == "above":
        broken = value <= rule.low
    elif rule.kind == "below_zero":
        broken = value < 0
    else:
        broken = value == rows[rule.other]
    return broken.fillna(False).astype(bool)


def _in_row(rule: Rule, rows: pd.DataFrame, frames: Frames, last: pd.Timestamp) -> Broken:
    return Broken(broken_in_row(rule, rows))


# Across rows.


def _overlap(rule: Rule, rows: pd.DataFrame, frames: Frames, last: pd.Timestamp) -> Broken:
    part = rows
    for name, value in rule.where.items():
        part = part[
            part[name].fillna(value).eq(value).astype(bool)
        ]  # a blank stands for the usual one
    by = list(rule.by)
    end = (
        _months_later(part[rule.column], part[rule.months])
        if rule.months
        else part[rule.to].fillna(NEVER)
    )
    part = part[by].assign(start=part[rule.column], end=end).dropna(subset=["start"])
    part = part.sort_values([*by, "start"], kind="stable")
    before = part.groupby(by)["end"].shift()
    inside = rule.nested & (part["end"] < before)  # a stand-in
    early = part.index[((part["start"] < before) & ~inside).to_numpy()]
    return Broken(pd.Series(rows.index.isin(early), rows.index))


def _months_later(start: pd.Series, months: pd.Series) -> pd.Series:
    """About the day on which so many months from a start are over, at most three days early."""
    number = start.dt.year * 12 + start.dt.month - 1 + months.astype(float)
    year = (number // 12).fillna(2000).astype(int)
    month = (number % 12).fillna(0).astype(int) + 1
    first = pd.to_datetime({"year": year, "month": month, "day": 1})
    day = first + pd.to_timedelta(start.dt.day.fillna(1).clip(upper=28) - 1, unit="D")
    return day.where(number.notna())


def _sum(rule: Rule, rows: pd.DataFrame, frames: Frames, last: pd.Timestamp) -> Broken:
    total = rows.groupby(list(rule.by))[rule.column].transform("sum")
    broken = total > rule.most
    heads = rows.loc[broken, list(rule.by)].assign(total=total[broken]).drop_duplicates()
    seen = [
        ", ".join(_cell(value) for value in row)
        for row in heads.head(SHOWN).itertuples(index=False)
    ]
    return Broken(broken, {"seen": "; ".join(seen)})


def _cell(value: Any) -> str:
    if isinstance(value, pd.Timestamp):
        return f"{value:%Y-%m}"
    return f"{value:,.0f}" if isinstance(value, float) else str(value)


def _spelling(rule: Rule, rows: pd.DataFrame, frames: Frames, last: pd.Timestamp) -> Broken:
    counts = rows[rule.column].value_counts()
    words = pd.DataFrame({"word": counts.index.astype(str), "count": counts.to_numpy()})
    words["plain"] = words["word"].map(_plain_word)
    words = words[words["plain"] != ""].sort_values("count", ascending=False, kind="stable")
    several = words[words["plain"].duplicated(keep=False)]
    rarer = several[several["plain"].duplicated()]
    seen = several.sort_values("plain", kind="stable")["word"]
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
    value = rows[rule.column].astype(float).abs()
    value = value.where(value > 0)
    usual = pd.Series(value.median() if value.count() >= FEW else np.nan, rows.index)
    if rule.by:
        groups = value.groupby([rows[name] for name in rule.by])
        own = groups.transform("median").where(groups.transform("count") >= FEW)
        usual = own.fillna(usual)
    ratio = value / usual
    broken = (ratio >= rule.times) | (ratio <= 1 / rule.times)
    return Broken(broken, {"seen": _shown(rows.loc[broken, rule.column].astype(float).unique())})


def _mixed_scale(rule: Rule, rows: pd.DataFrame, frames: Frames, last: pd.Timestamp) -> Broken:
    value = rows[rule.column].astype(float)
    quarter = rows[rule.day].dt.to_period("Q")
    half = value.max() / 2
    groups = value.groupby(quarter)
    low = (groups.transform("max") <= half) & (groups.transform("count") >= MANY_ANSWERS)
    usual = (value > half).sum() >= MANY_ANSWERS
    broken = low & value.notna() & usual
    return Broken(broken, {"seen": _shown(sorted(quarter[broken].unique()))})


def _alike(rule: Rule, rows: pd.DataFrame, frames: Frames, last: pd.Timestamp) -> Broken:
    broken = look_alike(rows[rule.column])
    return Broken(broken, {"seen": _shown(map(ascii, rows.loc[broken, rule.column].unique()))})


def _twice(rule: Rule, rows: pd.DataFrame, frames: Frames, last: pd.Timestamp) -> Broken:
    copies = rows.duplicated()
    many = copies.sum() >= COPIES and copies.sum() * 2 >= len(rows)
    return Broken(copies & many)


def given_twice(table: str, rows: pd.DataFrame) -> Fault | None:
    """The warning that a table seems to be given twice, for one whose rows are added up once it is
    read.
    """
    return _warning(Rule(table, str(rows.columns[0]), "twice"), {table: rows}, NEVER)


DOLLARS = frozenset("USD CAD AUD NZD MXN SGD HKD ARS CLP COP BRL".split())
SIGNS = {"$": DOLLARS, "\u20ac": {"EUR"}, "\u00a3": {"GBP", "EGP"}, "\u00a5": {"JPY", "CNY"}}


def currency_warnings(marks: Mapping[tuple[str, str], str], own: str) -> list[Fault]:
    """Warnings for columns of amounts whose currency, by (table, column), is another one than that
    of most.

    `own` is the agency's currency as set, or nothing.
    """
    usual = own or pd.Series(list(marks.values()), dtype=object).value_counts().index[:1].str.cat()
    problem, remedy = _WORDS["currencies"]
    said = {mark: problem.format(seen=mark, others=usual) for mark in set(marks.values())}
    odd = [place for place, mark in marks.items() if not _meant(mark) & _meant(usual)]
    return [
        Fault(table, column, said[marks[table, column]], 0, (), remedy) for table, column in odd
    ]


def _meant(mark: str) -> set[str]:
    """The currencies that a sign or code may stand for."""
    return set(SIGNS.get(mark, {mark.upper()}))


# Across tables.


def _known(rule: Rule, rows: pd.DataFrame, frames: Frames, last: pd.Timestamp) -> Broken:
    table, column = rule.there
    known = frames[table][column].dropna().unique()
    value = rows[rule.column]
    broken = value.notna() & ~value.isin(known)
    kinds = (
        [kind for kind in nearest(value[broken].unique(), known) if kind] if broken.any() else []
    )
    return Broken(broken, {"near": _DECLARED["near"][kinds[0]] if kinds else ""})


def _more_often(rule: Rule, rows: pd.DataFrame, frames: Frames, last: pd.Timestamp) -> Broken:
    table, column = rule.there
    here, there = (values.value_counts() for values in (rows[rule.column], frames[table][column]))
    most = there.reindex(here.index)
    return Broken(rows[rule.column].isin(here.index[here > most]))


def _inside(rule: Rule, rows: pd.DataFrame, frames: Frames, last: pd.Timestamp) -> Broken:
    clients = frames["clients"]
    ends = clients["end_date"].fillna(NEVER)
    times = clients[["client_id", "start_date"]].assign(end=ends).groupby("client_id")
    first = rows["client_id"].map(times["start_date"].min()) - pd.Timedelta(days=rule.before)
    final = rows["client_id"].map(times["end"].max()) + pd.Timedelta(days=rule.after)
    day = rows[rule.column]
    broken = (day < first) | (day > final)
    return Broken(broken & (day >= OLD) & ~(day > last))  # those are other rules


def _joined(rule: Rule, rows: pd.DataFrame, frames: Frames) -> pd.Series:
    table, column = rule.there
    by = rule.by[0]
    there = frames[table].dropna(subset=[by]).drop_duplicates(by).set_index(by)[column]
    return rows[by].map(there)


def _joined_date(rule: Rule, rows: pd.DataFrame, frames: Frames, last: pd.Timestamp) -> Broken:
    other = pd.to_datetime(_joined(rule, rows, frames))
    slack = pd.Timedelta(days=rule.slack)
    if rule.kind == "joined_not_before":
        return Broken(rows[rule.column] < other - slack)
    return Broken(rows[rule.column] > other + slack)


def _joined_scale(rule: Rule, rows: pd.DataFrame, frames: Frames, last: pd.Timestamp) -> Broken:
    amount = _joined(rule, rows, frames).astype(float)
    total = rows.groupby(list(rule.by))[rule.column].transform("sum")
    amount = amount.where(amount != 0)
    ratio = total / amount
    return Broken((ratio >= rule.times) | (ratio <= 1 / rule.times))


# Across time.


def _end_of_the_data(frames: Frames, cutoff: pd.Timestamp) -> pd.Timestamp:
    """The day after which nothing can have happened: the cut-off, unless so many dates lie beyond
    it that it is plainly an earlier one than that of the data; then a year after nearly all dates.
    """
    happened = [
        rule for rule in RULES if rule.kind == "ahead" and not rule.slack
    ]  # not what may be planned
    columns = {(rule.table, rule.column) for rule in happened if _applies(rule, frames)}
    dates = [frames[table][column].dropna() for table, column in sorted(columns)]
    days = pd.concat(dates) if dates else pd.Series(dtype="datetime64[ns]")
    beyond = int((days > cutoff).sum())
    if beyond <= max(SEEN_DATES, GOES_ON * len(days)):
        return cutoff
    return days.quantile(1 - GOES_ON, interpolation="lower") + pd.Timedelta(days=366)


def _ahead(rule: Rule, rows: pd.DataFrame, frames: Frames, last: pd.Timestamp) -> Broken:
    return Broken(rows[rule.column] > last + pd.Timedelta(days=rule.slack))


def _old(rule: Rule, rows: pd.DataFrame, frames: Frames, last: pd.Timestamp) -> Broken:
    return Broken(rows[rule.column] < OLD)


_WITHIN = ("not_before", "not_after", "given_with", "above", "below_zero", "itself")
_KINDS: dict[str, Callable[[Rule, pd.DataFrame, Frames, pd.Timestamp], Broken]] = {
    **dict.fromkeys(_WITHIN, _in_row),
    "overlap": _overlap,
    "sum": _sum,
    "spelling": _spelling,
    "outlier": _outlier,
    "mixed_scale": _mixed_scale,
    "alike": _alike,
    "twice": _twice,
    "known": _known,
    "more_often": _more_often,
    "inside": _inside,
    "joined_not_before": _joined_date,
    "joined_not_after": _joined_date,
    "joined_scale": _joined_scale,
    "ahead": _ahead,
    "old": _old,
}
