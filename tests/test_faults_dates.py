"""Faults that outsiders found in the reading of dates and in following clients; each named after
its id.

`tests/cases` holds the smallest inputs. The right values were counted by hand or come from how the
input was made.
"""

import datetime as dt
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import clients_of
from retention import open_study
from retention.claims import gate
from retention.claims.contract_term import contract_hazard_ratio
from retention.claims.judge import CLAIMS, judge
from retention.claims.term_curves import survival_estimates
from retention.cli import cli
from retention.data.schema import write_csv
from retention.errors import ConfigError, DataError
from retention.history import conventions, status
from retention.history.follow_up import follow_up
from retention.history.opportunities import compare, exit_rows
from retention.history.snapshots import build_snapshots
from retention.history.spells import (
    add_months,
    build_spells,
    contract_cycles,
    row_terms,
    whole_months,
)
from retention.sample import write_sample
from retention.settings import DateSettings, Settings, project_root
from retention.stats.curves import after, kaplan_meier
from retention.words import key_of, texts

CASES = Path(__file__).parent / "cases"
TEXTS = ["object", "string[python]", "string[pyarrow]", "category"]
CUTOFF = dt.date(2024, 12, 31)


def shares(study, *months: int) -> list[float]:
    """The share of clients still there after each month of service, every end counted."""
    curve = kaplan_meier(follow_up(study.spells))
    return [round(float(after(curve, month)["survival"]), 4) for month in months]


def with_settings(folder: Path, text: str, case: str) -> Path:
    """A copy of a case with other settings."""
    for path in (CASES / case).glob("*.csv"):
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "retention.toml").write_text(text)
    return folder


def written(folder: Path, clients: pd.DataFrame, settings: str = "") -> Path:
    """A folder with this table of clients and these settings."""
    write_csv(clients, folder / "clients.csv")
    (folder / "retention.toml").write_text(
        settings or 'cutoff = 2024-12-31\nrecords_begin = "all history"\n'
    )
    return folder


def monthly(count: int, months: int = 3, days_late: int = 0, term: int = 1) -> pd.DataFrame:
    """Clients that each stay whole months, with the last paid day as the end (or so many days
    later).
    """
    starts = pd.date_range("2022-01-03", periods=count, freq="11D")
    ends = starts + pd.DateOffset(months=months) + pd.Timedelta(days=days_late - 1)
    rows = [(f"c{n:03d}", s, e, term) for n, (s, e) in enumerate(zip(starts, ends, strict=True))]
    return clients_of(rows)


# R1: text that may be missing


@pytest.mark.parametrize("dtype", TEXTS)
def test_R1_a_pause_is_no_end_for_the_first_client_either(dtype):
    rows = pd.read_csv(CASES / "merge" / "clients.csv", parse_dates=["start_date", "end_date"])
    spells = build_spells(rows.astype({"client_id": dtype}), cutoff=CUTOFF)
    assert spells["client_id"].tolist() == ["A", "B"]
    assert spells["ended"].tolist() == [False, False]
    assert spells["observed_months"].tolist() == [24, 24]


def odd_rows(place: int) -> pd.DataFrame:
    """Six clients of which one, in this place, has a pause, no initiator and no source."""
    rows = [(f"c{n}", "2022-01-01", "2023-03-31", 12, "client", "own", None) for n in range(6)]
    rows[place] = (f"c{place}", "2022-01-01", "2022-06-30", 1, None, None, "2022-06-02")
    rows.append((f"c{place}", "2022-07-15", None, 1, None, None, None))
    return clients_of(rows, ("end_initiator", "source", "decision_date")).sort_values(
        ["client_id", "start_date"]
    )


@pytest.mark.parametrize("place", [0, 3, 5])
@pytest.mark.parametrize("dtype", TEXTS[1:])
def test_R1_estimators_do_not_depend_on_the_dtype_of_text(dtype, place):
    texts = ["client_id", "end_initiator", "source"]
    plain = build_spells(odd_rows(place), cutoff=CUTOFF)
    typed = build_spells(odd_rows(place).astype(dict.fromkeys(texts, dtype)), cutoff=CUTOFF)
    pd.testing.assert_frame_equal(plain, typed)
    assert len(plain) == 6
    pd.testing.assert_frame_equal(contract_cycles(plain), contract_cycles(typed))
    pd.testing.assert_frame_equal(gate.counts(plain, plain), gate.counts(typed, typed))


@pytest.mark.parametrize("dtype", TEXTS)
@pytest.mark.parametrize("place", [0, 3, 5])
def test_R1_months_in_a_pause_are_left_out_whatever_the_dtype(dtype, place):
    from retention.history.window import Window
    from retention.settings import ResultsSettings

    clients = odd_rows(place).astype({"client_id": dtype})
    spells = build_spells(clients, cutoff=CUTOFF)
    day, begin = pd.Timestamp(CUTOFF), pd.Timestamp("2022-01-01")
    rows = build_snapshots(
        spells, {"clients": clients}, Window(1, 3, 1), ResultsSettings(), cutoff=day, begin=begin
    )
    own = rows[rows["client_id"] == f"c{place}"]
    assert 2022 * 12 + 5 not in set(own["month"])  # June's end lies in the pause


# R2: rows that start after the cut-off


def test_R2_a_client_whose_next_row_starts_after_the_cutoff_has_not_left():
    spells = open_study(str(CASES / "cut")).spells
    assert spells["gone"].tolist() == [False, False]
    assert spells["ended"].tolist() == [False, False]


def test_R2_an_earlier_cutoff_inside_a_pause_makes_nobody_leave():
    rows = clients_of([("a", "2022-01-01", "2022-12-31", 12), ("a", "2023-01-20", None, 12)])
    for cutoff in (dt.date(2022, 12, 31), dt.date(2023, 1, 10), dt.date(2023, 1, 31)):
        assert not build_spells(rows, cutoff=cutoff)["gone"].any(), cutoff
    late = clients_of([("a", "2022-01-01", "2022-12-31", 12), ("a", "2023-03-20", None, 12)])
    assert build_spells(late, cutoff=dt.date(2023, 1, 31))["gone"].all()  # longer than a pause


ROWS = st.lists(
    st.tuples(
        st.integers(0, 700),
        st.integers(1, 5),
        st.integers(1, 12),
        st.integers(0, 59),
        st.booleans(),
    ),
    min_size=1,
    max_size=12,
)


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(ROWS, st.sampled_from(TEXTS), st.randoms(use_true_random=False))
def test_R2_engagements_told_as_a_row_a_renewal_are_the_same(engagements, dtype, random):
    whole, parts = [], []
    for number, (day, renewals, term, pause, stays) in enumerate(engagements):
        who, start = f"c{number}", pd.Timestamp("2022-01-01") + pd.Timedelta(days=day)
        begin = start
        for renewal in range(renewals):
            end = begin + pd.DateOffset(months=term) - pd.Timedelta(days=1)
            last = renewal == renewals - 1
            parts.append((who, begin, None if last and stays else end, term))
            begin = end + pd.Timedelta(days=1 + pause)
        whole.append((who, start, None if stays else end, term))
    random.shuffle(parts)
    one = build_spells(clients_of(whole), cutoff=dt.date(2023, 12, 31))
    many = build_spells(
        clients_of(parts).astype({"client_id": dtype}), cutoff=dt.date(2023, 12, 31)
    )
    same = one.columns.difference(["rows_merged"])
    pd.testing.assert_frame_equal(one[same], many[same])
    pd.testing.assert_frame_equal(contract_cycles(one), contract_cycles(many))


def test_R2_scores_and_verdicts_do_not_depend_on_how_renewals_are_told(tmp_path):
    random = np.random.default_rng(8)
    whole, parts = [], []
    for number in range(160):
        start = pd.Timestamp("2021-01-05") + pd.Timedelta(days=int(random.integers(0, 900)))
        term, renewals, begin = int(random.choice([1, 6, 12])), int(random.integers(1, 5)), start
        for renewal in range(renewals):
            end = begin + pd.DateOffset(months=term) - pd.Timedelta(days=1)
            last = None if renewal == renewals - 1 and number % 3 == 0 else end
            parts.append((f"c{number:03d}", begin, last, term))
            begin = end + pd.Timedelta(days=1 + int(random.integers(0, 50)))
        whole.append((f"c{number:03d}", start, last, term))
    text = (
        'cutoff = 2023-12-20\nrecords_begin = "all history"\nend_grace_days = '
        '0\n[dates]\nends_ahead = "notice"\n'
    )
    studies = []
    for name, rows in (
        ("whole", whole),
        ("parts", [parts[i] for i in random.permutation(len(parts))]),
    ):
        (tmp_path / name).mkdir()
        studies.append(open_study(str(written(tmp_path / name, clients_of(rows), text))))
    one, many = studies
    pd.testing.assert_frame_equal(
        one.month_ends, many.month_ends
    )  # the scores are made of nothing else
    assert len(one.month_ends) > 1000
    verdicts = [judge(CLAIMS["A1"], contract_hazard_ratio(study.spells)) for study in studies]
    assert verdicts[0] == verdicts[1]


# R3, B6: a snapshot has no dates


def test_R3_a_snapshot_is_read_alike_on_every_day():
    curves = [
        kaplan_meier(follow_up(open_study("", str(path)).spells))
        for path in sorted((CASES / "grace").glob("*.toml"))
    ]
    assert len(curves) == 2
    pd.testing.assert_frame_equal(*curves)


@pytest.mark.slow
@pytest.mark.parametrize("month", range(1, 13))
def test_R3_no_day_of_a_snapshot_raises_a_question(month, tmp_path):
    text = (CASES / "case-09" / "dec.toml").read_text()
    day = (dt.date(2024, month, 1) + dt.timedelta(days=31)).replace(day=1) - dt.timedelta(days=1)
    (tmp_path / "retention.toml").write_text(text.replace("2024-12-31", str(day)))
    (tmp_path / "x.csv").write_bytes((CASES / "case-09" / "x.csv").read_bytes())
    assert shares(open_study(str(tmp_path)), 12, 24) == [0.9291, 0.8658]


def test_R3_conventions_of_dates_are_refused_of_a_snapshot():
    with pytest.raises(ConfigError, match="end_grace_days cannot be set of a snapshot"):
        open_study("", str(CASES / "case-09" / "nov30.toml"))


# R4: who left in the first month


def test_R4_who_left_before_a_month_was_complete_counts():
    study = open_study("", str(CASES / "case-10" / "r.toml"))
    assert shares(study, 1, 2, 12) == [0.7, 0.6, 0.6]
    assert study.spells["ended"].sum() == 40
    notes = [text for text in study.tables.notes if "months completed" in text]
    assert len(notes) == 1 and "30" in notes[0]


@pytest.mark.parametrize(("counts", "expected"), [("begun", [0.6, 0.6]), ("completed", [0.7, 0.6])])
def test_R4_what_a_tenure_counts_can_be_said(counts, expected, tmp_path):
    text = (CASES / "case-10" / "r.toml").read_text()
    text = text.replace(
        'tenure_months = "tenure"', f'tenure_months = "tenure"\ntenure_counts = "{counts}"'
    )
    (tmp_path / "retention.toml").write_text(text)
    (tmp_path / "x.csv").write_bytes((CASES / "case-10" / "x.csv").read_bytes())
    assert shares(open_study(str(tmp_path)), 1, 2) == expected


def test_R4_dated_clients_that_leave_in_their_first_month_count():
    rows = [("a", "2024-01-01", "2024-01-09", 1), ("b", "2024-01-01", None, 1)]
    spells = build_spells(clients_of(rows), cutoff=CUTOFF)
    assert spells["stop_months"].tolist() == [1, 12] and spells["ended"].tolist() == [True, False]


# R5, B7, B8: the last paid day, or the first day without service


def test_R5_month_to_month_ends_on_the_anniversary_are_asked_about(tmp_path):
    folder = CASES / "month_to_month_plus_one"
    with pytest.raises(ConfigError, match="72 of 74 ends fall on the day of the month") as error:
        open_study("", str(folder / "truth_m1_plus1.toml"))
    assert "end_grace_days" in str(error.value)
    for path in folder.glob("*.csv"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "a.toml").write_text(
        "end_grace_days = 1\n" + (folder / "truth_m1_plus1.toml").read_text()
    )
    true, answered = (
        open_study("", str(folder / "truth_m1.toml")),
        open_study("", str(tmp_path / "a.toml")),
    )
    assert answered.spells["ended"].sum() == true.spells["ended"].sum() == 72
    assert shares(answered, 6) == shares(true, 6) == [0.811]  # 18.9 % gone within six months
    pd.testing.assert_frame_equal(answered.spells, true.spells)


def test_B7_the_same_book_with_either_convention(tmp_path):
    with pytest.raises(ConfigError, match="289 of 294 ends"):
        open_study(str(CASES / "case-11"))
    text = 'cutoff = 2025-06-30\nrecords_begin = "all history"\nend_grace_days = 1\n'
    study = open_study(str(with_settings(tmp_path, text, "case-11")))
    assert shares(study, 1, 2, 6, 12) == [0.8533, 0.75, 0.3967, 0.1633]


def test_B7_ends_on_any_day_raise_no_question(tmp_path):
    days = np.random.default_rng(4).integers(40, 400, 150)
    rows = monthly(150).assign(end_date=lambda x: x["start_date"] + pd.to_timedelta(days, unit="D"))
    study = open_study(str(written(tmp_path, rows[rows["end_date"] <= pd.Timestamp(CUTOFF)])))
    assert len(study.spells) > 70
    assert conventions.on_anniversary(study.spells)[0] < 10


def test_B8_rows_that_meet_on_a_day_touch(tmp_path):
    spells = open_study(str(CASES / "case-12")).spells
    assert spells["client_id"].tolist() == ["a", "b", "c"]
    assert spells["rows_merged"].tolist() == [1, 1, 0]
    with pytest.raises(DataError, match="overlap(.|\n)*end_grace_days = 1"):
        open_study(
            str(
                with_settings(
                    tmp_path, 'cutoff = 2025-06-30\nrecords_begin = "all history"\n', "case-12"
                )
            )
        )


# B9: the term of a row


def test_B9_the_term_of_a_later_row_counts():
    study = open_study(str(CASES / "case-13"))
    ratio = contract_hazard_ratio(study.spells)
    assert np.exp(ratio.theta) == pytest.approx(1.61, abs=0.005)
    assert judge(CLAIMS["A1"], ratio).verdict == "holds"
    rows = exit_rows(study.spells, study.contracts)
    in_force = compare(
        rows, rows["term_months"] == 1, ("month-to-month", "fixed term"), name="in force"
    ).contrast
    assert np.exp(in_force.theta) == pytest.approx(1.99, abs=0.005)  # made: ln .92 / ln .96 = 2.04
    assert any(
        "269 engagements a later row has another contract term" in w.text
        for w in study.warnings().items
    )


def test_B9_terms_by_hand():
    rows = [
        ("a", "2022-01-01", "2022-03-31", 1),
        ("a", "2022-04-01", None, 12),
        ("b", "2022-01-01", None, 6),
    ]
    spells = build_spells(clients_of(rows), cutoff=dt.date(2023, 12, 31))
    cycles = contract_cycles(spells)
    own = cycles[cycles["client_id"] == "a"]
    assert list(zip(own["term_months"], own["from_month"], own["to_month"], strict=True)) == [
        (1, 0, 1),
        (1, 1, 2),
        (1, 2, 3),
        (12, 3, 15),
    ]
    assert (cycles.loc[cycles["client_id"] == "b", "term_months"] == 6).all()
    assert row_terms(spells)["client_id"].tolist() == ["a", "a"]
    assert row_terms(build_spells(clients_of(rows[2:]), cutoff=CUTOFF)) is None


# R6, B11 and the other meanings of an end


def test_R6_ends_to_come_are_asked_about_and_can_be_planned(tmp_path):
    rows = monthly(40)
    paid_to = rows["end_date"].mask(rows.index >= 20, pd.Timestamp("2025-02-14"))
    folder = written(tmp_path, rows.assign(end_date=paid_to))
    with pytest.raises(
        ConfigError, match="20 of 20 clients who are still there have an end_date after"
    ):
        open_study(str(folder))
    told = (folder / "retention.toml").read_text()
    (folder / "retention.toml").write_text(told + '[dates]\nends_ahead = "planned"\n')
    study = open_study(str(folder))
    assert status.staying(study.spells).sum() == 20
    (folder / "retention.toml").write_text(told + '[dates]\nends_ahead = "notice"\n')
    noticed = open_study(str(folder))
    assert status.under_notice(noticed.spells).sum() == 20
    assert not any("are still there" in warning.text for warning in noticed.warnings().items)


def test_R6_notice_that_somebody_decided_raises_no_question(tmp_path):
    rows = monthly(40)
    ends = rows["end_date"].mask(rows.index >= 20, pd.Timestamp("2025-02-14"))
    decided = pd.Series(pd.NaT, rows.index).mask(rows.index >= 20, pd.Timestamp("2024-12-01"))
    folder = written(tmp_path, rows.assign(end_date=ends, decision_date=decided))
    assert status.under_notice(open_study(str(folder)).spells).sum() == 20


@pytest.fixture(scope="module")
def made_up(tmp_path_factory) -> Path:
    """A made-up agency, and beside it the same with each active client's end at its next
    renewal.
    """
    folder = tmp_path_factory.mktemp("paid-to")
    write_sample(folder / "true", clients=150, seed=3)
    shutil.copytree(folder / "true", folder / "paid to")
    clients = pd.read_csv(folder / "true" / "clients.csv", dtype=str, keep_default_na=False)
    stay = clients["end_date"] == ""
    start, term = (
        pd.to_datetime(clients["start_date"][stay]),
        clients["contract_term_months"][stay].astype(int),
    )
    over = whole_months(start, pd.Timestamp("2026-01-01")) // term
    due = add_months(start, (over + 1) * term) - pd.Timedelta(days=1)
    clients.loc[stay, "end_date"] = due.dt.strftime("%Y-%m-%d")
    clients.to_csv(folder / "paid to" / "clients.csv", index=False)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("command", [["check"], ["report"], ["score"]])
def test_R6_days_paid_up_to_are_refused_by_every_command(made_up, command, tmp_path):
    out = [] if command == ["check"] else ["--out", str(tmp_path / "out")]
    done = CliRunner().invoke(cli, [*command, "--data", str(made_up / "paid to"), *out])
    assert done.exit_code == 2
    assert 'set ends_ahead = "planned"' in done.output


@pytest.mark.slow
def test_R6_with_the_answer_all_is_as_if_the_ends_were_blank(made_up):
    with (made_up / "paid to" / "retention.toml").open("a") as file:
        file.write('\n[dates]\nends_ahead = "planned"\n')
    true, answered = open_study(str(made_up / "true")), open_study(str(made_up / "paid to"))
    pd.testing.assert_frame_equal(true.spells, answered.spells)
    pd.testing.assert_frame_equal(
        true.month_ends, answered.month_ends
    )  # the scores are made of nothing else
    assert status.staying(answered.spells).sum() > 20


def test_B11_days_far_ahead_mark_clients_who_stay():
    study = open_study(str(CASES / "case-16"))
    other = open_study(
        str(CASES / "case-16" / "y9999.csv"), str(CASES / "case-16" / "retention.toml")
    )
    for each in (study, other):
        assert status.staying(each.spells).sum() == 37
        assert shares(each, 12) == [0.5646]
    assert any("37 (a002, a005" in note for note in study.tables.notes)
    assert any("'9999-12-31' read as blank" in repair for repair in other.tables.repairs)


@pytest.mark.parametrize(
    "day", ["9999-12-31", "31/12/9999", "1900-01-01", "0000-00-00", "1970-01-01 00:00:00"]
)
def test_B11_days_that_stand_for_none_are_blank_ends(day, tmp_path):
    rows = monthly(12).astype({"end_date": object})
    rows.loc[3, "end_date"] = day
    assert status.staying(open_study(str(written(tmp_path, rows))).spells).sum() == 1


def test_ends_that_pile_up_on_the_cutoff_are_asked_about(tmp_path):
    rows = monthly(40)
    folder = written(
        tmp_path,
        rows.assign(end_date=rows["end_date"].mask(rows.index >= 25, pd.Timestamp(CUTOFF))),
    )
    with pytest.raises(
        ConfigError, match="15 ends fall on 31 December 2024, at most 1 on any other day"
    ):
        open_study(str(folder))
    told = (folder / "retention.toml").read_text()
    for answer, there in (("left", 0), ("still clients", 15)):
        (folder / "retention.toml").write_text(told + f'[dates]\nends_on_cutoff = "{answer}"\n')
        assert status.staying(open_study(str(folder)).spells).sum() == there


def test_notice_taken_for_the_end_is_asked_about(tmp_path):
    rows = monthly(40, months=12, days_late=-30, term=12)
    folder = written(tmp_path, rows[rows["end_date"] <= pd.Timestamp(CUTOFF)])
    with pytest.raises(
        ConfigError, match="fixed terms ended about one, two or three months before"
    ):
        open_study(str(folder))
    with (folder / "retention.toml").open("a") as file:
        file.write('[dates]\nend = "notice"\n')
    spells = open_study(str(folder)).spells
    assert (spells["stop_months"] == 12).all() and spells["ended"].all()
    assert (spells["decision_date"] < spells["end_date"]).all() and not spells[
        "decision_assumed"
    ].any()


def test_ends_within_a_term_raise_no_question_of_notice(tmp_path):
    days = np.random.default_rng(5).integers(1, 364, 150)
    rows = monthly(150, term=12).assign(
        end_date=lambda x: x["start_date"] + pd.to_timedelta(days, unit="D")
    )
    rows = rows[rows["end_date"] <= pd.Timestamp(CUTOFF)]
    assert conventions.questions(rows, Settings(end_grace_days=0), CUTOFF) == []


def test_B20_starts_on_a_placeholder_are_asked_about(tmp_path):
    rows = monthly(12)
    rows.loc[:2, "start_date"] = pd.Timestamp("1900-01-01")
    folder = written(tmp_path, rows)
    with pytest.raises(
        ConfigError,
        match=r"3 clients start on a day that stands for an unknown one \(1900-01-01: c000",
    ):
        open_study(str(folder))
    with (folder / "retention.toml").open("a") as file:
        file.write('[dates]\nunlikely_starts = "leave out"\n')
    study = open_study(str(folder))
    assert len(study.spells) == 9
    assert any("3 (c000, c001, c002)" in note for note in study.tables.notes)


def test_starts_on_the_day_of_an_import_are_asked_about(tmp_path):
    rows = monthly(80)
    rows["start_date"] = rows["start_date"].mask(rows.index < 30, pd.Timestamp("2022-01-01"))
    rows["end_date"] = rows["end_date"].where(rows["end_date"] < "2024-12-01")
    with pytest.raises(ConfigError, match="30 of 80 clients start on 01 January 2022 or another"):
        open_study(str(written(tmp_path, rows)))


def test_every_question_is_asked_at_once_and_never_of_a_snapshot(tmp_path):
    rows = monthly(60, days_late=1)
    rows.loc[:2, "start_date"] = pd.Timestamp("1900-01-01")
    rows.loc[40:, "end_date"] = pd.Timestamp("2025-02-14")
    with pytest.raises(ConfigError) as error:
        open_study(str(written(tmp_path, rows)))
    assert all(
        word in str(error.value) for word in ("unlikely_starts", "ends_ahead", "end_grace_days")
    )
    snapshot = {
        "clients": {
            "tenure_months": "t",
            "ended": {"column": "c", "true": "y"},
            "snapshot_date": CUTOFF,
        }
    }
    assert conventions.questions(rows, Settings(tables=snapshot), CUTOFF) == []


QUESTION = "data.question."


def test_every_setting_of_dates_answers_a_question():
    asked = {key.removeprefix(QUESTION) for key in texts() if key.startswith(QUESTION)}
    assert set(DateSettings.model_fields) | {"end_grace_days"} == asked


# B14: records that begin later for some


def test_B14_a_bought_book_is_followed_from_its_day_on(tmp_path):
    study = open_study(str(CASES / "case-14"))
    assert any(
        "None of 300 clients with source 'bought'" in warning.text
        for warning in study.warnings().items
    )
    text = (
        "cutoff = 2025-06-30\nrecords_begin = 2019-01-01\n[known_from.source]\nbought = "
        "2023-01-01\n"
    )
    answered = open_study(str(with_settings(tmp_path, text, "case-14")))
    assert shares(answered, 12, 24) == [0.5389, 0.3019]  # made: .540 and .292
    assert not any("bought" in warning.text for warning in answered.warnings().items)
    assert (
        answered.month_ends.merge(answered.spells[["client_id", "source"]]).query(
            "source == 'bought'"
        )["month"]
        >= 2023 * 12
    ).all()


def test_B14_known_from_by_client_equals_that_by_group(tmp_path):
    clients = pd.read_csv(CASES / "case-14" / "clients.csv")
    clients["known_from"] = np.where(clients["source"] == "bought", "2023-01-01", "")
    folder = written(tmp_path, clients, "cutoff = 2025-06-30\nrecords_begin = 2019-01-01\n")
    assert shares(open_study(str(folder)), 12) == [0.5389]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (
            "[known_from.nothing]\nx = 2023-01-01\n",
            "columns that the clients table does not have: nothing",
        ),
        ("[known_from.source]\nx = 2023-01-01\n", "values that no client has: x"),
    ],
)
def test_B14_a_misspelt_group_is_an_error(text, match, tmp_path):
    text = "cutoff = 2025-06-30\nrecords_begin = 2019-01-01\n" + text
    with pytest.raises(ConfigError, match=match):
        open_study(str(with_settings(tmp_path, text, "case-14")))


# R7: counts of what happened are whole


def test_R7_ends_of_the_last_part_month_are_in_counts_and_charts():
    rows = [
        ("a", "2024-01-20", "2024-12-25", 1),
        ("b", "2024-01-20", "2024-06-19", 1),
        ("c", "2024-01-20", None, 1),
    ]
    spells = build_spells(clients_of(rows), cutoff=CUTOFF)
    assert (
        spells["ended"].sum() == 1 and spells["gone"].sum() == 2
    )  # the curve leaves the part-month out
    text = gate.headline(spells, CUTOFF, pd.Timestamp(CUTOFF)).text
    assert key_of(text).startswith(f"data.headline.followed:2,{len(spells)},2,")
    assert gate.starts_and_ends(spells, None)["ended"].sum() == 2
    assert gate.ends_by_kind(spells)["ends"].sum() == 2


def test_R7_a_late_rise_can_be_seen(sample_study):
    spells = sample_study.spells
    flow = gate.starts_and_ends(spells, sample_study.records_begin)
    assert flow["ended"].sum() == (spells["end_date"] <= pd.Timestamp(sample_study.cutoff)).sum()


def test_survival_of_the_sample_is_as_it_was(sample_study):
    rows = {row.key: row for row in survival_estimates(sample_study.spells).rows}
    year = ("A1", "contract_term.estimate.not_left:12", "contract_term.group.monthly")
    assert rows[year].n_clients > 0


# What a second look found: questions that honest data must not raise, and those that were missing


def test_month_end_to_month_end_is_a_last_paid_day():
    ends = ["2022-02-28", "2022-03-31", "2022-05-31", "2022-08-31", "2022-10-31", "2022-12-31"]
    rows = clients_of([(f"c{n}", "2022-01-31", end, 1) for n, end in enumerate(ends)])
    assert conventions.on_anniversary(rows) == (0, 0)
    assert conventions.questions(rows, Settings(), CUTOFF) == []


def test_annual_terms_that_end_with_any_month_raise_no_question():
    starts = pd.date_range("2019-01-01", periods=44, freq="MS").repeat(3)
    months = np.arange(len(starts)) % 12 + 1
    ends = [
        start + pd.DateOffset(months=int(m)) - pd.Timedelta(days=1)
        for start, m in zip(starts, months, strict=True)
    ]
    rows = clients_of(
        [
            (f"c{n:03d}", start, end, 12)
            for n, (start, end) in enumerate(zip(starts, ends, strict=True))
        ]
    )
    assert conventions.questions(rows, Settings(), CUTOFF) == []


def test_two_days_of_import_and_unknown_days_of_any_year_are_asked_about():
    rows = monthly(115)
    rows["start_date"] = rows["start_date"].mask(rows.index < 40, pd.Timestamp("2022-06-01"))
    rows["start_date"] = rows["start_date"].mask(rows.index >= 80, pd.Timestamp("2024-02-05"))
    assert conventions.piled_starts(rows).sum() == 75
    unknown = monthly(30)
    unknown["start_date"] = unknown["start_date"].mask(
        unknown.index < 4, pd.Timestamp("2000-01-01")
    )
    assert conventions.placeholder_starts(unknown).sum() == 4
    assert not conventions.placeholder_starts(monthly(30)).any()
    cohorts = monthly(120)
    cohorts["start_date"] = pd.Timestamp("2022-01-01") + pd.to_timedelta(
        cohorts.index % 6 * 31, unit="D"
    )
    assert not conventions.piled_starts(cohorts).any()  # six cohorts of twenty


def test_few_ends_to_come_are_told(tmp_path):
    rows = monthly(40)
    rows["end_date"] = rows["end_date"].where(rows.index < 20)
    rows.loc[20:22, "end_date"] = pd.Timestamp("2025-01-31")
    texts = [warning.text for warning in open_study(str(written(tmp_path, rows))).warnings().items]
    assert any(
        "count as under notice (dates.ends_ahead): 3 (c020, c021, c022)" in text for text in texts
    )


def test_B9_rows_tell_the_terms_of_clients_that_no_contract_names(tmp_path):
    rows = [(f"a{n}", "2022-01-01", "2022-12-31", 1) for n in range(10)]
    rows += [(f"a{n}", "2023-01-01", None, 12) for n in range(10)]
    folder = written(tmp_path, clients_of(rows))
    contracts = pd.DataFrame(
        {"client_id": ["a0"], "signed_on": ["2022-01-01"], "term_start": ["2022-01-01"]}
    )
    write_csv(contracts.assign(term_months=1), folder / "contracts.csv")
    study = open_study(str(folder))
    assert study.cycles["term_months"].value_counts().to_dict() == {1: 9 * 12 + 36, 12: 18}


def test_B14_known_from_takes_numbers_and_no_day_after_the_cutoff(tmp_path):
    text = (
        "cutoff = 2025-06-30\nrecords_begin = 2019-01-01\n[known_from.contract_term_months]\n1 "
        "= 2023-01-01\n"
    )
    assert (
        open_study(str(with_settings(tmp_path, text, "case-14"))).spells["known_from"]
        == "2023-01-01"
    ).all()
    with pytest.raises(ConfigError, match="days after the cut-off"):
        open_study(
            str(with_settings(tmp_path, text.replace("2023-01-01", "2027-01-01"), "case-14"))
        )


def test_R4_a_setting_is_not_contradicted_by_a_note(tmp_path):
    text = (CASES / "case-10" / "r.toml").read_text()
    text = text.replace(
        'tenure_months = "tenure"', 'tenure_months = "tenure"\ntenure_counts = "begun"'
    )
    (tmp_path / "retention.toml").write_text(text)
    (tmp_path / "x.csv").write_bytes((CASES / "case-10" / "x.csv").read_bytes())
    assert not any("months completed" in note for note in open_study(str(tmp_path)).tables.notes)


def test_T1_notebooks_of_a_folder_of_data_are_not_run(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "src" / "retention").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert project_root() == Path(__file__).parents[1]


def test_T2_control_characters_are_left_off_and_said(tmp_path):
    (tmp_path / "clients.csv").write_text(
        "client_id,name,start_date,end_date,contract_term_months,monthly_ad_spend\n"
        "a,Acme\x1b[2J\x07 Ltd,2023-01-05,,1,5\nb,Bolt,2023-02-05,2023-08-04,1,5\n"
    )
    tables = open_study(str(tmp_path), cutoff="2024-06-30").tables
    assert tables.frames["clients"]["name"].tolist() == ["Acme[2J Ltd", "Bolt"]
    assert any("control characters left off" in note for note in tables.repairs)


@pytest.mark.parametrize("word", ["0", "No"])
def test_a_snapshot_of_clients_of_whom_nobody_has_left_is_read_and_said(tmp_path, word):
    rows = "".join(f"c{n},{n % 30},{word},1,100\n" for n in range(40))
    (tmp_path / "clients.csv").write_text(
        "client_id,tenure,churn,contract_term_months,monthly_ad_spend\n" + rows
    )
    (tmp_path / "retention.toml").write_text(
        "[tables.clients]\nsnapshot_date = 2024-06-30\ntenure_months = 'tenure'\n"
        "ended = { column = 'churn', true = 'Yes' }\n"
    )
    study = open_study(str(tmp_path))
    assert study.spells["gone"].sum() == 0 and len(study.spells) == 40
    assert any(
        f"Nobody has left: 'churn' holds '{word.casefold()}' alone" in note
        for note in study.tables.notes
    )
