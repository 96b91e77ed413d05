"""A page from an executed notebook: the pictures first, then every section folded, with its result
beside its heading.

The notebook keeps the order of its argument; which cells come first on the page is said by their
tags: one `first` picture, at most two `small` ones. Cells tagged `answer`, `do` and `tiles` are
read for the page's head and for the index, and are not shown again; those tagged `provenance` are
shown on the data page alone, where they are not tagged.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from html import unescape
from typing import Any

import nbformat
from jinja2 import Environment
from markupsafe import Markup

from retention.numbers import quantity
from retention.results import ALL, EMPTY, MIME, Checks, badge
from retention.words import say, texts

SNAPSHOT, DATED = "snapshot", "dated"  # tags of cells for one sort of data alone
FIRST, SMALL, MOST_SMALL = "first", "small", 2
ELSEWHERE = ("answer", "do", "tiles", "provenance")  # tags of cells that are shown elsewhere
CHECKS = "checks"
SHORT = "short"  # begins the tag of the cell whose result stands on its fold
MOST_GROUPS = 2  # groups that a fold names
TITLE = re.compile(r'<div class="title">(.*?)</div>')
OF = re.compile(r'data-of="(.*?)"')
HTML = {"retention": "html"}  # metadata of the raw cells that this module puts in
FOLD = Environment(autoescape=True).from_string(
    '<details class="fold"><summary><h2 id="{{ mark }}">{{ head }}</h2>'
    '{% if short %} <span class="short">{{ short }}</span>{% endif %}</summary>'
)
Section = list[Any]


def arrange(notebook: Any) -> None:
    """Bring the notebook's cells into the order of a page, in place; its title is left out, for the
    head of the page shows it.
    """
    sections = _sections(notebook.cells)
    pictures = _pictures(sections)
    cells = _framed(pictures)
    claims = [row for cell in notebook.cells for row in _payloads(cell, "claims")]
    for number, section in enumerate(sections):
        head = say("report.page.opening") if number == 0 else heading_of(section[0])
        rest = [cell for cell in section if not _taken(cell, pictures)]
        own = [cell for cell in section if not set(tags_of(cell)) & set(ELSEWHERE)]
        cells += _folded(head, rest, short_of(rest, own, claims))
    notebook.cells = cells


def _sections(cells: Section) -> list[Section]:
    """The cells by second-level heading; the opening first."""
    sections: list[Section] = [[]]
    for cell in cells:
        if cell.cell_type == "markdown" and cell.source.startswith("## "):
            sections.append([])
        sections[-1].append(cell)
    return sections


def heading_of(cell: Any) -> str:
    """The words of a cell's heading."""
    return str(cell.source.splitlines()[0].lstrip("# ").strip())


def tags_of(cell: Any) -> list[str]:
    """The cell's tags."""
    return list(cell.metadata.get("tags", ()))


def _pictures(sections: list[Section]) -> Section:
    """The pictures that come first: those tagged so, else the first of the notebook."""
    drawn = [cell for section in sections for cell in section if _draws(cell)]
    large = [cell for cell in drawn if FIRST in tags_of(cell)] or drawn
    small = [cell for cell in drawn if SMALL in tags_of(cell) and cell is not large[0]]
    return [*large[:1], *small[:MOST_SMALL]]


def _draws(cell: Any) -> bool:
    return any("<figure" in html for html in _html(cell))


def _html(cell: Any) -> Iterator[str]:
    """The HTML that a cell shows."""
    for output in cell.get("outputs", ()):
        yield "".join(output.get("data", {}).get("text/html", ""))


def _framed(pictures: Section) -> Section:
    """The pictures, the small ones beside the large one, or below it where there is no room."""
    if len(pictures) < 2:
        return list(pictures)
    opened = _raw('<div class="pictures">')
    beside = _raw('<div class="pair">')
    return [opened, pictures[0], beside, *pictures[1:], _raw("</div></div>")]


def _raw(html: str) -> Any:
    return nbformat.v4.new_raw_cell(html, metadata=HTML)


def _taken(cell: Any, pictures: Section) -> bool:
    """Whether the cell is shown elsewhere on the page."""
    elsewhere = set(tags_of(cell)) & set(ELSEWHERE) and not _payloads(cell, "claims")
    return bool(elsewhere) or any(cell is picture for picture in pictures)


def _folded(head: str, cells: Section, short: str) -> Section:
    """The cells of a section in a fold, under its heading and its result in short; nothing where
    nothing of it is left to show.
    """
    shown = [cell for cell in map(_without_heading, cells) if _shows(cell)]
    if not shown:
        return []
    fold = FOLD.render(mark=mark_of(head), head=head, short=short)
    return [_raw(fold), *shown, _raw("</details>")]


def _without_heading(cell: Any) -> Any:
    """A Markdown cell without its first-level or second-level heading; any other as it is."""
    if cell.cell_type != "markdown":
        return cell
    plain = re.sub(r"\A##? .*\n?", "", cell.source).strip()
    return nbformat.NotebookNode({**cell, "source": plain})


def _shows(cell: Any) -> bool:
    return bool(cell.source if cell.cell_type == "markdown" else cell.get("outputs"))


def short_of(cells: Section, every: Sequence[Any] = (), claims: Sequence[Any] = ()) -> str:
    """The result of a section in a few words, for its fold: what a cell is tagged for (`short`,
    `short:QUANTITY` of its estimates, or `short:checks` of the page's claim), else its verdict, its
    first sentence that has a short form, what its first picture finds, its first estimates, or how
    long its table is.

    `cells` are those that the fold shows, `every` those of the section, `claims` the page's.
    """
    for cell in every:
        for tag in tags_of(cell):
            name, _, of = tag.partition(":")
            if name == SHORT and (words := _tagged_words(cell, of, claims)):
                return words
    return _result_of(cells) or _result_of(every) or _length_words(cells)


def _tagged_words(cell: Any, of: str, claims: Sequence[Any]) -> str:
    return _checks_words(claims, of) or _result_of([cell], of) or _length_words([cell])


def _checks_words(claims: Sequence[Any], of: str) -> str:
    """How many checks of the page's first claim with any disagree, where that is asked for."""
    known = [check for claim in claims for check in claim["checks"]] if of == CHECKS else []
    return Checks(**known[0]).words if known else ""


def _result_of(cells: Sequence[Any], quantity_id: str = "") -> str:
    if quantity_id and quantity_id != CHECKS:
        return _estimates_words(cells, quantity_id)
    claims = [row for cell in cells for row in _payloads(cell, "claims")]
    if claims:
        first = claims[0]
        return badge(first["verdict"], first["fragile"])
    said = [text for cell in cells for text in _payloads(cell, SHORT) if text]
    shown = [html for cell in cells for html in _html(cell)]
    titles = [title for html in shown for title in TITLE.findall(html)]
    if said or titles:
        first_found = [*said, *titles][0]
        return unescape(first_found)
    return _estimates_words(cells)


def _estimates_words(cells: Sequence[Any], quantity_id: str = "") -> str:
    """The first quantity of the estimates (or the one of this id), of its first groups."""
    rows = [row for cell in cells for row in _payloads(cell, "estimates")]
    known = [row for row in rows if row["estimate"] is not None]
    known = [row for row in known if row["key"].startswith(quantity_id)]
    own = [row for row in known if row["name"] == known[0]["name"]]
    if not own:
        return ""
    name, values = own[0]["name"], [quantity(row["estimate"], row["unit"]) for row in own]
    if own[0]["group"] == ALL:
        return say("report.page.short", name=name, value=values[0])
    groups = [
        say("report.page.short_group", group=row["group"], value=value)
        for row, value in zip(own[:MOST_GROUPS], values, strict=False)
    ]
    return say("report.page.short", name=name, value=", ".join(groups))


def _length_words(cells: Sequence[Any]) -> str:
    """How many rows the first table has, by what they are of."""
    tables = [html for cell in cells for html in _html(cell) if "<table" in html]
    if not tables:
        return ""
    first = tables[0]
    n = first.count("<tr") - 1
    of = "".join(OF.findall(first)[:1])
    key = f"short.rows.{of}"
    return say(key, n=n) if key in texts() else say("report.page.rows", n=n)


def _payloads(cell: Any, kind: str) -> list[Any]:
    """What of this kind a cell's results hand to the run."""
    found: list[Any] = []
    for output in cell.get("outputs", ()):
        found += output.get("data", {}).get(MIME, {}).get(kind, [])
    return found


def payloads(notebook: Any) -> list[Mapping[str, Any]]:
    """All that the results of a notebook hand to the run, in order."""
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", ()))
    return [data[MIME] for output in outputs if MIME in (data := output.get("data", {}))]


def tagged(notebook: Any, start: str) -> dict[str, Markup]:
    """The HTML of the cells whose tag begins so, by the rest of the tag; empty ones left out."""
    found = {}
    for cell in notebook.cells:
        for tag in tags_of(cell):
            html = "\n".join(_html(cell))
            if tag.startswith(start) and html and not _is_empty(html):
                found[tag.removeprefix(start)] = Markup(html)
    return found


def _is_empty(html: str) -> bool:
    return f'class="finding {EMPTY}"' in html


def mark_of(heading: str) -> str:
    """What a link to a heading is called.

    >>> mark_of("Who leaves early, and who stays?")
    'who-leaves-early-and-who-stays'
    """
    return "-".join(re.findall(r"\w+", heading.lower()))


def title_of(notebook: Any) -> str:
    """The notebook's first heading, which is the question it answers."""
    lines = (
        line
        for cell in notebook.cells
        if cell.cell_type == "markdown"
        for line in cell.source.splitlines()
    )
    titles = (line.lstrip("# ").strip() for line in lines if line.startswith("# "))
    return next(titles, say("report.page.untitled"))


def leave_out_other_data(notebook: Any) -> None:
    """Drop the cells tagged for the other sort of data: `dated` of a snapshot, `snapshot` of data
    with dates.

    It is a snapshot where a finding of that id was shown. The notebook is changed in place.
    """
    found = {row["id"] for payload in payloads(notebook) for row in payload.get("findings", ())}
    other = DATED if SNAPSHOT in found else SNAPSHOT
    notebook.cells = [cell for cell in notebook.cells if other not in tags_of(cell)]


def leave_out_empty_sections(notebook: Any) -> None:
    """Drop the sections of which every output is an empty table or chart, and say at the end which
    these are.

    The notebook is changed in place. The opening, before the first second-level heading, always
    stays.
    """
    opening, *sections = _sections(notebook.cells)
    bare = [section for section in sections if _is_bare(section)]
    kept = [section for section in sections if section not in bare]
    notebook.cells = [cell for section in (opening, *kept) for cell in section]
    if bare:
        head = say("report.page.left_out")
        why = say("report.page.left_out_why")
        names = [f"- {heading_of(section[0]).rstrip('.')}" for section in bare]
        lines = [f"## {head}", "", why, "", *names]
        notebook.cells.append(nbformat.v4.new_markdown_cell("\n".join(lines), id="left-out"))


def _is_bare(section: Section) -> bool:
    """Whether the section shows something, and all that it shows is empty."""
    shown = [html for cell in section if cell.cell_type == "code" for html in _html(cell)]
    return bool(shown) and all(_is_empty(html) for html in shown)
