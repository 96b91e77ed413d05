"""The site of the documents: builds without a warning, and no page of it leads nowhere, loads from
outside or uses a word that is not used.
"""

import importlib.util
import json
import re
import subprocess
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from bs4 import BeautifulSoup

import language
import retention
from conftest import HOSTILE
from retention.words import terms

ROOT = Path(__file__).parents[1]
LOADS = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}
FROM_OUTSIDE = re.compile(r"@import|url\(\s*['\"]?(?:https?:)?//")


def loaded(name):
    """A program of docs/, as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make_site = loaded("make_site")


def soup_of(page):
    return BeautifulSoup(page.read_text("utf-8"), "html.parser")


def places(page):
    return {
        tag[name] for tag in soup_of(page).find_all() for name in ("id", "name") if tag.get(name)
    }


def broken(site):
    """Links of the pages of a site that lead to no file of it, or to no such place in one."""
    known = {page: places(page) for page in site.rglob("*.html")}
    found = []
    for page in known:
        for anchor in soup_of(page).find_all("a", href=True):
            link = urlsplit(anchor["href"])
            if link.scheme or link.netloc:
                continue
            file = (page.parent / unquote(link.path)).resolve() if link.path else page
            nowhere = not file.is_file() or (link.fragment and file not in known)
            if nowhere or (link.fragment and unquote(link.fragment) not in known[file]):
                found.append(f"{page.relative_to(site)}: {anchor['href']}")
    return found


def from_outside(site):
    """What pages and style sheets of a site would load from elsewhere."""
    found = []
    for page in site.rglob("*.html"):
        for tag in soup_of(page).find_all(LOADS):
            address = tag.get(LOADS[tag.name], "")
            if re.match(r"(https?:)?//", address) and tag.get("rel") != ["canonical"]:
                found.append(f"{page.name}: {address}")
    sheets = [*site.rglob("*.css"), *site.rglob("*.html")]
    return found + [path.name for path in sheets if FROM_OUTSIDE.search(path.read_text("utf-8"))]


@pytest.fixture(scope="module")
def site(shared_report, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    make_site.gather(shared_report / "out" / "latest" / "notebooks", folder / "sources")
    make_site.build(folder / "sources", folder / "built")
    return (folder / "built").resolve()


@pytest.mark.long
def test_every_link_of_the_site_leads_somewhere(site):
    assert len([*site.rglob("*.html")]) > 50
    assert broken(site) == []


@pytest.mark.long
def test_the_site_loads_nothing_from_outside(site):
    assert from_outside(site) == []


@pytest.mark.long
def test_the_site_uses_no_word_that_is_not_used(site):
    faults = {
        page.name: language.unfit(soup_of(page).get_text(" ")) for page in site.rglob("*.html")
    }
    assert {page: found for page, found in faults.items() if found} == {}


@pytest.mark.long
def test_each_notebook_stands_there_with_its_output(site, shared_report):
    names = {path.stem for path in (shared_report / "out" / "latest" / "notebooks").glob("*")}
    assert len(names) > 9
    for name in names:
        page = soup_of(site / "notebooks" / f"{name}.html")
        assert len(page.select(".cell_output svg.wide")) > 0, name
        assert len(page.select(".cell_output table")) > 1, name
        assert "out_dir = " in page.get_text() and "prepared" not in page.get_text(), name


@pytest.mark.long
def test_names_of_clients_are_no_markup_on_the_site(site):
    texts = [page.read_text("utf-8") for page in site.rglob("*.html")]
    assert not any(HOSTILE in text for text in texts)
    assert any(HOSTILE in BeautifulSoup(text, "html.parser").get_text() for text in texts)


@pytest.mark.long
def test_every_verb_and_term_has_its_place(site):
    verbs = places(site / "api" / "verbs.html")
    assert {f"retention.{name}" for name in retention.__all__} <= verbs
    page = soup_of(site / "glossary.html")
    shown = [term.get_text().rstrip("¶ ") for term in page.select("dl.glossary dt")]
    assert shown == sorted(terms(), key=str.lower)
    assert "Kaplan-Meier" in soup_of(site / "api" / "verbs.html").get_text()


@pytest.mark.long
def test_every_document_is_on_the_site(site):
    for path in make_site.documents():
        if path.suffix == ".md":
            assert (site / path.relative_to(ROOT)).with_suffix(".html").exists(), path.name


def test_planted_faults_of_a_site_are_found(tmp_path):
    page, other = tmp_path / "page.html", tmp_path / "other.html"
    other.write_text('<p id="here">fine</p>')
    fine = '<a href="other.html#here">a</a><a href="https://example.org">b</a>'
    wrong = '<a href="other.html#gone">c</a><a href="none.html">d</a><a href="#gone">e</a>'
    page.write_text(fine + wrong + '<script src="https://example.org/x.js"></script>')
    (tmp_path / "a.css").write_text("a{background:url(//example.org/x.png)}")
    links = ["other.html#gone", "none.html", "#gone"]
    assert broken(tmp_path) == [f"page.html: {link}" for link in links]
    assert from_outside(tmp_path) == ["page.html: https://example.org/x.js", "a.css"]


@pytest.mark.slow
def test_a_link_to_nowhere_stops_the_build(tmp_path):
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / "conf.py").write_text((ROOT / "docs" / "conf.py").read_text())
    (sources / "style.css").write_text(make_site.style())
    (sources / "index.md").write_text("# Title\n\n[a](none.md)\n")
    with pytest.raises(subprocess.CalledProcessError):
        make_site.build(sources, tmp_path / "out")


def test_a_notebook_is_shown_without_what_is_of_its_run():
    tags = {"tags": ["injected-parameters"], "papermill": {"duration": 1.0}}
    shown = {"output_type": "execute_result", "data": {"text/html": "a", make_site.MIME: {}}}
    cells = [
        {"cell_type": "code", "metadata": tags, "outputs": []},
        {"cell_type": "code", "metadata": tags | {"tags": []}, "outputs": [shown]},
        {"cell_type": "markdown", "metadata": {"tags": ["snapshot"]}, "source": "# Other title"},
    ]
    metadata = {"kernelspec": {"name": "python3"}, "papermill": {"output_path": "x"}}
    notebook = nbformat.from_dict({"cells": cells, "metadata": metadata})
    read = make_site.as_read(notebook)
    output = {"output_type": "execute_result", "data": {"text/html": "a"}}
    assert read["cells"] == [{"cell_type": "code", "metadata": {}, "outputs": [output]}]
    assert "papermill" not in json.dumps(read)
