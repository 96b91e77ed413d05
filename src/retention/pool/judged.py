"""Each claim over all agencies: on average, and for the next agency (METHODS 13)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from scipy import stats

from retention.claims.judge import CLAIMS, Claim, judge
from retention.contrast import Contrast
from retention.pool.shape import CLOGLOG, Estimated
from retention.pool.share import allowed
from retention.pool.sift import Agency, Apart, comparable
from retention.results import Verdict
from retention.settings import study_plan
from retention.stats.metaanalysis import Pooled, Studies, pool
from retention.words import Said, say

PLAN = study_plan()["pool"]
LEAST = int(PLAN["least"])
GROUPS: dict[str, list[float]] = PLAN["groups"]

Row = tuple[Agency, Estimated]


@dataclass(frozen=True)
class Group:
    """Agencies of one kind, with what they say together where they are enough."""

    by: str
    name: Said
    rows: tuple[Row, ...]
    pooled: Pooled | None


@dataclass(frozen=True)
class Over:
    """A claim over all agencies. `average` is the verdict on the mean, `ahead` that on what the
    next agency may expect; `without` is the mean with one agency left out, by its name.
    """

    claim: Claim
    rows: tuple[Row, ...]
    apart: tuple[Apart, ...]
    pooled: Pooled | None
    average: Verdict
    ahead: Verdict
    without: dict[str, Pooled]
    groups: tuple[Group, ...]

    @property
    def clients(self) -> int:
        """How many clients the agencies have, about."""
        return sum(row.clients for _, row in self.rows)

    @property
    def ends(self) -> int:
        """How many of them left, about."""
        return sum(row.ends for _, row in self.rows)

    def next_one(self, level: float = 0.95) -> tuple[float, float]:
        """What the next agency may expect, on the claim's scale; NaN where nothing is pooled."""
        if self.pooled is None:
            return math.nan, math.nan
        low, high = map(self.claim.shown, self.pooled.field.next_one(level))
        return low, high

    @property
    def small_studies(self) -> float:
        """How often chance alone makes small agencies differ as much from large ones (Egger's
        test); NaN with few agencies.
        """
        if self.pooled is None or len(self.rows) < PLAN["small_study_least"]:
            return math.nan
        studies = self.pooled.studies
        fit = stats.linregress(1 / studies.se, studies.y / studies.se)
        times = abs(fit.intercept) / fit.intercept_stderr
        return float(2 * stats.t.sf(times, studies.k - 2))


def studies_of(rows: Iterable[Row]) -> Studies:
    """The estimates of these rows."""
    known = [(row.theta, row.se) for _, row in rows if row.theta is not None and row.se is not None]
    return Studies.of([theta for theta, _ in known], [se for _, se in known])


def pooled_of(rows: Sequence[Row]) -> Pooled | None:
    """The rows together; None where they are fewer than are pooled."""
    return pool(studies_of(rows)) if len(rows) >= LEAST else None


def over_all(agencies: Sequence[Agency]) -> list[Over]:
    """Every claim, in the order of the plan; without rows where no agency could be set beside
    others.
    """
    return [over(claim, agencies) for claim in CLAIMS.values()]


def over(claim: Claim, agencies: Sequence[Agency]) -> Over:
    """A claim over these agencies, judged by the rule of the plan."""
    rows, apart = comparable(claim, agencies)
    pooled = pooled_of(rows)
    without = left_out(rows) if pooled else {}
    others = [_on_average(f"without {name}", rows, each) for name, each in without.items()]
    average = judge(claim, _on_average(claim.id, rows, pooled), others)
    ahead = judge(claim, _ahead(claim, rows, pooled))
    return Over(
        claim, tuple(rows), tuple(apart), pooled, average, ahead, without, tuple(groups_of(rows))
    )


def left_out(rows: Sequence[Row]) -> dict[str, Pooled]:
    """The rows together without one agency, by its name."""
    studies = studies_of(rows)
    return {agency.name: pool(studies.without(place)) for place, (agency, _) in enumerate(rows)}


def _counts(rows: Sequence[Row]) -> tuple[int, int]:
    return sum(row.clients for _, row in rows), sum(row.ends for _, row in rows)


def _few(rows: Sequence[Row]) -> Contrast:
    """A contrast that is not judged, for there are too few agencies."""
    clients, _ = _counts(rows)
    why = say("pool.too_few", n=len(rows), least=LEAST)
    return Contrast("", math.nan, math.nan, clients, {}, lacking=(why,))


def _on_average(name: str, rows: Sequence[Row], pooled: Pooled | None) -> Contrast:
    """The mean of the agencies, to be judged."""
    if pooled is None:
        return _few(rows)
    clients, ends = _counts(rows)
    return Contrast(name, pooled.mean, pooled.se, clients, {"": ends}, df=pooled.df)


def _ahead(claim: Claim, rows: Sequence[Row], pooled: Pooled | None) -> Contrast:
    """What the next agency may expect, to be judged."""
    if pooled is None:
        return _few(rows)
    clients, ends = _counts(rows)
    field = pooled.field

    def limits(z: float) -> tuple[float, float]:
        return field.next_one(2 * NormalDist().cdf(z) - 1)

    spread = math.hypot(pooled.se, pooled.tau)
    return Contrast(claim.id, pooled.mean, spread, clients, {"": ends}, profile=limits)


def groups_of(rows: Sequence[Row]) -> list[Group]:
    """The rows by the kinds of agency that the plan states, those with some and not with all."""
    found = []
    for by, cuts in GROUPS.items():
        for place in range(len(cuts) + 1):
            own = tuple(row for row in rows if _place(row[0], by, cuts) == place)
            found.append(Group(by, _group_name(by, place, cuts), own, pooled_of(own)))
    for known in (True, False):
        own = tuple(row for row in rows if row[0].shared.contracts == known)
        name = say("pool.group.contracts" if known else "pool.group.no_contracts")
        found.append(Group("contracts", name, own, pooled_of(own)))
    return [group for group in found if group.rows and len(group.rows) < len(rows)]


def _place(agency: Agency, by: str, cuts: Sequence[float]) -> int:
    """In which group of the plan an agency is; -1 where that is not known."""
    value = getattr(agency.shared, by)
    return -1 if value is None else sum(value >= cut for cut in cuts)


def _group_name(by: str, place: int, cuts: Sequence[float]) -> Said:
    """What a group is called: of a size, or of a share of fixed terms."""
    if place == 0:
        return say(f"pool.group.{by}_below", high=cuts[0])
    if place == len(cuts):
        return say(f"pool.group.{by}_from", low=cuts[-1])
    return say(f"pool.group.{by}_between", low=cuts[place - 1], high=cuts[place])


@dataclass(frozen=True)
class Beside:
    """One of the estimates beside the claims, over all agencies; numbers on its own scale."""

    name: str
    agencies: int
    clients: int
    values: tuple[float, float, float]
    next_one: tuple[float, float]


def beside(agencies: Sequence[Agency]) -> list[Beside]:
    """The estimates beside the claims that enough agencies have."""
    found = []
    for name, about in allowed().items():
        own = [(agency, agency.shared.estimate(name)) for agency in agencies]
        rows: list[Row] = [(agency, row) for agency, row in own if row and row.is_known]
        pooled = pooled_of(rows)
        if pooled is None:
            continue
        shown = [_back(value, about["scale"]) for value in (pooled.mean, *pooled.interval())]
        ahead = sorted(_back(value, about["scale"]) for value in pooled.field.next_one())
        clients, _ = _counts(rows)
        limits = sorted(shown[1:])
        values = (shown[0], limits[0], limits[1])
        found.append(Beside(name, len(rows), clients, values, (ahead[0], ahead[1])))
    return found


def _back(value: float, scale: str) -> float:
    """A value of a scale as the share that it stands for."""
    return math.exp(-math.exp(value)) if scale == CLOGLOG else value


def payload(each: Over) -> dict[str, Any]:
    """A claim in pooled.json: no agency's own figures, no name."""
    known = {
        "id": each.claim.id,
        "question": each.claim.question,
        "scale": each.claim.scale,
        "estimand": each.claim.estimand_hash,
        "level": each.claim.level,
        "published": each.claim.published,
        "agencies": len(each.rows),
        "clients": each.clients,
        "ends": each.ends,
        "verdict": each.average.verdict,
        "fragile": each.average.fragile,
        "next_verdict": each.ahead.verdict,
        "answer": each.average.answer,
    }
    if each.pooled is None:
        return known | {"pooled": None}
    pooled = each.pooled
    field = pooled.field
    spreads = zip(field.tau2, field.mean, field.variance, strict=True)
    low, high = pooled.interval()
    return known | {
        "pooled": {
            **{"theta": pooled.mean, "se": pooled.se, "df": pooled.df, "low": low, "high": high},
            **{"tau": pooled.tau, "tau_interval": pooled.tau_interval()},
            **{"i2": pooled.i2, "q": pooled.studies.q(), "next": field.next_one()},
            "field": [[_short(value) for value in row] for row in spreads],
        }
    }


def _short(value: float) -> float:
    """A number to four digits: the field is known no better, and nobody's figures come back."""
    return float(f"{value:.4g}")
