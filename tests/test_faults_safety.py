"""Faults found from outside, by id: code in data (T1), commands to a terminal (T2), open folders
(T3), and kin.
"""

import datetime as dt
import io
import json
import os
import pickle
import re
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import nbformat
import pandas as pd
import pytest
from click.testing import CliRunner

from conftest import ROOT
from retention import parameters
from retention.cli import cli
from retention.data import folders, prepared
from retention.data.words import sentence
from retention.errors import ConfigError, DataError, Fault, NotebookError, one_line, printable
from retention.report import execute, pages, publish, run
from retention.report.execute import Executed
from retention.report.run import Options, run_report
from retention.results import MIME, schema
from retention.sample import write_sample
from retention.score.engines import write_features
from retention.study import Study, open_study, prepare

pytestmark = pytest.mark.slow  # minutes: such files come first, so that no core waits for them

NAMES = ("snapshots", "risk", "prepared", "scores", "clients", "facts")
ENDINGS = ("pickle", "pkl", "joblib", "npy", "npz", "pt", "dill", "lock", "new")
READERS = (
    "pickle",
    "cPickle",
    "dill",
    "cloudpickle",
    "joblib",
    "marshal",
    "shelve",
    "read_pickle",
    "to_pickle",
)


class Planted:
    """An object that writes a file as soon as somebody unpickles it."""

    def __init__(self, sign: Path) -> None:
        self.sign = str(sign)

    def __reduce__(self):
        return open, (self.sign, "w")


@pytest.fixture(scope="module")
def agency(tmp_path_factory) -> Path:
    """A made-up agency of which only the clients table is there."""
    folder = tmp_path_factory.mktemp("agency")
    write_sample(folder, clients=60, seed=8)
    for table in folder.glob("*.csv"):
        if table.name != "clients.csv":
            table.unlink()
    return folder


@pytest.fixture
def trap(agency, tmp_path) -> tuple[Path, Path]:
    """A data folder as a stranger may send it, full of pickles; and the file that they would
    write.
    """
    folder, sign = tmp_path / "data", tmp_path / "owned"
    prepare(open_study(str(agency)), tmp_path / "prepared")
    shutil.copytree(agency, folder)
    shutil.copy(tmp_path / "prepared" / prepared.MANIFEST, folder)
    code = pickle.dumps(Planted(sign))
    for name in NAMES:
        for ending in ENDINGS:
            (folder / f"{name}.{ending}").write_bytes(code)
    pickle.load(io.BytesIO(code)).close()
    assert sign.exists(), "the trap would not have worked"
    sign.unlink()
    return folder, sign


def test_T1_nothing_in_a_data_folder_is_run_whatever_it_is_called(trap, monkeypatch):
    folder, sign = trap
    for seal in ("", "0" * 64):
        monkeypatch.setenv(prepared.SEAL, seal)
        if seal:
            with pytest.raises(ConfigError, match="are not those that are there now"):
                open_study(str(folder))
            continue
        study = open_study(str(folder))
        assert study.shared is None and list(study.tables.frames) == ["clients"]
        assert len(study.month_ends) and study.risk[0] is not None
    assert not sign.exists()


def test_T1_a_command_on_such_a_folder_runs_nothing_and_reads_it_as_data(trap, agency, tmp_path):
    folder, sign = trap
    checked = [
        CliRunner().invoke(cli, ["check", "--data", str(where), "--json"])
        for where in (folder, agency)
    ]
    assert [done.exit_code for done in checked] == [0, 0], checked[0].output
    assert json.loads(checked[0].stdout)["tables"] == json.loads(checked[1].stdout)["tables"]
    assert not sign.exists()


def test_T1_even_a_run_s_own_folder_is_opened_by_its_seal_alone(agency, tmp_path, monkeypatch):
    study = open_study(str(agency))
    seal = prepare(study, tmp_path / "prepared")
    with pytest.raises(ConfigError):  # with no seal it is a folder of data, and lacks clients.csv
        open_study(str(tmp_path / "prepared"))
    monkeypatch.setenv(prepared.SEAL, seal)
    again = open_study(str(tmp_path / "prepared"))
    assert again.shared == tmp_path / "prepared" and len(again.spells) == len(study.spells)
    table = tmp_path / "prepared" / "clients.parquet"
    pd.read_parquet(table).head(3).to_parquet(table)
    with pytest.raises(ConfigError, match="are not those that are there now"):
        _ = open_study(str(tmp_path / "prepared")).spells


def test_T1_what_notebooks_share_is_parquet_and_json_and_comes_back_the_same(
    sample_study, tmp_path, monkeypatch
):
    monkeypatch.setenv(prepared.SEAL, prepare(sample_study, tmp_path / "prepared"))
    shared = open_study(str(tmp_path / "prepared"))
    judgement, weights, table = shared.risk
    own = sample_study.risk
    pd.testing.assert_frame_equal(judgement.predictions, own[0].predictions)
    pd.testing.assert_frame_equal(weights, own[1])
    pd.testing.assert_frame_equal(table, own[2])
    assert (judgement.skills, judgement.why) == (own[0].skills, own[0].why)
    pd.testing.assert_frame_equal(shared.month_ends, sample_study.month_ends)
    kinds = {path.suffix for path in (tmp_path / "prepared").rglob("*") if path.is_file()}
    assert kinds == {".parquet", ".json", ".lock"}


def test_T1_empty_frames_come_back_too(tmp_path):
    made = prepared.Made(
        {"empty": pd.DataFrame(), "none": pd.DataFrame({"a": pd.Series(dtype=float)})}, {"why": "x"}
    )
    kept = prepared.once(tmp_path, "thing", lambda: made)
    assert kept.facts == {"why": "x"} and kept.frames["empty"].empty
    pd.testing.assert_frame_equal(kept.frames["none"], made.frames["none"])


def test_T1_no_source_reads_or_writes_objects_of_python():
    sources = [*(ROOT / "src").rglob("*.py"), *(ROOT / "notebooks").glob("*.ipynb")]
    word = re.compile(rf"\b({'|'.join(READERS)})\b|allow_pickle\s*=\s*True")
    assert [path.name for path in sources if word.search(path.read_text("utf-8"))] == []


def test_T3_a_private_folder_is_private_from_its_first_moment(tmp_path, monkeypatch):
    made: list[int] = []
    monkeypatch.setattr(
        Path, "chmod", lambda self, mode: pytest.fail("made private after it was made")
    )
    old = os.umask(0)
    try:
        made.append(folders.private(tmp_path / "a").stat().st_mode & 0o777)
    finally:
        os.umask(old)
    assert made == [0o700]


def test_T3_a_published_folder_has_the_mode_of_the_user_s_folders(tmp_path):
    for mask, mode in ((0o022, 0o755), (0o027, 0o750), (0o077, 0o700)):
        old = os.umask(mask)
        try:
            publish.show(folders.private(tmp_path / ".run-x"), tmp_path / f"run-{mask}")
            assert os.umask(mask) == mask
        finally:
            os.umask(old)
        assert (tmp_path / f"run-{mask}").stat().st_mode & 0o777 == mode


def test_T3_the_prepared_tables_and_what_is_shared_are_private(agency, tmp_path, monkeypatch):
    study = open_study(str(agency))
    monkeypatch.setenv(prepared.SEAL, prepare(study, tmp_path / "prepared"))
    monkeypatch.setattr(Study, "_month_ends", lambda self: pd.DataFrame({"a": [1]}))
    _ = open_study(str(tmp_path / "prepared")).month_ends
    made = (tmp_path / "prepared", tmp_path / "prepared" / "snapshots")
    assert [path.stat().st_mode & 0o777 for path in made] == [0o700, 0o700]


def test_T3_the_next_command_that_holds_the_folder_sweeps_what_a_killed_run_left(tmp_path):
    left = folders.private(tmp_path / ".run-2025-12-31-abcdef01-1") / "prepared"
    left.mkdir()
    (left / "clients.parquet").write_bytes(b"everything")
    with publish.locked(tmp_path):
        assert not list(tmp_path.glob(".run-*"))


BAD = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e007f]"
)
HOSTILE_ID = "a\x1b]0;PWNED\x07\x9b2J\x7f\u202egpj\u2066\ufeff"
TERMINAL = ROOT / "tests" / "cases" / "terminal"


def hostile(folder: Path) -> Path:
    """A clients table with hostile ids, faults in their rows, and a line break inside one of
    them.
    """
    folder.mkdir()
    ids = [HOSTILE_ID, "b\n0 things to mend", "c"]
    rows = {
        "client_id": ids,
        "start_date": "2024-01-01",
        "end_date": ["2023-01-01", "x\x1b[2J", "2024-13-01"],
    }
    frame = pd.DataFrame({**rows, "contract_term_months": 1, "monthly_ad_spend": "x\x1b[2J"})
    frame.to_csv(folder / "clients.csv", index=False)
    return folder


def test_T2_the_text_of_messages_holds_no_command_to_a_terminal():
    assert (
        printable("Zoë \U0001f469\u200d\U0001f4bb 東京 'x'\tb\nc")
        == "Zoë \U0001f469\u200d\U0001f4bb 東京 'x'\tb\nc"
    )
    assert (
        printable("\x1b[2J\x9b\u202e\udc80\U000e0041") == r"\u001b[2J\u009b\u202e\udc80\udb40\udc41"
    )
    assert one_line("a\nb\tc\r\u2028") == r"a\nb\tc\r\u2028"
    told = str(
        Fault(
            "clients", "end_date", "is no date", 1, (HOSTILE_ID, "b\nc"), "Mend it.", ("x\x1b[2J",)
        )
    )
    assert not BAD.search(told) and len(told.splitlines()) == 2
    assert "x.csv\\n0 faults" in sentence("kind", name="x.csv\n0 faults", kinds=".csv")
    for error in (
        ConfigError(HOSTILE_ID),
        DataError([Fault("t", "c", HOSTILE_ID, 1, (HOSTILE_ID,), "Mend it.")]),
    ):
        assert not BAD.search(str(error)) and "PWNED" in str(error)


@pytest.mark.parametrize(
    "words", [["check"], ["check", "--json"], ["check", "--verbose"], ["score"]]
)
@pytest.mark.parametrize("case", ["planted", "given"])
def test_T2_no_command_writes_what_a_terminal_acts_on(words, case, tmp_path):
    folder = hostile(tmp_path / "data") if case == "planted" else TERMINAL
    done = CliRunner().invoke(cli, [*words, "--data", str(folder), "--cutoff", "2024-12-31"])
    assert done.exit_code == 2 and "PWNED" in done.output and not BAD.search(done.output)
    if words == ["check", "--json"] and case == "planted":
        faults = json.loads(done.stdout)["faults"]
        assert any(HOSTILE_ID in fault["ids"] for fault in faults), (
            "JSON holds the data as they are"
        )


def test_T2_notes_and_warnings_about_good_rows_are_escaped_too(tmp_path):
    (tmp_path / "data").mkdir()
    ids = [HOSTILE_ID, *(f"c{n}" for n in range(40))]
    rows = {
        "client_id": ids,
        "start_date": "2023-01-01",
        "end_date": ["2031-01-01", *["2024-03-05"] * 40],
    }
    frame = pd.DataFrame(
        {**rows, "contract_term_months": 1, "monthly_ad_spend": 5, "x\x1b[2J\nnote: forged": 1}
    )
    frame.to_csv(tmp_path / "data" / "clients.csv", index=False)
    (tmp_path / "data" / "retention.toml").write_text(
        'end_grace_days = 0\nrecords_begin = "all history"\n'
    )
    done = CliRunner().invoke(
        cli, ["check", "--data", str(tmp_path / "data"), "--cutoff", "2024-12-31"]
    )
    assert done.exit_code == 0, done.output
    assert "PWNED" in done.output and not BAD.search(done.output)
    assert not [line for line in done.output.splitlines() if line.startswith("note: forged")]


def test_T2_an_error_of_ours_is_escaped_too(monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise KeyError(HOSTILE_ID) from ValueError(HOSTILE_ID)

    monkeypatch.setattr("retention.study.open_study", fail)
    done = CliRunner().invoke(cli, ["check"])
    assert (
        done.exit_code == 1
        and "ValueError: a\\u001b" in done.output
        and not BAD.search(done.output)
    )


def test_T2_the_page_of_a_failed_run_shows_escapes_and_no_path(tmp_path):
    where = hostile(tmp_path / "data")
    with pytest.raises(DataError):
        run_report(Options(data=str(where), cutoff="2024-12-31", out=tmp_path / "out"))
    page = (tmp_path / "out" / "failed" / "index.html").read_text("utf-8")
    assert "PWNED" in page and not BAD.search(page)
    with pytest.raises(ConfigError, match="There is no folder or file"):
        run_report(Options(data=str(tmp_path / "nowhere"), out=tmp_path / "out"))
    page = (tmp_path / "out" / "failed" / "index.html").read_text("utf-8")
    assert "no folder or file nowhere" in page and str(tmp_path) not in page
    assert (tmp_path / "out" / "failed").stat().st_mode & 0o777 == 0o777 & ~_umask()


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


PLANTED_ERROR = "ValueError: no /srv/app/data/x.csv for \x1b[2J<b>one</b>"


def executed(stem: str, work: Path, error: str = "", warnings: tuple[str, ...] = ()) -> Executed:
    """A notebook as run: a heading and a finding; and a list, where it came to its end."""
    payload = {
        "findings": [{"id": "D1", "key": "", "kind": "headline", "text": f"Found by {stem}."}]
    }
    shown = nbformat.v4.new_output("display_data", {"text/html": f"<p>{stem}</p>", MIME: payload})
    cells = [
        nbformat.v4.new_markdown_cell(f"# Is this {stem}?"),
        nbformat.v4.new_code_cell("x", outputs=[shown]),
    ]
    (work / "notebooks").mkdir(exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=cells), work / "notebooks" / f"{stem}.ipynb")
    return Executed(stem, 1.0, 1.0, 1.0, error, "planted()" if error else "", (payload,), warnings)


@pytest.fixture
def stopping(monkeypatch) -> dict[str, str]:
    """Errors by the number of a notebook: those that are to stop. Notebooks are not run, only told
    as run.
    """
    errors: dict[str, str] = {}

    def run_all(notebooks, parameters, work, jobs, done, seal):
        modes.append(work.stat().st_mode & 0o777)
        told = [executed(path.stem, work, errors.get(path.stem[:2], "")) for path in notebooks]
        for result in told:
            done(result)
        return told

    modes: list[int] = []
    monkeypatch.setattr(run, "run_all", run_all)
    yield errors
    assert set(modes) == {0o700}, "what a run works in is its owner's alone"


def report(agency: Path, out: Path, **more) -> Path:
    return run_report(Options(data=str(agency), out=out, notebooks=("00", "04", "08"), **more))


def test_build4_one_notebook_s_failure_costs_no_other_page(agency, tmp_path, stopping):
    report(agency, tmp_path, cutoff="2025-06-30")
    before = (tmp_path / "latest").resolve()
    stopping["04"] = PLANTED_ERROR
    with pytest.raises(NotebookError, match="04_churn_risk failed: ValueError: no") as caught:
        report(agency, tmp_path)
    failed = tmp_path / "failed"
    assert caught.value.exit_code == 1 and caught.value.page == failed / "index.html"
    assert (tmp_path / "latest").resolve() == before and publish.whole(before)
    assert (
        "00_data" in (failed / "00_data.html").read_text()
        and "08_portfolio" in (failed / "08_portfolio.html").read_text()
    )
    index, page = (
        (failed / name).read_text("utf-8") for name in ("index.html", "04_churn_risk.html")
    )
    assert (
        "Who will leave next?" in index
        and 'href="04_churn_risk.html"' in index
        and "could not be made" in index
    )
    assert f'href="../{before.name}/index.html"' in index
    assert "This page could not be made." in page and "planted()" in page
    for text in (index, page):
        assert (
            "&lt;b&gt;one&lt;/b&gt;" in text
            and "x.csv" in text
            and "/srv" not in text
            and not BAD.search(text)
        )
    results = json.loads((failed / "results.json").read_text())
    jsonschema.validate(results, schema())
    assert [finding["text"] for finding in results["findings"]] == [
        "Found by 00_data.",
        "Found by 08_portfolio.",
    ]
    assert list(results["failed"]) == ["04_churn_risk"]
    assert (
        not (failed / "prepared").exists()
        and not (failed / "own").exists()
        and not list(tmp_path.glob(".run-*"))
    )


def test_build4_no_link_of_a_partial_run_leads_nowhere(agency, tmp_path, stopping):
    stopping |= {"00": PLANTED_ERROR, "08": "its process was killed"}
    with pytest.raises(NotebookError):
        report(agency, tmp_path)
    pages = list((tmp_path / "failed").glob("*.html"))
    assert len(pages) == 6  # the digest is one of them
    for page in pages:
        for link in re.findall(r'href="([^"#]+)"', page.read_text("utf-8")):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"


def test_build4_latest_moves_to_a_partial_run_only_if_that_was_said(agency, tmp_path, stopping):
    report(agency, tmp_path, cutoff="2025-06-30")
    before = (tmp_path / "latest").resolve()
    stopping["04"] = PLANTED_ERROR
    with pytest.raises(NotebookError) as caught:
        report(agency, tmp_path, publish_partial=True, keep=1)
    partial = (tmp_path / "latest").resolve()
    assert partial != before and caught.value.page == partial / "index.html" and before.is_dir(), (
        "kept by --keep"
    )
    assert not publish.whole(partial) and not publish.damage(
        partial, publish.about(partial)["files"]
    )
    changes = json.loads((partial / "changes.json").read_text())
    assert (
        changes["before"] == before.name
        and not changes["moved"]
        and "is partial" in changes["told"][0][1][0]
    )
    verified = CliRunner().invoke(cli, ["verify", str(partial)])
    assert verified.exit_code == 1 and "04_churn_risk could not be made" in verified.output
    compared = CliRunner().invoke(cli, ["compare", str(before), str(partial)])
    assert compared.exit_code == 0 and "is partial" in compared.output


def test_build4_a_partial_run_is_never_taken_for_a_whole_one(agency, tmp_path, stopping):
    report(agency, tmp_path, cutoff="2025-06-30")
    before = (tmp_path / "latest").resolve()
    stopping["04"] = PLANTED_ERROR
    with pytest.raises(NotebookError):
        report(agency, tmp_path, publish_partial=True)
    with pytest.raises(NotebookError):  # the same data, and yet not "nothing has changed"
        report(agency, tmp_path, publish_partial=True, if_changed=True)
    with pytest.raises(NotebookError):
        report(agency, tmp_path, cutoff="2025-09-30", publish_partial=True)
    told = json.loads((tmp_path / "latest" / "changes.json").read_text())
    assert told["before"] == before.name, (
        "what comes after a partial run follows the whole one before it"
    )
    stopping.clear()
    report(agency, tmp_path)
    told = json.loads((tmp_path / "latest" / "changes.json").read_text())
    assert told["before"] == before.name and "claims" in told
    assert publish.whole((tmp_path / "latest").resolve()) and not (tmp_path / "failed").exists()


def test_build4_where_every_notebook_fails_no_report_is_made_up(agency, tmp_path, stopping):
    stopping |= dict.fromkeys(("00", "04", "08"), PLANTED_ERROR)
    with pytest.raises(NotebookError) as caught:
        report(agency, tmp_path, publish_partial=True)
    assert caught.value.page is None and not (tmp_path / "latest").exists()
    assert "The report could not be made" in (tmp_path / "failed" / "index.html").read_text()


def test_build4_what_a_failed_notebook_wrote_is_not_taken(tmp_path):
    own = tmp_path / "own" / "04"
    (own / "lists").mkdir(parents=True)
    (own / "lists" / "save.csv").write_text("a")
    (own / "scores.csv").write_text("b")
    execute._take(own, tmp_path)
    assert (tmp_path / "lists" / "save.csv").read_text() == "a" and (
        tmp_path / "scores.csv"
    ).read_text() == "b"


NOISE = (
    "/opt/venv/lib/python3/site-packages/numpy/x.py:12: RuntimeWarning: divide by zero "
    "encountered in log\n"
    "  y = np.log(x)\n"
    "/tmp/ipykernel_7/1.py:1: FutureWarning: see /srv/secret/place/file.py\n"
)


def test_build7_what_libraries_warn_of_goes_to_the_log_without_paths(tmp_path):
    outputs = [nbformat.v4.new_output("stream", name="stderr", text=NOISE)]
    outputs += [
        nbformat.v4.new_output("stream", name="stdout", text="read /srv/secret/place/file.csv\n")
    ]
    outputs += [
        nbformat.v4.new_output(
            "error", ename="E", evalue="/a/b/c", traceback=["\x1b[31m/a/b/c\x1b[0m"]
        )
    ]
    cells = [
        nbformat.v4.new_markdown_cell("# Is it?"),
        nbformat.v4.new_code_cell("x", outputs=outputs),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"papermill": {}})
    path = tmp_path / "00_data.ipynb"
    nbformat.write(notebook, path)
    _, warnings = execute._read_back(path)
    assert warnings == (
        "RuntimeWarning: divide by zero encountered in log",
        "FutureWarning: see file.py",
    )
    pages.write_pages([path], tmp_path, pages.Report())
    for text in (path.read_text(), (tmp_path / "00_data.html").read_text()):
        assert (
            "Warning:" not in text
            and "/srv" not in text
            and "/opt" not in text
            and "/a/b" not in text
        )
        assert "read file.csv" in text
    outputs[0].text = NOISE
    nbformat.write(notebook, path)  # as a notebook that somebody else executed
    pages.write_pages([path], tmp_path, pages.Report())
    assert "Warning:" not in (tmp_path / "00_data.html").read_text()


def test_build7_a_warning_about_numbers_becomes_a_plain_finding(tmp_path):
    results = [executed("00_data", tmp_path, warnings=("FutureWarning: x",))]
    results += [executed("02_ad_spend", tmp_path, warnings=("RuntimeWarning: divide by zero",))]
    told = run._results(results, {"run_id": "2025-12-31-abcdef01", "cutoff": "2025-12-31"})
    jsonschema.validate(told, schema())
    [warning] = [finding["text"] for finding in told["findings"] if finding["kind"] == "warning"]
    assert "met values that it cannot use" in warning and "Warning" not in warning
    assert run._log_lines(results[1])[1] == "02_ad_spend: RuntimeWarning: divide by zero"


def test_build7_no_library_s_warning_and_no_path_is_on_any_page(tmp_path):
    where = ROOT / "tests" / "cases" / "mrr_in_cents_zero" / "mrr_zero.csv.toml"
    index = run_report(Options(config=str(where), out=tmp_path, notebooks=("00", "02")))
    pages_of_run = [
        *index.resolve().parent.glob("*.html"),
        *index.resolve().parent.glob("notebooks/*.ipynb"),
    ]
    for path in pages_of_run:
        text = path.read_text("utf-8")
        assert not re.search(r"\w+Warning:", text) and "site-packages" not in text, path.name
        assert str(ROOT) not in text and str(tmp_path) not in text and sys.prefix not in text, (
            path.name
        )


def in_a_notebook(monkeypatch, *cells: str) -> None:
    """Let the code that runs believe that it runs in a notebook that has run these cells."""
    shell = SimpleNamespace(user_ns={"In": ["", *cells]})
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))


def test_B20_an_unknown_parameter_is_named_with_the_one_that_was_meant(monkeypatch):
    in_a_notebook(monkeypatch, 'data_dir = ""', '# Parameters\ncutof = "2025-06-30"\nout_dir = 5\n')
    with pytest.raises(ConfigError) as caught:
        open_study()
    assert "cutof is no parameter of this notebook. Did you mean cutoff?" in str(caught.value)
    assert "out_dir is 5, and must be the name of a folder" in str(caught.value)
    in_a_notebook(monkeypatch, "# Parameters\ncutof = 1", '# Parameters\ncutoff = "2025-06-30"')
    assert parameters.checked("", "", "2025-06-30") == (
        "",
        "",
        "2025-06-30",
    )  # put right and run again
    in_a_notebook(
        monkeypatch,
        "# My parameters\nthreshold = 5",
        "# Parameters of mine\nx = [n for n in range(3)]",
    )
    assert parameters.checked("", "", "") == ("", "", "")


@pytest.mark.parametrize(
    "cutoff", [20250630, "20250630", "2025-06-30", dt.date(2025, 6, 30), pd.Timestamp(2025, 6, 30)]
)
def test_B20_a_cutoff_that_papermill_made_a_number_is_a_date(cutoff, agency):
    assert open_study(str(agency), cutoff=cutoff).cutoff == dt.date(2025, 6, 30)


@pytest.mark.parametrize("cutoff", [2025, 20251345, 1.5, True, ["2025-06-30"], float("nan")])
def test_B20_a_cutoff_that_is_none_is_refused_in_a_sentence(cutoff, agency):
    with pytest.raises(
        ConfigError, match="is not a date from 1950 to 2100; write it as YYYY-MM-DD"
    ):
        open_study(str(agency), cutoff=cutoff)


def test_B20_every_parameter_of_another_kind_is_named_at_once(agency):
    with pytest.raises(ConfigError) as caught:
        open_study(5, True, None)
    assert [line.split(",")[0] for line in str(caught.value).splitlines()] == [
        "data_dir is 5",
        "config is True",
    ]
    assert open_study(agency, None, None).cutoff, "a path, and what was not said"


@pytest.mark.parametrize("engine", ["polars", "duckdb"])
def test_T3_features_are_private_until_they_are_done_and_what_engines_spill_lies_with_them(
    engine, agency, tmp_path
):
    study, modes = open_study(str(agency)), set()
    folder, out = tmp_path / "tables", tmp_path / "features"
    folder.mkdir()
    dates = {"begin": study.spells["start_date"].min(), "cutoff": pd.Timestamp(study.cutoff)}

    def watch(text: str) -> None:
        modes.update(
            path.stat().st_mode & 0o777
            for path in tmp_path.glob(".features.new/**/")
            if path.is_dir()
        )

    how = {
        **dates,
        "window": study.window,
        "results": study.settings.results,
        "engine": engine,
        "tell": watch,
    }
    write_features(folder, study.spells, out, **how)
    assert modes == {0o700} and out.stat().st_mode & 0o777 == 0o777 & ~_umask()
    assert {path.suffix for path in out.iterdir()} == {".parquet"}

    def stop(text: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_features(folder, study.spells, out, **{**how, "tell": stop})
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
