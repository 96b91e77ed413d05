"""HTML: a page for each executed notebook, the index that answers first, and the page of a failed run."""

import math
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from retention.report.execute import Executed
from retention.results import EMPTY, MARKS, NOT_ENOUGH, between, quantity, verdict_class

TEMPLATES = Path(__file__).parent / "templates"
STYLE = (TEMPLATES / "style.css").read_text("utf-8")


@cache
def _environment() -> Environment:
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)
    environment.globals.update(MARKS=MARKS, verdict_class=verdict_class, between=between, quantity=quantity, axis=axis)
    environment.globals["style"] = STYLE
    return environment


def _write(folder: Path, template: str, **what: Any) -> None:
    (folder / "index.html").write_text(_environment().get_template(template).render(**what), "utf-8")


def write_pages(executed: Iterable[Path], folder: Path) -> dict[str, str]:
    """Write one HTML page a notebook into `folder`; the title (first heading) of each page by its name."""
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(
        template_name="page", extra_template_basedirs=[str(TEMPLATES)], exclude_input=True, exclude_anchor_links=True
    )
    titles = {}
    for path in executed:
        notebook = nbformat.read(path, as_version=4)
        titles[path.stem] = title = title_of(notebook)
        leave_out_empty_sections(notebook)
        body, _ = exporter.from_notebook_node(notebook, resources={"page_title": title, "style": STYLE})
        (folder / f"{path.stem}.html").write_text(body, "utf-8")
    return titles


def leave_out_empty_sections(notebook: Any) -> None:
    """Drop the sections of which every output is an empty table or chart, and say at the end which these are.

    The notebook is changed in place. The opening, before the first second-level heading, always stays.
    """
    sections: list[list[Any]] = [[]]
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and cell.source.startswith("## "):
            sections.append([])
        sections[-1].append(cell)
    bare = [section for section in sections[1:] if _is_bare(section)]
    notebook.cells = [cell for section in sections if section not in bare for cell in section]
    if bare:
        names = [section[0].source.splitlines()[0].removeprefix("## ").rstrip(".") for section in bare]
        lines = ["## Left out", "", "For these, the data are lacking or too few:", "", *(f"- {n}" for n in names)]
        notebook.cells.append(nbformat.v4.new_markdown_cell("\n".join(lines), id="left-out"))


def _is_bare(section: list[Any]) -> bool:
    """Whether the section shows something, and all that it shows is empty."""
    outputs = [output for cell in section if cell.cell_type == "code" for output in cell.outputs]
    shown = ["".join(output.get("data", {}).get("text/html", "")) for output in outputs]
    return bool(shown) and all(f'class="finding {EMPTY}"' in text for text in shown)


def title_of(notebook: Any) -> str:
    """The notebook's first heading, which is the question it answers."""
    lines = (line for cell in notebook.cells if cell.cell_type == "markdown" for line in cell.source.splitlines())
    return next((line.lstrip("# ").strip() for line in lines if line.startswith("# ")), "Untitled")


def write_index(folder: Path, results: Mapping[str, Any], titles: Mapping[str, str], about: Mapping[str, Any]) -> None:
    """Write index.html from the contents of results.json and what is known of the run."""
    findings, cutoff = results["findings"], f"data to {about['cutoff']}"
    headlines = [finding for finding in findings if finding["kind"] == "headline"]
    # A secondary claim that is still open has its card; the first lines are for answers, and for the three that matter.
    leading = [c for c in results["claims"] if c["tier"] == "primary" or c["verdict"] != NOT_ENOUGH]
    told = [claim["sentence"] for claim in leading if claim["sentence"]]
    told += [finding["text"] for finding in headlines if finding["id"] != "data"]
    gate = " ".join(finding["text"] for finding in headlines if finding["id"] == "data") or cutoff
    warnings = [finding["text"] for finding in findings if finding["kind"] == "warning"]
    said = {"gate": gate, "headlines": told, "warnings": warnings}
    _write(folder, "index.html.j2", results=results, titles=titles, about=about, **said)


def write_failure(folder: Path, why: str, failed: Iterable[Executed] = ()) -> None:
    """Write the page that says which notebook failed and why, or what is wrong with the data."""
    _write(folder, "failed.html.j2", why=why, failed=list(failed))


def axis(claim: Mapping[str, Any]) -> dict[str, Any] | None:
    """Where the marks of a claim's small axis stand, in per cent of its width; None where there is no estimate.

    Ratios are drawn on a log axis. The axis holds the interval, no difference and the published value.
    """
    numbers = [claim[key] for key in ("estimate", "low", "high")]
    if any(number is None for number in numbers):
        return None
    ratio = claim["scale"] == "ratio"
    none, published = 1.0 if ratio else 0.0, claim["published"]
    scale = math.log if ratio else float
    shown = [scale(number) for number in [*numbers, none, *([published] if published else [])]]
    low, width = min(shown), (max(shown) - min(shown)) or 1.0
    place = [round(6 + 88 * (value - low) / width, 1) for value in shown]
    names = ("estimate", "low", "high", "none", "published")
    return dict(zip(names, place, strict=False)) | {"none_label": f"{none:g}"}
