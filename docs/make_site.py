"""The site of the documents: `make docs`. Gathers documents, executed notebooks, glossary and the
names of the API in build/site, laid out as in the project, and has Sphinx build them.
"""

import argparse
import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat

import retention
from retention.report.sections import leave_out_other_data, tags_of
from retention.results import MIME
from retention.theme import rules, shapes, themes
from retention.words import terms

HERE = Path(__file__).parent
ROOT = HERE.parent
PACKAGE = ROOT / "src" / "retention"
BUILD = ROOT / "build"
SOURCES, SITE, REPORTS = BUILD / "site", BUILD / "docs", BUILD / "reports"
INJECTED = "injected-parameters"  # says where a run lay: of no use to readers
OURS = {"site/index.md": "index.md", "site/notebooks.md": "notebooks/index.md"}
OURS["site/benchmarks.md"] = "benchmarks/index.md"
ONE_FILE = "study"  # what a notebook opens; it stands beside the rooms


def main() -> None:
    """Build the site, from a run on the sample unless told which."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--notebooks", type=Path, help="executed notebooks to show")
    parser.add_argument("--out", type=Path, default=SITE)
    asked = parser.parse_args()
    gather(asked.notebooks or executed(), SOURCES)
    build(SOURCES, asked.out)
    print(asked.out / "index.html")


def executed() -> Path:
    """The folder of all notebooks, executed on the sample, and never on anybody's own data: in a
    report of their own, made anew only when something changed.
    """
    numbers = [path.name[:2] for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]
    program = [sys.executable, "-c", "from retention.cli import main; main()", "report"]
    sample = ["--data", str(ROOT / "data" / "sample"), "--out", str(REPORTS)]
    which = ["--notebooks", ",".join(numbers), "--if-changed", "--keep", "1"]
    subprocess.run([*program, *sample, *which], cwd=ROOT, check=True)
    return REPORTS / "latest" / "notebooks"


def gather(notebooks: Path, into: Path) -> None:
    """Write all sources of the site into a folder, which is emptied first."""
    shutil.rmtree(into, ignore_errors=True)
    for path in documents():
        target = into / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    _notebooks(notebooks, into / "notebooks")
    for source, name in OURS.items():
        shutil.copy(HERE / source, into / name)
    (into / "glossary.rst").write_text(glossary(), "utf-8")
    _api(into / "api")
    shutil.copy(HERE / "conf.py", into)
    (into / "style.css").write_text(style(), "utf-8")


def documents() -> Iterator[Path]:
    """The documents of the project, and their pictures."""
    for pattern in ("*.md", "docs/*.md", "docs/screens/*.png", "benchmarks/*.md"):
        yield from sorted(ROOT.glob(pattern))


def _notebooks(executed: Path, into: Path) -> None:
    """Every notebook with its output; one that was not executed stands there without."""
    into.mkdir()
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        ran = executed / path.name
        notebook = nbformat.read(ran if ran.exists() else path, as_version=4)
        nbformat.write(as_read(notebook), into / path.name)


def as_read(notebook: Any) -> Any:
    """A notebook without what is of its run alone: the cell of parameters, the times, what the run
    collects from it, and the cells for the other sort of data. It is changed in place.
    """
    leave_out_other_data(notebook)
    notebook.cells = [cell for cell in notebook.cells if INJECTED not in tags_of(cell)]
    for cell in notebook.cells:
        cell.metadata = {}
        for output in cell.get("outputs", ()):
            output.get("data", {}).pop(MIME, None)
    notebook.metadata = {"kernelspec": notebook.metadata.kernelspec}
    return notebook


def glossary() -> str:
    """The page of the field's terms, each a place that links may lead to."""
    in_order = sorted(terms().items(), key=lambda entry: entry[0].lower())
    entries = [f"   {term}\n      {meaning}\n" for term, meaning in in_order]
    return _title("Glossary") + ".. glossary::\n\n" + "\n".join(entries)


def _api(into: Path) -> None:
    """A page of the verbs, one of the study, and one a room."""
    into.mkdir()
    rooms = sorted(path.parent for path in PACKAGE.glob("*/__init__.py"))
    pages = {"verbs": _verbs(), ONE_FILE: _modules([ONE_FILE])}
    for room in rooms:
        names = [f"{room.name}.{path.stem}" for path in modules(room)]
        pages[room.name] = _modules([room.name, *names])
    for name, text in pages.items():
        (into / f"{name}.rst").write_text(_title(name) + text, "utf-8")
    contents = [".. toctree::", "   :maxdepth: 1", "", *(f"   {name}" for name in pages)]
    (into / "index.rst").write_text(_title("API reference") + "\n".join(contents), "utf-8")


def modules(room: Path) -> list[Path]:
    """The modules of a room that have a public function or class."""
    return [path for path in sorted(room.glob("[a-z]*.py")) if _public(path)]


def _public(path: Path) -> bool:
    kinds = ast.FunctionDef | ast.ClassDef
    made = [node for node in ast.parse(path.read_text("utf-8")).body if isinstance(node, kinds)]
    return any(not node.name.startswith("_") for node in made)


def _title(text: str) -> str:
    return f"{text}\n{'=' * len(text)}\n\n"


def _verbs() -> str:
    kinds = {True: "autoclass", False: "autofunction"}
    return "".join(
        f".. {kinds[isinstance(getattr(retention, name), type)]}:: retention.{name}\n\n"
        for name in retention.__all__
    )


def _modules(names: list[str]) -> str:
    """What there is to know of each module, under its name."""
    parts = [f"{name}\n{'-' * len(name)}\n\n.. automodule:: retention.{name}\n" for name in names]
    return "\n".join(parts)


def style() -> str:
    """The style sheet of what notebooks show, with the colours of the pages."""
    light, dark = map(rules, themes())
    follows = f"@media (prefers-color-scheme:dark){{body:not([data-theme=light]){{{dark}}}}}"
    return f"body{{{light}}}\nbody[data-theme=dark]{{{dark}}}\n{follows}\n{shapes()}"


def build(sources: Path, out: Path) -> None:
    """Have Sphinx make the site anew; a warning is an error."""
    shutil.rmtree(out, ignore_errors=True)
    words = ["-q", "-W", "--keep-going", "-E", "-d", str(sources.with_suffix(".doctrees"))]
    command = [sys.executable, "-m", "sphinx", *words, str(sources), str(out)]
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
