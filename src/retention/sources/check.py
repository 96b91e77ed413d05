"""What a typed table must satisfy: bounds, vocabularies and keys from the declarations, and sense across rows."""

import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd
import pandera.pandas as pa

from retention.config import ALL_HISTORY
from retention.errors import SHOWN, Fault
from retention.sources.parse import OPEN_ENDS
from retention.sources.words import fault, sentence
from retention.tables import Column, Table

NEVER = pd.Timestamp("2200-01-01")  # later than any date that is read


def check_rows(table: Table, frame: pd.DataFrame, unread: pd.DataFrame, known: np.ndarray | None = None) -> list[Fault]:
    """The faults that show within a row. Indices of the two frames agree.

    `unread` marks the cells whose text could not be read: they are told already, and not as empty. `known` holds the
    sorted hashes of the clients' ids, for the other tables.
    """
    ids, faults = frame.iloc[:, 0].astype("string").fillna("(no id)"), []
    for column, kind, bad in [*_declared(table, frame, unread), *_contradictions(table, frame, known)]:
        if bad.any():
            of = table.column(column)
            said = {"unit": of.unit or "plain numbers", "choices": ", ".join(of.choices)}
            seen = frame.loc[bad, column].dropna().unique()[:SHOWN] if kind in ("choices", "low", "high") else ()
            named = ids[bad].drop_duplicates()
            faults.append(fault(table.name, column, kind, int(bad.sum()), named, map(str, seen), of=of, **said))
    return faults


def hashed(frame: pd.DataFrame) -> np.ndarray:
    """A 64-bit hash a row; among 25 million different rows two agree by chance once in some 60,000 tables."""
    return pd.util.hash_pandas_object(frame, index=False).to_numpy()


class Across:
    """What must hold across rows, checked on hashes of keys so that a table of any size fits: gathered by piece."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.rows = 0
        self.clients = np.array([], dtype=np.uint64)  # sorted hashes of the clients' ids, once the clients are checked
        self.parts: dict[str, list[np.ndarray]] = defaultdict(list)

    def add(self, frame: pd.DataFrame) -> None:
        """Take in one typed piece."""
        clients = self.table.name == "clients"
        key = ["client_id"] if clients else list(self.table.key)
        if key and set(key) <= set(frame):
            # A row that lacks its key gets a number of its own: a lack is told elsewhere, and is no repeat.
            own = np.arange(self.rows, self.rows + len(frame), dtype=np.uint64)
            self.parts["key"].append(np.where(frame[key].notna().all(axis=1), hashed(frame[key]), own))
        if clients:
            self.parts["row"].append(hashed(frame))
            for name in ("start_date", "end_date"):  # in days, half the size; an open end comes after every other
                days = frame[name].fillna(NEVER).to_numpy().astype("datetime64[D]")
                self.parts[name].append(days.astype("int32"))
        self.rows += len(frame)

    def faults(self, ids: Callable[[np.ndarray], Sequence[str]]) -> list[Fault]:
        """Rows that repeat a key, and engagements that overlap; `ids` names the rows at some positions."""
        parts = {name: np.concatenate(self.parts.pop(name)) for name in list(self.parts)}
        if not parts:
            return []
        found = self._engagements(parts) if self.table.name == "clients" else {"again": _repeated(parts["key"])}
        told = [(kind, len(bad), dict.fromkeys(ids(np.sort(bad)))) for kind, bad in found.items() if len(bad)]
        key = ", ".join(self.table.key)
        return [fault(self.table.name, "", kind, count, named, key=key) for kind, count, named in told]

    def _engagements(self, parts: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Rows that are copies, and rows of a client that end after the next one has begun."""
        twice = _repeated(parts["row"])
        order = np.lexsort((parts["start_date"], parts["key"]))
        order = order[~np.isin(order, twice)] if len(twice) else order
        client, start, end = (parts[name][order] for name in ("key", "start_date", "end_date"))
        same = client[1:] == client[:-1]
        self.clients = client[np.append(True, ~same)[: len(client)]]
        return {"copy": twice, "overlap": order[:-1][same & (start[1:] <= end[:-1])]}


def _repeated(keys: np.ndarray) -> np.ndarray:
    """Positions of the keys that stand in an earlier row too; sorting first is cheap where there are none."""
    ordered = np.sort(keys)
    return np.flatnonzero(pd.Series(keys).duplicated()) if (ordered[1:] == ordered[:-1]).any() else np.array([], int)


def _declared(table: Table, frame: pd.DataFrame, unread: pd.DataFrame) -> Iterator[tuple[str, str, pd.Series]]:
    """What pandera finds against the table's declaration: the column, the rule that is broken, and the rows."""
    columns = {c.name: c for c in table.columns if c.name in frame}
    schema = pa.DataFrameSchema(
        {name: pa.Column(checks=_rules(c), nullable=not c.required or name in OPEN_ENDS) for name, c in columns.items()}
    )
    try:
        with warnings.catch_warnings():  # pandera's own, about how it puts its list of faults together
            warnings.simplefilter("ignore", FutureWarning)
            schema.validate(frame, lazy=True)
    except pa.errors.SchemaErrors as errors:
        for (name, rule), rows in errors.failure_cases.groupby(["column", "check"], sort=False)["index"]:
            yield name, str(rule), pd.Series(frame.index.isin(list(rows)), frame.index) & ~unread[name]


def _rules(column: Column) -> list[pa.Check]:
    rules = [pa.Check.isin(column.choices, error="choices")] if column.choices else []
    rules += [pa.Check.ge(column.low, error="low")] if column.low is not None else []
    rules += [pa.Check.le(column.high, error="high")] if column.high is not None else []
    return rules


def _contradictions(
    table: Table, frame: pd.DataFrame, known: np.ndarray | None
) -> Iterator[tuple[str, str, pd.Series]]:
    """Clients nobody knows; of clients, ends before starts, and what is told of an end that has no date."""
    if table.name == "clients" and {"start_date", "end_date"} <= set(frame):
        for later in [name for name in ("end_date", "decision_date", "recorded_date") if name in frame]:
            yield later, "early", frame[later] < frame["start_date"]
        for told in [name for name in ("end_initiator", "end_reason", "decision_date") if name in frame]:
            yield told, "no end", frame[told].notna() & frame["end_date"].isna()
    elif known is not None and "client_id" in frame and table.name != "leads":
        own = hashed(frame[["client_id"]])
        absent = known.searchsorted(own, "left") == known.searchsorted(own, "right")
        yield "client_id", "stranger", frame["client_id"].notna() & absent


def ask_records_begin(clients: pd.DataFrame) -> str:
    """A question where starts lie more than a year before the first recorded end; else nothing. (METHODS 0)"""
    first_end, first_start = clients["end_date"].min(), clients["start_date"].min()
    if pd.isna(first_end) or first_start >= first_end - pd.DateOffset(months=12):
        return ""
    return sentence("begin", start=first_start.date(), end=first_end.date(), all=ALL_HISTORY)
