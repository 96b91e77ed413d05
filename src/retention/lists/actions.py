"""The one list to act on: a row a client, every active client, in the one order of all lists: by
the day it is due, then by the money at risk.

It says of each client what the decision says (`decision.decide`) and adds what the client is worth.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from retention.data.prepared import Made
from retention.data.schema import write_csv
from retention.lists.decision import ALONE, BESIDE, EVEN_THEN, FAREWELLS, WAITS, decide, why_nothing
from retention.lists.desk import Desk, desk_of
from retention.lists.registry import NONE, Lists, action_words, made
from retention.lists.shape import SHORT, WEEK
from retention.runs import ACTIONS
from retention.words import say

COLUMNS = [
    "client_id",
    "client",
    "do",
    "why",
    "risk",
    "margin_a_month",
    "owner",
    "due",
    "due_this_week",
    "currency",
]
MOST = 3  # (ours) phrases that say why
BETWEEN = " · "  # phrases that say why


@dataclass(frozen=True)
class Plan:
    """What is done about each active client, and what that was decided from."""

    desk: Desk

    @cached_property
    def lists(self) -> dict[str, pd.DataFrame]:
        """Every list, by id: `registry.made`."""
        return made(self.desk)

    @cached_property
    def table(self) -> pd.DataFrame:
        """The decision (`decision.decide`) in the one order."""
        clients = self.desk.book.rows
        otherwise = why_nothing(self.desk)
        rows = decide(clients, self.lists, otherwise)
        return in_order(rows, self.desk)


def plan_of(study: Any) -> Plan:
    """The plan of a study, with all that its lists are made from."""
    return Plan(desk_of(study))


def chosen(study: Any) -> pd.DataFrame:
    """Each active client in the one order, for the tables of any page: `client_id, to_do, due` (a
    day; missing where nothing is to be done), `parting` (it is parted from), `waits` (in a trial).

    In a run the first notebook that asks makes it for all.
    """

    def make() -> Made:
        rows = _chosen(plan_of(study))
        return Made({"rows": rows})

    made = study.once("chosen", make)
    return made.frames["rows"]


def _chosen(plan: Plan) -> pd.DataFrame:
    table = plan.table
    names = table["action"]
    words = [str(action_words(name)) for name in names]
    rows = {
        "client_id": table["client_id"],
        "to_do": words,
        "due": pd.to_datetime(table["act_by"]),
        "parting": names.isin(FAREWELLS),
        "waits": names.isin(WAITS),
    }
    return pd.DataFrame(rows)


def as_chosen(rows: pd.DataFrame, whole: pd.DataFrame) -> pd.DataFrame:
    """A list of clients in the one order, each with what is to be done and by when as `chosen` says
    it (`whole`): `to_do`, `act_by` and `parting` in place of the list's own. Who waits in a trial
    is left out, so that nobody acts on it by mistake.
    """
    whole = whole[~whole["waits"]].drop(columns="waits")
    rest = rows.drop(columns=["act_by", "to_do"], errors="ignore")
    merged = whole.merge(rest, on="client_id")
    merged = merged.rename(columns={"due": "act_by"})
    first = [*rest.columns, "act_by", "to_do", "parting"]
    return merged[first]


def in_order(rows: pd.DataFrame, desk: Desk) -> pd.DataFrame:
    """A list or a decision in the one order: by `act_by`, then the most money at risk, then the
    client's id; rows without a day are last.
    """
    day = pd.to_datetime(rows["act_by"])
    money = rows["client_id"].map(desk.at_risk).astype(float)
    order = rows.assign(day=day, money=-money)
    order = order.sort_values(["day", "money", "client_id"], kind="stable")
    return order[rows.columns].reset_index(drop=True)


def actions(table: pd.DataFrame, lists: Lists, desk: Desk) -> pd.DataFrame:
    """Each active client with what to do, in the one order; `table` as from `decision.decide`.

    Columns: `client_id, client, do` (the id of a list, or `none`), `why` (at most three phrases),
    `risk` (probability of leaving by choice in the window; blank where there is no score),
    `margin_a_month` (money; blank where hours or fees are not known), `owner` (a name), `due` (ISO
    day; blank where nothing is to be done), `due_this_week` (yes or no: within a week after the
    cut-off), `currency` of the money.
    """
    table = in_order(table, desk)
    who = table["client_id"]
    due = pd.to_datetime(table["act_by"])
    soon = due <= desk.book.cutoff + pd.Timedelta(days=WEEK)
    words = _phrases(table, lists, desk)
    return pd.DataFrame(
        {
            "client_id": who,
            "client": table["client"],
            "do": table["action"],
            "why": [BETWEEN.join(words[client]) for client in who],
            "risk": who.map(desk.risk).astype(float).round(4),
            "margin_a_month": who.map(desk.margin).astype(float).round(2),
            "owner": who.map(desk.book.owner_words).fillna(""),
            "due": due.dt.strftime("%Y-%m-%d").fillna(""),
            "due_this_week": soon.map({True: "yes", False: "no"}),
            "currency": desk.book.settings.currency,
        },
        columns=COLUMNS,
    )


def _phrases(table: pd.DataFrame, lists: Lists, desk: Desk) -> dict[str, list[str]]:
    """At most three phrases of each client: why it is on its list (or, at high risk, on none), then
    on others that go with it, then what raises its risk.
    """
    own = dict(zip(table["client_id"], table["action"], strict=True))
    words: dict[str, list[str]] = {client: [] for client in own}
    high = desk.risk >= desk.high
    for client in desk.risk.index[high]:
        if own.get(client) == NONE:
            words[client].append(say("lists.reason.waiting_short", n=desk.capacity))
    for first in (True, False):
        for name, rows in lists.items():
            for row in rows.itertuples():
                mine = own.get(row.client_id, NONE) == name
                if mine == first and (mine or _goes_with(name, own.get(row.client_id, NONE))):
                    words[row.client_id].append(str(getattr(row, SHORT)))
    for row in desk.raising.itertuples():
        words.get(row.client_id, []).append(str(row.phrase))
    return {client: list(dict.fromkeys(filter(None, of)))[:MOST] for client, of in words.items()}


def _goes_with(name: str, action: str) -> bool:
    """Whether the reason of a list is said beside this action."""
    alone = action in ALONE and name not in EVEN_THEN
    return action != NONE and name in BESIDE and not alone


def save(table: pd.DataFrame, out_dir: str) -> None:
    """Write the list into `lists/` of a run; nothing without a folder."""
    if out_dir:
        folder = Path(out_dir) / "lists"
        folder.mkdir(exist_ok=True)
        write_csv(table, folder / f"{ACTIONS}.csv")
