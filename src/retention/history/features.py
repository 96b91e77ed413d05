"""What is known of a client at signing and at each month's end, from rows on record by then
(features.toml, METHODS 7).

Written once in Narwhals expressions: the same numbers on pandas, Polars, DuckDB and Spark frames. A
row counts from the end of the month in which the last of its `known` dates falls, never by the date
it is about. Rows of one client that become known in the same month count together (the mean of
numbers; of terms and reps the latest to start, and of those the highest by number or name): so no
order of rows can matter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import narwhals as nw

from retention.data.schema import SIGNING, TABLES
from retention.history.calendar import day_number, last_day_number, month_number
from retention.history.in_charge import FOREVER, with_reps
from retention.history.measures import (
    FEATURES,
    SHORT,
    THEMES,
    Expr,
    Lazy,
    counted,
    groups,
    joint,
    lazy,
    made,
    of_client,
    prepared,
    whole,
)
from retention.history.term_in_force import term_in_force, with_calendar
from retention.history.window import Window
from retention.settings import Extra, ResultsSettings

KEY = ["client_id", "engagement"]
# Beside the features: what a client pays and leaves, in money; the day on which its term
# turns; its own notice.
BESIDE = ("fee_a_month", "margin_a_month", "turn_day", "notice_days")
AGE = "age: "  # beside them too: months since anything of a theme was known
BEFORE = 120  # (ours) months before the first engagement on record that are looked at
NUMBERS = ("number", "integer", "term", "flag")
TEXTS = ("category", "id")
# known by month instead, or of one client only
NOT_AT_SIGNING = (
    "client_id",
    "name",
    "referred_by",
    "rep_id",
    "contract_term_months",
    "monthly_ad_spend",
)


def feature_words(name: str) -> str:
    """What a feature is called: by features.toml, and the user's own columns by their names."""
    if name in FEATURES:
        return str(FEATURES[name]["words"])
    return name.removesuffix("_id").replace("_", " ")


def signing_features(engagements: Any, extra: Mapping[str, Extra] | None = None) -> Any:
    """What was known as each engagement began: its key, numbers (yes is 1) as floats, categories as
    text.

    A native frame of the engine of `engagements`. `extra` are the user's own columns; only those
    known at signing.
    """
    rows = lazy(engagements)
    have = rows.collect_schema().names()
    numbers = []
    texts = []
    kinds = _kinds_at_signing(extra or {})
    for name, kind in kinds.items():
        if name not in have:
            continue
        if kind in NUMBERS:
            numbers.append(nw.col(name).cast(nw.Float64))
        elif kind in TEXTS:
            texts.append(nw.col(name).cast(nw.String))
    chosen = rows.select(*KEY, *numbers, *texts)
    return chosen.to_native()


def _kinds_at_signing(extra: Mapping[str, Extra]) -> dict[str, str]:
    """The kind of each column that is known at signing and describes a client from then on."""
    kinds = {}
    for column in TABLES["clients"].columns:
        if column.known == SIGNING and column.kind != "date":
            kinds[column.name] = column.kind
    for name, about in extra.items():
        if about.known == SIGNING:
            kinds[name] = about.kind
    return {name: kind for name, kind in kinds.items() if name not in NOT_AT_SIGNING}


def month_features(
    tables: Mapping[str, Any], window: Window, results: ResultsSettings, since: int
) -> Any:
    """What was known at each month's end of each engagement: its key, `month`, and a column a
    feature (features.toml).

    `tables` holds frames of one engine: `engagements` (as `build_spells` makes them), `months` (a
    column `month`, as `calendar.month_number`, from `BEFORE` months before the first engagement on)
    and any of the input tables; without a table its features are missing. A column `spell` that
    numbers the engagements makes it quicker. With `loads` (`rep_loads` of everybody) the tables may
    be those of part of the clients. A row a month that an engagement was running as far as then
    known, from month `since` on; a native frame of that engine.
    """
    frames = {name: whole(name, lazy(frame)) for name, frame in tables.items() if name in TABLES}
    engagements = _engagements(lazy(tables["engagements"]))
    dated = list(groups(prepared(frames, results)))
    began = _first_on_record(engagements, dated)
    months = lazy(tables["months"])
    rows = _by_month(began, months, "begins")
    for known, measures in dated:
        rows = counted(rows, known, measures)
    rows = _with_measured(rows, results.sign)
    # the months before have shown what was known at its start
    begun = nw.col("month") >= nw.col("first")
    rows = rows.filter(begun)
    rows = _in_charge(rows, frames)
    rows = _with_load(rows, tables.get("loads"))
    contracts = frames.get("contracts")
    rows = term_in_force(rows, engagements, contracts, window.notice)
    rows = with_calendar(rows, window)
    wanted = nw.col("month") >= since
    lately = rows.filter(wanted)
    columns_kept = lately.select(*_kept(rows))
    return columns_kept.to_native()


def _kept(rows: Lazy) -> list[str]:
    """The columns that are given back, of those that these rows have."""
    names = rows.collect_schema().names()
    features = [name for name in (*FEATURES, *BESIDE) if name in names]
    ages = [name for name in names if name.startswith(AGE)]
    return [*KEY, "month", *features, *ages]


def _with_measured(rows: Lazy, better: int) -> Lazy:
    """The rows with every feature whose measures they have, and with the ages of each theme."""
    have = set(rows.collect_schema().names())
    plain = {}
    for name, about in FEATURES.items():
        if f"{about.get('measure')}__n" in have:
            plain[name] = about
    values = {}
    for name, about in plain.items():
        months = about.get("months", SHORT)
        values[name] = made(about["measure"], about["how"], months)
    for name, (needs, joined) in joint(better).items():
        if have >= set(needs):
            values[name] = joined
    values |= _ages(plain)
    return rows.with_columns(**values) if values else rows


def _ages(features: Mapping[str, Mapping[str, Any]]) -> dict[str, Expr]:
    """Months since anything of a theme was known, by the name of its column."""
    ages = {}
    for theme in THEMES:
        measures = {about["measure"] for about in features.values() if about["theme"] == theme}
        seen = sorted(f"{measure}__seen" for measure in measures)
        if seen:
            newest = nw.max_horizontal(*seen) if len(seen) > 1 else nw.col(*seen)
            ages[f"{AGE}{theme}"] = nw.col("month") - newest
    return ages


def _with_load(rows: Lazy, loads: Any) -> Lazy:
    """The rows with how many clients the rep in charge had; counted here unless `loads` says it."""
    if loads is not None:
        key = ["rep", "month"]
        return rows.join(lazy(loads), on=key, how="left")
    number = nw.len().over("rep", "month")
    load = number.cast(nw.Float64)
    in_charge = ~nw.col("rep").is_null()
    counted_load = nw.when(in_charge).then(load)
    return rows.with_columns(rep_load=counted_load)


def _engagements(engagements: Lazy) -> Lazy:
    """What is known of each engagement as it begins, and `gone`, the month in which its end had
    come and was known.
    """
    names = engagements.collect_schema().names()
    about = [name for name in ("rep_id", "promised_result", "spell") if name in names]
    start = nw.col("start_date")
    end = nw.col("end_date")
    recorded = month_number(nw.col("recorded_date"))
    gone = nw.max_horizontal(month_number(end), recorded)
    planned = nw.col("monthly_ad_spend")
    spend = planned.cast(nw.Float64)
    first_of_month = start.dt.day() == 1
    rows = engagements.select(
        *KEY,
        *about,
        first=month_number(start).cast(nw.Int64),
        first_date=day_number(start).cast(nw.Int64),
        whole=first_of_month.cast(nw.Int64),
        first_day=start.dt.day().cast(nw.Int64),
        gone=nw.when(~end.is_null()).then(gone),
        signed_term=nw.col("contract_term_months").cast(nw.Int64),
        log_size=spend.clip(lower_bound=1).log(),
    )
    if "spell" not in about:
        engagement = nw.col("engagement")
        number = engagement.cast(nw.String)
        client = nw.col("client_id")
        spell = nw.concat_str(client, number, separator=" ")
        rows = rows.with_columns(spell=spell)
    return rows


def _by_month(engagements: Lazy, months: Lazy, begins: str) -> Lazy:
    """A row an engagement and month, from the month `begins` to the one in which its end had come
    and was on record.
    """
    every_month = months.select("month")
    rows = engagements.join(every_month, how="cross")
    month = nw.col("month")
    gone = nw.col("gone")
    begun = month >= nw.col(begins)
    there = gone.is_null() | (month < gone)
    return rows.filter(begun & there)


def _first_on_record(engagements: Lazy, groups: Sequence[tuple[Lazy, Sequence[str]]]) -> Lazy:
    """The engagements with the month `begins` in which anything of the client was first known, at
    the latest the first.

    Features that look at the client need those months as well: a flag noted before it signed, an
    earlier engagement.
    """
    first = nw.col("first")
    rows = engagements.with_columns(begins=first)
    for dated, measures in groups:
        if of_client(measures):
            first_known = nw.col("month").min()
            earliest = dated.group_by("client_id").agg(earliest=first_known)
            rows = rows.join(earliest, on="client_id", how="left")
            known = nw.col("earliest").fill_null(FOREVER)
            so_far = nw.col("begins")
            begins = nw.min_horizontal(so_far, known)
            whole_begins = begins.cast(nw.Int64)
            rows = rows.with_columns(begins=whole_begins).drop("earliest")
    return rows


def rep_loads(tables: Mapping[str, Any]) -> Any:
    """How many of these clients each rep had in each month: `rep, month, rep_load`, in the engine
    of `tables`.
    """
    engagements = _engagements(lazy(tables["engagements"]))
    months = lazy(tables["months"])
    rows = _by_month(engagements, months, "first")
    frames = {}
    for name in ("assignments", "staff"):
        if name in tables:
            table = lazy(tables[name])
            frames[name] = whole(name, table)
    known_rep = ~nw.col("rep").is_null()
    rows = _in_charge(rows, frames).filter(known_rep)
    number = nw.len().cast(nw.Float64)
    by_rep = rows.group_by("rep", "month")
    return by_rep.agg(rep_load=number).to_native()


def _in_charge(rows: Lazy, frames: Mapping[str, Lazy]) -> Lazy:
    """The rows with the `rep` in charge at the month's end, as far as then known, and
    `new_rep_since`, months.
    """
    known = "rep_id" in rows.collect_schema().names()
    named = nw.col("rep_id") if known else nw.lit(None, nw.String)
    last = last_day_number(nw.col("month"))
    named_text = named.cast(nw.String)
    first_date = nw.col("first_date")
    asked = rows.with_columns(day=last, began=first_date, named=named_text)
    assignments = frames.get("assignments")
    staff = frames.get("staff")
    key = ["spell", "month"]
    rows = with_reps(asked, assignments, staff, key)
    if assignments is None:
        return rows
    month = nw.col("month")
    months = month - nw.col("rep_since")
    whole_months = months.cast(nw.Float64)
    return rows.with_columns(new_rep_since=whole_months)
