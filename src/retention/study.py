"""One study: the data, settings and plan that a notebook works on, opened with one call."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from retention import notices
from retention.claims import registry
from retention.claims.judge import Claim, load_plan
from retention.data import Tables, ask_records_begin, prepared, read, warnings_of
from retention.data.prepared import Frames, Made
from retention.data.schema import SIGNING, TABLES, as_of
from retention.data.seals import with_states
from retention.errors import ConfigError, Fault
from retention.frames import Frames as Offered
from retention.history import conventions, last_day
from retention.history.follow_up import follow_up
from retention.history.grids import build_panel
from retention.history.in_charge import reps_on, spans, with_people_who_left
from retention.history.last_day import RECORDED as RECORDED
from retention.history.money import monthly_money, worth_by_month
from retention.history.panel import Panel
from retention.history.prepaid import ByTerm, by_term
from retention.history.snapshots import build_snapshots
from retention.history.spells import build_spells, contract_cycles, row_terms
from retention.history.trials import waiting
from retention.history.window import Window
from retention.parameters import checked
from retention.portfolio import standing
from retention.results import Finding, Findings, Listing, leave_out_below, money_is_in
from retention.score.cross_section import Described, described
from retention.score.guards import KEPT, leaky
from retention.score.scores import Risk, raising, scorer, scores, weights
from retention.score.validation import Judgement, judged
from retention.settings import Extra, Settings, TableSettings, resolve
from retention.stats.intervals import NO_REPS, Floats
from retention.words import say

Told = Callable[[str], None]


@dataclass(frozen=True, repr=False)
class Study(Offered):
    """Checked tables with the settings in force; `cutoff` is the last day observed.

    `shared` is the folder that the notebooks of one run share: what costs much is made once there
    (`once`).
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
        columns = [name for name in self.leaking if name not in KEPT]
        spells = self._followed.drop(columns=columns)
        assignments = self.known("assignments")
        if assignments is None and "rep_id" not in spells:
            return spells
        staff = self.known("staff")
        return spells.assign(reps=spans(spells, assignments, staff))

    @cached_property
    def leaking(self) -> dict[str, str]:
        """Columns that are said to be known at signing and know who left, with why:
        `guards.leaky`.
        """
        table = self.settings.table("clients")
        return leaky(self._followed, table.extra)

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
            end_grace_days=self.late_by,
        ).assign(renewals_known=not self.is_snapshot)

    @property
    def late_by(self) -> int:
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
        signed = self.known("contracts")
        of_rows = row_terms(self.spells)
        if signed is None or of_rows is None:
            return of_rows if signed is None else signed
        known = of_rows["client_id"].isin(signed["client_id"])
        silent = of_rows[~known]
        silent = silent.astype({"client_id": signed["client_id"].dtype})
        parts = [signed, silent]
        return pd.concat(parts, ignore_index=True)

    @property
    def past_only(self) -> bool:
        """Whether so few clients are still there that the list looks like one of past clients."""
        return notices.past_only(self.spells)

    @cached_property
    def claims(self) -> dict[str, Claim]:
        """The study's claims by id, with the user's own plan where `[plan]` departs from it."""
        return load_plan(self.settings.plan)[0]

    @cached_property
    def panel(self) -> Panel:
        """Ratings and results by engagement and month of service (A6, A8, A10); blank where there
        are none.
        """
        return build_panel(
            self.spells,
            self.known("surveys"),
            self.known("results"),
            self.settings.results,
            assignments=self.known("assignments"),
            contracts=self.contracts,
            staff=self.known("staff"),
            cutoff=pd.Timestamp(self.cutoff),
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
        columns = there.reindex(columns=["client_id", "start_date", "rep_id"])
        there = columns.assign(day=last)
        assignments = self.known("assignments")
        staff = self.known("staff")
        rep = reps_on(there, "day", assignments, staff)
        left = with_people_who_left(there, last, assignments, staff)
        whole = there.assign(rep_id=rep, left=left)
        return whole.set_index("client_id")[["rep_id", "left"]]

    @cached_property
    def money(self) -> pd.DataFrame:
        """What each client paid and cost by month, as known: `money.monthly_money`."""
        names = ("account_months", "hours", "staff")
        known = {name: self.known(name) for name in names} | {"contracts": self.contracts}
        return monthly_money(
            self.spells, {name: rows for name, rows in known.items() if rows is not None}
        )

    @cached_property
    def fees_by_term(self) -> ByTerm | None:
        """The fees by the months they are for, and which were moved: `prepaid.by_term`; None
        without fees.
        """
        fees = self.known("account_months")
        return None if fees is None else by_term(self.spells, fees, self.contracts)

    @property
    def window(self) -> Window:
        """The months ahead in which leaving is predicted ([risk] in retention.toml)."""
        risk = self.settings.risk
        months = math.ceil(self.settings.notice_days / 31)
        return Window(risk.gap, risk.horizon, months)

    @cached_property
    def month_ends(self) -> pd.DataFrame:
        """Each client at each month's end: `snapshots.build_snapshots`; empty where dates were
        counted back. Months count from the year 0; `snapshots` has days.

        Without the columns of `leaking`.
        """
        return self.once("snapshots", lambda: Made({"rows": self._month_ends()})).frames["rows"]

    def _month_ends(self) -> pd.DataFrame:
        begin = self.records_begin or self.spells["start_date"].min()
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
            begin=pd.Timestamp(begin),
            extra=self.at_signing,
            worth=self._worth_of_prepaid(),
        )
        size = ["log_size"] if "monthly_ad_spend" in self.leaking else []
        columns = [*self.leaking, *size]
        rows = rows.drop(columns=columns, errors="ignore")
        return rows.head(0) if self.is_snapshot else rows

    def _worth_of_prepaid(self) -> pd.DataFrame | None:
        """What clients leave a month whose fees were spread; None where there are none."""
        spread = None if self.fees_by_term is None else self.fees_by_term.spread
        if spread is None or spread.empty:
            return None
        prepaid = spread[["client_id", "engagement"]].drop_duplicates()
        key = ["client_id", "engagement"]
        return worth_by_month(self.money.merge(prepaid, on=key))

    @cached_property
    def standing(self) -> pd.DataFrame:
        """How each active client stands, as every page and list says it: `margin` a month and
        `act_by`, the last day before its term turns (`portfolio.standing`); index `client_id`.
        """
        last = pd.Timestamp(self.cutoff)
        limits = self.settings.limits
        rows = standing.active_rows(self.spells, last)
        contracts = self.contracts
        known = {} if contracts is None else {"contracts": as_of("contracts", contracts, last)}
        ends = standing.terms_end(rows, known, last, self.settings.notice_days, limits)
        margin = standing.margin_now(self.money, rows, last, limits)
        act_by = ends["notice_by"]
        return pd.DataFrame({"margin": margin, "act_by": act_by})

    @property
    def waiting(self) -> pd.Index:
        """The clients who wait in a trial on the cut-off, and are to be left alone."""
        months = self.settings.trial.horizon_months
        return waiting(self.tables.frames, months, pd.Timestamp(self.cutoff)).index

    @cached_property
    def risk(self) -> Risk:
        """How well leaving is predicted, what moves the predicted risk, and the scores of who is
        there now.

        The second is `scores.weights`, the third `scores.scores`.
        """
        made = self._scored
        judgement = Judgement(made.frames["predictions"], **made.facts)
        return Risk(judgement, made.frames["weights"], made.frames["scores"])

    @property
    def raising(self) -> pd.DataFrame:
        """What raises the risk of each client of the scores, in phrases: `scores.raising`."""
        return self._scored.frames["raising"]

    @cached_property
    def _scored(self) -> Made:
        return self.once("risk", self._risk)

    def _risk(self) -> Made:
        risk_settings = self.settings.risk
        judgement = judged(self.month_ends, self.window, risk_settings)
        way = scorer(self.month_ends, judgement, self.window)
        reps = self.reps_now["rep_id"].fillna("")
        waits = self.waiting
        table = scores(self.month_ends, self.spells, way, self.settings, self.standing, reps, waits)
        facts = {"skills": judgement.skills, "why": judgement.why, "pays_from": judgement.pays_from}
        frames = {"predictions": judgement.predictions, "weights": weights(way), "scores": table}
        frames["raising"] = raising(self.month_ends, way)
        return Made(frames, facts)

    @cached_property
    def described(self) -> Described:
        """Who has left, of a snapshot: `cross_section.described`; nothing where there are dates."""
        made = self.once("described", self._described)
        return Described(**made.frames, **made.facts)

    def _described(self) -> Made:
        spells = self.spells if self.is_snapshot else self.spells.head(0)
        found = described(spells, self.at_signing)
        frames = {
            "rows": found.rows,
            "shares": found.shares,
            "without": found.without,
            "drivers": found.drivers,
        }
        facts = {"why": found.why, "note": found.note, "together": found.together}
        return Made(frames, facts)

    def once(self, name: str, make: Callable[[], Made]) -> Made:
        """What `make` gives back; in a run the first notebook that asks makes it for all
        (`prepared.once`).
        """
        return make() if self.shared is None else prepared.once(self.shared, name, make)

    def known(self, table: str) -> pd.DataFrame | None:
        """A table as it stood on the last day: `schema.as_of`; None where it is absent."""
        rows = self.tables.get(table)
        return None if rows is None else as_of(table, rows, pd.Timestamp(self.cutoff))

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
        at_risk = follow_up(self.spells).by_rep.counts.at_risk
        months = at_risk[1:].sum(axis=1)
        return np.asarray(months[months > 0])

    def about_intervals(self) -> Finding:
        """Whether intervals allow for reps who differ: `notices.about_intervals`."""
        return notices.about_intervals(self.reps_known)

    def judge(self, name: str) -> registry.Judged:
        """The claim of this id (A1, A4, ...) as it stands in these data, with its verdict."""
        return registry.judged(name, self)

    @property
    def whose(self) -> str:
        """Whose data these are, for headings."""
        return self.settings.agency or "Your agency"

    @property
    def caveats(self) -> tuple[str, ...]:
        """What must be said with every verdict on these data: `notices.caveats`."""
        return notices.caveats(self)

    def warnings(self, every_rule: bool = False) -> Findings:
        """What a reader must know before trusting any number: `notices.warnings`.

        `every_rule` asks for a sentence for each broken rule (page 00, `retention check`).
        """
        return notices.warnings(self, every_rule)

    def notes(self) -> Findings:
        """What was read but not used, and what was mended without asking: `notices.notes`."""
        return notices.notes(self)

    def provenance(self) -> Listing:
        """Where the numbers come from: `notices.provenance`."""
        return notices.provenance(self)

    @cached_property
    def broken_rules(self) -> tuple[Fault, ...]:
        """What the tables leave in doubt (data/rules.toml); in a run it is found once, before the
        notebooks.
        """
        if self.shared is not None:
            return self.tables.warnings
        frames = self.tables.frames
        return (*self.tables.warnings, *warnings_of(frames, self.cutoff))

    def newest_date(self) -> pd.Timestamp:
        """The newest day, up to the cut-off, on which anything happened to a client."""
        return last_day.newest_date(self.spells, self.cutoff)


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
    money_is_in(settings.currency)
    load_plan(settings.plan)
    tables = read(settings, tell, only_check)
    study = _study_of(settings, tables)
    if study.tables.partial:
        return study
    _refuse_unusable(study)
    return study


def _refuse_unusable(study: Study) -> None:
    """ConfigError where the primary metric is not in the results, or no client had started yet."""
    results = study.tables.frames.get("results")
    metrics = [] if results is None else sorted(results["metric"].dropna().unique())
    primary = study.settings.results.primary
    if metrics and primary not in ("", *metrics):
        names = ", ".join(metrics)
        raise ConfigError(say("study.refused.primary", primary=primary, metrics=names))
    if study.spells.empty:
        raise ConfigError(say("study.refused.no_client", cutoff=study.cutoff))


def open_clients(data_dir: str, config: str, cutoff: str, tell: Told = lambda text: None) -> Study:
    """A study of the clients table alone, every other one left where it is: for tables that no
    memory holds.

    Errors as of `open_study`.
    """
    settings = resolve(data_dir, config, cutoff)
    others = {name: TableSettings(use=False) for name in TABLES if name != "clients"}
    merged_tables = settings.tables | others
    settings = settings.model_copy(update={"tables": merged_tables})
    return _study_of(settings, read(settings, tell))


def prepare(study: Study, folder: Path) -> str:
    """The seal of a new folder with the checked tables and the settings in force, for the notebooks
    of one run.
    """
    tables = study.tables
    settings_text = study.settings.model_dump_json(exclude={"base"})
    state = {
        "settings": settings_text,
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
    money_is_in(settings.currency)
    return Study(settings, tables, cutoff, begin, folder)


def _study_of(settings: Settings, tables: Tables) -> Study:
    """The study of these tables, their dates read as they are meant; ConfigError asks all that the
    data leave open.
    """
    cutoff, asks = last_day.last_day(settings, tables.frames)
    clients = tables.frames["clients"]
    if cutoff and not tables.partial:
        clients, notes = conventions.meant(clients, settings, cutoff)
        tables = replace(
            tables, frames={**tables.frames, "clients": clients}, notes=(*tables.notes, *notes)
        )
    tables = replace(tables, frames=with_states(tables.frames))
    begin = settings.records_begin
    if begin is None and not settings.is_snapshot:
        ask = ask_records_begin(clients)
        asks += [ask] if ask else []
    if isinstance(begin, dt.date) and cutoff and begin > cutoff:
        text = say("study.refused.begin_late", begin=begin, cutoff=cutoff)
        asks.append(text)
    if cutoff and not tables.partial:
        asks += conventions.questions(clients, settings, cutoff)
    if asks or cutoff is None:
        raise ConfigError("\n".join(asks))
    return Study(settings, tables, cutoff, begin if isinstance(begin, dt.date) else None)
