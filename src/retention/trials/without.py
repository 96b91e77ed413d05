"""What is said of what was done without a trial: association among clients made alike by overlap
weights, held against a control from before (METHODS 12).
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from retention.contrast import MIN_EVENTS_GROUP, Contrast
from retention.numbers import interval_words
from retention.results import Estimate, Estimates, Finding, Findings
from retention.trials.balanced import APART, FEW, FEWER, MORE, Done, e_value, e_value_of_limit
from retention.trials.followed import DAYS, done
from retention.words import Said, say, together

ROW = "E3"


def without(study: Any) -> Estimates:
    """What was done without a trial, and who left after it (E3): `estimates` of `done`."""
    return estimates(done(study))


def estimates(made: tuple[Done, ...]) -> Estimates:
    """Counts, and where enough left the weighted shares, their difference and ratio, E-values and
    the control.
    """
    rows = [row for one in made if one.lacking is None for row in _estimates(one)]
    return Estimates(tuple(rows), say("what_helped.without.caption", days=DAYS))


def _estimates(one: Done) -> list[Estimate]:
    group = say(f"what_helped.without.group.{one.id}")
    both = one.clients(True), one.ends(True)
    others = one.clients(False), one.ends(False)
    known = say("what_helped.without.clients_done", days=DAYS)
    rest = say("what_helped.without.clients_others")
    counted = [
        Estimate.of(ROW, known, group, both[:1], "count", both),
        Estimate.of(ROW, rest, group, others[:1], "count", others),
    ]
    if one.few:
        return [*counted, *_ends(group, both, others)]
    rows = [*counted, *_shares(one, group, both, others)]
    return [*rows, *_control(one, group)]


def _ends(group: Said, both: tuple[int, int], others: tuple[int, int]) -> list[Estimate]:
    """The counts of who left, where there is nothing more to say."""
    with_it = say("what_helped.without.left_done")
    without_it = say("what_helped.without.left_others")
    return [
        Estimate.of(ROW, with_it, group, both[1:], "count", both),
        Estimate.of(ROW, without_it, group, others[1:], "count", others),
    ]


def _shares(
    one: Done, group: Said, both: tuple[int, int], others: tuple[int, int]
) -> list[Estimate]:
    counts = one.difference.n_clients, one.difference.n_events
    ratio = one.ratio_limits
    points = [100 * value for value in (one.difference.theta, *one.difference.interval())]
    share_done, share_others = one.shares
    nearest = e_value_of_limit(*ratio[1:])
    shown = [
        ("share_done", (share_done,), "share", both),
        ("share_others", (share_others,), "share", others),
        ("difference", points, "number", counts),
        ("ratio", ratio, "ratio", counts),
        ("e_value", (e_value(ratio[0]),), "ratio", counts),
        ("e_limit", (nearest,), "ratio", counts),
    ]
    return [
        Estimate.of(ROW, say(f"what_helped.without.{name}"), group, values, unit, of)
        for name, values, unit, of in shown
    ]


def _control(one: Done, group: Said) -> list[Estimate]:
    found = one.control
    if found is None:
        return []
    name = say(f"what_helped.without.control.{found.name}")
    values = (found.theta, *found.interval())
    return [Estimate.of(ROW, name, group, values, "number", (found.n_clients, 0))]


def findings(made: tuple[Done, ...]) -> Findings:
    """What each thing goes with, in sentences."""
    return Findings(tuple(finding(one) for one in made))


def finding(one: Done) -> Finding:
    """What one thing done without a trial goes with: which record is lacking, counts where few
    left, else the shares, what to make of them, and how strong a hidden cause would have to be.
    """
    if one.lacking is not None:
        return Finding(ROW, one.lacking)
    if one.few:
        return Finding(ROW, _few_words(one))
    share_done, share_others = one.shares
    shares = {"done": share_done, "others": share_others}
    lead = say(f"what_helped.without.lead.{one.id}", months=one.months, **shares)
    parts = [lead, _interval_words(one), say(f"what_helped.without.verdict.{one.verdict}")]
    if one.verdict == APART and one.control is not None:
        parts.append(_apart_words(one.control))
    if one.verdict in (FEWER, MORE):
        parts.append(_hidden_words(one))
    if one.control is None:
        parts.append(say("what_helped.without.unchecked"))
    return Finding(ROW, together(*parts))


def _few_words(one: Done) -> Said:
    counts = {
        "left": one.ends(True),
        "n": one.clients(True),
        "others_left": one.ends(False),
        "others": one.clients(False),
    }
    lead = say(f"what_helped.without.few.{one.id}", months=one.months, **counts)
    return together(lead, say("what_helped.without.too_few", least=MIN_EVENTS_GROUP))


def _interval_words(one: Done) -> Said:
    low, high = one.difference.interval()
    found = {"points": 100 * one.difference.theta, "low": 100 * low, "high": 100 * high}
    return say("what_helped.without.points", **found)


def _apart_words(found: Contrast) -> Said:
    interval = interval_words(*found.interval(), "number")
    before = say(f"what_helped.without.control.{found.name}")
    return say("what_helped.without.apart", before=before, gap=found.theta, interval=interval)


def _hidden_words(one: Done) -> Said:
    ratio = one.ratio_limits
    values = {"e_value": e_value(ratio[0]), "limit": e_value_of_limit(*ratio[1:])}
    return say("what_helped.without.hidden", **values)


def frame(made: tuple[Done, ...]) -> pd.DataFrame:
    """A row a thing that can be compared, for a chart: `id, action, difference, low, high` in
    percentage points, `trusted` (the control does not speak against it), `clients, ends`.
    """
    columns = ["id", "action", "difference", "low", "high", "trusted", "clients", "ends"]
    compared = [one for one in made if one.verdict not in ("", FEW)]
    return pd.DataFrame([_row(one) for one in compared], columns=columns)


def _row(one: Done) -> dict[str, object]:
    low, high = one.difference.interval()
    return {
        "id": one.id,
        "action": say(f"what_helped.without.group.{one.id}"),
        "difference": 100 * one.difference.theta,
        "low": 100 * low,
        "high": 100 * high,
        "trusted": one.verdict != APART,
        "clients": one.difference.n_clients,
        "ends": one.difference.n_events,
    }
