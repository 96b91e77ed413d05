"""A published run as it is read back to be compared: what it is made of, its results, its lists."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retention.data.schema import read_list
from retention.errors import ConfigError
from retention.lists.registry import ACTIONS
from retention.words import say, texts

TO_CONTACT = "to_contact"  # of a list that says whom to contact, those


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
        about, results = (
            json.loads((folder / f"{name}.json").read_text("utf-8")) for name in ("run", "results")
        )
        files = [
            path
            for path in (folder / "scores.csv", *sorted(folder.glob("lists/*.csv")))
            if path.is_file() and path.stem != ACTIONS  # the same clients as in the decision
        ]
        lists = {stem: names for path in files for stem, names in _listed(path).items()}
        return Run({**about, "run_id": results["run_id"]}, results, lists)
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
