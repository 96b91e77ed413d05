"""environment.yml and pyproject.toml ask for the same packages; the locks hold versions and hashes,
no addresses.
"""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
CONDA_NAMES = {
    "matplotlib-base": "matplotlib",
    "seaborn-base": "seaborn",
    "nbconvert-core": "nbconvert",
    "pandera-pandas": "pandera",
    "python-duckdb": "duckdb",
}


def asked(requirements: list[str]) -> dict[str, str]:
    """Version limits by package, conda-forge names turned into PyPI's, extras dropped."""
    split = (re.fullmatch(r"([\w.-]+)(?:\[[\w,]+\])?(.*)", line.strip()) for line in requirements)
    return {CONDA_NAMES.get(found[1], found[1]): found[2] for found in split if found}


def pyproject() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_environment_yml_agrees_with_pyproject():
    project = pyproject()
    wanted = asked(project["dependencies"] + project["optional-dependencies"]["lab"])
    wanted["python"] = project["requires-python"]
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert asked([line for line in listed if isinstance(line, str) and line != "pip"]) == wanted


def test_a_departure_is_found():
    assert asked(["pandas>=2.3,<3"]) != asked(["pandas>=2.2,<3"])
    assert asked(["pandera-pandas>=1"]) == asked(["pandera[pandas]>=1"])


def test_the_locks_hold_no_addresses_and_every_package_has_hashes():
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / name).read_text()
        assert "://" not in text and "--index" not in text and "--find-links" not in text
        packages = re.split(r"\n(?=\S)", text.strip())
        assert all("==" in package and "--hash=sha256:" in package for package in packages)


def test_the_locks_agree_and_hold_what_is_asked_for():
    locked = [
        dict(re.findall(r"^([\w.-]+)==([^ ]+)", (ROOT / name).read_text(), re.M))
        for name in ("requirements.lock", "requirements-dev.lock")
    ]
    assert locked[0].items() <= locked[1].items()
    assert {name.lower() for name in asked(pyproject()["dependencies"])} <= locked[0].keys()


def test_all_that_the_package_imports_is_in_the_lock_of_reports():
    """A report needs nothing that only the tests install; an engine that is asked for by name says
    how to get it.
    """
    optional = {path: {"pyspark", "duckdb"} for path in (ROOT / "src").rglob("engines.py")}
    listed = packages_distributions()
    locked = set(re.findall(r"^([\w.-]+)==", (ROOT / "requirements.lock").read_text(), re.M))
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            own = sys.stdlib_module_names | {"retention"} | optional.get(path, set())
            for name in {name.split(".")[0] for name in names} - own:
                assert {found.lower().replace("_", "-") for found in listed[name]} & locked, (
                    f"{path}: {name}"
                )
