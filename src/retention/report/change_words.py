"""What changed between two runs (`compare`), in sentences under headings."""

from collections.abc import Iterable, Mapping
from typing import Any

from retention.numbers import between, quantity
from retention.results import NOT_RUN
from retention.runs import Run, list_name
from retention.words import say, together

NAMED = 10  # clients of a list named in a sentence; changes.json names all


def sections(differences: Mapping[str, Any], old: Run, new: Run) -> Iterable[tuple[str, list[str]]]:
    """The headings and sentences of the page."""
    moved = [_claim_words(claim) for claim in differences["claims"] if claim["moved"]]
    beyond = any(row["beyond_noise"] for row in differences["estimates"])
    verdicts = moved or [say("report.changes.no_verdict")]
    estimates = list(_estimates_words(differences["estimates"]))
    columns = list(_columns_words(differences))
    judged: list[str] = []
    if moved or beyond:
        judged = [say("report.changes.judged")]
    yield "", _opening(differences, old, new)
    yield say("report.changes.verdicts"), verdicts
    yield say("report.changes.lists"), _lists_words(differences["lists"])
    yield say("report.changes.estimates"), estimates
    yield say("report.changes.rows"), [_rows_words(differences["rows"])]
    yield say("report.changes.columns"), columns
    yield say("report.changes.warnings"), _warnings_words(differences["warnings"])
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
    differs = say("report.changes.alike")
    if changed:
        parts = "; ".join(words.values())
        differs = say("report.changes.differs", parts=parts)
    opening: list[str] = [together(compared, differs)]
    others = [words[part] for part in changed if part not in ("cutoff", "data")]
    if others:
        parts = "; ".join(others)
        opening.append(say("report.changes.not_only_data", parts=parts))
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
        unknown = say("report.changes.no_estimate")
        return together(head, unknown)
    scale = claim["scale"]
    low, high = claim["interval_before"]
    values = {
        "before": quantity(claim["estimate_before"], scale),
        "after": quantity(claim["estimate_after"], scale),
        "interval": between(low, high, scale),
    }
    if claim["beyond_noise"]:
        how = say("report.changes.outside", **values)
    else:
        how = say("report.changes.inside", **values)
    return together(head, how)


def _estimates_words(rows: list[Mapping[str, Any]]) -> Iterable[str]:
    beyond = [row for row in rows if row["beyond_noise"]]
    for row in beyond:
        low, high = row["interval_before"]
        unit = row["unit"]
        yield say(
            "report.changes.estimate",
            name=row["name"],
            group=row["group"],
            claim=row["id"],
            before=quantity(row["before"], unit),
            after=quantity(row["after"], unit),
            interval=between(low, high, unit),
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
        changes = ((entered, row["entered"]), (left, row["left"]))
        for key, people in changes:
            if people:
                name = list_name(row["list"])
                who = _names(people)
                line = say(key, list=name, n=len(people), who=who)
                lines.append(line)
    return lines


def _names(people: list[Mapping[str, str]]) -> str:
    first = [person["client"] for person in people[:NAMED]]
    names = ", ".join(first)
    more = len(people) - NAMED
    if more <= 0:
        return names
    return say("report.changes.and_more", who=names, n=more)


def _rows_words(rows: Iterable[Mapping[str, Any]]) -> str:
    changed = [row for row in rows if row["before"] != row["after"]]
    if not changed:
        return say("report.changes.no_rows")
    grown = [say("report.changes.grown", **row) for row in changed]
    tables = ", ".join(grown)
    return say("report.changes.grown_all", tables=tables)


def _columns_words(differences: Mapping[str, Any]) -> Iterable[str]:
    columns = differences["columns"]
    came = ", ".join(columns["came"])
    went = ", ".join(columns["went"])
    if came:
        yield say("report.changes.columns_came", columns=came)
    if went:
        yield say("report.changes.columns_went", columns=went)
    for row in differences["filled"]:
        yield say("report.changes.filled", **row)


def _warnings_words(warnings: Mapping[str, list[str]]) -> list[str]:
    came = [say("report.changes.warning_came", text=text) for text in warnings["came"]]
    went = [say("report.changes.warning_went", text=text) for text in warnings["went"]]
    return [*came, *went]
