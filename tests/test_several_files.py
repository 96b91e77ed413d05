"""Several files of one kind, a year each, read as one table; rows that stand in two are asked
about.
"""

from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from made_exports import MADE
from retention.cli import cli
from retention.data import read
from retention.errors import ConfigError
from retention.settings import resolve
from test_recipes import EXPORTS, answered, brought, drafted

COMPANIES = next((EXPORTS / "hubspot_custom").iterdir())
HARVEST = next((EXPORTS / "harvest").iterdir())
QUICKBOOKS = next((EXPORTS / "quickbooks").iterdir())


def by_year(folder: Path, overlap: bool = False) -> list[Path]:
    """Harvest's entries in two files, before and from August on; overlapping: August in both."""
    rows = pd.read_csv(HARVEST, dtype=str, keep_default_na=False)
    later = rows["Date"] >= "2025-08"
    assert later.any() and not later.all()
    first, second = folder / "harvest-2024.csv", folder / "harvest-2025.csv"
    rows[rows.index >= 0 if overlap else ~later].to_csv(first, index=False)
    again = rows[later]
    again[list(reversed(again.columns))].to_csv(second, index=False)  # in whatever order
    return [first, second]


def hours(folder: Path, doubles: str = "") -> pd.DataFrame:
    path = folder / "retention.toml"
    answered(path, {"doubles": doubles})
    return read(resolve(config=str(path))).frames["hours"]


@pytest.fixture
def parts(tmp_path) -> Path:
    (tmp_path / "parts").mkdir()
    return tmp_path / "parts"


def test_files_of_two_years_are_one_table(tmp_path, parts):
    done = drafted(tmp_path, (*by_year(parts), COMPANIES))
    text = (tmp_path / "retention.toml").read_text()
    assert 'also = ["harvest-2025.csv"]' in text, done.output
    whole = brought("Harvest: detailed time").tables.frames["hours"]
    pd.testing.assert_frame_equal(hours(tmp_path), whole)


def test_rows_in_both_are_asked_about(tmp_path, parts):
    done = drafted(tmp_path, (*by_year(parts, overlap=True), COMPANIES))
    assert "source.files.harvest_time.doubles" in done.output
    path = tmp_path / "retention.toml"
    draft = path.read_text()
    once = hours(tmp_path, '"once"')
    whole = brought("Harvest: detailed time").tables.frames["hours"]
    pd.testing.assert_frame_equal(once, whole)
    path.write_text(draft)
    kept = hours(tmp_path, '"keep"')
    assert kept["hours"].sum() > whole["hours"].sum() + 1
    text = path.read_text()
    path.write_text(text.replace('doubles = "keep"', ""))
    with pytest.raises(ConfigError, match=r"more than one of harvest-2024.csv, harvest-2025.csv"):
        read(resolve(config=str(path)))


def test_an_entry_made_twice_in_one_file_stays_twice(tmp_path):
    entry = "Acme,ann,2024-01,2\n"
    (tmp_path / "a.csv").write_text("Client,Who,Month,Hours\n" + entry + entry)
    (tmp_path / "b.csv").write_text("Client,Who,Month,Hours\n" + entry)
    (tmp_path / "clients.csv").write_text(
        "client_id,start_date,end_date,contract_term_months,monthly_ad_spend\n"
        "Acme,2023-01-01,,1,100\n"
    )
    settings = """cutoff = 2024-12-31
records_begin = "all history"
[source]
folder = "."
[source.files.entries]
file = "a.csv"
also = ["b.csv"]
doubles = "{doubles}"
[tables.hours]
query = 'SELECT "Client" AS client_id, "Who" AS staff_id, "Month" AS month, "Hours" AS hours FROM entries'
"""
    for doubles, total in {"once": 4, "keep": 6}.items():
        (tmp_path / "retention.toml").write_text(settings.format(doubles=doubles))
        assert read(resolve(str(tmp_path))).frames["hours"]["hours"].sum() == total
    (tmp_path / "b.csv").write_text("Client,Who,Month,Time\n" + entry)
    with pytest.raises(
        ConfigError, match="a.csv and b.csv .* differ in their columns: Hours, Time"
    ):
        read(resolve(str(tmp_path)))
    (tmp_path / "b.csv").unlink()
    with pytest.raises(ConfigError, match="b.csv, which is not there"):
        read(resolve(str(tmp_path)))


def test_a_report_in_groups_stays_in_its_groups(tmp_path, parts):
    text = QUICKBOOKS.read_text("utf-8-sig")
    for name in ("sales-a.csv", "sales-b.csv"):
        (parts / name).write_text(text)
    drafted(tmp_path, (parts / "sales-a.csv", parts / "sales-b.csv"))
    path = tmp_path / "retention.toml"
    answers = {"months_bound": "1", "not_yet_invoiced": '"left"', "doubles": '"once"'}
    answered(path, answers)
    one = brought("QuickBooks: Sales by Customer Detail").tables.frames["account_months"]
    frame = read(resolve(config=str(path))).frames["account_months"]
    pd.testing.assert_frame_equal(frame, one)


def test_invoices_by_year_are_one_source_of_clients(tmp_path):
    rows = MADE["xero.csv"]()
    day = pd.to_datetime(rows["InvoiceDate"], format="%d/%m/%Y", errors="coerce")
    if day.isna().any():
        day = pd.to_datetime(rows["InvoiceDate"], format="mixed")
    (tmp_path / "in").mkdir()
    for year, of_year in rows.groupby(day.dt.year):
        of_year.to_csv(tmp_path / "in" / f"invoices-{year}.csv", index=False)
    out = tmp_path / "retention.toml"
    CliRunner().invoke(cli, ["init", str(tmp_path / "in"), "--out", str(out)])
    answered(out, {"months_bound": "1", "not_yet_invoiced": '"left"', "dates": '"month first"'})
    whole = brought("Xero: sales invoices").tables.frames
    frames = read(resolve(config=str(out))).frames
    pd.testing.assert_frame_equal(frames["invoices"], whole["invoices"])
    pd.testing.assert_frame_equal(frames["clients"], whole["clients"])
