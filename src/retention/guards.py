"""What would make a model too good to be true, and what would make a true one go stale: leaks and drift (METHODS 7)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.metrics import roc_auc_score

from retention.config import Extra
from retention.features import FEATURES
from retention.results import Finding, Findings
from retention.risk import distinct_leavers, is_number, room_for
from retention.snapshots import known
from retention.tables import SIGNING, TABLES

TELLS_TOO_MUCH = 0.95  # (ours) area under the curve above which one column alone knows who left
GROWS = 0.80  # (ours) rank correlation with the length of stay above which a column was filled in at its end
MIN_ROWS = 30
BINS = 10
SHIFTED, MOVED = 0.25, 0.10  # population stability index: much, some (the customary limits)
RECENT = 3  # months' ends that count as now


def leaks(spells: pd.DataFrame, extra: Mapping[str, Extra]) -> Findings:
    """What `leaky` found, in sentences."""
    texts = [
        f"{name} {why}: it cannot have been known at signing, and the score leaves it out. If it becomes known later, "
        f'say from which date (known = "...") in retention.toml.'
        for name, why in leaky(spells, extra).items()
    ]
    return Findings(
        tuple(Finding("risk", text, "warning") for text in texts), "No column known at signing knows too much."
    )


def leaky(spells: pd.DataFrame, extra: Mapping[str, Extra]) -> dict[str, str]:
    """Columns that are said to be known at signing and know too much: who left, or how long a client would stay.

    Every column of the clients table that is declared as known at signing, the user's own included: whether its value
    (or its being blank) tells who has left almost without fault, or grows with the months stayed. By name, with why.
    """
    told = [c.name for c in TABLES["clients"].columns if c.known == SIGNING and c.kind not in ("date", "text")]
    told += [name for name, about in extra.items() if about.known == SIGNING]
    skip = {"client_id", "contract_term_months"}
    size = spells["monthly_ad_spend"].astype(float).where(lambda x: x > 0)
    if _leak(spells, "monthly_ad_spend", size):  # whatever is divided by it would look filled in at the end
        size = size.mask(size.notna())
    found = {name: _leak(spells, name, size) for name in told if name in spells and name not in skip}
    return {name: why for name, why in found.items() if why}


def _leak(spells: pd.DataFrame, name: str, size: pd.Series) -> str:
    """What a column knows that it should not; empty where nothing."""
    values, ended = spells[name], spells["ended"].to_numpy(bool)
    if len(values) < MIN_ROWS or not 0 < ended.sum() < len(ended):
        return ""
    if _tells(values, ended) > TELLS_TOO_MUCH:
        return "tells who has left almost without fault"
    numbers = pd.to_numeric(values, errors="coerce") if is_number(values) else pd.Series(dtype=float)
    for what in (numbers, numbers / size):  # a sum over the stay grows with it, by itself or over its size
        both = pd.DataFrame({"value": what, "stay": spells["stop_months"]}).dropna()
        enough = len(both) >= MIN_ROWS and both["value"].nunique() > 2 and both["stay"].nunique() > 1
        if enough and abs(stats.spearmanr(both["value"], both["stay"]).statistic) > GROWS:
            return "grows with how long a client stayed"
    return ""


def _tells(values: pd.Series, ended: np.ndarray) -> float:
    """Area under the curve of one column for who has left: blanks as a value of their own, either direction."""
    if is_number(values) and values.nunique() > BINS:
        filled = values.astype(float).rank().fillna(0)
        area = roc_auc_score(ended, filled)
        return float(max(area, 1 - area, _by_level(values.isna(), ended)))
    return _by_level(values.astype("string").fillna("blank"), ended)


def _by_level(values: pd.Series, ended: np.ndarray) -> float:
    """As `_tells`, by the share that left of each level; levels of one or two clients say nothing."""
    groups = pd.Series(ended.astype(float), values.index).groupby(values)
    share = groups.transform("mean").where(groups.transform("size") > 2, ended.mean())
    return float(roc_auc_score(ended, share))


def drift(rows: pd.DataFrame) -> pd.DataFrame:
    """How far the clients of the last three months differ from those learned from, a row a feature, most first.

    The features are those that a model of these rows would use. Columns `Feature, Shift (PSI), Reading`: the
    population stability index over tenths of the earlier values, blanks as one more. Under .1 little, above .25 much.
    """
    learned = known(rows)
    now, found = rows["month"] > rows["month"].max() - RECENT, []
    for name in room_for(learned, distinct_leavers(learned)):
        shift = _psi(rows.loc[~now, name], rows.loc[now, name])
        words = FEATURES[name]["words"] if name in FEATURES else name.replace("_", " ")
        found.append((words, shift, "much" if shift > SHIFTED else "some" if shift > MOVED else "little"))
    frame = pd.DataFrame(found, columns=["Feature", "Shift (PSI)", "Reading"])
    return frame.sort_values("Shift (PSI)", ascending=False, ignore_index=True)


def _psi(before: pd.Series, now: pd.Series) -> float:
    if is_number(before) and before.nunique() > BINS:
        edges = np.unique(before.quantile(np.linspace(0, 1, BINS + 1)).to_numpy(float))[1:-1]
        coded = [pd.Series(np.where(x.isna(), -1, np.searchsorted(edges, x.astype(float)))) for x in (before, now)]
    else:
        coded = [x.astype("string").fillna("blank") for x in (before, now)]
    if not all(map(len, coded)):
        return 0.0
    levels = sorted(set(coded[0]) | set(coded[1]), key=str)
    p, q = ((c.value_counts().reindex(levels, fill_value=0) + 0.5) / (len(c) + 0.5 * len(levels)) for c in coded)
    return float(((q - p) * np.log(q / p)).sum())
