"""The monthly review of the reps (C5): whose clients leave or stay more than luck does, and who
needs help.

Expected ends come from the clients of all other reps, alike in contract, size and month of service.
A rep answers for the months that begin with the lag before them (METHODS 5): who was in charge when
the client made up its mind.
"""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests

from retention.history.expected import ends_over_expected
from retention.history.grids import in_deviations
from retention.history.opportunities import month_rows
from retention.history.panel import Panel
from retention.history.snapshots import month_of
from retention.history.spells import CLIENT, DAY, add_months, whole_months
from retention.numbers import DASH, Shown
from retention.results import Finding
from retention.service import nps
from retention.stats.funnel import funnel, over_dispersion
from retention.words import Said, say, together

YEAR = 12  # months of the rolling view
ABOUT = ["client_id", "start_date", "contract_term_months", "monthly_ad_spend"]
ABOUT += ["end_kind", "ended", "entry_months", "stop_months"]  # what is asked of a month of service
HALF = 6  # months of answers and results beside it
NAMED = 0.05  # METHODS 5: false finds among the reps named on a first page (Benjamini-Hochberg)
# (ours) standard deviations of results, and share of load, from which a rep's lot counts as harder
HARDER = 0.25
FEW, HELP, LOOK, LEARN, LUCK = ("few", "help", "look", "learn", "luck")  # readings of a rep


def rep_rows(
    panel: Panel, *, unknown: str = CLIENT, since: pd.Timestamp | None = None
) -> pd.DataFrame:
    """A row a month of service under observation (`month_rows`), with the `rep` in charge the lag
    before it.

    In a client's first months that is its first rep. Months whose rep is not known are left out;
    `since` keeps those that ended after that day.
    """
    numbers = np.arange(len(panel.spells))
    spells = panel.spells[ABOUT].assign(row=numbers)
    rows = month_rows(spells, unknown=unknown)
    month_before = rows["to_month"].to_numpy(int) - 1
    month = np.maximum(month_before - panel.lag, 0)
    place = rows["row"].to_numpy(int)
    rows = rows.assign(rep=panel.rep[place, month])
    if since is not None and len(rows):
        ends = add_months(rows["start_date"], rows["to_month"])
        rows = rows[ends - DAY > since]
    served = rows[rows["rep"] != ""]
    return served.reset_index(drop=True)


def last_year(panel: Panel, cutoff: dt.date | pd.Timestamp) -> pd.DataFrame:
    """The rows of `rep_rows` that ended in the twelve months to the cut-off."""
    after = pd.Timestamp(cutoff) + DAY
    year = after - pd.DateOffset(months=YEAR)
    return rep_rows(panel, since=year - DAY)


def reps(panel: Panel, *, unknown: str = CLIENT) -> pd.DataFrame:
    """Each rep's funnel row (`funnel`): ends by choice over those expected, over all months on
    record.
    """
    opportunities = rep_rows(panel, unknown=unknown)
    table = ends_over_expected(opportunities, "rep")
    return named(funnel(table["observed"], table["expected"])) if len(table) else table


def named(table: pd.DataFrame) -> pd.DataFrame:
    """The funnel rows with `named`: whose clients leave more than luck explains, all compared reps
    looked at together.

    One-sided, each rep against all others (exact: of the ends of both, the share that falls to the
    rep), shrunk where reps spread more than luck; Benjamini-Hochberg at 5 %: of equal reps one is
    named in at most 5 % of agencies.
    """
    ranked = table[~table["few"]]
    if ranked.empty:
        return table.assign(named=False)
    ends = ranked["observed"].to_numpy()
    due = ranked["expected"].to_numpy()
    others = table["observed"].sum() - ends
    share = due / (due + others)
    chance = stats.binom.sf(ends - 1, ends + others, share)
    ends_ = table["observed"].to_numpy()
    spread = over_dispersion(ends_, table["expected"].to_numpy())
    deviation = stats.norm.isf(chance) / np.sqrt(spread)
    chance = stats.norm.sf(deviation)
    tests = multipletests(chance, alpha=NAMED, method="fdr_bh")
    found = tests[0]
    flagged = pd.Series(found, ranked.index)
    return table.assign(named=flagged.reindex(table.index, fill_value=False))


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
    lately = ends_over_expected(last_year(panel, cutoff), "rep")
    year = lately.astype(float)
    ratio = year["observed"] / year["expected"]
    table["year"] = ratio.where(year["expected"] >= 5)
    now = owners[owners["owner"] != ""]
    present = table.index.isin(now["owner"])
    table = table[present]
    if table.empty:  # nobody who serves clients now has served long enough
        return table
    lately_asked = nps.recent(in_charge(waves, panel), cutoff, HALF)
    scores = nps.tally(lately_asked, "rep")
    for name, column in (
        ("nps", "nps"),
        ("nps_low", "low"),
        ("nps_high", "high"),
        ("answered", "answered"),
    ):
        table[name] = scores.get(column, np.nan)
    by_owner = now.groupby("owner")
    table["clients"] = by_owner.size()
    single = single_clients(panel, now, waves, cutoff)
    by_owner_results = single.groupby("owner")["results"]
    return table.assign(results=by_owner_results.mean())


def reading(table: pd.DataFrame) -> np.ndarray:
    """What the review says of each rep, as ids: `FEW`, `HELP`, `LOOK`, `LEARN` or `LUCK`."""
    more = table["ratio"] > 1
    cases = [
        table["few"],
        table["beyond"] & more,
        table["unusual"] & more,
        table["beyond"] | table["unusual"],
    ]
    words = [FEW, HELP, LOOK, LEARN]
    return np.select(cases, words, LUCK)


def review_list(table: pd.DataFrame, names: pd.Series) -> pd.DataFrame:
    """The review as an account lead reads it, a row a rep; columns with nothing in them are left
    out.

    Whoever has under five expected ends is not ranked.
    """
    if table.empty:
        return pd.DataFrame()
    few = table["few"]
    rows = {
        "rep": [names.get(who, who) for who in table.index],
        "clients_now": table["clients"],
        "ends_by_choice": table["observed"],
        "expected": table["expected"],
        "over_expected": table["ratio"].mask(few),
        "interval": [_interval_words(row) for row in table.itertuples()],
        "allowing_for_luck": table["shrunk"].mask(few),
        "last_year": table["year"],
        "nps_half_year": [_score_words(row) for row in table.itertuples()],
        "results_sd": table["results"],
        "reading": [say(f"service.reading.{name}") for name in reading(table)],
    }
    frame = pd.DataFrame(rows)
    return frame.dropna(axis=1, how="all")


def _interval_words(row: Any) -> str:
    """The interval of ends over expected; a dash where too few were expected."""
    if row.few:
        return DASH
    return Shown(say("service.review.interval", low=row.low, high=row.high), row.ratio)


def _score_words(row: Any) -> str:
    """The score of half a year with its interval; a dash where nobody answered."""
    if not row.answered > 0:
        return DASH
    low, high = round(row.nps_low), round(row.nps_high)
    words = say("service.review.score", nps=round(row.nps), low=low, high=high)
    return Shown(words, row.nps)


def shown(table: pd.DataFrame, names: pd.Series) -> pd.DataFrame:
    """The funnel's rows by name, for a picture; of whom under one end was expected is left out."""
    return (
        table[table["expected"] >= 1].rename(index=lambda who: names.get(who, who))
        if len(table)
        else table
    )


def funnel_words(table: pd.DataFrame) -> Said:
    """The funnel of `shown` in words, for those who cannot see it."""
    if table.empty:
        return say("service.funnel.none")
    reps_ = [
        say("service.funnel.rep", rep=who, ratio=row.ratio, expected=row.expected)
        for who, row in table.iterrows()
    ]
    return say("service.funnel.alt", reps="; ".join(reps_))


def help_words(table: pd.DataFrame, names: pd.Series) -> Finding:
    """Which rep needs help, in sentences: what its clients do beyond luck, and what its lot is."""
    if table.empty:
        return Finding("C5", say("service.help.not_comparable"))
    ranked = table[~table["few"]]
    if ranked.empty:
        return Finding("C5", say("service.help.too_few"), "headline")
    worse = ranked[ranked["named"]]
    if worse.empty:
        text = say("service.help.nobody", reps=len(ranked))
        return Finding("C5", text, "headline")
    lead = say("service.help.lead", named=len(worse), reps=len(table))
    parts = [lead]
    for who, row in worse.iterrows():
        rep = names.get(who, who)
        left, expected = row["observed"], row["expected"]
        parts.append(say("service.help.ends", rep=rep, left=left, expected=expected))
        parts += lot_words(row, ranked)
    parts.append(say("service.help.luck", chance=NAMED))
    return Finding("C5", together(*parts), "headline")


def lot_words(row: pd.Series, others: pd.DataFrame) -> list[Said]:
    """What of a rep's lot is harder or not than that of the others: what to look at before the
    person.

    `row` of `review`; `others`: all that can be compared.
    """
    typical = others["clients"].median()
    results = row["results"]
    text = say("service.lot.clients", clients=row["clients"], typical=typical)
    parts = [text]
    if np.isfinite(results):
        how = "worse" if results < -HARDER else "better" if results > HARDER else "alike"
        parts.append(say(f"service.lot.{how}"))
    many = typical * (1 + HARDER)
    harder = row["clients"] > many or results < -HARDER
    parts.append(say("service.lot.accounts_first" if harder else "service.lot.ask"))
    return parts


def rep_months(panel: Panel, waves: pd.DataFrame, months: int = HALF) -> pd.DataFrame:
    """NPS and retention of each rep in each of the last months on record: a row a rep and month,
    newest month first.

    `rep, month, clients` (served by the rep the lag before), `left`, `answered, nps, low, high` (by
    the rep in charge when the client was invited).
    """
    rows = rep_rows(panel)
    if rows.empty:
        return pd.DataFrame()
    ends = add_months(rows["start_date"], rows["to_month"])
    last = ends - DAY
    number = month_of(last)
    lately = number > number.max() - months
    rows = rows[lately].assign(month=last[lately].dt.to_period("M"))
    served = rows.groupby(["rep", "month"]).agg(
        clients=("client_id", "nunique"), left=("left", "sum")
    )
    waves = waves[waves["wave"] >= rows["month"].min()] if len(waves) else waves
    by_month = in_charge(waves, panel).rename(columns={"wave": "month"})
    answers = nps.tally(by_month, ["rep", "month"])
    columns = answers[["answered", "nps", "low", "high"]]
    table = served.join(columns, how="left")
    order = ["month", "rep"]
    return table.reset_index().sort_values(
        order, ascending=[False, True], kind="stable", ignore_index=True
    )


def with_rep(waves: pd.DataFrame, panel: Panel) -> pd.DataFrame:
    """All waves, each with the `rep` of `in_charge`, "" where nobody is known."""
    answered = in_charge(waves, panel)
    known = answered.drop_duplicates(["client_id", "wave"], keep="last")
    kept = waves.drop(columns=["rep"], errors="ignore")
    columns = known[["client_id", "wave", "rep"]]
    rows = kept.merge(columns, on=["client_id", "wave"], how="left")
    return rows.assign(rep=rows["rep"].fillna(""))


def in_charge(waves: pd.DataFrame, panel: Panel) -> pd.DataFrame:
    """The waves with the `rep` that the survey names, else the one in charge that month; those
    without are left out.
    """
    who = panel.spells[["client_id", "start_date", "end_date"]].assign(
        row=np.arange(len(panel.spells))
    )
    without = waves.drop(columns=["rep"], errors="ignore")
    at = without.merge(who, on="client_id")
    after_end = ~(at["invited_on"] > at["end_date"])
    at = at[(at["invited_on"] >= at["start_date"]) & after_end]
    month = np.minimum(
        whole_months(at["start_date"], at["invited_on"]).to_numpy(int), panel.rep.shape[1] - 1
    )
    in_month = panel.rep[at["row"].to_numpy(int), month]
    rep = pd.Series(in_month, at.index)
    at = at.assign(rep=at["rep_id"].astype(object).fillna(rep) if "rep_id" in at else rep)
    known = at[at["rep"] != ""]
    return known.reset_index(drop=True)


def months_list(table: pd.DataFrame, names: pd.Series, months: int = 4) -> pd.DataFrame:
    """The last months of `rep_months` as readers see them, a row a rep and a column a month, newest
    first.
    """
    if table.empty:
        return pd.DataFrame()
    cells_words = [_month_words(row) for row in table.itertuples()]
    cells = table.assign(words=cells_words)
    wide = cells.pivot(index="rep", columns="month", values="words")
    newest_first = wide.sort_index(axis=1, ascending=False)
    wide = newest_first.iloc[:, :months]
    # Who serves nobody any more is no part of a month's review.
    newest = wide.iloc[:, 0].notna()
    wide = wide[newest].fillna(DASH)
    wide.columns = [month.strftime("%b\u00a0%Y") for month in wide.columns]
    return wide.rename(index=lambda who: names.get(who, who)).rename_axis("rep").reset_index()


def _month_words(row: Any) -> Said:
    """A rep's month: how many clients were kept, and the score where anybody answered."""
    stayed = row.clients - row.left
    kept = say("service.months.kept", kept=stayed, clients=row.clients)
    if not row.answered > 0:
        return Shown(kept, math.nan)
    answered = int(row.answered)
    words = say("service.months.cell", nps=round(row.nps), answered=answered, kept=kept)
    return Shown(words, row.nps)


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
    latest = nps.latest(waves).set_index("client_id")
    scores = table["client_id"].map(latest["nps"])
    table["nps"] = scores.astype(float)
    days = table["client_id"].map(latest["answered_on"])
    answered = pd.to_datetime(days)
    table["age_days"] = (cutoff - answered).dt.days
    in_order = table.sort_values("results", kind="stable")
    return in_order.reset_index(drop=True)


def _last_known(values: np.ndarray, count: int) -> float:
    """The mean of the last known values, of at most half a year; NaN where none is known."""
    unknown = np.isnan(values[-HALF:])
    known = values[-HALF:][~unknown]
    return float(known[-count:].mean()) if known.size else np.nan


def single_list(table: pd.DataFrame, names: pd.Series, most: int = 12) -> pd.DataFrame:
    """The clients with the worst results as readers see them; empty where no results are known."""
    known = table["results"].notna()
    rows = table[known].head(most)
    names_shown = [names.get(who, who) for who in rows["owner"]]
    return pd.DataFrame(
        {
            "client": rows["client"],
            "rep": names_shown,
            "months_with_rep": rows["with_rep"],
            "results_sd": rows["results"],
            "rep_rating": rows["liking"],
            "nps_answer": rows["nps"],
            "age_days": rows["age_days"],
        }
    )
