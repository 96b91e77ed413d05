"""The index: what to know in five minutes, most of it in pictures that the pages made.

In order: a headline, tiles, what moved money and who may leave, what is due, the course by term,
the claims, what changed, and everything else folded.
"""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
from markupsafe import Markup

from retention.data.schema import read_list
from retention.deliver.digest import Front
from retention.lists import registry
from retention.numbers import quantity
from retention.report import actions
from retention.report.sections import leave_out_other_data, tagged
from retention.results import NOT_ENOUGH, NOT_RUN, Listing
from retention.runs import ACTIONS
from retention.show.templating import bar, write
from retention.words import say, texts

SHOWN = (
    "fees",
    "net_retention",
    "retained",
    "nps",
    "margin_at_risk",
    "fees_at_risk",
)  # tiles, where known
INSTEAD = ("active", "leaving", "signed", "ended")  # others, where those lack
TILES = 5
DUE = 8  # clients due this week that the index names
HELD = "claims.caveat.alike_in"  # the id of what says which clients were compared
HELPED = "E1"  # the id of the answer to whether acting on the lists helped
TAG = "index:"  # begins the tag of a notebook's cell whose picture the index shows
FIGURES = ("waterfall", "risk_margin", "survival", "liking_results", "renewals")  # in this order
NUMBERS = ("risk", "low", "high", "at_stake")  # columns of the lists that are no words
FIRST_LISTS = ("save", "scores", "care")  # the others follow in the order of the registry
FIRST_ROWS = 5  # of each list
SPARE = {"rep_id", "months_to_renewal", "margin_a_month", "contact"}  # the file has these
BESIDE = {  # files to work with, and what they are called
    "lists.xlsx": "deliver.beside.workbook",
    "act_by.ics": "deliver.beside.calendar",
    "digest.html": "deliver.beside.digest",
}
SPARK = (120, 30, 3)  # width, height and margin of a tile's course, in dots


def write_index(
    folder: Path,
    results: Mapping[str, Any],
    titles: Mapping[str, str],
    about: Mapping[str, Any],
    advice: Mapping[str, str],
) -> None:
    """Write index.html from the contents of results.json, the pictures and lists of the run, the
    advice joined from all pages (by claim), and what is known of the run.
    """
    findings = results["findings"]
    headlines = [finding for finding in findings if finding["kind"] == "headline"]
    tiles = chosen(results.get("tiles", []))
    todo = actions.page(folder)
    write(
        folder,
        "index.html.j2",
        bar=Markup(bar(titles, "index", about["whose"], bool(todo))),
        results=results,
        titles=titles,
        about=about,
        advice=advice,
        headline=headline(results, tiles),
        tiles=[shown_tile(tile) for tile in tiles],
        figures=figures(folder),
        headlines=_leads(results["claims"], headlines),
        warnings=[finding["text"] for finding in findings if finding["kind"] == "warning"],
        quality=answer_of(results, "data"),
        helped=answer_of(results, HELPED),
        lists=lists(folder),
        todo=todo,
        beside=[(name, say(key)) for name, key in BESIDE.items() if (folder / name).is_file()],
        due=actions.due(todo)[:DUE],
        axis=axis,
        limits_of=limits_of,
    )


def answer_of(results: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    """The answer of this id in results.json; None where no page gave it."""
    answers = results.get("answers", [])
    return next((row for row in answers if row["id"] == name), None)


def front(folder: Path, results: Mapping[str, Any], about: Mapping[str, Any]) -> Front:
    """What a digest tells of a run: from the contents of results.json, what is known of the run
    with its `changes`, and its list of actions.
    """
    tiles = chosen(results.get("tiles", []))
    todo = actions.page(folder)
    told = about["changes"]["told"]
    return Front(
        whose=about["whose"],
        cutoff=about["cutoff"],
        run_id=results["run_id"],
        headline=headline(results, tiles),
        tiles=[shown_tile(tile) for tile in tiles],
        changes=[line for _, lines in told for line in lines],
        due=actions.due(todo),
        active=todo["active"] if todo else 0,
    )


def front_of(folder: Path) -> Front:
    """`front` of a published run, read from its folder."""
    files = ("results", "run", "changes")
    results, about, changes = (
        json.loads((folder / f"{name}.json").read_text("utf-8")) for name in files
    )
    return front(folder, results, {**about, "changes": changes})


def chosen(tiles: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """At most five tiles in order; where some lack, others stand in."""
    known = {tile["name"]: tile for tile in tiles}
    order = [name for name in (*SHOWN, *INSTEAD) if name in known]
    return [known[name] for name in order[:TILES]]


def shown_tile(tile: Mapping[str, Any]) -> dict[str, Any]:
    """A tile as words: `label, value, note, trend` (better, worse or empty), and its `course` as
    points of a line.
    """
    note = [tile["about"]] if tile["about"] else []
    if tile["before"] is not None:
        note.append(say("tiles.about.before", before=_short(tile["before"], tile["unit"])))
    if tile["low"] is not None:
        low, high = (_short(tile[limit], tile["unit"]) for limit in ("low", "high"))
        note.append(say("tiles.about.interval", low=low, high=high))
    return {
        "label": tile["label"],
        "value": _short(tile["value"], tile["unit"]),
        "note": " · ".join(note),
        "trend": _trend(tile),
        "course": course([y for y in tile["series"] if y is not None]),
    }


def _trend(tile: Mapping[str, Any]) -> str:
    """Whether a figure is better or worse than before; empty where chance alone could have moved it
    (the one before lies inside the interval), or nothing did.
    """
    before = tile["before"]
    if before is None or (tile["low"] is not None and tile["low"] <= before <= tile["high"]):
        return ""
    moved = (tile["value"] - before) * tile["good"]
    return "better" if moved > 0 else "worse" if moved < 0 else ""


def _short(value: float, unit: str) -> str:
    """A tile's number: shares in whole per cents, the rest as everywhere."""
    return f"{value:.0%}" if unit == "share" else quantity(value, unit)


def course(values: list[float]) -> str:
    """The points of a line through the values, oldest first, in a box of `SPARK`; empty for fewer
    than three.

    >>> course([0, 1, 2])
    '3.0,27.0 60.0,15.0 117.0,3.0'
    """
    if len(values) < 3:
        return ""
    width, height, margin = SPARK
    low = min(values)
    spread = (max(values) - low) or 1.0
    step = (width - 2 * margin) / (len(values) - 1)
    points = (
        (margin + number * step, height - margin - (value - low) / spread * (height - 2 * margin))
        for number, value in enumerate(values)
    )
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def headline(results: Mapping[str, Any], tiles: list[Mapping[str, Any]]) -> tuple[str, str]:
    """The title of the index and the line under it, from what matters most of what is known."""
    known = {tile["name"]: tile for tile in tiles}
    answers = {row["id"]: row["title"] for row in results.get("answers", [])}
    spoken = [claim.get("answer", "") for claim in results["claims"] if claim.get("answer", "")]
    settled = [
        claim.get("answer", "")
        for claim in results["claims"]
        if claim["verdict"] not in (NOT_ENOUGH, NOT_RUN)
    ]
    parts = []
    if "retained" in known:
        parts.append(_left_words(1 - known["retained"]["value"]))
    if "risk" in answers and {"margin_at_risk", "fees_at_risk"} & set(known):
        parts.append(answers["risk"])
    rest = [*settled, *(text for name, text in answers.items() if name != "risk"), *spoken]
    title = " ".join(parts) or next(iter(rest), say("report.index.title"))
    if "fees" in known and known["fees"]["before"]:
        return title, _fee_words(known["fees"])
    return title, next((text for text in rest if text not in title), "")


def _left_words(share: float) -> str:
    """The share of clients who left within a year, in a sentence."""
    if not share:
        return say("report.headline.nobody")
    return say("report.headline.leaving", share=share)


def _fee_words(tile: Mapping[str, Any]) -> str:
    """What is billed a month, against a year before."""
    change = tile["value"] / tile["before"] - 1
    now = f"{quantity(tile['value'], 'money')} {tile['about']}".strip()  # in its currency
    return say("report.headline.fees", now=now, change=change)


def limits_of(claim: Mapping[str, Any]) -> list[str]:
    """What is said with a verdict, but for what was held fixed, told with how sure it is."""
    keys = claim.get("qualifier_keys", claim["qualifiers"])
    pairs = zip(claim["qualifiers"], keys, strict=False)
    return [text for text, key in pairs if not key.startswith(HELD)]


def figures(folder: Path) -> list[tuple[str, Markup]]:
    """The pictures that the run's notebooks made for the index, by name, in its order."""
    found: dict[str, Markup] = {}
    for path in sorted((folder / "notebooks").glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        leave_out_other_data(notebook)
        found |= tagged(notebook, TAG)
    return [(name, found[name]) for name in FIGURES if name in found]


def _leads(claims: Iterable[Mapping[str, Any]], headlines: list[Mapping[str, Any]]) -> list[str]:
    """The lead sentences in order: the claims that matter most, then what else was found.

    Of the findings one of each part of the study comes first, the last parts before the others:
    they are about what to do. A secondary claim that is still open has its card alone.
    """
    parts = {finding["id"].rstrip("0123456789"): finding for finding in reversed(headlines)}
    ordered = [finding for finding in headlines[::-1] if finding in parts.values()]
    ordered += [finding for finding in headlines if finding not in ordered]
    spoken = [claim for claim in claims if claim["sentence"]]
    primary = [claim["sentence"] for claim in spoken if claim["tier"] == "primary"]
    settled = [
        claim["sentence"]
        for claim in spoken
        if claim["tier"] != "primary" and claim["verdict"] != NOT_ENOUGH
    ]
    others = [finding["text"] for finding in ordered if finding["id"] != "data"]
    return [*primary, *others, *settled]


def lists(folder: Path) -> list[dict[str, Any]]:
    """The lists to act on that a run has written: where each is, how long, and its first rows as a
    table.
    """
    made = []
    paths = {path.stem: path for path in (folder / "lists").glob("*.csv")}
    if paths.pop(ACTIONS, None) is None:  # which has a page of its own, with each risk
        paths["scores"] = folder / "scores.csv"
    names = [*FIRST_LISTS, *registry.in_order(set(paths) - set(FIRST_LISTS))]
    for path in (paths[name] for name in names if name in paths):
        rows = read_list(path, NUMBERS) if path.is_file() else pd.DataFrame()
        if rows.empty:
            continue
        caption = _list_caption(path.stem)
        table = Listing(_for_readers(rows.head(FIRST_ROWS)), caption, {"at_stake": ",.0f"})
        made.append(
            {
                "caption": caption,
                "path": path.relative_to(folder).as_posix(),
                "count": len(rows),
                "html": Markup(table.html()),
            }
        )
    return made


def _list_caption(stem: str) -> str:
    """The caption of a list, by the name of its file: its own, else what the list is called."""
    has_own = f"report.caption.{stem}" in texts()
    return say(f"report.caption.{stem}") if has_own else registry.caption_of(stem)


def _for_readers(rows: pd.DataFrame) -> pd.DataFrame:
    """The columns of a list that fit a first page, a chance with its interval in one."""
    if {"risk", "low", "high"} <= set(rows):
        chance = [
            say("report.index.chance", risk=risk, low=100 * low, high=100 * high)
            for risk, low, high in rows[["risk", "low", "high"]].to_numpy()
        ]
        rows = rows.assign(risk=chance).drop(columns=["low", "high"])
    if "act_by" in rows:
        rows = rows.assign(act_by=pd.to_datetime(rows["act_by"]))
    if "action" in rows:
        rows = rows.assign(action=rows["action"].map(registry.action_words))
    spare = [name for name in rows if name in SPARE or (name == "client_id" and "client" in rows)]
    return rows.drop(columns=spare)


def axis(claim: Mapping[str, Any]) -> dict[str, Any] | None:
    """Where the marks of a claim's small axis stand, in per cent of its width; None where there is
    no estimate.

    Ratios are drawn on a log axis. The axis holds the interval, no difference and the published
    value.
    """
    numbers = [claim[key] for key in ("estimate", "low", "high")]
    if any(number is None for number in numbers):
        return None
    ratio = claim["scale"] == "ratio"
    none = 1.0 if ratio else 0.0
    published = claim["published"]
    scale = math.log if ratio else float
    shown = [scale(number) for number in [*numbers, none, *([published] if published else [])]]
    low = min(shown)
    width = (max(shown) - min(shown)) or 1.0
    place = [round(6 + 88 * (value - low) / width, 1) for value in shown]
    names = ("estimate", "low", "high", "none", "published")
    return dict(zip(names, place, strict=False)) | {"none_label": f"{none:g}"}
