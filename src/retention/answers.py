"""What a page says first: its answer, and the figures that the index shows as tiles.

Like all results they show HTML to people and JSON to the run. Nothing here computes a statistic.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from retention.numbers import quantity
from retention.results import MIME, Finding, finite, shown_part
from retention.words import Said, key_of, say


@dataclass(frozen=True)
class Answer:
    """The answer to a page's question: `title` in at most 15 words, the `evidence` for it in a
    line, and what to `do`. A page about a claim needs none: its verdict has them.
    """

    id: str
    title: Said
    evidence: str = ""
    do: str = ""

    def payload(self) -> dict[str, Any]:
        """What the run collects."""
        row = {"id": self.id, "key": key_of(self.title), "title": self.title}
        return {"answers": [row | {"evidence": self.evidence, "do": self.do}]}

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        body = shown_part("answer", self)
        return {"text/plain": self.title, "text/html": body, MIME: finite(self.payload())}


@dataclass(frozen=True)
class Tile:
    """One figure of the first screen: `name` is an id of `words/tiles.toml`, `value` in `unit`.

    `about` says of what time or whom it is. `low` and `high`: its 95 % interval, NaN where there is
    none. `before`: the same one such time earlier. `series`: its course, oldest first. `good`: +1
    where more is better, -1 where less is, 0 where neither is.
    """

    name: str
    value: float
    unit: str
    about: str
    low: float = math.nan
    high: float = math.nan
    before: float = math.nan
    series: tuple[float, ...] = ()
    good: int = 1

    @property
    def label(self) -> Said:
        """What the figure is called."""
        return say(f"tiles.{self.name}.label")

    def payload(self) -> dict[str, Any]:
        """The row of results.json."""
        return dict(vars(self)) | {"label": self.label, "series": list(self.series)}


@dataclass(frozen=True)
class Tiles:
    """The tiles that one page has to offer, shown in a notebook as one line."""

    items: tuple[Tile, ...]

    def payload(self) -> Mapping[str, Any]:
        """What the run collects."""
        return {"tiles": [tile.payload() for tile in self.items if math.isfinite(tile.value)]}

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        known = [tile for tile in self.items if math.isfinite(tile.value)]
        parts = [
            say("tiles.shown", label=tile.label, value=quantity(tile.value, tile.unit))
            for tile in known
        ]
        line = Finding("tiles", "; ".join(parts))._repr_mimebundle_()
        return line | {MIME: finite(self.payload())}
