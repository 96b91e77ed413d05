"""The architecture: a module imports only from lower ranks (the flow of one direction)."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "src" / "retention"
RANKS = [
    {"errors", "folders", "intervals"},
    {"tables", "results", "config", "days", "prepared", "parameters"},
    {"sources", "sample", "spells", "resample"},
    {"in_charge", "status"},
    {"features", "curves", "concordance", "hazards", "correlations", "funnel", "privacy"},
    {"held"},
    {"exits", "snapshots", "conventions"},
    {"contract_term", "size", "lagged", "engines"},
    {"measurement"},
    {"liking", "contract_checks", "signing"},
    {"risk", "people", "claims", "importance", "nps"},
    {"judgement", "guards", "economics", "early_warning"},
    {"scores", "leads", "service", "reps", "loyalty", "cross_section"},
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
