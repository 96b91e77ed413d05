"""The list for Monday: each client's predicted churn risk, why, what is at stake and by when to act
(METHODS 7).

A score says who is likely to leave, not whom a call would keep. Only a trial can tell that, in
which some of those at risk, drawn at random, are left alone.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import special

from retention.data.schema import write_csv
from retention.history.features import AGE, KEY, feature_words
from retention.history.measures import FEATURES
from retention.history.snapshots import NOT_YET, WORTH, known
from retention.history.trials import WAIT
from retention.history.window import Window
from retention.numbers import Shown
from retention.results import Finding
from retention.runs import SCORES
from retention.score.model import RULES, RiskModel, Rule, is_number, sampled
from retention.score.phrases import COLUMNS, phrases, value_words
from retention.score.validation import Judgement
from retention.settings import RiskSettings, Settings
from retention.words import say

REFITS = 40  # resamples of the clients by which a risk's interval is found
Z95 = 1.96
DRAWN, SEED = 8, 1  # other clients whose features are tried in a client's place
REASONS, LEAST_REASON = 3, 0.10  # shown at most; log-odds under which a theme is no reason
SIGNING_THEME = "signing"


class Risk(NamedTuple):
    """How well leaving is predicted (`judgement`), what moves the predicted risk (`weights`), and
    the scores of who is there now (`scores`).
    """

    judgement: Judgement
    weights: pd.DataFrame
    scores: pd.DataFrame


@dataclass(frozen=True)
class Scorer:
    """The fitted model with its refits on resampled clients, or the renewal calendar; and the rows
    it learned from.

    `learned` holds the training's features and `left`: which way each by itself goes with leaving,
    how far it varies.
    """

    way: RiskModel | Rule
    refits: tuple[RiskModel | Rule, ...]
    learned: pd.DataFrame

    def apart(self, name: str, values: pd.Series) -> np.ndarray:
        """How far values of one feature lie from the mean, in standard deviations; above 0 towards
        leaving.

        Of a category: how much more of those in it left than of all. Unknown values lie nowhere.
        """
        known = self.learned[name]
        left = self.learned["left"]
        if not is_number(known):
            by_category = left.groupby(known).mean()
            shares = values.map(by_category).astype(float)
            return np.asarray(shares - left.mean())
        filled = known.astype(float)
        deviations = (values - filled.mean()) / filled.std()
        direction = np.sign(filled.corr(left))
        return np.asarray(deviations * direction)


def scorer(
    rows: pd.DataFrame, judgement: Judgement, window: Window, seed: int = 1
) -> Scorer | None:
    """Fit on the rows whose outcome is known what the judgement says to use; None where no model
    can be made.

    Of very many rows, as the model, on those of clients drawn at random; refits are as many clients
    with replacement.
    """
    if judgement.why:
        return None
    rows = sampled(known(rows), seed)
    offered: RiskModel | Rule = RiskModel(window)
    if not judgement.beats:
        columns = RULES[judgement.fallback]
        offered = Rule(columns)
    way = offered.fit(rows)
    codes, names = pd.factorize(rows["client_id"])
    places = pd.Series(np.arange(len(rows)))
    where = places.groupby(codes).agg(list).to_numpy()
    clients = len(names)
    rng = np.random.default_rng(seed)
    refits = []
    for _ in range(REFITS):
        drawn = rng.integers(0, clients, clients)
        again = np.concatenate(where[drawn])
        refit = _refitted(way, rows.iloc[again])
        refits.append(refit)
    learned = rows[[*_used(way), "left"]]
    return Scorer(way, tuple(refits), learned)


def _refitted(way: RiskModel | Rule, rows: pd.DataFrame) -> RiskModel | Rule:
    """The same model or rule, its choices kept, on these rows."""
    if isinstance(way, RiskModel):
        return way.refitted(rows)
    rule = Rule(way.columns)
    return rule.fit(rows)


def _used(way: RiskModel | Rule) -> list[str]:
    if isinstance(way, RiskModel):
        return list(way.features_)
    return list(way.columns)


def _odds(way: RiskModel | Rule, rows: pd.DataFrame) -> np.ndarray:
    chances = way.predict_proba(rows)[:, 1]
    inside = np.clip(chances, 1e-6, 1 - 1e-6)
    return np.asarray(special.logit(inside))


def scores(
    rows: pd.DataFrame,
    spells: pd.DataFrame,
    made: Scorer | None,
    settings: Settings,
    standing: pd.DataFrame,
    reps: pd.Series | None = None,
    waiting: Collection[str] = (),
) -> pd.DataFrame:
    """Every client there and not under notice at the last month's end, most at stake first; empty
    without a model.

    `standing`: the `margin` and the day to `act_by` of each active client, index client_id.
    `reps`: who is in charge of each client on the cut-off (`in_charge`), index client_id; blank
    without. `waiting`: clients who wait in a trial and are to be left alone.

    Columns: `client_id, client, rep_id, risk, low, high` (probability of leaving by choice in the
    window, and the 95 % interval of the share who leave among clients scored like this one, which
    need not hold the client's own risk), `months_to_renewal, act_by, margin_a_month, at_stake`
    (risk times the margin of `worth_months`; of a new client the margin so far, and the fee where
    hours are not known), `contact` (yes or no: within capacity; wait: it waits in a trial),
    `reasons`.
    """
    if made is None:
        return pd.DataFrame()
    now = _latest(rows)
    odds = _odds(made.way, now)
    whose = _who(now, spells, reps)
    table = whose.join(_risks(made, now, odds))
    own = standing.reindex(now["client_id"])
    stand = own.reset_index(drop=True)
    margin = stand["margin"].astype(float).fillna(now[WORTH])
    act_by = pd.to_datetime(stand["act_by"])
    at_stake = table["risk"] * margin * settings.risk.worth_months
    reasons = _reasons(made, now, odds)
    lines = _reason_words(reasons, len(now))
    table = table.assign(
        months_to_renewal=now["months_to_renewal"],
        act_by=act_by.dt.strftime("%Y-%m-%d"),
        margin_a_month=margin.round(2),
        at_stake=at_stake.round(2),
        reasons=lines,
    )
    return _ordered(table, settings.risk, waiting)


def raising(rows: pd.DataFrame, made: Scorer | None) -> pd.DataFrame:
    """What raises the risk of each client of `scores`: `client_id, phrase`, at most three each,
    strongest first; empty without a model.
    """
    if made is None:
        return pd.DataFrame(columns=COLUMNS).astype("string")
    now = _latest(rows)
    odds = _odds(made.way, now)
    reasons = _reasons(made, now, odds)
    return phrases(reasons, now["client_id"])


def _latest(rows: pd.DataFrame) -> pd.DataFrame:
    """The clients there and not under notice at the last month's end."""
    open_still = rows["outcome"] == NOT_YET
    newest = rows["month"] == rows["month"].max()
    latest = rows[open_still & newest]
    return latest.reset_index(drop=True)


def _who(now: pd.DataFrame, spells: pd.DataFrame, reps: pd.Series | None) -> pd.DataFrame:
    """The clients of these rows: `client_id, client` (the name where one is known), `rep_id`."""
    columns = list(KEY)
    if "name" in spells:
        columns.append("name")
    own = now[KEY].merge(spells[columns], on=KEY, how="left")
    ids = now["client_id"]
    names = own.get("name", ids)
    client = names.fillna(ids)
    whose = {"client_id": ids, "client": client}
    table = pd.DataFrame(whose)
    if reps is None:
        return table.assign(rep_id="")
    rep = table["client_id"].map(reps)
    return table.assign(rep_id=rep.fillna(""))


def _risks(made: Scorer, now: pd.DataFrame, odds: np.ndarray) -> pd.DataFrame:
    """The risk of each row with its 95 % interval over the refits: `risk, low, high`."""
    spread = np.zeros(0)
    if len(now):
        refitted = [_odds(refit, now) for refit in made.refits]
        spread = np.std(refitted, axis=0)
    lower = odds - Z95 * spread
    upper = odds + Z95 * spread
    limits = {"risk": odds, "low": lower, "high": upper}
    shares = {}
    for name, values in limits.items():
        chance = special.expit(values)
        shares[name] = chance.round(4)
    return pd.DataFrame(shares)


def _ordered(table: pd.DataFrame, settings: RiskSettings, waiting: Collection[str]) -> pd.DataFrame:
    """The scores, most at stake first, with `contact` for as many as the team has time for, passing
    over those who wait in a trial.
    """
    order = ["key", "risk", "act_by", "client_id"]
    upwards = [False, False, True, True]
    key = table["at_stake"].fillna(-np.inf)
    keyed = table.assign(key=key)
    ranked = keyed.sort_values(order, ascending=upwards, kind="stable")
    without_key = ranked.drop(columns="key")
    ranked = without_key.reset_index(drop=True)
    pays = ranked["at_stake"].fillna(1) > 0
    waits = ranked["client_id"].isin(list(waiting))
    place = (~waits).cumsum()
    wanted = (place <= settings.capacity) & pays
    yes_or_no = np.where(wanted, "yes", "no")
    contact = np.where(waits, WAIT, yes_or_no)
    before_last = len(ranked.columns) - 1
    ranked.insert(before_last, "contact", contact)
    return ranked


def _reasons(made: Scorer, now: pd.DataFrame, odds: np.ndarray) -> pd.DataFrame:
    """Up to three themes that move each client's risk most against other clients, strongest first.

    Columns: `client` (the place in `now`), `moves` (log-odds), `name` (the feature that stands for
    the theme), `value` and `age` (months since anything of the theme was known).

    A theme's share is what the log-odds lose, on average, when its features are those of other
    clients, drawn at random. The feature that stands for it sets this client most apart, among
    those that by themselves go with leaving in the same direction: of several that say nearly the
    same a model may weigh one backwards.
    """
    used = _used(made.way)
    themes = pd.Series({name: _theme(name) for name in used})
    rng = np.random.default_rng(SEED)
    others = [rng.permutation(len(now)) for _ in range(DRAWN)]
    own = now[used]
    unknown = pd.Series(np.nan, now.index)
    parts = []
    for theme, names in themes.groupby(themes).groups.items():
        swapped = [_swapped(own, names, order) for order in others]
        odds_swapped = [_odds(made.way, rows) for rows in swapped]
        usual = np.mean(odds_swapped, axis=0)
        part = _of_theme(made, now, names, odds - usual)
        age = now.get(f"{AGE}{theme}", unknown)
        parts.append(part.assign(age=age.astype(float)))
    if not parts:
        parts = [pd.DataFrame(columns=["client", "moves", "name", "value", "age"])]
    every = pd.concat(parts)
    every = every.sort_values("moves", key=lambda moves: -moves.abs(), kind="stable")
    first = every.groupby("client").head(REASONS)
    return first.reset_index(drop=True)


def _swapped(rows: pd.DataFrame, names: pd.Index, order: np.ndarray) -> pd.DataFrame:
    """The rows with the named features those of other rows, in this order."""
    others = {name: rows[name].to_numpy()[order] for name in names}
    return rows.assign(**others)


def _of_theme(made: Scorer, now: pd.DataFrame, names: pd.Index, moves: np.ndarray) -> pd.DataFrame:
    """The clients whom a theme moves: `client, moves, name, value`, as of `_reasons`.

    `names` are the theme's features, `moves` (n,) what it moves of each client's log-odds.
    """
    distances = {name: made.apart(name, now[name]) for name in names}
    signs = np.sign(moves)
    apart = pd.DataFrame(distances).fillna(0) * signs[:, None]
    farthest = apart.idxmax(axis=1)
    clients = range(len(now))
    about = {"client": clients, "moves": moves, "name": farthest, "value": None}
    part = pd.DataFrame(about)
    differs = apart.max(axis=1) > 0
    strong = np.abs(moves) >= LEAST_REASON
    clear = differs & strong
    part = part[clear.to_numpy()]
    for name, places in part.groupby("name").groups.items():
        values = now.loc[places, name]
        part.loc[places, "value"] = values.astype(object)
    return part


def _reason_words(reasons: pd.DataFrame, clients: int) -> list[str]:
    """The reasons (`_reasons`) of each of so many clients in one line."""
    words = []
    for row in reasons.itertuples():
        direction = "up" if row.moves > 0 else "down"
        evidence = _evidence(row)
        words.append(say(f"churn_risk.reason.{direction}", evidence=evidence))
    in_order = pd.Series(words, reasons.index, dtype=object)
    by_client = in_order.groupby(reasons["client"])
    lines = by_client.agg("; ".join)
    listed = lines.reindex(range(clients))
    none = say("churn_risk.reason.none")
    return listed.fillna(none).tolist()


def _theme(name: str) -> str:
    if name not in FEATURES:
        return SIGNING_THEME
    return str(FEATURES[name]["theme"])


def _evidence(reason: Any) -> str:
    """One reason: the feature, its value and how old the evidence is (months)."""
    about = FEATURES.get(reason.name, {})
    feature = feature_words(reason.name)
    unit = about.get("unit", "")
    if unit == "yes" and pd.notna(reason.value):
        answer = "yes" if reason.value else "no"
        return say(f"churn_risk.reason.{answer}", feature=feature)
    value = value_words(reason.value, unit)
    dated = about.get("how", "since") != "since" and pd.notna(reason.age)
    months = int(reason.age) if dated else 0
    if months:
        return say("churn_risk.reason.aged", feature=feature, value=value, months=months)
    return say("churn_risk.reason.value", feature=feature, value=value)


def monday(table: pd.DataFrame, names: pd.Series, chosen: pd.DataFrame) -> pd.DataFrame:
    """The scores as a team reads them; `names` of the reps by their ids, `chosen`
    what is done about each client and by when, in the order of the list to act on (`client_id,
    to_do, due`).

    Columns: `client, rep, risk, of_100` (how many of 100 clients scored like this leave), `due,
    to_do, at_stake, reasons`.
    """
    if table.empty:
        return table
    top = chosen.merge(table, on="client_id")
    of_100 = []
    for row in top.itertuples():
        text = _of_100("churn_risk.list.of_100", row)
        of_100.append(Shown(text, row.risk))
    columns = {
        "client": top["client"],
        "due": pd.to_datetime(top["due"]),
        "to_do": top["to_do"],
        "rep": [names.get(who, who) for who in top["rep_id"]],
        "risk": top["risk"],
        "of_100": of_100,
        "at_stake": top["at_stake"],
        "reasons": top["reasons"],
    }
    return pd.DataFrame(columns)


def _of_100(key: str, row: Any) -> str:
    """The text of this id with the limits of the row's interval, clients in a hundred."""
    low = 100 * row.low
    high = 100 * row.high
    return say(key, low=low, high=high)


def about_interval(table: pd.DataFrame) -> Finding:
    """What the interval beside each risk is, by the example of the first on the list; nothing
    without scores.
    """
    if table.empty:
        return Finding("risk", "")
    first = table.iloc[0]
    text = _of_100("churn_risk.list.interval", first)
    return Finding("risk", text)


def weights(made: Scorer | None, most: int = 12) -> pd.DataFrame:
    """What moves the predicted risk most: log-odds per standard deviation of each feature, adjusted
    for all others.

    Columns: `feature` (its id), `log_odds_per_sd, low, high` (over resampled clients), `same_sign`
    (the share of resamples that agree on the sign). Empty for a rule or for boosting, which have no
    such weights. Features that say nearly the same share their weight. Associations.
    """
    if made is None or not isinstance(made.way, RiskModel):
        return pd.DataFrame()
    if made.way.kind_ == "boosting":
        return pd.DataFrame()
    numbers = [name for name in made.way.features_ if is_number(made.learned[name])]
    ways = (made.way, *made.refits)
    fitted = [way for way in ways if isinstance(way, RiskModel)]
    slopes = np.array([_slopes(way, len(numbers)) for way in fitted])
    estimate = slopes[0]
    refitted = slopes[1:]
    low, high = np.quantile(refitted, [0.025, 0.975], axis=0)
    agree = np.sign(refitted) == np.sign(estimate)
    same = agree.mean(axis=0)
    rows = {"feature": numbers, "log_odds_per_sd": estimate}
    table = pd.DataFrame(rows)
    table = table.assign(low=low, high=high, same_sign=same)
    table = table.sort_values("log_odds_per_sd", key=lambda x: -x.abs(), ignore_index=True)
    return table.head(most)


def _slopes(way: RiskModel, count: int) -> np.ndarray:
    """The log-odds per standard deviation of a fitted model's first features."""
    regression = way.pipeline_[-1]
    coefficients = regression.coef_[0, :count]
    slope = way.calibration_[1]
    return np.asarray(coefficients * slope)


def with_words(table: pd.DataFrame) -> pd.DataFrame:
    """A table with its column `feature` in words; an empty one as it is."""
    if table.empty:
        return table
    words = table["feature"].map(feature_words)
    return table.assign(feature=words)


def save(table: pd.DataFrame, out_dir: str, file: str = SCORES) -> None:
    """Write the scores (or another list) into the folder of a run; nothing where a notebook runs by
    itself.
    """
    if not out_dir or not len(table):
        return
    path = Path(out_dir) / file
    path.parent.mkdir(exist_ok=True)
    write_csv(table, path)
