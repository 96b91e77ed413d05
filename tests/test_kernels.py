"""Kernels forked from a warm process: each on its own, none left behind, and as Jupyter starts them
elsewhere.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import nbformat
import pytest

from retention.report import kernels

ALONE = """
import os, random, sys
import numpy as np
print(os.getpid(), os.getcwd(), os.environ.get("PLANTED"), np.random.random(), random.random())
print("statsmodels" in sys.modules)
os.environ["PLANTED"] = "by a neighbour"
"""


def run_here(source: str, folder: Path, planted: str) -> list[str]:
    """What a cell prints, word by word, run by nbclient as it comes on the provisioner of the
    report.
    """
    from nbclient import NotebookClient

    os.environ |= {"JUPYTER_DEFAULT_PROVISIONER_NAME": kernels.PROVISIONER, "PLANTED": planted}
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    NotebookClient(notebook, resources={"metadata": {"path": str(folder)}}).execute()
    return notebook.cells[0].outputs[0].text.split()


def step(what: str, folder: Path) -> object:
    """A call for a driver: a kernel, an error, or the end of the process."""
    if what == "fail":
        raise OSError("no room")
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    return (
        (what, os.getpid(), kernels.threads(), run_here(ALONE, folder, what))
        if what != "hang"
        else time.sleep(600)
    )


def alive(pid: str | int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False


@pytest.mark.slow
def test_kernels_share_what_is_imported_and_nothing_else(tmp_path):
    """Two kernels and a process that is killed; a folder, an environment and random numbers of
    their own.
    """
    calls = [("one", tmp_path), ("die", tmp_path), ("two", tmp_path)]
    found = dict(kernels.each(step, calls, 2, tmp_path / "noise"))
    assert found[1] is None
    (one, driver, threads, first), (two, _, _, second) = found[0], found[2]
    assert (one, two, threads) == ("one", "two", [])
    assert first[0] != second[0] and first[1] == second[1] == str(tmp_path)
    assert (first[2], second[2]) == ("one", "two")
    assert first[3] != second[3] and first[4] != second[4]
    assert first[5] == second[5] == "True", "the kernel was not forked from the warm process"
    assert not any(alive(pid) for pid in (driver, first[0], second[0]))


@pytest.mark.slow
def test_an_error_of_a_driver_is_raised_and_ends_the_others(tmp_path):
    each = kernels.each(step, [("fail", tmp_path), ("hang", tmp_path)], 2, tmp_path / "noise")
    with pytest.raises(OSError, match="no room"), contextlib.closing(each):
        list(each)
    deadline = time.monotonic() + 10
    while (left := holding(tmp_path / "noise")) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left == []


def holding(noise: Path) -> list[str]:
    """Processes whose output goes to that file."""
    found = []
    for path in Path("/proc").glob("[0-9]*/fd/1"):
        with contextlib.suppress(OSError):
            found += [path.parts[2]] if path.readlink() == noise else []
    return found


def test_where_fork_is_not_to_be_trusted_kernels_start_as_jupyter_starts_them(tmp_path):
    [(number, (_, _, _, words))] = kernels.each(
        step, [("cold", tmp_path)], 1, tmp_path / "noise", forks=False
    )
    assert (number, words[1:3], words[5]) == (0, [str(tmp_path), "cold"], "False")


@pytest.mark.slow
def test_a_warm_process_that_cannot_start_says_why(tmp_path, monkeypatch):
    here_alone = types.ModuleType("here_alone")
    exec("def step(): pass", here_alone.__dict__)
    monkeypatch.setitem(sys.modules, "here_alone", here_alone)
    with pytest.raises(RuntimeError, match="No module named 'here_alone'"):
        list(kernels.each(here_alone.step, [()], 1, tmp_path / "noise"))


def test_help_waits_for_no_library():
    words = (
        "import sys, time; from retention.cli import main; main(['--help'], standalone_mode=False)"
    )
    told = (
        f"{words}; print(time.process_time(), sorted({{'pandas', 'numpy', 'nbformat'}} & "
        "set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    seconds, loaded = done.stdout.splitlines()[-1].split(" ", 1)
    assert float(seconds) < 0.5 and loaded == "[]"


def test_the_verbs_of_the_package_are_found_and_others_are_not():
    import retention

    assert len(retention.__all__) > 10
    assert all(callable(getattr(retention, name)) for name in retention.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = retention.nothing
