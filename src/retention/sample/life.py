"""What happens to clients, month by month: who signs, how they are served, who wants to leave, who
may (METHODS 10).

The wish to leave arises with a monthly hazard; a client on a fixed term can act on it only one
notice before a renewal (lock-in). Every draw has a fixed shape, so that the same seed gives the
same luck under another term (`force_term`).
"""

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from retention.sample.world import (
    AGENCY,
    BURN_IN_MONTHS,
    CLIENT,
    FACTS,
    FEES,
    NEUTRAL,
    Agency,
    World,
)

HOURLY_COST = 60.0
AFTER_WISH = -1.2  # what the wish to leave does to the liking that is reported (reverse causality)
KEEP, STEP = 0.85, math.sqrt(1 - 0.85**2)  # AR(1) of liking and results, unit variance
Rng = np.random.Generator


@dataclass(frozen=True)
class Lives:
    """Signings (a row a client) with how they ended; states by client and month of service, arrays
    of shape (n, T).

    `people` has `decided`, `ended` (months of service, 0: not yet) and `kind`. States are `liking`,
    `reported` (liking as told in a survey), `results`, `hours`, `rep` (its number), and whether the
    client was visited (`visit`), had a flag noted in that month (`noted`) and had `wished` to leave
    by then.
    """

    people: pd.DataFrame
    states: dict[str, np.ndarray]


def live(
    agency: Agency, rate: float, seed: tuple[int, ...], force_term: int | None = None
) -> Lives:
    """The lives of the clients of one batch: about `rate` signings a month, from the burn-in to the
    last month.

    Month after month: how clients are served, who comes to wish to leave, who may act on it, and
    the other ends.
    """
    rng = np.random.default_rng(seed)
    world = agency.world
    people = _signings(rng, agency, rate * world.arrivals)
    if force_term:
        people["term"] = force_term
    n = len(people)
    term = people["term"].to_numpy()
    fee = 8000 * np.exp(people["z"].to_numpy()) * np.vectorize(FEES.get)(term) / 100
    breaks = rng.random(n) < world.breach
    wish, decided, ended, kind = (np.zeros(n, dtype=np.int16) for _ in range(4))
    states: dict[str, list[np.ndarray]] = defaultdict(list)
    for t, (eta, now) in enumerate(_service(rng, people, agency), 1):
        here = (kind == 0) & (people["month"].to_numpy() + t <= agency.total)
        wish[here & (wish == 0) & (rng.random(n) < -np.expm1(-np.exp(eta)))] = t
        # Notice can be given: by monthly clients always, on fixed terms one notice before a
        # renewal.
        free = (term == 1) | ((t + world.notice_months) % term == 0) | (not world.lock_in)
        wished = wish > 0
        hours = rng.lognormal(np.log(4 + fee / 150), 0.35) * (
            1 + 0.15 * people["difficult"].to_numpy()
        )
        ends = (
            (NEUTRAL, rng.random(n) < 0.003, 0),
            (
                AGENCY,
                rng.random(n) < _agency_hazard(people, fee, hours, world),
                world.notice_months,
            ),
            (CLIENT, wished & (free | breaks & (wish == t)), world.notice_months),
        )
        for reason, acts, notice in ends:
            struck = here & (kind == 0) & acts
            kind[struck] = reason
            decided[struck] = t
            ended[struck] = t + notice
        now |= {"hours": hours, "wished": wished, "reported": now["liking"] + AFTER_WISH * wished}
        for name, values in now.items():
            states[name].append(values.astype(np.float32) if values.dtype.kind == "f" else values)
    people = people.assign(decided=decided, ended=ended, kind=kind, wish=wish)
    return Lives(people, {name: np.stack(months, axis=1) for name, months in states.items()})


def _signings(rng: Rng, agency: Agency, rate: float) -> pd.DataFrame:
    """Who signs, when, with whom and for how long: Poisson arrivals, terms by spend (METHODS 10,
    steps 1 and 2).
    """
    sources = FACTS["sources"]["share"]
    sellers = FACTS["sellers"]
    season = np.array(FACTS["season"] if agency.world.season else [1.0] * 12)
    calendar = (np.arange(agency.total) - BURN_IN_MONTHS) % 12
    month = np.repeat(np.arange(agency.total), rng.poisson(rate * season[calendar]))
    n = len(month)
    z = rng.normal(size=n)
    utility = np.stack([np.full(n, 0.6), -0.1 + 0.5 * z, -0.1 + 0.9 * z]) + rng.gumbel(size=(3, n))
    seller = rng.choice(len(sellers["share"]), n, p=list(sellers["share"].values()))
    people = {
        "month": month,
        "day": np.where(rng.random(n) < 0.6, 1, rng.integers(2, 29, n)),
        "z": z,
        "term": np.array(list(FEES))[utility.argmax(axis=0)],
        "industry": rng.choice(list(FACTS["industries"]), n),
        "source": rng.choice(list(sources), n, p=list(sources.values())),
        "seller": seller,
        "seat": rng.integers(0, len(agency.seats), n),
        "promise": np.array(list(sellers["promise"].values()))[seller] + 0.3 * rng.normal(size=n),
        "quality": rng.normal(size=n),
        "difficult": rng.random(n) < 0.2,
        "discount": np.where(rng.random(n) < 0.08, 10.0, 0.0),
        "remote": rng.random(n) < 0.4,
        "late_payer": rng.random(n) < 0.12,
    }
    return pd.DataFrame(people)


def _service(
    rng: Rng, people: pd.DataFrame, agency: Agency
) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """Each month of service as it goes for all who never left: the log-hazard of the wish to leave,
    and the states.
    """
    world = agency.world
    n = len(people)
    signed = people["month"].to_numpy()
    remote = people["remote"].to_numpy()
    seat = people["seat"].to_numpy()
    flagged = np.zeros(n, dtype=bool)
    away = np.zeros(n, dtype=int)
    moods = _moods(rng, n, world)

    def felt(rep: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        own, pushed, results = next(moods)
        return own + agency.reps["liking"][rep] + pushed, results

    first = agency.seats[seat, signed]
    seen = [felt(first), felt(first)]  # two months of acquaintance before the first
    for t in range(1, agency.total + 1):
        seat = np.where(rng.random(n) < 0.004, rng.integers(0, len(agency.seats), n), seat)
        rep = agency.seats[seat, np.minimum(signed + t - 1, agency.total - 1)]
        seen = [*seen[-2:], felt(rep)]
        liking, results = seen[0]  # of two months ago
        slow = agency.reps["slowness"][rep]
        pull = agency.reps["leaving"][rep]
        visit = rng.random(n) < np.where(remote, 0.45, 0.25)
        away = np.where(visit, 0, away + 1)
        likely = slow > 0.8 if world.flags_follow_work else people["difficult"].to_numpy()
        noted = rng.random(n) < np.where(likely, 0.05, 0.003)
        eta = (
            _eta_of_signing(t, people, world)
            + world.liking * liking
            + world.results * results
            + pull
        )
        eta = eta + world.slow * slow + world.flag * flagged + world.far * (remote & (away > 2))
        yield (
            eta,
            {
                "liking": seen[-1][0],
                "results": seen[-1][1],
                "rep": rep,
                "visit": visit,
                "noted": noted,
            },
        )
        flagged |= noted


def _eta_of_signing(t: int, people: pd.DataFrame, world: World) -> np.ndarray:
    """The part of the log-hazard that is settled at signing, by month of service."""
    monthly = (people["term"] == 1) - 0.5
    eta = (
        world.baseline
        + world.contract * monthly
        + world.spend * people["z"]
        + world.quality * people["quality"]
    )
    eta = (
        eta
        + world.early * (t <= 6)
        + world.late * (t > 18)
        + world.promise * people["promise"] * (t <= 6)
    )
    return eta.to_numpy()


def _agency_hazard(
    people: pd.DataFrame, fee: np.ndarray, hours: np.ndarray, world: World
) -> np.ndarray:
    """The monthly chance of being let go: higher for clients who cost more than they pay, and for
    late payers.
    """
    unprofitable = fee < HOURLY_COST * hours
    pull = 0.8 * unprofitable + 0.8 * people["late_payer"] + world.agency_spend * people["z"]
    return world.agency * np.exp(pull.to_numpy())


def _moods(rng: Rng, n: int, world: World) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Month by month: liking without the rep's trait, what the results of the month before add to
    it, and results.

    AR(1), unit variance, innovations correlated .30 (METHODS 10, step 3).
    """
    own = math.sqrt(1 - world.rep_liking_sd**2)
    before = np.zeros((2, n))
    now = _shock(rng, n)
    while True:
        yield own * now[0], world.mediation * before[1], now[1]
        before = now
        now = KEEP * now + STEP * _shock(rng, n)


def _shock(rng: Rng, n: int) -> np.ndarray:
    liking, other = rng.normal(size=(2, n))
    return np.stack([liking, 0.30 * liking + math.sqrt(1 - 0.30**2) * other])
