"""A chart with its words, and what all charts share."""

import base64
import html
import io
import warnings
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes

from retention.words import say

# Okabe and Ito
PALETTE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000"]
DASHES = ["-", "--", "-.", ":"]
PUBLISHED = "#8a5a00"
DPI = 192  # two dots for each of a page's 96 to the inch: crisp on a phone and on paper
# a name in a script that the font lacks shows as boxes
warnings.filterwarnings("ignore", "Glyph .* missing from")


@dataclass(frozen=True)
class Picture:
    """A chart with the words that stand in for it (`alt`) and a caption that says what to see."""

    axes: Axes
    alt: str
    caption: str

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        if not self.axes.has_data():
            plt.close(self.axes.figure)  # type: ignore[arg-type]
            return {"text/plain": self.alt, "text/html": '<p class="finding empty" hidden></p>'}
        buffer = io.BytesIO()
        how: dict[str, Any] = {
            "dpi": DPI,
            "bbox_inches": "tight",
            "pad_inches": 0.15,
            "metadata": {"Software": None},
        }
        self.axes.figure.savefig(buffer, format="png", **how)  # type: ignore[union-attr]
        plt.close(self.axes.figure)  # type: ignore[arg-type]
        png = buffer.getvalue()
        # as a PNG begins
        size = [int.from_bytes(png[at : at + 4]) * 96 // DPI for at in (16, 20)]
        data = base64.b64encode(png).decode("ascii")
        image = '<img src="data:image/png;base64,{}" width="{}" height="{}" alt="{}">'
        image = image.format(data, *size, html.escape(self.alt))
        return {"text/plain": self.alt, "text/html": self._figure(image)}

    def _figure(self, image: str) -> str:
        """The image in a box, with its caption. On a phone a chart may be wider than the screen, so
        that one can read it; the box then moves sideways.
        """
        label = html.escape(say("shown.chart.label", caption=self.caption))
        caption = html.escape(self.caption)
        box = f'<div class="scroll" tabindex="0" role="region" aria-label="{label}">{image}</div>'
        return f"<figure>{box}<figcaption>{caption}</figcaption></figure>"


def axes(ax: Axes | None, height: float = 4.2) -> Axes:
    """The axes to draw on: those given, else new ones on a figure of this height, in inches."""
    if ax is not None:
        return ax
    sns.set_theme(
        style="ticks", font_scale=0.85, rc={"axes.spines.top": False, "axes.spines.right": False}
    )
    return plt.subplots(figsize=(7, height))[1]


def style(number: int) -> dict[str, Any]:
    """Colour and dashes of the line of this number; both differ from line to line."""
    return {"color": PALETTE[number % len(PALETTE)], "linestyle": DASHES[number % len(DASHES)]}


def error_bars(middle: Any, low: Any, high: Any) -> np.ndarray:
    """How far the bars of intervals reach, down and up: shape (2, n). An array, for Matplotlib
    warns of one Series.
    """
    return np.array([middle - low, high - middle], dtype=float)
