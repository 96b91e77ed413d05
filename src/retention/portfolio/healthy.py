"""How much churn was healthy (D2): ends by whose choice they were, and what left with them.

Shares come from the cumulative incidence of each kind of end (Aalen-Johansen): one minus
Kaplan-Meier would count clients as leaving by choice whom the agency had let go before. What a
leaver was worth is taken from the months before its decision; an end is healthy where that was less
than nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from retention.history.follow_up import follow_up
from retention.history.in_charge import rep_by
from retention.history.measures import DETRACTOR
from retention.history.opportunities import renewals_known
from retention.history.spells import AGENCY, CLIENT, KINDS, NEUTRAL, UNKNOWN
from retention.history.status import there_on, year_before
from retention.numbers import between, quantity
from retention.portfolio.book import Book
from retention.portfolio.margins import cause_words, months_of, newest, resamples
from retention.results import Estimate, Estimates, Finding
from retention.stats.curves import cumulative_incidence
from retention.words import Said, say, together

WHOSE = (CLIENT, AGENCY, NEUTRAL)
EVERY = (*WHOSE, UNKNOWN)
AFTER = (6, 12, 24, 36)  # months of service
LEAVES = {"clients": "at_start", "fees": "fee_then", "margin": "margin_then"}  # what, its column
STILL = "still_client"
PAID = ("engagements_unprofitable", "engagements_unknown", "engagements_profitable")
YEAR, LEAST = 12, 5  # months; (ours) ends under which no share of them is given


def whose_choice(kind: str) -> Said:
    """By whose choice an engagement ended, in words, by the kind of its end."""
    return say(f"portfolio.whose.{kind}")


def ends_by_kind(spells: pd.DataFrame, months: Sequence[float] = AFTER) -> pd.DataFrame:
    """Share gone by each month of service, by whose choice (D2).

    Columns: `month, kind` (a code of `KINDS`), `whose` (in words), `share, low, high`.
    """
    outcome = follow_up(spells)
    whose = {code: whose_choice(kind) for kind, code in KINDS.items()}
    longest = outcome.stop.max()
    last = [month for month in months if month <= longest]
    rows = cumulative_incidence(outcome, last)
    by_whom = rows["kind"].map(whose)
    return rows.assign(whose=by_whom)


def stacked(spells: pd.DataFrame) -> pd.DataFrame:
    """The same shares month by month, for a picture: `group, month, share`."""
    longest = follow_up(spells).stop.max()
    last = int(min(max(AFTER), longest))
    months = range(1, last + 1)
    rows = ends_by_kind(spells, months)
    named = rows.rename(columns={"whose": "group"})
    return named[["group", "month", "share"]]


def stacked_words(spells: pd.DataFrame) -> str:
    """The picture in words, for those who cannot see it."""
    rows = ends_by_kind(spells)
    if rows.empty:
        return say("portfolio.ends.alt_none")
    months = rows["month"].max()
    at_end = rows[rows["month"] == months]
    shares = []
    for row in at_end.itertuples():
        share = say("portfolio.ends.alt_share", share=row.share, whose=row.whose)
        shares.append(share)
    listed = ", ".join(shares)
    return say("portfolio.ends.alt", months=months, shares=listed)


def ends_estimates(spells: pd.DataFrame) -> Estimates:
    """The shares gone by whose choice, as estimates with intervals (D2)."""
    rows = ends_by_kind(spells)
    outcome = follow_up(spells)
    made = []
    for row in rows.itertuples():
        when = say("portfolio.ends.after", months=row.month)
        values = (row.share, row.low, row.high)
        ends = np.sum(outcome.kind == row.kind)
        counts = (outcome.seen, int(ends))
        estimate = Estimate.of("D2", row.whose, when, values, "share", counts)
        made.append(estimate)
    return Estimates(tuple(made), say("portfolio.ends.caption"))


def last_year(book: Book) -> pd.DataFrame:
    """Engagements active at some time in the year to the cut-off: a row each, with what it was
    worth.

    Columns: `client_id, rep` (in charge now, or at the end; left out if not on record), `kind`
    (whose choice the end was; missing while it lasts), `at_start` (there when the year began),
    `content` (1: its last answer was no detractor's), `fee, margin` (of the months up to the
    decision, or the newest), `fee_then, margin_then` (as it began). No rows where dates were
    counted back from a snapshot.
    """
    begin = year_before(book.cutoff)
    over_by = book.spells["end_date"] <= begin
    dated = ~over_by & renewals_known(book.spells)
    known = book.spells[dated]
    rows = known.reset_index(drop=True)
    gone = rows["gone"]
    kind = rows["end_kind"].where(gone)
    until = rows["decision_date"].where(gone, book.cutoff)
    there = rows[["client_id"]]
    year = there.assign(kind=kind, at_start=there_on(rows, begin))
    if "reps" in rows:
        reps = rep_by(rows, book.cutoff)
        year = year.assign(rep=reps)
    content = year.assign(content=_content(book, rows, until))
    year = content.join(_worth(book, rows, until))
    then = _worth(book, rows, pd.Series(begin, rows.index))
    return year.join(then.add_suffix("_then"))


def _worth(book: Book, rows: pd.DataFrame, days: pd.Series) -> pd.DataFrame:
    """Mean fee and margin of the months up to a day of each engagement (`margins.newest`), a row
    each.
    """
    months = months_of(book.money, rows)
    means = newest(months, rows, days, book.cutoff, book.limits)
    return means[["fee", "margin"]]


def _content(book: Book, rows: pd.DataFrame, until: pd.Series) -> pd.Series:
    """Whether each client's last answer up to a day, of the half-year before, was no detractor's
    (C1); NaN: none.
    """
    if "nps" not in book.known.get("surveys", {}):
        return pd.Series(np.nan, rows.index)
    surveys = book.known["surveys"].dropna(subset=["nps", "answered_on"])
    answers = surveys.sort_values("answered_on", kind="stable")
    ends = rows[["client_id"]].assign(until=until, row=rows.index)
    at = answers.merge(ends, on="client_id")
    half_a_year = pd.DateOffset(months=YEAR // 2)
    since = at["until"] - half_a_year
    known = at["answered_on"] <= at["until"]
    recent = known & (at["answered_on"] > since)
    by_row = at[recent].groupby("row")["nps"]
    content = by_row.last() > DETRACTOR
    return content.astype(float).reindex(rows.index)


def churn(year: pd.DataFrame) -> Estimates:
    """What left in a year of the clients there when it began: of clients, of fees and of margin
    (D2).

    Fees and margins are those as the year began; clients resampled, or by rep, the wider. A share
    of margin is of the sum of all margins, those below zero included, so that it is below zero
    where what left cost more than it paid.
    """
    rows = year[year["at_start"]]
    groups = [(whose_choice(kind), rows["kind"].eq(kind)) for kind in EVERY]
    groups.append((say("portfolio.ends.all"), rows["kind"].notna()))
    made = []
    for whose, marks in groups:
        for what, column in LEAVES.items():
            known = rows[column].notna()
            if known.any():
                values, counts = _share_of_worth(rows[known], column, marks[known])
                group = say(f"portfolio.churn.{what}")
                estimate = Estimate.of("D2", whose, group, values, "share", counts)
                made.append(estimate)
    return Estimates(tuple(made), say("portfolio.churn.caption"))


def _share_of_worth(
    rows: pd.DataFrame, column: str, marks: pd.Series
) -> tuple[Sequence[float], tuple[int, int]]:
    """The share of a column's sum that falls to the marked rows, with its interval; and how many
    rows there are, and how many are marked.
    """
    worth = rows[column].to_numpy(float)
    part = marks.to_numpy(float)
    reps = rows.get("rep")
    weights = resamples(len(rows), reps)
    whole = weights @ worth
    blank = np.full(len(whole), np.nan)
    of_marked = worth * part
    marked = weights @ of_marked
    share = np.divide(marked, whole, out=blank, where=whole != 0)
    limits = weights.limits(share, "share")
    return limits, (len(rows), int(part.sum()))


def healthy(year: pd.DataFrame) -> Estimates:
    """Of the year's ends, the share that cost more than they paid (D2), by whose choice; and who of
    these was content.

    Clients resampled, or by rep, the wider; no rows for fewer than five.
    """
    ended = year["kind"].notna()
    ends = year[ended & year["margin"].notna()]
    under = ends["margin"] < 0
    content = ends.loc[under, "content"].dropna()
    unprofitable = say("portfolio.healthy.unprofitable")
    every = say("portfolio.ends.all")
    parts = [(unprofitable, every, under)]
    for kind in (CLIENT, AGENCY):
        of_kind = under[ends["kind"] == kind]
        whose = whose_choice(kind)
        parts.append((unprofitable, whose, of_kind))
    parts.append((say("portfolio.healthy.content"), every, content))
    made = []
    for name, group, values in parts:
        n = len(values)
        if n < LEAST:
            continue
        limits = _share_of_ends(ends, values)
        estimate = Estimate.of("D2", name, group, limits, "share", (n, n))
        made.append(estimate)
    return Estimates(tuple(made), say("portfolio.healthy.caption"))


def kept_and_lost(year: pd.DataFrame) -> pd.DataFrame:
    """Engagements of the year by how they ended, and by whether they paid for their hours; without
    margins, empty.

    Columns: `how_it_ended`, those of `PAID` that hold anything, and `margin` (money a month).
    """
    if year["margin"].isna().all():
        return pd.DataFrame()
    kinds = year["kind"].fillna(STILL)
    how = kinds.astype(str)
    losing = year["margin"] < 0
    under = np.where(losing, PAID[0], PAID[2])
    unknown = year["margin"].isna()
    paid = np.where(unknown, PAID[1], under)
    counts = pd.crosstab(how, paid)
    table = counts.reindex([STILL, *EVERY], fill_value=0)
    shown = [name for name in PAID if name in table]
    table = table[shown]
    margins = year.groupby(how)["margin"].sum()
    table["margin"] = margins.reindex(table.index).fillna(0)
    words = [say("portfolio.kept.still_client"), *map(whose_choice, EVERY)]
    plain = table.reset_index(drop=True).rename_axis(None, axis=1)
    said = plain.assign(how_it_ended=words)
    return said[["how_it_ended", *table.columns]]


def _share_of_ends(ends: pd.DataFrame, marks: pd.Series) -> Sequence[float]:
    """The share of these ends that is marked, with its interval; `marks` may be of some of them."""
    reps = None
    if "rep" in ends:
        reps = ends["rep"].reindex(marks.index)
    weights = resamples(len(marks), reps)
    mean = weights.mean(marks.to_numpy(float))
    return weights.limits(mean, "share")


def joiners_and_leavers(year: pd.DataFrame) -> Estimates:
    """Whether new clients pay and leave more than those who left, and whether these were content:
    D2's conditions.
    """
    made = []
    arrived = ~year["at_start"].astype(bool)
    groups = {"came": arrived, "left": year["kind"].notna()}
    for name, unit in (("fee", "money"), ("margin", "money"), ("content", "share")):
        known = year[name].notna()
        masks = {group: mask & known for group, mask in groups.items()}
        if min(mask.sum() for mask in masks.values()) < 2:
            continue
        filled = year[name].fillna(0)
        values = filled.to_numpy(float)
        reps = year.get("rep")
        weights = resamples(len(year), reps)
        means = {}
        counts = {"difference": 0}
        for group, mask in masks.items():
            own = weights[:, mask.to_numpy()]
            means[group] = own.mean(values[mask])
            counts[group] = int(mask.sum())
        means["difference"] = means["came"] - means["left"]
        what = say(f"portfolio.joiners.{name}")
        for group, drawn in means.items():
            who = say(f"portfolio.joiners.{group}")
            limits = weights.limits(drawn, unit)
            estimate = Estimate.of("D2", what, who, limits, unit, (counts[group], 0))
            made.append(estimate)
    return Estimates(tuple(made), say("portfolio.joiners.caption"))


def quarters(spells: pd.DataFrame, cutoff: pd.Timestamp, count: int = 8) -> pd.DataFrame:
    """Ends by whose choice in each of the last quarters (D2): `quarter`, and a column each of
    `EVERY`, such as `ends_by_client`.
    """
    ended = spells[spells["gone"] & renewals_known(spells)]
    quarters_ended = ended["end_date"].dt.to_period("Q")
    quarter = quarters_ended.astype(str)
    counts = pd.crosstab(quarter, ended["end_kind"])
    table = counts.reindex(columns=list(EVERY), fill_value=0)
    table = table.tail(count).add_prefix("ends_by_")
    by_quarter = table.rename_axis("quarter")
    return by_quarter.rename_axis(None, axis=1).reset_index()


def too_long(book: Book) -> pd.DataFrame:
    """Clients kept too long (METHODS 5): below zero month after month, no raise since, no notice
    given; who lost most first.

    Columns: `client, months_in_a_row, lost` (in them), `margin` (a month), `cause`, in words.
    """
    noticed = book.rows["noticed"]
    leaving = book.rows.loc[noticed, "client_id"]
    goes = ~book.monthly.index.isin(leaving)
    own = book.monthly[(book.monthly["lost"] > 0) & goes]
    raised = book.unraised.reindex(own.index)
    own = own[raised >= own["too_long"]]
    own = own.sort_values("lost", ascending=False)
    rows = own.assign(
        client=own.index.map(book.names),
        months_in_a_row=own["too_long"].astype(int),
        cause=own["cause"].map(cause_words, na_action="ignore"),
    )
    columns = ["client", "months_in_a_row", "lost", "margin", "cause"]
    return rows[columns].reset_index(drop=True)


def healthy_words(year: pd.DataFrame, currency: str = "") -> Finding:
    """How much of the year's churn was healthy, in sentences."""
    if year.empty:
        return Finding("D2", say("portfolio.healthy.no_dates"), "headline")
    ends = year[year["kind"].notna()]
    known = ends[ends["margin"].notna()]
    if known.empty:
        ended = say("portfolio.healthy.ended", ends=len(ends))
        unsaid = say("portfolio.healthy.no_money")
        text = together(ended, *_by_whom(ends), unsaid)
        return Finding("D2", text, "headline")
    under = known["margin"] < 0
    parts = [
        say("portfolio.healthy.lead", under=int(under.sum()), known=len(known)),
        _share_words(year, under, _money(-known.loc[under, "margin"].sum(), currency)),
        _content_words(known.loc[under, "content"].dropna()),
        say("portfolio.healthy.others", money=_money(known.loc[~under, "margin"].sum(), currency)),
        say("portfolio.healthy.in_all", ends=len(ends)),
        *_by_whom(ends),
    ]
    return Finding("D2", together(*parts), "headline")


def _money(value: float, currency: str) -> str:
    return f"{quantity(value, 'money')} {currency}".strip()


def _share_words(year: pd.DataFrame, under: pd.Series, money: str) -> Said:
    """The share of ends that cost more than they paid, with its interval where there are enough."""
    share = quantity(under.mean(), "share")
    estimates = healthy(year).rows
    if not estimates:
        return say("portfolio.healthy.share", share=share, money=money)
    interval = between(estimates[0].low, estimates[0].high, "share")
    return say("portfolio.healthy.share_interval", share=share, interval=interval, money=money)


def _content_words(answers: pd.Series) -> Said:
    """When such churn is healthy, and how many of those who answered lately (1: content) left
    content.
    """
    if answers.empty:
        return say("portfolio.healthy.where_content")
    content = int(answers.sum())
    return say("portfolio.healthy.answered", content=content, answered=len(answers))


def _by_whom(ends: pd.DataFrame) -> list[Said]:
    counts = ends["kind"].value_counts()
    by = {kind: int(counts.get(kind, 0)) for kind in WHOSE}
    whom = [say("portfolio.healthy.by_whom", **by)]
    if UNKNOWN in counts:
        whom.append(say("portfolio.healthy.not_recorded", unknown=int(counts[UNKNOWN])))
    return whom
