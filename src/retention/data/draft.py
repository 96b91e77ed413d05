"""A first retention.toml for an unknown export: each line a guess with its evidence; what must not
be guessed is asked.

METHODS 0: an end is the last paid day. A date that a client who stays has too (the end of a term, a
renewal, a paid-to date) is never taken for one.
"""

import difflib
import json
import os
from collections.abc import Iterable
from contextlib import ExitStack
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import DictLoader, Environment, StrictUndefined

from retention.data import stores
from retention.data.cells import texts
from retention.data.check import ask_records_begin
from retention.data.crosswalk import FILE
from retention.data.delimited import NotATableError
from retention.data.find import BOOKS, PARQUET, TEXT, place_of, plain
from retention.data.guesses import LIKELY, Draft, Sheet, shortened, word_of
from retention.data.parse import parse
from retention.data.recipes import exports
from retention.data.recognise import ALIKE, guess, lacks
from retention.data.schema import TABLES
from retention.data.tools import NAMED, Plan
from retention.data.words import sentence
from retention.errors import ConfigError
from retention.settings import OPEN, FileSettings, TableSettings

DAYS = {"start_date", "end_date", "answered_on", "issued_on", "requested_on", "created_on"}


def draft(export: Path, beside: Path) -> Draft:
    """A draft for an export (a file, a workbook or a folder), to be written into the folder
    `beside`.

    ConfigError where nothing in it can be read as a table of clients.
    """
    if not export.exists():
        raise ConfigError(sentence("export", export=export))
    out = Draft()
    with ExitStack() as stack:
        plan = Plan(export, stack)
        found = _found(export, out, plan)
        if "clients" not in found and not plan.can_give("clients"):
            raise ConfigError(_no_clients(export, plan))
        lacking = {
            name: sheet for name, sheet in found.items() if name != "clients" and lacks(name, sheet)
        }
        tables = {name: sheet for name, sheet in found.items() if name not in lacking}
        for name, sheet in tables.items():
            guess(TABLES[name], sheet, out)
        plan.make(_clients_file(export, tables) if plan.found else None)
        strange = [made for made in plan.made.values() if made.strangers]
        if strange:
            out.crosswalk = plan.crosswalk()
        given = _about(tables, plan, out)
        out.text = _text(export, beside, given, tables, lacking, plan, out)
    return out


def _no_clients(export: Path, plan: Plan) -> str:
    """Why there is no draft: what is there, and what is still needed."""
    if not plan.found:
        columns = ", ".join(TABLES["clients"].required)
        return sentence("no clients", export=export, columns=columns)
    told = []
    for one in plan.found:
        given = [name for name in one.export.tables if not one.export.lacking(name, one.headings)]
        tables = f"gives {', '.join(given)}" if given else "gives no table by itself"
        lost = [
            f"for {name} it lacks {', '.join(lacking)}"
            for name in one.export.tables
            if (lacking := one.export.lacking(name, one.headings))
        ]
        said = "; ".join([tables, *lost])
        told.append(
            f"{one.path.name} is an export of {one.export.tool} ({one.export.name}): {said}. "
            f"{one.export.lacks}".rstrip(". ")
        )
    exports_known = {f"{e.tool} {e.name}" for e in exports() if "clients" in e.tables}
    able = sorted(exports_known)
    told_names = ". ".join(told)
    tools = ", ".join(able)
    return sentence("no clients but", names=told_names, sources=tools)


def _clients_file(
    export: Path, tables: dict[str, Sheet]
) -> tuple[Path, FileSettings, dict[str, str]] | None:
    """The file in which the clients were found, and its headings of ids and names."""
    if "clients" not in tables:
        return None
    sheet = tables["clients"]
    named = next((line for line in sheet.where if line.startswith("file = ")), "")
    path = export / json.loads(named[7:]) if named else _of_clients(export)
    headings = {ours: theirs for ours, (theirs, _, _) in sheet.headings.items()}
    return path, FileSettings(file=path.name), headings


def _of_clients(export: Path) -> Path:
    """The file named clients in a folder, or the file itself."""
    inside = sorted(export.iterdir()) if export.is_dir() else []
    return next((path for path in inside if plain(path.name.split(".")[0]) == "clients"), export)


def _about(tables: dict[str, Sheet], plan: Plan, out: Draft) -> dict[str, Any]:
    """What is asked of the whole: up to when the data are true, and since when they are whole."""
    by_recipe = "clients" in plan.made
    clients = tables.get("clients")
    dated = any({"recorded_date", "recorded_at"} & set(sheet.rows) for sheet in tables.values())
    if clients:
        is_dated = dated or clients.tenure or "recorded_date" in clients.headings
        dated = bool(is_dated)
    begin = _begin(clients) if clients else ""
    if by_recipe and "clients" in plan.frames:
        begin = ask_records_begin(
            pd.DataFrame(
                {
                    name: pd.to_datetime(plan.frames["clients"][name])
                    for name in ("start_date", "end_date")
                }
            )
        )
    out.questions += [] if dated else ["cutoff: the last day on which the data were true"]
    out.questions += ["records_begin: since when nobody who left is missing"] if begin else []
    return {"dated": dated, "begin": begin, "newest": _newest(plan, clients)}


def _newest(plan: Plan, clients: Sheet | None) -> str:
    """The newest day on which anything is said to have happened; empty where none is known."""
    days = []
    for frame in plan.frames.values():
        for name in DAYS & {*frame}:
            dated = pd.to_datetime(frame[name])
            days.append(dated)
    if clients:
        column = TABLES["clients"].column("start_date")
        for name in DAYS & {*clients.headings}:
            theirs = clients.headings[name][0]
            if theirs in clients.rows:
                parsed = parse(clients.rows[theirs], column)
                days.append(parsed.values)
    known = [found.max() for found in days if found.notna().any()]
    if not known:
        return ""
    newest = max(known)
    return f"{newest:%Y-%m-%d}"


def _asked(plan: Plan, out: Draft) -> dict[str, str]:
    """The questions of the recipes, for `[source.answers]`; all that is open is listed."""
    answers: dict[str, str] = {}
    for one in plan.found:
        if one.doubles:
            out.questions.append(f"source.files.{one.alias}.doubles: {one.doubles:,} rows again")
    for name, made in plan.made.items():
        answers |= made.questions
        out.questions += [f"source.answers.{key}: {ask}" for key, ask in made.questions.items()]
        if made.strangers:
            out.questions.append(
                f"tables.{name}.strangers: {len(made.strangers)} that are none of the clients"
            )
        out.questions += [
            f"tables.{name}.values.{ours}: {len(words)} words that are not understood"
            for ours, words in made.words.items()
        ]
        out.refused += [made.refused] if made.refused else []
    return answers


def _text(
    export: Path,
    beside: Path,
    about: dict[str, Any],
    tables: dict[str, Sheet],
    lacking: dict[str, Sheet],
    plan: Plan,
    out: Draft,
) -> str:
    """The draft as TOML."""
    relative = os.path.relpath(export, beside).replace(os.sep, "/")
    path = json.dumps(relative, ensure_ascii=False)
    read = {one.alias for one in plan.found if plan.reads(one)}
    named = {plain(one.path.name.split(".")[0]) for one in plan.found}
    idle = [name for name in TABLES if name in named - {*plan.made, *tables, *lacking}]
    choices = {
        name: {c.name: ", ".join(c.choices) or "Months." for c in table.columns}
        for name, table in TABLES.items()
    }
    more = {
        "export": export,
        "path": path,
        "unused": out.unused,
        "dates": out.dates,
        "open": OPEN,
        "named": NAMED,
    }
    more |= {"crosswalk": FILE if out.crosswalk is not None else ""}
    open_questions = _asked(plan, out)
    more |= {"answers": open_questions, "used": read, "idle": idle, "choices": choices}
    shapes = {"tables": tables, "lacking": lacking, "plan": plan}
    about = about | more | shapes
    template = _drawer().get_template("draft")
    return template.render(about).rstrip() + "\n"


def _drawer() -> Environment:
    """What fills in the templates of drafts."""
    folder = files("retention.data")
    parts = {
        name: folder.joinpath(f"{name}.toml.j2").read_text("utf-8") for name in ("draft", "tools")
    }
    drawer = Environment(
        loader=DictLoader(parts), trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    drawer.filters.update(
        word=word_of, short=shortened, block=_block, plain=_toml, one_or_more=_one_or_more
    )
    return drawer


def _block(text: str) -> str:
    """A query as a TOML string of several lines."""
    return word_of(text) if "'''" in text else f"'''\n{text}\n'''"


def _toml(value: object) -> str:
    """A setting of a file as TOML."""
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return word_of(value) if isinstance(value, str) else str(value)


def _one_or_more(words: tuple[str, ...]) -> str:
    """Words as TOML: one alone as it is, several as a list."""
    return word_of(words[0]) if len(words) == 1 else _toml(list(words))


def _found(export: Path, out: Draft, plan: Plan) -> dict[str, Sheet]:
    """What the export seems to hold, by table, the clients first; with the settings that find each
    again.
    """
    kinds = (*TEXT, *PARQUET, *BOOKS)
    if export in plan.paths:
        return {}
    if export.is_file() and not export.name.lower().endswith(BOOKS):
        return {"clients": _sheet(export)}
    if export.is_file():
        key = "sheet"
        sheets = {name: _sheet(export, name) for name in stores.sheets(export)}
    else:
        files = [
            path
            for path in sorted(export.iterdir())
            if (path.name.lower().endswith(kinds) or path.is_dir()) and path not in plan.paths
        ]
        key = "file"
        sheets = {path.name: _sheet(path) for path in files}
    tables = {name: _table_named(name.split(".")[0], sheets) for name in sheets}
    if "clients" not in tables.values() and sheets and not plan.can_give("clients"):
        best = min(sheets, key=lambda name: lacks("clients", sheets[name]))
        tables[best] = "clients" if lacks("clients", sheets[best]) <= 3 else tables[best]
    if plan.can_give("clients"):
        tables = {name: table if table != "clients" else "" for name, table in tables.items()}
    out.unused += [name for name, table in tables.items() if not table]
    for name, table in tables.items():
        if plain(name.split(".")[0]) != table:
            sheets[name].where.insert(0, f"{key} = {word_of(name)}")
    held = sorted(
        (name for name, table in tables.items() if table),
        key=lambda name: tables[name] != "clients",
    )
    return {tables[name]: sheets[name] for name in held}


def _sheet(path: Path, sheet: str = "") -> Sheet:
    """A file or sheet, with the setting that its encoding needs where it is not UTF-8."""
    sheet_only = TableSettings(sheet=sheet)
    place = place_of(path, sheet_only, "clients")
    try:
        next(place.pieces(), None)
    except NotATableError as no:
        if no.kind == "encoding":
            other_place = TableSettings(encoding="cp1252")
            found = Sheet(place_of(path, other_place, "clients"))
            odd = next(
                (
                    word
                    for name in found.rows
                    for word in texts(found.rows[name])
                    if not word.isascii()
                ),
                "",
            )
            found.where += [
                f'encoding = "cp1252"  # {LIKELY}: it is not UTF-8; '
                f"does {shortened(odd)} look right?"
            ]
            return found
    return Sheet(place)


def _table_named(name: str, others: Iterable[str]) -> str:
    """The table that a file or sheet is named after; one nearly so only where none is exactly."""
    taken = {plain(other.split(".")[0]) for other in others}
    near = difflib.get_close_matches(plain(name), TABLES, 1, ALIKE)
    like = (
        near[0]
        if near
        else "clients"
        if plain(name) in ("customers", "accounts", "engagements")
        else ""
    )
    return like if like == plain(name) or like not in taken else ""


def _begin(clients: Sheet) -> str:
    """The question since when the records are whole, where the dates raise it."""
    taken = {name: clients.headings.get(name, ("",))[0] for name in ("start_date", "end_date")}
    if not set(taken.values()) <= set(clients.rows):
        return ""
    columns = {
        name: parse(clients.rows[theirs], TABLES["clients"].column(name))
        for name, theirs in taken.items()
    }
    return ask_records_begin(
        pd.DataFrame({name: parsed.values for name, parsed in columns.items()})
    )
