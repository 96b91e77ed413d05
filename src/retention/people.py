"""Sellers and what they promise (A7, A8): whose clients leave early, and is it more than luck?

Expected ends come from clients of the same term, size and month of service who were signed by others, so that nobody
is measured against itself. Source: METHODS 5, expectation gap.
"""

import math

import numpy as np
import pandas as pd
from scipy import stats

from retention.contract_term import MIN_AT_RISK
from retention.curves import after, follow_up, kaplan_meier, known_through
from retention.exits import month_rows
from retention.funnel import funnel, median_rate_ratio
from retention.hazards import NotFittedError, band_exposure, fit_hazard, varying
from retention.lagged import Panel, lagged_contrast, lagged_rows
from retention.liking import NEEDS
from retention.results import Contrast, Finding
from retention.spells import AGENCY, CLIENT

EARLY = 6  # months: study row A7
MIN_SELLERS, MIN_EARLY = 8, 15  # METHODS 1: sellers with so many expected early ends each
MANY = 40  # (ours) people from which expected ends without each are told by one step and not by a fit each
MIN_GAPS = 5  # (ours) clients from which a mean gap is shown


def expected_ends(
    spells: pd.DataFrame,
    by: str,
    *,
    early: bool = True,
    unknown: str = CLIENT,
    size: bool = True,
    by_others: bool = True,
) -> pd.DataFrame:
    """Ends by choice in the first six months of service (or after them), observed and expected, by a column of people.

    Index: the people; columns `observed`, `expected`, `clients`. Expected from all others' clients alike in month of
    service, term, whether the term comes due, and size; or from all clients, its own included, unless `by_others`.
    Empty where no such model can be fitted.
    """
    known = spells[spells[by].notna()] if by in spells else spells.head(0)
    stop = known["stop_months"]
    if early:
        known = known.assign(ended=known["ended"] & (stop <= EARLY), stop_months=stop.clip(upper=EARLY))
    else:
        known = known.assign(entry_months=known["entry_months"].clip(lower=EARLY))
    return ends_over_expected(month_rows(known, unknown=unknown), by, size=size, by_others=by_others)


def ends_over_expected(rows: pd.DataFrame, by: str, *, size: bool = True, by_others: bool = True) -> pd.DataFrame:
    """Ends observed and expected by a column of people, from rows of a month each: see `expected_ends`."""
    if not rows["left"].sum():
        return pd.DataFrame(columns=["observed", "expected", "clients"])
    terms = rows["contract_term_months"].astype(int)
    due = (rows["to_month"] % terms == 0).to_numpy()
    rows = rows.assign(freedom=np.where(terms == 1, "monthly", np.where(due, "due", "locked")))
    everybody = np.ones(len(rows), dtype=bool)
    if by_others and rows[by].nunique() <= MANY:
        hazard = np.zeros(len(rows))
        for who in rows[by].unique():
            own = (rows[by] == who).to_numpy()
            hazard[own] = _hazard(rows, ~own, size)[own]
    else:
        hazard = _hazard(rows, everybody, size, rows[by] if by_others else None)
    told = rows[[by, "left", "client_id"]].assign(expected=-np.expm1(-hazard)).groupby(by)
    table = told.agg(observed=("left", "sum"), clients=("client_id", "nunique"))
    table.insert(1, "expected", told["expected"].agg(lambda ends: ends.sum(skipna=False)))
    table = table.rename_axis(None)
    return table[table["expected"] > 0]  # of whom nothing was expected, nothing can be said


def _hazard(rows: pd.DataFrame, among: np.ndarray, size: bool, people: pd.Series | None = None) -> np.ndarray:
    """The cumulative hazard of every row, as the rows `among` tell it, shape (n,); NaN where they cannot.

    Where none of those left (most often: while locked) it is nought. With `people` each row is told by the clients of
    everybody but its own person, one step from the estimate: as good as a fit each where they are many.
    """
    alive = rows["freedom"].isin(rows.loc[among & (rows["left"] == 1), "freedom"]).to_numpy()
    kinds = [kind for kind in ("due", "locked") if (rows["freedom"][alive] == kind).any()]
    X = pd.DataFrame({kind: (rows["freedom"] == kind).astype(float) for kind in kinds}, index=rows.index)
    if size:
        X["size"] = np.log(rows["monthly_ad_spend"].clip(lower=1))
    E = band_exposure(rows["from_month"], rows["to_month"], rows["left"])
    y, fitted = rows["left"].to_numpy(), among & alive
    X = X[varying(X[fitted]).columns]
    try:
        fit = fit_hazard(y[fitted], X[fitted], E[fitted], rows.loc[fitted, "client_id"])
    except NotFittedError:
        return np.full(len(rows), np.nan)
    theta = fit.theta[None, :]
    if people is not None:
        codes = pd.factorize(people)[0]
        first, code = np.unique(codes[fitted], return_inverse=True)
        theta = np.tile(fit.theta, (codes.max() + 1, 1))
        theta[first] = fit.without_each(code)
        theta = theta[codes]
    return np.where(alive, fit.expected_for(X.to_numpy(float), E, theta), 0.0)


def seller_spread(
    spells: pd.DataFrame, *, unknown: str = CLIENT, size: bool = True, name: str = "as planned"
) -> Contrast:
    """Log median rate ratio between sellers' early leaving, from observed over expected ends (A7)."""
    # From all clients: with each measured by the others, one who differs would push all the rest the other way.
    ends = expected_ends(spells, "seller_id", unknown=unknown, size=size, by_others=False)
    enough = int((ends["expected"] >= MIN_EARLY).sum())
    most = ends["expected"].astype(float).nlargest(MIN_SELLERS).clip(upper=MIN_EARLY).sum()
    others = f", and {MIN_SELLERS - len(ends)} more to compare" if len(ends) < MIN_SELLERS else ""
    few = (
        f"{enough or 'No'} seller{' has' if enough < 2 else 's have'} {MIN_EARLY} or more expected early ends. To tell "
        f"differences between sellers from luck at least {MIN_SELLERS} such sellers are needed: about "
        f"{MIN_SELLERS * MIN_EARLY - most:.0f} more early ends{others}."
    )
    counts = {"the sellers' clients": int(ends["observed"].sum())}
    if len(ends) < 2:
        return Contrast(name, math.nan, math.nan, int(ends["clients"].sum()), counts, (few,))
    theta, se, interval = median_rate_ratio(ends["observed"], ends["expected"])
    lacking = () if enough >= MIN_SELLERS else (few,)
    return Contrast(name, theta, se, int(ends["clients"].sum()), counts, lacking, (), interval)


def seller_sensitivities(spells: pd.DataFrame) -> list[Contrast]:
    """The pre-listed other ways to compute the spread between sellers (plan.toml, A7)."""
    return [
        seller_spread(spells, unknown=AGENCY, name="unknown choice counts as the agency's"),
        seller_spread(spells, size=False, name="contracts alike alone, not size"),
    ]


def sellers(spells: pd.DataFrame) -> pd.DataFrame:
    """Each seller's funnel row (early ends), with deals a month, later ends over expected, and the share gone early.

    Deals a month run from the first to the last signing on record; the share gone by month six is Kaplan-Meier's,
    whatever ended it, so that clients signed lately do not count as kept.
    """
    early = expected_ends(spells, "seller_id")
    if early.empty:
        return early
    table = funnel(early["observed"], early["expected"])
    late = expected_ends(spells, "seller_id", early=False)
    table["later"] = (late["observed"] / late["expected"]).where(late["expected"] >= 5)
    signed = spells[spells["entry_months"] == 0].groupby("seller_id")["start_date"].agg(["size", "min", "max"])
    months = (signed["max"] - signed["min"]).dt.days / 30.4375
    table["signed"], table["deals"] = signed["size"], (signed["size"] / months.clip(lower=1)).round(2)
    outcome = follow_up(spells)
    parts = {who: outcome.where((spells["seller_id"] == who).fillna(False).to_numpy()) for who in table.index}
    known = {who: part for who, part in parts.items() if known_through(part, MIN_AT_RISK) >= EARLY}
    gone = {who: 1 - after(kaplan_meier(part), EARLY)["survival"] for who, part in known.items()}
    table["gone"] = pd.Series(gone, dtype=float)  # not known of those whose clients all signed lately
    return table


def seller_list(table: pd.DataFrame) -> pd.DataFrame:
    """The sellers' table as readers see it; whoever has too few expected ends is not ranked."""
    if table.empty:
        return pd.DataFrame()
    readings = ["too few to say", "beyond what luck does", "worth a look"]
    told = np.select([table["few"], table["beyond"], table["unusual"]], readings, "within what luck does")
    return pd.DataFrame(
        {
            "Seller": table.index,
            "Clients signed": table["signed"],
            "Deals a month": table["deals"],
            "Gone by month six": table["gone"],
            "Left early": table["observed"],
            "Expected": table["expected"],
            "Over expected": table["ratio"],
            "Interval": [f"{low:.2f} to {high:.2f}" for low, high in zip(table["low"], table["high"], strict=True)],
            "Allowing for luck": table["shrunk"],
            "Later, over expected": table["later"],
            "Reading": told,
        }
    )


def seller_words(table: pd.DataFrame) -> Finding:
    """The sellers in a sentence: how many differ by more than luck, and what that rests on."""
    if table.empty:
        return Finding("A7", "Too few clients of known sellers have left to compare the sellers.")
    beyond, look = table[table["beyond"]], table[table["unusual"] & ~table["beyond"]]
    names = ", ".join(f"{who} ({row.ratio:.1f} times as many as expected)" for who, row in beyond.iterrows())
    ranked = int((~table["few"]).sum())
    told = f"The early ends of {names} lie beyond what luck does." if names else "Nobody's lie beyond what luck does."
    if len(look):
        told += f" Worth a look: {', '.join(look.index)}; of so many alike, luck alone puts {ranked / 20:.1f} there."
    return Finding("A7", f"Of {len(table)} sellers {ranked} can be compared, for their clients are enough. {told}")


def missing_sellers(spells: pd.DataFrame) -> list[str]:
    """What the comparison of sellers lacks."""
    known = "seller_id" in spells and spells["seller_id"].notna().any()
    return [] if known else ["who signed the client (column seller_id)"]


def missing_promises(panel: Panel) -> list[str]:
    """What the comparison of promises and results lacks."""
    promised = "what was promised at signing, in the unit of the result (column promised_result)"
    return [promised, NEEDS["results"]] if np.isnan(panel.gap).all() else []


def gap_ratio(
    panel: Panel, *, lag: int = 0, unknown: str = CLIENT, held: bool = False, name: str = "as planned"
) -> Contrast:
    """Log ratio of leaving per standard deviation more promised than delivered, lagged like liking (A8).

    `held` holds the results themselves fixed: then only the promise differs.
    """
    rows = lagged_rows(panel, lag=lag, unknown=unknown).drop(columns="silent")  # whoever was asked, and answered or not
    return lagged_contrast(rows, ("gap", "delivered") if held else ("gap",), {"gap": 1.0}, name)


def gap_sensitivities(panel: Panel) -> list[Contrast]:
    """The pre-listed other ways to compute the effect of the gap (plan.toml, A8)."""
    return [
        gap_ratio(panel, lag=panel.lag + 1, name="a month earlier"),
        gap_ratio(panel, held=True, name="results held fixed"),
        gap_ratio(panel, unknown=AGENCY, name="unknown choice counts as the agency's"),
    ]


def promised_and_delivered(panel: Panel, by: str) -> pd.DataFrame:
    """Mean result promised over the one delivered in the first six months of service, by seller_id or rep_id.

    A client counts once, with the mean of its months. In percent: 10 means that a tenth more was promised. With the
    interval of a mean (t); people with fewer than five such clients are left out.
    """
    spells, grid = panel.spells, panel.gap[:, :EARLY]
    if by not in spells or np.isnan(grid).all():
        return pd.DataFrame()
    mean = pd.DataFrame(grid).mean(axis=1)
    rows = []
    for who, part in mean.groupby(spells[by]):
        values = part.dropna()
        if len(values) >= MIN_GAPS:
            half = stats.t.ppf(0.975, len(values) - 1) * values.std() / math.sqrt(len(values))
            low, middle, high = (100 * math.expm1(values.mean() + k * half) for k in (-1, 0, 1))
            rows.append((who, len(values), round(middle) + 0.0, f"{low + 0:.0f}% to {high + 0:.0f}%"))
    table = pd.DataFrame(rows, columns=["Who", "Clients", "Promised above delivered, %", "Interval"])
    return table.sort_values("Promised above delivered, %", ascending=False, ignore_index=True)


def expected_range(table: pd.DataFrame) -> np.ndarray:
    """Expected ends from 1 to a little above the largest, for the limits of the funnel."""
    return np.linspace(1, 1.1 * float(table["expected"].max()) + 1 if len(table) else 10, 100)


def funnel_words(table: pd.DataFrame, what: str = "Early ends", whom: str = "seller") -> str:
    """The funnel in words, for those who cannot see it."""
    told = [f"{who} {row.ratio:.2f} of {row.expected:.0f} expected" for who, row in table.iterrows()]
    return f"{what} over those expected, by {whom}: {'; '.join(told) or 'too few to say'}."
