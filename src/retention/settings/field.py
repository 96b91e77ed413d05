"""What other agencies say together of a claim: the part of pooled.json that one's own report shows
beside it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from retention.errors import ConfigError
from retention.settings.tables import Strict


class PoolSettings(Strict):
    """Where the figures of other agencies are: a pooled.json of `retention pool`."""

    file: str = ""


class FieldOfClaim(Strict):
    """What agencies say together of one claim, on the scale of its standard error.

    `field` has a row for each variance between agencies that their estimates allow: the variance,
    the mean that goes with it, and the variance of that.
    """

    estimand: str
    agencies: int = Field(ge=2)
    clients: int = Field(ge=0)
    verdict: str
    next_verdict: str
    theta: float
    low: float
    high: float
    next: tuple[float, float]
    field: list[tuple[float, float, float]] = Field(min_length=1)


FROM_CLAIM = ("estimand", "agencies", "clients", "verdict", "next_verdict")
FROM_POOLED = ("theta", "low", "high", "next", "field")


def read_field(path: Path) -> dict[str, FieldOfClaim]:
    """The claims of a pooled.json that agencies were enough for, by id; ConfigError where it is
    none.
    """
    try:
        whole = json.loads(path.read_text("utf-8"))
        version: Literal[1] = whole["schema"]
        if version != 1:
            raise ValueError
        pooled = [claim for claim in whole["claims"] if claim["pooled"] is not None]
        return {claim["id"]: _claim(claim) for claim in pooled}
    except (OSError, ValueError, KeyError, TypeError, ValidationError) as error:
        raise ConfigError(
            f"[pool] file: {path.name} is not a pooled.json of `retention pool` "
            f"({type(error).__name__})."
        ) from None


def _claim(claim: dict[str, object]) -> FieldOfClaim:
    pooled = claim["pooled"]
    if not isinstance(pooled, dict):
        raise TypeError
    known = {name: claim[name] for name in FROM_CLAIM}
    known |= {name: pooled[name] for name in FROM_POOLED}
    return FieldOfClaim.model_validate_json(json.dumps(known))
