"""Which settings are in force, and what is said of one that cannot be used."""

from __future__ import annotations

import datetime as dt
import difflib
import os
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from retention.errors import ConfigError
from retention.settings.field import read_field
from retention.settings.shape import (
    ANY_NAME,
    ANY_TABLE,
    OURS,
    Settings,
    known_places,
    where_it_belongs,
)
from retention.settings.tables import Source, plausible

SAMPLE = Path("data/sample")
OPEN = "?"  # what `retention init` writes where only a person knows


def resolve(data_dir: str = "", config: str = "", cutoff: str = "") -> Settings:
    """The settings in force for these parameters, the environment, `retention.toml` and the
    defaults.

    ConfigError where a path does not exist or a setting is unknown or malformed; it lists every
    such setting.
    """
    data_dir = data_dir or os.environ.get("RETENTION_DATA", "")
    config = config or os.environ.get("RETENTION_CONFIG", "")
    cutoff = cutoff or os.environ.get("RETENTION_CUTOFF", "")
    if "://" in data_dir + config:
        raise ConfigError(
            "Give --data a folder or file. The address of a database, which holds a password, "
            "goes into an "
            "environment variable that [source] database names."
        )
    given = data_dir or ("" if config else project_root() / SAMPLE)
    folder = Path(given).absolute()
    beside = folder.parent if folder.is_file() else folder
    path = Path(config).absolute() if config else beside / "retention.toml"
    settings = _load(path) if config or path.is_file() else Settings(base=beside)
    if data_dir:
        if not folder.is_dir() and not folder.is_file():
            raise ConfigError(
                f"There is no folder or file {folder}. Give --data the folder that holds "
                "clients.csv."
            )
        source = Source(file=folder.name) if folder.is_file() else settings.source
        changed = {"base": beside, "source": source}
        settings = settings.model_copy(update=changed)
    return settings.model_copy(update={"cutoff": _date(cutoff)}) if cutoff else settings


def project_root() -> Path:
    """The project's folder: where this package lives, else, if it is installed elsewhere, here or
    upwards.

    Notebooks are code. So a folder that merely holds some, as a folder of data may, is never taken
    for the project while the package lies in one of its own.
    """
    own = Path(__file__).parents[3]
    for folder in [own, Path.cwd(), *Path.cwd().parents]:
        if (folder / "notebooks").is_dir() and (folder / "src" / "retention").is_dir():
            return folder
    raise ConfigError(
        "The project's folder (with notebooks/ and src/retention/) is neither here nor above. "
        "Run the command from inside the project, or say where the data are with --data or "
        "--config."
    )


def _load(path: Path) -> Settings:
    try:
        raw = tomllib.loads(path.read_text("utf-8-sig"))
    except (FileNotFoundError, IsADirectoryError):
        raise ConfigError(
            f"There is no file {path}. Give --config the path of a retention.toml."
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path.name} cannot be read: {error}") from None
    waits = [f"  {place}: still to be answered" for place in _open(raw)]
    waits += ["  confirmed: read the guesses, correct what is wrong, then set it to true"] * (
        raw.get("confirmed") is False
    )
    if waits:
        raise ConfigError("\n".join([f"{path.name} is a draft that waits for a person:", *waits]))
    try:
        given = {f"{key}_" if key in OURS else key: value for key, value in raw.items()}
        whole = given | {"base": path.parent}
        return _with_others(Settings.model_validate(whole))
    except ValidationError as error:
        lines = [_explain(item) for item in error.errors()]
        said = [f"{path.name} has {len(lines)} fault(s):", *lines]
        raise ConfigError("\n".join(said)) from None


def _with_others(settings: Settings) -> Settings:
    """The settings with what the file of `[pool]` says."""
    if not settings.pool.file:
        return settings
    others = read_field(settings.base / settings.pool.file)
    return settings.model_copy(update={"others": others})


def _open(given: Any, place: str = "") -> list[str]:
    """Places in the settings where a draft's question still stands."""
    if isinstance(given, dict):
        return [
            spot
            for key, value in given.items()
            for spot in _open(value, f"{place}.{key}" if place else key)
        ]
    return [place] if given == OPEN else []


def _section(parts: tuple[Any, ...]) -> str:
    """The section that a place in the settings stands in, as `known_places` spells it."""
    named = [str(part) for part in parts]
    if len(named) > 1 and named[0] in ("tables", "plan"):
        named[1] = ANY_TABLE if named[0] == "tables" else ANY_NAME
    if len(named) > 3 and named[2] == "extra":
        named[3] = ANY_NAME
    return ".".join(named)


def _explain(item: Any) -> str:
    place = ".".join(str(part) for part in item["loc"])
    name = str(item["loc"][-1]) if place else ""  # a fault of the settings as a whole has no place
    table = (
        str(item["loc"][1]) if len(item["loc"]) > 2 and item["loc"][0] == "tables" else "clients"
    )
    section = _section(item["loc"][:-1])
    known_here = section in known_places().get(name, ())
    belongs = "" if known_here else where_it_belongs(name, table)
    if item["type"] != "extra_forbidden":
        # Of a fault of the settings as a whole the input is the whole file; and an address may hold
        # a password.
        secret = item["type"] == "secret" or "://" in repr(item["input"]) or not place
        got = "" if secret else f" (got {item['input']!r})"
        hint = f"; {belongs}" if belongs else ""
        message = item["msg"].removeprefix("Value error, ")
        return f"  {place}: {message}{got}{hint}" if place else f"  {message}"
    if belongs:
        return f"  {place}: no setting of this section; {belongs}"
    return f"  {place}: unknown setting{_near(name, section, table)}"


def _near(name: str, section: str, table: str) -> str:
    """The setting that was probably meant, one of the same section first; and what a column's name
    is told.
    """
    here = sorted(
        other for other, places in known_places().items() if section in places and other != name
    )
    near = difflib.get_close_matches(name, here, 1)
    if near:
        return f"; did you mean {near[0]!r}?"
    elsewhere = difflib.get_close_matches(name, sorted(known_places().keys() - {name}), 1)
    if elsewhere:
        return f"; did you mean {elsewhere[0]!r}? {where_it_belongs(elsewhere[0], table)}"
    if section == f"tables.{ANY_TABLE}":
        return f". Columns are named under [tables.{table}.columns]."
    return ""


def _date(text: str) -> dt.date:
    try:
        moment = dt.datetime.strptime(text, "%Y-%m-%d")
        return plausible(moment.date())
    except ValueError:
        raise ConfigError(
            f"The cut-off {text!r} is not a date from 1950 to 2100; write it as YYYY-MM-DD."
        ) from None
