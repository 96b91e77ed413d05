"""Made-up runs of the report for the tests on many agencies: results.json and run.json alone, in a
folder each, written from estimates that are drawn or given.
"""

import json
import math
from pathlib import Path

import numpy as np

from retention.claims.judge import CLAIMS
from retention.contrast import Z95

INFORMATION = 11.0  # a claim's variance is this over the number of clients, as of A1 in the sample
TERMS = ("monthly", "months:6", "months:12")


def claim_row(name: str, theta: float, se: float, clients: int, **more) -> dict:
    """A claim of results.json with this estimate (the log of a ratio) and standard error."""
    claim = CLAIMS[name]
    limits = [claim.shown(theta + side * Z95 * se) for side in (-1, 1)]
    return {
        **{key: getattr(claim, key) for key in ("id", "estimand", "scale", "level", "published")},
        "estimate": claim.shown(theta),
        "interval_95": limits,
        "n_clients": clients,
        "n_events": clients * 6 // 10,
        "gated": False,
    } | more


def estimate_row(
    key: str, values: tuple, clients: int, unit: str = "share", row: str = "A1"
) -> dict:
    """An estimate of results.json with its interval."""
    value, low, high = values
    counts = {"n_clients": clients, "n_events": clients * 6 // 10}
    return {"id": row, "key": key, "name": key, "group": "", "unit": unit, "level": 0.95} | {
        **{"estimate": value, "low": low, "high": high},
        **counts,
    }


def terms_of(clients: int, monthly: float) -> list[dict]:
    """Estimates by term: how long clients stay, and how many are there after a year."""
    sizes = [round(clients * share) for share in (monthly, (1 - monthly) / 2, (1 - monthly) / 2)]
    rows = []
    for term, size in zip(TERMS, sizes, strict=True):
        group = f"contract_term.group.{term}"
        stay, still = (
            f"contract_term.estimate.{name}/{group}"
            for name in ("median_service", "still_client:12")
        )
        rows.append(estimate_row(stay, (9.0, 7.0, 12.0), size, "months"))
        middle = math.log(-math.log(0.5))
        reach = Z95 * math.sqrt(5 / max(size, 1))
        limits = [math.exp(-math.exp(middle + side * reach)) for side in (1, -1)]
        rows.append(estimate_row(still, (0.5, *limits), size))
    return rows


def write_run(
    folder: Path, claims: list[dict], clients: int, monthly: float = 0.5, **settings
) -> Path:
    """A run of an agency in a folder of reports of its own; its path."""
    run = folder / "2025-12-31-0123abcd"
    run.mkdir(parents=True)
    contracts = {"contracts": {"rows": 2 * clients, "filled": {}}}
    about = {
        "run_id": run.name,
        "cutoff": "2025-12-31",
        "records_begin": "2021-01-01",
        "settings": {"agency": "Lark & Field Agency"} | settings,
        "code": "0123456789abcdef",
        "packages": {"retention": "0.1.0"},
        "tables": {"clients": {"rows": clients, "filled": {}}} | contracts,
    }
    results = {"schema": 2, "claims": claims, "estimates": terms_of(clients, monthly)}
    (run / "run.json").write_text(json.dumps(about))
    (run / "results.json").write_text(json.dumps(results))
    return run


def field(
    folder: Path, agencies: int, seed: int, mean: float = math.log(2), tau: float = 0.2
) -> list[Path]:
    """Runs of so many agencies of 80 to 1,500 clients whose true A1 differ by `tau`, and whose A4 is
    nothing in all of them.
    """
    rng = np.random.default_rng(seed)
    runs = []
    for number in range(agencies):
        clients = round(math.exp(rng.uniform(math.log(80), math.log(1500))))
        se = math.sqrt(INFORMATION / clients)
        rows = [
            claim_row("A1", rng.normal(mean + tau * rng.normal(), se), se, clients),
            claim_row("A4", rng.normal(0, se), se, clients),
        ]
        name = f"agency-{number + 1:02}"
        runs.append(write_run(folder / name, rows, clients, monthly=rng.uniform(0.2, 0.8)))
    return runs
