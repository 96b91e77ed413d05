"""The output folder: one run at a time, written out of sight, published by a rename and the swing
of a link.

Whatever kills a run, `latest` goes on pointing at a whole one.
"""

import contextlib
import ctypes
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from retention.data.folders import readable
from retention.errors import ConfigError, RunLockedError
from retention.results import to_json
from retention.runs import about, published, sha256
from retention.words import say

AT_CWD, RENAME_EXCHANGE = -100, 2  # renameat2(2)
HIDDEN = ".run-"
LATEST = "latest"
FAILED = "failed"
LEADS = '<!doctype html><meta http-equiv="refresh" content="0; url={run}/index.html">\n'
LED = re.compile(r"url=([\w-]+)/index\.html")


@contextlib.contextmanager
def locked(out: Path) -> Iterator[None]:
    """Hold the output folder for one run; sweep up what a killed run, or this one, left unfinished.

    RunLockedError if another run holds it.
    """
    out.mkdir(parents=True, exist_ok=True)
    lock = FileLock(out / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RunLockedError(say("report.run.locked", out=out)) from None
    try:
        sweep(out)
        yield
    finally:
        sweep(out)
        lock.release()


def sweep(out: Path) -> None:
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
    """Whether a published run has all its pages, and all its files unchanged since it was
    sealed.
    """
    run = about(folder)
    return bool(run) and not failed(run) and not damage(folder, run["files"])


def failed(run: Mapping[str, Any]) -> list[str]:
    """Names of the notebooks that failed in a run, from its run.json; such a run is partial."""
    return list(run.get("failed", {}))


def damage(folder: Path, files: Mapping[str, str]) -> list[str]:
    """Which of the sealed files are missing or differ from their sha256, a line each.

    What others left there since (a thumbnail, a checkpoint) is no damage.
    """
    now = _hashes(folder)
    return [
        say("report.run.differs" if name in now else "report.run.missing", file=name)
        for name in files
        if now.get(name) != files[name]
    ]


def _hashes(folder: Path) -> dict[str, str]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "run.json")
    return {str(path.relative_to(folder)): sha256(path) for path in paths}


def previous(final: Path) -> Path | None:
    """The run before the one that will be `final`: where `latest` points; None where it points to
    no whole run.

    A run that is made again, for it was damaged or partial, has the predecessor that it had; and
    where `latest` is a partial run, that of the partial run comes before the next.
    """
    latest = last(final.parent)
    if latest.name == final.name or failed(about(latest)):
        try:
            before = json.loads((latest / "changes.json").read_text("utf-8"))["before"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        latest = final.with_name(str(before))
    return latest if latest.parent == final.parent.resolve() and whole(latest) else None


def prune(out: Path, keep: int) -> list[str]:
    """Remove all but the `keep` runs made last; names of those removed.

    Never that of `latest`, never the last one with all its pages, never what is no run. A run goes
    out of sight first, so that none is ever seen half removed.
    """
    runs = [path for path in published(out) if about(path)]
    latest = last(out).name
    runs.sort(
        key=lambda run: (run.name == latest, (run / "run.json").stat().st_mtime_ns), reverse=True
    )
    complete = [run for run in runs if not failed(about(run))]
    removed = [run for run in runs[keep:] if run not in complete[:1]]
    for run in removed:
        hidden = run.with_name(f"{HIDDEN}old-{run.name}")
        run.rename(hidden)
        remove(hidden)
    return [run.name for run in removed]


def publish(work: Path, final: Path) -> None:
    """Rename the finished work folder into place, swing the link `latest` to it, and clear an older
    failure away.
    """
    show(work, final)
    swing(final)
    remove(final.with_name(FAILED))


def show(work: Path, final: Path) -> None:
    """Let those read the finished work folder who may read this user's folders, and rename it into
    place.
    """
    readable(work)
    place(work, final)


def place(work: Path, final: Path) -> None:
    """Rename into place; a folder of that name changes places with the new one in one step, and is
    then removed.
    """
    if final.exists():
        _exchange(work, final)
        remove(work)
    else:
        work.rename(final)


def _exchange(one: Path, other: Path) -> None:
    """Let two folders change places; in one step where the system can (Linux), else with a moment
    between.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        if (
            ctypes.CDLL(None).renameat2(
                AT_CWD, os.fsencode(one), AT_CWD, os.fsencode(other), RENAME_EXCHANGE
            )
            == 0
        ):
            return
    spare = one.with_name(f"{one.name}-old")
    other.rename(spare)
    one.rename(other)
    spare.rename(one)


def swing(final: Path) -> None:
    """Point `latest` at a published run, in one step: a link, or, where the system lets nobody make
    one, a page of that name that leads there.
    """
    link = final.with_name(f"{HIDDEN}link")
    latest = final.with_name(LATEST)
    if latest.exists() and not latest.is_symlink():
        raise ConfigError(say("report.run.latest_is_a_folder", latest=latest))
    remove(link)
    try:
        link.symlink_to(final.name, target_is_directory=True)
    except (OSError, NotImplementedError):
        link.write_text(LEADS.format(run=final.name), "utf-8")
        link.replace(latest.with_suffix(".html"))
        return
    link.replace(latest)
    remove(latest.with_suffix(".html"))


def last(out: Path) -> Path:
    """The folder of the run that `latest` points to; where there is none, of the name `latest`."""
    page = out / f"{LATEST}.html"
    if page.is_file() and (run := LED.search(page.read_text("utf-8"))):
        return (out / run[1]).resolve()
    return (out / LATEST).resolve()
