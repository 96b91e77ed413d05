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
from retention.sample.leads import leads
from retention.sample.ledger import DAY, NO_DAY, Ledger, day_of, ids_of
from retention.sample.life import Rng
from retention.sample.world import AGENCY, FACTS

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
        usual = rows["source"].map(FACTS["sources"]["cost"])
        median = np.log(900)
        cost = rng.lognormal(median, 0.5, len(rows)) * usual
        names = {
            "term": "contract_term_months",
            "planned": "monthly_ad_spend",
            "discount": "discount_pct",
        }
        reps = self.lives.states["rep"]
        first_rep = reps[rows["life"], 0]
        hoped = rows["trade"] - 0.25 * rows["promise"]
        promised = 40 * np.exp(hoped)
        table = rows.rename(columns=names).assign(
            seller_id=self._sellers(),
            rep_id=ids_of("r", first_rep),
            acquisition_cost=cost.round(),
            remote=np.where(rows["remote"], "yes", "no"),
            promised_result=promised.round(2),
        )
        kept = FACTS["columns"]["clients"]
        columns = table[kept]
        return columns.join(self.signs)

    def _sellers(self) -> np.ndarray:
        shares = FACTS["sellers"]["share"]
        ids = np.array(list(shares), dtype=object)
        seller = self.rows["seller"]
        return ids[seller]

    def _contracts(self, rng: Rng) -> pd.DataFrame:
        """One row a term, a new one at every renewal; of monthly clients the first, and one where
        the fee is raised.
        """
        step = self.rows["term"].replace(1, 12)
        number_of_terms = np.ceil(self.rows["served"] / step)
        repeated = self.rows.index.repeat(number_of_terms.astype(int))
        terms = self.rows.loc[repeated]
        row = terms.index.to_numpy()
        by_client = terms.groupby(level=0)
        number = by_client.cumcount().to_numpy()
        first = number == 0
        t = number * step.to_numpy()[row]
        raised, changed = self._raised(row, t)
        fixed = terms["term"].to_numpy() > 1
        month = terms["month"].to_numpy() + t
        day = terms["day"].to_numpy()
        start = day_of(month, day)
        notice = NOTICE_DAYS * self.agency.world.notice_months
        ahead = max(notice, 1)
        before = start - ahead * DAY
        table = {
            "client_id": terms["client_id"],
            "signed_on": np.where(first, start, before),
            "term_start": start,
            "term_months": terms["term"],
            "fee_pct": terms["fee_pct"] + raised,
            "notice_days": notice,
            "auto_renew": "yes",
        }
        written = first | fixed | changed
        return pd.DataFrame(table)[written]

    def _raised(self, row: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """By how much each row's fee is raised in month t of service, and whether by more than the
        year before.
        """
        last_year = self.steps.shape[1] - 1
        year = np.minimum(t // 12, last_year)
        year_before = np.maximum(year - 1, 0)
        raised = self.steps[row, year]
        former = self.steps[row, year_before]
        return raised, raised > former

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
        wait = rng.integers(2, 9, len(month))
        month_after = day_of(month + 1, 1)
        recorded = month_after + wait * DAY
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
        noise = rng.normal(size=len(target))
        distance = -0.25 * self.state("results") + 0.05 * noise
        cpa = target * np.exp(distance)
        value = cpa.round(2)
        aim = target.round(2)
        cost = self._monthly(rng, metric="cpa", value=value, target=aim)
        brought = np.floor(self.money["ad_spend"] / cpa)
        leads = self._monthly(rng, metric="leads", value=brought, target=np.nan)
        both = pd.concat([cost, leads])
        return both.sort_index(kind="stable")

    def _hours(self, rng: Rng) -> pd.DataFrame:
        booked = self.state("hours")
        hours = np.minimum(booked, LONGEST_MONTH)
        share = rng.uniform(0.3, 0.5, len(self.cells))
        state = self.state("rep")
        rep = ids_of("r", state)
        row = self.cells["row"]
        analyst = self.analysts[row]
        by_rep = hours * share
        by_analyst = hours * (1 - share)
        of_rep = self._monthly(rng, staff_id=rep, hours=by_rep.round(2))
        of_analyst = self._monthly(rng, staff_id=analyst, hours=by_analyst.round(2))
        both = pd.concat([of_rep, of_analyst])
        return both.sort_index(kind="stable")

    def _surveys(self, rng: Rng) -> dict[str, Any]:
        """A pulse each month: a tenth is never sent, none in quiet months; who likes the rep
        answers more.
        """
        n = len(self.cells)
        sent = rng.random(n) < 0.9
        answers, nps, liking, reason = self._answers(rng)
        at = np.flatnonzero(sent)
        invited = self._within(rng, at, 21)
        month = pd.DatetimeIndex(invited).month
        asked = ~month.isin(QUIET_MONTHS)
        at = at[asked]
        invited = invited[asked]
        wait = rng.integers(0, 8, len(at))
        answered = self._by_the_end(invited + wait * DAY, at)
        buys = rng.random(n) < 0.4
        role = np.where(buys, "buyer", "daily contact")
        rep = self.state("rep")
        satisfied = nps[at] > 6
        reasons = pd.Series(reason[at])
        return {
            "client_id": self.column("client_id")[at],
            "invited_on": invited,
            "answered_on": np.where(answers[at], answered, NO_DAY),
            "nps": pd.array(nps[at], dtype="Int64"),
            "rep_liking": pd.array(liking[at], dtype="Int64"),
            "respondent_role": role[at],
            "rep_id": ids_of("r", rep)[at],
            "reason": reasons.mask(satisfied, None),
        }

    def _answers(self, rng: Rng) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """What each cell would answer: whether at all, the score, the liking of the rep, and what a
        complaint would be about.
        """
        n = len(self.cells)
        reported = self.state("reported")
        results = self.state("results")
        willing = 1.1 + self.agency.world.answer * reported
        answers = rng.random(n) < _chance(willing)
        noise = rng.normal(size=(2, n))
        felt = 7.2 + 1.6 * reported + 0.7 * noise[0]
        liking = _on_scale(felt)
        recommends = 7.0 + 1.2 * reported + 0.8 * results + noise[1]
        nps = _on_scale(recommends)
        about_rep = rng.random(n) < _chance(results - reported)
        complaints = FACTS["complaints"]
        of_rep = rng.choice(complaints["rep"], n)
        of_results = rng.choice(complaints["results"], n)
        reason = np.where(about_rep, of_rep, of_results)
        return answers, nps, liking, reason

    def _staff(self, rng: Rng) -> pd.DataFrame:
        return self.agency.staff

    def _assignments(self, rng: Rng) -> pd.DataFrame:
        """Seller, analyst and rep of each client; a new row where the rep changes. Open ends are
        blank.
        """
        rows = self.rows
        turns = self._turns()
        spans = {"row": rows.index, "from_date": rows["start_date"], "to_date": rows["end_date"]}
        whole = pd.DataFrame(spans)
        handed_over = rows["start_date"] + 30 * DAY
        sold = whole.assign(to_date=handed_over)
        sellers = sold.assign(staff_id=self._sellers(), role="seller")
        analysts = whole.assign(staff_id=self.analysts, role="analyst")
        everybody = pd.concat([turns, sellers, analysts])
        frame = everybody.sort_values(["row", "from_date"], kind="stable")
        ends = rows.loc[frame["row"], ["client_id", "end_date"]]
        client = ends.set_index(frame.index)
        frame = frame.assign(client_id=client["client_id"], recorded_at=frame["from_date"])
        until = frame["to_date"].to_numpy()
        end = client["end_date"].to_numpy()
        frame["to_date"] = np.fmin(until, end)
        columns = ["client_id", "staff_id", "role", "from_date", "to_date", "recorded_at"]
        return frame[columns]

    def _turns(self) -> pd.DataFrame:
        """The reps of each client, a row each, to the day before the next."""
        past = self.service["month"] < self.agency.total
        months = self.service[past].rename(columns={"opens": "from_date"})
        rep = self.state("rep", months)
        first = months["t"] == 0
        other = rep != np.roll(rep, 1)
        by_rep = months.assign(staff_id=ids_of("r", rep), role="rep")
        turns = by_rep[first | other]
        by_client = turns.groupby("row")["from_date"]
        day_before_next = by_client.shift(-1) - DAY
        return turns.assign(to_date=day_before_next)

    def _requests(self, rng: Rng) -> pd.DataFrame:
        """What clients ask for: the difficult ask for more outside the scope, and free work raises
        later requests.
        """
        difficult = self.column("difficult")
        at, beyond, free = self._asked_for(rng)
        slow = self._slow(at)
        asked = self._within(rng, at)
        usual = 1.5 * np.exp(0.35 * slow)
        wait = np.floor(rng.exponential(usual))
        answered = asked + wait.astype(int) * DAY
        billed = beyond & ~free
        hours = rng.lognormal(0.5, 0.6, len(at)).round(1)
        price = hours * 110
        often = np.where(difficult[at], 0.35, 0.15)
        revision = rng.random(len(at)) < often
        table = {
            "client_id": self.column("client_id")[at],
            "requested_on": asked,
            "answered_on": self._by_the_end(answered, at),
            "in_scope": np.where(beyond, "no", "yes"),
            "billed": np.where(billed, "yes", "no"),
            "revision": np.where(revision, "yes", "no"),
            "amount": np.where(billed, price.round(2), 0.0),
            "hours": hours,
        }
        frame = pd.DataFrame(table)
        return frame.sort_values(["client_id", "requested_on"])

    def _asked_for(self, rng: Rng) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The cell of each request, whether it is beyond the scope, and whether what is beyond it
        in that month is done for free.
        """
        n = len(self.cells)
        difficult = self.column("difficult")
        often = np.where(difficult, 0.5, 0.25)
        outside = rng.random(n) < often
        given = rng.random(n) < 0.5
        free = outside & given
        by_client = pd.Series(free).groupby(self.cells["row"])
        free_before = by_client.shift(fill_value=False).to_numpy()
        more = np.where(free_before, 1.4, 1.0)
        expected = (0.9 + 0.5 * difficult) * more
        count = np.maximum(rng.poisson(expected), outside)
        cells = np.arange(n)
        at = np.repeat(cells, count)
        again = pd.Series(at).duplicated()
        beyond = outside[at] & ~again.to_numpy()
        return at, beyond, free[at]

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
        wait = self._wait(rng, late)
        owes = late & self._let_go_soon(at)
        halves = np.where(late, 0.25, 0.03)
        in_two = rng.random(n) < halves
        number = np.where(in_two, 2, 1)
        parts = number * ~owes
        part = rng.uniform(0.3, 0.7, n)
        share = np.where(parts == 2, part, 1.0)
        first = (amount * share).round(2)
        paid_on = self.bills["issued_on"] + wait.astype(int) * DAY
        once = self.bills[["invoice_id"]].assign(paid_on=paid_on, amount=first)
        remaining = (amount - first).round(2)
        later = once["paid_on"] + 25 * DAY
        rest = once.assign(paid_on=later, amount=remaining)
        parts_paid = [once[parts > 0], rest[parts == 2]]
        both = pd.concat(parts_paid).sort_index(kind="stable")
        return both[both["amount"] > 0]

    def _wait(self, rng: Rng, late: np.ndarray) -> np.ndarray:
        """Days from each bill to its payment: more of who wishes to leave, and of who pays late."""
        n = len(late)
        usual = rng.gamma(4, 6.5, n)
        longer = rng.gamma(2, 18, n)
        at = self.bills.index
        wished = self.state("wished")[at]
        wait: np.ndarray = usual + late * longer + 10 * wished
        return wait

    def _let_go_soon(self, at: pd.Index) -> np.ndarray:
        """Whether the agency lets the client of each of these cells go within three months."""
        let_go = self.column("kind")[at] == AGENCY
        month = self.cells["t"].to_numpy()[at]
        remaining = self.column("ended")[at] - month
        soon: np.ndarray = let_go & (remaining <= 3)
        return soon

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
        cells = np.arange(n)
        places = [np.repeat(cells, count) for count in counts.values()]
        at = np.concatenate(places)
        any_day = self._within(rng, at)
        early = self._within(rng, at, 8)
        held = np.where(kind == "kickoff", early, any_day)
        slow = self._slow(at)
        often = np.clip(0.7 - 0.15 * slow, 0.05, 0.95)
        recap = rng.random(len(at)) < often
        words = pd.Series(np.where(recap, "yes", "no"))
        written = words.mask(kind == "report", None)
        table = {
            "client_id": self.column("client_id")[at],
            "held_on": held,
            "kind": kind,
            "recap_sent": written,
        }
        return pd.DataFrame(table).sort_values(["client_id", "held_on"])

    def _slow(self, at: np.ndarray) -> np.ndarray:
        """How slow the rep of each of these cells is."""
        slowness: np.ndarray = self.agency.reps["slowness"]
        rep = self.state("rep")
        return slowness[rep][at]

    def _flags(self, rng: Rng) -> dict[str, Any]:
        """Everything noted about the clients on record, also before the records begin."""
        is_noted = self.state("noted", self.service)
        noted = self.service[is_noted]
        n = len(noted)
        ids = self.rows["client_id"].to_numpy()
        row = noted["row"]
        days = rng.integers(0, 28, n)
        return {
            "client_id": ids[row],
            "noted_on": noted["opens"] + days * DAY,
            "flag": rng.choice(FACTS["flags"], n),
            "severity": rng.integers(1, 6, n),
        }

    def _actions(self, rng: Rng) -> pd.DataFrame:
        """Calls to half of the detractors, and what was done in the trials."""
        asked_of = self._rng(*b"surveys")
        surveys = self._surveys(asked_of)
        return acted(self, rng, surveys)

    def _trials(self, rng: Rng) -> pd.DataFrame:
        return drawn(self)

    def _leads(self, rng: Rng) -> pd.DataFrame:
        return leads(self, rng)


def _chance(log_odds: np.ndarray) -> np.ndarray:
    """The chance of these log odds."""
    chance: np.ndarray = 1 / (1 + np.exp(-log_odds))
    return chance


def _on_scale(felt: np.ndarray) -> np.ndarray:
    """An answer from 0 to 10."""
    rounded = np.round(felt)
    return np.clip(rounded, 0, 10)
