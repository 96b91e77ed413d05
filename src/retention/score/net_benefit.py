"""What acting on a predicted risk is worth, beside the calendar and beside calling everybody.

Those rightly acted on, less those wrongly, at the odds of the risk: METHODS 7.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from retention.history.snapshots import WORTH
from retention.score.model import CALENDAR
from retention.score.resampling import MODEL, draws
from retention.settings import RiskSettings
from retention.stats.hazards import bunched
from retention.words import say

# Share of those about to leave whom a contact keeps: unknown, so varied (METHODS 7).
UPLIFTS = (0.0, 0.1, 0.2, 0.3, 0.4)
CUTS = (0.05, 0.1, 0.2, 0.3)  # predicted risks from which somebody might act
# (ours) predicted risks at which model and calendar are compared
GRID = tuple(float(cut) for cut in np.arange(1, 51) / 100)


def net_benefit(predictions: pd.DataFrame) -> pd.DataFrame:
    """Net benefit per hundred clients a month of acting from a predicted risk on.

    Columns: `act_from` (the risk), `net_benefit_model`, `net_benefit_calendar` (where there is
    one), `net_benefit_everybody`. Those rightly acted on, less those wrongly, each at the odds of
    the risk (Vickers 2006): acting on nobody is 0.
    """
    left = predictions["left"].to_numpy() == 1
    rows = []
    for cut in CUTS if len(predictions) else ():
        acts = {"model": predictions[MODEL] >= cut}
        if CALENDAR in predictions:
            acts["calendar"] = predictions[CALENDAR] >= cut
        acts["everybody"] = pd.Series(True, predictions.index)
        row = {"act_from": cut}
        for name, chosen in acts.items():
            right = (chosen & left).mean()
            wrong = (chosen & ~left).mean()
            benefit = right - wrong * cut / (1 - cut)
            row[f"net_benefit_{name}"] = 100 * float(benefit)
        rows.append(row)
    return pd.DataFrame(rows)


def pays_from(predictions: pd.DataFrame, costs: RiskSettings | None) -> tuple[float, ...]:
    """The predicted risks from which contacting the median client pays, one for each share that a
    contact may keep.

    Cost over share times worth, less the incentive (METHODS 7); CUTS where nothing is known of
    worth, or never is.
    """
    if costs is None:
        return CUTS
    margin = predictions[WORTH].astype(float)
    worth = margin * costs.worth_months - costs.incentive
    middle = worth[worth > 0].median()
    risks = [costs.contact_cost / (share * middle) for share in UPLIFTS if share > 0]
    return tuple(float(risk) for risk in risks if 0 < risk < 1) or CUTS


def benefit_ahead(predictions: pd.DataFrame, cuts: Sequence[float]) -> np.ndarray:
    """By how much the model's net benefit is ahead of the calendar's for every hundred clients and
    month.

    Shape (cuts, DRAWS + 1): a row a risk from which one acts; first as it is, then in resamples
    of the clients.
    """
    client = pd.factorize(predictions["client_id"])
    codes = bunched(client[0])
    left = predictions["left"].to_numpy() == 1
    sums = []
    for cut in cuts:
        cost = -cut / (1 - cut)
        gains = np.where(left, 1.0, cost)
        more = (predictions[MODEL] >= cut).to_numpy(float) - (
            predictions[CALENDAR] >= cut
        ).to_numpy(float)
        by_client = np.bincount(codes, gains * more)
        sums.append(by_client)
    times = draws(codes.max() + 1).T
    summed = 100 * (np.stack(sums) @ times)
    return np.asarray(summed / (np.bincount(codes) @ times))


def ahead_from(predictions: pd.DataFrame) -> list[float]:
    """The risk from which on the model's net benefit is ahead of the calendar's, with its 95 %
    interval by client.

    The risk that best separates where the one and the other is ahead: the sum of what the model is
    ahead from there on is the largest. Infinite where it is ahead nowhere.
    """
    ahead = benefit_ahead(predictions, GRID)
    sums = np.cumsum(ahead[::-1], axis=0)
    from_here = sums[::-1]
    place = from_here.argmax(axis=0)
    best = np.array(GRID)[place]
    somewhere = from_here.max(axis=0) > 0
    firsts = np.where(somewhere, best, math.inf)
    resampled = firsts[1:]
    low, high = np.quantile(resampled, [0.025, 0.975], method="nearest")
    found = float(firsts[0])
    return [found, float(low), float(high)]


def profit(predictions: pd.DataFrame, months: int, cost: float, incentive: float) -> pd.DataFrame:
    """What contacting would have earned a month, by the share of those about to leave that a
    contact keeps (unknown).

    Columns: `share_kept, contacts_a_month, least_risk, earned_a_month`. Keeping a client is worth
    what it leaves in so many `months`. It is contacted from the predicted risk at which that pays
    for this client: p = cost / (share (worth - incentive)); one whose worth is not known is not.
    Source: METHODS 7.
    """
    span = predictions["month"].nunique()
    rows = []
    worth = predictions[WORTH].astype(float) * months
    for share in UPLIFTS if worth.notna().any() else ():
        gain = share * (worth - incentive)
        cut = (cost / gain).where(gain > 0, math.inf)
        acts = predictions[MODEL] >= cut
        gained = gain * predictions["left"] - cost
        earned = gained[acts].sum() / span
        least = predictions.loc[acts, MODEL].min()
        contacts = acts.sum() / span
        rows.append((share, contacts, least, float(earned)))
    columns = ["share_kept", "contacts_a_month", "least_risk", "earned_a_month"]
    return pd.DataFrame(rows, columns=columns)


def profit_caption(currency: str) -> str:
    """The caption of `profit`, with the currency where it is known."""
    if currency:
        return say("churn_risk.profit.caption_in", currency=currency)
    return say("churn_risk.profit.caption")
