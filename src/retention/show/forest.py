"""Estimates of several agencies under each other, with what they say together (a forest plot), and
each against how sure it is (a funnel plot).
"""

import textwrap
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from retention.show.colours import BAND, INK, MUTED, PALETTE, PUBLISHED, SOFT
from retention.show.picture import axes, error_bars
from retention.show.ranked import times

ROW = 0.25  # inches
LABEL = 22  # letters of a name's line, so that a phone has room for the chart
AGENCY, MEAN, NEXT = "agency", "mean", "next"  # kinds of rows
SMALLEST, LARGEST = 3.0, 9.0  # points: dots by weight
TICKS = (0.1, 0.2, 0.25, 0.5, 1, 2, 4, 5, 10, 20)  # of an axis of ratios
MOST_TICKS = 5


def plot_forest(
    frame: pd.DataFrame,
    none: float,
    published: float | None = None,
    *,
    ratio: bool,
    x: str = "",
    ax: Axes | None = None,
) -> Axes:
    """An interval a row, the first on top: thin with a dot by weight for an agency, thick for the
    mean and for what the next may expect.

    `frame`: `name, kind, estimate, low, high, weight`. `none` is a line, `published` a dashed one;
    the axis is of logs where the numbers are a `ratio`.
    """
    frame = frame.dropna(subset=["estimate", "low", "high"]).reset_index(drop=True)
    ax = axes(ax, 0.9 + ROW * max(len(frame), 3))
    if frame.empty:
        return ax
    ax.axvline(none, color=SOFT, linewidth=1, zorder=0)
    if published is not None:
        ax.axvline(published, color=PUBLISHED, linewidth=1.2, linestyle="--", zorder=0)
    largest = frame.loc[frame["kind"] == AGENCY, "weight"].max()
    for place, row in frame.iterrows():
        share = row["weight"] / largest if row["kind"] == AGENCY else 1.0
        _draw(ax, -float(str(place)), row, share)
    names = [textwrap.fill(str(name), LABEL) for name in frame["name"]]
    ax.set_yticks(-frame.index.to_numpy(), names)
    ax.tick_params(axis="y", length=0)
    ax.set(ylim=(-len(frame) + 0.4, 0.6), xlabel=x)
    if ratio:
        _ratios(ax)
    return ax


def _draw(ax: Axes, y: float, row: pd.Series, share: float) -> None:
    """One row: its interval, and where its estimate is; `share` is that of the largest weight."""
    if row["kind"] == NEXT:
        ax.plot([row["low"], row["high"]], [y, y], color=PALETTE[0], linewidth=6, alpha=0.35)
        return
    bars = error_bars(row["estimate"], row["low"], row["high"]).reshape(2, 1)
    if row["kind"] == MEAN:
        look: dict[str, Any] = {"fmt": "D", "color": PALETTE[0], "linewidth": 3, "markersize": 8}
    else:
        size = SMALLEST + (LARGEST - SMALLEST) * np.sqrt(share)
        look = {"fmt": "s", "color": INK, "linewidth": 1.2, "markersize": size}
    ax.errorbar(row["estimate"], y, xerr=bars, **look)


def _ratios(ax: Axes) -> None:
    """An axis of logs with ratios as its marks."""
    ax.set_xscale("log")
    low, high = ax.get_xlim()
    inside = [tick for tick in TICKS if low <= tick <= high]
    step = -(-len(inside) // MOST_TICKS) or 1
    ax.xaxis.set_major_locator(FixedLocator(inside[::step]))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(lambda value, _: times(value))


def plot_funnel_of_studies(
    frame: pd.DataFrame, mean: float, *, x: str, y: str, ax: Axes | None = None
) -> Axes:
    """Each agency's estimate (`theta`) against its standard error (`se`), the surest on top, with
    the funnel in which chance alone would put nearly all.
    """
    ax = axes(ax, 2.8)
    if frame.empty:
        return ax
    top = float(frame["se"].max()) * 1.1
    ax.fill([mean - 1.96 * top, mean, mean + 1.96 * top], [top, 0, top], color=BAND, zorder=0)
    ax.axvline(mean, color=MUTED, linewidth=1, zorder=1)
    ax.plot(frame["theta"], frame["se"], "o", color=PALETTE[0], markersize=5)
    ax.set(ylim=(top, 0), xlabel=x, ylabel=y)
    return ax
