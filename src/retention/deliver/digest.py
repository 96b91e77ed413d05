"""What a run found, short enough for a mail: as HTML that mail programs show, and as plain text.

A mail program runs no script, knows no style sheet and no SVG: styles stand on each element, the
layout is tables, and the course of each tile is a small PNG inside the file.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image, ImageDraw

from retention.deliver.owners import file_names
from retention.words import say

HTML, TEXT = "digest.html", "digest.txt"
FOLDER = "digests"  # those of each owner
TEMPLATES = Path(__file__).parent / "templates"
MOST_DUE = 25  # (ours) clients that a mail names; the list has them all
MOST_CHANGES = 8  # (ours) lines
CHART = (120, 30)  # width and height of a course, in dots
FINER = 4  # a course is drawn so many times larger, then made smaller, so that its line is smooth
LINE = (31, 95, 168, 255)


@dataclass(frozen=True)
class Front:
    """What the index shows first: `headline` (title and the line under it), `tiles` (each `label,
    value, note, course`), `changes` (lines), `due` (rows of the list of actions that are due this
    week), `active` (clients), and the files beside it.
    """

    whose: str
    cutoff: str
    run_id: str
    headline: tuple[str, str]
    tiles: Sequence[Mapping[str, Any]]
    changes: Sequence[str]
    due: Sequence[Mapping[str, Any]]
    active: int


def write_digests(folder: Path, front: Front) -> None:
    """Write digest.html and digest.txt, and those of each owner who has something due into
    digests/.
    """
    _write(folder, HTML, TEXT, front, "index.html")
    names = file_names(str(row["owner"]) for row in front.due)
    for owner, name in names.items():
        (folder / FOLDER).mkdir(exist_ok=True)
        own = of_owner(front, owner)
        _write(folder / FOLDER, f"{name}.html", f"{name}.txt", own, "../index.html")


def of_owner(front: Front, owner: str) -> Front:
    """The same with what is due of this owner alone."""
    return replace(front, due=[row for row in front.due if row["owner"] == owner])


def _write(folder: Path, html: str, text: str, front: Front, link: str) -> None:
    (folder / html).write_text(as_html(front, link), "utf-8")
    (folder / text).write_text(as_text(front, link), "utf-8", newline="\n")


def as_html(front: Front, link: str) -> str:
    """The digest as a page for a mail; what comes from the data is escaped. `link`: the address of
    the report; no link where it is empty.
    """
    pictures = [picture(str(tile["course"])) for tile in front.tiles]
    tiles = list(zip(front.tiles, pictures, strict=True))
    return _environment().get_template("digest.html.j2").render(**_parts(front, link), tiles=tiles)


def as_text(front: Front, link: str) -> str:
    """The digest as plain text."""
    text = _environment().get_template("digest.txt.j2").render(**_parts(front, link))
    return text.strip() + "\n"


def subject(front: Front) -> str:
    """The subject of the mail: whose report it is, to when, and how many clients are due."""
    return say("deliver.digest.subject", whose=front.whose, cutoff=front.cutoff, n=len(front.due))


def _parts(front: Front, link: str) -> dict[str, Any]:
    return {
        "front": front,
        "link": link,
        "owners": by_owner(front.due[:MOST_DUE]),
        "more": max(len(front.due) - MOST_DUE, 0),
        "changes": front.changes[:MOST_CHANGES],
        "more_changes": max(len(front.changes) - MOST_CHANGES, 0),
    }


def by_owner(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """The rows of each owner, owners by name, rows in their order."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(str(row["owner"]), []).append(row)
    return dict(sorted(found.items()))


def picture(course: str) -> str:
    """A course (points as `x,y x,y` in a box of `CHART`) as a PNG in base64; empty for none."""
    if not course:
        return ""
    points = [
        tuple(FINER * float(number) for number in point.split(",")) for point in course.split()
    ]
    width, height = CHART
    large = Image.new("RGBA", (FINER * width, FINER * height), (255, 255, 255, 0))
    ImageDraw.Draw(large).line(points, fill=LINE, width=2 * FINER, joint="curve")
    small = large.resize((2 * width, 2 * height), Image.Resampling.LANCZOS)
    written = io.BytesIO()
    small.save(written, "PNG", optimize=True)
    return base64.b64encode(written.getvalue()).decode("ascii")


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=lambda name: bool(name and name.endswith(".html.j2")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(say=say)
    return made
