"""What a comparison holds fixed: size, categories, numbers and flags known at signing, as many as
the ends allow.

A block is the columns of one thing. The study's own blocks come first, in a fixed order; those of
the user follow while there are ten ends for each parameter (METHODS 1). What has no place is named,
with why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from retention.data.schema import SIGNING
from retention.settings import Extra
from retention.stats.bands import band_exposure, natural_spline
from retention.stats.hazards import Fit, NotFittedError, fit_hazard
from retention.stats.score_test import score_test
from retention.words import Said, key_of, say

EVENTS_A_PARAMETER = 10  # METHODS 1: at most a tenth as many parameters as ends
SPLINE_FROM = 100  # ends from which a number may bend
MIN_LEVEL_CLIENTS, MIN_LEVEL_EVENTS = 10, 2  # smaller categories join the rest
MOST_BLANK = 0.5  # (ours) a column blank for more of the clients says too little of who they are
BLANKS_P = 0.10  # (ours) blanks go with leaving where chance would show as much once in ten times
CUT = (0.01, 0.99)  # quantiles beyond which a number counts as the quantile: METHODS 2
SIZE = "monthly_ad_spend"
NOT_KNOWN = "not_known"  # id of the column, or level, of blanks
THINGS = ("contract", "size", "source", "industry", "calendar_time", "half_year")  # our own blocks
NO_ROOM = say("held.why.no_room")
NOT_FITTED = say("held.why.not_fitted")


@dataclass(frozen=True)
class Held:
    """A fitted regression: `blocks` are the ids of what is held fixed, `refused` those of what was
    offered and is not, with why.
    """

    fit: Fit
    blocks: tuple[str, ...]
    refused: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Model:
    """A regression of leaving (n,) on the covariate `target` and what else is always held:
    `covariates` (n, k).
    """

    target: str
    left: np.ndarray
    covariates: pd.DataFrame
    exposure: np.ndarray
    clients: pd.Series
    reps: pd.Series | None = None  # who was in charge, for intervals; None where nobody knows

    @property
    def room(self) -> float:
        """How many further parameters there are ends for; the band rates are no covariates."""
        ends = self.left.sum() / EVENTS_A_PARAMETER
        return float(ends - self.covariates.shape[1])

    def fit(self, blocks: Mapping[str, pd.DataFrame]) -> Fit:
        """The regression with these blocks; NotFittedError where it has no finite answer."""
        columns = [block.add_prefix(f"{name}: ") for name, block in blocks.items()]
        return fit_hazard(
            self.left, pd.concat([self.covariates, *columns], axis=1), self.exposure, self.clients
        )

    def hold(self, own: Mapping[str, pd.DataFrame], offered: Mapping[str, pd.DataFrame]) -> Held:
        """The regression with the study's `own` blocks, and of those `offered` as many as there is
        room for.

        Where the room is short, those come first that change the log ratio of `target` most, each
        added alone, up or down. The direction plays no part, so no answer is sought. A block of
        `own` that cannot be fitted is dropped, last first. NotFittedError where nothing can.
        Source: change in estimate (Mickey and Greenland 1989).
        """
        held = _within(own, self.room)
        fit = self.fit_shrinking(held)
        room = self.room - _width(held)
        refused = {}
        if offered and _width(offered) <= room:
            try:
                together = self.fit(held | dict(offered))
                return Held(together, (*held, *offered))
            except NotFittedError:
                pass
        for name in self._by_change(fit, held, offered):
            if offered[name].shape[1] > room:
                refused[name] = NO_ROOM
                continue
            try:
                with_one = held | {name: offered[name]}
                fit = self.fit(with_one)
            except NotFittedError:
                refused[name] = NOT_FITTED
                continue
            held[name] = offered[name]
            room -= offered[name].shape[1]
        return Held(fit, tuple(held), refused)

    def fit_shrinking(self, held: dict[str, pd.DataFrame]) -> Fit:
        """The regression with these blocks; the last one is dropped from `held` until it can be
        fitted.
        """
        while True:
            try:
                return self.fit(held)
            except NotFittedError:
                if not held:
                    raise
                held.popitem()

    def _by_change(
        self, fit: Fit, held: Mapping[str, pd.DataFrame], offered: Mapping[str, pd.DataFrame]
    ) -> Sequence[str]:
        """The names of the blocks offered, those first that change the log ratio most."""
        change = {}
        for name, block in offered.items():
            try:
                blocks = {**held, name: block}
                alone = self.fit(blocks)
            except NotFittedError:
                change[name] = 0.0
                continue
            moved = alone.coefficient(self.target)
            base = fit.coefficient(self.target)
            change[name] = abs(moved - base)
        return sorted(change, key=lambda name: -change[name])


def _width(blocks: Mapping[str, pd.DataFrame]) -> int:
    return sum(block.shape[1] for block in blocks.values())


def _within(blocks: Mapping[str, pd.DataFrame], room: float) -> dict[str, pd.DataFrame]:
    """The blocks in their order, as far as there is room; a wide one is passed over, and size may
    have one column.
    """
    kept: dict[str, pd.DataFrame] = {}
    for name, block in blocks.items():
        least = 1.0 if not kept and name == "size" else 0.0
        width = block.shape[1]
        if 0 < width <= max(room - _width(kept), least):
            kept[name] = block
    return kept


def offered(
    rows: pd.DataFrame, extra: Mapping[str, Extra]
) -> tuple[dict[str, pd.DataFrame], dict[str, str]]:
    """The blocks that the user's own columns make on these rows, and the columns that make none,
    with why.

    Categories and flags by `category`, numbers by `number`; those known at signing alone. Texts and
    dates make none.
    """
    blocks = {}
    refused: dict[str, str] = {}
    names = at_signing(extra, "category", "flag", "number", "integer")
    for name in names:
        if name not in rows:
            continue
        numeric = extra[name].kind in ("number", "integer")
        by_client = rows.drop_duplicates("client_id")[name]
        blank = by_client.isna().mean()
        if blank > MOST_BLANK:
            rounded = round(blank, 2)
            refused[name] = say("held.why.blank", share=rounded)
            continue
        block = number(rows, name) if numeric else category(rows, name)
        if block.empty:
            refused[name] = say("held.why.all_the_same" if numeric else "held.why.one_category")
            continue
        blocks[name] = block
    return blocks, refused


def at_signing(extra: Mapping[str, Extra], *kinds: str) -> list[str]:
    """The user's own columns of these kinds that are known at signing."""
    return [
        name for name, column in extra.items() if column.kind in kinds and column.known == SIGNING
    ]


def number(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    """A number as a natural spline, in logs where these are the more even; blanks at the median,
    with a column.

    Values beyond the 1st and 99th percentile count as these. No column for blanks that
    `go_with_leaving`. No columns where all values are the same.
    """
    values = rows[name].astype(float)
    values = values.clip(*values.quantile(list(CUT)))
    if values.min() > 0 and abs(np.log(values).skew()) < abs(values.skew()):
        values = np.log(values)
    return _spline(rows, values)


def size(rows: pd.DataFrame, name: str = SIZE) -> pd.DataFrame:
    """Size as a natural spline of its logarithm; where it is not known at the median, with a column
    of its own.

    No such column where not being known goes with leaving (`go_with_leaving`). Source: METHODS 2.
    """
    logs = known_size(rows, name)
    return _spline(rows, np.log(logs))


def known_size(rows: pd.DataFrame, name: str = SIZE) -> pd.Series:
    """Size where it is known: 0 is as good as blank, for nobody plans to spend nothing and hires an
    agency.
    """
    values = rows[name].astype(float)
    return values.where(values > 0)


def _spline(rows: pd.DataFrame, values: pd.Series) -> pd.DataFrame:
    blank = values.isna()
    columns = pd.DataFrame(index=rows.index)
    if values.nunique() > 1:
        ends = rows["left"].sum()
        knots = 3 if ends >= SPLINE_FROM else 2
        filled = values.fillna(values.median())
        columns = natural_spline(filled, knots)
    blank_clients = rows.loc[blank, "client_id"].nunique()
    few = blank_clients < MIN_LEVEL_CLIENTS or blank.all()
    gone = rows.loc[blank, "left"]
    left = int(gone.sum())
    if few or left < MIN_LEVEL_EVENTS or go_with_leaving(rows, blank):
        return columns
    not_known = blank.astype(float)
    return columns.assign(**{NOT_KNOWN: not_known})


def category(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    """The `levels` of a column, blanks as one of their own; blanks that go with leaving join the
    commonest level.
    """
    values = rows[name].astype("string")
    commonest = values.mode()
    if len(commonest) and go_with_leaving(rows, values.isna()):
        values = values.fillna(commonest.iloc[0])
    return levels(rows, values)


def go_with_leaving(rows: pd.DataFrame, blank: pd.Series) -> bool:
    """Whether these blanks go with leaving at equal opportunity: what was erased, or never filled
    in, for who left.

    Such blanks know the outcome. A column of their own would hold a part of it fixed, and bias the
    ratio as much as a size of 0 does (docs/calibration-held.md); at the median, or the commonest
    level, they do no harm.
    """
    if not blank.any() or blank.all():
        return False
    seen = rows["to_month"] > rows["from_month"]
    blanks = blank[seen].to_numpy(float)[:, None]
    return p_of(rows[seen], blanks) < BLANKS_P


def p_of(rows: pd.DataFrame, parts: np.ndarray, reps: pd.Series | None = None) -> float:
    """The p value of `parts` (n, k) telling leavers from stayers among these opportunities to
    leave: `score_test`, by client or, with `reps`, by rep too.
    """
    exposure = band_exposure(rows["from_month"], rows["to_month"], rows["left"])
    left = rows["left"].to_numpy()
    return score_test(left, exposure, rows["client_id"], parts, reps)


def levels(rows: pd.DataFrame, values: pd.Series) -> pd.DataFrame:
    """A column for each category with enough clients and ends, but for the commonest; the small
    ones join that one.
    """
    values = values.astype("string").fillna(NOT_KNOWN)
    sizes = (
        rows.assign(level=values)
        .groupby("level")
        .agg(clients=("client_id", "nunique"), left=("left", "sum"))
    )
    enough = sizes["clients"] >= MIN_LEVEL_CLIENTS
    large = sizes[enough & (sizes["left"] >= MIN_LEVEL_EVENTS)]
    ordered = large.sort_values("clients", ascending=False, kind="stable")
    names = ordered.index[1:]
    return pd.DataFrame(
        {level: (values == level).astype(float) for level in names}, index=rows.index
    )


def thing(name: str) -> str:
    """What a block is called: in our words, or as the user calls the column."""
    return say(f"held.thing.{name}") if name in THINGS else name


def things(names: Sequence[str]) -> str:
    """What these blocks are called, in a row."""
    return listed([thing(name) for name in names])


def listed(names: Sequence[str]) -> str:
    """Names in a row: "a, b and c"."""
    if len(names) < 2:
        return names[0] if names else ""
    all_but_last = ", ".join(names[:-1])
    last_name = names[-1]
    text = say("held.list.pair", first=all_but_last, last=last_name)
    keys = map(key_of, names)
    return Said(text, "+".join(keys))
