"""Running notebooks: papermill, one process a notebook, parameters checked strictly, results collected."""

import ast
import contextlib
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from retention.errors import ConfigError
from retention.report import kernels
from retention.results import MIME

PARAMETERS = ("data_dir", "config", "cutoff", "out_dir")
NOISE = "kernels.log"  # what notebook processes write to the terminal; kept only when a run fails
SOCKET_PATH = 60  # characters of a folder that leave room for the name of a socket (107 in all)


@dataclass(frozen=True)
class Executed:
    """One notebook after its run: where it is, how it went, what it displayed for the run to collect."""

    name: str
    seconds: float
    peak_mb: float
    cpu: float = 0.0
    error: str = ""
    cell: str = ""
    payloads: tuple[Mapping[str, Any], ...] = ()


def check_parameters(notebook: Path) -> None:
    """ConfigError unless the notebook has one parameters cell that sets exactly the four fixed parameters."""
    cells = nbformat.read(notebook, as_version=4).cells
    tagged = [cell for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    nodes = ast.walk(ast.parse(tagged[0].source)) if len(tagged) == 1 else ()
    names = tuple(node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
    if names != PARAMETERS:
        raise ConfigError(
            f"{notebook.name} needs one cell tagged 'parameters' that sets {', '.join(PARAMETERS)} and nothing else; "
            f"it has {len(tagged)} such cell(s) setting {', '.join(names) or 'none of them'}."
        )


def run_all(
    notebooks: list[Path], parameters: Mapping[str, str], work: Path, jobs: int, done: Callable[[Executed], None]
) -> list[Executed]:
    """Run the notebooks in `work`, at most `jobs` at once, each in a process of its own; in their own order."""
    for notebook in notebooks:
        check_parameters(notebook)
    (work / "notebooks").mkdir(exist_ok=True)
    # Small matrices: threads that wait for each other cost six times more.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    calls = [(notebook, dict(parameters), work) for notebook in notebooks]
    results: dict[int, Executed] = {}
    with contextlib.closing(kernels.each(_run_one, calls, jobs, work / NOISE)) as each:
        for number, result in each:
            why = "its process was killed; perhaps the memory was full (try --jobs 1)"
            results[number] = result or Executed(notebooks[number].stem, 0.0, 0.0, error=why)
            done(results[number])
    return [results[number] for number in range(len(notebooks))]


def _run_one(notebook: Path, parameters: dict[str, str], work: Path) -> Executed:
    """Execute one notebook (in a process of its own) and read back what it displayed."""
    started = time.perf_counter()
    target = work / "notebooks" / notebook.name
    error, cell = _execute(notebook, target, parameters, work)
    seconds = time.perf_counter() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu, peak = used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
    try:
        payloads = _read_back(target) if target.is_file() else ()
    except (OSError, ValueError) as failure:  # cut short where a disk is full
        payloads, error = (), error or f"{type(failure).__name__}: {failure}"
    return Executed(notebook.stem, round(seconds, 2), round(peak, 1), round(cpu, 2), error, cell, payloads)


def _execute(notebook: Path, target: Path, parameters: dict[str, str], work: Path) -> tuple[str, str]:
    """The error and the source of the failing cell; two empty strings when all went well."""
    import papermill
    from traitlets.config import Config

    os.environ["JUPYTER_DEFAULT_PROVISIONER_NAME"] = kernels.PROVISIONER
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    os.environ.pop("JUPYTER_PATH", None)  # the kernel of this environment and no other
    # Kernels talk over files in a private folder, not over open TCP ports; its path must stay under 100 bytes.
    private = tempfile.mkdtemp(prefix="rk", dir=None if len(tempfile.gettempdir()) < SOCKET_PATH else "/tmp")
    config = Config()
    config.KernelManager.transport = "ipc"
    config.KernelManager.ip = f"{private}/k"
    try:
        how = {"cwd": str(work), "kernel_name": "python3", "progress_bar": False, "config": config}
        how["request_save_on_cell_execute"] = False  # saved when done or failed, not after every cell
        papermill.execute_notebook(str(notebook), str(target), parameters, **how)
    except papermill.PapermillExecutionError as failure:
        return f"{failure.ename}: {failure.evalue}", failure.source
    except Exception as failure:  # the kernel died, or never came up: told, never swallowed
        return f"{type(failure).__name__}: {failure}", ""
    finally:
        shutil.rmtree(private, ignore_errors=True)
    return "", ""


def _read_back(executed: Path) -> tuple[Mapping[str, Any], ...]:
    """What a notebook displayed for the run.

    It is rewritten to name itself and not the folders of this machine, and without the times of day and the random
    mark that would make every run another file.
    """
    notebook = nbformat.read(executed, as_version=4)
    notebook.metadata.papermill.update(input_path=executed.name, output_path=executed.name)
    for part in (notebook, *notebook.cells):
        part.metadata.pop("execution", None)
        for name in ("start_time", "end_time", "duration"):
            part.metadata.get("papermill", {}).pop(name, None)
        if "injected-parameters" in part.metadata.get("tags", []):
            part.id = "injected-parameters"
    nbformat.write(notebook, executed)
    shown = [output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])]
    return tuple(data[MIME] for data in shown if MIME in data)
