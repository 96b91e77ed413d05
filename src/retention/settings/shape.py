"""What a run can be told: every setting with its bounds, and in which section each stands."""

from __future__ import annotations

import datetime as dt
import difflib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args, get_origin

from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from retention.settings.field import FieldOfClaim, PoolSettings
from retention.settings.plan import LIMITS, SECTIONS, Limits, shipped
from retention.settings.tables import Day, Source, Strict, TableSettings

ALL_HISTORY = "all history"
NOTICE_DAYS = 30  # (ours) one month, where only the end date is known: METHODS 0
PAUSE_DAYS = 60  # a pause of up to 60 days is not an end: METHODS 0
SMALLEST = 5  # (ours) clients, as many statistical offices have it


def _day_or_all_history(value: Any) -> Any:
    """The value if it may be a day or the words; one error in place of one for each of the two."""
    if value is None or value == ALL_HISTORY or isinstance(value, dt.date):
        return value
    try:
        return dt.date.fromisoformat(value)
    except (TypeError, ValueError):
        raise ValueError(f'write a date, or "{ALL_HISTORY}" if nobody is missing') from None


class ClaimChange(Strict):
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


class ResultsSettings(Strict):
    """Which metric of the results table says how an account does (A6, A8), and whether less of it
    is better.
    """

    primary: str = ""
    better: Literal["lower", "higher"] = "higher"

    @property
    def sign(self) -> int:
        """1 where more is better, -1 where less is."""
        return 1 if self.better == "higher" else -1


class ScaleSettings(Strict):
    """On which scale clients answer whether they would recommend the agency (data/scales.toml says
    what it makes of each), and which columns of per cents hold fractions. Nothing said: 0 to 10 and
    per cents, unless there is a doubt.

    `percent` is by column ("fee_pct"), or by table and column ("contracts.fee_pct").
    """

    nps: Literal["0-10", "1-10", "1-5", "0-5", "1-7", "0-100"] | None = None
    percent: dict[str, Literal["per cent", "fraction"]] = Field(default_factory=dict)


class DateSettings(Strict):
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


class RiskSettings(Strict):
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


class WhatIfSettings(Strict):
    """The changes that 06_economics tries, each by itself (B3 to B6, A3); shares of what is today.

    `smallest_declined`: that share of clients, the smallest by planned spend, is no longer signed,
    and `replaced` of them by others. `longevity_bonus`: of a month's fee, to the seller, each half
    year. `rep_bonus`: of the salary, all of it at `bonus_full_at` times the expected ends, none
    from `bonus_none_at` times as many on (ours: halving churn earns all, the usual earns nothing).
    """

    sellers_added: float = Field(default=1.0, gt=0, le=100)
    leaving_lowered: float = Field(default=0.10, gt=0, lt=1)
    still_sign: float = Field(default=0.75, ge=0, le=1)
    smallest_declined: float = Field(default=0.25, gt=0, lt=1)
    replaced: float = Field(default=0.5, ge=0, le=1)
    rates_raised: float = Field(default=0.05, gt=0, le=1)
    longevity_bonus: float = Field(default=0.5, ge=0, le=12)
    rep_bonus: float = Field(default=0.15, ge=0, le=1)
    bonus_full_at: float = Field(default=0.5, ge=0, le=10)
    bonus_none_at: float = Field(default=1.0, gt=0, le=10)

    @model_validator(mode="after")
    def _fewer_ends_earn_more(self) -> Self:
        if self.bonus_full_at >= self.bonus_none_at:
            raise ValueError("bonus_full_at must be below bonus_none_at")
        return self


class TrialSettings(Strict):
    """Trials of the lists (`retention trial`): who never waits, and what a trial is planned for.

    `never_wait`: clients that leave more money a month than this are acted on and never drawn.
    `horizon_months`: within which a client stays or leaves. `smallest`: the difference in the share
    that leaves which a trial is planned to see.
    """

    never_wait: float | None = Field(default=None, gt=0)
    horizon_months: int = Field(default=6, ge=1, le=36)
    smallest: float = Field(default=0.10, gt=0, lt=1)


class EngineSettings(Strict):
    """What `retention features` runs on: polars or duckdb on this machine, part by part, or
    spark.
    """

    name: Literal["polars", "duckdb", "spark"] = "polars"
    part_months: int = Field(default=1_000_000, ge=1)


class PrivacySettings(Strict):
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


class Settings(Strict):
    """Everything a run can be told about the data; `base` is the folder that paths start from,
    `others` what the file of `[pool]` says of each claim. A user sets neither.
    """

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
    trial: TrialSettings = TrialSettings()
    engine: EngineSettings = EngineSettings()
    scales: ScaleSettings = ScaleSettings()
    dates: DateSettings = DateSettings()
    known_from: dict[str, dict[str, Day]] = Field(default_factory=dict)
    plan: dict[str, ClaimChange] = Field(default_factory=dict)
    thresholds: dict[str, float] = Field(default_factory=dict)
    portfolio: dict[str, float] = Field(default_factory=dict)
    privacy: PrivacySettings = PrivacySettings()
    pool: PoolSettings = PoolSettings()
    others: dict[str, FieldOfClaim] = Field(default_factory=dict)
    base: Path = Path()

    @field_validator(*SECTIONS)
    @classmethod
    def _known_thresholds(cls, values: dict[str, float], info: ValidationInfo) -> dict[str, float]:
        known = shipped(str(info.field_name))
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

    @property
    def limits(self) -> Limits:
        """The thresholds in force: the plan's, unless `[thresholds]` or `[portfolio]` says
        otherwise.
        """
        return {**LIMITS, **self.thresholds, **self.portfolio}

    def table(self, name: str) -> TableSettings:
        """How the named table is read; defaults where nothing is said of it."""
        return self.tables.get(name, TableSettings())


def where_it_belongs(name: str, table: str = "clients") -> str:
    """A sentence that says in which section of retention.toml a setting stands; empty where none
    has that name.
    """
    places = [place.replace(ANY_TABLE, table) for place in known_places().get(name, ())]
    if not places:
        return ""
    places.sort(key=lambda place: place.startswith("source.files"))  # what fewer users need
    sections = [f"[{place}]" for place in places if place]
    top = ["at the top of the file, before the first [section]"] if "" in places else []
    under = ["under " + " or ".join(sections)] if sections else []
    return f"{name} belongs {' or '.join([*top, *under])}."


OURS = ("base", "others")  # set here, and in a file as unknown as any other word
ANY_TABLE = "<table>"
ANY_NAME = "<name>"


@cache
def known_places() -> dict[str, tuple[str, ...]]:
    """By setting, the sections in which it is known; the top of the file is ""."""
    places: dict[str, tuple[str, ...]] = {}
    for name, place in _settings_of(Settings, ""):
        places[name] = (*places.get(name, ()), place)
    for section in SECTIONS:
        for name in shipped(section):
            places[name] = (*places.get(name, ()), section)
    return places


def _settings_of(model: type[BaseModel], place: str) -> Iterator[tuple[str, str]]:
    """Every setting of a model and of the models in it, with its section."""
    for name, about in model.model_fields.items():
        if name in OURS:
            continue
        yield name, place
        inside = f"{place}.{name}".lstrip(".")
        for kind in (about.annotation, *get_args(about.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                by_name = get_origin(about.annotation) is dict
                one = ANY_TABLE if name == "tables" else ANY_NAME
                yield from _settings_of(kind, f"{inside}.{one}" if by_name else inside)
