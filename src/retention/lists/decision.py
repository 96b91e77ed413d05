"""The one place that decides what is done about each client: at most one action, in the order of
the lists (D2 to D11).
"""

from __future__ import annotations

import pandas as pd

from retention.history.clients_now import client_names
from retention.lists.desk import Desk
from retention.lists.reasons import QUIET, quiet_words, waiting_words
from retention.lists.registry import IDS, NONE, Lists, action_words, ids
from retention.lists.shape import COLUMNS
from retention.words import say

BESIDE = ids(lambda entry: entry.beside)
FAREWELLS = ids(lambda entry: entry.farewell)
WAITS = ids(lambda entry: entry.waits)
ALONE = (*FAREWELLS, *WAITS)  # actions beside which others are not said
EVEN_THEN = ids(lambda entry: entry.even_then)
NEVER = "9999-12-31"  # sorts after every day


def decide(rows: pd.DataFrame, lists: Lists, otherwise: pd.Series | None = None) -> pd.DataFrame:
    """Each client's one action, or the reason for none: a row for each of `rows`, in the order of
    the lists.

    Columns: `client_id, client, action` (the id of a list, or `NONE`), then those of the lists.
    Clients of the lists that are not among `rows` are passed over; `otherwise` (index `client_id`)
    is the reason given for none. ValueError for an unknown list.
    """
    unknown = sorted(set(lists) - set(IDS))
    if unknown:
        raise ValueError(f"no such action: {', '.join(unknown)}; there are {', '.join(IDS)}")
    first = _first(_all(lists))
    table = rows[["client_id"]].assign(client=client_names(rows))
    table = table.merge(first, on="client_id", how="left")
    none = table["client_id"].map({} if otherwise is None else otherwise).fillna(QUIET)
    action = table["action"].fillna(NONE)
    reason = table["reason"].fillna(none)
    table = table.assign(action=action, reason=reason).fillna("")
    places = {name: place for place, name in enumerate([*IDS, NONE])}
    ranked = table.assign(rank=table["action"].map(places))
    order = ranked.sort_values(["rank", "act_by", "client_id"], kind="stable")
    columns = ["client_id", "client", "action", *COLUMNS[1:]]
    return order[columns].reset_index(drop=True)


def why_nothing(desk: Desk) -> pd.Series:
    """What is known of each client, as the reason for doing nothing where no list holds it; index
    `client_id`.

    Of a client at high risk it says why others come first.
    """
    rows = desk.book.rows
    clients = rows["client_id"]
    margin = desk.margin.reindex(clients)
    risk = desk.risk.reindex(clients)
    words = [
        waiting_words(chance, desk.capacity) if chance >= desk.high else quiet_words(money)
        for chance, money in zip(risk, margin, strict=True)
    ]
    return pd.Series(words, margin.index, dtype=object)


def _all(lists: Lists) -> pd.DataFrame:
    """The rows of all lists in the order of the decision, with their `action`."""
    chosen = []
    for name in IDS:
        if name in lists and len(lists[name]):
            rows = lists[name][COLUMNS]
            days = pd.to_datetime(rows["act_by"])
            dated = days.dt.strftime("%Y-%m-%d").astype(object)  # all may be missing
            chosen.append(rows.assign(act_by=dated, action=name))
    return pd.concat(chosen) if chosen else pd.DataFrame(columns=[*COLUMNS, "action"])


def _first(every: pd.DataFrame) -> pd.DataFrame:
    """Each client's first row, with what else is to be done, and by the earliest day."""
    first = every.drop_duplicates("client_id").set_index("client_id")
    beside = every[every["action"].isin(BESIDE)]
    chosen = first["action"].reindex(beside["client_id"]).to_numpy()
    alone = pd.Series(chosen).isin(ALONE).to_numpy()
    kept = (beside["action"].to_numpy() != chosen) & (
        ~alone | beside["action"].isin(EVEN_THEN).to_numpy()
    )
    reasons = first["reason"].to_dict()
    for row in beside[kept].itertuples():
        reasons[row.client_id] = say(
            "lists.reason.also",
            reason=reasons[row.client_id],
            action=action_words(row.action),
            other=row.reason,
        )
    by_client = beside[kept].groupby("client_id")
    soonest = by_client["act_by"].min().reindex(first.index)
    own = first["act_by"].fillna(NEVER)
    sooner = soonest.fillna(NEVER) < own
    act_by = first["act_by"].mask(sooner, soonest)
    reason = pd.Series(reasons, dtype=object).reindex(first.index)
    return first.assign(reason=reason, act_by=act_by).reset_index()
