"""The words by which own data are understood, kept as data in words.toml."""

from __future__ import annotations

import tomllib
from importlib.resources import files

WORDS = tomllib.loads(files("retention").joinpath("sources", "words.toml").read_text("utf-8"))
