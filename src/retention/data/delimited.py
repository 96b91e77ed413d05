"""Delimited text, read strictly and a piece at a time: what could be misread is told, with the line
it stands on.
"""

import csv
import gzip
import itertools
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pandas as pd

from retention.errors import SHOWN

PIECE_ROWS = 100_000
LONGEST_CELL = 10_000_000
MARKS = ",;\t|"


class NotATableError(Exception):
    """Why a source is no table: the kind of refusal, what is said of it, and where (the first
    lines, cells, ...).
    """

    def __init__(self, kind: str, places: Iterable[str] = (), **said: Any) -> None:
        super().__init__(kind)
        found = tuple(places)
        self.kind = kind
        self.said = said
        self.count = len(found)
        self.places = found[:SHOWN]

    def add(self, place: str) -> None:
        """Note one more place where it is so."""
        self.count += 1
        self.places = (*self.places, place)[:SHOWN]


def must_differ(headings: Sequence[str], where: str) -> None:
    """NotATableError where two headings are the same or one is blank."""
    if wrong := sorted(
        {name or "(no name)" for name in headings if not name or headings.count(name) > 1}
    ):
        names = ", ".join(wrong)
        raise NotATableError("headings", names=names, where=where)


def delimited(path: Path, encoding: str = "") -> Iterator[pd.DataFrame]:
    """The file's rows as text, at most PIECE_ROWS at once; headings trimmed. NotATableError where
    it is no table.
    """
    try:
        with opened(path, encoding) as stream:
            yield from _pieces(_lines(stream))
    except (UnicodeError, LookupError) as error:
        raise NotATableError("encoding", error=error) from None
    except csv.Error as error:
        raise NotATableError("quote", error=error) from None
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise NotATableError("gzip") from None


@contextmanager
def opened(path: Path, encoding: str) -> Iterator[IO[str]]:
    """The file as text, unpacked where it is gzip; UTF-16 by its mark, else UTF-8 unless told
    otherwise.
    """
    with path.open("rb") as raw:
        unpack: Any = gzip.open if raw.read(2) == b"\x1f\x8b" else open
    with unpack(path, "rb") as data:
        marked = data.read(2) in (b"\xff\xfe", b"\xfe\xff")
    with unpack(
        path, "rt", encoding=encoding or ("utf-16" if marked else "utf-8-sig"), newline=""
    ) as stream:
        yield stream


def _lines(stream: IO[str]) -> Iterator[str]:
    for line in stream:
        if "\0" in line:
            raise NotATableError("zero bytes")
        yield line


def _pieces(lines: Iterator[str]) -> Iterator[pd.DataFrame]:
    first = next(lines, "")
    told = re.fullmatch(r"sep=(.)[\r\n]+", first)
    heading = next(lines, "") if told else first
    second = next(lines, "")
    csv.field_size_limit(LONGEST_CELL)
    mark = told[1] if told else max(MARKS, key=lambda mark: _fit(heading, second, mark))
    every_line = itertools.chain([heading, second], lines)
    reader = csv.reader(every_line, delimiter=mark, strict=True)
    cells = next(reader, [])
    head = [name.strip() for name in cells]
    width = max(
        (n for n, name in enumerate(head, 1) if name), default=0
    )  # a trailing separator adds no column
    must_differ(head[:width], "line")
    for rows in _rows(reader, len(head), width, before=1 if told else 0):
        yield pd.DataFrame(rows, columns=head[:width], dtype=object)


def _fit(heading: str, second: str, mark: str) -> tuple[bool, int]:
    """How well a mark separates: the same number of cells in both lines first, then the more the
    better.
    """
    cells = [len(next(csv.reader([line], delimiter=mark), [])) for line in (heading, second)]
    fits = cells[0] == cells[1] > 1
    return fits, cells[0]


def _rows(reader: Any, columns: int, width: int, before: int) -> Iterator[list[list[str]]]:
    """The rows that are whole, a piece at a time; then NotATableError where there were others, or
    none.
    """
    ragged = NotATableError("ragged", columns=columns)
    swallowed = NotATableError("swallowed")
    rows = list[list[str]]()
    some = False
    nameless = False
    line = reader.line_num
    for row in reader:
        start = line + 1 + before
        lines = reader.line_num - line
        line = reader.line_num
        if not any(cell.strip() for cell in row[:2]) and not any(cell.strip() for cell in row):
            continue
        if len(row) != columns:
            ragged.add(f"line {start} has {len(row)}")
        elif lines > 1 and any(_holds_rows(value, width) for value in row):
            swallowed.add(f"line {start}")
        elif width < len(row) and any(cell.strip() for cell in row[width:]):
            nameless = True
        else:
            rows.append(row[:width])
        if len(rows) == PIECE_ROWS:
            some = True
            yield rows
            rows = []
    if rows:
        yield rows
    for wrong in (ragged, swallowed):
        if wrong.count:
            raise wrong
    must_differ([""] if nameless else [], "line")
    if not some and not rows:
        raise NotATableError("no lines")


def _holds_rows(value: str, columns: int) -> bool:
    marks = (max(line.count(mark) for mark in MARKS) for line in value.split("\n"))
    return "\n" in value and max(marks) >= columns - 1 > 0
