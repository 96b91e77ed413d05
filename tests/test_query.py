"""Tables made by a query over files: what comes out, what is refused, and what stays bounded."""

import datetime as dt
import stat
from contextlib import ExitStack
from pathlib import Path

import openpyxl
import pandas as pd
import pytest

from retention.data import query as queries
from retention.data import read
from retention.data.query import Files
from retention.errors import ConfigError, DataError
from retention.settings import FileSettings, resolve

SUBSCRIPTIONS = """id,Customer ID,Plan,Amount,Interval,"Start Date (UTC)","Ended At (UTC)",Status
s1,acme,Retainer,1200.00,month,2023-01-15 09:00,,active
s2,acme,Add-on,100.00,month,2023-06-01 09:00,2023-09-01 09:00,canceled
s3,bolt,Retainer,24000.00,year,2022-03-01 09:00,2024-02-29 09:00,canceled
s4,test,Retainer,10.00,month,2024-01-01 09:00,2024-01-08 09:00,incomplete_expired
"""
CLIENTS = """
SELECT "Customer ID" AS client_id,
       min("Start Date (UTC)")[:10] AS start_date,
       CASE WHEN bool_or("Ended At (UTC)" IS NULL) THEN NULL
            ELSE max("Ended At (UTC)")[:10] END AS end_date,
       max(CASE WHEN Interval = 'year' THEN 12 ELSE 1 END) AS contract_term_months,
       sum(CASE Interval WHEN 'year' THEN Amount::DOUBLE / 12 ELSE Amount::DOUBLE END)
         FILTER (Plan = 'Retainer') AS monthly_ad_spend
FROM subscriptions
WHERE Status <> 'incomplete_expired'
GROUP BY 1 ORDER BY 1
"""


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "subscriptions.csv").write_text(SUBSCRIPTIONS)
    return tmp_path


def settings_of(folder: Path, query: str = CLIENTS, more: str = ""):
    text = f'cutoff = 2024-12-31\nrecords_begin = "all history"\n{more}\n'
    text += f'[tables.clients]\nquery = """{query}"""\n'
    (folder / "retention.toml").write_text(text)
    return resolve(str(folder))


def rows_of(folder: Path, query: str, **named: FileSettings) -> pd.DataFrame:
    """What a query gives over the files of a folder."""
    found = {path.stem: (path, FileSettings(file=path.name)) for path in folder.glob("*.*")}
    found |= {alias: (folder / how.file, how) for alias, how in named.items()}
    with ExitStack() as stack:
        return pd.concat(Files(found, stack).pieces("clients", query))


def test_a_query_shapes_an_export_that_no_setting_could(folder):
    clients = read(settings_of(folder)).frames["clients"].set_index("client_id")
    assert list(clients.index) == ["acme", "bolt"]  # who never paid is none
    assert clients.loc["acme", "start_date"] == pd.Timestamp(2023, 1, 15)
    assert pd.isna(clients.loc["acme", "end_date"])  # an add-on that ended is no end
    assert clients.loc["bolt", "end_date"] == pd.Timestamp(2024, 2, 29)
    assert clients["contract_term_months"].tolist() == [1, 12]
    assert clients["monthly_ad_spend"].tolist() == [1200.0, 2000.0]  # a yearly amount by month


def test_what_a_query_gives_is_checked_like_any_table(folder):
    wrong = CLIENTS.replace("max(CASE", "0 * max(CASE")
    with pytest.raises(DataError, match="contract_term_months"):
        read(settings_of(folder, wrong))


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("SELECT * FROM read_csv('{outside}')", "Cannot access file"),
        ("SELECT * FROM '{outside}'", "Cannot access file"),
        ("SELECT content FROM read_text('{outside}')", "Cannot access file"),
        ("SELECT * FROM glob('/*')", "Cannot access file"),
        ("COPY (SELECT 1) TO '{outside}.new'", "must be one SELECT"),
        ("INSTALL httpfs", "must be one SELECT"),
        ("ATTACH '{outside}.db'", "must be one SELECT"),
        ("SET memory_limit = '64GB'", "must be one SELECT"),
        ("CREATE TABLE x AS SELECT 1", "must be one SELECT"),
        ("DROP VIEW subscriptions", "must be one SELECT"),
        ("SELECT 1; SELECT 2", "must be one SELECT"),
        ("SELECT * FROM frame", "does not exist"),  # no frame of this process either
        ("SELECT nothing FROM subscriptions", "nothing"),
        ("SELECT FROM FROM", "syntax error"),
    ],
)
def test_a_query_that_reaches_elsewhere_is_refused(folder, query, why):
    outside = folder.parent / "outside.csv"
    outside.write_text("secret\n1\n")
    frame = pd.DataFrame({"secret": [1]})
    with pytest.raises(ConfigError, match=why) as refusal:
        rows_of(folder, query.format(outside=outside))
    assert str(folder) not in str(refusal.value) and len(frame) == 1
    assert not Path(f"{outside}.new").exists() and not Path(f"{outside}.db").exists()


def test_a_refusal_names_the_files_and_their_columns(folder):
    with pytest.raises(ConfigError, match="Start Date \\(UTC\\)"):
        rows_of(folder, "SELECT Start FROM subscriptions")
    with pytest.raises(ConfigError, match="It may read: subscriptions"):
        rows_of(folder, "SELECT * FROM subscription")


def test_a_query_that_runs_forever_is_stopped(folder, monkeypatch):
    monkeypatch.setattr(queries, "SECONDS", 1)
    forever = "WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r) SELECT max(i) FROM r"
    with pytest.raises(ConfigError, match="was stopped after"):
        rows_of(folder, forever)


def test_titles_totals_and_a_second_heading_line(tmp_path):
    (tmp_path / "report.csv").write_text(
        'Account report\n"January 1, 2024 - December 31, 2024"\n\nMonth,Customer,Cost\n'
        "2024-01,Acme,10\n2024-02,Acme,--\nTotal: Acme,,10\n"
    )
    rows = rows_of(
        tmp_path,
        "SELECT Month, Cost FROM ads",
        ads=FileSettings(file="report.csv", stop_at=["Total"]),
    )
    assert rows.to_numpy().tolist() == [["2024-01", "10"], ["2024-02", "--"]]
    (tmp_path / "survey.csv").write_text(
        'Respondent ID,How likely,\n,Response,Why\n1,9,"good,\nvery"\n2,3,\n'
    )
    rows = rows_of(
        tmp_path,
        'SELECT "How likely Response" AS nps, Why FROM survey',
        survey=FileSettings(file="survey.csv", heading_lines=2),
    )
    assert rows["nps"].tolist() == ["9", "3"] and rows["Why"].tolist() == ["good,\nvery", None]


def test_a_workbook_and_other_encodings_are_text_too(tmp_path):
    book = openpyxl.Workbook()
    for row in (["Clients 2024"], ["Name", "Start", "Fee"], ["Bäcker", dt.date(2024, 1, 5), 900]):
        book.active.append(row)
    book.save(tmp_path / "book.xlsx")
    (tmp_path / "old.csv").write_bytes("Name;Fee\nBäcker;1,5\n".encode("cp1252"))
    rows = rows_of(
        tmp_path,
        "SELECT b.Name, b.Start, b.Fee, o.Fee AS old FROM book b JOIN old_fees o USING (Name)",
        old_fees=FileSettings(file="old.csv", encoding="cp1252"),
    )
    assert rows.to_numpy().tolist() == [["Bäcker", "2024-01-05", "900", "1,5"]]
    with pytest.raises(ConfigError, match="cannot read old: old.csv cannot be read as text"):
        rows_of(tmp_path, "SELECT * FROM old")


def test_the_spill_folder_is_private_and_goes(folder):
    with ExitStack() as stack:
        files = Files({"a": (folder / "subscriptions.csv", FileSettings(file="x"))}, stack)
        list(files.pieces("clients", "SELECT * FROM a"))
        private = files.folder
        assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert not private.exists()


def test_the_same_files_give_the_same_fingerprint_and_others_another(folder):
    settings = settings_of(folder)
    first = read(settings).hashes["clients"]
    assert read(settings).hashes["clients"] == first
    (folder / "subscriptions.csv").write_text(SUBSCRIPTIONS.replace("1200.00", "1300.00"))
    assert read(settings).hashes["clients"] != first
