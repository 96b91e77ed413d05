"""What happens to clients, month by month: who signs, how they are served, who wants to leave, who may (METHODS 10).

The wish to leave arises with a monthly hazard; a client on a fixed term can act on it only one notice before a renewal
(lock-in). Every draw has a fixed shape, so that the same seed gives the same luck under another term (`force_term`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from retention.sample.world import (
    AGENCY,
    BURN_IN_MONTHS,
    CLIENT,
    FEES,
    HOURLY_COST,
    INDUSTRIES,
    NEUTRAL,
    SEASON,
    SELLERS,
    SOURCES,
    TERMS,
    Agency,
    World,
)  # fmt: skip

AFTER_WISH = -1.2  # what the wish to leave does to the liking that is reported (reverse causality)
KEEP, STEP = 0.85, math.sqrt(1 - 0.85**2)  # AR(1) of liking and results, unit variance


@dataclass(frozen=True)
class Lives:
    """Signings (a row a client) with how they ended; states by client and month of service, arrays of shape (n, T).

    `people` has `decided`, `ended` (months of service, 0: not yet) and `kind`. `rep` is the rep's number, `visit`
    whether the client was visited, `noted` whether a flag was noted in that month.
    """

    people: pd.DataFrame
    liking: np.ndarray
    reported: np.ndarray
    results: np.ndarray
    hours: np.ndarray
    rep: np.ndarray
    visit: np.ndarray
    noted: np.ndarray
    wished: np.ndarray


def live(agency: Agency, rate: float, seed: tuple[int, ...], force_term: int | None = None) -> Lives:
    """The lives of the clients of one batch: about `rate` signings a month, from the burn-in to the last month."""
    rng = np.random.default_rng(seed)
    people = _signings(rng, agency, rate * agency.world.arrivals)
    if force_term:
        people["term"] = force_term
    return _serve(rng, people, agency)


def _signings(rng: np.random.Generator, agency: Agency, rate: float) -> pd.DataFrame:
    """Who signs, when, with whom and for how long: Poisson arrivals, terms that follow spend (METHODS 10, 1 and 2)."""
    calendar = (np.arange(agency.total) - BURN_IN_MONTHS) % 12
    season = SEASON[calendar] if agency.world.season else np.ones(agency.total)
    month = np.repeat(np.arange(agency.total), rng.poisson(rate * season))
    n = len(month)
    z = rng.normal(size=n)
    utility = np.stack([np.full(n, 0.6), -0.1 + 0.5 * z, -0.1 + 0.9 * z]) + rng.gumbel(size=(3, n))
    seller = rng.choice(len(SELLERS), n, p=[share for share, _ in SELLERS.values()])
    return pd.DataFrame(
        {
            "month": month,
            "day": np.where(rng.random(n) < 0.6, 1, rng.integers(2, 29, n)),
            "z": z,
            "term": TERMS[utility.argmax(axis=0)],
            "industry": rng.choice(list(INDUSTRIES), n),
            "source": rng.choice(list(SOURCES), n, p=list(SOURCES.values())),
            "seller": seller,
            "seat": rng.integers(0, len(agency.seats), n),
            "promise": np.array([more for _, more in SELLERS.values()])[seller] + 0.3 * rng.normal(size=n),
            "quality": rng.normal(size=n),
            "difficult": rng.random(n) < 0.2,
            "discount": np.where(rng.random(n) < 0.08, 10.0, 0.0),
            "remote": rng.random(n) < 0.4,
            "late_payer": rng.random(n) < 0.12,
        }
    )


def _serve(rng: np.random.Generator, people: pd.DataFrame, agency: Agency) -> Lives:
    """Month after month: states first, then the wish to leave, then who may act on it, and the other ends."""
    world, n, total = agency.world, len(people), agency.total
    term, late_payer = people["term"].to_numpy(), people["late_payer"].to_numpy()
    fixed = _constant(people, world)
    breaks = rng.random(n) < world.breach
    wish, decided, ended, kind, away = (np.zeros(n, dtype=np.int16) for _ in range(5))
    seat, flagged = people["seat"].to_numpy(copy=True), np.zeros(n, dtype=bool)
    fee = 8000 * np.exp(people["z"].to_numpy()) * np.vectorize(FEES.get)(term) / 100
    states: dict[str, list[Any]] = {name: [] for name in ("liking", "reported", "results", "hours", "rep")}
    states |= {"visit": [], "noted": [], "wished": []}
    latent = _Latent(rng, n, world)
    trait = agency.rep_liking[agency.seats[seat, people["month"]]]
    seen = [latent.now(trait), latent.step(trait)]  # two months of acquaintance before the first
    for t in range(1, total + 1):
        month = np.minimum(people["month"].to_numpy() + t - 1, total - 1)
        seat = np.where(rng.random(n) < 0.004, rng.integers(0, len(agency.seats), n), seat)
        rep = agency.seats[seat, month]
        here = (kind == 0) & (people["month"].to_numpy() + t <= total)
        seen = [*seen[-2:], latent.step(agency.rep_liking[rep])]
        liking, results = seen[0]  # of two months ago
        slow = agency.rep_slow[rep]
        visit = rng.random(n) < np.where(people["remote"], 0.45, 0.25)
        away = np.where(visit, 0, away + 1).astype(np.int16)
        noted = rng.random(n) < _flag_chance(people, world, slow)
        eta = fixed + world.early * (t <= 6) + world.late * (t > 18) + world.promise * people["promise"] * (t <= 6)
        eta = eta + world.liking * liking + world.results * results + agency.rep_pull[rep] + world.slow * slow
        eta = eta + world.flag * flagged + world.far * (people["remote"] & (away > 2))
        wish[here & (wish == 0) & (rng.random(n) < -np.expm1(-np.exp(eta)))] = t
        hours = rng.lognormal(np.log(4 + fee / 150), 0.35) * (1 + 0.15 * people["difficult"])
        agency_hazard = world.agency * np.exp(
            0.8 * (fee < HOURLY_COST * hours) + 0.8 * late_payer + world.agency_spend * people["z"]
        )
        for reason, hazard, notice in ((NEUTRAL, 0.003, 0), (AGENCY, agency_hazard, world.notice_months)):
            struck = here & (kind == 0) & (rng.random(n) < hazard)
            kind[struck], decided[struck], ended[struck] = reason, t, t + notice
        leaves = here & (kind == 0) & (wish > 0) & _free_to_leave(t, term, breaks & (wish == t), world)
        kind[leaves], decided[leaves], ended[leaves] = CLIENT, t, t + world.notice_months
        wished = (wish > 0) & (wish <= t)
        now = {"liking": seen[-1][0], "reported": seen[-1][0] + AFTER_WISH * wished, "results": seen[-1][1]}
        now |= {"hours": hours, "rep": rep, "visit": visit, "noted": noted, "wished": wished}
        for name, value in now.items():
            states[name].append(np.asarray(value, dtype=np.float32 if np.asarray(value).dtype.kind == "f" else None))
        flagged |= noted
    people = people.assign(decided=decided, ended=ended, kind=kind, wish=wish, fee=fee)
    return Lives(people, **{name: np.stack(columns, axis=1) for name, columns in states.items()})


def _constant(people: pd.DataFrame, world: World) -> np.ndarray:
    monthly = (people["term"] == 1) - 0.5
    constant = world.baseline + world.contract * monthly + world.spend * people["z"] + world.quality * people["quality"]
    return constant.to_numpy()


def _flag_chance(people: pd.DataFrame, world: World, slow: np.ndarray) -> np.ndarray:
    """The monthly chance that something is noted about a client: for the difficult, or where the team is slow."""
    likely = slow > 0.8 if world.flags_follow_work else people["difficult"].to_numpy()
    return np.where(likely, 0.05, 0.003)


def _free_to_leave(t: int, term: Any, breaks: Any, world: World) -> Any:
    """Whether notice can be given in month t: monthly clients always, fixed terms one notice before a renewal."""
    at_renewal = (t + world.notice_months) % term == 0
    return (term == 1) | at_renewal | breaks | (not world.lock_in)


class _Latent:
    """Liking and results of each client, month by month: AR(1), unit variance, innovations correlated .30 (step 3)."""

    def __init__(self, rng: np.random.Generator, n: int, world: World) -> None:
        self.rng, self.n, self.mediation = rng, n, world.mediation
        self.own = math.sqrt(1 - world.rep_liking_sd**2)
        self.liking, self.results = self._shock()

    def _shock(self) -> tuple[np.ndarray, np.ndarray]:
        liking, other = self.rng.normal(size=(2, self.n))
        return liking, 0.30 * liking + math.sqrt(1 - 0.30**2) * other

    def now(self, rep_trait: Any) -> tuple[np.ndarray, np.ndarray]:
        """Liking (with its rep's trait) and results of this month; each of shape (n,)."""
        return self.own * self.liking + rep_trait, self.results

    def step(self, rep_trait: Any) -> tuple[np.ndarray, np.ndarray]:
        """One month on."""
        before, (liking, results) = self.results, self._shock()
        self.liking = KEEP * self.liking + STEP * liking
        self.results = KEEP * self.results + STEP * results
        own, _ = self.now(rep_trait)
        return own + self.mediation * before, self.results
