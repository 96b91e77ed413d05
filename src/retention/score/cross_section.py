"""Who has left, of a snapshot: a tenure and a flag, without dates (METHODS 7, as far as no time
runs).

It describes who has left and does not predict who will. No month lies ahead of another here, so
clients are judged by models that learned from other clients, and the columns are those of the day
of the snapshot.

Months of service are taken as a feature, because they describe: those who left had stayed so long.
They could not predict. Of a client who left they end with its leaving, of one who stays they go on,
so that part of what they tell is the outcome itself. The figures without them stand beside; where
they alone separate the two, they are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline

from retention.history.features import feature_words, signing_features
from retention.history.spells import CLIENT, UNKNOWN
from retention.numbers import Shown, between, quantity
from retention.results import Estimate, Estimates, Finding, Findings
from retention.score.accuracy import (
    area_draws,
    area_under_curve,
    average_precision,
    calibration,
    figure_words,
    reliability,
)
from retention.score.guards import TELLS_TOO_MUCH, tells
from retention.score.model import (
    BOOSTING_FROM,
    MIN_EVENTS,
    PENALTIES,
    Prepared,
    boosting,
    distinct_leavers,
    logistic,
    room_for,
    sampled,
)
from retention.score.resampling import MODEL, interval_of
from retention.settings import Extra
from retention.words import say

FOLDS, REPEATS, INNER_FOLDS = 5, 2, 3  # (ours)
SEED = 1
SERVICE = "tenure_months"
# (ours) correlation from which columns are shuffled together: alone, each would stand in for the
# other
ALIKE = 0.8
WITH = say("churn_risk.snapshot.with_service")
WITHOUT = say("churn_risk.snapshot.without_service")
NOT_PREDICTED = say("churn_risk.snapshot.not_predicted")


@dataclass(frozen=True)
class Described:
    """How well columns of a snapshot separate those who left from those who stay.

    `shares` has a row a client and repeat: `client_id, left` and the share given to it by a model
    of other clients; `without` is the same without months of service. `drivers`: `feature` (the id
    that stands for the group), `auc_lost, low, high`; `together` gives the columns of each group.
    `why` says what is lacking; then there is nothing else. `note` says what was made of the months
    of service.
    """

    rows: pd.DataFrame
    shares: pd.DataFrame
    without: pd.DataFrame
    drivers: pd.DataFrame
    together: Mapping[str, list[str]]
    why: str = ""
    note: str = ""

    def answer(self) -> Finding:
        """How well the model separates those who left from the others; the headline of the page."""
        if self.why:
            return Finding("snapshot", self.why, "headline")
        value, low, high = area_under_curve(self.shares)
        text = say(
            "churn_risk.snapshot.answer",
            auc=quantity(value, "share"),
            interval=between(low, high, "share"),
        )
        return Finding("snapshot", text, "headline")

    def about_service(self) -> Findings:
        """What was made of the months of service; nothing where nothing is described."""
        return Findings((Finding("snapshot", self.note),) if self.note else (), "")


def described(spells: pd.DataFrame, extra: Mapping[str, Extra]) -> Described:
    """The description of a snapshot: every client judged by models of the others, and what sets
    those who left apart.

    `extra` holds the user's own columns that may be used (`Study.at_signing`). Folds over clients,
    stratified by who left, repeated; the kind of model is chosen within each training part.
    """
    rows = people(spells, extra)
    lacking = _lacking(rows)
    if lacking:
        empty = rows.head(0)
        nothing = pd.DataFrame()
        return Described(rows, empty, empty, nothing, {}, lacking)
    others = rows.drop(columns=SERVICE)
    left = rows["left"].to_numpy(bool)
    no_groups = np.zeros(len(rows))
    if tells(rows[SERVICE], left, no_groups) > TELLS_TOO_MUCH:
        rows = others
    together = _together(rows)
    shares, shuffled = judged(rows, together)
    without = shares if SERVICE not in rows else judged(others, {}, 1)[0]
    note = say(
        "churn_risk.snapshot.service_used"
        if SERVICE in rows
        else "churn_risk.snapshot.service_left_out"
    )
    drivers = _drivers(shares, shuffled)
    return Described(rows, shares, without, drivers, together, "", note)


def _lacking(rows: pd.DataFrame) -> str:
    """What there is too little of for a description; empty where there is enough."""
    left = int(rows["left"].sum())
    staying = rows["left"] == 0
    stay = int(staying.sum())
    if min(left, stay) >= MIN_EVENTS:
        return ""
    return say("churn_risk.snapshot.lacking", needed=MIN_EVENTS, left=left, stay=stay)


def people(spells: pd.DataFrame, extra: Mapping[str, Extra]) -> pd.DataFrame:
    """A row a client with its columns and `left` (1: by choice); whoever else ended is left out."""
    newest = spells.drop_duplicates("client_id", keep="last")
    spells = newest.reset_index(drop=True)
    gone = spells["end_date"].notna()
    by_choice = [CLIENT, UNKNOWN]
    chosen = spells["end_kind"].isin(by_choice)
    kept = spells[~gone | chosen]
    spells = kept.reset_index(drop=True)
    texts = {name: "string" for name in spells if spells[name].dtype == object}
    signing = signing_features(spells.astype(texts), extra)
    rows = pd.DataFrame(signing)
    size = spells["monthly_ad_spend"].astype(float)
    months = spells["contract_term_months"].astype("Int64")
    term = months.astype("string")
    rows = rows.assign(
        log_size=np.log(size.where(size > 0)).to_numpy(), term_months=term.to_numpy()
    )
    return rows.assign(
        tenure_months=spells["stop_months"].to_numpy(float),
        left=spells["end_date"].notna().to_numpy(int),
    )


class SnapshotModel(ClassifierMixin, BaseEstimator):
    """The share that left among clients like this one: ridge logistic regression, or boosting where
    many left.

    The kind is the one with the least log loss in folds of the rows it is given.
    """

    def __init__(self, seed: int = SEED) -> None:
        self.seed = seed

    def fit(self, rows: pd.DataFrame, y: Any = None) -> Self:
        """Choose columns and kind, and fit. `y`: rows["left"]."""
        rows = sampled(rows, self.seed)
        leavers = distinct_leavers(rows)
        left = rows["left"].to_numpy()
        self.features_ = room_for(rows, leavers)
        # Prepared knows no outcome: medians, scales and levels.
        own = rows[self.features_]
        prepared = Prepared().fit(own)
        X = prepared.transform(rows[self.features_])
        folds = StratifiedKFold(INNER_FOLDS, shuffle=True, random_state=self.seed)
        offered = self._offered(leavers)
        losses = {}
        for name, way in offered.items():
            predicted = cross_val_predict(way, X, left, cv=folds, method="predict_proba")
            shares = predicted[:, 1]
            losses[name] = log_loss(left, shares)
        self.kind_ = min(losses, key=lambda name: losses[name])
        fitted = offered[self.kind_].fit(X, left)
        self.pipeline_ = make_pipeline(prepared, fitted)
        self.classes_ = np.array([0, 1])
        return self

    def _offered(self, leavers: int) -> dict[str, BaseEstimator]:
        ways: dict[str, BaseEstimator] = {f"ridge {C}": logistic(C) for C in PENALTIES}
        if leavers >= BOOSTING_FROM:
            ways["boosting"] = boosting(self.seed)
        return ways

    def predict_proba(self, rows: pd.DataFrame) -> np.ndarray:
        """Shares of staying and of having left, shape (n, 2)."""
        own = rows[self.features_]
        return np.asarray(self.pipeline_.predict_proba(own))


def judged(
    rows: pd.DataFrame, together: Mapping[str, list[str]], repeats: int = REPEATS
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Each client's share by models of the others, a row a client and repeat; the same with columns
    shuffled.

    The second holds, by the id of each group of columns `together`, the shares where these are
    another client's.
    """
    parts: list[pd.DataFrame] = []
    shuffled: dict[str, list[np.ndarray]] = {name: [] for name in together}
    for repeat in range(repeats):
        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED + repeat)
        rng = np.random.default_rng(SEED + repeat)
        for train, test in folds.split(rows, rows["left"]):
            known = rows.iloc[train]
            model = SnapshotModel().fit(known)
            held_out = rows.iloc[test]
            shares = model.predict_proba(held_out)[:, 1]
            whose = held_out[["client_id", "left"]]
            parts.append(whose.assign(**{MODEL: shares}))
            order = rng.permutation(len(held_out))
            for name, columns in together.items():
                others = held_out.assign(**{c: held_out[c].to_numpy()[order] for c in columns})
                predicted = model.predict_proba(others)[:, 1]
                shuffled[name].append(predicted)
    whole = pd.concat(parts, ignore_index=True)
    return whole, {name: np.concatenate(shares) for name, shares in shuffled.items()}


def _together(rows: pd.DataFrame) -> dict[str, list[str]]:
    """The columns of each group, by the column that stands for it: those that say nearly the same
    are one group.
    """
    names = room_for(rows, distinct_leavers(rows))
    coded = {name: Prepared().fit(rows[[name]]).transform(rows[[name]]) for name in names}
    group = {name: name for name in names}
    for first, second in ((a, b) for k, a in enumerate(names) for b in names[:k]):
        if group[first] != group[second] and _alike(coded[first], coded[second]):
            old = group[first]
            new = group[second]
            group = {name: new if of == old else of for name, of in group.items()}
    members: dict[str, list[str]] = {}
    for name, of in group.items():
        members.setdefault(of, []).append(name)
    return members


def _alike(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether any level (or number) of one column goes with any of the other."""
    with np.errstate(divide="ignore", invalid="ignore"):  # a level that nobody has
        own = first.astype(float)
        between_them = np.corrcoef(own, second.astype(float), rowvar=False)
    across = between_them[: first.shape[1], first.shape[1] :]
    return bool(np.nanmax(np.abs(across)) >= ALIKE)


def _drivers(shares: pd.DataFrame, shuffled: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """What the area loses where columns are shuffled, with its 95 % interval by client, most
    first: `feature, auc_lost, low, high`.
    """
    whole = area_draws(shares)
    rows = []
    for name, other in shuffled.items():
        mixed = shares.assign(**{MODEL: other})
        lost = whole - area_draws(mixed)
        rows.append((name, *interval_of(lost)))
    columns = ["feature", "auc_lost", "low", "high"]
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values("auc_lost", ascending=False, ignore_index=True)


def drivers_words(found: Described) -> pd.DataFrame:
    """The drivers with the columns of each group in words; an empty table as it is."""
    if found.drivers.empty:
        return found.drivers
    names = {
        name: ", ".join(map(feature_words, columns)) for name, columns in found.together.items()
    }
    names_of = found.drivers["feature"].map(names)
    return found.drivers.assign(feature=names_of)


def table(found: Described) -> Estimates:
    """AUC, average precision and calibration, with and without the months of service; 95 %
    intervals by client.
    """
    views = {WITHOUT: found.shares}
    if SERVICE in found.rows:
        views = {WITH: found.shares, WITHOUT: found.without}
    rows = []
    for view, shares in views.items() if not found.why else ():
        clients = shares["client_id"].nunique()
        counts = (clients, distinct_leavers(shares))
        for figure, values, unit in _figures(shares):
            name = figure_words(figure)
            estimate = Estimate.of("snapshot", name, view, values, unit, counts)
            rows.append(estimate)
    return Estimates(tuple(rows), say("churn_risk.snapshot.caption"))


def _figures(shares: pd.DataFrame) -> Iterator[tuple[str, list[float], str]]:
    """Each figure: its id, (value, low, high) and unit."""
    yield "auc", area_under_curve(shares), ""
    yield "average_precision", average_precision(shares), ""
    yield "share_gone", [float(shares["left"].mean())], "share"
    yield from calibration(shares)


def by_group(found: Described) -> pd.DataFrame:
    """Calibration by groups of as many clients: `clients, by_the_model, have_left` (shares) and
    `interval_95` in words.
    """
    groups = reliability(found.shares)
    spans = [
        Shown(between(row.low, row.high, "share"), row.observed) for row in groups.itertuples()
    ]
    return pd.DataFrame(
        {
            "clients": groups["rows"] // REPEATS,
            "by_the_model": groups["predicted"],
            "have_left": groups["observed"],
            "interval_95": spans,
        }
    )


def present(found: Described, spells: pd.DataFrame) -> pd.DataFrame:
    """Present clients, those most like the ones who have left first.

    Columns `client_id, client, rep_id, term_months, months_so_far, have_left_of_100`, and `low,
    high` of that share: of the group of clients whom models of others give a like share, how many
    in a hundred have left. Not a prediction.
    """
    if found.why or found.shares.empty:
        return pd.DataFrame()
    by_client = found.shares.groupby("client_id")
    share = by_client[MODEL].mean()
    gone = int(found.rows["left"].sum())
    groups = reliability(found.shares, _groups_of(gone))
    still = found.rows["left"] == 0
    staying = found.rows.loc[still, "client_id"]
    there = share[share.index.isin(staying)].sort_index()
    there = there.sort_values(ascending=False, kind="stable")
    newest = spells.drop_duplicates("client_id", keep="last")
    about = newest.set_index("client_id")
    own = about.reindex(there.index)
    predicted = groups["predicted"].to_numpy()
    neighbours = predicted[:-1]
    edges = (predicted[1:] + neighbours) / 2
    nearest = np.searchsorted(edges, there)
    near = groups.iloc[nearest]
    nobody = pd.Series(None, own.index)
    given = own.get("name", nobody)
    names = given.fillna(pd.Series(own.index, own.index))
    return pd.DataFrame(
        {
            "client_id": own.index,
            "client": names.to_numpy(),
            "rep_id": own.get("rep_id", pd.Series("", own.index)).fillna("").to_numpy(),
            "term_months": own["contract_term_months"].to_numpy(),
            "months_so_far": own["stop_months"].to_numpy(),
            "have_left_of_100": (100 * near["observed"]).round(1).to_numpy(),
            "low": (100 * near["low"]).round(1).to_numpy(),
            "high": (100 * near["high"]).round(1).to_numpy(),
        }
    )


def _groups_of(leavers: int) -> int:
    """Into how many groups clients are put for the list: 4 to 20, of twenty leavers each on average
    (ours).
    """
    whole = np.clip(leavers // 20, 4, 20)
    return int(whole)


def shown(table: pd.DataFrame, rows: int = 15) -> pd.DataFrame:
    """The first rows of `present` as a reader sees them.

    Columns: `client, rep, term_months, months_so_far, have_left_of_100, group_interval` (of those
    hundred, in words).
    """
    if table.empty:
        return table
    top = table.head(rows)
    spans = [
        Shown(say("churn_risk.snapshot.of_100", low=row.low, high=row.high), row.have_left_of_100)
        for row in top.itertuples()
    ]
    return pd.DataFrame(
        {
            "client": top["client"],
            "rep": top["rep_id"],
            "term_months": top["term_months"],
            "months_so_far": top["months_so_far"],
            "have_left_of_100": top["have_left_of_100"],
            "group_interval": spans,
        }
    )
