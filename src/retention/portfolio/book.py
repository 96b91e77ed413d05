"""All that is known of the clients as of one day, opened with one call; what was recorded later
changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from retention.data.schema import as_of
from retention.history.clients_now import client_names
from retention.history.in_charge import last_rep, with_people_who_left
from retention.history.money import monthly_money
from retention.history.prepaid import by_term
from retention.history.spells import DAY
from retention.history.trials import waiting
from retention.portfolio import evidence, margins, standing
from retention.settings import Settings
from retention.words import say

Tables = Mapping[str, pd.DataFrame]


def as_known(tables: Tables, day: pd.Timestamp) -> dict[str, pd.DataFrame]:
    """The tables as they stood on a day (`schema.as_of`); a month counts when it is over.

    The clients table is left to `spells.build_spells`.
    """
    known = {name: as_of(name, rows, day) for name, rows in tables.items() if name != "clients"}
    return {
        n: rows[rows["month"] + pd.offsets.MonthEnd(0) <= day] if "month" in rows else rows
        for n, rows in known.items()
    }


@dataclass(frozen=True)
class Book:
    """The clients as of the cut-off: frames with a row a client (index `client_id`), made when
    first asked for.
    """

    spells: pd.DataFrame
    tables: Tables
    settings: Settings
    cutoff: pd.Timestamp

    @property
    def limits(self) -> Mapping[str, float]:
        """The thresholds in force: `Settings.limits`."""
        return self.settings.limits

    @cached_property
    def known(self) -> dict[str, pd.DataFrame]:
        """The tables as they stood on the day, fees in the months they are for
        (`prepaid.by_term`).
        """
        known = dict(self.recorded)
        if "account_months" in known:
            contracts = known.get("contracts")
            fees = by_term(self.spells, known["account_months"], contracts)
            known["account_months"] = fees.table
        return known

    @cached_property
    def recorded(self) -> dict[str, pd.DataFrame]:
        """The tables as they stood on the day, as they were written down."""
        return as_known(self.tables, self.cutoff)

    @cached_property
    def money(self) -> pd.DataFrame:
        """Fee, cost and margin by engagement and month."""
        return monthly_money(
            self.spells, self.recorded
        )  # which puts fees in their months itself, and once

    @cached_property
    def rows(self) -> pd.DataFrame:
        """The engagements active as the day ends, one a client; `noticed`: an end is on
        record.
        """
        return standing.active_rows(self.spells, self.cutoff)

    @cached_property
    def waiting(self) -> pd.DataFrame:
        """Who waits in a trial and is to be left alone: `trials.waiting`."""
        return waiting(self.known, self.settings.trial.horizon_months, self.cutoff)

    @property
    def names(self) -> dict[str, str]:
        """What each client is called."""
        ids = self.rows["client_id"]
        return dict(zip(ids, client_names(self.rows), strict=True))

    @cached_property
    def unraised(self) -> pd.Series:
        """Months since each fee went up."""
        raised = margins.raises(self.known)
        return margins.since_raise(self.rows, raised, self.cutoff)

    @cached_property
    def monthly(self) -> pd.DataFrame:
        """What each client leaves a month, with the `cause` where it is too little:
        `margins.current`.
        """
        monthly = margins.current(self.money, self.rows, self.cutoff, self.limits)
        why = margins.causes(monthly, self.unraised, self.limits)
        return monthly.assign(cause=why)

    @cached_property
    def mending(self) -> pd.DataFrame:
        """What the remedies would bring: `margins.remedies`."""
        loved = evidence.loved(self.known, self.cutoff, self.limits)
        made = margins.remedies(
            self.monthly, self.rows, self.known, self.cutoff, loved, self.limits
        )
        reps = self.last_rep(made.index)
        return made if reps is None else made.assign(rep=reps)

    @cached_property
    def noted(self) -> pd.DataFrame:
        """A row a piece of evidence: `evidence.evidence`."""
        return evidence.evidence(self.rows, self.known, self.cutoff, self.limits)

    @cached_property
    def lately(self) -> pd.DataFrame:
        """The evidence that still counts."""
        months = int(self.limits["evidence_months"])
        begin = self.cutoff + DAY - pd.DateOffset(months=months)
        return self.noted[self.noted["noted_on"] >= begin]

    @cached_property
    def team(self) -> pd.DataFrame:
        """What stands out in each rep's work: `evidence.of_reps`."""
        return evidence.of_reps(self.rows, self.known, self.cutoff, self.limits, self.monthly)

    @cached_property
    def fairness(self) -> pd.DataFrame:
        """What of the team's own work may explain what is held against each client:
        `evidence.fairness`.
        """
        return evidence.fairness(
            self.rows,
            self.known,
            self.lately,
            self.settings.results,
            self.cutoff,
            self.limits,
            self.team,
        )

    def last_rep(self, clients: pd.Index) -> pd.Series | None:
        """Who is in charge of each of these clients, or was at its end: `in_charge.last_rep`."""
        return last_rep(self.spells, clients)

    @cached_property
    def owners(self) -> pd.Series:
        """Who answers for each client: the rep in charge now."""
        clients = self.rows[["client_id"]]
        at = clients.assign(day=self.cutoff)
        reps = evidence.in_charge(self.rows, self.known, at, "day")
        return reps.set_axis(self.rows["client_id"])

    @cached_property
    def owner_words(self) -> pd.Series:
        """What lists call the rep in charge of each client; "Bea, who left" where nobody took over,
        else empty.
        """
        last = self.cutoff
        rows = self.rows.set_index("client_id", drop=False)
        left = with_people_who_left(
            rows, last, self.known.get("assignments"), self.known.get("staff")
        )
        names = evidence.people(left, self.known)
        gone = names.map(lambda name: say("portfolio.team.who_left", rep=name))
        return evidence.people(self.owners, self.known).mask(
            self.owners.isna() & left.notna(), gone
        )

    @cached_property
    def ends(self) -> pd.DataFrame:
        """When each client can next be parted from well (D5): `standing.terms_end`."""
        days = self.settings.notice_days
        return standing.terms_end(self.rows, self.known, self.cutoff, days, self.limits)
