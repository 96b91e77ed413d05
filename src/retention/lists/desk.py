"""What every list is made from, as of one day."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from retention.history import clients_now
from retention.lists import service
from retention.lists.cases import Cases, cases
from retention.portfolio.book import Book
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

    @cached_property
    def cases(self) -> Cases:
        """The clients held to be a problem, by what follows from it."""
        return cases(self.book)


def care_of(study: Any) -> Care:
    """What the lists of service are made from, of a study."""
    meetings = study.known("meetings")
    return Care(
        clients=clients_now.present(study.panel, pd.Timestamp(study.cutoff)),
        waves=nps.waves(study.known("surveys"), study.settings.scales.nps),
        stand=clients_now.standing(study.snapshots),
        asked=service.last_asked(study.spells, study.known("leads")),
        meetings=meetings,
        seen=clients_now.last_days(meetings, "held_on"),
    )


def desk_of(study: Any) -> Desk:
    """The desk of a study, with the scores and all that care needs."""
    last = pd.Timestamp(study.cutoff)
    book = Book(study.spells, study.tables.frames, study.settings, last)
    return Desk(book, study.risk[2], care_of(study))
