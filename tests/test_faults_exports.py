"""What exports were read wrong without a word (FAULTS R8, R9, R10, R12, R13): each is a question
now, or a right answer.
"""

import tomllib
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from retention.cli import cli
from retention.errors import ConfigError, DataError
from retention.settings import resolve
from retention.study import open_study

HEAD = "Customer ID,Tenure in Months,Contract,Monthly Charge"


def init(tmp_path: Path, text: str, name: str = "export.csv"):
    """`init` on a file of that text; what it said comes back."""
    (tmp_path / name).write_text(text)
    out = tmp_path / "retention.toml"
    return CliRunner().invoke(cli, ["init", str(tmp_path / name), "--out", str(out)])


def clients(tmp_path: Path) -> dict:
    """The section of the clients in the draft."""
    return tomllib.loads((tmp_path / "retention.toml").read_text())["tables"]["clients"]


def opened(tmp_path: Path, **answers: str):
    """The study, once the open lines of the draft are answered."""
    path = tmp_path / "retention.toml"
    text = path.read_text().replace("confirmed = false", "confirmed = true")
    for key, answer in answers.items():
        assert f'{key} = "?"' in text, key
        text = text.replace(f'{key} = "?"', f"{key} = {answer}")
    path.write_text(text)
    return open_study(config=str(path))


def customers(*words: tuple[str, ...], head: str = "", tenure=lambda n: n, size=True) -> str:
    """Sixty customers, a third of them gone; `words` are of those who left and of who stay."""
    lines = [head]
    for n in range(1, 61):
        last = [pair[0] if n % 3 == 0 else pair[1 + n % (len(pair) - 1)] for pair in words]
        term = "One year" if n % 2 else "Month-to-month"
        lines.append(",".join([f"k{n}", str(tenure(n)), term, *([str(40 + n)] * size), *last]))
    return "\n".join(lines) + "\n"


LOOKALIKES = {
    "flags of 1.0 and 0.0": customers(("1.0", "0.0"), head=HEAD + ",churned"),
    "a status before the flag": customers(
        ("Churned", "Stayed", "Joined"), ("Yes", "No"), head=HEAD + ",Customer Status,Churn Label"
    ),
    "a status of three words alone": customers(
        ("Churned", "Stayed", "Joined"), head=HEAD + ",Customer Status"
    ),
    "an attrition flag": customers(
        ("Attrited Customer", "Existing Customer"), head=HEAD + ",Attrition_Flag"
    ),
    "active, yes or no": customers(("No", "Yes"), head=HEAD + ",Is Active"),
}


@pytest.mark.parametrize("kind", LOOKALIKES)
def test_R8_a_tenure_and_a_flag_are_seen_however_the_flag_is_written(kind, tmp_path):
    done = init(tmp_path, LOOKALIKES[kind])
    assert done.exit_code == 0 and done.output.count("to answer") == 1
    assert "Further columns" not in (tmp_path / "retention.toml").read_text()  # the outcome
    study = opened(tmp_path, snapshot_date="2024-12-31")
    assert study.spells["ended"].sum() == 20 and len(study.spells) == 60


def test_R8_a_status_of_other_words_than_those_named_is_refused(tmp_path):
    init(tmp_path, LOOKALIKES["a status of three words alone"].replace("Joined", "Paused", 1))
    path = tmp_path / "retention.toml"
    path.write_text(
        path.read_text().replace('false = ["Joined", "Paused", "Stayed"]', "false = []")
    )
    with pytest.raises(DataError, match="one other word"):
        opened(tmp_path, snapshot_date="2024-12-31")


def test_R8_a_tenure_in_years_is_not_taken_for_months(tmp_path):
    text = customers(
        ("Yes", "No"),
        head="ID,Tenure (years),Contract,Charge,Churn",
        tenure=lambda n: f"{n / 12:.2f}",
    ).replace("Charge", "Monthly Charge")
    init(tmp_path, text)
    assert clients(tmp_path)["tenure_unit"] == "years"
    study = opened(tmp_path, snapshot_date="2024-12-31")
    starts = study.tables.frames["clients"].set_index("client_id")["start_date"]
    assert starts["k1"] == pd.Timestamp(2024, 12, 1) and starts["k25"] == pd.Timestamp(2022, 12, 1)


def test_R8_a_tenure_of_small_numbers_is_asked_about(tmp_path):
    text = customers(("Yes", "No"), head="ID,tenure,Contract,MRR,Churn", tenure=lambda n: n % 9)
    done = init(tmp_path, text)
    assert "clients.tenure_unit" in done.output and clients(tmp_path)["tenure_unit"] == "?"


def test_R8_whole_years_are_too_coarse(tmp_path):
    text = customers(
        ("Yes", "No"), head="ID,Years as client,Contract,MRR,Churn", tenure=lambda n: n
    )
    done = init(tmp_path, text)
    assert done.exit_code == 2 and "too coarse" in done.output


def test_R8_months_with_decimals_are_read_where_it_is_said_that_they_are_months(tmp_path):
    text = customers(("Yes", "No"), head=HEAD + ",Churn", tenure=lambda n: n + 0.4)
    init(tmp_path, text)
    assert clients(tmp_path)["tenure_unit"] == "months"
    study = opened(tmp_path, snapshot_date="2024-12-31")
    starts = study.tables.frames["clients"].set_index("client_id")["start_date"]
    assert starts["k1"] == pd.Timestamp(2024, 12, 1)  # stays: one whole month before the day
    assert starts["k3"] == pd.Timestamp(2024, 9, 1)  # left in its fourth month
    assert any("parts of months" in note for note in study.tables.notes)


@pytest.mark.parametrize(
    ("head", "size", "lacks"),
    [
        (HEAD.replace("Contract", "Remarks"), True, "contract_term_months"),
        ("Customer ID,Tenure in Months,Contract", False, "monthly_ad_spend"),
    ],
)
def test_R8_without_a_term_or_a_size_one_clear_question_is_asked(head, size, lacks, tmp_path):
    done = init(tmp_path, customers(("Yes", "No"), head=head + ",Churn", size=size))
    asked = [line for line in done.output.splitlines() if line.startswith("to answer")]
    assert len(asked) == 2 and sum(lacks in line for line in asked) == 1


def test_R8_a_flag_of_0_and_1_is_no_rep(tmp_path):
    text = "client,start,left on,term,budget,Account Manager\n"
    text += "".join(f"c{n},2024-0{n}-01,,1,500,{n % 2}\n" for n in range(1, 8))
    text += "c9,2023-01-01,2024-03-31,1,500,1\n"
    init(tmp_path, text)
    assert "rep_id" not in clients(tmp_path)["columns"]


DATED = "Account ID,{start},{end},Contract Term,{size}{more}\n"


def dated(
    start="Client Since", end="Churn Date", size="Monthly Retainer", more="", row=None
) -> str:
    """Forty engagements, half of them over, with headings of one's own; `row` adds cells."""
    lines = [DATED.format(start=start, end=end, size=size, more=more)]
    for n in range(40):
        first = pd.Timestamp(2022, 1, 5) + pd.Timedelta(days=19 * n)
        over = n % 2 == 0
        last = first + pd.Timedelta(days=400 - 10 * n)
        cells = [f"c{n}", f"{first:%Y-%m-%d}", f"{last:%Y-%m-%d}" if over else "", "1"]
        lines.append(",".join([*cells, *row(n, over)]) + "\n")
    return "".join(lines)


def money(n: int, over: bool) -> list[str]:
    return [str(901 + 13 * n)]


@pytest.mark.parametrize("heading", ["Created At", "Create Date", "Created On", "Date Created"])
def test_R9_the_day_of_a_record_is_no_start(heading, tmp_path):
    done = init(tmp_path, dated(start=heading, row=money))
    assert clients(tmp_path)["columns"]["start_date"] == "?"
    assert "the day on which the record was made" in done.output


AMOUNTS = {
    "cents": (lambda n, over: [str(250_000 + 2500 * n) + "00"], "they may be cents"),
    "today's, 0 of who left": (lambda n, over: ["0" if over else str(900 + n)], "today's amount"),
    "a heading in cents": (lambda n, over: [str(90_123 + n)], "they may be cents"),
}


@pytest.mark.parametrize("kind", AMOUNTS)
def test_R10_amounts_that_are_no_size_at_signing_are_asked_about(kind, tmp_path):
    row, why = AMOUNTS[kind]
    size = "MRR (cents)" if "heading" in kind else "MRR"
    done = init(tmp_path, dated(size=size, row=row))
    assert clients(tmp_path)["columns"]["monthly_ad_spend"] == "?" and why in done.output


def test_R10_yearly_amounts_among_monthly_ones_are_asked_about(tmp_path):
    def row(n: int, over: bool) -> list[str]:
        return [str(901 + 13 * n), "year" if n % 3 == 0 else "month"]

    done = init(tmp_path, dated(more=",Billing Interval", row=row))
    assert clients(tmp_path)["columns"]["monthly_ad_spend"] == "?"
    assert "different periods (month, year)" in done.output


@pytest.mark.parametrize("end", ["Canceled At", "Cancellation Date", "Cancelled On"])
def test_a_day_of_cancelling_is_asked_whether_it_is_notice(end, tmp_path):
    done = init(tmp_path, dated(end=end, row=money))
    text = (tmp_path / "retention.toml").read_text()
    assert "dates.end: what" in done.output and tomllib.loads(text)["dates"] == {"end": "?"}
    with pytest.raises(ConfigError, match="dates.end: still to be answered"):
        resolve(config=str(tmp_path / "retention.toml"))


def test_the_last_activity_is_no_end(tmp_path):
    done = init(tmp_path, dated(end="Last Activity Date", row=money))
    assert clients(tmp_path)["columns"]["end_date"] == "?" and done.exit_code == 2


def test_status_columns_are_not_offered_as_known_at_signing(tmp_path):
    def row(n: int, over: bool) -> list[str]:
        gone = ["Lost", "F", "Price" if n % 4 else "Results"] if over else ["Active", "C", ""]
        return [str(901 + 13 * n), *gone, "ab"[n % 2 if n % 5 else 0]]

    init(tmp_path, dated(more=",Account Status,Segment,Loss,Region", row=row))
    text = (tmp_path / "retention.toml").read_text()
    offered = text.split("Further columns")[1]
    assert '"Region"' in offered
    assert '"Account Status"' not in offered and '"Segment"' not in offered
    assert '"Loss"' not in offered


def test_R13_the_words_of_a_closed_vocabulary_are_asked_about(tmp_path):
    def row(n: int, over: bool) -> list[str]:
        return [str(901 + 13 * n), "Too dear" if over else ""]

    done = init(tmp_path, dated(more=",Churn Reason", row=row))
    assert "clients.end_reason: 1 words that are not understood" in done.output
    assert clients(tmp_path)["values"]["end_reason"] == {"Too dear": "?"}


def test_R13_free_text_is_taken_for_no_vocabulary(tmp_path):
    def row(n: int, over: bool) -> list[str]:
        return [str(901 + 13 * n), f"They said {n}" if over else ""]

    init(tmp_path, dated(more=",Churn Reason", row=row))
    assert "end_reason" not in clients(tmp_path)["columns"]
    assert "20 different texts" in (tmp_path / "retention.toml").read_text()


def test_R13_evidence_is_read_in_the_order_and_style_that_the_file_settles(tmp_path):
    text = "client,Client Since,Left On,Contract,Ad Budget / mo\n"
    text += '1,02/21/2022,,M2M,"$1,650"\n2,03/04/2022,05/09/2023,M2M,"$2,400"\n3,01/02/2023,,M2M,"$950"\n'
    init(tmp_path, text)
    drafted = (tmp_path / "retention.toml").read_text()
    assert "3 of 3 rows filled, 2022-02-21 to 2023-01-02" in drafted
    assert "0 different" not in drafted


def test_R12_a_word_that_reads_as_nothing_can_be_kept(tmp_path):
    def row(n: int, over: bool) -> list[str]:
        return [str(901 + 13 * n), "None" if n % 2 else "Law"]

    init(tmp_path, dated(more=",industry", row=row))
    path = tmp_path / "retention.toml"
    path.write_text(path.read_text() + '\n[tables.clients.values.industry]\n"None" = "None"\n')
    study = opened(tmp_path, cutoff="2024-06-30", records_begin='"all history"')
    assert (study.tables.frames["clients"]["industry"] == "None").sum() == 20


CASES = Path(__file__).parent / "cases"


def test_R9_the_record_of_a_crm_is_no_start_and_the_day_of_service_is(tmp_path):
    init(tmp_path, (CASES / "created" / "created.csv").read_text())
    assert clients(tmp_path)["columns"]["start_date"] == "?"
    (tmp_path / "retention.toml").unlink()
    init(tmp_path, (CASES / "created" / "created_true.csv").read_text())
    assert clients(tmp_path)["columns"]["start_date"] == "Client since"


FLAGS = {
    "flag/e.csv": 20,
    "flag/f.csv": 20,
    "case-26/export.csv": 13,
    "case-26/without_status.csv": 13,
}


@pytest.mark.parametrize("case", FLAGS)
def test_R8_files_with_a_tenure_and_a_flag_ask_for_the_day_of_the_export_alone(case, tmp_path):
    done = init(tmp_path, (CASES / case).read_text())
    assert done.exit_code == 0 and done.output.count("to answer") == 1
    study = opened(tmp_path, snapshot_date="2024-12-31")
    assert study.spells["ended"].sum() == FLAGS[case]


ADS = """Account report
Account name,Customer ID,Month,Currency code,Cost,Clicks
Ash Dental,1,2024-01-01,USD,10.00,5
Total Dental,2,2024-01-01,USD,20.00,5
Total: Account,--, --,USD,30.00,10
"""
SHEET = """Clients,,,,
Client,Start,End,Contract,Budget
Ash Dental,2023-01-09,2023-11-20,M2M,900
Total Dental,2023-02-13,,12 months,800
TOTAL,,,,1700
"""


def test_a_client_whose_name_begins_like_a_total_is_a_client(tmp_path):
    assert init(tmp_path, SHEET).exit_code == 0
    assert len(opened(tmp_path, cutoff="2024-12-31").spells) == 2


def test_an_account_whose_name_begins_like_a_total_keeps_its_spend(tmp_path):
    (tmp_path / "clients.csv").write_text(
        "client_id,name,start_date,end_date,contract_term_months,monthly_ad_spend\n"
        "a,Ash Dental,2023-01-09,2024-01-20,1,9\nt,Total Dental,2023-01-09,,1,9\n"
    )
    (tmp_path / "report.csv").write_text(ADS)
    out = tmp_path / "retention.toml"
    CliRunner().invoke(cli, ["init", str(tmp_path), "--out", str(out)])
    study = opened(tmp_path, cutoff="2024-12-31", records_begin='"all history"')
    months = study.tables.frames["account_months"]
    assert months.set_index("client_id")["ad_spend"].to_dict() == {"a": 10, "t": 20}


def months_of(name: str) -> str:
    """A sheet with a column a month, and a row of that name."""
    heads = ["Client", *(f"2024-{month:02}" for month in range(1, 13))]
    rows = [heads, ["Ash Dental", *["10"] * 12], [name, *["20"] * 12]]
    return "\n".join(map(",".join, rows)) + "\n"


def test_a_row_that_may_be_a_sum_or_a_client_is_asked_about(tmp_path):
    asked = "rows have a name that begins with Total"
    assert asked not in init(tmp_path, months_of("TOTAL")).output
    (tmp_path / "retention.toml").unlink()
    assert f"1 {asked}" in init(tmp_path, months_of("Total SEO")).output


DEALS = """Record ID,Deal Name,Deal Stage,Close Date,Create Date,Amount,Associated Company,Associated Company IDs,Deal Type,MRR,Contract length
1,Ash - retainer,{won},2023-01-10,2022-12-10,900,Ash Dental,11,newbusiness,900,Annual (12 months)
2,Birch - retainer,{won},2023-02-10,2022-12-10,900,Birch Law,12,newbusiness,800,
3,Cedar - retainer,Not won,2023-02-10,2022-12-10,900,Cedar Spa,13,newbusiness,800,12
"""


def test_deals_that_are_not_won_are_no_clients_and_a_blank_term_is_asked_for(tmp_path):
    said = init(tmp_path, DEALS.format(won="Closed Won")).output
    assert "1 deals that were won do not say for how long" in said
    frames = opened(tmp_path, cutoff="2024-12-31", months_unsaid="6").tables.frames
    terms = frames["clients"].set_index("name")["contract_term_months"]
    assert terms.to_dict() == {"Ash Dental": 12, "Birch Law": 6}
    assert frames["leads"]["signed_on"].notna().sum() == 2


def test_the_stage_that_is_won_is_asked_for_where_none_says_so(tmp_path):
    assert "In which stage is a deal won" in init(tmp_path, DEALS.format(won="Signed")).output
