"""Counts of what happened are whole: every page, list and sentence counts the same clients by one
definition.
"""

import re
from pathlib import Path

import pandas as pd
import pytest
from bs4 import BeautifulSoup

from conftest import clients_of
from retention import open_study
from retention.claims import gate
from retention.data.schema import read_list, write_csv
from retention.history import clients_now, status
from retention.lists import actions, decision, views
from retention.lists.desk import Desk
from retention.money import retained
from retention.numbers import DASH, day_words
from retention.portfolio import healthy
from retention.portfolio.book import Book
from retention.words import key_of

ALL = 'cutoff = 2024-12-20\nrecords_begin = "all history"\nend_grace_days = 0\n'
STAYS = 40  # clients


def some_agency(end=lambda n, start: None) -> list[tuple]:
    """Rows (id, start, end, term) of forty clients; `end` gives the end from a number and a
    start.
    """
    starts = pd.date_range("2021-03-05", periods=STAYS, freq="31D")
    return [
        (f"c{n:02d}", start, end(n, start), (1, 6, 12)[n % 3]) for n, start in enumerate(starts)
    ]


def in_months(start: pd.Timestamp, months: int) -> pd.Timestamp:
    return start + pd.DateOffset(months=months) - pd.Timedelta(days=1)


def early_and_late(n: int, start: pd.Timestamp) -> pd.Timestamp | None:
    """Each third client is gone after some months; each fourth of the others leaves in the month
    the cut-off cuts.
    """
    if n % 3 == 0:
        return in_months(start, 4 + n % 7)
    return pd.Timestamp("2024-12-01") + pd.Timedelta(days=n % 17) if n % 4 == 0 else None


def renewed() -> list[tuple]:
    """A row a renewal with short pauses; some rows start after the cut-off."""
    rows = []
    for who, start, _, _ in some_agency():
        for renewal in range(3 + int(who[1:]) % 4):
            begin = (
                start + pd.DateOffset(months=6 * renewal) + pd.Timedelta(days=20 * (renewal > 0))
            )
            rows.append((who, begin, in_months(start, 6 * (renewal + 1)), 6))
    return rows


TENURE = """cutoff = 2024-11-30
[tables.clients]
tenure_months = "age"
ended = { column = "left", true = "yes" }
snapshot_date = 2024-12-20
"""
NOTICE = ALL + '[dates]\nends_ahead = "notice"\n'
ODD = {
    "ends in the month that the cut-off cuts": (some_agency(early_and_late), ALL),
    "records that begin late": (
        some_agency(early_and_late),
        ALL.replace('"all history"', "2022-02-10"),
    ),
    "a row a renewal": (renewed(), NOTICE),
    "everybody gone": (some_agency(lambda n, start: in_months(start, 1 + n % 3)), ALL),
    "everybody under notice": (some_agency(lambda n, start: pd.Timestamp("2025-01-15")), NOTICE),
    "nobody ever left": (some_agency(), ALL),
}


def written(folder: Path, rows: list[tuple], settings: str) -> Path:
    write_csv(clients_of(rows), folder / "clients.csv")
    (folder / "retention.toml").write_text(settings)
    return folder


def adds_up(study) -> None:
    """Every count of every page against the engagements themselves."""
    spells, last = study.spells, pd.Timestamp(study.cutoff)
    gone, lost = int(spells["gone"].sum()), int(status.lost(spells).sum())
    count = gate.counts(spells, study.tables.frames["clients"])["count"]
    whole = count["engagements"]
    assert whole == len(spells) == count["active"] + count["ended"]
    assert count["lost"] == lost
    assert count["ended"] == gone == spells["ended"].sum() + spells["cut_short"].sum()
    text = gate.headline(spells, study.cutoff, study.newest_date()).text
    assert key_of(text).startswith(f"data.headline.followed:{gone},{whole},{lost},")
    assert gate.ends_by_kind(spells)["ends"].sum() == gone
    terms = gate.follow_up_by_term(spells)
    assert (terms["engagements"].sum(), terms["left_by_choice"].sum()) == (whole, lost)
    flow = gate.starts_and_ends(spells, study.records_begin)
    assert (flow["started"].sum(), flow["ended"].sum()) == (
        (spells["entry_months"] == 0).sum(),
        gone,
    )
    present = clients_now.present(study.panel, last)
    active = spells.loc[status.active(spells), "client_id"].nunique()
    assert len(present) == spells.loc[status.staying(spells), "client_id"].nunique()
    assert len(present) + clients_now.under_notice(study.panel) == active
    book = Book(spells, study.tables.frames, study.settings, last)
    assert len(book.rows) == active
    table = decision.decide(book.rows, {}, decision.why_nothing(Desk(book)))
    assert sorted(table["client_id"]) == sorted(book.rows["client_id"])
    one_answer(study)
    if study.is_snapshot:
        return
    assert healthy.quarters(spells, last, 100).drop(columns="quarter").to_numpy().sum() == gone
    year = healthy.last_year(book)
    began = last - pd.DateOffset(years=1)
    assert year["kind"].notna().sum() == (spells["gone"] & (spells["end_date"] > began)).sum()
    assert year["at_start"].sum() == status.there_on(spells, began).sum()
    kept = [
        row
        for row in retained.retained(spells, study.money, study.cutoff).rows
        if row.key[1] == "economics.retained.clients"
    ]
    left = [
        row
        for row in healthy.churn(year).rows
        if (key_of(row.name), key_of(row.group))
        == ("portfolio.ends.all", "portfolio.churn.clients")
    ]
    if kept and kept[0].key[2] == "economics.retained.lately":
        assert kept[0].estimate + left[0].estimate == pytest.approx(1)


def one_answer(study) -> None:
    """Of each client one margin and one day, whichever list or page says it."""
    plan = actions.plan_of(study)
    book, whole = plan.desk.book, actions.chosen(study)
    assert whole["client_id"].tolist() == plan.table["client_id"].tolist()
    acts = actions.actions(plan.table, plan.lists, plan.desk).set_index("client_id")
    due = whole.set_index("client_id")["due"].dt.strftime("%Y-%m-%d").fillna("")
    assert due.to_dict() == acts["due"].to_dict()
    monthly = book.monthly["margin"].astype(float)
    stand = study.standing
    known = stand["margin"].dropna()
    assert known.to_dict() == pytest.approx(monthly.reindex(known.index).to_dict())
    assert acts["margin_a_month"].notna().sum() == len(monthly) == len(known)
    assert stand["act_by"].to_dict() == book.ends["notice_by"].to_dict()
    scores = study.risk[2]
    if len(scores):
        of = scores.set_index("client_id")
        assert (of["act_by"] == stand["act_by"].dt.strftime("%Y-%m-%d").reindex(of.index)).all()
        both = acts["margin_a_month"].dropna().reindex(of.index).dropna()
        assert of.loc[both.index, "margin_a_month"].to_dict() == pytest.approx(both.to_dict())
        waiting = acts[(acts["risk"] >= study.settings.limits["at_risk"]) & (acts["do"] == "none")]
        assert waiting["why"].str.startswith("after the").all()
    costly = acts["margin_a_month"] < 0
    done, _ = views.for_costly(plan.table, book)
    if len(monthly):
        assert sum(int(words.fields["count"]) for words in done) == costly.sum()


@pytest.mark.slow
@pytest.mark.parametrize("odd", ODD)
def test_every_count_adds_up_on_odd_agencies(odd, tmp_path):
    adds_up(open_study(str(written(tmp_path, *ODD[odd]))))


def test_every_count_adds_up_on_a_snapshot(tmp_path):
    rows = [(f"c{n}", n % 9, "yes" if n % 4 == 0 else "no", 1, 100) for n in range(40)]
    names = ["client_id", "age", "left", "contract_term_months", "monthly_ad_spend"]
    write_csv(pd.DataFrame(rows, columns=names), tmp_path / "clients.csv")
    (tmp_path / "retention.toml").write_text(TENURE)
    study = open_study(str(tmp_path))
    adds_up(study)
    assert study.spells["gone"].sum() == 10


def test_every_count_adds_up_on_the_sample(sample_study):
    adds_up(sample_study)
    spells = sample_study.spells
    raw = sample_study.tables.frames["clients"]
    ends = (raw["end_date"] <= pd.Timestamp(sample_study.cutoff)).sum()
    assert spells["gone"].sum() == ends - spells["rows_merged"].sum()


def test_rows_of_the_clients_table_are_all_accounted_for(tmp_path):
    study = open_study(str(written(tmp_path, *ODD["a row a renewal"])))
    rows, spells = study.tables.frames["clients"], study.spells
    later = (rows["start_date"] > pd.Timestamp(study.cutoff)).sum()
    assert len(rows) == len(spells) + spells["rows_merged"].sum() + later
    assert later > 0


@pytest.mark.slow
def test_every_page_says_one_thing_of_a_client_and_one_number_of_active_clients(shared_report):
    """Each table with clients and days has the days of the list to act on, in its order; whatever
    counts active clients gives the same number.
    """
    run = (shared_report / "out" / "latest").resolve()
    acts = read_list(run / "lists" / "actions.csv")
    due = dict(zip(acts["client"], map(day_of, acts["due"]), strict=True))
    order = {client: at for at, client in enumerate(acts["client"])}
    assert len(order) == len(acts)
    seen = []
    for path in sorted(run.glob("*.html")):
        page = BeautifulSoup(path.read_text("utf-8"), "html.parser")
        for table in page.find_all("table"):
            heads = [head.get_text() for head in table.find_all("th")]
            if not {"Client", "Due"} <= set(heads):
                continue
            who, day = heads.index("Client"), heads.index("Due")
            rows = [row.find_all("td") for row in table.tbody.find_all("tr")]
            clients = [cells[who].get_text() for cells in rows]
            assert [cells[day].get_text() for cells in rows] == [due[name] for name in clients]
            places = [order[name] for name in clients]
            assert places == sorted(places), path.name
            seen.append((path.name[:2], len(rows)))
        text = page.get_text(" ")
        active = re.findall(
            r"([\d,]+) (?:of the )?(?:active clients?|clients? (?:are|is) active)", text
        )
        assert {int(n.replace(",", "")) for n in active} <= {len(acts)}, path.name
    assert {name for name, _ in seen} == {"04", "07", "08", "ac", "in"}
    assert max(rows for _, rows in seen) == len(acts)


def day_of(text: str) -> str:
    return day_words(text) if text else DASH
