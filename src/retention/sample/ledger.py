"""What the books of a batch of clients rest on: clients, months of service, money, people."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from retention.sample.life import Lives, Rng
from retention.sample.world import (
    BURN_IN_MONTHS,
    FACTS,
    FEES,
    FIRST_RECORDED,
    KINDS,
    Agency,
    numbered,
)

DAY = np.timedelta64(1, "D")
NO_DAY = np.datetime64("NaT", "D")


@dataclass(frozen=True)
class Ledger:
    """One batch of lives with what all its books share; `prefix` begins the ids of its clients."""

    agency: Agency
    lives: Lives
    seed: tuple[int, ...]
    prefix: str = "c"

    def _rng(self, *purpose: int) -> Rng:
        return np.random.default_rng([*self.seed, *purpose])

    @cached_property
    def rows(self) -> pd.DataFrame:
        """A row for each client the records know, in the order of signing, with dates and names."""
        rng = self._rng(99)
        rows = _dated(rng, self.lives.people)
        gone_before = rows["end_date"] < FIRST_RECORDED.start_time
        known = rows[~gone_before]
        known = known.sort_values("start_date", kind="stable").rename_axis("life").reset_index()
        digits = max(4, len(str(len(known))))
        ids = [f"{self.prefix}{number:0{digits}d}" for number in range(1, len(known) + 1)]
        # Haggled down for some: the seller who promises most also gives most away.
        fee_pct = known["term"].map(FEES) - 1.5 * ((known["seller"] == 0) & (known["day"] % 4 == 3))
        served = np.where(known["kind"] > 0, known["ended"], self.agency.total)
        return known.assign(
            client_id=ids, name=_names(rng, known["industry"]), fee_pct=fee_pct, served=served
        )

    @cached_property
    def signs(self) -> pd.DataFrame:
        """What was known of each client at signing, on the clients table and on the lead it was."""
        return signs_of(self._rng(96), self.rows["quality"].to_numpy())

    @cached_property
    def service(self) -> pd.DataFrame:
        """A row for each client and month of service: `row`, `t` from 0, `month` and the day it
        `opens`.
        """
        rows = self.rows
        row, t = np.nonzero(np.arange(self.agency.total) < rows["served"].to_numpy()[:, None])
        month = rows["month"].to_numpy()[row] + t
        return pd.DataFrame(
            {
                "row": row,
                "t": t,
                "month": month,
                "opens": day_of(month, rows["day"].to_numpy()[row]),
            }
        )

    @cached_property
    def cells(self) -> pd.DataFrame:
        """The months of service that the monthly tables have: from the begin of the records to the
        last day.
        """
        recorded = self.service["month"].between(BURN_IN_MONTHS, self.agency.total - 1)
        return self.service[recorded].reset_index(drop=True)

    def state(self, name: str, months: pd.DataFrame | None = None) -> np.ndarray:
        """A state of the lives for each cell, or for other months of service."""
        months = self.cells if months is None else months
        return self.lives.states[name][self.rows["life"].to_numpy()[months["row"]], months["t"]]

    def column(self, name: str) -> np.ndarray:
        """A column of the rows for each cell."""
        return self.rows[name].to_numpy()[self.cells["row"]]

    @cached_property
    def steps(self) -> np.ndarray:
        """Points of fee added to each client by years of service: at an anniversary a third pay
        half a point more.
        """
        raised = self._rng(98).random((len(self.rows), self.agency.total // 12 + 1)) < 0.35
        return np.insert(np.cumsum(raised, axis=1) * 0.5, 0, 0.0, axis=1)

    @cached_property
    def money(self) -> dict[str, np.ndarray]:
        """Ad spend and fee of each cell: the planned spend, up and down with the season and by
        chance.
        """
        t = self.cells["t"].to_numpy()
        season = 1 + 0.12 * np.sin(2 * np.pi * (self.cells["month"].to_numpy() % 12 - 8) / 12)
        spend = self.column("planned") * season * np.exp(0.12 * self._rng(97).normal(size=len(t)))
        raised = self.steps[self.cells["row"], t // 12]
        new = 1 - self.column("discount") / 100 * (t < 3)
        fee = spend * (self.column("fee_pct") + raised) / 100 * new
        return {"ad_spend": spend.round(2), "fee": fee.round(2)}

    @cached_property
    def bills(self) -> pd.DataFrame:
        """An invoice for each cell, by its number, on the first of the next month, due in 30
        days.
        """
        number = np.char.add(
            np.char.add(self.column("client_id").astype(str), "-"),
            (self.cells["t"] + 1).astype(str),
        )
        issued = day_of(self.cells["month"].to_numpy() + 1, 1)
        table = {"invoice_id": number, "client_id": self.column("client_id"), "issued_on": issued}
        more = {"due_on": issued + 30 * DAY, "amount": self.money["fee"]}
        frame = pd.DataFrame(table | more)
        return frame[frame["issued_on"] <= self.agency.last_day]

    @cached_property
    def analysts(self) -> np.ndarray:
        """The id of each client's analyst: two to a seat."""
        return ids_of("a", 2 * self.rows["seat"].to_numpy() + self.rows["life"].to_numpy() % 2)

    def _within(self, rng: Rng, at: np.ndarray, days: int = 28) -> np.ndarray:
        """A day within the month of service of each cell `at`."""
        return self.cells["opens"].to_numpy()[at] + rng.integers(0, days, len(at)) * DAY

    def _by_the_end(self, days: np.ndarray, at: np.ndarray) -> np.ndarray:
        """The days in cells `at`, blank where they lie after the client's end."""
        too_late = days > self.column("end_date")[at]
        return np.where(too_late, NO_DAY, days)


def _dated(rng: Rng, people: pd.DataFrame) -> pd.DataFrame:
    """Months of service turned into dates: end on the last paid day, decision a notice ahead,
    recorded days later.
    """
    n = len(people)
    gone = (people["kind"] > 0).to_numpy()
    month = people["month"].to_numpy()
    day = people["day"].to_numpy()
    last_month = day_of(month + people["ended"].to_numpy(), day)
    end = np.where(gone, last_month - DAY, NO_DAY)
    decided = day_of(month + people["decided"].to_numpy() - 1, day) + rng.integers(0, 28, n) * DAY
    earlier = np.minimum(decided, end)
    decided = np.where(gone, earlier, NO_DAY)
    unknown = rng.random(n) < 0.05
    initiator = people["kind"].map(KINDS)
    reason = [
        rng.choice(FACTS["reasons"][who]) if there else None
        for who, there in zip(initiator, gone, strict=True)
    ]
    return people.assign(
        start_date=day_of(month, day),
        end_date=end,
        decision_date=decided,
        recorded_date=decided + rng.integers(0, 6, n) * DAY,
        end_initiator=initiator.mask(unknown),
        end_reason=pd.Series(reason, people.index).mask(unknown),
        planned=(8000 * np.exp(people["z"]) / 50).round().clip(lower=1).astype(int) * 50,
        trade=0.4 * rng.normal(size=n),
    )


def day_of(month: np.ndarray, day: np.ndarray | int) -> np.ndarray:
    """The dates of these days in months counted from the start of the burn-in."""
    first = np.datetime64((FIRST_RECORDED - BURN_IN_MONTHS).start_time, "M")
    days_on = (np.asarray(day) - 1) * DAY
    days: np.ndarray = (first + month).astype("datetime64[D]") + days_on
    return days


def signs_of(rng: Rng, quality: np.ndarray) -> pd.DataFrame:
    """What is known at signing of how well prepared a client came; better clients have more of the
    good signs.
    """
    signs = {}
    for name, usual in FACTS["signing"]["usual"].items():
        pull = -quality if name in FACTS["signing"]["worse"] else quality
        exponent = -(usual + 0.8 * pull)
        chance = 1 / (1 + np.exp(exponent))
        signs[name] = np.where(rng.random(len(quality)) < chance, "yes", "no")
    return pd.DataFrame({**signs, "approval_layers": rng.poisson(np.exp(0.5 - 0.25 * quality))})


def ids_of(letter: str, number: np.ndarray) -> np.ndarray:
    """Ids as text for numbers from 0, made once for each person."""
    highest = int(number.max(initial=-1)) + 1
    return np.array(numbered(letter, highest), dtype=object)[number]


def _names(rng: Rng, industries: pd.Series) -> list[str]:
    """A made-up name for each client, none twice: "Harbor & Wren Dental", "Kestrel Cycles"."""
    seen: Counter[str] = Counter()
    names = []
    places = FACTS["places"]
    n = len(industries)
    first = rng.integers(0, len(places), n)
    step = rng.integers(1, len(places), n)
    two = rng.random(n) < 0.3
    trade = rng.integers(0, 3, n)
    for k, industry in enumerate(industries):
        one = places[first[k]]
        next_place = first[k] + step[k]
        other = places[next_place % len(places)]
        words = FACTS["industries"][industry]
        word = words[trade[k]]
        name = f"{one} & {other} {word}" if two[k] or f"{one} {word}" in seen else f"{one} {word}"
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name} {seen[name]}")
    return names
