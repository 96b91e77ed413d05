"""Exports of known tools, from `init` to checked tables, against the truth of the invented agency
that they were made from (tests/exports/truth).
"""

import datetime as dt
import re
import shutil
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import pytest
from click.testing import CliRunner

from retention.cli import cli
from retention.data import read
from retention.data.query import Files
from retention.data.reader import Tables
from retention.data.recipes import exports
from retention.errors import ConfigError
from retention.settings import FileSettings, resolve

EXPORTS = Path(__file__).parent / "exports"
PAUSE = 60  # days that end no engagement: METHODS 0
USUAL = {"confirmed": "true", "cutoff": "2025-09-30", "records_begin": '"all history"'}
MACROS = {
    "number('$1,650')": 1650.0,
    "number('1,200.00')": 1200.0,
    "number('(5.00)')": -5.0,
    "number('-$3')": -3.0,
    "number('--')": None,
    "number('')": None,
    "number('12%')": 12.0,
    "number('USD 900')": 900.0,
    "day('2024-01-31')": dt.date(2024, 1, 31),
    "day('2024-01-31T10:00:00.000Z')": dt.date(2024, 1, 31),
    "day('2024-01-31 10:00')": dt.date(2024, 1, 31),
    "day('Jan 10, 2021')": dt.date(2021, 1, 10),
    "day('15/Mar/24 9:12 AM')": dt.date(2024, 3, 15),
    "day('0000-00-00')": None,
    "day_us('07/23/2024')": dt.date(2024, 7, 23),
    "day_us('02/21/2025 10:00:11')": dt.date(2025, 2, 21),
    "day_us('7/3/24')": dt.date(2024, 7, 3),
    "day_eu('23/07/2024')": dt.date(2024, 7, 23),
    "day_epoch('1740146587')": dt.date(2025, 2, 21),
    "day_epoch('1740146587000')": dt.date(2025, 2, 21),
    "day_epoch('0')": None,
    "hours('1:30:00')": 1.5,
    "hours('1:30')": 1.5,
    "hours('1.5')": 1.5,
    "hours('1h 30m')": 1.5,
    "a_month(1200, 'year')": 100.0,
    "a_month(300, 'every 3 months')": 100.0,
    "a_month(300, 'Quarterly')": 100.0,
    "round(a_month(100, 'week'), 2)": 434.81,
    "a_month(100, 'M2M')": 100.0,
    "plain_name('Willow Plumbing, LLC')": "willow plumbing",
    "plain_name('Gable Interiors & Sons')": "gable interiors sons",
    "plain_name('GABLE INTERIORS AND SONS INC.')": "gable interiors sons",
    "plain_name('A & B Co., Ltd.')": "a b",
    "plain_name('The Company')": "the company",
    "core_name('Maple Legal Group')": "maple legal",
}


@pytest.fixture(scope="module")
def one_row(tmp_path_factory) -> Files:
    path = tmp_path_factory.mktemp("macros") / "one.csv"
    path.write_text("x\n1\n")
    with ExitStack() as stack:
        yield Files({"one": (path, FileSettings(file=path.name))}, stack, {"said": "so"})


@pytest.mark.parametrize("call", MACROS)
def test_a_macro_reads(one_row, call):
    rows = next(one_row.pieces("clients", f"SELECT {call} AS v FROM one"))
    value = rows["v"].iloc[0]
    assert (None if pd.isna(value) else value) == MACROS[call]


@pytest.mark.parametrize(
    "call",
    [
        "number('12,5')",
        "number('soon')",
        "day('07/23/2024')",
        "day_us('23/07/2024')",
        "months_in('x')",
    ],
)
def test_what_a_macro_cannot_read_stops_the_query(one_row, call):
    with pytest.raises(ConfigError, match="cannot read"):
        next(one_row.pieces("clients", f"SELECT {call} AS v FROM one"))


def test_answers_lines_and_names_of_clients(tmp_path):
    (tmp_path / "a.csv").write_text("name\nWillow Plumbing\nx@gable.example\nnobody\nTwin\n")
    (tmp_path / "c.csv").write_text(
        "client_id,Name\n1,Willow Plumbing LLC\n2,Gable\n3,Twin\n4,Twin Inc\n"
    )
    with ExitStack() as stack:
        named = {p: (tmp_path / f"{p}.csv", FileSettings(file=f"{p}.csv")) for p in "ac"}
        files = Files(named, stack, {"said": "so"}, 'SELECT client_id, "Name" AS name FROM c')
        query = "SELECT line, known_client(name) AS id, answer('said') AS s FROM a ORDER BY line"
        rows = next(files.pieces("clients", query))
        assert files.used_by(query) == ["a", "c"]
    assert rows["line"].tolist() == [1, 2, 3, 4] and set(rows["s"]) == {"so"}
    assert rows["id"].fillna("").tolist() == ["1", "2", "", ""]  # of two alike neither


def test_every_recipe_says_what_it_is_and_gives_tables_that_exist():
    from retention.data.schema import TABLES

    for export in exports():
        assert export.name and export.where and export.documented.startswith("https://")
        assert set(export.tables) <= set(TABLES)
        assert all(recipe.conventions for recipe in export.tables.values()), export.key


@dataclass
class Case:
    """Exports in one folder, what a person answers, and what is expected of them."""

    files: tuple[str, ...]
    tables: tuple[str, ...]
    answers: dict[str, str] = field(default_factory=dict)


@dataclass
class Brought:
    """What `init` said and wrote, how many answers it took, and the tables that were read."""

    said: str
    text: str
    answers: int
    tables: Tables


CASES = {
    "Stripe: subscriptions, several a customer": Case(("stripe/subscriptions.csv",), ("clients",)),
    "Stripe: subscriptions, one a customer": Case(
        ("stripe_simple/subscriptions.csv",), ("clients",)
    ),
    "Stripe: customers, subscriptions, invoices": Case(
        tuple(f"stripe_folder/{name}.csv" for name in ("customers", "subscriptions", "invoices")),
        ("clients", "invoices"),
    ),
}


def drafted(folder: Path, files: tuple[str, ...]):
    """The exports copied into a folder, and what `init` says of it."""
    (folder / "in").mkdir()
    for name in files:
        shutil.copy(EXPORTS / name, folder / "in" / Path(name).name)
    export = folder / "in" / (Path(files[0]).name if len(files) == 1 else "")
    return CliRunner().invoke(cli, ["init", str(export), "--out", str(folder / "retention.toml")])


def answered(path: Path, answers: dict[str, str]) -> int:
    """Answer every open line as a person would; how many answers that took comes back."""
    lines = path.read_text().splitlines()
    count = 0
    for at, line in enumerate(lines):
        if found := re.match(r'(.+?) = ("\?"|false  # set to true)', line):
            lines[at] = f"{found[1]} = {(USUAL | answers)[found[1]]}"
            count += found[1] != "confirmed"
    path.write_text("\n".join(lines))
    return count


@cache
def brought(name: str) -> Brought:
    """The case from `init` to checked tables."""
    case = CASES[name]
    with TemporaryDirectory() as folder:
        done = drafted(Path(folder), case.files)
        path = Path(folder) / "retention.toml"
        text = path.read_text()
        count = answered(path, case.answers)
        return Brought(done.output, text, count, read(resolve(config=str(path))))


@cache
def truth() -> pd.DataFrame:
    """The engagements of the agency, a pause of up to 60 days being none."""
    rows = pd.read_csv(EXPORTS / "truth/clients.csv", parse_dates=["start_date", "end_date"])
    rows = rows.sort_values(["name", "start_date"], ignore_index=True)
    last = rows.groupby("name")["end_date"].shift()
    new = ~((rows["start_date"] - last).dt.days <= PAUSE)
    rows["engagement"] = new.groupby(rows["name"]).cumsum()
    ends = rows.groupby(["name", "engagement"])["end_date"].agg(lambda days: days.iloc[-1])
    first = rows.groupby(["name", "engagement"]).first().drop(columns="end_date")
    return first.assign(end_date=ends).reset_index()


def beside_truth(name: str) -> pd.DataFrame:
    """Engagements of the case beside the true ones, in their order by client."""
    ours = brought(name).tables.frames["clients"].sort_values(["name", "start_date"])
    ours = ours.assign(engagement=ours.groupby("name").cumcount() + 1)
    return truth().merge(
        ours, on=["name", "engagement"], how="outer", suffixes=("_true", ""), validate="1:1"
    )


def share_equal(rows: pd.DataFrame, column: str) -> float:
    """The share of rows in which a column equals the truth; blank equals blank."""
    ours, true = rows[column], rows[f"{column}_true"]
    return float(((ours == true) | (ours.isna() & true.isna())).mean())


@pytest.mark.parametrize("name", CASES)
def test_a_tool_is_recognised_and_brought_in_with_few_answers(name):
    done = brought(name)
    assert done.answers <= 5 and "What was taken for what" in done.text
    assert set(done.tables.rows) == set(CASES[name].tables)
    assert all(done.tables.rows.values())


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("Stripe")])
def test_stripe_gives_starts_ends_and_terms_to_the_day(name):
    rows = beside_truth(name)
    assert len(rows) == len(truth())
    for column in ("start_date", "end_date", "contract_term_months"):
        assert share_equal(rows, column) == 1, column


def test_stripe_keeps_out_who_never_paid_and_adds_up_by_month():
    several = beside_truth("Stripe: subscriptions, several a customer")
    assert not several["name"].str.startswith("Never Paid").any()
    rows = beside_truth("Stripe: subscriptions, one a customer").set_index("name")
    assert rows.loc["Lumen Legal Inc.", "monthly_ad_spend"] == 900  # 10,800 a year


def test_stripe_asks_for_the_term_where_no_metadata_tells_it(tmp_path):
    text = (EXPORTS / "stripe_simple/subscriptions.csv").read_text()
    (tmp_path / "x.csv").write_text(text.replace("contract_term (metadata)", "colour (metadata)"))
    out = tmp_path / "retention.toml"
    done = CliRunner().invoke(cli, ["init", str(tmp_path / "x.csv"), "--out", str(out)])
    assert "months_bound" in done.output
    answered(out, {"months_bound": "1"})
    terms = read(resolve(config=str(out))).frames["clients"]["contract_term_months"]
    assert set(terms) == {1, 12}


def test_the_tools_are_listed():
    done = CliRunner().invoke(cli, ["init", "--tools"])
    assert done.exit_code == 0 and "Stripe: Subscriptions (clients)" in done.output


def test_what_gives_no_clients_says_what_it_gives_and_what_is_needed(tmp_path):
    done = drafted(tmp_path, ("stripe_folder/customers.csv",))
    assert done.exit_code == 2 and not (tmp_path / "retention.toml").exists()
    assert "Stripe (Customers): gives no table" in done.output and "subscriptions" in done.output
