"""Clients now, by their predicted churn risk: against their margin, and by when they can leave."""

import datetime as dt

import numpy as np
import pandas as pd

from retention.settings import LIMITS, Limits
from retention.words import Said, say

NAMED = 10  # clients first in order of margin at risk
MONTHS = 9  # ahead


def risk_and_margin(scores: pd.DataFrame) -> pd.DataFrame:
    """A row a client, most margin at risk first: `client, risk, margin, at_stake, named`.

    `scores` as from `scores.scores`. Clients whose margin is not known are left out.
    """
    columns = ["client", "risk", "margin", "at_stake", "named"]
    if scores.empty:
        return pd.DataFrame(columns=columns)
    known = scores.dropna(subset=["margin_a_month", "at_stake"])
    known = known.sort_values("at_stake", ascending=False, kind="stable").reset_index(drop=True)
    named = (known.index < NAMED) & (known["at_stake"] > 0)
    return known.rename(columns={"margin_a_month": "margin"}).assign(named=named)[columns]


def risk_words(frame: pd.DataFrame) -> Said:
    """The chart in words: the first three, and how many there are."""
    named = frame[frame["named"].astype(bool)]
    if named.empty:
        return say("churn_risk.at_stake.nobody")
    first = [
        say("churn_risk.at_stake.point", client=row.client, risk=row.risk, margin=row.margin)
        for row in named.head(3).itertuples()
    ]
    return say("churn_risk.at_stake.alt", n=len(frame), first="; ".join(first))


def last_days(
    scores: pd.DataFrame, cutoff: dt.date, limits: Limits = LIMITS, months: int = MONTHS
) -> pd.DataFrame:
    """Clients by the month of their last day to act before they can give notice: `month, clients,
    at_risk`; the months after the cut-off, in order.
    """
    if scores.empty or scores["act_by"].isna().all():
        return pd.DataFrame(columns=["month", "clients", "at_risk"])
    ahead = pd.period_range(pd.Timestamp(cutoff) + pd.Timedelta(days=1), periods=months, freq="M")
    month = pd.to_datetime(scores["act_by"]).dt.to_period("M")
    risky = scores["risk"] >= limits["at_risk"]
    counts = {
        "clients": month.value_counts().reindex(ahead, fill_value=0),
        "at_risk": month[risky].value_counts().reindex(ahead, fill_value=0),
    }
    frame = pd.DataFrame(counts).astype(int)
    frame.insert(0, "month", frame.index.strftime("%b %Y"))
    frame = frame.reset_index(drop=True)
    return frame if frame["clients"].sum() else frame.head(0)


def last_days_words(frame: pd.DataFrame) -> Said:
    """The chart in words."""
    if frame.empty:
        return say("churn_risk.last_days.nobody")
    points = [
        say("churn_risk.last_days.point", month=row.month, n=row.clients, risky=row.at_risk)
        for row in frame.itertuples()
    ]
    return say("churn_risk.last_days.alt", points="; ".join(points))


def share_at_stake(frame: pd.DataFrame) -> float:
    """How much of the margin at risk the named clients hold; NaN where none is at risk."""
    at_stake = frame["at_stake"].clip(lower=0).astype(float)
    total = at_stake.sum()
    return float(at_stake[frame["named"].astype(bool)].sum() / total) if total else float(np.nan)
