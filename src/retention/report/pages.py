"""HTML pages: one for each executed notebook, and the page of a failed run."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from markupsafe import Markup

from retention.report import actions
from retention.report.execute import Executed
from retention.report.glossary import PAGE as GLOSSARY
from retention.report.glossary import mark, with_terms
from retention.report.heads import head_of
from retention.report.sections import (
    arrange,
    leave_out_empty_sections,
    leave_out_other_data,
    payloads,
    title_of,
)
from retention.results import collect
from retention.show.templating import SCRIPT, STYLE, TEMPLATES, bar, write
from retention.words import say, terms


@dataclass(frozen=True)
class Report:
    """What the pages of one run share: whose it is, its failed notebooks, and the advice joined
    from all pages, by the id of a claim or answer.
    """

    whose: str = ""
    failed: tuple[Executed, ...] = ()
    advice: Mapping[str, str] = field(default_factory=dict)


def write_pages(executed: Iterable[Path], folder: Path, report: Report) -> dict[str, str]:
    """The title (first heading) of each page by its name, once one HTML page a notebook is written
    into `folder`.

    The page of a notebook that failed says so. One exporter makes the others: what it loads, it
    loads once.
    """
    exporter = _exporter()
    todo = actions.page(folder)
    stopped = {result.name: result for result in report.failed}
    notebooks = {path.stem: nbformat.read(path, as_version=4) for path in executed}
    for notebook in notebooks.values():
        leave_out_other_data(notebook)
    titles = {name: title_of(notebook) for name, notebook in notebooks.items()}
    order = [None, *titles.items(), None]
    for before, after, (name, notebook) in zip(order, order[2:], notebooks.items(), strict=False):
        top = Markup(bar(titles, name, report.whose, bool(todo)))
        around: dict[str, Any] = {"before": before, "after": after, "bar": top}
        if name in stopped:
            about = {"title": titles[name], "result": stopped[name], "kept": _kept(folder)}
            write(folder, "stopped.html.j2", f"{name}.html", **about, **around)
            continue
        head = head_of(titles[name], _own(notebook), report.advice)
        leave_out_empty_sections(notebook)
        arrange(notebook)
        known = {"head": head, "style": STYLE, "script": SCRIPT, "say": say}
        body, _ = exporter.from_notebook_node(notebook, resources=known | around)
        (folder / f"{name}.html").write_text(with_terms(body), "utf-8")
    if todo:
        top = Markup(bar(titles, actions.STEM, report.whose))
        write(folder, "actions.html.j2", actions.PAGE, bar=top, **todo)
    top = Markup(bar(titles, GLOSSARY, report.whose, bool(todo)))
    write(folder, "glossary.html.j2", GLOSSARY, terms=terms(), mark=mark, bar=top)
    return titles


def _exporter() -> Any:
    from nbconvert import HTMLExporter

    return HTMLExporter(
        template_name="page",
        extra_template_basedirs=[str(TEMPLATES)],
        exclude_input=True,
        exclude_anchor_links=True,
    )


def _own(notebook: Any) -> Mapping[str, Any]:
    """What the results of one notebook hand to the run."""
    return collect(payloads(notebook), "", "")


def write_failure(folder: Path, why: str, failed: Iterable[Executed] = ()) -> None:
    """Write the page that says which notebook failed and why, or what is wrong with the data."""
    write(folder, "failed.html.j2", why=why, failed=list(failed), kept=_kept(folder))


def _kept(folder: Path) -> set[str]:
    """Names of the notebooks that are there as far as they ran: none whose process was killed."""
    return {path.stem for path in (folder / "notebooks").glob("*.ipynb")}
