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
from retention.history.in_charge import rep_in
from retention.history.money import monthly_money
from retention.history.snapshots import month_of
from retention.history.spells import DAY, whole_months
from retention.numbers import Shown, between, quantity
from retention.results import ALL, Estimate, Estimates, Finding
from retention.score.model import EVENTS_A_FEATURE, ridge, room_for
from retention.settings import LIMITS, Extra, Limits
from retention.stats.intervals import tells, with_limits
from retention.words import Said, say, together

YEAR = 12  # months over which a client is to pay for itself
MIN_CLIENTS = 60  # (ours) of whom the year is known
# of clients by day of signing, on which the threshold is tested that the earlier ones gave
LATER = 1 / 3
SMOOTH = 0.4  # share of clients that each point of the curve looks at
DRAWS = 500
SEED = 1
PURSUE, NURTURE, LOOK_CLOSER, ASK = "pursue", "nurture", "look_closer", "ask_for_budget"


@dataclass(frozen=True)
class Worth:
    """Past clients with `worth` (money in the first year, winning them paid) and `good` (above 0).

    `counts` is what worth is made of (an id: fees or margins, less the cost of winning the client
    or not); `why` says what is lacking.
    """

    clients: pd.DataFrame
    counts: str
    why: str = ""

    @property
    def counted(self) -> Said:
        """What worth is made of, in words."""
        return say(f"churn_risk.signing.{self.counts}")


@dataclass(frozen=True)
class Threshold:
    """The spend under which clients do not pay for themselves, and what declining below it would
    have cost.

    `spend`: the threshold with its 95 % interval, from all `clients`. `early`: that of the earlier
    two thirds by day of signing, tested on the `later` ones. Of these, `declined` lie under it and
    were worth `declined_worth` together; `good` of them paid, worth `good_worth`. Money.
    """

    spend: tuple[float, float, float]
    clients: int
    early: float
    later: int
    declined: int
    declined_worth: float
    good: int
    good_worth: float


def first_year(spells: pd.DataFrame, tables: Mapping[str, pd.DataFrame], cutoff: dt.date) -> Worth:
    """What each client left in its first year, of those whose whole first year lies within the
    records.
    """
    money = monthly_money(spells, tables)
    if money.empty:
        nobody = spells.head(0)
        return Worth(nobody, "", say("churn_risk.signing.lacking_fees"))
    last_day = pd.Timestamp(cutoff) + DAY
    followed = whole_months(spells["start_date"], last_day)
    from_start = (spells["entry_months"] == 0) & (followed >= YEAR)
    rows = spells[from_start].reset_index(drop=True)
    known = money["margin"].notna()
    margins = bool(known.any())
    counts = "margins" if margins else "fees"
    starts = rows[[*KEY, "start_date"]].assign(row=rows.index)
    at = money.merge(starts, on=KEY)
    started = month_of(at["start_date"])
    first = at["month"] - started < YEAR
    by_client = at[first].groupby("row")
    left = by_client["margin" if margins else "fee"].sum()
    worth = left.reindex(rows.index, fill_value=0.0)
    if "acquisition_cost" in rows:
        cost = rows["acquisition_cost"].astype(float)
        worth = worth - cost.fillna(0)
        counts += "_less_cost"
    rows = rows.assign(worth=worth, good=worth > 0)
    why = ""
    if len(rows) < MIN_CLIENTS or rows["good"].nunique() < 2:
        why = say("churn_risk.signing.lacking_clients", clients=len(rows), needed=MIN_CLIENTS)
    return Worth(rows, counts, why)


def break_even_spend(spend: np.ndarray, worth: np.ndarray) -> float:
    """The planned spend above which clients leave more than nothing on average; inf where none
    does, 0 where all do.

    A smooth curve through worth by the log of spend (lowess), read off at a hundred points within
    the data.
    """
    at_least_one = np.maximum(spend, 1)
    x = np.log(at_least_one)
    tails = [0.02, 0.98]
    low, high = np.quantile(x, tails)
    grid = np.linspace(low, high, 100)
    # many clients of one size leave no distance to weigh by
    with np.errstate(invalid="ignore", divide="ignore"):
        curve = lowess(worth, x, frac=SMOOTH, it=0, xvals=grid)
    grid = grid[np.isfinite(curve)]
    curve = curve[np.isfinite(curve)]
    if not len(grid):
        return 0.0 if worth.mean() > 0 else inf
    under = np.flatnonzero(curve <= 0)
    if not len(under) or under[-1] == len(grid) - 1:
        return inf if len(under) else 0.0
    k = under[-1]
    step = (grid[k + 1] - grid[k]) * -curve[k]
    return float(np.exp(grid[k] + step / (curve[k + 1] - curve[k])))


def tested(found: Worth) -> Threshold:
    """The threshold with its interval, and what declining under it would have cost among later
    clients (D1). `found` must lack nothing.
    """
    clients = found.clients
    n = len(clients)
    spend = clients["monthly_ad_spend"].to_numpy(float)
    worth = clients["worth"].to_numpy(float)
    order = clients["start_date"].rank(method="first")
    early = (order <= n * (1 - LATER)).to_numpy()
    limit = break_even_spend(spend[early], worth[early])
    later = clients[~early]
    declined = later[later["monthly_ad_spend"] < limit]
    good = declined[declined["good"]]
    return Threshold(
        spend=_with_limits(clients),
        clients=n,
        early=limit,
        later=len(later),
        declined=len(declined),
        declined_worth=float(declined["worth"].sum()),
        good=len(good),
        good_worth=float(good["worth"].sum()),
    )


def _with_limits(clients: pd.DataFrame) -> tuple[float, float, float]:
    """The spend under which clients do not pay for themselves, with its 95 % interval: by resampled
    clients or by the rep at signing, the wider (`intervals.with_limits`).
    """
    n = len(clients)
    spend = clients["monthly_ad_spend"].to_numpy(float)
    worth = clients["worth"].to_numpy(float)
    rng = np.random.default_rng(SEED)
    everybody = np.arange(n)
    chosen = [everybody, *(rng.integers(0, n, n) for _ in range(DRAWS))]
    reps = _at_signing(clients)
    names = sorted({*reps} - {""})
    chosen += [np.flatnonzero(reps != name) for name in names]
    sizes = np.array([np.sum(reps == name) for name in names], dtype=float)
    drawn = [break_even_spend(spend[rows], worth[rows]) for rows in chosen]
    values = np.array(drawn)
    point, low, high = with_limits(values, sizes, "money")
    return point, low, high


def _at_signing(clients: pd.DataFrame) -> np.ndarray:
    """The rep in charge of each client when it signed, (n,), "" for nobody; none where reps are not
    on record, or too few to tell.
    """
    nobody = np.full(len(clients), "", dtype=object)
    if "reps" not in clients:
        return nobody
    first_month = pd.Series(1, clients.index)
    reps = rep_in(clients["reps"], first_month)
    counts = pd.Series(reps)[reps != ""].value_counts()
    return reps if tells(counts.to_numpy(float)) else nobody


def threshold(found: Worth) -> Estimates:
    """The figures of `tested` as estimates; none where something is lacking."""
    if found.why:
        return Estimates((), say("churn_risk.signing.caption_none"))
    limits = tested(found)
    name = say("churn_risk.threshold.spend")
    estimate = Estimate.of("D1", name, ALL, limits.spend, "money", (limits.clients, 0))
    rows = [estimate]
    for figure, value, unit in (
        ("early", limits.early, "money"),
        ("declined", limits.declined, "count"),
        ("declined_worth", limits.declined_worth, "money"),
        ("good", limits.good, "count"),
        ("good_worth", limits.good_worth, "money"),
    ):
        name = say(f"churn_risk.threshold.{figure}")
        rows.append(Estimate.of("D1", name, ALL, (value,), unit, (limits.later, 0)))
    caption = say("churn_risk.signing.caption", counted=found.counted)
    return Estimates(tuple(rows), caption)


def threshold_words(found: Worth, currency: str = "") -> Finding:
    """The threshold in a sentence or two."""
    if found.why:
        return Finding("D1", say("churn_risk.signing.unknown", why=found.why))
    limits = tested(found)
    spend, low, high = limits.spend
    if spend == 0:
        every_size = say("churn_risk.signing.every_size", counted=found.counted)
        return Finding("D1", every_size)
    if np.isinf(spend):
        no_size = say("churn_risk.signing.no_size", counted=found.counted)
        return Finding("D1", no_size)
    text = say(
        "churn_risk.signing.answer",
        spend=f"{quantity(spend, 'money')} {currency}".rstrip(),
        interval=between(low, high, "money"),
        counted=found.counted,
    )
    later = say("churn_risk.signing.tested", declined=limits.declined, good=limits.good)
    said = together(text, later)
    return Finding("D1", said)


def by_spend(found: Worth, groups: int = 8) -> pd.DataFrame:
    """Worth of the first year by planned spend, in groups of as many clients.

    Columns: `planned_spend_range, clients, mean_worth, pay_for_themselves` (a share).
    """
    if found.why:
        return pd.DataFrame()
    spend = found.clients["monthly_ad_spend"].astype(float)
    rank = spend.rank(method="first")
    number = pd.qcut(rank, groups, labels=False)
    table = (
        found.clients.assign(spend=spend)
        .groupby(number)
        .agg(
            low=("spend", "min"),
            high=("spend", "max"),
            clients=("worth", "size"),
            mean_worth=("worth", "mean"),
            pay_for_themselves=("good", "mean"),
        )
    )
    spans = [
        Shown(say("churn_risk.signing.spend_range", low=row.low, high=row.high), row.low)
        for row in table.itertuples()
    ]
    table.insert(0, "planned_spend_range", spans)
    shown = table.drop(columns=["low", "high"])
    return shown.reset_index(drop=True)


def nurture(
    found: Worth,
    leads: pd.DataFrame | None,
    cutoff: dt.date,
    extra: Mapping[str, Extra] | None = None,
    limits: Limits = LIMITS,
) -> pd.DataFrame:
    """Open leads with the probability that they pay for themselves in a year, and what to do.

    Columns: `lead, since, source, planned_spend, pays_probability, to_do` (an id). The probability
    comes from what was known at signing of past clients (ridge logistic regression). Leads under
    the whole lower limit of the threshold's interval are to nurture, above its upper limit to
    pursue, between them to look at; without a planned spend, to ask for it.
    """
    open_ = _open(leads, cutoff, limits["open_lead_days"])
    if found.why or open_.empty:
        return pd.DataFrame()
    spend = open_["monthly_ad_spend"].astype(float)
    table = pd.DataFrame(
        {
            "lead": open_["lead_id"],
            "since": open_["created_on"].dt.normalize(),
            "source": open_["source"],
            "planned_spend": spend,
            "pays_probability": _pays(found, open_, extra),
            "to_do": _to_do(spend, tested(found)),
        }
    )
    return table.sort_values(
        ["pays_probability", "lead"], ascending=[False, True], ignore_index=True
    )


def nurture_words(table: pd.DataFrame) -> pd.DataFrame:
    """The table of `nurture` with what to do in words; an empty one as it is."""
    if table.empty:
        return table
    words = [say(f"churn_risk.lead.{to_do}") for to_do in table["to_do"]]
    return table.assign(to_do=words)


def _open(leads: pd.DataFrame | None, cutoff: dt.date, days: float) -> pd.DataFrame:
    """The leads that were neither signed by the cut-off nor made more than so many days before."""
    if leads is None:
        return pd.DataFrame()
    absent = {"signed_on", "monthly_ad_spend", "source"} - set(leads)
    columns = [*leads, *absent]
    leads = leads.reindex(columns=columns)
    since = pd.Timestamp(cutoff) - leads["created_on"]
    age = since.dt.days
    signed_on = pd.to_datetime(leads["signed_on"])
    signed = signed_on <= pd.Timestamp(cutoff)
    still_open = ~signed & age.between(0, days)
    return leads[still_open].reset_index(drop=True)


def _pays(found: Worth, open_: pd.DataFrame, extra: Mapping[str, Extra] | None) -> np.ndarray:
    """The probability of each open lead to pay for itself, from what sets past clients apart."""
    past = _as_features(found.clients, extra)
    as_clients = open_.assign(client_id=open_["lead_id"], engagement=1)
    mine = _as_features(as_clients, extra)
    columns = [name for name in past if name in mine or name in ("client_id", "left")]
    shared = past[columns]
    stayed = len(past) - past["left"].sum()
    events = int(min(past["left"].sum(), stayed))
    names = room_for(shared, max(events, EVENTS_A_FEATURE))
    if not names:  # nothing known at signing sets clients apart
        mean = past["left"].mean()
        return np.full(len(mine), mean)
    fitted = ridge(0.1).fit(past[names], past["left"])
    chances = fitted.predict_proba(mine[names])
    return np.asarray(chances[:, 1])


def _to_do(spend: pd.Series, limits: Threshold) -> np.ndarray:
    """What to do with a lead of each planned spend, an id."""
    _, low, high = limits.spend
    unknown = spend.isna()
    conditions = [unknown, spend < low, spend >= high]
    choices = [ASK, NURTURE, PURSUE]
    return np.select(conditions, choices, LOOK_CLOSER)


def _as_features(rows: pd.DataFrame, extra: Mapping[str, Extra] | None) -> pd.DataFrame:
    """What was known at signing of a client, or is of a lead; with `left` (1: it paid for itself)
    where known.
    """
    texts = {name: "string" for name in rows if rows[name].dtype == object}
    signing = signing_features(rows.astype(texts), extra)
    frame = pd.DataFrame(signing)
    frame = frame.assign(
        log_size=np.log(rows["monthly_ad_spend"].astype(float).clip(lower=1)).to_numpy()
    )
    return frame.assign(left=rows["good"].astype(int).to_numpy()) if "good" in rows else frame
