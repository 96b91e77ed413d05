"""What changed between two runs: verdicts, estimates, lists, rows, columns and warnings; in data
and in sentences.

Two runs mostly share their clients. What chance alone moves between them is therefore less than
what the interval of the older one allows for: a new estimate outside that interval has moved by
more than chance would, one inside may have moved by chance. Knows nothing of statistics beyond that
comparison.
"""

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from retention.data.schema import read_list
from retention.errors import ConfigError
from retention.results import NOT_RUN, between, quantity

CHANGES = "changes.json"
NAMED = 10  # clients of a list named in a sentence; changes.json names all
FILLED_MOVE = 0.05  # (ours) a column that is filled this much more or less often is told
HOW = (
    "Two runs share most of their clients, so chance moves an estimate by less than its interval "
    "is wide. "
    "Outside the interval of the run before means more than chance; inside it, chance alone could "
    "have done it."
)
FORMER = tomllib.loads(
    files("retention.report").joinpath("schema1.toml").read_text("utf-8")
)  # ids of former words
MADE_OF = {
    "cutoff": "the cut-off",
    "records_begin": "the day records begin",
    "notebooks": "which notebooks were run",
    "settings": "the settings",
    "data": "the data files",
    "code": "the code",
    "packages": "the versions of packages",
    "pseudonyms": "the key of the codes that stand for names",
}


@dataclass(frozen=True)
class Run:
    """A published run as far as it is compared: what it is made of, its results, and who is on each
    of its lists.
    """

    about: Mapping[str, Any]
    results: Mapping[str, Any]
    lists: Mapping[str, Mapping[str, str]]

    @property
    def name(self) -> str:
        """The run's id."""
        return str(self.about["run_id"])


def open_run(folder: Path) -> Run:
    """The run in this folder; ConfigError where none can be read there."""
    try:
        about, results = (
            json.loads((folder / f"{name}.json").read_text("utf-8")) for name in ("run", "results")
        )
        files = [
            path
            for path in (folder / "scores.csv", *sorted(folder.glob("lists/*.csv")))
            if path.is_file()
        ]
        lists = {name: rows for path in files for name, rows in _listed(path).items()}
        return Run({**about, "run_id": results["run_id"]}, results, lists)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{folder} holds no run of this report that can be read ({type(error).__name__})."
        ) from error


def _listed(path: Path) -> dict[str, dict[str, str]]:
    """Names by client id of a list, and, of one that says whom to contact, of those as a list of
    its own.
    """
    rows = [row for row in read_list(path).to_dict("records") if row.get("client_id")]
    names = {
        row["client_id"]: row.get("client") or row.get("name") or row["client_id"] for row in rows
    }
    found = {
        "Clients with a score" if path.stem == "scores" else path.stem.replace("_", " "): names
    }
    if any("contact" in row for row in rows):
        chosen = [row["client_id"] for row in rows if row["contact"] == "yes"]
        found["Clients to contact"] = {who: names[who] for who in chosen}
    return found


def compare(old: Run | None, new: Run) -> dict[str, Any]:
    """What changes.json holds: everything that differs between two runs, `moved`, and `told`
    (headings, sentences).
    """
    if old is None or old.name == new.name:
        why = (
            "There is no run before this one to compare it with."
            if old is None
            else "Both are the same run."
        )
        return {
            "schema": 1,
            "before": None,
            "after": new.name,
            "moved": False,
            "told": [["", [why]]],
        }
    if partial := [_partial(run) for run in (old, new) if run.about.get("failed")]:
        return {
            "schema": 1,
            "before": old.name,
            "after": new.name,
            "moved": False,
            "told": [["", partial]],
        }
    # A run with codes for names must not learn names from one without them; codes of two keys never
    # match.
    alike = old.about.get("pseudonyms") == new.about.get("pseudonyms")
    found = {
        "made_of": list(_differs(old.about, new.about)),
        "claims": _claims(old.results["claims"], new.results["claims"]),
        "estimates": _estimates(old.results["estimates"], new.results["estimates"])
        if alike
        else [],
        "lists": _lists(old.lists, new.lists) if alike else [],
        "warnings": _came_and_went(_warnings(old), _warnings(new))
        if alike
        else {"came": [], "went": []},
        **_tables(old.about.get("tables"), new.about.get("tables")),
    }
    told = [[heading, lines] for heading, lines in _told(found, old, new, alike) if lines]
    moved = any(c["moved"] for c in found["claims"]) or any(
        e["beyond_noise"] for e in found["estimates"]
    )
    moved = moved or any(r["entered"] or r["left"] for r in found["lists"])
    moved = moved or any(
        found[kind][way] for kind in ("warnings", "columns") for way in ("came", "went")
    )
    head = {"schema": 1, "before": old.name, "after": new.name, "moved": bool(moved)}
    return {**head, "names_compared": alike, **found, "told": told}


def _partial(run: Run) -> str:
    """Why a run is not compared in which a notebook failed: what it lacks would be told as gone."""
    return (
        f"Run {run.name} is partial: {', '.join(run.about['failed'])} could not be made. It is "
        "not compared."
    )


def _differs(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterable[str]:
    """What two runs are made of and does not agree, in words; settings are named, and those told
    apart left out.
    """
    for name, words in MADE_OF.items():
        before = old.get(name)
        after = new.get(name)
        if name == "settings" and before and after:
            keys = sorted(
                key
                for key in {*before, *after}
                if before.get(key) != after.get(key) and key not in MADE_OF
            )
            words = f"{words} ({', '.join(keys)})"
            before = after if not keys else before
        if before != after:
            yield words


def _warnings(run: Run) -> list[str]:
    return [row["text"] for row in run.results.get("findings", []) if row["kind"] == "warning"]


def _came_and_went(old: Iterable[str], new: Iterable[str]) -> dict[str, list[str]]:
    """What only one side has; texts that differ in nothing but their numbers, and what is in
    brackets, are the same.
    """
    before, after = (
        {re.sub(r"\(.*?\)|[\d.,]+", "", text): text for text in texts} for texts in (old, new)
    )
    return {
        "came": [text for key, text in after.items() if key not in before],
        "went": [text for key, text in before.items() if key not in after],
    }


def _beyond(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool | None:
    """Whether the new estimate lies outside the old interval; None where either is not known, or
    has no width.

    Resamples of noughts alone are all nought: an interval without width says that too few were
    there to tell.
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
        rows.append(
            {"id": name, "question": some["question"], "scale": some["scale"]}
            | {
                "before": _words(a),
                "after": _words(b),
                "moved": bool(_decided(a) != _decided(b) or beyond),
            }
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
    names = f"{row['name']}/{row['group']}"
    return row["id"], row.get("key") or FORMER["estimates"].get(f"{row['id']}/{names}", names)


def _lists(
    old: Mapping[str, Mapping[str, str]], new: Mapping[str, Mapping[str, str]]
) -> list[dict[str, Any]]:
    """Who entered and who left each list, by id; a list that one run lacks is told with nobody on
    it there.
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


def _told(
    found: dict[str, Any], old: Run, new: Run, alike: bool
) -> Iterable[tuple[str, list[str]]]:
    """The headings and sentences of the page."""
    changed = found["made_of"]
    first = (
        f"Compared with run {old.name}, to {old.about['cutoff']}; this one goes to "
        f"{new.about['cutoff']}."
    )
    differs = (
        f"What differs between them: {'; '.join(changed)}."
        if changed
        else "Both are made of the same."
    )
    mixed = [words for words in changed if words not in (MADE_OF["cutoff"], MADE_OF["data"])]
    blame = (
        [f"Not only the data changed ({'; '.join(mixed)}), so what moved may come from that."]
        if mixed
        else []
    )
    apart = (
        []
        if alike
        else [
            "The codes for names are not those of that run: clients and estimates are not compared."
        ]
    )
    moved = [_claim_told(claim) for claim in found["claims"] if claim["moved"]]
    beyond = any(row["beyond_noise"] for row in found["estimates"])
    yield "", [f"{first} {differs}", *blame, *apart]
    yield "Verdicts", moved or ["No verdict moved."]
    yield "Lists", [line for row in found["lists"] for line in _list_told(row)]
    yield "Estimates", list(_estimates_told(found["estimates"]))
    moves = [
        f"{r['table']} {r['before']:,} to {r['after']:,}"
        for r in found["rows"]
        if r["before"] != r["after"]
    ]
    yield (
        "Rows of the data",
        [f"{', '.join(moves)}."] if moves else ["As many in each table of the input as before."],
    )
    yield "Columns", list(_columns_told(found))
    ways = (("came", "New warning"), ("went", "No longer said"))
    yield "Warnings", [f"{word}: {text}" for way, word in ways for text in found["warnings"][way]]
    yield "How this is judged", [HOW] if moved or beyond else []


def _claim_told(claim: Mapping[str, Any]) -> str:
    """A verdict that moved, in sentences."""
    scale, (low, high) = claim["scale"], claim["interval_before"]
    stays = claim["before"] == claim["after"]
    head = f"{claim['id']}, {claim['question']} " + (
        f"Still “{claim['after']}”."
        if stays
        else f"Was “{claim['before']}”, is now “{claim['after']}”."
    )
    if NOT_RUN in (claim["before"], claim["after"]):
        return head
    if claim["beyond_noise"] is None:
        return (
            f"{head} One of the two runs has no estimate to compare, so nobody can say whether "
            "chance did it."
        )
    a, b = (quantity(claim[f"estimate_{when}"], scale) for when in ("before", "after"))
    where = f"the interval of the run before ({between(low, high, scale)})"
    if claim["beyond_noise"]:
        return (
            f"{head} The estimate went from {a} to {b}, outside {where}: more than chance "
            "alone would move it."
        )
    return (
        f"{head} The estimate went from {a} to {b}, inside {where}: chance alone could do "
        "that, near a border."
    )


def _estimates_told(rows: list[Mapping[str, Any]]) -> Iterable[str]:
    beyond = [row for row in rows if row["beyond_noise"]]
    for row in beyond:
        a, b = (quantity(row[when], row["unit"]) for when in ("before", "after"))
        low, high = row["interval_before"]
        was = between(low, high, row["unit"])
        yield (
            f"{row['name']}, {row['group']} ({row['id']}): {a} to {b}, outside the interval "
            f"before ({was})."
        )
    inside = sum(row["beyond_noise"] is False for row in rows)
    other = len(rows) - inside - len(beyond)
    if inside:
        yield f"Moved inside their intervals, as chance alone could move them: {inside:,}."
    if other:
        yield f"Differ and have no interval, or are in one of the runs only: {other:,}."


def _list_told(row: Mapping[str, Any]) -> Iterable[str]:
    """Who entered and who left a list, the first ten by name."""
    told = {"entered": "entered", "left": "left"}
    if not row["rows_before"]:
        told["entered"] = "on it, and nobody before"
    if not row["rows_after"]:
        told["left"] = "were on it, and nobody is now"
    for way, words in told.items():
        who = row[way]
        more = f" and {len(who) - NAMED:,} more" if len(who) > NAMED else ""
        if who:
            yield (
                f"{row['list']}: {len(who):,} {words} "
                f"({', '.join(r['client'] for r in who[:NAMED])}{more})."
            )


def _columns_told(found: Mapping[str, Any]) -> Iterable[str]:
    for way, word in (("came", "New"), ("went", "Gone")):
        if found["columns"][way]:
            yield f"{word}: {', '.join(found['columns'][way])}."
    for row in found["filled"]:
        yield (
            f"{row['column']} is filled in {row['after']:.0%} of rows; before, in "
            f"{row['before']:.0%}."
        )
