"""Settings: `retention.toml`, the environment and the command line, read once and checked whole.

Precedence: command line (or notebook parameter), environment (RETENTION_DATA, RETENTION_CONFIG,
RETENTION_CUTOFF), `retention.toml`, defaults. An unknown key is an error, so that a misspelt
setting never goes unnoticed.
"""

from __future__ import annotations

import codecs
import datetime as dt
import difflib
import os
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from retention.errors import ConfigError

ALL_HISTORY = "all history"
NOTICE_DAYS = 30  # (ours) one month, where only the end date is known: METHODS 0
PAUSE_DAYS = 60  # a pause of up to 60 days is not an end: METHODS 0
SMALLEST = 5  # (ours) clients, as many statistical offices have it
SAMPLE = Path("data/sample")
NAMED_FORMATS = ("day first", "month first", "excel days", "as written", "1,234.5", "1.234,5")
OPEN = "?"  # what `retention init` writes where only a person knows


@cache
def study_plan() -> dict[str, Any]:
    """The study plan as shipped (plan.toml): claims, published values, thresholds."""
    return tomllib.loads(files("retention").joinpath("plan.toml").read_text("utf-8"))


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _plausible(day: dt.date) -> dt.date:
    if not 1950 <= day.year <= 2100:
        raise ValueError("the year must lie between 1950 and 2100")
    return day


Day = Annotated[dt.date, AfterValidator(_plausible)]


def _day_or_all_history(value: Any) -> Any:
    """The value if it may be a day or the words; one error in place of one for each of the two."""
    if value is None or value == ALL_HISTORY or isinstance(value, dt.date):
        return value
    try:
        return dt.date.fromisoformat(value)
    except (TypeError, ValueError):
        raise ValueError(f'write a date, or "{ALL_HISTORY}" if nobody is missing') from None


def _is_date_format(form: str) -> bool:
    """Whether dates written in this format can be read back."""
    day = dt.datetime(2001, 2, 23)
    try:
        return dt.datetime.strptime(day.strftime(form), form) == day
    except (ValueError, re.error):
        return False


class FileSettings(_Strict):
    """How a file that a query reads is laid out, under the alias by which the query calls it.

    `skip_lines` stand above the headings (nothing said: as the first lines show); `heading_lines`
    are joined; rows whose first cell begins with a word of `stop_at` are no data.
    """

    file: str
    sheet: str = ""
    encoding: str = ""
    skip_lines: int | None = Field(default=None, ge=0)
    heading_lines: int = Field(default=1, ge=1, le=3)
    stop_at: list[str] = Field(default_factory=list)


class Source(_Strict):
    """Where the data are: a file (the clients, or a workbook), a folder with a file for each table,
    or a database.

    `database` is the name of the environment variable that holds the address, for an address holds
    a password. `answers` are what only a person knows; queries read them with `answer('key')`.
    """

    folder: str = ""
    file: str = ""
    database: str = ""
    files: dict[str, FileSettings] = Field(default_factory=dict)
    answers: dict[str, str | int | float | bool | dt.date] = Field(default_factory=dict)

    @field_validator("folder", "file")
    @classmethod
    def _no_address(cls, path: str) -> str:
        if "://" in path:
            raise PydanticCustomError(
                "secret", "name a path; an address goes into an environment variable (database)"
            )
        return path

    @field_validator("database")
    @classmethod
    def _no_secret(cls, name: str) -> str:
        if name and not re.fullmatch(r"[A-Za-z_]\w*", name):
            raise PydanticCustomError(
                "secret", "name the environment variable that holds the address, not the address"
            )
        return name

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(map(bool, (self.folder, self.file, self.database))) > 1:
            raise ValueError("give one of folder, file and database")
        return self


class Extra(_Strict):
    """A further column of the user's own, and when its value is known."""

    kind: Literal["category", "number", "integer", "flag", "text", "date"]
    known: str = "signing"


class Ended(_Strict):
    """The column that says whether a client has left, and the value that means yes."""

    column: str
    true: str | int | bool


class TableSettings(_Strict):
    """How one table is found and read: its file, sheet or query, its columns and values; or that it
    is left alone.

    `dated_by`: a date column that is blank beside a value takes the day of this other column
    ({answered_on = "invited_on"}). `repeated`: whether several rows of one key are parts to add up
    or versions of which the newest holds; nothing said: as schema.toml has it. `strangers`: rows of
    clients that the clients table does not have are refused, or left out and counted.
    """

    use: bool = True
    file: str = ""
    sheet: str = ""
    query: str = Field(
        default="", exclude=True
    )  # kept out of every record of a run; what it gave is hashed
    encoding: str = ""
    columns: dict[str, str] = Field(default_factory=dict)
    values: dict[str, dict[str, str | int | float | bool]] = Field(default_factory=dict)
    formats: dict[str, str] = Field(default_factory=dict)
    extra: dict[str, Extra] = Field(default_factory=dict)
    dated_by: dict[str, str] = Field(default_factory=dict)
    strangers: Literal["refuse", "leave out"] = "refuse"
    repeated: Literal["add up", "keep newest"] | None = None
    tenure_months: str = ""
    tenure_counts: Literal["begun", "completed"] | None = None
    ended: Ended | None = None
    snapshot_date: Day | None = None

    @field_validator("values")
    @classmethod
    def _spoken_once(cls, values: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for column, words in values.items():
            folded = [word.strip().casefold() for word in words]
            if twice := sorted({word for word in folded if folded.count(word) > 1}):
                raise ValueError(f"{column} maps {', '.join(twice)} twice (capitals do not count)")
        return values

    @field_validator("formats")
    @classmethod
    def _known_formats(cls, formats: dict[str, str]) -> dict[str, str]:
        if wrong := [
            form
            for form in formats.values()
            if form not in NAMED_FORMATS and not _is_date_format(form)
        ]:
            raise ValueError(
                f"{wrong[0]!r} is no format; use one such as %d/%m/%Y, or "
                f"{', '.join(NAMED_FORMATS)}"
            )
        return formats

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, name: str) -> str:
        try:
            known = name and codecs.lookup(name).name
            return "utf-8-sig" if known == "utf-8" else known
        except (LookupError, ValueError):
            raise ValueError(f"{name!r} is no encoding; use one such as utf-8 or cp1252") from None


class ClaimChange(_Strict):
    """What a user may set otherwise about one claim of the plan, before a run; on the claim's own
    scale.
    """

    published: float | None = Field(default=None, gt=0)
    smallest: float | None = Field(default=None, gt=0)
    band: list[float] | None = Field(default=None, min_length=2, max_length=2)
    level: float | None = Field(default=None, gt=0.5, lt=1)

    @field_validator("band")
    @classmethod
    def _ordered(cls, band: list[float] | None) -> list[float] | None:
        if band and not 0 < band[0] < band[1]:
            raise ValueError("the band must be two rising numbers above 0")
        return band


class ResultsSettings(_Strict):
    """Which metric of the results table says how an account does (A6, A8), and whether less of it
    is better.
    """

    primary: str = ""
    better: Literal["lower", "higher"] = "higher"

    @property
    def sign(self) -> int:
        """1 where more is better, -1 where less is."""
        return 1 if self.better == "higher" else -1


class ScaleSettings(_Strict):
    """On which scale clients answer whether they would recommend the agency (data/scales.toml says
    what it makes of each), and which columns of per cents hold fractions. Nothing said: 0 to 10 and
    per cents, unless there is a doubt.

    `percent` is by column ("fee_pct"), or by table and column ("contracts.fee_pct").
    """

    nps: Literal["0-10", "1-10", "1-5", "0-5", "1-7", "0-100"] | None = None
    percent: dict[str, Literal["per cent", "fraction"]] = Field(default_factory=dict)


class DateSettings(_Strict):
    """What the dates of the clients table mean, where the data leave a doubt: `conventions` asks
    for each.

    `end`: what end_date is. `ends_ahead`: what an end after the cut-off is. `ends_on_cutoff`: what
    many ends on one of the last days are. `unlikely_starts`: whether starts on a placeholder's day,
    or piled on one day, are true.
    """

    end: Literal["last paid day", "notice"] | None = None
    ends_ahead: Literal["notice", "planned"] | None = None
    ends_on_cutoff: Literal["left", "still clients"] | None = None
    unlikely_starts: Literal["true", "leave out"] | None = None


class RiskSettings(_Strict):
    """The churn score: the window that is predicted, how many clients the team can see to a month,
    and what that costs.

    `worth_months`: months of margin that count as lost with a client. Money in the data's currency.
    METHODS 7.
    """

    gap: int = Field(default=1, ge=0, le=12)
    horizon: int = Field(default=3, ge=1, le=12)
    capacity: int = Field(default=10, ge=1)
    contact_cost: float = Field(default=150.0, ge=0)
    incentive: float = Field(default=0.0, ge=0)
    worth_months: int = Field(default=12, ge=1, le=60)


class WhatIfSettings(_Strict):
    """The changes that 06_economics tries, each by itself (B3 to B6, A3); shares of what is today.

    `smallest_declined`: that share of clients, the smallest by planned spend, is no longer signed,
    and `replaced` of them by others. `longevity_bonus`: of a month's fee, to the seller, each half
    year. `rep_bonus`: of the salary.
    """

    sellers_added: float = Field(default=1.0, gt=0, le=100)
    leaving_lowered: float = Field(default=0.10, gt=0, lt=1)
    still_sign: float = Field(default=0.75, ge=0, le=1)
    smallest_declined: float = Field(default=0.25, gt=0, lt=1)
    replaced: float = Field(default=0.5, ge=0, le=1)
    rates_raised: float = Field(default=0.05, gt=0, le=1)
    longevity_bonus: float = Field(default=0.5, ge=0, le=12)
    rep_bonus: float = Field(default=0.15, ge=0, le=1)


class EngineSettings(_Strict):
    """What `retention features` runs on: polars or duckdb on this machine, part by part, or
    spark.
    """

    name: Literal["polars", "duckdb", "spark"] = "polars"
    part_months: int = Field(default=1_000_000, ge=1)


class PrivacySettings(_Strict):
    """Whether names give way to codes in a report, where their key is, and below how many clients a
    row is not shown.

    `smallest`: where nothing is said, 5 with codes and else 0, which shows every row.
    """

    pseudonyms: bool = False
    key_file: str = Field(default="", exclude=True)
    smallest: int | None = Field(default=None, ge=0, le=100)

    @property
    def fewest(self) -> int:
        """The number of clients below which a row is not shown."""
        return self.smallest if self.smallest is not None else SMALLEST * self.pseudonyms


class Settings(_Strict):
    """Everything a run can be told about the data; `base` is the folder that paths start from."""

    confirmed: bool = True
    agency: str = ""
    currency: str = ""
    cutoff: Day | None = None
    records_begin: Annotated[
        Day | Literal["all history"] | None, BeforeValidator(_day_or_all_history)
    ] = None
    notice_days: int = Field(default=NOTICE_DAYS, ge=0, le=730)
    pause_days: int = Field(default=PAUSE_DAYS, ge=0, le=730)
    end_grace_days: int | None = Field(default=None, ge=0, le=30)
    source: Source = Source()
    tables: dict[str, TableSettings] = Field(default_factory=dict)
    results: ResultsSettings = ResultsSettings()
    risk: RiskSettings = RiskSettings()
    what_if: WhatIfSettings = WhatIfSettings()
    engine: EngineSettings = EngineSettings()
    scales: ScaleSettings = ScaleSettings()
    dates: DateSettings = DateSettings()
    known_from: dict[str, dict[str, Day]] = Field(default_factory=dict)
    plan: dict[str, ClaimChange] = Field(default_factory=dict)
    portfolio: dict[str, float] = Field(default_factory=dict)
    privacy: PrivacySettings = PrivacySettings()
    base: Path = Path()

    @field_validator("portfolio")
    @classmethod
    def _known_thresholds(cls, values: dict[str, float]) -> dict[str, float]:
        known = study_plan()["portfolio"]
        for name in (name for name, value in values.items() if name not in known or not value > 0):
            near = "".join(
                f"; did you mean {other!r}?" for other in difflib.get_close_matches(name, known, 1)
            )
            belongs = where_it_belongs(name)
            hint = f"; {belongs}" if belongs else near
            raise ValueError(
                f"{name} must be above 0" if name in known else f"{name!r} is no threshold{hint}"
            )
        return values

    @model_validator(mode="after")
    def _no_convention_of_ends(self) -> Self:
        """A snapshot has no dates of its own, so that no convention of dates can apply to it."""
        given = [f"dates.{name}" for name, value in self.dates if value is not None]
        given += ["end_grace_days"] if self.end_grace_days is not None else []
        if self.is_snapshot and given:
            raise ValueError(
                f"{' and '.join(given)} cannot be set of a snapshot (tenure_months and a flag): "
                "it has no dates of "
                "its own. Take the setting out."
            )
        return self

    @property
    def is_snapshot(self) -> bool:
        """Whether dates are counted back from a tenure and a flag."""
        return bool(self.table("clients").tenure_months)

    @property
    def first_day_without_service(self) -> bool:
        """Whether end_date is the first day without service; it is then read as the day before."""
        return self.end_grace_days == 1

    def table(self, name: str) -> TableSettings:
        """How the named table is read; defaults where nothing is said of it."""
        return self.tables.get(name, TableSettings())


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
    folder = Path(data_dir or ("" if config else project_root() / SAMPLE)).absolute()
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
        settings = settings.model_copy(update={"base": beside, "source": source})
    return settings.model_copy(update={"cutoff": _date(cutoff)}) if cutoff else settings


def project_root() -> Path:
    """The project's folder: where this package lives, else, if it is installed elsewhere, here or
    upwards.

    Notebooks are code. So a folder that merely holds some, as a folder of data may, is never taken
    for the project while the package lies in one of its own.
    """
    own = Path(__file__).parents[2]
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
        # `base` is ours to set; in the file it is as unknown as any other word.
        given = {"base_" if key == "base" else key: value for key, value in raw.items()}
        return Settings.model_validate(given | {"base": path.parent})
    except ValidationError as error:
        lines = [_explain(item) for item in error.errors()]
        raise ConfigError("\n".join([f"{path.name} has {len(lines)} fault(s):", *lines])) from None


def _open(given: Any, place: str = "") -> list[str]:
    """Places in the settings where a draft's question still stands."""
    if isinstance(given, dict):
        return [
            spot
            for key, value in given.items()
            for spot in _open(value, f"{place}.{key}" if place else key)
        ]
    return [place] if given == OPEN else []


def where_it_belongs(name: str, table: str = "clients") -> str:
    """A sentence that says in which section of retention.toml a setting stands; empty where none
    has that name.
    """
    places = [place.replace(ANY_TABLE, table) for place in _places().get(name, ())]
    if not places:
        return ""
    places.sort(key=lambda place: place.startswith("source.files"))  # what fewer users need
    sections = [f"[{place}]" for place in places if place]
    top = ["at the top of the file, before the first [section]"] if "" in places else []
    under = ["under " + " or ".join(sections)] if sections else []
    return f"{name} belongs {' or '.join([*top, *under])}."


ANY_TABLE = "<table>"
ANY_NAME = "<name>"


@cache
def _places() -> dict[str, tuple[str, ...]]:
    """By setting, the sections in which it is known; the top of the file is ""."""
    places: dict[str, tuple[str, ...]] = {}
    for name, place in _settings_of(Settings, ""):
        places[name] = (*places.get(name, ()), place)
    for name in study_plan()["portfolio"]:
        places[name] = (*places.get(name, ()), "portfolio")
    return places


def _settings_of(model: type[BaseModel], place: str) -> Iterator[tuple[str, str]]:
    """Every setting of a model and of the models in it, with its section."""
    for name, about in model.model_fields.items():
        if name == "base":
            continue
        yield name, place
        inside = f"{place}.{name}".lstrip(".")
        for kind in (about.annotation, *get_args(about.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                by_name = get_origin(about.annotation) is dict
                one = ANY_TABLE if name == "tables" else ANY_NAME
                yield from _settings_of(kind, f"{inside}.{one}" if by_name else inside)


def _section(parts: tuple[Any, ...]) -> str:
    """The section that a place in the settings stands in, as `_places` spells it."""
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
    known_here = section in _places().get(name, ())
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
        other for other, places in _places().items() if section in places and other != name
    )
    near = difflib.get_close_matches(name, here, 1)
    if near:
        return f"; did you mean {near[0]!r}?"
    elsewhere = difflib.get_close_matches(name, sorted(_places().keys() - {name}), 1)
    if elsewhere:
        return f"; did you mean {elsewhere[0]!r}? {where_it_belongs(elsewhere[0], table)}"
    if section == f"tables.{ANY_TABLE}":
        return f". Columns are named under [tables.{table}.columns]."
    return ""


def _date(text: str) -> dt.date:
    try:
        return _plausible(dt.datetime.strptime(text, "%Y-%m-%d").date())
    except ValueError:
        raise ConfigError(
            f"The cut-off {text!r} is not a date from 1950 to 2100; write it as YYYY-MM-DD."
        ) from None
