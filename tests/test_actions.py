"""The one list to act on: every active client once, in one order, with why, whose and by when."""

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from conftest import HOSTILE, clients_of
from retention.data.schema import read_list
from retention.history.measures import FEATURES
from retention.history.spells import build_spells
from retention.lists import actions, decision, registry, views
from retention.lists.desk import Desk, desk_of
from retention.portfolio.book import Book
from retention.report import actions as shown
from retention.report.pages import Report, write_pages
from retention.score.phrases import phrase, phrases
from retention.settings import Settings
from retention.words import say, texts

CUTOFF = pd.Timestamp("2025-12-31")
FORMULA = "=1+1"


@pytest.fixture(scope="module")
def of_sample(sample_study):
    desk = desk_of(sample_study)
    lists = registry.made(desk)
    decided = decision.decide(desk.book.rows, lists, decision.why_nothing(desk))
    return desk, decided, actions.actions(decided, lists, desk)


def desk_with(clients: list[tuple], risks: pd.DataFrame | None = None) -> Desk:
    """The desk of an agency of which nothing is known but its clients."""
    rows = clients_of([row[:4] for row in clients]).assign(name=[row[4] for row in clients])
    spells = build_spells(rows, cutoff=CUTOFF.date(), records_begin=None)
    return Desk(Book(spells, {"clients": rows}, Settings(), CUTOFF), risks)


def made(desk: Desk) -> pd.DataFrame:
    lists = registry.made(desk)
    return actions.actions(decision.decide(desk.book.rows, lists), lists, desk)


@pytest.mark.slow
def test_every_active_client_is_on_it_once_and_counts_add_up(of_sample):
    desk, decided, table = of_sample
    assert sorted(table["client_id"]) == sorted(desk.book.rows["client_id"])
    counts = views.counts(decided).set_index("to_do")["clients"]
    mine = table["do"].map(registry.action_words).value_counts()
    assert mine.to_dict() == counts.to_dict()
    noticed = int(desk.book.rows["noticed"].sum())
    assert (table["do"] == shown.LEAVING).sum() == noticed > 0
    text = views.owner_words(decided, desk.book).text
    assert f"{len(table)} clients are active, {noticed} of them under notice" in text


@pytest.mark.slow
def test_the_order_is_the_day_then_the_money_at_risk(of_sample, tmp_path):
    desk, decided, table = of_sample
    money = table["client_id"].map(desk.at_risk).fillna(-np.inf)
    keys = list(zip(table["due"].replace("", "9999"), -money, table["client_id"], strict=True))
    assert keys == sorted(keys)
    known = table.dropna(subset=["risk", "margin_a_month"])
    product = known["risk"] * known["margin_a_month"]
    assert np.allclose(product, known["client_id"].map(desk.at_risk), rtol=0.01, atol=0.1)
    week = table["due"].between("0", "2026-01-07")
    assert (table["due_this_week"] == "yes").tolist() == week.tolist()
    assert week.tolist() == sorted(week, reverse=True) and 0 < week.sum() < len(table)
    assert set(table.loc[table["due"] == "", "do"]) <= {registry.NONE, "wait"}
    registry.save(actions.in_order(decided, desk), str(tmp_path))
    place = {client: at for at, client in enumerate(table["client_id"])}
    for path in (tmp_path / "lists").glob("*.csv"):
        at = read_list(path)["client_id"].map(place)
        assert at.is_monotonic_increasing, path.name


@pytest.mark.slow
def test_it_says_why_in_at_most_three_phrases_that_raise_the_risk(of_sample):
    desk, _, table = of_sample
    parts = table["why"].str.split(actions.BETWEEN)
    assert parts.map(len).max() == actions.MOST and (table["why"] != "").mean() > 0.8
    assert not table["why"].str.contains("up: |down: |likely to leave").any()
    saved = table[table["do"] == "save"].merge(desk.raising, on="client_id")
    assert saved["client_id"].nunique() > 0
    assert (table.loc[table["do"] == "hand_over", "risk"]).isna().all()


def test_phrases_are_of_features_and_each_can_be_said():
    named = {key.split(".")[1] for key in texts() if key.startswith("features.")}
    assert named <= set(FEATURES)
    for name in FEATURES:
        for value in (-0.5, 0.0, 1.0, 7.25):
            words = phrase(name, value)
            assert not re.search("[{}]|  ", words), (name, value, words)
            if f"features.{name}.no" in texts():
                assert not re.search(r"-\d", words), (name, value, words)
            assert words or (FEATURES[name].get("unit"), value) == ("ratio", 0.0)
    assert phrase("silent_3", 1.0) == "no survey reply for 3 months"
    assert phrase("silent_3", 0.5) == "50% of surveys not answered in 3 months"
    assert phrase("index_3", np.log(0.8)) == "results 20% under target"
    assert phrase("meeting_since", 1.0) == "no meeting for 1 month"
    assert phrase("industry", "=x") == "industry =x"


def test_what_lowers_the_risk_is_no_reason():
    reasons = pd.DataFrame(
        {
            "client": [1, 0, 1],
            "moves": [0.9, -2.0, 0.2],
            "name": ["monthly", "monthly", "first_half_year"],
            "value": [1.0, 0.0, 1.0],
        }
    )
    found = phrases(reasons, pd.Series(["a", "b"]))
    assert found.to_numpy().tolist() == [["b", "month-to-month"], ["b", "in first 6 months"]]
    assert phrases(reasons.head(0), pd.Series([], dtype=object)).empty


def test_clients_alone_and_no_client_at_all():
    gone = ("a", "2024-01-01", "2025-05-31", 12, "Ann")
    soon = ("b", "2024-01-01", "2026-01-05", 12, FORMULA)
    stays = ("c", "2024-01-01", None, 12, HOSTILE)
    table = made(desk_with([gone, soon, stays]))
    assert table[["client", "do", "due", "due_this_week"]].to_numpy().tolist() == [
        [FORMULA, "hand_over", "2026-01-05", "yes"],
        [HOSTILE, "none", "", "no"],
    ]
    assert table[["risk", "margin_a_month"]].isna().all(axis=None)
    empty = made(desk_with([gone]))
    assert empty.empty and list(empty.columns) == actions.COLUMNS


def test_without_hours_the_fee_orders_and_no_margin_is_shown():
    clients = [(who, "2024-01-01", None, 1, None) for who in "abc"]
    risks = pd.DataFrame(
        {
            "client_id": ["a", "b", "c"],
            "risk": [0.1, 0.2, 0.3],
            "low": 0.0,
            "high": 0.5,
            "margin_a_month": [1000.0, 2000.0, np.nan],
            "contact": "yes",
            "act_by": "2026-01-31",
            "reasons": "x",
        }
    )
    table = made(desk_with(clients, risks))
    assert table["client_id"].tolist() == ["b", "a", "c"] and table["margin_a_month"].isna().all()
    assert table["do"].tolist() == ["save"] * 3 and table["why"].tolist() == [""] * 3


def of_page(folder: Path) -> Path:
    """A run's folder with a hand-made list of six clients, and its page."""
    rows = pd.DataFrame(
        [
            ("1", FORMULA, "care", "“slow” · month-to-month", 0.4, 500.0, "Nora A.", "2026-01-07"),
            ("2", HOSTILE, "re_price", "costs 40 a month", 0.1, -40.0, "Ben Q.", "2026-01-07"),
            ("3", "Birch", "care", "", 0.05, 14520.5, "", "2026-01-30"),
            ("4", "Cedar", "hand_over", "leaves", np.nan, np.nan, "Nora A.", "2026-02-28"),
            ("5", "Alder", "none", "", 0.0, 10.0, "Nora A.", ""),
            ("6", "s10", "none", "in first 6 months", 0.01, np.nan, "Ben Q.", ""),
        ],
        columns=actions.COLUMNS[:-2],
    )
    week = rows["due"].between("0", "2026-01-07").map({True: "yes", False: "no"})
    actions.save(rows.assign(due_this_week=week, currency="USD"), str(folder))
    write_pages([], folder, Report())
    return folder / shown.PAGE


def test_the_page_holds_every_client_and_escapes_what_is_in_it(tmp_path):
    text = of_page(tmp_path).read_text()
    assert HOSTILE not in text and text.count("<tr data-owner=") == 6
    assert "2 of 6 active clients are due this week; 1 gave notice." in text
    assert "(money in USD)" in text and 'data-sort="14520.5">14,520</td>' in text
    assert say("lists.alone.nobody_in_charge") in text and "07\u00a0Jan\u00a02026" in text
    due = shown.due(shown.page(tmp_path))
    assert [row["client"] for row in due] == [FORMULA, HOSTILE]
    assert due[0]["risk"] == "40%" and due[0]["action"] == registry.action_words("care")
    assert "'=1+1" in (tmp_path / shown.PATH).read_text()


def test_without_a_list_there_is_no_page_and_an_empty_one_says_so(tmp_path):
    write_pages([], tmp_path, Report())
    assert shown.page(tmp_path) is None and shown.due(shown.page(tmp_path)) == []
    assert not (tmp_path / shown.PAGE).exists()
    actions.save(pd.DataFrame(columns=actions.COLUMNS), str(tmp_path))
    write_pages([], tmp_path, Report())
    text = (tmp_path / shown.PAGE).read_text()
    assert say("lists.actions.nobody") in text and "<table" not in text


CHROMIUM = shutil.which("chromium")


needs_browser = [
    pytest.mark.skipif(not CHROMIUM, reason="needs a browser: apt-get install chromium"),
    pytest.mark.slow,
]


def opened(browser, path: Path, mark: str = "", **how):
    context = browser.new_context(viewport={"width": 390, "height": 844}, **how)
    page, wrong = context.new_page(), []
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: wrong.append("a dialog opened"))
    page.goto(path.as_uri() + mark)
    return page, wrong


def names(page) -> list[str]:
    """The clients whose rows are shown."""
    rows = page.locator("tbody tr").all()
    return [row.locator(".who").inner_text() for row in rows if row.is_visible()]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_filters_links_and_chips_on_a_phone(browser, tmp_path, scheme):
    from axe_playwright_python.sync_playwright import Axe

    path = of_page(tmp_path)
    page, wrong = opened(browser, path, "#owner=Nora A.", color_scheme=scheme)
    count, owner = page.locator(".count"), page.locator("label:not(.order) select")
    assert names(page) == [FORMULA, "Cedar", "Alder"] and count.text_content() == "3 of 6 clients"
    assert page.get_by_text("28\u00a0Feb\u00a02026").is_visible()
    assert page.locator("tbody tr:visible .owner").first.is_visible()
    assert page.get_by_role("button", name="All actions (3)").is_visible()
    assert page.get_by_role("button", name="care (0)").count() == 0
    page.get_by_role("button", name="care (1)").click()
    assert names(page) == [FORMULA] and count.text_content() == "1 of 6 clients"
    owner.select_option("")
    assert names(page) == [FORMULA, "Birch"] and page.url == path.as_uri()
    assert page.get_by_role("button", name="care (2)").is_visible()
    page.get_by_label("Due this week (1)").check()
    assert names(page) == [FORMULA]
    page.get_by_role("button", name="All actions").click()
    assert names(page) == [FORMULA, HOSTILE]
    page.get_by_label("Due this week (2)").uncheck()
    owner.select_option("Ben Q.")
    assert page.url.endswith("#owner=Ben%20Q.") and names(page) == [HOSTILE, "s10"]
    for mark in ("#owner=Nobody%20here", "#owner=%", "#main"):
        page.evaluate("mark => { location.hash = mark }", mark)
        page.wait_for_function("document.querySelector('.count').textContent.startsWith('6 of')")
    sort = page.get_by_label("Sort by")
    for by, first in (("Margin a month", "Birch"), ("Churn risk", FORMULA), ("Client", HOSTILE)):
        sort.select_option(by)
        assert names(page)[0] == first
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 390
    axe = Axe().run(page)
    assert axe.violations_count == 0, axe.generate_report()
    assert wrong == []
    page.context.close()


def test_what_is_copied_runs_in_no_spreadsheet(browser, tmp_path):
    page, wrong = opened(
        browser, of_page(tmp_path), permissions=["clipboard-read", "clipboard-write"]
    )
    page.get_by_label("Due this week (2)").check()
    page.get_by_role("button", name="Copy for a spreadsheet").click()
    page.get_by_text("2 rows copied").wait_for()
    lines = page.evaluate("navigator.clipboard.readText()").split("\n")
    assert [line.split("\t")[0] for line in lines] == ["Client", "'=1+1", HOSTILE]
    assert lines[1].split("\t")[3:] == ["0.4", "500", "Nora A.", "2026-01-07"]
    assert lines[2].split("\t")[4] == "-40" and wrong == []
    page.context.close()


def test_without_script_it_is_a_plain_table(browser, tmp_path):
    page, wrong = opened(browser, of_page(tmp_path), java_script_enabled=False)
    assert len(names(page)) == 6 and not page.locator(".tools").is_visible()
    assert page.get_by_role("link", name="as CSV").is_visible() and wrong == []
    page.context.close()


for test in (
    test_filters_links_and_chips_on_a_phone,
    test_what_is_copied_runs_in_no_spreadsheet,
    test_without_script_it_is_a_plain_table,
):
    test.pytestmark = [*getattr(test, "pytestmark", []), *(mark.mark for mark in needs_browser)]
