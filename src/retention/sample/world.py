"""What is planted: the worlds, the people who work at the agency, and the words its books are
written in.
"""

import math
import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd

FACTS: dict[str, Any] = tomllib.loads(
    files("retention.sample").joinpath("agency.toml").read_text("utf-8")
)
BURN_IN_MONTHS = 36
SURVIVORS_MONTHS = (
    15  # of signings before the records begin, whose clients are still there when they do
)
FIRST_RECORDED = pd.Period("2021-01", "M")
FEES = {1: 10.0, 6: 8.0, 12: 6.0}  # percent of ad spend by term: STUDY A2
KINDS = {1: "client", 2: "agency", 3: "neutral"}  # by whose choice an end was
CLIENT, AGENCY, NEUTRAL = KINDS


@dataclass(frozen=True)
class World:
    """The planted truth, on the log-hazard scale of the wish to leave (METHODS 10, step 4)."""

    contract: float = math.log(2)
    baseline: float = math.log(0.040)
    early: float = 0.35
    late: float = -0.25
    spend: float = -0.20
    liking: float = -0.60
    results: float = -0.25
    promise: float = 0.50  # a SD of results promised in excess, in the first six months (A7, A8)
    flag: float = 0.50  # from the month a flag is noted (D7, D8)
    far: float = 0.20  # a remote client not visited for more than two months (C8)
    slow: float = 0.0  # a SD of the rep's slowness to answer (D9)
    quality: float = -0.10  # a SD of how well prepared a client came (D6, D7)
    mediation: float = 0.0  # what results do to liking a month later
    reps: int = 10  # for 600 clients; more clients, more reps
    rep_sd: float = 0.20
    rep_liking_sd: float = 0.45
    answer: float = 0.70  # what liking does to answering a survey
    agency: float = 0.006
    agency_spend: float = 0.0  # what spend does to being let go
    breach: float = 0.10
    notice_months: int = 1
    lock_in: bool = True
    arrivals: float = 1.0  # signings, as a share of the usual
    flags_follow_work: bool = False  # flags are noted where the team's own work is slow
    season: bool = True
    kept: float = 0.0  # share of notices that acting on a client of a trial averts


WORLDS = {name: World(**planted) for name, planted in FACTS["worlds"].items()}
PLAIN = {
    "promise": 0.0,
    "flag": 0.0,
    "far": 0.0,
    "quality": 0.0,
    "season": False,
}  # METHODS 10 as it stands


@dataclass(frozen=True)
class Agency:
    """The people: which rep sits on each seat in each month (from the burn-in on), and what each
    brings.
    """

    world: World
    months: int
    seats: np.ndarray  # (seats, months in all): number of the rep
    reps: dict[str, np.ndarray]  # what each rep does to liking and to leaving, and his slowness
    staff: pd.DataFrame

    @property
    def total(self) -> int:
        """Months in all, the burn-in included."""
        return BURN_IN_MONTHS + self.months

    @property
    def last_day(self) -> pd.Timestamp:
        """The last day that the books know of."""
        last = FIRST_RECORDED + (self.months - 1)
        return last.end_time.normalize()


def signings_a_month(clients: int, months: int) -> float:
    """The rate at which about so many clients are on record: those who sign then, and survivors of
    the burn-in.
    """
    return clients / (months + SURVIVORS_MONTHS)


def found(world: World, clients: int, months: int, seed: int) -> Agency:
    """An agency staffed for so many clients; a rep stays for about four years, then a new one takes
    the seat.
    """
    rng = np.random.default_rng([seed, 0])
    total = BURN_IN_MONTHS + months
    needed = world.reps * signings_a_month(clients, months) / 8
    seats = max(world.reps, round(needed))
    leaves = rng.random((seats, total)) < 1 / 48
    leaves[:, 0] = True
    so_far = np.cumsum(leaves)
    number = so_far.reshape(leaves.shape) - 1
    since = np.nonzero(leaves)[1]
    until = np.where(
        np.roll(since, -1) == 0, total, np.roll(since, -1)
    )  # each seat's first rep comes in month 0
    spread = {"liking": world.rep_liking_sd, "leaving": world.rep_sd, "slowness": 1.0}
    reps = {name: sd * rng.normal(size=len(since)) for name, sd in spread.items()}
    return Agency(world, months, number, reps, _staff(rng, since, until, total, seats))


def _staff(
    rng: np.random.Generator, since: np.ndarray, until: np.ndarray, total: int, seats: int
) -> pd.DataFrame:
    """Everybody who works there: reps in the order of their numbers, two analysts a seat, five
    sellers, a manager.
    """
    sellers = list(FACTS["sellers"]["share"])
    first_names = FACTS["first_names"]
    ids = {
        "rep": numbered("r", len(since)),
        "analyst": numbered("a", 2 * seats),
        "seller": sellers,
        "manager": ["m01"],
    }
    people = pd.DataFrame(
        [(name, role) for role, names in ids.items() for name in names],
        columns=["staff_id", "role"],
    )
    n = len(people)
    others = len(people) - len(since)
    months = pd.period_range(FIRST_RECORDED - BURN_IN_MONTHS, periods=total + 1, freq="M")
    places = np.append(since, [0] * others)
    started = pd.Series(months.start_time[places])
    # A month to hand over: clients change on the day their month of service begins.
    until = np.append(until, [total] * others)
    ends = months.end_time.normalize()[until]
    ended = pd.Series(ends).where(until < total)
    trained = started + pd.Timedelta(days=60)
    letters = rng.integers(0, 26, n)
    mixed = rng.permutation(n) % len(first_names)
    return people.assign(
        started_on=started,
        ended_on=ended,
        name=[f"{first_names[k]} {chr(65 + c)}." for k, c in zip(mixed, letters, strict=True)],
        **{column: people["role"].map(by_role) for column, by_role in FACTS["staff"].items()},
        trained_on=trained.where((rng.random(n) < 0.4) & ~(trained > ended)),
    )


def numbered(letter: str, count: int) -> list[str]:
    """Ids of so many people: r01, r02, ..."""
    return [f"{letter}{k:02d}" for k in range(1, count + 1)]
