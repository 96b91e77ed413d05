"""Which agencies may be put together, and why the others may not (METHODS 13)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from retention.claims.judge import Claim, rules_hash
from retention.errors import ConfigError
from retention.pool.shape import SNAPSHOT, Estimated, Shared, SharedClaim, read_shared
from retention.settings import PAUSE_DAYS
from retention.words import Said, say

SAME = 2  # estimates that agree to the digit: two files are of one agency


@dataclass(frozen=True)
class Agency:
    """What an agency handed out, and what it is called here: the name of its file."""

    name: str
    shared: Shared


@dataclass(frozen=True)
class Apart:
    """An agency that is set apart, and why."""

    agency: Agency
    why: Said


def read_all(paths: Sequence[Path]) -> list[Agency]:
    """The agencies of these files, those of one name numbered; ConfigError where one cannot be
    read.
    """
    found: list[Agency] = []
    for path in paths:
        name = path.stem if path.stem != "shared" else path.absolute().parent.name
        taken = [agency.name for agency in found]
        number = sum(other == name or other.startswith(f"{name} (") for other in taken)
        unique = f"{name} ({number + 1})" if number else name
        found.append(Agency(unique, read_shared(path)))
    return found


def sifted(agencies: Iterable[Agency]) -> tuple[list[Agency], list[Apart]]:
    """The agencies that may be put together, and those set apart: the same agency twice, snapshots,
    another length of pause. Of one agency the file of the latest quarter counts.
    """
    kept: list[Agency] = []
    apart: list[Apart] = []
    newest_first = sorted(agencies, key=lambda agency: agency.shared.until, reverse=True)
    for agency in newest_first:
        why = _reason(agency, kept)
        if why:
            apart.append(Apart(agency, why))
        else:
            kept.append(agency)
    return sorted(kept, key=lambda agency: agency.name), apart


def _reason(agency: Agency, kept: Sequence[Agency]) -> Said | None:
    """Why an agency cannot stand beside those kept; None where it can."""
    shared = agency.shared
    for other in kept:
        if other.shared.agency == shared.agency:
            return say("pool.apart.twice", other=other.name)
        if _alike(other.shared, shared) >= SAME:
            return say("pool.apart.same", other=other.name)
    if shared.kind == SNAPSHOT:
        return say("pool.apart.snapshot")
    if shared.pause_days != PAUSE_DAYS:
        return say("pool.apart.pause", days=shared.pause_days, ours=PAUSE_DAYS)
    return None


def _alike(one: Shared, other: Shared) -> int:
    """How many estimates two files share to the digit."""
    first, second = _figures(one), _figures(other)
    return len(first & second)


def _figures(shared: Shared) -> set[tuple[str, float | None, float | None]]:
    claims = {(row.id, row.theta, row.se) for row in shared.claims if row.is_known}
    return claims | {(row.name, row.theta, row.se) for row in shared.estimates if row.is_known}


def comparable(
    claim: Claim, agencies: Iterable[Agency]
) -> tuple[list[tuple[Agency, Estimated]], list[Apart]]:
    """The agencies with an estimate of this claim that can stand beside the others, and those
    without, with why.
    """
    rows: list[tuple[Agency, Estimated]] = []
    apart: list[Apart] = []
    for agency in agencies:
        row = agency.shared.claim(claim.id)
        why = _claim_reason(claim, row)
        if row is None or why:
            apart.append(Apart(agency, why or say("pool.apart.not_run")))
        else:
            rows.append((agency, row))
    return rows, apart


def _claim_reason(claim: Claim, row: SharedClaim | None) -> Said | None:
    """Why a row cannot stand beside others of this claim; None where it can."""
    if row is None:
        return say("pool.apart.not_run")
    if (row.estimand, row.scale) != (claim.estimand_hash, claim.scale):
        return say("pool.apart.estimand")
    if row.rule != rules_hash([claim]):
        return say("pool.apart.plan")
    if not row.is_known:
        return say(f"pool.apart.{row.why or 'unknown'}")
    return None


def refuse_none(agencies: Sequence[Agency]) -> None:
    """ConfigError where nothing is left that could be put together."""
    if not agencies:
        raise ConfigError(say("pool.error.nobody"))
