"""What each trial shows, by intention to treat, and the verdict on it (METHODS 1 and 12)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy import stats

from retention.claims.judge import Claim, judge
from retention.contrast import Contrast
from retention.history.trials import ACT, WAIT
from retention.results import DOES_NOT, HOLDS, NOT_ENOUGH, Verdict
from retention.stats.rerandomised import Effect, effect
from retention.words import say

LEVEL = 0.95
HARM = 0.001  # (ours) the error allowed to say early that acting does harm: Haybittle and Peto
FEWEST = 8  # (ours) clients whose horizon has passed, under which nothing is compared


class _Designed(Contrast):
    """A difference whose interval follows from the draw, so that few ends do not forbid it."""

    @property
    def gate(self) -> tuple[str, ...]:
        """What is lacking, and nothing else."""
        return self.lacking


@dataclass(frozen=True)
class Trial:
    """One trial: `rows` of `outcomes`, every client drawn for it."""

    name: str
    rows: pd.DataFrame

    @property
    def list(self) -> str:
        """The list that it tries."""
        return str(self.rows["list"].iloc[0])

    @property
    def horizon(self) -> int:
        """Months within which a client stays or leaves."""
        return int(self.rows["horizon_months"].iloc[0])

    @property
    def planned(self) -> int:
        """With how many clients it is judged; all that were drawn where nobody wrote it down."""
        planned = self.rows["planned"].dropna()
        return int(planned.iloc[0]) if len(planned) else len(self.rows)

    @property
    def smallest(self) -> float:
        """The difference that it was planned to see; NaN where nobody wrote it down."""
        smallest = self.rows["smallest"].dropna()
        return float(smallest.iloc[0]) if len(smallest) else math.nan

    @cached_property
    def counted(self) -> pd.DataFrame:
        """The rows that are judged: of whole draws in their order until the planned number is
        reached, those whose horizon has passed and who were clients on the day.

        Later draws do not count, so that a verdict once given stands.
        """
        first = self.rows.groupby("drawn_on")["client_id"].size().sort_index().cumsum().shift()
        needed = first.index[~(first >= self.planned)]
        mine = self.rows[self.rows["drawn_on"].isin(needed)]
        return mine[mine["over"] & mine["known"]]

    @property
    def complete(self) -> bool:
        """Whether the planned number is through and may be judged."""
        return len(self.counted) >= self.planned

    @property
    def acting(self) -> pd.Series:
        """Whether each counted client was drawn to act."""
        return self.counted["arm"] == ACT

    def effect(self, outcome: str) -> Effect:
        """The difference in an outcome, those to act less those to wait, adjusted for the stratum
        and the predicted risk.
        """
        rows = self.counted.dropna(subset=[outcome])
        acted = (rows["arm"] == ACT).to_numpy()
        before = rows["predicted"].astype(float).to_numpy()
        strata = rows["stratum"].astype(str) + "|" + rows["drawn_on"].astype(str)
        return effect(rows[outcome].to_numpy(float), acted, strata.to_numpy(), before)

    @cached_property
    def fewer_left(self) -> Effect:
        """The difference in the share that left by choice."""
        return self.effect("churned")

    def left(self, arm: str) -> tuple[int, int]:
        """How many of an arm left by choice, of how many whose horizon has passed."""
        mine = self.counted[self.counted["arm"] == arm]
        return int(mine["churned"].sum()), len(mine)

    @cached_property
    def harm(self) -> bool:
        """Whether, of those whose horizon has passed, so many more left among those acted on that
        one trial in a thousand would show it by chance (one-sided exact test).
        """
        acted, of_acted = self.left(ACT)
        waited, of_waiting = self.left(WAIT)
        table = [[acted, of_acted - acted], [waited, of_waiting - waited]]
        return bool(stats.fisher_exact(table, alternative="greater")[1] < HARM)

    @cached_property
    def verdict(self) -> Verdict:
        """Whether acting keeps clients, by the rule stated in advance: 'holds' where the interval
        lies beyond no difference, 'does not hold' where it excludes what the trial was planned to
        see.
        """
        return judge(_claim(self), _contrast(self))


def _claim(trial: Trial) -> Claim:
    """The trial as a claim of the rule: fewer of those acted on leave."""
    smallest = trial.smallest
    return Claim(
        id=trial.name,
        question=say("what_helped.trial.question", trial=trial.name),
        tier="secondary",
        estimand=say("what_helped.trial.estimand", months=trial.horizon),
        scale="difference",
        direction="below",
        smallest=0.0,
        level=LEVEL,
        band=None if math.isnan(smallest) else (-1.0, -smallest),
    )


def _contrast(trial: Trial) -> Contrast:
    found = trial.fewer_left
    lacking: tuple[str, ...] = ()
    if not trial.complete:
        through = len(trial.counted)
        lacking = (say("what_helped.trial.not_yet", through=through, planned=trial.planned),)
    elif not math.isfinite(found.se):
        lacking = (say("what_helped.trial.nobody_differs"),)
    counts = {arm: trial.left(arm)[0] for arm in (ACT, WAIT)}

    def limits(z: float) -> tuple[float, float]:
        return found.interval(float(stats.norm.cdf(z) - stats.norm.cdf(-z)))

    return _Designed(trial.name, found.theta, found.se, found.n, counts, lacking, profile=limits)


def trials(rows: pd.DataFrame) -> tuple[Trial, ...]:
    """The trials of `outcomes`, in the order of their first draw."""
    return tuple(_each(rows))


def _each(rows: pd.DataFrame) -> Iterator[Trial]:
    if rows.empty:
        return
    order = rows.groupby("trial")["drawn_on"].min().sort_values(kind="stable").index
    for name in order:
        yield Trial(str(name), rows[rows["trial"] == name].reset_index(drop=True))


def word(trial: Trial) -> str:
    """The id of what is to be made of a trial: helps, harms, no_help, unclear or running."""
    if trial.harm:
        return "harms"
    if not trial.complete:
        return "running"
    verdict = trial.verdict
    high = trial.fewer_left.interval()[0]
    if verdict.verdict == HOLDS:
        return "helps"
    if verdict.verdict == NOT_ENOUGH:
        return "unclear"
    return "harms" if verdict.verdict == DOES_NOT and high > 0 else "no_help"


def table(made: tuple[Trial, ...]) -> pd.DataFrame:
    """A row a trial with counts by arm, the difference with its interval where it may be judged,
    and compliance.
    """
    return pd.DataFrame([_row(trial) for trial in made])


def _row(trial: Trial) -> dict[str, object]:
    acted, of_acted = trial.left(ACT)
    waited, of_waiting = trial.left(WAIT)
    low, high = trial.fewer_left.interval() if trial.complete else (np.nan, np.nan)
    acting = trial.acting
    done = trial.counted["done"]
    return {
        "trial": trial.name,
        "list": say(f"lists.action.{trial.list}"),
        "drawn": len(trial.rows),
        "planned": trial.planned,
        "through": len(trial.counted),
        "left_of_acted": say("what_helped.trial.of", n=acted, of=of_acted),
        "left_of_waiting": say("what_helped.trial.of", n=waited, of=of_waiting),
        "difference": trial.fewer_left.theta if trial.complete else np.nan,
        "low": low,
        "high": high,
        "acted_on": float(done[acting].mean()) if acting.any() else np.nan,
        "waiting_acted_on": float(done[~acting].mean()) if (~acting).any() else np.nan,
        "verdict": say(f"what_helped.word.{word(trial)}"),
    }
