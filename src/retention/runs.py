"""Published runs as files: what a run is called, what made it, and whether its files are as they
were sealed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

SCORES = "scores.csv"  # of a run that scored its clients
RUN_ID = re.compile(r"\d{4}-\d\d-\d\d-[0-9a-f]{8}")


def about(folder: Path) -> dict[str, Any]:
    """The contents of a run's run.json; empty where there is none that can be read."""
    try:
        run = json.loads((folder / "run.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return run if isinstance(run, dict) and isinstance(run.get("files"), dict) else {}


def sha256(path: Path) -> str:
    """The sha256 of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def as_sealed(folder: Path, files: Mapping[str, str], names: Iterable[str]) -> bool:
    """Whether these files of a run are there, and as they were when it was published."""
    paths = [(folder / name, files.get(name)) for name in names]
    return all(digest and path.is_file() and sha256(path) == digest for path, digest in paths)


def published(out: Path) -> list[Path]:
    """The folders of runs in an output folder, by name."""
    if not out.is_dir():
        return []
    return sorted(
        path
        for path in out.iterdir()
        if RUN_ID.fullmatch(path.name) and path.is_dir() and not path.is_symlink()
    )


def earlier(out: Path, whose: str, cutoff: pd.Timestamp, ahead: int) -> list[Path]:
    """The runs in an output folder that scored the clients of the same agency so long before the
    cut-off that what they predicted, `ahead` months, is known by now.
    """
    return [folder for folder in published(out) if _has_passed(about(folder), whose, cutoff, ahead)]


def _has_passed(run: dict[str, Any], whose: str, cutoff: pd.Timestamp, ahead: int) -> bool:
    if SCORES not in run.get("files", {}) or run.get("whose") != whose:
        return False
    known_by = pd.Timestamp(run["cutoff"]) + pd.DateOffset(months=ahead)
    return bool(known_by <= cutoff)
