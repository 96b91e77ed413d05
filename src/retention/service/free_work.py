"""What follows free work: later requests, and what it costs the margin (C9)."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from retention.contrast import Z95
from retention.history.clients_now import yes
from retention.history.in_charge import last_rep
from retention.history.panel import Panel
from retention.history.spells import DAY, add_months
from retention.results import ALL, Estimate, Estimates
from retention.service.contact import newest_by, served_months
from retention.service.loyalty import mean_of
from retention.stats.intervals import Weights, leaving_out
from retention.words import say


def month_pairs(panel: Panel, requests: pd.DataFrame) -> pd.DataFrame:
    """A row a month of service followed by another: `client_id, kind` of out-of-scope work in it,
    `later` requests.

    `kind`: free (some done for nothing), charged (all of it billed) or none. Months before the
    first request on record are left out.
    """
    at = served_months(panel)
    day = "requested_on"
    months = at["month"] - 1
    opens = add_months(at["start_date"], months)
    seen = opens >= requests[day].min()
    at, before = (
        at[seen].reset_index(drop=True),
        at.assign(day=opens - DAY)[seen].reset_index(drop=True),
    )
    outside = ~yes(requests["in_scope"], True)
    billed = yes(requests["billed"])
    kinds = {
        "free": requests[outside & ~billed],
        "charged": requests[outside & billed],
        "all": requests,
    }
    n = {
        kind: newest_by(at, rows, day)["n"] - newest_by(before, rows, day)["n"]
        for kind, rows in kinds.items()
    }
    conditions = [n["free"] > 0, n["charged"] > 0]
    kind = np.select(conditions, ["free", "charged"], "none")
    return (
        at[["client_id"]]
        .assign(kind=kind, later=n["all"].groupby(at["row"]).shift(-1))
        .dropna(subset=["later"])
    )


def within_ratio(pairs: pd.DataFrame, first: str, second: str) -> tuple[float, float, int]:
    """Log ratio of requests in the month after, `first` over `second` within the same client, its
    SE, and clients.

    Mantel and Haenszel over clients; the standard error by client (delta method). NaN where no
    client has both.
    """
    both = _within(pairs, first, second)
    over = both["over"]
    under = both["under"]
    if not over.sum() or not under.sum():
        return math.nan, math.nan, len(both)
    share_over = over / over.sum()
    parts = share_over - under / under.sum()
    error = float(np.sqrt((parts**2).sum()))
    return math.log(over.sum() / under.sum()), error, len(both)


def _within(pairs: pd.DataFrame, first: str, second: str) -> pd.DataFrame:
    """What each client who has both adds to Mantel and Haenszel's sums: `over` and `under`, index
    client_id.
    """
    key = ["client_id", "kind"]
    by_client = pairs.groupby(key)["later"]
    sums, months = (
        table.unstack().reindex(columns=[first, second]).dropna()
        for table in (by_client.sum(), by_client.size())
    )
    totals = months.sum(axis=1)
    share = months.div(totals, axis=0)
    weighted_over = sums[first] * share[second]
    return pd.DataFrame({"over": weighted_over, "under": sums[second] * share[first]})


def _reach_by_rep(pairs: pd.DataFrame, first: str, second: str, spells: pd.DataFrame) -> float:
    """How far the interval of the log of `within_ratio` goes to either side as each rep's clients
    are left out.
    """
    both = _within(pairs, first, second)
    once = np.ones((1, len(both)))
    weights = Weights.of_rows(once, last_rep(spells, both.index))
    with np.errstate(divide="ignore", invalid="ignore"):
        total_over = weights @ both["over"].to_numpy()
        logs = np.log(total_over / (weights @ both["under"].to_numpy()))
    return float(leaving_out(logs[1:], weights.sizes).reach(0.975)) if len(weights.sizes) else 0.0


def after_free_work(panel: Panel, requests: pd.DataFrame | None) -> Estimates:
    """Do clients ask for more in the month after free work? Ratios within the same client, by
    client or rep (C9).
    """
    made = []
    if requests is not None and {"in_scope", "billed"} <= {*requests.columns}:
        pairs = month_pairs(panel, requests)
        for second in ("none", "charged"):
            theta, se, clients = within_ratio(pairs, "free", second)
            if math.isfinite(theta):
                by_rep = _reach_by_rep(pairs, "free", second, panel.spells)
                half = max(Z95 * se, by_rep)
                limits = np.array([0, -half, half])
                ratio = list(np.exp(theta + limits))
                name = say(f"service.after_free.{second}")
                estimate = Estimate.of("C9", name, ALL, ratio, "ratio", (clients, 0))
                made.append(estimate)
    return Estimates(tuple(made), say("service.free.requests"))


def margin_by_free_work(
    requests: pd.DataFrame | None, snapshots: pd.DataFrame, spells: pd.DataFrame | None = None
) -> Estimates:
    """Margin over fee of clients by how much free work they get a month, in thirds of clients (C9).

    Student's intervals, by client or by rep, the wider; `spells` say who is in charge.
    """
    caption = say("service.free.margins")
    known = requests is not None and {"in_scope", "billed"} <= {*requests.columns}
    if requests is None or not known or "margin_3" not in snapshots:
        return Estimates((), caption)
    beyond = ~yes(requests["in_scope"], True)
    outside = beyond & ~yes(requests["billed"])
    by_client_free = requests[outside].groupby("client_id")
    free = by_client_free.size()
    by_client = snapshots.groupby("client_id")
    table = by_client.agg(months=("month", "size"), margin=("margin_3", "mean"))
    clients = table.dropna()
    worked = free.reindex(clients.index, fill_value=0)
    rate = worked / clients["months"]
    edges = rate.quantile([1 / 3, 2 / 3])
    third = np.searchsorted(edges, rate, side="left")
    reps = None if spells is None else last_rep(spells, clients.index)
    made = []
    for number, name in enumerate(("least", "middle", "most")):
        margins = clients.loc[third == number, "margin"]
        in_charge = None if reps is None else reps[third == number]
        group = say(f"service.free_work.{name}")
        estimate = mean_of("C9", say("service.free.margin"), group, margins, "share", in_charge)
        made.append(estimate)
    return Estimates(tuple(row for row in made if math.isfinite(row.low)), caption)
