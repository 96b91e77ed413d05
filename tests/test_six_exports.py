"""A folder of six tools' exports of one agency, from `init` to every page; and what a large
export may take of memory.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from conftest import ROOT
from retention.cli import cli
from retention.data import read
from retention.report.run import when_asked
from retention.settings import resolve
from test_recipes import COMPANIES, EXPORTS, LEFT_OUT, answered, drafted

SIX = ("harvest", "googleads", "delighted", "quickbooks", "asana")  # with the companies of the CRM
EVERY = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
PAGES = [path.stem for path in EVERY if not when_asked(path)]
MISSPELT = {"Willow Plumbing LLC": "Wilow Plumbing", "Umber Dental Co.": "Umbre Dental"}


@pytest.fixture(scope="module")
def agency(tmp_path_factory) -> Path:
    """Six exports, two clients misspelt in one of them; drafted, answered, and confirmed."""
    folder = tmp_path_factory.mktemp("six")
    time, *others = (next((EXPORTS / name).iterdir()) for name in SIX)
    text = time.read_text()
    for name, other in MISSPELT.items():
        assert name in text
        text = text.replace(name, other)
    (folder / "time.csv").write_text(text)
    drafted(folder, (folder / "time.csv", *others, COMPANIES))
    assert answered(folder / "retention.toml", LEFT_OUT) <= 5
    names = pd.read_csv(folder / "crosswalk.csv", dtype=str, keep_default_na=False)
    near = (names["what"] == "name without a client") & (names["client_id"] != "")
    found = names[near].set_index("name")["client"].to_dict()
    assert found == {other: name for name, other in MISSPELT.items()}
    names.loc[near, "confirmed"] = "yes"
    names.to_csv(folder / "crosswalk.csv", index=False)
    return folder


def test_six_exports_are_joined_by_name(agency):
    tables = read(resolve(config=str(agency / "retention.toml")))
    assert set(tables.rows) == {"clients", "account_months", "surveys", "hours", "requests"}
    raw = pd.read_csv(next((EXPORTS / "harvest").iterdir()))
    assert tables.frames["hours"]["hours"].sum() == pytest.approx(raw["Hours"].sum())
    months = tables.frames["account_months"]
    assert months["ad_spend"].notna().sum() == 1181 and months["fee"].notna().sum() > 1600
    assert any("4 rows of 4 that are none of the clients" in note for note in tables.notes)


@pytest.mark.slow
def test_six_exports_give_every_page(agency):
    out = agency / "reports"
    asked = ["report", "--config", str(agency / "retention.toml"), "--out", str(out)]
    done = CliRunner().invoke(cli, asked)
    assert done.exit_code == 0, done.output
    made = {path.stem for path in (out / "latest").glob("*.html")}
    assert len(PAGES) == 10 and set(PAGES) <= made
    data = (out / "latest" / "00_data.html").read_text("utf-8")
    assert "4 rows of 4 that are none of the clients were left out" in data


def _peak(folder: Path, megabytes: float) -> float:
    """The most memory of a process that checks an export of this size, in megabytes."""
    code = (
        "import resource, sys; sys.path.insert(0, 'benchmarks')\n"
        "from pathlib import Path; import invoices\n"
        f"folder = Path({str(folder)!r}); invoices.write(folder, {megabytes})\n"
        "print(invoices.peak_megabytes(folder)[0])"
    )
    place = dict(os.environ, PYTHONPATH=str(ROOT / "src"))
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=place,
        capture_output=True,
        text=True,
        check=True,
    )
    shutil.rmtree(folder)
    return float(done.stdout.split()[-1])


@pytest.mark.long
@pytest.mark.slow
def test_ten_times_the_export_takes_far_less_than_ten_times_the_memory(tmp_path):
    small = _peak(tmp_path / "small", 4)
    large = _peak(tmp_path / "large", 40)
    assert large < 3 * small, (small, large)
