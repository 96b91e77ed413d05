"""No decision depends on a wording: with every text of `words/` replaced, all is decided as before."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pandas as pd
import pytest

from conftest import ROOT
from retention.words import fields_of

pytestmark = pytest.mark.long

PACKAGE = ROOT / "src" / "retention"
DECIDED = ("id", "verdict", "qualifier_keys", "about_as_claimed", "fragile", "more_events_needed")


def reworded(value: object, name: str) -> object:
    """The table of texts with each text its own name reversed, and the fields that it had."""
    if isinstance(value, dict):
        return {key: reworded(part, f"{name}.{key}") for key, part in value.items()}
    if not isinstance(value, str):
        return value
    fields = re.findall(r"\{\w+(?:[:!][^{}]*)?\}", value)
    assert len(fields) >= len(fields_of(value))
    return " ".join([name[::-1].replace("{", "").replace("}", ""), *fields])


def written(table: dict, prefix: str = "") -> str:
    """The table as TOML: its texts, then its sections."""
    lines = [f"{json.dumps(k)} = {json.dumps(v)}" for k, v in table.items() if type(v) is not dict]
    for key, part in table.items():
        if isinstance(part, dict):
            name = f"{prefix}{json.dumps(key)}"
            lines += [f"[{name}]", written(part, f"{name}.")]
    return "\n".join(lines)


@pytest.fixture(scope="module")
def run(shared_report, tmp_path_factory) -> Path:
    """The shared report's data, reported by a package all of whose texts are other ones."""
    base = tmp_path_factory.mktemp("reworded")
    shutil.copytree(PACKAGE, base / "src" / "retention")
    shutil.copytree(ROOT / "notebooks", base / "notebooks")
    for file in (base / "src" / "retention" / "words").glob("*.toml"):
        if file.name != "glossary.toml":
            texts = tomllib.loads(file.read_text("utf-8"))
            file.write_text(written(reworded(texts, file.stem)), "utf-8")
    command = [sys.executable, "-c", "from retention.cli import main; main()", "report"]
    words = ["--data", str(shared_report / "data"), "--out", str(base / "out")]
    done = subprocess.run(
        [*command, *words],
        cwd=base,
        env=os.environ | {"PYTHONPATH": str(base / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return base / "out" / "latest"


def results(folder: Path) -> dict:
    return json.loads((folder / "results.json").read_text())


def test_the_texts_are_others(shared_report, run):
    before, after = results(shared_report / "out" / "latest"), results(run)
    names = [{row["name"] for row in found["estimates"]} for found in (before, after)]
    assert len(names[0] & names[1]) < 0.2 * len(names[0])


def test_every_verdict_estimate_and_finding_is_the_same(shared_report, run):
    before, after = results(shared_report / "out" / "latest"), results(run)
    for claim, other in zip(before["claims"], after["claims"], strict=True):
        assert {key: claim[key] for key in DECIDED} == {key: other[key] for key in DECIDED}
        assert claim["advice"] == other["advice"]
    numbers = ("id", "key", "estimate", "low", "high", "unit", "n_clients", "n_events")
    for row, other in zip(before["estimates"], after["estimates"], strict=True):
        assert [row[key] for key in numbers] == [other[key] for key in numbers]
    kinds = [[(f["id"], f["kind"]) for f in found["findings"]] for found in (before, after)]
    assert kinds[0] == kinds[1]


def test_every_list_names_the_same_clients_in_the_same_order(shared_report, run):
    files = sorted((shared_report / "out" / "latest" / "lists").glob("*.csv"))
    assert len(files) > 4
    for file in files:
        names = (file, run / "lists" / file.name)
        before, after = (pd.read_csv(name, keep_default_na=False) for name in names)
        assert before["client_id"].tolist() == after["client_id"].tolist(), file.name
        if "act_by" in before:
            assert before["act_by"].tolist() == after["act_by"].tolist()
