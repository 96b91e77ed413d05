"""Two groups of clients, of whom something was done for one, made alike in what was known before:
the share that left, its difference and ratio, E-values, and a control from before (METHODS 12).

Weights: Li, Morgan and Zaslavsky 2018. E-value: VanderWeele and Ding 2017. Negative control:
Lipsitch, Tchetgen Tchetgen and Cohen 2010.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from retention.claims.contract_balance import WEAK_PENALTY
from retention.contrast import MIN_EVENTS_GROUP, NO_SPREAD, Contrast, as_ratio
from retention.history.opportunities import EVENTS_A_PARAMETER
from retention.stats.intervals import Floats, leaving_out, welch
from retention.words import Said

# What was known before, in the order in which it is held as far as the rows allow.
BEFORE = (
    "risk",
    "nps_now",
    "tenure_months",
    "term_months",
    "log_size",
    "liking_now",
    "months_to_renewal",
    "meeting_since",
    "index_3",
    "flag_now",
)
CONTROLS = ("nps_earlier", "late_3")  # what no later action can have moved, the first on record
FEW, APART, FEWER, MORE, OPEN = ("few", "apart", "fewer", "more", "open")
COLUMNS = ["client_id", "rep", "done", "left", *CONTROLS, *BEFORE]


def e_value(ratio: float) -> float:
    """How strongly something that nobody recorded would have to go with both the action and
    leaving, as risk ratios, to explain this ratio alone.

    >>> round(e_value(3.9), 2), round(e_value(1 / 3.9), 2), e_value(1.0)
    (7.26, 7.26, 1.0)
    """
    if ratio <= 0:
        return math.inf
    away = max(ratio, 1 / ratio)
    return away + math.sqrt(away * (away - 1))


def e_value_of_limit(low: float, high: float) -> float:
    """The E-value of the limit that is nearest to 1; 1 where the interval includes 1.

    >>> round(e_value_of_limit(1.8, 8.7), 1), e_value_of_limit(0.9, 1.2)
    (3.0, 1.0)
    """
    if low <= 1 <= high:
        return 1.0
    return e_value(low if low > 1 else high)


@dataclass(frozen=True)
class Weighted:
    """Weighted means of an outcome with and without the action; `influence` (n, 2) is what each row
    adds to either.
    """

    means: Floats
    influence: Floats


def weighted(rows: pd.DataFrame, outcome: str) -> Weighted:
    """Both groups' mean outcome, each row weighted by the chance of the group that it is not in.

    That the chances are estimated is in the influence (stacked estimating equations).
    """
    done = rows["done"].to_numpy(bool)
    y = rows[outcome].to_numpy(float)
    X = covariates(rows)
    chance = _chances(X, done)
    spread = chance * (1 - chance)
    precision = (X * spread[:, None]).T @ X
    precision[1:, 1:] += np.eye(X.shape[1] - 1) / WEAK_PENALTY
    fitted = X * (done - chance)[:, None] @ np.linalg.inv(precision)
    means = []
    parts = []
    for own, weight, turn in ((done, 1 - chance, -1), (~done, chance, 1)):
        weight = np.where(own, weight, 0.0)
        mean = np.average(y, weights=weight)
        off = y - mean
        slope = turn * (np.where(own, spread, 0.0) * off) @ X
        parts.append((weight * off + fitted @ slope) / weight.sum())
        means.append(mean)
    return Weighted(np.array(means), np.column_stack(parts))


def covariates(rows: pd.DataFrame) -> Floats:
    """What was known before as standardised numbers, shape (n, 1 + k), the first all ones.

    Each with whether it is on record, in the order of `BEFORE`, as far as ten rows of the smaller
    group a parameter allow; unknown values are the mean.
    """
    smaller = rows["done"].value_counts().min()
    room = smaller // EVENTS_A_PARAMETER
    kept = [np.ones(len(rows))]
    for name in BEFORE:
        values = rows[name].astype(float)
        missing = values.isna().astype(float)
        known = values.fillna(values.mean())
        columns = [column for column in (known, missing) if column.nunique() > 1]
        if len(columns) > room:
            break
        room -= len(columns)
        kept += [((column - column.mean()) / column.std()).to_numpy() for column in columns]
    return np.column_stack(kept)


def _chances(X: Floats, done: np.ndarray) -> Floats:
    """The chance of the action by what was known before, shape (n,)."""
    if X.shape[1] == 1:
        return np.full(len(X), done.mean())
    model = LogisticRegression(C=WEAK_PENALTY, solver="newton-cholesky")
    fitted = model.fit(X[:, 1:], done)
    return np.asarray(fitted.predict_proba(X[:, 1:])[:, 1])


def contrast(
    rows: pd.DataFrame, outcome: str, counts: Mapping[str, int], *, ratio: bool = False
) -> Contrast:
    """The outcome with the action less that without (or its log ratio), by client or rep, the
    wider; `counts` of each group say how well the error is known.
    """
    found = weighted(rows, outcome)
    scale = found.means if ratio else np.ones(2)
    values = np.log(found.means) if ratio else found.means
    each = found.influence / scale
    own = each[:, 0] - each[:, 1]
    theta = float(values[0] - values[1])
    codes, clients = pd.factorize(rows["client_id"])
    by_client = np.bincount(codes, own)
    n = len(clients)
    se = math.sqrt((by_client**2).sum() * n / (n - 1))
    by_rep = _by_rep(own, rows["rep"], theta)
    df = welch(*counts.values())
    return Contrast(outcome, theta, se, n, counts, df=df, by_rep=by_rep)


def _by_rep(own: Floats, reps: pd.Series, theta: float) -> Any:
    """The spread as each rep's rows are left out (one Newton step)."""
    names = reps.fillna("").astype(str)
    codes, labels = pd.factorize(names)
    sums = np.bincount(codes, own)
    sizes = np.bincount(codes).astype(float)
    named = np.asarray(labels) != ""
    return leaving_out(theta - sums[named], sizes[named]) if named.any() else NO_SPREAD


@dataclass(frozen=True)
class Done:
    """One thing done without a trial, an id of `followed.DONE`.

    `rows`: an index day of a client each, with `COLUMNS`; `lacking` says which record there is
    none of.
    """

    id: str
    months: int
    rows: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=COLUMNS))
    lacking: Said | None = None

    def group(self, done: bool) -> pd.DataFrame:
        """The rows of those for whom it was done, or of the others."""
        return self.rows[self.rows["done"].astype(bool) == done]

    def clients(self, done: bool) -> int:
        """How many clients have a row in the group."""
        return int(self.group(done)["client_id"].nunique())

    def ends(self, done: bool) -> int:
        """How many clients of the group left by choice, each counted once."""
        rows = self.group(done)
        return int(rows.loc[rows["left"] == 1, "client_id"].nunique())

    @property
    def few(self) -> bool:
        """Whether too few left in a group for a comparison."""
        return min(self.ends(True), self.ends(False)) < MIN_EVENTS_GROUP

    @cached_property
    def shares(self) -> Floats:
        """The weighted shares that left, with the action and without it."""
        return weighted(self.rows, "left").means

    @cached_property
    def difference(self) -> Contrast:
        """The difference of the shares."""
        return contrast(self.rows, "left", self._ends)

    @cached_property
    def ratio(self) -> Contrast:
        """The log of their ratio."""
        return contrast(self.rows, "left", self._ends, ratio=True)

    @property
    def ratio_limits(self) -> tuple[float, float, float]:
        """The ratio with its interval."""
        low, high = self.ratio.interval()
        return as_ratio(self.ratio.theta), as_ratio(low), as_ratio(high)

    @property
    def _ends(self) -> dict[str, int]:
        return {"done": self.ends(True), "others": self.ends(False)}

    @cached_property
    def control(self) -> Contrast | None:
        """The difference in what the action cannot have moved; None where nothing of the kind is on
        record of ten clients a group.
        """
        for name in CONTROLS:
            rows = self.rows.dropna(subset=[name]).reset_index(drop=True)
            known = Done(self.id, self.months, rows)
            counts = {"done": known.clients(True), "others": known.clients(False)}
            if min(counts.values()) >= MIN_EVENTS_GROUP and rows[name].nunique() > 1:
                return contrast(rows, name, counts)
        return None

    @property
    def verdict(self) -> str:
        """What is to be made of it: `FEW`, `APART` (the groups differed before), `FEWER` or `MORE`
        left, or `OPEN`; empty where a record is lacking.
        """
        if self.lacking is not None:
            return ""
        if self.few:
            return FEW
        if self.control is not None and beyond_zero(self.control):
            return APART
        if not beyond_zero(self.difference):
            return OPEN
        return FEWER if self.difference.theta < 0 else MORE


def beyond_zero(found: Contrast) -> bool:
    """Whether the interval excludes no difference."""
    low, high = found.interval()
    return low > 0 or high < 0
