"""What each client leaves after the hours it takes, why it may be too little, and what would mend
it (D3 to D5).

Margin is the fee less hours at what people cost, a month. Changes billed beside the fee are not in
it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from retention.data.schema import columns_of
from retention.history.features import KEY
from retention.history.snapshots import last_month, month_of
from retention.history.spells import DAY, whole_months
from retention.results import Estimate, Estimates
from retention.settings import LIMITS, Limits, study_plan
from retention.stats.intervals import Weights, over
from retention.words import Said, say

MULTIPLES: tuple[float, ...] = tuple(study_plan()["D5"]["price_multiples"])
RAISE = "yearly_raise"
REMEDIES: tuple[str, ...] = tuple(study_plan()["remedies"]["order"])
UNDERPRICED = "underpriced"  # ids of causes: words/portfolio.toml
OUTGREW = "outgrew"
LATELY = "lately"
UNSEEN = "unseen"
MIN_RAISES = 5  # (ours) under five raises on record there is no usual raise of one's own
DRAWS = 1000
SEED = 1
Tables = Mapping[str, pd.DataFrame]


def months_of(money: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """The months of these engagements whose margin is known, oldest first; of clients without any
    hours, none.

    Fees after the newest month that anybody's hours are on record for are left out: its hours are
    still to come.
    """
    known = money.dropna(subset=["margin"])
    at = known.merge(rows[[*KEY, "start_date"]], on=KEY)
    by_spell = at.groupby(KEY)["cost"]
    worked = by_spell.transform("sum") > 0
    at = at[worked & (at["month"] <= at.loc[at["cost"] > 0, "month"].max())]
    order = ["client_id", "month"]
    return at.sort_values(order, ignore_index=True)


def newest(
    at: pd.DataFrame,
    rows: pd.DataFrame,
    until: pd.Series,
    cutoff: pd.Timestamp,
    limits: Limits = LIMITS,
) -> pd.DataFrame:
    """The mean month of each engagement over its newest months up to a day: a row each, index as
    `rows`.

    Columns: `months` (counted), `fee, cost, margin` (means), `low, high` (95 % interval of the mean
    margin, t). `at` as from `months_of`, `until` the days, none after the cut-off. NaN with too few
    months, or where the newest of them is not among the last before the day.
    """
    last = month_of(until).where(until < cutoff, last_month(cutoff))
    numbered = rows[KEY].assign(row=rows.index, last=last)
    counted = at.merge(numbered, on=KEY)
    in_time = counted[counted["month"] <= counted["last"]]
    counted = in_time.sort_values(["row", "month"])
    grouped = counted[
        counted.groupby("row").cumcount(ascending=False) < limits["margin_months"]
    ].groupby("row")
    amounts = ["fee", "cost", "margin"]
    means = grouped[amounts].mean()
    means.insert(0, "months", grouped.size())
    degrees = means["months"].clip(lower=2) - 1
    half = grouped["margin"].sem() * stats.t.ppf(0.975, degrees)
    low = means["margin"] - half
    means = means.assign(low=low, high=means["margin"] + half)
    last_month_of = grouped["last"].first()
    late = last_month_of - grouped["month"].max()
    least = limits["least_margin_months"]
    known = (means["months"] >= least) & (late <= least)
    return means[known].reindex(rows.index)


def current(
    money: pd.DataFrame, rows: pd.DataFrame, cutoff: pd.Timestamp, limits: Limits = LIMITS
) -> pd.DataFrame:
    """What each of these engagements leaves a month now: `newest`, a row a client, index
    `client_id`.

    And `early` (mean margin of the first months of service; NaN where not on record), `too_long`
    (months on end, up to the last, in which the mean of the newest months was below zero) and
    `lost` (what those months cost). `money` as from `history.money`. Clients with too few months,
    or none lately, are not in it.
    """
    window = int(limits["margin_months"])
    least = int(limits["least_margin_months"])
    at = months_of(money, rows)
    monthly = newest(at, rows, pd.Series(cutoff, rows.index), cutoff, limits).set_axis(
        rows["client_id"]
    )
    known = monthly.dropna(subset=["margin"]).sort_index()
    monthly = known.astype({"months": int})
    since_start = at["month"] - month_of(at["start_date"]) < window
    early = at[since_start].groupby("client_id")["margin"]
    enough = early.mean().where(early.size() >= least)
    monthly["early"] = enough.reindex(monthly.index)
    under = (
        at.groupby("client_id")["margin"].rolling(window).mean().droplevel(0).reindex(at.index) < 0
    )
    backwards = under[::-1]
    so_far = backwards.groupby(at["client_id"]).cummin()
    last_months = at[so_far[::-1]]
    run = last_months.groupby("client_id")["margin"]
    monthly["too_long"], monthly["lost"] = (
        run.size().reindex(monthly.index),
        -run.sum().reindex(monthly.index),
    )
    zeros = {"too_long": 0, "lost": 0.0}
    return monthly.fillna(zeros)


def raises(known: Tables) -> pd.DataFrame:
    """Each time a fee went up: `client_id`, `day` (from when), `step` (0.05: by a twentieth); needs
    fees by term.
    """
    terms = columns_of(known, "contracts", "client_id", "term_start", "fee_pct")
    rows = terms.dropna().sort_values(["client_id", "term_start"], kind="stable")
    step = (
        rows["fee_pct"].astype(float) / rows.groupby("client_id")["fee_pct"].shift().astype(float)
        - 1
    )
    return rows.assign(step=step, day=pd.to_datetime(rows["term_start"]))[step > 0].reset_index(
        drop=True
    )


def since_raise(rows: pd.DataFrame, raised: pd.DataFrame, cutoff: pd.Timestamp) -> pd.Series:
    """Whole months since each engagement's fee last went up, or since it began; index `client_id`.

    A raise agreed for a later day counts as made: nobody is to be asked twice.
    """
    by_client = raised.groupby("client_id")["day"].max()
    last = rows["client_id"].map(by_client)
    later = last.where(last > rows["start_date"], rows["start_date"])
    day = later.clip(upper=cutoff)
    months = whole_months(day, cutoff + DAY)
    return months.set_axis(rows["client_id"])


def causes(monthly: pd.DataFrame, unraised: pd.Series, limits: Limits = LIMITS) -> pd.Series:
    """Why each client costs more than it pays, as an id (`cause_words`): one of the study's two
    causes (D3), or why it cannot be said; missing where it pays.
    """
    since = unraised.reindex(monthly.index)
    old = since >= limits["raise_months"]
    unseen = monthly["early"].isna()
    cause = np.select([monthly["early"] < 0, unseen, old], [UNDERPRICED, UNSEEN, OUTGREW], LATELY)
    named = pd.Series(cause, monthly.index, dtype=object)
    return named.where(monthly["margin"] < 0)


def remedies(
    monthly: pd.DataFrame,
    rows: pd.DataFrame,
    known: Tables,
    cutoff: pd.Timestamp,
    keep: pd.Series,
    limits: Limits = LIMITS,
) -> pd.DataFrame:
    """What each remedy would bring a month for each client that costs more than it pays, in money;
    index `client_id`.

    Columns: `shortfall`, one for each of `REMEDIES` (zero where it does not fit) and `recovered`
    (all together, at most the shortfall). Clients that `keep` marks keep their people (A6). That
    clients may leave over it is not counted, nor what the costlier people cost where they go.
    """
    short = monthly[monthly["margin"] < 0]
    raised = raises(known)
    months = int(limits["margin_months"])
    begin = cutoff + DAY - pd.DateOffset(months=months)
    enough = len(raised) >= MIN_RAISES
    usual = raised["step"].median() if enough else limits["usual_raise"]
    years = since_raise(rows, raised, cutoff) // limits["raise_months"]
    parts = {
        RAISE: short["fee"]
        * ((1 + usual) ** years.reindex(short.index) - 1).clip(upper=limits["most_raise"]),
        "people": _costlier(known, begin)
        .reindex(short.index)
        .mask(keep.reindex(short.index, fill_value=False), 0),
        "changes": _unbilled(known, begin).reindex(short.index) / short["months"],
        "discount": _given_away(rows.set_index("client_id"), known, begin),
    }
    found = pd.DataFrame(
        {name: part.reindex(short.index) for name, part in parts.items()}, short.index
    ).fillna(0.0)
    total = found.sum(axis=1)
    return found.assign(shortfall=-short["margin"], recovered=total.clip(upper=-short["margin"]))


def _costlier(known: Tables, begin: pd.Timestamp) -> pd.Series:
    """What people cost a month beyond the median of their role, on each client's hours since
    `begin`.
    """
    hours = known.get("hours")
    staff = known.get("staff")
    if hours is None or staff is None or "hourly_cost" not in staff:
        return pd.Series(dtype=float)
    usual = (
        staff.assign(role=staff.get("role", "all"))
        .groupby("role")["hourly_cost"]
        .transform("median")
    )
    above = (staff["hourly_cost"] - usual).clip(lower=0)
    beyond = above.fillna(0).set_axis(staff["staff_id"])
    spent = hours[hours["month"] >= begin]
    saved = (
        (spent["hours"] * spent["staff_id"].map(beyond).fillna(0)).groupby(spent["client_id"]).sum()
    )
    months = spent.groupby("client_id")["month"]
    return saved / months.nunique()


def _unbilled(known: Tables, begin: pd.Timestamp) -> pd.Series:
    """The worth of work out of scope that was not billed since `begin`, at what billed hours have
    brought.

    Empty where no billed request has both its hours and its amount.
    """
    requests = known.get("requests", pd.DataFrame())
    if not {"in_scope", "billed", "amount", "hours"} <= set(requests):
        return pd.Series(dtype=float)
    billed = requests["billed"].eq(True)
    outside = requests["in_scope"].eq(False)
    charged = billed & (requests["amount"] > 0)
    priced = requests[charged & (requests["hours"] > 0)]
    if priced.empty:
        return pd.Series(dtype=float)
    charges = priced["amount"].sum()
    price = charges / priced["hours"].sum()
    lately = requests["requested_on"] >= begin
    free = requests[outside & ~billed & lately]
    by_client = free.groupby("client_id")["hours"]
    return price * by_client.sum()


def _given_away(own: pd.DataFrame, known: Tables, begin: pd.Timestamp) -> pd.Series:
    """What a discount still takes off the agreed fee a month, of clients who have one and did not
    prepay.
    """
    months = known.get("account_months", {})
    terms = columns_of(known, "contracts", "client_id", "term_start", "fee_pct")
    if not {"discount_pct", "fee_pct"} <= set(own) or not {"fee", "ad_spend"} <= set(months):
        return pd.Series(dtype=float)
    begun = terms[terms["term_start"] <= begin]
    terms = begun.sort_values("term_start", kind="stable")  # what is paid since then
    agreed = (
        terms.groupby("client_id")["fee_pct"]
        .last()
        .reindex(own.index)
        .fillna(own["fee_pct"])
        .astype(float)
    )
    lately = (
        months[months["month"] >= begin]
        .groupby("client_id")[["fee", "ad_spend"]]
        .mean()
        .reindex(own.index)
    )
    fee = agreed / 100 * lately["ad_spend"]
    off = fee - lately["fee"]
    prepaid = own["prepaid"].eq(True) if "prepaid" in own else False
    return off.where(
        (own["discount_pct"] > 0) & ~prepaid & (off > 0.01 * lately["fee"]), 0.0
    )  # less is rounding


def mended(found: pd.DataFrame) -> Estimates:
    """The share of the shortfall that each remedy would recover alone and all together, beside the
    published 80 % (D4).

    Intervals: clients resampled, or by rep, the wider. `clients mended`: the share whose whole
    shortfall is recovered.
    """
    caption = say("portfolio.remedies.caption", published=LIMITS["mended_share"])
    if found.empty:
        return Estimates((), caption)
    short = found["shortfall"].to_numpy(float)
    n = len(found)
    parts = {name: np.minimum(found[name], short) for name in REMEDIES}
    parts["all"] = found["recovered"]
    weights = resamples(n, found.get("rep"))
    rows = []
    for name, column in parts.items():
        part = column.to_numpy(float)
        whole = (part >= short - 0.005).astype(float)
        part_of = over(weights @ part, weights @ short)
        shares = {"shortfall": part_of, "mended": weights.mean(whole)}
        for share, values in shares.items():
            limits = weights.limits(values, "share")
            group = say(f"portfolio.recovered.{share}")
            estimate = Estimate.of("D4", remedy_words(name), group, limits, "share", (n, 0))
            rows.append(estimate)
    return Estimates(tuple(rows), caption)


def remedy_words(name: str) -> Said:
    """What a remedy is called, by its id in `REMEDIES`; `all`: all of them together."""
    return say(f"portfolio.remedy.{name}")


def cause_words(name: str) -> Said:
    """A cause (`causes`) in words, by its id."""
    return say(f"portfolio.cause.{name}")


def resamples(n: int, reps: Any = None) -> Weights:
    """How often each of n clients counts: once, in resamples of the clients, and as each rep is
    left out.

    `reps` (n,) say who is in charge of each, "" for nobody; None where that is not on record.
    """
    times = np.vstack(
        [np.ones(n), np.random.default_rng(SEED).multinomial(n, np.full(n, 1 / n), DRAWS)]
    )
    return Weights.of_rows(times, reps)


def worsening(money: pd.DataFrame, rows: pd.DataFrame, limits: Limits = LIMITS) -> pd.DataFrame:
    """Work that only gets worse (D5): clients whose margin fell from stretch to stretch of months,
    all below zero.

    Index `client_id`; columns `first, second, third` (mean margin a month of three stretches, the
    newest last) and `sunk` (what they cost together), where that passes the threshold.
    """
    span = int(limits["write_off_stretch"])
    names = ["third", "second", "first"]
    at = months_of(money, rows)
    by_client = at.groupby("client_id")
    back = by_client.cumcount(ascending=False) // span
    names_of = back.map(dict(enumerate(names)))
    at = at.assign(stretch=names_of).dropna(subset=["stretch"])
    key = ["client_id", "stretch"]
    grouped = at.groupby(key)["margin"]
    full = grouped.mean().where(grouped.size() == span)
    means = full.unstack().reindex(columns=names[::-1])
    falls = (
        (means["first"] < 0)
        & (means["second"] < means["first"])
        & (means["third"] < means["second"])
    )
    total = means.sum(axis=1)
    means["sunk"] = -total * span
    large = means["sunk"] >= limits["write_off_loss"]
    return means[falls & large]


def worth_staying(monthly: pd.DataFrame) -> pd.DataFrame:
    """Prices at which a client would be worth keeping (D5), in money a month; index `client_id`.

    `usual_margin` leaves the share that the median client with any margin leaves; then the study's
    multiples of today's fee (`times_2`, ...). Break-even is the `cost`. `monthly` as from
    `current`.
    """
    shares = monthly["margin"] / monthly["fee"]
    share = shares[monthly["margin"] > 0].median()
    share = 0.0 if math.isnan(share) else share
    usual = monthly["cost"] / (1 - share) if share < 1 else math.nan  # 1: the others cost nothing
    prices = {"usual_margin": usual}
    prices |= {f"times_{multiple:g}": monthly["fee"] * multiple for multiple in MULTIPLES}
    return pd.DataFrame(prices, monthly.index)
