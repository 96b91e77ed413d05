"""The command line: report, check, sample. Exit codes: 0 done, 1 a notebook failed, 2 bad input, 3 folder in use."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from retention.errors import RetentionError

_FOLDER = click.Path(path_type=Path)


def _about_data(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options by which a command is told where the data are."""
    cutoff = click.option("--cutoff", default="", help="Last day observed, YYYY-MM-DD.")
    config = click.option("--config", default="", help="A retention.toml that says how to read the data.")
    return click.option("--data", default="", help="Folder with clients.csv (default: data/sample).")(
        config(cutoff(command))
    )


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="retention")
def cli() -> None:
    """Why clients stay or leave: a published retention study, re-tested on your own data."""


@cli.command()
@_about_data
@click.option("--out", type=_FOLDER, default=Path("reports"), envvar="RETENTION_OUT", show_default=True)
@click.option("--notebooks", default="", help="Only these, for example 00,01.")
@click.option("--jobs", type=click.IntRange(1), default=min(2, os.cpu_count() or 1), show_default=True)
@click.option("--verbose", is_flag=True, help="Show the full traceback of an error.")
def report(data: str, config: str, cutoff: str, out: Path, notebooks: str, jobs: int, verbose: bool) -> None:
    """Rerun the study and write the HTML report."""
    from rich.console import Console

    from retention.report import Options, run_report

    console = Console(stderr=True, highlight=False)
    chosen = tuple(name.strip() for name in notebooks.split(",") if name.strip())
    options = Options(data, config, cutoff, out, chosen, jobs)
    with console.status("Starting") as status:

        def tell(text: str) -> None:
            status.update(text)
            console.print(text, markup=False)

        index = _run(lambda: run_report(options, tell), verbose)
    click.echo(index)


@cli.command()
@_about_data
@click.option("--verbose", is_flag=True, help="Show the full traceback of an error.")
def check(data: str, config: str, cutoff: str, verbose: bool) -> None:
    """Read the data and list every fault, without running anything."""
    from retention.study import open_study

    study = _run(lambda: open_study(data, config, cutoff), verbose)
    for name, frame in study.tables.frames.items():
        click.echo(f"{name}: {len(frame):,} rows, no faults")
    click.echo(f"cut-off {study.cutoff}, records begin {study.records_begin or 'with the first client'}")
    for warning in study.warnings().items:
        click.echo(f"note: {warning.text}")


@cli.command()
@click.option("--out", type=_FOLDER, required=True, help="Folder to write into.")
@click.option("--world", type=click.Choice(["study"]), default="study", show_default=True)
@click.option("--clients", type=click.IntRange(10, 100_000), default=600, show_default=True, help="About how many.")
@click.option("--months", type=click.IntRange(6, 240), default=60, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
@click.option("--no-lock-in", is_flag=True, help="Clients on fixed terms may leave in any month.")
def sample(out: Path, world: str, clients: int, months: int, seed: int, no_lock_in: bool) -> None:
    """Write a made-up agency whose truth is known, with its retention.toml and data dictionary."""
    from dataclasses import replace

    from retention.sample import WORLDS, simulate, write_sample

    truth = replace(WORLDS[world], lock_in=not no_lock_in)
    write_sample(out, simulate(truth, clients=clients, months=months, seed=seed), months, seed)
    click.echo(out)


def _run(action: Callable[[], Any], verbose: bool) -> Any:
    """Do it, or say in plain words what stopped it and exit with its code."""
    try:
        return action()
    except KeyboardInterrupt:
        click.echo("Stopped. The last report is untouched.", err=True)
        sys.exit(130)
    except RetentionError as error:
        if verbose:
            raise
        click.echo(str(error), err=True)
        sys.exit(error.exit_code)


def main() -> None:
    """Run the command line; with --verbose an error still exits with its own code, after the traceback."""
    try:
        cli()
    except RetentionError as error:
        import traceback

        traceback.print_exc()
        sys.exit(error.exit_code)
