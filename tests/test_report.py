"""The report end to end, as a scheduler and an ops lead meet it."""

import datetime as dt
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import jsonschema
import nbformat
import pandas as pd
import pytest

from conftest import ROOT
from retention import runs
from retention.cli import tell_stale
from retention.data.schema import write_csv
from retention.errors import ConfigError
from retention.report import publish
from retention.report.execute import check_parameters
from retention.report.run import when_asked
from retention.results import schema
from retention.show.templating import SCRIPT
from warm import retention

pytestmark = pytest.mark.slow  # minutes: such files come first, so that no core waits for them


@pytest.fixture(scope="module")
def data(shared_report) -> Path:
    return shared_report / "data"


@pytest.fixture(scope="module")
def few(data, tmp_path_factory) -> Path:
    """Forty of these clients with their meetings and nothing else, for tests of how runs are made
    and kept.
    """
    folder = tmp_path_factory.mktemp("few")
    rows = pd.read_csv(data / "clients.csv", dtype=str, keep_default_na=False)
    rows = pd.concat([rows.head(20), rows.tail(20)])
    meetings = pd.read_csv(data / "meetings.csv", dtype=str, keep_default_na=False)
    write_csv(rows, folder / "clients.csv")
    write_csv(meetings[meetings["client_id"].isin(rows["client_id"])], folder / "meetings.csv")
    shutil.copy(data / "retention.toml", folder)
    return folder


@pytest.fixture(scope="module")
def out(shared_report, tmp_path_factory) -> Path:
    """A copy of the shared report, to write into."""
    folder = tmp_path_factory.mktemp("reports") / "out"
    shutil.copytree(shared_report / "out", folder, symlinks=True)
    return folder


def test_the_published_folder_is_as_designed(out):
    run = (out / "latest").resolve()
    names = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    every = (ROOT / "notebooks").glob("*.ipynb")
    pages = [path.stem for path in every if not when_asked(path)]
    written = {f"{page}.html" for page in pages} | {f"notebooks/{page}.ipynb" for page in pages}
    told = {"results.json", "changes.json", "run.json", "run.log"}
    lists = {name for name in names if name.startswith("lists/")}
    owners = {name for name in names if name.startswith(("calendars/", "digests/"))}
    assert (
        owners
        and len(pages) == 10
        and names - lists - owners
        == written
        | told
        | {
            "index.html",
            "actions.html",
            "glossary.html",
            "scores.csv",
            "leads.csv",
            "lists.xlsx",
            "act_by.ics",
            "digest.html",
            "digest.txt",
        }
    )
    assert lists and all(name.endswith(".csv") for name in lists)
    assert re.fullmatch(r"2025-12-31-[0-9a-f]{8}", run.name)
    assert publish.whole(run)
    assert not list(out.glob(".run-*"))


def test_results_follow_the_schema(out):
    text = (out / "latest" / "results.json").read_text()
    results = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} in results.json"))
    jsonschema.validate(results, schema())
    assert results["run_id"] == (out / "latest").resolve().name
    assert [claim["id"] for claim in results["claims"]] == ["A1", "A4", "A6", "A10", "A7", "A8"]
    ids = {row["id"] for row in results["estimates"]}
    assert ids >= {
        *"A1 A2 A3 A4 A6 A9 B1 B2 B3 B4 B5 B7 C1 C2 C3 C4 C6 C7 C8 C9 D1 D2 D4 D6 D7 D8 risk".split()
    }
    broken = results | {"claims": [results["claims"][0] | {"verdict": "proven"}]}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, schema())


def unzipped(path: Path) -> str:
    with zipfile.ZipFile(path) as book:
        return "\n".join(book.read(name).decode("utf-8") for name in book.namelist())


def test_nothing_of_this_machine_and_nothing_from_outside(out, data):
    for path in (out / "latest").resolve().rglob("*"):
        if path.is_file():
            text = path.read_text() if path.suffix != ".xlsx" else unzipped(path)
            assert str(data) not in text and str(out) not in text and str(ROOT) not in text, (
                path.name
            )
        if path.suffix == ".html":
            assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", text)
            own = text.replace(f"<script>{SCRIPT}</script>", "").replace("&lt;script", "")
            mail = path.name == "digest.html" or path.parent.name == "digests"
            assert ("<style>" in text) != mail and not re.search(r"<script|@import|url\((?!#)", own)
            assert not re.search(r'<img(?![^>]*alt="[^"]{20,})', text), "a picture without words"


def test_the_same_run_twice_has_the_same_name_and_is_kept(out, data):
    before = (out / "latest" / "run.json").stat().st_mtime_ns
    again = retention("report", "--data", data, "--out", out)
    assert again.returncode == 0 and "Nothing has changed" in again.stderr
    assert (out / "latest" / "run.json").stat().st_mtime_ns == before


def test_the_same_run_elsewhere_displays_the_same_to_the_byte(out, data, tmp_path):
    """One notebook after the other, in another folder. The numbers of the other pages are compared
    by `test_reworded`, whole runs of one page by `test_killed`.
    """
    some = ("report", "--jobs", 1, "--notebooks", "00,02,05,06,07,08")
    assert retention(*some, "--data", data, "--out", tmp_path).returncode == 0
    pages = sorted((tmp_path / "latest" / "notebooks").glob("*.ipynb"))
    assert len(pages) == 6
    for page in pages:
        assert page.read_bytes() == (out / "latest" / "notebooks" / page.name).read_bytes(), page
    for page in sorted((tmp_path / "latest" / "lists").glob("*.csv")):
        assert page.read_bytes() == (out / "latest" / "lists" / page.name).read_bytes(), page


@pytest.mark.long
def test_a_damaged_run_is_made_again(few, tmp_path):
    assert (
        retention("report", "--data", few, "--out", tmp_path, "--notebooks", "00").returncode == 0
    )
    (tmp_path / "latest" / "index.html").write_text("damaged")
    assert (
        retention("report", "--data", few, "--out", tmp_path, "--notebooks", "00").returncode == 0
    )
    assert publish.whole((tmp_path / "latest").resolve())


def test_what_others_leave_in_a_run_is_no_damage_and_a_good_run_clears_an_old_failure(
    few, tmp_path
):
    (tmp_path / "failed").mkdir()
    assert (
        retention("report", "--data", few, "--out", tmp_path, "--notebooks", "00").returncode == 0
    )
    assert not (tmp_path / "failed").exists()
    (tmp_path / "latest" / ".DS_Store").write_text("x")
    again = retention("report", "--data", few, "--out", tmp_path, "--notebooks", "00")
    assert "Nothing has changed" in again.stderr


@pytest.fixture(scope="module")
def chain(few, tmp_path_factory) -> Path:
    """Three runs of one notebook, each after the other, at three cut-offs."""
    folder = tmp_path_factory.mktemp("chain")
    for cutoff in CUTOFFS:
        done = retention(*BRIEF, "--data", few, "--out", folder, "--cutoff", cutoff)
        assert done.returncode == 0, done.stderr
    return folder


BRIEF = ("report", "--notebooks", "00", "--quiet")
CUTOFFS = ("2025-06-30", "2025-09-30", "2025-12-31")


def runs_in(out: Path) -> dict[str, Path]:
    return {path.name[:10]: path for path in out.iterdir() if runs.RUN_ID.fullmatch(path.name)}


def test_each_run_says_what_changed_since_the_one_before(chain):
    first, second, third = (
        json.loads((runs_in(chain)[c] / "changes.json").read_text()) for c in CUTOFFS
    )
    assert (
        first["before"] is None
        and "no run before this one" in (runs_in(chain)[CUTOFFS[0]] / "index.html").read_text()
    )
    assert (second["before"], third["before"]) == (first["after"], second["after"])
    assert "cutoff" in third["made_of"] and third["rows"][0]["table"] == "clients"
    assert f"Compared with run {second['after']}" in (chain / "latest" / "index.html").read_text()
    told = retention("compare", runs_in(chain)[CUTOFFS[0]], chain / "latest")
    assert told.returncode == 0 and f"Compared with run {first['after']}" in told.stdout
    machine = json.loads(
        retention("compare", runs_in(chain)[CUTOFFS[1]], chain / "latest", "--json").stdout
    )
    assert machine == third
    assert retention("compare", chain, chain / "latest").returncode == 2


def test_the_same_input_after_the_same_run_gives_the_same_files(chain, few, tmp_path):
    """But for run.json and run.log; and a run that is kept, but now follows another, is compared
    anew.
    """
    shutil.copytree(chain, tmp_path / "out", symlinks=True)
    out, (first, second, third) = tmp_path / "out", (runs_in(tmp_path / "out")[c] for c in CUTOFFS)
    publish.swing(second)
    shutil.rmtree(third)
    assert retention(*BRIEF, "--data", few, "--out", out, "--cutoff", CUTOFFS[2]).returncode == 0
    for path in (path for path in runs_in(chain)[CUTOFFS[2]].rglob("*") if path.is_file()):
        again = third / path.relative_to(runs_in(chain)[CUTOFFS[2]])
        assert path.name in ("run.json", "run.log") or path.read_bytes() == again.read_bytes(), path
    assert retention(*BRIEF, "--data", few, "--out", out, "--cutoff", CUTOFFS[0]).returncode == 0
    assert json.loads((out / "latest" / "changes.json").read_text())["before"] == third.name
    assert (out / "latest").resolve() == first.resolve() and publish.whole(first)
    (first / "index.html").write_text("damaged")
    assert retention(*BRIEF, "--data", few, "--out", out, "--cutoff", CUTOFFS[0]).returncode == 0
    assert json.loads((out / "latest" / "changes.json").read_text())["before"] == third.name


def test_nothing_is_done_where_nothing_changed(chain, few):
    again = retention(
        *BRIEF,
        "--data",
        few,
        "--out",
        chain,
        "--cutoff",
        CUTOFFS[2],
        "--if-changed",
        "--stale-after",
        0,
    )
    assert (again.returncode, again.stdout, again.stderr) == (
        0,
        f"{chain / 'latest' / 'index.html'}\n",
        "",
    )
    (chain / "failed").mkdir()
    words = (
        "report",
        "--data",
        few,
        "--out",
        chain,
        "--cutoff",
        CUTOFFS[2],
        "--if-changed",
        "--stale-after",
        0,
    )
    told = retention(*words, "--notebooks", "00").stderr.split()
    assert told == f"Nothing has changed since run {(chain / 'latest').resolve().name}".split()
    assert not (chain / "failed").exists(), (
        "an older failure is over once the data are those of the last run again"
    )


def test_data_that_changed_are_run_and_old_runs_are_cleared_away(chain, few, tmp_path):
    shutil.copytree(chain, tmp_path / "out", symlinks=True)
    shutil.copytree(few, tmp_path / "data")
    with (tmp_path / "data" / "meetings.csv").open("a") as table:
        table.write("c0001,2025-12-05,call,yes\n")
    (tmp_path / "out" / "2020-01-01-abcdef01").mkdir()  # no run, whatever its name
    (tmp_path / "out" / "notes").mkdir()
    words = (
        "--data",
        tmp_path / "data",
        "--out",
        tmp_path / "out",
        "--cutoff",
        CUTOFFS[2],
        "--if-changed",
        "--keep",
        2,
    )
    done = retention(*BRIEF, *words)
    assert done.returncode == 0, done.stderr
    kept = {path.name for path in (tmp_path / "out").iterdir()} - {
        ".lock",
        "latest",
        "notes",
        "2020-01-01-abcdef01",
    }
    assert kept == {runs_in(chain)[CUTOFFS[2]].name, (tmp_path / "out" / "latest").resolve().name}
    changed = json.loads((tmp_path / "out" / "latest" / "changes.json").read_text())
    assert changed["made_of"] == ["data"]
    grown = [
        (row["table"], row["after"] - row["before"])
        for row in changed["rows"]
        if row["after"] != row["before"]
    ]
    assert grown == [("meetings", 1)]


def test_the_run_of_latest_is_kept_whatever_its_age(chain, tmp_path):
    shutil.copytree(chain, tmp_path / "out", symlinks=True)
    oldest = runs_in(tmp_path / "out")[CUTOFFS[0]]
    os.utime(oldest / "run.json", (0, 0))
    publish.swing(oldest)
    assert len(publish.prune(tmp_path / "out", 1)) == 2 and list(
        runs_in(tmp_path / "out").values()
    ) == [oldest]


def test_verify_finds_every_difference(chain, tmp_path):
    run = tmp_path / (chain / "latest").resolve().name
    shutil.copytree((chain / "latest").resolve(), run)
    whole = retention("verify", run)
    assert whole.returncode == 0 and whole.stdout.strip().endswith("all whole")
    (run / "index.html").write_text("another")
    (run / "results.json").unlink()
    (run / ".DS_Store").write_text("no damage")
    told = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(told | {"cutoff": "2025-12-30"}))
    found = retention("verify", run)
    assert found.returncode == 1 and "NOT whole" in found.stdout
    assert {"index.html differs", "results.json is missing"} <= set(found.stdout.splitlines())
    assert "run.json does not say what the run's name was made from" in found.stdout
    assert retention("verify", tmp_path).returncode == 2


def test_data_that_end_long_ago_are_told_and_change_nothing_in_the_run(chain, few):
    words = (*BRIEF, "--data", few, "--out", chain, "--cutoff", CUTOFFS[2], "--if-changed")
    told = retention(*words, "--stale-after", 1).stderr
    assert re.fullmatch(
        rf"Warning: the (last day observed is {CUTOFFS[2]}|newest entry is of 2025-1\d-\d\d), "
        r"\d+ days ago\. .*\n",
        told,
    )
    assert publish.whole((chain / "latest").resolve())


def test_a_last_day_that_runs_ahead_of_the_data_is_told(tmp_path, capsys):
    today = dt.date.today()
    about = {
        "cutoff": str(today + dt.timedelta(days=9)),
        "newest": str(today - dt.timedelta(days=60)),
    }
    (tmp_path / "run.json").write_text(json.dumps(about))
    tell_stale(tmp_path, 45)
    told = capsys.readouterr().err
    assert f"the newest entry is of {about['newest']}, 60 days ago" in told
    assert f"the last day observed, {about['cutoff']}, is still to come" in told


def test_a_typing_error_in_a_date_stops_no_run_whose_last_day_is_told(few, tmp_path):
    rows = pd.read_csv(few / "clients.csv", dtype=str)
    rows.loc[rows["end_date"].notna().idxmax(), "recorded_date"] = "2099-01-01"
    shutil.copytree(few, tmp_path / "data")
    rows.to_csv(tmp_path / "data" / "clients.csv", index=False)
    done = retention(
        *BRIEF, "--data", tmp_path / "data", "--out", tmp_path / "out", "--cutoff", CUTOFFS[2]
    )
    assert done.returncode == 0, done.stderr
    assert (
        json.loads((tmp_path / "out" / "latest" / "run.json").read_text())["newest"] <= CUTOFFS[2]
    )


def test_two_folders_change_places(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    publish._exchange(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a" / "b").exists() and (tmp_path / "b" / "a").exists()


def test_a_folder_that_cannot_be_written_is_told_in_a_sentence(few, tmp_path):
    (tmp_path / "file").write_text("")
    done = retention("report", "--data", few, "--out", tmp_path / "file" / "below")
    assert (
        done.returncode == 2
        and "Traceback" not in done.stderr
        and "Check that it can be" in done.stderr
    )
    (tmp_path / "out" / "latest").mkdir(parents=True)
    done = retention("report", "--data", few, "--out", tmp_path / "out", "--notebooks", "00")
    assert done.returncode == 2 and "Move it away" in done.stderr


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_stops_at_once_and_leaves_nothing(how, few, tmp_path):
    command = [
        sys.executable,
        "-c",
        "from retention.cli import main; main()",
        "report",
        "--data",
        few,
        "--out",
        tmp_path,
    ]
    run = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    while not list(tmp_path.glob(".run-*/notebooks")):
        time.sleep(0.1)
    time.sleep(2)
    run.send_signal(how)
    told = run.communicate(timeout=30)[1]
    assert run.returncode == 130 and "Stopped." in told and "Traceback" not in told
    assert not list(tmp_path.glob(".run-*")) and not (tmp_path / "latest").exists()


def test_a_killed_worker_is_a_failed_notebook(few, tmp_path):
    project = project_with(tmp_path, "import os, signal; os.kill(os.getppid(), signal.SIGKILL)")
    words = ("--out", tmp_path / "out", "--data", few, "--notebooks", "01")
    done = retention("report", *words, cwd=project, PYTHONPATH=str(project / "src"))
    assert (
        done.returncode == 1
        and "process was killed" in done.stderr
        and "Traceback" not in done.stderr
    )
    assert "process was killed" in (tmp_path / "out" / "failed" / "index.html").read_text()


def test_a_second_run_is_told_to_wait(few, tmp_path):
    with publish.locked(tmp_path):
        done = retention("report", "--data", few, "--out", tmp_path)
    assert (done.returncode, "Another run is writing" in done.stderr) == (3, True)


def test_bad_input_leaves_the_last_report_and_says_why(out, few, tmp_path):
    shutil.copytree(few, tmp_path / "bad")
    table = tmp_path / "bad" / "clients.csv"
    table.write_text(table.read_text().replace("2025-", "2025/13/", 1))
    latest = (out / "latest").resolve()
    done = retention("report", "--data", tmp_path / "bad", "--out", out)
    assert (
        done.returncode == 2 and "is not a date" in done.stderr and "Traceback" not in done.stderr
    )
    assert (out / "latest").resolve() == latest and publish.whole(latest)
    assert "is not a date" in (out / "failed" / "index.html").read_text()
    verbose = retention("report", "--data", tmp_path / "bad", "--out", out, "--verbose")
    assert verbose.returncode == 2 and "Traceback" in verbose.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--data", "nowhere"], "no folder or file"),
        (["--config", "nowhere.toml"], "no file"),
        (["--cutoff", "31.12.2025"], "is not a date"),
        (["--cutoff", "1990-01-01"], "1990-01-01"),
        (["--notebooks", "99"], "No notebook 99"),
        (["--out", ""], "an empty name; say . for the folder you are in"),
    ],
)
def test_bad_parameters_exit_2_with_a_plain_sentence(tmp_path, words, told):
    done = retention("report", "--out", tmp_path, *words)
    assert done.returncode == 2 and told in done.stderr and "Traceback" not in done.stderr
    assert done.stderr.count(told) == 1  # a mail says it once


def project_with(tmp_path, source: str) -> Path:
    """A copy of the project whose second notebook ends with one more cell."""
    project = tmp_path / "project"
    (project / "src").mkdir(parents=True)
    shutil.copytree(ROOT / "notebooks", project / "notebooks")
    shutil.copytree(ROOT / "src" / "retention", project / "src" / "retention")
    path = project / "notebooks" / "01_contract_term.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(source, id="planted"))
    nbformat.write(notebook, path)
    return project


def test_a_notebook_that_fails_exits_1_and_is_shown(few, tmp_path):
    project = project_with(tmp_path, "raise ValueError('<b>on purpose</b>')")
    done = retention(
        "report",
        "--data",
        few,
        "--out",
        tmp_path / "out",
        "--notebooks",
        "00,01",
        cwd=project,
        PYTHONPATH=str(project / "src"),
    )
    assert done.returncode == 1 and "on purpose" in done.stderr
    (line,) = [
        line for line in done.stderr.splitlines() if line.startswith("retention report stopped")
    ]
    assert line == (
        "retention report stopped (exit 1): 01_contract_term failed: ValueError: <b>on purpose</b> "
        f"See {tmp_path / 'out' / 'failed' / 'index.html'}."
    )
    page = (tmp_path / "out" / "failed" / "index.html").read_text()
    assert "01_contract_term" in page and "&lt;b&gt;on purpose&lt;/b&gt;" in page
    assert not (tmp_path / "out" / "latest").exists()
    assert not (tmp_path / "out" / "failed" / "prepared").exists()
    kept = (tmp_path / "out" / "failed" / "notebooks" / "01_contract_term.ipynb").read_text()
    assert str(tmp_path) not in kept


def test_a_notebook_with_other_parameters_is_refused(tmp_path):
    notebook = nbformat.read(ROOT / "notebooks" / "00_data.ipynb", as_version=4)
    cell = next(c for c in notebook.cells if "parameters" in c.metadata.get("tags", []))
    cell.source += '\nsecret = ""'
    nbformat.write(notebook, tmp_path / "x.ipynb")
    with pytest.raises(ConfigError, match="needs one cell tagged 'parameters'"):
        check_parameters(tmp_path / "x.ipynb")


@pytest.mark.long
def test_stock_papermill_from_another_folder(tmp_path):
    notebook = ROOT / "notebooks" / "01_contract_term.ipynb"
    command = [
        sys.executable,
        "-m",
        "papermill",
        "-p",
        "cutoff",
        "2024-12-31",
        str(notebook),
        "out.ipynb",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "out.ipynb").read_text()
    assert "2024-12-31" in text and "application/vnd.retention+json" in text


@pytest.mark.long
def test_as_jupyterlab_runs_it():
    from nbclient import NotebookClient

    notebook = nbformat.read(ROOT / "notebooks" / "00_data.ipynb", as_version=4)
    NotebookClient(notebook, resources={"metadata": {"path": str(ROOT / "notebooks")}}).execute()
