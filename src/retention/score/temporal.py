"""The splits of month's ends into training and test by time, for scikit-learn (METHODS 7)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from retention.history.snapshots import BLOCK, month_of, splits
from retention.history.window import Window
from retention.score.model import MIN_EVENTS
from retention.words import say

LEVELS = ("client_id", "month")  # of the index of X: whose row it is, and which month's end


class TemporalSplit:
    """A scikit-learn cross-validator over month's ends: train on the past, test on what came later.

    The training always grows (expanding). Between it and the test lie as many months as an outcome
    takes to be known (embargo), so that nothing learned was unknown on the first day of the test.
    With `by_client` no client is in both. Whose row it is and of which month is read from the index
    of `X` (`study.examples()` makes it); `groups` may say it in its place. Source: METHODS 7.

    Parameters
    ----------
    window : Window
        What is predicted, and how far ahead (`study.window`).
    min_events : int
        Clients who must have left in the first training.
    block : int
        Months that one model predicts.
    blocks : int
        How many of the last blocks are used; 0 is all.
    by_client : bool
        Whether to predict each fifth of the clients by models that never saw them.

    Examples
    --------
    >>> from sklearn.model_selection import cross_validate
    >>> from retention import TemporalSplit
    >>> X, y = study.examples()
    >>> model = retention.baselines(study)["calendar"]
    >>> cv = TemporalSplit(study.window)
    >>> found = cross_validate(model, X, y, cv=cv, scoring="roc_auc")
    >>> bool((found["test_score"] > 0.5).all())
    True
    """

    def __init__(
        self,
        window: Window | None = None,
        min_events: int = MIN_EVENTS,
        block: int = BLOCK,
        blocks: int = 0,
        by_client: bool = False,
    ) -> None:
        self.window = window or Window()
        self.min_events = min_events
        self.block = block
        self.blocks = blocks
        self.by_client = by_client

    def split(
        self, X: Any, y: Any = None, groups: Any = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Row numbers of training and test, block of months after block.

        ValueError where `X` does not tell whose its rows are and of which month, where `y` is not
        given, or where too few clients left for any split.
        """
        rows = _rows(X, y, groups)
        masks = splits(
            rows,
            self.window,
            self.min_events,
            unseen=self.by_client,
            block=self.block,
            blocks=self.blocks,
        )
        found = False
        for train, test in masks:
            if train.any():
                found = True
                yield np.flatnonzero(train), np.flatnonzero(test)
        if not found:
            raise ValueError(say("analyst.refused.no_split", needed=self.min_events))

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """How many splits there are of these rows."""
        return sum(1 for _ in self.split(X, y, groups))

    def __repr__(self) -> str:
        window = self.window
        ahead = f"gap={window.gap}, horizon={window.horizon}"
        return f"TemporalSplit({ahead}, block={self.block}, by_client={self.by_client})"


def _rows(X: Any, y: Any, groups: Any) -> pd.DataFrame:
    """`client_id, month, left` of the rows of X, the month as a number."""
    where = X if groups is None else groups
    if isinstance(where, pd.DataFrame) and set(LEVELS) <= {*where}:
        index = pd.MultiIndex.from_frame(where[list(LEVELS)])
    else:
        index = where if isinstance(where, pd.MultiIndex) else getattr(where, "index", None)
    if index is None or not set(LEVELS) <= {*index.names}:
        raise ValueError(say("analyst.refused.no_index"))
    if y is None:
        raise ValueError(say("analyst.refused.no_outcome"))
    client = index.get_level_values("client_id")
    days = pd.Series(index.get_level_values("month"))
    left = np.asarray(y).astype(int)
    return pd.DataFrame({"client_id": client, "month": month_of(days), "left": left})
