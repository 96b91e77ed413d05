"""Running notebooks: papermill, one process a notebook, parameters checked strictly, results
collected.
"""

import ast
import contextlib
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from retention.errors import ConfigError, one_line, without_paths
from retention.parameters import PARAMETERS, SEAL
from retention.report import kernels
from retention.results import MIME

NOISE = "kernels.log"  # what notebook processes write to the terminal; kept only when a run fails
# where each notebook writes its lists until it is done, and where kernels keep their sockets
OWN = "own"
WARNED = re.compile(
    r"^\S.*?:\d+: (\w*Warning: .*)$"
)  # how Python prints a warning; its line of source is indented
COLOURS = re.compile(r"\x1b\[[\d;]*m")


@dataclass(frozen=True)
class Executed:
    """One notebook after its run: where it is, how it went, what it displayed for the run to
    collect.

    `warnings`: what libraries wrote to standard error while it ran, a line each, without paths.
    """

    name: str
    seconds: float
    peak_mb: float
    cpu: float = 0.0
    error: str = ""
    cell: str = ""
    payloads: tuple[Mapping[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()


def _used() -> tuple[float, float]:
    """CPU seconds and the peak of memory (MB) of the kernels of this process; 0 where the system
    does not tell.
    """
    try:
        import resource
    except ImportError:
        return 0.0, 0.0
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    unit = 2**20 if sys.platform == "darwin" else 2**10  # macOS counts bytes, Linux kilobytes
    return used.ru_utime + used.ru_stime, used.ru_maxrss / unit


def check_parameters(notebook: Path) -> None:
    """ConfigError unless the notebook has one parameters cell that sets exactly the four fixed
    parameters.
    """
    cells = nbformat.read(notebook, as_version=4).cells
    tagged = [cell for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    nodes = ast.walk(ast.parse(tagged[0].source)) if len(tagged) == 1 else ()
    names = tuple(
        node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    )
    if names != PARAMETERS:
        raise ConfigError(
            f"{notebook.name} needs one cell tagged 'parameters' that sets "
            f"{', '.join(PARAMETERS)} and nothing else; "
            f"it has {len(tagged)} such cell(s) setting {', '.join(names) or 'none of them'}."
        )


def run_all(
    notebooks: list[Path],
    parameters: Mapping[str, str],
    work: Path,
    jobs: int,
    done: Callable[[Executed], None],
    seal: str = "",
) -> list[Executed]:
    """Run the notebooks in `work`, at most `jobs` at once, each in a process of its own; in their
    own order.

    What a notebook writes is taken into `work` once it is done; nothing is taken of one that fails.
    `seal` opens the folder that the run prepared (`prepared.opened`).
    """
    for notebook in notebooks:
        check_parameters(notebook)
    (work / "notebooks").mkdir(exist_ok=True)
    # Small matrices: threads that wait for each other cost six times more.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    calls = [(notebook, _own(notebook, parameters, work), work, seal) for notebook in notebooks]
    results: dict[int, Executed] = {}
    with contextlib.closing(kernels.each(_run_one, calls, jobs, work / NOISE)) as each:
        for number, result in each:
            why = "its process was killed; perhaps the memory was full (try --jobs 1)"
            results[number] = result or Executed(notebooks[number].stem, 0.0, 0.0, error=why)
            if not results[number].error:
                _take(work / OWN / notebooks[number].stem, work)
            done(results[number])
    return [results[number] for number in range(len(notebooks))]


def _own(notebook: Path, parameters: Mapping[str, str], work: Path) -> dict[str, str]:
    """The parameters of one notebook, with a folder of its own to write into."""
    folder = Path(OWN, notebook.stem)
    (work / folder).mkdir(parents=True, exist_ok=True)
    return {**parameters, "out_dir": str(folder)}


def _take(own: Path, work: Path) -> None:
    """Move all that a notebook wrote from its own folder to where the run has it."""
    for path in sorted(own.rglob("*")):
        place = work / path.relative_to(own)
        if path.is_dir():
            place.mkdir(exist_ok=True)
        else:
            path.replace(place)


def _run_one(notebook: Path, parameters: dict[str, str], work: Path, seal: str = "") -> Executed:
    """Execute one notebook (in a process of its own) and read back what it displayed."""
    started = time.perf_counter()
    target = work / "notebooks" / notebook.name
    os.environ[SEAL] = seal
    error, cell = _execute(notebook, target, parameters, work)
    seconds = time.perf_counter() - started
    cpu, peak = _used()
    payloads: tuple[Mapping[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()
    try:
        if target.is_file():
            payloads, warnings = _read_back(target)
    except (OSError, ValueError) as failure:  # cut short where a disk is full
        error = error or f"{type(failure).__name__}: {failure}"
    usage = round(seconds, 2), round(peak, 1), round(cpu, 2)
    return Executed(notebook.stem, *usage, without_paths(error), cell, payloads, warnings)


def _execute(
    notebook: Path, target: Path, parameters: dict[str, str], work: Path
) -> tuple[str, str]:
    """The error and the source of the failing cell; two empty strings when all went well."""
    import papermill
    from traitlets.config import Config

    os.environ["JUPYTER_DEFAULT_PROVISIONER_NAME"] = kernels.PROVISIONER
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    os.environ.pop("JUPYTER_PATH", None)  # the kernel of this environment and no other
    # Kernels talk over files in a private folder of the run, not over open TCP ports. The path of a
    # socket starts at `work`, where papermill and kernel both are: from the root it might be longer
    # than the system allows.
    private = tempfile.mkdtemp(prefix="k", dir=work / OWN)
    os.environ["JUPYTER_RUNTIME_DIR"] = private  # the key by which the two know each other
    config = Config()
    config.KernelManager.transport = "ipc"
    config.KernelManager.ip = str(Path(private).relative_to(work) / "k")
    try:
        how = {"cwd": str(work), "kernel_name": "python3", "progress_bar": False, "config": config}
        how["request_save_on_cell_execute"] = (
            False  # saved when done or failed, not after every cell
        )
        papermill.execute_notebook(str(notebook), str(target), parameters, **how)
    except papermill.PapermillExecutionError as failure:
        return f"{failure.ename}: {failure.evalue}", failure.source
    except Exception as failure:  # the kernel died, or never came up: told, never swallowed
        return f"{type(failure).__name__}: {failure}", ""
    finally:
        shutil.rmtree(private, ignore_errors=True)
    return "", ""


def _read_back(executed: Path) -> tuple[tuple[Mapping[str, Any], ...], tuple[str, ...]]:
    """What a notebook displayed for the run, and what libraries warned of.

    It is rewritten to name itself and not the folders of this machine, and without the times of day
    and the random mark that would make every run another file.
    """
    notebook = nbformat.read(executed, as_version=4)
    notebook.metadata.papermill.update(input_path=executed.name, output_path=executed.name)
    for part in (notebook, *notebook.cells):
        part.metadata.pop("execution", None)
        for name in ("start_time", "end_time", "duration"):
            part.metadata.get("papermill", {}).pop(name, None)
        if "injected-parameters" in part.metadata.get("tags", []):
            part.id = "injected-parameters"
    warnings = [line for cell in notebook.cells for line in _without_noise(cell)]
    nbformat.write(notebook, executed)
    shown = [
        output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])
    ]
    return tuple(data[MIME] for data in shown if MIME in data), tuple(dict.fromkeys(warnings))


def _without_noise(cell: Any) -> list[str]:
    """What the cell wrote to standard error, as lines for a log; it is taken out of the cell, and
    paths with it.
    """
    lines: list[str] = []
    for output in cell.get("outputs", []):
        if output.output_type == "error":
            output.evalue = without_paths(output.evalue)
            output.traceback = [without_paths(COLOURS.sub("", line)) for line in output.traceback]
        elif output.output_type == "stream" and output.name == "stderr":
            lines += log_lines(output.text)
        elif output.output_type == "stream":
            output.text = without_paths(output.text)
    if "outputs" in cell:
        cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return lines


def log_lines(noise: str) -> list[str]:
    """Warnings of libraries by kind and words, and what else stands in the noise; without paths and
    lines of source.

    >>> log_lines("/opt/lib/x.py:3: RuntimeWarning: divide by zero in log\\n  y = np.log(x)\\n")
    ['RuntimeWarning: divide by zero in log']
    """
    lines = [line for line in noise.splitlines() if line.strip() and not line.startswith("  ")]
    return [one_line(without_paths(WARNED.sub(r"\1", line))) for line in lines]
