"""The commands for many agencies: what one hands out, and what several say together."""

from __future__ import annotations

from pathlib import Path

import click

from retention.cli.terminal import FOLDER, echo, verbose


@click.command()
@click.argument("run", type=FOLDER)
@click.option(
    "--out", type=FOLDER, default=Path("shared.json"), show_default=True, help="File to write."
)
@click.option("--yes", is_flag=True, help="Write without asking.")
@verbose
def share(run: Path, out: Path, yes: bool) -> None:
    """Write what of a run may leave the house: numbers without a client, to be pooled."""
    from retention.pool.share import share as shared_of
    from retention.results import to_json

    text = to_json(shared_of(run).payload())
    echo(text.rstrip())
    if not yes:
        click.confirm(f"This is all that leaves. Write it to {out}?", abort=True, err=True)
    out.write_text(text, "utf-8")
    echo(out, err=True)


@click.command()
@click.argument("files", type=FOLDER, nargs=-1, required=True)
@click.option(
    "--out", type=FOLDER, default=Path("pooled"), show_default=True, help="Folder to write into."
)
@verbose
def pool(files: tuple[Path, ...], out: Path) -> None:
    """What several agencies say together: files of `retention share` in, a page and pooled.json
    out.
    """
    from retention.pool.page import write_pool

    echo(write_pool(files, out.absolute()))
