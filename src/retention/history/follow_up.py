"""Follow-up of engagements in months of service, from the table of engagements."""

from __future__ import annotations

import pandas as pd

from retention.history.spells import CLIENT, DAY, KINDS, UNKNOWN, started_months
from retention.stats.outcomes import Outcome


def follow_up(spells: pd.DataFrame, *, unknown: str = CLIENT, by: str = "end") -> Outcome:
    """The outcome of each spell: kind 1 by the client, 2 by the agency, 3 neutral, 0 censored;
    shape (len(spells),).

    Ends whose initiator nobody recorded count as `unknown` says. `by="decision"` places an end in
    the month in which notice was given instead of the month it ends (METHODS 0 says why contract
    comparisons do not).
    """
    kinds_known = spells["end_kind"].replace(UNKNOWN, unknown)
    kinds = kinds_known.map(KINDS)
    kind = kinds.where(spells["ended"]).fillna(0)
    stop = spells["stop_months"]
    if by == "decision":
        stop = stop.where(
            ~spells["ended"], started_months(spells["start_date"], spells["decision_date"] + DAY)
        )
    reps = spells["reps"].to_numpy(object) if "reps" in spells else None
    return Outcome.of(stop, kind, spells["entry_months"], reps)
