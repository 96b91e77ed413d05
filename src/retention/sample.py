"""A made-up agency whose truth is known: clients and their contracts, simulated month by month (METHODS 10).

The wish to leave arises with a monthly hazard; a client on a fixed term can act on it only at the next renewal, one
notice period ahead (lock-in). Records begin after a burn-in, so that clients lost earlier are unseen (left
truncation). Every name is invented. The same seed gives the same bytes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from retention.tables import dictionary, write_csv

BURN_IN_MONTHS = 36
FIRST_RECORDED = pd.Period("2021-01", "M")
TERMS = np.array([1, 6, 12])
FEES = {1: 10.0, 6: 8.0, 12: 6.0}  # percent of ad spend: study row A2
NOTICE_DAYS = 30
CLIENT, AGENCY, NEUTRAL = 1, 2, 3

INDUSTRIES = {
    "dental": "Dental Smiles Orthodontics",
    "law": "Law Legal Partners",
    "home services": "Plumbing Roofing Heating",
    "outdoor retail": "Outdoor Cycles Boats",
    "hospitality": "Inn Kitchen Hotels",
    "software": "Labs Systems Cloud",
    "fitness": "Fitness Yoga Climbing",
    "furniture": "Furniture Interiors Lighting",
}
PLACES = (
    "Harbor Kestrel Bluegate Willow Juniper Granite Meridian Foxglove Larkspur Cedar Summit Copper Northfield "
    "Marigold Riverbend Saltmarsh Thistle Ironwood Clover Beacon Quarry Heron Lantern Orchard Pinecrest Sparrow "
    "Tidewater Velvet Wren Amber Birch Cobalt Driftwood Ember Fernhill Gable Hawthorn Indigo Jasper Kingsley Linden "
    "Mallow Nettle Osprey"
).split()
SOURCES = {"referral": 0.30, "inbound": 0.35, "outbound": 0.20, "cold": 0.15}
# Each seller's share of signings, and what promising too much adds to the wish to leave in the first six months (A7).
SELLERS = {"s01": (0.35, 0.50), "s02": (0.20, 0.10), "s03": (0.20, 0.0), "s04": (0.15, -0.10), "s05": (0.10, -0.20)}
REASONS = {
    CLIENT: "price results rep expectations budget in-housed".split(),
    AGENCY: "unprofitable abuse non-payment fit".split(),
    NEUTRAL: "closed finished".split(),
}


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
    reps: int = 10
    rep_sd: float = 0.20
    rep_liking_sd: float = 0.45
    breach: float = 0.10
    notice_months: int = 1
    lock_in: bool = True


WORLDS = {"study": World()}


def simulate(
    world: World = WORLDS["study"], *, clients: int = 600, months: int = 60, seed: int = 1
) -> dict[str, pd.DataFrame]:
    """The tables `clients` (about `clients` rows) and `contracts` as an agency would hold them after `months` months.

    Records begin on 1 January 2021; what happened earlier to clients already lost, and what was recorded after the
    last day, is not in them.
    """
    rng = np.random.default_rng(seed)
    people = _signings(rng, rate=8 * clients / 600 * 60 / months, months=months, reps=world.reps)
    people = people.join(_service(rng, people, world, months))
    rows = _dated(rng, people, world)
    first, last = FIRST_RECORDED.start_time, _last_day(months)
    rows = rows[~(rows["end_date"] < first) & (rows["start_date"] <= last)]
    rows = _as_recorded(rows, last).reset_index(drop=True)
    rows["client_id"] = [f"c{number:04d}" for number in range(1, len(rows) + 1)]
    rows["name"] = _names(rng, rows["industry"])
    return {"clients": _client_columns(rows), "contracts": _contracts(rows, world, last)}


def write_sample(out: Path, tables: dict[str, pd.DataFrame], months: int = 60, seed: int = 1) -> None:
    """Write the tables as CSV with their `retention.toml` and data dictionary into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    for name, frame in tables.items():
        write_csv(frame, out / f"{name}.csv")
    (out / "retention.toml").write_text(_CONFIG.format(last=_last_day(months).date()), "utf-8")
    (out / "README.md").write_text(_README.format(seed=seed, dictionary=dictionary(tuple(tables))), "utf-8")


_CONFIG = """\
agency = "Lark & Field Agency"   # made up
currency = "USD"
cutoff = {last}
records_begin = 2021-01-01   # clients lost earlier are not in the records

[source]
folder = "."
"""

_README = """\
# A made-up agency

Written by `retention sample --seed {seed}`; every client, name and number in it is invented. Released under CC0: use it
as you like. How it was made: `src/retention/sample.py`.

A column marked * is required. "Known from" says when a value may be used: at signing, or from the date in the named
column of the same row.

{dictionary}"""


def _last_day(months: int) -> pd.Timestamp:
    return (FIRST_RECORDED + (months - 1)).end_time.normalize()


def _signings(rng: np.random.Generator, rate: float, months: int, reps: int) -> pd.DataFrame:
    """Who signs, when, with whom and for how long: Poisson arrivals, terms that follow spend (METHODS 10, 1 and 2)."""
    month = np.repeat(np.arange(BURN_IN_MONTHS + months), rng.poisson(rate, BURN_IN_MONTHS + months))
    n = len(month)
    z = rng.normal(size=n)
    utility = np.stack([np.full(n, 0.6), -0.1 + 0.5 * z, -0.1 + 0.9 * z]) + rng.gumbel(size=(3, n))
    first_of_month = rng.random(n) < 0.6
    return pd.DataFrame(
        {
            "month": month,
            "day": np.where(first_of_month, 1, rng.integers(2, 29, n)),
            "z": z,
            "term": TERMS[utility.argmax(axis=0)],
            "industry": rng.choice(list(INDUSTRIES), n),
            "source": rng.choice(list(SOURCES), n, p=list(SOURCES.values())),
            "seller": rng.choice(len(SELLERS), n, p=[share for share, _ in SELLERS.values()]),
            "rep": rng.integers(0, reps, n),
            "discount": np.where(rng.random(n) < 0.08, 10.0, 0.0),
            "remote": rng.random(n) < 0.4,
            "late_payer": rng.random(n) < 0.12,
        }
    )


def _service(rng: np.random.Generator, people: pd.DataFrame, world: World, months: int) -> pd.DataFrame:
    """Month of service in which each client's end was decided and took effect, and whose choice it was (0: none)."""
    n, total = len(people), BURN_IN_MONTHS + months
    term, z = people["term"].to_numpy(), people["z"].to_numpy()
    rep_liking, rep_pull = (sd * rng.normal(size=world.reps) for sd in (world.rep_liking_sd, world.rep_sd))
    promise = np.array([effect for _, effect in SELLERS.values()])[people["seller"]]
    constant = world.baseline + world.contract * ((term == 1) - 0.5) + world.spend * z + rep_pull[people["rep"]]
    breaks = rng.random(n) < world.breach
    state = _Latent(rng, n, world.rep_liking_sd)
    wish, decided, ended, kind = (np.zeros(n, dtype=int) for _ in range(4))
    for t in range(1, total + 1):
        liking, results = state.lagged(rep_liking[people["rep"]])
        eta = constant + world.early * (t <= 6) + world.late * (t > 18) + promise * (t <= 6)
        eta = eta + world.liking * liking + world.results * results
        here = (kind == 0) & (people["month"] + t <= total).to_numpy()
        wish[here & (wish == 0) & (rng.random(n) < -np.expm1(-np.exp(eta)))] = t
        for reason, hazard, notice in _other_ends(rng, people, world):
            struck = here & (kind == 0) & (rng.random(n) < hazard)
            kind[struck], decided[struck], ended[struck] = reason, t, t + notice
        free = _free_to_leave(t, term, breaks & (wish == t), world)
        leaves = here & (kind == 0) & (wish > 0) & free
        kind[leaves], decided[leaves], ended[leaves] = CLIENT, t, t + world.notice_months
        state.step()
    return pd.DataFrame({"decided": decided, "ended": ended, "kind": kind}, people.index)


def _free_to_leave(t: int, term: Any, breaks: Any, world: World) -> Any:
    """Whether notice can be given in month t: monthly clients always, fixed terms one notice before a renewal."""
    at_renewal = (t + world.notice_months) % term == 0
    return (term == 1) | at_renewal | breaks | (not world.lock_in)


def _other_ends(rng: np.random.Generator, people: pd.DataFrame, world: World) -> list[tuple[int, Any, int]]:
    """Monthly hazard and notice of ends by the agency (unprofitable, late payers) and for neutral reasons."""
    fee = 8000 * np.exp(people["z"]) * people["term"].map(FEES) / 100
    hours = rng.lognormal(np.log(4 + fee / 150), 0.35)
    unprofitable = fee - 60 * hours < 0
    agency = 0.006 * np.exp(0.8 * unprofitable + 0.8 * people["late_payer"])
    return [(NEUTRAL, 0.003, 0), (AGENCY, agency.to_numpy(), world.notice_months)]


class _Latent:
    """Liking and results of each client, month by month: AR(1), unit variance, read two months late (METHODS 10, 3)."""

    def __init__(self, rng: np.random.Generator, n: int, rep_sd: float) -> None:
        self.rng, self.n, self.own = rng, n, math.sqrt(1 - rep_sd**2)
        self.history = [self._shock()]
        self.step()
        self.step()

    def _shock(self) -> Any:
        liking, other = self.rng.normal(size=(2, self.n))
        return np.stack([liking, 0.30 * liking + math.sqrt(1 - 0.30**2) * other])

    def step(self) -> None:
        """One month on."""
        self.history = [*self.history, 0.85 * self.history[-1] + math.sqrt(1 - 0.85**2) * self._shock()][-3:]

    def lagged(self, rep_trait: Any) -> tuple[Any, Any]:
        """Liking (with its rep's trait) and results as they were two months ago; each of shape (n,)."""
        liking, results = self.history[0]
        return self.own * liking + rep_trait, results


def _dated(rng: np.random.Generator, people: pd.DataFrame, world: World) -> pd.DataFrame:
    """Months of service turned into dates: end on the last paid day, decision a notice ahead, recorded days later."""
    n, gone = len(people), people["kind"] > 0
    start = _day_of(people["month"] - BURN_IN_MONTHS, people["day"])
    end = (_day_of(people["month"] - BURN_IN_MONTHS + people["ended"], people["day"]) - pd.Timedelta(days=1)).where(
        gone
    )
    opens = _day_of(people["month"] - BURN_IN_MONTHS + people["decided"] - 1, people["day"])
    decision = opens + pd.to_timedelta(rng.integers(0, 28, n), unit="D")
    decision = decision.where(gone).clip(upper=end)
    recorded = decision + pd.to_timedelta(rng.integers(0, 6, n), unit="D")
    unknown = rng.random(n) < 0.05
    reason = [rng.choice(REASONS[kind]) if kind else None for kind in people["kind"]]
    initiator = people["kind"].map({CLIENT: "client", AGENCY: "agency", NEUTRAL: "neutral"}).mask(unknown)
    return people.assign(
        start_date=start,
        end_date=end,
        decision_date=decision,
        recorded_date=recorded,
        end_initiator=initiator,
        end_reason=pd.Series(reason, people.index).mask(unknown),
    )


def _day_of(month: pd.Series, day: pd.Series) -> pd.Series:
    first = pd.Series(pd.PeriodIndex(FIRST_RECORDED + month.to_numpy()).to_timestamp(), month.index)
    return first + pd.to_timedelta(day - 1, unit="D")


def _as_recorded(rows: pd.DataFrame, last: pd.Timestamp) -> pd.DataFrame:
    """Ends not yet recorded on the last day are blank, as they would be in the agency's own books."""
    columns = ["end_date", "decision_date", "recorded_date", "end_initiator", "end_reason"]
    rows = rows.copy()
    rows[columns] = rows[columns].mask(rows["recorded_date"] > last)
    return rows.sort_values(["start_date"], kind="stable")


def _names(rng: np.random.Generator, industries: pd.Series) -> list[str]:
    """A made-up name for each client, none twice: "Harbor & Wren Dental", "Kestrel Cycles"."""
    seen: dict[str, int] = {}
    names = []
    for industry in industries:
        first, second = rng.choice(PLACES, 2, replace=False)
        owner = f"{first} & {second}" if rng.random() < 0.3 else first
        name = f"{owner} {rng.choice(INDUSTRIES[industry].split())}"
        seen[name] = seen.get(name, 0) + 1
        names.append(name if seen[name] == 1 else f"{name} {seen[name]}")
    return names


def _client_columns(rows: pd.DataFrame) -> pd.DataFrame:
    sellers = list(SELLERS)
    return pd.DataFrame(
        {
            "client_id": rows["client_id"],
            "name": rows["name"],
            "industry": rows["industry"],
            "source": rows["source"],
            "seller_id": rows["seller"].map(lambda k: sellers[k]),
            "rep_id": rows["rep"].map(lambda k: f"r{k + 1:02d}"),
            "start_date": rows["start_date"],
            "contract_term_months": rows["term"],
            "monthly_ad_spend": (8000 * np.exp(rows["z"]) / 50).round().clip(lower=1).astype(int) * 50,
            "fee_pct": rows["term"].map(FEES) + _haggled(rows),
            "discount_pct": rows["discount"],
            "remote": rows["remote"].map({True: "yes", False: "no"}),
            "decision_date": rows["decision_date"],
            "end_date": rows["end_date"],
            "recorded_date": rows["recorded_date"],
            "end_initiator": rows["end_initiator"],
            "end_reason": rows["end_reason"],
        }
    )


def _haggled(rows: pd.DataFrame) -> pd.Series:
    """Fees off the table for some: the seller who promises most also gives most away."""
    return pd.Series(np.where((rows["seller"] == 0) & (rows["day"] % 4 == 3), -1.5, 0.0), rows.index)


def _contracts(rows: pd.DataFrame, world: World, last: pd.Timestamp) -> pd.DataFrame:
    """One row a term: monthly clients have one open-ended term, fixed terms a new row at every renewal."""
    served = np.where(rows["end_date"].notna(), rows["ended"], BURN_IN_MONTHS * 10)
    cycles = np.where(rows["term"] == 1, 1, np.ceil(served / rows["term"])).astype(int)
    terms = rows.loc[rows.index.repeat(cycles)].copy()
    number = terms.groupby(level=0).cumcount()
    terms["term_start"] = _day_of(terms["month"] - BURN_IN_MONTHS + number * terms["term"], terms["day"])
    notice = pd.Timedelta(days=NOTICE_DAYS)
    terms["signed_on"] = terms["start_date"].where(number == 0, terms["term_start"] - notice)
    terms = terms[terms["signed_on"] <= last]
    return pd.DataFrame(
        {
            "client_id": terms["client_id"],
            "signed_on": terms["signed_on"],
            "term_start": terms["term_start"],
            "term_months": terms["term"],
            "fee_pct": terms["term"].map(FEES) + _haggled(terms),
            "notice_days": NOTICE_DAYS,
            "auto_renew": "yes",
        }
    ).reset_index(drop=True)
