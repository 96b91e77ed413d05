"""One's own agency among others: what the field says of a claim, and one's own estimate drawn
towards it (METHODS 13). The verdict stays that of one's own data.
"""

from __future__ import annotations

import math

import numpy as np

from retention.claims.judge import Claim
from retention.contrast import Z95, Contrast
from retention.numbers import between, quantity
from retention.results import Among
from retention.settings import FieldOfClaim
from retention.stats.metaanalysis import Field
from retention.words import say

LEVEL = 0.95


def among(claim: Claim, own: Contrast, others: FieldOfClaim | None) -> Among | None:
    """What other agencies say of the claim, beside this one; None where there are none, or where
    they estimate another quantity.
    """
    if others is None or others.estimand != claim.estimand_hash:
        return None
    shown = claim.shown
    figures = [shown(value) for value in (others.theta, others.low, others.high, *others.next)]
    drawn = _drawn(own, others)
    values = [shown(value) for value in drawn]
    return Among(
        agencies=others.agencies,
        clients=others.clients,
        verdict=others.verdict,
        next_verdict=others.next_verdict,
        estimate=figures[0],
        interval=(figures[1], figures[2]),
        next_one=(figures[3], figures[4]),
        own=values[0],
        own_interval=(values[1], values[2]),
        sentence=_sentence(claim, others.agencies, figures, values),
        short=_short(claim, others.agencies, figures),
    )


def _drawn(own: Contrast, others: FieldOfClaim) -> tuple[float, float, float]:
    """The own estimate drawn towards the field, with its interval; NaN where there is none."""
    if own.gate:
        return math.nan, math.nan, math.nan
    tau2, mean, variance = np.array(others.field).T
    field = Field(tau2, mean, variance)
    return field.own(own.theta, own.reach() / Z95, LEVEL)


def _short(claim: Claim, agencies: int, figures: list[float]) -> str:
    """The field's figure in a few words."""
    mean = quantity(figures[0], claim.scale)
    ahead = between(figures[3], figures[4], claim.scale)
    return say("claims.among.short", n=agencies, mean=mean, ahead=ahead)


def _sentence(claim: Claim, agencies: int, figures: list[float], own: list[float]) -> str:
    """The field's figures and the own one drawn towards them, in sentences."""
    mean, low, high, least, most = figures
    about = {
        "n": agencies,
        "mean": quantity(mean, claim.scale),
        "interval": between(low, high, claim.scale),
        "ahead": between(least, most, claim.scale),
    }
    if math.isnan(own[0]):
        return say("claims.among.alone", **about)
    drawn = {
        "own": quantity(own[0], claim.scale),
        "own_interval": between(own[1], own[2], claim.scale),
    }
    return say("claims.among.drawn", **about, **drawn)
