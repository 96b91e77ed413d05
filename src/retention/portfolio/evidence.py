"""What is noted of clients and shown by their records (D5, D7, D8, D11), and whether the team
explains it (D9).

Every piece of evidence has a day: a kind of client is noted, or becomes visible, on a date and is
never known from the end. The fairness check comes before anybody is called a problem: results under
target, a rep whom its other clients like less too, or a rep who is slow to answer everybody; of
what a client costs, a rep whose clients all take more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from retention.contrast import Z95
from retention.data.schema import columns_of
from retention.history.grids import against_target
from retention.history.in_charge import reps_on
from retention.history.spells import DAY
from retention.portfolio.debts import arrears, usual_invoice
from retention.portfolio.margins import LIMITS, Limits, Tables
from retention.settings import ResultsSettings, study_plan
from retention.words import Said, say

NOTED: Mapping[str, Mapping[str, Any]] = study_plan()["noted"]
EVIDENCE = ["client_id", "noted_on", "what", "group", "evidence", "severity", "rep_id", "source"]
NOTED_BY = "noted"  # the source of what the team wrote down itself
LEAST_FEES = 5  # (ours) different fees under which there is no slope of cost on fee
LEAST_SPREAD = 1e-9  # nothing is divided by less
MOST_DAYS, HALF = (
    30,
    0.5,
)  # (ours) days after which a request counts as not answered; share of such that is most
ABUSE = "abuse"
KIND = "kind_to_avoid"
HOPELESS = "hopeless_cause"
RED_FLAG = "red_flag"
DEBTOR = "debtor"
UNDECIDED = "undecided"
NO_PREPAYMENT = "won't prepay"
OUT_OF_SCOPE = "asks for work out of scope"


def in_charge(rows: pd.DataFrame, known: Tables, at: pd.DataFrame, day: str) -> pd.Series:
    """The rep in charge of each row's client on its `day` (`retention.in_charge`), missing where
    nobody is.
    """
    asked_of = at[["client_id", day]]
    spells = rows.reindex(columns=["client_id", "start_date", "rep_id"])
    asked = asked_of.merge(spells, on="client_id", how="left")
    assignments = known.get("assignments")
    reps = reps_on(asked, day, assignments, known.get("staff"))
    return reps.set_axis(at.index)


def evidence(
    rows: pd.DataFrame, known: Tables, cutoff: pd.Timestamp, limits: Limits = LIMITS
) -> pd.DataFrame:
    """Everything noted of these clients, or shown by their records, by the day it was: a row a
    piece of evidence.

    Columns: `client_id, noted_on, what` (as in the table flags), `group` (ids of plan.toml),
    `evidence` (in words), `severity` (1 to 5; NaN: nobody said), `rep_id` (in charge on that day)
    and `source` (`NOTED_BY`, or which records show it).
    """
    parts = [
        _noted(known),
        _growing_debts(known, cutoff, limits),
        _unsecured(rows, known, cutoff, limits),
        *_requests(known, cutoff, limits),
    ]
    parts = [part.astype(object) for part in parts]
    there = [part for part in parts if len(part)]
    every = pd.concat(there or parts[:1])
    every["noted_on"] = pd.to_datetime(every["noted_on"])
    every["severity"] = every["severity"].astype(float)
    names = every["what"].astype(str).str.casefold()
    every["group"] = [NOTED[name]["group"] if name in NOTED else RED_FLAG for name in names]
    # Whenever it was noted: before the client signed, or in an earlier engagement, it was known by
    # then.
    ours = every["client_id"].isin(rows["client_id"])
    every = every[ours].reset_index(drop=True)
    reps = in_charge(rows, known, every, "noted_on")
    every = every.assign(rep_id=reps)
    order = ["client_id", "noted_on", "what"]
    return every.sort_values(order, ignore_index=True)[EVIDENCE]


def _noted(known: Tables) -> pd.DataFrame:
    """What the table flags has noted of clients, as evidence."""
    flags = columns_of(known, "flags", "client_id", "noted_on", "flag", "severity")
    text = flags["flag"].astype("string")
    plain = text.str.replace("\u2019", "'")  # as word processors write it
    severity = flags["severity"].astype(float)
    flags = flags.assign(flag=plain, severity=severity)
    written = say("portfolio.evidence.noted")
    named = flags.rename(columns={"flag": "what"})
    return named.assign(evidence=written, source=NOTED_BY)


def _from_records(
    values: pd.Series, day: pd.Timestamp, what: str, source: str, words: Callable[[float], Said]
) -> pd.DataFrame:
    """Evidence from the records: a row for each client of `values`, each put into `words`."""
    about = {"client_id": values.index, "noted_on": day, "what": what, "severity": np.nan}
    evidence = [words(value) for value in values]
    columns = {**about, "evidence": evidence, "source": source}
    return pd.DataFrame(columns)


def _growing_debts(known: Tables, last: pd.Timestamp, limits: Limits) -> pd.DataFrame:
    """Eternal debtors: arrears that grew from month to month and are more than so many invoices of
    the last year.
    """
    steps = int(limits["debtor_months"])
    days = [last - pd.DateOffset(months=back) for back in range(steps, -1, -1)]
    owed = arrears(known, days)
    if owed.empty:
        return pd.DataFrame()
    year_ago = last - pd.DateOffset(months=12)
    usual = usual_invoice(known, year_ago).reindex(owed.index)
    fees = owed.iloc[:, -1] / usual
    rising = owed.diff(axis=1).iloc[:, 1:] > 0
    grown = rising.all(axis=1) & (fees >= limits["debtor_fees"])

    def words(invoices: float) -> Said:
        return say("portfolio.evidence.debts", months=steps, invoices=invoices)

    return _from_records(fees[grown], last, DEBTOR, "debts", words)


def _requests(known: Tables, last: pd.Timestamp, limits: Limits) -> list[pd.DataFrame]:
    """Who keeps changing what was made, and who asks for what was never in scope, by share of the
    requests lately.
    """
    if "requests" not in known:
        return []
    columns = ["client_id", "requested_on", "revision", "in_scope"]
    asked = known["requests"].reindex(columns=columns)
    months = pd.DateOffset(months=int(limits["margin_months"]))
    asked = asked[asked["requested_on"] > last - months]
    found = []
    looks = (
        ("revision", True, UNDECIDED, _of_revisions),
        ("in_scope", False, OUT_OF_SCOPE, _of_scope),
    )
    for column, bad, what, words in looks:
        answered = asked.dropna(subset=[column])
        marked = answered[column].eq(bad).groupby(answered["client_id"])
        shares = marked.mean()
        enough = marked.size() >= limits["least_requests"]
        often = shares >= limits["request_share"]
        much = shares[enough & often]
        rows_found = _from_records(much, last, what, "requests", words)
        found.append(rows_found)
    return found


def _of_revisions(share: float) -> Said:
    return say("portfolio.evidence.revisions", share=share)


def _of_scope(share: float) -> Said:
    return say("portfolio.evidence.out_of_scope", share=share)


def _of_late_pay(days: float) -> Said:
    return say("portfolio.evidence.unsecured", days=days)


def _unsecured(
    rows: pd.DataFrame, known: Tables, last: pd.Timestamp, limits: Limits
) -> pd.DataFrame:
    """Clients who gave neither a deposit nor a prepayment and pay late, by more than a month on
    average.
    """
    if not {"deposit_paid", "prepaid"} <= set(rows):
        return pd.DataFrame()
    terms = rows.set_index("client_id")[["deposit_paid", "prepaid"]]
    refused = terms.eq(False).all(axis=1)
    begin = pd.DateOffset(months=12)
    late = days_late(known, last - begin)
    unsecured = late.index.isin(refused.index[refused])
    late = late[unsecured & (late > limits["late_days"])]
    return _from_records(late, last, NO_PREPAYMENT, "payments", _of_late_pay)


def days_late(known: Tables, begin: pd.Timestamp) -> pd.Series:
    """Mean days from the due day to the last payment, of each client's invoices due since `begin`
    and paid.

    Credit notes, invoices of nothing and refunds are no payments that could be late.
    """
    if not {"invoices", "payments"} <= set(known):
        return pd.Series(dtype=float)
    payments = known["payments"]
    money_in = payments[payments["amount"] > 0]
    paid = money_in.groupby("invoice_id")["paid_on"].max()
    bills = known["invoices"]
    due = bills["due_on"] >= begin
    bills = bills[due & (bills["amount"] > 0)]
    paid_on = bills["invoice_id"].map(paid)
    late = (paid_on - bills["due_on"]).dt.days
    by_client = late.groupby(bills["client_id"])
    return by_client.mean().dropna()


def of_reps(
    rows: pd.DataFrame, known: Tables, cutoff: pd.Timestamp, limits: Limits, money: pd.DataFrame
) -> pd.DataFrame:
    """What stands out in each rep's work, in words: a row a rep, index `rep_id`; `money` as from
    `margins.current`.

    Columns: `rep` (its clients like it less than others), `response` (it is slow to answer),
    `hours` (its clients take more); empty where nothing was found, NaN where it cannot be looked
    at.
    """
    months = int(limits["fair_months"])
    begin = cutoff - pd.DateOffset(months=months)
    about = {
        "rep": _disliked(rows, known, begin, cutoff, limits),
        "response": _slow(rows, known, begin, cutoff, limits),
        "hours": _heavy(rows, known, money, cutoff, limits),
    }
    return pd.DataFrame(about).rename_axis("rep_id")


def fairness(
    rows: pd.DataFrame,
    known: Tables,
    found: pd.DataFrame,
    aims: ResultsSettings,
    cutoff: pd.Timestamp,
    limits: Limits,
    reps: pd.DataFrame,
) -> pd.DataFrame:
    """What of the team's own work may explain what is held against each client (D9): a row a
    client, by `client_id`.

    Columns, in words, empty where nothing was found and NaN where it cannot be looked at:
    `results`, `rep` and `response`, which may explain what is noted of a client, and `hours`, which
    may explain what it costs. `reps` as from `of_reps`, of whom those count who are in charge now,
    or were on the days of the evidence `found`.
    """
    clients = rows[["client_id"]]
    now = clients.assign(day=cutoff)
    now = now.assign(rep_id=in_charge(rows, known, now, "day"))
    served = [at[["client_id", "rep_id"]].astype(object).dropna() for at in (now, found)]
    some = [at for at in served if len(at)]
    served = pd.concat(some or served).drop_duplicates()
    results = _under_target(known, aims, cutoff, limits)
    table = pd.DataFrame({"results": results}).reindex(rows["client_id"])
    for name, words in reps.items():
        last = _by_client(served, words, known)
        table[name] = last.reindex(table.index)
    return table


def _by_client(served: pd.DataFrame, words: pd.Series, known: Tables) -> pd.Series:
    """What was found of any of each client's reps, in words, by client; `served` has a row a client
    and rep, `words` those of each rep.
    """
    with_words = served.assign(words=served["rep_id"].map(words))
    own = with_words.dropna(subset=["words"])
    names = people(own["rep_id"], known)
    own = own.assign(rep=names, found=own["words"] != "")
    said: list[str] = []
    for row in own.itertuples():
        named = say("portfolio.team.of_rep", rep=row.rep, what=row.words) if row.found else ""
        said.append(named)
    own["words"] = said
    in_order = own.sort_values(["found", "rep"])
    return in_order.groupby("client_id")["words"].last()


def _under_target(
    known: Tables, aims: ResultsSettings, last: pd.Timestamp, limits: Limits
) -> pd.Series:
    """Of each client with results of the last months: in words, how far under target they were;
    else empty.
    """
    if "results" not in known or not aims.primary:
        return pd.Series(dtype=object)
    results = known["results"]
    primary = results["metric"] == aims.primary
    own = results[primary]
    index = against_target(own, aims)
    own = own.assign(index=index)
    months = pd.DateOffset(months=int(limits["margin_months"]) + 1)
    lately = own[own["month"] > last - months]
    mean_index = lately.groupby("client_id")["index"].mean()
    share = np.expm1(mean_index.dropna())
    poor = limits["poor_results"]

    def words(change: float) -> str:
        return say("portfolio.team.results", share=-change) if change <= -poor else ""

    return share.map(words)


def _disliked(
    rows: pd.DataFrame, known: Tables, begin: pd.Timestamp, cutoff: pd.Timestamp, limits: Limits
) -> pd.Series:
    """Of each rep with ratings: in words, that clients like it less than the typical other rep;
    else empty.
    """
    if "rep_liking" not in known.get("surveys", {}):
        return pd.Series(dtype=object)
    surveys = known["surveys"]
    answered = surveys["answered_on"].between(begin, cutoff)
    asked = surveys[answered]
    by = _by_rep(rows, known, asked, "answered_on", asked["rep_liking"])
    far = limits["disliked_sd"] * by["spread"]
    looks = by["mean"] <= by["other"] - far
    upper = by["mean"] + Z95 * by["sem"]
    low = looks & (upper < by["other"])
    words = []
    for row in by.itertuples():
        disliked = say("portfolio.team.disliked", mean=row.mean, other=row.other)
        words.append(disliked)
    texts = pd.Series(words, by.index, dtype=object)
    return _compared(texts.where(low, ""), looks, by)


def _slow(
    rows: pd.DataFrame, known: Tables, begin: pd.Timestamp, cutoff: pd.Timestamp, limits: Limits
) -> pd.Series:
    """Of each rep asked for something: in words, that it is slower than the typical other rep; else
    empty.

    Or that it has left most of what it was asked unanswered.
    """
    if "answered_on" not in known.get("requests", {}):
        return pd.Series(dtype=object)
    requests = known["requests"]
    lately = requests["requested_on"] >= begin
    asked = requests[lately]
    wait = asked["answered_on"] - asked["requested_on"]
    by = _by_rep(rows, known, asked, "requested_on", wait.dt.days)
    longer = limits["slow_ratio"] * by["other"]
    later = by["other"] + limits["slow_days"]
    looks = by["mean"] >= np.maximum(longer, later)
    lower = by["mean"] - Z95 * by["sem"]
    slow = looks & (lower > by["other"])
    words = [say("portfolio.team.slow", mean=row.mean, other=row.other) for row in by.itertuples()]
    texts = pd.Series(words, by.index, dtype=object)
    found = _compared(texts.where(slow, ""), looks, by)
    mute = _silent(rows, known, asked, cutoff)
    others = found.drop(mute.index, errors="ignore")
    return pd.concat([others, mute])


def _silent(
    rows: pd.DataFrame, known: Tables, asked: pd.DataFrame, cutoff: pd.Timestamp
) -> pd.Series:
    """Of each rep who left most of what it was asked long ago unanswered, that it did, in words."""
    long_ago = asked["requested_on"] < cutoff - MOST_DAYS * DAY
    old = asked[long_ago].reset_index(drop=True)
    reps = in_charge(rows, known, old, "requested_on")
    unanswered = old["answered_on"].isna()
    silent = unanswered.groupby(reps).mean() > HALF
    words = say("portfolio.team.silent")
    silent_reps = silent.index[silent]
    return pd.Series(words, silent_reps, dtype=object)


def _heavy(
    rows: pd.DataFrame, known: Tables, money: pd.DataFrame, cutoff: pd.Timestamp, limits: Limits
) -> pd.Series:
    """Of each rep: in words, that its clients take more than the typical other rep's at like fees;
    else empty.

    Like fees: what the log of cost is beyond its slope on the log of fee among clients of the same
    rep.
    """
    paid = money["fee"] > 0
    at = money[paid & (money["cost"] > 0)]
    if len(at) < LEAST_FEES or at["fee"].nunique() < LEAST_FEES:
        return pd.Series(dtype=object)
    clients = at.reset_index()[["client_id"]]
    asked = clients.assign(day=cutoff)
    amounts = at[["fee", "cost"]].astype(float)
    logs = np.log(amounts).reset_index(drop=True)
    reps = in_charge(rows, known, asked, "day")
    if reps.isna().all():
        return pd.Series(dtype=object)
    means = logs.groupby(reps)
    within = logs - means.transform("mean")
    squares = (within["fee"] ** 2).sum()
    products = (within["fee"] * within["cost"]).sum()
    slope = products / max(squares, LEAST_SPREAD)
    beyond = logs["cost"] - slope * logs["fee"]
    by = _by_rep(rows, known, asked, "day", beyond)
    much_more = np.log1p(limits["heavy_hours"])
    looks = by["mean"] >= by["other"] + much_more
    lower = by["mean"] - Z95 * by["sem"]
    heavy = looks & (lower > by["other"])
    more = np.expm1(by["mean"] - by["other"])
    words = [say("portfolio.team.heavy", more=share) for share in more]
    texts = pd.Series(words, by.index, dtype=object)
    return _compared(texts.where(heavy, ""), looks, by)


def _compared(words: pd.Series, looks: pd.Series, by: pd.DataFrame) -> pd.Series:
    """NaN where there is nobody to be held against, or what it looks like rests on one client: that
    is not nothing.
    """
    sure = by["sem"].notna() | ~looks
    return words.where(by["other"].notna() & sure)


def _by_rep(
    rows: pd.DataFrame, known: Tables, asked: pd.DataFrame, day: str, values: pd.Series
) -> pd.DataFrame:
    """Of each rep the `mean` of its clients' means with its standard error, and the median rep's of
    all `other` reps.

    And `spread`, the standard deviation between clients. The median: where one is very quick,
    others are not slow.
    """
    reps = in_charge(rows, known, asked.reset_index(drop=True), day)
    rep = reps.set_axis(asked.index)
    by_rep_and_client = values.astype(float).groupby([rep, asked["client_id"]])
    means = by_rep_and_client.mean().dropna()
    by_rep = means.groupby(level=0)
    by = by_rep.agg(["mean", "sem"])
    others = [by["mean"].drop(who).median() for who in by.index]
    return by.assign(other=others, spread=means.std())


def people(ids: pd.Series, known: Tables) -> pd.Series:
    """What these people are called: their names where on record, else their ids; empty where nobody
    is known.
    """
    staff = known.get("staff", pd.DataFrame())
    names = {}
    if "name" in staff:
        names = dict(zip(staff["staff_id"], staff["name"], strict=True))
    named = ids.map(lambda who: who if names.get(who) is None else names[who])
    return named.fillna("").astype(str)


def loved(known: Tables, cutoff: pd.Timestamp, limits: Limits = LIMITS) -> pd.Series:
    """Whether each client, by its ratings of the last months, is among those who love their rep
    (A6).
    """
    if "rep_liking" not in known.get("surveys", {}):
        return pd.Series(dtype=bool)
    recent = known["surveys"]["answered_on"] > cutoff - pd.DateOffset(
        months=int(limits["margin_months"])
    )
    by_client = known["surveys"][recent].groupby("client_id")
    mean = by_client["rep_liking"].mean().dropna()
    return mean >= mean.quantile(1 - limits["loved_share"])
