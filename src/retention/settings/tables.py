"""Where the data are, and how each table is found and read."""

from __future__ import annotations

import codecs
import datetime as dt
import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

NAMED_FORMATS = (
    "day first",
    "month first",
    "excel days",
    "epoch seconds",
    "as written",
    "1,234.5",
    "1.234,5",
    "h:mm",
)


class Strict(BaseModel):
    """Settings that know no other keys, and no other types, than those they declare."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def plausible(day: dt.date) -> dt.date:
    """The day, if its year can be meant; ValueError else."""
    if not 1950 <= day.year <= 2100:
        raise ValueError("the year must lie between 1950 and 2100")
    return day


Day = Annotated[dt.date, AfterValidator(plausible)]


def _is_date_format(form: str) -> bool:
    """Whether dates written in this format can be read back."""
    day = dt.datetime(2001, 2, 23)
    try:
        text = day.strftime(form)
        return dt.datetime.strptime(text, form) == day
    except (ValueError, re.error):
        return False


class FileSettings(Strict):
    """How a file that a query reads is laid out, under the alias by which the query calls it.

    `skip_lines` stand above the headings (nothing said: as the first lines show); `heading_lines`
    are joined; rows whose first cell begins with a word of `stop_at` are no data. `also` are
    further files of the same headings, read as one with it; `doubles`: whether rows that stand in
    several of them count once.
    """

    file: str
    also: list[str] = Field(default_factory=list)
    doubles: Literal["once", "keep"] | None = None
    sheet: str = ""
    encoding: str = ""
    skip_lines: int | None = Field(default=None, ge=0)
    heading_lines: int = Field(default=1, ge=1, le=3)
    stop_at: list[str] = Field(default_factory=list)


class Source(Strict):
    """Where the data are: a file (the clients, or a workbook), a folder with a file for each table,
    or a database.

    `database` is the name of the environment variable that holds the address, for an address holds
    a password. `answers` are what only a person knows; queries read them with `answer('key')`.
    `crosswalk` is the CSV file in which a person confirms which name is which client.
    """

    folder: str = ""
    file: str = ""
    database: str = ""
    files: dict[str, FileSettings] = Field(default_factory=dict)
    answers: dict[str, str | int | float | bool | dt.date] = Field(default_factory=dict)
    crosswalk: str = ""

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


class Extra(Strict):
    """A further column of the user's own, and when its value is known."""

    kind: Literal["category", "number", "integer", "flag", "text", "date"]
    known: str = "signing"


class Ended(Strict):
    """The column that says whether a client has left, and the values that mean yes; where it has
    more than one other value, those that mean no.
    """

    column: str
    true: str | int | bool | list[str]
    false: list[str] = Field(default_factory=list)


class PerColumn(Strict):
    """The column that says for which period a row's amount is."""

    column: str


class TableSettings(Strict):
    """How one table is found and read: its file, sheet or query, its columns and values; or that it
    is left alone.

    `dated_by`: a date column that is blank beside a value takes the day of this other column
    ({answered_on = "invited_on"}). `repeated`: whether several rows of one key are parts to add up
    or versions of which the newest holds; nothing said: as schema.toml has it. `strangers`: rows of
    clients that the clients table does not have are refused, or left out and counted.

    Shapes, by column: `where`, the words of the rows that count; `constant`, what is the same in
    all rows; `scale`, what numbers are multiplied by (0.01 for cents); `per`, the period that an
    amount is for; `unit`, that of terms; `group`, how several rows of a key become one.
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
    where: dict[str, str | list[str]] = Field(default_factory=dict)
    constant: dict[str, str | int | float | bool | dt.date] = Field(default_factory=dict)
    scale: dict[str, Annotated[float, Field(gt=0, strict=False)]] = Field(default_factory=dict)
    per: dict[str, Literal["month", "quarter", "year"] | PerColumn] = Field(default_factory=dict)
    unit: dict[str, Literal["days", "weeks", "months", "years"]] = Field(default_factory=dict)
    group: dict[str, Literal["sum", "first", "last"]] = Field(default_factory=dict)
    tenure_months: str = ""
    tenure_unit: Literal["days", "weeks", "months", "years"] | None = (
        None  # said: parts of it are read too
    )
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
