"""The head of a page: its answer as title, the evidence in one line, and what to do.

A page about claims takes the answer of the first one that could be judged; another page shows an
`Answer` of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from retention.numbers import between
from retention.results import MARKS, NOT_ENOUGH, NOT_RUN, badge, verdict_class
from retention.words import say


@dataclass(frozen=True)
class Head:
    """What stands on top of a page; empty strings where there is nothing to say."""

    question: str
    title: str
    evidence: str = ""
    do: str = ""
    badge: str = ""
    kind: str = ""  # the style class of the badge


def head_of(question: str, results: Mapping[str, Any], advice: Mapping[str, str]) -> Head:
    """The head of a page whose notebook handed over these `results`; `advice` by claim, joined from
    all pages.
    """
    if results["claims"]:
        return _of_claim(spoken_for(results["claims"]), advice)
    for row in results["answers"]:
        return Head(question, row["title"], row["evidence"], advice.get(row["id"], row["do"]))
    return Head("", question)


def spoken_for(claims: list[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The claim that answers for a page: the first that could be judged."""
    open_ = (NOT_ENOUGH, NOT_RUN)
    return next((claim for claim in claims if claim["verdict"] not in open_), claims[0])


def _of_claim(claim: Mapping[str, Any], advice: Mapping[str, str]) -> Head:
    words = badge(claim["verdict"], claim["fragile"])
    return Head(
        claim["question"],
        claim["answer"] or claim["question"],
        evidence_of(claim),
        advice.get(claim["id"], claim["advice"]),
        f"{MARKS[claim['verdict']]} {words}",
        verdict_class(claim["verdict"], claim["fragile"]),
    )


def evidence_of(claim: Mapping[str, Any]) -> str:
    """The line of evidence: interval, the study's figure, clients and ends, and how many checks
    disagree; why, where there is no estimate.
    """
    if claim["gated"] or claim["estimate"] is None or claim["low"] is None:
        return str(claim["why"])
    interval = between(claim["low"], claim["high"], claim["scale"])
    parts = [say("report.head.interval", level=100 * claim["level"], interval=interval)]
    if claim["published"]:
        parts.append(say("report.head.published", published=claim["published"]))
    counts = {"clients": claim["n_clients"], "ends": claim["n_events"]}
    parts.append(say("report.head.counts", **counts))
    for check in claim["checks"][:1]:
        parts.append(say("report.head.checks", disagree=check["disagree"], of=check["of"]))
    if claim.get("among"):
        parts.append(claim["among"]["short"])
    return " · ".join(parts)
