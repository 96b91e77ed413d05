"""Ends by choice, observed and expected from clients alike, by the people in charge (METHODS 5)."""

import numpy as np
import pandas as pd

from retention.history.opportunities import month_rows
from retention.history.spells import CLIENT
from retention.stats.bands import band_exposure
from retention.stats.hazards import NotFittedError, fit_hazard, varying

EARLY = 6  # months: STUDY A7
# (ours) people from which expected ends without each come from one step and not from a fit each
MANY = 40


def expected_ends(
    spells: pd.DataFrame,
    by: str,
    *,
    early: bool = True,
    unknown: str = CLIENT,
    size: bool = True,
    by_others: bool = True,
) -> pd.DataFrame:
    """Ends by choice in the first six months of service (or after them), observed and expected, by
    a column of people.

    Index: the people; columns `observed`, `expected`, `clients`. Expected from all others' clients
    alike in month of service, term, whether the term comes due, and size; or from all clients, its
    own included, unless `by_others`. Empty where no such model can be fitted.
    """
    known = spells[spells[by].notna()] if by in spells else spells.head(0)
    stop = known["stop_months"]
    if early:
        known = known.assign(
            ended=known["ended"] & (stop <= EARLY), stop_months=stop.clip(upper=EARLY)
        )
    else:
        entry = known["entry_months"].clip(lower=EARLY)
        known = known.assign(entry_months=entry)
    return ends_over_expected(
        month_rows(known, unknown=unknown), by, size=size, by_others=by_others
    )


def ends_over_expected(
    rows: pd.DataFrame, by: str, *, size: bool = True, by_others: bool = True
) -> pd.DataFrame:
    """Ends observed and expected by a column of people, from rows of a month each: see
    `expected_ends`.
    """
    if not rows["left"].sum():
        columns = ["observed", "expected", "clients"]
        return pd.DataFrame(columns=columns)
    terms = rows["contract_term_months"].astype(int)
    on_due = rows["to_month"] % terms == 0
    due = on_due.to_numpy()
    locked = np.where(due, "due", "locked")
    freedom = np.where(terms == 1, "monthly", locked)
    rows = rows.assign(freedom=freedom)
    everybody = np.ones(len(rows), dtype=bool)
    if by_others and rows[by].nunique() <= MANY:
        hazard = np.zeros(len(rows))
        for who in rows[by].unique():
            own = (rows[by] == who).to_numpy()
            of_others = _hazard(rows, ~own, size)
            hazard[own] = of_others[own]
    else:
        hazard = _hazard(rows, everybody, size, rows[by] if by_others else None)
    ends = rows[[by, "left", "client_id"]].assign(expected=-np.expm1(-hazard))
    by_person = ends.groupby(by)
    table = by_person.agg(observed=("left", "sum"), clients=("client_id", "nunique"))
    expected = by_person["expected"].agg(lambda values: values.sum(skipna=False))
    table.insert(1, "expected", expected)
    table = table.rename_axis(None)
    return table[table["expected"] > 0]  # of whom nothing was expected, nothing can be said


def _hazard(
    rows: pd.DataFrame, among: np.ndarray, size: bool, people: pd.Series | None = None
) -> np.ndarray:
    """The cumulative hazard of every row as fitted on the rows `among`, shape (n,); NaN where no
    fit can be made.

    It is 0 where none of those left (most often: while locked). With `people` each row is expected
    from the clients of everybody but its own person, one step from the estimate: as good as a fit
    each where they are many.
    """
    gone = rows["left"] == 1
    free_to_go = rows.loc[among & gone, "freedom"]
    alive = rows["freedom"].isin(free_to_go).to_numpy()
    kinds = [kind for kind in ("due", "locked") if (rows["freedom"][alive] == kind).any()]
    X = pd.DataFrame(
        {kind: (rows["freedom"] == kind).astype(float) for kind in kinds}, index=rows.index
    )
    if size:
        spend = rows["monthly_ad_spend"].clip(lower=1)
        X["size"] = np.log(spend)
    E = band_exposure(rows["from_month"], rows["to_month"], rows["left"])
    y = rows["left"].to_numpy()
    fitted = among & alive
    X = X[varying(X[fitted]).columns]
    try:
        clients = rows.loc[fitted, "client_id"]
        fit = fit_hazard(y[fitted], X[fitted], E[fitted], clients)
    except NotFittedError:
        return np.full(len(rows), np.nan)
    theta = fit.theta[None, :]
    if people is not None:
        codes = pd.factorize(people)[0]
        first, code = np.unique(codes[fitted], return_inverse=True)
        people_count = codes.max() + 1
        theta = np.tile(fit.theta, (people_count, 1))
        theta[first] = fit.without_each(code)
        theta = theta[codes]
    return np.where(alive, fit.expected_for(X.to_numpy(float), E, theta), 0.0)
