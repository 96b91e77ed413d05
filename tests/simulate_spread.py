"""Do intervals cover where reps differ? Many made-up agencies; figures kept in
docs/calibration-spread.md.

Run by `make simulate`. Each agency has its own reps, drawn anew, and the truth is that of one large
agency with ten thousand reps. Every finished agency is kept in `.simulate-spread.jsonl`, so that a
run that was stopped goes on where it was; a change of the code begins anew.
"""

from __future__ import annotations

import argparse
import datetime as dt
import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from retention.claims import contract_term, term_curves
from retention.claims.ad_spend import size_hazard_ratio
from retention.contrast import Contrast
from retention.history.follow_up import follow_up
from retention.history.money import monthly_money
from retention.history.spells import build_spells
from retention.history.status import year_before
from retention.money import courses, plateau, retained
from retention.portfolio.healthy import healthy
from retention.stats import curves
from retention.stats.intervals import with_limits

ROOT = Path(__file__).parents[1]
KEPT, NOTE = ROOT / ".simulate-spread.jsonl", ROOT / "docs" / "calibration-spread.md"
BEGIN, CUTOFF, BURN_IN, MONTHS = dt.date(2021, 1, 1), dt.date(2025, 12, 31), 36, 60
TRUTH_CLIENTS, TRUTH_REPS, TRUTH_SEED = 100_000, 5_000, 900_000
RATIO_CLIENTS = 40_000  # of the truth of a regression
DRAWS = 200  # resamples of the clients
FEES = np.array([10.0, 8.0, 6.0])  # percent of spend by term
TERMS = np.array([1, 6, 12])
RUNS, LEAST = 200, 10  # agencies a row; under ten a row is left out
LINES = """\
# Do intervals cover where reps differ?

Made by `{command}`: up to {runs} made-up agencies for each row, seeds from 1, each with reps of its own. The true value
is that of one agency with 100,000 clients (of ratios: 40,000) and 5,000 such reps; revenue is scaled to 600 clients.
`By client` takes clients to be independent. `Wider` is what the pages show: by client or by rep, the wider. Its
Monte-Carlo error is in points. `Times as wide` is the usual price of allowing for reps. A1 and A4 are logs of ratios.

| world | quantity | true value | bias | agencies | covered by client | covered, wider | error | times as wide |
|---|---|---|---|---|---|---|---|---|
{rows}
"""
Key = tuple[str, int]  # world, seed
Floats = np.ndarray
Limits = tuple[float, float, float]  # a value with its 95 % interval


@dataclass(frozen=True)
class World:
    """An agency: `reps` who differ by `sd` of the log rate of leaving (and of the hours they take),
    and whom they get.

    `own` is "", or what each rep has a share of its own of: "term" (month-to-month clients) or
    "spend" (large ones). `moves` is the share of clients that come to another rep each month.
    """

    clients: int = 600
    reps: int = 10
    sd: float = 0.0
    own: str = ""
    moves: float = 0.004


MONEY_WORLDS = {f"ten reps, sd {sd:g}": World(sd=sd) for sd in (0.0, 0.3, 0.6)}
RATIO_WORLDS = {
    f"{words}, {clients:,} clients": World(clients, sd=sd, own=own)
    for words, sd, own in (
        ("ten reps alike", 0.0, ""),
        ("ten reps, sd 0.3", 0.3, ""),
        ("the same, each with a share of month-to-month clients of its own", 0.3, "term"),
        ("the same, each with sizes of its own", 0.3, "spend"),
    )
    for clients in (150, 400, 1500)
}


def agency(world: World, seed: int) -> pd.DataFrame:
    """The engagements of a made-up agency as followed to the cut-off, with `reps`, `margin` and
    spend.

    About so many `clients` are on record. A wish to leave arises at a monthly rate that doubles
    month-to-month, falls with size and differs by rep; clients on a fixed term act on it at the
    next renewal. METHODS 10.
    """
    rng = np.random.default_rng(seed)
    n = round(world.clients * (BURN_IN + MONTHS) / 75)
    z, month = rng.normal(size=n), rng.integers(0, BURN_IN + MONTHS, n)
    utility = np.stack([np.full(n, 0.6), -0.1 + 0.5 * z, -0.1 + 0.9 * z]) + rng.gumbel(size=(3, n))
    place = utility.argmax(axis=0)
    reps = _dealt(rng, world, z, place == 0)
    pull, slowness = world.sd * rng.normal(size=(2, world.reps))
    left, kind = _lives(rng, world, z, TERMS[place], reps, pull)
    first = np.datetime64("2018-01") + month
    end = pd.to_datetime((first + left).astype("datetime64[D]")) - pd.Timedelta(days=1)
    gone = end <= pd.Timestamp(CUTOFF)
    hours = rng.lognormal(np.log(4 + 8000 * np.exp(z) * FEES[place] / 15_000), 0.35) * np.exp(
        slowness[reps[:, 0]]
    )
    clients = pd.DataFrame(
        {
            "client_id": [f"c{k:06}" for k in range(n)],
            "start_date": pd.to_datetime(first.astype("datetime64[D]")),
            "end_date": end.where(gone),
            "end_initiator": np.where(gone, kind, None),
            "contract_term_months": TERMS[place],
            "monthly_ad_spend": 8000 * np.exp(z),
            "fee_pct": FEES[place],
            "margin": 80 * np.exp(z) * FEES[place] - 70 * hours,
            "reps": _spans(reps),
        }
    )
    spells = build_spells(clients.drop(columns="reps"), cutoff=CUTOFF, records_begin=BEGIN)
    return spells.merge(clients[["client_id", "reps"]], on="client_id")


def _dealt(
    rng: np.random.Generator, world: World, z: np.ndarray, monthly: np.ndarray
) -> np.ndarray:
    """Who serves each client in each month, shape (n, months): mostly one rep, by what the reps are
    used to.
    """
    n, months = len(z), BURN_IN + MONTHS + 12
    alike = rng.uniform(0.1, 0.9, world.reps), rng.normal(size=world.reps)
    log_odds = np.zeros((n, 1))
    if world.own == "term":
        log_odds = np.where(monthly[:, None], np.log(alike[0]), np.log(1 - alike[0]))
    if world.own == "spend":
        log_odds = -2 * (z[:, None] - alike[1]) ** 2

    def drawn() -> np.ndarray:
        if not world.own:
            return rng.integers(0, world.reps, n)
        return np.asarray((log_odds + rng.gumbel(size=(n, world.reps))).argmax(axis=1))

    moved = rng.geometric(world.moves, n)  # the month in which a client comes to its second rep
    return np.where(np.arange(months) < moved[:, None], drawn()[:, None], drawn()[:, None])


def _lives(
    rng: np.random.Generator,
    world: World,
    z: np.ndarray,
    term: np.ndarray,
    reps: np.ndarray,
    pull: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """The last month of service of each client, and by whose choice it was the last."""
    n, months = reps.shape
    t = np.arange(1, months + 1)
    eta = math.log(0.040) + math.log(2) * ((term == 1) - 0.5) - 0.2 * z
    rate = np.exp(eta[:, None] + 0.35 * (t <= 6) - 0.25 * (t > 18) + pull[reps])
    wished = np.cumsum(rate, axis=1) > rng.exponential(size=(n, 1))
    wish = np.where(wished.any(axis=1), wished.argmax(axis=1) + 1, np.inf)
    own = np.ceil(wish / term) * term
    other = np.minimum(rng.geometric(0.006, n), rng.geometric(0.003, n) + 0.5)
    last = np.minimum(own, np.floor(other))
    kind = np.where(own <= other, "client", np.where(other % 1 > 0, "neutral", "agency"))
    return last.astype(int), kind


def _spans(reps: np.ndarray) -> list[tuple[tuple[int, str], ...]]:
    """Who was in charge from which month on, as `in_charge.spans` has it."""
    first, last = reps[:, 0], reps[:, -1]
    moved = (reps != first[:, None]).argmax(axis=1)
    both = zip(first, last, moved, strict=True)
    return [((0, f"r{a}"), (int(m), f"r{b}")) if a != b else ((0, f"r{a}"),) for a, b, m in both]


def of_curves(spells: pd.DataFrame) -> Iterator[tuple[str, Limits]]:
    """Shares, means, medians and incidence from the counted curve."""
    outcome = follow_up(spells)
    curve = curves.kaplan_meier(outcome)
    row = curves.after(curve, 12)
    yield "share left at month 12", (row["survival"], row["low"], row["high"])
    yield "median months", curves.median(curve)
    found = curves.cumulative_incidence(outcome, [12]).iloc[0]
    yield "left by choice by month 12", (found["share"], found["low"], found["high"])
    for row in term_curves.restricted_mean_estimates(spells).rows:
        if row.key[1] == "contract_term.estimate.mean_service:24":
            yield f"mean months in 24, {row.group}", (row.estimate, row.low, row.high)


def of_money(
    spells: pd.DataFrame, per: float, draws: int
) -> Iterator[tuple[str, Floats, str, Floats]]:
    """Months, worth, churn and plateau, by the rows of `Weights`, with their units and the sizes of
    the reps.
    """
    course = courses.course(spells, monthly_money(spells, {}))
    weights = course.weights(draws)
    sizes = weights.sizes
    stay, paid = courses.survival(course, weights), courses.paid_there(course, weights)
    yield "mean months in 24", stay[:, :24].sum(axis=1), "months", sizes
    yield "worth over 24 months", courses.worth(stay, paid, 24), "money", sizes
    there, gone = weights @ course.at_risk, weights @ course.left
    yield "churn a month", gone.sum(axis=1) / there.sum(axis=1), "share", sizes
    signed = plateau.signups(course, weights, CUTOFF) * per
    yield (
        "plateau, from 48 months",
        signed * (stay[:, :48] * paid[:, :48]).sum(axis=1),
        "money",
        sizes,
    )
    brings = courses.extended(course, weights)[:, :-1] * plateau.paid_all_along(course, weights)
    yield "plateau, the longest leaving on as lately", signed * brings.sum(axis=1), "money", sizes


def of_shares(spells: pd.DataFrame) -> Iterator[tuple[str, Limits]]:
    """What is retained of the clients of a year before, and the share of the churn that was
    healthy.
    """
    rows = retained.retained(spells, monthly_money(spells, {}), CUTOFF).rows
    kept = next(row for row in rows if row.key[2] == "economics.retained.lately")
    yield "clients kept in a year", (kept.estimate, kept.low, kept.high)
    ends = spells[spells["gone"] & (spells["end_date"] > year_before(pd.Timestamp(CUTOFF)))]
    year = ends.assign(kind=ends["end_kind"], content=np.nan)
    year = year.assign(rep=[spans[-1][1] for spans in ends["reps"]]) if "reps" in ends else year
    first = healthy(year).rows[0]
    yield "healthy churn", (first.estimate, first.low, first.high)


def of_ratios(spells: pd.DataFrame) -> Iterator[tuple[str, Limits]]:
    """The verdicts' ratios, on the log scale."""
    yield "A1", _limits(contract_term.contract_hazard_ratio(spells))
    yield "A4", _limits(size_hazard_ratio(spells))


def _limits(contrast: Contrast) -> Limits:
    return contrast.theta, *contrast.interval()


def measured(world: World, seed: int, ratios: bool) -> dict[str, list[float]]:
    """Each quantity with its interval, (value, low, high), by client or rep, and (low, high) by
    client alone.
    """
    spells = agency(world, seed)
    parts = (of_ratios,) if ratios else (of_curves, of_shares)
    both, alone = (
        {n: x for of in parts for n, x in of(rows)}
        for rows in (spells, spells.drop(columns="reps"))
    )
    found = {name: (*limits, *alone[name][1:]) for name, limits in both.items()}
    for name, values, unit, sizes in (
        of_money(spells, 600 / world.clients, DRAWS) if not ratios else ()
    ):
        found[name] = (*with_limits(values, sizes, unit), *with_limits(values[: 1 + DRAWS])[1:])
    return {name: [float(x) for x in limits] for name, limits in found.items()}


def truth(world: World, ratios: bool) -> dict[str, float]:
    """The quantities in one large agency whose reps are as many as a hundred such agencies have."""
    clients = RATIO_CLIENTS if ratios else TRUTH_CLIENTS
    spells = agency(replace(world, clients=clients, reps=TRUTH_REPS), TRUTH_SEED).drop(
        columns="reps"
    )
    parts = (of_ratios,) if ratios else (of_curves, of_shares)
    found = {name: limits[0] for of in parts for name, limits in of(spells)}
    for name, values, *_ in of_money(spells, 600 / clients, 0) if not ratios else ():
        found[name] = values[0]
    return {name: float(value) for name, value in found.items()}


def one(key: Key) -> dict:
    """What one agency, or with seed 0 the truth of its world, comes to."""
    name, seed = key
    ratios = name in RATIO_WORLDS
    world = RATIO_WORLDS[name] if ratios else MONEY_WORLDS[name]
    return measured(world, seed, ratios) if seed else truth(world, ratios)


def truth_of(name: str) -> str:
    """The world whose truth a world shares: of ratios that of the smallest agency."""
    return name if name in MONEY_WORLDS else f"{name.rsplit(', ', 1)[0]}, 150 clients"


def code() -> str:
    """A hash of the code that the figures depend on."""
    digest = hashlib.sha256()
    for path in [*sorted((ROOT / "src").rglob("*.py")), Path(__file__)]:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def gather(keys: list[Key], any_code: bool, only_kept: bool) -> dict[Key, dict]:
    """All results, those kept from before included; each new one is kept at once. `only_kept`: none
    is new.
    """
    version = code()
    lines = KEPT.read_text().splitlines() if KEPT.is_file() else []
    kept = [
        json.loads(line) for line in lines if line.endswith("}")
    ]  # a line cut short by a stop is dropped
    results = {
        tuple(line["key"]): line["found"] for line in kept if any_code or line["code"] == version
    }
    with KEPT.open("a") as stream:
        for key in keys:
            if key not in results and not only_kept:
                results[key] = one(key)
                stream.write(
                    json.dumps({"code": version, "key": key, "found": results[key]}) + "\n"
                )
                stream.flush()
    return {key: results[key] for key in keys if key in results}


def table(results: dict[Key, dict], name: str) -> list[str]:
    """A row a quantity: the truth, the bias, how many intervals cover it, and how much wider they
    are.
    """
    rows = []
    each = [found for (world, seed), found in results.items() if world == name and seed]
    for what, true in results.get((truth_of(name), 0), {}).items() if len(each) >= LEAST else ():
        told = np.array([found[what] for found in each], dtype=float)
        value, low, high, low_alone, high_alone = told[np.isfinite(told).all(axis=1)].T
        alone, both = (
            np.mean((low_alone <= true) & (true <= high_alone)),
            np.mean((low <= true) & (true <= high)),
        )
        error = 100 * math.sqrt(max(both * (1 - both), 0.01) / len(value))
        has_width = high_alone > low_alone  # a median may have none
        wider = np.median((high - low)[has_width] / (high_alone - low_alone)[has_width])
        off = f"{true:,.4g} | {value.mean() - true:+.2g} | {len(value)}"
        rows.append(
            f"| {name} | {what} | {off} | {alone:.0%} | {both:.0%} | {error:.1f} | {wider:.2f} |"
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--only", default="", help="rows whose name holds these words")
    parser.add_argument("--any-code", action="store_true", help="keep what older code has found")
    parser.add_argument("--only-kept", action="store_true", help="make the note of what is there")
    told = parser.parse_args()
    names = [name for name in (*MONEY_WORLDS, *RATIO_WORLDS) if told.only in name]
    keys = [(truth_of(name), 0) for name in names] + [
        (name, 1 + run) for name in names for run in range(told.runs)
    ]
    results = gather(list(dict.fromkeys(keys)), told.any_code, told.only_kept)
    rows = [row for name in names for row in table(results, name)]
    print("\n".join(rows))
    if not told.only:
        command = (
            "make simulate" if told.runs == RUNS else f'make simulate ARGS="--runs {told.runs}"'
        )
        NOTE.write_text(
            LINES.format(command=command, runs=told.runs, rows="\n".join(rows)), "utf-8"
        )


if __name__ == "__main__":
    main()
