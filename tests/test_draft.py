"""`retention init`: guesses with evidence, questions only a person can answer, refusals where a
guess would lie.
"""

import json
import re
import tomllib
from pathlib import Path

import openpyxl
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import ROOT
from retention.cli import cli
from retention.data.draft import draft
from retention.errors import ConfigError
from retention.settings import resolve
from retention.study import open_study

TELCO = ROOT.parent / "shared" / "data" / "telco" / "Telco-Customer-Churn.csv"
CRM = """Account ID,Company,Client Since,Left On,Contract,Budget,Owner,Date Recorded
1,Ann,2022-01-10,,M2M,1000,kim,2024-12-01
2,Bob,2022-02-10,2023-05-09,annual,2500.5,kim,2024-12-02
3,Cyd,2022-03-10,2024-01-31,M2M,900,lee,2024-12-03
4,Dee,2022-04-10,,12-month,800,lee,2024-12-04
5,Eve,2024-05-10,,annual,700,lee,2024-12-05
"""


def init(tmp_path: Path, text: str, name: str = "export.csv"):
    (tmp_path / name).write_text(text)
    return CliRunner().invoke(
        cli, ["init", str(tmp_path / name), "--out", str(tmp_path / "retention.toml")]
    )


def drafted(tmp_path: Path) -> dict:
    return tomllib.loads((tmp_path / "retention.toml").read_text())


def answered(tmp_path: Path, **answers: str) -> str:
    """The draft confirmed, with each open key answered: how a person would edit it, an edit a
    line.
    """
    path = tmp_path / "retention.toml"
    lines = path.read_text().splitlines()
    for key, answer in {"confirmed": "true", **answers}.items():
        at = [
            n for n, line in enumerate(lines) if re.match(rf'{re.escape(key)} = ("\?"|false)', line)
        ]
        assert len(at) == 1, key
        lines[at[0]] = f"{key} = {answer}"
    path.write_text("\n".join(lines))
    return str(path)


@pytest.mark.skipif(not TELCO.is_file(), reason="the third-party Telco file is not here")
def test_telco_runs_after_two_edits_and_equals_the_settings_of_the_readme(tmp_path):
    done = CliRunner().invoke(cli, ["init", str(TELCO), "--out", str(tmp_path / "retention.toml")])
    assert done.exit_code == 0 and "snapshot_date" in done.output
    own = open_study(config=answered(tmp_path, snapshot_date="2019-12-31"))
    text = (ROOT / "README.md").read_text().split("```toml\n")[1].split("```")[0]
    (tmp_path / "readme").mkdir()
    (tmp_path / "readme" / "retention.toml").write_text(
        text.replace("Telco-Customer-Churn.csv", str(TELCO))
    )
    theirs = open_study(config=str(tmp_path / "readme" / "retention.toml"))
    pd.testing.assert_frame_equal(own.spells, theirs.spells.drop(columns="InternetService"))


def test_a_tenure_and_a_flag(tmp_path):
    rows = "".join(
        f"{i}-X,{i},{'Yes' if i % 3 else 'No'},Month-to-month,{i}.5\n" for i in range(1, 20)
    )
    done = init(tmp_path, "customerID,tenure,Churn,Contract,MonthlyCharges\n" + rows)
    assert done.exit_code == 0
    made = drafted(tmp_path)["tables"]["clients"]
    assert made["tenure_months"] == "tenure" and made["ended"] == {"column": "Churn", "true": "Yes"}
    assert made["snapshot_date"] == "?"
    with pytest.raises(
        ConfigError,
        match="waits for a person:\n  tables.clients.snapshot_date: still(.|\n)*confirmed",
    ):
        resolve(config=str(tmp_path / "retention.toml"))
    assert (
        open_study(config=answered(tmp_path, snapshot_date="2024-12-31")).spells["ended"].sum()
        == 13
    )


def test_a_crm_export_with_dates_asks_only_what_it_cannot_know(tmp_path):
    done = init(tmp_path, CRM)
    assert done.exit_code == 0 and done.output.count("to answer") == 1
    assert drafted(tmp_path)["tables"]["clients"]["columns"] == {
        "client_id": "Account ID", "name": "Company", "start_date": "Client Since", "end_date": "Left On",
        "contract_term_months": "Contract", "monthly_ad_spend": "Budget", "recorded_date": "Date Recorded",
    }  # fmt: skip
    text = (tmp_path / "retention.toml").read_text()
    assert "# likely: the heading; 2 of 5 rows filled, 2023-05-09 to 2024-01-31" in text
    assert "M2M" in text and "Owner" in text.split("[tables.clients.extra]")[1]
    study = open_study(config=answered(tmp_path, records_begin='"all history"'))
    assert str(study.cutoff) == "2024-12-05" and study.spells["ended"].sum() == 2


TERM_ENDS = "id,start,end date,term,budget\n9,2024-08-01,,1,5\n" + "".join(
    f"{i},2023-0{i}-10,2024-0{i}-09,12,5\n" for i in range(1, 6)
)
FULL = CRM.replace(",,", ",2024-02-01,")
REFUSED = {
    "a contract's end": (CRM.replace("Left On", "Contract End"), "speaks of what is planned"),
    "a renewal": (CRM.replace("Left On", "Renewal Date"), "speaks of what is planned"),
    "paid to a day": (CRM.replace("Left On", "Paid Through"), "speaks of what is planned"),
    "an end for every client": (FULL, "every client has one"),
    "ends far ahead": (CRM.replace("2023-05-09", "2026-05-09").replace("2024-01-31", "2026-01-31"), "every other date"),
    "ends of the active": (
        CRM.replace("Owner", "Status").replace("kim", "Active").replace("lee", "Churned"),
        "1 rows have it that are none of ['Churned'] in \"Status\"",
    ),
    "no end and no flag": (CRM.replace("Left On", "Remarks"), "no column says who left and when"),
    "a scheduled cancel": (CRM.replace("Left On", "cancel_at"), "speaks of what is planned"),
    "a deal's close": (CRM.replace("Left On", "Close Date"), "speaks of what is planned"),
    "the ends of terms": (TERM_ENDS, "exactly one term after its start"),
    "a flag without a day": (
        "id,start,Churned,Contract,Spend\n1,2024-01-01,Yes,M2M,5\n2,2024-02-01,No,M2M,6\n3,2024-02-01,No,M2M,6\n",
        "says who left but not when",
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", REFUSED)
def test_what_must_not_be_guessed_is_refused(tmp_path, kind):
    text, why = REFUSED[kind]
    done = init(tmp_path, text)
    assert done.exit_code == 2 and "refused: " in done.output and why in done.output
    made = drafted(tmp_path)
    assert (
        made["tables"]["clients"]["columns"]["end_date"] == "?"
    )  # asked, and it will not run until answered
    with pytest.raises(ConfigError, match="end_date: still to be answered"):
        resolve(config=str(tmp_path / "retention.toml"))


def test_dates_numbers_and_terms_with_two_readings_are_asked(tmp_path):
    rows = '1,03/04/2024,,biannual,"1,500",2024-12-01\n2,05/06/2024,07/08/2024,M2M,"2,500",2024-12-01\n'
    text = "id,start,left on,term,spend,recorded\n" + rows
    done = init(tmp_path, text)
    made = drafted(tmp_path)["tables"]["clients"]
    assert made["formats"] == {"start_date": "?", "end_date": "?", "monthly_ad_spend": "?"}
    assert made["values"] == {"contract_term_months": {"biannual": "?"}}
    assert done.output.count("to answer") == 4
    path = answered(
        tmp_path, start_date='"day first"', end_date='"day first"', monthly_ad_spend='"1,234.5"',
        **{'contract_term_months."biannual"': "6"},
    )  # fmt: skip
    rows = open_study(config=path).tables.frames["clients"]
    assert rows["contract_term_months"].tolist() == [6, 1] and rows[
        "start_date"
    ].dt.month.tolist() == [4, 6]


def test_a_file_that_is_no_utf8_gets_its_encoding_guessed(tmp_path):
    (tmp_path / "export.csv").write_bytes(CRM.replace("Ann", "Ann\u00e9").encode("cp1252"))
    CliRunner().invoke(
        cli, ["init", str(tmp_path / "export.csv"), "--out", str(tmp_path / "retention.toml")]
    )
    text = (tmp_path / "retention.toml").read_text()
    assert 'encoding = "cp1252"' in text and "Ann\u00e9" in text
    assert (
        open_study(config=answered(tmp_path, records_begin='"all history"')).spells["name"][0]
        == "Ann\u00e9"
    )


@pytest.mark.slow
def test_a_workbook_and_a_folder(tmp_path):
    book = openpyxl.Workbook()
    book.active.title = "Overview"
    for line in CRM.splitlines():
        book.active.append([cell or None for cell in line.split(",")])
    terms = book.create_sheet("Contracts")
    for row in (
        ["Client ID", "signed_on", "term_start", "term_months"],
        ["1", "2022-01-10", "2022-01-10", 1],
    ):
        terms.append(row)
    book.create_sheet("Notes").append(["nothing"])
    book.save(tmp_path / "book.xlsx")
    out = tmp_path / "retention.toml"
    assert (
        CliRunner().invoke(cli, ["init", str(tmp_path / "book.xlsx"), "--out", str(out)]).exit_code
        == 0
    )
    assert drafted(tmp_path)["tables"]["clients"]["sheet"] == "Overview"
    study = open_study(config=answered(tmp_path, records_begin='"all history"'))
    assert study.tables.rows == {"clients": 5, "contracts": 1}
    out.unlink()
    folder = tmp_path / "exports"
    folder.mkdir()
    (folder / "accounts.csv").write_text(CRM)
    (folder / "contracts.csv").write_text(
        "client_id,signed_on,term_start,term_months\n1,2022-01-10,2022-01-10,1\n"
    )
    (folder / "readme.md").write_text("x")
    assert CliRunner().invoke(cli, ["init", str(folder), "--out", str(out)]).exit_code == 0
    assert open_study(config=answered(tmp_path, records_begin='"all history"')).tables.rows == {
        "clients": 5,
        "contracts": 1,
    }


def test_a_stranger_s_files_beside_the_clients_do_not_stand_in_the_way(tmp_path):
    folder = tmp_path / "exports"
    folder.mkdir()
    (folder / "clients.csv").write_text(CRM)
    (folder / "customers.csv").write_text("a,b\n1,2\n")
    (folder / "payments.csv").write_text("charge,created\n1,2\n")
    (folder / "leads.csv").write_text("")
    out = tmp_path / "retention.toml"
    assert CliRunner().invoke(cli, ["init", str(folder), "--out", str(out)]).exit_code == 0
    made = drafted(tmp_path)["tables"]
    assert made["payments"] == {"use": False} and made["leads"] == {"use": False}
    assert 'Not used: "customers.csv"' in out.read_text()
    assert open_study(config=answered(tmp_path, records_begin='"all history"')).tables.rows == {
        "clients": 5
    }


def test_the_likelier_of_two_headings_is_taken_and_a_date_of_change_is_no_record(tmp_path):
    text = "id,Customer ID,created,start,canceled_at,ended_at,Last Modified,term,spend\n"
    text += "s9,c9,2024-01-01,2024-02-01,,,2025-01-01,M2M,5\n"
    text += "".join(
        f"s{i},c{i},2022-01-0{i},2023-01-0{i},,{'2024-03-01' if i < 3 else ''},2025-01-01,M2M,5\n"
        for i in range(1, 9)
    )
    init(tmp_path, text)
    columns = drafted(tmp_path)["tables"]["clients"]["columns"]
    assert columns["client_id"] == "Customer ID" and columns["start_date"] == "start"
    assert columns["end_date"] == "ended_at" and "recorded_date" not in columns
    assert drafted(tmp_path)["cutoff"] == "?"


@pytest.mark.parametrize("text", [
    "client_id,start_date,end_date,term,budget\nc1,03/04/2024,05/06/2024,12,5\nc2,04/04/2024,,12,5\n",
    "client_id,when,end_date,Flex,term\nc1,x,2024-05-05,1,Flex\nc2,y,,2,flex\nc3,y,,2,FFF\n".replace("FFF", "F" * 300),
    "client_id\n\x81\n",
])  # fmt: skip
def test_odd_exports_are_drafted_or_told_never_a_traceback(tmp_path, text):
    (tmp_path / "export.csv").write_bytes(text.encode("latin-1"))
    done = CliRunner().invoke(
        cli, ["init", str(tmp_path / "export.csv"), "--out", str(tmp_path / "r.toml")]
    )
    assert done.exit_code in (0, 2) and isinstance(done.exception, SystemExit | None)
    if (tmp_path / "r.toml").exists():
        with pytest.raises(ConfigError, match="waits for a person"):
            resolve(config=str(tmp_path / "r.toml"))
    done = CliRunner().invoke(
        cli, ["init", str(tmp_path / "export.csv"), "--out", str(tmp_path / "no" / "r.toml")]
    )
    assert done.exit_code == 2 and "There is no folder" in done.output


def test_settings_that_are_there_already_are_left_alone(tmp_path):
    (tmp_path / "retention.toml").write_text("mine")
    done = init(tmp_path, CRM)
    assert done.exit_code == 2 and "is there already" in done.output
    assert (tmp_path / "retention.toml").read_text() == "mine"


def test_what_holds_no_clients_is_refused(tmp_path):
    for name in ("gone.csv", "empty"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        done = CliRunner().invoke(
            cli, ["init", str(tmp_path / name), "--out", str(tmp_path / "x.toml")]
        )
        assert done.exit_code == 2 and not (tmp_path / "x.toml").exists()
    assert init(tmp_path, "").exit_code == 2


@settings(max_examples=40, deadline=None)
@given(
    words=st.lists(st.text(max_size=8), min_size=2, max_size=4, unique_by=lambda w: w.strip()),
    cell=st.text(max_size=8),
)
def test_whatever_the_headings_and_cells_the_draft_can_be_read(tmp_path_factory, words, cell):
    where = tmp_path_factory.mktemp("d")
    frame = pd.DataFrame([[cell] * len(words), ["x"] * len(words)], columns=words).assign(
        client=["a", "b"]
    )
    (where / "export.csv").write_bytes(
        frame.to_csv(index=False, quoting=1).encode("utf-8", "replace")
    )
    try:
        made = draft(where / "export.csv", where)
    except ConfigError:
        return  # told, not drafted: the file is no table
    told = tomllib.loads(made.text)
    assert told["confirmed"] is False and json.dumps(told, default=str)
