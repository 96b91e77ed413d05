"""How a file that a query reads is laid out: where its headings are, and which rows are no data.

Tools put titles above the headings, a second line of headings below the first, totals among the
rows and footers below them. What comes out is a text file in UTF-8 of which every column is text.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retention.data import stores
from retention.data.delimited import LONGEST_CELL, MARKS, NotATableError, opened
from retention.settings import FileSettings

LOOKED_AT = 60  # (ours) lines in which the headings are looked for
FULL = 0.6  # (ours) share of the fullest line's cells that a line of headings has at least
BOOKS = (".xlsx", ".xlsm")
PARQUET = (".parquet", ".pq")


@dataclass(frozen=True)
class Sheet:
    """A text file in UTF-8 with `skip` lines before its data; rows that begin with a word of
    `stop_at` (lower case) are no data, unless the word begins a longer name.
    """

    path: Path
    mark: str
    headings: tuple[str, ...]
    skip: int
    stop_at: tuple[str, ...] = ()


def layout_of(path: Path, how: FileSettings, folder: Path) -> Sheet:
    """The layout of a file, as the settings say or as its first lines show; what is not text in
    UTF-8 is written anew into `folder`. NotATableError where it has no headings.
    """
    text, mark = _as_text(path, how, folder)
    if not mark:
        mark = _mark(text)
    numbered = _numbered(text, mark)
    rows = list(itertools.islice(numbered, LOOKED_AT))
    before = how.skip_lines
    if before is None:
        before = title_rows([cells for _, cells in rows])
        before += how.heading_lines == 1 and _is_over_headings(rows[before : before + 2])
    else:
        before = sum(line <= before for line, _ in rows)
    named = rows[before : before + how.heading_lines]
    if len(named) < how.heading_lines or not any(named[0][1]):
        raise NotATableError("no lines")
    names = headings([cells for _, cells in named])
    words = tuple(word.casefold() for word in how.stop_at)
    first_line = named[-1][0]
    return Sheet(text, mark, tuple(names), first_line, words)


def title_rows(rows: list[list[str]]) -> int:
    """How many rows stand above the headings: titles, dates and blank lines, which fill few cells.

    >>> title_rows([["Sales by Customer"], ["January"], [""], ["Date", "Customer", "Amount"]])
    3
    """
    filled = [sum(bool(cell.strip()) for cell in row) for row in rows]
    most = max(filled, default=0)
    few = min(2, most)
    least = max(few, FULL * most)
    return next((number for number, count in enumerate(filled) if count >= least), 0)


def _is_over_headings(rows: list[tuple[int, list[str]]]) -> bool:
    """Whether the first of two rows only groups the headings in the second: it fills fewer cells,
    and the second is words alone.
    """
    if len(rows) < 2:
        return False
    filled = [[cell for cell in cells if cell.strip()] for _, cells in rows]
    words = not any(character.isdigit() for character in "".join(filled[1]))
    return len(filled[0]) < len(filled[1]) and words


def headings(rows: list[list[str]]) -> list[str]:
    """One heading a column from one or more heading lines; each once, none blank.

    >>> headings([["Name", "Rate your rep", ""], ["", "Response", ""]])
    ['Name', 'Rate your rep Response', 'column_3']
    """
    found: list[str] = []
    for number, cells in enumerate(itertools.zip_longest(*rows, fillvalue=""), 1):
        name = " ".join(cell.strip() for cell in cells if cell.strip()) or f"column_{number}"
        taken = {other.casefold() for other in found}
        tries = (name if n == 1 else f"{name}_{n}" for n in itertools.count(1))
        free = (new for new in tries if new.casefold() not in taken)
        found.append(next(free))
    return found


def _as_text(path: Path, how: FileSettings, folder: Path) -> tuple[Path, str]:
    """A text file in UTF-8 with the same rows, and its mark where that is known."""
    low = path.name.lower()
    if low.endswith(BOOKS):
        sheet = how.sheet or stores.sheets(path)[0]
        sheet_cells = stores.cells(path, sheet)
        return _written(sheet_cells, folder, f"{path.name}-{sheet}"), ","
    if low.endswith(PARQUET) or path.is_dir():
        rows = _written(_parquet_rows(path), folder, path.name)
        return rows, ","
    try:
        if not low.endswith(".gz") and _is_utf8(path, how.encoding):
            return path, ""
        copy = _fresh(folder, path.name)
        with (
            opened(path, how.encoding) as stream,
            copy.open("w", encoding="utf-8", newline="") as out,
        ):
            out.writelines(stream)
        return copy, ""
    except (UnicodeError, LookupError) as error:
        raise NotATableError("encoding", error=error) from None


def _is_utf8(path: Path, encoding: str) -> bool:
    """Whether the file is text in UTF-8 as it stands; UnicodeError where it is not what is said."""
    if encoding not in ("", "utf-8", "utf-8-sig"):
        return False
    with path.open("rb") as raw:
        if raw.read(2) in (b"\xff\xfe", b"\xfe\xff"):
            return False
    with path.open(encoding="utf-8", newline="") as stream:
        return not any("\0" in line for line in stream)


def _parquet_rows(path: Path) -> Iterator[list[str]]:
    head: list[str] = []
    for piece in stores.parquet(path):
        if not head:
            head = [str(name) for name in piece.columns]
            yield head
        yield from piece.astype("string").fillna("").to_numpy().tolist()


def _written(rows: Iterable[Iterable[Any]], folder: Path, name: str) -> Path:
    """The rows as a comma-separated text file in the folder."""
    path = _fresh(folder, name)
    with path.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows(rows)
    return path


def _fresh(folder: Path, name: str) -> Path:
    """A path in the folder that no file has yet."""
    safe = "".join(c if c.isalnum() else "-" for c in name)
    tries = (folder / f"{safe}-{n}.csv" for n in itertools.count())
    return next(path for path in tries if not path.exists())


def _mark(path: Path) -> str:
    """What separates the cells: the mark that makes most lines equally long, with most cells."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        lines = list(itertools.islice(stream, LOOKED_AT))
    if lines and (told := lines[0].strip()).startswith("sep=") and len(told) == 5:
        return told[4]
    widths = {}
    for mark in MARKS:
        rows = csv.reader(lines, delimiter=mark)
        counts = [len(row) for row in rows if row]
        wide = [count for count in counts if count > 1]
        common = max(set(wide), key=wide.count) if wide else 1
        width = wide.count(common) * (common > 1)
        widths[mark] = (width, common)
    return max(widths, key=lambda mark: widths[mark])


def _numbered(path: Path, mark: str) -> Iterator[tuple[int, list[str]]]:
    """Each row's cells, with the number of its last line."""
    csv.field_size_limit(LONGEST_CELL)
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream, delimiter=mark)
        for cells in reader:
            yield reader.line_num, cells
