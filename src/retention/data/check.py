"""What a typed table must satisfy: bounds, vocabularies and keys from the declarations, and sense
across rows.
"""

import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa

from retention.data.alike import nearest
from retention.data.broken import FAULT, broken_in_row
from retention.data.rules import rules_of
from retention.data.scales import NPS_SCALES
from retention.data.schema import Column, Table
from retention.data.words import fault, sentence
from retention.errors import SHOWN, Fault
from retention.settings import ALL_HISTORY

NEVER = pd.Timestamp("2200-01-01")  # later than any date that is read


def check_rows(table: Table, frame: pd.DataFrame, unread: pd.DataFrame) -> list[Fault]:
    """The faults that show within a row. Indices of the two frames agree.

    `unread` marks the cells whose text could not be read: they are told already, and not as empty.
    """
    first = frame.iloc[:, 0]
    ids = first.astype("string").fillna("(no id)")
    faults = []
    for column, kind, bad in [
        *_declared(table, frame, unread),
        *_contradictions(table, frame, unread),
    ]:
        if bad.any():
            of = table.column(column)
            seen = (
                frame.loc[bad, column].dropna().unique()[:SHOWN]
                if kind in ("choices", "low", "high")
                else ()
            )
            named = ids[bad].drop_duplicates()
            seen = [str(value) for value in seen]
            examples = ", ".join(f'"{value}" = 1' for value in seen)
            said = _said(of, table) | {"pairs": examples}
            count = int(bad.sum())
            named_kind = _named(kind, of)
            faults.append(fault(table.name, column, named_kind, count, named, seen, **said))
    return faults


def _said(of: Column, table: Table) -> dict[str, Any]:
    """What the words of a refusal may need to know of a column."""
    others = [
        column.name for column in table.columns if column.kind == "date" and column.name != of.known
    ]
    return {
        "of": of,
        "unit": of.unit or "plain numbers",
        "choices": ", ".join(of.choices),
        "scales": ", ".join(NPS_SCALES),
        "day": of.known,
        "other": others[0] if others else "",
    }


def _named(kind: str, of: Column) -> str:
    """The kind of refusal, where a column has a way out of its own: the terms of contracts, and
    answers on a scale.
    """
    if of.kind == "term":
        return {"not_nullable": "empty term", "low": "low term"}.get(kind, kind)
    return "off scale" if of.name == "nps" and kind in ("low", "high") else kind


def strangers(frame: pd.DataFrame, known: np.ndarray) -> pd.Series:
    """Which rows have a client whose id is not among the `known` (sorted hashes)."""
    own = hashed(frame[["client_id"]])
    missing = known.searchsorted(own, "left")
    absent = missing == known.searchsorted(own, "right")
    return frame["client_id"].notna() & absent


def stranger_faults(table: str, rows: Mapping[str, int], clients: Iterable[str]) -> list[Fault]:
    """Faults for ids that the clients table does not have, with their rows: the nearest explanation
    first.
    """
    faults = []
    for kind, pairs in nearest(rows, clients).items():
        count = sum(rows[unknown] for unknown in pairs)
        pairs_seen = [f"{unknown!r} for {known!r}" for unknown, known in pairs.items() if known]
        seen = pairs_seen[:SHOWN]
        why = f"stranger {kind}".strip()
        faults.append(fault(table, "client_id", why, count, pairs, seen))
    return faults


def hashed(frame: pd.DataFrame) -> np.ndarray:
    """A 64-bit hash a row; among 25 million different rows two agree by chance once in some 60,000
    tables.
    """
    return pd.util.hash_pandas_object(frame, index=False).to_numpy()


class Across:
    """What must hold across rows, checked on hashes of keys so that a table of any size fits:
    gathered by piece.
    """

    def __init__(self, table: Table, partial: bool = False, repeated: str | None = None) -> None:
        self.table = table
        self.partial = (
            partial  # the rows are not kept: what is asked of rows of one key is asked by hashes
        )
        self.repeated = repeated  # what the settings say of such rows
        self.rows = 0
        self.repeats = False  # whether several rows have one key, once that is checked
        self.clients = np.array(
            [], dtype=np.uint64
        )  # sorted hashes of the clients' ids, once the clients are checked
        self.parts: dict[str, list[np.ndarray]] = defaultdict(list)

    def add(self, frame: pd.DataFrame, unread: pd.DataFrame) -> None:
        """Take in one typed piece; rows with cells that could not be read (`unread`) may only look
        alike.
        """
        clients = self.table.name == "clients"
        key = ["client_id"] if clients else [name for name in self.table.key if name in frame]
        if key:
            # A row that lacks its key gets a number of its own: a lack is told elsewhere, and is no
            # repeat.
            numbers = self.rows + len(frame)
            own = np.arange(self.rows, numbers, dtype=np.uint64)
            needed = [name for name in key if self.table.column(name).required]
            filled = frame[needed].notna()
            whole = filled.all(axis=1)
            hashes = hashed(frame[key])
            keys = np.where(whole, hashes, own)
            self.parts["key"].append(keys)
            if self.partial and self.table.add_up:
                self._add_parts(frame, key, own)
        if clients:
            self.parts["row"].append(hashed(frame))
            any_unread = unread.any(axis=1).to_numpy()
            self.parts["unsure"].append(any_unread)
            no_day = unread[["start_date", "end_date"]].any(axis=1)
            self.parts["undated"].append(no_day.to_numpy())
            for name in (
                "start_date",
                "end_date",
            ):  # in days, half the size; an open end comes after every other
                known = frame[name].fillna(NEVER)
                days = known.to_numpy().astype("datetime64[D]")
                self.parts[name].append(days.astype("int32"))
        self.rows += len(frame)

    def _add_parts(self, frame: pd.DataFrame, key: list[str], own: np.ndarray) -> None:
        """Take in what rows of one key must share, and where they may not be alike."""
        for kind, names in self._shared().items():
            if set(names) <= set(frame):
                shared_hashes = frame[[*key, *names]]
                self.parts[kind].append(hashed(shared_hashes))
        for name in self._sums():
            if name in frame:
                hashes = hashed(frame[[*key, name]])
                there = frame[name].notna()
                own_hashes = np.where(there, hashes, own)
                self.parts[f"alike {name}"].append(own_hashes)

    def _shared(self) -> dict[str, tuple[str, ...]]:
        """By the kind of refusal, the columns in which rows of one key must agree."""
        shared = {"parts differ": self.table.must_agree}
        if self.table.newest_by and not self.repeated:
            shared["versions"] = (self.table.newest_by,)
        return {kind: names for kind, names in shared.items() if names}

    def _sums(self) -> tuple[str, ...]:
        return self.table.add_up if self.table.alike_is_doubtful and not self.repeated else ()

    def faults(self, ids: Callable[[np.ndarray], Sequence[str]]) -> list[Fault]:
        """Rows that repeat a key, and engagements that overlap; `ids` names the rows at some
        positions.

        Where the rows are kept, those of one key are seen to later (repeats.py).
        """
        parts = {name: np.concatenate(self.parts.pop(name)) for name in list(self.parts)}
        if not parts:
            return []
        if self.table.name == "clients":
            bad = self._engagements(parts)
        else:
            twice = _repeated(parts["key"])
            self.repeats = len(twice) > 0
            bad = self._repeats(parts, twice) if self.partial else {}
        told = [
            (kind, len(rows), dict.fromkeys(ids(np.sort(rows))))
            for kind, rows in bad.items()
            if len(rows)
        ]
        said = {
            "key": ", ".join(self.table.key),
            "way": self.table.again,
            "day": self.table.newest_by,
        }
        columns = self.table.must_agree or self.table.add_up
        said |= {"names": " or ".join(columns)}
        agreeing = ", ".join(self.table.must_agree)
        said |= {"shared": agreeing}
        return [
            fault(self.table.name, "", kind, count, named, **said) for kind, count, named in told
        ]

    def _repeats(self, parts: dict[str, np.ndarray], twice: np.ndarray) -> dict[str, np.ndarray]:
        """Rows of one key that are neither parts to add up nor versions of which the newest is
        asked for.
        """
        if self.table.apart or self.repeated == "keep newest":
            return {}
        if not self.table.add_up:
            return {"again somewhere": twice}
        bad = {}
        at = np.flatnonzero(np.isin(parts["key"], parts["key"][twice])) if len(twice) else twice
        for kind in self._shared().keys() & parts.keys():
            grouped = pd.Series(parts[kind][at])
            by_key = grouped.groupby(parts["key"][at])
            several = by_key.transform("nunique") > 1
            bad[kind] = at[several.to_numpy()]
        alike = [_repeated(parts[name]) for name in parts if name.startswith("alike ")]
        doubtful = np.unique(np.concatenate(alike)) if alike else twice[:0]
        return bad | {"alike": doubtful}

    def _engagements(self, parts: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Rows that are copies, and rows of a client that end after the next one has begun."""
        self.clients = np.unique(parts["key"])
        sure = np.flatnonzero(~parts["unsure"])
        again = parts["row"][sure]
        twice = sure[_repeated(again)]
        dated = np.flatnonzero(~parts["undated"])
        starts = parts["start_date"][dated]
        keys_dated = parts["key"][dated]
        order = dated[np.lexsort((starts, keys_dated))]
        order = order[~np.isin(order, twice)] if len(twice) else order
        client, start, end = (parts[name][order] for name in ("key", "start_date", "end_date"))
        same = client[1:] == client[:-1]
        ends_before = end[:-1]
        overlapping = same & (start[1:] <= ends_before)
        overlaps = order[:-1][overlapping]
        return {"copy": twice, "overlap": overlaps}


def _repeated(keys: np.ndarray) -> np.ndarray:
    """Positions of the keys that stand in an earlier row too; sorting first is cheap where there
    are none.
    """
    ordered = np.sort(keys)
    return (
        np.flatnonzero(pd.Series(keys).duplicated())
        if (ordered[1:] == ordered[:-1]).any()
        else np.array([], int)
    )


def _declared(
    table: Table, frame: pd.DataFrame, unread: pd.DataFrame
) -> Iterator[tuple[str, str, pd.Series]]:
    """What pandera finds against the table's declaration: the column, the rule that is broken, and
    the rows.
    """
    columns = {c.name: c for c in table.columns if c.name in frame}
    schema = pa.DataFrameSchema(
        {
            name: pa.Column(checks=_rules(column), nullable=column.may_be_blank)
            for name, column in columns.items()
        }
    )
    try:
        with (
            warnings.catch_warnings()
        ):  # pandera's own, about how it puts its list of faults together
            warnings.simplefilter("ignore", FutureWarning)
            schema.validate(frame, lazy=True)
    except pa.errors.SchemaErrors as errors:
        for (name, rule), rows in errors.failure_cases.groupby(["column", "check"], sort=False)[
            "index"
        ]:
            yield (
                name,
                str(rule),
                pd.Series(frame.index.isin(list(rows)), frame.index) & ~unread[name],
            )


def _rules(column: Column) -> list[pa.Check]:
    rules = [pa.Check.isin(column.choices, error="choices")] if column.choices else []
    rules += [pa.Check.ge(column.low, error="low")] if column.low is not None else []
    rules += [pa.Check.le(column.high, error="high")] if column.high is not None else []
    return rules


def _contradictions(
    table: Table, frame: pd.DataFrame, unread: pd.DataFrame
) -> Iterator[tuple[str, str, pd.Series]]:
    """What the rules call a fault within a row; cells that could not be read contradict nothing."""
    for rule in rules_of(table.name, FAULT):
        if {rule.column, rule.other} <= set(frame):
            read = ~unread[rule.column]
            readable = read & ~unread[rule.other]
            yield rule.column, rule.words, broken_in_row(rule, frame) & readable


def ask_records_begin(clients: pd.DataFrame) -> str:
    """A question where starts lie more than a year before the first recorded end; else nothing.
    (METHODS 0)
    """
    first_end = clients["end_date"].min()
    first_start = clients["start_date"].min()
    if pd.isna(first_end) or first_start >= first_end - pd.DateOffset(months=12):
        return ""
    first_day = first_start.date()
    last_day = first_end.date()
    return sentence("begin", start=first_day, end=last_day, all=ALL_HISTORY)
