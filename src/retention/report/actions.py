"""The one list to act on as pages show it, read from what a run has written (lists/actions.csv)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from retention.data.schema import read_list
from retention.lists import registry
from retention.numbers import DASH, day_words, key_text, number, quantity
from retention.runs import ACTIONS
from retention.words import say

STEM = "actions"
PAGE = f"{STEM}.html"
PATH = f"lists/{ACTIONS}.csv"
NUMBERS = ("risk", "margin_a_month")
LEAVING = "hand_over"  # the action of every client who gave notice


def page(folder: Path) -> dict[str, Any] | None:
    """What the template of the page needs; None where the run has written no such list."""
    path = folder / PATH
    if not path.is_file():
        return None
    rows = _rows(path)
    return {"rows": rows, "path": PATH, **_counts(rows)}


def due(made: dict[str, Any] | None) -> list[dict[str, Any]]:
    """The rows of `page` that are due this week."""
    return [row for row in made["rows"] if row["soon"]] if made else []


def _rows(path: Path) -> list[dict[str, Any]]:
    """The rows of the list in its order, each with its words and what its cells sort by."""
    table = read_list(path, NUMBERS)
    return [_row(row) for row in table.to_dict("records")]


def _row(row: dict[str, Any]) -> dict[str, Any]:
    risk, margin = (row[name] for name in NUMBERS)
    return {
        "client": row["client"],
        "do": row["do"],
        "action": registry.action_words(row["do"]),
        "why": row["why"],
        "owner": row["owner"] or say("lists.alone.nobody_in_charge"),
        "risk": DASH if pd.isna(risk) else number(risk, ".0%"),
        "risk_key": "" if pd.isna(risk) else key_text(risk),
        "bar": 0 if pd.isna(risk) else round(100 * risk),
        "margin": quantity(margin, "money"),
        "margin_key": "" if pd.isna(margin) else key_text(margin),
        "currency": row["currency"],
        "due": day_words(row["due"]) if row["due"] else DASH,
        "due_key": row["due"],
        "soon": row["due_this_week"] == "yes",
    }


def _counts(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """How many clients there are, how many of them are due this week, have given notice, belong to
    each owner (by name) and get each action (in the order of the decision).
    """
    by_action = _counted(row["do"] for row in rows)
    order = [name for name in (*registry.IDS, registry.NONE) if name in by_action]
    return {
        "active": len(rows),
        "noticed": by_action.get(LEAVING, 0),
        "soon": sum(row["soon"] for row in rows),
        "owners": dict(sorted(_counted(row["owner"] for row in rows).items())),
        "chips": [(name, registry.action_words(name), by_action[name]) for name in order],
    }


def _counted(names: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return counts
