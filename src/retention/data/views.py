"""The SELECT by which a query sees a file, or several files of a kind as one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from retention.data.layout import Sheet

APART = 10**12  # (ours) numbers of rows that each file of a kind has to itself
LEAST = 3  # (ours) filled cells of a row that can be a double; fewer are names of groups and totals


def select(sheets: Sequence[Sheet], numbered: bool = False, once: bool = False) -> str:
    """The SELECT that reads files of one kind as text, without the rows that are no data.

    `numbered`: with the number of each row in the column `line`. `once`: rows that stand in several
    files count once (as often as in the file that has them most often).
    """
    if len(sheets) == 1:
        return _one(sheets[0], numbered)
    columns = _columns(sheets[0])
    numbered = numbered and not _has_line(sheets[0])
    line = "_line AS line, " if numbered else ""
    whole = _together(sheets)
    if not once:
        return f"SELECT {line}{columns} FROM ({whole})"
    again = f"row_number() OVER (PARTITION BY part, {columns} ORDER BY _line) AS again"
    alone = f"CASE WHEN {_filled(sheets[0])} < {LEAST} THEN part END AS alone"
    parts = f"SELECT *, {again}, {alone} FROM ({whole})"
    first = "min(_line) AS line, " if numbered else ""
    return f"SELECT {first}{columns} FROM ({parts}) GROUP BY {columns}, again, alone"


def count_doubles(sheets: Sequence[Sheet]) -> str:
    """A query that counts the rows that stand in more than one of these files."""
    columns = _columns(sheets[0])
    kept = (
        f"SELECT part, {columns} FROM ({_together(sheets)}) WHERE {_filled(sheets[0])} >= {LEAST}"
    )
    several = f"SELECT 1 FROM ({kept}) GROUP BY {columns} HAVING count(DISTINCT part) > 1"
    return f"SELECT count(*) FROM ({several})"


def _together(sheets: Sequence[Sheet]) -> str:
    """The rows of all files, with the number of the file and of the row."""
    parts = []
    for part, sheet in enumerate(sheets):
        line = f"{part * APART} + row_number() OVER () AS _line"
        parts.append(f"SELECT {part} AS part, {line}, * FROM ({_one(sheet)})")
    return " UNION ALL BY NAME ".join(parts)


def _has_line(sheet: Sheet) -> bool:
    """Whether the file has a column of that name itself."""
    names = {name.casefold() for name in sheet.headings}
    return "line" in names


def _columns(sheet: Sheet) -> str:
    return ", ".join(map(quoted, sheet.headings))


def _filled(sheet: Sheet) -> str:
    """How many cells of a row hold something."""
    names = map(quoted, sheet.headings)
    cells = [f"({name} IS NOT NULL)::INT" for name in names]
    total = " + ".join(cells)
    return f"({total})"


def _one(sheet: Sheet, numbered: bool = False) -> str:
    """The SELECT that reads one file."""
    typed = [f"{literal(name)}: 'VARCHAR'" for name in sheet.headings]
    columns = ", ".join(typed)
    read = (
        f"read_csv({literal(sheet.path)}, auto_detect = false, header = false, "
        f"columns = {{{columns}}}, skip = {sheet.skip}, delim = {literal(sheet.mark)}, "
        "quote = '\"', escape = '\"', null_padding = true, strict_mode = false, parallel = false)"
    )
    kept = [f"NOT {_stops(sheet, word)}" for word in sheet.stop_at]
    cells = [f"{quoted(name)} IS NOT NULL" for name in sheet.headings]
    filled = " OR ".join(cells)
    rows = " AND ".join([f"({filled})", *kept])
    line = "row_number() OVER () AS line, " if numbered and not _has_line(sheet) else ""
    return f"SELECT {line}* FROM {read} WHERE {rows}"


def _stops(sheet: Sheet, word: str) -> str:
    """The condition of a row that begins with the word and is no data.

    A name that only begins so, as Total Dental, is told by its other cells.
    """
    cell = f"lower(trim(coalesce({quoted(sheet.headings[0])}, '')))"
    whole = rf"^{re.escape(word)}(?:$|s?\s*(?:$|[^\s\pL]))"
    alone = f"starts_with({cell}, {literal(word)}) AND {_filled(sheet)} = 1"
    return f"(regexp_matches({cell}, {literal(whole)}) OR ({alone}))"


def quoted(name: str) -> str:
    """A name as a query writes it."""
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def literal(text: Any) -> str:
    """A text as a query writes it."""
    doubled = str(text).replace("'", "''")
    return f"'{doubled}'"
