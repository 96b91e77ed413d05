"""What the exports of known tools are told by, and the queries that make our tables of them.

One TOML a tool under `recipes/`: adding a tool is adding a file. `_parts.sql` holds what several
queries share. METHODS 0: an end is the last paid day.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

FOLDER = "recipes"
KINDS = (
    "crm",
    "sheet",
    "subscriptions",
    "contracts",
    "invoices",
    "payments",
    "deals",
    "other",
)  # the best source of clients first
FEWEST_MONTHS = 6  # (ours) headings that are months, for a sheet to be one of months
_MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
_WORDED = re.compile(r"([a-z]{3})[a-z]*\.?[ '\u2019/-]+(\d{4}|\d{2})")
_YEAR_FIRST = re.compile(r"(\d{4})[-/](\d{1,2})(?:[-/]0?1(?:[ t]00:00(?::00)?)?)?")
_YEAR_LAST = re.compile(r"(\d{1,2})[-/](\d{4})")


@dataclass(frozen=True)
class Recipe:
    """How one of our tables is made of an export: the query, the headings that it cannot do
    without, what was taken for what, and what only a person knows.
    """

    query: str
    needs: tuple[str, ...] = ()
    conventions: tuple[str, ...] = ()
    assumes: tuple[str, ...] = ()  # what page 00 says of every number that rests on this table
    questions: tuple[dict[str, str], ...] = ()


@dataclass(frozen=True)
class Export:
    """One export of a tool: headings that tell it ("A|B": either), how it is laid out, what it
    gives, and what it lacks.
    """

    tool: str
    key: str
    name: str
    where: str
    documented: str
    signature: tuple[str, ...]
    kind: str = "other"
    lacks: str = ""
    absent: tuple[str, ...] = ()
    by_hand: bool = False  # told only where titles stand above the headings, or totals below
    by_month: bool = False  # told only where a row of months stands in the headings
    layout: dict[str, Any] = field(default_factory=dict)
    tables: dict[str, Recipe] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)  # "@end" stands for these headings

    def score(self, headings: tuple[str, ...]) -> int:
        """How many headings tell that this is it; 0 where one is lacking."""
        by = by_key(headings)
        if any(self.actual(by, name) for name in self.absent):
            return 0
        if self.by_month and len(months_in(headings)) < FEWEST_MONTHS:
            return 0
        return len(self.signature) * all(self.actual(by, name) for name in self.signature)

    def actual(self, by: dict[str, str], names: str) -> str:
        """The first of the names that is among the headings; "@end" stands for those of `names`."""
        spelt = [self.names[n[1:]] if n.startswith("@") else n for n in names.split("|")]
        return actual(by, "|".join(spelt))

    def lacking(self, table: str, headings: tuple[str, ...]) -> list[str]:
        """The headings that the table needs and the file has not."""
        by = by_key(headings)
        absent = [name for name in self.tables[table].needs if not self.actual(by, name)]
        spelt = [self.names[name[1:]] if name.startswith("@") else name for name in absent]
        return [name.split("|")[0] for name in spelt]


@cache
def exports() -> tuple[Export, ...]:
    """Every export that is known, by tool."""
    folder = files("retention.data").joinpath(FOLDER)
    paths = sorted((p for p in folder.iterdir() if p.name.endswith(".toml")), key=lambda p: p.name)
    return tuple(
        export for path in paths for export in _exports_of(path.name, path.read_text("utf-8"))
    )


def _exports_of(name: str, text: str) -> Iterator[Export]:
    told = tomllib.loads(text)
    stem = name.removesuffix(".toml")
    for key, how in told["exports"].items():
        tables = {name: _recipe(given) for name, given in how.get("tables", {}).items()}
        given = {
            "by_hand",
            "by_month",
            "lacks",
            "kind",
            "layout",
            "name",
            "where",
            "documented",
            "names",
        } & how.keys()
        yield Export(
            told["tool"],
            key if key == stem else f"{stem}_{key}",
            signature=tuple(how["signature"]),
            absent=tuple(how.get("absent", ())),
            tables=tables,
            **{part: how[part] for part in given},
        )


def _recipe(given: dict[str, Any]) -> Recipe:
    parts = ("needs", "conventions", "assumes", "questions")
    lists = {part: tuple(given.get(part, ())) for part in parts}
    query = given["query"].strip()
    return Recipe(query, **lists)


def heading_key(heading: str) -> str:
    """A heading without case, blanks, signs, and units in brackets.

    >>> heading_key("Ended At (UTC)"), heading_key("Ad Budget / mo")
    ('endedat', 'adbudgetmo')
    """
    bare = re.sub(r"\([^)]*\)|\[[^\]]*\]", "", heading)
    meant = bare if re.search(r"\w", bare) else heading
    return re.sub(r"[\W_]+", "", meant.casefold())


def months_in(headings: tuple[str, ...]) -> dict[str, str]:
    """The first day of the month that a heading is, of those that are one.

    >>> list(months_in(("Client", "Jan 2024", "Feb-24", "2024-03", "04/2024", "Total")).values())
    ['2024-01-01', '2024-02-01', '2024-03-01', '2024-04-01']
    """
    found = {heading: _month_of(heading.strip().casefold()) for heading in headings}
    return {heading: day for heading, day in found.items() if day}


def _month_of(heading: str) -> str:
    """The first day of a month, as YYYY-MM-DD; empty where the heading is none."""
    if (worded := _WORDED.fullmatch(heading)) and worded[1] in _MONTHS:
        year, month = worded[2], _MONTHS.index(worded[1]) + 1
    elif year_first := _YEAR_FIRST.fullmatch(heading):
        year, month = year_first[1], int(year_first[2])
    elif year_last := _YEAR_LAST.fullmatch(heading):
        year, month = year_last[2], int(year_last[1])
    else:
        return ""
    century = "20" if len(year) == 2 else ""
    return f"{century}{year}-{month:02}-01" if 1 <= month <= 12 else ""


def by_key(headings: tuple[str, ...]) -> dict[str, str]:
    """The headings by what they are compared by, of two alike the first."""
    return {heading_key(name): name for name in reversed(headings)}


def actual(by: dict[str, str], names: str) -> str:
    """The first of the names ("A|B") that is among the headings, as the file spells it; "A*" is
    any that begins so.
    """
    for name in names.split("|"):
        key = heading_key(name)
        if name.endswith("*") and (like := [by[k] for k in by if k.startswith(key)]):
            return like[0]
        if not name.endswith("*") and key in by:
            return by[key]
    return ""
