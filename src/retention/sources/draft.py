"""A first retention.toml for an unknown export: each line a guess with its evidence; what must not be guessed is asked.

METHODS 0: an end is the last paid day. A date that a client who stays has too (the end of a term, a renewal, a
paid-to date) is never taken for one.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from retention.config import OPEN, Settings, TableSettings
from retention.errors import ConfigError
from retention.sources import stores
from retention.sources.check import ask_records_begin
from retention.sources.delimited import NotATableError
from retention.sources.find import BOOKS, PARQUET, TEXT, Place, place_of, plain
from retention.sources.parse import Evidence, Parsed, parse, texts
from retention.sources.words import WORDS, fault, sentence
from retention.tables import TABLES, Column, Table

SURE, LIKELY, GUESS = "sure", "likely", "a guess"
READABLE = 0.98  # (ours) share of filled cells that must read as the column's kind
ALIKE = 0.86  # (ours) how alike a heading must be to be worth a guess
LATER = pd.Timedelta(days=92)  # (ours) ends this far beyond every other date are planned ones
_WORDS = WORDS["exports"]
_TRUE, _FALSE = WORDS["cells"]["true"], WORDS["cells"]["false"]


@dataclass
class Draft:
    """The text of a retention.toml, the questions that are left open in it, and what was refused and why."""

    text: str = ""
    questions: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)


@dataclass
class _Guess:
    """What is guessed of one table: headings by our names with how sure and why, and lines of its section."""

    headings: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    section: list[str] = field(default_factory=list)
    formats: list[str] = field(default_factory=list)
    values: list[str] = field(default_factory=list)
    spare: list[str] = field(default_factory=list)


def draft(export: Path, beside: Path) -> Draft:
    """A draft for an export (a file, a workbook or a folder), to be written into the folder `beside`.

    ConfigError where nothing in it can be read as a table of clients.
    """
    if not export.exists():
        raise ConfigError(sentence("export", export=export))
    out = Draft()
    found = _found(export, out)
    if "clients" not in found:
        raise ConfigError(sentence("no clients", export=export, columns=", ".join(TABLES["clients"].required)))
    guesses = {
        name: _guess(TABLES[name], place, where, out)
        for name, (place, where) in found.items()
        if name == "clients" or not _lacks(name, place)
    }
    tables = [line for name, guess in guesses.items() for line in _lines(TABLES[name], _first(found[name][0]), guess)]
    for name in set(found) - set(guesses):
        tables += [f"[tables.{name}]", f"use = false  # {_word(found[name][0].name)} lacks what this table needs", ""]
    path = json.dumps(os.path.relpath(export, beside).replace(os.sep, "/"), ensure_ascii=False)
    head = [
        f"# Drafted by looking at {_word(export.name)}. Nothing here counts until somebody who knows the data has read",
        "# it: each guess says what it rests on and how sure it is. Answer every " + f'"{OPEN}", then confirm.',
        "confirmed = false  # set to true when all below is right",
        *(f"# Not used: {_word(name)}, which is no table that is known." for name in out.unused),
        "",
        *_when({name: found[name] for name in guesses}, guesses["clients"], out),
        "[source]",
        f"{'folder' if export.is_dir() else 'file'} = {path}",
        "",
    ]
    out.text = "\n".join([*head, *tables]).rstrip() + "\n"
    return out


def _found(export: Path, out: Draft) -> dict[str, tuple[Place, list[str]]]:
    """The places of the tables that the export seems to hold, with the settings that find them again."""
    if export.is_file() and not export.name.lower().endswith(BOOKS):
        return {"clients": _place(export)}
    if export.is_file():
        places = {sheet: _place(export, sheet) for sheet in stores.sheets(export)}
    else:
        files = [
            p for p in sorted(export.iterdir()) if p.name.lower().endswith((*TEXT, *PARQUET, *BOOKS)) or p.is_dir()
        ]
        places = {path.name: _place(path) for path in files}
    tables = {name: _table_named(name.split(".")[0], places) for name in places}
    if "clients" not in tables.values() and places:
        lacks = {name: _lacks("clients", place) for name, (place, _) in places.items()}
        best = min(lacks, key=lambda name: lacks[name])
        tables[best] = "clients" if lacks[best] <= 3 else tables[best]
    key = "sheet" if export.is_file() else "file"
    out.unused += [name for name, table in tables.items() if not table]
    return {
        table: (places[name][0], [f"{key} = {_word(name)}"] * (plain(name.split(".")[0]) != table) + places[name][1])
        for name, table in sorted(tables.items(), key=lambda item: item[1] != "clients")
        if table
    }


def _place(path: Path, sheet: str = "") -> tuple[Place, list[str]]:
    """The place of a file or sheet, and the setting that its encoding needs, where it is not UTF-8."""
    place = place_of(path, Settings(tables={"clients": TableSettings(sheet=sheet)}), "clients")
    try:
        next(place.pieces(), None)
    except NotATableError as no:
        if no.kind == "encoding":
            place = place_of(path, Settings(tables={"clients": TableSettings(encoding="cp1252")}), "clients")
            rows = _first(place)
            odd = next((word for name in rows for word in texts(rows[name]) if not word.isascii()), "")
            return place, [f'encoding = "cp1252"  # {LIKELY}: it is not UTF-8; does {_short(odd)} look right?']
    return place, []


def _table_named(name: str, others: Iterable[str]) -> str:
    """The table that a file or sheet is named after; one nearly so only where none is exactly."""
    taken = {plain(other.split(".")[0]) for other in others}
    near = difflib.get_close_matches(plain(name), TABLES, 1, ALIKE)
    like = near[0] if near else "clients" if plain(name) in ("customers", "accounts", "engagements") else ""
    return like if like == plain(name) or like not in taken else ""


def _lacks(name: str, place: Place) -> int:
    """How many of the named table's required columns no heading of this place could be; all, where it is no table."""
    required = [TABLES[name].column(need) for need in TABLES[name].required]
    with suppress(NotATableError, ConfigError, StopIteration):
        headings = next(place.pieces()).columns
        return sum(not any(_alike(column, heading) for heading in headings) for column in required)
    return len(required)


def _guess(table: Table, place: Place, where: list[str], out: Draft) -> _Guess:
    """What can be guessed of one table, and what must be asked or refused."""
    rows, guess = _first(place), _Guess(section=list(where))
    _headings(table, place, rows, guess)
    if table.name == "clients":
        _ends(rows, guess, out)
    for name in table.required:
        open_ended = table.name == "clients" and name in ("start_date", "end_date") and _is_tenure(guess)
        if name not in guess.headings and not open_ended:
            near = ", ".join(_word(heading) for heading in rows.columns[:40])
            guess.headings[name] = (OPEN, "asked", f"which of these holds it: {near}")
            out.questions.append(f"{table.name}.{name}: no column could be taken for it")
    _spellings(table, rows, guess, out)
    return guess


def _lines(table: Table, rows: pd.DataFrame, guess: _Guess) -> list[str]:
    """The guesses as the table's sections of the file."""
    columns = [
        f"{name} = {_word(theirs)}  # {sure}: {why}"
        for name, (theirs, sure, why) in guess.headings.items()
        if theirs != name or sure != SURE
    ]
    lines = [f"[tables.{table.name}]", *guess.section, ""] if guess.section else []
    for title, part in (("columns", columns), ("formats", guess.formats), ("values", guess.values)):
        lines += [f"[tables.{table.name}.{title}]", *part, ""] if part else []
    used = {theirs for theirs, _, _ in guess.headings.values()}
    return lines + _extras(table, rows, used | set(guess.spare))


def _first(place: Place) -> pd.DataFrame:
    """The first rows of a place; ConfigError where it is no table."""
    try:
        return next(place.pieces())
    except NotATableError as no:
        told = fault("<table>", "", no.kind, **no.said)
        raise ConfigError(f"{place.name} {told.problem}. {told.remedy}") from None


def _headings(table: Table, place: Place, rows: pd.DataFrame, guess: _Guess) -> None:
    """Give each declared column the heading most like it whose cells read as its kind; none is given twice."""
    pairs = [(_alike(column, heading), heading, column) for column in table.columns for heading in rows.columns]
    for score, heading, column in sorted((p for p in pairs if p[0]), key=lambda p: -p[0]):
        if column.name in guess.headings or heading in guess.spare:
            continue
        parsed = parse(rows[heading], column, first_day=place.first_day)
        filled = int(parsed.filled.sum())
        asked = parsed.kind in ("two dates", "two numbers")
        if not filled or not (asked or column.kind == "term" or parsed.bad.sum() <= (1 - READABLE) * filled):
            continue
        sure = SURE if score == 3 else LIKELY if score > 1 else GUESS
        guess.headings[column.name] = (heading, sure, _evidence(column, heading, rows[heading], parsed))
        guess.spare.append(heading)


def _alike(column: Column, heading: str) -> float:
    """3 where the heading is our name for the column, about 2 where it is another it goes by (the likelier first), 1
    where it is nearly one; of an end nearly is not enough.
    """
    name = _spaced(heading)
    also = [plain(word) for word in column.also]
    if name == column.name:
        return 3
    if name in also:
        return 2 - also.index(name) / 100
    return int(column.name != "end_date" and bool(difflib.get_close_matches(name, [column.name, *also], 1, ALIKE)))


def _spaced(heading: str) -> str:
    """A heading as our columns are spelt, words run together taken apart: "CustomerID" is customer_id."""
    return plain(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", heading).replace(".", " "))


def _evidence(column: Column, heading: str, cells: pd.Series, parsed: Parsed) -> str:
    """What a heading's cells look like, in a few words."""
    values, filled = parsed.values.dropna(), int(parsed.filled.sum())
    told = f"the heading; {filled:,} of {len(cells):,} rows filled"
    if column.kind == "term":
        words = texts(cells).value_counts()
        return told + ", " + ", ".join(f"{_short(word)} {count:,} times" for word, count in words.head(6).items())
    if column.kind == "date" and len(values):
        return f"{told}, {values.min():%Y-%m-%d} to {values.max():%Y-%m-%d}"
    if column.kind in ("number", "integer") and len(values):
        return f"{told}, numbers from {values.min():g} to {values.max():g}"
    return f"{told}, {values.nunique():,} different"


def _ends(rows: pd.DataFrame, guess: _Guess, out: Draft) -> None:
    """Refuse what only looks like an end; take a tenure and a flag where there is no end."""
    flag = _flag(rows)
    for heading in rows.columns:
        taken = guess.headings.get("end_date", ("",))[0] == heading
        planned = bool(re.search(_WORDS["planned"], _spaced(heading))) and not taken
        if (taken or planned) and (why := _not_an_end(rows, heading, guess, flag, planned)):
            out.refused.append(f"{_word(heading)} was not taken as end_date: {why}")
            guess.section.append(f"# {out.refused[-1]}")
            if taken:
                del guess.headings["end_date"]
    if "end_date" in guess.headings:
        return
    whole = flag is not None and len(flag[1]) == 1 and len(set(texts(rows[flag[0]]).unique())) == 2
    if flag and whole and (tenure := _one(rows, _WORDS["tenure"], "integer")):
        heading, gone, why = flag
        guess.headings.pop("start_date", None)
        guess.spare += [tenure, heading]
        guess.section += [
            f"tenure_months = {_word(tenure)}  # {LIKELY}: the heading; whole numbers in all rows",
            f"ended = {{ column = {_word(heading)}, true = {_word(*gone)} }}  # {why}",
            "# On which day was the export made? Tenures count back from there.",
            f'snapshot_date = "{OPEN}"  # a date without quotes: 2025-12-31',
        ]
        out.questions.append("clients.snapshot_date: the day of the export")
    elif flag:
        out.refused.append(f"{_word(flag[0])} says who left but not when; without dates or a tenure it answers nothing")
    else:
        out.refused.append("no column says who left and when; without ends there is nothing to study")


def _not_an_end(
    rows: pd.DataFrame, heading: str, guess: _Guess, flag: tuple[str, set[str], str] | None, planned: bool
) -> str:
    """Why these dates are not ends of service; empty where nothing speaks against it."""
    ends = _typed(rows, heading, "end_date")
    if planned:
        return "its heading speaks of what is planned or paid for" if ends.notna().any() else ""
    if flag:
        staying = int((ends.notna() & ~texts(rows[flag[0]]).isin(flag[1])).sum())
        return f"{staying:,} rows have it that are none of {sorted(flag[1])} in {_word(flag[0])}" if staying else ""
    if ends.notna().all():
        return "every client has one; who stays has none. If all have left, name it yourself"
    names = ("start_date", "decision_date", "recorded_date", "contract_term_months")
    known = {name: _typed(rows, guess.headings[name][0], name) for name in names if name in guess.headings}
    if {"start_date", "contract_term_months"} <= set(known):
        start, after = known["start_date"], ends + pd.Timedelta(days=1)
        served = (after.dt.year - start.dt.year) * 12 + after.dt.month - start.dt.month
        on_the_day = (after.dt.day - start.dt.day).abs() <= 1
        fixed = ends.notna() & (known["contract_term_months"] > 1)
        first = fixed & (served == known["contract_term_months"]) & on_the_day
        if first.sum() > 2 and first.sum() >= 0.9 * ends.notna().sum():
            return "each lies exactly one term after its start, as the ends of terms do"
    others = [days.max() for name, days in known.items() if name != "contract_term_months" and days.notna().any()]
    late = int((ends > max(others) + LATER).sum()) if others else 0
    if late >= max(2, 0.2 * ends.notna().sum()):
        return f"{late:,} lie more than three months after every other date, as planned or paid-to dates do"
    return ""


def _typed(rows: pd.DataFrame, heading: str, name: str) -> pd.Series:
    """The cells as values of the named clients column; what cannot be read is missing."""
    column, evidence = TABLES["clients"].column(name), Evidence()
    evidence.look(rows[heading], column)
    return parse(rows[heading], column, evidence.forms().get(name, "")).values


def _flag(rows: pd.DataFrame) -> tuple[str, set[str], str] | None:
    """The column that says who left, its words for having left, and how sure that is."""
    for heading in rows.columns:
        name, cells = _spaced(heading), texts(rows[heading])
        words = set(cells.unique()) - {""}
        left = _FALSE if name in _WORDS["active"] else _TRUE + _WORDS["gone"]
        gone = {word for word in words if word.casefold() in left}
        if (
            name in _WORDS["left"] + _WORDS["active"] + _WORDS["status"]
            and 2 <= len(words) <= 8
            and gone
            and gone < words
        ):
            count = int(cells.isin(gone).sum())
            shown = " or ".join(_word(word) for word in sorted(gone))
            return heading, gone, f"{LIKELY}: {shown} in {count:,} of {len(rows):,} rows"
    return None


def _one(rows: pd.DataFrame, names: list[str], kind: str) -> str:
    """The first heading of these names whose cells all read as the kind."""
    for heading in rows.columns:
        if _spaced(heading) in names:
            parsed = parse(rows[heading], Column(heading, kind, "", ""))
            if parsed.filled.all() and not parsed.bad.any():
                return str(heading)
    return ""


def _is_tenure(guess: _Guess) -> bool:
    return any(line.startswith("tenure_months") for line in guess.section)


def _spellings(table: Table, rows: pd.DataFrame, guess: _Guess, out: Draft) -> None:
    """Ask how dates and numbers with two readings are meant, and what unknown terms stand for."""
    evidence = Evidence()
    chosen = [(column, guess.headings[column.name][0]) for column in table.columns if column.name in guess.headings]
    for column, heading in chosen:
        if heading in rows:
            evidence.look(rows[heading], column)
    forms = evidence.forms()
    for column, heading in chosen:
        if heading not in rows:
            continue
        parsed = parse(rows[heading], column, forms.get(column.name, ""))
        if parsed.kind in ("two dates", "two numbers"):
            orders = '"day first" or "month first"' if column.kind in ("date", "month") else '"1,234.5" or "1.234,5"'
            guess.formats += [f"# Two readings: {_short(parsed.seen[0])}. Say {orders}.", f'{column.name} = "{OPEN}"']
            out.questions.append(f"{table.name}.{column.name}: how it is written")
        elif column.kind == "term" and parsed.bad.any():
            unknown = list({word.casefold(): word for word in texts(rows[heading])[parsed.bad].unique()}.values())
            guess.values += ["# How many months are these? 1 is month-to-month."]
            guess.values += [f'{column.name}.{_word(word)} = "{OPEN}"' for word in unknown]
            out.questions.append(f"{table.name}.{column.name}: {len(unknown)} terms that are not understood")


def _when(found: dict[str, tuple[Place, list[str]]], clients: _Guess, out: Draft) -> list[str]:
    """The questions that no column answers: up to which day the data are true, and since when they are whole."""
    lines, rows = [], _first(found["clients"][0])
    recorded = [{"recorded_date", "recorded_at"} & set(_first(place).columns) for place, _ in found.values()]
    if "recorded_date" not in clients.headings and not any(recorded) and not _is_tenure(clients):
        out.questions.append("cutoff: the last day on which the data were true")
        lines += ["# Up to which day were the data true? Usually the day of the export.",
                  f'cutoff = "{OPEN}"  # a date without quotes: 2025-12-31', ""]  # fmt: skip
    dates = {name: clients.headings.get(name, ("",))[0] for name in ("start_date", "end_date")}
    if all(theirs in rows for theirs in dates.values()):
        typed = {name: parse(rows[theirs], TABLES["clients"].column(name)).values for name, theirs in dates.items()}
        if ask := ask_records_begin(pd.DataFrame(typed)):
            out.questions.append("records_begin: since when nobody who left is missing")
            lines += [f"# {ask}", f'records_begin = "{OPEN}"', ""]
    return lines


def _extras(table: Table, rows: pd.DataFrame, used: set[str]) -> list[str]:
    """Columns nobody asked for, offered for like-for-like comparison once a person says when they were known."""
    lines = []
    for heading in rows.columns:
        cells = texts(rows[heading])
        if heading in used or not 1 < cells.nunique() <= 20 or table.name != "clients":
            continue
        lines.append(f'# {_word(heading)} = {{ kind = "category", known = "signing" }}  # {cells.nunique()} different')
    title = ["# Further columns, if they were known at signing: take the # away.", f"# [tables.{table.name}.extra]"]
    return [*title, *lines, ""] if lines else []


def _word(text: object) -> str:
    """Any text as a TOML string on one line."""
    quoted = json.dumps(str(text), ensure_ascii=False)
    return re.sub(r"[\x7f-\x9f\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", quoted)


def _short(text: object) -> str:
    """Any text for a comment: on one line, and not long."""
    return _word(str(text)[:80])
