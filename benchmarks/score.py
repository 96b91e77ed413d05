"""What scoring costs: the sample's clients many times over, scored by a model that is fitted
already.

Run by `make bench`; writes benchmarks/score.md. CPU seconds, for the machine is shared.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pandas as pd

from retention import open_study
from retention.history.snapshots import build_snapshots
from retention.score import scores, validation

ROOT = Path(__file__).parents[1]
ACTIVE, FEWER = 50_000, 40  # clients scored; copies of every table whose features are made
KEYS = ("client_id", "invoice_id", "lead_id")  # what is a copy's own; staff are shared


def copies(frame: pd.DataFrame, count: int) -> pd.DataFrame:
    """The frame `count` times, each copy with ids of its own."""
    own = [name for name in KEYS if name in frame]
    parts = [
        frame.assign(**{name: frame[name].astype(str) + f"-{k}" for name in own})
        for k in range(count)
    ]
    return pd.concat(parts, ignore_index=True)


def timed(step: Callable[[], Any]) -> tuple[Any, float]:
    start = time.process_time()
    return step(), time.process_time() - start


def main() -> None:
    study = open_study(str(ROOT / "data" / "sample"))
    found = validation.judged(study.month_ends, study.window)
    made, fitting = timed(lambda: scores.scorer(study.month_ends, found, study.window))
    now = study.month_ends[study.month_ends["month"] == study.month_ends["month"].max()]
    count = -(-ACTIVE // len(now))
    rows, spells = (
        copies(now, count),
        copies(study.spells[study.spells["client_id"].isin(now["client_id"])], count),
    )
    table, scoring = timed(lambda: scores.scores(rows, spells, made, study.settings, study.cutoff))
    frames = {
        name: copies(frame, FEWER) if name != "staff" else frame
        for name, frame in study.tables.frames.items()
    }
    people, dates = copies(study.spells, FEWER), {"cutoff": pd.Timestamp(study.cutoff)}
    dates["begin"] = pd.Timestamp(study.records_begin)
    made_of, features = timed(
        lambda: build_snapshots(people, frames, study.window, study.settings.results, **dates)
    )
    text = f"""# What scoring costs

Made by `make bench`: the sample's clients many times over, scored by a model that was fitted on the sample
({made.way.kind_}, {len(made.refits)} refits on resampled clients for the intervals). Python {sys.version.split()[0]},
pandas {pd.__version__}; CPU seconds.

| step | CPU seconds |
|---|---|
| fitting on the sample, with the refits | {fitting:.1f} |
| scoring {len(table):,} clients: chance, interval, reasons, money, dates, order | {scoring:.1f} |
| features of {len(people):,} engagements at {len(made_of):,} month's ends, from every table | {features:.1f} |
"""
    (ROOT / "benchmarks" / "score.md").write_text(text, "utf-8")
    print(text)


if __name__ == "__main__":
    main()
