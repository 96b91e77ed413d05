"""Liking of the rep against results (A6): which of them goes with leaving some months later?

Both measures come from before the decision, because a client who has decided rates lower; both are
per standard deviation, in one model, so that they can be compared. Source: METHODS 4.
"""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.linear_model import LogisticRegression

from retention.claims.measurement import Corrected, corrected
from retention.contrast import NO_SPREAD, Contrast
from retention.history.lagged import design, lagged_contrasts
from retention.history.panel import Panel, lagged_rows
from retention.history.spells import AGENCY
from retention.words import say

BOTH = ("liking", "results")
DIFFERENCE = {
    "results": 1.0,
    "liking": -1.0,
}  # both negative where they protect: above 0, liking protects more
PRIMARY = 1 - 2 * 0.05 / 3  # level of a primary claim's interval: METHODS 1
Z_PRIMARY = float(stats.norm.ppf((1 + PRIMARY) / 2))
MIN_RESPONSE = 0.40  # METHODS 1, the gate of claim 3
FREE = {"monthly": True, "fixed": False}  # kinds of rows: whether the client was free to leave
NEEDS = {
    "liking": say("rep_liking.needs.liking"),
    "nps": say("rep_liking.needs.nps"),
    "results": say("rep_liking.needs.results"),
}
AS_PLANNED = say("claims.way.as_planned")
EARLIER = say("rep_liking.way.earlier")
UNKNOWN_IS_AGENCY = say("rep_liking.way.unknown_is_agency")
WITHOUT_ERROR = say("rep_liking.way.without_error")
NOTHING_KNOWN = (
    10.0  # (ours) standard error, on the log hazard, of a difference on which the data say nothing
)
OPPOSITE = say("claims.caveat.opposite")
LIKING_HARMS = say("claims.caveat.liking_harms")
LIKING_UNCLEAR = say("claims.caveat.liking_unclear")
RESULTS_HARM = say("claims.caveat.results_harm")


def liking_difference(
    panel: Panel, rows: pd.DataFrame | None = None, *, name: str = AS_PLANNED
) -> Contrast:
    """Effect of results minus effect of liking, each per standard deviation on the log hazard;
    above 0, liking wins.

    Liking that goes with leaving sooner can never win, however results do: then minus its own
    effect is judged where that is smaller. A wrong sign of either is said where its own interval is
    clear of none. The gate also asks that 40 % of invitations were answered. METHODS 1 and 4.
    """
    rows = panel.rows if rows is None else rows
    few = say("rep_liking.lacking.response", share=panel.response, least=MIN_RESPONSE)
    lacking = () if panel.response >= MIN_RESPONSE else (few,)
    effects = [{"liking": 1.0}, {"results": 1.0}, DIFFERENCE]
    return _signed(*lagged_contrasts(rows, BOTH, effects, name, lacking=lacking))


def _signed(liking: Contrast, results: Contrast, difference: Contrast) -> Contrast:
    """The difference with what must be said where liking or results do not protect."""
    harm = results.interval(Z_PRIMARY)[0] > 0
    caveats = (RESULTS_HARM,) if harm else ()
    if not liking.theta > 0:
        return replace(difference, caveats=caveats)
    worst = min(
        (replace(liking, theta=-liking.theta), difference), key=lambda contrast: contrast.theta
    )
    clear = liking.interval(Z_PRIMARY)[0] > 0
    words = LIKING_HARMS if clear else LIKING_UNCLEAR
    return replace(worst, caveats=(words, *caveats))


def liking_sensitivities(panel: Panel) -> list[Contrast]:
    """The pre-listed other ways to compute the difference (plan.toml, A6), each named."""
    earlier = lagged_rows(panel, lag=panel.lag + 1)
    one_month = lagged_rows(panel, window=1)
    six_months = lagged_rows(panel, window=6)
    agency = lagged_rows(panel, unknown=AGENCY)
    weighted = answer_weights(panel.rows)
    return [
        liking_difference(panel, earlier, name=EARLIER),
        liking_difference(panel, one_month, name=say("rep_liking.way.one_month")),
        liking_difference(panel, six_months, name=say("rep_liking.way.six_months")),
        liking_difference(panel, agency, name=UNKNOWN_IS_AGENCY),
        liking_difference(panel, weighted, name=say("rep_liking.way.weighted")),
        without_error(panel),
    ]


def opposite_parts(panel: Panel) -> tuple[str, ...]:
    """Why the verdict is fragile where monthly clients and fixed terms point opposite ways (METHODS
    4); else empty.
    """
    rows = panel.rows
    parts = [liking_difference(panel, rows[rows["free"] == free]) for free in FREE.values()]
    differences = [part.theta for part in parts if not part.gate]
    if len(differences) < len(FREE):
        return ()
    opposite = differences[0] * differences[1]
    return (OPPOSITE,) if opposite < 0 else ()


def answer_weights(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with a `weight`: how much more a row counts whose like seldom answer, by results,
    size, term, tenure.

    Stabilised and cut at the hundredth on either side (METHODS 4). Liking itself may decide who
    answers: see `tipping`.
    """
    known = rows.dropna(subset=["results"])
    log_spend = np.log(known["monthly_ad_spend"].clip(lower=1))
    spend = {"results": known["results"], "size": log_spend}
    X = pd.DataFrame(spend)
    X = X.assign(
        fixed=(known["term_months"] > 1).astype(float),
        tenure=np.log1p(known["from_month"].astype(float)),
    )
    known_rating = known["liking"].notna()
    answered = known_rating.astype(float)
    if answered.nunique() < 2:
        return rows
    spread = X.std().replace(0, 1)
    X = (X - X.mean()) / spread
    fitted = LogisticRegression().fit(X, answered)
    chance = fitted.predict_proba(X)[:, 1]
    chances = pd.Series(chance, known.index)
    weight = answered.mean() / chances
    tails = [0.01, 0.99]
    limits = weight.clip(*weight.quantile(tails))
    return known.assign(weight=limits)


def without_error(panel: Panel) -> Contrast:
    """The difference as it would be if ratings and results were both measured without error.

    Where the errors leave nothing to separate the two, the estimate as measured with a standard
    error that says so: the verdict as measured then rests on the measures alone. METHODS 4.
    """
    planned = liking_difference(panel, name=WITHOUT_ERROR)
    if planned.gate:
        return planned
    try:
        true = corrected_effects(panel)
    except ValueError as error:
        why = error.args[0]
        return replace(planned, lacking=(why,))
    if not true.known:
        return replace(planned, se=NOTHING_KNOWN, caveats=())
    # the wider of client and rep, and Student's t, are in these errors already
    alone = replace(planned, df=math.inf, by_rep=NO_SPREAD)
    each = zip(true.theta, true.se, strict=True)
    return _signed(*(replace(alone, theta=float(theta), se=float(se)) for theta, se in each))


def corrected_effects(panel: Panel) -> Corrected:
    """Effects and reliabilities of the planned regression. ValueError, NotFittedError."""
    made = design(panel.rows, BOTH)
    fit = made.fit()
    return corrected(panel, made, fit, PRIMARY)


def missing(panel: Panel, *needed: str) -> list[str]:
    """What the comparison lacks in these data, in plain words; `needed` are some of liking,
    results, nps.
    """
    return [NEEDS[name] for name in needed or BOTH if np.isnan(getattr(panel, name)).all()]
