"""Do intervals cover where reps differ, and in worlds of another shape? Many made-up agencies;
figures kept in docs/calibration-spread.md.

Run by `make simulate`. Each agency has its own reps, drawn anew, and the truth is that of one large
agency with five thousand reps. Finished agencies are kept in `.simulate-spread.jsonl` (kept.py).
"""

from __future__ import annotations

import argparse
import datetime as dt
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

import kept
from retention.claims import contract_term, term_curves
from retention.claims.ad_spend import size_hazard_ratio
from retention.claims.judge import CLAIMS, judge
from retention.claims.size_groups import rates_with_limits
from retention.contrast import NO_SPREAD, Contrast
from retention.history.follow_up import follow_up
from retention.history.money import monthly_money
from retention.history.spells import build_spells
from retention.history.status import year_before
from retention.money import courses, plateau, retained
from retention.portfolio.healthy import healthy
from retention.results import DIRECTION, DOES_NOT, HOLDS
from retention.stats import curves
from retention.stats.intervals import with_limits

ROOT = Path(__file__).parents[1]
KEPT, NOTE = ROOT / ".simulate-spread.jsonl", ROOT / "docs" / "calibration-spread.md"
BEGIN, CUTOFF, BURN_IN, MONTHS = dt.date(2021, 1, 1), dt.date(2025, 12, 31), 36, 60
TRUTH_CLIENTS, TRUTH_REPS, TRUTH_SEED = 100_000, 5_000, 900_000
RATIO_CLIENTS = 40_000  # of the truth of a regression
DRAWS = 200  # resamples of the clients
FEES = {1: 10.0, 3: 9.0, 6: 8.0, 9: 7.0, 12: 6.0, 24: 5.0}  # percent of spend by term
HAZARD = 0.04  # a month, of the wish to leave
YEAR = 12  # the term that month-to-month clients go over to
RUNS, LEAST = 200, 10  # agencies a row; under ten a row is left out
LINES = """\
# Do intervals cover where reps differ?

Made by `{command}`: up to {runs} made-up agencies for each row, seeds from 1, each with reps of its own. The true value
is that of one agency with 100,000 clients (of ratios: 40,000) and 5,000 such reps; revenue is scaled to 600 clients.
Where nothing is planted the true ratios are 1. `By client` takes clients to be independent. `Wider` is what the pages
show: by client or by rep, the wider. Its Monte-Carlo error is in points. `Times as wide` is the usual price of allowing
for reps. A1 and A4 are logs of ratios.

The wider of two intervals covers more than 95 % where reps are alike, by construction: each covers 95 %, and both must
miss. A median is a whole month, so its interval is one or more steps too wide.

| world | quantity | true value | bias | agencies | covered by client | covered, wider | error | times as wide |
|---|---|---|---|---|---|---|---|---|
{rows}

## What it costs: verdicts at {power} clients where the claims are true

Month-to-month doubles leaving, and the largest quarter leaves {fewer} times as fast as the smallest. Share of agencies
whose verdict is 'holds', 'holds' or 'holds in direction only', and (falsely) 'does not hold': by client alone, as before
reps were allowed for, and by the wider interval.

| world | claim | agencies | holds, by client | holds, wider | in direction at least, by client | wider | does not hold, by client | wider |
|---|---|---|---|---|---|---|---|---|
{powers}

## False finds at {power} clients where nothing is planted

Share of agencies in which A1, A4 or either is judged 'holds' or 'holds in direction only'. Each primary claim may be so
in 1.67 %, the three together in 5 %; A6 is in [calibration-liking.md](calibration-liking.md).

| world | agencies | A1, by client | A1, wider | A4, by client | A4, wider | either, by client | either, wider |
|---|---|---|---|---|---|---|---|
{families}
"""
Key = tuple[str, int, int]  # world, clients, seed; seed 0: the truth
Floats = np.ndarray
Limits = tuple[float, float, float]  # a value with its 95 % interval


@dataclass(frozen=True)
class World:
    """An agency: `reps` who differ by `sd` of the log rate of leaving (and of the hours they take),
    and whom they get.

    `own` is "", or what each rep has a share of its own of: "term" (month-to-month clients) or
    "spend" (large ones). `moves` is the share of clients that come to another rep each month.
    `ratio` is how many times as fast month-to-month clients wish to leave, `spend` what a standard
    deviation of log spend adds to the log rate. `weibull` is the shape of the time to the wish (0:
    falling in steps at 6 and 18 months), `frailty` the variance of a factor of the client's own
    (gamma), `upgrades` the share of month-to-month clients that go over to a year, each month. The
    wish to leave doubles `doubled` months before the cut-off.
    """

    clients: int = 600
    reps: int = 10
    sd: float = 0.0
    own: str = ""
    moves: float = 0.004
    ratio: float = 2.0
    spend: float = -0.2
    terms: tuple[int, ...] = (1, 6, 12)
    weibull: float = 0.0
    frailty: float = 0.0
    upgrades: float = 0.0
    doubled: int = 0


MONEY_WORLDS = {f"ten reps, sd {sd:g}": World(sd=sd) for sd in (0.0, 0.3, 0.6)}
REPS = {
    "ten reps alike": World(),
    "ten reps who differ, sd 0.3": World(sd=0.3),
    "the same, each with a share of month-to-month clients of its own": World(sd=0.3, own="term"),
    "the same, each with sizes of its own": World(sd=0.3, own="spend"),
}
NOTHING = {"ratio": 1.0, "spend": 0.0}
NULLS = {f"nothing planted, {name}": replace(world, **NOTHING) for name, world in REPS.items()}
SHAPES = {
    "Weibull, shape 0.6": World(sd=0.3, weibull=0.6),
    "Weibull, shape 1.6": World(sd=0.3, weibull=1.6),
    "client frailty of variance 1": World(sd=0.3, frailty=1.0),
    "terms of 1, 3, 9 and 24 months": World(sd=0.3, terms=(1, 3, 9, 24)),
    "5% go over to a year each month": World(sd=0.3, upgrades=0.05),
    "leaving doubled 3 months before": World(sd=0.3, doubled=3),
    "leaving doubled 12 months before": World(sd=0.3, doubled=12),
}
FLAT = {f"{name}, nothing planted": replace(world, **NOTHING) for name, world in SHAPES.items()}
SIZES = (150, 400, 1500)
POWER = 600  # clients at which power and false finds are looked at
SHAPED = 400
RATIO_WORLDS = REPS | NULLS | SHAPES | FLAT  # no name is one of MONEY_WORLDS
ROWS = [
    *((name, POWER) for name in MONEY_WORLDS),
    *((name, clients) for name in REPS for clients in SIZES),
    *((name, SHAPED) for name in (*SHAPES, *FLAT)),
    *((name, POWER) for name in (*REPS, *NULLS)),
]


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
    place = (_wants(world, z) + rng.gumbel(size=(len(world.terms), n))).argmax(axis=0)
    term = np.array(world.terms)[place]
    reps = _dealt(rng, world, z, term == 1)
    pull, slowness = world.sd * rng.normal(size=(2, world.reps))
    changed = _changed(rng, world, term)
    left, kind = _lives(rng, world, z, term, reps, pull, month, changed)
    first = np.datetime64("2018-01") + month
    end = pd.to_datetime((first + left).astype("datetime64[D]")) - pd.Timedelta(days=1)
    gone = end <= pd.Timestamp(CUTOFF)
    fee = np.array([FEES[each] for each in term])
    hours = rng.lognormal(np.log(4 + 8000 * np.exp(z) * fee / 15_000), 0.35) * np.exp(
        slowness[reps[:, 0]]
    )
    clients = pd.DataFrame(
        {
            "client_id": [f"c{k:06}" for k in range(n)],
            "start_date": pd.to_datetime(first.astype("datetime64[D]")),
            "end_date": end.where(gone),
            "end_initiator": np.where(gone, kind, None),
            "contract_term_months": term,
            "monthly_ad_spend": 8000 * np.exp(z),
            "fee_pct": fee,
            "margin": 80 * np.exp(z) * fee - 70 * hours,
            "reps": _spans(reps),
        }
    )
    moved = (first + np.minimum(changed, left)).astype("datetime64[D]")
    later = np.where(changed < left, [f"{day} {YEAR}" for day in moved], "")
    clients["later"] = np.where(moved <= np.datetime64(CUTOFF), later, "")
    own = clients[["client_id", "reps", "later"]]
    given = clients.drop(columns=["reps", "later"])
    spells = build_spells(given, cutoff=CUTOFF, records_begin=BEGIN)
    told = spells.merge(own, on="client_id")
    if world.upgrades:
        told["later_terms"] = told["later"]
    return told.drop(columns="later")


def _wants(world: World, z: np.ndarray) -> np.ndarray:
    """How much each client wants each term, shape (terms, n): the larger the client, the longer."""
    if len(world.terms) == 3:
        return np.stack([np.full(len(z), 0.6), -0.1 + 0.5 * z, -0.1 + 0.9 * z])
    slopes = np.linspace(0, 0.9, len(world.terms))[:, None]
    return np.where(slopes > 0, -0.5, 0.6) + slopes * z


def _changed(rng: np.random.Generator, world: World, term: np.ndarray) -> np.ndarray:
    """After how many months of service each client goes over to a year; more than there are for
    most.
    """
    never = BURN_IN + 2 * MONTHS
    if not world.upgrades:
        return np.full(len(term), never)
    return np.where(term == 1, rng.geometric(world.upgrades, len(term)), never)


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
    month: np.ndarray,
    changed: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """The last month of service of each client, and by whose choice it was the last."""
    n, months = reps.shape
    t = np.arange(1, months + 1)
    eta = math.log(world.ratio) * ((term == 1) - 0.5) + world.spend * z
    rate = _pace(world, t) * np.exp(eta[:, None] + pull[reps])
    late = month[:, None] + t > BURN_IN + MONTHS - world.doubled
    rate = rate * np.where(late & bool(world.doubled), 2.0, 1.0)
    if world.frailty:
        rate = rate * rng.gamma(1 / world.frailty, world.frailty, size=(n, 1))
    wished = np.cumsum(rate, axis=1) > rng.exponential(size=(n, 1))
    wish = np.where(wished.any(axis=1), wished.argmax(axis=1) + 1, np.inf)
    since = np.where(wish > changed, changed, 0)
    force = np.where(wish > changed, YEAR, term)
    own = since + np.ceil((wish - since) / force) * force
    other = np.minimum(rng.geometric(0.006, n), rng.geometric(0.003, n) + 0.5)
    last = np.minimum(own, np.floor(other))
    kind = np.where(own <= other, "client", np.where(other % 1 > 0, "neutral", "agency"))
    return last.astype(int), kind


def _pace(world: World, t: np.ndarray) -> np.ndarray:
    """The rate of the wish to leave in months t, before what clients and reps add."""
    if world.weibull:
        return (HAZARD * t) ** world.weibull - (HAZARD * (t - 1)) ** world.weibull
    return HAZARD * np.exp(0.35 * (t <= 6) - 0.25 * (t > 18))


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


def of_rates(spells: pd.DataFrame) -> Iterator[tuple[str, Limits]]:
    """Ends by choice a month of the largest quarter by size."""
    row = rates_with_limits(spells).iloc[-1]
    yield "left a month, largest quarter", (row["estimate"], row["low"], row["high"])


def of_ratios(spells: pd.DataFrame) -> dict[str, Contrast]:
    """The verdicts' ratios."""
    a1 = contract_term.contract_hazard_ratio(spells)
    return {"A1": a1, "A4": size_hazard_ratio(spells)}


def of_verdicts(spells: pd.DataFrame) -> dict[str, list]:
    """The ratios on the log scale, each with its interval as shown and by client alone; and the
    word of its verdict by both.
    """
    found: dict[str, list] = {}
    for claim, wider in of_ratios(spells).items():
        alone = replace(wider, by_rep=NO_SPREAD)
        found[claim] = [wider.theta, *wider.interval(), *alone.interval()]
        found[f"{claim} verdict"] = [judge(CLAIMS[claim], way).verdict for way in (wider, alone)]
    return found


COUNTED = (of_curves, of_shares, of_rates)


def measured(world: World, seed: int, ratios: bool) -> dict[str, list]:
    """Each quantity with its interval, (value, low, high), by client or rep, and (low, high) by
    client alone.
    """
    spells = agency(world, seed)
    if ratios:
        return of_verdicts(spells)
    both, alone = (
        {n: x for of in COUNTED for n, x in of(rows)}
        for rows in (spells, spells.drop(columns="reps"))
    )
    found = {name: (*limits, *alone[name][1:]) for name, limits in both.items()}
    for name, values, unit, sizes in of_money(spells, POWER / world.clients, DRAWS):
        found[name] = (*with_limits(values, sizes, unit), *with_limits(values[: 1 + DRAWS])[1:])
    return {name: [float(x) for x in limits] for name, limits in found.items()}


def truth(world: World, ratios: bool) -> dict[str, float]:
    """The quantities in one large agency whose reps are as many as a hundred such agencies have."""
    if ratios and (world.ratio, world.spend) == (1, 0):
        return {"A1": 0.0, "A4": 0.0}
    clients = RATIO_CLIENTS if ratios else TRUTH_CLIENTS
    large = replace(world, clients=clients, reps=TRUTH_REPS)
    spells = agency(large, TRUTH_SEED).drop(columns="reps")
    if ratios:
        return {claim: contrast.theta for claim, contrast in of_ratios(spells).items()}
    found = {name: limits[0] for of in COUNTED for name, limits in of(spells)}
    for name, values, *_ in of_money(spells, POWER / clients, 0):
        found[name] = values[0]
    return {name: float(value) for name, value in found.items()}


def one(key: Key) -> dict:
    """What one agency, or with seed 0 the truth of its world, comes to."""
    name, clients, seed = key
    ratios = name in RATIO_WORLDS
    world = replace((RATIO_WORLDS | MONEY_WORLDS)[name], clients=clients)
    return measured(world, seed, ratios) if seed else truth(world, ratios)


def truth_of(name: str) -> Key:
    """Where the truth of a world is kept."""
    return name, 0, 0


Results = dict[Key, dict]


def agencies(results: Results, name: str, clients: int) -> list[dict]:
    """What was found in each agency of a row; none where they are too few to say."""
    row = [found for (w, n, seed), found in results.items() if (w, n) == (name, clients) and seed]
    return row if len(row) >= LEAST else []


def table(results: Results, name: str, clients: int) -> list[str]:
    """A row a quantity: the truth, the bias, how many intervals cover it, and how much wider they
    are.
    """
    rows = []
    each = agencies(results, name, clients)
    world = name if name in MONEY_WORLDS else f"{name}, {clients:,} clients"
    for what, true in results.get(truth_of(name), {}).items() if each else ():
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
            f"| {world} | {what} | {off} | {alone:.1%} | {both:.1%} | {error:.1f} | {wider:.2f} |"
        )
    return rows


def words_of(each: list[dict], claim: str, words: tuple[str, ...]) -> list[np.ndarray]:
    """Whether each agency's verdict is one of the words: by the wider interval, and by client."""
    told = np.array([found[f"{claim} verdict"] for found in each])
    return [np.isin(told[:, way], words) for way in (0, 1)]


def power_rows(results: Results, name: str) -> list[str]:
    """How often each claim is judged to hold, by client alone and by the wider interval."""
    rows = []
    each = agencies(results, name, POWER)
    for claim in ("A1", "A4") if each else ():
        cells = []
        for words in ((HOLDS,), (HOLDS, DIRECTION), (DOES_NOT,)):
            wider, alone = words_of(each, claim, words)
            cells += [f"{alone.mean():.1%}", f"{wider.mean():.1%}"]
        rows.append(f"| {name} | {claim} | {len(each)} | {' | '.join(cells)} |")
    return rows


def family_rows(results: Results, name: str) -> list[str]:
    """How often something is found where nothing is planted."""
    each = agencies(results, name, POWER)
    if not each:
        return []
    found = [words_of(each, claim, (HOLDS, DIRECTION)) for claim in ("A1", "A4")]
    found.append([found[0][way] | found[1][way] for way in (0, 1)])
    cells = [f"{way.mean():.1%}" for wider, alone in found for way in (alone, wider)]
    return [f"| {name} | {len(each)} | {' | '.join(cells)} |"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--only", default="", help="rows whose world holds these words")
    parser.add_argument("--only-kept", action="store_true", help="make the note of what is there")
    told = parser.parse_args()
    rows = [row for row in ROWS if told.only in row[0]]
    keys = [truth_of(name) for name, _ in rows]
    keys += [(*row, 1 + run) for run in range(told.runs) for row in rows]
    results = kept.gather(KEPT, __file__, keys, one, told.only_kept)
    lines = [line for row in rows for line in table(results, *row)]
    print("\n".join(lines))
    if told.only:
        return
    command = "make simulate" if told.runs == RUNS else f'make simulate ARGS="--runs {told.runs}"'
    fewer = math.exp(results[truth_of("ten reps alike")]["A4"])
    text = LINES.format(
        command=command,
        runs=told.runs,
        rows="\n".join(lines),
        power=POWER,
        fewer=f"{fewer:.2f}",
        powers="\n".join(row for name in REPS for row in power_rows(results, name)),
        families="\n".join(row for name in NULLS for row in family_rows(results, name)),
    )
    NOTE.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
