"""Examples for models of one's own: what was known at each month's end, and what came of it; and
the transformers that keep it so (METHODS 7).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin, clone
from sklearn.utils.validation import check_is_fitted

from retention.history.features import AGE, KEY
from retention.history.snapshots import known
from retention.score.model import NOT_FEATURES, Prepared
from retention.words import say

__all__ = ["AsOf", "Examples", "OnExamples", "Prepared", "examples_of", "features_of", "now"]
INDEX = [*KEY, "month"]


class Examples(NamedTuple):
    """What models learn from: the features `X` (n, p), and `y` (n,), 1 for who left."""

    X: pd.DataFrame
    y: pd.Series


def features_in(rows: pd.DataFrame) -> list[str]:
    """The columns of the month's ends that are features."""
    return [name for name in rows if name not in NOT_FEATURES and not name.startswith(AGE)]


def examples_of(rows: pd.DataFrame) -> Examples:
    """The rows whose outcome is known, features and outcome apart; `rows` as from
    `build_snapshots`.
    """
    learned = known(rows)
    return Examples(features_of(learned), labels_of(learned))


def features_of(rows: pd.DataFrame) -> pd.DataFrame:
    """The features alone (n, p), with whose they are and of which month's end as the index."""
    index = _index(rows)
    return rows[features_in(rows)].set_axis(index, axis=0)


def labels_of(rows: pd.DataFrame) -> pd.Series:
    """1 for who left and 0 for who stayed, (n,), with the index of the features."""
    index = _index(rows)
    return rows["left"].set_axis(index)


def now(rows: pd.DataFrame) -> pd.DataFrame:
    """The month's ends of the last month: the clients to be scored."""
    newest = rows["month"] == rows["month"].max()
    return rows[newest].reset_index(drop=True)


def _index(rows: pd.DataFrame) -> pd.MultiIndex:
    after = rows["month"].to_numpy("int64") + 1 - 1970 * 12
    first = pd.Series(after.astype("datetime64[M]").astype("datetime64[ns]"))
    days = first - pd.Timedelta(days=1)
    columns = [rows["client_id"], rows["engagement"], days]
    return pd.MultiIndex.from_arrays(columns, names=INDEX)


class AsOf(TransformerMixin, BaseEstimator):
    """A transformer that adds columns of your own table to the examples, each as it was known on
    the row's day and no later.

    Of each client the newest row on or before the month's end counts; blank before there is one. A
    row that was written down later is never seen, so a column filled in when a client left helps no
    model.

    Parameters
    ----------
    table : pandas.DataFrame
        A row a client and day, with `client_id`, the column `day`, and the columns to add.
    day : str
        The column that says when a row was written down (not what day it is about).
    columns : list of str, optional
        What to add; by default every other column.

    Examples
    --------
    >>> from retention import AsOf
    >>> X, y = study.examples()
    >>> calls = study.known("meetings").assign(minutes=30.0)
    >>> added = AsOf(calls, day="held_on", columns=["minutes"]).fit_transform(X)
    >>> added.shape[1] - X.shape[1]
    1
    """

    def __init__(self, table: pd.DataFrame, day: str, columns: Sequence[str] | None = None) -> None:
        self.table = table
        self.day = day
        self.columns = columns

    def fit(self, X: pd.DataFrame, y: Any = None) -> Self:
        """Learn nothing but which columns there are; ValueError where the table lacks some."""
        named = self.columns or [name for name in self.table if name not in ("client_id", self.day)]
        self.columns_ = list(named)
        needed = ["client_id", self.day, *self.columns_]
        absent = [name for name in needed if name not in self.table]
        if absent:
            names = ", ".join(absent)
            raise ValueError(say("analyst.refused.no_column", names=names))
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """The examples with the columns as known at each month's end."""
        check_is_fitted(self, "columns_")
        about = pd.DataFrame(
            {
                "client_id": X.index.get_level_values("client_id").astype(str),
                "at": pd.to_datetime(X.index.get_level_values("month")).astype("datetime64[ns]"),
                "place": range(len(X)),
            }
        )
        joined = pd.merge_asof(
            about.sort_values("at", kind="stable"),
            self._dated(),
            on="at",
            by="client_id",
            direction="backward",
        )
        in_order = joined.sort_values("place")[self.columns_]
        added = in_order.set_axis(X.index, axis=0)
        return pd.concat([X, added], axis=1)

    def _dated(self) -> pd.DataFrame:
        """The table's rows in order of the day on which they were written down."""
        days = pd.to_datetime(self.table[self.day]).astype("datetime64[ns]")
        rows = self.table[self.columns_].assign(
            client_id=self.table["client_id"].astype(str), at=days
        )
        dated = rows[days.notna().to_numpy()]
        return dated.sort_values("at", kind="stable")


class OnExamples(ClassifierMixin, BaseEstimator):
    """Any scikit-learn classifier, fitted on month's ends as our own model is: it sees features
    alone.
    """

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def fit(self, rows: pd.DataFrame, y: Any = None) -> Self:
        """Fit a copy of the estimator on the features of these rows and their outcome `left`."""
        fresh = clone(self.estimator)
        self.fitted_ = fresh.fit(features_of(rows), labels_of(rows))
        self.classes_ = self.fitted_.classes_
        return self

    def predict_proba(self, rows: pd.DataFrame) -> Any:
        """Probabilities of staying and of leaving, shape (n, 2)."""
        return self.fitted_.predict_proba(features_of(rows))
