"""Every notebook on agencies that are odd in some way: what stops, or warns, is told with the input
that did it.

An input is a small made-up agency with one thing changed (a table absent, a column blank, nobody
left, ...), or several things drawn by the seed. Where `open_study` finds no fault in it, the code
of all notebooks runs in this process, warnings as errors. `make fuzz` runs all of them; a part of
them is a test. Run as a script: `python tests/fuzz.py --part 1/4 --seed 1`.
"""

from __future__ import annotations

import argparse
import ast
import gc
import json
import os
import random
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock
from xml.etree.ElementTree import Element

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

import retention
from retention.data.schema import TABLES, Column
from retention.errors import RetentionError
from retention.money import bonuses
from retention.parameters import SEAL
from retention.sample import write_sample
from retention.show import picture
from retention.study import open_study, prepare

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
CLIENTS, MONTHS, SEED = 75, 36, 3
TOGETHER, MIXED = 4, 120  # things changed at once in a mixed input; how many of those there are
BUNDLE = 5  # columns of different tables that are changed at once, unless each is tried by itself
READ = {  # what a notebook reads besides the clients, of those that do not read every table
    "01_contract_term": {"contracts"},
    "02_ad_spend": set(),
    "03_rep_liking": {"surveys", "results", "assignments", "contracts"},
    "05_sellers": {"surveys", "results", "assignments", "contracts"},
    "06_economics": {"account_months", "hours", "staff"},
}
SETTINGS = """agency = "Fuzz"
currency = "USD"
cutoff = {cutoff}
records_begin = {begin}
end_grace_days = 0
[dates]
end = "last paid day"
ends_ahead = "notice"
ends_on_cutoff = "left"
unlikely_starts = "true"
[results]
primary = "cpa"
better = "lower"
"""
FIRST, LAST = "2021-01-01", "2023-12-31"
DRAWN = {"retention.service.nps": 100, "retention.score.early_warning": 200}
Frames = dict[str, pd.DataFrame]
Change = Callable[[Frames], Frames]


@dataclass(frozen=True)
class Input:
    """One odd agency: what is odd in words, how the usual tables are changed, and its settings."""

    name: str
    change: Change
    cutoff: str = LAST
    begin: str = FIRST
    tables: tuple[str, ...] = ()  # those that differ from the usual ones; none: any
    clients: int = CLIENTS


@dataclass(frozen=True)
class Stop:
    """What stopped a notebook: the input, the notebook, the error and the frames that led to it."""

    given: str
    notebook: str
    error: str
    frames: tuple[str, ...]

    @property
    def kind(self) -> tuple[str, ...]:
        """Stops of one kind have the same error in the same line of the project."""
        return (self.error.split(":")[0], self.frames[-1])


# The usual agency, as text.


@cache
def usual(count: int = CLIENTS) -> Frames:
    """The tables of a small made-up agency of so many clients as text, blanks as empty text."""
    with tempfile.TemporaryDirectory() as folder:
        write_sample(Path(folder), clients=count, months=MONTHS, seed=SEED)
        return {name: _text(Path(folder) / f"{name}.csv") for name in TABLES}


def _text(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False)


# What can be odd about a table or a column.


def without(table: str) -> Change:
    return lambda frames: {name: rows for name, rows in frames.items() if name != table}


def only(*tables: str) -> Change:
    return lambda frames: {name: rows for name, rows in frames.items() if name in tables}


def later(table: str) -> Change:
    """All of a table's rows after the cut-off: a table that is there, and nothing of it is
    known.
    """

    def change(frames: Frames) -> Frames:
        columns = TABLES[table].columns
        days = [c.name for c in columns if c.kind in ("date", "month") and c.name in frames[table]]
        moved = {day: _years_on(frames[table][day]) for day in days}
        return frames | {table: frames[table].assign(**moved)}

    return change


def _years_on(days: pd.Series) -> pd.Series:
    """The days eight years later; blank where they are blank."""
    year = pd.to_numeric(days.str[:4], errors="coerce").add(8)
    return year.map("{:.0f}".format).add(days.str[4:]).where(days != "", "")


def rows_of(table: str, count: int) -> Change:
    """The first rows of a table and no more."""
    return lambda frames: frames | {table: frames[table].head(count)}


def dropped(table: str, *columns: str) -> Change:
    return lambda frames: frames | {table: frames[table].drop(columns=list(columns))}


def put(table: str, column: str, value: str) -> Change:
    """One value for the whole of a column."""
    return lambda frames: frames | {table: frames[table].assign(**{column: value})}


def once(table: str, column: str) -> Change:
    """All blank but the first cell that is filled."""

    def change(frames: Frames) -> Frames:
        cells = frames[table][column]
        first = (cells != "") & ((cells != "").cumsum() == 1)
        return frames | {table: frames[table].assign(**{column: cells.where(first, "")})}

    return change


def in_turn(*changes: Change) -> Change:
    """Several changes; one that no longer fits, its table or column being gone, is left out."""

    def change(frames: Frames) -> Frames:
        for each in changes:
            try:
                frames = each(frames)
            except KeyError:
                continue
        return frames

    return change


def of_table(table: str) -> Iterator[Input]:
    """Everything odd that is tried with a table as a whole."""
    if table == "clients":
        return
    yield Input(f"{table}: absent", without(table), tables=(table,))
    yield Input(f"{table}: a heading only", rows_of(table, 0), tables=(table,))
    yield Input(f"{table}: one row", rows_of(table, 1), tables=(table,))
    yield Input(f"{table}: all after the cut-off", later(table), tables=(table,))
    yield Input(f"{table}: beside clients alone", only("clients", table))


def of_columns(table: str) -> Iterator[Input]:
    """Everything odd that is tried with each column of a table."""
    for column in TABLES[table].columns:
        if column.name in usual()[table]:
            for name, change in of_column(table, column):
                yield Input(name, change, tables=(table,))


def of_column(table: str, column: Column) -> Iterator[tuple[str, Change]]:
    """Everything odd that is tried with one column: absent, blank, filled once, all one value."""
    name, place = column.name, f"{table}.{column.name}"
    if not column.required:
        yield (f"{place}: absent", dropped(table, name))
    if not column.required or name in ("end_date", "answered_on", "to_date"):
        yield (f"{place}: blank", put(table, name, ""))
        yield (f"{place}: filled once", once(table, name))
    if name in TABLES[table].key or column.kind == "id" or place == "clients.end_date":
        return
    if column.kind in ("number", "integer") and (column.low or 0) <= 0:
        yield (f"{place}: all 0", put(table, name, "0"))
    if column.kind == "flag":
        yield (f"{place}: all no", put(table, name, "no"))
        yield (f"{place}: all yes", put(table, name, "yes"))
    elif filled := [value for value in usual()[table][name] if value]:
        yield (f"{place}: all {filled[0][:20]}", put(table, name, filled[0]))


# What can be odd about the agency as a whole.


def clients(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Change:
    """A change of the clients, after which the other tables are of those who are left."""

    def changed(frames: Frames) -> Frames:
        rows = change(frames["clients"])
        kept = {name: _about(frame, rows) for name, frame in frames.items() if name != "clients"}
        return {"clients": rows, **kept}

    return changed


def _about(frame: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of a table that are about these clients, or about none."""
    if "client_id" not in frame:
        return frame
    return frame[frame["client_id"].isin(rows["client_id"]) | (frame["client_id"] == "")]


def ended(rows: pd.DataFrame, **values: str) -> pd.DataFrame:
    """All ends taken away, or all put on one day, and what is known of them with it."""
    blank = dict.fromkeys(["end_date", "decision_date", "end_initiator", "end_reason"], "")
    return rows.assign(**(blank | values))


def everybody_gone(rows: pd.DataFrame) -> pd.DataFrame:
    fresh = ended(rows[rows["end_date"] == ""], end_date=LAST, end_initiator="client")
    return pd.concat([rows[rows["end_date"] != ""], fresh])


def terms(**values: str) -> Change:
    """One term for all clients, at signing and later."""
    return lambda frames: in_turn(
        put("clients", "contract_term_months", values["term"]),
        put("contracts", "term_months", values["term"]),
    )(frames)


def one_rep(frames: Frames) -> Frames:
    """One rep, who serves everybody from the first day."""
    who = frames["staff"].loc[frames["staff"]["role"] == "rep", "staff_id"].iloc[0]
    reps = {"clients": "rep_id", "surveys": "rep_id"}
    frames = in_turn(*(put(table, column, who) for table, column in reps.items()))(frames)
    served = frames["assignments"]
    served = served[served["role"] != "rep"]
    mine = frames["clients"][["client_id", "start_date", "end_date"]].set_axis(
        ["client_id", "from_date", "to_date"], axis=1
    )
    return frames | {
        "assignments": pd.concat([served, mine.assign(staff_id=who, role="rep")]).fillna("")
    }


def new_reps(frames: Frames) -> Frames:
    """All reps replaced in the last month."""
    served = frames["assignments"]
    now = (served["role"] == "rep") & (served["to_date"] == "")
    fresh = served[now].assign(staff_id="new1", from_date=LAST[:8] + "05")
    staff = pd.DataFrame([{"staff_id": "new1", "role": "rep", "started_on": LAST[:8] + "01"}])
    return frames | {
        "assignments": pd.concat(
            [served.assign(to_date=served["to_date"].mask(now, LAST[:8] + "04")), fresh]
        ),
        "staff": pd.concat([frames["staff"], staff]).fillna(""),
    }


def free_client(frames: Frames) -> Frames:
    """A client that has paid nothing for half a year, and one that never paid."""
    rows = frames["account_months"]
    present = frames["clients"].loc[frames["clients"]["end_date"] == "", "client_id"].tolist()
    lately = (rows["client_id"] == present[0]) & (rows["month"] >= "2023-07")
    never = rows["client_id"] == present[1]
    return frames | {"account_months": rows.assign(fee=rows["fee"].mask(lately | never, "0"))}


def nobody_named(frames: Frames) -> Frames:
    """Nobody says who serves whom: no assignments, no rep in the clients table or the surveys."""
    return in_turn(
        without("assignments"), dropped("clients", "rep_id"), dropped("surveys", "rep_id")
    )(frames)


def scaled(table: str, column: str, **where: Any) -> Change:
    """Numbers times a thousand."""

    def change(frames: Frames) -> Frames:
        cells = frames[table][column]
        large = pd.to_numeric(cells).mul(1000).astype(str).where(cells != "", "")
        return frames | {table: frames[table].assign(**{column: large})}

    return change


def answered(value: str) -> Change:
    """All who answered gave these marks."""

    def change(frames: Frames) -> Frames:
        rows = frames["surveys"]
        marks = {name: rows[name].where(rows[name] == "", value) for name in ("nps", "rep_liking")}
        return frames | {"surveys": rows.assign(**marks)}

    return change


def silent(frames: Frames) -> Frames:
    blank = dict.fromkeys(["answered_on", "nps", "rep_liking", "respondent_role", "reason"], "")
    return frames | {"surveys": frames["surveys"].assign(**blank)}


def all_paid(frames: Frames) -> Frames:
    bills = frames["invoices"]
    paid = bills[["invoice_id", "due_on", "amount"]].rename(columns={"due_on": "paid_on"})
    return frames | {"payments": paid}


def columns_left(*columns: str) -> Change:
    """Nothing but the columns that are required, and these, in any table."""

    def change(frames: Frames) -> Frames:
        kept = {
            name: [c for c in rows if c in columns or c in TABLES[name].required]
            for name, rows in frames.items()
        }
        return {name: rows[kept[name]] for name, rows in frames.items()}

    return change


def zero_costs(frames: Frames) -> Frames:
    people = dict.fromkeys(["hourly_cost", "monthly_salary", "quota", "commission_pct"], "0")
    return frames | {"staff": frames["staff"].assign(**people)}


def of_agency() -> Iterator[Input]:
    """What can be odd about the agency as a whole."""
    for count in (1, 2, 3, 5, 10, 20, 40):
        yield Input(f"the first {count} clients", clients(lambda rows, n=count: rows.head(n)))
        yield Input(
            f"the last {count} clients",
            clients(lambda rows, n=count: rows.sort_values("start_date").tail(n)),
        )
    yield Input("clients alone", only("clients"))
    yield Input("only required columns", columns_left())
    yield Input("only required columns, clients alone", in_turn(columns_left(), only("clients")))
    yield Input("nobody has left", clients(ended))
    yield Input("everybody has left", clients(everybody_gone))
    yield Input(
        "everybody left on the last day",
        clients(lambda rows: ended(rows, end_date=LAST, end_initiator="client")),
    )
    yield Input(
        "all ends are to come",
        clients(lambda rows: ended(rows, end_date="2024-02-29", end_initiator="client")),
    )
    yield Input("past clients only", clients(lambda rows: rows[rows["end_date"] != ""]))
    yield Input("present clients only", clients(lambda rows: rows[rows["end_date"] == ""]))
    for who in ("client", "agency", "neutral"):
        yield Input(
            f"all ends the choice of: {who}", lambda frames, who=who: _initiated(frames, who)
        )
    yield Input("all started in the last month", started("2023-12-04"))
    yield Input("all started in the month before", started("2023-11-04"))
    yield Input("all started on the first day", started(FIRST))
    yield Input("all started on the last day", started(LAST))
    yield Input("one month of history", lambda frames: frames, begin="2023-12-01")
    yield Input("two months of history", lambda frames: frames, begin="2023-11-01")
    yield Input("six months of history", lambda frames: frames, begin="2023-07-01")
    yield Input("as of the second month", _until("2021-02-28"), cutoff="2021-02-28")
    yield Input("as of the middle of a month", _until("2022-06-15"), cutoff="2022-06-15")
    yield Input("as of a year later", lambda frames: frames, cutoff="2024-12-31")
    yield Input("all history", lambda frames: frames, begin='"all history"')
    yield Input("only month-to-month", terms(term="1"))
    yield Input("only six months", terms(term="6"))
    yield Input("only twelve months", terms(term="12"))
    yield Input("only a hundred and twenty months", terms(term="120"))
    yield Input("one rep", one_rep)
    yield Input("all reps new", new_reps)
    yield Input("nobody says who the rep is", nobody_named)
    yield Input(
        "fees, hours and costs and no rep",
        in_turn(nobody_named, only("clients", "account_months", "hours", "staff")),
    )
    yield Input("reps on record, nobody on the staff", rows_of("staff", 0))
    yield Input("a rep nobody knows", put("assignments", "staff_id", "ghost"))
    yield Input("a client that pays nothing", free_client)
    yield Input(
        "no fee, no spend",
        in_turn(
            put("account_months", "fee", "0"),
            put("account_months", "ad_spend", "0"),
            put("clients", "monthly_ad_spend", "0"),
        ),
    )
    yield Input("fee 0 on fixed terms", lambda frames: _fee_by_term(frames, fixed="0"))
    yield Input("fee 0 on monthly terms", lambda frames: _fee_by_term(frames, monthly="0"))
    yield Input("fee 100 per cent", put("clients", "fee_pct", "100"))
    yield Input("spend a thousand times as large", scaled("clients", "monthly_ad_spend"))
    yield Input("fees a thousand times as large", scaled("account_months", "fee"))
    yield Input("negative fees", put("account_months", "fee", "-100"))
    yield Input("costs nothing", zero_costs)
    yield Input("no hours", put("hours", "hours", "0"))
    yield Input("costs a thousand times as large", scaled("staff", "hourly_cost"))
    yield Input("no survey answered", silent)
    for mark in ("10", "0", "7"):
        yield Input(f"all answers {mark}", answered(mark))
    yield Input("one client asked", lambda frames: _one_client(frames, "surveys"))
    yield Input("all invoices paid", all_paid)
    yield Input("no invoice paid", rows_of("payments", 0))
    yield Input(
        "invoices of nothing",
        in_turn(put("invoices", "amount", "0"), put("payments", "amount", "0")),
    )
    yield Input("credit notes only", put("invoices", "amount", "-100"))
    yield Input(
        "no lead signed", in_turn(put("leads", "signed_on", ""), put("leads", "client_id", ""))
    )
    yield Input("every lead signed", put("leads", "signed_on", "2023-06-30"))
    for table in TABLES:
        if table not in ("clients", "staff") and "client_id" in TABLES[table].required:
            yield Input(
                f"{table}: one client's rows",
                lambda frames, table=table: _one_client(frames, table),
            )


def _initiated(frames: Frames, who: str) -> Frames:
    rows = frames["clients"]
    return frames | {
        "clients": rows.assign(
            end_initiator=rows["end_initiator"].where(rows["end_date"] == "", who)
        )
    }


def _one_client(frames: Frames, table: str) -> Frames:
    who = frames[table]["client_id"].mode().iloc[0]
    return frames | {table: frames[table][frames[table]["client_id"] == who]}


def _fee_by_term(frames: Frames, **fees: str) -> Frames:
    rows = frames["clients"]
    monthly = rows["contract_term_months"] == "1"
    fee = rows["fee_pct"]
    if "fixed" in fees:
        fee = fee.where(monthly, fees["fixed"])
    if "monthly" in fees:
        fee = fee.mask(monthly, fees["monthly"])
    return frames | {"clients": rows.assign(fee_pct=fee)}


def started(day: str) -> Change:
    """Everybody signed on one day and is still there; what came earlier is gone from all tables."""

    def change(frames: Frames) -> Frames:
        rows = ended(frames["clients"].drop_duplicates("client_id")).assign(
            start_date=day, recorded_date=day
        )
        kept = {
            name: _since(name, frame, day) for name, frame in frames.items() if name != "clients"
        }
        return {"clients": rows, **kept}

    return change


def _since(table: str, rows: pd.DataFrame, day: str) -> pd.DataFrame:
    """The rows of a table that are dated on or after a day; the staff stay."""
    dates = [
        c.name
        for c in TABLES[table].columns
        if c.kind in ("date", "month") and c.required and c.name in rows
    ]
    if table == "staff" or not dates:
        return rows
    return rows[rows[dates[0]] >= day[: len(rows[dates[0]].max() or day)]] if len(rows) else rows


def _until(day: str) -> Change:
    """The clients and whatever else was there by a day, ends after it taken away."""

    def change(frames: Frames) -> Frames:
        rows = frames["clients"]
        rows = rows[rows["start_date"] <= day]
        later = rows["end_date"] > day
        rows = rows.where(
            ~later,
            rows.assign(
                **dict.fromkeys(["end_date", "decision_date", "end_initiator", "end_reason"], "")
            ),
        )
        return clients(lambda _: rows)(frames)

    return change


LARGE = 300  # clients, of whom enough left for a model
IN_LARGE = (
    "clients alone",
    "only required columns",
    "everybody has left",
    "only month-to-month",
    "only twelve months",
    "one rep",
    "nobody says who the rep is",
    "no survey answered",
    "all history",
)


def of_large_agency() -> Iterator[Input]:
    """Some of what can be odd, where enough have left for every comparison and for a model."""
    yield Input("large, as usual", lambda frames: frames, clients=LARGE)
    for each in of_agency():
        if each.name in IN_LARGE:
            yield replace(each, name=f"large, {each.name}", clients=LARGE)
    blank = [
        put("clients", column.name, "")
        for column in TABLES["clients"].columns
        if not column.required
    ]
    yield Input("large, optional columns blank", in_turn(*blank), clients=LARGE)
    yield Input("large, all spend equal", put("clients", "monthly_ad_spend", "1000"), clients=LARGE)


def joined(parts: list[Input]) -> Input:
    """Several odd things as one input."""
    names = " + ".join(part.name for part in parts)
    tables = tuple({table for part in parts for table in part.tables})
    return Input(names, in_turn(*(part.change for part in parts)), tables=tables)


def bundled(singles: list[Input], rng: random.Random) -> list[Input]:
    """The inputs in groups of a few, each group about different tables: as many things tried in
    less time.
    """
    rest = rng.sample(singles, len(singles))
    groups: list[list[Input]] = []
    for single in rest:
        fits = [
            g for g in groups[-20:] if len(g) < BUNDLE and all(p.tables != single.tables for p in g)
        ]
        if fits:
            fits[0].append(single)
        else:
            groups.append([single])
    return [joined(group) for group in groups]


def mixed(seed: int) -> Iterator[Input]:
    """Several things odd at once, drawn by the seed."""
    rng = random.Random(seed)
    single = [
        *of_agency(),
        *(each for table in TABLES for each in (*of_table(table), *of_columns(table))),
    ]
    plain = [each for each in single if (each.cutoff, each.begin) == (LAST, FIRST)]
    for _ in range(MIXED):
        drawn = rng.sample(plain, rng.randint(2, TOGETHER))
        yield replace(joined(drawn), tables=())


def inputs(seed: int = SEED, *, each_alone: bool = False) -> list[Input]:
    """All inputs: the usual agency, what is odd of the whole, of each table and column, and mixed.

    Columns are changed a few at a time, or `each_alone`.
    """
    every = [Input("as usual", lambda frames: frames), *of_agency(), *of_large_agency()]
    every += [each for table in TABLES for each in of_table(table)]
    columns = [each for table in TABLES for each in of_columns(table)]
    every += columns if each_alone else bundled(columns, random.Random(seed))
    return every + list(mixed(seed))


# Running the notebooks.


def reading(tables: tuple[str, ...]) -> list[Path]:
    """The notebooks that read one of these tables; all of them where none is named."""
    if not tables or "clients" in tables:
        return NOTEBOOKS
    return [path for path in NOTEBOOKS if READ.get(path.stem, {*tables}) & {*tables}]


def run(given: Input) -> tuple[str, list[Stop]]:
    """What became of one input: "refused" by the check or "run", and what stopped."""
    frames = given.change(dict(usual(given.clients)))
    with tempfile.TemporaryDirectory(dir=_memory()) as folder, warnings.catch_warnings():
        warnings.simplefilter("error")
        base = Path(folder)
        for name, rows in frames.items():
            if rows.empty and "heading" not in given.name:
                continue  # a table that an odd agency has nothing for is not exported
            rows.to_csv(base / f"{name}.csv", index=False)
        (base / "retention.toml").write_text(
            SETTINGS.format(cutoff=given.cutoff, begin=given.begin)
        )
        return run_folder(given.name, base, base / "run", reading(given.tables))


def run_folder(
    name: str, data: Path, prepared: Path, notebooks: Iterable[Path] = NOTEBOOKS
) -> tuple[str, list[Stop]]:
    """As `run`, on the data of a folder; `prepared` is where the run's own copy of them goes."""
    try:
        study = open_study(str(data))
        study.warnings()
        with mock.patch.dict(os.environ, {SEAL: prepare(study, prepared)}):
            opened = open_study(str(prepared))  # the tables as notebooks get them, through Parquet
    except RetentionError as error:
        return f"refused: {error}", []
    except Exception as error:
        return "run", [stop_of(name, "check", error)]
    retention.open_study = lambda *_: opened  # type: ignore[assignment]
    try:
        return "run", [stop for path in notebooks for stop in run_notebook(name, path, prepared)]
    finally:
        retention.open_study = open_study


def _memory() -> str | None:
    """A folder in memory where there is one: thousands of small files are written."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


@cache
def cells(notebook: Path) -> tuple[tuple[Any, Any], ...]:
    """The code cells of a notebook, parameters left out: what is run, and the last line's value
    shown.
    """
    made = []
    for cell in json.loads(notebook.read_text())["cells"]:
        if cell["cell_type"] != "code" or "parameters" in cell["metadata"].get("tags", []):
            continue
        body = ast.parse("".join(cell["source"])).body
        shown = (
            ast.Expression(body.pop().value)
            if isinstance(body[-1], ast.Expr)
            else ast.parse("None", mode="eval")
        )
        made.append(
            (
                compile(ast.Module(body, []), notebook.stem, "exec"),
                compile(shown, notebook.stem, "eval"),
            )
        )
    return tuple(made)


def run_notebook(given: str, notebook: Path, folder: Path) -> list[Stop]:
    """Run the cells of a notebook; after one that stops, those that do not need it are run as
    well.
    """
    names: dict[str, Any] = {
        "data_dir": str(folder),
        "config": "",
        "cutoff": "",
        "out_dir": str(folder.parent),
    }
    stops: list[Stop] = []
    for code, shown in cells(notebook):
        try:
            exec(code, names)
            value = eval(shown, names)
            if hasattr(value, "_repr_mimebundle_"):
                value._repr_mimebundle_()
        except NameError as error:
            if not stops:
                stops.append(stop_of(given, notebook.stem, error))
        except Exception as error:
            stops.append(stop_of(given, notebook.stem, error))
    plt.close("all")
    return stops


def stop_of(given: str, notebook: str, error: Exception) -> Stop:
    """Where it stopped: the last frame of each file of the project that led there."""
    steps = traceback.extract_tb(error.__traceback__)
    own = [
        step
        for step in steps
        if "retention" in step.filename and "site-packages" not in step.filename
    ]
    places = [
        f"{Path(step.filename).name}:{step.lineno} {step.name}: {step.line}"
        for step in own or steps[-1:]
    ]
    text = str(error).splitlines()[0][:160] if str(error) else ""
    return Stop(given, notebook, f"{type(error).__name__}: {text}", tuple(places))


def quick_pictures(change: Callable[..., None] = setattr) -> None:
    """Let charts be laid out and not painted: what fails, fails in the layout, and painting takes
    most of the time.
    """

    def drawn(figure: Figure, seed: str) -> Element:
        return Element("svg", {"style": ""})

    change(picture, "drawn", drawn)


def few_draws(change: Callable[..., None] = setattr) -> None:
    """Let resampling draw a few times: what fails, fails in the first."""
    for name, module in list(sys.modules.items()):
        if name.startswith("retention.") and hasattr(module, "DRAWS"):
            change(module, "DRAWS", DRAWN.get(name, 40))
    change(bonuses, "SHUFFLES", 20)
    change(bonuses, "LUCK_DRAWS", 20)


def told(stops: list[Stop]) -> str:
    """The stops by kind, the most frequent first, each with an example."""
    kinds = Counter(stop.kind for stop in stops)
    example = {stop.kind: stop for stop in reversed(stops)}
    lines = []
    for kind, count in kinds.most_common():
        stop = example[kind]
        inputs_of = sorted({other.given for other in stops if other.kind == kind}, key=len)
        lines += [
            f"{count}x {stop.notebook}: {stop.error}",
            *(f"    {place}" for place in stop.frames[-4:]),
        ]
        lines += [f"    inputs: {'; '.join(inputs_of[:6])}"]
    return "\n".join(lines)


def main() -> int:
    """Run a part of the inputs, tell what stopped; 1 where anything did."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", default="1/1", help="for example 2/4: the second of four parts")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--only", default="", help="inputs whose name holds this")
    parser.add_argument("--skip", type=int, default=0, help="go on after this many inputs")
    parser.add_argument(
        "--refused", action="store_true", help="list what the check refused, and why"
    )
    parser.add_argument(
        "--alone", action="store_true", help="change each column by itself, not a few at a time"
    )
    asked = parser.parse_args()
    part, parts = (int(number) for number in asked.part.split("/"))
    every = inputs(asked.seed, each_alone=asked.alone)[part - 1 :: parts]
    every = [each for each in every if asked.only in each.name][asked.skip :]
    quick_pictures()
    few_draws()
    gc.set_threshold(200_000)
    outcomes: Counter[str] = Counter()
    stops: list[Stop] = []
    seen: set[tuple[str, ...]] = set()
    begun = time.time()
    for number, given in enumerate(every, 1):
        outcome, stopped = run(given)
        outcomes[outcome.split(":")[0]] += 1
        stops += stopped
        if asked.refused and outcome != "run":
            print(f"{given.name}: {outcome}", flush=True)
        fresh = [stop for stop in stopped if stop.kind not in seen]
        seen |= {stop.kind for stop in fresh}
        if fresh or number % 10 == 0:
            how_far = (
                f"{number}/{len(every)}, {time.time() - begun:.0f} s, {given.name}: "
                f"{len(stopped)} stops"
            )
            print(f"{how_far}\n{told(fresh)}", file=sys.stderr, flush=True)
    print(told(stops))
    print(
        f"{len(every)} inputs: {dict(outcomes)}; {len({stop.given for stop in stops})} with "
        "something that stopped."
    )
    return 1 if stops else 0


if __name__ == "__main__":
    sys.exit(main())
