"""Do the intervals over many agencies keep their promise? Many made-up fields of agencies; figures
kept in docs/calibration-pool.md.

Run by `make simulate`. Most fields are drawn as estimates with standard errors, with the noise under
which agencies share them; some are made of whole agencies, A1 computed in each. Finished fields are
kept in `.simulate-pool.jsonl` (kept.py).
"""

from __future__ import annotations

import argparse
import datetime as dt
import math
from pathlib import Path

import numpy as np
from scipy import stats

import kept
from retention.claims.contract_term import contract_hazard_ratio
from retention.claims.judge import CLAIMS, judge
from retention.contrast import Z95, Contrast
from retention.history.spells import build_spells
from retention.pool.blur import Blur
from retention.results import DIRECTION, DOES_NOT, HOLDS
from retention.sample import World, simulate
from retention.stats.metaanalysis import Pooled, Studies, pool

ROOT = Path(__file__).parents[1]
KEPT, NOTE = ROOT / ".simulate-pool.jsonl", ROOT / "docs" / "calibration-pool.md"
BEGIN, CUTOFF = dt.date(2021, 1, 1), dt.date(2025, 12, 31)
CLIENTS = (80, 1500)  # from, to: sizes of agencies, their logarithm uniform
INFORMATION = 11.0  # a claim's variance is this over the number of clients, as of A1 in the sample
OWN = 200  # clients of the agency whose own truth is looked at
AGENCIES, SPREADS = (3, 5, 12, 40), (0.0, 0.1, 0.2, 0.4)
TRUE, NULL = math.log(2), 0.0
BLOCK, RUNS = 50, 12  # fields a block, blocks a row
WHOLE, WHOLE_RUNS = 12, 20  # agencies a field, fields
FREE = World(contract=0.0, spend=0.0)  # nothing planted, reps who differ
WORDS = (HOLDS, DIRECTION, DOES_NOT)
Key = tuple[str, int, float, int]  # kind, agencies, spread, seed
LINES = """\
# Do intervals over many agencies cover?

Made by `{command}`: {fields:,} made-up fields for each row, seeds from 1. Agencies have {least} to {most:,} clients (their
logarithm uniform), a standard error of the root of {information:g} over that number (as A1 has in the sample), true values
that differ by `spread` (a standard deviation, on the log scale), and the noise under which agencies share their figures.
Intervals are of 95 %; the Monte-Carlo error of a coverage is about {error:.1f} points. `Usual` is the prediction interval with
the one best spread and Student's t. `Own` is the truth of one more agency of {own} clients, drawn towards the field;
`as wide` is its interval against that of its own data.

| agencies | spread | mean | spread | next agency | the same, usual | own | as wide |
|---|---|---|---|---|---|---|---|
{rows}

With 12 and 40 agencies that differ, the mean is covered in {mean_low:.1%} to {mean_high:.1%} and the next agency in
{next_low:.1%} to {next_high:.1%}. Where agencies do not differ (spread 0), the interval for the next agency and that of
one's own truth are too wide: from so few nobody can know that the spread is nothing. With three and five agencies the mean
is covered in {few_mean:.1%} at worst and the next agency in {few_next:.1%}, but their intervals are so wide that they
say little; three are described and not put together. One's own drawn estimate covers {shortest:.1%} at worst; that is
one reason why no verdict is made from it. The usual prediction interval covers as little as {usual:.1%}.

## Verdicts

Share of fields whose mean is judged 'holds', 'holds in direction only' and 'does not hold' (A1; spread 0.2), and the
same of what the next agency may expect.

| true ratio | agencies | holds | direction only | does not hold | next: holds | direction only | does not hold |
|---|---|---|---|---|---|---|---|
{verdicts}

## Whole agencies, nothing planted

{whole} fields of {agencies} whole made-up agencies each, reps who differ, A1 computed in each agency and shared; agencies
with too few ends are set apart ({apart:.1f} of {agencies}). The mean covers 1 in {covered} of {whole} fields, and the verdict on it is
'does not hold' in {does_not}, 'holds' or 'holds in direction only' in {false}.
"""


def drawn(rng: np.random.Generator, agencies: int, spread: float, mean: float) -> Studies:
    """A field's estimates as they are shared."""
    low, high = map(math.log, CLIENTS)
    errors = np.sqrt(INFORMATION / np.exp(rng.uniform(low, high, agencies)))
    found = rng.normal(rng.normal(mean, spread, agencies), errors)
    told = [shared(rng, *row) for row in zip(found, errors, strict=True)]
    return Studies.of([theta for theta, _ in told], [se for _, se in told])


def shared(rng: np.random.Generator, theta: float, se: float) -> tuple[float, float]:
    """An estimate as an agency shares it, with a secret of its own."""
    return Blur("", rng.bytes(32), 5).estimate("A1", theta, se)


def usual(pooled: Pooled) -> tuple[float, float]:
    """The prediction interval of Higgins, Thompson and Spiegelhalter (2009)."""
    mean, variance = pooled.studies.mean(pooled.tau2)
    tail = stats.t.ppf(0.975, max(pooled.studies.k - 2, 1))
    reach = tail * math.sqrt(pooled.tau2 + variance)
    return mean - reach, mean + reach


def covered(limits: tuple[float, float], truth: float) -> float:
    return float(limits[0] <= truth <= limits[1])


def coverage(rng: np.random.Generator, agencies: int, spread: float) -> list[float]:
    """Of one field: whether each interval covers, and how wide one's own is."""
    pooled = pool(drawn(rng, agencies, spread, TRUE))
    truth = rng.normal(TRUE, spread)
    se = math.sqrt(INFORMATION / OWN)
    _, *own = pooled.field.own(rng.normal(truth, se), se)
    return [
        covered(pooled.interval(), TRUE),
        covered(pooled.tau_interval(), spread),
        covered(pooled.field.next_one(), truth),
        covered(usual(pooled), truth),
        covered((own[0], own[1]), truth),
        (own[1] - own[0]) / (2 * Z95 * se),
    ]


def verdicts(studies: Studies) -> list[str]:
    """The verdict on the mean, and that on the next agency."""
    pooled = pool(studies)
    events = {"": 1000}
    mean = Contrast("", pooled.mean, pooled.se, 1000, events, df=pooled.df)

    def limits(z: float) -> tuple[float, float]:
        return pooled.field.next_one(2 * float(stats.norm.cdf(z)) - 1)

    ahead = Contrast("", pooled.mean, pooled.se, 1000, events, profile=limits)
    return [judge(CLAIMS["A1"], each).verdict for each in (mean, ahead)]


def whole(rng: np.random.Generator, seed: int) -> list[float | str]:
    """A field of whole agencies: how many are set apart, whether the mean covers, and its
    verdict.
    """
    low, high = map(math.log, CLIENTS)
    told = []
    for number in range(WHOLE):
        clients = round(math.exp(rng.uniform(low, high)))
        own = 1000 * seed + number
        tables = simulate(FREE, clients=clients, seed=own, tables=("clients",))
        spells = build_spells(tables["clients"], cutoff=CUTOFF, records_begin=BEGIN)
        ratio = contract_hazard_ratio(spells)
        if not ratio.gate:
            told.append(shared(rng, ratio.theta, ratio.reach() / Z95))
    studies = Studies.of([theta for theta, _ in told], [se for _, se in told])
    return [WHOLE - studies.k, covered(pool(studies).interval(), NULL), verdicts(studies)[0]]


def one(key: Key) -> list:
    """What a block of fields comes to, or one field of whole agencies."""
    kind, agencies, spread, seed = key
    rng = np.random.default_rng([agencies, round(100 * spread), seed, len(kind)])
    if kind == "whole":
        return whole(rng, seed)
    if kind == "coverage":
        return np.mean([coverage(rng, agencies, spread) for _ in range(BLOCK)], axis=0).tolist()
    mean = TRUE if kind == "true" else NULL
    found = [verdicts(drawn(rng, agencies, spread, mean)) for _ in range(BLOCK)]
    return [
        float(np.mean([each[place] == word for each in found]))
        for place in (0, 1)
        for word in WORDS
    ]


Results = dict[Key, list]


def means(results: Results, kind: str, agencies: int, spread: float) -> list[float]:
    """The mean of all blocks of a row."""
    rows = [
        found for (k, n, s, _), found in results.items() if (k, n, s) == (kind, agencies, spread)
    ]
    return np.mean(rows, axis=0).tolist()


def ranges(by_row: dict[tuple[int, float], list[float]]) -> dict[str, float]:
    """The lowest and highest coverage of the mean and of the next agency: with many agencies that
    differ, and the lowest with few.
    """
    many = [found for (n, spread), found in by_row.items() if n >= 12 and spread]
    few = [found for (n, _), found in by_row.items() if n < 12]
    named = {"mean": 0, "next": 2}
    told = {f"{name}_low": min(row[place] for row in many) for name, place in named.items()}
    told |= {f"{name}_high": max(row[place] for row in many) for name, place in named.items()}
    return told | {f"few_{name}": min(row[place] for row in few) for name, place in named.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS, help="blocks of fifty fields a row")
    parser.add_argument("--only-kept", action="store_true", help="make the note of what is there")
    told = parser.parse_args()
    seeds = range(1, told.runs + 1)
    rows = [(agencies, spread) for agencies in AGENCIES for spread in SPREADS]
    judged = [(kind, agencies, 0.2) for kind in ("true", "null") for agencies in AGENCIES[1:]]
    keys: list[Key] = [("coverage", *row, seed) for seed in seeds for row in rows]
    keys += [(*row, seed) for seed in seeds for row in judged]
    keys += [("whole", WHOLE, 0.0, seed) for seed in range(1, WHOLE_RUNS + 1)]
    results = kept.gather(KEPT, __file__, keys, one, told.only_kept)
    by_row = {row: means(results, "coverage", *row) for row in rows}
    lines = [
        f"| {n} | {s:g} | {' | '.join(f'{x:.1%}' for x in found[:5])} | {found[5]:.2f} |"
        for (n, s), found in by_row.items()
    ]
    words = [
        f"| {'2' if kind == 'true' else '1'} | {n} | "
        f"{' | '.join(f'{x:.1%}' for x in means(results, kind, n, s))} |"
        for kind, n, s in judged
    ]
    fields = [found for (kind, *_), found in results.items() if kind == "whole"]
    runs = told.runs * BLOCK
    command = "make simulate" if told.runs == RUNS else f'make simulate ARGS="--runs {told.runs}"'
    text = LINES.format(
        command=command,
        fields=runs,
        least=CLIENTS[0],
        most=CLIENTS[1],
        information=INFORMATION,
        error=100 * math.sqrt(0.95 * 0.05 / runs),
        own=OWN,
        rows="\n".join(lines),
        **ranges(by_row),
        shortest=min(found[4] for found in by_row.values()),
        usual=min(found[3] for found in by_row.values()),
        verdicts="\n".join(words),
        whole=len(fields),
        agencies=WHOLE,
        apart=np.mean([found[0] for found in fields]),
        covered=round(sum(found[1] for found in fields)),
        does_not=sum(found[2] == DOES_NOT for found in fields),
        false=sum(found[2] in (HOLDS, DIRECTION) for found in fields),
    )
    NOTE.write_text(text, "utf-8")
    print(text)


if __name__ == "__main__":
    main()
