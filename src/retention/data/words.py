"""The words that own data are understood by, and those in which they are refused: data, in TOML
beside this.
"""

import tomllib
from collections.abc import Iterable
from importlib.resources import files
from typing import Any

import pandas as pd

from retention.errors import SHOWN, Fault, one_line


def read_words(name: str) -> dict[str, Any]:
    """A file of words or declarations beside this module, by its name."""
    path = files("retention.data").joinpath(name)
    return tomllib.loads(path.read_text("utf-8"))


WORDS = read_words("words.toml")
_REFUSALS = read_words("refusals.toml")


def fault(
    table: str,
    column: str,
    kind: str,
    count: int = 0,
    ids: Iterable[str] = (),
    seen: Iterable[str] = (),
    **said: Any,
) -> Fault:
    """The fault of that kind, with what is `said` of it filled into its words."""
    problem, remedy = (
        text.format(table=table, column=column, **said) for text in _REFUSALS["faults"][kind]
    )
    shown_ids = tuple(ids)[:SHOWN]
    return Fault(table, column, problem, count, shown_ids, remedy, tuple(seen))


def faults_in(
    table: str,
    column: str,
    kind: str,
    bad: pd.Series,
    ids: pd.Series,
    seen: Iterable[str] = (),
    **said: Any,
) -> list[Fault]:
    """The fault of the rows that are `bad`, named by their ids; none where there are none."""
    return [fault(table, column, kind, int(bad.sum()), ids[bad], seen, **said)] if bad.any() else []


def sentence(kind: str, **said: Any) -> str:
    """What is asked or refused about the settings, with what is `said` filled in, each on one
    line.
    """
    shown = {
        name: one_line(value) if isinstance(value, str) else value for name, value in said.items()
    }
    text = _REFUSALS["settings"][kind]
    return str(text.format(**shown))
