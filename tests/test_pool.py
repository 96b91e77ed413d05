"""What several agencies say together: who may stand beside whom, how claims are judged, and the
page.
"""

import json
import math
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from agencies import claim_row, field, write_run
from retention.claims.judge import CLAIMS, judge
from retention.cli import cli
from retention.contrast import Contrast
from retention.errors import ConfigError
from retention.pool.judged import LEAST, over
from retention.pool.page import write_pool
from retention.pool.share import share
from retention.pool.sift import Agency, comparable, read_all, sifted
from retention.results import DOES_NOT, HOLDS, NOT_ENOUGH, to_json
from retention.stats.metaanalysis import Studies, pool


def handed_out(run: Path, name: str = "") -> Path:
    """The file of an agency, beside its reports."""
    path = run.parent.with_name(f"{name or run.parent.name}.json")
    path.write_text(to_json(share(run).payload()))
    return path


def agencies_of(folder: Path, count: int, seed: int = 5, **truth) -> list[Path]:
    return [handed_out(run) for run in field(folder, count, seed, **truth)]


def changed(path: Path, **values) -> Path:
    """The same file with other values, and the code of another agency."""
    whole = json.loads(path.read_text())
    code = format(abs(hash((path.stem, *map(str, values)))) % 16**16, "016x")
    new = path.with_name(f"{path.stem}-changed.json")
    new.write_text(json.dumps({**whole, "agency": code, **values}))
    return new


def page_text(folder: Path) -> str:
    html = (folder / "index.html").read_text()
    body = html[html.index("<body>") : html.index("<script>")]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))


def test_the_same_agency_counts_once_and_the_later_file_counts(tmp_path):
    run = field(tmp_path, 1, 5)[0]
    now = handed_out(run)
    whole = json.loads(now.read_text())
    before = now.with_name("before.json")
    before.write_text(json.dumps({**whole, "until": "2024-Q4"}))
    kept, apart = sifted(read_all([before, now]))
    assert [agency.name for agency in kept] == [now.stem]
    assert "same agency" in apart[0].why and apart[0].agency.name == "before"


def test_the_same_figures_under_another_code_are_told(tmp_path):
    first = agencies_of(tmp_path, 1)[0]
    kept, apart = sifted(read_all([first, changed(first)]))
    assert len(kept) == 1 and "same figures" in apart[0].why


def other_figures(path: Path) -> list[dict]:
    """The claims of a file with other estimates."""
    rows = json.loads(path.read_text())["claims"]
    return [row | {"theta": row["theta"] + 0.1} for row in rows]


@pytest.mark.parametrize(
    ("values", "why"), [({"kind": "snapshot"}, "a snapshot"), ({"pause_days": 10}, "up to 10 days")]
)
def test_what_is_not_comparable_is_set_apart(tmp_path, values, why):
    first = agencies_of(tmp_path, 1)[0]
    more = {"claims": other_figures(first), "estimates": []}
    kept, apart = sifted(read_all([first, changed(first, **values, **more)]))
    assert len(kept) == 1 and why in apart[0].why


@pytest.mark.parametrize(
    ("field_name", "why"), [("estimand", "another quantity"), ("rule", "another plan")]
)
def test_a_claim_of_another_study_is_set_apart(tmp_path, field_name, why):
    first = agencies_of(tmp_path, 1)[0]
    claims = [row | {field_name: "0123456789abcdef"} for row in other_figures(first)]
    agencies = read_all([first, changed(first, claims=claims, estimates=[])])
    rows, apart = comparable(CLAIMS["A1"], agencies)
    assert len(rows) == 1 and why in apart[0].why


def test_claims_with_few_ends_are_set_apart(tmp_path):
    few = write_run(tmp_path / "few", [claim_row("A1", 0.5, 0.5, 60, gated=True)], 60)
    rows, apart = comparable(CLAIMS["A1"], read_all([handed_out(few)]))
    assert not rows and "too few clients" in apart[0].why


def test_a_field_where_the_claim_is_true_and_one_where_nothing_is_planted(tmp_path):
    true = over(CLAIMS["A1"], read_all(agencies_of(tmp_path / "true", 12, mean=math.log(2))))
    null = over(CLAIMS["A1"], read_all(agencies_of(tmp_path / "null", 12, mean=0.0)))
    assert true.average.verdict == HOLDS
    assert null.average.verdict == DOES_NOT
    assert true.pooled.mean == pytest.approx(math.log(2), abs=0.2)
    low, high = true.next_one()
    average = true.pooled.interval()
    assert low < math.exp(average[0]) and high > math.exp(average[1])


def test_the_mean_is_judged_by_the_rule_of_the_plan(tmp_path):
    """As one contrast with the mean, its standard error and degrees of freedom."""
    found = over(CLAIMS["A1"], read_all(agencies_of(tmp_path, 6)))
    values = [row for _, row in found.rows]
    studies = Studies.of([row.theta for row in values], [row.se for row in values])
    pooled = pool(studies)
    clients, ends = sum(row.clients for row in values), sum(row.ends for row in values)
    alone = judge(
        CLAIMS["A1"], Contrast("", pooled.mean, pooled.se, clients, {"": ends}, df=pooled.df)
    )
    shown = (found.average.verdict, found.average.low, found.average.high)
    assert shown == (alone.verdict, alone.low, alone.high)
    assert found.average.checks[0].of == len(values)


def test_one_agency_that_decides_makes_the_verdict_fragile(tmp_path):
    runs = [write_run(tmp_path / f"a{n}", [claim_row("A1", 0.0, 0.3, 300)], 300) for n in range(5)]
    runs.append(write_run(tmp_path / "b", [claim_row("A1", 1.6, 0.05, 1500)], 1500))
    found = over(CLAIMS["A1"], read_all([handed_out(run) for run in runs]))
    assert len(found.without) == 6
    means = {name: pooled.mean for name, pooled in found.without.items()}
    assert min(means, key=means.get) == "b" and means["b"] < found.pooled.mean


def test_three_agencies_are_described_and_not_pooled(tmp_path):
    paths = agencies_of(tmp_path, 3)
    found = over(CLAIMS["A1"], read_all(paths))
    assert found.pooled is None and found.average.verdict == NOT_ENOUGH
    folder = write_pool(paths, tmp_path / "out").parent
    text = page_text(folder)
    assert "3 agencies: too few to take together" in text
    assert "All, on average" not in text and "agency-02" in text
    told = json.loads((folder / "pooled.json").read_text())
    assert [claim["pooled"] for claim in told["claims"]] == [None, None]
    assert LEAST == 5


def test_the_page_of_twelve_agencies(tmp_path):
    paths = agencies_of(tmp_path, 12)
    paths.append(changed(paths[0], kind="snapshot", claims=other_figures(paths[0]), estimates=[]))
    folder = write_pool(paths, tmp_path / "out").parent
    html, text = (folder / "index.html").read_text(), page_text(folder)
    found = over(CLAIMS["A1"], sifted(read_all(paths))[0])
    assert f"<h1>{found.average.answer} So say 12 agencies together.</h1>" in html
    assert f"{found.average.low:.2f} to {found.average.high:.2f}" in text
    low, high = found.next_one(CLAIMS["A1"].level)
    assert f"the next agency: {low:.2f} to {high:.2f}" in text
    assert "the study says 2" in text and "The next agency" in text
    assert "1 agency is not taken together with the others." in text
    assert re.search(r"\d+ to \d+ clients", text) and "Still a client after 12 months" in text
    question = CLAIMS["A7"].question
    assert "Claims that could not be put together" in text and question in text
    assert "nan" not in text.lower() and not re.search(r"(src|href)=\"(https?:)?//", html)


def test_pooled_json_holds_no_name_and_no_agencys_figures(tmp_path):
    paths = agencies_of(tmp_path, 6)
    text = (write_pool(paths, tmp_path / "out").parent / "pooled.json").read_text()
    assert "agency-0" not in text and str(tmp_path) not in text
    for agency in read_all(paths):
        row = agency.shared.claim("A1")
        assert f"{row.theta}," not in text.split('"field"')[0]


def test_names_of_files_are_data(tmp_path):
    paths = agencies_of(tmp_path, 6)
    odd = paths[0].with_name("a<b>&'c.json")
    paths[0].rename(odd)
    html = write_pool([odd, *paths[1:]], tmp_path / "out").read_text()
    assert "a<b>" not in html and "a&lt;b&gt;" in html


def test_files_of_one_name_are_told_apart(tmp_path):
    paths = []
    for run in field(tmp_path, 3, 5):
        path = run.parent / "shared.json"
        path.write_text(to_json(share(run).payload()))
        paths.append(path)
    names = [agency.name for agency in read_all([*paths, paths[0]])]
    assert names == ["agency-01", "agency-02", "agency-03", "agency-01 (2)"]


def test_nothing_comparable_is_refused(tmp_path):
    first = agencies_of(tmp_path, 1)[0]
    snapshot = changed(first, kind="snapshot")
    with pytest.raises(ConfigError, match="None of these agencies"):
        write_pool([snapshot], tmp_path / "out")


def test_the_command(tmp_path):
    paths = agencies_of(tmp_path, 5)
    out = tmp_path / "out"
    done = CliRunner().invoke(cli, ["pool", *map(str, paths), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert done.output.strip() == str(out / "index.html")
    broken = CliRunner().invoke(cli, ["pool", str(tmp_path / "no.json"), "--out", str(out)])
    assert broken.exit_code == 2 and "no.json is not a file of" in broken.output


def test_an_agency_is_what_it_hands_out(tmp_path):
    agency = read_all(agencies_of(tmp_path, 1))[0]
    assert isinstance(agency, Agency) and agency.shared.claim("A1").is_known
    assert agency.shared.claim("A8") is None and agency.shared.estimate("none") is None
