"""What may leave the house of a run: claims and a few estimates, blurred so that no client can be
found in them (METHODS 13, docs/privacy.md).

Estimates and counts bear noise (`blur`), dates are told to the quarter. A row on fewer clients,
fewer ends or fewer clients still there than a row must rest on is left out.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from retention.claims.judge import Claim, load_plan, rules_hash
from retention.contrast import Z95
from retention.errors import ConfigError
from retention.pool.blur import Blur, blur_of
from retention.pool.shape import CLOGLOG, DATES, FEW, LOG, SKEWED, SNAPSHOT, UNKNOWN, Shared
from retention.settings import Settings
from retention.words import say

LEAST = 5  # clients: no agency may set `smallest` lower for what leaves it
SIZES = 50  # clients: the size of an agency is rounded down to these
QUARTER = 3  # months
SKEW = 0.10  # (ours) by how much one side of an interval may be longer than the other
MONTHLY = "contract_term.estimate.median_service/contract_term.group.monthly"
BY_TERM = "contract_term.estimate.median_service/"


def share(run: Path) -> Shared:
    """What may leave the house of this run (a folder of reports/).

    ConfigError where it is no run, where its results are not of the plan of this version, or where
    `[plan]` or the settings cannot be read.
    """
    about, results = (_read(run, name) for name in ("run.json", "results.json"))
    try:
        settings = Settings.model_validate_json(json.dumps(about["settings"]))
        rows = results["claims"]
        estimates = {f"{row['id']} {row['key']}": row for row in results["estimates"]}
    except (ValidationError, KeyError, TypeError) as error:
        reason = type(error).__name__
        raise ConfigError(say("pool.error.no_run", run=run.name, reason=reason)) from None
    blur = blur_of(run.resolve().parent, max(settings.privacy.fewest, LEAST))
    plan, _ = load_plan(settings.plan)
    cutoff = dt.date.fromisoformat(about["cutoff"])
    whole = {
        "schema": 1,
        "agency": blur.code,
        "version": _version(about["packages"]["retention"]),
        "code": about["code"][:8],
        "plan": rules_hash(plan.values()),
        "kind": SNAPSHOT if settings.is_snapshot else DATES,
        "contracts": "contracts" in about["tables"],
        "months": _months(about["records_begin"], cutoff),
        "until": f"{cutoff.year}-Q{(cutoff.month - 1) // QUARTER + 1}",
        "size": blur.count("size", about["tables"]["clients"]["rows"], SIZES),
        "fixed_share": _fixed_share(results["estimates"], blur),
        "smallest": blur.smallest,
        "pause_days": settings.pause_days,
        "claims": [_claim(plan, row, blur) for row in rows],
        "estimates": list(_estimates(estimates, blur)),
    }
    return Shared.model_validate(whole)


def _read(run: Path, name: str) -> dict[str, Any]:
    """A JSON file of a run; ConfigError where there is none that can be read."""
    try:
        return dict(json.loads((run / name).read_text("utf-8")))
    except (OSError, ValueError, TypeError) as error:
        reason = f"{name}: {type(error).__name__}"
        raise ConfigError(say("pool.error.no_run", run=run.name, reason=reason)) from None


def _version(text: str) -> str:
    """The numbers of a version, without what may stand behind them."""
    numbers = re.match(r"\d+(\.\d+){1,3}", text)
    return numbers[0] if numbers else "0.0"


def _months(begin: str | None, cutoff: dt.date) -> int | None:
    """Months on record, in whole quarters; None where they begin with the first client."""
    if begin is None:
        return None
    first = dt.date.fromisoformat(begin)
    months = 12 * (cutoff.year - first.year) + cutoff.month - first.month + 1
    return max(_down(months, QUARTER), 0)


def _fixed_share(rows: list[Mapping[str, Any]], blur: Blur) -> float | None:
    """The share of clients on a fixed term at signing, in tenths; None where terms are not
    known.
    """
    own = [row for row in rows if row["key"].startswith(BY_TERM)]
    monthly = sum(row["n_clients"] for row in own if row["key"] == MONTHLY)
    fixed = sum(row["n_clients"] for row in own) - monthly
    told = [blur.count("terms", count) for count in (monthly, fixed)]
    return round(told[1] / sum(told), 1) if any(told) else None


def _down(count: int, step: int) -> int:
    """The count rounded down to a whole number of steps."""
    return count // step * step


def _claim(plan: Mapping[str, Claim], row: Mapping[str, Any], blur: Blur) -> dict[str, Any]:
    """A claim's row. ConfigError where the run knew another plan than this version has."""
    claim = plan.get(row["id"])
    if claim is None or (claim.estimand, claim.scale) != (row["estimand"], row["scale"]):
        raise ConfigError(say("pool.error.another_plan", claim=row["id"]))
    theta, se, why = _claim_estimate(row, blur)
    return {
        "id": claim.id,
        "scale": claim.scale,
        "estimand": claim.estimand_hash,
        "rule": rules_hash([claim]),
        "theta": theta,
        "se": se,
        **_counts(row, blur),
        "why": why,
    }


def _counts(row: Mapping[str, Any], blur: Blur) -> dict[str, int]:
    """The clients and ends of a row, as they may be told."""
    name = f"{row['id']} {row.get('key', '')}"
    clients = blur.count(f"{name} clients", row["n_clients"])
    ends = blur.count(f"{name} ends", row["n_events"])
    return {"clients": clients, "ends": min(ends, clients)}


def _claim_estimate(row: Mapping[str, Any], blur: Blur) -> tuple[float | None, float | None, str]:
    """A claim's estimate and standard error (log of a ratio), blurred, and why there is none."""
    if row["estimate"] is None:
        return None, None, UNKNOWN
    if row["gated"] or too_few(row["n_clients"], row["n_events"], blur.smallest):
        return None, None, FEW
    scale = LOG if row["scale"] == "ratio" else ""
    low, high = row["interval_95"]
    found = normal(row["estimate"], low, high, scale)
    return (*blur.estimate(row["id"], *found), "") if found else (None, None, SKEWED)


def too_few(clients: int, ends: int, smallest: int) -> bool:
    """Whether a row rests on too few clients, or on too few who left or who did not."""
    return min(clients, ends, clients - ends) < smallest


def normal(
    value: float, low: float | None, high: float | None, scale: str
) -> tuple[float, float] | None:
    """An estimate with its 95 % interval as an estimate and a standard error on a scale; None where
    the interval is unknown, or not symmetric there.

    >>> [round(value, 3) for value in normal(2.0, 1.0, 4.0, "log")]
    [0.693, 0.354]
    >>> normal(2.0, 1.0, 3.0, "log")
    """
    if low is None or high is None or not low < value < high:
        return None
    try:
        theta, *limits = (_transformed(each, scale) for each in (value, low, high))
    except ValueError:
        return None  # a share of 0 or 1, which would say what all of them did
    below, above = sorted(abs(limit - theta) for limit in limits)
    if above > (1 + SKEW) * below:
        return None
    return theta, (below + above) / 2 / Z95


def _transformed(value: float, scale: str) -> float:
    if scale == LOG:
        return math.log(value)
    if scale == CLOGLOG:
        return math.log(-math.log(value))
    return value


@cache
def allowed() -> dict[str, dict[str, str]]:
    """The estimates that may be shared, by name: estimates.toml."""
    text = files("retention.pool").joinpath("estimates.toml").read_text("utf-8")
    return tomllib.loads(text)


def _estimates(rows: Mapping[str, Mapping[str, Any]], blur: Blur) -> Iterator[dict[str, Any]]:
    """The estimates that may be shared and rest on enough clients."""
    for name, about in allowed().items():
        row = rows.get(f"{about['row']} {about['key']}")
        if row is None or row["unit"] != about["unit"] or row["estimate"] is None:
            continue
        if too_few(row["n_clients"], row["n_events"], blur.smallest):
            continue
        known = normal(row["estimate"], row["low"], row["high"], about["scale"])
        if known is None:
            continue
        theta, se = blur.estimate(name, *known)
        known_as = {"name": name, "scale": about["scale"]}
        yield {**known_as, "theta": theta, "se": se, **_counts(row, blur)}
