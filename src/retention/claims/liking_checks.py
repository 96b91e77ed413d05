"""Other ways to ask whether liking or results matter more (A6)."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd

from retention.claims.rep_liking import BOTH, liking_difference
from retention.contrast import Contrast
from retention.history.grids import result_grid
from retention.history.lagged import lagged_contrast
from retention.history.panel import WINDOW, Panel, lagged_rows
from retention.results import Estimates
from retention.settings import ResultsSettings
from retention.words import say

COSTS = ("cp", "cost")  # metrics so named are better when lower
# standard deviations by which those who do not answer may like the rep less
SHIFTS = (0.0, -0.5, -1.0, -1.5, -2.0)


def tipping(panel: Panel) -> list[Contrast]:
    """The difference if those who did not answer liked their rep less than their results let
    expect, by 0 to 2 SD.
    """
    rows = panel.rows
    known = rows.dropna(subset=list(BOTH))
    slope, level = (0.0, known["liking"].mean())
    if known["results"].nunique() > 1:
        slope, level = np.polyfit(known["results"], known["liking"], 1)
    predicted = level + slope * rows["results"]
    spread = known["liking"].std()
    silent = rows["silent"].fillna(9)
    contrasts = []
    for shift in SHIFTS:
        filled_in = predicted + shift * spread
        liking = rows["liking"].fillna(filled_in)
        filled = rows.assign(liking=liking, silent=silent)
        contrast = liking_difference(panel, filled, name=_silent_name(shift))
        contrasts.append(contrast)
    return contrasts


def _silent_name(shift: float) -> str:
    """What a shift of so many standard deviations (0 or below) is called."""
    if shift:
        return say("rep_liking.silent.less", sd=abs(shift))
    return say("rep_liking.silent.as_predicted")


def within_and_between(panel: Panel) -> Estimates:
    """Liking taken apart, results held fixed: the rep's other clients and the rest, the client's
    past and the rest.

    The first asks whether liked reps keep clients, the second whether a client that likes its rep
    less than it used to leaves sooner. Ratios per point of the rating, so that the two parts of a
    pair compare.
    """
    rated = panel.rows.dropna(subset=list(BOTH))
    rows = rated.reset_index(drop=True)
    past, rep = _past_means(panel, rows)
    has_rep = rows["rep"] != ""
    of_rep = np.where(has_rep, rep, np.nan)
    usual_means = {"rep": of_rep, "own": past}
    ratio = say("rep_liking.whose.ratio")
    estimates = []
    for whose, mean in usual_means.items():
        change = rows["liking"] - mean
        split = rows.assign(usual=mean, change=change)
        for part in ("usual", "change"):
            name = say(f"rep_liking.whose.{whose}_{part}")
            contrast = lagged_contrast(
                split, ("results",), {part: 1.0}, name, plain=("usual", "change")
            )
            if math.isfinite(contrast.theta):
                estimate = contrast.estimate("A6", ratio, name)
                estimates.append(estimate)
    return Estimates(tuple(estimates), say("rep_liking.whose.caption"))


def _past_means(panel: Panel, rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """For each row, from earlier months alone: the client's mean rating, and that of its rep's
    other clients.
    """
    spells = panel.spells
    years = spells["start_date"].dt.year * 12
    start = (years + spells["start_date"].dt.month).to_numpy()
    answered = ~np.isnan(panel.liking)
    who, month = np.nonzero(answered)
    clients = spells["client_id"].to_numpy()
    ratings = pd.DataFrame(
        {
            "who": clients[who],
            "rep": panel.rep[who, month],
            "at": start[who] + month,
            "rating": panel.liking[who, month],
        }
    )
    given = rows["given"].to_numpy() - 1
    at = start[rows["row"]] + given
    whose = clients[rows["row"]]
    about = {"who": whose, "rep": rows["rep"], "at": at}
    asked = pd.DataFrame(about)
    own = _before(ratings, asked, ["who"])
    by_rep = _before(ratings, asked, ["rep"])
    both = _before(ratings, asked, ["who", "rep"])
    with np.errstate(invalid="ignore", divide="ignore"):
        rep_change = by_rep[0] - both[0]
        return own[0] / own[1], rep_change / (by_rep[1] - both[1])


def _before(ratings: pd.DataFrame, asked: pd.DataFrame, key: list[str]) -> np.ndarray:
    """Sum and number of the ratings with the same `key` in months before each of `asked`; shape (2,
    len(asked)).
    """
    each = ratings.groupby([*key, "at"])
    monthly = each["rating"].agg(["sum", "size"])
    so_far = monthly.groupby(level=key).cumsum()
    running = so_far.reset_index().astype({"at": float})
    place = np.arange(len(asked))
    when = asked["at"].astype(float)
    ordered = asked.assign(order=place, at=when)
    ordered = ordered.sort_values("at", kind="stable")
    running = running.sort_values("at", kind="stable")
    joined = pd.merge_asof(ordered, running, on="at", by=key, allow_exact_matches=False)
    joined = joined.sort_values("order")
    sums = joined[["sum", "size"]]
    return sums.fillna(0).to_numpy(float).T


def specification_curve(
    panel: Panel, results: pd.DataFrame | None, settings: ResultsSettings
) -> list[Contrast]:
    """The difference for each metric in the data and each window of 1, 3 and 6 months, smallest
    first.

    A metric other than the primary one counts as better when higher, unless its name says that it
    is a cost.
    """
    if results is None:
        return []
    blank = np.full_like(panel.liking, np.nan)
    contrasts = []
    for metric in sorted(results["metric"].dropna().unique()):
        metric_name = str(metric).casefold()
        cost = metric_name.startswith(COSTS)
        is_primary = metric == settings.primary
        better = settings.better if is_primary else "lower" if cost else "higher"
        other = ResultsSettings(primary=str(metric), better=better)
        of_metric = results[results["metric"] == metric]
        grid = result_grid(blank, panel.spells, of_metric, other)
        for window in (1, WINDOW, 6):
            name = say("rep_liking.curve.choice", metric=metric, window=window)
            other_panel = replace(panel, results=grid)
            rows = lagged_rows(other_panel, window=window)
            contrasts.append(liking_difference(panel, rows, name=name))
    return sorted(contrasts, key=lambda contrast: contrast.theta)
