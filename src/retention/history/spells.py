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
    years = day.dt.year - start.dt.year
    months = years * 12 + day.dt.month - start.dt.month
    due_day = np.minimum(start.dt.day, day.dt.days_in_month)
    return months - (day.dt.day < due_day)


def started_months(start: pd.Series, day: Any) -> pd.Series:
    """Calendar months begun from each `start` until `day`: `whole_months`, and one more for a part
    of a month.
    """
    day = pd.Series(day, start.index) if not isinstance(day, pd.Series) else day
    years = day.dt.year - start.dt.year
    months = years * 12 + day.dt.month - start.dt.month
    return months + (day.dt.day > start.dt.day)


def month_of_end(start: pd.Series, end: pd.Series, grace_days: int = 0) -> pd.Series:
    """The month of service that the last paid day `end` falls in, counted from 1.

    An end up to `grace_days` after a month was complete belongs to that month. Who started on the
    29th to 31st and is paid to the last day of a month has completed it, however short the month.
    """
    after = end + DAY - pd.Timedelta(days=grace_days)
    months = started_months(start, after)
    first_of_month = (end + DAY).dt.day == 1
    to_month_end = (start.dt.day >= 29) & first_of_month & (grace_days == 0)
    too_early = months.notna() & (months < 1)
    return (months - to_month_end).mask(too_early, 1)


def add_months(start: pd.Series, months: pd.Series) -> pd.Series:
    """The dates that lie `months` calendar months after `start`, clipped to the month's last
    day.
    """
    start_month = start.dt.to_period("M")
    month = start_month + months.astype(int)
    first = month.dt.to_timestamp()
    day_of_month = np.minimum(start.dt.day, first.dt.days_in_month)
    return first + pd.to_timedelta(day_of_month - 1, unit="D")


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
    known = _as_known(clients, last)
    rows = _merge_pauses(known, last, pause_days)
    begin = pd.Timestamp(records_begin) if records_begin else rows["start_date"].min()
    since = _known_from(rows, begin)
    seen = ~(rows["end_date"] < since)
    rows = rows[seen].reset_index(drop=True)
    since = since[seen].reset_index(drop=True)
    rows = _with_decisions(rows, notice_days)
    rows = _with_months(rows, since, last, end_grace_days)
    number = rows.groupby("client_id").cumcount()
    rows["engagement"] = number + 1
    return rows


def _with_decisions(rows: pd.DataFrame, notice_days: int) -> pd.DataFrame:
    """The spells with the day of decision, counted back from the end where it is not on record, and
    whose it was.
    """
    end = rows["end_date"]
    has_end = end.notna()
    assumed = has_end & rows["decision_date"].isna()
    before = end - pd.Timedelta(days=notice_days)
    noticed = before.clip(lower=rows["start_date"])
    decided = rows["decision_date"].fillna(noticed)
    whose = rows["end_initiator"].fillna(UNKNOWN)
    rows["decision_assumed"] = assumed
    rows["decision_date"] = decided.clip(upper=end)
    rows["end_kind"] = whose.where(has_end)
    return rows


def _with_months(
    rows: pd.DataFrame, since: pd.Series, last: pd.Timestamp, grace_days: int
) -> pd.DataFrame:
    """The spells with their months under observation, and whether their end is counted in one."""
    start = rows["start_date"]
    observed = whole_months(start, last + DAY)
    last_month = month_of_end(start, rows["end_date"], grace_days)
    gone = rows["end_date"] <= last
    counted = gone & (last_month <= observed)
    begun = started_months(start, since).clip(lower=0)
    stop = np.where(counted, last_month, observed)
    rows["gone"] = gone
    rows["entry_months"] = begun.astype(int)
    rows["observed_months"] = observed.astype(int)
    rows["stop_months"] = stop.astype(int)
    rows["ended"] = counted & (last_month > rows["entry_months"])
    rows["cut_short"] = gone & ~rows["ended"]
    return rows


def _as_known(clients: pd.DataFrame, last: pd.Timestamp) -> pd.DataFrame:
    """The client rows in order of client and start, without what was recorded of their ends after
    the last day.
    """
    columns = dict.fromkeys([*clients.columns, *ENDING])
    rows = clients.reindex(columns=list(columns))
    for column in ("start_date", "end_date", "decision_date", "recorded_date"):
        rows[column] = pd.to_datetime(rows[column])
    order = ["client_id", "start_date"]
    rows = plain_text(rows).sort_values(order, kind="stable")
    not_yet = rows["recorded_date"] > last
    rows[ENDING] = rows[ENDING].mask(not_yet)
    return rows.reset_index(drop=True)


def plain_text(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with text of whatever dtype as Python strings, NaN where there is none.

    A comparison of pandas' nullable text gives NA where a value is missing or shifted in, and NA is
    neither true nor false: masks made of it would depend on the dtype a file happened to be read
    with.
    """
    texts = [name for name, dtype in rows.dtypes.items() if _is_text(dtype)]
    as_objects = {
        name: rows[name].astype(object).where(rows[name].notna(), np.nan) for name in texts
    }
    return rows.assign(**as_objects)


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
    filled = own.astype("datetime64[ns]").fillna(begin)
    return filled.clip(lower=begin)


def _merge_pauses(rows: pd.DataFrame, last: pd.Timestamp, pause_days: int) -> pd.DataFrame:
    """Engagements that began by the last day: rows of a client at most `pause_days` apart are one.

    An engagement has its first row's signing values and its last row's end. Rows that start after
    the last day take part: a client whose next row follows within the pause has not left.
    """
    before = rows["client_id"].shift()
    same = rows["client_id"] == before
    end_before = rows["end_date"].shift()
    pause = rows["start_date"] - end_before - DAY
    # An earlier row without an end that a later start has overtaken (its end was recorded late) is
    # no second client.
    short = pause <= pd.Timedelta(days=pause_days)
    follows = same & (short | pause.isna())
    spell = (~follows).cumsum()
    first = ~spell.duplicated()
    final = ~spell.duplicated(keep="last")
    merged = rows[first].reset_index(drop=True)
    final_rows = rows.loc[final, ENDING]
    merged[ENDING] = final_rows.to_numpy()
    for column in ("end_date", "decision_date", "recorded_date"):
        merged[column] = pd.to_datetime(merged[column])
    merged["rows_merged"] = (
        spell[rows["start_date"] <= last].value_counts().reindex(spell[first]) - 1
    ).to_numpy()
    merged["later_terms"] = _later_terms(rows, spell, last)
    begun = merged[merged["start_date"] <= last]
    return begun.astype({"rows_merged": int}).reset_index(drop=True)


def _later_terms(rows: pd.DataFrame, spell: pd.Series, last: pd.Timestamp) -> list[str]:
    """For each engagement the terms that its later rows changed to: "2024-05-01 12,
    2025-05-01 6".
    """
    term = rows["contract_term_months"].astype(float)
    other_term = spell.duplicated() & (term != term.shift())
    changed = other_term & (rows["start_date"] <= last)
    changed_on = rows.loc[changed, "start_date"]
    days = changed_on.dt.strftime("%Y-%m-%d")
    months = term[changed].astype(int)
    words = days + " " + months.astype(str)
    by_spell = words.groupby(spell[changed])
    joined = by_spell.agg(", ".join)
    spells_named = spell.unique()
    return list(joined.reindex(spells_named, fill_value=""))


def ends_near_due(
    spells: pd.DataFrame, grace_days: int = 0, within: int = 30
) -> tuple[int, int, int]:
    """Ends by choice of fixed terms before, on and after the day a term was due, at most `within`
    days away.

    Ends that gather after the due day mean that the dates follow another convention than 'last paid
    day': each would count in the next term, and the fixed terms would look better than they are.
    Ends up to `grace_days` late are on it.
    """
    by_choice = spells["end_kind"].isin([CLIENT, UNKNOWN])
    rows = spells[by_choice & (spells["contract_term_months"] > 1)]
    start = rows["start_date"]
    after = rows["end_date"] + DAY
    terms = rows["contract_term_months"].astype(int)
    last = whole_months(start, after) // terms
    days_late = after - add_months(start, last * terms)
    late = days_late.dt.days.where(last > 0)
    next_due = add_months(start, (last + 1) * terms)
    early = (next_due - after).dt.days
    # Who started at a month's end and is paid to a month's end is on time, however short the month.
    month_end = (start.dt.day >= 29) & (after.dt.day == 1)
    on_time = (late <= grace_days) | (month_end & (late <= 3))
    shortly = (late > 0) & (late <= within)
    past = shortly & ~on_time
    near = (early <= within) & ~on_time & ~past
    counted = (near, on_time, past)
    before, due, after = (int(ends.sum()) for ends in counted)
    return before, due, after


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
    repeated = terms.index.repeat(terms["cycles"])
    rows = terms.loc[repeated].copy()
    number = rows.groupby(level=0).cumcount()
    # Only the first cycle of a term that does not renew has its length; the months after it stand
    # alone.
    whole = rows["auto_renew"] | (number == 0)
    length = rows["term_months"].where(whole, 1)
    terms_before = rows["term_months"] * number
    before = terms_before.where(whole, rows["term_months"] + number - 1)
    rows["from_month"] = rows["first_month"] + before
    rows["to_month"] = rows["from_month"] + length
    rows["term_months"] = length
    within = (rows["from_month"] < rows["stop_months"]) & (
        rows["to_month"] <= rows["observed_months"]
    )
    rows = rows[within]
    after_entry = rows["to_month"] > rows["entry_months"]
    seen = after_entry & (rows["stop_months"] > rows["entry_months"])
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
    columns = changed[["client_id", "start_date", "contract_term_months"]]
    signed = columns.set_axis(TERM, axis=1)
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
    parts = [signed, moved]
    terms = pd.concat(parts, ignore_index=True)
    with_signing = terms.assign(signed_on=terms["term_start"])
    return with_signing.sort_values(TERM[:2], ignore_index=True)


def _outcomes(rows: pd.DataFrame) -> pd.Series:
    before_due = rows["stop_months"] <= rows["to_month"]
    inside = rows["ended"] & before_due
    known = rows["end_kind"] != UNKNOWN
    kind = rows["end_kind"].where(known, CLIENT)
    early = rows["stop_months"] < rows["to_month"]
    by_choice = np.where(early, "left early", "left at renewal")
    other_kind = kind.fillna("")
    return pd.Series(
        np.where(inside, np.where(kind == CLIENT, by_choice, other_kind), "stayed"), rows.index
    )


def _signed_terms(spells: pd.DataFrame) -> pd.DataFrame:
    """A term a spell, renewed for ever: the term at signing."""
    base = _follow_up(spells)
    terms = base.assign(
        term_months=spells["contract_term_months"].astype(int), first_month=0, auto_renew=True
    )
    terms_needed = np.ceil(terms["stop_months"] / terms["term_months"])
    return terms.assign(cycles=terms_needed.astype(int))


def _recorded_terms(spells: pd.DataFrame, contracts: pd.DataFrame) -> pd.DataFrame:
    """The terms on record, each up to the next one or to the end of the spell; the signed term
    where none is.

    A term that another one replaced before it was due gave no opportunity to leave: it has no cycle
    of its own. Where nobody said whether a term renews itself, it is taken to.
    """
    spell = ["client_id", "engagement"]
    rows = _begun_terms(spells, contracts, spell)
    term = rows["term"].astype(int)
    renews = pd.Series(True, rows.index)
    if "auto_renew" in rows:
        renews = rows["auto_renew"].fillna(True).astype(bool)
    cycles = _cycles(rows, spell, term, renews)
    rows = rows.assign(term_months=term, auto_renew=renews, cycles=cycles)
    keys = rows[spell].drop_duplicates()
    told = keys.assign(told=True)
    silent = _signed_terms(spells).merge(told, on=spell, how="left")
    signed_only = silent[silent["told"].isna()]
    return pd.concat([rows, signed_only], ignore_index=True)


def _begun_terms(spells: pd.DataFrame, contracts: pd.DataFrame, spell: list[str]) -> pd.DataFrame:
    """The terms that began within a spell, in order, with the month `first_month` in which each
    did; of several in one month the last.
    """
    base = _follow_up(spells).assign(start_date=spells["start_date"])
    columns = ["client_id", "term_start", "term_months"]
    if "auto_renew" in contracts:
        columns.append("auto_renew")
    renamed = contracts[columns].rename(columns={"term_months": "term"})
    rows = renamed.merge(base, on="client_id")
    # To the nearest month: a contract may start some days before or after the service.
    about_then = rows["term_start"] + 15 * DAY
    rows["first_month"] = whole_months(rows["start_date"], about_then)
    begins_before = rows["first_month"] < rows["stop_months"]
    rows = rows[(rows["first_month"] >= 0) & begins_before]
    order = [*spell, "first_month", "term_start"]
    rows = rows.sort_values(order, kind="stable")
    last_of_month = rows.drop_duplicates([*spell, "first_month"], keep="last")
    return last_of_month.reset_index(drop=True)


def _cycles(rows: pd.DataFrame, spell: list[str], term: pd.Series, renews: pd.Series) -> np.ndarray:
    """How many cycles each term had.

    The last term of a spell counts though it is not full: the spell ended in it, or it is still
    running.
    """
    following = rows.groupby(spell)["first_month"].shift(-1)
    last_term = following.isna()
    until = np.minimum(following.fillna(np.inf), rows["stop_months"])
    length = until - rows["first_month"]
    whole = length // term
    part = length % term > 0
    full = whole + (part & last_term)
    rolling = np.where(length < term, last_term, 1 + length - term)
    return np.where(renews, full, rolling).astype(int)


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
