"""Does A6 stay honest where results are measured badly, and are reps and scores judged as often as
promised?

Run by `make simulate`; writes docs/calibration-liking.md. Finished agencies are kept in
`.simulate-liking.jsonl` (kept.py).
"""

from __future__ import annotations

import argparse
import datetime as dt
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

import kept
from retention.claims import rep_liking, results_shape
from retention.claims.judge import CLAIMS, judge
from retention.contrast import NO_SPREAD, Z95
from retention.history.grids import build_panel, result_grid
from retention.history.panel import Panel
from retention.history.spells import build_spells
from retention.results import DIRECTION, HOLDS
from retention.sample import WORLDS, World, simulate
from retention.service import nps, reps
from retention.settings import ResultsSettings
from retention.stats.funnel import funnel

ROOT = Path(__file__).parents[1]
KEPT = ROOT / ".simulate-liking.jsonl"
NOTE = ROOT / "docs" / "calibration-liking.md"
BEGIN, CUTOFF = dt.date(2021, 1, 1), dt.date(2025, 12, 31)
COST = ResultsSettings(primary="cpa", better="lower")
Key = tuple[str, str, int]  # experiment, row, seed
NAMES = ("clients", "surveys", "results", "assignments", "contracts")
# A rating is 7.2 + 1.6 L + .7 e, rounded: its error, in standard deviations of liking.
RATING_ERROR = math.sqrt(0.7**2 + 1 / 12) / 1.6
# Results are the mean of three months; once: that mean has the error of one rating.
ONCE = RATING_ERROR * math.sqrt(3)
FOLLOWS = replace(WORLDS["null"], liking=0.0, results=-0.60, mediation=1.0)
# name: world, clients, errors of results over that of ratings, whether liking truly matters more
WORLDS_MEASURED: dict[str, tuple[World, int, tuple[float, ...], bool]] = {
    "both matter alike": (WORLDS["null"], 600, (0.0, 1.0, 2.0), False),
    "liking only follows results": (FOLLOWS, 600, (2.0,), False),
    "liking matters more": (WORLDS["study"], 600, (0.0,), True),
    "liking matters more, 800": (WORLDS["study"], 800, (0.0, 1.0), True),
}


def measured_panel(world: World, clients: int, seed: int) -> tuple[Panel, pd.DataFrame]:
    """The panel of an agency, and the rows of its results."""
    tables = simulate(world, clients=clients, seed=seed, tables=NAMES)
    results = tables["results"][tables["results"]["metric"] == "cpa"]
    results = results.assign(month=pd.to_datetime(results["month"]))
    signed = tables["contracts"]["signed_on"] <= pd.Timestamp(CUTOFF)
    spells = build_spells(tables["clients"], cutoff=CUTOFF, records_begin=BEGIN)
    contracts = tables["contracts"][signed]
    more = {"assignments": tables["assignments"], "contracts": contracts}
    return build_panel(spells, tables["surveys"], results, COST, **more), results


def with_error(panel: Panel, results: pd.DataFrame, error: float, seed: int) -> Panel:
    """The panel with results that have so many times the error of its ratings."""
    noise = np.random.default_rng([seed, 77]).normal(size=len(results))
    noisy = results.assign(value=results["value"] * np.exp(0.25 * error * ONCE * noise))
    blank = np.full_like(panel.liking, np.nan)
    return replace(panel, results=result_grid(blank, panel.spells, noisy, COST))


def measured(row: str, seed: int) -> dict[str, dict]:
    """A6 as measured and corrected for error, its verdict on each, and the bend, by the error of
    results.
    """
    world, clients, errors, _ = WORLDS_MEASURED[row]
    panel, results = measured_panel(world, clients, seed)
    return {f"{error:g}": judged(with_error(panel, results, error, seed)) for error in errors}


def judged(panel: Panel) -> dict[str, float | str]:
    """A6 of one panel as measured and corrected, and the bend of results."""
    plain, true = rep_liking.liking_difference(panel), rep_liking.without_error(panel)
    bend = results_shape.results_shape(panel).bend
    found = {"theta": plain.theta, "true theta": true.theta, "bend": bend.theta}
    found |= {"se": plain.reach() / Z95, "true se": true.reach() / Z95}
    found |= {"bend se": bend.reach() / Z95}
    by_client = replace(plain, by_rep=NO_SPREAD)
    words = {
        "verdict": judge(CLAIMS["A6"], plain).verdict,
        "corrected": judge(CLAIMS["A6"], true).verdict,
        "by client": judge(CLAIMS["A6"], by_client).verdict,
    }
    return {name: float(value) for name, value in found.items()} | words


# name: reps, spread of their log rates of leaving
REPS = {
    "10 equal reps": (10, 0.0),
    "25 equal reps": (25, 0.0),
    "10 reps, sd .4": (10, 0.4),
    "25 reps, sd .4": (25, 0.4),
}
ENDS = 33  # expected of a typical rep, as in an agency of 600 clients in five years


def review(row: str, seed: int) -> dict[str, float]:
    """How many reps are named on the first page, and outside the upper 95 % limit; who of the named
    is no worse.

    Ends are Poisson, reps serve unevenly; what is expected of each comes from all others, as in the
    review.
    """
    count, spread = REPS[row]
    rng = np.random.default_rng([seed, 16])
    served, pull = rng.gamma(4.0, size=count), spread * rng.normal(size=count)
    ends = rng.poisson(ENDS * served / 4 * np.exp(pull))
    due = (ends.sum() - ends) * served / (served.sum() - served)
    table = reps.named(funnel(pd.Series(ends), pd.Series(due)))
    outside = (table["unusual"] | table["beyond"]) & (table["ratio"] > 1)
    wrong = table["named"] & (pull[table.index] <= 0)
    counts = {
        "named": table["named"],
        "outside": outside,
        "wrong": wrong,
        "compared": ~table["few"],
    }
    return {name: float(each.sum()) for name, each in counts.items()}


SCORES = {"10 reps alike": 0.0, "10 reps, sd .3": 0.3, "10 reps, sd .6": 0.6}
ANSWERS, TODAY = 130, pd.Timestamp("2025-12-31")  # answers an agency


def score(row: str, seed: int) -> dict[str, float]:
    """The NPS of an agency whose reps differ: whether its interval covers, and its band's word is
    right.
    """
    spread, rng = SCORES[row], np.random.default_rng([seed, 17])
    middle = rng.normal(0.1, 0.3)  # agencies differ, so that every band comes up
    rep = rng.integers(0, 10, ANSWERS)
    mood = middle + spread * rng.normal(size=10)[rep] + rng.normal(size=ANSWERS)
    rows = pd.DataFrame(
        {"client_id": np.arange(ANSWERS).astype(str), "rep": [f"r{k}" for k in rep]}
    )
    rows["nps"] = np.select([mood > 0.3, mood < -0.6], [9.0, 5.0], 7.0)
    rows = rows.assign(invited_on=TODAY, answered_on=TODAY, wave=TODAY.to_period("M"))
    whole = math.hypot(1.0, spread)
    truth = 100 * (stats.norm.sf((0.3 - middle) / whole) - stats.norm.cdf((-0.6 - middle) / whole))
    found = {"truth": truth}
    for name, known in (("clients", rows.drop(columns="rep")), ("wider", rows)):
        told = nps.today(known, TODAY).iloc[0]
        chance = nps.band_chances(told)[nps.BANDS.index(nps.band(told["nps"]))]
        covers = told["low"] <= truth <= told["high"]
        found |= {f"covers {name}": float(covers), f"chance {name}": float(chance)}
    return found | {"right": float(nps.band(told["nps"]) == nps.band(truth))}


EXPERIMENTS: dict[str, tuple[Callable[[str, int], dict], tuple[str, ...]]] = {
    "measured": (measured, tuple(WORLDS_MEASURED)),
    "review": (review, tuple(REPS)),
    "score": (score, tuple(SCORES)),
}


def one(key: Key) -> dict:
    name, row, seed = key
    return EXPERIMENTS[name][0](row, seed)


def gather(runs: int) -> dict[Key, dict]:
    """All agencies that are wanted, those kept from an earlier run first."""
    places = [(name, row) for name, (_, rows) in EXPERIMENTS.items() for row in rows]
    keys = [(name, row, seed) for seed in range(1, runs + 1) for name, row in places]
    return kept.gather(KEPT, __file__, keys, one)


NOTE_TEXT = """\
# Does A6 stay honest where results are measured badly, and are reps and scores judged as promised?

Made by `{command}`: {runs} made-up agencies for each row, seeds 1 to {runs}.
The Monte-Carlo standard error of a share near 5 % is {small:.1f} points, of one near 50 % {large:.1f}.

## Liking against results, both measured with error

A rating has an error of {rating:.2f} standard deviations of liking. Results are the mean of three months; the column
"error of results" says how many times the error of a rating that mean has. Where both matter alike, and where liking
only follows results, every 'holds' and 'holds in direction only' is false. "Plain" is as measured; "corrected" is the
planned check {check!r}.
"Covers" is the share of agencies whose 95 % interval holds the true difference, "says more" the share judged 'holds' or
'holds in direction only': by client alone, as before reps were allowed for, and by the wider interval. A verdict stands without 'fragile' only where the corrected one
is the same: the last column, the most that can stand so, whatever the other planned checks say.

| world | clients | error of results | difference | corrected | covers | corrected | says more, by client | says more | says more, agreed |
|---|---|---|---|---|---|---|---|---|---|
{measured}

The true difference is 0 where both matter alike. Where liking matters more it is {study:.2f}, what is planted; a
corrected estimate falls a little short of it, because clients on fixed terms act on a wish months after it arose. Where
liking only follows results the true difference is {follows:.2f}.

## Family error

Of the agencies in which both matter alike, the share with a false 'holds' or 'in direction' for A6 that is not called
fragile is in the last column above. A6 has a third of the 5 % that the three primary claims share; the other two are in
[calibration.md](calibration.md).

## The shape of results

Share of agencies in which results are found to bend (two-sided, 5 %) although the planted effect is a straight line.

| world | error of results | found to bend |
|---|---|---|
{shape}

## Reps named on the first page

Poisson ends, {ends} expected of a typical rep, unequal numbers of clients; what is expected comes from all other reps.

Share of agencies with some rep named; with some rep over the funnel's 95 % limit, which is who was named before; and
with one named who is no worse than the mean.

| agency | named | over the limit | named, no worse |
|---|---|---|---|
{review}

## The NPS and its band

{answers} answers in an agency of ten reps, whose clients' moods share the rep's (sd of reps over that of clients).

"Covers" is the share of agencies whose interval holds the true score; "chance" the mean chance said of the band.
"Clients" takes clients to be independent, "wider" is the wider of client and rep.

| agency | covers, clients | covers, wider | chance, clients | chance, wider | band right |
|---|---|---|---|---|---|
{score}
"""


def percent(values: pd.Series) -> str:
    return f"{100 * values.mean():.1f}%"


def table(results: dict[Key, dict], name: str) -> pd.DataFrame:
    """The figures of an experiment, a row an agency, with `row`; of several errors a row each."""
    told = []
    for (experiment, row, _), found in results.items():
        if experiment == name:
            by_error = found if name == "measured" else {"": found}
            told += [{"row": row, "error": error, **figures} for error, figures in by_error.items()]
    return pd.DataFrame(told)


def measured_rows(told: pd.DataFrame) -> tuple[list[str], list[str]]:
    """The rows of the first two tables."""
    lines, shapes = [], []
    for (row, error), part in told.groupby(["row", "error"], sort=False):
        world, clients, _, _ = WORLDS_MEASURED[row]
        truth = world.results - world.liking
        wins = part["verdict"].isin([HOLDS, DIRECTION])
        before = part["by client"].isin([HOLDS, DIRECTION])
        agrees = wins & (part["corrected"] == part["verdict"])
        covers = [
            percent((part[f"{x}theta"] - truth).abs() < Z95 * part[f"{x}se"]) for x in ("", "true ")
        ]
        means = [f"{part[f'{x}theta'].mean():+.3f}" for x in ("", "true ")]
        figures = [row, str(clients), error, *means, *covers]
        figures += [percent(before), percent(wins), percent(agrees)]
        lines.append(f"| {' | '.join(figures)} |")
        bent = part["bend"].abs() > Z95 * part["bend se"]
        shapes.append(f"| {row} | {error} | {percent(bent)} |")
    return lines, shapes


def other_rows(told: pd.DataFrame, columns: dict[str, bool]) -> list[str]:
    """A table row for each row: the share (of agencies with any, where True) of each column."""
    lines = []
    for row, part in told.groupby("row", sort=False):
        shares = [
            percent(part[name] > 0 if any_of else part[name]) for name, any_of in columns.items()
        ]
        lines.append(f"| {' | '.join([row, *shares])} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    runs = parser.parse_args().runs
    results = gather(runs)
    lines, shapes = measured_rows(table(results, "measured"))
    names = dict.fromkeys(("named", "outside", "wrong"), True)
    scores = ("covers clients", "covers wider", "chance clients", "chance wider", "right")
    command = "make simulate" if runs == 200 else f"python tests/simulate_liking.py --runs {runs}"
    study, follows = WORLDS["study"], FOLLOWS
    text = NOTE_TEXT.format(
        command=command,
        runs=runs,
        small=100 * math.sqrt(0.05 * 0.95 / runs),
        large=100 * math.sqrt(0.25 / runs),
        rating=RATING_ERROR,
        check=rep_liking.WITHOUT_ERROR,
        measured="\n".join(lines),
        study=study.results - study.liking,
        follows=follows.results - follows.liking,
        shape="\n".join(shapes),
        ends=ENDS,
        review="\n".join(other_rows(table(results, "review"), names)),
        answers=ANSWERS,
        score="\n".join(other_rows(table(results, "score"), dict.fromkeys(scores, False))),
    )
    NOTE.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
