"""Clients held to be a problem, each looked at for what of it the team's own work may explain (D9).

Nobody is listed to be let go whose case that work may explain, or where nobody could look into it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from retention.lists.reasons import (
    costly_evidence,
    costly_reason,
    evidence_words,
    terms_reason,
    unfit_reason,
)
from retention.lists.shape import FORTNIGHT, WEEK, joined, listed
from retention.portfolio.book import Book
from retention.portfolio.evidence import ABUSE, DEBTOR, HOPELESS, KIND, NOTED, NOTED_BY
from retention.portfolio.margins import RAISE, REMEDIES
from retention.words import say

OF_NOTES = ("results", "rep", "response")  # what may explain a note
OF_MONEY = ("hours",)  # what may explain a cost
UNSAID = 5  # the severity of what is noted without one
NOTHING = say("lists.evidence.nothing_to_look_at")
NO_HOURS = say("lists.evidence.no_hours_to_look_at")


@dataclass(frozen=True)
class Cases:
    """Clients held to be a problem, by what follows from it: lists with `charge`, what is held
    against each.
    """

    at_once: pd.DataFrame  # severe abuse, or debts that grow
    unfit: pd.DataFrame  # of a kind to avoid, or a hopeless cause
    costly: pd.DataFrame  # cost more than they pay, beyond mending
    ours_noted: pd.DataFrame  # noted, but our own work may explain it
    ours_costly: pd.DataFrame  # costly, but our own work may explain it


def cases(book: Book) -> Cases:
    """Every client held to be a problem, put to `fair`.

    Of whom nothing is noted the team's part is the hours alone.
    """
    at_once, ours = fair(_abuse(book), book, OF_NOTES)
    misfits, ours_unfit = fair(_unfit(book), book, OF_NOTES)
    beyond = beyond_mending(book)
    noted = beyond["client_id"].isin(book.lately["client_id"])
    costly, ours_costly = fair(beyond[~noted], book, OF_MONEY, NO_HOURS)
    costly_noted, ours_costly_noted = fair(beyond[noted], book, (*OF_NOTES, *OF_MONEY))
    return Cases(
        at_once=at_once,
        unfit=misfits,
        costly=joined(costly, costly_noted),
        ours_noted=joined(ours, ours_unfit),
        ours_costly=joined(ours_costly, ours_costly_noted),
    )


def fair(
    rows: pd.DataFrame, book: Book, looks: Sequence[str], nothing: str = NOTHING
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A list of clients held to be the problem, without those where our own part comes first; and
    these (D9).

    They are the ones whose case the team's own work may explain by one of the `looks`
    (`evidence.fairness`), and those where `nothing` of it could be looked at.
    """
    own = book.fairness.reindex(index=rows["client_id"], columns=list(looks))
    unseen = own.isna().all(axis=1).to_numpy()
    found = own.fillna("").to_numpy(object)
    ours = unseen | (found != "").any(axis=1)
    why = np.where(unseen, nothing, ["; ".join(filter(None, row)) for row in found])
    mine = rows.assign(
        reason=[say("lists.reason.charged", charge=charge) for charge in rows["charge"]],
        evidence=why,
        act_by=book.cutoff + pd.Timedelta(days=FORTNIGHT),
    )
    return rows[~ours].reset_index(drop=True), mine[ours].reset_index(drop=True)


def _noted(found: pd.DataFrame) -> pd.DataFrame:
    """Evidence by client: `what` was noted and its `evidence`, newest first, and on how many
    `days`.
    """
    newest = found.sort_values(["noted_on", "what"], ascending=[False, True])
    newest = newest.assign(words=[evidence_words(row) for row in newest.itertuples()])
    by = newest.groupby("client_id")
    return pd.DataFrame(
        {
            "what": by["what"].agg(lambda names: ", ".join(dict.fromkeys(names))),
            "evidence": by["words"].agg("; ".join),
            "days": by["noted_on"].nunique(),
        }
    )


def _abuse(book: Book) -> pd.DataFrame:
    """Severe abuse noted lately, and debts that grow month by month: to part at once (D5)."""
    found = book.lately
    severe = found["severity"].fillna(UNSAID) >= book.limits["abuse_severity"]
    debts = found["what"].eq(DEBTOR) & found["source"].ne(NOTED_BY)
    noted = _noted(found[found["group"].eq(ABUSE) & severe | debts])
    rows = noted.assign(
        reason=noted["what"], charge=noted["what"], act_by=book.cutoff + pd.Timedelta(days=WEEK)
    )
    return listed(book, rows.rename_axis("client_id").reset_index())


def _unfit(book: Book) -> pd.DataFrame:
    """Kinds to avoid and hopeless causes, where more than one day speaks for it (D8, D11)."""
    noted = _noted(book.lately[book.lately["group"].isin([KIND, HOPELESS])])
    noted = noted[noted["days"] >= book.limits["fit_evidence"]].join(book.ends)
    charges = [say("lists.reason.unfit", what=what) for what in noted["what"]]
    rows = noted.assign(
        charge=pd.Series(charges, noted.index, dtype=object),
        reason=[
            unfit_reason(charge, day) for charge, day in zip(charges, noted["ends_on"], strict=True)
        ],
        act_by=noted["notice_by"],
    )
    return listed(book, rows.rename_axis("client_id").reset_index())


def on_terms(rows: pd.DataFrame, book: Book) -> pd.DataFrame:
    """The same clients where they pay well for their hours: what to agree on instead of parting."""
    found = book.lately[book.lately["group"].isin([KIND, HOPELESS])]
    agree = found["what"].str.casefold().map(lambda what: NOTED[what]["agree"])
    terms = agree.groupby(found["client_id"]).agg(lambda ids: tuple(dict.fromkeys(ids)))
    return rows.assign(reason=[terms_reason(terms[client]) for client in rows["client_id"]])


def still_short(own: pd.DataFrame) -> pd.Series:
    """The money a month that is still short when everything but a raise has been done."""
    others = own[[name for name in REMEDIES if name != RAISE]].sum(axis=1)
    return (own["shortfall"] - others).clip(lower=0)


def raise_needed(own: pd.DataFrame) -> pd.Series:
    """The same as a share of the fee; infinite where something is short and no fee is paid."""
    short = still_short(own)
    share = short / own["fee"].where(own["fee"] > 0)
    return share.fillna(np.inf).where(short > 0, 0.0)


def unprofitable(book: Book) -> pd.DataFrame:
    """What each client that costs more than it pays leaves, what remedies bring, and when it can be
    parted from: `Book.monthly`, `Book.mending` and `Book.ends`, index `client_id`.
    """
    return book.monthly.join(book.mending, how="inner").join(book.ends)


def beyond_mending(book: Book) -> pd.DataFrame:
    """Clients who surely cost more than they pay, whom neither the remedies nor a fair raise would
    mend (D3, D5).
    """
    own = unprofitable(book)
    own = own[(own["high"] < 0) & (raise_needed(own) > book.limits["most_raise"])]
    reasons = [costly_reason(row) for row in own.itertuples()]
    rows = pd.DataFrame(
        {
            "client_id": own.index,
            "reason": [reason for reason, _ in reasons],
            "charge": [charge for _, charge in reasons],
            "short": [charge for _, charge in reasons],
            "evidence": [costly_evidence(row) for row in own.itertuples()],
            "act_by": own["notice_by"].to_numpy(),
        }
    )
    return listed(book, rows)
