"""Advice joined from the results of several pages, so that no page contradicts another.

Each rule reads results.json by ids alone, and gives what to do about one claim; the claim's own
advice (plan.toml) stands where a rule has nothing to add.
"""

from collections.abc import Callable, Mapping
from typing import Any

from retention.numbers import between, quantity
from retention.results import DIRECTION, HOLDS
from retention.words import Said, say

LIKELY, UNLIKELY = 0.8, 0.2  # (ours) chances from which a discount is said to pay, or not to
OUTLIER = "sellers.promises.stands_out"  # the finding that one seller promises too much
Results = Mapping[str, Any]
Rule = Callable[[Results, Mapping[str, Any]], str]


def joined(results: Results, currency: str = "") -> dict[str, str]:
    """What to do about each claim, in the light of all pages; only claims that a rule speaks of.
    Money is in this `currency`.
    """
    results = {**results, "currency": currency}
    claims = {claim["id"]: claim for claim in results["claims"]}
    said = {name: RULES[name](results, claim) for name, claim in claims.items() if name in RULES}
    return {name: text for name, text in said.items() if text}


def found(results: Results, row_id: str, name: str) -> dict[str, Mapping[str, Any]]:
    """The estimates of one quantity, an id without what fills it, by the ids of their groups."""
    rows = {}
    for row in results["estimates"]:
        quantity, _, group = row["key"].partition("/")
        if row["id"] == row_id and quantity.partition(":")[0] == name:
            rows[group] = row
    return rows


def _contract_term(results: Results, claim: Mapping[str, Any]) -> str:
    """A1 with the break-even of each term's discount (A2) and what stopping month-to-month would
    move (A3).
    """
    if claim["verdict"] not in (HOLDS, DIRECTION):
        return ""
    parts = [*_discounts(results), _stopping(results)]
    said = [part for part in parts if part]
    return " ".join(said)


def _discounts(results: Results) -> list[Said]:
    """Which terms' lower fees pay back, which do not, and of which that is open (A2)."""
    chances = found(results, "A2", "contract_term.estimate.chance_it_pays")
    fees = found(results, "A2", "contract_term.estimate.usual_fee")
    sorts: dict[str, list[Said]] = {"lead_with": [], "no_discount": [], "discount_open": []}
    for group, row in chances.items():
        chance = row["estimate"]
        sort = _sort_of(chance)
        months = int(group.rpartition(":")[2])
        fee = fees[group]["estimate"] if group in fees else None
        sorts[sort].append(_term_words(months, fee, chance))
    return [say(f"report.advice.{sort}", terms="; ".join(t)) for sort, t in sorts.items() if t]


def _sort_of(chance: float) -> str:
    if chance >= LIKELY:
        return "lead_with"
    return "no_discount" if chance <= UNLIKELY else "discount_open"


def _term_words(months: int, fee: float | None, chance: float) -> Said:
    """A term with its fee, and the chance that its discount pays back."""
    if fee is None:
        return say("report.advice.term", months=months, chance=chance)
    return say("report.advice.term_at", months=months, fee=fee, chance=chance)


def _stopping(results: Results) -> str:
    """What no longer selling month-to-month would move (A3)."""
    row = found(results, "B3", "economics.levers.gained").get("economics.change.monthly")
    if row is None or row["low"] is None:
        return ""
    if row["low"] <= 0 <= row["high"]:
        return say("report.advice.stop_open")
    way = "report.advice.stop" if row["low"] > 0 else "report.advice.do_not_stop"
    nearest, farthest = sorted(abs(row[limit]) for limit in ("low", "high"))
    interval = between(nearest, farthest, "money")
    amount = quantity(abs(row["estimate"]), "money")
    money = f"{amount} {results['currency']}".strip()
    return say(way, money=money, interval=interval)


def _fragile(results: Results, claim: Mapping[str, Any]) -> str:
    """A claim that holds while most planned checks agree: its advice with how many do not."""
    if claim["verdict"] not in (HOLDS, DIRECTION) or not claim["fragile"]:
        return ""
    check = claim["checks"][0]
    doubt = say("report.advice.fragile", disagree=check["disagree"], of=check["of"])
    return f"{claim['advice']} {doubt}"


def _sellers(results: Results, claim: Mapping[str, Any]) -> str:
    """A7 or A8 with the seller whose promises stand out beyond luck."""
    keys = [row["key"] for row in results["findings"] if row["key"].startswith(f"{OUTLIER}:")]
    if not keys:
        return ""
    who, *_ = keys[0].removeprefix(f"{OUTLIER}:").rsplit(",", 3)
    return f"{claim['advice']} {say('report.advice.promises', who=who)}"


RULES: Mapping[str, Rule] = {"A1": _contract_term, "A6": _fragile, "A7": _sellers, "A8": _sellers}
