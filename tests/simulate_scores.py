"""Leaks, early warnings and the calendar's chances on made-up agencies; figures kept in
docs/calibration-scores.md.

Run by `make simulate`. Finished agencies are kept in `.simulate-scores.jsonl` (kept.py).
"""

from __future__ import annotations

import argparse
import datetime as dt
import math
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

import kept
from retention.history.snapshots import build_snapshots, known
from retention.history.spells import build_spells
from retention.history.window import Window
from retention.sample import BURN_IN_MONTHS, WORLDS, life, simulate
from retention.score import early_warning, guards, validation
from retention.score.model import RULES, Rule
from retention.score.scores import REFITS, Z95
from retention.settings import LIMITS, Extra, ResultsSettings
from simulate import _typed

ROOT = Path(__file__).parents[1]
NOTE, KEPT = ROOT / "docs" / "calibration-scores.md", ROOT / ".simulate-scores.jsonl"
BEGIN, CUTOFF, MONTHS = dt.date(2021, 1, 1), dt.date(2025, 12, 31), 60
CLIENTS, BATCH, TRUTH_BATCH = 400, 25, 900
DOUBLED = (0, 3, 8, 12)  # months before the cut-off
PROMISED = (0, 3)  # at most 5 % warned, at least half
PLAIN_ETA = life._eta_of_signing
AREAS = {"honest, area .70": 0.742, "honest, area .80": 1.190, "nearly the label, area .943": 2.235}
LEAK_CLIENTS = (100, 400, 1500)


@lru_cache(maxsize=1)
def batch(number: int, doubled: int = 0) -> list[tuple[pd.DataFrame, pd.DataFrame]]:
    """Engagements and month's ends of so many agencies of the study's world, each with reps of its
    own.

    They are made at once and parted by rep: the numbers of the reps of a seat follow each other.
    The wish to leave doubles so many months before the end.
    """

    def eta(t, people, planted):
        # A month of service that began in mid-month ends, and is decided on, in the next.
        month = people["month"].to_numpy() + (people["day"].to_numpy() > 1) + t
        return PLAIN_ETA(t, people, planted) + math.log(2) * (
            month > BURN_IN_MONTHS + MONTHS - doubled
        )

    life._eta_of_signing = eta
    try:
        size, names = CLIENTS * BATCH, ("clients", "contracts")
        tables = simulate(WORLDS["study"], clients=size, seed=number, tables=names)
    finally:
        life._eta_of_signing = PLAIN_ETA
    frames = {name: rows.apply(_typed) for name, rows in tables.items()}
    spells = build_spells(frames["clients"], cutoff=CUTOFF, records_begin=BEGIN)
    days = {"cutoff": pd.Timestamp(CUTOFF), "begin": pd.Timestamp(BEGIN)}
    rows = build_snapshots(spells, frames, Window(), ResultsSettings(), **days)
    reps = spells["rep_id"].str.extract(r"(\d+)", expand=False).astype(int)
    of = np.ceil(reps.rank(method="average", pct=True) * BATCH).astype(int) - 1
    whose = rows["client_id"].map(dict(zip(spells["client_id"], of, strict=True)))
    return [
        (spells[of == k].reset_index(drop=True), rows[whose == k].reset_index(drop=True))
        for k in range(BATCH)
    ]


def agency(seed: int, doubled: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One agency of its batch."""
    return batch((seed - 1) // BATCH + 1, doubled)[(seed - 1) % BATCH]


def warned(doubled: int, seed: int) -> dict[str, float]:
    """What the early warning says of one agency."""
    spells, rows = agency(seed, doubled)
    found = early_warning.watch(rows, spells, CUTOFF)
    last = {"observed": found.observed, "expected": found.expected, "window": found.window}
    return {"risen": float(found.risen), "chance": found.chance, **last}


def calendar(_: int, seed: int) -> dict[str, float]:
    """Each group of the calendar in one agency: its share of month's ends, its interval as the
    scores make it.
    """
    rows = known(agency(seed)[1])
    columns = RULES[validation.CALENDAR]
    way = Rule(columns).fit(rows)
    groups = rows[list(columns)].drop_duplicates()
    codes, names = pd.factorize(rows["client_id"])
    where = pd.Series(np.arange(len(rows))).groupby(codes).agg(list).to_numpy()
    rng, odds = np.random.default_rng(1), []
    for _again in range(REFITS):
        drawn = rows.iloc[np.concatenate(where[rng.integers(0, len(names), len(names))])]
        odds.append(_logit(Rule(columns).fit(drawn).predict_proba(groups)[:, 1]))
    middle, spread = _logit(way.predict_proba(groups)[:, 1]), np.std(odds, axis=0)
    found = {}
    for k, group in enumerate(groups.itertuples(index=False)):
        found |= {f"{_named(group)} at": float(middle[k]), f"{_named(group)} sd": float(spread[k])}
    return found


def leaked(clients: int, seed: int) -> dict[str, float]:
    """Which planted columns of one agency are called leaks."""
    rng = np.random.default_rng(seed)
    start = pd.Timestamp("2021-01-01") + pd.to_timedelta(rng.integers(0, 1800, clients), unit="D")
    age = (pd.Timestamp(CUTOFF) - start).days / 30.5
    stay = rng.exponential(30, clients)
    gone = stay < age
    rows = pd.DataFrame(
        {"client_id": np.arange(clients).astype(str), "start_date": start, "ended": gone}
    )
    rows = rows.assign(
        stop_months=np.minimum(stay, age), monthly_ad_spend=rng.lognormal(9, 1, clients)
    )
    rows["end_date"] = pd.Series(pd.Timestamp(CUTOFF), rows.index).where(gone)
    for name, apart in AREAS.items():
        rows[name] = rng.normal(size=clients) + apart * gone
    level = np.minimum((rows["honest, area .80"].rank(pct=True) * 8).astype(int), 7)
    rows["honest, eight levels of it"] = level.map("abcdefgh".__getitem__)
    rows["honest, number of the contract"] = start.to_series(index=rows.index).rank()
    rows["a bill of the whole stay"] = rows["stop_months"] * rows["monthly_ad_spend"]
    names = list(rows.columns[rows.columns.get_loc("honest, area .70") :])
    kinds = {
        name: "number" if pd.api.types.is_numeric_dtype(rows[name]) else "category"
        for name in names
    }
    found = guards.leaky(rows, {name: Extra(kind=kind) for name, kind in kinds.items()})
    return {name: float(name in found) for name in names}


def _logit(share: np.ndarray) -> np.ndarray:
    return np.log(share / (1 - share))


def _named(group: tuple) -> str:
    monthly, free, due, term = (int(x) for x in group)
    if monthly:
        return "month-to-month"
    able = "able to leave in the window" if free else "locked"
    return f"{term} months, {able}" + (", due within three months" if due else "")


EXPERIMENTS = {"warned": warned, "calendar": calendar, "leaked": leaked}


def one(key: tuple) -> dict[str, float]:
    """What one agency of an experiment comes to."""
    what, of, seed = key
    return EXPERIMENTS[what](of, seed)


def gathered(runs: int) -> dict[tuple[str, int], list[dict[str, float]]]:
    """Every experiment's agencies, those kept from an earlier run first."""
    plan = [("leaked", n) for n in LEAK_CLIENTS]
    plan += [*(("warned", doubled) for doubled in DOUBLED), ("calendar", 0)]
    keys = [(*row, seed) for row in plan for seed in range(1, agencies(*row, runs) + 1)]
    found = kept.gather(KEPT, __file__, keys, one)
    return {row: [found[key] for key in keys if key[:2] == row] for row in plan}


def agencies(what: str, of: int, runs: int) -> int:
    """How many agencies a row has: a quarter for the calendar, whose refits take longest, and eight
    times as many for the two rates of warnings that are promised, which lie near their bounds.
    """
    if what == "calendar":
        return runs // 4
    return 8 * runs if what == "warned" and of in PROMISED else runs


def share(values: list[float]) -> str:
    """A share of agencies in per cent, with its Monte-Carlo standard error."""
    p = float(np.mean(values))
    return f"{p:.1%} ({100 * math.sqrt(p * (1 - p) / len(values)):.1f})"


def leak_lines(found: dict) -> list[str]:
    """A row a planted column: how often it is called a leak, by clients."""
    names = found["leaked", LEAK_CLIENTS[0]][0]
    return [
        f"| {name} | "
        + " | ".join(share([run[name] for run in found["leaked", n]]) for n in LEAK_CLIENTS)
        + " |"
        for name in names
    ]


def warning_lines(found: dict) -> list[str]:
    """A row a world: how often the warning comes, and what came over what was expected in its
    window.
    """
    lines = []
    for doubled in DOUBLED:
        runs = found["warned", doubled]
        world = f"doubled {doubled} months before" if doubled else "no change"
        ratio = sum(run["observed"] for run in runs) / sum(run["expected"] for run in runs)
        lines.append(
            f"| {world} | {len(runs)} | {share([run['risen'] for run in runs])} | {ratio:.2f} |"
        )
    return lines


def calendar_lines(found: dict) -> list[str]:
    """A row a group: its true share, the mean of the chances, and how often the interval covers the
    true share.
    """
    truth_rows = known(pd.concat([rows for _, rows in batch(TRUTH_BATCH)]))
    columns = list(RULES[validation.CALENDAR])
    truth = truth_rows.groupby(columns)["left"].agg(["mean", "size"]).reset_index()
    lines = []
    for row in truth[truth["size"] > 1000].itertuples(index=False):
        name = _named(tuple(row)[: len(columns)])
        runs = [run for run in found["calendar", 0] if f"{name} at" in run]
        at, sd = (np.array([run[f"{name} {what}"] for run in runs]) for what in ("at", "sd"))
        covered = np.abs(at - _logit(np.array([row.mean]))) <= Z95 * sd
        lines.append(
            f"| {name} | {row.mean:.1%} | {np.mean(1 / (1 + np.exp(-at))):.1%} | "
            f"{share(list(covered))} |"
        )
    return lines


LINES = """\
# Leaks, early warnings, and the calendar's chances

Made by `{command}`: {runs} made-up agencies for a row, or as many as it says, parted from batches of {batch}
by their reps; in brackets the Monte-Carlo standard error in points.

## Columns called leaks

Clients sign over five years and leave at one pace; about half have left. Areas are those of a column alone.

| column | {leak_heads} |
|---|{leak_rules}
{leaks}

## Warnings that churn has risen

The study's world, {clients} clients on record (about 90 of them present), with the tables clients and contracts alone.
The wish to leave doubles in all months so many before the cut-off. Clients on fixed terms act on it at their renewal.
The warning is set for {alarm:.1%} of agencies without a change.

| world | agencies | warned | left over expected, in the months named |
|---|---|---|---|
{warnings}

## Chances by the renewal calendar

The share of month's ends of a group after which the client leaves in the window, and its 95 % interval as the list of
scores shows it, in {few} agencies. The true share is that of {truth:,} clients in the same world. The interval takes
clients to be independent. An agency's own reps move its shares away from those of all, so it covers less than 95 %.

| group | true share | mean of the chances | interval covers |
|---|---|---|---|
{calendars}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    runs = parser.parse_args().runs
    found = gathered(runs)
    command = f'make simulate ARGS="--runs {runs}"' if runs != 200 else "make simulate"
    text = LINES.format(
        command=command,
        runs=runs,
        batch=BATCH,
        few=agencies("calendar", 0, runs),
        leak_heads=" | ".join(f"{n} clients" for n in LEAK_CLIENTS),
        leak_rules="---|" * len(LEAK_CLIENTS),
        leaks="\n".join(leak_lines(found)),
        clients=CLIENTS,
        alarm=LIMITS["false_alarms"],
        warnings="\n".join(warning_lines(found)),
        truth=CLIENTS * BATCH,
        calendars="\n".join(calendar_lines(found)),
    )
    NOTE.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
