"""The output folder: one run at a time, written out of sight, published by a rename and the swing of a link.

Whatever kills a run, `latest` goes on pointing at a whole one.
"""

import contextlib
import ctypes
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from retention.errors import ConfigError, RunLockedError
from retention.results import to_json

AT_CWD, RENAME_EXCHANGE = -100, 2  # renameat2(2)
HIDDEN = ".run-"
LATEST, FAILED = "latest", "failed"


@contextlib.contextmanager
def locked(out: Path) -> Iterator[None]:
    """Hold the output folder for one run; sweep up what a killed run, or this one, left unfinished.

    RunLockedError if another run holds it.
    """
    out.mkdir(parents=True, exist_ok=True)
    with (out / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            told = f"Another run is writing to {out}. Wait for it, or give --out another folder."
            raise RunLockedError(told) from None
        _sweep(out)
        try:
            yield
        finally:
            _sweep(out)


def _sweep(out: Path) -> None:
    """Remove what unfinished runs left; what cannot be removed waits for the next run."""
    for leftover in out.glob(f"{HIDDEN}*"):
        with contextlib.suppress(OSError):
            remove(leftover)


def remove(path: Path) -> None:
    """Delete a file, link or folder that may not exist."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)


def seal(folder: Path, about: dict[str, Any]) -> None:
    """Write run.json: what made the run, and the sha256 of every file in it."""
    (folder / "run.json").write_text(to_json({**about, "files": _hashes(folder)}), "utf-8")


def whole(folder: Path) -> bool:
    """Whether a published run has all its files, unchanged since it was sealed."""
    try:
        files = json.loads((folder / "run.json").read_text("utf-8"))["files"]
    except (OSError, ValueError, KeyError):
        return False
    # What others left there since (a thumbnail, a checkpoint) is no damage.
    return bool(files == {name: digest for name, digest in _hashes(folder).items() if name in files})


def _hashes(folder: Path) -> dict[str, str]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "run.json")
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def publish(work: Path, final: Path) -> None:
    """Rename the finished work folder into place, swing the link `latest` to it, and clear an older failure away."""
    place(work, final)
    swing(final)
    remove(final.with_name(FAILED))


def place(work: Path, final: Path) -> None:
    """Rename into place; a folder of that name changes places with the new one in one step, and is then removed."""
    if final.exists():
        _exchange(work, final)
        remove(work)
    else:
        work.rename(final)


def _exchange(one: Path, other: Path) -> None:
    """Let two folders change places; in one step where the system can (Linux), else with a moment between."""
    with contextlib.suppress(AttributeError, OSError):
        if ctypes.CDLL(None).renameat2(AT_CWD, os.fsencode(one), AT_CWD, os.fsencode(other), RENAME_EXCHANGE) == 0:
            return
    spare = one.with_name(f"{one.name}-old")
    other.rename(spare)
    one.rename(other)
    spare.rename(one)


def swing(final: Path) -> None:
    """Point `latest` at a published run, in one step."""
    link, latest = final.with_name(f"{HIDDEN}link"), final.with_name(LATEST)
    if latest.exists() and not latest.is_symlink():
        raise ConfigError(f"{latest} is a folder of its own, not a link to a run. Move it away, then run again.")
    remove(link)
    link.symlink_to(final.name, target_is_directory=True)
    link.replace(latest)
