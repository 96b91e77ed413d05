"""Days and months as whole numbers, in expressions that every engine of the features can
compute.
"""

from __future__ import annotations

import narwhals as nw

Expr = nw.Expr


def month_number(day: Expr) -> Expr:
    """Months since the year 0, the engine's own dates turned into whole numbers."""
    years = day.dt.year() * 12
    return years + day.dt.month() - 1


def day_number(day: Expr) -> Expr:
    """Days since the year 0 (civil calendar), by whole-number sums, which every engine can do."""
    year = day.dt.year()
    month = day.dt.month()
    return _civil(year, month, day.dt.day())


def last_day_number(month: Expr) -> Expr:
    """The `day_number` of the last day of a month that is counted as by `month_number`."""
    after = month + 1
    first_day = nw.lit(1)
    month_after = after % 12 + 1
    return _civil(after // 12, month_after, first_day) - 1


def _civil(year: Expr, month: Expr, day: Expr) -> Expr:
    # The year is taken to begin in March, so that a leap day is the last one of its year.
    early = (month <= 2).cast(nw.Int64)
    year = year - early
    month = month + early * 12
    common = year * 365 + year // 4
    leap_days = common - year // 100 + year // 400
    before_month = 153 * (month - 3) + 2
    return leap_days + before_month // 5 + day
