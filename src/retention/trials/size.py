"""How large a trial must be, and how long that takes (METHODS 12)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

POWER, LEVEL = 0.8, 0.95
MOST_MONTHS = 36  # (ours) a trial that takes longer to fill is called not feasible
MOST_CLIENTS = 1_000_000


def power(risks: np.ndarray, smallest: float, clients: int) -> float:
    """The chance that a trial of so many clients shows a difference of `smallest` in the share that
    leaves, half of them acted on.

    `risks`, shape (k,), are the predicted risks within the horizon of clients such as will be
    drawn. What is known of the risk is adjusted for, so that only the luck of each client counts.
    """
    if clients < 4:
        return 0.0
    se = math.sqrt(4 * _luck(risks, smallest) / clients)
    freedom = max(clients - 5, 1)  # the arms, four strata
    reach = float(stats.t.ppf((1 + LEVEL) / 2, freedom))
    if se == 0:
        return 1.0
    return float(stats.nct.sf(reach, freedom, smallest / se))


def _luck(risks: np.ndarray, smallest: float) -> float:
    """The variance of an outcome that no risk foresees, the mean of the two arms."""
    waiting = np.clip(risks, 0, 1)
    mean = max(float(waiting.mean()), 1e-9)
    acted = waiting * max(1 - smallest / mean, 0.0)
    spread = waiting * (1 - waiting) + acted * (1 - acted)
    return float(spread.mean()) / 2


def needed(risks: np.ndarray, smallest: float) -> int | None:
    """The least number of clients with which four of five trials show the difference; None where
    fewer than so many leave at all.
    """
    if not len(risks) or float(np.mean(risks)) <= smallest:
        return None
    low, high = 4, 8
    while power(risks, smallest, high) < POWER:
        low, high = high, 2 * high
        if high > MOST_CLIENTS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        enough = power(risks, smallest, middle) >= POWER
        low, high = (low, middle) if enough else (middle, high)
    return high + high % 2


@dataclass(frozen=True)
class Plan:
    """A planned trial of one list.

    `now`: clients on the list who may be drawn; `a_month`: new ones a month; `clients`: how many
    are needed (None: it cannot be shown); `months` until the last outcome is known;
    `waiting_costs`: the margin that is expected to be lost by letting half of them wait, if acting
    helps as planned.
    """

    list: str
    horizon: int
    smallest: float
    risk: float
    now: int
    a_month: float
    clients: int | None
    months: int | None
    waiting_costs: float

    @property
    def feasible(self) -> bool:
        """Whether so many clients can be had in time."""
        return self.months is not None


def plan(
    name: str, risks: np.ndarray, margins: np.ndarray, a_month: float, horizon: int, smallest: float
) -> Plan:
    """What a trial of the list takes; `risks` within the horizon and `margins` a month of the
    clients who may be drawn now, shape (k,).
    """
    clients = needed(risks, smallest)
    months = None
    if clients is not None:
        more = max(clients - len(risks), 0)
        filled = math.ceil(more / a_month) if a_month > 0 else (0 if more == 0 else math.inf)
        months = int(filled) + horizon if filled <= MOST_MONTHS else None
    money = float(np.nanmean(margins)) if np.isfinite(margins).any() else math.nan
    lost = smallest * money * horizon * (clients or 0) / 2
    risk = float(np.mean(risks)) if len(risks) else math.nan
    return Plan(name, horizon, smallest, risk, len(risks), a_month, clients, months, lost)


def over(risk: np.ndarray, window: float, horizon: float) -> np.ndarray:
    """A predicted risk of `window` months as that of `horizon` months, at the same pace."""
    stays = np.clip(1 - np.asarray(risk, float), 0, 1)
    return np.asarray(1 - stays ** (horizon / window))
