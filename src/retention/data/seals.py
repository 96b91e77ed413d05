"""The seal of a draw: a hash of its rows, with which number the draw has and how many clients it
holds, so that a row that was changed, added or taken out is noticed.

A seal keeps honest people from mistakes. It is no lock: whoever wants to can make it again.
"""

from __future__ import annotations

import hashlib
from typing import Any

import pandas as pd

SEALED = ("trial", "client_id", "list", "arm", "drawn_on", "stratum", "predicted")
DRAW = ["trial", "drawn_on"]  # the rows of one draw
DIGITS = 12
MISSING = "draw {number}"


def seal_of(rows: pd.DataFrame, number: int) -> str:
    """The seal of one draw, the `number`th of its ledger: `number-clients-hash`."""
    lines = sorted(
        "\t".join(_cells(row)) for row in rows.reindex(columns=list(SEALED)).itertuples(index=False)
    )
    text = "\n".join([str(number), *lines])
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"{number}-{len(rows)}-{digest[:DIGITS]}"


def _cells(row: tuple[object, ...]) -> list[str]:
    return [_cell(value) for value in row]


def _cell(value: Any) -> str:
    """A value as it is sealed, alike before and after a file."""
    if value is None or pd.isna(value):
        return ""
    if isinstance(value, float):
        return f"{value:.4f}"
    return f"{value:%Y-%m-%d}" if hasattr(value, "strftime") else str(value)


def number_of(seal: object) -> int:
    """Which draw of its ledger a seal is of; 0 where it is no seal."""
    first = str(seal).partition("-")[0]
    return int(first) if first.isdigit() else 0


def broken_seals(rows: pd.DataFrame) -> tuple[pd.Series, list[str]]:
    """Which rows of `trials` belong to a draw that is not as it was made (a row without a seal
    says nothing), and what each such draw is called, missing draws among them.
    """
    broken = pd.Series(False, rows.index)
    named: list[str] = []
    sealed = rows[rows["seal"].notna()]
    for (trial, _), draw in sealed.groupby(DRAW, sort=True):
        seals = draw["seal"].unique()
        if len(seals) > 1 or seal_of(draw, number_of(seals[0])) != seals[0]:
            broken[draw.index] = True
            named.append(str(trial))
    there = {number_of(seal) for seal in sealed["seal"]}
    missing = [k for k in range(1, max(there, default=0)) if k not in there]
    if missing:
        broken[sealed.index] = True
    return broken, [*named, *(MISSING.format(number=k) for k in missing)]
