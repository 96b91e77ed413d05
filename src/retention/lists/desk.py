"""What every list is made from, as of one day."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd

from retention.history import clients_now
from retention.lists import service
from retention.lists.cases import Cases, cases
from retention.portfolio.book import Book
from retention.score.phrases import COLUMNS
from retention.service import nps


@dataclass(frozen=True)
class Care:
    """What the lists of service are made from: the present clients, their answers, and when they
    were met or asked.
    """

    clients: pd.DataFrame  # clients_now.present
    waves: pd.DataFrame  # nps.waves
    stand: pd.DataFrame  # clients_now.standing
    asked: pd.Series | None  # service.last_asked
    meetings: pd.DataFrame | None
    seen: pd.Series  # the last meeting, by client


@dataclass(frozen=True)
class Desk:
    """What every list is made from: the book, and the scores and what care needs as far as they are
    at hand.
    """

    book: Book
    risks: pd.DataFrame | None = None
    care: Care | None = None
    raising: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=COLUMNS))

    @cached_property
    def cases(self) -> Cases:
        """The clients held to be a problem, by what follows from it."""
        return cases(self.book)

    @cached_property
    def risk(self) -> pd.Series:
        """The predicted churn risk of each client that has a score, index `client_id`."""
        return self._of_scores("risk")

    @property
    def capacity(self) -> int:
        """How many clients the team has time to contact for their risk."""
        return self.book.settings.risk.capacity

    @property
    def high(self) -> float:
        """The predicted churn risk from which a client counts as at risk."""
        return self.book.limits["at_risk"]

    @cached_property
    def margin(self) -> pd.Series:
        """What each client leaves a month, where fees and hours are known, index `client_id`."""
        return self.book.monthly["margin"].astype(float)

    @cached_property
    def at_risk(self) -> pd.Series:
        """The money at risk a month, risk times margin (the fee where hours are not known), index
        `client_id`; nothing where the risk is not known.
        """
        return (self.risk * self._of_scores("margin_a_month")).fillna(0)

    def _of_scores(self, column: str) -> pd.Series:
        """A column of the scores by client; empty where there are none."""
        if self.risks is None or self.risks.empty:
            return pd.Series(dtype=float)
        return self.risks.set_index("client_id")[column].astype(float)


def care_of(study: Any) -> Care:
    """What the lists of service are made from, of a study."""
    meetings = study.known("meetings")
    return Care(
        clients=clients_now.present(study.panel, pd.Timestamp(study.cutoff)),
        waves=nps.waves(study.known("surveys"), study.settings.scales.nps),
        stand=clients_now.standing(study.month_ends, study.standing["margin"]),
        asked=service.last_asked(study.spells, study.known("leads")),
        meetings=meetings,
        seen=clients_now.last_days(meetings, "held_on"),
    )


def desk_of(study: Any) -> Desk:
    """The desk of a study, with the scores and all that care needs."""
    last = pd.Timestamp(study.cutoff)
    contracts = {} if study.contracts is None else {"contracts": study.contracts}
    tables = {**study.tables.frames, **contracts}
    book = Book(study.spells, tables, study.settings, last)
    return Desk(book, study.risk.scores, care_of(study), study.raising)
