"""Charts of reps, scores, counts and money: each function draws one frame on one axes and computes
nothing.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from retention.show.colours import BAD, BAND, GOOD, INK, MUTED, PALETTE, PAPER, PUBLISHED, SOFT
from retention.show.labels import End, name_dots, name_ends
from retention.show.numbers import signed
from retention.show.picture import axes, error_bars, style
from retention.words import Said, say

QUARTERS = 4  # that are named below answers


def plot_funnel(frame: pd.DataFrame, limits: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Ends over those expected, by how many were expected, inside limits that chance alone would
    rarely leave.

    `frame`: people by `expected, ratio, few` (too few expected to say anything: drawn grey);
    `limits`: `expected, low_95, high_95, low_998, high_998`.
    """
    ax = axes(ax, 3.4)
    if frame.empty:
        return ax
    for level, dash in (("95", "--"), ("998", ":")):
        ax.plot(
            limits["expected"],
            limits[[f"low_{level}", f"high_{level}"]],
            dash,
            color=SOFT,
            linewidth=1,
        )
    ax.axhline(1, color=SOFT, linewidth=1)
    for row in frame.itertuples():
        color = MUTED if row.few else PALETTE[0]
        ax.plot(row.expected, row.ratio, "o", color=color, markersize=7)
    ax.set(xlabel=say("shown.axis.expected"), ylabel=say("shown.axis.over_expected"))
    ax.set_ylim(0, None)
    by_weight = frame.sort_values(["few", "expected"], ascending=[True, False])
    name_dots(
        ax,
        by_weight[["expected", "ratio"]].to_numpy(float),
        [str(who) for who in by_weight.index],
        [SOFT if few else PALETTE[0] for few in by_weight["few"]],
    )
    return ax


def plot_scores(frame: pd.DataFrame, edges: Sequence[float], *, ax: Axes | None = None) -> Axes:
    """The NPS by month with its interval; dotted lines where the study's bands meet.

    `frame`: `wave` (months), `nps, low, high`.
    """
    ax = axes(ax, 3.4)
    if frame.empty:
        return ax
    month = frame["wave"].dt.to_timestamp()
    ax.fill_between(month, frame["low"], frame["high"], color=PALETTE[0], alpha=0.18, linewidth=0)
    ax.plot(month, frame["nps"], "o-", color=PALETTE[0], linewidth=1.2, markersize=4)
    for edge in edges:
        ax.axhline(edge, color=PUBLISHED, linestyle=":", linewidth=1)
    ax.set(ylabel=say("shown.axis.nps"), xlabel=say("shown.axis.invited"))
    return ax


def plot_reliability(frame: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Shares that left against predicted risks, with intervals; the line is a model that is never
    off.

    `frame`: `predicted, observed, low, high`.
    """
    ax = axes(ax, 3.4)
    if frame.empty:
        return ax
    top = float(frame[["predicted", "high"]].max().max()) * 1.05
    ax.plot([0, top], [0, top], color=SOFT, linewidth=1)
    bars = error_bars(frame["observed"], frame["low"], frame["high"])
    ax.errorbar(
        frame["predicted"],
        frame["observed"],
        yerr=bars,
        fmt="o-",
        color=PALETTE[0],
        capsize=3,
        linewidth=1.5,
    )
    ax.set(
        xlabel=say("shown.axis.predicted"),
        ylabel=say("shown.axis.left_in_window"),
        xlim=(0, top),
        ylim=(0, top),
    )
    ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    return ax


def plot_expected(frame: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Counts by month as bars, with a line for those expected.

    `frame`: `month` (from the year 0), `observed`, `expected`.
    """
    ax = axes(ax, 2.6)
    if frame.empty:
        return ax
    place = np.arange(len(frame))
    ax.bar(place, frame["observed"], color=PALETTE[0], alpha=0.6, label=say("shown.chart.chose"))
    ax.plot(
        place,
        frame["expected"],
        color=INK,
        marker="o",
        markersize=3,
        linewidth=1.5,
        label=say("shown.chart.expected"),
    )
    names = [f"{month // 12}-{month % 12 + 1:02d}" for month in frame["month"]]
    ax.set_xticks(place[::-3][::-1], names[::-3][::-1])
    ax.set(ylabel=say("shown.axis.clients"), ylim=(0, None))
    ax.legend(frameon=False, loc="upper left")
    return ax


def plot_flow(frame: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Engagements started (up) and ended (down) each quarter. `frame`: `quarter, started,
    ended`.
    """
    ax = axes(ax, 3.4)
    labels = frame["quarter"].astype(str)
    ax.bar(labels, frame["started"], color=PALETTE[0], label=say("shown.chart.started"))
    ax.bar(
        labels,
        -frame["ended"],
        color=PALETTE[1],
        hatch="//",
        edgecolor=PAPER,
        label=say("shown.chart.ended"),
    )
    ax.axhline(0, color=SOFT, linewidth=0.8)
    ax.set(ylabel=say("shown.axis.a_quarter"), xlabel="")
    ax.yaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
    step = max(1, len(labels) // 10)
    ax.set_xticks(range(0, len(labels), step), labels[::step], rotation=45, ha="right")
    ax.legend(frameon=False, ncols=2)
    return ax


def plot_outlook(frame: pd.DataFrame, unit: str = "", *, ax: Axes | None = None) -> Axes:
    """Money a month to come, by group, with intervals; the level it tends to is a line with its own
    interval.

    `frame`: `group, month` (0: now)`, mean, low, high, level, level_low, level_high`.
    """
    ax = axes(ax, 3.4)
    if frame.empty:
        return ax
    level = frame.iloc[0]
    ax.axhspan(level["level_low"], level["level_high"], color=BAND, zorder=0)
    ax.axhline(level["level"], color=SOFT, linewidth=1)
    ax.text(
        1,
        level["level"],
        say("shown.chart.levels_off"),
        transform=ax.get_yaxis_transform(),
        ha="right",
        va="bottom",
        fontsize=9,
    )
    ends = []
    for number, (group, part) in enumerate(frame.groupby("group", sort=False)):
        look = style(number)
        ax.plot(part["month"], part["mean"], linewidth=2, **look)
        end = part.iloc[-1]
        ends.append(End(end["month"], end["mean"], str(group), look["color"]))
        ax.fill_between(
            part["month"], part["low"], part["high"], alpha=0.13, color=look["color"], linewidth=0
        )
    ax.set(xlabel=say("shown.axis.from_cutoff"), ylabel=_money_axis(unit), ylim=(0, None))
    ax.set_xlim(0, float(frame["month"].max()))
    ax.set_xticks(range(0, int(frame["month"].max()) + 1, 12))
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    name_ends(ax, ends)
    return ax


def _money_axis(unit: str) -> Said:
    return say("shown.axis.money", unit=unit) if unit else say("shown.axis.any_money")


def plot_answers(frame: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Shares of detractors, passives and promoters by quarter, on top of each other, with the score
    above.

    `frame`: `quarter, detractors, passives, promoters, answered, nps`.
    """
    ax = axes(ax, 3.0)
    if frame.empty:
        return ax
    labels = [quarter.strftime("Q%q\n%Y") for quarter in frame["quarter"]]
    place = np.arange(len(labels))
    foot = np.zeros(len(labels))
    looks = {"detractors": BAD, "passives": BAND, "promoters": GOOD}
    for name, color in looks.items():
        share = (frame[name] / frame["answered"]).to_numpy(float)
        ax.bar(place, share, bottom=foot, color=color, width=0.8)
        middle = float(foot[-1] + share[-1] / 2)
        foot = foot + share
        text = say(f"shown.chart.{name}")
        shade = INK if name == "passives" else color
        ax.annotate(
            text,
            (1, middle),
            (4, 0),
            ("axes fraction", "data"),
            "offset points",
            fontsize=9,
            color=shade,
            va="center",
        )
    step = max(1, len(labels) // QUARTERS)
    shown = place[::-step][::-1]
    for at in shown:
        ax.text(at, 1.02, signed(frame["nps"].iloc[at]), ha="center", fontsize=9)
    ax.set_xticks(shown, [labels[at] for at in shown])
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.set(ylim=(0, 1.1), xlim=(-0.6, len(labels) - 0.4))
    ax.set_yticks([0, 0.5, 1])
    return ax
