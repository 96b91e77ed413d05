"""Do the intervals keep their promise? Many made-up agencies, each judged; figures kept in docs/calibration.md.

Run by `make simulate`; takes about a quarter of an hour on two cores.
"""

from __future__ import annotations

import argparse
import datetime as dt
import math
import os
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from retention.claims import CLAIMS, judge
from retention.contract_term import arms, contract_hazard_ratio
from retention.curves import follow_up, kaplan_meier, restricted_mean
from retention.results import VERDICTS
from retention.sample import World, simulate
from retention.spells import build_spells

BEGIN, CUTOFF = dt.date(2021, 1, 1), dt.date(2025, 12, 31)
ALIKE = {"rep_sd": 0.0, "rep_liking_sd": 0.0}
WORLDS = {
    "claim true": World(**ALIKE),
    "nothing planted": World(contract=0.0, spend=0.0, **ALIKE),
    "at the smallest effect": World(contract=math.log(1.29), spend=0.0, **ALIKE),
    "claim true, reps differ": World(),
}
SIZES = (80, 600)
TRUTH_CLIENTS, TRUTH_SEED = 400_000, 900_000
QUANTITIES = (
    "log ratio by month 12",
    "months of service gained in 24",
    "share not left by choice after 12, month-to-month",
)
NOTE = """\
# How well the intervals keep their promise

Made by `{command}`. {runs} made-up agencies for each row, seeds 1 to {runs}; the Monte-Carlo standard error of a
coverage near 95 % is {error:.1f} points. An agency has 60 months of records, lock-in, one month's notice, clients from
before the records and three kinds of end. The true value is that of one agency of {truth:,} clients in the same world:
what the estimator aims at, not adjusted for who chooses which term.

## Intervals

| world | clients | quantity | true value | bias | spread of estimates | mean standard error | 95 % coverage |
|---|---|---|---|---|---|---|---|
{coverage}

## Verdicts on A1, share of agencies

| world | clients | true ratio | {words} |
|---|---|---|{dashes}
{verdicts}

Where nothing is planted the true ratio is 1. "At the smallest effect" is built so that the true ratio is about the
smallest worth acting on, 1.25; there 'holds' may be said in at most 1.67 % of agencies, plus Monte-Carlo error.

The last world has ten reps who differ. Clients of one rep then rise and fall together, which these intervals do not
know; the ratio is little touched by it, because both groups share the reps, and shares are.
"""


@dataclass(frozen=True)
class Run:
    """Estimates and standard errors of the three quantities, and the verdict, for one agency."""

    estimates: tuple[float, ...]
    errors: tuple[float, ...]
    verdict: str


def one(task: tuple[str, int, int]) -> Run:
    world, clients, seed = task
    planted = WORLDS[world] if clients < TRUTH_CLIENTS else replace(WORLDS[world], reps=2_000)
    tables = simulate(planted, clients=clients, seed=seed, tables=("clients",))
    spells = build_spells(tables["clients"], cutoff=CUTOFF, records_begin=BEGIN)
    ratio = contract_hazard_ratio(spells)
    every, masks = follow_up(spells), arms(spells, 24)
    means = [restricted_mean(every.where(mask), 24) for mask in masks.values()]
    curve = kaplan_meier(every.only([1]).where(masks["month-to-month"]))
    row = curve[curve["month"] <= 12].iloc[-1]
    return Run(
        (ratio.theta, means[1][0] - means[0][0], row["survival"]),
        (ratio.se, math.hypot(means[0][1], means[1][1]), row["se"]),
        judge(CLAIMS["A1"], ratio).verdict,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=400)
    runs = parser.parse_args().runs
    coverage, verdicts = [], []
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for world in WORLDS:
            truth = one((world, TRUTH_CLIENTS, TRUTH_SEED)).estimates
            for clients in SIZES:
                found = list(pool.map(one, [(world, clients, seed) for seed in range(1, runs + 1)], chunksize=5))
                coverage += [covered(world, clients, found, k, truth[k]) for k in range(len(QUANTITIES))]
                verdicts.append(judged(world, clients, found, truth[0]))
                print(world, clients, "done", flush=True)
    text = NOTE.format(
        command=f'make simulate ARGS="--runs {runs}"' if runs != 400 else "make simulate",
        runs=runs,
        error=100 * math.sqrt(0.95 * 0.05 / runs),
        truth=TRUTH_CLIENTS,
        coverage="\n".join(coverage),
        verdicts="\n".join(verdicts),
        words=" | ".join(VERDICTS[:4]),
        dashes="---|" * 4,
    )
    (Path(__file__).parents[1] / "docs" / "calibration.md").write_text(text, "utf-8")


def covered(world: str, clients: int, found: list[Run], k: int, truth: float) -> str:
    value, se = (np.array([getattr(run, name)[k] for run in found]) for name in ("estimates", "errors"))
    fine = np.isfinite(value) & np.isfinite(se) & (se > 0)
    value, se = value[fine], se[fine]
    inside = np.mean(np.abs(value - truth) < 1.959964 * se)
    left_out = f" ({(~fine).sum()} agencies without an estimate left out)" if (~fine).any() else ""
    numbers = f"{truth:.3f} | {value.mean() - truth:+.3f} | {value.std(ddof=1):.3f} | {se.mean():.3f} | {inside:.1%}"
    return f"| {world} | {clients} | {QUANTITIES[k]}{left_out} | {numbers} |"


def judged(world: str, clients: int, found: list[Run], truth: float) -> str:
    share = Counter(run.verdict for run in found)
    return (
        f"| {world} | {clients} | {math.exp(truth):.2f} | "
        + " | ".join(f"{share[w] / len(found):.1%}" for w in VERDICTS[:4])
        + " |"
    )


if __name__ == "__main__":
    main()
