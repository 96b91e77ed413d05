"""How long clients stay and what they are worth (B1, B2, B7), from the whole survival curve.

What a client brings in its t-th month is the share still there times what those there pay: the
censored count as long as they were seen, and who pays more and stays longer is no trouble (Lin and
others 1997, for costs of the censored).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from retention.history.features import KEY
from retention.history.follow_up import follow_up
from retention.history.in_charge import rep_codes
from retention.history.money import FEES, MARGINS, NEEDS, planned_fees
from retention.history.snapshots import month_of
from retention.results import (
    MIN_EVENTS_GROUP,
    Estimate,
    Estimates,
    Finding,
    Findings,
    between,
    quantity,
)
from retention.settings import study_plan
from retention.stats.curves import MIN_AT_RISK, kaplan_meier, known_through, median
from retention.stats.intervals import NO_REPS, Weights, with_limits

BANDS: dict[str, float] = study_plan()["B1"][
    "bands_from_months"
]  # poor, fair, good, excellent: STUDY B1
DISCOUNT = 0.10  # a year: METHODS 5
HORIZONS = (
    60,
    48,
    36,
    24,
    12,
)  # months over which value is counted, as far as clients could be watched
DRAWS = 500
SEED = 1
MIN_KNOWN = 0.8  # (ours) share of client-months whose money must be known before it stands for all
ALL_KNOWN = 0.95  # (ours) share of client-months under which the page says that money is missing
PLANNED = "fees as planned at signing"
TAIL_MONTHS = 24  # (ours) months by which the pace of those who stay longest is told
LONGEST = 480  # months that a curve is carried on to beyond what was watched
CLOSE = 0.10  # (ours) a shortcut that is off by less does no harm
MIN_SIGNED = 10  # (ours) clients seen from their start, from which what winning one cost is told
Floats = np.ndarray


@dataclass(frozen=True)
class Course:
    """Engagements by month of service, arrays of shape (n, months): who was at risk, who left, and
    what was paid.

    `of_choice`: left by the client's choice. `paid` is NaN where nothing is on record. `clients`
    (n,) are codes: a client that came back is resampled whole. `counts` says what the money is.
    """

    spells: pd.DataFrame
    at_risk: Floats
    left: Floats
    of_choice: Floats
    paid: Floats
    clients: Floats
    counts: str

    @cached_property
    def known_share(self) -> float:
        """Share of the client-months of which the money is known."""
        return float(np.isfinite(self.paid).sum() / max(self.at_risk.sum(), 1))

    @property
    def has_money(self) -> bool:
        """Whether enough is known of what clients pay, and they pay anything."""
        return self.known_share >= MIN_KNOWN and bool(np.nansum(np.abs(self.paid)) > 0)

    @property
    def few(self) -> bool:
        """Whether too few left for intervals: then what there is is described alone (METHODS 1)."""
        return bool(self.left.sum() < MIN_EVENTS_GROUP)

    def where(self, chosen: Floats) -> Course:
        """The course of the chosen engagements (mask of shape (n,))."""
        parts = (self.at_risk[chosen], self.left[chosen], self.of_choice[chosen], self.paid[chosen])
        return Course(
            self.spells[chosen],
            *parts,
            np.unique(self.clients[chosen], return_inverse=True)[1],
            self.counts,
        )

    @cached_property
    def known(self) -> int:
        """The last month up to which the curve may be read: ten clients at risk all along, or
        everybody gone.
        """
        enough = self.at_risk.sum(axis=0) >= MIN_AT_RISK
        supported = len(enough) if enough.all() else int(np.argmin(enough))
        return int(min(supported, known_through(follow_up(self.spells), MIN_AT_RISK)))

    @cached_property
    def reps(self) -> tuple[Floats, Floats]:
        """Who was in charge by month of service, codes (n, months), -1 for nobody; and
        client-months of each rep.
        """
        if "reps" not in self.spells or not len(self.spells):
            return np.full(self.at_risk.shape, -1), NO_REPS
        codes, names = rep_codes(self.spells["reps"], self.at_risk.shape[1])
        there = self.at_risk > 0
        return codes, np.bincount(codes[there & (codes >= 0)], minlength=len(names)).astype(float)

    def weights(self, draws: int = DRAWS, seed: int = SEED) -> Weights:
        """How often each engagement counts: once, in `draws` resamples of the clients, and as each
        rep is left out.

        Each client is drawn by a Poisson law of its own, so that how many sign is as uncertain as
        who.
        """
        number = int(self.clients.max()) + 1 if len(self.clients) else 0
        again = np.random.default_rng(seed).poisson(1.0, (draws, number))
        times = np.vstack([np.ones(len(self.clients)), again[:, self.clients].astype(float)])
        codes, sizes = self.reps
        last = np.clip(self.spells["stop_months"].to_numpy(int) - 1, 0, None)
        return Weights(times, codes[np.arange(len(codes)), last], sizes, codes, codes[:, 0])

    def limits(self, values: Floats, unit: str = "") -> list[float]:
        """The first value with its 95 % limits (`intervals.with_limits`); the value alone where few
        left.

        `values` by the rows of `weights`, shape (1 + draws + reps,).
        """
        return [float(values[0])] if self.few else with_limits(values, self.reps[1], unit)


def course(spells: pd.DataFrame, money: pd.DataFrame, column: str = "fee") -> Course:
    """The course of these engagements; money from `monthly_money` (column fee or margin), else as
    planned at signing.

    Month of service 0 is the first. Fees of calendar month k after the start's count for month k of
    service, those of a last, begun one for the last month: so nothing that an ended client paid is
    lost.
    """
    entry, stop = (spells[name].to_numpy(int) for name in ("entry_months", "stop_months"))
    months = np.arange(max(int(stop.max(initial=0)), 1))
    at_risk = (entry[:, None] <= months) & (months < stop[:, None])
    left = (stop[:, None] == months + 1) & spells["ended"].to_numpy()[:, None] & at_risk
    choice = left & ~spells["end_kind"].isin(["agency", "neutral"]).to_numpy()[:, None]
    paid, counts = _paid(spells, money, column, at_risk)
    codes = pd.factorize(spells["client_id"])[0]
    return Course(
        spells, at_risk.astype(float), left.astype(float), choice.astype(float), paid, codes, counts
    )


def _paid(
    spells: pd.DataFrame, money: pd.DataFrame, column: str, at_risk: Floats
) -> tuple[Floats, str]:
    planned = np.where(at_risk, planned_fees(spells).to_numpy()[:, None], np.nan)
    if money.empty or money[column].isna().all():
        return planned, PLANNED
    where = spells[[*KEY, "start_date", "stop_months", "ended"]].reset_index(drop=True)
    rows = money.merge(where.assign(row=where.index), on=KEY)
    k = rows["month"] - month_of(rows["start_date"])
    last = rows["stop_months"] - 1
    rows = rows.assign(k=np.where(rows["ended"], np.minimum(k, last), k))[
        (k >= 0) & (rows["ended"] | (k <= last))
    ]
    sums = rows.groupby(["row", "k"])[column].sum(min_count=1)
    paid = np.full(at_risk.shape, np.nan)
    paid[sums.index.get_level_values(0), sums.index.get_level_values(1).astype(int)] = (
        sums.to_numpy(float)
    )
    paid = np.where(at_risk, paid, np.nan)
    if column != "fee":
        return paid, MARGINS
    silent = np.isnan(paid).all(axis=1) & np.isfinite(planned).any(axis=1)
    return np.where(
        silent[:, None], planned, paid
    ), f"{FEES}; as planned where none are on record" if silent.any() else FEES


def best_course(spells: pd.DataFrame, money: pd.DataFrame) -> Course:
    """The course by margins where hours are known of nearly all months, else by fees."""
    margins = (
        course(spells, money, "margin")
        if "margin" in money and money["margin"].notna().any()
        else None
    )
    return margins if margins is not None and margins.has_money else course(spells, money)


def survival(found: Course, weights: Weights | Floats) -> Floats:
    """Share still there as each month begins, shape (m, months + 1), by weights of shape (m, n)."""
    return stay_by(*paces(found, weights))


def paces(found: Course, weights: Weights | Floats) -> tuple[Floats, Floats]:
    """Share leaving by choice, and otherwise, of those there in each month of service; each of
    shape (m, months).
    """
    there = np.maximum(weights @ found.at_risk, 1e-12)
    chose = weights @ found.of_choice
    return np.minimum(chose / there, 1), np.minimum((weights @ found.left - chose) / there, 1)


def stay_by(chose: Floats, other: Floats, slower: float | Floats = 1.0) -> Floats:
    """Share still there as each month begins, from `paces`; `slower` is a power on the share not
    leaving by choice.
    """
    kept = (
        (1 - chose) ** slower * (1 - other / np.maximum(1 - chose, 1e-12))
        if np.any(slower != 1.0)
        else 1 - chose - other
    )
    return np.hstack([np.ones((len(chose), 1)), np.cumprod(np.clip(kept, 0, 1), axis=1)])


def extended(found: Course, weights: Weights | Floats) -> Floats:
    """Share still there as each month begins, carried on beyond what was watched; shape (m, LONGEST
    + 1).

    Those who stay longer leave at the pace of the last two years that were watched. Half an end is
    added to that pace: that nobody left lately does not mean that nobody ever will.
    """
    known = found.known
    stay = survival(found, weights)[:, : known + 1]
    last = slice(max(known - TAIL_MONTHS, 0), known)
    there = np.maximum((weights @ found.at_risk)[:, last].sum(axis=1), 1.0)
    pace = np.minimum(((weights @ found.left)[:, last].sum(axis=1) + 0.5) / there, 1.0)
    later = np.arange(1, LONGEST - known + 1)
    return np.hstack([stay, stay[:, -1:] * (1 - pace[:, None]) ** later])


def paid_there(found: Course, weights: Weights | Floats) -> Floats:
    """What a client still there pays in each month of service, mean, shape (m, months); as before
    where unknown.
    """
    known = np.isfinite(found.paid)
    sums = weights @ np.where(known, found.paid, 0.0)
    counts = weights @ known.astype(float)
    mean = pd.DataFrame(np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0))
    return mean.ffill(axis=1).bfill(axis=1).to_numpy()


def worth(stay: Floats, paid: Floats, horizon: int, discount: float = DISCOUNT) -> Floats:
    """Money that a client brings within `horizon` months, discounted to the day of signing, shape
    (m,).

    sum over t from 0 of paid_t S(t) / (1 + discount)^(t / 12). Source: METHODS 5.

    >>> stay = (1 - 0.08) ** np.arange(601)
    >>> float(worth(stay[None, :], np.full((1, 600), 0.10), 600)[0].round(4))
    1.1458
    """
    t = np.arange(horizon)
    return np.asarray(
        (stay[:, :horizon] * paid[:, :horizon] / (1 + discount) ** (t / 12)).sum(axis=1)
    )


def horizon_of(*parts: Course) -> int:
    """Months over which value is counted: the longest of `HORIZONS` for which all were watched that
    were for a year.
    """
    known = [part.known for part in parts if part.known >= min(HORIZONS)]
    return next((months for months in HORIZONS if known and months <= min(known)), 0)


def bands(found: Course) -> Estimates:
    """Shares of clients by how long they stay (B1), from differences of the curve; and the middling
    lifetime.

    A band that the records do not reach is joined with the last one that they do. Shares add up to
    one.
    """
    weights = found.weights()
    stay = survival(found, weights)
    edges = [int(months) for months in BANDS.values() if months < max(found.known, 1)]
    shares = [stay[:, low] - stay[:, high] for low, high in zip(edges, edges[1:], strict=False)] + [
        stay[:, edges[-1]]
    ]
    counts = (len(found.spells), int(found.left.sum()))
    rows = []
    names = list(BANDS)
    for k, (low, share) in enumerate(zip(edges, shares, strict=True)):
        name = names[k] if k + 1 < len(edges) or k + 1 == len(names) else f"{names[k]} or better"
        told = f"{low} to {edges[k + 1]} months" if k + 1 < len(edges) else f"over {low} months"
        group = (
            f"{name}: {told.replace('0 to', 'under') if low == 0 and k + 1 < len(edges) else told}"
        )
        rows.append(
            Estimate.of(
                "B1", "share of clients", group, found.limits(share, "share"), "share", counts
            )
        )
    return Estimates(
        tuple(rows), "How long clients stay, of all who sign, whether they have left or not"
    )


def grade(found: Course) -> Finding:
    """The agency's grade: the band in which half of its clients have left (B1)."""
    if not found.known:
        return Finding("B1", "Too few clients could be watched to say how long half of them stay.")
    middle, low, high = median(kaplan_meier(follow_up(found.spells)))
    if not middle <= found.known:
        least = quantity(float(found.known), "months")
        name = _band(found.known)
        more = f"{name} at least" if name != list(BANDS)[-1] else name
        return Finding(
            "B1", f"Half of the clients have not left within {least}: {more}, in the study's words."
        )
    limits = (
        f"95% interval {between(low, high, 'months')}"
        if high <= found.known
        else "no upper limit to be seen"
    )
    text = (
        f"Half of the clients leave within {quantity(middle, 'months')} ({limits}): {_band(middle)}"
    )
    return Finding("B1", f"{text}, in the study's words.")


def _band(months: float) -> str:
    return [name for name, first in BANDS.items() if first < months or first == 0][-1]


def shortcut(found: Course) -> tuple[Estimates, Finding]:
    """Churn a month by month of service, the lifetime that one over churn gives, and whether that
    may be used (B2).

    It holds only where clients leave at one pace all along. Churn is ends over client-months at
    risk; it is held against the mean of the whole curve, carried on beyond what was watched.

    >>> round(100 / 12, 2)  # a lifetime of twelve months: churn of 8.33 % a month
    8.33
    """
    weights = found.weights()
    edges = [0, 6, 12, 18, found.at_risk.shape[1]]
    there = weights @ found.at_risk
    gone = weights @ found.left
    rows = []
    for low, high in [*zip(edges, edges[1:], strict=False), (0, edges[-1])]:
        months = there[:, low:high].sum(axis=1)
        ends = gone[:, low:high].sum(axis=1)
        if low < high and months[0]:
            group = f"after month {low}" if high == edges[-1] else f"months {low + 1} to {high}"
            group = "all months" if (low, high) == (0, edges[-1]) else group
            churn = ends / np.maximum(months, 1e-12)
            counts = (len(found.spells), int(ends[0]))
            rows.append(
                Estimate.of(
                    "B2", "churn a month", group, found.limits(churn, "share"), "share", counts
                )
            )
    table = Estimates(
        tuple(rows), "Churn a month by month of service: those who left over those who were there"
    )
    if found.few or found.known < min(HORIZONS):
        return table, Finding("B2", "Too few have left to say at what pace clients go.")
    simple = there.sum(axis=1) / np.maximum(gone.sum(axis=1), 1e-12)
    mean = extended(found, weights).sum(axis=1)
    low, high = found.limits(simple / mean, "ratio")[1:]
    told = [found.limits(values, "months") for values in (simple, mean)]
    text = (
        f"One over churn gives a mean lifetime of {told[0][0]:.1f} months, the whole curve "
        f"{told[1][0]:.1f} (95% "
        f"interval {between(told[1][1], told[1][2], 'months')}). "
    )
    if low > 1 + CLOSE or high < 1 - CLOSE:
        text += "The shortcut misleads here, for clients do not leave at one pace."
    elif low >= 1 - CLOSE and high <= 1 + CLOSE:
        text += f"Here the shortcut does no harm: it is off by less than {CLOSE:.0%}."
    else:
        text += f"Whether the shortcut is off by more than {CLOSE:.0%} cannot be told."
    return table, Finding("B2", text)


def segments(spells: pd.DataFrame) -> dict[str, Floats]:
    """Masks of shape (n,) by term at signing, third by planned spend, and source where known."""
    terms = spells["contract_term_months"].astype(int)
    found = {"all clients": np.ones(len(spells), dtype=bool)}
    for term in sorted(terms.unique()):
        name = "month-to-month" if term == 1 else f"{term} months' term"
        found[name] = (terms == term).to_numpy()
    size = spells["monthly_ad_spend"].astype(float)
    low, high = size.quantile([1 / 3, 2 / 3])
    if low < high:
        thirds = {
            "smallest third by spend": size <= low,
            "middle third": (size > low) & (size <= high),
        }
        found |= {
            name: mask.to_numpy()
            for name, mask in (thirds | {"largest third": size > high}).items()
        }
    if "source" in spells:
        for source in sorted(spells["source"].dropna().unique()):
            found[f"from {source}"] = (spells["source"] == source).fillna(False).to_numpy(bool)
    return found


def value_by_segment(found: Course) -> Estimates:
    """What a new client is worth, how long it stays and when it has paid back what winning it cost,
    by segment (B7).

    Over the longest horizon that every segment was watched for; one that was not watched for a year
    shows a dash. Discounted by a tenth a year. Money as `Course.counts` says.
    """
    parts = {name: found.where(mask) for name, mask in segments(found.spells).items() if mask.any()}
    horizon = horizon_of(*parts.values())
    rows = []
    for name, part in parts.items() if horizon else ():
        counts = (len(part.spells), int(part.left.sum()))
        values = (
            _valued(part, horizon)
            if part.known >= horizon
            else {f"worth over {horizon} months": [math.nan]}
        )
        for what, value in values.items():
            unit = "months" if what.startswith("months") else "money"
            rows.append(Estimate.of("B7", what, name, value, unit, counts))
    what = (
        f"{found.counts}, discounted"
        if found.has_money
        else "months of service alone: fees are not known"
    )
    return Estimates(tuple(rows), f"What a new client is worth over {horizon} months ({what})")


def value_words(table: Estimates, currency: str = "") -> Finding:
    """What a new client is worth, in a sentence, with the segments worth most and least; without
    fees, in months.
    """
    rows = [r for r in table.rows if r.name.startswith("worth over") and math.isfinite(r.estimate)]
    stays = [r for r in table.rows if r.name.startswith("months stayed")]
    if not rows and not stays:
        return Finding(
            "B7",
            f"What a client is worth cannot be told yet. It takes {NEEDS}, and a year of service "
            "watched.",
        )
    whole = (rows or stays)[0]
    rest = sorted((rows or stays)[1:], key=lambda row: -row.estimate)
    value = quantity(whole.estimate, whole.unit)
    limits = f"95% interval {between(whole.low, whole.high, whole.unit)}"
    text = f"A new client stays {value} {whole.name.removeprefix('months stayed ')} ({limits})"
    if rows:
        text = (
            f"A new client brings {value} {currency} {whole.name.removeprefix('worth ')} ({limits})"
        )
    if (
        len(rest) > 1 and rest[0].low > rest[-1].high
    ):  # intervals that do not touch: more than the luck of many looks
        each = [f"{row.group} ({quantity(row.estimate, row.unit)})" for row in (rest[0], rest[-1])]
        text += f": most the {each[0]}, least the {each[1]}"
    tail = (
        table.caption[table.caption.index("(") + 1 : -1]
        if rows
        else f"what that is worth takes {NEEDS}"
    )
    return Finding("B7", " ".join(f"{text}; {tail}.".split()))


def _valued(part: Course, horizon: int) -> dict[str, list[float]]:
    weights = part.weights()
    stay = survival(part, weights)
    values = {}
    if part.has_money:
        paid = paid_there(part, weights)
        values[f"worth over {horizon} months"] = part.limits(worth(stay, paid, horizon), "money")
        values["worth of the middling client"] = part.limits(
            _middling(part, weights, stay, horizon), "money"
        )
        if (cost := _won(part, weights)) is not None:
            values["cost of winning it"] = part.limits(cost, "money")
            values["months until that is paid back"] = part.limits(
                payback(stay, paid, cost, part.known), "months"
            )
    return values | {
        f"months stayed of the first {horizon}": part.limits(
            stay[:, :horizon].sum(axis=1), "months"
        )
    }


def _middling(part: Course, weights: Weights, stay: Floats, horizon: int) -> Floats:
    """Worth of a client that pays what half pay less than and stays until half have left (or to the
    horizon).
    """
    mean = pd.DataFrame(part.paid).mean(axis=1).to_numpy()
    half = (stay[:, :horizon] > 0.5).astype(float)
    return weights.medians(mean) * worth(half, np.ones_like(half), horizon)


def _won(part: Course, weights: Weights) -> Floats | None:
    """Mean cost of winning those who signed under observation, shape (m,); None where too few are
    known.
    """
    if "acquisition_cost" not in part.spells:
        return None
    cost = part.spells["acquisition_cost"].to_numpy(float)
    known = np.isfinite(cost) & (part.spells["entry_months"] == 0).to_numpy()
    if known.sum() < MIN_SIGNED:
        return None
    signed = weights[:, known].at_signing
    return np.asarray(signed @ cost[known] / np.maximum(signed.sum(axis=1), 1e-12))


def payback(stay: Floats, paid: Floats, cost: Floats, known: int) -> Floats:
    """The first month by whose end a client has brought what winning it cost, shape (m,); inf where
    not by `known`.
    """
    brought = np.cumsum(stay[:, :known] * paid[:, :known], axis=1)
    there = brought >= cost[:, None]
    return np.where(there.any(axis=1), there.argmax(axis=1) + 1.0, np.inf)


def lacking(found: Course, margins: Course, spells: pd.DataFrame, sellers: object) -> Findings:
    """What is not in the data, and what it would answer."""
    told = {
        (
            NEEDS,
            "what a client is worth, where revenue levels off and what would move it",
        ): not found.has_money,
        ("hours with what they cost (tables hours and staff)", "worth after costs"): margins.counts
        != MARGINS,
        ("what each client paid in each month", "all of this better"): 0
        < found.known_share
        < ALL_KNOWN,
        ("acquisition_cost in clients", "when winning a client is paid back"): "acquisition_cost"
        not in spells,
        ("sellers and their salaries (table staff)", "whether another seller pays"): sellers
        is None,
    }
    lacks = [
        Finding("B7", f"Not in the data: {what}. It would tell {why}.")
        for (what, why), no in told.items()
        if no
    ]
    return Findings(
        tuple(lacks),
        "Nothing is lacking: fees, hours, the cost of winning clients and sellers are known.",
    )
