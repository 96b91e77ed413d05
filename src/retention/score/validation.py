"""Is the model worth using? Its predictions against what came, beside the simple rules (METHODS 7).

Every figure rests on months after the training. What the figures are is in `accuracy`, what acting
on them is worth in `net_benefit`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from retention.history.snapshots import BLOCK, WORTH, known, splits
from retention.history.window import Window
from retention.numbers import between, quantity
from retention.results import Finding
from retention.score.model import (
    CALENDAR,
    MIN_EVENTS,
    RULES,
    RiskModel,
    distinct_leavers,
    offered_rules,
)
from retention.score.net_benefit import CUTS, GRID, ahead_from, benefit_ahead, pays_from
from retention.score.resampling import MODEL, log_losses, of_sums
from retention.settings import RiskSettings
from retention.words import Said, say, together

# (ours) clients who left, and months, on which a model is tested at least where there are more
ENOUGH, YEAR = 1000, 12


def predict(
    rows: pd.DataFrame, window: Window, *, unseen: bool = False, model: Any = None
) -> pd.DataFrame:
    """The predicted risks of every month that could be predicted, a column for each way.

    Columns: `client_id, month, left, exit_possible, worth_a_month`, then the ways by id: the model
    (ours, or the `model` given, which takes whole rows) and the simple rules. Each is fitted anew
    for every block of months on what was known by then; with `unseen`, on other clients, in blocks
    twice as long. Empty where too few left before any block. Where very many left, only the last
    blocks are predicted (`_blocks`).
    """
    rows = known(rows)
    block = BLOCK * (1 + unseen)
    blocks = _blocks(rows, block)
    columns = ["client_id", "month", "left", "exit_possible", WORTH]
    parts = [rows.loc[[], columns]]
    for train, test in splits(rows, window, MIN_EVENTS, unseen=unseen, block=block, blocks=blocks):
        learned = rows[train]
        ahead = rows[test]
        if distinct_leavers(learned) < MIN_EVENTS:
            continue
        chosen = RiskModel(window) if model is None else clone(model)
        offered: dict[str, Any] = {MODEL: chosen, **offered_rules(rows)}
        risks = {name: way.fit(learned).predict_proba(ahead)[:, 1] for name, way in offered.items()}
        about = ahead[list(parts[0].columns)]
        parts.append(about.assign(**risks))
    return pd.concat(parts[1:] or parts, ignore_index=True)


def _blocks(rows: pd.DataFrame, block: int) -> int:
    """How many of the last blocks are predicted; 0 is all.

    They are those in which a thousand clients left, a year at least.
    """
    gone = rows[rows["left"] == 1].groupby("client_id")
    last = gone["month"].max().sort_values()
    if len(last) < ENOUGH:
        return 0
    after = rows["month"].max() + 1
    months = max(after - last.iloc[-ENOUGH], YEAR)
    return int(-(-months // block))


def ways(predictions: pd.DataFrame) -> list[str]:
    """The ids of the model and of the rules in these predictions."""
    return [name for name in (MODEL, *RULES) if name in predictions]


def skill(
    predictions: pd.DataFrame, over: str, losses: Callable[..., np.ndarray] = log_losses
) -> list[float]:
    """Share of a rule's loss that the model saves, with its 95 % interval; above 0 the model
    predicts better.
    """
    return of_sums(
        predictions,
        [losses(predictions["left"], predictions[name]) for name in (MODEL, over)],
        lambda m, r: 1 - m / r,
    )


@dataclass(frozen=True)
class Judgement:
    """The predictions (`predict`), and how far the model beats each rule.

    `skills`: by the rule's id, the share of its log loss that the model saves, with the 95 %
    interval. `why` says what there is too little of for a model; then there is nothing else.
    """

    predictions: pd.DataFrame
    skills: dict[str, list[float]]
    why: str = ""
    pays_from: tuple[float, ...] = CUTS

    @property
    def beats(self) -> bool:
        """Whether to use the model: it predicts better than every rule, and is worth more where
        acting pays.
        """
        return self.predicts_better and self.worth_more

    @property
    def predicts_better(self) -> bool:
        """Whether the model loses less than every rule, beyond chance."""
        return not self.why and all(low > 0 for _, low, _ in self.skills.values())

    @property
    def worth_more(self) -> bool:
        """Whether the model's net benefit is ahead of the calendar's at the risks from which acting
        pays.
        """
        if CALENDAR not in self.predictions:
            return True
        ahead = benefit_ahead(self.predictions, self.pays_from)
        return bool(ahead[:, 0].mean() > 0)

    @property
    def best_rule(self) -> str:
        """The rule that predicted best: the one with the least loss."""
        return min(self.skills, key=lambda name: self.skills[name][0])

    @property
    def fallback(self) -> str:
        """The rule to use in place of a model: the calendar, or the best where all clients'
        calendars are alike.
        """
        if CALENDAR not in self.predictions:
            return self.best_rule
        by_month = self.predictions.groupby("month")
        within = by_month[CALENDAR].nunique()
        return CALENDAR if (within > 1).any() else self.best_rule

    @property
    def pays(self) -> str:
        """The predicted risks from which a contact pays, as readers see them."""
        least = min(self.pays_from)
        return between(least, max(self.pays_from), "share")

    def ahead(self) -> Finding:
        """From which predicted risk on the model's net benefit is ahead of the calendar's, and
        where a contact pays.
        """
        if self.why or CALENDAR not in self.predictions:
            return Finding("risk", "")
        text = _ahead_words(*ahead_from(self.predictions))
        pays = say("churn_risk.ahead.pays", pays=self.pays)
        said = together(text, pays)
        return Finding("risk", said)

    def answer(self) -> Finding:
        """What to use, the model or a rule; the headline of the page."""
        if self.why:
            text_why = say("churn_risk.answer.none", why=self.why)
            return Finding("risk", text_why, "headline")
        saved, low, high = self.skills[self.best_rule]
        rule = say(f"churn_risk.rule.{self.best_rule}")
        fallback = say(f"churn_risk.rule.{self.fallback}")
        interval = between(low, high, "share")
        figures = {"saved": quantity(saved, "share"), "interval": interval}
        if self.beats:
            text = say("churn_risk.answer.model", rule=rule, **figures)
        elif self.predicts_better:
            text = say(
                "churn_risk.answer.rule_pays",
                fallback=fallback,
                pays=self.pays,
                rule=rule,
                **figures,
            )
        else:
            text = say("churn_risk.answer.rule", fallback=fallback, rule=rule, **figures)
        return Finding("risk", text, "headline")


def _ahead_words(first: float, low: float, high: float) -> Said:
    """From which predicted risk on the model is ahead of the calendar, with the limits of the
    interval; `ahead_from` computes them.
    """
    if math.isinf(first):
        return say("churn_risk.ahead.calendar")
    if first <= GRID[0]:
        return say("churn_risk.ahead.model")
    return say(
        "churn_risk.ahead.model_from", first=first, low=_limit_words(low), high=_limit_words(high)
    )


def _limit_words(risk: float) -> str:
    return f"{risk:.0%}" if math.isfinite(risk) else say("churn_risk.ahead.never")


def judged(rows: pd.DataFrame, window: Window, costs: RiskSettings | None = None) -> Judgement:
    """Predict every month that can be, and compare the model with each rule (`skill`). METHODS 7.

    `costs` say from which predicted risks a contact pays (`pays_from`).
    """
    predictions = predict(rows, window)
    if predictions.empty or not 0 < predictions["left"].sum() < len(predictions):
        return Judgement(predictions, {}, _lacking(rows))
    rules = ways(predictions)[1:]
    skills = {name: skill(predictions, name) for name in rules}
    from_risks = pays_from(predictions, costs)
    return Judgement(predictions, skills, "", from_risks)


def _lacking(rows: pd.DataFrame) -> Said:
    """What there is too little of for a model."""
    if rows.empty:
        return say("churn_risk.lacking.dates")
    few = distinct_leavers(known(rows))
    return say("churn_risk.lacking.leavers", needed=MIN_EVENTS, few=few)


def views(rows: pd.DataFrame, window: Window, judgement: Judgement) -> dict[str, pd.DataFrame]:
    """Predictions by the id of the view: all as used, of clients never seen in training, and of
    months in which the client was free to go.
    """
    if judgement.why:
        return {}
    every = judgement.predictions
    unseen = predict(rows, window, unseen=True)
    free = every[every["exit_possible"] == 1]
    return {"all": every, "unseen": unseen, "free": free}
