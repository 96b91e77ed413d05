"""What charts find, in at most fifteen words, from the numbers drawn; empty where nothing is.

Each function takes the frame of the chart of the same name.
"""

import numpy as np
import pandas as pd

from retention.show.numbers import short_money, signed, signed_share
from retention.words import Said, say

NOTHING = Said("")
MONTH = 12  # of service, at which curves are compared
LATELY = 4  # quarters


def survival(curves: pd.DataFrame, month: int = MONTH) -> Said:
    """The groups of which most and fewest are left after `month` months."""
    followed = curves["followed"] >= month
    until = curves["month"] <= month
    known = curves[followed & until]
    by_group = known.groupby("group", sort=False)["survival"]
    at = by_group.last().astype(float)
    if at.empty:
        return NOTHING
    if len(at) == 1:
        return say("shown.title.survival_one", month=month, share=at.iloc[0])
    most = at.idxmax()
    least = at.idxmin()
    high = at[most]
    low = at[least]
    return say("shown.title.survival", most=most, high=high, least=least, low=low)


def remaining(shares: pd.DataFrame) -> Said:
    """Clients left after a year: `monthly` against `fixed` (index) by their `share`."""
    if len(shares) < 2:
        return NOTHING
    share = shares["share"]
    monthly = share["monthly"]
    fixed = share["fixed"]
    return say("shown.title.remaining", monthly=monthly, fixed=fixed)


def hazard(frame: pd.DataFrame) -> Said:
    """The month of service in which most leave."""
    if frame.empty:
        return NOTHING
    highest = frame["hazard"].idxmax()
    top = frame.loc[highest]
    share = top["hazard"]
    return say("shown.title.hazard", group=top["group"], month=top["month"], share=share)


def effects(rows: pd.DataFrame, scale: str = "ratio") -> Said:
    """How many of the ways leave no difference open."""
    rows = rows.dropna(subset="low")
    if rows.empty:
        return NOTHING
    none = 1.0 if scale == "ratio" else 0.0
    under = rows["low"] <= none
    over = rows["high"] >= none
    both_ways = under & over
    wide = int(both_ways.sum())
    if not wide:
        return say("shown.title.effects_all", of=len(rows))
    return say("shown.title.effects", n=wide, of=len(rows))


def before(frame: pd.DataFrame) -> Said:
    """The measure that falls most in the months before clients leave."""
    in_order = frame.sort_values("months_before")
    by_measure = in_order.groupby("measure", sort=False)["mean"]
    falls = by_measure.first() - by_measure.last()
    if falls.empty:
        return NOTHING
    most = falls.idxmax()
    fall = falls[most]
    if fall <= 0:
        return say("shown.title.before_none")
    first = frame["months_before"].min()
    return say("shown.title.before", measure=most, fall=fall, months=-int(first))


def stacked(frame: pd.DataFrame, month: int = MONTH) -> Said:
    """Who is gone after `month` months, and of those the largest group."""
    rows = frame[frame["month"] == month]
    at = rows.groupby("group", sort=False)["share"].last()
    if at.empty:
        return NOTHING
    most = at.idxmax()
    gone = at.sum()
    return say("shown.title.stacked", gone=gone, month=month, most=most, share=at[most])


def funnel(frame: pd.DataFrame, limits: pd.DataFrame) -> Said:
    """Who loses most beyond the 99.8 % limits; where nobody does, how many were judged."""
    if frame.empty:
        return NOTHING
    few = frame["few"].astype(bool)
    judged = frame[~few]
    if judged.empty:
        return NOTHING
    high = np.interp(judged["expected"], limits["expected"], limits["high_998"])
    ratios = judged["ratio"]
    beyond = ratios[ratios.to_numpy() > high]
    if beyond.empty:
        return say("shown.title.funnel_none", of=len(judged))
    who = beyond.idxmax()
    return say("shown.title.funnel", who=who, ratio=beyond.max())


def scores(frame: pd.DataFrame) -> Said:
    """The last month's score, beside that of a year before."""
    if frame.empty:
        return NOTHING
    by_month = frame.set_index("wave")["nps"]
    last = by_month.index[-1]
    nps = signed(by_month[last])
    month = last.strftime("%B %Y")
    year_ago = last - MONTH
    if year_ago not in by_month.index:
        return say("shown.title.scores_one", nps=nps, month=month)
    before = signed(by_month[year_ago])
    return say("shown.title.scores", nps=nps, month=month, before=before)


def reliability(frame: pd.DataFrame) -> Said:
    """What was predicted of the clients most at risk, and what came."""
    if frame.empty:
        return NOTHING
    highest = frame["predicted"].idxmax()
    top = frame.loc[highest]
    observed = top["observed"]
    return say("shown.title.reliability", predicted=top["predicted"], observed=observed)


def expected(frame: pd.DataFrame) -> Said:
    """How many chose to leave, of how many expected."""
    if frame.empty:
        return NOTHING
    left = frame["observed"].sum()
    due = frame["expected"].sum()
    return say("shown.title.expected", left=left, months=len(frame), expected=due)


def flow(frame: pd.DataFrame) -> Said:
    """How many started and ended in the last year."""
    if frame.empty:
        return NOTHING
    last = frame.tail(LATELY)
    started = last["started"].sum()
    ended = last["ended"].sum()
    return say("shown.title.flow", started=started, ended=ended, quarters=len(last))


def outlook(frame: pd.DataFrame, unit: str = "") -> Said:
    """The level that money a month tends to."""
    if frame.empty:
        return NOTHING
    first = frame["month"].idxmin()
    now = frame.loc[first]
    mean = short_money(now["mean"], unit)
    level = short_money(now["level"], unit)
    return say("shown.title.outlook", mean=mean, level=level)


def waterfall(steps: pd.DataFrame, unit: str = "") -> Said:
    """What churn took, and whether new clients replaced it."""
    if steps.empty:
        return NOTHING
    amount = steps.set_index("step")["amount"]
    lost = short_money(-amount["churned"], unit)
    before = short_money(amount["before"], unit)
    new = short_money(amount["new"], unit)
    if not amount["churned"]:
        return say("shown.title.waterfall_none", new=new)
    if amount["new"] >= -amount["churned"]:
        return say("shown.title.waterfall_replaced", lost=lost, before=before)
    return say("shown.title.waterfall", lost=lost, before=before, new=new)


def risk_margin(frame: pd.DataFrame, share: float) -> Said:
    """How much of the margin at risk (`share`) the named clients hold."""
    if frame.empty:
        return NOTHING
    named = int(frame["named"].sum())
    if not named:
        return NOTHING
    return say("shown.title.risk_margin", n=named, of=len(frame), share=share)


def last_days(frame: pd.DataFrame) -> Said:
    """How many of those at risk could give notice in the months ahead."""
    if frame.empty:
        return NOTHING
    risky = int(frame["at_risk"].sum())
    if not risky:
        return say("shown.title.last_days_none", months=len(frame))
    return say("shown.title.last_days", risky=risky, months=len(frame))


def grid(frame: pd.DataFrame) -> Said:
    """What liking goes with where results are poor."""
    of_poor = frame[frame["results"] == "low"]
    poor = of_poor.set_index("liking")["beyond"]
    if not {"low", "high"} <= set(poor.index):
        return NOTHING
    low = signed_share(poor["low"])
    high = signed_share(poor["high"])
    return say("shown.title.grid", low=low, high=high)


def rates(frame: pd.DataFrame) -> Said:
    """How many leave in a month in the first and in the last group."""
    if len(frame) < 2:
        return NOTHING
    first = frame.iloc[0]
    last = frame.iloc[-1]
    most = {"first": first["name"], "share": first["estimate"]}
    other = {"last": last["name"], "other": last["estimate"]}
    return say("shown.title.rates", **most, **other)


def promised(frame: pd.DataFrame) -> Said:
    """Who promises most above what is delivered; where that may be chance, that nobody does."""
    if frame.empty:
        return NOTHING
    top = frame.iloc[0]
    if not top["low"] > 0:
        return say("shown.title.promised_none", of=len(frame))
    return say("shown.title.promised", who=top["name"], more=top["estimate"])


def people(frame: pd.DataFrame) -> Said:
    """Who loses most: beyond chance (99.8 %), perhaps (95 %), or that nobody stands out."""
    if frame.empty:
        return NOTHING
    top = frame.iloc[0]
    about = {"who": top["name"], "ratio": top["estimate"]}
    if top["sense"] == "bad":
        return say("shown.title.funnel", **about)
    if top["low"] > 1:
        return say("shown.title.people_perhaps", **about)
    return say("shown.title.funnel_none", of=len(frame))


def gains(frame: pd.DataFrame, unit: str = "") -> Said:
    """The change that gains most."""
    if frame.empty:
        return NOTHING
    top = frame.iloc[0]
    money = short_money(top["estimate"], unit, plus=True)
    return say("shown.title.gains", change=top["name"], money=money)


def worth(frame: pd.DataFrame, unit: str = "") -> Said:
    """The segments worth most and least; the first row, all clients, is none."""
    segments = frame.iloc[1:].dropna(subset="estimate")
    if len(segments) < 2:
        return NOTHING
    by_worth = segments["estimate"]
    most = segments.loc[by_worth.idxmax()]
    least = segments.loc[by_worth.idxmin()]
    high = short_money(most["estimate"], unit)
    low = short_money(least["estimate"], unit)
    names = {"most": most["name"], "least": least["name"]}
    return say("shown.title.worth", **names, high=high, low=low)


def billed(frame: pd.DataFrame, unit: str = "") -> Said:
    """The fees of the last month, and of a year to come."""
    past = frame[frame["part"] == "billed"]
    coming = frame[frame["part"] == "ahead"]
    if past.empty:
        return NOTHING
    last = past.iloc[-1]
    month = last["month"].strftime("%b %Y")
    now = short_money(last["fees"], unit)
    if len(coming) < MONTH:
        return say("shown.title.billed", month=month, now=now)
    in_a_year = coming["fees"].iloc[MONTH - 1]
    then = short_money(in_a_year, unit)
    return say("shown.title.billed_ahead", month=month, now=now, then=then)


def answers(frame: pd.DataFrame) -> Said:
    """What clients answered in the last quarter."""
    if frame.empty:
        return NOTHING
    last = frame.iloc[-1]
    answered = last["answered"]
    shares = {name: last[name] / answered for name in ("promoters", "detractors")}
    return say("shown.title.answers", quarter=last["quarter"], **shares)


def margins(frame: pd.DataFrame, unit: str = "") -> Said:
    """How many clients cost more than they pay, and how much that is."""
    if frame.empty:
        return NOTHING
    margin = frame["margin"]
    losing = margin[margin < 0]
    if losing.empty:
        return say("shown.title.margins_none", of=len(frame))
    lost = short_money(-losing.sum(), unit)
    return say("shown.title.margins", below=len(losing), of=len(frame), lost=lost)


def tiers(frame: pd.DataFrame) -> Said:
    """How many moved up, down, and out."""
    if frame.empty:
        return NOTHING
    by_kind = frame.groupby("kind")["clients"].sum()
    kinds = {kind: int(by_kind.get(kind, 0)) for kind in ("up", "down", "left")}
    clients = int(frame["clients"].sum())
    return say("shown.title.tiers", of=clients, **kinds)


def cohorts(frame: pd.DataFrame, month: int = MONTH) -> Said:
    """What remained of the last cohort that is old enough, beside the first."""
    known = frame[frame["month"] == month]
    if known.empty:
        return NOTHING
    first = known.iloc[0]
    last = known.iloc[-1]
    newest = {"share": last["value"], "cohort": last["row"]}
    if len(known) == 1:
        return say("shown.title.cohorts_one", **newest)
    return say("shown.title.cohorts", **newest, other=first["value"], first=first["row"])
