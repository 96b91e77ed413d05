"""The field's terms on the pages: the first of each on a page says what it means and leads to the
glossary.
"""

from __future__ import annotations

import re
from functools import cache

from markupsafe import escape

from retention.words import terms

PAGE = "glossary.html"
TAG = re.compile(r"(<[^>]*>)")
CLOSED = (
    "a",
    "code",
    "pre",
    "script",
    "style",
    "h1",
    "h2",
    "h3",
    "th",
    "button",
)  # stay as they are
OF, ESTIMATES = "data-of=", 'data-of="quantity"'  # what the rows of a table are
TEXTS = ("p", "li", "caption")  # where sentences stand; cells of tables hold data


def mark(term: str) -> str:
    """What a link to a term is called.

    >>> mark("net revenue retention")
    'net-revenue-retention'
    """
    return "-".join(re.findall(r"\w+", term.lower()))


def with_terms(body: str) -> str:
    """The HTML with the first of each term in running text made a link that says what it means;
    headings of columns, and names of estimates, say it on hover.
    """
    parts = TAG.split(body)
    open_tags: list[str] = []
    told: set[str] = set()
    estimates = False  # whether the last table opened is one of estimates
    for place, part in enumerate(parts):
        if part.startswith("<"):
            _follow(open_tags, part)
            estimates = ESTIMATES in part if OF in part else estimates
        elif part.strip() and _is_read(open_tags):
            parts[place] = _linked(part, told)
        elif part.strip() and _is_named(parts, place, estimates):
            parts[place - 1] = _hovered(parts[place - 1], part)
    return "".join(parts)


def _is_named(parts: list[str], place: int, estimates: bool) -> bool:
    """Whether this text is the heading of a column, or the first cell of a row of estimates."""
    cell = parts[place - 1]
    row = parts[max(place - 3, 0)]
    return cell.startswith("<th") or (estimates and cell.startswith("<td") and row == "<tr>")


def _hovered(tag: str, text: str) -> str:
    """The tag with the meaning of the first term in its text as its title."""
    found = _pattern().search(text)
    if not found:
        return tag
    return f'{tag[:-1]} title="{escape(terms()[_term_of(found)])}">'


def _term_of(found: re.Match[str]) -> str:
    word = found[0].lower()
    return _by_word().get(word) or _by_word()[word.removesuffix("s")]


def _follow(open_tags: list[str], tag: str) -> None:
    """Keep the list of open tags that matter here."""
    found = re.match(r"<(/?)([a-zA-Z0-9]+)", tag)
    if not found or tag.endswith("/>"):
        return
    name = found[2].lower()
    if name not in (*CLOSED, *TEXTS):
        return
    if not found[1]:
        open_tags.append(name)
    elif name in open_tags:
        del open_tags[len(open_tags) - 1 - open_tags[::-1].index(name) :]


def _is_read(open_tags: list[str]) -> bool:
    return any(tag in TEXTS for tag in open_tags) and not any(tag in CLOSED for tag in open_tags)


def _linked(text: str, told: set[str]) -> str:
    def link(found: re.Match[str]) -> str:
        term = _term_of(found)
        if term in told:
            return found[0]
        told.add(term)
        return (
            f'<a class="term" href="{PAGE}#{mark(term)}" title="{escape(terms()[term])}">'
            f"{found[0]}</a>"
        )

    return _pattern().sub(link, text)


@cache
def _by_word() -> dict[str, str]:
    """Each term by how it is looked up: in lower case."""
    return {term.lower(): term for term in terms()}


@cache
def _pattern() -> re.Pattern[str]:
    """Any term, or its plural, the longest first, so that 'churn rate' is not read as 'churn'; of
    one that ends in s ('holds', 'odds') there is no other form.
    """
    words = sorted(_by_word(), key=len, reverse=True)
    forms = [re.escape(word) + ("" if word.endswith("s") else "s?") for word in words]
    return re.compile(rf"(?i)\b(?:{'|'.join(forms)})\b")
