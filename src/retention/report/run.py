"""One run of the report: read and check once, run the notebooks, collect, compare, render,
publish.
"""

import contextlib
import datetime as dt
import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import requires, version
from pathlib import Path
from typing import Any

import pandas as pd

from retention.data import fingerprints, privacy
from retention.data.folders import private
from retention.deliver.digest import write_digests
from retention.errors import (
    ConfigError,
    DiskFullError,
    NotebookError,
    RetentionError,
    one_line,
    printable,
    without_paths,
)
from retention.lists.calendars import write_calendars
from retention.lists.workbook import write_workbook
from retention.report import advice, pages, publish
from retention.report.compare import CHANGES, MADE_OF, PERHAPS, compare
from retention.report.execute import NOISE, OWN, Executed, run_all
from retention.report.index import front, write_index
from retention.results import Finding, collect, finite, to_json
from retention.runs import earlier, open_run
from retention.settings import Settings, project_root, resolve
from retention.study import RECORDED, Study, Told, open_study, prepare
from retention.words import say

RUN_ID_DIGITS = 8
FULL = (errno.ENOSPC, errno.EDQUOT)
PREPARED = "prepared"  # the tables that the notebooks read, in the hidden folder of a run
NO_ROOM = 2**20  # bytes: with less left, a notebook that failed failed for want of room
# Warnings of libraries that say that numbers met what they cannot use; others are about the
# libraries themselves.
NUMERICAL = (
    "RuntimeWarning",
    "ConvergenceWarning",
    "HessianInversionWarning",
    "PerfectSeparationWarning",
)


@dataclass(frozen=True)
class Options:
    """What a run was asked for; empty strings mean: not said.

    `keep`: how many runs stay in the folder (0: all). `if_changed`: do nothing where the last run
    is of the same. `publish_partial`: let `latest` point to a run that lacks the pages of notebooks
    that failed.
    """

    data: str = ""
    config: str = ""
    cutoff: str = ""
    out: Path = Path("reports")
    notebooks: tuple[str, ...] = ()
    jobs: int = 2
    keep: int = 0
    if_changed: bool = False
    publish_partial: bool = False
    pseudonyms: bool = False
    smallest: int | None = None


def run_report(options: Options, tell: Told = lambda text: None) -> Path:
    """Run the report and give back the path of its index page; `tell` hears of progress, a line at
    a time.

    An unchanged run is kept and only linked again. Errors: DataError and ConfigError for bad input,
    NotebookError when a notebook fails, DiskFullError, RunLockedError when another run holds the
    folder; `latest` is untouched by all of them, but for a run that was asked to be published
    though a notebook failed. The pages of the other notebooks are then at the error's `page`.
    """
    out = options.out.absolute()
    try:
        with publish.locked(out):
            try:
                _run(options, out, tell)
            except (RetentionError, OSError) as error:
                plain = _plain(error, out)
                if not isinstance(plain, _Partial):
                    _explain(out, unnamed(plain, options))
                raise plain from error
    except OSError as error:
        raise _plain(error, out) from error
    shown = out / publish.LATEST
    return (shown if shown.is_symlink() else publish.last(out)) / "index.html"


def _plain(error: RetentionError | OSError, out: Path) -> RetentionError:
    """The error as users are told it: a full disk by its name, whatever it was that failed
    for it.
    """
    if isinstance(error, _Partial):
        return error
    failed = isinstance(error, NotebookError) and shutil.disk_usage(out).free < NO_ROOM
    if failed or os.strerror(errno.ENOSPC) in str(error) or getattr(error, "errno", None) in FULL:
        return DiskFullError(say("report.run.disk_full", out=out))
    if isinstance(error, RetentionError):
        return error
    place = error.filename or out
    return ConfigError(say("report.run.cannot_use", place=place, problem=error.strerror or error))


def _run(options: Options, out: Path, tell: Told) -> None:
    """The run itself, with the output folder held."""
    notebooks = _chosen(options.notebooks)
    settings = _private(resolve(options.data, options.config, options.cutoff), options)
    key = privacy.read_key(settings, out) if settings.privacy.pseudonyms else b""
    if options.if_changed and (same := _unchanged(settings, notebooks, key, out)):
        publish.remove(out / publish.FAILED)
        tell(say("report.run.unchanged", run=same))
        return
    study = _read(options, settings, key, tell)
    about = _about(study, notebooks, key, out)
    final = out / about["run_id"]
    work = out / f"{publish.HIDDEN}{final.name}-{os.getpid()}"
    before = publish.previous(final)
    if publish.whole(final):
        _keep(work, final, before)
        tell(say("report.run.kept", run=final.name))
    else:
        seal = prepare(study, private(work) / PREPARED)
        del study  # what the notebooks read is on disk; it need not be held twice
        failed = _make(work, notebooks, about, before, options, seal, tell)
        if failed and not options.publish_partial:
            publish.show(work, out / publish.FAILED)
            raise _Partial(failed, out / publish.FAILED)
        publish.publish(work, final)
        if failed:
            raise _Partial(failed, final)
    for name in publish.prune(out, options.keep) if options.keep else ():
        tell(say("report.run.removed", run=name))


def _read(options: Options, settings: Settings, key: bytes, tell: Told) -> Study:
    """The study, with codes for names where there is a key."""
    tell(say("report.run.reading"))
    study = open_study(options.data, options.config, options.cutoff, tell)
    if not key:
        return replace(study, settings=settings)
    tables = privacy.without_names(study.tables, settings, key)
    return replace(study, tables=tables, settings=privacy.without_places(settings))


def _keep(work: Path, final: Path, before: Path | None) -> None:
    """Let latest point to a run that is there already, compared with the one before it."""
    _compare_again(work, final, before)
    publish.swing(final)
    publish.remove(final.parent / publish.FAILED)


def _unchanged(settings: Settings, notebooks: list[Path], key: bytes, out: Path) -> str:
    """The name of the last run where a new one would be made of the same; else empty. No row is
    read for it.
    """
    latest = publish.last(out)
    now = json.loads(json.dumps(_parts(settings, fingerprints(settings), notebooks, key)))
    about = publish.about(latest)
    return (
        latest.name
        if all(about.get(name) == now[name] for name in now) and publish.whole(latest)
        else ""
    )


def _private(settings: Settings, options: Options) -> Settings:
    """The settings with what the command line says of names and of small numbers."""
    asked: dict[str, Any] = {"pseudonyms": True} if options.pseudonyms else {}
    asked |= {"smallest": options.smallest} if options.smallest is not None else {}
    return settings.model_copy(update={"privacy": settings.privacy.model_copy(update=asked)})


def unnamed(error: RetentionError, options: Options) -> RetentionError:
    """The error as the page of a failed run, or a mail, may tell it: where names give way to codes,
    without what was read.
    """
    if isinstance(error, NotebookError | DiskFullError):  # said of tables that have codes already
        return error
    try:
        private = resolve(options.data, options.config, options.cutoff).privacy.pseudonyms
    except RetentionError:
        private = False
    if not (private or options.pseudonyms):
        return error
    return ConfigError(say("report.run.unnamed"))


def _chosen(wanted: tuple[str, ...]) -> list[Path]:
    """The notebooks to run, by number or name; where none is named, all but those that run only
    when asked for.
    """
    paths = sorted((project_root() / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    known = {key: path for path in paths for key in (path.stem, path.stem[:2])}
    if unknown := [name for name in wanted if name not in known]:
        names = ", ".join(path.stem for path in paths)
        raise ConfigError(say("report.run.no_notebook", unknown=", ".join(unknown), names=names))
    if wanted:
        return sorted({known[name] for name in wanted})
    return [path for path in paths if not when_asked(path)]


def when_asked(notebook: Path) -> bool:
    """Whether a notebook says of itself that it runs only when asked for by name."""
    about = json.loads(notebook.read_text("utf-8"))["metadata"]
    return about.get("retention", {}).get("runs") == "when asked"


def _about(study: Study, notebooks: list[Path], key: bytes, out: Path) -> dict[str, Any]:
    """What the run is made of; its id is the cut-off and a hash of exactly that, so the same run
    has the same name.
    """
    begin = study.records_begin and study.records_begin.isoformat()
    made_of: dict[str, Any] = {"cutoff": study.cutoff.isoformat(), "records_begin": begin}
    made_of |= _parts(study.settings, study.tables.hashes, notebooks, key)
    checked = earlier(out, study.whose, pd.Timestamp(study.cutoff), study.window.ahead)
    made_of |= {"earlier": [run.name for run in checked]} if checked else {}
    tables = {
        name: {
            "rows": len(frame),
            "filled": {column: int(n) for column, n in frame.notna().sum().items()},
        }
        for name, frame in study.tables.frames.items()
    }
    days = [
        study.newest_date(),
        *(_newest(frame, study.cutoff) for frame in study.tables.frames.values()),
    ]
    last = pd.Series(days).max().date().isoformat()
    return {
        "run_id": run_id(made_of),
        "whose": study.whose,
        **made_of,
        "newest": last,
        "tables": tables,
    }


def _newest(frame: pd.DataFrame, cutoff: dt.date) -> pd.Timestamp:
    """The newest day up to the cut-off on which a row of the table was recorded; NaT where it has
    none.
    """
    days = frame[[name for name in RECORDED if name in frame]]
    return pd.Timestamp(days.where(days <= pd.Timestamp(cutoff)).max().max())


def run_id(about: Mapping[str, Any]) -> str:
    """The name of the run that is made of this: its cut-off and the beginning of a sha256."""
    made_of = {name: about[name] for name in MADE_OF}
    made_of |= {name: about[name] for name in PERHAPS if name in about}
    digest = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()
    return f"{about['cutoff']}-{digest[:RUN_ID_DIGITS]}"


def _parts(
    settings: Settings, hashes: dict[str, str], notebooks: list[Path], key: bytes
) -> dict[str, Any]:
    """What a run is made of, as far as it is known before a row is read."""
    return {
        "notebooks": [path.stem for path in notebooks],
        "pseudonyms": privacy.fingerprint(key) if key else None,
        "settings": (privacy.without_places(settings) if key else settings).model_dump(
            mode="json", exclude={"base", "source"}
        ),
        "data": hashes,
        "code": _code_hash(notebooks),
        "packages": _packages(),
    }


def _code_hash(notebooks: list[Path]) -> str:
    files = [
        path
        for path in sorted(Path(__file__).parents[1].rglob("*"))
        if path.is_file() and path.suffix != ".pyc"
    ]
    parts = [path.name.encode() + b"\0" + path.read_bytes() for path in [*files, *notebooks]]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def _packages() -> dict[str, str]:
    """Versions of this package and of what it depends on."""
    needed = [line.split(";")[0] for line in requires("retention") or [] if "extra ==" not in line]
    names = sorted({re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in needed})
    return {name: version(name) for name in ["retention", *names]}


def _make(
    work: Path,
    notebooks: list[Path],
    about: dict[str, Any],
    before: Path | None,
    options: Options,
    seal: str,
    tell: Told,
) -> list[Executed]:
    """Everything between reading and publishing, inside the hidden folder `work`, where the tables
    are prepared.

    The notebooks that failed; where no page is left to publish, or a disk is full, they are raised.
    """
    log: list[str] = []

    def done(result: Executed) -> None:
        lines = _log_lines(result)
        log.extend(lines)
        tell(lines[0])

    tell(say("report.run.running", n=len(notebooks)))
    parameters = {"data_dir": PREPARED, "config": "", "cutoff": about["cutoff"], "out_dir": "."}
    executed = run_all(notebooks, parameters, work, options.jobs, done, seal)
    failed = [result for result in executed if result.error]
    if failed and (
        len(failed) == len(executed)
        or isinstance(_plain(_Failed(work, failed), work), DiskFullError)
    ):
        raise _Failed(work, failed)
    tell(say("report.run.writing"))
    results = _results(executed, about)
    shown = [_shown(work, path, failed) for path in notebooks]
    todo = advice.joined(results, about["settings"]["currency"])
    report = pages.Report(about["whose"], tuple(failed), todo)
    titles = pages.write_pages(shown, work, report)
    _clear(work, keep_noise=bool(failed))
    (work / "results.json").write_text(to_json(results), "utf-8")
    (work / "run.log").write_text("\n".join(log) + "\n", "utf-8")
    took = {
        result.name: {"seconds": result.seconds, "cpu": result.cpu, "peak_mb": result.peak_mb}
        for result in executed
    }
    partial = {"failed": _reasons(failed)} if failed else {}
    _finish(work, {**about, "titles": titles, "took": took, **partial}, before)
    return failed


def _log_lines(result: Executed) -> list[str]:
    """What run.log says of a notebook: how it went, then what libraries warned of."""
    took = {"name": result.name, "seconds": result.seconds, "mb": result.peak_mb}
    line = (
        say("report.run.notebook_failed", error=result.error, **took)
        if result.error
        else say("report.run.notebook_done", **took)
    )
    return [one_line(line), *(f"{result.name}: {warning}" for warning in result.warnings)]


def _shown(work: Path, notebook: Path, failed: list[Executed]) -> Path:
    """The notebook from which a page is made: as executed, or, of one that failed, as it came."""
    names = {result.name for result in failed}
    return notebook if notebook.stem in names else work / "notebooks" / notebook.name


def _results(executed: list[Executed], about: dict[str, Any]) -> dict[str, Any]:
    """The contents of results.json: what the notebooks that came to their end displayed, and who
    failed.
    """
    ended = [result for result in executed if not result.error]
    results = collect(
        (payload for result in ended for payload in result.payloads),
        about["run_id"],
        about["cutoff"],
    )
    for doubt in _doubts(ended):
        results["findings"] += doubt.payload()["findings"]
    failed = [result for result in executed if result.error]
    return dict(finite(results | ({"failed": _reasons(failed)} if failed else {})))


def _doubts(ended: list[Executed]) -> list[Finding]:
    """What libraries' warnings say about the data, in plain words: that a calculation met what it
    cannot use.

    No page is named: whichever notebook comes first makes what several share, and meets the
    warning.
    """
    if not any(line.startswith(NUMERICAL) for result in ended for line in result.warnings):
        return []
    return [Finding("data", say("report.run.numerical"), "warning")]


def _reasons(failed: list[Executed]) -> dict[str, str]:
    """Why each notebook failed, in a line, by name."""
    return {result.name: one_line(result.error) for result in failed}


def _clear(work: Path, keep_noise: bool) -> None:
    """Remove what the notebooks of a run needed and no reader does; what processes wrote is kept
    where some failed.
    """
    publish.remove(work / PREPARED)
    publish.remove(work / OWN)
    noise = work / NOISE
    lines = noise.read_text("utf-8", "replace") if keep_noise and noise.is_file() else ""
    publish.remove(noise)
    if lines.strip():
        noise.write_text(without_paths(printable(lines)), "utf-8")


def _finish(work: Path, about: dict[str, Any], before: Path | None) -> None:
    """Compare with the run before; write what leaves the folder, and the index; seal."""
    publish.seal(work, about)
    new = open_run(work)
    changes = compare(open_run(before) if before else None, new)
    (work / CHANGES).write_text(to_json(changes), "utf-8")
    todo = advice.joined(new.results, about["settings"]["currency"])
    known = {**about, "changes": changes}
    cutoff = dt.date.fromisoformat(about["cutoff"])
    write_workbook(work, cutoff)
    write_calendars(work, cutoff, before)
    write_digests(work, front(work, new.results, known))
    write_index(work, new.results, about["titles"], known, todo)
    publish.seal(work, about)


def _compare_again(work: Path, final: Path, before: Path | None) -> None:
    """Where a run that is kept now follows another one, write its index anew, in one step for
    whoever reads it.
    """
    if before is None or json.loads((final / CHANGES).read_text("utf-8"))["before"] == before.name:
        return
    shutil.copytree(final, private(work), dirs_exist_ok=True)  # with the mode that the run has
    about = {name: value for name, value in publish.about(final).items() if name != "files"}
    _finish(work, about, before)
    publish.place(work, final)


class _Failed(NotebookError):
    """Notebooks that failed, with the folder that holds them as executed."""

    def __init__(self, work: Path, failed: list[Executed]) -> None:
        self.work = work
        self.failed = failed
        super().__init__(_lines(failed))


class _Partial(NotebookError):
    """Notebooks that failed in a run that is published with the pages of the others."""

    def __init__(self, failed: list[Executed], folder: Path) -> None:
        self.page = folder / "index.html"
        super().__init__(_lines(failed))


def _lines(failed: list[Executed]) -> str:
    reasons = _reasons(failed).items()
    return "\n".join(say("report.run.failed", name=name, reason=why) for name, why in reasons)


def _explain(out: Path, error: RetentionError) -> None:
    """Publish failed/index.html for a run that stopped; executed notebooks stay beside it, prepared
    data do not.
    """
    work = getattr(error, "work", out / f"{publish.HIDDEN}failed-{os.getpid()}")
    if full := isinstance(
        error, DiskFullError
    ):  # what the run wrote makes room for the page that says so
        publish.sweep(out)
    with contextlib.suppress(*[OSError] * full):
        if not work.is_dir():
            private(work)
        _clear(work, keep_noise=True)
        pages.write_failure(work, str(error), getattr(error, "failed", ()))
        publish.show(work, out / publish.FAILED)
