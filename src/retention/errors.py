"""What can go wrong, said once and in full: the table and column, what is wrong, how many rows, what to do."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

SHOWN = 5  # ids and values named in a message


class RetentionError(Exception):
    """The root of every error a user can cause; `exit_code` is what the command returns."""

    exit_code = 2


class ConfigError(RetentionError, ValueError):
    """A setting, parameter or path that cannot be used."""


class RunLockedError(RetentionError):
    """Another run holds the output folder."""

    exit_code = 3


class DiskFullError(RetentionError):
    """There is no room left to write a run."""

    exit_code = 1


class NotebookError(RetentionError):
    """One or more notebooks stopped with an error."""

    exit_code = 1


@dataclass(frozen=True)
class Fault:
    """One kind of mistake in one column: how many rows, the first five of their ids and values, and the way out."""

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
        rows = f"{self.count} row{'' if self.count == 1 else 's'}"
        more = ", ..." if self.count > len(self.ids) else ""
        where = f" ({rows}: {', '.join(self.ids)}{more})" if self.ids else f" ({rows})" if self.count else ""
        name = f"{self.table}.{self.column}" if self.column else self.table
        seen = f" (seen: {', '.join(self.seen)})" if self.seen else ""
        return f"{name}: {self.problem}{seen}{where}\n  {self.remedy}"


def merged(faults: Iterable[Fault]) -> list[Fault]:
    """The faults with those of one kind made one: rows added up, the first five ids and values kept.

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
    """The data cannot be used as they are; `faults` lists every reason at once, `repairs` what was mended unasked."""

    def __init__(self, faults: Iterable[Fault], repairs: tuple[str, ...] = ()) -> None:
        self.faults, self.repairs = tuple(faults), repairs
        count = len(self.faults)
        head = f"{count} thing{'' if count == 1 else 's'} to mend in the data before it can be read:"
        super().__init__("\n".join([head, *(str(fault) for fault in self.faults)]))
