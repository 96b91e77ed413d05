"""Names out of a report: tables in, the same tables with stable keyed codes for names, ids and free
text out.

It is done once, on the checked tables, before any notebook sees them; so pages, notebooks, lists
and JSON hold codes and nothing else. A code is the beginning of an HMAC-SHA256: with the same key
the same client has the same code in every run, and without it nobody can try out names until a code
comes up.
"""

import base64
import hashlib
import hmac
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd

from retention.data import Tables
from retention.data.schema import TABLES
from retention.errors import ConfigError
from retention.settings import PoolSettings, Settings, study_plan

KEY, KEY_FILE = "RETENTION_KEY", "RETENTION_KEY_FILE"  # environment variables
SHORTEST_KEY = 16  # characters
# of base 32: among a million clients two share a code once in some 2,000 agencies, and that is
# refused
DIGITS = 10
KIND = {
    "client_id": "client",
    "referred_by": "client",
    "seller_id": "person",
    "rep_id": "person",
    "staff_id": "person",
}
NAMED_AFTER = {"clients": "client_id", "staff": "staff_id"}  # a name gets the code of its row's id
NOTED = study_plan()["noted"]
OTHER = "other"  # what a word is called that too few clients share


def read_key(settings: Settings, out: Path) -> bytes:
    """The key of the codes, from RETENTION_KEY, or the file of RETENTION_KEY_FILE or `[privacy]
    key_file`.

    ConfigError where there is none, it is short, or it lies in the folder of the reports (`out`),
    which others read.
    """
    named = os.environ.get(KEY_FILE) or settings.privacy.key_file
    path = settings.base / named
    if named and out.resolve() in path.resolve().parents:
        raise ConfigError(
            f"The key must not lie in {out}, where the reports are. Move it out of there."
        )
    try:
        text = os.environ.get(KEY) or (path.read_text("utf-8") if named else "")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The file of the key cannot be read ({type(error).__name__}).") from None
    if len(text.strip()) < SHORTEST_KEY:
        raise ConfigError(
            f"Codes for names need a key of at least {SHORTEST_KEY} characters, in the "
            f"environment variable {KEY} or "
            f"in a file that {KEY_FILE} or [privacy] key_file names. Make one with: "
            'python3 -c "import secrets; print(secrets.token_hex(32))" > retention.key'
        )
    return text.strip().encode()


def fingerprint(key: bytes) -> str:
    """By what two runs know that their codes are of the same key; it says nothing of the key."""
    return _code(key, "key", "")[-DIGITS:]


def _code(key: bytes, kind: str, value: str) -> str:
    message = f"{kind}\0{value}".encode()
    signature = hmac.new(key, message, hashlib.sha256)
    digest = signature.digest()
    return f"{kind}-{base64.b32encode(digest).decode().lower()[:DIGITS]}"


def coded(values: pd.Series, kind: str, key: bytes) -> pd.Series:
    """The values as codes of this kind; blanks stay blank. ConfigError where two values would share
    a code.
    """
    known = values.dropna().unique()
    codes = {value: _code(key, kind, str(value)) for value in known}
    different = set(codes.values())
    if len(different) < len(codes):
        raise ConfigError("Two names would get the same code. Take another key.")
    return values.map(codes).astype(values.dtype)


def without_names(tables: Tables, settings: Settings, key: bytes) -> Tables:
    """The tables with codes for ids, names and free text, and rare words of open lists as "other";
    in a new order.

    An order by the ids or names themselves would tell something of them. Notes are told without
    names of files.
    """
    frames = {
        name: _coded_table(name, frame, settings, key) for name, frame in tables.frames.items()
    }
    unused = sum(
        note.rpartition(": columns not used: ")[2].count(", ") + 1 for note in tables.notes
    )
    notes = (f"columns not used: {unused}",) if unused else ()
    warnings = tuple(replace(warning, ids=(), seen=()) for warning in tables.warnings)
    return replace(tables, frames=frames, notes=notes, warnings=warnings)


def _coded_table(name: str, frame: pd.DataFrame, settings: Settings, key: bytes) -> pd.DataFrame:
    kinds = {column.name: column.kind for column in TABLES[name].columns if column.name in frame}
    closed = {column.name for column in TABLES[name].columns if column.choices}
    kinds |= {column: extra.kind for column, extra in settings.table(name).extra.items()}
    made: dict[str, pd.Series] = {}
    for column, kind in kinds.items():
        if column == "name" and name in NAMED_AFTER:
            own = NAMED_AFTER[name]
            made[column] = (
                coded(frame[own], KIND[own], key)
                .astype(frame[column].dtype)
                .where(frame[column].notna())
            )
        elif kind == "id":
            made[column] = coded(frame[column], KIND.get(column, column.removesuffix("_id")), key)
        elif kind == "text":
            made[column] = coded(frame[column], "text", key)
        elif kind == "category" and column not in closed:
            client = frame.get("client_id")
            made[column] = _common(frame[column], client, settings.privacy.fewest)
    frame = frame.assign(**made)
    by = [column for column in TABLES[name].key if column in frame] or list(frame.columns)
    return frame.sort_values(by, kind="stable", ignore_index=True)


def _common(words: pd.Series, who: pd.Series | None, fewest: int) -> pd.Series:
    """The words, with "other" for those of fewer than `fewest` clients (rows, where rows name no
    client).

    What the study itself calls a client is nobody's own word, and decides what is done: it stays.
    """
    counts = words.value_counts() if who is None else who.groupby(words).nunique()
    rare = {
        word
        for word in counts.index[counts < fewest]
        if str(word).casefold().replace("\u2019", "'") not in NOTED
    }
    few = ~words.isin(rare)
    return words.where(few, OTHER)


def without_places(settings: Settings) -> Settings:
    """The settings without what may name somebody: files, sheets, and translations of ids, names
    and free text.
    """

    def plain(
        name: str, values: Mapping[str, dict[str, str | int | float | bool]]
    ) -> dict[str, object]:
        kinds = {column.name: column.kind for column in TABLES[name].columns}
        return {
            column: words
            for column, words in values.items()
            if kinds.get(column, "text") not in ("id", "text")
        }

    tables = {
        name: how.model_copy(update={"file": "", "sheet": "", "values": plain(name, how.values)})
        for name, how in settings.tables.items()
    }
    return settings.model_copy(update={"tables": tables, "pool": PoolSettings()})
