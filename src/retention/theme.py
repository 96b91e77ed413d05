"""The colours of our pages, as their style sheet states them."""

import re
from functools import cache
from importlib.resources import files
from typing import NamedTuple

SHEET = "show/templates/style.css"
ROOT = re.compile(r":root\{(.*?)\}")
COLOUR = re.compile(r"--([\w-]+):(#[0-9a-f]+)")
Colours = dict[str, str]  # by name


class Themes(NamedTuple):
    """The colours on light and on dark ground, by their names in style sheets."""

    light: Colours
    dark: Colours


@cache
def themes() -> Themes:
    """The colours that the style sheet of our pages states first for light, then for dark.

    >>> themes().light["paper"], themes().light.keys() >= themes().dark.keys()
    ('#fff', True)
    """
    sheet = files("retention").joinpath(SHEET).read_text("utf-8")
    light, dark, *_ = ROOT.findall(sheet)
    return Themes(dict(COLOUR.findall(light)), dict(COLOUR.findall(dark)))


def rules(colours: Colours) -> str:
    """The colours as declarations of a style sheet.

    >>> rules({"ink": "#000"})
    '--ink:#000'
    """
    return ";".join(f"--{name}:{colour}" for name, colour in colours.items())
