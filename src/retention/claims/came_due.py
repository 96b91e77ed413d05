"""Terms that came due (A1): how many clients left within them, and how many broke them.

A client of a fixed term can leave as it comes due: METHODS 2.
"""

import pandas as pd

from retention.claims.contract_term import ARMS, MONTHLY
from retention.history.in_charge import rep_in
from retention.results import Estimate, Estimates
from retention.stats.intervals import share_limits
from retention.words import say


def renewal_estimates(spells: pd.DataFrame, cycles: pd.DataFrame) -> Estimates:
    """Share who leave by choice within a term that came due, beside month-to-month clients over as
    many months.

    Wilson's interval, or by rep, the wider. Terms in which the agency or circumstances ended the
    relation are left out; a client who breaks a term counts in that term. Source: METHODS 2.
    """
    outcomes = ["stayed", "left at renewal", "left early"]
    own = cycles[cycles["outcome"].isin(outcomes)]
    own = _with_rep(own, spells)
    left = own["outcome"] != "stayed"
    monthly = own["term_months"] == 1
    rows = []
    months = int(monthly.sum())
    gone = int((left & monthly).sum())
    limits = share_limits(left[monthly], own.loc[monthly, "rep"]) if months else ()
    fixed_terms = own.loc[~monthly, "term_months"]
    for term in sorted(fixed_terms.unique()):
        part = own[own["term_months"] == term]
        name = say("contract_term.estimate.left_within_term", months=int(term))
        gone_of_term = left[part.index]
        rows.append(_share(name, part, gone_of_term))
        if months:
            values = [1 - (1 - p) ** term for p in (gone / months, *limits)]
            clients = own.loc[monthly, "client_id"]
            counts = (clients.nunique(), gone)
            estimate = Estimate.of("A1", name, ARMS[MONTHLY], values, "share", counts)
            rows.append(estimate)
    return Estimates(tuple(rows), say("contract_term.caption.renewals"))


def _with_rep(cycles: pd.DataFrame, spells: pd.DataFrame) -> pd.DataFrame:
    """The cycles with `rep`, who was in charge as each came due; "" for nobody, or where nobody
    knows.
    """
    if "reps" not in spells:
        return cycles.assign(rep="")
    about = spells[["client_id", "engagement", "reps"]]
    key = ["client_id", "engagement"]
    rows = cycles.merge(about, on=key, how="left")
    in_charge = rep_in(rows["reps"], rows["to_month"])
    return rows.assign(rep=in_charge).set_axis(cycles.index)


def _share(name: str, cycles: pd.DataFrame, counted: pd.Series) -> Estimate:
    """The share of the cycles of one term that is `counted`, with its interval, by rep where `rep`
    is known.
    """
    count = int(counted.sum())
    term = cycles["term_months"].iloc[0]
    group = say("contract_term.group.terms", months=int(term))
    limits = share_limits(counted, cycles.get("rep"))
    values = (count / len(cycles), *limits)
    counts = (cycles["client_id"].nunique(), count)
    return Estimate.of("A1", name, group, values, "share", counts)


def early_exit_estimates(cycles: pd.DataFrame) -> Estimates:
    """Share of fixed terms, begun under observation and come due, that the client broke before
    their end, by term.

    Terms already running when the records begin are left out: had they been broken before, nobody
    would know of them.
    """
    fixed_term = cycles["term_months"] > 1
    fixed = cycles[fixed_term & cycles["seen_whole"]]
    name = say("contract_term.estimate.broken")
    rows = [
        _share(name, part, part["outcome"] == "left early")
        for _, part in fixed.groupby("term_months")
    ]
    return Estimates(tuple(rows), say("contract_term.caption.broken"))


def renewal_months(spells: pd.DataFrame, last: int = 36) -> list[int]:
    """Months of service, up to `last`, in which a fixed term that somebody signed comes due."""
    terms_signed = spells["contract_term_months"].unique()
    terms = [int(term) for term in terms_signed if term > 1]
    months = {month for term in terms for month in range(term, last + 1, term)}
    return sorted(months)
