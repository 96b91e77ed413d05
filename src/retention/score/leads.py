"""Whom to sign (D1): the spend under which a lead does not pay for itself in its first year, from
past clients.

The answer rests on what was known at signing alone. Worth is what a client left in its first twelve
months, margin after hours where those are known, less what winning it cost: clients signed too
lately to be seen for a year are left out, whether they left or not.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

import numpy as np
import pandas as pd
from statsmodels.nonparametric.smoothers_lowess import lowess

from retention.history.features import KEY, signing_features
from retention.history.money import FEES, MARGINS, monthly_money
from retention.history.snapshots import month_of
from retention.history.spells import DAY, whole_months
from retention.results import Estimate, Estimates, Finding, between, quantity
from retention.score.model import EVENTS_A_FEATURE, ridge, room_for
from retention.settings import Extra

YEAR = 12  # months over which a client is to pay for itself
MIN_CLIENTS = 60  # (ours) of whom the year is known
LATER = (
    1 / 3
)  # of clients by day of signing, on which the threshold is tried that the earlier ones gave
OPEN_DAYS = 180  # (ours) a lead that was not signed in half a year is no longer open
SMOOTH = 0.4  # share of clients that each point of the curve looks at
DRAWS = 500
SEED = 1
NEEDS = (
    "fees by month (table account_months, column fee); hours with their cost (tables hours "
    "and staff) sharpen it"
)


@dataclass(frozen=True)
class Worth:
    """Past clients with `worth` (money in the first year, winning them paid) and `good` (above 0);
    what it counts.
    """

    clients: pd.DataFrame
    counts: str
    why: str = ""


def first_year(spells: pd.DataFrame, tables: Mapping[str, pd.DataFrame], cutoff: dt.date) -> Worth:
    """What each client left in its first year, of those whose whole first year lies within the
    records.
    """
    money = monthly_money(spells, tables)
    if money.empty:
        return Worth(spells.head(0), "", f"It needs {NEEDS}.")
    seen = (spells["entry_months"] == 0) & (
        whole_months(spells["start_date"], pd.Timestamp(cutoff) + DAY) >= YEAR
    )
    rows = spells[seen].reset_index(drop=True)
    column, counted = ("margin", MARGINS) if money["margin"].notna().any() else ("fee", FEES)
    at = money.merge(rows[[*KEY, "start_date"]].assign(row=rows.index), on=KEY)
    first = at["month"] - month_of(at["start_date"]) < YEAR
    left = at[first].groupby("row")[column].sum().reindex(rows.index, fill_value=0.0)
    won = rows["acquisition_cost"].astype(float).fillna(0) if "acquisition_cost" in rows else 0.0
    counted += " less what winning the client cost" if "acquisition_cost" in rows else ""
    rows = rows.assign(worth=left - won).assign(good=lambda told: told["worth"] > 0)
    few = f"Of {len(rows)} clients a whole first year is on record; {MIN_CLIENTS} are needed."
    return Worth(
        rows, counted, few if len(rows) < MIN_CLIENTS or rows["good"].nunique() < 2 else ""
    )


def break_even_spend(spend: np.ndarray, worth: np.ndarray) -> float:
    """The planned spend above which clients leave more than nothing on average; inf where none
    does, 0 where all do.

    A smooth curve through worth by the log of spend (lowess), read off at a hundred points within
    the data.
    """
    x = np.log(np.maximum(spend, 1))
    low, high = np.quantile(x, [0.02, 0.98])
    grid = np.linspace(low, high, 100)
    with np.errstate(
        invalid="ignore", divide="ignore"
    ):  # many clients of one size leave no distance to weigh by
        curve = lowess(worth, x, frac=SMOOTH, it=0, xvals=grid)
    grid = grid[np.isfinite(curve)]
    curve = curve[np.isfinite(curve)]
    if not len(grid):
        return 0.0 if worth.mean() > 0 else inf
    under = np.flatnonzero(curve <= 0)
    if not len(under) or under[-1] == len(grid) - 1:
        return inf if len(under) else 0.0
    k = under[-1]
    return float(np.exp(grid[k] + (grid[k + 1] - grid[k]) * -curve[k] / (curve[k + 1] - curve[k])))


def threshold(found: Worth) -> Estimates:
    """The threshold with its interval, and what declining under it would have cost among later
    clients (D1).

    The threshold of the last rows comes from the earlier two thirds of clients by day of signing.
    """
    if found.why:
        return Estimates((), "The spend under which a client does not pay for itself")
    clients = found.clients
    rng = np.random.default_rng(SEED)
    n = len(clients)
    spend, worth = (clients[name].to_numpy(float) for name in ("monthly_ad_spend", "worth"))
    chosen = (rng.integers(0, n, n) for _ in range(DRAWS))
    draws = [break_even_spend(spend[rows], worth[rows]) for rows in chosen]
    values = (break_even_spend(spend, worth), *np.quantile(draws, [0.025, 0.975], method="nearest"))
    rows = [
        Estimate.of(
            "D1",
            "spend a month from which a client pays for itself",
            "all",
            values,
            "money",
            (n, 0),
        )
    ]
    early = (clients["start_date"].rank(method="first") <= n * (1 - LATER)).to_numpy()
    limit = break_even_spend(spend[early], worth[early])
    later = clients[~early]
    declined = later[later["monthly_ad_spend"] < limit]
    good = declined[declined["good"]]
    for name, value, unit in (
        ("threshold from the earlier clients", limit, "money"),
        ("later clients under it", float(len(declined)), "count"),
        ("their worth in the first year, together", float(declined["worth"].sum()), "money"),
        ("good ones among them", float(len(good)), "count"),
        (
            "worth of the good ones, which declining would have cost",
            float(good["worth"].sum()),
            "money",
        ),
    ):
        rows.append(Estimate.of("D1", name, "all", (value,), unit, (len(later), 0)))
    return Estimates(tuple(rows), f"Worth in the first year ({found.counts}) by planned spend")


def threshold_words(found: Worth, currency: str = "") -> Finding:
    """The threshold in a sentence."""
    if found.why:
        return Finding(
            "D1", f"From which spend a client pays for itself cannot be told. {found.why}"
        )
    rows = {row.name: row for row in threshold(found).rows}
    whole = rows["spend a month from which a client pays for itself"]
    if whole.estimate == 0 or np.isinf(whole.estimate):
        which = "of every size pay" if whole.estimate == 0 else "of no size pay"
        return Finding(
            "D1", f"Clients {which} for themselves in the first year, on average ({found.counts})."
        )
    count, good = (
        rows[name].estimate for name in ("later clients under it", "good ones among them")
    )
    text = (
        f"Clients under {quantity(whole.estimate, 'money')} {currency} of planned spend a month "
        "do not pay for "
        "themselves in the first year, on average (95% interval "
        f"{between(whole.low, whole.high, 'money')}; "
        f"{found.counts}). Of {count:.0f} later clients under the threshold that earlier ones "
        f"gave, {good:.0f} did."
    )
    return Finding("D1", " ".join(text.split()))


def by_spend(found: Worth, groups: int = 8) -> pd.DataFrame:
    """Worth of the first year by planned spend: `Planned spend, Clients, Worth (mean), Pay for
    themselves`.
    """
    if found.why:
        return pd.DataFrame()
    spend = found.clients["monthly_ad_spend"].astype(float)
    binned = pd.qcut(spend.rank(method="first"), groups, labels=False)
    table = (
        found.clients.assign(spend=spend)
        .groupby(binned)
        .agg(
            low=("spend", "min"),
            high=("spend", "max"),
            Clients=("worth", "size"),
            worth=("worth", "mean"),
            good=("good", "mean"),
        )
    )
    span = [f"{row.low:,.0f} to {row.high:,.0f}" for row in table.itertuples()]
    shown = {
        "Clients": table["Clients"],
        "Worth (mean)": table["worth"],
        "Pay for themselves": table["good"],
    }
    return pd.DataFrame({"Planned spend a month": span, **shown}).reset_index(drop=True)


def nurture(
    found: Worth,
    leads: pd.DataFrame | None,
    cutoff: dt.date,
    extra: Mapping[str, Extra] | None = None,
) -> pd.DataFrame:
    """Open leads with the chance that they pay for themselves in a year, and what to do: pursue, or
    nurture.

    The chance comes from what was known at signing of past clients (ridge logistic regression);
    leads under the whole lower limit of the threshold's interval are to nurture, above its upper
    limit to pursue, between them to look at.
    """
    if found.why or leads is None:
        return pd.DataFrame()
    leads = leads.reindex(
        columns=[*leads, *{"signed_on", "monthly_ad_spend", "source"} - set(leads)]
    )
    age = (pd.Timestamp(cutoff) - leads["created_on"]).dt.days
    signed = pd.to_datetime(leads["signed_on"]) <= pd.Timestamp(cutoff)
    open_ = leads[~signed & age.between(0, OPEN_DAYS)].reset_index(drop=True)
    if open_.empty:
        return pd.DataFrame()
    past = _as_features(found.clients, extra)
    mine = _as_features(open_.assign(client_id=open_["lead_id"], engagement=1), extra)
    shared = past[[name for name in past if name in mine or name in ("client_id", "left")]]
    events = int(min(past["left"].sum(), len(past) - past["left"].sum()))
    names = room_for(shared, max(events, EVENTS_A_FEATURE))
    chance = np.full(len(mine), past["left"].mean())
    if names:  # else nothing known at signing sets clients apart
        fitted = ridge(0.1).fit(past[names], past["left"])
        chance = fitted.predict_proba(mine[names])[:, 1]
    limits = next(row for row in threshold(found).rows)
    spend = open_["monthly_ad_spend"].astype(float)
    what = np.select(
        [spend < limits.low, spend >= limits.high], ["nurture", "pursue"], "look closer"
    )
    table = pd.DataFrame(
        {
            "Lead": open_["lead_id"],
            "Since": open_["created_on"].dt.strftime("%Y-%m-%d"),
            "Source": open_["source"],
            "Planned spend": spend,
            "Chance to pay for itself": chance,
            "To do": np.where(spend.isna(), "ask for the budget", what),
        }
    )
    return table.sort_values(
        ["Chance to pay for itself", "Lead"], ascending=[False, True], ignore_index=True
    )


def _as_features(rows: pd.DataFrame, extra: Mapping[str, Extra] | None) -> pd.DataFrame:
    """What was known at signing of a client, or is of a lead; with `left` (1: it paid for itself)
    where known.
    """
    texts = {name: "string" for name in rows if rows[name].dtype == object}
    frame = pd.DataFrame(signing_features(rows.astype(texts), extra))
    frame = frame.assign(
        log_size=np.log(rows["monthly_ad_spend"].astype(float).clip(lower=1)).to_numpy()
    )
    return frame.assign(left=rows["good"].astype(int).to_numpy()) if "good" in rows else frame
