"""Rows of strangers, clients that the clients table does not have, left out and counted where the
settings say so.
"""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from retention.data.check import strangers
from retention.data.mapping import kept_words
from retention.data.parse import parse
from retention.data.schema import Table
from retention.data.words import sentence
from retention.errors import SHOWN
from retention.settings import TableSettings

LEAVE_OUT = "leave out"


@dataclass
class LeftOut:
    """The rows of one table that were left out, by id, over the last whole reading of it."""

    table: Table
    how: TableSettings
    known: np.ndarray | None = None  # hashes of the clients' ids, once they are read
    rows: Counter[str] = field(default_factory=Counter)
    now: Counter[str] = field(default_factory=Counter)

    def knows(self, clients: np.ndarray | None) -> None:
        """Take the clients' ids; of leads, which may be anybody's, nothing is left out."""
        asked = self.how.strangers == LEAVE_OUT
        wanted = asked and self.table.name != "leads"
        self.known = clients if wanted else None

    def begin(self) -> None:
        """The table is read from its first row on."""
        self.now = Counter()

    def kept(self, raw: pd.DataFrame) -> pd.DataFrame:
        """A piece without the rows of strangers."""
        if self.known is None or "client_id" not in raw:
            return raw
        keep = kept_words(self.how, "client_id")
        column = self.table.column("client_id")
        read = parse(raw["client_id"], column, keep=keep)
        ids = read.values
        named = ids.to_frame("client_id")
        away = strangers(named, self.known)
        self.now.update(ids[away].value_counts().to_dict())
        return raw[~away].reset_index(drop=True)

    def done(self) -> None:
        """The table was read to its last row."""
        self.rows = self.now

    def notes(self) -> list[str]:
        """What was left out, in a sentence."""
        if not self.rows:
            return []
        names = ", ".join(f"{name!r} ({n:,})" for name, n in self.rows.most_common(SHOWN))
        number = self.rows.total()
        counts = {"count": number, "different": len(self.rows)}
        table = self.table.name
        text = sentence("left out", table=table, names=names, **counts)
        return [text]
