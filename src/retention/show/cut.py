"""Charts of what an analyst cut by a column of their own."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from retention.show.labels import End, name_ends
from retention.show.picture import axes, style
from retention.words import say


def plot_incidence(frame: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Shares gone by month of service, a line a group and kind of end, intervals shaded.

    `frame`: `group, kind, month, share, low, high`.
    """
    ax = axes(ax, 3.6)
    ends = []
    one_kind = frame["kind"].nunique() < 2
    parts = frame.groupby(["group", "kind"], sort=False)
    for number, ((group, kind), part) in enumerate(parts):
        look = style(number)
        months = part["month"].astype(float)
        ax.step(months, part["share"], where="post", linewidth=2, **look)
        ax.fill_between(
            months,
            part["low"].astype(float),
            part["high"].astype(float),
            step="post",
            alpha=0.13,
            color=look["color"],
            linewidth=0,
        )
        name = str(group) if one_kind else say("analyst.chart.line", group=group, kind=kind)
        last = part.iloc[-1]
        ends.append(End(float(last["month"]), float(last["share"]), name, look["color"]))
    ax.set(xlabel=say("shown.axis.service"), ylabel=say("shown.axis.gone"), ylim=(0, None))
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    name_ends(ax, ends)
    return ax
