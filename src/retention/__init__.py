"""Why clients stay or leave: a published retention study, re-tested on your own data.

from retention import open_study

study = open_study("my/data", cutoff="2025-12-31")
study.judge("A1")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from retention.claims.contract_term import contract_hazard_ratio
    from retention.claims.judge import CLAIMS, judge
    from retention.history.spells import build_spells
    from retention.study import open_study

__all__ = ["CLAIMS", "build_spells", "contract_hazard_ratio", "judge", "open_study"]
_HOME = dict(
    zip(
        __all__,
        ("claims.judge", "history.spells", "claims.contract_term", "claims.judge", "study"),
        strict=True,
    )
)


def __getattr__(name: str) -> Any:
    """A verb, looked up when first asked for: `retention --help` waits for no pandas."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
