"""Settings: `retention.toml`, the environment and the command line, read once and checked whole.

Precedence: command line (or notebook parameter), environment (RETENTION_DATA, RETENTION_CONFIG,
RETENTION_CUTOFF), `retention.toml`, defaults. An unknown key is an error, so that a misspelt
setting never goes unnoticed.
"""

from retention.settings.field import FieldOfClaim, PoolSettings
from retention.settings.load import OPEN, project_root, resolve
from retention.settings.plan import LIMITS, Limits, study_plan
from retention.settings.shape import (
    ALL_HISTORY,
    NOTICE_DAYS,
    PAUSE_DAYS,
    ClaimChange,
    DateSettings,
    PrivacySettings,
    ResultsSettings,
    RiskSettings,
    ScaleSettings,
    Settings,
    TrialSettings,
    WhatIfSettings,
    where_it_belongs,
)
from retention.settings.tables import Extra, FileSettings, PerColumn, TableSettings

__all__ = [
    "ALL_HISTORY",
    "LIMITS",
    "NOTICE_DAYS",
    "OPEN",
    "PAUSE_DAYS",
    "ClaimChange",
    "DateSettings",
    "Extra",
    "FieldOfClaim",
    "FileSettings",
    "Limits",
    "PerColumn",
    "PoolSettings",
    "PrivacySettings",
    "ResultsSettings",
    "RiskSettings",
    "ScaleSettings",
    "Settings",
    "TableSettings",
    "TrialSettings",
    "WhatIfSettings",
    "project_root",
    "resolve",
    "study_plan",
    "where_it_belongs",
]
