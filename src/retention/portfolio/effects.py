"""What goes with leaving, being let go, late payment and margin: signs at signing, flags, raises,
new reps.

Exploratory (METHODS 1 and 5): effect and interval for all that is looked at, corrected for how much
that is, no verdict. What may follow from a wish to leave is taken from before the decision. All of
it is association.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, inf, isfinite
from typing import Any

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests

from retention.contrast import Z95, Contrast
from retention.data.schema import columns_of
from retention.history.features import KEY
from retention.history.in_charge import NOBODY, new_reps
from retention.history.opportunities import compare, exit_rows, month_rows
from retention.history.panel import Panel
from retention.history.spells import AGENCY, add_months
from retention.portfolio.book import Book
from retention.portfolio.evidence import NOTED, RED_FLAG, days_late
from retention.portfolio.margins import raises
from retention.results import FALSE_DISCOVERIES, Estimate, Estimates, Finding
from retention.settings import study_plan
from retention.stats.intervals import difference_by_rep
from retention.words import Said, key_of, say, together

SIGNS: Mapping[str, Mapping[str, Any]] = study_plan()["signs"]
LEFT = say("portfolio.effect.left")
LET_GO = say("portfolio.effect.let_go")
LATE = say("portfolio.effect.late")
MARGIN = say("portfolio.effect.margin")
ENDS = say("portfolio.effect.ends")
SHRUNK = say("portfolio.effect.shrunk")
MONTHS_AFTER = 3  # METHODS 5: months in which a raise (or a new rep) is looked at
PRIOR_SD = 0.25  # (ours) of a sign's log ratio: two in three lie between 0.8 and 1.3
MIN_CLIENTS = 10  # (ours) of a group whose mean is shown
WITH = say("portfolio.signs.with")
WITHOUT = say("portfolio.signs.without")


def signs(spells: pd.DataFrame) -> pd.DataFrame:
    """The bad signs of each engagement at signing, a column each, by their ids in plan.toml: True,
    False, or missing where not known.

    Many approval layers are more than the median client has.
    """
    found = {}
    for column, about in SIGNS.items():
        if column in spells and spells[column].notna().any():
            values = spells[column].astype("Float64")
            found[column] = _bad(values, about["worse"])
    return pd.DataFrame(found, index=spells.index)


def _bad(values: pd.Series, worse: str) -> pd.Series:
    """Which values are bad: those above the median where `many` are worse, else `yes` or `no`."""
    if worse == "many":
        return values > values.median()
    return values == (worse == "yes")


@dataclass(frozen=True)
class Looked(Estimate):
    """An effect among many that are looked at, with how often chance alone makes as large a one, by
    client or by rep, the larger.
    """

    chance: float = 1.0

    @classmethod
    def at(cls, estimate: Estimate, contrast: Contrast) -> Looked:
        """The estimate with the chance of the contrast that it comes from."""
        return cls(**vars(estimate), chance=contrast.chance)

    def payload(self) -> dict[str, Any]:
        """The row of results.json."""
        told = super().payload()
        del told["chance"]
        return told


def sign_words(sign: str) -> Said:
    """What a bad sign at signing is called, by its id."""
    return say(f"portfolio.sign.{sign}")


def sign_effects(book: Book) -> Estimates:
    """Of each bad sign at signing: ratios of leaving by choice and of being let go, later payment,
    margin (D7, D10).

    Ratios are among clients alike in size, source and time (`opportunities.compare`); a further
    column shrinks those of leaving towards 1, the more the less is known (ridge). Differences in
    days and money (active clients) are Welch's, or by rep.
    """
    bad = signs(book.spells)
    found = []
    let_go = exit_rows(book.spells, kinds=(AGENCY,))
    chances = [(LEFT, exit_rows(book.spells)), (LET_GO, let_go)]
    begin = book.cutoff - pd.DateOffset(months=24)
    late = days_late(book.known, begin)
    margins = book.monthly["margin"]
    amounts = [(LATE, late, "number"), (MARGIN, margins, "money")]
    keys = pd.MultiIndex.from_frame(book.spells[KEY])
    for sign in bad:
        marks = bad[sign].set_axis(keys)
        for outcome, at in chances:
            found += _sign_ratio(sign, outcome, at, marks)
        newest = marks.groupby(level=0).last()
        for outcome, values, unit in amounts:
            newest_of = newest.reindex(values.index)
            found += _difference(sign, outcome, values, newest_of, unit, book)
    rows = (*found, *_shrunk(found))
    return Estimates(rows, say("portfolio.signs.caption"))


def _sign_ratio(sign: str, outcome: Said, at: pd.DataFrame, marks: pd.Series) -> list[Estimate]:
    """The ratio of leaving with the sign against without; nothing where too few left.

    `at`: rows of `exit_rows`; `marks`: whether each engagement has the sign, by `KEY`.
    """
    keys = pd.MultiIndex.from_frame(at[KEY])
    of_each = marks.reindex(keys).set_axis(at.index)
    own = of_each.dropna().astype(bool)
    known = at.loc[own.index]
    rows = known.reset_index(drop=True)
    own = own.reset_index(drop=True)
    words = sign_words(sign)
    compared = compare(rows, own, (WITH, WITHOUT), name=words)
    contrast = compared.contrast
    if contrast.gate:
        return []
    row = SIGNS[sign]["study"]
    estimate = contrast.estimate(row, words, outcome)
    return [Looked.at(estimate, contrast)]


def _difference(
    sign: str, outcome: Said, values: pd.Series, marks: pd.Series, unit: str, book: Book
) -> list[Estimate]:
    """The difference of two means, with it less without, with Welch's interval, or by rep, the
    wider.

    `values` and `marks` by client; nothing where a group has under ten.
    """
    by = values.groupby(marks)
    means = by.mean()
    ses = by.sem()
    n = by.count()
    if len(n) < 2 or n.min() < MIN_CLIENTS:
        return []
    gap = float(means[True] - means[False])
    joint = float(np.hypot(ses[True], ses[False]))
    parts = ses**4 / (n - 1)
    df = joint**4 / parts.sum() if joint > 0 else inf
    both_known = values.notna() & marks.notna()
    known = both_known.to_numpy()
    reps = book.last_rep(values.index[known])
    amounts = values[known].to_numpy(float)
    by_rep = difference_by_rep(amounts, marks[known], reps)
    words = sign_words(sign)
    row = SIGNS[sign]["study"]
    contrast = Contrast(words, gap, joint, int(n.sum()), {}, df=df, by_rep=by_rep)
    limits = (gap, *contrast.interval())
    counts = (contrast.n_clients, 0)
    estimate = Estimate.of(row, words, outcome, limits, unit, counts)
    return [Looked.at(estimate, contrast)]


def _shrunk(rows: list[Estimate]) -> list[Estimate]:
    """The ratios of leaving shrunk towards 1 by a normal prior on their logs (ridge)."""
    ratios = [row for row in rows if _is(row, LEFT) and row.low > 0 and isfinite(row.high)]
    ratios_found = [row.estimate for row in ratios]
    theta = np.log(ratios_found)
    spans = [row.high / row.low for row in ratios]
    se = np.log(spans) / (2 * Z95)
    total = PRIOR_SD**2 + se**2
    keep = PRIOR_SD**2 / total
    made = []
    for row, share, t, s in zip(ratios, keep, theta, se, strict=True):
        middle = share * t
        spread = np.sqrt(share) * s
        limits = [exp(middle + z * spread) for z in (0.0, -Z95, Z95)]
        counts = (row.n_clients, row.n_events)
        estimate = Estimate.of(row.id, row.name, SHRUNK, limits, "ratio", counts)
        made.append(estimate)
    return made


def _is(row: Estimate, *outcomes: Said) -> bool:
    """Whether an estimate is about one of these outcomes."""
    keys = {outcome.key for outcome in outcomes}
    return key_of(row.group) in keys


def beyond_luck(*found: Estimates) -> Finding:
    """Which effects stand out beyond what so many looks would find by luck (Benjamini-Hochberg at a
    tenth).
    """
    every = [row for part in found for row in part.rows]
    rows = [row for row in every if isinstance(row, Looked) and _has_width(row)]
    if not rows:
        return Finding("D7", say("portfolio.effects.too_little"))
    chances = [row.chance for row in rows]
    beyond = multipletests(chances, alpha=FALSE_DISCOVERIES, method="fdr_bh")
    kept = beyond[0]
    out = [row for row, keep in zip(rows, kept, strict=True) if keep]
    return _luck_words(out, len(rows))


def _luck_words(out: Sequence[Estimate], looked: int) -> Finding:
    if not out:
        return Finding("D7", say("portfolio.effects.none", looked=looked))
    names = [say("portfolio.effects.one", effect=row.name, outcome=row.group) for row in out]
    listed = ", ".join(names)
    some = say("portfolio.effects.some", out=len(out), looked=looked, names=listed)
    text = together(some, say("portfolio.effects.luck"))
    return Finding("D7", text)


def _has_width(row: Estimate) -> bool:
    """Whether the interval of an effect says how sure it is: finite and not a point (all values
    alike).
    """
    limits = [row.low, row.high]
    if row.unit == "ratio" and row.low <= 0:
        return False
    finite = np.isfinite(limits).all()
    return bool(finite and row.high > row.low)


def after_events(
    spells: pd.DataFrame, days: Mapping[str, pd.DataFrame], notice: int, months: int = 0
) -> Estimates:
    """Ratios of leaving by choice once something has happened to a client (D7, D8, D4): a row each
    event of `days`.

    `days` has frames of `client_id` and `day`, by the id of the event. A month counts where the
    client was free to leave, and as one after the event where that lay before the decision
    (`notice` months earlier), at most `months` before it if given; an event from before the client
    signed counts as well.
    """
    rows = _free_months(spells, notice)
    fixed_term = (rows["contract_term_months"] > 1).astype(float)
    others = pd.DataFrame({"fixed": fixed_term})
    row = "D4" if months else "D7"
    found = []
    for event, dated in days.items():
        marks = _after(rows, dated, months)
        hits = rows[marks]
        clients = hits["client_id"].nunique()
        if not clients:
            continue
        words = say(f"portfolio.event.{event}")
        left = int(hits["left"].sum())
        ends = Estimate.of(row, words, ENDS, (left,), "count", (clients, left))
        found.append(ends)
        compared = compare(rows, marks, (WITH, WITHOUT), name=words, others=others)
        contrast = compared.contrast
        if not contrast.gate:
            estimate = contrast.estimate(row, words, LEFT)
            found.append(Looked.at(estimate, contrast))
    once = say("portfolio.events.once")
    caption = say("portfolio.events.within", months=months) if months else once
    return Estimates(tuple(found), caption)


def _free_months(spells: pd.DataFrame, notice: int) -> pd.DataFrame:
    """The months in which a client was free to leave, with the day by which that was `decided`."""
    rows = month_rows(spells)
    term = rows["contract_term_months"].astype(int)
    monthly = term == 1
    renews = rows["to_month"] % term == 0
    rows = rows[monthly | renews].reset_index(drop=True)
    month = (rows["from_month"] - notice).clip(lower=0)
    decided = add_months(rows["start_date"], month)
    return rows.assign(decided=decided)


def _after(rows: pd.DataFrame, dated: pd.DataFrame, months: int) -> pd.Series:
    """Which rows were decided after the event, at most so many months if that is given."""
    clients = rows[["client_id", "decided"]].assign(row=rows.index)
    on_day = dated.assign(day=pd.to_datetime(dated["day"]))
    at = clients.merge(on_day, on="client_id")
    hit = at["day"] < at["decided"]
    if months:
        span = pd.DateOffset(months=months)
        hit &= at["day"] >= at["decided"] - span
    after = at.loc[hit, "row"]
    return pd.Series(rows.index.isin(after), rows.index)


def new_rep(panel: Panel) -> Estimates:
    """What the rating did after a change of rep, beyond what it did without, by whether the former
    was loved (A6, D4).

    Mean of three months after less three before; loved: a rating in the upper third before.
    Interval by client (t), or by the rep in charge then, the wider.
    """
    every = _ratings_moved(panel)
    high = every["before"].quantile(2 / 3)
    loved = every["before"] >= high
    made = []
    change = say("portfolio.new_rep.change")
    for who, part in (("loved", every[loved]), ("others", every[~loved])):
        contrast = _after_change(part, change)
        if contrast is None:
            continue
        values = (contrast.theta, *contrast.interval())
        group = say(f"portfolio.new_rep.{who}")
        counts = (contrast.n_clients, 0)
        estimate = Estimate.of("D4", change, group, values, "points", counts)
        made.append(estimate)
    return Estimates(tuple(made), say("portfolio.new_rep.caption"))


def _after_change(rows: pd.DataFrame, words: Said) -> Contrast | None:
    """How far ratings moved where the rep changed, less how far elsewhere; None where too few
    clients had a change. `rows` as of `_ratings_moved`.
    """
    new = rows["new"].astype(bool)
    by_client = rows[new].groupby("client")["moved"].mean()
    without = rows.loc[~new, "moved"].mean()
    gap = by_client - without
    clients = len(gap)
    if clients < MIN_CLIENTS:
        return None
    moved = rows["moved"].to_numpy(float)
    by_rep = difference_by_rep(moved, new, rows["rep"])
    middle = float(gap.mean())
    se = float(gap.sem())
    return Contrast(words, middle, se, clients, {}, df=clients - 1, by_rep=by_rep)


def _ratings_moved(panel: Panel) -> pd.DataFrame:
    """A row a client and month before and after which one rep each was in charge for
    `MONTHS_AFTER` months.

    Columns: `client, before` (mean rating), `moved` (after less before), `new` (the rep changed),
    `rep` (then).
    """
    rep = panel.rep
    span = MONTHS_AFTER
    columns = ["client", "before", "moved", "new", "rep"]
    parts = []
    for month in range(span, rep.shape[1] - span):
        earlier = slice(month - span, month)
        later = slice(month, month + span)
        before = pd.DataFrame(panel.liking[:, earlier]).mean(axis=1)
        after = pd.DataFrame(panel.liking[:, later]).mean(axis=1)
        last = rep[:, month - 1]
        first = rep[:, month]
        same_before = rep[:, earlier] == last[:, None]
        same_after = rep[:, later] == first[:, None]
        one_each = same_before.all(axis=1) & same_after.all(axis=1)
        known = (last != NOBODY) & (first != NOBODY)
        moved = {
            "client": before.index,
            "before": before,
            "moved": after - before,
            "new": first != last,
            "rep": first,
        }
        steady = one_each & known
        parts.append(pd.DataFrame(moved)[steady])
    if not parts:
        return pd.DataFrame(columns=columns)
    return pd.concat(parts).dropna()


def happenings(book: Book) -> dict[str, pd.DataFrame]:
    """What happened to clients, for `after_events`: `client_id, day`, by the group of what was
    noted (D7, D8, D11).
    """
    flags = columns_of(book.known, "flags", "client_id", "noted_on", "flag")
    flags = flags.rename(columns={"noted_on": "day"})
    names = flags["flag"].astype(str).str.casefold()
    group = names.map(lambda name: NOTED.get(name, {}).get("group", RED_FLAG))
    happened = {"anything": flags}
    for name, rows in flags.groupby(group):
        happened[str(name)] = rows
    return happened


def changes(book: Book) -> dict[str, pd.DataFrame]:
    """Raises of the fee, new reps and free work, for `after_events`: `client_id, day` (D4, C9)."""
    assignments = book.known.get("assignments")
    reps = new_reps(book.spells, assignments, book.known.get("staff"))
    asked = columns_of(book.known, "requests", "client_id", "requested_on", "in_scope", "billed")
    outside = asked["in_scope"].eq(False)
    unbilled = asked["billed"].eq(False)
    free = asked[outside & unbilled].rename(columns={"requested_on": "day"})
    raised = raises(book.known)
    return {"raise": raised, "new_rep": reps, "free_work": free}
