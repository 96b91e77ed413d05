"""Engagements followed from signing to their end or the cut-off, and the contract terms inside
them.

A spell is one client's continuous service. Tenure is counted in calendar months; a client is at
risk in a month of service only if that whole month lies between the day records begin and the
cut-off, whatever happened in it, so that nobody enters or leaves the count because of the outcome
(METHODS 0).
"""

import datetime as dt
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from retention.settings import NOTICE_DAYS, PAUSE_DAYS

DAY = pd.Timedelta(days=1)
CLIENT = "client"
AGENCY = "agency"
NEUTRAL = "neutral"
UNKNOWN = "unknown"
KINDS: Mapping[str, int] = {CLIENT: 1, AGENCY: 2, NEUTRAL: 3}
TERM = ["client_id", "term_start", "term_months"]
ENDING = ["end_date", "decision_date", "recorded_date", "end_initiator", "end_reason"]


def whole_months(start: pd.Series, day: Any) -> pd.Series:
    """Calendar months completed from each `start` until `day`; a start on the 31st completes at a
    month's last day.

    >>> int(whole_months(pd.Series(pd.to_datetime(["2024-01-15"])), pd.Timestamp("2024-03-14"))[0])
    1
    """
    day = pd.Series(day, start.index) if not isinstance(day, pd.Series) else day
    months = (day.dt.year - start.dt.year) * 12 + day.dt.month - start.dt.month
    return months - (day.dt.day < np.minimum(start.dt.day, day.dt.days_in_month))


def started_months(start: pd.Series, day: Any) -> pd.Series:
    """Calendar months begun from each `start` until `day`: `whole_months`, and one more for a part
    of a month.
    """
    day = pd.Series(day, start.index) if not isinstance(day, pd.Series) else day
    months = (day.dt.year - start.dt.year) * 12 + day.dt.month - start.dt.month
    return months + (day.dt.day > start.dt.day)


def month_of_end(start: pd.Series, end: pd.Series, grace_days: int = 0) -> pd.Series:
    """The month of service that the last paid day `end` falls in, counted from 1.

    An end up to `grace_days` after a month was complete belongs to that month. Who started on the
    29th to 31st and is paid to the last day of a month has completed it, however short the month.
    """
    after = end + DAY - pd.Timedelta(days=grace_days)
    months = started_months(start, after)
    to_month_end = (start.dt.day >= 29) & ((end + DAY).dt.day == 1) & (grace_days == 0)
    return (months - to_month_end).mask(months.notna() & (months < 1), 1)


def add_months(start: pd.Series, months: pd.Series) -> pd.Series:
    """The dates that lie `months` calendar months after `start`, clipped to the month's last
    day.
    """
    month = start.dt.to_period("M") + months.astype(int)
    first = month.dt.to_timestamp()
    return first + pd.to_timedelta(np.minimum(start.dt.day, first.dt.days_in_month) - 1, unit="D")


def build_spells(
    clients: pd.DataFrame,
    *,
    cutoff: dt.date,
    records_begin: dt.date | None = None,
    notice_days: int = NOTICE_DAYS,
    pause_days: int = PAUSE_DAYS,
    end_grace_days: int = 0,
) -> pd.DataFrame:
    """One row a spell: the client's columns, the three dates of its end, its kind and its months
    under observation.

    Added columns: `engagement` (1, 2, ... a client), `end_kind` (client, agency, neutral, unknown;
    missing while the client stays), `entry_months` and `stop_months` (at risk when entry < t <=
    stop), `observed_months` (complete by the cut-off, stayed or not), `gone` (the end is on or
    before the cut-off), `ended` (an end is counted in month `stop_months`), `cut_short` (gone in a
    month that the cut-off or the start of the records cuts: left out of curves and rates, not of
    counts), `decision_assumed` (end minus notice), `rows_merged` (further rows that belong to it),
    `later_terms` (terms that later rows changed to). What was recorded after the cut-off is not
    used; spells that ended before `records_begin` are dropped, as those of clients lost earlier
    are. `records_begin=None` means that all history is there; a column `known_from` gives single
    clients a later day. Text may be of any dtype. Source: METHODS 0.
    """
    last = pd.Timestamp(cutoff)
    after = pd.Timestamp(cutoff) + DAY
    rows = _merge_pauses(_as_known(clients, last), last, pause_days)
    begin = pd.Timestamp(records_begin) if records_begin else rows["start_date"].min()
    since = _known_from(rows, begin)
    seen = ~(rows["end_date"] < since)
    rows = rows[seen].reset_index(drop=True)
    since = since[seen].reset_index(drop=True)
    rows["decision_assumed"] = rows["end_date"].notna() & rows["decision_date"].isna()
    noticed = (rows["end_date"] - pd.Timedelta(days=notice_days)).clip(lower=rows["start_date"])
    rows["decision_date"] = rows["decision_date"].fillna(noticed).clip(upper=rows["end_date"])
    rows["end_kind"] = rows["end_initiator"].fillna(UNKNOWN).where(rows["end_date"].notna())
    observed = whole_months(rows["start_date"], after)
    last_month = month_of_end(rows["start_date"], rows["end_date"], end_grace_days)
    rows["gone"] = rows["end_date"] <= last
    counted = rows["gone"] & (last_month <= observed)
    rows["entry_months"] = started_months(rows["start_date"], since).clip(lower=0).astype(int)
    rows["observed_months"] = observed.astype(int)
    rows["stop_months"] = np.where(counted, last_month, observed).astype(int)
    rows["ended"] = counted & (last_month > rows["entry_months"])
    rows["cut_short"] = rows["gone"] & ~rows["ended"]
    rows["engagement"] = rows.groupby("client_id").cumcount() + 1
    return rows


def _as_known(clients: pd.DataFrame, last: pd.Timestamp) -> pd.DataFrame:
    """The client rows in order of client and start, without what was recorded of their ends after
    the last day.
    """
    rows = clients.reindex(columns=list(dict.fromkeys([*clients.columns, *ENDING])))
    for column in ("start_date", "end_date", "decision_date", "recorded_date"):
        rows[column] = pd.to_datetime(rows[column])
    rows = plain_text(rows).sort_values(["client_id", "start_date"], kind="stable")
    rows[ENDING] = rows[ENDING].mask(rows["recorded_date"] > last)
    return rows.reset_index(drop=True)


def plain_text(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with text of whatever dtype as Python strings, NaN where there is none.

    A comparison of pandas' nullable text gives NA where a value is missing or shifted in, and NA is
    neither true nor false: masks made of it would depend on the dtype a file happened to be read
    with.
    """
    texts = [name for name, dtype in rows.dtypes.items() if _is_text(dtype)]
    return rows.assign(
        **{name: rows[name].astype(object).where(rows[name].notna(), np.nan) for name in texts}
    )


def _is_text(dtype: Any) -> bool:
    return isinstance(dtype, pd.StringDtype | pd.CategoricalDtype) or pd.api.types.is_object_dtype(
        dtype
    )


def _known_from(rows: pd.DataFrame, begin: pd.Timestamp) -> pd.Series:
    """From which day on the end of each row would be on record."""
    own = (
        pd.to_datetime(rows["known_from"])
        if "known_from" in rows
        else pd.Series(pd.NaT, rows.index)
    )
    return own.astype("datetime64[ns]").fillna(begin).clip(lower=begin)


def _merge_pauses(rows: pd.DataFrame, last: pd.Timestamp, pause_days: int) -> pd.DataFrame:
    """Engagements that began by the last day: rows of a client at most `pause_days` apart are one.

    An engagement has its first row's signing values and its last row's end. Rows that start after
    the last day take part: a client whose next row follows within the pause has not left.
    """
    same = rows["client_id"] == rows["client_id"].shift()
    pause = rows["start_date"] - rows["end_date"].shift() - DAY
    # An earlier row without an end that a later start has overtaken (its end was recorded late) is
    # no second client.
    follows = same & ((pause <= pd.Timedelta(days=pause_days)) | pause.isna())
    spell = (~follows).cumsum()
    first = ~spell.duplicated()
    final = ~spell.duplicated(keep="last")
    merged = rows[first].reset_index(drop=True)
    merged[ENDING] = rows.loc[final, ENDING].to_numpy()
    for column in ("end_date", "decision_date", "recorded_date"):
        merged[column] = pd.to_datetime(merged[column])
    merged["rows_merged"] = (
        spell[rows["start_date"] <= last].value_counts().reindex(spell[first]) - 1
    ).to_numpy()
    merged["later_terms"] = _later_terms(rows, spell, last)
    return merged[merged["start_date"] <= last].astype({"rows_merged": int}).reset_index(drop=True)


def _later_terms(rows: pd.DataFrame, spell: pd.Series, last: pd.Timestamp) -> list[str]:
    """For each engagement the terms that its later rows changed to: "2024-05-01 12,
    2025-05-01 6".
    """
    term = rows["contract_term_months"].astype(float)
    changed = spell.duplicated() & (term != term.shift()) & (rows["start_date"] <= last)
    days = rows.loc[changed, "start_date"].dt.strftime("%Y-%m-%d")
    words = days + " " + term[changed].astype(int).astype(str)
    joined = words.groupby(spell[changed]).agg(", ".join)
    return list(joined.reindex(spell.unique(), fill_value=""))


def ends_near_due(
    spells: pd.DataFrame, grace_days: int = 0, within: int = 30
) -> tuple[int, int, int]:
    """Ends by choice of fixed terms before, on and after the day a term was due, at most `within`
    days away.

    Ends that gather after the due day mean that the dates follow another convention than 'last paid
    day': each would count in the next term, and the fixed terms would look better than they are.
    Ends up to `grace_days` late are on it.
    """
    rows = spells[spells["end_kind"].isin([CLIENT, UNKNOWN]) & (spells["contract_term_months"] > 1)]
    start = rows["start_date"]
    after = rows["end_date"] + DAY
    terms = rows["contract_term_months"].astype(int)
    last = whole_months(start, after) // terms
    late = (after - add_months(start, last * terms)).dt.days.where(last > 0)
    early = (add_months(start, (last + 1) * terms) - after).dt.days
    # Who started at a month's end and is paid to a month's end is on time, however short the month.
    on_time = (late <= grace_days) | ((start.dt.day >= 29) & (after.dt.day == 1) & (late <= 3))
    past = (late > 0) & (late <= within) & ~on_time
    return int(((early <= within) & ~on_time & ~past).sum()), int(on_time.sum()), int(past.sum())


def contract_cycles(spells: pd.DataFrame, contracts: pd.DataFrame | None = None) -> pd.DataFrame:
    """One row a contract term that came due under observation: who could leave at its end, and what
    happened.

    Columns: `client_id, engagement, term_months, from_month, to_month, outcome, seen_whole`. A term
    counts by calendar alone: its scheduled end lies after records begin and by the cut-off.
    `outcome` is `stayed`, `left at renewal`, `left early` (by choice, before the term was over), or
    the kind of other end that fell in it. `seen_whole` says whether the term began under
    observation. Without `contracts` every client is taken to renew the term signed first, until a
    row of its own has another; a term that is not renewed and not followed by another runs on month
    by month. Source: METHODS 0 and 2 (rows of the interval model).
    """
    contracts = row_terms(spells) if contracts is None else contracts
    terms = _signed_terms(spells) if contracts is None else _recorded_terms(spells, contracts)
    rows = terms.loc[terms.index.repeat(terms["cycles"])].copy()
    number = rows.groupby(level=0).cumcount()
    # Only the first cycle of a term that does not renew has its length; the months after it stand
    # alone.
    whole = rows["auto_renew"] | (number == 0)
    length = rows["term_months"].where(whole, 1)
    before = (rows["term_months"] * number).where(whole, rows["term_months"] + number - 1)
    rows["from_month"] = rows["first_month"] + before
    rows["to_month"] = rows["from_month"] + length
    rows["term_months"] = length
    rows = rows[
        (rows["from_month"] < rows["stop_months"]) & (rows["to_month"] <= rows["observed_months"])
    ]
    seen = (rows["to_month"] > rows["entry_months"]) & (rows["stop_months"] > rows["entry_months"])
    rows = rows[seen].reset_index(drop=True)
    rows["outcome"] = _outcomes(rows)
    rows["seen_whole"] = rows["from_month"] >= rows["entry_months"]
    return rows[
        [
            "client_id",
            "engagement",
            "term_months",
            "from_month",
            "to_month",
            "outcome",
            "seen_whole",
        ]
    ]


def row_terms(spells: pd.DataFrame) -> pd.DataFrame | None:
    """The terms of clients whose later rows changed theirs; None where no row did.

    Columns as of the contracts table: `client_id, term_start, term_months, signed_on` (the day the
    term starts).
    """
    changed = spells[spells["later_terms"] != ""] if "later_terms" in spells else spells.head(0)
    if changed.empty:
        return None
    signed = changed[["client_id", "start_date", "contract_term_months"]].set_axis(TERM, axis=1)
    later = (
        changed["client_id"]
        .to_frame()
        .assign(words=changed["later_terms"].str.split(", "))
        .explode("words")
    )
    days = later["words"].str.split(" ", expand=True)
    moved = later[["client_id"]].assign(
        term_start=pd.to_datetime(days[0]), term_months=days[1].astype(int)
    )
    terms = pd.concat([signed, moved], ignore_index=True)
    return terms.assign(signed_on=terms["term_start"]).sort_values(TERM[:2], ignore_index=True)


def _outcomes(rows: pd.DataFrame) -> pd.Series:
    inside = rows["ended"] & (rows["stop_months"] <= rows["to_month"])
    kind = rows["end_kind"].where(rows["end_kind"] != UNKNOWN, CLIENT)
    by_choice = np.where(rows["stop_months"] < rows["to_month"], "left early", "left at renewal")
    return pd.Series(
        np.where(inside, np.where(kind == CLIENT, by_choice, kind.fillna("")), "stayed"), rows.index
    )


def _signed_terms(spells: pd.DataFrame) -> pd.DataFrame:
    """A term a spell, renewed for ever: the term at signing."""
    base = _follow_up(spells)
    terms = base.assign(
        term_months=spells["contract_term_months"].astype(int), first_month=0, auto_renew=True
    )
    return terms.assign(cycles=np.ceil(terms["stop_months"] / terms["term_months"]).astype(int))


def _recorded_terms(spells: pd.DataFrame, contracts: pd.DataFrame) -> pd.DataFrame:
    """The terms on record, each up to the next one or to the end of the spell; the signed term
    where none is.

    A term that another one replaced before it was due gave no opportunity to leave: it has no cycle
    of its own. Where nobody said whether a term renews itself, it is taken to.
    """
    base = _follow_up(spells).assign(start_date=spells["start_date"])
    columns = ["client_id", "term_start", "term_months"] + (
        ["auto_renew"] if "auto_renew" in contracts else []
    )
    rows = contracts[columns].rename(columns={"term_months": "term"}).merge(base, on="client_id")
    # To the nearest month: a contract may start some days before or after the service.
    rows["first_month"] = whole_months(rows["start_date"], rows["term_start"] + 15 * DAY)
    rows = rows[(rows["first_month"] >= 0) & (rows["first_month"] < rows["stop_months"])]
    spell = ["client_id", "engagement"]
    rows = rows.sort_values([*spell, "first_month", "term_start"], kind="stable")
    rows = rows.drop_duplicates([*spell, "first_month"], keep="last").reset_index(drop=True)
    following = rows.groupby(spell)["first_month"].shift(-1)
    length = np.minimum(following.fillna(np.inf), rows["stop_months"]) - rows["first_month"]
    term = rows["term"].astype(int)
    renews = (
        rows["auto_renew"].fillna(True).astype(bool)
        if "auto_renew" in rows
        else pd.Series(True, rows.index)
    )
    whole = length // term
    part = length % term > 0
    # The last term of a spell counts though it is not full: the spell ended in it, or it is still
    # running.
    rolling = np.where(length < term, following.isna(), 1 + length - term)
    cycles = np.where(renews, whole + (part & following.isna()), rolling)
    rows = rows.assign(term_months=term, auto_renew=renews, cycles=cycles.astype(int))
    told = rows[spell].drop_duplicates().assign(told=True)
    silent = _signed_terms(spells).merge(told, on=spell, how="left")
    return pd.concat([rows, silent[silent["told"].isna()]], ignore_index=True)


def _follow_up(spells: pd.DataFrame) -> pd.DataFrame:
    return spells[
        [
            "client_id",
            "engagement",
            "entry_months",
            "stop_months",
            "observed_months",
            "ended",
            "end_kind",
        ]
    ]
