"""Has churn risen lately? Ends by choice of the last months against those expected from the renewal
calendar.

What is expected is made of the months before the last twelve: the share who give notice in the
month that follows, by contract term, months to renewal, and months of service. A client on a fixed
term decides at its renewal for the whole term. So a renewal counts by the part of its term that
lies in the months that are looked at; a client who is free to leave counts in full. Source: METHODS
7; limits from the null distribution as in Spiegelhalter 2005.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special, stats

from retention.history.features import KEY
from retention.history.snapshots import last_month, month_of
from retention.history.spells import CLIENT, UNKNOWN
from retention.results import Finding
from retention.settings import LIMITS, Limits
from retention.words import Said, say

# (ours) Months that are looked at, up to the cut-off, with the prior weight of a rise that long
# ago. A recent one weighs most, because an older one has been reported before.
PRIOR = {3: 0.8, 6: 0.2}
WINDOWS = tuple(PRIOR)
# (ours) months before the cut-off from which nothing is learned, so that a rise is not taken for
# usual
APART = 12
SHOWN = 24  # (ours) months on the chart
# (ours) clients who left, and months, from which the usual is learned
MIN_EVENTS, MIN_MONTHS = 40, 12
BANDS = (6, 18)  # months of service at which leaving changes: METHODS 7
NEAR = 4  # (ours) months to renewal from which clients on a fixed term are one group
# (ours) client-months by which a group's share is shrunk towards that of its kind of contract
SHRINK = 20.0
DRAWS = 20_000
SEED = 1


@dataclass(frozen=True)
class Watch:
    """Observed and expected ends by choice, `months` of the chart, and how unusual the last of them
    are.

    `months`: `month, observed, expected`. `window` is the stretch of the last months that stands
    out most, with its `observed` and `expected` ends; `chance` is how often as much stands out
    where nothing has changed. `why` says what is lacking; then there is nothing else. `alarm` is
    the share of reports without a change in which a warning may stand.
    """

    months: pd.DataFrame
    window: int = 0
    observed: int = 0
    expected: float = 0.0
    chance: float = 1.0
    why: str = ""
    alarm: float = LIMITS["false_alarms"]

    @property
    def risen(self) -> bool:
        """Whether chance makes such a rise in no more than `alarm` of reports."""
        return not self.why and self.chance <= self.alarm

    def answer(self) -> Finding:
        """Whether churn has risen; a warning where it has."""
        if self.why:
            return Finding("risk", say("churn_risk.lately.unknown", why=self.why))
        if self.risen:
            counts = self._counts()
            text = say("churn_risk.lately.risen", counts=counts, false_alarm=self.alarm)
            return Finding("risk", text, "warning")
        return Finding("risk", say("churn_risk.lately.calm", counts=self._counts()))

    def _counts(self) -> Said:
        """Who left in the last months, and how many were expected, in words."""
        if self.window == 1:
            return say(
                "churn_risk.lately.counts_month", observed=self.observed, expected=self.expected
            )
        return say(
            "churn_risk.lately.counts_months",
            months=self.window,
            observed=self.observed,
            expected=self.expected,
        )


def watch(
    rows: pd.DataFrame, spells: pd.DataFrame, cutoff: dt.date, limits: Limits = LIMITS
) -> Watch:
    """The last months compared with what the months before lead one to expect.

    `rows` as `snapshots.build_snapshots` makes them, a row a client and month's end.
    """
    if rows.empty:
        return Watch(_no_months(), why=say("churn_risk.lately.no_dates"))
    last = last_month(pd.Timestamp(cutoff))
    table = _followed(rows, spells, last)
    learned = table[table["month"] <= last - APART]
    left = int(learned["left"].sum())
    if left < MIN_EVENTS or learned["month"].nunique() < MIN_MONTHS:
        why = say("churn_risk.lately.few", needed=MIN_EVENTS, months=MIN_MONTHS, left=left)
        return Watch(_no_months(), why=why)
    share, error = _expected(learned, table)
    ago = last - table["month"]
    reported = ago.map(_on_record(table, last)).astype(float)
    variance = error * reported**2
    table = table.assign(expected=share * reported, error=variance)
    by_month = table.groupby("month")
    sums = by_month.agg(observed=("left", "sum"), expected=("expected", "sum"))
    months = sums.reset_index()
    apart = months["month"] <= last - APART
    spread = _overdispersion(months[apart])
    lately = table["month"] > last - max(WINDOWS)
    window, chance = _unusual(table[lately], last, spread, limits["churn_rise"])
    inside = table[table["month"] > last - window]
    observed = int(inside["left"].sum())
    expected = float(inside["expected"].sum())
    shown = months[months["month"] > last - SHOWN]
    return Watch(shown, window, observed, expected, chance, alarm=limits["false_alarms"])


def _no_months() -> pd.DataFrame:
    columns = ["month", "observed", "expected"]
    return pd.DataFrame(columns=columns)


def _followed(rows: pd.DataFrame, spells: pd.DataFrame, last: int) -> pd.DataFrame:
    """A row a client and month in which it could be seen to give notice: `month, left, late, kind,
    group, term`.

    It was there, and not known to be under notice, at the end of the month before. `late` is how
    many months later a decision was on record. Of a day of decision that is counted back, that is
    the month of the end.
    """
    kinds = [CLIENT, UNKNOWN]
    chosen = spells["end_kind"].isin(kinds)
    recorded = spells["recorded_date"].fillna(
        spells["end_date"].where(spells["decision_assumed"], spells["decision_date"])
    )
    decided = month_of(spells["decision_date"]).where(chosen)
    delay = (month_of(recorded) - decided).clip(lower=0)
    ends = spells[KEY].assign(decided=decided, late=delay)
    columns = [*KEY, "month", "monthly", "term_months", "months_to_renewal", "tenure_months"]
    table = rows[columns].merge(ends, on=KEY, how="left")
    table["month"] += 1
    in_time = table[table["month"] <= last]
    table = in_time.reset_index(drop=True)
    recorded_by = table["month"] + table["late"] <= last
    left = (table["decided"] == table["month"]) & recorded_by
    monthly = table["monthly"].astype(float)
    free = monthly.fillna(1.0) > 0
    tenure = table["tenure_months"].astype(float)
    service = np.digitize(tenure, BANDS)
    ahead = table["months_to_renewal"].astype(float)
    near = ahead.clip(upper=NEAR).fillna(NEAR)
    kind = np.where(free, 0, 1 + near)
    # who breaks a contract long before its renewal decides then and there
    bound = ~free & (near < NEAR)
    months = table["term_months"].astype(float)
    term = months.where(bound, 1.0).fillna(1.0)
    months_bound = table["term_months"].astype(float)
    length = months_bound.where(~free, 1.0).fillna(1.0)
    gone = left.astype(int)
    return table.assign(left=gone, kind=kind, group=service + 10 * kind + 1000 * length, term=term)


def _on_record(table: pd.DataFrame, last: int) -> Mapping[int, float]:
    """The share of decisions that are on record so many months after their own, from those that all
    are by now.
    """
    late = table.loc[
        (table["decided"] == table["month"]) & (table["month"] <= last - APART), "late"
    ]
    span = last - table["month"].min()
    ages = range(int(span) + 1)
    return {age: float((late <= age).mean()) if len(late) else 1.0 for age in ages}


def _expected(learned: pd.DataFrame, table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Each row's expected share who give notice, and the variance of that share, by group.

    A group's share is shrunk towards that of its kind (free, or so near to renewal), as far as it
    has few client-months.
    """
    by_kind = learned.groupby("kind")
    kinds = by_kind["left"].mean()
    by_group = learned.groupby(["kind", "group"])["left"]
    sums = by_group.agg(["sum", "size"]).reset_index()
    parent = sums["kind"].map(kinds)
    size = sums["size"] + SHRINK
    shrunk = (sums["sum"] + SHRINK * parent) / size
    share = pd.Series(shrunk.to_numpy(), sums["group"])
    spread = share * (1 - share)
    variance = spread / size.to_numpy()
    fallback = table["kind"].map(kinds).fillna(learned["left"].mean())
    known = table["group"].map(share)
    found = known.fillna(fallback).to_numpy(float)
    variances = table["group"].map(variance)
    return found, variances.fillna(0.0).to_numpy(float)


def _overdispersion(months: pd.DataFrame) -> float:
    """How much more than Poisson's the months before have varied around what was expected; 1 where
    chance can be it.
    """
    enough = months[months["expected"] > 0]
    off = enough["observed"] - enough["expected"]
    squares = off**2 / enough["expected"]
    free = max(len(enough) - 1, 1)
    return float(squares.sum() / free) if stats.chi2.sf(squares.sum(), free) < 0.05 else 1.0


def _unusual(table: pd.DataFrame, last: int, spread: float, rise: float) -> tuple[int, float]:
    """The window that stands out most, and how often as much does where nothing has changed. The
    likelihoods of a rise in each window count together.

    Counts by month and kind of contract are drawn from what is expected (Poisson, as overdispersed
    as the months before), the expected ones with the error of the shares that they are made of.
    """
    key = ["month", "term"]
    cells = table.groupby(key).agg(
        left=("left", "sum"),
        expected=("expected", "sum"),
        error=("error", "sum"),
        rows=("left", "size"),
    )
    cells = cells.reset_index()
    by_window = [_parts(cells, last, window) for window in WINDOWS]
    parts = np.stack(by_window)
    observed = cells["left"].to_numpy(float)
    expected = cells["expected"].to_numpy(float)
    evidence = _evidence(observed[None], expected, parts, rise)
    marks = evidence[0]
    rng = np.random.default_rng(SEED)
    off = _errors(table, cells, rng)
    drawn = _counts(rng, np.clip(expected + off, 0, None), spread)
    drawn_marks = _evidence(drawn, expected, parts, rise)
    by_chance = special.logsumexp(drawn_marks, axis=1)
    best = int(np.argmax(marks))
    as_large = np.sum(by_chance >= special.logsumexp(marks))
    chance = (1 + as_large) / (1 + DRAWS)
    return WINDOWS[best], float(chance)


def _parts(cells: pd.DataFrame, last: int, window: int) -> np.ndarray:
    """The part of what a decision answers for that lies in the window: months since it began over
    the term.
    """
    since = cells["month"] - (last - window)
    share = (since / cells["term"]).clip(0, 1)
    return np.asarray(share, dtype=float)


def _evidence(
    counts: np.ndarray, expected: np.ndarray, parts: np.ndarray, rise: float
) -> np.ndarray:
    """The log likelihood ratio of a rise by `rise` within each window against none, with the log of
    the window's prior, a column a window.

    A decision that answers for months inside and outside of a window is `rise` times as likely for
    the part inside. Of one window it is the CUSUM of Poisson counts (Lucas 1985).
    """
    more = (rise - 1) * parts
    gain = counts @ np.log1p(more).T
    ratio = gain - more @ expected
    prior = [PRIOR[window] for window in WINDOWS]
    return np.asarray(ratio + np.log(prior))


def _errors(table: pd.DataFrame, cells: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    """Draws of how far the expected ends of each cell are off, shape (DRAWS, cells): a group errs
    alike in all.
    """
    key = ["month", "term"]
    sums = table.assign(root=np.sqrt(table["error"])).pivot_table(
        index=key, columns="group", values="root", aggfunc="sum", fill_value=0.0
    )
    order = cells[["month", "term"]]
    ordered = sums.reindex(pd.MultiIndex.from_frame(order))
    return rng.normal(size=(DRAWS, ordered.shape[1])) @ ordered.to_numpy().T


def _counts(rng: np.random.Generator, expected: np.ndarray, spread: float) -> np.ndarray:
    """Counts with these means and `spread` times the variance of Poisson's."""
    if spread <= 1:
        return rng.poisson(expected).astype(float)
    rate = rng.gamma(np.maximum(expected, 1e-9) / (spread - 1), spread - 1)
    return rng.poisson(rate).astype(float)


def in_words(found: Watch) -> str:
    """The chart in words."""
    if found.months.empty:
        return say("churn_risk.lately.alt_few")
    months = [
        say("churn_risk.lately.alt_month", observed=row.observed, expected=row.expected)
        for row in found.months.itertuples()
    ]
    return say("churn_risk.lately.alt", months=", ".join(months))
