"""The lists of an account lead: whom to care for, whom to ask for a referral, who waits too long
(C3, C4, C6 to C8).

A list holds present clients alone: those whose service has ended, and those who gave notice, are on
none. Each row has `client_id, client, owner, reason, evidence, age_days` (of the evidence) and
`act_by`. Lists are pure: frames in, a new frame out. Source: METHODS 5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from retention.data.schema import TABLES
from retention.history.clients_now import last_days, yes
from retention.history.measures import DETRACTOR, PROMOTER
from retention.history.spells import DAY
from retention.lists.shape import MONTH, WEEK, day_words, with_owner_names
from retention.results import Finding, Findings
from retention.service.contact import FACE, visit_days
from retention.settings import LIMITS, Limits
from retention.words import Said, key_of, say, together

if TYPE_CHECKING:
    from retention.lists.desk import Desk

LISTED = ["client_id", "client", "owner", "reason", "evidence", "age_days", "act_by"]
TOP = 10  # points: STUDY C3, the tens first
NAMED = 3  # clients named in the sentence above the care list
NO_REASON = say("lists.calls.no_reason")
ASK_AGAIN = say("lists.next.ask_again")
OTHER_REP = say("lists.next.other_rep")
AGREE = say("lists.next.agree")
NO_ASSIGNMENT = say("lists.alone.no_assignment")


def care(desk: Desk) -> pd.DataFrame:
    """The care list for the decision (C4), owners by name; empty where no answers are at hand."""
    if desk.care is None:
        return pd.DataFrame(columns=LISTED)
    of = desk.care
    cutoff = desk.book.cutoff
    limits = desk.book.limits
    rows = care_list(of.clients, of.waves, cutoff, stand=of.stand, contact=of.seen, limits=limits)
    rows = rows.assign(short=[_quoted(reason) for reason in rows["reason"]])
    return with_owner_names(rows, desk.book)


def overdue(desk: Desk) -> pd.DataFrame:
    """The overdue list for the decision (C7, C8), owners by name."""
    if desk.care is None:
        return pd.DataFrame(columns=LISTED)
    book = desk.book
    rows = overdue_list(desk.care.clients, desk.care.meetings, book.cutoff, book.limits)
    return with_owner_names(rows, desk.book)


def referrals(desk: Desk) -> pd.DataFrame:
    """The referral list for the decision (C3), owners by name."""
    if desk.care is None:
        return pd.DataFrame(columns=LISTED)
    of = desk.care
    cutoff = desk.book.cutoff
    limits = desk.book.limits
    rows = referral_list(
        of.clients, of.waves, cutoff, asked=of.asked, stand=of.stand, limits=limits
    )
    return with_owner_names(rows, desk.book)


def last_answers(
    clients: pd.DataFrame,
    waves: pd.DataFrame,
    cutoff: pd.Timestamp,
    range_: tuple[float, float],
    stand: pd.DataFrame | None,
) -> pd.DataFrame:
    """The present clients whose last answer lies in this range, with `running`: such answers in a
    row by then.

    Further columns: `evidence`, `age_days`, `margin`. Answers from before the present engagement do
    not count.
    """
    answers = waves[waves["nps"].notna()].merge(clients, on="client_id")
    answers = answers[answers["answered_on"] >= answers["start_date"]].sort_values(
        "answered_on", kind="stable"
    )
    such = answers["nps"].between(*range_)
    turns = (~such).groupby(answers["client_id"]).cumsum()
    rows = answers.assign(running=such.astype(int).groupby([answers["client_id"], turns]).cumsum())
    rows = rows.drop_duplicates("client_id", keep="last").loc[lambda last: last["running"] > 0]
    margin = rows["client_id"].map({} if stand is None else stand["margin"]).astype(float)
    return rows.assign(
        evidence=[
            _answer_words(row.given, row.answered_on, row.running) for row in rows.itertuples()
        ],
        age_days=(cutoff - rows["answered_on"]).dt.days,
        margin=margin,
    )


def _answer_words(given: str, day: pd.Timestamp, running: int) -> Said:
    """An answer with its day, and how many such answers there are in a row."""
    if running > 1:
        return say("lists.answer.several", given=given, day=day_words(day), running=running)
    return say("lists.answer.one", given=given, day=day_words(day))


def care_list(
    clients: pd.DataFrame,
    waves: pd.DataFrame,
    cutoff: pd.Timestamp,
    *,
    stand: pd.DataFrame | None = None,
    contact: pd.Series | None = None,
    limits: Limits = LIMITS,
) -> pd.DataFrame:
    """Every present client whose last answer is a detractor's, the ones free to leave first, then
    by margin (C4).

    Beside what every list has: `nps`, `running` (such answers in a row), `last_contact`, `margin`,
    `next_step`. Who may leave in the months ahead is to be called within the week, who is bound
    within the month.
    """
    rows = last_answers(clients, waves, cutoff, (0, DETRACTOR), stand)
    # Who is not known to be bound is taken to be free.
    bound = rows["client_id"].map({} if stand is None else stand["free"]).eq(False)
    rows = rows.assign(
        reason=_reasons(rows),
        act_by=cutoff + pd.to_timedelta(np.where(bound, MONTH, WEEK), unit="D"),
        last_contact=pd.to_datetime(rows["client_id"].map({} if contact is None else contact)),
        next_step=[_next_step(row.age_days, row.running, limits) for row in rows.itertuples()],
    )
    order = ["act_by", "margin", "nps"]
    rows = rows.sort_values(order, ascending=[True, False, True], kind="stable")
    columns = [*LISTED, "nps", "running", "last_contact", "margin", "next_step"]
    return rows[columns].reset_index(drop=True)


def _reasons(rows: pd.DataFrame) -> pd.Series:
    """The reason that each client gave, or `NO_REASON`."""
    if "reason" not in rows:
        return pd.Series(NO_REASON, rows.index, dtype=object)
    given = rows["reason"].astype("string").str.strip().fillna("")
    return pd.Series([reason or NO_REASON for reason in given], rows.index, dtype=object)


def _next_step(age_days: int, running: int, limits: Limits) -> Said:
    """What to do about a detractor, by the age of its answer and how many it gave in a row."""
    if age_days > limits["old_answer_days"]:
        return ASK_AGAIN
    return OTHER_REP if running >= limits["another_rep_answers"] else AGREE


def last_asked(spells: pd.DataFrame, leads: pd.DataFrame | None) -> pd.Series | None:
    """The day on which each client was last asked for a referral that came of it; None where that
    is not on record.
    """
    if (
        leads is None
        or "referred_by" not in spells
        or not {"asked_on", "client_id"} <= {*leads.columns}
    ):
        return None
    came = (
        spells.dropna(subset=["referred_by"])
        .drop_duplicates("client_id")
        .set_index("client_id")["referred_by"]
    )
    asked = leads.dropna(subset=["asked_on", "client_id"])
    return asked.groupby(asked["client_id"].map(came))["asked_on"].max()


def referral_list(
    clients: pd.DataFrame,
    waves: pd.DataFrame,
    cutoff: pd.Timestamp,
    *,
    asked: pd.Series | None = None,
    stand: pd.DataFrame | None = None,
    limits: Limits = LIMITS,
) -> pd.DataFrame:
    """Present clients whose last answer is a promoter's and not old, the tens first: to be asked
    for a referral (C3).

    Left out are those asked within `ask_again_days`. Beside what every list has: `nps`, `running`,
    `asked_on`, `margin`.
    """
    rows = last_answers(clients, waves, cutoff, (PROMOTER, TOP), stand)
    reason = [say("lists.answer.gave", given=given) for given in rows["given"]]
    day = pd.to_datetime(rows["client_id"].map({} if asked is None else asked))
    rows = rows.assign(reason=reason, act_by=cutoff + MONTH * DAY, asked_on=day)
    new = rows["age_days"] <= limits["old_answer_days"]
    since = cutoff - rows["asked_on"]
    asked_lately = since.dt.days < limits["ask_again_days"]
    rows = rows[new & ~asked_lately]
    rows = rows.sort_values(
        ["nps", "running", "margin"], ascending=[False, False, False], kind="stable"
    )
    return rows[[*LISTED, "nps", "running", "asked_on", "margin"]].reset_index(drop=True)


def overdue_list(
    clients: pd.DataFrame,
    meetings: pd.DataFrame | None,
    cutoff: pd.Timestamp,
    limits: Limits = LIMITS,
) -> pd.DataFrame:
    """Present clients for too long not spoken to, sent a report, sent a recap or, if remote, met
    (C7, C8).

    A row a client with every reason; `age_days` runs since the oldest of what is missed. A client
    counts as seen on the day it signed.
    """
    if meetings is None:
        return pd.DataFrame(columns=LISTED)
    held = meetings.merge(clients[["client_id", "start_date"]], on="client_id")
    held = held[held["held_on"] >= held["start_date"]]
    kind = held["kind"]
    written = yes(held["recap_sent"]) if "recap_sent" in held else pd.Series(False, held.index)
    everybody = pd.Series(True, clients.index)
    rules = [
        ("call", kind != "report", limits["call_days"], WEEK, everybody),
        ("report", kind == "report", limits["report_days"], WEEK, everybody),
        ("recap", written, limits["recap_days"], WEEK, everybody),
        ("visit", kind.isin(FACE), visit_days(limits), MONTH, clients["remote"]),
    ]
    parts = []
    for what, those, limit, days, whom in rules:
        last = pd.to_datetime(clients["client_id"].map(last_days(held[those], "held_on")))
        # What nobody ever writes down is not overdue.
        asked = whom & those.any()
        late = _late(clients[asked], last[asked], cutoff, limit, what)
        parts.append(late.assign(act_by=cutoff + days * DAY))
    return _one_row_each(pd.concat(parts))


def _late(
    clients: pd.DataFrame, last: pd.Series, cutoff: pd.Timestamp, limit: float, what: str
) -> pd.DataFrame:
    """The clients with whom it has been longer than the limit (days) since `last`, or since they
    signed.

    `what` they wait for is an id of lists.waits.
    """
    age = (cutoff - last.fillna(clients["start_date"])).dt.days
    reason = say(f"lists.waits.{what}")
    evidence = [_since_words(reason, day) for day in last]
    rows = clients.assign(reason=reason, evidence=evidence, age_days=age)
    return rows[age > limit]


def _one_row_each(every: pd.DataFrame) -> pd.DataFrame:
    """A row a client with all its reasons, the most urgent first."""
    by = every.groupby("client_id", sort=False)
    joined = {"client": "first", "owner": "first", "reason": "; ".join, "evidence": "; ".join}
    rows = by.agg(joined | {"age_days": "max", "act_by": "min"}).reset_index()
    rows = rows.sort_values(["act_by", "age_days"], ascending=[True, False], kind="stable")
    return rows[LISTED].reset_index(drop=True)


def _since_words(what: Said, day: pd.Timestamp) -> Said:
    """What a client has waited for, and since when; without a day, since it signed."""
    if pd.isna(day):
        return say("lists.waits.since_signing", what=what)
    return say("lists.waits.since", what=what, day=day_words(day))


def held_alone(
    clients: pd.DataFrame, served: pd.DataFrame, names: pd.Series, cutoff: pd.Timestamp
) -> pd.DataFrame:
    """Present clients whom one person alone serves, or nobody on record (C6); `served` as `serving`
    gives it.
    """
    if served.empty:
        return pd.DataFrame(columns=LISTED)
    people = served.groupby("client_id")["staff_id"].agg(["nunique", "first"])
    rows = clients.join(people, on="client_id").join(
        served.groupby("client_id")["from_date"].max(), on="client_id"
    )
    rows = rows[~(rows["nunique"] > 1)].assign(act_by=cutoff + MONTH * DAY)
    since = rows["from_date"].fillna(rows["start_date"])
    person = rows["first"].map(lambda who: names.get(who, who))
    words = [
        _alone_words(name, day) if one else (say("lists.alone.nobody"), NO_ASSIGNMENT)
        for name, day, one in zip(person, since, rows["nunique"].eq(1), strict=True)
    ]
    rows = rows.assign(
        reason=[reason for reason, _ in words],
        evidence=[evidence for _, evidence in words],
        age_days=(cutoff - since).dt.days,
    )
    rows = rows.sort_values("age_days", ascending=False, kind="stable")
    return rows[LISTED].reset_index(drop=True)


def _alone_words(person: str, day: pd.Timestamp) -> tuple[Said, Said]:
    """Reason and evidence of a client whom one person alone serves since this day."""
    evidence = say("lists.alone.one_since", person=person, day=day_words(day))
    return say("lists.alone.one"), evidence


def loads(
    clients: pd.DataFrame, served: pd.DataFrame, names: pd.Series, limits: Limits = LIMITS
) -> pd.DataFrame:
    """How many present clients each analyst serves, beside the study's limit (C6); most first:
    `analyst, clients, limit`.
    """
    rows = served[
        served["client_id"].isin(clients["client_id"]) & served["role"].eq("analyst").fillna(False)
    ]
    count = rows.groupby("staff_id")["client_id"].nunique()
    count = count.sort_values(ascending=False, kind="stable")
    most = int(limits["clients_an_analyst"])
    over = say("lists.alone.over", limit=most)
    within = say("lists.alone.within")
    return pd.DataFrame(
        {
            "analyst": [names.get(who, who) for who in count.index],
            "clients": count.to_numpy(),
            "limit": [over if clients > most else within for clients in count],
        }
    )


def shown(rows: pd.DataFrame, names: pd.Series, more: Sequence[str] = ()) -> pd.DataFrame:
    """A list as a team reads it: `client, act_by, rep, reason, evidence, age_days`, with `to_do`
    where it is known (`actions.as_chosen`), and of the columns `more` those that hold anything.
    """
    nobody = say("lists.alone.nobody_in_charge")
    table = rows.assign(rep=rows["owner"].map(lambda who: names.get(who, who) or nobody))
    table = table.assign(act_by=pd.to_datetime(table["act_by"]))
    columns = ["client", "act_by", "to_do", "rep", "reason", "evidence", "age_days"]
    columns = [column for column in columns if column in table]
    columns += [column for column in more if rows[column].notna().any()]
    return table[columns]


def care_words(rows: pd.DataFrame, cutoff: pd.Timestamp, noticed: int, answers: int) -> Finding:
    """Whom to call this week, in sentences; `rows` as from `care_list`, by the days of the list to
    act on (`actions.as_chosen`).

    `noticed`: how many clients gave notice; `answers`: how many were asked at all. Who is parted
    from is not called for its answer.
    """
    rows = rows[~rows["parting"]] if "parting" in rows else rows
    soon = rows[rows["act_by"] <= cutoff + WEEK * DAY]
    bound = len(rows) - len(soon)
    parts = [_whom_to_call(rows, soon, answers)]
    if len(soon) and answers:
        parts.append(say("lists.calls.why"))
    if bound:
        parts.append(say("lists.calls.bound", bound=bound))
    if noticed and answers:
        parts.append(say("lists.calls.not_on_list", noticed=noticed))
    return Finding("C4", together(*parts), "headline")


def _whom_to_call(rows: pd.DataFrame, soon: pd.DataFrame, answers: int) -> Said:
    """The first sentence: the first clients of the list by name, or why there are none."""
    if not answers:
        return say("lists.calls.nobody_asked")
    if rows.empty:
        return say("lists.calls.no_detractor")
    if soon.empty:
        return say("lists.calls.none_this_week")
    first = "; ".join(
        say("lists.calls.client", client=row.client, reason=_quoted(row.reason))
        for row in soon.head(NAMED).itertuples()
    )
    if len(soon) > NAMED:
        return say("lists.calls.call_more", first=first, more=len(soon) - NAMED)
    return say("lists.calls.call", first=first)


def _quoted(reason: str) -> str:
    """A client's own reason in quotes."""
    if key_of(reason) == NO_REASON.key:
        return reason
    return say("lists.calls.quoted", reason=reason.rstrip("."))


USED = (
    "surveys",
    "assignments",
    "meetings",
    "requests",
    "leads",
    "staff",
    "results",
    "account_months",
    "hours",
)


def lacking(tables: Mapping[str, pd.DataFrame]) -> Findings:
    """What this page lacks, and what each table would answer if it were added."""
    texts = [
        say("lists.lacking.table", table=name, what=TABLES[name].unlocks)
        for name in USED
        if name not in tables
    ]
    return Findings(tuple(Finding("C", text) for text in texts), say("lists.lacking.no_table"))
