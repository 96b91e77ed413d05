"""Values on other scales than ours: the answers behind the NPS, and shares written as fractions of
per cent.

The one place that knows scales. Nothing is guessed: where the values leave a doubt, `Doubts` asks
with the counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from retention.data.schema import TABLES, Column, Table
from retention.data.words import read_words, sentence
from retention.errors import ConfigError
from retention.settings import ScaleSettings

NPS_SCALES: Mapping[str, dict[str, Any]] = read_words("scales.toml")
USUAL = "0-10"
TOP = 10
FRACTION = "fraction"
FEW_ANSWERS = 5  # (ours) fewer answers, all low, are no sign of another scale
MANY_ANSWERS = 30  # (ours) so many answers without an 8, 9 or 10 are one
PERCENT_COLUMNS = tuple(
    f"{table.name}.{column.name}"
    for table in TABLES.values()
    for column in table.columns
    if column.unit.startswith("percent")
)


def check_settings(scales: ScaleSettings) -> None:
    """Nothing; ConfigError where [scales.percent] names what is no column of per cents."""
    plain = {name.partition(".")[2] for name in PERCENT_COLUMNS}
    known = {*PERCENT_COLUMNS, *plain}
    unknown = sorted(set(scales.percent) - known)
    if unknown:
        names = ", ".join(unknown)
        columns = ", ".join(PERCENT_COLUMNS)
        raise ConfigError(sentence("no percent", names=names, known=columns))


def on_scale(table: Table, scales: ScaleSettings) -> Table:
    """The table with the bounds of its answers' scale, as the source writes them."""
    return replace(table, columns=tuple(_bounded(column, scales) for column in table.columns))


def _bounded(column: Column, scales: ScaleSettings) -> Column:
    if column.name != "nps":
        return column
    scale = NPS_SCALES[scales.nps or USUAL]
    return replace(column, low=scale["low"], high=scale["high"])


def how_percent(table: str, column: str, scales: ScaleSettings) -> str:
    """What the settings say of this column's per cents: "per cent", "fraction", or nothing."""
    usual = scales.percent.get(column, "")
    return scales.percent.get(f"{table}.{column}", usual)


def to_points(answers: pd.Series, scale: str | None) -> pd.Series:
    """The answers in points from 0 to 10 of which the classes of the NPS are made; blank stays
    blank.

    >>> to_points(pd.Series([1, 3, 4, 5], dtype="Int64"), "1-5").tolist()
    [2, 6, 8, 10]
    """
    about = NPS_SCALES[scale or USUAL]
    given = answers.astype("Int64")
    if "none" in about:
        given = given.mask(given == about["none"])
    if about.get("tenths"):
        return given // 10
    by_answer = enumerate(about["points"], about["low"])
    points = dict(by_answer)
    return given.map(points).astype("Int64")


def as_given(points: pd.Series, scale: str | None) -> pd.Series:
    """Each answer as the client gave it, in words: "8 of 10", or "4 of 5" on five stars; blank is
    empty text.

    >>> as_given(pd.Series([8.0, None]), "1-5").tolist()
    ['4 of 5', '']
    """
    about = NPS_SCALES[scale or USUAL]
    if about.get("tenths"):
        about = NPS_SCALES[USUAL]
    answers = {point: answer for answer, point in enumerate(about["points"], about["low"])}
    as_answered = points.map(answers)
    words = as_answered.map(f"{{:.0f}} of {about['high']}".format, na_action="ignore")
    as_texts = words.astype(object)
    return as_texts.where(points.notna(), "")


@dataclass
class Doubts:
    """What the values of a source leave in doubt about their scale, gathered a piece at a time."""

    scales: ScaleSettings
    seen: dict[str, list[tuple[int, float, float]]] = field(
        default_factory=dict
    )  # count, lowest, highest

    def look(self, table: str, column: str, values: pd.Series) -> None:
        """Take in one piece of a column of answers or per cents, as the source writes them."""
        name = f"{table}.{column}"
        asked = self.scales.nps if column == "nps" else how_percent(table, column, self.scales)
        if asked or not (column == "nps" or name in PERCENT_COLUMNS):
            return
        known = values.dropna().astype(float)
        known = known if column == "nps" else known[known > 0]
        if len(known):
            seen_before = self.seen.setdefault(name, [])
            seen_before.append((len(known), known.min(), known.max()))

    def questions(self) -> list[str]:
        """A question for each column whose values fit another scale than the usual one."""
        asks = []
        for name, parts in self.seen.items():
            counts, lows, highs = (np.array(part) for part in zip(*parts, strict=True))
            count = counts.sum()
            low = lows.min()
            high = highs.max()
            said = {"name": name, "count": f"{count:,}", "low": f"{low:g}", "high": f"{high:g}"}
            if name.endswith(".nps"):
                asks += [_which_nps(said)] if _too_low(count, high) else []
            elif high <= 1:
                asks.append(sentence("percent scale", **said))
        return asks


def _too_low(count: int, high: float) -> bool:
    return (count >= FEW_ANSWERS and high <= 5) or (count >= MANY_ANSWERS and high <= 7)


def _which_nps(said: dict[str, str]) -> str:
    fits = [name for name, about in NPS_SCALES.items() if float(said["high"]) <= about["high"]]
    lines = [f'  nps = "{name}"  # {NPS_SCALES[name]["says"]}' for name in fits if name != "0-100"]
    first = sentence("nps scale", **said)
    return "\n".join([first, *lines])
