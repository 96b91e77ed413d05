"""The study plan as shipped: claims, published values, thresholds."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def study_plan() -> dict[str, Any]:
    """The study plan as shipped (plan.toml): claims, published values, thresholds."""
    path = files("retention").joinpath("plan.toml")
    return tomllib.loads(path.read_text("utf-8"))
