"""What a whole report costs at 5,000 and at 50,000 engagements, all tables given.

Run by `make bench`; writes benchmarks/size.md. CPU seconds, for the machine is shared; one notebook
after the other.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pandas as pd

NOTE = Path(__file__).parent / "size.md"
SIZES = (5_000, 50_000)
COMMAND = [sys.executable, "-c", "from retention.cli import cli; cli()"]


def main() -> None:
    cpu: dict[str, dict[str, float]] = {}
    peak: dict[str, dict[str, float]] = {}
    largest: dict[str, float] = {}
    for size in SIZES:
        head = f"{size:,}"
        with tempfile.TemporaryDirectory() as folder:
            made, out = f"{folder}/data", Path(folder) / "reports"
            subprocess.run(
                [*COMMAND, "sample", "--clients", str(size), "--format", "parquet", "--out", made],
                check=True,
            )
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run(
                [*COMMAND, "report", "--data", made, "--out", str(out), "--jobs", "1"], check=True
            )
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            took = json.loads((out / "latest" / "run.json").read_text())["took"]
            largest[head] = (
                max(page.stat().st_size for page in (out / "latest").glob("*.html")) / 1e6
            )
        whole = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        cpu[head] = {name: told["cpu"] for name, told in took.items()}
        cpu[head]["reading, checking, pages"] = whole - sum(cpu[head].values())
        cpu[head]["the whole report"] = whole
        peak[head] = {name: told["peak_mb"] / 1024 for name, told in took.items()}
        peak[head]["the whole report"] = (
            after.ru_maxrss / 1024**2
        )  # the largest process of any size so far
    table = pd.concat(
        [pd.DataFrame(cpu).add_suffix(", CPU s"), pd.DataFrame(peak).add_suffix(", GB")], axis=1
    )
    rows = [
        f"| {name} | {' | '.join(_cell(*item) for item in row.items())} |"
        for name, row in table.iterrows()
    ]
    heads = ["what", *table.columns]
    pages = " and ".join(f"{value:.1f} MB at {size}" for size, value in largest.items())
    text = f"""# What a report costs by size

Made by `make bench`: the made-up agency with that many engagements, every table given, in Parquet; `retention report
--jobs 1`. CPU seconds of all processes, and the largest memory of any one process (GB). Beyond some size a model learns
from clients drawn at random and is tested on the last months alone, so the score's page grows least. The largest page has
{pages}.

| {" | ".join(heads)} |
|{"---|" * len(heads)}
{chr(10).join(rows)}
"""
    NOTE.write_text(text, "utf-8")
    print(text)


def _cell(name: str, value: float) -> str:
    return "–" if pd.isna(value) else f"{value:.1f}" if "GB" in name else f"{value:.0f}"


if __name__ == "__main__":
    main()
