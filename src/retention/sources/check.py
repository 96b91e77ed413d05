"""What a typed table must satisfy: bounds, vocabularies and keys from the declarations, and sense across rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
import pandera.pandas as pa

from retention.errors import Fault
from retention.tables import TABLES, Column, Table


def check(frames: Mapping[str, pd.DataFrame], unread: Mapping[str, pd.DataFrame]) -> list[Fault]:
    """Every fault of every table; an empty list means the data can be used.

    `unread` marks, table by table, the cells whose text could not be read: they are told already, and not as empty.
    """
    faults = [f for name, frame in frames.items() for f in _declared(TABLES[name], frame, unread.get(name))]
    faults += [f for name, frame in frames.items() if name != "clients" for f in _unique(TABLES[name], frame)]
    clients = frames.get("clients")
    if clients is None:
        return faults
    faults += _engagements(clients)
    known = set(clients["client_id"].dropna())
    for name, frame in frames.items():
        if name != "clients" and "client_id" in frame and name != "leads":
            strange = frame["client_id"].notna() & ~frame["client_id"].isin(known)
            faults += _faults(name, "client_id", frame, strange, "is not in the clients table", "Add those clients.")
    return faults


def _faults(table: str, column: str, frame: pd.DataFrame, bad: pd.Series, problem: str, remedy: str) -> list[Fault]:
    bad = bad.fillna(False).astype(bool)
    if not bad.any():
        return []
    ids = frame.loc[bad, frame.columns[0]].astype("string").fillna("(no id)").drop_duplicates()
    return [Fault(table, column, problem, int(bad.sum()), tuple(ids[:5]), remedy)]


def _unique(table: Table, frame: pd.DataFrame) -> list[Fault]:
    """Rows that share what should make a row unique (clients have their own rule: engagements may not overlap)."""
    key = [name for name in table.key if name in frame]
    if len(key) < max(len(table.key), 1):
        return []
    twice = frame.duplicated(key) & frame[key].notna().all(axis=1)
    remedy = "Keep one of them, or give each its own."
    return _faults(table.name, "", frame, twice, f"has more than one row for the same {', '.join(key)}", remedy)


def _declared(table: Table, frame: pd.DataFrame, unread: pd.DataFrame | None) -> list[Fault]:
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
        if unread is not None:
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
    seen = ", ".join(str(value) for value in frame.loc[bad, column.name].dropna().unique()[:5])
    problem, remedy = {
        "not_nullable": ("is empty", "Fill it in: without it the row cannot be used."),
        "choices": (
            f"has values outside its vocabulary (seen: {seen})",
            f"Use or map to: {', '.join(column.choices)}.",
        ),
        "low": (
            f"is below {column.low:g} (seen: {seen})" if column.low is not None else "",
            f"Correct the values; they are in {column.unit}.",
        ),
        "high": (
            f"is above {column.high:g} (seen: {seen})" if column.high is not None else "",
            f"Correct the values; they are in {column.unit}.",
        ),
    }[rule]
    return _faults(table.name, column.name, frame, bad, problem, remedy)


def _engagements(clients: pd.DataFrame) -> list[Fault]:
    """Faults across dates and rows: ends before starts, the same row twice, engagements that overlap."""
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
    twice = clients.duplicated()
    faults += _faults("clients", "", clients, twice, "has the same row more than once", "Remove the copies.")
    rows = clients[~twice].sort_values(["client_id", "start_date"], kind="stable")
    same = rows["client_id"] == rows["client_id"].shift(-1)
    overlap = same & (rows["start_date"].shift(-1) <= rows["end_date"].fillna(pd.Timestamp.max))
    problem = "has engagements that overlap: one starts before the one before it has ended"
    remedy = "Give the earlier one its end date, or merge the rows."
    return faults + _faults("clients", "", rows, overlap, problem, remedy)
