"""`retention init` on a terminal: the draft's questions, one at a time."""

import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import ROOT
from retention.cli.asking import asked, questions
from retention.data import read
from retention.settings import resolve
from test_recipes import EXPORTS, MADE, drafted

RECURLY = {"source.answers.months_bound": "1", "source.answers.not_yet_invoiced": "left"}


@pytest.fixture
def draft(tmp_path) -> str:
    """Ad spend and companies: the day of the export, and strangers, are asked."""
    files = (*sorted((EXPORTS / "googleads").iterdir()), *(EXPORTS / "hubspot_custom").iterdir())
    drafted(tmp_path, files)
    return (tmp_path / "retention.toml").read_text()


def answers(*typed: str):
    left = list(typed)
    return lambda prompt: left.pop(0)


def test_the_questions_are_those_of_the_draft(draft):
    found = list(questions(draft))
    assert len(found) == draft.count(' = "?"')
    strangers = next(one for one in found if one.key == "strangers")
    assert strangers.place == "tables.account_months.strangers"
    assert any("Velvet Dental" in line for line in strangers.told)  # its evidence


def test_what_is_answered_is_filled_in_and_the_rest_stays_open(draft, capsys):
    places = [one.key for one in questions(draft)]
    typed = {"cutoff": "2025-09-30", "records_begin": "all history", "strangers": ""}
    text = asked(draft, answers(*(typed[key] for key in places)))
    assert "\ncutoff = 2025-09-30\n" in text
    assert 'strangers = "?"' in text and "confirmed = false" in text
    assert 'What nobody knows yet stands as "?"' in capsys.readouterr().out


def test_a_wrong_answer_is_told_and_asked_again(draft, capsys):
    places = [one.key for one in questions(draft)]
    typed = []
    for key in places:
        typed += {"cutoff": ["the 30th", "2025-09-30"], "strangers": ["ignore", "leave out"]}.get(
            key, ["all history"]
        )
    text = asked(draft, answers(*typed, "yes"))
    assert 'strangers = "leave out"' in text and "\nconfirmed = true" in text
    assert capsys.readouterr().out.count("That cannot be taken") == 2


def test_the_newest_day_is_the_default_of_the_cut_off(draft):
    first = next(one for one in questions(draft) if one.key == "cutoff")
    assert re.fullmatch(r"2025-\d\d-\d\d", first.default)
    places = [one.key for one in questions(draft)]
    text = asked(draft, answers(*("" for _ in places)))
    assert f"cutoff = {first.default}" in text


def test_choices_are_held_to(tmp_path, capsys):
    drafted(tmp_path, ("chargebee.csv",))
    text = (tmp_path / "retention.toml").read_text()
    amounts = next(one for one in questions(text) if one.key == "amounts_in")
    assert "cents" in amounts.choices
    typed = []
    for one in questions(text):
        typed += ["pennies", "cents"] if one.key == "amounts_in" else [""]
    assert 'amounts_in = "cents"' in asked(text, answers(*typed, "yes"))
    assert "That is none of" in capsys.readouterr().out


def on_a_terminal(command: list[str], typed: dict[str, str], folder: Path) -> str:
    """What a command shows on a terminal where a person answers each question by its place."""
    main, other = pty.openpty()
    place = dict(os.environ, PYTHONPATH=str(ROOT / "src"), TERM="dumb", COLUMNS="100")
    running = subprocess.Popen(
        command, stdin=other, stdout=other, stderr=other, cwd=folder, env=place
    )
    os.close(other)
    shown, told = "", 0
    until = time.monotonic() + 120
    while time.monotonic() < until:
        ready, _, _ = select.select([main], [], [], 0.5)
        try:
            shown += os.read(main, 65536).decode() if ready else ""
        except OSError:  # the command has ended
            break
        new = shown[told:]
        if re.search(r"\): $", new):
            asked_of = re.findall(r"Question \d+ of \d+: (\S+)", new)
            answer = typed[asked_of[-1]] if asked_of else "yes"
            told = len(shown)
            os.write(main, f"{answer}\n".encode())
        if not ready and running.poll() is not None:
            break
    os.close(main)
    assert running.wait(30) == 0, shown
    return shown


def test_on_a_terminal_init_asks_and_check_reads(tmp_path):
    MADE["recurly.csv"]().to_csv(tmp_path / "recurly.csv", index=False)
    code = "from retention.cli import main; main()"
    command = [sys.executable, "-c", code, "init", "recurly.csv"]
    typed = RECURLY | {"cutoff": "2025-09-30", "records_begin": "all history"}
    shown = on_a_terminal(command, typed, tmp_path)
    assert "one question at a time" in shown and "to answer:" not in shown
    assert "Next: retention check" in shown
    assert read(resolve(config=str(tmp_path / "retention.toml"))).rows == {"clients": 113}
