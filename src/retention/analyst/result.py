"""What every verb gives back: a tidy frame, a sentence, a chart, and a table for eyes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from retention.results import Estimates, Listing, shown_part
from retention.show.picture import Picture

SHOWN = 20  # rows of a long table that are shown
Draw = Callable[[Axes | None], Axes]


@dataclass(frozen=True, repr=False)
class Result:
    """An answer: `frame` (tidy, a row an estimate), `sentence`, and `plot()`.

    Displayed in a notebook it shows the sentence and `table`, wide and short. Rows on very few
    clients are left out of what is shown where the settings say so, never of the frame.
    """

    frame: pd.DataFrame
    sentence: str
    shown: Estimates | Listing | None = field(repr=False)
    draw: Draw = field(repr=False)
    card: str = ""  # further HTML, above the table

    @property
    def known(self) -> bool:
        """Whether there is an answer: an estimate that may be read."""
        readable = self.frame["why"] == "" if "why" in self.frame else [True] * len(self.frame)
        return bool(len(self.frame)) and any(readable)

    @property
    def table(self) -> pd.DataFrame:
        """The table as shown: wide and short, numbers in words."""
        if self.shown is None:
            return self.frame
        return self.shown.frame() if isinstance(self.shown, Estimates) else self.shown.rows

    def plot(self, ax: Axes | None = None) -> Axes:
        """The chart, drawn on `ax` or on new axes, which are given back."""
        return self.draw(ax)

    def picture(self) -> Picture:
        """The chart for a page: drawn for wide screens and phones, with its rows as CSV."""
        caption = self.shown.caption if self.shown is not None else self.sentence
        return Picture(self.plot(), self.sentence, caption, data=self.frame)

    def __repr__(self) -> str:
        table = self.table.head(SHOWN)
        return f"{self.sentence}\n{table.to_string(index=False)}"

    def _repr_html_(self) -> str:
        sentence = shown_part("finding", self.sentence, "text")
        return sentence + self.card + self._listed()

    def _listed(self) -> str:
        if self.shown is None:
            return ""
        bundle: dict[str, Any] = self.shown._repr_mimebundle_()
        return str(bundle["text/html"])
