"""Charts of money: each function draws one frame on one axes and computes nothing."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import DateFormatter, YearLocator

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


def plot_billed(frame: pd.DataFrame, unit: str = "", *, ax: Axes | None = None) -> Axes:
    """Fees by month as a line, those to come as a dashed one with their interval.

    `frame`: `part` (billed or ahead), `month` (a day), `fees, low, high`.
    """
    ax = axes(ax, 3.0)
    billed, ahead = frame[frame["part"] == "billed"], frame[frame["part"] == "ahead"]
    if billed.empty:
        return ax
    ax.plot(billed["month"], billed["fees"], color=PALETTE[0], linewidth=2)
    last = billed.iloc[-1]
    if len(ahead):
        joined = pd.concat([billed.tail(1), ahead])
        low, high = (ahead[name].astype(float) for name in ("low", "high"))
        ax.fill_between(ahead["month"], low, high, color=PALETTE[0], alpha=0.13, linewidth=0)
        ax.plot(joined["month"], joined["fees"], "--", color=PALETTE[0], linewidth=2)
    ax.plot(last["month"], last["fees"], "o", color=PALETTE[0], markersize=6)
    number = short_money(last["fees"], unit)
    place = (last["month"], last["fees"])
    ax.annotate(number, place, (-4, 8), textcoords="offset points", ha="right", fontweight="bold")
    ax.set_ylim(0, None)
    ax.yaxis.set_major_formatter(lambda value, _: short_money(value, unit))
    ax.xaxis.set_major_locator(YearLocator())
    ax.xaxis.set_major_formatter(DateFormatter("%Y"))
    return ax
