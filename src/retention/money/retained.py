"""What is retained of last year's clients and of their fees (B3)."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy import stats

from retention.history.features import KEY
from retention.history.in_charge import rep_by
from retention.history.opportunities import renewals_known
from retention.history.snapshots import last_month
from retention.history.status import active_on, there_on, year_before
from retention.money.courses import DRAWS, SEED
from retention.money.on_the_books import YEAR, Floats
from retention.results import Estimate, Estimates
from retention.stats.curves import MIN_AT_RISK
from retention.stats.intervals import Weights, over
from retention.words import Said, key_of, say


def retained(spells: pd.DataFrame, money: pd.DataFrame, cutoff: dt.date) -> Estimates:
    """Of last year's clients: the share still here, and the share of their fees still paid,
    up-sells included or not.

    The year to the cut-off, and the year before. One who left counts as nothing. Fees are those of
    the last whole month on record and of the same month a year before, of clients with a fee in the
    one and, if still here, the other. Source: METHODS 5.
    """
    today = pd.Timestamp(cutoff)
    years = {
        say("economics.retained.lately"): today,
        say("economics.retained.before"): year_before(today),
    }
    rows = []
    for group, day in years.items() if renewals_known(spells) else ():
        rows += _retained_of(spells, money, day, group)
    return Estimates(tuple(rows), say("economics.retained.caption"))


def _retained_of(
    spells: pd.DataFrame, money: pd.DataFrame, day: pd.Timestamp, group: Said
) -> list[Estimate]:
    """What is retained on a day of the clients of a year before; nothing where they are too few."""
    there = there_on(spells, year_before(day))
    if there.sum() < MIN_AT_RISK:
        return []
    part = spells[there]
    kept = active_on(part, day).to_numpy(float)
    again = np.random.default_rng(SEED).poisson(1.0, (DRAWS, len(part)))
    once_and_again = np.vstack([np.ones(len(part)), again])
    weights = Weights.of_rows(once_and_again, rep_by(part, day))
    before, after = _fees_of_year(part, money, day)
    after = np.where(kept > 0, after, 0.0)
    before_known = np.isfinite(before)
    known = before_known & np.isfinite(after)
    clients_kept = over(weights @ kept, weights.sum(axis=1))
    values = {say("economics.retained.clients"): clients_kept}
    if known.sum() >= MIN_AT_RISK and before[known].sum() > 0:
        fees = weights[:, known] @ before[known]
        still = weights[:, known] @ after[known]
        at_most = np.minimum(after[known], before[known])
        without_raises = weights[:, known] @ at_most
        values[say("economics.retained.net")] = over(still, fees)
        values[say("economics.retained.gross")] = over(without_raises, fees)
    gone = len(part) - kept.sum()
    counts = (len(part), int(gone))
    rows = [
        Estimate.of("B3", name, group, weights.limits(drawn, "share"), "share", counts)
        for name, drawn in values.items()
    ]
    return rows if 0 < gone < len(part) else [_at_the_edge(row) for row in rows]


def _at_the_edge(row: Estimate) -> Estimate:
    """Where all clients or none were kept, drawing them again shows no spread: the exact interval
    for clients (Clopper and Pearson), and none for fees.
    """
    if row.key[1] != key_of(say("economics.retained.clients")):
        return replace(row, low=np.nan, high=np.nan)
    test = stats.binomtest(row.n_clients - row.n_events, row.n_clients)
    low, high = test.proportion_ci(0.95, "exact")
    return replace(row, low=float(low), high=float(high))


def _fees_of_year(
    part: pd.DataFrame, money: pd.DataFrame, day: pd.Timestamp
) -> tuple[Floats, Floats]:
    """Fees of these engagements a year before, and in the last whole month on record by this day;
    each of shape (n,), NaN where not known.
    """
    now = last_month(day)
    if not money.empty:
        newest = money["month"].max()
        now = min(now, int(newest))  # fees are written down late
    return _fees_in(part, money, now - YEAR), _fees_in(part, money, now)


def _fees_in(part: pd.DataFrame, money: pd.DataFrame, month: int) -> Floats:
    of_month = money[money["month"] == month]
    rows = part[KEY].merge(of_month, on=KEY, how="left")
    return rows["fee"].to_numpy(float)
