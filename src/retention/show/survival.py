"""Charts of survival and of effects: each function draws one frame on one axes and computes
nothing.
"""

import textwrap
from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from retention.show.colours import BAND, PALETTE, PAPER, PUBLISHED, SOFT
from retention.show.labels import End, name_ends
from retention.show.picture import axes, error_bars, style
from retention.words import Said, say, together

BEHIND = 1.02  # room behind the last month: who leaves in it is seen to
LABEL = 26  # letters of a label's line: a longer one would leave no room for the chart on a phone


def plot_survival(
    curves: pd.DataFrame, at_risk: pd.DataFrame, month: int = 12, *, ax: Axes | None = None
) -> Axes:
    """Curves of the share still with us, intervals shaded, each named where it ends; the numbers at
    risk below each month.

    `curves`: `group, month, survival, low, high, followed`; `at_risk`: groups by months. A dot
    marks each curve at `month`.
    """
    ax = axes(ax, 3.7)
    ends = []
    last_month = max(at_risk.columns)
    for group, curve in curves.groupby("group", sort=False):
        curve = curve[curve["month"] <= last_month]
        last = curve.iloc[-1].copy()
        last["month"] = min(curve["followed"].iloc[0], last_month)
        steps = pd.concat([curve, last.to_frame().T], ignore_index=True)
        steps = steps[["month", "survival", "low", "high"]].astype(float)
        look = style(list(at_risk.index).index(group))
        _curve(ax, steps, month, look)
        text = say("shown.chart.group_share", group=group, share=float(last["survival"]))
        ends.append(End(float(last["month"]), float(last["survival"]), text, look["color"]))
    ax.set(xlabel=say("shown.axis.service"), ylim=(0, 1.02), xlim=(0, BEHIND * last_month))
    ax.set_xticks(list(at_risk.columns))
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    name_ends(ax, ends)
    if ends:
        _numbers_below(ax, at_risk)
    return ax


def _curve(ax: Axes, steps: pd.DataFrame, month: int, look: dict[str, Any]) -> None:
    """One curve in steps with its interval, and a dot at `month` where it is followed so far."""
    color = look["color"]
    ax.step(steps["month"], steps["survival"], where="post", linewidth=2, **look)
    ax.fill_between(
        steps["month"],
        steps["low"],
        steps["high"],
        step="post",
        alpha=0.13,
        color=color,
        linewidth=0,
    )
    if steps["month"].iloc[-1] >= month:
        at = steps.loc[steps["month"] <= month, "survival"].iloc[-1]
        ax.plot(month, at, "o", color=color, markersize=6)


def _numbers_below(ax: Axes, at_risk: pd.DataFrame) -> None:
    """Rows of counts under the axis: how many clients each point of the curve still rests on."""
    points: dict[str, Any] = {"textcoords": "offset points", "fontsize": 9, "va": "top"}
    place = ax.get_xaxis_transform()
    ax.annotate(
        say("shown.chart.at_risk"), (0, 0), (0, -33), place, ha="left", color=SOFT, **points
    )
    for number, (group, row) in enumerate(at_risk.iterrows()):
        color = style(number)["color"]
        down = -45 - 12 * number
        for month, count in row.items():
            at = (float(str(month)), 0.0)
            ax.annotate(f"{count:,}", at, (0, down), place, ha="center", color=color, **points)
        ax.annotate(str(group), (1, 0), (14, down), "axes fraction", color=color, **points)


def plot_hazard(frame: pd.DataFrame, renewals: Sequence[int], *, ax: Axes | None = None) -> Axes:
    """Share leaving in each month of service, by group, with intervals; renewal months are marked.

    `frame`: `group, month, hazard, low, high`.
    """
    ax = axes(ax, 3.2)
    for month in renewals:
        ax.axvline(month, color=BAND, linewidth=6, zorder=0)
    for number, (group, part) in enumerate(frame.groupby("group", sort=False)):
        months = part["month"] + 0.25 * number - 0.12
        bars = error_bars(part["hazard"], part["low"], part["high"])
        color = style(number)["color"]
        mark = "os"[number % 2]
        ax.errorbar(
            months, part["hazard"], yerr=bars, fmt=mark, color=color, alpha=0.25, markersize=0
        )
        ax.plot(
            months,
            part["hazard"],
            marker=mark,
            markersize=5,
            linewidth=1,
            label=str(group),
            color=color,
        )
    ax.set(
        xlabel=say("shown.axis.service_renewals"), ylabel=say("shown.axis.hazard"), ylim=(0, None)
    )
    ax.set_xticks(range(0, int(frame["month"].max() if len(frame) else 12) + 1, 6))
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    if len(frame):
        ax.legend(frameon=False)
    return ax


def plot_effects(
    rows: pd.DataFrame,
    published: float | None = None,
    scale: str = "ratio",
    *,
    ax: Axes | None = None,
) -> Axes:
    """Estimates with their intervals, first row on top; the published value and no difference are
    lines.

    `rows`: `choice, estimate, low, high`, ratios (drawn on a log axis) or differences.
    """
    rows = rows.dropna(subset="low").reset_index(drop=True)
    ax = axes(ax, 1.3 + 0.42 * max(len(rows), 1))
    if rows.empty:
        return ax
    y = -rows.index.to_numpy(dtype=float)
    middle, low, high = (rows[name].to_numpy(float) for name in ("estimate", "low", "high"))
    bars = error_bars(middle, low, high)
    ax.errorbar(
        middle, y, xerr=bars, fmt="o", color=PALETTE[0], capsize=3, markersize=6, linewidth=2
    )
    _reference_lines(ax, 1.0 if scale == "ratio" else 0.0, published)
    if scale == "ratio":
        _log_axis(ax, 0.9 * min(low.min(), 1), 1.1 * max(high.max(), 2))
    ax.set_yticks(y, [textwrap.fill(str(words), LABEL) for words in rows["choice"]])
    ax.set(ylim=(y.min(initial=0) - 0.6, 0.6), xlabel=say(f"shown.scale.{scale}"))
    return ax


def _reference_lines(ax: Axes, none: float, published: float | None) -> None:
    """Lines at no difference and at the published value, named above the chart."""
    above: dict[str, Any] = {"transform": ax.get_xaxis_transform(), "fontsize": 9}
    ax.axvline(none, color=SOFT, linewidth=1)
    ax.text(none, 1.01, say("shown.chart.no_difference"), ha="center", color=SOFT, **above)
    if published:
        name = say("shown.chart.published", published=published)
        ax.axvline(published, color=PUBLISHED, linestyle="--", linewidth=1.4)
        ax.text(published, 1.01, f" {name}", ha="left", color=PUBLISHED, **above)


def _log_axis(ax: Axes, least: float, most: float) -> None:
    """A logarithmic axis of ratios, with ticks at plain numbers from `least` to `most`."""
    ax.set_xscale("log")
    plain = (0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4, 6, 10)
    ticks = [tick for tick in plain if least <= tick <= most]
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.minorticks_off()


def effect_words(rows: pd.DataFrame, scale: str = "ratio") -> Said:
    """What `plot_effects` shows, in words: the first row, the span of the others, how many leave no
    difference open.

    >>> rows = {"choice": ["a", "b"], "estimate": [2, 1.5], "low": [1.5, 0.9], "high": [3, 2]}
    >>> effect_words(pd.DataFrame(rows)).split(". ")[0]
    'a: 2.00 (1.50 to 3.00)'
    """
    rows = rows.dropna(subset="low")
    none = 1.0 if scale == "ratio" else 0.0
    if rows.empty:
        return say("shown.effects.nothing")
    first = rows.iloc[0]
    lead = say(
        "shown.effects.first",
        choice=first["choice"],
        estimate=first["estimate"],
        low=first["low"],
        high=first["high"],
    )
    others = rows["estimate"].iloc[1:]
    if others.empty:
        return lead
    wide = int(((rows["low"] <= none) & (rows["high"] >= none)).sum())
    span = say("shown.effects.others", least=others.min(), most=others.max())
    return together(lead, span, say("shown.effects.open", n=wide, of=len(rows)))


def plot_before(frame: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Means with intervals over the months before something happened, a line a measure.

    `frame`: `measure, months_before` (0 and below)`, mean, low, high`.
    """
    ax = axes(ax, 3.2)
    ends = []
    for number, (measure, part) in enumerate(frame.groupby("measure", sort=False)):
        look = style(number)
        ax.plot(part["months_before"], part["mean"], marker="os"[number % 2], linewidth=2, **look)
        end = part.iloc[-1]
        ends.append(End(end["months_before"], end["mean"], str(measure), look["color"]))
        ax.fill_between(
            part["months_before"],
            part["low"],
            part["high"],
            alpha=0.13,
            color=look["color"],
            linewidth=0,
        )
    ax.set(xlabel=say("shown.axis.to_decision"), ylabel=say("shown.axis.sd"))
    if len(frame):
        ax.axhline(0, color=SOFT, linewidth=1)
        name_ends(ax, ends)
    return ax


def plot_stacked(frame: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Shares that add up, one on top of the other, by month of service. `frame`: `group, month,
    share`.
    """
    ax = axes(ax, 3.8)
    if frame.empty:
        return ax
    wide = frame.pivot(index="month", columns="group", values="share")[
        list(dict.fromkeys(frame["group"]))
    ]
    areas = ax.stackplot(
        wide.index, wide.to_numpy().T, labels=wide.columns, colors=PALETTE, alpha=0.75
    )
    for area, hatch in zip(
        areas, ("", "//", "..", "xx"), strict=False
    ):  # colour is never the only sign
        area.set(hatch=hatch, edgecolor=PAPER)
    ax.set(
        xlabel=say("shown.axis.service"),
        ylabel=say("shown.axis.gone"),
        ylim=(0, 1),
        xlim=(wide.index.min(), wide.index.max()),
    )
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    ax.legend(frameon=False, loc="upper left")
    return ax
