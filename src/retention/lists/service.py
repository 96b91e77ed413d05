"""The lists of an account lead: whom to care for, whom to ask for a referral, who waits too long
(C3, C4, C6 to C8).

A list holds present clients alone: those whose service has ended, and those who gave notice, are on
none. Each row has `client_id, client, owner, reason, evidence, age_days` (of the evidence) and
`act_by`. Lists are pure: frames in, a new frame out. Source: METHODS 5.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from retention.data.schema import TABLES
from retention.history.clients_now import last_days, yes
from retention.history.features import DETRACTOR, PROMOTER
from retention.history.spells import DAY
from retention.results import Finding, Findings
from retention.service.contact import CALL_DAYS, FACE, VISIT_DAYS
from retention.settings import study_plan

_PLAN = study_plan()["thresholds"]
WEEK, MONTH = 7, 30  # days in which a list asks somebody to act
OLD_DAYS = 183  # (ours) an answer older than this is asked for anew before anything is made of it
ASK_AGAIN_DAYS = 180  # (ours) who was asked for a referral is left alone for so long
LISTED = ["client_id", "client", "owner", "reason", "evidence", "age_days", "act_by"]
REPORT_DAYS, RECAP_DAYS = 62, 62  # (ours) two months without a monthly report, or a written recap
MOST_CLIENTS = int(_PLAN["clients_an_analyst"]["value"])  # STUDY C6
TOP = 10  # points: STUDY C3, the tens first
LONG = 3  # (ours) detractor's answers running from which another rep is worth talking over
DATED = "%d\u00a0%b\u00a0%Y"
NO_REASON = "gave no reason: ask"


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
    day = rows["answered_on"].dt.strftime(DATED)
    run = rows["running"].astype(str)
    told = rows["given"].astype(str) + ", " + day.astype(str)
    told += ("; " + run + " such answers running").where(rows["running"] > 1, "")
    margin = rows["client_id"].map({} if stand is None else stand["margin"]).astype(float)
    return rows.assign(
        evidence=told, age_days=(cutoff - rows["answered_on"]).dt.days, margin=margin
    )


def care_list(
    clients: pd.DataFrame,
    waves: pd.DataFrame,
    cutoff: pd.Timestamp,
    *,
    stand: pd.DataFrame | None = None,
    contact: pd.Series | None = None,
) -> pd.DataFrame:
    """Every present client whose last answer is a detractor's, the ones free to leave first, then
    by margin (C4).

    Beside what every list has: `nps`, `running` (such answers in a row), `last_contact`, `margin`,
    `next_step`. Who may leave in the months ahead is to be called within the week, who is bound
    within the month.
    """
    rows = last_answers(clients, waves, cutoff, (0, DETRACTOR), stand)
    given = (
        rows["reason"].astype("string").str.strip()
        if "reason" in rows
        else pd.Series(pd.NA, rows.index)
    )
    bound = (
        rows["client_id"].map({} if stand is None else stand["free"]).eq(False)
    )  # who is not known to be is not
    old = rows["age_days"] > OLD_DAYS
    long = rows["running"] >= LONG
    steps = ["ask again, the answer is old", "ask why; talk over another rep"]
    rows = rows.assign(
        reason=given.where(given.fillna("") != "", NO_REASON),
        act_by=cutoff + pd.to_timedelta(np.where(bound, MONTH, WEEK), unit="D"),
        last_contact=pd.to_datetime(rows["client_id"].map({} if contact is None else contact)),
        next_step=np.select([old, long], steps, "ask why; agree on a change"),
    )
    rows = rows.sort_values(
        ["act_by", "margin", "nps"], ascending=[True, False, True], kind="stable"
    )
    return rows[[*LISTED, "nps", "running", "last_contact", "margin", "next_step"]].reset_index(
        drop=True
    )


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
    again_days: int = ASK_AGAIN_DAYS,
    stand: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Present clients whose last answer is a promoter's and not old, the tens first: to be asked
    for a referral (C3).

    Left out are those asked within `again_days`. Beside what every list has: `nps`, `running`,
    `asked_on`, `margin`.
    """
    rows = last_answers(clients, waves, cutoff, (PROMOTER, TOP), stand)
    ten = rows["given"].str.endswith(f" of {TOP}")
    on_ten = np.where(rows["nps"] >= TOP, "gave a ten", "gave a nine")
    reason = np.where(ten, on_ten, "gave " + rows["given"].astype(str))
    day = pd.to_datetime(rows["client_id"].map({} if asked is None else asked))
    rows = rows.assign(reason=reason, act_by=cutoff + MONTH * DAY, asked_on=day)
    rows = rows[
        (rows["age_days"] <= OLD_DAYS) & ~((cutoff - rows["asked_on"]).dt.days < again_days)
    ]
    rows = rows.sort_values(
        ["nps", "running", "margin"], ascending=[False, False, False], kind="stable"
    )
    return rows[[*LISTED, "nps", "running", "asked_on", "margin"]].reset_index(drop=True)


def overdue_list(
    clients: pd.DataFrame, meetings: pd.DataFrame | None, cutoff: pd.Timestamp
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
    rules = [
        ("not spoken to", kind != "report", CALL_DAYS, WEEK),
        ("no report sent", kind == "report", REPORT_DAYS, WEEK),
        ("no written recap", written, RECAP_DAYS, WEEK),
        ("remote and not met", kind.isin(FACE), VISIT_DAYS, MONTH),
    ]
    found = []
    for reason, those, limit, days in rules:
        last = pd.to_datetime(clients["client_id"].map(last_days(held[those], "held_on")))
        age = (cutoff - last.fillna(clients["start_date"])).dt.days
        # What nobody ever writes down is not overdue.
        late = (age > limit) & those.any() & (clients["remote"] | (reason != "remote and not met"))
        told = f"{reason} since " + last.dt.strftime(DATED).fillna(
            "it signed, as far as is on record"
        )
        rows = clients.assign(
            reason=reason, evidence=told, age_days=age, act_by=cutoff + days * DAY
        )
        found.append(rows[late])
    every = pd.concat(found)
    joined = {"client": "first", "owner": "first", "reason": "; ".join, "evidence": "; ".join}
    rows = (
        every.groupby("client_id", sort=False)
        .agg(joined | {"age_days": "max", "act_by": "min"})
        .reset_index()
    )
    rows = rows.sort_values(["act_by", "age_days"], ascending=[True, False], kind="stable")
    return rows[LISTED].reset_index(drop=True)


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
    one = rows["nunique"].eq(1)
    told = (
        rows["first"].map(lambda who: names.get(who, who)).astype("string")
        + " since "
        + since.dt.strftime(DATED)
    )
    rows["reason"] = np.where(one, "one person alone", "nobody on record")
    rows["evidence"] = told.where(one, "no open assignment")
    rows["age_days"] = (cutoff - since).dt.days
    return rows.sort_values("age_days", ascending=False, kind="stable")[LISTED].reset_index(
        drop=True
    )


def loads(clients: pd.DataFrame, served: pd.DataFrame, names: pd.Series) -> pd.DataFrame:
    """How many present clients each analyst serves, beside the study's limit (C6); most first."""
    rows = served[
        served["client_id"].isin(clients["client_id"]) & served["role"].eq("analyst").fillna(False)
    ]
    count = (
        rows.groupby("staff_id")["client_id"].nunique().sort_values(ascending=False, kind="stable")
    )
    over = np.where(count > MOST_CLIENTS, f"over {MOST_CLIENTS}", "within")
    return pd.DataFrame(
        {
            "Analyst": [names.get(w, w) for w in count.index],
            "Clients": count.to_numpy(),
            "Study": over,
        }
    )


def shown(
    rows: pd.DataFrame, names: pd.Series, more: Mapping[str, str], most: int | None = None
) -> pd.DataFrame:
    """The first rows of a list as a team reads them; `more` are further columns and their
    headings.
    """
    rows = rows.head(len(rows) if most is None else most)
    owner = rows["owner"].map(lambda who: names.get(who, who) or "nobody on record")
    table = {
        "Client": rows["client"],
        "Act by": _day(rows["act_by"]),
        "Rep": owner,
        "Why": rows["reason"],
    }
    table |= {"Evidence": rows["evidence"], "Days old": rows["age_days"]}
    for column, heading in more.items():
        if rows[column].isna().all():
            continue
        dated = pd.api.types.is_datetime64_any_dtype(rows[column])
        table[heading] = _day(rows[column]) if dated else rows[column]
    return pd.DataFrame(table)


def _day(days: pd.Series) -> pd.Series:
    return pd.to_datetime(days).dt.strftime(DATED)


def care_words(rows: pd.DataFrame, cutoff: pd.Timestamp, noticed: int, answers: int) -> Finding:
    """Whom to call this week, in a sentence."""
    soon = rows[rows["act_by"] <= cutoff + WEEK * DAY]
    bound = len(rows) - len(soon)
    first = "; ".join(f"{row.client} ({_quoted(row.reason)})" for row in soon.head(3).itertuples())
    if not answers:
        told = "Nobody was asked whether it would recommend you, so nobody can be named here."
    elif rows.empty:
        told = "No present client's last answer is a detractor's: nobody to call for that."
    elif soon.empty:
        told = "Nobody has to be called this week."
    else:
        told = (
            f"Call this week, in this order: {first}"
            + f"; and {len(soon) - 3} more on the list" * (len(soon) > 3)
        )
        told += (
            ". Their last answer is a detractor's, and they are free to leave in the months ahead."
        )
    are = "further detractor is" if bound == 1 else "further detractors are"
    told += f" {bound} {are} bound by contract for now: to be called within the month." * bool(
        bound
    )
    told += f" The {noticed} clients who gave notice are not on the list." * bool(
        noticed and answers
    )
    return Finding("C4", told, "headline")


def _quoted(reason: str) -> str:
    return reason if reason == NO_REASON else f"“{reason.rstrip('.')}”"


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
    lacks = {name: TABLES[name].unlocks for name in USED if name not in tables}
    texts = [
        f"The table {name} is not in the data. It would tell of {what}."
        for name, what in lacks.items()
    ]
    return Findings(
        tuple(Finding("C", text) for text in texts), "Every table that this page can use is there."
    )
