"""The rule, line by line (METHODS 1): every verdict, every qualifier, the gate, and both directions
and scales.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from retention.claims.judge import CLAIMS, judge, load_plan, sensitivity_table
from retention.contrast import Contrast
from retention.errors import ConfigError
from retention.results import DIRECTION, DOES_NOT, HOLDS, NOT_ENOUGH, NOT_RUN
from retention.settings import ClaimChange
from retention.words import say

A1 = CLAIMS["A1"]
SIZE = replace(A1, id="A4", direction="below", published=0.5, smallest=0.8, band=(0.375, 0.667))
LIKING = replace(A1, id="A6", scale="difference", published=None, smallest=0.10, band=None)
Z = 2.128


def contrast(
    ratio: float, se: float, events: tuple[int, ...] = (200, 150), scale: str = "ratio"
) -> Contrast:
    theta = math.log(ratio) if scale == "ratio" else ratio
    return Contrast(
        "as planned", theta, se, 600, {f"group {i} clients": n for i, n in enumerate(events)}
    )


@pytest.mark.parametrize(
    ("ratio", "se", "verdict", "qualifiers"),
    [
        (2.0, 0.10, HOLDS, ("about as large as claimed",)),
        (2.0, 0.20, HOLDS, ()),
        (2.6, 0.05, HOLDS, ()),  # the whole 90 % interval must lie inside the band
        (1.35, 0.02, HOLDS, ("smaller than published",)),
        (1.6, 0.18, DIRECTION, ()),
        (1.2, 0.05, DIRECTION, ("smaller than published",)),
        (1.1, 0.10, DOES_NOT, ()),
        (1.0, 0.08, DOES_NOT, ("too small to act on",)),
        (0.8, 0.05, DOES_NOT, ("reversed",)),
        (1.0, 0.60, NOT_ENOUGH, ()),
        (2.0, 0.40, NOT_ENOUGH, ()),
    ],
)
def test_the_rule_in_its_order(ratio, se, verdict, qualifiers):
    found = judge(A1, contrast(ratio, se))
    assert (found.verdict, found.qualifiers) == (verdict, qualifiers)
    mirrored = judge(SIZE, contrast(1 / ratio, se))  # the same rule for a claim of 'less'
    assert mirrored.detectable == pytest.approx(1 / found.detectable)
    assert found.verdict == mirrored.verdict
    assert mirrored.low == pytest.approx(1 / found.high, rel=1e-12)


@pytest.mark.parametrize(
    ("delta", "se", "verdict"),
    [
        (0.3, 0.05, HOLDS),
        (0.2, 0.08, DIRECTION),
        (0.0, 0.04, DOES_NOT),
        (-0.3, 0.05, DOES_NOT),
        (0.1, 0.2, NOT_ENOUGH),
    ],
)
def test_a_claim_of_direction_has_no_band(delta, se, verdict):
    found = judge(LIKING, contrast(delta, se, scale="difference"))
    assert (found.verdict, found.about_as_claimed) == (verdict, None)
    assert found.estimate == delta


def test_the_level_and_both_intervals():
    found = judge(A1, contrast(2.0, 0.1))
    assert found.level == pytest.approx(1 - 2 * 0.05 / 3)
    assert found.low == pytest.approx(2 * math.exp(-Z * 0.1), rel=1e-4)
    assert found.interval_95[1] == pytest.approx(2 * math.exp(1.959964 * 0.1), rel=1e-6)
    assert found.detectable == pytest.approx(math.exp((Z + 0.8416) * 0.1), rel=1e-4)


@pytest.mark.parametrize(
    ("events", "word"), [((9, 200), NOT_ENOUGH), ((10, 10), HOLDS), ((19,), NOT_ENOUGH)]
)
def test_the_gate_comes_first(events, word):
    found = judge(A1, contrast(2.0, 0.1, events))
    assert found.verdict == word
    if word == NOT_ENOUGH:
        assert "at least" in found.why and found.more_events_needed == 1


def test_a_reason_of_the_estimator_stops_the_verdict():
    found = judge(A1, replace(contrast(2.0, 0.1), lacking=("Nobody was followed to month 12.",)))
    assert (found.verdict, found.why) == (NOT_ENOUGH, "Nobody was followed to month 12.")


def test_how_many_more_would_settle_it():
    found = judge(A1, contrast(2.0, 0.40, (40, 30)))
    factor = (70 + found.more_events_needed) / 70
    assert judge(A1, contrast(2.0, 0.40 / math.sqrt(factor), (40, 30))).verdict != NOT_ENOUGH
    fewer = (70 + found.more_events_needed - 1) / 70
    assert judge(A1, contrast(2.0, 0.40 / math.sqrt(fewer), (40, 30))).verdict == NOT_ENOUGH
    assert f"{found.more_events_needed} more" in found.would_change


def test_the_bayes_factor_is_wakefields():
    at_zero = judge(A1, contrast(1.0, 2 / math.sqrt(1584))).bayes_factor
    assert at_zero == pytest.approx(
        0.1, abs=0.001
    )  # METHODS 1: about 1,584 balanced events for a factor of 0.1


def test_fragile_names_what_flips():
    same, other = (
        replace(contrast(2.0, 0.1), name="same"),
        replace(contrast(1.0, 0.6), name="other"),
    )
    found = judge(A1, contrast(2.0, 0.1), [same, other])
    assert (found.fragile, found.flips) == (True, ("other",))
    assert judge(A1, contrast(2.0, 0.1), [same]).fragile is False
    assert judge(A1, contrast(2.0, 0.1)).fragile is None
    table = sensitivity_table(A1, [contrast(2.0, 0.1), other])
    assert table["verdict"].tolist() == ["holds, about as large as claimed", "not enough data"]


def test_caveats_are_said_with_the_verdict():
    found = judge(A1, contrast(2.0, 0.2), (), ("read off a snapshot",))
    assert found.words == "holds, read off a snapshot" and found.sentence.endswith(
        "; read off a snapshot)."
    )


def test_what_cannot_be_computed_is_not_judged():
    for theta, se in ((math.nan, 0.1), (0.7, math.inf), (0.7, 0.0)):
        found = judge(A1, replace(contrast(2.0, 0.1), theta=theta, se=se))
        assert (found.verdict, found.about_as_claimed) == (NOT_ENOUGH, None)


def test_advice_follows_the_qualifier():
    assert "do not leave faster by as much" in judge(A1, contrast(1.0, 0.08)).advice
    assert "rule out" in judge(A1, contrast(1.1, 0.10)).advice
    snapshot = (say("claims.caveat.snapshot"),)
    assert "description" in judge(A1, contrast(2.0, 0.1), (), snapshot).advice
    assert judge(A1, contrast(2.0, 0.6), (), snapshot).advice == A1.advice[NOT_ENOUGH]


def test_a_column_of_the_user_s_own_is_never_taken_for_a_caveat():
    alike = (say("claims.caveat.alike_in", columns="x.snapshot"),)
    assert judge(A1, contrast(2.0, 0.1), (), alike).advice == A1.advice["holds"]


def test_a_lead_sentence_gives_no_number_where_there_is_not_enough():
    assert "2.00 times as fast" in judge(A1, contrast(2.0, 0.1)).sentence
    for few in (contrast(6.75, 0.1, (40, 3)), contrast(2.0, 0.6)):
        assert (
            judge(A1, few).sentence
            == "Do month-to-month clients leave sooner? There is not enough data yet to say."
        )


def test_what_cannot_be_computed_or_is_the_same_flips_nothing():
    primary = contrast(2.0, 0.1)
    few = replace(contrast(2.0, 0.1, (0, 150)), name="few")
    found = judge(A1, primary, [few, replace(primary, name="same")])
    assert (found.fragile, found.flips, found.not_computed) == (False, (), ("few",))


def test_not_run_says_what_is_missing():
    found = judge(A1, Contrast("A1", math.nan, math.nan, 0, {}), missing=["surveys.rep_liking"])
    assert (found.more_events_needed, found.would_change, found.about_as_claimed) == (
        None,
        "",
        None,
    )
    assert (found.verdict, found.missing, found.why) == (
        NOT_RUN,
        ("surveys.rep_liking",),
        "Missing: surveys.rep_liking.",
    )


def test_the_family_error_of_the_rule():
    """At exactly the smallest effect 'holds' comes in 1.67 % of draws; at the band's edge 'does not
    hold' likewise.
    """
    se = 0.1
    errors = np.linspace(-4, 4, 161)  # of the estimate, in standard errors
    for truth, word, side in ((1.25, HOLDS, 1), (1.5, DOES_NOT, -1)):
        for error in errors:
            told = judge(A1, contrast(truth * math.exp(se * error), se)).verdict
            assert (told == word) == (side * error > Z), (truth, error)
    assert stats.norm.sf(Z) == pytest.approx(0.05 / 3, abs=1e-5)


def test_the_plan_can_be_overridden_and_says_so():
    claims, differences = load_plan({"A1": ClaimChange(smallest=1.1, band=[1.4, 3.0])})
    assert (claims["A1"].smallest, claims["A1"].band) == (1.1, (1.4, 3.0))
    assert differences[0] == "Plan, A1: smallest is 1.1; the study's is 1.25."
    assert load_plan({})[1] == ()


def test_an_unknown_claim_is_an_error_that_lists_those_there_are():
    with pytest.raises(ConfigError, match="A99, A98. There are: A1"):
        load_plan({"A99": ClaimChange(), "A98": ClaimChange()})


def test_more_ends_are_asked_for_only_where_they_would_help():
    few = Contrast("", math.nan, math.nan, 9, {"one group": 3, "another": 12})
    assert (
        judge(A1, few).more_events_needed == 7 and "At least 7 more" in judge(A1, few).would_change
    )
    blocked = replace(few, lacking=("liking is the same wherever it is known.",))
    assert not judge(A1, blocked).more_events_needed and judge(A1, blocked).would_change == ""
    nobody = Contrast("", math.nan, math.nan, 9, {}, ("The sizes are too much alike.",))
    assert (
        judge(A1, nobody).why == "The sizes are too much alike."
        and judge(A1, nobody).would_change == ""
    )
