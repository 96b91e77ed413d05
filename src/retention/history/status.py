"""Who is active, under notice, gone and lost: the one definition that every page, list and sentence
counts by.

An engagement is *gone* when its last paid day is on or before the cut-off, and *active* until then.
An active one is *under notice* when its end is on record, and *staying* otherwise. It is *lost*
when it is gone by the client's choice or nobody recorded whose choice it was. Curves and rates
leave out ends in a month that the cut-off cuts (METHODS 0); counts of what happened never do.
"""

import pandas as pd

from retention.history.spells import CLIENT, DAY, UNKNOWN


def active(spells: pd.DataFrame) -> pd.Series:
    """Whether each engagement is still served on the cut-off."""
    return ~spells["gone"]


def under_notice(spells: pd.DataFrame) -> pd.Series:
    """Whether each engagement is still served, and its end or a decision to end it is on record."""
    return active(spells) & ~staying(spells)


def staying(spells: pd.DataFrame) -> pd.Series:
    """Whether each engagement is still served and no end is on record."""
    no_end = spells["end_date"].isna()
    return no_end & spells["decision_date"].isna()


def lost(spells: pd.DataFrame) -> pd.Series:
    """Whether each engagement is gone by the client's choice, or by nobody knows whose."""
    by_choice = spells["end_kind"].isin([CLIENT, UNKNOWN])
    return spells["gone"] & by_choice


def on_record_since(spells: pd.DataFrame) -> pd.Series:
    """From which day on the end of each engagement would be on record, to the month."""
    days_before = spells["entry_months"] * 365.25 / 12
    return spells["start_date"] + pd.to_timedelta(days_before, unit="D")


def active_on(spells: pd.DataFrame, day: pd.Timestamp) -> pd.Series:
    """Whether each engagement was served on this day, up to the cut-off."""
    gone = ~(spells["end_date"] <= day)
    return (spells["start_date"] <= day) & gone


def there_on(spells: pd.DataFrame, day: pd.Timestamp) -> pd.Series:
    """Whether each was active on this day, and its end would have been recorded had it ended
    then.
    """
    recorded = on_record_since(spells) <= day + 31 * DAY
    return active_on(spells, day) & recorded


def year_before(cutoff: pd.Timestamp) -> pd.Timestamp:
    """The day on which the year to the cut-off begins: who was there then is kept or lost by the
    cut-off.
    """
    return cutoff - pd.DateOffset(years=1)
