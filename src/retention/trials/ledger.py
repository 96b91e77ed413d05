"""The file trials.csv: every draw ever made. Draws are added, and none is changed."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from retention.data.schema import write_csv
from retention.data.seals import DRAW, broken_seals, number_of, seal_of
from retention.errors import ConfigError
from retention.history.trials import NAMES
from retention.words import say


def read(path: Path) -> pd.DataFrame:
    """The draws on file, as text but for the numbers; no rows where there is no such file.

    ConfigError where a draw is not as it was made.
    """
    if not path.is_file():
        return pd.DataFrame(columns=list(NAMES))
    rows = pd.read_csv(path, dtype={"client_id": str, "trial": str, "seal": str})
    rows = rows.reindex(columns=list(NAMES))
    rows = rows.assign(drawn_on=pd.to_datetime(rows["drawn_on"]))
    broken, named = broken_seals(rows)
    if broken.any():
        raise ConfigError(say("what_helped.draw.broken", path=path, trials=", ".join(named)))
    return rows


def add(path: Path, draw: pd.DataFrame) -> pd.DataFrame:
    """Write one more draw under those on file; its rows come back with their seal.

    ConfigError where the trial was drawn on that day already: a seal is of the draw of a day.
    """
    before = read(path)
    again = draw[DRAW].merge(before[DRAW], on=DRAW)
    if len(again):
        trial, day = again.iloc[0]
        raise ConfigError(say("what_helped.draw.same_day", trial=trial, day=f"{day:%Y-%m-%d}"))
    number = max((number_of(seal) for seal in before["seal"]), default=0) + 1
    sealed = draw.assign(seal=seal_of(draw, number)).reindex(columns=list(NAMES))
    every = pd.concat([before, sealed], ignore_index=True) if len(before) else sealed
    write_csv(every, path)
    return sealed
