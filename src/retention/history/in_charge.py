"""Who is in charge of a client on a day: the one rule that every page, list and feature uses.

Rows of the table `assignments` whose role is rep, or blank, are stints. On a day, as far as was on
record by then:

1. A stint runs from its `from_date` to its `to_date`, both included, or without end where that is
   blank. It ends earlier where the person left the agency (`staff.ended_on`, their last day): who
   left is in charge of nobody.
2. Of the stints that run, the one that began last is in charge; of two that began on one day, the
   person with the higher id. So a stand-in is in charge while the stint lasts, and then the earlier
   rep is again.
3. Before the first stint of an engagement, and where it has none, the rep named at signing
   (`clients.rep_id`) is in charge until their last day. Stints that were over before the engagement
   began are not of it; nor, where a rep is named at signing, are those that began more than three
   months before it: nobody closed them when the client left.
4. Once a stint has begun the stints alone decide: where all of them are over, nobody is in charge.

Who was rated by a client is on the survey (`surveys.rep_id`), which this rule leaves alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl

from retention.data.schema import columns_of
from retention.history.calendar import day_number, month_number
from retention.history.spells import DAY, add_months, whole_months

REP = "rep"
NOBODY = ""
FOREVER = 9_999_999  # a day number after all others
NOW = pd.Timestamp("2250-01-01")  # a day on which who is in charge last still is
EARLY = 92  # days before an engagement, (ours): its rep may be chosen so long before it begins
COLUMNS = ("client_id", "staff_id", "role", "from_date", "to_date", "recorded_at")
Lazy = nw.LazyFrame[Any]


def with_reps(
    asked: Lazy, assignments: Lazy | None, staff: Lazy | None, key: Sequence[str]
) -> Lazy:
    """The rows of `asked` with `rep`, null where nobody is in charge, and `rep_since`, the month
    its stint began in.

    `asked` has `client_id`, `day`, `began` (first day of the engagement), both as
    `calendar.day_number`, and `named` (the rep at signing); stints count that were on record on
    `day`. `key` names columns that tell its rows apart. `rep_since` is a `calendar.month_number`,
    null where nobody is in charge or the rep is the one named at signing. Tables have all columns
    that they may have.
    """
    last_days = (
        None
        if staff is None
        else staff.select("staff_id", last_there=day_number(nw.col("ended_on")))
    )
    rows = _until_gone(asked, last_days)
    if assignments is None:
        return rows.with_columns(rep=nw.col("named"), rep_since=nw.lit(None, nw.Float64))
    stints = _stints(assignments, last_days)
    about = dict.fromkeys([*key, "client_id", "day", "began", "named"])
    begun = asked.select(*about).join(stints, on="client_id", how="inner")
    begun = begun.filter(
        nw.col("first") <= nw.col("day"),
        nw.col("noted") <= nw.col("day"),
        nw.col("last") >= nw.col("began"),
        (nw.col("first") >= nw.col("began") - EARLY) | nw.col("named").is_null(),
    )
    running = nw.when(nw.col("last") >= nw.col("day")).then(nw.col("number")).otherwise(nw.lit(0))
    in_force = begun.with_columns(number=running).group_by(*key).agg(number=nw.col("number").max())
    rows = rows.join(in_force, on=list(key), how="left")
    people = stints.select("client_id", "number", rep="staff_id", rep_since="since")
    silent = nw.col("number").is_null()
    rows = rows.with_columns(number=nw.col("number").fill_null(0).cast(nw.Int64), silent=silent)
    rows = rows.join(people, on=["client_id", "number"], how="left")
    rep = nw.when(nw.col("silent")).then(nw.col("named")).otherwise(nw.col("rep"))
    return rows.with_columns(rep=rep).drop("number", "silent")


def _until_gone(asked: Lazy, last_days: Lazy | None) -> Lazy:
    """The rows with `named` blank from the day on which the rep named at signing was gone."""
    if last_days is None:
        return asked
    rows = asked.join(last_days.rename({"staff_id": "named"}), on="named", how="left")
    there = nw.col("last_there").is_null() | (nw.col("last_there") >= nw.col("day"))
    return rows.with_columns(named=nw.when(there).then(nw.col("named"))).drop("last_there")


def _stints(assignments: Lazy, last_days: Lazy | None) -> Lazy:
    """Each stint of a rep with its `first` and `last` day, and its `number` among the client's by
    the day it began.
    """
    rows = assignments.filter(
        (nw.col("role") == REP) | (nw.col("role") == "") | nw.col("role").is_null()
    )
    rows = rows.select(
        "client_id",
        "staff_id",
        first=day_number(nw.col("from_date")),
        since=month_number(nw.col("from_date")),
        last=day_number(nw.col("to_date")).fill_null(FOREVER),
        noted=day_number(nw.col("recorded_at")).fill_null(0),
        one=nw.lit(1, nw.Int64),
    )
    rows = rows.filter(~nw.col("first").is_null())
    if last_days is not None:
        rows = rows.join(last_days, on="staff_id", how="left")
        last = nw.min_horizontal(nw.col("last"), nw.col("last_there").fill_null(FOREVER))
        rows = rows.with_columns(last=last).drop("last_there")
    number = nw.col("one").cum_sum().over("client_id", order_by=["first", "staff_id"])
    return rows.with_columns(number=number.cast(nw.Int64)).drop("one")


def reps_on(
    at: pd.DataFrame, day: str, assignments: pd.DataFrame | None, staff: pd.DataFrame | None = None
) -> pd.Series:
    """The rep in charge of each row's client on its `day`, index as `at`; missing where nobody is.

    `at` has `client_id`, the column `day`, and, as far as known, `start_date` of the engagement and
    `rep_id`, the rep named at signing. A row without a day has nobody.
    """
    days = pd.to_datetime(at[day])
    start = pd.to_datetime(at["start_date"]) if "start_date" in at else days
    asked = pd.DataFrame(
        {
            "client_id": at["client_id"].astype("string"),
            "day": days,
            "began": start.where(start <= days, days),  # a day before it belongs to what was then
            "named": at["rep_id"].astype("string")
            if "rep_id" in at
            else pd.Series(pd.NA, at.index, dtype="string"),
            "row": np.arange(len(at)),
        }
    )
    numbers = {name: day_number(nw.col(name)) for name in ("day", "began")}
    rows = _lazy(asked[asked["day"].notna()]).with_columns(**numbers)
    stints = None if assignments is None else _lazy(_typed("assignments", assignments, COLUMNS))
    people = None if staff is None else _lazy(_typed("staff", staff, ("staff_id", "ended_on")))
    made = (
        with_reps(rows, stints, people, ["row"]).select("row", "rep").collect("polars").to_pandas()
    )
    reps = made.set_index("row")["rep"].reindex(range(len(at)))
    return reps.astype(object).where(reps.notna(), None).set_axis(at.index)


def _typed(name: str, rows: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """These columns of a table, texts as texts and days as days even where all of them are
    blank.
    """
    rows = columns_of({name: rows}, name, *columns)
    texts = {
        column: "string"
        for column in columns
        if not pd.api.types.is_datetime64_any_dtype(rows[column])
    }
    return rows.astype(texts)


def _lazy(rows: pd.DataFrame) -> Lazy:
    return nw.from_native(pl.from_pandas(rows)).lazy()


def reps_by_month(
    spells: pd.DataFrame,
    months: int,
    assignments: pd.DataFrame | None,
    staff: pd.DataFrame | None = None,
    cutoff: pd.Timestamp | None = None,
) -> np.ndarray:
    """Who was in charge in each month of service, shape (n, months); `NOBODY` where nobody was.

    A month is its last rep's: the day is its last one, but none after the client's last day or the
    cut-off.
    """
    row = np.repeat(np.arange(len(spells)), months)
    month = np.tile(np.arange(months), len(spells))
    at = spells.iloc[row].reset_index(drop=True)
    last = add_months(at["start_date"], pd.Series(month + 1)) - DAY
    limit = at["end_date"] if cutoff is None else at["end_date"].fillna(cutoff).clip(upper=cutoff)
    day = last.where(~(last > limit), limit)
    reps = reps_on(at.assign(day=day), "day", assignments, staff).fillna(NOBODY)
    return np.asarray(reps.to_numpy(object).reshape(len(spells), months))


def spans(
    spells: pd.DataFrame, assignments: pd.DataFrame | None, staff: pd.DataFrame | None
) -> pd.Series:
    """Who was in charge from which month of service on: ((0, "ann"), (7, "bob")), or "" for nobody;
    index as `spells`.

    A month is its last rep's, as in `reps_by_month`.
    """
    about = spells.reindex(columns=["client_id", "start_date", "end_date", "rep_id"])
    about = about.assign(row=np.arange(len(spells)), client_id=about["client_id"].astype("string"))
    changes = _changes(about, assignments, staff)
    parts = [about.assign(day=about["start_date"]), *([changes] if len(changes) else [])]
    days = pd.concat(parts, ignore_index=True)
    days = days.assign(rep=reps_on(days, "day", assignments, staff).fillna(NOBODY))
    days["month"] = whole_months(days["start_date"], days["day"])
    days = days.sort_values(["row", "day"], kind="stable").drop_duplicates(
        ["row", "month"], keep="last"
    )
    same = (days["rep"] == days["rep"].shift()) & (days["row"] == days["row"].shift())
    days = days[~same.astype(bool)]
    days["span"] = list(zip(days["month"].astype(int), days["rep"], strict=True))
    return days.groupby("row")["span"].agg(tuple).reindex(range(len(spells))).set_axis(spells.index)


def _changes(
    about: pd.DataFrame, assignments: pd.DataFrame | None, staff: pd.DataFrame | None
) -> pd.DataFrame:
    """The days within each engagement on which another person may have come to be in charge."""
    named = about[["client_id", "rep_id"]].astype("string")
    people = [named.rename(columns={"rep_id": "staff_id"})]
    days = []
    if assignments is not None:
        stints = _typed("assignments", assignments, COLUMNS)
        people.append(stints[["client_id", "staff_id"]].astype("string"))
        begins, ends, noted = (
            pd.to_datetime(stints[name]) for name in ("from_date", "to_date", "recorded_at")
        )
        days += [stints[["client_id"]].assign(day=day) for day in (begins, ends + DAY, noted)]
    if staff is not None and "ended_on" in staff:
        gone = staff.drop_duplicates("staff_id").set_index("staff_id")["ended_on"]
        who = pd.concat(people, ignore_index=True).drop_duplicates()
        days.append(who[["client_id"]].assign(day=pd.to_datetime(who["staff_id"].map(gone)) + DAY))
    if not days:
        return about.head(0).assign(day=pd.NaT)
    change = pd.concat(days, ignore_index=True).dropna(subset=["day"]).drop_duplicates()
    change = change.astype({"client_id": "string"}).merge(about, on="client_id")
    inside = (change["day"] > change["start_date"]) & ~(change["day"] > change["end_date"])
    return change[inside]


def rep_in(reps: pd.Series, month: pd.Series) -> np.ndarray:
    """Who was in charge in a month of service (the first is 1), from `spans`; shape (n,), "" where
    nobody was.
    """
    codes, kinds = pd.factorize(reps.to_numpy(object))
    first = np.array([spans_[0][1] for spans_ in kinds], dtype=object)
    found = first[codes]
    later = [code for code, spans_ in enumerate(kinds) if len(spans_) > 1]
    rows_of = pd.Series(np.arange(len(codes))).groupby(codes).indices if later else {}
    for code in later:
        begins, names = zip(*kinds[code], strict=True)
        rows = rows_of[code]
        place = np.searchsorted(begins, month.to_numpy()[rows] - 1, side="right") - 1
        found[rows] = np.array(names, dtype=object)[np.maximum(place, 0)]
    return found


def rep_codes(reps: pd.Series, months: int) -> tuple[np.ndarray, list[str]]:
    """Who was in charge in each of so many months of service, from `spans`: codes (n, months), and
    the names coded.

    -1 where nobody was.
    """
    codes, kinds = pd.factorize(reps.to_numpy(object))
    names = sorted({name for spans_ in kinds for _, name in spans_} - {NOBODY})
    place = {name: k for k, name in enumerate(names)} | {NOBODY: -1}
    by_kind = np.full((len(kinds), months), -1)
    for kind, spans_ in enumerate(kinds):
        for begin, name in spans_:
            by_kind[kind, begin:] = place[name]
    return by_kind[codes], names


def rep_by(spells: pd.DataFrame, day: pd.Timestamp = NOW) -> np.ndarray | None:
    """Who was in charge of each engagement on a day (now), or at its end where that came first;
    None if not on record.

    Shape (n,), "" where nobody was.
    """
    if "reps" not in spells:
        return None
    last = spells["end_date"].fillna(day).clip(upper=day)
    month = whole_months(spells["start_date"], last).clip(lower=0) + 1
    return rep_in(spells["reps"], month)


def last_rep(spells: pd.DataFrame, clients: pd.Index) -> pd.Series | None:
    """Who is in charge of each of these clients, or was at its end; index `clients`; None if not on
    record.
    """
    reps = rep_by(spells)
    if reps is None:
        return None
    last = pd.Series(reps, spells["client_id"]).groupby(level=0).last()
    return last.reindex(clients).fillna(NOBODY)


def closed(assignments: pd.DataFrame, staff: pd.DataFrame | None) -> pd.DataFrame:
    """The assignments of any role, `to_date` being the day on which a person left the agency where
    it came earlier.
    """
    rows = columns_of({"assignments": assignments}, "assignments", *COLUMNS)
    if staff is None or "ended_on" not in staff:
        return rows
    gone = pd.to_datetime(
        rows["staff_id"].map(staff.drop_duplicates("staff_id").set_index("staff_id")["ended_on"])
    )
    return rows.assign(
        to_date=rows["to_date"].where(~(gone < rows["to_date"].fillna(pd.Timestamp.max)), gone)
    )


def new_reps(
    spells: pd.DataFrame, assignments: pd.DataFrame | None, staff: pd.DataFrame | None
) -> pd.DataFrame:
    """Each day on which a client came to a rep who had not had it in that engagement: `client_id,
    day, rep`.

    The first rep of an engagement is not new.
    """
    columns = ["client_id", "day", "rep"]
    if assignments is None:
        return pd.DataFrame(columns=columns)
    begin = _typed("assignments", assignments, COLUMNS)[["client_id", "from_date"]].rename(
        columns={"from_date": "day"}
    )
    who = spells.reindex(columns=["client_id", "start_date", "end_date", "rep_id"]).assign(
        row=np.arange(len(spells))
    )
    who["client_id"] = who["client_id"].astype("string")
    later = begin.merge(who, on="client_id")
    inside = (later["day"] > later["start_date"]) & ~(later["day"] > later["end_date"])
    days = pd.concat([who.assign(day=who["start_date"]), later[inside]], ignore_index=True)
    days = days.assign(rep=reps_on(days, "day", assignments, staff)).dropna(subset=["rep"])
    days = days.sort_values(["row", "day"], kind="stable").drop_duplicates(["row", "rep"])
    return (
        days[days["row"].duplicated()]
        .sort_values(["client_id", "day"])[columns]
        .reset_index(drop=True)
    )


def with_people_who_left(
    at: pd.DataFrame,
    day: pd.Timestamp,
    assignments: pd.DataFrame | None,
    staff: pd.DataFrame | None,
) -> pd.Series:
    """Of each row's client the person who would be in charge on `day` had they not left; missing
    for all others.
    """
    on_day = at.assign(day=day)
    on_paper = reps_on(on_day, "day", assignments)
    if staff is None or "ended_on" not in staff:
        return on_paper.mask(on_paper.notna(), None)
    ended = pd.to_datetime(staff.drop_duplicates("staff_id").set_index("staff_id")["ended_on"])
    nobody = reps_on(on_day, "day", assignments, staff).isna()
    return on_paper.where((pd.to_datetime(on_paper.map(ended)) < day) & nobody)
