"""The clients present now: what they are called, who is in charge of them, who serves them, and
where they stand.
"""

from __future__ import annotations

import pandas as pd

from retention.history import status
from retention.history.in_charge import closed
from retention.history.panel import Panel


def client_names(rows: pd.DataFrame) -> pd.Series:
    """What a client is called on lists: its name where one is known, else its id."""
    return rows["name"].fillna(rows["client_id"]) if "name" in rows else rows["client_id"]


def present(panel: Panel, cutoff: pd.Timestamp) -> pd.DataFrame:
    """The clients with no end and no notice on record: `client_id, client, owner, start_date,
    remote, row`.

    `owner` is the rep in charge now (`in_charge`; "" where nobody is); `row` the place in the
    panel.
    """
    spells = panel.spells
    staying = spells[status.staying(spells)]
    rows = staying.drop_duplicates("client_id", keep="last")
    month = rows["observed_months"].to_numpy(int)
    owner = panel.rep[rows.index, month]
    remote = yes(rows["remote"]) if "remote" in rows else False
    rows = rows.assign(client=client_names(rows), owner=owner, remote=remote, row=rows.index)
    return rows[["client_id", "client", "owner", "start_date", "remote", "row"]].reset_index(
        drop=True
    )


def under_notice(panel: Panel) -> int:
    """How many clients are still served and known to leave."""
    leaving = status.under_notice(panel.spells)
    return panel.spells.loc[leaving, "client_id"].nunique()


def people_names(staff: pd.DataFrame | None) -> pd.Series:
    """What each person is called, by id: the name on record, with the id where two share it."""
    if staff is None or "name" not in staff:
        return pd.Series(dtype=object)
    named = (
        staff.dropna(subset=["name"])
        .drop_duplicates("staff_id")
        .set_index("staff_id")["name"]
        .astype(str)
    )
    with_id = named + " (" + named.index.astype(str) + ")"
    repeated = named.duplicated(keep=False)
    return named.where(~repeated, with_id)


def standing(snapshots: pd.DataFrame, margin: pd.Series) -> pd.DataFrame:
    """By client, at the last month's end: its `margin` a month (given by client), and whether it
    could leave in the months ahead (`free`).
    """
    if snapshots.empty:
        return pd.DataFrame(columns=["margin", "free"])
    newest = snapshots["month"] == snapshots["month"].max()
    now = snapshots[newest].set_index("client_id")
    own = margin.reindex(now.index)
    free = now["exit_possible"] > 0
    columns = {"margin": own, "free": free}
    return pd.DataFrame(columns)


def yes(values: pd.Series, unknown: bool = False) -> pd.Series:
    """A column of yes and no, what is not known taken as `unknown`."""
    flags = values.astype("boolean")
    return flags.fillna(unknown).astype(bool)


def last_days(rows: pd.DataFrame | None, day: str) -> pd.Series:
    """The last day of any of the rows, by client."""
    return (
        pd.Series(dtype="datetime64[ns]") if rows is None else rows.groupby("client_id")[day].max()
    )


def serving(
    assignments: pd.DataFrame | None, staff: pd.DataFrame | None, cutoff: pd.Timestamp
) -> pd.DataFrame:
    """Who serves whom on the last day, in any role but seller: `client_id, staff_id, role,
    from_date`.

    An assignment is over after its `to_date`, and after the last day of a person who left
    (`in_charge.closed`).
    """
    columns = ["client_id", "staff_id", "role", "from_date"]
    if assignments is None:
        return pd.DataFrame(columns=columns)
    rows = closed(assignments, staff)
    over = ~(rows["to_date"] < cutoff)
    runs = (rows["from_date"] <= cutoff) & over
    sells = rows["role"].eq("seller")
    rows = rows[runs & ~sells.fillna(False)]
    return (
        rows[columns]
        .sort_values("from_date", kind="stable")
        .drop_duplicates(["client_id", "staff_id"])
    )
