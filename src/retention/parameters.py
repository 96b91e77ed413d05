"""The parameters of every notebook, as papermill, JupyterLab or a call gives them: none unknown,
each of its kind.
"""

from __future__ import annotations

import ast
import difflib
import os
import re
import sys
from typing import Any

from retention.errors import ConfigError

PARAMETERS = ("data_dir", "config", "cutoff", "out_dir")
INJECTED = (
    "# Parameters\n"  # how the cell begins that papermill puts behind the one with the defaults
)
# the environment variable by which the notebooks of a run know what it prepared
SEAL = "RETENTION_SEAL"
PLACES = {
    "data_dir": "the name of a folder or file",
    "config": "the name of a retention.toml",
    "out_dir": "the name of a folder",
}


def checked(data_dir: Any, config: Any, cutoff: Any) -> tuple[str, str, str]:
    """The parameters as text, an empty one for None; ConfigError lists all that are unknown or of
    another kind.

    A cut-off may also be a date, or a number like 20251231. What papermill injected into the
    notebook that runs is checked as a whole: it passes on names that no notebook has.
    """
    injected = _injected()
    faults = [_unknown(name) for name in injected if name not in PARAMETERS]
    places = {"data_dir": data_dir, "config": config, "out_dir": injected.get("out_dir")}
    faults += [_misfit(name, value) for name, value in places.items() if not _is_place(value)]
    if faults:
        raise ConfigError("\n".join(faults))
    return os.fspath(data_dir or ""), os.fspath(config or ""), _day(cutoff)


def _is_place(value: Any) -> bool:
    return value is None or isinstance(value, str | os.PathLike)


def _misfit(name: str, value: Any) -> str:
    """What is said of a place that is not given as text."""
    return (
        f"{name} is {value!r}, and must be {PLACES[name]}, as text. If that is its name, give it "
        "to papermill with -r "
        f"in place of -p: -r {name} {value}."
    )


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, PARAMETERS, 1)
    hint = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(PARAMETERS)}."
    return (
        f"{name} is no parameter of this notebook. {hint} A variable of your own belongs in a "
        "cell that does not "
        f"begin with {INJECTED.strip()!r}."
    )


def _day(cutoff: Any) -> str:
    """The cut-off as text; a number of eight digits, which papermill makes of 20251231, as a date.

    >>> _day(20251231), _day(None), _day("2025-12-31")
    ('2025-12-31', '', '2025-12-31')
    """
    if cutoff is None:
        return ""
    text = str(cutoff.isoformat()[:10] if hasattr(cutoff, "isoformat") else cutoff)
    return re.sub(r"^(\d{4})(\d\d)(\d\d)$", r"\1-\2-\3", text)


def _injected() -> dict[str, Any]:
    """What papermill put into the notebook that runs, by name; empty for any other code."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    sources = [
        source
        for source in getattr(shell, "user_ns", {}).get("In", [])
        if source.startswith(INJECTED)
    ]
    return _assigned(sources[-1]) if sources else {}


def _assigned(source: str) -> dict[str, Any]:
    """Names and values that a cell of plain assignments sets.

    >>> _assigned("# Parameters\\ncutof = 5")
    {'cutof': 5}
    """
    values = {}
    for step in ast.parse(source).body:
        if isinstance(step, ast.Assign) and isinstance(step.targets[0], ast.Name):
            values[step.targets[0].id] = _literal(step.value)
    return values


def _literal(value: ast.expr) -> Any:
    """The value of an expression that is written out; as text where it is worked out."""
    try:
        return ast.literal_eval(value)
    except ValueError:
        return ast.unparse(value)
