"""One study: the data, settings and plan that a notebook works on, opened with one call."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
from scipy import stats

from retention.claims import Claim, load_plan, plan_hash
from retention.config import Settings, TableSettings, resolve
from retention.economics.money import monthly_money
from retention.errors import ConfigError, Fault
from retention.features import Window
from retention.guards import leaky
from retention.judgement import Judgement, judged
from retention.lagged import Panel, build_panel
from retention.results import Finding, Findings, Listing, leave_out_below
from retention.scores import Scorer, scorer, scores
from retention.snapshots import build_snapshots
from retention.sources import Tables, ask_records_begin, in_words, last_whole_month, read, warnings_of
from retention.spells import build_spells, contract_cycles, ends_near_due
from retention.tables import TABLES, known_by

PREPARED = "prepared.json"
YEARS_AHEAD = 2  # (ours) a date this far beyond nearly all others is a typing error until somebody says otherwise
STALE_DAYS = 92  # (ours) nothing dated in the last quarter before the cut-off deserves a warning
PAST_DUE_ENDS, PAST_DUE_CHANCE = 5, 0.05  # (ours) ends past due, beyond chance: is end_date the last paid day?
MANY_RULES = 3  # (ours) more broken rules than this are one sentence on every page but that of the data
MIN_TOLD, FEW_PRESENT = 20, 0.05  # (ours) so few clients still there look like a list of past ones
RECORDED = ("recorded_date", "recorded_at")
Told = Callable[[str], None]


@dataclass(frozen=True)
class Study:
    """Checked tables with the settings in force; `cutoff` is the last day observed.

    `shared` is the folder that the notebooks of one run share: what costs much is made once there (`_once`).
    """

    settings: Settings
    tables: Tables
    cutoff: dt.date
    records_begin: dt.date | None
    shared: Path | None = None

    @cached_property
    def spells(self) -> pd.DataFrame:
        """Engagements followed to the cut-off: `spells.build_spells`."""
        return build_spells(
            self.tables.frames["clients"],
            cutoff=self.cutoff,
            records_begin=self.records_begin,
            notice_days=0 if self.is_snapshot else self.settings.notice_days,
            pause_days=self.settings.pause_days,
            end_grace_days=self.settings.end_grace_days or 0,
        ).assign(renewals_known=not self.is_snapshot)

    @cached_property
    def cycles(self) -> pd.DataFrame:
        """Contract terms that came due: `spells.contract_cycles`, from the contracts table where there is one.

        None of a snapshot: its starts are counted back, so that only those who left on a due day would seem to be due.
        """
        cycles = contract_cycles(self.spells, self.contracts)
        return cycles.head(0) if self.is_snapshot else cycles

    @property
    def contracts(self) -> pd.DataFrame | None:
        """The contracts signed by the cut-off; None where the source has none."""
        return self._known("contracts", "signed_on")

    @cached_property
    def claims(self) -> dict[str, Claim]:
        """The study's claims by id, with the user's own plan where `[plan]` departs from it."""
        return load_plan(self.settings.plan)[0]

    @cached_property
    def panel(self) -> Panel:
        """Ratings and results by engagement and month of service (A6, A8, A10); blank where there are none."""
        surveys, last = self._known("surveys", "invited_on"), pd.Timestamp(self.cutoff)
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
            notice_days=self.settings.notice_days,
        )

    @cached_property
    def money(self) -> pd.DataFrame:
        """What each client paid and cost by month, as known: `economics.money.monthly_money`."""
        names = {"account_months": ("month", "recorded_at"), "hours": ("month", "recorded_at"), "staff": ()}
        known = {name: self._known(name, *days) for name, days in names.items()}
        return monthly_money(self.spells, {name: rows for name, rows in known.items() if rows is not None})

    @property
    def window(self) -> Window:
        """The months ahead in which leaving is foretold ([risk] in retention.toml)."""
        told = self.settings.risk
        return Window(told.gap, told.horizon, math.ceil(self.settings.notice_days / 31))

    @cached_property
    def snapshots(self) -> pd.DataFrame:
        """Each client at each month's end: `snapshots.build_snapshots`; empty where dates were counted back.

        Without the columns of which `guards.leaky` says that they know too much.
        """
        return self._once("snapshots", self._snapshots)

    def _snapshots(self) -> pd.DataFrame:
        begin = pd.Timestamp(self.records_begin) if self.records_begin else self.spells["start_date"].min()
        extra = self.settings.table("clients").extra
        frames = self.tables.frames
        rows = build_snapshots(
            self.spells,
            frames.scanned() if isinstance(frames, _Frames) else frames,
            self.window,
            self.settings.results,
            cutoff=pd.Timestamp(self.cutoff),
            begin=begin,
            extra=extra,
        )
        known_later = leaky(self.spells, extra)
        size = ["log_size"] if "monthly_ad_spend" in known_later else []
        rows = rows.drop(columns=[*known_later, *size], errors="ignore")
        return rows.head(0) if self.is_snapshot else rows

    @cached_property
    def risk(self) -> tuple[Judgement, Scorer | None, pd.DataFrame]:
        """What foretells leaving: how it did beside simple rules, what scores, and the scores of who is there now."""
        return self._once("risk", self._risk)

    def _risk(self) -> tuple[Judgement, Scorer | None, pd.DataFrame]:
        found = judged(self.snapshots, self.window)
        made = scorer(self.snapshots, found, self.window)
        return found, made, scores(self.snapshots, self.spells, made, self.settings, self.cutoff)

    def _once(self, name: str, make: Callable[[], Any]) -> Any:
        """What `make` gives back; in a run it is made by the first notebook that asks, and kept for the others."""
        if self.shared is None:
            return make()
        import fcntl  # runs are made on systems that have it; a notebook by itself works on any

        kept = self.shared / f"{name}.pickle"
        with (self.shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not kept.is_file():
                fresh = kept.with_suffix(".new")
                pd.to_pickle(make(), fresh)
                fresh.rename(kept)
            return pd.read_pickle(kept)

    def known(self, table: str) -> pd.DataFrame | None:
        """A table as it stood on the last day: `tables.known_by`; None where the source has no such table."""
        rows = self.tables.get(table)
        return None if rows is None else known_by(table, rows, pd.Timestamp(self.cutoff))

    def _known(self, table: str, *days: str) -> pd.DataFrame | None:
        """The rows of a table that were known on the last day; None where the source has no such table."""
        rows = self.tables.get(table)
        if rows is None:
            return None
        for day in (name for name in days if name in rows):
            rows = rows[~(rows[day] > pd.Timestamp(self.cutoff))]
        return rows

    @property
    def is_snapshot(self) -> bool:
        """Whether dates were counted back from a tenure and a flag."""
        return bool(self.settings.table("clients").tenure_months)

    @property
    def whose(self) -> str:
        """Whose data these are, for headings."""
        return self.settings.agency or "Your agency"

    @property
    def caveats(self) -> tuple[str, ...]:
        """What must be said with every verdict on these data."""
        return ("read off a snapshot, not a cohort",) if self.is_snapshot else ()

    def warnings(self, every_rule: bool = False) -> Findings:
        """What a reader must know before trusting any number, most serious first.

        Rules that many rows break are one sentence, unless `every_rule` asks for one each (page 00, `retention check`).
        """
        rules = [Finding("data", text, "warning") for text in self._about_rules()]
        if len(rules) > MANY_RULES and not every_rule:
            rules = [Finding("data", self._many_rules())]
        texts = [*self._about_time(), *self._about_ends()]
        plan = [Finding("data", text, "warning") for text in load_plan(self.settings.plan)[1]]
        items = [*(Finding("data", text, "warning") for text in texts), *rules, *plan]
        return Findings(tuple(items), "Nothing gives reason to doubt.")

    def notes(self) -> Findings:
        """What was read but not used, and what was mended without asking."""
        texts = [*self.tables.notes, *(f"Mended without asking: {text}." for text in self.tables.repairs)]
        return Findings(tuple(Finding("data", text) for text in texts), "Every column was read, and nothing mended.")

    def provenance(self) -> Listing:
        """Where the numbers come from: the files by hash, the dates, the settings and the plan in force."""
        rows = {f"{name} (sha256)": digest[:16] for name, digest in self.tables.hashes.items()}
        rows |= {"cut-off": str(self.cutoff), "records begin": str(self.records_begin or "with the first client")}
        pause = str(self.settings.pause_days)
        rows |= {"pause that is not an end, days": pause, "plan (sha256)": plan_hash(self.claims)}
        rows |= {"retention version": version("retention")}
        return Listing(pd.DataFrame({"What": rows.keys(), "Value": rows.values()}), "Where these numbers come from")

    def _about_time(self) -> list[str]:
        texts = []
        if self.is_snapshot:
            texts.append(
                "These data are a snapshot, not a cohort: a tenure and a flag, without dates. If the flag marks all "
                "who ever left, the curves are right; if it marks only those who left lately, clients lost earlier are "
                "missing, and both the curves and the ratio mislead. The term is the one at the snapshot, not at "
                "signing, and renewal dates are unknown. Dates of start and end would make them an answer."
            )
        elif self.records_begin is None:
            texts.append(
                "All history is taken to be here. If clients lost before some date were never recorded, set "
                "records_begin: without it retention looks better than it was."
            )
        if late := _past_due(self.spells, self.settings.end_grace_days or 0):
            texts.append(f"{late} Check end_grace_days.")
        newest = self.newest_date()
        if (pd.Timestamp(self.cutoff) - newest).days > STALE_DAYS:
            texts.append(f"Nothing is dated after {newest:%d %B %Y}, long before the cut-off: the data may be stale.")
        return texts

    def _about_ends(self) -> list[str]:
        spells, texts = self.spells, []
        ended = int(spells["end_date"].notna().sum())
        unknown = int((spells["end_kind"] == "unknown").sum())
        if unknown:
            who = (
                f"For {unknown:,} of {ended:,} ends on record, those to come included,"
                if unknown < ended
                else "For all ends"
            )
            texts.append(
                f"{who} nobody recorded whose choice they were (end_initiator); they count as the client's choice, and "
                "to see what that does, as the agency's."
            )
        if len(spells) >= MIN_TOLD and spells["end_date"].isna().mean() < FEW_PRESENT:
            texts.append(
                f"{len(spells) - ended:,} of {len(spells):,} clients are still there. If only past clients are listed, "
                "every figure misleads: those who stayed are missing, and clients seem to leave sooner than they do."
            )
        assumed = int(spells["decision_assumed"].sum())
        if assumed and not self.is_snapshot:
            texts.append(
                f"For {assumed:,} of {ended:,} ends the day of decision is taken to be "
                f"{self.settings.notice_days} days before the end (notice_days)."
            )
        return [*texts, *self._about_rows()]

    def _about_rows(self) -> list[str]:
        """Which rows of the clients table have no spell of their own, or a date that is hard to believe."""
        rows, last = self.tables.frames["clients"], pd.Timestamp(self.cutoff)
        begin = pd.Timestamp(self.records_begin) if self.records_begin else rows["start_date"].min()
        later, earlier = rows["start_date"] > last, rows["end_date"] < begin
        ahead = rows["end_date"] > last + pd.DateOffset(years=YEARS_AHEAD)
        told = {
            "start after the cut-off and are left out": later,
            "ended before the records begin and are left out": earlier,
            f"end more than {YEARS_AHEAD} years after the cut-off; until then they count as clients": ahead,
        }
        texts = [f"Clients rows that {what}: {_some(rows, mask)}." for what, mask in told.items() if mask.any()]
        merged = len(rows) - len(self.spells) - int(later.sum()) - int(earlier.sum())
        return [*texts, f"Rows merged with an earlier one of the same client: {merged:,}."] if merged > 0 else texts

    @cached_property
    def broken_rules(self) -> tuple[Fault, ...]:
        """What the tables leave in doubt (sources/rules.toml); in a run it is found once, before the notebooks."""
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
        return f"{len(self.broken_rules)} things in the records look wrong ({first}{more}): page 00 lists them."

    def newest_date(self) -> pd.Timestamp:
        """The newest day, up to the cut-off, on which anything happened to a client."""
        dates = self.spells[["start_date", "end_date", "decision_date", "recorded_date"]]
        return dates.where(dates <= pd.Timestamp(self.cutoff)).max().max()


def check_data(data_dir: str = "", config: str = "", cutoff: str = "", tell: Told = lambda text: None) -> Study:
    """As `open_study`, but large tables are only checked: of theirs, the frames hold the dates and nothing else."""
    return open_study(data_dir, config, cutoff, tell, only_check=True)


def open_study(
    data_dir: str = "", config: str = "", cutoff: str = "", tell: Told = lambda text: None, only_check: bool = False
) -> Study:
    """The study for these notebook parameters; with none given, the sample in the project's own folder.

    `data_dir` may also be the prepared folder of a run. DataError and ConfigError list all faults at once. `tell`
    hears how far the reading is.
    """
    prepared = Path(data_dir) / PREPARED
    if data_dir and prepared.is_file():
        return _open_prepared(prepared)
    settings = resolve(data_dir, config, cutoff)
    leave_out_below(settings.privacy.fewest)
    load_plan(settings.plan)
    tables = read(settings, tell, only_check)
    study = Study(settings, tables, *_window(settings, tables.frames))
    if tables.partial:
        return study
    if settings.end_grace_days is None and (ask := _ask_end_convention(study.spells)):
        raise ConfigError(ask)
    metrics = sorted(tables.frames["results"]["metric"].dropna().unique()) if "results" in tables.frames else []
    if metrics and settings.results.primary not in ("", *metrics):
        raise ConfigError(
            f"[results] primary is {settings.results.primary!r}, and the results table has no such metric. "
            f"There are: {', '.join(metrics)}."
        )
    if study.spells.empty:
        raise ConfigError(f"No client had started by the cut-off, {study.cutoff}. Check the cut-off and the dates.")
    return study


def open_clients(data_dir: str, config: str, cutoff: str, tell: Told = lambda text: None) -> Study:
    """A study of the clients table alone, every other one left where it is: for tables that no memory holds.

    Errors as of `open_study`.
    """
    settings = resolve(data_dir, config, cutoff)
    others = {name: TableSettings(use=False) for name in TABLES if name != "clients"}
    settings = settings.model_copy(update={"tables": settings.tables | others})
    tables = read(settings, tell)
    return Study(settings, tables, *_window(settings, tables.frames))


def prepare(study: Study, folder: Path) -> None:
    """Write the checked tables as Parquet, with the settings in force, for the notebooks of one run to read."""
    folder.mkdir(parents=True)
    for name, frame in study.tables.frames.items():
        frame.to_parquet(folder / f"{name}.parquet", index=False)
    tables = study.tables
    state = {
        "settings": study.settings.model_dump_json(exclude={"base"}),
        "tables": (tables.rows, tables.hashes, tables.notes, tables.repairs),
        "dates": (study.cutoff, study.records_begin),
        "warnings": [asdict(warning) for warning in study.broken_rules],
    }
    (folder / PREPARED).write_text(json.dumps(state, indent=1, default=str), "utf-8")


def _open_prepared(path: Path) -> Study:
    state = json.loads(path.read_text("utf-8"))
    frames = _Frames({file.stem: file for file in sorted(path.parent.glob("*.parquet"))})
    rows, hashes, notes, repairs = state["tables"]
    warnings = tuple(
        Fault(**{**warning, "ids": tuple(warning["ids"]), "seen": tuple(warning["seen"])})
        for warning in state["warnings"]
    )
    tables = Tables(frames, rows, hashes, tuple(notes), tuple(repairs), warnings=warnings)
    cutoff, begin = (day and dt.date.fromisoformat(day) for day in state["dates"])
    settings = Settings.model_validate_json(state["settings"])
    leave_out_below(settings.privacy.fewest)
    return Study(settings, tables, cutoff, begin, path.parent)


class _Frames(Mapping[str, pd.DataFrame]):
    """The prepared tables by name, each read when it is first asked for."""

    def __init__(self, files: dict[str, Path]) -> None:
        self.files, self.read = files, dict[str, pd.DataFrame]()

    def __getitem__(self, name: str) -> pd.DataFrame:
        if name not in self.read:
            self.read[name] = pd.read_parquet(self.files[name])
        return self.read[name]

    def scanned(self) -> dict[str, Any]:
        """The same tables, all but that of the clients for Polars to read as far as is asked for."""
        return {name: pl.scan_parquet(file) for name, file in self.files.items()} | {"clients": self["clients"]}

    def __iter__(self) -> Iterator[str]:
        return iter(self.files)

    def __len__(self) -> int:
        return len(self.files)


def _window(settings: Settings, frames: Mapping[str, pd.DataFrame]) -> tuple[dt.date, dt.date | None]:
    """The cut-off and the day records begin; ConfigError asks for whatever cannot be known from the data."""
    asks = []
    taken = settings.table("clients").snapshot_date
    snapshot = last_whole_month(taken) if taken else None
    cutoff = snapshot or settings.cutoff or _newest_recorded(frames)
    if cutoff is None:
        asks.append(
            "The cut-off is not known: on which day was this data true? No recorded dates are in it. "
            "Give --cutoff YYYY-MM-DD, or cutoff = YYYY-MM-DD in retention.toml."
        )
    elif snapshot and settings.cutoff not in (None, snapshot, taken):
        asks.append(f"A snapshot has one cut-off, the end of its last whole month ({snapshot}), not {settings.cutoff}.")
    begin = settings.records_begin
    if begin is None and not snapshot and (ask := ask_records_begin(frames["clients"])):
        asks.append(ask)
    if isinstance(begin, dt.date) and cutoff and begin > cutoff:
        asks.append(f"records_begin {begin} is after the cut-off {cutoff}.")
    if asks or cutoff is None:
        raise ConfigError("\n".join(asks))
    return cutoff, begin if isinstance(begin, dt.date) else None


def _newest_recorded(frames: Mapping[str, pd.DataFrame]) -> dt.date | None:
    """The newest recorded date: never an end, term, due or scheduled date, which may lie ahead."""
    recorded = [frame[c].dropna() for frame in frames.values() for c in RECORDED if c in frame]
    if not sum(map(len, recorded)):
        return None
    days = pd.concat([*recorded, frames["clients"]["start_date"].dropna()])
    newest, bulk = pd.concat(recorded).max(), days.quantile(0.95, interpolation="lower")
    if newest - bulk > pd.Timedelta(days=YEARS_AHEAD * 366):
        raise ConfigError(
            f"The newest recorded date, {newest.date()}, is years after nearly all others (95% by {bulk.date()}). "
            "If it is a typing error, correct it; otherwise set cutoff in retention.toml to the day of the data."
        )
    return newest.date()


def _some(rows: pd.DataFrame, mask: pd.Series) -> str:
    """How many rows, and the first five of their ids: "7 (c1, c2, c3, c4, c5, ...)"."""
    ids = rows.loc[mask, "client_id"]
    return f"{len(ids):,} ({', '.join(ids[:5])}{', ...' if len(ids) > 5 else ''})"


def _past_due(spells: pd.DataFrame, grace_days: int) -> str:
    """What gathers after the due day of fixed terms, in words; empty where no more ends fall after it than before."""
    before, on_time, after = ends_near_due(spells, grace_days)
    if after < PAST_DUE_ENDS or stats.binomtest(after, after + before, 0.5, "greater").pvalue > PAST_DUE_CHANCE:
        return ""
    return (
        f"{after:,} fixed terms ended up to 30 days after the term was due, {before:,} up to 30 days before and "
        f"{on_time:,} on its last day. As they stand the late ones count in the next term, and fixed terms look better "
        "than they are."
    )


def _ask_end_convention(spells: pd.DataFrame) -> str:
    """A question where the ends of fixed terms gather just after the day the term was due; else nothing."""
    told = _past_due(spells, 0)
    return told and (
        f"{told} end_date is the last paid day: the day before a renewal, not the renewal itself. Set end_grace_days "
        "in retention.toml: 1 if end_date is the first day without service, 30 if service is paid to the end of the "
        "calendar month in which the term comes due, the number of days by which ends are written down late, or 0 if "
        "the dates are right as they are."
    )
