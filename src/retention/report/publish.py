"""The output folder: one run at a time, written out of sight, published by a rename and the swing of a link.

Whatever kills a run, `latest` goes on pointing at a whole one.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from retention.errors import RunLockedError
from retention.results import to_json

HIDDEN = ".run-"
LATEST, FAILED = "latest", "failed"


@contextlib.contextmanager
def locked(out: Path) -> Iterator[None]:
    """Hold the output folder for one run, and sweep up what a killed run left; RunLockedError if another holds it."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunLockedError(
                f"Another run is writing to {out}. Wait for it, or give --out another folder."
            ) from None
        for leftover in out.glob(f"{HIDDEN}*"):
            remove(leftover)
        yield


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
    return bool(files == _hashes(folder))


def _hashes(folder: Path) -> dict[str, str]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "run.json")
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def publish(work: Path, final: Path) -> None:
    """Rename the finished work folder into place and swing the link `latest` to it."""
    if final.exists():
        old = final.with_name(f"{HIDDEN}old-{final.name}")
        final.rename(old)
        work.rename(final)
        swing(final)
        remove(old)
    else:
        work.rename(final)
        swing(final)


def swing(final: Path) -> None:
    """Point `latest` at a published run, in one step."""
    link = final.with_name(f"{HIDDEN}link")
    remove(link)
    link.symlink_to(final.name, target_is_directory=True)
    link.replace(final.with_name(LATEST))


def publish_failure(out: Path, work: Path) -> Path:
    """Put the folder that explains a failed run at `failed/`; `latest` is left alone."""
    target = out / FAILED
    old = out / f"{HIDDEN}old-{FAILED}"
    if target.exists():
        target.rename(old)
    work.rename(target)
    remove(old)
    return target / "index.html"
