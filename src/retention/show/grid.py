"""Tables as pictures: cells coloured by their value, with their numbers."""

import pandas as pd
from matplotlib.axes import Axes

from retention.show.colours import BAD, INK, PALETTE
from retention.show.picture import axes

DEEPEST = 0.5  # opacity at which the numbers can still be read
GAP = 0.06  # between cells
MANY, SHORT = 4, 4  # more columns with longer names than these would touch on a phone


def plot_grid(
    frame: pd.DataFrame,
    x: str = "",
    y: str = "",
    below: str = PALETTE[0],
    above: str = BAD,
    *,
    ax: Axes | None = None,
) -> Axes:
    """A cell a row of the frame: the first row on top, columns in the order in which they come.

    `frame`: `row, column, value` (from -1 to 1: how deep the colour is, of `below` or `above`
    zero), `text`.
    """
    rows, columns = list(dict.fromkeys(frame["row"])), list(dict.fromkeys(frame["column"]))
    ax = axes(ax, 0.9 + 0.42 * max(len(rows), 3))
    if frame.empty:
        return ax
    for cell in frame.itertuples():
        place, line = columns.index(cell.column), rows.index(cell.row)
        depth = DEEPEST * min(abs(cell.value), 1.0)
        color = above if cell.value > 0 else below
        size = 1 - GAP
        ax.bar(place, size, bottom=line - size / 2, width=size, color=color, alpha=depth)
        ax.text(place, line, cell.text, ha="center", va="center", color=INK, fontsize=9)
    ax.set_xticks(range(len(columns)), columns)
    ax.set_yticks(range(len(rows)), rows)
    ax.set(xlabel=x, ylabel=y)
    ax.set_xlim(-0.5, len(columns) - 0.5)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.xaxis.tick_top()
    ax.xaxis.set_label_position("top")
    ax.tick_params(length=0)
    if len(columns) > MANY and max(map(len, columns)) > SHORT:
        ax.set_xticks(range(len(columns)), columns, rotation=35, ha="left", rotation_mode="anchor")
    ax.spines[:].set_visible(False)
    return ax
