"""What is guessed of an unknown export, file by file, and how sure each guess is."""

import json
import re
from dataclasses import dataclass, field
from functools import cached_property

import pandas as pd

from retention.data.delimited import NotATableError
from retention.data.find import Place, plain
from retention.data.parse import Evidence, parse
from retention.data.schema import TABLES, Column
from retention.data.words import fault
from retention.errors import ConfigError

SURE = "sure"
LIKELY = "likely"
GUESS = "a guess"


@dataclass
class Draft:
    """The text of a retention.toml, the questions that are left open in it, and what was refused
    and why.

    `dates` are questions of the section [dates], by key. `crosswalk`: names that join to no client,
    to be confirmed in a file of their own.
    """

    text: str = ""
    questions: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    dates: dict[str, str] = field(default_factory=dict)
    crosswalk: pd.DataFrame | None = None


@dataclass(frozen=True)
class Flag:
    """A column that says who has left: its words for that, its words for who stays, and why."""

    heading: str
    gone: tuple[str, ...]
    stays: tuple[str, ...]
    why: str

    @property
    def plain(self) -> bool:
        """Whether it says yes or no, and nothing else."""
        return len(self.gone) == len(self.stays) == 1


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
    flag: Flag | None = None  # who left, where a tenure stands in for dates
    tenure: str = ""
    tenure_unit: str = ""  # blank: whole months
    tenure_why: str = ""

    @cached_property
    def rows(self) -> pd.DataFrame:
        """The first rows; ConfigError where it is no table."""
        try:
            return next(self.place.pieces())
        except NotATableError as no:
            told = fault("<table>", "", no.kind, **no.said)
            raise ConfigError(f"{self.place.name} {told.problem}. {told.remedy}") from None

    def taken(self, name: str) -> str:
        """The heading that is taken for one of our columns; empty where none is."""
        heading = self.headings.get(name, ("",))[0]
        return heading if heading in self.rows else ""

    def drop(self, name: str, why: str) -> None:
        """Take no heading for that column after all, and say why."""
        heading = self.headings.pop(name)[0]
        self.refused.append(f"{word_of(heading)} was not taken as {name}: {why}")


def spaced(heading: str) -> str:
    """A heading as our columns are spelt, words run together taken apart: "CustomerID" is
    customer_id.
    """
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", heading)
    return plain(apart.replace(".", " "))


def typed(rows: pd.DataFrame, heading: str, name: str) -> pd.Series:
    """The cells as values of the named clients column; what cannot be read is missing."""
    column: Column = TABLES["clients"].column(name)
    evidence = Evidence()
    evidence.look(rows[heading], column)
    form = evidence.forms().get(name, "")
    return parse(rows[heading], column, form).values


def word_of(text: object) -> str:
    """Any text as a TOML string on one line."""
    quoted = json.dumps(str(text), ensure_ascii=False)
    return re.sub(r"[\x7f-\x9f\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", quoted)


def shortened(text: object) -> str:
    """Any text for a comment: on one line, and not long."""
    return word_of(str(text)[:80])
