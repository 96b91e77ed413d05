"""What became of detractors, and how clients of each source fare (C3, C4): counts, intervals, and
plain cautions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep

from retention.history.follow_up import follow_up
from retention.history.in_charge import NOBODY, last_rep
from retention.history.measures import DETRACTOR
from retention.history.panel import Panel
from retention.history.spells import CLIENT, UNKNOWN, whole_months
from retention.results import Estimate, Estimates
from retention.settings import LIMITS, Limits, study_plan
from retention.stats.curves import MIN_AT_RISK, after, kaplan_meier, known_through
from retention.stats.intervals import ratio_by_rep, share_limits
from retention.words import say

TURN = 3  # months after a detractor's answer in which its rep may change
LATER = 6  # further months in which it may answer anew
YEAR = 12
PUBLISHED_RATIO = float(study_plan()["C3"]["published_close_ratio"])  # STUDY C3
REFERRAL = "referral"
COLD = "cold"
CHANGED, SAME = ("changed", "same")  # the rep, since the answer
OUTCOMES = ("recovered", "detractor", "left", "other_end", "no_answer")


def episodes(panel: Panel) -> pd.DataFrame:
    """Each client's first detractor's answer that could be followed: `client_id`, `group`
    (`CHANGED` or `SAME`), `outcome` (one of `OUTCOMES`), `rep`.

    The rep may change in the three months after the answer, and has changed where another one is in
    charge as they end (a stand-in who came and went is no change); the outcome comes from the six
    months after those, so that nobody counts as changed because it stayed to see the change. `rep`
    is the one in charge then. Whoever left before is in neither group, and answers too late to be
    followed for the nine months are left out.
    """
    spells = panel.spells
    low = panel.nps <= DETRACTOR
    any_low = low.any(axis=1)
    rows = np.flatnonzero(any_low)
    first = low[rows].argmax(axis=1)
    served = whole_months(spells["start_date"], spells["end_date"])
    months = served + 1
    months_left = months.fillna(np.inf)
    stop = months_left.to_numpy(float)[rows]
    observed = spells["observed_months"].to_numpy()[rows]
    long_enough = observed > first + TURN + LATER
    seen = long_enough & (stop > first + TURN + 1)
    rows, first, stop = rows[seen], first[seen], stop[seen]
    before = panel.rep[rows, first]
    since = panel.rep[rows, first + TURN]
    had_rep = (before != since) & (before != NOBODY)
    changed = had_rep & (since != NOBODY)
    outcomes = _outcomes(panel, rows, first + TURN, stop)
    table = {
        "client_id": spells["client_id"].to_numpy()[rows],
        "group": np.where(changed, CHANGED, SAME),
        "outcome": outcomes,
        "rep": since,
    }
    return pd.DataFrame(table)


def _outcomes(panel: Panel, rows: np.ndarray, begin: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """What became of clients in the `LATER` months after the month `begin`, as ids of `OUTCOMES`.

    All of shape (n,): `rows` of the panel, `begin` and `stop` (the end) in months of service.
    """
    kinds = panel.spells["end_kind"].replace(UNKNOWN, CLIENT)
    kind = kinds.to_numpy()[rows]
    months = begin[:, None] + np.arange(1, LATER + 1)
    answers = panel.nps[rows[:, None], months]
    ended = stop <= begin + LATER + 1
    known = ~np.isnan(answers)
    newest = known[:, ::-1].argmax(axis=1)
    last = answers[np.arange(len(rows)), LATER - 1 - newest]
    silent = ~known.any(axis=1)
    cases = [ended & (kind == CLIENT), ended, silent, last > DETRACTOR]
    names = [*OUTCOMES[2:], OUTCOMES[0]]
    return np.asarray(np.select(cases, names, OUTCOMES[1]))


def share_of(row_id: str, name: str, group: str, counted: Any, reps: Any = None) -> Estimate:
    """The share of rows that are `counted` (n,), with Wilson's interval or that by rep:
    `intervals.share_limits`.
    """
    n = len(counted)
    mean = float(np.mean(counted))
    values = (mean, *share_limits(counted, reps))
    return Estimate.of(row_id, name, group, values, "share", (n, 0))


def mean_of(
    row_id: str, name: str, group: str, values: pd.Series, unit: str, reps: Any = None
) -> Estimate:
    """A mean with its interval, Student's by value or by rep, the wider; without one for fewer than
    two values.
    """
    n = len(values)
    half = stats.t.ppf(0.975, n - 1) * values.sem() if n > 1 else np.nan
    if reps is not None and n > 1:
        by_rep = ratio_by_rep(values.to_numpy(float), np.ones(n), reps)
        half = max(half, by_rep.reach(0.975))
    return Estimate.of(
        row_id,
        name,
        group,
        (values.mean(), values.mean() - half, values.mean() + half),
        unit,
        (n, 0),
    )


def recovery(panel: Panel) -> Estimates:
    """Shares of detractors by what became of them, with and without a change of rep, by client or
    rep (C4).
    """
    table = episodes(panel)
    made = []
    clients = say("service.recovery.clients")
    for rep, part in table.groupby("group", sort=False):
        group = say(f"service.rep_since.{rep}")
        count = len(part)
        estimate = Estimate.of("C4", clients, group, (count,), "count", (count, 0))
        made.append(estimate)
        for name in OUTCOMES:
            outcome = say(f"service.outcome.{name}")
            is_so = part["outcome"] == name
            made.append(share_of("C4", outcome, group, is_so, part["rep"]))
    return Estimates(tuple(made), say("service.recovery.caption"))


def close_rates(
    leads: pd.DataFrame | None, cutoff: pd.Timestamp, limits: Limits = LIMITS
) -> pd.DataFrame:
    """Leads and signings within `close_days` by source, of leads old enough to tell: index source;
    `leads, signed`.
    """
    if leads is None or not {"source", "signed_on"} <= {*leads.columns}:
        return pd.DataFrame(columns=["leads", "signed"])
    within = limits["close_days"]
    old_enough = leads["created_on"] <= cutoff - pd.Timedelta(days=within)
    rows = leads[leads["source"].notna() & old_enough]
    days = rows["signed_on"] - rows["created_on"]
    signed = days.dt.days <= within
    rows = rows.assign(leads=1, signed=signed)
    by_source = rows.groupby(rows["source"].str.lower())
    return by_source[["leads", "signed"]].sum()


def close_ratio(rates: pd.DataFrame) -> list[Estimate]:
    """How many times as often referrals close as cold leads, beside the study's figure; no verdict
    (C3).
    """
    found = []
    known = rates.index[rates["signed"] > 0]
    if {REFERRAL, COLD} <= set(known):
        (a, n), (b, m) = (
            rates.loc[source, ["signed", "leads"]].astype(int) for source in (REFERRAL, COLD)
        )
        values = (
            a / n / (b / m),
            *confint_proportions_2indep(a, n, b, m, compare="ratio", method="log"),
        )
        name = say("service.sources.ratio", published=PUBLISHED_RATIO)
        estimate = Estimate.of("C3", name, REFERRAL, values, "ratio", (n + m, 0))
        found.append(estimate)
    return found


def by_source(
    rates: pd.DataFrame, spells: pd.DataFrame, snapshots: pd.DataFrame, limits: Limits = LIMITS
) -> Estimates:
    """By source: the share of leads that sign, the share of clients with you after a year, and
    margin a month (C3).
    """
    source = (
        spells["source"].str.lower()
        if "source" in spells
        else pd.Series(pd.NA, spells.index, dtype="string")
    )
    parts = {
        name: spells[(source == name).fillna(False)]
        for name in sorted({*rates.index, *source.dropna()})
    }
    rows: list[Estimate] = []
    for name, part in parts.items():
        if name in rates.index:
            rows.append(_closed(name, rates, limits))
        rows += _of_source(name, part, snapshots)
    rows[1:1] = close_ratio(rates)
    return Estimates(tuple(rows), say("service.sources.caption"))


def _closed(name: str, rates: pd.DataFrame, limits: Limits) -> Estimate:
    """The share of a source's leads that signed within `close_days`."""
    signed, n = (int(rates.loc[name, column]) for column in ("signed", "leads"))
    counted = np.arange(n) < signed
    within = say("service.sources.signed", days=int(limits["close_days"]))
    return share_of("C3", within, name, counted)


def _of_source(name: str, part: pd.DataFrame, snapshots: pd.DataFrame) -> Iterator[Estimate]:
    """Whether clients of a source are still there after a year, and what they leave a month."""
    outcome = follow_up(part) if len(part) else None
    if outcome is not None and known_through(outcome, MIN_AT_RISK) >= YEAR:
        curve = after(kaplan_meier(outcome), YEAR)
        values = curve[["survival", "low", "high"]]
        gone = int(part["ended"].sum())
        counts = (part["client_id"].nunique(), gone)
        kept = say("service.sources.retained", months=YEAR)
        yield Estimate.of("C3", kept, name, list(values), "share", counts)
    if len(snapshots):
        worth = (
            snapshots[snapshots["client_id"].isin(part["client_id"])]
            .groupby("client_id")["worth_a_month"]
            .mean()
        )
        worth = worth.dropna()
        what = say("service.sources.margin")
        reps = last_rep(part, worth.index)
        made = mean_of("C3", what, name, worth, "money", reps)
        if np.isfinite(made.low):
            yield made
