"""Would clients recommend you (C1, C2)? The score with its interval, who answered, and the chance
of each band.

A wave is a calendar month of invitations; of several answers of a client in a wave the last counts.
Source: METHODS 5.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from retention.contrast import NO_SPREAD, Spread
from retention.data.scales import as_given
from retention.history.measures import DETRACTOR, PROMOTER
from retention.results import Estimate, Estimates, Finding
from retention.settings import study_plan
from retention.stats.intervals import FEWEST_REPS, ratio_by_rep
from retention.words import Said, say, together

EDGES = tuple(float(edge) for edge in study_plan()["C2"]["nps_bands_from"])  # STUDY C2
BANDS = ("bad", "needs_work", "good", "unicorn")
RECENT = 3  # months of waves that make up the score of today, each client once
DRAWS = 4000
SEED = 1
PRIOR = 0.5  # of each class, in answers: METHODS 5
INDEPENDENT = say("service.nps.independent", fewest=FEWEST_REPS)
GROUP = "all"  # the one row of `today`
COUNTS = ["promoters", "passives", "detractors"]


def waves(surveys: pd.DataFrame | None, scale: str | None = None) -> pd.DataFrame:
    """A row a client and wave: `client_id, wave, invited_on, answered_on, nps` in points from 0 to
    10 (NaN: no answer), `given` (the answer in words, on the scale on which it was given: [scales]
    nps in retention.toml) and the rest.

    Of several people of a client who answer in one wave the last answer counts; on one day, the
    lowest.
    """
    columns = ["client_id", "invited_on", "answered_on", "nps"]
    blank = pd.DataFrame(columns=columns)
    rows = blank if surveys is None or "nps" not in surveys else surveys
    invited = pd.to_datetime(rows["invited_on"])
    answered_on = pd.to_datetime(rows["answered_on"])
    month = invited.dt.to_period("M")
    rows = rows.assign(invited_on=invited, answered_on=answered_on, wave=month)
    answered = answered_on.notna()
    answers = rows["nps"].where(answered).astype(float)
    if scale == "1-10":  # where the reading has not left it out
        answers = answers.where(answers >= 1)
    given = as_given(answers, scale)
    rows = rows.assign(nps=answers, given=given, known=answers.notna())
    order = ["known", "answered_on", "nps"]
    rows = rows.sort_values(order, ascending=[True, True, False], kind="stable")
    once = rows.drop_duplicates(["client_id", "wave"], keep="last")
    without_known = once.drop(columns="known")
    return without_known.reset_index(drop=True)


def latest(rows: pd.DataFrame) -> pd.DataFrame:
    """The waves' last answer of each client, who may have been asked since; a client who never
    answered has no row.
    """
    known = rows[rows["nps"].notna()]
    answers = known.sort_values("answered_on", kind="stable")
    newest = answers.drop_duplicates("client_id", keep="last")
    return newest.reset_index(drop=True)


def recent(rows: pd.DataFrame, cutoff: pd.Timestamp, months: int = RECENT) -> pd.DataFrame:
    """One row a client asked in the last so many months: its last answer in them, or that it gave
    none.

    Those who left since are in it: without them every score would look better than it was.
    """
    day_after = cutoff + pd.Timedelta(days=1)
    first = day_after.to_period("M") - months
    rows = rows[rows["wave"] >= first] if len(rows) else rows
    known = rows.assign(known=rows["nps"].notna())
    order = known.sort_values(["known", "answered_on"], kind="stable")
    once = order.drop_duplicates("client_id", keep="last")
    without_known = once.drop(columns="known")
    return without_known.reset_index(drop=True)


def score(promoters: np.ndarray, detractors: np.ndarray, answered: np.ndarray) -> np.ndarray:
    """Percent of promoters less percent of detractors; counted before it is divided, so that 30 is
    30 exactly.
    """
    n = np.asarray(answered, float)
    more = np.asarray(promoters) - detractors
    unknown = np.full(n.shape, np.nan)
    return np.divide(100.0 * more, n, out=unknown, where=n > 0)


def standard_error(
    promoters: np.ndarray, detractors: np.ndarray, answered: np.ndarray
) -> np.ndarray:
    """The standard error of the score in points (METHODS 5).

    >>> float(standard_error(np.array([20]), np.array([8]), np.array([40])).round(2)[0])
    12.35
    """
    some = np.asarray(answered) > 0
    n = np.where(some, answered, np.nan).astype(float)
    p = promoters / n
    d = detractors / n
    variance = p + d - (p - d) ** 2
    return np.asarray(100 * np.sqrt(variance / n))


def draws(counts: np.ndarray, seed: int = SEED) -> np.ndarray:
    """Scores that the truth may have, shape (draws, groups): half an answer of each class and what
    was answered.

    `counts` (groups, 3): promoters, passives, detractors.
    """
    rng = np.random.default_rng(seed)
    shapes = np.asarray(counts, float) + PRIOR
    parts = rng.standard_gamma(shapes, (DRAWS, *shapes.shape))
    gap = parts[..., 0] - parts[..., 2]
    whole = parts.sum(axis=-1)
    return np.asarray(100 * gap / whole)


def band(value: float) -> str:
    """The study's band of a score, as an id of `BANDS`: 0 or below, above 0 to under 20, 20 to
    under 30, 30 and above (C2).

    >>> [band(x) for x in (0, 0.1, 19.9, 20, 29.9, 30)]
    ['bad', 'needs_work', 'needs_work', 'good', 'good', 'unicorn']
    """
    first, *others = EDGES
    place = int(value > first)
    place += sum(value >= edge for edge in others)
    return BANDS[place]


def band_words(name: str) -> Said:
    """What the study calls a band."""
    return say(f"service.band.{name}")


def chances(counts: Sequence[int]) -> np.ndarray:
    """The chance that the true score lies in each of the four bands, shape (4,)."""
    table = np.asarray(counts)[None]
    found = draws(table)[:, 0]
    place = np.digitize(found, EDGES)
    return np.bincount(place, minlength=len(BANDS)) / len(found)


def by_reps(rows: pd.DataFrame) -> Spread:
    """The spread of the score as its reps are left out, one after the other; `rows`: one a client,
    with `rep`.

    A client whose rep is unknown ("") belongs to none, and always counts.
    """
    if "rep" not in rows:
        return NO_SPREAD
    known = rows[rows["nps"].notna()]
    value = known["nps"].astype(float)
    promoted = 100.0 * (value >= PROMOTER)
    detracted = 100.0 * (value <= DETRACTOR)
    points = (promoted - detracted).to_numpy()
    once = np.ones(len(points))
    reps = known["rep"].fillna("")
    return ratio_by_rep(points, once, reps)


def band_chances(row: pd.Series) -> np.ndarray:
    """The chance of each band for a row of `today`, shape (4,), by the wider of client and rep."""
    if not row["by_rep"]:
        counts = row[COUNTS].astype(int)
        return chances(counts)
    off = np.array(EDGES) - row["nps"]
    below = stats.t.cdf(off / row["se"], row["df"])
    cumulative = np.concatenate([[0.0], below, [1.0]])
    return np.diff(cumulative)


def tally(rows: pd.DataFrame, by: str | list[str]) -> pd.DataFrame:
    """The score of each group of rows: `asked, answered, promoters, passives, detractors, nps, se,
    low, high`.

    The interval is that of the draws (95 %), drawn out to the score where everybody says the same.
    `nps` is NaN where nobody answered.
    """
    value = rows["nps"].astype(float)
    classes = {
        "asked": 1,
        "answered": value.notna(),
        "promoters": value >= PROMOTER,
        "passives": value.between(DETRACTOR, PROMOTER, inclusive="neither"),
        "detractors": value <= DETRACTOR,
    }
    counted = rows.assign(**classes)
    by_group = counted.groupby(by)[["asked", "answered", *COUNTS]]
    table = by_group.sum().astype(int)
    sums = [table[name].to_numpy() for name in ("promoters", "detractors", "answered")]
    points = score(*sums)
    known = ~np.isnan(points)
    drawn = draws(table[COUNTS].to_numpy())
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    at_most = np.minimum(low, points)
    at_least = np.maximum(high, points)
    table["nps"] = points
    table["se"] = standard_error(*sums)
    table["low"] = np.where(known, at_most, np.nan)
    table["high"] = np.where(known, at_least, np.nan)
    return table


def today(rows: pd.DataFrame, cutoff: pd.Timestamp) -> pd.DataFrame:
    """The score of the last three months' waves in one row, each client once (`tally`); empty where
    nobody answered.

    The interval is the wider of client and rep (`by_rep` says which, `df` the degrees of freedom of
    the latter), from six reps on. Needs the column `rep` (`reps.with_rep`); without it clients are
    taken to be independent.
    """
    now = recent(rows, cutoff)
    grouped = now.assign(group=GROUP)
    table = tally(grouped, "group")
    spread = by_reps(now)
    answered = table[table["answered"] > 0]
    reps_known = spread is not NO_SPREAD
    table = answered.assign(by_rep=False, df=spread.df, reps_known=reps_known)
    if table.empty:
        return table
    half = float(spread.reach(0.975))
    width = table["high"] - table["low"]
    if not 2 * half > width.iloc[0]:
        return table
    low = table["nps"] - half
    high = table["nps"] + half
    limits = {"low": low.clip(lower=-100), "high": high.clip(upper=100)}
    error = float(spread.se)
    return table.assign(**limits, se=error, by_rep=True)


def words(rows: pd.DataFrame, cutoff: pd.Timestamp) -> Finding:
    """The score in sentences, with its interval, who answered, and how sure the band is (C1,
    C2).
    """
    table = today(rows, cutoff)
    if table.empty:
        return Finding("C1", say("service.nps.nobody", months=RECENT))
    row = table.iloc[0]
    counts = {name: int(row[name]) for name in COUNTS}
    shares = band_chances(row)
    answered = int(row["answered"])
    asked = int(row["asked"])
    parts = [
        _lead_words(row),
        say("service.nps.counts", **counts),
        _response_words(answered, asked),
        _chance_words(shares),
        "" if row["reps_known"] else INDEPENDENT,
    ]
    text = together(*parts)
    return Finding("C1", text, "headline")


def _lead_words(row: pd.Series) -> Said:
    points = {name: round(row[name]) for name in ("nps", "low", "high")}
    own_band = band(row["nps"])
    return say("service.nps.lead", months=RECENT, **points, band=band_words(own_band))


def _response_words(answered: int, asked: int) -> Said:
    if answered >= asked:
        return say("service.nps.answers_alone")
    share = answered / asked
    return say("service.nps.response", answered=answered, asked=asked, share=share)


def _chance_words(shares: np.ndarray) -> Said:
    said = []
    for name, share in zip(BANDS, shares, strict=True):
        chance = say("service.nps.band_chance", band=band_words(name), chance=share)
        said.append(chance)
    return say("service.nps.sure", chances=", ".join(said))


def estimates(rows: pd.DataFrame, cutoff: pd.Timestamp) -> Estimates:
    """The score, its standard error, who answered and the chance of each band, of the last waves
    and those before.
    """
    day = pd.Timedelta(days=1)
    span = pd.DateOffset(months=RECENT)
    before = cutoff + day - span - day
    times = [
        (say("service.nps.lately", months=RECENT), cutoff),
        (say("service.nps.before", months=RECENT), before),
    ]
    made: list[Estimate] = []
    for group, last in times:
        so_far = rows["wave"] <= last.to_period("M")
        table = today(rows[so_far], last)
        for _, row in table.iterrows():
            made += _estimates(row, group)
    return Estimates(tuple(made), say("service.nps.caption"))


def _estimates(row: Any, group: Said) -> Iterator[Estimate]:
    """What is known of a row of `today`: the score, who answered, and the chance of each band."""
    n = (row.answered, 0)
    asked = (row.asked, 0)
    score_ = (row.nps, row.low, row.high)
    yield Estimate.of("C1", say("service.nps.score"), group, score_, "number", n)
    yield Estimate.of("C1", say("service.nps.error"), group, (row.se,), "number", n)
    yield Estimate.of("C1", say("service.nps.asked"), group, (row.asked,), "count", asked)
    if row.answered < row.asked:
        share = (row.answered / row.asked,)
        yield Estimate.of("C1", say("service.nps.answered"), group, share, "share", asked)
    low, middle, high = EDGES
    edges = {"low": low, "middle": middle, "high": high}
    for name, chance in zip(BANDS, band_chances(row), strict=True):
        chance_of = say(f"service.chance.{name}", **edges)
        yield Estimate.of("C2", chance_of, group, (chance,), "share", n)


def by_month(rows: pd.DataFrame) -> pd.DataFrame:
    """The score of every wave, oldest first: `tally` by `wave`; waves that nobody answered are left
    out.
    """
    if rows.empty:
        return pd.DataFrame()
    table = tally(rows, "wave").reset_index()
    return table[table["answered"] > 0]


def by_quarter(rows: pd.DataFrame) -> pd.DataFrame:
    """What clients answered in each quarter, each client once with its last answer, oldest first:
    `quarter, promoters, passives, detractors, answered, nps`; quarters that nobody answered are
    left out.
    """
    columns = ["quarter", *COUNTS, "answered", "nps"]
    if rows.empty:
        return pd.DataFrame(columns=columns)
    quarter = rows["wave"].dt.asfreq("Q")
    known = rows["nps"].notna()
    rows = rows.assign(quarter=quarter, known=known)
    order = rows.sort_values(["known", "answered_on"], kind="stable")
    once = order.drop_duplicates(["client_id", "quarter"], keep="last")
    table = tally(once, "quarter").reset_index()
    return table.loc[table["answered"] > 0, columns]


def quarter_words(frame: pd.DataFrame) -> Said:
    """What the chart of `by_quarter` shows, in words: its last quarter."""
    if frame.empty:
        return say("service.months.nobody")
    last = frame.iloc[-1]
    return say("service.months.quarters_alt", n=len(frame), **last[COUNTS].to_dict())


def month_words(months: pd.DataFrame) -> Said:
    """What the chart of `by_month` shows, in words: its ends, its lowest and its highest month."""
    if months.empty:
        return say("service.months.nobody")
    points = []
    for row in months[["nps", "wave"]].itertuples():
        month = row.wave.strftime("%b\u00a0%Y")
        point = say("service.months.point", nps=round(row.nps), month=month)
        points.append(point)
    scores = months["nps"].to_numpy()
    low = points[scores.argmin()]
    high = points[scores.argmax()]
    newest = points[-1]
    return say("service.months.alt", first=points[0], last=newest, low=low, high=high)
