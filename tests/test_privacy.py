"""Codes for names: stable, keyed, everywhere; and rows on too few clients are not shown."""

import base64
import json
import re
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from retention import results
from retention.data import Tables, privacy
from retention.data.schema import TABLES
from retention.errors import ConfigError
from retention.report import publish
from retention.results import MIME, Estimate, Estimates, Listing
from retention.sample import write_sample
from retention.settings import Extra, PrivacySettings, Settings, TableSettings
from warm import retention

pytestmark = pytest.mark.slow  # minutes: such files come first, so that no core waits for them

KEY = b"a key of some length"
PRIVATE = Settings(privacy=PrivacySettings(pseudonyms=True, smallest=2))
ENVIRONMENT = {privacy.KEY: KEY.decode()}


def tables() -> Tables:
    clients = {
        "client_id": ["c1", "c2", "c3"],
        "name": ["Acme", None, "Beta"],
        "referred_by": [None, "c1", "c1"],
        "seller_id": ["s1", "s1", None],
        "industry": ["retail", "retail", "the bakery of Ann's aunt"],
        "end_reason": [None, "price", None],
        "note": ["call Bob", "call Bob", None],
        "monthly_ad_spend": [1.0, 2.0, 3.0],
    }
    staff = {"staff_id": ["s1", "s2"], "name": ["Ann", "Bob"], "role": ["seller", "rep"]}
    frames = {"clients": pd.DataFrame(clients), "staff": pd.DataFrame(staff)}
    return Tables(
        frames,
        {},
        {},
        ("Ann's list.csv: columns not used: Bob, Ann",),
        ("clients.name: trimmed (1 cell)",),
    )


def hidden(settings: Settings = PRIVATE, key: bytes = KEY) -> dict[str, pd.DataFrame]:
    noted = TableSettings(extra={"note": Extra(kind="text")})
    return privacy.without_names(
        tables(), settings.model_copy(update={"tables": {"clients": noted}}), key
    ).frames


def test_the_same_id_has_the_same_code_in_every_table_and_column():
    clients, staff = hidden()["clients"], hidden()["staff"]
    by_spend = clients.set_index("monthly_ad_spend")
    first, person = by_spend.at[1.0, "client_id"], by_spend.at[1.0, "seller_id"]
    assert re.fullmatch(r"client-[a-z2-7]{10}", first) and re.fullmatch(
        r"person-[a-z2-7]{10}", person
    )
    assert by_spend["referred_by"].tolist()[1:] == [first, first] or set(
        by_spend["referred_by"].dropna()
    ) == {first}
    assert by_spend.at[1.0, "name"] == first and pd.isna(by_spend.at[2.0, "name"])
    assert person in set(staff["staff_id"]) and (staff["name"] == staff["staff_id"]).all()
    assert by_spend.at[1.0, "note"] == by_spend.at[2.0, "note"] and by_spend.at[
        1.0, "note"
    ].startswith("text-")
    assert by_spend.at[2.0, "end_reason"] == "price"


def test_codes_stay_with_the_key_and_go_with_it():
    assert hidden()["clients"].equals(hidden()["clients"])
    assert not set(hidden()["clients"]["client_id"]) & set(
        hidden(key=b"another key, also long")["clients"]["client_id"]
    )
    assert privacy.fingerprint(KEY) != privacy.fingerprint(b"another key, also long")
    assert (
        privacy.fingerprint(KEY)
        not in privacy.coded(pd.Series(["", "key"]), "client", KEY).tolist()
    )


def test_the_order_of_rows_tells_nothing_of_names():
    ids = hidden()["clients"]["client_id"].tolist()
    assert ids == sorted(ids)


def test_a_word_that_few_clients_share_is_free_text():
    assert sorted(hidden()["clients"]["industry"]) == ["other", "retail", "retail"]
    every = PRIVATE.model_copy(update={"privacy": PrivacySettings(pseudonyms=True, smallest=0)})
    assert "the bakery of Ann's aunt" in set(hidden(every)["clients"]["industry"])


def test_the_study_s_own_words_for_a_client_stay_for_they_decide():
    said = pd.Series(["Debtor", "won\u2019t prepay", "Ann's nephew", "no champion inside"])
    kept = privacy._common(said, pd.Series(list("abcd")), 5)
    assert kept.tolist() == ["Debtor", "won\u2019t prepay", "other", "no champion inside"]


def test_notes_and_settings_name_no_file_and_no_word_of_the_input():
    assert privacy.without_names(tables(), PRIVATE, KEY).notes == ("columns not used: 2",)
    how = TableSettings(
        file="Ann.xlsx",
        sheet="Bob",
        values={"name": {"A": "Acme"}, "end_reason": {"too dear": "price"}},
    )
    plain = privacy.without_places(Settings(tables={"clients": how})).tables["clients"]
    assert (plain.file, plain.sheet, plain.values) == (
        "",
        "",
        {"end_reason": {"too dear": "price"}},
    )


def test_two_names_never_share_a_code(monkeypatch):
    monkeypatch.setattr(privacy, "_code", lambda key, kind, value: "client-same")
    with pytest.raises(ConfigError, match="Two names would get the same code"):
        privacy.coded(pd.Series(["c1", "c2"]), "client", KEY)


def test_where_the_key_comes_from(tmp_path, monkeypatch):
    monkeypatch.delenv(privacy.KEY, raising=False)
    monkeypatch.delenv(privacy.KEY_FILE, raising=False)
    out = tmp_path / "reports"
    out.mkdir()
    with pytest.raises(ConfigError, match="need a key of at least 16 characters"):
        privacy.read_key(PRIVATE, out)
    (tmp_path / "key").write_text(KEY.decode() + "\n")
    filed = Settings(base=tmp_path, privacy=PrivacySettings(pseudonyms=True, key_file="key"))
    assert privacy.read_key(filed, out) == KEY
    assert "key_file" not in filed.model_dump()["privacy"]
    with pytest.raises(ConfigError, match="must not lie in"):
        privacy.read_key(filed, tmp_path)
    monkeypatch.setenv(privacy.KEY_FILE, str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="cannot be read"):
        privacy.read_key(filed, out)
    monkeypatch.setenv(privacy.KEY, "short")
    with pytest.raises(ConfigError, match="need a key"):
        privacy.read_key(filed, out)


@pytest.fixture
def five():
    results.leave_out_below(5)
    yield
    results.leave_out_below(0)


def test_rows_on_few_clients_are_left_out_and_counted(five):
    rows = [
        Estimate.of("A1", "share", group, (0.5,), "share", (n, 1))
        for group, n in (("a", 4), ("b", 5), ("c", 0))
    ]
    shown = Estimates(tuple(rows), "Shares")
    bundle = shown._repr_mimebundle_()
    assert [row["group"] for row in bundle[MIME]["estimates"]] == [
        "b",
        "c",
    ]  # nothing is counted of c
    assert (
        "1 row of fewer than 5 clients left out" in bundle["text/html"]
        and "<th" in bundle["text/html"]
    )
    assert shown.says("share") == "b 50.0%, c 50.0%"
    table = Listing(
        pd.DataFrame({"Term": ["x", "y"], "Clients signed": [3, 30], "Gone": [0.1, 0.2]}),
        "Gone early",
    )
    html, text = (table._repr_mimebundle_()[f"text/{kind}"] for kind in ("html", "plain"))
    assert (
        '<td data-sort="x">x' not in html
        and '<td data-sort="y">y' in html
        and "x" not in text.split("\n", 1)[1].replace("text", "")
    )
    named = Listing(pd.DataFrame({"Client": ["c1"], "Spend": [3]}), "One row a client")
    assert "c1" in named.html() and "left out" not in named.html()


def test_by_itself_every_row_is_shown():
    assert PrivacySettings().fewest == 0 and PrivacySettings(pseudonyms=True).fewest == 5
    assert PrivacySettings(pseudonyms=True, smallest=0).fewest == 0
    table = Listing(pd.DataFrame({"Term": ["x"], "Clients": [1]}), "All")
    assert '<td data-sort="x">x' in table.html()


def secrets_of(folder: Path) -> set[str]:
    """Every id, name and free text of the input, and every word of an open list that fewer than
    five clients share.
    """
    told = set()
    for path in folder.glob("*.csv"):
        table, frame = TABLES[path.stem], pd.read_csv(path, dtype=str)
        kinds = {column.name: column.kind for column in table.columns}
        told |= {
            v
            for name in frame
            if kinds[name] in ("id", "text")
            for v in frame[name].dropna().unique()
        }
    return told


def found_in(folder: Path, secrets: set[str]) -> list[str]:
    """Which secrets stand in which file's name or text, or in what a link holds; any file not text
    is told.
    """
    found = []
    words = {secret for secret in secrets if re.fullmatch(r"[\w-]+", secret)}
    for path in (path for path in folder.rglob("*") if path.is_file()):
        try:
            text = f"{path.name}\n{read_as_text(path)}"
        except UnicodeDecodeError:
            found.append(f"{path.name} is no text")
            continue
        text = re.sub(r"base64,([A-Za-z0-9+/=]+)", held, text)
        text = text.replace("&#39;", "'").replace("&amp;", "&")
        found += [
            f"{path.name}: {word}" for word in sorted(words & set(re.findall(r"[\w-]+", text)))
        ]
        found += [f"{path.name}: {phrase}" for phrase in sorted(secrets - words) if phrase in text]
    return found


def read_as_text(path: Path) -> str:
    """A file's text: of a workbook its parts, of a calendar its lines unfolded."""
    if path.suffix == ".xlsx":
        with zipfile.ZipFile(path) as book:
            return "\n".join(book.read(name).decode("utf-8") for name in book.namelist())
    return path.read_bytes().decode("utf-8").replace("\r\n ", "")


def held(link: re.Match) -> str:
    """What a link or a picture holds of itself, as text."""
    return base64.b64decode(link[1]).decode("utf-8", "replace")


@pytest.fixture(scope="module")
def input_data(tmp_path_factory) -> Path:
    data = tmp_path_factory.mktemp("agency of Zebedee")
    write_sample(data, clients=80, seed=5)
    return data


@pytest.mark.long
def test_no_name_id_or_free_text_of_the_input_is_in_any_file_of_the_run(input_data, tmp_path):
    words = ("report", "--data", input_data, "--out", tmp_path, "--pseudonyms", "--quiet")
    done = retention(*words, **ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    secrets = {*secrets_of(input_data), str(input_data), "Zebedee", KEY.decode()}
    assert {"c0001", "Zebedee"} < secrets and any("K." in secret for secret in secrets), (
        "the search has what to find"
    )
    run = (tmp_path / "latest").resolve()
    assert found_in(tmp_path, secrets) == []
    assert publish.whole(run) and "client-" in (run / "scores.csv").read_text()
    told = json.loads((run / "run.json").read_text())
    assert (
        told["pseudonyms"] == privacy.fingerprint(KEY)
        and told["settings"]["privacy"]["pseudonyms"] is True
    )


def test_the_search_finds_what_is_planted(tmp_path):
    (tmp_path / "c0001.html").write_text(
        f'<a href="data:text/csv;base64,{base64.b64encode(b"c0002").decode()}"> Ines K. <b>We&#39;re off</b>'
    )
    assert found_in(tmp_path, {"c0001", "c0002", "Ines K.", "We're off"}) == [
        "c0001.html: c0001",
        "c0001.html: c0002",
        "c0001.html: Ines K.",
        "c0001.html: We're off",
    ]


def test_a_run_that_stops_writes_nothing_of_the_input_either(input_data, tmp_path):
    table = (input_data / "clients.csv").read_text()
    bad = tmp_path / "data"
    bad.mkdir()
    (bad / "clients.csv").write_text(table.replace("2021-", "2021/13/", 1))
    words = ("report", "--data", bad, "--out", tmp_path / "out", "--pseudonyms")
    done = retention(*words, **ENVIRONMENT)
    assert done.returncode == 2 and "is not a date" in done.stderr
    assert found_in(tmp_path / "out", secrets_of(input_data) | {str(tmp_path)}) == []
    assert "standard error" in (tmp_path / "out" / "failed" / "index.html").read_text()
    assert "is not a date" not in (tmp_path / "out" / "failed" / "index.html").read_text()
    keyless = retention(
        "report", "--data", input_data, "--out", tmp_path / "none", "--pseudonyms", RETENTION_KEY=""
    )
    assert (
        keyless.returncode == 2
        and "need a key" in keyless.stderr
        and not (tmp_path / "none" / "latest").exists()
    )
