"""What a reader must know of the data before trusting any number: doubts, what was mended, and
where the numbers come from.

Each notice takes what it needs of a study (`Opened`) and says it in the words of study.toml.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Protocol

import pandas as pd

from retention.claims.ad_spend import missing_sizes
from retention.claims.judge import Claim, load_plan, plan_hash
from retention.data import Tables, in_words
from retention.errors import Fault
from retention.history import conventions, known_from
from retention.history.clients_now import people_names
from retention.history.conventions import some
from retention.history.last_day import YEARS_AHEAD, newest_date
from retention.history.prepaid import ByTerm
from retention.results import Finding, Findings, Listing
from retention.score.guards import leaks
from retention.settings import Extra, Settings
from retention.stats.intervals import FEWEST_REPS, Floats, tells
from retention.words import Said, say

STALE_DAYS = 92  # (ours) nothing dated in the last quarter before the cut-off deserves a warning
# (ours) more broken rules than this are one sentence on every page but that of the data
MANY_RULES = 3
SHOWN = 5  # ids named in a notice
MIN_CLIENTS, FEW_PRESENT = 20, 0.05  # (ours) so few still there look like a list of past clients
SNAPSHOT = say("claims.caveat.snapshot")
PAST_ONLY = say("claims.caveat.past_only")
ORIGINS = ("source", "industry", "seller_id")  # columns whose groups may have come from elsewhere


class Opened(Protocol):
    """What notices read of an open study; `study.Study` says what each is."""

    @property
    def settings(self) -> Settings:
        """The settings in force."""

    @property
    def tables(self) -> Tables:
        """The checked tables, with what was noted and mended."""

    @property
    def cutoff(self) -> dt.date:
        """The last day observed."""

    @property
    def records_begin(self) -> dt.date | None:
        """Since when ends are on record; None: with the first client."""

    @property
    def is_snapshot(self) -> bool:
        """Whether dates were counted back from a tenure and a flag."""

    @property
    def late_by(self) -> int:
        """By how many days ends may be written down late."""

    @property
    def spells(self) -> pd.DataFrame:
        """Engagements followed to the cut-off."""

    @property
    def contracts(self) -> pd.DataFrame | None:
        """The contracts signed by the cut-off."""

    @property
    def reps_now(self) -> pd.DataFrame:
        """Of each present client the rep in charge, and who of its reps left."""

    @property
    def fees_by_term(self) -> ByTerm | None:
        """The fees by the months they are for."""

    @property
    def leaking(self) -> Mapping[str, str]:
        """Columns that know who left, with why."""

    @property
    def at_signing(self) -> Mapping[str, Extra]:
        """The user's own columns that may be used."""

    @property
    def broken_rules(self) -> Sequence[Fault]:
        """What the tables leave in doubt."""

    @property
    def claims(self) -> Mapping[str, Claim]:
        """The study's claims by id."""


def past_only(spells: pd.DataFrame) -> bool:
    """Whether so few clients are still there that the list looks like one of past clients."""
    return len(spells) >= MIN_CLIENTS and 1 - spells["gone"].mean() < FEW_PRESENT


def caveats(study: Opened) -> tuple[str, ...]:
    """What must be said with every verdict on these data."""
    said: list[str] = []
    if study.is_snapshot:
        said.append(SNAPSHOT)
    if past_only(study.spells):
        said.append(PAST_ONLY)
    own = study.settings.table("clients").extra
    leaking = [name for name in study.leaking if name in own]
    if leaking:
        names = ", ".join(leaking)
        said.append(say("claims.caveat.not_at_signing", columns=names))
    return tuple(said)


def about_intervals(reps_known: Floats) -> Finding:
    """Whether the intervals of all pages allow for clients of one rep who rise and fall together
    (METHODS 6).

    `reps_known`: client-months of each rep on record, shape (reps,).
    """
    reps = len(reps_known)
    if tells(reps_known):
        return Finding("data", say("study.intervals.for_reps", reps=reps))
    if not reps:
        why = say("study.intervals.unknown")
    elif reps < FEWEST_REPS:
        why = say("study.intervals.few", reps=reps, needed=FEWEST_REPS)
    else:
        why = say("study.intervals.uneven", reps=reps)
    return Finding("data", say("study.intervals.independent", why=why))


def warnings(study: Opened, every_rule: bool = False) -> Findings:
    """What a reader must know before trusting any number, most serious first.

    Rules that many rows break are one sentence, unless `every_rule` asks for one each.
    """
    rules = [_warning(in_words(fault)) for fault in study.broken_rules]
    if len(rules) > MANY_RULES and not every_rule:
        many = _many_rules(study.broken_rules)
        rules = [Finding("data", many)]
    doubts = [
        *_about_time(study),
        *_about_ends(study),
        *_about_charge(study),
        *_about_fees(study),
        *_about_rows(study),
    ]
    plan = load_plan(study.settings.plan)[1]
    items = [*leaks(study.leaking).items, *map(_warning, doubts), *rules, *map(_warning, plan)]
    return Findings(tuple(items), say("study.warnings.none"))


def _warning(text: str) -> Finding:
    return Finding("data", text, "warning")


def notes(study: Opened) -> Findings:
    """What was read but not used, and what was mended without asking."""
    texts = [*study.tables.notes]
    texts += [say("study.notes.mended", repair=repair) for repair in study.tables.repairs]
    spread = None if study.fees_by_term is None else study.fees_by_term.spread
    if spread is not None and len(spread):
        texts.append(say("study.fees.spread", payments=_payments(spread)))
    items = tuple(Finding("data", text) for text in texts)
    return Findings(items, say("study.notes.none"))


def provenance(study: Opened) -> Listing:
    """Where the numbers come from: the files by hash, the dates, the settings and the plan in
    force.
    """
    rows: dict[str, str] = {
        say("study.provenance.file", table=name): digest[:16]
        for name, digest in study.tables.hashes.items()
    }
    begin = study.records_begin or say("study.provenance.first_client")
    rows |= {
        say("study.provenance.cutoff"): str(study.cutoff),
        say("study.provenance.records_begin"): str(begin),
        say("study.provenance.pause"): str(study.settings.pause_days),
        say("study.provenance.plan"): plan_hash(study.claims),
        say("study.provenance.version"): version("retention"),
    }
    frame = pd.DataFrame({"what": rows.keys(), "value": rows.values()})
    return Listing(frame, say("study.provenance.caption"))


def _about_time(study: Opened) -> list[str]:
    """What is doubtful about the stretch of time that the records cover."""
    texts: list[str] = []
    if study.is_snapshot:
        texts.append(say("study.time.snapshot"))
    else:
        if study.records_begin is None:
            texts.append(say("study.time.all_history"))
        late = conventions.past_due(study.spells, study.late_by)
        if late:
            texts.append(say("study.time.past_due", evidence=late))
        texts += known_from.late_groups(study.spells, _origins(study))
    newest = newest_date(study.spells, study.cutoff)
    day = pd.Timestamp(study.cutoff)
    if (day - newest).days > STALE_DAYS:
        texts.append(say("study.time.stale", newest=f"{newest:%d %B %Y}"))
    return texts


def _origins(study: Opened) -> list[str]:
    """Columns of the clients by which parts of the book may have come from elsewhere."""
    own = [name for name, column in study.at_signing.items() if column.kind == "category"]
    return [name for name in (*ORIGINS, *own) if name in study.spells]


def _about_ends(study: Opened) -> list[str]:
    """What is doubtful about the ends: whose choice they were, whether they came at all, and
    when they were decided.
    """
    spells = study.spells
    texts: list[str] = []
    has_end = spells["end_date"].notna()
    ended = int(has_end.sum())
    if not study.is_snapshot and study.settings.dates.ends_ahead is None:
        clients = study.tables.frames["clients"]
        texts += conventions.note_of_ends_ahead(clients, study.cutoff)
    no_reason = spells["end_kind"] == "unknown"
    unknown = int(no_reason.sum())
    if unknown:
        texts.append(_whose_words(unknown, ended))
    if past_only(spells):
        gone = spells["gone"].sum()
        there = len(spells) - int(gone)
        texts.append(say("study.ends.past_only", there=there, clients=len(spells)))
    missing = "" if study.is_snapshot else missing_sizes(spells, study.contracts)
    if missing:
        texts.append(missing)
    assumed = int(spells["decision_assumed"].sum())
    if assumed and not study.is_snapshot:
        days = study.settings.notice_days
        assumed_text = say("study.ends.decision_assumed", assumed=assumed, ended=ended, days=days)
        texts.append(assumed_text)
    return texts


def _whose_words(unknown: int, ended: int) -> Said:
    """Of how many ends nobody recorded whose choice they were."""
    if unknown == ended:
        return say("study.ends.whose_all")
    return say("study.ends.whose_some", unknown=unknown, ended=ended)


def _about_charge(study: Opened) -> list[str]:
    """How many clients are assigned to somebody who has left the agency."""
    left = study.reps_now["left"].dropna()
    if left.empty:
        return []
    called = people_names(study.tables.get("staff"))
    names = [called.get(who, who) for who in left.unique()]
    ids = _first(list(left.index), SHOWN)
    names_of = ", ".join(names)
    return [say("study.charge.left", clients=len(left), ids=ids, names=names_of)]


def _about_fees(study: Opened) -> list[str]:
    """Which payments look like fees of several months, and stay in one because nothing says of how
    many.
    """
    unspread = None if study.fees_by_term is None else study.fees_by_term.left
    if unspread is None or unspread.empty:
        return []
    return [say("study.fees.unspread", payments=_payments(unspread))]


def _payments(payments: pd.DataFrame) -> Said:
    """How many payments, of how many clients, and the first five of their ids."""
    ids = payments["client_id"].drop_duplicates()
    all_of_them = pd.Series(True, ids.index)
    clients = some(payments.loc[ids.index], all_of_them)
    return say("study.fees.payments", payments=len(payments), clients=clients)


def _about_rows(study: Opened) -> list[str]:
    """Which rows of the clients table have no spell of their own, or a date that is hard to
    believe.
    """
    rows = study.tables.frames["clients"]
    spells = study.spells
    last = pd.Timestamp(study.cutoff)
    later = rows["start_date"] > last
    far = pd.DateOffset(years=YEARS_AHEAD)
    ahead = rows["end_date"] > last + far
    merged = int(spells["rows_merged"].sum())
    counted = len(rows) - int(later.sum())
    earlier = counted - merged - len(spells)
    changes = spells["later_terms"] != ""
    changed = int(changes.sum())
    texts: list[str] = []
    if later.any():
        who = some(rows, later)
        texts.append(say("study.rows.later", who=who))
    if earlier:
        texts.append(say("study.rows.earlier", rows=earlier))
    if ahead.any():
        who_ahead = some(rows, ahead)
        texts.append(say("study.rows.far_ahead", years=YEARS_AHEAD, who=who_ahead))
    if merged:
        texts.append(say("study.rows.merged", rows=merged))
    if changed:
        texts.append(say("study.rows.changed", engagements=changed))
    return texts


def _many_rules(faults: Sequence[Fault]) -> Said:
    """How many rules are broken, and where the first of them are."""
    places = dict.fromkeys(f"{fault.table}.{fault.column}" for fault in faults)
    named = _first(list(places), MANY_RULES)
    return say("study.rules.many", rules=len(faults), places=named)


def _first(names: Sequence[str], most: int) -> str:
    """The first of these names, and dots where there are more."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
