"""What would make a model too good to be true, and what would make a true one go stale: leaks and
drift (METHODS 7).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

from retention.data.schema import SIGNING, TABLES
from retention.history.features import FEATURES
from retention.history.snapshots import known
from retention.results import Finding, Findings
from retention.score.model import distinct_leavers, is_number, room_for
from retention.settings import Extra

TELLS_TOO_MUCH = (
    0.85  # (ours) area under the curve that no honest column passes: by its interval's lower end
)
GROWS = 0.80  # (ours) rank correlation with the length of stay, likewise
ENOUGH_EACH = 20  # (ours) leavers and stayers under which a column's area is not judged
ENOUGH_PURE, LEAST_LEVEL = (
    10,
    3,
)  # (ours) the same of levels that hold one sort of clients alone; clients a level
BY_CHANCE = (
    1e-6  # (ours) a column filled in for leavers alone is a leak where chance hardly does it
)
MIN_ROWS = 30
BINS = 10
Z95 = stats.norm.ppf(0.975)
SHIFTED, MOVED = 0.25, 0.10  # population stability index: much, some (the customary limits)
RECENT = 3  # months' ends that count as now
# What the study cannot do without, or who serves a client: a leak in one is told, and kept from the
# score alone.
KEPT = ("monthly_ad_spend", "rep_id", "seller_id", "referred_by")
NOT_SCANNED = ("client_id", "contract_term_months")


def leaks(leaking: Mapping[str, str]) -> Findings:
    """One warning that names the columns of `leaky`; none where nothing leaks."""
    if not leaking:
        return Findings((), "No column known at signing knows who left.")
    named = "; ".join(f"{name} {why}" for name, why in leaking.items())
    text = (
        f"Columns that cannot have been known at signing are left out: {named}. "
        'If one becomes known later, say from which date (known = "...") in retention.toml.'
    )
    kept = ", ".join(name for name in leaking if name in KEPT)
    text += (
        f" Only the churn score can do without {kept}: do not trust other pages that use it."
        if kept
        else ""
    )
    return Findings((Finding("data", text, "warning"),))


def leaky(spells: pd.DataFrame, extra: Mapping[str, Extra]) -> dict[str, str]:
    """Columns said to be known at signing that know who left, or how long a client would stay: by
    name, with why.

    Every column of the clients table that is declared as known at signing is scanned, the user's
    own included. Each client counts once, with its last engagement. Source: METHODS 7.
    """
    spells = spells.drop_duplicates("client_id", keep="last").reset_index(drop=True)
    told = [
        c.name
        for c in TABLES["clients"].columns
        if c.known == SIGNING and c.kind not in ("date", "text")
    ]
    told += [
        name
        for name, about in extra.items()
        if about.known == SIGNING and about.kind not in ("date", "text")
    ]
    size = spells["monthly_ad_spend"].astype(float).where(lambda x: x > 0)
    if _leak(
        spells, "monthly_ad_spend", size
    ):  # whatever is divided by it would look filled in at the end
        size = size.mask(size.notna())
    found = {
        name: _leak(spells, name, size)
        for name in told
        if name in spells and name not in NOT_SCANNED
    }
    return {name: why for name, why in found.items() if why}


def _leak(spells: pd.DataFrame, name: str, size: pd.Series) -> str:
    """What a column knows that it should not; empty where nothing."""
    # notice on record is an end too
    values = spells[name]
    ended = spells["end_date"].notna().to_numpy()
    if len(values) < MIN_ROWS or not 0 < ended.sum() < len(ended):
        return ""
    years = _years(spells)
    if tells(values, ended, years) > TELLS_TOO_MUCH:
        return "tells who has left almost without fault"
    if _never_mixes(values, ended):
        return "parts those who left from those who stayed without a single exception"
    if _filled_for_leavers(values, ended, years):
        return "is filled in only for clients who left"
    numbers = (
        pd.to_numeric(values, errors="coerce") if is_number(values) else pd.Series(dtype=float)
    )
    stay = spells["stop_months"]
    if any(_grows(what, stay, ended) for what in (numbers, numbers / size)):
        return "grows with how long a client stayed"
    return ""


def _years(spells: pd.DataFrame) -> np.ndarray:
    """The year of signing; one for all in a snapshot, whose starts are counted back from the stay.

    Of earlier clients more have left, so whatever changed over the years honestly tells who has.
    """
    if not spells.get("renewals_known", pd.Series(True, spells.index)).all():
        return np.zeros(len(spells), dtype=int)
    return spells["start_date"].dt.year.to_numpy()


def tells(values: pd.Series, ended: np.ndarray, strata: np.ndarray) -> float:
    """Lower end of the 95 % interval of the area by which one column tells who left, compared
    within strata.

    Blanks are a value of their own; numbers count in either direction. 0 where too few left or
    stayed.
    """
    ways = [_others_share(values.isna().astype("string"), ended)]
    if is_number(values) and values.nunique() > BINS:
        rank = values.astype(float).rank()
        blanks = [rank.fillna(lowest).to_numpy() for lowest in (0, len(rank) + 1)]
        ways += [*blanks, *(-way for way in blanks)]
    else:
        ways.append(_others_share(values.astype("string").fillna("blank"), ended))
    return max(area(way, ended, strata)[1] for way in ways)


def _others_share(values: pd.Series, ended: np.ndarray) -> np.ndarray:
    """The share that left among the others of each client's level: a level of one tells nothing of
    its own client.
    """
    left = pd.Series(ended.astype(float), values.index)
    groups = left.groupby(values)
    others = groups.transform("size") - 1
    share = (groups.transform("sum") - left) / others.where(others > 0)
    return share.fillna(left.mean()).to_numpy(float)


def area(marks: np.ndarray, ended: np.ndarray, strata: np.ndarray) -> tuple[float, float]:
    """Area under the curve of marks for who left, within strata, with the lower end of its 95 %
    interval.

    Strata weigh by their pairs of a leaver and a stayer; (0.5, 0) under twenty of either. Source:
    DeLong 1988.
    """
    pairs = []
    areas = []
    variances = []
    leavers = 0
    stayers = 0
    for stratum in np.unique(strata):
        gone = marks[(strata == stratum) & ended]
        there = marks[(strata == stratum) & ~ended]
        if min(len(gone), len(there)) < 2:  # one alone has no variance
            continue
        own = _placements(gone, there)
        pairs.append(len(gone) * len(there))
        areas.append(own.mean())
        against = 1 - _placements(there, gone)
        variances.append(own.var(ddof=1) / len(gone) + against.var(ddof=1) / len(there))
        leavers = leavers + len(gone)
        stayers = stayers + len(there)
    if min(leavers, stayers) < ENOUGH_EACH:
        return 0.5, 0.0
    weights = np.array(pairs) / np.sum(pairs)
    middle = float(weights @ areas)
    error = float(np.sqrt(weights**2 @ variances))
    return middle, middle - float(Z95) * error


def _placements(marks: np.ndarray, among: np.ndarray) -> np.ndarray:
    """For each mark the share of the others that lie below it, ties as a half."""
    ordered = np.sort(among)
    below = np.searchsorted(ordered, marks, "left") + np.searchsorted(ordered, marks, "right")
    return np.asarray(below / 2 / len(ordered))


def _never_mixes(values: pd.Series, ended: np.ndarray) -> bool:
    """Whether no level of a category holds both leavers and stayers, in levels of three clients or
    more.
    """
    if is_number(values) and values.nunique() > BINS:
        return False
    left = pd.Series(ended.astype(int), values.index)
    counts = left.groupby(values.astype("string").fillna("blank")).agg(["sum", "size"])
    counts = counts[counts["size"] >= LEAST_LEVEL]
    pure = counts["sum"].isin([0]) | (counts["sum"] == counts["size"])
    leavers = int(counts["sum"].sum())
    stayers = int(counts["size"].sum()) - leavers
    return bool(pure.all() and min(leavers, stayers) >= ENOUGH_PURE)


def _filled_for_leavers(values: pd.Series, ended: np.ndarray, strata: np.ndarray) -> bool:
    """Whether a column is blank for every stayer, and filled in for more leavers than chance would
    pick.
    """
    filled = values.notna().to_numpy()
    if not filled.any() or filled.all() or not ended[filled].all():
        return False
    rates = pd.Series(ended.astype(float)).groupby(strata).transform("mean").to_numpy()
    return bool(np.log(rates[filled]).sum() < np.log(BY_CHANCE))


def _grows(numbers: pd.Series, stay: pd.Series, ended: np.ndarray) -> bool:
    """Whether numbers rise or fall with the length of stay, among all and among those whose stay is
    over.

    Among all, what changed over the years does so honestly: who signed earlier has stayed longer.
    """
    both = pd.DataFrame({"value": numbers, "stay": stay}).dropna()
    parts = (both, both[ended[both.index]])
    return all(_least_correlation(part) > GROWS for part in parts)


def _least_correlation(both: pd.DataFrame) -> float:
    """The end towards none of the 95 % interval (Fisher) of the rank correlation, as a size; 0 of
    too few.
    """
    if len(both) < ENOUGH_EACH or both["value"].nunique() < 3 or both["stay"].nunique() < 2:
        return 0.0
    size = abs(stats.spearmanr(both["value"], both["stay"]).statistic)
    reach = np.arctanh(min(size, 1 - 1e-12)) - Z95 * 1.06 / np.sqrt(
        len(both) - 3
    )  # 1.06: of ranks (Fieller 1957)
    return float(np.tanh(max(reach, 0.0)))


def drift(rows: pd.DataFrame) -> pd.DataFrame:
    """How far the clients of the last three months differ from those learned from, a row a feature,
    most first.

    The features are those that a model of these rows would use. Columns `Feature, Shift (PSI),
    Reading`: the population stability index over tenths of the earlier values, blanks as one more.
    Under .1 little, above .25 much.
    """
    learned = known(rows)
    now = rows["month"] > rows["month"].max() - RECENT
    found = []
    for name in room_for(learned, distinct_leavers(learned)):
        shift = _psi(rows.loc[~now, name], rows.loc[now, name])
        words = FEATURES[name]["words"] if name in FEATURES else name.replace("_", " ")
        found.append(
            (words, shift, "much" if shift > SHIFTED else "some" if shift > MOVED else "little")
        )
    frame = pd.DataFrame(found, columns=["Feature", "Shift (PSI)", "Reading"])
    return frame.sort_values("Shift (PSI)", ascending=False, ignore_index=True)


def _psi(before: pd.Series, now: pd.Series) -> float:
    if is_number(before) and before.nunique() > BINS:
        edges = np.unique(before.quantile(np.linspace(0, 1, BINS + 1)).to_numpy(float))[1:-1]
        coded = [
            pd.Series(np.where(x.isna(), -1, np.searchsorted(edges, x.astype(float))))
            for x in (before, now)
        ]
    else:
        coded = [x.astype("string").fillna("blank") for x in (before, now)]
    if not all(map(len, coded)):
        return 0.0
    levels = sorted(set(coded[0]) | set(coded[1]), key=str)
    p, q = (
        (c.value_counts().reindex(levels, fill_value=0) + 0.5) / (len(c) + 0.5 * len(levels))
        for c in coded
    )
    return float(((q - p) * np.log(q / p)).sum())
