"""Does liking of the rep keep clients more than results do (A6)? What the verdict is made from."""

from __future__ import annotations

from retention.claims import liking_checks, rep_liking, results_shape
from retention.claims.registry import Studied, Ways, claim
from retention.contrast import Contrast
from retention.words import say


@claim("A6")
def liking_or_results(study: Studied) -> Ways:
    """The lead of liking over results, with every planned measure and assumption (A6)."""
    panel = study.panel
    results = study.tables.get("results")
    chosen_metric = study.settings.results
    curve = liking_checks.specification_curve(panel, results, chosen_metric)
    further: dict[str, list[Contrast]] = {
        say("rep_liking.checks.measures"): curve,
        say("rep_liking.checks.silent"): liking_checks.tipping(panel),
    }
    return Ways(
        rep_liking.liking_difference(panel),
        rep_liking.liking_sensitivities(panel),
        caveats=results_shape.shape_caveats(panel),
        missing=rep_liking.missing(panel),
        opposed=rep_liking.opposite_parts(panel),
        further=further,
    )
