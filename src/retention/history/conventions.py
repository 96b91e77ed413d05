"""What the dates of a clients table mean: questions that the data raise, and the answers given as
settings.

Exports write the last paid day, the first day without service, the day paid up to, the next
renewal, the day of notice or a placeholder into the same column. Where the data settle which it is,
a note says so; where they raise a doubt, the run stops with a question that gives its counts and
the settings that answer it, whoever wrote the settings. A snapshot (a tenure and a flag) has no
dates of its own and is never asked. Source: METHODS 0.
"""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from retention.history.known_from import DAYS_A_MONTH, MANY_STARTS, START_SHARE, with_known_from
from retention.history.spells import CLIENT, DAY, add_months, ends_near_due, whole_months
from retention.settings import Settings
from retention.words import say

FAR_AHEAD_YEARS = 5  # (ours) nobody gives notice five years ahead: the date stands for no end
FEW = 5  # (ours) fewer dates than this raise no question
CHANCE = 0.001  # (ours) how rare a pattern must be, were it chance, to raise one
PAST_DUE_CHANCE = (
    0.05  # (ours) for ends past due, where a wrong reading turns the study's first answer (A1)
)
AHEAD_SHARE = 0.25  # (ours) of those present; under notice at one time are a tenth at most
LATELY_MONTHS = 1  # (ours) before the cut-off in which the day of an export may lie
PILE = 4  # (ours) times as many on one day as on any other
TOGETHER = 3  # (ours) clients that start on one day, years before all others
PLACEHOLDERS = pd.to_datetime(
    ["1899-12-30", "1899-12-31", "1900-01-01", "1901-01-01", "1904-01-01", "1970-01-01"]
)
FIRST_YEAR = 1950  # no agency's client is older
NOTICE_WINDOWS = (
    (25, 35),
    (55, 65),
    (85, 95),
)  # days before the due day: one, two, three months of notice
NOTICE_SLACK = 5  # days by which notice may come late and still end the term
SHOWN = 5  # ids named in a message


def meant(
    clients: pd.DataFrame, settings: Settings, cutoff: dt.date
) -> tuple[pd.DataFrame, list[str]]:
    """The clients table with its dates read as the settings and the data say; and notes of what was
    changed.

    Ends that stand for none are blank, days of notice have become last paid days, doubtful starts
    are left out. A snapshot comes back as it is.
    """
    if settings.is_snapshot:
        return clients, []
    last = pd.Timestamp(cutoff)
    dates = settings.dates
    notes = list[str]()
    clients = with_known_from(clients, settings.known_from, cutoff)
    clients = _without_ends(
        clients, far_ahead(clients, last), "far_ahead", notes, years=FAR_AHEAD_YEARS
    )
    if dates.ends_ahead == "planned":
        undecided = undecided_ahead(clients, last)
        clients = _without_ends(clients, undecided, "planned", notes)
    if dates.ends_on_cutoff == "still clients":
        day, _, _ = pile_of_ends(clients, last)
        clients = _without_ends(
            clients, clients["end_date"] == day, "on_cutoff", notes, day=_date(day)
        )
    if dates.end == "notice":
        who = some(clients, clients["end_date"].notna())
        notes.append(say("data.note.notice", who=who))
        clients = _notice_to_last_day(clients, settings.notice_days)
    if dates.unlikely_starts == "leave out":
        odd = placeholder_starts(clients) | piled_starts(clients)
        who_left_out = some(clients, odd)
        notes.append(say("data.note.left_out", who=who_left_out))
        clients = clients[~odd].reset_index(drop=True)
    return clients, notes


def questions(clients: pd.DataFrame, settings: Settings, cutoff: dt.date) -> list[str]:
    """What has to be answered about the dates of the clients table, which `meant` gave; empty where
    nothing has.
    """
    if settings.is_snapshot:
        return []
    last = pd.Timestamp(cutoff)
    dates = settings.dates
    asked = list[str]()
    if dates.unlikely_starts is None:
        asked += _about_starts(clients)
    if dates.ends_ahead is None:
        asked += _about_ends_ahead(clients, last)
    if dates.ends_on_cutoff is None:
        asked += _about_pile(clients, last)
    if dates.end is None:
        asked += _about_notice(clients, last)
    if settings.end_grace_days is None:
        asked += _about_last_days(clients, last)
    return asked


def far_ahead(clients: pd.DataFrame, last: pd.Timestamp) -> pd.Series:
    """Rows whose end lies so far ahead that it stands for no end, such as 2099-12-31."""
    years = pd.DateOffset(years=FAR_AHEAD_YEARS)
    return clients["end_date"] > last + years


def undecided_ahead(clients: pd.DataFrame, last: pd.Timestamp) -> pd.Series:
    """Rows with an end after the last day of which nothing says that anybody decided it."""
    decided = (
        clients.reindex(columns=["decision_date", "end_initiator", "end_reason"])
        .notna()
        .any(axis=1)
    )
    return (clients["end_date"] > last) & ~decided


def note_of_ends_ahead(clients: pd.DataFrame, cutoff: dt.date) -> list[str]:
    """That ends to come which nobody decided are read as notice, where there are too few of them to
    be asked about.
    """
    ahead = undecided_ahead(clients, pd.Timestamp(cutoff)) & (
        clients["start_date"] <= pd.Timestamp(cutoff)
    )
    return [say("data.note.ahead", who=some(clients, ahead))] if ahead.any() else []


def pile_of_ends(clients: pd.DataFrame, last: pd.Timestamp) -> tuple[pd.Timestamp, int, int]:
    """The day of the last months of observation with most ends, how many it has, and the most on
    any other day.
    """
    past = clients["end_date"] <= last
    days = clients.loc[past, "end_date"].value_counts()
    since = last - pd.DateOffset(months=LATELY_MONTHS)
    recent = days[days.index > since]
    if recent.empty:
        return pd.NaT, 0, 0
    day = recent.idxmax()
    return day, int(recent.max()), int(days.drop(day).max()) if len(days) > 1 else 0


def placeholder_starts(clients: pd.DataFrame) -> pd.Series:
    """Rows that start on a day that programs write where they know none, or together years before
    all others.
    """
    start = clients["start_date"]
    too_old = start.dt.year < FIRST_YEAR
    known = start.isin(PLACEHOLDERS) | too_old
    by_day = start[~known].value_counts()
    days = by_day.sort_index()
    if len(days) < FEW or days.iloc[0] < TOGETHER:
        return known
    gap = days.index[1] - days.index[0]
    apart = gap > pd.Timedelta(days=366 * FAR_AHEAD_YEARS)
    return known | (start == days.index[0]) if apart else known


def piled_starts(clients: pd.DataFrame) -> pd.Series:
    """Rows that start on the few days on which far more start than on any other, as where records
    were created.
    """
    days = clients["start_date"].value_counts()
    large = days[days >= MANY_STARTS]
    others = days[days < MANY_STARTS]
    most = int(others.max()) if len(others) else 0
    piled = large[large > PILE * most] if len(others) >= FEW else large.head(0)
    clients_seen = max(len(clients), 1)
    share = piled.sum() / clients_seen
    on_pile = clients["start_date"].isin(piled.index)
    return on_pile & (share >= START_SHARE)


def past_due(spells: pd.DataFrame, grace_days: int) -> str:
    """What gathers after the due day of fixed terms, in words; empty where no more ends fall after
    it than before.
    """
    before, on_time, after = ends_near_due(spells, grace_days)
    if after < FEW or _chance(after, after + before, 0.5) > PAST_DUE_CHANCE:
        return ""
    return say("data.evidence.past_due", before=before, on_time=on_time, after=after)


def on_anniversary(rows: pd.DataFrame) -> tuple[int, int]:
    """How many ends fall on a monthly anniversary of the start, and how many on the day
    before one.
    """
    start = rows["start_date"]
    end = rows["end_date"]
    # From a month's end to a month's end may be whole months of service, however long the months
    # are.
    first_of_month = (end + DAY).dt.day == 1
    at_month_end = (start.dt.day >= 29) & first_of_month
    exact = [_months_after(start, day) & ~at_month_end for day in (end, end + DAY)]
    return int(exact[0].sum()), int(exact[1].sum())


def _months_after(start: pd.Series, day: pd.Series) -> pd.Series:
    months = whole_months(start, day)
    whole = add_months(start, months) == day
    return (months >= 1) & whole


def days_before_due(rows: pd.DataFrame) -> pd.Series:
    """Days from the day after each end to the next day on which the term comes due; 0 for an end on
    its last day.
    """
    after = rows["end_date"] + DAY
    terms = rows["contract_term_months"].astype(int)
    served = whole_months(rows["start_date"], after)
    begun = -(-served.clip(lower=1) // terms)
    due = add_months(rows["start_date"], begun * terms)
    late = due < after
    next_due = add_months(rows["start_date"], (begun + 1) * terms)
    due = due.mask(late, next_due)
    return (due - after).dt.days


def some(rows: pd.DataFrame, mask: pd.Series) -> str:
    """How many rows, and the first of their ids: "7 (c1, c2, c3, c4, c5, ...)"."""
    ids = rows.loc[mask, "client_id"]
    more = ", ..." if len(ids) > SHOWN else ""
    shown = ids[:SHOWN].astype(str)
    named = ", ".join(shown)
    return f"{len(ids):,} ({named}{more})" if len(ids) else "0"


def _without_ends(
    clients: pd.DataFrame, blank: pd.Series, kind: str, notes: list[str], **said: Any
) -> pd.DataFrame:
    """The clients without these ends; a note of it is added where there are any."""
    if not blank.any():
        return clients
    who = some(clients, blank)
    notes.append(say(f"data.note.{kind}", who=who, **said))
    kept = clients["end_date"].mask(blank)
    return clients.assign(end_date=kept)


def _notice_to_last_day(clients: pd.DataFrame, notice_days: int) -> pd.DataFrame:
    """The clients with the ends taken for days of notice, and the last paid day that follows from
    each.

    Month-to-month clients pay on for the days of notice; a fixed term runs to the first due day
    after them.
    """
    notice = clients["end_date"]
    decided = clients["decision_date"].fillna(notice) if "decision_date" in clients else notice
    last_day = notice + pd.Timedelta(days=notice_days)
    has_term = clients["contract_term_months"] > 1
    fixed = notice.notna() & has_term
    latest = last_day[fixed] - NOTICE_SLACK * DAY
    rows = clients[fixed].assign(end_date=latest)
    wait = pd.to_timedelta(days_before_due(rows), unit="D")
    due = rows["end_date"] + wait
    return clients.assign(
        end_date=last_day.mask(fixed, due.reindex(clients.index)), decision_date=decided
    )


def _about_starts(clients: pd.DataFrame) -> Iterator[str]:
    unknown = placeholder_starts(clients)
    piled = piled_starts(clients)
    if unknown.any():
        days = ", ".join(
            str(day.date()) for day in sorted(clients.loc[unknown, "start_date"].unique())[:SHOWN]
        )
        ids = clients.loc[unknown, "client_id"][:SHOWN]
        first = ", ".join(ids.astype(str))
        yield _start_question("placeholder", count=int(unknown.sum()), days=days, first=first)
    if piled.any():
        days = clients["start_date"].value_counts()
        other_days = clients.loc[~piled, "start_date"]
        others = other_days.value_counts()
        top_day = _date(days.index[0])
        most = int(others.max())
        said = {"day": top_day, "most": most, "rows": len(clients)}
        yield _start_question("pile", count=int(piled.sum()), **said)


def _start_question(kind: str, **said: Any) -> str:
    why = say(f"data.start.{kind}", **said)
    return say("data.question.unlikely_starts", why=why)


def _about_ends_ahead(clients: pd.DataFrame, last: pd.Timestamp) -> Iterator[str]:
    gone = ~(clients["end_date"] <= last)
    present = (clients["start_date"] <= last) & gone
    ahead = undecided_ahead(clients, last) & present
    if ahead.sum() >= FEW and ahead.sum() >= AHEAD_SHARE * present.sum():
        ids = clients.loc[ahead, "client_id"][:SHOWN]
        first = ", ".join(ids.astype(str))
        count = int(ahead.sum())
        yield say("data.question.ends_ahead", count=count, present=int(present.sum()), first=first)


def _about_pile(clients: pd.DataFrame, last: pd.Timestamp) -> Iterator[str]:
    day, count, most = pile_of_ends(clients, last)
    if count >= FEW and count > PILE * max(most, 1):
        yield say("data.question.ends_on_cutoff", count=count, day=_date(day), most=most)


def _about_notice(clients: pd.DataFrame, last: pd.Timestamp) -> Iterator[str]:
    """Ends of fixed terms that gather a month or more before the term was due, where notice is
    given.
    """
    chosen = clients.reindex(columns=["decision_date", "end_initiator"])
    by_choice = chosen["end_initiator"].fillna(CLIENT).eq(CLIENT)
    by_client = chosen["decision_date"].isna() & by_choice
    rows = clients[
        (clients["end_date"] <= last) & (clients["contract_term_months"] > 1) & by_client
    ]
    early = days_before_due(rows)
    terms = rows["contract_term_months"].astype(float)
    gathered = int(sum(early.between(first, final).sum() for first, final in NOTICE_WINDOWS))
    width = sum(final - first + 1 for first, final in NOTICE_WINDOWS)
    # Where service ends with a month, ends can only fall on one day in each.
    by_month = (rows["end_date"] + DAY).dt.day.isin([1]) | (early > 0) & _months_after(
        rows["start_date"], rows["end_date"] + DAY
    )
    share = width / (terms * DAYS_A_MONTH)
    by_chance = np.where(by_month, len(NOTICE_WINDOWS) / terms, share)
    chance = (
        _chance(gathered, len(rows), float(np.minimum(by_chance, 1).mean())) if gathered else 1.0
    )
    on_time = int((early == 0).sum())
    if gathered >= FEW and gathered > on_time and chance < CHANCE:
        yield say("data.question.end", count=gathered, ends=len(rows), on_time=on_time)


def _about_last_days(clients: pd.DataFrame, last: pd.Timestamp) -> Iterator[str]:
    """Ends on the day after the last paid one: of fixed terms past due, and of all on monthly
    anniversaries.
    """
    rows = clients[clients["end_date"] <= last]
    kind = rows["end_initiator"] if "end_initiator" in rows else pd.Series(pd.NA, rows.index)
    plain = kind.astype(object)
    kinds = plain.where(kind.notna(), CLIENT)
    evidence = past_due(rows.assign(end_kind=kinds), 0)
    count, day_before = on_anniversary(rows)
    more = (
        count >= FEW and count > day_before and _chance(count, len(rows), 1 / DAYS_A_MONTH) < CHANCE
    )
    if more and not evidence:
        evidence = say(
            "data.evidence.anniversary", count=count, ends=len(rows), day_before=day_before
        )
    if evidence:
        yield say("data.question.end_grace_days", evidence=evidence)


def _chance(count: int, of: int, share: float) -> float:
    """How rarely so many or more would be seen by chance."""
    test = stats.binomtest(count, of, share, "greater")
    return float(test.pvalue)


def _date(day: pd.Timestamp) -> str:
    return f"{day:%d %B %Y}"
