"""Estimates of several people or groups with their intervals, one under the other."""

import textwrap
from collections.abc import Callable

import pandas as pd
from matplotlib.axes import Axes

from retention.show.colours import BAD, GOOD, PALETTE, PUBLISHED, SOFT
from retention.show.picture import axes, error_bars
from retention.words import Said, say

LABEL = 22  # letters of a name's line, so that a phone has room for the chart
ROW = 0.25  # inches
SENSES = {"good": GOOD, "bad": BAD}
SAID = 8  # rows that stand in words


def plot_ranked(
    frame: pd.DataFrame,
    none: float | None = None,
    form: Callable[[float], str] = "{:g}".format,
    x: str = "",
    *,
    ax: Axes | None = None,
) -> Axes:
    """A dot with its interval a row, the first row on top; `none` is a line.

    `frame`: `name, estimate, low, high`, and perhaps `mark` (another value of the row, as a
    diamond) and `sense` (good, bad or blank: what the colour says). `form` writes the numbers of
    the axis.
    """
    frame = frame.dropna(subset=["estimate", "low", "high"]).reset_index(drop=True)
    ax = axes(ax, 0.9 + ROW * max(len(frame), 3))
    if frame.empty:
        return ax
    if none is not None:
        ax.axvline(none, color=SOFT, linewidth=1, zorder=0)
    for place, row in frame.iterrows():
        bars = error_bars(row["estimate"], row["low"], row["high"]).reshape(2, 1)
        color = SENSES.get(row.get("sense", ""), PALETTE[0])
        ax.errorbar(row["estimate"], -place, xerr=bars, fmt="o", color=color, linewidth=2)
    if "mark" in frame:
        ax.plot(frame["mark"], -frame.index.to_numpy(), "D", color=PUBLISHED, markersize=6)
    names = [textwrap.fill(str(name), LABEL) for name in frame["name"]]
    ax.set_yticks(-frame.index.to_numpy(), names)
    ax.tick_params(axis="y", length=0)
    ax.set(ylim=(-len(frame) + 0.4, 0.6), xlabel=x)
    ax.xaxis.set_major_formatter(lambda value, _: form(value))
    ax.locator_params(axis="x", nbins=5)
    return ax


def times(value: float) -> str:
    """A ratio on an axis."""
    return say("shown.chart.times", ratio=value)


def percent(value: float) -> str:
    """A share on an axis, with a digit where it is small."""
    return f"{value:.1%}".replace(".0%", "%")


def percents(value: float) -> str:
    """A number of per cents on an axis."""
    return f"{value:.0f}%".replace("-", "−")


def ranked_words(frame: pd.DataFrame, form: Callable[[float], str] = "{:g}".format) -> Said:
    """The chart in words: its first rows."""
    known = frame.dropna(subset=["estimate", "low", "high"])
    if known.empty:
        return say("shown.ranked.nothing")
    rows = [
        say(
            "shown.ranked.row",
            name=row.name,
            estimate=form(row.estimate),
            low=form(row.low),
            high=form(row.high),
        )
        for row in known.head(SAID)[["name", "estimate", "low", "high"]].itertuples(index=False)
    ]
    return say("shown.ranked.alt", n=len(known), rows="; ".join(rows))
