"""Figures of predictions with their intervals: losses, sums and ranks, in resamples of the clients.

Clients are drawn and not rows, because one client is in many months.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import pandas as pd

from retention.stats.hazards import bunched

MODEL = "model"
DRAWS = 500
SEED = 1
LEAST = 1e-6  # no predicted risk is taken to be 0 or 1


def log_losses(left: pd.Series, risks: pd.Series) -> np.ndarray:
    """Each row's loss: minus the log of the probability given to what came."""
    p = np.clip(risks, LEAST, 1 - LEAST)
    chance = np.where(left == 1, p, 1 - p)
    return np.asarray(-np.log(chance))


def squared_losses(left: pd.Series, risks: pd.Series) -> np.ndarray:
    """Each row's squared distance of the predicted risk from what came (Brier)."""
    return np.asarray((left - risks) ** 2)


@lru_cache(maxsize=1)
def draws(clients: int) -> np.ndarray:
    """How often each client counts when clients are resampled, shape (DRAWS + 1, clients); in the
    first row, once.
    """
    drawn = np.random.default_rng(SEED).multinomial(
        clients, np.full(clients, 1 / clients), size=DRAWS
    )
    once = np.ones(clients)
    return np.vstack([once, drawn])


def of_sums(
    predictions: pd.DataFrame, rows: Sequence[np.ndarray], figure: Callable[..., np.ndarray]
) -> list[float]:
    """A figure made of sums over rows, with its 95 % interval by client (of very many: by `bunched`
    clients).
    """
    client = pd.factorize(predictions["client_id"])
    codes = bunched(client[0])
    by_client = np.stack([np.bincount(codes, values) for values in rows])
    sums = by_client @ draws(codes.max() + 1).T
    with np.errstate(divide="ignore", invalid="ignore"):  # NaN in a resample in which nobody left
        return interval_of(figure(*sums))


def interval_of(values: np.ndarray) -> list[float]:
    """The first value with the 95 % limits of the rest; NaN where no resample tells them."""
    unknown = np.isnan(values[1:])
    draws = values[1:][~unknown]
    limits = np.quantile(draws, [0.025, 0.975]) if draws.size else (math.nan, math.nan)
    return [values[0], *limits]


def by_rank(
    predictions: pd.DataFrame, rank: pd.Series, figure: Callable[[np.ndarray, np.ndarray], float]
) -> np.ndarray:
    """A figure of those who left and stayed up to each rank, and the same in each resample of the
    clients, shape (DRAWS + 1,). Rows of one rank count together.
    """
    client = pd.factorize(predictions["client_id"])
    codes = bunched(client[0])
    ranks = rank.to_numpy()
    order = np.argsort(ranks, kind="stable")
    gone = predictions["left"].to_numpy(float)[order]
    whose = codes[order]
    ordered = rank.to_numpy()[order]
    last = np.flatnonzero(np.diff(ordered, append=np.nan))
    found = []
    for times in draws(codes.max() + 1):
        weight = times[whose]
        left = np.cumsum(weight * gone)[last]
        weight_stayed = weight * (1 - gone)
        stayed = np.cumsum(weight_stayed)[last]
        found.append(figure(left, stayed))
    return np.array(found)
