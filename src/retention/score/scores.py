"""The list for Monday: each client's chance of leaving, why, what is at stake and by when to act
(METHODS 7).

A score says who is likely to leave, not whom a call would keep: that only a trial can tell, in
which some of those at risk are left alone by lot.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from retention.data.schema import write_csv
from retention.history.features import AGE, FEATURES, KEY, Window
from retention.history.snapshots import NOT_YET, WORTH, known
from retention.results import Finding
from retention.score.model import RULES, RiskModel, Rule, by_lot, is_number
from retention.score.validation import Judgement
from retention.settings import Settings

REFITS = 40  # resamples of the clients by which a chance's interval is found
Z95 = 1.96
DRAWN, SEED = 8, 1  # other clients whose features are tried in a client's place
REASONS, LEAST_REASON = 3, 0.10  # told at most; log-odds under which a theme is no reason
FILE = "scores.csv"
SIGNING_THEME = "signing"
OF_A_HUNDRED = "Of 100 scored like this, leave"


@dataclass(frozen=True)
class Scorer:
    """What scores: the model with its refits on resampled clients, or the renewal calendar; and
    what was learned from.

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
            return np.asarray(values.map(share).astype(float) - left.mean())
        filled = known.astype(float)
        return np.asarray((values - filled.mean()) / filled.std() * np.sign(filled.corr(left)))


def scorer(
    rows: pd.DataFrame, judgement: Judgement, window: Window, seed: int = 1
) -> Scorer | None:
    """Fit on the rows whose outcome is known what the judgement says to use; None where no model
    can be made.

    Of very many rows, as the model, on those of clients drawn by lot; refits are as many clients
    with replacement.
    """
    if judgement.why:
        return None
    rows = by_lot(known(rows), seed)
    way = (
        RiskModel(window).fit(rows)
        if judgement.beats
        else Rule(RULES[judgement.fallback]).fit(rows)
    )
    codes, names = pd.factorize(rows["client_id"])
    where = pd.Series(np.arange(len(rows))).groupby(codes).agg(list).to_numpy()
    rng = np.random.default_rng(seed)
    refits = []
    for _ in range(REFITS):
        again = rows.iloc[np.concatenate(where[rng.integers(0, len(names), len(names))])]
        refits.append(
            way.refitted(again) if isinstance(way, RiskModel) else Rule(way.columns).fit(again)
        )
    return Scorer(way, tuple(refits), rows[[*_used(way), "left"]])


def _used(way: RiskModel | Rule) -> list[str]:
    return list(way.features_ if isinstance(way, RiskModel) else way.columns)


def _odds(way: RiskModel | Rule, rows: pd.DataFrame) -> np.ndarray:
    return np.asarray(special.logit(np.clip(way.predict_proba(rows)[:, 1], 1e-6, 1 - 1e-6)))


def scores(
    rows: pd.DataFrame,
    spells: pd.DataFrame,
    made: Scorer | None,
    settings: Settings,
    cutoff: dt.date,
    reps: pd.Series | None = None,
) -> pd.DataFrame:
    """Every client there and not under notice at the last month's end, most at stake first; empty
    without a model.

    `reps`: who is in charge of each client on the cut-off (`in_charge`), index client_id; blank
    without.

    Columns: `client_id, client, rep_id, risk, low, high` (chance of leaving by choice in the
    window, and the 95 % interval of the share who leave among clients scored like this one, which
    need not hold the client's own chance), `months_to_renewal, act_by, margin_a_month, at_stake`
    (risk times the margin of `worth_months`; the fee where hours are not known), `contact` (within
    capacity), `reasons`.
    """
    if made is None:
        return pd.DataFrame()
    told = settings.risk
    last = pd.Timestamp(cutoff)
    now = rows[(rows["outcome"] == NOT_YET) & (rows["month"] == rows["month"].max())].reset_index(
        drop=True
    )
    about = [name for name in ("name",) if name in spells]
    own = now[KEY].merge(spells[[*KEY, *about]], on=KEY, how="left")
    odds = _odds(made.way, now)
    spread = (
        np.std([_odds(refit, now) for refit in made.refits], axis=0) if len(now) else np.zeros(0)
    )
    table = pd.DataFrame(
        {"client_id": now["client_id"], "client": own.get("name", now["client_id"])}
    )
    table["client"] = table["client"].fillna(table["client_id"])
    table["rep_id"] = "" if reps is None else table["client_id"].map(reps).fillna("")
    for name, z in (("risk", 0.0), ("low", -Z95), ("high", Z95)):
        table[name] = special.expit(odds + z * spread).round(4)
    table["months_to_renewal"] = now["months_to_renewal"]
    table["act_by"] = _act_by(now, told.gap, settings.notice_days, last).dt.strftime("%Y-%m-%d")
    table["margin_a_month"] = now[WORTH].round(2)
    table["at_stake"] = (table["risk"] * now[WORTH] * told.worth_months).round(2)
    table["reasons"] = _reasons(made, now, odds)
    order = table.assign(key=table["at_stake"].fillna(-np.inf)).sort_values(
        ["key", "risk", "act_by", "client_id"], ascending=[False, False, True, True], kind="stable"
    )
    order = order.drop(columns="key").reset_index(drop=True)
    wanted = (order.index < told.capacity) & (order["at_stake"].fillna(1) > 0)
    order.insert(len(order.columns) - 1, "contact", np.where(wanted, "yes", "no"))
    return order


def _act_by(now: pd.DataFrame, gap: int, notice_days: int, cutoff: pd.Timestamp) -> pd.Series:
    """The last day to change a client's mind: before its notice would be due, or as the window
    opens if always free.
    """
    opens = _day(now["month"] + gap, pd.Series(1, now.index))
    notice = now["notice_days"].astype(float).fillna(notice_days)
    early = pd.to_timedelta(
        notice + 1, unit="D"
    )  # the last paid day is the one before the term turns
    turn = now["month"] + now["months_to_renewal"] + (now["turn_day"] == 1)
    due = _day(turn, now["turn_day"]) - early
    due = due.where(due > cutoff, _day(turn + now["term_months"], now["turn_day"]) - early)
    return due.where(now["monthly"] == 0, opens + pd.offsets.MonthEnd(0))


def _day(month: pd.Series, day: pd.Series) -> pd.Series:
    """The day of a month (counted from the year 0), or the month's last where it has no such
    day.
    """
    first = pd.to_datetime(
        {"year": month.astype(int) // 12, "month": month.astype(int) % 12 + 1, "day": 1}
    )
    return first + pd.to_timedelta(np.minimum(day, first.dt.days_in_month) - 1, unit="D")


def _reasons(made: Scorer, now: pd.DataFrame, odds: np.ndarray) -> list[str]:
    """Up to three themes that move each client's risk most against other clients, in words,
    strongest first.

    A theme's share is what the log-odds lose, on average, when its features are those of other
    clients drawn by lot. It is told by the feature that sets this client most apart, among those
    that by themselves go with leaving in the same direction: of several that say nearly the same a
    model may weigh one backwards.
    """
    themes = pd.Series({name: _theme(name) for name in _used(made.way)})
    rng = np.random.default_rng(SEED)
    parts = [pd.DataFrame(columns=["client", "moves", "theme", "name"])]
    others = [rng.permutation(len(now)) for _ in range(DRAWN)]
    own = now[_used(made.way)]
    for theme, names in themes.groupby(themes).groups.items():
        swapped = [
            own.assign(**{name: own[name].to_numpy()[order] for name in names}) for order in others
        ]
        moves = odds - np.mean([_odds(made.way, rows) for rows in swapped], axis=0)
        apart = (
            pd.DataFrame({name: made.apart(name, now[name]) for name in names}).fillna(0)
            * np.sign(moves)[:, None]
        )
        clear = (apart.max(axis=1) > 0) & (np.abs(moves) >= LEAST_REASON)
        part = pd.DataFrame(
            {
                "client": range(len(now)),
                "moves": moves,
                "theme": theme,
                "name": apart.idxmax(axis=1),
            }
        )
        parts.append(part[clear.to_numpy()])
    every = pd.concat(parts[1:] or parts).sort_values(
        "moves", key=lambda m: -m.abs(), kind="stable"
    )
    every = every.groupby("client").head(REASONS).reset_index(drop=True)
    words = pd.Series("", every.index)
    for (theme, name), part in every.groupby(["theme", "name"]):
        rows = now.iloc[part["client"]]
        ages = rows.get(f"{AGE}{theme}", pd.Series(np.nan, rows.index))
        words[part.index] = [_said(str(name), *told) for told in zip(rows[name], ages, strict=True)]
    every["words"] = np.where(every["moves"] > 0, "up: ", "down: ") + words
    top = every.groupby("client")["words"].agg("; ".join)
    return top.reindex(range(len(now))).fillna("nothing out of the ordinary").tolist()


def _theme(name: str) -> str:
    return str(FEATURES[name]["theme"]) if name in FEATURES else SIGNING_THEME


def _said(name: str, value: Any, age: float) -> str:
    """One reason: the feature, its value and how old the evidence is (months)."""
    about = FEATURES.get(name, {})
    words = about.get("words", name.removesuffix("_id").replace("_", " "))
    if about.get("unit") == "yes" and pd.notna(value):
        return words if value else f"not {words}"
    shown = "not known" if pd.isna(value) else _in_words(value, about.get("unit", ""))
    months = 0 if about.get("how", "since") == "since" or pd.isna(age) else int(age)
    old = f" ({months} month{'s' * (months > 1)} old)" if months else ""
    return f"{words} {shown}{old}"


def _in_words(value: Any, unit: str) -> str:
    """A feature's value as a reader says it; logarithms are undone."""
    if isinstance(value, str):
        return value
    if unit == "ratio":
        return f"{np.expm1(value):+.0%}"
    return (
        f"{value:.0%}"
        if unit == "share"
        else f"{np.exp(value):,.0f}"
        if unit in ("money", "log")
        else f"{value:.3g}"
    )


def monday(table: pd.DataFrame, currency: str, rows: int = 15) -> pd.DataFrame:
    """The first rows of the scores as a team reads them."""
    if table.empty:
        return table
    top = table.head(rows)
    between = [
        f"{100 * low:.0f} to {100 * high:.0f}"
        for low, high in zip(top["low"], top["high"], strict=True)
    ]
    shown = {
        "Client": top["client"],
        "Rep": top["rep_id"],
        "May leave": top["risk"],
        OF_A_HUNDRED: between,
    }
    shown |= {
        "Act by": pd.to_datetime(top["act_by"]).dt.strftime("%d\u00a0%b\u00a0%Y"),
        f"At stake, {currency}".removesuffix(", "): top["at_stake"],
    }
    return pd.DataFrame({**shown, "This week": top["contact"], "Why": top["reasons"]})


def about_interval(table: pd.DataFrame) -> Finding:
    """What the interval beside each chance is, by the example of the first on the list; nothing
    without scores.
    """
    if table.empty:
        return Finding("risk", "")
    first = table.iloc[0]
    text = (
        "The interval is that of a group. For the first on the list: of 100 clients scored like "
        "this, "
        f"{100 * first['low']:.0f} to {100 * first['high']:.0f} leave (95% interval). "
        "A client's own chance may lie outside it."
    )
    return Finding("risk", text)


def weights(made: Scorer | None, most: int = 12) -> pd.DataFrame:
    """What moves the chances most: log-odds per standard deviation of each feature, all others held
    fixed.

    With the interval over resampled clients and the share of resamples that agree on the sign.
    Empty for a rule or for boosting, which have no such weights. Features that say nearly the same
    share their weight. Associations.
    """
    if made is None or not isinstance(made.way, RiskModel) or made.way.kind_ == "boosting":
        return pd.DataFrame()
    ways = [w for w in (made.way, *made.refits) if isinstance(w, RiskModel)]
    numbers = [name for name in made.way.features_ if is_number(made.learned[name])]
    found = np.array(
        [way.pipeline_[-1].coef_[0, : len(numbers)] * way.calibration_[1] for way in ways]
    )
    low, high = np.quantile(found[1:], [0.025, 0.975], axis=0)
    same = (np.sign(found[1:]) == np.sign(found[0])).mean(axis=0)
    words = [FEATURES.get(name, {}).get("words", name.replace("_", " ")) for name in numbers]
    table = pd.DataFrame(
        {"Feature": words, "Log-odds per SD": found[0], "Low": low, "High": high, "Same sign": same}
    )
    return table.sort_values("Log-odds per SD", key=lambda x: -x.abs(), ignore_index=True).head(
        most
    )


def save(table: pd.DataFrame, out_dir: str, file: str = FILE) -> None:
    """Write the scores (or another list) into the folder of a run; nothing where a notebook runs by
    itself.
    """
    if out_dir and len(table):
        path = Path(out_dir) / file
        path.parent.mkdir(exist_ok=True)
        write_csv(table, path)
