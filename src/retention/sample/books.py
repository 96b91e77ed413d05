"""What the agency writes down of its clients' lives: every input table, as it would be known on the
last day.

Monthly tables have a row for each month of service after the records begin, and are recorded a few
days into the next month; nothing recorded after the last day is in them, and nothing is dated after
an end except what an end leaves behind (invoices and payments). Chances and sizes are given in
docs/sample-agency.md.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from retention.data.schema import as_of
from retention.sample.doings import acted, drawn
from retention.sample.ledger import DAY, NO_DAY, Ledger, day_of, ids_of, signs_of
from retention.sample.life import Rng
from retention.sample.world import AGENCY, BURN_IN_MONTHS, FACTS, FIRST_RECORDED

NOTICE_DAYS = 30  # for each month of notice
LONGEST_MONTH = 60.0  # hours that a team books on one client at most
QUIET_MONTHS = (8, 12)  # nobody sends the survey in August and December


@dataclass(frozen=True)
class Books(Ledger):
    """The books of one batch of lives, a table each."""

    def table(self, name: str) -> pd.DataFrame:
        """The named input table. The same seed gives the same rows, whichever tables are made.

        What became known after the last day is left out: a row by what is declared of its first
        column, else the value.
        """
        make: Callable[[Rng], Any] = getattr(self, f"_{name}")
        frame = pd.DataFrame(make(self._rng(*name.encode())))
        last = self.agency.last_day
        known = as_of(name, frame, last)
        return known.reset_index(drop=True)

    def _clients(self, rng: Rng) -> pd.DataFrame:
        rows = self.rows
        cost = rng.lognormal(np.log(900), 0.5, len(rows)) * rows["source"].map(
            FACTS["sources"]["cost"]
        )
        names = {
            "term": "contract_term_months",
            "planned": "monthly_ad_spend",
            "discount": "discount_pct",
        }
        table = rows.rename(columns=names).assign(
            seller_id=self._sellers(),
            rep_id=ids_of("r", self.lives.states["rep"][rows["life"], 0]),
            acquisition_cost=cost.round(),
            remote=np.where(rows["remote"], "yes", "no"),
            promised_result=(40 * np.exp(rows["trade"] - 0.25 * rows["promise"])).round(2),
        )
        columns = table[FACTS["columns"]["clients"]]
        return columns.join(self.signs)

    def _sellers(self) -> np.ndarray:
        ids = list(FACTS["sellers"]["share"])
        return np.array(ids, dtype=object)[self.rows["seller"]]

    def _contracts(self, rng: Rng) -> pd.DataFrame:
        """One row a term, a new one at every renewal; of monthly clients the first, and one where
        the fee is raised.
        """
        term = self.rows["term"]
        step = term.replace(1, 12)
        terms = self.rows.loc[
            self.rows.index.repeat(np.ceil(self.rows["served"] / step).astype(int))
        ]
        row = terms.index.to_numpy()
        by_client = terms.groupby(level=0)
        number = by_client.cumcount().to_numpy()
        t = number * step.to_numpy()[row]
        last_year = self.steps.shape[1] - 1
        year = np.minimum(t // 12, last_year)
        raised = self.steps[row, year]
        changed = (
            (number == 0)
            | (terms["term"].to_numpy() > 1)
            | (raised > self.steps[row, np.maximum(year - 1, 0)])
        )
        month = terms["month"].to_numpy() + t
        start = day_of(month, terms["day"].to_numpy())
        notice = NOTICE_DAYS * self.agency.world.notice_months
        before = start - max(notice, 1) * DAY
        table = {
            "client_id": terms["client_id"],
            "signed_on": np.where(number == 0, start, before),
            "term_start": start,
            "term_months": terms["term"],
            "fee_pct": terms["fee_pct"] + raised,
            "notice_days": notice,
            "auto_renew": "yes",
        }
        return pd.DataFrame(table)[changed]

    def _monthly(self, rng: Rng, **values: Any) -> pd.DataFrame:
        """The values of each cell under client and calendar month, recorded three to nine days into
        the next month.
        """
        month = self.cells["month"].to_numpy()
        first = day_of(month, 1)
        keys = {
            "client_id": self.column("client_id"),
            "month": np.datetime_as_string(first, unit="M"),
        }
        recorded = day_of(month + 1, 1) + rng.integers(2, 9, len(month)) * DAY
        columns = {**keys, **values, "recorded_at": recorded}
        return pd.DataFrame(columns)

    def _account_months(self, rng: Rng) -> pd.DataFrame:
        return self._monthly(rng, **self.money)

    def _results(self, rng: Rng) -> pd.DataFrame:
        """Cost per lead against its target (lower is better), and the leads that the spend
        brought.
        """
        trade = self.column("trade")
        target = 40 * np.exp(trade)
        cpa = target * np.exp(-0.25 * self.state("results") + 0.05 * rng.normal(size=len(target)))
        cost = self._monthly(rng, metric="cpa", value=cpa.round(2), target=target.round(2))
        leads = self._monthly(
            rng, metric="leads", value=np.floor(self.money["ad_spend"] / cpa), target=np.nan
        )
        both = pd.concat([cost, leads])
        return both.sort_index(kind="stable")

    def _hours(self, rng: Rng) -> pd.DataFrame:
        booked = self.state("hours")
        hours = np.minimum(booked, LONGEST_MONTH)
        share = rng.uniform(0.3, 0.5, len(self.cells))
        rep = ids_of("r", self.state("rep"))
        analyst = self.analysts[self.cells["row"]]
        of_rep = self._monthly(rng, staff_id=rep, hours=(hours * share).round(2))
        of_analyst = self._monthly(rng, staff_id=analyst, hours=(hours * (1 - share)).round(2))
        both = pd.concat([of_rep, of_analyst])
        return both.sort_index(kind="stable")

    def _surveys(self, rng: Rng) -> dict[str, Any]:
        """A pulse each month: a tenth is never sent, none in quiet months; who likes the rep
        answers more.
        """
        n = len(self.cells)
        reported = self.state("reported")
        sent = rng.random(n) < 0.9
        answers = rng.random(n) < 1 / (1 + np.exp(-(1.1 + self.agency.world.answer * reported)))
        noise = rng.normal(size=(2, n))
        raw = 7.2 + 1.6 * reported + 0.7 * noise[0]
        liking = np.clip(np.round(raw), 0, 10)
        nps = np.clip(
            np.round(7.0 + 1.2 * reported + 0.8 * self.state("results") + noise[1]), 0, 10
        )
        about_rep = rng.random(n) < 1 / (1 + np.exp(reported - self.state("results")))
        complaints = [rng.choice(FACTS["complaints"][about], n) for about in ("rep", "results")]
        at = np.flatnonzero(sent)
        invited = self._within(rng, at, 21)
        asked = ~pd.DatetimeIndex(invited).month.isin(QUIET_MONTHS)
        at = at[asked]
        invited = invited[asked]
        answered = self._by_the_end(invited + rng.integers(0, 8, len(at)) * DAY, at)
        role = np.where(rng.random(n) < 0.4, "buyer", "daily contact")
        return {
            "client_id": self.column("client_id")[at],
            "invited_on": invited,
            "answered_on": np.where(answers[at], answered, NO_DAY),
            "nps": pd.array(nps[at], dtype="Int64"),
            "rep_liking": pd.array(liking[at], dtype="Int64"),
            "respondent_role": role[at],
            "rep_id": ids_of("r", self.state("rep"))[at],
            "reason": pd.Series(np.where(about_rep, *complaints)[at]).mask(nps[at] > 6, None),
        }

    def _staff(self, rng: Rng) -> pd.DataFrame:
        return self.agency.staff

    def _assignments(self, rng: Rng) -> pd.DataFrame:
        """Seller, analyst and rep of each client; a new row where the rep changes. Open ends are
        blank.
        """
        rows = self.rows
        months = self.service[self.service["month"] < self.agency.total].rename(
            columns={"opens": "from_date"}
        )
        rep = self.state("rep", months)
        other = rep != np.roll(rep, 1)
        turns = months.assign(staff_id=ids_of("r", rep), role="rep")[(months["t"] == 0) | other]
        by_client = turns.groupby("row")["from_date"]
        turns["to_date"] = by_client.shift(-1) - DAY
        spans = {"row": rows.index, "from_date": rows["start_date"], "to_date": rows["end_date"]}
        whole = pd.DataFrame(spans)
        sellers = whole.assign(
            staff_id=self._sellers(), role="seller", to_date=rows["start_date"] + 30 * DAY
        )
        analysts = whole.assign(staff_id=self.analysts, role="analyst")
        frame = pd.concat([turns, sellers, analysts]).sort_values(
            ["row", "from_date"], kind="stable"
        )
        ends = rows.loc[frame["row"], ["client_id", "end_date"]]
        client = ends.set_index(frame.index)
        frame = frame.assign(client_id=client["client_id"], recorded_at=frame["from_date"])
        until = frame["to_date"].to_numpy()
        frame["to_date"] = np.fmin(until, client["end_date"].to_numpy())
        columns = ["client_id", "staff_id", "role", "from_date", "to_date", "recorded_at"]
        return frame[columns]

    def _requests(self, rng: Rng) -> pd.DataFrame:
        """What clients ask for: the difficult ask for more outside the scope, and free work raises
        later requests.
        """
        n = len(self.cells)
        difficult = self.column("difficult")
        outside = rng.random(n) < np.where(difficult, 0.5, 0.25)
        free = outside & (rng.random(n) < 0.5)
        by_client = pd.Series(free).groupby(self.cells["row"])
        before = by_client.shift(fill_value=False).to_numpy()
        count = np.maximum(
            rng.poisson((0.9 + 0.5 * difficult) * np.where(before, 1.4, 1.0)), outside
        )
        cells = np.arange(n)
        at = np.repeat(cells, count)
        again = pd.Series(at).duplicated()
        beyond = outside[at] & ~again.to_numpy()
        slowness = self.agency.reps["slowness"]
        slow = slowness[self.state("rep")][at]
        asked = self._within(rng, at)
        days = np.floor(rng.exponential(1.5 * np.exp(0.35 * slow))).astype(int)
        billed = beyond & ~free[at]
        hours = rng.lognormal(0.5, 0.6, len(at)).round(1)
        table = {
            "client_id": self.column("client_id")[at],
            "requested_on": asked,
            "answered_on": self._by_the_end(asked + days * DAY, at),
            "in_scope": np.where(beyond, "no", "yes"),
            "billed": np.where(billed, "yes", "no"),
            "revision": np.where(
                rng.random(len(at)) < np.where(difficult[at], 0.35, 0.15), "yes", "no"
            ),
            "amount": np.where(billed, (hours * 110).round(2), 0.0),
            "hours": hours,
        }
        frame = pd.DataFrame(table)
        return frame.sort_values(["client_id", "requested_on"])

    def _invoices(self, rng: Rng) -> pd.DataFrame:
        return self.bills

    def _payments(self, rng: Rng) -> pd.DataFrame:
        """Paid after four weeks or so; late payers after two months, part by part; debtors leave
        the last unpaid.
        """
        at = self.bills.index
        n = len(self.bills)
        amount = self.bills["amount"]
        late = self.column("late_payer")[at]
        let_go = self.column("kind")[at] == AGENCY
        wait = rng.gamma(4, 6.5, n) + late * rng.gamma(2, 18, n) + 10 * self.state("wished")[at]
        month = self.cells["t"].to_numpy()[at]
        owes = late & let_go & (self.column("ended")[at] - month <= 3)
        parts = np.where(rng.random(n) < np.where(late, 0.25, 0.03), 2, 1) * ~owes
        first = (amount * np.where(parts == 2, rng.uniform(0.3, 0.7, n), 1.0)).round(2)
        once = self.bills[["invoice_id"]].assign(
            paid_on=self.bills["issued_on"] + wait.astype(int) * DAY, amount=first
        )
        remaining = (amount - first).round(2)
        rest = once.assign(paid_on=once["paid_on"] + 25 * DAY, amount=remaining)
        parts_paid = [once[parts > 0], rest[parts == 2]]
        both = pd.concat(parts_paid).sort_index(kind="stable")
        return both[both["amount"] > 0]

    def _meetings(self, rng: Rng) -> pd.DataFrame:
        """Calls (more of them where there is trouble), a monthly report, visits, events, and a
        kick-off.
        """
        n = len(self.cells)
        trouble = self.state("reported") < -1
        counts = {
            "kickoff": self.cells["t"] == 0,
            "call": rng.poisson(1.5 + 1.5 * trouble),
            "report": rng.random(n) < 0.93,
            "visit": self.state("visit"),
            "event": rng.random(n) < 0.03,
        }
        numbers = [count.sum() for count in counts.values()]
        kind = np.repeat(list(counts), numbers)
        places = [np.repeat(np.arange(n), count) for count in counts.values()]
        at = np.concatenate(places)
        held = self._within(rng, at)
        held = np.where(kind == "kickoff", self._within(rng, at, 8), held)
        slowness = self.agency.reps["slowness"]
        slow = slowness[self.state("rep")][at]
        recap = rng.random(len(at)) < np.clip(0.7 - 0.15 * slow, 0.05, 0.95)
        words = pd.Series(np.where(recap, "yes", "no"))
        written = words.mask(kind == "report", None)
        table = {
            "client_id": self.column("client_id")[at],
            "held_on": held,
            "kind": kind,
            "recap_sent": written,
        }
        frame = pd.DataFrame(table)
        return frame.sort_values(["client_id", "held_on"])

    def _flags(self, rng: Rng) -> dict[str, Any]:
        """Everything noted about the clients on record, also before the records begin."""
        is_noted = self.state("noted", self.service)
        noted = self.service[is_noted]
        return {
            "client_id": self.rows["client_id"].to_numpy()[noted["row"]],
            "noted_on": noted["opens"] + rng.integers(0, 28, len(noted)) * DAY,
            "flag": rng.choice(FACTS["flags"], len(noted)),
            "severity": rng.integers(1, 6, len(noted)),
        }

    def _actions(self, rng: Rng) -> pd.DataFrame:
        """Calls to half of the detractors, and what was done in the trials."""
        return acted(self, rng, self._surveys(self._rng(*b"surveys")))

    def _trials(self, rng: Rng) -> pd.DataFrame:
        return drawn(self)

    def _leads(self, rng: Rng) -> pd.DataFrame:
        """Each recorded client was a lead; for each, those of the same source that were not won
        (C3).
        """
        everybody = self.rows.join(self.signs)
        both = _won_and_lost(everybody[self.rows["month"] >= BURN_IN_MONTHS], rng)
        n = len(both)
        is_won = both["won"].to_numpy()
        start = both["start_date"]
        created = np.where(
            is_won, start - rng.integers(12, 70, n) * DAY, start + rng.integers(-30, 31, n) * DAY
        )
        quoted = np.where(
            is_won | (rng.random(n) < 0.5), created + rng.integers(3, 11, n) * DAY, NO_DAY
        )
        asked = np.where(
            both["source"] == "referral", created - rng.integers(1, 15, n) * DAY, NO_DAY
        )
        weaker = -0.4 + rng.normal(size=n)
        drawn = signs_of(rng, rng.normal(-0.5, 1, n))
        table = {
            "created_on": created,
            "monthly_ad_spend": np.where(
                is_won, both["planned"], np.exp(weaker) * 8000 // 50 * 50 + 50
            ),
            "source": both["source"],
            "asked_on": asked,
            "quoted_on": quoted,
            "signed_on": start.where(is_won),
            "client_id": both["client_id"],
            **{name: np.where(is_won, both[name], drawn[name]) for name in drawn},
        }
        whole = pd.DataFrame(table)
        frame = whole[created >= FIRST_RECORDED.start_time].sort_values("created_on", kind="stable")
        frame.insert(0, "lead_id", [f"l{self.prefix[1:]}{k:05d}" for k in range(1, len(frame) + 1)])
        return frame


def _won_and_lost(won: pd.DataFrame, rng: Rng) -> pd.DataFrame:
    """The leads that were won, then those that were not; which they are says `won`."""
    rates = FACTS["sources"]["close_rate"]
    chance = won["source"].map(rates).to_numpy()
    times = rng.geometric(chance) - 1
    lost = won.loc[won.index.repeat(times)]
    leads = [won.assign(won=True), lost.assign(won=False)]
    return pd.concat(leads, ignore_index=True)
