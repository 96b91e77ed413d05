"""Simple shaping without SQL: which rows count, constants, units, periods, formats, rows made one;
and one clear refusal for each wrong use.
"""

from pathlib import Path

import pandas as pd
import pytest

from retention.data import read
from retention.errors import ConfigError, DataError
from retention.settings import resolve

TOP = 'cutoff = 2024-12-31\nrecords_begin = "all history"\n'
CLIENTS = """client_id,start_date,end_date,contract_term_months,monthly_ad_spend,Kind,Billing
C1,2023-01-10,,1,1200,Retainer,month
C2,2023-02-01,2024-01-31,12,24000,Retainer,year
C3,2023-03-01,,1,300,Add-on,month
"""
SNAPSHOT = """id,tenure,Status,fee
a,2.5,Stayed,10
b,0.5,Churned,10
c,1,Joined,10
d,3,Churned,10
"""
OF_SNAPSHOT = """
[tables.clients]
tenure_months = "tenure"
tenure_unit = "{unit}"
tenure_counts = "completed"
ended = {{ column = "Status", true = {true}{false} }}
snapshot_date = 2024-12-31
[tables.clients.columns]
client_id = "id"
monthly_ad_spend = "fee"
[tables.clients.constant]
contract_term_months = 1
"""


def tables_of(folder: Path, lines: str = "", **files: str):
    for name, text in ({"clients": CLIENTS} | files).items():
        (folder / f"{name}.csv").write_text(text)
    (folder / "retention.toml").write_text(TOP + lines)
    return read(resolve(str(folder)))


def clients_of(folder: Path, lines: str, text: str = CLIENTS) -> pd.DataFrame:
    return tables_of(folder, lines, clients=text).frames["clients"].set_index("client_id")


def test_rows_that_do_not_count_are_left_out_and_counted(tmp_path):
    tables = tables_of(tmp_path, '[tables.clients.where]\nKind = "retainer"\n')
    assert tables.frames["clients"]["client_id"].tolist() == ["C1", "C2"]
    assert "clients: rows left out as [tables.clients.where] says, by Kind: 1." in tables.notes
    both = clients_of(tmp_path, '[tables.clients.where]\nKind = ["Retainer", "Add-on"]\n')
    assert len(both) == 3


def test_what_is_the_same_for_all_is_said_once(tmp_path):
    text = "client_id,start_date,end_date\nC1,2023-01-10,\nC2,2023-02-01,2024-01-31\n"
    with pytest.raises(DataError, match=r"contract_term_months = \.\.\. under \[tables") as asked:
        clients_of(tmp_path, "", text)
    assert len(asked.value.faults) == 2  # term and size, each with its way out
    lines = "[tables.clients.constant]\ncontract_term_months = 1\nmonthly_ad_spend = 1000\n"
    rows = clients_of(tmp_path, lines, text)
    assert rows["contract_term_months"].tolist() == [1, 1]
    assert rows["monthly_ad_spend"].tolist() == [1000, 1000]
    dated = clients_of(tmp_path, f"{lines}recorded_date = 2024-05-01\n", text)
    assert set(dated["recorded_date"]) == {pd.Timestamp(2024, 5, 1)}


def test_cents_and_amounts_of_other_periods(tmp_path):
    cents = clients_of(tmp_path, "[tables.clients.scale]\nmonthly_ad_spend = 0.01\n")
    assert cents["monthly_ad_spend"].tolist() == [12, 240, 3]
    lines = '[tables.clients.per]\nmonthly_ad_spend = {column = "Billing"}\n'
    by_row = clients_of(tmp_path, lines)
    assert by_row["monthly_ad_spend"].tolist() == [1200, 2000, 300]
    for period, months in {"month": 1, "quarter": 3, "year": 12}.items():
        rows = clients_of(tmp_path, f'[tables.clients.per]\nmonthly_ad_spend = "{period}"\n')
        assert rows.loc["C2", "monthly_ad_spend"] == 24000 / months


@pytest.mark.parametrize(
    ("unit", "terms"), [("days", "30,365"), ("weeks", "4.3,52"), ("years", "0.0833,1")]
)
def test_terms_in_other_units_are_months_and_words_are_words(tmp_path, unit, terms):
    one, year = terms.split(",")
    text = CLIENTS.replace(",,1,1200", f",,{one},1200").replace("31,12,", f"31,{year},")
    text = text.replace(",,1,300", ",,M2M,300")
    rows = clients_of(tmp_path, f'[tables.clients.unit]\ncontract_term_months = "{unit}"\n', text)
    assert rows["contract_term_months"].tolist() == [1, 12, 1]


def test_a_word_mapped_to_months_is_not_taken_for_years(tmp_path):
    lines = '[tables.clients.unit]\ncontract_term_months = "years"\n'
    lines += '[tables.clients.values.contract_term_months]\nhouse = 3\n"" = 1\n'
    text = CLIENTS.replace(",,1,1200", ",,house,1200").replace("31,12,", "31,1,")
    text = text.replace(",,1,300", ",,,300")
    rows = clients_of(tmp_path, lines, text)
    assert rows["contract_term_months"].tolist() == [3, 12, 1]


@pytest.mark.parametrize(
    ("unit", "times"), [("years", 1), ("months", 12), ("weeks", 52.1775), ("days", 365.2425)]
)
def test_tenures_in_any_unit_with_decimals_and_a_status_of_three_words(tmp_path, unit, times):
    text = SNAPSHOT
    for years in ("2.5", "0.5", ",1,", "3"):
        number = float(years.strip(",")) * times
        new = f",{number:.4f}," if "," in years else f"{number:.4f}"
        text = text.replace(f",{years.strip(',')},", f",{new.strip(',')},")
    lines = OF_SNAPSHOT.format(
        true='["Churned"]', false=', false = ["Stayed", "Joined"]', unit=unit
    )
    rows = clients_of(tmp_path, lines.replace(TOP, ""), text)
    months = pd.Period("2025-01", "M").ordinal - rows["start_date"].dt.to_period("M").astype(int)
    assert months.to_dict() == {"a": 30, "b": 7, "c": 12, "d": 37}  # who left: completed and begun
    assert rows["end_date"].notna().to_dict() == {"a": False, "b": True, "c": False, "d": True}
    assert set(rows["contract_term_months"]) == {1}


def test_a_third_word_of_a_status_is_asked_about(tmp_path):
    with pytest.raises(DataError, match="should hold 'Churned' and one other word") as asked:
        clients_of(tmp_path, OF_SNAPSHOT.format(true='"Churned"', false="", unit="years"), SNAPSHOT)
    assert "ended.false" in str(asked.value)
    lines = OF_SNAPSHOT.format(true='"Churned"', false=', false = ["Stayed"]', unit="years")
    with pytest.raises(DataError, match="seen: 'joined'"):
        clients_of(tmp_path, lines, SNAPSHOT)


def test_decimals_of_a_tenure_are_asked_about(tmp_path):
    lines = OF_SNAPSHOT.format(true='"Churned"', false=', false=["Stayed", "Joined"]', unit="")
    lines = lines.replace('tenure_unit = ""\n', "")
    with pytest.raises(DataError, match='tenure_unit = "years", "months", "weeks" or "days"'):
        clients_of(tmp_path, lines, SNAPSHOT)


def test_epoch_seconds_and_hours_with_minutes(tmp_path):
    text = CLIENTS.replace("2023-01-10", "1673308800").replace("2023-02-01", "1675209600000")
    text = text.replace("2023-03-01", "1677628800").replace("2024-01-31", "1706659200")
    lines = '[tables.clients.formats]\nstart_date = "epoch seconds"\nend_date = "epoch seconds"\n'
    lines += '[tables.hours.formats]\nhours = "h:mm"\n'
    hours = "client_id,staff_id,month,hours\nC1,ann,2023-05,1:30\nC1,bob,2023-05,2:15:00\n"
    hours += "C2,bob,2023-05,0.5\n"
    frames = tables_of(tmp_path, lines, clients=text, hours=hours).frames
    days = frames["clients"]["start_date"].dt.strftime("%Y-%m-%d").tolist()
    assert days == ["2023-01-10", "2023-02-01", "2023-03-01"]
    assert frames["clients"].loc[1, "end_date"] == pd.Timestamp(2024, 1, 31)
    assert frames["hours"]["hours"].tolist() == [1.5, 2.25, 0.5]


def test_rows_of_a_client_are_made_one(tmp_path):
    text = CLIENTS + "C1,2022-12-01,2023-06-30,1,50,Add-on,month\n"
    text += "C2,2022-12-01,2023-06-30,1,50,Add-on,month\n"
    with pytest.raises(DataError, match="overlap"):
        clients_of(tmp_path, "", text)
    lines = '[tables.clients.group]\nstart_date = "first"\nend_date = "last"\n'
    with pytest.raises(DataError, match="that differ in contract_term_months, monthly_ad_spend"):
        clients_of(tmp_path, lines, text)
    lines += 'contract_term_months = "first"\nmonthly_ad_spend = "sum"\n'
    rows = clients_of(tmp_path, lines, text)
    assert list(rows.index) == ["C1", "C2", "C3"]
    assert set(rows.loc[["C1", "C2"], "start_date"]) == {pd.Timestamp(2022, 12, 1)}
    assert pd.isna(rows.loc["C1", "end_date"])  # one of its rows is open
    assert rows.loc["C2", "end_date"] == pd.Timestamp(2024, 1, 31)
    assert rows["monthly_ad_spend"].tolist() == [1250, 24050, 300]
    assert rows["contract_term_months"].tolist() == [1, 12, 1]


def test_rows_of_another_table_are_made_one(tmp_path):
    leads = "lead_id,created_on,source\nL1,2023-01-01,web\nL1,2023-02-01,ads\n"
    lines = '[tables.leads.group]\ncreated_on = "first"\nsource = "last"\n'
    rows = tables_of(tmp_path, lines, leads=leads).frames["leads"]
    assert rows[["created_on", "source"]].to_numpy().tolist() == [[pd.Timestamp(2023, 1, 1), "ads"]]


def test_every_vocabulary_can_be_mapped(tmp_path):
    text = CLIENTS.replace("Kind,Billing", "end_reason,end_initiator")
    text = text.replace("Retainer,year", "Did not click with AM,Them").replace("Retainer", "")
    text = text.replace("Add-on", "").replace(",month\n", ",\n")
    with pytest.raises(DataError, match="Use or map to"):
        clients_of(tmp_path, "", text)
    lines = '[tables.clients.values.end_reason]\n"did not click with am" = "rep"\n'
    lines += '[tables.clients.values.end_initiator]\nthem = "client"\n'
    assert clients_of(tmp_path, lines, text).loc["C2", "end_reason"] == "rep"


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ('[tables.clients.where]\nKnd = "x"', "where], and the file has no such column"),
        ('[tables.clients.where]\nKind = "Retaner"', "asks for 'retaner', which no row holds"),
        ("[tables.clients.constant]\nmonthly_ad_spend = 5", "a column of the file as well"),
        ("[tables.clients.constant]\nspend = 5", "is no column of this table"),
        ("[tables.clients.scale]\nstart_date = 0.01", "scale] and is a date. It takes columns of"),
        ('[tables.clients.per]\nstart_date = "year"', "per] and is a date"),
        ('[tables.clients.per]\nmonthly_ad_spend = {column = "Bill"}', "is mapped to 'Bill'"),
        ('[tables.clients.per]\nmonthly_ad_spend = {column = "Kind"}', "period that is not known"),
        ('[tables.clients.unit]\nmonthly_ad_spend = "years"', "It takes terms"),
        ('[tables.clients.group]\nstart_date = "sum"', "first and last for all"),
        ('[tables.clients.formats]\nmonthly_ad_spend = "epoch seconds"', "no format for it"),
        ('[tables.clients.formats]\nstart_date = "h:mm"', "no format for it"),
    ],
)
def test_a_wrong_use_is_one_clear_refusal(tmp_path, lines, told):
    with pytest.raises(DataError) as refused:
        clients_of(tmp_path, lines)
    assert len(refused.value.faults) == 1 and told in str(refused.value).replace("\n ", ".")


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("[tables.clients.scale]\nmonthly_ad_spend = 0", "greater than 0"),
        ('[tables.clients.per]\nmonthly_ad_spend = "decade"', "'month', 'quarter' or 'year'"),
        ('[tables.clients.unit]\ncontract_term_months = "hours"', "'days', 'weeks', 'months'"),
        ('[tables.clients.group]\nmonthly_ad_spend = "mean"', "'sum', 'first' or 'last'"),
        ('[tables.clients]\nscale = "cents"', "scale"),
    ],
)
def test_a_setting_that_is_none_is_told(tmp_path, lines, told):
    with pytest.raises(ConfigError) as refused:
        clients_of(tmp_path, lines)
    assert told in str(refused.value)


def test_rows_without_a_key_cannot_be_made_one(tmp_path):
    meetings = "client_id,held_on\nC1,2023-05-01\n"
    with pytest.raises(DataError, match="its rows have no key"):
        tables_of(tmp_path, '[tables.meetings.group]\nheld_on = "first"\n', meetings=meetings)
