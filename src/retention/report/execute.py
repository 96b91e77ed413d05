"""Running notebooks: papermill, one process a notebook, parameters checked strictly, results collected."""

import ast
import ctypes
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import nbformat

from retention.errors import ConfigError
from retention.results import MIME

PARAMETERS = ("data_dir", "config", "cutoff", "out_dir")
NOISE = "kernels.log"  # what notebook processes write to the terminal; kept only when a run fails
SOCKET_PATH = 60  # characters of a folder that leave room for the name of a socket (107 in all)
DEATH_SIGNAL = 1  # prctl(PR_SET_PDEATHSIG): a worker dies with the run that started it


@dataclass(frozen=True)
class Executed:
    """One notebook after its run: where it is, how it went, what it displayed for the run to collect."""

    name: str
    seconds: float
    peak_mb: float
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
    results: dict[str, Executed] = {}
    workers, setup = min(jobs, len(notebooks)), (os.getpid(), str(work / NOISE))
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _prepare_worker, setup, max_tasks_per_child=1)
    futures = {pool.submit(_run_one, notebook, dict(parameters), work): notebook.stem for notebook in notebooks}
    try:
        for future in as_completed(futures):
            name = futures[future]
            try:
                results[name] = future.result()
            except BrokenExecutor:
                why = "its process was killed; perhaps the memory was full (try --jobs 1)"
                results[name] = Executed(name, 0.0, 0.0, why)
            done(results[name])
    except BaseException:
        for worker in list(pool._processes.values()):  # an interrupted run does not wait for its notebooks
            worker.kill()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    return [results[notebook.stem] for notebook in notebooks]


def _prepare_worker(parent: int, noise: str) -> None:
    """Make this worker die when the run does, leave Ctrl-C to the run, and keep kernels' chatter off the terminal."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
    chatter = os.open(noise, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(chatter, 1)
    os.dup2(chatter, 2)


def _run_one(notebook: Path, parameters: dict[str, str], work: Path) -> Executed:
    """Execute one notebook (in the worker process) and read back what it displayed."""
    started = time.perf_counter()
    target = work / "notebooks" / notebook.name
    error, cell = _execute(notebook, target, parameters, work)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    payloads = _read_back(target) if target.is_file() else ()
    return Executed(notebook.stem, round(seconds, 2), round(peak, 1), error, cell, payloads)


def _execute(notebook: Path, target: Path, parameters: dict[str, str], work: Path) -> tuple[str, str]:
    """The error and the source of the failing cell; two empty strings when all went well."""
    import papermill
    from traitlets.config import Config

    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    os.environ.pop("JUPYTER_PATH", None)  # the kernel of this environment and no other
    # Small matrices: threads that wait for each other cost six times more.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # Kernels talk over files in a private folder, not over open TCP ports; its path must stay under 100 bytes.
    private = tempfile.mkdtemp(prefix="rk", dir=None if len(tempfile.gettempdir()) < SOCKET_PATH else "/tmp")
    config = Config()
    config.KernelManager.transport = "ipc"
    config.KernelManager.ip = f"{private}/k"
    try:
        how = {"cwd": str(work), "kernel_name": "python3", "progress_bar": False, "config": config}
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
