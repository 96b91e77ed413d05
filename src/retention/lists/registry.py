"""Every list of clients to act on, declared once: a list is an entry here, the function that makes
its rows, and its words in words/lists.toml.

The order of the entries is the order of the decision (`decision.decide`): who leaves, who harms,
who costs, who may be lost, who may bring more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from retention.data.schema import write_csv
from retention.lists import portfolio, service, trial
from retention.lists.desk import Desk
from retention.lists.shape import COLUMNS, SHORT
from retention.runs import ACTIONS
from retention.words import Said, say

NONE = "none"  # the action of who is on no list
DECISION = "portfolio"  # the file of the decision itself: every client with its action
Lists = Mapping[str, pd.DataFrame]


@dataclass(frozen=True)
class Entry:
    """One list: `rows` makes it, with at least the columns of `shape.COLUMNS`."""

    id: str
    file: str  # its name in the folder lists/ of a run, without .csv
    rows: Callable[[Desk], pd.DataFrame]
    study: tuple[str, ...]  # the study's rows that ask for it
    table: str = ""  # the table of the portfolio page that shows it: "costly" or "others"
    beside: bool = False  # is said beside any other action
    farewell: bool = False  # the client is parted from
    even_then: bool = False  # is said beside a farewell as well
    trial: bool = False  # who is on it may be drawn for a trial of it
    waits: bool = False  # who is on it is to be left alone: no other action is said beside

    @property
    def caption(self) -> Said:
        """What the list is called on the first page."""
        return say(f"lists.caption.{self.id}")


LISTS: tuple[Entry, ...] = (
    Entry("hand_over", "hand_over_well", portfolio.leaving, ("D5",), table="others", farewell=True),
    Entry("let_go_at_once", "let_go_at_once", portfolio.at_once, ("D5",), "costly", farewell=True),
    Entry("wait", "wait_for_a_trial", trial.waiting, (), table="others", waits=True),
    Entry("our_part_first", "our_part_first", portfolio.our_part_first, ("D9",), "costly"),
    Entry("let_go", "let_go", portfolio.let_go, ("D3", "D8", "D11"), "costly", farewell=True),
    Entry("re_price", "re-price", portfolio.re_price, ("D4",), "costly"),
    Entry("agree_on_terms", "agree_on_terms", portfolio.agree_on_terms, ("D8", "D11"), "others"),
    Entry("save", "save", portfolio.at_risk, (), "others", beside=True, trial=True),
    Entry("care", "care", service.care, ("C4",), beside=True, trial=True),
    Entry("collect", "collect", portfolio.debts, ("D8",), "others", beside=True, even_then=True),
    Entry("get_in_touch", "get_in_touch", service.overdue, ("C7", "C8"), beside=True, trial=True),
    Entry("ask_for_referral", "ask_for_a_referral", service.referrals, ("C3",), trial=True),
    Entry("raise_rate", "raise_the_rate", portfolio.standing_fees, ("D4",), trial=True),
)
IDS = tuple(entry.id for entry in LISTS)
PARTED = ("hand_over", "let_go_at_once")  # come before any trial: notice was given, or harm is done


def ids(wanted: Callable[[Entry], bool]) -> tuple[str, ...]:
    """The ids of the lists for which this holds, in order."""
    return tuple(entry.id for entry in LISTS if wanted(entry))


def action_words(name: str) -> Said:
    """What is to be done, in words, by the id of a list or `NONE`."""
    return say(f"lists.action.{name}")


def caption_of(file: str) -> str:
    """The caption of a file of the folder lists/, by its name without .csv; a stranger's is its
    name.
    """
    if file == DECISION:
        return say("lists.caption.portfolio")
    if file == ACTIONS:
        return say("lists.caption.actions")
    named = file.replace("_", " ").capitalize()
    return next((entry.caption for entry in LISTS if entry.file == file), named)


def made(desk: Desk) -> dict[str, pd.DataFrame]:
    """Every list, by id, in order: a row a client, with the columns of `shape.COLUMNS`.

    Who waits in a trial is on none but those that part from a client and those that come even then.
    """
    waits = desk.book.waiting.index
    lists = {}
    for entry in LISTS:
        rows = tidy(entry.rows(desk))
        withheld = not (entry.waits or entry.even_then or entry.id in PARTED)
        lists[entry.id] = rows[~rows["client_id"].isin(waits)] if withheld else rows
    return {name: rows.reset_index(drop=True) for name, rows in lists.items()}


def tidy(rows: pd.DataFrame) -> pd.DataFrame:
    """The first row of each client, with the columns that every list has, and its reason in a few
    words.
    """
    rows = rows.drop_duplicates("client_id").reindex(columns=[*COLUMNS, SHORT])
    short = rows[SHORT].astype(object)
    rows[SHORT] = short.where(short.notna(), rows["reason"])
    return rows.reset_index(drop=True)


def save(table: pd.DataFrame, out_dir: str) -> None:
    """Write a decision, and a list for each action of those who got it, into `lists/` of a run;
    nothing without a folder.
    """
    if not out_dir:
        return
    folder = Path(out_dir) / "lists"
    folder.mkdir(exist_ok=True)
    write_csv(table, folder / f"{DECISION}.csv")
    for entry in LISTS:
        own = table[table["action"] == entry.id]
        if len(own):
            write_csv(own.drop(columns="action"), folder / f"{entry.file}.csv")


def in_order(files: Iterable[str]) -> list[str]:
    """Names of files of the folder lists/ in the order of the lists; others follow by name."""
    place = {entry.file: at for at, entry in enumerate(LISTS)}
    return sorted(files, key=lambda file: (place.get(file, len(LISTS)), file))
