"""From bad and odd files to one clear error or the right table; settings that are wrong are named,
all at once.
"""

import datetime as dt

import pandas as pd
import pytest

from retention.data import read
from retention.data.parse import parse
from retention.data.schema import TABLES, Column, dictionary
from retention.errors import ConfigError, DataError
from retention.settings import resolve
from retention.study import open_study
from retention.words import key_of

NUMBER = Column("amount", "number", "signing", "")
HEAD = "client_id,start_date,end_date,contract_term_months,monthly_ad_spend"
GOOD = f"{HEAD}\na,2024-01-01,,1,1000\nb,2024-02-01,2024-07-31,12,2500.50\n"


def folder_with(tmp_path, text: str | bytes, settings: str = "", name: str = "clients.csv"):
    data = text.encode() if isinstance(text, str) else text
    (tmp_path / name).write_bytes(data)
    if settings:
        (tmp_path / "retention.toml").write_text(settings)
    return str(tmp_path)


def faults_of(tmp_path, text, settings="") -> str:
    with pytest.raises(DataError) as caught:
        read(resolve(folder_with(tmp_path, text, settings)))
    return str(caught.value)


def clients_from(tmp_path, text, settings="") -> pd.DataFrame:
    return read(resolve(folder_with(tmp_path, text, settings))).frames["clients"]


def test_a_plain_file(tmp_path):
    frame = clients_from(tmp_path, GOOD)
    assert frame["start_date"].tolist() == [pd.Timestamp("2024-01-01"), pd.Timestamp("2024-02-01")]
    assert pd.isna(frame["end_date"][0]) and frame["monthly_ad_spend"][1] == 2500.5
    assert frame["contract_term_months"].tolist() == [1, 12]


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + GOOD,
        GOOD.replace("\n", "\r\n"),
        GOOD.replace(",", ";"),
        GOOD.replace(",", "\t"),
        GOOD + "\n\n",
        GOOD.replace("a,", " a ,"),
        GOOD.encode("utf-16"),
        GOOD.replace("2024-01-01", "2024-01-01 00:00:00"),
        GOOD.replace("2024-01-01", "01.01.2024")
        .replace("2024-02-01", "01.02.2024")
        .replace("2024-07-31", "31.07.2024"),
    ],
)
def test_the_same_table_from_other_dialects(tmp_path, text):
    whole, plain = clients_from(tmp_path, text), clients_from(tmp_path, GOOD)
    pd.testing.assert_frame_equal(whole, plain)


def test_every_fault_of_every_table_at_once(tmp_path):
    (tmp_path / "contracts.csv").write_text(
        "client_id,signed_on,term_start,term_months\nzz,2024-01-01,2024-01-01,0\n"
    )
    text = (
        f"{HEAD},end_initiator\n"
        "a,2024-01-01,2023-06-30,1,1000,client\n"
        ",2024-01-01,,1,-5,\n"
        "c,soon,,sometimes,1000,\n"
        "d,2024-01-01,,0,1000,boss\n"
    )
    told = faults_of(tmp_path, text)
    assert told.startswith("10 things to mend")
    assert "clients.start_date: is not a date (seen: 'soon') (1 row: c)" in told
    assert (
        "clients.contract_term_months: is not a whole number (seen: 'sometimes') (1 row: c)" in told
    )
    assert "clients.end_date: is before start_date (1 row: a)" in told
    assert "clients.client_id: is empty (1 row: (no id))" in told
    assert "clients.monthly_ad_spend: is below 0 (seen: -5.0)" in told
    assert "clients.contract_term_months: is below 1 (seen: 0) (1 row: d)" in told
    assert "clients.end_initiator: has values outside its vocabulary (seen: boss)" in told
    assert "contracts.term_months: is below 1 (seen: 0) (1 row: zz)" in told
    assert "contracts.client_id: is not in the clients table (1 row: zz)" in told


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "holds no rows"),
        (HEAD + "\n", "holds no rows"),
        (GOOD.replace("end_date", "start_date"), "without a name of their own: start_date"),
        (GOOD + "c,2024-01-01\n", r"rows without 5 values \(1 row: line 4 has 2\)"),
        (
            GOOD.replace("start_date", "begin_date"),
            "start_date: is required and missing(.|\n)*begin_date",
        ),
        (b"\x00\x01" + GOOD.encode(), "zero bytes"),
        (GOOD.replace("a,", "Caf\u00e9,").encode("cp1252"), "encoding"),
        (GOOD + "a,2024-01-01,,1,1000\n", "the same row more than once"),
        (GOOD + "b,2024-07-31,,1,1000\n", "overlap"),
        (
            GOOD.replace("2024-01-01", "03/04/2025"),
            "03/04/2025, which is 03 April 2025 .day first. or 04 March 2025",
        ),
        (GOOD.replace("2024-01-01", "2024-02-30"), "start_date: is not a date"),
        (GOOD.replace("2024-01-01", "202401"), "start_date: is not a date"),
        (
            GOOD.replace("2024-01-01", "2204-01-01").replace("2204", "9999"),
            "start_date: is not a date",
        ),
        (GOOD.replace("1000", '"24 inch'), "stray or unclosed quote"),
        (GOOD.replace("a,", '"Ac"me,'), "stray or unclosed quote"),
        (
            GOOD.replace("spend\n", "spend,name\n")
            .replace("1000", '1000,"x')
            .replace(".50", '.50,y"'),
            "holds whole rows",
        ),
        (
            GOOD.replace(",1,1000", ",99999999999999999999,1000"),
            "contract_term_months: is not a whole number",
        ),
        (GOOD.replace("1000", "500 USD").replace("2500.50", "500 EUR"), "mixes currencies"),
        (GOOD.replace("\na,", "\n,"), r"client_id: is empty \(1 row: \(no id\)\)"),
        (
            GOOD.replace("spend\n", "spend,end_reason\n")
            .replace(",1000", ",1000,price")
            .replace(".50", ".50,"),
            "end_reason: is given but end_date is not",
        ),
    ],
)
def test_a_malformed_file_is_never_a_wrong_answer(tmp_path, text, told):
    with pytest.raises(DataError, match=told):
        read(resolve(folder_with(tmp_path, text)))


def test_a_contract_signed_after_the_cutoff_changes_nothing(tmp_path):
    rows = "client_id,signed_on,term_start,term_months\na,2024-01-01,2024-01-01,6\n"
    (tmp_path / "contracts.csv").write_text(rows)
    before = open_study(folder_with(tmp_path, GOOD), cutoff="2024-12-31").cycles
    (tmp_path / "contracts.csv").write_text(rows + "a,2025-02-01,2024-04-01,12\n")
    pd.testing.assert_frame_equal(open_study(str(tmp_path), cutoff="2024-12-31").cycles, before)


def test_two_contracts_for_the_same_day_are_a_fault(tmp_path):
    rows = "client_id,signed_on,term_start,term_months\na,2024-01-01,2024-01-01,6\na,2024-01-02,2024-01-01,12\n"
    (tmp_path / "contracts.csv").write_text(rows)
    assert (
        "contracts: has more than one row for the same client_id, term_start (1 row: a)"
        in faults_of(tmp_path, GOOD)
    )


@pytest.mark.parametrize(
    "text",
    [
        "sep=;\n" + GOOD.replace(",", ";"),
        GOOD.replace("\n", ",,\n"),
        GOOD.replace("client_id,start_date", "Client ID,START-DATE"),
    ],
)
def test_what_spreadsheets_add_is_understood(tmp_path, text):
    pd.testing.assert_frame_equal(clients_from(tmp_path, text), clients_from(tmp_path, GOOD))


def test_vocabulary_in_capitals_and_line_separators_in_names(tmp_path):
    text = GOOD.replace("spend\n", "spend,end_initiator,name\n").replace(
        ",1000", ",1000,,A\u2028B\x85"
    )
    frame = clients_from(tmp_path, text.replace(".50", '.50,CLIENT,"two\nlines"'))
    assert frame["end_initiator"].tolist()[1] == "client"
    assert frame["name"].tolist() == ["A\u2028B", "two\nlines"]


def test_readable_cells_are_not_called_empty(tmp_path):
    told = faults_of(tmp_path, GOOD.replace("1000", '"1,000"').replace("2500.50", "2500"))
    assert "two readings (seen: '1,000'" in told and "is empty" not in told


def test_one_file_has_one_order_of_dates(tmp_path):
    text = (
        GOOD.replace("2024-01-01", "03/04/2024")
        .replace("2024-02-01", "05/04/2024")
        .replace("2024-07-31", "31/07/2024")
    )
    frame = clients_from(tmp_path, text)
    assert frame["start_date"].dt.month.tolist() == [4, 4]


def test_dates_whose_reading_the_column_settles(tmp_path):
    text = GOOD.replace("2024-01-01", "03/04/2024").replace("2024-02-01", "25/02/2024")
    assert clients_from(tmp_path, text)["start_date"][0] == pd.Timestamp("2024-04-03")
    told = '[tables.clients.formats]\nstart_date = "%m/%d/%Y"\n'
    text = GOOD.replace("2024-01-01", "03/04/2024").replace("2024-02-01", "02/01/2024")
    assert clients_from(tmp_path, text, told)["start_date"][0] == pd.Timestamp("2024-03-04")


@pytest.mark.parametrize(
    ("values", "numbers"),
    [
        (["1,234.50", "7"], [1234.5, 7]),
        (["1.234,50", "7,5"], [1234.5, 7.5]),
        (["1,5", "2,25"], [1.5, 2.25]),
        (["$1,234.00", "12"], [1234, 12]),
        (["1234.5", "-3", "1e3"], [1234.5, -3, 1000]),
        (["1,234,567", "5"], [1234567, 5]),
        (["1,500", "12.5"], [1500, 12.5]),
        (["1.500", "12,5"], [1500, 12.5]),
        (["0.125", "USD 12.345"], [0.125, 12.345]),
        (["\u20ac 5", "7 EUR"], [5, 7]),
    ],
)
def test_numbers_as_people_write_them(values, numbers):
    parsed = parse(pd.Series(values, dtype=object), NUMBER)
    assert not parsed.bad.any() and parsed.values.tolist() == numbers


@pytest.mark.parametrize(
    "values",
    [
        ["1,500", "200"],
        ["1.500"],
        ["1.2.3"],
        ["1,23,4"],
        ["12abc34"],
        ["1.5", "2,5"],
        ["--5"],
        ["5k"],
        ["(500)"],
        ["12 %"],
        ["5 MIO"],
        ["30 DAY"],
        ["1 234"],
    ],
)
def test_numbers_that_are_refused(values):
    assert parse(pd.Series(values, dtype=object), NUMBER).bad.any()


def test_the_mapping_from_other_names_values_and_own_columns(tmp_path):
    text = (
        "Kunde,Von,Bis,Vertrag,Budget,Tier\nK1,2024-01-01,,Month-to-Month,5,gold\nK2,2024-01-01,, "
        ""
        ""
        ""
        "yearly ,7,tin\n"
    )
    settings = """
[tables.clients.columns]
client_id = "Kunde"
start_date = "Von"
end_date = "Bis"
contract_term_months = "Vertrag"
monthly_ad_spend = "Budget"
[tables.clients.values.contract_term_months]
"Month-to-month" = 1
"Yearly" = 12
[tables.clients.extra]
Tier = {kind = "category", known = "signing"}
"""
    frame = clients_from(tmp_path, text, settings)
    assert frame["contract_term_months"].tolist() == [1, 12]
    assert frame["Tier"].tolist() == ["gold", "tin"]


TENURE = """
[tables.clients]
tenure_months = "tenure"
ended = {column = "left", true = "Yes"}
snapshot_date = 2024-06-30
"""


def test_tenure_and_flag_count_back_from_the_first_of_a_month(tmp_path):
    text = "client_id,tenure,left,contract_term_months,monthly_ad_spend\na,6,No,1,5\nb,3,yes,12,5\nc,0,No,1,5\n"
    study = open_study(folder_with(tmp_path, text, TENURE))
    rows = study.spells.set_index("client_id")
    assert rows.loc["a", ["start_date", "stop_months", "ended"]].tolist() == [
        pd.Timestamp("2024-01-01"),
        6,
        False,
    ]
    assert rows.loc["b", ["start_date", "stop_months", "ended"]].tolist() == [
        pd.Timestamp("2024-04-01"),
        3,
        True,
    ]
    assert rows.loc["c", ["stop_months", "ended"]].tolist() == [0, False]
    assert (
        rows["decision_date"].dropna() == rows["end_date"].dropna()
    ).all()  # no notice is made up
    with pytest.raises(ConfigError, match="one cut-off"):
        open_study(str(tmp_path), cutoff="2024-12-31")


@pytest.mark.slow
@pytest.mark.parametrize("tenure", ["1.5", "-2", "", "new", "4000", "1e30", "99999999999999999999"])
def test_a_tenure_that_is_not_whole_months_is_a_fault(tmp_path, tenure):
    text = f"client_id,tenure,left,contract_term_months,monthly_ad_spend\na,{tenure},No,1,5\nb,3,Yes,12,5\n"
    told = faults_of(tmp_path, text, TENURE)
    assert (
        told.startswith("1 thing")
        and "tenure_months: is not a whole number of months" in told
        and "(1 row: a)" in told
    )


@pytest.mark.parametrize("day", [1, 2, 15, 30, 31])
def test_the_day_of_a_snapshot_within_its_month_does_not_matter(tmp_path, day):
    text = "client_id,tenure,left,contract_term_months,monthly_ad_spend\na,6,No,1,5\nb,3,yes,12,5\nc,0,yes,1,5\n"
    study = open_study(
        folder_with(tmp_path, text, TENURE.replace("2024-06-30", f"2024-07-{day:02d}"))
    )
    rows = study.spells.set_index("client_id")
    # Who left with a tenure of 0 shows that completed months are counted: c left in its first
    # month, b in its fourth.
    assert rows["stop_months"].to_dict() == {"a": 6, "b": 4, "c": 1}
    assert rows["ended"].to_dict() == {"a": False, "b": True, "c": True}
    assert study.cutoff == (dt.date(2024, 7, 31) if day == 31 else dt.date(2024, 6, 30))


def test_a_flag_with_unknown_words_is_a_fault(tmp_path):
    text = "client_id,tenure,left,contract_term_months,monthly_ad_spend\na,6,,1,5\nb,3,Yes,12,5\n"
    assert "left" in faults_of(tmp_path, text, TENURE)


def test_wrong_settings_are_all_named(tmp_path):
    folder = folder_with(
        tmp_path, GOOD, 'cutof = 2024-01-01\nnotice_days = "x"\n[tables.clients]\nfiel = "a"\n'
    )
    with pytest.raises(ConfigError) as caught:
        resolve(folder)
    told = str(caught.value)
    assert "cutof: unknown setting; did you mean 'cutoff'?" in told
    assert "fiel: unknown setting; did you mean 'file'?" in told
    assert "notice_days" in told


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('base = "/etc"', "unknown setting"),
        ("notice_days = true", "notice_days"),
        ("cutoff = 1735603200", "cutoff"),
        ("cutoff = 9999-12-31", "between 1950 and 2100"),
        ("[plan.A1]\nlevel = 5", "plan.A1.level"),
        ("[plan.A1]\nband = [2.0, 1.0]", "rising"),
        ('[plan.A1]\ndirection = "sideways"', "plan.A1.direction: unknown setting"),
        ("[plan.A1]\npublished = -1.0", "plan.A1.published"),
        ("[plan.A1]\nsmalest = 1.1", "did you mean 'smallest'"),
        ('[tables.clients]\nencoding = "undefinable"', "no encoding"),
        ('[tables.clients.formats]\nstart_date = "%Q"', "no format"),
        ('[tables.clients.values.x]\n"a" = 1\n"A" = 2', "maps a twice"),
    ],
)
def test_wrong_settings_are_refused(tmp_path, line, told):
    with pytest.raises(ConfigError) as caught:
        resolve(folder_with(tmp_path, GOOD, line + "\n"))
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("[tables.clients.values.foo]\na = 1", "foo: is not a column"),
        ('[tables.clients.formats]\nfoo = "day first"', "foo: is not a column"),
        (
            '[tables.clients.extra]\nclient_id = {kind = "number"}',
            "client_id: is a column of this table",
        ),
        ('[tables.clients.extra]\nstart_date = {kind = "date", known = "whenever"}', "no date"),
    ],
)
def test_settings_about_columns_that_are_not_there_are_faults(tmp_path, lines, told):
    assert told in faults_of(tmp_path, GOOD, lines + "\n")


def test_a_file_is_read_with_the_settings_beside_it(tmp_path):
    folder_with(tmp_path, GOOD, "cutoff = 2024-12-31\n")
    assert open_study(str(tmp_path / "clients.csv")).cutoff == dt.date(2024, 12, 31)


def test_rows_left_out_are_told_with_their_ids(tmp_path):
    text = GOOD + "late,2099-01-01,,1,5\nfar,2024-03-01,2028-01-01,1,5\n"
    study = open_study(folder_with(tmp_path, text), cutoff="2024-12-31")
    found = {key_of(item.text) for item in study.warnings().items}
    assert {"study.rows.later:1 (late)", "study.rows.far_ahead:2,1 (far)"} <= found


def test_precedence_command_line_environment_file_default(tmp_path, monkeypatch):
    folder = folder_with(tmp_path, GOOD, "cutoff = 2024-01-01\n")
    assert resolve(folder).cutoff == dt.date(2024, 1, 1)
    monkeypatch.setenv("RETENTION_CUTOFF", "2024-02-02")
    assert resolve(folder).cutoff == dt.date(2024, 2, 2)
    assert resolve(folder, cutoff="2024-03-03").cutoff == dt.date(2024, 3, 3)
    monkeypatch.setenv("RETENTION_DATA", folder)
    assert resolve().base == tmp_path


def test_the_cutoff_is_asked_for_where_nothing_was_recorded(tmp_path):
    with pytest.raises(ConfigError, match="The cut-off is not known"):
        open_study(folder_with(tmp_path, GOOD))
    assert open_study(str(tmp_path), cutoff="2024-12-31").cutoff == dt.date(2024, 12, 31)


def test_the_cutoff_is_the_newest_recorded_date_and_no_other(tmp_path):
    text = f"{HEAD},recorded_date\na,2024-01-01,2099-01-01,1,1000,2024-05-05\nb,2024-02-01,2024-07-31,12,2500,2024-07-15\n"
    assert open_study(folder_with(tmp_path, text)).cutoff == dt.date(2024, 7, 15)
    typo = text.replace("2024-07-15", "2099-07-15")
    with pytest.raises(ConfigError, match="typing error"):
        open_study(folder_with(tmp_path, typo))


def test_when_records_begin_is_asked_for_where_survivors_are_all_one_sees(tmp_path):
    text = GOOD.replace("2024-01-01", "2019-01-01")
    with pytest.raises(ConfigError, match="When do the records begin"):
        open_study(folder_with(tmp_path, text), cutoff="2024-12-31")
    answered = open_study(
        folder_with(tmp_path, text, 'records_begin = "all history"\n'), cutoff="2024-12-31"
    )
    assert answered.spells["entry_months"].eq(0).all()


def test_ends_on_the_renewal_day_are_asked_about(tmp_path):
    rows = "\n".join(f"c{i},2023-01-01,{'2024-01-01' if i < 5 else ''},12,5" for i in range(9))
    with pytest.raises(ConfigError, match="5 fixed terms ended up to 30 days after"):
        open_study(folder_with(tmp_path, f"{HEAD}\n{rows}\n"), cutoff="2024-12-31")
    answered = open_study(
        folder_with(tmp_path, f"{HEAD}\n{rows}\n", "end_grace_days = 1\n"), cutoff="2024-12-31"
    )
    assert (answered.spells.loc[answered.spells["ended"], "stop_months"] == 12).all()
    assert not any("fixed terms ended" in w.text for w in answered.warnings().items)
    wrong = open_study(
        folder_with(tmp_path, f"{HEAD}\n{rows}\n", "end_grace_days = 0\n"), cutoff="2024-12-31"
    )
    assert any("Check end_grace_days" in w.text for w in wrong.warnings().items)


def test_one_file_with_the_five_columns_is_enough(tmp_path):
    folder_with(tmp_path, GOOD, name="my clients.csv")
    study = open_study(str(tmp_path / "my clients.csv"), cutoff="2024-12-31")
    assert len(study.spells) == 2


def test_the_declarations_are_complete_and_the_dictionary_is_current():
    from conftest import ROOT

    known = {"signing"}
    for table in TABLES.values():
        names = {column.name for column in table.columns}
        assert {column.known for column in table.columns} <= known | names, table.name
        assert set(table.key) <= names
        assert all(column.unlocks for column in table.columns)
    assert (
        dictionary(("clients", "contracts")) in (ROOT / "data" / "sample" / "README.md").read_text()
    )
    told = "to remake it: python -c 'from retention.tables import *; print(dictionary())'"
    assert dictionary() in (ROOT / "docs" / "data-dictionary.md").read_text(), told
