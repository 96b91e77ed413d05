"""What the present clients pay now, and will in each coming month."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd

from retention.history.money import planned_fees
from retention.history.snapshots import month_of
from retention.history.spells import DAY
from retention.history.status import active, staying
from retention.money.courses import LONGEST, Course, extended
from retention.stats.intervals import Weights

YEAR = 12
AHEAD = 120  # months that are looked ahead
LATEST = 3  # months on record whose mean is what a client pays now
MIN_FOR_THIRDS = 90  # (ours) engagements from which thirds of what they pay are kept apart
Floats = np.ndarray


def book(followed: Course, weights: Weights, cutoff: dt.date, notice: int) -> Floats:
    """What the present clients pay now and will in each coming month, shape (m, AHEAD + 1), given
    how long they stayed.

    Who has given no notice stays for that long: a client of age a is there h months on with chance
    S(a + h) / S(a + notice), by the curve of those who pay about as much (thirds), and pays what it
    pays now. Who has given notice pays until its end.
    """
    spells = followed.spells
    present, now = present_clients(followed, cutoff)
    next_day = pd.Timestamp(cutoff) + DAY
    today = pd.Series(next_day, spells.index)
    end_month = month_of(spells["end_date"] + DAY)
    leaves = end_month - month_of(today)
    path = np.zeros((len(weights), AHEAD + 1))
    for h in range(AHEAD + 1):
        noticed = present & (leaves > h).to_numpy()
        drawn = weights[:, noticed]
        path[:, h] = drawn @ now[noticed]
    no_notice = present & staying(spells).to_numpy()
    months = pd.DataFrame(followed.paid)
    usual = months.median(axis=1)
    pays = np.where(present, now, usual)
    for third in _thirds(pays):
        path += _decays(followed, weights, no_notice & third, now, third, notice)
    return _as_much_now(path, len(weights.sizes))


def _as_much_now(path: Floats, reps: int) -> Floats:
    """The paths, those without a rep scaled to today's revenue."""
    if not reps:
        return path
    drawn = path[:-reps]
    without = path[-reps:]
    there = without[:, :1] > 0
    today = np.where(there, without[:, :1], np.nan)
    scaled = without / today * path[0, 0]
    return np.vstack([drawn, scaled])


def _thirds(pays: Floats) -> list[Floats]:
    """Masks of engagements by thirds of what they pay; all as one where they are too few."""
    known = np.isfinite(pays)
    enough = known.sum() >= MIN_FOR_THIRDS
    edges = np.quantile(pays[known], [1 / 3, 2 / 3]) if enough else []
    known_or_middle = np.where(known, pays, np.nanmedian(pays))
    place = np.searchsorted(edges, known_or_middle)
    return [place == k for k in np.unique(place)]


def _decays(
    followed: Course, weights: Weights, chosen: Floats, now: Floats, like: Floats, notice: int
) -> Floats:
    """What the chosen will pay, leaving by the curve of those alike."""
    part = followed.where(like)
    enough = part.known >= YEAR
    alike = part if enough else followed
    drawn = weights[:, like] if enough else weights
    stay = extended(alike, drawn)
    ages = followed.spells["observed_months"].to_numpy(int)
    path = np.zeros((len(weights), AHEAD + 1))
    for age in np.unique(ages[chosen]):
        mask = chosen & (ages == age)
        latest = LONGEST - AHEAD - notice
        at = min(int(age), latest)
        end = at + notice + 1
        by_notice = stay[:, at + notice : end]
        left = np.maximum(by_notice, 1e-12)
        coming = stay[:, at : at + AHEAD + 1]
        later = np.minimum(coming / left, 1.0)
        pays = weights[:, mask] @ now[mask]
        path += pays[:, None] * later
    return path


def present_clients(followed: Course, cutoff: dt.date) -> tuple[Floats, Floats]:
    """Who is there (mask of shape (n,)), and what each pays a month now: the mean of its last
    months on record.
    """
    spells = followed.spells
    present = active(spells).to_numpy()
    now = np.full(len(spells), np.nan)
    for i in np.flatnonzero(present):
        known = np.isfinite(followed.paid[i])
        on_record = followed.paid[i][known]
        now[i] = on_record[-LATEST:].mean() if len(on_record) else np.nan
    planned = planned_fees(spells).to_numpy()
    unknown = np.isnan(now)
    now = np.where(unknown, planned, now)
    some = np.isfinite(now[present]).any()
    usual = float(np.nanmedian(now[present])) if some else 0.0
    return present, np.where(np.isnan(now), usual, now)
