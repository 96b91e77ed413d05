"""What a client thought and got some months before it could leave: ratings and results beside each
opportunity.

Two kinds of rows, because the wish of a locked client can be months old when it may act on it
(METHODS 4): the months in which a client was free to leave from the rating on, and whole fixed
terms, with what was known as they began.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from retention.history.in_charge import reps_by_month
from retention.history.opportunities import EVENTS_A_PARAMETER, exit_rows, levels
from retention.history.spells import CLIENT, DAY, UNKNOWN, started_months, whole_months
from retention.results import Contrast
from retention.settings import NOTICE_DAYS, ResultsSettings
from retention.stats.hazards import Fit, NotFittedError, band_exposure, fit_hazard
from retention.words import say

LAG = 2  # months from the rating to the decision, at least the notice and one more: METHODS 4
REACH = 6  # months for which a rating is carried forward
WINDOW = 3  # months of results that go with a rating
MONTHLY_WITHIN = 45  # days: invitations further apart than this are not monthly
TERM_RATINGS = 3  # months up to the decision to renew from which a term's rating may come
TAILS = (0.01, 0.99)  # quantiles beyond which a result is drawn in
NOBODY_ASKED = pd.DataFrame(
    {"client_id": pd.Series(dtype=object), "invited_on": pd.NaT, "answered_on": pd.NaT}
)


@dataclass(frozen=True)
class Panel:
    """Ratings and results by engagement (row, as in `spells`) and month of service (column), shape
    (n, months).

    `liking` and `nps` are the last answer of the month, `results` the account against its target
    (higher is better), `gap` the result promised at signing over the one delivered, both NaN where
    unknown; `rep` is the rep in charge, "" where nobody was. `asked` counts invitations, `answered`
    those with a rating; `window` is how many months of results go with one.
    """

    spells: pd.DataFrame
    liking: np.ndarray
    nps: np.ndarray
    results: np.ndarray
    gap: np.ndarray
    rep: np.ndarray
    asked: int = 0
    answered: int = 0
    window: int = WINDOW
    notice: int = 1  # months
    contracts: pd.DataFrame | None = field(default=None, repr=False)

    @property
    def response(self) -> float:
        """Share of invitations that were answered with a rating of the rep."""
        return self.answered / self.asked if self.asked else 0.0

    @property
    def lag(self) -> int:
        """Months from what is known to the decision: two, or the notice and one more. Source:
        METHODS 4.
        """
        return max(LAG, self.notice + 1)

    @cached_property
    def rows(self) -> pd.DataFrame:
        """The opportunities to leave as planned: `lagged_rows`."""
        return lagged_rows(self)


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
    who = columns.assign(row=np.arange(len(spells)))
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


def lagged_rows(
    panel: Panel,
    *,
    lag: int = 0,
    window: int | None = None,
    unknown: str = CLIENT,
    rating: str = "liking",
) -> pd.DataFrame:
    """A row an opportunity to leave, with what was known `lag` months before a free month, or
    before a term began.

    The columns of `exit_rows`, and `free` (a month of a client free to leave since the rating), the
    last `rating` (liking or nps), `results` (mean of the `window` months that end with it), `rep`,
    `given` (the rating's month of service), `silent` (months that it was carried); and `gap` and
    `delivered`, means of the three months that end with the lag, rating or none. Free months count
    at the month of decision, terms at their end. NaN where nothing was known. Source: METHODS 4.

    The rating of a term comes from before the notice that the client could have given of the term
    before, not from the term's first month: by then some wish to leave already and rate
    accordingly, and among equals liking would win (by .17 against .03 in 30 made-up agencies where
    both matter alike). A first term has only its first month.
    """
    ratings = getattr(panel, rating)
    span = window or panel.window
    rows = _opportunities(panel, unknown)
    at = rows["row"].to_numpy()
    months = lag or panel.lag
    newest, reach = _looked_at(rows, panel, months)
    known = ~np.isnan(ratings)
    age = _age(known, at, newest, reach)
    found = ~np.isnan(age)
    months_old = np.nan_to_num(age)
    given = newest - months_old.astype(int)
    latest = np.clip(newest - 1, 0, None)
    month_given = np.clip(given - 1, 0, None)
    last = np.where(found, month_given, latest)
    answers = ratings[at, last]
    about = {
        rating: np.where(found, answers, np.nan),
        "results": _mean(panel.results, at, last, span),
        "gap": _mean(panel.gap, at, latest, window or WINDOW),
        "delivered": _mean(panel.results, at, latest, window or WINDOW),
        "rep": panel.rep[at, last],
        "silent": age,
        "given": given,
    }
    possible = rows.assign(**about)[newest >= 1]
    return possible.reset_index(drop=True)


def _opportunities(panel: Panel, unknown: str) -> pd.DataFrame:
    """The opportunities to leave, free months by the day of decision, each with the `row` of its
    engagement in the panel.
    """
    key = ["client_id", "engagement"]
    rows = exit_rows(panel.spells, panel.contracts, unknown=unknown)
    engagements = panel.spells[key]
    places = pd.MultiIndex.from_frame(engagements)
    own = pd.MultiIndex.from_frame(rows[key])
    rows["row"] = places.get_indexer(own)
    length = rows["to_month"] - rows["from_month"]
    rows["free"] = length == 1
    return _at_decision(rows, panel.spells, unknown)


def _looked_at(rows: pd.DataFrame, panel: Panel, lag: int) -> tuple[np.ndarray, np.ndarray]:
    """The newest month of service from which a rating may come, and how many months it reaches
    back; each of shape (n,).

    A rating may come from the window alone, and in free months only from those since which the
    client was free.
    """
    at = rows["row"].to_numpy()
    month = rows["to_month"].to_numpy()
    free = rows["free"].to_numpy()
    notice = rows["from_month"] - panel.notice
    renewed = np.maximum(notice, 1)
    months = np.where(free, month - lag, renewed)
    newest = months.astype(int)
    run = _free_run(rows, panel.liking.shape)
    since = run[at, month - 1] - lag
    carried = np.minimum(REACH, since)
    return newest, np.where(free, carried, TERM_RATINGS)


def _at_decision(rows: pd.DataFrame, spells: pd.DataFrame, unknown: str) -> pd.DataFrame:
    """Free months by the day of decision: an end counts when notice was received, and no month
    after it.

    Who gave notice while still locked, and left in a later month that was free, counts in the first
    free one. Who had given notice before it could be watched has no free month.
    """
    place = rows["row"]
    free = rows["free"]
    month = rows["to_month"]
    after = spells["decision_date"] + DAY
    made = started_months(spells["start_date"], after)
    known = made.where(made <= spells["observed_months"])
    decided = known.to_numpy(float)[place]
    entered = spells["entry_months"].to_numpy()
    watched = ~(decided <= entered[place])
    counts = month.where(free & (month >= decided))
    first = counts.groupby(place).transform("min")
    kinds = spells["end_kind"].replace(UNKNOWN, unknown)
    kind = kinds.to_numpy()[place]
    by_choice = kind == CLIENT
    at = month == first
    another_end = at & ~by_choice
    first_watched = watched & ~(month > first)
    kept = ~free | first_watched & ~another_end
    gone = np.where(free, at & by_choice, rows["left"])
    left = gone.astype(int)
    with_left = rows.assign(left=left)
    return with_left[kept].reset_index(drop=True)


def _free_run(rows: pd.DataFrame, shape: tuple[int, int]) -> np.ndarray:
    """For each engagement and month, how many months in a row it had been free to leave by then."""
    free = np.zeros(shape, dtype=int)
    chosen = rows[rows["free"]]
    free[chosen["row"], chosen["to_month"].astype(int) - 1] = 1
    for month in range(1, shape[1]):
        before = free[:, month - 1]
        free[:, month] *= before + 1
    return free


def _age(known: np.ndarray, at: np.ndarray, newest: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """Months from the last month with an answer to `newest`, within `reach` months; NaN where there
    is none.
    """
    longest = known.shape[1] + 1
    months = np.arange(1, longest)
    answered = np.fmax.accumulate(np.where(known, months, np.nan), axis=1)
    latest = np.clip(newest - 1, 0, None)
    age = newest - answered[at, latest]
    within = (newest >= 1) & (age < reach)
    return np.where(within, age, np.nan)


def _mean(grid: np.ndarray, at: np.ndarray, last: np.ndarray, span: int) -> np.ndarray:
    """The mean of the known values in the `span` columns that end with `last`; NaN where none is
    known.
    """
    columns = last[:, None] - np.arange(span)
    clipped = np.clip(columns, 0, None)
    there = grid[at[:, None], clipped]
    values = np.where(columns >= 0, there, np.nan)
    known = ~np.isnan(values)
    number = known.sum(axis=1)
    total = np.nansum(values, axis=1)
    unknown = np.full(len(at), np.nan)
    return np.divide(total, number, out=unknown, where=number > 0)


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


def wider(
    fit: Fit, parts: Mapping[str, float], used: pd.DataFrame, level: float = 0.95
) -> tuple[float, float]:
    """A weighted sum of coefficients, and the standard error that gives an interval of this level
    its width.

    The interval is Student's, as clients or, from six reps on, reps are left out one after the
    other: the wider (METHODS 6). `used` are the rows of the fit, with `rep` (in charge) and `left`.
    """
    theta = sum(weight * fit.coefficient(name) for name, weight in parts.items())
    tail = (1 + level) / 2
    ends = used["left"].sum()
    by_client = fit.by_client(parts, [ends])
    reps = used["rep"].to_numpy(object)
    by_rep = fit.by_rep(parts, reps)
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
    level: float = 0.95,
) -> list[Contrast]:
    """Weighted sums of effects of one regression, to be judged.

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
        theta, se = wider(fit, parts, made.rows, level)
        contrast = Contrast(name, theta, se, clients, counts, tuple(lacking))
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
