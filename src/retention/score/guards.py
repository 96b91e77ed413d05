"""What would make a model too good to be true, and what would make a true one go stale: leaks and
drift (METHODS 7).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

from retention.data.schema import SIGNING, TABLES
from retention.history.features import feature_words
from retention.history.snapshots import known
from retention.results import Finding, Findings
from retention.score.model import distinct_leavers, is_number, room_for
from retention.settings import Extra
from retention.words import say, together

# (ours) area under the curve that no honest column passes: by its interval's lower end
TELLS_TOO_MUCH = 0.85
GROWS = 0.80  # (ours) rank correlation with the length of stay, likewise
ENOUGH_EACH = 20  # (ours) leavers and stayers under which a column's area is not judged
# (ours) the same of levels that hold one sort of clients alone; clients a level
ENOUGH_PURE, LEAST_LEVEL = 10, 3
# (ours) a column filled in for leavers alone is a leak where chance hardly does it
BY_CHANCE = 1e-6
MIN_ROWS = 30
BINS = 10
Z95 = stats.norm.ppf(0.975)
SHIFTED, MOVED = 0.25, 0.10  # population stability index: much, some (the customary limits)
READINGS = ("little", "some", "much")
RECENT = 3  # months' ends that count as now
# What the study cannot do without, or who serves a client: a leak in one is reported, and kept from
# the score alone.
KEPT = ("monthly_ad_spend", "rep_id", "seller_id", "referred_by")
NOT_SCANNED = ("client_id", "contract_term_months")


def leaks(leaking: Mapping[str, str]) -> Findings:
    """One warning that names the columns of `leaky`; none where nothing leaks."""
    if not leaking:
        return Findings((), say("churn_risk.leak.none"))
    named = [say(f"churn_risk.leak.{why}", column=name) for name, why in leaking.items()]
    listed = "; ".join(named)
    text = say("churn_risk.leak.columns", columns=listed)
    kept = ", ".join(name for name in leaking if name in KEPT)
    if kept:
        more = say("churn_risk.leak.kept", columns=kept)
        text = together(text, more)
    finding = Finding("data", text, "warning")
    return Findings((finding,))


def leaky(spells: pd.DataFrame, extra: Mapping[str, Extra]) -> dict[str, str]:
    """Columns said to be known at signing that know who left, or how long a client would stay: by
    name, the id of why.

    The ids are `tells`, `never_mixes`, `filled` and `grows` (`_leak`). Every column of the clients
    table that is declared as known at signing is scanned, the user's own included. Each client
    counts once, with its last engagement. Source: METHODS 7.
    """
    newest = spells.drop_duplicates("client_id", keep="last")
    spells = newest.reset_index(drop=True)
    spend = spells["monthly_ad_spend"].astype(float)
    size = spend.where(lambda x: x > 0)
    if _leak(spells, "monthly_ad_spend", size):
        size = size.mask(size.notna())  # what is divided by it would look filled in at the end
    scanned = [name for name in _declared(extra) if name in spells and name not in NOT_SCANNED]
    reasons = {name: _leak(spells, name, size) for name in scanned}
    return {name: why for name, why in reasons.items() if why}


def _declared(extra: Mapping[str, Extra]) -> list[str]:
    """Columns declared as known at signing whose values can be scanned, the study's first."""
    about: list[tuple[str, str, str]] = [
        (column.name, column.known, column.kind) for column in TABLES["clients"].columns
    ]
    about += [(name, column.known, column.kind) for name, column in extra.items()]
    return [
        name for name, known, kind in about if known == SIGNING and kind not in ("date", "text")
    ]


def _leak(spells: pd.DataFrame, name: str, size: pd.Series) -> str:
    """What a column knows that it should not, an id: it tells who has left, never mixes leavers and
    stayers, is filled for leavers alone, or grows with the stay. Empty where it knows nothing.
    """
    values = spells[name]
    ended = spells["end_date"].notna().to_numpy()  # notice on record is an end too
    if len(values) < MIN_ROWS or not 0 < ended.sum() < len(ended):
        return ""
    years = _years(spells)
    if tells(values, ended, years) > TELLS_TOO_MUCH:
        return "tells"
    if _never_mixes(values, ended):
        return "never_mixes"
    if _filled_for_leavers(values, ended, years):
        return "filled"
    if not is_number(values):
        return ""
    numbers = pd.to_numeric(values, errors="coerce")
    stay = spells["stop_months"]
    if _grows(numbers, stay, ended) or _grows(numbers / size, stay, ended):
        return "grows"
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
    blank = values.isna().astype("string")
    ways = [_others_share(blank, ended)]
    if is_number(values) and values.nunique() > BINS:
        rank = values.astype(float).rank()
        highest = len(rank) + 1
        blanks = [rank.fillna(lowest).to_numpy() for lowest in (0, highest)]
        ways += [*blanks, *(-way for way in blanks)]
    else:
        words = values.astype("string").fillna("blank")
        ways.append(_others_share(words, ended))
    return max(area(way, ended, strata)[1] for way in ways)


def _others_share(values: pd.Series, ended: np.ndarray) -> np.ndarray:
    """The share that left among the others of each client's level: a level of one tells nothing of
    its own client.
    """
    gone = ended.astype(float)
    left = pd.Series(gone, values.index)
    groups = left.groupby(values)
    others = groups.transform("size") - 1
    others_gone = groups.transform("sum") - left
    share = others_gone / others.where(others > 0)
    filled = share.fillna(left.mean())
    return filled.to_numpy(float)


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
        own_part = own.var(ddof=1) / len(gone)
        variances.append(own_part + against.var(ddof=1) / len(there))
        leavers = leavers + len(gone)
        stayers = stayers + len(there)
    if min(leavers, stayers) < ENOUGH_EACH:
        return 0.5, 0.0
    counts = np.array(pairs)
    weights = counts / np.sum(pairs)
    middle = float(weights @ areas)
    variance = weights**2 @ variances
    error = float(np.sqrt(variance))
    return middle, middle - float(Z95) * error


def _placements(marks: np.ndarray, among: np.ndarray) -> np.ndarray:
    """For each mark the share of the others that lie below it, ties as a half."""
    ordered = np.sort(among)
    smaller = np.searchsorted(ordered, marks, "left")
    below = smaller + np.searchsorted(ordered, marks, "right")
    return np.asarray(below / 2 / len(ordered))


def _never_mixes(values: pd.Series, ended: np.ndarray) -> bool:
    """Whether no level of a category holds both leavers and stayers, in levels of three clients or
    more.
    """
    if is_number(values) and values.nunique() > BINS:
        return False
    gone = ended.astype(int)
    left = pd.Series(gone, values.index)
    words = values.astype("string").fillna("blank")
    counts = left.groupby(words).agg(["sum", "size"])
    counts = counts[counts["size"] >= LEAST_LEVEL]
    all_gone = counts["sum"] == counts["size"]
    pure = counts["sum"].isin([0]) | all_gone
    leavers = int(counts["sum"].sum())
    clients = counts["size"].sum()
    stayers = int(clients) - leavers
    all_pure = pure.all()
    return bool(all_pure and min(leavers, stayers) >= ENOUGH_PURE)


def _filled_for_leavers(values: pd.Series, ended: np.ndarray, strata: np.ndarray) -> bool:
    """Whether a column is blank for every stayer, and filled in for more leavers than chance would
    pick.
    """
    filled = values.notna().to_numpy()
    if not filled.any() or filled.all() or not ended[filled].all():
        return False
    gone = pd.Series(ended.astype(float))
    rates = gone.groupby(strata).transform("mean").to_numpy()
    logs = np.log(rates[filled]).sum()
    return bool(logs < np.log(BY_CHANCE))


def _grows(numbers: pd.Series, stay: pd.Series, ended: np.ndarray) -> bool:
    """Whether numbers rise or fall with the length of stay, among all and among those whose stay is
    over.

    Among all, what changed over the years does so honestly: who signed earlier has stayed longer.
    """
    pairs = {"value": numbers, "stay": stay}
    both = pd.DataFrame(pairs).dropna()
    of_gone = ended[both.index]
    parts = (both, both[of_gone])
    return all(_least_correlation(part) > GROWS for part in parts)


def _least_correlation(both: pd.DataFrame) -> float:
    """The end towards none of the 95 % interval (Fisher) of the rank correlation, as a size; 0 of
    too few.
    """
    if len(both) < ENOUGH_EACH or both["value"].nunique() < 3 or both["stay"].nunique() < 2:
        return 0.0
    correlation = stats.spearmanr(both["value"], both["stay"])
    size = abs(correlation.statistic)
    margin = Z95 * 1.06 / np.sqrt(len(both) - 3)
    reach = np.arctanh(min(size, 1 - 1e-12)) - margin  # 1.06: of ranks (Fieller 1957)
    least = max(reach, 0.0)
    return float(np.tanh(least))


def drift(rows: pd.DataFrame) -> pd.DataFrame:
    """How far the clients of the last three months differ from those learned from, a row a feature,
    most first.

    The features are those that a model of these rows would use. Columns `feature` (its id), `psi`
    (population stability index over tenths of the earlier values, blanks as one more) and `reading`
    (its id): under .1 little, above .25 much.
    """
    learned = known(rows)
    newest = rows["month"].max()
    now = rows["month"] > newest - RECENT
    names = room_for(learned, distinct_leavers(learned))
    shifts = [_psi(rows.loc[~now, name], rows.loc[now, name]) for name in names]
    limits = [MOVED, SHIFTED]
    readings = np.digitize(shifts, limits, right=True)
    words_for = np.take(READINGS, readings)
    frame = pd.DataFrame({"feature": names, "psi": shifts, "reading": words_for})
    return frame.sort_values("psi", ascending=False, ignore_index=True)


def drift_words(frame: pd.DataFrame) -> pd.DataFrame:
    """The table of `drift` with its features and readings in words."""
    readings = {reading: say(f"churn_risk.drift.{reading}") for reading in READINGS}
    words = frame["feature"].map(feature_words)
    return frame.assign(feature=words, reading=frame["reading"].map(readings))


def _psi(before: pd.Series, now: pd.Series) -> float:
    if is_number(before) and before.nunique() > BINS:
        quantiles = before.quantile(np.linspace(0, 1, BINS + 1))
        edges = np.unique(quantiles.to_numpy(float))[1:-1]
        coded = [
            pd.Series(np.where(x.isna(), -1, np.searchsorted(edges, x.astype(float))))
            for x in (before, now)
        ]
    else:
        coded = [x.astype("string").fillna("blank") for x in (before, now)]
    if not all(map(len, coded)):
        return 0.0
    different = set(coded[0]) | set(coded[1])
    levels = sorted(different, key=str)
    p, q = (
        (c.value_counts().reindex(levels, fill_value=0) + 0.5) / (len(c) + 0.5 * len(levels))
        for c in coded
    )
    terms = (q - p) * np.log(q / p)
    return float(terms.sum())
