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
        known = rows[~gone_before].sort_values("start_date", kind="stable")
        known = known.rename_axis("life").reset_index()
        n = len(known)
        digits = max(4, len(str(n)))
        ids = [f"{self.prefix}{number:0{digits}d}" for number in range(1, n + 1)]
        # Haggled down for some: the seller who promises most also gives most away.
        generous = known["seller"] == 0
        haggled = generous & (known["day"] % 4 == 3)
        fee_pct = known["term"].map(FEES) - 1.5 * haggled
        served = np.where(known["kind"] > 0, known["ended"], self.agency.total)
        names = _names(rng, known["industry"])
        return known.assign(client_id=ids, name=names, fee_pct=fee_pct, served=served)

    @cached_property
    def signs(self) -> pd.DataFrame:
        """What was known of each client at signing, on the clients table and on the lead it was."""
        rng = self._rng(96)
        quality = self.rows["quality"].to_numpy()
        return signs_of(rng, quality)

    @cached_property
    def service(self) -> pd.DataFrame:
        """A row for each client and month of service: `row`, `t` from 0, `month` and the day it
        `opens`.
        """
        rows = self.rows
        months = np.arange(self.agency.total)
        served = rows["served"].to_numpy()
        row, t = np.nonzero(months < served[:, None])
        month = rows["month"].to_numpy()[row] + t
        day = rows["day"].to_numpy()[row]
        table = {"row": row, "t": t, "month": month, "opens": day_of(month, day)}
        return pd.DataFrame(table)

    @cached_property
    def cells(self) -> pd.DataFrame:
        """The months of service that the monthly tables have: from the begin of the records to the
        last day.
        """
        last = self.agency.total - 1
        recorded = self.service["month"].between(BURN_IN_MONTHS, last)
        return self.service[recorded].reset_index(drop=True)

    def state(self, name: str, months: pd.DataFrame | None = None) -> np.ndarray:
        """A state of the lives for each cell, or for other months of service."""
        months = self.cells if months is None else months
        lives = self.rows["life"].to_numpy()
        life = lives[months["row"]]
        states = self.lives.states[name]
        return states[life, months["t"]]

    def column(self, name: str) -> np.ndarray:
        """A column of the rows for each cell."""
        values = self.rows[name].to_numpy()
        row = self.cells["row"]
        return values[row]

    @cached_property
    def steps(self) -> np.ndarray:
        """Points of fee added to each client by years of service: at an anniversary a third pay
        half a point more.
        """
        years = self.agency.total // 12 + 1
        size = (len(self.rows), years)
        raised = self._rng(98).random(size) < 0.35
        points = np.cumsum(raised, axis=1) * 0.5
        return np.insert(points, 0, 0.0, axis=1)

    @cached_property
    def money(self) -> dict[str, np.ndarray]:
        """Ad spend and fee of each cell: the planned spend, up and down with the season and by
        chance.
        """
        t = self.cells["t"].to_numpy()
        month = self.cells["month"].to_numpy() % 12
        season = 1 + 0.12 * np.sin(2 * np.pi * (month - 8) / 12)
        noise = self._rng(97).normal(size=len(t))
        spend = self.column("planned") * season * np.exp(0.12 * noise)
        row = self.cells["row"]
        raised = self.steps[row, t // 12]
        per_cent = self.column("fee_pct") + raised
        new = 1 - self.column("discount") / 100 * (t < 3)
        fee = spend * per_cent / 100 * new
        return {"ad_spend": spend.round(2), "fee": fee.round(2)}

    @cached_property
    def bills(self) -> pd.DataFrame:
        """An invoice for each cell, by its number, on the first of the next month, due in 30
        days.
        """
        client = self.column("client_id")
        begin = np.char.add(client.astype(str), "-")
        month_of_service = self.cells["t"] + 1
        number = np.char.add(begin, month_of_service.astype(str))
        next_month = self.cells["month"].to_numpy() + 1
        issued = day_of(next_month, 1)
        table = {
            "invoice_id": number,
            "client_id": client,
            "issued_on": issued,
            "due_on": issued + 30 * DAY,
            "amount": self.money["fee"],
        }
        frame = pd.DataFrame(table)
        return frame[frame["issued_on"] <= self.agency.last_day]

    @cached_property
    def analysts(self) -> np.ndarray:
        """The id of each client's analyst: two to a seat."""
        seat = self.rows["seat"].to_numpy()
        second = self.rows["life"].to_numpy() % 2
        return ids_of("a", 2 * seat + second)

    def _within(self, rng: Rng, at: np.ndarray, days: int = 28) -> np.ndarray:
        """A day within the month of service of each cell `at`."""
        opens = self.cells["opens"].to_numpy()
        later = rng.integers(0, days, len(at))
        return opens[at] + later * DAY

    def _by_the_end(self, days: np.ndarray, at: np.ndarray) -> np.ndarray:
        """The days in cells `at`, blank where they lie after the client's end."""
        ends = self.column("end_date")
        too_late = days > ends[at]
        return np.where(too_late, NO_DAY, days)


def _dated(rng: Rng, people: pd.DataFrame) -> pd.DataFrame:
    """Months of service turned into dates: end on the last paid day, decision a notice ahead,
    recorded days later.
    """
    n = len(people)
    gone = (people["kind"] > 0).to_numpy()
    month = people["month"].to_numpy()
    day = people["day"].to_numpy()
    end_month = month + people["ended"].to_numpy()
    last_month = day_of(end_month, day)
    end = np.where(gone, last_month - DAY, NO_DAY)
    decision_month = month + people["decided"].to_numpy() - 1
    days = rng.integers(0, 28, n)
    decided = day_of(decision_month, day) + days * DAY
    decided = np.where(gone, np.minimum(decided, end), NO_DAY)
    unknown = rng.random(n) < 0.05
    initiator = people["kind"].map(KINDS)
    reason = []
    for who, there in zip(initiator, gone, strict=True):
        reason.append(rng.choice(FACTS["reasons"][who]) if there else None)
    reasons = pd.Series(reason, people.index)
    delay = rng.integers(0, 6, n)
    fifties = (8000 * np.exp(people["z"]) / 50).round()
    return people.assign(
        start_date=day_of(month, day),
        end_date=end,
        decision_date=decided,
        recorded_date=decided + delay * DAY,
        end_initiator=initiator.mask(unknown),
        end_reason=reasons.mask(unknown),
        planned=fifties.clip(lower=1).astype(int) * 50,
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
    facts = FACTS["signing"]
    for name, usual in facts["usual"].items():
        pull = -quality if name in facts["worse"] else quality
        exponent = -(usual + 0.8 * pull)
        chance = 1 / (1 + np.exp(exponent))
        good = rng.random(len(quality)) < chance
        signs[name] = np.where(good, "yes", "no")
    layers = np.exp(0.5 - 0.25 * quality)
    return pd.DataFrame({**signs, "approval_layers": rng.poisson(layers)})


def ids_of(letter: str, number: np.ndarray) -> np.ndarray:
    """Ids as text for numbers from 0, made once for each person."""
    highest = int(number.max(initial=-1)) + 1
    ids = np.array(numbered(letter, highest), dtype=object)
    return ids[number]


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
        name = f"{one} {word}"
        if two[k] or name in seen:
            name = f"{one} & {other} {word}"
        seen[name] += 1
        again = seen[name]
        names.append(name if again == 1 else f"{name} {again}")
    return names
