"""How well liking and results are measured (A6), as the page shows it: see `measurement`."""

from retention.claims.measurement import TOO_FEW, Corrected
from retention.claims.rep_liking import BOTH, corrected_effects, liking_difference
from retention.contrast import Z95, Contrast
from retention.history.panel import Panel
from retention.numbers import between
from retention.results import Estimate, Estimates, Finding, Findings
from retention.words import say

SHARES = {
    "liking": say("rep_liking.measured.share_liking"),
    "results": say("rep_liking.measured.share_results"),
}
GAP = say("rep_liking.measured.difference")
AS_MEASURED = say("rep_liking.measured.as_measured")
NO_ERROR = say("rep_liking.measured.without_error")


def reliabilities(panel: Panel) -> Estimates:
    """How much of each measure repeats, and the effects as measured and without error; empty if not
    known.
    """
    planned = liking_difference(panel)
    caption = say("rep_liking.measured.caption")
    if planned.gate:
        return Estimates((), caption)
    true = _corrected_or_none(panel)
    if true is None:
        return Estimates((), say("rep_liking.measured.caption_too_few"))
    counts = (planned.n_clients, planned.n_events)
    rows = []
    for k, name in enumerate(BOTH):
        limits = _share(true, k)
        measured_row = Estimate.of("A6", SHARES[name], AS_MEASURED, limits, "share", counts)
        rows.append(measured_row)
    measured = [planned.theta, *planned.interval()]
    gap_row = Estimate.of("A6", GAP, AS_MEASURED, measured, "difference", counts)
    rows.append(gap_row)
    if true.known:
        gap = true.theta[2]
        without = _limits(gap, true.se[2])
        row = Estimate.of("A6", GAP, NO_ERROR, without, "difference", counts)
        rows.append(row)
    return Estimates(tuple(rows), caption)


def measured_words(panel: Panel) -> Findings:
    """How far each measure repeats, whom its error favours, and the difference without error, in
    sentences.
    """
    planned = liking_difference(panel)
    true = None if planned.gate else _corrected_or_none(panel)
    sentences = _lacking_words() if true is None else _measured_words(planned, true)
    return Findings(tuple(Finding("A6", sentence) for sentence in sentences))


def _lacking_words() -> list[str]:
    return [TOO_FEW, say("rep_liking.measured.favours")]


def _measured_words(planned: Contrast, true: Corrected) -> list[str]:
    liking, liking_low, liking_high = _share(true, 0)
    results, results_low, results_high = _share(true, 1)
    repeats = say(
        "rep_liking.measured.repeats",
        liking=liking,
        liking_low=liking_low,
        liking_high=liking_high,
        results=results,
        results_low=results_low,
        results_high=results_high,
    )
    verdict = say("rep_liking.measured.verdict")
    sentences = [verdict, repeats, say("rep_liking.measured.favours")]
    if not true.known:
        return [*sentences, say("rep_liking.measured.all_noise")]
    plain_low, plain_high = planned.interval()
    gap = true.theta[2]
    se = true.se[2]
    without, low, high = _limits(gap, se)
    difference = say(
        "rep_liking.measured.corrected",
        plain=planned.theta,
        plain_interval=between(plain_low, plain_high, "difference"),
        true=without,
        true_interval=between(low, high, "difference"),
    )
    return [*sentences, difference]


def _corrected_or_none(panel: Panel) -> Corrected | None:
    """The effects without error, or None where too few values repeat."""
    try:
        return corrected_effects(panel)
    except ValueError:
        return None


def _share(true: Corrected, k: int) -> list[float]:
    """The share that repeats with its 95 % limits, kept between 0 and 1, for liking (0) or results
    (1).
    """
    value = true.reliable[k]
    limits = _limits(value, true.reliable_se[k])
    return [min(max(limit, 0.0), 1.0) for limit in limits]


def _limits(value: float, se: float) -> list[float]:
    """The value with its 95 % limits."""
    return [value, value - Z95 * se, value + Z95 * se]
