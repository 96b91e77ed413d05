"""Liking and results side by side (A6): by kind of row and lag, by thirds, and what one owes to the
other.

Views beside the verdict of `rep_liking`. Source: METHODS 4.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.regression.linear_model import OLS
from statsmodels.tools.tools import add_constant

from retention.claims.rep_liking import AS_PLANNED, BOTH, DIFFERENCE, FREE, liking_difference
from retention.contrast import MIN_EVENTS_GROUP, Z95, as_ratio
from retention.history.grids import in_deviations
from retention.history.lagged import design, lagged_contrast, wider
from retention.history.panel import Panel, lagged_rows
from retention.numbers import Shown, between
from retention.results import Estimate, Estimates, Finding
from retention.show.numbers import signed_share
from retention.stats.hazards import BOOTSTRAP_FROM, Fit, NotFittedError
from retention.words import Said, say

LAGS = (1, 2, 3, 6)  # months from what is known to the decision
QUANTILES = (0.025, 0.975)
MIN_CLUSTERS = 10  # METHODS 1: with fewer reps nothing clustered by them is trusted
DRAWS = 1000
THIRDS = ("low", "middle", "high")


def who_answers(panel: Panel) -> pd.DataFrame:
    """Opportunities to leave, ends by choice, and how many have a rating, results and both, by kind
    of row.
    """
    table = []
    for kind, free in FREE.items():
        same_kind = panel.rows["free"] == free
        rows = panel.rows[same_kind]
        known = rows[list(BOTH)].notna()
        both = known.all(axis=1)
        table.append(
            {
                "kind_of_row": say(f"rep_liking.who.{kind}"),
                "clients": rows["client_id"].nunique(),
                "opportunities": len(rows),
                "ends_by_choice": int(rows["left"].sum()),
                "with_a_rating": rows["liking"].notna().mean(),
                "with_both": both.mean(),
                "ends_with_both": int(rows.loc[both, "left"].sum()),
            }
        )
    return pd.DataFrame(table)


def effects(panel: Panel) -> Estimates:
    """Ratio of leaving per standard deviation more of each, and their difference: both kinds of
    rows, each, and lags.

    Quantities in rows, ways of computing in columns; a way in which too few left to fit is left
    out.
    """
    rows = panel.rows
    ways = [(AS_PLANNED, rows)]
    for kind, free in FREE.items():
        same_kind = rows[rows["free"] == free]
        ways.append((say(f"rep_liking.effects.{kind}"), same_kind))
    for lag in LAGS:
        if lag != panel.lag:
            way = say("rep_liking.effects.lag", months=lag)
            lagged = lagged_rows(panel, lag=lag)
            ways.append((way, lagged))
    estimates: list[Estimate] = []
    for group, part in ways:
        estimates += _effects_of(part, group)
    return Estimates(tuple(estimates), say("rep_liking.effects.caption"))


def _effects_of(rows: pd.DataFrame, group: str) -> list[Estimate]:
    """The two effects and their difference in these rows; empty where they are described, not
    compared.
    """
    try:
        made = design(rows, BOTH)
        fit = made.fit()
    except NotFittedError:
        return []
    used = made.rows
    ended = int(used["left"].sum())
    counts = (used["client_id"].nunique(), ended)
    if counts[1] < MIN_EVENTS_GROUP:
        return []
    estimates = []
    for what in BOTH:
        ratios = [as_ratio(log) for log in _with_limits(*wider(fit, {what: 1.0}, used))]
        name = say(f"rep_liking.effects.{what}")
        estimate = Estimate.of("A6", name, group, ratios, "ratio", counts)
        estimates.append(estimate)
    gap = _with_limits(*wider(fit, DIFFERENCE, used))
    name = say("rep_liking.effects.difference")
    difference = Estimate.of("A6", name, group, gap, "difference", counts)
    return [*estimates, difference]


def _with_limits(theta: float, se: float) -> list[float]:
    return [theta + k * Z95 * se for k in (0, -1, 1)]


def ways_of_interval(panel: Panel, seed: int = 1) -> Estimates:
    """The difference with its 95 % interval by client and by rep, each by formula and by resampling
    (one step).
    """
    caption = say("rep_liking.interval.caption")
    try:
        made = design(panel.rows, BOTH)
        fit = made.fit()
    except NotFittedError:
        return Estimates((), caption)
    ended = made.rows["left"].sum()
    counts = (fit.n_clusters, int(ended))
    in_charge = made.rows["rep"]
    reps = pd.factorize(in_charge)[0]
    ways: list[tuple[str, Sequence[float]]] = []
    if fit.cluster.max() + 1 >= MIN_CLUSTERS:
        ways += _ways(fit, fit.cluster, "by_client", Z95, seed)
    if reps.max() + 1 >= MIN_CLUSTERS:
        ways += _ways(fit, reps, "by_rep", float(stats.t.ppf(0.975, reps.max())), seed)
    name = say("rep_liking.effects.difference")
    rows = [Estimate.of("A6", name, way, values, "difference", counts) for way, values in ways]
    return Estimates(tuple(rows), caption)


def _ways(
    fit: Fit, codes: np.ndarray, who: str, z: float, seed: int
) -> list[tuple[str, Sequence[float]]]:
    """The difference with its limits by formula and by resampling; `codes` (n,) are the clients or
    reps of the rows.
    """
    theta, se = fit.combined(DIFFERENCE, codes)
    at = [fit.names.index(name) for name in DIFFERENCE]
    by_group = replace(fit, cluster=codes)
    coefficients = by_group.draws(DRAWS, seed)[:, at]
    differences = coefficients @ list(DIFFERENCE.values())
    low, high = np.nanquantile(differences, QUANTILES)
    lower = theta - z * se
    return [
        (say(f"rep_liking.interval.{who}_formula"), (theta, lower, theta + z * se)),
        (say(f"rep_liking.interval.{who}_resampled"), (theta, low, high)),
    ]


def total_and_direct(panel: Panel) -> Estimates:
    """Results with and without liking in the model: what goes through liking is in the one and not
    in the other.
    """
    rows = panel.rows.dropna(subset=list(BOTH))
    ways = [("total", ("results",), "results"), ("direct", BOTH, "results")]
    ways.append(("liking", BOTH, "liking"))
    ratio = say("rep_liking.through.ratio")
    estimates = []
    for way, columns, effect in ways:
        name = say(f"rep_liking.through.{way}")
        contrast = lagged_contrast(rows, columns, {effect: 1.0}, name)
        if math.isfinite(contrast.theta):
            estimate = contrast.estimate("A6", ratio, name)
            estimates.append(estimate)
    return Estimates(tuple(estimates), say("rep_liking.through.caption"))


def total_effect(panel: Panel, seed: int = 1) -> tuple[float, float, float] | None:
    """The total effect of results less the effect of liking, with its 95 % limits; None where too
    little is known.

    What goes through liking counts as results' own. Both regressions on the same resamples of
    clients.
    """
    if liking_difference(panel).gate:
        return None
    made = design(panel.rows, BOTH)
    try:
        both = made.fit()
        total = made.fit(without=["liking"])
    except NotFittedError:
        return None
    total_draws = total.draws(DRAWS, seed)
    results = total_draws[:, total.names.index("results")]
    direct_draws = both.draws(DRAWS, seed)
    liking = direct_draws[:, both.names.index("liking")]
    low, high = np.nanquantile(results - liking, QUANTILES)
    effect = total.coefficient("results")
    gap = effect - both.coefficient("liking")
    return float(gap), float(low), float(high)


def total_words(panel: Panel) -> Finding:
    """Whether results matter more than liking once what goes through liking is counted as theirs:
    with its interval.
    """
    effect = total_effect(panel)
    if effect is None:
        return Finding("A6", say("rep_liking.through.unknown"))
    gap, low, high = effect
    interval = between(low, high, "difference")
    if low <= 0 <= high:
        text = say("rep_liking.through.unclear", gap=gap, interval=interval)
        return Finding("A6", text)
    if low > 0:
        return Finding("A6", say("rep_liking.through.less", gap=gap, interval=interval))
    return Finding("A6", say("rep_liking.through.more", gap=gap, interval=interval))


def carried_over(panel: Panel) -> Estimates:
    """What a month's liking and results owe to those of the month before (linear, per SD, by
    client).
    """
    scaled = {name: in_deviations(getattr(panel, name)) for name in BOTH}
    columns = [grid[:, :-1].ravel() for grid in scaled.values()]
    before = np.stack(columns, axis=1)
    engagements = np.arange(len(panel.spells))
    months = panel.liking.shape[1] - 1
    who = np.repeat(engagements, months)
    estimates = []
    for name, grid in scaled.items():
        now = grid[:, 1:].ravel()
        lacking = np.isnan(before).any(axis=1)
        whole = ~np.isnan(now) & ~lacking
        if whole.sum() < BOOTSTRAP_FROM:
            continue
        clusters = {"groups": who[whole]}
        design_matrix = add_constant(before[whole])
        model = OLS(now[whole], design_matrix)
        fit = model.fit(cov_type="cluster", cov_kwds=clusters)
        clients = np.unique(who[whole])
        counts = (len(clients), 0)
        about = say(f"rep_liking.carried.now_{name}")
        limits = fit.conf_int()
        for k, earlier in enumerate(BOTH, 1):
            group = say(f"rep_liking.carried.before_{earlier}")
            values = (fit.params[k], *limits[k])
            estimate = Estimate.of("A6", about, group, values, "", counts)
            estimates.append(estimate)
    return Estimates(tuple(estimates), say("rep_liking.carried.caption"))


def liking_by_results(panel: Panel) -> pd.DataFrame:
    """Ends `left` and `expected` (tenure, term and size alike) and their `ratio`, by thirds of
    liking and of results, which are the index; empty where nothing can be expected.
    """
    try:
        rated = panel.rows.dropna(subset=list(BOTH))
        made = design(rated, ())
        fit = made.fit()
    except NotFittedError:
        return pd.DataFrame()
    expected = -np.expm1(-fit.expected)
    rows = made.rows.assign(expected=expected)
    groups = {name: _thirds(rows[name]) for name in BOTH}
    rows = rows.assign(**groups)
    cells_of = rows.groupby(list(BOTH), observed=False)
    sums = cells_of[["left", "expected"]].sum()
    over_expected = sums["left"] / sums["expected"]
    return sums.assign(ratio=over_expected)


def thirds_table(panel: Panel) -> pd.DataFrame:
    """The same as readers see it: thirds of liking in rows, of results in columns."""
    sums = liking_by_results(panel)
    if sums.empty:
        return sums
    cells = {at: _cell(row["ratio"], row["left"]) for at, row in sums.iterrows()}
    nobody = Shown(say("rep_liking.thirds.none"), math.nan)
    table: dict[str, list[str]] = {}
    table["liking_of_the_rep"] = [say(f"rep_liking.thirds.{third}") for third in THIRDS]
    for results in THIRDS:
        column = [cells.get((liking, results), nobody) for liking in THIRDS]
        table[f"{results}_results"] = column
    return pd.DataFrame(table)


def grid(panel: Panel) -> pd.DataFrame:
    """The same for a picture, liking from high to low: `row, column, beyond` (ends over expected,
    less one), `value` (the same, at most 1), `text, left, expected`; cells with nobody left out.
    """
    columns = ["row", "column", "liking", "results", "beyond", "value", "text", "left", "expected"]
    sums = liking_by_results(panel)
    rows = []
    for (liking, results), cell in sums.iterrows():
        beyond = cell["ratio"] - 1
        if math.isfinite(beyond):
            about = {"liking": liking, "results": results, "beyond": beyond}
            about["row"] = say(f"rep_liking.thirds.grid_{liking}")
            about["column"] = say(f"rep_liking.thirds.grid_{results}")
            about["text"] = signed_share(beyond)
            rows.append(about | {"value": beyond, "left": cell["left"], **cell[["expected"]]})
    frame = pd.DataFrame(rows, columns=columns)
    order = {third: number for number, third in enumerate(THIRDS)}
    down, across = -frame["liking"].map(order), frame["results"].map(order)
    placed = frame.assign(down=down, across=across)
    return placed.sort_values(["down", "across"])[columns]


def grid_words(frame: pd.DataFrame) -> Said:
    """The picture in words."""
    if frame.empty:
        return say("rep_liking.thirds.grid_none")
    points = [
        say("rep_liking.thirds.grid_point", row=row.row, column=row.column, beyond=row.text)
        for row in frame.itertuples()
    ]
    return say("rep_liking.thirds.grid_alt", points="; ".join(points))


def _cell(ratio: float, left: float) -> str:
    if math.isnan(ratio):
        return Shown(say("rep_liking.thirds.none"), math.nan)
    return Shown(say("rep_liking.thirds.cell", ratio=ratio, left=left), ratio)


def _thirds(values: pd.Series) -> pd.Series:
    """The third of each value; values that tie stay together, so thirds of whole-number ratings
    differ in size.
    """
    thirds = [1 / 3, 2 / 3]
    edges = values.quantile(thirds).to_numpy()
    place = np.searchsorted(edges, values, side="left")
    names = np.array(THIRDS)[place]
    return pd.Series(names, values.index)


def interaction(panel: Panel) -> Estimates:
    """Whether results matter less where the rep is liked less: ratio of the two effects per SD of
    both.
    """
    rows = panel.rows.dropna(subset=list(BOTH))
    middle = rows[list(BOTH)].mean()
    deviations = rows[list(BOTH)] - middle
    scaled = deviations / rows[list(BOTH)].std()
    product = scaled["liking"] * scaled["results"]
    rows = rows.assign(product=product)
    name = say("rep_liking.interaction.product")
    contrast = lagged_contrast(rows, BOTH, {"product": 1.0}, name, plain=("product",))
    caption = say("rep_liking.interaction.caption")
    if not math.isfinite(contrast.theta):
        return Estimates((), caption)
    return Estimates(
        (contrast.estimate("A6", name, say("rep_liking.interaction.per_sd")),), caption
    )
