"""Do verdicts on trials keep their promise? Many made-up trials; figures kept in
docs/calibration-trials.md.

Run by `make simulate`. Each trial draws clients with risks and margins of their own by the code of
`retention trial draw`, lets them leave or stay, and is judged as on the page.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import pandas as pd

from retention.history.trials import ACT
from retention.stats.rerandomised import effect
from retention.trials.draw import Asked, draw
from retention.trials.judged import HARM, Trial
from retention.trials.size import needed, power

NOTE = Path(__file__).parents[1] / "docs" / "calibration-trials.md"
DAY = pd.Timestamp("2025-01-31")
RUNS, DRAWS, ODD = 1000, 399, 1_000_003
SIZES = (30, 100, 400)
KEPT = {"nothing planted": 0.0, "acting keeps half": 0.5}
LOOKS = 6  # months, at each of which a sixth of the outcomes has become known
LINES = """\
# How well trials of the lists keep their promise

Made by `{command}`: {runs:,} made-up trials a row, seeds from 1. Clients have predicted risks from a beta distribution
(mean 29 %), and true risks that differ from them by a third or so either way; acting keeps none, or half, of those who
would leave. The Monte-Carlo error of a coverage near 95 % is {error:.1f} points. Intervals: METHODS 12, here with
{draws} draws.

| world | clients drawn | covered | says 'holds' | true difference |
|---|---|---|---|---|
{rows}

**Power.** `retention trial plan` says how many clients are needed to see a difference in four of five trials. With so
many clients, and that difference planted:

| difference | clients by the plan | power by the plan | trials that say 'holds' |
|---|---|---|---|
{powers}

**Looking each month.** Nothing planted, 100 clients, looked at each month while outcomes come in: {early:.1%} of trials
were ever said to help or to harm, by the one verdict at the end or by the early test for harm (which alone said so
in {harm:.1%}).
"""


def clients(rng: np.random.Generator, count: int) -> pd.DataFrame:
    """Clients who may be drawn: `client_id, predicted, margin`."""
    return pd.DataFrame(
        {
            "client_id": [f"c{k:05d}" for k in range(count)],
            "predicted": rng.beta(2, 5, count).round(4),
            "margin": rng.lognormal(6, 1, count),
        }
    )


def trial(count: int, kept: float, seed: int, smallest: float = 0.1) -> tuple[Trial, float]:
    """A trial that is through, and the true difference among its clients; acting keeps this share
    of those who would leave.
    """
    rng = np.random.default_rng([seed, ODD])
    pool = clients(rng, count)
    rows = draw(pool, Asked("t", "save", seed, 6, smallest, count), DAY)
    risk = np.clip(pool["predicted"] * np.exp(0.3 * rng.normal(size=count)), 0, 0.97)
    acted = risk * (1 - kept)
    acting = (rows["arm"] == ACT).to_numpy()
    left = rng.random(count) < np.where(acting, acted, risk)
    rows = rows.assign(churned=left.astype(float), known=True, over=True)
    return Trial("t", rows), float((acted - risk).mean())


def looked_at(made: Trial, seed: int) -> tuple[bool, float]:
    """Whether the interval covers none, and the p value of none (which the verdict rests on)."""
    rows = made.counted
    found = effect(
        rows["churned"],
        rows["arm"] == ACT,
        rows["stratum"].astype(str),
        rows["predicted"],
        DRAWS,
        seed + ODD,
    )
    return found.theta < 0, found.p_value(0.0)


def coverage(count: int, kept: float, runs: int) -> tuple[float, float, float]:
    """Share of intervals that hold the truth, share that say 'holds', and the mean truth."""
    covered = holds = 0
    truths = []
    for seed in range(1, runs + 1):
        made, truth = trial(count, kept, seed)
        rows = made.counted
        acting = rows["arm"] == ACT
        found = effect(
            rows["churned"], acting, rows["stratum"], rows["predicted"], DRAWS, seed + ODD
        )
        covered += found.p_value(truth) > 0.05
        holds += found.theta < 0 and found.p_value(0.0) <= 0.05
        truths.append(truth)
    return covered / runs, holds / runs, float(np.mean(truths))


def powered(smallest: float, runs: int) -> tuple[int, float, float]:
    """Clients by the plan, its power, and the share of such trials that say 'holds'."""
    rng = np.random.default_rng(ODD)
    risks = clients(rng, 4000)["predicted"].to_numpy()
    count = needed(risks, smallest)
    assert count is not None
    kept = smallest / risks.mean()
    holds = coverage(count, kept, runs)[1]
    return count, power(risks, smallest, count), holds


def peeked(runs: int) -> tuple[float, float]:
    """Share of trials with nothing planted that are ever said to help or harm, and to harm
    early.
    """
    ever = harmed = 0
    for seed in range(1, runs + 1):
        made, _ = trial(100, 0.0, seed + 50_000)
        rng = np.random.default_rng([seed, 7])
        known_in = rng.integers(1, LOOKS + 1, len(made.rows))
        early = False
        for month in range(1, LOOKS):
            seen = made.rows.assign(over=known_in <= month)
            early |= Trial("t", seen).harm
        harmed += early
        _, p = looked_at(made, seed)
        ever += early or p <= 0.05 or made.harm
    return ever / runs, harmed / runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    runs = parser.parse_args().runs
    rows, powers = [], []
    for world, kept in KEPT.items():
        for count in SIZES:
            covered, holds, truth = coverage(count, kept, runs)
            rows.append(f"| {world} | {count} | {covered:.1%} | {holds:.1%} | {truth:+.1%} |")
    for smallest in (0.2, 0.15, 0.1):
        count, by_plan, holds = powered(smallest, runs)
        powers.append(f"| {smallest:.0%} | {count} | {by_plan:.1%} | {holds:.1%} |")
    early, harm = peeked(runs)
    command = "make simulate" if runs == RUNS else f'make simulate ARGS="--runs {runs}"'
    text = LINES.format(
        command=command,
        runs=runs,
        draws=DRAWS,
        error=100 * math.sqrt(0.95 * 0.05 / runs),
        rows="\n".join(rows),
        powers="\n".join(powers),
        early=early,
        harm=harm,
    )
    NOTE.write_text(text, "utf-8")


if __name__ == "__main__":
    assert HARM < 0.05
    main()
