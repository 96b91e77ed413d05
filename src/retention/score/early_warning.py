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
from scipy import stats

from retention.history.features import KEY
from retention.history.snapshots import last_month, month_of
from retention.history.spells import CLIENT, UNKNOWN
from retention.results import Finding
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
FALSE_ALARM = 0.045  # (ours) of reports without a change: under one in twenty
BANDS = (6, 18)  # months of service at which leaving changes: METHODS 7
NEAR = 4  # (ours) months to renewal from which clients on a fixed term are one group
# (ours) client-months by which a group's share is shrunk towards that of its kind of contract
SHRINK = 20.0
RISE = 2.0  # (ours) times as much churn: the rise that the chart is made to see
DRAWS = 20_000
SEED = 1


@dataclass(frozen=True)
class Watch:
    """Observed and expected ends by choice, `months` of the chart, and how unusual the last of them
    are.

    `months`: `month, observed, expected`. `window` is the stretch of the last months that stands
    out most, with its `observed` and `expected` ends; `chance` is how often as much stands out
    where nothing has changed. `why` says what is lacking; then there is nothing else.
    """

    months: pd.DataFrame
    window: int = 0
    observed: int = 0
    expected: float = 0.0
    chance: float = 1.0
    why: str = ""

    @property
    def risen(self) -> bool:
        """Whether chance makes such a rise in no more than FALSE_ALARM of reports."""
        return not self.why and self.chance <= FALSE_ALARM

    def answer(self) -> Finding:
        """Whether churn has risen; a warning where it has."""
        if self.why:
            return Finding("risk", say("churn_risk.lately.unknown", why=self.why))
        if self.risen:
            text = say("churn_risk.lately.risen", counts=self._counts(), false_alarm=FALSE_ALARM)
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


def watch(rows: pd.DataFrame, spells: pd.DataFrame, cutoff: dt.date) -> Watch:
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
    reported = (last - table["month"]).map(_on_record(table, last)).astype(float)
    table = table.assign(expected=share * reported, error=error * reported**2)
    sums = table.groupby("month").agg(observed=("left", "sum"), expected=("expected", "sum"))
    months = sums.reset_index()
    spread = _overdispersion(months[months["month"] <= last - APART])
    window, chance = _unusual(table[table["month"] > last - max(WINDOWS)], last, spread)
    inside = table[table["month"] > last - window]
    observed = int(inside["left"].sum())
    expected = float(inside["expected"].sum())
    return Watch(months[months["month"] > last - SHOWN], window, observed, expected, chance)


def _no_months() -> pd.DataFrame:
    return pd.DataFrame(columns=["month", "observed", "expected"])


def _followed(rows: pd.DataFrame, spells: pd.DataFrame, last: int) -> pd.DataFrame:
    """A row a client and month in which it could be seen to give notice: `month, left, late, kind,
    group, term`.

    It was there, and not known to be under notice, at the end of the month before. `late` is how
    many months later a decision was on record. Of a day of decision that is counted back, that is
    the month of the end.
    """
    chosen = spells["end_kind"].isin([CLIENT, UNKNOWN])
    recorded = spells["recorded_date"].fillna(
        spells["end_date"].where(spells["decision_assumed"], spells["decision_date"])
    )
    decided = month_of(spells["decision_date"]).where(chosen)
    ends = spells[KEY].assign(decided=decided, late=(month_of(recorded) - decided).clip(lower=0))
    columns = [*KEY, "month", "monthly", "term_months", "months_to_renewal", "tenure_months"]
    table = rows[columns].merge(ends, on=KEY, how="left")
    table["month"] += 1
    table = table[table["month"] <= last].reset_index(drop=True)
    left = (table["decided"] == table["month"]) & (table["month"] + table["late"] <= last)
    free = table["monthly"].astype(float).fillna(1.0) > 0
    service = np.digitize(table["tenure_months"].astype(float), BANDS)
    near = table["months_to_renewal"].astype(float).clip(upper=NEAR).fillna(NEAR)
    kind = np.where(free, 0, 1 + near)
    # who breaks a contract long before its renewal decides then and there
    bound = ~free & (near < NEAR)
    term = table["term_months"].astype(float).where(bound, 1.0).fillna(1.0)
    length = table["term_months"].astype(float).where(~free, 1.0).fillna(1.0)
    return table.assign(
        left=left.astype(int), kind=kind, group=service + 10 * kind + 1000 * length, term=term
    )


def _on_record(table: pd.DataFrame, last: int) -> Mapping[int, float]:
    """The share of decisions that are on record so many months after their own, from those that all
    are by now.
    """
    late = table.loc[
        (table["decided"] == table["month"]) & (table["month"] <= last - APART), "late"
    ]
    ages = range(int(last - table["month"].min()) + 1)
    return {age: float((late <= age).mean()) if len(late) else 1.0 for age in ages}


def _expected(learned: pd.DataFrame, table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Each row's expected share who give notice, and the variance of that share, by group.

    A group's share is shrunk towards that of its kind (free, or so near to renewal), as far as it
    has few client-months.
    """
    kinds = learned.groupby("kind")["left"].mean()
    sums = learned.groupby(["kind", "group"])["left"].agg(["sum", "size"]).reset_index()
    parent = sums["kind"].map(kinds)
    size = sums["size"] + SHRINK
    share = pd.Series(((sums["sum"] + SHRINK * parent) / size).to_numpy(), sums["group"])
    variance = share * (1 - share) / size.to_numpy()
    fallback = table["kind"].map(kinds).fillna(learned["left"].mean())
    found = table["group"].map(share).fillna(fallback).to_numpy(float)
    return found, table["group"].map(variance).fillna(0.0).to_numpy(float)


def _overdispersion(months: pd.DataFrame) -> float:
    """How much more than Poisson's the months before have varied around what was expected; 1 where
    chance can be it.
    """
    enough = months[months["expected"] > 0]
    squares = (enough["observed"] - enough["expected"]) ** 2 / enough["expected"]
    free = max(len(enough) - 1, 1)
    return float(squares.sum() / free) if stats.chi2.sf(squares.sum(), free) < 0.05 else 1.0


def _unusual(table: pd.DataFrame, last: int, spread: float) -> tuple[int, float]:
    """The window that stands out most, and how often as much does where nothing has changed.

    Counts by month and kind of contract are drawn from what is expected (Poisson, as overdispersed
    as the months before), the expected ones with the error of the shares that they are made of.
    """
    cells = table.groupby(["month", "term"]).agg(
        left=("left", "sum"),
        expected=("expected", "sum"),
        error=("error", "sum"),
        rows=("left", "size"),
    )
    cells = cells.reset_index()
    parts = np.stack([_parts(cells, last, window) for window in WINDOWS])
    observed = cells["left"].to_numpy(float)
    expected = cells["expected"].to_numpy(float)
    marks = _evidence(observed[None], expected, parts)[0]
    rng = np.random.default_rng(SEED)
    off = _errors(table, cells, rng)
    drawn = _counts(rng, np.clip(expected + off, 0, None), spread)
    by_chance = _evidence(drawn, expected, parts).max(axis=1)
    best = int(np.argmax(marks))
    chance = (1 + np.sum(by_chance >= marks[best])) / (1 + DRAWS)
    return WINDOWS[best], float(chance)


def _parts(cells: pd.DataFrame, last: int, window: int) -> np.ndarray:
    """The part of what a decision answers for that lies in the window: months since it began over
    the term.
    """
    since = cells["month"] - (last - window)
    return np.asarray((since / cells["term"]).clip(0, 1), dtype=float)


def _evidence(counts: np.ndarray, expected: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """The log likelihood ratio of a rise by RISE within each window against none, a column a
    window.

    Its largest value over windows is the CUSUM of Poisson counts (Lucas 1985), each window weighed
    by its prior.
    """
    ratio = np.log(RISE) * counts @ parts.T - (RISE**parts - 1) @ expected
    return np.asarray(ratio + np.log([PRIOR[window] for window in WINDOWS]))


def _errors(table: pd.DataFrame, cells: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    """Draws of how far the expected ends of each cell are off, shape (DRAWS, cells): a group errs
    alike in all.
    """
    sums = table.assign(root=np.sqrt(table["error"])).pivot_table(
        index=["month", "term"], columns="group", values="root", aggfunc="sum", fill_value=0.0
    )
    ordered = sums.reindex(pd.MultiIndex.from_frame(cells[["month", "term"]]))
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
