"""What the tables hold that features are made of (features.toml), by the month it became known.

A row counts from the end of the month in which the last of its `known` dates falls, never by the
date it is about. Rows of one client that become known in the same month count together, so that no
order of rows can matter. METHODS 7.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any

import narwhals as nw

from retention.data.schema import TABLES
from retention.history.calendar import day_number, month_number
from retention.settings import ResultsSettings

FACTS = tomllib.loads(files("retention.history").joinpath("features.toml").read_text("utf-8"))
MEASURES: Mapping[str, Mapping[str, Any]] = FACTS["measures"]
FEATURES: Mapping[str, Mapping[str, Any]] = FACTS["features"]
THEMES: Mapping[str, str] = FACTS["themes"]
SHORT, LONG = 3, 6  # months of the means that a change compares
# of what a measure is: all that is known of the client, or of the engagement alone
CLIENT = "client"
DETRACTOR, PROMOTER = 6, 9  # NPS points: STUDY C1
# the type of a column that is not there, by kind; text is the rest
EMPTY: Mapping[str, Any] = {
    "date": nw.Datetime("us"),
    "month": nw.Datetime("us"),
    "flag": nw.Boolean,
    "number": nw.Float64,
    "integer": nw.Float64,
    "term": nw.Float64,
}
Lazy = nw.LazyFrame[Any]
Expr = nw.Expr


def lazy(frame: Any) -> Lazy:
    """Any engine's frame as a lazy one."""
    return nw.from_native(frame).lazy()


def whole(name: str, rows: Lazy) -> Lazy:
    """The table with every column that it may have, those that are not there blank."""
    have = rows.collect_schema().names()
    absent = {}
    for column in TABLES[name].columns:
        if column.name not in have:
            blank = EMPTY.get(column.kind, nw.String)
            absent[column.name] = nw.lit(None, blank)
    return rows.with_columns(**absent) if absent else rows


def prepared(frames: Mapping[str, Lazy], results: ResultsSettings) -> dict[str, Lazy]:
    """The tables with the values that measures are made of, each row with its client."""
    values = _values(results)
    tables = {}
    for name, rows in frames.items():
        own = values.get(name)
        tables[name] = rows.with_columns(**own) if own else rows
    if "results" in tables:
        primary = nw.col("metric") == results.primary
        tables["results"] = tables["results"].filter(primary)
    if "hours" in tables:
        staff = tables.get("staff")
        tables["hours"] = _with_cost(tables["hours"], staff)
    if "payments" in tables and "invoices" in tables:
        invoices = _with_due_day(tables["invoices"])
        tables["invoices"] = invoices
        tables["payments"] = _with_lateness(tables["payments"], invoices)
    else:
        tables.pop("payments", None)  # whose they are is on the invoice
    return tables


def _values(results: ResultsSettings) -> dict[str, dict[str, Expr]]:
    """What measures are made of that is no column of its table, by table."""
    one = nw.lit(1.0)
    return {
        "surveys": _answers(one),
        "results": {
            "log_value": _log("value"),
            "index": results.sign * (_log("value") - _log("target")),
        },
        "account_months": {"log_spend": _log("ad_spend"), "log_fee": _log("fee")},
        "meetings": {"one": one, "visit": _visits(one)},
        "flags": {"one": one},
        "requests": _replies(),
    }


def _answers(one: Expr) -> dict[str, Expr]:
    """What an invitation to a survey shows: asked, answered, and whether by a detractor."""
    nps = nw.col("nps")
    answered = ~nw.col("answered_on").is_null()
    low = (nps <= DETRACTOR).cast(nw.Float64)
    given = ~nps.is_null()
    return {
        "asked": one,
        "answered": answered.cast(nw.Float64),
        "detractor": nw.when(given).then(low),
    }


def _visits(one: Expr) -> Expr:
    """One for a meeting in person, else missing."""
    kind = nw.col("kind")
    in_person = kind.is_in(["visit", "event"])
    return nw.when(in_person).then(one)


def _replies() -> dict[str, Expr]:
    """What a request shows: days to the answer, and whether it was outside the contract."""
    asked = day_number(nw.col("requested_on"))
    replied = day_number(nw.col("answered_on"))
    days = (replied - asked).cast(nw.Float64)
    answered = ~nw.col("answered_on").is_null()
    inside = nw.col("in_scope")
    return {
        "days_to_answer": nw.when(answered).then(days),
        "out_of_scope": 1 - inside.cast(nw.Float64),
    }


def _log(column: str) -> Expr:
    """The logarithm of a column; missing where it is not above 0."""
    number = nw.col(column)
    value = number.cast(nw.Float64)
    positive = nw.when(value > 0)
    return positive.then(value).log()


def _with_cost(hours: Lazy, staff: Lazy | None) -> Lazy:
    """The hours with what they cost, and with the day from which that was known."""
    unpaid = {
        "hourly_cost": nw.lit(None, nw.Float64),
        "started_on": nw.lit(None, nw.Datetime("us")),
    }
    rows = hours.with_columns(**unpaid)
    if staff is not None:
        pay = staff.select("staff_id", *unpaid)
        rows = hours.join(pay, on="staff_id", how="left")
    cost = nw.col("hours") * nw.col("hourly_cost")
    return rows.with_columns(cost=cost)


def _with_due_day(invoices: Lazy) -> Lazy:
    """The invoices with the day from which they count.

    A credit note is there from its day of issue on; a payment ahead of time settles nothing older.
    """
    credit = nw.col("amount") < 0
    credited = nw.when(credit)
    issued = credited.then(nw.col("issued_on"))
    due = issued.otherwise(nw.col("due_on"))
    return invoices.with_columns(due_on=due)


def _with_lateness(payments: Lazy, invoices: Lazy) -> Lazy:
    """The payments with what is on their invoice, and by how many days they are late."""
    amount = nw.col("amount")
    bill = nw.col("bill")
    about = invoices.select("invoice_id", "client_id", "issued_on", "due_on", bill=amount)
    paid_on = day_number(nw.col("paid_on"))
    due_on = day_number(nw.col("due_on"))
    late = (paid_on - due_on).cast(nw.Float64)
    paid = (bill > 0) & (amount > 0)  # a refund is no late payment
    # Books differ in how they write that a credit note was paid out.
    refund = nw.when(bill < 0)
    refunded = refund.then(-amount.abs())
    settled = refunded.otherwise(amount)
    rows = payments.join(about, on="invoice_id", how="inner")
    lateness = nw.when(paid).then(late)
    return rows.with_columns(amount=settled, days_late=lateness)


def groups(tables: Mapping[str, Lazy]) -> Iterator[tuple[Lazy, Sequence[str]]]:
    """Measures that become known by the same days and look at the same, with their dated rows: a
    column a measure.
    """
    for name, table in tables.items():
        columns = table.collect_schema().names()
        by_days: dict[tuple[tuple[str, ...], str], list[str]] = {}
        for measure, about in MEASURES.items():
            if about["table"] == name and about["value"] in columns:
                alike = (tuple(about["known"]), about["of"])
                by_days.setdefault(alike, []).append(measure)
        for (days, _), measures in sorted(by_days.items()):
            yield _dated(table, measures, days), measures


def _dated(table: Lazy, measures: Sequence[str], days: Sequence[str]) -> Lazy:
    """The table with a column a measure, and the month in which each row was known."""
    values = {}
    for measure in measures:
        column = MEASURES[measure]["value"]
        number = nw.col(column)
        values[measure] = number.cast(nw.Float64)
    return known_from(table.with_columns(**values), days)


def known_from(rows: Lazy, days: Sequence[str]) -> Lazy:
    """The rows with the month in which the last of these days falls, blank ones passed over;
    without one, no row.
    """
    months = [month_number(nw.col(day)) for day in days]
    last = nw.max_horizontal(*months) if len(months) > 1 else months[0]
    dated = rows.with_columns(month=last)
    unknown = nw.col("month").is_null()
    there = dated.filter(~unknown)
    month = nw.col("month")
    return there.with_columns(month.cast(nw.Int64))


def of_client(measures: Sequence[str]) -> bool:
    """Whether these measures are of all that is known of a client, not of one engagement."""
    return MEASURES[measures[0]]["of"] == CLIENT


def counted(rows: Lazy, dated: Lazy, measures: Sequence[str]) -> Lazy:
    """The rows with the sum and the number of each measure's values, by the month in which they
    became known.
    """
    sums = {f"{measure}__sum": nw.col(measure).sum() for measure in measures}
    sums |= {f"{measure}__n": nw.col(measure).count() for measure in measures}
    by_month = dated.group_by("client_id", "month")
    counts = by_month.agg(**sums)
    key = ["client_id", "month"]
    rows = rows.join(counts, on=key, how="left")
    filled = nw.col(*sums).fill_null(0)
    rows = rows.with_columns(filled.cast(nw.Float64))
    if not of_client(measures):
        month = nw.col("month")
        begun = month >= nw.col("first")
        inside = begun.cast(nw.Float64)
        totals = nw.col(*sums)
        rows = rows.with_columns(totals * inside)
    return _carried(rows, measures)


def _carried(rows: Lazy, measures: Sequence[str]) -> Lazy:
    """The rows with the last value of each measure, carried forward, and the month it was seen."""
    seen = {}
    last = {}
    for measure in measures:
        number = nw.col(f"{measure}__n")
        mean = nw.col(f"{measure}__sum") / number
        given = nw.when(number > 0)
        seen[f"{measure}__seen"] = given.then(nw.col("month"))
        given_some = nw.when(number > 0)
        last[f"{measure}__last"] = given_some.then(mean)
    carried = {}
    for name in last:
        value = nw.col(name)
        filled = value.fill_null(strategy="forward", limit=LONG - 1)
        carried[name] = over(filled)
    for name in seen:
        filled = nw.col(name).fill_null(strategy="forward")
        carried[name] = over(filled)
    counted_rows = rows.with_columns(**seen, **last)
    return counted_rows.with_columns(**carried)


def over(values: Expr) -> Expr:
    """The values within an engagement, month after month."""
    return values.over("spell", order_by="month")


def _rolled(column: str, months: int) -> Expr:
    """The sum of the last months, as many as there are."""
    values = nw.col(column)
    return over(values.rolling_sum(months, min_samples=1))


def _mean(measure: str, months: int) -> Expr:
    """The mean of a measure over the last months; missing where it was not taken."""
    number = _rolled(f"{measure}__n", months)
    total = _rolled(f"{measure}__sum", months)
    return nw.when(number > 0.5).then(total / number)


def made(measure: str, how: str, months: int) -> Expr:
    """One feature from the sums and numbers of its measure."""
    if how == "total":
        return _rolled(f"{measure}__sum", months)
    if how == "mean":
        return _mean(measure, months)
    if how == "change":
        return _mean(measure, SHORT) - _mean(measure, LONG)
    if how == "since":
        return nw.col("month") - nw.col(f"{measure}__seen")
    last = nw.col(f"{measure}__last")
    if how == "lag":
        return over(last.shift(months))
    return last


def joint(better: int) -> dict[str, tuple[Sequence[str], Expr]]:
    """Features made of more than one measure: what each needs, and how it is made."""
    return {
        "silent_3": (("asked__n", "answered__n"), _silent()),
        "margin_3": (("paid_fee__n", "cost__n"), _margin_share()),
        "fee_a_month": (("paid_fee__n",), _fee_a_month()),
        "margin_a_month": (("paid_fee__n", "cost__n"), _margin_a_month()),
        "arrears": (("due__n", "paid__n", "paid_fee__n"), _arrears()),
        "gap_3": (("result__n", "promised_result"), better * _gap()),
    }


def _silent() -> Expr:
    """The share of invitations that were not answered."""
    asked = _rolled("asked__sum", SHORT)
    answered = _rolled("answered__sum", SHORT)
    silent = 1 - answered / asked
    some = nw.when(asked > 0)
    return some.then(silent.clip(lower_bound=0))


def _margin_share() -> Expr:
    """The margin over the fee, not below minus two fees."""
    fees = _rolled("paid_fee__sum", SHORT)
    costs = _rolled("cost__sum", SHORT)
    worked = _rolled("cost__n", SHORT)
    margin = 1 - costs / fees
    known = (fees > 0) & (worked > 0)
    bounded = margin.clip(lower_bound=-2)
    return nw.when(known).then(bounded)


def _fee_a_month() -> Expr:
    """The mean fee of the months that were billed."""
    fees = _rolled("paid_fee__sum", SHORT)
    paid = _rolled("paid_fee__n", SHORT)
    return nw.when(paid > 0).then(fees / paid)


def _margin_a_month() -> Expr:
    """The mean margin of the months that were billed, where hours are known."""
    fees = _rolled("paid_fee__sum", SHORT)
    costs = _rolled("cost__sum", SHORT)
    paid = _rolled("paid_fee__n", SHORT)
    worked = _rolled("cost__n", SHORT)
    known = (paid > 0) & (worked > 0)
    margin = (fees - costs) / paid
    return nw.when(known).then(margin)


def _arrears() -> Expr:
    """What is due and not paid, in monthly fees."""
    billed = _rolled("paid_fee__n", LONG)
    fees = _rolled("paid_fee__sum", LONG)
    some = nw.when(billed > 0)
    fee = some.then(fees / billed)
    due = nw.col("due__sum")
    change = due - nw.col("paid__sum")
    unpaid = over(change.cum_sum())
    overdue = unpaid.clip(lower_bound=0) / fee
    return nw.when(fee > 0).then(overdue)


def _gap() -> Expr:
    """The result promised at signing over the one delivered, on the log scale."""
    number = _rolled("result__n", SHORT)
    total = _rolled("result__sum", SHORT)
    some = nw.when(number > 0)
    result = some.then(total / number)
    return _log("promised_result") - result
