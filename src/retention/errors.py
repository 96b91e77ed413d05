"""What can go wrong, said once and in full: the table and column, what is wrong, how many rows,
what to do.

And how text is made fit for a terminal and a log: what data hold is never a command there.
"""

import json
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

SHOWN = 5  # ids and values named in a message
UNSEEN = (
    "Cc",
    "Cf",
    "Cs",
    "Zl",
    "Zp",
)  # Unicode's categories of control, format, half and line-breaking characters
JOINERS = (
    "\u200c\u200d"  # part of how names are written in Persian and Hindi; no terminal acts on them
)
ABSOLUTE = re.compile(
    r"(?<![\w.:/<])(?:/|[A-Za-z]:\\)(?:[^\s/\\'\"<>:|]+[/\\])+([^\s/\\'\"<>:|,;)]*)"
)


def printable(text: str, keep: str = "\n\t") -> str:
    r"""The text with each character that a terminal acts on, or that hides or reorders others, as
    its escape.

    Escapes are those of JSON, so that a JSON text stays the same data. Line breaks and tabs are
    kept.

    >>> print(printable("a\x1b[2Jb\u202ec\x9bd"))
    a\u001b[2Jb\u202ec\u009bd
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        char if char in keep or _is_shown(char) else json.dumps(char)[1:-1] for char in text
    )


def one_line(text: str) -> str:
    r"""The same with line breaks and tabs escaped as well: for a value inside a message, or a line
    of a log.

    >>> print(one_line("a\nb"))
    a\nb
    """
    return printable(text, keep="")


def _is_shown(char: str) -> bool:
    return char in JOINERS or unicodedata.category(char) not in UNSEEN


def without_paths(text: str) -> str:
    """The text with the last part alone of each absolute path: for pages and logs, which tell
    nothing of the machine.

    >>> without_paths("no /srv/data/clients.csv, see https://example.org/a/b")
    'no clients.csv, see https://example.org/a/b'
    """
    return ABSOLUTE.sub(r"\1", text)


class RetentionError(Exception):
    """The root of every error a user can cause; `exit_code` is what the command returns. Its text
    is `printable`.
    """

    exit_code = 2

    def __str__(self) -> str:
        return printable(super().__str__())


class ConfigError(RetentionError, ValueError):
    """A setting, parameter or path that cannot be used."""


class RunLockedError(RetentionError):
    """Another run holds the output folder."""

    exit_code = 3


class DiskFullError(RetentionError):
    """There is no room left to write a run."""

    exit_code = 1


class NotebookError(RetentionError):
    """One or more notebooks stopped with an error; `page` is the index with all other pages, if
    there is one.
    """

    exit_code = 1
    page: Path | None = None


@dataclass(frozen=True)
class Fault:
    """One kind of mistake in one column: how many rows, the first five of their ids and values, and
    the way out.
    """

    table: str
    column: str
    problem: str
    count: int
    ids: tuple[str, ...]
    remedy: str
    seen: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The fault as two lines of plain English.

        >>> print(Fault("clients", "start_date", "is empty", 2, ("c1", "c7"), "Fill it in."))
        clients.start_date: is empty (2 rows: c1, c7)
          Fill it in.
        """
        name = f"{self.table}.{self.column}" if self.column else self.table
        seen = f" (seen: {', '.join(self.seen)})" if self.seen else ""
        return (
            f"{one_line(f'{name}: {self.problem}{seen}{self._rows()}')}\n  {one_line(self.remedy)}"
        )

    def _rows(self) -> str:
        """How many rows, and the first of their ids."""
        if not self.count and not self.ids:
            return ""
        rows = f"{self.count} row{'' if self.count == 1 else 's'}"
        if not self.ids:
            return f" ({rows})"
        more = ", ..." if self.count > len(self.ids) else ""
        return f" ({rows}: {', '.join(self.ids)}{more})"


def merged(faults: Iterable[Fault]) -> list[Fault]:
    """The faults with those of one kind made one: rows added up, the first five ids and values
    kept.

    >>> [f.count for f in merged([Fault("t", "c", "is empty", 2, ("a",), "Fill it in.")] * 2)]
    [4]
    """
    kinds: dict[tuple[str, str, str, str], Fault] = {}
    for fault in faults:
        key = (fault.table, fault.column, fault.problem, fault.remedy)
        if before := kinds.get(key):
            ids = tuple(dict.fromkeys(before.ids + fault.ids))[:SHOWN]
            seen = tuple(dict.fromkeys(before.seen + fault.seen))[:SHOWN]
            fault = replace(fault, count=before.count + fault.count, ids=ids, seen=seen)
        kinds[key] = fault
    return list(kinds.values())


class DataError(RetentionError, ValueError):
    """The data cannot be used as they are; `faults` lists every reason at once, `repairs` what was
    mended unasked.
    """

    def __init__(self, faults: Iterable[Fault], repairs: tuple[str, ...] = ()) -> None:
        self.faults = tuple(faults)
        self.repairs = repairs
        count = len(self.faults)
        head = (
            f"{count} thing{'' if count == 1 else 's'} to mend in the data before it can be read:"
        )
        super().__init__("\n".join([head, *(str(fault) for fault in self.faults)]))


class DeliveryError(RetentionError):
    """A report that is made and could not be sent."""

    exit_code = 1
