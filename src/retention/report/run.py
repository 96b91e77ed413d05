"""One run of the report: read and check once, run the notebooks, collect, render, publish."""

import hashlib
import json
import os
import re
from dataclasses import dataclass
from importlib.metadata import requires, version
from pathlib import Path
from typing import Any

from retention.config import project_root
from retention.errors import ConfigError, NotebookError, RetentionError
from retention.report import pages, publish
from retention.report.execute import NOISE, Executed, run_all
from retention.results import collect, finite, to_json
from retention.study import Study, Told, open_study, prepare

RUN_ID_DIGITS = 8


@dataclass(frozen=True)
class Options:
    """What a run was asked for; empty strings mean: not said."""

    data: str = ""
    config: str = ""
    cutoff: str = ""
    out: Path = Path("reports")
    notebooks: tuple[str, ...] = ()
    jobs: int = 2


def run_report(options: Options, tell: Told = lambda text: None) -> Path:
    """Run the report and give back the path of its index page; `tell` hears of progress, a line at a time.

    An unchanged run is kept and only linked again. Errors: DataError and ConfigError for bad input, NotebookError
    when a notebook fails, RunLockedError when another run holds the folder; `latest` is untouched by all of them.
    """
    out = options.out.absolute()
    try:
        with publish.locked(out):
            try:
                _run(options, out, tell)
            except RetentionError as error:
                _explain(out, error)
                raise
    except OSError as error:
        problem = f"{error.filename or out}: {error.strerror or error}."
        raise ConfigError(f"{problem} Check that it can be read or written, and that there is room.") from error
    return out / publish.LATEST / "index.html"


def _run(options: Options, out: Path, tell: Told) -> None:
    """The run itself, with the output folder held."""
    notebooks = _chosen(options.notebooks)
    tell("Reading and checking the data")
    study = open_study(options.data, options.config, options.cutoff, tell)
    about = _about(study, notebooks)
    final = out / about["run_id"]
    if publish.whole(final):
        publish.swing(final)
        tell(f"Nothing has changed since run {final.name}; it is kept")
        return
    work = out / f"{publish.HIDDEN}{final.name}-{os.getpid()}"
    _make(work, study, notebooks, about, options.jobs, tell)
    publish.publish(work, final)


def _chosen(wanted: tuple[str, ...]) -> list[Path]:
    """The notebooks to run, by number or name; all of them where none is named."""
    paths = sorted((project_root() / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    known = {key: path for path in paths for key in (path.stem, path.stem[:2])}
    if unknown := [name for name in wanted if name not in known]:
        raise ConfigError(f"No notebook {', '.join(unknown)}. There are: {', '.join(path.stem for path in paths)}.")
    return sorted({known[name] for name in wanted}) if wanted else paths


def _about(study: Study, notebooks: list[Path]) -> dict[str, Any]:
    """What the run is made of; its id is the cut-off and a hash of exactly that, so the same run has the same name."""
    made_of = {
        "cutoff": study.cutoff.isoformat(),
        "records_begin": study.records_begin and study.records_begin.isoformat(),
        "notebooks": [path.stem for path in notebooks],
        "settings": study.settings.model_dump(mode="json", exclude={"base", "source"}),
        "data": study.tables.hashes,
        "code": _code_hash(notebooks),
        "packages": _packages(),
    }
    digest = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()
    return {"run_id": f"{study.cutoff}-{digest[:RUN_ID_DIGITS]}", "whose": study.whose, **made_of}


def _code_hash(notebooks: list[Path]) -> str:
    files = [path for path in sorted(Path(__file__).parents[1].rglob("*")) if path.is_file() and path.suffix != ".pyc"]
    parts = [path.name.encode() + b"\0" + path.read_bytes() for path in [*files, *notebooks]]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def _packages() -> dict[str, str]:
    """Versions of this package and of what it depends on."""
    needed = [line.split(";")[0] for line in requires("retention") or [] if "extra ==" not in line]
    names = sorted({re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in needed})
    return {name: version(name) for name in ["retention", *names]}


def _make(work: Path, study: Study, notebooks: list[Path], about: dict[str, Any], jobs: int, tell: Told) -> None:
    """Everything between reading and publishing, inside the hidden folder `work`."""
    prepare(study, work / "prepared")
    log: list[str] = []

    def done(result: Executed) -> None:
        word = f"failed: {result.error}" if result.error else "done"
        log.append(f"{result.name}: {word}, {result.seconds:.1f} s, {result.peak_mb:.0f} MB at most")
        tell(log[-1])

    parameters = {"data_dir": "prepared", "config": "", "cutoff": about["cutoff"], "out_dir": "."}
    tell(f"Running {len(notebooks)} notebooks")
    executed = run_all(notebooks, parameters, work, jobs, done)
    if failed := [result for result in executed if result.error]:
        raise _Failed(work, failed)
    tell("Writing the pages")
    results = finite(collect((p for result in executed for p in result.payloads), about["run_id"], about["cutoff"]))
    (work / "results.json").write_text(to_json(results), "utf-8")
    titles = pages.write_pages([work / "notebooks" / path.name for path in notebooks], work)
    pages.write_index(work, results, titles, about)
    publish.remove(work / "prepared")
    publish.remove(work / NOISE)
    (work / "run.log").write_text("\n".join(log) + "\n", "utf-8")
    took = {result.name: {"seconds": result.seconds, "peak_mb": result.peak_mb} for result in executed}
    publish.seal(work, {**about, "took": took})


class _Failed(NotebookError):
    """Notebooks that failed, with the folder that holds them as executed."""

    def __init__(self, work: Path, failed: list[Executed]) -> None:
        self.work, self.failed = work, failed
        super().__init__("\n".join(f"{result.name} failed: {result.error}" for result in failed))


def _explain(out: Path, error: RetentionError) -> None:
    """Publish failed/index.html for a run that stopped; executed notebooks stay beside it, prepared data do not."""
    work = getattr(error, "work", out / f"{publish.HIDDEN}failed-{os.getpid()}")
    work.mkdir(exist_ok=True)
    publish.remove(work / "prepared")
    pages.write_failure(work, str(error), getattr(error, "failed", ()))
    publish.place(work, out / publish.FAILED)
