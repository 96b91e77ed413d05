"""How each active client stands, said alike on every page and list: what it leaves a month, and by
when to act before its term turns.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from retention.data.schema import columns_of
from retention.history.spells import DAY, add_months, whole_months
from retention.history.status import active_on
from retention.portfolio import margins
from retention.settings import Limits

Tables = Mapping[str, pd.DataFrame]
TERMS = ("client_id", "term_start", "term_months", "notice_days", "auto_renew")


def active_rows(spells: pd.DataFrame, cutoff: pd.Timestamp) -> pd.DataFrame:
    """The engagements active as the day ends, one a client; `noticed`: an end is on record."""
    active = spells[active_on(spells, cutoff)]
    rows = active.drop_duplicates("client_id", keep="last")
    noticed = rows["end_date"].notna()
    return rows.assign(noticed=noticed).reset_index(drop=True)


def margin_now(
    money: pd.DataFrame, rows: pd.DataFrame, cutoff: pd.Timestamp, limits: Limits
) -> pd.Series:
    """What each of these clients leaves a month, index `client_id`: `margins.newest`; NaN of a new
    client, or where its hours are not known.
    """
    at = margins.months_of(money, rows)
    until = pd.Series(cutoff, rows.index)
    means = margins.newest(at, rows, until, cutoff, limits)
    margin = means["margin"].astype(float)
    return margin.set_axis(rows["client_id"])


def terms_end(
    rows: pd.DataFrame, known: Tables, cutoff: pd.Timestamp, notice_days: int, limits: Limits
) -> pd.DataFrame:
    """When each client can next be parted from well, or leave (D5): `ends_on`, the last paid day of
    a term, and `notice_by`, the last day to act; index `client_id`.

    The term is the newest on record, else the one at signing; one that does not renew runs on month
    by month. Notice is the contract's, and never less than a month; its last day lies after the
    cut-off, and where the client goes on month by month a fortnight after it or more.
    """
    own = rows.set_index("client_id")
    latest = _latest_terms(own, known)
    months = latest["term_months"].fillna(own["contract_term_months"])
    term = months.astype(int)
    start = latest["term_start"].fillna(own["start_date"])
    named = latest["notice_days"].astype(float)
    days = named.fillna(notice_days)
    at_least = days.clip(lower=limits["least_notice_days"])
    notice = pd.to_timedelta(at_least, unit="D")
    days_to_act = np.where(term == 1, limits["least_days_to_act"], 0)
    room = pd.to_timedelta(days_to_act, unit="D")
    until = cutoff + DAY + notice + room
    gone = whole_months(start, until).clip(lower=0)
    lapses = latest["auto_renew"].eq(False).fillna(False)
    rolls = lapses.astype(bool) & (gone >= term)
    turns = np.where(rolls, gone + 1, (gone // term + 1) * term)
    ahead = pd.Series(turns, own.index)
    ends = add_months(start, ahead) - DAY
    notice_by = ends - notice
    return pd.DataFrame({"ends_on": ends, "notice_by": notice_by})


def _latest_terms(own: pd.DataFrame, known: Tables) -> pd.DataFrame:
    """The newest term of each of these engagements (index `client_id`) on record; blank where there
    is none.
    """
    terms = columns_of(known, "contracts", *TERMS)
    in_order = terms.sort_values("term_start", kind="stable")
    newest = in_order.drop_duplicates("client_id", keep="last")
    by_client = newest.set_index("client_id")
    latest = by_client.reindex(own.index)
    begun = own["start_date"] - 31 * DAY
    return latest.where(latest["term_start"] > begun)
