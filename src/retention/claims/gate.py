"""The data gate: what came in, before any result. Counts, follow-up, gaps, and what each absent
table would answer.
"""

import datetime as dt
from collections.abc import Mapping

import pandas as pd

from retention.claims.contract_term import contract_hazard_ratio
from retention.contrast import MIN_EVENTS, MIN_EVENTS_GROUP
from retention.data.schema import TABLES
from retention.history import status
from retention.history.follow_up import follow_up
from retention.history.held import listed
from retention.history.spells import AGENCY, CLIENT, NEUTRAL, UNKNOWN
from retention.results import Finding
from retention.words import Said, say, together

CHOICES = (CLIENT, AGENCY, NEUTRAL, UNKNOWN)


def counts(spells: pd.DataFrame, clients: pd.DataFrame) -> pd.DataFrame:
    """The head count: `what, count, share` (of engagements) of what was read, followed and set
    aside, by the ids of the counts.
    """
    outcome = follow_up(spells)
    whole = {
        "rows_in_table": len(clients),
        "different_clients": spells["client_id"].nunique(),
        "client_months": int(outcome.months),
        "engagements": len(spells),
    }
    parts = {
        "already_clients": spells["entry_months"] > 0,
        "active": status.active(spells),
        "under_notice": status.under_notice(spells),
        "ended": spells["gone"],
        "cut_short": spells["cut_short"],
        "lost": status.lost(spells),
    }
    rows = {name: (count, float("nan")) for name, count in whole.items()}
    rows |= {name: (int(mask.sum()), mask.mean()) for name, mask in parts.items()}
    columns = ["count", "share"]
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    frame["count"] = frame["count"].astype(int)
    frame.insert(0, "what", [say(f"data.count.{name}") for name in frame.index])
    return frame


def ends_by_kind(spells: pd.DataFrame) -> pd.DataFrame:
    """Ends up to the cut-off, by whose choice they were: `whose_choice, ends, share`, by the ids of
    the choices.
    """
    ended = spells.loc[spells["gone"], "end_kind"]
    counted = ended.value_counts()
    ends = counted.reindex(list(CHOICES), fill_value=0)
    names = [say(f"data.choice.{kind}") for kind in CHOICES]
    number = max(len(ended), 1)
    return pd.DataFrame(
        {"whose_choice": names, "ends": ends, "share": ends / number}, index=CHOICES
    )


def follow_up_by_term(spells: pd.DataFrame) -> pd.DataFrame:
    """Follow-up by term at signing: `term_at_signing, engagements, left_by_choice,
    longest_follow_up, median_follow_up`, terms and follow-up in months.
    """
    terms = spells["contract_term_months"].astype(int)
    months = spells["stop_months"] - spells["entry_months"]
    followed = months.clip(lower=0).groupby(terms)
    by_client = status.lost(spells)
    table = {
        "engagements": spells.groupby(terms).size(),
        "left_by_choice": by_client.groupby(terms).sum(),
        "longest_follow_up": followed.max(),
        "median_follow_up": followed.median(),
    }
    return pd.DataFrame(table).rename_axis("term_at_signing").reset_index()


def missing_by_field(frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Blank values in the columns that are there: `column, missing, share`, most first; blank ends
    are no gap.
    """
    of_ends = [
        column.name for column in TABLES["clients"].columns if column.known == "recorded_date"
    ]
    rows = []
    for name, frame in frames.items():
        for column in frame.columns:
            values = frame[column]
            if name == "clients" and column in of_ends:
                values = values[frame["end_date"].notna()]
            count = int(values.isna().sum())
            if count:
                share = count / len(values)
                rows.append((f"{name}.{column}", count, share))
    columns = ["column", "missing", "share"]
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values("share", ascending=False, ignore_index=True)


def absent(frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """What would be answered by adding what is not there: `adding, would_answer`; columns of one
    use in one row.
    """
    have = frames["clients"].columns
    uses: dict[str, list[str]] = {}
    for column in TABLES["clients"].columns:
        if column.name not in have:
            uses.setdefault(column.unlocks, []).append(column.name)
    rows = [
        (say("data.absent.table", table=table.name), table.unlocks)
        for name, table in TABLES.items()
        if name not in frames
    ]
    rows += [
        (say("data.absent.columns", columns=", ".join(names)), use) for use, names in uses.items()
    ]
    columns = ["adding", "would_answer"]
    return pd.DataFrame(rows, columns=columns)


def headline(spells: pd.DataFrame, cutoff: dt.date, newest: pd.Timestamp) -> Finding:
    """The gate in a sentence: how many engagements, how fresh, how many ended, how many by the
    client's choice.
    """
    lost_clients = status.lost(spells).sum()
    text = say(
        "data.headline.followed",
        ended=int(spells["gone"].sum()),
        engagements=len(spells),
        lost=int(lost_clients),
        cutoff=f"{cutoff:%d %B %Y}",
        months=int(follow_up(spells).months),
        newest=f"{newest:%d %B %Y}",
    )
    return Finding("data", text, "headline")


def enough(spells: pd.DataFrame) -> Finding:
    """Whether enough clients left by choice for a verdict on the contract term, in a sentence
    (METHODS 1, the gate).
    """
    contrast = contract_hazard_ratio(spells)
    gated = bool(contrast.gate)
    text = _enough_words(contrast.events, gated)
    more = (*contrast.lacking, say("data.enough.elsewhere"))
    return Finding("data", together(text, *more))


def _enough_words(ends: Mapping[str, int], too_few: bool) -> Said:
    """How many left by choice in each group, and whether that is enough, in sentences."""
    least = {"each": MIN_EVENTS_GROUP, "all": MIN_EVENTS}
    if not ends:
        return say("data.enough.nobody", **least)
    groups = [say("data.enough.group", count=n, group=group) for group, n in ends.items()]
    key = "data.enough.not_yet" if too_few else "data.enough.yes"
    return say(key, groups=listed(groups), **least)


def starts_and_ends(spells: pd.DataFrame, records_begin: dt.date | None) -> pd.DataFrame:
    """Engagements started and ended in each quarter since the records begin: `quarter, started,
    ended`.

    All that started or ended up to the cut-off, in cut months too: a chart of what happened leaves
    nothing out.
    """
    since = pd.Timestamp(records_begin) if records_begin else spells["start_date"].min()
    lately = spells["start_date"] >= since
    seen = lately & (spells["entry_months"] == 0)
    started = spells.loc[seen, "start_date"].dt.to_period("Q").value_counts()
    ends_of = spells.loc[spells["gone"], "end_date"]
    ended = ends_of.dt.to_period("Q").value_counts()
    frame = pd.DataFrame({"started": started, "ended": ended}).fillna(0).astype(int).sort_index()
    return frame.rename_axis("quarter").reset_index()


def flow_words(flow: pd.DataFrame) -> str:
    """The chart of starts and ends in words, for those who cannot see it."""
    return say(
        "data.alt.flow",
        first=flow["quarter"].min(),
        last=flow["quarter"].max(),
        started=int(flow["started"].sum()),
        ended=int(flow["ended"].sum()),
    )
