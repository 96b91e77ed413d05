"""The charts of the verbs, drawn at once: what the verb gives back, plotted."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes

from retention.analyst.compare import ratio
from retention.analyst.curves import incidence, restricted_mean, survival
from retention.analyst.triangle import cohorts


def plot_survival(study: Any, *, ax: Axes | None = None, **asked: Any) -> Axes:
    """Draw the curves of `survival`.

    Parameters
    ----------
    study, **asked
        As of `survival`.
    ax : matplotlib Axes, optional
        Where to draw; by default on new axes.

    Returns
    -------
    Axes
        The axes drawn on.

    Examples
    --------
    >>> retention.plot_survival(study, by="source").has_data()
    True
    """
    return survival(study, **asked).plot(ax)


def plot_incidence(study: Any, *, ax: Axes | None = None, **asked: Any) -> Axes:
    """Draw the shares gone of `incidence`.

    Parameters
    ----------
    study, **asked
        As of `incidence`.
    ax : matplotlib Axes, optional
        Where to draw; by default on new axes.

    Returns
    -------
    Axes
        The axes drawn on.

    Examples
    --------
    >>> retention.plot_incidence(study, ends="agency").has_data()
    True
    """
    return incidence(study, **asked).plot(ax)


def plot_restricted_mean(study: Any, *, ax: Axes | None = None, **asked: Any) -> Axes:
    """Draw the mean months of service of `restricted_mean`.

    Parameters
    ----------
    study, **asked
        As of `restricted_mean`.
    ax : matplotlib Axes, optional
        Where to draw; by default on new axes.

    Returns
    -------
    Axes
        The axes drawn on.

    Examples
    --------
    >>> retention.plot_restricted_mean(study, by="industry").has_data()
    True
    """
    return restricted_mean(study, **asked).plot(ax)


def plot_ratio(study: Any, of: Any, *, ax: Axes | None = None, **asked: Any) -> Axes:
    """Draw the ratios of `ratio`.

    Parameters
    ----------
    study, of, **asked
        As of `ratio`.
    ax : matplotlib Axes, optional
        Where to draw; by default on new axes.

    Returns
    -------
    Axes
        The axes drawn on.

    Examples
    --------
    >>> retention.plot_ratio(study, of="prepaid", by="source").has_data()
    True
    """
    return ratio(study, of, **asked).plot(ax)


def plot_cohorts(study: Any, *, ax: Axes | None = None, **asked: Any) -> Axes:
    """Draw the triangle of `cohorts`.

    Parameters
    ----------
    study, **asked
        As of `cohorts`.
    ax : matplotlib Axes, optional
        Where to draw; by default on new axes.

    Returns
    -------
    Axes
        The axes drawn on.

    Examples
    --------
    >>> retention.plot_cohorts(study).has_data()
    True
    """
    return cohorts(study, **asked).plot(ax)
