"""Exports of known tools, from `init` to checked tables, against the truth of the invented agency
that they were made from (tests/exports/truth).
"""

import csv
import datetime as dt
import io
import itertools
import re
import shutil
import textwrap
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import openpyxl
import pandas as pd
import pytest
from click.testing import CliRunner

from conftest import ROOT
from made_exports import FEET, MADE
from retention.cli import cli
from retention.data import read
from retention.data.query import Files
from retention.data.reader import Tables
from retention.data.recipes import exports
from retention.errors import ConfigError, DataError
from retention.service.nps import waves, words
from retention.settings import FileSettings, resolve
from written_otherwise import WAYS

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
    "months_in('Annual (12 months)')": 12.0,
    "months_in('12 months (annual)')": 12.0,
    "months_in('Half-year (6 months)')": 6.0,
    "months_in('1 year, 12 monthly payments')": 12.0,
    "months_in('Two years')": 24.0,
    "months_in('Six months')": 6.0,
    "months_in('1.5 years')": 18.0,
    "months_in('2y')": 24.0,
    "months_in('Month-to-month')": 1.0,
    "months_in('every 3 months')": 3.0,
    "months_in('semi-annual')": 6.0,
    "deal_months(NULL, NULL)": None,
    "deal_months(NULL, '1')": 1,
    "deal_months('annual', '1')": 12,
    "is_total('TOTAL')": True,
    "is_total('Total: Account')": True,
    "is_total('Total (57)')": True,
    "is_total('Subtotal SEO')": True,
    "is_total('Total clients')": True,
    "is_total('Total Dental')": False,
    "is_total('Totality Ltd')": False,
    "is_won('Closed Won', NULL)": True,
    "is_won('closedwon', NULL)": True,
    "is_won('Not won', NULL)": False,
    "is_won('Wonderful', NULL)": False,
    "is_won(NULL, NULL)": False,
    "is_won('Signed', 'signed')": True,
    "score_of('10 - Extremely likely')": 10,
    "score_of('Not at all likely - 0')": 0,
    "score_of('9.0')": 9,
    "score_of('')": None,
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


@pytest.mark.slow
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
        "months_in('biannual')",
        "months_in('annual 2025')",
        "months_in('eighteen months')",
        "score_of('6.5')",
        "score_of('likely')",
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

    files: tuple[str | Path, ...]  # names are of made_exports
    tables: tuple[str, ...]
    answers: dict[str, str] = field(default_factory=dict)


@dataclass
class Brought:
    """What `init` said and wrote, how many answers it took, and the tables that were read."""

    said: str
    text: str
    answers: int
    tables: Tables


COMPANIES = next((EXPORTS / "hubspot_custom").iterdir())
ROSTER = EXPORTS / "gsheet/Client Roster - Sheet1.csv"
SHEET_WORD = {'end_reason."Didn\'t click with AM"': '"rep"'}
INVOICED = {"months_bound": "1", "not_yet_invoiced": '"left"'}
LEFT_OUT = {"strangers": '"leave out"'}


def _beside(folder: str) -> tuple[Path, ...]:
    """The exports of a folder that holds no clients, and the companies of the CRM."""
    return (*sorted((EXPORTS / folder).iterdir()), COMPANIES)


CASES = {
    "Stripe: subscriptions, several a customer": Case(
        (EXPORTS / "stripe/subscriptions.csv",), ("clients",)
    ),
    "Stripe: subscriptions, one a customer": Case(
        (EXPORTS / "stripe_simple/subscriptions.csv",), ("clients",)
    ),
    "Stripe: customers, subscriptions, invoices": Case(
        tuple(sorted((EXPORTS / "stripe_folder").iterdir())), ("clients", "invoices")
    ),
    "HubSpot: companies with properties of one's own": Case((COMPANIES,), ("clients",)),
    "A sheet kept by hand": Case((ROSTER,), ("clients",), SHEET_WORD),
    "A sheet kept by hand, without its title": Case(
        (EXPORTS / "gsheet/trimmed.csv",), ("clients",), SHEET_WORD
    ),
    "QuickBooks: Sales by Customer Detail": Case(
        tuple((EXPORTS / "quickbooks").iterdir()), ("clients", "account_months"), INVOICED
    ),
    "Chargebee: subscriptions": Case(("chargebee.csv",), ("clients",), {"amounts_in": '"cents"'}),
    "Recurly: subscriptions": Case(("recurly.csv",), ("clients",), INVOICED),
    "Xero: sales invoices": Case(
        ("xero.csv",), ("clients", "account_months", "invoices"), INVOICED
    ),
    "FreshBooks: invoice details": Case(
        ("freshbooks.csv",), ("clients", "account_months"), INVOICED
    ),
    "Baremetrics: subscriptions": Case(
        ("baremetrics.csv",),
        ("clients",),
        {"amounts_in": '"cents"', "canceled_is": '"ended"'} | INVOICED,
    ),
    "ProfitWell: customers": Case(("profitwell.csv",), ("clients",), INVOICED),
    "ChartMogul: subscriptions": Case(("chartmogul_subscriptions.csv",), ("clients",), INVOICED),
    "ChartMogul: MRR intervals": Case(("chartmogul_intervals.csv",), ("clients",), INVOICED),
    "ChartMogul: customers, with the day of cancelling": Case(
        ("chartmogul_customers.csv",), ("clients",), {"amounts_in": '"cents"'} | INVOICED
    ),
    "Stripe: payments": Case(("payments.csv",), ("clients", "payments"), INVOICED),
    "Salesforce: a report with lines at its foot": Case(("report.csv",), ("clients",)),
    "Salesforce: Account, Contract, Opportunity, standard fields alone": Case(
        tuple(sorted((EXPORTS / "salesforce").iterdir())),
        ("clients", "contracts", "leads"),
        {"contract_ran_out": '"left"', "amount_is": '"month"'},
    ),
    "HubSpot: deals alone": Case(
        tuple((EXPORTS / "hubspot_deals").iterdir()),
        ("clients", "leads"),
        {"after_the_last_deal": '"left"'},
    ),
    "HubSpot: deals": Case(_beside("hubspot_deals"), ("leads",)),
    "Pipedrive: deals": Case(("pipedrive.csv", COMPANIES), ("leads",)),
    "Salesforce: Account, Contract, Opportunity": Case(
        _beside("salesforce"), ("contracts", "leads")
    ),
    "Harvest: detailed time": Case(_beside("harvest"), ("hours",)),
    "Toggl Track: detailed report": Case(("toggl.csv", COMPANIES), ("hours",)),
    "Clockify: detailed report": Case(("clockify.csv", COMPANIES), ("hours",)),
    "Google Ads: accounts by month": Case(_beside("googleads"), ("account_months",), LEFT_OUT),
    "Meta Ads: accounts by month": Case(("metaads.csv", COMPANIES), ("account_months",), LEFT_OUT),
    "Delighted: responses": Case(_beside("delighted"), ("surveys",)),
    "SurveyMonkey: responses": Case(_beside("surveymonkey"), ("surveys",)),
    "Typeform: responses": Case(("typeform.csv", COMPANIES), ("surveys",)),
    "AskNicely: responses": Case(("asknicely.csv", COMPANIES), ("surveys",)),
    "Asana: tasks": Case(_beside("asana"), ("requests",)),
    "Jira: issues": Case(("jira.csv", COMPANIES), ("requests",)),
    "LinkedIn Ads: accounts by month": Case(
        ("linkedinads.csv", COMPANIES), ("account_months",), LEFT_OUT
    ),
    "Everhour: a report by day": Case(("everhour.csv", COMPANIES), ("hours",)),
    "Zendesk: tickets": Case(("zendesk.csv", COMPANIES), ("requests",)),
}
OF_CLIENTS = [name for name, case in CASES.items() if "clients" in case.tables]


def drafted(folder: Path, files: tuple[str | Path, ...]):
    """The exports in a folder, and what `init` says of it (of one file, of the file)."""
    (folder / "in").mkdir()
    for file in files:
        if isinstance(file, Path):
            shutil.copy(file, folder / "in" / file.name)
        else:
            text = MADE[file]().to_csv(index=False) + FEET.get(file, "")
            (folder / "in" / file).write_text(text)
    only = next((folder / "in").iterdir()) if len(files) == 1 else folder / "in"
    return CliRunner().invoke(cli, ["init", str(only), "--out", str(folder / "retention.toml")])


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


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_tool_is_recognised_and_brought_in_with_few_answers(name):
    done = brought(name)
    assert done.answers <= 5 and "What was taken for what" in done.text
    assert set(done.tables.rows) == {"clients", *CASES[name].tables}
    assert all(done.tables.rows.values())


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
    done = drafted(tmp_path, (EXPORTS / "stripe_folder/customers.csv",))
    assert done.exit_code == 2 and not (tmp_path / "retention.toml").exists()
    assert "Stripe (Customers): gives no table" in done.output and "subscriptions" in done.output


def equal_to_truth(name: str, column: str) -> tuple[int, int]:
    """In how many of the engagements that both know a column equals the truth; of how many."""
    rows = beside_truth(name)
    rows = rows[rows["client_id"].notna() & rows["client_id_true"].notna()]
    return round(share_equal(rows, column) * len(rows)), len(rows)


ONE_ROW = (
    "HubSpot",
    "A sheet",
    "ProfitWell",
    "ChartMogul: customers",
    "Salesforce: a report",
)  # of five clients who came back they hold the first time alone
BOUND = (
    "QuickBooks",
    "Recurly",
    "Xero",
    "FreshBooks",
    "Baremetrics",
    "ProfitWell",
    "ChartMogul",
    "Stripe: payments",
)  # terms are not in them: one is answered
ASSUMED = ("HubSpot: deals alone", "Salesforce: Account, Contract, Opportunity, standard")  # ends
SIZED = (
    "A sheet",
    "Chargebee",
    "Recurly",
    "Xero",
    "FreshBooks",
    "Baremetrics",
    "ChartMogul: subscriptions",
    "ChartMogul: MRR",
    "Salesforce: a report",
    "Stripe: payments",
)  # they hold ad spend


@pytest.mark.parametrize("name", [n for n in OF_CLIENTS if not n.startswith(ASSUMED)])
def test_clients_are_the_true_ones_as_far_as_the_export_can_hold_them(name):
    rows = beside_truth(name)
    assert rows["client_id_true"].notna().all()  # nobody who is no client
    one_row = name.startswith(ONE_ROW)
    assert len(truth()) - rows["client_id"].notna().sum() == 3 * one_row
    assert equal_to_truth(name, "start_date") == (len(truth()) - 3 * one_row,) * 2
    same, of = equal_to_truth(name, "end_date")
    assert of - same == 2 * one_row  # two came back within 60 days: one engagement to the truth
    if not name.startswith(BOUND):
        same, of = equal_to_truth(name, "contract_term_months")
        assert same == of


@pytest.mark.parametrize("name", [n for n in OF_CLIENTS if n.startswith(SIZED)])
def test_sizes_are_the_true_ones_where_the_export_holds_ad_spend(name):
    same, of = equal_to_truth(name, "monthly_ad_spend")
    assert same == of


@pytest.mark.parametrize(
    "name", [n for n in OF_CLIENTS if n.startswith(("Stripe: s", "Stripe: c", "Quick"))]
)
def test_sizes_are_the_retainers_of_the_crm_where_it_holds_fees(name):
    """A retainer is what the CRM says; an add-on subscribed to in the first month comes on top."""
    crm = pd.read_csv(COMPANIES).set_index("Company name")["Monthly retainer"]
    rows = brought(name).tables.frames["clients"].drop_duplicates("name")
    over = rows["monthly_ad_spend"].to_numpy() - crm.reindex(rows["name"]).to_numpy()
    assert set(over) <= ({0.0, 300.0} if "several" in name or "customers" in name else {0.0})


def close_rate(name: str) -> float:
    return float(brought(name).tables.frames["leads"]["signed_on"].notna().mean())


@pytest.mark.parametrize("name", [n for n, case in CASES.items() if "leads" in case.tables])
def test_only_won_deals_of_new_business_are_signings(name):
    leads = brought(name).tables.frames["leads"]
    assert len(leads) == 150 and round(close_rate(name), 2) == 0.73
    known = set(brought(name).tables.frames["clients"]["client_id"])
    assert set(leads["client_id"].dropna()) <= known


def by_name(name: str, table: str) -> pd.DataFrame:
    """A table with the clients' names."""
    tables = brought(name).tables.frames
    names = tables["clients"].drop_duplicates("client_id").set_index("client_id")["name"]
    return tables[table].assign(name=tables[table]["client_id"].map(names))


@pytest.mark.parametrize("name", [n for n, case in CASES.items() if "hours" in case.tables])
def test_hours_are_added_up_by_client_person_and_month(name):
    raw = pd.read_csv(next((EXPORTS / "harvest").iterdir()))
    raw = raw.assign(staff_id=raw["First Name"] + " " + raw["Last Name"], name=raw["Client"])
    true = raw.groupby(["name", "staff_id", raw["Date"].str[:7]])["Hours"].sum()
    rows = by_name(name, "hours")
    ours = rows.groupby(["name", "staff_id", rows["month"].astype(str).str[:7]])["hours"].sum()
    assert ours.to_dict() == pytest.approx(true.to_dict())


def nps_of(scores: pd.Series) -> float:
    return float(((scores >= 9).mean() - (scores <= 6).mean()) * 100)


@pytest.mark.parametrize("name", [n for n, case in CASES.items() if "surveys" in case.tables])
def test_answers_and_nps_are_the_true_ones_and_the_rate_of_response_is_not_claimed(name):
    raw = pd.read_csv(EXPORTS / "delighted/delighted_responses.csv")
    rows = by_name(name, "surveys").dropna(subset=["nps"])
    assert nps_of(rows["nps"]) == pytest.approx(nps_of(raw["score"]))
    assert sorted(zip(rows["name"], rows["nps"], strict=True)) == sorted(
        zip(raw["company"], raw["score"], strict=True)
    )
    if name.startswith("AskNicely"):  # it holds the invitations too
        assert len(by_name(name, "surveys")) == len(rows) + 2
        return
    assert "rate of response is unknown" in brought(name).text
    asked = waves(brought(name).tables.frames["surveys"])
    told = words(asked, pd.Timestamp(2025, 9, 30)).text
    assert "100%" not in told and "how many were asked is not known" in told


@pytest.mark.parametrize("name", [n for n in CASES if "Ads: accounts by month" in n])
def test_ad_spend_is_joined_by_name_and_strangers_are_counted(name):
    raw = pd.read_csv(EXPORTS / "googleads/Account report.csv", skiprows=2)
    cost = raw["Cost"].str.replace(",", "").astype(float)
    true = cost[~raw["Month"].str.startswith("Total")].sum()
    assert brought(name).tables.frames["account_months"]["ad_spend"].sum() == pytest.approx(true)
    assert "'Velvet Dental', 1 row" in brought(name).text
    assert any("4 rows of 4 that are none of the clients" in n for n in brought(name).tables.notes)


def test_fees_of_quickbooks_are_net_of_credit_memos():
    rows = brought("QuickBooks: Sales by Customer Detail").tables.frames["account_months"]
    assert rows["fee"].sum() == pytest.approx(1_899_600)  # the report's own TOTAL


@pytest.mark.parametrize("name", ["Asana: tasks", "Jira: issues"])
def test_requests_are_of_clients_and_keep_what_was_out_of_scope(name):
    rows = brought(name).tables.frames["requests"]
    assert len(rows) == 250
    assert (~rows["in_scope"].astype(bool)).sum() == 89 and rows["revision"].astype(
        bool
    ).sum() == 77


@pytest.mark.slow
def test_internal_time_is_left_out_only_when_said_and_counted(tmp_path):
    (tmp_path / "x").mkdir()
    harvest = next((EXPORTS / "harvest").iterdir())
    lines = harvest.read_text().splitlines()
    lines.append(lines[1].replace("Willow Plumbing LLC", "Example Agency (internal)"))
    (tmp_path / "x" / "time.csv").write_text("\n".join(lines))
    done = drafted(tmp_path, (tmp_path / "x" / "time.csv", COMPANIES))
    assert "tables.hours.strangers: 1 that are none of the clients" in done.output
    path = tmp_path / "retention.toml"
    text = path.read_text()
    answered(path, {"strangers": '"refuse"'})
    with pytest.raises(DataError, match="internal"):
        read(resolve(config=str(path)))
    path.write_text(text)
    answered(path, LEFT_OUT)
    tables = read(resolve(config=str(path)))
    assert any("hours: 1 rows of 1" in note and "internal" in note for note in tables.notes)


@pytest.mark.slow
def test_a_folder_of_six_tools_is_read_as_a_whole(tmp_path):
    folders = ("hubspot_deals", "harvest", "googleads", "delighted", "quickbooks", "asana")
    files = tuple(next((EXPORTS / folder).iterdir()) for folder in folders)
    drafted(tmp_path, (*files, COMPANIES))
    path = tmp_path / "retention.toml"
    assert answered(path, LEFT_OUT) <= 5
    tables = read(resolve(config=str(path)))
    assert set(tables.rows) == {
        "clients", "account_months", "surveys", "hours", "requests", "leads",
    }  # fmt: skip
    months = tables.frames["account_months"]
    assert months["ad_spend"].notna().sum() == 1181 and months["fee"].notna().sum() > 1600


@pytest.mark.slow
def test_names_are_joined_to_a_plain_file_of_clients_too(tmp_path):
    (tmp_path / "c").mkdir()
    shutil.copy(EXPORTS / "truth/clients.csv", tmp_path / "c" / "clients.csv")
    harvest = next((EXPORTS / "harvest").iterdir())
    drafted(tmp_path, (harvest, tmp_path / "c" / "clients.csv"))
    path = tmp_path / "retention.toml"
    answered(path, LEFT_OUT)
    tables = read(resolve(config=str(path)))
    assert tables.rows == {"clients": 115, "hours": 273}
    assert set(tables.frames["hours"]["client_id"]) <= set(tables.frames["clients"]["client_id"])


def test_a_sheet_as_a_workbook_is_told_too(tmp_path):
    book = openpyxl.Workbook()
    for row in csv.reader(ROSTER.read_text("utf-8").splitlines()):
        book.active.append(row)
    book.save(tmp_path / "Roster.xlsx")
    drafted(tmp_path, (tmp_path / "Roster.xlsx",))
    answered(tmp_path / "retention.toml", SHEET_WORD)
    assert read(resolve(config=str(tmp_path / "retention.toml"))).rows == {"clients": 110}


@pytest.mark.parametrize(
    ("folder", "words"),
    [
        ("chartmogul", "for clients it lacks CANCELLED_AT"),
        ("asana", "gives requests"),
        ("harvest", "gives hours"),
        ("pipedrive", "gives leads; for clients it lacks Deal - Contract length"),
    ],
)
def test_what_gives_no_clients_is_told_what_is_still_needed(tmp_path, folder, words):
    made = ("pipedrive.csv",) if folder == "pipedrive" else ()
    done = drafted(tmp_path, made or tuple(sorted((EXPORTS / folder).iterdir())))
    assert done.exit_code == 2 and words in done.output
    assert "Put it into one folder with an export that does" in done.output


def test_companies_whose_stage_says_they_left_without_an_end_are_asked_about(tmp_path):
    (tmp_path / "x").mkdir()
    text = COMPANIES.read_text().replace("2023-02-27", "")
    (tmp_path / "x" / "c.csv").write_text(text)
    drafted(tmp_path, (tmp_path / "x" / "c.csv",))
    path = tmp_path / "retention.toml"
    assert "1 companies have left by their stage but have no end" in path.read_text()
    answered(path, {"left_without_end": '"leave out"'})
    assert read(resolve(config=str(path))).rows == {"clients": 109}


def compared(name: str) -> dict[str, tuple[int, int]]:
    """By words for a column of the clients, in how many engagements it equals the truth."""
    words = {"start_date": "starts", "end_date": "ends", "contract_term_months": "terms"}
    shares = {word: equal_to_truth(name, column) for column, word in words.items()}
    if name.startswith(BOUND):
        del shares["terms"]
    if name.startswith(SIZED):
        shares["sizes"] = equal_to_truth(name, "monthly_ad_spend")
    return shares


def off(name: str) -> int:
    """How many columns of the clients differ from the truth more than the export makes them."""
    held = 2 * name.startswith(ONE_ROW)  # two ends that one row a client cannot hold
    shares = compared(name) if "clients" in CASES[name].tables else {}
    return sum(of - same > held for same, of in shares.values())


def row_of(name: str) -> str:
    """A line of the table in docs/own-data.md."""
    done, case = brought(name), CASES[name]
    tables = ", ".join(f"{table} {done.tables.rows[table]:,}" for table in case.tables)
    told = []
    filled = sum(
        len(done.tables.frames[table].dropna(axis="columns", how="all").columns)
        for table in case.tables
    )
    if "clients" in case.tables:
        told = [f"{word} {same} of {of}" for word, (same, of) in compared(name).items()]
    if "leads" in case.tables:
        told.append(f"close rate {close_rate(name):.0%}")
    if "hours" in case.tables:
        told.append(f"{done.tables.frames['hours']['hours'].sum():,.2f} hours")
    if "surveys" in case.tables:
        told.append(f"NPS {nps_of(done.tables.frames['surveys']['nps'].dropna()):.0f}")
    if "account_months" in case.tables:
        sums = done.tables.frames["account_months"].drop(columns=["client_id", "month"]).sum()
        told += [f"{column.replace('_', ' ')} {total:,.0f}" for column, total in sums.items()]
    known = "yes" if "is an export of" in done.text else "no"
    wrong = 0 if name.startswith(ASSUMED) else off(name)  # of these it is asked
    guesses = f"{filled - off(name)} / {done.answers} / {wrong}"
    return f"| {name} | {known} | {tables} | {guesses} | {', '.join(told) or 'all rows'} |"


def test_the_table_of_the_docs_is_what_comes_out():
    text = (ROOT / "docs" / "own-data.md").read_text("utf-8")
    table = "\n".join(row_of(name) for name in CASES)
    assert table in text, table


def test_the_best_source_of_clients_is_taken_and_what_is_not_used_is_named(tmp_path):
    stripe = EXPORTS / "stripe_simple/subscriptions.csv"
    again = tmp_path / "more.csv"
    shutil.copy(COMPANIES, again)
    drafted(tmp_path, (COMPANIES, stripe, again))
    text = (tmp_path / "retention.toml").read_text()
    assert 'FROM "hubspot_companies"' in text and "stripe_subscriptions" not in text
    assert '# Not used: "subscriptions.csv", an export of Stripe' in text
    assert "in more than one of these files: 110. Do the exports overlap" in text
    answered(tmp_path / "retention.toml", {"doubles": '"once"'})
    assert read(resolve(config=str(tmp_path / "retention.toml"))).rows == {"clients": 110}


def pages_of_tools() -> str:
    """What docs/own-data.md says of each tool, from its recipes."""
    lines = []
    for tool, group in itertools.groupby(
        sorted(exports(), key=lambda e: e.tool.removeprefix("A ").casefold()), lambda e: e.tool
    ):
        lines += [f"**{tool}**", ""]
        for export in group:
            given = ", ".join(f"`{table}`" for table in export.tables) or "no table"
            text = f"* {export.name}, gives {given}: {export.where}."
            text += f" What it lacks: {export.lacks}" if export.lacks else ""
            lines += textwrap.wrap(text, 118, subsequent_indent="  ", break_on_hyphens=False)
        lines.append("")
    return "\n".join(lines)


def test_the_pages_of_the_tools_are_those_of_the_recipes():
    text = (ROOT / "docs" / "own-data.md").read_text("utf-8")
    assert pages_of_tools().strip() in text, pages_of_tools()


ANSWERS = {"dates": '"day first"', "numbers": '"1,234.5"', "strangers": '"leave out"'} | INVOICED


@pytest.mark.parametrize("name", MADE)
def test_dates_numbers_and_files_written_otherwise_come_to_the_same(name, tmp_path):
    """Each export in one of three ways: what comes out is the same, to the cell."""
    case = next(case for case in CASES.values() if name in case.files)
    way = list(WAYS.values())[list(MADE).index(name) % len(WAYS)]
    rows = pd.read_csv(io.StringIO(MADE[name]().to_csv(index=False)), dtype=str)
    (tmp_path / "made").mkdir()
    written = way(rows.fillna(""), tmp_path / "made" / name)
    files = tuple(written if file == name else file for file in case.files)
    drafted(tmp_path, files)
    path = tmp_path / "retention.toml"
    assert answered(path, ANSWERS | case.answers) <= 5
    tables = read(resolve(config=str(path)))
    same = next(n for n, other in CASES.items() if other is case)
    for table in case.tables:
        expected = brought(same).tables.frames[table].reset_index(drop=True)
        ours = tables.frames[table].reset_index(drop=True)[expected.columns]
        pd.testing.assert_frame_equal(ours, expected, check_dtype=False)
