"""What was known some months before a client could leave, as covariates of leaving."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from retention.contrast import Contrast, Spread
from retention.history.opportunities import EVENTS_A_PARAMETER, levels
from retention.stats.bands import band_exposure
from retention.stats.hazards import Fit, NotFittedError, fit_hazard
from retention.words import say


@dataclass(frozen=True)
class Design:
    """Rows made ready for a regression: `covariates` (n, k), `exposure` (n, bands) and the rows
    themselves.
    """

    rows: pd.DataFrame
    covariates: pd.DataFrame
    exposure: np.ndarray

    def fit(self, without: Sequence[str] = (), weights: np.ndarray | None = None) -> Fit:
        """The hazard of leaving, some covariates left out and rows counted by `weights`.
        NotFittedError.
        """
        if weights is None and "weight" in self.rows:
            weights = self.rows["weight"].to_numpy()
        chosen = self.covariates.drop(columns=list(without))
        return fit_hazard(
            self.rows["left"].to_numpy(), chosen, self.exposure, self.rows["client_id"], weights
        )


def design(rows: pd.DataFrame, columns: Sequence[str], plain: Sequence[str] = ()) -> Design:
    """Covariates of the hazard of leaving: `columns` per standard deviation, `plain` ones as they
    are, and controls.

    Rows where one of them is unknown are left out. Tenure is held fixed, and the term, the size and
    whether the rating had to be carried forward as far as ten ends a parameter allow, and unless
    tenure says the same (of two terms alone, the later months of service belong to the longer).
    NotFittedError where no row is left.
    """
    known = rows.dropna(subset=[*columns, *plain])
    used = known.reset_index(drop=True)
    if used.empty:
        raise NotFittedError(say("rep_liking.lacking.nothing_known"))
    alike = [name for name in (*columns, *plain) if used[name].nunique() == 1]
    if alike:
        names = ", ".join(alike)
        raise NotFittedError(say("rep_liking.lacking.no_variation", measures=names))
    measured = used[list(columns)]
    deviations = measured.std().fillna(0)
    spread = deviations.replace(0, 1)
    as_they_are = used[list(plain)].astype(float)
    covariates = [(measured - measured.mean()) / spread, as_they_are]
    room = used["left"].sum() / EVENTS_A_PARAMETER
    left_over = room - len(columns) - len(plain)
    budget = max(left_over, 1)
    exposure = band_exposure(used["from_month"], used["to_month"], used["left"])
    total = exposure.sum(axis=1, keepdims=True)
    share = exposure / total
    for control in _controls(used):
        if not 0 < control.shape[1] <= budget:
            continue
        held = np.column_stack([share, *covariates, control])
        rank = np.linalg.matrix_rank(held)
        if rank == held.shape[1]:
            covariates.append(control)
            budget -= control.shape[1]
    columns_held = pd.concat(covariates, axis=1)
    return Design(used, columns_held, exposure)


def _controls(rows: pd.DataFrame) -> list[pd.DataFrame]:
    """What is held fixed where there is room: the term, the size, and a rating carried forward."""
    terms = rows["term_months"].astype(str)
    term = levels(rows, terms).add_prefix("term ")
    spend = rows["monthly_ad_spend"].clip(lower=1)
    log = np.log(spend)
    size = log.rename("size").to_frame()
    if "silent" not in rows:
        return [term, size]
    silent = rows["silent"] > 0
    carried = silent.astype(float)
    carried_column = carried.rename("silent").to_frame()
    return [term, size, carried_column]


def spreads(
    fit: Fit, parts: Mapping[str, float], used: pd.DataFrame
) -> tuple[float, Spread, Spread]:
    """A weighted sum of coefficients, and its spread as clients or, from six reps on, reps are left
    out one after the other (METHODS 6). `used` are the rows of the fit, with `rep` (in charge) and
    `left`.
    """
    theta = sum(weight * fit.coefficient(name) for name, weight in parts.items())
    ends = used["left"].sum()
    by_client = fit.by_client(parts, [ends])
    reps = used["rep"].to_numpy(object)
    return theta, by_client, fit.by_rep(parts, reps)


def wider(
    fit: Fit, parts: Mapping[str, float], used: pd.DataFrame, level: float = 0.95
) -> tuple[float, float]:
    """A weighted sum of coefficients, and the standard error that gives an interval of this level
    its width: the wider of the `spreads`.
    """
    theta, by_client, by_rep = spreads(fit, parts, used)
    tail = (1 + level) / 2
    by_client_reach = float(by_client.reach(tail))
    widest = max(by_client_reach, float(by_rep.reach(tail)))
    quantile = stats.norm.ppf(tail)
    return theta, widest / float(quantile)


def lagged_contrast(
    rows: pd.DataFrame, columns: Sequence[str], parts: Mapping[str, float], name: str, **how: Any
) -> Contrast:
    """A weighted sum of effects to be judged: `lagged_contrasts` of one."""
    return lagged_contrasts(rows, columns, [parts], name, **how)[0]


def lagged_contrasts(
    rows: pd.DataFrame,
    columns: Sequence[str],
    sums: Sequence[Mapping[str, float]],
    name: str,
    *,
    plain: Sequence[str] = (),
    groups: Mapping[str, str] | None = None,
    lacking: Sequence[str] = (),
) -> list[Contrast]:
    """Weighted sums of effects of one regression, to be judged, with their spread by client and by
    rep.

    `groups` names columns (0 or 1) for readers, of which each needs ends enough.
    """
    needed = [*columns, *plain]
    known = rows.dropna(subset=needed)
    clients, counts = _compared(known, groups or {})
    try:
        made = design(rows, columns, plain)
        fit = made.fit()
    except NotFittedError as error:
        reason = say("rep_liking.lacking.no_estimate", why=error)
        why = (*lacking, reason)
        return [Contrast(name, math.nan, math.nan, clients, counts, why) for _ in sums]
    contrasts = []
    for parts in sums:
        theta, by_client, by_rep = spreads(fit, parts, made.rows)
        contrast = Contrast(
            name,
            theta,
            by_client.se,
            clients,
            counts,
            tuple(lacking),
            df=by_client.df,
            by_rep=by_rep,
        )
        contrasts.append(contrast)
    return contrasts


def _compared(known: pd.DataFrame, groups: Mapping[str, str]) -> tuple[int, dict[str, int]]:
    """How many clients are compared, and the ends by choice of each group, or of all together."""
    if not groups:
        everybody = say("rep_liking.group.compared")
        ends = int(known["left"].sum())
        return known["client_id"].nunique(), {everybody: ends}
    counts = {}
    for column, group in groups.items():
        inside = known[column] == 1
        gone = known.loc[inside, "left"]
        counts[group] = int(gone.sum())
    marked = known[list(groups)] == 1
    some = marked.any(axis=1)
    clients = known.loc[some, "client_id"]
    return clients.nunique(), counts
