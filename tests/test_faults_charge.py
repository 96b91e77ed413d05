"""Who is in charge, money by the term it is for, debts, and what is known so far: faults found from
outside, by id.
"""

from pathlib import Path

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import clients_of
from retention import open_study
from retention.data.schema import TABLES
from retention.history import clients_now
from retention.history.calendar import day_number, last_day_number, month_number
from retention.history.features import month_features
from retention.history.grids import build_panel
from retention.history.in_charge import (
    NOBODY,
    new_reps,
    reps_by_month,
    reps_on,
    with_people_who_left,
)
from retention.history.measures import MEASURES
from retention.history.money import monthly_money, worth_by_month
from retention.history.prepaid import by_term
from retention.history.snapshots import build_snapshots
from retention.history.spells import build_spells
from retention.history.window import Window
from retention.lists import decision, registry, service, views
from retention.lists.desk import Desk, care_of
from retention.money import bonuses
from retention.portfolio import debts, effects, evidence, tiers
from retention.portfolio.book import Book
from retention.service import reps
from retention.settings import ResultsSettings, Settings
from retention.words import key_of

CASES = Path(__file__).parent / "cases"
DAY = pd.Timedelta(days=1)


def days(rows: list[tuple], columns: str) -> pd.DataFrame:
    """A table from tuples; columns that name a day hold dates."""
    names = columns.split()
    frame = pd.DataFrame(rows, columns=names)
    dated = [name for name in names if name.endswith(("_on", "_date", "_at", "_start", "month"))]
    frame[dated] = frame[dated].apply(pd.to_datetime)
    return frame


def stints(*rows: tuple) -> pd.DataFrame:
    """Assignments from (client, person, role, from, to) tuples."""
    return days(list(rows), "client_id staff_id role from_date to_date")


def asked(*rows: tuple) -> pd.DataFrame:
    """Questions from (client, day, start of the engagement, rep named at signing) tuples."""
    return days(list(rows), "client_id asked_on start_date rep_id")


# Who is in charge (R14, B15, B16)


def test_B15_a_stand_in_is_in_charge_while_it_lasts():
    table = stints(
        ("c", "ann", "rep", "2023-01-01", None), ("c", "bob", "rep", "2023-02-01", "2023-03-31")
    )
    when = ["2022-12-31", "2023-01-31", "2023-02-01", "2023-03-31", "2023-04-01"]
    found = reps_on(asked(*(("c", day, "2022-06-01", "zoe") for day in when)), "asked_on", table)
    assert found.tolist() == ["zoe", "ann", "bob", "bob", "ann"]


def test_B15_once_a_stint_has_begun_the_rep_at_signing_is_no_answer():
    table = stints(("c", "ann", "rep", "2023-01-01", "2023-06-30"))
    found = reps_on(asked(("c", "2023-07-01", "2023-01-01", "zoe")), "asked_on", table)
    assert found.isna().all()
    # A stint of an earlier engagement, over before this one began, says nothing of it.
    again = reps_on(asked(("c", "2024-07-01", "2024-01-01", "zoe")), "asked_on", table)
    assert again.tolist() == ["zoe"]


@pytest.mark.parametrize(("named", "right"), [("bob", "bob"), (None, "ann")])
def test_B15_a_stint_that_nobody_closed_does_not_outlive_its_engagement(named, right):
    table = stints(("c", "ann", "rep", "2021-01-01", None))
    found = reps_on(asked(("c", "2024-03-01", "2024-01-15", named)), "asked_on", table)
    assert found.tolist() == [right]


def test_B15_the_ends_and_the_clients_are_those_of_the_rep_in_charge():
    study = open_study(str(CASES / "case-20"))
    spells = study.spells
    ended = spells[spells["end_date"] <= pd.Timestamp(study.cutoff)]
    who = reps_on(ended, "end_date", study.tables.frames["assignments"])
    assert who.value_counts().to_dict() == {"cid": 39, "ann": 36}
    clients = clients_now.present(study.panel, pd.Timestamp(study.cutoff))
    assert clients["owner"].value_counts().to_dict() == {"ann": 24, "cid": 21}
    table = reps.reps(study.panel)
    without = study.tables.frames["assignments"].query("staff_id != 'bob'")
    assert table.loc["ann", "ratio"] == pytest.approx(0.72, abs=0.06) and len(without) == 120


def test_B16_who_left_is_in_charge_of_nobody_and_is_counted():
    study = open_study(str(CASES / "case-21"))
    last = pd.Timestamp(study.cutoff)
    clients = clients_now.present(study.panel, last)
    assert clients["owner"].value_counts().to_dict() == {"r2": 22, NOBODY: 21, "r0": 16}
    left = study.reps_now["left"]
    assert left.dropna().eq("r1").all() and left.notna().sum() == 21
    keys = [key_of(row.text) for row in study.warnings().items]
    [charge] = [key for key in keys if key.startswith("study.charge.left:")]
    assert charge.startswith("study.charge.left:21,") and charge.endswith(",Bea")
    book = Book(study.spells, study.tables.frames, study.settings, last)
    assert book.owners.isna().sum() == 21 and "r1" not in set(book.owners)
    assert book.owner_words.value_counts().to_dict() == {"Cem": 22, "Bea, who left": 21, "Ada": 16}
    lists = registry.made(Desk(book, care=care_of(study)))
    owners = lists["care"].set_index("client_id")["owner"]
    assert (owners == book.owner_words.reindex(owners.index)).all() and "Bea, who left" in set(
        owners
    )


@pytest.mark.slow
def test_B16_the_review_and_the_lists_name_the_same_rep():
    for case in ("case-20", "case-21", "norole"):
        study = open_study(str(CASES / case))
        last = pd.Timestamp(study.cutoff)
        clients = clients_now.present(study.panel, last).set_index("client_id")["owner"]
        lists = Book(study.spells, study.tables.frames, study.settings, last).owners.reindex(
            clients.index
        )
        assert (lists.fillna(NOBODY) == clients).all()
        assert (study.reps_now["rep_id"].reindex(clients.index).fillna(NOBODY) == clients).all()


def test_B16_the_last_day_is_a_day_of_work_and_a_stand_in_who_left_gives_the_client_back():
    table = stints(("c", "ann", "rep", "2023-01-01", None), ("c", "bob", "rep", "2023-02-01", None))
    staff = days([("bob", "2023-03-31"), ("ann", None)], "staff_id ended_on")
    question = asked(
        ("c", "2023-03-31", "2023-01-01", None), ("c", "2023-04-01", "2023-01-01", None)
    )
    assert reps_on(question, "asked_on", table, staff).tolist() == ["bob", "ann"]
    named = asked(
        ("d", "2023-03-31", "2023-01-01", "bob"), ("d", "2023-04-01", "2023-01-01", "bob")
    )
    found = reps_on(named, "asked_on", None, staff)
    assert found.tolist()[0] == "bob" and pd.isna(found.tolist()[1])
    day = pd.Timestamp("2023-04-01")
    assert (
        with_people_who_left(question.head(1), day, table, staff).isna().all()
    )  # ann has the client again
    assert with_people_who_left(question.head(1), day, table.tail(1), staff).tolist() == ["bob"]


@pytest.mark.parametrize("role", ["absent", "blank", "empty"])
def test_R14_a_blank_role_is_the_rep_everywhere(role):
    table = stints(
        ("c", "ann", None, "2023-01-01", None), ("c", "eve", "analyst", "2023-03-01", None)
    )
    table = table if role == "blank" else table.assign(role=["", "analyst"])
    table = table.head(1).drop(columns="role") if role == "absent" else table
    question = asked(("c", "2023-06-30", "2023-01-01", "zoe"))
    assert reps_on(question, "asked_on", table).tolist() == ["ann"]
    spells = question.assign(end_date=pd.NaT, observed_months=6)
    assert set(reps_by_month(spells, 6, table)[0]) == {"ann"}
    assert clients_now.serving(table, None, pd.Timestamp("2023-06-30"))["staff_id"].iloc[0] == "ann"
    assert new_reps(spells, table, None).empty


@pytest.mark.parametrize("case", ["case-05", "norole"])
def test_R14_assignments_without_a_role_stop_no_page(case):
    study = open_study(str(CASES / case))
    last, assignments = pd.Timestamp(study.cutoff), study.known("assignments")
    clients = clients_now.present(study.panel, last)
    assert (clients["owner"] != NOBODY).sum() == (
        1 if case == "norole" else len(clients)
    ) or case == "norole"
    served = clients_now.serving(assignments, study.known("staff"), last)
    assert service.loads(clients, served, pd.Series(dtype=object)).empty
    assert len(service.held_alone(clients, served, pd.Series(dtype=object), last)) <= len(clients)
    from retention.service import contact

    assert contact.contrasts(study.panel, {"assignments": assignments}) == {}
    assert isinstance(reps.reps(study.panel), pd.DataFrame)


START = pd.Timestamp("2024-01-15")
PEOPLE = ["p", "q", "r"]
day_of = st.integers(-200, 400)
a_stint = st.tuples(
    st.sampled_from("ab"),
    st.sampled_from(PEOPLE),
    st.sampled_from(["rep", None, "analyst"]),
    day_of,
    st.one_of(st.none(), day_of),
    st.one_of(st.none(), day_of),
)


def by_hand(
    client: str, day: pd.Timestamp, table: pd.DataFrame, ended: dict, named: str
) -> str | None:
    """The rule of in_charge.py, one question at a time."""
    own = table[(table["client_id"] == client) & table["role"].isin(["rep", None])]
    best, begun = None, False
    for row in own.sort_values(["from_date", "staff_id"]).itertuples():
        ends = [
            end
            for end in (row.to_date, ended.get(row.staff_id))
            if end is not None and not pd.isna(end)
        ]
        last = min(ends, default=pd.Timestamp.max)
        old = row.from_date < START - 92 * DAY  # of an earlier engagement
        if row.from_date <= day and not row.recorded_at > day and last >= START and not old:
            begun = True
            best = row.staff_id if last >= day else best
    if begun:
        return best
    gone = ended.get(named)
    return None if gone is not None and gone < day else named


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    st.lists(a_stint, max_size=6, unique_by=lambda row: (row[0], row[1], row[3])),
    st.dictionaries(st.sampled_from(PEOPLE), day_of, max_size=2),
)
def test_B15_days_months_and_features_follow_one_rule(rows, gone):
    moments = [(c, p, role, START + f * DAY, *(None if x is None else START + x * DAY for x in more))
               for c, p, role, f, *more in rows]  # fmt: skip
    table = days(moments, "client_id staff_id role from_date to_date recorded_at")
    table["role"] = table["role"].astype(object).where(table["role"].notna(), None)
    ended = {who: START + day * DAY for who, day in gone.items()}
    staff = days([(who, ended.get(who)) for who in PEOPLE], "staff_id ended_on")
    ends = pd.date_range("2024-01-31", "2025-01-31", freq="ME")
    question = pd.DataFrame(
        {"client_id": np.repeat(["a", "b"], len(ends)), "asked_on": [*ends, *ends]}
    )
    question = question.assign(start_date=START, rep_id="p")
    right = [
        by_hand(c, d, table, ended, "p")
        for c, d in zip(question["client_id"], question["asked_on"], strict=True)
    ]
    found = reps_on(question, "asked_on", table, staff)
    assert [who if isinstance(who, str) else None for who in found] == right
    loads = pd.Series(right).groupby([question["asked_on"], pd.Series(right)]).transform("size")
    people = pd.DataFrame(
        {"client_id": ["a", "b"], "engagement": 1, "contract_term_months": 1, "rep_id": "p"}
    )
    people = people.assign(
        start_date=START, end_date=pd.NaT, recorded_date=pd.NaT, monthly_ad_spend=1.0
    )
    months = pd.DataFrame({"month": range(2023 * 12, 2025 * 12 + 1)})
    frames = {
        "engagements": people,
        "months": months,
        "assignments": table,
        "staff": staff.assign(role="rep"),
    }
    typed = {
        name: frame.astype({c: "string" for c in frame if frame[c].dtype == object})
        for name, frame in frames.items()
    }
    lazy = {name: pl.from_pandas(frame).lazy() for name, frame in typed.items()}
    made = month_features(lazy, Window(), ResultsSettings(), 2024 * 12).collect().to_pandas()
    made = made.sort_values(["client_id", "month"])["rep_load"]
    assert made.fillna(0).tolist() == loads.fillna(0).tolist()


def test_B15_days_are_counted_alike():
    day = pd.date_range("1999-12-25", "2024-03-05", freq="7D")
    frame = nw.from_native(pl.DataFrame({"day": day})).with_columns(
        month=month_number(nw.col("day"))
    )
    made = frame.select(
        day=day_number(nw.col("day")), last=last_day_number(nw.col("month").cast(nw.Int64))
    )
    assert (made["day"].to_numpy() - made["day"][0] == 7 * np.arange(len(day))).all()
    assert (made["last"].to_numpy() - made["day"].to_numpy() == day.days_in_month - day.day).all()


# Debts (B17)


def bills(*rows: tuple) -> pd.DataFrame:
    """Invoices from (id, client, issued, due, amount) tuples."""
    return days(list(rows), "invoice_id client_id issued_on due_on amount")


def paid(*rows: tuple) -> pd.DataFrame:
    """Payments from (invoice, day, amount) tuples."""
    return days(list(rows), "invoice_id paid_on amount").astype({"amount": float})


def test_B17_who_owes_nothing_after_credit_notes_is_not_dunned():
    study = open_study(str(CASES / "case-22"))
    last = pd.Timestamp(study.cutoff)
    owed = debts.arrears(study.tables.frames, [last])[last]
    assert owed["c01"] == 0 and owed["c02"] == 0 and owed.max() == 0
    book = Book(study.spells, study.tables.frames, study.settings, last)
    assert registry.made(Desk(book))["collect"].empty


def test_B17_debts_by_hand():
    """b: a credit of 30; c: 20 paid too much; d: a part payment; e: a credit paid out; f: a bill of
    nothing.
    """
    table = bills(
        ("b1", "b", "2025-01-01", "2025-01-31", 100), ("b2", "b", "2025-02-01", "2025-02-28", 100),
        ("b3", "b", "2025-03-01", "2025-03-01", -30),
        ("c1", "c", "2025-01-01", "2025-01-31", 100), ("c2", "c", "2025-02-01", "2025-02-28", 100),
        ("d1", "d", "2025-01-01", "2025-01-31", 100), ("e1", "e", "2025-01-01", "2025-01-31", 100),
        ("e2", "e", "2025-02-01", "2025-02-01", -40), ("f1", "f", "2025-01-01", "2025-01-31", 0),
    )  # fmt: skip
    money = paid(
        ("b2", "2025-02-20", 100), ("c1", "2025-01-20", 120), ("d1", "2025-02-02", 60), ("e2", "2025-02-05", -40),
        ("nobody's", "2025-02-05", 500),
    )  # fmt: skip
    known = {"invoices": table, "payments": money}
    then, now = pd.Timestamp("2025-02-10"), pd.Timestamp("2025-04-01")
    owed = debts.arrears(known, [then, now])
    assert owed[then].to_dict() == {"b": 100, "c": 0, "d": 40, "e": 100}
    assert owed[now].to_dict() == {"b": 70, "c": 80, "d": 40, "e": 100}
    assert debts.usual_invoice(known).to_dict() == {"b": 100, "c": 100, "d": 100, "e": 100}
    assert debts.usual_invoice(known, then).empty


def test_B17_a_cancelled_invoice_waits_until_it_was_cancelled_and_is_no_paid_one():
    table = bills(
        ("a1", "a", "2025-01-01", "2025-01-31", 800), ("a2", "a", "2025-01-11", "2025-01-11", -800)
    )
    rows = tiers.waits(
        {"invoices": table, "payments": paid(("x", "2025-01-01", 1))}, pd.Timestamp("2025-12-31")
    )
    assert rows[["days", "paid", "open"]].to_numpy().tolist() == [[10, False, 0]]


def engagements(*rows: tuple) -> pd.DataFrame:
    """Engagements from (client, number, start, end) tuples, all month-to-month and planned at 1,000
    a month.
    """
    frame = days(list(rows), "client_id engagement start_date end_date")
    frame = frame.assign(recorded_date=frame["end_date"], contract_term_months=1)
    return frame.assign(monthly_ad_spend=1000.0, rep_id="r0", promised_result=np.nan)


def features_of(frames: dict[str, pd.DataFrame], engine: str = "polars") -> pd.DataFrame:
    """The features of these tables, index client, engagement and month of the year 2024 (1 is
    January).
    """
    months = pd.DataFrame({"month": range(2020 * 12, 2025 * 12)})
    frames = {**frames, "months": months}
    texts = {
        n: f.astype({c: "string" for c in f if f[c].dtype == object}) for n, f in frames.items()
    }
    if engine == "polars":
        frames = {name: pl.from_pandas(frame).lazy() for name, frame in texts.items()}
    made = month_features(frames, Window(), ResultsSettings(), 2024 * 12)
    made = made.collect().to_pandas() if engine == "polars" else made
    return (
        made.assign(month=made["month"] - 2024 * 12 + 1)
        .set_index(["client_id", "engagement", "month"])
        .sort_index()
    )


@pytest.mark.parametrize("engine", ["polars", "pandas"])
def test_B17_arrears_among_the_features_are_net(engine):
    table = bills(
        ("a1", "a", "2024-01-01", "2024-01-15", 100), ("a2", "a", "2024-02-01", "2024-02-15", 100),
        ("a3", "a", "2024-03-01", "2024-04-30", -100), ("a4", "a", "2024-04-01", "2024-06-15", 100),
    )  # fmt: skip
    money = paid(("a1", "2024-01-10", 60), ("a4", "2024-05-01", 100), ("a3", "2024-05-01", 30))
    months = pd.DataFrame(
        {"client_id": "a", "month": pd.date_range("2024-01-01", periods=8, freq="MS"), "fee": 50.0}
    )
    frames = {
        "engagements": engagements(("a", 1, "2024-01-01", None)),
        "invoices": table,
        "payments": money,
    }
    found = features_of(frames | {"account_months": months}, engine).loc["a", 1]
    # 40 are overdue, then 140; the credit of 100 leaves 40, of which 30 are paid out; the bill of
    # June is paid ahead.
    assert (found["arrears"] * 50).round(2).tolist()[:7] == [40, 140, 40, 40, 70, 70, 70]
    assert found["late_now"].round(2).tolist()[0] == -5


# Money by the term it is for (B3)


def payer(
    fees: dict[int, float],
    term: int = 12,
    fee_pct: float | None = 10.0,
    end: str | None = None,
    months: int = 24,
):
    """One client from January 2024 with these fees by month (0 is January), beside one that pays
    100 each month.
    """
    spells = days(
        [("a", 1, "2024-01-01", end), ("z", 1, "2024-01-01", None)],
        "client_id engagement start_date end_date",
    )
    spells = spells.assign(contract_term_months=term, monthly_ad_spend=1000.0)
    spells = spells if fee_pct is None else spells.assign(fee_pct=fee_pct)
    month = pd.date_range("2023-10-01", periods=months + 3, freq="MS")
    rows = [("a", month[k + 3], fee) for k, fee in fees.items()] + [
        ("z", day, 100.0) for day in month[3:]
    ]
    return spells, pd.DataFrame(rows, columns=["client_id", "month", "fee"])


def by_month(spells: pd.DataFrame, table: pd.DataFrame) -> list[float]:
    """The fees of client a by month of service, as `monthly_money` has them; 0 where there is
    none.
    """
    money = monthly_money(spells, {"account_months": table})
    own = money[money["client_id"] == "a"].set_index("month")["fee"]
    return own.reindex(range(2024 * 12, 2026 * 12)).fillna(0).round(6).tolist()


PREPAID = {
    "each January, as a discount": ({0: 1080, 12: 1200}, {}, [90] * 12 + [100] * 12),
    "each September, for the calendar year": ({8: 1200, 20: 1200}, {}, [100] * 24),
    "the month before the term begins": ({-1: 1200, 11: 1200}, {}, [100] * 24),
    "zeros written down between": ({k: 1200.0 * (k % 12 == 0) for k in range(24)}, {}, [100] * 24),
    "half a year ahead": ({0: 600, 6: 600, 12: 600, 18: 600}, {}, [100] * 24),
    "a quarter ahead, month-to-month": (
        dict.fromkeys(range(0, 24, 3), 300),
        {"term": 1},
        [100] * 24,
    ),
    "a quarter in arrears": (dict.fromkeys(range(2, 24, 3), 300), {}, [100] * 24),
    "nothing planned, by the term alone": ({0: 1200, 12: 1200}, {"fee_pct": None}, [100] * 24),
    "nothing planned, by equal gaps": (
        dict.fromkeys(range(0, 24, 3), 300),
        {"fee_pct": None, "term": 1},
        [100] * 24,
    ),
    "monthly, then a year ahead": ({**dict.fromkeys(range(12), 100), 12: 1200}, {}, [100] * 24),
    "a year ahead, then monthly": ({0: 1200, **dict.fromkeys(range(12, 24), 100)}, {}, [100] * 24),
    "gone after eight months, not paid back": (
        {0: 1200},
        {"end": "2024-08-31"},
        [150] * 8 + [0] * 16,
    ),
    "paid in the newest month": ({11: 1200, 23: 1200}, {}, [100] * 12 + [0] * 0 + [100] * 12),
    "a year that has just been paid": ({0: 1200, 12: 1200}, {"months": 13}, [100] * 13 + [0] * 11),
    "half-yearly in a term of a year": (dict.fromkeys((0, 6, 12, 18), 660), {}, [110] * 24),
    "quarterly, more than was planned": (
        dict.fromkeys(range(0, 24, 3), 345),
        {"term": 1},
        [115] * 24,
    ),
    "every five months": (dict.fromkeys(range(0, 24, 5), 400), {"term": 1}, [80] * 24),
    "a year paid three months ahead": ({-3: 1200, 9: 1200}, {}, [100] * 24),
    "a term that runs on": ({18: 1200, **dict.fromkeys(range(18), 100)}, {}, [100] * 24),
}


@pytest.mark.parametrize("what", PREPAID)
def test_B3_fees_count_in_the_months_they_are_for(what):
    fees, how, right = PREPAID[what]
    spells, table = payer(fees, **how)
    assert by_month(spells, table) == right
    once = by_term(spells, table)
    assert len(once.spread) == sum(fee > 150 for fee in fees.values()) and once.left.empty
    again = by_term(spells, once.table)
    assert again.spread.empty and again.left.empty and again.table is once.table


UNTOUCHED = {
    "month by month": dict.fromkeys(range(24), 100),
    "a free first month": {0: 0, **dict.fromkeys(range(1, 24), 100)},
    "free months on trial": {**dict.fromkeys(range(3), 0), **dict.fromkeys(range(3, 24), 100)},
    "a credit note in a month": {**dict.fromkeys(range(24), 100), 5: -100},
    "stopped paying": {**dict.fromkeys(range(10), 100), **dict.fromkeys(range(10, 24), 0)},
    "nothing at all": dict.fromkeys(range(24), 0),
    "a project beside the fees": {**dict.fromkeys(range(24), 100), 6: 1300},
}


@pytest.mark.parametrize("what", UNTOUCHED)
@pytest.mark.parametrize("fee_pct", [10.0, None])
def test_B3_fees_of_single_months_stay_where_they_are(what, fee_pct):
    spells, table = payer(UNTOUCHED[what], fee_pct=fee_pct)
    found = by_term(spells, table)
    assert found.table is table and found.spread.empty and found.left.empty
    assert by_month(spells, table) == [UNTOUCHED[what].get(k, 0) for k in range(24)]


def test_B3_what_nothing_settles_stays_and_is_said():
    spells, table = payer({1: 750, 6: 900, 20: 700}, term=1)
    found = by_term(spells, table)
    assert found.spread.empty and found.table is table
    assert found.left[["client_id", "amount", "months"]].to_numpy().tolist()[:1] == [["a", 750, 0]]
    study = open_study(str(CASES / "case-03"))
    [note] = [
        row.text
        for row in study.notes().items
        if row.text.startswith("Payments for several months")
    ]
    assert "2, of clients 1 (c00)" in note
    odd = study.tables.frames["account_months"].assign(
        fee=lambda rows: rows["fee"].where(rows["client_id"] != "c00")
    )
    odd.loc[[1, 7, 9], "fee"] = [5000.0, 4000.0, 7000.0]
    study.__dict__["fees_by_term"] = by_term(study.spells, odd)
    [told] = [
        row.text for row in study.warnings().items if "months of nothing after them" in row.text
    ]
    assert "of clients 1 (c00)" in told


@pytest.mark.slow
@pytest.mark.parametrize("paid_in", [1, 9])
def test_B3_a_year_paid_ahead_leaves_what_it_leaves_and_calls_for_nothing(paid_in):
    study = open_study(str(CASES / "case-03"))
    months = study.tables.frames["account_months"]
    lump = months["client_id"].eq("c00") & months["month"].dt.month.eq(paid_in)
    own = months["fee"].mask(months["client_id"].eq("c00"), 0.5).mask(lump, 9594.5)
    tables = dict(study.tables.frames) | {"account_months": months.assign(fee=own)}
    book = Book(study.spells, tables, study.settings, pd.Timestamp(study.cutoff))
    assert book.monthly.loc["c00", "margin"] == pytest.approx(370, abs=0.1)
    table = decision.decide(
        book.rows, registry.made(Desk(book)), decision.why_nothing(Desk(book))
    ).set_index("client_id")
    assert table.loc["c00", "action"] == registry.NONE and key_of(
        table.loc["c00", "reason"]
    ).startswith("lists.reason.earns:370,")
    own = book.money.query("client_id == 'c00'")
    assert own["fee"].round().eq(800).all() and len(own) == 24
    worth = worth_by_month(own)["worth_a_month"].to_numpy()
    assert worth[2:] == pytest.approx(800 - own["cost"].rolling(3).mean().to_numpy()[2:], abs=1)


# What is known so far (R15)


def lived_before() -> dict[str, pd.DataFrame]:
    """a signs on 15 March 2024, after an engagement until June 2023; much is on record from before
    each of them.
    """
    noted = [
        ("a", "2023-02-01", "undecided"),
        ("a", "2024-02-27", "rude"),
        ("a", "2024-05-02", "rude"),
    ]
    met = [("a", "2023-05-10", "visit"), ("a", "2024-02-20", "call"), ("a", "2024-03-20", "call")]
    months = [("a", "2023-06-01", 500.0), ("a", "2024-02-01", 700.0), ("a", "2024-03-01", 100.0)]
    asked_ = [("a", "2024-02-10", "2024-02-12", 8, 9.0)]
    return {
        "engagements": engagements(
            ("a", 1, "2023-01-01", "2023-06-30"), ("a", 2, "2024-03-15", None)
        ),
        "flags": days(noted, "client_id noted_on flag"),
        "meetings": days(met, "client_id held_on kind"),
        "account_months": days(months, "client_id month fee"),
        "surveys": days(asked_, "client_id invited_on answered_on nps rep_liking"),
        "invoices": bills(("i", "a", "2023-06-01", "2023-06-30", 250)),
        "payments": paid(("i", "2023-07-10", 50)),
        "assignments": stints(("a", "r1", "rep", "2024-02-14", None)),
        "contracts": days(
            [("a", "2024-02-20", "2024-03-15", 12)], "client_id signed_on term_start term_months"
        ),
    }


@pytest.mark.parametrize("engine", ["polars", "pandas"])
def test_R15_what_was_known_by_then_counts_whenever_it_was_noted(engine):
    found = features_of(lived_before(), engine)
    march, april, may = (found.loc[("a", 2, month)] for month in (3, 4, 5))
    assert [row["flag_now"] for row in (march, april, may)] == [2, 2, 3]
    assert march["visit_since"] == 10 and march["meeting_since"] == 0 and march["meeting_3"] == 2
    assert [row["new_rep_since"] for row in (march, april)] == [
        1,
        2,
    ]  # the rep came in the month before it signed
    assert march["liking_now"] == 9 and march["liking_age"] == 1 and march["silent_3"] == 0
    assert march["arrears"] == 2  # 200 of the earlier engagement, in fees of 100
    assert march["term_months"] == 12 and march["months_to_renewal"] == 12  # signed before it began
    assert march["fee_6"] == pytest.approx(
        np.log(100)
    )  # a fee is the engagement's: the one of February is not
    assert march["tenure_months"] == 0 and found.loc[("a", 2)].index.min() == 3


def test_R15_every_measure_says_whose_it_is():
    own = {name for name, about in MEASURES.items() if about["of"] == "engagement"}
    assert {about["of"] for about in MEASURES.values()} == {"client", "engagement"}
    assert own == {"result", "index", "spend", "fee", "paid_fee", "hours", "cost"}


def test_R15_what_is_known_of_the_first_client_before_all_others():
    """Nobody is on record earlier than this client, and its flag is older than it:
    `build_snapshots` looks that far.
    """
    spells = build_spells(
        clients_of([("a", "2024-03-15", None, 1)]), cutoff=pd.Timestamp("2024-06-30").date()
    )
    flags = days([("a", "2022-02-27", "rude", 2)], "client_id noted_on flag severity")
    cutoff, begin = pd.Timestamp("2024-06-30"), pd.Timestamp("2024-03-01")
    rows = build_snapshots(
        spells, {"flags": flags}, Window(), ResultsSettings(), cutoff=cutoff, begin=begin
    )
    assert rows["flag_now"].tolist() == [1, 1, 1, 1]


def test_R15_what_was_noted_before_signing_is_evidence():
    rows = clients_of([("a", "2025-03-15", None, 1)])
    flags = days([("a", "2025-02-27", "abuses staff", 5)], "client_id noted_on flag severity")
    told = evidence.evidence(rows, {"flags": flags}, pd.Timestamp("2025-06-30"))
    assert told["group"].tolist() == ["abuse"]
    spells = build_spells(rows, cutoff=pd.Timestamp("2025-06-30").date())
    [ends] = effects.after_events(
        spells, {"anything": flags.rename(columns={"noted_on": "day"})}, 1
    ).rows
    assert ends.n_clients == 1


@pytest.mark.parametrize("given", [[5, None], [None, None]])
def test_R14_a_note_without_severity_is_evidence_too(given):
    rows = clients_of([("a", "2025-01-15", None, 1)])
    flags = days(
        [("a", "2025-02-27", "abuses staff"), ("a", "2025-03-27", "abuses staff")],
        "client_id noted_on flag",
    )
    flags = flags.assign(severity=pd.array(given, dtype="Int64"))
    told = evidence.evidence(rows, {"flags": flags}, pd.Timestamp("2025-06-30"))
    assert told["severity"].isna().tolist() == [value is None for value in given]


OPTIONAL = [(name, column.name) for name in ("assignments", "staff") for column in TABLES[name].columns
            if not column.required]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("how", ["absent", "blank"])
@pytest.mark.parametrize(("table", "column"), OPTIONAL)
def test_R14_any_optional_column_of_people_may_be_absent_or_blank(table, column, how):
    rows = clients_of(
        [("a", "2024-01-01", None, 1, "r1"), ("b", "2024-02-01", None, 12, "r2")], ("rep_id",)
    )
    last = pd.Timestamp("2024-06-30")
    spells = build_spells(rows, cutoff=last.date())
    staff = days([("r1", "rep", "Ann", "2020-01-01", None), ("r2", "rep", "Bea", "2020-01-01", "2024-04-30")],
                 "staff_id role name started_on ended_on")  # fmt: skip
    staff = staff.assign(
        monthly_salary=1.0, hourly_cost=1.0, quota=1.0, commission_pct=1.0, trained_on=pd.NaT
    )
    served = stints(("a", "r1", "rep", "2024-01-01", None), ("b", "r2", "rep", "2024-02-01", None))
    tables = {"staff": staff, "assignments": served.assign(recorded_at=served["from_date"])}
    blank = tables[table][column].mask(tables[table][column].notna())
    changed = (
        tables[table].drop(columns=column)
        if how == "absent"
        else tables[table].assign(**{column: blank})
    )
    tables[table] = changed
    left = "r2" if column == "ended_on" else NOBODY
    panel = build_panel(spells, None, None, ResultsSettings(), cutoff=last, **tables)
    clients = clients_now.present(panel, last)
    assert clients["owner"].tolist() == ["r1", left]
    book = Book(spells, tables, Settings(), last)
    assert book.owners.fillna(NOBODY).tolist() == ["r1", left] and book.monthly.empty
    serving = clients_now.serving(tables["assignments"], tables["staff"], last)
    assert (
        len(service.held_alone(clients, serving, clients_now.people_names(tables["staff"]), last))
        == 2
    )
    assert (
        service.loads(clients, serving, pd.Series(dtype=object)).empty
        and len(views.our_part(book)) == 0
    )
    frames = {"engagements": spells, **tables}
    made = features_of({name: frame.dropna(axis=1, how="all") if name == table else frame
                        for name, frame in frames.items()})  # fmt: skip
    assert (
        made.loc[("b", 1, 6), "rep_load"] == 1
        if left
        else np.isnan(made.loc[("b", 1, 6), "rep_load"])
    )


def test_B15_the_bonus_of_the_reps_goes_by_who_was_in_charge():
    study = open_study(str(CASES / "case-20"))
    rows = reps.last_year(study.panel, pd.Timestamp(study.cutoff))
    ends = bonuses.recent_ends(rows)
    assert set(ends.index) == {"ann", "cid"} and ends["observed"].sum() == rows["left"].sum() > 0


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.sampled_from([0, 0, 0, 100, 300, 600, 1200, 1700]), min_size=24, max_size=24),
    st.sampled_from([1, 3, 6, 12]),
    st.sampled_from([10.0, None]),
    st.sampled_from([None, "2024-10-31", "2025-12-31"]),
)
def test_B3_no_money_is_made_or_lost(fees, term, fee_pct, end):
    spells, table = payer(
        {k: float(fee) for k, fee in enumerate(fees)}, term=term, fee_pct=fee_pct, end=end
    )
    there = table["client_id"].eq("z") | table["month"].le(pd.Timestamp(end or "2025-12-31"))
    before = table[there].groupby("client_id")["fee"].sum()
    found = by_term(spells, table)
    after = monthly_money(spells, {"account_months": table}).groupby("client_id")["fee"].sum()
    still_to_come = before["a"] - after["a"]
    assert after["z"] == before["z"] == 2400 and (found.table["fee"] > -1e-9).all()
    if end:
        assert still_to_come == pytest.approx(0, abs=1e-6)
    else:
        newest = found.spread["amount"].tail(1).sum() + found.spread["amount"].tail(2).head(1).sum()
        assert -1e-6 <= still_to_come <= newest + 1e-6
