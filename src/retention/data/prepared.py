"""The folder by which one run hands its checked tables to its notebooks: Parquet and JSON, opened
with a seal.

The seal is the hash of `prepared.json`, which holds the hash of every table. The run gives it to
its own notebooks in their environment. No other folder is ever opened this way, whatever files it
holds, and nothing in it can run: code in data would, so no object of Python's own is ever written
or read.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import polars as pl
from filelock import FileLock

from retention.data.folders import private
from retention.errors import ConfigError
from retention.parameters import SEAL

MANIFEST = "prepared.json"
CHANGED = (
    "The tables that this run prepared are not those that are there now. Run the report again."
)


class Made(NamedTuple):
    """What notebooks share: frames by name, and facts that JSON can hold."""

    frames: dict[str, pd.DataFrame]
    facts: dict[str, Any] = {}


def write(folder: Path, frames: Mapping[str, pd.DataFrame], state: Mapping[str, Any]) -> str:
    """The seal of the new folder, which holds the tables as Parquet, and the state beside their
    hashes.
    """
    private(folder)
    hashes = {}
    for name in sorted(frames):
        file = folder / f"{name}.parquet"
        frames[name].to_parquet(file, index=False)
        hashes[name] = _hash(file)
    contents = {"tables": hashes, "state": state}
    manifest = json.dumps(contents, indent=1, default=str)
    (folder / MANIFEST).write_text(manifest, "utf-8")
    return _hash(folder / MANIFEST)


def sealed(folder: str) -> str:
    """The seal that this process was given for such a folder; empty where it was given none, or it
    is none.
    """
    seal = os.environ.get(SEAL, "")
    return seal if seal and folder and (Path(folder) / MANIFEST).is_file() else ""


def opened(folder: Path, seal: str) -> tuple[Frames, dict[str, Any]]:
    """The tables and the state of a folder that bears this seal; ConfigError where it does not."""
    manifest = (folder / MANIFEST).read_bytes()
    if hashlib.sha256(manifest).hexdigest() != seal:
        raise ConfigError(CHANGED)
    held = json.loads(manifest)
    frames = Frames(folder, held["tables"])
    return frames, held["state"]


class Frames(Mapping[str, pd.DataFrame]):
    """The prepared tables by name, each read, and held against its hash, when it is first asked
    for.
    """

    def __init__(self, folder: Path, hashes: dict[str, str]) -> None:
        self.folder = folder
        self.hashes = hashes
        self._frames: dict[str, pd.DataFrame] = {}

    def __getitem__(self, name: str) -> pd.DataFrame:
        if name not in self._frames:
            path = self._file(name)
            self._frames[name] = pd.read_parquet(path)
        return self._frames[name]

    def scanned(self) -> dict[str, Any]:
        """The same tables, all but that of the clients for Polars to read as far as is asked
        for.
        """
        return {name: pl.scan_parquet(self._file(name)) for name in self.hashes} | {
            "clients": self["clients"]
        }

    def _file(self, name: str) -> Path:
        """The file of a table that is as the run wrote it. KeyError for an unknown name,
        ConfigError for a change.
        """
        expected = self.hashes[name]
        file = self.folder / f"{name}.parquet"
        if not file.is_file() or _hash(file) != expected:
            raise ConfigError(CHANGED)
        return file

    def __iter__(self) -> Iterator[str]:
        return iter(self.hashes)

    def __len__(self) -> int:
        return len(self.hashes)


def once(folder: Path, name: str, make: Callable[[], Made]) -> Made:
    """What `make` gives back, as it is read again: made by the first notebook of a run that asks,
    for all of them.
    """
    kept = folder / name
    with FileLock(folder / f"{name}.lock"):
        if not kept.is_dir():
            fresh = folder / f"{name}.new"
            shutil.rmtree(fresh, ignore_errors=True)  # left by a notebook that was killed
            _keep(fresh, make())
            fresh.rename(kept)
        return _kept(kept)


def _keep(folder: Path, made: Made) -> None:
    private(folder)
    for name, frame in made.frames.items():
        frame.to_parquet(folder / f"{name}.parquet")
    (folder / "facts.json").write_text(json.dumps(made.facts), "utf-8")


def _kept(folder: Path) -> Made:
    text = (folder / "facts.json").read_text("utf-8")
    facts = json.loads(text)
    return Made({file.stem: pd.read_parquet(file) for file in folder.glob("*.parquet")}, facts)


def _hash(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
