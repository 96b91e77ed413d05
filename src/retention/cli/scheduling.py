"""Opening the last report, and what a scheduler needs to run it again."""

from __future__ import annotations

import re
import shlex
import sys
import webbrowser
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

import click

from retention.cli.terminal import about_reports, echo, verbose
from retention.errors import ConfigError
from retention.words import say

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
FULL = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
WHEN = re.compile(rf"({'|'.join(DAYS)}|daily) ([01]\d|2[0-3]):([0-5]\d)")
WORKFLOW = """\
name: retention report
on:
  schedule:
    - cron: "%(time)s"
  workflow_dispatch:
permissions:
  contents: read
concurrency: retention-report
jobs:
  report:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "3.11"
      - uses: actions/cache@v4
        with:
          path: reports
          key: reports-${{ github.run_id }}
          restore-keys: reports-
      - run: python -m pip install --require-hashes -r requirements.lock
      - run: python -m pip install --no-deps .
      - run: %(command)s
        env:
          RETENTION_KEY: ${{ secrets.RETENTION_KEY }}
      - uses: actions/upload-artifact@v4
        if: always()
        with:
          name: report
          path: |
            reports/latest/
            reports/failed/
"""
KEEP = 26  # (ours) runs: half a year of weeks


@click.command("open")
@about_reports
@verbose
def open_report(out: Path) -> None:
    """Open the last report in the browser."""
    from retention.report.publish import last

    page = last(out.absolute()) / "index.html"
    if not page.is_file():
        raise ConfigError(say("deliver.open.none", out=out))
    echo(page)
    if not webbrowser.open(page.as_uri()):
        echo(say("deliver.open.no_browser"), err=True)


@dataclass(frozen=True)
class Timing:
    """When a report is made: a weekday (0 is Monday; None: each day), an hour and a minute."""

    day: int | None
    hour: int
    minute: int


def timing(text: str) -> Timing:
    """When, from words such as `Mon 06:15` or `daily 06:15`; ConfigError for others."""
    match = WHEN.fullmatch(text.strip())
    if not match:
        raise ConfigError(say("deliver.schedule.when", given=text))
    day = None if match[1] == "daily" else DAYS.index(match[1])
    return Timing(day, int(match[2]), int(match[3]))


@click.command()
@click.argument("kind", type=click.Choice(["cron", "systemd", "windows", "github"]))
@click.option("--config", type=click.Path(path_type=Path), help="The retention.toml to read.")
@about_reports
@click.option(
    "--at", default="Mon 06:15", show_default=True, help="A weekday or daily, and a time."
)
@click.option("--write", type=click.Path(path_type=Path), help="Write it into this file.")
@verbose
def schedule(kind: str, config: Path | None, out: Path, at: str, write: Path | None) -> None:
    """Print what makes cron, systemd, Windows or GitHub run this report."""
    when = timing(at)
    if config and not config.is_file():
        raise ConfigError(say("deliver.schedule.no_config", file=config))
    text = MAKERS[kind](when, config, out)
    if write is None:
        click.echo(text, nl=False)
        return
    if write.exists():
        raise ConfigError(say("deliver.schedule.exists", file=write))
    write.write_text(text, "utf-8", newline="\n")
    echo(write)


def words_of(config: Path | None, out: Path) -> list[str]:
    """The command and its words, with whole paths: a scheduler starts it from elsewhere."""
    program = Path(sys.executable).with_name("retention")
    asked = ["--config", str(config.absolute())] if config else []
    return [
        str(program),
        "report",
        *asked,
        "--out",
        str(out.absolute()),
        "--if-changed",
        "--keep",
        str(KEEP),
        "--quiet",
    ]


def cron(when: Timing, config: Path | None, out: Path) -> str:
    """A line of a crontab; cron takes a bare % for the end of the line."""
    day = "*" if when.day is None else str(when.day + 1)
    command = shlex.join(words_of(config, out)).replace("%", r"\%")
    return f"{when.minute} {when.hour} * * {day}  {command} >/dev/null\n"


def systemd(when: Timing, config: Path | None, out: Path) -> str:
    """A service and a timer, each under the name of its file."""
    command = " ".join(_systemd_word(word) for word in words_of(config, out))
    day = "" if when.day is None else f"{DAYS[when.day]} "
    return f"""# retention.service
[Unit]
Description=Retention report

[Service]
Type=oneshot
ExecStart={command}
SuccessExitStatus=3
Nice=10
PrivateTmp=yes
NoNewPrivileges=yes

# retention.timer
[Unit]
Description=Retention report on a schedule

[Timer]
OnCalendar={day}*-*-* {when.hour:02}:{when.minute:02}:00
Persistent=true

[Install]
WantedBy=timers.target
"""


def _systemd_word(word: str) -> str:
    """A word as systemd reads it: quoted where it has to be; % and $ stand for themselves."""
    plain = word.replace("%", "%%").replace("$", "$$")
    if re.fullmatch(r"[\w@%+=:,./$-]+", plain):
        return plain
    quoted = plain.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}"'


def windows(when: Timing, config: Path | None, out: Path) -> str:
    """A task for the Task Scheduler: `schtasks /create /tn retention /xml FILE`."""
    program, *rest = words_of(config, out)
    arguments = " ".join(f'"{word}"' if " " in word else word for word in rest)
    week = (
        "<ScheduleByDay><DaysInterval>1</DaysInterval></ScheduleByDay>"
        if when.day is None
        else f"<ScheduleByWeek><WeeksInterval>1</WeeksInterval><DaysOfWeek><{FULL[when.day]} />"
        "</DaysOfWeek></ScheduleByWeek>"
    )
    start = f"2026-01-01T{when.hour:02}:{when.minute:02}:00"
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo><Description>Retention report</Description></RegistrationInfo>
  <Triggers>
    <CalendarTrigger><StartBoundary>{start}</StartBoundary>{week}</CalendarTrigger>
  </Triggers>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <StartWhenAvailable>true</StartWhenAvailable>
  </Settings>
  <Actions>
    <Exec><Command>{escape(program)}</Command><Arguments>{escape(arguments)}</Arguments></Exec>
  </Actions>
</Task>
"""


def github(when: Timing, config: Path | None, out: Path) -> str:
    """A workflow for a repository that holds this project and the data; times there are UTC."""
    day = "*" if when.day is None else str((when.day + 1) % 7)
    asked = ["--config", config.as_posix()] if config else []
    words = [*asked, "--out", "reports", "--if-changed", "--keep", str(KEEP), "--pseudonyms"]
    command = shlex.join(["retention", "report", *words])
    time = f"{when.minute} {when.hour} * * {day}"
    return WORKFLOW % {"time": time, "command": command}


MAKERS = {"cron": cron, "systemd": systemd, "windows": windows, "github": github}
