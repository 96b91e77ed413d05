"""What is held fixed, told and compared at equal opportunity: made-up agencies, figures in
docs/calibration-held.md.

Run by `make simulate`. The agencies are made here, step by step as their makers would be: who signs
what, when the wish to leave first comes, and when it can be acted on. What is planted is the ratio
of the wish to leave.
"""

from __future__ import annotations

import argparse
import datetime as dt
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

import kept
from retention.claims.ad_spend import missing_sizes, size_hazard_ratio
from retention.claims.contract_checks import on_time
from retention.claims.contract_term import contract_hazard_ratio
from retention.claims.judge import CLAIMS, judge
from retention.claims.profile import SIZE, TERM, beyond_chance, p_values
from retention.contrast import Contrast
from retention.history.opportunities import compare, exit_rows
from retention.history.spells import build_spells
from retention.settings import Extra

NOTE = Path(__file__).parents[1] / "docs" / "calibration-held.md"
KEPT = NOTE.parents[1] / ".simulate-held.jsonl"
FIRST, MONTHS = pd.Timestamp("2021-01-01"), 60
CUTOFF = dt.date(2025, 12, 31)
HAZARD, BREACH = 0.04, 0.10
YEAR = 12
RUNS = 200


@dataclass(frozen=True)
class Planted:
    """What is true of a made-up agency, on the log scale of the wish to leave where nothing else is
    said.
    """

    term: float = 0.0  # month-to-month over fixed
    spend: float = 0.0  # a standard deviation of log spend
    hidden: float = 0.0  # a standard deviation of a further number, which drives spend as well
    numbers: int = 1  # such columns, of which the first matters
    seeks: float = 0.5  # what spend does to signing for longer
    upgrades: float = 0.0  # share of month-to-month clients that go over to a year, each month
    trend: float = 0.0  # a year
    zeros: float = 0.0  # share of those who left within half a year whose spend was written as 0
    days: int = 0  # end dates are off by up to so many, either way
    sizes: str = "any"  # or "packages", "minimum"


def agency(planted: Planted, clients: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The clients and the contracts of a made-up agency, every client on record from the first day
    of the records.
    """
    rng = np.random.default_rng([seed, clients])
    month = rng.integers(0, MONTHS, clients)
    hidden = rng.normal(size=(clients, planted.numbers))
    size = rng.normal(size=clients)
    if planted.hidden:
        size = (size + 1.2 * hidden[:, 0]) / math.hypot(1, 1.2)
    gumbel = rng.gumbel(size=(clients, 3))
    wants = np.array([0.6, -0.1, -0.1]) + planted.seeks * size[:, None] * np.array([0, 0.6, 1.0])
    term = np.array([1, 6, YEAR])[(wants + gumbel).argmax(axis=1)]
    log_pace = planted.term * (term == 1) + planted.spend * size + planted.hidden * hidden[:, 0]
    year = (month[:, None] + np.arange(MONTHS)) / YEAR - 2.5
    chance = -np.expm1(-HAZARD * np.exp(log_pace[:, None] + planted.trend * year))
    wish = 1 + _first(rng.random((clients, MONTHS)) < chance)
    changed = 1 + _first(rng.random((clients, MONTHS)) < planted.upgrades)
    changed = np.where((term == 1) & (changed < wish) & (changed + month < MONTHS), changed, MONTHS)
    end = _released(wish, term, changed, rng.random(clients) < BREACH)
    start = _day(month)
    last = _day(month + end) - pd.Timedelta(days=1)
    off = pd.to_timedelta(rng.integers(-planted.days, planted.days + 1, clients), unit="D")
    last = (last + off).where((month + end <= MONTHS) & (last + off <= pd.Timestamp(CUTOFF)))
    spend = _spend(size, planted.sizes)
    erased = (end <= 6) & last.notna() & (rng.random(clients) < planted.zeros)
    ids = [f"c{number:05d}" for number in range(clients)]
    table = pd.DataFrame(
        {"client_id": ids, "start_date": start, "end_date": last, "contract_term_months": term}
    )
    table = table.assign(monthly_ad_spend=np.where(erased, 0.0, spend), end_initiator="client")
    table = table.assign(fee_pct=table["contract_term_months"].map({1: 10.0, 6: 8.0, YEAR: 6.0}))
    table = table.assign(**{f"number_{k + 1}": hidden[:, k] for k in range(planted.numbers)})
    return table, _contracts(table, term, month, changed)


def _first(hits: np.ndarray) -> np.ndarray:
    """The first hit of each row, or as many as there are columns."""
    return np.where(hits.any(axis=1), hits.argmax(axis=1), hits.shape[1])


def _released(
    wish: np.ndarray, term: np.ndarray, changed: np.ndarray, breach: np.ndarray
) -> np.ndarray:
    """The month of service with which each client ends: at the wish, or when the term in force
    comes due.
    """
    since = np.where(wish > changed, changed, 0)
    force = np.where(wish > changed, YEAR, term)
    due = since + force * np.ceil((wish - since) / force)
    return np.where(breach, wish, due).astype(int)


def _day(months: np.ndarray) -> pd.Series:
    numbers = FIRST.to_period("M").ordinal + np.asarray(months)
    return pd.Series(pd.PeriodIndex.from_ordinals(numbers, freq="M").to_timestamp())


def _spend(size: np.ndarray, sizes: str) -> np.ndarray:
    """Planned spend: any, of three packages, or with a third of clients at a minimum."""
    spend = np.round(8000 * np.exp(size), 2)
    if sizes == "packages":
        return np.array([2000.0, 8000.0, 20_000.0])[np.searchsorted([-0.3, 0.8], size)]
    return np.maximum(spend, np.quantile(spend, 0.3)) if sizes == "minimum" else spend


def _contracts(
    table: pd.DataFrame, term: np.ndarray, month: np.ndarray, changed: np.ndarray
) -> pd.DataFrame:
    """A contract for each client, and a second one for those who went over to a year."""
    signed = pd.DataFrame(
        {"client_id": table["client_id"], "term_start": table["start_date"], "term_months": term}
    )
    moved = pd.DataFrame(
        {"client_id": table["client_id"], "term_start": _day(month + changed), "term_months": YEAR}
    )
    both = pd.concat([signed, moved[changed < MONTHS]], ignore_index=True)
    return both.assign(signed_on=both["term_start"])


Told = dict[str, Contrast | bool]  # estimates, and things that come true or do not
NULL, TWICE = Planted(), Planted(term=math.log(2), spend=-0.2)


def followed(clients: pd.DataFrame) -> pd.DataFrame:
    """The engagements of a made-up agency."""
    return build_spells(clients, cutoff=CUTOFF)


def held(planted: Planted, clients: int, seed: int) -> Told:
    """Both ratios without and with the further numbers held fixed: nothing is planted in the term
    or the size.
    """
    table, contracts = agency(planted, clients, seed)
    spells = followed(table)
    extra = {f"number_{k + 1}": Extra(kind="number") for k in range(planted.numbers)}
    found = {}
    for ratio, name in ((size_hazard_ratio, "A4"), (contract_hazard_ratio, "A1")):
        found[f"{name}, without the column"] = ratio(spells, contracts=contracts)
        found[f"{name}, with it declared"] = ratio(spells, contracts=contracts, extra=extra)
    said = found["A4, with it declared"].caveats[0]
    return {**found, "A4: the column that matters is among those held": "number_1" in said}


def zeros(planted: Planted, clients: int, seed: int) -> Told:
    """A1 where sizes were written as 0, told as such, as 1, and with sizes as they were; and
    whether it is warned.
    """
    table, contracts = agency(planted, clients, seed)
    whole, _ = agency(replace(planted, zeros=0.0), clients, seed)
    as_one = table.assign(monthly_ad_spend=table["monthly_ad_spend"].clip(lower=1))
    at_random = np.random.default_rng([seed, 1]).random(clients) < 0.15
    blank = whole.assign(monthly_ad_spend=whole["monthly_ad_spend"].mask(at_random))
    ratio = {"A1, 0 is not known": table, "A1, 0 as a size": as_one, "A1, no size lost": whole}
    found = {
        name: contract_hazard_ratio(followed(rows), contracts=contracts)
        for name, rows in ratio.items()
    }
    warned = {"warned": table, "warned where blanks are by chance": blank}
    return found | {
        name: bool(missing_sizes(followed(rows), contracts)) for name, rows in warned.items()
    }


def apart(planted: Planted, clients: int, seed: int) -> Told:
    """Whether A9 names anything, and the term: beside it stand things that mean nothing."""
    table, contracts = agency(planted, clients, seed)
    rng = np.random.default_rng([seed, 2])
    table["source"], table["industry"] = (
        rng.choice(list(letters), clients) for letters in ("abcd", "abcdef")
    )
    flags = ("rush", "champion", "prepaid", "written_brief")
    table = table.assign(**{name: rng.random(clients) < 0.4 for name in flags})
    named = beyond_chance(p_values(followed(table), {}, contracts))
    return {
        "something named": bool(named),
        "the term named": TERM in named,
        "the size named": SIZE in named,
    }


def dates(planted: Planted, clients: int, seed: int) -> Told:
    """A1 as planned, with ends near a renewal counted as at it, and without anything of the
    calendar.
    """
    table, contracts = agency(planted, clients, seed)
    spells = followed(table)
    rows = exit_rows(spells, contracts)
    monthly, names = rows["contract_term_months"] == 1, ("month-to-month", "fixed term")
    blocks = ("calendar_time", "half_year")
    found = {"A1, as planned": contract_hazard_ratio(spells, contracts=contracts)}
    found["A1, ends near a renewal at it"] = contract_hazard_ratio(
        on_time(spells), contracts=contracts
    )
    for what, left_out in (("half-years cannot be held", blocks[1:]), ("no time is held", blocks)):
        found[f"A1, {what}"] = compare(rows, monthly, names, name=what, leave_out=left_out).contrast
    return found


def terms(planted: Planted, clients: int, seed: int) -> Told:
    """A1 with changes of term on record, and without."""
    table, contracts = agency(planted, clients, seed)
    spells = followed(table)
    found = {"A1, contracts on record": contract_hazard_ratio(spells, contracts=contracts)}
    return {**found, "A1, the term signed first": contract_hazard_ratio(spells)}


def steps(planted: Planted, clients: int, seed: int) -> Told:
    """A4 where sizes come in steps: whether it is compared at all, whether it is warned to look
    again.
    """
    table, contracts = agency(planted, clients, seed)
    verdict = judge(CLAIMS["A4"], size_hazard_ratio(followed(table), contracts=contracts))
    found = {
        "A4 compared": math.isfinite(verdict.estimate),
        "the interval excludes 1": not verdict.low < 1 < verdict.high,
    }
    return {**found, "told that nearly all are of one size": "of one size" in verdict.why}


Tried = tuple[str, Callable[[Planted, int, int], Told], Planted, int]


def tried() -> list[Tried]:
    """The worlds: in words, what is tried in them, what is planted, and how many clients
    there are.
    """
    found: list[Tried] = []
    for ratio in (2, 1):
        true = replace(TWICE, term=math.log(ratio))
        for share in (0.01, 0.02, 0.05):
            words = f"{share:.0%} go over to a year each month, ratio {ratio}"
            found.append((words, terms, replace(true, upgrades=share), 600))
        for share in (0.5, 1.0):
            words = f"spend is 0 for {share:.0%} of early leavers, ratio {ratio}"
            found.append((words, zeros, replace(true, spend=-0.3, zeros=share), 600))
        found.append(
            (f"leaving falls by 26 % a year, ratio {ratio}", dates, replace(true, trend=-0.3), 600)
        )
        found.append(
            (f"dates off by up to ten days, ratio {ratio}", dates, replace(true, days=10), 600)
        )
    found += [("nobody differs", apart, NULL, clients) for clients in (150, 600)]
    found.append(("the term doubles leaving, size lessens it", apart, TWICE, 600))
    found.append(
        ("three packages, size plays no part", steps, replace(NULL, sizes="packages"), 400)
    )
    found.append(
        ("three packages, size matters", steps, replace(NULL, spend=-0.5, sizes="packages"), 400)
    )
    found.append(
        ("30 % at a minimum, size matters", steps, replace(NULL, spend=-0.5, sizes="minimum"), 400)
    )
    hidden = "a number drives spend and leaving"
    for clients in (100, 400, 1500):
        found.append((hidden, held, Planted(hidden=-0.35), clients))
        found.append(
            (f"{hidden}, two more do nothing", held, Planted(hidden=-0.35, numbers=3), clients)
        )
    return found


LINES = """\
# Held fixed, told, compared at equal opportunity: what made-up agencies show

Made by `{command}` (tests/simulate_held.py): {runs} made-up agencies for each world, seeds 0 to {last}. Truth is the
planted log ratio (of A4 with a hidden number: 0, for spend itself does nothing). 'Off by' is the mean of the estimates
less the truth, with its Monte-Carlo standard error; 'covers' the share of 95 % intervals with the truth in them. Where
a thing comes true or does not, the share of agencies stands in the last column.

| world | clients | what | truth | off by | covers or share |
|---|---|---|---|---|---|
{rows}
"""


def told(found: Told) -> dict[str, list[float] | bool]:
    """What was found as it is kept: of an estimate theta and its 95 % limits."""
    return {
        what: [value.theta, *value.interval()] if isinstance(value, Contrast) else bool(value)
        for what, value in found.items()
    }


def one(key: tuple[str, int, int]) -> dict[str, list[float] | bool]:
    """What one agency of a world comes to."""
    world, clients, seed = key
    _, try_one, planted, _ = next(each for each in tried() if each[::3] == (world, clients))
    return told(try_one(planted, clients, seed))


def row(world: str, clients: int, planted: Planted, what: str, found: list) -> str:
    """One line of the note: an estimate held against its truth, or how often a thing came true."""
    start = f"| {world} | {clients:,} | {what} |"
    if isinstance(found[0], bool):
        return f"{start} | | {np.mean(found):.1%} |"
    truth = planted.term if what.startswith("A1") else 0.0
    value, low, high = np.array([each for each in found if math.isfinite(each[0])]).T
    off = value - truth
    error = off.std() / math.sqrt(len(off))
    covers = np.mean((low < truth) & (truth < high))
    return f"{start} {truth:.3f} | {off.mean():+.3f} ({error:.3f}) | {covers:.1%} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    runs = parser.parse_args().runs
    worlds = tried()
    keys = [(each[0], each[3], seed) for seed in range(runs) for each in worlds]
    found = kept.gather(KEPT, __file__, keys, one)
    lines = []
    for world, _, planted, clients in worlds:
        each = [found[world, clients, seed] for seed in range(runs)]
        lines += [
            row(world, clients, planted, what, [run[what] for run in each]) for what in each[0]
        ]
    command = "make simulate" if runs == RUNS else f'make simulate ARGS="--runs {runs}"'
    text = LINES.format(command=command, runs=runs, last=runs - 1, rows="\n".join(lines))
    NOTE.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
