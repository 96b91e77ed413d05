"""What became of each client drawn: left by choice or not, months kept, and money (METHODS 12)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from retention.data.schema import columns_of
from retention.data.seals import CHANGED, STATE, WHOLE
from retention.history.spells import CLIENT, UNKNOWN
from retention.history.trials import drawn

BEFORE = 6  # (ours) months before that of the draw, from which a client's margin is taken
DAYS = 365.25 / 12


def outcomes(study: Any) -> pd.DataFrame:
    """A row a client drawn: those of `trials.drawn` but for draws that were changed, and

    `known`: whether the client was there on the day of the draw; `over`: whether its horizon has
    passed by the cut-off; `churned`: left by its own choice within it; `months`: kept within it, to
    the end by whoever's choice; `margin`: what it left a month before the draw (NaN: not known);
    `done`: whether it was acted on; `cost`: of that; `money`: margin times months less cost.
    """
    cutoff = pd.Timestamp(study.cutoff)
    rows = drawn(_known(study), study.settings.trial.horizon_months)
    rows = rows[rows["drawn_on"] <= cutoff].reset_index(drop=True)
    rows = _with_ends(rows, study.spells)
    rows = rows.assign(over=rows["until"] <= cutoff)
    margins = _margins(rows, study.money)
    rows = rows.assign(margin=margins, **_done(rows, study.known("actions")))
    money = rows["margin"] * rows["months"] - rows["cost"]
    return rows.assign(money=money)


def _known(study: Any) -> dict[str, pd.DataFrame]:
    """The table trials without draws that were changed: they prove nothing."""
    table = study.known("trials")
    if table is None:
        return {}
    return {"trials": table[~_was_changed(table)]}


def _was_changed(table: pd.DataFrame) -> pd.Series:
    state = table.get(STATE, pd.Series(WHOLE, table.index))
    return state == CHANGED


def changed(study: Any) -> list[str]:
    """The names of trials of which a draw is not as it was made, and is left out."""
    table = study.known("trials")
    if table is None:
        return []
    mine = table[_was_changed(table)]
    names = mine["trial"].astype(str)
    return sorted(names.unique())


def _with_ends(rows: pd.DataFrame, spells: pd.DataFrame) -> pd.DataFrame:
    """The rows with `known`, `churned` and `months`, by the engagement in which each was drawn."""
    columns = ["client_id", "start_date", "end_date", "end_kind"]
    every = rows[["client_id", "drawn_on"]].rename_axis("row").reset_index()
    pairs = every.merge(spells[columns], on="client_id", how="left")
    there = pairs["start_date"] <= pairs["drawn_on"]
    there &= ~(pairs["end_date"] < pairs["drawn_on"])
    mine = pairs[there].drop_duplicates("row", keep="last").set_index("row").reindex(rows.index)
    end = mine["end_date"]
    in_time = end <= rows["until"]
    by_choice = mine["end_kind"].isin([CLIENT, UNKNOWN])
    last = end.where(in_time, rows["until"])
    days = (last - rows["drawn_on"]).dt.days
    return rows.assign(
        known=mine["start_date"].notna(),
        churned=(in_time & by_choice).astype(float),
        months=(days / DAYS).astype(float),
    )


def _margins(rows: pd.DataFrame, money: pd.DataFrame) -> pd.Series:
    """What each client left a month in the six months before that of the draw; the fee where hours
    are not known.
    """
    if money.empty or rows.empty:
        return pd.Series(np.nan, rows.index)
    month = rows["drawn_on"].dt.year * 12 + rows["drawn_on"].dt.month - 1
    about = rows[["client_id"]].assign(drawn=month).rename_axis("row").reset_index()
    worth = money.assign(worth=money["margin"].fillna(money["fee"]).astype(float))
    joined = about.merge(worth[["client_id", "month", "worth"]], on="client_id")
    age = joined["drawn"] - joined["month"]
    recent = joined[age.between(1, BEFORE)]  # the month of the draw holds what acting cost
    return recent.groupby("row")["worth"].mean().reindex(rows.index)


def _done(rows: pd.DataFrame, actions: pd.DataFrame | None) -> dict[str, pd.Series]:
    """Whether the list's action was taken for each client within its horizon, and what all of that
    cost.
    """
    names = ("client_id", "action", "done_on", "cost")
    actions = columns_of({} if actions is None else {"actions": actions}, "actions", *names)
    about = rows[["client_id", "list", "drawn_on", "until"]].rename_axis("row").reset_index()
    joined = about.merge(actions, on="client_id")
    within = (joined["done_on"] >= joined["drawn_on"]) & (joined["done_on"] <= joined["until"])
    mine = joined[within & (joined["action"] == joined["list"]).fillna(False)]
    cost = mine.groupby("row")["cost"].sum().reindex(rows.index).astype(float).fillna(0)
    return {"done": pd.Series(rows.index.isin(mine["row"]), rows.index), "cost": cost}
