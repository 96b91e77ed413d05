"""The data gate: what came in, before any result. Counts, follow-up, gaps, and what each absent
table would answer.
"""

import datetime as dt
from collections.abc import Mapping

import pandas as pd

from retention.claims.contract_term import contract_hazard_ratio
from retention.data.schema import TABLES
from retention.history import status
from retention.history.follow_up import follow_up
from retention.history.spells import AGENCY, CLIENT, NEUTRAL, UNKNOWN
from retention.results import MIN_EVENTS, MIN_EVENTS_GROUP, Finding

KIND_WORDS = {
    CLIENT: "the client chose",
    AGENCY: "the agency chose",
    NEUTRAL: "neutral (closed, finished as agreed)",
    UNKNOWN: "nobody recorded whose choice",
}
CUT = "of these, in a month that the cut-off or the start of the records cuts (not in curves)"


def counts(spells: pd.DataFrame, clients: pd.DataFrame) -> pd.DataFrame:
    """The head count: `What, Count, Share` (of engagements) of what was read, followed and set
    aside.
    """
    outcome = follow_up(spells)
    whole = {
        "rows in the clients table": len(clients),
        "different clients": spells["client_id"].nunique(),
        "client-months under observation": int(outcome.months),
        "engagements followed (pauses merged)": len(spells),
    }
    parts = {
        "already clients when records begin": spells["entry_months"] > 0,
        "active at the cut-off": status.active(spells),
        "of these, under notice": status.under_notice(spells),
        "ended": spells["gone"],
        CUT: spells["cut_short"],
        "of these, lost (by the client's choice, or nobody recorded whose)": status.lost(spells),
    }
    rows = [(what, count, float("nan")) for what, count in whole.items()]
    rows += [(what, int(mask.sum()), mask.mean()) for what, mask in parts.items()]
    return pd.DataFrame(rows, columns=["What", "Count", "Share"])


def ends_by_kind(spells: pd.DataFrame) -> pd.DataFrame:
    """Ends up to the cut-off, by whose choice they were: `Whose choice, Ends, Share`."""
    ended = spells.loc[spells["gone"], "end_kind"]
    ends = ended.value_counts().reindex(list(KIND_WORDS), fill_value=0).rename(KIND_WORDS)
    return (
        pd.DataFrame({"Ends": ends, "Share": ends / max(len(ended), 1)})
        .rename_axis("Whose choice")
        .reset_index()
    )


def follow_up_by_term(spells: pd.DataFrame) -> pd.DataFrame:
    """Follow-up by term at signing: engagements, ends by the client, longest and median months
    followed.
    """
    terms = spells["contract_term_months"].astype(int)
    followed = (spells["stop_months"] - spells["entry_months"]).clip(lower=0).groupby(terms)
    by_client = status.lost(spells)
    table = {
        "Engagements": spells.groupby(terms).size(),
        "Left by choice": by_client.groupby(terms).sum(),
        "Longest follow-up, months": followed.max(),
        "Median follow-up, months": followed.median(),
    }
    return pd.DataFrame(table).rename_axis("Term at signing, months").reset_index()


def missing_by_field(frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Blank values in the columns that are there: `Column, Missing, Share`, most first; blank ends
    are no gap.
    """
    of_ends = [
        column.name for column in TABLES["clients"].columns if column.known == "recorded_date"
    ]
    rows = []
    for name, frame in frames.items():
        for column in frame.columns:
            told = (
                frame["end_date"].notna()
                if name == "clients" and column in of_ends
                else slice(None)
            )
            values = frame.loc[told, column]
            if count := int(values.isna().sum()):
                rows.append((f"{name}.{column}", count, count / len(values)))
    table = pd.DataFrame(rows, columns=["Column", "Missing", "Share"])
    return table.sort_values("Share", ascending=False, ignore_index=True)


def absent(frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """What would be answered by adding what is not there: `Adding`, `Would answer`; columns of one
    use in one row.
    """
    have = frames["clients"].columns
    uses: dict[str, list[str]] = {}
    for column in TABLES["clients"].columns:
        if column.name not in have:
            uses.setdefault(column.unlocks, []).append(column.name)
    rows = [
        (f"table {table.name}", table.unlocks)
        for name, table in TABLES.items()
        if name not in frames
    ]
    rows += [(f"clients: {', '.join(names)}", use) for use, names in uses.items()]
    return pd.DataFrame(rows, columns=["Adding", "Would answer"])


def headline(spells: pd.DataFrame, cutoff: dt.date, newest: pd.Timestamp) -> Finding:
    """The gate in a sentence: how many engagements, how fresh, how many ended, how many by the
    client's choice.
    """
    outcome = follow_up(spells)
    ended = int(spells["gone"].sum())
    chose = int(status.lost(spells).sum())
    text = (
        f"{len(spells):,} engagements followed to {cutoff:%d %B %Y} (newest entry "
        f"{newest:%d %B %Y}), over "
        f"{int(outcome.months):,} client-months; {ended:,} ended, {chose:,} of them by the "
        "client's choice or nobody knows whose."
    )
    return Finding("data", text, "headline")


def enough(spells: pd.DataFrame) -> Finding:
    """Whether enough clients left by choice for a verdict on the contract term, in a sentence
    (METHODS 1, the gate).
    """
    contrast = contract_hazard_ratio(spells)
    told = " and ".join(f"{count:,} of the {group}" for group, count in contrast.events.items())
    least = f"a verdict needs {MIN_EVENTS_GROUP} of each and {MIN_EVENTS} in all"
    word = "Not enough yet to judge" if contrast.gate else "Enough to try"
    text = (
        f"{word} the contract term (A1): {told or 'nobody'} left by choice where it counts; "
        f"{least}."
    )
    return Finding(
        "data", " ".join([text, *contrast.lacking, "Every other page says whether it has enough."])
    )


def starts_and_ends(spells: pd.DataFrame, records_begin: dt.date | None) -> pd.DataFrame:
    """Engagements started and ended in each quarter since the records begin: `quarter, started,
    ended`.

    All that started or ended up to the cut-off, in cut months too: a chart of what happened leaves
    nothing out.
    """
    since = pd.Timestamp(records_begin) if records_begin else spells["start_date"].min()
    seen = (spells["start_date"] >= since) & (spells["entry_months"] == 0)
    started = spells.loc[seen, "start_date"].dt.to_period("Q").value_counts()
    ended = spells.loc[spells["gone"], "end_date"].dt.to_period("Q").value_counts()
    frame = pd.DataFrame({"started": started, "ended": ended}).fillna(0).astype(int).sort_index()
    return frame.rename_axis("quarter").reset_index()


def flow_words(flow: pd.DataFrame) -> str:
    """The chart of starts and ends in words, for those who cannot see it."""
    return (
        f"Bars by quarter, {flow['quarter'].min()} to {flow['quarter'].max()}: "
        f"{flow['started'].sum():,} engagements "
        f"started and {flow['ended'].sum():,} ended."
    )
