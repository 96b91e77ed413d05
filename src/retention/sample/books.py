"""What the agency writes down of its clients' lives: every input table, as it would be known on the last day.

Monthly tables have a row for each month of service after the records begin, and are recorded a few days into the next
month; nothing recorded after the last day is in them, and nothing is dated after an end except what an end leaves
behind (invoices and payments). Chances and sizes are given in docs/sample-agency.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from retention.sample.life import Lives
from retention.sample.world import (
    AGENCY,
    BURN_IN_MONTHS,
    CLIENT,
    CLOSE_RATES,
    COMPLAINTS,
    FEES,
    FIRST_RECORDED,
    FLAGS,
    INDUSTRIES,
    NEUTRAL,
    NOTICE_DAYS,
    PLACES,
    REASONS,
    SELLERS,
    SIGNING_FLAGS,
    WORSE_WHEN_TRUE,
    Agency,
)  # fmt: skip

DAY = np.timedelta64(1, "D")
NO_DAY = np.datetime64("NaT", "D")
LONGEST_MONTH = 60.0  # hours that a team books on one client at most
QUIET_MONTHS = (8, 12)  # nobody sends the survey in August and December
INITIATOR = {CLIENT: "client", AGENCY: "agency", NEUTRAL: "neutral"}
Rng = np.random.Generator


@dataclass(frozen=True)
class Books:
    """One batch of lives as its books are kept; `prefix` begins the ids of its clients."""

    agency: Agency
    lives: Lives
    seed: tuple[int, ...]
    prefix: str = "c"

    def table(self, name: str) -> pd.DataFrame:
        """The named input table. The same seed gives the same rows, whichever tables are made."""
        make: Callable[[Rng], pd.DataFrame] = getattr(self, f"_{name}")
        return make(np.random.default_rng([*self.seed, *name.encode()])).reset_index(drop=True)

    @cached_property
    def last(self) -> np.datetime64:
        """The last day the books know of."""
        return np.datetime64(self.agency.last_day, "D")

    @cached_property
    def rows(self) -> pd.DataFrame:
        """A row for each client the records know, in the order of signing, with dates and names."""
        rng = np.random.default_rng([*self.seed, 99])
        rows = _dated(rng, self.lives.people)
        first = np.datetime64(FIRST_RECORDED.start_time, "D")
        known = rows[~(rows["end_date"] < first) & (rows["start_date"] <= self.last)]
        known = known.sort_values("start_date", kind="stable").rename_axis("life").reset_index()
        digits = max(4, len(str(len(known))))
        ids = [f"{self.prefix}{number:0{digits}d}" for number in range(1, len(known) + 1)]
        return known.assign(client_id=ids, name=_names(rng, known["industry"]), fee_pct=_agreed(known))

    @cached_property
    def signs(self) -> pd.DataFrame:
        """What was known of each client at signing, on the clients table and on the lead it was."""
        return pd.DataFrame(_signing_columns(np.random.default_rng([*self.seed, 96]), self.rows["quality"].to_numpy()))

    @cached_property
    def cells(self) -> pd.DataFrame:
        """A row for each client and month of service since the records begin: `row`, `t` from 0, its first day."""
        rows = self.rows
        served = np.where(rows["kind"] > 0, rows["ended"], self.agency.total)
        t = np.arange(self.agency.total)
        month = rows["month"].to_numpy()[:, None] + t
        row, t = np.nonzero((t < served[:, None]) & (month >= BURN_IN_MONTHS) & (month < self.agency.total))
        opens = _day_of(month[row, t], rows["day"].to_numpy()[row])
        cells = pd.DataFrame({"row": row, "t": t, "month": month[row, t], "opens": opens})
        return cells[cells["opens"].to_numpy() <= self.last].reset_index(drop=True)

    def state(self, name: str) -> np.ndarray:
        """A state of the lives for each cell."""
        life = self.rows["life"].to_numpy()[self.cells["row"]]
        values: np.ndarray = getattr(self.lives, name)[life, self.cells["t"].to_numpy()]
        return values

    def column(self, name: str) -> np.ndarray:
        """A column of the rows for each cell."""
        return self.rows[name].to_numpy()[self.cells["row"]]

    @cached_property
    def steps(self) -> np.ndarray:
        """Points of fee added to each client by years of service: at an anniversary a third pay half a point more."""
        rng = np.random.default_rng([*self.seed, 98])
        years = self.agency.total // 12 + 1
        return np.insert(np.cumsum(rng.random((len(self.rows), years)) < 0.35, axis=1) * 0.5, 0, 0.0, axis=1)

    @cached_property
    def money(self) -> pd.DataFrame:
        """Ad spend and fee of each cell: the planned spend, up and down with the season and by chance."""
        rng = np.random.default_rng([*self.seed, 97])
        season = 1 + 0.12 * np.sin(2 * np.pi * (self.cells["month"] % 12 - 8) / 12)
        spend = self.column("planned") * season * np.exp(0.12 * rng.normal(size=len(self.cells)))
        raised = self.steps[self.cells["row"], self.cells["t"] // 12]
        new = 1 - self.column("discount") / 100 * (self.cells["t"] < 3)
        fee = spend * (self.column("fee_pct") + raised) / 100 * new
        return pd.DataFrame({"ad_spend": spend.round(2), "fee": fee.round(2)})

    def _clients(self, rng: Rng) -> pd.DataFrame:
        rows, sellers = self.rows, list(SELLERS)
        rep = self.lives.rep[rows["life"], 0]
        late = rows["recorded_date"] > self.last
        ends = ["decision_date", "end_date", "recorded_date", "end_initiator", "end_reason"]
        promised = 40 * np.exp(rows["trade"] - 0.25 * rows["promise"])
        table = {
            **{name: rows[name] for name in ("client_id", "name", "industry", "source")},
            "seller_id": [sellers[k] for k in rows["seller"]],
            "rep_id": [f"r{k + 1:02d}" for k in rep],
            "start_date": rows["start_date"],
            "contract_term_months": rows["term"],
            "monthly_ad_spend": rows["planned"],
            "fee_pct": rows["fee_pct"],
            "discount_pct": rows["discount"],
            "acquisition_cost": (rng.lognormal(np.log(900), 0.5, len(rows)) * _cost_of(rows["source"])).round(),
            "remote": _yes(rows["remote"]),
            "promised_result": promised.round(2),
            **{name: rows[name].mask(late) for name in ends},
            **self.signs,
        }
        return pd.DataFrame(table)

    def _contracts(self, rng: Rng) -> pd.DataFrame:
        """One row a term, a new one at every renewal; of monthly clients the first, and one where the fee is raised."""
        rows = self.rows
        served = np.where(rows["kind"] > 0, rows["ended"], self.agency.total)
        step = rows["term"].replace(1, 12).to_numpy()
        row = rows.index.repeat(np.ceil(served / step).astype(int)).to_numpy()
        number = pd.Series(row).groupby(row).cumcount().to_numpy()
        terms, t = rows.loc[row], number * step[row]
        year = np.minimum(t // 12, self.steps.shape[1] - 1)
        raised = self.steps[row, year]
        changed = (number == 0) | (terms["term"].to_numpy() > 1) | (raised > self.steps[row, np.maximum(year - 1, 0)])
        start = _day_of(terms["month"].to_numpy() + t, terms["day"].to_numpy())
        notice = NOTICE_DAYS * self.agency.world.notice_months
        first = terms["start_date"].to_numpy().astype("datetime64[D]")
        signed = np.where(number == 0, first, start - max(notice, 1) * DAY)
        table = {
            "client_id": terms["client_id"],
            "signed_on": signed,
            "term_start": start,
            "term_months": terms["term"],
        }
        table |= {"fee_pct": terms["fee_pct"] + raised, "notice_days": notice, "auto_renew": "yes"}
        return pd.DataFrame(table)[changed & (signed <= self.last)]

    def _account_months(self, rng: Rng) -> pd.DataFrame:
        return self._monthly(rng, self.money)

    def _results(self, rng: Rng) -> pd.DataFrame:
        """Cost per lead against its target (lower is better), and the leads that the spend brought."""
        target = 40 * np.exp(self.column("trade"))
        cpa = target * np.exp(-0.25 * self.state("results") + 0.05 * rng.normal(size=len(target)))
        leads = np.floor(self.money["ad_spend"].to_numpy() / cpa)
        both = pd.concat(
            [
                self._monthly(rng, pd.DataFrame({"metric": "cpa", "value": cpa.round(2), "target": target.round(2)})),
                self._monthly(rng, pd.DataFrame({"metric": "leads", "value": leads, "target": np.nan})),
            ]
        )
        return both.sort_index(kind="stable")

    def _hours(self, rng: Rng) -> pd.DataFrame:
        hours, share = np.minimum(self.state("hours"), LONGEST_MONTH), rng.uniform(0.3, 0.5, len(self.cells))
        who = {"rep": _id("r", self.state("rep")), "analyst": _id("a", self._analysts()[self.cells["row"]])}
        parts = [
            self._monthly(rng, pd.DataFrame({"staff_id": ids, "hours": (hours * part).round(2)}))
            for ids, part in zip(who.values(), (share, 1 - share), strict=True)
        ]
        return pd.concat(parts).sort_index(kind="stable")

    def _analysts(self) -> np.ndarray:
        """The number of each client's analyst: two to a seat."""
        analysts: np.ndarray = 2 * self.rows["seat"].to_numpy() + self.rows["life"].to_numpy() % 2
        return analysts

    def _monthly(self, rng: Rng, values: pd.DataFrame) -> pd.DataFrame:
        """The values of each cell under client and calendar month, recorded three to nine days into the next month."""
        month = self.cells["month"].to_numpy()
        recorded = _day_of(month + 1, 1) + rng.integers(2, 9, len(month)) * DAY
        keys = {"client_id": self.column("client_id"), "month": np.datetime_as_string(_day_of(month, 1), unit="M")}
        frame = pd.concat([pd.DataFrame(keys), values.reset_index(drop=True)], axis=1).assign(recorded_at=recorded)
        return frame[recorded <= self.last]

    def _within(self, rng: Rng, at: np.ndarray, days: int = 28) -> np.ndarray:
        """A day within the month of service of each cell `at`."""
        return self.cells["opens"].to_numpy().astype("datetime64[D]")[at] + rng.integers(0, days, len(at)) * DAY

    def _known(self, frame: pd.DataFrame, day: str) -> pd.DataFrame:
        return frame[frame[day].to_numpy() <= self.last]

    def _later(self, days: np.ndarray, at: np.ndarray) -> np.ndarray:
        """The days, blank where they lie after the client's end or after the last day."""
        end = self.rows["end_date"].to_numpy().astype("datetime64[D]")[self.cells["row"].to_numpy()[at]]
        return np.where((days > self.last) | (days > end), NO_DAY, days)

    def _surveys(self, rng: Rng) -> pd.DataFrame:
        """A pulse each month: a tenth is never sent, none in quiet months; who likes the rep answers more."""
        n, reported = len(self.cells), self.state("reported")
        sent = rng.random(n) < 0.9
        answers = rng.random(n) < 1 / (1 + np.exp(-(1.1 + self.agency.world.answer * reported)))
        noise = rng.normal(size=(2, n))
        liking = np.clip(np.round(7.2 + 1.6 * reported + 0.7 * noise[0]), 0, 10)
        nps = np.clip(np.round(7.0 + 1.2 * reported + 0.8 * self.state("results") + noise[1]), 0, 10)
        about_rep = rng.random(n) < 1 / (1 + np.exp(reported - self.state("results")))
        words = np.where(about_rep, rng.choice(COMPLAINTS["rep"], n), rng.choice(COMPLAINTS["results"], n))
        at = np.flatnonzero(sent)
        invited = self._within(rng, at, 21)
        asked = ~pd.DatetimeIndex(invited).month.isin(QUIET_MONTHS)
        at, invited = at[asked], invited[asked]
        answered = np.where(answers[at], self._later(invited + rng.integers(0, 8, len(at)) * DAY, at), NO_DAY)
        blank = np.isnat(answered)
        role = np.where(rng.random(n) < 0.4, "buyer", "daily contact")
        table = {
            "client_id": self.column("client_id")[at], "invited_on": invited, "answered_on": answered,
            "nps": pd.array(nps[at], dtype="Int64"), "rep_liking": pd.array(liking[at], dtype="Int64"),
            "respondent_role": role[at], "rep_id": _id("r", self.state("rep"))[at],
            "reason": pd.Series(words[at]).mask(nps[at] > 6, None),
        }  # fmt: skip
        frame, told = pd.DataFrame(table), ["nps", "rep_liking", "respondent_role", "reason"]
        frame[told] = frame[told].apply(lambda values: values.mask(blank))
        return self._known(frame, "invited_on")

    def _staff(self, rng: Rng) -> pd.DataFrame:
        staff = self.agency.staff.copy()
        staff["ended_on"] = staff["ended_on"].mask(staff["ended_on"] > self.agency.last_day)
        left = staff["ended_on"].fillna(self.agency.last_day)
        staff["trained_on"] = staff["trained_on"].mask(staff["trained_on"] > left)
        return staff[staff["started_on"] <= self.agency.last_day]

    def _assignments(self, rng: Rng) -> pd.DataFrame:
        """Seller, analyst and rep of each client; a new row where the rep changes. Open ends are blank."""
        rows, n = self.rows, len(self.rows)
        start, end = (rows[name].to_numpy().astype("datetime64[D]") for name in ("start_date", "end_date"))
        served = np.where(rows["kind"] > 0, rows["ended"], self.agency.total)
        months = np.minimum(served, self.agency.total - rows["month"].to_numpy())
        row, t = np.nonzero(np.arange(self.agency.total) < months[:, None])
        rep = self.lives.rep[rows["life"].to_numpy()[row], t]
        changes = np.append(True, (rep[1:] != rep[:-1]) | (row[1:] != row[:-1]))
        row, t, rep = row[changes], t[changes], rep[changes]
        since = _day_of(rows["month"].to_numpy()[row] + t, rows["day"].to_numpy()[row])
        until = np.where(np.append(row[1:] == row[:-1], False), np.append(since[1:], NO_DAY) - DAY, end[row])
        sellers = np.array(list(SELLERS))[rows["seller"]]
        parts = [
            (row, _id("r", rep), "rep", since, until),
            (np.arange(n), sellers, "seller", start, start + 30 * DAY),
            (np.arange(n), _id("a", self._analysts()), "analyst", start, end),
        ]
        names = ("row", "staff_id", "role", "from_date", "to_date")
        frame = pd.concat([pd.DataFrame(dict(zip(names, part, strict=True))) for part in parts], ignore_index=True)
        to = np.fmin(frame["to_date"].to_numpy().astype("datetime64[D]"), end[frame["row"]])
        frame["to_date"] = np.where(to > self.last, NO_DAY, to)
        frame.insert(0, "client_id", rows["client_id"].to_numpy()[frame["row"]])
        frame["recorded_at"] = frame["from_date"]
        frame = frame.sort_values(["row", "from_date"], kind="stable").drop(columns="row")
        return self._known(frame, "from_date")

    def _requests(self, rng: Rng) -> pd.DataFrame:
        """What clients ask for: the difficult ask for more outside the scope, and free work raises later requests."""
        cells, n = self.cells, len(self.cells)
        difficult = self.column("difficult")
        outside = rng.random(n) < np.where(difficult, 0.5, 0.25)
        free = outside & (rng.random(n) < 0.5)
        row = cells["row"].to_numpy()
        before = np.append(False, free[:-1] & (row[1:] == row[:-1]))
        count = rng.poisson((0.9 + 0.5 * difficult) * np.where(before, 1.4, 1.0))
        count = np.maximum(count, outside)
        at = np.repeat(np.arange(n), count)
        first = np.append(True, at[1:] != at[:-1]) if len(at) else np.zeros(0, dtype=bool)
        beyond = outside[at] & first
        slow = self.agency.rep_slow[self.state("rep")][at]
        asked = self._within(rng, at)
        days = np.floor(rng.exponential(1.5 * np.exp(0.35 * slow))).astype(int)
        billed, hours = beyond & ~free[at], rng.lognormal(0.5, 0.6, len(at)).round(1)
        table = {
            "client_id": self.column("client_id")[at], "requested_on": asked,
            "answered_on": self._later(asked + days * DAY, at), "in_scope": _yes(~beyond), "billed": _yes(billed),
            "revision": _yes(rng.random(len(at)) < np.where(difficult[at], 0.35, 0.15)),
            "amount": np.where(billed, (hours * 110).round(2), 0.0), "hours": hours,
        }  # fmt: skip
        return self._known(
            pd.DataFrame(table).iloc[np.lexsort((asked, self.cells["row"].to_numpy()[at]))], "requested_on"
        )

    @cached_property
    def _issued(self) -> pd.DataFrame:
        """An invoice for each cell, on the first of the next month, due in 30 days; `at` is its cell."""
        number = np.char.add(np.char.add(self.column("client_id").astype(str), "-"), (self.cells["t"] + 1).astype(str))
        issued = _day_of(self.cells["month"].to_numpy() + 1, 1)
        table = {"invoice_id": number, "client_id": self.column("client_id"), "issued_on": issued}
        table |= {"due_on": issued + 30 * DAY, "amount": self.money["fee"].to_numpy(), "at": np.arange(len(issued))}
        return self._known(pd.DataFrame(table), "issued_on")

    def _invoices(self, rng: Rng) -> pd.DataFrame:
        return self._issued.drop(columns="at")

    def _payments(self, rng: Rng) -> pd.DataFrame:
        """Paid after four weeks or so; late payers after two months, part by part; debtors leave the last unpaid."""
        bills, at = self._issued, self._issued["at"].to_numpy()
        n, late = len(bills), self.column("late_payer")[at]
        wait = rng.gamma(4, 6.5, n) + late * rng.gamma(2, 18, n) + 10 * self.state("wished")[at]
        owes = (
            late
            & (self.column("kind")[at] == AGENCY)
            & (self.column("ended")[at] - self.cells["t"].to_numpy()[at] <= 3)
        )
        parts = np.where(rng.random(n) < np.where(late, 0.25, 0.03), 2, 1) * ~owes
        share = np.where(parts == 2, rng.uniform(0.3, 0.7, n), 1.0)
        amount = bills["amount"].to_numpy()
        first = (amount * share).round(2)
        paid = bills["issued_on"].to_numpy().astype("datetime64[D]") + wait.astype(int) * DAY
        once = pd.DataFrame({"invoice_id": bills["invoice_id"], "paid_on": paid, "amount": first})[parts > 0]
        rest = pd.DataFrame(
            {"invoice_id": bills["invoice_id"], "paid_on": paid + 25 * DAY, "amount": (amount - first).round(2)}
        )[(parts == 2)]
        both = pd.concat([once, rest]).sort_index(kind="stable")
        return self._known(both[both["amount"] > 0], "paid_on")

    def _meetings(self, rng: Rng) -> pd.DataFrame:
        """Calls (more of them where there is trouble), a monthly report, visits, events, and a kick-off."""
        n, t = len(self.cells), self.cells["t"].to_numpy()
        trouble = self.state("reported") < -1
        counts = {
            "kickoff": (t == 0).astype(int),
            "call": rng.poisson(1.5 + 1.5 * trouble),
            "report": (rng.random(n) < 0.93).astype(int),
            "visit": self.state("visit").astype(int),
            "event": (rng.random(n) < 0.03).astype(int),
        }
        kind = np.repeat(list(counts), [c.sum() for c in counts.values()])
        at = np.concatenate([np.repeat(np.arange(n), c) for c in counts.values()])
        held = self._within(rng, at)
        held = np.where(kind == "kickoff", self._within(rng, at, 8), held)
        recap = rng.random(len(at)) < np.clip(0.7 - 0.15 * self.agency.rep_slow[self.state("rep")][at], 0.05, 0.95)
        written = pd.Series(_yes(recap)).mask(kind == "report", None)
        table = {"client_id": self.column("client_id")[at], "held_on": held, "kind": kind, "recap_sent": written}
        return self._known(pd.DataFrame(table).iloc[np.lexsort((held, self.cells["row"].to_numpy()[at]))], "held_on")

    def _flags(self, rng: Rng) -> pd.DataFrame:
        """Everything noted about the clients on record, also before the records begin."""
        rows = self.rows
        served = np.where(rows["kind"] > 0, rows["ended"], self.agency.total)
        row, t = np.nonzero(self.lives.noted[rows["life"]] & (np.arange(self.agency.total) < served[:, None]))
        opens = _day_of(rows["month"].to_numpy()[row] + t, rows["day"].to_numpy()[row])
        table = {
            "client_id": rows["client_id"].to_numpy()[row],
            "noted_on": opens + rng.integers(0, 28, len(row)) * DAY,
            "flag": rng.choice(FLAGS, len(row)),
            "severity": rng.integers(1, 6, len(row)),
        }
        return self._known(pd.DataFrame(table), "noted_on")

    def _leads(self, rng: Rng) -> pd.DataFrame:
        """Each recorded client was a lead; for each, those of the same source that were not won (C3)."""
        won = self.rows.join(self.signs)[self.rows["month"] >= BURN_IN_MONTHS]
        chance = won["source"].map(CLOSE_RATES).to_numpy()
        lost = won.loc[won.index.repeat(rng.geometric(chance) - 1)]
        both = pd.concat([won.assign(won=True), lost.assign(won=False)])
        n, is_won = len(both), both["won"].to_numpy()
        start = both["start_date"].to_numpy().astype("datetime64[D]")
        created = np.where(is_won, start - rng.integers(12, 70, n) * DAY, start + rng.integers(-30, 31, n) * DAY)
        quoted = np.where(is_won | (rng.random(n) < 0.5), created + rng.integers(3, 11, n) * DAY, NO_DAY)
        asked = np.where(both["source"] == "referral", created - rng.integers(1, 15, n) * DAY, NO_DAY)
        weaker = np.where(is_won, 0.0, -0.4) + np.where(is_won, 0.0, 1.0) * rng.normal(size=n)
        spend = np.where(is_won, both["planned"], np.exp(weaker) * 8000 // 50 * 50 + 50)
        drawn = pd.DataFrame(_signing_columns(rng, rng.normal(-0.5, 1, n)))
        signs = {name: np.where(is_won, both[name], drawn[name]) for name in drawn}
        frame = pd.DataFrame({
            "created_on": created, "monthly_ad_spend": spend, "source": both["source"].to_numpy(),
            "asked_on": asked, "quoted_on": quoted, "signed_on": np.where(is_won, start, NO_DAY),
            "client_id": both["client_id"].where(is_won).to_numpy(), **signs,
        })  # fmt: skip
        frame = self._known(frame[created >= np.datetime64(FIRST_RECORDED.start_time, "D")], "created_on")
        frame = frame.sort_values("created_on", kind="stable")
        frame["quoted_on"] = frame["quoted_on"].where(frame["quoted_on"] <= pd.Timestamp(self.last))
        frame.insert(0, "lead_id", [f"l{self.prefix[1:]}{k:05d}" for k in range(1, len(frame) + 1)])
        return frame


def _dated(rng: Rng, people: pd.DataFrame) -> pd.DataFrame:
    """Months of service turned into dates: end on the last paid day, decision a notice ahead, recorded days later."""
    n, gone = len(people), (people["kind"] > 0).to_numpy()
    month, day = people["month"].to_numpy(), people["day"].to_numpy()
    end = np.where(gone, _day_of(month + people["ended"].to_numpy(), day) - DAY, NO_DAY)
    decided = _day_of(month + people["decided"].to_numpy() - 1, day) + rng.integers(0, 28, n) * DAY
    decided = np.where(gone, np.minimum(decided, end), NO_DAY)
    unknown = rng.random(n) < 0.05
    reason = pd.Series([rng.choice(REASONS[kind]) if kind else None for kind in people["kind"]], people.index)
    planned = (8000 * np.exp(people["z"]) / 50).round().clip(lower=1).astype(int) * 50
    return people.assign(
        start_date=_day_of(month, day),
        end_date=end,
        decision_date=decided,
        recorded_date=decided + rng.integers(0, 6, n) * DAY,
        end_initiator=people["kind"].map(INITIATOR).mask(unknown),
        end_reason=reason.mask(unknown),
        planned=planned,
        trade=0.4 * rng.normal(size=n),
    )


def _day_of(month: np.ndarray, day: np.ndarray | int) -> np.ndarray:
    """The dates of these days in months counted from the start of the burn-in."""
    first = np.datetime64((FIRST_RECORDED - BURN_IN_MONTHS).start_time, "M")
    days: np.ndarray = (first + month).astype("datetime64[D]") + (np.asarray(day) - 1) * DAY
    return days


def _agreed(rows: pd.DataFrame) -> pd.Series:
    """The fee of the table, haggled down for some: the seller who promises most also gives most away."""
    off = (rows["seller"] == 0) & (rows["day"] % 4 == 3)
    return rows["term"].map(FEES) - 1.5 * off


def _cost_of(source: pd.Series) -> pd.Series:
    return source.map({"referral": 0.5, "inbound": 1.0, "outbound": 1.6, "cold": 2.0})


def _signing_columns(rng: Rng, quality: np.ndarray) -> dict[str, Sequence[str] | np.ndarray]:
    """What is known at signing of how well prepared a client came; better clients have more of the good signs."""
    signs: dict[str, Sequence[str] | np.ndarray] = {}
    for name, usual in SIGNING_FLAGS.items():
        pull = -quality if name in WORSE_WHEN_TRUE else quality
        signs[name] = _yes(rng.random(len(quality)) < 1 / (1 + np.exp(-(usual + 0.8 * pull))))
    return signs | {"approval_layers": rng.poisson(np.exp(0.5 - 0.25 * quality))}


def _yes(flags: np.ndarray | pd.Series) -> np.ndarray:
    return np.where(np.asarray(flags, dtype=bool), "yes", "no").astype(object)


def _id(letter: str, number: np.ndarray) -> np.ndarray:
    """Ids as text, made once for each person: r01, r02, ..."""
    names = np.array([f"{letter}{k + 1:02d}" for k in range(int(number.max(initial=-1)) + 1)], dtype=object)
    return names[number]


def _names(rng: Rng, industries: pd.Series) -> list[str]:
    """A made-up name for each client, none twice: "Harbor & Wren Dental", "Kestrel Cycles"."""
    seen: dict[str, int] = {}
    names = []
    n = len(industries)
    first, step = rng.integers(0, len(PLACES), n), rng.integers(1, len(PLACES), n)
    two, trade = rng.random(n) < 0.3, rng.integers(0, 3, n)
    for k, industry in enumerate(industries):
        one, other = PLACES[first[k]], PLACES[(first[k] + step[k]) % len(PLACES)]
        word = INDUSTRIES[industry][trade[k]]
        name = f"{one} & {other} {word}" if two[k] or f"{one} {word}" in seen else f"{one} {word}"
        seen[name] = seen.get(name, 0) + 1
        names.append(name if seen[name] == 1 else f"{name} {seen[name]}")
    return names
