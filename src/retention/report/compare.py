"""What changed between two runs: verdicts, estimates, lists, rows, columns and warnings; in data
and in sentences.

Two runs mostly share their clients. What chance alone moves between them is therefore less than
what the interval of the older one allows for: a new estimate outside that interval has moved by
more than chance would, one inside may have moved by chance. Knows nothing of statistics beyond that
comparison.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from retention.report.change_words import sections
from retention.results import NOT_RUN
from retention.runs import Run
from retention.words import fields_of, say

CHANGES = "changes.json"
SCHEMA = 2  # of changes.json
FILLED_MOVE = 0.05  # (ours) a column that is filled this much more or less often is mentioned
# ids of the words of runs of schema 1
FORMER = tomllib.loads(files("retention.report").joinpath("schema1.toml").read_text("utf-8"))
# what a run's id is made from, and, where there are any, the earlier runs that it checks
MADE_OF = ("cutoff", "records_begin", "notebooks", "settings", "data", "code", "packages")
PERHAPS = ("earlier",)


def compare(old: Run | None, new: Run) -> dict[str, Any]:
    """What changes.json holds: everything that differs between two runs, by id; whether anything
    `moved`; and `told`, all of it as headings with sentences.
    """
    before = old.name if old else None
    head = {"schema": SCHEMA, "before": before, "after": new.name}
    if old is None:
        why = say("report.changes.none_before")
        return {**head, "moved": False, "told": [["", [why]]]}
    if old.name == new.name:
        why = say("report.changes.same")
        return {**head, "before": None, "moved": False, "told": [["", [why]]]}
    failed = [run for run in (old, new) if run.about.get("failed")]
    if failed:
        partial = [_partial(run) for run in failed]
        return {**head, "moved": False, "told": [["", partial]]}
    differences = _differences(old, new)
    moved = _moved(differences)
    found = sections(differences, old, new)
    told = [[title, lines] for title, lines in found if lines]
    return {**head, "moved": moved, **differences, "told": told}


def _differences(old: Run, new: Run) -> dict[str, Any]:
    """Everything that differs between two runs, by id.

    A run with codes for names must not learn names from one without them, and codes of two keys
    never match: then neither clients nor what may name them are compared.
    """
    alike = old.about.get("pseudonyms") == new.about.get("pseudonyms")
    claims = _claims(old.results["claims"], new.results["claims"])
    estimates: list[dict[str, Any]] = []
    lists: list[dict[str, Any]] = []
    warnings: dict[str, list[str]] = {"came": [], "went": []}
    if alike:
        estimates = _estimates(old.results["estimates"], new.results["estimates"])
        lists = _lists(old.lists, new.lists)
        warnings = _came_and_went(_warnings(old), _warnings(new))
    tables = _tables(old.about.get("tables"), new.about.get("tables"))
    return {
        "names_compared": alike,
        "made_of": list(_differs(old.about, new.about)),
        "settings": _settings(old.about, new.about),
        "claims": claims,
        "estimates": estimates,
        "lists": lists,
        "warnings": warnings,
        **tables,
    }


def _moved(differences: Mapping[str, Any]) -> bool:
    """Whether a verdict, an estimate, a list, a warning or a column moved."""
    claims = any(claim["moved"] for claim in differences["claims"])
    estimates = any(row["beyond_noise"] for row in differences["estimates"])
    lists = any(row["entered"] or row["left"] for row in differences["lists"])
    kinds = [differences["warnings"], differences["columns"]]
    others = any(kind["came"] or kind["went"] for kind in kinds)
    return claims or estimates or lists or others


def _partial(run: Run) -> str:
    """Why a run is not compared in which a notebook failed: what it lacks would be reported as
    gone.
    """
    pages = ", ".join(run.about["failed"])
    return say("report.changes.partial", run=run.name, pages=pages)


def _differs(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterable[str]:
    """The parts (`MADE_OF`) that differ between two runs; settings that are parts of their own
    are left out of the settings.
    """
    for part in (*MADE_OF, *PERHAPS, "pseudonyms"):
        before = old.get(part)
        after = new.get(part)
        if part == "settings" and before and after:
            differs = bool(_settings(old, new))
        else:
            differs = before != after
        if differs:
            yield part


def _settings(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """The names of the settings that differ, without those that are parts of a run by
    themselves.
    """
    before = old.get("settings") or {}
    after = new.get("settings") or {}
    if not before or not after:
        return []
    names = {*before, *after}.difference(MADE_OF)
    return sorted(name for name in names if before.get(name) != after.get(name))


def _warnings(run: Run) -> list[Mapping[str, Any]]:
    findings = run.results.get("findings", [])
    return [row for row in findings if row["kind"] == "warning"]


def _came_and_went(
    old: Iterable[Mapping[str, Any]], new: Iterable[Mapping[str, Any]]
) -> dict[str, list[str]]:
    """The warnings that only one side has."""
    before = [(_marks(row), row["text"]) for row in old]
    after = [(_marks(row), row["text"]) for row in new]
    return {"came": _unknown_to(before, after), "went": _unknown_to(after, before)}


def _unknown_to(
    known: Iterable[tuple[set[str], str]], others: Iterable[tuple[set[str], str]]
) -> list[str]:
    """The texts of the others that share no mark with what is known."""
    known_marks: set[str] = set()
    for marks, _ in known:
        known_marks |= marks
    return [text for marks, text in others if not marks & known_marks]


def _marks(row: Mapping[str, Any]) -> set[str]:
    """What a warning is known by: its id, where the run has one, and its words; both without
    numbers and what is in brackets. Runs of schema 1 have words alone.
    """
    marks = {_without_numbers(row["text"])}
    if row.get("key"):
        key, _, values = row["key"].partition(":")
        fields = {_without_numbers(value).strip() for value in values.split(",")}
        named = sorted(fields - {""})
        mark = ":".join([key, *named])
        marks.add(mark)
    return marks


def _without_numbers(text: str) -> str:
    return re.sub(r"\(.*?\)|[\d.,]+", "", text)


def _beyond(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool | None:
    """Whether the new estimate lies outside the old interval; None where either is not known, or
    has no width.

    Resamples of zeros alone are all zero: an interval without width says that too few were there
    to judge by.
    """
    low, high = _interval(before)
    value = after["estimate"]
    if low is None or high is None or value is None:
        return None
    if low >= high:
        return None
    return not low <= value <= high


def _interval(row: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """The ordinary 95 % interval of a claim or an estimate."""
    low, high = row.get("interval_95") or (None, None)
    if low is None or high is None:
        return row["low"], row["high"]
    return low, high


def _words(claim: Mapping[str, Any]) -> str:
    qualifiers = claim.get("qualifiers", [])
    return ", ".join([claim["verdict"], *qualifiers])


def _decided(claim: Mapping[str, Any]) -> list[str]:
    """The verdict and its qualifiers by id; a run of schema 1 has their words, whose ids are in
    FORMER.
    """
    words = claim.get("qualifiers", [])
    former = FORMER["qualifiers"]
    known = [former.get(word, word) for word in words]
    keys = claim.get("qualifier_keys", known)
    return [claim["verdict"], *keys]


def _claims(
    old: Iterable[Mapping[str, Any]], new: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Each claim of either run: its words and estimates in both, and whether it moved. (`moved`:
    words or estimate)
    """
    before = {claim["id"]: claim for claim in old}
    after = {claim["id"]: claim for claim in new}
    names = dict.fromkeys([*after, *before])
    return [_claim(name, before.get(name), after.get(name)) for name in names]


def _claim(
    name: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> dict[str, Any]:
    """One claim of either run, as of `_claims`; None where a run has not tried it."""
    not_run = {"verdict": NOT_RUN, "estimate": None, "low": None, "high": None}
    some = after or before or {}
    old = before or not_run
    new = after or not_run
    beyond = _beyond(old, new)
    verdict_before = _decided(old)
    verdict_after = _decided(new)
    changed = verdict_before != verdict_after
    return {
        "id": name,
        "question": some["question"],
        "scale": some["scale"],
        "before": _words(old),
        "after": _words(new),
        "verdict_before": verdict_before,
        "verdict_after": verdict_after,
        "moved": bool(changed or beyond),
        "estimate_before": old["estimate"],
        "estimate_after": new["estimate"],
        "interval_before": _interval(old),
        "beyond_noise": beyond,
    }


def _estimates(
    old: Iterable[Mapping[str, Any]], new: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The estimates of both runs that differ, and those that only one of them has."""
    before = {_key(row): row for row in old}
    after = {_key(row): row for row in new}
    rows = []
    for key in dict.fromkeys([*after, *before]):
        row_before = before.get(key)
        row_after = after.get(key)
        if row_before and row_after and row_before["estimate"] == row_after["estimate"]:
            continue
        row = _estimate(row_before, row_after)
        rows.append(row)
    return rows


def _estimate(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> dict[str, Any]:
    """One estimate of either run: what it is, its values, and whether it moved beyond noise."""
    shown = after or before or {}
    beyond = None
    if before and after:
        beyond = _beyond(before, after)
    return {
        "id": shown["id"],
        "name": shown["name"],
        "group": shown["group"],
        "unit": shown["unit"],
        "before": before and before["estimate"],
        "interval_before": _interval(before) if before else (None, None),
        "after": after and after["estimate"],
        "beyond_noise": beyond,
    }


def _key(row: Mapping[str, Any]) -> tuple[str, str]:
    """What an estimate is, by id; a run of schema 1 has names alone, whose ids are in FORMER."""
    row_id = row["id"]
    if row.get("key"):
        return row_id, row["key"]
    name = _former(row_id, row["name"])
    group = _former(row_id, row["group"])
    return row_id, f"{name}/{group}"


def _former(row_id: str, name: str) -> str:
    """The id of a name of schema 1, from FORMER; a name that is not there stands for itself."""
    patterns = _former_names().get(row_id, ())
    for pattern, key in patterns:
        match = pattern.fullmatch(name)
        if not match:
            continue
        fields = ",".join(match.groups())
        return f"{key}:{fields}" if match.groups() else key
    return name


@cache
def _former_names() -> dict[str, list[tuple[re.Pattern[str], str]]]:
    """The names of FORMER by the study's row: a pattern with a group for each field, and the id."""
    names: dict[str, list[tuple[re.Pattern[str], str]]] = {}
    for row_id, table in FORMER["estimates"].items():
        for text, key in table.items():
            pattern = re.escape(text)
            for field in fields_of(text):
                place = re.escape(f"{{{field}}}")
                pattern = pattern.replace(place, "(.+?)")
            known = names.setdefault(row_id, [])
            known.append((re.compile(pattern), key))
    return names


def _lists(
    old: Mapping[str, Mapping[str, str]], new: Mapping[str, Mapping[str, str]]
) -> list[dict[str, Any]]:
    """Who entered and who left each list, by id; a list that one run lacks has nobody on it
    there.
    """
    rows: list[dict[str, Any]] = []
    for name in dict.fromkeys([*new, *old]):
        before = old.get(name, {})
        after = new.get(name, {})
        row = {
            "list": name,
            "rows_before": len(before),
            "rows_after": len(after),
            "entered": _missing(before, after),
            "left": _missing(after, before),
        }
        rows.append(row)
    return rows


def _missing(here: Mapping[str, str], there: Mapping[str, str]) -> list[dict[str, str]]:
    """The clients of the second list whom the first lacks, with their names."""
    missing = [who for who in there if who not in here]
    return [{"client_id": who, "client": there[who]} for who in missing]


def _tables(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> dict[str, Any]:
    """Rows a table, columns and tables that came or went, and columns filled more or less often
    than before.
    """
    before: Mapping[str, Any] = {}
    after: Mapping[str, Any] = {}
    if old and new:
        before = old
        after = new
    shares_before = _filled(before)
    shares_after = _filled(after)
    came = shares_after.keys() - shares_before
    went = shares_before.keys() - shares_after
    names = dict.fromkeys([*after, *before])
    rows = []
    for name in names:
        row = {"table": name, "before": _rows(before, name), "after": _rows(after, name)}
        rows.append(row)
    moves = []
    for column, share in shares_after.items():
        former = shares_before.get(column)
        if former is not None and abs(share - former) >= FILLED_MOVE:
            move = {"column": column, "before": former, "after": share}
            moves.append(move)
    return {"rows": rows, "columns": {"came": sorted(came), "went": sorted(went)}, "filled": moves}


def _rows(tables: Mapping[str, Any], name: str) -> int:
    """How many rows a table has; 0 where the run has no such table."""
    rows: int = tables.get(name, {}).get("rows", 0)
    return rows


def _filled(tables: Mapping[str, Any]) -> dict[str, float]:
    """The share of rows in which each column is filled, by table and column."""
    shares = {}
    for name, about in tables.items():
        rows = max(about["rows"], 1)
        for column, filled in about["filled"].items():
            shares[f"{name}.{column}"] = filled / rows
    return shares
