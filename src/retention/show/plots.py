"""Charts: each function draws one frame on one axes and computes nothing; `Picture` shows it with
words.
"""

import base64
import html
import io
import textwrap
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter
from matplotlib.transforms import Bbox

PALETTE = [
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#E69F00",
    "#000000",
]  # Okabe and Ito
DASHES = ["-", "--", "-.", ":"]
PUBLISHED = "#8a5a00"
warnings.filterwarnings(
    "ignore", "Glyph .* missing from"
)  # a name in a script that the font lacks shows as boxes
LABEL = 26  # letters of a label's line: a longer one would leave no room for the chart on a phone
DPI = 192  # two dots for each of a page's 96 to the inch: crisp on a phone and on paper


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
        data = base64.b64encode(buffer.getvalue()).decode("ascii")
        size = [
            int.from_bytes(buffer.getvalue()[at : at + 4]) * 96 // DPI for at in (16, 20)
        ]  # as a PNG begins
        image = '<img src="data:image/png;base64,{}" width="{}" height="{}" alt="{}">'
        image = image.format(data, *size, html.escape(self.alt))
        caption = html.escape(
            self.caption
        )  # the box: on a phone a chart may be wider than the screen, so that one can read it
        box = (
            '<div class="scroll" tabindex="0" role="region" aria-label="Chart: '
            f'{caption}">{image}</div>'
        )
        body = f"<figure>{box}<figcaption>{caption}</figcaption></figure>"
        return {"text/plain": self.alt, "text/html": body}


def _axes(ax: Axes | None, height: float = 4.2) -> Axes:
    if ax is not None:
        return ax
    sns.set_theme(
        style="ticks", font_scale=0.85, rc={"axes.spines.top": False, "axes.spines.right": False}
    )
    return plt.subplots(figsize=(7, height))[1]


def _style(number: int) -> dict[str, Any]:
    return {"color": PALETTE[number % len(PALETTE)], "linestyle": DASHES[number % len(DASHES)]}


def plot_survival(
    curves: pd.DataFrame,
    at_risk: pd.DataFrame,
    title: str = "Signed for",
    *,
    ax: Axes | None = None,
) -> Axes:
    """Curves of the share still with us, intervals shaded, the numbers at risk below each month.

    `curves`: `group, month, survival, low, high, followed`; `at_risk`: groups by months.
    """
    ax = _axes(ax, 4.4)
    for number, (group, curve) in enumerate(curves.groupby("group", sort=False)):
        last = curve.iloc[-1].copy()
        last["month"] = curve["followed"].iloc[0]
        steps = pd.concat([curve, last.to_frame().T], ignore_index=True)
        month, low, high = (steps[c].astype(float) for c in ("month", "low", "high"))
        ax.step(
            month,
            steps["survival"].astype(float),
            where="post",
            label=str(group),
            linewidth=2,
            **_style(number),
        )
        ax.fill_between(
            month, low, high, step="post", alpha=0.13, color=_style(number)["color"], linewidth=0
        )
    ax.set(
        xlabel="Months of service",
        ylabel="Had not left by choice",
        ylim=(0, 1.02),
        xlim=(0, max(at_risk.columns)),
    )
    ax.set_xticks(list(at_risk.columns))
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    if len(curves):
        ax.legend(frameon=False, title=title)
    _numbers_below(ax, at_risk)
    return ax


def _numbers_below(ax: Axes, at_risk: pd.DataFrame) -> None:
    """Rows of counts under the axis: how many clients each point of the curve still rests on."""
    style: dict[str, Any] = {"transform": ax.get_xaxis_transform(), "fontsize": 9, "va": "top"}
    ax.text(0, -0.20, "Clients at risk", ha="left", color="0.3", **style)
    for number, (group, row) in enumerate(at_risk.iterrows()):
        y = -0.265 - 0.06 * number
        ax.annotate(
            str(group),
            (0, y),
            (-24, 0),
            ("axes fraction", "axes fraction"),
            "offset points",
            ha="right",
            va="top",
            fontsize=9,
            color=_style(number)["color"],
        )
        for month, count in row.items():
            ax.text(
                float(str(month)),
                y,
                f"{count:,}",
                ha="center",
                color=_style(number)["color"],
                **style,
            )


def _bars(middle: Any, low: Any, high: Any) -> np.ndarray:
    """How far the bars of intervals reach, down and up: shape (2, n). An array, for Matplotlib
    warns of one Series.
    """
    return np.array([middle - low, high - middle], dtype=float)


def plot_hazard(frame: pd.DataFrame, renewals: Sequence[int], *, ax: Axes | None = None) -> Axes:
    """Share leaving in each month of service, by group, with intervals; renewal months are marked.

    `frame`: `group, month, hazard, low, high`.
    """
    ax = _axes(ax)
    for month in renewals:
        ax.axvline(month, color="0.85", linewidth=6, zorder=0)
    for number, (group, part) in enumerate(frame.groupby("group", sort=False)):
        months = part["month"] + 0.25 * number - 0.12
        bars = _bars(part["hazard"], part["low"], part["high"])
        color = _style(number)["color"]
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
        xlabel="Month of service (grey: a fixed term comes due)",
        ylabel="Leave in that month",
        ylim=(0, None),
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
    ax = _axes(ax, 1.3 + 0.42 * max(len(rows), 1))
    none = 1.0 if scale == "ratio" else 0.0
    if rows.empty:
        return ax
    y = -rows.index.to_numpy(dtype=float)
    middle, low, high = (rows[name].to_numpy(float) for name in ("estimate", "low", "high"))
    bars = _bars(middle, low, high)
    ax.errorbar(
        middle, y, xerr=bars, fmt="o", color=PALETTE[0], capsize=3, markersize=6, linewidth=2
    )
    ax.axvline(none, color="0.4", linewidth=1)
    edge = ax.get_xaxis_transform()
    ax.text(none, 1.01, "no difference", transform=edge, ha="center", fontsize=9, color="0.35")
    if published:
        ax.axvline(published, color=PUBLISHED, linestyle="--", linewidth=1.4)
        ax.text(
            published,
            1.01,
            f" published {published:g}",
            transform=edge,
            ha="left",
            fontsize=9,
            color=PUBLISHED,
        )
    if scale == "ratio":
        ax.set_xscale("log")
        least = 0.9 * min(rows["low"].min(), 1)
        most = 1.1 * max(rows["high"].max(), 2)
        ticks = [t for t in (0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4, 6, 10) if least <= t <= most]
        ax.set_xticks(ticks, [f"{t:g}" for t in ticks])
        ax.minorticks_off()
    ax.set_yticks(y, [textwrap.fill(str(words), LABEL) for words in rows["choice"]])
    ax.set(ylim=(y.min(initial=0) - 0.6, 0.6), xlabel=scale.capitalize())
    return ax


def effect_words(rows: pd.DataFrame, scale: str = "ratio") -> str:
    """What `plot_effects` shows, in words: the first row, the span of the others, how many leave no
    difference open.

    >>> rows = {"choice": ["a", "b"], "estimate": [2, 1.5], "low": [1.5, 0.9], "high": [3, 2]}
    >>> effect_words(pd.DataFrame(rows)).split(". ")[0]
    'a: 2.00 (1.50 to 3.00)'
    """
    rows = rows.dropna(subset="low")
    none = 1.0 if scale == "ratio" else 0.0
    if rows.empty:
        return "Nothing could be computed."
    first = rows.iloc[0]
    others = rows["estimate"].iloc[1:]
    text = (
        f"{first['choice']}: {first['estimate']:.2f} ({first['low']:.2f} to {first['high']:.2f})."
    )
    if others.empty:
        return text
    wide = int(((rows["low"] <= none) & (rows["high"] >= none)).sum())
    span = f"lie between {others.min():.2f} and {others.max():.2f}"
    return f"{text} Other ways {span}; of all {len(rows)}, {wide} leave no difference possible."


def plot_before(frame: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Means with intervals over the months before something happened, a line a measure.

    `frame`: `measure, months_before` (0 and below)`, mean, low, high`.
    """
    ax = _axes(ax, 3.8)
    for number, (measure, part) in enumerate(frame.groupby("measure", sort=False)):
        style = _style(number)
        ax.plot(
            part["months_before"],
            part["mean"],
            marker="os"[number % 2],
            label=str(measure),
            linewidth=2,
            **style,
        )
        ax.fill_between(
            part["months_before"],
            part["low"],
            part["high"],
            alpha=0.13,
            color=style["color"],
            linewidth=0,
        )
    ax.set(xlabel="Months to the decision", ylabel="SD from the mean of all clients")
    if len(frame):
        ax.axhline(0, color="0.4", linewidth=1)
        ax.legend(frameon=False)
    return ax


def plot_funnel(frame: pd.DataFrame, limits: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Ends over those expected, by how many were expected, inside limits that luck alone would
    rarely leave.

    `frame`: people by `expected, ratio, few` (too few expected to say anything: drawn grey);
    `limits`: `expected, low_95, high_95, low_998, high_998`.
    """
    ax = _axes(ax, 4.0)
    if frame.empty:
        return ax
    for level, dash in (("95", "--"), ("998", ":")):
        ax.plot(
            limits["expected"],
            limits[[f"low_{level}", f"high_{level}"]],
            dash,
            color="0.45",
            linewidth=1,
        )
    ax.axhline(1, color="0.4", linewidth=1)
    for row in frame.itertuples():
        color = "0.6" if row.few else PALETTE[0]
        ax.plot(row.expected, row.ratio, "o", color=color, markersize=7)
    ax.set(
        xlabel="Ends expected (dashed: 95% limits of luck; dotted: 99.8%)",
        ylabel="Ends over expected",
    )
    ax.set_ylim(0, None)
    _names(ax, frame.sort_values(["few", "expected"]))
    return ax


def _names(ax: Axes, frame: pd.DataFrame) -> None:
    """The name beside each dot where there is room on one of its sides; the tables name
    everybody.
    """
    dots = ax.transData.transform(frame[["expected", "ratio"]].to_numpy(float))
    taken = [Bbox.from_extents(x - 5, y - 5, x + 5, y + 5) for x, y in dots]
    for who, row in frame.iterrows():
        for x, y, side in ((5, 5, "left"), (-5, 5, "right"), (5, -13, "left"), (-5, -13, "right")):
            color = "0.5" if row.few else PALETTE[0]
            at = (row.expected, row.ratio)
            name = ax.annotate(
                str(who), at, (x, y), textcoords="offset points", fontsize=9, color=color, ha=side
            )
            box = name.get_window_extent()
            if not any(box.overlaps(other) for other in taken) and ax.bbox.contains(*box.min):
                taken.append(box)
                break
            name.remove()


def plot_scores(frame: pd.DataFrame, edges: Sequence[float], *, ax: Axes | None = None) -> Axes:
    """The NPS by month with its interval; dotted lines where the study's bands meet.

    `frame`: `wave` (months), `nps, low, high`.
    """
    ax = _axes(ax, 3.6)
    if frame.empty:
        return ax
    month = frame["wave"].dt.to_timestamp()
    ax.fill_between(month, frame["low"], frame["high"], color=PALETTE[0], alpha=0.18, linewidth=0)
    ax.plot(month, frame["nps"], "o-", color=PALETTE[0], linewidth=1.2, markersize=4)
    for edge in edges:
        ax.axhline(edge, color=PUBLISHED, linestyle=":", linewidth=1)
    ax.set(ylabel="NPS, points", xlabel="Month of the invitations")
    return ax


def plot_reliability(frame: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Shares that left against predicted risks, with intervals; the line is a model that is never
    off.

    `frame`: `predicted, observed, low, high`.
    """
    ax = _axes(ax, 4.0)
    if frame.empty:
        return ax
    top = float(frame[["predicted", "high"]].max().max()) * 1.05
    ax.plot([0, top], [0, top], color="0.4", linewidth=1)
    bars = _bars(frame["observed"], frame["low"], frame["high"])
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
        xlabel="Predicted churn risk",
        ylabel="Left by choice in the window",
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
    ax = _axes(ax, 2.6)
    if frame.empty:
        return ax
    place = np.arange(len(frame))
    ax.bar(place, frame["observed"], color=PALETTE[0], alpha=0.6, label="chose to leave")
    ax.plot(
        place,
        frame["expected"],
        color="0.2",
        marker="o",
        markersize=3,
        linewidth=1.5,
        label="expected",
    )
    names = [f"{month // 12}-{month % 12 + 1:02d}" for month in frame["month"]]
    ax.set_xticks(place[::-3][::-1], names[::-3][::-1])
    ax.set(ylabel="Clients", ylim=(0, None))
    ax.legend(frameon=False, loc="upper left")
    return ax


def plot_stacked(frame: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Shares that add up, one on top of the other, by month of service. `frame`: `group, month,
    share`.
    """
    ax = _axes(ax, 3.8)
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
        area.set(hatch=hatch, edgecolor="white")
    ax.set(
        xlabel="Months of service",
        ylabel="Gone by then",
        ylim=(0, 1),
        xlim=(wide.index.min(), wide.index.max()),
    )
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    ax.legend(frameon=False, loc="upper left")
    return ax


def plot_flow(frame: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Engagements started (up) and ended (down) each quarter. `frame`: `quarter, started,
    ended`.
    """
    ax = _axes(ax, 3.4)
    labels = frame["quarter"].astype(str)
    ax.bar(labels, frame["started"], color=PALETTE[0], label="started")
    ax.bar(labels, -frame["ended"], color=PALETTE[1], hatch="//", edgecolor="white", label="ended")
    ax.axhline(0, color="0.3", linewidth=0.8)
    ax.set(ylabel="Engagements a quarter", xlabel="")
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
    ax = _axes(ax, 4.0)
    if frame.empty:
        return ax
    level = frame.iloc[0]
    ax.axhspan(level["level_low"], level["level_high"], color="0.93", zorder=0)
    ax.axhline(level["level"], color="0.4", linewidth=1)
    ax.text(
        1,
        level["level"],
        "levels off",
        transform=ax.get_yaxis_transform(),
        ha="right",
        va="bottom",
        fontsize=9,
    )
    for number, (group, part) in enumerate(frame.groupby("group", sort=False)):
        style = _style(number)
        ax.plot(part["month"], part["mean"], linewidth=2, label=str(group), **style)
        ax.fill_between(
            part["month"], part["low"], part["high"], alpha=0.13, color=style["color"], linewidth=0
        )
    ax.set(xlabel="Months from the cut-off", ylabel=f"{unit or 'Money'} a month", ylim=(0, None))
    ax.set_xlim(0, float(frame["month"].max()))
    ax.set_xticks(range(0, int(frame["month"].max()) + 1, 12))
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    ax.legend(frameon=False, loc="lower left")
    return ax
