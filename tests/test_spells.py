"""Spells by hand: months, entry, the three dates, kinds of end, pauses, what is not yet known;
contract cycles.
"""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from conftest import clients_of
from retention.history.spells import (
    add_months,
    build_spells,
    contract_cycles,
    ends_near_due,
    started_months,
    whole_months,
)

CUTOFF = dt.date(2024, 12, 31)


def spells_of(rows, columns=(), **settings):
    return build_spells(clients_of(rows, columns), **({"cutoff": CUTOFF} | settings))


def one(*rows, columns=(), **settings):
    return spells_of(list(rows), columns, **settings).iloc[0]


@pytest.mark.parametrize(
    ("start", "day", "whole", "started"),
    [
        ("2024-01-01", "2024-02-01", 1, 1),
        ("2024-01-15", "2024-02-14", 0, 1),
        ("2024-01-15", "2024-02-16", 1, 2),
        ("2024-01-31", "2024-02-29", 1, 1),  # clipped to the month's last day
        ("2023-01-31", "2023-03-01", 1, 2),
        ("2024-02-29", "2025-02-28", 12, 12),
        ("2024-05-20", "2024-05-20", 0, 0),
    ],
)
def test_calendar_months(start, day, whole, started):
    series, day = pd.Series(pd.to_datetime([start])), pd.Timestamp(day)
    assert whole_months(series, day)[0] == whole
    assert started_months(series, day)[0] == started


def test_adding_months_agrees_with_counting_them():
    rng = np.random.default_rng(0)
    start = pd.Series(
        pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 1500, 300), unit="D")
    )
    months = pd.Series(rng.integers(0, 40, 300))
    later = add_months(start, months)
    assert (whole_months(start, later) == months).all()
    assert (whole_months(start, later - pd.Timedelta(days=1)) == months - 1).all()


def test_an_end_counts_in_the_month_of_its_last_paid_day():
    spell = one(("a", "2024-01-15", "2024-03-14", 1))
    assert (spell.entry_months, spell.stop_months, spell.ended) == (0, 2, True)
    assert one(("a", "2024-01-15", "2024-03-15", 1)).stop_months == 3


@pytest.mark.parametrize(
    ("start", "end", "month"),
    [
        ("2023-08-31", "2024-02-29", 6),
        ("2023-03-31", "2023-09-30", 6),
        ("2023-01-30", "2023-02-28", 1),
    ],
)
def test_a_start_at_the_end_of_a_month_is_complete_at_the_end_of_a_month(start, end, month):
    assert one(("a", start, end, 6)).stop_months == month


def test_ends_just_past_due_are_told_from_ends_on_the_last_day():
    rows = [("a", "2023-01-01", "2023-12-31", 12), ("b", "2023-01-01", "2024-01-01", 12)]
    rows += [
        ("c", "2023-01-01", "2023-06-14", 12),
        ("d", "2023-01-01", "2023-02-03", 1),
        ("e", "2023-01-31", "2023-07-30", 6),
    ]
    assert ends_near_due(spells_of(rows)) == (0, 2, 1)
    assert ends_near_due(spells_of(rows), grace_days=1) == (0, 3, 0)
    graced = spells_of(rows, end_grace_days=1).set_index("client_id")["stop_months"]
    assert graced.to_dict() == {"a": 12, "b": 12, "c": 6, "d": 2, "e": 6}


def test_ends_on_any_day_are_as_many_before_as_after():
    rng = np.random.default_rng(4)
    ends = pd.Timestamp("2022-06-01") + pd.to_timedelta(rng.integers(0, 900, 3000), unit="D")
    rows = [(f"c{i}", "2022-01-01", end, 6) for i, end in enumerate(ends)]
    before, _, after = ends_near_due(spells_of(rows))
    assert abs(before - after) < 3 * np.sqrt(before + after)


def test_service_paid_to_the_end_of_a_calendar_month_is_a_grace_of_thirty_days():
    spells = spells_of(
        [("a", "2023-01-10", "2024-01-31", 12), ("b", "2023-01-10", "2023-03-31", 1)],
        end_grace_days=30,
    )
    assert spells["stop_months"].tolist() == [12, 2]


def test_who_stays_is_followed_over_whole_months_to_the_cutoff():
    spell = one(("a", "2024-01-15", None, 1))
    assert (
        spell.stop_months,
        spell.ended,
        spell.end_kind is np.nan or pd.isna(spell.end_kind),
    ) == (11, False, True)


def test_a_month_cut_by_the_cutoff_counts_neither_way():
    spell = one(("a", "2024-12-15", "2024-12-30", 1))
    assert (spell.stop_months, spell.ended, spell.cut_short) == (0, False, True)


def test_an_end_on_the_cutoff_counts_and_one_after_it_does_not():
    assert one(("a", "2024-01-01", "2024-12-31", 12)).ended
    spell = one(("a", "2024-01-01", "2025-01-31", 12))
    assert (spell.ended, spell.cut_short, spell.stop_months) == (False, False, 12)


def test_left_truncation_enters_late_and_drops_whom_nobody_could_see():
    rows = [
        ("old", "2023-01-01", None, 1),
        ("gone", "2023-01-01", "2023-06-30", 1),
        ("new", "2024-02-01", None, 1),
    ]
    spells = spells_of(rows, records_begin=dt.date(2024, 1, 1)).set_index("client_id")
    assert spells["entry_months"].to_dict() == {"old": 12, "new": 0}
    assert one(("a", "2023-12-15", None, 1), records_begin=dt.date(2024, 1, 1)).entry_months == 1


def test_pauses_of_sixty_days_merge_with_the_first_rows_signing_values():
    rows = [
        ("a", "2023-01-01", "2023-06-30", 1),
        ("a", "2023-08-29", "2024-02-29", 12),
        ("a", "2024-06-01", None, 6),
    ]
    spells = spells_of(rows)
    assert spells[["start_date", "contract_term_months", "engagement"]].values.tolist() == [
        [pd.Timestamp("2023-01-01"), 1, 1],
        [pd.Timestamp("2024-06-01"), 6, 2],
    ]
    assert spells.loc[0, "stop_months"] == 14
    rows[1] = ("a", "2023-08-31", "2024-02-29", 12)  # one day longer: an end and a return
    assert len(spells_of(rows)) == 3


def test_the_three_dates():
    columns = ("decision_date", "recorded_date", "end_initiator")
    given = one(
        ("a", "2024-01-01", "2024-06-30", 1, "2024-05-20", "2024-05-21", "agency"), columns=columns
    )
    assert (given.decision_date, given.end_kind, given.decision_assumed) == (
        pd.Timestamp("2024-05-20"),
        "agency",
        False,
    )
    assumed = one(("a", "2024-01-01", "2024-06-30", 1), notice_days=30)
    assert (assumed.decision_date, assumed.end_kind, assumed.decision_assumed) == (
        pd.Timestamp("2024-05-31"),
        "unknown",
        True,
    )


def test_what_was_recorded_after_the_cutoff_is_not_known_at_it():
    columns = ("recorded_date", "end_initiator")
    spell = one(("a", "2024-01-01", "2024-06-30", 1, "2025-01-02", "client"), columns=columns)
    assert (spell.ended, pd.isna(spell.end_date), pd.isna(spell.end_kind), spell.stop_months) == (
        False,
        True,
        True,
        12,
    )


def test_rows_after_the_cutoff_change_nothing():
    rows = [("a", "2023-01-01", "2023-06-30", 1), ("b", "2023-01-01", None, 12)]
    later = [*rows, ("c", "2025-03-01", None, 1), ("a", "2025-02-01", None, 1)]
    pd.testing.assert_frame_equal(spells_of(rows), spells_of(later))


def cycles_of(rows, contracts=None, **settings):
    cycles = contract_cycles(spells_of(rows, ("end_initiator",), **settings), contracts)
    return [
        tuple(row)
        for row in cycles[["client_id", "term_months", "to_month", "outcome"]].itertuples(
            index=False
        )
    ]


def test_a_term_counts_when_it_comes_due_by_the_calendar_whatever_happened():
    rows = [
        ("stays", "2024-01-01", None, 6, None),
        ("leaves", "2024-01-01", "2024-06-30", 6, "client"),
        ("breaks", "2024-01-01", "2024-03-31", 6, "client"),
        ("fired", "2024-01-01", "2024-02-29", 6, "agency"),
        ("young", "2024-08-01", "2024-09-30", 6, "client"),  # its term is not due by the cut-off
    ]
    assert cycles_of(rows) == [
        ("breaks", 6, 6, "left early"),
        ("fired", 6, 6, "agency"),
        ("leaves", 6, 6, "left at renewal"),
        ("stays", 6, 6, "stayed"),
        ("stays", 6, 12, "stayed"),
    ]


def test_terms_due_before_records_begin_are_unseen():
    rows = [("old", "2023-01-01", None, 6, None)]
    assert [row[2] for row in cycles_of(rows, records_begin=dt.date(2024, 1, 1))] == [18, 24]


def test_recorded_terms_change_and_roll_over_month_by_month():
    contracts = pd.DataFrame(
        {
            "client_id": ["a", "a"],
            "term_start": pd.to_datetime(["2024-01-01", "2024-04-01"]),
            "term_months": [1, 6],
            "auto_renew": pd.array([True, False], dtype="boolean"),
        }
    )
    assert cycles_of([("a", "2024-01-01", None, 1, None)], contracts) == [
        *[("a", 1, month, "stayed") for month in (1, 2, 3)],
        ("a", 6, 9, "stayed"),
        *[("a", 1, month, "stayed") for month in (10, 11, 12)],
    ]


def contracts_of(*rows, auto_renew=True):
    frame = pd.DataFrame(rows, columns=["client_id", "term_start", "term_months"])
    frame["term_start"] = pd.to_datetime(frame["term_start"])
    return (
        frame
        if auto_renew is None
        else frame.assign(auto_renew=pd.array([auto_renew] * len(rows), dtype="boolean"))
    )


def test_a_term_replaced_before_it_was_due_gave_no_opportunity():
    contracts = contracts_of(("a", "2023-01-01", 12), ("a", "2023-10-01", 12))
    gone = [("a", "2023-01-01", "2023-11-30", 12, "client")]
    assert cycles_of(gone, contracts) == [("a", 12, 21, "left early")]
    assert cycles_of([("a", "2023-01-01", None, 12, None)], contracts) == [("a", 12, 21, "stayed")]


def test_contracts_near_the_start_amended_unsaid_or_absent():
    stays = [("a", "2023-01-01", None, 12, None)]
    assert [row[2] for row in cycles_of(stays, contracts_of(("a", "2022-12-29", 12)))] == [12, 24]
    amended = contracts_of(("a", "2023-01-01", 12), ("a", "2023-01-10", 6))
    assert [row[1:3] for row in cycles_of(stays, amended)] == [(6, 6), (6, 12), (6, 18), (6, 24)]
    assert [
        row[2] for row in cycles_of(stays, contracts_of(("a", "2023-01-01", 12), auto_renew=None))
    ] == [12, 24]
    assert [row[2] for row in cycles_of(stays, contracts_of(("z", "2023-01-01", 6)))] == [12, 24]


def test_who_left_unseen_is_not_counted_as_having_stayed():
    rows = [("a", "2023-09-15", "2024-01-10", 12, None)]
    assert cycles_of(rows, records_begin=dt.date(2024, 1, 1)) == []


def test_no_end_is_counted_twice(sample_study):
    cycles = sample_study.cycles
    left = cycles[cycles["outcome"].isin(["left early", "left at renewal"])]
    assert not left.duplicated(["client_id", "engagement"]).any()


def test_a_return_before_the_end_was_recorded_is_one_client():
    rows = [("a", "2024-01-01", "2024-06-30", 1, "2025-01-10"), ("a", "2024-09-15", None, 1, None)]
    spells = spells_of(rows, ("recorded_date",))
    assert len(spells) == 1 and pd.isna(spells.loc[0, "end_date"])


def test_cycles_from_signing_and_from_records_agree_on_the_sample(sample_study):
    signed = contract_cycles(sample_study.spells)
    key = ["client_id", "engagement", "to_month"]
    pd.testing.assert_frame_equal(
        signed.sort_values(key, ignore_index=True),
        sample_study.cycles.sort_values(key, ignore_index=True),
    )


def test_whole_months_only_leaves_the_hazard_unbiased():
    """Starts on any day, constant 5 % a month, cut off in mid-month: counted ends over counted
    months give 5 %.
    """
    rng = np.random.default_rng(11)
    n = 60_000
    start = pd.Series(
        pd.Timestamp("2022-01-01") + pd.to_timedelta(rng.integers(0, 1000, n), unit="D")
    )
    lifetime = rng.geometric(0.05, n)
    first = add_months(start, pd.Series(lifetime - 1))
    last = add_months(start, pd.Series(lifetime)) - pd.Timedelta(days=1)
    within = pd.to_timedelta((rng.random(n) * ((last - first).dt.days + 1)).astype(int), unit="D")
    clients = pd.DataFrame(
        {"client_id": np.arange(n).astype(str), "start_date": start, "end_date": first + within}
    )
    clients = clients.assign(contract_term_months=1, monthly_ad_spend=1.0)
    spells = build_spells(clients, cutoff=dt.date(2024, 9, 17), records_begin=dt.date(2023, 3, 10))
    months = (spells["stop_months"] - spells["entry_months"]).clip(lower=0).sum()
    hazard = spells["ended"].sum() / months
    assert abs(hazard - 0.05) < 3 * np.sqrt(0.05 * 0.95 / months)
