"""The frames that an analyst works on, each a tidy table with a dictionary: engagements,
client-months, month's ends with what came of them, and opportunities to leave.

Months are days (their first, or the last of a month's end), and no cell holds anything but a
number, a day or a text, so that every library takes them.
"""

from __future__ import annotations

import datetime as dt
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd

from retention.data.schema import SIGNING, TABLES
from retention.history.features import AGE, KEY, feature_words
from retention.history.measures import FEATURES, THEMES
from retention.history.opportunities import exit_rows, month_rows, renewals_known
from retention.history.snapshots import LEFT, STAYED
from retention.history.spells import CLIENT, UNKNOWN
from retention.history.window import Window
from retention.results import Listing, shown_part
from retention.score.examples import Examples, examples_of
from retention.score.temporal import TemporalSplit
from retention.settings import Extra, Settings
from retention.words import Said, say, texts

NAMES = ("clients", "months", "snapshots", "opportunities")
# what only our own code can read, or what goes by another name here
INNER = ("reps", "rep", "renewals_known", "later_terms", "stop_months", "entry_months")
DURATIONS = ["duration", "event_observed", "entry"]
# what nobody knows of a client before its end, or before the cut-off
OUTCOMES = {
    *DURATIONS[:2],
    *(about.name for about in TABLES["clients"].columns if about.known != SIGNING),
    "rows_merged",
    "decision_assumed",
    "end_kind",
    "gone",
    "observed_months",
    "ended",
    "cut_short",
}


class Studied(Protocol):
    """What the frames ask of a study (`retention.study.Study`)."""

    @property
    def spells(self) -> pd.DataFrame: ...  # noqa: D102
    @property
    def contracts(self) -> pd.DataFrame | None: ...  # noqa: D102
    @property
    def money(self) -> pd.DataFrame: ...  # noqa: D102
    @property
    def month_ends(self) -> pd.DataFrame: ...  # noqa: D102
    @property
    def window(self) -> Window: ...  # noqa: D102
    @property
    def settings(self) -> Settings: ...  # noqa: D102
    @property
    def at_signing(self) -> dict[str, Extra]: ...  # noqa: D102
    @property
    def tables(self) -> Any: ...  # noqa: D102
    @property
    def whose(self) -> str: ...  # noqa: D102
    @property
    def cutoff(self) -> dt.date: ...  # noqa: D102
    @property
    def records_begin(self) -> dt.date | None: ...  # noqa: D102


class Frames:
    """What a study offers to an analyst beside its tables."""

    @cached_property
    def clients(self: Studied) -> pd.DataFrame:
        """A row an engagement, with `duration`, `event_observed` and `entry` as lifelines,
        scikit-survival and R want them, in months of service.

        Columns: `describe("clients")`.
        """
        return clients_of(self.spells)

    @cached_property
    def months(self: Studied) -> pd.DataFrame:
        """A row an engagement and month with a fee on record; `month` is its first day.

        Columns: `describe("months")`. No rows where the fees by month are not on record.
        """
        rows = self.money
        first = first_days(rows["month"])
        return rows.assign(month=first)

    @cached_property
    def snapshots(self: Studied) -> pd.DataFrame:
        """A row a client and month's end, with what was known then and what came of it: `outcome`,
        and `left` (1 or 0; blank where neither is known).

        Columns: `describe("snapshots")`. `month` is the last day of the month.
        """
        return with_labels(self.month_ends)

    @cached_property
    def opportunities(self: Studied) -> pd.DataFrame:
        """A row an opportunity to leave: a month of a month-to-month client, a whole term of a
        fixed one, with `left` (1 or 0).

        Columns: `describe("opportunities")`. Of a snapshot, whose renewals are not known, months.
        """
        rows = chances(self.spells, self.contracts)
        return rows.drop(columns=list(INNER), errors="ignore")

    def describe(self, frame: str) -> pd.DataFrame:
        """The dictionary of one of the frames (`clients`, `months`, `snapshots`, `opportunities`):
        `column, meaning, unit, known`, a row a column.

        ValueError where there is no such frame.
        """
        if frame not in NAMES:
            names = ", ".join(NAMES)
            raise ValueError(say("frames.refused.name", frame=frame, names=names))
        rows = getattr(self, frame)
        extra = self.at_signing  # type: ignore[attr-defined]
        columns = [described(frame, name, extra) for name in rows]
        return pd.DataFrame(columns, columns=list(Described._fields))

    def examples(self: Studied) -> Examples:
        """The snapshots whose outcome is known, for models of one's own: `X` (features alone) and
        `y` (1: left), both with the index `client_id, engagement, month`.

        Nothing in `X` was known later than its month's end.
        """
        return examples_of(self.month_ends)

    def splits(self: Studied, by_client: bool = False) -> TemporalSplit:
        """The only honest way to split the examples: train on what was known before, and predict
        the months after (`temporal.TemporalSplit`).
        """
        return TemporalSplit(self.window, by_client=by_client)

    def __repr__(self) -> str:
        return study_line(self)  # type: ignore[arg-type]

    def _repr_html_(self) -> str:
        return study_card(self)  # type: ignore[arg-type]


class Described(NamedTuple):
    """A column of a frame: what it means, its unit or values, and when its value was known."""

    column: str
    meaning: str
    unit: str
    known: str


def study_line(study: Studied) -> Said:
    """Whose data a study has, of how many clients, and up to when, in a line."""
    rows = study.tables.rows
    clients = rows.get("clients", 0)
    tables = len(rows)
    whose = study.whose
    return say("frames.study.line", whose=whose, n=clients, tables=tables, cutoff=study.cutoff)


def study_card(study: Studied) -> str:
    """A study as HTML: its line, where its records begin, the rows by table, what is lacking, and
    what to ask next.
    """
    rows = study.tables.rows
    begin = study.records_begin or say("frames.study.all_history")
    absent = [name for name in TABLES if name not in rows]
    lines = [study_line(study), say("frames.study.begin", begin=begin)]
    if absent:
        lines.append(say("frames.study.lacking", names=", ".join(absent)))
    lines.append(say("frames.study.next"))
    held = [(name, count, TABLES[name].row) for name, count in rows.items()]
    table = pd.DataFrame(held, columns=["table", "rows", "a_row_is"])
    said = "".join(shown_part("finding", line, "text") for line in lines)
    return said + Listing(table, say("frames.study.caption")).html()


def clients_of(spells: pd.DataFrame) -> pd.DataFrame:
    """The engagements with their months of service for survival analysis; `spells` as from
    `build_spells`.
    """
    by_choice = spells["end_kind"].isin([CLIENT, UNKNOWN])
    observed = spells["ended"] & by_choice
    durations = {
        "duration": spells["stop_months"],
        "event_observed": observed.astype(bool),
        "entry": spells["entry_months"],
    }
    rows = spells.assign(**durations)
    kept = [name for name in rows if name not in INNER]
    first = [*KEY, *DURATIONS]
    others = [name for name in kept if name not in first]
    return rows[first + others]


def chances(
    spells: pd.DataFrame, contracts: pd.DataFrame | None, kinds: tuple[str, ...] = (CLIENT,)
) -> pd.DataFrame:
    """The opportunities to leave with every column of the engagements; ends of `kinds` count."""
    if not renewals_known(spells):
        return month_rows(spells, kinds=kinds)
    return exit_rows(spells, contracts, kinds=kinds, more=spells.columns)


def with_labels(rows: pd.DataFrame) -> pd.DataFrame:
    """The month's ends with days for months, and `left`: 1, 0 or blank."""
    left = rows["outcome"].map({LEFT: 1, STAYED: 0})
    days = last_days(rows["month"])
    return rows.assign(month=days, left=left.astype("Int64"))


def first_days(months: pd.Series) -> pd.Series:
    """The first day of months that count from the year 0.

    >>> first_days(pd.Series([24311])).dt.date.to_list()
    [datetime.date(2025, 12, 1)]
    """
    since = months.to_numpy(np.int64) - 1970 * 12
    days = since.astype("datetime64[M]").astype("datetime64[ns]")
    return pd.Series(days, months.index, name=months.name)


def last_days(months: pd.Series) -> pd.Series:
    """The last day of months that count from the year 0."""
    after = first_days(months + 1)
    return after - pd.Timedelta(days=1)


def described(frame: str, column: str, extra: dict[str, Extra]) -> Described:
    """What a column of a frame means: in our words, by the schema, by features.toml, or as the
    user declared it.
    """
    where = frame if f"frames.of.{frame}.{column}" in texts() else "every"
    if f"frames.of.{where}.{column}" in texts():
        unit, known = _declared(column, extra)
        meaning = say(f"frames.of.{where}.{column}")
        return Described(column, meaning, _unit(column) or unit, known or _known(frame, column))
    if column.startswith(AGE):
        theme = THEMES[column.removeprefix(AGE)]
        meaning = say("frames.column.age", theme=theme)
        return Described(column, meaning, say("frames.unit.months"), _known(frame, column))
    if frame == "snapshots" and column in FEATURES:
        unit = str(FEATURES[column].get("unit", ""))
        return Described(column, feature_words(column), unit, _known(frame, column))
    unit, known = _declared(column, extra)
    return Described(column, say("frames.column.own"), unit, known)


def _declared(column: str, extra: dict[str, Extra]) -> tuple[str, str]:
    """The unit (or values) of a column and when it was known, as the schema or the user declares
    it; empty where neither does.
    """
    by_name = {about.name: about for about in TABLES["clients"].columns}
    if column in by_name:
        about = by_name[column]
        unit = about.unit or ", ".join(about.choices)
        return unit, about.known
    if column in extra:
        return extra[column].kind, extra[column].known
    return "", ""


def _unit(column: str) -> str:
    """The unit of one of our own columns; empty where it has none."""
    known = f"frames.unit_of.{column}" in texts()
    return say(f"frames.unit_of.{column}") if known else ""


def _known(frame: str, column: str) -> Said:
    """When the value of one of our own columns was known."""
    if f"frames.known_of.{column}" in texts():
        return say(f"frames.known_of.{column}")
    return say(f"frames.known.{frame}")
