"""Citations and links: METHODS and STUDY lead to sections and rows of docs/, and every relative
link to a file.
"""

import io
import json
import re
import tokenize
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = {"METHODS": ROOT / "docs" / "methods.md", "STUDY": ROOT / "docs" / "study.md"}
SECTIONS = re.compile(r"METHODS\s+(\d+(?:, \d+)*(?: and \d+)?)\b")
ROWS = re.compile(r"STUDY\s+([A-D]\d+(?:, [A-D]\d+)*(?: and [A-D]\d+)?)\b")
SENTENCE = re.compile(
    r"\brows? ([A-D]\d+(?:(?:,| and| to) [A-D]\d+)*)\b"
)  # as pages say it to readers: "(row A4)"
OTHER_FORMS = re.compile(
    r"\b(?i:study)(?:'s)? rows? [A-D]\d+|\b(?:METHODS|STUDY) (?:section|row)\b|\bSTUDY\.md row"
)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"(?ms)^```.*?^```|`[^`\n]*`")


def anchors(text: str) -> set[str]:
    """The places in a Markdown page that a link may lead to: `<a id>` and headings, as GitHub names
    them.
    """
    named = re.findall(r'<a id="([^"]+)"></a>', text)
    without = re.sub(r"(?ms)^```.*?^```", "", text)
    slugs: list[str] = []
    for heading in re.findall(r"(?m)^#+ (.+)$", without):
        slug = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        slugs.append(f"{slug}-{slugs.count(slug)}" if slug in slugs else slug)
    return {*named, *slugs}


@cache
def places(page: str) -> set[str]:
    return anchors(PAGES[page].read_text("utf-8"))


def wrong_citations(text: str) -> list[str]:
    """Citations in a text that lead nowhere, or are not in the one form."""
    found = [f"{m.group(0)}: write STUDY A2 or METHODS 2" for m in OTHER_FORMS.finditer(text)]
    for pattern, page, prefix in (
        (SECTIONS, "METHODS", "m"),
        (ROWS, "STUDY", ""),
        (SENTENCE, "STUDY", ""),
    ):
        for match in pattern.finditer(text):
            ids = re.findall(r"[A-D]?\d+", match.group(1))
            found += [
                f"{match.group(0)}: no {cited}"
                for cited in ids
                if prefix + cited.lower() not in places(page)
            ]
    for match in re.finditer(r"\b(METHODS|STUDY)\b", text):
        pattern = SECTIONS if match.group(1) == "METHODS" else ROWS
        if not pattern.match(text, match.start()):
            found.append(f"{text[match.start() : match.start() + 30]!r}: cites nothing")
    return found


def prose(path: Path) -> str:
    """What a file says: comments and strings of Python (names in code cite nothing), all of any
    other file.
    """
    source = path.read_text("utf-8")
    if path.suffix == ".ipynb":
        return "\n".join("".join(cell["source"]) for cell in json.loads(source)["cells"])
    if path.suffix != ".py":
        return re.sub(r"`(METHODS|STUDY)`", "", source)
    # A comment may go on in the next line, and the citation with it.
    told = [
        token.string.removeprefix("#")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type
        in (tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", -1))
    ]
    return "\n".join(told)


def citing() -> Iterator[Path]:
    for pattern in (
        "src/**/*.py",
        "src/**/*.toml",
        "notebooks/*.ipynb",
        "docs/*.md",
        "tests/**/*.py",
    ):
        yield from sorted(ROOT.glob(pattern))
    yield from (ROOT / name for name in ("README.md", "CONTRIBUTING.md"))


def wrong_links(path: Path, text: str) -> list[str]:
    """Relative links of a page that lead to no file, or to no such place in it."""
    found = []
    for target in LINK.findall(FENCE.sub("", text)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, place = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        if not file.exists():
            found.append(f"{target}: no such file")
        elif place and place not in anchors(text if file == path else file.read_text("utf-8")):
            found.append(f"{target}: no such place")
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", [p for p in citing() if p != Path(__file__)], ids=lambda p: str(p.relative_to(ROOT))
)
def test_every_citation_leads_somewhere(path):
    assert wrong_citations(prose(path)) == []


@pytest.mark.slow
def test_sections_and_rows_are_all_there():
    assert {f"m{k}" for k in range(12)} <= places("METHODS")
    rows = {"a": 10, "b": 7, "c": 9, "d": 11}
    assert {f"{part}{k}" for part, last in rows.items() for k in range(1, last + 1)} <= places(
        "STUDY"
    )
    cited = "\n".join(prose(path) for path in citing() if path != Path(__file__))
    assert len(SECTIONS.findall(cited)) > 100  # so that a pattern that finds nothing does not pass


def test_planted_wrong_citations_are_found():
    assert (
        wrong_citations(
            "as METHODS 2 and 4 say, METHODS 0, 1 and 11, STUDY A10 and D11; rows B1 to B7"
        )
        == []
    )
    assert wrong_citations("# METHODS 14") == ["METHODS 14: no 14"]
    assert wrong_citations("see METHODS 2 and\nMETHODS 1 and 14") == ["METHODS 1 and 14: no 14"]
    assert wrong_citations("STUDY A11, B8") == ["STUDY A11, B8: no A11", "STUDY A11, B8: no B8"]
    assert wrong_citations("The study says so (row C10).") == ["row C10: no C10"]
    assert len(wrong_citations("study row A2")) == 1
    assert len(wrong_citations("METHODS section 1")) == 2
    assert wrong_citations("METHODS, above") == ["'METHODS, above': cites nothing"]


def test_in_python_only_comments_and_strings_cite(tmp_path):
    source = tmp_path / "x.py"
    source.write_text('STUDY = {}  # METHODS\n# 99\nwords = STUDY["A1"]\n')
    assert wrong_citations(prose(source)) == ["METHODS\n 99: no 99"]


PAGES_WITH_LINKS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
]


@pytest.mark.parametrize("path", PAGES_WITH_LINKS, ids=lambda p: p.name)
def test_every_relative_link_leads_somewhere(path):
    assert wrong_links(path, path.read_text("utf-8")) == []


def test_planted_wrong_links_are_found(tmp_path):
    page, other = tmp_path / "page.md", tmp_path / "other.md"
    other.write_text('# One (1): a `heading`\n\n# Twice\n\n# Twice\n\n<a id="m2"></a>\n')
    fine = (
        "[a](other.md) [b](other.md#one-1-a-heading) [c](other.md#m2) [d](other.md#twice-1) "
        "[e](https://example.org)"
    )
    wrong = "[f](none.md) [g](other.md#m3) [h](#here) `[i](none.md)`"
    page.write_text(f"{fine}\n{wrong}")
    told = ["none.md: no such file", "other.md#m3: no such place", "#here: no such place"]
    assert wrong_links(page, page.read_text()) == told


def test_types_are_shipped(tmp_path):
    """Whoever installs the package gets its annotations: py.typed is in the wheel."""
    from flit_core.wheel import make_wheel_in

    made = make_wheel_in(ROOT / "pyproject.toml", tmp_path)
    assert "retention/py.typed" in zipfile.ZipFile(made.file).namelist()
