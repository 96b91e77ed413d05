"""The lists of the portfolio as readers see them: tables whose columns are ids, and the sentences
above them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from retention.lists.registry import IDS, NONE, Lists, action_words, ids
from retention.lists.shape import day_words, money_words
from retention.portfolio.book import Book
from retention.portfolio.evidence import people
from retention.portfolio.margins import MULTIPLES, worsening, worth_staying
from retention.results import Finding, Findings
from retention.settings import Limits, study_plan
from retention.words import Said, say, together

COSTLY = ids(lambda entry: entry.table == "costly")
OTHERS = ids(lambda entry: entry.table == "others")
PARTING = ("let_go_at_once", "let_go")
NEEDS: Mapping[str, Sequence[str]] = study_plan()["needs"]
PRICES = dict.fromkeys(
    ("fee", "cost", "usual_margin", *(f"times_{multiple:g}" for multiple in MULTIPLES)), ",.0f"
)
SUNK = dict.fromkeys(("first", "second", "third", "sunk"), ",.0f")


def owner_words(table: pd.DataFrame, book: Book, currency: str = "") -> Finding:
    """Who costs money and what to do about each, by when, in sentences for an owner.

    `table` as from `decision.decide`.
    """
    active = len(book.rows)
    noticed = int(book.rows["noticed"].sum())
    parts = [_cost_words((active, noticed), book.monthly, currency)]
    acts, day = for_costly(table, book)
    if acts:
        parts.append(say("lists.owner.todo", actions="; ".join(acts), day=day))
    return Finding("D3", together(*parts), "headline")


def for_costly(table: pd.DataFrame, book: Book) -> tuple[list[Said], str]:
    """What is done about the clients who cost more than they pay: each action with how many get it,
    and the first day in words. Where no margin is known, about those who cost trouble.
    """
    costly = book.monthly["margin"] < 0
    under = book.monthly.index[costly]
    rows = table[table["client_id"].isin(under)]
    if book.monthly.empty:
        rows = table[table["action"].isin(COSTLY)]
    counts = rows["action"].value_counts()
    acts = [
        say("lists.owner.action", action=action_words(name), count=int(counts[name]))
        for name in IDS
        if name in counts
    ]
    days = pd.to_datetime(rows["act_by"])
    first = days.min()
    day = day_words(first) if acts else ""
    return acts, day


def _cost_words(clients: tuple[int, int], monthly: pd.DataFrame, currency: str) -> Said:
    """How many clients cost more than they pay, and how much; `clients`: active, of them under
    notice; `monthly`: `Book.monthly`.
    """
    active, noticed = clients
    if monthly.empty:
        return say("lists.owner.unknown", active=active, noticed=noticed)
    under = monthly[monthly["margin"] < 0]
    first = say("lists.owner.first", active=active, noticed=noticed, costly=len(under))
    if under.empty:
        return first
    lost = -under["margin"].sum()
    money = f"{money_words(lost)} {currency}".strip()
    surely = under["high"] < 0
    sure = int(surely.sum())
    how_much = say("lists.owner.money", money=money, known=len(monthly), sure=sure)
    return together(first, how_much)


def shown(table: pd.DataFrame, actions: Sequence[str] = IDS) -> pd.DataFrame:
    """The clients of these actions as a team reads them: `client, to_do, act_by, owner, reason,
    evidence`.
    """
    rows = table[table["action"].isin(actions)]
    words = [action_words(name).replace(" ", "\u00a0") for name in rows["action"]]
    rows = rows.assign(to_do=words, act_by=pd.to_datetime(rows["act_by"]))
    columns = ["client", "to_do", "act_by", "owner", "reason", "evidence"]
    return rows[columns].reset_index(drop=True)


def counts(table: pd.DataFrame) -> pd.DataFrame:
    """How many clients get each action, in the order of the decision, and what it stands for:
    `to_do, clients, when`.
    """
    found = table["action"].value_counts()
    rows = [
        (action_words(name), int(found[name]), say(f"lists.when.{name}"))
        for name in (*IDS, NONE)
        if name in found
    ]
    return pd.DataFrame(rows, columns=["to_do", "clients", "when"])


def lacking(tables: Mapping[str, pd.DataFrame]) -> Findings:
    """What the records lack, and what adding it would answer; nothing where all is there."""
    have = set()
    for name, rows in tables.items():
        have |= {f"{name}.{column}" for column in rows if rows[column].notna().any()}
    texts = []
    for need, columns in NEEDS.items():
        gone = [column for column in columns if column not in have]
        if gone:
            what = say(f"lists.need.{need}")
            texts.append(say("lists.lacking.columns", columns=", ".join(gone), what=what))
    return Findings(tuple(Finding("D", text) for text in texts), say("lists.lacking.no_columns"))


def parting(table: pd.DataFrame, book: Book) -> pd.DataFrame:
    """Clients to let go with today's fee, what they take, and the prices worth staying at (D5)."""
    chosen = table["action"].isin(PARTING)
    rows = table.loc[chosen, ["client_id", "client"]]
    own = rows.set_index("client_id")
    monthly = book.monthly
    prices = monthly.join(worth_staying(monthly))
    with_prices = own.join(prices[list(PRICES)])
    return with_prices.join(book.ends).reset_index(drop=True)


def written_off(book: Book) -> pd.DataFrame:
    """Work that only gets worse, by client, with the mean margin of three stretches and what it
    cost (D5).
    """
    rows = worsening(book.money, book.rows, book.limits)
    names = rows.index.map(book.names)
    named = rows.set_axis(names.rename("client"))
    return named.reset_index()


def noted(book: Book) -> pd.DataFrame:
    """The evidence that still counts, newest first: `client, what, group, noted_on, evidence,
    rep`.
    """
    rows = book.lately.sort_values(["noted_on", "client_id"], ascending=[False, True])
    rows = rows.assign(
        client=rows["client_id"].map(book.names),
        rep=people(rows["rep_id"], book.known),
        group=[say(f"portfolio.group.{name}") for name in rows["group"]],
    )
    columns = ["client", "what", "group", "noted_on", "evidence", "rep"]
    return rows[columns].reset_index(drop=True)


def stood(table: pd.DataFrame, lists: Lists) -> pd.DataFrame:
    """Clients whose fee has stood for a year or more, and what is to be done about them first
    (D4).
    """
    chosen = table[["client_id", "client", "action", "act_by"]]
    rows = chosen.merge(lists["raise_rate"][["client_id", "reason"]], on="client_id")
    words = [action_words(name) for name in rows["action"]]
    rows = rows.assign(to_do_first=words, act_by=pd.to_datetime(rows["act_by"]))
    columns = ["client", "reason", "act_by", "to_do_first"]
    return rows[columns].reset_index(drop=True)


def our_part(book: Book) -> pd.DataFrame:
    """What the check finds in the work of reps now in charge (D9), and how many clients they serve:
    `rep, clients, stands_out`.
    """
    clients = book.owners.value_counts()
    found = book.team.reindex(clients.index).fillna("")
    rows = pd.DataFrame(
        {
            "rep": people(clients.index.to_series(), book.known),
            "clients": clients,
            "stands_out": ["; ".join(filter(None, row)) for row in found.to_numpy()],
        }
    )
    rows = rows[found.ne("").any(axis=1)].reset_index(drop=True)
    return rows.sort_values("rep", ignore_index=True)


def thresholds(limits: Limits, section: str) -> pd.DataFrame:
    """Every threshold of a section of the plan (`portfolio` or `thresholds`): its value in force,
    the usual one, the study's row, and why.
    """
    plan = study_plan()[section]
    rows = [
        (name, limits[name], about["value"], about["study"], about["why"])
        for name, about in plan.items()
    ]
    return pd.DataFrame(rows, columns=["threshold", "in_force", "default", "study", "what_it_is"])
