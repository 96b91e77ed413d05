"""HTML: a page for each executed notebook, the index that answers first, and the page of a failed
run.
"""

import math
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from retention.data.schema import read_list
from retention.errors import printable, without_paths
from retention.lists import registry
from retention.report import actions
from retention.report.execute import Executed
from retention.report.glossary import PAGE as GLOSSARY
from retention.report.glossary import mark, with_terms
from retention.results import (
    EMPTY,
    MARKS,
    MIME,
    NOT_ENOUGH,
    Listing,
    badge,
    between,
    quantity,
    verdict_class,
)
from retention.words import say, terms, texts

LEADS = 5  # findings that stand open at the top of the index; the rest is folded
NUMBERS = ("risk", "low", "high", "at_stake")  # columns of the lists that are no words
FIRST_LISTS = ("save", "scores", "care")  # the others follow in the order of the registry
FIRST_ROWS = 5  # of each list on the index
SPARE = {
    "rep_id",
    "months_to_renewal",
    "margin_a_month",
    "contact",
}  # columns for which the file is the place
SNAPSHOT, DATED = "snapshot", "dated"  # tags of cells for one sort of data alone
TEMPLATES = Path(__file__).parent / "templates"
STYLE, SCRIPT = ((TEMPLATES / name).read_text("utf-8") for name in ("style.css", "page.js"))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined
    )
    environment.globals.update(MARKS=MARKS, badge=badge, verdict_class=verdict_class)
    environment.globals.update(between=between, quantity=quantity, axis=axis)
    environment.filters.update(plainly=plainly)
    environment.globals.update(style=STYLE, script=SCRIPT, LEADS=LEADS, say=say)
    return environment


def _write(folder: Path, template: str, page: str = "index.html", **what: Any) -> None:
    (folder / page).write_text(_environment().get_template(template).render(**what), "utf-8")


def plainly(text: str) -> str:
    """A message as a page may show it: no character that hides or reorders others, and no path of
    this machine.
    """
    return without_paths(printable(text))


def write_pages(
    executed: Iterable[Path], folder: Path, failed: Iterable[Executed] = ()
) -> dict[str, str]:
    """The title (first heading) of each page by its name, once one HTML page a notebook is written
    into `folder`.

    The page of a notebook that failed says so. One exporter makes the others: what it loads, it
    loads once.
    """
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(
        template_name="page",
        extra_template_basedirs=[str(TEMPLATES)],
        exclude_input=True,
        exclude_anchor_links=True,
        filters={"marked": with_marks},
    )
    stopped = {result.name: result for result in failed}
    notebooks = {path.stem: nbformat.read(path, as_version=4) for path in executed}
    for notebook in notebooks.values():
        leave_out_other_data(notebook)
    titles = {name: title_of(notebook) for name, notebook in notebooks.items()}
    order = [None, *titles.items(), None]
    for before, after, (name, notebook) in zip(order, order[2:], notebooks.items(), strict=False):
        if name in stopped:
            around: dict[str, Any] = {"title": titles[name], "before": before, "after": after}
            _write(
                folder,
                "stopped.html.j2",
                f"{name}.html",
                result=stopped[name],
                kept=_kept(folder),
                **around,
            )
            continue
        leave_out_empty_sections(notebook)
        known: dict[str, Any] = {"page_title": titles[name], "style": STYLE, "script": SCRIPT}
        known |= {"contents": contents_of(notebook), "before": before, "after": after, "say": say}
        body, _ = exporter.from_notebook_node(notebook, resources=known)
        (folder / f"{name}.html").write_text(with_terms(body), "utf-8")
    if todo := actions.page(folder):
        _write(folder, "actions.html.j2", actions.PAGE, **todo)
    _write(folder, "glossary.html.j2", GLOSSARY, terms=terms(), mark=mark)
    return titles


def contents_of(notebook: Any) -> list[tuple[str, str]]:
    """(mark, words) of each second-level heading, in order; marks as `with_marks` puts them on the
    page.
    """
    lines = (
        line
        for cell in notebook.cells
        if cell.cell_type == "markdown"
        for line in cell.source.splitlines()
    )
    heads = [line.removeprefix("## ").strip() for line in lines if line.startswith("## ")]
    return [(mark_of(head), head) for head in heads]


def mark_of(heading: str) -> str:
    """What a link to a heading is called.

    >>> mark_of("Who leaves early, and who stays?")
    'who-leaves-early-and-who-stays'
    """
    return "-".join(re.findall(r"\w+", heading.lower()))


def with_marks(body: str) -> str:
    """The HTML of a cell with a mark on each second-level heading, for the contents to point at."""
    heading = re.compile(r"<h2>(.*?)</h2>")
    return heading.sub(lambda h: f'<h2 id="{mark_of(Markup(h[1]).striptags())}">{h[1]}</h2>', body)


def leave_out_other_data(notebook: Any) -> None:
    """Drop the cells tagged for the other sort of data: `dated` of a snapshot, `snapshot` of data
    with dates.

    It is a snapshot where a finding of that id was shown. The notebook is changed in place.
    """
    shown = [
        output.get("data", {}).get(MIME, {})
        for cell in notebook.cells
        for output in cell.get("outputs", ())
    ]
    found = {finding["id"] for payload in shown for finding in payload.get("findings", ())}
    other = DATED if SNAPSHOT in found else SNAPSHOT
    notebook.cells = [cell for cell in notebook.cells if other not in cell.metadata.get("tags", ())]


def leave_out_empty_sections(notebook: Any) -> None:
    """Drop the sections of which every output is an empty table or chart, and say at the end which
    these are.

    The notebook is changed in place. The opening, before the first second-level heading, always
    stays.
    """
    sections: list[list[Any]] = [[]]
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and cell.source.startswith("## "):
            sections.append([])
        sections[-1].append(cell)
    bare = [section for section in sections[1:] if _is_bare(section)]
    notebook.cells = [cell for section in sections if section not in bare for cell in section]
    if bare:
        names = [
            section[0].source.splitlines()[0].removeprefix("## ").rstrip(".") for section in bare
        ]
        head = say("report.page.left_out")
        why = say("report.page.left_out_why")
        lines = [f"## {head}", "", why, "", *(f"- {name}" for name in names)]
        notebook.cells.append(nbformat.v4.new_markdown_cell("\n".join(lines), id="left-out"))


def _is_bare(section: list[Any]) -> bool:
    """Whether the section shows something, and all that it shows is empty."""
    outputs = [output for cell in section if cell.cell_type == "code" for output in cell.outputs]
    shown = ["".join(output.get("data", {}).get("text/html", "")) for output in outputs]
    return bool(shown) and all(f'class="finding {EMPTY}"' in text for text in shown)


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


def write_index(
    folder: Path, results: Mapping[str, Any], titles: Mapping[str, str], about: Mapping[str, Any]
) -> None:
    """Write index.html from the contents of results.json and what is known of the run."""
    findings = results["findings"]
    headlines = [finding for finding in findings if finding["kind"] == "headline"]
    gate = " ".join(finding["text"] for finding in headlines if finding["id"] == "data")
    said: dict[str, Any] = {
        "gate": gate or say("report.index.data_to", cutoff=about["cutoff"]),
        "headlines": _leads(results["claims"], headlines),
        "warnings": [finding["text"] for finding in findings if finding["kind"] == "warning"],
        "lists": lists(folder),
        "actions": actions.PAGE if (folder / actions.PAGE).is_file() else "",
    }
    _write(folder, "index.html.j2", results=results, titles=titles, about=about, **said)


def _leads(claims: Iterable[Mapping[str, Any]], headlines: list[Mapping[str, Any]]) -> list[str]:
    """The lead sentences in order: the claims that matter most, then what else was found.

    Of the findings one of each part of the study comes first, the last parts before the others:
    they are about what to do. A secondary claim that is still open has its card alone.
    """
    parts = {finding["id"].rstrip("0123456789"): finding for finding in reversed(headlines)}
    ordered = [finding for finding in headlines[::-1] if finding in parts.values()]
    ordered += [finding for finding in headlines if finding not in ordered]
    spoken = [claim for claim in claims if claim["sentence"]]
    primary = [claim["sentence"] for claim in spoken if claim["tier"] == "primary"]
    settled = [
        claim["sentence"]
        for claim in spoken
        if claim["tier"] != "primary" and claim["verdict"] != NOT_ENOUGH
    ]
    others = [finding["text"] for finding in ordered if finding["id"] != "data"]
    return [*primary, *others, *settled]


def lists(folder: Path) -> list[dict[str, Any]]:
    """The lists to act on that a run has written: where each is, how long, and its first rows as a
    table.
    """
    made = []
    paths = {path.stem: path for path in (folder / "lists").glob("*.csv")}
    paths.pop(registry.ACTIONS, None)  # which has a page of its own
    paths["scores"] = folder / "scores.csv"
    names = [*FIRST_LISTS, *registry.in_order(set(paths) - set(FIRST_LISTS))]
    for path in (paths[name] for name in names if name in paths):
        rows = read_list(path, NUMBERS) if path.is_file() else pd.DataFrame()
        if rows.empty:
            continue
        caption = _list_caption(path.stem)
        table = Listing(_for_readers(rows.head(FIRST_ROWS)), caption, {"at_stake": ",.0f"})
        made.append(
            {
                "caption": caption,
                "path": path.relative_to(folder).as_posix(),
                "count": len(rows),
                "html": Markup(table.html()),
            }
        )
    return made


def _list_caption(stem: str) -> str:
    """The caption of a list, by the name of its file: its own, else what the list is called."""
    has_own = f"report.caption.{stem}" in texts()
    return say(f"report.caption.{stem}") if has_own else registry.caption_of(stem)


def _for_readers(rows: pd.DataFrame) -> pd.DataFrame:
    """The columns of a list that fit a first page, a chance with its interval in one."""
    if {"risk", "low", "high"} <= set(rows):
        chance = [
            say("report.index.chance", risk=risk, low=100 * low, high=100 * high)
            for risk, low, high in rows[["risk", "low", "high"]].to_numpy()
        ]
        rows = rows.assign(risk=chance).drop(columns=["low", "high"])
    if "action" in rows:
        rows = rows.assign(action=rows["action"].map(registry.action_words))
    spare = [name for name in rows if name in SPARE or (name == "client_id" and "client" in rows)]
    return rows.drop(columns=spare)


def write_failure(folder: Path, why: str, failed: Iterable[Executed] = ()) -> None:
    """Write the page that says which notebook failed and why, or what is wrong with the data."""
    _write(folder, "failed.html.j2", why=why, failed=list(failed), kept=_kept(folder))


def _kept(folder: Path) -> set[str]:
    """Names of the notebooks that are there as far as they ran: none whose process was killed."""
    return {path.stem for path in (folder / "notebooks").glob("*.ipynb")}


def axis(claim: Mapping[str, Any]) -> dict[str, Any] | None:
    """Where the marks of a claim's small axis stand, in per cent of its width; None where there is
    no estimate.

    Ratios are drawn on a log axis. The axis holds the interval, no difference and the published
    value.
    """
    numbers = [claim[key] for key in ("estimate", "low", "high")]
    if any(number is None for number in numbers):
        return None
    ratio = claim["scale"] == "ratio"
    none = 1.0 if ratio else 0.0
    published = claim["published"]
    scale = math.log if ratio else float
    shown = [scale(number) for number in [*numbers, none, *([published] if published else [])]]
    low = min(shown)
    width = (max(shown) - min(shown)) or 1.0
    place = [round(6 + 88 * (value - low) / width, 1) for value in shown]
    names = ("estimate", "low", "high", "none", "published")
    return dict(zip(names, place, strict=False)) | {"none_label": f"{none:g}"}
