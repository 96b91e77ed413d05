"""Where revenue levels off and when (B3), and what the present clients will still bring.

Revenue is what those signed so far pay: R(t) = sum over u of a(t - u) S(u) paid(u). It stops growing where those who
leave take as much as those who sign bring: at sign-ups a month times what one brings in its whole life (Little's law).
Source: METHODS 5.
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from lifelines import LogNormalFitter, WeibullFitter
from lifelines.exceptions import ConvergenceError

from retention.contract_term import MIN_AT_RISK
from retention.curves import follow_up
from retention.economics.lifetimes import DISCOUNT, DRAWS, Course, paid_there, survival, with_limits
from retention.economics.money import NEEDS
from retention.features import KEY
from retention.results import Estimate, Estimates, Finding, between, quantity
from retention.snapshots import last_month, month_of
from retention.spells import DAY

YEAR = 12
SIGNED_MONTHS = 24  # (ours) sign-ups a month are those of the last two years, or of the records where they are shorter
AHEAD = 120  # months that are looked ahead
NEARLY = 0.95  # share of the plateau at which revenue counts as levelled off: METHODS 5
HEAVY = 0.25  # (ours) share of the plateau beyond what was watched, from which none can be promised
TAIL_MONTHS = 24  # (ours) months by which the pace of those who stay longest is told
LATEST = 3  # months whose mean is what a client pays now
Floats = np.ndarray


def revenue_path(signed: Floats, stay: Floats) -> Floats:
    """Revenue by month, shape (months,): what is `signed` each month stays by `stay`, the share after 0, 1, ... months.

    A twelfth of 20 a month, of which a twelfth leaves each month, levels off at 20:

    >>> revenue_path(np.full(120, 10 / 6), (11 / 12) ** np.arange(120))[[11, 23, 59, 119]].round(3).tolist()
    [12.96, 17.522, 19.892, 19.999]
    """
    months = len(signed)
    return np.convolve(signed, stay[:months])[:months]


def levelled_off(path: Floats, level: float) -> float:
    """The first month (from 1) from which revenue stays within a twentieth of its level; inf if never.

    >>> levelled_off(revenue_path(np.full(120, 10 / 6), (11 / 12) ** np.arange(120)), 20.0)
    35.0
    """
    off = np.flatnonzero(np.abs(path - level) > (1 - NEARLY) * level)
    last = off[-1] + 1 if len(off) else 0
    return float(last + 1) if last < len(path) else math.inf


@dataclass(frozen=True)
class Outlook:
    """Revenue to come, arrays of draws (first as estimated) by month from the cut-off on, shape (m, months + 1).

    `book` is what the present clients will still pay, `new` those signed from now on. `within` and `level` (shape (m,))
    are the plateau from what was watched (`known` months), and with clients who stay longer leaving as the longest
    watched did lately; `tails` the same by parametric curves. `signed` sign-ups a month.
    """

    cutoff: dt.date
    known: int
    book: Floats
    new: Floats
    signed: Floats
    within: Floats
    level: Floats
    tails: dict[str, float]
    counts: str
    clients: tuple[int, int]

    @property
    def path(self) -> Floats:
        """Revenue of both."""
        return self.book + self.new

    @property
    def beyond(self) -> float:
        """Share of the plateau that rests on clients staying longer than any were watched."""
        return float(1 - self.within[0] / self.level[0])


def outlook(found: Course, cutoff: dt.date, draws: int = DRAWS) -> Outlook | None:
    """What is to come if clients sign as lately, pay as they did and leave as they did; None where too little is known.

    Every draw resamples the clients: sign-ups, lifetimes and fees move together.
    """
    known = found.known
    if not found.has_money or known < YEAR:
        return None
    weights = found.weights(draws)
    stay, paid = survival(found, weights)[:, : known + 1], paid_there(found, weights)[:, :known]
    signed, pace = signups(found, weights, cutoff), _last_pace(found, weights, known)
    # Beyond what was watched: leaving at the last years' pace, paying as in the last year.
    longest = AHEAD + int(found.spells["observed_months"].max()) + 1
    later = np.arange(1, max(longest - known, 1) + 1)
    stay = np.hstack([stay, stay[:, -1:] * (1 - pace[:, None]) ** later])
    usual = paid[:, -YEAR:].mean(axis=1, keepdims=True)
    paid = np.hstack([paid, np.repeat(usual, stay.shape[1] - known, axis=1)])
    brings = stay * paid
    within = signed * brings[:, :known].sum(axis=1)
    tail = stay[:, known] / pace  # months beyond, in the mean
    new = np.hstack([np.zeros((len(signed), 1)), signed[:, None] * np.cumsum(brings, axis=1)[:, :AHEAD]])
    rest = {name: within[0] + float(signed[0] * usual[0, 0] * months) for name, months in _tails(found, known).items()}
    level = within + signed * usual[:, 0] * tail
    counts = (len(found.spells), int(found.left.sum()))
    return Outlook(cutoff, known, book(found, weights, stay), new, signed, within, level, rest, found.counts, counts)


def signups(found: Course, weights: Floats, cutoff: dt.date) -> Floats:
    """Clients signed a month lately, shape (m,)."""
    spells, last = found.spells, pd.Timestamp(cutoff)
    watched = int((spells["observed_months"] - spells["entry_months"]).max())
    months = min(SIGNED_MONTHS, watched)
    lately = spells["start_date"] >= last + DAY - pd.DateOffset(months=months)
    return np.asarray(weights @ (lately & (spells["entry_months"] == 0)).to_numpy(float) / months)


def _last_pace(found: Course, weights: Floats, known: int) -> Floats:
    """Share of the longest watched who leave in a month, over the last years that were watched, shape (m,).

    Half an end is added: that nobody left lately does not mean that nobody ever will.
    """
    last = slice(max(known - TAIL_MONTHS, 0), known)
    there = weights @ found.at_risk[:, last].sum(axis=1)
    return np.asarray((weights @ found.left[:, last].sum(axis=1) + 0.5) / np.maximum(there, 1.0))


def _tails(found: Course, known: int) -> dict[str, float]:
    """Months that a new client stays beyond those watched, in the mean, by curves fitted to all of it.

    The share still there is that of the data; how long those stay is the curve's. Late entry is allowed for; an end in
    month k lies between k - 1 and k. A curve that cannot be fitted is left out.
    """
    outcome = follow_up(found.spells)
    seen = outcome.stop > outcome.entry
    stop, entry, ended = outcome.stop[seen], outcome.entry[seen], outcome.kind[seen] > 0
    lower, upper = np.where(ended, stop - 1, stop), np.where(ended, stop, np.inf)
    if not ended.any():
        return {}
    share, grid, told = survival(found, np.ones((1, len(found.spells))))[0, known], np.arange(known, 2400.0), {}
    for name, fitter in (("Weibull", WeibullFitter()), ("log-normal", LogNormalFitter())):
        try:
            limits = (np.maximum(lower, 1e-3), np.maximum(upper, 2e-3))
            with np.errstate(all="ignore"):  # the search tries curves that no number can hold
                fitter.fit_interval_censoring(*limits, entry=np.minimum(entry, lower))
        except ConvergenceError:
            continue  # a curve that does not fit these lifetimes bounds nothing
        curve = fitter.survival_function_at_times(grid).to_numpy()
        told[name] = float(share * curve.sum() / curve[0]) if curve[0] > 0 else 0.0
    return told


def book(found: Course, weights: Floats, stay: Floats) -> Floats:
    """What the present clients will pay in the coming months, shape (m, AHEAD + 1), given how long they have stayed.

    A client of age a is still there h months on with chance S(a + h) / S(a), and pays what it pays now. Those who have
    given notice are counted as gone.
    """
    present, now = present_clients(found)
    ages = found.spells["observed_months"].to_numpy(int)
    bring = np.zeros((len(weights), ages.max() + 1))
    for age in np.unique(ages[present]):
        mask = present & (ages == age)
        bring[:, age] = weights[:, mask] @ now[mask]
    path = np.zeros((len(weights), AHEAD + 1))
    for age in np.flatnonzero(bring.any(axis=0)):
        left = np.maximum(stay[:, age : age + 1], 1e-12)
        path += bring[:, age : age + 1] * stay[:, age : age + AHEAD + 1] / left
    return path


def present_clients(found: Course) -> tuple[Floats, Floats]:
    """Who is there and not under notice (mask of shape (n,)), and what each pays a month now: the last months' mean."""
    present = found.spells["end_date"].isna().to_numpy()
    paid = pd.DataFrame(found.paid).T.ffill(limit=LATEST).T.to_numpy()
    last = found.spells["stop_months"].to_numpy(int)
    now = np.full(len(last), np.nan)
    for i in np.flatnonzero(present):
        months = paid[i, max(last[i] - LATEST, 0) : last[i]]
        now[i] = np.nanmean(months) if np.isfinite(months).any() else np.nan
    usual = np.nanmedian(now) if np.isfinite(now).any() else 0.0
    return present, np.where(np.isfinite(now), now, usual)


def plateau_table(found: Outlook | None) -> Estimates:
    """Revenue now, in a year and in two, the plateau and its bounds, and when it is reached (B3)."""
    if found is None:
        return Estimates((), "Where revenue levels off")
    when = np.array([levelled_off(path, level) for path, level in zip(found.path, found.level, strict=True)])
    told = {
        "clients signed a month": (found.signed, "number"),
        "revenue a month now": (found.path[:, 0], "money"),
        "revenue a month in a year": (found.path[:, YEAR], "money"),
        "revenue a month in two years": (found.path[:, 2 * YEAR], "money"),
        f"plateau, from lifetimes of up to {found.known} months": (found.within, "money"),
        "plateau, if the longest go on leaving as lately": (found.level, "money"),
        "months until revenue is within a twentieth of it": (when, "months"),
        "of today's revenue, lost in a year by those who leave": (1 - found.book[:, YEAR] / found.book[:, 0], "share"),
        "worth of the present clients, over ten years": (present_worth(found), "money"),
    }
    rows = [Estimate.of("B3", name, "all", with_limits(v), unit, found.clients) for name, (v, unit) in told.items()]
    for name, level in found.tails.items():
        rows.append(Estimate.of("B3", f"plateau, if lifetimes follow a {name} curve", "all", (level,), "money"))
    return Estimates(tuple(rows), f"Revenue to come ({found.counts}), if clients sign, pay and leave as they did")


def present_worth(found: Outlook) -> Floats:
    """What the present clients will still bring in ten years, discounted by a tenth a year, shape (m,) (B7)."""
    return np.asarray((found.book[:, 1:] / (1 + DISCOUNT) ** (np.arange(1, AHEAD + 1) / YEAR)).sum(axis=1))


def plateau_words(found: Outlook | None, currency: str = "") -> Finding:
    """Where revenue levels off and when, in a sentence; or that no plateau can be promised."""
    if found is None:
        why = f"It takes {NEEDS} and a year of service watched."
        return Finding("B3", f"Where revenue levels off cannot be told yet. {why}")
    now, (level, low, high) = found.path[0, 0], with_limits(found.level)
    months = levelled_off(found.path[0], level)
    money = f"{quantity(level, 'money')} {currency}".strip()
    limits = f"95% interval {between(low, high, 'money')}"
    if found.beyond > HEAVY:
        least = f"{quantity(found.within[0], 'money')} {currency}".strip()
        text = (
            f"No plateau can be promised: {found.beyond:.0%} of it would come from clients staying longer than the "
            f"{found.known} months that could be watched. It is at least {least} a month; if the longest go on leaving "
            f"as lately, {money} ({limits})."
        )
        return Finding("B3", text)
    grown, lowest, most = with_limits(found.level / found.path[:, 0] - 1)
    if lowest <= 0 <= most:
        text = f"Revenue levels off at {money} a month ({limits}), where those who leave take what those who sign bring"
        today = f"{quantity(now, 'money')} {currency}".strip()
        return Finding("B3", f"{text}: as far as can be told, it is there already (now {today}).")
    when = "in more than ten years"
    if math.isfinite(months):
        when = f"by {pd.Timestamp(found.cutoff) + pd.DateOffset(months=int(months)):%B %Y}"
    way = "grows" if grown > 0 else "shrinks"
    text = f"Revenue {way} from {quantity(now, 'money')} to {money} a month ({limits}) and is nearly there {when}"
    return Finding("B3", f"{text}, if clients sign, pay and leave as they did.")


def retained(spells: pd.DataFrame, money: pd.DataFrame, cutoff: dt.date) -> Estimates:
    """Of last year's clients: the share still here, and the share of their fees still paid, up-sells included or not.

    Twelve months between two whole months on record, and the twelve before. One who left counts as nothing. A client
    without fees by month counts for logo retention alone. Source: METHODS 5, net revenue retention.
    """
    last, rng, rows = last_month(pd.Timestamp(cutoff)), np.random.default_rng(1), []
    last = last if money.empty else min(last, int(money["month"].max()))  # fees are written down late
    first, gone = month_of(spells["start_date"]), month_of(spells["end_date"] + DAY)
    for group, now in (("the last twelve months", last), ("the twelve before", last - YEAR)):
        then = now - YEAR
        begun = month_of(spells["start_date"] + pd.to_timedelta(spells["entry_months"] * 30.4375, unit="D"))
        there = (first <= then) & ~(gone <= then) & (begun <= then + 1)
        if there.sum() < MIN_AT_RISK:
            continue
        part = spells[there]
        kept = (~(gone <= now))[there].to_numpy(float)
        paid = {month: _fees_in(part, money, month) for month in (then, now)}
        weights = np.vstack([np.ones(len(part)), rng.multinomial(len(part), np.full(len(part), 1 / len(part)), DRAWS)])
        told = {"clients kept (logo retention)": kept @ weights.T / weights.sum(axis=1)}
        if np.nansum(paid[then]) > 0 and np.nansum(paid[now]) > 0:
            before, after = np.nan_to_num(paid[then]), np.where(kept > 0, np.nan_to_num(paid[now]), 0.0)
            told["fees kept, raises and cuts included (net)"] = weights @ after / (weights @ before)
            told["fees kept, raises not counted (gross)"] = weights @ np.minimum(after, before) / (weights @ before)
        counts = (len(part), int(len(part) - kept.sum()))
        rows += [Estimate.of("B3", name, group, with_limits(values), "share", counts) for name, values in told.items()]
    return Estimates(tuple(rows), "Of the clients of a year before: how many and how much is left")


def _fees_in(part: pd.DataFrame, money: pd.DataFrame, month: int) -> Floats:
    rows = part[KEY].merge(money[money["month"] == month], on=KEY, how="left")
    return rows["fee"].to_numpy(float)


def outlook_rows(found: Outlook | None) -> pd.DataFrame:
    """Revenue to come for the chart: `group, month, mean, low, high, level, level_low, level_high`."""
    names = ["group", "month", "mean", "low", "high", "level", "level_low", "level_high"]
    if found is None:
        return pd.DataFrame(columns=names)
    level, parts = dict(zip(names[-3:], with_limits(found.level), strict=True)), []
    for group, path in (("all clients", found.path), ("those here now", found.book)):
        low, high = np.quantile(path[1:], [0.025, 0.975], axis=0)
        frame = pd.DataFrame({"month": np.arange(path.shape[1]), "mean": path[0], "low": low, "high": high})
        parts.append(frame.assign(group=group, **level))
    return pd.concat(parts, ignore_index=True)


def outlook_alt(rows: pd.DataFrame, currency: str = "") -> str:
    """The chart in words."""
    told = rows[rows["month"].isin([0, YEAR, 2 * YEAR, 5 * YEAR])]
    words = [f"{row.group}, month {row.month}: {row.mean:,.0f} {currency}".strip() for row in told.itertuples()]
    return f"Revenue a month to come. {'; '.join(words) or 'Not known'}."
