"""The architecture: a room imports only from the rooms below it, and nothing that is private of
another.
"""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "retention"
FLOORS = [
    {
        "errors",
        "words",
        "numbers",
        "results",
        "theme",
        "answers",
        "contrast",
        "settings",
        "parameters",
    },
    {"data"},
    {"sample", "stats", "show", "runs", "deliver"},
    {"history"},
    {"claims", "score", "service"},
    {"money", "portfolio", "notices", "frames"},
    {"lists", "study"},
    {"report", "trials", "analyst", "pool"},
    {"cli"},
]
GROUND = FLOORS[0]  # single modules, which may use each other; no circle is allowed anywhere
FLOOR = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}
# show takes frames and fills in templates: it knows words and numbers, and how text and rows are
# made fit for others
SHOWING = {"words", "errors", "results", "data", "numbers", "theme"}
PUBLISHING = {
    "deliver",
    "errors",
    "lists",
    "numbers",
    "results",
    "runs",
    "settings",
    "show",
    "parameters",
    "data",
    "study",
    "words",
}  # what the report may know


def imported(source: str) -> list[tuple[str, str]]:
    """What a source imports of this package: the module below `retention`, and the name taken from
    it.
    """
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "retention":
            module = (node.module or "").removeprefix("retention").lstrip(".")
            found += [(module or alias.name, alias.name) for alias in node.names]
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.startswith("retention.")]
            found += [(name.removeprefix("retention."), "") for name in names]
    return found


def faults(room: str, source: str) -> list[str]:
    """Imports in `source`, a file of `room`, that go sideways or up, or take what is private of
    another room.
    """
    wrong = []
    for module, name in imported(source):
        other = module.split(".")[0]
        if other == room:
            continue
        upwards = FLOOR[other] >= FLOOR[room] and not {other, room} <= GROUND
        forbidden = (room == "show" and other not in SHOWING) or (
            room == "report" and other not in PUBLISHING
        )
        if upwards or forbidden:
            wrong.append(f"{room} imports {other}")
        if name.startswith("_"):
            wrong.append(f"{room} takes {name} of {other}")
    return wrong


def files_by_room() -> dict[str, list[Path]]:
    """Every source file by the folder (or single module) it belongs to."""
    rooms: dict[str, list[Path]] = {}
    for path in PACKAGE.rglob("*.py"):
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        rooms.setdefault(room, []).append(path)
    rooms.pop("__init__")
    return rooms


def test_every_room_has_a_floor():
    assert set(files_by_room()) == set(FLOOR)


@pytest.mark.parametrize("room", sorted(FLOOR))
def test_a_room_imports_only_from_rooms_below(room):
    found = [fault for path in files_by_room()[room] for fault in faults(room, path.read_text())]
    assert found == []


def test_modules_of_a_room_import_in_one_direction():
    """No circle of imports, in the whole package."""
    uses = {}
    for path in PACKAGE.rglob("*.py"):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        at_once = _at_import(path.read_text())
        uses[name] = {module for module in at_once if module != name}
    assert _circle(uses) == []


def test_every_room_says_what_it_answers():
    for folder in PACKAGE.iterdir():
        if folder.is_dir() and (folder / "__init__.py").exists():
            assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text())), folder.name


def test_planted_imports_are_found():
    assert faults("history", "from retention.claims.judge import judge") == [
        "history imports claims"
    ]
    assert faults("stats", "import retention.history.features") == ["stats imports history"]
    assert faults("show", "from retention.stats import curves") == ["show imports stats"]
    assert faults("report", "from retention.claims.gate import counts") == ["report imports claims"]
    assert faults("service", "from retention.money import fees") == ["service imports money"]
    assert faults("claims", "from retention.stats.curves import _cells") == [
        "claims takes _cells of stats"
    ]
    assert faults("claims", "from retention.results import Verdict") == []
    assert _circle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c"]


def _at_import(source: str) -> set[str]:
    """The modules that are imported as this one is: those at the top, not within functions or for
    types alone.
    """
    top = ast.Module(
        [node for node in ast.parse(source).body if isinstance(node, ast.Import | ast.ImportFrom)],
        [],
    )
    found = set()
    for module, name in imported(ast.unparse(top)):
        path = module.replace(".", "/")
        if (PACKAGE / path / f"{name}.py").exists():
            found.add(f"{module}.{name}")
        else:
            found.add(f"{module}.__init__" if (PACKAGE / path).is_dir() else module)
    return found


def _circle(uses: dict[str, set[str]]) -> list[str]:
    """The modules that are left when all that use none of the others are taken away, one after the
    other.
    """
    left = {name: {other for other in others if other in uses} for name, others in uses.items()}
    while free := [name for name, others in left.items() if not others & set(left)]:
        for name in free:
            del left[name]
    return sorted(left)
