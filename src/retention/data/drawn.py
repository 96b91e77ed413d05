"""The queries of the recipes, filled in from a file's headings and from how its cells are written.

Dates and numbers with two readings are settled by the rest of the file, or asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property
from importlib.resources import files

import pandas as pd
from jinja2 import DictLoader, Environment, StrictUndefined

from retention.data.cells import texts
from retention.data.recipes import FOLDER, Export, by_key, months_in
from retention.data.words import sentence

NOTHING = ("", "-", "--")
AS_THEY_STAND = "all"  # the answer that adds up several currencies
_ISO = r"\d{4}[-/]\d{1,2}[-/]\d{1,2}.*"
_EPOCH = r"\d{9,13}(?:\.0+)?"
_DOTTED = r"\d{1,2}\.\d{1,2}\.\d{2,4}\b.*"
_SLASHED = r"(\d{1,2})[/.-](\d{1,2})[/.-]\d{2,4}\b.*"
_AROUND = r"^[^\d,.-]*|[^\d]*$"  # currencies and signs
_COMMAS = r"-?\d*,\d{1,2}|-?\d{1,3}(?:[. ]\d{3})+,\d+|-?\d{1,3}(?:\.\d{3}){2,}"
_POINTS = r"-?\d*\.\d{1,2}|-?\d*\.\d{4,}|0?\.\d+|-?\d{1,3}(?:[, ]\d{3})+(?:\.\d+)?"
_EITHER = r"-?[1-9]\d{0,2}\.\d{3}"


class Drawn:
    """The templates of one file's recipes, filled in from its headings and first rows.

    `asks` are the questions that its cells raise, by key.
    """

    def __init__(
        self, export: Export, alias: str, rows: pd.DataFrame, other: Callable[[str], Drawn | None]
    ) -> None:
        self.export = export
        self.file = f'"{alias}"'
        self.rows = rows
        self.by = by_key(tuple(rows.columns))
        self.asks: dict[str, str] = {}
        folder = files("retention.data").joinpath(FOLDER)
        parts_file = folder.joinpath("_parts.sql")
        parts = {"parts": parts_file.read_text("utf-8")}
        self.drawer = Environment(
            loader=DictLoader(parts),
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=StrictUndefined,
        )
        self.drawer.tests["search"] = lambda text, words: bool(re.search(words, text))
        self.drawer.globals.update(
            file=self.file,
            has=self.has,
            col=self.col,
            day=self.day,
            num=self.num,
            hours=self.hours,
            one_currency=self.one_currency,
            values=self.values,
            months=months_in(tuple(rows.columns)),
            client=self.client,
            other=other,
        )

    def text(self, template: str) -> str:
        """A template of the recipe, filled in."""
        imports = "{% import 'parts' as parts with context %}"
        template_filled = self.drawer.from_string(imports + template)
        filled = template_filled.render()
        return "\n".join(line.rstrip() for line in filled.splitlines() if line.strip()).strip()

    def has(self, names: str) -> bool:
        """Whether the file has a heading of one of the names."""
        return bool(self.export.actual(self.by, names))

    def col(self, names: str, of: str = "") -> str:
        """The heading as a query writes it; NULL where the file has none of the names. `of` is the
        name of the file in the query.
        """
        name = self.export.actual(self.by, names)
        if not name:
            return "NULL"
        quoted = '"' + name.replace('"', '""') + '"'
        return f"{of}.{quoted}" if of else quoted

    def values(self, names: str) -> list[str]:
        """The different values of a column in the first rows, in lower case."""
        name = self.export.actual(self.by, names)
        return self._words(name) if name else []

    def _words(self, heading: str) -> list[str]:
        cells = texts(self.rows[heading])
        different = set(cells.str.casefold())
        return sorted(different - {""})

    def day(self, names: str, of: str = "") -> str:
        """The macro that reads a column's dates, by how its cells are written."""
        name = self.export.actual(self.by, names)
        if not name:
            return "CAST(NULL AS DATE)"
        cells = [cell for cell in self.values(names) if cell not in NOTHING]
        column = self.col(names, of)
        if cells and all(re.fullmatch(_EPOCH, cell) for cell in cells):
            return f"day_epoch({column})"
        slashed = [cell for cell in cells if re.fullmatch(_SLASHED, cell)]
        if not slashed or any(re.fullmatch(_ISO, cell) for cell in cells):
            return f"day({column})"
        order = _order(slashed) or self.order
        if order:
            return f"{order}({column})"
        self.asks["dates"] = sentence("two orders", column=name)
        return (
            f"CASE answer('dates') WHEN 'day first' THEN day_eu({column}) ELSE day_us({column}) END"
        )

    @cached_property
    def order(self) -> str:
        """The macro of the order that some column of dates of this file settles; empty where none
        does, or where they contradict each other.
        """
        found = set()
        for heading in self.rows:
            words = self._words(heading)
            cells = [word for word in words if word not in NOTHING]
            if cells and all(re.fullmatch(_SLASHED, cell) for cell in cells):
                found.add(_order(cells))
        settled = found - {""}
        return settled.pop() if len(settled) == 1 else ""

    def num(self, names: str, of: str = "") -> str:
        """The macro that reads a column's numbers, by what stands for decimals in it."""
        return self._read_by_style("number", names, of)

    def hours(self, names: str, of: str = "") -> str:
        """The macro that reads a column's hours, by what stands for decimals in it."""
        return self._read_by_style("hours", names, of)

    def _read_by_style(self, macro: str, names: str, of: str) -> str:
        column = self.col(names, of)
        if column == "NULL":
            return "CAST(NULL AS DOUBLE)"
        style = self._style(names)
        if style == "commas":
            return f"{macro}_eu({column})"
        if style == "points":
            return f"{macro}({column})"
        name = self.export.actual(self.by, names)
        self.asks["numbers"] = sentence("two styles", column=name, seen=style)
        return (
            f"CASE answer('numbers') WHEN '1.234,5' THEN {macro}_eu({column}) "
            f"ELSE {macro}({column}) END"
        )

    def _style(self, names: str) -> str:
        """What stands for decimals, "commas" or "points"; a number where only a person knows."""
        bare = [re.sub(_AROUND, "", cell) for cell in self.values(names)]
        plain = [re.sub("[\u00a0\u202f' ]", " ", cell) for cell in bare]
        if any(re.fullmatch(_COMMAS, cell) for cell in plain):
            return "commas"
        if any(re.fullmatch(_POINTS, cell) for cell in plain):
            return "points"
        doubtful = [cell for cell in plain if re.fullmatch(_EITHER, cell)]
        return doubtful[0] if doubtful else "points"

    def one_currency(self, names: str, before: str = "AND") -> str:
        """The condition that leaves one currency, where the column holds several; it asks which."""
        several = self.values(names)
        if len(several) < 2:
            return ""
        shown = ", ".join(several).upper()
        self.asks["currency"] = sentence("currencies", column=self.col(names), seen=shown)
        asked = "lower(answer('currency'))"
        given = f"coalesce(lower({self.col(names)}), {asked})"
        return f"{before} {asked} IN ('{AS_THEY_STAND}', {given})"

    def client(self, *names: str) -> str:
        """The client's id by the first of these columns that tells it, else as the file names the
        client.
        """
        given = [self.col(name) for name in names if self.export.actual(self.by, name)]
        known = [f"known_client({column})" for column in given]
        return f"coalesce({', '.join([*known, *given])})"


def _order(cells: list[str]) -> str:
    """The macro of the order in which slashed dates can be read; empty where either can be meant.

    >>> _order(["01/02/2024", "23/02/2024"]), _order(["01/02/2024"]), _order(["1.2.2024"])
    ('day_eu', '', 'day_eu')
    """
    pairs = [found for cell in cells if (found := re.fullmatch(_SLASHED, cell))]
    if any(int(found[2]) > 12 for found in pairs):
        return "day_us"
    if any(int(found[1]) > 12 for found in pairs):
        return "day_eu"
    dotted = pairs and all(re.fullmatch(_DOTTED, cell) for cell in cells)
    return "day_eu" if dotted else ""
