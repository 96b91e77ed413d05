"""Settings: `retention.toml`, the environment and the command line, read once and checked whole.

Precedence: command line (or notebook parameter), environment (RETENTION_DATA, RETENTION_CONFIG, RETENTION_CUTOFF),
`retention.toml`, defaults. An unknown key is an error, so that a misspelt setting never goes unnoticed.
"""

from __future__ import annotations

import datetime as dt
import difflib
import os
import tomllib
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from retention.errors import ConfigError

ALL_HISTORY = "all history"
NOTICE_DAYS = 30  # (ours) one month, where only the end date is known: METHODS 0
PAUSE_DAYS = 60  # a pause of up to 60 days is not an end: METHODS 0
SAMPLE = Path("data/sample")


@cache
def study_plan() -> dict[str, Any]:
    """The study plan as shipped (plan.toml): claims, published values, thresholds."""
    return tomllib.loads(files("retention").joinpath("plan.toml").read_text("utf-8"))


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Strict):
    """Where the data are: one file (the clients), or a folder with a file for each table."""

    folder: str = ""
    file: str = ""


class Extra(_Strict):
    """A further column of the user's own, and when its value is known."""

    kind: Literal["category", "number", "integer", "flag", "text", "date"]
    known: str = "signing"


class Ended(_Strict):
    """The column that says whether a client has left, and the value that means yes."""

    column: str
    true: str | int | bool


class TableSettings(_Strict):
    """How one table is found and read: its file, its columns and values under our names."""

    file: str = ""
    encoding: str = ""
    columns: dict[str, str] = Field(default_factory=dict)
    values: dict[str, dict[str, str | int | float | bool]] = Field(default_factory=dict)
    formats: dict[str, str] = Field(default_factory=dict)
    extra: dict[str, Extra] = Field(default_factory=dict)
    tenure_months: str = ""
    ended: Ended | None = None
    snapshot_date: dt.date | None = None


class Settings(_Strict):
    """Everything a run can be told about the data; `base` is the folder that paths start from."""

    agency: str = ""
    currency: str = ""
    cutoff: dt.date | None = None
    records_begin: dt.date | Literal["all history"] | None = None
    notice_days: int = Field(default=NOTICE_DAYS, ge=0, le=730)
    pause_days: int = Field(default=PAUSE_DAYS, ge=0, le=730)
    end_grace_days: int | None = Field(default=None, ge=0, le=15)
    source: Source = Source()
    tables: dict[str, TableSettings] = Field(default_factory=dict)
    plan: dict[str, Any] = Field(default_factory=dict)
    base: Path = Path()

    def table(self, name: str) -> TableSettings:
        """How the named table is read; defaults where nothing is said of it."""
        return self.tables.get(name, TableSettings())


def resolve(data_dir: str = "", config: str = "", cutoff: str = "") -> Settings:
    """The settings in force for these parameters, the environment, `retention.toml` and the defaults.

    ConfigError where a path does not exist or a setting is unknown or malformed; it lists every such setting.
    """
    data_dir = data_dir or os.environ.get("RETENTION_DATA", "")
    config = config or os.environ.get("RETENTION_CONFIG", "")
    cutoff = cutoff or os.environ.get("RETENTION_CUTOFF", "")
    folder = Path(data_dir or ("" if config else project_root() / SAMPLE)).absolute()
    path = Path(config).absolute() if config else folder / "retention.toml"
    settings = _load(path) if config or path.is_file() else Settings(base=folder)
    if data_dir:
        settings = settings.model_copy(update={"base": folder} | _place(folder, settings))
    return settings.model_copy(update={"cutoff": _date(cutoff)}) if cutoff else settings


def _place(folder: Path, settings: Settings) -> dict[str, Any]:
    """The source that `data_dir` stands for: a folder as configured, or one file of clients."""
    if folder.is_file():
        return {"base": folder.parent, "source": Source(file=folder.name)}
    if not folder.is_dir():
        raise ConfigError(f"There is no folder or file {folder}. Give --data the folder that holds clients.csv.")
    return {"source": settings.source}


def project_root(start: Path | None = None) -> Path:
    """The project's folder: upwards from `start` (default: here), else where the package itself lives."""
    here = (start or Path.cwd()).absolute()
    for folder in [here, *here.parents, Path(__file__).parents[2]]:
        if (folder / "notebooks").is_dir() and (folder / "src" / "retention").is_dir():
            return folder
    raise ConfigError(
        "The project's folder (with notebooks/ and src/retention/) is neither here nor above. "
        "Run the command from inside the project, or say where the data are with --data or --config."
    )


def _load(path: Path) -> Settings:
    try:
        raw = tomllib.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError(f"There is no file {path}. Give --config the path of a retention.toml.") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path.name} cannot be read: {error}") from None
    try:
        return Settings.model_validate(raw | {"base": path.parent})
    except ValidationError as error:
        lines = [_explain(item) for item in error.errors()]
        raise ConfigError("\n".join([f"{path.name} has {len(lines)} fault(s):", *lines])) from None


def _explain(item: Any) -> str:
    place = ".".join(str(part) for part in item["loc"])
    if item["type"] != "extra_forbidden":
        return f"  {place}: {item['msg']} (got {item['input']!r})"
    known = sorted({name for model in _Strict.__subclasses__() for name in model.model_fields} - {"base"})
    near = difflib.get_close_matches(str(item["loc"][-1]), known, 1)
    return f"  {place}: unknown setting" + (f"; did you mean {near[0]!r}?" if near else "")


def _date(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"The cut-off {text!r} is not a date; write it as YYYY-MM-DD.") from None
