"""What is known of a client at signing and at each month's end, from rows on record by then
(features.toml, METHODS 7).

Written once in Narwhals expressions: the same numbers on pandas, Polars, DuckDB and Spark frames. A
row counts from the end of the month in which the last of its `known` dates falls, never by the date
it is about. Rows of one client that become known in the same month count together (the mean of
numbers; of terms and reps the latest to start, and of those the highest by number or name): so no
order of rows can matter.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import narwhals as nw

from retention.data.schema import SIGNING, TABLES
from retention.history.calendar import day_number, last_day_number, month_number
from retention.history.in_charge import FOREVER, with_reps
from retention.settings import Extra, ResultsSettings

FACTS = tomllib.loads(files("retention.history").joinpath("features.toml").read_text("utf-8"))
MEASURES: Mapping[str, Mapping[str, Any]] = FACTS["measures"]
FEATURES: Mapping[str, Mapping[str, Any]] = FACTS["features"]
THEMES: Mapping[str, str] = FACTS["themes"]
KEY = ["client_id", "engagement"]
SHORT, LONG = 3, 6  # months of the means that a change compares
# Beside the features: what a client pays and leaves, in money; the day on which its term
# turns; its own notice.
BESIDE = ("fee_a_month", "margin_a_month", "turn_day", "notice_days")
AGE = "age: "  # beside them too: months since anything of a theme was known
# of what a measure is: all that is known of the client, or of the engagement alone
CLIENT = "client"
MONTH_DAYS = 31  # the days of notice that a month of notice covers
BEFORE = 120  # (ours) months before the first engagement on record that are looked at
SOON = 3  # months to renewal that count as due: METHODS 7
NUMBERS = ("number", "integer", "term", "flag")
FAR = 10_000  # more than any term in months or notice in days: what a contract says, in one number
DETRACTOR, PROMOTER = 6, 9  # NPS points: STUDY C1
EMPTY: Mapping[str, Any] = {
    "date": nw.Datetime("us"),
    "month": nw.Datetime("us"),
    "flag": nw.Boolean,
} | dict.fromkeys(
    ("number", "integer", "term"), nw.Float64
)  # the type of a column that is not there, by kind; text is the rest
Lazy = nw.LazyFrame[Any]
Expr = nw.Expr


@dataclass(frozen=True)
class Window:
    """What is predicted at a month's end: leaving by choice in the `horizon` months after `gap`
    more. METHODS 7.
    """

    gap: int = 1
    horizon: int = 3
    notice: int = 1  # months

    def __post_init__(self) -> None:
        if self.gap < 0 or self.horizon < 1:
            raise ValueError(
                f"gap {self.gap}, horizon {self.horizon}: predict at least one month, and none "
                "that is over"
            )

    @property
    def ahead(self) -> int:
        """Months from the month's end until the outcome is known."""
        return self.gap + self.horizon


def feature_words(name: str) -> str:
    """What a feature is called: by features.toml, and the user's own columns by their names."""
    if name in FEATURES:
        return str(FEATURES[name]["words"])
    return name.removesuffix("_id").replace("_", " ")


def _known_from(rows: Lazy, days: Sequence[str]) -> Lazy:
    """The rows with the month in which the last of these days falls, blank ones passed over;
    without one, no row.
    """
    months = [month_number(nw.col(day)) for day in days]
    rows = rows.with_columns(month=nw.max_horizontal(*months) if len(months) > 1 else months[0])
    return rows.filter(~nw.col("month").is_null()).with_columns(nw.col("month").cast(nw.Int64))


def lazy(frame: Any) -> Lazy:
    """Any engine's frame as a lazy one."""
    return nw.from_native(frame).lazy()


def signing_features(engagements: Any, extra: Mapping[str, Extra] | None = None) -> Any:
    """What was known as each engagement began: its key, numbers (yes is 1) as floats, categories as
    text.

    A native frame of the engine of `engagements`. `extra` are the user's own columns; only those
    known at signing.
    """
    rows = lazy(engagements)
    kinds = {
        c.name: c.kind for c in TABLES["clients"].columns if c.known == SIGNING and c.kind != "date"
    }
    kinds |= {name: about.kind for name, about in (extra or {}).items() if about.known == SIGNING}
    for name in (
        "client_id",
        "name",
        "referred_by",
        "rep_id",
        "contract_term_months",
        "monthly_ad_spend",
    ):
        kinds.pop(name, None)  # known by month instead, or of one client only
    have = rows.collect_schema().names()
    there = {name: kind for name, kind in kinds.items() if name in have}
    numbers = [nw.col(name).cast(nw.Float64) for name, kind in there.items() if kind in NUMBERS]
    texts = [
        nw.col(name).cast(nw.String) for name, kind in there.items() if kind in ("category", "id")
    ]
    return rows.select(*KEY, *numbers, *texts).to_native()


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
    frames = {name: _whole(name, lazy(frame)) for name, frame in tables.items() if name in TABLES}
    engagements = _engagements(lazy(tables["engagements"]))
    made = _prepared(frames, results)
    groups = list(_groups(made))
    began = _first_on_record(engagements, groups)
    rows = _by_month(began, lazy(tables["months"]), "begins")
    for dated, measures in groups:
        rows = _counted(rows, dated, measures)
    have = set(rows.collect_schema().names())
    plain = {f: about for f, about in FEATURES.items() if f"{about.get('measure')}__n" in have}
    values = {
        name: _made(about["measure"], about["how"], about.get("months", SHORT))
        for name, about in plain.items()
    }
    values |= {
        name: joined for name, (needs, joined) in _joint(results.sign).items() if have >= set(needs)
    }
    values |= _ages(plain)
    rows = rows.with_columns(**values) if values else rows
    # the months before have shown what was known at its start
    rows = rows.filter(nw.col("month") >= nw.col("first"))
    rows = _in_charge(rows, frames)
    if "loads" in tables:
        rows = rows.join(lazy(tables["loads"]), on=["rep", "month"], how="left")
    else:
        load = nw.len().over("rep", "month").cast(nw.Float64)
        rows = rows.with_columns(rep_load=nw.when(~nw.col("rep").is_null()).then(load))
    rows = _calendar(
        _term_in_force(rows, engagements, frames.get("contracts"), window.notice), window
    )
    names = rows.collect_schema().names()
    keep = [*KEY, "month", *(name for name in (*FEATURES, *BESIDE) if name in names)]
    keep += [name for name in names if name.startswith(AGE)]
    return rows.filter(nw.col("month") >= since).select(*keep).to_native()


def _ages(features: Mapping[str, Mapping[str, Any]]) -> dict[str, Expr]:
    """Months since anything of a theme was known, by the name of its column."""
    ages = {}
    for theme in THEMES:
        seen = sorted(
            {f"{about['measure']}__seen" for about in features.values() if about["theme"] == theme}
        )
        if seen:
            newest = nw.max_horizontal(*seen) if len(seen) > 1 else nw.col(*seen)
            ages[f"{AGE}{theme}"] = nw.col("month") - newest
    return ages


def _engagements(engagements: Lazy) -> Lazy:
    """What is known of each engagement as it begins, and `gone`, the month in which its end had
    come and was known.
    """
    names = engagements.collect_schema().names()
    about = [name for name in ("rep_id", "promised_result", "spell") if name in names]
    gone = nw.max_horizontal(
        month_number(nw.col("end_date")), month_number(nw.col("recorded_date"))
    )
    rows = engagements.select(
        *KEY,
        *about,
        first=month_number(nw.col("start_date")).cast(nw.Int64),
        first_date=day_number(nw.col("start_date")).cast(nw.Int64),
        whole=(nw.col("start_date").dt.day() == 1).cast(nw.Int64),
        first_day=nw.col("start_date").dt.day().cast(nw.Int64),
        gone=nw.when(~nw.col("end_date").is_null()).then(gone),
        signed_term=nw.col("contract_term_months").cast(nw.Int64),
        log_size=nw.col("monthly_ad_spend").cast(nw.Float64).clip(lower_bound=1).log(),
    )
    if "spell" not in about:
        number = nw.col("engagement").cast(nw.String)
        rows = rows.with_columns(spell=nw.concat_str(nw.col("client_id"), number, separator=" "))
    return rows


def _by_month(engagements: Lazy, months: Lazy, begins: str) -> Lazy:
    """A row an engagement and month, from the month `begins` to the one in which its end had come
    and was on record.
    """
    rows = engagements.join(months.select("month"), how="cross")
    known = nw.col("gone").is_null() | (nw.col("month") < nw.col("gone"))
    return rows.filter((nw.col("month") >= nw.col(begins)) & known)


def _first_on_record(engagements: Lazy, groups: Sequence[tuple[Lazy, Sequence[str]]]) -> Lazy:
    """The engagements with the month `begins` in which anything of the client was first known, at
    the latest the first.

    Features that look at the client need those months as well: a flag noted before it signed, an
    earlier engagement.
    """
    rows = engagements.with_columns(begins=nw.col("first"))
    for dated, measures in groups:
        if _of_client(measures):
            earliest = dated.group_by("client_id").agg(earliest=nw.col("month").min())
            rows = rows.join(earliest, on="client_id", how="left")
            begins = nw.min_horizontal(nw.col("begins"), nw.col("earliest").fill_null(FOREVER))
            rows = rows.with_columns(begins=begins.cast(nw.Int64)).drop("earliest")
    return rows


def _of_client(measures: Sequence[str]) -> bool:
    return MEASURES[measures[0]]["of"] == CLIENT


def _whole(name: str, rows: Lazy) -> Lazy:
    """The table with every column that it may have, those that are not there blank."""
    have = rows.collect_schema().names()
    absent = {
        c.name: nw.lit(None, EMPTY.get(c.kind, nw.String))
        for c in TABLES[name].columns
        if c.name not in have
    }
    return rows.with_columns(**absent) if absent else rows


def _values(results: ResultsSettings) -> dict[str, dict[str, Expr]]:
    """What measures are made of that is no column of its table, by table."""
    nps = nw.col("nps")
    one = nw.lit(1.0)
    answered = ~nw.col("answered_on").is_null()
    visit = nw.col("kind").is_in(["visit", "event"])
    days = (day_number(nw.col("answered_on")) - day_number(nw.col("requested_on"))).cast(nw.Float64)
    detractor = nw.when(~nps.is_null()).then((nps <= DETRACTOR).cast(nw.Float64))
    out_of_scope = 1 - nw.col("in_scope").cast(nw.Float64)
    return {
        "surveys": {"asked": one, "answered": answered.cast(nw.Float64), "detractor": detractor},
        "results": {
            "log_value": _log("value"),
            "index": results.sign * (_log("value") - _log("target")),
        },
        "account_months": {"log_spend": _log("ad_spend"), "log_fee": _log("fee")},
        "meetings": {"one": one, "visit": nw.when(visit).then(one)},
        "flags": {"one": one},
        "requests": {"days_to_answer": nw.when(answered).then(days), "out_of_scope": out_of_scope},
    }


def _prepared(frames: Mapping[str, Lazy], results: ResultsSettings) -> dict[str, Lazy]:
    """The tables with the values that measures are made of, each row with its client."""
    values = _values(results)
    made = {
        name: rows.with_columns(**values[name]) if name in values else rows
        for name, rows in frames.items()
    }
    if "results" in made:
        made["results"] = made["results"].filter(nw.col("metric") == results.primary)
    if "hours" in made:
        unpaid = {
            "hourly_cost": nw.lit(None, nw.Float64),
            "started_on": nw.lit(None, nw.Datetime("us")),
        }
        hours = made["hours"].with_columns(**unpaid)
        if "staff" in made:
            pay = made["staff"].select("staff_id", *unpaid)
            hours = made["hours"].join(pay, on="staff_id", how="left")
        made["hours"] = hours.with_columns(cost=nw.col("hours") * nw.col("hourly_cost"))
    if "payments" in made and "invoices" in made:
        # A credit note is there from its day of issue on; a payment ahead of time settles nothing
        # older.
        due = nw.when(nw.col("amount") < 0).then(nw.col("issued_on")).otherwise(nw.col("due_on"))
        made["invoices"] = made["invoices"].with_columns(due_on=due)
        about = made["invoices"].select(
            "invoice_id", "client_id", "issued_on", "due_on", bill=nw.col("amount")
        )
        late = (day_number(nw.col("paid_on")) - day_number(nw.col("due_on"))).cast(nw.Float64)
        paid = (nw.col("bill") > 0) & (nw.col("amount") > 0)  # a refund is no late payment
        payments = made["payments"].join(about, on="invoice_id", how="inner")
        # Books differ in how they write that a credit note was paid out.
        amount = (
            nw.when(nw.col("bill") < 0).then(-nw.col("amount").abs()).otherwise(nw.col("amount"))
        )
        made["payments"] = payments.with_columns(amount=amount, days_late=nw.when(paid).then(late))
    else:
        made.pop("payments", None)  # whose they are is on the invoice
    return made


def _log(column: str) -> Expr:
    value = nw.col(column).cast(nw.Float64)
    return nw.when(value > 0).then(value).log()


def _groups(made: Mapping[str, Lazy]) -> Iterator[tuple[Lazy, Sequence[str]]]:
    """Measures that become known by the same days and look at the same, with their dated rows: a
    column a measure.
    """
    for name, table in made.items():
        columns = table.collect_schema().names()
        wanted = {
            m: about
            for m, about in MEASURES.items()
            if about["table"] == name and about["value"] in columns
        }
        for known, of in sorted(
            {(tuple(about["known"]), about["of"]) for about in wanted.values()}
        ):
            measures = [
                m
                for m, about in wanted.items()
                if (tuple(about["known"]), about["of"]) == (known, of)
            ]
            values = {m: nw.col(MEASURES[m]["value"]).cast(nw.Float64) for m in measures}
            yield _known_from(table.with_columns(**values), known), measures


def _counted(rows: Lazy, dated: Lazy, measures: Sequence[str]) -> Lazy:
    """The rows with the sum and the number of each measure's values, by the month in which they
    became known.
    """
    sums = {f"{m}__sum": nw.col(m).sum() for m in measures} | {
        f"{m}__n": nw.col(m).count() for m in measures
    }
    counts = dated.group_by("client_id", "month").agg(**sums)
    rows = rows.join(counts, on=["client_id", "month"], how="left")
    rows = rows.with_columns(nw.col(*sums).fill_null(0).cast(nw.Float64))
    if not _of_client(measures):
        inside = (nw.col("month") >= nw.col("first")).cast(nw.Float64)
        rows = rows.with_columns(nw.col(*sums) * inside)
    some = {m: nw.col(f"{m}__n") > 0 for m in measures}
    seen = {f"{m}__seen": nw.when(there).then(nw.col("month")) for m, there in some.items()}
    last = {
        f"{m}__last": nw.when(there).then(nw.col(f"{m}__sum") / nw.col(f"{m}__n"))
        for m, there in some.items()
    }
    rows = rows.with_columns(**seen, **last)
    carried = {
        name: _over(nw.col(name).fill_null(strategy="forward", limit=LONG - 1)) for name in last
    }
    carried |= {name: _over(nw.col(name).fill_null(strategy="forward")) for name in seen}
    return rows.with_columns(**carried)


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
    return (
        _over(nw.col(f"{measure}__last").shift(months))
        if how == "lag"
        else nw.col(f"{measure}__last")
    )


def rep_loads(tables: Mapping[str, Any]) -> Any:
    """How many of these clients each rep had in each month: `rep, month, rep_load`, in the engine
    of `tables`.
    """
    rows = _by_month(_engagements(lazy(tables["engagements"])), lazy(tables["months"]), "first")
    frames = {
        name: _whole(name, lazy(tables[name]))
        for name in ("assignments", "staff")
        if name in tables
    }
    rows = _in_charge(rows, frames).filter(~nw.col("rep").is_null())
    return rows.group_by("rep", "month").agg(rep_load=nw.len().cast(nw.Float64)).to_native()


def _in_charge(rows: Lazy, frames: Mapping[str, Lazy]) -> Lazy:
    """The rows with the `rep` in charge at the month's end, as far as then known, and
    `new_rep_since`, months.
    """
    named = (
        nw.col("rep_id") if "rep_id" in rows.collect_schema().names() else nw.lit(None, nw.String)
    )
    last = last_day_number(nw.col("month"))
    asked = rows.with_columns(day=last, began=nw.col("first_date"), named=named.cast(nw.String))
    rows = with_reps(asked, frames.get("assignments"), frames.get("staff"), ["spell", "month"])
    months = (nw.col("month") - nw.col("rep_since")).cast(nw.Float64)
    return rows.with_columns(new_rep_since=months) if "assignments" in frames else rows


def _term_in_force(rows: Lazy, engagements: Lazy, contracts: Lazy | None, notice: int) -> Lazy:
    """The rows with the term that holds, as far as then signed: of all terms the last to begin,
    ahead of time or not.

    Terms of an engagement are those that begin no earlier than a month before it, whenever they
    were signed. Adds `began` (month), `turn_day`, `term`, `notice_days` (blank: as usual), `notice`
    (months) and `lapses` (1 where it is not renewed by itself).
    """
    code = (nw.col("first") * MONTH_DAYS + nw.col("first_day") - 1) * FAR + nw.col("signed_term")
    code = (code * FAR + FAR - 1) * 2
    if contracts is not None:
        day = nw.col("term_start").dt.day().cast(nw.Int64)
        begins = month_number(nw.col("term_start")).cast(nw.Int64) * MONTH_DAYS + day - 1
        own = nw.col("notice_days").cast(nw.Float64).fill_null(FAR - 1).cast(nw.Int64)
        lapses = (1 - nw.col("auto_renew").cast(nw.Float64)).fill_null(0).cast(nw.Int64)
        signed = ((begins * FAR + nw.col("term_months").cast(nw.Int64)) * FAR + own) * 2 + lapses
        terms = _known_from(contracts, ["signed_on"]).with_columns(
            code=signed, turns=day_number(nw.col("term_start"))
        )
        terms = terms.select("client_id", "month", "code", "turns")
        terms = terms.join(
            engagements.select("client_id", "spell", "first", "first_date"),
            on="client_id",
            how="inner",
        )
        terms = terms.filter(nw.col("turns") > nw.col("first_date") - MONTH_DAYS)
        terms = terms.with_columns(
            month=nw.max_horizontal(nw.col("month"), nw.col("first")).cast(nw.Int64)
        )
        terms = terms.group_by("spell", "month").agg(newest=nw.col("code").max())
        rows = rows.join(terms, on=["spell", "month"], how="left").with_columns(
            nw.col("newest").fill_null(0)
        )
        rows = rows.with_columns(newest=_over(nw.col("newest").cast(nw.Int64).cum_max()))
        code = nw.when(nw.col("newest") > 0).then(nw.col("newest")).otherwise(code)
    rows = rows.with_columns(code=code)
    own = nw.col("code") // 2 % FAR
    start = nw.col("code") // (2 * FAR * FAR)
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
    """The rows with what the contract says of leaving; a renewal's month is that of the term's last
    paid day.

    Month-to-month clients can always leave, as can those whose term ran out and was not renewed. On
    a fixed term the last day to give notice lies the notice before the last paid day; a decision
    falls in that month, or, where terms turn in the middle of one, in the month before.
    """
    month = nw.col("month")
    whole = (nw.col("turn_day") == 1).cast(nw.Int64)
    served = month - nw.col("began") + whole
    over = (nw.col("lapses") == 1) & (served >= nw.col("term"))
    rows = rows.with_columns(
        served=served,
        whole_term=whole,
        term=nw.when(over).then(nw.lit(1)).otherwise(nw.col("term")),
    )
    term = nw.col("term")
    served = nw.col("served")
    # Of a term that is signed and yet to begin, all of it is still to come.
    ahead = nw.when(served < 0).then(term - served).otherwise(term - served % term)
    rows = rows.with_columns(
        months_to_renewal=ahead, tenure_months=month - nw.col("first") + nw.col("whole")
    )
    notice = nw.col("months_to_renewal") - nw.col("notice")
    least = window.gap + 1
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
    asked = _rolled("asked__sum", SHORT)
    answered = _rolled("answered__sum", SHORT)
    fees = _rolled("paid_fee__sum", SHORT)
    costs = _rolled("cost__sum", SHORT)
    paid = _rolled("paid_fee__n", SHORT)
    worked = _rolled("cost__n", SHORT)
    fee = nw.when(_rolled("paid_fee__n", LONG) > 0).then(
        _rolled("paid_fee__sum", LONG) / _rolled("paid_fee__n", LONG)
    )
    open_ = _over((nw.col("due__sum") - nw.col("paid__sum")).cum_sum())
    result = nw.when(_rolled("result__n", SHORT) > 0).then(
        _rolled("result__sum", SHORT) / _rolled("result__n", SHORT)
    )
    return {
        "silent_3": (
            ("asked__n", "answered__n"),
            nw.when(asked > 0).then((1 - answered / asked).clip(lower_bound=0)),
        ),
        "margin_3": (
            ("paid_fee__n", "cost__n"),
            nw.when((fees > 0) & (worked > 0)).then((1 - costs / fees).clip(lower_bound=-2)),
        ),
        "fee_a_month": (("paid_fee__n",), nw.when(paid > 0).then(fees / paid)),
        "margin_a_month": (
            ("paid_fee__n", "cost__n"),
            nw.when((paid > 0) & (worked > 0)).then((fees - costs) / paid),
        ),
        "arrears": (
            ("due__n", "paid__n", "paid_fee__n"),
            nw.when(fee > 0).then(open_.clip(lower_bound=0) / fee),
        ),
        "gap_3": (("result__n", "promised_result"), better * (_log("promised_result") - result)),
    }
