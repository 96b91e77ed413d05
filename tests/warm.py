"""The commands of `retention`, each in a process of its own, forked from one that has imported
everything.

Starting Python and importing pandas, scikit-learn and matplotlib costs four seconds a command, and
tests give a hundred. What a command does is as from a shell: its own arguments, folder, environment,
output, exit code and signals. So does the process that a report forks its kernels from: it waits
from the start, as a child of the command, and is told when it is wanted (`kernels.each`).
"""

import atexit
import functools
import importlib
import os
import pickle
import pkgutil
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

START = ("PYTHONPATH", "LD_PRELOAD", "TZ")  # what is read when Python starts: no fork can have it
ROOT = Path(__file__).parents[1]
MAIN = "from retention.cli import main; main()"


def retention(*words: Any, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess:
    """A command to its end: its exit code, standard output and standard error."""
    arguments = [str(word) for word in words]
    if any(name in environment for name in START) or sys.platform != "linux":
        return subprocess.run(
            [sys.executable, "-c", MAIN, *arguments],
            cwd=cwd,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=False,
        )
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        asked = (arguments, str(cwd), os.environ | environment, str(out), str(err))
        code = _asked(asked)
        told = [path.read_text("utf-8") for path in (out, err)]
    return subprocess.CompletedProcess(arguments, code, *told)


def _asked(asked: tuple) -> int:
    """The exit code of a command, or minus the signal that ended it."""
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(_server())
        line.sendall(pickle.dumps(asked))
        line.shutdown(socket.SHUT_WR)
        return int(_whole(line))


def _whole(line: socket.socket) -> bytes:
    parts = []
    while part := line.recv(65536):
        parts.append(part)
    return b"".join(parts)


@functools.cache
def _server() -> str:
    """The address of this process's server, started when first asked for."""
    folder = tempfile.TemporaryDirectory(prefix="warm")
    address = f"{folder.name}/socket"
    serve = f"import gc; gc.disable(); import warm; warm.serve({address!r})"
    paths = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    process = subprocess.Popen(
        [sys.executable, "-c", serve],
        env=os.environ | {"PYTHONPATH": paths},
        stdout=subprocess.PIPE,
    )
    atexit.register(folder.cleanup)
    atexit.register(process.wait)
    atexit.register(process.kill)
    assert process.stdout is not None and process.stdout.readline() == b"ready\n"
    return address


def serve(address: str) -> None:
    """Import everything, then fork a process for each command that comes over the socket."""
    from retention.report import kernels

    kernels._die_with(os.getppid())
    import retention

    ours = [module.name for module in pkgutil.walk_packages(retention.__path__, "retention.")]
    for name in (*kernels.HEAVY, "papermill", "nbconvert", *ours):
        if not name.endswith("__main__"):
            importlib.import_module(name)
    assert kernels.threads() == [], "a library starts a thread: no fork is safe"
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(address)
    listening.listen()
    print("ready", flush=True)
    while True:
        line, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _serve_one(line)
        line.close()


def _serve_one(line: socket.socket) -> None:
    """Fork a command, wait for its end and tell its code."""
    asked = pickle.loads(_whole(line))
    command = os.fork()
    if command == 0:
        line.close()
        os._exit(_be(*asked))
    _, status = os.waitpid(command, 0)
    line.sendall(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _be(words: list[str], cwd: str, environment: dict[str, str], out: str, err: str) -> int:
    """Be the command: its exit code."""
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    for number, path in ((1, out), (2, err)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(file, number)
        os.close(file)
    sys.argv = ["-c", *words]
    code: Any = 0
    try:
        _wait_with_kernels()
        from retention.cli import main

        main()
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code if isinstance(code, int) else int(code is not None)


def _wait_with_kernels() -> None:
    """Fork the process that kernels are to come from, before the command has read anything."""
    from retention.report import kernels

    ours, theirs = socket.socketpair()
    command = os.getpid()
    process = os.fork()
    if process == 0:
        ours.close()
        kernels._die_with(command)
        _, handles, _, _ = socket.recv_fds(theirs, 1, 1)
        for handle in handles:
            kernels._serve(handle)
        os._exit(0)
    theirs.close()
    kernels.subprocess = _Starts(process, ours)  # type: ignore[assignment]


class _Starts:
    """In place of the module subprocess in `kernels`: the process that waits is the one started."""

    def __init__(self, pid: int, line: socket.socket) -> None:
        self.pid, self.line = pid, line

    def Popen(self, command: list[str], pass_fds: list[int]) -> "_Starts":  # noqa: N802
        """Tell the process that waits which connection to serve."""
        socket.send_fds(self.line, [b"x"], pass_fds)
        return self

    def kill(self) -> None:
        """End it."""
        os.kill(self.pid, signal.SIGKILL)

    @functools.cache  # noqa: B019 (asked again after the end)
    def wait(self) -> int:
        """Its exit code, or minus the signal that ended it."""
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
