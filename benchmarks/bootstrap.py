"""The one-step client bootstrap against full refits: what it costs, how far it is off. Writes
benchmarks/bootstrap.md.

Run by `make bench`. CPU seconds of this process, one thread.
"""

from __future__ import annotations

import datetime as dt
import os
import platform
import time
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd

from retention.history.opportunities import exit_rows, levels
from retention.history.spells import build_spells
from retention.sample import WORLDS, simulate
from retention.stats.bands import band_exposure, natural_spline
from retention.stats.hazards import Fit, NotFittedError, fit_hazard

SIZES = {200: 400, 800: 400, 10_000: 100}  # clients, and resamples for each
SEED = 1
NOTE = """\
# The one-step bootstrap against full refits

Made by `make bench`: {command}. Python {python}, numpy {numpy}, {machine}, one thread. The regression is that of A1's
verdict (opportunities to leave; term, size, source and industry; tenure bands). Both resample clients from seed {seed};
the ratio of standard errors and the shifts of the 95 % limits are those of the log ratio, one step over refit. CPU
seconds are those of one step, and of the refits.

| clients | ends | resamples | refits failed | SE, ratio | low limit | high limit | CPU s | of refits | refits cost |
|---|---|---|---|---|---|---|---|---|---|
{rows}

The sandwich standard error of the page, over that of the refits: {sandwich}.
"""


def design(clients: int) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    """The rows, covariates and exposure of A1's regression for an agency of so many clients."""
    tables = simulate(WORLDS["study"], clients=clients, seed=SEED, tables=("clients",))
    spells = build_spells(
        tables["clients"], cutoff=dt.date(2025, 12, 31), records_begin=dt.date(2021, 1, 1)
    )
    rows = exit_rows(spells)
    first = (rows["contract_term_months"] == 1).astype(float).rename("first")
    size = natural_spline(np.log(rows["monthly_ad_spend"].clip(lower=1)))
    X = pd.concat(
        [first, size, *(levels(rows, rows[name]) for name in ("source", "industry"))], axis=1
    )
    return rows, X, band_exposure(rows["from_month"], rows["to_month"], rows["left"])


def refits(
    fit: Fit, rows: pd.DataFrame, X: pd.DataFrame, exposure: np.ndarray, count: int
) -> tuple[np.ndarray, int]:
    """The log ratio in each resample that can be fitted, and how many cannot; resampled as
    `Fit.draws` does.
    """
    rng, groups, found = np.random.default_rng(SEED), fit.n_clusters, []
    for _ in range(count):
        weights = rng.multinomial(groups, np.full(groups, 1 / groups)).astype(float)[fit.cluster]
        try:
            again = fit_hazard(rows["left"].to_numpy(), X, exposure, rows["client_id"], weights)
            found.append(again.coefficient("first"))
        except NotFittedError:
            continue
    return np.array(found), count - len(found)


def main() -> None:
    lines, sandwich = [], []
    for clients, count in SIZES.items():
        rows, X, exposure = design(clients)
        fit = fit_hazard(rows["left"].to_numpy(), X, exposure, rows["client_id"])
        start = time.process_time()
        draws = fit.draws(count, SEED)[:, fit.names.index("first")]
        quick = time.process_time() - start
        start = time.process_time()
        full, failed = refits(fit, rows, X, exposure, count)
        slow = time.process_time() - start
        limits = [np.quantile(values, [0.025, 0.975]) for values in (draws, full)]
        shift = limits[0] - limits[1]
        cells = [
            f"{clients:,}",
            f"{int(rows['left'].sum()):,}",
            f"{count}",
            f"{failed}",
            f"{draws.std() / full.std():.3f}",
        ]
        cells += [
            f"{shift[0]:+.3f}",
            f"{shift[1]:+.3f}",
            f"{quick:.2f}",
            f"{slow:.1f}",
            f"{slow / quick:.0f} times",
        ]
        lines.append(f"| {' | '.join(cells)} |")
        sandwich.append(f"{fit.se('first') / full.std():.3f} ({clients:,} clients)")
    text = NOTE.format(
        command="`python benchmarks/bootstrap.py`",
        python=platform.python_version(),
        numpy=version("numpy"),
        machine=platform.machine(),
        seed=SEED,
        rows="\n".join(lines),
        sandwich=", ".join(sandwich),
    )
    (Path(__file__).parent / "bootstrap.md").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
