"""What changed between two runs, counted by hand on runs of three or four clients."""

import json
from dataclasses import asdict

import pandas as pd
import pytest

from retention import runs
from retention.claims.judge import CLAIMS, judge
from retention.contrast import Contrast
from retention.data.schema import write_csv
from retention.errors import ConfigError
from retention.report import compare
from retention.report.index import write_index
from retention.results import Estimate, Finding, to_json
from retention.words import Said, key_of, say

CLAIM = {"id": "A1", "question": "Sooner?", "tier": "primary", "qualifiers": [], "scale": "ratio"}
SCRIPT = "<script>alert(1)</script>"
ENDS = {"month-to-month": 40, "fixed": 40}


def run(name, claims=(), estimates=(), lists=None, findings=(), **about) -> runs.Run:
    about = {"run_id": name, "cutoff": name[:10]} | about
    return runs.Run(
        about, {"claims": claims, "estimates": estimates, "findings": findings}, lists or {}
    )


def claim(verdict, estimate=2.0, low=1.5, high=3.0, **more):
    return CLAIM | {"verdict": verdict, "estimate": estimate, "low": low, "high": high} | more


def row(estimate, low=None, high=None, name="share"):
    return {
        "id": "A1",
        "name": name,
        "group": "all",
        "unit": "share",
        "estimate": estimate,
        "low": low,
        "high": high,
    }


def table(rows, **filled):
    return {"clients": {"rows": rows, "filled": filled}}


def ids(found) -> list[str]:
    """The ids of the sentences, without the values of their fields."""
    return [key_of(line).partition(":")[0] for _, told in found["told"] for line in told]


def lines(found) -> str:
    return "\n".join(line for _, told in found["told"] for line in told)


def test_a_verdict_that_moved_is_told_with_whether_chance_could_have_done_it():
    old = run("2025-11-30-aa", [claim("holds")])
    chance = compare.compare(old, run("2025-12-31-bb", [claim("does not hold", 1.6)]))
    assert chance["moved"] and chance["claims"][0]["beyond_noise"] is False
    assert chance["claims"][0]["verdict_before"] == ["holds"]
    assert chance["claims"][0]["verdict_after"] == ["does not hold"]
    assert "report.changes.moved" in ids(chance)
    assert "Was “holds”, is now “does not hold”." in lines(chance)
    assert "from 2.00 to 1.60, inside the interval of the run before (1.50 to 3.00)" in lines(
        chance
    )
    more = compare.compare(old, run("2025-12-31-bb", [claim("holds", 3.1)]))
    assert more["moved"] and more["claims"][0]["beyond_noise"] is True
    assert "Still “holds”. The estimate went from 2.00 to 3.10, outside" in lines(more)
    none = compare.compare(old, run("2025-12-31-bb", [claim("not enough data", None, None, None)]))
    assert none["claims"][0]["beyond_noise"] is None
    assert "nobody can say whether chance did it" in lines(none)
    still = compare.compare(old, run("2025-12-31-bb", [claim("holds", 2.9)]))
    assert not still["moved"] and "report.changes.no_verdict" in ids(still)
    words = compare.compare(
        old, run("2025-12-31-bb", [claim("holds", qualifiers=["about as large as claimed"])])
    )
    assert words["moved"] and "is now “holds, about as large as claimed”" in lines(words)


def test_a_verdict_in_other_words_has_not_moved():
    def with_words(name, words):
        keys = {"qualifiers": [words], "qualifier_keys": ["claims.qualifier.smaller"]}
        return run(name, [claim("holds", **keys)])

    old = with_words("2025-11-30-aa", "smaller than published")
    new = with_words("2025-12-31-bb", "not as large as published")
    assert not compare.compare(old, new)["moved"]


def test_a_run_of_the_first_schema_can_still_be_compared():
    """It has words alone: of verdicts, estimates and warnings; those of today have ids beside."""

    def seller(name, value, low):
        return Estimate.of("B4", name, "all", (value, low, 2 * value), "number").payload()

    signs = say("economics.seller.signs")
    within = say("economics.revenue.within", months=68)
    new_names = [seller(signs, 2.5, 2.0), seller(within, 9.0, 8.0) | {"id": "B3"}]
    old_names = [
        seller("clients that one seller signs a month", 1.6, 1.4),
        seller("plateau, from lifetimes of up to 68 months", 9.0, 8.0) | {"id": "B3"},
    ]
    for row in old_names:
        del row["key"]
    warned = [{"id": "data", "kind": "warning", "text": "For 1 of 65 ends nobody knows."}]
    text = Said("For 2 of 80 ends nobody knows.", "data.ends.unknown:2,80")
    smaller = ["smaller than published"]
    keys = ["claims.qualifier.smaller"]
    old = run("2025-11-30-aa", [claim("holds", qualifiers=smaller)], old_names, None, warned)
    new = run(
        "2025-12-31-bb",
        [claim("holds", qualifiers=["not as large"], qualifier_keys=keys)],
        new_names,
        None,
        Finding("data", text, "warning").payload()["findings"],
    )
    found = compare.compare(old, new)
    assert not found["claims"][0]["moved"] and found["warnings"] == {"came": [], "went": []}
    moved = [(row["name"], row["before"], row["after"]) for row in found["estimates"]]
    assert moved == [(signs, 1.6, 2.5)] and found["estimates"][0]["beyond_noise"] is False


def test_the_ordinary_interval_is_the_one_that_judges():
    old = run("2025-11-30-aa", [claim("holds", interval_95=[1.8, 2.2])])
    assert (
        compare.compare(old, run("2025-12-31-bb", [claim("holds", 2.3)]))["claims"][0][
            "beyond_noise"
        ]
        is True
    )
    unknown = run("2025-11-30-aa", [claim("holds", interval_95=[None, None])])
    assert (
        compare.compare(unknown, run("2025-12-31-bb", [claim("holds", 2.3)]))["claims"][0][
            "beyond_noise"
        ]
        is False
    )


def test_estimates_are_named_where_they_left_their_interval_and_counted_elsewhere():
    old = run(
        "2025-11-30-aa",
        (),
        [row(0.5, 0.4, 0.6), row(0.5, 0.4, 0.6, "b"), row(3.0, name="c"), row(1.0, name="d")],
    )
    new = run(
        "2025-12-31-bb",
        (),
        [row(0.7, 0.6, 0.8), row(0.55, 0.4, 0.6, "b"), row(4.0, name="c"), row(1.0, name="d")],
    )
    found = compare.compare(old, new)
    assert [(r["name"], r["beyond_noise"]) for r in found["estimates"]] == [
        ("share", True),
        ("b", False),
        ("c", None),
    ]
    assert (
        "share, all (A1): 50.0% to 70.0%, outside the interval before (40.0% to 60.0%)."
        in lines(found)
    )
    assert "as chance alone could move them: 1." in lines(
        found
    ) and "one of the runs only: 1." in lines(found)


def test_an_interval_without_width_is_none_to_judge_by():
    """Nobody of three left, then one of four did: resamples of noughts are nought, and say nothing
    of chance.
    """
    old, new = (
        run("2025-11-30-aa", (), [row(0.0, 0.0, 0.0)]),
        run("2025-12-31-bb", (), [row(0.25, 0.0, 0.7)]),
    )
    assert compare.compare(old, new)["estimates"][0]["beyond_noise"] is None


def test_who_entered_and_who_left_each_list():
    old = run("2025-11-30-aa", lists={"save": {"c1": "Acme", "c2": "Beta"}, "care": {"c9": "Iota"}})
    new = run(
        "2025-12-31-bb", lists={"save": {"c2": "Beta Ltd", "c3": SCRIPT}, "care": {"c9": "Iota"}}
    )
    found = compare.compare(old, new)
    assert found["lists"][0]["entered"] == [{"client_id": "c3", "client": SCRIPT}]
    assert found["lists"][0]["left"] == [{"client_id": "c1", "client": "Acme"}]
    assert found["moved"] and "care" not in lines(found).lower()
    gone = lines(compare.compare(old, run("2025-12-31-bb")))
    assert [row["list"] for row in found["lists"]] == ["save", "care"]
    assert "Care: 1 were on it, and nobody is now (Iota)." in gone
    assert "Care: 1 on it, and nobody before (Iota)." in lines(
        compare.compare(run("2025-10-31-zz"), old)
    )
    many = run("2025-12-31-bb", lists={"save": {f"c{n}": f"n{n}" for n in range(1, 14)}})
    assert "Save: 11 entered (n3, n4, n5, n6, n7, n8, n9, n10, n11, n12 and 1 more)." in lines(
        compare.compare(old, many)
    )


def test_rows_columns_and_how_full_they_are():
    old = run("2025-11-30-aa", tables=table(100, client_id=100, name=90, rep_id=100))
    new = run(
        "2025-12-31-bb",
        tables=table(110, client_id=110, rep_id=50, fee_pct=110)
        | {"staff": {"rows": 2, "filled": {}}},
    )
    found = compare.compare(old, new)
    assert (
        found["columns"] == {"came": ["clients.fee_pct"], "went": ["clients.name"]}
        and found["moved"]
    )
    assert found["rows"][0] == {"table": "clients", "before": 100, "after": 110}
    assert "clients.rep_id is filled in 45% of rows; before, in 100%." in lines(found)
    assert "clients 100 to 110, staff 0 to 2." in lines(found)


def test_a_warning_with_other_numbers_is_no_news_and_a_new_one_is():
    def warned(*texts):
        return [{"id": "data", "kind": "warning", "text": text} for text in texts]

    old = run("2025-11-30-aa", findings=warned("For 1 of 65 ends (c1) nobody knows.", "Stale."))
    new = run(
        "2025-12-31-bb", findings=warned("For 2 of 1,072 ends (c1, c2) nobody knows.", "Drift.")
    )
    assert compare.compare(old, new)["warnings"] == {"came": ["Drift."], "went": ["Stale."]}


def test_a_warning_is_known_by_its_id_however_it_is_worded():
    def warned(*texts):
        made = [Finding("data", text, "warning").payload() for text in texts]
        return [row for payload in made for row in payload["findings"]]

    unknown = Said("For 1 of 65 ends nobody knows.", "data.ends.unknown:1,65")
    reworded = Said("Of 80 ends, 2 have no reason.", "data.ends.unknown:2,80")
    fees, hours = (Said(f"No {what}.", f"data.lacking:{what}") for what in ("fees", "hours"))
    old = run("2025-11-30-aa", findings=warned(unknown, fees))
    new = run("2025-12-31-bb", findings=warned(reworded, hours))
    found = compare.compare(old, new)["warnings"]
    assert found == {"came": ["No hours."], "went": ["No fees."]}


def test_what_else_changed_is_named_for_it_may_be_the_reason():
    old = run(
        "2025-11-30-aa",
        settings={"notice_days": 30, "cutoff": None},
        data={"clients": "1"},
        code="a",
    )
    new = run(
        "2025-12-31-bb",
        settings={"notice_days": 60, "cutoff": "2025-12-31"},
        data={"clients": "2"},
        code="a",
    )
    found = compare.compare(old, new)
    assert found["made_of"] == ["cutoff", "settings", "data"]
    assert found["settings"] == ["notice_days"]
    assert (
        "Not only the data changed (the settings (notice_days)), so what moved may come from that."
        in lines(found)
    )
    new.about["settings"]["notice_days"] = 30
    assert "report.changes.not_only_data" not in ids(compare.compare(old, new))


def test_no_run_before_and_the_same_run_are_said_plainly():
    one = run("2025-12-31-bb", [claim("holds")])
    assert ids(compare.compare(None, one)) == ["report.changes.none_before"]
    assert ids(compare.compare(one, one)) == ["report.changes.same"]


def test_a_run_with_codes_learns_no_name_from_one_without():
    old = run(
        "2025-11-30-aa",
        [claim("holds")],
        [row(1.0, name="Acme")],
        {"save": {"c1": "Acme"}},
        pseudonyms=None,
    )
    new = run(
        "2025-12-31-bb",
        [claim("holds")],
        [row(2.0, name="x")],
        {"save": {"k1": "client-x"}},
        pseudonyms="ab12",
    )
    old.results["findings"] = [{"id": "data", "kind": "warning", "text": "Left out: Acme."}]
    found = compare.compare(old, new)
    assert "Acme" not in to_json(found) and "report.changes.other_codes" in ids(found)
    assert not found["names_compared"]
    same = run("2025-11-30-aa", lists={"save": {"k1": "client-x"}}, pseudonyms="ab12")
    assert compare.compare(same, new)["lists"][0]["entered"] == []


def test_lists_are_read_from_the_files_of_a_run(tmp_path):
    (tmp_path / "lists").mkdir()
    (tmp_path / "run.json").write_text(json.dumps({"cutoff": "2025-12-31"}))
    (tmp_path / "results.json").write_text(
        json.dumps({"run_id": "2025-12-31-bb", "claims": [], "estimates": []})
    )
    people = pd.DataFrame(
        {"client_id": ["001", "c2"], "client": ["=Acme", ""], "contact": ["yes", "no"]}
    )
    write_csv(people, tmp_path / "scores.csv")
    assert (tmp_path / "scores.csv").read_text().splitlines()[1] == "001,'=Acme,yes"
    (tmp_path / "lists" / "get_in_touch.csv").write_text("client_id,name\nc3,Iota\n")
    (tmp_path / "lists" / "other.csv").write_text("seller\ns1\n")
    lists = runs.open_run(tmp_path).lists
    assert lists["scores"] == {"001": "=Acme", "c2": "c2"}
    assert lists["to_contact"] == {"001": "=Acme"}
    assert lists["get_in_touch"] == {"c3": "Iota"} and lists["other"] == {}
    with pytest.raises(ConfigError, match="holds no run of this report"):
        runs.open_run(tmp_path / "lists")


@pytest.mark.parametrize("moved", [True, False])
def test_the_index_tells_what_moved_before_the_claims(tmp_path, moved):
    said = [{"id": "data", "kind": "warning", "text": "Mind this."}]
    old = run("2025-11-30-aa", lists={"save": {}}, findings=said)
    new = run("2025-12-31-bb", lists={"save": {"c1": SCRIPT} if moved else {}}, findings=said)
    about = dict(new.about) | {"whose": "Us", "changes": compare.compare(old, new)}
    claims = [json.loads(to_json(asdict(judge(CLAIMS["A1"], Contrast("A1", 0.5, 0.1, 90, ENDS)))))]
    results = {"run_id": "x", **new.results, "claims": claims}
    write_index(tmp_path, results, {"00_data": "Enough?"}, about, {})
    page = (tmp_path / "index.html").read_text()
    assert SCRIPT not in page and ("&lt;script&gt;alert" in page) == moved
    assert (page.index('id="changed"') < page.index('id="claims"')) == moved
    assert page.index('id="changed"') < page.index("Mind this.")
