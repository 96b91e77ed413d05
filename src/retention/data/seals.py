"""The seal of a draw: a hash of its rows, with which number the draw has and how many clients it
holds, so that a row that was changed, added or taken out is noticed.

A seal keeps honest people from mistakes. It is no lock: whoever wants to can make it again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from numbers import Real
from typing import Any

import pandas as pd

SEALED = (
    *("trial", "client_id", "list", "arm", "drawn_on", "stratum", "predicted"),
    *("horizon_months", "planned", "smallest", "seed"),  # when and for what it is judged
)
DRAW = ["trial", "drawn_on"]  # the rows of one draw
DIGITS = 12
MISSING = "draw {number}"
TABLE = "trials"
SEAL = "seal"
STATE = "state"  # of a row's draw, one of these
WHOLE, CHANGED, GAP = "whole", "changed", "others missing"


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
    if isinstance(value, Real):
        return f"{float(value):.4f}"  # whole numbers are read as floats where one is missing
    return f"{value:%Y-%m-%d}" if hasattr(value, "strftime") else str(value)


def number_of(seal: object) -> int:
    """Which draw of its ledger a seal is of; 0 where it is no seal."""
    first = str(seal).partition("-")[0]
    return int(first) if first.isdigit() else 0


def with_states(frames: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The tables, with the state of each row's draw in trials (`STATE`): it is found before ids
    give way to codes, which no seal survives.
    """
    made = dict(frames)
    if TABLE in made:
        rows = made[TABLE]
        made[TABLE] = rows.assign(**{STATE: states(rows)})
    return made


def states(rows: pd.DataFrame) -> pd.Series:
    """Of each row whether its draw is as it was made: `WHOLE` (a row without a seal says nothing),
    `CHANGED`, or `GAP`, where it is but another draw of the ledger is missing.
    """
    state = pd.Series(WHOLE, rows.index)
    given = rows.reindex(columns=[*SEALED, SEAL])
    sealed = given[given[SEAL].notna()]
    if len(_lacking(sealed)):
        state[sealed.index] = GAP
    for _, draw in sealed.groupby(DRAW, sort=True, dropna=False):
        seals = draw[SEAL].unique()
        if len(seals) > 1 or seal_of(draw, number_of(seals[0])) != seals[0]:
            state[draw.index] = CHANGED
    return state


def _lacking(sealed: pd.DataFrame) -> list[int]:
    """The numbers of draws before the last of which there is no row."""
    there = {number_of(seal) for seal in sealed[SEAL]}
    return [number for number in range(1, max(there, default=0)) if number not in there]


def broken_seals(rows: pd.DataFrame) -> tuple[pd.Series, list[str]]:
    """Which rows of `trials` belong to a draw that is not as it was made, or to a ledger that lacks
    one, and what each such draw is called.
    """
    state = rows[STATE] if STATE in rows else states(rows)
    names = rows.reindex(columns=["trial"])["trial"]
    named = sorted({str(name) for name in names[state == CHANGED]})
    missing = _lacking(rows[rows[SEAL].notna()])
    return state != WHOLE, [*named, *(MISSING.format(number=number) for number in missing)]
