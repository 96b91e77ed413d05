"""Names on charts, in place of legends: at ends of lines, and beside dots where there is room."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

Floats = npt.NDArray[np.float64]
SIZE = 9.0  # points, of all names
APART = 1.25  # of a line's height, between names at ends
# where a name may stand, in points from its dot, and on which of its sides the dot is then
SIDES = (
    *((7, -3, "left"), (5, 5, "left"), (5, -13, "left")),
    *((-7, -3, "right"), (-5, 5, "right"), (-5, -13, "right")),
)
NAMED = "name"
GAP = 8.0  # points, between the axes and the names beside them


@dataclass(frozen=True)
class End:
    """Where a line ends, in the chart's units, and what it is called."""

    x: float
    y: float
    text: str
    color: str


def name_ends(ax: Axes, ends: Sequence[End]) -> None:
    """Names right of the axes at the heights of the lines' ends, moved apart where they would
    touch.
    """
    beside = ax.get_yaxis_transform()
    names = [
        ax.annotate(
            end.text,
            (end.x, end.y),
            (1, end.y),
            textcoords=beside,
            fontsize=SIZE,
            color=end.color,
            va="center",
            annotation_clip=False,
        )
        for end in ends
    ]
    _whenever_drawn(ax, lambda: _spread(ax, ends, names))


def _spread(ax: Axes, ends: Sequence[End], names: Sequence[Annotation]) -> None:
    """Put the names at the heights of their ends, none on another and none above the axes."""
    wide, high = np.asarray(ax.get_window_extent().size) / figure_of(ax).dpi * 72
    order = sorted(range(len(ends)), key=lambda place: ends[place].y)
    bottom, top = ax.get_ylim()
    line = SIZE * APART * (top - bottom) / max(high, 1)
    halves = np.array([line * (1 + ends[place].text.count("\n")) / 2 for place in order])
    middles = np.array([ends[place].y for place in order], dtype=float)
    floor, ceiling = -np.inf, top
    for place, half in enumerate(halves):
        middles[place] = max(middles[place], floor + half)
        floor = middles[place] + half
    for place, half in reversed(list(enumerate(halves))):
        middles[place] = min(middles[place], ceiling - half)
        ceiling = middles[place] - half
    for place, middle in zip(order, middles, strict=True):
        names[place].set_position((1 + GAP / max(wide, 1), middle))


def name_dots(ax: Axes, dots: Floats, names: Sequence[str], colors: Sequence[str]) -> None:
    """The name beside each dot where there is room on one of its sides, those first in order first.

    `dots`: x and y in the chart's units, shape (dots, 2). The first have `names`; those behind have
    none.
    """
    _whenever_drawn(ax, lambda: _place(ax, dots, names, colors))


def _place(ax: Axes, dots: np.ndarray, names: Sequence[str], colors: Sequence[str]) -> None:
    for old in [text for text in ax.texts if text.get_gid() == NAMED]:
        old.remove()
    places = ax.transData.transform(dots)
    taken = [Bbox.from_extents(x - 4, y - 4, x + 4, y + 4) for x, y in places]
    for dot, name, color in zip(dots, names, colors, strict=False):
        for x, y, side in SIDES:
            text = ax.annotate(
                name,
                tuple(dot),
                (x, y),
                textcoords="offset points",
                fontsize=SIZE,
                color=color,
                ha=side,
                gid=NAMED,
                in_layout=False,
            )
            box = text.get_window_extent()
            inside = ax.bbox.contains(*box.min) and ax.bbox.contains(*box.max)
            if inside and not any(box.overlaps(other) for other in taken):
                taken.append(box)
                break
            text.remove()


def _whenever_drawn(ax: Axes, place: Callable[[], None]) -> None:
    """Call `place` now, and again whenever the figure says that it has changed."""
    place()
    figure_of(ax).add_callback(lambda _: place())


def figure_of(ax: Axes) -> Figure:
    """The figure that the axes are on."""
    return cast(Figure, ax.get_figure(root=True))
