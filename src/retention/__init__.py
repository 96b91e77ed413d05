"""Why clients stay or leave: a published retention study, re-tested on your own data.

import retention

study = retention.open_study("my/data", cutoff="2025-12-31")
retention.survival(study, by="industry")
retention.ratio(study, of="prepaid", adjusted_for=["monthly_ad_spend"])
study.judge("A1")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from retention.analyst.asked import open_study
    from retention.analyst.charts import (
        plot_cohorts,
        plot_incidence,
        plot_ratio,
        plot_restricted_mean,
        plot_survival,
    )
    from retention.analyst.compare import Claim, judge, ratio
    from retention.analyst.curves import incidence, restricted_mean, survival
    from retention.analyst.models import baselines, judge_model, predict
    from retention.analyst.triangle import cohorts
    from retention.score.examples import AsOf, Prepared
    from retention.score.temporal import TemporalSplit

__all__ = [
    "AsOf",
    "Claim",
    "Prepared",
    "TemporalSplit",
    "baselines",
    "cohorts",
    "incidence",
    "judge",
    "judge_model",
    "open_study",
    "plot_cohorts",
    "plot_incidence",
    "plot_ratio",
    "plot_restricted_mean",
    "plot_survival",
    "predict",
    "ratio",
    "restricted_mean",
    "survival",
]
_HOMES = {
    "analyst.asked": ["open_study"],
    "analyst.charts": [name for name in __all__ if name.startswith("plot_")],
    "analyst.compare": ["Claim", "judge", "ratio"],
    "analyst.curves": ["incidence", "restricted_mean", "survival"],
    "analyst.models": ["baselines", "judge_model", "predict"],
    "analyst.triangle": ["cohorts"],
    "score.examples": ["AsOf", "Prepared"],
    "score.temporal": ["TemporalSplit"],
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """A verb, looked up when first asked for: `retention --help` waits for no pandas."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    """The verbs alone, for completion."""
    return list(__all__)
