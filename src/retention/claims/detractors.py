"""The NPS class (A10): do detractors leave sooner than promoters? Source: METHODS 4."""

from retention.claims.registry import Studied, Ways, claim
from retention.claims.rep_liking import AS_PLANNED, EARLIER, UNKNOWN_IS_AGENCY, missing
from retention.contrast import Contrast
from retention.history.lagged import lagged_contrast
from retention.history.measures import DETRACTOR, PROMOTER
from retention.history.panel import Panel, lagged_rows
from retention.history.spells import AGENCY, CLIENT
from retention.words import say

GROUPS = {
    "detractor": say("rep_liking.group.detractors"),
    "promoter": say("rep_liking.group.promoters"),
}


@claim("A10")
def detractors(study: Studied) -> Ways:
    """Detractors against promoters (A10)."""
    panel = study.panel
    return Ways(
        detractor_ratio(panel), detractor_sensitivities(panel), missing=missing(panel, "nps")
    )


def detractor_ratio(
    panel: Panel, *, lag: int = 0, unknown: str = CLIENT, name: str = AS_PLANNED
) -> Contrast:
    """Log ratio of leaving, detractors (6 and below) over promoters (9 and 10), the class lagged
    like liking (A10).
    """
    rated = lagged_rows(panel, lag=lag, unknown=unknown, rating="nps")
    rows = rated.dropna(subset=["nps"])
    nps = rows["nps"]
    passive = nps.between(7, 8)
    rows = rows.assign(
        detractor=(nps <= DETRACTOR).astype(float),
        promoter=(nps >= PROMOTER).astype(float),
        passive=passive.astype(float),
    )
    plain: tuple[str, ...] = ("detractor", "passive")
    passive_rows = rows["passive"] == 1
    passives_left = rows.loc[passive_rows, "left"].sum()
    if not passives_left:  # nobody there to compare with, or none of them left
        rows = rows[rows["passive"] == 0]
        plain = ("detractor",)
    return lagged_contrast(rows, (), {"detractor": 1.0}, name, plain=plain, groups=GROUPS)


def detractor_sensitivities(panel: Panel) -> list[Contrast]:
    """The pre-listed other ways to compute the ratio of detractors over promoters (plan.toml,
    A10).
    """
    later = panel.lag + 1
    return [
        detractor_ratio(panel, lag=later, name=EARLIER),
        detractor_ratio(panel, unknown=AGENCY, name=UNKNOWN_IS_AGENCY),
    ]
