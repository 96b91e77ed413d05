"""Which column of an export is which of ours, by its heading and by its values."""

import difflib
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property

import pandas as pd

from retention.data.cells import Parsed, texts
from retention.data.delimited import NotATableError
from retention.data.find import Place, plain
from retention.data.parse import Evidence, parse
from retention.data.schema import TABLES, Column, Table
from retention.data.words import WORDS, fault
from retention.errors import ConfigError
from retention.settings import OPEN

SURE = "sure"
LIKELY = "likely"
GUESS = "a guess"
READABLE = 0.98  # (ours) share of filled cells that must read as the column's kind
ALIKE = 0.86  # (ours) how alike a heading must be to be worth a guess
ASKED = {
    "two dates": '"day first" or "month first"',
    "two numbers": '"1,234.5" or "1.234,5"',
}  # kinds of fault
LATER = pd.Timedelta(days=92)  # (ours) ends this far beyond every other date are planned ones
_WORDS = WORDS["exports"]
_TRUE = WORDS["cells"]["true"]
_FALSE = WORDS["cells"]["false"]


@dataclass
class Draft:
    """The text of a retention.toml, the questions that are left open in it, and what was refused
    and why.
    """

    text: str = ""
    questions: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)


@dataclass
class Sheet:
    """A file or sheet of the export, and what is guessed of it; draft.toml.j2 writes it down."""

    place: Place
    where: list[str] = field(default_factory=list)  # settings that find it again
    refused: list[str] = field(default_factory=list)
    headings: dict[str, tuple[str, str, str]] = field(
        default_factory=dict
    )  # by our names, with how sure and why
    formats: list[tuple[str, str, str]] = field(
        default_factory=list
    )  # columns with two readings, and the answers
    terms: dict[str, list[str]] = field(default_factory=dict)  # words that are not understood
    used: set[str] = field(default_factory=set)
    spare: dict[str, int] = field(
        default_factory=dict
    )  # headings that nobody asked for, with how many values
    flag: tuple[str, set[str], str] | None = (
        None  # the heading that says who left, its words for it, and why
    )
    tenure: str = ""

    @cached_property
    def rows(self) -> pd.DataFrame:
        """The first rows; ConfigError where it is no table."""
        try:
            return next(self.place.pieces())
        except NotATableError as no:
            told = fault("<table>", "", no.kind, **no.said)
            raise ConfigError(f"{self.place.name} {told.problem}. {told.remedy}") from None


def lacks(name: str, sheet: Sheet) -> int:
    """How many of the named table's required columns no heading of this sheet could be; all, where
    it is no table.
    """
    required = [TABLES[name].column(need) for need in TABLES[name].required]
    with suppress(ConfigError, StopIteration):
        return sum(
            not any(_alike(column, heading) for heading in sheet.rows) for column in required
        )
    return len(required)


def guess(table: Table, sheet: Sheet, out: Draft) -> None:
    """What can be guessed of one table, and what must be asked or refused."""
    _headings(table, sheet)
    if table.name == "clients":
        _ends(sheet, out)
    given = {"start_date", "end_date"} if sheet.tenure else set()
    for name in table.required:
        if name not in sheet.headings.keys() | given:
            first = sheet.rows.columns[:40]
            near = ", ".join(word_of(heading) for heading in first)
            sheet.headings[name] = (OPEN, "asked", f"which of these holds it: {near}")
            out.questions.append(f"{table.name}.{name}: no column could be taken for it")
    _spellings(table, sheet, out)
    if table.name == "clients":
        headed = {theirs for theirs, _, _ in sheet.headings.values()}
        used = sheet.used | headed
        different = {
            heading: texts(sheet.rows[heading]).nunique()
            for heading in sheet.rows
            if heading not in used
        }
        sheet.spare = {heading: count for heading, count in different.items() if 1 < count <= 20}


def _headings(table: Table, sheet: Sheet) -> None:
    """Give each declared column the heading most like it whose cells read as its kind; none is
    given twice.
    """
    pairs = [
        (_alike(column, heading), heading, column)
        for column in table.columns
        for heading in sheet.rows
    ]
    for score, heading, column in sorted(
        (pair for pair in pairs if pair[0]), key=lambda pair: -pair[0]
    ):
        if column.name in sheet.headings or heading in sheet.used:
            continue
        cells = sheet.rows[heading]
        parsed = parse(cells, column, first_day=sheet.place.first_day)
        filled = int(parsed.filled.sum())
        if filled and (
            parsed.kind in ASKED
            or column.kind == "term"
            or parsed.bad.sum() <= (1 - READABLE) * filled
        ):
            sure = SURE if score == 3 else LIKELY if score > 1 else GUESS
            sheet.headings[column.name] = (
                heading,
                sure,
                _evidence(column, sheet.rows[heading], parsed),
            )
            sheet.used.add(heading)


def _alike(column: Column, heading: str) -> float:
    """3 where the heading is our name for the column, about 2 where it is another it goes by (the
    likelier first), 1 where it is nearly one; of an end nearly is not enough.
    """
    name = _spaced(heading)
    also = [plain(word) for word in column.also]
    if name == column.name:
        return 3
    if name in also:
        return 2 - also.index(name) / 100
    return int(
        column.name != "end_date"
        and bool(difflib.get_close_matches(name, [column.name, *also], 1, ALIKE))
    )


def _spaced(heading: str) -> str:
    """A heading as our columns are spelt, words run together taken apart: "CustomerID" is
    customer_id.
    """
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", heading)
    return plain(apart.replace(".", " "))


def _evidence(column: Column, cells: pd.Series, parsed: Parsed) -> str:
    """What a heading's cells look like, in a few words."""
    values = parsed.values.dropna()
    filled = int(parsed.filled.sum())
    told = f"the heading; {filled:,} of {len(cells):,} rows filled"
    if column.kind == "term":
        words = texts(cells).value_counts()
        return (
            told
            + ", "
            + ", ".join(
                f"{shortened(word)} {count:,} times" for word, count in words.head(6).items()
            )
        )
    if column.kind == "date" and len(values):
        return f"{told}, {values.min():%Y-%m-%d} to {values.max():%Y-%m-%d}"
    if column.kind in ("number", "integer") and len(values):
        return f"{told}, numbers from {values.min():g} to {values.max():g}"
    return f"{told}, {values.nunique():,} different"


def _ends(sheet: Sheet, out: Draft) -> None:
    """Refuse what only looks like an end; take a tenure and a flag where there is no end."""
    rows = sheet.rows
    flag = _flag(sheet.rows)
    for heading in rows:
        taken = sheet.headings.get("end_date", ("",))[0] == heading
        planned = bool(re.search(_WORDS["planned"], _spaced(heading))) and not taken
        if (taken or planned) and (why := _not_an_end(sheet, heading, flag, planned)):
            sheet.refused.append(f"{word_of(heading)} was not taken as end_date: {why}")
            if taken:
                del sheet.headings["end_date"]
    out.refused += sheet.refused
    if "end_date" in sheet.headings:
        return
    if not flag:
        out.refused.append(
            "no column says who left and when; without ends there is nothing to study"
        )
    elif len(flag[1]) == 1 and texts(rows[flag[0]]).nunique() == 2 and (tenure := _tenure(rows)):
        sheet.headings.pop("start_date", None)
        sheet.tenure = tenure
        sheet.flag = flag
        sheet.used |= {tenure, flag[0]}
        out.questions.append("clients.snapshot_date: the day of the export")
    else:
        out.refused.append(
            f"{word_of(flag[0])} says who left but not when; without dates or a tenure it answers "
            "nothing"
        )


def _not_an_end(
    sheet: Sheet, heading: str, flag: tuple[str, set[str], str] | None, planned: bool
) -> str:
    """Why these dates are not ends of service; empty where nothing speaks against it."""
    ends = _typed(sheet.rows, heading, "end_date")
    if planned:
        return "its heading speaks of what is planned or paid for" if ends.notna().any() else ""
    if flag:
        return _of_those_who_stay(sheet.rows, ends, flag)
    if ends.notna().all():
        return "every client has one; who stays has none. If all have left, name it yourself"
    names = ("start_date", "decision_date", "recorded_date", "contract_term_months")
    known = {}
    for name in names:
        if name in sheet.headings:
            named = sheet.headings[name][0]
            known[name] = _typed(sheet.rows, named, name)
    if _ends_of_terms(ends, known):
        return "each lies exactly one term after its start, as the ends of terms do"
    return _later_than_all(ends, known)


def _of_those_who_stay(rows: pd.DataFrame, ends: pd.Series, flag: tuple[str, set[str], str]) -> str:
    """That clients have such a date who have not left by the flag; empty where none has."""
    column, gone, _ = flag
    left = texts(rows[column]).isin(gone)
    stayed = ends.notna() & ~left
    staying = int(stayed.sum())
    if not staying:
        return ""
    return f"{staying:,} rows have it that are none of {sorted(gone)} in {word_of(column)}"


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


def _typed(rows: pd.DataFrame, heading: str, name: str) -> pd.Series:
    """The cells as values of the named clients column; what cannot be read is missing."""
    column = TABLES["clients"].column(name)
    evidence = Evidence()
    evidence.look(rows[heading], column)
    form = evidence.forms().get(name, "")
    return parse(rows[heading], column, form).values


def _flag(rows: pd.DataFrame) -> tuple[str, set[str], str] | None:
    """The column that says who left, its words for having left, and how sure that is."""
    either = _WORDS["left"] + _WORDS["active"]
    speaking = either + _WORDS["status"]
    for heading in rows:
        name = _spaced(heading)
        cells = texts(rows[heading])
        words = set(cells.unique()) - {""}
        left = _FALSE if name in _WORDS["active"] else _TRUE + _WORDS["gone"]
        gone = {word for word in words if word.casefold() in left}
        if name in speaking and 2 <= len(words) <= 8 and set() < gone < words:
            in_words = cells.isin(gone)
            count = int(in_words.sum())
            shown = " or ".join(word_of(word) for word in sorted(gone))
            return heading, gone, f"{LIKELY}: {shown} in {count:,} of {len(rows):,} rows"
    return None


def _tenure(rows: pd.DataFrame) -> str:
    """The first heading that speaks of a tenure and whose cells are all whole numbers."""
    named = [heading for heading in rows if _spaced(heading) in _WORDS["tenure"]]
    parsed = {
        heading: parse(rows[heading], Column(heading, "integer", "", "")) for heading in named
    }
    return next(
        (
            heading
            for heading, cells in parsed.items()
            if cells.filled.all() and not cells.bad.any()
        ),
        "",
    )


def _spellings(table: Table, sheet: Sheet, out: Draft) -> None:
    """Ask how dates and numbers with two readings are meant, and what unknown terms stand for."""
    evidence = Evidence()
    taken = {
        name: heading for name, (heading, _, _) in sheet.headings.items() if heading in sheet.rows
    }
    chosen = [
        (column, sheet.rows[taken[column.name]]) for column in table.columns if column.name in taken
    ]
    for column, cells in chosen:
        evidence.look(cells, column)
    for column, cells in chosen:
        form = evidence.forms().get(column.name, "")
        parsed = parse(cells, column, form)
        if parsed.kind in ASKED:
            example = parsed.seen[0]
            asked = ASKED[parsed.kind]
            sheet.formats.append((column.name, example, asked))
            out.questions.append(f"{table.name}.{column.name}: how it is written")
        elif column.kind == "term" and parsed.bad.any():
            unknown = {word.casefold(): word for word in texts(cells)[parsed.bad].unique()}
            sheet.terms[column.name] = list(unknown.values())
            out.questions.append(
                f"{table.name}.{column.name}: {len(unknown)} terms that are not understood"
            )


def word_of(text: object) -> str:
    """Any text as a TOML string on one line."""
    quoted = json.dumps(str(text), ensure_ascii=False)
    return re.sub(r"[\x7f-\x9f\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", quoted)


def shortened(text: object) -> str:
    """Any text for a comment: on one line, and not long."""
    return word_of(str(text)[:80])
