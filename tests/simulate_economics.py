"""Do the intervals of the economics cover? Many made-up agencies; figures kept in
docs/calibration-economics.md.

Run by `make simulate`. The truth is that of one agency of 100,000 clients in the same world, a
hundred or more times as large; revenue is scaled to the size of the small one.
"""

from __future__ import annotations

import argparse
import datetime as dt
import math
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from retention.history.money import monthly_money
from retention.history.spells import build_spells
from retention.money import courses, on_the_books, plateau
from retention.sample import WORLDS, World, simulate
from retention.stats.intervals import with_limits

NOTE = Path(__file__).parents[1] / "docs" / "calibration-economics.md"
BEGIN, CUTOFF, YEAR_BEFORE = dt.date(2021, 1, 1), dt.date(2025, 12, 31), dt.date(2024, 12, 31)
TRUTH_CLIENTS, TRUTH_SEED = 100_000, 900_000
ALIKE = replace(WORLDS["study"], rep_sd=0.0, rep_liking_sd=0.0)
TRIED = {
    "study, reps alike": (ALIKE, 600),
    "the same, small": (ALIKE, 200),
    "study, reps differ": (WORLDS["study"], 600),
}
WITHIN = 24  # months
QUANTITIES = {
    "months": "mean months stayed of the first 24",
    "worth": "worth of a new client over 24 months, in fees",
    "within": "plateau, from the lifetimes that were watched for 48 months",
    "level": "plateau, the longest leaving on as lately",
    "present": "of the revenue of 2024's last clients, lost in a year",
}
LINES = """\
# Do the intervals of the economics cover?

Made by `{command}`: {runs} made-up agencies for each row, seeds 1 to {runs}; the Monte-Carlo standard error of a
coverage near 95 % is {error:.1f} points. Intervals are percentiles of {draws} resamples of the clients. The true value
is that of one agency of {truth:,} clients in the same world; revenue is scaled to 600. The specification asks for 90 to
98 %. What is lost of the present clients' revenue is held against what came: who of them was gone a year later.

Where reps differ the true value is that of an agency with ever new reps. No reps are on record in these agencies, so
intervals take clients to be independent and cover less there. `calibration-spread.md` has the intervals that pages show
where reps are on record.

| world | clients | quantity | true value | bias | median width of the interval | coverage |
|---|---|---|---|---|---|---|
{rows}
"""


def followed(tables: dict[str, pd.DataFrame], cutoff: dt.date) -> courses.Course:
    """The clients as known on a day, with their fees."""
    spells = build_spells(tables["clients"], cutoff=cutoff, records_begin=BEGIN)
    months = tables["account_months"].assign(month=lambda rows: pd.to_datetime(rows["month"]))
    known = pd.to_datetime(months["recorded_at"]) <= pd.Timestamp(cutoff)
    return courses.course(spells, monthly_money(spells, {"account_months": months[known]}))


def lost(then: courses.Course, clients: pd.DataFrame) -> float:
    """The share of the fees of those present a year ago that went with those who have left since:
    what came.
    """
    present, now = on_the_books.present_clients(then, YEAR_BEFORE)
    later = build_spells(clients, cutoff=CUTOFF, records_begin=BEGIN).set_index(
        ["client_id", "engagement"]
    )["end_date"]
    ends = then.spells[["client_id", "engagement"]].join(later, on=["client_id", "engagement"])[
        "end_date"
    ]
    gone = (ends <= pd.Timestamp(CUTOFF)).to_numpy()
    return float(now[present & gone].sum() / now[present].sum())


def found(planted: World, clients: int, seed: int) -> dict[str, list[float]]:
    """Each quantity with its interval in one agency; only the value in the large one, which has
    more reps, too.
    """
    large = clients == TRUTH_CLIENTS
    planted = replace(planted, reps=12) if large else planted
    tables = simulate(planted, clients=clients, seed=seed, tables=("clients", "account_months"))
    course, then = followed(tables, CUTOFF), followed(tables, YEAR_BEFORE)
    weights = course.weights(0 if large else courses.DRAWS)
    stay, paid = courses.survival(course, weights), courses.paid_there(course, weights)
    signed = plateau.signups(course, weights, CUTOFF)
    values = {
        "months": stay[:, :WITHIN].sum(axis=1),
        "worth": courses.worth(stay, paid, WITHIN),
        "within": 600 / clients * signed * (stay[:, :48] * paid[:, :48]).sum(axis=1),
        "level": 600 / clients * plateau.outlook(course, CUTOFF, len(weights) - 1).level,
    }
    if large:
        return {name: [float(v[0])] for name, v in values.items()} | {
            "present": [lost(then, tables["clients"])]
        }
    book = on_the_books.book(then, then.weights(), YEAR_BEFORE, 1)
    values["present"] = 1 - book[:, 12] / book[:, 0]
    return {name: with_limits(v) for name, v in values.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=400)
    runs, rows = parser.parse_args().runs, []
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        truths = {
            planted: found(planted, TRUTH_CLIENTS, TRUTH_SEED) for planted, _ in TRIED.values()
        }
        for name, (planted, clients) in TRIED.items():
            each = list(
                pool.map(found, [planted] * runs, [clients] * runs, range(1, runs + 1), chunksize=5)
            )
            for what, words in QUANTITIES.items():
                (truth,), (value, low, high) = (
                    truths[planted][what],
                    np.array([run[what] for run in each]).T,
                )
                inside = np.mean((low < truth) & (truth < high))
                off = f"{value.mean() / truth - 1:+.1%} | {np.median(high - low) / truth:.0%}"
                rows.append(
                    f"| {name} | {clients} | {words} | {truth:,.4g} | {off} | {inside:.1%} |"
                )
    command = f'make simulate ARGS="--runs {runs}"' if runs != 400 else "make simulate"
    error, draws = 100 * math.sqrt(0.95 * 0.05 / runs), courses.DRAWS
    NOTE.write_text(
        LINES.format(
            command=command,
            runs=runs,
            error=error,
            draws=draws,
            truth=TRUTH_CLIENTS,
            rows="\n".join(rows),
        ),
        "utf-8",
    )


if __name__ == "__main__":
    main()
