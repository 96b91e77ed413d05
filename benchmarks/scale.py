"""What size costs: features of a panel of ten million rows beside idiomatic pandas, curves beside
lifelines.

Run by `make bench`; writes benchmarks/scale.md. CPU seconds and peak memory of a process of its own
for each step. `python benchmarks/scale.py 1000000` does the features of a hundred million rows as
well (needs an hour).
"""

from __future__ import annotations

import datetime as dt
import os
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import polars as pl

NOTE = Path(__file__).parent / "scale.md"
MONTHS, CLIENTS = 100, 100_000
FIRST, CUTOFF = np.datetime64("2015-01"), dt.date(2023, 4, 30)
ROUNDS = 3


def panel(folder: Path, clients: int) -> None:
    """Clients of a hundred months each, all on record a week into the next month; sorted by
    client.
    """
    rng, number = np.random.default_rng(1), np.arange(clients)
    ids = np.char.add("c", np.char.zfill(number.astype(str), 8))
    people = pl.DataFrame(
        {"client_id": ids, "contract_term_months": rng.choice([1, 6, 12], clients)}
    )
    people = people.with_columns(start_date=dt.date(2015, 1, 1), end_date=None)
    spend = np.exp(rng.normal(8, 1, clients)).round(2)
    people.with_columns(pl.Series("monthly_ad_spend", spend)).write_parquet(
        folder / "clients.parquet"
    )
    month = (FIRST + np.arange(MONTHS)).astype("datetime64[us]")
    known = (FIRST + np.arange(MONTHS) + 1).astype("datetime64[us]") + np.timedelta64(7, "D")
    parts = []
    for block in np.array_split(number, max(clients // 50_000, 1)):
        paid = spend[block].repeat(MONTHS) * np.exp(rng.normal(0, 0.2, len(block) * MONTHS))
        rows = {
            "client_id": ids[block].repeat(MONTHS),
            "month": np.tile(month, len(block)),
            "ad_spend": paid,
        }
        rows |= {"fee": paid * 0.08, "recorded_at": np.tile(known, len(block))}
        parts.append(folder / f"part{len(parts)}.parquet")
        pl.DataFrame(rows).write_parquet(parts[-1])
    pl.scan_parquet(parts).sink_parquet(folder / "account_months.parquet")
    for part in parts:
        part.unlink()


def ours(folder: Path, out: Path) -> None:
    from retention.history.spells import build_spells
    from retention.history.window import Window
    from retention.score.engines import write_features
    from retention.settings import ResultsSettings

    clients = pd.read_parquet(folder / "clients.parquet")
    clients = clients.assign(start_date=pd.to_datetime(clients["start_date"]), end_date=pd.NaT)
    spells = build_spells(clients, cutoff=CUTOFF)
    dates = {"begin": pd.Timestamp("2015-01-01"), "cutoff": pd.Timestamp(CUTOFF)}
    write_features(
        folder,
        spells,
        out,
        window=Window(),
        results=ResultsSettings(),
        **dates,
        tell=lambda _: None,
    )


def idiomatic(folder: Path, out: Path) -> None:
    """The same features of spend and fee as an analyst would write them in pandas."""
    rows = pd.read_parquet(folder / "account_months.parquet")
    seen = rows[["month", "recorded_at"]].max(axis=1)
    rows["month"] = seen.dt.year * 12 + seen.dt.month - 1
    rows["spend"], rows["fee_log"] = np.log(rows["ad_spend"]), np.log(rows["fee"])
    sums = rows.groupby(["client_id", "month"]).agg(
        spend=("spend", "sum"), spend_n=("spend", "count"), fee=("fee_log", "sum"), fee_n=("fee_log", "count"),
        paid=("fee", "sum"), paid_n=("fee", "count"),
    ).reset_index()  # fmt: skip
    clients = pd.read_parquet(folder / "clients.parquet")
    start = pd.to_datetime(clients["start_date"])
    clients["first"] = start.dt.year * 12 + start.dt.month - 1
    months = pd.DataFrame({"month": np.arange(2015 * 12, 2015 * 12 + MONTHS)})
    grid = clients[["client_id", "first", "contract_term_months", "monthly_ad_spend"]].merge(
        months, how="cross"
    )
    grid = grid.merge(sums, on=["client_id", "month"], how="left").sort_values(
        ["client_id", "month"]
    )
    counted = ["spend", "spend_n", "fee", "fee_n", "paid", "paid_n"]
    grid[counted] = grid[counted].fillna(0.0)
    by = grid.groupby("client_id")
    rolled = {
        k: by[counted].rolling(k, min_periods=1).sum().reset_index(level=0, drop=True)
        for k in (3, 6)
    }
    for name in ("spend", "fee"):
        last = (grid[name] / grid[f"{name}_n"]).where(grid[f"{name}_n"] > 0)
        grid[f"{name}_now"] = last.groupby(grid["client_id"]).ffill(limit=5)
        grid[f"{name}_lag"] = grid.groupby("client_id")[f"{name}_now"].shift(3)
        for k in (3, 6):
            mean = rolled[k][name] / rolled[k][f"{name}_n"]
            grid[f"{name}_{k}"] = mean.where(rolled[k][f"{name}_n"] > 0)
        grid[f"{name}_change"] = grid[f"{name}_3"] - grid[f"{name}_6"]
    grid["fee_a_month"] = (rolled[3]["paid"] / rolled[3]["paid_n"]).where(rolled[3]["paid_n"] > 0)
    term, served = grid["contract_term_months"], grid["month"] - grid["first"] + 1
    grid["tenure_months"], grid["months_to_renewal"] = served, term - served % term
    grid["log_size"] = np.log(grid["monthly_ad_spend"])
    keep = [
        "client_id",
        "month",
        *[f"{n}_{h}" for n in ("spend", "fee") for h in ("now", "lag", "3", "6", "change")],
    ]
    out.mkdir(exist_ok=True)
    grid[[*keep, "fee_a_month", "tenure_months", "months_to_renewal", "log_size"]].to_parquet(
        out / "all.parquet"
    )


def alike(mine: Path, theirs: Path) -> float:
    """The largest difference of any number in both."""
    other = pl.scan_parquet(theirs / "*.parquet")
    names = [name for name in other.collect_schema() if name not in ("client_id", "month")]
    both = pl.scan_parquet(mine / "*.parquet").join(
        other, on=["client_id", "month"], how="full", suffix="_theirs"
    )
    gaps = [(pl.col(n) - pl.col(f"{n}_theirs")).abs().max().alias(n) for n in names]
    one_only = [
        (pl.col(n).is_null() != pl.col(f"{n}_theirs").is_null()).sum().alias(f"{n} alone")
        for n in names
    ]
    found = both.select(*gaps, *one_only).collect(engine="streaming").row(0, named=True)
    assert not sum(found[f"{n} alone"] for n in names), found
    return float(max(found[n] for n in names))


def apart(step: Callable[..., None], *paths: Path) -> tuple[float, float]:
    """CPU seconds and peak memory (GB) of a step in a process of its own."""
    child = os.fork()
    if not child:
        os.execv(
            sys.executable, [sys.executable, __file__, "--step", step.__name__, *map(str, paths)]
        )
    _, status, used = os.wait4(child, 0)
    assert status == 0, f"{step.__name__} failed"
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1e6


def restricted_means(outcome: Any, horizon: float, draws: int, seed: int) -> np.ndarray:
    """The restricted mean, then that of `draws` resamples of the engagements; shape (1 + draws,),
    months.

    Drawn from the counted table: the same law as drawing rows, at a cost that hangs on months and
    not on clients.
    """
    told = outcome.within(horizon).counted
    times = np.unique(told.stop[told.kind > 0])
    often, rng = told.times, np.random.default_rng(seed)
    weights = np.vstack([often, rng.multinomial(int(often.sum()), often / often.sum(), size=draws)])
    at_risk = ((told.entry[:, None] < times) & (times <= told.stop[:, None])).astype(float)
    ended = ((told.stop[:, None] == times) & (told.kind[:, None] > 0)).astype(float)
    n = weights @ at_risk
    stay = np.cumprod(1 - np.divide(weights @ ended, n, out=np.zeros_like(n), where=n > 0), axis=1)
    widths = np.diff(np.concatenate([[0.0], np.minimum(times, horizon), [horizon]]))
    return np.asarray(np.hstack([np.ones((1 + draws, 1)), stay]) @ widths)


def curves() -> list[tuple[str, float, float, float, float]]:
    """Kaplan-Meier, log-rank, resampled means, concordance: CPU seconds (ours, lifelines,
    scikit-survival), difference.

    The largest difference is the one from lifelines; scikit-survival's numbers are held to ours to
    nine digits.
    """
    from concordance import concordance_index
    from lifelines import KaplanMeierFitter
    from lifelines.statistics import logrank_test
    from lifelines.utils import concordance_index as theirs
    from sksurv.compare import compare_survival
    from sksurv.metrics import concordance_index_censored
    from sksurv.nonparametric import kaplan_meier_estimator
    from sksurv.util import Surv

    from retention.stats.curves import kaplan_meier
    from retention.stats.outcomes import Outcome
    from retention.stats.rates import logrank

    def timed(step: Callable[[], Any], number: int = 1) -> tuple[Any, float]:
        start = time.process_time()
        for _ in range(number):
            found = step()
        return found, (time.process_time() - start) / number

    rng, n = np.random.default_rng(1), 1_000_000
    life, censored, group = (
        np.ceil(rng.exponential(20, n)),
        rng.integers(1, 97, n),
        rng.random(n) < 0.5,
    )
    stop, ended = np.minimum(life, censored), life <= censored
    rows: list[tuple[str, float, float, float, float]] = []

    def line(
        what: str,
        mine: Callable[[], Any],
        others: tuple[Callable[[], Any], Callable[[], Any]],
        gaps: tuple[Callable[[Any, Any], float], Callable[[Any, Any], float]],
        k: int = 1,
    ) -> None:
        tried = [(timed(mine, k), *map(timed, others)) for _ in range(ROUNDS)]
        cost = [float(np.median([one[side][1] for one in tried])) for side in range(3)]
        own, first, second = (found for found, _ in tried[0])
        assert gaps[1](own, second) < 1e-9, f"{what}: scikit-survival finds {second}"
        rows.append((what, *cost, gaps[0](own, first)))

    every = Outcome.of(stop, ended, np.zeros(n))
    counted, parts = every.counted, [every.where(group).counted, every.where(~group).counted]
    both = Outcome(
        *(
            np.concatenate([getattr(p, a) for p in parts])
            for a in ("stop", "kind", "entry", "count")
        )
    )
    side = np.repeat([0, 1], [len(p.stop) for p in parts])

    def km_gap(mine: Any, other: Any) -> float:
        curve = mine[mine["month"] > 0]
        return float(
            np.abs(
                other.survival_function_.iloc[:, 0].reindex(curve["month"]).to_numpy()
                - curve["survival"]
            ).max()
        )

    def km_gap_too(mine: Any, other: Any) -> float:
        curve = mine[mine["month"] > 0]
        return float(
            np.abs(
                pd.Series(other[1], other[0]).reindex(curve["month"]).to_numpy() - curve["survival"]
            ).max()
        )

    km, km_gaps = "Kaplan-Meier with interval, 1,000,000 clients", (km_gap, km_gap_too)
    km_others = (
        lambda: KaplanMeierFitter().fit(stop, ended),
        lambda: kaplan_meier_estimator(ended, stop, conf_type="log-log"),
    )
    line(f"{km}, from the counted table", lambda: kaplan_meier(counted), km_others, km_gaps, 20)
    line(
        f"{km}, from rows",
        lambda: kaplan_meier(Outcome.of(stop, ended, np.zeros(n))),
        km_others,
        km_gaps,
    )
    lr = "log-rank, two groups, 1,000,000 clients"
    lr_gaps = (lambda a, b: abs(a.chi2 - b.test_statistic), lambda a, b: abs(a.chi2 - b[0]))
    lr_others = (
        lambda: logrank_test(stop[group], stop[~group], ended[group], ended[~group]),
        lambda: compare_survival(Surv.from_arrays(ended, stop), group.astype(int)),
    )
    line(f"{lr}, from the counted table", lambda: logrank(both, side), lr_others, lr_gaps, 20)
    line(
        f"{lr}, from rows",
        lambda: logrank(Outcome.of(stop, ended, np.zeros(n)), group),
        lr_others,
        lr_gaps,
    )
    drawn, cost = timed(
        lambda: restricted_means(parts[0], 24, 1000, 1) - restricted_means(parts[1], 24, 1000, 2)
    )
    resampled = (
        f"{len(drawn) - 1:,} resamples of a difference of means to month 24, 1,000,000 clients"
    )
    rows.append((resampled, cost, np.nan, np.nan, np.nan))
    risk, gone = rng.normal(size=CLIENTS), ended[:CLIENTS]
    for what, times in (
        ("whole months", stop[:CLIENTS]),
        ("any time", rng.exponential(20, CLIENTS)),
    ):
        others = (
            partial(theirs, times, -risk, gone),
            partial(concordance_index_censored, gone, times, risk, tied_tol=0.0),
        )
        tied = (
            what == "whole months"
        )  # of which scikit-survival counts fewer pairs: it is another number
        gaps = (lambda a, b: abs(a - b), lambda a, b, tied=tied: 0.0 if tied else abs(a - b[0]))
        line(
            f"concordance, 100,000 clients, {what}",
            partial(concordance_index, times, risk, gone),
            others,
            gaps,
        )
    return rows


def main() -> None:
    import lifelines
    import sksurv

    larger = [int(text) for text in sys.argv[1:]]
    told = []
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        panel(base, CLIENTS)
        tried = [
            (apart(ours, base, base / "mine"), apart(idiomatic, base, base / "theirs"))
            for _ in range(ROUNDS)
        ]
        gap = alike(base / "mine", base / "theirs")
        cpu = [float(np.median([pair[k][0] for pair in tried])) for k in (0, 1)]
        peak = [max(pair[k][1] for pair in tried) for k in (0, 1)]
        told.append(
            f"| {CLIENTS * MONTHS:,} | {cpu[0]:.0f} | {peak[0]:.1f} | {cpu[1]:.0f} | "
            f"{peak[1]:.1f} | {gap:.0e} |"
        )
    for clients in larger:
        with tempfile.TemporaryDirectory() as folder:
            base = Path(folder)
            panel(base, clients)
            seconds, memory = apart(ours, base, base / "mine")
            told.append(f"| {clients * MONTHS:,} | {seconds:.0f} | {memory:.1f} | – | – | – |")
    curve_rows = [
        f"| {what} | {mine * 1000:,.1f} | "
        + " | ".join(
            "–" if np.isnan(other) else f"{other * 1000:,.1f} ({other / mine:,.0f})"
            for other in others
        )
        + f" | {'–' if np.isnan(gap) else f'{gap:.0e}'} |"
        for what, mine, *others, gap in curves()
    ]
    versions = f"Python {sys.version.split()[0]}, polars {pl.__version__}, pandas {pd.__version__}"
    versions += f", lifelines {lifelines.__version__}, scikit-survival {sksurv.__version__}"
    tables = {"features": "\n".join(told), "curves": "\n".join(curve_rows)}
    NOTE.write_text(TEXT.format(versions=versions, rounds=ROUNDS, **tables), "utf-8")


TEXT = """\
# What size costs

Made by `make bench` on two shared cores; CPU seconds (medians of {rounds}, alternating) and peak memory, each step in a
process of its own. {versions}.

## Features at month's ends

A client-month a row, from Parquet to Parquet: lags, means and changes of spend and fee as they were known, the calendar
of the contract. Beside them idiomatic pandas for the same numbers (the largest difference in the last column).

| client-months | CPU s | peak GB | pandas, CPU s | pandas, peak GB | largest difference |
|---|---|---|---|---|---|
{features}

## Curves and counts

From rows, the counting is included; the counted table is what a study keeps. Milliseconds of CPU; in brackets how many
times ours. The largest difference is from lifelines; scikit-survival agrees with ours to nine digits
but for the concordance of whole months, where it counts fewer of the pairs that tie.

| what | ours, ms | lifelines, ms | scikit-survival, ms | largest difference |
|---|---|---|---|---|
{curves}
"""

if __name__ == "__main__":
    if sys.argv[1:2] == ["--step"]:
        {"ours": ours, "idiomatic": idiomatic}[sys.argv[2]](*map(Path, sys.argv[3:]))
    else:
        main()
