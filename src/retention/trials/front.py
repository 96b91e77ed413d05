"""What stands in front of the page: whether acting helped, and which lists to go on with."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from retention.answers import Answer
from retention.numbers import number, with_interval
from retention.results import Estimate, Estimates, Finding, Findings
from retention.trials.draw import TRIABLE
from retention.trials.judged import Trial, word
from retention.words import Said, say

ROW = "E1"
OUTCOMES = {"churned": "points", "months": "months", "money": "money"}
TO_DO = {  # what follows from the newest trial of a list
    "helps": "go_on",
    "harms": "stop",
    "no_help": "stop",
    "unclear": "again",
    "running": "wait",
}
NO_TRIAL = "try"


def newest(made: tuple[Trial, ...]) -> dict[str, Trial]:
    """The trial that speaks for each list: the last that may be judged, else the last begun."""
    spoken: dict[str, Trial] = {}
    for trial in made:
        settled = word(trial) != "running"
        before = spoken.get(trial.list)
        if before is None or settled or word(before) == "running":
            spoken[trial.list] = trial
    return spoken


def decisions(made: tuple[Trial, ...]) -> pd.DataFrame:
    """A row a list that can be tried: `list, to_do` (an id), `trial` (its name; empty: none), and
    `kept`, the money kept a client by acting, less its cost, with `low` and `high`.
    """
    spoken = newest(made)
    rows = [_decision(name, spoken.get(name)) for name in TRIABLE]
    return pd.DataFrame(rows)


def _decision(name: str, trial: Trial | None) -> dict[str, object]:
    blank: dict[str, object] = {"list": name, "to_do": NO_TRIAL, "trial": "", "word": ""}
    if trial is None:
        return {**blank, **dict.fromkeys(("kept", "low", "high"), math.nan)}
    found = word(trial)
    to_do = TO_DO[found]
    money = (math.nan,) * 3
    if trial.complete:
        kept = trial.effect("money")
        money = (kept.theta, *kept.interval())
    if to_do == "go_on" and money[2] < 0:
        to_do = "too_dear"
    figures = dict(zip(("kept", "low", "high"), money, strict=True))
    return {"list": name, "to_do": to_do, "trial": trial.name, "word": found, **figures}


def shown(rows: pd.DataFrame) -> pd.DataFrame:
    """The decisions in words, a row a list."""
    money = [
        with_interval(row.kept, row.low, row.high, "money") if math.isfinite(row.kept) else ""
        for row in rows.itertuples()
    ]
    return pd.DataFrame(
        {
            "list": [say(f"lists.action.{name}") for name in rows["list"]],
            "what_to_do": [say(f"what_helped.to_do.{name}") for name in rows["to_do"]],
            "trial": rows["trial"].where(rows["trial"] != ""),
            "kept_a_client": [text or None for text in money],
        }
    )


def answer(made: tuple[Trial, ...], rows: pd.DataFrame) -> Answer:
    """Whether acting helped, by the trial that was settled last, and what to do with each list."""
    settled = [trial for trial in made if word(trial) != "running"]
    if settled:
        trial = settled[-1]
        title = _settled(trial)
        return Answer(ROW, title, _evidence(trial), _do(rows))
    if made:
        trial = made[-1]
        numbers = {"through": len(trial.counted), "planned": trial.planned}
        action = say(f"what_helped.acting.{trial.list}")
        title = say("what_helped.answer.running", action=action, **numbers)
        return Answer(ROW, title, say("what_helped.answer.why_wait"), _do(rows))
    return Answer(ROW, say("what_helped.answer.none"), say("what_helped.answer.how"), _do(rows))


def _settled(trial: Trial) -> Said:
    kept = -100 * trial.fewer_left.theta
    action = say(f"what_helped.acting.{trial.list}")
    return say(f"what_helped.answer.{word(trial)}", action=action, kept=abs(kept))


def _evidence(trial: Trial) -> str:
    low, high = trial.fewer_left.interval()
    acted, of_acted = trial.left("act")
    waited, of_waiting = trial.left("wait")
    limits = sorted((-100 * low, -100 * high))
    return say(
        "what_helped.answer.evidence",
        trial=trial.name,
        acted=acted,
        of_acted=of_acted,
        waited=waited,
        of_waiting=of_waiting,
        months=trial.horizon,
        interval=f"{number(limits[0], '.0f')} to {number(limits[1], '.0f')}",
    )


def _do(rows: pd.DataFrame) -> str:
    """What to do with the lists, joined by what is to be done; lists without a trial last."""
    parts = []
    for name in ("go_on", "too_dear", "stop", "again", "wait", NO_TRIAL):
        mine = rows.loc[rows["to_do"] == name, "list"]
        if len(mine):
            lists = ", ".join(say(f"what_helped.acting.{of}") for of in mine)
            parts.append(say(f"what_helped.do.{name}", lists=lists))
    return " ".join(parts)


def warnings(made: tuple[Trial, ...], changed: list[str]) -> Findings:
    """A warning for each trial in which acting does harm, told before the planned number is
    reached, and for each of which a draw was `changed` afterwards.
    """
    told = [say("what_helped.trial.harm", trial=trial.name) for trial in made if trial.harm]
    told += [say("what_helped.trial.changed", trial=name) for name in changed]
    items = [Finding(ROW, text, "warning") for text in told]
    return Findings(tuple(items), say("what_helped.trial.no_harm"))


def estimates(made: tuple[Trial, ...]) -> Estimates:
    """Of each trial that may be judged: the difference in the share that left, in months kept and
    in money, those to act less those to wait (METHODS 12).
    """
    rows = []
    for trial in made:
        if not trial.complete:
            continue
        for outcome, unit in OUTCOMES.items():
            found = trial.effect(outcome)
            values = np.array([found.theta, *found.interval()])
            values = 100 * values if unit == "points" else values
            counts = (found.n, int(trial.counted["churned"].sum()))
            name = say(f"what_helped.outcome.{outcome}", months=trial.horizon)
            rows.append(Estimate.of(ROW, name, trial.name, list(values), unit, counts))
    return Estimates(tuple(rows), say("what_helped.outcome.caption"))


def points(made: tuple[Trial, ...]) -> pd.DataFrame:
    """A row a judged trial for the chart: `name, estimate, low, high`, in points of the share that
    stayed, and `sense`.
    """
    rows = []
    for trial in made:
        if not trial.complete:
            continue
        low, high = trial.fewer_left.interval()
        sense = {"helps": "good", "harms": "bad"}.get(word(trial), "")
        name = say("what_helped.chart.name", trial=trial.name, n=len(trial.counted))
        values = (-100 * trial.fewer_left.theta, -100 * high, -100 * low)
        rows.append((name, *values, sense))
    return pd.DataFrame(rows, columns=["name", "estimate", "low", "high", "sense"])
