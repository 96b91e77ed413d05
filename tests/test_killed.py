"""Killed at any moment, a run leaves the published report whole and the next run working (RETENTION_KILLS tries)."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from conftest import ROOT
from retention.report import publish
from retention.sample import write_sample

KILLS = int(os.environ.get("RETENTION_KILLS", "4"))
COMMAND = [sys.executable, "-c", "from retention.cli import main; main()", "report"]


def left_of(run: int, out: Path) -> list[str]:
    """Command lines of living processes of a run: those in its session, and the kernels, which work below `out`."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            session = int((path / "stat").read_text().rsplit(")", 1)[1].split()[3])
            if session == run or str((path / "cwd").readlink()).startswith(str(out)):
                found.append((path / "cmdline").read_text().replace("\0", " "))
        except (OSError, ValueError, IndexError):
            continue
    return [line for line in found if line]


def test_a_killed_run_harms_nothing(tmp_path):
    out, data = tmp_path / "out", tmp_path / "data"
    write_sample(data, clients=60, seed=8)
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


def _command(out: Path, data: Path, number: int) -> list[str]:
    """A run that repeats no other: each has a cut-off of its own."""
    return [
        *COMMAND,
        "--data",
        str(data),
        "--out",
        str(out),
        "--notebooks",
        "00,01",
        "--cutoff",
        f"2025-{1 + number % 12:02d}-{1 + number // 12:02d}",
    ]


def _run(out: Path, data: Path, number: int) -> float:
    started = time.monotonic()
    subprocess.run(_command(out, data, number), cwd=ROOT, check=True, capture_output=True)
    return time.monotonic() - started
