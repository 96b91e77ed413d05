"""Advice joined from several pages: by hand on results made up, on the sample, and on simulated
agencies, where it may contradict no number that another page shows.
"""

import re

import pytest

from retention import open_study
from retention.claims import term_fees
from retention.data.schema import write_csv
from retention.money import bonuses, courses, levers, plateau
from retention.report import advice
from retention.results import MIME, collect
from retention.sample import WORLDS, simulate

CLIENT_TABLES = ("clients", "contracts")
AGENCIES = [(world, seed) for world in ("study", "null", "confounded") for seed in range(1, 5)]
SETTINGS = """cutoff = 2025-12-31
records_begin = 2021-01-01
"""


def claim(name: str, **more) -> dict:
    usual = {"verdict": "holds", "advice": "As planned.", "fragile": False, "checks": []}
    return usual | {"id": name} | more


def estimate(row: str, key: str, value: float, low=None, high=None) -> dict:
    return {"id": row, "key": key, "estimate": value, "low": low, "high": high}


def pays(months: int, chance: float, fee: float) -> list[dict]:
    group = f"contract_term.group.term:{months}"
    return [
        estimate("A2", f"contract_term.estimate.chance_it_pays/{group}", chance),
        estimate("A2", f"contract_term.estimate.usual_fee/{group}", fee),
    ]


def stopping(*values: float) -> dict:
    return estimate("B3", "economics.levers.gained/economics.change.monthly", *values)


def results(claims, estimates=(), findings=()) -> dict:
    return {"claims": claims, "estimates": list(estimates), "findings": list(findings)}


def test_terms_are_sorted_by_whether_their_discount_pays():
    rows = [*pays(6, 0.9, 8), *pays(12, 0.1, 6), *pays(24, 0.5, 5), stopping(-2000, -3000, -1000)]
    assert advice.joined(results([claim("A1")], rows))["A1"] == (
        "Lead with 6 months at a fee of 8% (90% chance that the lower fee pays back). "
        "Do not discount 12 months at a fee of 6% (10% chance that the lower fee pays back). "
        "Whether a discount pays is open for 24 months at a fee of 5% "
        "(50% chance that the lower fee pays back). "
        "Do not stop selling month-to-month: new clients would bring 2,000 a month less "
        "(95% confidence interval 1,000 to 3,000)."
    )


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((2000, 1000, 3000), "Stopping month-to-month would bring 2,000 a month more"),
        ((100, -1000, 1200), "Whether to stop selling month-to-month is open"),
    ],
)
def test_what_stopping_month_to_month_would_move(values, said):
    assert said in advice.joined(results([claim("A1")], [stopping(*values)]))["A1"]


def test_money_in_advice_is_in_its_currency():
    said = advice.joined(results([claim("A1")], [stopping(-2000, -3000, -1000)]), "EUR")["A1"]
    assert "2,000 EUR a month less" in said


@pytest.mark.parametrize("verdict", ["does not hold", "not enough data", "not run"])
def test_a_claim_that_does_not_hold_keeps_its_own_advice(verdict):
    rows = [*pays(6, 0.9, 8), stopping(-2000, -3000, -1000)]
    assert "A1" not in advice.joined(results([claim("A1", verdict=verdict)], rows))


def test_fragile_claims_and_sellers_who_stand_out():
    checks = [{"kind": "planned checks", "disagree": 2, "of": 6, "names": ["a", "b"]}]
    found = advice.joined(results([claim("A6", fragile=True, checks=checks)]))
    assert found["A6"] == "As planned. Act in small steps: 2 of 6 checks disagree."
    assert advice.joined(results([claim("A6"), claim("A8")])) == {}
    stands_out = [{"key": "sellers.promises.stands_out:s1,27,0,175", "text": "s1 promises more."}]
    assert (
        "Start with s1, whose promises stand out"
        in advice.joined(results([claim("A8")], (), stands_out))["A8"]
    )


def shown(study) -> dict:
    """What the pages about contracts and revenue hand to the run."""
    spells = study.spells
    course = courses.course(spells, study.money)
    margins = courses.best_course(spells, study.money)
    months = plateau.signing_months(spells)
    sellers = bonuses.sellers_now(study.tables.get("staff"), study.cutoff, months)
    moved = levers.levers(course, margins, sellers, study.settings.what_if, study.cutoff)
    objects = (
        study.judge("A1"),
        term_fees.fee_estimates(spells),
        term_fees.break_even(spells),
        levers.lever_table(moved),
    )
    return collect((each._repr_mimebundle_()[MIME] for each in objects), "", "")


def contradictions(found: dict) -> list[str]:
    """What the advice on A1 says against the numbers of other pages.

    The rules: a term to lead with has a ratio found above the ratio needed; one not to discount has
    it below; stopping month-to-month is never advised where it loses money, nor is keeping it where
    it gains; nothing of this is said where the claim does not hold.
    """
    text = advice.joined(found).get("A1", "")
    verdict = found["claims"][0]["verdict"]
    if text and not verdict.startswith("holds"):
        return [f"{verdict}, and still: {text}"]
    ratios = {
        name: advice.found(found, "A2", f"contract_term.estimate.ratio_{name}")
        for name in ("found", "needed")
    }
    wrong = []
    for part in re.split(r"(?<=\.) ", text):
        for months in re.findall(r"(\d+) months", part):
            group = f"contract_term.group.term:{months}"
            pays_ = ratios["found"][group]["estimate"] > ratios["needed"][group]["estimate"]
            against = part.startswith("Lead with") and not pays_
            against |= part.startswith("Do not discount") and pays_
            wrong += [part] if against else []
    row = advice.found(found, "B3", "economics.levers.gained").get("economics.change.monthly")
    gained = row["estimate"] if row else 0
    wrong += [text] if "Do not stop" in text and gained >= 0 else []
    wrong += [text] if "Stopping month-to-month would bring" in text and gained <= 0 else []
    return wrong


@pytest.mark.slow
@pytest.mark.parametrize(("world", "seed"), AGENCIES)
def test_no_page_contradicts_another(tmp_path, world, seed):
    frames = simulate(WORLDS[world], clients=200, seed=seed, tables=CLIENT_TABLES)
    for name, frame in frames.items():
        write_csv(frame, tmp_path / f"{name}.csv")
    (tmp_path / "retention.toml").write_text(SETTINGS)
    assert contradictions(shown(open_study(str(tmp_path)))) == []


@pytest.mark.slow
def test_on_the_sample(sample_study):
    found = shown(sample_study)
    text = advice.joined(found)["A1"]
    assert text.startswith("Lead with 6 months at a fee of 8%")
    assert "Do not discount 12 months at a fee of 6%" in text
    assert "Do not stop selling month-to-month" in text
    assert contradictions(found) == []


def test_contradictions_are_found():
    group = "contract_term.group.term:6"
    rows = [*pays(6, 0.9, 8), stopping(-1, -2, -0.5)]
    rows.append(estimate("A2", f"contract_term.estimate.ratio_found/{group}", 1.1))
    rows.append(estimate("A2", f"contract_term.estimate.ratio_needed/{group}", 1.4))
    assert len(contradictions(results([claim("A1")], rows))) == 1
