"""Finished agencies of a simulation, kept in a file so that a run that was stopped goes on.

An agency counts as finished while the code it comes from is the same: the script and every module
of the package that it imports, comments and docstrings apart, and their settings in TOML (words for
readers apart).
"""

from __future__ import annotations

import ast
import hashlib
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[1] / "src" / "retention"
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
Key = tuple[Any, ...]


def version(script: str) -> str:
    """A hash of the code that figures of this script come from."""
    imported = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    ours = {Path(file) for file in imported if file and PACKAGE in Path(file).parents}
    digest = hashlib.sha256()
    for path in sorted({*ours, Path(script).resolve()}):
        digest.update(plain(path.read_text("utf-8")).encode())
    for path in sorted(PACKAGE.rglob("*.toml")):
        if "words" not in path.parts:
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def plain(source: str) -> str:
    """The code of a module without comments and docstrings.

    >>> plain("x = 1  # one") == plain("x  =  1")
    True
    """
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return ast.dump(tree)


def read(path: Path, code: str) -> dict[Key, Any]:
    """What is kept of this code, by key."""
    lines = path.read_text("utf-8").splitlines() if path.is_file() else []
    whole = [json.loads(line) for line in lines if line.endswith("}")]  # the last may be cut short
    return {tuple(row["key"]): row["found"] for row in whole if row["code"] == code}


def gather(
    path: Path, script: str, keys: Iterable[Key], one: Callable[[Key], Any], only_kept: bool = False
) -> dict[Key, Any]:
    """What each key comes to, in the order of the keys: kept from before, else computed by `one`
    and kept at once. `only_kept`: nothing is computed, and what is not kept is left out.
    """
    code = version(script)
    found = read(path, code)
    wanted = list(dict.fromkeys(keys))
    cut = path.is_file() and not path.read_bytes().endswith(b"\n")
    with path.open("a", encoding="utf-8") as stream:
        stream.write("\n" if cut else "")
        for key in wanted if not only_kept else ():
            if key not in found:
                found[key] = one(key)
                row = {"code": code, "key": key, "found": found[key]}
                stream.write(json.dumps(row) + "\n")
                stream.flush()
    return {key: found[key] for key in wanted if key in found}
