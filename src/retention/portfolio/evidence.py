"""What is noted of clients and shown by their records (D5, D7, D8, D11), and whether the team
explains it (D9).

Every piece of evidence has a day: a kind of client is noted, or becomes visible, on a date and is
never known from the end. The fairness check comes before anybody is called a problem: results under
target, a rep whom its other clients like less too, or a rep who is slow to answer everybody; of
what a client costs, a rep whose clients all take more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from retention.data.schema import columns_of
from retention.history.in_charge import reps_on
from retention.history.panel import against_target
from retention.history.spells import DAY
from retention.portfolio.debts import arrears, usual_invoice
from retention.portfolio.margins import LIMITS, Limits, Tables
from retention.results import Z95
from retention.settings import ResultsSettings, study_plan

NOTED: Mapping[str, Mapping[str, Any]] = study_plan()["noted"]
EVIDENCE = ["client_id", "noted_on", "what", "group", "evidence", "severity", "rep_id"]
NOTED_BY = "noted by the team"
LEAST_FEES = 5  # (ours) different fees under which there is no slope of cost on fee
LEAST_SPREAD = 1e-9  # nothing is divided by less
MOST_DAYS, HALF = (
    30,
    0.5,
)  # (ours) days after which a request counts as not answered; share of such that is most
ABUSE = "abuse"
KIND = "kind to avoid"
HOPELESS = "hopeless cause"
RED_FLAG = "red flag"
DEBTOR = "debtor"
UNDECIDED = "undecided"
NO_PREPAYMENT = "won't prepay"
OUT_OF_SCOPE = "asks for work out of scope"


def in_charge(rows: pd.DataFrame, known: Tables, at: pd.DataFrame, day: str) -> pd.Series:
    """The rep in charge of each row's client on its `day` (`retention.in_charge`), missing where
    nobody is.
    """
    columns = ["client_id", "start_date", "rep_id"]
    asked = at[["client_id", day]].merge(rows.reindex(columns=columns), on="client_id", how="left")
    return reps_on(asked, day, known.get("assignments"), known.get("staff")).set_axis(at.index)


def evidence(
    rows: pd.DataFrame, known: Tables, cutoff: pd.Timestamp, limits: Limits = LIMITS
) -> pd.DataFrame:
    """Everything noted of these clients, or shown by their records, by the day it was: a row a
    piece of evidence.

    Columns: `client_id, noted_on, what, group` (abuse, kind to avoid, hopeless cause, red flag),
    `evidence` (in words), `severity` (1 to 5; NaN: nobody said), `rep_id` (in charge on that day).
    """
    flags = columns_of(known, "flags", "client_id", "noted_on", "flag", "severity")
    flags = flags.assign(
        flag=flags["flag"]
        .astype("string")
        .str.replace("\u2019", "'"),  # as word processors write it
        severity=flags["severity"].astype(float),
    )
    parts = [flags.rename(columns={"flag": "what"}).assign(evidence=NOTED_BY)]
    parts += [_growing_debts(known, cutoff, limits), _unsecured(rows, known, cutoff, limits)]
    parts = [part.astype(object) for part in (*parts, *_requests(known, cutoff, limits))]
    every = pd.concat([part for part in parts if len(part)] or parts[:1])
    every["noted_on"] = pd.to_datetime(every["noted_on"])
    every["severity"] = every["severity"].astype(float)
    about = every["what"].astype(str).str.casefold().map(NOTED)
    every["group"] = [row["group"] if isinstance(row, dict) else RED_FLAG for row in about]
    # Whenever it was noted: before the client signed, or in an earlier engagement, it was known by
    # then.
    every = every[every["client_id"].isin(rows["client_id"])].reset_index(drop=True)
    every = every.assign(rep_id=in_charge(rows, known, every, "noted_on"))
    return every.sort_values(["client_id", "noted_on", "what"], ignore_index=True)[EVIDENCE]


def _shown(found: pd.Series, day: pd.Timestamp, what: str, words: str) -> pd.DataFrame:
    """Evidence from the records: a row for each client of `found`, whose value goes into the
    words.
    """
    told = {"client_id": found.index, "noted_on": day, "what": what, "severity": np.nan}
    return pd.DataFrame({**told, "evidence": [words.format(value) for value in found]})


def _growing_debts(known: Tables, last: pd.Timestamp, limits: Limits) -> pd.DataFrame:
    """Eternal debtors: arrears that grew from month to month and are more than so many invoices of
    the last year.
    """
    steps = int(limits["debtor_months"])
    owed = arrears(known, [last - pd.DateOffset(months=back) for back in range(steps, -1, -1)])
    if owed.empty:
        return pd.DataFrame()
    fees = owed.iloc[:, -1] / usual_invoice(known, last - pd.DateOffset(months=12)).reindex(
        owed.index
    )
    grown = (owed.diff(axis=1).iloc[:, 1:] > 0).all(axis=1) & (fees >= limits["debtor_fees"])
    return _shown(
        fees[grown], last, DEBTOR, f"arrears grew {steps} months on end to {{:.1f}} invoices"
    )


def _requests(known: Tables, last: pd.Timestamp, limits: Limits) -> list[pd.DataFrame]:
    """Who keeps changing what was made, and who asks for what was never in scope, by share of the
    requests lately.
    """
    if "requests" not in known:
        return []
    asked = known["requests"].reindex(columns=["client_id", "requested_on", "revision", "in_scope"])
    asked = asked[asked["requested_on"] > last - pd.DateOffset(months=int(limits["margin_months"]))]
    found = []
    looks = (
        ("revision", True, UNDECIDED, "revisions"),
        ("in_scope", False, OUT_OF_SCOPE, "out of scope"),
    )
    for column, bad, what, words in looks:
        told = asked.dropna(subset=[column])
        by = told[column].eq(bad).groupby(told["client_id"]).agg(["mean", "size"])
        much = by.loc[
            (by["size"] >= limits["least_requests"]) & (by["mean"] >= limits["request_share"]),
            "mean",
        ]
        found.append(_shown(much, last, what, f"{{:.0%}} of requests lately were {words}"))
    return found


def _unsecured(
    rows: pd.DataFrame, known: Tables, last: pd.Timestamp, limits: Limits
) -> pd.DataFrame:
    """Clients who gave neither a deposit nor a prepayment and pay late, by more than a month on
    average.
    """
    if not {"deposit_paid", "prepaid"} <= set(rows):
        return pd.DataFrame()
    refused = rows.set_index("client_id")[["deposit_paid", "prepaid"]].eq(False).all(axis=1)
    late = days_late(known, last - pd.DateOffset(months=12))
    late = late[late.index.isin(refused.index[refused]) & (late > limits["late_days"])]
    return _shown(late, last, NO_PREPAYMENT, "no deposit, no prepayment, and pays {:.0f} days late")


def days_late(known: Tables, begin: pd.Timestamp) -> pd.Series:
    """Mean days from the due day to the last payment, of each client's invoices due since `begin`
    and paid.

    Credit notes, invoices of nothing and refunds are no payments that could be late.
    """
    if not {"invoices", "payments"} <= set(known):
        return pd.Series(dtype=float)
    payments = known["payments"]
    paid = payments[payments["amount"] > 0].groupby("invoice_id")["paid_on"].max()
    bills = known["invoices"][
        (known["invoices"]["due_on"] >= begin) & (known["invoices"]["amount"] > 0)
    ]
    late = (bills["invoice_id"].map(paid) - bills["due_on"]).dt.days
    return late.groupby(bills["client_id"]).mean().dropna()


def of_reps(
    rows: pd.DataFrame, known: Tables, cutoff: pd.Timestamp, limits: Limits, money: pd.DataFrame
) -> pd.DataFrame:
    """What stands out in each rep's work, in words: a row a rep, index `rep_id`; `money` as from
    `margins.current`.

    Columns: `rep` (its clients like it less than others), `response` (it is slow to answer),
    `hours` (its clients take more); empty where nothing was found, NaN where it cannot be looked
    at.
    """
    begin = cutoff - pd.DateOffset(months=int(limits["fair_months"]))
    about = {
        "rep": _disliked(rows, known, begin, cutoff, limits),
        "response": _slow(rows, known, begin, cutoff, limits),
    }
    return pd.DataFrame(about | {"hours": _heavy(rows, known, money, cutoff, limits)}).rename_axis(
        "rep_id"
    )


def fairness(
    rows: pd.DataFrame,
    known: Tables,
    found: pd.DataFrame,
    told: ResultsSettings,
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
    now = rows[["client_id"]].assign(day=cutoff)
    now = now.assign(rep_id=in_charge(rows, known, now, "day"))
    served = [at[["client_id", "rep_id"]].astype(object).dropna() for at in (now, found)]
    served = pd.concat([at for at in served if len(at)] or served).drop_duplicates()
    table = pd.DataFrame({"results": _under_target(known, told, cutoff, limits)}).reindex(
        rows["client_id"]
    )
    for name, words in reps.items():
        own = served.assign(words=served["rep_id"].map(words)).dropna(subset=["words"])
        own["words"] = (people(own["rep_id"], known) + own["words"]).where(own["words"] != "", "")
        table[name] = (
            own.sort_values("words").groupby("client_id")["words"].last().reindex(table.index)
        )
    return table


def _under_target(
    known: Tables, told: ResultsSettings, last: pd.Timestamp, limits: Limits
) -> pd.Series:
    """Of each client with results of the last months: in words, how far under target they were;
    else empty.
    """
    if "results" not in known or not told.primary:
        return pd.Series(dtype=object)
    own = known["results"][known["results"]["metric"] == told.primary]
    own = own.assign(index=against_target(own, told))
    lately = own[own["month"] > last - pd.DateOffset(months=int(limits["margin_months"]) + 1)]
    share = np.expm1(lately.groupby("client_id")["index"].mean().dropna())
    poor = limits["poor_results"]
    return share.map(lambda x: f"results {-x:.0%} under target" if x <= -poor else "")


def _disliked(
    rows: pd.DataFrame, known: Tables, begin: pd.Timestamp, cutoff: pd.Timestamp, limits: Limits
) -> pd.Series:
    """Of each rep with ratings: in words, that clients like it less than the typical other rep;
    else empty.
    """
    if "rep_liking" not in known.get("surveys", {}):
        return pd.Series(dtype=object)
    told = known["surveys"][known["surveys"]["answered_on"].between(begin, cutoff)]
    by = _by_rep(rows, known, told, "answered_on", told["rep_liking"])
    looks = by["mean"] <= by["other"] - limits["disliked_sd"] * by["spread"]
    low = looks & (by["mean"] + Z95 * by["sem"] < by["other"])
    words = [
        f" is rated {r.mean:.1f} by clients, the typical rep {r.other:.1f}" for r in by.itertuples()
    ]
    return _compared(pd.Series(words, by.index).where(low, ""), looks, by)


def _slow(
    rows: pd.DataFrame, known: Tables, begin: pd.Timestamp, cutoff: pd.Timestamp, limits: Limits
) -> pd.Series:
    """Of each rep asked for something: in words, that it is slower than the typical other rep; else
    empty.

    Or that it has left most of what it was asked unanswered.
    """
    if "answered_on" not in known.get("requests", {}):
        return pd.Series(dtype=object)
    told = known["requests"][known["requests"]["requested_on"] >= begin]
    by = _by_rep(
        rows, known, told, "requested_on", (told["answered_on"] - told["requested_on"]).dt.days
    )
    looks = by["mean"] >= np.maximum(
        limits["slow_ratio"] * by["other"], by["other"] + limits["slow_days"]
    )
    slow = looks & (by["mean"] - Z95 * by["sem"] > by["other"])
    words = [
        f" takes {r.mean:.1f} days to answer, the typical rep {r.other:.1f}"
        for r in by.itertuples()
    ]
    found = _compared(pd.Series(words, by.index).where(slow, ""), looks, by)
    old = told[told["requested_on"] < cutoff - MOST_DAYS * DAY].reset_index(drop=True)
    silent = (
        old["answered_on"].isna().groupby(in_charge(rows, known, old, "requested_on")).mean() > HALF
    )
    mute = pd.Series(" leaves most requests unanswered", silent.index[silent])
    return found.drop(mute.index, errors="ignore").pipe(lambda rest: pd.concat([rest, mute]))


def _heavy(
    rows: pd.DataFrame, known: Tables, money: pd.DataFrame, cutoff: pd.Timestamp, limits: Limits
) -> pd.Series:
    """Of each rep: in words, that its clients take more than the typical other rep's at like fees;
    else empty.

    Like fees: what the log of cost is beyond its slope on the log of fee among clients of the same
    rep.
    """
    at = money[(money["fee"] > 0) & (money["cost"] > 0)]
    if len(at) < LEAST_FEES or at["fee"].nunique() < LEAST_FEES:
        return pd.Series(dtype=object)
    told = at.reset_index()[["client_id"]].assign(day=cutoff)
    logs = np.log(at[["fee", "cost"]].astype(float)).reset_index(drop=True)
    reps = in_charge(rows, known, told, "day")
    if reps.isna().all():
        return pd.Series(dtype=object)
    within = logs - logs.groupby(reps).transform("mean")
    slope = (within["fee"] * within["cost"]).sum() / max((within["fee"] ** 2).sum(), LEAST_SPREAD)
    beyond = logs["cost"] - slope * logs["fee"]
    by = _by_rep(rows, known, told, "day", beyond)
    looks = by["mean"] >= by["other"] + np.log1p(limits["heavy_hours"])
    heavy = looks & (by["mean"] - Z95 * by["sem"] > by["other"])
    words = [
        f"'s clients take {np.expm1(r.mean - r.other):.0%} more than others at like fees"
        for r in by.itertuples()
    ]
    return _compared(pd.Series(words, by.index, dtype=object).where(heavy, ""), looks, by)


def _compared(words: pd.Series, looks: pd.Series, by: pd.DataFrame) -> pd.Series:
    """NaN where there is nobody to be held against, or what it looks like rests on one client: that
    is not nothing.
    """
    return words.where(by["other"].notna() & (by["sem"].notna() | ~looks))


def _by_rep(
    rows: pd.DataFrame, known: Tables, told: pd.DataFrame, day: str, values: pd.Series
) -> pd.DataFrame:
    """Of each rep the `mean` of its clients' means with its standard error, and the median rep's of
    all `other` reps.

    And `spread`, the standard deviation between clients. The median: where one is very quick,
    others are not slow.
    """
    rep = in_charge(rows, known, told.reset_index(drop=True), day).set_axis(told.index)
    means = values.astype(float).groupby([rep, told["client_id"]]).mean().dropna()
    by = means.groupby(level=0).agg(["mean", "sem"])
    return by.assign(other=[by["mean"].drop(who).median() for who in by.index], spread=means.std())


def people(ids: pd.Series, known: Tables) -> pd.Series:
    """What these people are called: their names where on record, else their ids; empty where nobody
    is known.
    """
    staff = known.get("staff", pd.DataFrame())
    names = dict(zip(staff["staff_id"], staff["name"], strict=True)) if "name" in staff else {}
    return ids.map(lambda who: who if names.get(who) is None else names[who]).fillna("").astype(str)


def loved(known: Tables, cutoff: pd.Timestamp, limits: Limits = LIMITS) -> pd.Series:
    """Whether each client, by its ratings of the last months, is among those who love their rep
    (A6).
    """
    if "rep_liking" not in known.get("surveys", {}):
        return pd.Series(dtype=bool)
    recent = known["surveys"]["answered_on"] > cutoff - pd.DateOffset(
        months=int(limits["margin_months"])
    )
    mean = known["surveys"][recent].groupby("client_id")["rep_liking"].mean().dropna()
    return mean >= mean.quantile(1 - limits["loved_share"])
