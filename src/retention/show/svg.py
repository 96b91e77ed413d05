"""A Matplotlib figure as SVG for a page: text stays text, colours are those of the page."""

import hashlib
import io
import re
from xml.etree import ElementTree as Tree

import matplotlib
from matplotlib.figure import Figure

from retention.errors import printable
from retention.show.colours import VARIABLES

SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"
NOT_XML = re.compile("[\ufffe\uffff]")  # which `printable` leaves
NUMBER = re.compile(r"-?\d+\.\d+")
COLOUR = re.compile(r"#[0-9a-f]{6}")
POINTING = re.compile(r"url\(#([^)]+)\)")
UNTURNED = re.compile(r"rotate\(-?0(\.0*)? [^)]*\)")
# as Matplotlib's own style sheet has it, which would hold for the whole page
LINES = "stroke-linejoin:round;stroke-linecap:butt;font-family:system-ui,sans-serif"
Element = Tree.Element


def drawn(figure: Figure, seed: str) -> Element:
    """The figure as an `svg` element without width and height. Its ids are made of what it shows
    and of `seed`, so that no other figure of a page has them.

    The same figure and seed give the same bytes.
    """
    for patch in (figure.patch, *(axes.patch for axes in figure.axes)):
        patch.set_visible(False)  # the page is the paper
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": seed}):
        figure.savefig(buffer, format="svg", metadata=nothing)
    root = Tree.fromstring(NOT_XML.sub("", printable(buffer.getvalue())))
    for part in list(root.iter()):
        _plain(part)
    _without(root, ("metadata", "style"))
    _rename(root, seed)
    for part in root.iter("g"):
        _style_once(part)
    box = NUMBER.sub(_rounded, root.attrib["viewBox"])
    root.attrib = {"viewBox": box, "style": LINES}
    return root


def text_of(root: Element) -> str:
    """The element as text that may stand in HTML."""
    return Tree.tostring(root, encoding="unicode")


def _plain(part: Element) -> None:
    """Take namespaces, long numbers and fixed colours off an element, in place."""
    part.tag = part.tag.removeprefix(SVG)
    part.tail = None
    if part.tag not in ("text", "tspan"):
        part.text = None
    if LINK in part.attrib:
        part.attrib["href"] = part.attrib.pop(LINK)
    for name in ("d", "x", "y", "width", "height", "transform"):
        if name in part.attrib:
            short = NUMBER.sub(_rounded, part.attrib[name])
            part.attrib[name] = " ".join(UNTURNED.sub("", short).split())
    if not part.attrib.get("transform", "as it is"):
        del part.attrib["transform"]
    if "style" in part.attrib:
        part.attrib["style"] = _style(part.attrib["style"])


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number[0]):.1f}".removesuffix(".0").replace("-0", "0", number[0] == "-0")


def _style(style: str) -> str:
    """The style without a font, its colours by their names on the page."""
    rules = (rule.strip().replace(": ", ":") for rule in style.split(";"))
    kept = ";".join(rule for rule in rules if rule and not rule.startswith("font-family"))
    return COLOUR.sub(lambda found: VARIABLES.get(found[0], found[0]), kept)


def _without(root: Element, tags: tuple[str, ...]) -> None:
    for part in list(root.iter()):
        for child in list(part):
            if child.tag in tags:
                part.remove(child)


def _rename(root: Element, seed: str) -> None:
    """Keep the ids that something points at, numbered in order and begun as no other figure's."""
    text = Tree.tostring(root, encoding="unicode")
    used = {*POINTING.findall(text), *re.findall(r'href="#([^"]+)"', text)}
    marked = [part for part in root.iter() if "id" in part.attrib]
    for part in marked:
        if part.attrib["id"] not in used:
            del part.attrib["id"]
    marks = [part.attrib["id"] for part in marked if "id" in part.attrib]
    # Matplotlib's own marks are numbers of this process in part: not the same from run to run
    numbers = {mark: str(number) for number, mark in enumerate(marks)}
    _replace(root, numbers)
    shown = seed + Tree.tostring(root, encoding="unicode")
    begin = "f" + hashlib.sha256(shown.encode()).hexdigest()[:8]
    _replace(root, {number: f"{begin}-{number}" for number in numbers.values()})


def _replace(root: Element, names: dict[str, str]) -> None:
    """Change ids, and what points at them, in place."""
    for part in root.iter():
        if "id" in part.attrib:
            part.attrib["id"] = names[part.attrib["id"]]
        if "href" in part.attrib:
            part.attrib["href"] = "#" + names[part.attrib["href"].removeprefix("#")]
        for name in ("clip-path", "style"):
            if name in part.attrib:
                value = part.attrib[name]
                part.attrib[name] = POINTING.sub(lambda at: f"url(#{names[at[1]]})", value)


def _style_once(part: Element) -> None:
    """A style that all children of a group share is written once, on the group; opacity is not
    handed down.
    """
    styles = {child.attrib.get("style", "") for child in part}
    shared = styles.pop() if len(styles) == 1 else ""
    if len(part) < 2 or not shared or "opacity" in shared or "style" in part.attrib:
        return
    part.attrib["style"] = shared
    for child in part:
        del child.attrib["style"]
