"""Who will leave next: the study's scores, and models of one's own beside them, on the same months
and without leaks.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from retention.analyst.asked import Asked, asked
from retention.analyst.groups import QUARTERS
from retention.analyst.result import SHOWN, Result
from retention.history.features import KEY
from retention.history.snapshots import known
from retention.numbers import between
from retention.results import Listing
from retention.score.accuracy import area_under_curve, average_precision, calibration
from retention.score.examples import OnExamples, now
from retention.score.model import Rule, offered_rules
from retention.score.resampling import MODEL, log_losses, of_sums, squared_losses
from retention.score.validation import predict as predicted_months
from retention.score.validation import ways
from retention.show.ranked import percent, plot_ranked
from retention.study import Study
from retention.words import Said, say, together

OWN = "own"  # the id of a model that is not ours
RULE = "everybody"  # the rule that every other way is compared with
COLUMNS = ["client_id", "engagement", "group", "risk", "low", "high"]
MEASURED = ["way", "figure", "value", "low", "high"]
FIGURES = ["average_precision", "auc", "log_loss", "brier", "slope"]


def predict(
    study: Any,
    model: Any = None,
    *,
    by: Any = None,
    where: Any = None,
    cuts: Sequence[float] = QUARTERS,
) -> Result:
    """The predicted risk that each client present leaves by choice in the months ahead.

    Parameters
    ----------
    study, by, where, cuts
        As of `survival`; groups come into the frame and the sentence.
    model : scikit-learn classifier, optional
        Fitted on `study.examples()` and used in place of the study's own scores.

    Returns
    -------
    Result
        `.frame` has `client_id, engagement, group, risk, low, high`, the highest risk first (what
        `predict_proba` gives for leaving). `low` and `high` are the interval of the study's scores;
        blank of a model of one's own.

    Examples
    --------
    >>> found = retention.predict(study, by="industry")
    >>> bool(found.frame["risk"].between(0, 1).all())
    True
    """
    of = asked(study, where)
    opened = of.opened
    risks = _own_risks(opened, model) if model is not None else _risks(opened)
    frame = _with_groups(of, risks, by, cuts)
    draw = partial(_draw, frame)
    if frame.empty:
        why = opened.risk.judgement.why or say("analyst.predict.not_fitted")
        nothing = say("analyst.predict.nothing", why=why)
        return Result(frame, nothing, None, draw)
    listing = _highest(frame, opened, by is not None)
    sentence = _predict_words(frame, opened, model)
    return Result(frame, sentence, listing, draw)


def _highest(frame: pd.DataFrame, study: Study, grouped_by: bool) -> Listing:
    """The clients at the highest risk."""
    shown = frame.head(SHOWN).drop(columns="engagement")
    table = shown if grouped_by else shown.drop(columns="group")
    about = {"shown": len(table), "n": len(frame)}
    caption = say("analyst.predict.caption", day=study.cutoff, **about)
    formats = dict.fromkeys(("risk", "low", "high"), ".1%")
    return Listing(table, caption, formats)


def _risks(study: Study) -> pd.DataFrame:
    """The study's own scores by client."""
    table = study.risk.scores
    return table.reindex(columns=["client_id", "risk", "low", "high"])


def _own_risks(study: Study, model: Any) -> pd.DataFrame:
    """The risks by a model of one's own, fitted on every example."""
    _refuse_without_probability(model)
    rows = study.month_ends
    learned = known(rows)
    if learned["left"].nunique() < 2:
        return pd.DataFrame(columns=["client_id", "risk", "low", "high"])
    fitted = OnExamples(model).fit(learned)
    present = now(rows)
    risk = fitted.predict_proba(present)[:, 1]
    return present[["client_id"]].assign(risk=risk, low=np.nan, high=np.nan)


def _refuse_without_probability(model: Any) -> None:
    if not hasattr(model, "predict_proba") and not hasattr(model, "steps"):
        kind = type(model).__name__
        raise ValueError(say("analyst.refused.no_probability", kind=kind))


def _with_groups(of: Asked, risks: pd.DataFrame, by: Any, cuts: Sequence[float]) -> pd.DataFrame:
    """The risks with the group of each client, the highest first."""
    groups = of.groups(by, cuts)
    about = of.rows[KEY].assign(group=groups.astype(str))
    last = about.drop_duplicates("client_id", keep="last")
    joined = last.merge(risks, on="client_id")
    ordered = joined.sort_values("risk", ascending=False, kind="stable")
    return ordered.reset_index(drop=True)[COLUMNS]


def _predict_words(frame: pd.DataFrame, study: Study, model: Any) -> Said:
    """How many are predicted to leave, and where the mean risk is lowest and highest."""
    window = study.window
    own = say("analyst.predict.own_model") if model is not None else ""
    lead = say(
        "analyst.predict.sentence",
        n=round(float(frame["risk"].sum())),
        clients=len(frame),
        horizon=window.horizon,
        gap=window.gap,
        share=float(frame["risk"].mean()),
        model=own,
    )
    by_group = frame.groupby("group")["risk"]
    means = by_group.mean()
    if len(means) < 2:
        return lead
    least = str(means.idxmin())
    most = str(means.idxmax())
    low = float(means.min())
    high = float(means.max())
    ends = say("analyst.predict.by_group", least=least, most=most, low=low, high=high)
    return together(lead, ends)


def _draw(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    first = frame.head(SHOWN)
    known_limits = first["low"].notna()
    rows = first.assign(
        name=first["client_id"],
        estimate=first["risk"],
        low=first["low"].where(known_limits, first["risk"]),
        high=first["high"].where(known_limits, first["risk"]),
    )
    return plot_ranked(rows, form=percent, x=say("analyst.predict.axis"), ax=ax)


def baselines(study: Any) -> dict[str, Rule]:
    """The simple rules that a model must beat, as scikit-learn classifiers.

    Parameters
    ----------
    study : Study or frame
        As of `survival`.

    Returns
    -------
    dict of str to classifier
        By name: the same risk for everybody, months of service and term, the renewal calendar, and
        the last answers where there are such. Each is fitted on `study.examples()`.

    Examples
    --------
    >>> X, y = study.examples()
    >>> retention.baselines(study)["calendar"].fit(X, y).predict_proba(X).shape[1]
    2
    """
    rows = asked(study).opened.month_ends
    return offered_rules(rows)


def judge_model(study: Any, model: Any) -> Result:
    """A model of one's own beside the study's and the simple rules, on months after its training.

    Parameters
    ----------
    study : Study or frame
        As of `survival`.
    model : scikit-learn classifier
        Fitted anew for each block of months on what was known by then; it sees the features of
        `study.examples()`.

    Returns
    -------
    Result
        `.frame` has a row a way and figure: `way, figure, value, low, high`. Intervals: 95 %, by
        client. Log loss is the one that decides.

    Examples
    --------
    >>> found = retention.judge_model(study, retention.baselines(study)["calendar"])
    >>> "own" in found.frame["way"].unique()
    True
    """
    _refuse_without_probability(model)
    opened = asked(study).opened
    rows = opened.month_ends
    theirs = predicted_months(rows, opened.window, model=OnExamples(model))
    ours = opened.risk.judgement
    if theirs.empty or ours.why:
        why = ours.why or say("analyst.predict.not_fitted")
        nothing = pd.DataFrame(columns=MEASURED)
        return Result(
            nothing, say("analyst.models.nothing", why=why), None, partial(_skill, nothing)
        )
    own_risks = theirs[MODEL].to_numpy()
    both = ours.predictions.assign(**{OWN: own_risks})
    frame = _figures_of(both)
    table = _side_by_side(frame)
    caption = say("analyst.models.caption")
    listing = Listing(table, caption)
    draw = partial(_skill, _saved(both))
    return Result(frame, _model_words(both), listing, draw)


def _figures_of(both: pd.DataFrame) -> pd.DataFrame:
    """Every figure of every way, tidy."""
    found = []
    for way in (OWN, *ways(both)):
        of_way = both.assign(**{MODEL: both[way]})
        found += [(way, name, *values) for name, values in _figures(of_way).items()]
    return pd.DataFrame(found, columns=MEASURED)


def _figures(predictions: pd.DataFrame) -> dict[str, list[float]]:
    """The figures of the predictions in the column of the model, each with its interval."""
    one = np.ones(len(predictions))
    left = predictions["left"]
    risk = predictions[MODEL]

    def mean(losses: np.ndarray) -> list[float]:
        return of_sums(predictions, [losses, one], np.divide)

    found = {"average_precision": average_precision(predictions)}
    found["auc"] = area_under_curve(predictions)
    found["log_loss"] = mean(log_losses(left, risk))
    found["brier"] = mean(squared_losses(left, risk))
    for name, values, _ in calibration(predictions):
        if name == "slope":
            found[name] = values
    return found


def _side_by_side(frame: pd.DataFrame) -> pd.DataFrame:
    """A row a way and a column a figure, numbers in words."""
    cells = [f"{row.value:.3f} ({row.low:.3f} to {row.high:.3f})" for row in frame.itertuples()]
    words = frame.assign(words=cells)
    wide = words.pivot(index="way", columns="figure", values="words")
    there = [name for name in FIGURES if name in wide]
    order = frame["way"].unique()
    ordered = wide.loc[order, there].reset_index()
    ordered.columns.name = None
    names = [way_words(way) for way in ordered["way"]]
    named = ordered.assign(way=names)
    return named.fillna("")


def way_words(way: str) -> Said:
    """What a way to predict is called."""
    if way in (OWN, MODEL):
        return say(f"analyst.models.{way}")
    return say(f"analyst.rule.{way}")


def _saved(both: pd.DataFrame) -> pd.DataFrame:
    """What each way saves of the loss of one risk for everybody, for the chart."""
    rows = []
    for way in (OWN, *ways(both)):
        if way != RULE:
            saved = _skill_of(both, way, RULE)
            rows.append((way_words(way), *saved))
    return pd.DataFrame(rows, columns=["name", "estimate", "low", "high"])


def _skill_of(both: pd.DataFrame, way: str, over: str) -> list[float]:
    """Share of the log loss of `over` that `way` saves, with its interval by client."""
    losses = [log_losses(both["left"], both[name]) for name in (way, over)]
    return of_sums(both, losses, lambda own, other: 1 - own / other)


def _model_words(both: pd.DataFrame) -> Said:
    """Whether one's own model is better than the best of the others."""
    means = {name: log_losses(both["left"], both[name]).mean() for name in ways(both)}
    best = min(means, key=lambda name: means[name])
    saved, low, high = _skill_of(both, OWN, best)
    rule = way_words(best)
    key = "better" if low > 0 else "worse" if high < 0 else "unclear"
    if key == "worse":
        saved, low, high = -saved, -high, -low
    interval = between(low, high, "share")
    return say(f"analyst.models.{key}", saved=saved, rule=rule, interval=interval)


def _skill(rows: pd.DataFrame, ax: Axes | None = None) -> Axes:
    named = rows.reindex(columns=["name", "estimate", "low", "high"])
    return plot_ranked(named, 0, percent, say("analyst.models.axis"), ax=ax)
