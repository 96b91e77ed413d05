"""The charts of the verbs, drawn at once: what the verb gives back, plotted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from matplotlib.axes import Axes

from retention.analyst.compare import ratio
from retention.analyst.curves import incidence, restricted_mean, survival
from retention.analyst.result import Result
from retention.analyst.triangle import cohorts

ABOUT = """Draw {what} of `{verb}`.

    Parameters
    ----------
    study, *asked, **more
        As of `{verb}`.
    ax : matplotlib Axes, optional
        Where to draw; by default on new axes.

    Returns
    -------
    Axes
        The axes drawn on.

    Examples
    --------
    >>> retention.plot_{verb}({example}).has_data()
    True
    """


def _drawn(verb: Callable[..., Result], what: str, example: str) -> Callable[..., Axes]:
    """The function that draws what a verb gives back, documented as the verb is."""

    def plot(study: Any, *asked: Any, ax: Axes | None = None, **more: Any) -> Axes:
        return verb(study, *asked, **more).plot(ax)

    name = verb.__name__
    plot.__name__ = plot.__qualname__ = f"plot_{name}"
    plot.__doc__ = ABOUT.format(what=what, verb=name, example=example)
    return plot


plot_survival = _drawn(survival, "the curves", 'study, by="source"')
plot_incidence = _drawn(incidence, "the shares gone", 'study, ends="agency"')
plot_restricted_mean = _drawn(restricted_mean, "the mean months of service", 'study, by="industry"')
plot_ratio = _drawn(ratio, "the ratios", 'study, of="prepaid", by="source"')
plot_cohorts = _drawn(cohorts, "the triangle", "study")
