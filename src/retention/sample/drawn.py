"""The trials of the made-up agency while lives are lived: who is drawn on which month's end, who is
to act, and what acting averts.

Coins and luck come from a generator of their own: where acting averts nothing, the lives are those
of an agency without trials.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from retention.sample.world import BURN_IN_MONTHS, FACTS, Agency

SCORED = 3  # months ahead for which the predicted risk is written down
PURPOSE = 95  # of the generator, among those of one batch


@dataclass(frozen=True)
class Drawn:
    """One trial among the clients of a batch; arrays of shape (n,).

    `month` is the month of the agency on whose end was drawn; `signed` that in which each client
    signed; `coin` says who is to act if drawn. `predicted` is the predicted risk on that day, zero
    of whoever was not drawn.
    """

    name: str
    month: int
    signed: np.ndarray
    coin: np.ndarray
    predicted: np.ndarray
    luck: np.random.Generator
    kept: float

    @property
    def columns(self) -> Iterator[tuple[str, np.ndarray]]:
        """What is kept of each client: whether it is to act, and its predicted risk."""
        yield f"coin {self.name}", self.coin
        yield f"predicted {self.name}", self.predicted

    def draw(self, t: int, eta: np.ndarray, here: np.ndarray) -> None:
        """Draw, in the month of service `t`, those for whom it is the month of the draw and who are
        still `here`; `eta` is their log-hazard.
        """
        least = FACTS["trials"][self.name]["least"]
        hazard = SCORED * np.exp(eta)
        risk = -np.expm1(-hazard).round(4)
        now = here & (self.signed + t - 1 == self.month) & (risk >= least)
        self.predicted[now] = risk[now]

    def averts(self, t: int) -> np.ndarray:
        """Whom acting would keep from giving notice in month `t` of service."""
        months = self.signed + t - 1 - self.month
        within = (months > 0) & (months <= FACTS["trials"][self.name]["horizon_months"])
        lucky = self.luck.random(len(self.signed)) < self.kept
        return self.coin & (self.predicted > 0) & within & lucky


def draws(agency: Agency, signed: np.ndarray, seed: tuple[int, ...]) -> tuple[Drawn, ...]:
    """The trials of which the draw lies within the records, before anybody is drawn."""
    rng = np.random.default_rng([*seed, PURPOSE])
    made = []
    for name, about in FACTS["trials"].items():
        month = agency.total - 1 - about["ago"]
        coin = rng.random(len(signed)) < 0.5
        blank = np.zeros(len(signed))
        if month >= BURN_IN_MONTHS:
            made.append(Drawn(name, month, signed, coin, blank, rng, agency.world.kept))
    return tuple(made)
