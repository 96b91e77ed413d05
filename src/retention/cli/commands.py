"""What each command does; what they share is in `terminal`.

Exit codes: 0 done, 1 a notebook failed (or the disk is full, or a run is not whole), 2 bad input, 3
folder in use.
"""

from __future__ import annotations

import json
import sys
import warnings
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from retention.cli.terminal import FOLDER, Plain, about_data, echo, progress, verbose, warn
from retention.errors import ConfigError, RetentionError, one_line


@click.group(cls=Plain, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="retention")
def cli() -> None:
    """Why clients stay or leave: a published retention study, re-tested on your own data."""
    warnings.showwarning = warn


@cli.command()
@click.argument("old", type=FOLDER)
@click.argument("new", type=FOLDER)
@click.option("--json", "as_json", is_flag=True, help="Show all of it, as in changes.json.")
@verbose
def compare(old: Path, new: Path, as_json: bool) -> None:
    """What changed between two runs (folders of reports/): verdicts, estimates, lists, data."""
    from retention.report import compare as comparing
    from retention.results import to_json
    from retention.runs import open_run

    found = comparing.compare(open_run(old), open_run(new))
    if as_json:
        echo(to_json(found).rstrip())
        return
    lines = []
    for head, texts in found["told"]:
        lines += [head] if head else []
        lines += [f"  {text}" for text in texts]
    echo("\n".join(map(one_line, lines)))


@cli.command()
@click.argument("run", type=FOLDER)
@verbose
def verify(run: Path) -> None:
    """Recompute the sha256 of every file of a run, and the run's name from its run.json."""
    from retention.report import publish
    from retention.report.run import run_id

    about = publish.about(run)
    if not about:
        raise ConfigError(f"{run} holds no run: its run.json is missing or cannot be read.")
    found = publish.damage(run, about["files"])
    found += [f"{name} could not be made; its page says why" for name in publish.failed(about)]
    try:
        if run_id(about) != about["run_id"]:
            found.append("run.json does not say what the run's name was made from")
    except KeyError as lacking:
        found.append(f"run.json lacks {lacking}")
    for line in found:
        echo(line)
    echo(
        f"{run.resolve().name}: {len(about['files'])} files, "
        f"{'NOT whole' if found else 'all whole'}"
    )
    sys.exit(1 if found else 0)


@cli.command()
@about_data
@click.option("--json", "as_json", is_flag=True, help="Write the result as JSON.")
@verbose
def check(data: str, config: str, cutoff: str, as_json: bool) -> None:
    """Read the data and list every fault and repair, without running anything."""
    from retention.study import check_data

    found: dict[str, Any] = {"schema": 1, "faults": [], "error": ""}
    try:
        with progress() as tell:
            study = check_data(data, config, cutoff, tell)
    except RetentionError as error:
        if not as_json:
            raise
        faults = [asdict(fault) for fault in getattr(error, "faults", ())]
        found |= {
            "faults": faults,
            "repaired": getattr(error, "repairs", ()),
            "error": "" if faults else str(error),
        }
        echo(json.dumps(found, indent=1, ensure_ascii=False))
        sys.exit(error.exit_code)
    tables = study.tables
    warnings = (
        [] if tables.partial else [item.text for item in study.warnings(every_rule=True).items]
    )
    found |= {"tables": tables.rows, "cutoff": study.cutoff.isoformat(), "repaired": tables.repairs}
    found |= {"notes": tables.notes, "warnings": warnings, "partial": tables.partial}
    echo(
        json.dumps(found, indent=1, ensure_ascii=False)
        if as_json
        else _in_lines(found, study.records_begin)
    )


def _in_lines(found: dict[str, Any], begin: object) -> str:
    """What a check found, in lines."""
    lines = [f"{name}: {rows:,} rows, no faults" for name, rows in found["tables"].items()]
    lines += [f"cut-off {found['cutoff']}, records begin {begin or 'with the first client'}"]
    lines += [f"repaired: {one_line(text)}" for text in found["repaired"]]
    lines += [f"note: {one_line(text)}" for text in (*found["notes"], *found["warnings"])]
    if found["partial"]:
        lines.append(
            "note: these data are large: they were checked, but warnings about what they mean are "
            "in the report only"
        )
    return "\n".join(lines)


@cli.command()
@about_data
@click.option(
    "--out", type=FOLDER, default=Path("scores.csv"), show_default=True, help="File to write."
)
@verbose
def score(data: str, config: str, cutoff: str, out: Path) -> None:
    """Write every client's predicted churn risk for the coming months, why, and by when to act."""
    from retention.data.schema import write_csv
    from retention.score.guards import leaks
    from retention.study import open_study

    if not out.absolute().parent.is_dir():
        raise ConfigError(f"There is no folder {out.absolute().parent} to write {out.name} into.")
    with progress() as tell:
        study = open_study(data, config, cutoff, tell)
        tell("Scoring, and comparing the model with simple rules")
        judgement, _, table = study.risk
        if judgement.why:
            raise ConfigError(f"No client can be scored: {judgement.why}")
    write_csv(table, out)
    for found in (judgement.answer(), *leaks(study.leaking).items):
        echo(one_line(found.text), err=True)
    echo(out)


@cli.command()
@about_data
@click.option(
    "--out", type=FOLDER, default=Path("features"), show_default=True, help="Folder to write into."
)
@click.option(
    "--engine", default="", help="polars, duckdb or spark. [default: [engine] name, else polars]"
)
@verbose
def features(data: str, config: str, cutoff: str, out: Path, engine: str) -> None:
    """Write the features of every client and month from a folder of Parquet files, however large
    (docs/scale.md).
    """
    import pandas as pd

    from retention.score.engines import write_features
    from retention.study import open_clients

    with progress() as tell:
        study = open_clients(data, config, cutoff, tell)
        settings = study.settings
        write_features(
            settings.base / settings.source.folder,
            study.spells,
            out.absolute(),
            window=study.window,
            results=settings.results,
            begin=pd.Timestamp(study.records_begin or study.spells["start_date"].min()),
            cutoff=pd.Timestamp(study.cutoff),
            engine=engine or settings.engine.name,
            part_months=settings.engine.part_months,
            tell=tell,
        )
    echo(out)


@cli.command()
@click.argument("export", type=FOLDER, required=False)
@click.option(
    "--out", type=FOLDER, default=Path("retention.toml"), show_default=True, help="File to write."
)
@click.option("--tools", is_flag=True, help="List the tools whose exports are known.")
def init(export: Path | None, out: Path, tools: bool) -> None:
    """Look at an export (a file, workbook or folder) and draft the retention.toml to read it."""
    from retention.data.draft import draft
    from retention.data.tools import known_tools

    if tools:
        for line in known_tools():
            echo(line)
        return
    if export is None:
        raise ConfigError("Name the file or folder of the export, or ask for --tools.")
    if out.exists():
        raise ConfigError(f"{out} is there already, and is left as it is. Give --out another name.")
    if not out.absolute().parent.is_dir():
        raise ConfigError(f"There is no folder {out.absolute().parent} to write {out.name} into.")
    made = draft(export, out.absolute().parent)
    text = _asked(made.text)
    out.write_text(text, "utf-8")
    if "\nconfirmed = true" in text:
        echo(f"{out} is written. Next: retention check --config {out}")
    else:
        echo(f"{out} is written. It is a draft: read each guess in it, then set confirmed = true.")
    if made.crosswalk is not None:
        _tell_names(out.absolute().parent, "", made.crosswalk)
    if text == made.text:
        for question in made.questions:
            echo(f"to answer: {one_line(question)}")
    if made.refused:
        raise ConfigError("\n".join(f"refused: {reason}" for reason in made.refused))


def _asked(text: str) -> str:
    """The draft with the answers of whoever sits at a terminal; as it is where nobody does."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return text
    from retention.cli.asking import asked

    echo("I have looked at the export. What only you know is asked, one question at a time.")
    return asked(text, lambda prompt: input(f"{prompt}: "))


def _tell_names(folder: Path, named: str, names: Any) -> str:
    """Write a crosswalk file, or add to it, and say what is to be done with it; its name comes
    back.
    """
    from retention.data.crosswalk import FILE, updated

    path = folder / (named or FILE)
    new = updated(path, names)
    echo(f"{path.name} is written: names to confirm, yes or no: {new:,}.")
    return path.name


@cli.command()
@about_data
@verbose
def crosswalk(data: str, config: str, cutoff: str) -> None:
    """List the names that no client bears, each with the nearest, for a person to confirm."""
    from retention.data.reader import unmatched
    from retention.settings import resolve

    settings = resolve(data, config, cutoff)
    with progress() as tell:
        names = unmatched(settings, tell)
    named = settings.source.crosswalk
    name = _tell_names(settings.base, named, names)
    if not named:
        echo(f'For it to count, say crosswalk = "{name}" under [source] in retention.toml.')


@cli.command()
@click.option("--out", type=FOLDER, required=True, help="Folder to write into.")
@click.option(
    "--world",
    default="study",
    show_default=True,
    help="Which effects are built in: see docs/sample-agency.md.",
)
@click.option(
    "--clients",
    type=click.IntRange(10, 5_000_000),
    default=600,
    show_default=True,
    help="About how many clients.",
)
@click.option(
    "--months",
    type=click.IntRange(6, 240),
    default=60,
    show_default=True,
    help="How many months of records.",
)
@click.option(
    "--seed", type=click.IntRange(0), default=1, show_default=True, help="Of the random draws."
)
@click.option("--no-lock-in", is_flag=True, help="Clients on fixed terms may leave in any month.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "parquet"]),
    default="csv",
    show_default=True,
    help="Of the tables.",
)
@click.option(
    "--agencies",
    type=click.IntRange(1, 200),
    help="So many agencies that differ, in a folder each.",
)
def sample(
    out: Path, world: str, no_lock_in: bool, agencies: int | None, form: str, **drawn: int
) -> None:
    """Write a made-up agency with known effects, its retention.toml and data dictionary."""
    from retention.sample import WORLDS, write_field, write_sample

    if world not in WORLDS:
        raise ConfigError(f"There is no world {world!r}. There are: {', '.join(WORLDS)}.")
    truth = replace(WORLDS[world], lock_in=not no_lock_in)
    if agencies:
        write_field(out, agencies, truth, form=form, **drawn)
    else:
        write_sample(out, truth, form=form, **drawn)
    echo(out)
