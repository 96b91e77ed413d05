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
from retention.history.status import active_on, there_on, year_before
from retention.money.courses import DRAWS, SEED
from retention.money.movements import BEFORE, NOW, YEAR, a_year_apart, first_day, newest_month
from retention.results import Estimate, Estimates
from retention.stats.curves import MIN_AT_RISK
from retention.stats.intervals import Weights, over
from retention.words import Said, key_of, say


def retained(spells: pd.DataFrame, money: pd.DataFrame, cutoff: dt.date) -> Estimates:
    """Of last year's clients: the share still here, and the share of their fees still paid,
    up-sells included or not.

    The year to the cut-off, and the year before. Fees are those of the last whole month on record
    and of the same month a year before (`movements.a_year_apart`), so that they add up with what
    moved them: net is what is left of those who paid then, new clients aside. Source: METHODS 5.
    """
    today = pd.Timestamp(cutoff)
    month = newest_month(money, today)
    years = {
        say("economics.retained.lately"): (today, month),
        say("economics.retained.before"): (year_before(today), month - YEAR),
    }
    rows = []
    for group, (day, fees_of) in years.items() if renewals_known(spells) else ():
        rows += _clients_retained(spells, day, group)
        rows += _fees_retained(spells, money, fees_of, group)
    return Estimates(tuple(rows), say("economics.retained.caption"))


def _clients_retained(spells: pd.DataFrame, day: pd.Timestamp, group: Said) -> list[Estimate]:
    """What is retained on a day of the clients of a year before; nothing where they are too few."""
    there = there_on(spells, year_before(day))
    if there.sum() < MIN_AT_RISK:
        return []
    part = spells[there]
    kept = active_on(part, day).to_numpy(float)
    weights = _weights(part, day)
    still = weights @ kept
    share = over(still, weights.sum(axis=1))
    limits = weights.limits(share, "share")
    gone = int(len(part) - kept.sum())
    name = say("economics.retained.clients")
    row = Estimate.of("B3", name, group, limits, "share", (len(part), gone))
    return [row if 0 < gone < len(part) else _at_the_edge(row)]


def _fees_retained(
    spells: pd.DataFrame, money: pd.DataFrame, month: int, group: Said
) -> list[Estimate]:
    """What is retained in a month of the fees of a year before, net and gross; nothing where too
    few paid.
    """
    year = a_year_apart(spells, money, month)
    paid = year.fees[year.fees[BEFORE].notna()]
    before = paid[BEFORE].to_numpy(float)
    if len(paid) < MIN_AT_RISK or before.sum() <= 0:
        return []
    after = paid[NOW].fillna(0).to_numpy(float)
    payers = _payers(spells, money, paid.index, month - YEAR)
    weights = _weights(payers, first_day(month - YEAR))
    then = weights @ before
    still = weights @ after
    at_most = np.minimum(after, before)
    without_raises = weights @ at_most
    values = {
        say("economics.retained.net"): over(still, then),
        say("economics.retained.gross"): over(without_raises, then),
    }
    gone = int(paid[NOW].isna().sum())
    counts = (len(paid), gone)
    rows = [
        Estimate.of("B3", name, group, weights.limits(drawn, "share"), "share", counts)
        for name, drawn in values.items()
    ]
    return rows if 0 < counts[1] < counts[0] else [_at_the_edge(row) for row in rows]


def _payers(
    spells: pd.DataFrame, money: pd.DataFrame, clients: pd.Index, month: int
) -> pd.DataFrame:
    """The engagement in which each of these clients paid in a month, in their order."""
    of_month = money["month"] == month
    own = money.loc[of_month, KEY].merge(spells, on=KEY)
    last = own.drop_duplicates("client_id", keep="last")
    by_client = last.set_index("client_id")
    return by_client.loc[clients]


def _weights(part: pd.DataFrame, day: pd.Timestamp) -> Weights:
    """How often each of these engagements counts: once, and as they are drawn again."""
    again = np.random.default_rng(SEED).poisson(1.0, (DRAWS, len(part)))
    times = np.vstack([np.ones(len(part)), again])
    return Weights.of_rows(times, rep_by(part, day))


def _at_the_edge(row: Estimate) -> Estimate:
    """Where all clients or none were kept, drawing them again shows no spread: the exact interval
    for clients (Clopper and Pearson), and none for fees.
    """
    if row.key[1] != key_of(say("economics.retained.clients")):
        return replace(row, low=np.nan, high=np.nan)
    test = stats.binomtest(row.n_clients - row.n_events, row.n_clients)
    low, high = test.proportion_ci(0.95, "exact")
    return replace(row, low=float(low), high=float(high))
