"""What a typed table must satisfy: bounds, vocabularies and keys from the declarations, and sense across rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pandera.pandas as pa

from retention.errors import SHOWN, Fault
from retention.tables import Column, Table


def check_rows(table: Table, frame: pd.DataFrame, unread: pd.DataFrame, known: np.ndarray | None = None) -> list[Fault]:
    """The faults that show within a row. Indices of the two frames agree.

    `unread` marks the cells whose text could not be read: they are told already, and not as empty. `known` holds the
    sorted hashes of the clients' ids, for the other tables.
    """
    faults = _declared(table, frame, unread)
    if table.name == "clients":
        return faults + _ends(frame)
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
        self.parts: list[pd.DataFrame] = []

    def add(self, frame: pd.DataFrame) -> None:
        """Take in one typed piece."""
        key = [name for name in self.table.key if name in frame]
        whole = len(key) == len(self.table.key) > 0
        rows = pd.DataFrame(index=frame.index)
        if whole and self.table.name != "clients":
            rows = rows.assign(key=hashed(frame[key]), filled=frame[key].notna().all(axis=1))
        if self.table.name == "clients":
            dates = {"start": frame["start_date"], "end": frame["end_date"]}
            known = frame["client_id"].notna()
            rows = rows.assign(client=hashed(frame["client_id"]), row=hashed(frame), filled=known, **dates)
        self.parts.append(rows)

    def clients(self) -> np.ndarray:
        """The sorted hashes of the clients' ids."""
        return np.unique(np.concatenate([part.loc[part["filled"], "client"].to_numpy() for part in self.parts]))

    def faults(self, ids: Callable[[np.ndarray], Sequence[str]]) -> list[Fault]:
        """Rows that repeat a key, and engagements that overlap; `ids` names the rows at some positions."""
        rows = pd.concat(self.parts, ignore_index=True)
        self.parts = []
        if self.table.name == "clients":
            return self._engagements(rows, ids)
        if "key" not in rows:
            return []
        twice = rows["key"].duplicated() & rows["filled"]
        problem = f"has more than one row for the same {', '.join(self.table.key)}"
        return self._told(twice, ids, problem, "Keep one of them, or give each its own.")

    def _engagements(self, rows: pd.DataFrame, ids: Callable[[np.ndarray], Sequence[str]]) -> list[Fault]:
        twice = rows["row"].duplicated()
        faults = self._told(twice, ids, "has the same row more than once", "Remove the copies.")
        rows = rows[~twice & rows["filled"]].drop(columns=["row", "filled"])
        rows = rows.sort_values(["client", "start"], kind="stable")
        same = rows["client"] == rows["client"].shift(-1)
        overlap = same & (rows["start"].shift(-1) <= rows["end"].fillna(pd.Timestamp.max))
        problem = "has engagements that overlap: one starts before the one before it has ended"
        return faults + self._told(overlap, ids, problem, "Give the earlier one its end date, or merge the rows.")

    def _told(
        self, bad: pd.Series, ids: Callable[[np.ndarray], Sequence[str]], problem: str, remedy: str
    ) -> list[Fault]:
        if not bad.any():
            return []
        named = tuple(dict.fromkeys(ids(bad.index[bad].to_numpy())))[:SHOWN]
        return [Fault(self.table.name, "", problem, int(bad.sum()), named, remedy)]


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
