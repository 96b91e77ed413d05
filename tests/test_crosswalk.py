"""Names that join to no client, and clients without rows: listed whole with the nearest, confirmed
by a person, asked about until then.
"""

from contextlib import ExitStack
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from retention.cli import cli
from retention.data import read
from retention.data.crosswalk import COLUMNS, IDLE, STRANGER, plain_words, unmatched, updated
from retention.data.query import Files
from retention.errors import ConfigError, DataError
from retention.settings import FileSettings, resolve
from test_recipes import EXPORTS, truth

CLIENTS = """client_id,name,start_date,end_date,contract_term_months,monthly_ad_spend
C1,"Willow Plumbing, LLC",2023-01-10,,1,1000
C2,Maple Legal Group,2023-02-01,2023-09-30,12,2000
C3,Oak Dental,2023-03-01,,1,1500
"""
ENTRIES = """Client,User,Month,Hours
Willow Plumbing,ann,2023-05,2
Maple Leagl,ann,2023-05,3
Maple Leagl,ann,2023-06,1
Our own agency,ann,2023-05,9
"""
SETTINGS = """
cutoff = 2023-12-31
records_begin = "all history"
[source]
folder = "."
{crosswalk}
[tables.hours]
strangers = "{strangers}"
query = '''
SELECT coalesce(known_client("Client"), "Client") AS client_id, "User" AS staff_id,
       "Month" AS month, sum(hours("Hours")) AS hours
FROM entries GROUP BY ALL
'''
"""


@pytest.fixture
def agency(tmp_path) -> Path:
    """Clients, hours by name, and the settings, with a crosswalk that the command has written."""
    (tmp_path / "clients.csv").write_text(CLIENTS)
    (tmp_path / "entries.csv").write_text(ENTRIES)
    say_strangers(tmp_path, "leave out", named=False)
    done = CliRunner().invoke(cli, ["crosswalk", "--data", str(tmp_path)])
    assert 'say crosswalk = "crosswalk.csv"' in done.output, done.output
    say_strangers(tmp_path, "leave out")
    return tmp_path


def say_strangers(folder: Path, strangers: str, named: bool = True) -> None:
    line = 'crosswalk = "crosswalk.csv"' if named else ""
    text = SETTINGS.format(crosswalk=line, strangers=strangers)
    (folder / "retention.toml").write_text(text)


def rows_of(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "crosswalk.csv", dtype=str, keep_default_na=False)


def confirm(folder: Path, name: str, word: str, client: str = "") -> None:
    rows = rows_of(folder)
    of_name = (rows["name"] == name) & (rows["what"] == STRANGER)
    assert of_name.sum() == 1
    rows.loc[of_name, "confirmed"] = word
    if client:
        rows.loc[of_name, "client_id"] = client
    rows.to_csv(folder / "crosswalk.csv", index=False)


def hours_of(folder: Path) -> dict[str, float]:
    rows = read(resolve(str(folder))).frames["hours"]
    return rows.groupby("client_id")["hours"].sum().to_dict()


def test_both_sides_are_listed_whole_with_the_nearest(agency):
    rows = rows_of(agency)
    assert list(rows) == COLUMNS
    strange = rows[rows["what"] == STRANGER].set_index("name")
    assert list(strange.index) == ["Maple Leagl", "Our own agency"]
    assert strange.loc["Maple Leagl", ["client_id", "client", "rows", "tables"]].tolist() == [
        "C2",
        "Maple Legal Group",
        "2",
        "hours",
    ]
    assert strange.loc["Our own agency", "client_id"] == ""
    idle = rows[rows["what"] == IDLE].set_index("client_id")
    assert set(idle.index) == {"C2", "C3"}  # Willow was joined by its name
    assert idle["name"].to_dict() == {"C2": "Maple Leagl", "C3": ""}


def test_what_nobody_confirmed_is_asked_in_one_error(agency):
    with pytest.raises(ConfigError, match="nobody has confirmed: 1") as asked:
        read(resolve(str(agency)))
    assert "'Maple Leagl', 2 rows in hours: nearly 'Maple Legal Group' (C2)" in str(asked.value)
    say_strangers(agency, "refuse")
    with pytest.raises(DataError, match="1 row: Our own agency") as refused:
        read(resolve(str(agency)))
    assert "Maple" not in str(refused.value)  # it is asked about, and not refused


def test_a_confirmed_name_is_its_client_and_the_rest_is_left_out_and_counted(agency):
    confirm(agency, "Maple Leagl", "yes")
    assert hours_of(agency) == {"C1": 2, "C2": 4}
    notes = read(resolve(str(agency))).notes
    assert any("hours: 1 rows of 1" in note and "Our own agency" in note for note in notes)
    confirm(agency, "Our own agency", "yes", client="C3")  # a person knows better
    assert hours_of(agency) == {"C1": 2, "C2": 4, "C3": 9}


def test_the_other_side_can_be_confirmed_as_well(agency):
    rows = rows_of(agency)
    of_maple = (rows["what"] == IDLE) & (rows["client_id"] == "C2")
    rows.loc[of_maple, "confirmed"] = "Yes"
    rows.to_csv(agency / "crosswalk.csv", index=False)
    assert hours_of(agency) == {"C1": 2, "C2": 4}


def test_none_of_the_clients_is_a_stranger_still(agency):
    confirm(agency, "Maple Leagl", "no")
    assert hours_of(agency) == {"C1": 2}
    say_strangers(agency, "refuse")
    confirm(agency, "Our own agency", "no")
    with pytest.raises(DataError, match="is not in the clients table") as refused:
        read(resolve(str(agency)))
    assert 'strangers = "leave out"' in str(refused.value)


def test_what_was_confirmed_counts_in_the_fingerprint(agency):
    confirm(agency, "Maple Leagl", "no")
    before = read(resolve(str(agency))).hashes
    confirm(agency, "Maple Leagl", "yes")
    after = read(resolve(str(agency))).hashes
    assert before["clients"] == after["clients"] and before["hours"] != after["hours"]


def test_a_new_name_is_added_and_what_was_said_stays(agency):
    confirm(agency, "Maple Leagl", "no")
    (agency / "entries.csv").write_text(ENTRIES + "Okk Dental,ann,2023-07,1\n")
    done = CliRunner().invoke(cli, ["crosswalk", "--data", str(agency)])
    assert "yes or no: 1." in done.output
    rows = rows_of(agency)
    said = rows[rows["what"] == STRANGER].set_index("name")
    assert said.loc["Maple Leagl", "confirmed"] == "no"
    assert said.loc["Okk Dental", ["client_id", "confirmed"]].tolist() == ["C3", ""]


def test_names_in_a_plain_table_are_confirmed_too(tmp_path):
    (tmp_path / "clients.csv").write_text(CLIENTS)
    (tmp_path / "hours.csv").write_text(ENTRIES.replace("Client,User", "client_id,staff_id"))
    settings = 'cutoff = 2023-12-31\nrecords_begin = "all history"\n[source]\nfolder = "."\n'
    (tmp_path / "retention.toml").write_text(settings + 'crosswalk = "crosswalk.csv"\n')
    with pytest.raises(ConfigError, match="retention crosswalk writes it"):
        read(resolve(str(tmp_path)))
    (tmp_path / "retention.toml").write_text(settings)
    assert CliRunner().invoke(cli, ["crosswalk", "--data", str(tmp_path)]).exit_code == 0
    (tmp_path / "retention.toml").write_text(
        settings + 'crosswalk = "crosswalk.csv"\n[tables.hours]\nstrangers = "leave out"\n'
    )
    confirm(tmp_path, "Willow Plumbing", "yes")
    confirm(tmp_path, "Maple Leagl", "yes")
    assert hours_of(tmp_path) == {"C1": 2, "C2": 4}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"confirmed": "perhaps"}, "'perhaps'. Write yes"),
        ({"confirmed": "yes", "client_id": ""}, "lack a name or a client_id: 'Our own agency'"),
        ({"confirmed": "yes", "client_id": "C9"}, "does not have: 'C9'. Correct its column"),
    ],
)
def test_a_wrong_answer_is_told(agency, change, told):
    rows = rows_of(agency)
    rows.loc[rows["name"] == "Maple Leagl", "confirmed"] = "no"
    rows.loc[rows["name"] == "Our own agency", list(change)] = list(change.values())
    rows.to_csv(agency / "crosswalk.csv", index=False)
    with pytest.raises(ConfigError, match=told):
        read(resolve(str(agency)))


def test_what_a_spreadsheet_saves_is_read(agency):
    confirm(agency, "Maple Leagl", "YES")
    rows = rows_of(agency)
    rows.to_csv(agency / "crosswalk.csv", index=False, sep=";", encoding="utf-8-sig")
    assert hours_of(agency) == {"C1": 2, "C2": 4}


def test_one_name_of_two_clients_and_a_file_that_is_none_are_told(agency):
    rows = rows_of(agency)
    rows = pd.concat([rows, rows[rows["name"] == "Maple Leagl"].assign(client_id="C3")])
    rows["confirmed"] = "yes"
    rows[rows["name"] == "Maple Leagl"].to_csv(agency / "crosswalk.csv", index=False)
    with pytest.raises(ConfigError, match="one name to several clients: 'Maple Leagl'"):
        read(resolve(str(agency)))
    rows[["name"]].to_csv(agency / "crosswalk.csv", index=False)
    with pytest.raises(ConfigError, match="cannot be read as a crosswalk: it lacks what"):
        read(resolve(str(agency)))


def test_what_a_spreadsheet_would_run_is_text_and_comes_back(tmp_path):
    clients = pd.DataFrame({"client_id": ["C1"], "name": ["=Acme"]})
    updated(tmp_path / "x.csv", unmatched(clients, {"hours": {"=Acne": 3}}))
    assert "'=Acne" in (tmp_path / "x.csv").read_text()
    (tmp_path / "x.csv").write_text((tmp_path / "x.csv").read_text().replace(",\n", ",yes\n"))
    assert updated(tmp_path / "x.csv", unmatched(clients, {"hours": {"=Acne": 3}})) == 0


def test_names_are_compared_as_queries_compare_them(tmp_path):
    (tmp_path / "one.csv").write_text("x\n1\n")
    names = truth()["name"].unique().tolist()
    quoted = ", ".join("('" + name.replace("'", "''") + "')" for name in names)
    with ExitStack() as stack:
        files = Files({"one": (tmp_path / "one.csv", FileSettings(file="one.csv"))}, stack)
        query = f"SELECT n, plain_name(n) AS p FROM (VALUES {quoted}) t(n), one"
        rows = pd.concat(files.pieces("clients", query))
    assert [plain_words(name) for name in rows["n"]] == rows["p"].tolist()


def test_a_draft_writes_the_crosswalk_beside_it(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    text = next((EXPORTS / "harvest").iterdir()).read_text()
    text = text.replace("Willow Plumbing LLC", "Wilow Plumbing").replace("Pebble", "Peble")
    (folder / "time.csv").write_text(text)
    companies = next((EXPORTS / "hubspot_custom").iterdir())
    (folder / companies.name).write_bytes(companies.read_bytes())
    out = tmp_path / "retention.toml"
    done = CliRunner().invoke(cli, ["init", str(folder), "--out", str(out)])
    assert "crosswalk.csv is written" in done.output, done.output
    assert 'crosswalk = "crosswalk.csv"' in out.read_text()
    rows = rows_of(tmp_path)
    strange = rows[rows["what"] == STRANGER].set_index("name")
    assert strange.loc["Wilow Plumbing", "client"] == "Willow Plumbing LLC"
    lacking = rows[rows["what"] == IDLE]
    assert "Willow Plumbing LLC" in lacking["client"].tolist()
