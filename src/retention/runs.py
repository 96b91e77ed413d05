"""Published runs: what a run is called, what made it, whether its files are as they were sealed,
and what is read back of it to be compared.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from retention.data.schema import read_list
from retention.errors import ConfigError
from retention.words import say, texts

SCORES = "scores.csv"  # of a run that scored its clients
ACTIONS = "actions"  # the file of the one list to act on
TO_CONTACT = "to_contact"  # of a list that says whom to contact, those
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


@dataclass(frozen=True)
class Run:
    """A published run as far as it is compared: what it is made of, its results, and who is on each
    of its lists (names by client id, by the name of the list's file).
    """

    about: Mapping[str, Any]
    results: Mapping[str, Any]
    lists: Mapping[str, Mapping[str, str]]

    @property
    def name(self) -> str:
        """The run's id."""
        return str(self.about["run_id"])


def open_run(folder: Path) -> Run:
    """The run in this folder; ConfigError where none can be read there."""
    try:
        made_of, results = (
            json.loads((folder / f"{name}.json").read_text("utf-8")) for name in ("run", "results")
        )
        files = [
            path
            for path in (folder / SCORES, *sorted(folder.glob("lists/*.csv")))
            if path.is_file() and path.stem != ACTIONS  # the same clients as in the decision
        ]
        lists = {stem: names for path in files for stem, names in _listed(path).items()}
        return Run({**made_of, "run_id": results["run_id"]}, results, lists)
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = type(error).__name__
        raise ConfigError(say("report.run.unreadable", folder=folder, reason=reason)) from error


def _listed(path: Path) -> dict[str, dict[str, str]]:
    """Names by client id of a list, and, of one that says whom to contact, of those as a list of
    its own.
    """
    rows = [row for row in read_list(path).to_dict("records") if row.get("client_id")]
    names = {
        row["client_id"]: row.get("client") or row.get("name") or row["client_id"] for row in rows
    }
    lists = {path.stem: names}
    if any("contact" in row for row in rows):
        chosen = [row["client_id"] for row in rows if row["contact"] == "yes"]
        lists[TO_CONTACT] = {who: names[who] for who in chosen}
    return lists


def list_name(stem: str) -> str:
    """What readers call a list, by the name of its file."""
    if f"report.list.{stem}" in texts():
        return say(f"report.list.{stem}")
    return stem.replace("_", " ").capitalize()
