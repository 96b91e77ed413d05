"""Where revenue levels off and when (B3), and what the present clients will still bring.

Revenue is what those signed so far pay: R(t) = sum over u of a(t - u) S(u) paid(u). It stops
growing where those who leave take as much as those who sign bring: at sign-ups a month times what
one brings in its whole life (Little's law). Source: METHODS 5.
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from lifelines import LogNormalFitter, WeibullFitter
from lifelines.exceptions import ConvergenceError

from retention.history.follow_up import follow_up
from retention.history.money import NEEDS
from retention.history.opportunities import renewals_known
from retention.history.spells import DAY
from retention.money.courses import DRAWS, LONGEST, Course, extended, paid_there, survival
from retention.money.on_the_books import AHEAD, YEAR, Floats, book
from retention.numbers import interval_words, quantity
from retention.results import ALL, Estimate, Estimates, Finding
from retention.settings import LIMITS, Limits
from retention.stats.intervals import NO_REPS, Weights, over, with_limits
from retention.words import Said, say, together

# (ours) sign-ups a month are those of the last two years, or of the records where they are shorter
SIGNED_MONTHS = 24
NEARLY = 0.95  # share of the plateau at which revenue counts as levelled off: METHODS 5


def levelled_off(path: Floats, level: float) -> float:
    """The first month (from 1) from which revenue stays within a twentieth of its level; inf if
    never.

    A twelfth of 20 a month is added, and a twelfth of what there is leaves:

    >>> levelled_off(20 * (1 - (11 / 12) ** np.arange(1, 121)), 20.0)
    35.0
    """
    away = np.abs(path - level)
    off = np.flatnonzero(away > (1 - NEARLY) * level)
    last = off[-1] + 1 if len(off) else 0
    return float(last + 1) if last < len(path) else math.inf


@dataclass(frozen=True)
class Outlook:
    """Revenue to come, arrays by the rows of `Weights` and by month from the cut-off on, shape (m,
    AHEAD + 1).

    `book` is what the present clients (month 0) will still pay, `new` those signed from now on.
    `within` and `level` (shape (m,)) are the plateau from what was watched (`known` months), and
    with clients who stay longer leaving as those longest watched did lately; `tails` the same by
    parametric curves. `signed` sign-ups a month; `fee` what a client pays in the mean of its
    months; `discount` a year on what comes later; `sizes` are those of the reps.
    """

    cutoff: dt.date
    known: int
    book: Floats
    new: Floats
    signed: Floats
    fee: Floats
    within: Floats
    level: Floats
    tails: dict[Said, float]
    counts: str
    clients: tuple[int, int]
    discount: float
    sizes: Floats = field(default_factory=lambda: NO_REPS)

    def limits(self, values: Floats, unit: str = "") -> list[float]:
        """The first value with its 95 % limits, by client or by rep: `intervals.with_limits`."""
        return with_limits(values, self.sizes, unit)

    @property
    def path(self) -> Floats:
        """Revenue of both."""
        return self.book + self.new

    @property
    def beyond(self) -> float:
        """Share of the plateau that rests on clients staying longer than any were watched."""
        watched = self.within[0]
        return float(1 - watched / self.level[0])

    @property
    def months(self) -> Floats:
        """Months until revenue stays within a twentieth of its level, by draw."""
        return np.array(
            [
                levelled_off(path[1:], level)
                for path, level in zip(self.path, self.level, strict=True)
            ]
        )


def outlook(
    followed: Course, cutoff: dt.date, draws: int = DRAWS, notice: int = 1
) -> Outlook | None:
    """What is to come if clients sign as lately, pay as they did and leave as they did; None where
    too little is known.

    Every draw resamples the clients: sign-ups, lifetimes and fees move together. As a rep is left
    out, as many sign and are there as before: how many clients a rep has is no luck of the rep's.
    None too of a snapshot, whose starts are counted back: it does not tell who signed lately.
    """
    if not _can_be_told(followed):
        return None
    known = followed.known
    weights = followed.weights(draws)
    signed = signups(followed, weights, cutoff)
    if signed[0] <= 0:  # nobody signs: revenue levels off at nothing, there is no plateau to name
        return None
    stay = extended(followed, weights)
    paid = paid_all_along(followed, weights)
    brings = stay[:, :-1] * paid
    watched = brings[:, :known]
    while_watched = watched.sum(axis=1)
    within = signed * while_watched
    return Outlook(
        cutoff=cutoff,
        known=known,
        book=book(followed, weights, cutoff, notice),
        new=_of_new_clients(signed, brings),
        signed=signed,
        fee=while_watched / stay[:, :known].sum(axis=1),
        within=within,
        level=signed * brings[:, :LONGEST].sum(axis=1),
        tails=_levels(followed, within[0], float(signed[0] * paid[0, -1])),
        counts=followed.counts,
        clients=(len(followed.spells), int(followed.left.sum())),
        discount=followed.discount,
        sizes=weights.sizes,
    )


def _can_be_told(followed: Course) -> bool:
    """Whether enough is known for an outlook: fees, a year, ends, and who signed when."""
    enough = followed.known >= YEAR and not followed.few
    return followed.has_money and enough and renewals_known(followed.spells)


def _of_new_clients(signed: Floats, brings: Floats) -> Floats:
    """Revenue of those signed from now on, by month from the cut-off, shape (m, AHEAD + 1)."""
    sums = np.cumsum(brings, axis=1)
    so_far = sums[:, :AHEAD]
    nothing = np.zeros((len(signed), 1))
    revenue = signed[:, None] * so_far
    return np.hstack([nothing, revenue])


def _levels(followed: Course, within: float, a_month: float) -> dict[Said, float]:
    """The plateau by each fitted curve: what was watched, and `a_month` for the months beyond."""
    tails = _tails(followed, followed.known)
    return {name: within + float(a_month * months) for name, months in tails.items()}


def paid_all_along(followed: Course, weights: Weights) -> Floats:
    """What a client still there pays in each month, shape (m, LONGEST); after those watched as in
    their last year.
    """
    watched = paid_there(followed, weights)
    paid = watched[:, : followed.known]
    last_year = paid[:, -YEAR:]
    usual = last_year.mean(axis=1, keepdims=True)
    later = np.repeat(usual, LONGEST - followed.known, axis=1)
    return np.hstack([paid, later])


def signups(followed: Course, weights: Weights, cutoff: dt.date) -> Floats:
    """Clients signed a month lately, shape (m,); as many as each rep is left out, for reps do not
    sign clients.
    """
    spells = followed.spells
    months = signing_months(followed.spells)
    day = pd.Timestamp(cutoff) + DAY
    lately = spells["start_date"] >= day - pd.DateOffset(months=months)
    return weights.apart_from_reps(
        weights.times @ (lately & (spells["entry_months"] == 0)).to_numpy(float) / months
    )


def signing_months(spells: pd.DataFrame) -> int:
    """Months over which sign-ups are counted: the last two years, or as far as the records go."""
    followed = spells["observed_months"] - spells["entry_months"]
    return min(SIGNED_MONTHS, int(followed.max()))


def _tails(followed: Course, known: int) -> dict[Said, float]:
    """Months that a new client stays beyond those watched, in the mean, by curves fitted to all of
    it.

    The share still there is that of the data; how long those stay is the curve's. Late entry is
    allowed for; an end in month k lies between k - 1 and k. A curve that cannot be fitted is left
    out.
    """
    outcome = follow_up(followed.spells)
    seen = outcome.stop > outcome.entry
    stop = outcome.stop[seen]
    ended = outcome.kind[seen] > 0
    lower = np.where(ended, stop - 1, stop)
    upper = np.where(ended, stop, np.inf)
    begun = outcome.entry[seen]
    entry = np.minimum(begun, lower)
    low = np.maximum(lower, 1e-3)
    limits = (low, np.maximum(upper, 2e-3))
    number = len(followed.spells)
    everybody = np.ones((1, number))
    share = survival(followed, everybody)[0, known]
    grid = np.arange(known, 2400.0)
    curves = {
        say("economics.revenue.weibull"): WeibullFitter(),
        say("economics.revenue.lognormal"): LogNormalFitter(),
    }
    stays = {}
    for name, fitter in curves.items():
        try:
            with np.errstate(all="ignore"):  # the search tries curves that no number can hold
                fitter.fit_interval_censoring(*limits, entry=entry)
        except ConvergenceError:
            continue  # a curve that does not fit these lifetimes bounds nothing
        curve = fitter.survival_function_at_times(grid).to_numpy()
        stays[name] = float(share * curve.sum() / curve[0]) if curve[0] > 0 else 0.0
    return stays


def plateau_table(ahead: Outlook | None) -> Estimates:
    """Revenue now, in a year and in two, the plateau and its bounds, and when it is reached
    (B3).
    """
    if ahead is None:
        return Estimates((), say("economics.revenue.empty"))
    in_a_year = ahead.book[:, YEAR]
    lost = 1 - over(in_a_year, ahead.book[:, 0])
    values = [
        (say("economics.revenue.signed"), ahead.signed, "number"),
        (say("economics.revenue.now"), ahead.path[:, 1], "money"),
        (say("economics.revenue.in_a_year"), ahead.path[:, YEAR], "money"),
        (say("economics.revenue.in_two_years"), ahead.path[:, 2 * YEAR], "money"),
        (say("economics.revenue.within", months=ahead.known), ahead.within, "money"),
        (say("economics.revenue.level"), ahead.level, "money"),
        (say("economics.revenue.months"), ahead.months, "months"),
        (say("economics.revenue.lost"), lost, "share"),
        (say("economics.revenue.present"), present_worth(ahead), "money"),
    ]
    rows = [
        Estimate.of("B3", name, ALL, ahead.limits(drawn, unit), unit, ahead.clients)
        for name, drawn, unit in values
    ]
    for curve, level in ahead.tails.items():
        name = say("economics.revenue.tail", curve=curve)
        rows.append(Estimate.of("B3", name, ALL, (level,), "money"))
    caption = say("economics.revenue.caption", counts=ahead.counts)
    return Estimates(tuple(rows), caption)


def present_worth(ahead: Outlook) -> Floats:
    """What the present clients will still bring in ten years, discounted, shape (m,) (B7)."""
    months = np.arange(1, AHEAD + 1)
    discount = (1 + ahead.discount) ** (months / YEAR)
    worth_now = ahead.book[:, 1:] / discount
    return np.asarray(worth_now.sum(axis=1))


def plateau_words(
    ahead: Outlook | None, currency: str = "", thresholds: Limits = LIMITS
) -> Finding:
    """Where revenue levels off and when, in a sentence; or that no plateau can be promised."""
    if ahead is None:
        needs = say("economics.revenue.needs", needs=NEEDS)
        text = together(say("economics.revenue.lacking"), needs)
        return Finding("B3", text)
    level, low, high = ahead.limits(ahead.level, "money")
    money = _money(level, currency)
    limits = interval_words(low, high, "money")
    if ahead.beyond > thresholds["plateau_unwatched"]:
        lead = say("economics.revenue.no_plateau", beyond=ahead.beyond, months=ahead.known)
        least = _money(ahead.within[0], currency)
        bound = say("economics.revenue.at_least", least=least, money=money, limits=limits)
        return Finding("B3", together(lead, bound))
    revenue = ahead.path[0, 1]
    today = _money(revenue, currency)
    grows = over(ahead.level, ahead.path[:, 1])
    ratio = ahead.limits(grows, "ratio")
    grown, lowest, most = (limit - 1 for limit in ratio)
    if lowest <= 0 <= most:
        there = max(-lowest, most) <= thresholds["plateau_near"]
        now = "economics.revenue.there" if there else "economics.revenue.either_way"
        lead = say("economics.revenue.steady", money=money, limits=limits)
        said = say(now, today=today)
        return Finding("B3", together(lead, said))
    way = "economics.revenue.grows" if grown > 0 else "economics.revenue.shrinks"
    lead = say(way, today=today, money=money, limits=limits)
    return Finding("B3", together(lead, _when_words(ahead)))


def _money(value: float, currency: str) -> str:
    return f"{quantity(value, 'money')} {currency}".strip()


def _when_words(ahead: Outlook) -> Said:
    """By which month revenue is nearly at its plateau."""
    months = ahead.months[0]
    if not math.isfinite(months):
        return say("economics.revenue.far_off")
    later = pd.DateOffset(months=int(months))
    day = pd.Timestamp(ahead.cutoff) + later
    return say("economics.revenue.when", month=f"{day:%B %Y}")


def outlook_rows(ahead: Outlook | None) -> pd.DataFrame:
    """Revenue to come for the chart: `group, month, mean, low, high, level, level_low,
    level_high`.
    """
    names = ["group", "month", "mean", "low", "high", "level", "level_low", "level_high"]
    if ahead is None:
        return pd.DataFrame(columns=names)
    limits_of_level = ahead.limits(ahead.level, "money")
    level = dict(zip(names[-3:], limits_of_level, strict=True))
    groups = {say("economics.chart.all"): ahead.path, say("economics.chart.present"): ahead.book}
    parts = []
    for group, every in groups.items():
        # the month after the cut-off is the first in which some sign as well as leave
        path = every[:, 1:]
        limits = [ahead.limits(values, "money") for values in path.T]
        number = path.shape[1] + 1
        months = np.arange(1, number)
        columns = ["mean", "low", "high"]
        frame = pd.DataFrame(limits, columns=columns)
        whole = frame.assign(month=months, group=group, **level)
        parts.append(whole)
    return pd.concat(parts, ignore_index=True)


def outlook_alt(rows: pd.DataFrame, currency: str = "") -> Said:
    """The chart in words; `rows` as from `outlook_rows`."""
    shown = [1, YEAR, 2 * YEAR, 5 * YEAR]
    chosen = rows[rows["month"].isin(shown)]
    if chosen.empty:
        return say("economics.chart.unknown")
    points = [
        say(
            "economics.chart.point",
            group=row.group,
            month=row.month,
            money=_money(row.mean, currency),
        )
        for row in chosen.itertuples()
    ]
    return say("economics.chart.alt", points="; ".join(points))
