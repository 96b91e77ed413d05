"""Which column of an export is which of ours, by its heading and by its values."""

import difflib
import re
from contextlib import suppress

import pandas as pd

from retention.data.cells import Parsed, texts
from retention.data.find import plain
from retention.data.guesses import GUESS, LIKELY, SURE, Draft, Sheet, shortened, spaced, word_of
from retention.data.leavers import ends_of, tells_the_outcome
from retention.data.parse import Evidence, parse
from retention.data.schema import TABLES, Column, Table
from retention.data.sizes import refuse_size
from retention.data.words import WORDS, sentence
from retention.errors import ConfigError
from retention.settings import OPEN

READABLE = 0.98  # (ours) share of filled cells that must read as the column's kind
ALIKE = 0.86  # (ours) how alike a heading must be to be worth a guess
SPARE = 20  # (ours) a category has no more different words
MANY = 12  # (ours) more words than these are not asked about one by one
ASKED = {
    "two dates": '"day first" or "month first"',
    "two numbers": '"1,234.5" or "1.234,5"',
}  # kinds of fault
_FLAGS = {*WORDS["cells"]["true"], *WORDS["cells"]["false"], "1.0", "0.0", ""}


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
        ends_of(sheet, out)
        refuse_size(sheet, out)
    forms = _forms(table, sheet)
    _tell(table, sheet, forms)
    _leave_free_text(table, sheet, forms)
    given = {"start_date", "end_date"} if sheet.tenure else set()
    for name in table.required:
        if name not in sheet.headings.keys() | given:
            first = sheet.rows.columns[:40]
            near = ", ".join(word_of(heading) for heading in first)
            sheet.headings[name] = (OPEN, "asked", f"which of these holds it: {near}")
            out.questions.append(f"{table.name}.{name}: no column could be taken for it")
    _spellings(table, sheet, out, forms)
    if table.name == "clients":
        _spare(sheet)


def _spare(sheet: Sheet) -> None:
    """Offer further columns, but none that tells who left."""
    headed = {theirs for theirs, _, _ in sheet.headings.values()}
    for heading in sheet.rows:
        if heading in sheet.used | headed or tells_the_outcome(sheet, heading):
            continue
        different = texts(sheet.rows[heading]).nunique()
        if 1 < different <= SPARE:
            sheet.spare[heading] = different


def _headings(table: Table, sheet: Sheet) -> None:
    """Give each declared column the heading most like it whose cells read as its kind; none is
    given twice.
    """
    pairs = [
        (_alike(column, heading), heading, column)
        for column in table.columns
        for heading in sheet.rows
    ]
    near = [pair for pair in pairs if pair[0]]
    for score, heading, column in sorted(near, key=lambda pair: -pair[0]):
        if column.name in sheet.headings or heading in sheet.used:
            continue
        if _reads(sheet, heading, column):
            sure = SURE if score == 3 else LIKELY if score > 1 else GUESS
            sheet.headings[column.name] = (heading, sure, "")
            sheet.used.add(heading)


def _reads(sheet: Sheet, heading: str, column: Column) -> bool:
    """Whether nearly all cells read as the column's kind; a person's id is no mere yes and no."""
    cells = sheet.rows[heading]
    words = texts(cells).str.casefold()
    if column.kind == "id" and not column.required and words.isin(_FLAGS).all():
        return False
    parsed = parse(cells, column, first_day=sheet.place.first_day)
    filled = int(parsed.filled.sum())
    if not filled:
        return False
    worded = column.kind == "term" or bool(column.choices)
    return worded or parsed.kind in ASKED or parsed.bad.sum() <= (1 - READABLE) * filled


def _forms(table: Table, sheet: Sheet) -> dict[str, str]:
    """How dates and numbers are written, by column, where the columns taken settle it."""
    evidence = Evidence()
    for column in table.columns:
        if heading := sheet.taken(column.name):
            evidence.look(sheet.rows[heading], column)
    return evidence.forms()


def _tell(table: Table, sheet: Sheet, forms: dict[str, str]) -> None:
    """Put beside each guess what its cells look like."""
    for name, (heading, sure, _) in list(sheet.headings.items()):
        column = table.column(name)
        cells = sheet.rows[heading]
        parsed = parse(cells, column, forms.get(name, ""), sheet.place.first_day)
        sheet.headings[name] = (heading, sure, _evidence(column, cells, parsed))


def _leave_free_text(table: Table, sheet: Sheet, forms: dict[str, str]) -> None:
    """Take no column of free text for one of a closed vocabulary."""
    for column in table.columns:
        heading = sheet.taken(column.name)
        if not heading or not column.choices:
            continue
        unknown = _unknown(sheet, column, forms)
        if len(unknown) > MANY:
            sheet.drop(column.name, sentence("free text", words=len(unknown)))
            sheet.used.discard(heading)


def _unknown(sheet: Sheet, column: Column, forms: dict[str, str]) -> list[str]:
    """The words of a term or of a closed vocabulary that are not understood."""
    cells = sheet.rows[sheet.taken(column.name)]
    parsed = parse(cells, column, forms.get(column.name, ""))
    odd = parsed.bad
    if column.choices:
        odd = ~parsed.values.fillna("").isin(["", *column.choices])
    different = {word.casefold(): word for word in texts(cells)[odd].unique()}
    return [word for word in different.values() if word]


def _alike(column: Column, heading: str) -> float:
    """3 where the heading is our name for the column, about 2 where it is another it goes by (the
    likelier first), 1 where it is nearly one; of an end nearly is not enough.
    """
    also = [plain(word) for word in column.also]
    names = _names(heading)
    if column.name in names:
        return 3
    if known := [also.index(name) for name in names if name in also]:
        return 2 - min(known) / 100
    near = difflib.get_close_matches(names[0], [column.name, *also], 1, ALIKE)
    return int(column.name != "end_date" and bool(near))


def _names(heading: str) -> list[str]:
    """A heading as our columns are spelt: whole, without units in brackets, and without what stands
    before a dash ("Deal - Value").
    """
    bare = re.sub(r"\([^)]*\)|\[[^\]]*\]|/ ?mo(nth)?\b", "", heading)
    last = bare.rpartition(" - ")[2]
    names = [spaced(heading), spaced(bare), spaced(last)]
    filled = [name for name in names if name]
    return list(dict.fromkeys(filled)) or [""]


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
    different = values if len(values) else texts(cells)
    return f"{told}, {different.nunique():,} different"


def _spellings(table: Table, sheet: Sheet, out: Draft, forms: dict[str, str]) -> None:
    """Ask how dates and numbers with two readings are meant, and what unknown words stand for."""
    for column in table.columns:
        heading = sheet.taken(column.name)
        if not heading:
            continue
        parsed = parse(sheet.rows[heading], column, forms.get(column.name, ""))
        if parsed.kind in ASKED:
            sheet.formats.append((column.name, parsed.seen[0], ASKED[parsed.kind]))
            out.questions.append(f"{table.name}.{column.name}: how it is written")
        elif column.kind == "term" or column.choices:
            _ask_words(table, sheet, out, column, forms)


def _ask_words(
    table: Table, sheet: Sheet, out: Draft, column: Column, forms: dict[str, str]
) -> None:
    unknown = _unknown(sheet, column, forms)
    if unknown:
        sheet.terms[column.name] = unknown
        kind = "terms" if column.kind == "term" else "words"
        out.questions.append(
            f"{table.name}.{column.name}: {len(unknown)} {kind} that are not understood"
        )
