"""What a file that leaves an agency may hold: numbers, ids of the study's own and nothing else.

Every text in it is one of a few words, or must have a form that no name has.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from retention.errors import ConfigError
from retention.words import say

DATES, SNAPSHOT = "dates", "snapshot"
FEW, SKEWED, UNKNOWN = "few", "skewed", "unknown"  # why a claim has no estimate
CLOGLOG, LOG, PLAIN = "cloglog", "log", "plain"  # scales on which estimates are normal

FARTHEST = {PLAIN: 1000.0, "difference": 1000.0}  # (ours) an estimate from nothing, by scale
FARTHEST_LOG = 20.0  # (ours) of a ratio or a share, on a log scale: none is 485 million times
SMALLEST_ERROR = 1e-6  # (ours)

Hex = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8,16}$")]
ClaimId = Annotated[str, StringConstraints(pattern=r"^[A-D]\d{1,2}$")]
Quarter = Annotated[str, StringConstraints(pattern=r"^\d{4}-Q[1-4]$")]
Version = Annotated[str, StringConstraints(pattern=r"^\d+(\.\d+){1,3}$")]
Count = Annotated[int, Field(ge=0)]


class Fixed(BaseModel):
    """A row that knows all its fields and no others."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Estimated(Fixed):
    """An estimate on the scale on which it is normal, with its standard error and counts."""

    theta: float | None
    se: Annotated[float, Field(gt=0)] | None
    clients: Count
    ends: Count

    @property
    def is_known(self) -> bool:
        """Whether there is an estimate with a standard error."""
        return self.theta is not None and self.se is not None

    @model_validator(mode="after")
    def _finite(self) -> Self:
        known = [value for value in (self.theta, self.se) if value is not None]
        if len(known) == 1 or not all(map(math.isfinite, known)):
            raise ValueError("an estimate and its standard error must both be known, or neither")
        most = FARTHEST.get(getattr(self, "scale", ""), FARTHEST_LOG)
        if any(abs(value) > most for value in known) or min(known[1:], default=1) < SMALLEST_ERROR:
            raise ValueError("no agency has an estimate or a standard error of this size")
        return self


class SharedClaim(Estimated):
    """A claim: `estimand` and `rule` are hashes of what is estimated and of how it is judged."""

    id: ClaimId
    scale: Literal["ratio", "difference"]
    estimand: Hex
    rule: Hex
    why: Literal["", "few", "skewed", "unknown"] = ""


class SharedEstimate(Estimated):
    """One of the estimates of estimates.toml, by its name there."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,40}$")]
    scale: Literal["cloglog", "log", "plain"]


class Shared(Fixed):
    """What one agency hands out: shared.json."""

    schema_: Literal[1] = Field(alias="schema")
    agency: Hex
    version: Version
    code: Hex
    plan: Hex
    kind: Literal["dates", "snapshot"]
    contracts: bool
    months: Count | None
    until: Quarter
    size: Count
    fixed_share: Annotated[float, Field(ge=0, le=1)] | None
    smallest: Annotated[int, Field(ge=5, le=100)]
    pause_days: Count
    claims: tuple[SharedClaim, ...]
    estimates: tuple[SharedEstimate, ...]

    @model_validator(mode="after")
    def _once(self) -> Self:
        for names in ([row.id for row in self.claims], [row.name for row in self.estimates]):
            if len(names) > len(set(names)):
                raise ValueError("a claim or an estimate stands in it twice")
        return self

    def claim(self, name: str) -> SharedClaim | None:
        """The claim of this id, where the agency has it."""
        return next((claim for claim in self.claims if claim.id == name), None)

    def estimate(self, name: str) -> SharedEstimate | None:
        """The estimate of this name, where the agency has it."""
        return next((row for row in self.estimates if row.name == name), None)

    def payload(self) -> dict[str, Any]:
        """The contents of shared.json."""
        return self.model_dump(mode="json", by_alias=True)


def read_shared(path: Path) -> Shared:
    """The agency's results in this file; ConfigError where it is not what `retention share`
    writes.
    """
    try:
        text = path.read_text("utf-8")
        return Shared.model_validate(json.loads(text))
    except OSError as error:
        problem = error.strerror or type(error).__name__
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        problem = f"{place}: {first['msg']}"
    except ValueError as error:
        problem = type(error).__name__
    raise ConfigError(say("pool.error.unreadable", file=path.name, problem=problem))


def schema() -> dict[str, Any]:
    """The JSON Schema of shared.json, which lies beside this module."""
    path = Path(__file__).with_name("shared.schema.json")
    return dict(json.loads(path.read_text("utf-8")))
