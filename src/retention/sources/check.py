"""What a typed table must satisfy: bounds, vocabularies and keys from the declarations, and sense across rows."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pandera.pandas as pa

from retention.config import ALL_HISTORY
from retention.errors import SHOWN, Fault
from retention.tables import Column, Table

NEVER = pd.Timestamp("2200-01-01")  # later than any date that is read


def check_rows(table: Table, frame: pd.DataFrame, unread: pd.DataFrame, known: np.ndarray | None = None) -> list[Fault]:
    """The faults that show within a row. Indices of the two frames agree.

    `unread` marks the cells whose text could not be read: they are told already, and not as empty. `known` holds the
    sorted hashes of the clients' ids, for the other tables.
    """
    faults = _declared(table, frame, unread)
    if table.name == "clients":
        return faults + (_ends(frame) if {"start_date", "end_date"} <= set(frame) else [])
    if known is not None and "client_id" in frame and table.name != "leads":
        strange = frame["client_id"].notna() & ~pd.Series(is_known(frame["client_id"], known), frame.index)
        faults += _faults(table.name, "client_id", frame, strange, "is not in the clients table", "Add those clients.")
    return faults


def hashed(frame: pd.DataFrame | pd.Series) -> np.ndarray:
    """A 64-bit hash a row; among 25 million different rows two agree by chance once in some 60,000 tables."""
    return pd.util.hash_pandas_object(frame, index=False).to_numpy()


def is_known(ids: pd.Series, known: np.ndarray) -> np.ndarray:
    """Which ids are among those whose sorted hashes are `known`."""
    own = hashed(ids)
    at = np.searchsorted(known, own).clip(max=max(len(known) - 1, 0))
    return known[at] == own if len(known) else np.zeros(len(own), dtype=bool)


class Across:
    """What must hold across rows, checked on hashes of keys so that a table of any size fits: gathered by piece."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.rows = 0
        self.clients = np.array([], dtype=np.uint64)  # sorted hashes of the clients' ids, once the clients are checked
        self.parts: dict[str, list[np.ndarray]] = {}

    def add(self, frame: pd.DataFrame) -> None:
        """Take in one typed piece."""
        key = [name for name in self.table.key if name in frame]
        if self.table.name == "clients":
            self._keep("row", hashed(frame))
            self._keep("client", self._own(hashed(frame["client_id"]), frame["client_id"].notna()))
            for name in ("start_date", "end_date"):  # in days, half the size; an open end comes after every other
                self._keep(name, frame[name].fillna(NEVER).to_numpy().astype("datetime64[D]").astype("int32"))
        elif len(key) == len(self.table.key) > 0:
            self._keep("key", self._own(hashed(frame[key]), frame[key].notna().all(axis=1)))
        self.rows += len(frame)

    def _keep(self, name: str, values: np.ndarray) -> None:
        self.parts.setdefault(name, []).append(values)

    def _own(self, keys: np.ndarray, filled: pd.Series) -> np.ndarray:
        """The keys, with rows that lack one given a number of their own: a lack is told elsewhere, and is no repeat."""
        return np.where(filled, keys, np.arange(self.rows, self.rows + len(keys), dtype=np.uint64))

    def _taken(self, name: str) -> np.ndarray:
        return np.concatenate(self.parts.pop(name))

    def faults(self, ids: Callable[[np.ndarray], Sequence[str]]) -> list[Fault]:
        """Rows that repeat a key, and engagements that overlap; `ids` names the rows at some positions."""
        if self.table.name == "clients":
            return self._engagements(ids)
        if "key" not in self.parts:
            return []
        problem = f"has more than one row for the same {', '.join(self.table.key)}"
        return self._told(_repeated(self._taken("key")), ids, problem, "Keep one of them, or give each its own.")

    def _engagements(self, ids: Callable[[np.ndarray], Sequence[str]]) -> list[Fault]:
        twice = _repeated(self._taken("row"))
        faults = self._told(twice, ids, "has the same row more than once", "Remove the copies.")
        client, start, end = (self._taken(name) for name in ("client", "start_date", "end_date"))
        order = np.lexsort((start, client))
        order = order[~np.isin(order, twice)] if len(twice) else order
        client, start, end = client[order], start[order], end[order]
        same = client[1:] == client[:-1]
        self.clients = client[np.append(True, ~same)[: len(client)]]
        overlap = order[:-1][same & (start[1:] <= end[:-1])]
        problem = "has engagements that overlap: one starts before the one before it has ended"
        return faults + self._told(overlap, ids, problem, "Give the earlier one its end date, or merge the rows.")

    def _told(
        self, bad: np.ndarray, ids: Callable[[np.ndarray], Sequence[str]], problem: str, remedy: str
    ) -> list[Fault]:
        if not len(bad):
            return []
        named = tuple(dict.fromkeys(ids(np.sort(bad))))[:SHOWN]
        return [Fault(self.table.name, "", problem, len(bad), named, remedy)]


def _repeated(keys: np.ndarray) -> np.ndarray:
    """Positions of the keys that stand in an earlier row too."""
    ordered = np.sort(keys)
    if not (ordered[1:] == ordered[:-1]).any():
        return np.array([], dtype=int)
    return np.flatnonzero(pd.Series(keys).duplicated())


def _faults(table: str, column: str, frame: pd.DataFrame, bad: pd.Series, problem: str, remedy: str) -> list[Fault]:
    bad = bad.fillna(False).astype(bool)
    if not bad.any():
        return []
    ids = frame.loc[bad, frame.columns[0]].astype("string").fillna("(no id)").drop_duplicates()
    return [Fault(table, column, problem, int(bad.sum()), tuple(ids[:SHOWN]), remedy)]


def _declared(table: Table, frame: pd.DataFrame, unread: pd.DataFrame) -> list[Fault]:
    """Faults found by pandera against the table's declaration, one a column and rule."""
    columns = {c.name: c for c in table.columns if c.name in frame}
    schema = pa.DataFrameSchema(
        {
            name: pa.Column(checks=_rules(c), nullable=not _must_be_filled(c), coerce=False)
            for name, c in columns.items()
        }
    )
    try:
        with warnings.catch_warnings():  # pandera's own, about how it puts its list of faults together
            warnings.simplefilter("ignore", FutureWarning)
            schema.validate(frame, lazy=True)
    except pa.errors.SchemaErrors as errors:
        cases = errors.failure_cases
        told = [
            column in unread and bool(unread.at[row, column])
            for column, row in zip(cases["column"], cases["index"], strict=True)
        ]
        cases = cases[~np.array(told, dtype=bool)]
        groups = cases.groupby(["column", "check"], sort=False)["index"]
        return [fault for (name, rule), rows in groups for fault in _told(table, columns[name], frame, str(rule), rows)]
    return []


def _must_be_filled(column: Column) -> bool:
    return column.required and column.name not in ("end_date", "answered_on", "to_date")  # blank has a meaning there


def _rules(column: Column) -> list[pa.Check]:
    rules = [pa.Check.isin(column.choices, error="choices")] if column.choices else []
    rules += [pa.Check.ge(column.low, error="low")] if column.low is not None else []
    rules += [pa.Check.le(column.high, error="high")] if column.high is not None else []
    return rules


def _told(table: Table, column: Column, frame: pd.DataFrame, rule: str, rows: Iterable[int]) -> list[Fault]:
    bad = pd.Series(frame.index.isin(list(rows)), frame.index)
    seen = tuple(str(value) for value in frame.loc[bad, column.name].dropna().unique()[:SHOWN])
    amount = f"Correct the values; they are in {column.unit or 'plain numbers'}."
    problem, remedy = {
        "not_nullable": ("is empty", "Fill it in: without it the row cannot be used."),
        "choices": ("has values outside its vocabulary", f"Use or map to: {', '.join(column.choices)}."),
        "low": (f"is below {column.low or 0:g}", amount),
        "high": (f"is above {column.high or 0:g}", amount),
    }[rule]
    return [replace(fault, seen=seen) for fault in _faults(table.name, column.name, frame, bad, problem, remedy)]


def _ends(clients: pd.DataFrame) -> list[Fault]:
    """Faults between a row's dates: ends before starts, and what is told of an end that has no date."""
    faults = []
    for later in ("end_date", "decision_date", "recorded_date"):
        if later in clients:
            before = clients[later] < clients["start_date"]
            remedy = "Correct one of the two dates."
            faults += _faults("clients", later, clients, before, "is before start_date", remedy)
    for told in ("end_initiator", "end_reason", "decision_date"):
        if told in clients:
            without = clients[told].notna() & clients["end_date"].isna()
            faults += _faults(
                "clients", told, clients, without, "is given but end_date is not", "Add the last paid day."
            )
    return faults


def ask_records_begin(clients: pd.DataFrame) -> str:
    """A question where starts lie more than a year before the first recorded end; else nothing. (METHODS 0)"""
    first_end, first_start = clients["end_date"].min(), clients["start_date"].min()
    if pd.isna(first_end) or first_start >= first_end - pd.DateOffset(months=12):
        return ""
    return (
        f"When do the records begin? The first client started on {first_start.date()}, but the first recorded end is "
        f"{first_end.date()}. Clients lost before the records began are missing, which would make retention look too "
        f'good. Set records_begin = YYYY-MM-DD in retention.toml, or "{ALL_HISTORY}" if nobody is missing.'
    )
