"""What all templates share: their folder, their style and script, and what they may call."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from retention.errors import printable, without_paths
from retention.numbers import between, quantity
from retention.results import MARKS, NOT_RUN, badge, verdict_class
from retention.words import say, texts

TEMPLATES = Path(__file__).parent / "templates"
STYLE, SCRIPT = ((TEMPLATES / name).read_text("utf-8") for name in ("style.css", "page.js"))
INDEX = "index.html"


def plainly(text: str) -> str:
    """A message as a page may show it: no character that hides or reorders others, and no path of
    this machine.
    """
    return without_paths(printable(text))


@cache
def environment() -> Environment:
    """The templates, filled in with text that is escaped; an undefined name is an error."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined
    )
    made.globals.update(MARKS=MARKS, NOT_RUN=NOT_RUN, badge=badge, verdict_class=verdict_class)
    made.globals.update(between=between, quantity=quantity)
    made.globals.update(style=STYLE, script=SCRIPT, say=say)
    made.filters.update(plainly=plainly)
    return made


def render(template: str, **what: Any) -> str:
    """The template filled in."""
    return environment().get_template(template).render(**what)


def write(folder: Path, template: str, page: str = INDEX, **what: Any) -> None:
    """Write the template, filled in, as a page of the folder."""
    (folder / page).write_text(render(template, **what), "utf-8")


def bar(titles: Mapping[str, str], here: str, whose: str, todo: bool = True) -> str:
    """The bar of pages on top of each page: whose report it is, the index and the pages by their
    short names; a stranger's page by its title. `here`: the page's name, `index` for the index.
    `todo`: whether there is a page of what to do.
    """
    first = ["index", *(["actions"] if todo else [])]
    pages = [(name, _short(name, titles)) for name in (*first, *titles)]
    return render("bar.html.j2", pages=pages, here=here, whose=whose)


def _short(name: str, titles: Mapping[str, str]) -> str:
    known = f"report.nav.{name}" in texts()
    return say(f"report.nav.{name}") if known else titles[name]
