"""What the commands share: where the data are, what the terminal is told, how they fail."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from retention.errors import RetentionError, one_line, printable

SECONDS_BETWEEN = 5.0


class _Folder(click.Path):
    """A folder; an empty name is a variable that nobody set, not the folder one is in."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path with this name."""
        if value == "":
            self.fail("an empty name; say . for the folder you are in", param, ctx)
        return super().convert(value, param, ctx)


FOLDER = _Folder(path_type=Path)


def echo(text: object, err: bool = False) -> None:
    """Write to the terminal; nothing that the data hold is a command to it."""
    click.echo(printable(str(text)), err=err)


def warn(message: Warning | str, category: type[Warning], *where: object, **more: object) -> None:
    """A library's warning as a line on standard error, without the place in its source."""
    echo(f"{category.__name__}: {one_line(str(message))}", err=True)


def about_data(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say where the data are."""
    data = click.option(
        "--data", default="", help="Folder with clients.csv (default: data/sample)."
    )
    config = click.option(
        "--config", default="", help="A retention.toml that says how to read the data."
    )
    cutoff = click.option("--cutoff", default="", help="Last day observed, YYYY-MM-DD.")
    return data(config(cutoff(command)))


about_reports = click.option(
    "--out",
    type=FOLDER,
    default=Path("reports"),
    envvar="RETENTION_OUT",
    show_default=True,
    help="The folder of reports.",
)
verbose = click.option(
    "--verbose",
    is_flag=True,
    expose_value=False,
    help="Show the full traceback of an error.",
    callback=lambda context, _, wanted: context.meta.update(verbose=wanted),
)


class Plain(click.Group):
    """Says in plain words what stopped a command (with --verbose, where), and exits with its
    code.
    """

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was named."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            echo("Stopped. The last report is untouched.", err=True)
            sys.exit(130)
        except RetentionError as error:
            echo(traceback.format_exc() if ctx.meta.get("verbose") else str(error), err=True)
            sys.exit(error.exit_code)
        except (click.ClickException, click.exceptions.Exit, click.Abort, OSError):
            raise
        except Exception:  # a fault of ours; its text may hold what the data hold
            echo(traceback.format_exc().rstrip(), err=True)
            sys.exit(1)


@contextmanager
def progress(quiet: bool = False) -> Iterator[Callable[[str], None]]:
    """A function that shows how far a command is: on a terminal the last message stays, elsewhere a
    line a step, or every 5 s.
    """
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True, highlight=False, quiet=quiet)
    last = 0.0
    with console.status("Starting") as status:

        def tell(text: str) -> None:
            nonlocal last
            text = one_line(text)
            status.update(Text(text))  # a name of a file is no markup
            counting = text.endswith(" read") or text.endswith(" rows")
            if not counting or time.monotonic() - last > SECONDS_BETWEEN:
                console.print(Text(text))
                last = time.monotonic()

        yield tell
