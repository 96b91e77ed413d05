"""Who will leave next: the model, and the simple rules that it must beat (METHODS 7).

Everything that is fitted is fitted inside these estimators, on the rows they are given and no others: which features
there is room for, scaling, the penalty, the kind of model and its calibration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from scipy import special
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from retention.features import AGE, BESIDE, FEATURES, KEY, Window
from retention.hazards import NotFittedError
from retention.snapshots import WORTH, splits

MIN_EVENTS = 40  # (ours) clients who left, under which no model is made
BOOSTING_FROM = 300  # clients who left: METHODS 7
EVENTS_A_FEATURE = 10  # METHODS 7
PENALTIES = (0.001, 0.01, 0.1)  # inverse strengths of the ridge, features in standard deviations
INNER_BLOCKS, INNER_MONTHS = 4, 6  # the last of the training, on which penalty and calibration are found
MOST_MISSING = 0.6  # share of missing values above which a feature is left out
MIN_LEVEL = 0.02  # share of rows under which a category joins the rest
NOT_FEATURES = (*KEY, *BESIDE, WORTH, "month", "outcome", "left")
CALIBRATION_FROM = 200  # (ours) clients who left at which half of the calibration found is believed
SHRINK = 20.0  # rows by which a rule's rate in a group is drawn to that of all


class RiskModel(ClassifierMixin, BaseEstimator):
    """The chance of leaving by choice in the window: ridge logistic regression, or boosting where ends are many.

    Takes rows as `snapshots.known` makes them. Boosting is tried from 300 clients who left on, and taken where it
    foretells the last months of the training better. One feature for every ten clients who left, in the order of
    features.toml. NotFittedError under forty.
    """

    def __init__(self, window: Window, seed: int = 1) -> None:
        self.window, self.seed = window, seed

    def fit(self, rows: pd.DataFrame, y: Any = None) -> Self:
        """Choose features, kind and penalty on the training months alone; fit and calibrate. `y`: rows["left"]."""
        self.n_events_ = distinct_leavers(rows)
        if self.n_events_ < MIN_EVENTS:
            raise NotFittedError(
                f"{self.n_events_} clients left by choice in months that can be learned from; {MIN_EVENTS} are needed"
            )
        self.features_ = room_for(rows, self.n_events_)
        inner = list(splits(rows, self.window, MIN_EVENTS // 2, block=INNER_MONTHS, blocks=INNER_BLOCKS))
        tried = {name: _foretold(candidate, rows, self.features_, inner) for name, candidate in self._offered().items()}
        tried = {name: found for name, found in tried.items() if found["left"].nunique() == 2}
        self.kind_, self.calibration_ = f"ridge {PENALTIES[1]}", (0.0, 1.0)
        if tried:
            self.kind_ = min(tried, key=lambda name: log_loss(tried[name]["left"], special.expit(tried[name]["odds"])))
            self.calibration_ = _calibration(tried[self.kind_])
        self.pipeline_ = clone(self._offered()[self.kind_]).fit(rows[self.features_], rows["left"])
        self.classes_ = np.array([0, 1])
        return self

    def _offered(self) -> dict[str, Pipeline]:
        ridges = {f"ridge {C}": ridge(C) for C in PENALTIES}
        return ridges | ({"boosting": _boosting(self.seed)} if self.n_events_ >= BOOSTING_FROM else {})

    def decision_function(self, rows: pd.DataFrame) -> np.ndarray:
        """Log-odds of leaving, calibrated, shape (n,)."""
        intercept, slope = self.calibration_
        return intercept + slope * _log_odds(self.pipeline_, rows[self.features_])

    def predict_proba(self, rows: pd.DataFrame) -> np.ndarray:
        """Chances of staying and of leaving, shape (n, 2)."""
        p = special.expit(self.decision_function(rows))
        return np.column_stack([1 - p, p])

    def refitted(self, rows: pd.DataFrame) -> Self:
        """The same model, its choices kept, on other rows (a resample of the clients, to see how firm it stands)."""
        other = clone(self)
        for name in ("n_events_", "features_", "kind_", "calibration_", "classes_"):
            setattr(other, name, getattr(self, name))
        other.pipeline_ = clone(self.pipeline_).fit(rows[self.features_], rows["left"])
        return other


def distinct_leavers(rows: pd.DataFrame) -> int:
    """Clients who left: one who was about to on three month's ends counts once."""
    return int(rows.loc[rows["left"] == 1, "client_id"].nunique())


def room_for(rows: pd.DataFrame, events: int) -> list[str]:
    """The features, in the order of features.toml and then those of signing, for which there are ends enough."""
    names = [name for name in FEATURES if name in rows]
    names += sorted(name for name in rows if name not in (*FEATURES, *NOT_FEATURES) and not name.startswith(AGE))
    chosen, room = [], events // EVENTS_A_FEATURE
    for name in names:
        if rows[name].isna().mean() > MOST_MISSING or rows[name].nunique() < 2:
            continue
        size = 1 if is_number(rows[name]) else int((rows[name].value_counts(normalize=True) >= MIN_LEVEL).sum())
        if size <= room:
            chosen.append(name)
            room -= size
    return chosen


def is_number(values: pd.Series) -> bool:
    """Whether a feature is counted, not told apart by name."""
    return bool(pd.api.types.is_numeric_dtype(values))


def _prepared() -> ColumnTransformer:
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    texts = make_pipeline(
        SimpleImputer(strategy="constant", fill_value="not known"),
        OneHotEncoder(min_frequency=MIN_LEVEL, handle_unknown="infrequent_if_exist", sparse_output=False),
    )
    return ColumnTransformer([("numbers", numbers, _numbers), ("texts", texts, _texts)])


def _numbers(rows: pd.DataFrame) -> list[str]:
    return [name for name in rows if is_number(rows[name])]


def _texts(rows: pd.DataFrame) -> list[str]:
    return [name for name in rows if not is_number(rows[name])]


def ridge(C: float) -> Pipeline:
    """Ridge logistic regression of prepared features (blanks filled, scaled, categories apart)."""
    return make_pipeline(_prepared(), LogisticRegression(C=C, solver="newton-cholesky", max_iter=200))


def _boosting(seed: int) -> Pipeline:
    boosting = HistGradientBoostingClassifier(
        max_iter=150,
        learning_rate=0.05,
        max_leaf_nodes=8,
        min_samples_leaf=50,
        l2_regularization=5.0,
        random_state=seed,
    )
    return make_pipeline(_prepared(), boosting)


def _log_odds(pipeline: Pipeline, rows: pd.DataFrame) -> np.ndarray:
    return np.asarray(pipeline.decision_function(rows))


def _foretold(
    candidate: Pipeline, rows: pd.DataFrame, features: list[str], inner: Sequence[tuple[np.ndarray, np.ndarray]]
) -> pd.DataFrame:
    """The last months of the training, each foretold from the months before: `client_id, left, odds` (log-odds)."""
    parts = [rows.loc[[], ["client_id", "left"]].assign(odds=0.0)]
    for train, test in inner:
        fitted = clone(candidate).fit(rows.loc[train, features], rows.loc[train, "left"])
        odds = _log_odds(fitted, rows.loc[test, features])
        parts.append(rows.loc[test, ["client_id", "left"]].assign(odds=odds))
    return pd.concat(parts)


def _calibration(foretold: pd.DataFrame) -> tuple[float, float]:
    """Intercept and slope that turn foretold log-odds into those that came true, as far as ends are enough to tell.

    Platt's, drawn to none (0 and 1): of a few dozen clients it would follow luck.
    """
    model = LogisticRegression(C=1.0).fit(foretold[["odds"]].to_numpy(), foretold["left"])
    events = distinct_leavers(foretold)
    trust = events / (events + CALIBRATION_FROM)
    return trust * float(model.intercept_[0]), 1 + trust * (float(model.coef_[0, 0]) - 1)


class Rule(ClassifierMixin, BaseEstimator):
    """A simple rule: the share of each group that left, in training; `columns` make the groups, none makes one."""

    def __init__(self, columns: Sequence[str] = ()) -> None:
        self.columns = columns

    def fit(self, rows: pd.DataFrame, y: Any = None) -> Self:
        """Count who left in each group; small groups are drawn to the share of all. `y`: rows["left"]."""
        self.share_ = float(rows["left"].mean())
        sums = rows["left"].groupby(_groups(rows, self.columns)).agg(["sum", "size"])
        self.shares_ = (sums["sum"] + SHRINK * self.share_) / (sums["size"] + SHRINK)
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, rows: pd.DataFrame) -> np.ndarray:
        """Shares of staying and of leaving, shape (n, 2); of a group never seen, those of all."""
        p = _groups(rows, self.columns).map(self.shares_).fillna(self.share_).to_numpy(float)
        return np.column_stack([1 - p, p])


def _groups(rows: pd.DataFrame, columns: Sequence[str]) -> pd.Series:
    named = pd.Series("", rows.index)
    for column in columns:
        named = named + "|" + _banded(rows, column).astype("string").fillna("not known")
    return named


def _banded(rows: pd.DataFrame, column: str) -> pd.Series:
    if column == "tenure_months":
        return pd.cut(rows[column], [-1, 3, 6, 12, 18, 24, np.inf])
    return rows[column].round() if column == "liking_now" else rows[column]


RULES: Mapping[str, tuple[str, ...]] = {
    "everybody alike": (),
    "months of service and term": ("tenure_months", "term_months"),
    "renewal calendar": ("monthly", "exit_possible", "renewal_due"),
    "NPS of 6 or less": ("detractor_now",),
    "last rating of the rep": ("liking_now",),
}


def offered_rules(rows: pd.DataFrame) -> dict[str, Rule]:
    """The rules that these columns allow, by name."""
    return {name: Rule(columns) for name, columns in RULES.items() if set(columns) <= set(rows)}
