"""What stands in front of the economics page: where fees level off, and the figures for the
index.
"""

import datetime as dt
import math

import pandas as pd

from retention.answers import Answer, Tile, Tiles
from retention.history.snapshots import last_month
from retention.money.levers import Levers, best
from retention.money.plateau import Outlook
from retention.numbers import between, quantity
from retention.results import Estimates
from retention.words import Said, key_of, say

MONTHS = 24  # (ours) months of a tile's course
YEAR = 12


def billed(money: pd.DataFrame, cutoff: dt.date) -> pd.Series:
    """Fees billed in all, by month (months since the year 0), to the last whole month; empty
    without fees by month. `money` as from `history.money.monthly_money`.
    """
    if money.empty:
        return pd.Series(dtype=float)
    last = last_month(pd.Timestamp(cutoff))
    by_month = money[money["month"] <= last].groupby("month")["fee"].sum()
    return by_month.astype(float)


def answer(
    fees: pd.Series, ahead: Outlook | None, moved: Levers | None, currency: str = ""
) -> Answer:
    """Where fees level off, beside what was billed last; `fees` as from `billed`."""
    if ahead is None:
        return Answer("B3", say("economics.front.lacking"), say("economics.front.needs"))
    level, low, high = ahead.limits(ahead.level, "money")
    now = float(fees.iloc[-1]) if len(fees) else float(ahead.path[0, 1])
    figures = {"now": now, "soon": float(ahead.path[0, 1]), "level": level}
    title = say("economics.front.title", **{k: _money(v, currency) for k, v in figures.items()})
    year = _money(float(ahead.path[0, YEAR]), currency)
    evidence = say("economics.front.evidence", interval=between(low, high, "money"), year=year)
    return Answer("B3", title, evidence, _best(moved, currency))


def _best(moved: Levers | None, currency: str) -> str:
    """The change that moves most, in a sentence; nothing where none is known to bring more."""
    lever = best(moved)
    if moved is None or lever is None:
        return ""
    value, low, high = moved.limits(lever.gain)
    money = _money(value, currency)
    interval = between(low, high, "money")
    return say(
        "economics.front.do",
        change=lever.name,
        money=money,
        interval=interval,
        months=moved.horizon,
        assumes=lever.assumes,
    )


def tiles(fees: pd.Series, kept: Estimates, currency: str = "") -> Tiles:
    """Fees billed a month with their course, and what is retained of clients and of their fees;
    `kept` as from `plateau.retained`.
    """
    course = tuple(fees.iloc[-1 - MONTHS :])
    now = course[-1] if course else math.nan
    before = course[-1 - YEAR] if len(course) > YEAR else math.nan
    return Tiles(
        (
            Tile("fees", now, "money", _about_fees(currency), before=before, series=course),
            _share("net_retention", say("economics.retained.net"), kept),
            _share("retained", say("economics.retained.clients"), kept),
        )
    )


def _about_fees(currency: str) -> Said:
    return say("tiles.about.month_in", currency=currency) if currency else Said("", "")


def _share(name: str, quantity_: Said, kept: Estimates) -> Tile:
    """A share of the last year with its interval, and that of the year before."""
    years = [say(f"economics.retained.{year}") for year in ("lately", "before")]
    rows = {row.key[2]: row for row in kept.rows if row.key[1] == key_of(quantity_)}
    now, before = (rows.get(key_of(year)) for year in years)
    about = ""
    if now is None:
        return Tile(name, math.nan, "share", about)
    earlier = before.estimate if before else math.nan
    return Tile(name, now.estimate, "share", about, now.low, now.high, earlier)


def _money(value: float, currency: str) -> str:
    return f"{quantity(value, 'money')} {currency}".strip()
