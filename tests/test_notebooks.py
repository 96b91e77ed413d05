"""The shape of the notebooks: a question, its answer first, short cells that only call, no number
typed into text.
"""

import ast
import re
from pathlib import Path

import nbformat
import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
PARAMETERS = ["data_dir", "config", "cutoff", "out_dir"]
MOST_STEPS = 9
FORBIDDEN = (
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda),
    *(ast.For, ast.While, ast.ListComp, ast.DictComp, ast.SetComp, ast.GeneratorExp),
)


def faults(notebook) -> list[str]:
    """Every departure from the house style, as sentences."""
    cells = notebook.cells
    found = []
    if not (cells[0].cell_type == "markdown" and re.match(r"# .*\?\n", cells[0].source)):
        found.append("the title is not a question")
    code = [cell for cell in cells if cell.cell_type == "code"]
    tagged = [cell for cell in code if "parameters" in cell.metadata.get("tags", [])]
    if len(tagged) != 1 or _assigned(tagged[0].source) != PARAMETERS:
        found.append("there is not one parameters cell with the four fixed parameters")
    for cell in code:
        found += [f"{cell.id}: {fault}" for fault in _code_faults(cell)]
    for cell in cells:
        if cell.cell_type == "markdown" and re.search(r"(?<![A-D\d])\d", cell.source):
            found.append(f"{cell.id}: a number is typed into Markdown")
    return found


def _assigned(source: str) -> list[str]:
    body = ast.parse(source).body
    literal = all(
        isinstance(s, ast.Assign) and isinstance(s.value, ast.Constant) and s.value.value == ""
        for s in body
    )
    return [s.targets[0].id for s in body] if literal else []


def _code_faults(cell) -> list[str]:
    body = ast.parse(cell.source).body
    nodes = [node for step in body for node in ast.walk(step)]
    steps = [step for step in body if not isinstance(step, ast.Import | ast.ImportFrom)]
    found = ["more than nine steps"] if len(steps) > MOST_STEPS else []
    found += ["defines or loops"] if any(isinstance(node, FORBIDDEN) for node in nodes) else []
    return found + (["outputs are not stripped"] if cell.outputs or cell.execution_count else [])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_keep_the_house_style(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert faults(notebook) == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_there_is_about_as_much_text_as_code(path):
    cells = nbformat.read(path, as_version=4).cells
    words = {
        kind: sum(len(c.source) for c in cells if c.cell_type == kind)
        for kind in ("markdown", "code")
    }
    assert 0.5 < words["markdown"] / words["code"] < 3


def test_each_broken_rule_is_found():
    notebook = nbformat.read(NOTEBOOKS[0], as_version=4)
    notebook.cells[0].source = "# A statement\n"
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    code[0].source += "\nextra = ''"
    code[1].source = "\n".join(["x = 1"] * 10)
    code[2].source = "for x in y:\n    pass"
    code[3].execution_count = 1
    words = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
    words[-1].source = "The ratio is 2.1 in row A1."
    assert [re.sub(r"^[\w-]+: ", "", fault) for fault in faults(notebook)] == [
        "the title is not a question",
        "there is not one parameters cell with the four fixed parameters",
        "more than nine steps",
        "defines or loops",
        "outputs are not stripped",
        "a number is typed into Markdown",
    ]
