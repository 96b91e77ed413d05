"""Is the model worth using? What it foretold held against what came, beside the simple rules
(METHODS 7).

Every figure rests on months that lay ahead of the training. Intervals: clients resampled, for one
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
    MIN_EVENTS,
    RULES,
    RiskModel,
    Rule,
    distinct_leavers,
    offered_rules,
)
from retention.settings import RiskSettings
from retention.stats.hazards import bunched

MODEL = "the model"
CALENDAR = "renewal calendar"
DRAWS = 500
SEED = 1
LEAST = 1e-6  # no chance is taken to be nought or one
QUARTER = 3  # months
ENOUGH, YEAR = (
    1000,
    12,
)  # (ours) clients who left, and months, in which a model is tried at least where more could be
# Share of those about to leave whom a contact keeps: unknown, so varied (METHODS 7).
UPLIFTS = (0.0, 0.1, 0.2, 0.3, 0.4)
CUTS = (0.05, 0.1, 0.2, 0.3)  # chances from which somebody might act
GRID = tuple(
    float(cut) for cut in np.arange(1, 51) / 100
)  # (ours) chances at which model and calendar are compared


def foretold(rows: pd.DataFrame, window: Window, *, unseen: bool = False) -> pd.DataFrame:
    """Every month that could be foretold: `client_id, month, left, exit_possible, worth_a_month`,
    and chances by way.

    The ways: the model and the simple rules, each fitted anew for every block of months on what was
    known by then; with `unseen`, on other clients, in blocks twice as long. Empty where too few
    left before any block. Where very many left, only the last blocks are foretold (`_blocks`).
    """
    rows = known(rows)
    block = BLOCK * (1 + unseen)
    parts = [rows.loc[[], ["client_id", "month", "left", "exit_possible", WORTH]]]
    for train, test in splits(
        rows, window, MIN_EVENTS, unseen=unseen, block=block, blocks=_blocks(rows, block)
    ):
        learned = rows[train]
        ahead = rows[test]
        if distinct_leavers(learned) < MIN_EVENTS:
            continue
        offered: dict[str, RiskModel | Rule] = {MODEL: RiskModel(window), **offered_rules(rows)}
        chances = {
            name: way.fit(learned).predict_proba(ahead)[:, 1] for name, way in offered.items()
        }
        parts.append(ahead[list(parts[0].columns)].assign(**chances))
    return pd.concat(parts[1:] or parts, ignore_index=True)


def _blocks(rows: pd.DataFrame, block: int) -> int:
    """How many of the last blocks are foretold: those in which a thousand clients left, a year at
    least; 0 is all.
    """
    last = rows[rows["left"] == 1].groupby("client_id")["month"].max().sort_values()
    return (
        -(-max(rows["month"].max() + 1 - last.iloc[-ENOUGH], YEAR) // block)
        if len(last) >= ENOUGH
        else 0
    )


def ways(told: pd.DataFrame) -> list[str]:
    """The model and the rules in these predictions."""
    return [name for name in (MODEL, *RULES) if name in told]


def log_losses(left: pd.Series, chances: pd.Series) -> np.ndarray:
    """Each row's loss: minus the log of the chance given to what came."""
    p = np.clip(chances, LEAST, 1 - LEAST)
    return np.asarray(-np.log(np.where(left == 1, p, 1 - p)))


def squared_losses(left: pd.Series, chances: pd.Series) -> np.ndarray:
    """Each row's squared distance of the chance from what came (Brier)."""
    return np.asarray((left - chances) ** 2)


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
    told: pd.DataFrame, rows: Sequence[np.ndarray], figure: Callable[..., np.ndarray]
) -> list[float]:
    """A figure made of sums over rows, with its 95 % interval by client (of very many: by `bunched`
    clients).
    """
    codes = bunched(pd.factorize(told["client_id"])[0])
    sums = np.stack([np.bincount(codes, values) for values in rows]) @ _draws(codes.max() + 1).T
    with np.errstate(divide="ignore", invalid="ignore"):  # NaN in a resample in which nobody left
        return interval_of(figure(*sums))


def interval_of(values: np.ndarray) -> list[float]:
    """The first value with the 95 % limits of the rest; NaN where no resample tells them."""
    draws = values[1:][~np.isnan(values[1:])]
    limits = np.quantile(draws, [0.025, 0.975]) if draws.size else (math.nan, math.nan)
    return [values[0], *limits]


def skill(
    told: pd.DataFrame, over: str, losses: Callable[..., np.ndarray] = log_losses
) -> list[float]:
    """Share of a rule's loss that the model saves, with its 95 % interval; above 0 the model
    foretells better.
    """
    return _of_sums(
        told, [losses(told["left"], told[name]) for name in (MODEL, over)], lambda m, r: 1 - m / r
    )


@dataclass(frozen=True)
class Judgement:
    """What was foretold, and how far the model beats each rule (`skills`: share of the log loss
    saved, low, high).

    `why` says what there is too little of for a model; then there is nothing else.
    """

    told: pd.DataFrame
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
        """Whether the model loses less than every rule, beyond what luck would do."""
        return not self.why and all(low > 0 for _, low, _ in self.skills.values())

    @property
    def worth_more(self) -> bool:
        """Whether the model's net benefit is ahead of the calendar's at the chances from which
        acting pays.
        """
        if CALENDAR not in self.told:
            return True
        return bool(benefit_ahead(self.told, self.pays_from)[:, 0].mean() > 0)

    @property
    def best_rule(self) -> str:
        """The rule that foretold best: the one with the least loss."""
        return min(self.skills, key=lambda name: self.skills[name][0])

    @property
    def fallback(self) -> str:
        """The rule to use in place of a model: the calendar, or the best where all clients'
        calendars are alike.
        """
        within = (
            self.told.groupby("month")[CALENDAR].nunique()
            if CALENDAR in self.told
            else pd.Series(dtype=int)
        )
        return CALENDAR if (within > 1).any() else self.best_rule

    @property
    def pays(self) -> str:
        """The chances from which a contact pays, in words."""
        return between(min(self.pays_from), max(self.pays_from), "share")

    def ahead(self) -> Finding:
        """From which predicted chance on the model's net benefit is ahead of the calendar's, in a
        sentence or two.
        """
        if self.why or CALENDAR not in self.told:
            return Finding("risk", "")
        first, low, high = ahead_from(self.told)
        matter = f"By the share that it keeps, a contact pays from a chance of {self.pays} on."
        if math.isinf(first):
            text = "The renewal calendar's net benefit is ahead of the model's at every chance."
        elif first <= GRID[0]:
            text = "The model's net benefit is ahead of the renewal calendar's at every chance."
        else:
            text = (
                f"From a predicted chance of {first:.0%} on the model's net benefit is ahead of "
                "the renewal calendar's "
                f"(95% interval {_grid_words(low)} to {_grid_words(high)}). Below that the "
                "calendar is ahead."
            )
        return Finding("risk", f"{text} {matter}")

    def answer(self) -> Finding:
        """What to use, the model or a rule, in a sentence; the headline of the page."""
        if self.why:
            return Finding("risk", f"No model can be made. {self.why}", "headline")
        saved, low, high = self.skills[self.best_rule]
        figures = (
            f"{quantity(saved, 'share')} less loss (95% interval {between(low, high, 'share')})"
        )
        best = f"the best simple rule ({self.best_rule})"
        if self.beats:
            text = f"Use the model: it predicts who leaves better than {best}, with {figures}."
            return Finding("risk", text, "headline")
        if self.predicts_better:
            text = (
                f"Use the {self.fallback}: at the chances from which a contact pays ({self.pays}) "
                "its net benefit is "
                f"ahead of the model's, though the model predicts better over all, with {figures}."
            )
            return Finding("risk", text, "headline")
        text = (
            f"Use the {self.fallback}: no model beats every simple rule on these data by more "
            "than luck would. "
            f"Held against {best} the model has {figures}."
        )
        return Finding("risk", text, "headline")


def judged(rows: pd.DataFrame, window: Window, costs: RiskSettings | None = None) -> Judgement:
    """Predict every month that can be, and hold the model against each rule (`skill`). METHODS 7.

    `costs` say from which chances a contact pays (`pays_from`).
    """
    told = foretold(rows, window)
    if told.empty or not 0 < told["left"].sum() < len(told):
        few = distinct_leavers(known(rows)) if len(rows) else 0
        why = (
            f"A model learns from {MIN_EVENTS} clients or more who left by choice, and is tried "
            "on others who left "
            f"later; {few} are on record in all. Until there are enough, use the renewal calendar."
        )
        if rows.empty:
            why = (
                "No client can be followed from month to month: that takes dates of start and end."
            )
        return Judgement(told, {}, why)
    return Judgement(
        told, {name: skill(told, name) for name in ways(told)[1:]}, "", pays_from(told, costs)
    )


def skills(judgement: Judgement) -> Estimates:
    """Log-loss and Brier skill of the model over each rule."""
    told = judgement.told
    rows = []
    counts = (told["client_id"].nunique(), distinct_leavers(told))
    for rule, values in judgement.skills.items():
        rows.append(Estimate.of("risk", "log loss saved", f"over: {rule}", values, "share", counts))
        squared = skill(told, rule, squared_losses)
        rows.append(
            Estimate.of("risk", "squared error saved", f"over: {rule}", squared, "share", counts)
        )
    return Estimates(
        tuple(rows),
        "How much better the model foretells than each simple rule; above nought it does",
    )


def table(views: dict[str, pd.DataFrame], capacity: int) -> Estimates:
    """The model's figures by view: precision, loss, calibration, and whom the team's capacity would
    reach.
    """
    rows = []
    for view, told in views.items():
        if not 0 < told["left"].sum() < len(told):
            continue
        counts = (told["client_id"].nunique(), distinct_leavers(told))
        for name, values, unit in _figures(told, capacity):
            rows.append(Estimate.of("risk", name, view, values, unit, counts))
    return Estimates(tuple(rows), "How well the model foretells, on months ahead of its training")


def _figures(told: pd.DataFrame, capacity: int) -> Iterator[tuple[str, list[float], str]]:
    left = told["left"].to_numpy(float)
    p = told[MODEL].to_numpy()
    one = np.ones(len(told))
    reached = _top(told, MODEL, capacity)
    for name, values, over, unit in (
        ("share who leave", left, one, "share"),
        ("log loss", log_losses(told["left"], told[MODEL]), one, ""),
        ("squared error (Brier)", (left - p) ** 2, one, ""),
        ("came true over foretold", left, p, "ratio"),
        (
            f"of those who leave, among the {capacity} a month at most risk",
            left * reached,
            left,
            "share",
        ),
    ):
        yield name, _of_sums(told, [values, over], np.divide), unit
        if name == "share who leave":
            yield "average precision", average_precision(told), "share"
        if unit == "ratio":
            yield from calibration(told)

    def lift(hit: np.ndarray, called: np.ndarray, gone: np.ndarray, all_: np.ndarray) -> np.ndarray:
        return hit / called / (gone / all_)

    name = f"times as many leave among those {capacity} as among all"
    yield name, _of_sums(told, [left * reached, reached, left, one], lift), "ratio"


def average_precision(told: pd.DataFrame) -> list[float]:
    """Mean of the share who left among those at higher chances, over all who left; interval by
    client. METHODS 7.
    """
    codes = bunched(pd.factorize(told["client_id"])[0])
    order = np.argsort(-told[MODEL].to_numpy(), kind="stable")
    gone = told["left"].to_numpy(float)[order]
    whose = codes[order]
    last = np.flatnonzero(np.diff(told[MODEL].to_numpy()[order], append=np.nan))  # of each chance
    found = []
    for times in _draws(codes.max() + 1):
        weight = times[whose]
        left = np.cumsum(weight * gone)[last]
        every = np.cumsum(weight)[last]
        found.append(np.diff(left, prepend=0) @ (left / np.maximum(every, LEAST)) / left[-1])
    return interval_of(np.array(found))


def area_under_curve(told: pd.DataFrame) -> list[float]:
    """Share of pairs of one who left and one who did not in which the former has the higher chance;
    interval by client.

    Ties count as a half (AUC).
    """
    return interval_of(area_draws(told))


def area_draws(told: pd.DataFrame) -> np.ndarray:
    """The area of `area_under_curve`, then the same in each resample of the clients, shape (DRAWS +
    1,).
    """
    codes = bunched(pd.factorize(told["client_id"])[0])
    order = np.argsort(told[MODEL].to_numpy(), kind="stable")
    gone = told["left"].to_numpy(float)[order]
    whose = codes[order]
    last = np.flatnonzero(np.diff(told[MODEL].to_numpy()[order], append=np.nan))  # of each chance
    found = []
    for times in _draws(codes.max() + 1):
        weight = times[whose]
        left = np.cumsum(weight * gone)[last]
        stayed = np.cumsum(weight * (1 - gone))[last]
        below = (stayed + np.append(0, stayed[:-1])) / 2
        found.append(np.diff(left, prepend=0) @ below / max(left[-1] * stayed[-1], LEAST))
    return np.array(found)


def _top(told: pd.DataFrame, way: str, capacity: int) -> np.ndarray:
    """1 for the clients of each month with the highest chances, as many as there is capacity for;
    else 0.
    """
    rank = told.groupby("month")[way].rank(method="first", ascending=False)
    return np.asarray(rank <= capacity, float)


def calibration(told: pd.DataFrame) -> Iterator[tuple[str, list[float], str]]:
    """Intercept (0 is right) and slope (1) of what came on the log-odds foretold; intervals by
    client.
    """
    odds = special.logit(np.clip(told[MODEL], LEAST, 1 - LEAST))
    if odds.nunique() < 2:  # one chance for all has no slope
        return
    groups = pd.factorize(told["client_id"])[0]
    model = sm.GLM(
        told["left"].to_numpy(), sm.add_constant(odds.to_numpy()), family=sm.families.Binomial()
    )
    fit = model.fit(cov_type="cluster", cov_kwds={"groups": groups})
    for k, name in enumerate(("calibration intercept (right: 0)", "calibration slope (right: 1)")):
        yield name, [fit.params[k], *fit.conf_int()[k]], ""


def views(rows: pd.DataFrame, window: Window, judgement: Judgement) -> dict[str, pd.DataFrame]:
    """The predictions as used, of clients never seen in training, and of months in which the client
    was free to go.
    """
    told = judgement.told
    if judgement.why:
        return {}
    unseen = foretold(rows, window, unseen=True)
    free = told[told["exit_possible"] == 1]
    return {"all, as used": told, "clients never seen": unseen, "free to leave in the window": free}


def reliability(told: pd.DataFrame, bins: int = 8) -> pd.DataFrame:
    """Chances foretold against shares that came true, by bins of as many rows: `predicted,
    observed, low, high, rows`.

    Wilson intervals with the number of distinct clients in the bin, for a client's months are not
    independent news.
    """
    if told.empty:
        return pd.DataFrame(columns=["predicted", "observed", "low", "high", "rows"])
    binned = told.assign(
        bin=pd.qcut(told[MODEL].rank(method="first"), min(bins, len(told)), labels=False)
    )
    found = []
    for _, part in binned.groupby("bin"):
        share = float(part["left"].mean())
        clients = part["client_id"].nunique()
        low, high = stats.binomtest(round(share * clients), clients).proportion_ci(method="wilson")
        found.append(
            (float(part[MODEL].mean()), share, min(low, share), max(high, share), len(part))
        )
    return pd.DataFrame(found, columns=["predicted", "observed", "low", "high", "rows"])


def reliability_words(frame: pd.DataFrame) -> str:
    """The chart of chances against what came, in words."""
    told = [f"{row.predicted:.0%} foretold, {row.observed:.0%} came" for row in frame.itertuples()]
    return f"By groups of as many months: {'; '.join(told) or 'nothing was foretold'}."


def net_benefit(told: pd.DataFrame) -> pd.DataFrame:
    """Net benefit per hundred clients a month of acting from a chance on: by the model, by the
    calendar, on everybody.

    Those rightly acted on, less those wrongly, each at the odds of the chance (Vickers 2006):
    acting on nobody is 0.
    """
    left = told["left"].to_numpy()
    rows = []
    for cut in CUTS if len(told) else ():
        row: dict[str, float | str] = {"Act from a chance of": f"{cut:.0%}"}
        for name, acts in {
            "by the model": told[MODEL] >= cut,
            **({"by the calendar": told[CALENDAR] >= cut} if CALENDAR in told else {}),
            "on everybody": np.ones(len(told), dtype=bool),
        }.items():
            mask = np.asarray(acts)
            row[f"Net benefit {name}"] = 100 * float(
                (mask & (left == 1)).mean() - (mask & (left == 0)).mean() * cut / (1 - cut)
            )
        rows.append(row)
    return pd.DataFrame(rows)


def pays_from(told: pd.DataFrame, costs: RiskSettings | None) -> tuple[float, ...]:
    """The chances from which contacting the median client pays, one for each share that a contact
    may keep.

    Cost over share times worth, less the incentive (METHODS 7); CUTS where nothing is known of
    worth, or never is.
    """
    if costs is None:
        return CUTS
    worth = told[WORTH].astype(float) * costs.worth_months - costs.incentive
    middle = worth[worth > 0].median()
    chances = [costs.contact_cost / (share * middle) for share in UPLIFTS if share > 0]
    return tuple(float(chance) for chance in chances if 0 < chance < 1) or CUTS


def benefit_ahead(told: pd.DataFrame, cuts: Sequence[float]) -> np.ndarray:
    """By how much the model's net benefit is ahead of the calendar's for every hundred clients and
    month.

    Shape (cuts, DRAWS + 1): a row a chance from which one acts; first as it is, then in resamples
    of the clients.
    """
    codes = bunched(pd.factorize(told["client_id"])[0])
    left = told["left"].to_numpy() == 1
    sums = []
    for cut in cuts:
        gains = np.where(left, 1.0, -cut / (1 - cut))
        more = (told[MODEL] >= cut).to_numpy(float) - (told[CALENDAR] >= cut).to_numpy(float)
        sums.append(np.bincount(codes, gains * more))
    times = _draws(codes.max() + 1).T
    return np.asarray(100 * (np.stack(sums) @ times) / (np.bincount(codes) @ times))


def ahead_from(told: pd.DataFrame) -> list[float]:
    """The chance from which on the model's net benefit is ahead of the calendar's, with its 95 %
    interval by client.

    The chance that parts best where the one and the other is ahead: the sum of what the model is
    ahead from there on is the largest. Infinite where it is ahead nowhere.
    """
    ahead = benefit_ahead(told, GRID)
    from_here = np.cumsum(ahead[::-1], axis=0)[::-1]
    best = np.array(GRID)[from_here.argmax(axis=0)]
    firsts = np.where(from_here.max(axis=0) > 0, best, math.inf)
    low, high = np.quantile(firsts[1:], [0.025, 0.975], method="nearest")
    return [float(firsts[0]), float(low), float(high)]


def _grid_words(chance: float) -> str:
    return f"{chance:.0%}" if math.isfinite(chance) else "never"


def profit(told: pd.DataFrame, months: int, cost: float, incentive: float) -> pd.DataFrame:
    """What contacting would have earned a month, were it to keep a given share of those about to
    leave (unknown).

    Keeping a client is worth what it leaves in so many `months`. It is contacted from the chance at
    which that pays for this client: p = cost / (share (worth - incentive)); one whose worth is not
    known is not. Source: METHODS 7.
    """
    span = told["month"].nunique()
    rows = []
    worth = told[WORTH].astype(float) * months
    for share in UPLIFTS if worth.notna().any() else ():
        gain = share * (worth - incentive)
        cut = (cost / gain).where(gain > 0, math.inf)
        acts = told[MODEL] >= cut
        earned = (gain * told["left"] - cost)[acts].sum() / span
        rows.append((f"{share:.0%}", acts.sum() / span, told.loc[acts, MODEL].min(), float(earned)))
    columns = [
        "Share kept by a contact",
        "Contacts a month",
        "Least chance contacted",
        "Earned a month",
    ]
    return pd.DataFrame(rows, columns=columns)


def observed_over_expected(told: pd.DataFrame) -> pd.DataFrame:
    """By quarter, who left over those foretold, with exact Poisson limits: `Quarter, Foretold,
    Left, Ratio, Low, High`.

    Clients count once a quarter (at its first month's end), so that one end is not counted thrice.
    """
    if told.empty:
        return pd.DataFrame()
    first = told[(told["month"] - told["month"].min()) % QUARTER == 0]
    sums = first.groupby("month").agg(Foretold=(MODEL, "sum"), Left=("left", "sum"))
    low = np.where(sums["Left"] > 0, stats.chi2.ppf(0.025, 2 * sums["Left"]) / 2, 0)
    high = stats.chi2.ppf(0.975, 2 * sums["Left"] + 2) / 2
    rates = {
        name: values / sums["Foretold"]
        for name, values in (("Ratio", sums["Left"]), ("Low", low), ("High", high))
    }
    frame = sums.assign(**rates).reset_index()
    frame.insert(0, "From", [f"{month // 12}-{month % 12 + 1:02d}" for month in frame.pop("month")])
    return frame


def drifted(quarters: pd.DataFrame) -> Finding:
    """Whether the model has lost touch: the interval of a quarter's ratio misses 1 twice running.
    METHODS 7.
    """
    if quarters.empty:
        return Finding("risk", "Nothing was foretold that could have come true.")
    off = ((quarters["Low"] > 1) | (quarters["High"] < 1)).to_numpy()
    if len(off) > 1 and off[-1] and off[-2]:
        return Finding(
            "risk",
            "What came has differed from what was foretold for two quarters running: do not trust "
            "the chances.",
            "warning",
        )
    last = quarters.iloc[-1]
    limits = between(last["Low"], last["High"], "ratio")
    text = (
        f"In the last quarter that is known {last['Left']:.0f} left where "
        f"{last['Foretold']:.1f} were foretold"
    )
    return Finding("risk", f"{text} (ratio {last['Ratio']:.2f}, 95% interval {limits}).")
