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

from retention.numbers import between, quantity
from retention.results import NOT_RUN
from retention.runs import Run, list_name
from retention.words import fields_of, say, together

CHANGES = "changes.json"
SCHEMA = 2  # of changes.json
NAMED = 10  # clients of a list named in a sentence; changes.json names all
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
    head = {"schema": SCHEMA, "before": old.name if old else None, "after": new.name}
    if old is None or old.name == new.name:
        why = say("report.changes.none_before" if old is None else "report.changes.same")
        return {**head, "before": None, "moved": False, "told": [["", [why]]]}
    if partial := [_partial(run) for run in (old, new) if run.about.get("failed")]:
        return {**head, "moved": False, "told": [["", partial]]}
    differences = _differences(old, new)
    sections = [[title, lines] for title, lines in _sections(differences, old, new) if lines]
    return {**head, "moved": _moved(differences), **differences, "told": sections}


def _differences(old: Run, new: Run) -> dict[str, Any]:
    """Everything that differs between two runs, by id.

    A run with codes for names must not learn names from one without them, and codes of two keys
    never match: then neither clients nor what may name them are compared.
    """
    alike = old.about.get("pseudonyms") == new.about.get("pseudonyms")
    nothing: dict[str, list[str]] = {"came": [], "went": []}
    estimates = (old.results["estimates"], new.results["estimates"])
    return {
        "names_compared": alike,
        "made_of": list(_differs(old.about, new.about)),
        "settings": _settings(old.about, new.about),
        "claims": _claims(old.results["claims"], new.results["claims"]),
        "estimates": _estimates(*estimates) if alike else [],
        "lists": _lists(old.lists, new.lists) if alike else [],
        "warnings": _came_and_went(_warnings(old), _warnings(new)) if alike else nothing,
        **_tables(old.about.get("tables"), new.about.get("tables")),
    }


def _moved(differences: Mapping[str, Any]) -> bool:
    """Whether a verdict, an estimate, a list, a warning or a column moved."""
    claims = any(claim["moved"] for claim in differences["claims"])
    estimates = any(row["beyond_noise"] for row in differences["estimates"])
    lists = any(row["entered"] or row["left"] for row in differences["lists"])
    kinds = [differences["warnings"], differences["columns"]]
    return claims or estimates or lists or any(kind["came"] or kind["went"] for kind in kinds)


def _partial(run: Run) -> str:
    """Why a run is not compared in which a notebook failed: what it lacks would be reported as
    gone.
    """
    return say("report.changes.partial", run=run.name, pages=", ".join(run.about["failed"]))


def _differs(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterable[str]:
    """The parts (`MADE_OF`) that differ between two runs; settings that are parts of their own
    are left out of the settings.
    """
    for part in (*MADE_OF, *PERHAPS, "pseudonyms"):
        both_set = part == "settings" and old.get(part) and new.get(part)
        if _settings(old, new) if both_set else old.get(part) != new.get(part):
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
    return [row for row in run.results.get("findings", []) if row["kind"] == "warning"]


def _came_and_went(
    old: Iterable[Mapping[str, Any]], new: Iterable[Mapping[str, Any]]
) -> dict[str, list[str]]:
    """The warnings that only one side has."""
    before = [(_marks(row), row["text"]) for row in old]
    after = [(_marks(row), row["text"]) for row in new]
    known_before = {mark for marks, _ in before for mark in marks}
    known_after = {mark for marks, _ in after for mark in marks}
    return {
        "came": [text for marks, text in after if not marks & known_before],
        "went": [text for marks, text in before if not marks & known_after],
    }


def _marks(row: Mapping[str, Any]) -> set[str]:
    """What a warning is known by: its id, where the run has one, and its words; both without
    numbers and what is in brackets. Runs of schema 1 have words alone.
    """
    marks = {_without_numbers(row["text"])}
    if row.get("key"):
        key, _, values = row["key"].partition(":")
        fields = {_without_numbers(value).strip() for value in values.split(",")}
        marks.add(":".join([key, *sorted(fields - {""})]))
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
    return (
        None
        if low is None or high is None or value is None or low >= high
        else not low <= value <= high
    )


def _interval(row: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """The ordinary 95 % interval of a claim or an estimate."""
    low, high = row.get("interval_95") or (None, None)
    return (row["low"], row["high"]) if low is None or high is None else (low, high)


def _words(claim: Mapping[str, Any]) -> str:
    return ", ".join([claim["verdict"], *claim.get("qualifiers", [])])


def _decided(claim: Mapping[str, Any]) -> list[str]:
    """The verdict and its qualifiers by id; a run of schema 1 has their words, whose ids are in
    FORMER.
    """
    words = claim.get("qualifiers", [])
    return [
        claim["verdict"],
        *claim.get("qualifier_keys", [FORMER["qualifiers"].get(word, word) for word in words]),
    ]


def _claims(
    old: Iterable[Mapping[str, Any]], new: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Each claim of either run: its words and estimates in both, and whether it moved. (`moved`:
    words or estimate)
    """
    before, after = ({claim["id"]: claim for claim in claims} for claims in (old, new))
    rows = []
    for name in dict.fromkeys([*after, *before]):
        pair = before.get(name), after.get(name)
        a, b = (
            claim or {"verdict": NOT_RUN, "estimate": None, "low": None, "high": None}
            for claim in pair
        )
        some = pair[1] or pair[0] or {}
        beyond = _beyond(a, b)
        verdicts = {"verdict_before": _decided(a), "verdict_after": _decided(b)}
        changed = verdicts["verdict_before"] != verdicts["verdict_after"]
        rows.append(
            {"id": name, "question": some["question"], "scale": some["scale"]}
            | {"before": _words(a), "after": _words(b), **verdicts}
            | {"moved": bool(changed or beyond)}
            | {"estimate_before": a["estimate"], "estimate_after": b["estimate"]}
            | {"interval_before": _interval(a), "beyond_noise": beyond}
        )
    return rows


def _estimates(
    old: Iterable[Mapping[str, Any]], new: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The estimates of both runs that differ, and those that only one of them has."""
    before, after = ({_key(row): row for row in rows} for rows in (old, new))
    rows = []
    for key in dict.fromkeys([*after, *before]):
        a = before.get(key)
        b = after.get(key)
        if a is None or b is None or a["estimate"] != b["estimate"]:
            shown = b or a or {}
            row: dict[str, Any] = {part: shown[part] for part in ("id", "name", "group", "unit")}
            row |= {
                "before": a and a["estimate"],
                "interval_before": _interval(a) if a else (None, None),
            }
            rows.append(
                row
                | {"after": b and b["estimate"], "beyond_noise": _beyond(a, b) if a and b else None}
            )
    return rows


def _key(row: Mapping[str, Any]) -> tuple[str, str]:
    """What an estimate is, by id; a run of schema 1 has names alone, whose ids are in FORMER."""
    if row.get("key"):
        return row["id"], row["key"]
    return row["id"], f"{_former(row['id'], row['name'])}/{_former(row['id'], row['group'])}"


def _former(row_id: str, name: str) -> str:
    """The id of a name of schema 1, from FORMER; a name that is not there stands for itself."""
    for pattern, key in _former_names().get(row_id, ()):
        match = pattern.fullmatch(name)
        if match:
            return ":".join([key, *([",".join(match.groups())] if match.groups() else [])])
    return name


@cache
def _former_names() -> dict[str, list[tuple[re.Pattern[str], str]]]:
    """The names of FORMER by the study's row: a pattern with a group for each field, and the id."""
    names: dict[str, list[tuple[re.Pattern[str], str]]] = {}
    for row_id, table in FORMER["estimates"].items():
        for text, key in table.items():
            pattern = re.escape(text)
            for field in fields_of(text):
                pattern = pattern.replace(re.escape(f"{{{field}}}"), "(.+?)")
            names.setdefault(row_id, []).append((re.compile(pattern), key))
    return names


def _lists(
    old: Mapping[str, Mapping[str, str]], new: Mapping[str, Mapping[str, str]]
) -> list[dict[str, Any]]:
    """Who entered and who left each list, by id; a list that one run lacks has nobody on it
    there.
    """
    rows = []
    for name in dict.fromkeys([*new, *old]):
        before = old.get(name, {})
        after = new.get(name, {})
        entered = [{"client_id": who, "client": after[who]} for who in after if who not in before]
        left = [{"client_id": who, "client": before[who]} for who in before if who not in after]
        counts = {"rows_before": len(before), "rows_after": len(after)}
        rows.append({"list": name, **counts, "entered": entered, "left": left})
    return rows


def _tables(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> dict[str, Any]:
    """Rows a table, columns and tables that came or went, and columns filled more or less often
    than before.
    """
    before, after = (old, new) if old and new else ({}, {})
    rows = [
        {
            "table": name,
            "before": before.get(name, {}).get("rows", 0),
            "after": after.get(name, {}).get("rows", 0),
        }
        for name in dict.fromkeys([*after, *before])
    ]
    shares = [
        {
            f"{name}.{column}": n / max(about["rows"], 1)
            for name, about in run.items()
            for column, n in about["filled"].items()
        }
        for run in (before, after)
    ]
    moves = [
        {"column": name, "before": shares[0][name], "after": share}
        for name, share in shares[1].items()
        if name in shares[0] and abs(share - shares[0][name]) >= FILLED_MOVE
    ]
    return {
        "rows": rows,
        "columns": {
            "came": sorted(shares[1].keys() - shares[0]),
            "went": sorted(shares[0].keys() - shares[1]),
        },
        "filled": moves,
    }


def _sections(
    differences: Mapping[str, Any], old: Run, new: Run
) -> Iterable[tuple[str, list[str]]]:
    """The headings and sentences of the page."""
    moved = [_claim_words(claim) for claim in differences["claims"] if claim["moved"]]
    beyond = any(row["beyond_noise"] for row in differences["estimates"])
    yield "", _opening(differences, old, new)
    yield say("report.changes.verdicts"), moved or [say("report.changes.no_verdict")]
    yield say("report.changes.lists"), _lists_words(differences["lists"])
    yield say("report.changes.estimates"), list(_estimates_words(differences["estimates"]))
    yield say("report.changes.rows"), [_rows_words(differences["rows"])]
    yield say("report.changes.columns"), list(_columns_words(differences))
    yield say("report.changes.warnings"), _warnings_words(differences["warnings"])
    judged: list[str] = [say("report.changes.judged")] if moved or beyond else []
    yield say("report.changes.how"), judged


def _opening(differences: Mapping[str, Any], old: Run, new: Run) -> list[str]:
    """Which runs are compared, and what else than the data differs between them."""
    changed = differences["made_of"]
    words = {part: _part_words(part, differences["settings"]) for part in changed}
    compared = say(
        "report.changes.compared",
        run=old.name,
        before=old.about["cutoff"],
        after=new.about["cutoff"],
    )
    differs = (
        say("report.changes.differs", parts="; ".join(words.values()))
        if changed
        else say("report.changes.alike")
    )
    opening: list[str] = [together(compared, differs)]
    others = [words[part] for part in changed if part not in ("cutoff", "data")]
    if others:
        opening.append(say("report.changes.not_only_data", parts="; ".join(others)))
    if not differences["names_compared"]:
        opening.append(say("report.changes.other_codes"))
    return opening


def _part_words(part: str, settings: Iterable[str]) -> str:
    names = ", ".join(settings)
    if part == "settings" and names:
        return say("report.made_of.settings_named", names=names)
    return say(f"report.made_of.{part}")


def _claim_words(claim: Mapping[str, Any]) -> str:
    """A verdict that moved, in sentences."""
    about = {"claim": claim["id"], "question": claim["question"], "after": claim["after"]}
    verdicts = [claim["verdict_before"], claim["verdict_after"]]
    if verdicts[0] == verdicts[1]:
        head = say("report.changes.still", **about)
    else:
        head = say("report.changes.moved", before=claim["before"], **about)
    if [NOT_RUN] in verdicts:
        return head
    if claim["beyond_noise"] is None:
        return together(head, say("report.changes.no_estimate"))
    scale = claim["scale"]
    low, high = claim["interval_before"]
    how = say(
        "report.changes.outside" if claim["beyond_noise"] else "report.changes.inside",
        before=quantity(claim["estimate_before"], scale),
        after=quantity(claim["estimate_after"], scale),
        interval=between(low, high, scale),
    )
    return together(head, how)


def _estimates_words(rows: list[Mapping[str, Any]]) -> Iterable[str]:
    beyond = [row for row in rows if row["beyond_noise"]]
    for row in beyond:
        low, high = row["interval_before"]
        yield say(
            "report.changes.estimate",
            name=row["name"],
            group=row["group"],
            claim=row["id"],
            before=quantity(row["before"], row["unit"]),
            after=quantity(row["after"], row["unit"]),
            interval=between(low, high, row["unit"]),
        )
    inside = sum(row["beyond_noise"] is False for row in rows)
    other = len(rows) - inside - len(beyond)
    if inside:
        yield say("report.changes.estimates_inside", n=inside)
    if other:
        yield say("report.changes.estimates_other", n=other)


def _lists_words(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Who entered and who left each list, the first ten by name."""
    lines: list[str] = []
    for row in rows:
        entered = "report.changes.entered" if row["rows_before"] else "report.changes.all_new"
        left = "report.changes.left" if row["rows_after"] else "report.changes.all_gone"
        for key, people in ((entered, row["entered"]), (left, row["left"])):
            if people:
                name = list_name(row["list"])
                lines.append(say(key, list=name, n=len(people), who=_names(people)))
    return lines


def _names(people: list[Mapping[str, str]]) -> str:
    names = ", ".join(person["client"] for person in people[:NAMED])
    more = len(people) - NAMED
    return say("report.changes.and_more", who=names, n=more) if more > 0 else names


def _rows_words(rows: Iterable[Mapping[str, Any]]) -> str:
    grown = [say("report.changes.grown", **row) for row in rows if row["before"] != row["after"]]
    if not grown:
        return say("report.changes.no_rows")
    return say("report.changes.grown_all", tables=", ".join(grown))


def _columns_words(differences: Mapping[str, Any]) -> Iterable[str]:
    columns = differences["columns"]
    if columns["came"]:
        yield say("report.changes.columns_came", columns=", ".join(columns["came"]))
    if columns["went"]:
        yield say("report.changes.columns_went", columns=", ".join(columns["went"]))
    for row in differences["filled"]:
        yield say("report.changes.filled", **row)


def _warnings_words(warnings: Mapping[str, list[str]]) -> list[str]:
    came = [say("report.changes.warning_came", text=text) for text in warnings["came"]]
    went = [say("report.changes.warning_went", text=text) for text in warnings["went"]]
    return [*came, *went]
