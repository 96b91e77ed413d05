"""Month's ends with what was known then and what came of it; and the only ways in which they may be
split (METHODS 7).

A random split cannot be had here: training always lies before what is predicted, by as much as an
outcome needs to be known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

from retention.history.features import BEFORE, KEY, month_features, signing_features
from retention.history.spells import CLIENT, DAY, UNKNOWN, plain_text
from retention.history.window import Window
from retention.settings import Extra, ResultsSettings

BLOCK = 3  # months predicted by one fitted model, as if it were made anew each quarter
GROUPS = 5  # parts of the clients, each predicted by a model that never saw it
WORTH = "worth_a_month"  # what a client leaves a month
LEFT = "left"
STAYED = "stayed"
TOO_LATE = "too late"
OTHER_END = "another end"
NOT_YET = "not known yet"


def month_of(day: pd.Series) -> pd.Series:
    """Months since the year 0, as `calendar.month_number`; NaN where there is no day."""
    years = day.dt.year * 12
    return years + day.dt.month - 1


def last_month(cutoff: pd.Timestamp) -> int:
    """The last month that lies whole before the end of this day."""
    after = cutoff + DAY
    months = after.year * 12 + after.month
    return int(months - 2)


def build_snapshots(
    spells: pd.DataFrame,
    tables: Mapping[str, Any],
    window: Window,
    results: ResultsSettings,
    *,
    cutoff: pd.Timestamp,
    begin: pd.Timestamp,
    extra: Mapping[str, Extra] | None = None,
    worth: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """A row a client and month's end from `begin` to `cutoff`, while there and not known to be
    under notice.

    `tables`: frames, or (all but that of the clients) Polars' scans of what need not be there
    whole.

    Columns: `client_id, engagement, month`, the features, `worth_a_month` (the client's margin;
    where its hours are not known its fee, else its planned fee; what the table `worth` says, by
    `client_id, engagement, month`, comes first) and `outcome`: left (by choice, in the window),
    stayed, too late (decided before the window begins), another end, or not known yet. Source:
    METHODS 7.
    """
    last = last_month(cutoff)
    frames = _frames(spells, tables, last)
    months = begin.year * 12 + begin.month
    since = int(months - 1)
    made = month_features(frames, window, results, since)
    signed = signing_features(frames["engagements"], extra)
    joined = made.join(signed, on=KEY, how="left")
    made = joined.sort(*KEY, "month")
    rows = made.collect().to_pandas()
    rows[WORTH] = _worth(rows, spells, worth)
    rows = rows.merge(_decisions(spells), on=KEY, how="left")
    gone = (
        _noticed(rows)
        | _noticed_by(rows, spells, cutoff)
        | _away(rows, tables.get("clients"))
        | _before_record(rows, spells)
    )
    # Who is back before its end was written down is there once, not twice.
    there = rows[~gone]
    rows = there.drop_duplicates(["client_id", "month"], keep="last")
    rows = rows.reset_index(drop=True)
    last_known = last - _known_late(spells, window)
    outcome = _outcome(rows, window, last_known)
    with_outcome = rows.assign(outcome=outcome)
    return with_outcome.drop(columns=["decided", "recorded", "kind"])


def _frames(spells: pd.DataFrame, tables: Mapping[str, Any], last: int) -> dict[str, pl.LazyFrame]:
    """The tables for the features, with the engagements and the months from long before the first
    one on.
    """
    starts = month_of(spells["start_date"])
    first = int(starts.min())
    months = range(first - BEFORE, last + 1)
    frames = {name: _polars(rows) for name, rows in tables.items() if name != "clients"}
    numbered = spells.assign(spell=range(len(spells)))
    frames["engagements"] = _polars(numbered)
    frame = pl.DataFrame({"month": months})
    frames["months"] = frame.lazy()
    return frames


def _known_late(spells: pd.DataFrame, window: Window) -> int:
    """By how many months a decision is known late.

    Where the day of decision is counted back from the end, it is known as late as the end itself.
    """
    ended = spells["end_date"].notna()
    assumed = spells.loc[ended, "decision_assumed"].mean()
    return window.notice if assumed > 0.5 else 0


def _noticed(rows: pd.DataFrame) -> pd.Series:
    """Rows of clients who had given notice, as was on record by then."""
    decided = rows["decided"] <= rows["month"]
    recorded = rows["recorded"] <= rows["month"]
    return decided & recorded


def _worth(rows: pd.DataFrame, spells: pd.DataFrame, told: pd.DataFrame | None) -> pd.Series:
    """What each client leaves a month, shape (n,): as `told`, else its margin, fee, planned fee."""
    worth = pd.Series(np.nan, rows.index)
    if "fee_pct" in spells:
        share = spells["fee_pct"].astype(float) / 100
        fee = share * spells["monthly_ad_spend"]
        planned = spells[KEY].assign(fee=fee)
        joined = rows[KEY].merge(planned, on=KEY, how="left")
        worth = joined["fee"].astype(float)
    for name in ("fee_a_month", "margin_a_month"):
        worth = rows[name].fillna(worth) if name in rows else worth
    if told is None:
        return worth
    key = [*KEY, "month"]
    told_worth = rows[key].merge(told, on=key, how="left")
    first = told_worth[WORTH]
    return first.fillna(worth)


def _noticed_by(rows: pd.DataFrame, spells: pd.DataFrame, cutoff: pd.Timestamp) -> pd.Series:
    """The last month's rows of clients who gave notice since, in the month that the cut-off
    cuts.
    """
    recorded = spells["recorded_date"].fillna(spells["decision_date"])
    decided = spells["decision_date"] <= cutoff
    gone = spells[decided & (recorded <= cutoff)]
    keys = pd.MultiIndex.from_frame(rows[KEY])
    gone_keys = pd.MultiIndex.from_frame(gone[KEY])
    key = keys.isin(gone_keys)
    newest = rows["month"] == last_month(cutoff)
    return pd.Series(key, rows.index) & newest


def _away(rows: pd.DataFrame, clients: pd.DataFrame | None) -> pd.Series:
    """Rows of clients in a pause: known to have given notice, and not yet known to come back
    (METHODS 0 merges it).

    An end that nobody decided or wrote down is that of a renewal, and what comes after it no
    absence.
    """
    gone = pd.Series(False, rows.index)
    if clients is None or "end_date" not in clients:
        return gone
    order = ["client_id", "start_date"]
    ordered = plain_text(clients).sort_values(order, kind="stable")
    columns = ordered.reindex(columns=["decision_date", "recorded_date"])
    days = columns.apply(pd.to_datetime)
    since = month_of(days.max(axis=1))
    next_client = ordered["client_id"].shift(-1)
    same = ordered["client_id"] == next_client
    next_start = ordered["start_date"].shift(-1)
    back = month_of(next_start).where(same)
    pauses = ordered[["client_id"]].assign(first=since, until=back)
    gaps = pauses[(since < back).to_numpy()]
    known_rows = rows[["client_id", "month"]]
    inside = known_rows.reset_index().merge(gaps, on="client_id")
    begun = inside["month"].ge(inside["first"])
    away = begun & inside["month"].lt(inside["until"])
    gone[inside.loc[away, "index"]] = True
    return gone


def _before_record(rows: pd.DataFrame, spells: pd.DataFrame) -> pd.Series:
    """Rows of months in which an end would not have been on record (`known_from`), so that nobody
    seems to leave.
    """
    if "known_from" not in spells:
        return pd.Series(False, rows.index)
    known_days = month_of(pd.to_datetime(spells["known_from"]))
    since = spells[KEY].assign(since=known_days)
    joined = rows[KEY].merge(since, on=KEY, how="left")
    return rows["month"] < joined["since"]


def _polars(frame: pd.DataFrame | pl.LazyFrame) -> pl.LazyFrame:
    if isinstance(frame, pl.LazyFrame):
        return frame
    texts = {name: "string" for name in frame if frame[name].dtype == object}
    typed = frame.astype(texts)
    return pl.from_pandas(typed).lazy()


def _decisions(spells: pd.DataFrame) -> pd.DataFrame:
    """The month of each engagement's decision, the month from which it was on record, and whose it
    was.
    """
    recorded = spells["recorded_date"].fillna(spells["decision_date"])
    kind = spells["end_kind"].replace(UNKNOWN, CLIENT)
    return spells[KEY].assign(
        decided=month_of(spells["decision_date"]), recorded=month_of(recorded), kind=kind
    )


def _outcome(rows: pd.DataFrame, window: Window, last: int) -> np.ndarray:
    ahead = rows["decided"] - rows["month"]
    inside = ahead <= window.ahead
    conditions = [
        rows["month"] + window.ahead > last,
        inside & (rows["kind"] != CLIENT),
        ahead <= window.gap,
        inside,
    ]
    kinds = [NOT_YET, OTHER_END, TOO_LATE, LEFT]
    return np.select(conditions, kinds, STAYED)


def known(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows whose outcome is leaving or staying, with `left` (1 or 0): what a model may learn
    from.
    """
    outcomes = [LEFT, STAYED]
    chosen = rows[rows["outcome"].isin(outcomes)]
    left = (chosen["outcome"] == LEFT).astype(int)
    return chosen.assign(left=left).reset_index(drop=True)


def splits(
    rows: pd.DataFrame,
    window: Window,
    min_events: int,
    *,
    unseen: bool = False,
    block: int = BLOCK,
    blocks: int = 0,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Masks of training and test rows, `block` of months after block, the training always growing.

    A training row's outcome was known by the first month's end of the test (embargo: gap and
    horizon). The first block is the first with `min_events` clients who left in its training;
    `blocks` keeps only so many of the last. `unseen`: in turn, for each of five parts of the
    clients, trained on the others.
    """
    month = rows["month"].to_numpy()
    codes = pd.factorize(rows["client_id"])
    part = codes[0] % GROUPS
    starts = _starts(rows, window, min_events, block)
    for start in starts[-blocks:]:
        train = month + window.ahead <= start
        before_end = month < start + block
        test = (month >= start) & before_end
        if not unseen:
            yield train, test
            continue
        for own in range(GROUPS):
            if (test & (part == own)).any():
                yield train & (part != own), test & (part == own)


def _starts(rows: pd.DataFrame, window: Window, min_events: int, block: int) -> list[int]:
    """The first months of the blocks, counted back from the newest; empty where too few left."""
    left = rows[rows["left"] == 1]
    by_client = left.groupby("client_id")["month"]
    gone = by_client.min() + window.ahead
    all_months = rows["month"].to_numpy()
    months = np.unique(all_months)
    counts = [month for month in months if (gone <= month).sum() >= min_events]
    if not counts:
        return []
    last_count = int(counts[-1])
    first, last = int(counts[0]), last_count
    last_start = last + 1 - block
    backwards = range(last_start, first - 1, -block)
    return list(backwards)[::-1]
