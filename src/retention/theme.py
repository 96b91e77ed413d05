"""What results wear in a notebook: the colours of our pages, in its light and in its dark theme,
text to the left, verdicts in colour and bold.

A page of the report has a style sheet of its own and needs none of this.
"""

import os
import re
import sys
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from retention.parameters import SEAL

PAGES, NOTEBOOK = "show/templates/style.css", "notebook.css"
ROOT = re.compile(r":root\{(.*?)\}")
COLOUR = re.compile(r"--([\w-]+):(#[0-9a-f]+)")
SHOWN = ":is(.verdict,.answer,.scroll[data-of],figure.chart)"
DARK = ":is([data-jp-theme-light=false],.vscode-dark)"  # JupyterLab and Visual Studio Code
GROUND = "paper"  # the notebook's own
Colours = dict[str, str]  # by name


class Themes(NamedTuple):
    """The colours on light and on dark ground, by their names in style sheets."""

    light: Colours
    dark: Colours


@cache
def themes() -> Themes:
    """The colours that the style sheet of our pages states, first for light, then for dark; not
    that of the ground.

    >>> themes().light["c1"], themes().light.keys() == themes().dark.keys()
    ('#0072b2', True)
    """
    light, dark, *_ = ROOT.findall(_text(PAGES))
    return Themes(_colours(light), _colours(dark))


def _colours(declared: str) -> Colours:
    return {name: colour for name, colour in COLOUR.findall(declared) if name != GROUND}


def _text(file: str) -> str:
    return files("retention").joinpath(file).read_text("utf-8")


def rules(colours: Colours) -> str:
    """The colours as declarations of a style sheet.

    >>> rules({"ink": "#000", "soft": "#333"})
    '--ink:#000;--soft:#333'
    """
    return ";".join(f"--{name}:{colour}" for name, colour in colours.items())


def shapes() -> str:
    """The style sheet of what notebooks show, without colours."""
    return _text(NOTEBOOK)


@cache
def style() -> str:
    """The style of results as an element that may stand before any of them; it touches nothing
    else of a notebook.
    """
    light, dark = map(rules, themes())
    return f"<style>{SHOWN}{{{light}}}{DARK} {SHOWN}{{{dark}}}\n{shapes()}</style>"


def dressed(shown: str) -> str:
    """The HTML of a result, with its style where somebody's notebook shows it."""
    return style() + shown if _in_notebook() else shown


def _in_notebook() -> bool:
    """Whether this process is the kernel of a notebook that is no part of a report."""
    python: Any = sys.modules.get("IPython")
    shell = python.get_ipython() if python else None
    return hasattr(shell, "kernel") and SEAL not in os.environ
