"""Is the model worth using? Its predictions against what came, beside the simple rules (METHODS 7).

Every figure rests on months after the training. Intervals come from resampled clients, because one
client is in many months.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
import statsmodels.api as sm
from scipy import special, stats

from retention.history.features import Window
from retention.history.snapshots import BLOCK, WORTH, known, splits
from retention.results import Estimate, Estimates, Finding, between, quantity
from retention.score.model import (
    CALENDAR,
    MIN_EVENTS,
    RULES,
    RiskModel,
    Rule,
    distinct_leavers,
    offered_rules,
)
from retention.settings import RiskSettings
from retention.stats.hazards import bunched
from retention.words import Said, key_of, say

MODEL = "model"
DRAWS = 500
SEED = 1
LEAST = 1e-6  # no predicted risk is taken to be 0 or 1
QUARTER = 3  # months
# (ours) clients who left, and months, on which a model is tested at least where there are more
ENOUGH, YEAR = 1000, 12
# Share of those about to leave whom a contact keeps: unknown, so varied (METHODS 7).
UPLIFTS = (0.0, 0.1, 0.2, 0.3, 0.4)
CUTS = (0.05, 0.1, 0.2, 0.3)  # predicted risks from which somebody might act
# (ours) predicted risks at which model and calendar are compared
GRID = tuple(float(cut) for cut in np.arange(1, 51) / 100)
OF_TOP = ("reached", "lift")  # figures of the clients whom the team has time for


def predict(rows: pd.DataFrame, window: Window, *, unseen: bool = False) -> pd.DataFrame:
    """The predicted risks of every month that could be predicted, a column for each way.

    Columns: `client_id, month, left, exit_possible, worth_a_month`, then the ways by id: the model
    and the simple rules. Each is fitted anew for every block of months on what was known by then;
    with `unseen`, on other clients, in blocks twice as long. Empty where too few left before any
    block. Where very many left, only the last blocks are predicted (`_blocks`).
    """
    rows = known(rows)
    block = BLOCK * (1 + unseen)
    blocks = _blocks(rows, block)
    parts = [rows.loc[[], ["client_id", "month", "left", "exit_possible", WORTH]]]
    for train, test in splits(rows, window, MIN_EVENTS, unseen=unseen, block=block, blocks=blocks):
        learned = rows[train]
        ahead = rows[test]
        if distinct_leavers(learned) < MIN_EVENTS:
            continue
        offered: dict[str, RiskModel | Rule] = {MODEL: RiskModel(window), **offered_rules(rows)}
        risks = {name: way.fit(learned).predict_proba(ahead)[:, 1] for name, way in offered.items()}
        parts.append(ahead[list(parts[0].columns)].assign(**risks))
    return pd.concat(parts[1:] or parts, ignore_index=True)


def _blocks(rows: pd.DataFrame, block: int) -> int:
    """How many of the last blocks are predicted; 0 is all.

    They are those in which a thousand clients left, a year at least.
    """
    last = rows[rows["left"] == 1].groupby("client_id")["month"].max().sort_values()
    if len(last) < ENOUGH:
        return 0
    months = max(rows["month"].max() + 1 - last.iloc[-ENOUGH], YEAR)
    return int(-(-months // block))


def ways(predictions: pd.DataFrame) -> list[str]:
    """The ids of the model and of the rules in these predictions."""
    return [name for name in (MODEL, *RULES) if name in predictions]


def log_losses(left: pd.Series, risks: pd.Series) -> np.ndarray:
    """Each row's loss: minus the log of the probability given to what came."""
    p = np.clip(risks, LEAST, 1 - LEAST)
    return np.asarray(-np.log(np.where(left == 1, p, 1 - p)))


def squared_losses(left: pd.Series, risks: pd.Series) -> np.ndarray:
    """Each row's squared distance of the predicted risk from what came (Brier)."""
    return np.asarray((left - risks) ** 2)


@lru_cache(maxsize=1)
def _draws(clients: int) -> np.ndarray:
    """How often each client counts when clients are resampled, shape (DRAWS + 1, clients); in the
    first row, once.
    """
    drawn = np.random.default_rng(SEED).multinomial(
        clients, np.full(clients, 1 / clients), size=DRAWS
    )
    return np.vstack([np.ones(clients), drawn])


def _of_sums(
    predictions: pd.DataFrame, rows: Sequence[np.ndarray], figure: Callable[..., np.ndarray]
) -> list[float]:
    """A figure made of sums over rows, with its 95 % interval by client (of very many: by `bunched`
    clients).
    """
    codes = bunched(pd.factorize(predictions["client_id"])[0])
    sums = np.stack([np.bincount(codes, values) for values in rows]) @ _draws(codes.max() + 1).T
    with np.errstate(divide="ignore", invalid="ignore"):  # NaN in a resample in which nobody left
        return interval_of(figure(*sums))


def interval_of(values: np.ndarray) -> list[float]:
    """The first value with the 95 % limits of the rest; NaN where no resample tells them."""
    draws = values[1:][~np.isnan(values[1:])]
    limits = np.quantile(draws, [0.025, 0.975]) if draws.size else (math.nan, math.nan)
    return [values[0], *limits]


def skill(
    predictions: pd.DataFrame, over: str, losses: Callable[..., np.ndarray] = log_losses
) -> list[float]:
    """Share of a rule's loss that the model saves, with its 95 % interval; above 0 the model
    predicts better.
    """
    return _of_sums(
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
        return bool(benefit_ahead(self.predictions, self.pays_from)[:, 0].mean() > 0)

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
        within = self.predictions.groupby("month")[CALENDAR].nunique()
        return CALENDAR if (within > 1).any() else self.best_rule

    @property
    def pays(self) -> str:
        """The predicted risks from which a contact pays, as readers see them."""
        return between(min(self.pays_from), max(self.pays_from), "share")

    def ahead(self) -> Finding:
        """From which predicted risk on the model's net benefit is ahead of the calendar's, and
        where a contact pays.
        """
        if self.why or CALENDAR not in self.predictions:
            return Finding("risk", "")
        text = _ahead_words(*ahead_from(self.predictions))
        pays = say("churn_risk.ahead.pays", pays=self.pays)
        return Finding("risk", Said(f"{text} {pays}", key_of(text)))

    def answer(self) -> Finding:
        """What to use, the model or a rule; the headline of the page."""
        if self.why:
            return Finding("risk", say("churn_risk.answer.none", why=self.why), "headline")
        saved, low, high = self.skills[self.best_rule]
        rule = say(f"churn_risk.rule.{self.best_rule}")
        fallback = say(f"churn_risk.rule.{self.fallback}")
        figures = {"saved": quantity(saved, "share"), "interval": between(low, high, "share")}
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
    skills = {name: skill(predictions, name) for name in ways(predictions)[1:]}
    return Judgement(predictions, skills, "", pays_from(predictions, costs))


def _lacking(rows: pd.DataFrame) -> Said:
    """What there is too little of for a model."""
    if rows.empty:
        return say("churn_risk.lacking.dates")
    few = distinct_leavers(known(rows))
    return say("churn_risk.lacking.leavers", needed=MIN_EVENTS, few=few)


def skills(judgement: Judgement) -> Estimates:
    """Log-loss and Brier skill of the model over each rule."""
    predictions = judgement.predictions
    counts = (predictions["client_id"].nunique(), distinct_leavers(predictions))
    rows = []
    for rule, values in judgement.skills.items():
        squared = skill(predictions, rule, squared_losses)
        for figure, saved in (("log_loss_saved", values), ("brier_saved", squared)):
            name = say(f"churn_risk.figure.{figure}")
            group = say(f"churn_risk.over.{rule}")
            rows.append(Estimate.of("risk", name, group, saved, "share", counts))
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
        counts = (predictions["client_id"].nunique(), distinct_leavers(predictions))
        for figure, values, unit in _figures(predictions, capacity):
            name = figure_words(figure, capacity)
            rows.append(Estimate.of("risk", name, group, values, unit, counts))
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
        return _of_sums(predictions, [values, over], np.divide)

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
    yield "lift", _of_sums(predictions, top, lift), "ratio"


def average_precision(predictions: pd.DataFrame) -> list[float]:
    """Mean of the share who left among those at higher risks, over all who left; interval by
    client. METHODS 7.
    """

    def mean_share(left: np.ndarray, stayed: np.ndarray) -> float:
        every = np.maximum(left + stayed, LEAST)
        return float(np.diff(left, prepend=0) @ (left / every) / left[-1])

    return interval_of(_by_rank(predictions, -predictions[MODEL], mean_share))


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
        below = (stayed + np.append(0, stayed[:-1])) / 2
        pairs = max(left[-1] * stayed[-1], LEAST)
        return float(np.diff(left, prepend=0) @ below / pairs)

    return _by_rank(predictions, predictions[MODEL], area)


def _by_rank(
    predictions: pd.DataFrame, rank: pd.Series, figure: Callable[[np.ndarray, np.ndarray], float]
) -> np.ndarray:
    """A figure of those who left and stayed up to each rank, and the same in each resample of the
    clients, shape (DRAWS + 1,). Rows of one rank count together.
    """
    codes = bunched(pd.factorize(predictions["client_id"])[0])
    order = np.argsort(rank.to_numpy(), kind="stable")
    gone = predictions["left"].to_numpy(float)[order]
    whose = codes[order]
    last = np.flatnonzero(np.diff(rank.to_numpy()[order], append=np.nan))
    found = []
    for times in _draws(codes.max() + 1):
        weight = times[whose]
        left = np.cumsum(weight * gone)[last]
        stayed = np.cumsum(weight * (1 - gone))[last]
        found.append(figure(left, stayed))
    return np.array(found)


def _top(predictions: pd.DataFrame, way: str, capacity: int) -> np.ndarray:
    """1 for the clients of each month with the highest risks, as many as there is capacity for;
    else 0.
    """
    rank = predictions.groupby("month")[way].rank(method="first", ascending=False)
    return np.asarray(rank <= capacity, float)


def calibration(predictions: pd.DataFrame) -> Iterator[tuple[str, list[float], str]]:
    """Intercept (0 is right) and slope (1) of the outcomes on the predicted log-odds; intervals by
    client.
    """
    odds = special.logit(np.clip(predictions[MODEL], LEAST, 1 - LEAST))
    if odds.nunique() < 2:  # one risk for all has no slope
        return
    groups = pd.factorize(predictions["client_id"])[0]
    model = sm.GLM(
        predictions["left"].to_numpy(),
        sm.add_constant(odds.to_numpy()),
        family=sm.families.Binomial(),
    )
    fit = model.fit(cov_type="cluster", cov_kwds={"groups": groups})
    for k, name in enumerate(("intercept", "slope")):
        yield name, [fit.params[k], *fit.conf_int()[k]], ""


def views(rows: pd.DataFrame, window: Window, judgement: Judgement) -> dict[str, pd.DataFrame]:
    """Predictions by the id of the view: all as used, of clients never seen in training, and of
    months in which the client was free to go.
    """
    if judgement.why:
        return {}
    every = judgement.predictions
    unseen = predict(rows, window, unseen=True)
    return {"all": every, "unseen": unseen, "free": every[every["exit_possible"] == 1]}


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
    number = pd.qcut(rank, min(bins, len(predictions)), labels=False)
    parts = []
    for _, part in predictions.groupby(number):
        share = float(part["left"].mean())
        clients = part["client_id"].nunique()
        limits = stats.binomtest(round(share * clients), clients).proportion_ci(method="wilson")
        low = min(limits.low, share)
        high = max(limits.high, share)
        parts.append((float(part[MODEL].mean()), share, low, high, len(part)))
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


def net_benefit(predictions: pd.DataFrame) -> pd.DataFrame:
    """Net benefit per hundred clients a month of acting from a predicted risk on.

    Columns: `act_from` (the risk), `net_benefit_model`, `net_benefit_calendar` (where there is
    one), `net_benefit_everybody`. Those rightly acted on, less those wrongly, each at the odds of
    the risk (Vickers 2006): acting on nobody is 0.
    """
    left = predictions["left"].to_numpy() == 1
    rows = []
    for cut in CUTS if len(predictions) else ():
        acts = {"model": predictions[MODEL] >= cut}
        if CALENDAR in predictions:
            acts["calendar"] = predictions[CALENDAR] >= cut
        acts["everybody"] = pd.Series(True, predictions.index)
        row = {"act_from": cut}
        for name, chosen in acts.items():
            right = (chosen & left).mean()
            wrong = (chosen & ~left).mean()
            row[f"net_benefit_{name}"] = 100 * float(right - wrong * cut / (1 - cut))
        rows.append(row)
    return pd.DataFrame(rows)


def pays_from(predictions: pd.DataFrame, costs: RiskSettings | None) -> tuple[float, ...]:
    """The predicted risks from which contacting the median client pays, one for each share that a
    contact may keep.

    Cost over share times worth, less the incentive (METHODS 7); CUTS where nothing is known of
    worth, or never is.
    """
    if costs is None:
        return CUTS
    worth = predictions[WORTH].astype(float) * costs.worth_months - costs.incentive
    middle = worth[worth > 0].median()
    risks = [costs.contact_cost / (share * middle) for share in UPLIFTS if share > 0]
    return tuple(float(risk) for risk in risks if 0 < risk < 1) or CUTS


def benefit_ahead(predictions: pd.DataFrame, cuts: Sequence[float]) -> np.ndarray:
    """By how much the model's net benefit is ahead of the calendar's for every hundred clients and
    month.

    Shape (cuts, DRAWS + 1): a row a risk from which one acts; first as it is, then in resamples
    of the clients.
    """
    codes = bunched(pd.factorize(predictions["client_id"])[0])
    left = predictions["left"].to_numpy() == 1
    sums = []
    for cut in cuts:
        gains = np.where(left, 1.0, -cut / (1 - cut))
        more = (predictions[MODEL] >= cut).to_numpy(float) - (
            predictions[CALENDAR] >= cut
        ).to_numpy(float)
        sums.append(np.bincount(codes, gains * more))
    times = _draws(codes.max() + 1).T
    return np.asarray(100 * (np.stack(sums) @ times) / (np.bincount(codes) @ times))


def ahead_from(predictions: pd.DataFrame) -> list[float]:
    """The risk from which on the model's net benefit is ahead of the calendar's, with its 95 %
    interval by client.

    The risk that best separates where the one and the other is ahead: the sum of what the model is
    ahead from there on is the largest. Infinite where it is ahead nowhere.
    """
    ahead = benefit_ahead(predictions, GRID)
    from_here = np.cumsum(ahead[::-1], axis=0)[::-1]
    best = np.array(GRID)[from_here.argmax(axis=0)]
    firsts = np.where(from_here.max(axis=0) > 0, best, math.inf)
    low, high = np.quantile(firsts[1:], [0.025, 0.975], method="nearest")
    return [float(firsts[0]), float(low), float(high)]


def profit(predictions: pd.DataFrame, months: int, cost: float, incentive: float) -> pd.DataFrame:
    """What contacting would have earned a month, by the share of those about to leave that a
    contact keeps (unknown).

    Columns: `share_kept, contacts_a_month, least_risk, earned_a_month`. Keeping a client is worth
    what it leaves in so many `months`. It is contacted from the predicted risk at which that pays
    for this client: p = cost / (share (worth - incentive)); one whose worth is not known is not.
    Source: METHODS 7.
    """
    span = predictions["month"].nunique()
    rows = []
    worth = predictions[WORTH].astype(float) * months
    for share in UPLIFTS if worth.notna().any() else ():
        gain = share * (worth - incentive)
        cut = (cost / gain).where(gain > 0, math.inf)
        acts = predictions[MODEL] >= cut
        earned = (gain * predictions["left"] - cost)[acts].sum() / span
        least = predictions.loc[acts, MODEL].min()
        rows.append((share, acts.sum() / span, least, float(earned)))
    columns = ["share_kept", "contacts_a_month", "least_risk", "earned_a_month"]
    return pd.DataFrame(rows, columns=columns)


def profit_caption(currency: str) -> str:
    """The caption of `profit`, with the currency where it is known."""
    if currency:
        return say("churn_risk.profit.caption_in", currency=currency)
    return say("churn_risk.profit.caption")


def observed_over_expected(predictions: pd.DataFrame) -> pd.DataFrame:
    """By quarter, clients who left over those predicted, with exact Poisson limits.

    Columns: `first_month, clients_predicted, clients_left, ratio, low, high`. Clients count once a
    quarter (at its first month's end), so that one end is not counted three times.
    """
    if predictions.empty:
        return pd.DataFrame()
    since = predictions["month"] - predictions["month"].min()
    first = predictions[since % QUARTER == 0]
    sums = first.groupby("month").agg(
        clients_predicted=(MODEL, "sum"), clients_left=("left", "sum")
    )
    left = sums["clients_left"]
    low = np.where(left > 0, stats.chi2.ppf(0.025, 2 * left) / 2, 0)
    high = stats.chi2.ppf(0.975, 2 * left + 2) / 2
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
    off = ((quarters["low"] > 1) | (quarters["high"] < 1)).to_numpy()
    if len(off) > 1 and off[-1] and off[-2]:
        return Finding("risk", say("churn_risk.quarters.off"), "warning")
    last = quarters.iloc[-1]
    text = say(
        "churn_risk.quarters.last",
        left=last["clients_left"],
        predicted=last["clients_predicted"],
        ratio=last["ratio"],
        interval=between(last["low"], last["high"], "ratio"),
    )
    return Finding("risk", text)
