"""Running notebooks: papermill, one process a notebook, parameters checked strictly, results collected."""

from __future__ import annotations

import ast
import ctypes
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import nbformat

from retention.errors import ConfigError
from retention.results import MIME

PARAMETERS = ("data_dir", "config", "cutoff", "out_dir")
DEATH_SIGNAL = 1  # prctl(PR_SET_PDEATHSIG): a worker dies with the run that started it


@dataclass(frozen=True)
class Executed:
    """One notebook after its run: where it is, how it went, what it displayed for the run to collect."""

    name: str
    seconds: float
    peak_mb: float
    error: str = ""
    cell: str = ""
    payloads: tuple[Mapping[str, Any], ...] = field(default=())


def check_parameters(notebook: Path) -> None:
    """ConfigError unless the notebook has one parameters cell that sets exactly the four fixed parameters."""
    cells = nbformat.read(notebook, as_version=4).cells
    tagged = [cell for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    names = tuple(_assigned(tagged[0].source)) if len(tagged) == 1 else ()
    if names != PARAMETERS:
        raise ConfigError(
            f"{notebook.name} needs one cell tagged 'parameters' that sets {', '.join(PARAMETERS)} and nothing else; "
            f"it has {len(tagged)} such cell(s) setting {', '.join(names) or 'none of them'}."
        )


def _assigned(source: str) -> Iterable[str]:
    statements = ast.parse(source).body
    return [
        target.id
        for s in statements
        if isinstance(s, ast.Assign)
        for target in s.targets
        if isinstance(target, ast.Name)
    ]


def run_all(
    notebooks: list[Path], parameters: Mapping[str, str], work: Path, jobs: int, done: Callable[[Executed], None]
) -> list[Executed]:
    """Run the notebooks in `work`, at most `jobs` at once, each in a process of its own; in their own order."""
    for notebook in notebooks:
        check_parameters(notebook)
    (work / "notebooks").mkdir(exist_ok=True)
    results: dict[str, Executed] = {}
    context = get_context("spawn")
    with ProcessPoolExecutor(
        min(jobs, len(notebooks)), context, _die_with, (os.getpid(),), max_tasks_per_child=1
    ) as pool:
        futures = [pool.submit(_run_one, notebook, dict(parameters), work) for notebook in notebooks]
        for future in as_completed(futures):
            result = future.result()
            results[result.name] = result
            done(result)
    return [results[notebook.stem] for notebook in notebooks]


def _die_with(parent: int) -> None:
    """Make this worker die when the run does, so that a killed run leaves nothing behind that writes."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


def _run_one(notebook: Path, parameters: dict[str, str], work: Path) -> Executed:
    """Execute one notebook (in the worker process) and read back what it displayed."""
    started = time.perf_counter()
    target = work / "notebooks" / notebook.name
    error, cell = _execute(notebook, target, parameters, work)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    found = () if error else tuple(_payloads(_without_paths(target)))
    return Executed(notebook.stem, round(seconds, 2), round(peak, 1), error, cell, found)


def _execute(notebook: Path, target: Path, parameters: dict[str, str], work: Path) -> tuple[str, str]:
    """The error and the source of the failing cell; two empty strings when all went well."""
    import papermill
    from traitlets.config import Config

    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    # Kernels talk over files in a private folder, not over open TCP ports; its path must stay under 100 bytes.
    private = tempfile.mkdtemp(prefix="rk")
    config = Config()
    config.KernelManager.transport = "ipc"
    config.KernelManager.ip = f"{private}/k"
    try:
        papermill.execute_notebook(
            str(notebook), str(target), parameters, cwd=str(work), kernel_name="python3", progress_bar=False,
            config=config,
        )  # fmt: skip
    except papermill.PapermillExecutionError as failure:
        return f"{failure.ename}: {failure.evalue}", failure.source
    except Exception as failure:  # the kernel died, or never came up: told, never swallowed
        return f"{type(failure).__name__}: {failure}", ""
    finally:
        shutil.rmtree(private, ignore_errors=True)
    return "", ""


def _without_paths(executed: Path) -> Path:
    """The executed notebook, rewritten to name itself and not the folders of the machine it ran on."""
    notebook = nbformat.read(executed, as_version=4)
    notebook.metadata.papermill.update(input_path=executed.name, output_path=executed.name)
    nbformat.write(notebook, executed)
    return executed


def _payloads(executed: Path) -> Iterable[Mapping[str, Any]]:
    for cell in nbformat.read(executed, as_version=4).cells:
        for output in cell.get("outputs", []):
            if MIME in output.get("data", {}):
                yield output["data"][MIME]
