"""Who will leave next: the model, and the simple rules that it must beat (METHODS 7).

Everything that is fitted is fitted inside these estimators, on the rows they are given and no
others: which features there is room for, scaling, the penalty, the kind of model and its
calibration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from scipy import special
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin, clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import Pipeline, make_pipeline

from retention.history.features import AGE, BESIDE, KEY
from retention.history.measures import FEATURES
from retention.history.snapshots import WORTH, splits
from retention.history.term_in_force import FAR
from retention.history.window import Window
from retention.stats.hazards import NotFittedError

MIN_EVENTS = 40  # (ours) clients who left, under which no model is made
BOOSTING_FROM = 300  # clients who left: METHODS 7
EVENTS_A_FEATURE = 10  # METHODS 7
PENALTIES = (0.001, 0.01, 0.1)  # inverse strengths of the ridge, features in standard deviations
# the last of the training, on which penalty and calibration are found
INNER_BLOCKS, INNER_MONTHS = 4, 6
FEWER_BLOCKS = 2  # (ours) the same where so many left that boosting is tried
BLANK = "not known"  # the level of a category that is blank; no reader meets it
MOST_MISSING = 0.6  # share of missing values above which a feature is left out
MIN_LEVEL = 0.02  # share of rows under which a category joins the rest
NOT_FEATURES = (*KEY, *BESIDE, WORTH, "month", "outcome", "left")
CALIBRATION_FROM = 200  # (ours) clients who left at which half of the calibration found is believed
# (ours) month's ends from which a model learns; of more, those of clients drawn at random
MOST_ROWS = 30_000
SHRINK = 20.0  # rows by which a rule's rate in a group is shrunk towards that of all


class RiskModel(ClassifierMixin, BaseEstimator):
    """The risk of leaving by choice in the window: ridge logistic regression, or boosting where
    ends are many.

    Takes rows as `snapshots.known` makes them. Boosting is tried from 300 clients who left on, and
    taken where it predicts the last months of the training better. One feature for every ten
    clients who left, in the order of features.toml. Of very many rows it learns from those of
    clients drawn at random (`sampled`). NotFittedError under forty.
    """

    def __init__(self, window: Window, seed: int = 1) -> None:
        self.window = window
        self.seed = seed

    def fit(self, rows: pd.DataFrame, y: Any = None) -> Self:
        """Choose features, kind and penalty on the training months alone; fit and calibrate. `y`:
        rows["left"].
        """
        rows = sampled(rows, self.seed)
        self.n_events_ = distinct_leavers(rows)
        if self.n_events_ < MIN_EVENTS:
            raise NotFittedError(
                f"{self.n_events_} clients left by choice in months that can be learned from; "
                f"{MIN_EVENTS} are needed"
            )
        self.features_ = room_for(rows, self.n_events_)
        offered = self._offered()
        blocks = FEWER_BLOCKS if "boosting" in offered else INNER_BLOCKS
        in_blocks = splits(rows, self.window, MIN_EVENTS // 2, block=INNER_MONTHS, blocks=blocks)
        inner = list(in_blocks)
        tried = {
            name: predicted
            for name, predicted in _predicted(offered, rows, self.features_, inner).items()
            if predicted["left"].nunique() == 2
        }
        self.kind_ = f"ridge {PENALTIES[1]}"
        self.calibration_ = (0.0, 1.0)
        if tried:
            losses = {
                name: log_loss(predicted["left"], special.expit(predicted["odds"]))
                for name, predicted in tried.items()
            }
            self.kind_ = min(losses, key=lambda name: losses[name])
            self.calibration_ = _calibration(tried[self.kind_])
        self.pipeline_ = make_pipeline(Prepared(), offered[self.kind_]).fit(
            rows[self.features_], rows["left"]
        )
        self.classes_ = np.array([0, 1])
        return self

    def _offered(self) -> dict[str, BaseEstimator]:
        ridges = {f"ridge {C}": logistic(C) for C in PENALTIES}
        if self.n_events_ < BOOSTING_FROM:
            return ridges
        return ridges | {"boosting": boosting(self.seed)}

    def decision_function(self, rows: pd.DataFrame) -> np.ndarray:
        """Log-odds of leaving, calibrated, shape (n,)."""
        intercept, slope = self.calibration_
        return intercept + slope * np.asarray(
            self.pipeline_.decision_function(rows[self.features_])
        )

    def predict_proba(self, rows: pd.DataFrame) -> np.ndarray:
        """Probabilities of staying and of leaving, shape (n, 2)."""
        p = special.expit(self.decision_function(rows))
        return np.column_stack([1 - p, p])

    def refitted(self, rows: pd.DataFrame) -> Self:
        """The same model, its choices kept, fitted on other rows (a resample of the clients, for
        intervals).
        """
        other = clone(self)
        for name in ("n_events_", "features_", "kind_", "calibration_", "classes_"):
            setattr(other, name, getattr(self, name))
        fresh = clone(self.pipeline_)
        other.pipeline_ = fresh.fit(rows[self.features_], rows["left"])
        return other


def sampled(rows: pd.DataFrame, seed: int, most: int = MOST_ROWS) -> pd.DataFrame:
    """At most so many of the rows: those of clients drawn at random, each with all of its own, so
    that shares stay right.

    What a fit costs then no longer grows with the clients.
    """
    if len(rows) <= most:
        return rows
    codes, names = pd.factorize(rows["client_id"])
    order = np.random.default_rng(seed).permutation(len(names))
    so_far = np.bincount(codes)[order]
    drawn = order[np.cumsum(so_far) <= most]
    return rows[np.isin(codes, drawn)]


def distinct_leavers(rows: pd.DataFrame) -> int:
    """Clients who left: one who was about to on three month's ends counts once."""
    gone = rows.loc[rows["left"] == 1, "client_id"]
    return int(gone.nunique())


def room_for(rows: pd.DataFrame, events: int) -> list[str]:
    """The features, in the order of features.toml and then those of signing, for which there are
    ends enough.
    """
    names = [name for name in FEATURES if name in rows]
    names += sorted(
        name for name in rows if name not in (*FEATURES, *NOT_FEATURES) and not name.startswith(AGE)
    )
    chosen = []
    room = events // EVENTS_A_FEATURE
    for name in names:
        if rows[name].isna().mean() > MOST_MISSING or rows[name].nunique() < 2:
            continue
        size = (
            1
            if is_number(rows[name])
            else int((rows[name].value_counts(normalize=True) >= MIN_LEVEL).sum())
        )
        if size <= room:
            chosen.append(name)
            room -= size
    return chosen


def is_number(values: pd.Series) -> bool:
    """Whether a feature is a number, not a category."""
    return bool(pd.api.types.is_numeric_dtype(values))


class Prepared(TransformerMixin, BaseEstimator):
    """Features as numbers, shape (n, p): first the counted ones, blanks filled with the median, in
    standard deviations; then a column for each category, those of under two in a hundred rows
    together in one.

    scikit-learn's transformers give the same and take four times as long, most of the cost of a
    model refitted often.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> X, y = study.examples()
    >>> model = make_pipeline(retention.Prepared(), LogisticRegression(C=0.01)).fit(X, y)
    >>> model.predict_proba(X).shape[1]
    2
    """

    def fit(self, rows: pd.DataFrame, y: Any = None) -> Self:
        """Learn medians, scales and categories."""
        self.numbers_ = [name for name in rows if is_number(rows[name])]
        X = rows[self.numbers_].to_numpy(float)
        blank = np.isnan(X)
        known = np.where(blank.all(axis=0), 0.0, X)
        self.median_ = np.nan_to_num(np.nanmedian(known, axis=0))
        X = np.where(blank, self.median_, X)
        self.mean_ = X.mean(axis=0)
        spread = X.std(axis=0)
        least = 1e-12 * (1 + np.abs(self.mean_))
        self.scale_ = np.where(spread > least, spread, 1.0)
        self.levels_: dict[str, tuple[pd.Index, bool]] = {}
        for name in (name for name in rows if name not in self.numbers_):
            filled = rows[name].fillna(BLANK)
            counts = filled.value_counts()
            enough = counts >= MIN_LEVEL * len(rows)
            often = counts.index[enough].sort_values()
            self.levels_[name] = often, len(often) < len(counts)
        return self

    def transform(self, rows: pd.DataFrame) -> np.ndarray:
        """The numbers of these rows; a category never seen counts among the rare ones."""
        X = rows[self.numbers_].to_numpy(float)
        whole = np.where(np.isnan(X), self.median_, X)
        parts = [(whole - self.mean_) / self.scale_]
        for name, (often, rare) in self.levels_.items():
            filled = rows[name].fillna(BLANK)
            codes = often.get_indexer(filled)
            levels = np.append(np.arange(len(often)), [-1] * rare)
            parts.append(codes[:, None] == levels)
        return np.hstack(parts)


def logistic(C: float) -> LogisticRegression:
    """Ridge logistic regression with this inverse strength of the penalty."""
    return LogisticRegression(C=C, solver="newton-cholesky", max_iter=200)


def ridge(C: float) -> Pipeline:
    """Ridge logistic regression of prepared features (blanks filled, scaled, categories apart)."""
    return make_pipeline(Prepared(), logistic(C))


def boosting(seed: int) -> HistGradientBoostingClassifier:
    """Boosted trees, small and penalised, for when ends are many."""
    return HistGradientBoostingClassifier(
        max_iter=50,
        learning_rate=0.15,
        max_leaf_nodes=8,
        min_samples_leaf=50,
        l2_regularization=5.0,
        early_stopping=False,
        random_state=seed,
    )


def _predicted(
    offered: Mapping[str, BaseEstimator],
    rows: pd.DataFrame,
    features: list[str],
    inner: Sequence[tuple[np.ndarray, np.ndarray]],
) -> dict[str, pd.DataFrame]:
    """The last months of the training, each predicted from the months before: `client_id, left,
    odds` by candidate.
    """
    columns = ["client_id", "left"]
    tested = [rows.loc[[], columns]]
    odds = {name: [np.zeros(0)] for name in offered}
    for train, test in inner:
        training = rows.loc[train, features]
        prepared = Prepared().fit(training)
        training_rows = rows.loc[train, features]
        learned = prepared.transform(training_rows)
        test_rows = rows.loc[test, features]
        ahead = prepared.transform(test_rows)
        tested.append(rows.loc[test, ["client_id", "left"]])
        for name, candidate in offered.items():
            outcomes = rows.loc[train, "left"]
            fitted = clone(candidate).fit(learned, outcomes)
            odds[name].append(fitted.decision_function(ahead))
    every = pd.concat(tested)
    return {name: every.assign(odds=np.concatenate(parts)) for name, parts in odds.items()}


def _calibration(predicted: pd.DataFrame) -> tuple[float, float]:
    """Intercept and slope that turn predicted log-odds into those that came true.

    Platt's, shrunk towards none (0 and 1) where few clients left: a few dozen would follow chance.
    """
    odds = predicted[["odds"]].to_numpy()
    model = LogisticRegression(C=1.0).fit(odds, predicted["left"])
    events = distinct_leavers(predicted)
    trust = events / (events + CALIBRATION_FROM)
    slope = float(model.coef_[0, 0]) - 1
    return trust * float(model.intercept_[0]), 1 + trust * slope


class Rule(ClassifierMixin, BaseEstimator):
    """A simple rule: the share of each group that left, in training; `columns` make the groups,
    none makes one. A scikit-learn classifier, on month's ends or on `study.examples()`.

    Groups are nested: each further column divides those of the columns before it, and a small group
    is shrunk towards the share of the one that it is part of (partial pooling).
    """

    def __init__(self, columns: Sequence[str] = ()) -> None:
        self.columns = columns

    def fit(self, rows: pd.DataFrame, y: Any = None) -> Self:
        """Count who left in each group, the larger ones first. `y` (n,): 1 for who left; by default
        rows["left"].
        """
        if y is not None:
            left = np.asarray(y).astype(int)
            rows = rows.assign(left=left)
        mean = rows["left"].mean()
        self.share_ = float(mean)
        self.shares_: list[pd.Series] = []
        for depth in range(1, len(self.columns) + 1):
            wider = self._share(rows)
            groups = _groups(rows, self.columns[:depth])
            sums = (
                rows.assign(wider=wider)
                .groupby(groups)
                .agg(left=("left", "sum"), wider=("wider", "mean"))
            )
            size = groups.groupby(groups).size()
            pulled = sums["left"] + SHRINK * sums["wider"]
            self.shares_.append(pulled / (size + SHRINK))
        self.classes_ = np.array([0, 1])
        return self

    def _share(self, rows: pd.DataFrame) -> np.ndarray:
        """The share of each row's group, as far as groups are counted; of one never seen, that of
        the wider one.
        """
        share = pd.Series(self.share_, rows.index)
        for depth, shares in enumerate(self.shares_, 1):
            groups = _groups(rows, self.columns[:depth])
            share = groups.map(shares).fillna(share)
        return share.to_numpy(float)

    def predict_proba(self, rows: pd.DataFrame) -> np.ndarray:
        """Shares of staying and of leaving, shape (n, 2); of a group never seen, those of the wider
        one.
        """
        p = self._share(rows)
        return np.column_stack([1 - p, p])


def _groups(rows: pd.DataFrame, columns: Sequence[str]) -> pd.Series:
    """A number for each row's group, the same wherever these columns hold the same."""
    key = np.zeros(len(rows))
    for column in columns:
        band = _banded(rows, column)
        key = key * FAR + band.to_numpy(float, na_value=-1.0)
    return pd.Series(key, rows.index)


def _banded(rows: pd.DataFrame, column: str) -> pd.Series:
    if column == "tenure_months":
        limits = [4, 7, 13, 19, 25]
        return pd.Series(np.digitize(rows[column], limits), rows.index)
    return rows[column].round() if column == "liking_now" else rows[column]


CALENDAR = "calendar"
# The columns that make the groups of each rule, by the rule's id.
RULES: Mapping[str, tuple[str, ...]] = {
    "everybody": (),
    "tenure_and_term": ("tenure_months", "term_months"),
    CALENDAR: ("monthly", "exit_possible", "renewal_due", "term_months"),
    "detractor": ("detractor_now",),
    "liking": ("liking_now",),
}


def offered_rules(rows: pd.DataFrame) -> dict[str, Rule]:
    """The rules that these columns allow, by id."""
    return {name: Rule(columns) for name, columns in RULES.items() if set(columns) <= set(rows)}
