"""The agency as frames or as files, with the truth beside it; of any size, a batch of clients at a
time.
"""

import json
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from importlib.resources import files
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd

from retention.data.schema import TABLES, dictionary, write_csv
from retention.errors import ConfigError
from retention.sample.books import Books
from retention.sample.life import live
from retention.sample.world import (
    FACTS,
    KINDS,
    WORLDS,
    Agency,
    World,
    found,
    numbered,
    signings_a_month,
)

BATCH = 10_000  # clients simulated at once: bounds the memory, whatever the size of the agency
STATES_UP_TO = 2_000  # clients whose month-by-month truth is written


def simulate(
    world: World = WORLDS["study"],
    *,
    clients: int = 600,
    months: int = 60,
    seed: int = 1,
    tables: tuple[str, ...] = tuple(TABLES),
    force_term: int | None = None,
) -> dict[str, pd.DataFrame]:
    """The tables as the agency would hold them after `months` months; `clients` has about `clients`
    rows.

    Records begin on 1 January 2021; what happened earlier to clients already lost, and what was
    recorded after the last day, is not in them. `force_term` gives everybody that term and
    otherwise the same luck: a potential outcome.
    """
    agency = found(world, clients, months, seed)
    made: dict[str, list[pd.DataFrame]] = {name: [] for name in tables}
    for number in range(_count(clients)):
        books = _batch(agency, clients, seed, number, force_term)
        for name in tables if number == 0 else _of_clients(tables):
            made[name].append(books.table(name))
    return {name: pd.concat(parts) for name, parts in made.items()}


def _of_clients(tables: Iterable[str]) -> list[str]:
    """The tables that every batch of clients has its own rows of: all but the staff, who serve all
    of them.
    """
    return [name for name in tables if name != "staff"]


def _count(clients: int) -> int:
    return -(-clients // BATCH)


def _batch(
    agency: Agency, clients: int, seed: int, number: int, force_term: int | None = None
) -> Books:
    """One batch of clients with seeds of its own; the ids of later batches begin with c1_,
    c2_, ...
    """
    signings = signings_a_month(clients, agency.months)
    rate = signings / _count(clients)
    lives = live(agency, rate, (seed, 1, number), force_term)
    return Books(agency, lives, (seed, 2, number), "c" if number == 0 else f"c{number}_")


def write_sample(
    out: Path,
    world: World = WORLDS["study"],
    *,
    clients: int = 600,
    months: int = 60,
    seed: int = 1,
    form: str = "csv",
) -> None:
    """Write all tables (CSV, or Parquet in parts), retention.toml, data dictionary and truth.json
    into `out`.

    Large agencies are made batch by batch on both cores, in bounded memory.
    """
    if form == "csv" and clients > BATCH:
        raise ConfigError(
            f"CSV is written for up to {BATCH:,} clients; for more, say --format parquet."
        )
    _clear(out)
    agency = found(world, clients, months, seed)
    write = partial(_write_batch, out, agency, clients, seed, form)
    if (count := _count(clients)) == 1:
        made = [write(0)]
    else:
        with ProcessPoolExecutor(2, get_context("spawn")) as pool:
            made = list(pool.map(write, range(count)))
    text = json.dumps(_truth(agency, seed, clients, made), indent=1, allow_nan=False)
    (out / "truth.json").write_text(text + "\n", "utf-8")
    day = agency.last_day.date()
    words = {"last": day, "seed": seed, "dictionary": dictionary()}
    for template in files("retention.sample").joinpath("templates").iterdir():
        (out / template.name).write_text(template.read_text("utf-8").format(**words), "utf-8")


def _clear(out: Path) -> None:
    """An empty folder, or one whose earlier made-up agency is taken away; ConfigError where it
    holds other tables.
    """
    out.mkdir(parents=True, exist_ok=True)
    old = [path for name in TABLES for path in (out / f"{name}.csv", out / name) if path.exists()]
    if old and not (out / "truth.json").is_file():
        raise ConfigError(
            f"{out} holds {old[0].name}, which is no made-up agency's. Give --out another folder."
        )
    for path in old:
        for part in path.glob("part-*.parquet"):
            part.unlink()
        path.rmdir() if path.is_dir() else path.unlink()


def _write_batch(
    out: Path, agency: Agency, clients: int, seed: int, form: str, number: int
) -> list[dict[str, Any]]:
    """Write one batch's tables; the truth about its clients comes back where there are few
    enough.
    """
    books = _batch(agency, clients, seed, number)
    for name in TABLES if number == 0 else _of_clients(TABLES):
        frame = books.table(name)
        if form == "csv":
            write_csv(frame, out / f"{name}.csv")
        else:
            (out / name).mkdir(exist_ok=True)
            _typed(frame, name).to_parquet(out / name / f"part-{number:04d}.parquet", index=False)
    return _states(books) if clients <= STATES_UP_TO else []


def _typed(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """Months as dates and yes and no as true and false: Parquet has types for them, where CSV has
    words.
    """
    kinds = {column.name: column.kind for column in TABLES[name].columns if column.name in frame}
    told = {c: pd.to_datetime(frame[c]) for c, kind in kinds.items() if kind == "month"}
    told |= {
        c: frame[c].map({"yes": True, "no": False}).astype("boolean")
        for c, k in kinds.items()
        if k == "flag"
    }
    return frame.assign(**told)


def _truth(
    agency: Agency, seed: int, clients: int, made: list[list[dict[str, Any]]]
) -> dict[str, Any]:
    """What was planted: effects, each rep's and seller's own, and (of small agencies) the states of
    each client.
    """
    reps = pd.DataFrame(agency.reps)
    promises = pd.Series(FACTS["sellers"]["promise"])
    planted = promises * agency.world.promise
    sellers = pd.DataFrame({"promise": promises, "early_leaving": planted})
    return {
        "about": "Planted truth, for tests of the analyses; no analysis reads it. Effects are on "
        "the log-hazard scale.",
        "seed": seed,
        "clients": clients,
        "months": agency.months,
        "world": asdict(agency.world),
        "reps": reps.set_axis(numbered("r", len(reps))).round(3).to_dict("index"),
        "sellers": sellers.to_dict("index"),
        "states": [client for batch in made for client in batch],
    }


def _states(books: Books) -> list[dict[str, Any]]:
    """Of each client: what was hidden, when the wish to leave arose, whose choice the end was, and
    months' states.
    """
    rows = books.rows
    months = books.cells.groupby("row")["t"]
    first_months = months.min()
    first = first_months.reindex(rows.index, fill_value=0)
    following = months.max() + 1
    after = following.reindex(rows.index, fill_value=0)
    spans = list(zip(rows["life"], first, after, strict=True))
    states = {
        name: books.lives.states[name].astype(float).round(2) for name in ("liking", "results")
    }
    shown = {
        name: [state[life, since:to].tolist() for life, since, to in spans]
        for name, state in states.items()
    }
    kinds = rows["kind"].map(KINDS)
    kind = kinds.where(rows["kind"] > 0, None)
    names = {"z": "size", "wish": "wish_month", "decided": "decided_month", "ended": "ended_month"}
    renamed = rows.rename(columns=names)
    table = renamed.assign(kind=kind, first_month=first + 1, **shown)
    columns = table[FACTS["columns"]["truth"]]
    return columns.round(3).to_dict("records")
