"""A chart with its words, and what all charts share."""

import base64
import html
import re
import warnings
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from retention.data.schema import as_csv
from retention.errors import printable
from retention.results import EMPTY, large_enough
from retention.show.colours import INK, LINE, PALETTE, PAPER, PUBLISHED, SOFT
from retention.show.labels import figure_of
from retention.show.svg import drawn, text_of
from retention.theme import dressed
from retention.words import key_of, say

__all__ = ["PALETTE", "PUBLISHED", "Picture", "axes", "error_bars", "style"]
DASHES = ["-", "--", "-.", ":"]
WIDE, NARROW = 6.0, 3.5  # inches: half a page or more, and a phone
# what a page without our style sheet shows of the two: the wide one alone
HIDDEN = "display:none"
THEME = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.parse_math": False,  # names are data
    "text.color": INK,
    "axes.labelcolor": SOFT,
    "axes.edgecolor": SOFT,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.linewidth": 0.8,
    "xtick.major.width": 0.8,
    "ytick.major.width": 0.8,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "grid.color": LINE,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "figure.constrained_layout.use": True,
}
# a name in a script that the font lacks shows as boxes in measuring; the page has its own fonts
warnings.filterwarnings("ignore", "Glyph .* missing from")


@dataclass(frozen=True)
class Picture:
    """A chart, drawn for a page and for a phone, with its words.

    `alt` stands in for it; `caption` says what is drawn, `title` what is found; `data` are the rows
    drawn, which the page offers as CSV.
    """

    axes: Axes
    alt: str
    caption: str
    title: str = ""
    data: pd.DataFrame | None = None

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        figure = figure_of(self.axes)
        empty = not self.axes.has_data()
        shown = f'<p class="finding {EMPTY}" hidden></p>' if empty else self._html(figure)
        plt.close(figure)
        return {"text/plain": self.alt, "text/html": shown}

    def _html(self, figure: Figure) -> str:
        # no heading: a picture stands at any depth of a page
        title = f'<div class="title">{_text(self.title)}</div>' if self.title else ""
        caption = f"<figcaption>{title}<p>{_text(self.caption)}</p></figcaption>"
        wide, phone = self._drawn(figure, "wide", WIDE), self._drawn(figure, "phone", NARROW)
        return dressed(f'<figure class="chart">{caption}{wide}{phone}{self._source()}</figure>')

    def _drawn(self, figure: Figure, kind: str, width: float) -> str:
        """The chart at this width in inches, as SVG that the style sheet shows or hides."""
        figure.set_size_inches(width, figure.get_figheight())
        figure.draw_without_rendering()
        figure.pchanged()  # what was placed by hand is placed anew
        root = drawn(figure, f"{kind} {self.title} {self.caption} {self.alt}")
        root.attrib |= {"class": kind, "role": "img", "aria-label": printable(self.alt)}
        root.attrib["style"] += f";width:100%;max-width:{width * 96 * 1.3:.0f}px"
        if kind == "phone":
            root.attrib["style"] += f";{HIDDEN}"
        return text_of(root)

    def _source(self) -> str:
        """The link to the rows that are drawn, which hold no row on too few clients."""
        if self.data is None:
            return ""
        rows = as_csv(large_enough(self.data))
        link = "data:text/csv;base64," + base64.b64encode(rows.encode()).decode("ascii")
        name = re.sub(r"\W+", "-", key_of(self.caption).partition(":")[0]).strip("-")
        label = _text(say("shown.chart.csv_of", caption=self.title or self.caption))
        text = _text(say("shown.chart.csv"))
        anchor = f'<a download="{name}.csv" href="{link}" aria-label="{label}">{text}</a>'
        return f'<p class="src">{anchor}</p>'


def _text(words: str) -> str:
    """The words as HTML shows them: no markup, and no character that hides or reorders others."""
    return html.escape(printable(words))


def axes(ax: Axes | None, height: float = 3.4) -> Axes:
    """The axes to draw on: those given, else new ones on a figure of this height, in inches."""
    if ax is not None:
        return ax
    sns.set_theme(style="ticks", font_scale=0.85, rc=THEME)
    return plt.subplots(figsize=(WIDE, height))[1]


def style(number: int) -> dict[str, Any]:
    """Colour and dashes of the line of this number; both differ from line to line."""
    return {"color": PALETTE[number % len(PALETTE)], "linestyle": DASHES[number % len(DASHES)]}


def error_bars(middle: Any, low: Any, high: Any) -> np.ndarray:
    """How far the bars of intervals reach, down and up: shape (2, n). An array, for Matplotlib
    warns of one Series.
    """
    return np.array([middle - low, high - middle], dtype=float)
