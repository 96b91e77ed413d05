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
            share = left.groupby(known).mean()
            shares = values.map(share).astype(float)
            return np.asarray(shares - left.mean())
        filled = known.astype(float)
        deviations = (values - filled.mean()) / filled.std()
        return np.asarray(deviations * np.sign(filled.corr(left)))


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
    offered = RiskModel(window) if judgement.beats else Rule(RULES[judgement.fallback])
    way: RiskModel | Rule = offered.fit(rows)
    codes, names = pd.factorize(rows["client_id"])
    places = pd.Series(np.arange(len(rows)))
    where = places.groupby(codes).agg(list).to_numpy()
    rng = np.random.default_rng(seed)
    refits = []
    for _ in range(REFITS):
        again = rows.iloc[np.concatenate(where[rng.integers(0, len(names), len(names))])]
        refits.append(_refitted(way, again))
    learned = rows[[*_used(way), "left"]]
    return Scorer(way, tuple(refits), learned)


def _refitted(way: RiskModel | Rule, rows: pd.DataFrame) -> RiskModel | Rule:
    """The same model or rule, its choices kept, on these rows."""
    return way.refitted(rows) if isinstance(way, RiskModel) else Rule(way.columns).fit(rows)


def _used(way: RiskModel | Rule) -> list[str]:
    return list(way.features_ if isinstance(way, RiskModel) else way.columns)


def _odds(way: RiskModel | Rule, rows: pd.DataFrame) -> np.ndarray:
    chances = way.predict_proba(rows)[:, 1]
    return np.asarray(special.logit(np.clip(chances, 1e-6, 1 - 1e-6)))


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
    months = settings.risk.worth_months
    at_stake = table["risk"] * margin * months
    table = table.assign(
        months_to_renewal=now["months_to_renewal"],
        act_by=act_by.dt.strftime("%Y-%m-%d"),
        margin_a_month=margin.round(2),
        at_stake=at_stake.round(2),
        reasons=_reason_words(_reasons(made, now, odds), len(now)),
    )
    return _ordered(table, settings.risk, waiting)


def raising(rows: pd.DataFrame, made: Scorer | None) -> pd.DataFrame:
    """What raises the risk of each client of `scores`: `client_id, phrase`, at most three each,
    strongest first; empty without a model.
    """
    if made is None:
        return pd.DataFrame(columns=COLUMNS).astype("string")
    now = _latest(rows)
    return phrases(_reasons(made, now, _odds(made.way, now)), now["client_id"])


def _latest(rows: pd.DataFrame) -> pd.DataFrame:
    """The clients there and not under notice at the last month's end."""
    latest = (rows["outcome"] == NOT_YET) & (rows["month"] == rows["month"].max())
    return rows[latest].reset_index(drop=True)


def _who(now: pd.DataFrame, spells: pd.DataFrame, reps: pd.Series | None) -> pd.DataFrame:
    """The clients of these rows: `client_id, client` (the name where one is known), `rep_id`."""
    about = [name for name in ("name",) if name in spells]
    columns = spells[[*KEY, *about]]
    own = now[KEY].merge(columns, on=KEY, how="left")
    names = own.get("name", now["client_id"])
    client = names.fillna(now["client_id"])
    whose = {"client_id": now["client_id"], "client": client}
    table = pd.DataFrame(whose)
    rep = "" if reps is None else table["client_id"].map(reps).fillna("")
    return table.assign(rep_id=rep)


def _risks(made: Scorer, now: pd.DataFrame, odds: np.ndarray) -> pd.DataFrame:
    """The risk of each row with its 95 % interval over the refits: `risk, low, high`."""
    spread = np.zeros(0)
    if len(now):
        refitted = [_odds(refit, now) for refit in made.refits]
        spread = np.std(refitted, axis=0)
    lower = odds - Z95 * spread
    limits = {"risk": odds, "low": lower, "high": odds + Z95 * spread}
    shares = {name: special.expit(values).round(4) for name, values in limits.items()}
    return pd.DataFrame(shares)


def _ordered(table: pd.DataFrame, settings: RiskSettings, waiting: Collection[str]) -> pd.DataFrame:
    """The scores, most at stake first, with `contact` for as many as the team has time for, passing
    over those who wait in a trial.
    """
    order = ["key", "risk", "act_by", "client_id"]
    ranked = table.assign(key=table["at_stake"].fillna(-np.inf)).sort_values(
        order, ascending=[False, False, True, True], kind="stable"
    )
    without_key = ranked.drop(columns="key")
    ranked = without_key.reset_index(drop=True)
    pays = ranked["at_stake"].fillna(1) > 0
    waits = ranked["client_id"].isin(list(waiting))
    place = (~waits).cumsum()
    wanted = (place <= settings.capacity) & pays
    contact = np.where(waits, WAIT, np.where(wanted, "yes", "no"))
    ranked.insert(len(ranked.columns) - 1, "contact", contact)
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
    themes = pd.Series({name: _theme(name) for name in _used(made.way)})
    rng = np.random.default_rng(SEED)
    others = [rng.permutation(len(now)) for _ in range(DRAWN)]
    own = now[_used(made.way)]
    columns = ["client", "moves", "name", "value", "age"]
    parts = [pd.DataFrame(columns=columns)]
    for theme, names in themes.groupby(themes).groups.items():
        swapped = [
            own.assign(**{name: own[name].to_numpy()[order] for name in names}) for order in others
        ]
        usual = np.mean([_odds(made.way, rows) for rows in swapped], axis=0)
        part = _of_theme(made, now, names, odds - usual)
        unknown = pd.Series(np.nan, now.index)
        age = now.get(f"{AGE}{theme}", unknown).astype(float)
        parts.append(part.assign(age=age))
    every = pd.concat(parts[1:] or parts)
    every = every.sort_values("moves", key=lambda moves: -moves.abs(), kind="stable")
    first = every.groupby("client").head(REASONS)
    return first.reset_index(drop=True)


def _of_theme(made: Scorer, now: pd.DataFrame, names: pd.Index, moves: np.ndarray) -> pd.DataFrame:
    """The clients whom a theme moves: `client, moves, name, value`, as of `_reasons`.

    `names` are the theme's features, `moves` (n,) what it moves of each client's log-odds.
    """
    distances = {name: made.apart(name, now[name]) for name in names}
    apart = pd.DataFrame(distances).fillna(0)
    signs = np.sign(moves)
    apart = apart * signs[:, None]
    about = {"client": range(len(now)), "moves": moves, "name": apart.idxmax(axis=1), "value": None}
    part = pd.DataFrame(about)
    differs = apart.max(axis=1) > 0
    clear = differs & (np.abs(moves) >= LEAST_REASON)
    part = part[clear.to_numpy()]
    for name, places in part.groupby("name").groups.items():
        part.loc[places, "value"] = now.loc[places, name].astype(object)
    return part


def _reason_words(reasons: pd.DataFrame, clients: int) -> list[str]:
    """The reasons (`_reasons`) of each of so many clients in one line."""
    words = [
        say(f"churn_risk.reason.{'up' if row.moves > 0 else 'down'}", evidence=_evidence(row))
        for row in reasons.itertuples()
    ]
    in_order = pd.Series(words, reasons.index, dtype=object)
    lines = in_order.groupby(reasons["client"]).agg("; ".join)
    listed = lines.reindex(range(clients))
    return listed.fillna(say("churn_risk.reason.none")).tolist()


def _theme(name: str) -> str:
    return str(FEATURES[name]["theme"]) if name in FEATURES else SIGNING_THEME


def _evidence(reason: Any) -> str:
    """One reason: the feature, its value and how old the evidence is (months)."""
    about = FEATURES.get(reason.name, {})
    feature = feature_words(reason.name)
    if about.get("unit") == "yes" and pd.notna(reason.value):
        return say(f"churn_risk.reason.{'yes' if reason.value else 'no'}", feature=feature)
    value = value_words(reason.value, about.get("unit", ""))
    dated = about.get("how", "since") != "since" and pd.notna(reason.age)
    if dated and int(reason.age):
        months = int(reason.age)
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
    of_100 = [Shown(_of_100("churn_risk.list.of_100", row), row.risk) for row in top.itertuples()]
    return pd.DataFrame(
        {
            "client": top["client"],
            "due": pd.to_datetime(top["due"]),
            "to_do": top["to_do"],
            "rep": [names.get(who, who) for who in top["rep_id"]],
            "risk": top["risk"],
            "of_100": of_100,
            "at_stake": top["at_stake"],
            "reasons": top["reasons"],
        }
    )


def _of_100(key: str, row: Any) -> str:
    """The text of this id with the limits of the row's interval, clients in a hundred."""
    low = 100 * row.low
    return say(key, low=low, high=100 * row.high)


def about_interval(table: pd.DataFrame) -> Finding:
    """What the interval beside each risk is, by the example of the first on the list; nothing
    without scores.
    """
    if table.empty:
        return Finding("risk", "")
    first = table.iloc[0]
    return Finding("risk", _of_100("churn_risk.list.interval", first))


def weights(made: Scorer | None, most: int = 12) -> pd.DataFrame:
    """What moves the predicted risk most: log-odds per standard deviation of each feature, adjusted
    for all others.

    Columns: `feature` (its id), `log_odds_per_sd, low, high` (over resampled clients), `same_sign`
    (the share of resamples that agree on the sign). Empty for a rule or for boosting, which have no
    such weights. Features that say nearly the same share their weight. Associations.
    """
    if made is None or not isinstance(made.way, RiskModel) or made.way.kind_ == "boosting":
        return pd.DataFrame()
    fitted = [way for way in (made.way, *made.refits) if isinstance(way, RiskModel)]
    numbers = [name for name in made.way.features_ if is_number(made.learned[name])]
    slopes = np.array(
        [way.pipeline_[-1].coef_[0, : len(numbers)] * way.calibration_[1] for way in fitted]
    )
    refitted = slopes[1:]
    low, high = np.quantile(refitted, [0.025, 0.975], axis=0)
    agree = np.sign(slopes[1:]) == np.sign(slopes[0])
    same = agree.mean(axis=0)
    rows = {"feature": numbers, "log_odds_per_sd": slopes[0]}
    table = pd.DataFrame(rows)
    table = table.assign(low=low, high=high, same_sign=same)
    table = table.sort_values("log_odds_per_sd", key=lambda x: -x.abs(), ignore_index=True)
    return table.head(most)


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
    if out_dir and len(table):
        path = Path(out_dir) / file
        path.parent.mkdir(exist_ok=True)
        write_csv(table, path)
