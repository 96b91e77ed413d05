"""Every claim of the plan, whichever it is: computed, judged, told and tried, or it says what it lacks."""

import ast
import json

import pytest

from conftest import ROOT
from retention.claims.judge import CLAIMS
from retention.claims.registry import claim, estimators
from retention.results import VERDICTS
from retention.sample import WORLDS
from retention.words import key_of

TIERS = ("primary", "secondary")


@pytest.fixture(scope="module", params=list(CLAIMS))
def judged(request, sample_study):
    """Each claim as it stands in the sample."""
    return sample_study.judge(request.param)


def test_every_claim_has_one_estimator_and_no_other_is_there():
    assert set(estimators()) == set(CLAIMS)
    with pytest.raises(ValueError, match="no claim Z9"):
        claim("Z9")(lambda study: None)
    with pytest.raises(ValueError, match="already"):
        claim("A1")(lambda study: None)


@pytest.mark.slow
def test_every_planned_way_computes_or_says_what_it_lacks(judged):
    assert [key_of(way.name) for way in judged.ways.planned] == list(judged.claim.sensitivities)
    for way in (judged.primary, *judged.ways.planned):
        assert way.gate or (abs(way.theta) < 20 and 0 < way.reach() < 20), way.name


def test_the_verdict_has_its_words_and_its_advice(judged):
    verdict = judged.verdict
    assert verdict.verdict in VERDICTS and verdict.tier in TIERS
    assert verdict.sentence and verdict.why
    assert judged.what_to_do().text in judged.claim.advice.values()
    table = judged.table
    assert table["choice"].iloc[0] == judged.primary.name


def test_the_page_asks_for_it_and_says_what_to_do(judged):
    cells = json.loads((ROOT / "notebooks" / f"{judged.claim.page}.ipynb").read_text())["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    assert f'study.judge("{judged.claim.id}")' in code
    assert "what_to_do()" in code


def test_it_is_counted_by_hand_and_planted_in_a_world(judged):
    path, _, name = judged.claim.by_hand.partition("::")
    tests = [n.name for n in ast.walk(ast.parse((ROOT / path).read_text())) if hasattr(n, "name")]
    assert name in tests
    assert judged.claim.world in WORLDS


def test_primary_claims_come_first():
    tiers = [TIERS.index(each.tier) for each in CLAIMS.values()]
    assert tiers == sorted(tiers)
