"""What scoring costs: the sample's clients many times over, scored by a model that is fitted already.

Run by `make bench`; writes benchmarks/score.md. CPU seconds, for the machine is shared.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pandas as pd

from retention import judgement, open_study, scores
from retention.snapshots import build_snapshots

ROOT = Path(__file__).parents[1]
ACTIVE = 50_000
KEYS = ("client_id", "invoice_id", "lead_id")  # what is a copy's own; staff are shared


def copies(frame: pd.DataFrame, count: int) -> pd.DataFrame:
    """The frame `count` times, each copy with ids of its own."""
    own = [name for name in KEYS if name in frame]
    parts = [frame.assign(**{name: frame[name].astype(str) + f"-{k}" for name in own}) for k in range(count)]
    return pd.concat(parts, ignore_index=True)


def timed(step: Callable[[], Any]) -> tuple[Any, float]:
    start = time.process_time()
    return step(), time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--active", type=int, default=ACTIVE)
    active = parser.parse_args().active
    study = open_study(str(ROOT / "data" / "sample"))
    found = judgement.judged(study.snapshots, study.window)
    made, fitting = timed(lambda: scores.scorer(study.snapshots, found, study.window))
    present = int((study.snapshots["month"] == study.snapshots["month"].max()).sum())
    count = -(-active // present)
    frames = {name: copies(frame, count) if name != "staff" else frame for name, frame in study.tables.frames.items()}
    spells = copies(study.spells, count)
    dates = {"cutoff": pd.Timestamp(study.cutoff), "begin": pd.Timestamp(study.records_begin)}
    rows, features = timed(lambda: build_snapshots(spells, frames, study.window, study.settings.results, **dates))
    table, scoring = timed(lambda: scores.scored(rows, spells, made, study.settings, study.cutoff))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    text = f"""# What scoring costs

Made by `make bench`. The sample's clients {count} times over: {len(spells):,} engagements, {len(table):,} clients there
at the last month's end, {len(rows):,} month's ends; {made.way.kind_}, {len(made.refits)} refits for the intervals.
Python {sys.version.split()[0]}, pandas {pd.__version__}, two cores.

| step | CPU seconds |
|---|---|
| fitting on the sample, with the refits | {fitting:.1f} |
| features of every client at every month's end | {features:.1f} |
| scoring {len(table):,} clients: chance, interval, reasons, money, dates | {scoring:.1f} |

Peak memory {peak:.1f} GiB, all copies in memory included.
"""
    (ROOT / "benchmarks" / "score.md").write_text(text, "utf-8")
    print(text)


if __name__ == "__main__":
    main()
