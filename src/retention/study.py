"""One study: the data, settings and plan that a notebook works on, opened with one call."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from retention.claims.ad_spend import missing_sizes
from retention.claims.judge import Claim, load_plan, plan_hash
from retention.data import (
    Tables,
    ask_records_begin,
    in_words,
    last_whole_month,
    prepared,
    read,
    warnings_of,
)
from retention.data.prepared import Frames, Made
from retention.data.schema import SIGNING, TABLES, known_by
from retention.errors import ConfigError, Fault
from retention.history import conventions
from retention.history.clients_now import people_names
from retention.history.conventions import some
from retention.history.features import Window
from retention.history.follow_up import follow_up
from retention.history.in_charge import reps_on, spans, with_people_who_left
from retention.history.money import monthly_money, worth_by_month
from retention.history.panel import Panel, build_panel
from retention.history.prepaid import ByTerm, by_term
from retention.history.snapshots import build_snapshots
from retention.history.spells import build_spells, contract_cycles, row_terms
from retention.parameters import checked
from retention.results import Finding, Findings, Listing, leave_out_below
from retention.score.cross_section import Described, described
from retention.score.guards import KEPT, leaks, leaky
from retention.score.scores import scorer, scores, weights
from retention.score.validation import Judgement, judged
from retention.settings import Extra, Settings, TableSettings, resolve
from retention.stats.intervals import FEWEST_REPS, NO_REPS, Floats, tells
from retention.words import say

# (ours) a date this far beyond nearly all others is a typing error until somebody says otherwise
YEARS_AHEAD = 2
STALE_DAYS = 92  # (ours) nothing dated in the last quarter before the cut-off deserves a warning
MANY_RULES = (
    3  # (ours) more broken rules than this are one sentence on every page but that of the data
)
PAST_ONLY = say("claims.caveat.past_only")
MIN_TOLD, FEW_PRESENT = 20, 0.05  # (ours) so few clients still there look like a list of past ones
RECORDED = ("recorded_date", "recorded_at")
Told = Callable[[str], None]


@dataclass(frozen=True)
class Study:
    """Checked tables with the settings in force; `cutoff` is the last day observed.

    `shared` is the folder that the notebooks of one run share: what costs much is made once there
    (`_once`).
    """

    settings: Settings
    tables: Tables
    cutoff: dt.date
    records_begin: dt.date | None
    shared: Path | None = None

    @cached_property
    def spells(self) -> pd.DataFrame:
        """Engagements followed to the cut-off, `spells.build_spells`; with `reps`
        (`in_charge.spans`) if on record.

        Without the columns of `leaking`.
        """
        spells = self._followed.drop(columns=[name for name in self.leaking if name not in KEPT])
        assignments = self._known("assignments", "from_date", "recorded_at")
        if assignments is None and "rep_id" not in spells:
            return spells
        return spells.assign(reps=spans(spells, assignments, self.tables.get("staff")))

    @cached_property
    def leaking(self) -> dict[str, str]:
        """Columns that are said to be known at signing and know who left, with why:
        `guards.leaky`.
        """
        return leaky(self._followed, self.settings.table("clients").extra)

    @property
    def at_signing(self) -> dict[str, Extra]:
        """The user's own columns that were known at signing and may be used: none that leaks."""
        extra = self.settings.table("clients").extra
        return {
            name: about
            for name, about in extra.items()
            if about.known == SIGNING and name not in self.leaking
        }

    @cached_property
    def _followed(self) -> pd.DataFrame:
        """Engagements with every column of the clients table."""
        return build_spells(
            self.tables.frames["clients"],
            cutoff=self.cutoff,
            records_begin=self.records_begin,
            notice_days=0 if self.is_snapshot else self.settings.notice_days,
            pause_days=self.settings.pause_days,
            # An end on the first day without service was read as the last paid day before it.
            end_grace_days=self._late_by,
        ).assign(renewals_known=not self.is_snapshot)

    @property
    def _late_by(self) -> int:
        """By how many days ends may be written down late and still belong to the month before."""
        return 0 if self.settings.first_day_without_service else self.settings.end_grace_days or 0

    @cached_property
    def cycles(self) -> pd.DataFrame:
        """Contract terms that came due: `spells.contract_cycles`, from the contracts table where
        there is one.

        None of a snapshot: its starts are counted back, so that only those who left on a due day
        would seem to be due.
        """
        cycles = contract_cycles(self.spells, self.contracts)
        return cycles.head(0) if self.is_snapshot else cycles

    @property
    def contracts(self) -> pd.DataFrame | None:
        """The contracts signed by the cut-off, else the terms of clients whose rows tell of
        several; else None.
        """
        signed = self._known("contracts", "signed_on")
        told_by_rows = row_terms(self.spells)
        if signed is None or told_by_rows is None:
            return told_by_rows if signed is None else signed
        silent = told_by_rows[~told_by_rows["client_id"].isin(signed["client_id"])]
        return pd.concat(
            [signed, silent.astype({"client_id": signed["client_id"].dtype})], ignore_index=True
        )

    @property
    def past_only(self) -> bool:
        """Whether so few clients are still there that the list looks like one of past clients."""
        return len(self.spells) >= MIN_TOLD and 1 - self.spells["gone"].mean() < FEW_PRESENT

    @cached_property
    def claims(self) -> dict[str, Claim]:
        """The study's claims by id, with the user's own plan where `[plan]` departs from it."""
        return load_plan(self.settings.plan)[0]

    @cached_property
    def panel(self) -> Panel:
        """Ratings and results by engagement and month of service (A6, A8, A10); blank where there
        are none.
        """
        surveys = self._known("surveys", "invited_on")
        last = pd.Timestamp(self.cutoff)
        if surveys is not None:  # an answer that came later was none yet
            late = surveys["answered_on"] > last
            surveys = surveys.assign(answered_on=surveys["answered_on"].mask(late))
        return build_panel(
            self.spells,
            surveys,
            self._known("results", "month", "recorded_at"),
            self.settings.results,
            assignments=self._known("assignments", "from_date", "recorded_at"),
            contracts=self.contracts,
            staff=self.tables.get("staff"),
            cutoff=last,
            notice_days=self.settings.notice_days,
        )

    @cached_property
    def reps_now(self) -> pd.DataFrame:
        """Of each client there on the cut-off the rep in charge, `rep_id`, and who of its reps
        `left`: `in_charge`.

        Index client_id. `left` names the person who would be in charge had they not left the
        agency.
        """
        last = pd.Timestamp(self.cutoff)
        there = self.spells[~(self.spells["end_date"] <= last)].drop_duplicates(
            "client_id", keep="last"
        )
        there = there.reindex(columns=["client_id", "start_date", "rep_id"]).assign(day=last)
        assignments = self.known("assignments")
        staff = self.known("staff")
        rep = reps_on(there, "day", assignments, staff)
        left = with_people_who_left(there, last, assignments, staff)
        return there.assign(rep_id=rep, left=left).set_index("client_id")[["rep_id", "left"]]

    @cached_property
    def money(self) -> pd.DataFrame:
        """What each client paid and cost by month, as known: `money.monthly_money`."""
        names = {
            "account_months": ("month", "recorded_at"),
            "hours": ("month", "recorded_at"),
            "staff": (),
        }
        known = {name: self._known(name, *days) for name, days in names.items()} | {
            "contracts": self.contracts
        }
        return monthly_money(
            self.spells, {name: rows for name, rows in known.items() if rows is not None}
        )

    @cached_property
    def fees_by_term(self) -> ByTerm | None:
        """The fees by the months they are for, and which were moved: `prepaid.by_term`; None
        without fees.
        """
        fees = self._known("account_months", "month", "recorded_at")
        return None if fees is None else by_term(self.spells, fees, self.contracts)

    @property
    def window(self) -> Window:
        """The months ahead in which leaving is foretold ([risk] in retention.toml)."""
        told = self.settings.risk
        return Window(told.gap, told.horizon, math.ceil(self.settings.notice_days / 31))

    @cached_property
    def snapshots(self) -> pd.DataFrame:
        """Each client at each month's end: `snapshots.build_snapshots`; empty where dates were
        counted back.

        Without the columns of `leaking`.
        """
        return self._once("snapshots", lambda: Made({"rows": self._snapshots()})).frames["rows"]

    def _snapshots(self) -> pd.DataFrame:
        begin = (
            pd.Timestamp(self.records_begin)
            if self.records_begin
            else self.spells["start_date"].min()
        )
        frames = self.tables.frames
        tables = frames.scanned() if isinstance(frames, Frames) else dict(frames)
        if "contracts" not in tables and self.contracts is not None:
            tables["contracts"] = self.contracts
        rows = build_snapshots(
            self.spells,
            tables,
            self.window,
            self.settings.results,
            cutoff=pd.Timestamp(self.cutoff),
            begin=begin,
            extra=self.at_signing,
            worth=self._worth_of_prepaid(),
        )
        size = ["log_size"] if "monthly_ad_spend" in self.leaking else []
        rows = rows.drop(columns=[*self.leaking, *size], errors="ignore")
        return rows.head(0) if self.is_snapshot else rows

    def _worth_of_prepaid(self) -> pd.DataFrame | None:
        """What clients leave a month whose fees were spread; None where there are none."""
        spread = None if self.fees_by_term is None else self.fees_by_term.spread
        if spread is None or spread.empty:
            return None
        prepaid = spread[["client_id", "engagement"]].drop_duplicates()
        return worth_by_month(self.money.merge(prepaid, on=["client_id", "engagement"]))

    @cached_property
    def risk(self) -> tuple[Judgement, pd.DataFrame, pd.DataFrame]:
        """How well leaving is predicted, what moves the chances, and the scores of who is there
        now.

        The second is `scores.weights`, the third `scores.scores`.
        """
        made = self._once("risk", self._risk)
        return (
            Judgement(made.frames["told"], **made.facts),
            made.frames["weights"],
            made.frames["scores"],
        )

    def _risk(self) -> Made:
        judgement = judged(self.snapshots, self.window, self.settings.risk)
        way = scorer(self.snapshots, judgement, self.window)
        reps = self.reps_now["rep_id"].fillna("")
        table = scores(self.snapshots, self.spells, way, self.settings, self.cutoff, reps)
        facts = {"skills": judgement.skills, "why": judgement.why, "pays_from": judgement.pays_from}
        return Made({"told": judgement.told, "weights": weights(way), "scores": table}, facts)

    @cached_property
    def described(self) -> Described:
        """Who has left, of a snapshot: `cross_section.described`; nothing where there are dates."""
        made = self._once("described", self._described)
        return Described(**made.frames, **made.facts)

    def _described(self) -> Made:
        spells = self.spells if self.is_snapshot else self.spells.head(0)
        found = described(spells, self.at_signing)
        frames = {
            "rows": found.rows,
            "told": found.told,
            "without": found.without,
            "drivers": found.drivers,
        }
        return Made(frames, {"why": found.why, "note": found.note})

    def _once(self, name: str, make: Callable[[], Made]) -> Made:
        """What `make` gives back; in a run the first notebook that asks makes it for all
        (`prepared.once`).
        """
        return make() if self.shared is None else prepared.once(self.shared, name, make)

    def known(self, table: str) -> pd.DataFrame | None:
        """A table as it stood on the last day: `schema.known_by`; None where the source has no such
        table.
        """
        rows = self.tables.get(table)
        return None if rows is None else known_by(table, rows, pd.Timestamp(self.cutoff))

    def _known(self, table: str, *days: str) -> pd.DataFrame | None:
        """The rows of a table that were known on the last day; None where the source has no such
        table.
        """
        rows = self.tables.get(table)
        if rows is None:
            return None
        for day in (name for name in days if name in rows):
            rows = rows[~(rows[day] > pd.Timestamp(self.cutoff))]
        return rows

    def _categories(self) -> list[str]:
        """Columns of the clients by which parts of the book may have come from elsewhere."""
        own = [name for name, column in self.at_signing.items() if column.kind == "category"]
        return [name for name in ("source", "industry", "seller_id", *own) if name in self.spells]

    @property
    def is_snapshot(self) -> bool:
        """Whether dates were counted back from a tenure and a flag."""
        return self.settings.is_snapshot

    @cached_property
    def reps_known(self) -> Floats:
        """Client-months under observation of each rep on record, shape (reps,); empty where nobody
        knows the reps.
        """
        if "reps" not in self.spells:
            return NO_REPS
        months = follow_up(self.spells).by_rep.counts.at_risk[1:].sum(axis=1)
        return np.asarray(months[months > 0])

    def about_intervals(self) -> Finding:
        """Whether the intervals of all pages allow for clients of one rep who rise and fall
        together (METHODS 6).
        """
        reps = len(self.reps_known)
        if tells(self.reps_known):
            return Finding("data", f"Intervals allow for reps who differ ({reps} reps).")
        why = "who serves which client is not on record"
        if reps:
            why = (
                f"{reps} {'rep is' if reps == 1 else 'reps are'} on record, at least "
                f"{FEWEST_REPS} are needed"
            )
        if reps >= FEWEST_REPS:
            why = f"most clients of the {reps} reps on record are those of a few"
        text = (
            f"Intervals take clients to be independent: {why}. Where reps differ, intervals "
            "are too narrow."
        )
        return Finding("data", text)

    @property
    def whose(self) -> str:
        """Whose data these are, for headings."""
        return self.settings.agency or "Your agency"

    @property
    def caveats(self) -> tuple[str, ...]:
        """What must be said with every verdict on these data."""
        said = [say("claims.caveat.snapshot")] if self.is_snapshot else []
        said += [PAST_ONLY] if self.past_only else []
        leaking = [name for name in self.leaking if name in self.settings.table("clients").extra]
        if leaking:
            said.append(say("claims.caveat.not_at_signing", columns=", ".join(leaking)))
        return tuple(said)

    def warnings(self, every_rule: bool = False) -> Findings:
        """What a reader must know before trusting any number, most serious first.

        Rules that many rows break are one sentence, unless `every_rule` asks for one each (page 00,
        `retention check`).
        """
        rules = [Finding("data", text, "warning") for text in self._about_rules()]
        if len(rules) > MANY_RULES and not every_rule:
            rules = [Finding("data", self._many_rules())]
        texts = [*self._about_time(), *self._about_ends()]
        plan = [Finding("data", text, "warning") for text in load_plan(self.settings.plan)[1]]
        about_time = [Finding("data", text, "warning") for text in texts]
        items = [*leaks(self.leaking).items, *about_time, *rules, *plan]
        return Findings(tuple(items), "Nothing gives reason to doubt.")

    def notes(self) -> Findings:
        """What was read but not used, and what was mended without asking."""
        texts = [
            *self.tables.notes,
            *(f"Mended without asking: {text}." for text in self.tables.repairs),
        ]
        spread = None if self.fees_by_term is None else self.fees_by_term.spread
        if spread is not None and len(spread):
            texts.append(
                f"Payments for several months: {_of_clients(spread)}. Each counts in the months "
                "it is for (by the "
                "contract's term, the months between payments, or the usual fee)."
            )
        return Findings(
            tuple(Finding("data", text) for text in texts),
            "Every column was read, and nothing mended.",
        )

    def provenance(self) -> Listing:
        """Where the numbers come from: the files by hash, the dates, the settings and the plan in
        force.
        """
        rows = {f"{name} (sha256)": digest[:16] for name, digest in self.tables.hashes.items()}
        rows |= {
            "cut-off": str(self.cutoff),
            "records begin": str(self.records_begin or "with the first client"),
        }
        pause = str(self.settings.pause_days)
        rows |= {"pause that is not an end, days": pause, "plan (sha256)": plan_hash(self.claims)}
        rows |= {"retention version": version("retention")}
        return Listing(
            pd.DataFrame({"What": rows.keys(), "Value": rows.values()}),
            "Where these numbers come from",
        )

    def _about_time(self) -> list[str]:
        texts = []
        if self.is_snapshot:
            texts.append(
                "These data are a snapshot, not a cohort: a tenure and a flag, without dates. If "
                "the flag marks all "
                "who ever left, the curves are right; if it marks only those who left lately, "
                "clients lost earlier are "
                "missing, and both the curves and the ratio mislead. The term is the one at the "
                "snapshot, not at "
                "signing, and renewal dates are unknown. Dates of start and end would make them "
                "an answer."
            )
        elif self.records_begin is None:
            texts.append(
                "All history is taken to be here. If clients lost before some date were never "
                "recorded, set "
                "records_begin: without it retention looks better than it was."
            )
        late = "" if self.is_snapshot else conventions.past_due(self.spells, self._late_by)
        if late:
            texts.append(f"{late} Check end_grace_days.")
        texts += (
            [] if self.is_snapshot else conventions.late_groups(self.spells, self._categories())
        )
        newest = self.newest_date()
        if (pd.Timestamp(self.cutoff) - newest).days > STALE_DAYS:
            texts.append(
                f"Nothing is dated after {newest:%d %B %Y}, long before the cut-off: the data may "
                "be stale."
            )
        return texts

    def _about_ends(self) -> list[str]:
        spells = self.spells
        texts = []
        ended = int(spells["end_date"].notna().sum())
        if not self.is_snapshot and self.settings.dates.ends_ahead is None:
            texts += conventions.note_of_ends_ahead(self.tables.frames["clients"], self.cutoff)
        unknown = int((spells["end_kind"] == "unknown").sum())
        if unknown:
            who = (
                f"For {unknown:,} of {ended:,} ends on record, those to come included,"
                if unknown < ended
                else "For all ends"
            )
            texts.append(
                f"{who} nobody recorded whose choice they were (end_initiator); they count as the "
                "client's choice, and "
                "to see what that does, as the agency's."
            )
        if self.past_only:
            there = len(spells) - int(spells["gone"].sum())
            texts.append(
                f"{there:,} of {len(spells):,} clients are still there. If only past clients are "
                "listed, or clients "
                "who stay have the day of their last invoice as an end, every "
                "figure misleads: those who stayed are missing, and clients seem to leave sooner "
                "than they do."
            )
        missing = "" if self.is_snapshot else missing_sizes(spells, self.contracts)
        texts += [missing] if missing else []
        assumed = int(spells["decision_assumed"].sum())
        if assumed and not self.is_snapshot:
            texts.append(
                f"For {assumed:,} of {ended:,} ends the day of decision is taken to be "
                f"{self.settings.notice_days} days before the end (notice_days)."
            )
        return [*texts, *self._about_charge(), *self._about_fees(), *self._about_rows()]

    def _about_charge(self) -> list[str]:
        """How many clients are assigned to somebody who has left the agency."""
        left = self.reps_now["left"].dropna()
        if left.empty:
            return []
        called = people_names(self.tables.get("staff"))
        names = [called.get(who, who) for who in left.unique()]
        ids = ", ".join(left.index[:5]) + (", ..." if len(left) > 5 else "")
        return [
            f"{len(left):,} present clients ({ids}) are assigned to somebody who has left "
            f"({', '.join(names)}), who is "
            "in charge of nobody. Add to assignments who took over, from the day on which they did."
        ]

    def _about_fees(self) -> list[str]:
        """Which payments look like fees of several months, and stay in one because nothing says of
        how many.
        """
        left = None if self.fees_by_term is None else self.fees_by_term.left
        if left is None or left.empty:
            return []
        return [
            f"Payments with months of nothing after them: {_of_clients(left)}. Nothing on record "
            "says for which "
            "months they are: they count in the one they are written down in, and the money of "
            "these clients misleads. "
            "Write the fee of each month into account_months, or the term into contracts."
        ]

    def _about_rows(self) -> list[str]:
        """Which rows of the clients table have no spell of their own, or a date that is hard to
        believe.
        """
        rows = self.tables.frames["clients"]
        spells = self.spells
        last = pd.Timestamp(self.cutoff)
        later = rows["start_date"] > last
        ahead = rows["end_date"] > last + pd.DateOffset(years=YEARS_AHEAD)
        merged = int(spells["rows_merged"].sum())
        earlier = len(rows) - int(later.sum()) - merged - len(spells)
        texts = []
        if later.any():
            texts.append(
                "Clients rows that start after the cut-off and are left out, unless they carry on "
                "an earlier one: "
                f"{some(rows, later)}."
            )
        if earlier:
            texts.append(
                f"Clients rows that ended before the records begin and are left out: {earlier:,}."
            )
        if ahead.any():
            texts.append(
                f"Clients rows that end more than {YEARS_AHEAD} years after the cut-off; until "
                "then they count as "
                f"clients: {some(rows, ahead)}."
            )
        if merged:
            texts.append(f"Rows merged with an earlier one of the same client: {merged:,}.")
        changed = int((spells["later_terms"] != "").sum())
        if changed:
            texts.append(
                f"In {changed:,} engagements a later row has another contract term; from its "
                "start on that term counts "
                "for when the client may leave, and the term signed first says which group the "
                "client belongs to."
            )
        return texts

    @cached_property
    def broken_rules(self) -> tuple[Fault, ...]:
        """What the tables leave in doubt (data/rules.toml); in a run it is found once, before the
        notebooks.
        """
        if self.shared is not None:
            return self.tables.warnings
        return (*self.tables.warnings, *warnings_of(self.tables.frames, self.cutoff))

    def _about_rules(self) -> list[str]:
        """Rows that contradict each other or cannot be believed, a sentence for each rule."""
        return [in_words(warning) for warning in self.broken_rules]

    def _many_rules(self) -> str:
        places = dict.fromkeys(f"{warning.table}.{warning.column}" for warning in self.broken_rules)
        first = ", ".join(list(places)[:MANY_RULES])
        more = ", ..." if len(places) > MANY_RULES else ""
        return (
            f"{len(self.broken_rules)} things in the records look wrong ({first}{more}): page "
            "00 lists them."
        )

    def newest_date(self) -> pd.Timestamp:
        """The newest day, up to the cut-off, on which anything happened to a client."""
        dates = self.spells[["start_date", "end_date", "decision_date", "recorded_date"]]
        return dates.where(dates <= pd.Timestamp(self.cutoff)).max().max()


def check_data(
    data_dir: str = "", config: str = "", cutoff: str = "", tell: Told = lambda text: None
) -> Study:
    """As `open_study`, but large tables are only checked: of theirs, the frames hold the dates and
    nothing else.
    """
    return open_study(data_dir, config, cutoff, tell, only_check=True)


def open_study(
    data_dir: str = "",
    config: str = "",
    cutoff: str = "",
    tell: Told = lambda text: None,
    only_check: bool = False,
) -> Study:
    """The study for these notebook parameters; with none given, the sample in the project's own
    folder.

    In a notebook of a run, `data_dir` is the folder that the run prepared (`prepared.sealed`).
    DataError and ConfigError list all faults at once. `tell` hears how far the reading is.
    """
    data_dir, config, cutoff = checked(data_dir, config, cutoff)
    if seal := prepared.sealed(data_dir):
        return _open_prepared(Path(data_dir), seal)
    settings = resolve(data_dir, config, cutoff)
    leave_out_below(settings.privacy.fewest)
    load_plan(settings.plan)
    study = _study_of(settings, read(settings, tell, only_check))
    if study.tables.partial:
        return study
    tables = study.tables
    metrics = (
        sorted(tables.frames["results"]["metric"].dropna().unique())
        if "results" in tables.frames
        else []
    )
    if metrics and settings.results.primary not in ("", *metrics):
        raise ConfigError(
            f"[results] primary is {settings.results.primary!r}, and the results table has no "
            "such metric. "
            f"There are: {', '.join(metrics)}."
        )
    if study.spells.empty:
        raise ConfigError(
            f"No client had started by the cut-off, {study.cutoff}. Check the cut-off and the "
            "dates."
        )
    return study


def open_clients(data_dir: str, config: str, cutoff: str, tell: Told = lambda text: None) -> Study:
    """A study of the clients table alone, every other one left where it is: for tables that no
    memory holds.

    Errors as of `open_study`.
    """
    settings = resolve(data_dir, config, cutoff)
    others = {name: TableSettings(use=False) for name in TABLES if name != "clients"}
    settings = settings.model_copy(update={"tables": settings.tables | others})
    return _study_of(settings, read(settings, tell))


def prepare(study: Study, folder: Path) -> str:
    """The seal of a new folder with the checked tables and the settings in force, for the notebooks
    of one run.
    """
    tables = study.tables
    state = {
        "settings": study.settings.model_dump_json(exclude={"base"}),
        "tables": (tables.rows, tables.hashes, tables.notes, tables.repairs),
        "dates": (study.cutoff, study.records_begin),
        "warnings": [asdict(warning) for warning in study.broken_rules],
    }
    return prepared.write(folder, tables.frames, state)


def _open_prepared(folder: Path, seal: str) -> Study:
    frames, state = prepared.opened(folder, seal)
    rows, hashes, notes, repairs = state["tables"]
    warnings = tuple(
        Fault(**{**warning, "ids": tuple(warning["ids"]), "seen": tuple(warning["seen"])})
        for warning in state["warnings"]
    )
    tables = Tables(frames, rows, hashes, tuple(notes), tuple(repairs), warnings=warnings)
    cutoff, begin = (day and dt.date.fromisoformat(day) for day in state["dates"])
    settings = Settings.model_validate_json(state["settings"])
    leave_out_below(settings.privacy.fewest)
    return Study(settings, tables, cutoff, begin, folder)


def _study_of(settings: Settings, tables: Tables) -> Study:
    """The study of these tables, their dates read as they are meant; ConfigError asks all that the
    data leave open.
    """
    cutoff, asks = _cutoff(settings, tables.frames)
    clients = tables.frames["clients"]
    if cutoff and not tables.partial:
        clients, notes = conventions.meant(clients, settings, cutoff)
        tables = replace(
            tables, frames={**tables.frames, "clients": clients}, notes=(*tables.notes, *notes)
        )
    begin = settings.records_begin
    if begin is None and not settings.is_snapshot and (ask := ask_records_begin(clients)):
        asks.append(ask)
    if isinstance(begin, dt.date) and cutoff and begin > cutoff:
        asks.append(f"records_begin {begin} is after the cut-off {cutoff}.")
    if cutoff and not tables.partial:
        asks += conventions.questions(clients, settings, cutoff)
    if asks or cutoff is None:
        raise ConfigError("\n".join(asks))
    return Study(settings, tables, cutoff, begin if isinstance(begin, dt.date) else None)


def _cutoff(
    settings: Settings, frames: Mapping[str, pd.DataFrame]
) -> tuple[dt.date | None, list[str]]:
    """The last day observed, and what has to be asked about it."""
    taken = settings.table("clients").snapshot_date
    snapshot = last_whole_month(taken) if taken else None
    if snapshot and settings.cutoff not in (None, snapshot, taken):
        ask = (
            f"A snapshot has one cut-off, the end of its last whole month ({snapshot}), not "
            f"{settings.cutoff}."
        )
        return snapshot, [ask]
    cutoff = snapshot or settings.cutoff or _newest_recorded(frames)
    if cutoff is None:
        ask = (
            "The cut-off is not known: on which day was this data true? No recorded dates are in "
            "it. "
            "Give --cutoff YYYY-MM-DD, or cutoff = YYYY-MM-DD in retention.toml."
        )
        return None, [ask]
    return cutoff, []


def _newest_recorded(frames: Mapping[str, pd.DataFrame]) -> dt.date | None:
    """The newest recorded date: never an end, term, due or scheduled date, which may lie ahead."""
    recorded = [frame[c].dropna() for frame in frames.values() for c in RECORDED if c in frame]
    if not sum(map(len, recorded)):
        return None
    days = pd.concat([*recorded, frames["clients"]["start_date"].dropna()])
    newest = pd.concat(recorded).max()
    bulk = days.quantile(0.95, interpolation="lower")
    if newest - bulk > pd.Timedelta(days=YEARS_AHEAD * 366):
        raise ConfigError(
            f"The newest recorded date, {newest.date()}, is years after nearly all others (95% by "
            f"{bulk.date()}). "
            "If it is a typing error, correct it; otherwise set cutoff in retention.toml to the "
            "day of the data."
        )
    return newest.date()


def _of_clients(payments: pd.DataFrame) -> str:
    """How many payments, of how many clients, and the first five of their ids."""
    ids = payments["client_id"].drop_duplicates()
    return (
        f"{len(payments):,}, of clients {some(payments.loc[ids.index], pd.Series(True, ids.index))}"
    )
