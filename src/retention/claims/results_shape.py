"""The shape of results (A6): does leaving go with results along a line, or at both ends?

A single slope says nothing of clients who leave both where results are poor and where they are so
good that the agency is no longer needed. Source: METHODS 4.
"""

from dataclasses import dataclass

from scipy import stats

from retention.claims.rep_liking import BOTH
from retention.contrast import Contrast, as_ratio
from retention.history.lagged import lagged_contrasts
from retention.history.panel import Panel
from retention.numbers import between
from retention.results import Finding
from retention.words import say

SHAPE_LEVEL = 0.95  # (ours) of the test of the shape of results: false finds in one of twenty
ENDS = (0.1, 0.9)  # (ours) quantiles of results at which their slope is looked at
BOTH_ENDS = say("claims.caveat.both_ends")
BENT = say("claims.caveat.bent")
CAVEATS = {"both_ends": BOTH_ENDS, "bent": BENT}


@dataclass(frozen=True)
class Shape:
    """The bend of results and their slopes at the poorest and at the best tenth, on the log hazard.

    `kind` is both_ends, bent or straight, or unknown where too few left.
    """

    bend: Contrast
    poorest: Contrast
    best: Contrast

    @property
    def kind(self) -> str:
        """What the test of the shape finds."""
        if self.bend.gate:
            return "unknown"
        upper = stats.norm.ppf((1 + SHAPE_LEVEL) / 2)
        low, high = self.bend.interval(float(upper))
        both = low > 0 and self.poorest.theta < 0 < self.best.theta
        if both:
            return "both_ends"
        return "bent" if low > 0 or high < 0 else "straight"


def results_shape(panel: Panel) -> Shape:
    """How leaving changes along results, from the planned regression with their square beside
    their slope.

    Per standard deviation. A bend above 0: leaving grows towards both ends more than the slope
    says. It is judged by the wider interval of client and rep, at `SHAPE_LEVEL`.
    """
    rows = panel.rows.dropna(subset=list(BOTH))
    deviations = rows["results"] - rows["results"].mean()
    scaled = deviations / rows["results"].std()
    low, high = scaled.quantile(list(ENDS)) if len(rows) else ENDS
    sums = [{"bend": 1.0}, *({"results": 1.0, "bend": 2 * end} for end in (low, high))]
    bent = rows.assign(bend=scaled**2)
    name = say("rep_liking.shape.name")
    return Shape(*lagged_contrasts(bent, BOTH, sums, name, plain=("bend",)))


def shape_caveats(panel: Panel) -> tuple[str, ...]:
    """What a slope of results does not show, for the verdict: empty unless the test of shape finds
    it.
    """
    kind = results_shape(panel).kind
    return (CAVEATS[kind],) if kind in CAVEATS else ()


def shape_words(panel: Panel) -> Finding:
    """Whether leaving goes with results along a line or at both ends, in sentences."""
    shape = results_shape(panel)
    kind = shape.kind
    if kind == "unknown":
        return Finding("A6", say("rep_liking.shape.unknown"))
    if kind == "straight":
        ratio, low, high = (as_ratio(x) for x in (shape.bend.theta, *shape.bend.interval()))
        interval = between(low, high, "ratio")
        text = say("rep_liking.shape.straight", ratio=ratio, interval=interval)
        return Finding("A6", text)
    poorest = as_ratio(shape.poorest.theta)
    best = as_ratio(shape.best.theta)
    if kind == "both_ends":
        return Finding("A6", say("rep_liking.shape.both_ends", poorest=poorest, best=best))
    return Finding("A6", say("rep_liking.shape.bent", poorest=poorest, best=best))
