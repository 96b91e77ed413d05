"""Who left an unknown export's clients, and when: ends, flags and tenures that can be taken, and
what only looks like them.

METHODS 0: an end is the last paid day. A date that a client who stays has too is never one.
"""

import re
from collections.abc import Mapping
from itertools import chain

import pandas as pd

from retention.data.cells import texts
from retention.data.guesses import LIKELY, Draft, Flag, Sheet, spaced, typed, word_of
from retention.data.parse import Evidence, parse
from retention.data.schema import Column
from retention.data.words import WORDS, sentence
from retention.settings import OPEN

LATER = pd.Timedelta(days=92)  # (ours) ends this far beyond every other date are planned ones
MOST_YEARS = 15  # (ours) ages up to this may be years
FEW_WORDS = 8  # (ours) a flag has no more different words
PURE = 0.98  # (ours) of clients whose word in a column tells whether they left: it is the outcome
_WORDS = WORDS["exports"]
_TRUE = WORDS["cells"]["true"]
_FALSE = WORDS["cells"]["false"]


def ends_of(sheet: Sheet, out: Draft) -> None:
    """Refuse what only looks like a start or an end; take a tenure and a flag where there is no
    end; ask of days of cancellation what they are.
    """
    flags = flags_of(sheet.rows)
    _refuse_ends(sheet, flags[0] if flags else None)
    _refuse_starts(sheet)
    if end := sheet.taken("end_date"):
        if re.search(_WORDS["notice"], spaced(end)):
            out.dates["end"] = sentence("notice or end", theirs=end)
            out.questions.append(f"dates.end: what {word_of(end)} is")
    elif flags:
        _take_tenure(sheet, flags[0], out)
    else:
        sheet.refused.append(sentence("no ends"))
    out.refused += sheet.refused


def _refuse_ends(sheet: Sheet, flag: Flag | None) -> None:
    for heading in sheet.rows:
        taken = sheet.taken("end_date") == heading
        planned = bool(re.search(_WORDS["planned"], spaced(heading))) and not taken
        if (taken or planned) and (why := _not_an_end(sheet, heading, flag, planned)):
            if taken:
                sheet.drop("end_date", why)
            else:
                sheet.refused.append(f"{word_of(heading)} was not taken as end_date: {why}")


def _refuse_starts(sheet: Sheet) -> None:
    """Say of the day on which a record was made that it is no start of service."""
    if sheet.taken("start_date"):
        return
    for heading in sheet.rows:
        made = re.search(_WORDS["record"], spaced(heading))
        if made and typed(sheet.rows, heading, "start_date").notna().any():
            sheet.refused.append(sentence("no start", theirs=heading))


def _take_tenure(sheet: Sheet, flag: Flag, out: Draft) -> None:
    """Take a tenure in place of dates, with its unit, which is asked where nothing tells it."""
    tenure = _tenure(sheet.rows)
    if not tenure:
        sheet.refused.append(sentence("no day of leaving", theirs=flag.heading))
        return
    ages = _ages(sheet.rows[tenure])
    unit, why = _unit(tenure, ages)
    whole = ages.mod(1).eq(0).all()
    if unit == "years" and whole:
        sheet.refused.append(sentence("whole years", theirs=tenure))
        return
    sheet.headings.pop("start_date", None)
    sheet.tenure = tenure
    sheet.tenure_unit = "" if unit == "months" and whole else unit
    sheet.tenure_why = why
    sheet.flag = flag
    sheet.used |= {tenure, flag.heading}
    out.questions.append("clients.snapshot_date: the day of the export")
    if unit == OPEN:
        out.questions.append(
            f"clients.tenure_unit: whether {word_of(tenure)} counts months or years"
        )


def _unit(tenure: str, ages: pd.Series) -> tuple[str, str]:
    """Whether a tenure counts months or years, and why; OPEN where only a person knows."""
    name = spaced(tenure)
    if re.search("year|yrs", name):
        return "years", "the heading"
    if re.search("month|mths", name):
        return "months", "the heading"
    if ages.max() <= MOST_YEARS:
        return OPEN, f'none is above {ages.max():g}: "months" or "years"'
    return "months", f"up to {ages.max():g}"


def _ages(cells: pd.Series) -> pd.Series:
    column = Column("tenure_months", "number", "", "")
    evidence = Evidence()
    evidence.look(cells, column)
    return parse(cells, column, evidence.forms().get(column.name, "")).values


def _not_an_end(sheet: Sheet, heading: str, flag: Flag | None, planned: bool) -> str:
    """Why these dates are not ends of service; empty where nothing speaks against it."""
    ends = typed(sheet.rows, heading, "end_date")
    if planned:
        return "its heading speaks of what is planned or paid for" if ends.notna().any() else ""
    if flag:
        return _of_those_who_stay(sheet.rows, ends, flag)
    if ends.notna().all():
        return "every client has one; who stays has none. If all have left, name it yourself"
    names = ("start_date", "decision_date", "recorded_date", "contract_term_months")
    known = {}
    for name in names:
        if named := sheet.taken(name):
            known[name] = typed(sheet.rows, named, name)
    if _ends_of_terms(ends, known):
        return "each lies exactly one term after its start, as the ends of terms do"
    return _later_than_all(ends, known)


def _of_those_who_stay(rows: pd.DataFrame, ends: pd.Series, flag: Flag) -> str:
    """That clients have such a date who have not left by the flag; empty where none has."""
    left = texts(rows[flag.heading]).isin(flag.gone)
    stayed = ends.notna() & ~left
    staying = int(stayed.sum())
    if not staying:
        return ""
    return f"{staying:,} rows have it that are none of {list(flag.gone)} in {word_of(flag.heading)}"


def _ends_of_terms(ends: pd.Series, known: Mapping[str, pd.Series]) -> bool:
    """Whether nearly all lie exactly one term after the start."""
    if not {"start_date", "contract_term_months"} <= set(known):
        return False
    start = known["start_date"]
    term = known["contract_term_months"]
    after = ends + pd.Timedelta(days=1)
    years = after.dt.year - start.dt.year
    months = years * 12 + after.dt.month
    served = months - start.dt.month
    days_apart = after.dt.day - start.dt.day
    on_the_day = days_apart.abs() <= 1
    fixed = ends.notna() & (term > 1)
    first = fixed & (served == term) & on_the_day
    return bool(first.sum() > 2 and first.sum() >= 0.9 * ends.notna().sum())


def _later_than_all(ends: pd.Series, known: Mapping[str, pd.Series]) -> str:
    """That many lie long after every other date; empty where they do not."""
    others = []
    for name, days in known.items():
        if name != "contract_term_months" and days.notna().any():
            others.append(days.max())
    late = int((ends > max(others) + LATER).sum()) if others else 0
    ended = ends.notna().sum()
    if late < max(2, 0.2 * ended):
        return ""
    why = "as planned or paid-to dates do"
    return f"{late:,} lie more than three months after every other date, {why}"


def flags_of(rows: pd.DataFrame) -> list[Flag]:
    """The columns that say who left: those of yes and no alone before those of several words."""
    found = [flag for heading in rows if (flag := _flag(heading, rows[heading]))]
    return sorted(found, key=lambda flag: not flag.plain)


def _flag(heading: str, cells: pd.Series) -> Flag | None:
    name = spaced(heading)
    speaking = chain(_WORDS["left"], _WORDS["active"], _WORDS["status"])
    if name not in speaking:
        return None
    written = texts(cells)
    different = set(written) - {""}
    words = sorted(different)
    gone = tuple(word for word in words if _says_gone(word, name))
    stays = tuple(word for word in words if word not in gone)
    if not gone or not stays or len(words) > FEW_WORDS:
        return None
    left = written.isin(gone)
    count = int(left.sum())
    shown = " or ".join(map(word_of, gone))
    why = f"{LIKELY}: {shown} in {count:,} of {len(cells):,} rows"
    return Flag(heading, gone, stays, why)


def _says_gone(word: str, name: str) -> bool:
    """Whether a word of the column of that name says that the client has left."""
    bare = re.sub(r"\.0+$", "", word.casefold())
    if name in _WORDS["active"]:
        return bare in _FALSE or bool(re.match("in", bare))
    if name in _WORDS["left"] and bare in _TRUE:
        return True
    denied = re.match(r"(?:not|non|never|un)\b", bare)
    spoken = re.search(rf"\b(?:{'|'.join(_WORDS['gone'])})\b", bare)
    return bool(spoken and not denied)


def _tenure(rows: pd.DataFrame) -> str:
    """The first heading that speaks of a tenure and whose cells are all numbers."""
    named = [heading for heading in rows if re.search(_WORDS["tenure"], spaced(heading))]
    return next((heading for heading in named if _ages(rows[heading]).notna().all()), "")


def tells_the_outcome(sheet: Sheet, heading: str) -> bool:
    """Whether a column says who left, or is known only once it is over: by its heading, or because
    each of its words is of those who left alone or of those who stay alone.
    """
    if re.search(_WORDS["outcome"], spaced(heading)):
        return True
    left = has_left(sheet)
    if left is None or not 0 < left.sum() < len(left):
        return False
    words = texts(sheet.rows[heading])
    by_word = left.groupby(words)
    shares = by_word.transform("mean")
    pure = shares.isin([0, 1])
    return bool(pure.mean() >= PURE)


def has_left(sheet: Sheet) -> pd.Series | None:
    """Which rows are of clients who left, by the end that is taken, else by a flag."""
    if end := sheet.taken("end_date"):
        return typed(sheet.rows, end, "end_date").notna()
    flags = flags_of(sheet.rows)
    return texts(sheet.rows[flags[0].heading]).isin(flags[0].gone) if flags else None
