"""What an analysis hands over: findings, estimates and verdicts, each readable by people and by the
run.

Displayed in a notebook, a result shows HTML to people and JSON (`application/vnd.retention+json`)
to the run, which collects it from the executed notebook. Nothing here computes a statistic.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import pandas as pd
from jinja2 import Environment, StrictUndefined

from retention.numbers import (
    DASH,
    between,
    day_words,
    key_text,
    number,
    quantity,
    sort_key,
    with_interval,
)
from retention.theme import dressed
from retention.words import Said, heading, in_short, key_of, say, together

MOST_SHOWN = 300  # (ours) rows of a table on a page
MIME = "application/vnd.retention+json"
SCHEMA = 2
# the style class of a table or chart with nothing in it; a section of such is left out of the page
EMPTY = "empty"
ALL = "all"  # the group of an estimate about everybody: a table of such has no column for it
SIDE_BY_SIDE = 5  # groups that a table shows in columns; more make rows
# ids of columns that count clients
COUNTS = re.compile(r"(?i)(^|[_ ])(clients|engagements|ends)($|[_ ,])")
FALSE_DISCOVERIES = 0.10  # METHODS 1: Benjamini-Hochberg
VERDICTS = ("holds", "holds in direction only", "does not hold", "not enough data", "not run")
HOLDS, DIRECTION, DOES_NOT, NOT_ENOUGH, NOT_RUN = VERDICTS


def finite(value: Any) -> Any:
    """The value made fit for JSON: what is not finite becomes None, containers are walked.

    >>> finite({"low": float("nan"), "high": (1.0, float("inf"))})
    {'low': None, 'high': [1.0, None]}
    """
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) or hasattr(value, "dtype"):
        number = value.item() if hasattr(value, "item") else value
        return number if not isinstance(number, float) or math.isfinite(number) else None
    return value


_fewest = [
    0
]  # of this process: what notebooks show goes through here, and none of them has to remember to ask


def leave_out_below(clients: int) -> None:
    """From now on, rows of results on 1 to `clients` - 1 clients are neither shown nor handed to
    the run.
    """
    _fewest[0] = clients


_currency = [""]  # of this process, as above


def money_is_in(currency: str) -> None:
    """From now on, captions of estimates of money say that they are in this currency."""
    _currency[0] = currency


def _counts_clients(column: str) -> bool:
    return bool(COUNTS.search(column))


def _small(count: Any) -> bool:
    return bool(0 < count < _fewest[0])


def _left_out(small: int) -> str:
    """What a caption says of rows that were left out."""
    return say("shown.listing.left_out", n=small, fewest=_fewest[0]) if small else ""


def large_enough(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows without those on too few clients, by whatever column counts clients, engagements or
    ends.
    """
    counts = [c for c in rows if _counts_clients(str(c)) and pd.api.types.is_integer_dtype(rows[c])]
    if not _fewest[0] or not counts:
        return rows
    return rows[~rows[counts].map(_small).any(axis=1)]


def to_json(value: Any) -> str:
    """JSON text with sorted insertion order kept and no NaN, the same bytes for the same
    results.
    """
    return json.dumps(finite(value), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def schema() -> dict[str, Any]:
    """The JSON Schema of results.json."""
    return dict(json.loads(files("retention").joinpath("results.schema.json").read_text("utf-8")))


@dataclass(frozen=True)
class Estimate:
    """One number with its interval, unit and the clients and ends behind it; `id` is the study's
    row (A1 to D11).
    """

    id: str
    name: str
    group: str
    estimate: float
    low: float
    high: float
    level: float
    unit: str
    n_clients: int
    n_events: int

    @classmethod
    def of(
        cls,
        row_id: str,
        name: str,
        group: str,
        values: Sequence[float],
        unit: str,
        counts: tuple[int, int] = (0, 0),
    ) -> Estimate:
        """An estimate from (value, low, high), a 95 % interval, or from (value,) alone; `counts`:
        clients, ends.
        """
        value, low, high = (float(x) for x in (*values, math.nan, math.nan)[:3])
        return cls(row_id, name, group, value, low, high, 0.95, unit, *counts)

    @property
    def key(self) -> tuple[str, str, str]:
        """What the estimate is, whatever it is called: the ids of row, quantity and group."""
        return self.id, key_of(self.name), key_of(self.group)

    @property
    def words(self) -> str:
        """The estimate with its interval in brackets, which sorts by the estimate."""
        return with_interval(self.estimate, self.low, self.high, self.unit)

    def payload(self) -> dict[str, Any]:
        """The row of results.json."""
        return {"id": self.id, "key": "/".join(self.key[1:]), **asdict(self)}


@dataclass(frozen=True)
class Finding:
    """A sentence made from results: a `headline` or `warning` of the index, or plain `text` of its
    own page.
    """

    id: str
    text: str
    kind: str = "text"

    def payload(self) -> dict[str, Any]:
        """What the run collects."""
        return {"findings": [self._row()]}

    def _row(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "key": key_of(self.text) if isinstance(self.text, Said) else "",
            **asdict(self),
        }

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        body = shown_part("finding", self.text, self.kind)
        # `short` stands on the fold that holds the sentence; no run collects it
        payload = self.payload() | {"short": [in_short(self.text)]}
        return {"text/plain": self.text, "text/html": body, MIME: finite(payload)}


@dataclass(frozen=True)
class Findings:
    """Several findings shown one under the other; `otherwise` is said where there are none."""

    items: tuple[Finding, ...]
    otherwise: str = say("shown.finding.nothing")

    def payload(self) -> dict[str, Any]:
        """What the run collects."""
        return {"findings": [item._row() for item in self.items]}

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        bundles = [
            item._repr_mimebundle_() for item in self.items or (Finding("", self.otherwise),)
        ]
        text, body = (
            "\n".join(bundle[kind] for bundle in bundles) for kind in ("text/plain", "text/html")
        )
        payload = self.payload() | {"short": [in_short(item.text) for item in self.items]}
        return {"text/plain": text, "text/html": body, MIME: finite(payload)}


@dataclass(frozen=True)
class Checks:
    """How many checks of one kind would be judged otherwise than the verdict, of how many, and
    their names.
    """

    kind: str
    disagree: int
    of: int
    names: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """The count in words: "2 of 7 planned checks disagree"."""
        return say("claims.checks.count", disagree=self.disagree, of=self.of, kind=self.kind)


@dataclass(frozen=True)
class Among:
    """What other agencies say together of a claim, on its own scale, and one's own estimate drawn
    towards them; intervals of 95 %, NaN where one's own data give no estimate.
    """

    agencies: int
    clients: int
    verdict: str
    next_verdict: str
    estimate: float
    interval: tuple[float, float]
    next_one: tuple[float, float]
    own: float
    own_interval: tuple[float, float]
    sentence: str
    short: str


@dataclass(frozen=True)
class Verdict:
    """A judged claim: the verdict word, why, the estimate with its interval, and what the data
    could have shown.

    Numbers are on the claim's own scale (a ratio for A1), at `level`; `interval_95` is the ordinary
    95 % interval.
    """

    id: str
    question: str
    tier: str
    verdict: str
    about_as_claimed: bool | None
    fragile: bool | None
    why: str
    missing: tuple[str, ...]
    estimand: str
    scale: str
    estimate: float
    low: float
    high: float
    level: float
    published: float | None
    n_clients: int
    n_events: int
    interval_95: tuple[float, float] = (math.nan, math.nan)
    qualifiers: tuple[str, ...] = ()
    detectable: float = math.nan
    more_events_needed: int | None = None
    would_change: str = ""
    bayes_factor: float = math.nan
    flips: tuple[str, ...] = ()
    not_computed: tuple[str, ...] = ()
    gated: bool = False
    sentence: str = ""
    answer: str = ""
    advice: str = ""
    page: str = ""
    checks: tuple[Checks, ...] = ()
    among: Among | None = None

    @property
    def words(self) -> str:
        """The verdict in words: "holds, fragile, about as large as claimed"."""
        return ", ".join([badge(self.verdict, self.fragile), *self.qualifiers])

    def what_to_do(self) -> Finding:
        """The advice that follows from the verdict (plan.toml), as a sentence for the page."""
        return Finding(self.id, self.advice or say("shown.finding.bring_in"))

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        body = shown_part("verdict", self, math.isfinite(self.estimate))
        ids = {"qualifier_keys": [key_of(text) for text in self.qualifiers]}
        payload = {"claims": [asdict(self) | ids]}
        return {"text/plain": f"{self.id}: {self.words}", "text/html": body, MIME: finite(payload)}


MARKS = {HOLDS: "●", DIRECTION: "◐", DOES_NOT: "✕", NOT_ENOUGH: "○", NOT_RUN: DASH}


def badge(word: str, fragile: bool | None) -> str:
    """The verdict word, with "fragile" where it says something and planned checks disagree."""
    return f"{word}, fragile" if fragile and word in (HOLDS, DIRECTION, DOES_NOT) else word


def verdict_class(word: str, fragile: bool | None = None) -> str:
    """The style class of a verdict word; colour is never the only sign (see MARKS)."""
    if word == HOLDS and fragile:
        return "part"
    return {HOLDS: "holds", DIRECTION: "part", DOES_NOT: "not"}.get(word, "unknown")


@dataclass(frozen=True)
class Estimates:
    """Estimates shown as one captioned table, with reader's headings, and handed to the run as they
    are.
    """

    rows: tuple[Estimate, ...]
    caption: str

    @property
    def _kept(self) -> tuple[Estimate, ...]:
        """The rows that rest on enough clients to be shown."""
        return tuple(row for row in self.rows if not _small(row.n_clients))

    def _currency(self) -> str:
        """In which currency the money of the table is; empty where there is none, or it is said."""
        currency = _currency[0]
        money = any(row.unit == "money" for row in self._kept)
        if not money or not currency or currency in self.caption:
            return ""
        return say("shown.listing.money", currency=currency)

    def frame(self) -> pd.DataFrame:
        """The table that readers see: a row an estimate; of several groups a column each, of many a
        row each.
        """
        if len(self._kept) < len(self.rows):
            return Estimates(self._kept, self.caption).frame()
        groups = {row.key[2]: row.group for row in self.rows}
        if len(groups) > 1:
            return self._by_group(groups)
        shown = [(r.name, r.group, r.words, r.n_clients, r.n_events) for r in self.rows]
        frame = pd.DataFrame(shown, columns=["quantity", "group", "estimate", "clients", "ends"])
        return frame.drop(columns="group") if list(groups) == [ALL] else frame

    def _by_group(self, groups: Mapping[str, str]) -> pd.DataFrame:
        """A column a group and a row a quantity, or, of many groups, the other way round; `groups`
        are names by id.
        """
        cells = {row.key[1:]: row.words for row in self.rows}
        names = {row.key[1]: row.name for row in self.rows}
        if len(groups) > SIDE_BY_SIDE:
            rows = [
                {"group": group} | {name: cells.get((n, g), DASH) for n, name in names.items()}
                for g, group in groups.items()
            ]
        else:
            rows = [
                {"quantity": name} | {group: cells.get((n, g), DASH) for g, group in groups.items()}
                for n, name in names.items()
            ]
        return pd.DataFrame(rows)

    def says(self, name: str) -> str:
        """One quantity over all groups, in words: "month-to-month 35.0%, 12 months 65.6%"; empty
        where unknown.
        """
        return ", ".join(
            f"{row.group} {quantity(row.estimate, row.unit)}"
            for row in self._kept
            if row.key[1] == key_of(name)
        )

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        left_out = _left_out(len(self.rows) - len(self._kept))
        level = self.rows[0].level if self.rows else 0
        brackets = say("shown.listing.interval", level=100 * level) if self.rows else ""
        words = (self.caption, self._currency(), left_out, brackets)
        table = Listing(self.frame(), together(*words))
        payload = {"estimates": [row.payload() for row in self._kept]}
        return {"text/plain": self.caption, "text/html": table.html(), MIME: finite(payload)}


class Head(NamedTuple):
    """The heading of a column: its style class, and whether it sorts by `number` or `text`."""

    text: str
    style: str
    sort: str


class Cell(NamedTuple):
    """A cell of a table: its text, its style class, and what it sorts by (empty: blank)."""

    text: str
    style: str
    key: str


@dataclass(frozen=True)
class Listing:
    """A frame shown as a captioned table: text is escaped, numbers are aligned, nothing is
    executed.

    Of a very long one the first rows are shown, and how many there are is said, with the `file` of
    the run that holds all. Of one with more than `first` rows the page shows these, and all when
    asked.
    """

    rows: pd.DataFrame
    caption: str
    formats: Mapping[str, str] = field(default_factory=dict)
    file: str = ""
    first: int = MOST_SHOWN

    def html(self) -> str:
        """The table as HTML with scoped headings; every value is text, never markup."""
        every = self._shown()
        shown = every.head(MOST_SHOWN)
        columns = [self._column(shown, name) for name in shown]
        rows = list(zip(*(cells for _, cells in columns), strict=True))
        small = len(self.rows) - len(every)
        caption = together(self.caption, _left_out(small), self._cut(len(every)))
        heads = [head for head, _ in columns]
        of = next(iter(map(str, shown)), "")
        return shown_part("listing", caption, heads, rows, small, self.first, of)

    def _column(self, shown: pd.DataFrame, name: str) -> tuple[Head, list[Cell]]:
        """The heading of a column, and its cells, each with what it sorts by."""
        is_number = pd.api.types.is_numeric_dtype(shown[name])
        is_day = pd.api.types.is_datetime64_any_dtype(shown[name])
        style = "num" if is_number else "date" if is_day else ""
        values = shown[name].astype(object).tolist()
        keys = [sort_key(value) for value in values]
        numbers = all(isinstance(key, float) for key in keys if key is not None)
        cells = [
            Cell(self._text(name, value), style, key_text(key))
            for value, key in zip(values, keys, strict=True)
        ]
        return Head(heading(str(name)), style, "number" if numbers else "text"), cells

    def _cut(self, rows: int) -> str:
        """What the caption says of a table of which only the first rows are shown."""
        if rows <= MOST_SHOWN:
            return ""
        if self.file:
            return say("shown.listing.first_in", shown=MOST_SHOWN, n=rows, file=self.file)
        return say("shown.listing.first", shown=MOST_SHOWN, n=rows)

    def _shown(self) -> pd.DataFrame:
        return large_enough(self.rows)

    def _text(self, name: str, value: Any) -> str:
        if pd.isna(value):
            return DASH
        if isinstance(value, dt.date):
            return day_words(value)
        if isinstance(value, float):
            return number(value, self.formats.get(name, ""))
        return format(value, self.formats.get(name, "," if isinstance(value, int) else ""))

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        plain = self._shown().head(MOST_SHOWN).to_string(index=False)
        return {"text/plain": f"{self.caption}\n{plain}", "text/html": self.html()}


@cache
def _template() -> Any:
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    known = {
        "MARKS": MARKS,
        "EMPTY": EMPTY,
        "verdict_class": verdict_class,
        "between": between,
        "quantity": quantity,
        "say": say,
    }
    text = files("retention").joinpath("results.html.j2").read_text("utf-8")
    return environment.from_string(text, known).module


def shown_part(part: str, *what: Any) -> str:
    """A part of results.html.j2, filled in; in somebody's notebook with its style."""
    shown = str(getattr(_template(), part)(*what))
    return shown if part == "finding" else dressed(shown)


def collect(payloads: Iterable[Mapping[str, Any]], run_id: str, cutoff: str) -> dict[str, Any]:
    """The contents of results.json from what the notebooks displayed, in notebook order."""
    kinds = ("claims", "estimates", "findings", "answers", "tiles")
    joined: dict[str, list[Any]] = {kind: [] for kind in kinds}
    for payload in payloads:
        for key, rows in joined.items():
            rows.extend(row for row in payload.get(key, []) if row not in rows)
    return {"schema": SCHEMA, "run_id": run_id, "cutoff": cutoff, **joined}
