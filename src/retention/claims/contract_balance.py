"""Who signs month-to-month and who a fixed term: weights that make them alike, and how alike."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from retention.history.held import NOT_KNOWN, offered, size, thing
from retention.history.opportunities import levels, renewals_known
from retention.settings import Extra
from retention.words import say

SEEN_AT_SIGNING = ("source", "industry", "seller_id")
# Ids of blocks of what was known at signing, beside those named after a column.
OWN, YEAR_SIGNED, ALL_ALIKE = "own ", "year signed", "all alike"
WEAK_PENALTY = 100.0  # logistic regression: enough to stay finite where a group is all of one kind


def overlap_weights(
    spells: pd.DataFrame, extra: Mapping[str, Extra] | None = None
) -> tuple[np.ndarray, pd.DataFrame]:
    """A weight for each engagement, shape (n,), and the balance that the weights bring.

    The weight is the chance of the term *not* taken, by what was known at signing: it favours
    clients who could have signed either. The table: `about, before, after`, standardised
    differences of means; below .1 is balanced.
    """
    monthly = (spells["contract_term_months"] == 1).to_numpy()
    X = _at_signing(spells, extra or {})
    spread = X.std().replace(0, 1)
    X = (X - X.mean()) / spread
    model = LogisticRegression(C=WEAK_PENALTY, max_iter=1000)
    fitted = model.fit(X.to_numpy(), monthly)
    chances = fitted.predict_proba(X.to_numpy())
    chance = chances[:, 1]
    weights = np.where(monthly, 1 - chance, chance)
    alike = np.ones(len(X))
    before, after_it = (_difference(X, monthly, w) for w in (alike, weights))
    about = [_covariate(block, column) for block, column in X.columns]
    differences = {"about": about, "before": before, "after": after_it}
    return weights, pd.DataFrame(differences)


def _at_signing(spells: pd.DataFrame, extra: Mapping[str, Extra]) -> pd.DataFrame:
    """What was known at signing as numbers, a row an engagement; columns by the ids of block and
    column.
    """
    rows = spells.assign(
        left=spells["ended"].astype(int),
        from_month=spells["entry_months"],
        to_month=spells["stop_months"],
    )
    blocks = {"size": size(rows)}
    blocks |= {name: levels(rows, rows[name]) for name in SEEN_AT_SIGNING if name in rows}
    own_columns = offered(rows, extra)[0]
    blocks |= {f"{OWN}{name}": block for name, block in own_columns.items()}
    if renewals_known(spells):  # a start that was counted back says how long the client stayed
        quarters = rows["start_date"].dt.year * 4
        quarter = quarters + rows["start_date"].dt.quarter
        years = (quarter - quarter.mean()) / 4
        blocks[YEAR_SIGNED] = years.rename("linear").to_frame()
    blocks = {name: block for name, block in blocks.items() if block.shape[1]}
    if not blocks:
        blocks[ALL_ALIKE] = pd.DataFrame({"linear": 0.0}, index=rows.index)
    columns = pd.concat(blocks, axis=1)
    return columns.astype(float)


def _covariate(block: str, column: str) -> str:
    """What a column of `_at_signing` is called."""
    if block == YEAR_SIGNED:
        return say("contract_term.balance.year")
    if block == ALL_ALIKE:
        return say("contract_term.balance.all_alike")
    name = thing(block.removeprefix(OWN))
    return say("contract_term.balance.category", thing=name, part=_part(column))


def _part(column: str) -> str:
    """What a column of a block is called: a part of a curve, blanks, or a category of the data."""
    if column == NOT_KNOWN:
        return say("contract_term.balance.not_known")
    return column


def balance(spells: pd.DataFrame, extra: Mapping[str, Extra] | None = None) -> pd.DataFrame:
    """The table of `overlap_weights`; empty where there is only one kind of term."""
    return (
        overlap_weights(spells, extra)[1]
        if (spells["contract_term_months"] == 1).nunique() > 1
        else pd.DataFrame()
    )


def _difference(X: pd.DataFrame, first: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Differences of weighted means of standardised covariates, first group less second."""
    others = X[~first]
    others_weight = weights[~first]
    return np.average(X[first], axis=0, weights=weights[first]) - np.average(
        others, axis=0, weights=others_weight
    )
