"""The monthly review of the reps (C5): whose clients leave or stay more than luck does, and who
needs help.

Expected ends come from the clients of all other reps, alike in contract, size and month of service.
A rep answers for the months that begin with the lag before them (METHODS 5): who was in charge when
the client made up its mind.
"""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests

from retention.history.expected import ends_over_expected
from retention.history.opportunities import month_rows
from retention.history.panel import Panel, in_deviations
from retention.history.snapshots import month_of
from retention.history.spells import CLIENT, DAY, add_months, whole_months
from retention.results import Finding
from retention.service import nps
from retention.stats.funnel import funnel, over_dispersion

YEAR = 12  # months of the rolling view
ABOUT = ["client_id", "start_date", "contract_term_months", "monthly_ad_spend"]
ABOUT += ["end_kind", "ended", "entry_months", "stop_months"]  # what is asked of a month of service
HALF = 6  # months of answers and results beside it
NAMED = 0.05  # METHODS 5: false finds among the reps named on a first page (Benjamini-Hochberg)
# (ours) standard deviations of results, and share of load, from which a rep's lot counts as harder
HARDER = 0.25


def rep_rows(
    panel: Panel, *, unknown: str = CLIENT, since: pd.Timestamp | None = None
) -> pd.DataFrame:
    """A row a month of service under observation (`month_rows`), with the `rep` in charge the lag
    before it.

    In a client's first months that is its first rep. Months whose rep is not known are left out;
    `since` keeps those that ended after that day.
    """
    spells = panel.spells[ABOUT].assign(row=np.arange(len(panel.spells)))
    rows = month_rows(spells, unknown=unknown)
    month = np.maximum(rows["to_month"].to_numpy(int) - 1 - panel.lag, 0)
    rows = rows.assign(rep=panel.rep[rows["row"].to_numpy(int), month])
    if since is not None and len(rows):
        rows = rows[add_months(rows["start_date"], rows["to_month"]) - DAY > since]
    return rows[rows["rep"] != ""].reset_index(drop=True)


def last_year(panel: Panel, cutoff: dt.date | pd.Timestamp) -> pd.DataFrame:
    """The rows of `rep_rows` that ended in the twelve months to the cut-off."""
    after = pd.Timestamp(cutoff) + DAY
    return rep_rows(panel, since=after - pd.DateOffset(months=YEAR) - DAY)


def reps(panel: Panel, *, unknown: str = CLIENT) -> pd.DataFrame:
    """Each rep's funnel row (`funnel`): ends by choice over those expected, over all months on
    record.
    """
    table = ends_over_expected(rep_rows(panel, unknown=unknown), "rep")
    return named(funnel(table["observed"], table["expected"])) if len(table) else table


def named(table: pd.DataFrame) -> pd.DataFrame:
    """The funnel rows with `named`: whose clients leave more than luck explains, all compared reps
    looked at together.

    One-sided, each rep against all others (exact: of the ends of both, the share that falls to the
    rep), drawn in where reps spread more than luck; Benjamini-Hochberg at 5 %: of equal reps one is
    named in at most 5 % of agencies.
    """
    ranked = table[~table["few"]]
    if ranked.empty:
        return table.assign(named=False)
    ends = ranked["observed"].to_numpy()
    due = ranked["expected"].to_numpy()
    others = table["observed"].sum() - ends
    chance = stats.binom.sf(ends - 1, ends + others, due / (due + others))
    spread = over_dispersion(table["observed"].to_numpy(), table["expected"].to_numpy())
    chance = stats.norm.sf(stats.norm.isf(chance) / np.sqrt(spread))
    found = multipletests(chance, alpha=NAMED, method="fdr_bh")[0]
    return table.assign(named=pd.Series(found, ranked.index).reindex(table.index, fill_value=False))


def review(
    panel: Panel, owners: pd.DataFrame, waves: pd.DataFrame, cutoff: pd.Timestamp
) -> pd.DataFrame:
    """The reps who serve clients now, funnel rows with what else a review looks at; whoever may
    need help first.

    `owners`: the present clients (`clients_now.present`). Further columns: `year` (ends over
    expected of twelve months, NaN under five expected), `clients` now, `nps, nps_low, nps_high,
    answered` (half a year, each client once) and `results` (mean of its clients' last months,
    standard deviations from all; above 0 is better).
    """
    table = reps(panel)
    if table.empty:
        return table
    year = ends_over_expected(last_year(panel, cutoff), "rep").astype(float)
    table["year"] = (year["observed"] / year["expected"]).where(year["expected"] >= 5)
    now = owners[owners["owner"] != ""]
    table = table[table.index.isin(now["owner"])]
    if table.empty:  # nobody who serves clients now has served long enough
        return table
    told = nps.tally(nps.recent(in_charge(waves, panel), cutoff, HALF), "rep")
    for name, column in (
        ("nps", "nps"),
        ("nps_low", "low"),
        ("nps_high", "high"),
        ("answered", "answered"),
    ):
        table[name] = told.get(column, np.nan)
    table["clients"] = now.groupby("owner").size()
    single = single_clients(panel, now, waves, cutoff)
    return table.assign(results=single.groupby("owner")["results"].mean())


def reading(table: pd.DataFrame) -> np.ndarray:
    """What the review says of each rep, in words."""
    more = table["ratio"] > 1
    cases = [
        table["few"],
        table["beyond"] & more,
        table["unusual"] & more,
        table["beyond"] | table["unusual"],
    ]
    words = [
        "too few to say",
        "more than luck does: help",
        "more than usual: look",
        "fewer than usual: learn from",
    ]
    return np.select(cases, words, "within what luck does")


def review_list(table: pd.DataFrame, names: pd.Series) -> pd.DataFrame:
    """The review as an account lead reads it; whoever has under five expected ends is not
    ranked.
    """
    if table.empty:
        return pd.DataFrame()
    ranges = {
        "limits": ("low", "high", "{:.2f} to {:.2f}"),
        "score": ("nps_low", "nps_high", "{:.0f} to {:.0f}"),
    }
    told = {
        n: [f.format(*pair) for pair in table[[a, b]].to_numpy()] for n, (a, b, f) in ranges.items()
    }
    score = table["nps"].map("{:.0f}".format) + " (" + pd.Series(told["score"], table.index) + ")"
    columns = {
        "Clients now": table["clients"],
        "Left": table["observed"],
        "Expected": table["expected"],
        "Over expected": table["ratio"].mask(table["few"]),
        "Interval": np.where(table["few"], "–", told["limits"]),
        "Allowing for luck": table["shrunk"].mask(table["few"]),
        "Last year": table["year"],
        "NPS, half a year": score.where(table["answered"] > 0, "–"),
        "Results, SD": table["results"],
        "Reading": reading(table),
    }
    return pd.DataFrame({"Rep": [names.get(who, who) for who in table.index], **columns}).dropna(
        axis=1, how="all"
    )


def shown(table: pd.DataFrame, names: pd.Series) -> pd.DataFrame:
    """The funnel's rows by name, for a picture; of whom under one end was expected is left out."""
    return (
        table[table["expected"] >= 1].rename(index=lambda who: names.get(who, who))
        if len(table)
        else table
    )


def help_words(table: pd.DataFrame, names: pd.Series) -> Finding:
    """Which rep needs help, in sentences: what its clients do beyond luck, and what its lot is."""
    if table.empty:
        why = "who served whom is not on record, too few have left, or all reps are new"
        return Finding("C5", f"The reps who serve clients now cannot be compared: {why}.")
    ranked = table[~table["few"]]
    if ranked.empty:
        return Finding(
            "C5",
            "No rep has clients enough to be compared; an order of them now would be luck.",
            "headline",
        )
    worse = ranked[ranked["named"]]
    if worse.empty:
        start = (
            f"No present rep loses more clients than luck explains, among {len(ranked)} who "
            "can be compared"
        )
        return Finding("C5", f"{start}: the order below is no reason to act.", "headline")
    told = " ".join(
        f"{names.get(who, who)}: {_so_many(row)}. {_lot(row, ranked)}"
        for who, row in worse.iterrows()
    )
    chance = f"Were all reps alike, any would be named here in at most {NAMED:.0%} of agencies."
    return Finding(
        "C5",
        f"Offer help, not blame, to {len(worse)} of {len(table)} reps. {told} {chance}",
        "headline",
    )


def _so_many(row: pd.Series) -> str:
    return (
        f"{row['observed']:.0f} of this rep's clients left where {row['expected']:.0f} were to "
        "be expected"
    )


def _lot(row: pd.Series, others: pd.DataFrame) -> str:
    """What of a rep's lot is harder or not than that of the others, in words: what to look at
    before the person.
    """
    typical = others["clients"].median()
    results = row["results"]
    told = f"There are {row['clients']:.0f} clients now (a typical rep has {typical:.0f})"
    if np.isfinite(results):
        how = (
            "worse than"
            if results < -HARDER
            else "better than"
            if results > HARDER
            else "about as good as"
        )
        told += f", whose results are {how} those of others"
    harder = row["clients"] > typical * (1 + HARDER) or results < -HARDER
    return told + (
        ": look at the accounts before the person."
        if harder
        else ": ask how the work with them goes."
    )


def rep_months(panel: Panel, waves: pd.DataFrame, months: int = HALF) -> pd.DataFrame:
    """NPS and retention of each rep in each of the last months on record: a row a rep and month,
    newest month first.

    `rep, month, clients` (served by the rep the lag before), `left`, `answered, nps, low, high` (by
    the rep in charge when the client was invited).
    """
    rows = rep_rows(panel)
    if rows.empty:
        return pd.DataFrame()
    last = add_months(rows["start_date"], rows["to_month"]) - DAY
    told = month_of(last)
    lately = told > told.max() - months
    rows = rows[lately].assign(month=last[lately].dt.to_period("M"))
    served = rows.groupby(["rep", "month"]).agg(
        clients=("client_id", "nunique"), left=("left", "sum")
    )
    waves = waves[waves["wave"] >= rows["month"].min()] if len(waves) else waves
    answers = nps.tally(in_charge(waves, panel).rename(columns={"wave": "month"}), ["rep", "month"])
    table = served.join(answers[["answered", "nps", "low", "high"]], how="left")
    return table.reset_index().sort_values(
        ["month", "rep"], ascending=[False, True], kind="stable", ignore_index=True
    )


def with_rep(waves: pd.DataFrame, panel: Panel) -> pd.DataFrame:
    """All waves, each with the `rep` of `in_charge`, "" where nobody is known."""
    known = in_charge(waves, panel).drop_duplicates(["client_id", "wave"], keep="last")
    kept = waves.drop(columns=["rep"], errors="ignore")
    told = kept.merge(known[["client_id", "wave", "rep"]], on=["client_id", "wave"], how="left")
    return told.assign(rep=told["rep"].fillna(""))


def in_charge(waves: pd.DataFrame, panel: Panel) -> pd.DataFrame:
    """The waves with the `rep` that the survey names, else the one in charge that month; those
    without are left out.
    """
    who = panel.spells[["client_id", "start_date", "end_date"]].assign(
        row=np.arange(len(panel.spells))
    )
    at = waves.drop(columns=["rep"], errors="ignore").merge(who, on="client_id")
    at = at[(at["invited_on"] >= at["start_date"]) & ~(at["invited_on"] > at["end_date"])]
    month = np.minimum(
        whole_months(at["start_date"], at["invited_on"]).to_numpy(int), panel.rep.shape[1] - 1
    )
    rep = pd.Series(panel.rep[at["row"].to_numpy(int), month], at.index)
    at = at.assign(rep=at["rep_id"].astype(object).fillna(rep) if "rep_id" in at else rep)
    return at[at["rep"] != ""].reset_index(drop=True)


def months_list(table: pd.DataFrame, names: pd.Series, months: int = 4) -> pd.DataFrame:
    """The last months of `rep_months` as readers see them, a row a rep and a column a month, newest
    first.
    """
    if table.empty:
        return pd.DataFrame()
    kept = [f"{row.clients - row.left:.0f} of {row.clients} kept" for row in table.itertuples()]
    told = [
        f"NPS {row.nps:.0f} ({row.answered:.0f}); " * (row.answered > 0)
        for row in table.itertuples()
    ]
    cells = table.assign(told=np.char.add(told, kept))
    wide = (
        cells.pivot(index="rep", columns="month", values="told")
        .sort_index(axis=1, ascending=False)
        .iloc[:, :months]
    )
    wide = wide[wide.iloc[:, 0].notna()].fillna(
        "–"
    )  # who serves nobody any more is no part of a month's review
    wide.columns = [f"{month.strftime('%b')}\u00a0{month.year}" for month in wide.columns]
    return wide.rename(index=lambda who: names.get(who, who)).rename_axis("Rep").reset_index()


def single_clients(
    panel: Panel, owners: pd.DataFrame, waves: pd.DataFrame, cutoff: pd.Timestamp
) -> pd.DataFrame:
    """Each present client with its rep, what it gets and what it says; the worst results first
    (C5).

    `client, owner, with_rep` (months), `results` (mean of the last three known of half a year,
    standard deviations from all; above 0 is better), `liking` and `nps` (last answers), `age_days`
    (of that answer). NaN where nothing is known.
    """
    rows = owners["row"].to_numpy(int)
    spells = panel.spells
    last = spells["observed_months"].to_numpy(int)[rows]
    same = [
        panel.rep[row, : at + 1][::-1] == panel.rep[row, at]
        for row, at in zip(rows, last, strict=True)
    ]
    scaled = in_deviations(panel.results)
    table = owners[["client_id", "client", "owner"]].assign(
        with_rep=[len(run) if run.all() else int(run.argmin()) for run in same],
        results=[_last_known(scaled[row, : at + 1], 3) for row, at in zip(rows, last, strict=True)],
        liking=[
            _last_known(panel.liking[row, : at + 1], 1) for row, at in zip(rows, last, strict=True)
        ],
    )
    told = nps.latest(waves).set_index("client_id")
    table["nps"] = table["client_id"].map(told["nps"]).astype(float)
    table["age_days"] = (
        cutoff - pd.to_datetime(table["client_id"].map(told["answered_on"]))
    ).dt.days
    return table.sort_values("results", kind="stable").reset_index(drop=True)


def _last_known(values: np.ndarray, count: int) -> float:
    """The mean of the last known values, of at most half a year; NaN where none is known."""
    known = values[-HALF:][~np.isnan(values[-HALF:])]
    return float(known[-count:].mean()) if known.size else np.nan


def single_list(table: pd.DataFrame, names: pd.Series, most: int = 12) -> pd.DataFrame:
    """The clients with the worst results as readers see them; empty where no results are known."""
    told = table[table["results"].notna()].head(most)
    shown = {"Client": told["client"], "Rep": [names.get(who, who) for who in told["owner"]]}
    shown |= {"Months with the rep": told["with_rep"], "Results, SD": told["results"]}
    shown |= {
        "Rating of the rep": told["liking"],
        "NPS answer": told["nps"],
        "Days old": told["age_days"],
    }
    return pd.DataFrame(shown)
