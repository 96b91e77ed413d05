"""The command that reruns the study: its options, how it says that it stopped, and whether data
still come in.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import click

from retention.cli.delivery import about_sending, not_sent, recipients
from retention.cli.terminal import about_data, about_reports, echo, progress, verbose
from retention.errors import NotebookError, RetentionError, without_paths

# (ours) days: data that come in monthly are older than this only when a month was missed
STALE_AFTER = 45


@click.command()
@about_data
@about_reports
@click.option("--notebooks", default="", help="Run only these, for example 00,01.")
@click.option(
    "--jobs",
    type=click.IntRange(1),
    default=min(2, os.cpu_count() or 1),
    show_default=True,
    help="Notebooks to run at the same time.",
)
@click.option(
    "--keep",
    type=click.IntRange(0),
    default=0,
    help="Keep this many runs, the newest. [default: all]",
)
@click.option(
    "--if-changed",
    is_flag=True,
    help="Do nothing if data, code and parameters are those of the last run.",
)
@click.option(
    "--publish-partial",
    is_flag=True,
    help="Let latest point to a run that lacks the page of a failed notebook.",
)
@click.option(
    "--pseudonyms",
    is_flag=True,
    help="Show codes instead of names, ids and free text; see docs/privacy.md for the key.",
)
@click.option(
    "--smallest",
    type=click.IntRange(0, 100),
    help="Show no row on fewer clients than this. [default: 5 with codes]",
)
@click.option(
    "--stale-after",
    type=click.IntRange(0),
    default=STALE_AFTER,
    show_default=True,
    help="Warn if the newest entry is more days old than this; 0: never.",
)
@click.option("--quiet", is_flag=True, help="Write to standard error only if something is wrong.")
@about_sending
@verbose
def report(quiet: bool, stale_after: int, **asked: Any) -> None:
    """Rerun the study and write the HTML report."""
    from retention.report.publish import last
    from retention.report.run import Options, run_report, unnamed

    sending = {name: asked.pop(name) for name in ("mail_to", "mail_owners", "webhook", "link")}
    to = recipients(**sending)
    chosen = tuple(name.strip() for name in asked.pop("notebooks").split(",") if name.strip())
    options = Options(notebooks=chosen, **asked)
    before = last(options.out)
    signal.signal(
        signal.SIGTERM, signal.default_int_handler
    )  # a service that is stopped clears up as well
    try:
        with progress(quiet) as tell:
            index = run_report(options, tell)
    except RetentionError as error:
        page = error.page if isinstance(error, NotebookError) else None
        page = page or options.out.absolute() / "failed" / "index.html"
        echo(_in_a_line(error, page), err=True)
        with not_sent():
            to.stopped(without_paths(_in_a_line(unnamed(error, options), page)))
        if "\n" in str(error).strip() or click.get_current_context().meta.get("verbose"):
            raise
        sys.exit(error.exit_code)  # there is no more to say
    tell_stale(index.parent, stale_after)
    echo(index)
    if not options.if_changed or index.parent.resolve() != before:
        to.made(index.parent)


def _in_a_line(error: RetentionError, page: Path) -> str:
    """What stopped a report, in the one line that a mail's subject or a log's reader needs."""
    first, *more = str(error).splitlines()
    where = f" See {page}." if page.is_file() and error.exit_code < 3 else ""
    return (
        f"retention report stopped (exit {error.exit_code}): "
        f"{first.rstrip(':')}{' ...' * bool(more)}{where}"
    )


def tell_stale(run: Path, days: int) -> None:
    """Warn on standard error where the newest entry, or the last day observed, is long before
    today, or after it.

    The one place that asks the clock, and nothing it says goes into the run: pages and numbers are
    of the data alone.
    """
    about = json.loads((run / "run.json").read_text("utf-8"))
    today = dt.date.today()
    cutoff = about["cutoff"]
    newest = about.get("newest", about["cutoff"])
    age = (today - dt.date.fromisoformat(newest)).days
    if days and age > days:
        what = "last day observed is" if newest == cutoff else "newest entry is of"
        echo(f"Warning: the {what} {newest}, {age} days ago. Do new data still come in?", err=True)
    if dt.date.fromisoformat(cutoff) > today:
        echo(
            f"Warning: the last day observed, {cutoff}, is still to come; nobody can have seen it.",
            err=True,
        )
