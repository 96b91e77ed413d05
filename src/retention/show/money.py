"""Charts of money: each function draws one frame on one axes and computes nothing."""

import pandas as pd
from matplotlib.axes import Axes

from retention.show.colours import BAD, GOOD, INK, PALETTE, SOFT
from retention.show.numbers import short_money
from retention.show.picture import axes
from retention.words import say

TOTALS = ("before", "now")


def plot_waterfall(steps: pd.DataFrame, unit: str = "", *, ax: Axes | None = None) -> Axes:
    """Two totals and the steps between them, each bar from where the one before it ends.

    `steps`: `step, name, amount, start, end`, in order; `step` is before, now or what moved it.
    """
    ax = axes(ax, 3.2)
    if steps.empty:
        return ax
    for place, row in enumerate(steps.itertuples()):
        total = row.step in TOTALS
        color = PALETTE[0] if total else GOOD if row.amount > 0 else BAD
        ax.bar(place, row.end - row.start, bottom=row.start, color=color, width=0.72)
        text = short_money(row.amount, unit, plus=not total)
        ax.annotate(
            text,
            (place, max(row.start, row.end)),
            (0, 3),
            textcoords="offset points",
            ha="center",
            color=INK if total else color,
            fontsize=9.5,
            fontweight="bold",
        )
        if place + 1 < len(steps):
            ax.plot([place, place + 1], [row.end] * 2, ":", color=SOFT, linewidth=1, zorder=0)
    names = [_bar_name(row.step, row.name) for row in steps[["step", "name"]].itertuples(False)]
    ax.set_xticks(range(len(steps)), names)
    _bars_alone(ax)
    return ax


def _bar_name(step: str, name: str) -> str:
    """What stands below a bar: short enough for a phone."""
    return name.replace(" ", "\n") if step in TOTALS else say(f"shown.step.{step}")


def _bars_alone(ax: Axes) -> None:
    """No scale beside bars that bear their numbers."""
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="x", length=0)
    ax.margins(y=0.12)
    ax.set_ylim(bottom=min(0, ax.get_ylim()[0]) if ax.dataLim.y0 < 0 else 0)
