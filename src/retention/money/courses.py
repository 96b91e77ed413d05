"""Engagements by month of service: who was there, who left and what was paid (METHODS 5).

What a client brings in its t-th month is the share still there times what those there pay: the
censored count as long as they were seen, and who pays more and stays longer is no trouble (Lin and
others 1997, for costs of the censored).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from retention.contrast import MIN_EVENTS_GROUP
from retention.history.features import KEY
from retention.history.follow_up import follow_up
from retention.history.in_charge import rep_codes
from retention.history.money import FEES, MARGINS, planned_fees
from retention.history.snapshots import month_of
from retention.settings import LIMITS, Limits
from retention.stats.curves import MIN_AT_RISK, known_through
from retention.stats.intervals import NO_REPS, Weights, with_limits
from retention.words import say

HORIZONS = (
    60,
    48,
    36,
    24,
    12,
)  # months over which value is counted, as far as clients could be watched
DRAWS = 500
SEED = 1
MIN_KNOWN = 0.8  # (ours) share of client-months whose money must be known before it stands for all
PLANNED = say("economics.counts.planned")
FEES_OR_PLANNED = say("economics.counts.fees_or_planned")
TAIL_MONTHS = 24  # (ours) months from which the pace of those who stay longest is taken
LONGEST = 480  # months that a curve is carried on to beyond what was watched
Floats = np.ndarray


@dataclass(frozen=True)
class Course:
    """Engagements by month of service, arrays of shape (n, months): who was at risk, who left, and
    what was paid.

    `of_choice`: left by the client's choice. `paid` is NaN where nothing is on record. `clients`
    (n,) are codes: a client that came back is resampled whole. `counts` says what the money is,
    `discount` by what share a year later money is worth less.
    """

    spells: pd.DataFrame
    at_risk: Floats
    left: Floats
    of_choice: Floats
    paid: Floats
    clients: Floats
    counts: str
    discount: float

    @cached_property
    def known_share(self) -> float:
        """Share of the client-months of which the money is known."""
        known = np.isfinite(self.paid).sum()
        return float(known / max(self.at_risk.sum(), 1))

    @property
    def has_money(self) -> bool:
        """Whether enough is known of what clients pay, and they pay anything."""
        return self.known_share >= MIN_KNOWN and bool(np.nansum(np.abs(self.paid)) > 0)

    @property
    def few(self) -> bool:
        """Whether too few left for intervals: then what there is is described alone (METHODS 1)."""
        return bool(self.left.sum() < MIN_EVENTS_GROUP)

    def where(self, chosen: Floats) -> Course:
        """The course of the chosen engagements (mask of shape (n,))."""
        parts = (self.at_risk[chosen], self.left[chosen], self.of_choice[chosen], self.paid[chosen])
        return Course(
            self.spells[chosen],
            *parts,
            np.unique(self.clients[chosen], return_inverse=True)[1],
            self.counts,
            self.discount,
        )

    @cached_property
    def known(self) -> int:
        """The last month up to which the curve may be read: ten clients at risk all along, or
        everybody gone.
        """
        enough = self.at_risk.sum(axis=0) >= MIN_AT_RISK
        all_enough = enough.all()
        supported = len(enough) if all_enough else int(np.argmin(enough))
        readable = known_through(follow_up(self.spells), MIN_AT_RISK)
        return int(min(supported, readable))

    @cached_property
    def reps(self) -> tuple[Floats, Floats]:
        """Who was in charge by month of service, codes (n, months), -1 for nobody; and
        client-months of each rep.
        """
        if "reps" not in self.spells or not len(self.spells):
            nobody = self.at_risk.shape
            return np.full(nobody, -1), NO_REPS
        months = self.at_risk.shape[1]
        codes, names = rep_codes(self.spells["reps"], months)
        there = self.at_risk > 0
        known = codes[there & (codes >= 0)]
        return codes, np.bincount(known, minlength=len(names)).astype(float)

    def weights(self, draws: int = DRAWS, seed: int = SEED) -> Weights:
        """How often each engagement counts: once, in `draws` resamples of the clients, and as each
        rep is left out.

        Each client is drawn by a Poisson law of its own, so that how many sign is as uncertain as
        who.
        """
        some = len(self.clients)
        number = int(self.clients.max()) + 1 if some else 0
        again = np.random.default_rng(seed).poisson(1.0, (draws, number))
        drawn = again[:, self.clients].astype(float)
        times = np.vstack([np.ones(len(self.clients)), drawn])
        codes, sizes = self.reps
        stopped = self.spells["stop_months"].to_numpy(int)
        last = np.clip(stopped - 1, 0, None)
        last_codes = codes[np.arange(len(codes)), last]
        return Weights(times, last_codes, sizes, codes, codes[:, 0])

    def limits(self, values: Floats, unit: str = "") -> list[float]:
        """The first value with its 95 % limits (`intervals.with_limits`); the value alone where few
        left.

        `values` by the rows of `weights`, shape (1 + draws + reps,).
        """
        return [float(values[0])] if self.few else with_limits(values, self.reps[1], unit)


def course(
    spells: pd.DataFrame, money: pd.DataFrame, limits: Limits = LIMITS, column: str = "fee"
) -> Course:
    """The course of these engagements; money from `monthly_money` (column fee or margin), else as
    planned at signing.

    Month of service 0 is the first. Fees of calendar month k after the start's count for month k of
    service, those of a last, begun one for the last month: so nothing that an ended client paid is
    lost.
    """
    entry, stop = (spells[name].to_numpy(int) for name in ("entry_months", "stop_months"))
    longest = int(stop.max(initial=0))
    months = np.arange(max(longest, 1))
    entered = entry[:, None] <= months
    at_risk = entered & (months < stop[:, None])
    at_end = spells["ended"].to_numpy()[:, None]
    left = (stop[:, None] == months + 1) & at_end & at_risk
    choice = left & ~spells["end_kind"].isin(["agency", "neutral"]).to_numpy()[:, None]
    paid, counts = _paid(spells, money, column, at_risk)
    codes = pd.factorize(spells["client_id"])[0]
    return Course(
        spells=spells,
        at_risk=at_risk.astype(float),
        left=left.astype(float),
        of_choice=choice.astype(float),
        paid=paid,
        clients=codes,
        counts=counts,
        discount=limits["discount_a_year"],
    )


def _paid(
    spells: pd.DataFrame, money: pd.DataFrame, column: str, at_risk: Floats
) -> tuple[Floats, str]:
    planned = np.where(at_risk, planned_fees(spells).to_numpy()[:, None], np.nan)
    if money.empty or money[column].isna().all():
        return planned, PLANNED
    where = spells[[*KEY, "start_date", "stop_months", "ended"]].reset_index(drop=True)
    rows = money.merge(where.assign(row=where.index), on=KEY)
    k = rows["month"] - month_of(rows["start_date"])
    last = rows["stop_months"] - 1
    rows = rows.assign(k=np.where(rows["ended"], np.minimum(k, last), k))[
        (k >= 0) & (rows["ended"] | (k <= last))
    ]
    sums = rows.groupby(["row", "k"])[column].sum(min_count=1)
    paid = np.full(at_risk.shape, np.nan)
    paid[sums.index.get_level_values(0), sums.index.get_level_values(1).astype(int)] = (
        sums.to_numpy(float)
    )
    paid = np.where(at_risk, paid, np.nan)
    if column != "fee":
        return paid, MARGINS
    silent = np.isnan(paid).all(axis=1) & np.isfinite(planned).any(axis=1)
    counts = FEES_OR_PLANNED if silent.any() else FEES
    return np.where(silent[:, None], planned, paid), counts


def best_course(spells: pd.DataFrame, money: pd.DataFrame, limits: Limits = LIMITS) -> Course:
    """The course by margins where hours are known of nearly all months, else by fees."""
    if "margin" in money and money["margin"].notna().any():
        margins = course(spells, money, limits, "margin")
        if margins.has_money:
            return margins
    return course(spells, money, limits)


def survival(followed: Course, weights: Weights | Floats) -> Floats:
    """Share still there as each month begins, shape (m, months + 1), by weights of shape (m, n)."""
    return stay_by(*paces(followed, weights))


def paces(followed: Course, weights: Weights | Floats) -> tuple[Floats, Floats]:
    """Share leaving by choice, and otherwise, of those there in each month of service; each of
    shape (m, months).
    """
    there = np.maximum(weights @ followed.at_risk, 1e-12)
    chose = weights @ followed.of_choice
    return np.minimum(chose / there, 1), np.minimum((weights @ followed.left - chose) / there, 1)


def stay_by(chose: Floats, other: Floats, slower: float | Floats = 1.0) -> Floats:
    """Share still there as each month begins, from `paces`; `slower` is a power on the share not
    leaving by choice.
    """
    kept = (
        (1 - chose) ** slower * (1 - other / np.maximum(1 - chose, 1e-12))
        if np.any(slower != 1.0)
        else 1 - chose - other
    )
    shares = np.clip(kept, 0, 1)
    start = np.ones((len(chose), 1))
    return np.hstack([start, np.cumprod(shares, axis=1)])


def extended(followed: Course, weights: Weights | Floats) -> Floats:
    """Share still there as each month begins, carried on beyond what was watched; shape (m, LONGEST
    + 1).

    Those who stay longer leave at the pace of the last two years that were watched. Half an end is
    added to that pace: that nobody left lately does not mean that nobody ever will.
    """
    known = followed.known
    stay = survival(followed, weights)[:, : known + 1]
    last = slice(max(known - TAIL_MONTHS, 0), known)
    there = np.maximum((weights @ followed.at_risk)[:, last].sum(axis=1), 1.0)
    left = weights @ followed.left
    gone = left[:, last].sum(axis=1)
    pace = np.minimum((gone + 0.5) / there, 1.0)
    later = np.arange(1, LONGEST - known + 1)
    return np.hstack([stay, stay[:, -1:] * (1 - pace[:, None]) ** later])


def paid_there(followed: Course, weights: Weights | Floats) -> Floats:
    """What a client still there pays in each month of service, mean, shape (m, months); as before
    where unknown.
    """
    known = np.isfinite(followed.paid)
    sums = weights @ np.where(known, followed.paid, 0.0)
    counts = weights @ known.astype(float)
    unknown = np.full(sums.shape, np.nan)
    means = np.divide(sums, counts, out=unknown, where=counts > 0)
    mean = pd.DataFrame(means)
    return mean.ffill(axis=1).bfill(axis=1).to_numpy()


def worth(
    stay: Floats, paid: Floats, horizon: int, discount: float = LIMITS["discount_a_year"]
) -> Floats:
    """Money that a client brings within `horizon` months, discounted to the day of signing, shape
    (m,).

    sum over t from 0 of paid_t S(t) / (1 + discount)^(t / 12). Source: METHODS 5.

    >>> stay = (1 - 0.08) ** np.arange(601)
    >>> float(worth(stay[None, :], np.full((1, 600), 0.10), 600)[0].round(4))
    1.1458
    """
    t = np.arange(horizon)
    brought = stay[:, :horizon] * paid[:, :horizon]
    less = (1 + discount) ** (t / 12)
    today = brought / less
    return np.asarray(today.sum(axis=1))


def horizon_of(*parts: Course) -> int:
    """Months over which value is counted: the longest of `HORIZONS` for which all were watched that
    were for a year.
    """
    known = [part.known for part in parts if part.known >= min(HORIZONS)]
    return next((months for months in HORIZONS if known and months <= min(known)), 0)
