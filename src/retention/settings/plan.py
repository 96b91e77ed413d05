"""The study plan as shipped: claims, published values, thresholds."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def study_plan() -> dict[str, Any]:
    """The study plan as shipped (plan.toml): claims, published values, thresholds."""
    path = files("retention").joinpath("plan.toml")
    return tomllib.loads(path.read_text("utf-8"))


Limits = Mapping[str, float]
SECTIONS = ("thresholds", "portfolio")  # of the plan, and of retention.toml where a user sets them


def shipped(section: str) -> dict[str, float]:
    """The thresholds of a section of the plan by name, as shipped."""
    return {name: float(about["value"]) for name, about in study_plan()[section].items()}


LIMITS: Limits = shipped("thresholds") | shipped("portfolio")
