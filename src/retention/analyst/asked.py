"""Whom a verb is asked about: the clients of a study, or of a frame of any library."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from retention import study as opening
from retention.analyst.groups import chosen, column_of, grouped, names_in
from retention.errors import ConfigError
from retention.frames import DURATIONS, OUTCOMES
from retention.history.follow_up import follow_up
from retention.history.spells import CLIENT, KINDS
from retention.stats.outcomes import Outcome
from retention.study import Study
from retention.words import say

EVERY = "every"  # of `ends`: every kind of end counts
ENDS = (*KINDS, EVERY)
Told = Callable[[str], None]


def open_study(
    data_dir: Any = "",
    config: str = "",
    cutoff: Any = "",
    tell: Told = lambda text: None,
    only_check: bool = False,
    records_begin: Any = None,
) -> Study:
    """The study of a folder or file, or of frames held in memory: read, checked and ready to ask.

    Parameters
    ----------
    data_dir : str, path, frame, or dict of frames
        The folder or file with the data; or a frame of clients (pandas, Polars, DuckDB, Spark); or
        frames by the names of the tables. Empty: the sample.
    config : str
        The `retention.toml` to use; by default the one beside the data.
    cutoff : str or date
        The last day observed; by default the newest on which anything was recorded.
    tell : function
        Hears how far the reading is.
    only_check : bool
        Whether large tables are only checked and not kept.
    records_begin : str or date, optional
        Of frames: the day from which clients who left are on record, or "all history".

    Returns
    -------
    Study
        With `clients`, `months`, `snapshots`, `opportunities` and `describe`. DataError and
        ConfigError list all faults at once.

    Examples
    --------
    >>> import pandas as pd
    >>> from retention import open_study
    >>> clients = pd.read_csv("data/sample/clients.csv")
    >>> held = open_study(clients, cutoff="2025-12-31", records_begin="2021-01-01")
    >>> len(held.clients)
    597
    """
    frames = _frames(data_dir)
    if records_begin is not None and (config or not frames):
        raise ConfigError(say("analyst.refused.begin_in_file"))
    if not frames:
        return opening.open_study(data_dir, config, cutoff, tell, only_check)
    with tempfile.TemporaryDirectory(prefix="retention-") as folder:
        for name, frame in frames.items():
            frame.to_parquet(Path(folder) / f"{name}.parquet", index=False)
        if records_begin is not None:
            text = f"records_begin = {json.dumps(str(records_begin))}\n"
            (Path(folder) / "retention.toml").write_text(text, "utf-8")
        return opening.open_study(folder, config, cutoff, tell)


def _frames(data: Any) -> dict[str, pd.DataFrame]:
    """The frames given in place of a folder, by the names of their tables; none of a folder."""
    if isinstance(data, Mapping):
        return {str(name): as_pandas(frame) for name, frame in data.items()}
    if data is None or isinstance(data, str | Path) or not _is_frame(data):
        return {}
    return {"clients": as_pandas(data)}


def _is_frame(data: Any) -> bool:
    native = nw.from_native(data, pass_through=True)
    return isinstance(native, nw.DataFrame | nw.LazyFrame)


def as_pandas(frame: Any) -> pd.DataFrame:
    """A frame of any library that Narwhals knows, in memory, as pandas holds it."""
    if isinstance(frame, pd.DataFrame):
        return frame
    return nw.from_native(frame).lazy().collect("pandas").to_native()


@dataclass(frozen=True)
class Asked:
    """The clients that a verb is asked about: a row an engagement, their follow-up, and the study
    that they are of (None of a frame of durations).

    What an analyst names is looked up among `every` row that was given, so that a Series or array
    as long as those fits whichever of them are asked about.
    """

    rows: pd.DataFrame
    outcome: Outcome
    study: Study | None
    every: pd.DataFrame

    def where(self, mask: np.ndarray) -> Asked:
        """Those that the mask (n,) marks."""
        kept = self.rows[mask]
        return Asked(kept, self.outcome.where(mask), self.study, self.every)

    def marked(self, what: Any) -> np.ndarray:
        """Those of the rows (n,) that an expression marks."""
        refuse_outcomes(what, self.every)
        marks = pd.Series(chosen(self.every, what), self.every.index)
        return marks.loc[self.rows.index].to_numpy()

    def groups(self, by: Any, cuts: Sequence[float]) -> pd.Series:
        """The group of each row (n,), numbers cut at the quantiles of these rows."""
        if by is None:
            return grouped(self.rows, None)
        refuse_outcomes(by, self.every)
        values = column_of(self.every, by)
        return grouped(self.rows, values.loc[self.rows.index], cuts)

    def parts(self, by: Any, cuts: Sequence[float]) -> Iterator[tuple[str, Asked]]:
        """Each group of them by name (`groups.grouped`)."""
        groups = self.groups(by, cuts)
        for name in groups.cat.categories:
            own = (groups == name).to_numpy()
            yield str(name), self.where(own)

    @property
    def opened(self) -> Study:
        """The study; ConfigError where a frame of durations has none."""
        if self.study is None:
            raise ConfigError(say("analyst.refused.no_study"))
        return self.study

    @property
    def spells(self) -> pd.DataFrame:
        """The engagements of the study that belong to these rows."""
        return self.opened.spells.loc[self.rows.index]


def asked(study: Any, where: Any = None, ends: str = CLIENT) -> Asked:
    """The clients of a study, or of a frame, that `where` marks, with their follow-up in which ends
    of the kind `ends` count.

    A frame with `duration` and `event_observed` (and perhaps `entry`, and `rep_id` for intervals by
    rep) is taken as it is; one with `start_date` is opened as a study.
    """
    if ends not in ENDS:
        raise ValueError(say("analyst.refused.ends", ends=ends, names=", ".join(ENDS)))
    if isinstance(study, Study):
        outcome = follow_up(study.spells)
        rows = study.clients
        everybody = Asked(rows, _counted(outcome, ends), study, rows)
    else:
        everybody = _of_frame(study, ends)
    return everybody.where(everybody.marked(where))


def _of_frame(frame: Any, ends: str) -> Asked:
    if isinstance(frame, str | Path | Mapping) or frame is None or not _is_frame(frame):
        raise ValueError(say("analyst.refused.no_clients", kind=type(frame).__name__))
    rows = as_pandas(frame)
    if not set(DURATIONS[:2]) <= {*rows}:
        return asked(open_study(rows), None, ends)
    if not rows.index.is_unique:
        rows = rows.reset_index(drop=True)
    event = rows["event_observed"].astype(int)
    entry = rows["entry"].astype(float) if "entry" in rows else np.zeros(len(rows))
    reps = None
    if "rep_id" in rows:
        named = rows["rep_id"].fillna("").astype(str)
        reps = _spans(named)
    duration = rows["duration"].astype(float)
    return Asked(rows, Outcome.of(duration, event, entry, reps), None, rows)


def refuse_outcomes(what: Any, rows: pd.DataFrame) -> None:
    """ValueError where the groups would be made of what came of the clients: those who left late
    would be compared with those who left early, and the answer would be the question.

    A function of the rows, or a Series, is taken on trust.
    """
    later = sorted(names_in(what, rows) & OUTCOMES)
    if later:
        raise ValueError(say("analyst.refused.by_outcome", names=", ".join(later)))


def _spans(named: pd.Series) -> np.ndarray:
    """The rep at signing as in charge throughout, shape (n,)."""
    spans = np.empty(len(named), dtype=object)
    spans[:] = [((0, name),) for name in named]
    return spans


def _counted(outcome: Outcome, ends: str) -> Outcome:
    """The follow-up with ends of other kinds censored."""
    return outcome if ends == EVERY else outcome.only([KINDS[ends]])
