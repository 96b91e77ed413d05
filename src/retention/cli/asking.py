"""The questions of a draft, asked in a terminal one at a time: its own open lines and no others."""

from __future__ import annotations

import datetime as dt
import json
import re
import tomllib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from pydantic import ValidationError

from retention.cli.terminal import echo
from retention.settings import OPEN, Settings

_OPEN_LINE = re.compile(rf'(?P<key>\S.*?) = "{re.escape(OPEN)}"(?:\s*#\s*(?P<hint>.*))?')
_GUESS = re.compile(r"(?P<line>.+?)\s+#\s*(?P<why>(?:sure|likely|a guess).*)")
_CONFIRMED = "confirmed = false"
_IN_OUR_WORDS = "in our words? "
_NEWEST = re.compile(r"The newest day in it is (\d{4}-\d\d-\d\d)")


@dataclass(frozen=True)
class Question:
    """An open line of a draft: where it stands, what the draft says of it, and what may be
    answered.
    """

    at: int
    section: str
    key: str
    told: tuple[str, ...]
    hint: str

    @property
    def place(self) -> str:
        """The setting that is asked for."""
        return f"{self.section}.{self.key}" if self.section else self.key

    @property
    def default(self) -> str:
        """What an empty answer means; nothing: I do not know."""
        found = _NEWEST.search(" ".join(self.told))
        return found[1] if found and self.key == "cutoff" else ""

    @property
    def choices(self) -> list[str]:
        """The answers that there are; empty where a day, a number or a word of one's own is
        asked for.
        """
        text = " ".join([*self.told, self.hint])
        if _IN_OUR_WORDS in text:
            words = text.partition(_IN_OUR_WORDS)[2].split(", ")
            return [] if len(words) < 2 else words
        closed = self.section == "source.answers" or self.section.endswith(".formats")
        quoted = re.findall(r'"([^"]+)"', text) if closed else []
        return quoted if len(quoted) > 1 else []


def questions(text: str) -> Iterator[Question]:
    """The open lines of a draft, from the top."""
    section = ""
    told: list[str] = []
    in_comment = False
    for at, line in enumerate(text.splitlines()):
        if line.startswith("#"):
            told = told if in_comment else []
            told.append(line.removeprefix("#").strip())
        elif line.startswith("["):
            section = line.strip("[]")
            told = []
        elif not line:
            told = []
        found = _OPEN_LINE.fullmatch(line)
        if found:
            yield Question(at, section, found["key"], tuple(told), found["hint"] or "")
        in_comment = line.startswith("#")


def asked(text: str, ask: Callable[[str], str]) -> str:
    """The draft with what a person answers; `ask` shows a prompt and gives back what is typed.

    What nobody knows stays open. EOFError ends the questions.
    """
    with suppress(EOFError):
        all_open = list(questions(text))
        for number, question in enumerate(all_open, 1):
            _show(question, number, len(all_open))
            text = _answered(text, question, ask)
        text = _confirmed(text, ask)
    return text


def _show(question: Question, number: int, of: int) -> None:
    echo(f"\nQuestion {number} of {of}: {question.place}")
    for line in question.told:
        echo(f"  {line}")
    if question.hint:
        echo(f"  {question.hint}")
    if question.choices:
        echo(f"  Answers: {', '.join(question.choices)}")


def _answered(text: str, question: Question, ask: Callable[[str], str]) -> str:
    """The draft with one answer that its settings take."""
    usual = f"Enter: {question.default}, ?: I do not know" if question.default else ""
    prompt = f"Your answer ({usual or 'Enter: I do not know'})"
    while True:
        typed = ask(prompt).strip() or question.default
        if typed in ("", OPEN):
            return text
        if question.choices and typed not in question.choices:
            echo(f"  That is none of {', '.join(question.choices)}.")
            continue
        why = ""
        for value in _values(typed):
            line = f"{question.key} = {value}"
            new = _with(text, question.at, line)
            why = _refused(new)
            if not why:
                return new
        echo(f"  That cannot be taken: {why}")


def _values(typed: str) -> Iterator[str]:
    """What was typed as TOML: a day or a number where it is one, and as text."""
    plain = typed.strip('"')
    with suppress(ValueError):
        yield dt.date.fromisoformat(plain).isoformat()
    if re.fullmatch(r"-?\d+(\.\d+)?", plain):
        yield plain
    yield json.dumps(plain, ensure_ascii=False)


def _with(text: str, at: int, line: str) -> str:
    lines = text.splitlines()
    lines[at] = line
    return "\n".join(lines) + "\n"


def _refused(text: str) -> str:
    """Why the settings cannot take the answered lines; empty where they can."""
    lines = [line for line in text.splitlines() if not _OPEN_LINE.fullmatch(line)]
    try:
        raw = tomllib.loads("\n".join(lines))
        Settings.model_validate(raw)
    except tomllib.TOMLDecodeError as error:
        return str(error)
    except ValidationError as error:
        return str(error.errors()[0]["msg"]).removeprefix("Value error, ")
    return ""


def _confirmed(text: str, ask: Callable[[str], str]) -> str:
    """The draft confirmed, where nothing is open and a person says that its guesses are right."""
    if next(questions(text), None):
        echo('\nWhat nobody knows yet stands as "?" in the draft.')
        return text
    echo("\nThe draft rests on these guesses:")
    for line in text.splitlines():
        guess = _GUESS.fullmatch(line)
        if guess:
            echo(f"  {guess['line']}  ({guess['why']})")
        elif line.startswith("# - "):
            echo(f"  {line.removeprefix('# ')}")
    said = ask("Are they right? (yes; Enter: not yet)")
    if said.strip().casefold() in ("y", "yes"):
        return text.replace(_CONFIRMED, "confirmed = true", 1)
    return text
