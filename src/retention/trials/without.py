"""What was done without a trial, and who left after it: association among clients made alike by
overlap weights, held against a control from before (METHODS 12).

A row is an index day of a client: its answer as a detractor, or a month's end. Something counts as
done within the thirty days after it, and leaving only after those thirty days, so that nobody
counts as treated because it stayed for long enough (a landmark: Anderson, Cain and Gelber 1983).
Weights: Li, Morgan and Zaslavsky 2018. E-value: VanderWeele and Ding 2017. Negative control:
Lipsitch, Tchetgen Tchetgen and Cohen 2010.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from retention.claims.contract_balance import WEAK_PENALTY
from retention.contrast import MIN_EVENTS_GROUP, NO_SPREAD, Contrast, as_ratio
from retention.data.schema import columns_of
from retention.history.features import KEY
from retention.history.in_charge import new_reps, reps_on
from retention.history.measures import DETRACTOR
from retention.history.opportunities import EVENTS_A_PARAMETER
from retention.history.snapshots import month_of
from retention.history.spells import CLIENT, UNKNOWN, add_months
from retention.history.trials import drawn
from retention.numbers import interval_words
from retention.portfolio.margins import raises
from retention.results import Estimate, Estimates, Finding, Findings
from retention.score.resampling import MODEL
from retention.service.nps import waves
from retention.stats.intervals import Floats, leaving_out, welch
from retention.words import Said, say, together

ROW = "E3"
CARE, NEW_REP, RAISE = DONE = ("care", "new_rep", "raise")
TRIED_AS = {CARE: "care", RAISE: "raise_rate"}  # the list of a trial of the same thing
DAYS = 30  # (ours) after the index day, within which something is done
CLEAR_DAYS = 90  # (ours) before the index day, within which it was not
EARLIER = 3  # (ours) months before the index day by which the control was known
# What was known before, in the order in which it is held as far as the rows allow.
BEFORE = (
    "risk",
    "nps_now",
    "tenure_months",
    "term_months",
    "log_size",
    "liking_now",
    "months_to_renewal",
    "meeting_since",
    "index_3",
    "flag_now",
)
CONTROLS = ("nps_earlier", "late_3")  # what no later action can have moved, the first on record
FEW, APART, FEWER, MORE, OPEN = ("few", "apart", "fewer", "more", "open")
COLUMNS = ["client_id", "rep", "done", "left", *CONTROLS, *BEFORE]


def e_value(ratio: float) -> float:
    """How strongly something that nobody recorded would have to go with both the action and
    leaving, as risk ratios, to explain this ratio alone.

    >>> round(e_value(3.9), 2), round(e_value(1 / 3.9), 2), e_value(1.0)
    (7.26, 7.26, 1.0)
    """
    if ratio <= 0:
        return math.inf
    away = max(ratio, 1 / ratio)
    return away + math.sqrt(away * (away - 1))


def e_value_of_limit(low: float, high: float) -> float:
    """The E-value of the limit that is nearest to 1; 1 where the interval includes 1.

    >>> round(e_value_of_limit(1.8, 8.7), 1), e_value_of_limit(0.9, 1.2)
    (3.0, 1.0)
    """
    if low <= 1 <= high:
        return 1.0
    return e_value(low if low > 1 else high)


@dataclass(frozen=True)
class Weighted:
    """Weighted means of an outcome with and without the action; `influence` (n, 2) is what each row
    adds to either.
    """

    means: Floats
    influence: Floats


def weighted(rows: pd.DataFrame, outcome: str) -> Weighted:
    """Both groups' mean outcome, each row weighted by the chance of the group that it is not in.

    That the chances are estimated is in the influence (stacked estimating equations).
    """
    done = rows["done"].to_numpy(bool)
    y = rows[outcome].to_numpy(float)
    X = covariates(rows)
    chance = _chances(X, done)
    spread = chance * (1 - chance)
    precision = (X * spread[:, None]).T @ X
    precision[1:, 1:] += np.eye(X.shape[1] - 1) / WEAK_PENALTY
    fitted = X * (done - chance)[:, None] @ np.linalg.inv(precision)
    means = []
    parts = []
    for own, weight, turn in ((done, 1 - chance, -1), (~done, chance, 1)):
        weight = np.where(own, weight, 0.0)
        mean = np.average(y, weights=weight)
        off = y - mean
        slope = turn * (np.where(own, spread, 0.0) * off) @ X
        parts.append((weight * off + fitted @ slope) / weight.sum())
        means.append(mean)
    return Weighted(np.array(means), np.column_stack(parts))


def covariates(rows: pd.DataFrame) -> Floats:
    """What was known before as standardised numbers, shape (n, 1 + k), the first all ones.

    Each with whether it is on record, in the order of `BEFORE`, as far as ten rows of the smaller
    group a parameter allow; unknown values are the mean.
    """
    smaller = rows["done"].value_counts().min()
    room = smaller // EVENTS_A_PARAMETER
    kept = [np.ones(len(rows))]
    for name in BEFORE:
        values = rows[name].astype(float)
        missing = values.isna().astype(float)
        known = values.fillna(values.mean())
        columns = [column for column in (known, missing) if column.nunique() > 1]
        if len(columns) > room:
            break
        room -= len(columns)
        kept += [((column - column.mean()) / column.std()).to_numpy() for column in columns]
    return np.column_stack(kept)


def _chances(X: Floats, done: np.ndarray) -> Floats:
    """The chance of the action by what was known before, shape (n,)."""
    if X.shape[1] == 1:
        return np.full(len(X), done.mean())
    model = LogisticRegression(C=WEAK_PENALTY, solver="newton-cholesky")
    fitted = model.fit(X[:, 1:], done)
    return np.asarray(fitted.predict_proba(X[:, 1:])[:, 1])


def contrast(
    rows: pd.DataFrame, outcome: str, counts: Mapping[str, int], *, ratio: bool = False
) -> Contrast:
    """The outcome with the action less that without (or its log ratio), by client or rep, the
    wider; `counts` of each group say how well the error is known.
    """
    found = weighted(rows, outcome)
    scale = found.means if ratio else np.ones(2)
    values = np.log(found.means) if ratio else found.means
    each = found.influence / scale
    own = each[:, 0] - each[:, 1]
    theta = float(values[0] - values[1])
    codes, clients = pd.factorize(rows["client_id"])
    by_client = np.bincount(codes, own)
    n = len(clients)
    se = math.sqrt((by_client**2).sum() * n / (n - 1))
    by_rep = _by_rep(own, rows["rep"], theta)
    df = welch(*counts.values())
    return Contrast(outcome, theta, se, n, counts, df=df, by_rep=by_rep)


def _by_rep(own: Floats, reps: pd.Series, theta: float) -> Any:
    """The spread as each rep's rows are left out (one Newton step)."""
    names = reps.fillna("").astype(str)
    codes, labels = pd.factorize(names)
    sums = np.bincount(codes, own)
    sizes = np.bincount(codes).astype(float)
    named = np.asarray(labels) != ""
    return leaving_out(theta - sums[named], sizes[named]) if named.any() else NO_SPREAD


@dataclass(frozen=True)
class Done:
    """One thing done without a trial, an id of `DONE`.

    `rows`: an index day of a client each, with `COLUMNS`; `lacking` says which record there is
    none of.
    """

    id: str
    months: int
    rows: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=COLUMNS))
    lacking: Said | None = None

    def group(self, done: bool) -> pd.DataFrame:
        """The rows of those for whom it was done, or of the others."""
        return self.rows[self.rows["done"].astype(bool) == done]

    def clients(self, done: bool) -> int:
        """How many clients have a row in the group."""
        return int(self.group(done)["client_id"].nunique())

    def ends(self, done: bool) -> int:
        """How many clients of the group left by choice, each counted once."""
        rows = self.group(done)
        return int(rows.loc[rows["left"] == 1, "client_id"].nunique())

    @property
    def few(self) -> bool:
        """Whether too few left in a group for a comparison."""
        return min(self.ends(True), self.ends(False)) < MIN_EVENTS_GROUP

    @cached_property
    def shares(self) -> Floats:
        """The weighted shares that left, with the action and without it."""
        return weighted(self.rows, "left").means

    @cached_property
    def difference(self) -> Contrast:
        """The difference of the shares."""
        return contrast(self.rows, "left", self._ends)

    @cached_property
    def ratio(self) -> Contrast:
        """The log of their ratio."""
        return contrast(self.rows, "left", self._ends, ratio=True)

    @property
    def ratio_limits(self) -> tuple[float, float, float]:
        """The ratio with its interval."""
        low, high = self.ratio.interval()
        return as_ratio(self.ratio.theta), as_ratio(low), as_ratio(high)

    @property
    def _ends(self) -> dict[str, int]:
        return {"done": self.ends(True), "others": self.ends(False)}

    @cached_property
    def control(self) -> Contrast | None:
        """The difference in what the action cannot have moved; None where nothing of the kind is on
        record of ten clients a group.
        """
        for name in CONTROLS:
            rows = self.rows.dropna(subset=[name]).reset_index(drop=True)
            known = Done(self.id, self.months, rows)
            counts = {"done": known.clients(True), "others": known.clients(False)}
            if min(counts.values()) >= MIN_EVENTS_GROUP and rows[name].nunique() > 1:
                return contrast(rows, name, counts)
        return None

    @property
    def verdict(self) -> str:
        """What is to be made of it: `FEW`, `APART` (the groups differed before), `FEWER` or `MORE`
        left, or `OPEN`; empty where a record is lacking.
        """
        if self.lacking is not None:
            return ""
        if self.few:
            return FEW
        if self.control is not None and beyond_zero(self.control):
            return APART
        if not beyond_zero(self.difference):
            return OPEN
        return FEWER if self.difference.theta < 0 else MORE


def beyond_zero(found: Contrast) -> bool:
    """Whether the interval excludes no difference."""
    low, high = found.interval()
    return low > 0 or high < 0


def done(study: Any) -> tuple[Done, ...]:
    """The three things done without a trial: a detractor called, a new rep, a fee raised."""
    months = study.settings.trial.horizon_months
    before = known_before(study)
    return tuple(_one(study, name, before, months) for name in DONE)


def known_before(study: Any) -> pd.DataFrame:
    """A row a client and month's end: `client_id, month`, `BEFORE` and `CONTROLS`; no rows where
    there are no dates.
    """
    snapshots = study.snapshots
    columns = ["client_id", "month", *BEFORE, "late_3"]
    if snapshots.empty:
        return pd.DataFrame(columns=[*columns, "nps_earlier"])
    key = ["client_id", "month"]
    predicted = study.risk[0].predictions
    risk = predicted.reindex(columns=[*key, MODEL]).rename(columns={MODEL: "risk"})
    risk = risk.astype({"client_id": snapshots["client_id"].dtype, "month": "int64"})
    rows = snapshots.merge(risk.drop_duplicates(key), on=key, how="left")
    rows = rows.reindex(columns=columns)
    earlier = rows[[*key, "nps_now"]].rename(columns={"nps_now": "nps_earlier"})
    earlier = earlier.assign(month=earlier["month"] + EARLIER)
    return rows.merge(earlier, on=key, how="left")


def _one(study: Any, name: str, before: pd.DataFrame, months: int) -> Done:
    events = _events(study, name)
    if events.empty:
        return Done(name, months, lacking=say(f"what_helped.without.lacking.{name}"))
    at = _index_days(study, name, before, events)
    if at.empty:
        return Done(name, months, lacking=say("what_helped.without.lacking.index"))
    at = _outside_trials(at, study, TRIED_AS.get(name, ""), months)
    at = _followed(at, study.spells, pd.Timestamp(study.cutoff), months)
    at = _marked(at, events, 0 if name == CARE else 1)
    named = at.drop(columns="rep_id", errors="ignore")
    reps = reps_on(named, "day", study.known("assignments"), study.known("staff"))
    rows = at.assign(rep=reps)
    return Done(name, months, rows[[*COLUMNS, "day"]].reset_index(drop=True))


def _events(study: Any, name: str) -> pd.DataFrame:
    """When it was done, and for whom: `client_id, day`."""
    if name == CARE:
        actions = study.known("actions")
        frames = {} if actions is None else {"actions": actions}
        rows = columns_of(frames, "actions", "client_id", "action", "done_on")
        rows = rows[(rows["action"] == CARE).fillna(False)]
        return rows.rename(columns={"done_on": "day"})[["client_id", "day"]].dropna()
    if name == NEW_REP:
        spells = study.spells
        return new_reps(spells, study.known("assignments"), study.known("staff"))
    contracts = study.contracts
    return raises({} if contracts is None else {"contracts": contracts})


def _answers(study: Any, before: pd.DataFrame, events: pd.DataFrame) -> pd.DataFrame:
    """Every answer of a detractor since actions are written down, with what was known at the
    month's end before it, and what it says itself.
    """
    asked = waves(study.known("surveys"), study.settings.scales.nps)
    last = pd.Timestamp(study.cutoff)
    low = (asked["nps"] <= DETRACTOR) & asked["answered_on"].between(events["day"].min(), last)
    rows = asked[low].rename(columns={"answered_on": "day"})
    rows = rows.reindex(columns=["client_id", "day", "nps", "rep_liking"])
    rows = rows.assign(month=month_of(rows["day"]) - 1)
    known = before.astype({"client_id": rows["client_id"].dtype, "month": rows["month"].dtype})
    joined = rows.merge(known, on=["client_id", "month"], how="left")
    liking = joined["rep_liking"].astype(float).fillna(joined["liking_now"].astype(float))
    return joined.assign(nps_now=joined["nps"], liking_now=liking)


def _month_ends(before: pd.DataFrame) -> pd.DataFrame:
    """Every month's end of a client."""
    month = before["month"].astype(int)
    first = pd.to_datetime({"year": month // 12, "month": month % 12 + 1, "day": 1})
    return before.assign(day=first + pd.offsets.MonthEnd(0))


def _due(study: Any) -> pd.DataFrame:
    """The days on which each client's next term begins, or would: `client_id, day`."""
    starts = study.spells[[*KEY, "start_date"]]
    cycles = study.cycles.merge(starts, on=KEY)
    days = add_months(cycles["start_date"], cycles["to_month"])
    return cycles[["client_id"]].assign(day=days)


def _index_days(study: Any, name: str, before: pd.DataFrame, events: pd.DataFrame) -> pd.DataFrame:
    """The rows from which clients are followed, with their `day`.

    Of raises those before a new term: a fee rises with one, and who has none may only be locked in.
    """
    if name == CARE:
        return _answers(study, before, events)
    at = _month_ends(before)
    return at[near(at, _due(study), 1, DAYS)] if name == RAISE else at


def _outside_trials(at: pd.DataFrame, study: Any, name: str, months: int) -> pd.DataFrame:
    """The rows of clients who were not drawn for a running trial of the same thing."""
    table = study.known("trials")
    draws = drawn({} if table is None else {"trials": table}, months)
    mine = draws.loc[(draws["list"] == name).fillna(False), ["client_id", "drawn_on", "until"]]
    numbered = at[["client_id", "day"]].assign(row=np.arange(len(at)))
    pairs = numbered.astype({"client_id": "string"}).merge(
        mine.astype({"client_id": "string"}), on="client_id"
    )
    begun = pairs["drawn_on"] <= pairs["day"] + pd.Timedelta(days=DAYS)
    inside = pairs.loc[begun & (pairs["until"] >= pairs["day"]), "row"]
    return at[~np.isin(np.arange(len(at)), inside)].reset_index(drop=True)


def _followed(
    at: pd.DataFrame, spells: pd.DataFrame, cutoff: pd.Timestamp, months: int
) -> pd.DataFrame:
    """The rows of clients who were there and not under notice thirty days after the index day, and
    whose horizon has passed, with `left`: by choice, within it.
    """
    columns = ["client_id", "start_date", "end_date", "decision_date", "end_kind"]
    named = spells.reindex(columns=[*columns, "rep_id"])
    known = at.astype({"client_id": named["client_id"].dtype})
    rows = known.reset_index(names="row").merge(named, on="client_id")
    landmark = rows["day"] + pd.Timedelta(days=DAYS)
    until = landmark + pd.DateOffset(months=months)
    there = (rows["start_date"] <= rows["day"]) & (until <= cutoff)
    there &= ~(rows["end_date"] <= landmark) & ~(rows["decision_date"] <= landmark)
    by_choice = rows["end_kind"].isin([CLIENT, UNKNOWN])
    left = by_choice & (rows["end_date"] <= until)
    rows = rows.assign(left=left.astype(float))[there]
    return rows.drop_duplicates("row", keep="last").drop(columns="row").reset_index(drop=True)


def near(at: pd.DataFrame, events: pd.DataFrame, first: int, last: int) -> np.ndarray:
    """Whether one of the client's `events` lies `first` to `last` days after each row's day, shape
    (n,).
    """
    numbered = at[["client_id", "day"]].assign(row=np.arange(len(at)))
    dated = events[["client_id", "day"]].rename(columns={"day": "event"})
    text = {"client_id": "string"}
    pairs = numbered.astype(text).merge(dated.astype(text), on="client_id")
    days = (pd.to_datetime(pairs["event"]) - pairs["day"]).dt.days
    hit = pairs.loc[days.between(first, last), "row"]
    return np.isin(np.arange(len(at)), hit)


def _marked(at: pd.DataFrame, events: pd.DataFrame, first: int) -> pd.DataFrame:
    """The rows with `done`, from the day `first` on; without those for whom it was done in the
    ninety days before.
    """
    marked = at.assign(done=near(at, events, first, DAYS))
    lately = near(at, events, -CLEAR_DAYS, first - 1)
    return marked[~lately].reset_index(drop=True)


def without(study: Any) -> Estimates:
    """What was done without a trial, and who left after it (E3): `estimates` of `done`."""
    return estimates(done(study))


def estimates(made: tuple[Done, ...]) -> Estimates:
    """Counts, and where enough left the weighted shares, their difference and ratio, E-values and
    the control.
    """
    rows = [row for one in made if one.lacking is None for row in _estimates(one)]
    return Estimates(tuple(rows), say("what_helped.without.caption", days=DAYS))


def _estimates(one: Done) -> list[Estimate]:
    group = say(f"what_helped.without.group.{one.id}")
    both = one.clients(True), one.ends(True)
    others = one.clients(False), one.ends(False)
    known = say("what_helped.without.clients_done", days=DAYS)
    rest = say("what_helped.without.clients_others")
    counted = [
        Estimate.of(ROW, known, group, both[:1], "count", both),
        Estimate.of(ROW, rest, group, others[:1], "count", others),
    ]
    if one.few:
        return [*counted, *_ends(group, both, others)]
    rows = [*counted, *_shares(one, group, both, others)]
    return [*rows, *_control(one, group)]


def _ends(group: Said, both: tuple[int, int], others: tuple[int, int]) -> list[Estimate]:
    """The counts of who left, where there is nothing more to say."""
    with_it = say("what_helped.without.left_done")
    without_it = say("what_helped.without.left_others")
    return [
        Estimate.of(ROW, with_it, group, both[1:], "count", both),
        Estimate.of(ROW, without_it, group, others[1:], "count", others),
    ]


def _shares(
    one: Done, group: Said, both: tuple[int, int], others: tuple[int, int]
) -> list[Estimate]:
    counts = one.difference.n_clients, one.difference.n_events
    ratio = one.ratio_limits
    points = [100 * value for value in (one.difference.theta, *one.difference.interval())]
    share_done, share_others = one.shares
    nearest = e_value_of_limit(*ratio[1:])
    shown = [
        ("share_done", (share_done,), "share", both),
        ("share_others", (share_others,), "share", others),
        ("difference", points, "number", counts),
        ("ratio", ratio, "ratio", counts),
        ("e_value", (e_value(ratio[0]),), "ratio", counts),
        ("e_limit", (nearest,), "ratio", counts),
    ]
    return [
        Estimate.of(ROW, say(f"what_helped.without.{name}"), group, values, unit, of)
        for name, values, unit, of in shown
    ]


def _control(one: Done, group: Said) -> list[Estimate]:
    found = one.control
    if found is None:
        return []
    name = say(f"what_helped.without.control.{found.name}")
    values = (found.theta, *found.interval())
    return [Estimate.of(ROW, name, group, values, "number", (found.n_clients, 0))]


def findings(made: tuple[Done, ...]) -> Findings:
    """What each thing goes with, in sentences."""
    return Findings(tuple(finding(one) for one in made))


def finding(one: Done) -> Finding:
    """What one thing done without a trial goes with: which record is lacking, counts where few
    left, else the shares, what to make of them, and how strong a hidden cause would have to be.
    """
    if one.lacking is not None:
        return Finding(ROW, one.lacking)
    if one.few:
        return Finding(ROW, _few_words(one))
    share_done, share_others = one.shares
    shares = {"done": share_done, "others": share_others}
    lead = say(f"what_helped.without.lead.{one.id}", months=one.months, **shares)
    parts = [lead, _interval_words(one), say(f"what_helped.without.verdict.{one.verdict}")]
    if one.verdict == APART and one.control is not None:
        parts.append(_apart_words(one.control))
    if one.verdict in (FEWER, MORE):
        parts.append(_hidden_words(one))
    if one.control is None:
        parts.append(say("what_helped.without.unchecked"))
    return Finding(ROW, together(*parts))


def _few_words(one: Done) -> Said:
    counts = {
        "left": one.ends(True),
        "n": one.clients(True),
        "others_left": one.ends(False),
        "others": one.clients(False),
    }
    lead = say(f"what_helped.without.few.{one.id}", months=one.months, **counts)
    return together(lead, say("what_helped.without.too_few", least=MIN_EVENTS_GROUP))


def _interval_words(one: Done) -> Said:
    low, high = one.difference.interval()
    found = {"points": 100 * one.difference.theta, "low": 100 * low, "high": 100 * high}
    return say("what_helped.without.points", **found)


def _apart_words(found: Contrast) -> Said:
    interval = interval_words(*found.interval(), "number")
    before = say(f"what_helped.without.control.{found.name}")
    return say("what_helped.without.apart", before=before, gap=found.theta, interval=interval)


def _hidden_words(one: Done) -> Said:
    ratio = one.ratio_limits
    values = {"e_value": e_value(ratio[0]), "limit": e_value_of_limit(*ratio[1:])}
    return say("what_helped.without.hidden", **values)


def frame(made: tuple[Done, ...]) -> pd.DataFrame:
    """A row a thing that can be compared, for a chart: `id, action, difference, low, high` in
    percentage points, `trusted` (the control does not speak against it), `clients, ends`.
    """
    columns = ["id", "action", "difference", "low", "high", "trusted", "clients", "ends"]
    compared = [one for one in made if one.verdict not in ("", FEW)]
    return pd.DataFrame([_row(one) for one in compared], columns=columns)


def _row(one: Done) -> dict[str, object]:
    low, high = one.difference.interval()
    return {
        "id": one.id,
        "action": say(f"what_helped.without.group.{one.id}"),
        "difference": 100 * one.difference.theta,
        "low": 100 * low,
        "high": 100 * high,
        "trusted": one.verdict != APART,
        "clients": one.difference.n_clients,
        "ends": one.difference.n_events,
    }
