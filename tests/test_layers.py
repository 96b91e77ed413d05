"""The architecture: a module imports only from lower ranks (the flow of one direction)."""

import ast
import io
import tokenize
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "src" / "retention"
RANKS = [
    {"errors"},
    {"tables", "results", "config"},
    {"sources", "sample", "spells", "resample"},
    {"features", "curves", "concordance", "hazards", "correlations", "funnel", "privacy"},
    {"exits", "snapshots"},
    {"contract_term", "size", "lagged", "engines"},
    {"liking", "contract_checks", "signing"},
    {"risk", "people", "claims", "importance", "nps"},
    {"judgement", "guards", "economics"},
    {"scores", "leads", "service", "reps", "loyalty"},
    {"contact"},
    {"portfolio", "study", "gate"},
    {"report"},
    {"cli"},
]
RANK = {name: rank for rank, names in enumerate(RANKS) for name in names}
BESIDE = {"plots"}  # takes frames, knows nothing of the package
MAY_NOT_KNOW = {
    "report": {
        "curves",
        "contract_term",
        "economics",
        "gate",
        "claims",
        "spells",
        "hazards",
        "exits",
        "risk",
        "scores",
        "liking",
    }
}


def imported(source: str) -> set[str]:
    """The modules of this package that a source imports, by their first name below `retention`."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "retention":
            parts = (node.module or "").split(".")
            names |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("retention.")}
    return names


def faults(module: str, source: str) -> list[str]:
    """Imports of `module` that go sideways or up."""
    found = imported(source) - {module}
    if module in BESIDE:
        return [f"{module} imports {name}" for name in sorted(found)]
    wrong = {name for name in found if name not in BESIDE and RANK[name] >= RANK[module]}
    return [f"{module} imports {name}" for name in sorted(wrong | found & MAY_NOT_KNOW.get(module, set()))]


def modules() -> dict[str, list[Path]]:
    """Every source file by the module (or folder) it belongs to."""
    owned: dict[str, list[Path]] = {}
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        owned.setdefault(name, []).append(path)
    return owned


def test_modules_import_only_from_lower_ranks():
    found = modules()
    found.pop("__init__")
    assert set(found) <= set(RANK) | BESIDE, "a module without a rank: say where it stands"
    assert [f for name, paths in found.items() for path in paths for f in faults(name, path.read_text())] == []


def test_a_planted_import_upwards_is_found():
    assert faults("spells", "from retention.claims import judge") == ["spells imports claims"]
    assert faults("curves", "import retention.features") == ["curves imports features"]
    assert faults("plots", "from retention import curves") == ["plots imports curves"]
    assert faults("report", "from retention.gate import counts") == ["report imports gate"]
    assert faults("claims", "from retention.results import Verdict") == []


def lines_of_code(source: str) -> int:
    """Lines that hold code: blank lines, comments and docstrings cost a reader nothing and are not counted."""
    told = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            told |= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    idle = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return len({line for t in tokens if t.type not in idle for line in range(t.start[0], t.end[0] + 1)} - told)


def test_the_package_stays_small():
    """The limit is on code. It once counted every line, and the cheapest way to keep it was to explain less.

    It was 7,000 while the package held the study and the classifier. The agency's money, its service, its portfolio,
    comparing runs, privacy and engines are whole parts of their own; they were given 3,800 lines between them, and what
    keeps a report of fifty thousand clients within minutes another 300.
    """
    assert lines_of_code('"""What it is."""\n\n# why\nx = 1\ny = """a\nb"""\n') == 3
    lines = sum(lines_of_code(path.read_text()) for path in PACKAGE.rglob("*.py"))
    assert lines < 11100, f"{lines} lines: time to delete something"
