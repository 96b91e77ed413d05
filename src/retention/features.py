"""What is known of a client at signing and at each month's end, from rows on record by then (features.toml, METHODS 7).

Written once in Narwhals expressions: the same numbers on pandas, Polars, DuckDB and Spark frames. A row counts from the
end of the month in which the last of its `known` dates falls, never by the date it is about. Rows of one client that
become known in the same month count together (the mean of numbers; of terms and reps the latest to start, and of those
the highest by number or name): so no order of rows can matter.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import narwhals as nw

from retention.config import Extra, ResultsSettings
from retention.tables import SIGNING, TABLES

FACTS = tomllib.loads(files("retention").joinpath("features.toml").read_text("utf-8"))
MEASURES: Mapping[str, Mapping[str, Any]] = FACTS["measures"]
FEATURES: Mapping[str, Mapping[str, Any]] = FACTS["features"]
THEMES: Mapping[str, str] = FACTS["themes"]
KEY = ["client_id", "engagement"]
SHORT, LONG = 3, 6  # months of the means that a change compares
# Told beside the features: what a client pays and leaves, in money; the day on which its term turns; its own notice.
BESIDE = ("fee_a_month", "margin_a_month", "turn_day", "notice_days")
AGE = "age: "  # told beside them too: months since anything of a theme was known
MONTH_DAYS = 31  # the days of notice that a month of notice covers
SOON = 3  # months to renewal that count as due: METHODS 7, baselines
NUMBERS = ("number", "integer", "term", "flag")
FAR = 10_000  # more than any term in months or notice in days: what a contract says, in one number
DETRACTOR = 6  # NPS points: study row C1
EMPTY: Mapping[str, Any] = {"date": nw.Datetime("us"), "month": nw.Datetime("us"), "flag": nw.Boolean} | dict.fromkeys(
    ("number", "integer", "term"), nw.Float64
)  # the type of a column that is not there, by kind; text is the rest
Lazy = nw.LazyFrame[Any]
Expr = nw.Expr


@dataclass(frozen=True)
class Window:
    """What is foretold at a month's end: leaving by choice in the `horizon` months after `gap` more. METHODS 7."""

    gap: int = 1
    horizon: int = 3
    notice: int = 1  # months

    def __post_init__(self) -> None:
        if self.gap < 0 or self.horizon < 1:
            raise ValueError(
                f"gap {self.gap}, horizon {self.horizon}: foretell at least one month, and none that is over"
            )

    @property
    def ahead(self) -> int:
        """Months from the month's end until the outcome is known."""
        return self.gap + self.horizon


def month_number(day: Expr) -> Expr:
    """Months since the year 0, the engine's own dates turned into whole numbers."""
    return day.dt.year() * 12 + day.dt.month() - 1


def _day_number(day: Expr) -> Expr:
    """Days since the year 0 (civil calendar), by whole-number sums, which every engine can do."""
    year, month = day.dt.year(), day.dt.month()
    early = (month <= 2).cast(nw.Int64)
    year, month = year - early, month + early * 12
    return year * 365 + year // 4 - year // 100 + year // 400 + (153 * (month - 3) + 2) // 5 + day.dt.day()


def _known_from(rows: Lazy, days: Sequence[str]) -> Lazy:
    """The rows with the month in which the last of these days falls, blank ones passed over; without one, no row."""
    months = [month_number(nw.col(day)) for day in days]
    rows = rows.with_columns(month=nw.max_horizontal(*months) if len(months) > 1 else months[0])
    return rows.filter(~nw.col("month").is_null()).with_columns(nw.col("month").cast(nw.Int64))


def lazy(frame: Any) -> Lazy:
    """Any engine's frame as a lazy one."""
    return nw.from_native(frame).lazy()


def signing_features(engagements: Any, extra: Mapping[str, Extra] | None = None) -> Any:
    """What was known as each engagement began: its key, numbers (yes is 1) as floats, categories as text.

    A native frame of the engine of `engagements`. `extra` are the user's own columns; only those known at signing.
    """
    rows = lazy(engagements)
    kinds = {c.name: c.kind for c in TABLES["clients"].columns if c.known == SIGNING and c.kind != "date"}
    kinds |= {name: about.kind for name, about in (extra or {}).items() if about.known == SIGNING}
    for name in ("client_id", "name", "referred_by", "rep_id", "contract_term_months", "monthly_ad_spend"):
        kinds.pop(name, None)  # known by month instead, or of one client only
    told = {name: kind for name, kind in kinds.items() if name in rows.collect_schema().names()}
    numbers = [nw.col(name).cast(nw.Float64) for name, kind in told.items() if kind in NUMBERS]
    texts = [nw.col(name).cast(nw.String) for name, kind in told.items() if kind in ("category", "id")]
    return rows.select(*KEY, *numbers, *texts).to_native()


def month_features(tables: Mapping[str, Any], window: Window, told: ResultsSettings, since: int) -> Any:
    """What was known at each month's end of each engagement: its key, `month`, and a column a feature (features.toml).

    `tables` holds frames of one engine: `engagements` (as `build_spells` makes them), `months` (a column `month`, as
    `month_number`) and any of the input tables; without a table its features are missing. A column `spell` that numbers
    the engagements makes it quicker. With `loads` (`rep_loads` of everybody) the tables may be those of part of the
    clients. A row a month that an engagement was under way as far as then known, from month `since` on; a native frame
    of that engine.
    """
    frames = {name: _whole(name, lazy(frame)) for name, frame in tables.items() if name in TABLES}
    if "assignments" in frames:
        frames["assignments"] = _reps(frames["assignments"])
    rows = _under_way(lazy(tables["engagements"]), lazy(tables["months"]))
    for name, table in _prepared(frames, told).items():
        columns = table.collect_schema().names()
        wanted = {m: about for m, about in MEASURES.items() if about["table"] == name and about["value"] in columns}
        rows = _counted(rows, table, wanted) if wanted else rows
    rows = _in_charge(rows, frames.get("assignments"))
    if "loads" in tables:
        rows = rows.join(lazy(tables["loads"]), on=["rep", "month"], how="left")
    else:
        load = nw.len().over("rep", "month").cast(nw.Float64)
        rows = rows.with_columns(rep_load=nw.when(~nw.col("rep").is_null()).then(load))
    rows = _calendar(_term_in_force(rows, frames.get("contracts"), window.notice), window)
    have = set(rows.collect_schema().names())
    plain = {f: about for f, about in FEATURES.items() if f"{about.get('measure')}__n" in have}
    made = {name: _made(about["measure"], about["how"], about.get("months", SHORT)) for name, about in plain.items()}
    made |= {name: joined for name, (needs, joined) in _joint(told.sign).items() if have >= set(needs)}
    themes = {t: {f"{a['measure']}__seen" for a in plain.values() if a["theme"] == t} for t in THEMES}
    for theme, seen in themes.items():
        if seen:
            newest = nw.max_horizontal(*sorted(seen)) if len(seen) > 1 else nw.col(*seen)
            made[f"{AGE}{theme}"] = nw.col("month") - newest
    rows = rows.with_columns(**made) if made else rows
    names = rows.collect_schema().names()
    keep = [*KEY, "month", *(name for name in (*FEATURES, *BESIDE) if name in names)]
    keep += [name for name in names if name.startswith(AGE)]
    return rows.filter(nw.col("month") >= since).select(*keep).to_native()


def _under_way(engagements: Lazy, months: Lazy) -> Lazy:
    """A row an engagement and month, from its first month to the one in which its end had come and was on record."""
    names = engagements.collect_schema().names()
    about = [name for name in ("rep_id", "promised_result", "spell") if name in names]
    gone = nw.max_horizontal(month_number(nw.col("end_date")), month_number(nw.col("recorded_date")))
    rows = engagements.select(
        *KEY,
        *about,
        first=month_number(nw.col("start_date")).cast(nw.Int64),
        whole=(nw.col("start_date").dt.day() == 1).cast(nw.Int64),
        first_day=nw.col("start_date").dt.day().cast(nw.Int64),
        gone=nw.when(~nw.col("end_date").is_null()).then(gone),
        signed_term=nw.col("contract_term_months").cast(nw.Int64),
        log_size=nw.col("monthly_ad_spend").cast(nw.Float64).clip(lower_bound=1).log(),
    )
    if "spell" not in about:
        number = nw.col("engagement").cast(nw.String)
        rows = rows.with_columns(spell=nw.concat_str(nw.col("client_id"), number, separator=" "))
    rows = rows.join(months.select("month"), how="cross")
    known = nw.col("gone").is_null() | (nw.col("month") < nw.col("gone"))
    return rows.filter((nw.col("month") >= nw.col("first")) & known)


def _whole(name: str, rows: Lazy) -> Lazy:
    """The table with every column that it may have, those that are not there blank."""
    have = rows.collect_schema().names()
    absent = {c.name: nw.lit(None, EMPTY.get(c.kind, nw.String)) for c in TABLES[name].columns if c.name not in have}
    return rows.with_columns(**absent) if absent else rows


def _values(told: ResultsSettings) -> dict[str, dict[str, Expr]]:
    """What measures are made of that is no column of its table, by table."""
    nps, one = nw.col("nps"), nw.lit(1.0)
    answered, visit = ~nw.col("answered_on").is_null(), nw.col("kind").is_in(["visit", "event"])
    days = (_day_number(nw.col("answered_on")) - _day_number(nw.col("requested_on"))).cast(nw.Float64)
    detractor = nw.when(~nps.is_null()).then((nps <= DETRACTOR).cast(nw.Float64))
    out_of_scope = 1 - nw.col("in_scope").cast(nw.Float64)
    return {
        "surveys": {"asked": one, "answered": answered.cast(nw.Float64), "detractor": detractor},
        "results": {"log_value": _log("value"), "index": told.sign * (_log("value") - _log("target"))},
        "account_months": {"log_spend": _log("ad_spend"), "log_fee": _log("fee")},
        "meetings": {"one": one, "visit": nw.when(visit).then(one)},
        "flags": {"one": one},
        "assignments": {"one": one},
        "requests": {"days_to_answer": nw.when(answered).then(days), "out_of_scope": out_of_scope},
    }


def _prepared(frames: Mapping[str, Lazy], told: ResultsSettings) -> dict[str, Lazy]:
    """The tables with the values that measures are made of, each row with its client."""
    values = _values(told)
    made = {name: rows.with_columns(**values[name]) if name in values else rows for name, rows in frames.items()}
    if "results" in made:
        made["results"] = made["results"].filter(nw.col("metric") == told.primary)
    if "hours" in made:
        unpaid = {"hourly_cost": nw.lit(None, nw.Float64), "started_on": nw.lit(None, nw.Datetime("us"))}
        hours = made["hours"].with_columns(**unpaid)
        if "staff" in made:
            pay = made["staff"].select("staff_id", *unpaid)
            hours = made["hours"].join(pay, on="staff_id", how="left")
        made["hours"] = hours.with_columns(cost=nw.col("hours") * nw.col("hourly_cost"))
    if "payments" in made and "invoices" in made:
        about = made["invoices"].select("invoice_id", "client_id", "issued_on", "due_on")
        late = (_day_number(nw.col("paid_on")) - _day_number(nw.col("due_on"))).cast(nw.Float64)
        made["payments"] = made["payments"].join(about, on="invoice_id", how="inner").with_columns(days_late=late)
    else:
        made.pop("payments", None)  # whose they are is on the invoice
    return made


def _log(column: str) -> Expr:
    value = nw.col(column).cast(nw.Float64)
    return nw.when(value > 0).then(value).log()


def _counted(rows: Lazy, made: Lazy, wanted: Mapping[str, Mapping[str, Any]]) -> Lazy:
    """The rows with the sum and the number of each measure's values, by the month in which they became known."""
    for known in sorted({tuple(about["known"]) for about in wanted.values()}):
        values = {
            m: nw.col(about["value"]).cast(nw.Float64) for m, about in wanted.items() if tuple(about["known"]) == known
        }
        dated = _known_from(made.with_columns(**values), known)
        sums = {f"{m}__sum": nw.col(m).sum() for m in values} | {f"{m}__n": nw.col(m).count() for m in values}
        counts = dated.group_by("client_id", "month").agg(**sums)
        rows = rows.join(counts, on=["client_id", "month"], how="left").with_columns(
            nw.col(*sums).fill_null(0).cast(nw.Float64)
        )
        some = {m: nw.col(f"{m}__n") > 0 for m in values}
        told = {f"{m}__seen": nw.when(there).then(nw.col("month")) for m, there in some.items()}
        told |= {
            f"{m}__last": nw.when(there).then(nw.col(f"{m}__sum") / nw.col(f"{m}__n")) for m, there in some.items()
        }
        rows = rows.with_columns(**told)
        carried = {
            f"{m}__last": _over(nw.col(f"{m}__last").fill_null(strategy="forward", limit=LONG - 1)) for m in some
        }
        carried |= {f"{m}__seen": _over(nw.col(f"{m}__seen").fill_null(strategy="forward")) for m in some}
        rows = rows.with_columns(**carried)
    return rows


def _over(values: Expr) -> Expr:
    return values.over("spell", order_by="month")


def _rolled(column: str, months: int) -> Expr:
    return _over(nw.col(column).rolling_sum(months, min_samples=1))


def _made(measure: str, how: str, months: int) -> Expr:
    """One feature from the sums and numbers of its measure."""

    def mean(span: int) -> Expr:
        count = _rolled(f"{measure}__n", span)
        return nw.when(count > 0.5).then(_rolled(f"{measure}__sum", span) / count)

    if how == "total":
        return _rolled(f"{measure}__sum", months)
    if how == "mean":
        return mean(months)
    if how == "change":
        return mean(SHORT) - mean(LONG)
    if how == "since":
        return nw.col("month") - nw.col(f"{measure}__seen")
    return _over(nw.col(f"{measure}__last").shift(months)) if how == "lag" else nw.col(f"{measure}__last")


def rep_loads(tables: Mapping[str, Any]) -> Any:
    """How many of these clients each rep had in each month: `rep, month, rep_load`, in the engine of `tables`."""
    rows = _under_way(lazy(tables["engagements"]), lazy(tables["months"]))
    named = _reps(_whole("assignments", lazy(tables["assignments"]))) if "assignments" in tables else None
    rows = _in_charge(rows, named).filter(~nw.col("rep").is_null())
    return rows.group_by("rep", "month").agg(rep_load=nw.len().cast(nw.Float64)).to_native()


def _reps(assignments: Lazy) -> Lazy:
    return assignments.filter((nw.col("role") == "rep") | nw.col("role").is_null())


def _in_charge(rows: Lazy, assignments: Lazy | None) -> Lazy:
    """The rows with their rep in charge, as far as then known."""
    if assignments is not None:
        told = _known_from(assignments, ["from_date", "recorded_at"])
        told = told.with_columns(day=_day_number(nw.col("from_date")))
        latest = told.filter(nw.col("day") == nw.col("day").max().over("client_id", "month"))
        reps = latest.group_by("client_id", "month").agg(rep=nw.col("staff_id").max(), day=nw.col("day").max())
        rows = rows.join(reps, on=["client_id", "month"], how="left").with_columns(nw.col("day").fill_null(0))
        # One that began before the present rep's and was written down late takes nothing over.
        rows = rows.with_columns(newest=_over(nw.col("day").cast(nw.Int64).cum_max()))
        rows = rows.with_columns(rep=nw.when(nw.col("day") == nw.col("newest")).then(nw.col("rep")))
        rows = rows.with_columns(rep=_over(nw.col("rep").fill_null(strategy="forward")))
    named = nw.col("rep_id") if "rep_id" in rows.collect_schema().names() else nw.lit(None, nw.String)
    return rows.with_columns(rep=named if assignments is None else nw.coalesce(nw.col("rep"), named))


def _term_in_force(rows: Lazy, contracts: Lazy | None, notice: int) -> Lazy:
    """The rows with the term that holds, as far as then signed: of all terms the last to begin, ahead of time or not.

    Adds `began` (month), `turn_day`, `term`, `notice_days` (blank: as usual), `notice` (months) and `lapses` (1 where
    it is not renewed by itself).
    """
    code = (nw.col("first") * MONTH_DAYS + nw.col("first_day") - 1) * FAR + nw.col("signed_term")
    code = (code * FAR + FAR - 1) * 2
    if contracts is not None:
        day = nw.col("term_start").dt.day().cast(nw.Int64)
        begins = month_number(nw.col("term_start")).cast(nw.Int64) * MONTH_DAYS + day - 1
        own = nw.col("notice_days").cast(nw.Float64).fill_null(FAR - 1).cast(nw.Int64)
        lapses = (1 - nw.col("auto_renew").cast(nw.Float64)).fill_null(0).cast(nw.Int64)
        signed = ((begins * FAR + nw.col("term_months").cast(nw.Int64)) * FAR + own) * 2 + lapses
        told = _known_from(contracts, ["signed_on"]).with_columns(code=signed)
        told = told.group_by("client_id", "month").agg(told=nw.col("code").max())
        rows = rows.join(told, on=["client_id", "month"], how="left").with_columns(nw.col("told").fill_null(0))
        rows = rows.with_columns(told=_over(nw.col("told").cast(nw.Int64).cum_max()))
        code = nw.when(nw.col("told") > 0).then(nw.col("told")).otherwise(code)
    rows = rows.with_columns(code=code)
    own, start = nw.col("code") // 2 % FAR, nw.col("code") // (2 * FAR * FAR)
    rows = rows.with_columns(
        began=start // MONTH_DAYS,
        turn_day=start % MONTH_DAYS + 1,
        term=nw.col("code") // (2 * FAR) % FAR,
        lapses=nw.col("code") % 2,
        notice_days=nw.when(own < FAR - 1).then(own),
        notice=nw.when(own < FAR - 1).then((own + MONTH_DAYS - 1) // MONTH_DAYS).otherwise(notice),
    )
    free = nw.col("lapses") == 1  # what ends by itself takes no notice
    zero = nw.lit(0)
    return rows.with_columns(
        notice=nw.when(free).then(zero).otherwise(nw.col("notice")),
        notice_days=nw.when(free).then(zero).otherwise(nw.col("notice_days")),
    )


def _calendar(rows: Lazy, window: Window) -> Lazy:
    """The rows with what the contract says of leaving; a renewal's month is that of the term's last paid day.

    Month-to-month clients can always leave, as can those whose term ran out and was not renewed. On a fixed term the
    last day to give notice lies the notice before the last paid day; a decision falls in that month, or, where terms
    turn in the middle of one, in the month before.
    """
    month, whole = nw.col("month"), (nw.col("turn_day") == 1).cast(nw.Int64)
    served = month - nw.col("began") + whole
    over = (nw.col("lapses") == 1) & (served >= nw.col("term"))
    rows = rows.with_columns(
        served=served, whole_term=whole, term=nw.when(over).then(nw.lit(1)).otherwise(nw.col("term"))
    )
    term, served = nw.col("term"), nw.col("served")
    # Of a term that is signed and yet to begin, all of it is still to come.
    ahead = nw.when(served < 0).then(term - served).otherwise(term - served % term)
    rows = rows.with_columns(months_to_renewal=ahead, tenure_months=month - nw.col("first") + nw.col("whole"))
    notice, least = nw.col("months_to_renewal") - nw.col("notice"), window.gap + 1
    missed = nw.when(notice < least).then((least - notice + term - 1) // term).otherwise(0)
    reach = notice + missed * term <= window.ahead + 1 - nw.col("whole_term")
    monthly = (term == 1) & (served >= 0)
    return rows.with_columns(
        monthly=monthly.cast(nw.Float64),
        exit_possible=(monthly | reach).cast(nw.Float64),
        renewal_due=(~monthly & (nw.col("months_to_renewal") <= SOON)).cast(nw.Float64),
        first_half_year=(nw.col("tenure_months") < LONG).cast(nw.Float64),
        term_months=term,
    )


def _joint(better: int) -> dict[str, tuple[Sequence[str], Expr]]:
    """Features made of more than one measure: what each needs, and how it is made."""
    asked, answered = _rolled("asked__sum", SHORT), _rolled("answered__sum", SHORT)
    fees, costs = _rolled("paid_fee__sum", SHORT), _rolled("cost__sum", SHORT)
    told, worked = _rolled("paid_fee__n", SHORT), _rolled("cost__n", SHORT)
    fee = nw.when(_rolled("paid_fee__n", LONG) > 0).then(_rolled("paid_fee__sum", LONG) / _rolled("paid_fee__n", LONG))
    open_ = _over((nw.col("due__sum") - nw.col("paid__sum")).cum_sum())
    result = nw.when(_rolled("result__n", SHORT) > 0).then(_rolled("result__sum", SHORT) / _rolled("result__n", SHORT))
    return {
        "silent_3": (("asked__n", "answered__n"), nw.when(asked > 0).then((1 - answered / asked).clip(lower_bound=0))),
        "margin_3": (
            ("paid_fee__n", "cost__n"),
            nw.when((fees > 0) & (worked > 0)).then((1 - costs / fees).clip(lower_bound=-2)),
        ),
        "fee_a_month": (("paid_fee__n",), nw.when(told > 0).then(fees / told)),
        "margin_a_month": (("paid_fee__n", "cost__n"), nw.when((told > 0) & (worked > 0)).then((fees - costs) / told)),
        "arrears": (("due__n", "paid__n", "paid_fee__n"), nw.when(fee > 0).then(open_.clip(lower_bound=0) / fee)),
        "gap_3": (("result__n", "promised_result"), better * (_log("promised_result") - result)),
    }
