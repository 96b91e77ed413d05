"""How well the risks were predicted: precision, calibration, and what came of each quarter.

Every figure rests on months after the training: METHODS 7.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy import special, stats
from statsmodels.genmod.families import Binomial
from statsmodels.genmod.generalized_linear_model import GLM
from statsmodels.tools.tools import add_constant

from retention.numbers import between
from retention.results import Estimate, Estimates, Finding
from retention.score.model import distinct_leavers
from retention.score.resampling import (
    LEAST,
    MODEL,
    by_rank,
    interval_of,
    log_losses,
    of_sums,
    squared_losses,
)
from retention.score.validation import Judgement, skill
from retention.words import Said, say

QUARTER = 3  # months
OF_TOP = ("reached", "lift")  # figures of the clients whom the team has time for


def skills(judgement: Judgement) -> Estimates:
    """Log-loss and Brier skill of the model over each rule."""
    predictions = judgement.predictions
    clients = predictions["client_id"].nunique()
    counts = (clients, distinct_leavers(predictions))
    rows = []
    for rule, values in judgement.skills.items():
        squared = skill(predictions, rule, squared_losses)
        for figure, saved in (("log_loss_saved", values), ("brier_saved", squared)):
            name = say(f"churn_risk.figure.{figure}")
            group = say(f"churn_risk.over.{rule}")
            estimate = Estimate.of("risk", name, group, saved, "share", counts)
            rows.append(estimate)
    return Estimates(tuple(rows), say("churn_risk.skill.caption"))


def table(views: dict[str, pd.DataFrame], capacity: int) -> Estimates:
    """The model's figures by view: precision, loss, calibration, and whom the team's capacity would
    reach.

    `views` are predictions by the id of the view (`views`); `capacity` is clients a month.
    """
    rows = []
    for view, predictions in views.items():
        if not 0 < predictions["left"].sum() < len(predictions):
            continue
        group = say(f"churn_risk.view.{view}")
        clients = predictions["client_id"].nunique()
        counts = (clients, distinct_leavers(predictions))
        for figure, values, unit in _figures(predictions, capacity):
            name = figure_words(figure, capacity)
            estimate = Estimate.of("risk", name, group, values, unit, counts)
            rows.append(estimate)
    return Estimates(tuple(rows), say("churn_risk.performance.caption"))


def figure_words(figure: str, capacity: int = 0) -> Said:
    """What the figure with this id is called."""
    if figure in OF_TOP:
        return say(f"churn_risk.figure_of_top.{figure}", capacity=capacity)
    return say(f"churn_risk.figure.{figure}")


def _figures(predictions: pd.DataFrame, capacity: int) -> Iterator[tuple[str, list[float], str]]:
    """Each figure of the model: its id, (value, low, high) and unit."""
    left = predictions["left"].to_numpy(float)
    risk = predictions[MODEL].to_numpy()
    one = np.ones(len(predictions))
    reached = _top(predictions, MODEL, capacity)
    losses = log_losses(predictions["left"], predictions[MODEL])

    def ratio(values: np.ndarray, over: np.ndarray) -> list[float]:
        return of_sums(predictions, [values, over], np.divide)

    def lift(hit: np.ndarray, called: np.ndarray, gone: np.ndarray, all_: np.ndarray) -> np.ndarray:
        return hit / called / (gone / all_)

    yield "share_leaving", ratio(left, one), "share"
    yield "average_precision", average_precision(predictions), "share"
    yield "log_loss", ratio(losses, one), ""
    yield "brier", ratio((left - risk) ** 2, one), ""
    yield "observed_over_predicted", ratio(left, risk), "ratio"
    yield from calibration(predictions)
    yield "reached", ratio(left * reached, left), "share"
    top = [left * reached, reached, left, one]
    yield "lift", of_sums(predictions, top, lift), "ratio"


def average_precision(predictions: pd.DataFrame) -> list[float]:
    """Mean of the share who left among those at higher risks, over all who left; interval by
    client. METHODS 7.
    """

    def mean_share(left: np.ndarray, stayed: np.ndarray) -> float:
        every = np.maximum(left + stayed, LEAST)
        steps = np.diff(left, prepend=0)
        return float(steps @ (left / every) / left[-1])

    return interval_of(by_rank(predictions, -predictions[MODEL], mean_share))


def area_under_curve(predictions: pd.DataFrame) -> list[float]:
    """Share of pairs of one who left and one who did not in which the former has the higher risk;
    interval by client.

    Ties count as a half (AUC).
    """
    return interval_of(area_draws(predictions))


def area_draws(predictions: pd.DataFrame) -> np.ndarray:
    """The area of `area_under_curve`, then the same in each resample of the clients, shape (DRAWS +
    1,).
    """

    def area(left: np.ndarray, stayed: np.ndarray) -> float:
        before = np.append(0, stayed[:-1])
        below = (stayed + before) / 2
        both = left[-1] * stayed[-1]
        pairs = max(both, LEAST)
        steps = np.diff(left, prepend=0)
        return float(steps @ below / pairs)

    return by_rank(predictions, predictions[MODEL], area)


def _top(predictions: pd.DataFrame, way: str, capacity: int) -> np.ndarray:
    """1 for the clients of each month with the highest risks, as many as there is capacity for;
    else 0.
    """
    by_month = predictions.groupby("month")[way]
    rank = by_month.rank(method="first", ascending=False)
    return np.asarray(rank <= capacity, float)


def calibration(predictions: pd.DataFrame) -> Iterator[tuple[str, list[float], str]]:
    """Intercept (0 is right) and slope (1) of the outcomes on the predicted log-odds; intervals by
    client.
    """
    clipped = np.clip(predictions[MODEL], LEAST, 1 - LEAST)
    odds = special.logit(clipped)
    if odds.nunique() < 2:  # one risk for all has no slope
        return
    groups = pd.factorize(predictions["client_id"])[0]
    model = GLM(predictions["left"].to_numpy(), add_constant(odds.to_numpy()), family=Binomial())
    fit = model.fit(cov_type="cluster", cov_kwds={"groups": groups})
    for k, name in enumerate(("intercept", "slope")):
        yield name, [fit.params[k], *fit.conf_int()[k]], ""


def reliability(predictions: pd.DataFrame, bins: int = 8) -> pd.DataFrame:
    """Predicted risks against the shares that left, by bins of as many rows: `predicted, observed,
    low, high, rows`.

    Wilson intervals with the number of distinct clients in the bin, because a client's months are
    not independent.
    """
    columns = ["predicted", "observed", "low", "high", "rows"]
    if predictions.empty:
        return pd.DataFrame(columns=columns)
    rank = predictions[MODEL].rank(method="first")
    number_of_bins = min(bins, len(predictions))
    number = pd.qcut(rank, number_of_bins, labels=False)
    parts = []
    for _, part in predictions.groupby(number):
        share = float(part["left"].mean())
        clients = part["client_id"].nunique()
        test = stats.binomtest(round(share * clients), clients)
        limits = test.proportion_ci(method="wilson")
        low = min(limits.low, share)
        high = max(limits.high, share)
        predicted = float(part[MODEL].mean())
        parts.append((predicted, share, low, high, len(part)))
    return pd.DataFrame(parts, columns=columns)


def reliability_words(frame: pd.DataFrame) -> str:
    """The chart of predicted risks against what came, in words."""
    if frame.empty:
        return say("churn_risk.calibration.alt_none")
    groups = [
        say("churn_risk.calibration.alt_group", predicted=row.predicted, observed=row.observed)
        for row in frame.itertuples()
    ]
    return say("churn_risk.calibration.alt", groups="; ".join(groups))


def observed_over_expected(predictions: pd.DataFrame) -> pd.DataFrame:
    """By quarter, clients who left over those predicted, with exact Poisson limits.

    Columns: `first_month, clients_predicted, clients_left, ratio, low, high`. Clients count once a
    quarter (at its first month's end), so that one end is not counted three times.
    """
    if predictions.empty:
        return pd.DataFrame()
    first_month = predictions["month"].min()
    since = predictions["month"] - first_month
    first = predictions[since % QUARTER == 0]
    sums = first.groupby("month").agg(
        clients_predicted=(MODEL, "sum"), clients_left=("left", "sum")
    )
    left = sums["clients_left"]
    exact = stats.chi2.ppf(0.025, 2 * left) / 2
    low = np.where(left > 0, exact, 0)
    degrees = 2 * left + 2
    high = stats.chi2.ppf(0.975, degrees) / 2
    expected = sums["clients_predicted"]
    frame = sums.assign(ratio=left / expected, low=low / expected, high=high / expected)
    frame = frame.reset_index()
    names = [f"{month // 12}-{month % 12 + 1:02d}" for month in frame.pop("month")]
    frame.insert(0, "first_month", names)
    return frame


def drifted(quarters: pd.DataFrame) -> Finding:
    """Whether the model has lost touch: the interval of a quarter's ratio misses 1 twice running.
    METHODS 7.
    """
    if quarters.empty:
        return Finding("risk", say("churn_risk.quarters.none"))
    too_many = quarters["low"] > 1
    off = (too_many | (quarters["high"] < 1)).to_numpy()
    if len(off) > 1 and off[-1] and off[-2]:
        return Finding("risk", say("churn_risk.quarters.off"), "warning")
    last = quarters.iloc[-1]
    interval = between(last["low"], last["high"], "ratio")
    text = say(
        "churn_risk.quarters.last",
        left=last["clients_left"],
        predicted=last["clients_predicted"],
        ratio=last["ratio"],
        interval=interval,
    )
    return Finding("risk", text)
