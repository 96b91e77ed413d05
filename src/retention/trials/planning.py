"""Planning and drawing a trial on a study: what `retention trial` does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from retention.errors import ConfigError
from retention.history.status import active, year_before
from retention.history.trials import ACT
from retention.numbers import quantity
from retention.trials import ledger
from retention.trials.draw import Asked, Pool, draw, pool
from retention.trials.size import Plan, plan
from retention.words import say

LEAST = 4  # (ours) clients under which nothing is drawn
YEAR = 12


def planned(study: Any, name: str, smallest: float | None, horizon: int | None) -> Plan:
    """What a trial of this list takes, from the agency's own predicted risks and margins;
    `smallest` and `horizon` as in [trial] where not given.

    New clients for it come at the pace at which the agency signed in the last year, as many of them
    as are on the list of those there now (ours). ConfigError for a list that cannot be tried.
    """
    usual = study.settings.trial
    months = horizon or usual.horizon_months
    found = pool(study, name, months)
    return _plan(study, name, found, smallest or usual.smallest, months)


def _plan(study: Any, name: str, found: Pool, smallest: float, months: int) -> Plan:
    risks = found.rows["predicted"].to_numpy(float)
    margins = found.rows["margin"].to_numpy(float)
    pace = _a_month(study, len(found.rows))
    return plan(name, risks, margins, pace, months, smallest)


def _a_month(study: Any, on_list: int) -> float:
    """New clients a month for a list that holds so many of those there now."""
    spells = study.spells
    since = year_before(pd.Timestamp(study.cutoff))
    signed = (spells["start_date"] > since).sum() / YEAR
    there = spells.loc[active(spells), "client_id"].nunique()
    return float(signed * on_list / there) if there else 0.0


def words(made: Plan, currency: str) -> list[str]:
    """The plan in sentences."""
    about = {
        "list": say(f"lists.action.{made.list}"),
        "now": made.now,
        "risk": made.risk if made.now else 0.0,
        "months": made.horizon,
        "smallest": made.smallest,
        "a_month": made.a_month,
    }
    lines: list[str] = [say("what_helped.plan.now", **about)]
    if made.clients is None:
        return [*lines, say("what_helped.plan.too_rare", **about)]
    lines.append(say("what_helped.plan.needed", clients=made.clients, **about))
    if not made.feasible:
        return [*lines, say("what_helped.plan.not_feasible", clients=made.clients, **about)]
    lines.append(say("what_helped.plan.takes", takes=made.months, **about))
    if np.isfinite(made.waiting_costs):
        money = f"{quantity(made.waiting_costs, 'money')} {currency}".strip()
        lines.append(say("what_helped.plan.costs", money=money, **about))
    return lines


def drawn(
    study: Any,
    out: Path,
    title: str,
    name: str,
    seed: int,
    smallest: float | None = None,
    horizon: int | None = None,
    most: int | None = None,
    clients: int | None = None,
) -> pd.DataFrame:
    """Draw the clients of a list who may be drawn, `most` of them at most, and add them to the
    ledger `out`; the new rows come back.

    A further draw of a trial goes on with what it was planned for. ConfigError where too few can
    be drawn, where a client of the ledger would be drawn again for the same trial, or where the
    ledger is not as it was written.
    """
    before = ledger.read(out)
    day = pd.Timestamp(study.cutoff)
    mine = before[before["trial"] == title]
    _refuse_other_list(mine, title, name)
    usual = study.settings.trial
    first = mine.iloc[0] if len(mine) else None
    months = int(first["horizon_months"]) if first is not None else horizon or usual.horizon_months
    found = pool(study, name, months)
    rows = _not_drawn(found.rows, before, day)
    if len(rows) < LEAST:
        raise ConfigError(say("what_helped.draw.too_few", n=len(rows), least=LEAST))
    see = float(first["smallest"]) if first is not None else smallest or usual.smallest
    number = int(first["planned"]) if first is not None else clients
    number = number or _plan(study, name, found, see, months).clients or len(rows)
    chosen = _some(rows, most, seed)
    asked = Asked(title, name, seed, months, see, number)
    return ledger.add(out, draw(chosen, asked, day))


def _refuse_other_list(mine: pd.DataFrame, title: str, name: str) -> None:
    """ConfigError where the trial is on file for another list."""
    others = sorted(set(mine["list"].astype(str)) - {name})
    if others:
        raise ConfigError(say("what_helped.draw.other_list", trial=title, list=others[0]))


def _not_drawn(rows: pd.DataFrame, before: pd.DataFrame, day: pd.Timestamp) -> pd.DataFrame:
    """The rows without clients of the ledger whose trial still runs on this day."""
    months = before["horizon_months"].astype(float)
    until = [
        start + pd.DateOffset(months=int(count))
        for start, count in zip(before["drawn_on"], months, strict=True)
    ]
    running = pd.Series(pd.to_datetime(until), before.index, dtype="datetime64[ns]") > day
    busy = before.loc[running, "client_id"]
    kept = rows[~rows["client_id"].isin(busy)]
    return kept.reset_index(drop=True)


def _some(rows: pd.DataFrame, most: int | None, seed: int) -> pd.DataFrame:
    """At most so many of the rows, drawn at random from the seed."""
    if most is None or len(rows) <= most:
        return rows
    rng = np.random.default_rng([seed, 1])
    at = np.sort(rng.permutation(len(rows))[:most])
    return rows.iloc[at].reset_index(drop=True)


def drawn_words(rows: pd.DataFrame) -> list[str]:
    """What was drawn, in sentences."""
    acting = int((rows["arm"] == ACT).sum())
    first = rows.iloc[0]
    return [
        say(
            "what_helped.draw.done",
            trial=first["trial"],
            n=len(rows),
            act=acting,
            wait=len(rows) - acting,
            planned=int(first["planned"]),
            seed=int(first["seed"]),
        ),
        say("what_helped.draw.next", months=int(first["horizon_months"])),
    ]
