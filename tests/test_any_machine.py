"""A report on a system without fcntl, resource, links and forks: the same numbers."""

import json
import os
import subprocess
import sys

import pytest

from conftest import ROOT
from retention.report import publish

LACKING = """
import builtins, os
known = builtins.__import__

def lacking(name, globals=None, *rest, **more):
    asks = (globals or {}).get("__name__", "")
    if name in ("fcntl", "resource", "pwd", "termios") and asks.startswith("retention"):
        raise ModuleNotFoundError(name)
    return known(name, globals, *rest, **more)

def no_link(*args, **more):
    raise OSError("a required privilege is not held by the client")

builtins.__import__ = lacking
os.symlink = no_link
del os.fork
"""
COMMAND = [sys.executable, "-c", "from retention.cli import main; main()", "report"]


@pytest.mark.long
def test_the_report_has_the_same_numbers_where_the_system_has_less(tmp_path, shared_report):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(LACKING)
    path = os.pathsep.join([str(tmp_path / "site"), str(ROOT / "src")])
    out = tmp_path / "reports"
    done = subprocess.run(
        [*COMMAND, "--data", shared_report / "data", "--out", out],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    run = publish.last(out)
    assert not (out / "latest").exists()
    assert f"{run.name}/index.html" in (out / "latest.html").read_text()
    made, expected = (
        json.loads((folder / "results.json").read_text())
        for folder in (run, shared_report / "out" / "latest")
    )
    assert made == expected


def test_without_links_a_page_leads_to_the_last_run(tmp_path, monkeypatch):
    def no_link(*args, **more):
        raise OSError("a required privilege is not held by the client")

    monkeypatch.setattr("pathlib.Path.symlink_to", no_link)
    for name in ("2025-12-31-00000001", "2026-01-31-00000002"):
        (tmp_path / name).mkdir()
        publish.swing(tmp_path / name)
        assert publish.last(tmp_path) == (tmp_path / name).resolve()
    monkeypatch.undo()
    publish.swing(tmp_path / "2025-12-31-00000001")
    assert publish.last(tmp_path).name == "2025-12-31-00000001"
    assert not (tmp_path / "latest.html").exists()
