"""What earlier runs predicted, and what came of it (METHODS 12): only what was published before,
and only files that are as they were published.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from retention.history.snapshots import known, last_month
from retention.results import Estimate, Estimates, Finding
from retention.runs import SCORES, about, as_sealed, earlier
from retention.settings import project_root
from retention.words import Said, say, together

ROW = "E2"
LEVEL = 0.95
SAME_CODES = 0.5  # (ours) share of a run's clients that must be known here by the same id
LEFT_OUT = ("changed", "other_window", "other_codes", "other_plan")


@dataclass(frozen=True)
class Run:
    """One earlier run whose window has passed.

    `rows`: `client_id, risk, named` (whether the run said to contact the client), `left`, a row a
    client whose outcome is known. `capacity` is how many clients the team had time for;
    `code` tells versions of the program apart.
    """

    name: str
    cutoff: pd.Timestamp
    rows: pd.DataFrame
    capacity: int
    code: str

    @property
    def expected(self) -> float:
        """How many were predicted to leave."""
        return float(self.rows["risk"].sum())

    @property
    def left(self) -> int:
        """How many did."""
        return int(self.rows["left"].sum())

    @property
    def calibration(self) -> tuple[float, float, float]:
        """Those who left over those predicted, with the exact 95 % interval of a Poisson count
        (Garwood 1936).
        """
        tail = (1 - LEVEL) / 2
        low = stats.chi2.ppf(tail, 2 * self.left) / 2 if self.left else 0.0
        high = stats.chi2.isf(tail, 2 * (self.left + 1)) / 2
        if not self.expected:
            return np.nan, np.nan, np.nan
        values = np.array([self.left, low, high]) / self.expected
        return float(values[0]), float(values[1]), float(values[2])

    @property
    def lift(self) -> float:
        """The share that left of the clients with the highest risks, as many as the team had time
        for, over the share of all; NaN where nobody left.
        """
        first = self.rows.sort_values(["risk", "client_id"], ascending=[False, True])
        reached = first["left"].head(self.capacity).mean()
        share = self.rows["left"].mean()
        return float(reached / share) if share > 0 else np.nan

    @property
    def reached(self) -> int:
        """Clients who left and had been named."""
        return int((self.rows["named"] & (self.rows["left"] == 1)).sum())


@dataclass(frozen=True)
class Record:
    """The earlier runs that count, oldest first, and the names of those left out, by why."""

    runs: tuple[Run, ...]
    left_out: dict[str, list[str]]


def record(study: Any, out: Path) -> Record:
    """The track record in an output folder, as far as the outcomes are known in these data."""
    rows = known(study.month_ends) if len(study.month_ends) else study.month_ends
    runs: list[Run] = []
    left_out: dict[str, list[str]] = {}
    last = pd.Timestamp(study.cutoff)
    for folder in earlier(out, study.whose, last, study.window.ahead):
        run = about(folder)
        why = _unlike(folder, run, study)
        made = None if why else _run(folder, run, rows)
        if made is not None and not len(made.rows):
            why, made = "other_codes", None
        if why:
            left_out.setdefault(why, []).append(folder.name)
        elif made is not None:
            runs.append(made)
    runs.sort(key=lambda run: (run.cutoff, run.name))
    return Record(tuple(_newest(runs)), left_out)


def _unlike(folder: Path, run: dict[str, Any], study: Any) -> str:
    """Why a run is left out: its scores were changed, or it predicted something else; else
    empty.
    """
    if not as_sealed(folder, run["files"], [SCORES]):
        return "changed"
    theirs = run["settings"]["risk"]
    ours = study.settings.risk
    if (theirs["gap"], theirs["horizon"]) != (ours.gap, ours.horizon):
        return "other_window"
    plan = study.settings.model_dump(mode="json")["plan"]
    return "other_plan" if run["settings"]["plan"] != plan else ""


def _run(folder: Path, run: dict[str, Any], rows: pd.DataFrame) -> Run:
    """The run with what came of the clients that it scored; no rows where it knows them by other
    codes.
    """
    scores = pd.read_csv(folder / SCORES, dtype={"client_id": str})
    day = pd.Timestamp(run["cutoff"])
    month = last_month(day)
    then = rows[rows["month"] == month][["client_id", "left"]]
    if scores["client_id"].isin(rows["client_id"]).mean() < SAME_CODES:
        then = then.head(0)
    joined = scores.merge(then, on="client_id")
    named = joined["contact"].astype(str).eq("yes")
    rows = joined[["client_id", "risk", "left"]].assign(named=named)
    capacity = int(run["settings"]["risk"]["capacity"])
    return Run(folder.name, day, rows, capacity, str(run["code"])[:7])


def _newest(runs: list[Run]) -> Iterator[Run]:
    """One run a cut-off, the last by name: a day that was run twice is not counted twice."""
    for at, run in enumerate(runs):
        if at + 1 == len(runs) or runs[at + 1].cutoff != run.cutoff:
            yield run


def table(made: Record) -> pd.DataFrame:
    """A row an earlier run: predicted against what came, lift, and who left named and unnamed."""
    columns = ["as_of", "scored", "predicted", "left", "ratio", "low", "high", "lift"]
    rows = []
    for run in made.runs:
        ratio, low, high = run.calibration
        counts = (len(run.rows), run.expected, run.left)
        figures = (ratio, low, high, run.lift)
        who = (run.reached, run.left - run.reached, run.code)
        rows.append((run.cutoff, *counts, *figures, *who))
    return pd.DataFrame(rows, columns=[*columns, "left_named", "left_unnamed", "code"])


def overall(made: Record) -> Estimates:
    """Of all earlier runs together: those who left over those predicted, with its interval, and
    the lift.

    A client scored in several runs counts in each; the interval takes the runs' windows to be
    apart, and where they overlap it is too narrow, which is said.
    """
    if not made.runs:
        return Estimates((), say("what_helped.track.caption"))
    every = pd.concat([run.rows for run in made.runs], ignore_index=True)
    whole = Run("", made.runs[-1].cutoff, every, 0, "")
    counts = (int(every["client_id"].nunique()), whole.left)
    name = say("what_helped.track.ratio")
    ratio = Estimate.of(ROW, name, say("what_helped.track.all"), whole.calibration, "ratio", counts)
    lifts = [run.lift for run in made.runs if np.isfinite(run.lift)]
    mean = [float(np.mean(lifts))] if lifts else [np.nan]
    lift = Estimate.of(
        ROW, say("what_helped.track.lift"), say("what_helped.track.all"), mean, "ratio", counts
    )
    return Estimates((ratio, lift), say("what_helped.track.caption"))


def words(made: Record) -> Finding:
    """What the track record says, in a sentence or two, with what was left out and why."""
    parts = [_lead(made)]
    parts += [
        say(f"what_helped.track.left_out.{why}", n=len(names), runs=", ".join(names))
        for why, names in made.left_out.items()
    ]
    return Finding(ROW, together(*parts))


def _lead(made: Record) -> Said:
    if not made.runs:
        return say("what_helped.track.none")
    expected = sum(run.expected for run in made.runs)
    left = sum(run.left for run in made.runs)
    reached = sum(run.reached for run in made.runs)
    return say(
        "what_helped.track.lead",
        n=len(made.runs),
        predicted=expected,
        left=left,
        named=reached,
        unnamed=left - reached,
    )


def folder_of(out_dir: str) -> Path:
    """Where the runs before this one lie: the folder that a run writes into, or, of a notebook by
    itself, the project's reports.
    """
    return Path(out_dir).resolve().parent if out_dir else project_root() / "reports"
