"""The charts of the page as frames and words."""

from __future__ import annotations

import pandas as pd

from retention.numbers import day_words
from retention.show.ranked import ranked_words
from retention.trials.track import Record
from retention.words import Said, say


def kept_title(points: pd.DataFrame) -> Said:
    """What the chart of trials finds: the last trial, and its direction if its interval has one."""
    if points.empty:
        return say("what_helped.chart.nothing")
    last = points.iloc[-1]
    kept = last["estimate"]
    if last["low"] <= 0 <= last["high"]:
        limits = {"low": last["low"], "high": last["high"]}
        return say("what_helped.chart.title_open", trial=last["name"], **limits)
    if kept < 0:
        return say("what_helped.chart.title_lost", trial=last["name"], lost=-kept)
    return say("what_helped.chart.title", trial=last["name"], kept=kept)


def kept_words(points: pd.DataFrame) -> Said:
    """The chart of trials in words."""
    return say("what_helped.chart.alt", rows=ranked_words(points, "{:.0f}".format))


def by_run(made: Record) -> pd.DataFrame:
    """A row an earlier run: `month` (from the year 0), `observed, expected`."""
    rows = [
        (run.cutoff.year * 12 + run.cutoff.month - 1, run.left, run.expected) for run in made.runs
    ]
    return pd.DataFrame(rows, columns=["month", "observed", "expected"])


def track_title(made: Record) -> Said:
    """What the chart of earlier runs finds."""
    if not made.runs:
        return say("what_helped.chart.track_none")
    predicted = sum(run.expected for run in made.runs)
    left = sum(run.left for run in made.runs)
    return say("what_helped.chart.track_title", runs=len(made.runs), predicted=predicted, left=left)


def track_words(made: Record) -> Said:
    """The chart of earlier runs in words."""
    rows = [
        say(
            "what_helped.chart.track_alt_row",
            day=day_words(run.cutoff),
            predicted=run.expected,
            left=run.left,
        )
        for run in made.runs
    ]
    return say("what_helped.chart.track_alt", rows="; ".join(rows))


def by_action(compared: pd.DataFrame) -> pd.DataFrame:
    """What was done without a trial (`without.frame`) as a chart takes it: `name, estimate, low,
    high`.
    """
    return compared.rename(columns={"action": "name", "difference": "estimate"})


def without_title(compared: pd.DataFrame) -> Said:
    """What the chart of things done without a trial finds: how many go with more or less leaving,
    of those that can be compared.
    """
    if compared.empty:
        return say("what_helped.chart.without_none")
    beyond = (compared["low"] > 0) | (compared["high"] < 0)
    apart = beyond & compared["trusted"].astype(bool)
    return say("what_helped.chart.without_title", n=int(apart.sum()), of=len(compared))


def without_words(rows: pd.DataFrame) -> Said:
    """The chart of things done without a trial in words."""
    return say("what_helped.chart.without_alt", rows=ranked_words(rows, "{:.0f}".format))
