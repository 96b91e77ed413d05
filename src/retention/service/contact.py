"""What of the service goes with leaving (C6 to C9): load, calls, recaps, visits, requests, from
before the decision.

Exploratory: nothing here is judged. Every factor is taken as of the month that a rating would be
taken from, the lag before a free month or before a term began, and not before a client had been on
record for three months. Clients in trouble get more calls, and large ones more visits: what goes
with leaving need not bring it about. Source: METHODS 5.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests

from retention.contrast import Contrast, as_ratio
from retention.history.clients_now import yes
from retention.history.in_charge import REP, closed, reps_on
from retention.history.lagged import lagged_contrast
from retention.history.panel import Panel
from retention.history.spells import DAY, add_months, whole_months
from retention.numbers import between
from retention.results import Estimate, Estimates, Finding
from retention.settings import LIMITS, Limits
from retention.words import Said, say, together

FACE = ("visit", "event")
ANALYST = "analyst"
LANDMARK_DAYS = 92  # three months on record: METHODS 5
QUARTER, HALF = 92, 183  # days over which things are counted
FALSE_SHARE = 0.10  # q of Benjamini and Hochberg: METHODS 1
ALIKE, RATED, OWN = ("alike", "rated", "own")  # ways of comparing: `contrasts`
LOAD = "load"
Tables = Mapping[str, pd.DataFrame | None]
Ways = Mapping[str, Contrast]


def served_months(panel: Panel) -> pd.DataFrame:
    """A row a whole month of service: `row, client_id, month, start_date, day` (its last),
    `remote`.
    """
    spells = panel.spells
    months = whole_months(spells["start_date"], spells["end_date"] + DAY)
    until = months.fillna(np.inf)
    seen = np.minimum(until, spells["observed_months"])
    count = seen.astype(int)
    columns = [name for name in ("client_id", "start_date", "remote") if name in spells]
    repeated = spells.index.repeat(count)
    rows = spells.loc[repeated, columns]
    month = rows.groupby(level=0).cumcount() + 1
    rows = rows.assign(row=rows.index, month=month)
    ends = add_months(rows["start_date"], rows["month"])
    dated = rows.assign(day=ends - DAY)
    return dated.reset_index(drop=True)


def newest_by(
    at: pd.DataFrame, rows: pd.DataFrame, day: str, back: int = 0, by: str = "client_id"
) -> pd.DataFrame:
    """For each of the days `at`, or `back` days earlier, the last of the rows by then; `n`: how
    many there were.
    """
    kinds = {by: "str", day: "datetime64[ns]"}  # one unit on both sides
    known = rows.dropna(subset=[by, day])
    in_order = known.astype(kinds).sort_values(day, kind="stable")
    so_far = in_order.groupby(by).cumcount()
    dated = in_order.assign(n=so_far + 1, last=in_order[day])
    days = at["day"] - back * DAY
    question = {by: at[by].to_numpy(), day: days.to_numpy(), "at": np.arange(len(at))}
    asked = pd.DataFrame(question).astype(kinds)
    asked_in_order = asked.sort_values(day, kind="stable")
    newest = pd.merge_asof(asked_in_order, dated, on=day, by=by)
    answered = newest.sort_values("at").reset_index(drop=True)
    return answered.fillna({"n": 0})


def lately(at: pd.DataFrame, rows: pd.DataFrame, day: str, days: int) -> np.ndarray:
    """How many of the rows fell in so many days up to each of the days `at`, shape (len(at),)."""
    now = newest_by(at, rows, day)["n"]
    before = newest_by(at, rows, day, days)["n"]
    return (now - before).to_numpy(float)


def days_since(at: pd.DataFrame, rows: pd.DataFrame, day: str) -> np.ndarray:
    """Days from the last of the rows, or from signing, to each of the days `at`."""
    newest = newest_by(at, rows, day)["last"]
    signed = at["start_date"]
    last = newest.set_axis(at.index).fillna(signed)
    ago = at["day"] - last.clip(lower=signed)
    return np.asarray(ago.dt.days, float)


def visit_days(limits: Limits) -> float:
    """Days in which a remote client is to be met once."""
    return 7 * limits["visit_weeks"]


def factors(
    at: pd.DataFrame, tables: Tables, limits: Limits = LIMITS
) -> dict[tuple[str, str], np.ndarray]:
    """Everything that is looked at, by study row and id (`factor_words`): its values on the days
    `at`, as far as the tables go.

    NaN where it is not known: of new clients, and in a table's first three months.
    """
    parts = {"assignments": (_of_load, "from_date"), "meetings": (_of_meetings, "held_on")}
    parts |= {"requests": (_of_requests, "requested_on")}
    found: dict[tuple[str, str], np.ndarray] = {}
    tables = _with_people_gone(tables)
    for name, (make, day) in parts.items():
        rows = tables.get(name)
        if rows is None or not len(rows):
            continue
        first_recorded = rows[day].min()
        first = at["start_date"].clip(lower=first_recorded)
        known = at["day"] >= first + LANDMARK_DAYS * DAY
        for key, values in make(at, rows, limits):
            found[key] = np.where(known, values, np.nan)
    return found


def _with_people_gone(tables: Tables) -> Tables:
    """The tables with the assignments of people who left closed, as far as the table staff is
    there.
    """
    assignments = tables.get("assignments")
    if assignments is None:
        return tables
    ended = closed(assignments, tables.get("staff"))
    return {**tables, "assignments": ended}


Values = Iterator[tuple[tuple[str, str], np.ndarray]]


def _of_load(at: pd.DataFrame, assignments: pd.DataFrame, limits: Limits) -> Values:
    if assignments["role"].eq(ANALYST).any():
        load = analyst_load(at, assignments)["load"]
        yield ("C6", LOAD), load.to_numpy(float)


def analyst_load(at: pd.DataFrame, assignments: pd.DataFrame) -> pd.DataFrame:
    """The `analyst` of each client on each of the days `at`, by the rule of `in_charge`, and its
    clients then (`load`).

    `assignments` as `in_charge.closed` gives them.
    """
    analysts = assignments["role"].eq(ANALYST)
    rows = assignments[analysts.fillna(False)]
    columns = at[["client_id", "start_date", "day"]]
    asked = columns.reset_index(drop=True)
    as_reps = rows.assign(role=REP)
    who = reps_on(asked, "day", as_reps).fillna("")
    mine = asked.assign(staff_id=who)
    started = newest_by(mine, rows, "from_date", by="staff_id")
    begun = started["n"]
    ended = newest_by(mine, rows, "to_date", 1, by="staff_id")
    over = ended["n"]
    running = (begun - over).where(who != "")
    return pd.DataFrame({"analyst": who, "load": running})


def _of_meetings(at: pd.DataFrame, meetings: pd.DataFrame, limits: Limits) -> Values:
    kind = meetings["kind"]
    day = "held_on"
    calls = meetings[kind == "call"]
    talks = meetings[kind != "report"]
    yield ("C7", "calls"), lately(at, calls, day, QUARTER)
    yield ("C7", "silence"), days_since(at, talks, day) > limits["call_days"]
    if "recap_sent" in meetings and meetings["recap_sent"].notna().any():
        yield ("C7", "recaps"), _recaps(at, meetings)
    face = meetings[kind.isin(FACE)]
    if face.empty:
        return
    far = days_since(at, face, day) > visit_days(limits)
    yield ("C8", "not_met"), far
    if "remote" in at:
        remote = yes(at["remote"])
        yield ("C8", "not_met_remote"), np.where(remote, far, np.nan)


def _recaps(at: pd.DataFrame, meetings: pd.DataFrame) -> np.ndarray:
    """The share of the last half-year's meetings after which a summary was sent; NaN where none is
    on record.
    """
    recap = meetings["recap_sent"]
    noted = meetings[recap.notna()]
    written = meetings[yes(recap)]
    asked = lately(at, noted, "held_on", HALF)
    sent = lately(at, written, "held_on", HALF)
    share: np.ndarray = sent / np.where(asked > 0, asked, np.nan)
    return share


def _of_requests(at: pd.DataFrame, requests: pd.DataFrame, limits: Limits) -> Values:
    if "in_scope" not in requests or requests["in_scope"].isna().all():
        return
    inside = yes(requests["in_scope"], True)
    outside = requests[~inside]
    day = "requested_on"
    yield ("C9", "out_of_scope"), lately(at, outside, day, QUARTER)
    if "billed" in requests:
        billed = yes(outside["billed"])
        free = outside[~billed]
        yield ("C9", "free_work"), lately(at, free, day, QUARTER)


def factor_words(name: str, limits: Limits = LIMITS) -> Said:
    """What a factor is called, by its id."""
    if name == "silence":
        return say("service.factor.silence", days=int(limits["call_days"]))
    if name in ("not_met", "not_met_remote"):
        weeks = int(limits["visit_weeks"])
        return say(f"service.factor.{name}", weeks=weeks)
    return say(f"service.factor.{name}")


def way_words(way: str) -> Said:
    """What a way of comparing is called, by its id."""
    return say(f"service.way.{way}")


def contrasts(panel: Panel, tables: Tables, limits: Limits = LIMITS) -> dict[tuple[str, str], Ways]:
    """For each factor (`factors`) the log ratio of leaving, in up to three ways: ALIKE, RATED and
    OWN.

    The second holds the last rating and the results fixed, as far as they are known. The third sets
    the client against its own earlier months, its usual level held fixed.
    """
    at = served_months(panel)
    rows = panel.rows
    tables = _with_people_gone(tables)
    assigned = tables.get("assignments")
    place = _landmarks(panel, at)
    found = {}
    for (study_row, name), values in factors(at, tables, limits).items():
        usual = _mean_before(values, at["row"])
        taken = {"factor": values, "usual": usual, "change": values - usual}
        columns = {}
        for key, column in taken.items():
            columns[key] = np.where(place >= 0, column[place], np.nan)
        own = rows.assign(**columns)
        if name == LOAD and assigned is not None:  # the analyst, not the rep, is shared
            analysts = analyst_load(at, assigned)["analyst"].to_numpy(object)
            own = own.assign(rep=analysts[place])
        words = factor_words(name, limits)
        found[study_row, name] = _ways(own, words)
    return found


def _landmarks(panel: Panel, at: pd.DataFrame) -> np.ndarray:
    """The row of `at` (`served_months`) from which what is known of each row of the panel is taken;
    -1: none.
    """
    rows = panel.rows
    lagged = rows["to_month"] - panel.lag
    noticed = np.maximum(rows["from_month"] - panel.notice, 1)
    newest = np.where(rows["free"], lagged, noticed)
    cells = at[["row", "month"]]
    served = pd.MultiIndex.from_frame(cells)
    asked = pd.MultiIndex.from_arrays([rows["row"], newest])
    return np.asarray(served.get_indexer(asked))


def _mean_before(values: np.ndarray, by: pd.Series) -> np.ndarray:
    """The mean of the known values before each row, of the same `by`; NaN where there is none."""
    there = ~np.isnan(values)
    sums = np.nan_to_num(values)
    known = pd.DataFrame({"sum": sums, "n": there.astype(int)})
    before = known.groupby(by).cumsum() - known
    number = before["n"].where(before["n"] > 0)
    mean = before["sum"] / number
    return mean.to_numpy(float)


def _ways(rows: pd.DataFrame, words: Said) -> Ways:
    """The contrast of a factor in each way that can be computed; none where too few left."""
    plain = ("factor",)
    past = ("usual", "change")
    unrated = rows.drop(columns="silent")
    alike = lagged_contrast(unrated, (), {"factor": 1.0}, words, plain=plain)
    ways = {ALIKE: alike}
    held = [column for column in ("liking", "results") if rows[column].notna().any()]
    if held:
        ways[RATED] = lagged_contrast(rows, held, {"factor": 1.0}, words, plain=plain)
        ways[OWN] = lagged_contrast(rows, held, {"change": 1.0}, words, plain=past)
    known = {}
    for way, contrast in ways.items():
        if math.isfinite(contrast.theta) and not contrast.gate:
            known[way] = contrast
    return known


def _ratio(contrast: Contrast, level: float) -> list[float]:
    """The ratio and its limits at this level."""
    quantile = stats.norm.ppf((1 + level) / 2)
    limits = contrast.interval(float(quantile))
    return [as_ratio(value) for value in (contrast.theta, *limits)]


def _level(found: Mapping[tuple[str, str], Ways]) -> float:
    """The level of each interval at which all of them hold together in 95 % of cases
    (Bonferroni).
    """
    number = max(len(found), 1)
    return 1 - 0.05 / number


def estimates(found: Mapping[tuple[str, str], Ways], limits: Limits = LIMITS) -> Estimates:
    """Ratios of leaving, every factor in every way; intervals widened for their number
    (Bonferroni).
    """
    level = _level(found)
    rows = []
    for (study_row, name), ways in found.items():
        for way, contrast in ways.items():
            ratio = _ratio(contrast, level)
            counts = (contrast.n_clients, contrast.n_events)
            words = factor_words(name, limits)
            way_said = way_words(way)
            row = Estimate.of(study_row, words, way_said, ratio, "ratio", counts)
            rows.append(replace(row, level=level))
    caption = say("service.factors.caption", factors=len(found))
    return Estimates(tuple(rows), caption)


def words(found: Mapping[tuple[str, str], Ways], limits: Limits = LIMITS) -> Finding:
    """What stands out when all factors are looked at together, in sentences that claim no more than
    that.
    """
    known = _best_ways(found)
    if not known:
        return Finding("C7", say("service.factors.too_little"))
    level = _level(found)
    out = _stands_out(list(known.values()))
    names = []
    for (name, contrast), stands_out in zip(known.items(), out, strict=True):
        if stands_out:
            factor = factor_words(name, limits)
            named = _named(factor, contrast, level)
            names.append(named)
    if names:
        listed = "; ".join(names)
        some = say("service.factors.some", factors=len(known), out=len(names), names=listed)
        luck = say("service.factors.luck", one_in=round(1 / FALSE_SHARE))
        parts = [some, luck]
    else:
        none = say("service.factors.none", factors=len(known))
        parts = [none]
    adjusted = say("service.factors.adjusted")
    indicated = say("service.factors.indicated")
    text = together(*parts, adjusted, indicated)
    return Finding("C7", text)


def _best_ways(found: Mapping[tuple[str, str], Ways]) -> dict[str, Contrast]:
    """The contrast of each factor that holds most fixed, by the id of the factor."""
    best = {}
    for (_, name), ways in found.items():
        contrast = ways.get(RATED, ways.get(ALIKE))
        if contrast is not None:
            best[name] = contrast
    return best


def _stands_out(rows: Sequence[Contrast]) -> np.ndarray:
    """Which contrasts stand out from luck, all looked at together (Benjamini-Hochberg)."""
    chances = [contrast.chance for contrast in rows]
    tests = multipletests(chances, alpha=FALSE_SHARE, method="fdr_bh")
    return np.asarray(tests[0])


def _named(factor: Said, contrast: Contrast, level: float) -> Said:
    ratio, low, high = _ratio(contrast, level)
    interval = between(low, high, "ratio")
    return say("service.factors.one", factor=factor, ratio=ratio, interval=interval)
