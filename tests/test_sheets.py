"""Sheets that people keep by hand, in the ways in which they keep them: read as they are meant, or
asked about.
"""

import csv
import re
from pathlib import Path

import openpyxl
import pandas as pd
import pytest
from click.testing import CliRunner

from retention.cli import cli
from retention.data import read
from retention.errors import ConfigError
from retention.settings import resolve

CLIENTS = {
    "Ash Dental": ("2023-01-09", "2023-11-20"),
    "Birch Law": ("2023-02-13", ""),
    "Cedar Spa": ("2023-03-27", "2024-06-14"),
    "Dogwood Gym": ("2023-05-02", ""),
    "Elm Roofing": ("2023-06-19", "2023-09-30"),
    "Fir Bakery": ("2023-08-21", ""),
    "Gum Motors": ("2023-10-16", "2024-09-03"),
    "Hazel Pets": ("2024-08-30", ""),
}
TERMS = ("M2M", "12", "6 months", "Annual")
USUAL = {"cutoff": "2024-12-31", "records_begin": '"all history"'}
LAST = pd.Period("2024-12", "M")


def written(day: str, form: str = "%d/%m/%Y") -> str:
    """A day as a person types it; blank stays blank."""
    return f"{pd.Timestamp(day):{form}}" if day else ""


def lines_of(names: list[str], size: str = "{:,.0f}", form: str = "%d/%m/%Y") -> list[list[str]]:
    """A row a client: name, start, end, term, budget."""
    rows = []
    for name in names:
        number = list(CLIENTS).index(name)
        start, end = (written(day, form) for day in CLIENTS[name])
        rows.append([name, start, end, TERMS[number % 4], size.format(1250.5 + 100 * number)])
    return rows


def grouped() -> list[list[str]]:
    gone = [name for name, (_, end) in CLIENTS.items() if end]
    stay = [name for name in CLIENTS if name not in gone]
    heads = [["Client", "Start", "Left", "Contract", "Budget / mo"]]
    parts = [
        [["ACTIVE", "", "", "", ""], *lines_of(stay), ["Subtotal", "", "", "", "$5,602"]],
        [["FORMER", "", "", "", ""], *lines_of(gone), ["Subtotal", "", "", "", "$5,602"]],
    ]
    return [*heads, *parts[0], *parts[1], ["Grand total", "", "", "", "$11,204"]]


def two_heading_lines() -> list[list[str]]:
    heads = [["Client", "Contract", "", "", "Money"], ["Name", "Start", "End", "Term", "Budget"]]
    return [*heads, *lines_of(list(CLIENTS))]


def by_month() -> list[list[str]]:
    """A column a month from January 2022 on, with the fee where the client is served."""
    months = pd.period_range("2022-12", LAST, freq="M")
    rows = [["Client", *months.strftime("%b %Y")]]
    for name, (start, end) in CLIENTS.items():
        first = pd.Period(start, "M")
        last = pd.Period(end, "M") if end else LAST
        rows.append([name, *("$1,500" if first <= month <= last else "-" for month in months)])
    total = ["TOTAL", *("$99,999" for _ in months)]
    return [["Fees by month"], [], *rows, total]


def brought_in(tmp_path: Path, rows: list[list[str]], answers=(), **how: str):
    """The clients of a sheet from `init` to the checked table, with a person's answers; `how` is
    how the file is written. What was asked comes back too.
    """
    path = tmp_path / "Sheet.csv"
    mark = how.get("delimiter", ",")
    with path.open("w", encoding=how.get("encoding", "utf-8"), newline="") as out:
        csv.writer(out, delimiter=mark).writerows(rows)
    return read_from(path, tmp_path, answers)


def read_from(path: Path, tmp_path: Path, answers=()):
    """The tables that come of a file, and what `init` asked."""
    toml = tmp_path / "retention.toml"
    done = CliRunner().invoke(cli, ["init", str(path), "--out", str(toml)])
    asked = re.findall(r"to answer: (\S+):", done.output)
    given = USUAL | dict(answers)
    text = toml.read_text().replace("confirmed = false", "confirmed = true")
    for key in dict.fromkeys(re.findall(r'^(\S+) = "\?"', text, re.MULTILINE)):
        text = text.replace(f'{key} = "?"', f"{key} = {given[key]}")
    toml.write_text(text)
    return read(resolve(config=str(toml))), asked


def days(tables) -> dict[str, tuple[str, str]]:
    """Start and end by client."""
    rows = tables.frames["clients"]
    starts = rows["start_date"].dt.strftime("%Y-%m-%d")
    ends = rows["end_date"].dt.strftime("%Y-%m-%d").fillna("")
    pairs = zip(starts, ends, strict=True)
    return dict(zip(rows["client_id"], pairs, strict=True))


@pytest.mark.parametrize("kept", [grouped, two_heading_lines])
def test_groups_subtotals_and_a_second_heading_line_are_no_clients(kept, tmp_path):
    tables, asked = brought_in(tmp_path, kept())
    assert days(tables) == CLIENTS and asked == ["cutoff"]
    terms = tables.frames["clients"].set_index("client_id")["contract_term_months"]
    assert terms[list(CLIENTS)].tolist() == [1, 12, 6, 12, 1, 12, 6, 12]


BY_MONTH = {"months_hold": '"fees"', "months_bound": "1", "not_yet_invoiced": '"left"'}


def test_months_as_columns_are_months_of_service_and_what_they_hold_is_asked(tmp_path):
    tables, asked = brought_in(tmp_path, by_month(), BY_MONTH)
    assert "source.answers.months_hold" in asked and len(asked) <= 5
    expected = {
        name: (
            f"{start[:7]}-01",
            written(end, "%Y-%m-") + str(pd.Timestamp(end).days_in_month) if end else "",
        )
        for name, (start, end) in CLIENTS.items()
    }
    assert days(tables) == expected
    months = tables.frames["account_months"]
    assert set(months["fee"]) == {1500} and "ad_spend" not in months.dropna(axis="columns")
    assert any("not on which days" in note for note in tables.notes)


def test_clients_who_are_there_in_the_first_month_of_a_sheet_are_asked_about(tmp_path):
    rows = by_month()
    for row in rows[3:6]:
        row[1:4] = ["$1,500"] * 3
    _, asked = brought_in(tmp_path, rows, BY_MONTH | {"there_before": '"began then"'})
    assert "source.answers.there_before" in asked
    (tmp_path / "again").mkdir()
    answers = BY_MONTH | {"there_before": '"leave out"'}
    tables, _ = brought_in(tmp_path / "again", rows, answers)
    assert set(days(tables)) == set(list(CLIENTS)[3:])


WAYS = {
    "semicolons in cp1252": {"delimiter": ";", "encoding": "cp1252"},
    "tabs in UTF-16": {"delimiter": "\t", "encoding": "utf-16"},
}


@pytest.mark.parametrize("way", WAYS)
def test_sheets_of_other_countries_are_read_to_the_cell(way, tmp_path):
    body = lines_of(list(CLIENTS))
    for number, row in enumerate(body):
        row[4] = f"1.{250 + number},50"
        row[0] = row[0].replace("Ash", "Äsch")
    rows = [["Client", "Start Date", "End Date", "Term", "Budget"], *body]
    tables, asked = brought_in(tmp_path, rows, **WAYS[way])
    assert asked == ["cutoff"]
    sizes = tables.frames["clients"].set_index("client_id")["monthly_ad_spend"]
    assert sizes["Äsch Dental"] == 1250.5 and sizes["Hazel Pets"] == 1257.5
    expected = {name.replace("Ash", "Äsch"): pair for name, pair in CLIENTS.items()}
    assert days(tables) == expected


def test_dates_of_which_no_cell_tells_the_order_are_asked_about(tmp_path):
    body = lines_of(list(CLIENTS), size="{:.2f}")
    for number, row in enumerate(body, 1):
        row[1] = f"{number:02}/03/2023"
        row[2] = f"04/{number:02}/2024" if row[2] else ""
    rows = [["Client", "Start", "End", "Term", "Budget"], *body]
    answers = {"start_date": '"day first"', "end_date": '"day first"'}
    tables, asked = brought_in(tmp_path, rows, answers)
    assert asked == ["clients.start_date", "clients.end_date", "cutoff"]
    assert days(tables)["Birch Law"] == ("2023-03-02", "")
    assert days(tables)["Cedar Spa"] == ("2023-03-03", "2024-03-04")


def refused(tmp_path: Path, rows: list[list[str]]) -> str:
    """What `init` says of a sheet that it asks about or refuses."""
    path = tmp_path / "Sheet.csv"
    with path.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows(rows)
    toml = str(tmp_path / "retention.toml")
    return CliRunner().invoke(cli, ["init", str(path), "--out", toml]).output


def test_several_contracts_in_a_row_are_not_read_as_the_first_alone(tmp_path):
    heads = [
        ["", "First contract", "", "", "", "Second contract", ""],
        ["Client", "Start", "End", "Term", "Budget", "Start", "End"],
    ]
    body = [[*row, "", ""] for row in lines_of(list(CLIENTS))]
    body[0][5:] = ["01/02/2024", "30/06/2024"]
    said = refused(tmp_path, [*heads, *body])
    assert "columns without a name of their own" in said or "clients.start_date" in said
    assert not (tmp_path / "retention.toml").exists() or "refused" in said


def test_the_end_of_a_contract_is_no_end_of_service(tmp_path):
    rows = [["Client", "Signed", "Contract End", "Term", "Retainer"]]
    for row in lines_of(list(CLIENTS)):
        rows.append([row[0], row[1], "31/12/2024", *row[3:]])
    assert "clients.end_date: no column could be taken for it" in refused(tmp_path, rows)


def test_merged_cells_of_names_are_refused_and_not_filled_in(tmp_path):
    body = lines_of(list(CLIENTS), size="{:.2f}")
    body[1][0] = ""
    rows = [["Client", "Start", "End", "Term", "Budget"], *body]
    with pytest.raises(Exception, match="client_id.*is empty"):
        brought_in(tmp_path, rows)


def test_a_workbook_with_months_as_dates_in_its_headings_is_read_alike(tmp_path):
    rows = by_month()
    book = openpyxl.Workbook()
    heads = ["Client", *(pd.Timestamp(f"1 {month}") for month in rows[2][1:])]
    book.active.append(heads)
    for row in rows[3:]:
        book.active.append([row[0], *(1500 if "5" in cell else None for cell in row[1:])])
    path = tmp_path / "Fees.xlsx"
    book.save(path)
    tables, _ = read_from(path, tmp_path, BY_MONTH)
    assert set(days(tables)) == set(CLIENTS)


def test_a_mark_in_place_of_an_amount_is_told(tmp_path):
    rows = by_month()
    rows[4][10] = "paused"
    with pytest.raises(ConfigError, match="cannot read paused"):
        brought_in(tmp_path, rows, BY_MONTH | {"there_before": '"began then"'})
