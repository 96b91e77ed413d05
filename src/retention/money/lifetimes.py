"""How long clients stay and what they are worth (B1, B2, B7), from the whole survival curve.

The curve and what is paid come from `courses`; here are the answers that are read off them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from retention.history.follow_up import follow_up
from retention.history.money import MARGINS, NEEDS
from retention.money.courses import (
    HORIZONS,
    Course,
    Floats,
    extended,
    horizon_of,
    paid_there,
    survival,
    worth,
)
from retention.numbers import interval_words, quantity
from retention.results import Estimate, Estimates, Finding, Findings
from retention.settings import study_plan
from retention.stats.curves import kaplan_meier, median
from retention.stats.intervals import Weights
from retention.words import Said, key_of, say, together

BANDS: dict[str, float] = study_plan()["B1"][
    "bands_from_months"
]  # poor, fair, good, excellent: STUDY B1
ALL_KNOWN = 0.95  # (ours) share of client-months under which the page says that money is missing
CLOSE = 0.10  # (ours) a shortcut that is off by less does no harm
MIN_SIGNED = (
    10  # (ours) clients seen from their start, from which the mean cost of winning one is taken
)


def bands(followed: Course) -> Estimates:
    """Shares of clients by how long they stay (B1), from differences of the curve.

    A band that the records do not reach is joined with the last one that they do. Shares add up to
    one.
    """
    stay = survival(followed, followed.weights())
    edges = [int(months) for months in BANDS.values() if months < max(followed.known, 1)]
    ends = [*edges[1:], None]
    gone = int(followed.left.sum())
    counts = (len(followed.spells), gone)
    rows = []
    for place, (low, high) in enumerate(zip(edges, ends, strict=True)):
        share = stay[:, low] if high is None else stay[:, low] - stay[:, high]
        limits = followed.limits(share, "share")
        name = say("economics.bands.share")
        words = _band_words(place, low, high)
        rows.append(Estimate.of("B1", name, words, limits, "share", counts))
    return Estimates(tuple(rows), say("economics.bands.caption"))


def _band_words(place: int, low: int, high: int | None) -> Said:
    """The name of the band at this place, from `low` to `high` months; `high` is None for the last
    that the records reach.
    """
    names = list(BANDS)
    band = names[place]
    if high is None:
        last = place + 1 == len(names)
        return say(
            "economics.bands.over" if last else "economics.bands.or_better", band=band, low=low
        )
    if low == 0:
        return say("economics.bands.under", band=band, high=high)
    return say("economics.bands.between", band=band, low=low, high=high)


def grade(followed: Course) -> Finding:
    """The agency's grade: the band in which half of its clients have left (B1)."""
    if not followed.known:
        return Finding("B1", say("economics.grade.lacking"))
    curve = kaplan_meier(follow_up(followed.spells))
    middle, low, high = median(curve)
    if not middle <= followed.known:
        band = _band(followed.known)
        best = band == list(BANDS)[-1]
        key = "economics.grade.best" if best else "economics.grade.at_least"
        text = say(key, months=followed.known, band=band)
        return Finding("B1", text)
    limits = (
        interval_words(low, high, "months")
        if high <= followed.known
        else say("economics.grade.no_upper")
    )
    return Finding(
        "B1", say("economics.grade.median", months=middle, band=_band(middle), limits=limits)
    )


def _band(months: float) -> str:
    reached = [name for name, first in BANDS.items() if first < months or first == 0]
    return reached[-1]


def shortcut(followed: Course) -> tuple[Estimates, Finding]:
    """Churn a month by month of service, the lifetime that one over churn gives, and whether that
    may be used (B2).

    It holds only where clients leave at one pace all along. Churn is ends over client-months at
    risk; it is held against the mean of the whole curve, carried on beyond what was watched.

    >>> round(100 / 12, 2)  # a lifetime of twelve months: churn of 8.33 % a month
    8.33
    """
    weights = followed.weights()
    there = weights @ followed.at_risk
    gone = weights @ followed.left
    table = _churn_table(followed, there, gone)
    if followed.few or followed.known < min(HORIZONS):
        return table, Finding("B2", say("economics.churn.lacking"))
    ended = np.maximum(gone.sum(axis=1), 1e-12)
    simple = there.sum(axis=1) / ended
    stays = extended(followed, weights)
    mean = stays.sum(axis=1)
    mean_limits = followed.limits(mean, "months")
    return table, _shortcut_words(
        float(simple[0]), mean_limits, followed.limits(simple / mean, "ratio")
    )


def _churn_table(followed: Course, there: Floats, gone: Floats) -> Estimates:
    """Churn a month in spans of months of service, from client-months at risk and ends by month,
    each of shape (m, months).
    """
    last = there.shape[1]
    edges = [0, 6, 12, 18, last]
    rows = []
    for low, high in [*zip(edges, edges[1:], strict=False), (0, last)]:
        in_span = there[:, low:high]
        months = in_span.sum(axis=1)
        gone_in_span = gone[:, low:high]
        ends = gone_in_span.sum(axis=1)
        if low >= high or not months[0]:
            continue
        churn = ends / np.maximum(months, 1e-12)
        limits = followed.limits(churn, "share")
        gone_in_all = int(ends[0])
        counts = (len(followed.spells), gone_in_all)
        group = _months_words(low, high, last)
        estimate = Estimate.of("B2", say("economics.churn.name"), group, limits, "share", counts)
        rows.append(estimate)
    return Estimates(tuple(rows), say("economics.churn.caption"))


def _months_words(low: int, high: int, last: int) -> Said:
    """The name of the months of service from `low` up to `high`, of `last` in all."""
    if (low, high) == (0, last):
        return say("economics.churn.all")
    if high == last:
        return say("economics.churn.after", low=low)
    return say("economics.churn.months", low=low + 1, high=high)


def _shortcut_words(simple: float, mean: list[float], off: list[float]) -> Finding:
    """Whether one over churn (`simple`, months) may stand for the mean lifetime: `mean` and `off`,
    their ratio, are values with their limits.
    """
    limits = interval_words(mean[1], mean[2], "months")
    lead = say("economics.churn.lifetimes", shortcut=simple, mean=mean[0], limits=limits)
    low, high = off[1:]
    if low > 1 + CLOSE or high < 1 - CLOSE:
        verdict = say("economics.churn.misleads")
    elif low >= 1 - CLOSE and high <= 1 + CLOSE:
        verdict = say("economics.churn.harmless", close=CLOSE)
    else:
        verdict = say("economics.churn.unclear", close=CLOSE)
    return Finding("B2", together(lead, verdict))


def segments(spells: pd.DataFrame) -> dict[Said, Floats]:
    """Masks of shape (n,) by term at signing, third by planned spend, and source where known."""
    everybody = np.ones(len(spells), dtype=bool)
    masks = {say("economics.segment.all"): everybody}
    terms = spells["contract_term_months"].astype(int)
    for term in sorted(terms.unique()):
        monthly = say("economics.segment.monthly")
        name = monthly if term == 1 else say("economics.segment.term", months=term)
        masks[name] = (terms == term).to_numpy()
    size = spells["monthly_ad_spend"].astype(float)
    thirds = [1 / 3, 2 / 3]
    low, high = size.quantile(thirds)
    if low < high:
        masks[say("economics.segment.smallest")] = (size <= low).to_numpy()
        between_them = (size > low) & (size <= high)
        masks[say("economics.segment.middle")] = between_them.to_numpy()
        masks[say("economics.segment.largest")] = (size > high).to_numpy()
    if "source" in spells:
        sources = spells["source"].dropna()
        for source in sorted(sources.unique()):
            name = say("economics.segment.source", source=source)
            own = (spells["source"] == source).fillna(False)
            masks[name] = own.to_numpy(bool)
    return masks


@dataclass(frozen=True)
class Values(Estimates):
    """What a new client of each segment is worth, with what `value_words` needs to put it in a
    sentence: the months counted, and what the money is (empty: fees are not known).
    """

    horizon: int = 0
    counts: str = ""

    def about(self, key: str) -> list[Estimate]:
        """The known estimates of one quantity, by the id of its text; all clients first."""
        name = say(key, months=self.horizon)
        return [
            row for row in self.rows if key_of(row.name) == name.key and math.isfinite(row.estimate)
        ]


def value_by_segment(followed: Course) -> Values:
    """What a new client is worth, how long it stays and when it has paid back what winning it cost,
    by segment (B7).

    Over the longest horizon that every segment was watched for; one that was not watched for a year
    shows a dash. Discounted by a tenth a year. Money as `Course.counts` says.
    """
    masks = segments(followed.spells)
    parts = {name: followed.where(mask) for name, mask in masks.items() if mask.any()}
    horizon = horizon_of(*parts.values())
    worth_name = say("economics.value.worth", months=horizon)
    rows = []
    for name, part in parts.items() if horizon else ():
        gone = int(part.left.sum())
        counts = (len(part.spells), gone)
        known = part.known >= horizon
        values = _valued(part, horizon) if known else [(worth_name, [math.nan], "money")]
        rows += [Estimate.of("B7", what, name, v, unit, counts) for what, v, unit in values]
    if not followed.has_money:
        caption = say("economics.value.caption_months", months=horizon)
        return Values(tuple(rows), caption, horizon)
    caption = say("economics.value.caption", months=horizon, counts=followed.counts)
    return Values(tuple(rows), caption, horizon, followed.counts)


def worth_and_cost(values: Values) -> pd.DataFrame:
    """What a new client of each segment is worth, for a picture: `name, estimate, low, high, mark`,
    the last of them what winning it cost, where that is known.
    """
    costs = [row for row in values.rows if key_of(row.name) == "economics.value.cost"]
    cost = {row.group: row.estimate for row in costs}
    rows = [
        (row.group, row.estimate, row.low, row.high, cost.get(row.group, math.nan))
        for row in values.about("economics.value.worth")
    ]
    return pd.DataFrame(rows, columns=["name", "estimate", "low", "high", "mark"])


def value_words(values: Values, currency: str = "") -> Finding:
    """What a new client is worth, in a sentence, with the segments worth most and least; without
    fees, in months.
    """
    worths = values.about("economics.value.worth")
    stays = values.about("economics.value.stayed")
    if not worths and not stays:
        return Finding("B7", say("economics.value.lacking", needs=NEEDS))
    whole, *segments = worths or stays
    value = quantity(whole.estimate, whole.unit)
    limits = interval_words(whole.low, whole.high, whole.unit)
    if worths:
        lead = say(
            "economics.value.brings",
            money=f"{value} {currency}".strip(),
            months=values.horizon,
            limits=limits,
            counts=values.counts,
        )
        text = together(lead, _extremes(segments))
        return Finding("B7", text)
    lead = say("economics.value.stays", stayed=value, months=values.horizon, limits=limits)
    alone = say("economics.value.months_alone", needs=NEEDS)
    text_alone = together(lead, _extremes(segments), alone)
    return Finding("B7", text_alone)


def _extremes(segments: list[Estimate]) -> str:
    """The segments with most and least; empty where their intervals touch, for the best and worst
    of many looks differ by chance.
    """
    ordered = sorted(segments, key=lambda row: -row.estimate)
    if len(ordered) < 2 or not ordered[0].low > ordered[-1].high:
        return ""
    most, least = ordered[0], ordered[-1]
    return say(
        "economics.value.extremes",
        most=most.group,
        most_value=quantity(most.estimate, most.unit),
        least=least.group,
        least_value=quantity(least.estimate, least.unit),
    )


def _valued(part: Course, horizon: int) -> list[tuple[Said, list[float], str]]:
    """What a client of this segment is worth: name, value with its limits, and unit of each
    quantity.
    """
    weights = part.weights()
    stay = survival(part, weights)
    values = []
    if part.has_money:
        paid = paid_there(part, weights)
        name = say("economics.value.worth", months=horizon)
        brought = worth(stay, paid, horizon, part.discount)
        values.append((name, brought, "money"))
        median_worth = _median_worth(part, weights, stay, horizon)
        values.append((say("economics.value.median"), median_worth, "money"))
        cost = _acquisition_cost(part, weights)
        if cost is not None:
            values.append((say("economics.value.cost"), cost, "money"))
            months = payback(stay, paid, cost, part.known)
            values.append((say("economics.value.payback"), months, "months"))
    name = say("economics.value.stayed", months=horizon)
    stayed = stay[:, :horizon].sum(axis=1)
    values.append((name, stayed, "months"))
    return [(what, part.limits(drawn, unit), unit) for what, drawn, unit in values]


def _median_worth(part: Course, weights: Weights, stay: Floats, horizon: int) -> Floats:
    """Worth of a client that pays what half pay less than and stays until half have left (or to the
    horizon).
    """
    months = pd.DataFrame(part.paid)
    mean = months.mean(axis=1).to_numpy()
    there = stay[:, :horizon] > 0.5
    half = there.astype(float)
    by_half = worth(half, np.ones_like(half), horizon, part.discount)
    return weights.medians(mean) * by_half


def _acquisition_cost(part: Course, weights: Weights) -> Floats | None:
    """Mean cost of winning those who signed under observation, shape (m,); None where too few are
    known.
    """
    if "acquisition_cost" not in part.spells:
        return None
    cost = part.spells["acquisition_cost"].to_numpy(float)
    from_start = part.spells["entry_months"] == 0
    known = np.isfinite(cost) & from_start.to_numpy()
    if known.sum() < MIN_SIGNED:
        return None
    signed = weights[:, known].at_signing
    signed_all = np.maximum(signed.sum(axis=1), 1e-12)
    return np.asarray(signed @ cost[known] / signed_all)


def payback(stay: Floats, paid: Floats, cost: Floats, known: int) -> Floats:
    """The first month by whose end a client has brought what winning it cost, shape (m,); inf where
    not by `known`.
    """
    by_month = stay[:, :known] * paid[:, :known]
    brought = np.cumsum(by_month, axis=1)
    there = brought >= cost[:, None]
    month = there.argmax(axis=1) + 1.0
    return np.where(there.any(axis=1), month, np.inf)


def lacking(followed: Course, margins: Course, spells: pd.DataFrame, sellers: object) -> Findings:
    """What is not in the data, and what it would answer."""
    hours = key_of(margins.counts) == key_of(MARGINS)
    no_fees = say("economics.lacking.fees", needs=NEEDS)
    absent = [
        (not followed.has_money, no_fees),
        (not hours, say("economics.lacking.hours")),
        (0 < followed.known_share < ALL_KNOWN, say("economics.lacking.months")),
        ("acquisition_cost" not in spells, say("economics.lacking.cost")),
        (sellers is None, say("economics.lacking.sellers")),
    ]
    findings = tuple(Finding("B7", text) for lacks, text in absent if lacks)
    return Findings(findings, say("economics.lacking.nothing"))
