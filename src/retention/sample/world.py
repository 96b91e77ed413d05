"""What is planted: the worlds, the people who work at the agency, and the words its books are written in."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass, replace
from importlib.resources import files

import numpy as np
import pandas as pd

BURN_IN_MONTHS = 36
SURVIVORS_MONTHS = 15  # of signings before the records begin, whose clients are still there when they do
FIRST_RECORDED = pd.Period("2021-01", "M")
TERMS = np.array([1, 6, 12])
FEES = {1: 10.0, 6: 8.0, 12: 6.0}  # percent of ad spend: study row A2
NOTICE_DAYS = 30
HOURLY_COST = 60.0
CLIENT, AGENCY, NEUTRAL = 1, 2, 3

_WORDS = tomllib.loads(files("retention.sample").joinpath("words.toml").read_text("utf-8"))
INDUSTRIES, PLACES, FIRST_NAMES = _WORDS["industries"], _WORDS["places"], _WORDS["first_names"]
FLAGS, COMPLAINTS, SIGNING_FLAGS = _WORDS["flags"], _WORDS["complaints"], _WORDS["signing"]
REASONS = {
    kind: _WORDS["reasons"][name] for kind, name in ((CLIENT, "client"), (AGENCY, "agency"), (NEUTRAL, "neutral"))
}
WORSE_WHEN_TRUE = ("rush", "one_off", "single_contact")
SOURCES = {"referral": 0.30, "inbound": 0.35, "outbound": 0.20, "cold": 0.15}
CLOSE_RATES = {"referral": 0.50, "inbound": 0.25, "outbound": 0.14, "cold": 0.10}  # C3: five times
# Each seller's share of signings, and how much better than usual the results are that he promises (in SD of results).
SELLERS = {"s01": (0.35, 1.0), "s02": (0.20, 0.2), "s03": (0.20, 0.0), "s04": (0.15, -0.2), "s05": (0.10, -0.4)}
SEASON = np.array([1.25, 1.05, 1.1, 1.0, 1.0, 0.9, 0.75, 0.8, 1.2, 1.15, 1.05, 0.75])  # signings by month of the year


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


_STUDY = World()
WORLDS = {
    "study": _STUDY,
    "null": replace(_STUDY, contract=0.0, spend=0.0, liking=-0.40, results=-0.40),
    "confounded": replace(_STUDY, contract=0.0, spend=-0.27),
    "reversed": replace(_STUDY, liking=-0.25, results=-0.60),
    "small": replace(_STUDY, arrivals=0.15, reps=4),
    "mediation": replace(_STUDY, mediation=0.25),
    "mnar": replace(_STUDY, answer=1.6),
    "fired": replace(_STUDY, agency=0.012, agency_spend=-1.0),
    "equal_reps": replace(_STUDY, rep_sd=0.0, rep_liking_sd=0.0),
    "team_fault": replace(_STUDY, slow=0.60, flag=0.0, flags_follow_work=True),
    "no_flags": replace(_STUDY, flag=0.0),
}
PLAIN = {"promise": 0.0, "flag": 0.0, "far": 0.0, "quality": 0.0, "season": False}  # METHODS 10 as it stands


@dataclass(frozen=True)
class Agency:
    """The people: which rep sits on each seat in each month (from the burn-in on), and what each brings."""

    world: World
    months: int
    seats: np.ndarray  # (seats, months in all): number of the rep
    rep_liking: np.ndarray
    rep_pull: np.ndarray
    rep_slow: np.ndarray
    staff: pd.DataFrame

    @property
    def total(self) -> int:
        """Months in all, the burn-in included."""
        return BURN_IN_MONTHS + self.months

    @property
    def last_day(self) -> pd.Timestamp:
        """The last day that the books know of."""
        return (FIRST_RECORDED + (self.months - 1)).end_time.normalize()


def signings_a_month(clients: int, months: int) -> float:
    """The rate at which about so many clients are on record: those who sign then, and survivors of the burn-in."""
    return clients / (months + SURVIVORS_MONTHS)


def found(world: World, clients: int, months: int, seed: int) -> Agency:
    """An agency staffed for so many clients; a rep stays for about four years, then a new one takes the seat."""
    rng = np.random.default_rng([seed, 0])
    total = BURN_IN_MONTHS + months
    seats = max(world.reps, round(world.reps * signings_a_month(clients, months) / 8))
    leaves = rng.random((seats, total)) < 1 / 48
    leaves[:, 0] = True
    number = np.cumsum(leaves.reshape(-1)).reshape(seats, total) - 1
    persons = int(number.max()) + 1
    seat, month = np.nonzero(leaves)
    until = np.append(month[1:], 0)
    until[np.append(seat[1:], -1) != seat] = total
    liking, pull = (sd * rng.normal(size=persons) for sd in (world.rep_liking_sd, world.rep_sd))
    slow = rng.normal(size=persons)
    return Agency(world, months, number, liking, pull, slow, _staff(rng, month, until, total, seats))


def _staff(rng: np.random.Generator, since: np.ndarray, until: np.ndarray, total: int, seats: int) -> pd.DataFrame:
    """Everybody who works there: reps in the order of their numbers, two analysts a seat, five sellers, a manager."""
    first = FIRST_RECORDED - BURN_IN_MONTHS
    reps = pd.DataFrame({"staff_id": [f"r{k + 1:02d}" for k in range(len(since))], "role": "rep"})
    reps["started_on"] = [(first + int(m)).start_time for m in since]
    # A month to hand over: clients change on the day their month of service begins.
    reps["ended_on"] = [(first + int(m)).end_time.normalize() if m < total else pd.NaT for m in until]
    rest = (
        [(f"a{k + 1:02d}", "analyst") for k in range(2 * seats)]
        + [(s, "seller") for s in SELLERS]
        + [("m01", "manager")]
    )
    others = pd.DataFrame(rest, columns=["staff_id", "role"]).assign(started_on=first.start_time, ended_on=pd.NaT)
    people = pd.concat([reps, others.astype({"ended_on": "datetime64[ns]"})], ignore_index=True)
    letters = rng.integers(0, 26, len(people))
    mixed = rng.permutation(len(people))
    names = [f"{FIRST_NAMES[k % len(FIRST_NAMES)]} {chr(65 + c)}." for k, c in zip(mixed, letters, strict=True)]
    wage = people["role"].map({"rep": 5200, "analyst": 4300, "seller": 4000, "manager": 7500})
    seller = people["role"] == "seller"
    return people.assign(
        name=names,
        monthly_salary=wage,
        hourly_cost=people["role"].map({"rep": 70.0, "analyst": 53.0}),
        quota=np.where(seller, 4.0, np.nan),
        commission_pct=np.where(seller, 8.0, np.nan),
        trained_on=(people["started_on"] + pd.Timedelta(days=60)).where(rng.random(len(people)) < 0.4),
    )
