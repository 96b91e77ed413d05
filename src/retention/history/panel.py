"""What a client thought and got some months before it could leave: ratings and results beside each
opportunity.

Two kinds of rows, because the wish of a locked client can be months old when it may act on it
(METHODS 4): the months in which a client was free to leave from the rating on, and whole fixed
terms, with what was known as they began.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from retention.history.opportunities import exit_rows
from retention.history.spells import CLIENT, DAY, UNKNOWN, started_months

LAG = 2  # months from the rating to the decision, at least the notice and one more: METHODS 4
REACH = 6  # months for which a rating is carried forward
WINDOW = 3  # months of results that go with a rating
TERM_RATINGS = 3  # months up to the decision to renew from which a term's rating may come


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
    month_answered = np.where(known, months, np.nan)
    answered = np.fmax.accumulate(month_answered, axis=1)
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
