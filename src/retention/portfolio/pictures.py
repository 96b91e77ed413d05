"""What the charts of the portfolio draw: margins by client, and who moved between tiers."""

import pandas as pd

from retention.portfolio.book import Book
from retention.portfolio.tiers import TIERS, tier_words
from retention.words import Said, say

LEFT = "left"
NAMED = 5  # clients whose margins are said in words


def margins_by_client(book: Book) -> pd.DataFrame:
    """What each client leaves a month now, most first: `client, margin`; empty where it is not
    known.
    """
    margin = book.monthly["margin"].dropna()
    names = pd.Series(book.names)
    frame = pd.DataFrame({"client": names.reindex(margin.index).to_numpy(), "margin": margin})
    return frame.sort_values("margin", ascending=False, kind="stable").reset_index(drop=True)


def margin_words(frame: pd.DataFrame) -> Said:
    """The chart in words: how many cost more than they pay, and who leaves least."""
    if frame.empty:
        return say("portfolio.margins.nobody")
    points = [
        say("portfolio.margins.point", client=row.client, margin=row.margin)
        for row in frame.tail(NAMED)[::-1].itertuples()
    ]
    below = int((frame["margin"] < 0).sum())
    return say("portfolio.margins.alt", n=len(frame), below=below, points="; ".join(points))


def tier_grid(before: pd.Series, after: pd.Series) -> pd.DataFrame:
    """Who went from each tier of a year ago to each of now: `row, column, clients, value, text,
    kind`. The value is the share of the row; the kind is up, down, same or left.
    """
    columns = ["row", "column", "clients", "value", "text", "kind"]
    both = pd.DataFrame({"before": before, "after": after.reindex(before.index)})
    both = both.dropna(subset=["before"])
    both["after"] = both["after"].fillna(LEFT)
    rows = []
    for old in TIERS:
        here = both[both["before"] == old]
        for new in (*TIERS, LEFT) if len(here) else ():
            count = int((here["after"] == new).sum())
            share = count / len(here)
            kind = _kind(old, new)
            place = [tier_words(old), _column(new)]
            rows.append([*place, count, share, f"{count:,}" if count else "", kind])
    return pd.DataFrame(rows, columns=columns)


def _column(tier: str) -> Said:
    return say("portfolio.tiers.left") if tier == LEFT else tier_words(tier)


def _kind(old: str, new: str) -> str:
    if new == LEFT:
        return LEFT
    step = TIERS.index(new) - TIERS.index(old)
    return "same" if step == 0 else "up" if step < 0 else "down"


def tier_grid_words(frame: pd.DataFrame) -> Said:
    """The picture in words."""
    if frame.empty:
        return say("portfolio.tiers.grid_none")
    of = frame.groupby("kind")["clients"].sum()
    kinds = {kind: int(of.get(kind, 0)) for kind in ("up", "same", "down", LEFT)}
    return say("portfolio.tiers.grid_alt", n=int(frame["clients"].sum()), **kinds)
