"""Does A6 stay honest where results are measured badly, and are reps and scores judged as often as promised?

Run by `make simulate`; writes docs/calibration-liking.md. Every finished agency is kept in
`.simulate-liking.jsonl`, so that a run that was stopped goes on; a change of the statistics begins anew.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from retention import liking, nps, reps
from retention.claims import CLAIMS, judge
from retention.config import ResultsSettings
from retention.funnel import funnel
from retention.lagged import Panel, build_panel, result_grid
from retention.sample import WORLDS, World, simulate
from retention.spells import build_spells

ROOT = Path(__file__).parents[1]
KEPT = ROOT / ".simulate-liking.jsonl"
NOTE = ROOT / "docs" / "calibration-liking.md"
BEGIN, CUTOFF = dt.date(2021, 1, 1), dt.date(2025, 12, 31)
COST = ResultsSettings(primary="cpa", better="lower")
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
    """A6 as measured and corrected for error, its verdict on each, and the bend, by the error of results."""
    world, clients, errors, _ = WORLDS_MEASURED[row]
    panel, results = measured_panel(world, clients, seed)
    return {f"{error:g}": judged(with_error(panel, results, error, seed)) for error in errors}


def judged(panel: Panel) -> dict[str, float | str]:
    """A6 of one panel as measured and corrected, and the bend of results."""
    plain, true = liking.liking_difference(panel), liking.without_error(panel)
    bend, *_ = liking.results_shape(panel)
    found = {"theta": plain.theta, "se": plain.se, "true theta": true.theta, "true se": true.se}
    found |= {"bend": bend.theta, "bend se": bend.se}
    words = {"verdict": judge(CLAIMS["A6"], plain).verdict, "corrected": judge(CLAIMS["A6"], true).verdict}
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
    """How many reps are named on the first page, and outside the upper 95 % limit; who of the named is no worse.

    Ends are Poisson, reps serve unevenly; what is expected of each comes from all others, as in the review.
    """
    count, spread = REPS[row]
    rng = np.random.default_rng([seed, 16])
    served, pull = rng.gamma(4.0, size=count), spread * rng.normal(size=count)
    ends = rng.poisson(ENDS * served / 4 * np.exp(pull))
    due = (ends.sum() - ends) * served / (served.sum() - served)
    table = reps.named(funnel(pd.Series(ends), pd.Series(due)))
    outside = (table["unusual"] | table["beyond"]) & (table["ratio"] > 1)
    wrong = table["named"] & (pull[table.index] <= 0)
    counts = {"named": table["named"], "outside": outside, "wrong": wrong, "compared": ~table["few"]}
    return {name: float(each.sum()) for name, each in counts.items()}


SCORES = {"10 reps alike": 0.0, "10 reps, sd .3": 0.3, "10 reps, sd .6": 0.6}
ANSWERS, TODAY = 130, pd.Timestamp("2025-12-31")  # answers an agency


def score(row: str, seed: int) -> dict[str, float]:
    """The NPS of an agency whose reps differ: whether its interval covers, and its band's word is right."""
    spread, rng = SCORES[row], np.random.default_rng([seed, 17])
    middle = rng.normal(0.1, 0.3)  # agencies differ, so that every band comes up
    rep = rng.integers(0, 10, ANSWERS)
    mood = middle + spread * rng.normal(size=10)[rep] + rng.normal(size=ANSWERS)
    rows = pd.DataFrame({"client_id": np.arange(ANSWERS).astype(str), "rep": [f"r{k}" for k in rep]})
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
DEPENDS = ("measurement", "lagged", "hazards", "exits", "funnel")  # whose change begins the figures anew


def version() -> str:
    """A hash of the code that the figures come from."""
    paths = [ROOT / "src" / "retention" / f"{name}.py" for name in DEPENDS]
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:16]


def one(key: tuple[str, str, int]) -> dict:
    name, row, seed = key
    return EXPERIMENTS[name][0](row, seed)


def gather(runs: int, workers: int) -> dict[tuple[str, str, int], dict]:
    """All agencies that are wanted, those kept from before included; each new one is kept at once."""
    now = version()
    lines = KEPT.read_text().splitlines() if KEPT.is_file() else []
    kept = [json.loads(line) for line in lines if line.endswith("}")]  # a line cut short is dropped
    found = {tuple(line["key"]): line["found"] for line in kept if line["code"] == now}
    seeds = range(1, runs + 1)
    wanted = [(name, row, seed) for seed in seeds for name, (_, rows) in EXPERIMENTS.items() for row in rows]
    todo = [key for key in wanted if key not in found]
    print(f"{len(todo):,} agencies to do", flush=True)
    with ProcessPoolExecutor(workers) as pool, KEPT.open("a") as stream:
        for key, told in zip(todo, pool.map(one, todo), strict=True):
            found[key] = told
            stream.write(json.dumps({"code": now, "key": key, "found": told}) + "\n")
            stream.flush()
    return {key: found[key] for key in wanted}
