"""What stands in front of the service page: the score and its band, and the figure for the
index.
"""

import math

import pandas as pd

from retention.answers import Answer, Tile, Tiles
from retention.numbers import between
from retention.service import nps
from retention.words import say

MONTHS = 12  # (ours) waves of the tile's course


def answer(rows: pd.DataFrame, cutoff: pd.Timestamp, do: str = "") -> Answer:
    """The score of the last waves with the study's band (C1, C2), and whom to call (`do`)."""
    table = nps.today(rows, cutoff)
    if table.empty:
        return Answer("C1", say("service.front.nobody", months=nps.RECENT), do=do)
    row = table.iloc[0]
    band = nps.band_words(nps.band(row["nps"]))
    about = {"nps": round(row["nps"]), "band": band, "months": nps.RECENT}
    title = say("service.front.title", **about)
    evidence = say(
        "service.front.evidence",
        interval=between(round(row["low"]), round(row["high"]), "count"),
        answered=int(row["answered"]),
        asked=int(row["asked"]),
    )
    return Answer("C1", title, evidence, do)


def tiles(rows: pd.DataFrame, waves: pd.DataFrame, cutoff: pd.Timestamp) -> Tiles:
    """The score of the last three months with its interval, the three before, and its course by
    wave (C1).
    """
    now = nps.today(rows, cutoff)
    if now.empty:
        return Tiles(())
    day = pd.Timedelta(days=1)
    earlier = cutoff + day - pd.DateOffset(months=nps.RECENT) - day
    past = nps.today(rows[rows["wave"] <= earlier.to_period("M")], earlier)
    row = now.iloc[0]
    course = tuple(nps.by_month(waves)["nps"].astype(float).iloc[-MONTHS:])
    before = float(past.iloc[0]["nps"]) if len(past) else math.nan
    interval = float(row["low"]), float(row["high"])
    nps_now = float(row["nps"])
    about = say("tiles.about.quarter", months=nps.RECENT)
    return Tiles((Tile("nps", nps_now, "count", about, *interval, before, course),))
