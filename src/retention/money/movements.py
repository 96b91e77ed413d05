"""What moved the fees billed in a month since the same month of the year before (METHODS 5)."""

import datetime as dt
from dataclasses import dataclass

import numpy as np
import pandas as pd

from retention.history.snapshots import last_month
from retention.words import Said, say

YEAR = 12
SHOWN = 36  # months to either side of the cut-off
BEFORE, NOW = "before", "now"
STEPS = ("churned", "downgraded", "upgraded", "new")


@dataclass(frozen=True)
class Movements:
    """The fees of two months a year apart and what lies between, a row a step, in order.

    `steps`: `step` (an id), `name` (its words), `amount`, `start` and `end` (where its bar stands),
    `clients`. `left_out` counts clients served in both or one of the months whose fee is not on
    record there: what became of it nobody can say.
    """

    steps: pd.DataFrame
    left_out: int = 0


def movements(spells: pd.DataFrame, money: pd.DataFrame, cutoff: dt.date) -> Movements:
    """From the fees of a year ago to those of the last whole month on record by the cut-off; no
    steps where either month has none.

    A client is one, however often it came back. Churned: paid a year ago, no longer served now.
    New: pays now, was not served a year ago. `money` as from `monthly_money`.
    """
    columns = ["step", "name", "amount", "start", "end", "clients"]
    nothing = pd.DataFrame(columns=columns)
    month = newest_month(money, pd.Timestamp(cutoff))
    year = a_year_apart(spells, money, month)
    if year.fees[BEFORE].sum() == 0 or year.fees[NOW].sum() == 0:
        return Movements(nothing)
    return Movements(_steps(year.fees, month), year.left_out)


@dataclass(frozen=True)
class Year:
    """The fees of two months a year apart: `before` and `now` by client (NaN: none), and how many
    clients are left out because a fee is not on record.
    """

    fees: pd.DataFrame
    left_out: int


def newest_month(money: pd.DataFrame, day: pd.Timestamp) -> int:
    """The last whole month by a day of which fees are on record: they are written down late."""
    last = last_month(day)
    return last if money.empty else min(last, int(money["month"].max()))


def a_year_apart(spells: pd.DataFrame, money: pd.DataFrame, month: int) -> Year:
    """The fees of a month, and of the same month a year before; a client is one, however often it
    came back.
    """
    if money.empty:
        return Year(pd.DataFrame(columns=[BEFORE, NOW], dtype=float), 0)
    year_ago = month - YEAR
    before = _fees(money, year_ago)
    now = _fees(money, month)
    fees = pd.DataFrame({BEFORE: before, NOW: now})
    unpaid = _served_without(spells, fees[BEFORE], year_ago)
    unpaid |= _served_without(spells, fees[NOW], month)
    unknown = unpaid & set(fees.index)
    known = fees.drop(index=list(unknown))
    return Year(known, len(unpaid))


def _fees(money: pd.DataFrame, month: int) -> pd.Series:
    of_month = money[money["month"] == month]
    by_client = of_month.groupby("client_id")["fee"]
    return by_client.sum(min_count=1)


def _served_without(spells: pd.DataFrame, fees: pd.Series, month: int) -> set[str]:
    """Clients served in the whole of a month whose fee of that month is not on record."""
    begin = first_day(month)
    after = first_day(month + 1)
    gone = spells["end_date"] < after
    served = (spells["start_date"] <= begin) & ~gone
    paid = fees.dropna().index
    return set(spells.loc[served, "client_id"]) - set(paid)


def first_day(month: int) -> pd.Timestamp:
    """The first day of a month (counted from the year 0)."""
    return pd.Timestamp(month // 12, month % 12 + 1, 1)


def _steps(fees: pd.DataFrame, now: int) -> pd.DataFrame:
    """A row a step; each begins where the one before it ends."""
    before = fees[BEFORE].fillna(0)
    change = fees[NOW].fillna(0) - before
    both = fees.notna().all(axis=1)
    chosen = {
        "churned": fees[NOW].isna(),
        "downgraded": both & (change < 0),
        "upgraded": both & (change > 0),
        "new": fees[BEFORE].isna(),
    }
    first = _step(BEFORE, now - YEAR, fees[BEFORE].dropna())
    between = [_step(step, now, change[chosen[step]]) for step in STEPS]
    last = _step(NOW, now, fees[NOW].dropna())
    frame = pd.DataFrame([first, *between, last])
    end = frame["amount"].cumsum()
    total = frame["step"].isin([BEFORE, NOW])
    end = end.where(~total, frame["amount"])
    start = end - frame["amount"]
    start = start.where(~total, 0.0)
    return frame.assign(start=start, end=end)


def _step(step: str, month: int, amounts: pd.Series) -> dict[str, object]:
    """A row of the steps, from an amount a client."""
    day = first_day(month)
    name = say(f"economics.movements.{step}", month=day.strftime("%b %Y"))
    return {"step": step, "name": name, "amount": float(amounts.sum()), "clients": len(amounts)}


def billed_and_ahead(
    money: pd.DataFrame, ahead: pd.DataFrame, cutoff: dt.date, months: int = SHOWN
) -> pd.DataFrame:
    """Fees of all clients by month, and those to come: `part` (billed or ahead), `month` (its first
    day), `fees, low, high`; `months` to either side, no further than is known.

    `ahead` as from `plateau.outlook_rows`. The month that the cut-off cuts is left out.
    """
    last = last_month(pd.Timestamp(cutoff))
    so_far = money[money["month"] <= last]
    by_month = so_far.groupby("month")["fee"].sum()
    fees = by_month.tail(months)
    past = {"part": "billed", "number": fees.index, "fees": fees.to_numpy()}
    billed = pd.DataFrame(past)
    if ahead.empty:
        return _dated(billed.assign(low=np.nan, high=np.nan))
    of_all = ahead["group"] == ahead["group"].iloc[0]
    every = ahead[of_all & (ahead["month"] <= months)]
    limits = every[["low", "high"]]
    number = last + every["month"]
    coming = limits.assign(part="ahead", fees=every["mean"], number=number)
    return _dated(pd.concat([billed, coming]) if len(billed) else coming)


def _dated(frame: pd.DataFrame) -> pd.DataFrame:
    """The months of the frame as their first days."""
    days = [first_day(int(number)) for number in frame["number"]]
    frame = frame.assign(month=pd.to_datetime(days))
    columns = ["part", "month", "fees", "low", "high"]
    return frame.reindex(columns=columns).reset_index(drop=True)


def billed_words(frame: pd.DataFrame) -> Said:
    """The chart in words."""
    billed = frame[frame["part"] == "billed"]
    if billed.empty:
        return say("economics.billed.nothing")
    last = billed.iloc[-1]
    coming = frame[frame["part"] == "ahead"]
    then = say("economics.billed.unknown")
    if len(coming):
        end = coming.iloc[-1]
        then = say("economics.billed.ahead", fees=end["fees"], low=end["low"], high=end["high"])
    month = last["month"].strftime("%b %Y")
    return say("economics.billed.alt", n=len(billed), month=month, fees=last["fees"], then=then)


def movement_words(moved: Movements) -> Said:
    """The chart in words."""
    if moved.steps.empty:
        return say("economics.movements.nothing")
    points = [
        say("economics.movements.point", name=row.name, amount=row.amount)
        for row in moved.steps[["name", "amount"]].itertuples(index=False)
    ]
    return say("economics.movements.alt", points="; ".join(points))


def movement_caption(moved: Movements) -> Said:
    """What is drawn, and how many clients could not be counted."""
    if not moved.left_out:
        return say("economics.movements.caption")
    return say("economics.movements.caption_without", n=moved.left_out)
