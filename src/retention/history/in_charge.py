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
    last_days = None
    if staff is not None:
        last_days = staff.select("staff_id", last_there=day_number(nw.col("ended_on")))
    rows = _until_gone(asked, last_days)
    if assignments is None:
        unknown = nw.lit(None, nw.Float64)
        return rows.with_columns(rep=nw.col("named"), rep_since=unknown)
    stints = _stints(assignments, last_days)
    in_force = _in_force(asked, stints, key)
    rows = rows.join(in_force, on=list(key), how="left")
    people = stints.select("client_id", "number", rep="staff_id", rep_since="since")
    number = nw.col("number")
    silent = number.is_null()
    filled = number.fill_null(0).cast(nw.Int64)
    rows = rows.with_columns(number=filled, silent=silent)
    rows = rows.join(people, on=["client_id", "number"], how="left")
    if_silent = nw.when(nw.col("silent"))
    named_if_silent = if_silent.then(nw.col("named"))
    rep = named_if_silent.otherwise(nw.col("rep"))
    return rows.with_columns(rep=rep).drop("number", "silent")


def _in_force(asked: Lazy, stints: Lazy, key: Sequence[str]) -> Lazy:
    """For each row of `asked` about which stints are on record, the `number` of the one in force,
    the newest; 0 where all are over.
    """
    day = nw.col("day")
    began = nw.col("began")
    first = nw.col("first")
    last = nw.col("last")
    in_time = first >= began - EARLY
    unnamed = nw.col("named").is_null()
    about = dict.fromkeys([*key, "client_id", "day", "began", "named"])
    of_clients = asked.select(*about).join(stints, on="client_id", how="inner")
    begun = of_clients.filter(
        first <= day, nw.col("noted") <= day, last >= began, in_time | unnamed
    )
    ongoing = nw.when(last >= day)
    running = ongoing.then(nw.col("number")).otherwise(nw.lit(0))
    numbered = begun.with_columns(number=running).group_by(*key)
    newest = nw.col("number").max()
    return numbered.agg(number=newest)


def _until_gone(asked: Lazy, last_days: Lazy | None) -> Lazy:
    """The rows with `named` blank from the day on which the rep named at signing was gone."""
    if last_days is None:
        return asked
    renamed = last_days.rename({"staff_id": "named"})
    rows = asked.join(renamed, on="named", how="left")
    last_there = nw.col("last_there")
    still_there = last_there >= nw.col("day")
    there = last_there.is_null() | still_there
    if_there = nw.when(there)
    named_there = if_there.then(nw.col("named"))
    dated = rows.with_columns(named=named_there)
    return dated.drop("last_there")


def _stints(assignments: Lazy, last_days: Lazy | None) -> Lazy:
    """Each stint of a rep with its `first` and `last` day, and its `number` among the client's by
    the day it began.
    """
    role = nw.col("role")
    blank = (role == "") | role.is_null()
    begin = nw.col("from_date")
    end = day_number(nw.col("to_date"))
    noted = day_number(nw.col("recorded_at"))
    of_reps = assignments.filter((role == REP) | blank)
    rows = of_reps.select(
        "client_id",
        "staff_id",
        first=day_number(begin),
        since=month_number(begin),
        last=end.fill_null(FOREVER),
        noted=noted.fill_null(0),
        one=nw.lit(1, nw.Int64),
    )
    undated = nw.col("first").is_null()
    rows = rows.filter(~undated)
    if last_days is not None:
        rows = rows.join(last_days, on="staff_id", how="left")
        last_there = nw.col("last_there").fill_null(FOREVER)
        last = nw.min_horizontal(nw.col("last"), last_there)
        ended = rows.with_columns(last=last)
        rows = ended.drop("last_there")
    so_far = nw.col("one").cum_sum()
    number = so_far.over("client_id", order_by=["first", "staff_id"])
    whole = number.cast(nw.Int64)
    return rows.with_columns(number=whole).drop("one")


def reps_on(
    at: pd.DataFrame, day: str, assignments: pd.DataFrame | None, staff: pd.DataFrame | None = None
) -> pd.Series:
    """The rep in charge of each row's client on its `day`, index as `at`; missing where nobody is.

    `at` has `client_id`, the column `day`, and, as far as known, `start_date` of the engagement and
    `rep_id`, the rep named at signing. A row without a day has nobody.
    """
    asked = _asked(at, day)
    numbers = {name: day_number(nw.col(name)) for name in ("day", "began")}
    dated = asked[asked["day"].notna()]
    rows = _lazy(dated).with_columns(**numbers)
    stints = None
    if assignments is not None:
        stints = _lazy(_typed("assignments", assignments, COLUMNS))
    people = None
    if staff is not None:
        people = _lazy(_typed("staff", staff, ("staff_id", "ended_on")))
    answered = with_reps(rows, stints, people, ["row"]).select("row", "rep")
    made = answered.collect("polars").to_pandas()
    by_row = made.set_index("row")["rep"]
    reps = by_row.reindex(range(len(at)))
    objects = reps.astype(object)
    names = objects.where(reps.notna(), None)
    return names.set_axis(at.index)


def _asked(at: pd.DataFrame, day: str) -> pd.DataFrame:
    """The rows of `reps_on` as `with_reps` asks for them, the days still as days."""
    days = pd.to_datetime(at[day])
    start = days
    if "start_date" in at:
        start = pd.to_datetime(at["start_date"])
    named = pd.Series(pd.NA, at.index, dtype="string")
    if "rep_id" in at:
        named = at["rep_id"].astype("string")
    columns = {
        "client_id": at["client_id"].astype("string"),
        "day": days,
        "began": start.where(start <= days, days),  # a day before it belongs to what was then
        "named": named,
        "row": np.arange(len(at)),
    }
    return pd.DataFrame(columns)


def _typed(name: str, rows: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """These columns of a table, texts as texts and days as days even where all of them are
    blank.
    """
    rows = columns_of({name: rows}, name, *columns)
    texts = {}
    for column in columns:
        if not pd.api.types.is_datetime64_any_dtype(rows[column]):
            texts[column] = "string"
    return rows.astype(texts)


def _lazy(rows: pd.DataFrame) -> Lazy:
    frame = pl.from_pandas(rows)
    return nw.from_native(frame).lazy()


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
    engagements = np.arange(len(spells))
    row = np.repeat(engagements, months)
    each_month = np.arange(months)
    month = np.tile(each_month, len(spells))
    at = spells.iloc[row].reset_index(drop=True)
    months_done = pd.Series(month + 1)
    last = add_months(at["start_date"], months_done) - DAY
    limit = at["end_date"]
    if cutoff is not None:
        limit = limit.fillna(cutoff).clip(upper=cutoff)
    too_late = last > limit
    day = last.where(~too_late, limit)
    dated = at.assign(day=day)
    reps = reps_on(dated, "day", assignments, staff).fillna(NOBODY)
    names = reps.to_numpy(object)
    table = names.reshape(len(spells), months)
    return np.asarray(table)


def spans(
    spells: pd.DataFrame, assignments: pd.DataFrame | None, staff: pd.DataFrame | None
) -> pd.Series:
    """Who was in charge from which month of service on: ((0, "ann"), (7, "bob")), or "" for nobody;
    index as `spells`.

    A month is its last rep's, as in `reps_by_month`.
    """
    columns = ["client_id", "start_date", "end_date", "rep_id"]
    about = spells.reindex(columns=columns)
    numbers = np.arange(len(spells))
    about = about.assign(row=numbers, client_id=about["client_id"].astype("string"))
    changes = _changes(about, assignments, staff)
    at_start = about.assign(day=about["start_date"])
    parts = [at_start, changes] if len(changes) else [at_start]
    days = pd.concat(parts, ignore_index=True)
    names = reps_on(days, "day", assignments, staff)
    days = days.assign(rep=names.fillna(NOBODY))
    days["month"] = whole_months(days["start_date"], days["day"])
    order = ["row", "day"]
    in_order = days.sort_values(order, kind="stable")
    days = in_order.drop_duplicates(["row", "month"], keep="last")
    same_rep = days["rep"] == days["rep"].shift()
    same_row = days["row"] == days["row"].shift()
    same = same_rep & same_row
    days = days[~same.astype(bool)]
    whole = days["month"].astype(int)
    pairs = zip(whole, days["rep"], strict=True)
    days["span"] = list(pairs)
    histories = days.groupby("row")["span"].agg(tuple)
    by_row = histories.reindex(range(len(spells)))
    return by_row.set_axis(spells.index)


def _changes(
    about: pd.DataFrame, assignments: pd.DataFrame | None, staff: pd.DataFrame | None
) -> pd.DataFrame:
    """The days within each engagement on which another person may have come to be in charge."""
    columns = about[["client_id", "rep_id"]]
    named = columns.astype("string")
    renamed = named.rename(columns={"rep_id": "staff_id"})
    people = [renamed]
    days = []
    if assignments is not None:
        stints = _typed("assignments", assignments, COLUMNS)
        pairs = stints[["client_id", "staff_id"]]
        people.append(pairs.astype("string"))
        begins = pd.to_datetime(stints["from_date"])
        ends = pd.to_datetime(stints["to_date"])
        noted = pd.to_datetime(stints["recorded_at"])
        clients = stints[["client_id"]]
        days += [clients.assign(day=day) for day in (begins, ends + DAY, noted)]
    if staff is not None and "ended_on" in staff:
        days.append(_days_gone(people, staff))
    if not days:
        return about.head(0).assign(day=pd.NaT)
    together = pd.concat(days, ignore_index=True)
    change = together.dropna(subset=["day"]).drop_duplicates()
    text_ids = change.astype({"client_id": "string"})
    change = text_ids.merge(about, on="client_id")
    after_end = ~(change["day"] > change["end_date"])
    inside = (change["day"] > change["start_date"]) & after_end
    return change[inside]


def _days_gone(people: Sequence[pd.DataFrame], staff: pd.DataFrame) -> pd.DataFrame:
    """The day after each client's people left the agency: `client_id, day`, NaT for who is there.

    `people` are frames of `client_id` and `staff_id`.
    """
    by_person = staff.drop_duplicates("staff_id")
    gone = by_person.set_index("staff_id")["ended_on"]
    everybody = pd.concat(people, ignore_index=True)
    who = everybody.drop_duplicates()
    last_known = who["staff_id"].map(gone)
    last_day = pd.to_datetime(last_known) + DAY
    return who[["client_id"]].assign(day=last_day)


def rep_in(reps: pd.Series, month: pd.Series) -> np.ndarray:
    """Who was in charge in a month of service (the first is 1), from `spans`; shape (n,), "" where
    nobody was.
    """
    histories = reps.to_numpy(object)
    codes, kinds = pd.factorize(histories)
    firsts = [spans_[0][1] for spans_ in kinds]
    first = np.array(firsts, dtype=object)
    found = first[codes]
    later = [code for code, spans_ in enumerate(kinds) if len(spans_) > 1]
    if not later:
        return found
    rows_of = pd.Series(np.arange(len(codes))).groupby(codes).indices
    last_month = month.to_numpy() - 1
    for code in later:
        begins, names = zip(*kinds[code], strict=True)
        rows = rows_of[code]
        place = np.searchsorted(begins, last_month[rows], side="right") - 1
        known = np.array(names, dtype=object)
        found[rows] = known[np.maximum(place, 0)]
    return found


def rep_codes(reps: pd.Series, months: int) -> tuple[np.ndarray, list[str]]:
    """Who was in charge in each of so many months of service, from `spans`: codes (n, months), and
    the names coded.

    -1 where nobody was.
    """
    histories = reps.to_numpy(object)
    codes, kinds = pd.factorize(histories)
    every = {name for spans_ in kinds for _, name in spans_}
    names = sorted(every - {NOBODY})
    place = {name: k for k, name in enumerate(names)}
    place[NOBODY] = -1
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
    until = spells["end_date"].fillna(day)
    last = until.clip(upper=day)
    served = whole_months(spells["start_date"], last)
    month = served.clip(lower=0) + 1
    return rep_in(spells["reps"], month)


def last_rep(spells: pd.DataFrame, clients: pd.Index) -> pd.Series | None:
    """Who is in charge of each of these clients, or was at its end; index `clients`; None if not on
    record.
    """
    reps = rep_by(spells)
    if reps is None:
        return None
    by_client = pd.Series(reps, spells["client_id"])
    last = by_client.groupby(level=0).last()
    return last.reindex(clients).fillna(NOBODY)


def closed(assignments: pd.DataFrame, staff: pd.DataFrame | None) -> pd.DataFrame:
    """The assignments of any role, `to_date` being the day on which a person left the agency where
    it came earlier.
    """
    rows = columns_of({"assignments": assignments}, "assignments", *COLUMNS)
    if staff is None or "ended_on" not in staff:
        return rows
    by_person = staff.drop_duplicates("staff_id").set_index("staff_id")
    last_days = rows["staff_id"].map(by_person["ended_on"])
    gone = pd.to_datetime(last_days)
    until = rows["to_date"]
    earlier = gone < until.fillna(pd.Timestamp.max)
    return rows.assign(to_date=until.where(~earlier, gone))


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
    stints = _typed("assignments", assignments, COLUMNS)[["client_id", "from_date"]]
    begin = stints.rename(columns={"from_date": "day"})
    numbers = np.arange(len(spells))
    about = spells.reindex(columns=["client_id", "start_date", "end_date", "rep_id"])
    ids = about["client_id"].astype("string")
    who = about.assign(row=numbers, client_id=ids)
    later = begin.merge(who, on="client_id")
    after_end = ~(later["day"] > later["end_date"])
    inside = (later["day"] > later["start_date"]) & after_end
    starting = who.assign(day=who["start_date"])
    parts = [starting, later[inside]]
    days = pd.concat(parts, ignore_index=True)
    reps = reps_on(days, "day", assignments, staff)
    with_rep = days.assign(rep=reps)
    days = with_rep.dropna(subset=["rep"])
    in_order = days.sort_values(["row", "day"], kind="stable")
    days = in_order.drop_duplicates(["row", "rep"])
    new = days[days["row"].duplicated()]
    ordered = new.sort_values(["client_id", "day"])
    return ordered[columns].reset_index(drop=True)


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
    people = staff.drop_duplicates("staff_id").set_index("staff_id")
    ended = pd.to_datetime(people["ended_on"])
    named = reps_on(on_day, "day", assignments, staff)
    nobody = named.isna()
    last_days = pd.to_datetime(on_paper.map(ended))
    return on_paper.where((last_days < day) & nobody)
