"""Every claim of the plan and the one function that computes it.

A module of this folder puts `@claim("A1")` on a function that takes the study and gives back
`Ways`. Nothing else has to know of it: the notebook asks `study.judge("A1")`, and the card, the
page and the tests follow from the plan (plan.toml).
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import import_module
from typing import Any, Protocol

import pandas as pd

from retention import claims as room
from retention.claims.among import among
from retention.claims.judge import CLAIMS, Claim, judge, sensitivity_table
from retention.contrast import Contrast
from retention.history.panel import Panel
from retention.results import Finding, Verdict
from retention.settings import Extra, FieldOfClaim, Settings


class Studied(Protocol):
    """What a claim may ask of the study (`retention.study.Study`)."""

    @property
    def spells(self) -> pd.DataFrame: ...  # noqa: D102
    @property
    def contracts(self) -> pd.DataFrame | None: ...  # noqa: D102
    @property
    def at_signing(self) -> dict[str, Extra]: ...  # noqa: D102
    @property
    def panel(self) -> Panel: ...  # noqa: D102
    @property
    def claims(self) -> Mapping[str, Claim]: ...  # noqa: D102
    @property
    def caveats(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def tables(self) -> Any: ...  # noqa: D102
    @property
    def settings(self) -> Settings: ...  # noqa: D102


@dataclass(frozen=True)
class Ways:
    """What a claim is judged from: the contrast as planned, and the other planned ways.

    `caveats` are said with the verdict, beside those of the data; `missing` says which inputs are
    absent; `opposed` which parts of the data point opposite ways; `further` are checks of other
    kinds, by what they are called.
    """

    primary: Contrast
    planned: Sequence[Contrast] = ()
    caveats: Sequence[str] = ()
    missing: Sequence[str] = ()
    opposed: Sequence[str] = ()
    further: Mapping[str, Sequence[Contrast]] = field(default_factory=dict)


@dataclass(frozen=True)
class Judged:
    """A claim with the ways it was computed, and what `others` say of it; shows itself as its
    verdict.
    """

    claim: Claim
    ways: Ways
    caveats: tuple[str, ...] = ()
    others: FieldOfClaim | None = None

    @property
    def primary(self) -> Contrast:
        """The contrast that the verdict is on."""
        return self.ways.primary

    @cached_property
    def verdict(self) -> Verdict:
        """The verdict by the rule of METHODS 1."""
        ways = self.ways
        said = (*self.caveats, *ways.caveats)
        verdict = judge(
            self.claim, ways.primary, ways.planned, said, ways.missing, ways.opposed, ways.further
        )
        return replace(verdict, among=among(self.claim, ways.primary, self.others))

    @property
    def table(self) -> pd.DataFrame:
        """Every planned way beside its own verdict, the primary first."""
        ways = [self.ways.primary, *self.ways.planned]
        return sensitivity_table(self.claim, ways)

    def what_to_do(self) -> Finding:
        """The advice that follows from the verdict."""
        return self.verdict.what_to_do()

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return self.verdict._repr_mimebundle_()


Estimator = Callable[[Any], Ways]
_ESTIMATORS: dict[str, Estimator] = {}


def claim(name: str) -> Callable[[Estimator], Estimator]:
    """Register the function that computes this claim; ValueError where the plan has none such, or
    where another function does so already.
    """

    def register(estimator: Estimator) -> Estimator:
        if name not in CLAIMS:
            raise ValueError(f"plan.toml has no claim {name}")
        if name in _ESTIMATORS:
            raise ValueError(f"{name} is computed by {_ESTIMATORS[name].__name__} already")
        _ESTIMATORS[name] = estimator
        return estimator

    return register


def estimators() -> Mapping[str, Estimator]:
    """The function that computes each claim, by the claim's id, from all modules of this folder."""
    for module in pkgutil.iter_modules(room.__path__, f"{room.__name__}."):
        import_module(module.name)
    return _ESTIMATORS


def judged(name: str, study: Studied) -> Judged:
    """The claim as it stands in the study's data; KeyError where there is no such claim."""
    computed = estimators()[name](study)
    others = study.settings.others.get(name)
    return Judged(study.claims[name], computed, study.caveats, others)
