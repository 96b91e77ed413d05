"""Who acts and who waits: drawn at random within strata of predicted risk and margin (METHODS
12).
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from retention.errors import ConfigError
from retention.history.trials import ACT, WAIT, drawn, running
from retention.lists import registry
from retention.lists.desk import Desk, desk_of
from retention.trials.size import over
from retention.words import say

FEWEST = 8  # (ours) clients under which one stratum holds all
TRIABLE = registry.ids(lambda entry: entry.trial)


@dataclass(frozen=True)
class Pool:
    """Who may be drawn for a trial of one list: `rows` with `client_id, predicted` (within the
    horizon) and `margin`, in the order of ids; `left_out` counts the others by why.
    """

    rows: pd.DataFrame
    left_out: dict[str, int]


def pool(study: Any, name: str, horizon: int) -> Pool:
    """The clients of a list who may be drawn: none in a running trial, under notice, with abuse
    noted, without a predicted risk, or above the margin that may not wait ([trial] never_wait).

    ConfigError for a list of which no trial may be made.
    """
    if name not in TRIABLE:
        raise ConfigError(say("what_helped.draw.no_list", name=name, lists=", ".join(TRIABLE)))
    desk = desk_of(study)
    entry = next(entry for entry in registry.LISTS if entry.id == name)
    rows = registry.tidy(entry.rows(desk))[["client_id"]]
    window = study.window.gap + study.window.horizon
    risk = rows["client_id"].map(desk.risk).astype(float)
    predicted = over(risk.to_numpy(), window, horizon)
    margin = rows["client_id"].map(desk.margin).astype(float)
    rows = rows.assign(predicted=predicted.round(4), margin=margin)
    return _eligible(rows, _refused(study, desk, rows))


def _refused(study: Any, desk: Desk, rows: pd.DataFrame) -> dict[str, pd.Series]:
    """By reason, which rows may not be drawn."""
    trials = drawn(desk.book.known, study.settings.trial.horizon_months)
    busy = running(trials, desk.book.cutoff)["client_id"]
    noticed = desk.book.rows.loc[desk.book.rows["noticed"], "client_id"]
    abuse = desk.book.noted
    abusive = abuse.loc[abuse["group"] == "abuse", "client_id"]
    most = study.settings.trial.never_wait
    who = rows["client_id"]
    return {
        "in_a_trial": who.isin(busy),
        "under_notice": who.isin(noticed),
        "abuse": who.isin(abusive),
        "not_scored": rows["predicted"].isna(),
        "never_waits": rows["margin"] > (np.inf if most is None else most),
    }


def _eligible(rows: pd.DataFrame, refused: dict[str, pd.Series]) -> Pool:
    """The rows that none of the reasons refuses, with a count of the others by their first."""
    left = pd.Series(True, rows.index)
    counts = {}
    for why, which in refused.items():
        counts[why] = int((left & which).sum())
        left &= ~which
    kept = rows[left].sort_values("client_id", kind="stable").reset_index(drop=True)
    return Pool(kept, {why: count for why, count in counts.items() if count})


def strata(rows: pd.DataFrame) -> pd.Series:
    """The stratum of each client: the upper or lower half by predicted risk, and within it by
    margin; one stratum where there are few.
    """
    if len(rows) < FEWEST:
        return pd.Series(say("what_helped.strata.all"), rows.index, dtype=object)
    likely = rows["predicted"].rank(method="first") > len(rows) / 2
    margin = rows["margin"].fillna(rows["margin"].median()).fillna(0)
    place = margin.groupby(likely).rank(method="first")
    large = place > margin.groupby(likely).transform("size") / 2
    risk = np.where(likely, say("what_helped.strata.high"), say("what_helped.strata.low"))
    money = np.where(large, say("what_helped.strata.large"), say("what_helped.strata.small"))
    return pd.Series(risk, rows.index) + ", " + pd.Series(money, rows.index)


def arms(stratum: pd.Series, trial: str, seed: int) -> pd.Series:
    """Who acts and who waits: in each stratum half of the clients, of an odd one a coin decides.

    The same seed, name and clients give the same arms.
    """
    rng = np.random.default_rng([seed, zlib.crc32(trial.encode())])
    acting = pd.Series(WAIT, stratum.index, dtype=object)
    for name in sorted(stratum.unique()):
        at = rng.permutation(stratum.index[stratum == name].to_numpy())
        odd = len(at) % 2 and rng.random() < 0.5
        half = len(at) // 2 + bool(odd)
        acting[at[:half]] = ACT
    return acting


@dataclass(frozen=True)
class Asked:
    """What is to be drawn: the trial's name, its list, the seed, and what it is planned for."""

    trial: str
    list: str
    seed: int
    horizon: int
    smallest: float
    planned: int


def draw(chosen: pd.DataFrame, asked: Asked, day: pd.Timestamp) -> pd.DataFrame:
    """The rows of the table trials for these clients (`Pool.rows`), without a seal."""
    stratum = strata(chosen)
    return pd.DataFrame(
        {
            "trial": asked.trial,
            "client_id": chosen["client_id"],
            "list": asked.list,
            "arm": arms(stratum, asked.trial, asked.seed),
            "drawn_on": day,
            "stratum": stratum,
            "predicted": chosen["predicted"],
            "horizon_months": asked.horizon,
            "planned": asked.planned,
            "smallest": asked.smallest,
            "seed": asked.seed,
            "recorded_at": day,
        }
    )
