"""What must hold between the columns of a row, the rows of a table, the tables and time:
rules.toml, and who breaks it.

Rules of the grade "fault" are checked while reading (check.py). The rest are warnings on whole,
checked tables: the rows can be used, and a reader must know. Nothing loops over rows.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from retention.data.broken import DECLARED, KINDS, NEVER, WARNING, WORDS, Frames, Rule
from retention.errors import SHOWN, Fault

GOES_ON, SEEN_DATES = (
    0.02,
    20,
)  # (ours) so many dates beyond the cut-off: it is an earlier one than the data's


def _declared() -> Iterator[Rule]:
    for group in DECLARED["rules"]:
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
    broken = KINDS[rule.kind](rule, rows, frames, last)
    known = broken.rows.fillna(False)
    mask = known.astype(bool)
    if not mask.any():
        return None
    problem, remedy = WORDS[rule.kind]
    said = {**_said(rule), **broken.said}
    first = rows.loc[mask, rows.columns[0]]
    ids = first.astype("string").fillna("(no id)").drop_duplicates()
    problem = problem.format(**said)
    remedy = rule.remedy or remedy.format(**said)
    count = int(mask.sum())
    first_ids = tuple(ids[:SHOWN])
    return Fault(rule.table, rule.column, problem, count, first_ids, remedy)


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


# Within a row.


# Across rows.


def given_twice(table: str, rows: pd.DataFrame) -> Fault | None:
    """The warning that a table seems to be given twice, for one whose rows are added up once it is
    read.
    """
    first_column = str(rows.columns[0])
    rule = Rule(table, first_column, "twice")
    return _warning(rule, {table: rows}, NEVER)


DOLLARS = frozenset("USD CAD AUD NZD MXN SGD HKD ARS CLP COP BRL".split())
SIGNS = {"$": DOLLARS, "\u20ac": {"EUR"}, "\u00a3": {"GBP", "EGP"}, "\u00a5": {"JPY", "CNY"}}


def currency_warnings(marks: Mapping[tuple[str, str], str], own: str) -> list[Fault]:
    """Warnings for columns of amounts whose currency, by (table, column), is another one than that
    of most.

    `own` is the agency's currency as set, or nothing.
    """
    usual = own or pd.Series(list(marks.values()), dtype=object).value_counts().index[:1].str.cat()
    problem, remedy = WORDS["currencies"]
    said = {mark: problem.format(seen=mark, others=usual) for mark in set(marks.values())}
    odd = [place for place, mark in marks.items() if not _meant(mark) & _meant(usual)]
    return [
        Fault(table, column, said[marks[table, column]], 0, (), remedy) for table, column in odd
    ]


def _meant(mark: str) -> set[str]:
    """The currencies that a sign or code may stand for."""
    return set(SIGNS.get(mark, {mark.upper()}))


# Across tables.


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
    some = GOES_ON * len(days)
    if beyond <= max(SEEN_DATES, some):
        return cutoff
    latest = days.quantile(1 - GOES_ON, interpolation="lower")
    return latest + pd.Timedelta(days=366)
