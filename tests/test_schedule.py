"""What docs/scheduling.md and docs/privacy.md tell people to write is understood by what will read
it.
"""

import ast
import re
import shlex
import tomllib

import pytest
import yaml

from conftest import ROOT
from retention.cli import cli
from retention.settings import Settings

TEXT = "\n".join(
    (ROOT / "docs" / name).read_text("utf-8") for name in ("scheduling.md", "privacy.md")
)
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
COMMANDS = re.findall(r"bin/retention report (--[^\n>\"]*)", "".join(code for _, code in BLOCKS))


@pytest.mark.parametrize("words", COMMANDS)
def test_each_command_is_one_that_retention_knows(words):
    cli.commands["report"].make_context("report", shlex.split(words))


def test_each_block_can_be_parsed():
    assert len(COMMANDS) >= 4 and {kind for kind, _ in BLOCKS} >= {
        "cron",
        "ini",
        "yaml",
        "python",
        "toml",
    }
    for kind, code in BLOCKS:
        if kind == "yaml":
            step = yaml.safe_load(code)["jobs"]["report"]["steps"][3]["run"]
            args = re.search(r'ARGS="(.*)"', step)[1]
            cli.commands["report"].make_context("report", shlex.split(args))
        if kind == "python":
            ast.parse(code)
        if kind == "toml":
            assert Settings.model_validate(tomllib.loads(code)).privacy.fewest == 5
        if kind == "cron":
            assert re.fullmatch(r"15 6 \* \* 1 .*>/dev/null", code.splitlines()[1])


def test_each_option_of_a_report_is_told():
    own = {name for option in cli.commands["report"].params for name in option.opts}
    for option in sorted(
        own & {"--if-changed", "--keep", "--quiet", "--stale-after", "--pseudonyms", "--smallest"}
    ):
        assert f"`{option}" in TEXT or f"{option} " in TEXT, option
