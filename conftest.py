"""What tests share: a small hand-made agency, the sample, and skips that may not hide a hole on the
check machine.
"""

import fcntl
import gc
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT / "tests"))
HOSTILE = "<script>document.title = 'owned'</script>"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Where RETENTION_NO_SKIPS is set, a test skipped for want of a program is a failure."""
    result = yield
    report = result.get_result()
    if (
        report.skipped
        and os.environ.get("RETENTION_NO_SKIPS")
        and "install" in str(report.longrepr)
    ):
        report.outcome = "failed"


DEAR = {"shared_report", "large"}  # fixtures that take long: a test that needs one is slow


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items):
    """What needs a dear fixture is slow; and the files with the largest share of slow tests come
    first: with two workers none then waits for the other at the end.
    """
    for item in items:
        if DEAR & {*getattr(item, "fixturenames", ())}:
            item.add_marker(pytest.mark.slow)
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.slow)
    slow: dict[Path, list[bool]] = {}
    for item in items:
        slow.setdefault(item.path, []).append(item.get_closest_marker("slow") is not None)
    items.sort(key=lambda item: -sum(slow[item.path]) / len(slow[item.path]))


def clients_of(rows: list[tuple], columns: tuple[str, ...] = ()) -> pd.DataFrame:
    """A clients table from (id, start, end, term, *more) tuples; dates as text, end None while a
    client stays.
    """
    names = ["client_id", "start_date", "end_date", "contract_term_months", *columns]
    frame = pd.DataFrame(rows, columns=names)
    dates = [name for name in names if name.endswith("_date")]
    frame[dates] = frame[dates].apply(pd.to_datetime)
    return frame.assign(monthly_ad_spend=1000.0)


@pytest.fixture(scope="session")
def sample_study():
    from retention import open_study

    return open_study(str(ROOT / "data" / "sample"))


@pytest.fixture(autouse=True)
def examples_ask_the_sample(request):
    """An example in a docstring that asks a study asks the sample, in the project's folder."""
    item = request.node
    if not isinstance(item, pytest.DoctestItem):
        return
    sources = "".join(example.source for example in item.dtest.examples)
    if "study" not in sources:
        return
    import retention

    request.getfixturevalue("monkeypatch").chdir(ROOT)
    item.dtest.globs |= {"retention": retention, "study": request.getfixturevalue("sample_study")}


@pytest.fixture(scope="session")
def shared_report(tmp_path_factory) -> Path:
    """A folder with `data`, a small made-up agency, and `out`, its report: made once for all files
    of tests.

    One client has a hostile name and is sure to be listed, for its fee departs most. Who writes
    into it takes a copy.
    """
    from retention.data.schema import write_csv
    from retention.sample import write_sample

    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "shared-report"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another worker may be making it
        if (folder / "out" / "latest").exists():
            return folder
        write_sample(folder / "data", clients=150, seed=3)
        clients = pd.read_csv(folder / "data" / "clients.csv").astype({"monthly_ad_spend": float})
        first = clients.index[clients["end_date"].isna()][0]
        clients.loc[first, ["name", "fee_pct", "monthly_ad_spend"]] = [HOSTILE, 1.0, 9e6]
        write_csv(clients, folder / "data" / "clients.csv")
        command = [sys.executable, "-c", "from retention.cli import main; main()", "report"]
        words = ["--data", str(folder / "data"), "--out", str(folder / "out")]
        done = subprocess.run(
            [*command, *words], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == str(folder / "out" / "latest" / "index.html")
    return folder


@pytest.fixture(scope="module")
def quick():
    """Charts that are laid out and not painted, and few draws: for tests of what runs through at
    all.
    """
    import fuzz

    with pytest.MonkeyPatch.context() as patch:
        fuzz.quick_pictures(patch.setattr)
        fuzz.few_draws(patch.setattr)
        yield
    gc.collect()


@pytest.fixture(scope="module")
def browser():
    """Debian's Chromium, driven by Playwright."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        yield started
        started.close()
