"""Charts of clients: each function draws one frame on one axes and computes nothing."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from retention.show.colours import BAD, INK, MUTED, PALETTE, PAPER, SOFT
from retention.show.labels import name_dots
from retention.show.numbers import short_money
from retention.show.picture import axes
from retention.words import say

ROOM = 0.09  # of the highest bar: a lower one has no room for a number


def plot_risk_margin(frame: pd.DataFrame, unit: str = "", *, ax: Axes | None = None) -> Axes:
    """Every client's predicted churn risk over its margin a month; some are named.

    `frame`: `client, risk, margin, named`, those first that are named first.
    """
    ax = axes(ax, 3.6)
    if frame.empty:
        return ax
    named = frame["named"].astype(bool)
    others, first = frame[~named], frame[named]
    ax.plot(others["margin"], others["risk"], "o", color=MUTED, markersize=4, markeredgewidth=0)
    ax.plot(first["margin"], first["risk"], "o", color=BAD, markersize=6.5, markeredgewidth=0)
    ax.set(xlabel=say("shown.axis.margin"), ylabel=say("shown.axis.predicted"), ylim=(0, None))
    ax.margins(x=0.04, y=0.1)
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.xaxis.set_major_formatter(lambda value, _: short_money(value, unit))
    ax.locator_params(axis="x", nbins=6)
    dots = first[["margin", "risk"]].to_numpy(float)
    name_dots(ax, dots, [str(name) for name in first["client"]], [INK] * len(first))
    return ax


def plot_last_days(frame: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Clients by month as bars, those at risk in red at their foot.

    `frame`: `month` (as "Jan 2026"), `clients, at_risk`.
    """
    ax = axes(ax, 2.6)
    if frame.empty:
        return ax
    top = frame["clients"].max()
    for place, row in enumerate(frame.itertuples()):
        ax.bar(place, row.clients - row.at_risk, bottom=row.at_risk, color=MUTED, width=0.7)
        ax.bar(place, row.at_risk, color=BAD, width=0.7)
        number: dict[str, Any] = {"ha": "center", "fontsize": 9}
        if row.clients:
            text = f"{row.clients:,}"
            ax.text(place, row.clients + 0.01 * top, text, va="bottom", color=INK, **number)
        if row.at_risk > ROOM * top:
            text = f"{row.at_risk:,}"
            ax.text(place, row.at_risk / 2, text, va="center", color=PAPER, **number)
    ax.set_xticks(range(len(frame)), _months(list(frame["month"])))
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.spines["bottom"].set_color(SOFT)
    ax.tick_params(axis="x", length=0)
    ax.set_ylim(0, 1.12 * top)
    return ax


def _months(names: list[str]) -> list[str]:
    """Months, with the year below the first and where a year begins."""
    labels = []
    year = ""
    for name in names:
        month, of_year = name.split(" ")
        labels.append(month if of_year == year else f"{month}\n{of_year}")
        year = of_year
    return labels


def plot_margins(frame: pd.DataFrame, unit: str = "", *, ax: Axes | None = None) -> Axes:
    """A bar a client, most margin first, those below zero red; the first is named.

    `frame`: `client, margin`, most first.
    """
    ax = axes(ax, 3.0)
    if frame.empty:
        return ax
    margin = frame["margin"].astype(float)
    for chosen, color in ((margin >= 0, PALETTE[0]), (margin < 0, BAD)):
        part = margin[chosen]
        ax.bar(part.index, part, color=color, width=0.85, linewidth=0)
    ax.axhline(0, color=SOFT, linewidth=0.8)
    ax.set_xticks([])
    ax.spines["bottom"].set_visible(False)
    ax.set(ylabel=say("shown.axis.margin"), xlim=(-1, len(frame)))
    ax.yaxis.set_major_formatter(lambda value, _: short_money(value, unit))
    ax.annotate(
        str(frame["client"].iloc[0]),
        (0, margin.iloc[0]),
        (8, -8),
        textcoords="offset points",
        fontsize=9,
    )
    return ax
