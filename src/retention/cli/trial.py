"""The command `retention trial`: plan one, draw one."""

from __future__ import annotations

from pathlib import Path

import click

from retention.cli.terminal import FOLDER, about_data, echo, progress, verbose
from retention.errors import ConfigError, one_line

LIST = click.option(
    "--list", "name", required=True, help="The list to try: save, care, get_in_touch, ..."
)
SMALLEST = click.option(
    "--smallest",
    type=click.FloatRange(0.01, 0.9),
    help="Difference in the share that leaves to be seen. [default: [trial] smallest, 0.10]",
)
HORIZON = click.option(
    "--horizon",
    type=click.IntRange(1, 36),
    help="Months within which clients stay or leave. [default: [trial] horizon_months, 6]",
)


@click.group()
def trial() -> None:
    """Find out whether acting on a list helps: half of it, drawn at random, waits."""


@trial.command()
@about_data
@LIST
@SMALLEST
@HORIZON
@verbose
def plan(
    data: str, config: str, cutoff: str, name: str, smallest: float | None, horizon: int | None
) -> None:
    """Say how many clients and months a trial of a list takes, and what waiting costs."""
    from retention.study import open_study
    from retention.trials.planning import planned, words

    with progress() as tell:
        study = open_study(data, config, cutoff, tell)
        made = planned(study, name, smallest, horizon)
    for line in words(made, study.settings.currency):
        echo(one_line(line))


@trial.command()
@about_data
@click.argument("title")
@LIST
@SMALLEST
@HORIZON
@click.option("--seed", type=click.IntRange(0), required=True, help="Of the draw; written down.")
@click.option(
    "--most", type=click.IntRange(4), help="Draw this many at most, at random. [default: all]"
)
@click.option(
    "--planned",
    "clients",
    type=click.IntRange(4),
    help="Clients with which the trial is judged. [default: as `trial plan` says]",
)
@click.option(
    "--out",
    type=FOLDER,
    default=Path("trials.csv"),
    show_default=True,
    help="File to add the draw to: the table trials of your data.",
)
@verbose
def draw(
    data: str,
    config: str,
    cutoff: str,
    title: str,
    name: str,
    smallest: float | None,
    horizon: int | None,
    seed: int,
    most: int | None,
    clients: int | None,
    out: Path,
) -> None:
    """Draw who acts and who waits, and add them to trials.csv; TITLE names the trial."""
    from retention.study import open_study
    from retention.trials.planning import drawn, drawn_words

    if not out.absolute().parent.is_dir():
        raise ConfigError(f"There is no folder {out.absolute().parent} to write {out.name} into.")
    with progress() as tell:
        study = open_study(data, config, cutoff, tell)
        made = drawn(study, out, title, name, seed, smallest, horizon, most, clients)
    for line in drawn_words(made):
        echo(one_line(line))
    echo(out)
