"""What happens to clients, month by month: who signs, how they are served, who wants to leave, who
may (METHODS 10).

The wish to leave arises with a monthly hazard; a client on a fixed term can act on it only one
notice before a renewal (lock-in). Every draw has a fixed shape, so that the same seed gives the
same luck under another term (`force_term`).
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from retention.sample.drawn import Drawn, draws
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
    people = _signings(rng, agency, rate * agency.world.arrivals)
    if force_term:
        people["term"] = force_term
    term = people["term"].to_numpy()
    logs = people["z"].to_numpy()
    size = np.exp(logs)
    shares = np.vectorize(FEES.get)(term)
    fee = 8000 * size * shares / 100
    trials = draws(agency, people["month"].to_numpy(), seed)
    fates = _Fates(rng, agency, people, term, fee, trials)
    states: dict[str, list[np.ndarray]] = defaultdict(list)
    for t, (eta, now) in enumerate(_service(rng, people, agency), 1):
        now |= fates.month(t, eta)
        change = AFTER_WISH * now["wished"]
        now["reported"] = now["liking"] + change
        for name, values in now.items():
            is_real = values.dtype.kind == "f"
            states[name].append(values.astype(np.float32) if is_real else values)
    people = people.assign(
        decided=fates.decided, ended=fates.ended, kind=fates.kind, wish=fates.wish
    )
    people = people.assign(**{name: values for trial in trials for name, values in trial.columns})
    stacked = {name: np.stack(months, axis=1) for name, months in states.items()}
    return Lives(people, stacked)


class _Fates:
    """Who wishes to leave, and who is gone why, as the months of service pass.

    Arrays of shape (n,): `wish`, `decided` and `ended` are months of service (0: not yet), `kind`
    is how it ended.
    """

    def __init__(
        self,
        rng: Rng,
        agency: Agency,
        people: pd.DataFrame,
        term: np.ndarray,
        fee: np.ndarray,
        trials: Sequence[Drawn] = (),
    ) -> None:
        n = len(people)
        self.rng = rng
        self.agency = agency
        self.people = people
        self.term = term
        self.fee = fee
        self.trials = trials
        self.signed = people["month"].to_numpy()
        self.breaks = rng.random(n) < agency.world.breach
        self.wish = np.zeros(n, dtype=np.int16)
        self.decided = np.zeros(n, dtype=np.int16)
        self.ended = np.zeros(n, dtype=np.int16)
        self.kind = np.zeros(n, dtype=np.int16)

    def month(self, t: int, eta: np.ndarray) -> dict[str, np.ndarray]:
        """Month `t` of service: `eta` is the log-hazard of the wish to leave. Hours, and who wishes
        to leave.
        """
        n = len(self.kind)
        in_time = self.signed + t <= self.agency.total
        here = (self.kind == 0) & in_time
        pace = -np.exp(eta)
        chance = -np.expm1(pace)
        struck = self.rng.random(n) < chance
        self.wish[here & (self.wish == 0) & struck] = t
        hours = self._hours()
        for reason, acts, notice in self._ends(t, hours):
            gone = here & (self.kind == 0) & acts
            self.kind[gone] = reason
            self.decided[gone] = t
            self.ended[gone] = t + notice
        for trial in self.trials:
            trial.draw(t, eta, here & (self.kind == 0))
        return {"hours": hours, "wished": self.wish > 0}

    def _hours(self) -> np.ndarray:
        """Hours of work of a month: more for those who pay more, and for the difficult."""
        usual = np.log(4 + self.fee / 150)
        difficult = self.people["difficult"].to_numpy()
        return self.rng.lognormal(usual, 0.35) * (1 + 0.15 * difficult)

    def _ends(self, t: int, hours: np.ndarray) -> Iterator[tuple[int, np.ndarray, int]]:
        """Who would end the relation in this month, by reason, and with how many months' notice."""
        world = self.agency.world
        n = len(self.kind)
        yield NEUTRAL, self.rng.random(n) < 0.003, 0
        let_go = _agency_hazard(self.people, self.fee, hours, world)
        yield AGENCY, self.rng.random(n) < let_go, world.notice_months
        # Notice can be given: by monthly clients always, on fixed terms one notice before a
        # renewal.
        at_end = t + world.notice_months
        due = at_end % self.term == 0
        may = (self.term == 1) | due
        free = may | (not world.lock_in)
        breach = self.breaks & (self.wish == t)
        leaving = (self.wish > 0) & (free | breach)
        for trial in self.trials:
            averted = leaving & (self.kind == 0) & trial.averts(t)
            self.wish[averted] = 0
            leaving = leaving & ~averted
        yield CLIENT, leaving, world.notice_months


def _signings(rng: Rng, agency: Agency, rate: float) -> pd.DataFrame:
    """Who signs, when, with whom and for how long: Poisson arrivals, terms by spend (METHODS 10,
    steps 1 and 2).
    """
    sources = FACTS["sources"]["share"]
    sellers = FACTS["sellers"]
    season = np.array(FACTS["season"] if agency.world.season else [1.0] * 12)
    months = np.arange(agency.total)
    calendar = (months - BURN_IN_MONTHS) % 12
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
    n = len(people)
    signed = people["month"].to_numpy()
    remote = people["remote"].to_numpy()
    seat = people["seat"].to_numpy()
    flagged = np.zeros(n, dtype=bool)
    away = np.zeros(n, dtype=int)
    moods = _moods(rng, n, agency.world)
    first = agency.seats[seat, signed]
    # two months of acquaintance before the first
    seen = [_felt(moods, first, agency), _felt(moods, first, agency)]
    for t in range(1, agency.total + 1):
        other = rng.random(n) < 0.004
        seat = np.where(other, rng.integers(0, len(agency.seats), n), seat)
        served = signed + t - 1
        month = np.minimum(served, agency.total - 1)
        rep = agency.seats[seat, month]
        seen = [*seen[-2:], _felt(moods, rep, agency)]
        visit = rng.random(n) < np.where(remote, 0.45, 0.25)
        away = np.where(visit, 0, away + 1)
        noted = rng.random(n) < _chance_of_flag(people, rep, agency)
        eta = _eta_of_signing(t, people, agency.world)
        eta = _eta_of_service(eta, seen[0], rep, agency)
        eta = eta + agency.world.flag * flagged
        far = remote & (away > 2)
        eta = eta + agency.world.far * far
        liking, results = seen[-1]
        states = {"liking": liking, "results": results, "rep": rep, "visit": visit, "noted": noted}
        yield eta, states
        flagged |= noted


def _felt(
    moods: Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]], rep: np.ndarray, agency: Agency
) -> tuple[np.ndarray, np.ndarray]:
    """Liking and results of the next month, with this rep."""
    own, pushed, results = next(moods)
    trait = agency.reps["liking"][rep]
    return own + trait + pushed, results


def _chance_of_flag(people: pd.DataFrame, rep: np.ndarray, agency: Agency) -> np.ndarray:
    """The monthly chance that a flag is noted about each client."""
    likely = people["difficult"].to_numpy()
    if agency.world.flags_follow_work:
        likely = agency.reps["slowness"][rep] > 0.8
    return np.where(likely, 0.05, 0.003)


def _eta_of_signing(t: int, people: pd.DataFrame, world: World) -> np.ndarray:
    """The part of the log-hazard that is settled at signing, by month of service."""
    monthly = (people["term"] == 1) - 0.5
    young = t <= 6
    eta = world.baseline + world.contract * monthly
    eta = eta + world.spend * people["z"]
    eta = eta + world.quality * people["quality"]
    eta = eta + world.early * young
    eta = eta + world.late * (t > 18)
    eta = eta + world.promise * people["promise"] * young
    return eta.to_numpy()


def _eta_of_service(
    eta: np.ndarray, felt: tuple[np.ndarray, np.ndarray], rep: np.ndarray, agency: Agency
) -> np.ndarray:
    """The log-hazard with what was felt (liking, results) two months ago, and what the rep does."""
    world = agency.world
    liking, results = felt
    eta = eta + world.liking * liking
    eta = eta + world.results * results
    eta = eta + agency.reps["leaving"][rep]
    slowness = agency.reps["slowness"][rep]
    return eta + world.slow * slowness


def _agency_hazard(
    people: pd.DataFrame, fee: np.ndarray, hours: np.ndarray, world: World
) -> np.ndarray:
    """The monthly chance of being let go: higher for clients who cost more than they pay, and for
    late payers.
    """
    unprofitable = fee < HOURLY_COST * hours
    costs = 0.8 * unprofitable + 0.8 * people["late_payer"]
    pull = costs + world.agency_spend * people["z"]
    factors = pull.to_numpy()
    return world.agency * np.exp(factors)


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
    own = math.sqrt(1 - 0.30**2) * other
    return np.stack([liking, 0.30 * liking + own])
