"""The one place that decides what is done about each client: at most one action, by a stated order
(D2 to D11).

Every list has the columns of `COLUMNS`, whoever made it; a client gets the first action, in the
order of `ACTIONS`, on whose list it stands. Nobody is listed to be let go whose case the team's own
work may explain, or where nobody could look into that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from retention.data.schema import write_csv
from retention.history import clients_now
from retention.history.clients_now import client_names
from retention.history.spells import AGENCY, CLIENT, NEUTRAL
from retention.lists import service
from retention.portfolio.book import Book
from retention.portfolio.debts import arrears, usual_invoice
from retention.portfolio.evidence import ABUSE, DEBTOR, HOPELESS, KIND, NOTED, NOTED_BY, people
from retention.portfolio.margins import MULTIPLES, RAISE, REMEDIES, worsening, worth_staying
from retention.results import Finding, Findings
from retention.service import nps
from retention.settings import study_plan

ACTIONS: Mapping[str, str] = study_plan()["actions"]  # in the order of the decision
(
    HAND_OVER,
    AT_ONCE,
    MEND,
    LET_GO,
    REPRICE,
    TERMS,
    SAVE,
    CARE,
    COLLECT,
    TOUCH,
    REFERRAL,
    RAISE_FEE,
) = ACTIONS
WHOSE = {CLIENT: "its own choice", AGENCY: "your choice", NEUTRAL: "nobody's choice"}
COSTLY = (AT_ONCE, MEND, LET_GO, REPRICE)
COLUMNS = ["client_id", "reason", "evidence", "owner", "act_by"]
NONE, WEEK, FORTNIGHT = (
    "none",
    7,
    14,
)  # (ours) days to act on what cannot wait, and on what should not
NEEDS: Mapping[str, Sequence[str]] = study_plan()["needs"]
QUIET = "nothing on this page calls for action"
OF_NOTES, OF_MONEY = (
    ("results", "rep", "response"),
    ("hours",),
)  # what may explain a note, and what may a cost
# Lists that go with each other and with any action; with a farewell only the debt does.
TOGETHER = (SAVE, CARE, COLLECT, TOUCH)
FAREWELLS = (HAND_OVER, AT_ONCE, LET_GO)
Lists = Mapping[str, pd.DataFrame]


def decide(rows: pd.DataFrame, lists: Lists, otherwise: pd.Series | None = None) -> pd.DataFrame:
    """Each client's one action, or the reason for none: a row for each of `rows`, in the order of
    `ACTIONS`.

    Columns: `client_id, client, action` (`none` where there is none), then those of the lists.
    Clients of the lists that are not among `rows` are passed over; `otherwise` (index `client_id`)
    is the reason given for none. ValueError for an unknown list.
    """
    if unknown := sorted(set(lists) - set(ACTIONS)):
        raise ValueError(f"no such action: {', '.join(unknown)}; there are {', '.join(ACTIONS)}")
    chosen = [
        lists[name][COLUMNS].assign(action=name)
        for name in ACTIONS
        if name in lists and len(lists[name])
    ]
    every = pd.concat(chosen) if chosen else pd.DataFrame(columns=[*COLUMNS, "action"])
    every["act_by"] = pd.to_datetime(every["act_by"]).dt.strftime("%Y-%m-%d")
    every = _with_what_else(every)
    table = rows[["client_id"]].assign(client=client_names(rows))
    table = table.merge(every.drop_duplicates("client_id"), on="client_id", how="left")
    none = table["client_id"].map({} if otherwise is None else otherwise).fillna(QUIET)
    table = table.assign(
        action=table["action"].fillna(NONE), reason=table["reason"].fillna(none)
    ).fillna("")
    rank = table["action"].map({name: k for k, name in enumerate([*ACTIONS, NONE])})
    order = table.assign(rank=rank).sort_values(["rank", "act_by", "client_id"], kind="stable")
    return order[["client_id", "client", "action", *COLUMNS[1:]]].reset_index(drop=True)


def _with_what_else(every: pd.DataFrame) -> pd.DataFrame:
    """The lists one under the other, each client's first row with what else is to be done, and by
    the earliest day.
    """
    together = every[every["action"].isin(TOGETHER)]
    first = every.drop_duplicates("client_id").set_index("client_id")
    others = together[
        together["action"].to_numpy() != first["action"].reindex(together["client_id"]).to_numpy()
    ]
    parting = first["action"].reindex(others["client_id"]).isin(FAREWELLS).to_numpy()
    others = others[~parting | others["action"].eq(COLLECT).to_numpy()]
    also = (
        ("; also " + others["action"] + ": " + others["reason"])
        .groupby(others["client_id"])
        .agg("".join)
    )
    soonest = together.groupby("client_id")["act_by"].min()
    first["reason"] = first["reason"] + also.reindex(first.index).fillna("")
    mine = first["action"].isin(TOGETHER)
    first["act_by"] = first["act_by"].mask(mine, soonest.reindex(first.index))
    return first.reset_index()


def fair(
    listed: pd.DataFrame,
    book: Book,
    looks: Sequence[str],
    nothing: str = "no results, ratings or answer times to look at",
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A list of clients held to be the problem, less those who go to `MEND` instead; and these
    (D9).

    They are the ones whose case the team's own work may explain by one of the `looks`
    (`evidence.fairness`), and those where `nothing` of it could be looked at.
    """
    own = book.fairness.reindex(index=listed["client_id"], columns=list(looks))
    unseen = own.isna().all(axis=1).to_numpy()
    words = own.fillna("").to_numpy(object)
    why = np.where(unseen, nothing, ["; ".join(filter(None, row)) for row in words])
    ours = unseen | (words != "").any(axis=1)
    held = [f"held against it: {reason.split('; ')[0]}" for reason in listed["reason"]]
    mine = listed.assign(
        reason=held, evidence=why, act_by=book.cutoff + pd.Timedelta(days=FORTNIGHT)
    )
    return listed[~ours].reset_index(drop=True), mine[ours].reset_index(drop=True)


def own_lists(
    book: Book, risks: pd.DataFrame | None = None, others: Lists | None = None
) -> dict[str, pd.DataFrame]:
    """The lists that follow from the book, and from the scores where there are any; each case put
    to `fair` first.

    `others` are lists made elsewhere (of whom to care for, whom to ask for a referral), owners by
    id. Who costs too much is to pay another price whatever the team's part in it, and is not let go
    before that is mended; of whom nothing is noted, that part is the hours alone.
    """
    abuse, ours = fair(_abuse(book), book, OF_NOTES)
    unfit, ours_too = fair(_unfit(book), book, OF_NOTES)
    beyond = _beyond_mending(book)
    noted = beyond["client_id"].isin(book.lately["client_id"])
    costly, ours_as_well = fair(
        beyond[~noted], book, OF_MONEY, "no other rep's hours at like fees to look at"
    )
    costly_too, ours_of_these = fair(beyond[noted], book, (*OF_NOTES, *OF_MONEY))
    costly = _joined(costly, costly_too)
    ours_as_well = _joined(ours_as_well, ours_of_these)
    first = "; not to let go before our part is mended: " + ours_as_well.set_index("client_id")[
        "evidence"
    ].astype(str)
    reprice = _to_reprice(book)
    reprice["evidence"] = reprice["evidence"] + reprice["client_id"].map(first).fillna("")
    pays = unfit["client_id"].isin(book.told.index[book.told["low"] > 0])
    lists = {
        HAND_OVER: _leaving(book),
        AT_ONCE: abuse,
        MEND: _joined(ours, ours_too),
        LET_GO: _joined(costly, unfit[~pays]),
        REPRICE: reprice,
        TERMS: _on_terms(unfit[pays], book),
        SAVE: _at_risk(book, risks),
        COLLECT: _debts(book),
        RAISE_FEE: _to_raise(book),
    }
    for name, made in (others or {}).items():
        owner = people(made["owner"], book.known)
        words = made["client_id"].map(book.owner_words).fillna("")
        lists[name] = made[COLUMNS].assign(owner=owner.mask(owner == "", words))
    return {
        name: listed.drop_duplicates("client_id").reset_index(drop=True)
        for name, listed in lists.items()
    }


def of_service(study: Any) -> dict[str, pd.DataFrame]:
    """The lists of 07_service that are actions: care (C4), who has waited too long (C7, C8),
    referrals (C3).
    """
    last = pd.Timestamp(study.cutoff)
    panel = study.panel
    waves = nps.waves(study.known("surveys"), study.settings.scales.nps)
    clients = clients_now.present(panel, last)
    stand = clients_now.standing(study.snapshots)
    asked = service.last_asked(study.spells, study.known("leads"))
    care = service.care_list(clients, waves, last, stand=stand)
    late = service.overdue_list(clients, study.known("meetings"), last)
    return {
        CARE: care,
        TOUCH: late,
        REFERRAL: service.referral_list(clients, waves, last, asked=asked, stand=stand),
    }


def _joined(*lists: pd.DataFrame) -> pd.DataFrame:
    """The lists one under the other; an empty one has no types to bring in."""
    return pd.concat([listed for listed in lists if len(listed)] or lists[:1], ignore_index=True)


def _listed(
    book: Book, clients: Any, reason: Any, why: Any, act_by: Any, noticed: bool = False
) -> pd.DataFrame:
    """A list of clients, only those under way and (unless told) not under notice, with their reps
    as owners.
    """
    table = pd.DataFrame(
        {"client_id": clients, "reason": reason, "evidence": why, "act_by": act_by}
    )
    table["owner"] = table["client_id"].map(book.owner_words).fillna("")
    here = book.rows.loc[book.rows["noticed"].eq(noticed), "client_id"]
    return table[table["client_id"].isin(here)][COLUMNS].reset_index(drop=True)


def _leaving(book: Book) -> pd.DataFrame:
    """Clients whose end is on record and still to come: the team is to be moved, the work handed
    over.
    """
    rows = book.rows
    who = rows["end_kind"].map(WHOSE).fillna("whose choice is not on record")
    decided = "decided " + rows["decision_date"].dt.strftime(service.DATED)
    return _listed(
        book, rows["client_id"], "leaves: " + who, decided, rows["end_date"], noticed=True
    )


def _noted(found: pd.DataFrame) -> pd.DataFrame:
    """Evidence by client: `what` and `evidence` in words, newest first, and on how many `days` it
    was noted.
    """
    newest = found.sort_values(["noted_on", "what"], ascending=[False, True])
    by = newest["evidence"].where(newest["evidence"] != NOTED_BY, "noted " + newest["what"])
    said = (by + ", " + newest["noted_on"].dt.strftime(service.DATED)).groupby(newest["client_id"])
    what = newest.groupby("client_id")["what"].agg(lambda x: ", ".join(dict.fromkeys(x)))
    days = newest.groupby("client_id")["noted_on"].nunique()
    return pd.DataFrame({"what": what, "said": said.agg("; ".join), "days": days})


def _abuse(book: Book) -> pd.DataFrame:
    """Severe abuse noted lately, and debts that grow month by month: to part at once (D5)."""
    found = book.lately
    severe = found["severity"].fillna(5) >= book.limits["abuse_severity"]
    debts = found["what"].eq(DEBTOR) & found["evidence"].ne(NOTED_BY)
    told = _noted(found[found["group"].eq(ABUSE) & severe | debts])
    return _listed(
        book, told.index, told["what"], told["said"], book.cutoff + pd.Timedelta(days=WEEK)
    )


def _unfit(book: Book) -> pd.DataFrame:
    """Kinds to avoid and hopeless causes, where more than one day speaks for it (D8, D11)."""
    told = _noted(book.lately[book.lately["group"].isin([KIND, HOPELESS])])
    told = told[told["days"] >= book.limits["fit_evidence"]].join(book.ends)
    last = "; last day " + told["ends_on"].dt.strftime(service.DATED)
    return _listed(
        book,
        told.index,
        "does not fit (" + told["what"] + ")" + last,
        told["said"],
        told["notice_by"],
    )


def _on_terms(listed: pd.DataFrame, book: Book) -> pd.DataFrame:
    """The same clients where they pay well for their hours: what to agree on instead of parting."""
    found = book.lately[book.lately["group"].isin([KIND, HOPELESS])]
    rule = (
        found["what"]
        .str.casefold()
        .map(lambda what: NOTED[what]["agree"])
        .groupby(found["client_id"])
    )
    told = rule.agg(lambda rules: "; ".join(dict.fromkeys(rules)))
    return listed.assign(
        reason="it pays for its hours; agree on " + listed["client_id"].map(told).astype(str)
    )


def _why_costly(own: pd.DataFrame) -> list[str]:
    return [
        f"pays {r.fee:,.0f}, takes {r.cost:,.0f} a month ({r.months} months); {r.cause}"
        for r in own.itertuples()
    ]


def _still_short(own: pd.DataFrame) -> pd.Series:
    """The money a month that is still short when everything but a raise has been done."""
    others = own[[name for name in REMEDIES if name != RAISE]].sum(axis=1)
    return (own["shortfall"] - others).clip(lower=0)


def _raise_needed(own: pd.DataFrame) -> pd.Series:
    """The same as a share of the fee; infinite where something is short and no fee is paid."""
    short = _still_short(own)
    share = short / own["fee"].where(own["fee"] > 0)
    return share.fillna(np.inf).where(short > 0, 0.0)


def _offer(fee: float, cost: float) -> str:
    """What to offer a client before parting: fewer hours, or a fee that pays for them."""
    if fee <= 0:  # of nothing, no multiple
        return f"it pays nothing; offer {cost:,.0f} a month"
    hours = f"{fee / cost:.0%} of the hours"
    times = f"{cost / fee:.1f} times"
    return f"offer a scope of {hours}, or {cost:,.0f} a month ({times})"


def _beyond_mending(book: Book) -> pd.DataFrame:
    """Clients who surely cost more than they pay, whom neither the remedies nor a fair raise would
    mend (D3, D5).
    """
    own = book.told.join(book.mending, how="inner").join(book.ends)
    own = own[(own["high"] < 0) & (_raise_needed(own) > book.limits["most_raise"])]
    reason = [
        f"costs {r.shortfall:,.0f} a month more than it pays, and remedies bring "
        f"{r.recovered:,.0f}; "
        f"{_offer(r.fee, r.cost)}; else part on {r.ends_on:{service.DATED}}"
        for r in own.itertuples()
    ]
    return _listed(book, own.index, reason, _why_costly(own), own["notice_by"])


def _to_reprice(book: Book) -> pd.DataFrame:
    """Clients who cost more than they pay, with the remedies that fit and the fee to ask for (D4).

    A price is asked for by the day of notice; what the contract leaves to us is done within a
    fortnight.
    """
    own = book.told.join(book.mending, how="inner").join(book.ends)
    own = own.assign(
        short=_still_short(own),
        needed=_raise_needed(own),
        soon=book.cutoff + pd.Timedelta(days=FORTNIGHT),
    )
    reason = []
    ours = []
    for row in own.to_dict("records"):
        fits = [
            f"{words} ({row[name]:,.0f})"
            for name, words in REMEDIES.items()
            if row[name] >= 0.5 and name != RAISE
        ]
        ours.append(bool(fits))
        if row["needed"] > 0:
            share = f" ({row['needed']:+.0%})" if np.isfinite(row["needed"]) else ""
            price = f"ask {row['fee'] + row['short']:,.0f} a month{share}"
            fits.append(price + f" by {row['notice_by']:{service.DATED}}" * bool(fits))
        reason.append(f"costs {row['shortfall']:,.0f} a month more than it pays; {', '.join(fits)}")
    act_by = own["notice_by"].where(~np.array(ours, bool), own[["notice_by", "soon"]].min(axis=1))
    return _listed(book, own.index, reason, _why_costly(own), act_by)


def _at_risk(book: Book, risks: pd.DataFrame | None) -> pd.DataFrame:
    """The clients of the scores whom the team has time for."""
    rows = (
        pd.DataFrame(columns=["client_id", "reasons", "act_by"])
        if risks is None or risks.empty
        else risks
    )
    rows = rows[rows["contact"] == "yes"] if len(rows) else rows
    reason = [
        f"{r.risk:.0%} likely to leave ({r.low:.0%} to {r.high:.0%})" for r in rows.itertuples()
    ]
    return _listed(
        book,
        rows["client_id"].to_numpy(),
        reason,
        rows["reasons"].to_numpy(),
        rows["act_by"].to_numpy(),
    )


def _debts(book: Book) -> pd.DataFrame:
    """Clients who owe more than so many invoices overdue (D5, D8)."""
    owed = arrears(book.known, [book.cutoff]).sum(axis=1)
    usual = usual_invoice(book.known).reindex(owed.index)
    due = owed[(owed > 0) & (owed >= book.limits["debtor_fees"] * usual)]
    reason = [_owes(owed, usual[client]) for client, owed in due.items()]
    return _listed(
        book, due.index, reason, "invoices and payments", book.cutoff + pd.Timedelta(days=WEEK)
    )


def _owes(owed: float, usual: float) -> str:
    """What is owed, in money and in invoices of the usual amount where that is more than 0."""
    invoices = f", {owed / usual:.1f} invoices" if usual > 0 else ""
    return f"owes {owed:,.0f} overdue{invoices}"


def _to_raise(book: Book) -> pd.DataFrame:
    """Clients whose fee has stood for a year or more, by the day to have agreed on a new one
    (D4).
    """
    fees = "fee_pct" in book.known.get("contracts", {})
    months = book.unraised[(book.unraised >= book.limits["raise_months"]) & fees]
    reason = [f"its fee has stood for {count} months" for count in months]
    return _listed(
        book,
        months.index,
        reason,
        "contracts",
        book.ends["notice_by"].reindex(months.index).to_numpy(),
    )


def why_nothing(book: Book) -> pd.Series:
    """What is known of each client, as the reason for doing nothing where no list holds it; index
    `client_id`.
    """
    margin = book.told["margin"].reindex(book.rows["client_id"])
    told = [
        f"it leaves {m:,.0f} a month" if m == m else "what it costs is not known" for m in margin
    ]
    return pd.Series(told, margin.index) + f"; {QUIET}"


def first_words(table: pd.DataFrame, book: Book, currency: str = "") -> Finding:
    """Who costs money and what to do about each, by when, in a sentence for an owner."""
    under = book.told[book.told["margin"] < 0]
    counts = table["action"].value_counts()
    costly = (
        f"{len(under)} cost more than they pay, together {-under['margin'].sum():,.0f} {currency}"
    ).rstrip()
    costly += f" a month; of {(under['high'] < 0).sum()} that is sure"
    told = f"of the {len(book.told)} whose fees and hours are known for long enough, {costly}."
    if book.told.empty:
        told = (
            "which of them cost money cannot be told without fees by month, and hours with "
            "what they cost."
        )
    named = [f"{name}: {counts[name]}" for name in COSTLY if name in counts]
    first = pd.to_datetime(table.loc[table["action"].isin(COSTLY), "act_by"]).min()
    what = (
        f" What to do: {'; '.join(named)}; the first by {first:{service.DATED}}." if named else ""
    )
    return Finding("D3", f"{len(book.rows):,} clients are under way; {told}{what}", "headline")


def shown(table: pd.DataFrame, actions: Sequence[str] = tuple(ACTIONS)) -> pd.DataFrame:
    """The clients of these actions as a team reads them."""
    rows = table.loc[
        table["action"].isin(actions), ["client", "action", "act_by", "owner", "reason", "evidence"]
    ]
    rows = rows.assign(
        action=rows["action"].str.replace(" ", "\u00a0"), act_by=pd.to_datetime(rows["act_by"])
    )
    return _dated(rows).set_axis(["Client", "To do", "By", "Who", "Why", "Evidence"], axis=1)


def counts(table: pd.DataFrame) -> pd.DataFrame:
    """How many clients get each action, in the order of the decision, and what it stands for."""
    about = {**ACTIONS, NONE: QUIET}
    found = table["action"].value_counts()
    rows = [(name, found[name], words) for name, words in about.items() if name in found]
    return pd.DataFrame(rows, columns=["To do", "Clients", "When"])


def lacking(tables: Mapping[str, pd.DataFrame]) -> Findings:
    """What the records lack, and what adding it would answer; nothing where all is there."""
    have = {
        f"{name}.{column}"
        for name, rows in tables.items()
        for column in rows
        if rows[column].notna().any()
    }
    told = {what: [need for need in needs if need not in have] for what, needs in NEEDS.items()}
    texts = [
        f"Not on record: {', '.join(gone)}. It would tell {what}."
        for what, gone in told.items()
        if gone
    ]
    return Findings(
        tuple(Finding("D", text) for text in texts), "Every table that this page reads is there."
    )


def save(table: pd.DataFrame, out_dir: str) -> None:
    """Write the decision, and a list for each action of those who got it, into `lists/` of a run;
    else nothing.
    """
    if not out_dir:
        return
    folder = Path(out_dir) / "lists"
    folder.mkdir(exist_ok=True)
    write_csv(table, folder / "portfolio.csv")
    for name, own in table[table["action"] != NONE].groupby("action"):
        write_csv(own.drop(columns="action"), folder / f"{str(name).replace(' ', '_')}.csv")


PRICES = dict.fromkeys(
    ("fee", "cost", "usual_margin", *(f"{m:g} times" for m in MULTIPLES)), ",.0f"
)
SUNK = dict.fromkeys(("first", "second", "third", "sunk"), ",.0f")


def parting(table: pd.DataFrame, book: Book) -> pd.DataFrame:
    """Clients to let go with today's fee, what they take, and the prices worth staying at (D5)."""
    own = table.loc[table["action"].isin([AT_ONCE, LET_GO]), ["client_id", "client"]].set_index(
        "client_id"
    )
    prices = book.told.join(worth_staying(book.told))[list(PRICES)]
    return _dated(own.join(prices).join(book.ends))


def _dated(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with their days as readers see them."""
    days = rows.select_dtypes("datetime").apply(lambda day: day.dt.strftime(service.DATED))
    return rows.assign(**days).reset_index(drop=True)


def written_off(book: Book) -> pd.DataFrame:
    """Work that only gets worse, by client, with the mean margin of three stretches and what it
    cost (D5).
    """
    found = worsening(book.money, book.rows, book.limits)
    return found.set_axis(found.index.map(book.names).rename("client")).reset_index()


def noted(book: Book) -> pd.DataFrame:
    """The evidence that still counts, newest first, as readers see it."""
    rows = book.lately.sort_values(["noted_on", "client_id"], ascending=[False, True])
    rows = rows.assign(
        client=rows["client_id"].map(book.names), rep=people(rows["rep_id"], book.known)
    )
    return _dated(rows[["client", "what", "group", "noted_on", "evidence", "rep"]])


def stood(table: pd.DataFrame, lists: Lists) -> pd.DataFrame:
    """Clients whose fee has stood for a year or more, whatever is to be done about them first
    (D4).
    """
    rows = (
        lists[RAISE_FEE]
        .merge(table[["client_id", "client", "action"]], on="client_id")
        .sort_values("act_by")
    )
    return _dated(
        rows[["client", "reason", "act_by", "action"]].rename(columns={"action": "to_do_first"})
    )


def our_part(book: Book) -> pd.DataFrame:
    """What the check finds in the work of reps now in charge (D9), and how many clients they
    serve.
    """
    clients = book.owners.value_counts()
    words = book.team.reindex(clients.index).fillna("")
    told = [". ".join(part.strip() for part in row if part) for row in words.to_numpy()]
    rows = pd.DataFrame(
        {
            "Rep": people(clients.index.to_series(), book.known),
            "Clients": clients,
            "What stands out": told,
        }
    )
    return rows[rows["What stands out"] != ""].sort_values("Rep", ignore_index=True)


def thresholds(book: Book) -> pd.DataFrame:
    """Every threshold that this page decides by: its value, the study's row, and why."""
    plan = study_plan()["portfolio"]
    rows = [
        (name, book.limits[name], about["value"], about["study"], about["why"])
        for name, about in plan.items()
    ]
    return pd.DataFrame(rows, columns=["threshold", "in force", "default", "study", "what it is"])
