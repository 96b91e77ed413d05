"""Groups of clients by what an analyst names: a column, an expression, or a column of a frame of
one's own.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl

from retention.results import ALL
from retention.words import say

QUARTERS = (0.25, 0.5, 0.75)  # where numbers are cut unless told: at these quantiles
FEW = 6  # (ours) a number with no more different values than this makes a group of each
QUOTED = re.compile(r"""'[^']*'|"[^"]*\"""")
KEY = ["client_id", "engagement"]


def grouped(rows: pd.DataFrame, by: Any, cuts: Sequence[float] = QUARTERS) -> pd.Series:
    """The group of each row (n,), as a categorical in order; one group, `all`, where `by` is None.

    Numbers are cut at the quantiles `cuts`, unless they have few different values. Blanks are a
    group of their own, the last.
    """
    if by is None:
        everybody = np.zeros(len(rows), dtype=int)
        one = pd.Categorical.from_codes(everybody, [ALL])
        return pd.Series(one, rows.index)
    values = column_of(rows, by)
    if _is_flag(values):
        return _of_marks(values)
    if pd.api.types.is_numeric_dtype(values):
        return _of_numbers(values, cuts)
    text = values.astype("string")
    known = text.dropna()
    levels = sorted(known.unique())
    named = {level: level for level in levels}
    return _categorical(text, named)


def _of_marks(values: pd.Series) -> pd.Series:
    """Groups of marks: no, yes."""
    no = say("analyst.group.no")
    yes = say("analyst.group.yes")
    marks = values.astype("boolean")
    places = marks.map({True: 1, False: 0})
    named: dict[int, str] = {0: no, 1: yes}
    return _categorical(places.astype("Int64"), named)


def chosen(rows: pd.DataFrame, where: Any) -> np.ndarray:
    """The rows (n,) that `where` marks; all where it is None. A blank does not mark."""
    if where is None:
        return np.ones(len(rows), dtype=bool)
    values = column_of(rows, where)
    if not _is_flag(values):
        raise ValueError(say("analyst.refused.not_a_mark", where=_name_of(where)))
    marks = values.astype("boolean").fillna(False)
    return marks.to_numpy(bool)


def column_of(rows: pd.DataFrame, what: Any) -> pd.Series:
    """What an analyst names, a value a row, with the index of the rows.

    A column's name, an expression in text (`DataFrame.eval`), a Narwhals or Polars expression, a
    function of the rows, a Series as long as the rows, or a frame with `client_id` (and perhaps
    `engagement`) and one other column. ValueError says what it could not be.
    """
    if isinstance(what, str):
        return _by_text(rows, what)
    if isinstance(what, nw.Expr):
        frame = nw.from_native(rows, eager_only=True)
        picked = frame.select(what)
        return _first_column(picked.to_native(), rows)
    if isinstance(what, pl.Expr):
        needed = what.meta.root_names()
        polars = pl.from_pandas(rows[needed])
        picks = polars.select(what)
        return _first_column(picks.to_pandas(), rows)
    if callable(what):
        made: Callable[[pd.DataFrame], Any] = what
        return column_of(rows, made(rows))
    return _by_values(rows, what)


def names_in(what: Any, rows: pd.DataFrame) -> set[str]:
    """The columns of the rows that a name or an expression is made of; none of what is no text and
    no expression of Polars.

    >>> names_in("fee_pct > 10 and source == 'ended'", pd.DataFrame({"fee_pct": [], "ended": []}))
    {'fee_pct'}
    """
    if isinstance(what, pl.Expr):
        return set(what.meta.root_names()) & set(rows)
    if not isinstance(what, str):
        return set()
    if what in rows:
        return {what}
    words = re.findall(r"\w+", QUOTED.sub(" ", what))
    return set(words) & set(rows)


def _by_text(rows: pd.DataFrame, text: str) -> pd.Series:
    if text in rows:
        return rows[text]
    try:
        made = rows.eval(text, engine="python")
    except Exception as error:
        names = [str(name) for name in rows]
        near = difflib.get_close_matches(text, names, 3)
        hint = ", ".join(near or names)
        key = "analyst.refused.no_such_column"
        why = str(error)
        raise ValueError(say(key, name=text, why=why, names=hint)) from None
    return _as_long(made, rows)


def _by_values(rows: pd.DataFrame, values: Any) -> pd.Series:
    """Values of a frame or Series of any library, a value a row."""
    if isinstance(values, np.ndarray | list):
        array = np.asarray(values)
        return _as_long(pd.Series(array), rows)
    try:
        native = nw.from_native(values, allow_series=True)
    except TypeError:
        kind = type(values).__name__
        raise ValueError(say("analyst.refused.no_group", kind=kind)) from None
    if isinstance(native, nw.Series):
        return _as_long(native.to_pandas(), rows)
    lazy = native.lazy()
    collected = lazy.collect("pandas")
    return _joined(rows, collected.to_native())


def _joined(rows: pd.DataFrame, frame: pd.DataFrame) -> pd.Series:
    """The one further column of a frame, joined by client (and engagement, where it has that)."""
    key = [name for name in KEY if name in frame and name in rows]
    others = [name for name in frame if name not in KEY]
    repeated = bool(key) and frame.duplicated(key).any()
    if "client_id" not in key or len(others) != 1 or repeated:
        raise ValueError(say("analyst.refused.no_join"))
    as_text = {"client_id": str}
    left = rows[key].astype(as_text)
    columns = [*key, *others]
    right = frame[columns].astype(as_text)
    joined = left.merge(right, on=key, how="left")
    values = joined[others[0]]
    return values.set_axis(rows.index)


def _as_long(values: Any, rows: pd.DataFrame) -> pd.Series:
    """A Series as long as the rows: by its index where that is the rows' own or client ids."""
    if not np.isscalar(values) and not hasattr(values, "__len__"):
        raise ValueError(say("analyst.refused.no_group", kind=type(values).__name__))
    if np.isscalar(values) or len(values) != len(rows):
        if isinstance(values, pd.Series) and values.index.name == "client_id":
            return rows["client_id"].map(values)
        n = 1 if np.isscalar(values) else len(values)
        raise ValueError(say("analyst.refused.length", n=n, of=len(rows)))
    series = pd.Series(values)
    shared = series.index.intersection(rows.index)
    if len(shared) == len(rows):
        return series.reindex(rows.index)
    return series.set_axis(rows.index)


def _first_column(frame: pd.DataFrame, rows: pd.DataFrame) -> pd.Series:
    return _as_long(frame.iloc[:, 0], rows)


def _is_flag(values: pd.Series) -> bool:
    """Whether the values are marks: true, false or blank."""
    if pd.api.types.is_bool_dtype(values):
        return True
    known = values.dropna()
    are_bool = [isinstance(value, bool) for value in known]
    return bool(are_bool) and all(are_bool)


def _of_numbers(values: pd.Series, cuts: Sequence[float]) -> pd.Series:
    """Groups of numbers: each value, where they are few, else those between the quantiles."""
    numbers = values.astype("Float64").astype(float)
    different = np.unique(numbers.dropna())
    if len(different) <= FEW:
        names = {place: f"{value:g}" for place, value in enumerate(different)}
        return _categorical(_places(different, numbers), names)
    quantiles = numbers.quantile(_shares(cuts))
    edges = np.unique(quantiles)
    return _categorical(_places(edges, numbers), _between(edges))


def _shares(cuts: Sequence[float]) -> list[float]:
    """The quantiles to cut at; ValueError where they are none, as numbers in currency are."""
    try:
        shares = sorted(float(cut) for cut in cuts)
    except (TypeError, ValueError):
        shares = []
    if not shares or not all(0 < share < 1 for share in shares):
        raise ValueError(say("analyst.refused.cuts", cuts=cuts))
    return shares


def _places(edges: np.ndarray, numbers: pd.Series) -> pd.Series:
    """Between which edges each number lies (n,), from 0; blank where it is."""
    found = np.searchsorted(edges, numbers, side="left")
    places = pd.Series(found, numbers.index)
    known = places.where(numbers.notna())
    return known.astype("Int64")


def _between(edges: np.ndarray) -> dict[int, str]:
    """What the groups between these edges are called; each holds its upper edge."""
    words = [f"{edge:,.6g}" for edge in edges]
    names: dict[int, str] = {0: say("analyst.group.up_to", high=words[0])}
    pairs = zip(words, words[1:], strict=False)
    for place, (low, high) in enumerate(pairs, start=1):
        names[place] = say("analyst.group.between", low=low, high=high)
    names[len(words)] = say("analyst.group.over", low=words[-1])
    return names


def _categorical(values: pd.Series, names: Mapping[int, str] | Mapping[str, str]) -> pd.Series:
    """The values by name, in the order of the names; blanks last, under a name of their own."""
    blank = str(say("analyst.group.blank"))
    levels = [str(name) for name in names.values()]
    words = values.map(names)
    known = values.notna()
    named = words.astype(object).where(known.to_numpy(), blank)
    there = [*dict.fromkeys(levels), blank]
    seen = set(named)
    ordered = [level for level in there if level in seen]
    groups = pd.Categorical(named.astype(str), ordered, ordered=True)
    return pd.Series(groups, values.index)


def _name_of(what: Any) -> str:
    """What an analyst named, in words."""
    return what if isinstance(what, str) else type(what).__name__
