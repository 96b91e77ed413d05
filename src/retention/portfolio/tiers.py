"""Tiers of clients, best to worst (D6), who moved between them, and how long their invoices wait
(D8).

A tier is the share of good signs among those on record, at signing or in how a client behaves; who
has too few on record has none. An invoice not yet paid in full has waited until now and is not left
out (Kaplan-Meier, METHODS 5).
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd

from retention.contrast import MIN_EVENTS
from retention.history.features import KEY
from retention.history.in_charge import last_rep, rep_by
from retention.history.opportunities import exit_rows, spreads
from retention.history.status import active
from retention.portfolio.book import Book
from retention.portfolio.debts import CENT, arrears, invoices_on
from retention.portfolio.effects import signs
from retention.portfolio.evidence import NOTED_BY, days_late
from retention.portfolio.margins import LIMITS, Limits, Tables, resamples
from retention.results import ALL, Estimate, Estimates
from retention.stats.bands import band_exposure
from retention.stats.hazards import NotFittedError, fit_hazard, varying
from retention.stats.intervals import Weights
from retention.words import Said, say

TIERS = ("best", "very_good", "workable", "tolerable", "worst")
WAITED = (30, 60, 90)  # days from the invoice
SALES_DAYS = 90  # days of sales that count as outstanding
TREND = say("portfolio.tiers.trend")
MIN_SIGNS = 3  # (ours) signs on record under which there is no tier


def tier_words(tier: str) -> Said:
    """What a tier is called, by its id in `TIERS`."""
    return say(f"portfolio.tier.{tier}")


def by_share(good: pd.DataFrame, limits: Limits = LIMITS) -> pd.Series:
    """The tier for the share of True among what is known in each row; missing where too
    little is.
    """
    share = (
        good.astype("Float64")
        .mean(axis=1)
        .where(good.notna().sum(axis=1) >= MIN_SIGNS)
        .astype(float)
    )
    edges = [-np.inf, *(limits[f"tier_{name}"] for name in TIERS[3::-1]), np.inf]
    labels = TIERS[::-1]
    return pd.cut(share, edges, labels=labels, right=False).astype("string")


def at_signing(spells: pd.DataFrame, limits: Limits = LIMITS) -> pd.Series:
    """The tier of each engagement by what was known at signing: the good answers, and spend in the
    upper half.
    """
    good = ~signs(spells).astype("boolean")
    if good.empty or not len(good.columns):
        return pd.Series(pd.NA, spells.index, dtype="string")
    middle = spells["monthly_ad_spend"].median()
    large = spells["monthly_ad_spend"] >= middle
    with_size = large.astype("boolean")
    return by_share(good.assign(large=with_size), limits)


def behaving(book: Book) -> pd.Series:
    """The tier of each client active on the book's day, by its records until then; index
    `client_id`.

    Good signs: it pays for its hours, pays on time, owes nothing overdue, answers when asked, asks
    within scope, lets work stand, and nothing is noted against it. Those that no table holds do not
    count.
    """
    known = book.known
    clients = pd.Index(book.rows["client_id"])
    months = int(book.limits["margin_months"])
    begin = book.cutoff - pd.DateOffset(months=months)
    good = {"profitable": book.monthly["margin"] >= 0}
    if {"invoices", "payments"} <= set(known):
        good["on_time"] = days_late(known, begin) <= 0
        owed = arrears(known, [book.cutoff])
        good["owes_nothing"] = owed.sum(axis=1) == 0
    if "surveys" in known:
        lately = known["surveys"]["invited_on"] >= begin
        asked = known["surveys"][lately]
        answered = asked["answered_on"].notna()
        if not answered.all():  # else the data may hold answers alone
            by_client = answered.groupby(asked["client_id"])
            good["answers"] = by_client.mean() >= 0.5
    for column, wanted in (("in_scope", True), ("revision", False)) if "requests" in known else ():
        columns = ["client_id", "requested_on", column]
        asked = known["requests"].reindex(columns=columns)
        asked = asked[asked["requested_on"] >= begin].dropna()
        right = asked[column].eq(wanted)
        hit = right.groupby(asked["client_id"]).mean()
        least = 1 - book.limits["tier_requests"]
        good[column] = hit >= least
    if "flags" in known:
        by_people = book.lately["source"] == NOTED_BY
        noted = book.lately[by_people]
        unmarked = ~clients.isin(noted["client_id"])
        good["nothing_noted"] = pd.Series(unmarked, clients)
    signs = {name: sign.reindex(clients).astype("boolean") for name, sign in good.items()}
    marks = pd.DataFrame(signs, index=clients)
    return by_share(marks, book.limits)


def moves(before: pd.Series, after: pd.Series) -> pd.DataFrame:
    """How many clients went from each tier to each.

    Columns: `tier_before` (in words), and one each tier after, such as `clients_best`, or
    `clients_left`.
    """
    later = after.reindex(before.index)
    both = pd.DataFrame({"before": before, "after": later})
    both = both.dropna(subset=["before"])
    known_after = both["after"].fillna("left")
    table = pd.crosstab(both["before"], known_after)
    names = [name for name in TIERS if name in table.index]
    table = table.reindex(names)
    columns = [name for name in (*TIERS, "left") if name in table]
    table = table[columns].add_prefix("clients_")
    named = table.rename(index=tier_words).rename_axis("tier_before")
    table = named.rename_axis(None, axis=1)
    return table.reset_index()


def trend(spells: pd.DataFrame, limits: Limits = LIMITS) -> Estimates:
    """The ratio of leaving by choice for each tier worse at signing, among clients alike in size
    (D6).
    """
    ranks = {name: float(k) for k, name in enumerate(TIERS)}
    rank = at_signing(spells, limits).map(ranks)
    rows = (
        exit_rows(spells)
        .merge(spells[KEY].assign(tier=rank), on=KEY)
        .dropna(subset=["tier"])
        .reset_index(drop=True)
    )
    log_size = np.log(rows["monthly_ad_spend"].clip(lower=1))
    X = rows[["tier"]].assign(size=log_size).astype(float)
    if rows["left"].sum() < MIN_EVENTS or rows["tier"].nunique() < 2:
        return Estimates((), TREND)
    try:
        exposure = band_exposure(rows["from_month"], rows["to_month"], rows["left"])
        left = rows["left"].to_numpy()
        fit = fit_hazard(left, varying(X), exposure, rows["client_id"])
    except NotFittedError:
        return Estimates((), TREND)
    ended = int(rows["left"].sum())
    counts = (rows["client_id"].nunique(), ended)
    half = max(
        spread.reach(0.975) for spread in spreads(fit, {"tier": 1.0}, rows.get("rep"), counts[1:])
    )
    values = [float(np.exp(fit.coefficient("tier") + step)) for step in (0.0, -half, half)]
    ratio = say("portfolio.tiers.ratio")
    estimate = Estimate.of("D6", ratio, ALL, values, "ratio", counts)
    return Estimates((estimate,), TREND)


def by_source(spells: pd.DataFrame, monthly: pd.DataFrame, limits: Limits = LIMITS) -> Estimates:
    """Engagements by how they came: of high quality, or merely tolerable (C3 against D6)? Clients
    resampled, or by rep.

    Margins are those of active clients whose fees and hours are known (`monthly`:
    `margins.current`); no rows of a source with fewer than two.
    """
    caption = say("portfolio.tiers.by_source")
    rows = []
    if "source" not in spells:
        return Estimates((), caption)
    tier = at_signing(spells, limits)
    here = active(spells)
    of_client = spells["client_id"].map(monthly["margin"])
    margin = of_client.where(here)
    top_two = tier.isin(TIERS[:2]).astype(float)
    good = top_two.where(tier.notna())
    reps = rep_by(spells)
    in_charge = None if reps is None else pd.Series(reps, spells.index)
    for name, values, unit in (
        (say("portfolio.tiers.good"), good, "share"),
        (say("portfolio.tiers.margin"), margin, "money"),
    ):
        for source, own in values.dropna().groupby(spells["source"]):
            n = len(own)
            if n > 1:
                weights = resamples(n, None if in_charge is None else in_charge[own.index])
                mean = weights.mean(own.to_numpy())
                values = weights.limits(mean, unit)
                estimate = Estimate.of("C3", name, str(source), values, unit, (n, 0))
                rows.append(estimate)
    return Estimates(tuple(rows), caption)


def a_year_ago(book: Book) -> pd.Series:
    """The tier of each client then active, by the records a year before the book's day."""
    year_ago = book.cutoff - pd.DateOffset(months=12)
    return behaving(replace(book, cutoff=year_ago))


def waits(known: Tables, cutoff: pd.Timestamp) -> pd.DataFrame:
    """A row an invoice: `client_id, issued_on, amount, days` (until settled, or till now), `paid`,
    `open`.

    One that a credit settled, a credit note that cancels it for one, has waited until then and was
    not `paid`.
    """
    columns = ["client_id", "issued_on", "amount", "days", "paid", "open"]
    rows = invoices_on(known, cutoff)
    if rows.empty:
        return pd.DataFrame(columns=columns)
    until = rows["settled_on"].fillna(cutoff)
    paid = (
        known["payments"]
        .groupby("invoice_id")["amount"]
        .sum()
        .reindex(rows["invoice_id"])
        .fillna(0)
        .to_numpy()
    )
    waited = until - rows["issued_on"]
    days = waited.dt.days.clip(lower=0)
    whole = paid >= rows["amount"] - CENT
    return rows.assign(days=days, paid=whole)[columns]


def days_to_pay(
    rows: pd.DataFrame, tier: pd.Series, cutoff: pd.Timestamp, spells: pd.DataFrame | None = None
) -> Estimates:
    """Share of invoices unpaid after 30, 60 and 90 days, and days of sales outstanding, by tier and
    for all (D8).

    Clients resampled, or by rep, the wider; `spells` say who is in charge.
    """
    made = []
    now = rows["client_id"].map(tier)
    for group in (ALL, *TIERS):
        part = rows if group == ALL else rows[now == group]
        words = ALL if group == ALL else tier_words(group)
        codes, clients = pd.factorize(part["client_id"])
        n = len(clients)
        if n < 2:
            continue
        reps = None if spells is None else last_rep(spells, clients)
        weights = resamples(n, reps)
        unpaid = _unpaid(part, codes, weights)
        for day in WAITED:
            by_day = unpaid[:, day]
            limits = weights.limits(by_day, "share")
            name = say("portfolio.tiers.unpaid", days=day)
            estimate = Estimate.of("D8", name, words, limits, "share", (n, 0))
            made.append(estimate)
        lately = part["issued_on"] > cutoff - pd.Timedelta(days=SALES_DAYS)
        sales = part.loc[lately, "amount"].sum()
        owed = SALES_DAYS * part["open"].sum() / sales if sales else math.nan
        outstanding = say("portfolio.tiers.sales")
        made.append(Estimate.of("D8", outstanding, words, (owed,), "number", (n, 0)))
    return Estimates(tuple(made), say("portfolio.tiers.waits"))


def _unpaid(rows: pd.DataFrame, codes: np.ndarray, weights: Weights) -> np.ndarray:
    """Kaplan-Meier's share unpaid after each day, shape (1 + draws + reps, days)."""
    last = max(WAITED)
    clients = weights.times.shape[1]
    capped = rows["days"].clip(upper=last + 1)
    days = capped.to_numpy(int)
    paid = np.zeros((clients, last + 2))
    there = np.zeros((clients, last + 2))
    np.add.at(paid, (codes[rows["paid"]], days[rows["paid"]]), 1)
    np.add.at(there, (codes, days), 1)
    later = there[:, ::-1].cumsum(axis=1)
    at_risk = weights @ later[:, ::-1]
    share = np.divide(
        weights @ paid, at_risk, out=np.zeros_like(at_risk, dtype=float), where=at_risk > 0
    )
    return np.cumprod(1 - share, axis=1)
