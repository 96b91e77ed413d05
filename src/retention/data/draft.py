"""A first retention.toml for an unknown export: each line a guess with its evidence; what must not
be guessed is asked.

METHODS 0: an end is the last paid day. A date that a client who stays has too (the end of a term, a
renewal, a paid-to date) is never taken for one.
"""

import difflib
import json
import os
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

import pandas as pd
from jinja2 import Environment, StrictUndefined

from retention.data import stores
from retention.data.check import ask_records_begin
from retention.data.delimited import NotATableError
from retention.data.find import BOOKS, PARQUET, TEXT, place_of, plain
from retention.data.parse import parse, texts
from retention.data.recognise import ALIKE, LIKELY, Draft, Sheet, guess, lacks, shortened, word_of
from retention.data.schema import TABLES
from retention.data.words import sentence
from retention.errors import ConfigError
from retention.settings import OPEN, TableSettings


def draft(export: Path, beside: Path) -> Draft:
    """A draft for an export (a file, a workbook or a folder), to be written into the folder
    `beside`.

    ConfigError where nothing in it can be read as a table of clients.
    """
    if not export.exists():
        raise ConfigError(sentence("export", export=export))
    out = Draft()
    found = _found(export, out)
    if "clients" not in found:
        raise ConfigError(
            sentence("no clients", export=export, columns=", ".join(TABLES["clients"].required))
        )
    lacking = {
        name: sheet for name, sheet in found.items() if name != "clients" and lacks(name, sheet)
    }
    tables = {name: sheet for name, sheet in found.items() if name not in lacking}
    for name, sheet in tables.items():
        guess(TABLES[name], sheet, out)
    clients = tables["clients"]
    dated = clients.tenure or "recorded_date" in clients.headings
    dated = dated or any(
        {"recorded_date", "recorded_at"} & set(sheet.rows) for sheet in tables.values()
    )
    out.questions += [] if dated else ["cutoff: the last day on which the data were true"]
    begin = _begin(clients)
    out.questions += ["records_begin: since when nobody who left is missing"] if begin else []
    path = json.dumps(os.path.relpath(export, beside).replace(os.sep, "/"), ensure_ascii=False)
    drawer = Environment(trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    drawer.filters.update(word=word_of, short=shortened)
    template = drawer.from_string(
        files("retention.data").joinpath("draft.toml.j2").read_text("utf-8")
    )
    about = {
        "export": export,
        "path": path,
        "unused": out.unused,
        "dated": dated,
        "begin": begin,
        "open": OPEN,
    }
    out.text = template.render(about, tables=tables, lacking=lacking).rstrip() + "\n"
    return out


def _found(export: Path, out: Draft) -> dict[str, Sheet]:
    """What the export seems to hold, by table, the clients first; with the settings that find each
    again.
    """
    kinds = (*TEXT, *PARQUET, *BOOKS)
    if export.is_file() and not export.name.lower().endswith(BOOKS):
        return {"clients": _sheet(export)}
    if export.is_file():
        key = "sheet"
        sheets = {name: _sheet(export, name) for name in stores.sheets(export)}
    else:
        files = [
            path
            for path in sorted(export.iterdir())
            if path.name.lower().endswith(kinds) or path.is_dir()
        ]
        key = "file"
        sheets = {path.name: _sheet(path) for path in files}
    tables = {name: _table_named(name.split(".")[0], sheets) for name in sheets}
    if "clients" not in tables.values() and sheets:
        best = min(sheets, key=lambda name: lacks("clients", sheets[name]))
        tables[best] = "clients" if lacks("clients", sheets[best]) <= 3 else tables[best]
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
    place = place_of(path, TableSettings(sheet=sheet), "clients")
    try:
        next(place.pieces(), None)
    except NotATableError as no:
        if no.kind == "encoding":
            found = Sheet(place_of(path, TableSettings(encoding="cp1252"), "clients"))
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
