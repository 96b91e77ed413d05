"""The term that holds at each month's end, as far as then signed, and when a client may leave it.

What a contract says is kept in one whole number, so that the newest is the largest, on every
engine: when it begins, for how long, with what notice, and whether it lapses.
"""

from __future__ import annotations

import narwhals as nw

from retention.history.calendar import day_number, month_number
from retention.history.measures import LONG, Expr, Lazy, known_from, over
from retention.history.window import Window

MONTH_DAYS = 31  # the days of notice that a month of notice covers
SOON = 3  # months to renewal that count as due: METHODS 7
FAR = 10_000  # more than any term in months or notice in days
USUAL = FAR - 1  # in place of a notice that a contract does not name


def term_in_force(rows: Lazy, engagements: Lazy, contracts: Lazy | None, notice: int) -> Lazy:
    """The rows with the term that holds, as far as then signed: of all terms the last to begin,
    ahead of time or not.

    Terms of an engagement are those that begin no earlier than a month before it, whenever they
    were signed. Adds `began` (month), `turn_day`, `term`, `notice_days` (blank: as usual), `notice`
    (months) and `lapses` (1 where it is not renewed by itself).
    """
    months = nw.col("first") * MONTH_DAYS
    began = months + nw.col("first_day") - 1
    signed = nw.col("signed_term")
    code = _code(began, signed, nw.lit(USUAL), nw.lit(0))
    if contracts is not None:
        rows = _with_newest(rows, engagements, contracts)
        newest = nw.col("newest")
        code = nw.when(newest > 0).then(newest).otherwise(code)
    return _read(rows.with_columns(code=code), notice)


def _code(begins: Expr, term: Expr, notice: Expr, lapses: Expr) -> Expr:
    """What a contract says in one whole number; the later it begins, the larger."""
    begins_for = (begins * FAR + term) * FAR
    return (begins_for + notice) * 2 + lapses


def _with_newest(rows: Lazy, engagements: Lazy, contracts: Lazy) -> Lazy:
    """The rows with `newest`, the code of the last term to begin that was signed by then; 0 is
    none.
    """
    terms = _signed(engagements, contracts)
    code = nw.col("code").max()
    newest = terms.group_by("spell", "month").agg(newest=code)
    key = ["spell", "month"]
    rows = rows.join(newest, on=key, how="left")
    filled = nw.col("newest").fill_null(0)
    rows = rows.with_columns(filled)
    newest_code = nw.col("newest")
    so_far = newest_code.cast(nw.Int64).cum_max()
    return rows.with_columns(newest=over(so_far))


def _signed(engagements: Lazy, contracts: Lazy) -> Lazy:
    """The terms of each engagement: `spell`, the month from which each was known, and `code`."""
    start = nw.col("term_start")
    day_of_month = start.dt.day()
    day = day_of_month.cast(nw.Int64)
    month = month_number(start).cast(nw.Int64)
    begins = month * MONTH_DAYS + day - 1
    months = nw.col("term_months")
    term = months.cast(nw.Int64)
    own_notice = nw.col("notice_days").cast(nw.Float64)
    notice = own_notice.fill_null(USUAL).cast(nw.Int64)
    renews = nw.col("auto_renew")
    renewed = renews.cast(nw.Float64)
    lapsing = (1 - renewed).fill_null(0)
    lapses = lapsing.cast(nw.Int64)
    code = _code(begins, term, notice, lapses)
    terms = known_from(contracts, ["signed_on"])
    terms = terms.with_columns(code=code, turns=day_number(start))
    terms = terms.select("client_id", "month", "code", "turns")
    whose = engagements.select("client_id", "spell", "first", "first_date")
    terms = terms.join(whose, on="client_id", how="inner")
    month_before = nw.col("first_date") - MONTH_DAYS
    terms = terms.filter(nw.col("turns") > month_before)
    known = nw.max_horizontal(nw.col("month"), nw.col("first"))
    whole = known.cast(nw.Int64)
    return terms.with_columns(month=whole)


def _read(rows: Lazy, usual: int) -> Lazy:
    """The rows with what their `code` says, in columns; `usual` is the notice in months of a
    contract that names none.
    """
    code = nw.col("code")
    start = code // (2 * FAR * FAR)
    days = code // 2 % FAR
    named = days < USUAL
    months = (days + MONTH_DAYS - 1) // MONTH_DAYS
    rows = rows.with_columns(
        began=start // MONTH_DAYS,
        turn_day=start % MONTH_DAYS + 1,
        term=code // (2 * FAR) % FAR,
        lapses=code % 2,
        notice_days=nw.when(named).then(days),
        notice=nw.when(named).then(months).otherwise(usual),
    )
    free = nw.col("lapses") == 1  # what ends by itself takes no notice
    zero = nw.lit(0)
    return rows.with_columns(
        notice=nw.when(free).then(zero).otherwise(nw.col("notice")),
        notice_days=nw.when(free).then(zero).otherwise(nw.col("notice_days")),
    )


def with_calendar(rows: Lazy, window: Window) -> Lazy:
    """The rows with what the contract says of leaving; a renewal's month is that of the term's last
    paid day.

    Month-to-month clients can always leave, as can those whose term ran out and was not renewed. On
    a fixed term the last day to give notice lies the notice before the last paid day; a decision
    falls in that month, or, where terms turn in the middle of one, in the month before.
    """
    rows = _with_months_served(rows)
    term = nw.col("term")
    to_renewal = nw.col("months_to_renewal")
    begun = nw.col("served") >= 0
    monthly = (term == 1) & begun
    possible = monthly | _within_reach(window)
    due = ~monthly & (to_renewal <= SOON)
    young = nw.col("tenure_months") < LONG
    return rows.with_columns(
        monthly=monthly.cast(nw.Float64),
        exit_possible=possible.cast(nw.Float64),
        renewal_due=due.cast(nw.Float64),
        first_half_year=young.cast(nw.Float64),
        term_months=term,
    )


def _with_months_served(rows: Lazy) -> Lazy:
    """The rows with the months `served` of the term, those to its renewal, and those of service."""
    month = nw.col("month")
    term = nw.col("term")
    served = nw.col("served")
    on_first = nw.col("turn_day") == 1
    whole = on_first.cast(nw.Int64)
    done = month - nw.col("began") + whole
    lapses = nw.col("lapses") == 1
    over_now = lapses & (done >= term)
    monthly = nw.when(over_now).then(nw.lit(1))
    months = monthly.otherwise(term)
    rows = rows.with_columns(served=done, whole_term=whole, term=months)
    # Of a term that is signed and yet to begin, all of it is still to come.
    not_begun = nw.when(served < 0).then(term - served)
    ahead = not_begun.otherwise(term - served % term)
    served_months = month - nw.col("first")
    tenure = served_months + nw.col("whole")
    return rows.with_columns(months_to_renewal=ahead, tenure_months=tenure)


def _within_reach(window: Window) -> Expr:
    """Whether the last day to give notice of the term, or of the next, falls in the window."""
    term = nw.col("term")
    to_renewal = nw.col("months_to_renewal")
    notice = to_renewal - nw.col("notice")
    least = window.gap + 1
    terms = (least - notice + term - 1) // term
    missed = nw.when(notice < least).then(terms).otherwise(0)
    latest = window.ahead + 1 - nw.col("whole_term")
    return notice + missed * term <= latest
