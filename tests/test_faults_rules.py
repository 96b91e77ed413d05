"""Faults found from outside in what is read: scales, days, repeated rows, ids, settings, empty
tables, and rules.
"""

import shutil
from pathlib import Path

import openpyxl
import pandas as pd
import pytest
import sqlalchemy as sa

from conftest import ROOT
from retention.data import read
from retention.data.alike import nearest
from retention.errors import ConfigError, DataError
from retention.service import nps
from retention.settings import resolve

CASES = ROOT / "tests" / "cases"
CLIENTS = (
    "client_id,start_date,end_date,contract_term_months,monthly_ad_spend\n"
    "a,2024-01-01,,1,1000\n"
    "b,2024-02-01,2024-07-31,12,2500.50\n"
)


def write(folder: Path, settings: str = "", **tables: str) -> Path:
    """A folder with these tables as CSV (the two clients unless given), and settings."""
    for name, text in ({"clients": CLIENTS} | tables).items():
        (folder / f"{name}.csv").write_text(text, "utf-8")
    (folder / "retention.toml").write_text(settings, "utf-8")
    return folder


def case(folder: Path, name: str, settings: str = "") -> Path:
    """A copy of a case, with more settings."""
    copy = folder / "data"
    shutil.copytree(CASES / name, copy)
    with (copy / "retention.toml").open("a") as file:
        file.write(settings)
    return copy


def tables_of(folder: Path):
    return read(resolve(str(folder)))


def told(folder: Path, error: type[Exception] = DataError) -> str:
    with pytest.raises(error) as caught:
        tables_of(folder)
    return str(caught.value)


# B12: the scale of the answers


def test_B12_answers_of_which_none_is_above_five_are_asked_about(tmp_path):
    said = told(case(tmp_path, "case-17"), ConfigError)
    assert "surveys.nps is above 5 (37 answers, from 3 to 5)" in said
    assert 'nps = "1-5"' in said and 'nps = "0-10"' in said


@pytest.mark.parametrize(("scale", "score"), [("1-5", 38.0), ("0-10", -100.0)])
def test_B12_the_scale_that_is_said_makes_the_classes(tmp_path, scale, score):
    tables = tables_of(case(tmp_path, "case-17", f'[scales]\nnps = "{scale}"\n'))
    given = pd.read_csv(CASES / "case-17" / "surveys.csv")["nps"]
    right = 100 * ((given == 5).mean() - (given <= 3).mean()) if scale == "1-5" else -100.0
    row = nps.tally(nps.waves(tables.frames["surveys"], scale), "wave").iloc[0]
    assert row["nps"] == pytest.approx(right) and row["answered"] == 37
    assert score == -100.0 or row["passives"] == (given == 4).sum()


@pytest.mark.parametrize(
    ("scale", "answers", "points"),
    [
        ("1-5", [1, 3, 4, 5], [2, 6, 8, 10]),
        ("0-5", [0, 3, 4, 5], [0, 6, 8, 10]),
        ("1-7", [1, 5, 6, 7], [1, 6, 8, 10]),
        ("0-100", [0, 69, 89, 90], [0, 6, 8, 9]),
        ("1-10", [1, 6, 8, 9], [1, 6, 8, 9]),
    ],
)
def test_B12_scales_in_points(tmp_path, scale, answers, points):
    rows = "".join(
        f"a,2024-0{month}-01,2024-0{month}-02,{answer}\n" for month, answer in enumerate(answers, 1)
    )
    folder = write(
        tmp_path,
        f'[scales]\nnps = "{scale}"\n',
        surveys="client_id,invited_on,answered_on,nps\n" + rows,
    )
    assert tables_of(folder).frames["surveys"]["nps"].tolist() == points


def test_B12_an_answer_off_the_scale_says_how_to_name_another(tmp_path):
    surveys = "client_id,invited_on,answered_on,nps\na,2024-05-01,2024-05-02,70\nb,2024-05-01,2024-05-02,-100\n"
    said = told(write(tmp_path, surveys=surveys))
    assert "not on the scale of the answers, 0 to 10 (seen: -100, 70)" in said and "0-100" in said
    assert '"-100" = 3' in said


def test_B12_few_low_answers_and_a_single_high_one_are_no_doubt(tmp_path):
    rows = [f"a,2024-0{month}-01,2024-0{month}-02,{2 + month % 3}\n" for month in range(1, 5)]
    head = "client_id,invited_on,answered_on,nps\n"
    assert len(tables_of(write(tmp_path, surveys=head + "".join(rows))).frames["surveys"]) == 4
    rows += ["b,2024-05-01,2024-05-02,1\n", "b,2024-06-01,2024-06-02,9\n"]
    assert len(tables_of(write(tmp_path, surveys=head + "".join(rows))).frames["surveys"]) == 6


def test_B12_lists_show_the_answer_as_it_was_given():
    days = pd.to_datetime(["2024-05-01", "2024-05-02"])
    rows = pd.DataFrame(
        {"client_id": ["a", "b"], "invited_on": days, "answered_on": days, "nps": [8, 10]}
    )
    assert nps.waves(rows, "1-5").set_index("client_id")["given"].to_dict() == {
        "a": "4 of 5",
        "b": "5 of 5",
    }
    assert set(nps.waves(rows)["given"]) == {"8 of 10", "10 of 10"}


# B18: fractions and per cents


def test_B18_fees_of_which_none_is_above_one_are_asked_about(tmp_path):
    said = told(case(tmp_path, "case-24"), ConfigError)
    assert "clients.fee_pct is above 1 (90 above 0, from 0.06 to 0.1)" in said
    assert '"clients.fee_pct" = "fraction"' in said


@pytest.mark.parametrize(("answer", "fee"), [("fraction", 10.0), ("per cent", 0.1)])
def test_B18_the_answer_is_taken(tmp_path, answer, fee):
    folder = case(tmp_path, "case-24", f'[scales.percent]\n"clients.fee_pct" = "{answer}"\n')
    assert tables_of(folder).frames["clients"]["fee_pct"].max() == pytest.approx(fee)


@pytest.mark.parametrize(
    ("table", "text", "name"),
    [
        (
            "clients",
            CLIENTS.replace("spend\n", "spend,discount_pct\n").replace("1000\n", "1000,0.2\n"),
            "discount_pct",
        ),
        (
            "contracts",
            "client_id,signed_on,term_start,term_months,fee_pct\na,2024-01-01,2024-01-01,1,.08\n",
            "fee_pct",
        ),
        ("staff", "staff_id,role,commission_pct\ns,seller,0.05\n", "commission_pct"),
    ],
)
def test_B18_every_column_of_per_cents_is_asked_about(tmp_path, table, text, name):
    text = text.replace("2500.50\n", "2500.50,0\n") if table == "clients" else text
    write(tmp_path, **{table: text})
    assert f"{table}.{name}" in told(tmp_path, ConfigError)
    write(tmp_path, f'[scales.percent]\n{name} = "fraction"\n', **{table: text})
    assert tables_of(tmp_path).frames[table][name].max() in (20.0, 8.0, 5.0)


def test_B18_per_cent_signs_leave_no_doubt_and_unknown_columns_are_named(tmp_path):
    signed = (
        CLIENTS.replace("spend\n", "spend,fee_pct\n")
        .replace("1000\n", "1000,0.5%\n")
        .replace(".50\n", ".50,1%\n")
    )
    assert tables_of(write(tmp_path, clients=signed)).frames["clients"]["fee_pct"].tolist() == [
        0.5,
        1.0,
    ]
    said = told(write(tmp_path, '[scales.percent]\nfee = "fraction"\n'), ConfigError)
    assert "fee, which is no column of per cents" in said and "contracts.fee_pct" in said


# B13: values without their day


def test_B13_answers_without_a_day_are_a_fault_or_take_that_of_the_invitation(tmp_path):
    said = told(case(tmp_path, "case-18"))
    assert "surveys.nps: is given but answered_on is not (37 rows" in said
    assert 'answered_on = "invited_on" under [tables.surveys.dated_by]' in said
    shutil.rmtree(tmp_path / "data")
    tables = tables_of(
        case(tmp_path, "case-18", '[tables.surveys.dated_by]\nanswered_on = "invited_on"\n')
    )
    surveys = tables.frames["surveys"]
    assert (surveys["answered_on"] == surveys["invited_on"]).all() and len(surveys) == 37
    assert any(
        "answered_on: taken from invited_on" in text and "37" in text for text in tables.repairs
    )


@pytest.mark.parametrize(("name", "value"), [("nps", "9"), ("rep_liking", "7"), ("reason", "slow")])
def test_B13_each_value_of_an_answer_needs_its_day(tmp_path, name, value):
    head, way = (
        f"client_id,invited_on,answered_on,{name}\n",
        '[tables.surveys.dated_by]\nanswered_on = "invited_on"\n',
    )
    rows = f"a,2024-05-01,,{value}\nb,2024-05-01,,\n"
    assert f"surveys.{name}: is given but answered_on is not (1 row: a)" in told(
        write(tmp_path, surveys=head + rows)
    )
    surveys = tables_of(write(tmp_path, way, surveys=head + rows)).frames["surveys"]
    assert surveys["answered_on"].notna().tolist() == [
        True,
        False,
    ]  # who was asked and said nothing stays silent


def test_B13_a_day_that_cannot_be_read_is_one_fault(tmp_path):
    said = told(
        write(tmp_path, surveys="client_id,invited_on,answered_on,nps\na,2024-05-01,soon,9\n")
    )
    assert said.startswith("1 thing") and "answered_on: is not a date" in said


# B14 and R12: rows of one key


def test_B14_hours_by_the_day_and_two_fees_are_added_up_and_two_people_kept_apart(tmp_path):
    tables = tables_of(case(tmp_path, "case-19"))
    assert tables.frames["hours"]["hours"].tolist() == [5.5]
    assert tables.frames["account_months"]["fee"].tolist() == [800]
    surveys = tables.frames["surveys"]
    assert len(surveys) == 12 and surveys.groupby("client_id").size().eq(2).all()
    row = nps.tally(nps.waves(surveys), "wave").iloc[0]
    assert (row["asked"], row["detractors"]) == (
        6,
        6,
    )  # of one day the lowest answer, whoever was listed first
    said = " ".join(tables.repairs)
    assert (
        "hours.hours of 2 rows added up into 1" in said and "account_months.fee of 2 rows" in said
    )


def test_B14_the_order_of_the_rows_does_not_choose_the_answer(tmp_path):
    head, rows = (
        "client_id,invited_on,answered_on,nps\n",
        ["a,2024-05-01,2024-05-02,9\n", "a,2024-05-01,2024-05-02,4\n"],
    )
    for order in (rows, rows[::-1]):
        surveys = tables_of(write(tmp_path, surveys=head + "".join(order))).frames["surveys"]
        assert surveys["nps"].tolist() == [9, 4]  # the last one counts wherever one has to


def test_B14_invoice_lines_are_added_up_unless_they_contradict_each_other(tmp_path):
    head = "invoice_id,client_id,issued_on,due_on,amount\n"
    lines = "i1,a,2024-05-01,2024-05-31,100\ni1,a,2024-05-01,2024-05-31,100\ni2,a,2024-05-01,2024-05-31,7\n"
    invoices = tables_of(write(tmp_path, invoices=head + lines)).frames["invoices"]
    assert dict(zip(invoices["invoice_id"], invoices["amount"], strict=True)) == {
        "i1": 200,
        "i2": 7,
    }
    said = told(write(tmp_path, invoices=head + lines + "i2,b,2024-05-01,2024-05-30,9\n"))
    assert (
        "several rows for the same invoice_id that differ in client_id, due_on (2 rows: i2, ...)"
        in said
    )


def test_B14_parts_and_versions_are_told_apart_by_asking(tmp_path):
    head = "client_id,month,fee,recorded_at\n"
    rows = "a,2024-05,500,2024-06-01\na,2024-05,550,2024-06-09\n"
    said = told(write(tmp_path, account_months=head + rows))
    assert "with different recorded_at" in said and 'repeated = "keep newest"' in said
    for answer, fee in (("keep newest", 550), ("add up", 1050)):
        write(
            tmp_path,
            f'[tables.account_months]\nrepeated = "{answer}"\n',
            account_months=head + rows,
        )
        assert tables_of(tmp_path).frames["account_months"]["fee"].tolist() == [fee]


def test_B14_one_amount_twice_is_asked_about(tmp_path):
    rows = "client_id,month,ad_spend,fee\na,2024-05,9000,500\na,2024-05,9000,300\n"
    said = told(write(tmp_path, account_months=rows))
    assert (
        "several rows for the same client_id, month with the same ad_spend (2 rows: a, ...)" in said
    )
    write(tmp_path, '[tables.account_months]\nrepeated = "add up"\n', account_months=rows)
    assert tables_of(tmp_path).frames["account_months"]["ad_spend"].tolist() == [18000]


@pytest.mark.parametrize(
    ("table", "rows", "differ"),
    [
        ("results", "client_id,month,metric,value\na,2024-05,cpa,5\na,2024-05,cpa,6\n", "value"),
        ("staff", "staff_id,role,name\ns,rep,Ann\ns,seller,Ann\n", "role"),
        ("leads", "lead_id,created_on,source\nl,2024-05-01,ads\nl,2024-05-02,ads\n", "created_on"),
        (
            "assignments",
            "client_id,staff_id,from_date,to_date\na,s,2024-05-01,\na,s,2024-05-01,2024-06-01\n",
            "to_date",
        ),
    ],
)
def test_R12_rows_of_one_key_say_in_which_columns_they_differ(tmp_path, table, rows, differ):
    said = told(write(tmp_path, **{table: rows}))
    assert f"They differ in {differ}." in said
    assert "Keep one" not in said and "Remove the copies" not in said


def test_R12_rows_whose_dates_could_not_be_read_are_no_copies_and_do_not_overlap(tmp_path):
    said = told(
        write(tmp_path, clients=CLIENTS + "c,2024-01-01,soon,1,5\nc,2024-01-01,later,1,5\n")
    )
    assert said.startswith("1 thing") and "end_date: is not a date" in said


def test_R12_a_setting_that_does_not_fit_is_a_fault(tmp_path):
    assert 'takes "add up"' in told(
        write(
            tmp_path,
            '[tables.hours]\nrepeated = "keep newest"\n',
            hours="client_id,staff_id,month,hours\na,s,2024-05,1\n",
        )
    )


def test_R12_a_word_for_nothing_can_be_kept(tmp_path):
    clients = (
        CLIENTS.replace("spend\n", "spend,industry\n")
        .replace("1000\n", "1000,None\n")
        .replace(".50\n", ".50,NA\n")
    )
    tables = tables_of(write(tmp_path, clients=clients))
    assert tables.frames["clients"]["industry"].isna().all()
    way = '"None" = "None" under [tables.clients.values.industry]'
    assert any("'None' read as blank (1 cell)" in text and way in text for text in tables.repairs)
    write(tmp_path, '[tables.clients.values.industry]\n"None" = "None"\n', clients=clients)
    assert tables_of(tmp_path).frames["clients"]["industry"].tolist()[0] == "None"


# B19: the nearest explanation first, and remedies that work


@pytest.mark.parametrize(
    ("unknown", "known", "kind"),
    [
        ("1", "0001", "zeros"),
        ("0001", "1", "zeros"),
        ("101.0", "101", "decimals"),
        ("C7", "c7", "capitals"),
        ("\u04217", "C7", "letters"),
        ("C\u00a07", "C7", "spaces"),
        ("C\u200b7", "C7", "spaces"),
        ("CO1", "C01", "O and 0"),
        ("C-7", "C7", "signs"),
        ("c_007", "C-7", "several"),
        ("x", "y", ""),
    ],
)
def test_B19_what_an_unknown_id_nearly_is(unknown, known, kind):
    found = nearest([unknown], [known, "zz9"])
    assert (kind or "") in found


def test_B19_lost_zeros_come_before_adding_clients_and_the_map_works(tmp_path):
    said = told(case(tmp_path, "case-27"))
    assert (
        "but for leading zeros (seen: '0' for '0000', '1' for '0001'" in said
        and "Add those clients" not in said
    )
    assert '"6.5" = 6 under [tables.surveys.values.nps]' in said
    pairs = "".join(f'"{number}" = "{number:04d}"\n' for number in range(20))
    shutil.rmtree(tmp_path / "data")
    mended = f'[tables.surveys.values.client_id]\n{pairs}[tables.surveys.values.nps]\n"6.5" = 6\n'
    assert len(tables_of(case(tmp_path, "case-27", mended)).frames["surveys"]) == 20


def test_B19_each_kind_of_unknown_id_is_a_fault_of_its_own(tmp_path):
    flags = "client_id,noted_on,flag\nA,2024-05-01,late\nzz,2024-05-01,late\n"
    said = told(write(tmp_path, flags=flags))
    assert "but for capitals (seen: 'A' for 'a') (1 row: A)" in said
    assert "flags.client_id: is not in the clients table (1 row: zz)" in said


@pytest.mark.parametrize(
    "word", ["0000-00-00", "1899-12-30", "1899-12-30 00:00:00", "ongoing", "9999-12-31 00:00"]
)
def test_B19_the_remedy_for_no_day_works(tmp_path, word):
    clients = CLIENTS.replace("2024-01-01,,", f"2024-01-01,{word},")
    try:
        tables_of(write(tmp_path, clients=clients))
    except DataError as error:
        line = f'"{word}" = ""'
        assert line in str(error) and "[tables.clients.values.end_date]" in str(error)
        write(tmp_path, f"[tables.clients.values.end_date]\n{line}\n", clients=clients)
    assert tables_of(tmp_path).frames["clients"]["end_date"].isna().tolist() == [True, False]


def test_B19_a_start_that_is_no_day_is_not_to_be_left_blank(tmp_path):
    said = told(write(tmp_path, clients=CLIENTS.replace("2024-01-01", "0000-00-00")))
    assert "this column needs one" in said and '= ""' not in said


@pytest.mark.slow
@pytest.mark.parametrize("term", ["0", "", "-1", "none", "n/a"])
@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_B19_month_to_month_as_nothing_is_one_and_the_map_works(tmp_path, term, kind):
    text = CLIENTS.replace(",,1,", f",,{term},")
    write(tmp_path, clients=text)
    if kind == "xlsx":
        (tmp_path / "clients.csv").unlink()
        book = openpyxl.Workbook()
        for line in text.splitlines():
            book.active.append(
                [int(cell) if cell.isdigit() else cell or None for cell in line.split(",")]
            )
        book.save(tmp_path / "clients.xlsx")
    line = f'"{term if term in ("0", "-1") else ""}" = 1'
    said = told(tmp_path)
    assert line in said and "[tables.clients.values.contract_term_months]" in said
    (tmp_path / "retention.toml").write_text(
        f"[tables.clients.values.contract_term_months]\n{line}\n"
    )
    assert tables_of(tmp_path).frames["clients"]["contract_term_months"].tolist() == [1, 12]


def test_B19_a_client_that_cancelled_before_its_start(tmp_path):
    said = told(write(tmp_path, clients=CLIENTS.replace("2024-07-31", "2024-01-15")))
    assert "never was one: leave the row out" in said


# R11: a known key in the wrong section


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("snapshot_date = 2024-06-30", "snapshot_date belongs under [tables.clients]."),
        ("[tables.clients]\ncutoff = 2024-06-30", "cutoff belongs at the top of the file"),
        ("[tables.clients.columns]\ncutoff = 2024-06-30", "cutoff belongs at the top of the file"),
        ('nps = "1-5"', "nps belongs under [scales]."),
        ("capacity = 5", "capacity belongs under [risk]."),
        ("[risk]\nsellers_added = 1.0", "sellers_added belongs under [what_if]."),
        ("[scales]\nlevel = 0.9", "level belongs under [plan.<name>]."),
        (
            '[source]\nencoding = "cp1252"',
            "encoding belongs under [tables.clients] or [source.files.<name>].",
        ),
        ("[tables.surveys]\nprimary = 'cpa'", "primary belongs under [results]."),
        ("[privacy]\nnotice_days = 5", "notice_days belongs at the top of the file"),
        ("[tables]\nsnapshot_date = 2024-06-30", "snapshot_date belongs under [tables.clients]."),
        (
            "[tables.clients.extra.x]\nkind = 'text'\ncolumns = 'y'",
            "columns belongs under [tables.clients].",
        ),
    ],
)
def test_R11_a_known_setting_in_the_wrong_section_says_where_it_belongs(tmp_path, lines, said):
    text = told(write(tmp_path, lines + "\n"), ConfigError)
    assert said in text


def test_R11_a_setting_among_columns_and_a_column_among_settings(tmp_path):
    said = told(write(tmp_path, '[tables.clients.columns]\nsnapshot_date = "start_date"\n'))
    assert "snapshot_date belongs under [tables.clients]." in said
    said = told(write(tmp_path, '[tables.clients]\nindustry = "Branch"\n'), ConfigError)
    assert "Columns are named under [tables.clients.columns]." in said


def test_R11_a_setting_of_two_kinds_is_one_fault_in_plain_words(tmp_path):
    said = told(write(tmp_path, 'records_begin = "all"'), ConfigError)
    assert said.splitlines()[1:] == [
        """  records_begin: write a date, or "all history" if nobody is missing (got 'all')"""
    ]


def test_R11_the_same_word_is_never_suggested():
    from retention.settings.load import _explain
    from retention.settings.shape import known_places

    for name in known_places():
        for place in (("nowhere", name), (name,), ("tables", "clients", name), ("risk", name)):
            if place == (name,) and "" in known_places()[name]:
                continue
            line = _explain({"loc": place, "type": "extra_forbidden", "input": 1, "msg": ""})
            assert f"mean {name!r}" not in line, line


# B20: an optional table without rows is an empty table


@pytest.mark.parametrize(
    "text", ["client_id,staff_id,month,hours\n", "", "\n\n", "client_id,staff_id,month,hours"]
)
def test_B20_an_optional_table_without_rows_is_empty(tmp_path, text):
    tables = tables_of(write(tmp_path, hours=text))
    assert tables.rows["hours"] == 0 and "hours" not in tables.frames
    assert "hours.csv holds no rows: taken as an empty table" in tables.notes


def test_B20_in_workbooks_parquet_and_databases_too(tmp_path, monkeypatch):
    write(tmp_path)
    pd.DataFrame({"client_id": pd.Series(dtype=str)}).to_parquet(tmp_path / "surveys.parquet")
    book = openpyxl.Workbook()
    book.active.append(["client_id", "noted_on", "flag"])
    book.save(tmp_path / "flags.xlsx")
    openpyxl.Workbook().save(tmp_path / "meetings.xlsx")
    tables = tables_of(tmp_path)
    assert set(tables.frames) == {"clients"} and len(tables.notes) == 3
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'data.db'}")
    pd.read_csv(tmp_path / "clients.csv").to_sql("clients", engine, index=False)
    pd.DataFrame({"client_id": pd.Series(dtype=str)}).to_sql("hours", engine, index=False)
    engine.dispose()
    monkeypatch.setenv("AGENCY_DB", f"sqlite:///{tmp_path / 'data.db'}")
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / "retention.toml").write_text('[source]\ndatabase = "AGENCY_DB"\n')
    tables = tables_of(tmp_path / "db")
    assert (
        set(tables.frames) == {"clients"} and "the query for hours holds no rows" in tables.notes[0]
    )


def test_B20_clients_without_rows_are_an_error(tmp_path):
    assert "clients.csv holds no rows" in told(
        write(tmp_path, clients=CLIENTS.split("\n")[0] + "\n")
    )


# Large sources, of which the rows are not kept: the same is asked


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            "account_months",
            "client_id,month,fee,recorded_at\na,2024-05,5,2024-06-01\na,2024-05,6,2024-06-02\n",
            "differ",
        ),
        ("account_months", "client_id,month,fee\na,2024-05,5\na,2024-05,5\n", "with the same"),
        (
            "invoices",
            "invoice_id,client_id,issued_on,due_on,amount\ni,a,2024-05-01,2024-05-31,1\ni,b,2024-05-01,2024-05-31,2\n",
            "that differ in",
        ),
        (
            "results",
            "client_id,month,metric,value\na,2024-05,cpa,1\na,2024-05,cpa,2\n",
            "more than one row",
        ),
        ("hours", "client_id,staff_id,month,hours\na,s,2024-05,1\na,s,2024-05,1\n", ""),
        ("surveys", "client_id,invited_on,answered_on,nps\na,2024-05-01,,\na,2024-05-01,,\n", ""),
    ],
)
def test_B14_a_check_of_large_tables_asks_what_the_report_asks(
    tmp_path, monkeypatch, name, text, said
):
    folder = write(tmp_path, **{name: text})
    for large in (10, 10**9):
        monkeypatch.setattr("retention.data.reader.LARGE_BYTES", large)
        try:
            read(resolve(str(folder)), only_check=True)
            refused = ""
        except DataError as error:
            refused = str(error)
        assert bool(refused) == bool(said) and said in refused
