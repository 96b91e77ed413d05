"""What raises a client's predicted churn risk, in a few words a phrase (words/features.toml)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from retention.history.features import FEATURES, feature_words
from retention.numbers import number
from retention.words import say, texts

COLUMNS = ["client_id", "phrase"]
LEAST_CHANGE = 0.005  # of a ratio (log scale): less is shown as 0 %


def phrases(reasons: pd.DataFrame, clients: pd.Series) -> pd.DataFrame:
    """The reasons that raise the risk as `client_id, phrase`, strongest first within a client.

    `reasons`: columns `client` (a place in `clients`), `moves` (log-odds), `name` and `value` of
    the feature.
    """
    up = reasons[reasons["moves"] > 0]
    words = [phrase(row.name, row.value) for row in up.itertuples(index=False)]
    ids = clients.to_numpy()[up["client"].to_numpy(int)]
    rows = pd.DataFrame({"client_id": ids, "phrase": words}, columns=COLUMNS).astype("string")
    return rows[rows["phrase"] != ""].reset_index(drop=True)


def phrase(name: str, value: Any) -> str:
    """A feature with its value in a few words: "month-to-month", "no survey reply for 3 months";
    empty where a change rounds to none.
    """
    unit = str(FEATURES.get(name, {}).get("unit", ""))
    if unit == "ratio" and abs(value) < LEAST_CHANGE:
        return ""
    which = _which(name, value, unit)
    if f"features.{name}.{which}" not in texts():
        feature = feature_words(name)
        return say("churn_risk.reason.value", feature=feature, value=value_words(value, unit))
    return say(f"features.{name}.{which}", value=_unsigned(value, unit), n=float(value))


def _which(name: str, value: Any, unit: str) -> str:
    """Which of the words of a feature this value calls for; empty where it is no number."""
    if isinstance(value, str) or pd.isna(value):
        return ""
    if unit == "share" and value >= 1 and f"features.{name}.all" in texts():
        return "all"
    return "yes" if value > 0 else "no"


def _unsigned(value: float, unit: str) -> str:
    if unit == "ratio":
        return number(abs(np.expm1(value)), ".0%")
    return value_words(value if unit in ("money", "log") else round(abs(value), 1), unit)


def value_words(value: Any, unit: str) -> str:
    """A feature's value as a reader sees it; logarithms are undone."""
    if pd.isna(value):
        return say("churn_risk.reason.not_known")
    if isinstance(value, str):
        return value
    if unit == "ratio":
        return number(np.expm1(value), "+.0%")
    if unit == "share":
        return number(value, ".0%")
    if unit in ("money", "log"):
        return number(np.exp(value), ",.0f")
    return number(round(value, 2))
