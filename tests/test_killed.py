"""Whatever befalls a run, the published report stays whole and the next run works.

Kills at any moment (RETENTION_KILLS of them), a disk that fills up, a second run, another clock and
time zone. `make torture` is the long version of the same tests.
"""

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import ROOT
from retention.errors import DiskFullError, NotebookError
from retention.report import execute, publish
from retention.report.run import _plain
from retention.sample import write_sample

pytestmark = pytest.mark.long

KILLS = int(os.environ.get("RETENTION_KILLS", "4"))
LONG = "RETENTION_KILLS" in os.environ
COMMAND = [sys.executable, "-c", "from retention.cli import main; main()", "report"]


def left_of(run: int, out: Path) -> list[str]:
    """Command lines of living processes of a run: those in its session, and the kernels, which work
    below `out`.
    """
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            session = int((path / "stat").read_text().rsplit(")", 1)[1].split()[3])
            if session == run or str((path / "cwd").readlink()).startswith(str(out)):
                found.append((path / "cmdline").read_text().replace("\0", " "))
        except (OSError, ValueError, IndexError):
            continue
    return [line for line in found if line]


def test_a_killed_run_harms_nothing(agency, tmp_path):
    out, data = tmp_path / "out", agency
    rng = random.Random(20)
    took = _run(out, data, 300)
    for number in range(KILLS):
        moment = took * (number + rng.random()) / KILLS
        run = subprocess.Popen(
            _command(out, data, number),
            cwd=ROOT,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(moment)
        run.send_signal(signal.SIGKILL)
        run.wait()
        after = (out / "latest").resolve()
        assert publish.whole(after), f"latest is not whole after a kill at {moment:.2f} s"
        deadline = time.monotonic() + 20
        while left_of(run.pid, out) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert left_of(run.pid, out) == [], "a process outlived the run that started it"
    _run(out, data, 301)
    assert publish.whole((out / "latest").resolve()) and not list(out.glob(".run-*"))


# In a name space of its own, so that the small disk is seen by this run alone and goes when it
# ends.
ON_A_SMALL_DISK = """
mount -t tmpfs -o size="$1"k tmpfs "$2" && cp -a "$3"/. "$2" && shift 3 && "$@"
code=$?
cp -a "$OUT"/. "$SEEN"
exit $code
"""
SIZES = (
    [30, 80, 130, 180, 230, 280, 320] if LONG else [320]
)  # KB beyond what is there; a run needs more


@pytest.fixture(scope="module")
def agency(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("agency")
    write_sample(folder, clients=60, seed=8)
    return folder


@pytest.fixture(scope="module")
def published(agency, tmp_path_factory) -> Path:
    """An output folder with one run of one notebook."""
    out = tmp_path_factory.mktemp("published")
    subprocess.run(_brief(out, agency, "2025-06-30"), cwd=ROOT, check=True, capture_output=True)
    return out


def _brief(out: Path, data: Path, cutoff: str) -> list[str]:
    return [
        *COMMAND,
        "--data",
        str(data),
        "--out",
        str(out),
        "--notebooks",
        "00",
        "--cutoff",
        cutoff,
        "--jobs",
        "1",
    ]


def _may_mount() -> bool:
    """Whether this machine lets a test mount a disk of its own."""
    words = ["unshare", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return (
        bool(shutil.which("unshare"))
        and not subprocess.run(words, capture_output=True, check=False).returncode
    )


@pytest.mark.skipif(not _may_mount(), reason="needs leave to mount a small disk")
@pytest.mark.parametrize("room", SIZES)
def test_a_full_disk_is_told_and_leaves_the_last_report(room, agency, published, tmp_path):
    out, seen = tmp_path / "out", tmp_path / "seen"
    out.mkdir()
    seen.mkdir()
    used = sum(-(-path.lstat().st_size // 4096) * 4 + 4 for path in published.rglob("*"))
    words = [
        "unshare",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        ON_A_SMALL_DISK,
        "sh",
        str(used + room),
        str(out),
    ]
    words += [str(published), *_brief(out, agency, "2025-12-31")]
    told = os.environ | {"OUT": str(out), "SEEN": str(seen)}
    done = subprocess.run(words, cwd=ROOT, env=told, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert (
        f"The disk that holds {out} is full. Make room" in done.stderr
        and "Traceback" not in done.stderr
    )
    assert (seen / "latest").readlink() == (published / "latest").readlink()
    assert publish.whole((seen / "latest").resolve()) and not list(seen.glob(".run-*"))


def test_a_full_disk_is_known_by_its_name_wherever_it_shows(tmp_path):
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    for error in (
        full,
        NotebookError(f"01 failed: OSError: {full}"),
        OSError("Arrow: No space left on device"),
    ):
        told = _plain(error, tmp_path)
        assert isinstance(told, DiskFullError) and told.exit_code == 1 and "is full" in str(told)
    other = NotebookError("01 failed: ValueError: x")
    assert _plain(other, tmp_path) is other
    assert _plain(PermissionError(13, "Permission denied", "x"), tmp_path).exit_code == 2


def test_a_notebook_cut_short_by_a_full_disk_is_a_failed_one(tmp_path, monkeypatch):
    def cut(notebook, target, parameters, work):
        target.parent.mkdir()
        target.write_text('{"cells": [')
        return "OSError: [Errno 28] No space left on device", ""

    monkeypatch.setattr(execute, "_execute", cut)
    told = execute._run_one(tmp_path / "00.ipynb", {}, tmp_path)
    assert told.error.startswith("OSError") and told.payloads == ()
    monkeypatch.setattr(execute, "_execute", lambda *_: ("", ""))
    assert execute._run_one(tmp_path / "00.ipynb", {}, tmp_path).error.startswith("NotJSONError")


def test_of_two_runs_at_once_one_is_told_to_wait(agency, tmp_path):
    runs = [
        subprocess.Popen(
            _brief(tmp_path, agency, day),
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for day in ("2025-06-30", "2025-12-31")
    ]
    told = [run.communicate()[1].decode() for run in runs]
    assert sorted(run.returncode for run in runs) == [0, 3]
    assert "Another run is writing" in told[[run.returncode for run in runs].index(3)]
    assert publish.whole((tmp_path / "latest").resolve()) and not list(tmp_path.glob(".run-*"))


CC = shutil.which("cc")


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"][: 2 if LONG else 1])
@pytest.mark.skipif(not CC, reason="needs another clock, tests/clock.c: install a C compiler")
def test_another_clock_and_time_zone_give_the_same_bytes(zone, agency, published, tmp_path):
    """Two years later (or, in the other zone, a day apart): everything but run.json and run.log is
    the same.
    """
    clock = tmp_path / "clock.so"
    subprocess.run(
        [str(CC), "-shared", "-fPIC", "-o", clock, ROOT / "tests" / "clock.c", "-ldl"], check=True
    )
    told = os.environ | {"TZ": zone, "LD_PRELOAD": str(clock), "DAYS_AHEAD": "800"}
    words = _brief(tmp_path / "out", agency, "2025-06-30")
    done = subprocess.run(words, cwd=ROOT, env=told, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    days = int(done.stderr.split("Warning: the last day observed is 2025-06-30, ")[1].split()[0])
    assert days > 800, "the clock was not changed"
    one, other = (published / "latest").resolve(), (tmp_path / "out" / "latest").resolve()
    assert one.name == other.name
    for path in (
        path
        for path in one.rglob("*")
        if path.is_file() and path.name not in ("run.json", "run.log")
    ):
        assert path.read_bytes() == (other / path.relative_to(one)).read_bytes(), path


def _command(out: Path, data: Path, number: int) -> list[str]:
    """A run that repeats no other: each has a cut-off of its own."""
    return [
        *COMMAND,
        "--data",
        str(data),
        "--out",
        str(out),
        "--notebooks",
        "00,01" if LONG else "00",
        "--cutoff",
        f"2025-{1 + number % 12:02d}-{1 + number // 12:02d}",
    ]


def _run(out: Path, data: Path, number: int) -> float:
    started = time.monotonic()
    subprocess.run(_command(out, data, number), cwd=ROOT, check=True, capture_output=True)
    return time.monotonic() - started
