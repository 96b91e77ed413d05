"""Who was drawn for a trial, and who waits on a day: lists and pages ask here, so that nobody is
acted on by mistake.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from retention.data.schema import TABLES, columns_of

ACT, WAIT = "act", "wait"
NAMES = tuple(column.name for column in TABLES["trials"].columns)


def drawn(tables: Mapping[str, pd.DataFrame], horizon: int) -> pd.DataFrame:
    """Every client drawn: the columns of the table trials, with `until`, the last day on which its
    arm holds; `horizon` months where the row does not say how many.
    """
    rows = columns_of(tables, "trials", *NAMES)
    rows = rows.dropna(subset=["trial", "client_id", "arm", "drawn_on"])
    months = rows["horizon_months"].astype(float).fillna(horizon)
    ends = [
        day + pd.DateOffset(months=int(count))
        for day, count in zip(rows["drawn_on"], months, strict=True)
    ]
    until = pd.Series(pd.to_datetime(ends), rows.index, dtype="datetime64[ns]")
    return rows.assign(horizon_months=months.astype(int), until=until)


def running(rows: pd.DataFrame, day: pd.Timestamp) -> pd.DataFrame:
    """The rows of `drawn` whose arm still holds on this day."""
    return rows[(rows["drawn_on"] <= day) & (rows["until"] > day)]


def waiting(tables: Mapping[str, pd.DataFrame], horizon: int, day: pd.Timestamp) -> pd.DataFrame:
    """Who is not to be acted on, index `client_id`: the `trial`, its `list`, and `until` when."""
    rows = running(drawn(tables, horizon), day)
    held = rows[rows["arm"] == WAIT]
    last = held.sort_values("until", kind="stable").drop_duplicates("client_id", keep="last")
    return last.set_index("client_id")[["trial", "list", "until"]]
