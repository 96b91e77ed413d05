"""Ratings and results by engagement and month of service."""

import math

import numpy as np
import pandas as pd

from retention.history.in_charge import reps_by_month
from retention.history.panel import WINDOW, Panel
from retention.history.spells import whole_months
from retention.settings import NOTICE_DAYS, ResultsSettings

MONTHLY_WITHIN = 45  # days: invitations further apart than this are not monthly
TAILS = (0.01, 0.99)  # quantiles beyond which a result is drawn in
NOBODY_ASKED = pd.DataFrame(
    {"client_id": pd.Series(dtype=object), "invited_on": pd.NaT, "answered_on": pd.NaT}
)


def build_panel(
    spells: pd.DataFrame,
    surveys: pd.DataFrame | None,
    results: pd.DataFrame | None,
    settings: ResultsSettings,
    *,
    assignments: pd.DataFrame | None = None,
    contracts: pd.DataFrame | None = None,
    staff: pd.DataFrame | None = None,
    cutoff: pd.Timestamp | None = None,
    notice_days: int = NOTICE_DAYS,
) -> Panel:
    """The panel of these engagements. `settings` names the metric that counts as results, and
    which way is better.

    A rating belongs to the month of service in which it was given, a result to the one that began
    in its month. The rep of a month is the one in charge on its last day (`in_charge`), or on the
    cut-off where that comes first.
    """
    months = int(spells["observed_months"].max()) + 1
    blank = np.full((len(spells), months), np.nan)
    asked = NOBODY_ASKED if surveys is None else surveys
    answered = asked[asked["answered_on"].notna()]
    answers = answered.sort_values("answered_on", kind="stable")
    grids = dict.fromkeys(("liking", "nps", "results", "gap"), blank)
    for name, column in (("liking", "rep_liking"), ("nps", "nps")):
        if column in answers:
            grids[name] = placed(blank, spells, answers, "answered_on", answers[column])
    if results is not None and settings.primary:
        rows = results[results["metric"] == settings.primary]
        grids["results"] = result_grid(blank, spells, rows, settings)
        grids["gap"] = _gap(blank, spells, rows, settings)
    rated = answers["rep_liking"].notna().sum() if "rep_liking" in answers else 0
    months_long = blank.shape[1]
    return Panel(
        spells.reset_index(drop=True),
        **grids,
        rep=reps_by_month(spells, months_long, assignments, staff, cutoff),
        asked=len(asked),
        answered=int(rated),
        notice=math.ceil(notice_days / 31),
        window=_taken_together(asked),
        contracts=contracts,
    )


def _taken_together(asked: pd.DataFrame) -> int:
    """How many months of ratings are taken together: one unless clients are asked every month."""
    # of several people asked in one month the client counts once
    month = asked["invited_on"].dt.to_period("M")
    pairs = {"client": asked["client_id"], "month": month}
    again = pd.DataFrame(pairs).duplicated()
    once = asked[~again].sort_values("invited_on")
    by_client = once.groupby("client_id")["invited_on"]
    gaps = by_client.diff().dt.days
    known = gaps.dropna()
    return WINDOW if len(known) and known.median() <= MONTHLY_WITHIN else 1


def result_grid(
    blank: np.ndarray, spells: pd.DataFrame, rows: pd.DataFrame, settings: ResultsSettings
) -> np.ndarray:
    """The results of one metric on the grid, each against its target."""
    index = against_target(rows, settings)
    return placed(blank, spells, rows, "month", index)


def _gap(
    blank: np.ndarray, spells: pd.DataFrame, rows: pd.DataFrame, settings: ResultsSettings
) -> np.ndarray:
    """Log of the result promised at signing over the one of each month, better being higher;
    outermost drawn in.
    """
    if "promised_result" not in spells:
        return blank
    promised = spells["promised_result"].astype(float)
    possible = promised.where(promised > 0)
    wanted = np.log(possible).to_numpy()
    logs = _logs(rows["value"])
    value = placed(blank, spells, rows, "month", logs)
    difference = wanted[:, None] - value
    gap = settings.sign * difference
    known = gap[~np.isnan(gap)]
    return np.clip(gap, *np.quantile(known, TAILS)) if known.size else gap


def against_target(rows: pd.DataFrame, settings: ResultsSettings) -> pd.Series:
    """Log of the result over its target, better being higher; a client without targets: over its
    own first months.

    Those first months then have no value of their own: each would be held against months that were
    still to come. The outermost hundredth on either side is drawn in, for one odd month would
    outweigh the rest. METHODS 4.
    """
    client = rows["client_id"]
    value = _logs(rows["value"])
    target = pd.Series(np.nan, rows.index)
    if "target" in rows:
        above_zero = rows["target"].where(rows["target"] > 0)
        target = np.log(above_zero.astype(float))
    logged = rows.assign(value=value)
    in_order = logged.sort_values("month", kind="stable")
    started = in_order.groupby("client_id").head(WINDOW)
    by_client = started.groupby("client_id")
    first = by_client["value"].mean()
    own = client.map(first).astype(float)
    own[started.index] = np.nan
    by_client_known = target.groupby(client)
    has_targets = by_client_known.transform("count") > 0
    target = target.where(has_targets, own)
    index = settings.sign * (value - target)
    if not index.notna().any():
        return index
    low, high = index.quantile(list(TAILS))
    return index.clip(low, high)


def _logs(values: pd.Series) -> pd.Series:
    """Logarithms of results; 0 counts as half of the smallest that is more, for it is the
    worst or the best.
    """
    values = values.astype(float)
    least = values[values > 0].min()
    filled = values.where(values != 0, least / 2)
    return np.log(filled.where(values >= 0))


def placed(
    blank: np.ndarray, spells: pd.DataFrame, rows: pd.DataFrame, day: str, values: pd.Series
) -> np.ndarray:
    """The values on the grid; of several in one month the last; those outside the engagement have
    no place.
    """
    columns = spells[["client_id", "start_date", "end_date"]]
    rows_numbered = np.arange(len(spells))
    who = columns.assign(row=rows_numbered)
    dated = {"client_id": rows["client_id"], "day": rows[day], "value": values}
    at = pd.DataFrame(dated).dropna()
    at = at.merge(who, on="client_id")
    start = at["start_date"]
    if day == "month":
        year = at["day"].dt.year
        years = year - start.dt.year
        month_of_day = at["day"].dt.month
        month = years * 12 + month_of_day - start.dt.month
    else:
        month = whole_months(start, at["day"])
    after = at["day"] > at["end_date"]
    in_time = month < blank.shape[1]
    inside = (month >= 0) & in_time & ~after
    grid = blank.copy()
    known = at["value"][inside]
    grid[at["row"][inside], month[inside]] = known.astype(float)
    return grid


def in_deviations(grid: np.ndarray) -> np.ndarray:
    """The grid in standard deviations from the mean of all that is known; a blank one stays
    blank.
    """
    known = grid[~np.isnan(grid)]
    if not known.size or not known.std() > 0:
        return np.full_like(grid, np.nan)
    from_mean = grid - known.mean()
    return from_mean / known.std()
