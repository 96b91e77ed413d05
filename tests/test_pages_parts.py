"""What pages are made of: results that show and hand over themselves, tables that never execute,
gate and fees.
"""

import json
import re

import nbformat
import pandas as pd
import pytest

from conftest import clients_of
from retention.claims import gate, term_curves, term_fees
from retention.history.spells import build_spells
from retention.numbers import quantity
from retention.report.index import _trend, chosen, course, lists, shown_tile
from retention.report.sections import arrange, leave_out_empty_sections, short_of
from retention.results import (
    MIME,
    Estimate,
    Estimates,
    Finding,
    Findings,
    Listing,
    collect,
    to_json,
)
from retention.show.survival import effect_words
from retention.words import key_of, say

NAMED = "<img src=x onerror=alert(1)>"


def test_tables_escape_whatever_is_in_them():
    shown = Listing(pd.DataFrame({"na<b>me": [NAMED], "n": [3]}), "A & B").html()
    assert NAMED not in shown and "&lt;img" in shown and "A &amp; B" in shown and "<b>" not in shown
    assert (
        '<th scope="col" data-sort="text">' in shown
        and '<td class="num" data-sort="3">3</td>' in shown
    )
    assert "nothing to list" in Listing(pd.DataFrame(), "Empty").html()


def test_cells_carry_what_they_sort_by():
    rows = pd.DataFrame(
        {
            "act_by": pd.to_datetime(["2026-01-07", None]),
            "margin": [14520.0, -0.0001],
            "share": [0.257, float("inf")],
            "estimate": [Estimate.of("A1", "x", "all", (0.5, 0.4, 0.6), "share").words, "–"],
            "who": ["Ann", ""],
        }
    )
    shown = Listing(rows, "All", {"share": ".0%", "margin": ",.2f"}).html()
    cells = re.findall(r'data-sort="([^"]*)">([^<]*)</td>', shown)
    assert cells == [
        *(("2026-01-07", "07\u00a0Jan\u00a02026"), ("14520", "14,520.00"), ("0.257", "26%")),
        *(("0.5", "50.0% (40.0% to 60.0%)"), ("Ann", "Ann"), ("", "–"), ("-0.0001", "0.00")),
        *(("Infinity", "no limit"), ("", "–"), ("", "")),
    ]
    heads = re.findall(r'scope="col" data-sort="(\w+)"', shown)
    assert heads == ["text", "number", "number", "number", "text"]


def test_groups_stand_side_by_side():
    rows = tuple(Estimate("A1", "share", g, 0.5, 0.4, 0.6, 0.95, "share", 9, 3) for g in ("a", "b"))
    assert Estimates(rows, "c").frame().to_dict("records") == [
        {"quantity": "share"} | dict.fromkeys("ab", "50.0% (40.0% to 60.0%)")
    ]


def test_what_is_not_finite_is_null():
    row = Estimate("A1", "median", "g", float("inf"), float("nan"), 2.0, 0.95, "months", 3, 1)
    bundle = Estimates((row,), "caption")._repr_mimebundle_()
    assert bundle[MIME]["estimates"][0]["estimate"] is None
    assert "not reached" in bundle["text/html"] and "not reached to" not in bundle["text/html"]
    assert json.loads(to_json({"x": float("nan")})) == {"x": None}


def test_collect_keeps_order_and_says_nothing_twice():
    finding = Finding("data", "Once.", "warning")
    payloads = [finding.payload(), Findings((finding, Finding("A1", "Two."))).payload()]
    found = collect(payloads, "2025-12-31-abc", "2025-12-31")
    assert [row["text"] for row in found["findings"]] == ["Once.", "Two."]


def test_the_gate_counts_add_up(sample_study):
    spells = sample_study.spells
    head = gate.counts(spells, sample_study.tables.frames["clients"])["count"]
    text = gate.enough(spells).text
    assert key_of(text).startswith("data.enough.yes:") and "206 of the month-to-month" in text
    assert key_of(gate.enough(spells.head(15)).text).startswith("data.enough.not_yet:")
    kinds = gate.ends_by_kind(spells)
    assert kinds["ends"].sum() == head["ended"] and kinds["share"].sum() == pytest.approx(1)
    follow = gate.follow_up_by_term(spells)
    assert follow["engagements"].sum() == len(spells) == head["engagements"]
    flow = gate.starts_and_ends(spells, sample_study.records_begin)
    assert flow["ended"].sum() == head["ended"]


def test_absent_tables_and_missing_values_are_told(sample_study):
    frames = dict(sample_study.tables.frames)
    assert [key_of(text) for text in gate.absent(frames)["adding"]] == [
        "data.absent.columns:referred_by",
        "data.absent.columns:known_from",
    ]
    del frames["surveys"]
    frames["clients"] = frames["clients"].drop(columns=["single_contact", "champion"])
    adding = [key_of(text) for text in gate.absent(frames)["adding"]]
    assert "data.absent.table:surveys" in adding and "data.absent.table:contracts" not in adding
    assert "data.absent.columns:single_contact, champion" in adding
    missing = gate.missing_by_field(sample_study.tables.frames).set_index("column")["missing"]
    assert missing["clients.end_initiator"] == sample_study.tables.frames["clients"][
        "end_initiator"
    ].isna().sum() - (sample_study.tables.frames["clients"]["end_date"].isna().sum())


def paying(*rows):
    return build_spells(
        clients_of(list(rows), ("fee_pct",)), cutoff=pd.Timestamp("2024-12-31").date()
    )


def test_fees_by_hand():
    assert term_fees.fee_departures(
        paying(("a", "2024-01-01", None, 1, 9.0), ("b", "2024-01-01", None, 1, 12.0))
    ).empty
    rows = [(f"m{i}", "2024-01-01", None, 1, 10.0) for i in range(3)]
    spells = paying(
        *rows, ("low", "2024-01-01", None, 1, 9.0), ("gone", "2024-01-01", "2024-03-31", 1, 5.0)
    )
    table = term_fees.fee_table(spells).iloc[0]
    assert (table["clients"], table["usual_fee"], table["published_fee"], table["departures"]) == (
        5,
        10.0,
        10.0,
        2,
    )
    listed = term_fees.fee_departures(spells)
    assert listed["client"].tolist() == ["low"] and listed["monthly_difference"].tolist() == [-10.0]


def test_without_fees_the_page_says_what_they_would_answer():
    spells = paying(("a", "2024-01-01", None, 1, None)).drop(columns="fee_pct")
    assert "fee_pct" in term_fees.fee_estimates(spells).text
    assert term_fees.fee_departures(spells).empty


def test_words_for_charts(sample_study):
    assert "After a year: month-to-month 39.1%" in term_curves.survival_words(
        term_curves.survival_estimates(sample_study.spells)
    )
    assert "fixed term 28.6% in month 12" in term_curves.hazard_words(
        term_curves.hazard_by_month(sample_study.spells)
    )
    assert quantity(float("nan"), "share") == "–"


def test_sections_with_nothing_in_them_are_left_out_and_named():
    def code(html: str):
        output = nbformat.v4.new_output("display_data", {"text/html": html})
        return nbformat.v4.new_code_cell("x", outputs=[output])

    nothing, something = (
        Listing(pd.DataFrame(), "Empty").html(),
        Listing(pd.DataFrame({"a": [1]}), "Full").html(),
    )
    text = nbformat.v4.new_markdown_cell
    cells = [
        text("# Title?"),
        code(nothing),
        text("## Empty\n\nWords."),
        code(nothing),
        code(nothing),
    ]
    cells += [text("## Half"), code(nothing), code(something), text("## Words alone\n\nStay.")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    leave_out_empty_sections(notebook)
    kept = [cell.source.splitlines()[0] for cell in notebook.cells if cell.cell_type == "markdown"]
    assert kept == ["# Title?", "## Half", "## Words alone", "## Left out"]
    assert notebook.cells[-1].source.endswith("- Empty")
    whole = nbformat.v4.new_notebook(cells=[text("# Title?"), text("## Full"), code(something)])
    leave_out_empty_sections(whole)
    assert len(whole.cells) == 3


def test_charts_of_effects_in_words():
    rows = pd.DataFrame({"choice": ["as planned", "b", "none"], "estimate": [0.3, -0.1, 1.0]})
    rows[["low", "high"]] = [(0.1, 0.5), (-0.3, 0.1), (float("nan"), 2.0)]
    assert effect_words(rows, "difference") == (
        "as planned: 0.30 (0.10 to 0.50). Other ways lie between -0.10 and -0.10. "
        "Of all 2, 1 includes no difference."
    )
    assert effect_words(rows.head(1)) == "as planned: 0.30 (0.10 to 0.50)."
    assert effect_words(rows.tail(1)) == "Nothing could be computed."


def result(*payloads, html="<p>x</p>", **more):
    data = [{"text/html": html, **({MIME: payload} if payload else {})} for payload in payloads]
    outputs = [
        nbformat.v4.new_output("display_data", each) for each in data or [{"text/html": html}]
    ]
    return nbformat.v4.new_code_cell("x", outputs=outputs, metadata=more)


def test_a_page_shows_its_pictures_first_and_folds_every_section():
    text = nbformat.v4.new_markdown_cell
    figure = "<figure>{}</figure>"
    cells = [
        text("# Title?\n\nWhy it is asked."),
        result(html="<p>for the head</p>", tags=["answer"]),
        result(html="<p>opening</p>"),
        text('## What is "it", & why?\n\nWords.'),
        result(html=figure.format("plain")),
        text("## Drawn"),
        result(html=figure.format("large"), tags=["first"]),
        result(html=figure.format("little"), tags=["small"]),
        text("## Limits"),
        result(html="<p>made of</p>", tags=["provenance"]),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells)
    arrange(notebook)
    shown = [
        cell.source if cell.cell_type != "code" else cell.outputs[0].data["text/html"]
        for cell in notebook.cells
    ]
    assert shown[:5] == [
        '<div class="pictures">',
        figure.format("large"),
        '<div class="pair">',
        figure.format("little"),
        "</div></div>",
    ]
    page = "\n".join(shown)
    assert "Title?" not in page and "for the head" not in page and "made of" not in page
    assert page.count("<details") == page.count("</details>") == 2  # nothing is left of two
    assert '<h2 id="what-is-it-why">What is &#34;it&#34;, &amp; why?</h2>' in page
    assert page.index("Why it is asked.") < page.index("opening") < page.index("Words.")


def test_a_picture_is_shown_once_where_the_first_has_nothing_to_show():
    picture = result(html="<figure>a</figure>", tags=["small"])
    nothing = result(html='<p class="finding empty" hidden></p>', tags=["first"])
    cells = [nbformat.v4.new_markdown_cell("# Title?"), nothing, picture]
    notebook = nbformat.v4.new_notebook(cells=cells)
    arrange(notebook)
    assert [cell.cell_type for cell in notebook.cells].count("code") == 2
    assert notebook.cells[0] is picture


def test_a_section_says_its_result_beside_its_heading():
    share = Estimate.of("A1", "gone", "all", (0.25,), "share").payload()
    unknown = share | {"estimate": None}
    judged = {"verdict": "holds", "fragile": True}
    assert short_of([result({"estimates": [unknown, share]})]) == "gone: 25.0%"
    assert short_of([result({"estimates": [share]}, {"claims": [judged]})]) == "holds, fragile"
    rows = Listing(pd.DataFrame({"a": [1, 2, 3]}), "Rows").html()
    assert short_of([result(html=rows)]) == "3 rows"
    assert short_of([result()]) == ""
    clients = Listing(pd.DataFrame({"client": ["a", "b"]}), "Rows").html()
    assert short_of([result(html=clients)]) == "2 clients"
    picture = '<figure><div class="title">A &amp; b</div></figure>'
    assert short_of([result(html=rows)], [result(html=picture)]) == "A & b"
    calm = Finding("risk", say("churn_risk.signing.no_size", counted="x"))._repr_mimebundle_()
    assert short_of([result(calm[MIME])]) == "no size"


def test_a_section_says_what_its_cell_is_tagged_for():
    def of(quantity, value, group="all"):
        return Estimate.of("A1", quantity, group, (value,), "share").payload()

    two = [of("gone", 0.25), of("stays", 0.5, "a"), of("stays", 0.75, "b")]
    assert short_of([result({"estimates": two})]) == "gone: 25.0%"
    tagged_cell = result({"estimates": two}, tags=["short:stays"])
    assert short_of([tagged_cell], [tagged_cell]) == "stays: a 50.0%, b 75.0%"
    many = result({"estimates": [*two, of("stays", 0.9, "c")]}, tags=["short:stays"])
    assert short_of([many], [many]) == "stays: a 50.0%, b 75.0%"
    checks = {"kind": "checks", "disagree": 3, "of": 7, "names": []}
    asked = result(html="<table><tr></tr></table>", tags=["short:checks"])
    assert short_of([asked], [asked], [{"checks": [checks]}]) == "3 of 7 checks disagree"


def test_tiles_are_five_at_most_and_others_stand_in_for_those_that_lack():
    def tile(name, **more):
        known = {"low": None, "high": None, "before": None, "series": [], "good": 1, "about": "now"}
        return known | {"name": name, "label": name, "value": 0.5, "unit": "share"} | more

    names = ("ended", "leaving", "nps", "fees", "signed", "active")
    assert [t["name"] for t in chosen(map(tile, names))] == [
        "fees",
        "nps",
        "active",
        "leaving",
        "signed",
    ]
    shown = shown_tile(tile("retained", low=0.4, high=0.6, before=0.45))
    assert (shown["value"], shown["note"]) == ("50%", "now · was 45% · 95% CI 40% to 60%")
    assert _trend(tile("x", low=0.4, high=0.6, before=0.45)) == ""  # chance alone could do that
    assert _trend(tile("x", low=0.4, high=0.6, before=0.3)) == "better"
    assert _trend(tile("x", before=0.3, good=-1)) == "worse"
    assert course([1.0, 1.0]) == "" and course([1.0, 1.0, 1.0]).split()[0] == "3.0,27.0"


def test_the_index_shows_the_head_of_each_list(tmp_path):
    assert lists(tmp_path) == []
    (tmp_path / "lists").mkdir()
    rows = pd.DataFrame(
        {"client_id": ["a"] * 7, "client": [NAMED] * 7, "risk": 0.431, "low": 0.25, "high": 0.6}
    )
    rows.assign(at_stake=5227.89, contact="yes").to_csv(tmp_path / "scores.csv", index=False)
    pd.DataFrame({"client_id": ["x"], "why": ["paid late"]}).to_csv(
        tmp_path / "lists" / "let_go.csv", index=False
    )
    pd.DataFrame({"client_id": []}).to_csv(tmp_path / "lists" / "save.csv", index=False)
    first, second = lists(tmp_path)
    assert (first["path"], first["count"], first["html"].count("<tr>")) == ("scores.csv", 7, 6)
    assert (
        "43% (of 100 scored like this, 25 to 60 leave)" in first["html"]
        and "5,228" in first["html"]
    )
    assert (
        NAMED not in first["html"] and "&lt;img" in first["html"] and "Contact" not in first["html"]
    )
    assert (second["path"], second["count"]) == ("lists/let_go.csv", 1) and "Let go" in second[
        "html"
    ]


def test_a_long_table_is_cut_and_says_so():
    shown = Listing(pd.DataFrame({"x": range(301)}), "Long", file="x.csv").html()
    assert (
        "Long (the first 300 of 301 rows; all are in x.csv)" in shown and shown.count("<tr>") == 301
    )
    assert "first" not in Listing(pd.DataFrame({"x": range(300)}), "Short").html()
