"""The words that are not used, wherever readers meet them: `python tests/language.py` lists each."""

import ast
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click

from retention.cli import cli

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "retention"
GLOSSARY = PACKAGE / "words" / "glossary.toml"
INSTEAD: dict[str, str] = tomllib.loads(GLOSSARY.read_text("utf-8"))["instead"]
PATTERN = re.compile(rf"(?i)\b({'|'.join(INSTEAD)})\b")


def unfit(text: str) -> list[str]:
    """Words in `text` that are not used, each with what is said instead."""
    return [f"{word}: say {INSTEAD[word.lower()]}" for word in PATTERN.findall(text)]


def documents() -> Iterator[tuple[str, str]]:
    """Every Markdown document, by its place."""
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md")]:
        yield str(path.relative_to(ROOT)), path.read_text("utf-8")


def notebooks() -> Iterator[tuple[str, str]]:
    """The Markdown cells of every notebook, and the texts in its code."""
    for path in sorted(ROOT.glob("notebooks/*.ipynb")):
        for cell in json.loads(path.read_text("utf-8"))["cells"]:
            yield f"{path.name} {cell['id']}", "".join(cell["source"])


def words_files() -> Iterator[tuple[str, str]]:
    """Every file of texts and templates of the package, but for the glossary."""
    for kind in ("toml", "j2", "json", "js"):
        for path in sorted(PACKAGE.rglob(f"*.{kind}")):
            if path != GLOSSARY and path.name != "schema1.toml":  # the words of former runs
                yield str(path.relative_to(PACKAGE)), path.read_text("utf-8")


def docstrings() -> Iterator[tuple[str, str]]:
    """Every docstring, comment and text of the package, by file."""
    for path in sorted(PACKAGE.rglob("*.py")):
        yield str(path.relative_to(PACKAGE)), said_in(path.read_text("utf-8"))


def said_in(source: str) -> str:
    """The texts and comments of a source file, one a line."""
    texts = [
        node.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    comments = re.findall(r"(?m)#\s.*$", source)
    return "\n".join([*texts, *comments])


def help_texts() -> Iterator[tuple[str, str]]:
    """What `--help` says, of the program and of each command."""
    context = click.Context(cli)
    yield "--help", cli.get_help(context)
    for name, command in cli.commands.items():
        yield f"{name} --help", command.get_help(click.Context(command, info_name=name))


def everything() -> Iterator[tuple[str, str]]:
    """Every text but the rendered pages, by its place."""
    yield from documents()
    yield from notebooks()
    yield from words_files()
    yield from docstrings()
    yield from help_texts()


def main() -> None:
    """Print each word that is not used, and where it stands."""
    for place, text in everything():
        for fault in unfit(text):
            print(f"{place}: {fault}")


if __name__ == "__main__":
    main()
