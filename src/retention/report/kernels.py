"""Notebooks on kernels forked from one warm process; to Jupyter this is an ordinary kernel
provisioner.

Importing pandas, scikit-learn and matplotlib costs more than most notebooks do, so one process
imports them once. It forks a driver for each notebook, and a driver forks its kernel before it
opens a socket or starts a thread. Each dies with its parent, down from the run, so that nothing
outlives a killed run. Papermill and nbclient are as they come.
"""

import contextlib
import ctypes
import gc
import os
import pkgutil
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Sequence
from importlib import import_module
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning import LocalProvisioner

PROVISIONER = "retention-warm"  # its name among the entry points of pyproject.toml
# The libraries of macOS may not be forked, Windows cannot: there, kernels are started as Jupyter
# always does.
FORKS = sys.platform == "linux" and hasattr(os, "fork")
DEATH_SIGNAL = 1  # prctl(PR_SET_PDEATHSIG): a process dies with its parent
LAUNCHER = "ipykernel_launcher"
HEAVY = (
    "papermill",
    "ipykernel.kernelapp",
    "matplotlib_inline.backend_inline",
    "pyarrow.parquet",
    "pyarrow.dataset",
)
# Threads that libraries start when imported and that a forked process can do without: jemalloc
# starts its own anew, and polars only tidies files that it never writes here.
HARMLESS = ("jemalloc", "polars-ooc")


def each(
    step: Callable[..., Any],
    calls: Sequence[tuple[Any, ...]],
    at_once: int,
    noise: Path,
    forks: bool = FORKS,
) -> Generator[tuple[int, Any], None, None]:
    """What `step(*call)` gives back for each call, with its place in `calls`, as they are done.

    Each call has a process of its own, `at_once` at a time; None stands for one that was killed. An
    exception that `step` raises is raised here. What processes write to the terminal goes to the
    file `noise`. Closing the generator ends all that still runs.
    """
    start = _forked if forks else _spawned
    with contextlib.closing(start(step, calls, at_once, noise)) as results:
        for number, result in results:
            if isinstance(result, Exception):
                raise result
            yield number, result


def _forked(
    step: Callable[..., Any], calls: Sequence[tuple[Any, ...]], at_once: int, noise: Path
) -> Generator[tuple[int, Any], None, None]:
    """As `each`, by processes forked from a warm one; an exception is handed on as it is."""
    ours, theirs = Pipe()
    warm = subprocess.Popen(
        [sys.executable, "-c", _START.format(theirs.fileno())], pass_fds=[theirs.fileno()]
    )
    theirs.close()
    waiting = set(range(len(calls)))
    try:
        with contextlib.suppress(
            ConnectionError
        ):  # of a warm process that is gone already: told below
            ours.send((sys.path, os.getpid(), str(noise)))
            ours.send((step, calls, at_once))
        while waiting:
            with contextlib.suppress(EOFError, ConnectionError):
                number, result = ours.recv()
                waiting.remove(number)
                yield number, result
                continue
            if warm.wait() > 0:  # not killed: it failed before it could serve
                raise RuntimeError(noise.read_text("utf-8").strip())
            yield from ((number, None) for number in sorted(waiting))
            return
    finally:
        warm.kill()
        warm.wait()
        ours.close()


def _spawned(
    step: Callable[..., Any], calls: Sequence[tuple[Any, ...]], at_once: int, noise: Path
) -> Generator[tuple[int, Any], None, None]:
    """As `each`, without a warm process: each call in a process of its own that starts afresh."""
    context = get_context("spawn")
    running: dict[Any, tuple[int, Any]] = {}
    try:
        for number, call in enumerate(calls):
            if len(running) == at_once:
                yield from _ended(running)
            ours, theirs = context.Pipe(duplex=False)
            driver = context.Process(
                target=_drive_apart, args=(theirs, step, call, noise), daemon=True
            )
            driver.start()
            theirs.close()
            running[ours] = number, driver
        while running:
            yield from _ended(running)
    finally:
        for _, driver in running.values():
            driver.kill()
            driver.join()


def _drive_apart(
    results: Connection, step: Callable[..., Any], call: tuple[Any, ...], noise: Path
) -> None:
    """A driver that nothing warm stands behind."""
    _into(noise)
    _drive(results, step, call, 0, forks=False)


def _into(noise: Path) -> None:
    """Let what this process and its children write to the terminal go to a file."""
    chatter = os.open(noise, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(chatter, 1)
    os.dup2(chatter, 2)


# Collecting garbage while modules are imported finds none, and costs a third of the time.
_START = "import gc; gc.disable(); from retention.report import kernels; kernels._serve({})"


def _serve(handle: int) -> None:
    """The warm process: it imports what is heavy, then lets a driver work on each call."""
    run = Connection(handle)
    sys.path[:], parent, noise = run.recv()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the run to answer
    _die_with(parent)
    _into(Path(noise))
    forks = _warm_up()
    gc.enable()
    step, calls, at_once = run.recv()
    context = get_context("fork" if forks else "spawn")
    running: dict[Any, tuple[int, Any]] = {}
    for number, call in enumerate(calls):
        if len(running) == at_once:
            _hand_over(running, run)
        ours, theirs = context.Pipe(duplex=False)
        driver = context.Process(target=_drive, args=(theirs, step, call, os.getpid(), forks))  # type: ignore[attr-defined]
        driver.start()
        theirs.close()
        running[ours] = number, driver
    while running:
        _hand_over(running, run)


def _warm_up() -> bool:
    """Import what kernels and drivers need; whether it is safe to fork after that."""
    import retention

    os.environ.setdefault(
        "MPLBACKEND", "module://matplotlib_inline.backend_inline"
    )  # as a kernel has it
    ours = [module.name for module in pkgutil.walk_packages(retention.__path__, "retention.")]
    for name in (*HEAVY, *ours):
        import_module(name)
    gc.freeze()  # what is shared is not copied by the collector's marks
    return not threads()


def threads() -> list[str]:
    """Names of this process's threads that would be missed after a fork; Linux alone can tell."""
    others = [path for path in Path("/proc/self/task").iterdir() if path.name != str(os.getpid())]
    names = [(path / "comm").read_text().strip() for path in others]
    return [name for name in names if not name.startswith(HARMLESS)]


def _hand_over(running: dict[Any, tuple[int, Any]], run: Connection) -> None:
    """Wait until a driver is done, and pass on what it found."""
    for number, result in _ended(running):
        run.send((number, result))


def _ended(running: dict[Any, tuple[int, Any]]) -> Generator[tuple[int, Any], None, None]:
    """What the drivers found that are done first; None of one that was killed. An exception that a
    step raised is handed on as it is.
    """
    ready: Any
    for ready in wait(list(running)):
        number, driver = running.pop(ready)
        try:
            result = ready.recv()
        except EOFError:
            result = None
        driver.join()
        yield number, result


def _drive(
    results: Connection, step: Callable[..., Any], call: tuple[Any, ...], warm: int, forks: bool
) -> None:
    """A driver: its kernel is forked before anything else happens, and ended whatever happens."""
    _die_with(warm)
    if forks:
        _WAITING.append(_Forked())
    spares = list(_WAITING)
    try:
        result = step(*call)
    except Exception as error:  # told where the run is
        result = error
    finally:
        for kernel in spares:
            kernel.kill()
    results.send(result)


def _die_with(parent: int) -> None:
    if parent and FORKS:
        ctypes.CDLL(None).prctl(DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


class _Forked:
    """A forked process that waits to be told which kernel to be; with what a provisioner asks of a
    Popen.
    """

    stdin = stdout = stderr = None

    def __init__(self) -> None:
        self.orders, theirs = get_context("fork").Pipe()
        self._process = ForkProcess(target=_become_kernel, args=(theirs, os.getpid()))
        self._process.start()
        self.pid = self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self) -> int | None:
        self._process.join()
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid or 0, number)

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()
        self._process.join()


_WAITING: list[_Forked] = []


def _become_kernel(orders: Connection, driver: int) -> None:
    """Wait for the command line, environment and folder of a kernel, and be that kernel."""
    os.setsid()
    _die_with(driver)
    arguments, environment, folder = orders.recv()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    import numpy as np
    from ipykernel.kernelapp import IPKernelApp

    np.random.seed()  # else every kernel would draw the same numbers
    IPKernelApp.launch_instance([*arguments, "--HistoryManager.enabled=False"])
    os._exit(0)


class WarmProvisioner(LocalProvisioner):
    """Gives a Python kernel the forked process that waits for it; without one, starts it as Jupyter
    always does.
    """

    async def launch_kernel(self, cmd: list[str], **how: Any) -> KernelConnectionInfo:
        """Launch a kernel by its command line."""
        if LAUNCHER not in cmd or not _WAITING:
            return await super().launch_kernel(cmd, **how)
        process = _WAITING.pop()
        folder = str(how.get("cwd") or Path.cwd())
        process.orders.send(
            (cmd[cmd.index(LAUNCHER) + 1 :], dict(how.get("env") or os.environ), folder)
        )
        self.process = process  # type: ignore[assignment]
        self.pid = self.pgid = process.pid
        self.cwd = folder
        return self.connection_info
