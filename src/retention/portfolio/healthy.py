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

from retention.history.features import DETRACTOR
from retention.history.follow_up import follow_up
from retention.history.in_charge import rep_by
from retention.history.opportunities import renewals_known
from retention.history.spells import AGENCY, CLIENT, KINDS, NEUTRAL, UNKNOWN
from retention.history.status import there_on, year_before
from retention.portfolio.book import Book
from retention.portfolio.margins import months_of, newest, resamples
from retention.results import Estimate, Estimates, Finding, between, quantity
from retention.stats.curves import cumulative_incidence

WHOSE = {
    CLIENT: "the client's choice",
    AGENCY: "the agency's choice",
    NEUTRAL: "neither's (closed, finished)",
}
ALL = WHOSE | {UNKNOWN: "nobody recorded whose"}
AFTER = (6, 12, 24, 36)  # months of service
YEAR, LEAST = 12, 5  # months; (ours) ends under which no share of them is told


def ends_by_kind(spells: pd.DataFrame, months: Sequence[float] = AFTER) -> pd.DataFrame:
    """Share gone by each month of service, by whose choice: `month, whose, share, low, high`
    (D2).
    """
    outcome = follow_up(spells)
    whose = {code: WHOSE[kind] for kind, code in KINDS.items()}
    last = [month for month in months if month <= outcome.stop.max()]
    return cumulative_incidence(outcome, last).assign(whose=lambda rows: rows["kind"].map(whose))


def stacked(spells: pd.DataFrame) -> pd.DataFrame:
    """The same shares month by month, for a picture: `group, month, share`."""
    last = int(min(max(AFTER), follow_up(spells).stop.max()))
    return ends_by_kind(spells, range(1, last + 1)).rename(columns={"whose": "group"})[
        ["group", "month", "share"]
    ]


def stacked_words(spells: pd.DataFrame) -> str:
    """The picture in words, for those who cannot see it."""
    rows = ends_by_kind(spells)
    told = [
        f"{row.share:.0%} by {row.whose}"
        for row in rows[rows["month"] == rows["month"].max()].itertuples()
    ]
    return (
        f"Gone after {rows['month'].max():.0f} months: {', '.join(told)}."
        if len(rows)
        else "Nobody has left."
    )


def ends_estimates(spells: pd.DataFrame) -> Estimates:
    """The shares gone by whose choice, as estimates with intervals (D2)."""
    rows = ends_by_kind(spells)
    outcome = follow_up(spells)
    counts = {code: (outcome.seen, int(np.sum(outcome.kind == code))) for code in KINDS.values()}
    told = []
    for row in rows.itertuples():
        when = f"after {row.month:.0f} months"
        values = (row.share, row.low, row.high)
        told.append(Estimate.of("D2", row.whose, when, values, "share", counts[row.kind]))
    return Estimates(tuple(told), "Share of clients gone, by whose choice")


def last_year(book: Book) -> pd.DataFrame:
    """Engagements under way at some time in the year to the cut-off: a row each, with what it was
    worth.

    Columns: `client_id, rep` (in charge now, or at the end; left out if not on record), `kind`
    (whose choice the end was; missing while it lasts), `at_start` (there when the year began),
    `content` (1: its last answer was no detractor's), `fee, margin` (of the months up to the
    decision, or the newest), `fee_then, margin_then` (as it began). No rows where dates were
    counted back from a snapshot.
    """
    begin = year_before(book.cutoff)
    dated = ~(book.spells["end_date"] <= begin) & renewals_known(book.spells)
    rows = book.spells[dated].reset_index(drop=True)
    gone = rows["gone"]
    kind = rows["end_kind"].where(gone)
    until = rows["decision_date"].where(gone, book.cutoff)
    told = rows[["client_id"]].assign(kind=kind, at_start=there_on(rows, begin))
    told = told.assign(rep=rep_by(rows, book.cutoff)) if "reps" in rows else told
    told = told.assign(content=_content(book, rows, until)).join(_worth(book, rows, until))
    return told.join(_worth(book, rows, pd.Series(begin, rows.index)).add_suffix("_then"))


def _worth(book: Book, rows: pd.DataFrame, days: pd.Series) -> pd.DataFrame:
    """Mean fee and margin of the months up to a day of each engagement (`margins.newest`), a row
    each.
    """
    return newest(months_of(book.money, rows), rows, days, book.cutoff, book.limits)[
        ["fee", "margin"]
    ]


def _content(book: Book, rows: pd.DataFrame, until: pd.Series) -> pd.Series:
    """Whether each client's last answer up to a day, of the half-year before, was no detractor's
    (C1); NaN: none.
    """
    if "nps" not in book.known.get("surveys", {}):
        return pd.Series(np.nan, rows.index)
    at = (
        book.known["surveys"]
        .dropna(subset=["nps", "answered_on"])
        .sort_values("answered_on", kind="stable")
    )
    at = at.merge(rows[["client_id"]].assign(until=until, row=rows.index), on="client_id")
    recent = at["answered_on"].le(at["until"]) & (
        at["answered_on"] > at["until"] - pd.DateOffset(months=YEAR // 2)
    )
    return (at[recent].groupby("row")["nps"].last() > DETRACTOR).astype(float).reindex(rows.index)


def churn(year: pd.DataFrame) -> Estimates:
    """What left in a year of the clients there when it began: of clients, of fees and of margin
    (D2).

    Fees and margins are those as the year began; clients resampled, or by rep, the wider. A share
    of margin is of the sum of all margins, those under nought included, so that it is below nought
    where what left cost more than it paid.
    """
    rows = year[year["at_start"]]
    caption = "What left within the year, of the clients there when it began"
    if rows.empty:
        return Estimates((), caption)
    told = []
    for kind, whose in (*ALL.items(), ("", "all ends")):
        left = (rows["kind"].eq(kind) if kind else rows["kind"].notna()).to_numpy(float)
        for name, column in (
            ("clients", "at_start"),
            ("fees", "fee_then"),
            ("margin", "margin_then"),
        ):
            known = rows[column].notna().to_numpy()
            worth = rows.loc[known, column].to_numpy(float)
            part = left[known]
            if n := len(worth):
                weights = resamples(n, rows.loc[known, "rep"] if "rep" in rows else None)
                counts = (n, int(part.sum()))
                whole = weights @ worth
                share = np.divide(
                    weights @ (worth * part),
                    whole,
                    out=np.full(len(whole), np.nan),
                    where=whole != 0,
                )
                limits = weights.limits(share, "share")
                told.append(Estimate.of("D2", whose, f"share of {name}", limits, "share", counts))
    return Estimates(tuple(told), caption)


def healthy(year: pd.DataFrame) -> Estimates:
    """Of the year's ends, the share that cost more than they paid (D2), by whose choice; and who of
    these was content.

    Clients resampled, or by rep, the wider; no rows for fewer than five.
    """
    ends = year[year["kind"].notna() & year["margin"].notna()]
    told = []
    under = ends["margin"] < 0
    parts = [
        ("cost more than they paid", ALL[kind], under[ends["kind"] == kind])
        for kind in (CLIENT, AGENCY)
    ]
    parts = [("cost more than they paid", "all ends", under), *parts]
    parts.append(("content, of those who did", "all ends", ends.loc[under, "content"].dropna()))
    for name, group, values in parts:
        if (n := len(values)) >= LEAST:
            weights = resamples(n, ends["rep"].reindex(values.index) if "rep" in ends else None)
            limits = weights.limits(weights.mean(values.to_numpy(float)), "share")
            told.append(Estimate.of("D2", name, group, limits, "share", (n, n)))
    return Estimates(
        tuple(told),
        "How much of the year's churn was healthy, of ends whose fees and hours are known",
    )


def kept_and_lost(year: pd.DataFrame) -> pd.DataFrame:
    """Engagements of the year by how they ended, and by whether they paid for their hours; without
    margins, empty.
    """
    if year["margin"].isna().all():
        return pd.DataFrame()
    how = year["kind"].map(ALL).fillna("still a client")
    sign = np.where(year["margin"] < 0, "Cost more than they paid", "Paid for their hours")
    sign = np.where(year["margin"].isna(), "Not known", sign)
    table = pd.crosstab(how, sign).reindex(["still a client", *ALL.values()], fill_value=0)
    table["Margin a month"] = year.groupby(how)["margin"].sum().reindex(table.index).fillna(0)
    return table.rename_axis("How it ended").rename_axis(None, axis=1).reset_index()


def joiners_and_leavers(year: pd.DataFrame) -> Estimates:
    """Whether new clients pay and leave more than those who left, and whether these were content:
    D2's conditions.
    """
    told = []
    groups = {"who came": ~year["at_start"].astype(bool), "who left": year["kind"].notna()}
    for name, unit in (("fee", "money"), ("margin", "money"), ("content", "share")):
        masks = {group: mask & year[name].notna() for group, mask in groups.items()}
        if min(mask.sum() for mask in masks.values()) < 2:
            continue
        values = year[name].fillna(0).to_numpy(float)
        weights = resamples(len(year), year.get("rep"))
        means = {
            group: weights[:, mask.to_numpy()].mean(values[mask]) for group, mask in masks.items()
        }
        means["difference"] = means["who came"] - means["who left"]
        for group, drawn in means.items():
            counts = (int(masks[group].sum()) if group in masks else 0, 0)
            told.append(Estimate.of("D2", name, group, weights.limits(drawn, unit), unit, counts))
    return Estimates(tuple(told), "Who came and who left within the year (means)")


def quarters(spells: pd.DataFrame, cutoff: pd.Timestamp, count: int = 8) -> pd.DataFrame:
    """Ends by whose choice in each of the last quarters: parting is for every quarter, not once a
    year (D2).
    """
    ended = spells[spells["gone"] & renewals_known(spells)]
    quarter = ended["end_date"].dt.to_period("Q").astype(str)
    kind = ended["end_kind"].map(ALL)
    table = pd.crosstab(quarter, kind).reindex(columns=list(ALL.values()), fill_value=0).tail(count)
    return table.rename_axis("Quarter").rename_axis(None, axis=1).reset_index()


def too_long(book: Book) -> pd.DataFrame:
    """Clients kept too long (METHODS 5): under nought month after month, no raise since, no notice
    given.
    """
    own = book.told[
        (book.told["lost"] > 0)
        & ~book.told.index.isin(book.rows.loc[book.rows["noticed"], "client_id"])
    ]
    own = own[book.unraised.reindex(own.index) >= own["too_long"]].sort_values(
        "lost", ascending=False
    )
    told = own.assign(client=own.index.map(book.names), too_long=own["too_long"].astype(int))
    heads = ["Client", "Months on end", "Lost in them", "Margin a month", "Cause"]
    return (
        told[["client", "too_long", "lost", "margin", "cause"]]
        .set_axis(heads, axis=1)
        .reset_index(drop=True)
    )


def healthy_words(year: pd.DataFrame, currency: str = "") -> Finding:
    """How much of the year's churn was healthy, in a sentence."""
    if year.empty:
        return Finding(
            "D2",
            "How much of the churn was healthy cannot be told without the days of ends.",
            "headline",
        )
    ends = year[year["kind"].notna()]
    by = ends["kind"].value_counts()
    counted = "1 engagement" if len(ends) == 1 else f"{len(ends)} engagements"
    text = f"Within the last year {counted} ended: {by.get(CLIENT, 0)} by the client's choice, "
    text += f"{by.get(AGENCY, 0)} by yours, {by.get(NEUTRAL, 0)} by neither's"
    text += f", and of {by[UNKNOWN]} nobody recorded whose choice it was." if UNKNOWN in by else "."
    known = ends["margin"].dropna()
    if known.empty:
        text += " Which of them cost more than they paid cannot be told without fees and hours."
        return Finding("D2", text, "headline")
    under = known < 0
    share = quantity(under.mean(), "share")
    answers = ends.loc[known.index[under], "content"].dropna()
    for row in healthy(year).rows[:1]:
        share += f", 95% interval {between(row.low, row.high, row.unit)}"
    text += (
        f" Of {len(known)} whose fees and hours are known, {under.sum()} cost more than they "
        f"paid ({share}; "
    )
    text += (
        f"{-known[under].sum():,.0f} {currency} a month together): healthy churn, by the "
        "study's word, where they "
    )
    text += (
        f"left content, as {answers.sum():.0f} of the {len(answers)} did who had answered "
        "lately. The others had "
    )
    text += (
        f"paid {known[~under].sum():,.0f} {currency} a month more than their hours took: that "
        "was lost."
    )
    return Finding("D2", " ".join(text.split()), "headline")
