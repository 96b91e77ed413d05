"""What a report costs beyond its cells: kernels forked from a warm process, beside plain papermill
and nbconvert.

Run by `make bench`; writes benchmarks/report.md. CPU seconds of all processes, for the machine is
shared. The three ways take turns, on the same prepared data and with the same number of resamples;
medians are told.
"""

from __future__ import annotations

import ast
import gc
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
ROUNDS = int(os.environ.get("RETENTION_ROUNDS", "3"))
PARAMETERS = {"data_dir": "prepared", "config": "", "cutoff": "", "out_dir": ""}
PACKAGES = ("retention", "papermill", "nbclient", "nbconvert", "ipykernel", "pandas", "matplotlib")


def cells(work: Path) -> float:
    """Everything that the notebooks' cells do, one notebook after the other in this process;
    imports come before.
    """
    import nbformat

    from retention.report import kernels

    kernels._warm_up()
    os.chdir(work)
    start = time.process_time()
    for path in NOTEBOOKS:
        names: dict[str, object] = {}
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "code":
                run(
                    PARAMETERS if "parameters" in cell.metadata.get("tags", []) else cell.source,
                    names,
                )
    return time.process_time() - start


def run(cell: str | dict[str, str], names: dict[str, object]) -> None:
    """A cell, and what it shows of its last line."""
    if isinstance(cell, dict):
        names.update(cell)
        return
    tree = ast.parse(cell)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    if last:
        shown = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
        getattr(shown, "_repr_mimebundle_", lambda: None)()


def warm(work: Path) -> None:
    """The report's way, from executing to pages; one at a time as the others, for two at once share
    a cache.
    """
    gc.set_threshold(50_000)  # as the command does
    from retention.data.prepared import SEAL
    from retention.report import execute, pages

    execute.run_all(NOTEBOOKS, PARAMETERS, work, 1, lambda result: None, os.environ[SEAL])
    pages.write_pages([work / "notebooks" / path.name for path in NOTEBOOKS], work)


def plain(work: Path) -> None:
    """Stock papermill, then stock nbconvert, a process each for each notebook."""
    for path in NOTEBOOKS:
        given = [word for name, value in PARAMETERS.items() for word in ("-p", name, value)]
        made = str(work / path.name)
        quiet = ("--no-progress-bar", "--cwd", str(work))
        subprocess.run(
            [sys.executable, "-m", "papermill", *quiet, *given, str(path), made], check=True
        )
        subprocess.run(
            [sys.executable, "-m", "nbconvert", "--to", "html", "--no-input", made], check=True
        )


def measured(way: str) -> float:
    """CPU seconds of one way in a process of its own, with all that it starts; for the cells, those
    of the cells.
    """
    from retention.data.prepared import SEAL
    from retention.study import open_study, prepare

    with tempfile.TemporaryDirectory() as folder:
        os.environ[SEAL] = prepare(
            open_study(str(ROOT / "data" / "sample")), Path(folder) / "prepared"
        )
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, __file__, way, folder]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return float(told.split()[-1]) if way == "cells" else used


def main() -> None:
    took: dict[str, list[float]] = {"cells": [], "warm": [], "plain": []}
    for _ in range(ROUNDS):
        for way, seconds in took.items():
            seconds.append(measured(way))
    inside, fast, slow = (statistics.median(seconds) for seconds in took.values())
    ours, theirs = ((total - inside) / len(NOTEBOOKS) for total in (fast, slow))
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    text = f"""# What a report costs beyond its cells

Made by `make bench`: the {len(NOTEBOOKS)} notebooks on the sample, in turn; medians of {ROUNDS}. CPU seconds of all
processes, their start and imports included; the cells alone are timed in one process that has imported everything.
{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {sys.version.split()[0]};
{packages}.

| way | CPU seconds | beyond the cells, a notebook |
|---|---|---|
| the same cells in one warm process | {inside:.1f} | |
| kernels forked from a warm process, pages by one exporter (`retention report`) | {fast:.1f} | {ours:.2f} |
| stock papermill, then stock nbconvert | {slow:.1f} | {theirs:.2f} |

The way of the report costs {ours / theirs:.0%} of the stock way's overhead.
"""
    (ROOT / "benchmarks" / "report.md").write_text(text, "utf-8")
    print(text)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        way, folder = sys.argv[1], Path(sys.argv[2])
        print({"cells": cells, "warm": warm, "plain": plain}[way](folder))
    else:
        main()
