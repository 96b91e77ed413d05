"""Plain present-day English in the field's terms, in all that readers and developers meet."""

import json

import pytest
from bs4 import BeautifulSoup

import language

PLANTED = "What is foretold of nought."
FAULTS = ["foretold: say predicted", "nought: say zero, or none"]


@pytest.mark.parametrize(
    "kind", ["documents", "notebooks", "words_files", "docstrings", "help_texts"]
)
def test_no_word_that_is_not_used(kind):
    found = {place: language.unfit(text) for place, text in getattr(language, kind)()}
    assert len(found) > 5
    assert {place: faults for place, faults in found.items() if faults} == {}


def test_the_pages_of_the_sample_use_none(shared_report):
    for page in (shared_report / "out" / "latest").glob("*.html"):
        soup = BeautifulSoup(page.read_text("utf-8"), "html.parser")
        assert language.unfit(soup.get_text(" ")) == [], page.name


def test_a_planted_word_is_found_wherever_it_stands(tmp_path, monkeypatch):
    monkeypatch.setattr(language, "ROOT", tmp_path)
    monkeypatch.setattr(language, "PACKAGE", tmp_path / "src")
    for folder in ("docs", "benchmarks", "notebooks", "src"):
        (tmp_path / folder).mkdir()
    (tmp_path / "docs" / "a.md").write_text(PLANTED)
    cell = {"id": "1", "source": [PLANTED]}
    (tmp_path / "notebooks" / "a.ipynb").write_text(json.dumps({"cells": [cell]}))
    (tmp_path / "src" / "a.toml").write_text(f'text = "{PLANTED}"')
    (tmp_path / "src" / "page.html.j2").write_text(PLANTED)
    (tmp_path / "src" / "a.py").write_text(f'"""{PLANTED}"""')
    (tmp_path / "src" / "b.py").write_text(f"x = 1  # {PLANTED}")
    monkeypatch.setattr(language.cli.commands["report"], "help", PLANTED)
    found = [place for place, text in language.everything() if language.unfit(text) == FAULTS]
    places = {"docs/a.md", "a.ipynb 1", "a.toml", "page.html.j2", "a.py", "b.py"}
    assert set(found) == places | {"--help", "report --help"}
